"""The errors that users meet: their codes and lines, and the tokens that they must not quote."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth import errors
from cogauth.errors import CODES, CogauthError, holds_token
from support.tokens import segment


def test_each_error_has_a_code_of_the_set() -> None:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
    ours = [one for one in classes if issubclass(one, CogauthError)]
    assert len(ours) > 10
    assert {one.code for one in ours} <= set(CODES)


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (CogauthError("It is gone.", hint="Run it."), ["It is gone. Run it."]),
        (CogauthError("--x '' can't be used", hint="Give 1."), ["--x '' can't be used: give 1."]),
        (CogauthError("It was left alone."), ["It was left alone."]),
        (CogauthError("Two:", "  a", "  b", hint="Take one."), ["Two:", "  a", "  b", "Take one."]),
        (CogauthError("Two:", "  a", "  b"), ["Two:", "  a", "  b"]),
    ],
)
def test_what_to_do_comes_last(error: CogauthError, lines: list[str]) -> None:
    assert list(error.lines) == lines
    assert str(error) == " ".join(lines)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ"]), st.text(), min_size=1), st.text())
def test_the_beginning_of_any_token_is_seen(header: dict[str, str], before: str) -> None:
    text = f"{before} {segment(header)}.e30.x"
    assert holds_token(text)
    assert holds_token(text[: len(before) + 13])


def test_an_error_of_several_lines_keeps_them() -> None:
    error = CogauthError("one", "two\nFORGED")
    assert error.lines == ("one", "two\nFORGED")
    assert str(error) == "one two\nFORGED"
