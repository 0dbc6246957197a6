"""One creating call: the intent is on disk before it, the outcome after it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cogauth.aws.errors import AWS_ERRORS, is_definite
from cogauth.aws.transient import PASSES_WITHIN_S
from cogauth.aws.waiting import Wait
from cogauth.engine import journal
from cogauth.engine.reporting import ADOPTED, CREATED
from cogauth.errors import CogauthError
from cogauth.steps.base import Recreate
from cogauth.steps.lookup import find, passing_of, patiently
from cogauth.steps.ownership import check_case, check_owner, check_unseen, is_conflict, words

if TYPE_CHECKING:
    from threading import Lock

    from botocore.exceptions import ClientError

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Resource


def create(
    ctx: Context, resource: Resource, turn: Lock, former: str | None = None
) -> tuple[Live, str]:
    """Create a resource, or adopt it if an answer was lost; return it and what was done.

    ``turn`` is held meanwhile, because AWS refuses concurrent writes to one parent. ``former`` is
    the version of the resource that was deleted to be recreated.

    Raises:
        NameConflictError: something that isn't the stack's has its name.
        KeyboardInterrupt: the stop event was set; the journal says what may exist.
    """
    with turn:
        # The wait for this turn may have been long enough for a Ctrl-C.
        if ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        when_made = patiently(ctx, partial(resource.outdates_when_made, ctx))
        journal.outdate(ctx, resource.outdates + when_made)
        journal.intend(ctx, resource, former)
        without_effect = True

        def attempt() -> tuple[Live, str]:
            nonlocal without_effect
            try:
                return resource.create(ctx), CREATED
            except AWS_ERRORS as error:
                without_effect = without_effect and is_definite(error)
                check_case(ctx, resource, error)
                for live in _of_the_name(ctx, resource, former, error):
                    check_owner(ctx, resource, live)
                    # The answer to a create was lost, and the create was repeated.
                    return live, ADOPTED
                raise

        def passes(error: ClientError) -> Wait | None:
            wait = passing_of(ctx, resource, error)
            if wait or not is_conflict(error, resource) or ctx.waiter.stop.is_set():
                return wait
            # Nothing has the name. AWS can take a while to free one.
            return Wait(f"the name of the {words(resource)} to be free")

        try:
            live, action = ctx.waiter.retry(attempt, passing=passes, timeout_s=PASSES_WITHIN_S)
        except (*AWS_ERRORS, CogauthError, KeyboardInterrupt) as error:
            # Nothing was created if all attempts were refused; an interruption comes only between
            # attempts. An intent with a former version stays: the next run needs it.
            if without_effect and former is None:
                journal.forget(ctx, resource)
            if not ctx.waiter.stop.is_set():
                check_unseen(ctx, resource, error)
            raise
        journal.created(ctx, resource, live)
        return live, action


def _of_the_name(
    ctx: Context, resource: Resource, former: str | None, error: Exception
) -> list[Live]:
    if not is_conflict(error, resource):
        return []
    try:
        return without_former(resource, former, find(ctx, resource))
    except KeyboardInterrupt:
        # Something else failed meanwhile, so lookups have ended.
        return []


def without_former(resource: Resource, former: str | None, found: list[Live]) -> list[Live]:
    """Omit the resource that was deleted to be recreated; AWS may show it for a while."""
    if former is None or resource.recreate is not Recreate.DELETE_FIRST:
        # A state file may claim a former version for any resource.
        return found
    return [live for live in found if resource.version(live) != former]
