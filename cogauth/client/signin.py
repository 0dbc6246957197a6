"""One call of POST /signin: what is sent, and what its answer must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cogauth.aws.environment import SENDABLE
from cogauth.aws.waiting import TimedOutError
from cogauth.client import tokens
from cogauth.client.transport import json_object, request
from cogauth.errors import LoginError

if TYPE_CHECKING:
    import requests

    from cogauth.context import Context

# How long a new deployment is waited for; AWS gives no figure, some seconds are usual.
READY_WITHIN_S = 60
# The codes of a stack that is seconds old: the policy of its role lags, or the permission by which
# Cognito may call a trigger. To ask again is safe: a known user's wrong password is told at once.
NOT_YET = {"access_denied", "trigger_denied"}
# Those of an answer that are texts, if they are there; "message" is API Gateway's own.
TEXTS = ("status", "msg", "code", "user_id", "is_new", "message")
SUCCESS_FIELDS = (*tokens.NAMES, "user_id", "is_new", "expires_in")
OK, UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 401, 403, 429, 500


def _is_readable(answer: dict[str, Any]) -> bool:
    """Say whether what an answer has is of the kind that it must be; anybody may answer."""
    texts = [answer[name] for name in TEXTS if answer.get(name) is not None]
    # A token goes into a header, and is printed.
    kept = [answer[name] for name in tokens.NAMES if name in answer]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(token, str) and SENDABLE.fullmatch(token) for token in kept)
        and isinstance(answer.get("expires_in", 0), int)
    )


def sign_in(
    ctx: Context, http: requests.Session, data: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Return the sign-in's HTTP status and answer, once the deployment answers at all.

    ``data`` is sent there and nowhere else: a username, and a password or a refresh token. The
    answer has a ``status``; if that is ``success``, all of SUCCESS_FIELDS. Raises LoginError if the
    API can't be reached, or what it answers is no answer of the sign-in's.
    """
    url, options = ctx.url(ctx.state.settings.path), ctx.state.options
    last = ""

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
        # A new deployment answers 403 or 500 by itself for some seconds, which has signed no one
        # in either. So it may be asked again.
        if response.status_code in {FORBIDDEN, SERVER_ERROR} or answer.get("code"):
            return None
        if response.status_code == TOO_MANY_REQUESTS:
            raise LoginError(
                f"POST {url} answers {last}: the stage's throttle, which all callers share. Wait a "
                f"moment, or raise it: 'cogauth up --throttle-rate … --throttle-burst …{options}'."
            )
        raise LoginError(f"POST {url} answers {last}, which is no answer of the sign-in's.")

    try:
        status, answer = ctx.waiter.until(
            attempt, reason="the new deployment to answer", timeout_s=READY_WITHIN_S
        )
    except TimedOutError as error:
        raise LoginError(
            f"POST {url} still answers {last} after {READY_WITHIN_S} s. Run 'cogauth up{options}' "
            "again: it mends what differs; the function's log group tells more."
        ) from error
    missing = [name for name in SUCCESS_FIELDS if name not in answer]
    if answer["status"] == "success" and missing:
        raise LoginError(
            f"The sign-in's answer lacks {', '.join(missing)}: it is not that of cogauth's own "
            f"function. Run 'cogauth up{options}' again: it mends what differs."
        )
    return status, answer
