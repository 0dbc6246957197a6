"""``cogauth up``."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.choices import DEFAULTS, SIGN_UP, check_recorded, setting_options, stack_of
from cogauth.cli.help import Command
from cogauth.cli.interrupt import gently, interrupt, on_signals
from cogauth.cli.local_stacks import leave_local
from cogauth.cli.options import Target, target_options, writer_options, yes_option
from cogauth.cli.output import confirm, notice, print_json, say, show_table
from cogauth.cli.outputs import IDS, values_of
from cogauth.cli.plan import show_plan
from cogauth.cli.progress import Progress
from cogauth.cli.stacks import (
    connect,
    forget_lost_data,
    load_state,
    new_context,
    stacks_here,
    start_local,
    where,
)
from cogauth.context import refuse
from cogauth.errors import DeclinedError
from cogauth.settings import DEFAULT_STACK, Settings

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import StepResult

# The number of an API's unguarded methods to name.
LISTED = 10


@click.command(
    cls=Command,
    short_help="Create or update the stack, or finish an interrupted run.",
    epilog="""\b
Examples:
  cogauth up                    on AWS, with your AWS configuration
  cogauth up --local            on an embedded local AWS; needs no account
  cogauth up --stack shop --region eu-central-1
  cogauth up --throttle-rate 5  changes this setting of an existing stack
  cogauth up --sign-up closed   from now on only administrators create users
  cogauth up --cors-origin https://app.example
                                lets that site's pages call the API
  cogauth up --json | jq -r .sign_in_url
