"""What a call to AWS, or a write to the disk, may meet."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING, NoReturn

from botocore.exceptions import ConnectionClosedError

from support.calls import Before, Call, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StoppedError(BaseException):
    """As if the process had been killed."""


def stop(_call: Call) -> NoReturn:
    raise StoppedError


def lose(_call: Call) -> NoReturn:
    raise ConnectionClosedError(endpoint_url="https://aws.invalid")


# What a call meets: before it reaches AWS, or after it took effect.
FAULTS: dict[str, tuple[Before | None, Callable[[Call], None] | None]] = {
    "stopped after": (None, stop),
    "answer lost": (None, lose),
    "stopped before": (stop, None),
    "500 without effect": (lambda _: refusal(500, "InternalFailure"), None),
    "denied": (lambda _: refusal(403, "AccessDeniedException"), None),
    "expired": (lambda _: refusal(403, "ExpiredTokenException"), None),
    "throttled": (lambda _: refusal(429, "TooManyRequestsException"), None),
}


@contextlib.contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk does, to this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
