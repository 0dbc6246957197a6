"""A lock across processes: one writer at a time for a state file or a folder of ours."""

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
    """Hold the lock of a state file or of something else on disk.

    The lock has a file of its own, because the state file is replaced at every write. The kernel
    releases it when its holder ends. The file's content is only for people.

    Args:
        state: the path to lock; it need not exist.
        command: the command that holds the lock, such as ``up``.
        timeout_s: seconds to wait for another holder; 0 fails at once.
        advice: an alternative to waiting for the other holder, for the error.

    Raises:
        CogauthError: another process holds the lock, or its file can't be written or isn't ours.
    """
    path = beside(state, "lock")
    stays = os.path.lexists(path)
    try:
        file, made = _locked(path, state, timeout_s, advice)
    except OSError as error:
        raise CogauthError(
            f"{path} can't be written: {error.strerror}.",
            hint="Give a writable place with --state FILE.",
        ) from error
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "since": since, "command": command}
        # On a full disk the holder stays unknown; writing the state file reports the cause.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, json.dumps(holder).encode())
        yield
        stays = True
    finally:
        if not (stays and state.exists()):
            # Nothing is left to lock, or the command wrote nothing and the lock file is its own. A
            # process waiting on this file will see that the name has another one, and open that.
            if _is_at(file, path):
                path.unlink(missing_ok=True)
            remove_empty(path.parent)
            with suppress(OSError):
                for folder in reversed(made):
                    folder.rmdir()
        os.close(file)


def _locked(path: Path, state: Path, timeout_s: float, advice: str) -> tuple[int, list[Path]]:
    """Wait for the lock; return its open file, and the folders that were created for it."""
    end = time.monotonic() + timeout_s
    made: list[Path] = []
    while (file := _try(path)) is None:
        if not path.parent.exists():
            # The folder never existed, or the last holder has just deleted it.
            made += make_folder(path.parent)
            continue
        if time.monotonic() >= end:
            raise LockedError(
                f"Another cogauth is using {state}: {_holder(path)}.",
                hint=f"Wait until it has ended{advice}.",
            )
        time.sleep(POLL_S)
    return file, made


def _try(path: Path) -> int | None:
    """Return the locked file's descriptor; None if another process has the lock or just had it."""
    try:
        file = open_own(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have deleted it between the two calls.
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
        return "its process is unknown"
