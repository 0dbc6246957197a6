"""Lines on a terminal: wrapped at words, with commands that run exactly as printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.cli import output
from cogauth.cli.output import runnable, wrapped
from support.commands import in_process

if TYPE_CHECKING:
    from pathlib import Path


COMMAND = "'cogauth attach --api orders --path /orders --stack shop'"
URL = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/dev/hello"
WORDS = st.lists(
    st.text("abcxyz,.:;-é山", min_size=1, max_size=12) | st.sampled_from([COMMAND, URL]), min_size=1
)


@given(WORDS, st.integers(20, 120), st.integers(0, 6))
def test_a_line_is_wrapped_between_words_alone(words: list[str], width: int, indent: int) -> None:
    text = " " * indent + " ".join(words)
    lines = wrapped(text, width)
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    units = {*words, *(word + mark for word in (COMMAND, URL) for mark in ".,;:")}
    for line in lines:
        shown = sum(2 if c == "山" else 1 for c in line)
        assert shown <= width or line.strip() in units
        # Complete, or not there at all.
        assert line.count("cogauth") == line.count(COMMAND)
        assert line.count("https") == line.count(URL)


@pytest.mark.parametrize("width", [40, 57, 58, 80])
def test_a_command_is_on_one_line(width: int) -> None:
    lines = wrapped(f"Error: The stack is not complete. Run {COMMAND} first.", width)
    assert [line for line in lines if COMMAND in line]
    line = "  cogauth call GET /orders --api orders --stage prod --stack a-long-name-of-one"
    assert wrapped(line, width) == [line]


def test_a_url_stays_beside_the_http_method_before_it() -> None:
    text = f"  sign in    POST {URL}"
    assert wrapped(text, 80) == ["  sign in", f"    POST {URL}"]
    assert wrapped(text.replace("POST", "GET "), 80) == ["  sign in", f"    GET  {URL}"]


@pytest.mark.parametrize(("size", "indent"), [(76, 4), (77, 2), (78, 2), (80, 0), (81, 4)])
def test_a_long_value_is_indented_if_there_is_room(size: int, indent: int) -> None:
    value = "v" * size
    assert wrapped(f"  a_function_arn  {value}", 80) == ["  a_function_arn", " " * indent + value]


@pytest.mark.parametrize("mark", ["+", "~", "-/+", "-"])
def test_a_line_of_a_plan_goes_on_under_its_text(mark: str) -> None:
    line = f"  {mark:<3} stage: one two three four five"
    first, second, third = wrapped(line, 22)
    assert first.startswith(f"  {mark:<3} stage")
    assert (second, third) == (" " * 8 + "three four", " " * 8 + "five")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No cogauth on the PATH; return a script like the one in a virtual environment."""
    script = tmp_path / "venv" / "bin" / "cogauth"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return script


@pytest.mark.usefixtures("elsewhere")
def test_commands_are_printed_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["venv/bin/cogauth"])
    text = "Run 'cogauth up' first: cogauth is a program. Next: cogauth down"
    assert runnable(text) == (
        "Run 'venv/bin/cogauth up' first: cogauth is a program. Next: venv/bin/cogauth down"
    )
    done = in_process("users", "--state", "none.json").must(2)
    assert "'venv/bin/cogauth up'" in done.err
    error = in_process("users", "--state", "none.json", "--json").must(2).document["error"]
    assert "'venv/bin/cogauth up'" in error["hint"]


@pytest.mark.usefixtures("elsewhere")
def test_or_as_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/cogauth/__main__.py"])
    assert runnable("cogauth up") == f"{sys.executable} -P -m cogauth up"


def test_on_the_path_they_are_as_ever(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(elsewhere.parent))
    monkeypatch.setattr(sys, "argv", [str(elsewhere)])
    assert runnable("'cogauth up'") == "'cogauth up'"


def test_a_printed_aws_command_goes_where_the_stack_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Run 'aws apigateway get-stages --rest-api-id a' first."
    monkeypatch.setattr(output.ThisRun, "endpoint_url", None)
    assert runnable(text) == text
    monkeypatch.setattr(output.ThisRun, "endpoint_url", "http://127.0.0.1:4566")
    assert "'aws apigateway get-stages --endpoint-url http://127.0.0.1:4566 --rest" in runnable(
        text
    )


@pytest.mark.sample(2)
@pytest.mark.parametrize("word", ["'aws ", "'cogauth ", "'", ": cogauth ", "a' "])
def test_a_long_line_of_somebody_elses_is_wrapped_at_once(word: str) -> None:
    """A header may be this long. Quadratic work would take minutes."""
    text = word * (300_000 // len(word))
    assert "".join(wrapped(runnable(text), 80)).count("'") == text.count("'")


def test_a_stack_that_is_called_as_the_program_is_no_command() -> None:
    text = "Error: No stack here. Stacks here: cogauth (--stack cogauth). Run 'cogauth up' first."
    assert max(map(len, wrapped(text, 40))) <= 40
    assert wrapped("Next: cogauth up --local --stack much-too-long-for-it", 40)[-1].startswith(
        "cogauth up"
    )
