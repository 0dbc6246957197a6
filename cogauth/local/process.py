"""The embedded local AWS as a child process that outlives the command.

Everything lives in one folder, which the command that starts or stops the server has locked:

    .cogauth          marks the folder as cogauth's own: in no other is anything changed
    alive             locked by the server itself, for as long as it lives
    local.json        its port, which data it serves, and the keys of its account's root, which it
                      takes from here; written before it is started
    ministack.log     what it prints
    data-<id>/        what it saves when it ends; another id whenever it begins empty
    tmp/              its pid file, and its Lambda functions' code

``alive`` says whether the server lives. The starter takes a lock on the file and the server
inherits it; the kernel lets go of the lock when the server has ended, however it ended. So no crash
of a starter leaves a server that nobody finds. Its pid is in the pid file that it writes itself.
But anyone may have written that, and pids are reused: a process is ended only if it is this user's,
runs ministack in this folder's ``tmp``, and is older than the pid file.

The folder may have come with a clone, and its data hold code that runs once they are served. So
data are served only if this user made them on this machine, in this folder (``KnownData``).
"""

import dataclasses
import fcntl
import http.client
import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from cogauth.aws.environment import KEY_ID, SECRET, Keys
from cogauth.errors import CogauthError, LocalAwsError
from cogauth.record.files import make_folder, open_own, read_own, remove_own, write_private
from cogauth.record.lock import hold

if TYPE_CHECKING:
    import psutil

# Beside the state file; a name that nothing else has.
FOLDER = "cogauth-local-aws"

