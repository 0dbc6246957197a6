"""What ``up`` would do: the same tasks, on a copy of the state, without any writing call."""

from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

from cogauth.attach.guards import command_to_finish
from cogauth.aws import parallel
from cogauth.aws.errors import AWS_ERRORS
from cogauth.aws.memo import Memo
from cogauth.engine import journal, reporting
from cogauth.engine.ensure import Ensure
from cogauth.engine.reporting import (
    CREATE,
    DELETE,
    RECREATE,
    UNCHANGED,
    UPDATE,
    ResourcePlan,
    StepPlan,
    StepResult,
    Unfinished,
    UpPlan,
)
from cogauth.engine.tasks import UP_CLIENTS, Tasks
from cogauth.errors import NameConflictError, NotOwnedError
from cogauth.gateway import rest_apis
from cogauth.record.records import (
    ATTACHING,
    CREATED,
    CREATING,
    DELETING,
    DETACHING,
    OUTDATED,
)
from cogauth.steps import RESOURCES, STEPS
from cogauth.steps.base import Recreate
from cogauth.steps.cognito import take_over_sign_up
from cogauth.steps.lambda_ import Function
from cogauth.steps.lookup import patiently
from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.engine.ensure import Run
    from cogauth.engine.reporting import Waiting
    from cogauth.errors import CogauthError
    from cogauth.record.records import Record
    from cogauth.settings import Settings
    from cogauth.steps.base import Change, Resource, Step

# The value of a fact that AWS decides on.
LATER = "(known after up)"
T = TypeVar("T")
CONFLICTS = (NameConflictError, NotOwnedError)
UNTOUCHED = "Nothing was touched.", "Run the same command again."
# Seconds of a writing call, and until Lambda can assume a new role. They are assumed, as in
# benchmarks/conditions.py; those of a call on the local AWS are a round figure.
CALL_S, LOCAL_CALL_S, ROLE_S = 0.25, 0.05, 8.0


def plan(
    ctx: Context,
    reporter: Waiting,
    adopt: Collection[str] = (),
    former_settings: Settings | None = None,
    memo: Memo | None = None,
) -> UpPlan:
    """Return what ``up`` would do with the same arguments; change nothing.

    Args:
        ctx: the stack; its settings are the ones that ``up`` would carry out.
        reporter: is told what the plan waits for.
        adopt: ids of recorded user pools and REST APIs whose tags are to be restored.
        former_settings: the settings before this run's choices; None if there are no choices.
        memo: remembers what the caller reads besides; None for one of the plan's own.

    Raises:
        CogauthError: AWS refused a read.
    """
    ctx.aws.make_clients(*UP_CLIENTS)
    take_over_sign_up(ctx)
    memo = memo or Memo()
    draft = ctx.state.draft()
    # An interrupted run's resource that AWS doesn't show yet is told as not found.
    planning = replace(ctx, aws=memo.of(ctx.aws), state=draft, settle_s=0.0, made=set(ctx.made))
    rows: dict[str, ResourcePlan] = {}

    def ensure(at: Context, resource: Resource, shared: Run) -> _Planned:
        return _Planned(at, resource, shared, rows)

    quiet = _Quiet(reporter, memo)
    tasks = Tasks(planning, quiet, adopt, ensure)
    tasks.shared.former_settings = former_settings
    looks: list[Callable[[], Any]] = [tasks.look_first, lambda: _read_api(planning, memo)]
    (questions, failed), _ = parallel.each(looks)
    conflicts: dict[str, CogauthError] = {
        key: error for key, error in failed.items() if isinstance(error, CONFLICTS)
    }
    tasks.raise_errors({k: e for k, e in failed.items() if k not in conflicts}, *UNTOUCHED)
    tasks.raise_errors(tasks.run(), *UNTOUCHED)
    if len(tasks.steps.results) < len(STEPS):
        # The stop event was set.
        raise KeyboardInterrupt
    # In the console's order: the tasks ran in any.
    rows = {key: rows[key] for key in tasks.concerned}
    for row in rows.values():
        if row.conflict is not None:
            conflicts[row.resource.key] = row.conflict
        questions += row.questions
    return UpPlan(
        steps=_steps(rows),
        conflicts=conflicts,
        unfinished=[*_unfinished(ctx, rows), *_unfinished_attachments(ctx)],
        questions=questions,
        warnings=quiet.warnings,
        results=[tasks.steps.results[step.name] for step in STEPS],
        recorded=draft.resources == ctx.state.resources,
        seconds=_estimate(ctx, tasks, rows),
    )


