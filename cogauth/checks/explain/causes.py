"""The causes of a refusal, each by its check, about in the order in which API Gateway decides.

Where does the URL lead, who may call that, does the token hold, what does the function say: the
first check of ``CHECKS`` that knows the cause names it.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cogauth.checks.explain.evidence import (
    BROKEN_FROM,
    FORBIDDEN,
    TIMED_OUT,
    UNAUTHORIZED,
    Cause,
    Evidence,
)
from cogauth.checks.explain.gateway_causes import (
    OTHERWISE_FORBIDDEN,
    api_key_missing,
    denied_by_policy,
    endpoint_off,
    no_api,
    not_deployed,
    private_api,
    throttled,
    wrong_method,
    wrong_path,
    wrong_stage,
)
from cogauth.checks.explain.token_causes import OF_A_SIGNATURE, bearer, token_cause
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.gateway.rest_apis import CUSTOM, IAM, JWT, OF_A_TOKEN, Guard
from cogauth.printable import length

if TYPE_CHECKING:
    from collections.abc import Callable

# A deployment reaches API Gateway's hosts within seconds; AWS gives no figure.
SETTLES_WITHIN_S = 60


def refused_token(e: Evidence) -> Cause | None:
    """The deployed guard refuses the token; one that is not deployed yet wouldn't."""
    if not e.method or not e.answered(UNAUTHORIZED, FORBIDDEN):
        return None
    # A JWT authorizer's 403 is documented, and its type isn't.
    errors = {IAM: OF_A_SIGNATURE, JWT: (*OF_A_TOKEN, OTHERWISE_FORBIDDEN)}.get(
        e.method.guard.type, OF_A_TOKEN
    )
    if not e.refused_by(*errors):
        return None
    cause = token_cause(e, e.method.guard)
    if cause is None or e.live_method is None:
        return cause
    changes = differences(e.method.guard, e.live_method.guard)
    if not changes or token_cause(e, e.live_method.guard) is not None:
        return cause
    return not_deployed(
        e,
        f"The method's guard was changed, and would let this call pass, but that is not deployed "
        f"({'; '.join(changes)}; what is deployed says: {cause.code}) to the stage",
    )


def authorizer_broken(e: Evidence) -> Cause | None:
    """The gateway can't use the authorizer."""
    if not e.answer or e.answer.error_type != "AuthorizerConfigurationException":
        return None
    guard = e.method.guard if e.method else Guard()
    if guard.type == CUSTOM:
        return Cause(
            "authorizer_broken",
            f"The Lambda authorizer {guard.authorizer or '(it is gone)'} failed: its function "
            "raised an error, ran out of time or answered in a wrong form, or API Gateway may not "
            "call it.",
            "Look at the log of the authorizer's function, and at its permission.",
        )
    lost = "its issuer's keys can't be had" if guard.type == JWT else "its user pool"
    return Cause(
        "authorizer_broken",
        f"API Gateway can't use the method's authorizer {guard.authorizer or '(it is gone)'}: "
        f"{lost} or the authorizer itself doesn't exist any more.",
        f"Put a working one before the method: '{e.command('up')}' mends this stack's own API, "
        f"'{e.command(f'attach --api {e.address.api}')}' another.",
    )


# What is behind the guard


def function_missing(e: Evidence) -> Cause | None:
    """The function isn't there."""
    if not (e.function_gone and e.broke):
        return None
    name = e.method.function if e.method else ""
    return Cause(
        "function_missing",
        f"The method calls the Lambda function {name}, which doesn't exist.",
        f"Make it again ('{e.command('up')}' does for this stack's own), or point the method's "
        "integration elsewhere and deploy.",
    )


def not_permitted(e: Evidence) -> Cause | None:
    """API Gateway may not call the function."""
    if e.permitted is not False or not e.broke or not e.method:
        return None
    # 502 and 504 are what becomes of a call that reached the function.
    if e.answer and not e.answer.passed and e.status != BROKEN_FROM:
        return None
    # Nor did one that went through need it, on AWS; an emulator doesn't ask.
    if e.answer and e.answer.passed and not e.emulated:
        return None
    name = e.function.rpartition(":function:")[2]
    return Cause(
        "lambda_permission",
        f"API Gateway has no permission to call the function {name} for this "
        "method: it answers 500 'Internal server error'.",
        f"'{e.command('up')}' restores this stack's own. Else: {e.aws('lambda add-permission')} "
        f"--function-name {shlex.quote(e.function)} --statement-id apigateway "
        f"--action lambda:InvokeFunction --principal {SERVICE_PRINCIPALS['apigateway']} "
        f"--source-arn {shlex.quote(e.source_arn)}",
    )


