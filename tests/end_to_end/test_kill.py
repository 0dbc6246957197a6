"""The command line, really killed at its calls to AWS, or asked to stop in the middle of one.

A proxy between it and a local AWS knows the calls from a clean run, and strikes at one of them.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from support.account import RESOURCES, needed
from support.commands import KEYS, command_line, files_in
from support.forker import PATIENCE
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.proxies import Call, Gate, Proxy, Strike

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.local

# Without --yes: 'up' asks nothing about what 'down' was deleting.
UP = ("up", "--settle", "0")
DOWN = ("down", "--yes", "--settle", "0")
# A sample of the sweep: an odd step size includes both "before" and "after".
EVERY = {"up": 49, "down": 17}
# How each case ends; one in LOGINS of the cases that end with a stack tests a login.
ENDINGS = ("up", "down")
LOGINS = 3


@dataclass
class Place(LocalStack):
    """A stack with a proxy between the command line and the local AWS."""

    proxy: Proxy = field(kw_only=True)

    @property
    def records(self) -> dict[str, dict[str, str]]:
        """The state file's record of each resource."""
        found: dict[str, dict[str, str]] = json.loads(self.path.read_text())["resources"]
        return found

    def run(self, *words: str) -> list[Call]:
        """Run a command that succeeds; return its mutating calls."""
        self.proxy.seen.clear()
        self.cli.run(*words).must()
        return list(self.proxy.seen)

    def is_cleared(self) -> bool:
        """Whether nothing is left in AWS or on this disk."""
        return self.existing() == {} and files_in(self.cli.folder) == []

    def strike(self, call: Call, when: str, do: Any) -> None:
        self.proxy.seen.clear()
        self.proxy.strike = Strike(call, when, do)

    def kill(self, words: tuple[str, ...], call: Call, when: str) -> None:
        """Run a command and kill it at a call."""
        victim: Future[Any] = Future()

        def strike() -> bool:
            process = victim.result(PATIENCE)
            process.kill()
            process.wait(PATIENCE)
            return False

        self.strike(call, when, strike)
        running = self.cli.spawn(*words)
        victim.set_result(running.process)
        assert running.ended() == -signal.SIGKILL, running.text
        assert call in self.proxy.seen
        assert self.proxy.broken == []
        # Other calls were in flight, too: they land, and nothing comes after them.
        assert self.proxy.drain()


@contextmanager
def place(folder: Path, url: str, stack: str) -> Iterator[Place]:
    folder.mkdir()
    where = {"AWS_REGION": REGION, "COGAUTH_STACK": stack}
    with (
        Proxy(url, stack) as proxy,
        command_line(folder, **KEYS, **where, COGAUTH_ENDPOINT_URL=proxy.url) as cli,
    ):
        yield Place(cli, stack, url, proxy=proxy)


@dataclass(frozen=True)
class Clean:
    """A run without faults: its calls, and what it made."""

    calls: dict[str, list[Call]]
    portrait: dict[str, Any]


