"""``cogauth attach`` and ``cogauth detach``."""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import confirm, notice, print_json, say
from cogauth.cli.stacks import connect, require_state, where
from cogauth.errors import CogauthError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.attach.guards import Finding
    from cogauth.context import Context
    from cogauth.engine import Api, Attached, Detached, Plan, Row

Result = TypeVar("Result")

# As OAuth 2.0 writes a scope: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
COMPARED = (
    "Compared are the methods, who may call each, their integrations, and the authorizers that "
    "they use. Gateway responses, the resource policy, binary media types, and the methods' "
    "parameters, models and validators can't be: if they were changed, they go live too."
)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def give(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return give


_confirmed = _options(
    click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."),
    click.option("--yes", is_flag=True, help="Don't ask."),
)


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
@_confirmed
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
    lock_timeout: float,
    settle: float,
) -> int:
    """Put the stack's user pool in front of methods of any REST API in the account.

    Makes an authorizer in that API, sets the chosen methods to it, and redeploys the stage. Shows
    first what changes, and what else of that API such a deployment publishes.
    """
    begun = time.monotonic()
    _check_scopes(scopes)
    _check_given(api=api, path=path, method=method, stage=stage)
    require_state(target)
    if path is None:
        return _list(target, api, method, stage)
    from cogauth import engine

    wanted = engine.Wanted(api, path, method, scopes, stage)
    with _locked(target, "attach", lock_timeout, dry_run=dry_run):
        ctx = _context(target, settle)
        plan = engine.plan_attach(ctx, wanted)
        _show_plan(ctx, plan, _sayer(target, dry_run=dry_run))
        _say_tokens(scopes)
        done = None
        if not dry_run:
            plan = _ask(plan, lambda: engine.plan_attach(ctx, wanted), yes=yes)
            done = _run(ctx, plan, engine.attach)
    _show_attached(target, ctx, plan, scopes, done, time.monotonic() - begun)
    return 0


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
@_confirmed
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
    lock_timeout: float,
    settle: float,
) -> int:
    """Give methods back what guarded them before 'attach', and redeploy.

    That is their authorization type, authorizer, scopes and API-key requirement. The stack's
    authorizer in an API goes when no method there is left to it.
    """
    begun = time.monotonic()
    _check_given(api=api, path=path, method=method)
    require_state(target)
    from cogauth import engine

    done: list[tuple[Plan, Detached | None]] = []
    with _locked(target, "detach", lock_timeout, dry_run=dry_run):
        ctx = _context(target, settle)
        apis = _detached_apis(ctx, api, path, method)
        for one in apis:
            # Made only now: what came before may have taken minutes.
            make = partial(engine.plan_detach, ctx, one, path=path, method=method)
            plan = make()
            _show_plan(ctx, plan, _sayer(target, dry_run=dry_run))
            if dry_run:
                done.append((plan, None))
                continue
            try:
                plan = _ask(plan, make, yes=yes)
                done.append((plan, _run(ctx, plan, engine.detach)))
            except Interrupted:
                if done and not target.as_json:
                    _show_detached(target, done, time.monotonic() - begun)
                raise
            except CogauthError as error:
                if apis[1:] and not isinstance(error, UsageError):
                    # What became of the others is to be told as well.
                    done.append((plan, engine.Detached(problems=[f"{plan.name}: {error}"])))
                    continue
                raise
    _show_detached(target, done, time.monotonic() - begun)
    failed = any(result and (result.problems or result.not_ours) for _, result in done)
    return 1 if failed else 0


def _check_given(**options: str | None) -> None:
    """Refuse what is empty, as an unset variable of a shell is: it would mean all."""
    for name, value in options.items():
        if value == "":
            raise UsageError(f"--{name} is empty: give a value, or leave it out.")


