"""The local AWS's folder: only the user's own is used, and only data that the user made there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.errors import LocalAwsError
from cogauth.local.folder import MARKED, MARKER, KnownData
from cogauth.local.process import FOLDER, LocalAws
from support.commands import Cli, command_line, processes_of
from support.local_process import SERVED, lay_out, ours
from support.planted import ODD, ROWS, a_folder, a_full_folder, is_root, portrait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Plant = Callable[[Path, Path], None]


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


@pytest.mark.local
@pytest.mark.parametrize("plant", [p for p in ODD if p not in {a_folder, a_full_folder}])
@pytest.mark.parametrize("name", ["tmp", f"data-{SERVED}"])
def test_what_is_no_folder_of_ours_stops_a_start(
    plant: Plant, name: str, victim: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clone" / FOLDER
    lay_out(folder)
    known = KnownData()
    assert known.add(SERVED, folder) is None
    plant(folder / name, victim)
    before = portrait(tmp_path)
    with pytest.raises(LocalAwsError, match=f"{name} is not cogauth's own: it isn't a folder"):
        LocalAws(folder).start()
    assert portrait(tmp_path) == before
    known.drop(SERVED, folder)


@pytest.mark.parametrize("plant", [p for p in ODD if p not in {a_folder, a_full_folder}])
def test_removing_the_local_aws_leaves_alone_what_is_not_ours(
    plant: Plant, victim: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clone" / FOLDER
    lay_out(folder)
    for name in ("tmp", f"data-{SERVED}"):
        plant(folder / name, victim)
    a_full_folder(folder / "ministack.log", victim)
    LocalAws(folder).remove()
    assert sorted(path.name for path in folder.iterdir()) == [
        f"data-{SERVED}",
        "ministack.log",
        "tmp",
    ]
    assert victim.read_text() == ROWS


def test_a_mark_that_was_half_made_is_made_whole(tmp_path: Path) -> None:
    """A killed start left it half-made; it is completed only if the folder is empty otherwise."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / MARKER).touch(mode=0o600)
    assert LocalAws(folder).endpoint_url is None
    assert (folder / MARKER).read_bytes() == MARKED
    (folder / MARKER).write_bytes(b"")
    (folder / "rows.csv").write_text(ROWS)
    with pytest.raises(LocalAwsError, match="is not what cogauth writes"):
        _ = LocalAws(folder).endpoint_url
    assert (folder / MARKER).read_bytes() == b""


def test_a_damaged_record_is_said_to_be_damaged(aws: LocalAws, folder: Path) -> None:
    ours(folder)
    (folder / "local.json").write_text('{"port"')
    with pytest.raises(LocalAwsError, match=r"is damaged, or from an earlier cogauth\. Delete it"):
        aws.start()
