"""The embedded local AWS as a process: started, found, stopped, and never someone else's."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from cogauth.aws.environment import Keys
from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws, Started
from support.commands import beside_gitignore

if TYPE_CHECKING:
    from types_boto3_cognito_idp import CognitoIdentityProviderClient

START = """
import os, signal, sys
from pathlib import Path
from cogauth.local.process import LocalAws
{prelude}
print(LocalAws(Path(sys.argv[1]){arguments}).start().endpoint_url)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".cogauth" / FOLDER


@pytest.fixture
def aws(folder: Path) -> Iterator[LocalAws]:
    local = LocalAws(folder)
    yield local
    local.stop()


def ours(folder: Path) -> None:
    """Create the folder as starting it does."""
    folder.mkdir(parents=True)
    (folder / MARKER).write_bytes(MARKED)


def session(started: Started) -> boto3.Session:
    return boto3.Session(*started.keys, region_name="eu-central-1")


def cognito(started: Started) -> "CognitoIdentityProviderClient":
    return session(started).client("cognito-idp", endpoint_url=started.endpoint_url)


def pools(started: Started) -> list[str]:
    answer = cognito(started).list_user_pools(MaxResults=10)
    return [pool["Name"] for pool in answer["UserPools"]]


def data_id_of(folder: Path) -> str:
    return str(json.loads((folder / "local.json").read_text())["data_id"])


def pid_of_server(folder: Path) -> int:
    (file,) = folder.glob("tmp/ministack-*.pid")
    return int(file.read_text())


def starter(folder: Path, prelude: str = "", arguments: str = "") -> subprocess.Popen[str]:
    program = START.format(prelude=prelude, arguments=arguments)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )


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


@pytest.mark.parametrize("module", ["ministack", "airspeed", "cryptography"])
def test_without_the_extra_the_message_says_how_to_install_it(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LocalAwsError, match=r"pip install '\.\[local\]'"):
        aws.start()


def test_a_damaged_record_is_said_to_be_damaged(aws: LocalAws, folder: Path) -> None:
    ours(folder)
    (folder / "local.json").write_text('{"port"')
    with pytest.raises(LocalAwsError, match=r"is damaged, or from an earlier cogauth\. Delete it"):
        aws.start()


def test_a_foreign_process_with_the_recorded_pid_is_left_alone(aws: LocalAws, folder: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as foreign:
        try:
            ours(folder)
            (folder / "tmp").mkdir()
            (folder / "alive").touch()
            (folder / "tmp" / "ministack-20000.pid").write_text(str(foreign.pid))
            record = {"port": 20000, "data_id": "0123456789abcdef", "loaded": 0}
            record |= {**Keys.new()._asdict(), "run": 32 * "0"}
            (folder / "local.json").write_text(json.dumps(record))
            assert not aws.is_running()
            assert not aws.stop()
            assert foreign.poll() is None
        finally:
            foreign.kill()


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


@pytest.mark.local
def test_a_server_that_hangs_is_reported_and_can_be_ended(aws: LocalAws, folder: Path) -> None:
    aws.start()
    os.kill(pid_of_server(folder), signal.SIGSTOP)
    impatient = LocalAws(folder, patience=0.3)
    with pytest.raises(LocalAwsError, match=r"gave no answer within 0\.3 s.*ministack\.log"):
        impatient.start()
    assert impatient.stop()
    assert not aws.is_running()


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


@pytest.mark.long
@pytest.mark.local
def test_a_port_taken_while_it_starts_is_told_from_its_log(aws: LocalAws, folder: Path) -> None:
    taken: list[socket.socket] = []

    def take_the_port(seconds: float) -> None:
        if not taken:
            port = json.loads((folder / "local.json").read_text())["port"]
            taken.append(socket.create_server(("127.0.0.1", port)))
        time.sleep(seconds)

    try:
        with pytest.raises(LocalAwsError, match=r"ended at once.*\.log(.|\n)*already in use"):
            LocalAws(folder, sleep=take_the_port).start()
    finally:
        taken[0].close()
    assert not aws.is_running()
    aws.start()


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
def test_ctrl_c_in_the_terminal_does_not_reach_it(aws: LocalAws, folder: Path) -> None:
    aws.start()
    pid = pid_of_server(folder)
    assert os.getsid(pid) == os.getpgid(pid) == pid


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


@pytest.mark.local
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_it_listens_on_one_loopback_port_only(aws: LocalAws, folder: Path) -> None:
    started = aws.start()
    pools(started)
    fds = Path(f"/proc/{pid_of_server(folder)}/fd").iterdir()
    own = {str(fd.readlink()) for fd in fds if fd.is_symlink()}
    listening: list[str] = []
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            # 0A is LISTEN; a datagram socket has no such state.
            if f"socket:[{inode}]" in own and (state == "0A" or protocol.startswith("udp")):
                listening.append(address)
    assert listening == [f"0100007F:{int(started.endpoint_url.rpartition(':')[2]):04X}"]


@pytest.mark.local
def test_a_lambda_sees_nothing_of_our_environment(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", "real-one")
        environment.setenv("AWS_SESSION_TOKEN", "real-one")
        environment.setenv("AWS_PROFILE", "real-one")
        environment.setenv("HTTPS_PROXY", "http://real-one")
        environment.setenv("SOME_PRIVATE", "1")
        started = aws.start()
    iam = session(started).client("iam", endpoint_url=started.endpoint_url)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName="r",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(
            "index.py",
            "import os, sys\n"
            "def handler(event, context): return dict(os.environ, executable=sys.executable)",
        )
    functions = session(started).client("lambda", endpoint_url=started.endpoint_url)
    functions.create_function(
        FunctionName="f",
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
    seen = json.loads(functions.invoke(FunctionName="f")["Payload"].read())
    assert seen["executable"] == sys.executable
    assert "AWS_ACCESS_KEY_ID" in seen
    assert "real-one" not in json.dumps(seen)
    assert not {"SOME_PRIVATE", "AWS_PROFILE", "HTTPS_PROXY"} & set(seen)
