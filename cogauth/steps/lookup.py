"""Finding the stack's resources: by their records, by their names, and after a crash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cogauth.aws import parallel
from cogauth.aws.answers import message_of, or_none
from cogauth.aws.transient import (
    KNOWN_WITHIN_S,
    PASSES_WITHIN_S,
    UNKNOWN,
    is_not_found,
    passing,
)
from cogauth.errors import CogauthError, IncompleteError, StateError
from cogauth.record.records import CREATED, OUTDATED, Record
from cogauth.steps import RESOURCES, ROOTS
from cogauth.steps.ownership import check_owner, conflict_error, owned, owner, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.exceptions import ClientError

    from cogauth.aws.answers import Live
    from cogauth.aws.waiting import Wait
    from cogauth.context import Context
    from cogauth.steps.base import Resource

T = TypeVar("T")

CLIENTS = ("cognito", "iam", "lambda_", "logs", "apigateway")
# A resource is known to its creator before it is known everywhere: so many seconds after it was
# recorded, an answer that there is no such thing may be early.
FRESH_S = 60


@dataclass(frozen=True)
class Finding:
    """Something in the account under one of the stack's names; its tags say whose it is."""

    resource: Resource
    id: str
    tags: dict[str, str]


def survey(ctx: Context) -> Iterator[Finding]:
    """Yield all in the account that has one of the stack's names, whoever's it is."""
    ctx.aws.make_clients(*CLIENTS)
    found = parallel.each(partial(find, ctx, root) for root in ROOTS)
    for root, all_live in zip(ROOTS, found, strict=True):
        for live in all_live:
            yield Finding(root, root.facts(ctx, live)["id"], root.tags(live) or {})


def check_names(ctx: Context) -> None:
    """Check before anything is created that nothing else has the stack's names.

    Raises:
        StateError: the stack exists in the account, but this state file doesn't know it.
        NameConflictError: a unique name exists.
    """
    for found in survey(ctx):
        if ctx.owns(found.tags):
            continue
        if found.tags.get("cogauth:stack") == ctx.stack:
            raise StateError(
                f"A stack named {ctx.stack} stands in account {ctx.aws.account}, region "
                f"{ctx.aws.region} already ({found.resource.step.name} {found.id}, "
                f"{owner(found.tags)}), but the state file {ctx.state.path} is not of it. Run "
                "cogauth where its own is, give that with --state, or write it anew: cogauth "
                f"recover{ctx.state.options}. For a stack beside it, take another --stack."
            )
        if found.resource.conflict is not None:
            raise conflict_error(found.resource, found.id, found.tags)


def is_complete(ctx: Context) -> bool:
    """Say whether all of the stack was made, as far as its state file knows."""
    return all(
        (ctx.state.record(resource.key) or {}).get("status") in {CREATED, OUTDATED}
        for resource in RESOURCES.values()
        if resource.wanted(ctx)
    )


def patiently(ctx: Context, call: Callable[[], T], about: Resource | None = None) -> T:
    """Make a call, again while AWS refuses it with a transient error, which took no effect.

    ``about`` is the resource that it is made for, if what that needs may not be known everywhere.
    """
    passes = passing if about is None else partial(passing_of, ctx, about)
    return ctx.waiter.retry(call, passing=passes, timeout_s=PASSES_WITHIN_S)


def passing_of(ctx: Context, resource: Resource, error: ClientError) -> Wait | None:
    """Return what is to be waited for when a call for a resource is refused, or None.

    Besides transient errors: that there is no such thing, as long as the resource or one of its
    prerequisites is so new that not all of AWS may know it.
    """
    if wait := passing(error):
        return wait
    if not is_not_found(error):
        return None
    about = {resource.key, *resource.prerequisites}
    # About anything else, as a policy of AWS's own, it is an error.
    fresh = {key for key in about if is_fresh(ctx, RESOURCES[key])}
    return UNKNOWN if fresh and not _names_another(ctx, fresh, message_of(error)) else None


def _names_another(ctx: Context, fresh: set[str], message: str) -> bool:
    """Say whether a message names something, and none of the fresh resources."""
    named = {
        resource.key
        for resource in RESOURCES.values()
        if (resource.parent is None or resource.key in fresh)
        and "id" in (record := ctx.state.record(resource.key) or {})
        and re.search(rf"(?<![\w-]){re.escape(record['id'])}(?![\w-])", message)
    }
    return not named & fresh and bool(named or re.search(r"\barn:[\w-]+:", message))


def is_fresh(ctx: Context, resource: Resource) -> bool:
    """Say whether a resource was created in this run, or not long before it."""
    if ctx.state.local_data is not None:
        # The embedded local AWS is one process: all of it knows at once what was made.
        return False
    if resource.key in ctx.made:
        return True
    since, outer = _since(ctx, resource.key), _since(ctx, resource.root_key)
    if since is None or abs(ctx.now() - since) > FRESH_S:
        return False
    # A record that is older than the parent's is of another parent's part.
    return outer is None or outer <= since


