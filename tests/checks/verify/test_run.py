"""What ``verify`` makes of tokens that are none, and of stored ones."""
# ruff: noqa: SLF001 a part of a run is asked, with tokens that no stack gives at will

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cogauth.checks.verify.run import _Run, checked_tokens
from cogauth.checks.verify.subject import Subject
from cogauth.client import token_store
from cogauth.errors import LoginError
from support.sign_in_api import OTHER_KEY, token

if TYPE_CHECKING:
    from cogauth.context import Context
    from support.sign_in_api import Api

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


def test_a_sign_ins_tokens_are_returned_without_the_refresh_token() -> None:
    answer = {"id_token": token(), "access_token": token(), "refresh_token": "r"}
    found = checked_tokens(answer, "/signin")
    assert found == {name: answer[name] for name in ("id_token", "access_token")}


@pytest.mark.parametrize("name", ["id_token", "access_token"])
@pytest.mark.parametrize("text", ["", "x", "a.b.c", "W10.W10.x", "a.b.c.d.e"])
def test_what_is_no_token_is_an_error_that_does_not_quote_it(name: str, text: str) -> None:
    answer = {"id_token": token(), "access_token": token(), name: text}
    with pytest.raises(LoginError, match=rf"POST /signin answers an {name} that isn't a") as caught:
        checked_tokens(answer, "/signin")
    assert len(text) < 2 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("claims", "key", "counts"),
    [
        ({"exp": 1}, None, True),
        ({"exp": 1}, OTHER_KEY, False),
        ({}, None, False),
        *(({"exp": end}, None, False) for end in (10**400, "1", None, True, -1)),
    ],
)
def test_only_an_expired_token_of_the_pool_is_used_as_one(
    ctx: Context, api: Api, claims: dict[str, Any], key: Any, *, counts: bool
) -> None:
    made = token(**claims, **({"key": key} if key else {}))
    ctx.state.save()
    kept = {"id_token": made, "access_token": "x", "refresh_token": "y"}
    token_store.store(ctx.state, "ann", kept)
    subject = Subject("api1", "dev", ctx.url(""), 0, ())
    found = _Run(ctx, subject, lambda _row: None)._expired_tokens()
    assert found == ({"id_token": made} if counts else {})
    # The pool's keys are asked for, and the token is sent to nobody.
    assert made not in str(api.server.requests)
