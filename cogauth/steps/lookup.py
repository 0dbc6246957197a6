"""Lookup of the stack's resources: by record, by name, and after a crash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cogauth.aws import parallel
from cogauth.aws.answers import message_of, or_none
from cogauth.aws.transient import (
    FUNCTION,
    KNOWN_WITHIN_S,
    PASSES_WITHIN_S,
    UNKNOWN,
    is_about_a_function,
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
# AWS doesn't know a new resource everywhere at once: for so many seconds after it was recorded, a
# "not found" may be premature.
FRESH_S = 60


@dataclass(frozen=True)
class FoundResource:
    """A resource in the account with one of the stack's names; its tags show who owns it."""

    resource: Resource
    id: str
    tags: dict[str, str]


def survey(ctx: Context) -> Iterator[FoundResource]:
    """Yield every resource in the account with one of the stack's names, whoever owns it."""
    ctx.aws.make_clients(*CLIENTS)
    found = parallel.each(partial(find, ctx, root) for root in ROOTS)
    for root, all_live in zip(ROOTS, found, strict=True):
        for live in all_live:
            yield FoundResource(root, root.facts(ctx, live)["id"], root.tags(live) or {})


def check_names(ctx: Context) -> None:
    """Check, before anything is created, that nothing else has the stack's names.

    Raises:
        StateError: the stack exists in the account, but this state file doesn't know it.
        NameConflictError: a unique name exists.
    """
    for _, error in name_conflicts(ctx):
        raise error


def name_conflicts(ctx: Context) -> Iterator[tuple[Resource, CogauthError]]:
    """Yield what has one of the stack's names and keeps ``up`` from creating it."""
    for found in survey(ctx):
        if ctx.owns(found.tags):
            continue
        if found.tags.get("cogauth:stack") == ctx.stack:
            yield found.resource, _unknown_stack(ctx, found)
        elif found.resource.conflict is not None:
            yield found.resource, conflict_error(found.resource, found.id, found.tags)


def _unknown_stack(ctx: Context, found: FoundResource) -> StateError:
    return StateError(
        f"A stack named {ctx.stack} already exists in account {ctx.aws.account}, region "
        f"{ctx.aws.region} ({found.resource.step.name} {found.id}, {owner(found.tags)}), "
        f"but {ctx.state.path} is not its state file.",
        hint=(
            "Run cogauth where that file is, give it with --state, or rewrite it with "
            f"'cogauth recover{ctx.state.options}'. For another stack beside it, use "
            "another --stack."
        ),
    )


def is_complete(ctx: Context) -> bool:
    """Return whether the whole stack was created, according to its state file."""
    return all(exists(ctx, key) for key, resource in RESOURCES.items() if resource.wanted(ctx))


def exists(ctx: Context, key: str) -> bool:
    """Return whether a resource was created, according to the state file."""
    return (ctx.state.record(key) or {}).get("status") in {CREATED, OUTDATED}


def patiently(ctx: Context, call: Callable[[], T], about: Resource | None = None) -> T:
    """Make a call; repeat it while AWS refuses it with a transient error, which had no effect.

    ``about`` is the call's resource, if AWS may not know it or its prerequisites everywhere yet.
    """
    passes = passing if about is None else partial(passing_of, ctx, about)
    return ctx.waiter.retry(call, passing=passes, timeout_s=PASSES_WITHIN_S)


def passing_of(ctx: Context, resource: Resource, error: ClientError) -> Wait | None:
    """Return what to wait for after the refusal of a call for a resource, or None.

    Besides transient errors this is "not found", while the resource or a prerequisite is so new
    that AWS may not know it everywhere, or while what it refers to is still being created.
    """
    if wait := passing(error):
        return wait
    early = bool(resource.refers_to) and is_about_a_function(error)
    if early and not all(_is_there(ctx, key) for key in resource.refers_to):
        return FUNCTION
    if not early and not is_not_found(error):
        return None
    about = {resource.key, *resource.prerequisites, *resource.refers_to}
    # For anything else, such as one of AWS's own policies, it is an error.
    fresh = {key for key in about if is_fresh(ctx, RESOURCES[key])}
    return UNKNOWN if fresh and not _names_another(ctx, fresh, message_of(error)) else None


def _is_there(ctx: Context, key: str) -> bool:
    """Return whether a resource exists; this run may not have recreated a deleted one yet."""
    record = ctx.state.record(key)
    return exists(ctx, key) and RESOURCES[key].read(ctx, record or {}) is not None


def _names_another(ctx: Context, fresh: set[str], message: str) -> bool:
    """Return whether a message names a resource, but none of the fresh ones."""
    named = {
        resource.key
        for resource in RESOURCES.values()
        if (resource.parent is None or resource.key in fresh)
        and "id" in (record := ctx.state.record(resource.key) or {})
        and re.search(rf"(?<![\w-]){re.escape(record['id'])}(?![\w-])", message)
    }
    return not named & fresh and bool(named or re.search(r"\barn:[\w-]+:", message))


def is_fresh(ctx: Context, resource: Resource) -> bool:
    """Return whether a resource was created or found in this run, or created shortly before it."""
    if ctx.state.local_data is not None:
        # The embedded local AWS is one process, which knows a new resource at once.
        return False
    if resource.key in ctx.made:
        return True
    since, outer = _since(ctx, resource.key), _since(ctx, resource.root_key)
    if since is None or abs(ctx.now() - since) > FRESH_S:
        return False
    # A record older than the parent's belongs to a part of an earlier parent.
    return outer is None or outer <= since