def _since(ctx: Context, key: str) -> float | None:
    """Return since when a recorded resource exists, in seconds since the epoch, if it's known."""
    record = ctx.state.record(key) or {}
    if record.get("status") not in {CREATED, OUTDATED} or "since" not in record:
        return None
    return _moment(record)


def _moment(record: Record) -> float:
    return datetime.fromisoformat(record["since"]).timestamp()


def read(ctx: Context, resource: Resource, record: Record) -> Live | None:
    """Return a recorded resource as it stands now, or None if it is gone.

    That a fresh one isn't there is believed only when there was time to know it everywhere. What
    doesn't bear the stack's name counts as gone: a record may name anything.
    """
    patience_s = KNOWN_WITHIN_S if is_fresh(ctx, resource) else 0
    look = partial(patiently, ctx, partial(resource.read, ctx, record), resource)
    live = ctx.waiter.settle(look, bool, reason=UNKNOWN.reason, timeout_s=patience_s)
    return live if live is not None and resource.is_named(ctx, live) else None


def find(ctx: Context, resource: Resource, known: str = "") -> list[Live]:
    """Return all that might be the resource, but for a known id; nothing if its parent is gone."""
    look = partial(resource.find, ctx, known)
    found = or_none(lambda: patiently(ctx, look, resource)) or []
    return [one for one in found if not known or resource.facts(ctx, one)["id"] != known]


def find_ours(ctx: Context, resource: Resource, known: str = "") -> list[Live]:
    """Return all that ``find`` does and that carries the stack's own id."""
    return [live for live in find(ctx, resource, known) if owned(ctx, resource, live)]


def find_after_crash(
    ctx: Context, resource: Resource, record: Record
) -> tuple[list[Live], list[Live]]:
    """Return what an interrupted create may have made, and what only carries the stack's id."""
    others: list[Live] = []

    def look() -> list[Live]:
        nonlocal others
        made, others = by_explanation(ctx, resource, find_ours(ctx, resource))
        return made

    return look_after_crash(ctx, record, words(resource), look), others


def look_after_crash(
    ctx: Context, record: Record, what: str, look: Callable[[], list[Live]]
) -> list[Live]:
    """Look until something is found, or the settling time since the record's intent is over.

    AWS's lists lag, and a create whose caller is gone may still land. ``what`` is for the user.
    """
    return ctx.waiter.settle(
        look,
        bool,
        reason=f"the {what} that an interrupted run may have made",
        timeout_s=settling(ctx, record),
    )


def by_explanation(
    ctx: Context, resource: Resource, ours: list[Live]
) -> tuple[list[Live], list[Live]]:
    """Tell what an interrupted create may have made from what only its tag claims."""
    made = [live for live in ours if is_untouched(ctx, resource, live)]
    return made, [live for live in ours if live not in made]


def is_untouched(ctx: Context, resource: Resource, live: Live) -> bool:
    """Say whether nothing is lost with it; what is still listed but gone counts as well."""
    untouched = partial(resource.untouched, ctx, live)
    return or_none(lambda: patiently(ctx, untouched)) is not False


def outlived(ctx: Context, resource: Resource, record: Record) -> Live | None:
    """Return what still exists when the settling time since its deletion's intent is over."""
    live = ctx.waiter.settle(
        partial(patiently, ctx, partial(resource.read, ctx, record)),
        lambda live: live is None,
        reason=f"the {words(resource)} to go, whose deletion was interrupted",
        timeout_s=settling(ctx, record),
    )
    return live if live is not None and resource.is_named(ctx, live) else None


def settling(ctx: Context, record: Record) -> float:
    """Return how many seconds the end of what a record intends may still be unknown."""
    # Never longer than the settling time, whatever the clock did since.
    return min(ctx.settle_s, max(0.0, ctx.settle_s - (ctx.now() - _moment(record))))


def check_pool(ctx: Context) -> None:
    """Raise CogauthError unless the recorded user pool is the stack's own, by AWS's word."""
    resource = RESOURCES["user_pool"]
    record = ctx.state.record(resource.key) or {}
    live = read(ctx, resource, record)
    up = f"'cogauth up{ctx.state.options}'"
    if live is None:
        raise IncompleteError(
            f"The user pool {record['id']} doesn't exist any more; its users are lost. Run {up} to "
            "recreate it."
        )
    check_owner(ctx, resource, live)
    if not resource.facts(ctx, live).items() <= record.items():
        raise CogauthError(
            f"{ctx.state.path} has another ARN for the user pool {record['id']} than AWS has. {up} "
            "sets it right."
        )
