"""Ctrl-C, SIGTERM and a closed terminal, during calls to AWS."""

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
def gently(
    stop: Event, shown: Event | None, then: Callable[[], tuple[str, str | None]]
) -> Iterator[None]:
    """Stop after the calls in flight at a first signal, at once at a second one.

    The first signal sets ``stop``: waits and new calls raise KeyboardInterrupt, and the calls in
    flight end and are recorded. Even the second loses nothing, because the journal on disk says
    what may exist. ``shown`` is the event of a live list, which reports the signal itself; it is
    None without a list. ``then`` returns the state and the next step, if any, for Interrupted.
    """
    pressed = False

    def handle(_number: int, _frame: object) -> None:
        nonlocal pressed
        if pressed:
            if shown is not None:
                # The live list has hidden the cursor.
                os.write(2, b"\x1b[?25h\n")
            # Not by an exception: that would wait for the threads whose calls are in flight.
            os._exit(INTERRUPTED)
        pressed = True
        # In another thread: this one may be waiting for this very event, and would wait for
        # the event's lock forever.
        Thread(target=stop.set).start()
        if shown is not None:
            shown.set()
            return
        with suppress(OSError):
            # Not through Python's stderr: the signal may have come in the middle of a write to it.
            os.write(
                2, b"Stopping after the calls in flight. Press Ctrl-C again to stop at once.\n"
            )

    try:
        with on_signals(handle):
            yield
    except KeyboardInterrupt as error:
        for problem in error.args:
            notice(f"Error: {problem}")
        state, hint = then()
        raise Interrupted(f"Interrupted. {state}", hint=hint) from error


@contextmanager
def on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals with a function for a while; ``interrupt`` if nothing is in flight."""
    before = on_ending(handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def on_ending(handler: Callable[[int, FrameType | None], object]) -> dict[int, Any]:
    """Handle Ctrl-C, SIGTERM and a closed terminal with a function.

    Not SIG_IGN, to ignore them: Python prints that it lost a signal that comes in that instant.
    Returns what was done before, by signal.
    """
    # Ignored from the start, by nohup or by a shell that runs us in the background.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End on SIGTERM or a closed terminal in the same way as on Ctrl-C."""
    raise KeyboardInterrupt


def interrupt_once(_number: int, _frame: object) -> NoReturn:
    """Raise KeyboardInterrupt at the first signal; ignore later ones, so that the cleanup ends."""
    on_ending(lambda *_: None)
    raise KeyboardInterrupt