MARKER = ".cogauth"
MARKED = b"The data of cogauth's local AWS. cogauth deletes them with the last stack in there.\n"
_DATA_ID = re.compile(r"[0-9a-f]{16}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
# What the server runs. -P: a json.py in the user's folder is not for ministack to import.
_RUN = ["-P", "-m", "cogauth.local.server"]
# What it ran before there was a gate in front of it: that one is to be ended all the same.
_FORMER_RUN = ["-P", "-m", "ministack"]
_HOST = "127.0.0.1"
# Below the ports that Linux and macOS give to outgoing connections. One of those could be in use
# at a restart, and a client that polls one before anybody listens can connect to itself.
_PORTS = range(20000, 32000)
_NEEDED = ("ministack", "airspeed", "cryptography", "psutil")
_POLL_SECONDS = 0.05
_LOG_LINES = 10
# How closely the start of a process and the time of a file can be compared.
_CLOCK_STEP_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Started:
    """A local AWS that answers.

    ``data_lost``: it had been running before and ended without saving (a ``kill -9``, a power
    cut), so it began empty. ``data_id`` changes whenever it begins empty: a stack recorded with
    another id is gone, even if the command that was told of the loss never came to say so.
    ``forgotten``: why nobody will know these data again once the server has ended; else None.
    """

    endpoint_url: str
    keys: Keys
    data_id: str
    data_lost: bool
    forgotten: str | None = None


@dataclasses.dataclass(frozen=True)
class _Record:
    """What ``local.json`` holds. Raises ``ValueError`` for what cogauth never writes.

    ``run`` is told by the server that was started last, and by no other: it is known by that.
    ``loaded`` is the time stamp (ns) of the saved data which the server had when it became ready,
    0 for none: unless it has changed since, the server didn't save. None: it never became ready.
    """

    port: int
    data_id: str
    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    run: str
    loaded: int | None = None

    def __post_init__(self) -> None:
        if type(self.port) is not int or self.port not in _PORTS:
            raise ValueError("no port of cogauth's")
        if type(self.loaded) not in {int, type(None)} or not _DATA_ID.fullmatch(self.data_id):
            raise ValueError("no time or id of cogauth's")
        sound = KEY_ID.fullmatch(self.access_key_id) and SECRET.fullmatch(self.secret_access_key)
        if not sound or not _RUN_ID.fullmatch(self.run):
            raise ValueError("no keys of cogauth's")

    @classmethod
    def new(cls, port: int) -> "_Record":
        """Return that of data which begin empty; nobody else knows the keys to them."""
        return cls(port, secrets.token_hex(8), *Keys.new(), secrets.token_hex(16))

    def again(self) -> "_Record":
        """Return that of the same data, for a server that is about to be started."""
        return dataclasses.replace(self, run=secrets.token_hex(16), loaded=None)

    @property
    def keys(self) -> Keys:
        """Those of the account's root."""
        return Keys(self.access_key_id, self.secret_access_key)


class KnownData:
    """Which data this user has made on this machine: a file for each, named by its id, in the home.

    The XDG base directory specification says where: https://specifications.freedesktop.org/basedir-spec/latest/
    """

    def __init__(self) -> None:
        """Find the place; nothing is made."""
        base = os.environ.get("XDG_STATE_HOME", "")
        self._folder: Path | None = None
        with suppress(RuntimeError):  # There is no home at all.
            home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
            self._folder = home / "cogauth" / "local-aws"

    def made_in(self, data_id: str) -> Path | None:
        """Return the folder in which this user made these data; None: that isn't known."""
        with suppress(OSError, CogauthError, ValueError, KeyError, TypeError, RecursionError):
            if self._folder is not None and _is_private(self._folder):
                return Path(json.loads(read_own(self._folder / data_id))["folder"])
        return None

    def obstacle(self) -> str | None:
        """Return why nothing can be noted, if so."""
        if self._folder is None:
            return "there is no home folder"
        try:
            make_folder(self._folder)
            if not _is_private(self._folder):
                return f"others may write to {self._folder}"
            with tempfile.TemporaryFile(dir=self._folder):
                return None
        except OSError as error:
            return f"{self._folder} can't be written to ({error.strerror})"

    def add(self, data_id: str, of: Path) -> str | None:
        """Note data that are about to be made; return why that can't be done, if it can't."""
        why = self.obstacle()
        if why is None and self._folder is not None:
            try:
                write_private(self._folder / data_id, {"folder": str(of.resolve())})
            except CogauthError as error:
                why = str(error)
        return why

    def drop(self, data_id: str, of: Path) -> None:
        """Forget data that were deleted; those in another folder are not."""
        if self._folder is not None and self.made_in(data_id) == of.resolve():
            with suppress(OSError):
                (self._folder / data_id).unlink()


def _is_private(folder: Path) -> bool:
    """Whether it is a folder that only this user may write to."""
    found = folder.lstat()
    others = stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others


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
        self._known = KnownData()
        self._alive = self._folder / "alive"
        self._log = self._folder / "ministack.log"
        self._record_file = self._folder / "local.json"
        self._tmp = self._folder / "tmp"

    @property
    def endpoint_url(self) -> str | None:
        """Its URL, running or not; None if it was never started. Raises ``LocalAwsError``."""
        record = self._read() if self._is_there() else None
        return _url(record) if record else None

    def keys(self) -> Keys:
        """Return its account's root's. Raises ``LocalAwsError`` if it was never started."""
        record = self._read() if self._is_there() else None
        if record is None:
            raise LocalAwsError(f"No local AWS was started in {self._folder}.")
        return record.keys

    def is_running(self) -> bool:
        """Whether its process lives; it may still be starting."""
        try:
            with os.fdopen(open_own(self._alive, os.O_RDONLY), "rb") as alive:
                # Shared, so that two who ask at once don't take each other for the server.
                fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def start(self) -> Started:
        """Start it unless it runs already, and wait until it answers.

        Raises ``LocalAwsError`` if the extra isn't installed, its port is taken, it doesn't come
        up, or the folder or the data in it are not this user's own; an interrupted or failed start
        leaves no process behind.
        """
        self._is_there()  # If it is somebody else's, not even a lock is left beside it.
        with self._one_at_a_time():
            if not self._is_there():
                make_folder(self._folder)
                self._mark()
            self._folder.chmod(0o700)
            record, data_lost, forgotten = self._read(), False, None
            if record is not None:
                record = self._trusted(record)
            if not (record and self._comes_up(record)):
                _require_extra()
                record, data_lost, forgotten = self._prepare(record)
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
            return Started(_url(record), record.keys, record.data_id, data_lost, forgotten)

    def stop(self) -> bool:
        """End it, with its data saved; return False if it wasn't running.

        Raises ``LocalAwsError`` if it can't be ended.
        """
        if not self._is_there():
            return False
        with self._one_at_a_time():
            running = self.is_running()
            self._end()
            return running

    def remove(self) -> None:
        """End it if it runs, and delete its folder with all that is cogauth's in there."""
        if not self._is_there():
            return
        with self._one_at_a_time():
            self._end()
            for data in self._all_data():
                shutil.rmtree(data, ignore_errors=True)
                self._known.drop(data.name.removeprefix("data-"), self._folder)
            with suppress(LocalAwsError):
                if record := self._read():
                    self._known.drop(record.data_id, self._folder)
            if _is_own_folder(self._tmp):
                shutil.rmtree(self._tmp, ignore_errors=True)
            for file in (self._record_file, self._log, self._alive, self._folder / MARKER):
                remove_own(file)
            with suppress(OSError):  # Somebody has put something of theirs into it.
                self._folder.rmdir()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with hold(self._folder, "local AWS", 2 * self._patience, advice=""):
            yield

    def _is_there(self) -> bool:
        """Whether the folder is there. Raises ``LocalAwsError`` if it is not cogauth's own."""
        try:
            found = self._folder.lstat()
        except FileNotFoundError:
            return False
        why = ""
        if not stat.S_ISDIR(found.st_mode):
            why = "it is a link, or no folder"
        elif found.st_uid != os.geteuid():
            why = f"it belongs to another user (uid {found.st_uid})"
        else:
            try:
                inside = [(each.name, each.lstat().st_size) for each in self._folder.iterdir()]
                if not set(inside) - {(MARKER, 0)}:
                    self._mark()  # A start was killed before it came to that.
                if read_own(self._folder / MARKER) != MARKED:
                    why = f"its {MARKER} is not what cogauth writes"
            except (OSError, CogauthError):
                why = f"it has no {MARKER} of this user's, which marks cogauth's own"
        if why:
            raise LocalAwsError(
                f"{self._folder} is not the folder of cogauth's local AWS: {why}. It was left as "
                "it is. Move it away, or give another place with --state FILE."
            )
        return True

    def _mark(self) -> None:
        with os.fdopen(open_own(self._folder / MARKER, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(MARKED)

    def _trusted(self, record: _Record) -> _Record | None:
        """Return the record if its data are this user's; None if they can't be known.

        Raises ``LocalAwsError`` if they are not.
        """
        made_in = self._known.made_in(record.data_id)
        # A process of this user's that serves them is proof as well.
        if made_in == self._folder.resolve() or self._process() is not None:
            return record
        if made_in is not None:
            raise LocalAwsError(
                f"The local AWS's data in {self._folder} were made in {made_in}, and are served "
                "from there alone: they hold code that would run, and whoever knows their id could "
                f"have put others here. If you moved the folder, move it back. "
                f"Otherwise delete {self._record_file} {self._and_begin_anew}"
            )
        if self._known.obstacle() is not None:
            # They may well be: nothing can be noted, so nothing was. It begins empty.
            self._record_file.unlink()
            return None
        raise LocalAwsError(
            f"This user has not made the local AWS's data in {self._folder} on this machine. They "
            "hold code that would run, so they are not served. Look where they come from, and "
            f"delete {self._record_file} {self._and_begin_anew}"
        )

    @property
    def _and_begin_anew(self) -> str:
        return (
            f"and the state files in {self._folder.parent} whose stacks are on the local AWS; "
            "'cogauth up --local' then deletes the data and builds a stack anew."
        )

    def _all_data(self) -> list[Path]:
        """Return this user's folders of data, by the names that only cogauth gives; no links."""
        return [
            path
            for path in self._folder.glob("data-*")
            if _DATA_ID.fullmatch(path.name.removeprefix("data-")) and _is_own_folder(path)
        ]

    def _read(self) -> _Record | None:
        try:
            return _Record(**json.loads(read_own(self._record_file)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError) as error:
            raise LocalAwsError(
                f"{self._record_file} is damaged, or of an earlier cogauth. "
                f"Delete it {self._and_begin_anew}"
            ) from error

    def _write(self, record: _Record) -> None:
        write_private(self._record_file, dataclasses.asdict(record))

    def _prepare(self, old: _Record | None) -> tuple[_Record, bool, str | None]:
        """Record the server that is about to be started.

        Returns the record, whether its data were lost, and why they won't be known again, if so.
        """
        for folder in (self._tmp, *([self._data(old)] if old else [])):
            if os.path.lexists(folder) and not _is_own_folder(folder):
                raise LocalAwsError(
                    f"{folder} is not cogauth's own: it is no folder of this user's. It was left "
                    "as it is. Look where it comes from, and move it away."
                )
        if old is None:
            self._end()  # Without its record a server would be of no use: nobody knows its port.
            record, data_lost = _Record.new(_choose_port()), False
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
            record = _Record.new(old.port) if data_lost else old.again()
        forgotten = self._known.add(record.data_id, self._folder)
        # From here on the data are the new ones, should we be killed before the old are deleted.
        self._write(record)
        for data in self._all_data():
            if data != self._data(record):
                shutil.rmtree(data)
                self._known.drop(data.name.removeprefix("data-"), self._folder)
        for file in list(self._pid_files()):
            remove_own(file)
        # A Lambda function of a killed server may still be at work in there.
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._tmp.mkdir(mode=0o700, exist_ok=True)
        return record, data_lost, forgotten

    def _spawn(self, record: _Record) -> None:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with (
            os.fdopen(open_own(self._alive, append), "ab") as alive,
            os.fdopen(open_own(self._log, append), "ab") as log,
        ):
            fcntl.flock(alive, fcntl.LOCK_EX)  # Waits for nobody but is_running().
            child = subprocess.Popen(  # noqa: S603 the words are our own
                [sys.executable, *_RUN],
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
        """Everything the server is given. It hands all of it on to its Lambda functions."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"HOME", "LANG", "TZ"} or name.startswith("LC_")
        }
        return kept | {
            # Lambda functions run on this interpreter, in a virtual environment or not.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "TMPDIR": str(self._tmp),
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
            # Its health page shows this. The keys it reads from its record: functions are not to
            # have them.
            "MINISTACK_EDITION": record.run,
        }

    def _comes_up(self, record: _Record) -> bool:
        """Wait until it answers, or has ended: then return False."""
        if not self._until(lambda: not self.is_running() or self._answers(record)):
            raise self._failed(record, f"gave no answer within {self._patience:g} s")
        return self.is_running()

    def _failed(self, record: _Record, what: str) -> LocalAwsError:
        lines = read_own(self._log).decode(errors="replace").splitlines()[-_LOG_LINES:]
        return LocalAwsError(
            f"The local AWS on port {record.port} {what}. Its log is {self._log}; it ends with:",
            *(f"  {line}" for line in lines or ["(nothing)"]),
        )

    def _answers(self, record: _Record) -> bool:
        connection = http.client.HTTPConnection(_HOST, record.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            health = json.loads(connection.getresponse().read())
            return bool(health["edition"] == record.run)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return False
        finally:
            connection.close()

    def _end(self) -> None:
        """End the server if it runs; the caller holds the folder's lock."""
        # It writes its pid file a moment after it was started.
        self._until(lambda: not self.is_running() or self._process() is not None)
        process = self._process() if self.is_running() else None
        for send, number in ((os.kill, signal.SIGTERM), (os.killpg, signal.SIGKILL)):
            # psutil knows by its start whether it is still the same process.
            if process and process.is_running():
                with suppress(ProcessLookupError):
                    send(process.pid, number)
            if self._until(lambda: not self.is_running()):
                break
        else:
            raise LocalAwsError(
                f"The local AWS in {self._folder} doesn't end. "
                f"'lsof {shlex.quote(str(self._alive))}' shows its process: end it and run the "
                "command again."
            )
        if process:
            # A Lambda function of its may be at work for a moment more, in its process group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # It is our own child only if we started it.
                os.waitpid(process.pid, 0)

    def _process(self) -> "psutil.Process | None":
        """Return the server's process, if it is that for certain."""
        _require_extra()
        import psutil  # noqa: PLC0415 of that extra

        for file in self._pid_files():
            with suppress(OSError, CogauthError, ValueError, psutil.Error):
                process = psutil.Process(int(read_own(file)))
                # Of a pid that was given away since, the process began later than the file.
                older = process.create_time() <= file.lstat().st_mtime + _CLOCK_STEP_SECONDS
                runs = process.cmdline()[1:] in (_RUN, _FORMER_RUN) and self._tmp.samefile(
                    process.cwd()
                )
                if older and runs and process.uids().effective == os.geteuid():
                    return process
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


def _is_own_folder(path: Path) -> bool:
    """Whether it is a folder of this user's, and no link: ``rmtree`` would wait for a pipe."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _url(record: _Record) -> str:
    return f"http://{_HOST}:{record.port}"


def _require_extra() -> None:
    # airspeed-ext and airspeed are modules of one name.
    spec = importlib.util.find_spec
    if not (all(spec(name) for name in _NEEDED) and list(distributions(name="airspeed-ext"))):
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
