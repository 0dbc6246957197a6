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
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from cogauth.aws.errors import AWS_ERRORS, explain, failure, is_definite
from cogauth.aws.waiting import Pace, TimedOutError, code_of
from cogauth.engine.attach_plan import (
    ATTACH,
    GONE,
    LEFT_ALONE,
    RESTORE,
    UNCHANGED,
    Api,
    Plan,
    Row,
)
from cogauth.engine.journal import patiently
from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from cogauth.record.state import ATTACHED, ATTACHING, CREATED, CREATING, DETACHED, DETACHING
from cogauth.steps import apigateway, attached

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.state import Attachment, Authorization
    from cogauth.steps.base import Live

T = TypeVar("T")

ATTACH_CLIENTS = ("apigateway", "apigateway_once", "cognito")
# API Gateway's rate for an account's control calls, all together, is 10 a second with 40 at once:
# some are left for what was read before, and for others.
# Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
PER_SECOND, AT_ONCE = 10, 30
# After how many methods it is looked whether somebody has changed the others meanwhile.
LOOK_AGAIN = 25


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


class _Work:
    """The calls to one API, at its pace and in turns: two writes at once to it are refused."""

    def __init__(self, ctx: Context, plan: Plan, record: Attachment) -> None:
        self.ctx = ctx
        self.plan = plan
        self.record = record
        self.pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)

    def at_pace(self, call: Callable[[], T]) -> T:
        self.pace.wait()
        return patiently(self.ctx, call)

    def save(self) -> None:
        self.ctx.state.put_attachment(self.plan.id, self.record)

    def look_again(self, rows: list[Row]) -> None:
        """See that nobody has changed these methods since the plan was made.

        Raises:
            CogauthError: somebody has; it would be overwritten, and forgotten what it was.
        """
        read = self.at_pace(lambda: rest_apis.methods(self.ctx, self.plan.id)) or []
        live = {each.name: each.authorization for each in read}
        for row in rows:
            now = live.get(row.name)
            if now and row.before and not attached.same(now, row.before):
                raise CogauthError(
                    f"Someone changed {row.name} of the API {self.plan.name} meanwhile. It was not "
                    f"touched; what was done is in {self.ctx.state.path}. Run the same again to "
                    "see it as it is."
                )

    def update(self, row: Row, place: LiveMethod, after: Authorization) -> None:
        """Change who may call a method, and see that it is so; else set it back.

        Raises:
            CogauthError: the answer differs from what was asked for: some emulators don't keep
                scopes.
        """
        assert row.before is not None  # noqa: S101 it has a place
        before, ctx, api = row.before, self.ctx, self.plan.id
        answered = self.at_pace(lambda: attached.update_method(ctx, api, place, before, after))
        if attached.same(answered, after):
            return
        back = self.at_pace(lambda: attached.update_method(ctx, api, place, answered, before))
        outcome = "so it was set back" if attached.same(back, before) else "and can't be set back"
        raise CogauthError(
            f"{row.name} of the API {self.plan.name} was to get {_plain(after)}, but "
            f"{ctx.state.endpoint_url or 'AWS'} answered that it has {_plain(answered)}, "
            f"{outcome}. "
            f"'cogauth detach --api {api}{ctx.state.options}' gives back what was attached before."
        )

    def deploy(self) -> str | None:
        """Publish the API on the stages that are due."""
        if not self.plan.stages:
            return None
        api, ctx = self.plan.id, self.ctx
        deployment = self.at_pace(lambda: attached.create_deployment(ctx, api))
        for stage in self.plan.stages:
            self.at_pace(partial(attached.put_on_stage, ctx, api, stage, deployment))
        return deployment

    def sweep(self, api: Api) -> None:
        """Delete our deployments that are on no stage any more."""
        for deployment in api.superseded(self.plan.stages):
            self.at_pace(partial(attached.delete_deployment, self.ctx, self.plan.id, deployment))