def _check_scopes(scopes: tuple[str, ...]) -> None:
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise UsageError(
                f"--scope {scope!r} can't be used: give one scope, without spaces, such as "
                "aws.cognito.signin.user.admin; for more than one give --scope again."
            )


@contextmanager
def _locked(target: Target, command: str, timeout_s: float, *, dry_run: bool) -> Iterator[None]:
    """Hold the state file's lock, unless nothing is going to be changed."""
    from cogauth.record.lock import hold

    with nullcontext() if dry_run else hold(target.state_path, command, timeout_s):
        yield


def _context(target: Target, settle: float = 0.0) -> Context:
    from cogauth import engine
    from cogauth.context import Context

    # Read anew: another cogauth may have been at work until now.
    state = require_state(target)
    if not state.has("user_pool") or not state.record("user_pool", "user_pool"):
        raise UsageError(
            f"The stack {state.stack} has no user pool: run '{state.command('up')}' first."
        )
    aws = connect(target, state, clients=engine.ATTACH_CLIENTS)
    aws.make_clients(*engine.ATTACH_CLIENTS)
    return Context(aws, state, aws.waiter(), settle_s=settle)


def _detached_apis(
    ctx: Context, api: str | None, path: str | None, method: str | None
) -> list[str]:
    """Return the ids of the APIs that are meant; those in which the globs match nothing aren't."""
    from cogauth import engine

    known = ctx.state.attachments
    apis = engine.attached_apis(ctx, api)
    if api is None and (path, method) != (None, None) and apis:
        names = {one: list(known[one]["methods"]) for one in apis}
        engine.choose([name for several in names.values() for name in several], path, method)
        apis = [one for one in apis if _matches(names[one], path, method)]
    return apis


def _matches(names: list[str], path: str | None, method: str | None) -> bool:
    from cogauth import engine

    try:
        return bool(engine.choose(names, path, method))
    except UsageError:
        return False


def _sayer(target: Target, *, dry_run: bool) -> Callable[[str], None]:
    """Return what tells the plan: it is the result of a dry run, else a notice."""
    return say if dry_run and not target.as_json else notice


def _show_plan(ctx: Context, plan: Plan, say: Callable[[str], None]) -> None:
    """Show what changes, and what else goes live."""
    say(f"REST API {plan.name} ({plan.id}) in {where(ctx)}")
    if plan.api is None:
        say("  it was deleted: nothing to give back")
        return
    width = max((len(row.name) for row in plan.rows), default=0)
    for row in plan.rows:
        say(f"  {row.name:<{width}}  {change_of(ctx, plan.api, row)}")
    if plan.point_authorizer:
        say("  The stack's authorizer there is set to the stack's present user pool.")
    if plan.stages:
        say(f"The stage {', '.join(plan.stages)} is redeployed; that publishes all of the API.")
        _show_pending(plan, say)
    for warning in plan.warnings:
        say(f"Warning: {warning}")


def change_of(ctx: Context, api: Api, row: Row) -> str:
    """Say what becomes of who may call a method."""
    before = api.words(ctx, row.before) if row.before else ""
    if row.action in {"attach", "restore"} and row.after:
        after = api.words(ctx, row.after)
        return f"{before}  →  {after}{': open to anyone' if after == 'NONE' else ''}"
    if row.action == "unchanged":
        return f"{before}: stays so" + (f", {row.why}" if row.why else "")
    return f"{before}: {row.action}: {row.why}".removeprefix(": ")


def _show_pending(plan: Plan, say: Callable[[str], None]) -> None:
    if plan.pending is None:
        say(f"Warning: what else goes live isn't known: {plan.unknown}.")
        return
    if plan.pending:
        say("What else goes live, for it was changed since the last deployment:")
    for each in plan.pending:
        fields = f" ({', '.join(each.fields)})" if each.fields else ""
        say(f"  {each.what}: {each.change}{fields}")
    if not plan.pending:
        say("Nothing else of it was changed since the last deployment, as far as can be seen.")
    say(f"{COMPARED}{f' On this endpoint {plan.unknown}.' if plan.unknown else ''}")


