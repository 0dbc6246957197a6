"""The local AWS's server as a process of its own: what it is, what it gets, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cogauth.aws.environment import Keys
from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws
from support.commands import processes_of
from support.functions import TRUST, zipped
from support.local_process import ours, pid_of_server, pools, session
from support.planted import ROWS

# Without a server


@pytest.mark.parametrize("module", ["ministack", "airspeed", "cryptography"])
def test_without_the_extra_the_message_says_how_to_install_it(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LocalAwsError, match=r"pip install '\.\[local\]'"):
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


# With one


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
def test_ctrl_c_in_the_terminal_does_not_reach_it(aws: LocalAws, folder: Path) -> None:
    aws.start()
    pid = pid_of_server(folder)
    assert os.getsid(pid) == os.getpgid(pid) == pid


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
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = (
        "import os, sys\n"
        "def handler(event, context): return dict(os.environ, executable=sys.executable)"
    )
    functions = session(started).client("lambda", endpoint_url=started.endpoint_url)
    functions.create_function(
        FunctionName="f",
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": zipped(code)},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
    seen = json.loads(functions.invoke(FunctionName="f")["Payload"].read())
    assert seen["executable"] == sys.executable
    assert "AWS_ACCESS_KEY_ID" in seen
    assert "real-one" not in json.dumps(seen)
    assert not {"SOME_PRIVATE", "AWS_PROFILE", "HTTPS_PROXY"} & set(seen)


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
