"""``cogauth status``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cogauth.cli.choices import SIGN_UP
from cogauth.cli.help import Command
from cogauth.cli.interrupt import interrupt_once, on_signals
from cogauth.cli.options import Seconds, Target, target_options
from cogauth.cli.output import console, joined, notice, print_json, print_tree, styled
from cogauth.cli.progress import Waits
from cogauth.cli.stacks import connect, require_state, where
from cogauth.errors import CogauthError, UsageError
from cogauth.page.picture import SHOWN, START, draw
from cogauth.printable import column_width, local_time, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text
    from rich.tree import Tree

    from cogauth.context import Context
    from cogauth.engine.status import AttachedStatus, StackStatus, StepStatus

STYLES = {
    "exists": "green",
    "missing": "bold red",
    "changed": "yellow",
    "unfinished": "blue",
    "stale": "magenta",
    "complete": "bold green",
    "incomplete": "bold blue",
    "drifted": "bold yellow",
}
GUARDED = {
    True: ("✓ guarded", "green"),
    False: ("✗ not guarded", "bold red"),
    None: ("? unknown", "yellow"),
}
# The most columns that a value takes.
LONGEST_VALUE = 300


@click.command(
    cls=Command,
    short_help="Show the state of each step of the stack, and what differs.",
    epilog="""\b
Examples:
  cogauth status
  cogauth status --watch               again every 5 seconds, until Ctrl-C
  cogauth status --json | jq -r '.steps[] | select(.status != "stands")'
  cogauth status --svg docs/stack.svg  a picture, for example for a README

