"""``down``: take the stack away against its needs, and look whether anything remains."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws_errors import AWS_ERRORS, explain, failure, is_definite
from cogauth.engine import graph
from cogauth.engine.attach import ATTACH_CLIENTS, detach
from cogauth.engine.attach_plan import plan_detach
from cogauth.engine.journal import (
    CLIENTS,
    find_after_crash,
    find_ours,
    is_fresh,
    owned,
    patiently,
    read,
    settling,
    taken_error,
    timestamp,
    words,
)
from cogauth.errors import CogauthError
from cogauth.moods import KNOWN_WITHIN_S, UNKNOWN
from cogauth.state import CREATED, CREATING, DELETING, OUTDATED, Record
from cogauth.steps import STEPS
from cogauth.waiting import TimedOutError, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context
    from cogauth.state import State
    from cogauth.steps.base import Resource, Step

# What AWS says when something is protected from deletion, or still in use.
OBSTRUCTED = {
    *("InvalidParameterException", "BadRequestException", "ConflictException"),
    *("ValidationException", "DeleteConflict"),
}
DOWN_CLIENTS = (*CLIENTS, "tagging", *ATTACH_CLIENTS)
# A thing as down's result names it: {"step": …, "id": …}.
Entry = dict[str, str]


@dataclass
class DownResult:
    """What became of a stack's resources.

    Attributes:
        deleted, already_gone, remaining: each as ``{"step": …, "id": …}``.
        restored: methods of other APIs that have back what they had, likewise.
        left_alone: what has one of the stack's names but not its tag, and methods of other APIs
            that someone changed since, in words.
        problems: why something could not be deleted or given back, in words.
    """

    deleted: list[Entry] = field(default_factory=list)
    already_gone: list[Entry] = field(default_factory=list)
    remaining: list[Entry] = field(default_factory=list)
    restored: list[Entry] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def standing(state: State) -> list[tuple[str, str]]:
    """Return what ``down`` would delete by a call of its own, in words and by id, in its order."""
    return [
        (words(resource), record.get("id", "(perhaps; an earlier run was interrupted)"))
        for step, resource in _roots()
        if (record := state.record(step.name, resource.key)) is not None
    ]


def down(ctx: Context, report: Callable[[str], None]) -> DownResult:
    """Delete the stack, go on past what can't be deleted, and look again.

    Args:
        ctx: the stack.
        report: told what is done, a line each; from several threads.

    Returns:
        What was deleted, what was gone before, and what remains. Nothing is deleted as long as
        methods of other APIs could not be given back: without the pool nobody could call them.

    Raises:
        CogauthError: the account can't be looked at, so nothing is known of what remains.
        KeyboardInterrupt: the stop event was set from elsewhere; its arguments say what could not
            be deleted until then.
    """
    work = _Down(ctx, report)
    try:
        return work.run()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(*work.result.problems) from error


def attachments(state: State) -> list[str]:
    """Return the ids of the APIs whose methods ``down`` gives back first; not the stack's own."""
    own = (state.record("rest_api", "rest_api") or {}).get("id")
    return [api for api in state.attachments if api != own]


def _roots() -> list[tuple[Step, Resource]]:
    """Return what is deleted by a call of its own, in order; all else goes with one of these."""
    backwards = [
        (step, resource)
        for step in reversed(STEPS)
        for resource in reversed(step.resources)
        if resource.inside is None
    ]
    # What is needed goes after what needs it, and what AWS takes its time over goes first.
    order = list(TopologicalSorter(deletion_needs()).static_order())
    return sorted(backwards, key=lambda pair: (not pair[1].urgent, order.index(pair[1].key)))


