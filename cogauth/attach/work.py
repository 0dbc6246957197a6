"""The calls to one attached API: at its pace, and each recorded before the next.

The API may be anybody's. Known as ours in it are an authorizer and deployments, by a name that
carries the stack-id; only these are ever changed or deleted there, and methods' authorization.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from cogauth.attach.model import our_name, same
from cogauth.aws.answers import NOT_FOUND, Live, code_of, deleted, or_none
from cogauth.aws.waiting import Pace
from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from cogauth.gateway.rest_apis import LiveMethod, authorization_of
from cogauth.steps import rest_api
from cogauth.steps.lookup import look_after_crash, patiently

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cogauth.attach.model import Change, Plan
    from cogauth.context import Context
    from cogauth.record.records import Attachment, Authorization

T = TypeVar("T")
# Told what was done, how much of all that is, and how much all is.
Report = Callable[[str, int, int], None]

ATTACH_CLIENTS = ("apigateway", "apigateway_once", "cognito")
# What AWS answers to a method's update that asks for no such authorizer, or is otherwise wrong.
REFUSED = "BadRequestException"
# API Gateway's rate for an account's control calls, all together, is 10 a second with 40 at once:
# some are left for what was read before, and for others.
# Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
PER_SECOND, AT_ONCE = 10, 30
# After how many methods it is looked whether somebody has changed the others meanwhile.
LOOK_AGAIN = 25


class Work:
    """The calls to one API, one after the other: two writes at once to it are refused."""

    def __init__(self, ctx: Context, plan: Plan, record: Attachment, report: Report) -> None:
        self.ctx = ctx
        self.plan = plan
        self.record = record
        self.report = report
        self.api = plan.api.id
        self.pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)

    def at_pace(self, call: Callable[[], T]) -> T:
        """Make a call once the API's pace allows it, again while AWS refuses it for a while."""
        self.pace.wait()
        return patiently(self.ctx, call)

    def save(self) -> None:
        """Write the record to the state file."""
        self.ctx.state.put("attachments", self.api, self.record)

    def changes(self, done: str) -> Iterator[Change]:
        """Yield the plan's changes, and report each as done once the next is asked for.

        Raises CogauthError if somebody changed a method meanwhile.
        """
        todo = self.plan.changes
        for nth, change in enumerate(todo, 1):
            if nth % LOOK_AGAIN == 0:
                self._look_again(todo[nth - 1 :])
            yield change
            self.report(f"{done} {change.name}", nth, len(todo))

    def _look_again(self, changes: Sequence[Change]) -> None:
        read = partial(or_none, lambda: rest_apis.methods(self.ctx, self.api))
        live = {each.name: each.authorization for each in self.at_pace(read) or []}
        for change in changes:
            now = live.get(change.name)
            if now and not same(now, change.before):
                raise CogauthError(
                    f"Someone changed {change.name} of the API {self.plan.api.name} meanwhile. It "
                    f"was not touched; what was done is in {self.ctx.state.path}. Run the same "
                    "again to see it as it is."
                )

    def update(self, change: Change, after: Authorization) -> None:
        """Change who may call a method; if that fails, set it back and raise CogauthError."""
        method, before = change.method, change.before
        answered = self.at_pace(lambda: self._update(method, before, after))
        if same(answered, after):
            return
        # Some emulators lose scopes.
        back = self.at_pace(lambda: self._update(method, answered, before))
        outcome = "so it was set back" if same(back, before) else "and can't be set back"
        state = self.ctx.state
        raise CogauthError(
            f"{change.name} of the API {self.plan.api.name} was to get {_plain(after)}, but "
            f"{state.endpoint_url or 'AWS'} answered that it has {_plain(answered)}, {outcome}. "
            f"'cogauth detach --api {self.api}{state.options}' gives back what was attached before."
        )

    def _update(
        self, method: LiveMethod, before: Authorization, after: Authorization
    ) -> Authorization:
        aws = self.ctx.aws.apigateway
        which: Any = {
            "restApiId": self.api,
            "resourceId": method.resource_id,
            "httpMethod": method.http_method,
        }
        operations: Any = patch(before, after)
        try:
            return authorization_of(aws.update_method(**which, patchOperations=operations))
        except ClientError as error:
            # A call whose answer was lost, and that botocore made again: its scopes are there.
            if code_of(error) != REFUSED:
                raise
            live = or_none(lambda: aws.get_method(**which))
            if live is None or not same(authorization_of(live), after):
                raise
            return after

    def delete_authorizer(self, authorizer: str) -> bool:
        """Delete an authorizer of ours; return whether it was there."""
        delete = partial(rest_api.delete_authorizer, self.ctx, self.api, authorizer)
        return self.at_pace(delete)

    def deploy(self) -> str | None:
        """Publish the API on the stages that are due, and leave all else of them as it is."""
        stages, number = self.plan.stages, len(self.plan.changes)
        if not stages:
            return None
        aws, once = self.ctx.aws.apigateway, self.ctx.aws.apigateway_once
        self.report(f"deploying to {', '.join(stages)}", number, number)
        made = self.at_pace(
            lambda: once.create_deployment(restApiId=self.api, description=our_name(self.ctx))
        )
        on_it: Any = [{"op": "replace", "path": "/deploymentId", "value": made["id"]}]
        for stage in stages:
            put = partial(aws.update_stage, restApiId=self.api, stageName=stage)
            self.at_pace(partial(put, patchOperations=on_it))
        return str(made["id"])

    def sweep(self) -> None:
        """Delete our deployments that are on no stage any more."""
        delete = self.ctx.aws.apigateway.delete_deployment
        for deployment in self.plan.api.superseded(self.plan.stages):
            call = partial(delete, restApiId=self.api, deploymentId=deployment)
            # AWS refuses it if a stage was put on it meanwhile.
            self.at_pace(partial(deleted, call, (*NOT_FOUND, REFUSED)))

    def by_name(self) -> list[Live]:
        """Return the authorizers of the API that bear the name of ours: one, or none."""
        found = or_none(lambda: rest_apis.authorizers(self.ctx, self.api)) or []
        return [one for one in found if one["name"] == our_name(self.ctx)]

    def left_by_a_crash(self) -> list[Live]:
        """Look for an authorizer whose creation was interrupted."""
        intent = self.record["authorizer"]
        return look_after_crash(self.ctx, intent, "authorizer", self.by_name)


