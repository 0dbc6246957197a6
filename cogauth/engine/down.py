"""``down``: take the stack away in reverse order, and look whether anything remains."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cogauth.aws_errors import AWS_ERRORS, explain, failure
from cogauth.engine.journal import (
    find_after_crash,
    find_ours,
    owned,
    patiently,
    taken_error,
    words,
)
from cogauth.errors import CogauthError
from cogauth.state import CREATING, Record
from cogauth.steps import STEPS
from cogauth.waiting import TimedOutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context
    from cogauth.state import State
    from cogauth.steps.base import Live, Resource, Step

# A thing as down's result names it: {"step": …, "id": …}.
Entry = dict[str, str]


@dataclass
class DownResult:
    """What became of a stack's resources.

    Attributes:
        deleted, already_gone, remaining: each as ``{"step": …, "id": …}``.
        left_alone: what has one of the stack's names but not its tag, in words.
        problems: why something could not be deleted, in words.
    """

    deleted: list[Entry] = field(default_factory=list)
    already_gone: list[Entry] = field(default_factory=list)
    remaining: list[Entry] = field(default_factory=list)
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
    """Delete the stack in reverse order, go on past what can't be deleted, and look again.

    Args:
        ctx: the stack.
        report: told what is deleted, a line each.

    Returns:
        What was deleted, what was gone before, and what remains.

    Raises:
        CogauthError: the account can't be looked at, so nothing is known of what remains.
    """
    return _Down(ctx, report).run()


def _roots() -> list[tuple[Step, Resource]]:
    """Return what is deleted by a call of its own, in order; all else goes with one of these."""
    backwards = [
        (step, resource)
        for step in reversed(STEPS)
        for resource in reversed(step.resources)
        if resource.inside is None
    ]
    return sorted(backwards, key=lambda pair: pair[1].goes_last)


class _Down:
    def __init__(self, ctx: Context, report: Callable[[str], None]) -> None:
        self.ctx = ctx
        self.report = report
        self.result = DownResult()
        # The ids that AWS refuses to delete; it is asked once.
        self.refused: set[str] = set()
        # What was recorded at the beginning, to be read once more at the end.
        self.recorded = {
            resource.key: [record]
            for step, resource in _roots()
            if "id" in (record := ctx.state.record(step.name, resource.key) or {})
        }

    def run(self) -> DownResult:
        for step, resource in _roots():
            record = self.ctx.state.record(step.name, resource.key)
            if record is not None:
                self._take_away(step, resource, record)
        try:
            self._look_again()
        except AWS_ERRORS as error:
            raise failure(
                "Looking for what remains",
                error,
                self.ctx.aws,
                after=(
                    f"The state file {self.ctx.state.path} stays; run "
                    f"'cogauth down{self.ctx.state.options}' again."
                ),
            ) from error
        return self.result

    def _take_away(self, step: Step, resource: Resource, record: Record) -> None:
        """Delete what a record says stands, or may stand; then drop the record."""
        ctx, result = self.ctx, self.result
        try:
            if record["status"] == CREATING:
                # A create that may have taken effect: what carries this stack's id is ours.
                ours = find_after_crash(ctx, resource, record)
                ids, outcome = [resource.facts(ctx, live) for live in ours], result.deleted
            else:
                live = resource.read(ctx, record)
                gone = live is None or not self._is_ours(step, resource, live)
                ids, outcome = [record], result.already_gone if gone else result.deleted
            if outcome is result.deleted and not all(self._delete(resource, one) for one in ids):
                return
        except (*AWS_ERRORS, CogauthError) as error:
            self._problem(resource, error)
            return
        outcome += [{"step": step.name, "id": facts["id"]} for facts in ids]
        # Records go from the inside out: a crash in between still knows the outer one.
        for inner_step, inner in _inside(resource):
            inner_record = ctx.state.record(inner_step.name, inner.key)
            if inner_record is not None:
                if "id" in inner_record:
                    outcome.append({"step": inner_step.name, "id": inner_record["id"]})
                ctx.state.drop(inner_step.name, inner.key)
        ctx.state.drop(step.name, resource.key)

    def _is_ours(self, step: Step, resource: Resource, live: Live) -> bool:
        """Say whether what was recorded is still the stack's own."""
        # An id is never given twice, so whatever its tags say, it is ours. A name may be.
        if resource.taken is None or owned(self.ctx, resource, live):
            return True
        taken = taken_error(
            step.name, resource.facts(self.ctx, live)["id"], resource.tags(live) or {}
        )
        self.result.left_alone.append(str(taken))
        return False

    def _delete(self, resource: Resource, facts: Record) -> bool:
        """Delete one resource; say whether AWS let it."""
        self.report(f"{words(resource)} {facts['id']}")
        try:
            patiently(self.ctx, partial(resource.delete, self.ctx, facts))
        except AWS_ERRORS as error:
            self.refused.add(facts["id"])
            self._problem(resource, error)
            return False
        return True

    def _problem(self, resource: Resource, error: Exception) -> None:
        why = str(error) if isinstance(error, CogauthError) else explain(error, self.ctx.aws)
        self.result.problems.append(f"Deleting the {words(resource)} failed: {why}")

    def _look_again(self) -> None:
        """Read every recorded id and search by names and tag, until nothing of ours is left.

        What has no record may stand all the same: a create that landed late, or a log group that
        a function's last lines brought back. And AWS's lists lag.
        """
        tagged = list(_tagged(self.ctx))

        def look() -> bool | None:
            self.result.remaining = []
            for step, resource in _roots():
                for facts in self._still_there(resource, tagged):
                    self.result.remaining.append({"step": step.name, "id": facts["id"]})
                    if facts["id"] not in self.refused and self._delete(resource, facts):
                        entry = {"step": step.name, "id": facts["id"]}
                        if entry not in self.result.deleted:
                            self.result.deleted.append(entry)
            waiting = [e for e in self.result.remaining if e["id"] not in self.refused]
            return None if waiting else True

        try:
            self.ctx.waiter.until(
                look, reason="AWS to show that all is gone", timeout_s=max(self.ctx.settle_s, 1)
            )
        except TimedOutError:
            return

    def _still_there(self, resource: Resource, tagged: list[str]) -> Iterator[Record]:
        ctx = self.ctx
        candidates = {
            facts["id"]: facts
            for facts in (resource.facts(ctx, live) for live in find_ours(ctx, resource))
        }
        recorded = self.recorded.get(resource.key, []) if resource.taken is None else []
        candidates |= {facts["id"]: facts for facts in recorded}
        for arn in tagged:
            prefix = resource.arn_prefix(ctx)
            identifier = arn.removeprefix(prefix) if prefix and arn.startswith(prefix) else ""
            # A stage's ARN begins as its API's does.
            if identifier and "/" not in identifier:
                candidates.setdefault(identifier, {"id": identifier, "arn": arn})
        for facts in candidates.values():
            live = resource.read(ctx, facts)
            if live is not None and (facts in recorded or owned(ctx, resource, live)):
                yield facts


def _inside(resource: Resource) -> Iterator[tuple[Step, Resource]]:
    """Yield what is deleted together with a resource."""
    for step in reversed(STEPS):
        for inner in reversed(step.resources):
            if inner.inside == resource.key:
                yield step, inner


def _tagged(ctx: Context) -> Iterator[str]:
    """Yield the ARNs of all that carries the stack's id, whatever its name is by now."""
    pages = ctx.aws.tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": "cogauth:stack-id", "Values": [ctx.state.stack_id]}]
    )
    for page in pages:
        for entry in page["ResourceTagMappingList"]:
            yield entry["ResourceARN"]