def just_deployed(e: Evidence) -> Cause | None:
    """A new deployment has not reached all of the gateway's hosts yet."""
    made = e.served.made if e.served else None
    age = e.now - made.timestamp() if made else SETTLES_WITHIN_S
    if age >= SETTLES_WITHIN_S or e.endpoint or not e.by_gateway:
        return None
    if e.status not in {FORBIDDEN, BROKEN_FROM}:
        return None
    return Cause(
        "just_deployed",
        f"The stage was deployed {length(age)} ago; for some seconds the gateway answers 403 or "
        "500 by itself.",
        "Wait a moment, and run this again.",
    )


def function_failed(e: Evidence) -> Cause | None:
    """The function crashed, ran out of time, or gave an answer that the gateway can't use."""
    if not e.answer or not e.method or not e.method.function:
        return None
    # A function may answer 500 on purpose.
    if not (e.answer.failed or (e.answer.status >= BROKEN_FROM and e.by_gateway)):
        return None
    name = e.method.function.rpartition(":function:")[2].partition(":")[0]
    timed_out = " (API Gateway waits 29 s)" if e.answer.status == TIMED_OUT else ""
    return Cause(
        "function_failed",
        f"The guard let the call pass; the function {name} failed{timed_out}: it raised an "
        "error, ran out of time, or answered in a form that a proxy integration can't use.",
        f"Read its log: {e.aws(f'logs tail /aws/lambda/{name} --since 10m')}",
    )


def user_gone(e: Evidence) -> Cause | None:
    """The token holds, but its user or its session doesn't stand any more."""
    caveat = (
        "The gateway doesn't know: it looks at signature and times alone, and lets the token pass "
        "until it expires. So what refused the call stands behind it."
    )
    said = (
        f"The token's user is {e.user}."
        if e.user in {"deleted", "disabled"}
        else "The token was revoked (a sign-out, or its refresh token's revocation)."
    )
    if e.user not in {"deleted", "disabled"} and not e.revoked:
        return None
    # What the gateway itself refused has another cause.
    if not e.answered(UNAUTHORIZED, FORBIDDEN) or not e.refused_by(""):
        return None
    how = "enable the user first" if e.user == "disabled" else "the same name signs up anew"
    return Cause(
        f"user_{e.user}" if e.user != "present" else "revoked",
        f"{said} {caveat}",
        f"Sign in again: '{e.command('test-login --username NAME')}'"
        + (f" ({how})." if e.user != "present" else "."),
        certain=False,
    )


def integration_answered(e: Evidence) -> Cause | None:
    """What stands behind the guard answered so, and the gateway handed it on."""
    if e.by_gateway or not e.answer or e.answer.passed:
        return None
    function = e.method.function if e.method else None
    name = (function or "").rpartition(":function:")[2].partition(":")[0]
    behind = f"the function {name}" if name else "what stands behind the method"
    look = (
        f"{e.aws(f'logs tail /aws/lambda/{name}')} --since 10m"
        if name
        else "look at it, and at its log"
    )
    return Cause(
        "integration_answered",
        f"The guard let the call pass; {behind} answered {e.status} itself.",
        f"Its log or its code tells why: {look}",
    )


CHECKS: tuple[Callable[[Evidence], Cause | None], ...] = (
    no_api,
    private_api,
    endpoint_off,
    wrong_stage,
    wrong_path,
    wrong_method,
    throttled,
    denied_by_policy,
    authorizer_broken,
    refused_token,
    function_missing,
    not_permitted,
    just_deployed,
    function_failed,
    api_key_missing,
    user_gone,
    integration_answered,
    bearer,
)


def differences(before: Guard, after: Guard) -> list[str]:
    """Return in words what of a guard differs, deployed and now."""
    return [
        f"{name.replace('_', ' ')}: deployed {_words(old)}, now {_words(new)}"
        for name, old in vars(before).items()
        if (new := getattr(after, name)) != old and not (name == "issuers" and None in {old, new})
    ]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no", None: "none"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]
