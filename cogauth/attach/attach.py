"""``attach`` and ``detach``: put methods of any REST API behind the stack's pool, and back.

The journal's protocol here: before a method is touched, what it had is on disk, and what it is
given; whether it was touched, the live API tells as well. A deployment is due from before the
first change until a stage serves it. So a crash at any place leaves what is needed to go on, or to
give all of it back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach import calls
from cogauth.attach.calls import same
from cogauth.attach.model import (
    ATTACH,
    LEFT_OUT,
    UNCHANGED,
    Api,
    Plan,
    Row,
    check_deployable,
    choose,
    not_yet_deployed,
    of_others,
    read_api,
)
from cogauth.attach.warnings import beforehand
from cogauth.attach.work import LOOK_AGAIN, Work, by_name, left_by_a_crash
from cogauth.aws.errors import AWS_ERRORS, failure, is_definite
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.gateway.deployed import AUTHORIZATION
from cogauth.gateway.rest_apis import (
    COGNITO,
    KNOWN_TYPES,
    LISTED,
    LiveMethod,
)
from cogauth.record.records import ATTACHED, ATTACHING, CREATED, CREATING, DETACHED
from cogauth.steps import rest_api
from cogauth.steps.lookup import check_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.records import Attachment, Authorization


@dataclass
class Attached:
    """What attaching did.

    Attributes:
        authorizer: the id of ours in the API.
        deployment: the id of the deployment that the stage serves by now; None if none was due.
        done: the methods that were changed.
    """

    authorizer: str
    deployment: str | None = None
    done: list[str] = field(default_factory=list)


def attach(ctx: Context, plan: Plan, report: Callable[[str, int, int], None]) -> Attached:
    """Put methods behind the stack's user pool, and deploy.

    Args:
        ctx: a stack that stands.
        plan: of ``plan_attach``, made a moment ago.
        report: told what was done, how much of all that is, and how much all is.

    Raises:
        CogauthError: AWS refused it; what was done is in the state file.
        KeyboardInterrupt: the stop event was set; likewise.
    """
    try:
        return _attach(ctx, plan, report)
    except AWS_ERRORS as error:
        options = ctx.state.options
        raise failure(
            f"Attaching to the API {plan.name} ({plan.id})",
            error,
            after=(
                f"Nothing is lost: what was done is in {ctx.state.path}. Run the same again to go "
                f"on, or 'cogauth detach --api {plan.id}{options}' to give all of it back."
            ),
        ) from error


def _attach(ctx: Context, plan: Plan, report: Callable[[str, int, int], None]) -> Attached:
    assert plan.api is not None  # noqa: S101 it was read
    if not plan.stages:
        _note_unchanged(ctx, plan)
        _clean(Work(ctx, plan, ctx.state.attachments[plan.id]), plan.api)
        return Attached(plan.api.ours(ctx)[0]["id"])
    work = Work(ctx, plan, _intended(ctx, plan, plan.api))
    record = work.record
    result = Attached(_our_authorizer(work, plan.api))
    todo = [row for row in plan.rows if row.action == ATTACH]
    for row in todo:
        assert row.place  # noqa: S101 as the plan has it
        assert row.after  # noqa: S101
        assert row.former  # noqa: S101
        before = record["methods"].get(row.name)
        after: Authorization = {**row.after, "authorizerId": result.authorizer}
        record["methods"][row.name] = {
            "status": ATTACHING,
            "resource_id": row.place.resource_id,
            "former": row.former,
            "ours": [*(one for one in (before or {"ours": []})["ours"] if one != after), after],
        }
    work.save()
    for nth, row in enumerate(todo, 1):
        assert row.place  # noqa: S101
        if nth % LOOK_AGAIN == 0:
            work.look_again(todo[nth - 1 :])
        method = record["methods"][row.name]
        work.update(row, row.place, method["ours"][-1])
        method["status"], method["ours"] = ATTACHED, method["ours"][-1:]
        work.save()
        result.done.append(row.name)
        report(f"attached {row.name}", nth, len(todo))
    if plan.stages:
        report(f"deploying to {', '.join(plan.stages)}", len(todo), len(todo))
    result.deployment = work.deploy()
    record["outdated"] = [name for name in record["outdated"] if name not in plan.stages]
    # What an interrupted detach had given back is published by this, too.
    for name in [name for name, one in record["methods"].items() if one["status"] == DETACHED]:
        del record["methods"][name]
    work.save()
    _note_unchanged(ctx, plan)
    # All of it is live by now; that what is left over can't be deleted is no reason to redeploy.
    _clean(work, plan.api)
    return result


def _clean(work: Work, api: Api) -> None:
    """Delete our deployments that are on no stage any more, and what a lost answer made twice."""
    work.sweep(api)
    for extra in api.ours(work.ctx)[1:]:
        work.at_pace(partial(rest_api.delete_authorizer, work.ctx, api.id, extra["id"]))


def _note_unchanged(ctx: Context, plan: Plan) -> None:
    """Record what is asked for and stands already, but came about in another way.

    As where somebody has added an API key to an attached method: it was taken over, and is nothing
    that 'detach' would have to leave alone.
    """
    record = copy.deepcopy(ctx.state.attachments[plan.id])
    for row in plan.of(UNCHANGED):
        known = record["methods"].get(row.name)
        if known and row.before and row.former and row.place:
            known["former"], known["ours"] = row.former, [row.before]
            known["resource_id"] = row.place.resource_id
    if record != ctx.state.attachments[plan.id]:
        ctx.state.put_attachment(plan.id, record)


def _intended(ctx: Context, plan: Plan, api: Api) -> Attachment:
    """Return the record of an API as it is before anything is touched."""
    present = ctx.state.attachments.get(plan.id)
    found = {one["stageName"]: one.get("deploymentId") or "none" for one in api.stages}
    since = datetime.fromtimestamp(ctx.now(), UTC).isoformat()
    record: Attachment = (
        copy.deepcopy(present)
        if present
        else {
            "name": plan.name,
            "stages": [],
            "outdated": [],
            "found": found,
            "authorizer": {
                "status": CREATING,
                "since": since,
                "pool": ctx.fact("user_pool", "arn"),
            },
            "methods": {},
        }
    )
    record["name"] = plan.name
    record["stages"] = sorted({*record["stages"], *plan.stages})
    lacking = record["stages"] if plan.changes else plan.stages
    record["outdated"] = sorted({*record["outdated"], *lacking})
    return record


def _our_authorizer(work: Work, api: Api) -> str:
    """Make sure that our authorizer is in the API and asks the stack's pool; return its id."""
    ctx, record, pool = work.ctx, work.record, work.ctx.fact("user_pool", "arn")
    intent = ctx.state.attachments.get(api.id, record)["authorizer"]
    ours = api.ours(ctx)
    if not ours and intent["status"] == CREATING and api.id in ctx.state.attachments:
        ours = left_by_a_crash(ctx, api, intent["since"])
    if not ours:
        ours = [_create_authorizer(work, pool)]
    live = ours[0]
    record["authorizer"] = {"status": CREATED, "id": live["id"], "pool": intent["pool"]}
    work.save()
    if rest_api.authorizer_patch(ctx, live):
        answered = work.at_pace(lambda: rest_api.update_authorizer(ctx, api.id, live))
        if rest_api.authorizer_patch(ctx, answered):
            raise CogauthError(
                f"The authorizer in the API {api.name} was to ask the stack's present user pool, "
                f"but {ctx.state.endpoint_url or 'AWS'} answered that it doesn't. 'cogauth detach "
                f"--api {api.id}{ctx.state.options}' gives the methods back; then attach them anew."
            )
    record["authorizer"] = {"status": CREATED, "id": live["id"], "pool": pool}
    work.save()
    return str(live["id"])


