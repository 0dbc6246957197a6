"""The options that all commands share, and what becomes of an error."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

from cogauth.cli.options import Target
from cogauth.cli.output import confirm

if TYPE_CHECKING:
    import pytest

    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.mistakes"]


def test_a_commands_time_is_without_the_users_thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Thinker(io.StringIO):
        def readline(self, *_: object) -> str:  # type: ignore[override]
            now[0] += 500
            return "y\n"

    monkeypatch.setattr(sys, "stdin", Thinker())
    target = Target("shop", None, None, None, None, as_json=False, debug=False, begun=now[0])
    now[0] += 2
    assert confirm("Delete the stack?")
    now[0] += 1
    assert target.elapsed == 3


def test_an_error_is_one_json_document_too(cli: Cli) -> None:
    done = cli.run("up", "--tier", "FREE", "--json").must(2)
    assert list(done.document) == ["error"]
    assert done.error.startswith("--tier 'FREE' can't be used")
    assert done.document["error"]["message"] in done.err


def test_only_debug_shows_a_traceback(cli: Cli) -> None:
    plain = cli.run("up", "--tier", "FREE").must(2)
    debug = cli.run("up", "--tier", "FREE", "--debug")
    assert debug.code == 2
    assert debug.out == ""
    assert "Traceback (most recent call last)" in debug.err
    assert debug.err.endswith(plain.err)
    both = cli.run("up", "--tier", "FREE", "--debug", "--json")
    assert list(both.document) == ["error"]
    assert "Traceback" in cli.run("up", "--tier", "FREE", COGAUTH_DEBUG="1").err


def test_a_state_file_that_is_a_link_to_itself(cli: Cli) -> None:
    cli.state.parent.mkdir()
    cli.state.symlink_to(cli.state)
    for words in (["up"], ["down"], ["up", "--state", str(cli.state)]):
        assert "the link leads to itself" in cli.run(*words).must(2).err


def test_an_error_of_a_value_is_a_json_document_too(cli: Cli) -> None:
    for words, env in (
        (["up", "--json", "--settle", "soon"], {}),
        (["users", "--json", "--nothing"], {}),
        (["attach"], {"COGAUTH_JSON": "1"}),
    ):
        done = cli.run(*words, **env).must(2)
        assert list(done.document) == ["error"]
        assert done.document["error"]["message"] in done.err


def test_a_token_on_the_command_line_is_refused_in_json_too(cli: Cli) -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.sig"
    done = cli.run("decode", "--json", token).must(2)
    assert "There is a token on the command line" in done.error
    assert token not in done.out + done.err
