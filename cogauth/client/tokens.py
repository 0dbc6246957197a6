"""The pool's tokens: read, and checked by its public keys."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from cogauth.client.transport import request, strict_json
from cogauth.errors import LoginError, UsageError

if TYPE_CHECKING:
    import requests

    from cogauth.context import Context

NAMES = ("id_token", "access_token", "refresh_token")
# The parts of a signed token, and of an encrypted one, as Cognito's refresh tokens are.
SIGNED, ENCRYPTED = 3, 5
BASE64URL = re.compile(r"[\w-]*", re.ASCII)
# The year 10000, which Python can't show.
LAST_TIME = 253402300800


class FlawError(Exception):
    """A text isn't a readable token; the message says why without quoting the text."""


class EncryptedError(FlawError):
    """The token is a refresh token, which only Cognito can read."""


@dataclass(frozen=True)
class Parts:
    """The content of a token, which anyone may have written until its signature is checked."""

    header: dict[str, Any]
    claims: dict[str, Any]


def take_apart(token: str) -> Parts:
    """Decode a token without checking its signature; raise FlawError if that fails."""
    segments = token.split(".")
    if len(segments) == ENCRYPTED and all(map(BASE64URL.fullmatch, segments)):
        raise EncryptedError("it is an encrypted refresh token, which only Cognito can read")
    if len(segments) != SIGNED:
        parts = f"{len(segments)} part{'s' if segments[1:] else ''}"
        raise FlawError(f"it has {parts} separated by dots, but a JWT has three")
    found = []
    for name, segment in zip(("header", "payload"), segments, strict=False):
        part = _decoded(segment)
        if not isinstance(part, dict):
            raise FlawError(f"its {name} can't be decoded to a JSON object")
        found.append(part)
    if not BASE64URL.fullmatch(segments[2]):
        raise FlawError("its signature isn't base64url text")
    return Parts(*found)


def _decoded(segment: str) -> Any:
    if not BASE64URL.fullmatch(segment):
        return None
    try:
        return strict_json(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode())
    except ValueError:
        return None


def tampered(token: str) -> str:
    """Return a signed token with a changed claim and its old signature."""
    header, payload, signature = token.split(".")
    claims = {**(_decoded(payload) or {}), "sub": "00000000-0000-0000-0000-000000000000"}
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"


def as_time(value: Any) -> float | None:
    """Return a token's time, in seconds since the epoch; None if the value isn't a valid time."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < LAST_TIME else None


def read(text: str) -> tuple[str, Parts]:
    """Extract a token from user input, also after ``Authorization:`` or ``Bearer``, unchecked.

    Raises UsageError if it can't be read; the message doesn't quote the text.
    """
    # Some editors write a byte order mark (U+FEFF).
    token = re.sub(r"(?i)\A[\s\ufeff]*(authorization:)?\s*(bearer\s)?\s*", "", text).rstrip()
    if not token:
        raise UsageError("There is no token: the input is empty.")
    try:
        return token, take_apart(token)
    except EncryptedError as error:
        raise UsageError(
            "The token is encrypted (five parts), like Cognito's refresh tokens: only the pool can "
            "read it.",
            hint="Give an ID token or an access token.",
        ) from error
    except FlawError as flaw:
        raise UsageError(
            f"That is not a token ({flaw}): a JWT is three parts of base64url text separated by "
            "dots, and the first two are JSON objects.",
            hint="Give a whole ID token or access token.",
        ) from flaw


def why_unverified(ctx: Context, http: requests.Session, token: str, claims: Any) -> str | None:
    """Return why a token isn't valid for the stack's pool; None if it is."""
    use = claims.get("token_use")
    # A tuple, because the claim may be any JSON, and a list can't be looked up in a set.
    if use not in ("id", "access"):
        return "its token_use is neither 'id' nor 'access'"
    try:
        validate(ctx, http, token, use)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        return str(error)
    return None


def validate(
    ctx: Context,
    http: requests.Session,
    token: str,
    use: str = "id",
    keys: list[jwt.PyJWK] | None = None,
) -> dict[str, Any]:
    """Check a token's signature, issuer, client, time and use, and return its claims.

    Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html

    The stack's pool must have issued it; ``use`` is its required use: ``id`` or ``access``.
    ``keys`` are the pool's, if they have been read before.
    Raises jwt.PyJWTError if it isn't valid, LoginError if the pool's keys can't be read.
    """
    key = _key_of(token, keys or read_keys(http, ctx.jwks_url))
    # ID tokens name the app client in aud, access tokens in client_id.
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
        raise jwt.InvalidTokenError("it was issued for another app client")
    return claims


def is_signed(ctx: Context, http: requests.Session, token: str, url: str | None = None) -> bool:
    """Return whether a token's signature is by the pool whose keys are at the URL, nothing else."""
    try:
        key = _key_of(token, read_keys(http, url or ctx.jwks_url))
        jwt.PyJWS().decode(token, key, algorithms=["RS256"])
    except jwt.PyJWTError:
        return False
    return True


def read_keys(http: requests.Session, url: str) -> list[jwt.PyJWK]:
    """Return a pool's public keys; raise LoginError if they can't be read."""
    answer = request(http, "GET", url)
    try:
        return jwt.PyJWKSet.from_dict(strict_json(answer.content.decode())).keys
    except (ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
        raise LoginError(
            f"The pool's public keys at {url} can't be read (HTTP {answer.status_code})."
        ) from error


def _key_of(token: str, keys: list[jwt.PyJWK]) -> jwt.PyJWK:
    key_id = jwt.get_unverified_header(token).get("kid")
    for key in keys:
        if key.key_id == key_id:
            return key
    raise jwt.InvalidTokenError("it wasn't signed with one of the pool's keys")
