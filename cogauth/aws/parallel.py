"""Calls that only read, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

# More than a stack has resources, so that a call that waits delays no other.
WORKERS = 32


def each(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Make read-only calls all at once; return their results in order.

    Raises the first error among them. KeyboardInterrupt is raised at once, without waiting for the
    calls in flight, which change nothing.
    """
    pool = ThreadPoolExecutor(WORKERS)
    patient = True
    try:
        return [future.result() for future in [pool.submit(call) for call in calls]]
    except KeyboardInterrupt:
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)
