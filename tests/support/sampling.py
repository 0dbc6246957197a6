"""Which cases of a sweep plain `pytest` runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """Leave out the cases that only the whole sweep has; `sample(n)` keeps every nth of a test."""
    met: Counter[str] = Counter()
    kept = []
    for item in items:
        marker = item.get_closest_marker("sample")
        name = item.nodeid.partition("[")[0]
        if marker is None or met[name] % marker.args[0] == 0:
            kept.append(item)
        met[name] += 1
    return kept
