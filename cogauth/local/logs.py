"""Make CloudWatch Logs of the local AWS answer like AWS where ministack doesn't."""

from typing import Any
from uuid import uuid4

from cogauth.local import hooks
from cogauth.local.hooks import Function


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    hooks.wrap("services.cloudwatch_logs._append_log_events", "stream events", _append)


def _append(own: Function, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Give each event an id; ministack gives none to the lines of functions."""
    own(stream, [{"eventId": str(uuid4()), **event} for event in events])
