"""``cogauth detach``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from cogauth.cli import attached as shared
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.stacks import require_state
from cogauth.errors import CogauthError, Interrupted, UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import Detached, Plan


@click.command(
    short_help="Give methods back what guarded them before 'attach'.",
    epilog="""\b
Examples:
  cogauth detach                                gives all methods of all APIs back, and asks
  cogauth detach --api orders --path '/me*'     some of them
  cogauth detach --dry-run
  cogauth detach --yes --json

A method that someone changed since is left alone, and named. 'cogauth down' gives all of them back
by itself, before it deletes the stack.
""",
)
@click.option("--api", envvar="COGAUTH_API", help="The REST API's id or name.  [default: all]")
@click.option("--path", metavar="GLOB", help="Which paths.  [default: all]")
@click.option("--method", metavar="GLOB", help="Which HTTP methods.  [default: all]")
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

    That is their authorization type, authorizer, scopes and API-key requirement. The stack's
    authorizer in an API goes when no method there is left to it.
    """
    shared.check_given(api=api, path=path, method=method)
    require_state(target)
    from cogauth import engine

    done: list[tuple[Plan, Detached]] = []
    with nullcontext() if dry_run else target.locked("detach"):
        ctx = shared.context_of(target)
        apis = _detached_apis(ctx, api, path, method)
        for one in apis:
            # Made only now: what came before may have taken minutes.
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
                # What became of the others is to be told as well.
                result = engine.Detached(problems=[f"{plan.api.name}: {error}"])
            done.append((plan, result))
    _show(target, done, dry_run=dry_run)
    return 1 if any(result.problems or result.not_ours for _, result in done) else 0


def _detached_apis(
    ctx: Context, api: str | None, path: str | None, method: str | None
) -> list[str]:
    """Return the ids of the APIs that are meant; those in which the globs match nothing aren't."""
    from cogauth import engine

    apis = engine.attached_apis(ctx, api)
    if api is not None or (path, method) == (None, None) or not apis:
        return apis
    methods = {one: list(ctx.state.attachments[one]["methods"]) for one in apis}
    chosen = engine.choose([name for names in methods.values() for name in names], path, method)
    return [one for one in apis if set(methods[one]) & set(chosen)]


def _show(target: Target, done: list[tuple[Plan, Detached]], *, dry_run: bool) -> None:
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
        say(f"The stack {target.stack} is attached to no API: nothing to give back.")
    elif dry_run:
        notice("Nothing was changed: this was a dry run.")
    else:
        for plan, result in done:
            gone = " Its authorizer there was deleted." if result.authorizers else ""
            say(f"Gave back {shared.counted(result.restored)} of the API {plan.api.name}.{gone}")
