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
    THROTTLED,
    TIMED_OUT,
    UNAUTHORIZED,
    Cause,
    Evidence,
)
from cogauth.checks.explain.token_causes import OF_A_SIGNATURE, bearer, token_cause
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.gateway import routing
from cogauth.gateway.rest_apis import CUSTOM, IAM, JWT, OF_A_TOKEN, Guard
from cogauth.printable import length, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_MANY = ("TooManyRequestsException", "LimitExceededException")
OTHERWISE_FORBIDDEN = "ForbiddenException"
UNKNOWN = (
    "API Gateway answers that with 403 'Missing Authentication Token', or with a complaint about "
    "the Authorization header's form: neither is about the token."
)
# A deployment reaches API Gateway's hosts within seconds; AWS gives no figure.
SETTLES_WITHIN_S = 60


def no_api(e: Evidence) -> Cause | None:
    """The account has no such REST API."""
    if e.api is not None:
        return None
    return Cause(
        "wrong_api",
        f"There is no REST API {e.address.api} in this account and region. It may be another "
        "account's, an HTTP API, or one that was deleted. Nothing was sent to it.",
        f"Check the URL's host: '{e.aws('apigateway get-rest-apis')}' lists the APIs; this stack's "
        f"own URLs are what '{e.command('up')}' prints.",
    )


def private_api(e: Evidence) -> Cause | None:
    """The API is reached only from its VPC."""
    if not e.unreached:
        return None
    return Cause(
        "private_api",
        f"The API {e.address.api} is private: it is reached only from a VPC, by an interface "
        "endpoint for execute-api, and can't be reached from here.",
        "Run this in that VPC; if the private DNS of its endpoint is off, with the URL's host as "
        f"{e.address.api}-VPCE_ID.execute-api.… (the endpoint's id for VPCE_ID).",
    )


def endpoint_off(e: Evidence) -> Cause | None:
    """The API answers at its custom domains only."""
    if not (e.api or {}).get("disableExecuteApiEndpoint") or not e.led_nowhere:
        return None
    return Cause(
        "endpoint_disabled",
        f"The API {e.address.api} has its execute-api endpoint turned off: it answers at its "
        "custom domain names alone, and 403 Forbidden here.",
        "Call it at its custom domain, or turn the default endpoint on in the console's API "
        "settings and deploy.",
    )


def wrong_stage(e: Evidence) -> Cause | None:
    """The URL's stage isn't one of the API's."""
    if e.stage is not None or not e.led_nowhere:
        return None
    names = [str(stage["stageName"]) for stage in e.stages]
    if not names:
        fix = "Deploy the API to a stage: console, the API, Deploy API."
        return Cause("wrong_stage", f"The API {e.address.api} has no stage at all.", fix)
    if not e.address.stage:
        return Cause(
            "wrong_stage",
            f"The URL names no stage; the API {e.address.api} has: {', '.join(names)}. API Gateway "
            "answers 403 to that, not 404.",
            f"Put the stage's name first in the URL's path: /{names[0]}/…",
        )
    # The commonest way to it: the stage was left out of the URL.
    whole = f"/{e.address.stage}{e.address.path}".rstrip("/") or "/"
    left_out = routing.route(e.live, e.verb, whole)[0]
    hint = f" The URL lacks it: {whole} is a path of the API." if left_out else ""
    return Cause(
        "wrong_stage",
        f"The API {e.address.api} has no stage {e.address.stage!r}; it has {', '.join(names)}."
        f"{hint} API Gateway answers 403 to that, not 404.",
        f"Put the stage's name first in the URL's path: /{names[0]}{whole if left_out else '/…'}",
    )


def wrong_path(e: Evidence) -> Cause | None:
    """Nothing that is deployed has the URL's path."""
    path = e.address.path
    if routing.route(e.routes, e.verb, path)[0] is not None or not e.led_nowhere:
        return None
    if e.live_method is not None:
        return not_deployed(e, f"The path {path} is in the API, but not deployed to the stage")
    near = ", ".join(routing.nearest(e.routes, path)) or "none at all"
    return Cause(
        "wrong_path",
        f"The stage {e.address.stage} has no path {path}. {UNKNOWN}",
        f"Correct the URL's path. The nearest that are deployed: {near}.",
    )


def wrong_method(e: Evidence) -> Cause | None:
    """The path is deployed, but not with this HTTP method."""
    if e.method is not None or not e.led_nowhere:
        return None
    template = routing.route(e.routes, e.verb, e.address.path)[0] or ""
    if e.live_method is not None:
        return not_deployed(e, f"{e.verb} {template} is in the API, but not deployed to the stage")
    there = ", ".join(sorted(e.routes[template])) or "none"
    preflight = ""
    if e.verb == "OPTIONS":
        preflight = (
            " A browser asks by OPTIONS before it calls from another origin; "
            f"'{e.command('up --cors-origin ORIGIN')}' lets this stack's own API answer."
        )
    return Cause(
        "wrong_method",
        f"The path {template} has no method {e.verb}; it has {there}. {UNKNOWN}",
        f"Call it by {there}, or add the method and deploy.{preflight}",
    )