""",
)
@setting_options
@yes_option(
    "Don't ask before something is lost, overwritten or opened: own code in a function, values "
    "changed by hand, a deleted user pool."
)
@click.option(
    "--dry-run", is_flag=True, help="Only show what would change, as 'cogauth plan' does."
)
@writer_options
@target_options
def up(
    target: Target,
    *,
    local: bool,
    yes: bool,
    dry_run: bool,
    adopt: tuple[str, ...],
    **choices: Any,
) -> int:
    """Create the stack: the user pool, the functions, the REST API and its guard.

    If the stack exists, create what is missing and change what differs. The state file records
    every resource, so that you can run the command again after an interruption.
    """
    if dry_run:
        return show_plan(target, choices, local=local, adopt=adopt)
    from cogauth.record.files import check_beside, check_writable

    # Checked before anything is locked or created.
    DEFAULTS.with_choices(choices, exists=False)
    check_recorded(target, load_state(target), adopt)
    check_writable(target.state_path)
    check_beside(target.state_path)
    # Imported only now, here and in other commands: boto3 is slow, and usage errors don't need it.
    from cogauth import engine
    from cogauth.steps import STEPS

    with target.locked("up"):
        ctx, former = _prepare(target, choices, local=local)
        notice(f"Stack {ctx.stack} in {where(ctx)}")
        if ctx.state.local_data is not None and ctx.state.settings.power_user:
            notice(
                "Warning: the local AWS has no AWS managed policies, so nobody can sign in there "
                "with --power-user."
            )
        _say_cors(ctx)
        progress = Progress(STEPS)
        ctx.confirm = partial(_confirm, progress, yes=yes)
        goes_on, deletes = ctx.state.command("up"), ctx.state.command("down")
        then = (
            f"Nothing is lost: {ctx.state.path} records what exists.",
            f"Run '{goes_on}' to finish, or '{deletes}' to delete everything.",
        )
        ending = gently(ctx.waiter.stop, progress.interrupted, lambda: then)
        with progress.live or nullcontext(), ending:
            results = engine.up(ctx, progress, adopt, former, overwrite=yes)
    _say_lost_pools(ctx)
    _say_lost_guards(ctx)
    _show(target, ctx, results)
    return 0


def _say_cors(ctx: Context) -> None:
    origins = ctx.state.settings.cors_origins
    if "*" in origins:
        notice("Warning: --cors-origin '*' lets any web page call the API and read its responses.")
    if len(origins) > 1:
        notice(
            "With several --cors-origin, a page can't read API Gateway's own refusals, such as the "
            "guard's 401, because API Gateway can't choose among origins there. With one it can."
        )


def _say_lost_pools(ctx: Context) -> None:
    """Name the APIs that are attached to a lost pool, and how to repair them."""
    from cogauth.attach import guards
    from cogauth.aws.errors import AWS_ERRORS
    from cogauth.gateway import rest_apis

    for api, attachment in ctx.state.attachments.items():
        if attachment["authorizer"]["pool"] == ctx.fact("user_pool", "arn"):
            continue
        try:
            stages = [str(one["stageName"]) for one in rest_apis.stages(ctx, api)]
        except AWS_ERRORS:
            # The check of the guards reports why it can't be read.
            stages = attachment["stages"]
        first = next(iter(attachment["methods"]), None)
        like_it = guards.options_of(attachment, stages, first) if first else "--path '*'"
        command = ctx.state.command(f"attach --api {api} {like_it}")
        notice(
            f"Warning: the API {attachment['name']} ({api}) still expects tokens of the user pool "
            f"that was lost. Run '{command}' to make it use the new one."
        )


def _say_lost_guards(ctx: Context) -> None:
    """Name the attached methods whose guard differs, and how to repair each."""
    from cogauth.attach import guards
    from cogauth.aws.errors import AWS_ERRORS, translate
    from cogauth.gateway import rest_apis

    pace = rest_apis.pace(ctx.waiter)
    for api, attachment in ctx.state.attachments.items():
        which = f"the API {attachment['name']} ({api})"
        pace.wait()
        try:
            compared = guards.look(ctx, api)
        except AWS_ERRORS as error:
            notice(f"Warning: can't check whether {which} is still guarded: {translate(error)}")
            continue
        if compared is None:
            drop = ctx.state.command(f"detach --api {api}")
            notice(f"Warning: {which} was deleted. Run '{drop}' to remove it from the state file.")
            continue
        if compared.unknown:
            notice(f"Warning: {which}: unknown {compared.unknown}.")
        for each in compared.findings[:LISTED]:
            notice(f"Warning: {which}: {each.sentence}")
        if more := len(compared.findings[LISTED:]):
            listed = ctx.state.command(f"attach --api {api}")
            notice(f"Warning: {which}: {more} more. Run '{listed}' to list them.")


def _confirm(progress: Progress, question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(" ".join(progress.questions or [question]))
    with progress.paused(), on_signals(interrupt):
        if not confirm(question):
            raise DeclinedError("Nothing was touched.")


def _prepare(
    target: Target, choices: dict[str, Any], *, local: bool
) -> tuple[Context, Settings | None]:
    """Check everything possible before anything is created, and open the state file.

    Returns:
        The stack with the chosen settings, and the settings that it had before, if any.
    """
    state = stack_of(target, local=local)
    if state is None:
        return new_stack(target, DEFAULTS.with_choices(choices, exists=False), local=local), None
    # Checked before the local AWS starts, and again once its contents are known.
    state.settings.with_choices(choices, exists=bool(state.resources))
    forget_lost_data(target, state)
    settings = state.settings.with_choices(choices, exists=bool(state.resources))
    from cogauth import engine
    from cogauth.steps.iam import check_boundary

    ctx = connect(target, state, *engine.UP_CLIENTS, creates=True)
    check_boundary(ctx, settings)
    if not engine.is_complete(ctx):
        engine.check_names(ctx)
    # Saved only after all questions of 'up': a refused one leaves the former settings.
    former, state.settings = state.settings, settings
    return ctx, former


def new_stack(target: Target, settings: Settings, *, local: bool, margin: str = "") -> Context:
    """Open the state file of a new stack, after all possible checks; ``margin`` begins notices."""
    from cogauth import engine
    from cogauth.record.files import check_writable
    from cogauth.steps.iam import check_boundary

    check_writable(target.state_path)
    started = None
    if not local:
        _say_lost_state(target)
    try:
        if local:
            notice(f"{margin}Starting the local AWS …")
            started = start_local(target, begins=True)
        ctx = new_context(target, settings, started, *engine.UP_CLIENTS)
        check_boundary(ctx, settings)
        engine.check_names(ctx)
        with target.local_aws.claimed() if local else nullcontext():
            ctx.state.save()
    except BaseException:
        if local:
            leave_local(target, started.data_id if started else None)
        raise
    return ctx


def _say_lost_state(target: Target) -> None:
    """Point to ``recover`` if there is a local AWS here but no state file."""
    if target.local_aws.endpoint_url is None or stacks_here(target):
        return
    given = f" --stack {target.stack}" if target.stack != DEFAULT_STACK else ""
    given += f" --state {shlex.quote(str(target.state))}" if target.state else ""
    notice(
        f"There is a local AWS in {target.state_path.parent} but no state file. If the stack "
        f"{target.stack} is on it, run 'cogauth recover{given}' to write its state file again; run "
        f"'cogauth up --local{given}' to create a new one there."
    )


def _show(target: Target, ctx: Context, results: list[StepResult]) -> None:
    values = values_of(ctx)
    if target.as_json:
        steps = [vars(result) for result in results]
        print_json({**values, "elapsed_s": target.elapsed, "steps": steps})
        return
    unchanged = all(result.action == "unchanged" for result in results)
    say(
        f"✓ Stack {ctx.stack} is up to date; nothing changed."
        if unchanged
        else f"✓ Stack {ctx.stack} is ready ({target.elapsed:.1f} s)."
    )
    say("", f"  sign in    POST {values['sign_in_url']}")
    say(f"  protected  GET  {values['protected_url']}")
    say(f"  sign-up    {SIGN_UP[values['sign_up']]}")
    if origins := ctx.state.settings.cors_origins:
        shown = "any origin" if "*" in origins else " ".join(origins)
        say(f"  browsers   pages of {shown}")
    say()
    show_table([(name, values[name]) for name in (*IDS, "state_file")], indent=2)
    # Where nobody can sign up, the first login needs a user.
    first = "test-login NAME" if values["sign_up"] == "open" else "users create NAME"
    say("", f"Next: {ctx.state.command(first)}")
