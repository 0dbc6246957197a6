"""Find out why a call is refused, from what is deployed, the token, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cogauth.checks.explain.address import parse_url
from cogauth.checks.explain.causes import CHECKS, differences
from cogauth.checks.explain.evidence import Cause
from cogauth.checks.explain.gather import gather
from cogauth.checks.explain.token_causes import audience_matches
from cogauth.gateway.rest_apis import COGNITO, JWT, WITHOUT_AUTHORIZER, Guard, existing
from cogauth.printable import length, utc_time
from cogauth.steps.lookup import incomplete_error
from cogauth.steps.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cogauth.checks.explain.evidence import Answer, Evidence
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import Route

# API Gateway's error for a path or method that isn't deployed.
NO_PATH = "MissingAuthenticationTokenException"
# A smaller difference between two clocks, in seconds, isn't reported.
CLOCKS_AGREE_S = 60
# Causes in the stack's own API, and the resources any of which is their cause if it is gone.
OF_MISSING = {
    "wrong_api": frozenset({"rest_api"}),
    "wrong_stage": frozenset({"stage"}),
    "authorizer_broken": frozenset({"authorizer", "user_pool"}),
    "function_missing": frozenset({"sign_in_function"}),
    "lambda_permission": frozenset({"sign_in_permission"}),
}
# How a note about what couldn't be read begins.
UNKNOWN = "Unknown: "


@dataclass(frozen=True)
class Diagnosis:
    """Why a call is refused, and what was found.

    The cause's code is ``none`` if the call went through, ``unexplained`` if no known cause fits,
    ``not_sent`` if no cause was found and the call was not made. Numbers in ``facts`` are times,
    and so is ``now``, the server's time: in seconds since the epoch.
    """

    cause: Cause
    answer: Answer | None
    facts: dict[str, str | float]
    now: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields that ``explain --json`` prints."""
        return {
            "status": self.answer.status if self.answer else None,
            "response_message": self.answer.message if self.answer else None,
            "cause": self.cause.code,
            "message": self.cause.sentence,
            "fix": self.cause.fix,
            "notes": list(self.notes),
            "facts": {
                name: fact if isinstance(fact, str) else utc_time(fact)
                for name, fact in self.facts.items()
            },
        }

    @property
    def is_clear(self) -> bool:
        """Whether the call went through, and nothing was left unknown."""
        return self.cause.code == "none" and not any(
            each.startswith(UNKNOWN) for each in self.notes
        )


def explain(
    ctx: Context, url: str, verb: str, text: str | None, header: str = "Authorization"
) -> Diagnosis:
    """Find out why a call is refused. It makes the call only for GET, HEAD or OPTIONS.

    Args:
        ctx: a complete stack.
        url: a URL of a REST API's stage, in the stack's account and region.
        verb: the HTTP method.
        text: the token as the client sends it; None for no token.
        header: the header that carries it.

    Raises:
        UsageError: the URL doesn't belong to an API of this stack's region or endpoint, or the API
            was deleted meanwhile.
        ClientError, BotoCoreError: the API can't be read.
        LoginError: the API gives no answer.
    """
    address = parse_url(ctx.state, url)
    with existing(ctx, address.api):
        found = diagnose(gather(ctx, address, verb, text, header))
    if found.is_clear or address.api != ctx.fact("rest_api"):
        return found
    lost = missing(ctx)
    if not lost:
        return found
    said, code = str(incomplete_error(ctx, *lost)), found.cause.code
    if OF_MISSING.get(code, frozenset()) & {each.key for each in lost}:
        return replace(found, cause=replace(found.cause, fix=said))
    return replace(found, notes=(said, *found.notes))


def diagnose(e: Evidence) -> Diagnosis:
    """Name the cause from the evidence alone, without further calls."""
    found, doubts = _first_cause(e)
    notes = [*(f"{doubt.sentence} {doubt.fix}" for doubt in doubts), *_notes(e)]
    if e.answer is not None and e.answer.passed:
        if found and found.certain and e.emulated:
            notes.insert(0, f"This endpoint allowed the call ({e.status}), but AWS wouldn't.")
        else:
            if found:
                notes.insert(0, f"{found.sentence} {found.fix}")
            found = _went_through(e)
    return Diagnosis(found or _no_cause(e), e.answer, _facts(e), e.now, tuple(notes))


def _first_cause(e: Evidence) -> tuple[Cause | None, list[Cause]]:
    """Return the first cause that a check finds, and the doubtful ones before it.

    If the call wasn't made, a cause counts only if AWS is certain to refuse the call.
    """
    doubts: list[Cause] = []
    for check in CHECKS:
        for cause in check(e):
            if cause.certain or e.answer:
                return cause, doubts
            doubts.append(cause)
    return None, doubts


def _went_through(e: Evidence) -> Cause:
    """Return the cause for a call that succeeded, which needs no token if the method is open."""
    method, live = e.method, e.live_method
    # A preflight carries no token, so OPTIONS must be open.
    if method is None or method.guard != Guard() or e.verb == "OPTIONS":
        return Cause("none", f"Nothing is wrong: the call was answered {e.status}.", "")
    stage = e.address.stage
    said = (
        f"The call was answered {e.status}, and needs no token: {method.name} is open to anyone on "
        f"the stage {stage}."
    )
    if live is None or live.guard == Guard():
        return Cause("none", said, f"If it should ask for one: '{e.attaches} --path PATH'.")
    said += " The API itself has a guard for it, which isn't deployed to that stage."
    return Cause("none", said, f"'{e.attaches}' lists what is guarded where.")


