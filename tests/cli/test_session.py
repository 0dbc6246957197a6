"""Passwords on stdin and on a terminal: where they come from, and which are none."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.cli.session import live_policy
from cogauth.steps.cognito import POLICY_KEYS
from support.calls import refusal
from support.mistakes import reads_well
from support.sign_in_api import BOTH, MUST_CHOOSE, NEW_PASSWORD, OLD, PASSWORD, Api, bodies
from support.stacks import update_pool

if TYPE_CHECKING:
    from support.commands import Cli
    from support.servers import Fixed
    from support.user_pool import Pool

# For the fixtures.
pytest_plugins = ["support.mistakes", "support.sign_in_api", "support.user_pool"]


def test_the_new_password_is_the_second_line_of_stdin(cli: Cli, temporary: Api) -> None:
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin", "--json")
    for end in ("", "\n", "\r\nmore\n"):
        done = cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}{end}").must()
        assert (done.document["status"], done.document["is_new"]) == ("success", False)
        assert NEW_PASSWORD not in done.out + done.err + cli.state.read_text()
        assert bodies(temporary) == [OLD, BOTH]
        temporary.server.requests.clear()
        temporary.sign_in.insert(0, MUST_CHOOSE)
    data = codecs.BOM_UTF16_LE + f"{PASSWORD}\n{NEW_PASSWORD}\n".encode("utf-16-le")
    cli.run(*words, typed=data).must()
    assert bodies(temporary) == [OLD, BOTH]


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("--new-password-stdin",), f"{PASSWORD}\n{NEW_PASSWORD}\n", "give --password-stdin too"),
        (("--password-stdin", "--new-password-stdin"), PASSWORD, "The new password is empty"),
        (("--password-stdin", "--new-password-stdin"), f"\n{PASSWORD}", "The password is empty"),
    ],
)
def test_a_new_password_without_its_line_is_none(
    cli: Cli, temporary: Api, words: tuple[str, ...], typed: str, said: str
) -> None:
    assert said in cli.run("test-login", "ann", *words, typed=typed).must(2).err
    assert temporary.sent("/signin") == []


@pytest.mark.parametrize("command", ["test-login", "token"])
def test_on_a_terminal_the_new_password_is_asked_for_twice(
    cli: Cli, temporary: Api, command: str
) -> None:
    running = cli.on_terminal(command, "ann", COGAUTH_PASSWORD=PASSWORD)
    running.see("New password: ")
    assert "The new password needs at least 8 characters" in running.plain
    running.type(f"{NEW_PASSWORD}\n")
    running.see("The same again: ")
    running.type("another\n")
    running.see("New password: (.|\n)*New password: ")
    for question in ("The same again: (.|\n)*The same again: ", "$"):
        running.type(f"{NEW_PASSWORD}\n")
        running.see(question)
    assert running.ended() == 0
    assert NEW_PASSWORD not in running.text
    assert bodies(temporary) == [OLD, BOTH]


def test_a_question_for_a_password_quotes_the_pools_own_policy(pool: Pool) -> None:
    ctx = pool.account.context()
    classes = dict.fromkeys(POLICY_KEYS.values(), False)
    update_pool(pool.account, Policies={"PasswordPolicy": {**classes, "MinimumLength": 12}})
    assert live_policy(ctx) == "at least 12 characters"
    # Who may not read it gets the stack's.
    denied = refusal(400, "AccessDeniedException", "No.")
    with pool.account.calls.watched(lambda _: denied):
        assert live_policy(ctx).startswith("at least 8 characters, with ")


@pytest.mark.parametrize("form", [["--password", PASSWORD], [f"--password={PASSWORD}"]])
def test_a_password_is_not_taken_from_the_command_line(
    cli: Cli, existing: dict[str, Any], silent: Fixed, form: list[str]
) -> None:
    assert existing
    done = cli.run("test-login", "--username", "ann", *form).must(2)
    assert "No such option" in done.err
    assert PASSWORD not in done.err
    assert silent.requests == []


def test_a_missing_password_is_said_to_be_missing(
    cli: Cli, existing: dict[str, Any], silent: Fixed
) -> None:
    assert existing
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    for typed, words, said in (
        (b"", [], "No password was given, and stdin is not a terminal"),
        (b"", ["--password-stdin"], "The password is empty"),
        (b"\n", ["--password-stdin"], "The password is empty"),
        (b"\xff\xfe\n", ["--password-stdin"], "not UTF-8"),
    ):
        done = cli.run("test-login", "--username", "ann", *words, typed=typed, **strict)
        reads_well(done, said, code=2)
    assert silent.requests == []
