"""Methods of any REST API, put behind the stack's user pool: the console's Method Request.

The API may be anybody's. Known as ours in it are an authorizer and deployments, by a name that
carries the stack-id; only these are ever changed or deleted there, and methods' authorization.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws_errors import DENIED, EXPIRED, INVALID, THROTTLED
from cogauth.steps.base import Live, deleted, differing, or_none
from cogauth.waiting import code_of, message_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cogauth.context import Context
    from cogauth.state import Authorization

GONE = "NotFoundException"
COGNITO = "COGNITO_USER_POOLS"
# Of API Gateway's authorization types these have an authorizer of the API's.
WITH_AUTHORIZER = (COGNITO, "CUSTOM")
# The most that API Gateway gives in a page.
PAGE: Any = {"PageSize": 500}
# What AWS answers to a method's update that asks for no such authorizer, or is otherwise wrong.
REFUSED = "BadRequestException"


@dataclass(frozen=True)
class LiveMethod:
    """A method as it stands in the API, deployed or not."""

    resource_id: str
    path: str
    http_method: str
    live: Live

    @property
    def name(self) -> str:
        """As ``GET /orders``."""
        return f"{self.http_method} {self.path}"

    @property
    def authorization(self) -> Authorization:
        """Who may call it."""
        return authorization_of(self.live)


def authorization_of(live: Live) -> Authorization:
    """Return who may call a method, of what PutMethod, UpdateMethod or GetResources answered."""
    kind = live.get("authorizationType") or "NONE"
    return {
        "authorizationType": kind,
        # One that is left from before means nothing with another type.
        "authorizerId": live.get("authorizerId") or None if kind in WITH_AUTHORIZER else None,
        "authorizationScopes": list(live.get("authorizationScopes") or []),
        "apiKeyRequired": bool(live.get("apiKeyRequired")),
    }


def same(one: Authorization, other: Authorization) -> bool:
    """Say whether two authorizations are alike; the order of scopes means nothing."""
    scopes = sorted(one["authorizationScopes"]) == sorted(other["authorizationScopes"])
    return scopes and one == {**other, "authorizationScopes": one["authorizationScopes"]}


def rest_apis(ctx: Context) -> list[Any]:
    """Return all REST APIs of the account and region."""
    pages = ctx.aws.apigateway.get_paginator("get_rest_apis").paginate(PaginationConfig=PAGE)
    return [api for page in pages for api in page["items"]]


def methods(ctx: Context, api: str) -> list[LiveMethod] | None:
    """Return an API's methods by path, a call for 500 resources; None if there is no such API."""
    pages = ctx.aws.apigateway.get_paginator("get_resources").paginate(
        restApiId=api, embed=["methods"], PaginationConfig=PAGE
    )
    found = or_none(lambda: [one for page in pages for one in page["items"]], GONE)
    if found is None:
        return None
    return sorted(
        (
            LiveMethod(one["id"], one["path"], name, live)
            for one in found
            for name, live in one.get("resourceMethods", {}).items()
        ),
        key=lambda method: (method.path, method.http_method),
    )


def method(ctx: Context, api: str, resource_id: str, http_method: str) -> Live | None:
    """Return a method, or None if it is gone."""
    return or_none(  # type: ignore[no-any-return]
        lambda: ctx.aws.apigateway.get_method(
            restApiId=api, resourceId=resource_id, httpMethod=http_method
        ),
        GONE,
    )


def authorizers(ctx: Context, api: str) -> list[Any]:
    """Return all of an API's authorizers; none if there is no such API."""
    pages = ctx.aws.apigateway.get_paginator("get_authorizers").paginate(
        restApiId=api, PaginationConfig=PAGE
    )
    return or_none(lambda: [one for page in pages for one in page["items"]], GONE) or []


def stages(ctx: Context, api: str) -> list[Any]:
    """Return an API's stages, which come in one page; none if there is no such API."""
    found = or_none(lambda: ctx.aws.apigateway.get_stages(restApiId=api), GONE)
    return list(found["item"]) if found else []


