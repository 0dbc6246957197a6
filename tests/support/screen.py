"""A terminal in this process that records what is printed, and its width."""

from __future__ import annotations

import io
import re
import sys

import pytest

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A terminal whose width is ``COLUMNS``."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What is shown, without colours."""
        return COLOUR.sub("", self.getvalue()).splitlines()

    def colour(self, text: str) -> str | None:
        """Return the colour number of the mark on the line that contains a text."""
        (line,) = (line for line in self.getvalue().splitlines() if text in COLOUR.sub("", line))
        found = re.match(r" *\x1b\[(?:1;)?(3\d)m", line)
        return found and found[1]


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the width with ``COLUMNS``, and read what is shown from ``sys.stdout``."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


def on(width: pytest.MonkeyPatch, columns: int) -> Screen:
    """Put a terminal of this width in stdout's place."""
    screen = Screen()
    width.setenv("COLUMNS", str(columns))
    width.setattr(sys, "stdout", screen)
    return screen
