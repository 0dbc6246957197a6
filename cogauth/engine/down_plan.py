"""What ``down`` would do: all is found and told here, and nothing changed.

A record alone doesn't make a thing the stack's, for the state file may be anybody's: the thing
itself must bear the stack's tag, and its name where that is unique. Nor does a tag alone, for
whoever may tag a thing can claim it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from cogauth.attach.detach import plan_detach
from cogauth.attach.model import Plan
from cogauth.attach.work import ATTACH_CLIENTS
from cogauth.aws import parallel
from cogauth.aws.answers import or_none
from cogauth.aws.errors import AWS_ERRORS, explain, failure
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
class Doomed:
    """What ``down`` would delete by a call of its own."""

    resource: Resource
    # Its id, and what its deletion needs; None: an interrupted run may have created it.
    facts: Record | None
    # About how many are lost with it; None: it is nothing that holds any.
    users: int | None = None
    # Whether nothing but its tag says that it is the stack's.
    claimed: bool = False
    # Whether the state file has it.
    recorded: bool = True

    @property
    def id(self) -> str:
        """Its id, for the user."""
        return self.facts["id"] if self.facts else "(perhaps; an earlier run was interrupted)"


@dataclass(frozen=True)
class Stranger:
    """What the state file records, and isn't the stack's by its own account."""

    resource: Resource
    id: str
    # How that is seen.
    why: str
    # Whether its tags may have been taken off, so that ``up`` can put them back.
    adoptable: bool = False


@dataclass(frozen=True)
class DownPlan:
    """What ``down`` would do: delete, in this order; leave alone and forget; give back."""

    doomed: list[Doomed]
    strangers: list[Stranger]
    # By the id of each API whose methods are given back: the plan, or why there is none.
    attached: dict[str, Plan | str]

    @property
    def users(self) -> int:
        """About how many users would be lost."""
        return sum(each.users or 0 for each in self.doomed)

    @property
    def shown(self) -> tuple[Any, ...]:
        """What a user saw of it before the question; a pool's users come and go."""
        attached = [
            (api, plan.shown if isinstance(plan, Plan) else plan)
            for api, plan in self.attached.items()
        ]
        doomed = [(each.resource.key, each.id, each.claimed) for each in self.doomed]
        return doomed, self.strangers, attached


def plan_down(ctx: Context) -> DownPlan:
    """Find what ``down`` would delete, leave alone, and give back.

    Raises:
        CogauthError: the account can't be looked at.
    """
    ctx.aws.make_clients(*DOWN_CLIENTS)
    try:
        doomed, strangers = _found(ctx)
    except AWS_ERRORS as error:
        nothing = "Nothing was deleted."
        raise failure("Looking for what is the stack's", error, after=nothing) from error
    own = {each.id for each in doomed if each.resource.key == "rest_api" and not each.claimed}
    attached: dict[str, Plan | str] = {}
    for api in ctx.state.attachments:
        if api in own:
            continue  # Its methods go with it.
        try:
            attached[api] = plan_detach(ctx, api, compare=False)
        except (*AWS_ERRORS, CogauthError) as error:
            attached[api] = explain(error)
    return DownPlan(doomed, strangers, attached)


def roots() -> list[Resource]:
    """Return what is deleted by a call of its own, in order; all else goes with one of these."""
    # What others depend on goes after them, and what AWS takes long over goes first.
    order = list(TopologicalSorter(deletion_needs()).static_order())
    return sorted(ROOTS, key=lambda root: (not root.urgent, order.index(root.key)))


def deletion_needs() -> dict[str, list[str]]:
    """Return for each root those that are deleted before it: they depend on it, or a part of it.

    What a root's parts depend on is left out, or there would be a circle: a pool's trigger needs
    the function, whose permission needs the pool.
    """
    return {
        root.key: [
            other.key
            for other in ROOTS
            if root.key in {RESOURCES[need].root_key for need in other.depends_on}
        ]
        for root in sorted(ROOTS, key=lambda each: not each.urgent)
    }


def _found(ctx: Context) -> tuple[list[Doomed], list[Stranger]]:
    resources = roots()
    calls: list[Callable[[], Any]] = [
        *(partial(_look, ctx, resource) for resource in resources),
        partial(tagged_arns, ctx),
    ]
    *looked, tagged = parallel.each(calls)
    doomed: list[Doomed] = []
    strangers: list[Stranger] = []
    for resource, (named, foreign) in zip(resources, looked, strict=True):
        strangers += foreign
        known = {each.id for each in [*named, *foreign]}
        renamed = renamed_ones(ctx, resource, tagged, known)
        doomed += named
        doomed += [_doomed(ctx, resource, live, recorded=False) for live in renamed]
    return doomed, strangers


def _look(ctx: Context, resource: Resource) -> tuple[list[Doomed], list[Stranger]]:
    record, name = ctx.state.record(resource.key), resource.name(ctx)
    known = (record or {}).get("id", "")
    doomed: list[Doomed] = []
    strangers: list[Stranger] = []
    if record is not None and known and name in {None, known}:
        live = read(ctx, resource, record)
        if live is not None and owned(ctx, resource, live):
            doomed.append(_doomed(ctx, resource, live))
        elif live is not None:
            tags = resource.tags(live) or {}
            adoptable = name is None and may_be_adopted(ctx, tags)
            strangers.append(Stranger(resource, known, owner(tags), adoptable))
    elif known:
        strangers.append(Stranger(resource, known, f"the stack's is {name}"))
    if name is None or name != known:
        others = find_ours(ctx, resource, known)
        doomed += [_doomed(ctx, resource, live, recorded=False) for live in others]
    if record is not None and not known and not doomed:
        doomed.append(Doomed(resource, None))
    return doomed, strangers


def _doomed(ctx: Context, resource: Resource, live: Live, *, recorded: bool = True) -> Doomed:
    claimed = not recorded and not is_explained(ctx, resource, live)
    return Doomed(resource, resource.facts(ctx, live), resource.users(live), claimed, recorded)


def is_explained(ctx: Context, resource: Resource, live: Live) -> bool:
    """Say whether more than its tag says that something without a record is the stack's.

    That is: a unique name; that it is as an interrupted create of ours leaves it; or a part that
    bears the stack's id, unless users would be lost. What is gone by now counts as well.
    """
    if resource.name(ctx) is not None or is_untouched(ctx, resource, live):
        return True

    def marked() -> bool:
        return resource.marked(ctx, live) and not resource.holds_users(ctx, live)

    return or_none(lambda: patiently(ctx, marked)) is not False


def renamed_ones(
    ctx: Context, resource: Resource, tagged: Collection[str], known: Collection[str]
) -> list[Live]:
    """Return what is there under another name by now, but for the ids that are known.

    ``tagged`` are the ARNs of all that carries the stack's tag, as the tagging API knows it.
    """
    found = []
    prefix = resource.arn_prefix(ctx)
    for arn in tagged:
        identifier = arn.removeprefix(prefix) if prefix and arn.startswith(prefix) else ""
        # A stage's ARN begins as its API's does.
        if identifier and "/" not in identifier and identifier not in known:
            live = resource.read(ctx, {"id": identifier, "arn": arn})
            if live is not None and owned(ctx, resource, live):
                found.append(live)
    return found


def tagged_arns(ctx: Context) -> list[str]:
    """Return the ARNs of all that carries the stack's id, whatever its name is by now."""
    pages = ctx.aws.tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": name, "Values": [value]} for name, value in ctx.tags.items()]
    )
    return [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
