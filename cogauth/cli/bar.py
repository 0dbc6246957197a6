"""How far many calls of one kind are: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from threading import Event
from typing import TYPE_CHECKING, Self

from cogauth.cli.common import notice, report_once

if TYPE_CHECKING:
    from types import TracebackType


class Bar:
    """Shows count and time left, as a context manager; on stderr."""

    def __init__(self, total: int) -> None:
        """Describe it.

        Args:
            total: how many there are.
        """
        # Set when the user has pressed Ctrl-C.
        self.interrupted = Event()
        self.once = report_once("  ")
        self.progress = None
        if total and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self.progress = Progress(
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
            )
            self.task = self.progress.add_task("", total=total)

    def __enter__(self) -> Self:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    def report(self, what: str, done: int, total: int) -> None:
        """Show what was done last, and how much of all that is."""
        if self.progress is None:
            notice(f"  {what} ({done}/{total})" if total else f"  {what}")
            return
        if self.interrupted.is_set():
            what = "stopping after the call in flight; once more stops at once"
        self.progress.update(self.task, completed=done, description=what)

    def waiting(self, reason: str, seconds_left: float) -> None:
        """Show what is waited for, and for how long at the most."""
        if self.progress is None:
            self.once(reason, seconds_left)
        else:
            text = f"waiting for {reason}, up to {seconds_left:.0f} s"
            self.progress.update(self.task, description=text)
