"""``down``'s plan: it finds everything that ``down`` would do, and changes nothing.

A record alone doesn't make a resource the stack's, because the state file may be anybody's: the
resource itself must carry the stack's tag, and its name if that is unique. A tag alone isn't enough
either, because anyone who may tag a resource can claim it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from cogauth.attach.detach import plan_detach
from cogauth.attach.model import ApiPlan
from cogauth.attach.work import ATTACH_CLIENTS
from cogauth.aws import parallel
from cogauth.aws.answers import or_none
from cogauth.aws.errors import AWS_ERRORS, failure, translate
from cogauth.aws.memo import Memo
from cogauth.aws.policies import ANY, allow
from cogauth.errors import CogauthError
from cogauth.steps import RESOURCES, ROOTS
from cogauth.steps.lookup import CLIENTS, find_ours, is_untouched, patiently, read
from cogauth.steps.ownership import may_be_adopted, owned, owner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.steps.base import Resource

DOWN_CLIENTS = (*CLIENTS, "tagging", *ATTACH_CLIENTS)


@dataclass(frozen=True)
class Deletion:
    """A resource that ``down`` would delete by a call of its own."""

    resource: Resource
    # Its id, and what its deletion needs; None: an interrupted run may have created it.
    facts: Record | None
    # About how many users are lost with it; None: it can't hold any.
    users: int | None = None
    # Whether only its tag says that it is the stack's.
    claimed: bool = False
    # Whether the state file records it.
    recorded: bool = True
    # Why AWS would refuse to delete it, each with the remedy.
    obstacles: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its id, for the user."""
        return self.facts["id"] if self.facts else "(perhaps; an earlier run was interrupted)"


@dataclass(frozen=True)
class NotOurs:
    """A recorded resource that isn't the stack's, judging by the resource."""

    resource: Resource
    id: str
    # The evidence.
    why: str
    # Whether its tags may have been removed, so that ``up`` can restore them.
    adoptable: bool = False


@dataclass(frozen=True)
class DownPlan:
    """What ``down`` would delete, in this order, leave alone and forget, and restore."""

    deletions: list[Deletion]
    not_ours: list[NotOurs]
    # By the id of each API whose methods are restored: the plan, or why there is none.
    attached: dict[str, ApiPlan | str]

    @property
    def users(self) -> int:
        """About how many users would be lost."""
        return sum(each.users or 0 for each in self.deletions)

    def agreed(self, *, claimed: bool) -> list[Deletion]:
        """Return what may be deleted, ``claimed`` resources included or not."""
        return [each for each in self.deletions if each.facts and (claimed or not each.claimed)]

    def obstacles(self, *, claimed: bool) -> list[str]:
        """Return why AWS would refuse to delete some of that."""
        return [why for each in self.agreed(claimed=claimed) for why in each.obstacles]

    @property
    def shown(self) -> tuple[Any, ...]:
        """The parts that the user is shown before the question, without the number of users."""
        attached = [
            (api, plan.shown if isinstance(plan, ApiPlan) else plan)
            for api, plan in self.attached.items()
        ]
        deletions = [(each.resource.key, each.id, each.claimed) for each in self.deletions]
        return deletions, self.not_ours, attached


def plan_down(ctx: Context) -> DownPlan:
    """Find what ``down`` would delete, leave alone and restore.

    Raises:
        CogauthError: the account can't be read.
    """
    ctx.aws.make_clients(*DOWN_CLIENTS)
    memo = Memo()

    def report(reason: str, seconds_left: float) -> None:
        # What is waited for is expected to change.
        memo.forget()
        ctx.waiter.report(reason, seconds_left)

    looking = replace(ctx, aws=memo.of(ctx.aws), waiter=replace(ctx.waiter, report=report))
    try:
        deletions, not_ours = _found(looking)
    except AWS_ERRORS as error:
        nothing = "Nothing was deleted."
        raise failure("Looking for the stack's resources", error, after=nothing) from error
    own = {each.id for each in deletions if each.resource.key == "rest_api" and not each.claimed}
    attached: dict[str, ApiPlan | str] = {}
    for api in ctx.state.attachments:
        if api in own:
            continue  # Its methods are deleted with it.
        try:
            attached[api] = plan_detach(ctx, api, compare=False)
        except (*AWS_ERRORS, CogauthError) as error:
            attached[api] = str(translate(error))
    return DownPlan(deletions, not_ours, attached)


def roots() -> list[Resource]:
    """Return the resources with a deletion call of their own, in order; they include the others."""
    # Dependents go before their dependencies, and what AWS deletes slowly goes first.
    order = list(TopologicalSorter(deletion_needs()).static_order())
    return sorted(ROOTS, key=lambda root: (not root.urgent, order.index(root.key)))


