"""The present state of REST APIs, the stack's own or others: their methods, guards and stages.

This module only reads; ``steps`` changes APIs. ``deployed`` returns what a stage serves.
"""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from cogauth.aws.answers import NOT_FOUND, Live, code_of, or_none
from cogauth.aws.policies import OTHER_API, REST_API, REST_APIS, allow
from cogauth.aws.waiting import Pace
from cogauth.errors import CogauthError, IncompleteError, UsageError
from cogauth.printable import minute, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cogauth.aws.policies import Allow
    from cogauth.aws.waiting import Waiter
    from cogauth.context import Context
    from cogauth.record.records import Authorization

COGNITO, CUSTOM, JWT = "COGNITO_USER_POOLS", "CUSTOM", "JWT"
IAM, OPEN = "AWS_IAM", "NONE"
# API Gateway's authorization types without an authorizer. A type newer than this code may have one,
# so its authorizer is kept.
WITHOUT_AUTHORIZER = (IAM, OPEN)
KNOWN_TYPES = (COGNITO, CUSTOM, JWT, *WITHOUT_AUTHORIZER)
# The gateway's errors about a token. Its other 403 errors have other causes:
# MissingAuthenticationTokenException means an unknown path; ForbiddenException means an API key, a
# web application firewall or mutual TLS. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
OF_A_TOKEN = ("UnauthorizedException", "AccessDeniedException")
HEADER = "method.request.header."
# API Gateway's largest page.
PAGE_SIZE = 500
_LAMBDA_URI = re.compile(r":lambda:path/[^/]+/functions/(.+)/invocations$")


# What ``find_api`` needs, ``check_own``, and ``existing``.
FIND_API, CHECK_OWN = allow(REST_APIS, "apigateway:GET"), allow(REST_API, "apigateway:GET")
EXISTING = allow((REST_API, OTHER_API), "apigateway:GET")


def reading(api: str, *names: str) -> Allow:
    """Return the permission to read parts of an API: ``resources`` for ``methods``, and so on."""
    return allow([f"{api}/{name}" for name in names], "apigateway:GET")


def listed(ctx: Context, operation: str, **where: Any) -> list[Any]:
    """Return all items of an API Gateway list; ``operation`` is for example ``get_rest_apis``.

    Raises ClientError if AWS refuses the call. Here and in all functions below that read an API, it
    is ``NotFoundException`` if the API doesn't exist.
    """
    client: Any = ctx.aws.apigateway
    pages = client.get_paginator(operation).paginate(
        **where, PaginationConfig={"PageSize": PAGE_SIZE}
    )
    return [one for page in pages for one in page.get("items", [])]


def all_apis(ctx: Context) -> list[Any]:
    """Return all REST APIs of the account and region."""
    return listed(ctx, "get_rest_apis")


def resources(ctx: Context, api: str) -> list[Any]:
    """Return an API's paths, each with its methods."""
    return listed(ctx, "get_resources", restApiId=api, embed=["methods"])


def pace(waiter: Waiter) -> Pace:
    """Return the pace of ``resources``, of which AWS allows 5 calls in 2 s.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    """
    return Pace(waiter, per_second=2, burst=4)


def authorizers(ctx: Context, api: str) -> list[Any]:
    """Return an API's authorizers."""
    return listed(ctx, "get_authorizers", restApiId=api)


def deployments(ctx: Context, api: str) -> list[Any]:
    """Return an API's deployments."""
    return listed(ctx, "get_deployments", restApiId=api)


def stages(ctx: Context, api: str) -> list[Any]:
    """Return an API's stages; AWS returns them in one page."""
    return list(ctx.aws.apigateway.get_stages(restApiId=api).get("item", []))


def check_own(ctx: Context) -> None:
    """Check with AWS that the API in the state file is the stack's own.

    A password or a token is about to be sent there, and the file may name anybody's API.
    Raises IncompleteError if the API doesn't exist any more, CogauthError if it doesn't carry the
    stack's tags.
    """
    api = ctx.fact("rest_api")
    live = or_none(lambda: ctx.aws.apigateway.get_rest_api(restApiId=api))
    if live is None:
        raise IncompleteError(
            f"The REST API {api} doesn't exist any more in account {ctx.aws.account}, region "
            f"{ctx.aws.region}. No password or token was sent to it.",
            hint=f"Run '{ctx.state.command('up')}' to recreate it.",
        )
    if ctx.owns(live.get("tags") or {}):
        return
    tags = " and ".join(f"{name} = {value}" for name, value in ctx.tags.items())
    raise CogauthError(
        f"The API {api} in the state file {ctx.state.path} is not this stack's: it doesn't carry "
        f"the tags {tags}. No password or token was sent to it.",
        hint="If the file is not your own, 'cogauth recover' rewrites it.",
    )


