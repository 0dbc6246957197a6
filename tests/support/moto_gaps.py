"""What moto lacks in API Gateway, Cognito and CloudWatch Logs."""

from __future__ import annotations

import functools
import json
import re
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.loaders import JSONFileLoader, Loader
from botocore.useragent import UserAgentString
from joserfc import jwk
from moto.apigateway.exceptions import (
    AuthorizerNotFoundException,
    BadRequestException,
    ConflictException,
    DeploymentNotFoundException,
    NoIntegrationDefined,
)
from moto.apigateway.models import APIGatewayBackend, Authorizer, RestAPI, Stage
from moto.apigateway.responses import AUTHORIZER_TYPES, APIGatewayResponse
from moto.cognitoidp.models import CognitoIdpBackend
from moto.core import models, responses
from moto.core.base_backend import BaseBackend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.serialize import XFormedAttributePicker
from moto.logs.models import LogGroup

from support.moto_export import exported, get_export

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from botocore.awsrequest import AWSRequest


def _update_method(response: Any) -> str:
    """Change who may call a method as AWS does: fully, or not at all if the result is wrong."""
    api, resource, http_method = (response.path.split("/")[part] for part in (2, 4, 6))
    method = response.backend.get_method(api, resource, http_method)
    names = {"/authorizationType": "authorization_type", "/authorizerId": "authorizer_id"}
    new = {name: getattr(method, name) for name in names.values()}
    new["api_key_required"] = method.api_key_required
    scopes = list(method.authorization_scopes or [])
    for operation in response._get_param("patchOperations"):  # noqa: SLF001 moto's own way
        op, path, value = operation["op"], operation["path"], operation["value"]
        if path == "/authorizationScopes":
            # A list's members can be added and removed, but the list can't be replaced.
            {"add": scopes.append, "remove": scopes.remove}[op](value)
            continue
        assert op == "replace"
        if path == "/apiKeyRequired":
            new["api_key_required"] = value == "true"
        else:
            new[names[path]] = value
    if new["authorization_type"] in {"NONE", "AWS_IAM"}:
        new["authorizer_id"] = None
    elif new["authorizer_id"] not in response.backend.get_rest_api(api).authorizers:
        raise BadRequestException(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM, "
            "COGNITO_USER_POOLS or JWT requires a valid authorizer."
        )
    if scopes and new["authorization_type"] not in {"COGNITO_USER_POOLS", "JWT"}:
        raise BadRequestException(
            "Invalid Method authorization type specified. Authorization Scopes are only valid for "
            "COGNITO_USER_POOLS and JWT authorization type"
        )
    for name, value in {**new, "authorization_scopes": scopes or None}.items():
        setattr(method, name, value)
    return json.dumps(method.to_json())


def _update_method_response(response: Any) -> tuple[int, dict[str, Any], str]:
    names = response.path.split("/")
    api, resource, http_method, status = (unquote(names[part]) for part in (2, 4, 6, 8))
    found = response.backend.get_method_response(api, resource, http_method, status)
    for operation in response._get_param("patchOperations"):  # noqa: SLF001 moto's own way
        assert operation["op"] == "add"
        assert operation["value"] in {"true", "false"}
        name = operation["path"].removeprefix("/responseParameters/")
        assert name.startswith("method.response.header.")
        declared = {**(found.response_parameters or {}), name: operation["value"] == "true"}
        found.response_parameters = declared
    return 201, {}, json.dumps(found.to_json())


def _put_method_response(
    backend: APIGatewayBackend, api: str, resource: str, method: str, status: str, *rest: Any
) -> Any:
    if backend.get_method_response(api, resource, method, status) is not None:
        raise ConflictException("Response already exists for this resource")
    return _moto_put_method_response(backend, api, resource, method, status, *rest)


def _put_integration_response(  # noqa: PLR0913, PLR0917 as moto has it
    backend: APIGatewayBackend,
    api: str,
    resource: str,
    method: str,
    status: str,
    pattern: Any,
    templates: Any,
    parameters: dict[str, str] | None,
    *rest: Any,
) -> Any:
    """Refuse, as AWS does, a header that the method response of that status doesn't declare."""
    declared = backend.get_method_response(api, resource, method, status)
    for name in parameters or {}:
        if declared is None or name not in (declared.response_parameters or {}):
            raise BadRequestException(
                "Invalid mapping expression specified: Validation Result: warnings : [], "
                f"errors : [Invalid mapping expression parameter specified: {name}]"
            )
    return _moto_put_integration_response(
        backend, api, resource, method, status, pattern, templates, parameters, *rest
    )


