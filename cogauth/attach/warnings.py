"""Warnings before methods are attached: what won't work afterwards, as far as the API shows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth import cors
from cogauth.aws.answers import code_of
from cogauth.aws.policies import OTHER_API
from cogauth.gateway import rest_apis
from cogauth.printable import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cogauth.attach.model import Api
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod

ALLOW_HEADERS = "Access-Control-Allow-Headers"
TOKEN_HEADER = "authorization"  # noqa: S105 a header's name
# The authorizer's 401, and the response whose headers it inherits until someone sets its own.
UNAUTHORIZED, DEFAULT = "UNAUTHORIZED", "DEFAULT_4XX"
# A static header value is quoted; anything else is a mapping.
FIXED = re.compile(r"'([^']*)'")


def beforehand(ctx: Context, api: Api, methods: Sequence[LiveMethod]) -> Iterator[str]:
    """Yield warnings about the methods to attach, as whole sentences."""
    if "PRIVATE" in (api.live.get("endpointConfiguration") or {}).get("types", []):
        yield (
            f"The API {api.name} is private: only an interface endpoint in a VPC reaches it. "
            "'cogauth verify', 'call' and 'explain' can't call it from elsewhere."
        )
    keyed = [each.name for each in methods if each.authorization["apiKeyRequired"]]
    if keyed and api.live.get("apiKeySource") == "AUTHORIZER":
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-key-source.html
        yield (
            f"{shortened(keyed)} requires an API key, which this API takes from its authorizer "
            "(apiKeySource AUTHORIZER). Only a Lambda authorizer returns one, so every call will "
            "be refused: set apiKeySource to HEADER, or turn off 'API key required'."
        )
    # Before a page of another origin sends a token, its browser sends OPTIONS.
    paths = {each.path for each in methods}
    asked = {each.path for each in api.methods if each.http_method in {"OPTIONS", "ANY"}}
    if unasked := [each.name for each in methods if each.path not in asked and _is_cors(each)]:
        yield (
            f"{shortened(unasked)} allows pages of other origins, but its path has no OPTIONS "
            "method: browsers send OPTIONS before a token, and get 403. Add it, and deploy."
        )
    preflights = [
        each for each in api.methods if each.http_method == "OPTIONS" and each.path in paths
    ]
    without = [each.path for each in preflights if not _may_allow_the_token(each)]
    if without:
        yield (
            f"The preflight of {shortened(without)} doesn't allow the header Authorization, so "
            f"browsers won't send the token from another origin: add it to {ALLOW_HEADERS} "
            "of OPTIONS ('*' doesn't cover it), and deploy."
        )
    if preflights:
        yield from _unreadable(ctx, api)


def _answers(method: LiveMethod) -> list[Any]:
    integration = method.live.get("methodIntegration") or {}
    return list((integration.get("integrationResponses") or {}).values())


def _header(answer: Mapping[str, Any], wanted: str) -> str | None:
    """Return the value that a response gives a header, whose name may be in any case."""
    parameters = (answer.get("responseParameters") or {}).items()
    found = [v for name, v in parameters if name.rpartition(".")[2].lower() == wanted.lower()]
    return found[0] if found else None


def _is_cors(method: LiveMethod) -> bool:
    return any(_header(answer, cors.ALLOW_ORIGIN) for answer in _answers(method))


def _may_allow_the_token(preflight: LiveMethod) -> bool:
    """Return whether a preflight allows the header Authorization, or might, as a function can.

    Source: https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name
    """
    if (preflight.live.get("methodIntegration") or {}).get("type") != "MOCK":
        return True
    for answer in _answers(preflight):
        value = _header(answer, ALLOW_HEADERS)
        if value is None:
            # A template may set it.
            templates = (answer.get("responseTemplates") or {}).values()
            allows = any(ALLOW_HEADERS in (text or "") for text in templates)
        else:
            fixed = FIXED.fullmatch(value)
            names = fixed[1].split(",") if fixed else [TOKEN_HEADER]
            allows = TOKEN_HEADER in {name.strip().lower() for name in names}
        if allows:
            return True
    return False


# What ``_unreadable`` needs.
PERMISSIONS = (rest_apis.reading(OTHER_API, "gatewayresponses"),)


def _unreadable(ctx: Context, api: Api) -> Iterator[str]:
    try:
        found: Any = ctx.aws.apigateway.get_gateway_responses(restApiId=api.id, limit=500)
    except ClientError as error:
        yield f"Unknown: whether pages can read a 401 (GetGatewayResponses: {code_of(error)})."
        return
    by_type = {one["responseType"]: one for one in found.get("items", [])}
    answer = by_type.get(UNAUTHORIZED) or {}
    if not answer or answer.get("defaultResponse"):
        answer = by_type.get(DEFAULT) or answer
    if not _header(answer, cors.ALLOW_ORIGIN):
        yield (
            f"The gateway's 401 carries no {cors.ALLOW_ORIGIN}, so pages of another origin see a "
            "network error instead: set that header in the API's gateway responses "
            f"{UNAUTHORIZED} and {DEFAULT}, and deploy."
        )