def _read_api(ctx: Context, memo: Memo) -> None:
    """Read the parts of the API by a call for each kind, instead of one for each part.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_GetResources.html (``embed``)
    """
    api = (ctx.state.record("rest_api") or {}).get("id")
    if api is None:
        return
    answered = memo.remembering("apigateway")
    lists: list[Callable[[], list[Any]]] = [
        lambda: rest_apis.resources(ctx, api),
        lambda: rest_apis.authorizers(ctx, api),
    ]
    try:
        paths, authorizers = parallel.each(lists)
    except AWS_ERRORS:
        return  # Whoever reads one of them is told why.
    for one in authorizers:
        answered("get_authorizer", {"restApiId": api, "authorizerId": one["id"]}, one)
    for path in paths:
        sent = {"restApiId": api, "resourceId": path["id"]}
        answered("get_resource", {**sent, "embed": ["methods"]}, path)
        for verb, method in path.get("resourceMethods", {}).items():
            place = {**sent, "httpMethod": verb}
            if "methodResponses" in method:
                answered("get_method", place, method)
            if "methodIntegration" in method:
                answered("get_integration", place, method["methodIntegration"])


class _Planned(Ensure):
    """A task of ``up`` without its writing calls: it notes what they would do."""

    def __init__(
        self, ctx: Context, resource: Resource, shared: Run, rows: dict[str, ResourcePlan]
    ) -> None:
        super().__init__(ctx, resource, shared)
        self.rows = rows
        self.record = ctx.state.record(resource.key)
        known = (self.record or {}).get("id") or resource.name(ctx)
        self.row = rows[resource.key] = ResourcePlan(
            resource, UNCHANGED, known, outdates=resource.outdates
        )

    def run(self, exists: Callable[[], None]) -> str:
        try:
            return super().run(exists)
        except CONFLICTS as error:
            self.row.conflict = error
            if "id" not in (self.ctx.state.record(self.resource.key) or {}):
                self._expect()
            return UNCHANGED

    def _find(self, record: Record | None) -> tuple[Live | None, str]:
        if self._new_around():
            # Its record is about a part of the former one.
            return None, reporting.CREATED
        live, action = super()._find(record)
        self.row.exists = self.row.exists or live is not None
        return live, action

    def _replaces(self, live: Live) -> None:
        """Ask about what the former one has, and the new one won't have."""
        self.row.exists = True
        self._ask(live, super()._differences(live, new=False))

    def _new_around(self) -> list[ResourcePlan]:
        """Return the plans of what it is a part of, if that is created, recreated or unknown."""
        rows = (self.rows[key] for key in self.resource.ancestors)
        return [row for row in rows if row.is_new or row.conflict is not None]

    def _create(self) -> tuple[Live, str]:
        ctx, resource, row = self.ctx, self.resource, self.row
        if self.record is None or self.record["status"] == CREATING:
            row.action = CREATE
        else:
            row.action, row.reason = RECREATE, self._reason(self.record)
        # A part of something that is only recreated isn't missing.
        around = self._new_around()
        row.is_missing = (
            any(not each.exists for each in around)
            if around
            else self.record is None or self.record["status"] == CREATED
        )
        row.outdates += patiently(ctx, lambda: resource.outdates_when_made(ctx))
        journal.outdate(ctx, row.outdates)
        self._expect()
        return {}, reporting.CREATED

    def _expect(self) -> None:
        """Record what is known of a resource that doesn't exist yet."""
        ctx, resource = self.ctx, self.resource
        facts = {"id": resource.name(ctx) or LATER, "arn": resource.arn(ctx) or LATER}
        ctx.state.put("resources", resource.key, {"status": CREATED, **facts})

    def _reason(self, record: Record) -> str:
        key = self.resource.key
        if around := self._new_around():
            return f"it is a part of the {words(around[0].resource)}"
        if record["status"] == OUTDATED:
            causes = [
                words(row.resource)
                # In the console's order; the tasks ran in any.
                for row in filter(None, map(self.rows.get, RESOURCES))
                if row.action != UNCHANGED and key in row.outdates
            ]
            more = f" and {len(causes) - 2} more" if len(causes) > 3 else ""  # noqa: PLR2004
            shown = causes[:2] if more else causes
            return f"because of the {', the '.join(shown)}{more}" if causes else "it is outdated"
        if record["status"] == DELETING:
            return f"an interrupted 'down' {'was to delete' if self.row.exists else 'deleted'} it"
        return "it doesn't exist any more"

    def _differences(self, live: Live, *, new: bool) -> list[Change]:
        if self.row.is_new:
            # What a new one needs belongs to its creation.
            return []
        # What a new prerequisite supersedes goes with its creation.
        new = new or any(
            self.rows[key].is_new for key in self.resource.depends_on if key in self.rows
        )
        changes = super()._differences(live, new=new)
        self.row.changes = changes
        self._ask(live, changes)
        return changes

    def _ask(self, live: Live, changes: list[Change]) -> None:
        self.row.questions += [change.asks for change in changes if change.asks]
        found = self._overwritten(live, changes)
        # Where another resource is recreated, only its id changes.
        self.row.questions += self._about(each for each in found if LATER not in str(each.new))

    def _change(self, changes: list[Change]) -> None:
        del changes
        self.row.action = UPDATE

    def _remove(self, record: Record) -> None:
        super()._remove(record)
        self.row.action = DELETE

    def _write(self, call: Callable[[], T]) -> T:
        """Make no call. Nothing in a plan depends on its result."""
        del call
        return None  # type: ignore[return-value]

    def _delete(self, surplus: list[Live]) -> list[Live]:
        if self.resource.recreate is not Recreate.SNAPSHOT:
            names = [self.resource.facts(self.ctx, live)["id"] for live in surplus]
            self.row.surplus += names
            if names:
                self.row.action = UPDATE
        return surplus

    def _wait_until_ready(self, live: Live) -> None:
        self.row.is_ready = self.row.is_new or self.resource.is_ready(live)

    def _tell(self, what: str) -> None:
        pass