def _get_gateway_response(response: Any) -> tuple[int, dict[str, Any], str]:
    """Answer with API Gateway's default response if none is set; moto has none.

    It has the headers of the DEFAULT_ response of its kind, but is still marked as a default.
    """
    api, kind = response.path.split("/")[-3], response.path.split("/")[-1]
    set_by_user = response.backend.get_rest_api(api).gateway_responses
    if kind in set_by_user:
        return _moto_get_gateway_response(response)
    inherited = set_by_user.get("DEFAULT_4XX")
    status = {"UNAUTHORIZED": "401", "ACCESS_DENIED": "403"}.get(kind)
    answer = {
        "responseType": kind,
        "defaultResponse": True,
        "responseParameters": (inherited.response_parameters or {}) if inherited and status else {},
        "responseTemplates": {"application/json": '{"message":$context.error.messageString}'},
        **({"statusCode": status} if status else {}),
    }
    return 200, {}, json.dumps(answer)


_moto_put_method_response = APIGatewayBackend.put_method_response
_moto_put_integration_response = APIGatewayBackend.put_integration_response
_moto_get_gateway_response = APIGatewayResponse.get_gateway_response


def _create_authorizer(
    backend: APIGatewayBackend, restapi_id: str, name: str, *given: Any, **named: Any
) -> Any:
    """Refuse, as AWS does, a name that another authorizer of the API has."""
    if name in [one.name for one in backend.get_rest_api(restapi_id).authorizers.values()]:
        raise BadRequestException(
            f"Authorizer name must be unique. Authorizer {name} already exists in this RestApi."
        )
    return _moto_create_authorizer(backend, restapi_id, name, *given, **named)


def _delete_authorizer(backend: APIGatewayBackend, restapi_id: str, authorizer_id: str) -> None:
    """Refuse, as AWS does, while a method refers to it, or if it doesn't exist."""
    api = backend.get_rest_api(restapi_id)
    if authorizer_id not in api.authorizers:
        raise AuthorizerNotFoundException
    for resource in api.resources.values():
        for name, method in resource.resource_methods.items():
            if method.authorizer_id == authorizer_id:
                raise ConflictException(
                    f"Cannot delete authorizer '{api.authorizers[authorizer_id].name}', is "
                    f"referenced in method: {name}/{resource.get_path()}"
                )
    del api.authorizers[authorizer_id]


def _create_deployment(
    backend: APIGatewayBackend, function_id: str, *given: Any, **named: Any
) -> Any:
    """Require an integration for each method, and take a snapshot, as AWS does."""
    api = backend.get_rest_api(function_id)
    methods = [one for each in api.resources.values() for one in each.resource_methods.values()]
    if any(one.method_integration is None for one in methods):
        raise BadRequestException("No integration defined for method")
    deployment = _moto_create_deployment(backend, function_id, *given, **named)
    deployment.exported = exported(api)
    return deployment


def _get_deployment(backend: APIGatewayBackend, api: str, deployment: str) -> Any:
    """Answer as AWS does that there is no such deployment; moto crashes."""
    if deployment not in backend.get_rest_api(api).deployments:
        raise DeploymentNotFoundException
    return _moto_get_deployment(backend, api, deployment)


def _create_resource(backend: APIGatewayBackend, api: str, parent: str, part: str) -> Any:
    """Refuse a path that already exists, as AWS does."""
    for one in backend.get_rest_api(api).resources.values():
        if (one.parent_id, one.path_part) == (parent, part):
            raise ConflictException(
                f"Another resource with the same parent already has this name: {part}"
            )
    return _moto_create_resource(backend, api, parent, part)


def _put_method(
    backend: APIGatewayBackend, api: str, resource: str, method: str, *rest: Any, **named: Any
) -> Any:
    """Refuse a method that already exists, as AWS does."""
    if method in backend.get_resource(api, resource).resource_methods:
        raise ConflictException("Method already exists for this resource")
    return _moto_put_method(backend, api, resource, method, *rest, **named)


def _check_patch(operations: list[dict[str, Any]]) -> None:
    """Refuse what is no patch, as AWS does: moto looks only for a word in the path."""
    for operation in operations:
        if operation["op"] not in {"add", "remove", "replace"} or operation["path"][0] != "/":
            raise BadRequestException(f"Invalid patch {operation}")


def _change_stage(stage: Stage, operations: list[dict[str, Any]]) -> Stage:
    _check_patch(operations)
    return _moto_change_stage(stage, operations)


def _apply_operations(authorizer: Authorizer, operations: list[dict[str, Any]]) -> Authorizer:
    _check_patch(operations)
    others = [operation for operation in operations if operation["path"] != "/providerARNs"]
    for operation in operations:
        if operation not in others:
            change = {"add": list.append, "remove": list.remove}[operation["op"]]
            change(authorizer.provider_arns, operation["value"])
            assert authorizer.provider_arns, "AWS refuses an authorizer without a provider"
    return _moto_apply_operations(authorizer, others)


