"""Other files where cogauth keeps its own: cogauth names what isn't its own and leaves it alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws
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
from support.commands import Cli, beside_gitignore, command_line, in_process, processes_of
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
    from collections.abc import Callable, Iterator
    from types import FrameType

# Files


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's that an attacker wants to damage."""
    path = tmp_path / "home" / ".bashrc"
    path.parent.mkdir()
    path.write_text(ROWS)
    return path


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


# The local AWS's folder


def somebodys_folder(folder: Path, _victim: Path) -> None:
    for name in ("data-prod/rows.csv", "tmp/rows.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(ROWS)


def a_link_to_a_folder(folder: Path, victim: Path) -> None:
    somebodys_folder(victim.parent / "data", victim)
    (victim.parent / "data" / MARKER).write_bytes(MARKED)
    folder.symlink_to(victim.parent / "data")


def a_file(folder: Path, _victim: Path) -> None:
    folder.write_text(ROWS)


def another_users_folder(folder: Path, victim: Path) -> None:
    if not is_root:
        pytest.skip("only root can make another user's folder")
    somebodys_folder(folder, victim)
    (folder / MARKER).write_bytes(MARKED)
    os.chown(folder, 4711, 4711)


def a_folder_whose_mark_is_a_link(folder: Path, victim: Path) -> None:
    somebodys_folder(folder, victim)
    (folder / ".cogauth").symlink_to(victim)


def a_folder_with_another_mark(folder: Path, victim: Path) -> None:
    somebodys_folder(folder, victim)
    (folder / MARKER).write_bytes(MARKED + b"x")


FOLDERS = (
    somebodys_folder,
    a_folder_with_another_mark,
    a_link_to_a_folder,
    a_file,
    another_users_folder,
    a_folder_whose_mark_is_a_link,
)


@pytest.mark.parametrize("plant", FOLDERS)
def test_a_folder_that_is_not_ours_is_left_as_it_is(
    plant: Callable[[Path, Path], None], victim: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clone" / FOLDER
    folder.parent.mkdir()
    plant(folder, victim)
    before = portrait(tmp_path)
    local = LocalAws(folder)
    for act in (local.start, local.stop, local.remove, lambda: local.endpoint_url):
        with pytest.raises(LocalAwsError, match="is not the folder of cogauth's local AWS"):
            act()
    assert portrait(tmp_path) == before


@pytest.mark.parametrize("name", ["local", "data", "data-prod", "tmp"])
def test_folders_of_the_user_beside_the_state_file_stay(cli: Cli, name: str) -> None:
    somebodys_folder(cli.folder / ".cogauth" / name, cli.folder)
    before = portrait(cli.folder / ".cogauth" / name)
    # `up` fails before it starts anything; it has claimed the folder by then.
    cli.run("up", "--local", "--tier", "FREE").must(2)
    LocalAws(cli.local).remove()
    assert portrait(cli.folder / ".cogauth" / name) == before


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAws]:
    made = LocalAws(tmp_path / FOLDER, patience=10)
    yield made
    made.remove()


@pytest.mark.local
def test_what_somebody_put_into_our_folder_stays(local: LocalAws, tmp_path: Path) -> None:
    local.start()
    folder = tmp_path / FOLDER
    for name in ("data-prod", "data-0123", "notes"):
        (folder / name).mkdir()
        (folder / name / "rows.csv").write_text(ROWS)
    (folder / "data-0123456789abcdef").symlink_to(folder / "notes")
    local.stop()
    local.start()
    local.remove()
    assert sorted(path.name for path in folder.iterdir()) == [
        "data-0123",
        "data-0123456789abcdef",
        "data-prod",
        "notes",
    ]
    assert (folder / "notes" / "rows.csv").read_text() == ROWS
    shutil.rmtree(folder)


@pytest.mark.local
@pytest.mark.parametrize("name", ["alive", "ministack.log"])
def test_a_planted_file_in_our_folder_is_refused(name: str, victim: Path, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / MARKER).write_bytes(MARKED)
    (folder / name).symlink_to(victim)
    with pytest.raises(CogauthError, match=f"{name} is not cogauth's own file: it is a link"):
        LocalAws(folder).start()
    assert victim.read_text() == ROWS
    assert not processes_of(tmp_path)


@pytest.mark.long
@pytest.mark.local
def test_a_planted_pid_ends_nobody(tmp_path: Path) -> None:
    LocalAws(tmp_path / FOLDER).start()
    # The patience is short only for the processes that don't end.
    local = LocalAws(tmp_path / FOLDER, patience=1)
    (pid_file,) = (tmp_path / FOLDER).glob("tmp/ministack-*.pid")
    own = pid_file.read_text()
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as foreign:
        try:
            pid_file.write_text(str(foreign.pid))
            # The server runs, so its lock is held; but its process can't be identified any more.
            with pytest.raises(LocalAwsError, match="doesn't stop"):
                local.stop()
            assert foreign.poll() is None
            # A process that runs the same program elsewhere isn't ended either.
            other = LocalAws(tmp_path / "other" / FOLDER)
            other.start()
            (its_file,) = (tmp_path / "other" / FOLDER).glob("tmp/ministack-*.pid")
            pid_file.write_text(its_file.read_text())
            with pytest.raises(LocalAwsError, match="doesn't stop"):
                local.stop()
            assert other.is_running()
            other.remove()
        finally:
            foreign.kill()
    pid_file.write_text(own)
    LocalAws(tmp_path / FOLDER).remove()
    assert not processes_of(tmp_path)


@pytest.mark.local
def test_data_that_came_from_elsewhere_are_not_served(
    local: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = local.start()
    local.stop()
    clone = tmp_path / "clone" / FOLDER
    shutil.copytree(tmp_path / FOLDER, clone)
    # As on another machine, or as another user.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-home"))
    before = portrait(clone)
    with pytest.raises(LocalAwsError, match="were not created by this user"):
        LocalAws(clone).start()
    assert portrait(clone) == before
    # If nothing can be recorded, nothing is known: it starts empty and says so.
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    elsewhere = LocalAws(clone)
    started = elsewhere.start()
    assert started.data_id != made.data_id
    assert "/proc/nowhere" in (started.forgotten or "")
    assert elsewhere.start().data_id == started.data_id
    elsewhere.remove()


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("moved", [False, True])
def test_data_are_served_only_where_they_were_made(*, moved: bool, tmp_path: Path) -> None:
    """A clone may carry data under an id that was committed once."""
    with command_line(tmp_path) as cli:
        home = Path(f"{tmp_path}.state-home", "cogauth", "local-aws")
        cli.run("up", "--local").must()
        LocalAws(cli.local).stop()
        there = tmp_path / "clone" / ".cogauth"
        there.parent.mkdir()
        if moved:
            cli.state.parent.rename(there)
        else:
            shutil.copytree(cli.state.parent, there)
        before = portrait(there / FOLDER), portrait(home)
        state = ("--state", str(there / "cogauth.json"))
        for words in (("up", "--local"), ("down", "--yes"), ("users",)):
            said = cli.run(*words, *state).must(1).err
            assert f"were created in {cli.local}, and are only served from there" in said
        assert not processes_of(tmp_path)
        assert (portrait(there / FOLDER), portrait(home)) == before
        if moved:
            there.rename(cli.state.parent)
        # Where they were made, the data are unchanged.
        cli.run("up").must()
        cli.run("down", "--yes").must()
        assert list(home.iterdir()) == []


@pytest.mark.long
@pytest.mark.local
def test_data_that_are_deleted_elsewhere_stay_known_where_they_were_made(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.run("up", "--local").must()
        LocalAws(cli.local).stop()
        there = tmp_path / "clone" / ".cogauth"
        shutil.copytree(cli.state.parent, there)
        # Following the message lets it start afresh there.
        state = ("--state", str(there / "cogauth.json"))
        said = cli.run("up", *state).must(1).err
        assert f"delete {there / FOLDER / 'local.json'} and the state files in {there}" in said
        (there / FOLDER / "local.json").unlink()
        (there / "cogauth.json").unlink()
        cli.run("up", "--local", *state).must()
        cli.run("down", "--yes", *state).must()
        cli.run("up").must()
        cli.run("down", "--yes").must()


@pytest.mark.local
def test_foreign_data_are_at_no_instant_noted_as_ones_own(
    local: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a kill at that moment would make them the user's own for good."""
    made = local.start()
    local.stop()
    home = tmp_path / "another-home"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    elsewhere = LocalAws(tmp_path / FOLDER)
    lines: list[bool] = []

    def watch(_frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            lines.append((home / "cogauth" / "local-aws" / made.data_id).exists())
        return watch

    former = sys.gettrace()
    sys.settrace(watch)
    try:
        with pytest.raises(LocalAwsError, match="were not created by this user"):
            elsewhere.start()
    finally:
        sys.settrace(former)
    assert lines
    assert not any(lines)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    monkeypatch.undo()


@pytest.mark.local
def test_a_note_that_others_could_have_written_counts_for_nothing(
    local: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    one = LocalAws(tmp_path / "one" / FOLDER)
    assert one.start().forgotten is None
    one.stop()
    (home / "cogauth" / "local-aws").chmod(0o777)
    began = one.start()
    assert "others may write to" in (began.forgotten or "")
    one.remove()
    del local


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
