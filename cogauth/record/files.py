"""cogauth's own files, in folders that others may have filled: a clone, a shared folder, a home.

A name proves nothing there. What is opened is a regular file of this user with one name, never a
link; what is deleted has a name that only cogauth gives. Whatever lies beside a state file has the
state file's own name in its name, so that it is no other tool's: ``.shop.json.cogauth-lock``.
"""

from __future__ import annotations

import errno
import grp
import io
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Iterator

# To read a file: neither a link, nor hanging where somebody made a pipe of that name.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IRREGULAR = "it is no regular file"
_HARD_LINK = "it has a second name (a hard link)"
# The folders in which owners and modes mean nothing, for the user said so.
_trusted: set[Path] = set()


def beside(path: Path, what: str) -> Path:
    """Return the name of a file of ours beside another: its ``lock``, its ``tokens``."""
    return path.with_name(f".{path.name}.cogauth-{what}")


def is_beside(path: Path) -> bool:
    """Say whether a name is one that ``beside`` gives."""
    return re.fullmatch(r"\..+\.cogauth-[a-z]+", path.name) is not None


def keep(path: Path) -> Path:
    """Copy a damaged file, so that it can be written anew; the copy's name says when.

    The file itself stays until a sound one takes its place: after a kill in between it still says
    that there is a stack.

    Returns:
        The copy's name.

    Raises:
        CogauthError: the folder can't be written to, or the disk is full.
        OSError: the file can't be read.
    """
    kept = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
    with os.fdopen(os.open(path, _READ), "rb") as damaged:
        _write_whole(kept, damaged)
    return kept


def is_kept(path: Path) -> bool:
    """Say whether a name is one that ``keep`` gives."""
    return re.fullmatch(r".+\.damaged-\d{8}T\d{6}\.\d{6}", path.name, re.ASCII) is not None


def make_folder(path: Path) -> list[Path]:
    """Make a folder and its parents, each for its owner alone, whatever the umask says.

    Returns:
        Those that were made, the outermost first.

    Raises:
        OSError: one can't be made, or what is there is no folder.
    """
    missing = []
    for folder in (path, *path.parents):
        if folder.is_dir():
            break
        missing.append(folder)
    made = []
    for folder in reversed(missing):
        # Another cogauth may be as quick.
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            made.append(folder)
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
    return made


@contextmanager
def trusting(folder: Path) -> Iterator[None]:
    """Take what lies in a folder as it is, whoever owns it and may write to it: ``--trust-state``.

    Some file systems say the same owner and mode of every file. What lies in folders below it is
    not meant.
    """
    folder = folder.resolve()
    _trusted.add(folder)
    try:
        yield
    finally:
        _trusted.discard(folder)


def is_trusted(path: Path) -> bool:
    """Say whether the file lies in a folder that is taken as it is."""
    return bool(_trusted) and path.parent.resolve() in _trusted


def read_input(path: Path, limit: int) -> bytes:
    """Return what a file holds that only this user, or root, may have written.

    Args:
        path: the file; not a link.
        limit: no more bytes than this are read.

    Raises:
        CogauthError: it belongs to another user, others may write to it, or others may put another
            file or folder in its place.
        OSError: it can't be read.
    """
    # By descriptors: of a name it isn't known what it will be of in the next moment.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        file = os.open(path.name, _READ, dir_fd=folder)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "It is no regular file", str(path))
            if not is_trusted(path):
                _check_ours_alone(path, found)
                _check_folder(path.parent, os.fstat(folder))
                _check_way(path.parent)
            with os.fdopen(file, "rb", closefd=False) as opened:
                return opened.read(limit)
        finally:
            os.close(file)
    finally:
        os.close(folder)


