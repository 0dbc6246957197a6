"""``cogauth down``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.local_stacks import local_users, search, stop_unused_local
from cogauth.cli.options import Target, target_options, writer_options, yes_option
from cogauth.cli.output import ask, confirm, notice, print_json, say, show_table
from cogauth.cli.stacks import (
    connect,
    forget_lost_data,
    load_state,
    report_once,
    require_state,
    stacks_here,
    where,
)
from cogauth.errors import CogauthError, DeclinedError, NoRegionError, NoStackError, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import DownPlan
    from cogauth.engine.down import DownResult

# The lists of the result, in order; those in AT_NEED are shown only if they have entries.
LISTS = ("restored", "deleted", "already_gone", "not_ours", "remaining")
AT_NEED = ("restored", "not_ours")
# The mark and colour of each list; "" is for an empty one.
MARKS = {
    "restored": ("✓", "green"),
    "deleted": ("✓", "green"),
    "already_gone": ("", "dim"),
    "not_ours": ("✗", "yellow"),
    "remaining": ("✗", "red"),
    "": ("", ""),
}


@click.command(
    cls=Command,
    short_help="Delete the stack and check that nothing is left.",
    epilog="""\b
Examples:
  cogauth down                  lists what it will delete, and asks
  cogauth down --yes            doesn't ask; use it in scripts
""",
)
@yes_option()
@writer_options
@target_options
def down(target: Target, *, yes: bool) -> int:
    """Delete the stack and its users, and check that nothing is left.

    Only resources that carry the stack's id are deleted. A recorded resource that isn't the
    stack's is left alone and removed from the state file. A resource that only its tag assigns to
    the stack, such as an unrecorded user pool with users, is deleted only if you confirm it on a
    terminal: --yes leaves it alone. Without a state file nothing is deleted; what exists under the
    stack's name is listed. In these cases the exit code is 1. The state file is deleted when
    nothing is left.

    Methods that were attached get back what guarded them before.
    """
    if load_state(target) is None:
        return _look(target, yes=yes)
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was touched, because stdin is not a terminal to ask on.",
            hint=f"Give --yes to delete the stack {target.stack}.",
        )
    from cogauth import engine

    with target.locked("down"):
        # Read it again: another cogauth may have changed it until now.
        state = require_state(target)
        forget_lost_data(target, state)
        ctx = connect(target, state, *engine.DOWN_CLIENTS)
        ctx.waiter.report = report_once("  ")
        plan = engine.plan_down(ctx)
        _announce(target, ctx, plan)
        # If AWS would refuse a deletion, nothing is deleted, so there is nothing to ask.
        if not yes and not plan.obstacles(claimed=False):
            plan = _ask(target, ctx, plan)
        return _take_away(target, ctx, plan, asked=not yes)


def _take_away(target: Target, ctx: Context, plan: DownPlan, *, asked: bool) -> int:
    from cogauth import engine
    from cogauth.cli.interrupt import gently

    state = ctx.state
    then = (
        f"{state.path} records what still exists.",
        (
            f"Run '{state.command('down')}' to delete the rest, or '{state.command('up')}' to "
            "complete the stack again."
        ),
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
    _say_open(ctx, plan, result)
    ending = f"✓ Stack {ctx.stack} is deleted"
    if result.remaining or result.problems:
        ending = f"✗ Stack {ctx.stack} isn't fully deleted"
    elif result.not_ours:
        ending = f"✗ Stack {ctx.stack} is deleted; what isn't its own was left alone"
    _show(target, vars(result), result.count, ending)
    return 0 if result.clean else 1


def _say_open(ctx: Context, plan: DownPlan, result: DownResult) -> None:
    """Name the restored methods that anyone may call now."""
    from cogauth.cli.attached import say_open

    restored = {one["id"] for one in result.restored}
    for api, given_back in plan.attached.items():
        if not isinstance(given_back, str):
            rows = given_back.rows
            say_open(ctx, given_back, [r.name for r in rows if f"{api} {r.name}" in restored])


def _end_local(target: Target, ctx: Context, why: str) -> None:
    if stop_unused_local(target, ctx.state.local_data, ctx):
        notice(f"  the local AWS was stopped, because {why}")


def _announce(target: Target, ctx: Context, plan: DownPlan) -> None:
    """Say what will be deleted, what each method gets back, and what is left alone."""
    from cogauth.steps.ownership import words

    notice(f"Stack {ctx.stack} in {where(ctx)}")
    if plan.deletions:
        count = len(plan.deletions)
        notice(
            f"{count} resource{'' if count == 1 else 's'} to delete, with all that they contain:"
        )
    rows = []
    for each in plan.deletions:
        why = "" if each.recorded else " (not in the state file)"
        if each.claimed:
            why = ": only its tag assigns it to the stack; --yes leaves it alone"
        rows.append((words(each.resource), f"{each.id}{why}"))
    show_table(rows, indent=2, err=True)
    for other in plan.not_ours:
        way_on = f"; if it is: '{ctx.state.command(f'up --adopt {other.id}')}'"
        notice(
            f"  {words(other.resource)} {other.id}: isn't this stack's "
            f"({other.why}); it is left alone and removed from the state file"
            f"{way_on if other.adoptable else ''}"
        )
    _announce_attached(ctx, plan)
    local_data = ctx.state.local_data
    if local_data is not None and not local_users(target, local_data, ctx):
        notice(
            "  This is the local AWS's last stack: it will stop, and everything else in it is "
            "deleted."
        )
    for each in plan.deletions:
        # Cognito gives an estimate.
        if each.users:
            users = f"{each.users} user{'' if each.users == 1 else 's'}"
            notice(f"  Warning: the user pool {each.id} is deleted with about {users}.")
        elif each.users is not None:
            notice(f"  The user pool {each.id} has no users, as far as Cognito has counted them.")


def _announce_attached(ctx: Context, plan: DownPlan) -> None:
    """Say what each attached method gets back."""
    from cogauth.cli.attached import change_of

    for api, given_back in plan.attached.items():
        what = f"  attached API {ctx.state.attachments[api]['name']} ({api})"
        if isinstance(given_back, str):
            notice(f"{what}: {given_back}")
            continue
        stages = ", ".join(given_back.stages)
        publishes = f"the stage {stages} is redeployed with all pending changes; "
        notice(
            f"{what}: {publishes if stages else ''}the stack's authorizer there is deleted, unless "
            "a method still uses it"
        )
        for row in [] if given_back.gone else given_back.rows:
            notice(f"    {row.name}  {change_of(ctx, given_back.api, row)}")


def _ask(target: Target, ctx: Context, plan: DownPlan) -> DownPlan:
    """Ask, for the stack's name if users are lost; return the plan as it is after the answer."""
    from cogauth import engine

    if plan.users:
        question = f"Type the stack's name, {target.stack}, to delete it"
        agreed = ask(question) == target.stack
    else:
        agreed = confirm("Delete the stack?")
    if not agreed:
        wrong = " That isn't the stack's name." if plan.users else ""
        raise DeclinedError(f"Nothing was deleted.{wrong}")
    now = engine.plan_down(ctx)
    if now.shown != plan.shown:
        raise CogauthError(
            "The stack was changed in the meantime. Nothing was deleted.",
            hint="Run the command again.",
        )
    return now


