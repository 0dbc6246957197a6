"""Errors as JSON: a code from a closed set, what failed, and what to do."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

import cogauth
from cogauth import errors
from cogauth.aws.errors import failure
from cogauth.cli.failures import as_ours, error_code
from cogauth.errors import CogauthError
from support.commands import Cli, in_process
from support.forker import REMEDY


def aws(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateUserPool")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (aws("ExpiredToken"), "credentials"),
        (aws("AccessDeniedException"), "permission"),
        (aws("LimitExceededException"), "quota"),
        (aws("TooManyRequestsException"), "throttled"),
        (aws("InvalidParameterException"), "aws"),
        (exceptions.NoCredentialsError(), "credentials"),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), "unreachable"),
        (FileNotFoundError(2, "No such file", "x"), "file"),
        (KeyError("x"), "defect"),
        (errors.DamagedStateError("x"), "state_damaged"),
        (CogauthError("x"), "failed"),
    ],
)
def test_an_error_has_the_code_of_what_it_came_of(error: Exception, code: str) -> None:
    ours = as_ours(error)
    assert ours is not None
    assert error_code(error, ours) == code
    if not isinstance(error, CogauthError):
        wrapping = CogauthError("Creating the user pool failed.")
        wrapping.__cause__ = error
        assert error_code(wrapping, wrapping) == (code if code != "defect" else "failed")


OURS = {name for name, one in inspect.getmembers(errors, inspect.isclass)} | {
    *("NotKeptError", "SessionOverError"),
}


def raised() -> list[tuple[str, ast.Call]]:
    return [
        (path.name, node)
        for path in Path(cogauth.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OURS
    ]


def text_of(node: ast.expr) -> str:
    """The literal text of an expression, with … for each value that is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def test_no_message_says_what_to_do() -> None:
    calls = raised()
    assert len(calls) > 100
    messages = [(name, text_of(arg)) for name, call in calls for arg in call.args]
    assert [each for each in messages if REMEDY.search(each[1])] == []
    hints = [text_of(word.value) for _, call in calls for word in call.keywords]
    assert len(hints) > 100
    assert [hint for hint in hints if hint[0].islower()] == []


@pytest.mark.parametrize(
    "text", ["No stack. Run 'cogauth up'.", "--x can't be used: give 1.", "No. If so, delete it."]
)
def test_and_such_a_message_would_be_seen(text: str) -> None:
    assert REMEDY.search(text)


def test_a_mistyped_command_line_has_a_hint(cli: Cli) -> None:
    done = cli.run("users", "--jsn", "--json").must(2)
    error = done.document["error"]
    assert error["code"] == "usage"
    assert error["hint"] == "Try 'cogauth users list --help' for help."
    assert error["hint"] in done.err
    done = cli.run("outputs", "--format", "env", "--json").must(2)
    assert done.document["error"]["hint"] == "Give one of them."
    assert "Error: --json and --format env exclude each other: give one of them." in done.err


@pytest.mark.parametrize(
    "error",
    [
        *map(aws, ["ExpiredToken", "InvalidSignatureException", "AccessDenied", "Throttling"]),
        *map(aws, ["LimitExceededException", "RequestTimeTooSkewed", "OptInRequired", ""]),
        exceptions.NoCredentialsError(),
        exceptions.EndpointConnectionError(endpoint_url="https://x"),
        exceptions.ProfileNotFound(profile=""),
        KeyError("x"),
    ],
)
def test_an_error_of_aws_s_has_a_hint(error: Exception) -> None:
    ours = as_ours(error)
    assert ours is not None
    assert ours.hint
    assert not REMEDY.search(ours.message)
    failed = failure("Creating the user pool", error, after="Nothing is lost.", hint="Run it.")
    assert failed.message.endswith("Nothing is lost.")
    if not isinstance(error, KeyError):
        assert failed.hint == f"{ours.hint} Run it."


def test_a_missing_stack_has_a_code(tmp_path: Path) -> None:
    words = ("--state", str(tmp_path / "none.json"), "--json")
    for command, exit_code in (("users", 2), ("outputs", 1)):
        done = in_process(command, *words).must(exit_code)
        assert done.document["error"]["code"] == "no_stack"
        assert "There is no stack here" in done.error
        assert "cogauth up" in done.document["error"]["hint"]