class _Quiet:
    """The Reporter of a plan: it keeps the warnings, and shows only what is waited for."""

    def __init__(self, reporter: Waiting, memo: Memo) -> None:
        self.reporter = reporter
        self.memo = memo
        self.warnings: list[str] = []

    def begin(self, step: Step) -> None:
        pass

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        if seconds_left is not None:
            # Only a new answer can show the change that is waited for.
            self.memo.forget()
        self.reporter.waiting(step, reason, seconds_left)

    def planned(self, plan: UpPlan) -> None:
        pass

    def change(self, step: Step, what: str) -> None:
        pass

    def warn(self, what: str) -> None:
        self.warnings.append(what)

    def end(self, result: StepResult) -> None:
        pass


def _steps(rows: dict[str, ResourcePlan]) -> list[StepPlan]:
    steps = []
    for step in STEPS:
        own = [rows[each.key] for each in step.resources if each.key in rows]
        main = rows[step.name]
        changed = any(row.action != UNCHANGED for row in own)
        action = UPDATE if main.action == UNCHANGED and changed else main.action
        steps.append(StepPlan(step, action, main.id, own))
    return steps


def _unfinished(ctx: Context, rows: dict[str, ResourcePlan]) -> list[Unfinished]:
    intents = {CREATING: CREATE, DELETING: DELETE}
    found = []
    for key, row in rows.items():
        record = ctx.state.record(key)
        if record is None or record["status"] not in intents:
            continue
        found_it = "it exists" if row.exists else "nothing of it was found"
        if row.conflict is not None:
            outcome = "'up' stops at it"
        elif row.action == DELETE:
            outcome = "'up' deletes it"
        elif row.is_new:
            outcome = f"{found_it}; 'up' {row.action}s it"
        else:
            outcome = f"{found_it}; 'up' keeps it"
        found.append(Unfinished(key, intents[record["status"]], record["since"], outcome))
    return found


def _unfinished_attachments(ctx: Context) -> Iterator[Unfinished]:
    for api, attachment in ctx.state.attachments.items():
        record = attachment["authorizer"]
        if record["status"] == CREATING:
            command = ctx.state.command(f"detach --api {api}")
            outcome = f"'up' leaves it; '{command}' deletes it"
            yield Unfinished(f"{api} authorizer", CREATE, record["since"], outcome)
        for name, method in attachment["methods"].items():
            if intent := {ATTACHING: "attach", DETACHING: "detach"}.get(method["status"]):
                outcome = f"'up' leaves it; '{command_to_finish(ctx, api, name)}' finishes it"
                yield Unfinished(f"{api} {name}", intent, None, outcome)


def _estimate(ctx: Context, tasks: Tasks, rows: dict[str, ResourcePlan]) -> float:
    """Return about how long the longest chain of writing calls takes, in seconds."""
    local = ctx.state.local_data is not None
    call_s = LOCAL_CALL_S if local else CALL_S
    needs = tasks.needs()
    ends: dict[str, float] = {}
    for key in TopologicalSorter(needs).static_order():
        row = rows.get(key)
        took = 0.0
        if row is not None and row.action != UNCHANGED:
            took = call_s * max(1, len(row.changes))
            if isinstance(row.resource, Function) and row.is_new and not local:
                took += ROLE_S if rows[row.resource.function.role].is_new else 0.0
        ends[key] = max((ends[each] for each in needs[key]), default=0.0) + took
    return round(max(ends.values()), 1)
