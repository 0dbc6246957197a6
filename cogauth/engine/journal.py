"""The journal: the records on disk before and after each call that creates or deletes.

A resource's record in the state file says ``creating`` before its creating call, ``created`` with
its id after it, ``deleting`` before ``down`` deletes it, and is gone after that. ``outdated`` means
that it exists and must be recreated. So after a crash the next run knows what may exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.steps import RESOURCES
from cogauth.steps.base import Recreate
from cogauth.steps.lookup import settling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.steps.base import Resource


def intend(ctx: Context, resource: Resource, former: str | None) -> None:
    """Record that a resource is about to be created, possibly replacing a former version."""
    record = {"status": CREATING, "since": ctx.timestamp()}
    if former is not None:
        record["former"] = former
    ctx.state.put("resources", resource.key, record)


def created(ctx: Context, resource: Resource, live: Live) -> None:
    """Record that a resource exists, with its id."""
    record = {"status": CREATED, "since": ctx.timestamp(), **resource.facts(ctx, live)}
    ctx.state.put("resources", resource.key, record)
    ctx.made.add(resource.key)


def correct(ctx: Context, resource: Resource, record: Record, live: Live) -> Record:
    """Correct a root's record with AWS's facts, because a file may say anything; return it."""
    facts = resource.facts(ctx, live)
    if resource.parent is not None or facts.items() <= record.items():
        return record
    record = {**record, **facts}
    ctx.state.put("resources", resource.key, record)
    return record


def outdate(ctx: Context, keys: Iterable[str]) -> None:
    """Record that resources must be recreated, before their dependencies are touched."""
    for key in keys:
        record = ctx.state.record(key)
        if record and record["status"] == CREATED:
            ctx.state.put("resources", key, {**record, "status": OUTDATED})


def intend_deletion(ctx: Context, resource: Resource, facts: Record) -> Callable[[], None]:
    """Record that a resource is about to be deleted, with AWS's facts about it.

    Returns:
        A function that withdraws the intent; call it if certainly nothing was deleted.
    """
    record = ctx.state.resources[resource.key]
    intent = {**record, **facts, "status": DELETING, "since": ctx.timestamp()}
    former = record
    if record["status"] == DELETING and not settling(ctx, record):
        # The earlier deletion can't happen any more. Whether the resource was outdated before is
        # lost, so it is recreated if it can be.
        status = OUTDATED if resource.recreate is Recreate.DELETE_FIRST else CREATED
        former = {**record, "status": status}
    ctx.state.put("resources", resource.key, intent)
    return lambda: ctx.state.put("resources", resource.key, former)


def forget(ctx: Context, resource: Resource) -> None:
    """Drop the record of a resource that is deleted, that was never created, or isn't ours."""
    ctx.state.drop("resources", resource.key)


def forget_parts(ctx: Context, parent: Resource) -> list[tuple[Resource, Record]]:
    """Drop and return the records of the parts that are deleted together with a resource."""
    parts = []
    for resource in reversed(RESOURCES.values()):
        record = ctx.state.record(resource.key)
        if resource.parent == parent.key and record is not None:
            forget(ctx, resource)
            parts.append((resource, record))
    return parts
