"""The calls to one attached API, at the pace that API Gateway allows.

The callers record each method before and after its update. A deployment needs no record of its own:
its stages are recorded as ``outdated`` until it is done.

The API may belong to anyone. In it cogauth owns one authorizer, named after the stack id, and the
deployments whose description is that name. It changes or deletes only these, and the authorization
of methods.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from cogauth.attach.model import our_name, same
from cogauth.aws.answers import NOT_FOUND, Live, code_of, deleted, or_none
from cogauth.aws.policies import allow
from cogauth.aws.waiting import Pace
from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from cogauth.gateway.rest_apis import LiveMethod, authorization_of
from cogauth.steps import rest_api
from cogauth.steps.lookup import look_after_crash, patiently

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cogauth.attach.model import ApiPlan, MethodChange
    from cogauth.aws.policies import Allow
    from cogauth.context import Context
    from cogauth.record.records import Attachment, Authorization

T = TypeVar("T")
# Called with what was done, the number done so far, and the total.
Report = Callable[[str, int, int], None]

ATTACH_CLIENTS = ("apigateway", "apigateway_once", "cognito")
# AWS's error for a bad update of a method, such as one that names an unknown authorizer.
BAD_REQUEST = "BadRequestException"
# API Gateway allows an account 10 control calls a second, with bursts of 40. This leaves some for
# the reads before, and for other callers.
# Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
PER_SECOND, AT_ONCE = 10, 30
# After so many methods, check again whether someone has changed the others.
LOOK_AGAIN = 25


def permissions(api: str) -> tuple[Allow, ...]:
    """Return what the calls of Work need; ``api`` is a pattern of ARNs."""
    return (
        rest_apis.reading(api, "resources", "authorizers"),
        allow(f"{api}/resources/*/methods/*", "apigateway:GET", "apigateway:PATCH"),
        allow(f"{api}/deployments", "apigateway:POST"),
        allow(f"{api}/stages/*", "apigateway:PATCH"),
        allow((f"{api}/authorizers/*", f"{api}/deployments/*"), "apigateway:DELETE"),
    )


class Work:
    """The calls to one API, one at a time, because AWS refuses concurrent writes to it."""

    def __init__(self, ctx: Context, plan: ApiPlan, record: Attachment, report: Report) -> None:
        self.ctx = ctx
        self.plan = plan
        self.record = record
        self.report = report
        self.api = plan.api.id
        self.pace = Pace(ctx.waiter, per_second=PER_SECOND, burst=AT_ONCE)

    def at_pace(self, call: Callable[[], T]) -> T:
        """Make a call when the pace allows it, and repeat it on transient errors."""
        self.pace.wait()
        return patiently(self.ctx, call)

    def save(self) -> None:
        """Write the record to the state file."""
        self.ctx.state.put("attachments", self.api, self.record)

    def changes(self, done: str) -> Iterator[MethodChange]:
        """Yield the plan's changes, and report each as done when the caller asks for the next.

        The plan is fresh, but many changes take a while. So every LOOK_AGAIN of them the rest is
        read again. Raises CogauthError if someone has changed one of those since the plan.
        """
        todo = self.plan.changes
        for nth, change in enumerate(todo, 1):
            if nth % LOOK_AGAIN == 0:
                self._look_again(todo[nth - 1 :])
            yield change
            self.report(f"{done} {change.name}", nth, len(todo))

    def _look_again(self, changes: Sequence[MethodChange]) -> None:
        read = partial(or_none, lambda: rest_apis.methods(self.ctx, self.api))
        live = {each.name: each.authorization for each in self.at_pace(read) or []}
        for change in changes:
            now = live.get(change.name)
            if now and not same(now, change.before):
                raise CogauthError(
                    f"Someone changed {change.name} of the API {self.plan.api.name} meanwhile. It "
                    f"was not touched; {self.ctx.state.path} records what was done.",
                    hint="Run the same command again to see the new plan.",
                )

    def update(self, change: MethodChange, after: Authorization) -> None:
        """Change a method's authorization; if that fails, restore it and raise CogauthError."""
        method, before = change.method, change.before
        answered = self.at_pace(lambda: self._update(method, before, after))
        if same(answered, after):
            return
        # Some emulators lose scopes.
        back = self.at_pace(lambda: self._update(method, answered, before))
        outcome = "It was restored" if same(back, before) else "Restoring it failed too"
        state = self.ctx.state
        raise CogauthError(
            f"Changing {change.name} of the API {self.plan.api.name} failed: it should have "
            f"{_plain(after)}, but {state.endpoint_url or 'AWS'} gave it {_plain(answered)}. "
            f"{outcome}.",
            hint=f"Run 'cogauth detach --api {self.api}{state.options}' to undo the rest.",
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
            # botocore repeated a call whose answer got lost: the scopes already exist.
            if code_of(error) != BAD_REQUEST:
                raise
            live = or_none(lambda: aws.get_method(**which))
            if live is None or not same(authorization_of(live), after):
                raise
            return after

    def delete_authorizer(self, authorizer: str) -> bool:
        """Delete an authorizer of ours; return whether it existed."""
        delete = partial(rest_api.delete_authorizer, self.ctx, self.api, authorizer)
        return self.at_pace(delete)

    def deploy(self) -> str | None:
        """Deploy the API to the plan's stages, without changing anything else about them."""
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
        """Delete our deployments that no stage uses any more."""
        delete = self.ctx.aws.apigateway.delete_deployment
        for deployment in self.plan.api.superseded(self.plan.stages):
            call = partial(delete, restApiId=self.api, deploymentId=deployment)
            # AWS refuses if a stage has begun to use it.
            self.at_pace(partial(deleted, call, (*NOT_FOUND, BAD_REQUEST)))

    def by_name(self) -> list[Live]:
        """Return the API's authorizers that have our name: one, or none."""
        found = or_none(lambda: rest_apis.authorizers(self.ctx, self.api)) or []
        return [one for one in found if one["name"] == our_name(self.ctx)]

    def left_by_a_crash(self) -> list[Live]:
        """Look for an authorizer whose creation was interrupted."""
        intent = self.record["authorizer"]
        return look_after_crash(self.ctx, intent, "authorizer", self.by_name)


def patch(before: Authorization, after: Authorization) -> list[dict[str, str]]:
    """Return the patch operations that change a method's authorization in one UpdateMethod.

    Scopes are added and removed one by one: ``replace`` doesn't work on lists. Each operation
    leaves a valid method, except that AWS checks type and authorizer together: only the types
    COGNITO_USER_POOLS and JWT may have scopes, and NONE ignores the authorizer.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateMethod-Patch
    Source of the order and the empty authorizer:
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
