"""Runs commands, each in a fork of one process that has imported them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from cogauth.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The Python that runs the command line. The local AWS pins its own botocore, and users of the
# command line needn't have that version.
PYTHON = os.environ.get("CLI_PYTHON", sys.executable)
COGAUTH = [PYTHON, "-m", "cogauth"]
LANG = "C.UTF-8"
PATIENCE = 60.0
ESCAPE = "\x1b"
# The beginnings of sentences that say what to do: those belong in an error's hint.
REMEDY = re.compile(
    r"(?<=[.!?])\s+(?:(?:Or|Please|Then) )?'?(?:To \w+|If|Otherwise|Add|Attach|Call|Check|Choose"
    r"|Copy|Delete|Deploy|Find|Get|Give|Install|Leave|Look|Make|Move|Name|Pass|Put|Remove|Rename"
    r"|Report|Restore|Retry|Run|Say|Set|Sign in|Take|Try|Unset|Update|Upgrade|Use|Wait|Work"
    r"|cogauth)\b"
    r"|:\s+(?:give|run|set|unset|use|wait|sign in|look|try|leave|delete|upgrade|choose)\b"
)
# Imports the commands' modules and reads the services' models once, which is most of a command's
# time, and then forks for each command. A second fork supervises each command, so that several
# can run at once.
FORKER = """
import atexit, fcntl, functools, gc, importlib, json, os, pkgutil, signal, socket, sys, termios
import threading
# The tests may run in the background, where SIGINT is ignored; a command is to be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)
import boto3, cogauth
from botocore.loaders import JSONFileLoader, Loader
from cogauth.cli import main
for package in ("aws", "checks", "cli", "client", "engine"):
    path = [os.path.join(cogauth.__path__[0], package)]
    for module in pkgutil.walk_packages(path, f"cogauth.{package}."):
        importlib.import_module(module.name)
# What commands import only when they need it.
for name in ("cogauth.local.beginners", "cogauth.record.state", "rich.tree", "click._textwrap"):
    importlib.import_module(name)
load = JSONFileLoader.load_file
loaded = functools.cache(lambda path: load(JSONFileLoader(), path))
JSONFileLoader.load_file = lambda self, path: loaded(path)
listing, listed = Loader.list_available_services, {}
def list_services(self, kind):
    key = (kind, *self.search_paths)
    if key not in listed:
        listed[key] = listing(self, kind)
    return listed[key]
Loader.list_available_services = list_services
session = boto3.Session("none", "none", region_name="us-east-1")
for name in ("cognito-idp", "iam", "lambda", "apigateway", "logs", "sts"):
    session.client(name)
gc.freeze()
jobs = socket.socket(fileno=int(sys.argv[1]))
how = {"encoding": sys.stdout.encoding, "errors": sys.stdout.errors}
while True:
    text, fds, _, _ = socket.recv_fds(jobs, 1 << 20, 4)
    if not text:
        break
    if os.fork():
        for fd in fds:
            os.close(fd)
        os.wait()
        continue
    # Its parent doesn't wait for it, but for the fork that it came of.
    if os.fork():
        os._exit(0)
    command = os.fork()
    if command:
        os.write(fds[3], b"%d\\n" % command)
        os.write(fds[3], b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
        os._exit(0)
    job = json.loads(text)
    os.setsid()
    jobs.close()
    for number in range(3):
        os.dup2(fds[number], number)
    for fd in fds:
        os.close(fd)
    if job["terminal"]:
        # The one that Ctrl-C and /dev/tty are of.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    encoding, _, errors = job["env"].get("PYTHONIOENCODING", "").partition(":")
    if encoding:
        how = {"encoding": encoding, "errors": errors or "strict"}
    sys.stdin, sys.stdout = open(0, **how), open(1, "w", **how)
    sys.stderr = open(2, "w", encoding=how["encoding"], errors="backslashreplace", buffering=1)
    sys.argv = ["cogauth", *job["words"]]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    # As a process ends, but for taking apart what it shares with its parent: that takes longest.
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code)
"""
# What Python reads when it starts. The same goes for botocore's ~/.aws/models. The forker
# handles PYTHONIOENCODING itself.
AT_START = re.compile(r"LANG|TZ|LC_\w+|PYTHON(?!IOENCODING)\w+|LD_\w+|BOTO_\w+")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT end the children started here, even if the tests run in the background."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        # Only the main thread may set a handler, and none is needed.
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_making = threading.Lock()


class Forked:
    """A command that a forker runs, with the interface of subprocess.Popen."""

    def __init__(self, status: IO[str]) -> None:
        self._status, self._lock = status, threading.Lock()
        self.pid = int(status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """Wait until it ends; return its exit code, or minus the signal that killed it."""
        # Two threads may wait at once.
        with self._lock:
            if self.returncode is None:
                if not select.select([self._status], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout)
                self.returncode = int(self._status.readline())
                self._status.close()
            return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forker:
    """Runs commands, each in a fork of one process that has imported them."""

    def __init__(self) -> None:
        self._jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [PYTHON, "-c", FORKER, str(theirs.fileno())],
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": LANG},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def start(
        self,
        folder: Path,
        env: dict[str, str],
        words: tuple[str, ...],
        files: tuple[int, int, int],
        *,
        terminal: bool = False,
    ) -> Forked:
        """Start a command.

        Args:
            folder: its working directory.
            env: its whole environment.
            words: its arguments.
            files: its stdin, stdout and stderr.
            terminal: whether its stdin becomes its controlling terminal.
        """
        job = {"folder": str(folder), "env": env, "words": words, "terminal": terminal}
        source, sink = os.pipe()
        socket.send_fds(self._jobs, [json.dumps(job).encode()], [*files, sink])
        os.close(sink)
        return Forked(os.fdopen(source))

    def run(
        self, folder: Path, env: dict[str, str], words: tuple[str, ...], typed: bytes, encoding: str
    ) -> Result:
        """Run a command until it ends."""
        with ExitStack() as stack:
            typing, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            typing.write(typed)
            typing.seek(0)
            command = self.start(folder, env, words, (typing.fileno(), out.fileno(), err.fileno()))
            try:
                code = command.wait(PATIENCE)
            finally:
                # Together with everything that it started.
                if command.returncode is None:
                    os.killpg(command.pid, signal.SIGKILL)
                    command.wait(PATIENCE)
            out.seek(0)
            err.seek(0)
            return Result(code, out.read().decode(encoding), err.read().decode(encoding))

    def end(self) -> None:
        self._jobs.close()
        self._process.wait(PATIENCE)


@functools.cache
def _made() -> Forker:
    made = Forker()
    atexit.register(made.end)
    return made


def forker() -> Forker:
    """Return this process's forker, which the first of its threads makes."""
    with _making:
        return _made()


@dataclass(frozen=True)
class Result:
    """A command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed: one document and nothing else."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The full text of the error that ``--json`` printed."""
        error = self.document["error"]
        assert list(error) == ["code", "message", "hint"]
        assert error["code"] in CODES
        assert not REMEDY.search(error["message"])
        return " ".join(filter(None, [error["message"], error["hint"]]))

    def must(self, code: int = 0) -> Self:
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.out + self.err
        assert ESCAPE not in self.out + self.err
        return self

    def must_fail(self, code: int = 1) -> Self:
        """Like `must`, for a run with --debug, which shows a traceback."""
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self
