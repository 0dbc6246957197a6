"""Up and down: the only code that knows the journal's protocol and the order of the steps.

Up, for each resource: write the intent; look for it if an earlier run left an intent; create it;
write the fact; then make whatever calls bring its configuration to what the stack wants. A crash
at any place leaves either an intent or a fact, and both are enough to go on or to clean up.

Down: the same steps in reverse. What is inside something else goes with it; log groups go last,
for a function's late lines would bring them back. Then it looks again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from cogauth.aws_errors import AWS_ERRORS, THROTTLED, explain, failure, is_definite
from cogauth.errors import CogauthError, NameTakenError, StateError
from cogauth.state import CREATED, CREATING, OUTDATED, Record
from cogauth.steps import STEPS
from cogauth.waiting import TimedOutError, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context
    from cogauth.state import State
    from cogauth.steps.base import Live, Resource, Step

CREATED_NOW, ADOPTED, UPDATED, UNCHANGED = "created", "adopted", "updated", "unchanged"


class Reporter(Protocol):
    """Told what the engine does; it shows that, the engine prints nothing."""

    def begin(self, step: Step) -> None:
        """A step begins."""

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


@dataclass
class DownResult:
    """What became of a stack's resources, each as ``{"step": …, "id": …}``."""

    deleted: list[dict[str, str]] = field(default_factory=list)
    already_gone: list[dict[str, str]] = field(default_factory=list)
    remaining: list[dict[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """Something in the account under one of the stack's names.

    Attributes:
        step: the step that would make it.
        id: its id or name.
        tags: its tags; they say whose it is.
        unique: whether its name can be used only once.
    """

    step: str
    id: str
    tags: dict[str, str]
    unique: bool


def survey(ctx: Context) -> Iterator[Finding]:
    """Yield all in the account that has one of the stack's names, whoever's it is."""
    for step in STEPS:
        for resource in step.resources:
            if resource.inside is None:
                for live in resource.find(ctx):
                    yield Finding(
                        step=step.name,
                        id=resource.facts(ctx, live)["id"],
                        tags=resource.tags(live) or {},
                        unique=resource.taken is not None,
                    )


def check_names(ctx: Context) -> None:
    """Before anything is created: nothing else has the stack's names, or is the same stack.

    Raises:
        StateError: the stack stands in the account, but this state file doesn't know it.
        NameTakenError: a name that can be used only once is taken.
    """
    for found in survey(ctx):
        if ctx.owns(found.tags):
            continue
        if found.tags.get("cogauth:stack") == ctx.stack:
            raise StateError(
                f"A stack named {ctx.stack} stands in account {ctx.aws.account}, region "
                f"{ctx.aws.region} already ({found.step} {found.id}, {_owner(found.tags)}), "
                f"but the state file {ctx.state.path} is not of it. Run cogauth where its own is, "
                "or give that with --state, or take another --stack."
            )
        if found.unique:
            raise _taken(found.step, found.id, found.tags)


def is_complete(ctx: Context) -> bool:
    """Say whether all of the stack was made, as far as its state file knows."""
    return all(
        (ctx.state.record(step.name, resource.key) or {}).get("status", CREATING) != CREATING
        for step in STEPS
        for resource in step.resources
        if resource.wanted(ctx)
    )


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
                r.key: _ensure(ctx, step, r) for r in step.resources if _concerns(ctx, step, r)
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


def _ensure(ctx: Context, step: Step, resource: Resource) -> str:
    """Make sure that a resource stands as the stack wants it; return what was done."""
    record = ctx.state.record(step.name, resource.key)
    if record is not None and not resource.wanted(ctx):
        resource.delete(ctx, record)
        ctx.state.drop(step.name, resource.key)
        return UPDATED
    live, action = _standing(ctx, step, resource, record)
    if live is None:
        live, action = _create(ctx, step, resource)
    resource.wait_until_ready(ctx, live)
    changes = list(resource.changes(ctx, live))
    if changes:
        _outdate(ctx, resource)
    for change in changes:
        change.call()
    return UPDATED if changes and action == UNCHANGED else action


def _standing(
    ctx: Context, step: Step, resource: Resource, record: Record | None
) -> tuple[Live | None, str]:
    """Return the resource as it stands, if it does: the recorded one, or one that a crash left."""
    if record is None or record["status"] == OUTDATED:
        return None, CREATED_NOW
    if record["status"] == CREATED:
        live = resource.read(ctx, record)
        if live is not None:
            _check_owner(ctx, step, resource, live)
        return live, UNCHANGED
    ours = [live for live in resource.find(ctx) if _owned(ctx, resource, live)]
    if not ours:
        return None, CREATED_NOW
    _write_fact(ctx, step, resource, ours[0])
    return ours[0], ADOPTED


def _create(ctx: Context, step: Step, resource: Resource) -> tuple[Live, str]:
    _outdate(ctx, resource)
    ctx.state.put(step.name, resource.key, {"status": CREATING})
    try:
        # A throttled call took no effect, so to make it again is no blind retry.
        live = ctx.waiter.retry(
            lambda: resource.create(ctx),
            on=lambda error: code_of(error) in THROTTLED,
            reason="AWS, which answers that it is called too often",
            timeout_s=60,
        )
        action = CREATED_NOW
    except AWS_ERRORS as error:
        if isinstance(error, ClientError) and code_of(error) == resource.taken:
            found = resource.find(ctx)
            ours = [live for live in found if _owned(ctx, resource, live)]
            if not ours:
                ctx.state.drop(step.name, resource.key)
                for live in found:
                    _check_owner(ctx, step, resource, live)
                raise
            # A create whose answer was lost, and that was made again.
            live, action = ours[0], ADOPTED
        else:
            if is_definite(error):
                ctx.state.drop(step.name, resource.key)
            raise
    _write_fact(ctx, step, resource, live)
    return live, action


def _write_fact(ctx: Context, step: Step, resource: Resource, live: Live) -> None:
    facts = resource.facts(ctx, live)
    ctx.state.put(step.name, resource.key, {"status": CREATED, **facts})


def _outdate(ctx: Context, resource: Resource) -> None:
    """Note that what this resource is deployed in must be made anew, before it is touched."""
    for step in STEPS:
        for other in step.resources:
            record = ctx.state.record(step.name, other.key)
            if other.key == resource.outdates and record and record["status"] == CREATED:
                ctx.state.put(step.name, other.key, {**record, "status": OUTDATED})


def _owned(ctx: Context, resource: Resource, live: Live) -> bool:
    tags = resource.tags(live)
    return tags is None or ctx.owns(tags)


def _check_owner(ctx: Context, step: Step, resource: Resource, live: Live) -> None:
    if not _owned(ctx, resource, live):
        raise _taken(step.name, resource.facts(ctx, live)["id"], resource.tags(live) or {})


def _taken(step: str, name: str, tags: dict[str, str]) -> NameTakenError:
    return NameTakenError(
        f"The name {name} ({step}) is taken by something that is not this stack's "
        f"({_owner(tags)}). It was left alone. Take another --stack, or remove it yourself."
    )


def _owner(tags: dict[str, str]) -> str:
    if "cogauth:stack-id" in tags:
        return f"stack {tags.get('cogauth:stack')}, stack-id {tags['cogauth:stack-id']}"
    return "it carries no cogauth tag"


def standing(state: State) -> list[tuple[str, str]]:
    """Return what ``down`` would delete by a call of its own, as titles and ids, in its order."""
    return [
        (_words(resource), record.get("id", "(perhaps; an earlier run was interrupted)"))
        for step, resource in _roots_backwards()
        if (record := state.record(step.name, resource.key)) is not None
    ]


def _words(resource: Resource) -> str:
    return resource.key.replace("_", " ")


def _roots_backwards() -> list[tuple[Step, Resource]]:
    backwards = [
        (step, resource)
        for step in reversed(STEPS)
        for resource in reversed(step.resources)
        if resource.inside is None
    ]
    return sorted(backwards, key=lambda pair: pair[1].goes_last)


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
    result = DownResult()
    for step, resource in _roots_backwards():
        if ctx.state.record(step.name, resource.key) is None:
            continue
        try:
            _delete(ctx, step, resource, result, report)
        except (*AWS_ERRORS, CogauthError) as error:
            result.problems.append(f"Deleting '{step.title}' failed: {explain(error, ctx.aws)}")
    try:
        result.remaining = _remaining(ctx)
    except AWS_ERRORS as error:
        raise failure(
            "Looking for what remains",
            error,
            ctx.aws,
            after=(
                f"The state file {ctx.state.path} stays; "
                f"run 'cogauth down{ctx.state.options}' again."
            ),
        ) from error
    return result


def _delete(
    ctx: Context,
    step: Step,
    resource: Resource,
    result: DownResult,
    report: Callable[[str], None],
) -> None:
    record = ctx.state.record(step.name, resource.key) or {}
    if record["status"] == CREATING:
        # A create that may or may not have taken effect: all that carry this stack's id are ours.
        found = [live for live in resource.find(ctx) if _owned(ctx, resource, live)]
        ids = [resource.facts(ctx, live) for live in found]
        outcome = result.deleted
    else:
        live = resource.read(ctx, record)
        # Somebody else's by now, under the same name: ours is gone, and this one isn't touched.
        gone = live is None or not _owned(ctx, resource, live)
        ids = [record]
        outcome = result.already_gone if gone else result.deleted
    for facts in ids:
        if outcome is result.deleted:
            report(f"{_words(resource)} {facts['id']}")
            resource.delete(ctx, facts)
        outcome.append({"step": step.name, "id": facts["id"]})
    # Records go from the inside out: a crash in between still knows the outer one.
    for inner_step in reversed(STEPS):
        for inner in reversed(inner_step.resources):
            inner_record = ctx.state.record(inner_step.name, inner.key)
            if inner.inside == resource.key and inner_record is not None:
                if "id" in inner_record:
                    outcome.append({"step": inner_step.name, "id": inner_record["id"]})
                ctx.state.drop(inner_step.name, inner.key)
    ctx.state.drop(step.name, resource.key)


def _remaining(ctx: Context) -> list[dict[str, str]]:
    """Look for the stack's own resources until none is left, for AWS's lists lag somewhat."""
    left: list[Finding] = []

    def none_left() -> bool | None:
        left[:] = [found for found in survey(ctx) if ctx.owns(found.tags)]
        return True if not left else None

    try:
        ctx.waiter.until(none_left, reason="AWS's lists to show the deletion", timeout_s=15)
    except TimedOutError:
        return [{"step": found.step, "id": found.id} for found in left]
    return []
