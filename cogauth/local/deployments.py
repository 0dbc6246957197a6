"""Make stages serve what was deployed, without later changes.

Ministack serves the API's current state. Here each deployment keeps a copy, which ministack's own
code uses while it serves a request. Ministack itself keeps copies of gateway responses.
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks
from cogauth.local.control import EXPORT, MODULE, STORE
from cogauth.local.hooks import AnyFunction

EXECUTE = (
    "request api_id stage_name method path headers body query_params owner_account_id owner_region"
)
# The stores read to serve a request, without the stage settings, which take effect at once.
_COPIED = ("_rest_apis", "_resources", "_authorizers_v1", "_models", "_request_validators")
# The key of the copies in ministack's saved data.
_SAVED = "cogauth_deployed"

# While a request is served: the API's id, and the copies by store name.
_served: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar("served", default=None)

_new_store = hooks.called(STORE, "")
_live = {name: hooks.kept(MODULE + name, STORE) for name in _COPIED}
_stages = hooks.kept(f"{MODULE}_stages_v1", STORE)
_scope = hooks.called(f"{MODULE}find_api_scope", "api_id")
_error = hooks.called(f"{MODULE}_v1_error", "code message status")


@cache
def _copies() -> Any:
    """Return the copies, by API id and deployment id."""
    return _new_store()


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    for name, store in _live.items():
        hooks.put(MODULE + name, _as_served(store(), name))
    for name, parameters, around in (
        ("_execute_in_scope", EXECUTE, _execute),
        ("method_authorization_type", "api_id stage_name method path", _of_stage),
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
        ("_build_api_export", EXPORT, _of_stage),
        ("rest_api_policy_for_arn", "resource_arn", _policy),
        ("_create_deployment", "api_id data", _create_deployment),
        ("_delete_deployment", "api_id deployment_id", _delete_deployment),
        ("_create_stage", "api_id data", _create_stage),
        ("_update_stage", "api_id stage_name data", _update_stage),
        ("_delete_rest_api", "api_id", _delete_api),
        ("get_state", "", _state),
        ("load_persisted_state", "data", _load),
        ("reset", "", _reset),
    ):
        hooks.wrap(MODULE + name, parameters, around)


@contextmanager
def _serving(api: str, stage: str) -> Iterator[None]:
    scope, found = _scope(api), None
    if scope is not None:
        settings = _stages().get_scoped(*scope, api, {}).get(stage, {})
        found = _copies().get_scoped(*scope, api, {}).get(settings.get("deploymentId"))
    token = _served.set(found and (api, found))
    try:
        yield
    finally:
        _served.reset(token)


async def _execute(own: AnyFunction, request: Any, api_id: str, stage_name: str, *rest: Any) -> Any:
    with _serving(api_id, stage_name):
        return await own(request, api_id, stage_name, *rest)


def _of_stage(own: AnyFunction, api_id: str, stage_name: str, *rest: Any) -> Any:
    with _serving(api_id, stage_name):
        return own(api_id, stage_name, *rest)


def _policy(own: AnyFunction, resource_arn: str) -> Any:
    """Return the resource policy that the stage of a request's ARN serves."""
    api, stage, *_ = [*resource_arn.rpartition(":")[2].split("/"), ""]
    with _serving(api, stage):
        return own(resource_arn)


def _create_deployment(own: AnyFunction, api_id: str, data: Any) -> Any:
    if (why := _undeployable(_live["_resources"]().get(api_id))) is not None:
        return _error("BadRequestException", why, 400)
    status, headers, body = own(api_id, data)
    if status == HTTPStatus.CREATED:
        copies = {name: store().get(api_id, {}) for name, store in _live.items()}
        _copies().setdefault(api_id, {})[json.loads(body)["id"]] = copy.deepcopy(copies)
    return status, headers, body


def _create_stage(own: AnyFunction, api_id: str, data: Any) -> Any:
    # A stage needs a unique name and an existing deployment.
    # Sources: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html and
    # https://github.com/aws/chalice/pull/1839
    if data.get("stageName") in _stages().get(api_id, {}):
        return _error("ConflictException", "Stage already exists", 409)
    return _unless_unknown(api_id, data.get("deploymentId")) or own(api_id, data)


def _update_stage(own: AnyFunction, api_id: str, stage_name: str, data: Any) -> Any:
    """Refuse a deployment that doesn't exist. Source: see ``_create_stage``."""
    for one in data.get("patchOperations", []):
        if (one.get("op"), one.get("path")) == ("replace", "/deploymentId"):
            refused = _unless_unknown(api_id, one.get("value"))
            if refused:
                return refused
    return own(api_id, stage_name, data)


def _unless_unknown(api: str, deployment: Any) -> Any:
    is_there = _live["_rest_apis"]().get(api) is not None
    if not is_there or deployment in _copies().get(api, {}):
        return None
    return _error("BadRequestException", "Deployment id does not exist", 400)


def _delete_deployment(own: AnyFunction, api_id: str, deployment_id: str) -> Any:
    # AWS doesn't delete a deployment that a stage uses.
    # Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/api_gateway_deployment
    stages = _stages().get(api_id, {}).values()
    if deployment_id in {stage["deploymentId"] for stage in stages}:
        why = "Active stages pointing to this deployment must be moved or deleted"
        return _error("BadRequestException", why, 400)
    _copies().get(api_id, {}).pop(deployment_id, None)
    return own(api_id, deployment_id)


def _delete_api(own: AnyFunction, api_id: str) -> Any:
    _copies().pop(api_id, None)
    return own(api_id)


def _state(own: AnyFunction) -> Any:
    return {**own(), _SAVED: copy.deepcopy(_copies())}


def _load(own: AnyFunction, data: Any) -> None:
    own(data)
    _copies().update((data or {}).get(_SAVED, {}))


def _reset(own: AnyFunction) -> None:
    own()
    _copies().clear()


def _as_served(live: Any, name: str) -> Any:
    """Return a store that has the deployed version while a request is served."""

    class Served(type(live)):  # type: ignore[misc]
        __slots__ = ()

        def get(self, key: Any, default: Any = None) -> Any:
            return deployed(key, super().get(key, default))

        def get_scoped(self, account: str, region: str, key: Any, default: Any = None) -> Any:
            return deployed(key, super().get_scoped(account, region, key, default))

    def deployed(api: Any, current: Any) -> Any:
        served = _served.get()
        return served[1][name] if served is not None and served[0] == api else current

    store = Served()
    store.update(live)
    return store


def _undeployable(resources: Any) -> str | None:
    # Return AWS's message for an API that it won't deploy; None if it can be deployed.
    # Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigateway-deployment.html
    # and https://github.com/hashicorp/terraform-provider-aws/issues/21210
    if resources is None:  # There is no such API: ministack itself answers that.
        return None
    methods = [one for each in resources.values() for one in each["resourceMethods"].values()]
    if not methods:
        return "The REST API doesn't contain any methods"
    if not all(one["methodIntegration"] for one in methods):
        return "No integration defined for method"
    return None
