"""A clock on which waiting takes no time."""

from __future__ import annotations

import threading

from cogauth.aws.waiting import Stop


class FakeTime(Stop):
    """A clock and its stop event: a wait takes no real time, but advances the clock.

    Each thread of a run has its own clock: one thread's wait costs the others no time.
    """

    def __init__(self) -> None:
        super().__init__()
        # The latest time of any thread.
        self.now = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()
        self.restart()

    def restart(self) -> None:
        """Begin a new run, not stopped yet."""
        self.clear()
        self._begun = self.now
        self._local = threading.local()

    def __call__(self) -> float:
        here: float = getattr(self._local, "now", self._begun)
        return here

    def wait(self, timeout: float | None = None) -> bool:
        with self._lock:
            self.waits.append(timeout or 0.0)
            self._local.now = self() + (timeout or 0.0)
            self.now = max(self.now, self._local.now)
        return self.is_set()

    def pause(self, seconds: float, reason: str, since: int) -> bool:
        del reason, since
        return self.wait(seconds)
