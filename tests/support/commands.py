"""The command line as users run it: as a process, on a pipe or a terminal."""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from cogauth.cli import cli as program
from cogauth.errors import CogauthError
from cogauth.local.process import FOLDER, LocalAws
from support.forker import (
    AT_START,
    COGAUTH,
    LANG,
    PATIENCE,
    PYTHON,
    Forked,
    Result,
    forker,
    interruptible,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# The root's keys of the local AWS that the tests share.
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA" + 4 * "TEST", "AWS_SECRET_ACCESS_KEY": 10 * "test"}
# Folders that may contain a local AWS started by a command.
FOLDERS: set[Path] = set()
# Run in front of the CLI; makes its stdin the controlling terminal, for Ctrl-C and /dev/tty.
CONTROL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for the condition; say whether it became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The whole environment of a test's process, without the user's own variables."""
    (folder / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": LANG,
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        # Beside the folder, because tests check the folder's contents.
        "XDG_STATE_HOME": f"{folder}.state-home",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


def processes_of(folder: Path) -> list[int]:
    """Processes whose environment names the folder: those started in it, and their children."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("only Linux shows the processes' environment")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(f"={folder}") in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def beside_gitignore(folder: Path) -> list[str]:
    """Return a state folder's contents without .gitignore; nothing if the folder is gone."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return sorted(names - {".gitignore"})


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def parsed(name: str, words: list[str]) -> click.Context:
    """Parse a command's words as the program does, without running it.

    Without a parent, the command's help option would lack -h.
    """
    parent = click.Context(program, **program.context_settings)
    command = program.commands[name]
    made = command.make_context(name, words, parent=parent)
    if isinstance(command, click.Group):
        inner, each, rest = command.resolve_command(made, [*made._protected_args, *made.args])  # noqa: SLF001
        assert each
        return each.make_context(inner, rest, parent=made)
    return made


def in_process(*words: str, typed: str | bytes = "") -> Result:
    """Run a command as `main` does, but in this process: starting a new one takes longest."""
    done = CliRunner().invoke(program, words, input=typed, standalone_mode=False)
    if isinstance(done.exception, CogauthError):
        return Result(done.exception.exit_code, done.stdout, f"Error: {done.exception}")
    if isinstance(done.exception, click.ClickException):
        return Result(done.exception.exit_code, done.stdout, f"Error: {done.exception}")
    if done.exception is not None:
        raise done.exception
    return Result(done.return_value or 0, done.stdout, done.stderr)


class Running:
    """A running command whose stdout and stderr are read together."""

    def __init__(self, process: Forked | subprocess.Popen[bytes], source: int) -> None:
        self.process = process
        self.text = ""
        self._source = source

    @property
    def plain(self) -> str:
        """What was printed, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    def see(self, wanted: str, seconds: float = PATIENCE) -> str:
        """Read until the pattern appears; return everything printed, without colours."""
        assert self.meets(wanted, seconds), f"{wanted!r} was never printed:\n{self.text}"
        return self.plain

    def meets(self, wanted: str, seconds: float = PATIENCE) -> bool:
        """Read until the pattern appears or the command ends; return whether it appeared."""
        end = time.monotonic() + seconds
        while not re.search(wanted, self.plain):
            if not self._read(end):
                return False
        return True

    def ended(self, seconds: float = PATIENCE) -> int:
        """Read to the end; return the exit code."""
        end = time.monotonic() + seconds
        while self._read(end):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._source], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"nothing was printed for long:\n{self.text}"
        try:
            got = os.read(self._source, 65536)
        except OSError:  # a terminal that no process has open any more
            got = b""
        self.text += got.decode(errors="replace").replace("\r\n", "\n")
        return bool(got)

    def glance(self) -> str:
        """Read what is available now; return everything printed so far."""
        if select.select([self._source], [], [], 0.005)[0]:
            self._read(time.monotonic() + 1)
        return self.text

    def type(self, text: str) -> None:
        os.write(self._source, text.encode())

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C until the command reacts: it prints more than the terminal's echo.

        Python's input() misses a signal that arrives just before it waits.
        """
        begun = len(self.text)

        def heard() -> bool:
            return bool(self.glance()[begun:].replace("^C", "").strip())

        self.type("\x03")
        while not until(heard, 1):
            self.type("\x03")


@dataclass
class Cli:
    """The command line in its own folder and environment."""

    folder: Path
    env: dict[str, str]
    _children: list[Forked | subprocess.Popen[bytes]] = field(default_factory=list)
    _files: list[int] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / ".cogauth" / "cogauth.json"

    @property
    def local(self) -> Path:
        return self.folder / ".cogauth" / FOLDER

    def run(self, *words: str, typed: str | bytes = "", **env: str) -> Result:
        """Run it to its end."""
        all_env = {**self.env, **env}
        given = typed.encode() if isinstance(typed, str) else typed
        encoding = all_env.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
        if self._can_fork(all_env):
            return forker().run(self.folder, all_env, words, given, encoding)
        done = subprocess.run(
            [*COGAUTH, *words],
            cwd=self.folder,
            env=all_env,
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            # Detached from the terminal that the tests may run on.
            start_new_session=True,
        )
        return Result(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))

    def _can_fork(self, env: dict[str, str]) -> bool:
        """Whether a new Python would start with the same settings as the forker's."""
        odd = {name for name in env if AT_START.fullmatch(name)} - {"LANG"}
        return not odd and env.get("LANG") == LANG and not (self.folder / ".aws").exists()

    def login(self, name: str, password: str, *words: str, **env: str) -> Result:
        words = ("test-login", "--username", name, *words)
        return self.run(*words, COGAUTH_PASSWORD=password, **env)

    def spawn(self, *words: str, **env: str) -> Running:
        """Start it with its output on a pipe."""
        source, sink = os.pipe()
        if self._can_fork({**self.env, **env}):
            with Path(os.devnull).open("rb") as nothing:
                return self._fork(words, source, sink, nothing.fileno(), env)
        return self._spawn([*COGAUTH, *words], source, sink, subprocess.DEVNULL, env)

    def on_terminal(self, *words: str, **env: str) -> Running:
        """Start it on its own terminal."""
        source, sink = os.openpty()
        termios.tcsetwinsize(sink, (24, 80))
        env = {"TERM": "xterm-256color", **env}
        if self._can_fork({**self.env, **env}):
            return self._fork(words, source, sink, sink, env)
        command = [PYTHON, "-c", CONTROL, *COGAUTH[1:], *words]
        return self._spawn(command, source, sink, sink, env)

    def shell_on_terminal(self, line: str, **env: str) -> Running:
        """Start a shell line on its own terminal; in the line, COGAUTH is the command."""
        source, sink = os.openpty()
        shell = "import os, sys; os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])"
        command = [sys.executable, "-c", CONTROL, "-c", shell, line]
        return self._spawn(command, source, sink, sink, {"COGAUTH": shlex.join(COGAUTH), **env})

    def _fork(
        self, words: tuple[str, ...], source: int, sink: int, stdin: int, env: dict[str, str]
    ) -> Running:
        self._files.append(source)
        try:
            command = forker().start(
                self.folder,
                {**self.env, **env},
                words,
                (stdin, sink, sink),
                terminal=stdin == sink,
            )
        finally:
            os.close(sink)
        self._children.append(command)
        return Running(command, source)

    def _spawn(
        self, command: list[str], source: int, sink: int, stdin: int, env: dict[str, str]
    ) -> Running:
        self._files.append(source)
        try:
            with interruptible():
                process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env={**self.env, **env},
                    stdin=stdin,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                )
        finally:
            os.close(sink)
        self._children.append(process)
        return Running(process, source)

    def close(self) -> None:
        """End everything that was started, whether the test passed or failed."""
        for child in self._children:
            child.kill()
            child.wait(PATIENCE)
        for source in self._files:
            os.close(source)
        for alive in list(self.folder.rglob(f"{FOLDER}/alive")):
            LocalAws(alive.parent, patience=10).remove()


@contextmanager
def command_line(folder: Path, **env: str) -> Iterator[Cli]:
    cli = Cli(folder, environment(folder, **env))
    FOLDERS.add(folder)
    try:
        yield cli
    finally:
        cli.close()
        FOLDERS.remove(folder)


def pid_of_local_aws(cli: Cli) -> int:
    """Return the process id of the local AWS that a command started in its folder."""
    (file,) = cli.local.glob("tmp/ministack-*.pid")
    return int(file.read_text())
