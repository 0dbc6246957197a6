"""Triggers: which function a pool may call, and the errors that its failures cause.

A pool may call a function only if the function's policy allows it. Otherwise, or if the function
doesn't exist, the message is "PreSignUp invocation failed due to error AccessDeniedException."
https://repost.aws/knowledge-center/cognito-lambda-trigger-errors
AWS doesn't document the error's name; the logs of others show UnexpectedLambdaException, as for
any failed Lambda call.
If a function raises an error, the result is UserLambdaValidationException, "PreSignUp failed with
error …", https://github.com/aws-amplify/amplify-cli/issues/8506. If it doesn't return the event
with a response, the result is InvalidLambdaResponseException, "Unrecognizable lambda output",
https://github.com/amazon-archives/amazon-cognito-identity-js/issues/633.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html
"""

import inspect
from typing import Any

from cogauth.local import hooks, permissions
from cogauth.local.cognito.ministacks import (
    PoolDict,
    RefusalError,
    all_pools,
    of_cognito,
    resolve_user,
)
from cogauth.local.cognito.names import known_name
from cogauth.local.hooks import AnyFunction

_PRINCIPAL = "cognito-idp.amazonaws.com"
_SIGN_UP, _CREATE_USER = "PreSignUp_SignUp", "PreSignUp_AdminCreateUser"
# The parameters of the function that calls the PreSignUp function.
PRE_SIGN_UP = "pool_id client_id username user_attrs trigger_source"
_build_event = of_cognito(
    "_build_presignup_event", "pool_id client_id username user_attrs trigger_source"
)
_apply = of_cognito("_apply_presignup_trigger", PRE_SIGN_UP)
_find_function = hooks.called("services.lambda_svc._get_func_record_for_ref", "function_ref")
_select_config = hooks.called("services.lambda_svc._execution_record_for_config", "func config")
_execute = hooks.called("services.lambda_svc._execute_function_with_config_scope", "func event")


def _not_invoked(trigger: str, error: str) -> RefusalError:
    message = f"{trigger} invocation failed due to error {error}."
    return RefusalError(message, "UnexpectedLambdaException")


def _function_of(pool: PoolDict, trigger: str, source: str | None = None) -> str | None:
    config = pool.get("LambdaConfig") or {}
    named = config.get(f"{trigger}Config") or config.get(trigger)
    if not isinstance(named, dict):
        named = {"LambdaArn": named}
    if source == "TokenGeneration_ClientCredentials" and named.get("LambdaVersion") != "V3_0":
        return None  # Older versions aren't called for client credentials.
    return named.get("LambdaArn")


def if_permitted(trigger: str) -> AnyFunction:
    """Return a wrapper that checks whether a function's policy lets the pool call it."""

    def call(own: AnyFunction, *args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(own).bind(*args, **kwargs)
        given = bound.arguments
        pool: PoolDict = (
            given["pool"] if "pool" in given else all_pools().get(given["pool_id"]) or {}
        )
        function = _function_of(pool, trigger, given.get("trigger_source"))
        if function and not permissions.may_invoke(function, _PRINCIPAL, pool["Arn"]):
            raise _not_invoked(trigger, "AccessDeniedException")
        given["username"] = known_name(pool, given["username"])
        return own(*bound.args, **bound.kwargs)

    return call


def admin_create_user(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Call the PreSignUp function before a user is created, which ministack does for SignUp alone.

    What the function returns changes nothing:
    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-sign-up.html
    """
    pool_id, name = data.get("UserPoolId"), data.get("Username")
    pool = all_pools().get(pool_id)
    # Ministack refuses the others, and a user who is there is only sent the message again.
    if pool is not None and resolve_user(pool, name)[0] is None:
        attributes = {one["Name"]: one.get("Value") for one in data.get("UserAttributes") or []}
        _apply(pool_id, "CLIENT_ID_NOT_APPLICABLE", name, attributes, _CREATE_USER)
    return own(data)


def pre_sign_up(own: AnyFunction, pool_id: str, *rest: Any) -> Any:
    """Report failures of the function that ``SignUp`` and ``AdminCreateUser`` call as AWS does."""
    named = _function_of(all_pools().get(pool_id) or {}, "PreSignUp")
    # The last argument is the trigger's source, if given.
    if named is None or rest[-1] not in {_SIGN_UP, _CREATE_USER}:
        return own(pool_id, *rest)
    event = _build_event(pool_id, *rest)
    function, config, _ = _find_function(named)
    result = _execute(_select_config(function, config), event)
    if result.get("throttle"):
        raise _not_invoked("PreSignUp", "TooManyRequestsException")
    if result.get("error"):
        message = f"PreSignUp failed with error {result['body']['errorMessage']}."
        raise RefusalError(message, "UserLambdaValidationException")
    response = result["body"].get("response") if isinstance(result["body"], dict) else None
    if not isinstance(response, dict):
        raise RefusalError("Unrecognizable lambda output", "InvalidLambdaResponseException")
    flags = ("autoConfirmUser", "autoVerifyEmail", "autoVerifyPhone")
    return {flag: bool(response.get(flag)) for flag in flags}
