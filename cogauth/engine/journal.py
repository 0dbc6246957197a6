"""The journal: what is on disk before and after each call that creates or deletes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cogauth.record.records import CREATED

if TYPE_CHECKING:
    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Resource, Step


def timestamp(ctx: Context) -> str:
    """Return the time as records have it."""
    return datetime.fromtimestamp(ctx.now(), UTC).isoformat()


def write_fact(ctx: Context, step: Step, resource: Resource, live: Live) -> None:
    """Record that a resource stands, with its id."""
    facts = resource.facts(ctx, live)
    record = {"status": CREATED, "since": timestamp(ctx), **facts}
    ctx.state.put(step.name, resource.key, record)
    ctx.made.add(resource.key)
