"""Someone else's API on moto, for attaching."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from cogauth import engine
from cogauth.attach import model
from cogauth.engine import ApiPlan, Attached, Detached, Wanted, journal
from cogauth.gateway import rest_apis
from support.account import RESOURCES, Account

if TYPE_CHECKING:
    from cogauth.record.records import Authorization

SCOPE = "aws.cognito.signin.user.admin"
FUNCTION = (
    "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:eu-central-1:123456789012:function:guard/invocations"
)
OTHER_POOL = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_Other"


def quiet(*_: Any) -> None:
    """Report nothing."""


class Orders:
    """Someone else's API, with methods guarded in every possible way, deployed to its stages."""

    def __init__(
        self, account: Account, name: str = "orders", *, stages: tuple[str, ...] = ("prod",)
    ) -> None:
        self.account = account
        self.aws: Any = account.client("apigateway")
        made = self.aws.create_rest_api(name=name)
        self.id, self.name = made["id"], name
        self.place = {"restApiId": self.id}
        self.paths = {"/": made["rootResourceId"]}
        jwt = self.aws.create_authorizer(
            **self.place,
            name="jwt",
            type="TOKEN",
            authorizerUri=FUNCTION,
            identitySource="method.request.header.Authorization",
        )
        pool = self.aws.create_authorizer(
            **self.place,
            name="their pool",
            type="COGNITO_USER_POOLS",
            providerARNs=[OTHER_POOL],
            identitySource="method.request.header.Authorization",
        )
        self.jwt, self.pool = jwt["id"], pool["id"]
        self.put("GET", "/open", "NONE")
        self.put("POST", "/open", "NONE", apiKeyRequired=True)
        self.put("OPTIONS", "/open", "NONE")
        self.put("GET", "/iam", "AWS_IAM")
        self.put("GET", "/jwt", "CUSTOM", authorizerId=self.jwt)
        self.put(
            "GET",
            "/pool",
            "COGNITO_USER_POOLS",
            authorizerId=self.pool,
            authorizationScopes=["b/write", "a/read"],
        )
        for stage in stages:
            self.deploy(stage)

    def of(self, account: Account) -> Orders:
        """Return the same API in a copy of its account."""
        copied = copy.copy(self)
        copied.account, copied.paths = account, dict(self.paths)
        return copied

    def path(self, path: str) -> str:
        if path not in self.paths:
            made = self.aws.create_resource(
                **self.place, parentId=self.paths["/"], pathPart=path.removeprefix("/")
            )
            self.paths[path] = made["id"]
        return self.paths[path]

    def at(self, method: str, path: str) -> dict[str, str]:
        return {**self.place, "resourceId": self.path(path), "httpMethod": method}

    def put(self, method: str, path: str, kind: str, **more: Any) -> None:
        place = self.at(method, path)
        self.aws.put_method(**place, authorizationType=kind, **more)
        self.aws.put_integration(
            **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )
        self.aws.put_integration_response(**place, statusCode="200")

    def patch(self, method: str, path: str, *operations: tuple[str, str, str]) -> None:
        self.aws.update_method(
            **self.at(method, path),
            patchOperations=[{"op": op, "path": p, "value": v} for op, p, v in operations],
        )

    def deploy(self, stage: str) -> None:
        """Deploy as the owner does."""
        made = self.aws.create_deployment(**self.place, description="the owner's")
        known = [one["stageName"] for one in self.aws.get_stages(**self.place)["item"]]
        if stage in known:
            patch = [{"op": "replace", "path": "/deploymentId", "value": made["id"]}]
            self.aws.update_stage(**self.place, stageName=stage, patchOperations=patch)
        else:
            self.aws.create_stage(**self.place, stageName=stage, deploymentId=made["id"])

    def methods(self) -> dict[str, Authorization]:
        """Who may call each method, from the live API."""
        items = self.aws.get_resources(**self.place)["items"]
        return {
            f"{name} {item['path']}": rest_apis.authorization_of(live)
            for item in items
            for name, live in item.get("resourceMethods", {}).items()
        }

    def deployed(self, stage: str = "prod") -> Any:
        """The stage's export."""
        body = self.aws.get_export(**self.place, stageName=stage, exportType="oas30")["body"]
        return json.loads(body.read())

    def security(self, method: str, path: str, stage: str = "prod") -> Any:
        return self.deployed(stage)["paths"][path][method.lower()].get("security", [])

    def authorizers(self) -> dict[str, str]:
        return {a["name"]: a["id"] for a in self.aws.get_authorizers(**self.place)["items"]}

    def deployments(self) -> list[str]:
        """The deployments that aren't the owner's, each as the list of its stages."""
        stages = self.aws.get_stages(**self.place)["item"]
        return [
            ",".join(s["stageName"] for s in stages if s["deploymentId"] == one["id"])
            for one in self.aws.get_deployments(**self.place)["items"]
            if one.get("description") != "the owner's"
        ]


def plan(account: Account, api: Any = "orders", path: str = "*", **more: Any) -> ApiPlan:
    return engine.plan_attach(account.context(), Wanted(api, path, **more))


def attach(account: Account, api: Any = "orders", path: str = "*", **more: Any) -> Attached:
    """Attach as the command does."""
    ctx = account.context()
    return engine.attach(ctx, engine.plan_attach(ctx, Wanted(api, path, **more)), quiet)


def detach(account: Account, api: str | None = None, **globs: Any) -> list[Detached]:
    """Detach as the command does."""
    ctx = account.context()
    plans = [engine.plan_detach(ctx, one, **globs) for one in engine.attached_apis(ctx, api)]
    return [engine.detach(ctx, each, quiet) for each in plans]


def only_a_pool(account: Account) -> None:
    """Make only the parts of a stack that attaching needs: the rest takes moto a while."""
    ctx = account.context()
    pool = RESOURCES["user_pool"]
    journal.record_existing(ctx, pool, pool.create(ctx))


def pool_and_orders(account: Account) -> Orders:
    """Make the parts of a stack that attaching needs, and someone else's API."""
    return account.as_after(_pool_and_orders).of(account)


def _pool_and_orders(account: Account) -> Orders:
    only_a_pool(account)
    return Orders(account)


def ours(account: Account) -> str:
    return model.our_name(account.context())


def put_jwt(orders: Orders, path: str, *scopes: str) -> str:
    """Put a method behind an authorizer of type JWT; return the authorizer's id."""
    made = orders.aws.create_authorizer(
        **orders.place,
        name=f"their issuer of {path}",
        type="JWT",
        identitySource="method.request.header.Authorization",
    )
    more = {"authorizationScopes": list(scopes)} if scopes else {}
    orders.put("GET", path, "JWT", authorizerId=made["id"], **more)
    return str(made["id"])
