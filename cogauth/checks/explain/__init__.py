"""Why a call is refused: what is deployed, what the token says, and the one cause of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogauth.checks.explain.address import parse_url
from cogauth.checks.explain.causes import CHECKS, differences
from cogauth.checks.explain.evidence import UNAUTHORIZED, Cause
from cogauth.checks.explain.gather import gather
from cogauth.checks.explain.token_causes import audience_matches
from cogauth.gateway.rest_apis import COGNITO, JWT, WITHOUT_AUTHORIZER
from cogauth.printable import length, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cogauth.checks.explain.evidence import Answer, Evidence
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import Method

# API Gateway's error where nothing is deployed.
NO_PATH = "MissingAuthenticationTokenException"
# Seconds by which two clocks may differ without a word.
CLOCKS_AGREE_S = 60


@dataclass(frozen=True)
class Diagnosis:
    """Why a call is refused, and what was found.

    The cause's code is ``none`` if it went through, ``unexplained`` if nothing known explains it,
    ``not_sent`` if nothing is wrong and the call was not made.
    """

    cause: Cause
    answer: Answer | None
    facts: dict[str, str]
    notes: tuple[str, ...] = ()


def explain(
    ctx: Context, url: str, verb: str, text: str | None, header: str = "Authorization"
) -> Diagnosis:
    """Find out why a call is refused; only a call by GET, HEAD or OPTIONS is made itself.

    Args:
        ctx: a stack that stands.
        url: of a REST API's stage, in the stack's account and region.
        verb: the HTTP method.
        text: the token as the client sends it; None for none.
        header: in which it sends it.

    Raises:
        UsageError: the URL is none of an API Gateway of this stack's region or endpoint.
        ClientError, BotoCoreError: the API can't be looked at.
        LoginError: the API gives no answer.
    """
    return diagnose(gather(ctx, parse_url(ctx.state, url), verb, text, header))


def diagnose(e: Evidence) -> Diagnosis:
    """Name the one cause; nothing is asked of AWS any more."""
    found, doubts = _first_cause(e)
    notes = [*(f"{doubt.sentence} {doubt.fix}" for doubt in doubts), *_notes(e)]
    if e.answer is not None and e.answer.passed:
        if found and found.certain and e.emulated:
            notes.insert(0, f"This endpoint let it pass ({e.status}): it is kinder than AWS.")
        else:
            if found:
                notes.insert(0, f"{found.sentence} {found.fix}")
            found = Cause("none", f"Nothing is wrong: the call was answered {e.status}.", "")
    return Diagnosis(found or _no_cause(e), e.answer, _facts(e), tuple(notes))


def _first_cause(e: Evidence) -> tuple[Cause | None, list[Cause]]:
    """Return the first cause that a check knows; and those that are worth a word only.

    A call that wasn't made wasn't refused: what AWS isn't known to refuse is no cause of that.
    """
    doubts: list[Cause] = []
    for check in CHECKS:
        for cause in check(e):
            if cause.certain or e.answer:
                return cause, doubts
            doubts.append(cause)
    return None, doubts


def _no_cause(e: Evidence) -> Cause:
    if e.answer is None:
        return Cause(
            "not_sent",
            f"Nothing known refuses the call. It was not made: {e.verb} could change something.",
            "Make it yourself, and look at the status.",
        )
    if e.answer.error_type == NO_PATH:
        return Cause(
            "unexplained",
            f"The gateway says that it has no {e.verb} {e.address.path}, but that is deployed: the "
            "deployment may not have reached all of the gateway yet, or a canary lacks the method. "
            "It is not about the token.",
            "Call again after a minute; if it stays so, deploy once more.",
        )
    log = "The stage's execution log (console, the stage, Logs and tracing) tells."
    if e.method and e.method.guard.type == JWT and e.answer.status == UNAUTHORIZED:
        by = "what else its authorizer asks for, as an algorithm or a claim, may"
    elif e.answer.error_type or not e.method or e.method.guard.type in {COGNITO, JWT}:
        by = "a web application firewall (AWS WAF), mutual TLS or a resource policy may"
    else:
        by, log = "what stands behind the method may", "Look at the log of what answers the method."
    return Cause(
        "unexplained",
        f"The call was answered {e.status}, and nothing that can be looked at explains it; "
        f"{by} have refused it.",
        log,
    )


def _notes(e: Evidence) -> Iterable[str]:
    skew = abs(e.now - e.here)
    if skew > CLOCKS_AGREE_S:
        yield f"This machine's clock differs from the server's by {length(skew)}."
    validation = e.method.guard.audience if e.method and e.method.guard.type == COGNITO else None
    if e.token and e.token.original_issuer == e.issuer:
        client = e.token.claims.get("aud") or e.token.claims.get("client_id")
        if client != e.client:
            about = "" if validation else "; the authorizer doesn't mind"
            yield (
                f"The token was made for another app client ({client}) than the stack's own{about}."
            )
    refused = e.answer is None or not e.answer.passed
    if e.token and validation and refused and audience_matches(validation, "") is None:
        yield (
            f"Not checked: whether the authorizer's token validation {validation!r} takes the "
            f"token's app client (aud), {e.token.claims.get('aud')}. It is a regular expression, "
            "and only a list of app clients is compared here."
        )
    now = e.live_method
    if e.method and now and (changes := differences(e.method.guard, now.guard)):
        yield f"The method's guard was changed since it was deployed: {'; '.join(changes)}."
    if e.issuer_type == "UPDATED" and not (e.token and e.token.updated):
        yield (
            "The stack's user pool has the IssuerConfiguration UPDATED: the tokens that it makes "
            "now are refused by Cognito authorizers."
        )
    for unknown in e.unknown:
        yield f"Not known: {unknown}."


def _facts(e: Evidence) -> dict[str, str]:
    """Return what was found, by its name; no secret is in it."""
    found = [*_facts_of_api(e), *_facts_of_token(e)]
    if e.method:
        found += _facts_of_function(e.method, permitted=e.permitted)
    return {name: value for name, value in found if value}


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
    unchecked = "not checked" if own else "not checked, for it is of another pool"
    made = {True: f"made by {whose}", False: f"not made by {whose}", None: unchecked}
    yield "signature", made[e.signed]
    for name in ("iss", "token_use", "aud", "client_id", "scope", "cognito:username", "username"):
        yield name, str(token.claims.get(name, ""))
    for name in ("iat", "exp"):
        moment = token.time(name)
        if moment is not None:
            yield name, moment_of(moment, e.now)
    session = {True: ", the token revoked", False: ", the token not revoked", None: ""}
    yield "user", f"{e.user}{session[e.revoked]}" if e.user else ""


def _facts_of_function(method: Method, *, permitted: bool | None) -> Iterable[tuple[str, str]]:
    yield "integration", method.integration
    yield "function", method.function or ""
    may, may_not = "API Gateway may call it", "API Gateway may not call it"
    permission = {True: may, False: may_not, None: "not known"}[permitted]
    if method.function:
        yield "permission", f"by the role {method.role}" if method.role else permission
