"""Someone else's pools and APIs, described in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.attached import OTHER_POOL

if TYPE_CHECKING:
    from support.account import Account


def make_pool(account: Account, name: str, users: int, **more: Any) -> str:
    """Make someone else's user pool, in use."""
    cognito = account.client("cognito-idp")
    made = str(cognito.create_user_pool(PoolName=name, **more)["UserPool"]["Id"])
    cognito.create_user_pool_client(UserPoolId=made, ClientName="their app")
    for nth in range(users):
        cognito.admin_create_user(UserPoolId=made, Username=f"user{nth}")
    return made


def make_api(account: Account, name: str, **more: Any) -> str:
    """Make someone else's REST API, in use."""
    api = account.client("apigateway")
    made = api.create_rest_api(name=name, **more)
    place = {"restApiId": made["id"]}
    method = {**place, "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    api.put_method(**method, authorizationType="NONE")
    api.put_integration(**method, type="MOCK")
    deployment = api.create_deployment(**place)["id"]
    api.create_stage(**place, stageName="prod", deploymentId=deployment)
    return str(made["id"])


def describe_pool(account: Account, identifier: str) -> Any:
    cognito, place = account.client("cognito-idp"), {"UserPoolId": identifier}
    return plain(
        cognito.describe_user_pool(**place)["UserPool"],
        cognito.list_user_pool_clients(**place, MaxResults=60)["UserPoolClients"],
        cognito.list_users(**place)["Users"],
    )


def describe_api(account: Account, identifier: str) -> Any:
    api, place = account.client("apigateway"), {"restApiId": identifier}
    return plain(
        api.get_rest_api(**place),
        api.get_resources(**place, embed=["methods"])["items"],
        api.get_stages(**place)["item"],
        api.get_deployments(**place)["items"],
        api.get_authorizers(**place)["items"],
    )


def plain(*found: Any) -> Any:
    text = json.dumps(found, default=str, sort_keys=True)
    return json.loads(
        text, object_hook=lambda d: {k: v for k, v in d.items() if k != "ResponseMetadata"}
    )


class Inside:
    """What someone else added to the stack's own pool and API."""

    def __init__(self, account: Account, stack: str = "shop") -> None:
        self.account = account
        state = account.state(stack)
        self.api: Any = account.client("apigateway")
        self.cognito: Any = account.client("cognito-idp")
        self.pool = {"UserPoolId": state.fact("user_pool", "id")}
        self.place = {"restApiId": state.fact("rest_api", "id")}
        self.client = self.cognito.create_user_pool_client(
            **self.pool, ClientName="theirs", GenerateSecret=True
        )["UserPoolClient"]["ClientId"]
        self.authorizer = self.api.create_authorizer(
            **self.place,
            name="theirs",
            type="COGNITO_USER_POOLS",
            providerARNs=[OTHER_POOL],
            identitySource="method.request.header.Theirs",
        )["id"]
        self.resource = self.api.create_resource(
            **self.place, parentId=state.fact("rest_api", "root"), pathPart="orders"
        )["id"]
        for name in ("GET", "POST", "OPTIONS"):
            method = {**self.place, "resourceId": self.resource, "httpMethod": name}
            self.api.put_method(
                **method, authorizationType="COGNITO_USER_POOLS", authorizerId=self.authorizer
            )
            self.api.put_integration(**method, type="MOCK")
        self.deployment = self.api.create_deployment(**self.place, description="theirs")["id"]
        self.api.create_stage(**self.place, stageName="prod", deploymentId=self.deployment)

    def described(self) -> Any:
        """All of it, in its current state."""
        place = self.place
        return plain(
            self.cognito.describe_user_pool_client(**self.pool, ClientId=self.client),
            self.api.get_authorizer(**place, authorizerId=self.authorizer),
            self.api.get_resource(**place, resourceId=self.resource, embed=["methods"]),
            self.api.get_deployment(**place, deploymentId=self.deployment),
            self.api.get_stage(**place, stageName="prod"),
        )
