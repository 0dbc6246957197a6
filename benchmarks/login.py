"""Part 3: a login with our function's handler and the article's, each on its own user pool."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.conditions import QUIET
from benchmarks.programs import (
    ARTICLE,
    COGAUTH,
    HERE,
    PYTHON,
    BenchmarkError,
    Times,
    client,
    count,
    environment,
    folder,
    local_aws,
    run,
)
from benchmarks.proxy import PlayedAws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD, WRONG = "Correct-1-horse", "Wrong-1-horse"
OURS, ARTICLES = "cogauth", "the article"
NEW, RETURNING, REFUSED = "new user", "returning user", "wrong password"
ANSWERS = {
    NEW: {"status": "success", "is_new": "true"},
    RETURNING: {"status": "success", "is_new": "false"},
    REFUSED: {"status": "fail"},
}
# For each outcome, in each interpreter.
WARM_REQUESTS = 20
# Our handler tries a wrong password twice if the user is younger: two first logins may overlap.
JUST_MADE_S = 31


@dataclass(frozen=True)
class Handler:
    """A handler with an existing stack."""

    file: Path
    name: str
    variables: dict[str, str]

    def run(self, home: Path, url: str, events: list[dict[str, str]]) -> dict[str, Any]:
        """Send it requests, in its own interpreter."""
        command = [*PYTHON, str(HERE / "one_handler.py"), str(self.file), self.name]
        done = run(command, home, environment(home, url, **self.variables), json.dumps(events))
        answer: dict[str, Any] = json.loads(done.out)
        return answer


def measure(runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Count the calls of each outcome, then measure the times, both handlers in turns.

    Args:
        runs: the number of new interpreters for each handler.
        say: told what goes on.
    """
    known = [_name() for _ in range(WARM_REQUESTS)]
    with local_aws() as url, folder() as home, _stacks(url, home) as handlers:
        for handler in handlers.values():
            handler.run(home, url, [_event(name) for name in known])
        say(f"login: waiting {JUST_MADE_S} s until the users aren't new any more")
        time.sleep(JUST_MADE_S)
        calls = {way: _calls(handler, home, url, known[0]) for way, handler in handlers.items()}
        times: dict[str, dict[str, Times]] = {way: {} for way in handlers}
        for nth in range(runs):
            say(f"login, run {nth + 1} of {runs}")
            for way, handler in handlers.items():
                for what, seconds in _times(handler, home, url, known):
                    times[way].setdefault(what, Times()).all.append(seconds)
    return {
        "runs": runs,
        "warm_requests": WARM_REQUESTS,
        "calls": calls,
        "seconds": {way: {w: t.median for w, t in each.items()} for way, each in times.items()},
    }


@contextmanager
def _stacks(url: str, home: Path) -> Iterator[dict[str, Handler]]:
    with PlayedAws(url, QUIET) as quiet:
        env = environment(home, quiet.url)
        made = json.loads(run([*COGAUTH, "up", "--json"], home, env).out)
        article = json.loads(run([*ARTICLE, "up"], home, env).out)
    ours = ("USER_POOL_ID", made["user_pool_id"]), ("CLIENT_ID", made["client_id"])
    yield {
        OURS: Handler(
            HERE.parent / "lambda_code" / "sign_in.py",
            "handler",
            _variables(url, made) | dict(ours),
        ),
        ARTICLES: Handler(HERE / "article_handler.py", "lambda_handler", article),
    }


def _variables(url: str, made: dict[str, Any]) -> dict[str, str]:
    """Return our function's environment."""
    described = client("lambda", url).get_function(
        FunctionName=made["sign_in_function_arn"].rpartition(":")[2]
    )
    return dict(described["Configuration"]["Environment"]["Variables"])


def _event(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "password": password}


def _name() -> str:
    return f"user-{uuid.uuid4()}"


def _calls(handler: Handler, home: Path, url: str, known: str) -> dict[str, dict[str, int]]:
    """Count a warm function's Cognito calls by outcome, and the extra calls of a cold one."""
    events: dict[str, list[dict[str, str]]] = {
        "cold start": [],
        NEW: [_event(_name())],
        RETURNING: [_event(known)],
        REFUSED: [_event(known, WRONG)],
    }
    found = {}
    with PlayedAws(url, QUIET) as aws:
        for outcome, these in events.items():
            aws.new_run()
            # The first request is the cold one, by a returning user.
            handler.run(home, aws.url, [_event(known), *these])
            calls = count(aws.calls)
            found[outcome] = calls["write"] | calls["read"]
    cold = found.pop("cold start")
    warm = {
        outcome: {
            name: each[name] - cold.get(name, 0) for name in each if each[name] != cold.get(name, 0)
        }
        for outcome, each in found.items()
    }
    beside = {
        name: cold[name] - warm[RETURNING].get(name, 0)
        for name in cold
        if cold[name] != warm[RETURNING].get(name, 0)
    }
    return {**warm, "beside, at a cold start": beside}


def _times(handler: Handler, home: Path, url: str, known: list[str]) -> Iterator[tuple[str, float]]:
    """Yield the times measured in one new interpreter, in seconds."""
    # A right password precedes each wrong one: five wrong ones in a row would lock out the user.
    events = {
        RETURNING: [_event(name) for name in known],
        REFUSED: [_event(name, WRONG) for name in known],
        NEW: [_event(_name()) for _ in known],
    }
    flat = [event for these in events.values() for event in these]
    measured = handler.run(home, url, [_event(known[0]), *flat])
    cold, *warm = measured["requests"]
    yield "import", measured["import_s"]
    yield "first request", cold["seconds"]
    yield "import and first request", measured["import_s"] + cold["seconds"]
    for outcome in events:
        these, warm = warm[: len(known)], warm[len(known) :]
        if any(one["answer"] != ANSWERS[outcome] for one in these):
            # Only the expected outcome is worth measuring.
            raise BenchmarkError(f"{outcome}: a login had another outcome")
        yield f"warm, {outcome}", Times([one["seconds"] for one in these]).median
        http = [one["seconds"] - one["in_http_s"] for one in these]
        yield f"warm, {outcome}: outside of HTTP", Times(http).median
        own = [one["seconds"] - one["in_client_s"] for one in these]
        yield f"warm, {outcome}: own code", Times(own).median
