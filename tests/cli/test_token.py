"""``cogauth token`` and ``decode``: whose token it is, and what is in it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.client import token_store
from cogauth.client.transport import strict_json
from support import sign_in_api
from support.called_api import POOL, SIGNATURE, Played, session, token
from support.commands import KEYS, in_process
from support.tokens import segment

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


# Whose tokens


def test_times_are_local(played: Played) -> None:
    assert " JST, in " in played.cli.run("token", "--decode", TZ="Asia/Tokyo").must().out


def test_whose_token_it_is_must_be_clear(played: Played) -> None:
    token_store.store(played.state, "ben", session())
    for command in (("call", "GET", "/hello"), ("curl", "GET", "/hello"), ("token",)):
        played.refuse(*command, says="Several users are signed in: ann, ben. Give --username NAME.")
    played.state.tokens_path.unlink()
    played.refuse("token", says="Nobody is signed in yet. Run ")


def test_without_a_stack_there_is_no_token(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    no_credentials.chdir(tmp_path)
    for command in (("call", "GET", "/hello"), ("curl", "GET", "/"), ("token",), ("users",)):
        assert "There is no stack here" in in_process(*command).must(2).err


# decode


def decode(text: str | bytes, *words: str, code: int = 0) -> str:
    """Run 'decode' where there is no stack."""
    done = in_process("decode", "--state", "/nowhere/state.json", *words, typed=text).must(code)
    return done.out + done.err


parts = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
times = st.dictionaries(
    st.sampled_from(["exp", "iat", "nbf", "auth_time", "iss"]),
    st.integers() | st.floats() | st.text() | st.none() | st.lists(st.integers()),
)


@given(st.text() | st.binary() | st.text(alphabet="eyJ.=_- \nBearer:", max_size=40))
def test_what_is_no_token_is_refused_and_not_repeated(text: str | bytes) -> None:
    said = decode(text, code=2)
    assert said.count("\n") == 1
    # The error is always one of these few sentences.
    known = ("There is no token", "That is not a token", "The token is encrypted (five parts)")
    assert said.startswith(tuple(f"Error: {each}" for each in known))


@given(parts, parts, times)
def test_whatever_a_token_says_is_shown_in_plain_lines(
    header: dict[str, Any], claims: dict[str, Any], more: dict[str, Any]
) -> None:
    text = f"{segment(header)}.{segment({**claims, **more})}.{SIGNATURE}"
    try:
        strict_json(json.dumps([header, claims, more]))
    except ValueError:
        decode(text, code=2)
        return
    shown = decode(text)
    assert SIGNATURE not in shown
    assert shown.replace("\n", "").isprintable()
    assert shown.splitlines()[-1].startswith("✗ Not verified: there is no stack here")
    document = json.loads(decode(text, "--json"))
    assert document["header"] == json.loads(json.dumps(header))
    assert (document["verified"], document["reason"] is None) == (False, False)


@pytest.mark.parametrize("before", ["", "Authorization: ", "authorization:Bearer ", " bearer\t"])
def test_a_header_is_taken_for_the_token_in_it(before: str) -> None:
    assert "token_use         id\n" in decode(f"{before}{token()}\n\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There is no token: the input is empty"),
        ("Authorization: ", "There is no token: the input is empty"),
        ("a.b.c.d.e", "is encrypted (five parts), like Cognito's refresh tokens"),
        ("a" * 70000, "it is longer than 65536 bytes"),
        (f"{segment([])}.{segment({})}.x", "That is not a token"),
        (f"{token()}\n{token()}", "That is not a token"),
        (f"{segment({})}.{'WyJ' * 3000}.x", "That is not a token"),
        (b"\xff\xfd", "That is not a token"),
        (b"\xff\xfe", "There is no token: the input is empty"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str | bytes, says: str) -> None:
    assert says in decode(text, code=2)


def test_a_time_of_any_kind_is_shown() -> None:
    now = int(time.time())
    for value, shown in (
        # On a busy machine, the command may run noticeably later.
        (now - 30, r" s ago"),
        (now + 3050, r", in 50 min \d\d? s"),
        (now - 5 * 3600 - 5, ", 5 h ago"),
        (now + 30 * 86400 + 600, ", in 30 days"),
        (10**30, str(10**30)),
        ("soon", "soon"),
        ([1], r"\[1\]"),
    ):
        line = next(line for line in decode(token(exp=value)).splitlines() if "exp  " in line)
        assert re.search(f"{shown}$", line)


def test_a_token_of_another_issuer_is_not_asked_the_pool_about(played: Played) -> None:
    played.server.requests.clear()
    document = played.run("decode", "--json", typed=token(iss="https://a/b")).document
    assert document["verified"] is False
    assert document["reason"] == (
        f"another issuer issued it, https://a/b; the stack's user pool is {POOL}"
    )
    assert played.server.requests == []


def test_a_pool_that_can_not_be_asked_is_a_reason_too(
    played: Played, no_credentials: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        no_credentials.delenv(name)
    done = played.run("decode", typed=token())
    assert "Not verified: No AWS credentials were found." in done.out


@pytest.mark.parametrize("value", [[], {}, ["id"], 7, None])
def test_decode_shows_a_token_of_any_use(cli: Cli, api: sign_in_api.Api, value: Any) -> None:
    sign_in_api.stack_at(cli, api.server.url).save()
    given = {"COGAUTH_ENDPOINT_URL": api.server.url, "COGAUTH_JSON": "1"}
    done = cli.run("decode", typed=sign_in_api.token(token_use=value), **given).must()
    assert done.document["reason"] == "its token_use is neither 'id' nor 'access'"
