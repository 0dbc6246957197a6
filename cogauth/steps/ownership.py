"""Whose a resource is, by its own account, and what a user is told if it isn't the stack's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.transient import passing
from cogauth.errors import NameConflictError, NotOwnedError
from cogauth.steps import RESOURCES

if TYPE_CHECKING:
    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Resource


def made_at(live: Live) -> float:
    """Return when a resource was made, by the name that its service gives to that."""
    made = live.get("CreationDate") or live.get("CreateDate") or live.get("createdDate")
    return made.timestamp() if isinstance(made, datetime) else 0.0


def owned(ctx: Context, resource: Resource, live: Live) -> bool:
    """Say whether a resource is this very stack's: by its tags, or by its name in what is ours."""
    tags = resource.tags(live)
    return resource.is_named(ctx, live) if tags is None else ctx.owns(tags)


def check_owner(ctx: Context, resource: Resource, live: Live) -> None:
    """Raise NameConflictError or NotOwnedError for what isn't the stack's own."""
    if owned(ctx, resource, live):
        return
    if resource.tags(live) is None:
        raise _part_error(ctx, resource, live)
    name, tags = resource.facts(ctx, live)["id"], resource.tags(live) or {}
    if resource.conflict is not None:
        error = conflict_error(resource, name, tags)
        recorded = (ctx.state.record(resource.key) or {}).get("id") == name
        if recorded and may_be_adopted(ctx, tags):
            lost = " and ".join(f"{key} = {value}" for key, value in ctx.tags.items())
            error.args = (f"{error} If it is the stack's own, put its tags back: {lost}.",)
        raise error
    options = ctx.state.options
    way_on = f"'cogauth down{options}' leaves it alone, and forgets it."
    if may_be_adopted(ctx, tags):
        way_on = (
            f"If it is the stack's, and its tags were taken off: 'cogauth up{options} --adopt "
            f"{name}' asks, and puts them back. If it isn't: {way_on}"
        )
    raise NotOwnedError(
        f"The {words(resource)} {name}, which {ctx.state.path} records, isn't this stack's by its "
        f"tags ({owner(tags)}). It was left alone. {way_on}"
    )


def may_be_adopted(ctx: Context, tags: dict[str, str]) -> bool:
    """Say whether tags may be an owner's who took the stack's off: no other stack has it."""
    return all(tags.get(name, value) == value for name, value in ctx.tags.items())


def conflict_error(resource: Resource, name: str, tags: dict[str, str]) -> NameConflictError:
    """Return the error that names what has one of the stack's names, and its owner."""
    return NameConflictError(
        f"The name {name} ({resource.step.name}) is taken by something that is not this stack's "
        f"({owner(tags)}). It was left alone. Take another --stack, or remove it yourself."
    )


def _part_error(ctx: Context, resource: Resource, live: Live) -> NameConflictError:
    outer, facts = RESOURCES[resource.root_key], resource.facts(ctx, live)
    return NameConflictError(
        f"{facts.get('path', facts['id'])} in the stack's {words(outer)} {ctx.fact(outer.key)} "
        f"belongs to somebody else, judging by what is in it. It was left alone. If the state "
        f"file {ctx.state.path} isn't your own, move it away: 'cogauth "
        f"recover{ctx.state.options}' writes it anew. Else remove it yourself."
    )


def is_conflict(error: BaseException, resource: Resource) -> TypeGuard[ClientError]:
    """Say whether AWS says that a resource's name exists; a transient error may have its code."""
    if not isinstance(error, ClientError):
        return False
    return code_of(error) == resource.conflict and passing(error) is None


def check_case(ctx: Context, resource: Resource, error: Exception) -> None:
    """Raise NameConflictError for a refusal by what has the name but for its case.

    IAM's names are not distinguished by case when they are given, but are when they are looked up.
    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    """
    name = resource.name(ctx)
    if name is None or not is_conflict(error, resource) or name in message_of(error):
        return
    if found := re.search(re.escape(name), message_of(error), re.IGNORECASE):
        raise NameConflictError(
            f"The name {name} ({resource.step.name}) is taken by {found[0]}, which differs "
            f"from it only in case. It was left alone. {_words_and_remedy(error)}"
        )


def check_unseen(ctx: Context, resource: Resource, error: BaseException) -> None:
    """Raise NameConflictError for a refusal by what has the name and was looked for in vain."""
    name = resource.name(ctx)
    if name is not None and is_conflict(error, resource):
        raise NameConflictError(
            f"The name {name} ({resource.step.name}) is taken, but nothing of that name is "
            "shown. Its name may differ only in case; or it was just deleted, and it can "
            f"take AWS a while to free a name. {_words_and_remedy(error)}"
        )


def _words_and_remedy(error: ClientError) -> str:
    words = message_of(error).removesuffix(".")
    return f"AWS says: {words}. Take another --stack, or remove it yourself."


def owner(tags: dict[str, str]) -> str:
    """Say whose something is, by its tags."""
    names = [name for name in ("stack", "stack-id") if f"cogauth:{name}" in tags]
    found = ", ".join(f"{name} {tags[f'cogauth:{name}']}" for name in names)
    return found or "it carries no cogauth tag"


def described(ctx: Context, resource: Resource, live: Live) -> str:
    """Return a thing's id, with what helps to tell it from others of its kind."""
    made, users, details = made_at(live), resource.users(live), []
    if made:
        details.append(f"made {datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M} UTC")
    if users is not None:
        # The figure is Cognito's estimate.
        details.append(f"about {users} user{'' if users == 1 else 's'}")
    name = resource.facts(ctx, live)["id"]
    return f"{name} ({', '.join(details)})" if details else name


def words(resource: Resource) -> str:
    """Return what a resource is called in a sentence."""
    return resource.key.replace("_", " ")
