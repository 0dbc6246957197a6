"""What others plant above, beside or in place of a state file is named and left alone."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cogauth.cli.local_stacks import local_stacks, stop_unused_local
from cogauth.cli.options import Target
from cogauth.errors import CogauthError
from cogauth.local.process import FOLDER
from cogauth.record.files import beside, check_writable, is_kept, make_folder, remove_own
from cogauth.record.state import State, is_of_cogauth, load
from cogauth.record.trust import others_may_write, read_input, trusting
from support.commands import in_process
from support.faults import disk_full_at
from support.local_process import SERVED, lay_out
from support.planted import (
    ODD,
    ROWS,
    a_folder,
    a_full_folder,
    a_pipe,
    a_socket,
    another_users,
    is_root,
    portrait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.account import Account

    Plant = Callable[[Path, Path], None]

NOBODY, ANOTHER = 65534, 4711
only_root = pytest.mark.skipif(not is_root, reason="only root can be several users")


@pytest.fixture
def shop(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account in which a command without options is about the stack shop."""
    monkeypatch.setenv("COGAUTH_STACK", "shop")
    monkeypatch.setenv("COGAUTH_STATE", str(account.path()))
    monkeypatch.setenv("AWS_REGION", account.region)
    return account


# The folders above


@contextmanager
def as_user(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every user can reach; only one user can reach the tests' own folders."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def is_conflict(state: Path) -> bool:
    """Return whether a state file may be created there; an existing one is read if so."""
    taken = []
    for act in (lambda: check_writable(state), lambda: read_input(state, 100)):
        try:
            act()
            taken.append(True)
        except FileNotFoundError:
            pass
        except CogauthError as error:
            # Whether it may is asserted below. The message names the place and the reason.
            why = "(others may write to|the folder belongs to another user|it belongs to another)"
            named = re.match(rf"(/\S+) is not trusted: {why}", str(error))
            assert named
            assert os.path.lexists(named[1])
            taken.append(False)
    assert len(set(taken)) == 1
    return taken[0]


@only_root
@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize(
    ("owner", "mode", "taken"),
    [
        (NOBODY, 0o755, True),
        (0, 0o755, True),
        (0, 0o1777, True),
        (NOBODY, 0o1777, True),
        (NOBODY, 0o777, False),
        (0, 0o777, False),
        (0, 0o775, True),  # The group is root's own.
        (NOBODY, 0o775, False),  # The group is root's, which isn't NOBODY's own.
        (ANOTHER, 0o755, False),
        (ANOTHER, 0o777, False),
        (ANOTHER, 0o1777, False),  # Its owner may rename what is in there.
    ],
)
def test_nobody_else_may_put_another_folder_in_the_place_of_ours(
    owner: int, mode: int, *, taken: bool, made: bool, common: Path
) -> None:
    above = common / "above"
    state = above / "project" / ".cogauth" / "cogauth.json"
    state.parent.mkdir(parents=True)
    for folder in (state.parent, state.parent.parent):
        os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o700)
    if made:
        state.write_text(ROWS)
        os.chown(state, NOBODY, NOBODY)
        state.chmod(0o600)
    os.chown(above, owner, 0)
    above.chmod(mode)
    with as_user(NOBODY):
        assert is_conflict(state) == taken
        with trusting(state.parent):
            assert is_conflict(state)


@only_root
def test_a_link_on_the_way_is_as_good_as_who_may_change_it(common: Path) -> None:
    (common / "own" / ".cogauth").mkdir(parents=True)
    for folder in (common / "own", common / "own" / ".cogauth"):
        os.chown(folder, NOBODY, NOBODY)
    (common / "sticky").mkdir()
    (common / "sticky").chmod(0o1777)
    (common / "open").mkdir()
    (common / "open").chmod(0o777)
    for name, owner, taken in (
        ("sticky/link", 0, True),
        ("sticky/link", NOBODY, True),
        ("sticky/link", ANOTHER, False),
        ("open/link", NOBODY, False),
    ):
        link = common / name
        link.symlink_to(common / "own")
        os.chown(link, owner, owner, follow_symlinks=False)
        (common / "to-it").symlink_to(link)
        with as_user(NOBODY):
            for way in (link, common / "to-it"):
                assert is_conflict(way / ".cogauth" / "cogauth.json") == taken
        link.unlink()
        (common / "to-it").unlink()


