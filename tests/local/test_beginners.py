"""Who uses a local AWS for a stack without a state file: others are noticed, the last ends it."""

from __future__ import annotations

import fcntl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cogauth.local.beginners import Beginners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def beginners(tmp_path: Path) -> Iterator[Beginners]:
    made = Beginners(tmp_path / "beginners")
    yield made
    made.leave()


def test_it_is_left_to_the_last_until_somebody_records_a_stack(beginners: Beginners) -> None:
    assert not beginners.is_unclaimed()
    beginners.join(unclaimed=True)
    assert beginners.is_unclaimed()
    # Whoever joins later didn't start it.
    beginners.join(unclaimed=False)
    with suppress(OSError), beginners.claimed():
        assert not beginners.is_unclaimed()
        raise OSError
    assert beginners.is_unclaimed()
    with beginners.claimed():
        pass
    assert not beginners.is_unclaimed()


def test_another_process_counts_as_long_as_it_has_the_file_open(beginners: Beginners) -> None:
    assert not beginners.are_others()
    beginners.join(unclaimed=False)
    assert not beginners.are_others()
    beginners.join(unclaimed=False)
    # To the kernel, another opening of the file is as good as another process.
    with beginners.path.open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert beginners.are_others()
    assert not beginners.are_others()
