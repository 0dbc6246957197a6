"""Who uses a local AWS for a stack that no state file names yet, so that nobody else ends it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from cogauth.record.files import open_own

# The file's content as long as nobody has recorded a stack: then the last of them ends it.
UNCLAIMED = b"No state file names this local AWS. The last command that uses it ends it.\n"


class Beginners:
    """A file that each of them locks, shared; the kernel releases the locks of who was killed.

    All but ``claimed`` and ``leave`` must be called under the lock of the local AWS.
    """

    # By path: what this process has locked.
    _held: ClassVar[dict[Path, int]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path

    def join(self, *, unclaimed: bool) -> None:
        """Begin to use it; ``unclaimed`` says that it is started for this."""
        if self.path not in self._held:
            self._held[self.path] = open_own(self.path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._held[self.path], fcntl.LOCK_SH)
        if unclaimed:
            self.leave_to_the_last()

    def leave(self) -> None:
        """Stop using it."""
        with suppress(KeyError):
            os.close(self._held.pop(self.path))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Record a stack on it, and stop using it without a state file.

        The claim comes first: a crash in between leaves it running, and never ends it too early.
        """
        file = self._held[self.path]
        before = os.pread(file, len(UNCLAIMED), 0)
        os.ftruncate(file, 0)
        try:
            yield
        except BaseException:
            os.pwrite(file, before, 0)
            raise
        self.leave()

    def leave_to_the_last(self) -> None:
        """Let the last of them end it, unless one records a stack before."""
        with self._opened() as file:
            if file is not None:
                os.pwrite(file, UNCLAIMED, 0)

    def is_unclaimed(self) -> bool:
        """Return whether it was started for one of them, and no stack was recorded since."""
        with self._opened() as file:
            return file is not None and os.pread(file, len(UNCLAIMED), 0) == UNCLAIMED

    def are_others(self) -> bool:
        """Return whether another process uses it. This process doesn't count any more then."""
        with self._opened() as file:
            if file is None:
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        if (held := self._held.get(self.path)) is not None:
            yield held
            return
        try:
            file = open_own(self.path, os.O_RDWR)
        except FileNotFoundError:
            yield None
            return
        try:
            yield file
        finally:
            os.close(file)