@only_root
def test_root_works_in_the_folders_of_a_user(common: Path) -> None:
    """As in a container, where the checkout belongs to the user who mounted it."""
    checkout = common / "checkout"
    checkout.mkdir()
    os.chown(checkout, ANOTHER, ANOTHER)
    for mode, taken in ((0o755, True), (0o775, True), (0o777, False)):
        checkout.chmod(mode)
        assert is_conflict(checkout / ".cogauth" / "cogauth.json") == taken


@pytest.mark.parametrize(
    ("is_first", "has_its_name", "members"),
    list(product([True, False], [True, False], [[], ["ann"], ["ann", "bob"], ["bob"]])),
)
def test_only_a_users_private_group_is_nobody_else(
    monkeypatch: pytest.MonkeyPatch, *, is_first: bool, has_its_name: bool, members: list[str]
) -> None:
    """useradd makes this group, with the user's own name and no other member."""
    user = SimpleNamespace(pw_name="ann", pw_gid=100 if is_first else 1)
    group = SimpleNamespace(gr_name="ann" if has_its_name else "staff", gr_mem=members)
    monkeypatch.setattr(pwd, "getpwuid", lambda _number: user)
    monkeypatch.setattr(grp, "getgrgid", lambda _number: group)
    private = is_first and has_its_name and "bob" not in members
    for mode, others in ((0o660, not private), (0o666, True), (0o644, False)):
        found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, 1000, 100, 0, 0, 0, 0))
        assert others_may_write(found) == others


@contextmanager
def bound_by_modes(folder: Path) -> Iterator[None]:
    """Act as the folder's owner, a user who may do only what modes allow."""
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
    with as_user(NOBODY) if is_root else nullcontext():
        yield


def test_what_modes_forbid_is_no_defect(common: Path) -> None:
    with bound_by_modes(common):
        folder = common / "new"
        common.chmod(0o300)  # It may be written to, but not opened.
        assert make_folder(folder) == [folder]
        common.chmod(0o700)
        path = folder / "shop.json"
        path.write_text("{}")
        assert not is_of_cogauth(path)
        path.chmod(0)
        assert is_of_cogauth(path)  # Nobody can tell.
        folder.chmod(0o500)
        assert remove_own(path) == f"left alone: {path}: Permission denied"
        folder.chmod(0o700)
        assert remove_own(path) is None
    common.chmod(0o755)


