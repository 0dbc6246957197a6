"""Ctrl-C, SIGTERM and a closed terminal, while calls to AWS are under way."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from cogauth.cli.output import notice
from cogauth.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event
    from types import FrameType


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


@contextmanager
def gently(stop: Event, shown: Event | None, then: Callable[[], str]) -> Iterator[None]:
    """Let a first signal end things after the calls in flight, a second one at once.

    The first sets ``stop``, at which waits and calls raise KeyboardInterrupt: the calls in flight
    end and their outcome is recorded. Even the second loses nothing: the journal on disk says what
    may stand. ``shown`` is set as well, if a live list is, which a line in between would tear;
    ``then``, asked after it, says how things are and what to do: the text of Interrupted.
    """
    pressed = False

    def handle(_number: int, _frame: object) -> None:
        nonlocal pressed
        if pressed:
            if shown is not None:
                # The list that is shown has hidden the cursor.
                os.write(2, b"\x1b[?25h\n")
            # Not by an exception: that would wait for the threads in which calls are in flight.
            os._exit(INTERRUPTED)
        pressed = True
        # By another thread: this one may be in the middle of a wait for this very event, whose lock
        # it would wait for in vain.
        Thread(target=stop.set).start()
        if shown is not None:
            shown.set()
            return
        with suppress(OSError):
            # Not through Python's stderr: this may be in the middle of writing to that.
            os.write(
                2, b"Stopping after the calls in flight. Press Ctrl-C again to stop at once.\n"
            )

    try:
        with on_signals(handle):
            yield
    except KeyboardInterrupt as error:
        for problem in error.args:
            notice(f"Error: {problem}")
        raise Interrupted(f"Interrupted. {then()}") from error


@contextmanager
def on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let this be done on a signal, for a while: ``interrupt`` while nothing is in flight."""
    before = on_ending(handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def on_ending(handler: Callable[[int, FrameType | None], object]) -> dict[int, Any]:
    """Let this be done on Ctrl-C, on SIGTERM, and when the terminal is closed.

    Not SIG_IGN, to ignore them: Python prints that it lost a signal that comes in that instant.
    Returns what was done before, by signal.
    """
    # Ignored from the start: by nohup, or by a shell that runs us in its background.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End on SIGTERM, or when the terminal is closed, as on Ctrl-C."""
    raise KeyboardInterrupt