def _since(ctx: Context, key: str) -> float | None:
    """Return when a recorded resource was created, in seconds since the epoch; None if unknown."""
    record = ctx.state.record(key) or {}
    if record.get("status") not in {CREATED, OUTDATED} or "since" not in record:
        return None
    return _moment(record)


def _moment(record: Record) -> float:
    return datetime.fromisoformat(record["since"]).timestamp()


def read(ctx: Context, resource: Resource, record: Record) -> Live | None:
    """Return a recorded resource's present state, or None if it is gone.

    A fresh one counts as gone only after AWS had time to know it everywhere. A resource without the
    stack's name counts as gone, because a record may name anything.
    """
    patience_s = KNOWN_WITHIN_S if is_fresh(ctx, resource) else 0
    look = partial(patiently, ctx, partial(resource.read, ctx, record), resource)
    live = ctx.waiter.settle(look, bool, reason=UNKNOWN.reason, timeout_s=patience_s)
    return live if live is not None and resource.is_named(ctx, live) else None


def find(ctx: Context, resource: Resource, known: str = "") -> list[Live]:
    """Return all candidates for a resource, except a known id; none if its parent is gone."""
    look = partial(resource.find, ctx, known)
    found = or_none(lambda: patiently(ctx, look, resource)) or []
    return [one for one in found if not known or resource.facts(ctx, one)["id"] != known]


def find_ours(ctx: Context, resource: Resource, known: str = "") -> list[Live]:
    """Return all that ``find`` returns and that carry the stack's id."""
    return [live for live in find(ctx, resource, known) if owned(ctx, resource, live)]


def find_after_crash(
    ctx: Context, resource: Resource, record: Record
) -> tuple[list[Live], list[Live]]:
    """Return what an interrupted run may have created, and what merely carries the stack's id."""
    others: list[Live] = []

    def look() -> list[Live]:
        nonlocal others
        made, others = by_explanation(ctx, resource, find_ours(ctx, resource))
        return made

    return look_after_crash(ctx, record, words(resource), look), others


def look_after_crash(
    ctx: Context, record: Record, what: str, look: Callable[[], list[Live]]
) -> list[Live]:
    """Look until something is found or the settling time since the record's intent is over.

    AWS's lists lag, and a create whose caller died may still succeed. ``what`` is for the user.
    """
    return ctx.waiter.settle(
        look,
        bool,
        reason=f"the {what} that an interrupted run may have created",
        timeout_s=settling(ctx, record),
    )


def by_explanation(
    ctx: Context, resource: Resource, ours: list[Live]
) -> tuple[list[Live], list[Live]]:
    """Split into what an interrupted run may have created, and what is ours only by its tags."""
    made = [live for live in ours if is_untouched(ctx, resource, live)]
    return made, [live for live in ours if live not in made]


def is_untouched(ctx: Context, resource: Resource, live: Live) -> bool:
    """Return whether deleting it loses nothing; true also for one still listed but gone."""
    untouched = partial(resource.untouched, ctx, live)
    return or_none(lambda: patiently(ctx, untouched)) is not False


def outlived(ctx: Context, resource: Resource, record: Record) -> Live | None:
    """Return the resource if it still exists at the end of its deletion's settling time."""
    live = ctx.waiter.settle(
        partial(patiently, ctx, partial(resource.read, ctx, record)),
        lambda live: live is None,
        reason=f"the interrupted deletion of the {words(resource)}",
        timeout_s=settling(ctx, record),
    )
    return live if live is not None and resource.is_named(ctx, live) else None


def settling(ctx: Context, record: Record) -> float:
    """Return how long the outcome of a record's intent may still be unknown, in seconds."""
    # Never longer than the settling time, even if the clock was changed.
    return min(ctx.settle_s, max(0.0, ctx.settle_s - (ctx.now() - _moment(record))))


def check_pool(ctx: Context) -> Live:
    """Return the recorded user pool, as AWS describes it; raise CogauthError if it isn't ours."""
    resource = RESOURCES["user_pool"]
    record = ctx.state.record(resource.key) or {}
    live = read(ctx, resource, record)
    if live is None:
        raise incomplete_error(ctx, resource)
    check_owner(ctx, resource, live)
    if not resource.facts(ctx, live).items() <= record.items():
        raise CogauthError(
            f"{ctx.state.path} has another ARN for the user pool {record['id']} than AWS.",
            hint=f"Run '{ctx.state.command('up')}' to correct it.",
        )
    return live


def incomplete_error(ctx: Context, *resources: Resource, before: str = "") -> IncompleteError:
    """Return the error about recorded resources that don't exist any more, in the words of ``up``.

    ``before`` is a sentence about what failed because of that.
    """
    names = []
    for each in resources:
        # The id of a part says nothing that its name doesn't.
        record = {} if each.parent else ctx.state.record(each.key) or {}
        names.append(f"the {words(each)} {record.get('id', '')}".rstrip())
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    one = len(names) == 1
    held = f"; {resources[0].held} are lost" if one and resources[0].held else ""
    said = f"{listed[0].upper()}{listed[1:]} {'doesn' if one else 'don'}'t exist any more{held}."
    return IncompleteError(
        f"{before} {said}".lstrip(),
        hint=f"Run '{ctx.state.command('up')}' to recreate {'it' if one else 'them'}.",
    )
