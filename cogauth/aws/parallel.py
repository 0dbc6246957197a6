"""Calls that only read, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

# As many as a stack has resources, and more: one that waits holds nobody up.
WORKERS = 32


def each(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return what calls that only read return, in their order; all are made at once.

    Raises what the first of those that failed raised; KeyboardInterrupt at once: nobody waits for
    the calls in flight, which change nothing.
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
