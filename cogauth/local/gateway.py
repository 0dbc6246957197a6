"""Make deployed REST APIs of the local AWS answer like AWS where ministack doesn't.

Ministack finds the method, calls its authorizer and validates the request. This module answers for
non-proxy Lambda and MOCK integrations, and checks who may invoke which function.
"""

import json
import logging
from contextvars import ContextVar
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from cogauth.local import control, deployments, hooks, mappings, permissions
from cogauth.local.control import MODULE
from cogauth.local.deployments import EXECUTE
from cogauth.local.hooks import AnyFunction
from cogauth.local.mappings import Client
from cogauth.local.templates import CaseInsensitive, Refused, parse_json

_AUTHORIZE = (
    "api_id stage_name method_obj method request_path resource headers body query_params "
    "path_params stage owner_account_id owner_region"
)
_INTEGRATION = (
    "integration api_id stage_name stage resource request_path method headers body query_params "
    "path_params owner_account_id owner_region binary_media_types authorizer_context "
    "caller_identity"
)
_EVENT = (
    "api_id stage_name stage resource request_path method headers body query_params path_params "
    "binary_media_types authorizer_context caller_identity"
)
# Headers of the connection, not of the response.
_HOP = {"content-length", "transfer-encoding", "connection"}
_log = logging.getLogger(__name__)

# What ministack knows about the current call: first ``request``, then the parameters named in
# _AUTHORIZE, and ``authorizer``, the authorizer's context.
_call: ContextVar[SimpleNamespace] = ContextVar("call")

_error = hooks.called(f"{MODULE}_gw_error", "response_type message")
_function = hooks.called(f"{MODULE}_extract_lambda_ref_from_integration_uri", "uri")
_call_function = hooks.called(f"{MODULE}_call_lambda_raw", "function_ref event account_id region")
_event = hooks.called(f"{MODULE}_build_lambda_event_v1", _EVENT)
_arn = hooks.called("core.arn.execute_api_arn", "region account_id api_id stage method path")


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    control.install()
    deployments.install()
    token_check = "authorizer method_obj headers query_params stage"  # noqa: S105 no secret
    for name, parameters, around in (
        ("_execute_in_scope", EXECUTE, _execute),
        ("_authorize_request_v1", _AUTHORIZE, _authorize),
        ("_validate_cognito_authorizer", token_check, _check_token),
        ("_invoke_authorizer_lambda", "authorizer event account_id region", _invoke_authorizer),
        ("_invoke_lambda_proxy_v1", _INTEGRATION, _invoke_proxied),
        ("_lambda_proxy_response", "result", _shape),
        ("_gateway_error_response", "error request", _word),
        ("_invoke_lambda_custom_v1", _INTEGRATION, _invoke),
        ("_invoke_mock_v1", "integration", _mock),
    ):
        hooks.wrap(MODULE + name, parameters, around)


async def _execute(own: AnyFunction, request: Any, *rest: Any) -> Any:
    token = _call.set(SimpleNamespace(request=request))
    try:
        return await own(request, *rest)
    finally:
        _call.reset(token)


async def _authorize(own: AnyFunction, *given: Any) -> Any:
    error, context = await own(*given)
    found = dict(zip(_AUTHORIZE.split(), given, strict=True))
    vars(_call.get()).update(found, authorizer=context)
    return error, context


async def _check_token(own: AnyFunction, authorizer: Any, method: Any, *rest: Any) -> Any:
    # A method without scopes accepts ID tokens, one with scopes accepts access tokens.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
    unauthorized = _error("UNAUTHORIZED", "Unauthorized")
    try:
        claims, error = await own(authorizer, method, *rest)
    except RecursionError:  # Of the token's JSON.
        return None, unauthorized
    wanted = "access" if method.get("authorizationScopes") else "id"
    if error is None and claims.get("token_use") != wanted:
        return None, unauthorized
    return claims, error


async def _invoke_authorizer(
    own: AnyFunction, authorizer: Any, event: Any, account: str, region: str
) -> Any:
    # The policy of a Lambda authorizer's function must let the API invoke it.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization.html
    api = _call.get().request["api_id"]
    source = f"arn:aws:execute-api:{region}:{account}:{api}/authorizers/{authorizer['id']}"
    function = _function(authorizer["authorizerUri"])
    if not authorizer.get("authorizerCredentials") and not _may(function, source):
        return None  # Like a missing authorizer: AUTHORIZER_CONFIGURATION_ERROR.
    return await own(authorizer, event, account, region)


async def _invoke_proxied(own: AnyFunction, integration: Any, *rest: Any, **named: Any) -> Any:
    try:
        _check_permission(integration)
    except Refused as refused:
        return _error(refused.kind, str(refused))
    answer = await own(integration, *rest, **named)
    return getattr(_call.get(), "failed", answer)


