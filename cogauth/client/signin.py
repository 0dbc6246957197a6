"""One call of POST /signin, and the check of its answer."""

from __future__ import annotations

from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cogauth.aws.environment import SENDABLE
from cogauth.aws.waiting import TimedOutError
from cogauth.client import tokens
from cogauth.client.transport import json_object, request
from cogauth.errors import IncompleteError, LoginError
from cogauth.settings import CLOSED
from cogauth.steps.methods import STATUS_BY_CODE
from cogauth.steps.missing import may_settle, missing_error, naming_missing

if TYPE_CHECKING:
    import requests

    from cogauth.context import Context
    from cogauth.errors import CogauthError
    from cogauth.record.state import State

# How long to wait for a new deployment. AWS gives no figure; some seconds are usual.
READY_WITHIN_S = 60
# The codes of a new stack whose role policy or trigger permission hasn't taken effect yet. Asking
# again is safe: an existing user's wrong password gets another code at once.
NOT_YET = {"access_denied", "trigger_denied"}
# The fields that must be text if present; "message" is API Gateway's own.
TEXTS = ("status", "msg", "code", "user_id", "is_new", "message")
SUCCESS_FIELDS = (*tokens.NAMES, "user_id", "is_new", "expires_in")

UNCONFIRMED, WRONG_CREDENTIALS = "user_unconfirmed", "wrong_credentials"
# The codes whose cause may be in the auto-confirm function: it never refuses anyone by intent.
OF_TRIGGER = {"trigger_failed", "trigger_denied", "sign_up_refused"}


def logs_command(state: State, code: str | None) -> str | None:
    """Return the command that shows the log lines behind a code; None if the user is the cause."""
    if code in OF_TRIGGER:
        return state.command("logs --since 10m")
    caused = code is not None and STATUS_BY_CODE.get(code) == HTTPStatus.INTERNAL_SERVER_ERROR
    return state.command("logs sign-in --since 10m") if caused else None


def refusal(ctx: Context, answer: dict[str, Any]) -> CogauthError:
    """Return the error of a failed sign-in.

    Its hint is how to recreate what is gone of the stack, and the command that shows why, if any.
    """
    code = answer.get("code")
    said = f"The login was refused: {answer.get('msg')} ({code})."
    command = logs_command(ctx.state, code)
    see = f"Run '{command}' to see why." if command else None
    if code == WRONG_CREDENTIALS and ctx.state.settings.sign_up == CLOSED:
        create = ctx.state.command("users create NAME")
        see = f"Sign-up is closed: if there is no such user, '{create}' creates one."
    # Without the trigger nobody is confirmed.
    if (command or code == UNCONFIRMED) and (lost := missing_error(ctx, before=said)) is not None:
        return IncompleteError(lost.message, hint=" ".join(filter(None, [lost.hint, see])))
    return LoginError(said, hint=see)


def _is_readable(answer: dict[str, Any]) -> bool:
    """Return whether the fields have the right types; anyone could be answering."""
    texts = [answer[name] for name in TEXTS if answer.get(name) is not None]
    # Tokens are sent in a header and printed.
    kept = [answer[name] for name in tokens.NAMES if name in answer]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(token, str) and SENDABLE.fullmatch(token) for token in kept)
        and isinstance(answer.get("expires_in", 0), int)
    )


def sign_in(
    ctx: Context,
    http: requests.Session,
    data: dict[str, str],
    *,
    new_password: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Wait for the deployment, and return the sign-in's HTTP status and answer.

    ``data`` is sent only there: a username, and a password or a refresh token. ``new_password``
    replaces the password. The answer has a ``status``, and with ``success`` all of SUCCESS_FIELDS.
    Raises IncompleteError if something of the stack is gone, LoginError if the API can't be reached
    or doesn't answer like the sign-in function for another reason.
    """
    if new_password is not None:
        data = {**data, "new_password": new_password}
    with naming_missing(ctx):
        return _sign_in(ctx, http, data)


def _sign_in(
    ctx: Context, http: requests.Session, data: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    url, options = ctx.url(ctx.state.settings.path), ctx.state.options
    look = f"look at the functions' log lines: '{ctx.state.command('logs --since 10m')}'"
    last, waits = "", cache(partial(may_settle, ctx))

    def attempt() -> tuple[int, dict[str, Any]] | None:
        nonlocal last
        response = request(http, "POST", url, data=data)
        answer = json_object(response)
        if not _is_readable(answer):
            answer = {}
        said = answer.get("message") or answer.get("code") or ""
        last = f"HTTP {response.status_code} {said}".strip()
        if "status" in answer and answer.get("code") not in NOT_YET:
            return response.status_code, answer
        # For some seconds, a new deployment itself answers 403 or 500 without signing anyone in,
        # so asking again is safe.
        unready = response.status_code in {HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR}
        if unready or answer.get("code"):
            if not waits():
                raise LoginError(f"POST {url} answers {last}.")
            return None
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise LoginError(
                f"POST {url} answers {last}: the stage's throttle, which all callers share.",
                hint=(
                    "Wait a moment, or raise it: 'cogauth up --throttle-rate … --throttle-burst "
                    f"…{options}'."
                ),
            )
        # An answer below 500 didn't come from a function that failed.
        broke = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise LoginError(
            f"POST {url} answers {last}, which isn't an answer of the sign-in function.",
            hint=f"Run 'cogauth up{options}' to repair the stack{f', or {look}' if broke else ''}.",
        )

    try:
        status, answer = ctx.waiter.until(
            attempt, reason="the new deployment to answer", timeout_s=READY_WITHIN_S
        )
    except TimedOutError as error:
        raise LoginError(
            f"POST {url} still answers {last} after {READY_WITHIN_S} s.",
            hint=f"Run 'cogauth up{options}' to repair the stack, or {look}.",
        ) from error
    missing = [name for name in SUCCESS_FIELDS if name not in answer]
    if answer["status"] == "success" and missing:
        raise LoginError(
            f"The answer of POST {url} lacks {', '.join(missing)}, so it isn't from cogauth's own "
            "sign-in function.",
            hint=f"Run 'cogauth up{options}' to repair the stack.",
        )
    return status, answer