def _check_ours_alone(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise _untrusted(
            path,
            f"it belongs to another user (uid {found.st_uid})",
            f"Run this as that user; or, if you know what it says: {_chown(path)}",
        )
    if _others_may_write(found):
        remedy = f"Look at it, then: chmod go-w {shlex.quote(str(path))}"
        raise _untrusted(path, "others may write to it", remedy)
    # In a sticky folder anyone can give another's file a name. None: it was just replaced.
    if found.st_nlink > 1:
        name = shlex.quote(str(path))
        remedy = f"If it is the right one, put a copy in its place: cp {name} {name}.copy && mv "
        remedy += f"{name}.copy {name}"
        raise _untrusted(path, _HARD_LINK, remedy)


def check_place(path: Path) -> None:
    """See that nobody else can put something of theirs in the place of a file or its folders.

    Raises:
        CogauthError: somebody can.
    """
    if is_trusted(path):
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        _check_folder(path.parent, path.parent.stat())
    _check_way(path.parent)


def _check_folder(folder: Path, found: os.stat_result) -> None:
    """Check the folder that files of ours lie in."""
    own = "Give a file in a folder of your own with --state FILE; or "
    if found.st_uid not in _owners():
        remedy = f"run this as that user; or, if you know what is in it: {_chown(folder)}"
        why = f"the folder belongs to another user (uid {found.st_uid})"
        raise _untrusted(folder, why, own + remedy)
    # In a sticky one, as /tmp, nobody but its owner replaces another's file.
    if _others_may_write(found) and not found.st_mode & stat.S_ISVTX:
        remedy = f"look at what is in it, then: chmod go-w {shlex.quote(str(folder))}"
        raise _untrusted(folder, "others may write to the folder", own + remedy)


def _check_way(folder: Path) -> None:
    """Check each folder above: who may write to one can put another folder in the place of ours.

    As sshd does (StrictModes): each belongs to this user or to root. Root itself also works in
    other users' folders, as in a container where the checkout is another's: what root starts there
    is in that user's hands anyway.
    """
    pending, seen = [folder.absolute()], {folder.absolute()}
    while pending:
        for each in (way := pending.pop(), *way.parents):
            try:
                found = each.lstat()
            except OSError:
                continue  # It isn't there yet; or whoever opens it says what is wrong.
            theirs = found.st_uid not in _owners()
            if theirs and os.geteuid() != 0:
                why = f"the folder belongs to another user (uid {found.st_uid})"
                raise _untrusted(each, why, f"{_ELSEWHERE}, or run this as that user")
            if stat.S_ISLNK(found.st_mode):
                target = each.parent / each.readlink()
                if target not in seen:
                    pending.append(target)
                    seen.add(target)
                continue
            # Of whoever trusts another user, that user's groups are as good.
            shared = found.st_mode & stat.S_IWOTH if theirs else _others_may_write(found)
            if shared and not found.st_mode & stat.S_ISVTX:
                sudo = "" if found.st_uid == os.geteuid() else "sudo "
                remedy = f"{_ELSEWHERE}; or: {sudo}chmod go-w {shlex.quote(str(each))}"
                raise _untrusted(each, "others may write to the folder", remedy)


_ELSEWHERE = (
    "Work below a folder of your own, or give a file there with --state FILE ('cogauth demo': a "
    "folder by TMPDIR)"
)


def _owners() -> set[int]:
    """Return whose folders are as good as one's own: this user's and root's.

    Where root has another number, as in a user namespace, the root folder shows it.
    """
    return {os.geteuid(), 0, Path("/").stat().st_uid}


def _chown(path: Path) -> str:
    return f"sudo chown {os.geteuid()} {shlex.quote(str(path))}"


def _untrusted(path: Path, why: str, remedy: str) -> CogauthError:
    return CogauthError(
        f"{path} is not taken: {why}, and whoever can write to it decides what is deleted and "
        f"where your passwords and credentials go. Nothing was touched. {remedy}. On a file system "
        "that keeps no owners and modes: --trust-state (COGAUTH_TRUST_STATE=1)."
    )


def _others_may_write(found: os.stat_result) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        return True
    return bool(mode & stat.S_IWGRP) and not _is_private_group(found.st_gid, found.st_uid)


def _is_private_group(group: int, user: int) -> bool:
    """Say whether a group is a user's own, as useradd makes it: of the same name, and no others."""
    try:
        account, found = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    name = account.pw_name
    return account.pw_gid == group and found.gr_name == name and set(found.gr_mem) <= {name}


def open_own(path: Path, flags: int) -> int:
    """Open a file of ours; it is made with mode 0600 if ``flags`` say so.

    Args:
        path: the file.
        flags: of ``os.open``. Truncate later: first it must be known whose file it is.

    Returns:
        Its descriptor, which no child process inherits.

    Raises:
        CogauthError: it is a link, no regular file, another user's, or has a second name.
        OSError: it can't be opened.
    """
    try:
        # Not to hang where somebody made a pipe of that name.
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if is_link(path):
            raise _foreign(path, "it is a link") from error
        if os.path.lexists(path) and not path.is_file():
            raise _foreign(path, _IRREGULAR) from error
        raise
    try:
        check_own(path, os.fstat(file))
    except CogauthError:
        os.close(file)
        raise
    return file


def read_own(path: Path) -> bytes:
    """Return what a file of ours holds.

    Raises:
        CogauthError: it is not our own.
        OSError: it can't be read.
    """
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def is_link(path: Path) -> bool:
    """Say whether a name is a symbolic link, whatever it leads to."""
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError:
        return False


def check_own(path: Path, found: os.stat_result) -> None:
    """Refuse what isn't a regular file of this user alone, with one name.

    Raises:
        CogauthError: it says what it is instead.
    """
    if not stat.S_ISREG(found.st_mode):
        raise _foreign(path, _IRREGULAR)
    if not is_trusted(path):
        if found.st_uid != os.geteuid():
            raise _foreign(path, f"it belongs to another user (uid {found.st_uid})")
        if _others_may_write(found):
            raise _foreign(path, "others may write to it")
    # None: its last user has just deleted it.
    if found.st_nlink > 1:
        raise _foreign(path, _HARD_LINK)


def _foreign(path: Path, why: str) -> CogauthError:
    return CogauthError(
        f"{path} is not cogauth's own file: {why}. It was left as it is. Look where it comes from, "
        "and move it away; or use another folder, with --state FILE."
    )


def write_private(path: Path, data: Any) -> None:
    """Write JSON to a file that only its owner may read, whole or not at all.

    Raises:
        CogauthError: the folder can't be written to, or the disk is full.
    """
    _write_whole(path, io.BytesIO((json.dumps(data, indent=2) + "\n").encode()))


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
        # The new name must survive a power cut as well as the content does.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary.name:
            temporary.unlink(missing_ok=True)


def remove_private(path: Path) -> list[str]:
    """Delete a file that ``write_private`` wrote, and what a kill left of its writing.

    Returns:
        What bears the names and was left alone, each with the reason.
    """
    half = re.compile(re.escape(_half(path)) + r"[a-z0-9_]{8}\.tmp")
    halves: list[Path] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        halves = [found for found in path.parent.iterdir() if half.fullmatch(found.name)]
    return [line for each in (*halves, path) if (line := remove_own(each))]


def remove_own(path: Path) -> str | None:
    """Delete a file of ours; return what it is if it was left alone, because it isn't."""
    try:
        found = path.lstat()
        why = None
        if not stat.S_ISREG(found.st_mode):
            why = _IRREGULAR
        elif found.st_uid != os.geteuid() and not is_trusted(path):
            why = f"it belongs to another user (uid {found.st_uid})"
        elif found.st_nlink > 1:
            why = _HARD_LINK
        else:
            path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror
    return f"left alone: {path}: {why}" if why else None


def check_beside(path: Path) -> None:
    """See that what bears the names of a state file's companions is our own, or nothing.

    Raises:
        CogauthError: it isn't.
        OSError: it can't be read.
    """
    tokens = beside(path, "tokens")
    for each in (tokens, beside(tokens, "lock")):
        with suppress(FileNotFoundError):
            os.close(open_own(each, os.O_RDONLY))


def head(path: Path, size: int) -> bytes:
    """Return how a regular file begins, whoever's it is; nothing of anything else.

    Raises:
        OSError: it can't be read.
    """
    with os.fdopen(os.open(path, _READ), "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def _half(path: Path) -> str:
    """Return how the names of new files begin that are to take another's place."""
    return f"{beside(path, 'new').name}-"


def check_writable(path: Path) -> None:
    """See that a state file can be written, and read again, and leave nothing behind.

    Raises:
        CogauthError: it can't; or others may put something of theirs in its place.
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
        f"{path} can't be written: {error.strerror}. "
        "Give a writable place with --state FILE, or make room."
    )