def _shape(own: AnyFunction, result: dict[str, Any]) -> Any:
    # If a proxied function fails, API Gateway answers; the error is only logged.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
    answer, missing = (None, None) if result.get("error") else own(result)
    if answer is not None and _is_an_answer(answer):
        return answer, missing
    _call.get().failed = _error("DEFAULT_5XX", "Internal server error")
    _call.get().failed.status = HTTPStatus.BAD_GATEWAY
    return None, "it failed"


def _word(own: AnyFunction, error: Any, request: Any) -> Any:
    """Set the right status: ministack has only one for DEFAULT_5XX."""
    status, headers, body = own(error, request)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        status = int(getattr(error, "status", status))
    return status, headers, body


async def _invoke(_own: AnyFunction, integration: Any, *_rest: Any, **named: Any) -> Any:
    # A non-proxy Lambda integration.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-custom-integrations.html
    try:
        return await _answer(integration, _client(named["caller_identity"]))
    except Refused as refused:
        return _error(refused.kind, str(refused))


def _mock(_own: AnyFunction, integration: Any) -> Any:
    # A MOCK integration.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
    client = _client(None)
    try:
        status = mappings.mock_status(mappings.integration_request(integration, client))
        return mappings.respond(mappings.choose(integration, status), client, "", {})
    except Refused as refused:
        return _error(refused.kind, str(refused))


async def _answer(integration: dict[str, Any], client: Client) -> Any:
    event = parse_json(mappings.integration_request(integration, client) or "{}")
    _check_permission(integration)
    call, function = _call.get(), _function(integration["uri"])
    result, missing = await _call_function(
        function, event, account_id=call.owner_account_id, region=call.owner_region
    )
    if missing or result.get("throttle"):
        raise Refused("INTEGRATION_FAILURE")
    payload, headers, message = result["body"], {"Content-Type": "application/json"}, None
    if result.get("error"):
        headers["X-Amz-Function-Error"] = "Unhandled"
        message = str(payload["errorMessage"])
    response = mappings.choose(integration, message)
    return mappings.respond(response, client, json.dumps(payload, ensure_ascii=False), headers)


def _check_permission(integration: dict[str, Any]) -> None:
    """Raise Refused unless the function's policy or a role lets this method invoke it.

    The source ARN has the resource's path, not the request's. For a method ANY, only a permission
    for all verbs matches.
    Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
    https://github.com/aws/serverless-application-model/issues/540
    https://github.com/AdaCore/e3-aws/pull/236
    """
    call, function = _call.get(), _function(integration["uri"])
    method = call.method_obj["httpMethod"].replace("ANY", "*")
    place = call.owner_region, call.owner_account_id, call.api_id, call.stage_name
    source = _arn(*place, method, call.resource["path"])
    if not integration.get("credentials") and not _may(function, source):
        raise Refused("API_CONFIGURATION_ERROR")


def _client(caller: dict[str, Any] | None) -> Client:
    """Return the input of mappings; ``$context`` is the same that a proxied function gets."""
    call = _call.get()
    event = _event(
        *(vars(call)[name] for name in _EVENT.split()[:10]),
        authorizer_context=call.authorizer,
        caller_identity=caller,
    )
    return Client(
        # Like HTTP/2, ministack's HTTP server passes on names in lower case.
        CaseInsensitive(event["headers"]),
        {name: values[-1] for name, values in (call.query_params or {}).items()},
        call.path_params or {},
        call.body or b"",
        {
            **event["requestContext"],
            "requestId": call.request["request_id"],
            "deploymentId": call.stage["deploymentId"],
        },
        call.stage.get("variables") or {},
    )


def _is_an_answer(answer: dict[str, Any]) -> bool:
    """Return whether a proxied function's answer can be sent; drop its connection headers."""
    headers = answer.get("headers") or {}
    several = answer.get("multiValueHeaders") or {}
    if not isinstance(headers, dict) or not isinstance(several, dict):
        return False
    for name in [name for name in headers if str(name).lower() in _HOP]:
        del headers[name]
    pairs = [*headers.items(), *((name, one) for name, all_ in several.items() for one in all_)]
    try:
        is_status = 100 <= int(answer.get("statusCode", 200)) <= 599  # noqa: PLR2004 HTTP's own
    except (TypeError, ValueError):
        is_status = False
    return is_status and all(mappings.can_be_sent(*pair) for pair in pairs)


def _may(function: str, source: str) -> bool:
    allowed = permissions.may_invoke(function, "apigateway.amazonaws.com", source)
    if not allowed:
        _log.warning(
            "Invalid permissions on Lambda function: the policy of %s doesn't let API Gateway "
            "invoke it for %s",
            function,
            source,
        )
    return allowed
