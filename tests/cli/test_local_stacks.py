"""Who uses a local AWS: whoever leaves it last ends it, and nobody ends it under another."""

from __future__ import annotations

import subprocess

import pytest

from support.commands import Cli, files_in, pid_of_local_aws, processes_of
from support.forker import PYTHON
from support.names import REGION

pytestmark = pytest.mark.local

# Uses a local AWS without a state file, as 'plan --local' does, until its stdin ends.
LOOKER = """
import sys
from pathlib import Path
from cogauth.local.process import LocalAws
local = LocalAws(Path(sys.argv[1]))
print(local.start(begins=True).endpoint_url, flush=True)
sys.stdin.read()
print(local.leave(removes=True))
"""


def looker(cli: Cli) -> subprocess.Popen[str]:
    """Start such a process, and wait until it uses the local AWS."""
    started = subprocess.Popen(
        [PYTHON, "-c", LOOKER, str(cli.local)],
        env=cli.env,
        cwd=cli.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline().startswith("http://127.0.0.1:")
    return started


@pytest.mark.long
def test_who_only_looks_leaves_a_local_aws_on_which_a_stack_is_made(cli: Cli) -> None:
    """A read-only command started it, and meanwhile a first 'up' begins to use it."""
    with looker(cli) as looks:
        cli.run("up", "--local", "--region", REGION).must()
        assert looks.communicate("")[0] == "False\n"
    cli.run("plan", "--local", "--region", REGION, "--stack", "other").must()
    assert "is up to date" in cli.run("plan").must().out
    with looker(cli) as looks:
        said = "The local AWS keeps running: another cogauth has begun to use it."
        assert said in cli.run("down", "--yes").must().err
        assert looks.communicate("")[0] == "True\n"
    assert files_in(cli.folder) == []


@pytest.mark.long
def test_who_looks_last_ends_a_local_aws_without_a_stack(cli: Cli) -> None:
    look = ("plan", "--local", "--region", REGION, "--stack", "other")
    with looker(cli) as looks:
        pid = pid_of_local_aws(cli)
        assert "The local AWS" not in cli.run(*look).must().err
        assert pid in processes_of(cli.folder)
        # It can't report its end.
        looks.kill()
    assert pid in processes_of(cli.folder)
    cli.run(*look).must()
    assert files_in(cli.folder) == []
