"""Tables and colours: in columns and wrapped at words on a terminal, plain on a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogauth.cli.output import say, say_others, show_styled, show_table
from support.screen import on

if TYPE_CHECKING:
    import pytest

# For the fixtures.
pytest_plugins = ["support.screen"]

VERDICT = "✗ lost"
URL = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/dev/hello"
SENTENCE = "COGNITO_USER_POOLS of the stack cogauth, which also accepts tokens of another user pool"


def wide(line: str) -> int:
    return sum(2 if c == "山" else 1 for c in line)


# Each fits on the narrowest line: a longer one is broken by the terminal alone.
WORD = st.text("abcxyz.:;-é山", min_size=1, max_size=20).filter(lambda word: wide(word) <= 20)
WORDS = st.lists(WORD, max_size=12).map(" ".join)


def test_a_table_fits_80_columns_and_keeps_its_verdict(width: pytest.MonkeyPatch) -> None:
    screen = on(width, 80)
    rows = [(f"GET /orders/{n}", SENTENCE, (VERDICT, "red")) for n in range(3)]
    show_table(rows, ("method", "guard", "state"), indent=2)
    assert max(map(wide, screen.lines)) <= 80
    assert len([line for line in screen.lines if line.rstrip().endswith(VERDICT)]) == 3
    assert screen.lines[0].split() == ["method", "guard", "state"]
    # Each cell begins where its column does.
    guard = screen.lines[0].index("guard")
    assert [line[guard:][:7] for line in screen.lines if "GET" in line] == ["COGNITO"] * 3
    assert "\x1b[31m" in screen.getvalue()


def test_on_a_pipe_each_row_is_one_plain_line(
    width: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del width
    show_table([("GET /a", SENTENCE, (VERDICT, "red")), ("GET /long", URL, "")], indent=2)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"  GET /a     {SENTENCE}  {VERDICT}"
    assert second == f"  GET /long  {URL}"


def test_a_url_that_fits_on_a_line_is_not_broken(width: pytest.MonkeyPatch) -> None:
    for columns in (len(URL), 72, 80, 100, 120):
        screen = on(width, columns)
        show_table([("sign_in_url", URL), ("stack_id", "8f1d2c9a-6d54")], indent=2)
        assert [line for line in screen.lines if URL in line], columns
        assert max(map(wide, screen.lines)) <= columns


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4), st.integers(24, 120))
def test_a_table_is_wrapped_between_words(
    width: pytest.MonkeyPatch, rows: list[tuple[str, str, str]], columns: int
) -> None:
    screen = on(width, columns)
    show_table(rows, indent=2)
    shown = " ".join(screen.lines).split()
    assert sorted(shown) == sorted(" ".join(map(" ".join, rows)).split())
    assert all(wide(line) <= columns for line in screen.lines)


def test_the_mark_of_a_line_has_a_colour_on_a_terminal_alone(
    width: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("✓ deleted: 7", "  ✗ 403 refused")
    assert "\x1b" not in capsys.readouterr().out
    screen = on(width, 80)
    say("✓ deleted: 7", "  ✗ 403 refused")
    green, red = screen.getvalue().splitlines()
    assert green.startswith("\x1b[32m")
    assert "\x1b[31m" in red
    assert screen.lines == ["✓ deleted: 7", "  ✗ 403 refused"]
    width.setenv("NO_COLOR", "1")
    plain = on(width, 80)
    say("✓ deleted: 7")
    assert plain.getvalue() == "✓ deleted: 7\n"


def test_others_lines_are_wrapped_between_words(width: pytest.MonkeyPatch) -> None:
    screen = on(width, 80)
    line = f"{'x' * 60}  237 ms  NotAuthorizedException"
    say_others(line)
    assert screen.lines == [f"{'x' * 60}  237 ms", "  NotAuthorizedException"]


def test_yellow_is_a_marks_colour_and_no_words(width: pytest.MonkeyPatch) -> None:
    """Yellow is unreadable on a white terminal."""
    screen = on(width, 80)
    show_table([("GET /a", ("~ changed", "yellow")), ("GET /b", ("UNCONFIRMED", "yellow"))])
    marked, word = screen.getvalue().splitlines()
    assert "\x1b[1;33m~ \x1b[0m\x1b[1mchanged" in marked
    assert "\x1b[1mUNCONFIRMED" in word
    assert "33m" not in word
    screen = on(width, 80)
    show_styled([("  ~   stage: 20.0 → 7.0", "yellow"), ("  +   role", "green")])
    changed, created = screen.getvalue().splitlines()
    assert changed.endswith("m~\x1b[0m   stage: 20.0 → 7.0")
    assert created == "  \x1b[32m+\x1b[0m   role"
