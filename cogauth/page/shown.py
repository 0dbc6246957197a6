"""What the page shows of the stack without changing anything: each function returns JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jwt

from cogauth.aws.errors import AWS_ERRORS, translate
from cogauth.client import token_store, tokens, users
from cogauth.client.transport import http_session
from cogauth.engine.status import status as read_status
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import deployed, rest_apis
from cogauth.gateway.rest_apis import COGNITO, IAM, Guard
from cogauth.page.picture import draw
from cogauth.steps import STEPS
from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.engine.status import StepStatus
    from cogauth.gateway.rest_apis import Route
    from cogauth.page.stack import Stack
    from cogauth.settings import Settings
    from cogauth.steps.base import Step

# By step, the settings that are about it.
SETTINGS = {
    "user_pool": ("tier", "sign_up", "password_min_length", "password_require"),
    "role": ("power_user", "permissions_boundary"),
    "sign_in_function": ("runtime", "architecture", "sign_in_memory", "sign_in_timeout"),
    "auto_confirm_role": ("permissions_boundary",),
    "auto_confirm_function": (
        *("runtime", "architecture"),
        *("auto_confirm_memory", "auto_confirm_timeout"),
    ),
    "rest_api": ("path", "cors_origins"),
    "deployment": ("stage", "throttle_rate", "throttle_burst"),
}


def stack(of: Stack) -> dict[str, Any]:
    """Return what the state file says; only the first request connects to AWS."""
    ctx = of.context(complete=False)
    state, settings = ctx.state, ctx.state.settings
    # Another 'up' makes a stack on the same AWS.
    up = "up --local" if state.local_data is not None else "up"
    known = {
        "up": up,
        "attach": "attach --api NAME",
        "page": "page",
        "test-login": "test-login NAME",
    }
    has_api = "id" in (state.record("rest_api") or {})
    return {
        "stack": state.stack,
        "place": of.where(ctx),
        "sign_in_url": ctx.url(settings.path) if has_api else None,
        "is_local": state.local_data is not None,
        "sign_up": settings.sign_up,
        "password_policy": settings.password_policy_text,
        "stage": settings.stage,
        "commands": {name: of.runnable(state.command(line)) for name, line in known.items()},
    }


def status(of: Stack) -> dict[str, Any]:
    """Return how the stack is, with its picture."""
    with of.reading:
        ctx = of.context("status", complete=False)
        # A reading that failed has set it, to end its calls.
        of.resume(ctx)
        found = read_status(ctx, _Silent())
    document = found.to_json()
    shown = zip(document["steps"], found.steps, strict=True)
    return {
        **document,
        "steps": [{**step, **_details(ctx, each)} for step, each in shown],
        "svg": draw(found, ctx.state, of.where(ctx), styled=False),
        "deployed": found.deployed.isoformat() if found.deployed else None,
        "next": of.runnable(ctx.state.command(found.advice)) if found.advice else None,
    }


class _Silent:
    """Nobody is told about waits: the page shows that it is asking."""

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """Say nothing."""


def _details(ctx: Context, step: StepStatus) -> dict[str, Any]:
    found = next(each for each in STEPS if each.name == step.step)
    records = [(each, ctx.state.record(each.key) or {}) for each in found.resources]
    return {
        "title": step.title,
        "lacks": list(step.lacks),
        "settings": [
            [f"--{name.replace('_', '-')}", _text(ctx.state.settings, name)]
            for name in SETTINGS.get(step.step, ())
        ],
        "resources": [
            {"name": words(each), "id": record["id"], "arn": record.get("arn")}
            for each, record in records
            if "id" in record
        ],
    }


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value or "none")


def sessions(of: Stack) -> dict[str, Any]:
    """Return who is signed in here, with the claims of the tokens but without the tokens."""
    ctx = of.context()
    found = sorted(token_store.stored(ctx.state).items())
    keys: list[jwt.PyJWK] | str = []
    if found:
        try:
            keys = tokens.read_keys(http_session(ctx.jwks_url, ctx.aws), ctx.jwks_url)
        except CogauthError as error:
            keys = translate(error).message
    return {"now": ctx.now(), "sessions": [_session(ctx, *each, keys) for each in found]}


def _session(
    ctx: Context, username: str, kept: dict[str, str], keys: list[jwt.PyJWK] | str
) -> dict[str, Any]:
    shown = {use: _token(ctx, kept[f"{use}_token"], use, keys) for use in ("id", "access")}
    ends = [tokens.as_time(each["claims"].get("exp")) for each in shown.values()]
    expires = min((end for end in ends if end is not None), default=None)
    return {"username": username, "expires": expires, **shown}


def _token(ctx: Context, token: str, use: str, keys: list[jwt.PyJWK] | str) -> dict[str, Any]:
    """Return a token's content, and whether it is valid; ``keys`` may be why there are none."""
    verified: bool | None = True
    parts, why = tokens.Parts({}, {}), None
    try:
        parts = tokens.take_apart(token)
        if isinstance(keys, str):
            verified, why = None, keys
        else:
            http = http_session(ctx.jwks_url, ctx.aws)
            tokens.validate(ctx, http, token, use, keys)
    except (tokens.FlawError, jwt.PyJWTError, ValueError, TypeError) as error:
        verified, why = False, str(error)
    return {"header": parts.header, "claims": parts.claims, "verified": verified, "why": why}


