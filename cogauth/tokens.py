"""The pool's tokens: checked by its public keys, and kept beside the state file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jwt
import requests

from cogauth.errors import LoginError
from cogauth.http import request
from cogauth.state import write_private

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.state import State

NAMES = ("id_token", "access_token", "refresh_token")


def verify(ctx: Context, http: requests.Session, token: str, use: str = "id") -> dict[str, Any]:
    """Check a token's signature, issuer, client, time and use, and return its claims.

    Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html

    Args:
        ctx: the stack whose pool must have made it.
        http: for the pool's public keys.
        token: the token, as it came.
        use: what it must be for: ``id`` or ``access``.

    Raises:
        jwt.PyJWTError: the token doesn't hold; it says why.
        LoginError: the pool's keys can't be got.
    """
    key = _key_of(ctx, http, token)
    # An ID token names the app client as its audience, an access token as its client_id.
    client = "aud" if use == "id" else "client_id"
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=ctx.fact("app_client") if use == "id" else None,
        issuer=ctx.issuer,
        # The clocks of this machine and of AWS may differ by seconds.
        leeway=30,
        options={"require": ["exp", "iat", client, "iss", "sub"]},
    )
    if claims.get("token_use") != use:
        raise jwt.InvalidTokenError(f"its token_use is {claims.get('token_use')!r}, not {use!r}")
    if claims[client] != ctx.fact("app_client"):
        raise jwt.InvalidTokenError("it was made for another app client")
    return claims


def is_signed(ctx: Context, http: requests.Session, token: str) -> bool:
    """Say whether the stack's pool made a token's signature, whatever its times and claims say.

    Raises:
        LoginError: the pool's keys can't be got.
    """
    try:
        jwt.PyJWS().decode(token, _key_of(ctx, http, token), algorithms=["RS256"])
    except jwt.PyJWTError:
        return False
    return True


def _key_of(ctx: Context, http: requests.Session, token: str) -> jwt.PyJWK:
    """Return the pool's key of the name that a token gives."""
    key_id = jwt.get_unverified_header(token).get("kid")
    key = next((key for key in public_keys(ctx, http).keys if key.key_id == key_id), None)
    if key is None:
        raise jwt.InvalidTokenError("it was signed with a key that is not the pool's")
    return key


def public_keys(ctx: Context, http: requests.Session) -> jwt.PyJWKSet:
    """Return the pool's public keys.

    Raises:
        LoginError: they can't be got.
    """
    answer = request(http, "GET", ctx.jwks_url)
    try:
        return jwt.PyJWKSet.from_dict(answer.json())
    except (requests.JSONDecodeError, AttributeError, jwt.PyJWTError) as error:
        raise LoginError(
            f"The pool's public keys at {ctx.jwks_url} can't be read (HTTP {answer.status_code})."
        ) from error


def stored(state: State) -> dict[str, dict[str, str]]:
    """Return the tokens that are kept, by username and then by their names."""
    try:
        found = json.loads(state.tokens_path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def store(state: State, username: str, tokens: dict[str, str]) -> None:
    """Keep a user's tokens beside the state file, for later commands; mode 0600."""
    write_private(state.tokens_path, {**stored(state), username: tokens})
