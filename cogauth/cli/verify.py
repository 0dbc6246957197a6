"""``cogauth verify``."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import console, notice, print_json, say, stacked, styled
from cogauth.cli.stacks import complete_stack, require_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.checks.verify.subject import Row

VERDICTS = {True: "ok", False: "DIFFERS", None: "-"}
STYLES = {True: "green", False: "bold red", None: "dim"}


@click.command(
    short_help="Check the guard by real calls.",
    epilog="""\b
Examples:
  cogauth verify                              the stack's own protected method
  cogauth verify --json | jq '.rows[] | select(.ok == false)'
  cogauth verify --api shop                   every GET that the stack's user pool guards there
  cogauth verify --api shop --path '/orders*' some of them
  cogauth verify --api shop --path /orders/7  one with a parameter, by a real path

Methods other than GET and HEAD are not called: they could change something. A lost guard is
seen without a call.
""",
)
@click.option("--api", envvar="COGAUTH_API", help="A REST API, by id or name.  [default: own]")
@click.option(
    "--path", envvar="COGAUTH_PATH", help="The path of its methods: a glob, or a real path."
)
@click.option("--stage", help="Its stage.  [default: the one attached to, or the only one]")
@writer_options
@target_options
def verify(target: Target, *, api: str | None, path: str | None, stage: str | None) -> int:
    """Check the guard by real calls, with a user that is made for it and removed.

    Without a token, with garbage, a tampered token, an ID token and an access token; the sign-up's
    trigger, a wrong password, and what browsers ask. Exits with 1 if any row differs; a row that
    could not be made says why and doesn't count.
    """
    require_state(target)
    from cogauth.checks.verify.run import verify as run
    from cogauth.checks.verify.subject import find_subject
    from cogauth.cli.interrupt import gently

    with target.locked("verify"):
        ctx = complete_stack(target, require_state(target), "apigateway", "cognito")
        checked = find_subject(ctx, api, path, stage)
        notice(f"cogauth verify: the API {checked.api} at {checked.url}")
        table = nullcontext(lambda _row: None) if target.as_json else _shown()

        def then() -> str:
            removes = f"'{ctx.state.command('verify')}' removes its user."
            return removes if ctx.state.throwaway_users else "Its user was removed."

        with gently(ctx.waiter.stop, None, then), table as report:
            result = run(ctx, checked, report)
    if target.as_json:
        document = {
            "ok": result.ok,
            "api": checked.api,
            "stage": checked.stage,
            "url": checked.url,
            "rows": [asdict(row) for row in result.rows],
            "left": result.left,
            "elapsed_s": target.elapsed,
        }
        print_json(document)
    else:
        made = [row for row in result.rows if row.ok is not None]
        differ = sum(row.ok is False for row in made)
        all_fine = f"All {len(made)} are as they should be"
        text = f"{differ} of {len(made)} differ" if differ else all_fine
        skipped = len(result.rows) - len(made)
        say(f"{text}; {skipped} not counted." if skipped else f"{text}.")
    if result.left:
        notice(f"Error: {result.left}")
    return 0 if result.ok else 1


@contextmanager
def _shown() -> Iterator[Callable[[Row], None]]:
    """Show each row as it comes: in a table on a terminal, as lines anywhere else."""
    if not sys.stdout.isatty():
        yield _print
        return
    from rich.live import Live
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("check", "expected", "got", ""):
        table.add_column(name, no_wrap=True)
    table.add_column("sent; what is to know", overflow="fold")
    with Live(table, console=console(), refresh_per_second=4, vertical_overflow="visible") as live:

        def add(row: Row) -> None:
            notes = [styled(row.note, "dim")] if row.note else []
            table.add_row(
                styled(row.check),
                styled(row.expected),
                styled(row.got),
                styled(VERDICTS[row.ok], STYLES[row.ok]),
                stacked(styled(row.sent), *notes),
            )
            live.refresh()

        yield add


def _print(row: Row) -> None:
    got = f"expected {row.expected}, got {row.got}" if row.expected else "not made"
    note = f": {row.note}" if row.note else ""
    say(f"{VERDICTS[row.ok]:<8}{row.check:<20} {got} ({row.sent}){note}")