@pytest.fixture(scope="module")
def clean(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    with place(tmp_path_factory.mktemp("clean") / "place", endpoint, "kill-clean") as here:
        up = here.run("up")
        made = here.portrait()
        down = here.run("down", "--yes")
        assert here.is_cleared()
    return Clean({"up": up, "down": down}, made)


@pytest.fixture
def here(endpoint: str, tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "place", endpoint, tmp_path.name[-30:]) as made:
        yield made


def test_a_clean_run_makes_one_of_each(clean: Clean) -> None:
    """The sweep compares its results with this run."""
    counts = Counter(name.split()[0] for name, found in clean.portrait.items() for _ in found)
    assert counts == {
        "pool": 1,
        "role": 2,
        "function": 2,
        "logs": 2,
        "api": 1,
        "statuses": 1,
        "resources": 23,
    }
    (api,) = clean.portrait["api STACK"]
    for several in ("authorizers", "deployments", "stages"):
        assert len(api[several]) == 1
    assert len(clean.portrait["pool STACK"][0]["clients"]) == 1
    assert [path["path"] for path in api["paths"]] == ["/", "/hello", "/signin"]
    calls = [str(call) for call in clean.calls["up"]]
    assert {"POST /restapis", "CreateRole STACK-LambdaAuthRole", "UpdateUserPool"} < set(calls)
    assert len(calls) > 30
    assert {"DeleteUserPool", "DELETE /restapis/*"} < {str(call) for call in clean.calls["down"]}


# ---- SIGKILL


@pytest.mark.parametrize("command", ["up", "down"])
def test_killed_at_any_call_it_goes_on_or_leaves_nothing(
    command: str, clean: Clean, endpoint: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases = [(call, when) for call in clean.calls[command] for when in ("before", "after")]
    step = 1 if request.config.getoption("--all-faults") else EVERY[command]

    def check(number: int) -> str:
        call, when = cases[number]
        ending = ENDINGS[number // 2 % 2]
        folder = tmp_path / str(number)
        try:
            with place(folder, endpoint, f"kill-{command}-{number:03}") as here:
                if command == "down":
                    here.run(*UP)
                here.kill((command, *(("--yes",) if command == "down" else ())), call, when)
                check_ending(here, clean, ending, login=number % LOGINS == 0)
        except BaseException:  # noqa: BLE001 all cases are wanted, not the first that fails
            return f"{when} {call}, then {ending}:\n{traceback.format_exc()}"
        return ""

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        problems = list(filter(None, pool.map(check, range(0, len(cases), step))))
    assert not problems, f"{len(problems)} of {len(cases)}\n" + "\n".join(problems)


def check_ending(here: Place, clean: Clean, ending: str, *, login: bool) -> None:
    if ending == "up":
        here.run(*UP)
        assert here.portrait() == clean.portrait
        if login:
            here.cli.login("ann", PASSWORD).must()
    here.run(*DOWN)
    assert here.is_cleared()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("what", ["CreateUserPool", "POST /restapis"])
@pytest.mark.sample(6)
def test_a_create_that_lands_after_its_caller_was_killed_is_found(
    what: str, ending: str, here: Place, clean: Clean
) -> None:
    call, gate = Call(what, 1), Gate()
    here.strike(call, "before", gate)
    killed = here.cli.spawn("up")
    gate.wait()
    killed.process.kill()
    assert killed.ended() == -signal.SIGKILL

    here.proxy.seen.clear()
    after = here.cli.spawn(ending, "--settle", "20", *(["--yes"] if ending == "down" else []))
    after.see("waiting for the .* that an interrupted run may have created")
    gate.verdict.set_result(True)
    assert after.ended() == 0, after.text
    assert call not in here.proxy.seen
    if ending == "up":
        assert " adopted " in after.plain
        assert here.portrait() == clean.portrait
        here.run(*DOWN)
    assert here.is_cleared()


# ---- SIGINT and SIGTERM


HEARD = r"Stopping\s+after\s+the\s+calls\s+in\s+flight"
CREATES = [
    ("CreateUserPool", signal.SIGTERM, "user_pool"),
    ("CreateRole STACK-LambdaAuthRole", signal.SIGINT, "role"),
    ("POST /restapis", signal.SIGINT, "rest_api"),
    ("POST /restapis/*/stages", signal.SIGTERM, "stage"),
]


@pytest.mark.parametrize(("what", "number", "key"), CREATES, ids=[row[2] for row in CREATES])
@pytest.mark.sample(2)
def test_a_signal_lets_the_call_in_flight_end_and_nothing_begin(
    what: str, number: int, key: str, here: Place, clean: Clean
) -> None:
    gate = Gate()
    here.strike(Call(what, 1), "after", gate)
    running = here.cli.spawn("up")
    gate.wait()
    assert here.records[key]["status"] == "creating"
    running.process.send_signal(number)
    running.see(HEARD)
    gate.verdict.set_result(True)
    assert running.ended() == 130
    # That call and all others in flight ended and were recorded; no call begins after it.
    records = here.records
    assert {record["status"] for record in records.values()} == {"created"}
    assert records[key]["id"] in json.dumps(here.existing(), default=str)
    assert not set(records) & {each for each in RESOURCES if key in needed(each)}
    assert "PATCH /restapis/*/stages/dev" not in {call.what for call in here.proxy.seen}
    says_how_to_go_on(running.text, here)
    check_ending(here, clean, "up" if key == "stage" else "down", login=False)


@pytest.mark.parametrize(
    ("what", "number", "key", "after"),
    [
        ("DELETE /restapis/*", signal.SIGINT, "rest_api", set()),
        (
            "DELETE /2015-03-31/functions/STACK-signInFunction",
            signal.SIGTERM,
            "sign_in_function",
            {"role", "user_pool", "sign_in_log_group"},
        ),
    ],
)
@pytest.mark.sample(2)
def test_a_signal_lets_the_deletion_in_flight_end_and_no_other_begin(
    what: str, number: int, key: str, after: set[str], here: Place
) -> None:
    here.run(*UP)
    gate = Gate()
    here.strike(Call(what, 1), "after", gate)
    running = here.cli.spawn("down", "--yes")
    gate.wait()
    assert key in here.records
    running.process.send_signal(number)
    running.see(HEARD)
    gate.verdict.set_result(True)
    assert running.ended() == 130
    assert key not in here.records
    assert after <= set(here.records)
    says_how_to_go_on(running.text, here)
    here.run(*DOWN)
    assert here.is_cleared()


def says_how_to_go_on(text: str, here: Place) -> None:
    said = text.splitlines()[-1]
    assert said.startswith("Error: Interrupted. ")
    assert f".cogauth/{here.stack}.json" in said
    there = f"--stack {here.stack} --endpoint-url {here.proxy.url}"
    assert f"'cogauth up {there}'" in said
    assert f"'cogauth down {there}'" in said
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["up", "down"])
@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)]
)
@pytest.mark.sample(2)
def test_a_second_signal_ends_it_at_once(
    first: int, second: int, command: str, here: Place, clean: Clean
) -> None:
    if command == "down":
        here.run(*UP)
    call = Call("CreateUserPoolClient" if command == "up" else "DeleteRole STACK-LambdaAuthRole", 1)
    gate = Gate()
    here.strike(call, "after", gate)
    running = here.cli.spawn(command, *(["--yes"] if command == "down" else []))
    gate.wait()
    running.process.send_signal(first)
    running.see(HEARD)
    assert running.process.poll() is None
    running.process.send_signal(second)
    # The call is still held, but the command no longer waits for it.
    assert running.ended(10) == 130
    gate.verdict.set_result(False)
    assert here.proxy.drain()
    assert "Traceback" not in running.text
    check_ending(here, clean, "up" if first == second else "down", login=False)


# ---- A full disk


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_disk_that_fills_up_is_noticed_before_the_next_create(here: Place, clean: Clean) -> None:
    gate = Gate()
    call = Call("CreateRole STACK-LambdaAuthRole", 1)
    here.strike(call, "after", gate)
    running = here.cli.spawn("up")
    gate.wait()
    # From now on it can't write to files.
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, 0))
    gate.verdict.set_result(True)
    assert running.ended() == 1
    assert "Traceback" not in running.text
    assert f".cogauth/{here.stack}.json can't be written: File too large" in running.text
    assert here.records["role"]["status"] == "creating"
    check_ending(here, clean, "up", login=False)