def test_no_command_makes_anything_below_a_folder_that_all_may_write_to(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "it's shared"
    (shared / "project").mkdir(parents=True)
    shared.chmod(0o777)
    no_credentials.chdir(shared / "project")
    region = ("--region", "eu-central-1")
    for words in (["up", *region], ["up", "--local"], ["recover", *region]):
        said = in_process(*words).must(1).err
        assert f"{shared} is not trusted: others may write to the folder" in said
    assert list((shared / "project").iterdir()) == []
    no_credentials.setattr(tempfile, "tempdir", str(shared))
    assert "is not trusted" in in_process("demo").must(1).err
    assert [path.name for path in shared.iterdir()] == ["project"]
    # The suggested command helps.
    shown = said.partition("; or: ")[2].partition(". On a file system")[0]
    subprocess.run(shlex.split(shown), check=True)
    check_writable(shared / "project" / ".cogauth" / "cogauth.json")


def test_a_second_name_is_no_file_of_ones_own(tmp_path: Path, account: Account) -> None:
    """In a folder that all may write to, others can link a user's file under a second name."""
    account.stands()
    folder = tmp_path / "all's"
    folder.mkdir()
    folder.chmod(0o1777)
    path = folder / "shop.json"
    path.hardlink_to(account.path())
    said = re.escape(f"{path} is not trusted: it has a second name")
    with pytest.raises(CogauthError, match=said) as caught:
        load(path)
    remedy = (
        str(caught.value)
        .partition("replace it with a copy: ")[2]
        .partition(". On a file system")[0]
    )
    subprocess.run(["/bin/sh", "-c", remedy], check=True)
    assert load(path) is not None
    assert load(account.path()) is not None


# Beside the state file

COMPANIONS = [".shop.json.cogauth-tokens", "..shop.json.cogauth-tokens.cogauth-lock"]
HALF = "..shop.json.cogauth-tokens.cogauth-new-abcdefgh.tmp"


@pytest.mark.parametrize("name", [*COMPANIONS, HALF])
@pytest.mark.parametrize("plant", ODD)
def test_removing_a_state_leaves_alone_what_is_not_ours(
    plant: Plant, name: str, victim: Path, account: Account
) -> None:
    state = account.new_state()
    state.save()
    plant(account.folder / name, victim)
    before = portrait(account.folder), portrait(victim.parent)
    (line,) = state.remove()
    assert line.startswith(f"left alone: {account.folder / name}: it ")
    del before[0]["shop.json"]
    assert (portrait(account.folder), portrait(victim.parent)) == before


@only_root
def test_where_owners_mean_nothing_another_users_file_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    another_users(path, path)
    with trusting(tmp_path):
        assert remove_own(path) is None
    assert not path.exists()


def test_down_ends_whatever_bears_the_tokens_name(shop: Account) -> None:
    shop.up()
    a_full_folder(shop.folder / COMPANIONS[0], shop.folder)
    done = in_process("down", "--yes", "--json").must(0)
    assert done.document["remaining"] == []
    assert f"left alone: {shop.folder / COMPANIONS[0]}: it is not a regular file" in done.err
    assert not shop.path().exists()
    assert "left alone" not in in_process("down", "--yes").must(0).err
    assert (shop.folder / COMPANIONS[0] / "rows.csv").read_text() == ROWS


@pytest.mark.parametrize("plant", [a_pipe, another_users, a_socket])
@pytest.mark.parametrize("name", COMPANIONS)
def test_what_bears_the_tokens_name_is_named_before_anything_is_done(
    plant: Plant, name: str, victim: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = account.new_state()
    state.save()
    plant(account.folder / name, victim)
    monkeypatch.setenv("COGAUTH_STACK", "shop")
    monkeypatch.setenv("COGAUTH_STATE", str(account.path()))
    monkeypatch.setenv("COGAUTH_PASSWORD", "Correct-Horse-7")
    before = portrait(account.folder)
    user = ("--username", "ann")
    for words in (
        ["up"],
        ["test-login", *user],
        ["token", *user],
        ["call", "GET", "/hello", *user],
        ["users", "delete", "ann", "--yes"],
    ):
        assert f"{name} is not cogauth's own file: it " in in_process(*words).must(1).err
    assert portrait(account.folder) == before
    assert account.left() == []


# In place of the state file


@pytest.mark.parametrize("plant", [a_pipe, a_folder, a_full_folder, a_socket])
def test_recover_takes_only_a_file_for_a_damaged_one(
    plant: Plant, victim: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGAUTH_STACK", "shop")
    monkeypatch.setenv("AWS_REGION", account.region)
    account.folder = victim.parent / ".cogauth"
    monkeypatch.chdir(victim.parent)
    account.up()
    account.path().unlink()
    plant(account.path(), victim)
    before = portrait(account.folder)
    said = in_process("recover").must(1).err
    assert "The state file .cogauth/shop.json can't be read" in said
    assert portrait(account.folder) == before


def test_recover_keeps_a_damaged_file_unless_it_writes_a_sound_one(shop: Account) -> None:
    shop.up()
    for damaged in ("{", '{"version": 0}'):
        shop.path().write_text(damaged)
        with disk_full_at(100):
            assert "can't be written" in in_process("recover").must(1).err
        assert [path.name for path in shop.folder.iterdir()] == ["shop.json"]
        assert shop.path().read_text() == damaged
        in_process("recover").must(0)
        assert shop.state().fact("user_pool", "id")
        (copy,) = filter(is_kept, shop.folder.iterdir())
        assert copy.read_text() == damaged
        copy.unlink()
        beside(shop.path(), "lock").unlink()


# Who keeps the local AWS running


@pytest.fixture
def target(account: Account) -> Target:
    """A stack that is gone from a local AWS; moto plays that AWS, and its folder is real."""
    lay_out(account.folder / FOLDER)
    return Target(
        *("cogauth", account.path("cogauth"), None, None, None), as_json=False, debug=False
    )


def is_ended(account: Account, target: Target) -> bool:
    """Return whether the local AWS was ended because no stack is left; if so, its data are gone."""
    ended = stop_unused_local(target, SERVED, account.context_of(account.new_state("cogauth")))
    assert (account.folder / FOLDER).exists() == (not ended)
    return ended


def as_it_is(path: Path) -> None:
    del path


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def in_another_encoding(path: Path) -> None:
    path.write_bytes(path.read_text().encode("utf-16"))


def behind_blanks(path: Path) -> None:
    path.write_bytes(b" " * 16_000_000 + path.read_bytes())


def unreadable(path: Path) -> None:
    path.chmod(0)


def a_folder_now(path: Path) -> None:
    path.unlink()
    path.mkdir()


def moved_away(path: Path) -> None:
    path.unlink()


DAMAGE = (
    as_it_is,
    cut_short,
    emptied,
    in_another_encoding,
    behind_blanks,
    unreadable,
    a_folder_now,
    moved_away,
)


@pytest.mark.parametrize("harm", DAMAGE)
def test_a_local_aws_in_which_another_stack_stands_is_not_ended(
    harm: Callable[[Path], None],
    account: Account,
    target: Target,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account.stands()
    existing = account.left()
    harm(account.path())
    assert not is_ended(account, target)
    said = capsys.readouterr().err
    assert "The local AWS keeps running: a stack shop is on it" in said
    assert "cogauth down --stack shop" in said
    assert account.left() == existing


@pytest.mark.parametrize("harm", [h for h in DAMAGE if h not in {a_folder_now, moved_away}])
@pytest.mark.parametrize("what", ["lock", "tokens"])
def test_a_file_with_companions_may_be_of_a_stack_on_it(
    harm: Callable[[Path], None],
    what: str,
    account: Account,
    target: Target,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Even if nothing in the local AWS says so: an owner can remove the tags of a pool."""
    path = account.path("mine").with_suffix("")  # The name needs no .json.
    beside(path, what).touch(mode=0o600)
    on_it(account, path).save()
    harm(path)
    assert not is_ended(account, target)
    assert "The local AWS keeps running: " in capsys.readouterr().err
    path.unlink()
    beside(path, what).unlink()
    assert is_ended(account, target)


def on_it(account: Account, path: Path, data: str = SERVED) -> State:
    state = account.new_state("other")
    state.path, state.endpoint_url, state.local_data = path, "http://127.0.0.1:20000", data
    return state


def test_a_pool_of_no_stack_keeps_it_running(
    account: Account, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    cognito = account.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="by hand")["UserPool"]["Id"]
    assert not is_ended(account, target)
    assert f"the user pool by hand ({pool}) is on it" in capsys.readouterr().err
    cognito.delete_user_pool(UserPoolId=pool)
    assert is_ended(account, target)


def test_a_file_that_only_claims_to_be_on_it_does_not_keep_it_running(
    account: Account, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    on_it(account, account.path("zzz"), "f" * 16).save()
    on_it(account, account.path("is-on-it")).save()
    assert not is_ended(account, target)
    said = capsys.readouterr().err
    path = account.path("is-on-it")
    assert f"the stack other of {path} is on it" in said
    assert f"'cogauth down --stack other --state {path}' to delete it" in said
    assert "zzz" not in said
    path.unlink()
    assert is_ended(account, target)


def test_other_files_beside_it_are_not_looked_through(account: Account, target: Target) -> None:
    """As in a folder of downloads: only the first bytes of other files are read."""
    folder = account.folder
    late = json.dumps({"x" * 5000: 0, "version": 1, "stack_id": "x"})
    for name, text in (
        ("notes.txt", '{"version": 1, "stack_id": "x"}'),
        ("big.json", late),
        (".notes.json.cogauth-tokens", '{"version": 1, "stack_id": "x"}'),
        ("..notes.json.cogauth-tokens.cogauth-lock", ""),
    ):
        (folder / name).write_text(text)
    a_pipe(folder / "pipe.json", folder)
    a_folder(folder / "folder.json", folder)
    assert local_stacks(target, SERVED) == ([], [])
    assert is_ended(account, target)
