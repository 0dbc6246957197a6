"""Other files where cogauth keeps its own: cogauth names what isn't its own and leaves it alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cogauth.errors import CogauthError
from cogauth.local.process import LocalAws
from cogauth.record.files import (
    beside,
    check_output,
    is_kept,
    keep,
    make_folder,
    open_own,
    write_output,
    write_private,
)
from cogauth.record.lock import hold
from cogauth.record.trust import read_input
from support.commands import beside_gitignore, command_line, in_process, processes_of
from support.planted import (
    PLANTED,
    ROWS,
    a_folder,
    a_link,
    a_pipe,
    a_second_name,
    another_users,
    is_root,
    portrait,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# Files

WHY = {
    a_link: "it is a link",
    a_second_name: "it has a second name",
    a_pipe: "it is not a regular file",
    a_folder: "it is not a regular file",
    another_users: "it belongs to another user",
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_lock_file_is_refused(
    plant: Callable[[Path, Path], None], victim: Path, tmp_path: Path
) -> None:
    state = tmp_path / "clone" / "cogauth.json"
    state.parent.mkdir()
    plant(beside(state, "lock"), victim)
    before = portrait(tmp_path)
    why = f"{beside(state, 'lock')} is not cogauth's own file: {WHY[plant]}"
    with pytest.raises(CogauthError, match=re.escape(why)), hold(state, "up", 0):
        pytest.fail("it was taken")
    assert portrait(tmp_path) == before


@pytest.mark.parametrize("plant", PLANTED)
def test_no_command_touches_what_bears_the_locks_name(
    plant: Callable[[Path, Path], None],
    victim: Path,
    tmp_path: Path,
    no_credentials: pytest.MonkeyPatch,
) -> None:
    state = tmp_path / "clone" / "cogauth.json"
    state.parent.mkdir()
    plant(beside(state, "lock"), victim)
    before = portrait(tmp_path)
    no_credentials.setenv("COGAUTH_STATE", str(state))
    for words in (["up", "--local"], ["up", "--region", "eu-central-1"], ["recover"]):
        assert "cogauth-lock" in in_process(*words).must(1).err
    assert portrait(tmp_path) == before


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
def test_what_is_not_our_own_is_not_opened(
    plant: Callable[[Path, Path], None], flags: int, victim: Path, tmp_path: Path
) -> None:
    planted = tmp_path / "ours"
    plant(planted, victim)
    before = portrait(tmp_path)
    # For a pipe without a reader and for a folder, the system itself raises the error.
    with pytest.raises((CogauthError, OSError)):
        os.close(open_own(planted, flags))
    assert portrait(tmp_path) == before


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("wrong", ["owner", "mode"])
def test_the_remedy_for_what_others_may_write_is_one(wrong: str, what: str, tmp_path: Path) -> None:
    if wrong == "owner" and not is_root:
        pytest.skip("only root can give files away")
    path = tmp_path / "it's shared" / "my stack.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(ROWS)
    shared = path if what == "file" else path.parent
    if wrong == "owner":
        os.chown(shared, 4711, 4711)
    else:
        shared.chmod(0o777)
    with pytest.raises(CogauthError, match="is not trusted") as caught:
        read_input(path, 100)
    shown = re.search(r": (?:sudo )?(ch(?:own|mod) .*)\. On a file system", str(caught.value))
    assert shown is not None
    subprocess.run(shlex.split(shown[1]), check=True)
    assert read_input(path, 100) == ROWS.encode()


def test_writing_takes_a_links_place_and_not_what_it_leads_to(victim: Path, tmp_path: Path) -> None:
    (tmp_path / "ours").symlink_to(victim)
    write_private(tmp_path / "ours", {})
    assert victim.read_text() == ROWS
    assert json.loads((tmp_path / "ours").read_text()) == {}


@pytest.mark.parametrize("lock", ["uv.lock", "uv.json.lock", "poetry.lock"])
def test_other_tools_locks_stay(lock: str, tmp_path: Path) -> None:
    (tmp_path / lock).write_text(ROWS)
    with hold(tmp_path / "uv.json", "recover", 0):
        pass
    assert (tmp_path / lock).read_text() == ROWS
    assert [path.name for path in tmp_path.iterdir()] == [lock]


def test_folders_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_folder(tmp_path / "a" / "b" / "c")
        write_private(tmp_path / "d" / "e" / "state.json", {})
        locked = tmp_path / "f" / "g" / "state.json"
        with hold(locked, "up", 0):
            assert stat.S_IMODE(locked.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE(beside(locked, "lock").stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert made == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(folders) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_what_was_made_for_a_lock_alone_goes_again(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "b" / "state.json", "up", 0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_every_file_that_is_opened_is_opened_so() -> None:
    """Outside of files.py and trust.py nothing opens or writes a file by its mere name."""
    opens = re.compile(r"\bopen\(|\.write_text\(|\.write_bytes\(|\.touch\(")
    package = Path(__file__).parents[2] / "cogauth"
    found = [
        f"{path.name}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if opens.search(line)
        and path.name not in {"files.py", "trust.py"}
        and "/dev/" not in line
        and "os.devnull" not in line
    ]
    assert found == []


# Links at the default place


def a_dangling_file(folder: Path, home: Path) -> Path:
    (folder / ".cogauth").mkdir()
    (folder / ".cogauth" / "cogauth.json").symlink_to("../../home/.config/x.json")
    return home / ".config" / "x.json"


def a_file_of_the_users(folder: Path, home: Path) -> Path:
    (home / ".config" / "x.json").write_text(ROWS)
    return a_dangling_file(folder, home)


def a_folder_of_the_users(folder: Path, home: Path) -> Path:
    (folder / ".cogauth").symlink_to("../home/.config")
    return home / ".config" / "cogauth.json"


def a_dangling_folder(folder: Path, home: Path) -> Path:
    (folder / ".cogauth").symlink_to("../home/none")
    return home / "none" / "cogauth.json"


def a_link_in_a_linked_folder(folder: Path, home: Path) -> Path:
    (home / ".config" / "cogauth.json").symlink_to("../x.json")
    a_folder_of_the_users(folder, home)
    return home / "x.json"


@pytest.mark.parametrize(
    "plant",
    [
        a_dangling_file,
        a_file_of_the_users,
        a_folder_of_the_users,
        a_dangling_folder,
        a_link_in_a_linked_folder,
    ],
)
def test_no_link_is_followed_at_the_default_place(
    plant: Callable[[Path, Path], Path], tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "clone", tmp_path / "my home"
    (home / ".config").mkdir(parents=True)
    (tmp_path / "home").symlink_to(home)
    folder.mkdir()
    no_credentials.chdir(folder)
    target = plant(folder, home)
    link = next(p for p in (Path(".cogauth"), Path(".cogauth/cogauth.json")) if p.is_symlink())
    before = portrait(tmp_path)
    region = ("--region", "eu-central-1")
    for words in (
        *(["up", "--local"], ["up", *region], ["down", "--yes", *region], ["recover", *region]),
        *(["users"], ["token"], ["up", "--local", "--trust-state"]),
    ):
        said = in_process(*words).must(2).err
        assert f"{link} is a link to {link.readlink()}. It was not followed" in said
        given = re.search(r"--state (\S+|'.*')\n?$", said)
        assert given is not None
        assert shlex.split(given[1]) == [str(target)]
    assert portrait(tmp_path) == before
    # If the user names it explicitly, it is a file like any other.
    for state in (str(target), str(link if link.name == "cogauth.json" else link / "cogauth.json")):
        assert "is a link" not in in_process("down", "--yes", "--state", state).err


# Which files say that the local AWS is in use


@pytest.mark.long
@pytest.mark.local
def test_only_state_files_keep_the_local_aws_running(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        state = json.loads(cli.state.read_text())
        beside_it = cli.state.parent
        (beside_it / "notes.json").write_text('{"local_data": "x"}')
        (beside_it / "broken.json").write_text('{"version": 1,')
        (beside_it / "link.json").symlink_to(cli.state)
        home = Path(f"{tmp_path}.state-home", "cogauth", "local-aws")
        assert [path.name for path in home.iterdir()] == [state["local_data"]]
        # A damaged file of another stack keeps it running: that stack's users may be in the data.
        damaged = beside_it / "other.json"
        damaged.write_text(json.dumps({**state, "stack": "other", "resources": 7}))
        done = cli.run("down", "--yes").must()
        assert f"The local AWS keeps running: {damaged.relative_to(tmp_path)} can't" in done.err
        assert processes_of(tmp_path)
        assert damaged.exists()
        damaged.unlink()
        cli.run("up", "--local").must()
        done = cli.run("down", "--yes").must()
        assert "the local AWS was stopped" in done.err
        assert not processes_of(tmp_path)
        assert beside_gitignore(beside_it) == [
            "broken.json",
            "link.json",
            "notes.json",
        ]
        assert list(home.iterdir()) == []


@pytest.mark.long
@pytest.mark.local
def test_the_copy_that_recover_keeps_does_not_keep_the_local_aws_running(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        home = Path(f"{tmp_path}.state-home", "cogauth", "local-aws")
        cli.state.write_bytes(cli.state.read_bytes()[:-40])
        cli.run("recover").must()
        assert "the local AWS was stopped" in cli.run("down", "--yes").must().err
        assert not processes_of(tmp_path)
        assert list(home.iterdir()) == []
        (name,) = beside_gitignore(cli.state.parent)
        copy = cli.state.with_name(name)
        assert is_kept(copy)
        # The copy is of no use by itself, and no command leaves anything beside it.
        assert "is damaged" in cli.run("down", "--state", str(copy)).must(1).err
        cli.run("recover", "--state", str(copy)).must(2)
        assert beside_gitignore(cli.state.parent) == [copy.name]


@pytest.mark.long
@pytest.mark.local
def test_what_is_said_of_a_damaged_file_beside_the_local_aws_works(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        other = cli.state.with_name("my other.json")
        options = ("--stack", "other", "--state", str(other.relative_to(tmp_path)))
        cli.run("up", "--local", *options).must()
        # The file is cut so short that it doesn't say what it is.
        other.write_bytes(other.read_bytes()[:40])
        said = cli.run("down", "--yes").must().err
        assert "This is the local AWS's last stack" not in said
        assert "a stack other is on it" in said
        shown = "--stack NAME --state '.cogauth/my other.json'"
        for words in (f"'cogauth recover {shown}'", f"'cogauth down {shown}'"):
            assert words in said
        assert processes_of(tmp_path)
        # The file belongs to a stack. The server may have ended since, as after a reboot.
        LocalAws(cli.local).stop()
        cli.run("recover", *options).must()
        assert "the local AWS was stopped" in cli.run("down", "--yes", *options).must().err
        assert not processes_of(tmp_path)
        # The file belongs to no stack.
        cli.run("up", "--local").must()
        other.write_text('{"version": 1, "stack_id": 7}')
        assert (
            "run 'cogauth down --yes' to end the local AWS" in cli.run("down", "--yes").must().err
        )
        other.unlink()
        cli.run("down").must()
        assert processes_of(tmp_path)
        assert "the local AWS was stopped" in cli.run("down", "--yes").must().err
        assert not processes_of(tmp_path)
        assert all(is_kept(Path(name)) for name in beside_gitignore(cli.state.parent))


@pytest.mark.local
def test_a_local_aws_with_something_in_it_is_not_ended_unasked(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        lost = cli.state.read_bytes()
        cli.state.unlink()
        done = cli.run("down", "--yes", "--stack", "another").must()
        assert "No stack another here" in done.err
        assert LocalAws(cli.local).is_running()
        cli.state.write_bytes(lost)
        assert "the local AWS was stopped" in cli.run("down", "--yes").must().err


@pytest.mark.long
@pytest.mark.local
def test_recover_says_that_the_local_aws_begins_empty_once_it_has_ended(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        cli.state.unlink()
        LocalAws(cli.local).stop()
        # Nobody can tell whose the data are, so the local AWS starts empty.
        said = cli.run("recover", XDG_STATE_HOME="/proc/nowhere").must(1).err
        assert "The local AWS can't record that its data are yours" in said
        LocalAws(cli.local).remove()


@pytest.mark.long
@pytest.mark.local
def test_a_stack_is_found_in_a_local_aws_that_does_not_run(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        cli.run("up", "--local", "--stack", "other").must()
        other = cli.state.with_name("other.json")
        lost = json.loads(other.read_text())
        other.unlink()
        LocalAws(cli.local).stop()
        # This stack isn't in the data: recover looks for it on AWS and ends the server again.
        assert "No AWS region" in cli.run("recover", "--stack", "another").must(2).err
        assert not processes_of(tmp_path)
        cli.run("recover", "--stack", "other").must()
        assert json.loads(other.read_text())["stack_id"] == lost["stack_id"]
        cli.run("down", "--yes").must()
        assert (
            "the local AWS was stopped" in cli.run("down", "--yes", "--stack", "other").must().err
        )


def test_a_damaged_file_has_its_name_until_a_sound_one_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "cogauth.json"
    path.write_text("{")
    copy = keep(path)
    assert is_kept(copy)
    assert copy.read_text() == path.read_text() == "{"
    write_private(path, {})
    assert copy.read_text() == "{"


@pytest.mark.parametrize(
    "name",
    [
        "cogauth.json",
        "cogauth.json.damaged",
        "cogauth.json.damaged-1",
        "cogauth.json.damaged-20261124T101112.123456.json",
        ".damaged-20261124T101112.123456",
    ],
)
def test_other_names_are_no_kept_copies(name: str) -> None:
    assert not is_kept(Path(name))


# Files for the user

BEGUN = b"<svg"


def test_a_file_for_the_user_is_written_whole_with_the_mode_of_any_new_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "stack.svg"
    for text in ("<svg/>", "<svg>\u00e9</svg>"):
        write_output(path, text, BEGUN)
        assert path.read_text() == text
        before = os.umask(0o022)
        os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~before
        assert [each.name for each in tmp_path.iterdir()] == ["stack.svg"]


def test_an_empty_file_for_the_user_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "stack.svg"
    path.touch()
    check_output(path, BEGUN)
    assert path.read_bytes() == b""
    write_output(path, "<svg/>", BEGUN)
    assert path.read_text() == "<svg/>"


@pytest.mark.parametrize("plant", PLANTED)
def test_what_is_in_the_way_of_a_file_for_the_user_stays(
    plant: Callable[[Path, Path], None], victim: Path, tmp_path: Path
) -> None:
    path = tmp_path / "stack.svg"
    plant(path, victim)
    before = portrait(tmp_path)
    for refused in (
        lambda: check_output(path, BEGUN),
        lambda: write_output(path, "<svg/>", BEGUN),
    ):
        with pytest.raises(CogauthError, match=r"can't be written: .*Give another file"):
            refused()
    assert portrait(tmp_path) == before


@pytest.mark.parametrize("name", ["missing/stack.svg", "file/stack.svg", "s" * 300, "."])
def test_a_place_for_the_user_that_there_is_not(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(ROWS)
    before = portrait(tmp_path)
    with pytest.raises(CogauthError, match=r"can't be written(?s:.*)Give another file"):
        write_output(tmp_path / name, "<svg/>", BEGUN)
    assert portrait(tmp_path) == before
