"""Shows what the engine does: a live list on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Protocol, Self

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from cogauth.engine import StepResult
    from cogauth.steps.base import Step


class Shown(Protocol):
    """What rich shows."""

    def start(self) -> None:
        """Show it."""

    def stop(self) -> None:
        """Leave its last frame behind."""


class Display:
    """A context manager around what rich shows on a terminal, and shows nowhere else.

    Attributes:
        interrupted: set when the user has pressed Ctrl-C.
    """

    def __init__(self, shown: Shown | None) -> None:
        self._shown = shown
        self.interrupted = Event()

    def __enter__(self) -> Self:
        if self._shown is not None:
            self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.stop()


class Progress(Display):
    """The engine's Reporter: the list of steps.

    Several steps go on at once; each reports from threads of its own.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.done: dict[str, StepResult] = {}
        # By step: when it began, and what it waits for.
        self.running: dict[str, float] = {}
        self.reasons: dict[str, str] = {}
        self.told: set[tuple[str, str]] = set()
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
        super().__init__(self.live)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        if self.live is not None:
            self.live.stop()
        yield
        if self.live is not None:
            self.live.start()

    def begin(self, step: Step) -> None:
        """Show that a step runs, and no longer waits for another."""
        self.running.setdefault(step.name, time.monotonic())
        self.reasons.pop(step.name, None)

    def end(self, result: StepResult) -> None:
        """Show that a step is done, with its id and time."""
        self.done[result.step] = result
        if self.live is None:
            title = next(step.title for step in self.steps if step.name == result.step)
            click.echo(
                f"{title:<22} {result.action:<10} {result.id}  {result.seconds:.1f} s", err=True
            )

    def change(self, step: Step, what: str) -> None:
        """Say what of a standing resource is changed."""
        del step
        self._say(f"  {what}")

    def warn(self, what: str) -> None:
        """Say what was left as it is."""
        self._say(f"Warning: {what}")

    def _say(self, line: str) -> None:
        if self.live is None:
            click.echo(line, err=True)
        else:
            self.live.console.print(line, markup=False, highlight=False)

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """Show what a step waits for, and for how long at the most."""
        text = f"waiting for {reason}"
        if seconds_left is not None:
            text += f", up to {seconds_left:.0f} s"
        self.reasons[step.name] = text
        # Plain lines tell each thing once, and not what the list of steps says by itself.
        if self.live is None and seconds_left is not None and (step.name, reason) not in self.told:
            self.told.add((step.name, reason))
            click.echo(text, err=True)

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
            elif step.name in self.running:
                reason = self.reasons.get(step.name, "")
                if self.interrupted.is_set():
                    reason = "stopping after the calls in flight; once more stops at once"
                table.add_row(
                    self.spinner,
                    Text(step.title),
                    Text("running"),
                    Text(reason, style="dim", no_wrap=True, overflow="ellipsis"),
                    Text(f"{time.monotonic() - self.running[step.name]:.1f} s", style="dim"),
                )
            else:
                table.add_row(
                    "", Text(step.title, style="dim"), Text("waiting", style="dim"), "", ""
                )
        return table
