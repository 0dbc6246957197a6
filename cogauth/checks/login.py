"""The article's test: sign in at the deployed URL, check the token, call the guarded method."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jwt

from cogauth.client import tokens
from cogauth.client.sessions import NEW_PASSWORD_REQUIRED
from cogauth.client.signin import (
    READY_WITHIN_S,
    refusal,
    sign_in,
)
from cogauth.client.transport import http_session, request
from cogauth.gateway.rest_apis import check_own
from cogauth.settings import PROTECTED_PATH
from cogauth.steps.missing import may_settle, missing_error

if TYPE_CHECKING:
    from cogauth.context import Context

# For an endpoint that refuses a login with status 200, which API Gateway never does.
WITHOUT_TEMPLATES = (
    "{} answered with HTTP status 200, so it doesn't apply the API's mapping templates. Nobody can "
    "sign in on an emulator that passes the function a proxy event instead of the request's JSON. "
    "Use the local AWS ('cogauth up --local'), which behaves like API Gateway."
)


@dataclass(frozen=True)
class LoginResult:
    """The result of a test login.

    Attributes:
        expires_in: the lifetime of the tokens, in seconds.
        tokens: by name; empty if the login failed.
        claims: the claims of the ID token; None if the token isn't valid.
        protected: ``url``, and the HTTP statuses ``without_token`` and ``with_token``.
        problems: a sentence for each check that failed.
    """

    status: str
    http_status: int
    msg: str | None = None
    code: str | None = None
    is_new: bool | None = None
    user_id: str | None = None
    expires_in: int | None = None
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    claims: dict[str, Any] | None = None
    protected: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields that ``test-login --json`` prints."""
        result = {**vars(self), "id_token": self.tokens.get("id_token")}
        return {name: value for name, value in result.items() if name not in {"tokens", "problems"}}


def check_login(
    ctx: Context, username: str, password: str, new_password: str | None = None
) -> LoginResult:
    """Sign in like a client, and call the guarded method with the token and without one.

    With ``new_password`` that becomes the user's password, and nobody is signed up.

    Raises:
        IncompleteError: nobody can sign in, because something of the stack is gone.
        LoginError: the API can't be reached, or doesn't answer like the sign-in function.
        CogauthError: the recorded API belongs to another stack.
    """
    check_own(ctx)
    http = http_session(ctx.url("/"), ctx.aws)
    data = {"username": username, "password": password}
    http_status, answer = sign_in(ctx, http, data, new_password=new_password)
    problems = []
    if answer["status"] != "success":
        problems.append(str(refusal(ctx, answer)))
        if answer.get("code") == NEW_PASSWORD_REQUIRED and new_password is None:
            problems[-1] += " Give the new one on a terminal, or with --new-password-stdin."
        if http_status == HTTPStatus.OK and ctx.state.endpoint_url is not None:
            problems.append(WITHOUT_TEMPLATES.format(ctx.state.endpoint_url))
        return LoginResult(
            answer["status"],
            http_status,
            msg=answer.get("msg"),
            code=answer.get("code"),
            problems=tuple(problems),
        )
    claims: dict[str, Any] | None = None
    try:
        claims = tokens.validate(ctx, http, answer["id_token"])
    except jwt.PyJWTError as error:
        problems.append(f"The ID token isn't valid: {error}.")
    url = ctx.url(PROTECTED_PATH)
    without_token, with_token = (
        call_protected(ctx, url, token) for token in (None, answer["id_token"])
    )
    if without_token != HTTPStatus.UNAUTHORIZED:
        problems.append(
            f"Without a token {url} answers {without_token}, not {HTTPStatus.UNAUTHORIZED}."
        )
    if with_token != HTTPStatus.OK:
        problems.append(f"With the token {url} answers {with_token}, not {HTTPStatus.OK}.")
    if problems and (lost := missing_error(ctx)) is not None:
        problems.append(str(lost))
    return LoginResult(
        answer["status"],
        http_status,
        is_new=answer["is_new"] == "true",
        user_id=answer["user_id"],
        expires_in=answer["expires_in"],
        tokens={name: answer[name] for name in tokens.NAMES},
        claims=claims,
        protected={"url": url, "without_token": without_token, "with_token": with_token},
        problems=tuple(problems),
    )


def call_protected(ctx: Context, url: str, token: str | None) -> int:
    """Wait for the deployment; return the guarded method's status, or raise LoginError."""
    http, waits = http_session(url, ctx.aws), cache(partial(may_settle, ctx))
    return ctx.waiter.settle(
        lambda: request(http, "GET", url, token=token).status_code,
        lambda status: (
            status not in {HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR} or not waits()
        ),
        reason="the guarded method to answer",
        timeout_s=READY_WITHIN_S,
    )
