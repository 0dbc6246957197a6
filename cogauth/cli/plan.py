"""``cogauth plan``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.choices import (
    DEFAULTS,
    SIGN_UP,
    check_recorded,
    setting_options,
    stack_of,
    typed_options,
)
from cogauth.cli.help import Command
from cogauth.cli.local_stacks import leave_local
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import error_json, notice, print_data, print_json, say, show_styled
from cogauth.cli.progress import Waits, plan_lines
from cogauth.cli.stacks import (
    LOST,
    connect,
    data_of,
    new_context,
    start_local,
    unasked_context,
    where,
)
from cogauth.errors import UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import UpPlan
    from cogauth.settings import Settings

# The exit code of --exit-code if something would change.
DIFFERS = 3
# The number of unfinished changes to name: an attached API may have hundreds of methods.
LISTED = 30


@click.command(
    cls=Command,
    short_help="Show what 'up' would change, and change nothing.",
    epilog="""\b
Examples:
  cogauth plan                        what the next 'cogauth up' would do
  cogauth plan --throttle-rate 5      what it would do with another setting
  cogauth plan --exit-code || echo 'not as wanted'
                                      exit code 3 if something would change
  cogauth plan --script --region eu-central-1 > up.sh
                                      what 'up' does, as AWS CLI commands
  cogauth plan --json | jq -r '.steps[] | select(.action != "unchanged")'