def our_name(ctx: Context) -> str:
    """Return the name of our authorizer in an API, and our deployments' description.

    Neither can be tagged. The stack's own API has an authorizer and deployments of another name,
    which ``up`` looks after.
    """
    return f"{ctx.name_with_id}-attached"


def patch(before: Authorization, after: Authorization) -> list[dict[str, str]]:
    """Return the operations that change who may call a method, for one UpdateMethod.

    Scopes are added and removed one by one; ``replace`` is not for lists. Each operation leaves
    what is valid by itself, but for the type and the authorizer, which AWS looks at together: with
    another type than COGNITO_USER_POOLS scopes are refused, and with NONE an authorizer means
    nothing.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateMethod-Patch
    and, for the order and the empty authorizer,
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/apigateway/method.go
    """
    path = "/authorizationScopes"
    old, new = before["authorizationScopes"], after["authorizationScopes"]
    operations = [{"op": "remove", "path": path, "value": one} for one in old if one not in new]
    if before["authorizationType"] != after["authorizationType"]:
        kind = after["authorizationType"]
        operations.append({"op": "replace", "path": "/authorizationType", "value": kind})
    if before["authorizerId"] != after["authorizerId"]:
        authorizer = after["authorizerId"] or ""
        operations.append({"op": "replace", "path": "/authorizerId", "value": authorizer})
    operations += [{"op": "add", "path": path, "value": one} for one in new if one not in old]
    if before["apiKeyRequired"] != after["apiKeyRequired"]:
        needed = "true" if after["apiKeyRequired"] else "false"
        operations.append({"op": "replace", "path": "/apiKeyRequired", "value": needed})
    return operations


def update_method(
    ctx: Context, api: str, place: LiveMethod, before: Authorization, after: Authorization
) -> Authorization:
    """Change who may call a method, and return who may by then.

    Raises:
        ClientError: AWS refused it.
    """
    given: Any = {
        "restApiId": api,
        "resourceId": place.resource_id,
        "httpMethod": place.http_method,
        "patchOperations": patch(before, after),
    }
    try:
        return authorization_of(ctx.aws.apigateway.update_method(**given))
    except ClientError as error:
        # A call whose answer was lost, and that botocore made again: its scopes are there already.
        if code_of(error) != REFUSED:
            raise
        live = method(ctx, api, place.resource_id, place.http_method)
        if live is None or not same(authorization_of(live), after):
            raise
        return after


def _wanted(ctx: Context) -> dict[str, Any]:
    return {
        "type": COGNITO,
        "providerARNs": [ctx.fact("user_pool", "arn")],
        "identitySource": "method.request.header.Authorization",
    }


def create_authorizer(ctx: Context, api: str) -> Live:
    """Make our authorizer in an API."""
    return ctx.aws.apigateway_once.create_authorizer(
        restApiId=api, name=our_name(ctx), **_wanted(ctx)
    )


def authorizer_patch(ctx: Context, live: Live) -> list[dict[str, str]]:
    """Return what makes our authorizer in an API ask the stack's present pool."""
    wanted = differing(live, _wanted(ctx))
    path = "/identitySource"
    operations = [
        {"op": "replace", "path": path, "value": wanted[key]}
        for key in wanted
        if key == "identitySource"
    ]
    if "providerARNs" in wanted:
        ours, standing = wanted["providerARNs"], live.get("providerARNs", [])
        # Added first: an authorizer without a provider is refused.
        operations += [
            {"op": op, "path": "/providerARNs", "value": arn}
            for op, arns in (
                ("add", [arn for arn in ours if arn not in standing]),
                ("remove", [arn for arn in standing if arn not in ours]),
            )
            for arn in arns
        ]
    return operations


def update_authorizer(ctx: Context, api: str, live: Live) -> None:
    """Let our authorizer in an API ask the stack's present pool."""
    operations: Any = authorizer_patch(ctx, live)
    ctx.aws.apigateway.update_authorizer(
        restApiId=api, authorizerId=live["id"], patchOperations=operations
    )


