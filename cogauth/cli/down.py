"""``cogauth down``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.local_stacks import local_users, search, stop_unused_local
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import ask, confirm, notice, print_json, say
from cogauth.cli.stacks import (
    connect,
    forget_lost_data,
    load_state,
    report_once,
    require_state,
    where,
)
from cogauth.errors import CogauthError, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import DownPlan

# Of the result, those that are shown; some of them only if there is something in them.
LISTS = ("restored", "deleted", "already_gone", "not_ours", "remaining")
AT_NEED = ("restored", "not_ours")


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
def down(target: Target, *, yes: bool) -> int:
    """Delete the stack with its users, and look whether anything remains.

    Only what carries the stack's own id is deleted. What the state file records and isn't the
    stack's is left alone and forgotten. What nothing but its tag says to be the stack's, as a pool
    with users that isn't recorded, --yes leaves alone: confirm it on a terminal. Without a state
    file nothing is deleted: what stands in the account under the stack's name is shown. In all of
    these cases the exit code is 1. The state file goes away when nothing remains.
    """
    if load_state(target) is None:
        return _look(target, yes=yes)
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was touched: stdin is not a terminal to ask on. Give --yes to delete "
            f"the stack {target.stack}."
        )
    from cogauth import engine

    with target.locked("down"):
        # Read anew: another cogauth may have been at work until now.
        state = require_state(target)
        forget_lost_data(target, state)
        ctx = connect(target, state, *engine.DOWN_CLIENTS)
        ctx.waiter.report = report_once("  ")
        plan = engine.plan_down(ctx)
        _announce(target, ctx, plan)
        if not yes:
            plan = _ask(target, ctx, plan)
        return _take_away(target, ctx, plan, asked=not yes)


def _take_away(target: Target, ctx: Context, plan: DownPlan, *, asked: bool) -> int:
    from cogauth import engine
    from cogauth.cli.interrupt import gently

    state = ctx.state
    then = (
        f"What still stands is in {state.path}: '{state.command('down')}' goes on with it, "
        f"'{state.command('up')}' makes it whole."
    )
    with gently(ctx.waiter.stop, None, lambda: then):
        result = engine.down(ctx, plan, lambda line: notice(f"  {line}"), claimed=asked)
    for left_alone in result.left_alone:
        notice(f"  {left_alone}")
    for problem in result.problems:
        notice(f"Error: {problem}")
    if result.clean:
        for left_alone in state.remove():
            notice(f"  {left_alone}")
        if state.local_data is not None:
            _end_local(target, ctx, "this was its last stack")
    _show(target, vars(result))
    return 0 if result.clean else 1


def _end_local(target: Target, ctx: Context, why: str) -> None:
    if stop_unused_local(target, ctx.state.local_data, ctx):
        notice(f"  the local AWS was stopped, for {why}")


def _announce(target: Target, ctx: Context, plan: DownPlan) -> None:
    """Say what will be deleted, what each method gets back, and what is left alone."""
    from cogauth.cli.attached import change_of

    notice(f"cogauth down: the stack {ctx.stack} in {where(ctx)}")
    for each in plan.doomed:
        why = "" if each.recorded else " (not in the state file)"
        if each.claimed:
            why = ": only its tag says that it is the stack's; --yes leaves it alone"
        notice(f"  {_title(each.resource.key)} {each.id}{why}")
    for stranger in plan.strangers:
        way_on = f"; if it is: '{ctx.state.command(f'up --adopt {stranger.id}')}'"
        notice(
            f"  {_title(stranger.resource.key)} {stranger.id}: isn't this stack's "
            f"({stranger.why}), is left alone and forgotten{way_on if stranger.adoptable else ''}"
        )
    for api, given_back in plan.attached.items():
        what = f"  {'attached API':<22} {ctx.state.attachments[api]['name']} ({api})"
        if isinstance(given_back, str):
            notice(f"{what}: {given_back}")
            continue
        stages = ", ".join(given_back.stages)
        publishes = f"the stage {stages} is redeployed, with all that is pending there; "
        notice(
            f"{what}: {publishes if stages else ''}our authorizer there is deleted, if no method "
            "refers to it"
        )
        for row in [] if given_back.gone else given_back.rows:
            notice(f"    {row.name}  {change_of(ctx, given_back.api, row)}")
    local_data = ctx.state.local_data
    if local_data is not None and not local_users(target, local_data, ctx):
        notice("  It is the last stack on the local AWS: that ends, with all else in it.")
    for each in plan.doomed:
        if each.users is not None:
            # Cognito's own figure is an estimate.
            users = f"{each.users} user{'' if each.users == 1 else 's'}"
            notice(f"  The user pool {each.id} holds about {users}: lost with it.")


def _title(key: str) -> str:
    return f"{key.replace('_', ' '):<22}"


def _ask(target: Target, ctx: Context, plan: DownPlan) -> DownPlan:
    """Ask, where users are lost for more than a 'y'; return the plan as it is afterwards."""
    from cogauth import engine

    if plan.users:
        question = f"Type the stack's name, {target.stack}, to delete all of it"
        agreed = ask(question) == target.stack
    else:
        agreed = confirm("Delete all of it?")
    if not agreed:
        raise CogauthError("Nothing was deleted.")
    now = engine.plan_down(ctx)
    if now.shown != plan.shown:
        raise CogauthError("What stands was changed meanwhile. Nothing was deleted: run it again.")
    return now


def _look(target: Target, *, yes: bool) -> int:
    """Without a state file: say what of the stack stands in the account, and delete nothing.

    A local AWS in which nothing stands is ended, if that was agreed to.
    """
    from cogauth import engine
    from cogauth.cli.demo import everything

    try:
        ctx = search(target)
    except CogauthError as error:
        raise type(error)(
            f"There is no state file {target.state_path}. To look for a stack {target.stack} in an "
            f"account: {error.lines[0]}",
            *error.lines[1:],
        ) from error
    found = [
        {"step": finding.resource.step.name, "id": finding.id}
        for finding in engine.survey(ctx)
        if finding.tags.get("cogauth:stack") == target.stack
    ]
    if found:
        notice(
            f"There is no state file {target.state_path}, but a stack {target.stack} stands in "
            f"{where(ctx)}. Nothing was deleted. Run this where its state file is, or give "
            f"--state; if it is lost, '{ctx.state.command('recover')}' writes it anew."
        )
    else:
        notice(f"There is no stack {target.stack} in {where(ctx)}: nothing to delete.")
        if yes and ctx.state.local_data is not None:
            if left := everything(ctx.aws):
                notice(f"The local AWS keeps running: {', '.join(left)} stand in it.")
            else:
                _end_local(target, ctx, "nothing stands in it")
    _show(target, {"deleted": [], "already_gone": [], "remaining": found})
    return 1 if found else 0


def _show(target: Target, result: dict[str, Any]) -> None:
    lists = {name: result[name] for name in LISTS if name not in AT_NEED or result.get(name)}
    if target.as_json:
        print_json({"stack": target.stack, **lists, "elapsed_s": target.elapsed})
        return
    for name, entries in lists.items():
        say(f"{name.replace('_', ' ')}: {len(entries) or 'nothing'}")
        if name != "deleted":
            for entry in entries:
                say(f"  {entry['step']:<22} {entry['id']}")
    say(f"({target.elapsed:.1f} s)")
