"""Answers of AWS that differ from moto's, and hooks before its calls."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from support.account import Account
from support.calls import refusal


def without_empty(found: Any) -> Any:
    """Return an answer without its empty members."""
    if isinstance(found, dict):
        kept = {key: without_empty(value) for key, value in found.items()}
        return {key: value for key, value in kept.items() if value not in (None, "", [], {})}
    return [without_empty(one) for one in found] if isinstance(found, list) else found


@contextlib.contextmanager
def terse(account: Account) -> Iterator[None]:
    """Make AWS leave empty members out of its answers."""

    def shorten(parsed: dict[str, Any], **_: Any) -> None:
        for key in parsed.keys() - {"ResponseMetadata"}:
            parsed[key] = without_empty(parsed[key])
            # A list is the whole answer, so it stays.
            if parsed[key] in (None, "", {}):
                del parsed[key]

    events = [client.meta.events for client in account.calls.clients]
    for one in events:
        one.register_first("after-call", shorten)
    try:
        yield
    finally:
        for one in events:
            one.unregister("after-call", shorten)


def not_assumable() -> Any:
    words = "The role defined for the function cannot be assumed by Lambda."
    return refusal(400, "InvalidParameterValueException", words)


@contextlib.contextmanager
def before_calls(account: Account, hook: Callable[..., Any]) -> Iterator[None]:
    """Run a hook before each call. Unlike with `account.calls`, they run at the same time."""
    for client in account.calls.clients:
        client.meta.events.register_last("before-call", hook)
    try:
        yield
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-call", hook)
