"""What someone may plant where cogauth keeps its files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "1,2,3\n"
is_root = os.geteuid() == 0


def portrait(folder: Path) -> dict[str, Any]:
    """Everything in a folder that could be damaged: modes, links and contents."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content: Any = None
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (stat.filemode(status.st_mode), content)
    return found


def a_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_pipe(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _victim: Path) -> None:
    path.mkdir()


def another_users(path: Path, _victim: Path) -> None:
    if not is_root:
        pytest.skip("only root can make another user's file")
    path.write_text(ROWS)
    os.chown(path, 4711, 4711)


PLANTED = (a_link, a_second_name, a_pipe, a_folder, another_users)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's that an attacker wants to damage."""
    path = tmp_path / "home" / ".bashrc"
    path.parent.mkdir()
    path.write_text(ROWS)
    return path


def a_socket(path: Path, _victim: Path) -> None:
    try:
        os.mknod(path, stat.S_IFSOCK | 0o600)
    except OSError:
        pytest.skip("only Linux lets everybody make one so")


def a_full_folder(path: Path, _victim: Path) -> None:
    path.mkdir()
    (path / "rows.csv").write_text(ROWS)


ODD = (*PLANTED, a_socket, a_full_folder)
