"""Texts with which others may try to control a terminal or imitate our output."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

# What would be believed if it were on a line of its own.
FORGED = "FORGED GET /admin"
# Every way to begin a line, to control a terminal, or to reverse the reading order.
HOSTILE = "".join(
    f"x{acting}{FORGED}"
    for acting in (
        *("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"),
        *("\x1b[2K\x1b[1A\x1b[G", "\x9b2K", "\x1b]0;", "\x08" * 99, "\x7f", "\x00"),
        *("\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\ufeff"),
    )
)
CHARACTERS = st.characters()
ANY_TEXT = st.text(CHARACTERS | st.sampled_from(HOSTILE), max_size=30)
WITH_HALVES = st.text(CHARACTERS | st.characters(categories=["Cs"]), max_size=10)


def acting(text: str) -> list[str]:
    """The characters, except line ends, that a terminal would act on or hide."""
    return [c for c in text if c != "\n" and unicodedata.category(c)[0] in "CZ" and c != " "]
