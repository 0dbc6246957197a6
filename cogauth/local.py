"""The embedded local AWS: ministack, run as a child process that outlives the command.

Everything lives in one folder:

    lock              held by the command that starts or stops it: one at a time
    alive             locked by the server itself, for as long as it lives
    local.json        its port and which data it serves; written before it is started
    ministack.log     what it prints
    data-<id>/        what it saves when it ends; another id whenever it begins empty
    tmp/              its pid file, and its Lambda functions' code

``alive`` is what makes it safe to signal the server. The starter takes a lock on the file and the
server inherits it; the kernel lets go of the lock when the server has ended, however it ended. So
a held lock means that the server lives and its pid is in the pid file which it wrote itself, and
no crash of a starter leaves a server that nobody finds. A pid alone would prove nothing: pids are
reused.
"""

import dataclasses
import fcntl
import http.client
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cogauth.errors import LocalAwsError

# The local AWS takes these for its account's root; they are no secret.
ACCESS_KEY_ID = "test"
SECRET_ACCESS_KEY = "test"  # noqa: S105

_HOST = "127.0.0.1"
# Below the ports that Linux and macOS give to outgoing connections. One of those could be in use
# at a restart, and a client that polls one before anybody listens can connect to itself.
_PORTS = range(20000, 32000)
_POLL_SECONDS = 0.05
_LOG_LINES = 10


@dataclasses.dataclass(frozen=True)
class Started:
    """A local AWS that answers.

    ``data_lost``: it had been running before and ended without saving (a ``kill -9``, a power
    cut), so it began empty. ``data_id`` changes whenever it begins empty: a stack recorded with
    another id is gone, even if the command that was told of the loss never came to say so.
    """

    endpoint_url: str
    data_id: str
    data_lost: bool


@dataclasses.dataclass(frozen=True)
class _Record:
    """What ``local.json`` holds.

    ``loaded`` is the time stamp (ns) of the saved data which the server had when it became ready,
    0 for none: unless it has changed since, the server didn't save. None: it never became ready.
    """

    port: int
    data_id: str
    loaded: int | None = None


