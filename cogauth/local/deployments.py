"""A stage serves what was deployed, and not what was changed since.

Ministack serves the API as it stands. Here each deployment keeps a copy, and ministack's own code
finds that one while it serves a request. Of gateway responses it keeps copies itself.
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from cogauth.local import hooks
from cogauth.local.control import EXPORT, MODULE, STORE
from cogauth.local.hooks import Function

EXECUTE = (
    "request api_id stage_name method path headers body query_params owner_account_id owner_region"
)
# What is read while a request is served, but for the stage's own settings, which act at once.
_COPIED = ("_rest_apis", "_resources", "_authorizers_v1", "_models", "_request_validators")
# What a copy is saved as, beside what ministack saves.
_SAVED = "cogauth_deployed"
_CREATED = 201

# While a request is served: the API's id, and the copies by the names of the stores.
_served: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar("served", default=None)

_new_store = hooks.called(STORE, "")
_live = {name: hooks.kept(MODULE + name, STORE) for name in _COPIED}
_stages = hooks.kept(f"{MODULE}_stages_v1", STORE)
_scope = hooks.called(f"{MODULE}find_api_scope", "api_id")
_error = hooks.called(f"{MODULE}_v1_error", "code message status")


@cache
def _copies() -> Any:
    """Return the store of the copies, by the API's id and the deployment's."""
    return _new_store()


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
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


async def _execute(own: Function, request: Any, api_id: str, stage_name: str, *rest: Any) -> Any:
    with _serving(api_id, stage_name):
        return await own(request, api_id, stage_name, *rest)


def _of_stage(own: Function, api_id: str, stage_name: str, *rest: Any) -> Any:
    with _serving(api_id, stage_name):
        return own(api_id, stage_name, *rest)


def _policy(own: Function, resource_arn: str) -> Any:
    """The API's resource policy: of a request's ARN, that of its stage."""
    api, stage, *_ = [*resource_arn.rpartition(":")[2].split("/"), ""]
    with _serving(api, stage):
        return own(resource_arn)


def _create_deployment(own: Function, api_id: str, data: Any) -> Any:
    if (why := _undeployable(_live["_resources"]().get(api_id))) is not None:
        return _error("BadRequestException", why, 400)
    status, headers, body = own(api_id, data)
    if status == _CREATED:
        copies = {name: store().get(api_id, {}) for name, store in _live.items()}
        _copies().setdefault(api_id, {})[json.loads(body)["id"]] = copy.deepcopy(copies)
    return status, headers, body


def _create_stage(own: Function, api_id: str, data: Any) -> Any:
    # A stage has a name of its own, and a deployment that is there.
    # Sources: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html and
    # https://github.com/aws/chalice/pull/1839
    if data.get("stageName") in _stages().get(api_id, {}):
        return _error("ConflictException", "Stage already exists", 409)
    return _unless_unknown(api_id, data.get("deploymentId")) or own(api_id, data)


def _update_stage(own: Function, api_id: str, stage_name: str, data: Any) -> Any:
    """A stage is put on a deployment that is there. Source: that of ``_create_stage``."""
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


def _delete_deployment(own: Function, api_id: str, deployment_id: str) -> Any:
    # AWS keeps one that a stage is on.
    # Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/api_gateway_deployment
    stages = _stages().get(api_id, {}).values()
    if deployment_id in {stage["deploymentId"] for stage in stages}:
        why = "Active stages pointing to this deployment must be moved or deleted"
        return _error("BadRequestException", why, 400)
    _copies().get(api_id, {}).pop(deployment_id, None)
    return own(api_id, deployment_id)


def _delete_api(own: Function, api_id: str) -> Any:
    _copies().pop(api_id, None)
    return own(api_id)


def _state(own: Function) -> Any:
    return {**own(), _SAVED: copy.deepcopy(_copies())}


def _load(own: Function, data: Any) -> None:
    own(data)
    _copies().update((data or {}).get(_SAVED, {}))


def _reset(own: Function) -> None:
    own()
    _copies().clear()


def _as_served(live: Any, name: str) -> Any:
    """Return a store which has, while a request is served, what was deployed."""

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
    # AWS's words for an API that it doesn't deploy; None: it does.
    # Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigateway-deployment.html
    # and https://github.com/hashicorp/terraform-provider-aws/issues/21210
    if resources is None:  # There is no such API, which ministack says.
        return None
    methods = [one for each in resources.values() for one in each["resourceMethods"].values()]
    if not methods:
        return "The REST API doesn't contain any methods"
    if not all(one["methodIntegration"] for one in methods):
        return "No integration defined for method"
    return None
