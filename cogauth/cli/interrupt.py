"""Ctrl-C, SIGTERM and a closed terminal, while calls to AWS are under way."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


@contextmanager
def gently(stop: Event, *, told: bool = False) -> Iterator[None]:
    """Let a first signal end things after the call in flight, a second one at once.

    The call in flight ends and its outcome is recorded; nothing new begins. Even the second
    signal loses nothing: the journal on disk says what may stand.

    Args:
        stop: set by the first signal; waits and calls look at it and raise KeyboardInterrupt.
        told: whether the user is told of it elsewhere; a line in between would tear a live list.
    """

    def handle(_number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        if told:
            return
        with suppress(OSError):
            # Not through Python's stderr: this may be in the middle of writing to that.
            os.write(2, b"Stopping after the call in flight; once more stops at once.\n")

    # One that is ignored, as nohup has it, stays ignored.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