def deletion_needs() -> dict[str, list[str]]:
    """Return for each root the roots to delete before it: they depend on it or a part of it.

    The dependencies of a root's parts are omitted, or there would be a cycle: a pool's trigger
    depends on the function, whose permission depends on the pool.
    """
    return {
        root.key: [
            other.key
            for other in ROOTS
            if root.key in {RESOURCES[need].root_key for need in other.depends_on}
        ]
        for root in sorted(ROOTS, key=lambda each: not each.urgent)
    }


def _found(ctx: Context) -> tuple[list[Deletion], list[NotOurs]]:
    resources = roots()
    calls: list[Callable[[], Any]] = [
        *(partial(_look, ctx, resource) for resource in resources),
        partial(tagged_arns, ctx),
    ]
    *looked, tagged = parallel.each(calls)
    deletions: list[Deletion] = []
    not_ours: list[NotOurs] = []
    for resource, (named, foreign) in zip(resources, looked, strict=True):
        not_ours += foreign
        known = {each.id for each in [*named, *foreign]}
        renamed = renamed_ones(ctx, resource, tagged, known)
        deletions += named
        deletions += [_unrecorded(ctx, resource, live) for live in renamed]
    return deletions, not_ours


def _look(ctx: Context, resource: Resource) -> tuple[list[Deletion], list[NotOurs]]:
    record, name = ctx.state.record(resource.key), resource.name(ctx)
    known = (record or {}).get("id", "")
    deletions: list[Deletion] = []
    not_ours: list[NotOurs] = []
    recorded = record if record is not None and known and name in {None, known} else None
    looks: list[Callable[[], Any]] = [
        lambda: recorded and read(ctx, resource, recorded),
        lambda: recorded and _obstacles(ctx, resource, recorded),
        lambda: find_ours(ctx, resource, known) if name != known else [],
    ]
    live, obstacles, others = parallel.each(looks)
    if recorded is not None:
        if live is not None and owned(ctx, resource, live):
            facts, users = resource.facts(ctx, live), resource.users(live)
            deletions.append(Deletion(resource, facts, users, obstacles=obstacles))
        elif live is not None:
            tags = resource.tags(live) or {}
            adoptable = name is None and may_be_adopted(ctx, tags)
            not_ours.append(NotOurs(resource, known, owner(tags), adoptable))
    elif known:
        not_ours.append(NotOurs(resource, known, f"the stack's is {name}"))
    deletions += [_unrecorded(ctx, resource, live) for live in others]
    if record is not None and not known and not deletions:
        deletions.append(Deletion(resource, None))
    return deletions, not_ours


def _unrecorded(ctx: Context, resource: Resource, live: Live) -> Deletion:
    facts, claimed = resource.facts(ctx, live), not is_explained(ctx, resource, live)
    obstacles = _obstacles(ctx, resource, facts)
    return Deletion(resource, facts, resource.users(live), claimed, False, obstacles)  # noqa: FBT003


def _obstacles(ctx: Context, resource: Resource, facts: Record) -> tuple[str, ...]:
    try:
        return patiently(ctx, lambda: tuple(resource.obstacles(ctx, facts)))
    except AWS_ERRORS:
        # For example no permission to look: then AWS may refuse the deletion itself.
        return ()


def is_explained(ctx: Context, resource: Resource, live: Live) -> bool:
    """Return whether more than its tag shows that an unrecorded resource is the stack's.

    That is a unique name, the state in which our interrupted create leaves it, or a part that
    carries the stack's id, unless users would be lost. A resource that is gone counts as well.
    """
    if resource.name(ctx) is not None or is_untouched(ctx, resource, live):
        return True

    def marked() -> bool:
        return resource.marked(ctx, live) and not resource.holds_users(ctx, live)

    return or_none(lambda: patiently(ctx, marked)) is not False


def renamed_ones(
    ctx: Context, resource: Resource, tagged: Collection[str], known: Collection[str]
) -> list[Live]:
    """Return our resources that have another name now, except those with known ids.

    ``tagged`` are the ARNs of all resources with the stack's tag, from the tagging API.
    """
    found = []
    prefix = resource.arn_prefix(ctx)
    for arn in tagged:
        identifier = arn.removeprefix(prefix) if prefix and arn.startswith(prefix) else ""
        # A stage's ARN starts with its API's.
        if identifier and "/" not in identifier and identifier not in known:
            live = resource.read(ctx, {"id": identifier})
            if live is not None and owned(ctx, resource, live):
                found.append(live)
    return found


# What ``tagged_arns`` needs.
PERMISSIONS = (allow(ANY, "tag:GetResources"),)


def tagged_arns(ctx: Context) -> list[str]:
    """Return the ARNs of all resources that carry the stack's id, whatever their names are now."""
    pages = ctx.aws.tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": name, "Values": [value]} for name, value in ctx.tags.items()]
    )
    return [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
