"""How deployed REST APIs answer on the local AWS, where ministack's own answer isn't AWS's.

Ministack finds the method, asks its authorizer and checks what is to be checked. What a non-proxy
Lambda integration and a MOCK one answer is ours, and who may invoke which function.
"""

import json
import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from cogauth.local import control, deployments, hooks, mappings, permissions
from cogauth.local.mappings import Client, Refused
from cogauth.local.templates import CaseInsensitive

_Function = Callable[..., Any]

_MODULE = "services.apigateway_v1."
_PRINCIPAL = "apigateway.amazonaws.com"
_EXECUTE = (
    "request api_id stage_name method path headers body query_params owner_account_id owner_region"
)
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
# Of a connection, not of an answer.
_HOP = {"content-length", "transfer-encoding", "connection"}
_log = logging.getLogger(__name__)

# What ministack has found out of the call that it answers: ``request`` when it takes it, then by
# the names of _AUTHORIZE what it is authorized by, and ``authorizer``, the context that this gave.
_call: ContextVar[SimpleNamespace] = ContextVar("call")


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
    permissions.check()
    control.install()
    deployments.install()
    gateway = _Gateway()
    for name, parameters, make in (
        ("_execute_in_scope", _EXECUTE, gateway.executed),
        ("_authorize_request_v1", _AUTHORIZE, gateway.authorized),
        (
            "_validate_cognito_authorizer",
            "authorizer method_obj headers query_params stage",
            gateway.token_checked,
        ),
        (
            "_invoke_authorizer_lambda",
            "authorizer event account_id region",
            gateway.authorizer_invoked,
        ),
        ("_invoke_lambda_proxy_v1", _INTEGRATION, gateway.proxied),
        ("_lambda_proxy_response", "result", gateway.shaped),
        ("_gateway_error_response", "error request", gateway.worded),
        ("_invoke_lambda_custom_v1", _INTEGRATION, gateway.invoked),
        ("_invoke_mock_v1", "integration", gateway.mocked),
    ):
        hooks.replace(_MODULE + name, parameters, make)


