"""Checks for the causes of a refusal, roughly in the order of API Gateway's own checks."""

from __future__ import annotations

import shlex
from http import HTTPStatus
from typing import TYPE_CHECKING

from cogauth.checks.explain.evidence import Cause, Evidence
from cogauth.checks.explain.token_causes import OF_A_SIGNATURE, bearer, token_cause
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.gateway import routing
from cogauth.gateway.rest_apis import CUSTOM, IAM, JWT, OF_A_TOKEN, Guard
from cogauth.printable import length, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOO_MANY = ("TooManyRequestsException", "LimitExceededException")
OTHERWISE_FORBIDDEN = "ForbiddenException"
UNKNOWN = (
    "API Gateway answers that with 403 'Missing Authentication Token', or complains about the "
    "Authorization header's format, but the token is not the cause."
)
# A deployment reaches all gateway hosts within seconds; AWS gives no figure.
SETTLES_WITHIN_S = 60


def unreachable(e: Evidence) -> Iterator[Cause]:
    """The account has no such REST API, or this URL doesn't reach it."""
    api = e.address.api
    if e.api is None:
        yield Cause(
            "wrong_api",
            f"There is no REST API {api} in this account and region. It may belong to another "
            "account, be an HTTP API, or have been deleted. Nothing was sent to it.",
            f"Check the URL's host: '{e.aws('apigateway get-rest-apis')}' lists the APIs, "
            f"'{e.command('up')}' prints this stack's own URLs.",
        )
    elif e.unreached:
        yield Cause(
            "private_api",
            f"The API {api} is private: only an interface endpoint for execute-api in a VPC "
            "reaches it.",
            "Run this in that VPC. If the endpoint's private DNS is off, use the host "
            f"{api}-VPCE_ID.execute-api.… with the endpoint's id for VPCE_ID.",
        )
    elif e.api.get("disableExecuteApiEndpoint") and e.led_nowhere:
        yield Cause(
            "endpoint_disabled",
            f"The API {api} has its execute-api endpoint turned off: it answers only at its custom "
            "domain names, and 403 Forbidden here.",
            "Call it there, or turn the default endpoint on (console, API settings) and deploy.",
        )


def wrong_stage(e: Evidence) -> Iterator[Cause]:
    """The URL's stage isn't one of the API's."""
    if e.stage is not None or not e.led_nowhere:
        return
    api, stage = e.address.api, e.address.stage
    names = [str(one["stageName"]) for one in e.stages]
    if not names:
        fix = "Deploy the API to a stage: console, the API, Deploy API."
        yield Cause("wrong_stage", f"The API {api} has no stage.", fix)
        return
    there, rest = ", ".join(names), "/…"
    said = f"The URL names no stage; the API {api} has: {there}."
    if stage:
        said = f"The API {api} has no stage {stage!r}; it has {there}."
        # The commonest mistake: the URL lacks the stage.
        whole = f"/{stage}{e.address.path}".rstrip("/") or "/"
        if routing.route(e.live, e.verb, whole)[0]:
            said, rest = f"{said} The URL lacks the stage: {whole} is a path of the API.", whole
    yield Cause(
        "wrong_stage",
        f"{said} API Gateway answers that with 403, not 404.",
        f"Begin the URL's path with the stage's name: /{names[0]}{rest}",
    )


def wrong_method(e: Evidence) -> Iterator[Cause]:
    """The stage has no such path, or the path has no such method."""
    if e.method is not None or not e.led_nowhere:
        return
    path, stage = e.address.path, e.address.stage
    template = routing.route(e.routes, e.verb, path)[0]
    if e.live_method is not None:
        what = f"The path {path}" if template is None else f"{e.verb} {template}"
        yield not_deployed(e, f"{what} is in the API, but not deployed to the stage")
    elif template is None:
        near = ", ".join(routing.nearest(e.routes, path)) or "none at all"
        yield Cause(
            "wrong_path",
            f"The stage {stage} has no path {path}. {UNKNOWN}",
            f"Correct the URL's path. The nearest deployed paths: {near}.",
        )
    else:
        there = ", ".join(sorted(e.routes[template])) or "none"
        preflight = (
            " Browsers send OPTIONS before calls from another origin; "
            f"'{e.command('up --cors-origin ORIGIN')}' lets this stack's own API answer."
        )
        yield Cause(
            "wrong_method",
            f"The path {template} has no method {e.verb}; it has {there}. {UNKNOWN}",
            f"Call it with {there}, or add the method and deploy."
            + (preflight if e.verb == "OPTIONS" else ""),
        )


