"""The embedded local AWS's server as a process that outlives the command."""

import fcntl
import http.client
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.folder import DataFolder
from cogauth.local.record import HOST, ServerRecord
from cogauth.record.files import open_own, read_own

if TYPE_CHECKING:
    import psutil

# What the server runs. -P keeps ministack from importing, say, a json.py in the user's folder.
_RUN = ["-P", "-m", "cogauth.local.server"]
_NEEDED = ("ministack", "airspeed", "cryptography", "psutil")
_POLL_SECONDS = 0.05
_LOG_LINES = 10
# The precision of comparing a process's start time with a file's time.
_CLOCK_STEP_SECONDS = 1.0


class Server:
    """Start the server's process, find it again by ``alive`` and its pid file, and stop it."""

    def __init__(self, folder: DataFolder, patience: float, sleep: Callable[[float], None]) -> None:
        self._folder = folder
        self._patience = patience
        self._sleep = sleep
        self.alive = folder.path / "alive"
        self.log = folder.path / "ministack.log"

    def is_running(self) -> bool:
        """Return whether its process exists; it may still be starting."""
        try:
            with os.fdopen(open_own(self.alive, os.O_RDONLY), "rb") as alive:
                # A shared lock, so that two concurrent checks don't mistake each other for it.
                fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def spawn(self, record: ServerRecord) -> None:
        """Start the process, and wait until it answers."""
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with (
            os.fdopen(open_own(self.alive, append), "ab") as alive,
            os.fdopen(open_own(self.log, append), "ab") as log,
        ):
            fcntl.flock(alive, fcntl.LOCK_EX)  # Only is_running() can hold it.
            child = subprocess.Popen(  # noqa: S603 the words are our own
                [sys.executable, *_RUN],
                cwd=self._folder.tmp,
                env=self._environment(record),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[alive.fileno()],
                umask=0o077,
            )
            child.returncode = 0  # Else Popen would warn that the process outlives us.
        if not self.comes_up(record):
            raise self._failed(record, "ended at once")

    def _environment(self, record: ServerRecord) -> dict[str, str]:
        """Return the server's whole environment, which it passes on to its Lambda functions."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"HOME", "LANG", "TZ"} or name.startswith("LC_")
        }
        return kept | {
            # Lambda functions run on this interpreter, in a virtual environment or not.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "TMPDIR": str(self._folder.tmp),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(record.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder.data(record)),
            "S3_DATA_DIR": str(self._folder.data(record) / "s3"),
            "LAMBDA_EXECUTOR": "local",
            # If ministack finds Docker, it removes the containers of every other ministack.
            "DOCKER_HOST": f"unix://{self._folder.tmp}/no-docker.sock",
            "LOG_LEVEL": "WARNING",
            # Its health page shows this. It reads the keys from its record, because the
            # environment would give them to the functions.
            "MINISTACK_EDITION": record.run,
        }

    def comes_up(self, record: ServerRecord) -> bool:
        """Wait until it answers; return False if it has ended instead."""
        if not self.until(lambda: not self.is_running() or self._answers(record)):
            raise self._failed(record, f"gave no answer within {self._patience:g} s")
        return self.is_running()

    def _failed(self, record: ServerRecord, what: str) -> LocalAwsError:
        lines = read_own(self.log).decode(errors="replace").splitlines()[-_LOG_LINES:]
        return LocalAwsError(
            f"The local AWS on port {record.port} {what}. Its log is {self.log}; it ends with:",
            *(f"  {line}" for line in lines or ["(nothing)"]),
        )

    def _answers(self, record: ServerRecord) -> bool:
        connection = http.client.HTTPConnection(HOST, record.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            health = json.loads(connection.getresponse().read())
            return bool(health["edition"] == record.run)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return False
        finally:
            connection.close()

    def end(self) -> None:
        """Stop the server if it runs; the caller holds the folder's lock."""
        # It writes its pid file a moment after it starts.
        self.until(lambda: not self.is_running() or self.process() is not None)
        process = self.process() if self.is_running() else None
        for send, number in ((os.kill, signal.SIGTERM), (os.killpg, signal.SIGKILL)):
            # psutil compares the start time to tell whether it is still the same process.
            if process and process.is_running():
                with suppress(ProcessLookupError):
                    send(process.pid, number)
            if self.until(lambda: not self.is_running()):
                break
        else:
            raise LocalAwsError(
                f"The local AWS in {self._folder.path} doesn't stop.",
                hint=(
                    f"'lsof {shlex.quote(str(self.alive))}' shows its process: kill it and run the "
                    "command again."
                ),
            )
        if process:
            # One of its Lambda functions may still be running, in its process group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # It is our own child only if we started it.
                os.waitpid(process.pid, 0)

    def process(self) -> "psutil.Process | None":
        """Return the server's process, if it is certain to be the server."""
        require_extra()
        import psutil  # noqa: PLC0415 of that extra

        for file in self._folder.pid_files():
            with suppress(OSError, CogauthError, ValueError, psutil.Error):
                process = psutil.Process(int(read_own(file)))
                # If the pid was reused, the process is younger than the file.
                older = process.create_time() <= file.lstat().st_mtime + _CLOCK_STEP_SECONDS
                ours = process.cmdline()[1:] == _RUN and process.uids().effective == os.geteuid()
                if older and ours and self._folder.tmp.samefile(process.cwd()):
                    return process
        return None

    def until(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait for a condition; return whether it became true in time."""
        deadline = time.monotonic() + (self._patience if seconds is None else seconds)
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._sleep(_POLL_SECONDS)
        return True


def require_extra() -> None:
    """Raise ``LocalAwsError`` unless the extra is installed."""
    # airspeed-ext and airspeed install modules of the same name.
    spec = importlib.util.find_spec
    if not (all(spec(name) for name in _NEEDED) and list(distributions(name="airspeed-ext"))):
        raise LocalAwsError(
            "The embedded local AWS is not installed.",
            hint="Install it where cogauth's source is: pip install '.[local]'",
        )
