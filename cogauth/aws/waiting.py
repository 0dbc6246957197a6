"""The one helper that waits: with a time limit, for a named condition, on a given clock.

botocore's waiters poll at a fixed interval and accept neither a clock nor a stop event.
"""

from __future__ import annotations

import math
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Event
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class TimedOutError(Exception):
    """The condition did not come true in time."""


class Stop(Event):
    """The event that ends every wait. All threads of a run share it.

    It also ends a pause early, when several threads wait for the same condition and one of them
    finds that it has come true.
    """

    def __init__(self) -> None:
        """Start unset."""
        super().__init__()
        self._changed = Condition()
        # The number of calls of ``got``, and by reason the number of the last one.
        self.count = 0
        self._got: dict[str, int] = {}

    def set(self) -> None:
        """End every wait, now and from now on."""
        super().set()
        with self._changed:
            self._changed.notify_all()

    def got(self, reason: str) -> None:
        """Let all other threads that wait for this reason try at once."""
        with self._changed:
            self.count += 1
            self._got[reason] = self.count
            self._changed.notify_all()

    def pause(self, seconds: float, reason: str, since: int) -> bool:
        """Pause; return whether the event is set.

        Args:
            seconds: how long to pause.
            reason: what the thread waits for.
            since: the ``count`` before the last attempt. A later ``got`` ends the pause.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.is_set() or self._got.get(reason, 0) > since, seconds
            )
        return self.is_set()


@dataclass(frozen=True)
class Wait:
    """A condition that isn't true yet.

    Attributes:
        reason: what cogauth waits for, as the user is told.
        share: the next pause, as a share of the time waited so far: a short wait ends promptly,
            and a long one costs few calls.
        within_s: how long to wait for it, in seconds since it was first met.
        common: whether it comes true for all who wait for it at about the same time.
    """

    reason: str
    share: float = 1 / 10
    within_s: float = math.inf
    common: bool = False


@dataclass
class Waiter:
    """Waits between attempts: 0.1 s at first, then a share of the time so far, at most 5 s.

    The pauses have jitter, so that two cogauths that collided don't collide again. When one of
    several waits for a ``common`` condition ends, the others try at once.

    Attributes:
        clock: returns monotonic seconds; tests pass a clock of their own.
        stop: once set, ends every wait at once with KeyboardInterrupt.
        report: called with the reason for a wait and the seconds left.
        over: called when a wait has ended.
    """

    clock: Callable[[], float] = time.monotonic
    stop: Stop = field(default_factory=Stop)
    report: Callable[[str, float], None] = lambda _reason, _seconds_left: None
    over: Callable[[], None] = lambda: None
    first_s: float = 0.1
    longest_s: float = 5.0

    def until(
        self,
        probe: Callable[[], T | None],
        *,
        reason: str,
        timeout_s: float,
        share: float = Wait.share,
    ) -> T:
        """Call ``probe`` at once and after growing pauses, until it doesn't return None.

        Args:
            probe: asks once.
            reason: what cogauth waits for, as the user is told.
            timeout_s: seconds after which no further attempt begins.
            share: the next pause, as a share of the time waited so far.

        Raises:
            TimedOutError: the time is up.
            KeyboardInterrupt: the stop event was set.
        """

        def attempt() -> T | Wait:
            result = probe()
            return Wait(reason, share) if result is None else result

        return self._until(attempt, timeout_s)

    def settle(
        self, probe: Callable[[], T], good: Callable[[T], bool], *, reason: str, timeout_s: float
    ) -> T:
        """Like ``until``, until the result is ``good``; return the last one after ``timeout_s``."""
        last: list[T] = []

        def attempt() -> bool | None:
            last[:] = [probe()]
            return good(last[0]) or None

        with suppress(TimedOutError):
            self.until(attempt, reason=reason, timeout_s=timeout_s)
        return last[0]

    def retry(
        self,
        call: Callable[[], T],
        *,
        passing: Callable[[ClientError], Wait | None],
        timeout_s: float,
    ) -> T:
        """Return a call's result; repeat the call while AWS refuses it with transient errors.

        Args:
            call: the call; a refused one must have had no effect.
            passing: returns what to wait for after a refusal, or None if it won't pass.
            timeout_s: seconds after which the last refusal is raised.

        Raises:
            ClientError: any other error, at once; a transient one when the time is up.
            KeyboardInterrupt: the stop event was set.
        """
        last: ClientError | None = None

        def attempt() -> T | Wait:
            nonlocal last
            try:
                return call()
            except ClientError as error:
                wait = passing(error)
                if wait is None:
                    raise
                last = error
                return wait

        try:
            return self._until(attempt, timeout_s)
        except TimedOutError:
            if last is not None:
                raise last from None
            raise

    def _until(self, attempt: Callable[[], T | Wait], timeout_s: float) -> T:
        begun, waited = self.clock(), False
        # By reason: when it was first met.
        met: dict[str, float] = {}
        common: set[str] = set()
        # Read before each attempt: another thread may succeed during it.
        since = self.stop.count
        while isinstance(outcome := attempt(), Wait):
            now = self.clock()
            first = met.setdefault(outcome.reason, now)
            left = min(begun + timeout_s, first + outcome.within_s) - now
            if left <= 0:
                within_s = min(timeout_s, outcome.within_s)
                raise TimedOutError(f"{outcome.reason}: not within {within_s:.0f} s")
            self.report(outcome.reason, left)
            waited = True
            pause = min(max(self.first_s, (now - begun) * outcome.share), self.longest_s)
            pause = min(pause * random.uniform(0.8, 1.2), left)  # noqa: S311 no secret
            if outcome.common:
                common.add(outcome.reason)
                stopped = self.stop.pause(pause, outcome.reason, since)
            else:
                stopped = self.stop.wait(pause)
            if stopped:
                raise KeyboardInterrupt
            since = self.stop.count
        for reason in common:
            self.stop.got(reason)
        if waited:
            self.over()
        return outcome


class Pace:
    """A client-side token bucket: keeps calls below the rate at which a service refuses them."""

    def __init__(self, waiter: Waiter, *, per_second: float, burst: int) -> None:
        """Start full: at most ``burst`` calls go at once, and ``per_second`` over time."""
        self._waiter = waiter
        self._per_second, self._burst = per_second, burst
        self._left, self._at = float(burst), waiter.clock()

    def wait(self) -> None:
        """Wait until the next call may be made. Raises KeyboardInterrupt at the stop event."""
        now = self._waiter.clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second) - 1
        self._at = now
        if self._left < 0 and self._waiter.stop.wait(-self._left / self._per_second):
            raise KeyboardInterrupt