def delete_authorizer(ctx: Context, api: str, authorizer: str) -> bool:
    """Delete our authorizer in an API; AWS refuses it while a method refers to it.

    A stage's deployment is a snapshot, and doesn't count.
    """
    return deleted(
        lambda: ctx.aws.apigateway.delete_authorizer(restApiId=api, authorizerId=authorizer), GONE
    )


def create_deployment(ctx: Context, api: str) -> str:
    """Take a snapshot of an API, for no stage yet; return its id."""
    made = ctx.aws.apigateway_once.create_deployment(restApiId=api, description=our_name(ctx))
    return str(made["id"])


def put_on_stage(ctx: Context, api: str, stage: str, deployment: str) -> None:
    """Let a stage serve a deployment; all else of the stage stays."""
    ctx.aws.apigateway.update_stage(
        restApiId=api,
        stageName=stage,
        patchOperations=[{"op": "replace", "path": "/deploymentId", "value": deployment}],
    )


def our_deployments(ctx: Context, api: str) -> list[str]:
    """Return the ids of our deployments of an API; none if there is no such API."""
    pages = ctx.aws.apigateway.get_paginator("get_deployments").paginate(
        restApiId=api, PaginationConfig=PAGE
    )
    found = or_none(lambda: [one for page in pages for one in page["items"]], GONE) or []
    return [one["id"] for one in found if one.get("description") == our_name(ctx)]


def delete_deployment(ctx: Context, api: str, deployment: str) -> bool:
    """Delete one of our deployments; AWS refuses it if a stage was put on it meanwhile."""
    return deleted(
        lambda: ctx.aws.apigateway.delete_deployment(restApiId=api, deploymentId=deployment),
        GONE,
        REFUSED,
    )


def export(ctx: Context, api: str, stage: str) -> dict[str, Any] | str:
    """Return what is deployed to a stage, as OpenAPI 3.0; or why that can't be had.

    Source for the two extensions at once: https://github.com/aws/aws-cli/issues/3133
    """
    try:
        answer = ctx.aws.apigateway.get_export(
            restApiId=api,
            stageName=stage,
            exportType="oas30",
            parameters={"extensions": "integrations,authorizers"},
            accepts="application/json",
        )
        document = json.loads(answer["body"].read())
    except ClientError as error:
        if code_of(error) in DENIED | EXPIRED | INVALID | THROTTLED:
            raise
        # AWS itself can't export an API whose bodies aren't JSON; an emulator may lack it.
        return f"{code_of(error)}: {message_of(error)}"
    except ValueError as error:
        return f"its answer is no JSON ({error})"
    return document if isinstance(document, dict) else "its answer is no OpenAPI document"


@dataclass(frozen=True)
class Pending:
    """A difference between what is deployed and what stands in the API.

    Attributes:
        what: a method, as ``GET /orders``, or an authorizer, as ``authorizer jwt``.
        change: ``new``, ``deleted`` or ``changed``.
        fields: what of it changed.
    """

    what: str
    change: str
    fields: tuple[str, ...] = ()


# By OpenAPI's word; API Gateway adds one for ANY.
VERBS = {
    **{verb: verb.upper() for verb in ("get", "put", "post", "delete", "options", "head", "patch")},
    "x-amazon-apigateway-any-method": "ANY",
}
AUTHORIZATION = "authorization"


