"""``attach``: guard methods of any REST API with the stack's user pool.

Before it changes a method, it records the method's former authorization, the new one, and that a
deployment is due. After a crash, the record is enough to go on or to go back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach import model
from cogauth.attach.model import Api, ApiPlan, MethodChange, Skip, our_name, same
from cogauth.attach.warnings import PERMISSIONS as WARNINGS
from cogauth.attach.warnings import beforehand
from cogauth.attach.work import Report, Work, permissions
from cogauth.aws.errors import AWS_ERRORS, failure, is_definite
from cogauth.aws.policies import OTHER_API, USER_POOL, allow
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.gateway.deployed import AUTHORIZATION, export, served_guards
from cogauth.gateway.rest_apis import COGNITO, KNOWN_TYPES, Guard
from cogauth.printable import LISTED, shortened
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

# The only scope in the access tokens of POST /signin.
# Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
SIGN_IN_SCOPE = "aws.cognito.signin.user.admin"


@dataclass(frozen=True)
class Wanted:
    """What the user asks to attach.

    Attributes:
        path, method: globs.
        scopes: an access token must have one of them; if empty, the methods accept ID tokens.
        stage: the stage to deploy to; None means the attached stage, or the API's only one.
    """

    api: str
    path: str
    method: str | None = None
    scopes: tuple[str, ...] = ()
    stage: str | None = None


# What planning and carrying it out needs.
PERMISSIONS = (
    *(allow(USER_POOL, "cognito-idp:DescribeUserPool"), rest_apis.FIND_API),
    *(*model.permissions(OTHER_API), *WARNINGS, *permissions(OTHER_API)),
    allow(f"{OTHER_API}/authorizers", "apigateway:POST"),
    allow(f"{OTHER_API}/authorizers/*", "apigateway:PATCH"),
)


def plan_attach(ctx: Context, wanted: Wanted) -> ApiPlan:
    """Plan an attachment without changing anything.

    Raises:
        UsageError: the input is wrong.
        CogauthError: the recorded user pool was deleted, or belongs to another stack.
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
    plan = ApiPlan(
        api,
        rows,
        [stage],
        model.of_others(ctx, pending, rows),
        unknown,
        [
            *_warnings(api, found, kept),
            *_open_elsewhere(ctx, api, stage, kept),
            *beforehand(ctx, api, kept),
        ],
        make_authorizer=not ours,
        point_authorizer=bool(ours) and bool(rest_api.authorizer_patch(ctx, ours[0])),
    )
    others = [name for name in attached if name != stage]
    if others and plan.changes:
        plan.warnings.append(
            f"Not deployed to: {', '.join(others)}. To deploy there, run this again with --stage."
        )
    if _is_due(ctx, plan, stage, pending):
        return plan
    return replace(plan, stages=[], pending=[], unknown="")


def _is_due(ctx: Context, plan: ApiPlan, stage: str, pending: Iterable[Pending] | None) -> bool:
    """Return whether the stage needs a deployment to serve what the user asked for."""
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
) -> MethodChange | Skip:
    live, name = method.authorization, method.name
    known = ctx.state.attachments.get(api.id)
    recorded = known["methods"].get(name) if known else None
    # The user must name ANY; a glob that happens to match it isn't enough.
    any_too = (wanted.method or "").upper() == "ANY" or recorded is not None
    if why := _left_out(ctx, api, method, any_too=any_too):
        return Skip(name, model.LEFT_OUT, why, live)
    after: Authorization = {
        "authorizationType": COGNITO,
        "authorizerId": ours[0]["id"] if ours else None,
        "authorizationScopes": sorted(set(wanted.scopes)),
        "apiKeyRequired": live["apiKeyRequired"],
    }
    # The record isn't proof: only our authorizer on the method shows that it was attached.
    if live["authorizerId"] not in {one["id"] for one in ours}:
        return MethodChange(model.ATTACH, method, after, live)
    if recorded is None:
        why = (
            "it uses this stack's authorizer, but 'attach' didn't set it: its former "
            "authorization is unknown"
        )
        action = model.UNCHANGED if same(live, after) else model.LEFT_OUT
        return Skip(name, action, why, live, after)
    # Only the API's owner decides about API keys.
    former: Authorization = {**recorded["former"], "apiKeyRequired": live["apiKeyRequired"]}
    return MethodChange(model.ATTACH, method, after, former)


def _left_out(ctx: Context, api: Api, method: LiveMethod, *, any_too: bool) -> str:
    """Return why a method can't be attached; empty if it can."""
    if (kind := method.authorization["authorizationType"]) not in KNOWN_TYPES:
        return (
            f"this cogauth doesn't know its authorization type {kind}, so it might not be able to "
            f"restore it. It knows {', '.join(KNOWN_TYPES)}"
        )
    if method.http_method == "OPTIONS":
        return "browsers send OPTIONS without a token, before the actual request"
    if _answers_preflights(api, method) and not any_too:
        return (
            "it answers OPTIONS too, which browsers send without a token. Give the path its own "
            "OPTIONS method or, if no browser calls it, pass --method ANY"
        )
    own = ctx.state.record("rest_api")
    if own and own.get("id") == api.id and method.name == f"POST {ctx.state.settings.path}":
        return "it is the sign-in method: callers get their token there"
    return ""


