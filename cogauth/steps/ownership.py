"""Who owns a resource, judging by the resource, and the errors if it isn't the stack."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.transient import passing
from cogauth.errors import NameConflictError, NotOwnedError
from cogauth.printable import minute
from cogauth.steps import RESOURCES

if TYPE_CHECKING:
    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Resource

# What to do about a name that exists.
OTHER_NAME = "Use another --stack, or delete it yourself."


def made_at(live: Live) -> float:
    """Return when a resource was created; Cognito and API Gateway name that field differently.

    A resource of the other services is the only one with its name, so nobody asks for its age.
    """
    made = live.get("CreationDate") or live.get("createdDate")
    return made.timestamp() if isinstance(made, datetime) else 0.0


def owned(ctx: Context, resource: Resource, live: Live) -> bool:
    """Return whether a resource is this stack's: by its tags, or by its name in our parent."""
    tags = resource.tags(live)
    return resource.is_named(ctx, live) if tags is None else ctx.owns(tags)


def check_owner(ctx: Context, resource: Resource, live: Live) -> None:
    """Raise NameConflictError or NotOwnedError if a resource isn't the stack's own."""
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
            error.hint = f"{error.hint} If it is the stack's own, restore its tags: {lost}."
        raise error
    options = ctx.state.options
    way_on = f"'cogauth down{options}' leaves it alone and forgets it."
    if may_be_adopted(ctx, tags):
        way_on = (
            f"If it is the stack's and lost its tags, 'cogauth up{options} --adopt {name}' asks "
            f"and restores them. If it isn't, {way_on}"
        )
    raise NotOwnedError(
        f"The {words(resource)} {name}, which {ctx.state.path} records, isn't this stack's, "
        f"judging by its tags ({owner(tags)}). It was left alone.",
        hint=way_on,
    )


def may_be_adopted(ctx: Context, tags: dict[str, str]) -> bool:
    """Return whether the stack's tags may have been removed: no other stack's are there."""
    return all(tags.get(name, value) == value for name, value in ctx.tags.items())


def conflict_error(resource: Resource, name: str, tags: dict[str, str]) -> NameConflictError:
    """Return the error for another owner's resource with one of the stack's names."""
    return NameConflictError(
        f"{name} ({resource.step.name}) already exists and isn't this stack's ({owner(tags)}). It "
        "was left alone.",
        hint=OTHER_NAME,
    )


def _part_error(ctx: Context, resource: Resource, live: Live) -> NameConflictError:
    outer, facts = RESOURCES[resource.root_key], resource.facts(ctx, live)
    return NameConflictError(
        f"{facts.get('path', facts['id'])} in the stack's {words(outer)} {ctx.fact(outer.key)} "
        "belongs to somebody else, judging by its content. It was left alone.",
        hint=(
            f"If the state file {ctx.state.path} isn't your own, move it away and run 'cogauth "
            f"recover{ctx.state.options}' to rewrite it. Otherwise delete it yourself."
        ),
    )


def is_conflict(error: BaseException, resource: Resource) -> TypeGuard[ClientError]:
    """Return whether an error says that a resource's name exists, not a transient one's code."""
    if not isinstance(error, ClientError):
        return False
    return code_of(error) == resource.conflict and passing(error) is None


def check_case(ctx: Context, resource: Resource, error: Exception) -> None:
    """Raise NameConflictError if a create failed over a name that differs only in case.

    IAM ignores case when it creates names, but not when it looks them up.
    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    """
    name = resource.name(ctx)
    if name is None or not is_conflict(error, resource) or name in message_of(error):
        return
    if found := re.search(re.escape(name), message_of(error), re.IGNORECASE):
        raise NameConflictError(
            f"{name} ({resource.step.name}) can't be created: {found[0]} exists, and differs only "
            f"in case. It was left alone. {_words(error)}",
            hint=OTHER_NAME,
        )


def check_unseen(ctx: Context, resource: Resource, error: BaseException) -> None:
    """Raise NameConflictError if a create failed over a name, but nothing with it was found."""
    name = resource.name(ctx)
    if name is not None and is_conflict(error, resource):
        raise NameConflictError(
            f"{name} ({resource.step.name}) can't be created: AWS says that the name exists, but "
            "shows nothing with it. The name may differ only in case; or it was just deleted, and "
            f"AWS can take a while to free a name. {_words(error)}",
            hint=OTHER_NAME,
        )


def _words(error: ClientError) -> str:
    return f"AWS says: {message_of(error).removesuffix('.')}."


def owner(tags: dict[str, str]) -> str:
    """Return a phrase that says who owns a resource with these tags."""
    names = [name for name in ("stack", "stack-id") if f"cogauth:{name}" in tags]
    found = ", ".join(f"{name} {tags[f'cogauth:{name}']}" for name in names)
    return found or "it carries no cogauth tag"


def described(ctx: Context, resource: Resource, live: Live) -> str:
    """Return a resource's id with details that distinguish it from others."""
    made, users, details = made_at(live), resource.users(live), []
    if made:
        details.append(f"created {minute(datetime.fromtimestamp(made, UTC))}")
    if users is not None:
        # The figure is Cognito's estimate.
        about = f"about {users} user{'' if users == 1 else 's'}"
        details.append(about if users else "no users by Cognito's count")
    name = resource.facts(ctx, live)["id"]
    return f"{name} ({', '.join(details)})" if details else name


def words(resource: Resource) -> str:
    """Return a resource's name for use in a sentence."""
    text = resource.key.replace("sign_in", "sign-in").replace("auto_confirm", "auto-confirm")
    return text.replace("rest_api", "REST API").replace("_", " ")
