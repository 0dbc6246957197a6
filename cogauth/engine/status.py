"""How a stack is: each step against its record and the stack's settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from cogauth.attach import guards
from cogauth.aws import parallel
from cogauth.aws.answers import or_none
from cogauth.aws.errors import AWS_ERRORS, translate
from cogauth.aws.memo import Memo
from cogauth.engine.plan import LATER, plan
from cogauth.engine.reporting import DELETE
from cogauth.engine.tasks import UP_CLIENTS
from cogauth.gateway import deployed, rest_apis
from cogauth.gateway.pending import pending
from cogauth.record.records import CREATING, DELETING, DETACHED, OUTDATED
from cogauth.steps import RESOURCES
from cogauth.steps.base import Recreate
from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cogauth.aws.answers import Field
    from cogauth.context import Context
    from cogauth.engine.reporting import ResourcePlan, StepPlan, Waiting
    from cogauth.record.records import Attachment

# How a step is: ``unfinished`` if an interrupted run left an intent, ``stale`` if the stage doesn't
# serve the API as it is.
Status = Literal["exists", "missing", "changed", "unfinished", "stale"]
Condition = Literal["complete", "incomplete", "drifted"]
# Where JSON has another word.
STATUS_IN_JSON = {"exists": "stands"}


@dataclass(frozen=True)
class StepStatus:
    """How a step is.

    Attributes:
        step: its name.
        id: the recorded id of its main resource, or None.
        changes: what differs from the settings, in each of its resources.
        console_url: its page in the AWS console; None for a stack that isn't on AWS itself.
        lacks: the names of its missing resources, if its main resource exists.
    """

    step: str
    title: str
    status: Status
    id: str | None = None
    changes: tuple[Field, ...] = ()
    console_url: str | None = None
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodStatus:
    """Whether an attached method, such as ``GET /orders``, still asks the stack's user pool.

    ``guarded`` is None if that is unknown. ``note`` says more if it isn't True.
    """

    method: str
    guarded: bool | None
    note: str = ""


@dataclass(frozen=True)
class AttachedStatus:
    """An attached REST API, with its deployed stages."""

    rest_api_id: str
    name: str
    stages: tuple[str, ...]
    methods: tuple[MethodStatus, ...]


@dataclass(frozen=True)
class StackStatus:
    """How a stack is.

    Attributes:
        condition: ``incomplete`` if something is missing or unfinished, ``drifted`` if something
            else differs from what the stack wants.
        steps: all steps, in the console's order.
        users: about how many users the pool has; None if there is no pool.
        deployed: when the stage's deployment was created; None if there is none.
        sign_up: who may sign up, as the pool has it: ``open`` or ``closed``; None if there is none.
    """

    stack: str
    condition: Condition
    steps: tuple[StepStatus, ...]
    users: int | None = None
    deployed: datetime | None = None
    attached: tuple[AttachedStatus, ...] = ()
    sign_up: str | None = None

    @property
    def advice(self) -> str | None:
        """The command that says more about what isn't as wanted, without ``cogauth``."""
        if self.condition == "complete":
            return None
        is_open = (api for api in self.attached if any(m.guarded is False for m in api.methods))
        first = next(is_open, None)
        if first is not None and all(step.status == "exists" for step in self.steps):
            return f"attach --api {first.rest_api_id}"
        return "plan"

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``status --json`` prints."""
        return {
            "stack": self.stack,
            "condition": self.condition,
            "steps": [
                {
                    "step": step.step,
                    "status": STATUS_IN_JSON.get(step.status, step.status),
                    "id": step.id,
                    "changes": [
                        {"field": field.path, "old": field.old, "new": field.new}
                        for field in step.changes
                    ],
                    "console_url": step.console_url,
                }
                for step in self.steps
            ],
            "users": self.users,
            "sign_up": self.sign_up,
            "attached": [
                {
                    "rest_api_id": api.rest_api_id,
                    "rest_api_name": api.name,
                    "stages": list(api.stages),
                    "methods": [
                        {
                            **rest_apis.path_and_method(each.method),
                            "guarded": each.guarded,
                            "note": each.note,
                        }
                        for each in api.methods
                    ],
                }
                for api in self.attached
            ],
        }


def status(ctx: Context, reporter: Waiting) -> StackStatus:
    """Return how a stack is, without changing anything.

    What differs is what ``plan`` would change with the recorded settings.

    Raises:
        CogauthError: AWS refused a read.
    """
    ctx.aws.make_clients(*UP_CLIENTS)
    memo = Memo()
    reading = replace(ctx, aws=memo.of(ctx.aws))
    # None of these needs another's answer.
    calls: list[Callable[[], Any]] = [
        partial(plan, ctx, reporter, memo=memo),
        partial(_of_pool, reading),
        partial(_served, reading),
        partial(_attached, reading),
    ]
    try:
        planned, (users, sign_up), (deployed_at, stale), attached = parallel.each(calls)
    except KeyboardInterrupt:
        # The plan's tasks end, too.
        ctx.waiter.stop.set()
        raise
    steps = tuple(
        StepStatus(
            step=each.step.name,
            title=each.step.title,
            status=_status(ctx, each, stale=stale),
            id=(ctx.state.record(each.step.name) or {}).get("id"),
            changes=tuple(one for row in each.resources for one in _own_fields(row)),
            console_url=each.step.console_url(ctx),
            lacks=_lacks(each),
        )
        for each in planned.steps
    )
    found = {each.status for each in steps}
    condition: Condition = "complete"
    if found & {"missing", "unfinished"} or planned.unfinished:
        condition = "incomplete"
    elif found != {"exists"} or any(not m.guarded for api in attached for m in api.methods):
        condition = "drifted"
    return StackStatus(ctx.stack, condition, steps, users, deployed_at, attached, sign_up)


def _status(ctx: Context, step: StepPlan, *, stale: bool) -> Status:
    """Return how a step is; ``stale`` says whether its API has changes that no stage serves."""
    records = [ctx.state.record(row.resource.key) or {} for row in step.resources]
    statuses = {record.get("status") for record in records}
    deploys = any(row.resource.recreate is Recreate.SNAPSHOT for row in step.resources)
    ready = all(row.is_ready for row in step.resources)
    if statuses & {CREATING, DELETING} or (OUTDATED in statuses and not deploys) or not ready:
        return "unfinished"
    if any(row.is_missing for row in step.resources):
        return "missing"
    if deploys and (stale or OUTDATED in statuses):
        return "stale"
    return "changed" if any(map(_differs, step.resources)) else "exists"


def _lacks(step: StepPlan) -> tuple[str, ...]:
    missing = [row.resource for row in step.resources if row.is_missing]
    is_gone = any(resource.key == step.step.name for resource in missing)
    return () if is_gone else tuple(map(words, missing))


def _differs(row: ResourcePlan) -> bool:
    """Return whether a resource differs by itself, and not only because another is recreated."""
    return bool(row.conflict or row.surplus or row.action == DELETE or _own_fields(row))


def _own_fields(row: ResourcePlan) -> list[Field]:
    return [each for each in row.fields if LATER not in str(each.new)]


def _of_pool(ctx: Context) -> tuple[int | None, str | None]:
    """Return about how many users the pool has, and who may sign up."""
    pool = RESOURCES["user_pool"]
    record = ctx.state.record(pool.key) or {}
    live = pool.read(ctx, record) if "id" in record else None
    return (None, None) if live is None else (pool.users(live), pool.observed(ctx, live)["sign_up"])


def _served(ctx: Context) -> tuple[datetime | None, bool]:
    """Return when the stage's deployment was created, and whether it lacks changes of the API."""
    record, parent = ctx.state.record("stage") or {}, ctx.state.record("rest_api") or {}
    if "id" not in record or "id" not in parent:
        return None, False
    api, name, client = ctx.fact("rest_api"), record["id"], ctx.aws.apigateway
    stage = or_none(lambda: client.get_stage(restApiId=api, stageName=name))
    if stage is None:
        return None, False
    # The plan reads the same list.
    deployments = or_none(lambda: rest_apis.deployments(ctx, api)) or []
    made = next((one for one in deployments if one["id"] == stage["deploymentId"]), None)
    document = deployed.export(ctx, api, name)
    # An export that API Gateway can't make shows no difference.
    stale = not isinstance(document, str) and bool(
        pending(
            document,
            rest_apis.methods(ctx, api),
            rest_apis.authorizers(ctx, api),
            authorization=not ctx.state.emulated,
        )
    )
    return made and made["createdDate"], stale


