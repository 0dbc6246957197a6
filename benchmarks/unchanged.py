"""Part 6: ``up``, ``plan`` and ``status`` of one stack that is as wanted, in turns."""

from __future__ import annotations

import itertools
import os
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.conditions import AWS, QUIET
from benchmarks.programs import COGAUTH, Times, count, environment, folder, local_aws, run
from benchmarks.proxy import PlayedAws

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.conditions import Conditions
    from benchmarks.proxy import Call

UP = "up"
COMMANDS = (UP, "plan", "status")
TIMES = ("process_s", "calls_s")


def measure(
    rounds: int, say: Callable[[str], None], conditions: Conditions = AWS
) -> dict[str, Any]:
    """Run each command once in every round, in another order each time.

    Args:
        rounds: the number of rounds, at least 2.
        say: called with progress messages.
        conditions: the conditions to simulate.
    """
    load = round(os.getloadavg()[0], 1)
    found: dict[str, list[dict[str, Any]]] = {command: [] for command in COMMANDS}
    with local_aws() as upstream, PlayedAws(upstream, QUIET) as aws, folder() as home:
        say("up, plan and status of an unchanged stack: create it")
        _run(aws, home, UP)
        aws.conditions = conditions
        orders = itertools.cycle(itertools.permutations(COMMANDS))
        for nth, order in enumerate(itertools.islice(orders, rounds), 1):
            say(f"round {nth} of {rounds}: {', '.join(order)}")
            for command in order:
                found[command].append(_run(aws, home, command))
    return {"rounds": rounds, "load": load, **summary(found)}


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return each command's median times and calls, and how its times compare with those of ``up``.

    Args:
        found: by command, the measurements of each round.
    """
    return {
        "commands": {command: _sum(several) for command, several in found.items()},
        "ratios": {
            command: {time: _ratios(several, found[UP], time) for time in TIMES}
            for command, several in found.items()
            if command != UP
        },
    }


def _run(aws: PlayedAws, home: Path, command: str) -> dict[str, Any]:
    aws.new_run()
    done = run([*COGAUTH, command, "--json"], home, environment(home, aws.url))
    begin, end = min(c.begin for c in aws.calls), max(c.end for c in aws.calls)
    return {
        "process_s": done.seconds,
        "calls_s": end - begin,
        "calls": count(aws.calls),
        "again": again(aws.calls),
    }


def again(calls: Sequence[Call]) -> int:
    """Return how many reads ask for what another one had asked for."""
    reads = [call for call in calls if call.kind == "read"]
    different = {(str(c.operation), *sorted(c.operation.about.items())) for c in reads}
    return len(reads) - len(different)


def _sum(several: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median times of several runs, the most calls, and all times."""
    most = max(several, key=lambda one: sum(sum(kind.values()) for kind in one["calls"].values()))
    return {
        **{time: Times([one[time] for one in several]).median for time in TIMES},
        **{f"all_{time}": [round(one[time], 2) for one in several] for time in TIMES},
        "calls": most["calls"],
        "again": max(one["again"] for one in several),
    }


def _ratios(
    several: list[dict[str, Any]], ups: list[dict[str, Any]], time: str
) -> dict[str, float]:
    """Return a command's time as a share of the ``up`` in its round: median and quartiles."""
    ratios = [one[time] / up[time] for one, up in zip(several, ups, strict=True)]
    first, _, third = quantiles(ratios, n=4, method="inclusive")
    shares = {"median": median(ratios), "first quartile": first, "third quartile": third}
    return {name: round(share, 3) for name, share in shares.items()}