def _answers_preflights(api: Api, method: LiveMethod) -> bool:
    """Return whether it is an ANY method on a path without an OPTIONS method."""
    return method.http_method == "ANY" and "OPTIONS" not in {
        each.http_method for each in api.methods if each.path == method.path
    }


def _warnings(api: Api, stage: Live, kept: Iterable[LiveMethod]) -> Iterator[str]:
    for method in kept:
        if _answers_preflights(api, method):
            yield f"{method.name} answers OPTIONS too: browser preflights will get 401."
    canary = stage.get("canarySettings") or {}
    if canary.get("deploymentId"):
        yield (
            f"The stage {stage['stageName']} has a canary: {canary.get('percentTraffic', 0):g} % "
            f"of the calls go to its deployment {canary['deploymentId']}, which doesn't change."
        )


def _open_elsewhere(
    ctx: Context, api: Api, stage: str, kept: Iterable[LiveMethod]
) -> Iterator[str]:
    """Warn of the other stages on which anyone can call the methods until they are deployed there.

    Other emulators' exports show few guards, and their stages serve the current state.
    """
    for other in [] if ctx.state.emulated else [str(one["stageName"]) for one in api.stages]:
        document = export(ctx, api.id, other) if other != stage else ""
        if isinstance(document, str):
            continue
        served = served_guards(document)
        if opened := [each.name for each in kept if served.get(each.name) == Guard()]:
            yield (
                f"{other} isn't guarded: anyone can call {shortened(opened)} there. Run this again "
                f"with --stage {other} to guard it there too."
            )


@dataclass
class Attached:
    """The outcome: our authorizer's id, the changed methods, and the deployment, if any."""

    authorizer: str
    deployment: str | None = None
    done: list[str] = field(default_factory=list)


def attach(ctx: Context, plan: ApiPlan, report: Report) -> Attached:
    """Carry out a fresh plan: guard its methods with the stack's user pool, and deploy.

    Raises:
        CogauthError: AWS refused a call; the state file records what was done.
        KeyboardInterrupt: the stop event was set; the state file records what was done.
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
            after=f"Nothing is lost: {ctx.state.path} records what was done.",
            hint=(
                "Run the same command to go on, or 'cogauth detach --api "
                f"{plan.api.id}{options}' to undo all of it."
            ),
        ) from error


def _attach(work: Work) -> Attached:
    record = work.record
    result = Attached(_our_authorizer(work))
    for change in work.plan.changes:
        after: Authorization = {**change.after, "authorizerId": result.authorizer}
        recorded = record["methods"].get(change.name)
        ours = [one for one in recorded["ours"] if one != after] if recorded else []
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
    # The deployment has also published what an interrupted detach restored.
    record["methods"] = {
        name: one for name, one in record["methods"].items() if one["status"] != DETACHED
    }
    work.save()
    _note_unchanged(work.ctx, work.plan)
    # Everything is live by now. If the cleanup fails, there is no need to redeploy.
    _clean(work)
    return result


def _clean(work: Work) -> None:
    """Delete our unused deployments, and authorizers created twice because an answer got lost."""
    work.sweep()
    for extra in work.plan.api.ours(work.ctx)[1:]:
        work.delete_authorizer(extra["id"])


def _note_unchanged(ctx: Context, plan: ApiPlan) -> None:
    """Record what is attached already, with changes that the owner made, such as an API key.

    Else 'detach' would skip these, and what an interrupted run attached would stay unfinished.
    """
    present = ctx.state.attachments[plan.api.id]
    record = copy.deepcopy(present)
    for row in plan.rows:
        known = record["methods"].get(row.name)
        if known and isinstance(row, MethodChange) and row.action == model.UNCHANGED:
            known["status"], known["former"], known["ours"] = ATTACHED, row.former, [row.before]
            known["resource_id"] = row.method.resource_id
    if record != present:
        ctx.state.put("attachments", plan.api.id, record)


def _intended(ctx: Context, plan: ApiPlan) -> Attachment:
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
                f"{ctx.state.endpoint_url or 'AWS'} didn't switch the authorizer in the API "
                f"{api.name} to the stack's current user pool.",
                hint=(
                    f"Run 'cogauth detach --api {api.id}{ctx.state.options}' to restore the "
                    "methods, then attach them again."
                ),
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
        # The answer to an earlier create got lost: AWS refuses a second authorizer of that name.
        if ours := work.by_name():
            return ours[0]
        if not work.record["methods"]:
            work.ctx.state.drop("attachments", work.api)
        raise
