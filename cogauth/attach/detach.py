"""``detach``: give methods back what they had before they were attached."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cogauth.attach import calls, guards
from cogauth.attach.calls import same
from cogauth.attach.model import (
    GONE,
    LEFT_ALONE,
    RESTORE,
    UNCHANGED,
    Api,
    Plan,
    Row,
    check_deployable,
    choose,
    not_yet_deployed,
    of_others,
    one_of,
    read,
)
from cogauth.attach.work import LOOK_AGAIN, Work, left_by_a_crash
from cogauth.aws.answers import code_of
from cogauth.aws.errors import AWS_ERRORS, explain, failure
from cogauth.errors import UsageError
from cogauth.gateway import deployed, export, rest_apis
from cogauth.gateway.rest_apis import LiveMethod, shortened
from cogauth.record.records import ATTACHED, CREATING, DETACHED, DETACHING
from cogauth.steps import rest_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.attach.guards import Recorded
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod


@dataclass
class Detached:
    """What giving back did in one API.

    Attributes:
        restored: the methods that have back what they had.
        left_alone: in words: the methods that someone changed since, or deleted.
        not_ours: of those left alone, the methods that were recorded as attached, and never were.
        lost: in words: those that the stack didn't guard any more, each with what does it again.
        problems: in words: what of ours had to stay, and why.
        authorizers: the ids of ours that were deleted.
        deployment: the id of the deployment that the stages serve by now; None if none was due.
    """

    restored: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    not_ours: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    authorizers: list[str] = field(default_factory=list)
    deployment: str | None = None


def detach(ctx: Context, plan: Plan, report: Callable[[str, int, int], None]) -> Detached:
    """Give methods back what they had, deploy, and delete our authorizer when none is left.

    Args:
        ctx: the stack.
        plan: of ``plan_detach``, made a moment ago.
        report: told what was done, how much of all that is, and how much all is.

    Raises:
        CogauthError: AWS refused it; what was done is in the state file.
        KeyboardInterrupt: the stop event was set; likewise.
    """
    try:
        return _detach(ctx, plan, report)
    except AWS_ERRORS as error:
        raise failure(
            f"Detaching from the API {plan.name} ({plan.id})",
            error,
            after=f"Nothing is lost: what is left is in {ctx.state.path}. Run the same again.",
        ) from error


def _detach(ctx: Context, plan: Plan, report: Callable[[str, int, int], None]) -> Detached:
    result = Detached(
        left_alone=[
            f"{row.name} of the API {plan.name} ({plan.id}) was left alone: {row.why}."
            for row in plan.rows
            if (row.action in {LEFT_ALONE, GONE} or row.lost) and not row.clings
        ],
        not_ours=[row.name for row in plan.rows if row.foreign],
        lost=[
            f"{row.name} had lost its guard before: '{one.mend}' guards it again."
            for row in plan.rows
            for one in row.lost
        ],
    )
    if plan.api is None:
        result.left_alone = [f"The API {plan.name} ({plan.id}) was deleted: nothing to give back."]
        ctx.state.drop_attachment(plan.id)
        return result
    work = Work(ctx, plan, copy.deepcopy(ctx.state.attachments[plan.id]))
    record = work.record
    todo = [row for row in plan.rows if row.action == RESTORE]
    if todo:
        record["outdated"] = record["stages"]
        for row in todo:
            record["methods"][row.name]["status"] = DETACHING
        work.save()
    refused: set[str] = set()
    for nth, row in enumerate(todo, 1):
        if nth % LOOK_AGAIN == 0:
            work.look_again(todo[nth - 1 :])
        if not _restore(work, row, result):
            # The others are given back all the same.
            refused.add(row.name)
        report(f"gave back {row.name}", nth, len(todo))
    if plan.stages:
        report(f"deploying to {', '.join(plan.stages)}", len(todo), len(todo))
    result.deployment = work.deploy()
    work.sweep(plan.api)
    record["outdated"] = []
    for row in plan.rows:
        if not row.clings and row.name not in refused:
            record["methods"].pop(row.name, None)
    work.save()
    _settle(work, plan.api, result)
    return result


def _restore(work: Work, row: Row, result: Detached) -> bool:
    """Give a method back what it had; say whether there is nothing left to do about it."""
    assert row.place  # noqa: S101 as the plan has it
    assert row.after  # noqa: S101
    try:
        work.update(row, row.place, row.after)
    except ClientError as error:
        if code_of(error) == calls.REFUSED:
            result.problems.append(
                f"Giving back {row.name} of the API {work.plan.name} failed: {explain(error)}"
            )
            return False
        if code_of(error) != rest_apis.GONE:
            raise
        result.left_alone.append(f"{row.name} of the API {work.plan.name} was deleted meanwhile.")
    else:
        result.restored.append(row.name)
    work.record["methods"][row.name]["status"] = DETACHED
    work.save()
    return True


def _referring(api: Api, ours: set[str], plan: Plan) -> list[str]:
    """Return the methods that refer to our authorizers and were not given back just now."""
    known = {row.name for row in plan.rows}
    return [
        each.name
        for each in api.methods
        if each.authorization["authorizerId"] in ours and each.name not in known
    ]


def _settle(work: Work, api: Api, result: Detached) -> None:
    """Delete our authorizer and forget the API, if nothing there is ours any more."""
    ctx, plan = work.ctx, work.plan
    clinging = [row for row in plan.rows if row.clings]
    result.problems += [
        f"{row.name} of the API {plan.name} ({plan.id}) still needs our authorizer there, so that "
        f"stays: {row.why}."
        for row in clinging
    ]
    if work.record["methods"]:
        return
    intent = work.record["authorizer"]
    ours = api.ours(ctx)
    # AWS refuses to delete one that a method refers to; an emulator may not.
    if others := _referring(api, {one["id"] for one in ours}, plan):
        result.problems.append(
            f"Our authorizer in the API {plan.name} ({plan.id}) stays because of "
            f"{', '.join(others)}: what that had before isn't known. Give it another "
            "authorization, then run this again."
        )
        return
    if not ours and intent["status"] == CREATING:
        ours = left_by_a_crash(ctx, api, intent["since"])
    for live in ours:
        try:
            if work.at_pace(partial(rest_api.delete_authorizer, ctx, plan.id, live["id"])):
                result.authorizers.append(live["id"])
        except ClientError as error:
            # AWS says which method refers to it: one that somebody else put behind it.
            if code_of(error) != "ConflictException":
                raise
            result.problems.append(
                f"Our authorizer in the API {plan.name} ({plan.id}) stays, for a method refers to "
                f"it of which nobody knows what it had before: {explain(error)} "
                "Give that another authorization, then run this again."
            )
    if not result.problems:
        ctx.state.drop_attachment(plan.id)


def attached_apis(ctx: Context, wanted: str | None) -> list[str]:
    """Return the ids of the APIs that ``detach`` is about.

    Args:
        ctx: the stack.
        wanted: an API's id or name; None for all that are attached.

    Raises:
        UsageError: there is no such API, or several have the name, or nothing is attached to it.
    """
    known = ctx.state.attachments
    if wanted is None or wanted in known:
        return list(known) if wanted is None else [wanted]
    named = [api for api, record in known.items() if record["name"] == wanted]
    if len(named) > 1:
        raise UsageError(
            f"--api {wanted!r}: several attached APIs have that name. Give the id of one: "
            f"{shortened(named)}."
        )
    there = shortened(f"{api} ({record['name']})" for api, record in known.items())
    if not named:
        raise UsageError(
            f"--api {wanted!r}: the stack {ctx.stack} isn't attached to such an API. "
            + (f"It is to: {there}." if known else "It is to none.")
        )
    return named


def plan_detach(
    ctx: Context,
    api_id: str,
    *,
    path: str | None = None,
    method: str | None = None,
    compare: bool = True,
) -> Plan:
    """Say what giving methods back would do.

    Args:
        ctx: the stack.
        api_id: of an API that is attached.
        path: a glob of what is to be given back; None is any.
        method: likewise.
        compare: whether to ask what else a deployment publishes.

    Raises:
        UsageError: the globs match nothing that is attached.
    """
    record = ctx.state.attachments[api_id]
    names = list(record["methods"])
    chosen = names if path is None and method is None else choose(names, path, method)
    api = read(ctx, api_id, record["name"])
    if api is None:
        rows = [Row(name, GONE, "the API was deleted") for name in names]
        return Plan(api_id, record["name"], None, rows, [])
    live = {each.name: each for each in api.methods}
    known = guards.Recorded.of(ctx, api_id, guards.Seen(api.methods, api.authorizers, api.stages))
    rows = [_detach_row(ctx, api, known, name, live.get(name)) for name in chosen]
    found = record["found"]
    # A stage that is still on the deployment from before never had our authorizer.
    changed = [
        stage["stageName"]
        for stage in api.stages
        if found.get(stage["stageName"]) != stage.get("deploymentId")
    ]
    restored = any(row.action == RESTORE for row in rows)

    def is_due(stage: str) -> bool:
        """Say whether a stage is to be deployed: more than the file says that it was attached."""
        if restored or stage in record["outdated"]:
            return _is_on_ours(api, stage) or _may_ask_us(ctx, api, stage)
        return bool(rows) and _may_ask_us(ctx, api, stage)

    stages = [name for name in changed if name in record["stages"] and is_due(name)]
    if stages:
        check_deployable(api)
    raw, unknown = not_yet_deployed(ctx, api, stages) if compare else ([], "")
    warnings = [
        f"The stage {name} was deployed since: it asks for the stack's tokens until it is "
        "deployed again."
        for name in changed
        if name not in record["stages"]
    ]
    pending = of_others(ctx, raw, rows)
    return Plan(api_id, record["name"], api, rows, stages, pending, unknown, warnings)


def _is_on_ours(api: Api, stage: str) -> bool:
    """Say whether a stage serves a deployment of ours."""
    on = next(one for one in api.stages if one["stageName"] == stage).get("deploymentId")
    return on in api.deployments


def _may_ask_us(ctx: Context, api: Api, stage: str) -> bool:
    """Say whether what a stage serves may have our authorizer, whatever the API says by now."""
    document = export.export(ctx, api.id, stage)
    if isinstance(document, str) or ctx.state.emulated:
        return True
    return calls.our_name(ctx) in deployed.schemes(document)


def _detach_row(
    ctx: Context, api: Api, known: Recorded, name: str, place: LiveMethod | None
) -> Row:
    record = known.record["methods"][name]
    former = record["former"]
    lost = tuple(known.lost(name)) if record["status"] == ATTACHED else ()
    if place is None:
        why = "; ".join(["the method was deleted", *(f"it is {one.found}" for one in lost)])
        return Row(name, GONE, why, lost=lost)
    live = place.authorization
    if same(live, former):
        why = "its guard was lost, and it has that already" if lost else ""
        return Row(name, UNCHANGED, why, live, former, former, place, lost=lost)
    ids = {one["id"] for one in api.ours(ctx)}
    clings = live["authorizerId"] in ids
    if not one_of(live, record["ours"]):
        why = f"it was changed since, to {api.words(ctx, live)}"
        if clings:
            why += (
                "; it still refers to our authorizer. Give it another authorization, or attach it "
                "once more, then run this again"
            )
        return Row(name, LEFT_ALONE, why, live, None, former, place, clings, lost)
    if not clings:
        # As the record says, and so says the record of anybody's method.
        why = f"it has {api.words(ctx, live)}, which isn't the stack's authorizer"
        return Row(name, LEFT_ALONE, why, live, None, former, place, foreign=True)
    authorizer = former["authorizerId"]
    if authorizer and authorizer not in {one["id"] for one in api.authorizers}:
        why = (
            f"the authorizer {authorizer}, which it had before, was deleted since. Give it another "
            "authorization, then run this again"
        )
        return Row(name, LEFT_ALONE, why, live, former, former, place, clings=True)
    return Row(name, RESTORE, "", live, former, former, place)
