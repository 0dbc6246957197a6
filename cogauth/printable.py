"""Text that others may have written, made fit for a terminal: nothing in it acts, or hides."""

from __future__ import annotations

import json


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


def json_text(document: object) -> str:
    """Return a document of JSON, indented; what can't be printed is spelled as JSON can."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # The line ends are between JSON's parts: inside a text they are spelled already.
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