def not_deployed(e: Evidence, sentence: str) -> Cause:
    """Return the cause that something in the API is not deployed to the stage."""
    made = e.served.made if e.served else None
    age = f" (deployed {moment_of(made.timestamp(), e.now)})" if made else ""
    return Cause(
        "not_deployed",
        f"{sentence} {e.address.stage}{age}.",
        f"{e.aws('apigateway create-deployment')} --rest-api-id {e.address.api} --stage-name "
        f"{e.address.stage} (it publishes all that is pending in the API)",
    )


def throttled(e: Evidence) -> Cause | None:
    """Too many calls."""
    if e.status != THROTTLED or not e.answer or not e.refused_by(*TOO_MANY):
        return None
    quota = "Limit Exceeded" in e.answer.message
    said = "the usage plan's quota is used up" if quota else "calls come faster than is allowed"
    return Cause(
        "throttled",
        f"The gateway answers 429: {said}. It is of the account, the stage, the method or a usage "
        "plan, and callers share it.",
        "Wait a moment and call again, or raise it: console, the stage, its throttling or the "
        f"usage plan; POST /signin's by '{e.command('up --throttle-rate')}'.",
    )


def api_key_missing(e: Evidence) -> Cause | None:
    """The method asks for an API key, which the gateway looks at after the authorizer."""
    if not (e.method and e.method.guard.api_key):
        return None
    if e.answer and e.status != FORBIDDEN:
        return None
    # AWS names the error by its type, an emulator by this message alone.
    by_message = e.endpoint and e.answer and e.answer.message == "Forbidden"
    if e.answer and not by_message and e.answer.error_type != OTHERWISE_FORBIDDEN:
        return None
    return Cause(
        "api_key",
        "The method asks for an API key as well; explain sends none, so if your client sends one "
        "in the header x-api-key, this is not the cause.",
        "Send a key that is enabled and in a usage plan of this stage, or turn 'API key required' "
        "off in the method's Method Request and deploy.",
    )


def denied_by_policy(e: Evidence) -> Cause | None:
    """The API's resource policy doesn't let the caller in."""
    if not e.answer or e.status != FORBIDDEN or "execute-api:Invoke" not in e.answer.message:
        return None
    if not e.by_gateway or (e.method and e.method.guard.type == IAM):
        return None
    return Cause(
        "resource_policy",
        "The API's resource policy doesn't let this caller in, whatever the token: "
        f"{e.answer.message}",
        "Console, the API, Resource policy: allow execute-api:Invoke, and deploy.",
    )


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
    # 502 and 504 are what becomes of a call that reached the function. Nor did one that went
    # through need it, on AWS; an emulator doesn't ask.
    if e.answer and not (e.emulated if e.answer.passed else e.status == BROKEN_FROM):
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
    if not e.answer or not e.function_name:
        return None
    # A function may answer 500 on purpose.
    if not (e.answer.failed or (e.answer.status >= BROKEN_FROM and e.by_gateway)):
        return None
    timed_out = " (API Gateway waits 29 s)" if e.answer.status == TIMED_OUT else ""
    return Cause(
        "function_failed",
        f"The guard let the call pass; the function {e.function_name} failed{timed_out}: it "
        "raised an error, ran out of time, or answered in a form that a proxy integration can't "
        "use.",
        f"Read its log: {e.log}",
    )


def user_gone(e: Evidence) -> Cause | None:
    """The token holds, but its user or its session doesn't stand any more."""
    # What the gateway itself refused has another cause.
    if not e.answered(UNAUTHORIZED, FORBIDDEN) or not e.refused_by(""):
        return None
    if e.user in {"deleted", "disabled"}:
        code, said = f"user_{e.user}", f"The token's user is {e.user}."
        how = (
            " (enable the user first)" if e.user == "disabled" else " (the same name signs up anew)"
        )
    elif e.revoked:
        code, how = "revoked", ""
        said = "The token was revoked (a sign-out, or its refresh token's revocation)."
    else:
        return None
    return Cause(
        code,
        f"{said} The gateway doesn't know: it looks at signature and times alone, and lets the "
        "token pass until it expires. So what refused the call stands behind it.",
        f"Sign in again: '{e.command('test-login --username NAME')}'{how}.",
        certain=False,
    )


def integration_answered(e: Evidence) -> Cause | None:
    """What stands behind the guard answered so, and the gateway handed it on."""
    if e.by_gateway or not e.answer or e.answer.passed:
        return None
    name = e.function_name
    behind = f"the function {name}" if name else "what stands behind the method"
    return Cause(
        "integration_answered",
        f"The guard let the call pass; {behind} answered {e.status} itself.",
        f"Its log or its code tells why: {e.log if name else 'look at it, and at its log'}",
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
