"""A login checked against a server that does things the local AWS never does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.servers import Answer
from support.sign_in_api import GATEWAY_FAILS, NOT_DEPLOYED, PASSWORD, Api, login

if TYPE_CHECKING:
    from cogauth.context import Context
    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


def test_a_login_that_holds(ctx: Context, api: Api, told: list[str]) -> None:
    result = login(ctx)
    assert result.problems == ()
    assert (result.status, result.is_new, result.user_id) == ("success", True, "sub1")
    assert result.claims
    assert result.claims["cognito:username"] == "ann"
    assert result.protected
    assert (result.protected["without_token"], result.protected["with_token"]) == (401, 200)
    assert told == []
    (post,) = api.sent("/signin")
    assert post.method == "POST"
    assert json.loads(post.body) == {"username": "ann", "password": PASSWORD}
    assert "Authorization" not in post.headers
    assert [r.headers.get("Authorization") for r in api.sent("/hello")] == [
        None,
        result.tokens["id_token"],
    ]
    assert all(PASSWORD not in repr(thing) for thing in (result, result.to_json()))
    assert result.tokens["id_token"] not in repr(result)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"without_token": [Answer(200)]}, "Without a token"),
        ({"with_token": [Answer(401)]}, "With the token"),
        ({"with_token": [Answer(404)]}, "answers 404, not 200"),
    ],
)
def test_a_guard_that_does_not_guard_is_a_problem(
    cli: Cli, ctx: Context, api: Api, changed: dict[str, list[Answer]], said: str
) -> None:
    for name, answers in changed.items():
        setattr(api, name, answers)
    (problem,) = login(ctx).problems
    assert said in problem
    ctx.state.save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    assert problem in cli.login("ann", PASSWORD).must(1).err


def test_the_protected_method_is_waited_for_too(ctx: Context, api: Api, told: list[str]) -> None:
    api.without_token = [NOT_DEPLOYED, GATEWAY_FAILS, Answer(401)]
    api.with_token = [GATEWAY_FAILS, Answer(200)]
    assert login(ctx).problems == ()
    assert set(told) == {"the guarded method to answer"}


def test_what_the_sign_in_itself_answers_is_not_asked_for_again(
    ctx: Context, api: Api, told: list[str]
) -> None:
    """Each attempt with a wrong password counts towards Cognito's lockout."""
    for status, code, logs in (
        (401, "wrong_credentials", None),
        (403, "user_disabled", None),
        (403, "sign_up_refused", "logs"),
        (500, "timeout", "logs sign-in"),
        (500, "trigger_failed", "logs"),
        (500, "client_secret_unreadable", "logs sign-in"),
        (500, "internal_error", "logs sign-in"),
    ):
        api.server.requests.clear()
        body = {"status": "fail", "msg": "said so", "code": code}
        api.sign_in = [Answer(status, json.dumps(body))]
        result = login(ctx)
        assert (result.http_status, result.code) == (status, code)
        said = f"The login was refused: said so ({code})."
        command = ctx.state.command(f"{logs} --since 10m")
        assert result.problems == (f"{said} Run '{command}' to see why." if logs else said,)
        assert len(api.sent("/signin")) == 1
    assert told == []
