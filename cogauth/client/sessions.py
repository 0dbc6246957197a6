"""A user's session: the stored tokens, renewed by the refresh token, or got by the password."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cogauth.client import token_store, tokens
from cogauth.client.signin import sign_in
from cogauth.client.transport import session
from cogauth.errors import LoginError, UsageError
from cogauth.gateway.rest_apis import check_own

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.record.state import State

# A token is handed out only if it is good for a call and a clock that is a little off.
SPARE_S = 60
# The codes by which the sign-in says that the password is needed. "invalid_password" is that of a
# sign-in function from before it took refresh tokens.
OVER = {"refresh_refused", "invalid_refresh_token", "not_authorized", "invalid_password"}


class SessionOverError(LoginError):
    """The stored session can't be renewed: the password is needed."""


def whose(state: State, username: str | None) -> str:
    """Return whose tokens are meant: the given name's, or those of the only user who has any."""
    if username:
        return username
    names = sorted(token_store.stored(state))
    if len(names) == 1:
        return names[0]
    more = "" if names else ", or sign in first with 'cogauth test-login --username NAME'"
    found = f"there are those of {', '.join(names)}" if names else "there is none"
    raise UsageError(f"Whose tokens? Of those stored, {found}. Give --username NAME{more}.")


def kept(state: State, username: str) -> dict[str, str] | None:
    """Return the stored tokens of a user if they are good for a while; no call is made.

    They were stored by cogauth itself in a file of its user's own, so their signature is not
    checked; that they are of this pool and app client is, for both may have been made anew.
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
    """Get new tokens for the stored refresh token, and store them; None if none is stored.

    Raises SessionOverError if that isn't good any more; CogauthError if the recorded API is not
    the stack's, can't be reached, or refuses.
    """
    found = token_store.stored_for(ctx.state, username)
    if found is None:
        return None
    # What the pool calls the user; see the sign-in function about the case of names.
    name = str(_claims(found["id_token"]).get("cognito:username") or username)
    answer = _ask(ctx, {"username": name, "refresh_token": found["refresh_token"]})
    if answer["status"] != "success" and answer.get("code") in OVER:
        raise SessionOverError(
            f"The stored session of {username} is over ({answer['code']}): sign in again."
        )
    return _taken(ctx, username, answer)


def begin(ctx: Context, username: str, password: str) -> tuple[dict[str, str], bool]:
    """Sign in, or up, by the password, and store the tokens; say as well whether the user is new.

    Raises CogauthError if the recorded API is not the stack's, can't be reached, or refuses.
    """
    answer = _ask(ctx, {"username": username, "password": password})
    return _taken(ctx, username, answer), answer["is_new"] == "true"


def _ask(ctx: Context, data: dict[str, str]) -> dict[str, Any]:
    check_own(ctx)
    return sign_in(ctx, session(ctx.url("/"), ctx.aws), data)[1]


def _taken(ctx: Context, username: str, answer: dict[str, Any]) -> dict[str, str]:
    if answer["status"] != "success":
        raise LoginError(f"The login was refused: {answer.get('msg')} ({answer.get('code')}).")
    got = {name: answer[name] for name in tokens.NAMES}
    token_store.store(ctx.state, username, got)
    return got


def _claims(token: str) -> dict[str, Any]:
    try:
        return tokens.take_apart(token).claims
    except tokens.FlawError:
        return {}