def not_deployed(e: Evidence, sentence: str) -> Cause:
    """Return the cause for something in the API that isn't deployed to the stage."""
    made = e.served.made if e.served else None
    age = f" (deployed {moment_of(made.timestamp(), e.now)})" if made else ""
    return Cause(
        "not_deployed",
        f"{sentence} {e.address.stage}{age}.",
        f"{e.aws('apigateway create-deployment')} --rest-api-id {e.address.api} --stage-name "
        f"{e.address.stage} (this publishes all pending changes of the API)",
    )


def refused_before_the_token(e: Evidence) -> Iterator[Cause]:
    """Too many calls, the API's resource policy, or an unusable authorizer."""
    if e.answer is None:
        return
    guard = e.method.guard if e.method else Guard()
    if e.status == HTTPStatus.TOO_MANY_REQUESTS and (e.emulated or e.answer.error_type in TOO_MANY):
        quota = "Limit Exceeded" in e.answer.message
        said = "the usage plan's quota is used up" if quota else "there were too many calls"
        yield Cause(
            "throttled",
            f"The gateway answers 429: {said}. The limit belongs to the account, the stage, the "
            "method or a usage plan, and all callers share it.",
            "Wait a moment and call again, or raise the limit: in the console at the stage's "
            "throttling or the usage plan, for POST /signin with "
            f"'{e.command('up --throttle-rate')}'.",
        )
    by_policy = e.by_gateway and "execute-api:Invoke" in e.answer.message and guard.type != IAM
    if e.status == HTTPStatus.FORBIDDEN and by_policy:
        yield Cause(
            "resource_policy",
            "The API's resource policy refuses this caller, whatever the token: "
            f"{e.answer.message}",
            "Console, the API, Resource policy: allow execute-api:Invoke, and deploy.",
        )
    if e.answer.error_type != "AuthorizerConfigurationException":
        return
    name = guard.authorizer or "(deleted)"
    lost = "its issuer's keys can't be read," if guard.type == JWT else "its user pool"
    said = (
        f"API Gateway can't use the method's authorizer {name}: {lost} or the authorizer itself "
        "doesn't exist any more."
    )
    fix = (
        f"Give the method a working authorizer: '{e.command('up')}' repairs this stack's own API, "
        f"'{e.attaches}' other APIs."
    )
    if guard.type == CUSTOM:
        said = (
            f"The Lambda authorizer {name} failed: its function raised an error, timed out or "
            "returned an invalid answer, or API Gateway may not call it."
        )
        fix = "Read the log of the authorizer's function, and check its permission."
    yield Cause("authorizer_broken", said, fix)


def refused_token(e: Evidence) -> Iterator[Cause]:
    """The deployed guard refuses the token, whether or not the current one would."""
    if not e.method:
        return
    guard, live = e.method.guard, e.live_method
    # AWS documents a JWT authorizer's 403, but not its error type.
    errors = {IAM: OF_A_SIGNATURE, JWT: (*OF_A_TOKEN, OTHERWISE_FORBIDDEN)}
    cause = token_cause(e, guard)
    if cause is None or not e.refused_by(*errors.get(guard.type, OF_A_TOKEN)):
        return
    changes = differences(guard, live.guard) if live else []
    if live and changes and token_cause(e, live.guard) is None:
        cause = not_deployed(
            e,
            "The method's guard was changed and would allow this call, but the change "
            f"({'; '.join(changes)}; the deployed guard refuses: {cause.code}) isn't deployed to "
            "the stage",
        )
    yield cause


def function_not_called(e: Evidence) -> Iterator[Cause]:
    """The function doesn't exist, or API Gateway may not call it."""
    if e.function_gone and e.broke:
        yield Cause(
            "function_missing",
            f"The method calls the Lambda function {e.method.function if e.method else ''}, which "
            "doesn't exist.",
            f"Recreate it ('{e.command('up')}' does that for this stack's own), or change the "
            "method's integration and deploy.",
        )
    if e.permitted is not False or not e.broke or not e.method:
        return
    # 502 and 504 mean that the call reached the function.
    if e.answer and not e.answer.passed and e.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    # On AWS, success proves the permission; an emulator may not check it.
    if e.answer and e.answer.passed and not e.emulated:
        return
    name = e.function.rpartition(":function:")[2]
    yield Cause(
        "lambda_permission",
        f"API Gateway has no permission to call the function {name} for this method: it answers "
        "500 'Internal server error'.",
        f"'{e.command('up')}' restores this stack's own. Else: {e.aws('lambda add-permission')} "
        f"--function-name {shlex.quote(e.function)} --statement-id apigateway "
        f"--action lambda:InvokeFunction --principal {SERVICE_PRINCIPALS['apigateway']} "
        f"--source-arn {shlex.quote(e.source_arn)}",
    )


