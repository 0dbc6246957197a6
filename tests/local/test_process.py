"""The embedded local AWS as a process: started, found, stopped, and never someone else's."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.process import LocalAws
from support.commands import beside_gitignore
from support.local_process import cognito, data_id_of, pid_of_server, pools, starter


def interrupt_once() -> Callable[[float], None]:
    """Return a sleep that Ctrl-C interrupts the first time."""
    calls: list[float] = []

    def sleep(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 1:
            raise KeyboardInterrupt
        time.sleep(seconds)

    return sleep


# Without a server


def test_nothing_is_known_or_made_before_the_first_start(aws: LocalAws, folder: Path) -> None:
    assert aws.endpoint_url is None
    assert not aws.is_running()
    assert not aws.stop()
    aws.remove()
    assert not folder.exists()


def test_while_another_command_holds_the_lock_it_says_so(aws: LocalAws, folder: Path) -> None:
    prelude = (
        "from cogauth.record.lock import hold\n"
        "with hold(Path(sys.argv[1]), 'local AWS', 0):\n"
        "    print('held', flush=True)\n"
        "    signal.pause()"
    )
    with starter(folder, prelude) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "held\n"
            with pytest.raises(CogauthError, match="Another cogauth is using"):
                LocalAws(folder, patience=0.1).start()
        finally:
            other.kill()
    assert not aws.is_running()


# With one


@pytest.mark.local
def test_its_data_and_its_port_survive_a_stop(aws: LocalAws, folder: Path) -> None:
    first = aws.start()
    cognito(first).create_user_pool(PoolName="kept")
    assert aws.is_running()
    assert aws.start() == first
    assert LocalAws(folder).start() == first
    assert aws.stop()
    assert not aws.is_running()
    assert not aws.stop()
    assert aws.endpoint_url == first.endpoint_url
    assert aws.start() == first
    assert pools(first) == ["kept"]


@pytest.mark.local
def test_when_killed_it_starts_empty_and_says_so(aws: LocalAws, folder: Path) -> None:
    before = aws.start()
    cognito(before).create_user_pool(PoolName="saved")
    aws.stop()
    aws.start()
    cognito(before).create_user_pool(PoolName="never saved")
    os.kill(pid_of_server(folder), signal.SIGKILL)
    after = aws.start()
    assert after.data_id != before.data_id
    assert after.endpoint_url == before.endpoint_url
    assert pools(after) == []
    aws.stop()
    assert aws.start().data_id == after.data_id


@pytest.mark.local
def test_when_ended_by_someone_else_it_keeps_its_data(aws: LocalAws, folder: Path) -> None:
    first = aws.start()
    cognito(first).create_user_pool(PoolName="kept")
    pid = pid_of_server(folder)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    assert not aws.is_running()
    assert aws.start() == first
    assert pools(first) == ["kept"]


@pytest.mark.long
@pytest.mark.local
def test_a_port_taken_meanwhile_is_named(aws: LocalAws) -> None:
    first = aws.start()
    aws.stop()
    port = int(first.endpoint_url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(
            LocalAwsError, match=f"Another program uses the local AWS's port {port}"
        ):
            aws.start()
        assert not aws.is_running()
    assert aws.start() == first


@pytest.mark.local
def test_two_starters_at_once_start_one_server(aws: LocalAws, folder: Path) -> None:
    starters = [starter(folder) for _ in range(2)]
    urls = {child.communicate(timeout=50)[0].strip() for child in starters}
    assert [child.returncode for child in starters] == [0, 0]
    assert urls == {aws.endpoint_url}
    pid_of_server(folder)  # there is only one
    assert aws.is_running()


@pytest.mark.local
def test_an_interrupted_start_leaves_no_process(aws: LocalAws, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        LocalAws(folder, sleep=interrupt_once()).start()
    assert not aws.is_running()
    recorded = data_id_of(folder)
    assert aws.start().data_id == recorded


@pytest.mark.local
def test_an_interrupted_restart_keeps_the_data(aws: LocalAws, folder: Path) -> None:
    first = aws.start()
    cognito(first).create_user_pool(PoolName="kept")
    aws.stop()
    with pytest.raises(KeyboardInterrupt):
        LocalAws(folder, sleep=interrupt_once()).start()
    assert aws.start() == first
    assert pools(first) == ["kept"]


@pytest.mark.local
def test_the_server_of_a_killed_starter_is_found(aws: LocalAws, folder: Path) -> None:
    with starter(
        folder,
        "def die(seconds): os.kill(os.getpid(), signal.SIGKILL)",
        ", sleep=die",
    ) as child:
        child.wait(timeout=30)
    assert child.returncode == -signal.SIGKILL
    assert aws.is_running()
    recorded = data_id_of(folder)
    started = aws.start()
    assert started.data_id == recorded
    assert pools(started) == []
    assert aws.stop()


@pytest.mark.local
def test_a_server_whose_record_is_gone_is_replaced(aws: LocalAws, folder: Path) -> None:
    first = aws.start()
    (folder / "local.json").unlink()
    second = aws.start()
    assert second.data_id != first.data_id
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(first.endpoint_url.rpartition(":")[2])))


@pytest.mark.local
def test_its_files_are_its_owners_only_and_remove_deletes_them(aws: LocalAws, folder: Path) -> None:
    cognito(aws.start()).create_user_pool(PoolName="any")
    aws.stop()
    data = [file for file in folder.glob("data-*/**/*") if file.is_file()]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert any(file.name == "cognito.json" for file in data)
    assert all(file.stat().st_mode & 0o077 == 0 for file in [*data, folder / "ministack.log"])
    aws.start()
    aws.remove()
    assert not aws.is_running()
    assert beside_gitignore(folder.parent) == []
    assert aws.endpoint_url is None
