"""A terminal in this process, which keeps what is printed on it."""

from __future__ import annotations

import io
import re

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A terminal. Its width is what ``COLUMNS`` says."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What is shown, without its colours."""
        return COLOUR.sub("", self.getvalue()).splitlines()

    def colour(self, text: str) -> str | None:
        """Return the number of the colour of the mark of the line that contains a text."""
        (line,) = (line for line in self.getvalue().splitlines() if text in COLOUR.sub("", line))
        found = re.match(r" *\x1b\[(?:1;)?(3\d)m", line)
        return found and found[1]
