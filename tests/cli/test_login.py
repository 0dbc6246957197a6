"""``cogauth test-login``: what it shows, and how a temporary password is replaced."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from cogauth.cli import cli as program
from cogauth.client.signin import READY_WITHIN_S
from support.mistakes import reads_well
from support.screen import Screen
from support.servers import Answer
from support.sign_in_api import (
    BAD_TOKENS,
    GATEWAY_FAILS,
    MUST_CHOOSE,
    NEW_PASSWORD,
    NOT_DEPLOYED,
    OLD,
    PASSWORD,
    Api,
    bodies,
    stack_at,
    success,
    token,
)

if TYPE_CHECKING:
    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.mistakes", "support.sign_in_api"]


@pytest.mark.parametrize("name", ["another key under the pool's name", "expired"])
def test_the_command_fails_over_a_token_that_does_not_hold(cli: Cli, api: Api, name: str) -> None:
    make, said = BAD_TOKENS[name]
    api.sign_in = [success(make())]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--json").must(1)
    assert done.document["status"] == "success"
    assert done.document["claims"] is None
    assert f"Error: The ID token isn't valid: {said}" in done.err


def test_the_command_says_once_that_it_waits(cli: Cli, api: Api) -> None:
    api.sign_in = [NOT_DEPLOYED, GATEWAY_FAILS, success(token())]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--json").must()
    assert done.document["is_new"] is True
    # Before that, it looked for missing resources.
    told = re.fullmatch(r"waiting for the new deployment to answer, up to (\d+) s\n", done.err)
    assert told
    assert READY_WITHIN_S - 15 < int(told[1]) <= READY_WITHIN_S


def test_the_results_are_green_or_red_on_a_terminal_alone(
    cli: Cli, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_at(cli, api.server.url).save()
    given = {**cli.env, "COGAUTH_ENDPOINT_URL": api.server.url, "COGAUTH_PASSWORD": PASSWORD}
    for name, value in {**given, "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(*, is_terminal: bool = True) -> Screen:
        screen = Screen()
        monkeypatch.setattr(screen, "isatty", lambda: is_terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        words = ("test-login", "ann", "--state", str(cli.state))
        program.main(words, standalone_mode=False)
        return screen

    green, red = "32", "31"
    screen = shown()
    for line in ("200 a new user", "ID token: signature valid", "401 without", "200 with token"):
        assert screen.colour(line) == green
    api.with_token = [Answer(404)]
    screen = shown()
    assert screen.colour("✗ 404 with token") == screen.colour("Error: With the token") == red
    api.sign_in = [Answer(401, json.dumps({"status": "fail", "msg": "no", "code": "x"}))]
    assert shown().colour("✗ 401 refused") == red
    assert "\x1b" not in shown(is_terminal=False).getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown().getvalue()


def test_who_needs_no_new_password_keeps_the_present_one(cli: Cli, temporary: Api) -> None:
    temporary.sign_in = [success(token())]
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin")
    cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}\n").must()
    assert bodies(temporary) == [OLD]


def test_without_a_new_password_the_way_to_give_one_is_told(cli: Cli, temporary: Api) -> None:
    done = cli.login("ann", PASSWORD).must(1)
    assert "(new_password_required). Give the new one on a terminal" in done.err
    assert bodies(temporary) == [OLD]
    temporary.sign_in = [MUST_CHOOSE]
    done = cli.run("token", "ann", COGAUTH_PASSWORD=PASSWORD).must(1)
    assert "ann has a temporary password and must choose a new one." in done.err
    assert "Run 'cogauth test-login ann" in done.err


def test_a_new_password_that_is_refused_is_a_problem(cli: Cli, temporary: Api) -> None:
    refused = {"status": "fail", "msg": "Too short.", "code": "password_policy"}
    temporary.sign_in[1:] = [Answer(400, json.dumps(refused))]
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin")
    done = cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}\n").must(1)
    assert "The login was refused: Too short. (password_policy)." in done.err
    assert "Give the new one" not in done.err


def test_neither_password_nor_token_is_in_what_debug_shows(cli: Cli, api: Api) -> None:
    api.sign_in = [Answer(200, "<html>")]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert PASSWORD not in done.err + done.out


def test_a_login_without_a_stack_says_what_to_do(cli: Cli) -> None:
    done = cli.run("test-login", "--username", "ann", COGAUTH_PASSWORD=PASSWORD)
    reads_well(done, "There is no stack here", ".cogauth/cogauth.json", "cogauth up", code=2)
