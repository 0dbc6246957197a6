"""Hooks that refuse calls as AWS does."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from support.calls import Call, refusal


def refusing(
    operation: str, status: int, code: str, message: str = "No.", times: int = 1
) -> Callable[[Call], Any]:
    """Return a hook that refuses the first calls of an operation."""
    met: Counter[str] = Counter()

    def refuse(call: Call) -> Any:
        if call.operation != operation or met[operation] == times:
            return None
        met[operation] += 1
        return refusal(status, code, message)

    return refuse


def always(operation: str, status: int, code: str) -> Callable[[Call], Any]:
    return refusing(operation, status, code, times=10**9)
