"""What a stage of a REST API has deployed, beside what the API says now, and where a URL leads."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from cogauth.errors import UsageError
from cogauth.waiting import code_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from cogauth.context import Aws, Context
    from cogauth.state import State

COGNITO, CUSTOM, IAM, OPEN = "COGNITO_USER_POOLS", "CUSTOM", "AWS_IAM", "NONE"
HEADER = "method.request.header."
# As OpenAPI spells a method that takes every verb; API Gateway itself says ANY.
ANY_METHOD = "x-amazon-apigateway-any-method"
VERBS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
# The dual-stack hosts' suffix, in the partition aws: the other is the partition's own.
DUAL_STACK = "api.aws"
_HOST = re.compile(r"([a-z0-9]+)(?:-vpce-[a-z0-9]+)?\.execute-api\.([a-z0-9-]+)\.([a-z.]+)")
_LAMBDA_URI = re.compile(r":lambda:path/[^/]+/functions/(.+)/invocations$")


@dataclass(frozen=True)
class Address:
    """Where an API Gateway URL leads.

    Attributes:
        url: as it was given, without its fragment.
        api: the REST API's id.
        stage: the stage's name; empty if the URL names none.
        path: below the stage, beginning with a slash, percent-decoded.
        suffix: of the host, as ``amazonaws.com``; None at an endpoint that isn't AWS's own.
    """

    url: str
    api: str
    stage: str
    path: str
    suffix: str | None


@dataclass(frozen=True)
class Guard:
    """Who may call a method.

    Attributes:
        type: ``NONE``, ``AWS_IAM``, ``CUSTOM`` or ``COGNITO_USER_POOLS``.
        api_key: whether an API key is asked for as well.
        scopes: one of which an access token must carry; none: an ID token is asked for.
        authorizer: the authorizer's name; None if it has none, or if it doesn't exist.
        pools: the ARNs of the user pools whose tokens the authorizer takes.
        header: the request header in which it looks for the token.
        audience: a regular expression that a token's ``aud`` must match, or None.
    """

    type: str = OPEN
    api_key: bool = False
    scopes: tuple[str, ...] = ()
    authorizer: str | None = None
    pools: tuple[str, ...] = ()
    header: str = "Authorization"
    audience: str | None = None


@dataclass(frozen=True)
class Method:
    """A method of a REST API: its guard, and what answers it.

    Attributes:
        http_method: HTTP's, or ``ANY``.
        path: its resource's, as ``/pets/{id}``.
        guard: who may call it.
        integration: the type of what answers it, as ``AWS_PROXY``; empty if it has none.
        function: the ARN of the Lambda function that answers it, or None.
        role: of an integration that calls the function with a role of its own, or None.
    """

    http_method: str
    path: str
    guard: Guard
    integration: str = ""
    function: str | None = None
    role: str | None = None


# By path, then by HTTP method.
Routes = dict[str, dict[str, Method]]


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


def parse_url(state: State, url: str) -> Address:
    """Take an API Gateway URL apart.

    Args:
        state: of the stack; it says at which endpoint and in which region to look.
        url: ``https://API.execute-api.REGION.SUFFIX/STAGE/PATH``; at an emulator
            ``ENDPOINT/restapis/API/STAGE/_user_request_/PATH``.

    Raises:
        UsageError: it is neither, or leads to another region.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        # A port that is none raises here.
        plain = parts.port in {None, 443} and not (parts.username or parts.password)
    except ValueError:
        raise _no_url(state, url) from None
    whole = parts._replace(fragment="").geturl()
    if state.endpoint_url is not None:
        home = urlsplit(state.endpoint_url)
        form = re.fullmatch(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?", parts.path)
        if form is None or (parts.scheme, parts.netloc) != (home.scheme, home.netloc):
            raise _no_url(state, url)
        return Address(whole, form[1], unquote(form[2]), unquote(form[3] or "/"), None)
    match = _HOST.fullmatch(host)
    if match is None or parts.scheme != "https" or not plain:
        raise _no_url(state, url)
    api, region, suffix = match.groups()
    if region != state.region:
        raise UsageError(
            f"The URL's API is in the region {region}, the stack {state.stack} in {state.region}: "
            "only APIs of the stack's own region can be looked at."
        )
    stage, _, path = parts.path.removeprefix("/").partition("/")
    return Address(whole, api, unquote(stage), unquote(f"/{path}"), suffix)


def check_suffix(address: Address, aws: Aws) -> None:
    """See that the URL's host is AWS's own: a token is about to be sent there.

    Raises:
        UsageError: it isn't.
    """
    if address.suffix not in {None, aws.dns_suffix, DUAL_STACK}:
        raise UsageError(
            f"The host of {address.url} is not AWS's own: it should end with {aws.dns_suffix}. "
            "Nothing was sent there."
        )


def _no_url(state: State, url: str) -> UsageError:
    if state.endpoint_url is not None:
        wanted = f"{state.endpoint_url}/restapis/API/STAGE/_user_request_/PATH"
        return UsageError(f"{url!r} is no URL of an API of this stack's endpoint: give {wanted}.")
    return UsageError(
        f"{url!r} is no URL of a REST API's stage: give "
        f"https://API.execute-api.{state.region}.SUFFIX/STAGE/PATH, as the console's Stages page "
        "shows it (https only). If it is a custom domain: give the URL of the stage that it is "
        "mapped to; 'aws apigateway get-base-path-mappings --domain-name NAME' shows which."
    )


def find_api(ctx: Context, wanted: str) -> dict[str, Any]:
    """Return the REST API of an id or a name.

    Raises:
        UsageError: there is none, or several have the name.
    """
    pages = ctx.aws.apigateway.get_paginator("get_rest_apis").paginate(
        PaginationConfig={"PageSize": 500}
    )
    apis: list[Any] = [api for page in pages for api in page["items"]]
    found = [api for api in apis if api["id"] == wanted] or [
        api for api in apis if api.get("name") == wanted
    ]
    if len(found) == 1:
        return found[0]  # type: ignore[no-any-return]
    if found:
        raise UsageError(
            f"Several REST APIs have the name {wanted!r}: "
            f"{', '.join(api['id'] for api in found)}. Give --api one of these ids."
        )
    names = [str(api.get("name")) for api in apis]
    near = [
        f"{api['name']} ({api['id']})"
        for api in apis
        if api.get("name") in difflib.get_close_matches(wanted, names, 5, 0.5)
    ]
    raise UsageError(
        f"There is no REST API with the id or name {wanted!r} in account {ctx.aws.account}, region "
        f"{ctx.aws.region}" + (f"; near it are {', '.join(near)}." if near else ".")
    )


def live_routes(ctx: Context, api: str) -> Routes:
    """Return the API's methods as they are now, deployed or not."""
    gateway = ctx.aws.apigateway
    pages = gateway.get_paginator("get_authorizers").paginate(
        restApiId=api, PaginationConfig={"PageSize": 500}
    )
    authorizers: dict[str, Any] = {one["id"]: one for page in pages for one in page["items"]}
    resources = gateway.get_paginator("get_resources").paginate(
        restApiId=api, embed=["methods"], PaginationConfig={"PageSize": 500}
    )
    routes: Routes = {}
    for page in resources:
        for resource in page["items"]:
            for verb, method in resource.get("resourceMethods", {}).items():
                authorizer = authorizers.get(method.get("authorizerId", ""))
                integration = method.get("methodIntegration", {})
                routes.setdefault(resource["path"], {})[verb] = Method(
                    verb,
                    resource["path"],
                    _guard(method, authorizer),
                    integration.get("type", ""),
                    _function(integration.get("uri")),
                    integration.get("credentials"),
                )
    return routes


def _guard(method: Mapping[str, Any], authorizer: Mapping[str, Any] | None) -> Guard:
    guard = Guard(
        method.get("authorizationType") or OPEN,
        bool(method.get("apiKeyRequired")),
        tuple(method.get("authorizationScopes") or ()),
    )
    if authorizer is None:
        return guard
    return replace(
        guard,
        authorizer=authorizer.get("name"),
        pools=tuple(authorizer.get("providerARNs") or ()),
        header=_header(authorizer.get("identitySource")),
        audience=authorizer.get("identityValidationExpression"),
    )


def _header(source: str | None) -> str:
    # API Gateway's default is the Authorization header.
    return (source or f"{HEADER}Authorization").removeprefix(HEADER)


def _function(uri: str | None) -> str | None:
    match = _LAMBDA_URI.search(uri or "")
    return match[1] if match else None


def deployed(ctx: Context, api: str, stage: Mapping[str, Any], live: Routes) -> Deployed:
    """Return what a stage serves: its deployment's summary, and its export for the rest.

    The summary says of each method its authorization type and whether it takes an API key; the
    export, which is of the deployment too, says which authorizer and scopes. Sources:
    https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html and
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
    An emulator shows less; there what the API says now is taken, for emulators serve that.

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
    exported, why = _export(ctx, api, stage["stageName"])
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
    if kind not in {COGNITO, CUSTOM}:
        return Guard(kind, api_key), None
    if shown.type == kind and (shown.pools or kind == CUSTOM):
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


def _export(ctx: Context, api: str, stage: str) -> tuple[Routes, str | None]:
    """Return the methods that the stage's export shows; and, if it can't be had, what is unseen.

    An API some of whose payloads are not JSON can't be exported at all.
    """
    try:
        answer = ctx.aws.apigateway.get_export(
            restApiId=api,
            stageName=stage,
            exportType="oas30",
            # Those of the integrations and the authorizers.
            parameters={"extensions": "apigateway"},
            accepts="application/json",
        )
        document = json.loads(answer["body"].read())
        return _exported_routes(document), None
    except ClientError as error:
        return {}, f"its export ({code_of(error)})"
    except (ValueError, AttributeError, TypeError, KeyError):
        return {}, "its export, which can't be read"


def _exported_routes(document: Mapping[str, Any]) -> Routes:
    schemes = document.get("components", {}).get("securitySchemes", {})
    routes: Routes = {}
    for path, item in document["paths"].items():
        for key, operation in item.items():
            verb = "ANY" if key == ANY_METHOD else key.upper()
            if verb not in {*VERBS, "ANY"}:
                continue
            integration = operation.get("x-amazon-apigateway-integration", {})
            routes.setdefault(path, {})[verb] = Method(
                verb,
                path,
                _exported_guard(operation.get("security", []), schemes),
                integration.get("type", "").upper(),
                _function(integration.get("uri")),
                integration.get("credentials"),
            )
    return routes


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
                # authtype is the user's own word for an authorizer; its type is AWS's.
                cognito = "cognito_user_pools" in {kind, authorizer.get("type")}
                guard = replace(
                    guard,
                    type=COGNITO if cognito else CUSTOM,
                    scopes=tuple(scopes),
                    authorizer=name,
                    pools=tuple(authorizer.get("providerARNs") or ()),
                    header=scheme.get("name", "Authorization"),
                    audience=authorizer.get("identityValidationExpression"),
                )
    return guard


def route(routes: Routes, verb: str, path: str) -> tuple[str | None, Method | None]:
    """Return where API Gateway takes a request: its resource's path, and its method.

    A literal part goes before ``{name}``, that before ``{name+}``; where a resource lacks the
    method, one with ``{name+}`` that has it answers.

    Returns:
        None for each of the two that isn't there.
    """
    templates = sorted(filter(lambda each: matches(each, path), routes), key=_vagueness)
    for template in templates:
        methods = routes[template]
        if method := methods.get(verb) or methods.get("ANY"):
            return template, method
    return (templates[0] if templates else None), None


def matches(template: str, path: str) -> bool:
    """Say whether a resource's path, as ``/pets/{id}``, is that of a request."""
    parts, given = _parts(template), _parts(path)
    if parts and parts[-1].endswith("+}"):
        head = parts[:-1]
        return len(given) > len(head) and _fits(head, given[: len(head)])
    return len(parts) == len(given) and _fits(parts, given)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _fits(parts: list[str], given: list[str]) -> bool:
    return all(
        part == one or (part.startswith("{") and part.endswith("}"))
        for part, one in zip(parts, given, strict=True)
    )


def _vagueness(template: str) -> list[int]:
    kinds = (2 if part.endswith("+}") else int(part.startswith("{")) for part in _parts(template))
    return list(kinds)


def nearest(routes: Routes, path: str) -> list[str]:
    """Return the paths that are most like one that isn't there; the first ones if none is."""
    by_case = {each.lower(): each for each in routes}
    near = difflib.get_close_matches(path.lower(), by_case, 3, 0.6)
    return [by_case[each] for each in near] or sorted(routes)[:5]


def chosen(template: str, wanted: str) -> bool:
    """Say whether a resource's path is meant by one that a user gave: a glob, or a real path."""
    return template == wanted or fnmatchcase(template, wanted) or matches(template, wanted)