def _look(target: Target, *, yes: bool) -> int:
    """Without a state file, list what exists of the stack in the account; delete nothing.

    With --yes an empty local AWS is stopped.
    """
    from cogauth import engine
    from cogauth.cli.demo import everything

    try:
        ctx = search(target)
    except NoRegionError as error:
        raise NoStackError(
            f"No stack {target.stack} here: nothing to delete. {_others(target)}".rstrip(),
            hint="To look for one in an AWS account, give --region.",
        ) from error
    except CogauthError as error:
        raise type(error)(
            f"No stack {target.stack} here ({target.state_path}): nothing to delete. "
            f"{_others(target)}The account was not searched: {error.args[0]}",
            *error.args[1:],
            hint=error.hint,
        ) from error
    found = [
        {
            "step": finding.resource.step.name,
            "resource": finding.resource.key,
            "id": finding.id,
        }
        for finding in engine.survey(ctx)
        if finding.tags.get("cogauth:stack") == target.stack
    ]
    if found:
        notice(
            f"There is no state file {target.state_path}, but a stack {target.stack} exists in "
            f"{where(ctx)}. Nothing was deleted. Run this command in the folder of the state file, "
            f"or give --state. If the file was lost, run '{ctx.state.command('recover')}'."
        )
    else:
        notice(
            f"No stack {target.stack} here or in {where(ctx)}: nothing to delete. "
            f"{_others(target)}".rstrip()
        )
        if yes and ctx.state.local_data is not None:
            if left := everything(ctx.aws):
                notice(
                    "The local AWS keeps running, because these resources are still in it: "
                    f"{', '.join(left)}. To delete them, run 'cogauth up --local', and evaluate "
                    "'cogauth outputs --format env' in your shell to have keys."
                )
            else:
                _end_local(target, ctx, "it is empty")
    _show(target, {"deleted": [], "already_gone": [], "remaining": found})
    return 1 if found else 0


def _others(target: Target) -> str:
    found = stacks_here(target)
    return f"Stacks here: {', '.join(found)}. " if found else ""


def _show(target: Target, result: dict[str, Any], deleted: int = 0, ending: str = "") -> None:
    lists = {name: result[name] for name in LISTS if name not in AT_NEED or result.get(name)}
    if target.as_json:
        print_json({"stack": target.stack, **lists, "elapsed_s": target.elapsed})
        return
    from cogauth.steps import RESOURCES
    from cogauth.steps.ownership import words

    for name, entries in lists.items():
        # The deleted ones as they were listed: their contents went with them.
        count = deleted if name == "deleted" else len(entries)
        mark, style = MARKS[name if count else ""]
        say(f"{mark} {name.replace('_', ' ')}: {count or 'nothing'}".lstrip())
        if name != "deleted":
            rows = []
            for entry in entries:
                own = RESOURCES.get(entry["resource"])
                rows.append((words(own) if own else entry["resource"], (entry["id"], style)))
            show_table(rows, indent=2)
    if ending:
        say(f"{ending} ({target.elapsed:.1f} s).")