def _say_tokens(scopes: tuple[str, ...]) -> None:
    """Say which tokens the methods take."""
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


def _ask(plan: Plan, again: Callable[[], Plan], *, yes: bool) -> Plan:
    """Ask whether to go on, if anything is to be changed in the API.

    Returns:
        The plan as it is after the question, which may have stood for long.

    Raises:
        UsageError: there is nobody to ask.
        CogauthError: the answer was no; or the API was changed meanwhile.
    """
    if yes or not (plan.stages or plan.of("attach", "restore")):
        return plan
    if not sys.stdin.isatty():
        raise UsageError(
            "Nothing was changed: stdin is not a terminal to ask on. Give --yes to do it, or "
            "--dry-run to see it."
        )
    if not confirm("Do it?"):
        raise CogauthError("Nothing was changed.")
    now = again()
    if now.shown != plan.shown:
        raise CogauthError(
            f"Someone changed the API {plan.name} meanwhile. Nothing was changed here: run this "
            "again to see it as it is."
        )
    return now


def _run(ctx: Context, plan: Plan, work: Callable[..., Result]) -> Result:
    """Attach or detach, and show how far that is."""
    from cogauth.cli.bar import Bar
    from cogauth.cli.interrupt import gently

    bar = Bar(len(plan.of("attach", "restore")))
    ctx.waiter.report = bar.waiting
    try:
        with bar, gently(ctx.waiter.stop, bar.interrupted if bar.live else None):
            return work(ctx, plan, bar.report)
    except KeyboardInterrupt as error:
        api = f"--api {plan.id}"
        raise Interrupted(
            f"Interrupted. Nothing is lost: what was done is in {ctx.state.path}. The same again "
            f"goes on, '{ctx.state.command(f'detach {api}')}' gives all of it back."
        ) from error


def _list(target: Target, wanted: str, method: str | None, stage: str | None) -> int:
    """Show an API's methods and what guards each; and which were attached, and have lost that."""
    from cogauth import engine
    from cogauth.attach import guards

    ctx = _context(target)
    api = engine.read_api(ctx, wanted)
    seen = guards.Seen(api.methods, api.authorizers, api.stages)
    compared = guards.compare(ctx, api.id, seen, stage)
    live = {each.name: each for each in api.methods}
    there = dict.fromkeys([*live, *(one.name for one in compared.findings)])
    chosen = set(engine.choose(there, None, method))
    # Of a method's several findings the first will do; all are told below.
    lost = {one.name: one for one in reversed(compared.lost)}
    interrupted = {one.name: one for one in reversed(compared.interrupted)}
    names = sorted(chosen, key=lambda name: (name.partition(" ")[2], name))
    stages = [one["stageName"] for one in api.stages]
    if target.as_json:
        identity = {"stack": ctx.stack, "rest_api_id": api.id, "rest_api_name": api.name}
        methods = [
            {
                "path": name.partition(" ")[2],
                "method": name.partition(" ")[0],
                "authorization": live[name].authorization if name in live else None,
                "attached": name in compared.held,
                **_loss(lost.get(name), interrupted.get(name)),
            }
            for name in names
        ]
        print_json({**identity, "stages": stages, "methods": methods})
        return 0
    notice(f"REST API {api.name} ({api.id}) in {where(ctx)}, stages: {', '.join(stages) or 'none'}")
    width = max(map(len, names))
    for name in names:
        words = api.words(ctx, live[name].authorization) if name in live else "gone"
        mark = "  (attached)" if name in compared.held else ""
        mark = "  (interrupted)" if name in interrupted else mark
        mark = "  (lost)" if name in lost else mark
        say(f"{name:<{width}}  {words}{mark}")
    for one in (one for one in compared.findings if one.name in chosen):
        notice(f"Warning: {one.sentence}")
    if compared.unknown:
        notice(f"Not known: {compared.unknown}.")
    notice("Nothing was changed: --path says which of them to attach, as --path '*'.")
    return 0


