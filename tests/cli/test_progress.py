"""What is shown of a run: the list of steps, and the bar, also after Ctrl-C."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cogauth.cli.progress import STOPPING, Bar, Progress
from cogauth.steps import RESOURCES, STEPS
from cogauth.steps.ownership import words as words_of
from support.screen import Screen

if TYPE_CHECKING:
    import pytest

# For the fixtures.
pytest_plugins = ["support.screen"]


def test_after_ctrl_c_the_list_says_once_that_it_stops(width: pytest.MonkeyPatch) -> None:
    screen = Screen()
    width.setattr(sys, "stderr", screen)
    progress = Progress(STEPS)
    for step in STEPS[:5]:
        progress.begin(step)
        progress.waiting(step, "a role that is new", 30)
    assert progress.live is not None
    assert progress.interrupted is not None
    progress.interrupted.set()
    with progress.live:
        pass
    assert [line for line in screen.lines if line.strip() == STOPPING]
    shown = " ".join(" ".join(screen.lines).split())
    assert shown.count(STOPPING) == shown.count(STEPS[0].title) > 0
    assert "waiting for a role" not in shown
    assert shown.count("finishing") == 5 * shown.count(STEPS[0].title)


def test_after_ctrl_c_a_bar_says_once_that_it_stops(width: pytest.MonkeyPatch) -> None:
    screen = Screen()
    width.setattr(sys, "stderr", screen)
    bar = Bar(3)
    assert bar.live is not None
    assert bar.interrupted is not None
    with bar.live:
        bar.report("GET /a", 1, 3)
        bar.interrupted.set()
        bar.report("GET /b", 2, 3)
        bar.report("GET /c", 3, 3)
    # It begins with the sequence that deletes the bar.
    assert [line for line in screen.lines if line.endswith(STOPPING)] == [f"\x1b[2K{STOPPING}"]


def test_a_resource_has_one_name_in_lists_and_sentences() -> None:
    titles = {one.step.title.casefold() for one in RESOURCES.values()}
    roots = {words_of(one) for one in RESOURCES.values() if one.parent is None}
    assert {name.casefold() for name in roots if "function" in name or "role" in name} <= titles
