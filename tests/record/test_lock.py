"""One writer per state file, and two people whose two state files have the same stack name."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.cli.output import tell_error
from cogauth.errors import CogauthError
from cogauth.record.files import beside
from cogauth.record.lock import hold
from support.commands import KEYS, Cli, command_line, files_in, until
from support.forker import COGAUTH, PATIENCE
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.proxies import Call, Gate, Proxy, Strike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# How long a test watches for something that must not happen.
A_WHILE = 1.5
GARBAGE = {
    "empty": b"",
    "text": b"no JSON",
    "another JSON": b"[1, 2]",
    "half of it": b'{"pid": 12',
    "not even text": bytes(range(256)),
    "nested": b"[" * 200_000,
    "other types": b'{"pid": null, "since": [], "command": {}}',
}
HOLDER = (
    "import sys, pathlib\n"
    "from cogauth.record.lock import hold\n"
    "with hold(pathlib.Path(sys.argv[1]), 'down', 0):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "made" / "shop.json"


@pytest.fixture
def holder(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def lock_of(state: Path) -> Path:
    return beside(state, "lock")


# ---- The lock


def test_a_second_one_is_told_who_holds_it(state: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    with hold(state, "up", 0):
        with pytest.raises(CogauthError) as caught, hold(state, "down", 0):
            pytest.fail("two hold it")
        # The failed one took nothing away from the holder.
        with pytest.raises(CogauthError), hold(state, "down", 0):
            pytest.fail("two hold it")
    said = str(caught.value)
    assert f"'cogauth up', process {os.getpid()}, since " in said
    since = re.search(r"since (\S+?)\. ", said)
    assert since
    assert before <= datetime.fromisoformat(since[1]) <= datetime.now(UTC)
    assert "--lock-timeout" in said
    assert str(state) in said


def test_it_holds_across_processes(state: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(CogauthError, match=f"'cogauth down', process {holder.pid}, since 2"):
        hold(state, "up", 0).__enter__()
    holder.communicate()
    with hold(state, "up", 0):
        assert json.loads(lock_of(state).read_text())["pid"] == os.getpid()


def test_a_dead_holder_blocks_nobody(state: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    assert json.loads(lock_of(state).read_text())["pid"] == holder.pid
    with hold(state, "up", 0):
        pass
    assert not lock_of(state).exists()


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_the_lock_file_neither_blocks_nor_breaks(state: Path, garbage: bytes) -> None:
    state.parent.mkdir()
    lock_of(state).write_bytes(garbage)
    with hold(state, "up", 0):
        held = json.loads(lock_of(state).read_text())
        assert (held["pid"], held["command"]) == (os.getpid(), "up")
        lock_of(state).write_bytes(garbage)
        with pytest.raises(CogauthError, match="Another cogauth is using"):
            hold(state, "down", 0).__enter__()


def test_what_a_lock_file_says_is_shown_as_text(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold(state, "up", 0):
        lock_of(state).write_text(json.dumps({"pid": 1, "since": "\x1b[2J", "command": "\x07up"}))
        with pytest.raises(CogauthError) as caught:
            hold(state, "down", 0).__enter__()
    tell_error(caught.value)
    shown = capsys.readouterr().err
    assert shown.removesuffix("\n").isprintable()
    assert r"'cogauth \x07up', process 1, since \x1b[2J" in shown


@pytest.mark.parametrize("kept", [True, False], ids=["a state file stays", "none"])
def test_the_lock_file_and_its_folder_go_with_the_last_state_file(
    state: Path, *, kept: bool
) -> None:
    with hold(state, "up", 0):
        assert lock_of(state).exists()
        if kept:
            state.write_text("{}")
    assert state.parent.exists() == lock_of(state).exists() == kept


def test_a_folder_that_was_there_or_is_used_stays(state: Path, tmp_path: Path) -> None:
    with hold(tmp_path / "shop.json", "up", 0):
        pass
    assert list(tmp_path.iterdir()) == []
    with hold(state, "up", 0):
        (state.parent / "notes").touch()
    assert [file.name for file in state.parent.iterdir()] == ["notes"]


def test_it_is_let_go_of_when_what_was_done_under_it_fails(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(state, "up", 0):
        _ = 1 / 0
    assert not state.parent.exists()
    with hold(state, "up", 0):
        pass


@pytest.mark.parametrize("kept", [True, False], ids=["a state file stays", "none"])
def test_who_waits_gets_it_in_the_end(state: Path, *, kept: bool) -> None:
    """Even if the holder removes the lock file and its folder."""
    got: list[bool] = []
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            with hold(state, "down", PATIENCE):
                got.append(lock_of(state).exists())
        except BaseException as error:  # noqa: BLE001 the test shows it
            failed.append(error)

    with hold(state, "up", 0):
        if kept:
            state.write_text("{}")
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(A_WHILE / 3)
        assert (got, failed, waiting.is_alive()) == ([], [], True)
    waiting.join(PATIENCE)
    assert (got, failed) == ([True], [])
    assert lock_of(state).exists() == kept


def test_many_at_one_moment_never_hold_it_together(state: Path) -> None:
    """Each removes the lock file when it is done, while the others try to get the lock."""
    state.parent.mkdir()
    inside: list[int] = []
    most: list[int] = []
    failed: list[BaseException] = []
    begin = threading.Barrier(6)

    def take() -> None:
        try:
            begin.wait(PATIENCE)
            while len(most) < 500:
                with suppress(CogauthError), hold(state, "up", 0):
                    inside.append(1)
                    time.sleep(0)
                    most.append(len(inside))
                    inside.pop()
        except BaseException as error:  # noqa: BLE001 the test shows it
            failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failed == []
    assert set(most) == {1}
    assert not lock_of(state).exists()


# ---- The commands under it


@pytest.fixture
def here(cli: Cli, endpoint: str, tmp_path: Path) -> Cli:
    """A command line whose stack has its own name."""
    cli.env.update(COGAUTH_STACK=tmp_path.name[-30:], COGAUTH_ENDPOINT_URL=endpoint)
    return cli


def of(cli: Cli) -> LocalStack:
    """Return the stack that a command line is for."""
    return LocalStack(cli, cli.env["COGAUTH_STACK"], cli.env["COGAUTH_ENDPOINT_URL"])


def one_of_each(cli: Cli) -> bool:
    world = of(cli).existing()
    (pool,), (api,) = world[f"pool {of(cli).stack}"], world[f"api {of(cli).stack}"]
    inside = [pool["clients"], api["authorizers"], api["deployments"], api["stages"]]
    kinds = Counter(name.split()[0] for name, found in world.items() for _ in found)
    return [len(several) for several in inside] == [1] * 4 and kinds == {
        "pool": 1,
        "role": 2,
        "function": 2,
        "api": 1,
        "logs": 2,
    }


@pytest.mark.local
def test_writers_are_kept_out_and_readers_are_not(here: Cli) -> None:
    here.run("up").must()
    before = of(here).portrait(), of(here).path.read_bytes()
    with hold(of(here).path, "up", 0):
        for words in (("up",), ("down", "--yes"), ("recover",)):
            # There is nothing to recover in a sound file.
            of(here).path.write_bytes(b"damaged" if words == ("recover",) else before[1])
            refused = here.run(*words).must(1)
            assert f"'cogauth up', process {os.getpid()}, since 2" in refused.err
            assert "Another cogauth is using .cogauth/" in refused.err
        of(here).path.write_bytes(before[1])
        here.login("ann", PASSWORD).must()
        assert here.run("up", "--json").must(1).error.startswith("Another cogauth")
    now = of(here).portrait(), of(here).path.read_bytes()
    assert now[1] == before[1]
    for world in (before[0], now[0]):
        world["pool STACK"][0].pop("EstimatedNumberOfUsers")
    assert now[0] == before[0]
    here.run("down", "--yes").must()
    assert files_in(here.folder) == []
    assert of(here).existing() == {}


@pytest.mark.local
def test_with_a_lock_timeout_it_waits_and_then_goes_on(here: Cli) -> None:
    with hold(of(here).path, "up", 0):
        refused = here.spawn("up", "--lock-timeout", "0.3")
        waiting = here.spawn("up", "--lock-timeout", "30")
        assert refused.ended() == 1
        assert "Another cogauth is using" in refused.text
        assert not until(lambda: waiting.process.poll() is not None, A_WHILE)
        assert of(here).existing() == {}
    assert waiting.ended() == 0, waiting.text
    assert one_of_each(here)
    here.run("down", "--yes").must()
    assert files_in(here.folder) == []


@pytest.mark.local
def test_an_up_that_was_killed_in_the_middle_blocks_nobody(here: Cli, endpoint: str) -> None:
    gate = Gate()
    with Proxy(endpoint, of(here).stack) as proxy:
        here.env["COGAUTH_ENDPOINT_URL"] = proxy.url
        proxy.strike = Strike(Call("CreateRole STACK-LambdaAuthRole", 1), "before", gate)
        killed = here.spawn("up")
        gate.wait()
        pid = killed.process.pid
        assert f"'cogauth up', process {pid}, since 2" in here.run("up").must(1).err
        killed.process.kill()
        assert killed.ended() == -signal.SIGKILL
        gate.verdict.set_result(False)
        assert json.loads(lock_of(of(here).path).read_text())["pid"] == pid
        here.run("up", "--settle", "0").must()
        assert one_of_each(here)
        here.run("down", "--yes").must()
    assert files_in(here.folder) == []


def no_room() -> None:
    """Keep a process from writing any byte to a file, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.local
