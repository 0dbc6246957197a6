"""The one helper that waits: bounded, on a named condition, on a clock that is passed in.

botocore's waiters poll at a fixed interval and can be given neither a clock nor a way to stop.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Protocol, TypeVar

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class TimedOutError(Exception):
    """What was waited for did not come about in its time."""


class Clock(Protocol):
    """Seconds on a clock that only goes forward."""

    def __call__(self) -> float:
        """Return the time in seconds."""


def code_of(error: ClientError) -> str:
    """Return AWS's error code, as ``AccessDeniedException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))


@dataclass
class Waiter:
    """Waits between tries: 0.25 s at first, then a twentieth of the time gone, 5 s at the most.

    So what comes soon is seen soon, and what takes long costs few calls. The pauses have jitter:
    two cogauths that collided don't collide again.

    Attributes:
        clock: seconds; the tests' clock runs as they like.
        stop: set from elsewhere to end every wait at once, with KeyboardInterrupt.
        report: told why is waited, and for how many seconds at the most.
    """

    clock: Clock = time.monotonic
    stop: Event = field(default_factory=Event)
    report: Callable[[str, float], None] = lambda _reason, _seconds_left: None
    first_s: float = 0.25
    longest_s: float = 5.0

    def until(
        self, probe: Callable[[], T | None], *, reason: str | Callable[[], str], timeout_s: float
    ) -> T:
        """Call ``probe`` until it returns something other than None.

        Args:
            probe: tried at once, then after growing intervals.
            reason: what is waited for, for the user.
            timeout_s: seconds after which no further try is begun.

        Raises:
            TimedOutError: the time is up.
            KeyboardInterrupt: the stop event was set.
        """
        begun = self.clock()
        while (result := probe()) is None:
            why = reason if isinstance(reason, str) else reason()
            now = self.clock()
            left = begun + timeout_s - now
            if left <= 0:
                raise TimedOutError(f"{why}: not within {timeout_s:.0f} s")
            self.report(why, left)
            pause = min(max(self.first_s, (now - begun) / 20), self.longest_s)
            if self.stop.wait(min(pause * random.uniform(0.8, 1.2), left)):  # noqa: S311 no secret
                raise KeyboardInterrupt
        return result

    def retry(
        self,
        call: Callable[[], T],
        *,
        passing: Callable[[ClientError], str | None],
        timeout_s: float,
    ) -> T:
        """Make a call again while AWS refuses it for reasons that pass.

        Args:
            call: the call; a refusal must have taken no effect.
            passing: says of a refusal what is waited for, or None if it won't pass.
            timeout_s: seconds after which the last refusal is raised.

        Returns:
            What the call returned.

        Raises:
            ClientError: another error, at once; a passing one when the time is up.
            KeyboardInterrupt: the stop event was set.
        """
        last: ClientError | None = None
        reason = ""

        def attempt() -> tuple[T] | None:
            nonlocal last, reason
            try:
                return (call(),)
            except ClientError as error:
                why = passing(error)
                if why is None:
                    raise
                last, reason = error, why
                return None

        try:
            return self.until(attempt, reason=lambda: reason, timeout_s=timeout_s)[0]
        except TimedOutError:
            if last is not None:
                raise last from None
            raise


class Pace:
    """Keeps calls to a rate, so that a service needn't refuse them: a token bucket of our own."""

    def __init__(self, waiter: Waiter, *, per_second: float, burst: int) -> None:
        """Begin after a rest.

        Args:
            waiter: its clock, and its stop event.
            per_second: how many calls a second, over time.
            burst: how many at once.
        """
        self._waiter = waiter
        self._per_second, self._burst = per_second, burst
        self._left, self._at = float(burst), waiter.clock()

    def wait(self) -> None:
        """Return when the next call may be made.

        Raises:
            KeyboardInterrupt: the stop event was set.
        """
        now = self._waiter.clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second) - 1
        self._at = now
        if self._left < 0 and self._waiter.stop.wait(-self._left / self._per_second):
            raise KeyboardInterrupt
