"""Shows progress on stderr: live on a terminal, as plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from cogauth.cli.output import columns, console, notice, show_lines, styled
from cogauth.cli.stacks import report_once
from cogauth.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import rich.progress
    from rich.live import Live
    from rich.table import Table

    from cogauth.engine import StepResult, UpPlan
    from cogauth.steps.base import Step

STYLES = {"created": "green", "updated": "yellow"}
# Of what a plan would do, as in Terraform.
MARKS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "recreate": ("-/+", "yellow"),
    "delete": ("-", "red"),
}
STOPPING = "Stopping after the calls in flight. Press Ctrl-C again to stop at once."


class Progress:
    """The engine's Reporter: the list of steps. They report from threads of their own.

    Attributes:
        margin: what plain lines begin with.
        live: a context manager that shows the list; None if stderr is no terminal.
        interrupted: set when the user has pressed Ctrl-C; None likewise.
    """

    def __init__(self, steps: tuple[Step, ...], *, margin: str = "") -> None:
        self.steps = steps
        self.margin = margin
        self.done: dict[str, StepResult] = {}
        # By step: its start time, and what it waits for.
        self.running: dict[str, float] = {}
        self.reasons: dict[str, str] = {}
        self.told: set[tuple[str, str]] = set()
        # What the plan asks; and the changes that it has shown, up to their new values.
        self.questions: list[str] = []
        self.shown: set[str] = set()
        self.live: Live | None = None
        self.interrupted: Event | None = None
        if sys.stderr.isatty():
            from rich.live import Live
            from rich.spinner import Spinner

            self.spinner = Spinner("dots")  # One spinner for all frames: it turns with its own age.
            self.live = Live(
                console=console(stderr=True),
                get_renderable=self._table,
                refresh_per_second=8,
            )
            self.interrupted = Event()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the list during a question."""
        if self.live is not None:
            self.live.stop()
        yield
        if self.live is not None:
            self.live.start()

    def begin(self, step: Step) -> None:
        """Show that a step is running."""
        self.running.setdefault(step.name, time.monotonic())
        self.reasons.pop(step.name, None)

    def end(self, result: StepResult) -> None:
        """Show that a step is done, with its id and time."""
        self.done[result.step] = result
        if self.live is None:
            title = next(step.title for step in self.steps if step.name == result.step)
            self._say(f"{title:<22} {result.action:<10} {result.id}  {result.seconds:.1f} s")

    def planned(self, plan: UpPlan) -> None:
        """Show what will be changed."""
        from cogauth.steps.ownership import words

        self.questions = plan.questions
        for line, _ in plan_lines(plan):
            self._say(line)
        # Up to the new value, which may have been unknown.
        self.shown = {
            f"{words(row.resource)}: {each}".partition(" → ")[0]
            for row in plan.rows
            for each in row.changes
        }

    def change(self, step: Step, what: str) -> None:
        """Show a change of an existing resource, unless the plan has shown it."""
        del step
        if what.partition(" → ")[0] not in self.shown:
            self._say(f"  {what}")

    def warn(self, what: str) -> None:
        """Show what was left as it is."""
        self._say(f"Warning: {what}")

    def _say(self, line: str) -> None:
        if self.live is None:
            notice(f"{self.margin}{line}")
        else:
            show_lines(self.live.console, line)

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """Show what a step waits for, and the time limit."""
        text = f"waiting for {reason}"
        if seconds_left is not None:
            text += f", up to {seconds_left:.0f} s"
        self.reasons[step.name] = text
        # Plain lines say each thing once, and leave out what the list of steps shows anyway.
        if self.live is None and seconds_left is not None and (step.name, reason) not in self.told:
            self.told.add((step.name, reason))
            self._say(text)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(min_width=22, no_wrap=True)
        table.add_column(min_width=10, no_wrap=True)
        table.add_column()  # The column that a narrow terminal cuts short.
        table.add_column(justify="right", no_wrap=True)
        stopping = self.interrupted is not None and self.interrupted.is_set()
        if stopping:
            table.caption = styled(STOPPING, "bold")
            table.caption_justify = "left"
            # A caption is no wider than its table.
            table.min_width = min(len(STOPPING), columns(sys.stderr) or len(STOPPING))
        for step in self.steps:
            result = self.done.get(step.name)
            if result is not None:
                table.add_row(
                    styled("✓", "green"),
                    styled(step.title),
                    styled(result.action, STYLES.get(result.action, "")),
                    styled(result.id, cut=True),
                    styled(f"{result.seconds:.1f} s", "dim"),
                )
            elif step.name in self.running:
                reason = self.reasons.get(step.name, "")
                if stopping:
                    reason = ""
                table.add_row(
                    self.spinner,
                    styled(step.title),
                    styled("finishing" if stopping else "running"),
                    styled(reason, "dim", cut=True),
                    styled(f"{time.monotonic() - self.running[step.name]:.1f} s", "dim"),
                )
            else:
                table.add_row("", styled(step.title, "dim"), styled("waiting", "dim"), "", "")
        return table