def function_failed(e: Evidence) -> Iterator[Cause]:
    """A new deployment hasn't reached all gateway hosts yet, or the function crashed."""
    made = e.served.made if e.served else None
    age = e.now - made.timestamp() if made else SETTLES_WITHIN_S
    settles = age < SETTLES_WITHIN_S and not e.endpoint
    if (
        settles
        and e.by_gateway
        and e.status in {HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR}
    ):
        yield Cause(
            "just_deployed",
            f"The stage was deployed {length(age)} ago; the gateway itself may answer 403 or 500 "
            "for some seconds.",
            "Wait a moment, and run this again.",
        )
    if not e.answer or not e.function_name:
        return
    # A function may answer 500 on purpose.
    if e.answer.failed or (e.answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and e.by_gateway):
        timed_out = (
            " (API Gateway waits 29 s)" if e.answer.status == HTTPStatus.GATEWAY_TIMEOUT else ""
        )
        yield Cause(
            "function_failed",
            f"The guard let the call pass; the function {e.function_name} failed{timed_out}: it "
            "raised an error, timed out, or returned an answer that a proxy integration can't use.",
            f"Read its log: {e.log}",
        )


def api_key_missing(e: Evidence) -> Iterator[Cause]:
    """The method requires an API key, which the gateway checks after the token."""
    if not (e.method and e.method.guard.api_key):
        return
    if e.answer:
        # AWS sends an error type, an emulator only this message.
        by_message = e.endpoint and e.answer.message == "Forbidden"
        if e.status != HTTPStatus.FORBIDDEN or not (
            by_message or e.answer.error_type == OTHERWISE_FORBIDDEN
        ):
            return
    yield Cause(
        "api_key",
        "The method also requires an API key. explain sends none, so if your client sends one "
        "in the header x-api-key, this is not the cause.",
        "Send an enabled key from a usage plan of this stage, or turn off 'API key required' in "
        "the method's Method Request and deploy.",
    )


def refused_behind_the_guard(e: Evidence) -> Iterator[Cause]:
    """The token is valid, and the backend refused: because of the user, or for its own reasons."""
    # A refusal of the gateway itself has another cause.
    code = f"user_{e.user}" if e.user in {"deleted", "disabled"} else "revoked"
    if e.refused_by("") and (e.revoked or code != "revoked"):
        said, how = {
            "user_deleted": ("The token's user was deleted.", " (this signs up the name again)"),
            "user_disabled": ("The token's user is disabled.", " (enable the user first)"),
            "revoked": ("The token was revoked, by itself or by a sign-out.", ""),
        }[code]
        yield Cause(
            code,
            f"{said} The gateway doesn't know: it only checks signature and times, and lets the "
            "token pass until it expires. So the method's backend refused the call.",
            f"Sign in again: '{e.signs_in}'{how}.",
            certain=False,
        )
    if e.answer and not e.by_gateway and not e.answer.passed:
        name = e.function_name
        behind = f"the function {name}" if name else "the method's backend"
        yield Cause(
            "integration_answered",
            f"The guard let the call pass; {behind} itself answered {e.status}.",
            f"Read its log: {e.log}" if name else "Look at the backend's log and code.",
        )


CHECKS: tuple[Callable[[Evidence], Iterator[Cause]], ...] = (
    unreachable,
    wrong_stage,
    wrong_method,
    refused_before_the_token,
    refused_token,
    function_not_called,
    function_failed,
    api_key_missing,
    refused_behind_the_guard,
    bearer,
)


def differences(before: Guard, after: Guard) -> list[str]:
    """Describe the differences between the deployed guard and the current one."""
    return [
        f"{name.replace('_', ' ')}: deployed {_words(old)}, now {_words(new)}"
        for name, old in vars(before).items()
        if (new := getattr(after, name)) != old and not (name == "issuers" and None in {old, new})
    ]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no", None: "none"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]
