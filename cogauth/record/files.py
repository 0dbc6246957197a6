"""cogauth's own files, in folders where others may write too: a clone, a shared folder, a home.

A name proves nothing there. cogauth opens only regular files of this user with one name, never
links; it deletes only files whose name only cogauth gives, such as ``.shop.json.cogauth-lock``.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cogauth.errors import CogauthError
from cogauth.record.trust import HARD_LINK, READ_ONLY, check_place, is_trusted, others_may_write

# Where state files are, if no --state is given.
STATE_FOLDER, IGNORING, IGNORE_ALL = ".cogauth", ".gitignore", b"*\n"
_IRREGULAR = "it is not a regular file"


def beside(path: Path, what: str) -> Path:
    """Return the path of a file's companion: its ``lock``, its ``tokens``, its ``page.html``."""
    return path.with_name(f".{path.name}.cogauth-{what}")


def is_beside(path: Path) -> bool:
    """Return whether a name is one that ``beside`` gives."""
    return re.fullmatch(r"\..+\.cogauth-[a-z.]+", path.name) is not None


def keep(path: Path) -> Path:
    """Copy a damaged file, so that it can be rewritten; return the copy's path.

    The file itself stays until a sound one replaces it: if cogauth is killed in between, the file
    still shows that there is a stack.

    Raises:
        CogauthError: the copy can't be written.
        OSError: the file can't be read.
    """
    kept = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
    with os.fdopen(os.open(path, READ_ONLY), "rb") as damaged:
        _write_whole(kept, damaged)
    return kept


def is_kept(path: Path) -> bool:
    """Return whether a name is one that ``keep`` gives."""
    return re.fullmatch(r".+\.damaged-\d{8}T\d{6}\.\d{6}", path.name, re.ASCII) is not None


def make_folder(path: Path) -> list[Path]:
    """Create a folder and its parents with mode 0700; return the created ones, outermost first.

    It may be gone again: another cogauth deletes the folder that it leaves empty.

    Raises:
        OSError: a folder can't be created, or the path is not a folder.
    """
    missing = []
    for folder in (path, *path.parents):
        if folder.is_dir():
            break
        missing.append(folder)
    made = []
    for folder in reversed(missing):
        # Another cogauth may create it first.
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            made.append(folder)
            _ignore(folder)
            # A folder that is writable but not readable can't be opened.
            with suppress(PermissionError):
                _sync(folder.parent)
    if os.path.lexists(path) and not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
    return made


def _ignore(folder: Path) -> None:
    """Write a .gitignore, so that Git doesn't offer to commit a folder of state files."""
    if folder.name == STATE_FOLDER:
        with suppress(OSError), (folder / IGNORING).open("xb") as file:
            file.write(IGNORE_ALL)


def remove_empty(folder: Path) -> None:
    """Delete a folder of state files in which only our .gitignore is left."""
    ignoring = folder / IGNORING
    with suppress(OSError):
        if folder.name != STATE_FOLDER or is_link(folder) or list(folder.iterdir()) != [ignoring]:
            return
        # It is empty if cogauth was killed before it wrote it.
        if head(ignoring, len(IGNORE_ALL) + 1) not in {b"", IGNORE_ALL}:
            return
        ignoring.unlink()
        try:
            folder.rmdir()
        except OSError:
            _ignore(folder)  # Another cogauth has just begun to use it.


def open_own(path: Path, flags: int) -> int:
    """Open our own file and return its descriptor; if ``flags`` create it, it gets mode 0600.

    ``flags`` must not truncate: first we must know whose file it is.

    Raises:
        CogauthError: it is a link, not a regular file, another user's, or has a second name.
        OSError: it can't be opened.
    """
    try:
        # O_NONBLOCK, because opening a pipe of that name would hang.
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if is_link(path):
            raise _foreign(path, "it is a link") from error
        if os.path.lexists(path) and not path.is_file():
            raise _foreign(path, _IRREGULAR) from error
        raise
    try:
        check_own_file(path, os.fstat(file))
    except CogauthError:
        os.close(file)
        raise
    return file


def read_own(path: Path) -> bytes:
    """Return the content of our own file; raise as ``open_own`` does."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, wherever it leads."""
    with suppress(OSError):
        return stat.S_ISLNK(path.lstat().st_mode)
    return False


def check_own_file(path: Path, found: os.stat_result) -> None:
    """Raise CogauthError unless it is a regular file with one name, which only this user writes."""
    if not stat.S_ISREG(found.st_mode):
        raise _foreign(path, _IRREGULAR)
    if not is_trusted(path):
        if found.st_uid != os.geteuid():
            raise _foreign(path, f"it belongs to another user (uid {found.st_uid})")
        if others_may_write(found):
            raise _foreign(path, "others may write to it")
    # 0 names: its last user has just deleted it.
    if found.st_nlink > 1:
        raise _foreign(path, HARD_LINK)


