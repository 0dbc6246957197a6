"""What the page shows of the stack where something can't be read, and of every kind of guard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cogauth.gateway.rest_apis import COGNITO, IAM, Guard, Route
from cogauth.page import shown

if TYPE_CHECKING:
    from cogauth.page.stack import Stack
    from support.called_api import Played


def test_where_the_pools_keys_cant_be_read_a_token_is_neither_good_nor_bad(of: Stack) -> None:
    (session,) = shown.sessions(of)["sessions"]
    assert session["username"] == "ann"
    for use in ("id", "access"):
        assert session[use]["claims"]["token_use"] == use
        assert session[use]["verified"] is None
        assert "/.well-known/jwks.json" in session[use]["why"]
    assert session["expires"] == session["id"]["claims"]["exp"]


def test_a_stage_that_is_gone_is_told_in_place_of_its_methods(of: Stack, played: Played) -> None:
    played.state.settings = replace(played.state.settings, stage="gone")
    (api,) = shown.methods(of)["apis"]
    assert (api["stage"], api["methods"]) == ("gone", [])
    assert api["problem"] == "The API api1 has no stage gone any more."


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (Guard(), "open to anyone"),
        (Guard(api_key=True), "an API key"),
        (Guard(IAM), "AWS credentials (AWS_IAM)"),
        (Guard(IAM, api_key=True), "AWS credentials (AWS_IAM) and an API key"),
        (Guard("CUSTOM", authorizer="theirs"), "the authorizer theirs (CUSTOM)"),
        (Guard(COGNITO, pools=("ours",)), "this stack's user pool, ID tokens"),
        (
            Guard(COGNITO, pools=("theirs", "ours"), scopes=("a/b",)),
            "this stack's user pool, access tokens with a scope",
        ),
        (Guard(COGNITO, pools=("theirs",)), "another user pool, ID tokens"),
    ],
)
def test_a_guard_in_words(guard: Guard, words: str, of: Stack, played: Played) -> None:
    played.state.resources["user_pool"]["arn"] = "ours"
    method = Route("GET", "/hello", guard, "MOCK", None)
    assert shown._guard(of.context(), method) == words  # noqa: SLF001 no server has them all
