"""``cogauth detach``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from cogauth.cli import attached as shared
from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.stacks import require_state
from cogauth.errors import CogauthError, Interrupted, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import ApiPlan, Detached


@click.command(
    cls=Command,
    short_help="Undo attach: give methods back what guarded them before.",
    epilog="""\b
Examples:
  cogauth detach                             all methods of all APIs; asks
  cogauth detach --api orders --path '/me*'  some of them
  cogauth detach --dry-run
  cogauth detach --yes --json

Methods changed since 'attach' are reported, not touched. 'cogauth down' detaches all methods before
it deletes the stack. A method that had no guard before is open to anyone from then on.
""",
)
@click.option(
    "--api", envvar="COGAUTH_API", show_default="all", help="The REST API, by id or name."
)
@click.option("--path", metavar="GLOB", show_default="all", help="The paths to detach.")
@click.option("--method", metavar="GLOB", show_default="all", help="The HTTP methods to detach.")
@shared.change_options
@writer_options
@target_options
def detach(  # noqa: PLR0913 click passes each option by its name
    target: Target,
    *,
    api: str | None,
    path: str | None,
    method: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Give methods back what guarded them before 'attach', and redeploy.

    This restores their authorization type, authorizer, scopes and API-key requirement. The stack's
    authorizer in an API is deleted when no method there uses it any more.
    """
    shared.check_given(api=api, path=path, method=method)
    require_state(target)
    from cogauth import engine

    done: list[tuple[ApiPlan, Detached]] = []
    with nullcontext() if dry_run else target.locked("detach"):
        ctx = shared.context_of(target)
        apis = _detached_apis(ctx, api, path, method)
        for one in apis:
            # Planned only now: the APIs before may have taken minutes.
            make = partial(engine.plan_detach, ctx, one, path=path, method=method)
            plan, result = make(), engine.Detached()
            shared.show_plan(target, ctx, plan, dry_run=dry_run)
            try:
                if not dry_run:
                    plan = shared.ask(plan, make, yes=yes)
                    result = shared.run(ctx, plan, engine.detach)
            except Interrupted:
                if done and not target.as_json:
                    _show(target, done, dry_run=dry_run)
                raise
            except CogauthError as error:
                if len(apis) == 1 or isinstance(error, UsageError):
                    raise
                # The results of the other APIs are reported too.
                result = engine.Detached(problems=[f"{plan.api.name}: {error}"])
            done.append((plan, result))
    _show(target, done, dry_run=dry_run)
    for plan, result in done:
        shared.say_open(ctx, plan, result.restored)
    return 1 if any(result.problems or result.not_ours for _, result in done) else 0


def _detached_apis(
    ctx: Context, api: str | None, path: str | None, method: str | None
) -> list[str]:
    """Return the ids of the chosen APIs, without those in which the globs match nothing."""
    from cogauth import engine

    apis = engine.attached_apis(ctx, api)
    if api is not None or (path, method) == (None, None) or not apis:
        return apis
    methods = {one: list(ctx.state.attachments[one]["methods"]) for one in apis}
    chosen = engine.choose([name for names in methods.values() for name in names], path, method)
    return [one for one in apis if set(methods[one]) & set(chosen)]


def _show(target: Target, done: list[tuple[ApiPlan, Detached]], *, dry_run: bool) -> None:
    for _, result in done:
        for line in result.left_alone:
            notice(f"  {line}")
        for line in result.lost:
            notice(f"Warning: {line}")
        for line in result.problems:
            notice(f"Error: {line}")
    if target.as_json:
        apis = [
            {
                "rest_api_id": plan.api.id,
                "rest_api_name": plan.api.name,
                "stages": plan.stages,
                "deployment_id": result.deployment,
                "methods": shared.methods_json(plan),
                "restored": result.restored,
                "left_alone": result.left_alone,
                "lost": result.lost,
                "problems": result.problems,
                "authorizers_deleted": result.authorizers,
                **shared.pending_json(plan),
            }
            for plan, result in done
        ]
        identity = {"stack": target.stack, "dry_run": dry_run}
        print_json({**identity, "apis": apis, "elapsed_s": target.elapsed})
    elif not done:
        say(f"The stack {target.stack} is attached to no API; nothing changed.")
    elif dry_run:
        notice("This was a dry run; nothing changed.")
    else:
        for plan, result in done:
            gone = " The stack's authorizer there was deleted." if result.authorizers else ""
            mark = "✗" if result.problems or result.not_ours else "✓"
            count = shared.counted(result.restored)
            say(f"{mark} Detached {count} of the API {plan.api.name}.{gone}")
