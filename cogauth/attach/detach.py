"""``detach``: restore the authorization that methods had before ``attach``.

``down`` does the same for each attached API: ``engine/down_plan.py`` calls ``plan_detach``, and
``engine/down.py`` calls ``detach`` before it deletes anything else.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cogauth.attach import guards, model
from cogauth.attach.model import Api, ApiPlan, MethodChange, Skip, our_name, same
from cogauth.attach.work import BAD_REQUEST, Report, Work, permissions
from cogauth.aws.answers import NOT_FOUND, code_of
from cogauth.aws.errors import AWS_ERRORS, failure, translate
from cogauth.aws.policies import ATTACHED_API
from cogauth.errors import UsageError
from cogauth.gateway import deployed
from cogauth.printable import shortened
from cogauth.record.records import ATTACHED, CREATING, DETACHED, DETACHING

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.records import Attachment


def attached_apis(ctx: Context, wanted: str | None) -> list[str]:
    """Return the ids of the attached APIs with ``wanted`` as id or name; None means all.

    Raises:
        UsageError: no attached API matches, or several have that name.
    """
    known = ctx.state.attachments
    if wanted is None or wanted in known:
        return list(known) if wanted is None else [wanted]
    named = [api for api, record in known.items() if record["name"] == wanted]
    if len(named) > 1:
        raise UsageError(
            f"--api {wanted!r}: several attached APIs have that name.",
            hint=f"Give the id of one: {shortened(named)}.",
        )
    if not named:
        there = shortened(f"{api} ({record['name']})" for api, record in known.items())
        raise UsageError(
            f"--api {wanted!r}: the stack {ctx.stack} isn't attached to such an API. "
            + (f"Attached APIs: {there}." if known else "It is attached to no API.")
        )
    return named


# What restoring the methods of attached APIs needs.
PERMISSIONS = (*model.permissions(ATTACHED_API), *permissions(ATTACHED_API))


def plan_detach(
    ctx: Context,
    api_id: str,
    *,
    path: str | None = None,
    method: str | None = None,
    compare: bool = True,
) -> ApiPlan:
    """Plan how to restore the methods of an attached API, without changing anything.

    ``path`` and ``method`` are globs; ``compare`` asks what else a deployment would publish.

    Raises:
        UsageError: the globs match no attached method.
    """
    record = ctx.state.attachments[api_id]
    names = list(record["methods"])
    chosen = names if path is None and method is None else model.choose(names, path, method)
    api = model.read(ctx, api_id, record["name"])
    if api is None:
        why = "the API was deleted"
        gone: list[MethodChange | Skip] = [Skip(name, model.DELETED, why) for name in names]
        return ApiPlan(Api(api_id, record["name"]), gone, [], gone=True)
    known = guards.Recorded(ctx, api)
    live = {each.name: each for each in api.methods}
    rows = [_row(ctx, api, known, name, live.get(name)) for name in chosen]
    # A stage that still has its old deployment never served our authorizer.
    changed = [
        stage["stageName"]
        for stage in api.stages
        if record["found"].get(stage["stageName"]) != stage.get("deploymentId")
    ]
    attached = [name for name in changed if name in record["stages"]]
    stages = [name for name in attached if _is_due(ctx, api, record, name, rows)]
    if stages:
        model.check_deployable(api)
    raw, unknown = model.not_yet_deployed(ctx, api, stages) if compare else ([], "")
    warnings = [
        f"Someone has deployed to the stage {name} since: it asks for this stack's tokens until "
        "you deploy to it again."
        for name in changed
        if name not in record["stages"]
    ]
    return ApiPlan(api, rows, stages, model.of_others(ctx, raw, rows), unknown, warnings)


def _is_due(
    ctx: Context, api: Api, record: Attachment, name: str, rows: list[MethodChange | Skip]
) -> bool:
    """Return whether to deploy to a stage; a record of it as attached isn't enough."""
    stage = next(one for one in api.stages if one["stageName"] == name)
    lacks = name in record["outdated"] or any(isinstance(row, MethodChange) for row in rows)
    if lacks and stage.get("deploymentId") in api.deployments:
        return True
    if not lacks and not rows:
        return False
    # The stage may serve our authorizer even if the API no longer has it.
    document = deployed.export(ctx, api.id, name)
    if isinstance(document, str) or ctx.state.emulated:
        return True
    return our_name(ctx) in deployed.schemes(document)


def _row(
    ctx: Context, api: Api, known: guards.Recorded, name: str, method: LiveMethod | None
) -> MethodChange | Skip:
    record = known.record["methods"][name]
    former = record["former"]
    lost = tuple(known.lost(name)) if record["status"] == ATTACHED else ()
    if method is None:
        why = "; ".join(["the method was deleted", *(f"now {one.found}" for one in lost)])
        return Skip(name, model.DELETED, why, lost=lost)
    live = method.authorization
    if same(live, former):
        why = "it lost its guard, and has its former authorization again" if lost else ""
        return Skip(name, model.UNCHANGED, why, live, former, lost=lost)
    needs_ours = live["authorizerId"] in {one["id"] for one in api.ours(ctx)}
    if not any(same(live, one) for one in record["ours"]):
        why = f"someone has changed it to {api.words(ctx, live)}"
        if needs_ours:
            why += (
                ", and it still uses this stack's authorizer. Give it another authorization, or "
                "attach it again, then run this again"
            )
        return Skip(name, model.LEFT_ALONE, why, live, None, needs_ours, lost)
    if not needs_ours:
        # It matches the record, but a forged record could name anyone's method.
        why = f"it has {api.words(ctx, live)}, which isn't the stack's authorizer"
        return Skip(name, model.LEFT_ALONE, why, live, foreign=True)
    authorizer = former["authorizerId"]
    if authorizer and authorizer not in {one["id"] for one in api.authorizers}:
        why = (
            f"its former authorizer {authorizer} was deleted. Give it another authorization, then "
            "run this again"
        )
        return Skip(name, model.LEFT_ALONE, why, live, former, needs_ours)
    return MethodChange(model.RESTORE, method, former, former)


