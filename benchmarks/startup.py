"""Part 2: how long the command line takes to start, compared with Python itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.programs import Times, environment, folder, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLICK, HELP = 'python -c "import click"', "cogauth --help"


def measure(runs: int, say: Callable[[str], None], *, install_aws: bool) -> dict[str, Any]:
    """Start the programs in turns, so that a busy moment of the machine affects them all.

    Args:
        runs: the number of runs.
        say: called with progress messages.
        install_aws: whether to install the AWS CLI into its own virtual environment for comparison.
    """
    python = sys.executable
    cogauth = Path(python).with_name("cogauth")
    command = [str(cogauth)] if cogauth.exists() else [python, "-m", "cogauth"]
    programs = {
        "python -c pass": [python, "-c", "pass"],
        CLICK: [python, "-c", "import click"],
        HELP: [*command, "--help"],
        "cogauth --version": [*command, "--version"],
    }
    with _aws(say, install=install_aws) as aws, folder() as home:
        if aws:
            programs["aws --version"] = [aws, "--version"]
        times: dict[str, Times] = {name: Times() for name in programs}
        say(f"start-up, {runs} runs of each")
        # The first run isn't counted, because the disk cache is cold.
        for nth in range(runs + 1):
            for name, words in programs.items():
                seconds = run(words, home, environment(home)).seconds
                if nth:
                    times[name].all.append(seconds)
    medians = {name: each.median for name, each in times.items()}
    return {
        "runs": runs,
        "seconds": medians,
        "times_import_click": round(medians[HELP] / medians[CLICK], 2),
    }


@contextmanager
def _aws(say: Callable[[str], None], *, install: bool) -> Iterator[str | None]:
    """Yield the path of the AWS CLI, if there is one."""
    if not install:
        yield _on_path()
        return
    say("installing the AWS CLI")
    with folder() as made:
        venv.create(made, with_pip=True)
        python = str(made / "bin" / "python")
        run([python, "-m", "pip", "install", "--quiet", "awscli"], made, environment(made))
        yield str(made / "bin" / "aws")


def _on_path() -> str | None:
    found = shutil.which("aws")
    if found and Path(found).parent.name == "shims":
        # pyenv's shim is a shell script that takes time to find the program.
        pyenv = ["pyenv", "which", "aws"]
        done = subprocess.run(pyenv, capture_output=True, text=True, check=False)  # noqa: S603
        found = done.stdout.strip() or None
    return found
