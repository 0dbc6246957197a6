"""A user's session: stored tokens, renewed with the refresh token or the password."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from cogauth.client import token_store, tokens
from cogauth.client.signin import refusal, sign_in
from cogauth.client.transport import http_session
from cogauth.errors import LoginError, UsageError
from cogauth.gateway.rest_apis import check_own

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.record.state import State

# The remaining lifetime that a token needs: enough for a call, and for clocks that differ a little.
SPARE_S = 60
# The sign-in codes that mean the password is needed. Sign-in functions that are too old for refresh
# tokens answer "invalid_password".
OVER = {"refresh_refused", "invalid_refresh_token", "not_authorized", "invalid_password"}

# The sign-in code for a user with a temporary password.
NEW_PASSWORD_REQUIRED = "new_password_required"  # noqa: S105 a code


class SessionOverError(LoginError):
    """The stored session can't be renewed: the password is needed."""


class NewPasswordRequiredError(LoginError):
    """The password is a temporary one: a new one is needed too."""


def whose(state: State, username: str | None) -> str:
    """Return the given name, or the only user with stored tokens; raise UsageError otherwise."""
    if username:
        return username
    names = sorted(token_store.stored(state))
    if len(names) == 1:
        return names[0]
    if not names:
        command = state.command("test-login --username NAME")
        raise UsageError("Nobody is signed in yet.", hint=f"Run '{command}'.")
    raise UsageError(
        f"Several users are signed in: {', '.join(names)}.", hint="Give --username NAME."
    )


def kept(state: State, username: str) -> dict[str, str] | None:
    """Return a user's stored tokens if they remain valid for a while, without any call.

    It doesn't check signatures, because cogauth itself wrote the tokens to a private file. It does
    check the pool and the app client, because either may have been recreated.
    """
    found = token_store.stored_for(state, username)
    if found is None:
        return None
    claims = _claims(found["id_token"])
    pool, client = state.fact("user_pool", "id"), state.fact("app_client", "id")
    if not str(claims.get("iss")).endswith(f"/{pool}") or claims.get("aud") != client:
        return None
    expiries = [claims.get("exp"), _claims(found["access_token"]).get("exp")]
    end = time.time() + SPARE_S
    good = all(isinstance(expiry, (int, float)) and expiry > end for expiry in expiries)
    return found if good else None


def renew(ctx: Context, username: str) -> dict[str, str] | None:
    """Get new tokens with the stored refresh token, and store them; None if none is stored.

    Raises SessionOverError if that is no longer valid, and CogauthError if the recorded API
    belongs to another stack, can't be reached, or refuses.
    """
    found = token_store.stored_for(ctx.state, username)
    if found is None:
        return None
    # The pool's own spelling of the name: see the sign-in function about case.
    name = str(_claims(found["id_token"]).get("cognito:username") or username)
    data = {"username": name, "refresh_token": found["refresh_token"]}
    _, answer = _ask(ctx, username, data)
    if answer["status"] != "success" and answer.get("code") in OVER:
        raise SessionOverError(
            f"The stored session of {username} is over ({answer['code']})", hint="Sign in again."
        )
    return _tokens(ctx, answer)


def begin(
    ctx: Context, username: str, password: str, new_password: str | None = None
) -> tuple[dict[str, str], bool]:
    """Sign in or up with the password, and store the tokens; also return whether the user is new.

    With ``new_password`` that becomes the user's password, and nobody is signed up.

    Raises:
        NewPasswordRequiredError: the password is a temporary one.
        CogauthError: the recorded API belongs to another stack, can't be reached, or refuses.
    """
    _, answer = attempt(ctx, username, password, new_password)
    if answer.get("code") == NEW_PASSWORD_REQUIRED and new_password is None:
        command = ctx.state.command("test-login", username)
        raise NewPasswordRequiredError(
            f"{username} has a temporary password and must choose a new one.",
            hint=f"Run '{command}' on a terminal, or with --new-password-stdin.",
        )
    return _tokens(ctx, answer), answer["is_new"] == "true"


def attempt(
    ctx: Context, username: str, password: str, new_password: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Like ``begin``, but return the sign-in's HTTP status and answer, also if it refuses."""
    return _ask(ctx, username, {"username": username, "password": password}, new_password)


def header_command(state: State, username: str, kind: str) -> str:
    """Return the command that prints a header with a user's ``id`` or ``access`` token."""
    # The type is written out: the shell that runs the line may have another COGAUTH_TYPE.
    return state.command(f"token --username {shlex.quote(username)} --type {kind} --header")


def _ask(
    ctx: Context, username: str, data: dict[str, str], new_password: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a sign-in, and store the tokens that it may bring."""
    check_own(ctx)
    http = http_session(ctx.url("/"), ctx.aws)
    status, answer = sign_in(ctx, http, data, new_password=new_password)
    if answer["status"] == "success":
        token_store.store(ctx.state, username, _tokens(ctx, answer))
    return status, answer


def _tokens(ctx: Context, answer: dict[str, Any]) -> dict[str, str]:
    if answer["status"] != "success":
        raise refusal(ctx, answer)
    return {name: answer[name] for name in tokens.NAMES}


def _claims(token: str) -> dict[str, Any]:
    try:
        return tokens.take_apart(token).claims
    except tokens.FlawError:
        return {}
