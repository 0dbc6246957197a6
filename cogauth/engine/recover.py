"""``recover``: write a lost state file anew, from what carries the stack's tags in the account."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cogauth import rest_apis
from cogauth.engine.attach import AT_ONCE, PER_SECOND
from cogauth.engine.journal import find_ours, made_at, patiently, survey
from cogauth.errors import CogauthError
from cogauth.state import CREATED, OUTDATED
from cogauth.steps import STEPS, attached
from cogauth.waiting import Pace

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.steps.base import Live


def stack_ids(ctx: Context) -> list[str]:
    """Return the ids of all stacks in the account that have the stack's name."""
    return sorted(
        {
            found.tags.get("cogauth:stack-id", "")
            for found in survey(ctx)
            if found.tags.get("cogauth:stack") == ctx.stack
        }
        - {""}
    )


def recover(ctx: Context, stack_id: str | None = None) -> None:
    """Fill the stack's state from the account; nothing is changed there, nor written to disk.

    Args:
        ctx: a stack of which nothing is recorded.
        stack_id: which one, if several have the name.

    Raises:
        CogauthError: there is no such stack, or more than one.
    """
    found = stack_ids(ctx)
    if stack_id is not None:
        found = [one for one in found if one == stack_id]
    if not found:
        raise CogauthError(
            f"Nothing in account {ctx.aws.account}, region {ctx.aws.region} carries the tag "
            f"cogauth:stack = {ctx.stack}"
            + (
                f" with the stack-id {stack_id}."
                if stack_id
                else f". 'cogauth up{ctx.state.options}' makes a stack."
            )
        )
    if len(found) > 1:
        raise CogauthError(
            f"Several stacks have the name {ctx.stack}: {', '.join(found)}. "
            "Say which one with --stack-id."
        )
    state = ctx.state
    state.stack_id = found[0]
    for step in STEPS:
        for resource in step.resources:
            if resource.inside is not None and not state.has(resource.inside):
                continue
            try:
                ours = find_ours(ctx, resource)
            except KeyError:
                # It refers to something else that is missing, so it can't be ours as it stands.
                continue
            if ours:
                live = (min if resource.adopted else max)(ours, key=made_at)
                # Whether the API was changed since it was deployed isn't known any more.
                status = CREATED if resource.adopted else OUTDATED
                record = {"status": status, **resource.facts(ctx, live)}
                state.resources.setdefault(step.name, {})[resource.key] = record
                state.settings = replace(state.settings, **resource.observed(ctx, live))
    _recover_attachments(ctx)


def _recover_attachments(ctx: Context) -> None:
    """Note the APIs that hold an authorizer of ours: what their methods had before is lost.

    'down' deletes such an authorizer, which AWS refuses as long as a method refers to it; and then
    it deletes nothing.
    """
    pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)
    for api in rest_apis.all_apis(ctx):
        pace.wait()
        for live in patiently(ctx, partial(rest_apis.authorizers, ctx, api["id"])):
            if live["name"] == attached.our_name(ctx):
                _note(ctx, api, live)


def _note(ctx: Context, api: Live, authorizer: Live) -> None:
    pool = next(iter(authorizer.get("providerARNs") or []), "unknown")
    ctx.state.attachments[api["id"]] = {
        "name": api["name"],
        "stages": [],
        "outdated": [],
        "found": {},
        "authorizer": {"status": CREATED, "id": authorizer["id"], "pool": pool},
        "methods": {},
    }
