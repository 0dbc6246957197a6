"""A terminal in this process that records what is printed."""

from __future__ import annotations

import io
import re

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
