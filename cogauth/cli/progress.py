"""Shows what the engine does: a live list on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.table import Table

    from cogauth.engine import StepResult
    from cogauth.steps.base import Step


class Progress:
    """The engine's Reporter, as a context manager that leaves the finished list behind."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.done: dict[str, StepResult] = {}
        self.running: tuple[Step, float] | None = None
        self.reason = ""
        # Set when the user has pressed Ctrl-C.
        self.stop = Event()
        self.live = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.spinner import Spinner

            self.spinner = Spinner("dots")  # One for all frames: it turns by its own age.
            self.live = Live(
                console=Console(stderr=True),
                get_renderable=self._table,
                refresh_per_second=8,
            )

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        if self.live is not None:
            self.live.stop()
        yield
        if self.live is not None:
            self.live.start()

    def begin(self, step: Step) -> None:
        """Show that a step runs."""
        self.running, self.reason = (step, time.monotonic()), ""

    def end(self, result: StepResult) -> None:
        """Show that a step is done, with its id and time."""
        self.done[result.step] = result
        self.running = None
        if self.live is None:
            title = next(step.title for step in self.steps if step.name == result.step)
            click.echo(
                f"{title:<22} {result.action:<10} {result.id}  {result.seconds:.1f} s", err=True
            )

    def change(self, what: str) -> None:
        """Say what of a standing resource is changed."""
        if self.live is None:
            click.echo(f"  {what}", err=True)
        else:
            self.live.console.print(f"  {what}", markup=False, highlight=False)

    def waiting(self, reason: str, seconds_left: float) -> None:
        """Show what is waited for, and for how long at the most."""
        text = f"waiting for {reason}, up to {seconds_left:.0f} s"
        if self.live is None and reason != self.reason.split(", up to")[0].removeprefix(
            "waiting for "
        ):
            click.echo(text, err=True)
        self.reason = text

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(min_width=22, no_wrap=True)
        table.add_column(min_width=10, no_wrap=True)
        table.add_column()  # The one that a narrow terminal cuts short.
        table.add_column(justify="right", no_wrap=True)
        for step in self.steps:
            result = self.done.get(step.name)
            if result is not None:
                table.add_row(
                    Text("✓", style="green"),
                    Text(step.title),
                    Text(result.action),
                    Text(result.id, style="cyan", no_wrap=True, overflow="ellipsis"),
                    Text(f"{result.seconds:.1f} s", style="dim"),
                )
            elif self.running is not None and self.running[0] is step:
                seconds = time.monotonic() - self.running[1]
                if self.stop.is_set():
                    self.reason = "stopping after the call in flight; once more stops at once"
                table.add_row(
                    self.spinner,
                    Text(step.title),
                    Text("running"),
                    Text(self.reason, style="dim", no_wrap=True, overflow="ellipsis"),
                    Text(f"{seconds:.1f} s", style="dim"),
                )
            else:
                table.add_row(
                    "", Text(step.title, style="dim"), Text("waiting", style="dim"), "", ""
                )
        return table
