"""Which tests plain `pytest` runs, and how many cases of a sweep and examples of a property."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterable


def chosen(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that these options ask for; those on AWS or in a browser may be skipped."""
    # A test that is named is always run.
    if not config.getoption("--all-faults") and not any("::" in name for name in config.args):
        items = _sampled(items)
    asked = {"aws": config.getoption("--aws"), "browser": "browser" in config.option.markexpr}
    needed = {"aws": "needs --aws and an AWS account", "browser": "needs -m browser"}
    for item in items:
        for marker in [name for name in asked if not asked[name]]:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=needed[marker]))
    return items


def _sampled(items: Iterable[pytest.Item]) -> list[pytest.Item]:
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
FEWER = 6
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
