"""Text that others wrote acts and hides nothing, as text and as JSON; times are in words."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.printable import json_text, length, local_time, one_line, utc_time
from support.hostile import ANY_TEXT, WITH_HALVES, acting


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_a_time_that_the_calendar_has_nowhere_is_a_number(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for moment in (253402300799.0, -62135596800.0, 1e300, -1e18):
            assert re.fullmatch(r"\d{1,4}-\d\d-\d\d [\d:]+ \S+|-?\d+", local_time(moment))
            assert re.fullmatch(r"\d{1,4}-\d\d-\d\dT[\d:]+\+00:00|-?\d+", utc_time(moment))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (7500, "2 h 5 min"),
        (86400, "1 day"),
        (200_000, "2 days 7 h"),
        (-5, "0 s"),
    ],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert length(seconds) == words


@given(ANY_TEXT | WITH_HALVES)
def test_a_line_is_one_line_and_does_nothing(text: str) -> None:
    line = one_line(text)
    assert acting(line) == []
    assert len(line.splitlines()) <= 1
    assert line.encode().decode() == line


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"])))
def test_what_can_be_read_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[2K\r\t\x00", r"\x1b[2K\r\t\x00"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\u202e\u2066\u200f\u061c", r"\u202e\u2066\u200f\u061c"),
        ("\u200b\u2028\ufeff", r"\u200b\u2028\ufeff"),
        ("\ud800\U000e0041", r"\ud800\U000e0041"),
        ("Zoë, 山田太郎 🦊 → ✓", "Zoë, 山田太郎 🦊 → ✓"),
    ],
)
def test_what_acts_is_spelled(text: str, shown: str) -> None:
    assert one_line(text) == shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_json_says_the_same_and_does_nothing(document: Any) -> None:
    text = json_text(document)
    assert json.loads(text) == document
    assert acting(text) == []


def test_json_spells_what_acts() -> None:
    text = json_text({"a": "\n\x1b\x7f\x9b\u202e\u200d\ud800\U000e0041é🦊"})
    assert r'"\n\u001b\u007f\u009b\u202e\u200d\ud800\udb40\udc41é🦊"' in text
