"""``attach``: put methods of any REST API behind the stack's user pool.

Before a method is touched, what it had is on disk, and what it is given, and that a deployment is
due. So a crash leaves what is needed to go on or back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach import model
from cogauth.attach.model import Api, Change, Plan, Skip, our_name, same
from cogauth.attach.warnings import beforehand
from cogauth.attach.work import Report, Work
from cogauth.aws.errors import AWS_ERRORS, failure, is_definite
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.gateway.deployed import AUTHORIZATION
from cogauth.gateway.rest_apis import COGNITO, KNOWN_TYPES, LISTED
from cogauth.record.records import ATTACHED, ATTACHING, CREATED, CREATING, DETACHED
from cogauth.steps import rest_api
from cogauth.steps.lookup import check_pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.gateway.pending import Pending
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.records import Attachment, Authorization, Record

# The one scope that the access tokens of POST /signin carry.
# Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
SIGN_IN_SCOPE = "aws.cognito.signin.user.admin"


@dataclass(frozen=True)
class Wanted:
    """What is to be attached, as the user says it.

    Attributes:
        path, method: globs.
        scopes: of which an access token must have one; none: ID tokens.
        stage: to deploy to; None for the one attached to, or the API's only one.
    """

    api: str
    path: str
    method: str | None = None
    scopes: tuple[str, ...] = ()
    stage: str | None = None


def plan_attach(ctx: Context, wanted: Wanted) -> Plan:
    """Say what attaching would do.

    Raises:
        UsageError: the input can't be used as given.
        CogauthError: the recorded user pool is gone, or isn't the stack's.
    """
    check_pool(ctx)
    api = model.read_api(ctx, wanted.api)
    attached = ctx.state.stages_of(api.id)
    found = rest_apis.choose_stage(api.live, api.stages, wanted.stage, attached)
    stage = str(found["stageName"])
    methods = {each.name: each for each in api.methods}
    chosen = model.choose(methods, wanted.path, wanted.method)
    ours = api.ours(ctx)
    rows = [_row(ctx, api, methods[name], ours, wanted) for name in chosen]
    kept = [methods[row.name] for row in rows if row.action != model.LEFT_OUT]
    if not kept:
        reasons = [f"  {row.name}: {row.why}" for row in rows[:LISTED]]
        raise UsageError("None of these methods can be attached:", *reasons)
    model.check_deployable(api)
    pending, unknown = model.not_yet_deployed(ctx, api, [stage])
    plan = Plan(
        api,
        rows,
        [stage],
        model.of_others(ctx, pending, rows),
        unknown,
        [*_warnings(api, found, kept), *beforehand(ctx, api, kept)],
        make_authorizer=not ours,
        point_authorizer=bool(ours) and bool(rest_api.authorizer_patch(ctx, ours[0])),
    )
    others = [name for name in attached if name != stage]
    if others and plan.changes:
        plan.warnings.append(
            f"Not deployed by this: {', '.join(others)}. Run it again with --stage for that."
        )
    if _is_due(ctx, plan, stage, pending):
        return plan
    return replace(plan, stages=[], pending=[], unknown="")


def _is_due(ctx: Context, plan: Plan, stage: str, pending: Iterable[Pending] | None) -> bool:
    """Return whether the stage lacks, or will lack, something of what is asked for."""
    record = ctx.state.attachments.get(plan.api.id)
    if plan.changes or plan.point_authorizer or record is None:
        return True
    unchanged = {row.name for row in plan.rows if row.action == model.UNCHANGED}
    undeployed = any(
        each.what in unchanged and (AUTHORIZATION in each.fields or each.change == "new")
        for each in pending or ()
    )
    return undeployed or stage in record["outdated"] or stage not in record["stages"]


def _row(
    ctx: Context, api: Api, method: LiveMethod, ours: list[Live], wanted: Wanted
) -> Change | Skip:
    live, name = method.authorization, method.name
    known = ctx.state.attachments.get(api.id)
    recorded = known["methods"].get(name) if known else None
    # ANY must be meant by its name, and not by a glob that happens to match it.
    any_too = (wanted.method or "").upper() == "ANY" or recorded is not None
    if why := _left_out(ctx, api, method, any_too=any_too):
        return Skip(name, model.LEFT_OUT, why, live)
    after: Authorization = {
        "authorizationType": COGNITO,
        "authorizerId": ours[0]["id"] if ours else None,
        "authorizationScopes": sorted(set(wanted.scopes)),
        "apiKeyRequired": live["apiKeyRequired"],
    }
    # What the record says isn't enough: only our authorizer there shows that it was attached.
    if live["authorizerId"] not in {one["id"] for one in ours}:
        return Change(model.ATTACH, method, after, live)
    if recorded is None:
        why = "it refers to our authorizer, but not by 'attach': what it had before isn't known"
        action = model.UNCHANGED if same(live, after) else model.LEFT_OUT
        return Skip(name, action, why, live, after)
    # An API key is nobody's but the API's owner's.
    former: Authorization = {**recorded["former"], "apiKeyRequired": live["apiKeyRequired"]}
    return Change(model.ATTACH, method, after, former)


def _left_out(ctx: Context, api: Api, method: LiveMethod, *, any_too: bool) -> str:
    """Return why a method is never attached; empty if it may be."""
    if (kind := method.authorization["authorizationType"]) not in KNOWN_TYPES:
        return (
            f"its authorization type {kind} isn't one that this cogauth knows, so it couldn't give "
            f"it back for certain. It knows {', '.join(KNOWN_TYPES)}"
        )
    if method.http_method == "OPTIONS":
        return "browsers send OPTIONS without a token before the request itself"
    if _answers_preflights(api, method) and not any_too:
        return (
            "it answers OPTIONS too, which browsers send without a token. Give the path an OPTIONS "
            "method of its own; or, if no browser calls it, say --method ANY"
        )
    own = ctx.state.record("rest_api")
    if own and own.get("id") == api.id and method.name == f"POST {ctx.state.settings.path}":
        return "it is where one gets a token"
    return ""


def _answers_preflights(api: Api, method: LiveMethod) -> bool:
    """Return whether it is an ANY at a path that has no OPTIONS of its own."""
    return method.http_method == "ANY" and "OPTIONS" not in {
        each.http_method for each in api.methods if each.path == method.path
    }


def _warnings(api: Api, stage: Live, kept: Iterable[LiveMethod]) -> Iterator[str]:
    for method in kept:
        if _answers_preflights(api, method):
            yield f"{method.name} answers OPTIONS too: a browser's preflights get 401 then."
    canary = stage.get("canarySettings") or {}
    if canary.get("deploymentId"):
        yield (
            f"The stage {stage['stageName']} has a canary: {canary.get('percentTraffic', 0):g} % "
            f"of the calls go to its deployment {canary['deploymentId']}, which stays as it is."
        )


@dataclass
class Attached:
    """What attaching did: our authorizer's id, the changed methods, and the deployment, if any."""

    authorizer: str
    deployment: str | None = None
    done: list[str] = field(default_factory=list)