@dataclass
class Detached:
    """What ``detach`` did in one API.

    Attributes:
        left_alone: a sentence for each method that someone changed or deleted since ``attach``.
        not_ours: the names of those that the record wrongly calls attached.
        lost: a sentence for each method that had lost its guard, with the command to guard it.
        problems: what of ours couldn't be deleted, and why.
    """

    restored: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    not_ours: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    authorizers: list[str] = field(default_factory=list)
    deployment: str | None = None


def detach(ctx: Context, plan: ApiPlan, report: Report) -> Detached:
    """Carry out a fresh plan: restore its methods, deploy, and delete our authorizer if unused.

    Raises:
        CogauthError: AWS refused a call; the state file records what was done.
        KeyboardInterrupt: the stop event was set; the state file records what was done.
    """
    name = f"the API {plan.api.name} ({plan.api.id})"
    if plan.gone:
        ctx.state.drop("attachments", plan.api.id)
        return Detached(left_alone=[f"T{name[1:]} was deleted: there is nothing to restore."])
    try:
        record = copy.deepcopy(ctx.state.attachments[plan.api.id])
        return _detach(Work(ctx, plan, record, report), name)
    except AWS_ERRORS as error:
        raise failure(
            f"Detaching from {name}",
            error,
            after=f"Nothing is lost: {ctx.state.path} records what is left.",
            hint="Run the same again.",
        ) from error


def _detach(work: Work, name: str) -> Detached:
    plan, record = work.plan, work.record
    result = Detached(not_ours=[row.name for row in plan.skips if row.foreign])
    for skip in plan.skips:
        if (skip.action != model.UNCHANGED or skip.lost) and not skip.needs_ours:
            result.left_alone.append(f"{skip.name} of {name} was left alone: {skip.why}.")
        for one in skip.lost:
            said = f"{skip.name} had already lost its guard: '{one.mend}' guards it again."
            result.lost.append(said)
    if plan.changes:
        record["outdated"] = record["stages"]
        for change in plan.changes:
            record["methods"][change.name]["status"] = DETACHING
        work.save()
    kept = {row.name for row in plan.skips if row.needs_ours}
    for change in work.changes("gave back"):
        if not _restore(work, change, result):
            # Go on with the others.
            kept.add(change.name)
    result.deployment = work.deploy()
    work.sweep()
    record["outdated"] = []
    for row in plan.rows:
        if row.name not in kept:
            record["methods"].pop(row.name, None)
    work.save()
    _delete_authorizer(work, name, result)
    return result


def _restore(work: Work, change: MethodChange, result: Detached) -> bool:
    """Restore a method; return whether it needs no further call."""
    which = f"{change.name} of the API {work.plan.api.name}"
    try:
        work.update(change, change.after)
    except ClientError as error:
        if code_of(error) == BAD_REQUEST:
            result.problems.append(f"Restoring {which} failed: {translate(error)}")
            return False
        if code_of(error) not in NOT_FOUND:
            raise
        result.left_alone.append(f"{which} was deleted meanwhile.")
    else:
        result.restored.append(change.name)
    work.record["methods"][change.name]["status"] = DETACHED
    work.save()
    return True


def _delete_authorizer(work: Work, name: str, result: Detached) -> None:
    """Delete our authorizer and drop the API's record, if no method needs them any more."""
    plan = work.plan
    result.problems += [
        f"The authorizer in {name} was kept, because {row.name} still uses it: {row.why}."
        for row in plan.skips
        if row.needs_ours
    ]
    if work.record["methods"]:
        return
    ours = plan.api.ours(work.ctx)
    # AWS doesn't delete an authorizer that a method uses; an emulator may.
    given_back, ids = {row.name for row in plan.rows}, {one["id"] for one in ours}
    if others := [
        each.name
        for each in plan.api.methods
        if each.authorization["authorizerId"] in ids and each.name not in given_back
    ]:
        result.problems.append(_kept(name, ", ".join(others)))
        return
    if not ours and work.record["authorizer"]["status"] == CREATING:
        ours = work.left_by_a_crash()
    for live in ours:
        try:
            if work.delete_authorizer(live["id"]):
                result.authorizers.append(live["id"])
        except ClientError as error:
            # Someone else used it for a method, which AWS's message names.
            if code_of(error) != "ConflictException":
                raise
            result.problems.append(_kept(name, f"a method ({translate(error)})"))
    if not result.problems:
        work.ctx.state.drop("attachments", work.api)


def _kept(name: str, used_by: str) -> str:
    return (
        f"The authorizer in {name} was kept, because {used_by} uses it, whose former "
        "authorization is unknown. Give it another authorization, then run this again."
    )