def _tags_of(response: Any) -> dict[str, str]:
    """Return the tags that a tagging call is to change: a REST API's or a stage's."""
    names = unquote(response.path).split("/restapis/")[1].split("/")
    api = response.backend.get_rest_api(names[0])
    owner = api.stages[names[2]] if len(names) > 1 else api
    owner.tags = owner.tags or {}
    tags: dict[str, str] = owner.tags
    return tags


def _tag_resource(response: Any) -> str:
    _tags_of(response).update(response._get_param("tags"))  # noqa: SLF001 moto's own way
    return "{}"


def _untag_resource(response: Any) -> str:
    for key in response.querystring["tagKeys"]:
        _tags_of(response).pop(key, None)
    return "{}"


_moto_apply_operations = Authorizer.apply_operations
_moto_change_stage = Stage.apply_operations


def _update_user_pool(backend: CognitoIdpBackend, pool: str, given: dict[str, Any]) -> None:
    """Reset what isn't given, as AWS documents; settings fixed at creation stay."""
    live = backend.describe_user_pool(pool)
    chosen = {key: live.extended_config[key] for key in CHOSEN if key in live.extended_config}
    given = {key: value for key, value in given.items() if key != "UserPoolId"}
    live.update_extended_config({"UserPoolTier": "ESSENTIALS", **given, **chosen})
    live.mfa_config = given.get("MfaConfiguration", "OFF")
    live.name = given.get("PoolName", live.name)


def _delete_rest_api(backend: APIGatewayBackend, api: str) -> RestAPI:
    """Answer as AWS does that there is no such API; moto crashes."""
    backend.get_rest_api(api)
    return _moto_delete_rest_api(backend, api)


def _get_integration(backend: APIGatewayBackend, api: str, resource: str, method: str) -> Any:
    """Answer as AWS does that there is none; moto returns an empty one."""
    found = _moto_get_integration(backend, api, resource, method)
    if not found:
        raise NoIntegrationDefined
    return found


def _filter_log_events(group: LogGroup, *given: Any) -> Any:
    """Sort the events of all streams by time: AWS treats ``interleaved``, the last, as true."""
    return _moto_filter_log_events(group, *given[:-1], interleaved=True)


_moto_filter_log_events = LogGroup.filter_log_events
_moto_create_authorizer = APIGatewayBackend.create_authorizer
_moto_create_deployment = APIGatewayBackend.create_deployment
_moto_get_deployment = APIGatewayBackend.get_deployment
_moto_create_resource = APIGatewayBackend.create_resource
_moto_put_method = APIGatewayBackend.put_method
_moto_delete_rest_api = APIGatewayBackend.delete_rest_api
_moto_get_integration = APIGatewayBackend.get_integration
CHOSEN = ("UsernameConfiguration", "UsernameAttributes", "AliasAttributes")


