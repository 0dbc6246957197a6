"""``cogauth down``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.common import (
    Target,
    connect,
    load_state,
    notice,
    print_json,
    stop_unused_local,
    target_options,
    unsaved_stack,
    where,
)
from cogauth.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context


@click.command(
    epilog="""\b
Examples:
  cogauth down                  says what goes, and asks
  cogauth down --yes            for scripts
"""
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@target_options
def down(target: Target, *, yes: bool) -> int:
    """Delete the stack with its users, and look whether anything remains.

    Only what the stack's own state file records is deleted. Without a state file nothing is:
    what stands in the account under the stack's name is shown, and the exit code is 1.
    """
    begun = time.monotonic()
    state = load_state(target)
    if state is None:
        return _look(target, begun)
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was touched: stdin is not a terminal to ask on. Give --yes to delete "
            f"the stack {state.stack}."
        )
    from cogauth import engine
    from cogauth.context import Context

    ctx = Context(connect(target, state), state)
    _announce(ctx)
    if not yes and not click.confirm("Delete all of it?", err=True):
        notice("Nothing was deleted.")
        return 1
    ctx.waiter.report = lambda reason, left: notice(f"  waiting for {reason}, up to {left:.0f} s")
    try:
        result = engine.down(ctx, lambda line: notice(f"  deleting {line}"))
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"Interrupted. What still stands is in {state.path}: "
            f"'{target.command('down')}' goes on with it."
        ) from error
    for problem in result.problems:
        notice(f"Error: {problem}")
    if not (result.remaining or result.problems):
        state.remove()
        if state.local_data is not None and stop_unused_local(target):
            notice("  the local AWS was stopped, for this was its last stack")
    _show(target, vars(result), begun)
    return 1 if result.remaining or result.problems else 0


def _announce(ctx: Context) -> None:
    from cogauth import engine
    from cogauth.steps.cognito import count_users

    notice(f"cogauth down: the stack {ctx.stack} in {where(ctx)}")
    for title, name in engine.standing(ctx.state):
        notice(f"  {title:<22} {name}")
    pool = ctx.state.record("user_pool", "user_pool") or {}
    users = count_users(ctx, pool["id"]) if "id" in pool else None
    if users is not None:
        # Cognito's own figure is an estimate.
        notice(
            f"  The user pool holds about {users} user{'' if users == 1 else 's'}: lost with it."
        )


def _look(target: Target, begun: float) -> int:
    """Without a state file: say what of the stack stands in the account, and delete nothing."""
    from cogauth import engine
    from cogauth.settings import Settings

    ctx = unsaved_stack(target, connect(target, None, from_environment=True), Settings())
    found = [
        {"step": finding.step, "id": finding.id}
        for finding in engine.survey(ctx)
        if finding.tags.get("cogauth:stack") == target.stack
    ]
    if found:
        notice(
            f"There is no state file {target.state_path}, but a stack {target.stack} stands in "
            f"{where(ctx)}. Nothing was deleted. Run this where its state file is, or give --state."
        )
    else:
        notice(f"There is no stack {target.stack} in {where(ctx)}: nothing to delete.")
    _show(target, {"deleted": [], "already_gone": [], "remaining": found}, begun)
    return 1 if found else 0


def _show(target: Target, result: dict[str, Any], begun: float) -> None:
    elapsed = time.monotonic() - begun
    lists = {name: result[name] for name in ("deleted", "already_gone", "remaining")}
    if target.as_json:
        print_json({"stack": target.stack, **lists, "elapsed_s": round(elapsed, 3)})
        return
    for name, entries in lists.items():
        click.echo(f"{name.replace('_', ' ')}: {len(entries) or 'nothing'}")
        if name != "deleted":
            for entry in entries:
                click.echo(f"  {entry['step']:<22} {entry['id']}")
    click.echo(f"({elapsed:.1f} s)")