def test_a_full_disk_is_told_before_anything_is_made(here: Cli) -> None:
    done = subprocess.run(
        [*COGAUTH, "up"],
        cwd=here.folder,
        env=here.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=no_room,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f".cogauth/{of(here).stack}.json can't be written: File too large" in done.stderr
    assert of(here).existing() == {}
    assert [path.name for path in here.folder.iterdir()] == ["tmp"]


@pytest.mark.parametrize("words", [["up"], ["recover"]])
def test_a_failure_before_anything_stands_leaves_no_file_and_no_folder(
    cli: Cli, words: list[str]
) -> None:
    failed = cli.run(*words, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="").must(1)
    assert "No AWS credentials were found" in failed.err
    assert [path.name for path in cli.folder.iterdir()] == ["tmp"]


@pytest.mark.local
@pytest.mark.parametrize("patience", ["0", "30"])
@pytest.mark.sample(2)
def test_two_at_the_very_same_time_make_one_stack(
    here: Cli, patience: str, pytestconfig: pytest.Config
) -> None:
    everything = pytestconfig.getoption("--all-faults")
    for _ in range(3 if patience == "0" and everything else 1):
        both = [here.spawn("up", "--lock-timeout", patience) for _ in range(2)]
        codes = [one.ended() for one in both]
        text = "\n".join(one.text for one in both)
        assert "Traceback" not in text
        if patience == "0":
            # Both succeed if one started only after the other had ended.
            assert sorted(codes) in ([0, 0], [0, 1]), text
            assert codes == [0, 0] or "Another cogauth is using" in text
        else:
            assert codes == [0, 0], text
            assert text.count("is up to date; nothing changed") == 1
        assert one_of_each(here)
        here.run("down", "--yes").must()
        assert of(here).existing() == {}
        assert files_in(here.folder) == []


# ---- Two people with separate state files who want a stack with the same name


@pytest.fixture
def two(
    endpoint: str, tmp_path: Path
) -> Iterator[Callable[[], tuple[tuple[Cli, Proxy], tuple[Cli, Proxy]]]]:
    """Two folders, each with its own proxy to the one local AWS."""
    with ExitStack() as stack:

        def one(name: str) -> tuple[Cli, Proxy]:
            (tmp_path / name).mkdir()
            proxy = stack.enter_context(Proxy(endpoint, tmp_path.name[-30:]))
            settings = {"COGAUTH_STACK": proxy.stack, "COGAUTH_ENDPOINT_URL": proxy.url}
            cli = stack.enter_context(
                command_line(tmp_path / name, **KEYS, AWS_REGION=REGION, **settings)
            )
            return cli, proxy

        yield lambda: (one("ann"), one("bob"))


def check_winner(winner: Cli, loser: Cli, said: str) -> None:
    """The loser was told why; the loser's part is deleted, the winner's stays and works."""
    assert "Traceback" not in said
    assert re.search(r"already exists and isn't this stack's|already exists in account", said)
    stack_id = json.loads(of(winner).path.read_text())["stack_id"]
    assert stack_id in said
    down = loser.run("down", "--yes", "--settle", "1")
    # If the winner's stack existed before the loser began, the loser has no state file.
    assert down.code == (1 if "There is no state file" in down.err else 0), down.err
    assert files_in(loser.folder) == []
    assert one_of_each(winner)
    assert stack_id in json.dumps(of(winner).existing()[f"pool {of(winner).stack}"], default=str)
    winner.login("ann", PASSWORD).must()
    assert "is up to date; nothing changed" in winner.run("up").must().out
    winner.run("down", "--yes").must()
    assert of(winner).existing() == {}
    assert files_in(winner.folder) == []


ALL = "all calls"


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("what", [ALL, "CreateRole STACK-LambdaAuthRole"])
def test_who_comes_late_to_a_name_loses_and_harms_nothing(what: str, two: Any) -> None:
    (ann, anns), (bob, _) = two()
    gate = Gate()
    # Several of her calls are in flight at once: the gate holds them all.
    if what == ALL:
        anns.hold = gate
    else:
        anns.strike = Strike(Call(what, 1), "before", gate)
    late = ann.spawn("up")
    gate.wait()
    if what == ALL:
        # She hasn't created anything yet that Bob could see.
        bob.run("up").must()
        before = json.dumps(of(bob).existing(), default=str)
        gate.verdict.set_result(True)
        assert late.ended() == 1
        # Her resources now exist beside his, which are unchanged.
        stands, name = of(bob).existing(), of(bob).stack
        assert len(stands[f"pool {name}"]) + len(stands[f"api {name}"]) > 2
        ann.run("down", "--yes", "--settle", "1").must()
        assert json.dumps(of(bob).existing(), default=str) == before
        check_winner(bob, ann, late.text)
        return
    # Something of hers exists by now, and its tags say whose it is.
    assert until(lambda: '"created"' in of(ann).path.read_text())
    refused = bob.run("up").must(1)
    assert files_in(bob.folder) == []
    gate.verdict.set_result(True)
    assert late.ended() == 0, late.text
    check_winner(ann, bob, refused.err)


@pytest.mark.long
@pytest.mark.local
def test_two_people_at_the_very_same_time(two: Any) -> None:
    people = [cli for cli, _ in two()]
    both = [cli.spawn("up") for cli in people]
    codes = [one.ended() for one in both]
    assert sorted(codes) == [0, 1], "\n".join(one.text for one in both)
    loser = codes.index(1)
    check_winner(people[1 - loser], people[loser], both[loser].text)