def attach(ctx: Context, plan: Plan, report: Report) -> Attached:
    """Put methods behind the stack's user pool, by a plan made a moment ago, and deploy.

    Raises:
        CogauthError: AWS refused it; what was done is in the state file.
        KeyboardInterrupt: the stop event was set; likewise.
    """
    try:
        if plan.stages:
            return _attach(Work(ctx, plan, _intended(ctx, plan), report))
        _note_unchanged(ctx, plan)
        _clean(Work(ctx, plan, ctx.state.attachments[plan.api.id], report))
        return Attached(plan.api.ours(ctx)[0]["id"])
    except AWS_ERRORS as error:
        options = ctx.state.options
        raise failure(
            f"Attaching to the API {plan.api.name} ({plan.api.id})",
            error,
            after=(
                f"Nothing is lost: what was done is in {ctx.state.path}. Run the same again to go "
                f"on, or 'cogauth detach --api {plan.api.id}{options}' to give all of it back."
            ),
        ) from error


def _attach(work: Work) -> Attached:
    record = work.record
    result = Attached(_our_authorizer(work))
    for change in work.plan.changes:
        after: Authorization = {**change.after, "authorizerId": result.authorizer}
        before = record["methods"].get(change.name)
        ours = [one for one in before["ours"] if one != after] if before else []
        record["methods"][change.name] = {
            "status": ATTACHING,
            "resource_id": change.method.resource_id,
            "former": change.former,
            "ours": [*ours, after],
        }
    work.save()
    for change in work.changes("attached"):
        method = record["methods"][change.name]
        work.update(change, method["ours"][-1])
        method["status"], method["ours"] = ATTACHED, method["ours"][-1:]
        work.save()
        result.done.append(change.name)
    result.deployment = work.deploy()
    record["outdated"] = [name for name in record["outdated"] if name not in work.plan.stages]
    # What an interrupted detach had given back is published by this, too.
    record["methods"] = {
        name: one for name, one in record["methods"].items() if one["status"] != DETACHED
    }
    work.save()
    _note_unchanged(work.ctx, work.plan)
    # All of it is live by now; that what is left over can't be deleted is no reason to redeploy.
    _clean(work)
    return result


