"""Code that ``attach`` and ``detach`` share: show the plan, ask, and carry it out."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cogauth.cli.options import with_options, yes_option
from cogauth.cli.output import confirm, notice, say, show_table
from cogauth.cli.stacks import connect, require_state, where
from cogauth.errors import CogauthError, DeclinedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.cli.options import Target
    from cogauth.context import Context
    from cogauth.engine import Api, ApiPlan, MethodChange, Skip

Result = TypeVar("Result")
# The number of open methods to name.
LISTED = 10

COMPARED = (
    "cogauth compares the methods, their authorization, their integrations and the authorizers "
    "that they use. It can't compare gateway responses, the resource policy, binary media types, "
    "and the methods' parameters, models and validators: changes there go live too."
)


# The options of commands that change an API that may be anybody's.
change_options = with_options(
    click.option(
        "-n", "--dry-run", is_flag=True, help="Show what would change, and change nothing."
    ),
    yes_option(),
)


def check_given(**options: str | None) -> None:
    """Refuse empty values, such as unset shell variables: they would mean "all"."""
    for name, value in options.items():
        if value == "":
            raise UsageError(f"--{name} is empty", hint="Give a value, or leave it out.")


def context_of(target: Target) -> Context:
    """Read the stack again under the lock; it must have a user pool."""
    from cogauth import engine

    state = require_state(target)
    if state.record("user_pool") is None:
        raise UsageError(
            f"The stack {state.stack} has no user pool", hint=f"Run '{state.command('up')}' first."
        )
    ctx = connect(target, state, *engine.ATTACH_CLIENTS)
    ctx.aws.make_clients(*engine.ATTACH_CLIENTS)
    return ctx


def show_plan(target: Target, ctx: Context, plan: ApiPlan, *, dry_run: bool) -> None:
    """Show the changes and what else goes live, on stdout for a dry run, else on stderr."""
    tell = say if dry_run and not target.as_json else notice
    tell(f"REST API {plan.api.name} ({plan.api.id}) in {where(ctx)}")
    if plan.gone:
        tell("  The API was deleted, so there is nothing to give back.")
        return
    rows = [(row.name, (change_of(ctx, plan.api, row), _style(row))) for row in plan.rows]
    show_table(rows, indent=2, err=tell is notice)
    if plan.point_authorizer:
        tell("  The stack's authorizer there will use the stack's present user pool.")
    if plan.stages:
        tell(f"The stage {', '.join(plan.stages)} is redeployed, which publishes the whole API.")
        _show_pending(plan, tell)
        if others := [str(one["stageName"]) for one in plan.api.stages]:
            others = [name for name in others if name not in plan.stages]
            if others:
                tell(
                    f"Not redeployed: {', '.join(others)}. There the methods stay as they were "
                    "last deployed, until someone deploys there."
                )
    for warning in plan.warnings:
        tell(f"Warning: {warning}")


def _style(row: MethodChange | Skip) -> str:
    return "yellow" if row.action in {"attach", "restore"} else ""


def say_open(ctx: Context, plan: ApiPlan, restored: list[str]) -> None:
    """Name the restored methods that anyone may call now."""
    opened = [
        row.name
        for row in plan.rows
        if row.name in restored and row.after and plan.api.words(ctx, row.after) == "NONE"
    ]
    if opened:
        which = f"{', '.join(opened[:LISTED])}{' …' if opened[LISTED:] else ''}"
        verb = "is" if len(opened) == 1 else "are"
        notice(f"Warning: {which} of the API {plan.api.name} {verb} open to anyone from now on.")


def change_of(ctx: Context, api: Api, row: MethodChange | Skip) -> str:
    """Return how a method's guard changes, in words."""
    before = api.words(ctx, row.before) if row.before else ""
    if row.action in {"attach", "restore"} and row.after:
        after = api.words(ctx, row.after)
        return f"{before}  →  {after}{': open to anyone' if after == 'NONE' else ''}"
    if row.action == "unchanged":
        return f"{before}: unchanged" + (f", {row.why}" if row.why else "")
    return f"{before}: {row.action}: {row.why}".removeprefix(": ")


def _show_pending(plan: ApiPlan, tell: Callable[[str], None]) -> None:
    if plan.pending is None:
        tell(f"Warning: unknown what else goes live: {plan.unknown}.")
        return
    if plan.pending:
        tell("These changes since the last deployment go live too:")
    for each in plan.pending:
        fields = f" ({', '.join(each.fields)})" if each.fields else ""
        tell(f"  {each.what}: {each.change}{fields}")
    if not plan.pending:
        tell("No other change since the last deployment was found.")
    tell(f"{COMPARED}{f' On this endpoint {plan.unknown}.' if plan.unknown else ''}")


def ask(plan: ApiPlan, again: Callable[[], ApiPlan], *, yes: bool) -> ApiPlan:
    """Ask before anything is changed; return the plan as it is after the answer."""
    if yes or not (plan.stages or plan.changes):
        return plan
    if not sys.stdin.isatty():
        raise UsageError(
            "Nothing was changed, because stdin is not a terminal to ask on.",
            hint="Give --yes or --dry-run.",
        )
    if not confirm("Make these changes?"):
        raise DeclinedError("Nothing was changed.")
    now = again()
    if now.shown != plan.shown:
        raise CogauthError(
            f"Someone changed the API {plan.api.name} in the meantime. Nothing was changed.",
            hint="Run the command again.",
        )
    return now


def run(ctx: Context, plan: ApiPlan, work: Callable[..., Result]) -> Result:
    """Attach or detach, and show the progress."""
    from cogauth.cli.interrupt import gently
    from cogauth.cli.progress import Bar

    bar = Bar(len(plan.changes))
    ctx.waiter.report = bar.waiting
    undo = ctx.state.command(f"detach --api {plan.api.id}")
    then = (
        f"Nothing is lost: {ctx.state.path} records what was done.",
        f"Run the same command again to finish, or '{undo}' to undo it.",
    )
    with bar.live or nullcontext(), gently(ctx.waiter.stop, bar.interrupted, lambda: then):
        return work(ctx, plan, bar.report)


def methods_json(plan: ApiPlan) -> list[dict[str, Any]]:
    """Return the change of each method, in the form of ``--json``."""
    from cogauth.gateway.rest_apis import path_and_method

    return [
        {
            **path_and_method(row.name),
            "before": row.before,
            "after": row.after,
            "action": row.action.replace(" ", "_"),
            **({"why": row.why} if row.why else {}),
        }
        for row in plan.rows
    ]


def pending_json(plan: ApiPlan) -> dict[str, Any]:
    """Return what else goes live, and the warnings, in the form of ``--json``."""
    pending = None if plan.pending is None else [vars(each) for each in plan.pending]
    return {"pending": pending, "pending_unknown": plan.unknown, "warnings": plan.warnings}


def counted(methods: list[str]) -> str:
    """Return the number of methods, in words."""
    return "1 method" if len(methods) == 1 else f"{len(methods)} methods"
