"""The ID token of a sign-in, checked with the pool's public keys: what holds and what doesn't."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from cogauth.client import tokens
from cogauth.client.transport import http_session
from support.called_api import CLIENT, POOL
from support.sampling import examples
from support.servers import Answer
from support.sign_in_api import (
    BAD_TOKENS,
    ISSUER,
    OTHER_KEY,
    POOLS_KEY,
    Api,
    key_set,
    login,
    refusal,
    success,
    token,
)
from support.tokens import segment

if TYPE_CHECKING:
    from cogauth.context import Context

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


def test_a_clock_that_is_some_seconds_off_does_no_harm(ctx: Context, api: Api) -> None:
    now = int(time.time())
    api.sign_in = [success(token(iat=now + 10, exp=now - 10))]
    assert login(ctx).problems == ()


def test_the_pools_second_key_is_as_good_as_its_first(ctx: Context, api: Api) -> None:
    api.keys = Answer(200, key_set(OTHER_KEY, POOLS_KEY))
    api.sign_in = [success(token(kid="key2"))]
    assert login(ctx).problems == ()


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_token_that_does_not_hold_is_a_problem(ctx: Context, api: Api, name: str) -> None:
    make, said = BAD_TOKENS[name]
    api.sign_in = [success(make())]
    result = login(ctx)
    (problem,) = result.problems
    assert problem.startswith("The ID token isn't valid: ")
    assert said in problem
    assert result.claims is None


FINITE = st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
READ = ("sub", "iss", "aud", "client_id", "token_use", "iat", "nbf", "exp", "auth_time", "jti")


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.fixed_dictionaries({}, optional=dict.fromkeys(READ, any_json)),
    header=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("alg", "kid", "typ", "crit"), any_json)
    ),
)
def test_whatever_a_token_says_it_can_be_said_whether_it_holds(
    ctx: Context, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    # Signed by the pool, so that everything is checked; then with a header that isn't signed.
    known = {"token_use": "id", "iss": ISSUER, "aud": CLIENT, "sub": "s", "iat": 1, "exp": 2**40}
    said = json.dumps({**known, **claims}).encode()
    signed = jwt.PyJWS().encode(said, POOLS_KEY, "RS256", headers={"kid": "key1"})
    changed = {"alg": "RS256", "kid": "key1", **header}
    for text in (signed, f"{segment(changed)}.{signed.partition('.')[2]}"):
        found, parts = tokens.read(text)
        http = http_session(ctx.url("/"), ctx.aws)
        why = tokens.why_unverified(ctx, http, found, parts.claims)
        assert why is None or isinstance(why, str)


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "RSA"}]}',
        '{"keys": 7}',
        '{"keys": [7]}',
        "<html>",
        "[" * 100_000,
        f'{{"keys": {"9" * 5000}}}',
    ],
)
def test_keys_that_are_none_are_an_error(ctx: Context, api: Api, keys: str) -> None:
    api.keys = Answer(200, keys)
    said = refusal(ctx)
    assert f"{api.server.url}/{POOL}/.well-known/jwks.json" in said
