"""``cogauth verify`` shows its rows: a line each on a pipe, a table and notes on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cogauth.checks.verify.subject import Row, not_made
from cogauth.cli.verify import _shown
from support.screen import Screen

if TYPE_CHECKING:
    import pytest

# For the fixtures.
pytest_plugins = ["support.screen"]

COMMAND = "'cogauth explain https://abcdefghij.execute-api.eu-central-1.amazonaws.com/dev/hello'"
ROWS = [
    Row("no token", "GET /hello, no token", "401", "401", ok=True),
    Row("garbage", "GET /hello, garbage", "401", "200", ok=False, note=f"Run {COMMAND}."),
    Row("garbage", "GET /bye, garbage", "401", "200", ok=False, note=f"Run {COMMAND}."),
    not_made("OPTIONS", "OPTIONS /hello", "CORS is off."),
]


def test_on_a_pipe_each_row_is_a_line_with_its_note(capsys: pytest.CaptureFixture[str]) -> None:
    with _shown() as report:
        for row in ROWS:
            report(row)
    words = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert words == [
        "✓ ok no token expected 401, got 401 (GET /hello, no token)",
        f"✗ DIFFERS garbage expected 401, got 200 (GET /hello, garbage): Run {COMMAND}.",
        f"✗ DIFFERS garbage expected 401, got 200 (GET /bye, garbage): Run {COMMAND}.",
        "- skipped OPTIONS not made (OPTIONS /hello): CORS is off.",
    ]


def test_on_a_terminal_a_note_is_below_the_table_once_with_its_command_on_a_line(
    width: pytest.MonkeyPatch,
) -> None:
    screen = Screen()
    width.setattr(sys, "stdout", screen)
    with _shown() as report:
        for row in ROWS:
            report(row)
    (note,) = [nth for nth, line in enumerate(screen.lines) if COMMAND in line]
    last_row = max(nth for nth, line in enumerate(screen.lines) if "OPTIONS /hello" in line)
    assert note > last_row
    assert "not made, see below" in screen.lines[last_row]
    assert "CORS is off." in " ".join(screen.lines[last_row + 1 :])
