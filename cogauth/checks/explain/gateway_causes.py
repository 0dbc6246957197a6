"""What API Gateway refuses before it looks at a token: stage, path, method, API key, policy."""

from __future__ import annotations

from cogauth.checks.explain.evidence import (
    FORBIDDEN,
    THROTTLED,
    Cause,
    Evidence,
)
from cogauth.gateway import routing
from cogauth.gateway.rest_apis import IAM
from cogauth.printable import moment_of

TOO_MANY = ("TooManyRequestsException", "LimitExceededException")
OTHERWISE_FORBIDDEN = "ForbiddenException"
NO_PATH = "MissingAuthenticationTokenException"


# Where the URL leads


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
        f"The stage {e.address.stage} has no path {path}. API Gateway answers an unknown path with "
        "403 'Missing Authentication Token', or with a complaint about the Authorization header's "
        "form: neither is about the token.",
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
    preflight = (
        " A browser asks by OPTIONS before it calls from another origin; "
        f"'{e.command('up --cors-origin ORIGIN')}' lets this stack's own API answer."
        if e.verb == "OPTIONS"
        else ""
    )
    return Cause(
        "wrong_method",
        f"The path {template} has no method {e.verb}; it has {there}. API Gateway answers an "
        "unknown method with 403 'Missing Authentication Token', or with a complaint about the "
        "Authorization header's form: neither is about the token.",
        f"Call it by {there}, or add the method and deploy.{preflight}",
    )


def not_deployed(e: Evidence, sentence: str) -> Cause:
    """Return the cause that something in the API is not deployed to the stage."""
    age = (
        f" (deployed {moment_of(e.served.made.timestamp(), e.now)})"
        if e.served and e.served.made
        else ""
    )
    return Cause("not_deployed", f"{sentence} {e.address.stage}{age}.", e.redeploy)


# What the gateway says, whatever the token


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
    if not e.by_gateway:
        return None
    if e.method and e.method.guard.type == IAM:
        return None
    return Cause(
        "resource_policy",
        "The API's resource policy doesn't let this caller in, whatever the token: "
        f"{e.answer.message}",
        "Console, the API, Resource policy: allow execute-api:Invoke, and deploy.",
    )
