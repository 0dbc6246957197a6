"""The calls to one attached API: at its pace, and each recorded before the next."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from cogauth.attach import calls
from cogauth.attach.model import (
    Api,
    Plan,
    Row,
)
from cogauth.aws.waiting import TimedOutError
from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from cogauth.gateway.rest_apis import LiveMethod

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.records import Attachment, Authorization

from typing import TYPE_CHECKING, TypeVar

from cogauth.aws.waiting import Pace
from cogauth.steps.lookup import patiently

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.attach.model import Api, Plan, Row
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod
    from cogauth.record.records import Attachment, Authorization

T = TypeVar("T")

ATTACH_CLIENTS = ("apigateway", "apigateway_once", "cognito")
# API Gateway's rate for an account's control calls, all together, is 10 a second with 40 at once:
# some are left for what was read before, and for others.
# Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
PER_SECOND, AT_ONCE = 10, 30
# After how many methods it is looked whether somebody has changed the others meanwhile.
LOOK_AGAIN = 25


class Work:
    """The calls to one API, at its pace and in turns: two writes at once to it are refused."""

    def __init__(self, ctx: Context, plan: Plan, record: Attachment) -> None:
        self.ctx = ctx
        self.plan = plan
        self.record = record
        self.pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)

    def at_pace(self, call: Callable[[], T]) -> T:
        """Make a call once the API's pace allows it, again while AWS refuses it for a while."""
        self.pace.wait()
        return patiently(self.ctx, call)

    def save(self) -> None:
        """Write the record to the state file."""
        self.ctx.state.put_attachment(self.plan.id, self.record)

    def look_again(self, rows: list[Row]) -> None:
        """See that nobody has changed these methods since the plan was made.

        Raises:
            CogauthError: somebody has; it would be overwritten, and forgotten what it was.
        """
        read = self.at_pace(lambda: rest_apis.methods(self.ctx, self.plan.id)) or []
        live = {each.name: each.authorization for each in read}
        for row in rows:
            now = live.get(row.name)
            if now and row.before and not calls.same(now, row.before):
                raise CogauthError(
                    f"Someone changed {row.name} of the API {self.plan.name} meanwhile. It was not "
                    f"touched; what was done is in {self.ctx.state.path}. Run the same again to "
                    "see it as it is."
                )

    def update(self, row: Row, place: LiveMethod, after: Authorization) -> None:
        """Change who may call a method, and see that it is so; else set it back.

        Raises:
            CogauthError: the answer differs from what was asked for: some emulators don't keep
                scopes.
        """
        assert row.before is not None  # noqa: S101 it has a place
        before, ctx, api = row.before, self.ctx, self.plan.id
        answered = self.at_pace(lambda: calls.update_method(ctx, api, place, before, after))
        if calls.same(answered, after):
            return
        back = self.at_pace(lambda: calls.update_method(ctx, api, place, answered, before))
        outcome = "so it was set back" if calls.same(back, before) else "and can't be set back"
        raise CogauthError(
            f"{row.name} of the API {self.plan.name} was to get {_plain(after)}, but "
            f"{ctx.state.endpoint_url or 'AWS'} answered that it has {_plain(answered)}, "
            f"{outcome}. "
            f"'cogauth detach --api {api}{ctx.state.options}' gives back what was attached before."
        )

    def deploy(self) -> str | None:
        """Publish the API on the stages that are due."""
        if not self.plan.stages:
            return None
        api, ctx = self.plan.id, self.ctx
        deployment = self.at_pace(lambda: calls.create_deployment(ctx, api))
        for stage in self.plan.stages:
            self.at_pace(partial(calls.put_on_stage, ctx, api, stage, deployment))
        return deployment

    def sweep(self, api: Api) -> None:
        """Delete our deployments that are on no stage any more."""
        for deployment in api.superseded(self.plan.stages):
            self.at_pace(partial(calls.delete_deployment, self.ctx, self.plan.id, deployment))


def _plain(authorization: Authorization) -> str:
    from_state = {name: value for name, value in authorization.items() if value}
    return ", ".join(f"{name} {value}" for name, value in from_state.items())


def by_name(ctx: Context, api: str) -> list[Live]:
    """Return the authorizers of an API that bear the name of ours: one, or none."""
    name = calls.our_name(ctx)
    return [one for one in rest_apis.authorizers(ctx, api) if one["name"] == name]


def left_by_a_crash(ctx: Context, api: Api, since: str) -> list[Live]:
    """Look for an authorizer whose making's end isn't known: AWS's lists lag."""
    age = ctx.now() - datetime.fromisoformat(since).timestamp()
    try:
        return ctx.waiter.until(
            lambda: by_name(ctx, api.id) or None,
            reason="the authorizer that an interrupted run may have made",
            timeout_s=min(ctx.settle_s, max(0.0, ctx.settle_s - age)),
        )
    except TimedOutError:
        return []