""",
)
@setting_options
@click.option("--exit-code", is_flag=True, help=f"Exit with {DIFFERS} if something would change.")
@click.option(
    "--script",
    is_flag=True,
    help="Instead, print a bash script of AWS CLI commands that creates such a stack.",
)
@target_options
def plan(
    target: Target,
    *,
    local: bool,
    exit_code: bool,
    script: bool,
    adopt: tuple[str, ...],
    **choices: Any,
) -> int:
    """Show what 'cogauth up' would do with the same options.

    It makes the same checks as 'up', but changes nothing. The marks are + create, ~ update, -/+
    recreate, - delete. A value that AWS assigns during 'up' is shown as (known after up). The exit
    code is 1 if something would stop 'up'.
    """
    if script:
        for option, given in (("--exit-code", exit_code), ("--adopt", bool(adopt))):
            if given:
                raise UsageError(
                    f"--script and {option} exclude each other", hint="Give one of them."
                )
        _print_script(target, choices, local=local)
        return 0
    return show_plan(target, choices, local=local, adopt=adopt, exit_code=exit_code)


def _print_script(target: Target, choices: dict[str, Any], *, local: bool) -> None:
    if target.as_json:
        raise UsageError("--script and --json exclude each other", hint="Give one of them.")
    if local:
        raise UsageError(
            "--script and --local exclude each other: the script is for the AWS CLI.",
            hint="AWS_ENDPOINT_URL and the keys of 'cogauth outputs --format env' lead the AWS CLI "
            "to a local AWS.",
        )
    state = stack_of(target, local=False)
    settings = (state.settings if state else DEFAULTS).with_choices(choices, exists=False)
    from cogauth.engine.script import script

    ctx = unasked_context(target, settings, state.region if state else None)
    if state is not None and state.resources:
        notice(
            f"The stack {state.stack} exists. The script creates one like it from nothing: run it "
            "in another account or region, or print it with another --stack."
        )
    print_data(script(ctx))


def show_plan(
    target: Target,
    choices: dict[str, Any],
    *,
    local: bool,
    adopt: tuple[str, ...],
    exit_code: bool = False,
) -> int:
    """Print what 'up' would do; return the exit code."""
    DEFAULTS.with_choices(choices, exists=False)
    from cogauth import engine

    with ExitStack() as undo:
        ctx, former = _stack(target, choices, undo, local=local, adopt=adopt)
        notice(f"Stack {ctx.stack} in {where(ctx)}")
        conflicts = {}
        if not engine.is_complete(ctx):
            conflicts = {each.key: error for each, error in engine.name_conflicts(ctx)}
        planned = engine.plan(ctx, Waits(), adopt, former)
        planned = replace(planned, conflicts=conflicts | planned.conflicts)
    if target.as_json:
        print_json(_document(ctx, planned))
    else:
        _show(planned, ctx)
    if planned.conflicts:
        return 1
    return DIFFERS if exit_code and not planned.is_empty else 0


def _stack(
    target: Target,
    choices: dict[str, Any],
    undo: ExitStack,
    *,
    local: bool,
    adopt: tuple[str, ...],
) -> tuple[Context, Settings | None]:
    """Return the stack with the chosen settings, as 'up' would see it, and its former settings."""
    from cogauth import engine
    from cogauth.steps.iam import check_boundary

    state = stack_of(target, local=local)
    check_recorded(target, state, adopt)
    if state is None:
        started = None
        if local:
            # It may be started only to be asked. A second run of this stack waits for its end.
            undo.enter_context(target.locked("plan"))
            undo.callback(lambda: leave_local(target, started.data_id if started else None))
            started = start_local(target, begins=True)
        settings = DEFAULTS.with_choices(choices, exists=False)
        ctx = new_context(target, settings, started, *engine.UP_CLIENTS)
        check_boundary(ctx, settings)
        return ctx, None
    former = state.settings
    state.settings = former.with_choices(choices, exists=bool(state.resources))
    if (data := data_of(target, state)) != state.local_data:
        notice(LOST)
        state.resources.clear()
        state.attachments.clear()
        state.local_data = data
    ctx = connect(target, state, *engine.UP_CLIENTS, creates=True)
    check_boundary(ctx, state.settings)
    return ctx, former


def _document(ctx: Context, plan: UpPlan) -> dict[str, Any]:
    return {
        "stack": ctx.stack,
        "account": ctx.state.account,
        "region": ctx.state.region,
        "sign_up": ctx.state.settings.sign_up,
        "steps": [
            {
                "step": each.step.name,
                "action": each.action,
                "id": each.id,
                "resources": [
                    {
                        "resource": row.resource.key,
                        "action": row.action,
                        "reason": row.reason or None,
                        "changes": [
                            {"field": one.path, "old": one.old, "new": one.new}
                            for one in row.fields
                        ],
                        "notes": row.notes,
                    }
                    for row in each.resources
                ],
            }
            for each in plan.steps
        ],
        "conflicts": [
            {"resource": key, **error_json(error.code, error)}
            for key, error in plan.conflicts.items()
        ],
        "unfinished": [vars(each) for each in plan.unfinished],
        "questions": plan.questions,
        "warnings": plan.warnings,
        "estimate": {"seconds": plan.seconds},
    }


def _show(plan: UpPlan, ctx: Context) -> None:
    for each in plan.unfinished[:LISTED]:
        since = f" since {each.since}" if each.since else ""
        say(f"Unfinished: {each.intent} {each.resource}{since}: {each.outcome}.")
    if more := len(plan.unfinished[LISTED:]):
        say(f"Unfinished: {more} more; --json lists them.")
    show_styled(plan_lines(plan))
    for question in plan.questions:
        say(f"'up' asks: {question}")
    for warning in plan.warnings:
        notice(f"Warning: {warning}")
    for error in plan.conflicts.values():
        say(f"✗ {error}")
    if sign_up := ctx.state.settings.sign_up:
        say(f"After 'up', sign-up is {SIGN_UP[sign_up]}.")
    if plan.is_empty:
        say(f"✓ Stack {ctx.stack} is up to date; 'up' would change nothing.")
        return
    counts = plan.counts()
    unchanged = counts.pop("unchanged")
    listed = ", ".join(f"{number} to {action}" for action, number in counts.items())
    # An emulator's calls take as long as the machine needs, which nobody can assume.
    on_aws = ctx.state.endpoint_url is None
    time = f"; about {math.ceil(plan.seconds)} s" if on_aws else ""
    say(f"Plan: {listed}, {unchanged} unchanged{time}.")
    if not plan.conflicts:
        say(f"Next: {ctx.state.command(f'up{typed_options()}')}")
