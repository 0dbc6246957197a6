"""What a stage of a REST API has deployed, and how it differs from the API as it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.waiting import code_of
from cogauth.gateway import rest_apis
from cogauth.gateway.rest_apis import (
    COGNITO,
    CUSTOM,
    HEADER,
    IAM,
    VERBS,
    WITHOUT_AUTHORIZER,
    Guard,
    Method,
    Routes,
    function_of,
    guard_of,
    header_of,
    issuers_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.steps.base import Live

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
        routes: its methods.
        deployment: the id of its deployment.
        made: when that was made; None if it isn't there any more.
        unseen: what of it the endpoint doesn't show, so that what the API says now was taken.
    """

    routes: Routes
    deployment: str
    made: datetime | None
    unseen: str | None = None


def deployed(ctx: Context, api: str, stage: Mapping[str, Any], live: Routes) -> Deployed:
    """Return what a stage serves: its deployment's summary, and its export for the rest.

    The summary says of each method its authorization type and whether it takes an API key; the
    export, which is of the deployment too, says which authorizer and scopes. Sources:
    https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html and
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
    Another emulator than the embedded local AWS shows less: there what the API says now is taken.

    Args:
        ctx: the stack.
        api: the REST API's id.
        stage: as GetStages describes it.
        live: the API's methods as they are now.
    """
    identifier = str(stage.get("deploymentId", ""))
    summary, made = _summary(ctx, api, identifier)
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


def _summary(
    ctx: Context, api: str, deployment: str
) -> tuple[dict[str, dict[str, Any]], datetime | None]:
    try:
        found: Any = ctx.aws.apigateway.get_deployment(
            restApiId=api, deploymentId=deployment, embed=["apisummary"]
        )
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        return {}, None
    return found.get("apiSummary") or {}, found.get("createdDate")


def _exported(
    ctx: Context, api: str, stage: str
) -> tuple[dict[str, dict[str, Method]], str | None]:
    """Return the methods that the stage's export shows; and, if it can't be had, what is unseen."""
    try:
        document = rest_apis.export(ctx, api, stage)
    except ClientError as error:
        document = code_of(error)
    if isinstance(document, str):
        return {}, f"its export ({document})"
    by_name = schemes(document)
    routes: Routes = {}
    for verb, path, operation in _operations(document):
        integration = operation.get("x-amazon-apigateway-integration") or {}
        routes.setdefault(path, {})[verb] = Method(
            verb,
            path,
            _exported_guard(operation.get("security", []), by_name),
            integration.get("type", "").upper(),
            function_of(integration.get("uri")),
            integration.get("credentials"),
        )
    return routes, None


def guards(document: Mapping[str, Any]) -> dict[str, Guard]:
    """Return who may call each method that a stage has deployed, by the method's name.

    Args:
        document: of the stage's ``rest_apis.export``; emulators' leave most authorizations out.
    """
    by_name = schemes(document)
    return {
        f"{verb} {path}": _exported_guard(operation.get("security", []), by_name)
        for verb, path, operation in _operations(document)
    }


def schemes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the authorizations that an export's methods ask for, by name: authorizers mostly."""
    return document.get("components", {}).get("securitySchemes") or {}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the methods of an export: each one's HTTP method, path, and what is said of it."""
    for path, item in document["paths"].items():
        for key, operation in item.items():
            verb = "ANY" if key == ANY_METHOD else key.upper()
            if verb in {*VERBS, "ANY"}:
                yield verb, path, operation


def _exported_guard(security: Iterable[Mapping[str, Any]], schemes: Mapping[str, Any]) -> Guard:
    guard = Guard()
    for requirement in security:
        for name, scopes in requirement.items():
            scheme = schemes.get(name, {})
            kind = scheme.get("x-amazon-apigateway-authtype")
            authorizer = scheme.get("x-amazon-apigateway-authorizer", {})
            if kind is None and scheme.get("name", "").lower() == "x-api-key":
                guard = replace(guard, api_key=True)
            elif kind == "awsSigv4":
                guard = replace(guard, type=IAM)
            else:
                guard = replace(
                    guard,
                    type=_exported_type(kind, authorizer),
                    scopes=tuple(scopes),
                    authorizer=name,
                    pools=tuple(authorizer.get("providerARNs") or ()),
                    header=_exported_header(scheme) or "Authorization",
                    audience=authorizer.get("identityValidationExpression") or None,
                    issuers=issuers_of(authorizer),
                )
    return guard


