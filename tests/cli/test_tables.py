"""Tables and colours: in columns and wrapped at words on a terminal, plain on a pipe."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogauth.cli.demo import MARGIN, Story
from cogauth.cli.options import Target
from cogauth.cli.output import confirm, say, say_others, show_styled, show_table
from cogauth.cli.progress import STOPPING, Bar, Progress
from cogauth.engine import StepResult
from cogauth.steps import STEPS
from support.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

VERDICT = "✗ lost"
URL = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/dev/hello"
SENTENCE = "COGNITO_USER_POOLS of the stack cogauth, which also accepts tokens of another user pool"


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Set the width with ``COLUMNS``, and read what is shown from ``sys.stdout``."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


def on(width: pytest.MonkeyPatch, columns: int) -> Screen:
    screen = Screen()
    width.setenv("COLUMNS", str(columns))
    width.setattr(sys, "stdout", screen)
    return screen


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


def test_a_chapter_of_the_demo_ends_green_or_red(width: pytest.MonkeyPatch) -> None:
    def told(columns: int | None, **environment: str) -> Screen:
        for name, value in environment.items():
            width.setenv(name, value)
        screen = on(width, columns or 80)
        width.setattr(screen, "isatty", lambda: columns is not None)
        for got in (200, 401):
            story = Story(silent=False)
            story.tell("Login", "The same name.", "cogauth test-login ann")
            story.expect(200, got)
        return screen

    colours = [told(80).colour(line) for line in ("✓ 200", "✗ 401; expected 200")]
    assert colours == ["32", "31"]
    assert "\x1b" not in told(None).getvalue()
    assert "\x1b" not in told(80, NO_COLOR="1").getvalue()


def test_a_chapter_of_the_demo_is_wrapped_and_indented_on_a_pipe_too(
    width: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del width
    Story(silent=False).tell("Login", SENTENCE, "cogauth test-login ann")
    title, *lines, command = capsys.readouterr().out.strip().splitlines()
    assert (title, command) == ("1. Login", "   $ cogauth test-login ann")
    assert " ".join(" ".join(lines).split()) == SENTENCE
    assert len(lines) == 2
    assert all(len(line) <= 80 and line.startswith("   ") for line in lines)
    progress = Progress(STEPS, margin=MARGIN)
    progress.waiting(STEPS[2], "a role that is new", 30)
    progress.end(StepResult("role", "created", "cogauth-LambdaAuthRole", 0.14))
    assert capsys.readouterr().err.splitlines() == [
        "   waiting for a role that is new, up to 30 s",
        "   Role                   created    cogauth-LambdaAuthRole  0.1 s",
    ]


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


def test_after_ctrl_c_the_list_says_once_that_it_stops(width: pytest.MonkeyPatch) -> None:
    screen = Screen()
    width.setattr(sys, "stderr", screen)
    progress = Progress(STEPS)
    for step in STEPS[:5]:
        progress.begin(step)
        progress.waiting(step, "a role that is new", 30)
    assert progress.live is not None
    assert progress.interrupted is not None
    progress.interrupted.set()
    with progress.live:
        pass
    assert [line for line in screen.lines if line.strip() == STOPPING]
    shown = " ".join(" ".join(screen.lines).split())
    assert shown.count(STOPPING) == shown.count(STEPS[0].title) > 0
    assert "waiting for a role" not in shown
    assert shown.count("finishing") == 5 * shown.count(STEPS[0].title)


def test_after_ctrl_c_a_bar_says_once_that_it_stops(width: pytest.MonkeyPatch) -> None:
    screen = Screen()
    width.setattr(sys, "stderr", screen)
    bar = Bar(3)
    assert bar.live is not None
    assert bar.interrupted is not None
    with bar.live:
        bar.report("GET /a", 1, 3)
        bar.interrupted.set()
        bar.report("GET /b", 2, 3)
        bar.report("GET /c", 3, 3)
    # It begins with the sequence that deletes the bar.
    assert [line for line in screen.lines if line.endswith(STOPPING)] == [f"\x1b[2K{STOPPING}"]