def _foreign(path: Path, why: str) -> CogauthError:
    return CogauthError(
        f"{path} is not cogauth's own file: {why}. It was left as it is.",
        hint=(
            "Find out where it comes from and move it away, or use another folder with --state "
            "FILE."
        ),
    )


def write_private(path: Path, data: Any) -> None:
    """Write JSON atomically to a file that only its owner may read.

    Raises:
        CogauthError: it can't be written.
    """
    write_private_text(path, json.dumps(data, indent=2) + "\n")


def write_private_text(path: Path, text: str) -> None:
    """Write a text as ``write_private`` writes JSON."""
    _write_whole(path, io.BytesIO(text.encode()))


def _sync(folder: Path) -> None:
    """Make a folder's file names survive a power cut, as the files' content does."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write_whole(path: Path, source: IO[bytes]) -> None:
    temporary = Path()
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_half(path), suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary.name:
            temporary.unlink(missing_ok=True)


def remove_private(path: Path) -> list[str]:
    """Delete a file that ``write_private`` wrote, and any half-written files from killed runs.

    Return the files with such names that were left alone, each with the reason.
    """
    half = re.compile(re.escape(_half(path)) + r"[a-z0-9_]{8}\.tmp")
    halves: list[Path] = []
    # A folder that can't be listed stops nothing: if it can't be reached, that is reported below.
    with suppress(OSError):
        halves = [found for found in path.parent.iterdir() if half.fullmatch(found.name)]
    return [line for each in (*halves, path) if (line := remove_own(each))]


def remove_own(path: Path) -> str | None:
    """Delete our own file; if it isn't ours, leave it alone and return the reason."""
    try:
        found = path.lstat()
        why = None
        if not stat.S_ISREG(found.st_mode):
            why = _IRREGULAR
        elif found.st_uid != os.geteuid() and not is_trusted(path):
            why = f"it belongs to another user (uid {found.st_uid})"
        elif found.st_nlink > 1:
            why = HARD_LINK
        else:
            path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror
    return f"left alone: {path}: {why}" if why else None


def check_beside(path: Path) -> None:
    """Check that a state file's companions are ours or absent; else raise as ``open_own`` does."""
    tokens = beside(path, "tokens")
    for each in (tokens, beside(tokens, "lock")):
        with suppress(FileNotFoundError):
            os.close(open_own(each, os.O_RDONLY))


def head(path: Path, size: int) -> bytes:
    """Return the first bytes of a regular file, whoever owns it; b"" for anything else."""
    with os.fdopen(os.open(path, READ_ONLY), "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def _half(path: Path) -> str:
    return f"{beside(path, 'new').name}-"


def check_writable(path: Path) -> None:
    """Check that a state file can be written, and leave nothing behind.

    Raises:
        CogauthError: it can't be written, or others may replace it.
    """
    check_place(path)
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CogauthError:
    return CogauthError(
        f"{path} can't be written: {error.strerror}.",
        hint="Give a writable place with --state FILE, or free some disk space.",
    )


def check_output(path: Path, start: bytes) -> None:
    """Check that a file for the user can be written, and leave nothing behind.

    Args:
        path: a new file, or one to replace.
        start: the beginning of what is written; a file that begins otherwise isn't replaced.

    Raises:
        CogauthError: it can't be written, or something else is there.
    """
    other = "Give another file"
    try:
        found = path.lstat()
        why = None
        if not stat.S_ISREG(found.st_mode):
            why = "it is a link" if stat.S_ISLNK(found.st_mode) else _IRREGULAR
        elif found.st_size and head(path, len(start)) != start:
            why = "it has other content, which would be lost"
        if why:
            raise CogauthError(f"{path} can't be written: {why}. It was left as it is. {other}.")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CogauthError(f"{path} can't be written: {error.strerror}. {other}.") from error
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        folder = f"the folder {path.parent}: {error.strerror}"
        raise CogauthError(f"{path} can't be written in {folder}. {other}.") from error


def write_output(path: Path, text: str, start: bytes) -> None:
    """Write a file for the user atomically, with the mode of any new file.

    Raises:
        CogauthError: as ``check_output`` does.
    """
    check_output(path, start)
    temporary = path.with_name(f".cogauth-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        why = error.strerror
        raise CogauthError(f"{path} can't be written: {why}.", hint="Give another file.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