def plan_lines(plan: UpPlan) -> list[tuple[str, str]]:
    """Return what a plan would change: lines, each with its style."""
    from cogauth.steps.ownership import words

    lines = []
    for row in plan.rows:
        if row.action == "unchanged" and row.conflict is None:
            continue
        mark, style = MARKS[row.action] if row.conflict is None else ("✗", "red")
        text = f"  {mark:<3} {words(row.resource)}"
        step = row.resource.step
        if row.resource.key != step.name:
            # As a part of the step that 'up' and 'status' name.
            text += f" ({step.title})"
        parts = [
            part
            for change in row.changes
            for part in ([change.what] if change.what else map(str, change.fields))
        ]
        if row.reason:
            text += f": {row.action}, {row.reason}"
        elif len(parts) == 1:
            text += f": {parts.pop()}"
        elif row.is_new and row.id:
            text += f" {row.id}"
        lines.append((text, style))
        lines += [(f"        {part}", "") for part in parts]
        lines += [
            (f"        delete {name}, left by an interrupted run", "") for name in row.surplus
        ]
    return lines


class Waits:
    """Shows what a command waits for that only reads."""

    def __init__(self) -> None:
        self._report = report_once()

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """Show what is waited for, once."""
        del step
        if seconds_left is not None:
            self._report(reason, seconds_left)


class Bar:
    """A progress bar for many calls of one kind; its attributes are those of ``Progress``."""

    def __init__(self, total: int) -> None:
        self.once = report_once("  ")
        self.is_stopping = False
        self.live: rich.progress.Progress | None = None
        self.interrupted: Event | None = None
        if total and sys.stderr.isatty():
            import rich.progress as shown

            self.live = shown.Progress(
                shown.BarColumn(bar_width=30),
                shown.MofNCompleteColumn(),
                shown.TimeRemainingColumn(),
                shown.TextColumn("{task.description}", markup=False),
                console=console(stderr=True),
            )
            self.task = self.live.add_task("", total=total)
            self.interrupted = Event()

    def report(self, what: str, done: int, total: int) -> None:
        """Show the last call, and the share that is done."""
        if self.live is None:
            notice(f"  {what} ({done}/{total})" if total else f"  {what}")
            return
        if self.interrupted and self.interrupted.is_set() and not self.is_stopping:
            # Above the bar, because there is no room for it beside the bar.
            self.is_stopping = True
            show_lines(self.live.console, STOPPING)
        self.live.update(self.task, completed=done, description=one_line(what))

    def waiting(self, reason: str, seconds_left: float) -> None:
        """Show what the command waits for, and the time limit."""
        if self.live is None:
            self.once(reason, seconds_left)
        else:
            text = f"waiting for {reason}, up to {seconds_left:.0f} s"
            self.live.update(self.task, description=one_line(text))
