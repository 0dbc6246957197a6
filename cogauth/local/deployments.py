"""A stage serves what was deployed, and not what was changed since.

Ministack serves the API as it stands. Here each deployment keeps a copy, and ministack's own code
finds that one while it serves a request. Of gateway responses it keeps copies itself.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from cogauth.local import hooks

_Function = Callable[..., Any]

_MODULE = "services.apigateway_v1."
# What is read while a request is served, but for the stage's own settings, which act at once.
_COPIED = ("_rest_apis", "_resources", "_authorizers_v1", "_models", "_request_validators")
# What a copy is saved as, beside what ministack saves.
_SAVED = "cogauth_deployed"
_CREATED = 201

# While a request is served: the API's id, and the copies by the names of the stores.
_served: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar("served", default=None)


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
    kept = _Deployed()
    hooks.replace(
        f"{_MODULE}_execute_in_scope",
        "request api_id stage_name method path headers body query_params owner_account_id "
        "owner_region",
        kept.served,
    )
    hooks.replace(
        f"{_MODULE}method_authorization_type",
        "api_id stage_name method path",
        kept.authorization_type,
    )
    hooks.replace(
        f"{_MODULE}_build_api_export",
        "api_id stage_name export_type include_integrations include_authorizers",
        kept.exported,
    )
    hooks.replace(f"{_MODULE}rest_api_policy_for_arn", "resource_arn", kept.policy)
    hooks.replace(f"{_MODULE}_create_deployment", "api_id data", kept.created)
    hooks.replace(f"{_MODULE}_delete_deployment", "api_id deployment_id", kept.deleted)
    hooks.replace(f"{_MODULE}_create_stage", "api_id data", kept.staged)
    hooks.replace(f"{_MODULE}_update_stage", "api_id stage_name data", kept.moved)
    hooks.replace(f"{_MODULE}_delete_rest_api", "api_id", kept.api_deleted)
    hooks.replace(f"{_MODULE}get_state", "", kept.saved)
    hooks.replace(f"{_MODULE}load_persisted_state", "data", kept.loaded)
    hooks.replace(f"{_MODULE}reset", "", kept.reset)


class _Deployed:
    """The copies, and what takes the place of ministack's functions, each made of its own."""

    def __init__(self) -> None:
        store: Any = hooks.function("core.responses.AccountRegionScopedDict", "")
        for name in _COPIED:
            hooks.replace_value(_MODULE + name, store, _as_served(store, name))
        self._live = {name: hooks.value(_MODULE + name, store) for name in _COPIED}
        self._stages = hooks.value(f"{_MODULE}_stages_v1", store)
        # By the API's id: the copies by the deployment's.
        self._copies = store()
        self._scope = hooks.function(f"{_MODULE}find_api_scope", "api_id")
        self._error = hooks.function(f"{_MODULE}_v1_error", "code message status")

    @contextmanager
    def _serving(self, api: str, stage: str) -> Iterator[None]:
        scope, found = self._scope(api), None
        if scope is not None:
            settings = self._stages.get_scoped(*scope, api, {}).get(stage, {})
            found = self._copies.get_scoped(*scope, api, {}).get(settings.get("deploymentId"))
        token = _served.set(found and (api, found))
        try:
            yield
        finally:
            _served.reset(token)

    def served(self, ours: _Function) -> _Function:
        @wraps(ours)
        async def execute(request: Any, api_id: str, stage_name: str, *rest: Any) -> Any:
            with self._serving(api_id, stage_name):
                return await ours(request, api_id, stage_name, *rest)

        return execute

    def authorization_type(self, ours: _Function) -> _Function:
        @wraps(ours)
        def of_method(api_id: str, stage_name: str, method: str, path: str) -> Any:
            with self._serving(api_id, stage_name):
                return ours(api_id, stage_name, method, path)

        return of_method

    def exported(self, ours: _Function) -> _Function:
        """An export is of what is deployed.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
        """

        @wraps(ours)
        def export(api_id: str, stage_name: str, *rest: Any) -> Any:
            with self._serving(api_id, stage_name):
                return ours(api_id, stage_name, *rest)

        return export

    def policy(self, ours: _Function) -> _Function:
        """The API's resource policy: of a request's ARN, that of its stage."""

        @wraps(ours)
        def of_request(resource_arn: str) -> Any:
            api, stage, *_ = [*resource_arn.rpartition(":")[2].split("/"), ""]
            with self._serving(api, stage):
                return ours(resource_arn)

        return of_request

    def created(self, ours: _Function) -> _Function:
        @wraps(ours)
        def create(api_id: str, data: Any) -> Any:
            if (why := _undeployable(self._live["_resources"].get(api_id))) is not None:
                return self._error("BadRequestException", why, 400)
            status, headers, body = ours(api_id, data)
            if status == _CREATED:
                copies = {name: live.get(api_id, {}) for name, live in self._live.items()}
                of_api = self._copies.setdefault(api_id, {})
                of_api[json.loads(body)["id"]] = copy.deepcopy(copies)
            return status, headers, body

        return create

    def staged(self, ours: _Function) -> _Function:
        """A stage has a name of its own, and a deployment that is there.

        Sources: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html and
        https://github.com/aws/chalice/pull/1839
        """

        @wraps(ours)
        def create(api_id: str, data: Any) -> Any:
            if data.get("stageName") in self._stages.get(api_id, {}):
                return self._error("ConflictException", "Stage already exists", 409)
            return self._unless_unknown(api_id, data.get("deploymentId")) or ours(api_id, data)

        return create

    def moved(self, ours: _Function) -> _Function:
        """A stage is put on a deployment that is there. Source: that of ``staged``."""

        @wraps(ours)
        def update(api_id: str, stage_name: str, data: Any) -> Any:
            to = [
                one.get("value")
                for one in data.get("patchOperations", [])
                if (one.get("op"), one.get("path")) == ("replace", "/deploymentId")
            ]
            refused = next(filter(None, (self._unless_unknown(api_id, one) for one in to)), None)
            return refused or ours(api_id, stage_name, data)

        return update

    def _unless_unknown(self, api: str, deployment: Any) -> Any:
        is_there = self._live["_rest_apis"].get(api) is not None
        if not is_there or deployment in self._copies.get(api, {}):
            return None
        return self._error("BadRequestException", "Deployment id does not exist", 400)

    def deleted(self, ours: _Function) -> _Function:
        """AWS keeps one that a stage is on.

        Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/api_gateway_deployment
        """

        @wraps(ours)
        def delete(api_id: str, deployment_id: str) -> Any:
            stages = self._stages.get(api_id, {}).values()
            if deployment_id in {stage["deploymentId"] for stage in stages}:
                why = "Active stages pointing to this deployment must be moved or deleted"
                return self._error("BadRequestException", why, 400)
            self._copies.get(api_id, {}).pop(deployment_id, None)
            return ours(api_id, deployment_id)

        return delete

    def api_deleted(self, ours: _Function) -> _Function:
        @wraps(ours)
        def delete(api_id: str) -> Any:
            self._copies.pop(api_id, None)
            return ours(api_id)

        return delete

    def saved(self, ours: _Function) -> _Function:
        @wraps(ours)
        def state() -> Any:
            return {**ours(), _SAVED: copy.deepcopy(self._copies)}

        return state

    def loaded(self, ours: _Function) -> _Function:
        @wraps(ours)
        def load(data: Any) -> None:
            ours(data)
            self._copies.update((data or {}).get(_SAVED, {}))

        return load

    def reset(self, ours: _Function) -> _Function:
        @wraps(ours)
        def empty() -> None:
            ours()
            self._copies.clear()

        return empty


def _as_served(store: Any, name: str) -> Callable[[Any], Any]:
    """Return what makes a store which has, while a request is served, what was deployed."""

    class Served(store):  # type: ignore[misc]
        __slots__ = ()

        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            return deployed(key, found)

        def get_scoped(self, account: str, region: str, key: Any, default: Any = None) -> Any:
            found = super().get_scoped(account, region, key, default)
            return deployed(key, found)

    def deployed(api: Any, standing: Any) -> Any:
        served = _served.get()
        return served[1][name] if served is not None and served[0] == api else standing

    def make(theirs: Any) -> Any:
        ours = Served()
        ours.update(theirs)
        return ours

    return make


def _undeployable(resources: Any) -> str | None:
    """Return AWS's words for an API that it doesn't deploy; None: it does.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigateway-deployment.html
    and https://github.com/hashicorp/terraform-provider-aws/issues/21210
    """
    if resources is None:  # There is no such API, which ministack says.
        return None
    methods = [one for each in resources.values() for one in each["resourceMethods"].values()]
    if not methods:
        return "The REST API doesn't contain any methods"
    if not all(one["methodIntegration"] for one in methods):
        return "No integration defined for method"
    return None