@contextmanager
def existing(ctx: Context, api: str) -> Iterator[None]:
    """Read an API that another call has just found.

    Raises CogauthError if it was deleted in between; AWS's own errors pass.
    """
    try:
        yield
    except ClientError as error:
        if code_of(error) not in NOT_FOUND:
            raise
        if or_none(lambda: ctx.aws.apigateway.get_rest_api(restApiId=api)) is not None:
            raise  # Something in it was deleted.
        if api == (ctx.state.record("rest_api") or {}).get("id"):
            check_own(ctx)
        raise UsageError(f"The API {api} was deleted just now.") from error


def find_api(ctx: Context, wanted: str) -> Live:
    """Return the REST API with an id or a name, as GetRestApis describes it.

    Raises UsageError if there is none, or if several have the name.
    """
    apis = all_apis(ctx)
    found = [api for api in apis if api["id"] == wanted]
    found = found or [api for api in apis if api["name"] == wanted]
    if len(found) == 1:
        return found[0]  # type: ignore[no-any-return]
    if found:
        twins = shortened(f"{api['id']}{_made(api)}" for api in found)
        raise UsageError(
            f"--api {wanted!r}: {len(found)} REST APIs have that name.",
            hint=f"Give the id of one: {twins}.",
        )
    near = difflib.get_close_matches(wanted, [api["name"] for api in apis], 5, 0.5)
    shown = [api for api in apis if api["name"] in near] if near else apis
    lead = "Similar names" if near else "REST APIs there"
    there = shortened(f"{api['id']} ({api['name']})" for api in shown) or "none"
    raise UsageError(
        f"--api {wanted!r}: no REST API has that id or name in account {ctx.aws.account}, region "
        f"{ctx.aws.region}. {lead}: {there}. HTTP and WebSocket APIs can't be used here."
    )


def _made(api: Live) -> str:
    return f" (created {minute(api['createdDate'])})" if "createdDate" in api else ""


def choose_stage(
    api: Live, stages: Sequence[Live], wanted: str | None, attached: Iterable[str] = ()
) -> Live:
    """Return the wanted stage of an API, or the one attached stage, or the only stage.

    ``attached`` are the stages that the state file has as attached. Raises UsageError if there is
    no such stage, or no stage at all, or several and the user has named none.
    """
    by_name = {str(stage["stageName"]): stage for stage in stages}
    name = api.get("name", api["id"])
    if not by_name:
        raise UsageError(
            f"The API {name} has no stage, so nobody can call it.",
            hint=(
                "Deploy it to one first: aws apigateway create-deployment --rest-api-id "
                f"{api['id']} --stage-name NAME"
            ),
        )
    there = shortened(sorted(by_name))
    known = sorted(by_name.keys() & set(attached))
    if wanted is None and len(known) == 1:
        wanted = known[0]
    if wanted is None and len(by_name) > 1:
        raise UsageError(
            f"The API {name} has several stages: {there}.", hint="Give one with --stage."
        )
    if wanted is not None and wanted not in by_name:
        raise UsageError(f"--stage {wanted!r}: the API {name} has no such stage. It has: {there}.")
    return by_name[wanted or next(iter(by_name))]


def verb_and_path(name: str) -> tuple[str, str]:
    """Split a method's name, such as ``GET /orders``."""
    verb, _, path = name.partition(" ")
    return verb, path


def path_and_method(name: str) -> dict[str, str]:
    """Return the fields of ``--json`` for a method's name, such as ``GET /orders``."""
    verb, path = verb_and_path(name)
    return {"path": path, "method": verb}


@dataclass(frozen=True)
class LiveMethod:
    """A method's present state in the API, deployed or not."""

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
    """Return who may call a method, from PutMethod's, UpdateMethod's or GetResources's answer."""
    kind = live.get("authorizationType") or OPEN
    return {
        "authorizationType": kind,
        # An authorizer left over from another type has no effect.
        "authorizerId": None if kind in WITHOUT_AUTHORIZER else live.get("authorizerId") or None,
        "authorizationScopes": list(live.get("authorizationScopes") or []),
        "apiKeyRequired": bool(live.get("apiKeyRequired")),
    }


