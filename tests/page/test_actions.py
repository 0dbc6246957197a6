"""What the page does when asked: what it sends, and what it shows of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.client import token_store
from cogauth.errors import UsageError
from cogauth.page import actions
from cogauth.page.actions import INDENTED, SHOWN
from support.called_api import BASE, Played
from support.servers import Answer

if TYPE_CHECKING:
    from cogauth.page.stack import Stack

HELLO = {"api": "api1", "stage": "dev", "method": "GET", "path": "/hello", "username": "ann"}


def test_an_answer_that_repeats_the_token_is_shown_without_it(played: Played, of: Stack) -> None:
    token = token_store.stored(played.state)["ann"]["id_token"]
    body = json.dumps({"got": token})
    played.gateway.answers[f"{BASE}/hello"] = Answer(200, body, {"X-Got": f"it was {token}"})
    shown = actions.call(of, {**HELLO, "token": "id"})
    (sent,) = played.gateway.requests
    assert sent.headers["Authorization"] == token
    assert shown["body"] == '{\n  "got": "(the token)"\n}'
    assert shown["headers"]["X-Got"] == "it was (the token)"


@pytest.mark.parametrize(
    ("length", "is_json", "end"),
    [
        (INDENTED, True, '"'),
        (INDENTED + 1, False, '"'),
        (SHOWN + 7, False, "… and 7 more characters"),
    ],
)
def test_a_long_answer_is_shown_as_it_came_and_a_very_long_one_in_part(
    played: Played, of: Stack, length: int, end: str, *, is_json: bool
) -> None:
    played.gateway.answers[f"{BASE}/hello"] = Answer(200, json.dumps((length - 2) * "a"))
    shown = actions.call(of, {**HELLO, "token": "id"})
    assert (shown["is_json"], shown["body"][-len(end) :]) == (is_json, end)
    assert len(shown["body"].partition("\n")[0]) == min(length, SHOWN)


def test_a_paths_parameters_are_filled_in_as_segments_and_a_greedy_one_as_several(
    played: Played, of: Stack
) -> None:
    path = {"path": "/pets/{pet}/{rest+}", "parameters": {"pet": "a/b é", "rest+": "c/d"}}
    actions.call(of, {**HELLO, **path, "token": "none", "query": "?x=1"})
    (sent,) = played.gateway.requests
    assert sent.path == f"{BASE}/pets/a%2Fb%20%C3%A9/c/d?x=1"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"path": "hello"}, "is invalid"),
        ({"path": "/../x"}, "would leave the stage"),
        ({"path": "/{id}"}, "lacks a parameter"),
        ({"path": "/{id}", "parameters": {"id": ""}}, "is empty"),
        ({"query": "a\nb"}, "control character"),
        ({"headers": [["Host", "x"]]}, "The header Host can't be given"),
        ({"headers": [["a", "b\r\nc: d"]]}, "is invalid"),
        ({"headers": [["Authorization", "x"]]}, "carries the token"),
        ({"body": "{", "method": "POST"}, "isn't JSON"),
        ({"token": "secret"}, "is unknown"),
        ({"token": "id", "username": None}, "lacks the text 'username'"),
        ({"stage": "nowhere"}, "nowhere"),
        ({"method": 7}, "lacks the text 'method'"),
        ({"method": "GET / HTTP/1.1\r\nX: y"}, "is unknown"),
        ({"headers": 7}, "headers"),
        ({"headers": [7]}, "headers"),
        ({"parameters": [1]}, "parameters"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_sent_is_named(
    played: Played, of: Stack, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        actions.call(of, {**HELLO, "token": "none", **changed})
    assert said in refused.value.message
    assert played.gateway.requests == []
