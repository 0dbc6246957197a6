"""Text for people: what others may have written, so that nothing in it acts or hides.

Lists and times in a sentence stand here too.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The longest list in a message, so that it stays readable.
LISTED = 40


def one_line(text: str) -> str:
    r"""Return a text in which nothing ends the line, moves the cursor or turns the reading order.

    Whoever may name an API, a stage or a user could else write lines that look like ours. What
    can't be printed is shown as Python spells it: ``\n``, ``\x1b``, ``\u202e``. Unicode calls that
    control, format, surrogate, private or unassigned, or a separator other than the space: C0,
    DEL, C1, what turns the reading order and what has no width among them. A backslash stays one.
    Source: https://docs.python.org/3/library/stdtypes.html#str.isprintable
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def column_width(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def json_text(document: object, indent: int | None = 2) -> str:
    """Return a document of JSON, on one line without ``indent``.

    What can't be printed is spelled as JSON can.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    # The line ends are between JSON's parts: inside a text they are spelled already.
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def local_time(moment: float) -> str:
    """Return a time, in seconds since the epoch, in this machine's time zone."""
    try:
        return f"{datetime.fromtimestamp(moment, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f}"  # No calendar has it.


def utc_time(moment: float) -> str:
    """Return a time, in seconds since the epoch, in UTC and in the form of RFC 3339."""
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f}"  # No calendar has it.


def shortened(items: Iterable[str]) -> str:
    """Return a list as one line, cut if it is too long."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def minute(moment: datetime) -> str:
    """Return a time in UTC, to the minute, for a sentence: ``2026-03-01 09:30 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def length(seconds: float) -> str:
    """Return a length of time in words, in two units at the most: ``2 h 5 min``."""
    whole = max(0, round(seconds))
    units = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (smaller, part) in pairwise(units):
        if whole >= size:
            rest = whole % size // part
            name = "day" if unit == "days" and whole // size == 1 else unit
            return f"{whole // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def moment_of(moment: float, now: float) -> str:
    """Return a time, in seconds since the epoch, in local time and by its distance from now."""
    away = moment - now
    return f"{local_time(moment)}, {f'in {length(away)}' if away > 0 else f'{length(-away)} ago'}"