def _attached(ctx: Context) -> tuple[AttachedStatus, ...]:
    pace = rest_apis.pace(ctx.waiter)
    found = []
    for api, record in ctx.state.attachments.items():
        pace.wait()
        methods = _methods(ctx, api, record)
        found.append(AttachedStatus(api, record["name"], tuple(record["stages"]), methods))
    return tuple(found)


def _methods(ctx: Context, api: str, record: Attachment) -> tuple[MethodStatus, ...]:
    names = [name for name, each in record["methods"].items() if each["status"] != DETACHED]
    try:
        compared = guards.look(ctx, api, everywhere=True)
    except AWS_ERRORS as error:
        return tuple(MethodStatus(name, guarded=None, note=str(translate(error))) for name in names)
    if compared is None:
        note = "the API was deleted"
        return tuple(MethodStatus(name, guarded=False, note=note) for name in names)
    notes = {each.name: each.sentence for each in reversed(compared.findings)}
    # A stage that isn't attached needn't have the guard; the note says that it hasn't.
    elsewhere = [each for each in compared.undeployed if each.stage not in record["stages"]]
    open_here = {each.name for each in compared.findings if each not in elsewhere}
    unknown = f"unknown: {compared.unknown}" if compared.unknown else ""
    found = []
    for name in names:
        is_held = name in compared.held - open_here
        guarded = None if is_held and unknown else is_held
        found.append(MethodStatus(name, guarded, notes.get(name, "") or unknown))
    return tuple(found)
