"""``cogauth demo``: the whole demo, which leaves nothing behind."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from support.commands import Cli, command_line, processes_of, until
from support.forker import ESCAPE
from support.local_aws import is_listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.local

CHAPTERS = [
    ("cogauth up --local", "11 steps created"),
    ("First login of 'ann'", "HTTP 200, success, is_new true"),
    ("Second login", "HTTP 200, success, is_new false"),
    ("A wrong password", "HTTP 401, fail: The username or password is incorrect"),
    ("GET /hello without a token", "HTTP 401"),
    ("GET /hello with the ID token", "HTTP 200"),
    ("cogauth down", "0 remaining, 0 problems"),
    ("What is left", "nothing"),
]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Cli]:
    """The command line of someone without an AWS account."""
    with command_line(tmp_path) as cli:
        yield cli


def left(cli: Cli) -> list[str]:
    """Return the processes and files that are left, except the folder that existed before."""
    until(lambda: not processes_of(cli.folder), 2)  # A killed process takes a moment to disappear.
    processes = [f"process {pid}" for pid in processes_of(cli.folder)]
    return processes + [str(p) for p in cli.folder.rglob("*") if p != cli.folder / "tmp"]


def test_the_demo_is_told_and_leaves_nothing(newcomer: Cli) -> None:
    done = newcomer.run("demo").must()
    told = re.findall(r"^(\d)\. (.*)\n(?:   [^✓].*\n)+   ✓ (.*)$", done.out, re.MULTILINE)
    assert told == [(str(n), *chapter) for n, chapter in enumerate(CHAPTERS, 1)]
    commands = re.findall(r"^   \$ cogauth (.*)$", done.out, re.MULTILINE)
    assert commands == [
        "up --local",
        *["test-login ann"] * 3,
        "call GET /hello --no-token",
        "call GET /hello",
        "down",
    ]
    came_back = re.findall(r"^   < (.*)$", done.out, re.MULTILINE)
    assert len(came_back) == len(commands)
    # POST /signin answers like this, by its contract.
    assert ['"is_new": "true"' in line for line in came_back[1:3]] == [True, False]
    assert '"is_new": "false"' in came_back[2]
    assert "8 resources deleted, with all that they contained" in came_back[-1]
    texts = re.findall(r"^\d\. .*\n   (.*)$", done.out, re.MULTILINE)
    assert len(set(texts)) == len(texts)
    assert '{"message":"Unauthorized"}' in came_back
    assert not any(len(line) > 75 or "eyJ" in line for line in came_back)
    assert "Everything worked" in done.out
    assert "Deployment             created" in done.err
    assert left(newcomer) == []


@pytest.mark.long
def test_the_demo_as_json_is_one_document(newcomer: Cli) -> None:
    # The target options don't matter to it: it has its own local AWS.
    done = newcomer.run(
        "demo",
        "--json",
        AWS_PROFILE="nobody",
        AWS_ENDPOINT_URL="http://127.0.0.1:1",
        COGAUTH_STATE="/proc/nowhere/state.json",
        COGAUTH_ENDPOINT_URL="http://127.0.0.1:1",
    ).must()
    document = done.document
    assert document["ok"] is True
    assert 0 < document["elapsed_s"] < 60
    assert document["chapters"] == [
        {"title": title, "expected": got, "got": got, "ok": True} for title, got in CHAPTERS
    ]
    assert ESCAPE not in done.out + done.err
    assert left(newcomer) == []


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, r"Starting the local AWS"),
        (signal.SIGTERM, r"waiting for cogauth-signInFunction"),
        (signal.SIGINT, r"7\. cogauth down"),
    ],
)
def test_an_interrupted_demo_leaves_nothing_either(
    newcomer: Cli, number: signal.Signals, moment: str
) -> None:
    running = newcomer.spawn("demo")
    running.see(moment)
    ports = [
        int(file.read_text().split('"port": ')[1].split(",")[0])
        for file in newcomer.folder.glob("tmp/*/local/local.json")
    ]
    running.process.send_signal(number)
    assert running.ended() == 130, running.text
    assert running.text.endswith("Interrupted.\n")
    assert "Traceback" not in running.text
    assert left(newcomer) == []
    assert not any(is_listening(port) for port in ports)


@pytest.mark.long
def test_an_impatient_user_can_not_make_it_leave_something(newcomer: Cli) -> None:
    """The user presses Ctrl-C, and again during the cleanup."""
    running = newcomer.spawn("demo")
    running.see(r"3\. Second login")
    while "Interrupted." not in running.glance() and running.process.poll() is None:
        for _ in range(20):
            running.process.send_signal(signal.SIGINT)
    assert running.ended() == 130, running.text
    assert "Traceback" not in running.text
    assert left(newcomer) == []
