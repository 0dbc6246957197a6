"""The journal: the records on disk before and after each call that creates or deletes.

``create`` makes the creating call between two of its records.

A resource's record in the state file says ``creating`` before its creating call, ``created`` with
its id after it, ``deleting`` before ``down`` deletes it, and is gone after that. ``outdated`` means
that it exists and must be recreated. So after a crash the next run knows what may exist.

What ``up`` itself deletes needs no ``deleting``: it is ``outdated``, or not wanted by the settings
on disk, or a surplus one that the next run finds again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cogauth.aws.errors import AWS_ERRORS, is_definite
from cogauth.aws.transient import PASSES_WITHIN_S
from cogauth.aws.waiting import Wait
from cogauth.engine import reporting
from cogauth.errors import CogauthError
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.steps import RESOURCES
from cogauth.steps.base import Recreate
from cogauth.steps.lookup import find, passing_of, patiently, settling
from cogauth.steps.ownership import check_case, check_owner, check_unseen, is_conflict, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Lock

    from botocore.exceptions import ClientError

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.steps.base import Resource


def intend(ctx: Context, resource: Resource, former_version: str | None) -> None:
    """Record that a resource is about to be created, possibly replacing a former version."""
    record = {"status": CREATING, "since": ctx.timestamp()}
    if former_version is not None:
        record["former"] = former_version
    ctx.state.put("resources", resource.key, record)


def record_existing(ctx: Context, resource: Resource, live: Live) -> None:
    """Record that a resource exists, with its id: this run created, adopted or kept it."""
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
    earlier = record
    if record["status"] == DELETING and not settling(ctx, record):
        # The earlier deletion can't happen any more. Whether the resource was outdated before is
        # lost, so it is recreated if it can be.
        status = OUTDATED if resource.recreate is Recreate.DELETE_FIRST else CREATED
        earlier = {**record, "status": status}
    ctx.state.put("resources", resource.key, intent)
    return lambda: ctx.state.put("resources", resource.key, earlier)


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


def create(
    ctx: Context, resource: Resource, turn: Lock, former_version: str | None = None
) -> tuple[Live, str]:
    """Create a resource, or adopt it if an answer was lost; return it and what was done.

    ``turn`` is held meanwhile, because AWS refuses concurrent writes to one parent.
    ``former_version`` is that of the resource that was deleted to be recreated.

    Raises:
        NameConflictError: something that isn't the stack's has its name.
        KeyboardInterrupt: the stop event was set; the journal says what may exist.
    """
    with turn:
        # The wait for this turn may have been long enough for a Ctrl-C.
        if ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        when_made = patiently(ctx, partial(resource.outdates_when_made, ctx))
        outdate(ctx, resource.outdates + when_made)
        intend(ctx, resource, former_version)
        without_effect = True

        def attempt() -> tuple[Live, str]:
            nonlocal without_effect
            try:
                return resource.create(ctx), reporting.CREATED
            except AWS_ERRORS as error:
                without_effect = without_effect and is_definite(error)
                check_case(ctx, resource, error)
                for live in _of_the_name(ctx, resource, former_version, error):
                    check_owner(ctx, resource, live)
                    # The answer to a create was lost, and the create was repeated.
                    return live, reporting.ADOPTED
                raise

        def passes(error: ClientError) -> Wait | None:
            wait = passing_of(ctx, resource, error)
            if wait or not is_conflict(error, resource) or ctx.waiter.stop.is_set():
                return wait
            # Nothing has the name. AWS can take a while to free one.
            return Wait(f"the name of the {words(resource)} to be free")

        try:
            live, action = ctx.waiter.retry(attempt, passing=passes, timeout_s=PASSES_WITHIN_S)
        except (*AWS_ERRORS, CogauthError, KeyboardInterrupt) as error:
            # Nothing was created if all attempts were refused; an interruption comes only between
            # attempts. An intent with a former version stays: the next run needs it.
            if without_effect and former_version is None:
                forget(ctx, resource)
            if not ctx.waiter.stop.is_set():
                check_unseen(ctx, resource, error)
            raise
        record_existing(ctx, resource, live)
        return live, action


def _of_the_name(
    ctx: Context, resource: Resource, former_version: str | None, error: Exception
) -> list[Live]:
    if not is_conflict(error, resource):
        return []
    try:
        return without_former(resource, former_version, find(ctx, resource))
    except KeyboardInterrupt:
        # Something else failed meanwhile, so lookups have ended.
        return []


def without_former(resource: Resource, former_version: str | None, found: list[Live]) -> list[Live]:
    """Omit the resource that was deleted to be recreated; AWS may show it for a while."""
    if former_version is None or resource.recreate is not Recreate.DELETE_FIRST:
        # A state file may claim a former version for any resource.
        return found
    return [live for live in found if resource.version(live) != former_version]