def _create_authorizer(work: Work, pool: str) -> Live:
    ctx, api, record = work.ctx, work.plan.id, work.record
    since = datetime.fromtimestamp(ctx.now(), UTC).isoformat()
    record["authorizer"] = {"status": CREATING, "since": since, "pool": pool}
    work.save()
    try:
        return work.at_pace(lambda: calls.create_authorizer(ctx, api))
    except AWS_ERRORS as error:
        if not is_definite(error):
            raise
        # A create whose answer was lost; AWS refuses a second one of the name.
        if ours := by_name(ctx, api):
            return ours[0]
        if not record["methods"]:
            ctx.state.drop_attachment(api)
        raise


# The one scope that the access tokens of POST /signin carry.
# Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
SIGN_IN_SCOPE = "aws.cognito.signin.user.admin"


@dataclass(frozen=True)
class Wanted:
    """What is to be attached, as the user says it.

    Attributes:
        api: an API's id or name.
        path, method: globs; a method of None is any.
        scopes: of which an access token must have one; none: ID tokens.
        stage: to deploy to; None for the one attached to, or the API's only one.
    """

    api: str
    path: str
    method: str | None = None
    scopes: tuple[str, ...] = ()
    stage: str | None = None

    @property
    def any_too(self) -> bool:
        """Whether ANY is meant by its name, and not by a glob that happens to match it."""
        return (self.method or "").upper() == "ANY"


