"""Make CloudWatch Logs of the local AWS answer like AWS where ministack doesn't."""

from typing import Any
from uuid import uuid4

from cogauth.local import hooks
from cogauth.local.hooks import AnyFunction


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    hooks.wrap("services.cloudwatch_logs._append_log_events", "stream events", _append)
    hooks.wrap("services.lambda_svc._execute_function_warm", "func event request_id", _execute)


def _append(own: AnyFunction, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Give each event an id; ministack gives none to the lines of functions."""
    own(stream, [{"eventId": str(uuid4()), **event} for event in events])


def _execute(own: AnyFunction, *given: Any) -> dict[str, Any]:
    """Log why a function failed; ministack logs nothing if it can't be imported."""
    result: dict[str, Any] = own(*given)
    if result.get("error") and not result.get("log"):
        body = result["body"]
        result["log"] = f"[ERROR] {body['errorType']}: {body['errorMessage']}"
    return result
