"""The article's test: sign in at the deployed URL, check the token, call the protected method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

from cogauth.aws.environment import SENDABLE
from cogauth.aws.waiting import TimedOutError
from cogauth.client import tokens
from cogauth.client.transport import json_object, request, session
from cogauth.errors import LoginError
from cogauth.gateway.rest_apis import check_own
from cogauth.settings import PROTECTED_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@dataclass(frozen=True)
class LoginResult:
    """What a test login showed.

    Attributes:
        status, msg, code, is_new, user_id, expires_in: of the sign-in's answer; expires_in is in
            seconds.
        http_status: of that answer.
        tokens: ``id_token``, ``access_token``, ``refresh_token``; empty if the login failed.
        claims: of the ID token, whose signature holds.
        protected: ``url``, and the HTTP statuses ``without_token`` and ``with_token``.
        problems: the checks that did not hold, in words; empty when all did.
    """

    status: str
    msg: str | None
    code: str | None
    is_new: bool | None
    user_id: str | None
    http_status: int
    expires_in: int | None
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    claims: dict[str, Any] | None = None
    protected: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields that ``test-login --json`` prints."""
        names = [
            "status",
            "msg",
            "code",
            "is_new",
            "user_id",
            "http_status",
            "claims",
            "expires_in",
            "protected",
        ]
        result = {name: getattr(self, name) for name in names}
        return {**result, "id_token": self.tokens.get("id_token")}


def check_login(ctx: Context, username: str, password: str) -> LoginResult:
    """Sign in as a client would, and see that the guard lets that token pass and none else.

    Args:
        ctx: a stack that stands.
        username: who signs in.
        password: sent to the deployed URL and nowhere else.

    Raises:
        LoginError: the API can't be reached, or what it answers is no answer of the sign-in's.
        CogauthError: the recorded API is not the stack's.
    """
    check_own(ctx)
    http = session(ctx.url("/"), ctx.aws)
    http_status, answer = sign_in(ctx, http, {"username": username, "password": password})
    common: dict[str, Any] = {"http_status": http_status, "status": str(answer["status"])}
    if answer["status"] != "success":
        return LoginResult(
            **common,
            msg=answer.get("msg"),
            code=answer.get("code"),
            is_new=None,
            user_id=None,
            expires_in=None,
            problems=(
                f"The login was refused: {answer.get('msg')} ({answer.get('code')}).",
                *_without_templates(ctx, http_status),
            ),
        )
    problems = []
    claims: dict[str, Any] | None = None
    try:
        claims = tokens.verify(ctx, http, answer["id_token"])
    except jwt.PyJWTError as error:
        problems.append(f"The ID token doesn't hold: {error}.")
    url = ctx.url(PROTECTED_PATH)
    without_token, with_token = (
        call_protected(ctx, url, token) for token in (None, answer["id_token"])
    )
    if without_token != UNAUTHORIZED:
        problems.append(f"Without a token {url} answers {without_token}, not {UNAUTHORIZED}.")
    if with_token != OK:
        problems.append(f"With the token {url} answers {with_token}, not {OK}.")
    return LoginResult(
        **common,
        msg=None,
        code=None,
        is_new=answer["is_new"] == "true",
        user_id=answer["user_id"],
        expires_in=answer["expires_in"],
        tokens={name: answer[name] for name in tokens.NAMES},
        claims=claims,
        protected={"url": url, "without_token": without_token, "with_token": with_token},
        problems=tuple(problems),
    )


def _without_templates(ctx: Context, http_status: int) -> Iterator[str]:
    """Say so if what refused a login can't be an API Gateway that does as the API says."""
    if http_status == OK and ctx.state.endpoint_url is not None:
        yield (
            f"{ctx.state.endpoint_url} gave that the HTTP status {OK}: it doesn't apply the API's "
            "mapping templates. An emulator that hands the function a description of the request, "
            "as for a proxy integration, in place of the request's JSON, signs nobody in. The "
            "local AWS of 'cogauth up --local' does as API Gateway."
        )


def call_protected(ctx: Context, url: str, token: str | None) -> int:
    """Return the HTTP status of the protected method, once the deployment answers for it.

    Args:
        ctx: a stack that stands.
        url: of the method.
        token: sent as it is in the Authorization header; None for none.

    Raises:
        LoginError: the API can't be reached.
    """
    http = session(url, ctx.aws)
    last = 0

    def attempt() -> int | None:
        nonlocal last
        last = request(http, "GET", url, token=token).status_code
        return None if last in {FORBIDDEN, SERVER_ERROR} else last

    try:
        return ctx.waiter.until(
            attempt, reason="the protected method to answer", timeout_s=READY_WITHIN_S
        )
    except TimedOutError:
        return last


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

    Args:
        ctx: a stack that stands.
        http: a session for the API's URL.
        data: what is sent there and nowhere else: a username, and a password or a refresh token.

    Returns:
        The HTTP status and the answer, which has a ``status``; if that is ``success``, all of
        SUCCESS_FIELDS.

    Raises:
        LoginError: the API can't be reached, or what it answers is no answer of the sign-in's.
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