class _Gateway:
    """What takes the place of ministack's functions, each made of its own."""

    def __init__(self) -> None:
        self._error = hooks.function(f"{_MODULE}_gw_error", "response_type message")
        self._function = hooks.function(f"{_MODULE}_extract_lambda_ref_from_integration_uri", "uri")
        self._invoke = hooks.function(
            f"{_MODULE}_call_lambda_raw", "function_ref event account_id region"
        )
        self._event = hooks.function(f"{_MODULE}_build_lambda_event_v1", _EVENT)
        self._arn = hooks.function(
            "core.arn.execute_api_arn", "region account_id api_id stage method path"
        )

    def executed(self, ours: _Function) -> _Function:
        @wraps(ours)
        async def execute(request: Any, *rest: Any) -> Any:
            token = _call.set(SimpleNamespace(request=request))
            try:
                return await ours(request, *rest)
            finally:
                _call.reset(token)

        return execute

    def authorized(self, ours: _Function) -> _Function:
        @wraps(ours)
        async def authorize(*given: Any) -> Any:
            error, context = await ours(*given)
            found = dict(zip(_AUTHORIZE.split(), given, strict=True))
            vars(_call.get()).update(found, authorizer=context)
            return error, context

        return authorize

    def token_checked(self, ours: _Function) -> _Function:
        """A method without scopes takes ID tokens, one with scopes access tokens.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
        """

        @wraps(ours)
        async def check(authorizer: Any, method: Any, *rest: Any) -> Any:
            unauthorized = self._error("UNAUTHORIZED", "Unauthorized")
            try:
                claims, error = await ours(authorizer, method, *rest)
            except RecursionError:  # Of the token's JSON.
                return None, unauthorized
            wanted = "access" if method.get("authorizationScopes") else "id"
            if error is None and claims.get("token_use") != wanted:
                return None, unauthorized
            return claims, error

        return check

    def authorizer_invoked(self, ours: _Function) -> _Function:
        """The function of a Lambda authorizer must let the API invoke it.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization.html
        """

        @wraps(ours)
        async def invoke(authorizer: Any, event: Any, account: str, region: str) -> Any:
            api = _call.get().request["api_id"]
            source = f"arn:aws:execute-api:{region}:{account}:{api}/authorizers/{authorizer['id']}"
            function = self._function(authorizer["authorizerUri"])
            if not authorizer.get("authorizerCredentials") and not _may(function, source, account):
                return None  # As if there were none: AUTHORIZER_CONFIGURATION_ERROR.
            return await ours(authorizer, event, account, region)

        return invoke

    def proxied(self, ours: _Function) -> _Function:
        @wraps(ours)
        async def invoke(integration: Any, *rest: Any, **named: Any) -> Any:
            try:
                self._check_permission(integration)
            except Refused as refused:
                return self._error(refused.kind, str(refused))
            answer = await ours(integration, *rest, **named)
            return getattr(_call.get(), "failed", answer)

        return invoke

    def shaped(self, ours: _Function) -> _Function:
        """A proxied function that fails is answered for by API Gateway; its error is for its log.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
        """

        @wraps(ours)
        def shape(result: dict[str, Any]) -> Any:
            answer, missing = (None, None) if result.get("error") else ours(result)
            if answer is not None and _is_an_answer(answer):
                return answer, missing
            _call.get().failed = self._error("DEFAULT_5XX", "Internal server error")
            _call.get().failed.status = HTTPStatus.BAD_GATEWAY
            return None, "it failed"

        return shape

    def worded(self, ours: _Function) -> _Function:
        """Of gateway responses by DEFAULT_5XX ministack has one status."""

        @wraps(ours)
        def word(error: Any, request: Any) -> Any:
            status, headers, body = ours(error, request)
            if status == HTTPStatus.INTERNAL_SERVER_ERROR:
                status = int(getattr(error, "status", status))
            return status, headers, body

        return word

    def invoked(self, ours: _Function) -> _Function:
        """A non-proxy Lambda integration.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-custom-integrations.html
        """

        @wraps(ours)
        async def invoke(integration: Any, *_rest: Any, **named: Any) -> Any:
            try:
                return await self._answer(integration, self._client(named["caller_identity"]))
            except Refused as refused:
                return self._error(refused.kind, str(refused))

        return invoke

    def mocked(self, ours: _Function) -> _Function:
        """A MOCK integration.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
        """

        @wraps(ours)
        def answer(integration: Any) -> Any:
            client = self._client(None)
            try:
                status = mappings.mock_status(mappings.integration_request(integration, client))
                return mappings.respond(mappings.choose(integration, status), client, "", {})
            except Refused as refused:
                return self._error(refused.kind, str(refused))

        return answer

    async def _answer(self, integration: dict[str, Any], client: Client) -> Any:
        event = mappings.event_of(mappings.integration_request(integration, client))
        self._check_permission(integration)
        call, function = _call.get(), self._function(integration["uri"])
        result, missing = await self._invoke(
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

    def _check_permission(self, integration: dict[str, Any]) -> None:
        """See that the function lets this method invoke it; a role needs no leave.

        The source has the path of the resource, and not the request's. Of a method ANY only a
        permission for any fits it.

        Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
        https://github.com/aws/serverless-application-model/issues/540
        https://github.com/AdaCore/e3-aws/pull/236

        Raises:
            Refused: it doesn't.
        """
        call, function = _call.get(), self._function(integration["uri"])
        method = call.method_obj["httpMethod"].replace("ANY", "*")
        account, path = call.owner_account_id, call.resource["path"]
        source = self._arn(call.owner_region, account, call.api_id, call.stage_name, method, path)
        if not integration.get("credentials") and not _may(function, source, account):
            raise Refused("API_CONFIGURATION_ERROR")

    def _client(self, caller: dict[str, Any] | None) -> Client:
        """Return what mappings may ask; ``$context`` is what a proxied function is told."""
        call = _call.get()
        event = self._event(
            *(vars(call)[name] for name in _EVENT.split()[:10]),
            authorizer_context=call.authorizer,
            caller_identity=caller,
        )
        return Client(
            # HTTP/2 sends names in lower case, and so does the server below ministack.
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
    """Whether what a proxied function gave can be sent; its length is the gateway's to say."""
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


def _may(function: str, source: str, account: str) -> bool:
    allowed = permissions.may_invoke(function, _PRINCIPAL, source, account)
    if not allowed:
        _log.warning(
            "Invalid permissions on Lambda function: the policy of %s doesn't let %s of account "
            "%s invoke it for %s",
            function,
            _PRINCIPAL,
            account,
            source,
        )
    return allowed