def _no_cause(e: Evidence) -> Cause:
    if e.answer is None:
        return Cause(
            "not_sent",
            f"No reason to refuse was found. The call was not made: {e.verb} could change data.",
            "Make the call yourself, and look at the status.",
        )
    if e.answer.error_type == NO_PATH:
        return Cause(
            "unexplained",
            f"The gateway says that it has no {e.verb} {e.address.path}, although it is deployed: "
            "the deployment may not have reached all gateway hosts yet, or a canary lacks the "
            "method. The token is not the cause.",
            "Call again after a minute; if nothing changes, deploy again.",
        )
    log = "Read the stage's execution log (console, the stage, Logs and tracing)."
    if e.method and e.method.guard.type == JWT and e.answer.status == HTTPStatus.UNAUTHORIZED:
        by = "another requirement of its authorizer, such as an algorithm or a claim,"
    elif e.answer.error_type or not e.method or e.method.guard.type in {COGNITO, JWT}:
        by = "a web application firewall (AWS WAF), mutual TLS or a resource policy"
    else:
        by, log = "the method's backend", "Read the log of the backend."
    return Cause(
        "unexplained",
        f"The call was answered {e.status}, and nothing that cogauth can see explains it; "
        f"{by} may have refused it.",
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
            about = "" if validation else "; the authorizer doesn't check that"
            yield f"The token is for another app client ({client}) than the stack's own{about}."
    refused = e.answer is None or not e.answer.passed
    if e.token and validation and refused and audience_matches(validation, "") is None:
        yield (
            f"Not checked: whether the authorizer's token validation {validation!r} matches the "
            f"token's app client (aud), {e.token.claims.get('aud')}. It is a regular expression, "
            "and explain only compares lists of app clients."
        )
    now = e.live_method
    if e.method and now and (changes := differences(e.method.guard, now.guard)):
        yield f"The method's guard has changed since it was deployed: {'; '.join(changes)}."
    if e.issuer_type == "UPDATED" and not (e.token and e.token.updated):
        yield (
            "The stack's user pool has the IssuerConfiguration UPDATED: Cognito authorizers refuse "
            "the tokens that it issues now."
        )
    for unknown in e.unknown:
        yield f"{UNKNOWN}{unknown}."


def _facts(e: Evidence) -> dict[str, str | float]:
    """Return the facts by name, without secrets; numbers are times."""
    found = [*_facts_of_api(e), *_facts_of_token(e)]
    if e.method:
        found += _facts_of_function(e.method, permitted=e.permitted)
    return {name: value for name, value in found if value != ""}


def _facts_of_api(e: Evidence) -> Iterable[tuple[str, str | float]]:
    yield "api", f"{e.address.api} {(e.api or {}).get('name', '(not in this account)')}"
    if e.stage is None or e.served is None:
        return
    yield "stage", e.address.stage
    yield "deployment", f"{e.served.deployment}"
    if e.served.made:
        yield "deployment_created", e.served.made.timestamp()
    if e.served.unseen:
        yield "as_it_is_now", f"{e.served.unseen}: this endpoint doesn't show the deployed state"
    canary = e.stage.get("canarySettings", {})
    if canary:
        share = canary.get("percentTraffic", 0)
        yield "canary", f"{canary.get('deploymentId')}, {share} % of the calls: not examined"
    if e.method is None:
        return
    guard = e.method.guard
    yield "method", e.method.name
    yield "authorization", guard.type
    if guard.type not in WITHOUT_AUTHORIZER:
        yield "authorizer", guard.authorizer or "(gone)"
        yield "identity_source", f"header {guard.header}"
        yield "user_pools", ", ".join(pool.rpartition("/")[2] for pool in guard.pools)
        yield "issuers", ", ".join(map(str, guard.issuers or ()))
        none = "none: the method accepts ID tokens" if guard.type == COGNITO else "none"
        yield "scopes", ", ".join(guard.scopes) or none
        yield "token_validation", guard.audience or ""
    yield "api_key", "required" if guard.api_key else ""


def _facts_of_token(e: Evidence) -> Iterable[tuple[str, str | float]]:
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
    unchecked = "not checked" if own else "not checked: the token is of another pool"
    made = {True: f"made by {whose}", False: f"not made by {whose}", None: unchecked}
    yield "signature", made[e.signed]
    for name in ("iss", "token_use", "aud", "client_id", "scope", "cognito:username", "username"):
        yield name, str(token.claims.get(name, ""))
    for name in ("iat", "exp"):
        moment = token.time(name)
        if moment is not None:
            yield name, moment
    session = {True: ", the token revoked", False: ", the token not revoked", None: ""}
    yield "user", f"{e.user}{session[e.revoked]}" if e.user else ""


def _facts_of_function(method: Route, *, permitted: bool | None) -> Iterable[tuple[str, str]]:
    yield "integration", method.integration
    yield "function", method.function or ""
    may, may_not = "API Gateway may call it", "API Gateway may not call it"
    permission = {True: may, False: may_not, None: "unknown"}[permitted]
    if method.function:
        yield "permission", f"by the role {method.role}" if method.role else permission
