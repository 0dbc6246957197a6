"""What is ministack's own of its user pools."""

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks

Function = Callable[..., Any]
Answer = tuple[int, dict[str, str], bytes]
# A user pool, or one of its users, as ministack keeps it.
Pool = dict[str, Any]
User = dict[str, Any]


def of_cognito(name: str, parameters: str) -> Function:
    """Return a function of ministack's user pools, by its name. Raises HookError."""
    return hooks.function(f"services.cognito.{name}", parameters)


def store(name: str, kind: str) -> Any:
    """Return one of ministack's stores, by its own name and that of its class."""
    found: type[Any] = hooks.value(f"core.responses.{kind}", type)
    return hooks.value(f"services.cognito.{name}", found)


def all_pools() -> Any:
    """Return ministack's store of pools, by their ids."""
    return store("_user_pools", "AccountRegionScopedDict")


@functools.cache
def error_response() -> Function:
    """Return the function that makes ministack's error answers."""
    parameters = "code message status extra message_key content_type"
    return hooks.function("core.responses.error_response_json", parameters)


def refusal(code: str, message: str) -> Answer:
    """Return an answer that says AWS's name and words of an error."""
    answer: Answer = error_response()(code, message, HTTPStatus.BAD_REQUEST)
    return answer


def not_authorized(message: str) -> Answer:
    """Return the answer NotAuthorizedException."""
    return refusal("NotAuthorizedException", message)
