"""How far many calls of one kind are: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys

from cogauth.cli.output import console, notice
from cogauth.cli.progress import Display
from cogauth.cli.stacks import report_once
from cogauth.printable import one_line


class Bar(Display):
    """Shows count and time left, as a context manager; on stderr."""

    def __init__(self, total: int) -> None:
        """Describe it.

        Args:
            total: how many there are.
        """
        self.once = report_once("  ")
        self.live = None
        if total and sys.stderr.isatty():
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self.live = Progress(
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
                console=console(stderr=True),
            )
            self.task = self.live.add_task("", total=total)
        super().__init__(self.live)

    def report(self, what: str, done: int, total: int) -> None:
        """Show what was done last, and how much of all that is."""
        if self.live is None:
            notice(f"  {what} ({done}/{total})" if total else f"  {what}")
            return
        if self.interrupted.is_set():
            what = "stopping after the call in flight; once more stops at once"
        self.live.update(self.task, completed=done, description=one_line(what))

    def waiting(self, reason: str, seconds_left: float) -> None:
        """Show what is waited for, and for how long at the most."""
        if self.live is None:
            self.once(reason, seconds_left)
        else:
            text = f"waiting for {reason}, up to {seconds_left:.0f} s"
            self.live.update(self.task, description=one_line(text))