def _loss(lost: Finding | None, interrupted: Finding | None) -> dict[str, Any]:
    found = lost or interrupted
    told = {"now": found.found, "mend": found.mend} if found else {}
    return {"lost": lost is not None, **told}


def _rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "path": row.name.partition(" ")[2],
            "method": row.name.partition(" ")[0],
            "before": row.before,
            "after": row.after,
            "action": row.action.replace(" ", "_"),
            **({"why": row.why} if row.why else {}),
        }
        for row in plan.rows
    ]


def _pending(plan: Plan) -> dict[str, Any]:
    pending = None if plan.pending is None else [vars(each) for each in plan.pending]
    return {"pending": pending, "pending_unknown": plan.unknown, "warnings": plan.warnings}


def _show_attached(  # noqa: PLR0913, PLR0917 all that is shown
    target: Target,
    ctx: Context,
    plan: Plan,
    scopes: tuple[str, ...],
    done: Attached | None,
    elapsed: float,
) -> None:
    ours = plan.api.ours(ctx) if plan.api else []
    authorizer = done.authorizer if done else (ours[0]["id"] if ours else None)
    stage = ", ".join(plan.stages) or None
    if target.as_json:
        rows = _rows(plan)
        for row in rows:
            if row["action"] == "attach":
                row["after"] = {**row["after"], "authorizerId": authorizer}
        print_json(
            {
                "stack": ctx.stack,
                "rest_api_id": plan.id,
                "rest_api_name": plan.name,
                "stage": stage,
                "authorizer_id": authorizer,
                "deployment_id": done.deployment if done else None,
                "token_use": "access" if scopes else "id",
                "scopes": list(scopes),
                "dry_run": done is None,
                "methods": rows,
                **_pending(plan),
                "elapsed_s": round(elapsed, 3),
            }
        )
        return
    if done is None:
        notice("Nothing was changed: this was a dry run.")
    elif done.deployment is None:
        say("All of it was so already; nothing was changed.")
    else:
        say(
            f"Attached {_methods(len(done.done))} to the stack {ctx.stack}, deployed to {stage} "
            f"({elapsed:.1f} s)."
        )


def _methods(number: int) -> str:
    return "1 method" if number == 1 else f"{number} methods"


def _show_detached(
    target: Target, done: list[tuple[Plan, Detached | None]], elapsed: float
) -> None:
    for _, result in done:
        for line in result.left_alone if result else []:
            notice(f"  {line}")
        for line in result.lost if result else []:
            notice(f"Warning: {line}")
        for line in result.problems if result else []:
            notice(f"Error: {line}")
    if target.as_json:
        apis = [
            {
                "rest_api_id": plan.id,
                "rest_api_name": plan.name,
                "stages": plan.stages,
                "deployment_id": result.deployment if result else None,
                "methods": _rows(plan),
                "restored": result.restored if result else [],
                "left_alone": result.left_alone if result else [],
                "lost": result.lost if result else [],
                "problems": result.problems if result else [],
                "authorizers_deleted": result.authorizers if result else [],
                **_pending(plan),
            }
            for plan, result in done
        ]
        dry_run = any(result is None for _, result in done)
        identity = {"stack": target.stack, "dry_run": dry_run}
        print_json({**identity, "apis": apis, "elapsed_s": round(elapsed, 3)})
        return
    if not done:
        say(f"The stack {target.stack} is attached to no API: nothing to give back.")
    for plan, result in done:
        if result is None:
            notice("Nothing was changed: this was a dry run.")
            continue
        gone = " Its authorizer there was deleted." if result.authorizers else ""
        say(f"Gave back {_methods(len(result.restored))} of the API {plan.name}.{gone}")