def in_turn(call: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.RLock()

    def locked(*arguments: Any, **named: Any) -> Any:
        with lock:
            return call(*arguments, **named)

    return locked


def read_models_once(patch: pytest.MonkeyPatch) -> None:
    """Let botocore read the list of services and their models once for all sessions."""
    load = JSONFileLoader.load_file
    loaded = functools.cache(lambda path: load(JSONFileLoader(), path))
    patch.setattr(JSONFileLoader, "load_file", lambda _self, path: loaded(path))
    listing = Loader.list_available_services
    listed: dict[tuple[str, ...], list[str]] = {}

    def list_services(self: Loader, type_name: str) -> list[str]:
        key = (type_name, *self.search_paths)
        if key not in listed:
            listed[key] = listing(self, type_name)
        return listed[key]

    patch.setattr(Loader, "list_available_services", list_services)


def _add_auth(auth: SigV4Auth, request: AWSRequest) -> None:
    """Say who calls, and which service; sign only requests to a local AWS."""
    if auth.credentials is None or not AWS_HOST.fullmatch(urlsplit(request.url).netloc):
        _botocore_add_auth(auth, request)
        return
    request.context["timestamp"] = datetime.now(UTC).strftime(SIGV4_TIMESTAMP)
    auth._modify_request_before_signing(request)  # noqa: SLF001 botocore's own way
    said = f"Credential={auth.scope(request)}, SignedHeaders=host, Signature=none"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 {said}"


_botocore_add_auth = SigV4Auth.add_auth
AWS_HOST = re.compile(r"[\w.-]+\.amazonaws\.com(\.cn)?")


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Let moto and botocore compute only once what never changes.

    For moto: its RSA key, for all pools; its classes' methods and URLs, for all calls; the names
    under which its answers' values may stand; its callbacks for requests, for all tests.
    Also, no signature and no User-Agent are computed for moto, which ignores them.
    """
    read = functools.cache(lambda text: original(json.loads(text)))
    original = jwk.RSAKey.import_key
    patch.setattr(jwk.RSAKey, "import_key", lambda value: read(json.dumps(value)))
    patch.setattr(SigV4Auth, "add_auth", _add_auth)
    names = functools.cache(responses.method_names_from_class)
    patch.setattr(responses, "method_names_from_class", names)
    answers = functools.cache(models.CallbackResponse)
    patch.setattr(models, "CallbackResponse", answers)
    patch.setattr(UserAgentString, "to_string", lambda _: "tests")
    find_urls: Any = BaseBackend.urls.fget  # type: ignore[attr-defined]
    urls: dict[type, Any] = {}

    def urls_of(backend: BaseBackend) -> Any:
        if type(backend) not in urls:
            urls[type(backend)] = find_urls(backend)
        return urls[type(backend)]

    patch.setattr(BaseBackend, "urls", property(urls_of))
    patch.setattr(XFormedAttributePicker, "get_possible_keys", _possible_keys())
    # A copy of a weak dictionary holds the original's values, and a Snapshot is a copy.
    patch.setattr("moto.awslambda.models.weakref", SimpleNamespace(WeakValueDictionary=dict))
    # AWS handles concurrent calls; moto's dictionaries aren't made for that.
    patch.setattr(BotocoreStubber, "__call__", in_turn(BotocoreStubber.__call__))


def _possible_keys() -> Callable[[Any, Any], list[str]]:
    """Return get_possible_keys with a memory: its result depends on classes, a shape and a key."""
    original = XFormedAttributePicker.get_possible_keys
    known: dict[tuple[Any, ...], list[str]] = {}

    def possible_keys(picker: Any, context: Any) -> list[str]:
        case = (*picker.alias_providers, type(context.obj), context.key, context.shape)
        if case not in known:
            known[case] = list(original(picker, context))
        return known[case]

    return possible_keys


_whole_resource = APIGatewayResponse.get_resource


def _get_resource(response: Any) -> str:
    """Return a path; its methods are empty unless requested with embed=methods."""
    found = json.loads(_whole_resource(response))
    if response.querystring.get("embed") != ["methods"]:
        found["resourceMethods"] = {name: {} for name in found.get("resourceMethods", {})}
    return json.dumps(found)


def fill(patch: pytest.MonkeyPatch) -> None:
    """Give moto the parts of AWS that it lacks.

    UpdateMethod, patches of providerARNs, the refusal of what is no patch, UpdateUserPool's resets,
    tags of a REST API, the deletion of a missing REST API, a missing integration or deployment,
    GetResource without embed, UpdateMethodResponse, a second PutMethodResponse, a header that no
    method response declares, default gateway responses; that paths, methods and authorizers' names
    are unique, that an authorizer in use can't be deleted, and that an export shows what is
    deployed; authorizers of type JWT; the order of log events.
    """
    newer = [*AUTHORIZER_TYPES, "JWT"]
    patch.setattr("moto.apigateway.responses.AUTHORIZER_TYPES", newer)
    patch.setattr(APIGatewayResponse, "update_method", _update_method, raising=False)
    patch.setattr(
        APIGatewayResponse, "update_method_response", _update_method_response, raising=False
    )
    patch.setattr(APIGatewayResponse, "get_resource", _get_resource)
    patch.setattr(APIGatewayResponse, "get_gateway_response", _get_gateway_response)
    patch.setattr(APIGatewayResponse, "tag_resource", _tag_resource)
    patch.setattr(APIGatewayResponse, "untag_resource", _untag_resource)
    patch.setattr(LogGroup, "filter_log_events", _filter_log_events)
    patch.setattr(CognitoIdpBackend, "update_user_pool", _update_user_pool)
    patch.setattr(Authorizer, "apply_operations", _apply_operations)
    patch.setattr(Stage, "apply_operations", _change_stage)
    patch.setattr(APIGatewayBackend, "delete_rest_api", _delete_rest_api)
    patch.setattr(APIGatewayBackend, "get_integration", _get_integration)
    patch.setattr(APIGatewayBackend, "put_method_response", _put_method_response)
    patch.setattr(APIGatewayBackend, "put_integration_response", _put_integration_response)
    patch.setattr(APIGatewayBackend, "create_authorizer", _create_authorizer)
    patch.setattr(APIGatewayBackend, "delete_authorizer", _delete_authorizer)
    patch.setattr(APIGatewayBackend, "create_deployment", _create_deployment)
    patch.setattr(APIGatewayBackend, "get_deployment", _get_deployment)
    patch.setattr(APIGatewayBackend, "create_resource", _create_resource)
    patch.setattr(APIGatewayBackend, "put_method", _put_method)
    patch.setattr(APIGatewayResponse, "get_export", get_export)