def patch(before: Authorization, after: Authorization) -> list[dict[str, str]]:
    """Return the operations that change who may call a method, for one UpdateMethod.

    Scopes are added and removed one by one; ``replace`` is not for lists. Each operation leaves
    what is valid by itself, but for the type and the authorizer, which AWS looks at together: with
    another type than COGNITO_USER_POOLS and JWT scopes are refused, and with NONE an authorizer
    means nothing.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateMethod-Patch
    and, for the order and the empty authorizer,
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/apigateway/method.go
    """
    path = "/authorizationScopes"
    old, new = before["authorizationScopes"], after["authorizationScopes"]
    operations = [{"op": "remove", "path": path, "value": one} for one in old if one not in new]
    if before["authorizationType"] != after["authorizationType"]:
        kind = after["authorizationType"]
        operations.append({"op": "replace", "path": "/authorizationType", "value": kind})
    if before["authorizerId"] != after["authorizerId"]:
        authorizer = after["authorizerId"] or ""
        operations.append({"op": "replace", "path": "/authorizerId", "value": authorizer})
    operations += [{"op": "add", "path": path, "value": one} for one in new if one not in old]
    if before["apiKeyRequired"] != after["apiKeyRequired"]:
        needed = "true" if after["apiKeyRequired"] else "false"
        operations.append({"op": "replace", "path": "/apiKeyRequired", "value": needed})
    return operations


def _plain(authorization: Authorization) -> str:
    return ", ".join(f"{name} {value}" for name, value in authorization.items() if value)
