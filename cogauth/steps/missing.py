"""What of a complete stack doesn't exist any more, for example because somebody deleted it by hand.

This is looked for only after something failed: a stack that works costs no call.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cogauth.aws import parallel
from cogauth.aws.errors import AWS_ERRORS, translate
from cogauth.aws.transient import is_not_found
from cogauth.errors import CogauthError, IncompleteError, LoginError, UsageError
from cogauth.steps import RESOURCES
from cogauth.steps.base import Recreate
from cogauth.steps.log_groups import LogGroup
from cogauth.steps.lookup import CLIENTS, incomplete_error, is_fresh, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.policies import Allow
    from cogauth.context import Context
    from cogauth.settings import Settings
    from cogauth.steps.base import Resource

# A request needs no log group, and of the deployments only the one that its stage has.
CALLED = [
    each
    for each in RESOURCES.values()
    if not isinstance(each, LogGroup) and each.recreate is not Recreate.SNAPSHOT
]


def permissions(settings: Settings) -> Iterator[Allow]:
    """Yield the permissions that ``missing`` needs with these settings."""
    for resource in CALLED:
        if resource.key not in settings.unneeded:
            yield from resource.reads(settings)


def missing(ctx: Context, *keys: str) -> list[Resource]:
    """Return the recorded resources of a request that are gone, without the parts of another.

    ``keys`` are those to look at; none means all. What can't be read isn't counted as gone: this
    only explains an error.
    """
    asked = [RESOURCES[key] for key in keys] or CALLED
    concerned = [one for one in asked if one.wanted(ctx) and ctx.state.record(one.key)]
    ctx.aws.make_clients(*CLIENTS)
    found = parallel.each(partial(_is_gone, ctx, one) for one in concerned)
    lost = {one.key: one for one, is_gone in zip(concerned, found, strict=True) if is_gone}
    return [one for one in lost.values() if not lost.keys() & set(one.ancestors)]


def _is_gone(ctx: Context, resource: Resource) -> bool:
    try:
        return read(ctx, resource, ctx.state.record(resource.key) or {}) is None
    except (*AWS_ERRORS, CogauthError):
        return False


def missing_error(ctx: Context, *keys: str, before: str = "") -> IncompleteError | None:
    """Return the error that names what is gone, and that ``up`` recreates it; None if nothing is.

    ``keys`` are the resources to look at; none means all of a request. ``before`` is a sentence
    about what failed.
    """
    lost = missing(ctx, *keys)
    return incomplete_error(ctx, *lost, before=before) if lost else None


def may_settle(ctx: Context) -> bool:
    """Return whether waiting can help where a stage refuses: it is new, or nothing is gone."""
    return is_fresh(ctx, RESOURCES["deployment"]) or not missing(ctx)


@contextmanager
def naming_missing(ctx: Context, *keys: str) -> Iterator[None]:
    """Let an error that may come from it also name what of the stack is gone, if something is.

    That is an error of a sign-in, of an unknown name, or of AWS about a missing resource. ``keys``
    are the resources to look at; none means all of a request. Raises IncompleteError then.
    """
    try:
        yield
    except (LoginError, UsageError, ClientError) as error:
        if isinstance(error, ClientError) and not is_not_found(error):
            raise
        if (lost := missing_error(ctx, *keys, before=translate(error).message)) is not None:
            raise lost from error
        raise
