"""``recover``: write a lost state file anew, from what carries the stack's tags in the account."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach.model import new_record, our_name
from cogauth.attach.work import AT_ONCE, PER_SECOND
from cogauth.aws.answers import or_none
from cogauth.aws.waiting import Pace
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.record import forms
from cogauth.record.records import CREATED, OUTDATED
from cogauth.steps import RESOURCES, ROOTS
from cogauth.steps.base import Recreate
from cogauth.steps.lookup import find_ours, patiently, survey
from cogauth.steps.ownership import described, made_at, words

if TYPE_CHECKING:
    from collections.abc import Collection

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Resource


def recover(ctx: Context, stack_id: str | None = None, take: Collection[str] = ()) -> list[str]:
    """Fill the stack's state from the account; nothing is changed there, nor written to disk.

    Args:
        ctx: a stack of which nothing is recorded.
        stack_id: which one, if several have the name.
        take: the ids of the user pool and the REST API to take, if there are several.

    Returns:
        What could not be taken over, each in a sentence.

    Raises:
        CogauthError: there is no such stack, or more than one; or several pools or APIs of it.
        UsageError: nothing of the stack has an id that is to be taken.
    """
    named = [one.tags for one in survey(ctx) if one.tags.get("cogauth:stack") == ctx.stack]
    # Anybody may write a tag: what is no id is nobody's.
    ids = {tags.get("cogauth:stack-id", "") for tags in named}
    found = sorted(one for one in ids if re.fullmatch(forms.UUID, one))
    if stack_id is not None:
        found = [one for one in found if one == stack_id]
    if not found:
        way_on = f". '{ctx.state.command('up')}' makes a stack."
        raise CogauthError(
            f"Nothing in account {ctx.aws.account}, region {ctx.aws.region} carries the tag "
            f"cogauth:stack = {ctx.stack}"
            + (f" with the stack-id {stack_id}." if stack_id else way_on)
        )
    if len(found) > 1:
        raise CogauthError(
            f"Several stacks have the name {ctx.stack}: {', '.join(found)}. "
            "Say which one with --stack-id."
        )
    state = ctx.state
    left: list[str] = []
    state.stack_id = found[0]
    chosen = _choose(ctx, take)
    for resource in RESOURCES.values():
        if resource.parent is not None and state.record(resource.parent) is None:
            continue
        try:
            ours = chosen.get(resource.key) or find_ours(ctx, resource)
        except KeyError:
            # It refers to something else that is missing, so it can't be ours as it stands.
            continue
        if ours:
            snapshot = resource.recreate is Recreate.SNAPSHOT
            live = (max if snapshot else min)(ours, key=made_at)
            # Whether the API was changed since it was deployed isn't known any more.
            status = OUTDATED if snapshot else CREATED
            state.resources[resource.key] = {"status": status, **resource.facts(ctx, live)}
            left += _take_settings(ctx, resource, live)
    _recover_attachments(ctx)
    return left


def _take_settings(ctx: Context, resource: Resource, live: Live) -> list[str]:
    """Take the settings that a resource shows; return what was set to what no stack can have."""
    left = []
    for name, value in resource.observed(ctx, live).items():
        try:
            ctx.state.settings = replace(ctx.state.settings, **{name: value})
        except UsageError:
            kept = getattr(ctx.state.settings, name)
            left.append(
                f"The {words(resource)} has another {name.replace('_', ' ')} than cogauth takes: "
                f"{value!r}. 'cogauth up{ctx.state.options}' sets it to {kept!r}."
            )
    return left


def _choose(ctx: Context, take: Collection[str]) -> dict[str, list[Live]]:
    """Return, by resource, the one with the stack's name and tags that is to be taken, if any."""
    chosen: dict[str, list[Live]] = {}
    listed: list[str] = []
    known: set[str] = set()
    # Names that can be used only once leave no choice.
    for resource in [one for one in ROOTS if one.name(ctx) is None]:
        ours = find_ours(ctx, resource)
        known |= {resource.facts(ctx, live)["id"] for live in ours}
        named = [live for live in ours if resource.facts(ctx, live)["id"] in take]
        if len(named) > 1:
            raise UsageError(f"--take names more than one {words(resource)}: give one of them.")
        chosen[resource.key] = named or ours
        if len(chosen[resource.key]) > 1:
            listed += [f"  {words(resource)} {described(ctx, resource, live)}" for live in ours]
    if unknown := sorted(set(take) - known):
        raise UsageError(
            f"--take {' '.join(unknown)}: no user pool or REST API with the name and the tags of "
            f"the stack {ctx.stack} has that id. There are: {', '.join(sorted(known)) or 'none'}."
        )
    if listed:
        raise CogauthError(
            f"Several have the name and the tags of the stack {ctx.stack}, and whoever may tag a "
            "thing can claim it:",
            *listed,
            "Say which is the stack's with --take ID, once for each kind. Nothing was written.",
        )
    return chosen


def _recover_attachments(ctx: Context) -> None:
    """Note the APIs that hold an authorizer of ours: what their methods had before is lost.

    As long as a method refers to one, AWS refuses to delete it, and 'down' deletes nothing.
    """
    pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)
    for api in rest_apis.all_apis(ctx):
        pace.wait()
        read = partial(rest_apis.authorizers, ctx, api["id"])
        for live in or_none(partial(patiently, ctx, read)) or []:
            if live["name"] == our_name(ctx):
                pool = next(iter(live.get("providerARNs") or []), "unknown")
                record = {"status": CREATED, "id": live["id"], "pool": pool}
                ctx.state.attachments[api["id"]] = new_record(api["name"], record, {})
