"""What others may write is refused, a state file, tokens or a folder, unless the user trusts it."""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.cli.local_stacks import local_stacks
from cogauth.cli.options import Target
from cogauth.client import token_store, tokens
from cogauth.errors import CogauthError
from cogauth.record.files import beside
from cogauth.record.lock import hold
from cogauth.record.state import load
from cogauth.record.trust import trusting
from support.broken import COMMANDS
from support.commands import KEYS, in_process
from support.documents import at
from support.names import PASSWORD, REGION
from support.planted import is_root
from support.servers import Fixed, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


NOBODY = 4711


def foreign_owner(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def writable_by_all(path: Path) -> None:
    path.chmod(0o666)


def writable_by_a_group(path: Path) -> None:
    os.chown(path, -1, NOBODY)
    path.chmod(0o660)


def folder_of_another(path: Path) -> None:
    os.chown(path.parent, NOBODY, NOBODY)


def folder_writable_by_all(path: Path) -> None:
    path.parent.chmod(0o777)


def folder_writable_by_a_group(path: Path) -> None:
    os.chown(path.parent, -1, NOBODY)
    path.parent.chmod(0o770)


SHARED: list[Any] = [
    pytest.param(
        change,
        marks=pytest.mark.skipif(
            not is_root and "all" not in change.__name__, reason="only root can give files away"
        ),
        id=change.__name__,
    )
    for change in (
        foreign_owner,
        writable_by_all,
        writable_by_a_group,
        folder_of_another,
        folder_writable_by_all,
        folder_writable_by_a_group,
    )
]


@pytest.mark.parametrize("share", SHARED)
def test_a_state_file_that_others_may_write_is_refused(
    share: Callable[[Path], None], tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shared" / "cogauth.json"
    at(path)
    share(path)
    before = (path.read_bytes(), path.stat())
    named, it = (path.parent, "the folder") if "folder" in share.__name__ else (path, "it")
    its_owner = f"{it} belongs to another user (uid {NOBODY})"
    why = "others may write to " + it if "writable" in share.__name__ else its_owner
    no_credentials.setenv("COGAUTH_STATE", str(path))
    no_credentials.setenv("COGAUTH_PASSWORD", PASSWORD)
    with Fixed(answer) as aws:
        no_credentials.setenv("AWS_ENDPOINT_URL", aws.url)
        for name, words in COMMANDS.items():
            if name in {"demo", "recover", "list"} or "--state" in words:
                continue
            done = in_process(*words, typed="eyJhbGciOiJub25lIn0.e30.x\n").must(1)
            assert f"{named} is not trusted: {why}" in done.err
            assert "--trust-state (COGAUTH_TRUST_STATE=1)" in done.err
        # Somebody else may be using it, so it isn't moved away either.
        assert "is not trusted: " in in_process("recover").must(1).err
        assert aws.requests == []
    assert (path.read_bytes(), path.stat()) == before
    assert [file.name for file in path.parent.iterdir()] == ["cogauth.json"]


@pytest.mark.parametrize("share", SHARED)
def test_a_state_file_is_trusted_on_the_users_word(
    share: Callable[[Path], None], tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    """As on a file system without owners, where locks and tokens have no owner either."""
    path = tmp_path / "shared" / "cogauth.json"
    for name, value in KEYS.items():
        no_credentials.setenv(name, value)
    no_credentials.setenv("COGAUTH_STATE", str(path))
    with Fixed(answer) as aws:
        no_credentials.setenv("AWS_ENDPOINT_URL", aws.url)
        at(path, endpoint_url=aws.url)
        with hold(path, "up", 0), hold(beside(path, "tokens"), "token", 0):
            locks = [beside(path, "lock"), beside(beside(path, "tokens"), "lock")]
        state = load(path)
        assert state is not None
        token_store.store(state, "ann", dict.fromkeys(tokens.NAMES, "eyJ0"))
        for file in (*locks, state.tokens_path, path):
            share(file)
        for given in (["--trust-state"], []):
            done = in_process("users", *given)
            assert ("is not trusted" in done.err) == (given == [])
        no_credentials.setenv("COGAUTH_TRUST_STATE", "1")
        # The command gets as far as AWS, which knows none of the resources.
        done = in_process("up", "--json")
        assert "is not trusted" not in done.err
        assert "cogauth's own file" not in done.err
        aws.requests.clear()
        in_process("down", "--yes")
        assert aws.requests
    with trusting(path.parent):
        assert set(token_store.stored(state)) == {"ann"}
        token_store.store(state, "bob", dict.fromkeys(tokens.NAMES, "eyJ0"))
        assert set(token_store.stored(state)) == {"ann", "bob"}
        assert state.options.endswith(" --trust-state")
    assert not state.options.endswith(" --trust-state")


@pytest.mark.parametrize(
    "share", [pytest.param(p.values[0], marks=p.marks, id=p.id) for p in SHARED[:3]]
)
def test_tokens_that_others_may_write_are_refused(
    share: Callable[[Path], None], tmp_path: Path
) -> None:
    at(tmp_path / "cogauth.json")
    state = load(tmp_path / "cogauth.json")
    assert state is not None
    token_store.store(state, "ann", dict.fromkeys(tokens.NAMES, "eyJ0"))
    share(state.tokens_path)
    for act in (lambda: token_store.stored(state), lambda: token_store.forget(state, "ann")):
        with pytest.raises(CogauthError, match="cogauth-tokens is not cogauth's own file"):
            act()


def test_a_sticky_folder_is_as_good_as_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "tmp" / "cogauth.json"
    at(path)
    path.parent.chmod(0o1777)
    assert load(path) is not None
    path.chmod(0o666)
    with pytest.raises(CogauthError, match="others may write to it"):
        load(path)


def test_a_group_of_ones_own_is_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "own" / "cogauth.json"
    at(path)
    path.parent.chmod(0o770)
    path.chmod(0o660)
    user = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(path.stat().st_gid)
    private = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    with nullcontext() if private else pytest.raises(CogauthError, match="others may write"):
        assert load(path) is not None


def test_a_folder_that_others_may_write_to_gets_no_state_file(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    del no_credentials
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    path = str(tmp_path / "shared" / "cogauth.json")
    for command in (["up", "--region", REGION], ["up", "--local"], ["recover"]):
        done = in_process(*command, "--state", path).must(1)
        named = f"{tmp_path / 'shared'} is not trusted: others may write to the folder"
        assert named in done.err
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize("share", SHARED[:3])
def test_the_state_file_of_another_stack_counts_if_it_is_ours(
    share: Callable[[Path], None], tmp_path: Path
) -> None:
    local = {"endpoint_url": "http://127.0.0.1:20000", "local_data": "0123456789abcdef"}
    other = tmp_path / "other.json"
    at(other, stack="other", **local)
    target = Target("cogauth", tmp_path / "cogauth.json", None, None, None, False, False)  # noqa: FBT003

    def found() -> tuple[list[Path], list[Path]]:
        sound, damaged = local_stacks(target, local["local_data"])
        return [state.path for state in sound], damaged

    assert found() == ([other], [])
    share(other)
    assert found() == ([], [other])
    with trusting(tmp_path):
        assert found() == ([other], [])
