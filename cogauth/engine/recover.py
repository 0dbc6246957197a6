"""``recover``: rewrite a lost state file from the resources with the stack's tags."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach.model import new_record, our_name
from cogauth.attach.work import AT_ONCE, PER_SECOND
from cogauth.aws.answers import or_none
from cogauth.aws.policies import REST_APIS
from cogauth.aws.waiting import Pace
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.record import formats
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
    """Fill the stack's state from the account; change nothing there, write nothing to disk.

    Args:
        ctx: a stack without records.
        stack_id: the stack's id, if several stacks have the name.
        take: the ids of the user pool and the REST API to use, if there are several.

    Returns:
        A sentence for each setting that could not be used.

    Raises:
        CogauthError: no stack or several have the name; or the stack has several pools or APIs.
        UsageError: no resource of the stack has an id in ``take``.
    """
    named = [one.tags for one in survey(ctx) if one.tags.get("cogauth:stack") == ctx.stack]
    # Anybody may write a tag; ignore values that aren't an id.
    ids = {tags.get("cogauth:stack-id", "") for tags in named}
    found = sorted(one for one in ids if re.fullmatch(formats.UUID, one))
    if stack_id is not None:
        found = [one for one in found if one == stack_id]
    if not found:
        up = f"'{ctx.state.command('up')}' creates a stack."
        raise CogauthError(
            f"Nothing in account {ctx.aws.account}, region {ctx.aws.region} carries the tag "
            f"cogauth:stack = {ctx.stack}{f' with the stack-id {stack_id}' if stack_id else ''}.",
            hint=None if stack_id else up,
        )
    if len(found) > 1:
        raise CogauthError(
            f"Several stacks have the name {ctx.stack}: {', '.join(found)}.",
            hint="Say which one with --stack-id.",
        )
    state = ctx.state
    # An 'up' that finishes the record is due: what differs from it was not changed by hand.
    state.settings = state.settings.begun()
    left: list[str] = []
    state.stack_id = found[0]
    chosen = _choose(ctx, take)
    for resource in RESOURCES.values():
        if resource.parent is not None and state.record(resource.parent) is None:
            continue
        try:
            ours = chosen.get(resource.key) or find_ours(ctx, resource)
        except KeyError:
            # It refers to a missing resource, so it can't be ours.
            continue
        if ours:
            snapshot = resource.recreate is Recreate.SNAPSHOT
            live = (max if snapshot else min)(ours, key=made_at)
            # Nobody knows whether the API was changed after it was deployed.
            status = OUTDATED if snapshot else CREATED
            state.resources[resource.key] = {"status": status, **resource.facts(ctx, live)}
            left += _take_settings(ctx, resource, live)
    _recover_attachments(ctx)
    return left


def _take_settings(ctx: Context, resource: Resource, live: Live) -> list[str]:
    """Use the settings that a resource shows; return a sentence for each invalid one."""
    left = []
    for name, value in resource.observed(ctx, live).items():
        try:
            ctx.state.settings = replace(ctx.state.settings, **{name: value})
        except UsageError:
            kept = getattr(ctx.state.settings, name)
            left.append(
                f"The {words(resource)} has a setting that --{name.replace('_', '-')} doesn't "
                f"accept: {value!r}. 'cogauth up{ctx.state.options}' sets it to {kept!r}."
            )
    return left


def _choose(ctx: Context, take: Collection[str]) -> dict[str, list[Live]]:
    """Return, by resource key, the one to use of those with the stack's name and tags, if any."""
    chosen: dict[str, list[Live]] = {}
    listed: list[str] = []
    known: set[str] = set()
    # Unique names leave no choice.
    for resource in [one for one in ROOTS if one.name(ctx) is None]:
        ours = find_ours(ctx, resource)
        known |= {resource.facts(ctx, live)["id"] for live in ours}
        named = [live for live in ours if resource.facts(ctx, live)["id"] in take]
        if len(named) > 1:
            raise UsageError(
                f"--take names more than one {words(resource)}", hint="Give one of them."
            )
        chosen[resource.key] = named or ours
        if len(chosen[resource.key]) > 1:
            listed += [f"  {words(resource)} {described(ctx, resource, live)}" for live in ours]
    if unknown := sorted(set(take) - known):
        raise UsageError(
            f"--take {' '.join(unknown)}: no user pool or REST API with the name and the tags of "
            f"the stack {ctx.stack} has that id. Found: {', '.join(sorted(known)) or 'none'}."
        )
    if listed:
        raise CogauthError(
            f"Several resources have the name and the tags of the stack {ctx.stack}, and anyone "
            "who may tag a resource can claim it. Nothing was written.",
            *listed,
            hint="Name the stack's with --take ID, once for each kind.",
        )
    return chosen


# What ``_recover_attachments`` needs: any API may be attached.
PERMISSIONS = (rest_apis.FIND_API, rest_apis.reading(f"{REST_APIS}/*", "authorizers"))


def _recover_attachments(ctx: Context) -> None:
    """Record the APIs that contain our authorizer; what their methods had before is lost.

    While a method refers to that authorizer, AWS refuses to delete it, and 'down' deletes nothing.
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
