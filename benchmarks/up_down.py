"""Part 1: ``up`` and ``down``, compared with their critical path, one thread, and the article."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.conditions import AWS
from benchmarks.critical_path import critical_path, needs_of_down, needs_of_up
from benchmarks.programs import (
    ARTICLE,
    COGAUTH,
    ONE_AFTER_ANOTHER,
    Times,
    count,
    environment,
    folder,
    local_aws,
    run,
)
from benchmarks.proxy import PlayedAws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.proxy import Call

COGAUTH_WAY, ARTICLE_WAY = "cogauth", "the article"
WAYS = {COGAUTH_WAY: COGAUTH, "one after another": ONE_AFTER_ANOTHER, ARTICLE_WAY: ARTICLE}


def measure(runs: int, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Call]]:
    """Run each way, in turns.

    Args:
        runs: the number of runs.
        say: called with progress messages.

    Returns:
        The measurements, and the calls of one ``up`` of cogauth.
    """
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"up": {}, "down": {}}
    drawn: list[Call] = []
    with local_aws() as upstream:
        for nth in range(runs):
            for way, program in WAYS.items():
                with PlayedAws(upstream) as aws, folder() as home:
                    say(f"up and down, run {nth + 1} of {runs}: {way}")
                    typed = ""
                    for command, words in _commands(way).items():
                        measured, typed = _measure(aws, home, [*program, *words], typed)
                        found[command].setdefault(way, []).append(measured)
                        if way == COGAUTH_WAY:
                            needs = needs_of_up() if command == "up" else needs_of_down()
                            path = critical_path(aws.calls, needs, AWS)
                            measured["critical_s"] = path.seconds
                            measured["chain"] = [[link.what, link.at] for link in path.chain]
                            if command == "up":
                                drawn = aws.calls
    summed = {
        command: {way: _sum(several) for way, several in ways.items()}
        for command, ways in found.items()
    }
    return {"runs": runs, **summed}, drawn


def _commands(way: str) -> dict[str, list[str]]:
    if way == ARTICLE_WAY:
        return {"up": ["up"], "down": ["down"]}
    return {"up": ["up", "--json"], "down": ["down", "--yes", "--json"]}


def _measure(
    aws: PlayedAws, home: Path, command: list[str], typed: str
) -> tuple[dict[str, Any], str]:
    aws.new_run()
    done = run(command, home, environment(home, aws.url), typed)
    begin, end = min(c.begin for c in aws.calls), max(c.end for c in aws.calls)
    measured = {"process_s": done.seconds, "calls_s": end - begin, "calls": count(aws.calls)}
    return measured, done.out


def _sum(several: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median times of several runs, and the other values of the median run."""
    middle = sorted(several, key=lambda one: one["process_s"])[(len(several) - 1) // 2]
    times = [key for key in middle if key.endswith("_s")]
    summed = {key: Times([one[key] for one in several]).median for key in times}
    rounded = [[what, round(at, 2)] for what, at in middle.get("chain", [])]
    return {
        **summed,
        "all_process_s": [round(one["process_s"], 2) for one in several],
        **({"chain": rounded} if rounded else {}),
        "calls": middle["calls"],
    }
