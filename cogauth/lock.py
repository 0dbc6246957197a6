"""One writer per state file, across processes."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL_S = 0.1


@contextmanager
def hold(
    state: Path,
    command: str,
    timeout_s: float,
    advice: str = ", or give --lock-timeout SECONDS to wait here",
) -> Iterator[None]:
    """Hold the lock of a state file.

    The lock is on a file of its own, for the state file is replaced at every write. The kernel
    lets go of it when its holder has ended, however it ended, so a dead process blocks nobody.
    What is written into the file is for people only.

    Args:
        state: the state file; it need not exist.
        command: what holds the lock, as ``up``.
        timeout_s: seconds to wait for another holder; 0 fails at once.
        advice: what else can be done about another holder than to wait for its end.

    Raises:
        CogauthError: another process holds it, or the folder can't be written to.
    """
    path = state.with_name(f"{state.stem}.lock")
    end = time.monotonic() + timeout_s
    new_folder = False
    try:
        while (file := _try(path)) is None:
            if not path.parent.exists():
                # There never was one; or the last holder took it away just now.
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                new_folder = True
                continue
            if time.monotonic() >= end:
                raise CogauthError(
                    f"Another cogauth is at work on {state}: {_holder(path)}. Wait until it has "
                    f"ended{advice}."
                )
            time.sleep(POLL_S)
    except OSError as error:
        raise CogauthError(
            f"{path} can't be written: {error.strerror}. Give a writable place with --state FILE."
        ) from error
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "since": since, "command": command}
        # On a full disk nobody learns who holds it; the state file's own write says what is wrong.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, json.dumps(holder).encode())
        yield
    finally:
        if not state.exists():
            # Nothing is left to be locked. Whoever waits on this file will see that it is no
            # longer the one of this name, and open that.
            path.unlink(missing_ok=True)
            if new_folder:
                with suppress(OSError):
                    path.parent.rmdir()
        os.close(file)


def _try(path: Path) -> int | None:
    """Return a descriptor of the locked file; None if another has the lock, or had until now."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been removed by its last holder between the two calls.
        if os.path.samestat(os.fstat(file), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        text = f"'cogauth {holder['command']}', process {holder['pid']}, since {holder['since']}"
        return "".join(filter(str.isprintable, text))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "its process is not known"
