"""The .gitignore of .cogauth/: cogauth creates it and removes it together with the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cogauth.record.files import write_private
from cogauth.record.lock import hold

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".cogauth" / "shop.json"


def test_a_folder_that_cogauth_makes_is_ignored_by_git(state: Path) -> None:
    with hold(state, "up", 0):
        write_private(state, {})
    assert (state.parent / ".gitignore").read_text() == "*\n"


def test_with_its_last_state_the_folder_goes(state: Path) -> None:
    with hold(state, "up", 0):
        write_private(state, {})
    other = state.with_name("other.json")
    other.touch()
    with hold(state, "down", 0):
        state.unlink()
    assert (state.parent / ".gitignore").exists()
    with hold(other, "down", 0):
        other.unlink()
    assert not state.parent.exists()


def test_a_run_that_creates_nothing_leaves_nothing(state: Path, tmp_path: Path) -> None:
    with hold(state, "up", 0):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["*.json\n", "*\n!notes\n"])
def test_somebodys_own_is_left_as_it_is(state: Path, text: str) -> None:
    state.parent.mkdir()
    theirs = state.parent / ".gitignore"
    theirs.write_text(text)
    with hold(state, "up", 0):
        write_private(state, {})
    with hold(state, "down", 0):
        state.unlink()
    assert theirs.read_text() == text


def test_a_folder_of_another_name_gets_none(tmp_path: Path) -> None:
    state = tmp_path / "states" / "shop.json"
    with hold(state, "up", 0):
        write_private(state, {})
    assert not (state.parent / ".gitignore").exists()
