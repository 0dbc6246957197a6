"""``cogauth attach``."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from cogauth.cli import attached as shared
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.stacks import require_state, where
from cogauth.errors import UsageError

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.engine import Attached, Plan

# As OAuth 2.0 writes a scope: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


@click.command(
    short_help="Put the user pool in front of any REST API's methods.",
    epilog="""\b
Examples:
  cogauth attach --api orders                       what guards each method; changes nothing
  cogauth attach --api orders --path '/orders*'     ID tokens; shows what changes, and asks
  cogauth attach --api orders --path '*' --method POST --stage prod --dry-run
  cogauth attach --api a1b2c3d4e5 --path /me --scope aws.cognito.signin.user.admin

OPTIONS is never attached, nor ANY where it would answer OPTIONS, unless by --method ANY: browsers
send preflights without a token. Clients see the change once the stage is deployed, which this
does; 'cogauth detach' gives all of it back.
""",
)
@click.option("--api", required=True, envvar="COGAUTH_API", help="The REST API's id or name.")
@click.option("--path", metavar="GLOB", help="Which paths. None: list the methods.")
@click.option("--method", metavar="GLOB", help="Which HTTP methods.  [default: all]")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="Take access tokens with one of these scopes, not ID tokens; repeatable.",
)
@click.option(
    "--stage", help="The stage to deploy to.  [default: the one attached to, or the only one]"
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
    """Put the stack's user pool in front of methods of any REST API in the account.

    Makes an authorizer in that API, sets the chosen methods to it, and redeploys the stage. Shows
    first what changes, and what else of that API such a deployment publishes.
    """
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise UsageError(
                f"--scope {scope!r} can't be used: give one scope, without spaces, such as "
                "aws.cognito.signin.user.admin; for more than one give --scope again."
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
        notice("Nothing was changed: this was a dry run.")
    elif done.deployment is None:
        say("Already attached; nothing changed.")
    else:
        say(
            f"Attached {shared.counted(done.done)} to the stack {ctx.stack}, deployed to "
            f"{', '.join(plan.stages)} ({target.elapsed:.1f} s)."
        )
    return 0


def _say_tokens(scopes: tuple[str, ...]) -> None:
    from cogauth.attach.attach import SIGN_IN_SCOPE

    if not scopes:
        notice("The methods take ID tokens: no --scope was given.")
        return
    notice(f"The methods take access tokens with one of these scopes: {' '.join(scopes)}.")
    if SIGN_IN_SCOPE not in scopes:
        notice(
            f"Warning: the access tokens of POST /signin carry {SIGN_IN_SCOPE} and no other "
            "scope. They will be refused."
        )


def _result(
    ctx: Context, plan: Plan, scopes: tuple[str, ...], done: Attached | None
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
    """Show an API's methods and what guards each; and which were attached, and have lost that."""
    from cogauth import engine
    from cogauth.attach import guards
    from cogauth.gateway.rest_apis import verb_and_path

    ctx = shared.context_of(target)
    api = engine.read_api(ctx, wanted)
    compared = guards.compare(ctx, api, stage)
    live = {each.name: each.authorization for each in api.methods}
    there = dict.fromkeys([*live, *(one.name for one in compared.findings)])
    names = sorted(engine.choose(there, None, method), key=lambda name: verb_and_path(name)[::-1])
    # Of a method's several findings the first will do; all are told below.
    lost = {one.name: one for one in reversed(compared.lost)}
    interrupted = {one.name: one for one in reversed(compared.interrupted)}
    stages = [one["stageName"] for one in api.stages]
    if target.as_json:
        identity = {"stack": ctx.stack, "rest_api_id": api.id, "rest_api_name": api.name}
        methods = [
            {
                **shared.path_and_method(name),
                "authorization": live.get(name),
                "attached": name in compared.held,
                "lost": name in lost,
                **({"now": found.found, "mend": found.mend} if found else {}),
            }
            for name in names
            for found in [lost.get(name) or interrupted.get(name)]
        ]
        print_json({**identity, "stages": stages, "methods": methods})
        return 0
    notice(f"REST API {api.name} ({api.id}) in {where(ctx)}, stages: {', '.join(stages) or 'none'}")
    width = max(map(len, names))
    for name in names:
        words = api.words(ctx, live[name]) if name in live else "gone"
        mark = "  (attached)" if name in compared.held else ""
        mark = "  (interrupted)" if name in interrupted else mark
        mark = "  (lost)" if name in lost else mark
        say(f"{name:<{width}}  {words}{mark}")
    for one in (one for one in compared.findings if one.name in names):
        notice(f"Warning: {one.sentence}")
    if compared.unknown:
        notice(f"Not known: {compared.unknown}.")
    notice("Nothing was changed: --path says which of them to attach, as --path '*'.")
    return 0
