"""Methods of any REST API, put behind the stack's user pool: the console's Method Request.

The API may be anybody's. Known as ours in it are an authorizer and deployments, by a name that
carries the stack-id; only these are ever changed or deleted there, and methods' authorization.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import Live, code_of, deleted, or_none
from cogauth.gateway.rest_apis import GONE, PAGE, LiveMethod, authorization_of
from cogauth.steps.rest_api import authorizer_settings

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.record.records import Authorization

# What AWS answers to a method's update that asks for no such authorizer, or is otherwise wrong.
REFUSED = "BadRequestException"


def same(one: Authorization, other: Authorization) -> bool:
    """Say whether two authorizations are alike; the order of scopes means nothing."""
    scopes = sorted(one["authorizationScopes"]) == sorted(other["authorizationScopes"])
    return scopes and one == {**other, "authorizationScopes": one["authorizationScopes"]}


def method(ctx: Context, api: str, resource_id: str, http_method: str) -> Live | None:
    """Return a method, or None if it is gone."""
    return or_none(  # type: ignore[no-any-return]
        lambda: ctx.aws.apigateway.get_method(
            restApiId=api, resourceId=resource_id, httpMethod=http_method
        ),
        GONE,
    )


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
    another type than COGNITO_USER_POOLS and JWT scopes are refused, and with NONE an authorizer
    means nothing.

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


def create_authorizer(ctx: Context, api: str) -> Live:
    """Make our authorizer in an API."""
    return ctx.aws.apigateway_once.create_authorizer(
        restApiId=api, name=our_name(ctx), **authorizer_settings(ctx)
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
