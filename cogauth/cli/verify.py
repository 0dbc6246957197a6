"""``cogauth verify``."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import console, notice, print_json, say, stacked, styled
from cogauth.cli.stacks import complete_stack, require_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.checks.verify.subject import Row

# Each mark with its word.
VERDICTS = {True: "✓ ok", False: "✗ DIFFERS", None: "- skipped"}
STYLES = {True: "green", False: "bold red", None: "dim"}


@click.command(
    cls=Command,
    short_help="Check the guard with real calls.",
    epilog="""\b
Examples:
  cogauth verify                               the stack's own method
  cogauth verify --json | jq '.rows[] | select(.ok == false)'
  cogauth verify --api shop                    all guarded GET and HEAD
  cogauth verify --api shop --path '/orders*'  some of them
  cogauth verify --api shop --path /orders/7   one, by a real path

Only GET and HEAD methods are called, because others could change something. A lost guard is found
without a call.
""",
)
@click.option(
    "--api",
    envvar="COGAUTH_API",
    show_default="the stack's own",
    help="The REST API, by id or name.",
)
# No environment variable: COGAUTH_PATH is the sign-in method's path in 'up'.
@click.option("--path", help="The path of the methods: a glob, or a real path.")
@click.option(
    "--stage", show_default="the one attached to, or the only one", help="The stage to call."
)
@writer_options
@target_options
def verify(target: Target, *, api: str | None, path: str | None, stage: str | None) -> int:
    """Check the guard with real calls. Creates a user for this and then deletes it.

    The checks: a call without a token, with garbage, with a tampered token, an ID token and an
    access token; the sign-up trigger, a wrong password, and the requests of browsers. The exit code
    is 1 if a check fails. A check that can't be made says why and doesn't count.
    """
    require_state(target)
    from cogauth.checks.verify.run import verify as run
    from cogauth.checks.verify.subject import find_subject
    from cogauth.cli.interrupt import gently
    from cogauth.steps.missing import naming_missing

    with target.locked("verify"):
        ctx = complete_stack(target, require_state(target), "apigateway", "cognito")
        with naming_missing(ctx):
            checked = find_subject(ctx, api, path, stage)
        notice(f"REST API {checked.api} at {checked.url}")
        table = nullcontext(lambda _row: None) if target.as_json else _shown()

        def then() -> tuple[str, str | None]:
            if not ctx.state.throwaway_users:
                return "Its user was deleted.", None
            return "Its user may exist.", f"Run '{ctx.state.command('verify')}' to delete it."

        with gently(ctx.waiter.stop, None, then), table as report:
            result = run(ctx, checked, report)
    if target.as_json:
        document = {
            "ok": result.ok,
            "rest_api_id": checked.api,
            "stage": checked.stage,
            "url": checked.url,
            "rows": [row.to_json() for row in result.rows],
            "missing": str(result.missing) if result.missing else None,
            "left": result.left,
            "elapsed_s": target.elapsed,
        }
        print_json(document)
    else:
        made = [row for row in result.rows if row.ok is not None]
        differ = sum(row.ok is False for row in made)
        passed = f"✓ All {len(made)} checks passed"
        text = f"✗ {differ} of {len(made)} checks failed" if differ else passed
        skipped = len(result.rows) - len(made)
        say(f"{text}; {skipped} could not be made." if skipped else f"{text}.")
        if result.closed:
            own = ctx.state.command("test-login NAME")
            say(f"Sign-up is closed. '{own}' checks sign-in and guard with a user of yours.")
    for said in filter(None, (result.missing, result.left)):
        notice(f"Error: {said}")
    return 0 if result.ok else 1


@contextmanager
def _shown() -> Iterator[Callable[[Row], None]]:
    """Show each row as it comes, in a table on a terminal, as plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield _print
        return
    from rich.live import Live
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="The guard, checked with real calls")
    table.title_justify = "left"
    for name, fixed in (("verdict", True), ("check", True), ("call and result", False)):
        table.add_column(name, no_wrap=fixed, overflow="fold")
    notes = []
    with Live(table, console=console(), refresh_per_second=4, vertical_overflow="visible") as live:

        def add(row: Row) -> None:
            table.add_row(
                styled(VERDICTS[row.ok], STYLES[row.ok]),
                styled(row.check),
                stacked(*(styled(text, style) for text, style in _details(row))),
            )
            live.refresh()
            if row.note:
                notes.append(f"{row.check}: {row.note}")

        yield add
    # Below the table, because a cell would break their commands and URLs.
    for note in dict.fromkeys(notes):
        say(f"  {note}")


def _details(row: Row) -> list[tuple[str, str]]:
    """Return what was sent and the result; at 80 columns the table has no room for more."""
    if row.ok:
        return [(f"{row.sent}: {row.got}", "")]
    if not row.expected:
        return [(f"{row.sent}: not made, see below", STYLES[row.ok])]
    return [(row.sent, ""), (f"expected {row.expected}, got {row.got}", STYLES[row.ok])]


def _print(row: Row) -> None:
    got = f"expected {row.expected}, got {row.got}" if row.expected else "not made"
    note = f": {row.note}" if row.note else ""
    say(f"{VERDICTS[row.ok]:<9} {row.check:<20} {got} ({row.sent}){note}")
