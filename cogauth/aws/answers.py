"""What AWS answers: resources as it describes them, and its errors' codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable


def code_of(error: ClientError) -> str:
    """Return AWS's error code, as ``AccessDeniedException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))


# A resource as AWS describes it: what a Describe, Get or Create call answered.
Live = Mapping[str, Any]


def or_none(call: Callable[[], Any], *absent: str) -> Any:
    """Return what a call answers, or None when its error code says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if code_of(error) not in absent:
            raise
        return None


def deleted(call: Callable[[], object], *absent: str) -> bool:
    """Make a deleting call; say whether there was such a thing."""
    return or_none(lambda: call() or True, *absent) is not None


def differing(live: Live, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wanted values that the live ones differ from.

    A nested mapping is compared only in the keys that are wanted: AWS adds more of its own.
    """
    return {key: value for key, value in wanted.items() if not _holds(live.get(key), value)}


def _holds(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and not differing(live, wanted)
    if isinstance(wanted, list) and isinstance(live, list):
        return sorted(live) == sorted(wanted)
    return bool(live == wanted)