def _clean(work: Work) -> None:
    """Delete our deployments that are on no stage any more, and what a lost answer made twice."""
    work.sweep()
    for extra in work.plan.api.ours(work.ctx)[1:]:
        work.delete_authorizer(extra["id"])


def _note_unchanged(ctx: Context, plan: Plan) -> None:
    """Record what is so already, as an owner's new API key: 'detach' would leave it alone."""
    present = ctx.state.attachments[plan.api.id]
    record = copy.deepcopy(present)
    for row in plan.rows:
        known = record["methods"].get(row.name)
        if known and isinstance(row, Change) and row.action == model.UNCHANGED:
            known["former"], known["ours"] = row.former, [row.before]
            known["resource_id"] = row.method.resource_id
    if record != present:
        ctx.state.put("attachments", plan.api.id, record)


def _intended(ctx: Context, plan: Plan) -> Attachment:
    api = plan.api
    found = {one["stageName"]: one.get("deploymentId") or "none" for one in api.stages}
    present = ctx.state.attachments.get(api.id)
    record = copy.deepcopy(present) if present else model.new_record(api.name, _intent(ctx), found)
    record["name"] = api.name
    record["stages"] = sorted({*record["stages"], *plan.stages})
    changed = plan.changes or plan.make_authorizer or plan.point_authorizer
    lacking = record["stages"] if changed else plan.stages
    record["outdated"] = sorted({*record["outdated"], *lacking})
    return record


def _intent(ctx: Context) -> Record:
    return {"status": CREATING, "since": ctx.timestamp(), "pool": ctx.fact("user_pool", "arn")}


def _our_authorizer(work: Work) -> str:
    ctx, record, api = work.ctx, work.record, work.plan.api
    recorded = record["authorizer"]
    ours = api.ours(ctx)
    if not ours and recorded["status"] == CREATING and api.id in ctx.state.attachments:
        ours = work.left_by_a_crash()
    live = ours[0] if ours else _create_authorizer(work)
    record["authorizer"] = {"status": CREATED, "id": live["id"], "pool": recorded["pool"]}
    work.save()
    if rest_api.authorizer_patch(ctx, live):
        answered = work.at_pace(lambda: rest_api.update_authorizer(ctx, api.id, live))
        if rest_api.authorizer_patch(ctx, answered):
            raise CogauthError(
                f"The authorizer in the API {api.name} was to ask the stack's present user pool, "
                f"but {ctx.state.endpoint_url or 'AWS'} answered that it doesn't. 'cogauth detach "
                f"--api {api.id}{ctx.state.options}' gives the methods back; then attach them anew."
            )
    record["authorizer"]["pool"] = ctx.fact("user_pool", "arn")
    work.save()
    return str(live["id"])


def _create_authorizer(work: Work) -> Live:
    work.record["authorizer"] = _intent(work.ctx)
    work.save()
    try:
        create = partial(rest_api.create_authorizer, work.ctx, work.api, our_name(work.ctx))
        return work.at_pace(create)
    except AWS_ERRORS as error:
        if not is_definite(error):
            raise
        # A create whose answer was lost; AWS refuses a second one of the name.
        if ours := work.by_name():
            return ours[0]
        if not work.record["methods"]:
            work.ctx.state.drop("attachments", work.api)
        raise
