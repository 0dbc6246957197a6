"""Shows what the engine does: a live list on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Protocol, Self

from cogauth.cli.output import console, notice, styled

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
            from rich.live import Live
            from rich.spinner import Spinner

            self.spinner = Spinner("dots")  # One for all frames: it turns by its own age.
            self.live = Live(
                console=console(stderr=True),
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
            notice(f"{title:<22} {result.action:<10} {result.id}  {result.seconds:.1f} s")

    def change(self, step: Step, what: str) -> None:
        """Say what of a standing resource is changed."""
        del step
        self._say(f"  {what}")

    def warn(self, what: str) -> None:
        """Say what was left as it is."""
        self._say(f"Warning: {what}")

    def _say(self, line: str) -> None:
        if self.live is None:
            notice(line)
        else:
            self.live.console.print(styled(line))

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """Show what a step waits for, and for how long at the most."""
        text = f"waiting for {reason}"
        if seconds_left is not None:
            text += f", up to {seconds_left:.0f} s"
        self.reasons[step.name] = text
        # Plain lines tell each thing once, and not what the list of steps says by itself.
        if self.live is None and seconds_left is not None and (step.name, reason) not in self.told:
            self.told.add((step.name, reason))
            notice(text)

    def _table(self) -> Table:
        from rich.table import Table

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
                    styled("✓", "green"),
                    styled(step.title),
                    styled(result.action),
                    styled(result.id, "cyan", cut=True),
                    styled(f"{result.seconds:.1f} s", "dim"),
                )
            elif step.name in self.running:
                reason = self.reasons.get(step.name, "")
                if self.interrupted.is_set():
                    reason = "stopping after the calls in flight; once more stops at once"
                table.add_row(
                    self.spinner,
                    styled(step.title),
                    styled("running"),
                    styled(reason, "dim", cut=True),
                    styled(f"{time.monotonic() - self.running[step.name]:.1f} s", "dim"),
                )
            else:
                table.add_row("", styled(step.title, "dim"), styled("waiting", "dim"), "", "")
        return table
