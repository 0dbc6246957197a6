"""Times and lengths of time in words."""

from __future__ import annotations

import re
import time

import pytest

from cogauth.printable import length, local_time, utc_time


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
