"""Faults that can hit a call to AWS or a write to disk."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from botocore.exceptions import ConnectionClosedError

from cogauth.aws.errors import AWS_ERRORS
from cogauth.errors import CogauthError
from support.calls import After, Before, Call, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.account import Account


class StoppedError(BaseException):
    """Acts as if the process had been killed."""


def stop(_call: Call) -> NoReturn:
    raise StoppedError


def lose(_call: Call) -> NoReturn:
    raise ConnectionClosedError(endpoint_url="https://aws.invalid")


# What happens to a call: before it reaches AWS, or after it took effect.
Fault = tuple[Before | None, After | None]
FAULTS: dict[str, Fault] = {
    "stopped after": (None, stop),
    "answer lost": (None, lose),
    "stopped before": (stop, None),
    "500 without effect": (lambda _: refusal(500, "InternalFailure"), None),
    "denied": (lambda _: refusal(403, "AccessDeniedException"), None),
    "expired": (lambda _: refusal(403, "ExpiredTokenException"), None),
    "throttled": (lambda _: refusal(429, "TooManyRequestsException"), None),
}


def run_with_fault(
    account: Account, run: Callable[[], object], fault: Fault, at: Callable[[Call], bool]
) -> tuple[Call | None, Exception | None]:
    """Run something with a fault at the first call that is picked.

    Nothing happens after a stop: no call, and no write.

    Args:
        account: where to run it.
        run: what to run.
        fault: what happens to the call.
        at: picks the call; it is asked about each call until then.

    Returns:
        The picked call, or None; and the error that ended the run, if any.
    """
    before, after = fault
    stops, hit, kept = stop in fault, list[Call](), list[bytes]()

    def on_before(call: Call) -> Any:
        if hit and stops:
            raise StoppedError
        if hit or not at(call):
            return None
        hit.append(call)
        if account.path().exists():
            kept.append(account.path().read_bytes())
        return before(call) if before else None

    def on_after(call: Call) -> None:
        if after and any(call is one for one in hit):
            after(call)

    error = None
    try:
        with contextlib.suppress(StoppedError), account.calls.watched(on_before, on_after):
            run()
    except (CogauthError, *AWS_ERRORS) as caught:
        error = caught
    if kept and stops:
        account.path().write_bytes(kept[0])
    return (hit[0] if hit else None), error


def nth(number: int, *, mutating: bool = False) -> Callable[[Call], bool]:
    """Return a function that picks the nth call, from 0: of all calls, or of mutating ones."""
    left = [number]

    def pick(call: Call) -> bool:
        left[0] -= call.mutating or not mutating
        return left[0] < 0

    return pick


def about(*operations: str) -> Callable[[Call], bool]:
    """Return a function that picks the calls of these operations."""
    return lambda call: call.operation in operations


@contextlib.contextmanager
def stopped(account: Account, *operations: str, lands: bool = False) -> Iterator[None]:
    """Stop the block at any call of these operations, before or after it reaches AWS."""

    def strike(call: Call) -> None:
        if call.operation in operations:
            stop(call)

    before, after = (None, strike) if lands else (strike, None)
    with pytest.raises(StoppedError), account.calls.watched(before, after):
        yield


@contextlib.contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Simulate a full disk for this process: no file can grow beyond this many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