class LocalAws:
    """An embedded local AWS whose data live in one folder."""

    def __init__(
        self, folder: Path, *, patience: float = 30.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Describe it; nothing is started or written.

        ``folder`` is its own, and made by ``start``. ``patience``: the seconds it gets to become
        ready, and to end. ``sleep`` takes seconds.
        """
        self._folder = folder.absolute()
        self._patience = patience
        self._sleep = sleep
        self._alive = self._folder / "alive"
        self._log = self._folder / "ministack.log"
        self._record_file = self._folder / "local.json"
        self._tmp = self._folder / "tmp"

    @property
    def endpoint_url(self) -> str | None:
        """Its URL, running or not; None if it was never started. Raises ``LocalAwsError``."""
        record = self._read()
        return _url(record) if record else None

    def is_running(self) -> bool:
        """Whether its process lives; it may still be starting."""
        try:
            with self._alive.open("rb") as alive:
                # Shared, so that two who ask at once don't take each other for the server.
                fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def start(self) -> Started:
        """Start it unless it runs already, and wait until it answers.

        Raises ``LocalAwsError`` if the extra isn't installed, its port is taken, or it doesn't
        come up; an interrupted or failed start leaves no process behind.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        with self._one_at_a_time():
            record, data_lost = self._read(), False
            if not (record and self._comes_up(record)):
                _require_extra()
                record, data_lost = self._prepare(record)
                try:
                    self._spawn(record)
                    came_up = self._comes_up(record)
                except BaseException:
                    self._end()
                    raise
                if not came_up:
                    raise self._failed(record, "ended at once")
            if record.loaded is None:
                self._write(dataclasses.replace(record, loaded=self._saved(record)))
            return Started(_url(record), record.data_id, data_lost)

    def stop(self) -> bool:
        """End it, with its data saved; return False if it wasn't running.

        Raises ``LocalAwsError`` if it can't be ended.
        """
        if not self._folder.is_dir():
            return False
        with self._one_at_a_time():
            running = self.is_running()
            self._end()
            return running

    def remove(self) -> None:
        """End it if it runs, and delete its data, its log and its port's record."""
        if not self._folder.is_dir():
            return
        with self._one_at_a_time():
            self._end()
            for data in [self._tmp, *self._folder.glob("data-*")]:
                shutil.rmtree(data, ignore_errors=True)
            for file in (self._record_file, self._log, self._alive):
                file.unlink(missing_ok=True)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        lock = FileLock(self._folder / "lock", mode=0o600)
        try:
            lock.acquire(timeout=2 * self._patience)
        except Timeout as error:
            raise LocalAwsError(
                f"Another cogauth has been starting or stopping the local AWS in {self._folder} "
                f"for {2 * self._patience:g} s. Wait for it, or end it, and try again."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> _Record | None:
        try:
            return _Record(**json.loads(self._record_file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise LocalAwsError(
                f"{self._record_file} is damaged. Delete it and run 'cogauth up --local' again: "
                "that builds the stack anew."
            ) from error

    def _write(self, record: _Record) -> None:
        new = self._record_file.with_suffix(".new")
        new.write_text(json.dumps(dataclasses.asdict(record)) + "\n")
        new.replace(self._record_file)

    def _prepare(self, old: _Record | None) -> tuple[_Record, bool]:
        """Record the server that is about to be started; say whether its data were lost."""
        if old is None:
            self._end()  # Without its record a server would be of no use: nobody knows its port.
            record, data_lost = _Record(_choose_port(), secrets.token_hex(8)), False
        else:
            # A server killed a moment ago may lose its lock an instant before its port.
            if not self._until(lambda: _is_free(old.port), seconds=2):
                raise LocalAwsError(
                    f"The local AWS's port {old.port} is taken by another program, and the "
                    f"local stack's URLs contain it. See which one with 'lsof -i :{old.port}', "
                    "end it and run the command again. Nothing is lost."
                )
            # Ministack saves when it ends and deletes its pid file after that. Data older than
            # the last run are worse than none: what was deleted since would be back.
            data_lost = old.loaded is not None and (
                any(self._pid_files()) or self._saved(old) in {0, old.loaded}
            )
            record = _Record(old.port, secrets.token_hex(8) if data_lost else old.data_id)
        # From here on the data are the new ones, should we be killed before the old are deleted.
        self._write(record)
        for data in self._folder.glob("data-*"):
            if data != self._data(record):
                shutil.rmtree(data)
        for file in list(self._pid_files()):
            file.unlink()
        # A Lambda function of a killed server may still be at work in there.
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._tmp.mkdir(mode=0o700, exist_ok=True)
        return record, data_lost

    def _spawn(self, record: _Record) -> None:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with (
            os.fdopen(os.open(self._alive, append, 0o600), "ab") as alive,
            os.fdopen(os.open(self._log, append, 0o600), "ab") as log,
        ):
            fcntl.flock(alive, fcntl.LOCK_EX)  # Waits for nobody but is_running().
            child = subprocess.Popen(
                # -P: a json.py in the user's folder is not for ministack to import.
                [sys.executable, "-P", "-m", "ministack"],
                cwd=self._tmp,
                env=self._environment(record),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[alive.fileno()],
                umask=0o077,
            )
            child.returncode = 0  # It is meant to outlive us; Popen would warn of that.

    def _environment(self, record: _Record) -> dict[str, str]:
        """Everything the server is given, for it hands all of it on to its Lambda functions."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"HOME", "LANG", "TZ"} or name.startswith("LC_")
        }
        return kept | {
            # Lambda functions run on this interpreter, in a virtual environment or not.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "TMPDIR": str(self._tmp),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BIND_HOST": _HOST,
            "MINISTACK_HOST": _HOST,
            "GATEWAY_PORT": str(record.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._data(record)),
            "S3_DATA_DIR": str(self._data(record) / "s3"),
            "LAMBDA_EXECUTOR": "local",
            # It removes the containers of every other ministack when it finds a Docker.
            "DOCKER_HOST": f"unix://{self._tmp}/no-docker.sock",
            "LOG_LEVEL": "WARNING",
            # Its health page shows this: how _answers() knows it from another one.
            "MINISTACK_EDITION": record.data_id,
        }

    def _comes_up(self, record: _Record) -> bool:
        """Wait until it answers, or has ended: then return False."""
        if not self._until(lambda: not self.is_running() or self._answers(record)):
            raise self._failed(record, f"gave no answer within {self._patience:g} s")
        return self.is_running()

    def _failed(self, record: _Record, what: str) -> LocalAwsError:
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return LocalAwsError(
            f"The local AWS on port {record.port} {what}. Its log is {self._log}; it ends with:\n"
            + "\n".join(f"  {line}" for line in lines or ["(nothing)"])
        )

    def _answers(self, record: _Record) -> bool:
        connection = http.client.HTTPConnection(_HOST, record.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            health = json.loads(connection.getresponse().read())
            return bool(health["edition"] == record.data_id)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return False
        finally:
            connection.close()

    def _end(self) -> None:
        """End the server if it runs; the caller holds the folder's lock."""
        # It writes its pid file a moment after it was started. Unless it runs, the file is stale.
        self._until(lambda: not self.is_running() or self._pid() is not None)
        if not self.is_running():
            return
        pid = self._pid()
        for send, number in ((os.kill, signal.SIGTERM), (os.killpg, signal.SIGKILL)):
            if pid and self.is_running():
                with suppress(ProcessLookupError):
                    send(pid, number)
            if self._until(lambda: not self.is_running()):
                break
        else:
            raise LocalAwsError(
                f"The local AWS in {self._folder} doesn't end. 'lsof {self._alive}' shows its "
                "process: end it and run the command again."
            )
        if pid:
            # A Lambda function of its may be at work for a moment more, in its process group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # It is our own child only if we started it.
                os.waitpid(pid, 0)

    def _pid(self) -> int | None:
        """Return what the server wrote; its pid for certain as long as it ``is_running``."""
        for file in self._pid_files():
            with suppress(FileNotFoundError, ValueError):
                pid = int(file.read_text())
                return pid if pid > 1 else None
        return None

    def _pid_files(self) -> Iterator[Path]:
        return self._tmp.glob("ministack-*.pid")

    def _data(self, record: _Record) -> Path:
        return self._folder / f"data-{record.data_id}"

    def _saved(self, record: _Record) -> int:
        """Return the time (ns) at which the data were last saved; 0 if they never were."""
        return max((f.stat().st_mtime_ns for f in self._data(record).glob("*.json")), default=0)

    def _until(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        deadline = time.monotonic() + (self._patience if seconds is None else seconds)
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._sleep(_POLL_SECONDS)
        return True


def _url(record: _Record) -> str:
    return f"http://{_HOST}:{record.port}"


def _require_extra() -> None:
    if not all(importlib.util.find_spec(name) for name in ("ministack", "cryptography")):
        raise LocalAwsError(
            "The embedded local AWS is not installed. Install it where cogauth's source is: "
            "pip install '.[local]'"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _choose_port() -> int:
    for port in secrets.SystemRandom().sample(_PORTS, 100):
        if _is_free(port):
            return port
    raise LocalAwsError(f"No free port found between {_PORTS.start} and {_PORTS.stop}.")
