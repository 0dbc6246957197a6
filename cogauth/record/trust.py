"""Checks that only trusted users can write to the files and folders that cogauth relies on."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Iterator
# Folders in which owners and modes mean nothing: the user said so.
_trusted: set[Path] = set()


@contextmanager
def trusting(folder: Path) -> Iterator[None]:
    """Trust a folder's files, whoever owns them and may write to them: ``--trust-state``.

    Some file systems show one owner and mode for every file. Folders below it are not included.
    """
    folder = folder.resolve()
    _trusted.add(folder)
    try:
        yield
    finally:
        _trusted.discard(folder)


def is_trusted(path: Path) -> bool:
    """Return whether the file is in a folder that the user trusts."""
    return bool(_trusted) and path.parent.resolve() in _trusted


def read_input(path: Path, limit: int) -> bytes:
    """Return a file's first ``limit`` bytes; only this user, or root, may have written it.

    Raises:
        CogauthError: others may have written it, or may put another file or folder in its place.
        OSError: it can't be read.
    """
    # By descriptors: a name may belong to another file in the next moment.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        file = os.open(path.name, READ_ONLY, dir_fd=folder)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "It is not a regular file", str(path))
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
            f"Run this as that user; or, if you know its content: {_chown(path)}",
        )
    if others_may_write(found):
        remedy = f"Check its content, then run: chmod go-w {shlex.quote(str(path))}"
        raise _untrusted(path, "others may write to it", remedy)
    # In a sticky folder anyone can add a name to another's file. 0 names: it was just replaced.
    if found.st_nlink > 1:
        name = shlex.quote(str(path))
        remedy = f"If it is the right file, replace it with a copy: cp {name} {name}.copy && mv "
        remedy += f"{name}.copy {name}"
        raise _untrusted(path, HARD_LINK, remedy)


def check_place(path: Path) -> None:
    """Raise CogauthError if others can replace a file or one of its folders."""
    if is_trusted(path):
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        _check_folder(path.parent, path.parent.stat())
    _check_way(path.parent)


def _check_folder(folder: Path, found: os.stat_result) -> None:
    own = "Give a file in a folder of your own with --state FILE; or "
    if found.st_uid not in _owners():
        remedy = f"run this as that user; or, if you know its content: {_chown(folder)}"
        why = f"the folder belongs to another user (uid {found.st_uid})"
        raise _untrusted(folder, why, own + remedy)
    # In a sticky folder, such as /tmp, only a file's owner can replace it.
    if others_may_write(found) and not found.st_mode & stat.S_ISVTX:
        remedy = f"check its content, then run: chmod go-w {shlex.quote(str(folder))}"
        raise _untrusted(folder, "others may write to the folder", own + remedy)


def _check_way(folder: Path) -> None:
    """Check each folder above: anyone who may write to one can replace our folder.

    As with sshd's StrictModes, each must belong to this user or to root. Root itself may also work
    in other users' folders, such as a checkout in a container.
    """
    pending, seen = [folder.absolute()], {folder.absolute()}
    while pending:
        for each in (way := pending.pop(), *way.parents):
            try:
                found = each.lstat()
            except OSError:
                continue  # It doesn't exist yet, or opening it will report the error.
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
            # Trust in another user includes that user's groups.
            shared = found.st_mode & stat.S_IWOTH if theirs else others_may_write(found)
            if shared and not found.st_mode & stat.S_ISVTX:
                sudo = "" if found.st_uid == os.geteuid() else "sudo "
                remedy = f"{_ELSEWHERE}; or: {sudo}chmod go-w {shlex.quote(str(each))}"
                raise _untrusted(each, "others may write to the folder", remedy)


_ELSEWHERE = (
    "Work in a folder of your own, or give a file there with --state FILE (for 'cogauth demo' set "
    "TMPDIR to a folder)"
)


def _owners() -> set[int]:
    """Return the users whose folders are trusted: this user and root.

    Where root has another uid, as in a user namespace, the root folder shows it.
    """
    return {os.geteuid(), 0, Path("/").stat().st_uid}


def _chown(path: Path) -> str:
    return f"sudo chown {os.geteuid()} {shlex.quote(str(path))}"


def _untrusted(path: Path, why: str, remedy: str) -> CogauthError:
    return CogauthError(
        f"{path} is not trusted: {why}, and whoever can write to it decides what is deleted and "
        "where your passwords and credentials go. Nothing was touched.",
        hint=(
            f"{remedy}. On a file system without owners and modes, give --trust-state "
            "(COGAUTH_TRUST_STATE=1)."
        ),
    )


def others_may_write(found: os.stat_result) -> bool:
    """Return whether a file's mode lets anyone but its owner write to it."""
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        return True
    return bool(mode & stat.S_IWGRP) and not _is_private_group(found.st_gid, found.st_uid)


def _is_private_group(group: int, user: int) -> bool:
    """Return whether a group is a user's private group, as useradd creates: no other members."""
    try:
        account, found = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    name = account.pw_name
    return account.pw_gid == group and found.gr_name == name and set(found.gr_mem) <= {name}


# For reading a file: don't follow links, and don't hang on a pipe of that name.
READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HARD_LINK = "it has a second name (a hard link)"