\b
A step exists, is missing, was changed (each field is named, with its live
value and the one that the stack wants), is unfinished (a run was
interrupted), or is stale (a change to the API isn't deployed to the stage).
In JSON, "exists" is "stands".
The exit code is 0 if all is as wanted, 1 if anything differs, and 2 if there
is no such stack here.
""",
)
@click.option("-w", "--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option(
    "--interval",
    type=Seconds(min=1, max=86400),
    default=5.0,
    show_default=True,
    help="How long --watch waits before it asks AWS again, in seconds.",
)
@click.option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a picture of the stack to this file.",
)
@target_options
def status(target: Target, *, watch: bool, interval: float, svg: Path | None) -> int:
    """Compare each step in AWS with the state file and the stack's settings. Changes nothing.

    It also counts the pool's users, and checks that the methods of attached APIs still ask the
    stack's user pool.
    """
    if watch and target.as_json:
        raise UsageError("--watch and --json exclude each other", hint="Give one of them.")
    state = require_state(target)
    if svg is not None:
        from cogauth.record.files import check_output

        check_output(svg, START)
    from cogauth.engine import UP_CLIENTS

    reader = Reader(target, connect(target, state, *UP_CLIENTS), svg)
    found = reader.read()
    if watch:
        watch_status(found, reader.again, reader.tree, partial(Event().wait, interval))
    if target.as_json:
        print_json(found.to_json())
    else:
        print_tree(reader.tree(found))
        if found.advice is not None:
            notice(f"Next: {reader.ctx.state.command(found.advice)}")
    if svg is not None:
        notice(f"✓ Wrote the picture to {svg}.")
    return 0 if found.condition == "complete" else 1


@dataclass
class Reader:
    """Reads how a stack is, and draws each reading in the file ``svg`` if there is to be one."""

    target: Target
    ctx: Context
    svg: Path | None

    def read(self) -> StackStatus:
        """Return how the stack is."""
        from cogauth.engine import status as engine
        from cogauth.record.files import write_output

        found = engine.status(self.ctx, Waits())
        if self.svg is not None:
            write_output(self.svg, draw(found, self.ctx.state, where(self.ctx)), START)
        return found

    def again(self) -> StackStatus:
        """Return how the stack is, by its present state file: another cogauth may be at work."""
        # A reading that failed has set it, to end its calls.
        self.ctx.waiter.stop.clear()
        known, state = self.ctx.state, require_state(self.target)
        self.ctx.state = state
        if known.location != state.location:
            self.ctx = connect(self.target, state)
        return self.read()

    def tree(self, found: StackStatus) -> Tree:
        """Return a reading as ``tree`` does."""
        return tree(self.ctx, found)


def watch_status(
    found: StackStatus,
    read: Callable[[], StackStatus],
    drawn: Callable[[StackStatus], Tree],
    pause: Callable[[], object],
) -> NoReturn:
    """Show how a stack is, again and again, until an exception such as KeyboardInterrupt.

    A terminal shows the last reading. Elsewhere, each that differs from the one before is printed.
    An error that may pass doesn't end it, but is shown with the last reading, or on stderr.
    """
    if not sys.stdout.isatty():
        print_tree(drawn(found))
        is_told = False
        while True:
            pause()
            before, (found, lost) = found, _read(read, found)
            if lost and not is_told:
                notice(f"Warning: {lost}")
            is_told = bool(lost)
            if found != before:
                print_tree(drawn(found))
    from rich.live import Live

    shown = Live(drawn(found), console=console(), auto_refresh=False)
    # A second Ctrl-C would keep the display from giving the cursor back.
    with on_signals(interrupt_once):
        try:
            # Not a with block: a Ctrl-C during the first drawing has hidden the cursor, too.
            shown.start(refresh=True)
            while True:
                pause()
                found, lost = _read(read, found)
                top = drawn(found)
                if lost:
                    top.add(styled(f"! {lost}", "bold yellow"))
                shown.update(top, refresh=True)
        finally:
            shown.stop()


def _read(read: Callable[[], StackStatus], last: StackStatus) -> tuple[StackStatus, str]:
    """Return a new reading, or the last one and why there is no newer, if that may pass."""
    from cogauth.aws.errors import AWS_ERRORS, translate
    from cogauth.aws.transient import passing_cause

    try:
        return read(), ""
    except (*AWS_ERRORS, CogauthError) as error:
        cause = passing_cause(error)
        if cause is None:
            raise
        return last, f"{translate(cause).message} This is the last known status."


def tree(ctx: Context, found: StackStatus) -> Tree:
    """Return how a stack is, as a tree of lines with links to the AWS console."""
    from rich.tree import Tree

    condition = styled(SHOWN[found.condition], STYLES[found.condition])
    top = Tree(joined(styled(f"Stack {found.stack}  ", "bold"), condition), guide_style="dim")
    top.add(styled(where(ctx), "dim"))
    size = max(column_width(step.title) for step in found.steps)
    for step in found.steps:
        branch = top.add(_step_line(step, size))
        if step.lacks:
            branch.add(styled(f"missing: {', '.join(step.lacks)}"))
        for field in step.changes:
            branch.add(styled(f"{field.path}: {_value(field.old)}, wanted {_value(field.new)}"))
    for api in found.attached:
        _add_attached(top, api)
    for line in _counts(found):
        top.add(styled(line, "dim"))
    return top


def _step_line(step: StepStatus, size: int) -> Text:
    from rich.style import Style

    identifier = styled(step.id or "-")
    identifier.stylize(Style(link=step.console_url))
    status = styled(f"{SHOWN[step.status]:<14}", STYLES[step.status])
    return joined(status, styled(f"{step.title:<{size}}  "), identifier)


def _add_attached(top: Tree, api: AttachedStatus) -> None:
    stages = ", ".join(api.stages) or "no stage"
    branch = top.add(styled(f"Attached: {api.name} ({api.rest_api_id}), {stages}"))
    for method in api.methods:
        mark, style = GUARDED[method.guarded]
        words = f"{method.method}: {method.note}" if method.note else method.method
        branch.add(joined(styled(f"{mark:<15}", style), styled(words), cut=False))


def _counts(found: StackStatus) -> Iterator[str]:
    if found.users is not None:
        yield f"{found.users} user{'' if found.users == 1 else 's'} in the user pool"
    if found.sign_up is not None:
        yield f"sign-up is {SIGN_UP[found.sign_up]}"
    if found.deployed is not None:
        yield f"deployed {local_time(found.deployed.timestamp())}"


def _value(value: Any) -> str:
    """Return a value of AWS's in one line: a text as it is, anything else as JSON."""
    if value is None:
        return "unset"
    is_plain = isinstance(value, str) and value.strip()
    text = value if is_plain else json.dumps(value, ensure_ascii=False, default=str)
    line = one_line(text)
    return line if len(line) <= LONGEST_VALUE else f"{line[:LONGEST_VALUE]}…"