class Issuer(NamedTuple):
    """An issuer whose tokens a ``JWT`` authorizer accepts: ``iss``, and one of their ``aud``."""

    url: str
    audiences: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Guard:
    """Who may call a method.

    Attributes:
        type: ``NONE``, ``AWS_IAM``, ``CUSTOM``, ``COGNITO_USER_POOLS`` or ``JWT``; or a type
            newer than this code.
        api_key: whether an API key is required as well.
        scopes: an access token must carry one of these; if empty, an ID token is required (with
            ``JWT``, either token).
        authorizer: the authorizer's name; None if there is none or it doesn't exist.
        pools: the ARNs of the user pools whose tokens the authorizer accepts.
        header: the request header in which it expects the token.
        audience: a regular expression that a token's ``aud`` must match, or None.
        issuers: the issuers that a ``JWT`` authorizer trusts; None for other types, or if unknown:
            an older botocore doesn't return them.
    """

    type: str = OPEN
    api_key: bool = False
    scopes: tuple[str, ...] = ()
    authorizer: str | None = None
    pools: tuple[str, ...] = ()
    header: str = "Authorization"
    audience: str | None = None
    issuers: tuple[Issuer, ...] | None = None

    def by(self, authorizer: Live) -> Guard:
        """Return the guard with an authorizer's settings, as GetAuthorizers describes them."""
        return replace(
            self,
            authorizer=authorizer.get("name"),
            pools=tuple(authorizer.get("providerARNs") or ()),
            header=header_of(authorizer),
            audience=authorizer.get("identityValidationExpression") or None,
            issuers=issuers_of(authorizer),
        )

    @property
    def of_the_method(self) -> tuple[Any, ...]:
        """The method's own part, without the authorizer's."""
        return self.type, self.authorizer, sorted(self.scopes), self.api_key


@dataclass(frozen=True)
class Route:
    """A method of a REST API: its guard and its integration.

    Attributes:
        integration: the integration's type, such as ``AWS_PROXY``; empty if there is none.
        function: the ARN of the integration's Lambda function, or None.
        role: the role with which the integration calls the function, or None.
    """

    http_method: str
    path: str
    guard: Guard
    integration: str = ""
    function: str | None = None
    role: str | None = None

    @property
    def name(self) -> str:
        """As ``GET /pets``."""
        return f"{self.http_method} {self.path}"


# By path, then by HTTP method.
Routes = dict[str, dict[str, Route]]


def methods(ctx: Context, api: str) -> list[LiveMethod]:
    """Return an API's methods, sorted by path, with one call for every 500 resources."""
    found = [
        LiveMethod(one["id"], one["path"], verb, live)
        for one in resources(ctx, api)
        for verb, live in one.get("resourceMethods", {}).items()
    ]
    return sorted(found, key=lambda method: (method.path, method.http_method))


def routes(ctx: Context, api: str) -> Routes:
    """Return an API's methods as they are now, deployed or not."""
    return routes_of(methods(ctx, api), authorizers(ctx, api))


def routes_of(live_methods: Iterable[LiveMethod], present: Iterable[Live]) -> Routes:
    """Return methods by path, each with its guard; ``present`` are all the API's authorizers."""
    by_id = {one["id"]: one for one in present}
    found: Routes = {}
    for live in live_methods:
        guard, integration = guard_of(live, by_id), live.live.get("methodIntegration") or {}
        method = route_of(live.http_method, live.path, guard, integration)
        found.setdefault(live.path, {})[live.http_method] = method
    return found


def route_of(verb: str, path: str, guard: Guard, integration: Mapping[str, Any]) -> Route:
    """Return a method with its integration's settings."""
    kind, role = integration.get("type", ""), integration.get("credentials")
    function = _LAMBDA_URI.search(integration.get("uri") or "")
    return Route(verb, path, guard, kind, function[1] if function else None, role)


def guard_of(live: LiveMethod, by_id: Mapping[str, Live]) -> Guard:
    """Return who may call a method; ``by_id`` are the API's authorizers."""
    has = live.authorization
    scopes = tuple(has["authorizationScopes"])
    guard = Guard(has["authorizationType"], has["apiKeyRequired"], scopes)
    return guard.by(by_id.get(has["authorizerId"] or "", {}))


def header_of(authorizer: Live) -> str:
    """Return the request header in which an authorizer expects the token."""
    # API Gateway's default is the Authorization header.
    source = authorizer.get("identitySource") or f"{HEADER}Authorization"
    return str(source).removeprefix(HEADER)


def issuers_of(authorizer: Live) -> tuple[Issuer, ...] | None:
    """Return the issuers that a ``JWT`` authorizer trusts; None if it doesn't say.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_JwtConfiguration.html
    """
    configuration = authorizer.get("jwtConfiguration")
    if not configuration:
        return None
    found = [
        Issuer(str(one.get("issuer")), tuple(sorted(one.get("audiences") or ())))
        for one in configuration.get("issuers") or ()
    ]
    return tuple(sorted(found, key=str))
