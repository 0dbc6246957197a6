"""What was found, by its name: for people and for programs; no secret is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.gateway.rest_apis import COGNITO, WITHOUT_AUTHORIZER
from cogauth.printable import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cogauth.checks.explain.evidence import Evidence


def facts(e: Evidence) -> dict[str, str]:
    """Return what was found, by its name; no secret is in it."""
    return {
        name: value
        for name, value in (*_facts_of_api(e), *_facts_of_token(e), *_facts_of_function(e))
        if value
    }


def _facts_of_api(e: Evidence) -> Iterable[tuple[str, str]]:
    yield "api", f"{e.address.api} {(e.api or {}).get('name', '(not in this account)')}"
    if e.stage is None or e.served is None:
        return
    yield "stage", e.address.stage
    made = f", made {moment_of(e.served.made.timestamp(), e.now)}" if e.served.made else ""
    yield "deployment", f"{e.served.deployment}{made}"
    if e.served.unseen:
        yield "as_it_is_now", f"{e.served.unseen}: as deployed, this endpoint doesn't show it"
    canary = e.stage.get("canarySettings", {})
    if canary:
        share = canary.get("percentTraffic", 0)
        yield "canary", f"{canary.get('deploymentId')}, {share} % of the calls: not looked at"
    if e.method is None:
        return
    guard = e.method.guard
    yield "method", f"{e.method.http_method} {e.method.path}"
    yield "authorization", guard.type
    if guard.type not in WITHOUT_AUTHORIZER:
        yield "authorizer", guard.authorizer or "(gone)"
        yield "identity_source", f"header {guard.header}"
        yield "user_pools", ", ".join(pool.rpartition("/")[2] for pool in guard.pools)
        yield "issuers", ", ".join(map(str, guard.issuers or ()))
        none = "none: ID tokens are taken" if guard.type == COGNITO else "none"
        yield "scopes", ", ".join(guard.scopes) or none
        yield "token_validation", guard.audience or ""
    yield "api_key", "required" if guard.api_key else ""


def _facts_of_token(e: Evidence) -> Iterable[tuple[str, str]]:
    token = e.token
    if token is None:
        yield "token", "none was sent"
        return
    yield "token", str(token)
    if token.flaw:
        yield "token_flaw", token.flaw
        return
    for name in ("alg", "kid"):
        yield f"token_{name}", str(token.header.get(name, ""))
    own = token.original_issuer == e.issuer
    whose = "the stack's pool" if own else "the pool that it names"
    yield (
        "signature",
        _either(
            e.signed,
            f"made by {whose}",
            f"not made by {whose}",
            "not checked" + ("" if own else ", for it is of another pool"),
        ),
    )
    for name in ("iss", "token_use", "aud", "client_id", "scope", "cognito:username", "username"):
        yield name, str(token.claims.get(name, ""))
    for name in ("iat", "exp"):
        moment = token.time(name)
        if moment is not None:
            yield name, moment_of(moment, e.now)
    session = _either(e.revoked, ", the token revoked", ", the token not revoked", "")
    yield "user", f"{e.user}{session}" if e.user else ""


def _facts_of_function(e: Evidence) -> Iterable[tuple[str, str]]:
    if e.method is None:
        return
    yield "integration", e.method.integration
    yield "function", e.method.function or ""
    if e.method.function and e.method.role:
        yield "permission", f"by the role {e.method.role}"
    elif e.method.function:
        may = _either(
            e.permitted, "API Gateway may call it", "API Gateway may not call it", "not known"
        )
        yield "permission", may


def _either(known: bool | None, true: str, false: str, none: str) -> str:  # noqa: FBT001
    return none if known is None else true if known else false