def methods(of: Stack) -> dict[str, Any]:
    """Return the methods that the stages of the stack's own and of attached APIs serve."""
    ctx = of.context()
    places = [(ctx.fact("rest_api"), ctx.stack, ctx.state.settings.stage)]
    for api, record in ctx.state.attachments.items():
        places += [(api, record["name"], stage) for stage in record["stages"]]
    return {"apis": [_api(ctx, *place) for place in places]}


def _api(ctx: Context, api: str, name: str, stage: str) -> dict[str, Any]:
    problem, found = None, []
    try:
        found = list(_methods(ctx, api, stage))
    except (CogauthError, *AWS_ERRORS) as error:
        problem = str(translate(error))
    return {
        "api": api,
        "name": name,
        "stage": stage,
        "url": ctx.url("", api=api, stage=stage),
        "problem": problem,
        "methods": found,
    }


def _methods(ctx: Context, api: str, name: str) -> Iterator[dict[str, Any]]:
    stages = {each["stageName"]: each for each in rest_apis.stages(ctx, api)}
    if name not in stages:
        raise UsageError(f"The API {api} has no stage {name} any more.")
    served = deployed.deployed(ctx, api, stages[name], rest_apis.routes(ctx, api))
    for path, by_verb in sorted(served.routes.items()):
        for verb, method in sorted(by_verb.items()):
            # A preflight is the browser's own.
            if verb == "OPTIONS":
                continue
            yield {
                "method": "GET" if verb == "ANY" else verb,
                "path": path,
                "any": verb == "ANY",
                "guard": _guard(ctx, method),
                "guarded": method.guard != Guard(),
                "scopes": list(method.guard.scopes),
                "parameters": re.findall(r"\{([^}]*)\}", path),
            }


def _guard(ctx: Context, method: Route) -> str:
    """Return in words what guards a method."""
    guard = method.guard
    if guard.type == COGNITO:
        ours = ctx.fact("user_pool", "arn") in guard.pools
        text = "this stack's user pool" if ours else "another user pool"
        text += ", access tokens with a scope" if guard.scopes else ", ID tokens"
    elif guard == Guard():
        text = "open to anyone"
    elif guard.type == IAM:
        text = "AWS credentials (AWS_IAM)"
    elif guard.type == Guard().type:
        return "an API key"
    else:
        text = f"the authorizer {guard.authorizer or ''} ({guard.type})"
    return f"{text} and an API key" if guard.api_key else text


def list_users(of: Stack, search: str, pages: int) -> dict[str, Any]:
    """Return the first pages of the users whose names begin with a text."""
    ctx = of.context()
    quoted = search.replace("\\", "\\\\").replace('"', '\\"')
    found, more = [], False
    for nth, page in enumerate(users.pages(ctx, f'username ^= "{quoted}"' if search else None)):
        if more := nth >= pages:
            break
        found += page
    return {
        "users": [
            {
                "username": each.username,
                "status": each.status,
                "enabled": each.enabled,
                "created": each.created.isoformat(),
            }
            for each in found
        ],
        "more": more,
    }