def plan_attach(ctx: Context, wanted: Wanted) -> Plan:
    """Say what attaching would do.

    Raises:
        UsageError: the input can't be used as given.
        CogauthError: the recorded user pool is gone, or isn't the stack's.
    """
    check_pool(ctx)
    api = read_api(ctx, wanted.api)
    found = rest_apis.choose_stage(
        {"id": api.id, "name": api.name}, api.stages, wanted.stage, ctx.state.stages_of(api.id)
    )
    stages = [str(found["stageName"])]
    by_name = {each.name: each for each in api.methods}
    chosen = choose(by_name, wanted.path, wanted.method)
    ours = api.ours(ctx)
    record = ctx.state.attachments.get(api.id)
    rows = [_attach_row(ctx, api, by_name[name], ours, wanted) for name in chosen]
    if not [row for row in rows if row.action != LEFT_OUT]:
        reasons = [f"  {row.name}: {row.why}" for row in rows[:LISTED]]
        raise UsageError("None of these methods can be attached:", *reasons)
    check_deployable(api)
    pending, unknown = not_yet_deployed(ctx, api, stages)
    point = bool(ours) and bool(rest_api.authorizer_patch(ctx, ours[0]))
    standing = {row.name for row in rows if row.action == UNCHANGED}
    undeployed = any(
        each.what in standing and (AUTHORIZATION in each.fields or each.change == "new")
        for each in pending or ()
    )
    due = (
        any(row.action == ATTACH for row in rows)
        or point
        or undeployed
        or record is None
        or stages[0] in record["outdated"]
        or stages[0] not in record["stages"]
    )
    return Plan(
        api.id,
        api.name,
        api,
        rows,
        stages if due else [],
        of_others(ctx, pending, rows) if due else [],
        unknown if due else "",
        [
            *_warnings(api, stages[0], rows),
            *beforehand(ctx, api, [r.place for r in rows if r.place and r.action != LEFT_OUT]),
            *_others_stages(record, stages[0], rows),
        ],
        make_authorizer=not ours,
        point_authorizer=point,
    )


def _others_stages(record: Attachment | None, stage: str, rows: Sequence[Row]) -> list[str]:
    others = [name for name in record["stages"] if name != stage] if record else []
    if not others or not any(row.action == ATTACH for row in rows):
        return []
    return [f"Not deployed by this: {', '.join(others)}. Run it again with --stage for that."]


def _attach_row(
    ctx: Context, api: Api, place: LiveMethod, ours: Sequence[Live], wanted: Wanted
) -> Row:
    live, name = place.authorization, place.name
    known = ctx.state.attachments.get(api.id)
    recorded = known["methods"].get(name) if known else None
    if why := _left_out(ctx, api, place, any_too=wanted.any_too or recorded is not None):
        return Row(name, LEFT_OUT, why, live, place=place)
    after: Authorization = {
        "authorizationType": COGNITO,
        "authorizerId": ours[0]["id"] if ours else None,
        "authorizationScopes": sorted(set(wanted.scopes)),
        "apiKeyRequired": live["apiKeyRequired"],
    }
    ids = {one["id"] for one in ours}
    former = live
    # What the record says isn't enough: only our authorizer there shows that it was attached.
    if recorded is not None and live["authorizerId"] in ids:
        # An API key is nobody's but the API's owner's.
        former = {**recorded["former"], "apiKeyRequired": live["apiKeyRequired"]}
    elif live["authorizerId"] in ids:
        why = "it refers to our authorizer, but not by 'attach': what it had before isn't known"
        return Row(
            name, UNCHANGED if same(live, after) else LEFT_OUT, why, live, after, place=place
        )
    action = UNCHANGED if same(live, after) else ATTACH
    return Row(name, action, "", live, after, former, place)


def _left_out(ctx: Context, api: Api, place: LiveMethod, *, any_too: bool) -> str:
    """Return why a method is never attached; empty if it may be."""
    if (kind := place.authorization["authorizationType"]) not in KNOWN_TYPES:
        return (
            f"its authorization type {kind} isn't one that this cogauth knows, so it couldn't give "
            f"it back for certain. It knows {', '.join(KNOWN_TYPES)}"
        )
    if place.http_method == "OPTIONS":
        return "browsers send OPTIONS without a token before the request itself"
    if place.http_method == "ANY" and not any_too and not _has_options(api, place):
        return (
            "it answers OPTIONS too, which browsers send without a token. Give the path an OPTIONS "
            "method of its own; or, if no browser calls it, say --method ANY"
        )
    own = ctx.state.record("rest_api")
    if own and own.get("id") == api.id and place.name == f"POST {ctx.state.settings.path}":
        return "it is where one gets a token"
    return ""


def _has_options(api: Api, place: LiveMethod) -> bool:
    names = [each.http_method for each in api.methods if each.path == place.path]
    return "OPTIONS" in names


def _warnings(api: Api, stage: str, rows: Sequence[Row]) -> list[str]:
    found = [
        f"{row.name} answers OPTIONS too: a browser's preflights get 401 then."
        for row in rows
        if row.action in {ATTACH, UNCHANGED}
        and row.place is not None
        and row.place.http_method == "ANY"
        and not _has_options(api, row.place)
    ]
    live = next(one for one in api.stages if one["stageName"] == stage)
    canary = live.get("canarySettings") or {}
    if canary.get("deploymentId"):
        found.append(
            f"The stage {stage} has a canary: {canary.get('percentTraffic', 0):g} % of the calls "
            f"go to its deployment {canary['deploymentId']}, which stays as it is."
        )
    return found
