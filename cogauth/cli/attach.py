"""``cogauth attach``."""

from __future__ import annotations

import re
import shlex
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from cogauth.cli import attached as shared
from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say, show_table
from cogauth.cli.stacks import require_state, where
from cogauth.errors import UsageError

if TYPE_CHECKING:
    from cogauth.cli.output import Cell
    from cogauth.context import Context
    from cogauth.engine import ApiPlan, Attached

# The form of a scope in OAuth 2.0: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


@click.command(
    cls=Command,
    short_help="Guard methods of any REST API with the user pool.",
    epilog="""\b
Examples:
  cogauth attach --api orders                    lists what guards each method
  cogauth attach --api orders --path '/orders*'  shows changes, and asks
  cogauth attach --api orders --path '*' --method POST --stage prod --dry-run
  cogauth attach --api orders --path /me --scope aws.cognito.signin.user.admin

OPTIONS is never attached, because browsers send preflights without a token. Neither is ANY where it
would answer OPTIONS, unless you give --method ANY. The command deploys the stage, so that clients
see the change. 'cogauth detach' undoes all of it.
""",
)
@click.option("--api", required=True, envvar="COGAUTH_API", help="The REST API, by id or name.")
@click.option(
    "--path", metavar="GLOB", help="The paths to attach. Without it, the methods are listed."
)
@click.option("--method", metavar="GLOB", show_default="all", help="The HTTP methods to attach.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="Accept access tokens with one of these scopes, not ID tokens. Repeatable.",
)
@click.option(
    "--stage",
    show_default="the one attached to, or the only one",
    help="The stage to deploy to.",
)
@shared.change_options
@writer_options
@target_options
def attach(  # noqa: PLR0913 click passes each option by its name
    target: Target,
    *,
    api: str,
    path: str | None,
    method: str | None,
    scopes: tuple[str, ...],
    stage: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Guard methods of any REST API in the account with the stack's user pool.

    Creates an authorizer in that API, makes the chosen methods use it, and redeploys the stage.
    Shows first what changes, and which other changes in that API the deployment publishes.

    The function behind a method finds the user's claims, such as sub and cognito:username, in
    event["requestContext"]["authorizer"]["claims"]; every value is a string.
    """
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise UsageError(
                f"--scope {scope!r} can't be used",
                hint=(
                    "Give one scope, without spaces, such as aws.cognito.signin.user.admin; repeat "
                    "--scope for more than one."
                ),
            )
    shared.check_given(api=api, path=path, method=method, stage=stage)
    require_state(target)
    if path is None:
        return _list(target, api, method, stage)
    from cogauth import engine

    wanted = engine.Wanted(api, path, method, scopes, stage)
    done = None
    with nullcontext() if dry_run else target.locked("attach"):
        ctx = shared.context_of(target)
        plan = engine.plan_attach(ctx, wanted)
        shared.show_plan(target, ctx, plan, dry_run=dry_run)
        _say_tokens(scopes)
        if not dry_run:
            plan = shared.ask(plan, lambda: engine.plan_attach(ctx, wanted), yes=yes)
            done = shared.run(ctx, plan, engine.attach)
    if target.as_json:
        print_json({**_result(ctx, plan, scopes, done), "elapsed_s": target.elapsed})
    elif done is None:
        notice("This was a dry run; nothing changed.")
    elif done.deployment is None:
        say("✓ Already attached; nothing changed.")
    else:
        say(
            f"✓ Attached {shared.counted(done.done)} to the stack {ctx.stack}, deployed to "
            f"{', '.join(plan.stages)} ({target.elapsed:.1f} s)."
        )
        _say_next(ctx, plan)
    return 0


def _say_next(ctx: Context, plan: ApiPlan) -> None:
    """Print how to try an attached method, and what its function receives."""
    from cogauth.gateway.rest_apis import verb_and_path

    say(
        'The function behind it finds the claims in event["requestContext"]["authorizer"]'
        '["claims"]; every value is a string.'
    )
    names = [row.name for row in plan.rows if row.action == "attach"]
    # A method that can be called as it is and changes nothing.
    for name in sorted(names, key=lambda each: ("{" in each, not each.startswith("GET "))):
        verb, path = verb_and_path(name)
        verb = "GET" if verb == "ANY" else verb
        words = f"call {verb} {shlex.quote(path)} --api {shlex.quote(plan.api.name)}"
        words += f" --stage {shlex.quote(plan.stages[0])}" if len(plan.api.stages) > 1 else ""
        say(f"Next: {ctx.state.command(words)}")
        return


def _say_tokens(scopes: tuple[str, ...]) -> None:
    from cogauth.attach.attach import SIGN_IN_SCOPE

    if not scopes:
        notice("The methods accept ID tokens, because no --scope was given.")
        return
    notice(f"The methods accept access tokens with one of these scopes: {' '.join(scopes)}.")
    if SIGN_IN_SCOPE not in scopes:
        notice(
            f"Warning: the access tokens of POST /signin have no scope but {SIGN_IN_SCOPE}, so "
            "they will be refused."
        )


def _result(
    ctx: Context, plan: ApiPlan, scopes: tuple[str, ...], done: Attached | None
) -> dict[str, object]:
    ours = plan.api.ours(ctx)
    authorizer = done.authorizer if done else (ours[0]["id"] if ours else None)
    methods = shared.methods_json(plan)
    for method in methods:
        if method["action"] == "attach":
            method["after"] = {**method["after"], "authorizerId": authorizer}
    return {
        "stack": ctx.stack,
        "rest_api_id": plan.api.id,
        "rest_api_name": plan.api.name,
        "stage": ", ".join(plan.stages) or None,
        "authorizer_id": authorizer,
        "deployment_id": done.deployment if done else None,
        "token_use": "access" if scopes else "id",
        "scopes": list(scopes),
        "dry_run": done is None,
        "methods": methods,
        **shared.pending_json(plan),
    }


def _list(target: Target, wanted: str, method: str | None, stage: str | None) -> int:
    """List an API's methods, the guard of each, and the attached ones that lost theirs."""
    from cogauth import engine
    from cogauth.attach import guards
    from cogauth.gateway.rest_apis import path_and_method, verb_and_path

    ctx = shared.context_of(target)
    api = engine.read_api(ctx, wanted)
    compared = guards.compare(ctx, api, stage, everywhere=True)
    live = {each.name: each.authorization for each in api.methods}
    there = dict.fromkeys([*live, *(one.name for one in compared.findings)])
    names = sorted(engine.choose(there, None, method), key=lambda name: verb_and_path(name)[::-1])
    # The first finding of each method is enough here; all are printed below.
    lost = {one.name: one for one in reversed(compared.lost)}
    interrupted = {one.name: one for one in reversed(compared.interrupted)}
    stages = [one["stageName"] for one in api.stages]
    lacking: dict[str, list[str]] = {}
    for one in compared.undeployed:
        lacking.setdefault(one.name, []).append(one.stage)
    if target.as_json:
        identity = {"stack": ctx.stack, "rest_api_id": api.id, "rest_api_name": api.name}
        methods = [
            {
                **path_and_method(name),
                "authorization": live.get(name),
                "attached": name in compared.held,
                "lost": name in lost,
                "unguarded_stages": lacking.get(name, []),
                **({"now": found.found, "mend": found.mend} if found else {}),
            }
            for name in names
            for found in [lost.get(name) or interrupted.get(name)]
        ]
        print_json({**identity, "stages": stages, "methods": methods})
        return 0
    notice(f"REST API {api.name} ({api.id}) in {where(ctx)}, stages: {', '.join(stages) or 'none'}")
    rows: list[tuple[Cell, Cell, Cell]] = []
    for name in names:
        words = api.words(ctx, live[name]) if name in live else "gone"
        mark = ("✓ attached", "green") if name in compared.held else ("", "")
        if name in lacking:
            mark = (f"{mark[0]}, not on {', '.join(lacking[name])}", "yellow")
        mark = ("… interrupted", "yellow") if name in interrupted else mark
        mark = ("✗ lost", "red") if name in lost else mark
        rows.append((name, words, mark))
    show_table(rows)
    for one in (one for one in compared.findings if one.name in names):
        notice(f"Warning: {one.sentence}")
    if compared.unknown:
        notice(f"Unknown: {compared.unknown}.")
    notice("Nothing changed. To attach methods, choose them by --path, such as --path '*'.")
    return 0
