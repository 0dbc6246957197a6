"""What a stage of a REST API has deployed, and how it differs from the API as it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of, or_none
from cogauth.aws.errors import DENIED, EXPIRED, INVALID, THROTTLED
from cogauth.gateway.rest_apis import (
    COGNITO,
    CUSTOM,
    HEADER,
    IAM,
    WITHOUT_AUTHORIZER,
    Guard,
    Method,
    Routes,
    method_of,
)
from cogauth.gateway.routing import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from cogauth.context import Context

# As OpenAPI spells a method that takes every verb; API Gateway itself says ANY.
ANY_METHOD = "x-amazon-apigateway-any-method"
AUTHORIZATION = "authorization"
# An export's word for a template that passes a body on as it is. The live API has none or null.
# Source: https://github.com/awslabs/aws-apigateway-importer/issues/173
PASS_THROUGH = "__passthrough__"  # noqa: S105 no secret
# What an export may leave out, compared only where it doesn't: by API Gateway's name, and a user's.
SETTINGS = {
    "passthroughBehavior": "passthrough behavior",
    "timeoutInMillis": "timeout",
    "contentHandling": "content handling",
    "connectionId": "VPC link",
}
AUTHORIZERS_SETTINGS = {
    "authorizerCredentials": "role",
    "authorizerResultTtlInSeconds": "caching time",
    "identityValidationExpression": "token validation",
}


@dataclass(frozen=True)
class Deployed:
    """What a stage serves.

    Attributes:
        made: when its deployment was made; None if that isn't there any more.
        unseen: what of it the endpoint doesn't show, so that what the API says now was taken.
    """

    routes: Routes
    deployment: str
    made: datetime | None
    unseen: str | None = None


def deployed(ctx: Context, api: str, stage: Mapping[str, Any], live: Routes) -> Deployed:
    """Return what a stage, as GetStages describes it, serves.

    The deployment's summary says of each method its authorization type and whether it takes an API
    key; the export, which is of the deployment too, says which authorizer and scopes. Sources:
    https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html and
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
    Another emulator than the embedded local AWS shows less: there what the API says now is taken,
    ``live``.
    """
    identifier = str(stage.get("deploymentId", ""))
    get = partial(ctx.aws.apigateway.get_deployment, restApiId=api, deploymentId=identifier)
    found: Any = or_none(lambda: get(embed=["apisummary"])) or {}
    summary, made = found.get("apiSummary"), found.get("createdDate")
    if not summary:
        return Deployed(live, identifier, made, "the methods of its deployment")
    exported, why = _exported(ctx, api, stage["stageName"])
    routes: Routes = {}
    unseen: set[str] = {why} if why else set()
    for path, methods in summary.items():
        for verb, said in methods.items():
            now = live.get(path, {}).get(verb)
            shown = exported.get(path, {}).get(verb) or now or Method(verb, path, Guard())
            guard, lack = _deployed_guard(said, shown.guard, now.guard if now else Guard())
            unseen |= {lack} if lack else set()
            routes.setdefault(path, {})[verb] = replace(shown, guard=guard)
    return Deployed(routes, identifier, made, "; ".join(sorted(unseen)) or None)


def _deployed_guard(said: Mapping[str, Any], shown: Guard, now: Guard) -> tuple[Guard, str | None]:
    """Return a deployed guard from its summary, its export and how it is now; and what it lacks."""
    kind, api_key = said.get("authorizationType"), bool(said.get("apiKeyRequired"))
    if kind is None:
        return replace(now, api_key=api_key), "the authorization of its methods"
    if kind in WITHOUT_AUTHORIZER:
        return Guard(kind, api_key), None
    if shown.type == kind and (shown.pools or kind != COGNITO):
        return replace(shown, api_key=api_key), None
    lacking = "the authorizers of its methods"
    return replace(now if now.type == kind else Guard(kind), api_key=api_key), lacking


def _exported(
    ctx: Context, api: str, stage: str
) -> tuple[dict[str, dict[str, Method]], str | None]:
    """Return the methods that the stage's export shows; and, if it can't be had, what is unseen."""
    try:
        document = export(ctx, api, stage)
    except ClientError as error:
        document = code_of(error)
    if isinstance(document, str):
        return {}, f"its export ({document})"
    routes: Routes = {}
    for verb, path, operation in operations_of(document):
        guard = exported_guard(operation, document)
        integration = operation.get("x-amazon-apigateway-integration") or {}
        integration = {**integration, "type": integration.get("type", "").upper()}
        routes.setdefault(path, {})[verb] = method_of(verb, path, guard, integration)
    return routes, None


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
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict) or not all(isinstance(one, dict) for one in paths.values()):
        return "its answer is no OpenAPI document"
    return document  # type: ignore[no-any-return]


def guards(document: Mapping[str, Any]) -> dict[str, Guard]:
    """Return who may call each method of a stage's export, by the method's name.

    Emulators' exports leave most authorizations out.
    """
    return {
        f"{verb} {path}": exported_guard(operation, document)
        for verb, path, operation in operations_of(document)
    }


def schemes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the authorizations that an export's methods ask for, by name: authorizers mostly."""
    return document.get("components", {}).get("securitySchemes") or {}


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the methods of an export: each one's HTTP method, path, and what is said of it."""
    for path, item in document["paths"].items():
        for key, operation in item.items():
            verb = "ANY" if key == ANY_METHOD else key.upper()
            if verb in {*VERBS, "ANY"}:
                yield verb, path, operation


def exported_guard(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Guard:
    """Return who may call a method of an export."""
    guard = Guard()
    for requirement in operation.get("security", []):
        for name, scopes in requirement.items():
            scheme = schemes(document).get(name, {})
            kind = scheme.get("x-amazon-apigateway-authtype")
            authorizer = scheme.get("x-amazon-apigateway-authorizer", {})
            if kind is None and scheme.get("name", "").lower() == "x-api-key":
                guard = replace(guard, api_key=True)
            elif kind == "awsSigv4":
                guard = replace(guard, type=IAM)
            else:
                guard = Guard(_exported_type(kind, authorizer), guard.api_key, tuple(scopes)).by(
                    {**authorizer, "name": name, "identitySource": exported_header(scheme)}
                )
    return guard


def _exported_type(kind: str | None, authorizer: Mapping[str, Any]) -> str:
    # The first is the user's own word for it, and only sometimes AWS's: "jwt" is anyone's.
    if "cognito_user_pools" in {kind, authorizer.get("type")}:
        return COGNITO
    shown = str(authorizer.get("type") or "token").upper()
    return CUSTOM if shown in {"TOKEN", "REQUEST"} else shown


def exported_header(scheme: Mapping[str, Any]) -> str | None:
    """Return in which header an exported authorizer looks for the token; None if it isn't shown."""
    shown = scheme.get("x-amazon-apigateway-authorizer") or {}
    source = str(shown.get("identitySource") or "").removeprefix(HEADER)
    return scheme.get("name") or source or None
