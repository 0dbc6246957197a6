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
    local_stacks,
    report_once,
    require_state,
    search,
    stop_unused_local,
    target_options,
    where,
    writer_options,
)
from cogauth.cli.output import ask, confirm, notice, print_json, say
from cogauth.errors import CogauthError, Interrupted, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context

# Of the result, those that are shown; the first only if there was something to give back.
LISTS = ("restored", "deleted", "already_gone", "remaining")


@click.command(
    short_help="Delete the stack, and see that nothing is left.",
    epilog="""\b
Examples:
  cogauth down                  says what goes, and asks
  cogauth down --yes            for scripts
""",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@writer_options
@target_options
def down(target: Target, *, yes: bool, lock_timeout: float, settle: float) -> int:
    """Delete the stack with its users, and look whether anything remains.

    Only what carries the stack's own id is deleted. Without a state file nothing is: what stands
    in the account under the stack's name is shown, and the exit code is 1. The state file goes
    away when nothing remains.
    """
    begun = time.monotonic()
    if load_state(target) is None:
        return _look(target, begun)
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was touched: stdin is not a terminal to ask on. Give --yes to delete "
            f"the stack {target.stack}."
        )
    from cogauth import engine
    from cogauth.context import Context
    from cogauth.lock import hold

    with hold(target.state_path, "down", lock_timeout):
        # Read anew: another cogauth may have been at work until now.
        state = require_state(target)
        aws = connect(target, state, clients=engine.DOWN_CLIENTS)
        ctx = Context(aws, state, settle_s=settle)
        users = _announce(target, ctx)
        if not (yes or _confirmed(target, users)):
            raise CogauthError("Nothing was deleted.")
        return _take_away(target, ctx, begun)


def _take_away(target: Target, ctx: Context, begun: float) -> int:
    from cogauth import engine
    from cogauth.cli.interrupt import gently

    state = ctx.state
    ctx.waiter.report = report_once("  ")
    try:
        with gently(ctx.waiter.stop):
            result = engine.down(ctx, lambda line: notice(f"  {line}"))
    except KeyboardInterrupt as error:
        for problem in error.args:
            notice(f"Error: {problem}")
        raise Interrupted(
            f"Interrupted. What still stands is in {state.path}: "
            f"'{target.command('down')}' goes on with it, '{target.command('up')}' makes it whole."
        ) from error
    for left_alone in result.left_alone:
        notice(f"  {left_alone}")
    for problem in result.problems:
        notice(f"Error: {problem}")
    if not (result.remaining or result.problems):
        state.remove()
        if state.local_data is not None and stop_unused_local(target):
            notice("  the local AWS was stopped, for this was its last stack")
    _show(target, vars(result), begun)
    return 1 if result.remaining or result.problems else 0


def _announce(target: Target, ctx: Context) -> int:
    """Say what will be deleted; return the number of users that are lost with it."""
    from cogauth import engine
    from cogauth.steps.cognito import count_users

    notice(f"cogauth down: the stack {ctx.stack} in {where(ctx)}")
    for title, name in engine.standing(ctx.state):
        notice(f"  {title:<22} {name}")
    for api in engine.attachments(ctx.state):
        record = ctx.state.attachments[api]
        what = "our authorizer there is deleted, if no method refers to it"
        if methods := len(record["methods"]):
            what = (
                f"{methods} method{'' if methods == 1 else 's'} get back what they had, and the "
                f"stage {', '.join(record['stages'])} is redeployed, with all that is pending there"
            )
        notice(f"  {'attached API':<22} {record['name']} ({api}): {what}")
    pool = ctx.state.record("user_pool", "user_pool") or {}
    users = (count_users(ctx, pool["id"]) if "id" in pool else None) or 0
    alone = local_stacks(target, but=ctx.state.path) == ([], [])
    if ctx.state.local_data is not None and alone:
        notice("  It is the last stack on the local AWS: that ends, with all else in it.")
    # Cognito's own figure is an estimate.
    notice(f"  The user pool holds about {users} user{'' if users == 1 else 's'}: lost with it.")
    return users


def _confirmed(target: Target, users: int) -> bool:
    """Ask; where users are lost, a mere 'y' is not enough."""
    if not users:
        return confirm("Delete all of it?")
    question = f"Type the stack's name, {target.stack}, to delete all of it"
    return ask(question) == target.stack


def _look(target: Target, begun: float) -> int:
    """Without a state file: say what of the stack stands in the account, and delete nothing."""
    from cogauth import engine

    try:
        ctx = search(target)
    except CogauthError as error:
        raise type(error)(
            f"There is no state file {target.state_path}. To look for a stack {target.stack} in an "
            f"account: {error.lines[0]}",
            *error.lines[1:],
        ) from error
    found = [
        {"step": finding.step, "id": finding.id}
        for finding in engine.survey(ctx)
        if finding.tags.get("cogauth:stack") == target.stack
    ]
    if found:
        notice(
            f"There is no state file {target.state_path}, but a stack {target.stack} stands in "
            f"{where(ctx)}. Nothing was deleted. Run this where its state file is, or give "
            f"--state; if it is lost, '{target.command('recover')}' writes it anew."
        )
    else:
        notice(f"There is no stack {target.stack} in {where(ctx)}: nothing to delete.")
    _show(target, {"deleted": [], "already_gone": [], "remaining": found}, begun)
    return 1 if found else 0


def _show(target: Target, result: dict[str, Any], begun: float) -> None:
    elapsed = time.monotonic() - begun
    lists = {name: result[name] for name in LISTS if name != "restored" or result.get(name)}
    if target.as_json:
        print_json({"stack": target.stack, **lists, "elapsed_s": round(elapsed, 3)})
        return
    for name, entries in lists.items():
        say(f"{name.replace('_', ' ')}: {len(entries) or 'nothing'}")
        if name != "deleted":
            for entry in entries:
                say(f"  {entry['step']:<22} {entry['id']}")
    say(f"({elapsed:.1f} s)")
