"""Errors as JSON: a code of a closed set, what failed, and what to do."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cogauth import errors
from cogauth.cli.failures import as_ours, code_of
from cogauth.errors import CODES, CogauthError, parted
from support.commands import in_process

if TYPE_CHECKING:
    from pathlib import Path


def aws(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateUserPool")


def test_each_error_has_a_code_of_the_set() -> None:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
    ours = [one for one in classes if issubclass(one, CogauthError)]
    assert len(ours) > 10
    assert {one.code for one in ours} <= set(CODES)


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
    assert code_of(error, ours) == code
    if not isinstance(error, CogauthError):
        wrapping = CogauthError("Creating the user pool failed.")
        wrapping.__cause__ = error
        assert code_of(wrapping, wrapping) == (code if code != "defect" else "failed")


@given(st.text())
def test_nothing_of_a_text_is_lost(text: str) -> None:
    message, hint = parted(text)
    joined = "".join((message + (hint or "")).split()).casefold()
    assert joined == "".join(text.split()).casefold()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "The pool is gone. Run 'cogauth up' first.",
            "The pool is gone.",
            "Run 'cogauth up' first.",
        ),
        ("No stack here. Nothing was done.", "No stack here. Nothing was done.", None),
        ("--x '' can't be used. Give 1 or 2.", "--x '' can't be used.", "Give 1 or 2."),
    ],
)
def test_the_remedy_is_apart(text: str, message: str, hint: str | None) -> None:
    assert parted(text) == (message, hint)


def test_a_missing_stack_has_a_code(tmp_path: Path) -> None:
    words = ("--state", str(tmp_path / "none.json"), "--json")
    for command, exit_code in (("users", 2), ("outputs", 1)):
        done = in_process(command, *words).must(exit_code)
        assert done.document["error"]["code"] == "no_stack"
        assert "There is no stack here" in done.error
        assert "cogauth up" in done.document["error"]["hint"]
