"""What a stage of a REST API serves: its deployment's methods and their guards."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of, or_none
from cogauth.aws.errors import DENIED, EXPIRED, INVALID, THROTTLED
from cogauth.aws.policies import Allow, allow
from cogauth.gateway.rest_apis import (
    COGNITO,
    CUSTOM,
    HEADER,
    IAM,
    WITHOUT_AUTHORIZER,
    Guard,
    Route,
    Routes,
    route_of,
)
from cogauth.gateway.routing import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from cogauth.context import Context

# OpenAPI's name for a method that takes every verb; API Gateway itself says ANY.
ANY_METHOD = "x-amazon-apigateway-any-method"
AUTHORIZATION = "authorization"
# An export's name for a template that passes a body through. The live API has none or null.
# Source: https://github.com/awslabs/aws-apigateway-importer/issues/173
PASS_THROUGH = "__passthrough__"  # noqa: S105 no secret
# Fields that an export may omit, compared only where it has them: API Gateway's name, and ours.
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
        made: when its deployment was created; None if the deployment is gone.
        unseen: the parts that the endpoint doesn't show; there the API's present state is used.
    """

    routes: Routes
    deployment: str
    made: datetime | None
    unseen: str | None = None


def deployed(ctx: Context, api: str, stage: Mapping[str, Any], live: Routes) -> Deployed:
    """Return what a stage serves; ``stage`` is as GetStages describes it.

    The deployment's summary has each method's authorization type and whether it needs an API key;
    the deployment's export has the authorizer and the scopes. Sources:
    https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html and
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
    Emulators other than the embedded local AWS show less: there the API's present state, ``live``,
    is used instead.
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
            shown = exported.get(path, {}).get(verb) or now or Route(verb, path, Guard())
            guard, lack = _deployed_guard(said, shown.guard, now.guard if now else Guard())
            unseen |= {lack} if lack else set()
            routes.setdefault(path, {})[verb] = replace(shown, guard=guard)
    return Deployed(routes, identifier, made, "; ".join(sorted(unseen)) or None)


def _deployed_guard(said: Mapping[str, Any], shown: Guard, now: Guard) -> tuple[Guard, str | None]:
    """Return a guard from summary, export and present state, and which parts weren't shown."""
    kind, api_key = said.get("authorizationType"), bool(said.get("apiKeyRequired"))
    if kind is None:
        return replace(now, api_key=api_key), "the authorization of its methods"
    if kind in WITHOUT_AUTHORIZER:
        return Guard(kind, api_key), None
    if shown.type == kind and (shown.pools or kind != COGNITO):
        return replace(shown, api_key=api_key), None
    lacking = "the authorizers of its methods"
    return replace(now if now.type == kind else Guard(kind), api_key=api_key), lacking


def _exported(ctx: Context, api: str, stage: str) -> tuple[dict[str, dict[str, Route]], str | None]:
    """Return the methods in the stage's export; if there is no export, also what isn't shown."""
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
        routes.setdefault(path, {})[verb] = route_of(verb, path, guard, integration)
    return routes, None


def exporting(api: str) -> Allow:
    """Return the permission that ``export`` needs; ``api`` is a pattern of ARNs."""
    return allow(f"{api}/stages/*/exports/*", "apigateway:GET")


def export(ctx: Context, api: str, stage: str) -> dict[str, Any] | str:
    """Return a stage's deployed API as OpenAPI 3.0, or why there is no export.

    Source for both extensions in one call: https://github.com/aws/aws-cli/issues/3133
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
        # AWS can't export an API whose bodies aren't JSON; an emulator may not support exports.
        return f"{code_of(error)}: {message_of(error)}"
    except ValueError as error:
        return f"its answer isn't JSON ({error})"
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict) or not all(isinstance(one, dict) for one in paths.values()):
        return "its answer isn't an OpenAPI document"
    return document  # type: ignore[no-any-return]


def served_guards(document: Mapping[str, Any]) -> dict[str, Guard]:
    """Return each method's guard in a stage's export, by the method's name.

    Emulators' exports omit most authorizations.
    """
    return {
        f"{verb} {path}": exported_guard(operation, document)
        for verb, path, operation in operations_of(document)
    }


def schemes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the security schemes in an export, by name; most are authorizers."""
    return document.get("components", {}).get("securitySchemes") or {}


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the methods of an export: HTTP method, path and OpenAPI operation."""
    for path, item in document["paths"].items():
        for key, operation in item.items():
            verb = "ANY" if key == ANY_METHOD else key.upper()
            if verb in {*VERBS, "ANY"}:
                yield verb, path, operation


def exported_guard(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Guard:
    """Return the guard of a method in an export."""
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
    # ``kind`` is the user's own text, only sometimes AWS's: anyone may write "jwt" there.
    if "cognito_user_pools" in {kind, authorizer.get("type")}:
        return COGNITO
    shown = str(authorizer.get("type") or "token").upper()
    return CUSTOM if shown in {"TOKEN", "REQUEST"} else shown


def exported_header(scheme: Mapping[str, Any]) -> str | None:
    """Return the header in which an exported authorizer expects the token; None if not shown."""
    shown = scheme.get("x-amazon-apigateway-authorizer") or {}
    source = str(shown.get("identitySource") or "").removeprefix(HEADER)
    return scheme.get("name") or source or None
