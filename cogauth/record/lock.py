"""One writer at a time, across processes: of a state file, or of a folder of ours."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cogauth.errors import CogauthError, LockedError
from cogauth.record.files import beside, make_folder, open_own, read_own, remove_empty

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
    """Hold the lock of a state file, or of something else that is kept.

    The lock is on a file of its own, because the state file is replaced at every write. The kernel
    lets go of it when its holder ends. What is written into the file is for people only.

    Args:
        state: what is locked; it need not exist.
        command: what holds the lock, as ``up``.
        timeout_s: seconds to wait for another holder; 0 fails at once.
        advice: what else can be done about another holder than to wait for its end.

    Raises:
        CogauthError: another process holds it, it can't be written, or isn't a file of ours.
    """
    path = beside(state, "lock")
    stays = os.path.lexists(path)
    end = time.monotonic() + timeout_s
    made: list[Path] = []
    try:
        while (file := _try(path)) is None:
            if not path.parent.exists():
                # There never was one; or the last holder took it away just now.
                made += make_folder(path.parent)
                continue
            if time.monotonic() >= end:
                raise LockedError(
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
        stays = True
    finally:
        if not (stays and state.exists()):
            # Nothing is left to be locked, or nothing came of it and the file is our own. Whoever
            # waits on this file will see that it is no longer the one of this name, and open that.
            if _is_at(file, path):
                path.unlink(missing_ok=True)
            remove_empty(path.parent)
            with suppress(OSError):
                for folder in reversed(made):
                    folder.rmdir()
        os.close(file)


def _try(path: Path) -> int | None:
    """Return a descriptor of the locked file; None if another has the lock, or had until now."""
    try:
        file = open_own(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been removed by its last holder between the two calls.
        if _is_at(file, path):
            return file
    os.close(file)
    return None


def _is_at(file: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.lstat())
    return False


def _holder(path: Path) -> str:
    try:
        holder = json.loads(read_own(path))
        return f"'cogauth {holder['command']}', process {holder['pid']}, since {holder['since']}"
    except (OSError, CogauthError, ValueError, KeyError, TypeError, RecursionError):
        return "its process is not known"