def _exported_type(kind: str | None, authorizer: Mapping[str, Any]) -> str:
    """Return the authorization type of the methods that an exported authorizer guards."""
    # The first is the user's own word for it, and only sometimes AWS's: "jwt" is anyone's.
    if "cognito_user_pools" in {kind, authorizer.get("type")}:
        return COGNITO
    shown = str(authorizer.get("type") or "token").upper()
    return CUSTOM if shown in {"TOKEN", "REQUEST"} else shown


def _exported_header(scheme: Mapping[str, Any]) -> str | None:
    """Return in which header an exported authorizer looks for the token; None if it isn't shown.

    A scheme of OpenAPI's that isn't of the type apiKey has no name of a header.
    """
    shown = scheme.get("x-amazon-apigateway-authorizer") or {}
    source = str(shown.get("identitySource") or "").removeprefix(HEADER)
    return scheme.get("name") or source or None


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


def pending(
    document: Mapping[str, Any],
    standing: Iterable[LiveMethod],
    present: Iterable[Live],
    *,
    authorization: bool,
) -> list[Pending]:
    """Compare a stage's export with the API's live methods and authorizers.

    Compared are which methods there are; each one's authorization, scopes and API key; its
    integration's type, URI, HTTP method, credentials, request parameters and templates, SETTINGS,
    and its answers' statuses, parameters and templates; and of the authorizers that methods use
    the pools, the function or the issuers, the header and AUTHORIZERS_SETTINGS. Gateway responses,
    the resource policy, models, request validators and documentation are not.

    Args:
        document: of the stage's ``rest_apis.export``.
        standing: the API's methods.
        present: its authorizers.
        authorization: whether the export shows authorizations; emulators' leave most of them out.
    """
    by_name = schemes(document)
    deployed = {f"{verb} {path}": shown for verb, path, shown in _operations(document)}
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
        guard = _exported_guard(operation.get("security", []), by_name)
        if authorization and guard.of_the_method != guard_of(live, by_id).of_the_method:
            fields.append(AUTHORIZATION)
        shown = operation.get("x-amazon-apigateway-integration") or {}
        stands = live.live.get("methodIntegration") or {}
        before, after = _integration(shown), _live_integration(stands)
        changed = [key for key in after if before[key] != after[key]]
        fields += [f"integration's {key}" for key in changed + _differing(SETTINGS, shown, stands)]
        if fields:
            found.append(Pending(live.name, "changed", tuple(fields)))
    found += [Pending(name, "deleted") for name in deployed if name not in names]
    if authorization:
        found += _pending_authorizers(by_name, by_id.values())
    return found


def _differing(
    names: Mapping[str, str], shown: Mapping[str, Any], live: Mapping[str, Any]
) -> list[str]:
    """Return what differs of what an export shows; its words of a list are in lower case."""
    return [
        word
        for name, word in names.items()
        if name in shown and str(shown[name] or "").lower() != str(live.get(name) or "").lower()
    ]


def _integration(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # An export writes what is a word of a list in lower case.
        "type": str(shown.get("type") or "").lower(),
        "URI": shown.get("uri") or None,
        "HTTP method": shown.get("httpMethod") or None,
        "credentials": shown.get("credentials") or None,
        "request parameters": shown.get("requestParameters") or {},
        "request templates": _templates(shown.get("requestTemplates")),
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
        _templates(answer.get("responseTemplates")),
    )


def _templates(given: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return templates without those that pass a body on, which are written in several ways."""
    return {
        kind: text for kind, text in (given or {}).items() if text not in {None, "", PASS_THROUGH}
    }


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
        header = _exported_header(scheme)
        if shown.get("type") != "request" and header and header != header_of(live):
            fields.append("header")
        issuers = issuers_of(live)
        if issuers is not None and issuers_of(shown) not in {None, issuers}:
            fields.append("issuers")
        fields += _differing(AUTHORIZERS_SETTINGS, shown, live)
        if fields:
            found.append(Pending(f"authorizer {name}", "changed", tuple(fields)))
    return found