def pending(
    document: Mapping[str, Any],
    standing: Iterable[LiveMethod],
    present: Iterable[Live],
    *,
    authorization: bool,
) -> list[Pending]:
    """Compare a stage's export with the API's live methods and authorizers.

    Compared are which methods there are; each one's authorization, scopes and API key; its
    integration's type, URI, HTTP method, credentials, request parameters and templates, and its
    answers' statuses, parameters and templates; and the pools or function of the authorizers that
    methods use. Gateway responses, models, request validators and documentation are not.

    Args:
        document: of ``export``.
        standing: of ``methods``.
        present: of ``authorizers``.
        authorization: whether the export shows authorizations; emulators' leave most of them out.
    """
    schemes = document.get("components", {}).get("securitySchemes", {})
    deployed = {
        f"{VERBS[verb]} {path}": operation
        for path, operations in document.get("paths", {}).items()
        for verb, operation in operations.items()
        if verb in VERBS
    }
    by_id = {one["id"]: one for one in present}
    found = []
    names = set()
    for live in standing:
        names.add(live.name)
        if live.name not in deployed:
            found.append(Pending(live.name, "new"))
            continue
        operation = deployed[live.name]
        fields = []
        if authorization and _guard(operation, schemes) != _live_guard(live, by_id):
            fields.append(AUTHORIZATION)
        before = _integration(operation.get("x-amazon-apigateway-integration") or {})
        after = _live_integration(live.live.get("methodIntegration") or {})
        fields += [f"integration's {key}" for key in after if before[key] != after[key]]
        if fields:
            found.append(Pending(live.name, "changed", tuple(fields)))
    found += [Pending(name, "deleted") for name in deployed if name not in names]
    if authorization:
        found += _pending_authorizers(schemes, by_id.values())
    return found


def _guard(operation: Mapping[str, Any], schemes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return type, authorizer's name, scopes and API key of a method in an export."""
    kind, name, scopes, key = "NONE", None, [], False
    for requirement in operation.get("security", []):
        for scheme, wanted in requirement.items():
            how = schemes.get(scheme, {}).get("x-amazon-apigateway-authtype")
            if how is None and schemes.get(scheme, {}).get("name", "").lower() == "x-api-key":
                key = True
            elif str(how).lower() == "awssigv4":
                kind = "AWS_IAM"
            else:
                kind = COGNITO if how == COGNITO.lower() else "CUSTOM"
                name, scopes = scheme, sorted(wanted)
    return kind, name, scopes, key


def _live_guard(live: LiveMethod, by_id: Mapping[str, Live]) -> tuple[Any, ...]:
    has = live.authorization
    authorizer = by_id.get(has["authorizerId"] or "", {})
    return (
        has["authorizationType"],
        authorizer.get("name"),
        sorted(has["authorizationScopes"]),
        has["apiKeyRequired"],
    )


def _integration(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # An export writes what is a word of a list in lower case.
        "type": str(shown.get("type") or "").lower(),
        "URI": shown.get("uri") or None,
        "HTTP method": shown.get("httpMethod") or None,
        "credentials": shown.get("credentials") or None,
        "request parameters": shown.get("requestParameters") or {},
        "request templates": shown.get("requestTemplates") or {},
        "answers": {
            pattern: _answer(answer) for pattern, answer in (shown.get("responses") or {}).items()
        },
    }


def _live_integration(live: Mapping[str, Any]) -> dict[str, Any]:
    # An export knows an answer by the pattern that chooses it, the live API by its status.
    responses = {
        answer.get("selectionPattern") or "default": answer
        for answer in (live.get("integrationResponses") or {}).values()
    }
    return _integration({**live, "responses": responses})


def _answer(answer: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        str(answer.get("statusCode")),
        answer.get("responseParameters") or {},
        answer.get("responseTemplates") or {},
    )


def _pending_authorizers(schemes: Mapping[str, Any], present: Iterable[Live]) -> list[Pending]:
    """Compare the authorizers that deployed methods use: an export shows no others."""
    by_name = {one["name"]: one for one in present}
    found = []
    for name, scheme in schemes.items():
        shown = scheme.get("x-amazon-apigateway-authorizer")
        if not shown or name not in by_name:
            # No authorizer; or one that is gone, which the methods show.
            continue
        live = by_name[name]
        fields = []
        if sorted(shown.get("providerARNs") or []) != sorted(live.get("providerARNs") or []):
            fields.append("user pools")
        if (shown.get("authorizerUri") or None) != (live.get("authorizerUri") or None):
            fields.append("function")
        if fields:
            found.append(Pending(f"authorizer {name}", "changed", tuple(fields)))
    return found
