"""The console's Deploy API: a snapshot of the API, and the stage that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cogauth.aws.answers import Field, Live, deleted, or_none
from cogauth.aws.policies import REST_API, Purpose, allow
from cogauth.gateway import rest_apis
from cogauth.steps.base import Change, Recreate, Resource
from cogauth.steps.rest_api import TAG, api_arn, api_page, present

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.policies import Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings


class Deployment(Resource):
    """A snapshot of the API. Changes to the API reach clients only with a new one."""

    key = "deployment"
    parent = "rest_api"
    # CreateDeployment requires an integration for each method and the authorizers that the methods
    # refer to; the other resources are what it publishes.
    depends_on = (
        "authorizer",
        "sign_in_integration",
        "protected_integration",
        "sign_in_preflight",
        "hello_preflight",
        "unauthorized_response",
        "access_denied_response",
        "default_4xx_response",
        "default_5xx_response",
    )
    recreate = Recreate.SNAPSHOT

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (rest_apis.reading(REST_API, "deployments"),),
            Purpose.READ: (rest_apis.reading(REST_API, "deployments", "deployments/*"),),
            Purpose.CREATE: (allow(f"{REST_API}/deployments", "apigateway:POST"),),
            Purpose.DELETE: (
                allow(f"{REST_API}/deployments/*", "apigateway:DELETE"),
                rest_apis.reading(REST_API, "stages"),
            ),
        }

    def create(self, ctx: Context) -> Live:
        return ctx.aws.apigateway_once.create_deployment(
            restApiId=ctx.fact("rest_api"), description=ctx.name_with_id
        )

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        found = rest_apis.deployments(ctx, ctx.fact("rest_api"))
        return [one for one in found if self.is_named(ctx, one)]

    def is_named(self, ctx: Context, live: Live) -> bool:
        return live.get("description") == ctx.name_with_id

    def read(self, ctx: Context, record: Record) -> Live | None:
        # From the list, because that shows superseded ones, too.
        found = or_none(lambda: rest_apis.deployments(ctx, ctx.fact("rest_api"))) or []
        return next((one for one in found if one["id"] == record["id"]), None)

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["id"]}

    def console_page(self, ctx: Context, identifier: str) -> str:
        return api_page(ctx, ctx.fact("rest_api"), "stages")

    def delete(self, ctx: Context, record: Record) -> bool:
        api, deployment = ctx.fact("rest_api"), record["id"]
        if deployment in {stage.get("deploymentId") for stage in rest_apis.stages(ctx, api)}:
            return False
        delete = ctx.aws.apigateway.delete_deployment
        return deleted(lambda: delete(restApiId=api, deploymentId=deployment))


class Stage(Resource):
    """The stage: a deployment under a URL, with a throttle on the sign-in method.

    Without one, the open sign-up could use up Cognito's quotas, which the whole account shares.
    """

    key = "stage"
    parent = "rest_api"
    depends_on = ("deployment",)
    conflict = "ConflictException"
    tuned = True

    def permissions(self, settings: Settings) -> Permissions:
        one = f"{REST_API}/stages/STAGE"
        return {
            Purpose.FIND: (allow(one, "apigateway:GET"),),
            Purpose.CREATE: (allow(f"{REST_API}/stages", "apigateway:POST"), TAG),
            Purpose.CHANGE: (
                allow(one, "apigateway:PATCH"),
                rest_apis.reading(REST_API, "deployments", "deployments/*"),
            ),
        }

    def _place(self, ctx: Context) -> dict[str, Any]:
        return {"restApiId": ctx.fact("rest_api"), "stageName": ctx.state.settings.stage}

    def create(self, ctx: Context) -> Live:
        """Create the stage on the deployment; this call accepts tags, CreateDeployment doesn't."""
        return ctx.aws.apigateway.create_stage(
            **self._place(ctx), deploymentId=ctx.fact("deployment"), tags=ctx.tags
        )

    def read(self, ctx: Context, record: Record) -> Live | None:
        return present(ctx.aws.apigateway.get_stage, **self._place(ctx))

    def facts(self, ctx: Context, live: Live) -> Record:
        arn = f"{api_arn(ctx, ctx.fact('rest_api'))}/stages/{live['stageName']}"
        return {"id": live["stageName"], "arn": arn}

    def tags(self, live: Live) -> dict[str, str]:
        """Return its tags: the API's owner may have added other stages."""
        return live.get("tags") or {}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        settings, ours = ctx.state.settings, ctx.fact("deployment")
        patch: Any = []
        differs = []
        if serves_other := live["deploymentId"] != ours and not _is_later(ctx, live):
            patch.append({"op": "replace", "path": "/deploymentId", "value": ours})
            differs.append(Field("deploymentId", live["deploymentId"], ours))
        throttle = _throttle(live, f"{settings.path}/POST")
        for key, option, value in (
            ("throttlingRateLimit", "rateLimit", settings.throttle_rate),
            ("throttlingBurstLimit", "burstLimit", settings.throttle_burst),
        ):
            if throttle.get(key) != value:
                # The patch path contains the method's full path, in which '~1' stands for '/'.
                path = f"/{settings.path.replace('/', '~1')}/POST/throttling/{option}"
                patch.append({"op": "replace", "path": path, "value": str(value)})
                within = f"methodSettings.{settings.path}/POST"
                differs.append(Field(f"{within}.{key}", throttle.get(key), value))
        if patch:
            yield Change(
                lambda: ctx.aws.apigateway.update_stage(**self._place(ctx), patchOperations=patch),
                tuple(differs),
                guards=serves_other,
            )

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        superseded = [one for one in Deployment().find(ctx) if one["id"] != ctx.fact("deployment")]
        if superseded:
            ours = ctx.fact("deployment")
            yield Change(
                lambda: [Deployment().delete(ctx, {"id": one["id"]}) for one in superseded],
                (Field("deployments", sorted({*(one["id"] for one in superseded), ours}), [ours]),),
                what="delete superseded deployments",
            )

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        throttle = _throttle(live, f"{ctx.state.settings.path}/POST")
        names = {"throttlingRateLimit": "throttle_rate", "throttlingBurstLimit": "throttle_burst"}
        return {setting: throttle[key] for key, setting in names.items() if key in throttle}


def _is_later(ctx: Context, stage: Live) -> bool:
    """Return whether somebody else deployed the API after us, and so may have published more."""
    place, get = {"restApiId": ctx.fact("rest_api")}, ctx.aws.apigateway.get_deployment
    served = present(get, **place, deploymentId=stage["deploymentId"])
    if served is None or Deployment().is_named(ctx, served):
        return False
    # If AWS doesn't show ours yet, it was created just now.
    ours = present(get, **place, deploymentId=ctx.fact("deployment"))
    return bool(ours and served["createdDate"] >= ours["createdDate"])


def _throttle(stage: Live, method: str) -> Live:
    """Return a method's settings: AWS writes their key with or without a leading slash."""
    for key, settings in stage.get("methodSettings", {}).items():
        if key.replace("~1", "/").strip("/") == method.strip("/"):
            return settings  # type: ignore[no-any-return]
    return {}
