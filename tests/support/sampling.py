"""How many cases of a sweep and examples of a property plain `pytest` runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest


def sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """Drop what only the full run has: tests marked `long`, and all but every nth `sample(n)`."""
    met: Counter[str] = Counter()
    kept = []
    for item in items:
        if item.get_closest_marker("long"):
            continue
        marker = item.get_closest_marker("sample")
        name = item.nodeid.partition("[")[0]
        if marker is None or met[name] % marker.args[0] == 0:
            kept.append(item)
        met[name] += 1
    return kept


# Plain `pytest` runs one in this many examples.
FEWER = 4
DEFAULT = 100


def load_profile(*, everything: bool) -> None:
    """Let hypothesis run all examples, or fewer; no test fails because the machine is busy."""
    settings.register_profile(
        "tests",
        max_examples=DEFAULT if everything else DEFAULT // FEWER,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("tests")


def examples(number: int, **more: Any) -> settings:
    """Return hypothesis settings for this many examples; plain `pytest` runs fewer."""
    fewer = settings.get_profile("tests").max_examples < DEFAULT
    return settings(max_examples=max(1, number // FEWER) if fewer else number, **more)