def deletion_needs() -> dict[str, list[str]]:
    """Return for each root those that are deleted before it: they need it, or a part of it.

    It is what they need to be made, transposed. What a root's parts need is left out: they go with
    it, whatever they refer to, and a trigger in a pool would need its own pool's end.
    """
    by_key = {resource.key: resource for step in STEPS for resource in step.resources}
    roots = [resource for resource in by_key.values() if resource.inside is None]
    return {
        root.key: [
            other.key
            for other in roots
            if root.key in {by_key[need].inside or need for need in other.needs}
        ]
        for root in sorted(roots, key=lambda each: not each.urgent)
    }


class _Down:
    def __init__(self, ctx: Context, report: Callable[[str], None]) -> None:
        self.ctx = ctx
        self.report = report
        self.result = DownResult()
        self.roots = {resource.key: (step, resource) for step, resource in _roots()}
        # By root, what became of it and all in it, and in which of the result's lists that goes.
        self.outcomes: dict[str, tuple[list[Entry], list[Entry]]] = {}
        # The ids that AWS refuses to delete; it is asked once.
        self.refused: set[str] = set()
        # What was recorded at the beginning, to be read once more at the end.
        self.recorded = {
            key: record
            for key, (step, _) in self.roots.items()
            if "id" in (record := ctx.state.record(step.name, key) or {})
        }

    def run(self) -> DownResult:
        ctx = self.ctx
        ctx.aws.make_clients(*DOWN_CLIENTS)
        self._look_first()
        if ctx.state.attachments and not self.result.problems:
            ctx.aws.make_clients("apigateway_once")
            self._give_back()
        if self.result.problems:
            self.result.remaining = [
                {"step": step.name, "id": record["id"]}
                for step, resource in self.roots.values()
                if "id" in (record := ctx.state.record(step.name, resource.key) or {})
            ]
            return self.result
        failed = graph.run(deletion_needs(), self._take_away, ctx.waiter.stop)
        # A defect before an interruption, which may have come of it.
        for error in sorted(failed.values(), key=lambda each: isinstance(each, KeyboardInterrupt)):
            raise error
        if ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        for key in self.roots:
            # In one order, whichever ended first.
            outcome, entries = self.outcomes.get(key, ([], []))
            outcome += entries
        try:
            self._look_again()
        except AWS_ERRORS as error:
            blind = failure(
                "Looking for what remains",
                error,
                after=(
                    f"The state file {ctx.state.path} stays; run "
                    f"'cogauth down{ctx.state.options}' again."
                ),
            )
            raise CogauthError(*self.result.problems, str(blind)) from error
        return self.result

    def _look_first(self) -> None:
        """Note what AWS would refuse to delete: nothing goes if not all can."""
        looks = [
            partial(self._obstacles, self.roots[key][1], record)
            for key, record in self.recorded.items()
        ]
        self.result.problems += [problem for found in graph.each(looks) for problem in found]
        if self.result.problems:
            options = self.ctx.state.options
            self.result.problems.append(
                "Nothing was deleted, because not everything can be. Remove the obstacles above, "
                f"then run 'cogauth down{options}' again."
            )

    def _obstacles(self, resource: Resource, record: Record) -> list[str]:
        try:
            return patiently(self.ctx, lambda: list(resource.obstacles(self.ctx, record)))
        except AWS_ERRORS:
            # As without the permission to look: then AWS refuses the deletion itself, if it must.
            return []

    def _give_back(self) -> None:
        """Give methods of other APIs back what they had, while the pool still stands."""
        for api in attachments(self.ctx.state):
            name = self.ctx.state.attachments[api]["name"]

            def report(what: str, *_: int, name: str = name) -> None:
                self.report(f"{what} of {name}")

            try:
                plan = plan_detach(self.ctx, api, compare=False)
                done = detach(self.ctx, plan, report)
            except (*AWS_ERRORS, CogauthError) as error:
                why = explain(error)
                self.result.problems.append(f"Giving back the methods of {name} failed: {why}")
                continue
            self.result.restored += [
                {"step": "attachment", "id": f"{api} {method}"} for method in done.restored
            ]
            self.result.deleted += [
                {"step": "attachment", "id": f"{api} authorizer {one}"} for one in done.authorizers
            ]
            self.result.left_alone += [*done.left_alone, *plan.warnings]
            self.result.problems += done.problems

    def _take_away(self, key: str, _stands: Callable[[], None]) -> None:
        """Delete what a record says stands, or may stand; then drop the record."""
        ctx, result = self.ctx, self.result
        step, resource = self.roots[key]
        record = ctx.state.record(step.name, key)
        if record is None:
            return
        try:
            if record["status"] == CREATING:
                # A create that may have taken effect: what carries this stack's id is ours.
                ours = find_after_crash(ctx, resource, record)
                ids, outcome = [resource.facts(ctx, live) for live in ours], result.deleted
                if None in [self._delete(resource, one) for one in ids]:
                    return
            else:
                may = self._may_delete(step, resource, record)
                gone = self._delete_recorded(step, resource, record) if may else False
                if gone is None:
                    return
                ids, outcome = [record], result.deleted if gone else result.already_gone
        except (*AWS_ERRORS, CogauthError) as error:
            self._tell(resource, error)
            return
        entries = [{"step": step.name, "id": facts["id"]} for facts in ids]
        # Records go from the inside out: a crash in between still knows the outer one.
        for inner_step, inner in _inside(resource):
            inner_record = ctx.state.record(inner_step.name, inner.key)
            if inner_record is not None:
                if "id" in inner_record:
                    entries.append({"step": inner_step.name, "id": inner_record["id"]})
                ctx.state.drop(inner_step.name, inner.key)
        ctx.state.drop(step.name, key)
        self.outcomes[key] = outcome, entries

    def _may_delete(self, step: Step, resource: Resource, record: Record) -> bool:
        """Say whether what was recorded is there and still the stack's own.

        An id is never given twice, so whatever its tags say, it is ours, and its deletion will
        tell whether it was there. A name may be another's by now.
        """
        if resource.taken is None:
            return True
        live = read(self.ctx, resource, record)
        if live is None or owned(self.ctx, resource, live):
            return live is not None
        taken = taken_error(
            step.name, resource.facts(self.ctx, live)["id"], resource.tags(live) or {}
        )
        self.result.left_alone.append(str(taken))
        return False

    def _delete_recorded(self, step: Step, resource: Resource, record: Record) -> bool | None:
        """Delete what is recorded, its intent on disk before; return what ``_delete`` does."""
        ctx = self.ctx
        # That a fresh one isn't there is believed only when there was time to know it everywhere.
        patience_s = KNOWN_WITHIN_S if is_fresh(ctx, resource) else 0
        intent = {**record, "status": DELETING, "since": timestamp(ctx)}
        ctx.state.put(step.name, resource.key, intent)
        former = record
        if record["status"] == DELETING and not settling(ctx, record):
            # Nothing of the earlier intent can land any more. Why it was to be made anew isn't
            # known by now, so what can be replaced is.
            former = {**record, "status": OUTDATED if resource.replaced else CREATED}
        restore = partial(ctx.state.put, step.name, resource.key, former)
        return self._delete(resource, record, patience_s, restore)

    def _delete(
        self,
        resource: Resource,
        facts: Record,
        patience_s: float = 0,
        restore: Callable[[], None] = lambda: None,
    ) -> bool | None:
        """Delete one resource; say whether it was there, or None if AWS didn't let it.

        Args:
            resource: the resource.
            facts: its record.
            patience_s: seconds after which it is believed that it wasn't there.
            restore: called if nothing was deleted, for certain.
        """
        ctx = self.ctx
        self.report(f"deleting {words(resource)} {facts['id']}")
        try:
            return ctx.waiter.until(
                lambda: patiently(ctx, partial(resource.delete, ctx, facts)) or None,
                reason=UNKNOWN.reason,
                timeout_s=patience_s,
            )
        except TimedOutError:
            return False
        except AWS_ERRORS as error:
            if is_definite(error):
                restore()
            self.refused.add(facts["id"])
            self._tell(resource, error)
            return None

    def _tell(self, resource: Resource, error: Exception) -> None:
        problem = f"Deleting the {words(resource)} failed: {explain(error)}"
        if isinstance(error, ClientError) and code_of(error) in OBSTRUCTED:
            problem += (
                " What stands in its way, such as deletion protection or a custom domain, must go "
                f"first; then run 'cogauth down{self.ctx.state.options}' again."
            )
        self.result.problems.append(problem)

    def _look_again(self) -> None:
        """Read every recorded id and search by names and tag, until nothing of ours is left.

        What has no record may stand all the same: a create that landed late, or a log group that
        a function's last lines brought back. And AWS's lists lag.
        """

        def look() -> bool | None:
            self.result.remaining = []
            for key, there in self._still_there().items():
                step, resource = self.roots[key]
                for facts in there.values():
                    entry = {"step": step.name, "id": facts["id"]}
                    self.result.remaining.append(entry)
                    gone = facts["id"] not in self.refused and self._delete(resource, facts)
                    if gone and entry not in self.result.deleted:
                        self.result.deleted.append(entry)
            waiting = [e for e in self.result.remaining if e["id"] not in self.refused]
            return None if waiting else True

        try:
            self.ctx.waiter.until(
                look, reason="AWS to show that all is gone", timeout_s=max(self.ctx.settle_s, 1)
            )
        except TimedOutError:
            return

    def _still_there(self) -> dict[str, dict[str, Record]]:
        """Return, by root and id, what is there of ours: all is asked for at once."""
        ctx = self.ctx
        # By their ids as well: AWS's lists lag.
        recorded = [key for key in self.recorded if self.roots[key][1].taken is None]
        calls: list[Callable[[], Any]] = [
            *(partial(find_ours, ctx, resource) for _, resource in self.roots.values()),
            *(partial(self.roots[key][1].read, ctx, self.recorded[key]) for key in recorded),
            partial(_tagged, ctx),
        ]
        *answers, tagged = graph.each(calls)
        there: dict[str, dict[str, Record]] = {}
        for (key, (_, resource)), found in zip(self.roots.items(), answers, strict=False):
            facts = [resource.facts(ctx, live) for live in found]
            there[key] = {each["id"]: each for each in facts}
        for key, live in zip(recorded, answers[len(self.roots) :], strict=True):
            if live is not None:
                there[key].setdefault(self.recorded[key]["id"], self.recorded[key])
        for key, (_, resource) in self.roots.items():
            there[key] |= self._tagged_there(resource, tagged, there[key])
        return there

    def _tagged_there(
        self, resource: Resource, tagged: list[str], known: dict[str, Record]
    ) -> dict[str, Record]:
        """Return by id what carries the stack's tag, has another name by now, and is there."""
        ctx, there = self.ctx, {}
        for arn in tagged:
            prefix = resource.arn_prefix(ctx)
            identifier = arn.removeprefix(prefix) if prefix and arn.startswith(prefix) else ""
            # A stage's ARN begins as its API's does.
            if identifier and "/" not in identifier and identifier not in known:
                facts = {"id": identifier, "arn": arn}
                live = resource.read(ctx, facts)
                if live is not None and owned(ctx, resource, live):
                    there[identifier] = facts
        return there


def _inside(resource: Resource) -> Iterator[tuple[Step, Resource]]:
    """Yield what is deleted together with a resource."""
    for step in reversed(STEPS):
        for inner in reversed(step.resources):
            if inner.inside == resource.key:
                yield step, inner


def _tagged(ctx: Context) -> list[str]:
    """Return the ARNs of all that carries the stack's id, whatever its name is by now."""
    pages = ctx.aws.tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": "cogauth:stack-id", "Values": [ctx.state.stack_id]}]
    )
    return [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
