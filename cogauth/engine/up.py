"""``up``: make the stack, or what is missing of it, one step after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from cogauth.aws_errors import AWS_ERRORS, failure, is_definite
from cogauth.engine.journal import (
    check_owner,
    find,
    find_after_crash,
    find_ours,
    keep_one,
    made_at,
    owned,
    patiently,
    words,
    write_fact,
)
from cogauth.state import CREATED, CREATING, OUTDATED, Record
from cogauth.steps import STEPS
from cogauth.waiting import code_of

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.steps.base import Live, Resource, Step

CREATED_NOW, ADOPTED, UPDATED, UNCHANGED = "created", "adopted", "updated", "unchanged"


class Reporter(Protocol):
    """Told what the engine does; it shows that, the engine prints nothing."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def change(self, what: str) -> None:
        """Something that stood before is about to be changed."""

    def end(self, result: StepResult) -> None:
        """A step is done."""


@dataclass(frozen=True)
class StepResult:
    """What became of a step.

    Attributes:
        step: its name.
        action: ``created``, ``adopted``, ``updated`` or ``unchanged``.
        id: of its main resource.
        seconds: how long it took.
    """

    step: str
    action: str
    id: str
    seconds: float


def up(ctx: Context, reporter: Reporter) -> list[StepResult]:
    """Make the stack, or what is missing of it.

    Returns:
        What became of each step, in order.

    Raises:
        CogauthError: a step failed; what stands is in the state file.
    """
    results = []
    for step in STEPS:
        reporter.begin(step)
        begun = time.monotonic()
        try:
            actions = {
                r.key: _ensure(ctx, step, r, reporter)
                for r in step.resources
                if _concerns(ctx, step, r)
            }
        except AWS_ERRORS as error:
            raise failure(
                f"The step '{step.title}'",
                error,
                ctx.aws,
                after=(
                    f"Nothing is lost: what stands is in {ctx.state.path}. Run "
                    f"'cogauth up{ctx.state.options}' again to go on, or "
                    f"'cogauth down{ctx.state.options}' to take it all away."
                ),
            ) from error
        action = actions[step.name]
        if action == UNCHANGED and set(actions.values()) != {UNCHANGED}:
            action = UPDATED
        result = StepResult(
            step=step.name,
            action=action,
            id=ctx.fact(step.name),
            seconds=round(time.monotonic() - begun, 3),
        )
        results.append(result)
        reporter.end(result)
    return results


def _concerns(ctx: Context, step: Step, resource: Resource) -> bool:
    return resource.wanted(ctx) or ctx.state.record(step.name, resource.key) is not None


def _ensure(ctx: Context, step: Step, resource: Resource, reporter: Reporter) -> str:
    """Make sure that a resource stands as the stack wants it; return what was done."""
    if ctx.waiter.stop.is_set():
        raise KeyboardInterrupt
    record = ctx.state.record(step.name, resource.key)
    if record is not None and not resource.wanted(ctx):
        patiently(ctx, lambda: resource.delete(ctx, record))
        ctx.state.drop(step.name, resource.key)
        return UPDATED
    live, action = _standing(ctx, step, resource, record)
    if live is None:
        live, action = _create(ctx, step, resource)
    resource.wait_until_ready(ctx, live)
    changes = list(resource.changes(ctx, live))
    if changes:
        _outdate(ctx, resource.outdates)
    for change in changes:
        if action == UNCHANGED:
            reporter.change(f"{words(resource)}: {change.what}")
        patiently(ctx, change.call)
    return UPDATED if changes and action == UNCHANGED else action


def _standing(
    ctx: Context, step: Step, resource: Resource, record: Record | None
) -> tuple[Live | None, str]:
    """Return the resource as it stands, if it does: the recorded one, or one that a crash left."""
    if record is None:
        return None, CREATED_NOW
    if record["status"] == OUTDATED:
        if resource.replaced and (live := resource.read(ctx, record)) is not None:
            check_owner(ctx, step, resource, live)
            patiently(ctx, lambda: resource.delete(ctx, record))
        return None, CREATED_NOW
    if record["status"] == CREATED:
        live = resource.read(ctx, record)
        if live is None:
            if resource.loses is not None:
                ctx.confirm(f"The {words(resource)} {record['id']} is gone, {resource.loses}")
            return None, CREATED_NOW
        if resource.taken is not None:
            # The name may be another's by now. An id never is: whatever its tags say, it is ours.
            check_owner(ctx, step, resource, live)
        elif resource.adopted:
            # A create whose answer was lost may have landed late, after another was made.
            keep_one(ctx, resource, record["id"], find_ours(ctx, resource))
        return live, UNCHANGED
    ours = find_after_crash(ctx, resource, record) if resource.adopted else []
    if not ours:
        return None, CREATED_NOW
    oldest = min(ours, key=made_at)
    keep_one(ctx, resource, resource.facts(ctx, oldest)["id"], ours)
    write_fact(ctx, step, resource, oldest)
    return oldest, ADOPTED


def _create(ctx: Context, step: Step, resource: Resource) -> tuple[Live, str]:
    _outdate(ctx, resource.outdates + resource.outdates_when_made)
    since = datetime.fromtimestamp(ctx.now(), UTC).isoformat()
    ctx.state.put(step.name, resource.key, {"status": CREATING, "since": since})
    try:
        live, action = patiently(ctx, lambda: resource.create(ctx)), CREATED_NOW
    except AWS_ERRORS as error:
        if isinstance(error, ClientError) and code_of(error) == resource.taken:
            found = find(ctx, resource)
            ours = [live for live in found if owned(ctx, resource, live)]
            if not ours:
                ctx.state.drop(step.name, resource.key)
                for live in found:
                    check_owner(ctx, step, resource, live)
                raise
            # A create whose answer was lost, and that was made again.
            live, action = ours[0], ADOPTED
        else:
            if is_definite(error):
                ctx.state.drop(step.name, resource.key)
            raise
    write_fact(ctx, step, resource, live)
    return live, action


def _outdate(ctx: Context, outdated: tuple[str, ...]) -> None:
    """Note that these resources must be made anew, before what outdates them is touched."""
    for step in STEPS:
        for other in step.resources:
            record = ctx.state.record(step.name, other.key)
            if other.key in outdated and record and record["status"] == CREATED:
                ctx.state.put(step.name, other.key, {**record, "status": OUTDATED})