def _plain(authorization: Authorization) -> str:
    from_state = {name: value for name, value in authorization.items() if value}
    return ", ".join(f"{name} {value}" for name, value in from_state.items())


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
        _clean(_Work(ctx, plan, ctx.state.attachments[plan.id]), plan.api)
        return Attached(plan.api.ours(ctx)[0]["id"])
    work = _Work(ctx, plan, _intended(ctx, plan, plan.api))
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


def _clean(work: _Work, api: Api) -> None:
    """Delete our deployments that are on no stage any more, and what a lost answer made twice."""
    work.sweep(api)
    for extra in api.ours(work.ctx)[1:]:
        work.at_pace(partial(apigateway.delete_authorizer, work.ctx, api.id, extra["id"]))


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


def _our_authorizer(work: _Work, api: Api) -> str:
    """Make sure that our authorizer is in the API and asks the stack's pool; return its id."""
    ctx, record, pool = work.ctx, work.record, work.ctx.fact("user_pool", "arn")
    intent = ctx.state.attachments.get(api.id, record)["authorizer"]
    ours = api.ours(ctx)
    if not ours and intent["status"] == CREATING and api.id in ctx.state.attachments:
        ours = _left_by_a_crash(ctx, api, intent["since"])
    if not ours:
        ours = [_create_authorizer(work, pool)]
    live = ours[0]
    record["authorizer"] = {"status": CREATED, "id": live["id"], "pool": intent["pool"]}
    work.save()
    if apigateway.authorizer_patch(ctx, live):
        answered = work.at_pace(lambda: apigateway.update_authorizer(ctx, api.id, live))
        if apigateway.authorizer_patch(ctx, answered):
            raise CogauthError(
                f"The authorizer in the API {api.name} was to ask the stack's present user pool, "
                f"but {ctx.state.endpoint_url or 'AWS'} answered that it doesn't. 'cogauth detach "
                f"--api {api.id}{ctx.state.options}' gives the methods back; then attach them anew."
            )
    record["authorizer"] = {"status": CREATED, "id": live["id"], "pool": pool}
    work.save()
    return str(live["id"])


def _create_authorizer(work: _Work, pool: str) -> Live:
    ctx, api, record = work.ctx, work.plan.id, work.record
    since = datetime.fromtimestamp(ctx.now(), UTC).isoformat()
    record["authorizer"] = {"status": CREATING, "since": since, "pool": pool}
    work.save()
    try:
        return work.at_pace(lambda: attached.create_authorizer(ctx, api))
    except AWS_ERRORS as error:
        if not is_definite(error):
            raise
        # A create whose answer was lost; AWS refuses a second one of the name.
        if ours := _by_name(ctx, api):
            return ours[0]
        if not record["methods"]:
            ctx.state.drop_attachment(api)
        raise


def _by_name(ctx: Context, api: str) -> list[Live]:
    name = attached.our_name(ctx)
    return [one for one in rest_apis.authorizers(ctx, api) if one["name"] == name]


def _left_by_a_crash(ctx: Context, api: Api, since: str) -> list[Live]:
    """Look for an authorizer whose making's end isn't known: AWS's lists lag."""
    age = ctx.now() - datetime.fromisoformat(since).timestamp()
    try:
        return ctx.waiter.until(
            lambda: _by_name(ctx, api.id) or None,
            reason="the authorizer that an interrupted run may have made",
            timeout_s=min(ctx.settle_s, max(0.0, ctx.settle_s - age)),
        )
    except TimedOutError:
        return []


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
    work = _Work(ctx, plan, copy.deepcopy(ctx.state.attachments[plan.id]))
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


def _restore(work: _Work, row: Row, result: Detached) -> bool:
    """Give a method back what it had; say whether there is nothing left to do about it."""
    assert row.place  # noqa: S101 as the plan has it
    assert row.after  # noqa: S101
    try:
        work.update(row, row.place, row.after)
    except ClientError as error:
        if code_of(error) == attached.REFUSED:
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


def _settle(work: _Work, api: Api, result: Detached) -> None:
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
        ours = _left_by_a_crash(ctx, api, intent["since"])
    for live in ours:
        try:
            if work.at_pace(partial(apigateway.delete_authorizer, ctx, plan.id, live["id"])):
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
