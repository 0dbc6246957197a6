"""Write the results as a Markdown page; the JSON file has the raw measurements."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.conditions import AWS
from benchmarks.critical_path import BEFORE
from benchmarks.goals import PARTS, goals, growing, to_path
from benchmarks.login import OURS
from benchmarks.unchanged import TIMES
from benchmarks.up_down import ARTICLE_WAY, COGAUTH_WAY
from cogauth import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAYED = (
    "No call went to AWS: it is played by a local AWS (ministack {ministack}) behind a proxy that "
    "adds latencies and transient errors. What that can and can't show is in "
    "[README.md](README.md), each figure's source in [conditions.py](conditions.py). Times are in "
    "seconds, medians where there were several runs."
)
LOGIN_TIMES = (
    "Times in milliseconds, without any latency added, on this machine and not on Lambda: medians "
    "of {runs} fresh interpreters of each, in turns, with {warm_requests} warm requests of each "
    "outcome. *Own code* is the handler's time outside of botocore, which signs and sends its "
    "requests, or makes the whole call; *outside of HTTP* has botocore's own time in it too."
)
ATTACH = (
    "The bound has the calls that attaching can't do without, each as early as it is allowed: "
    "writes to one API take turns, and no call comes before its rates allow it. *As AWS* has the "
    "latencies and rates of the table; *rates alone* has calls that are answered at once."
)
UNCHANGED = (
    "One stack that is as wanted; {rounds} rounds, each with one run of each command, in another "
    "order each time. The machine's load average was {load} when they began. Times are "
    "medians. A ratio is that of the times in one round: the median, and in brackets the quartiles."
)
CROWD = (
    "Calls in an account that holds so many REST APIs, pools and functions of others. What isn't "
    "listed is the same in all."
)


def machine() -> dict[str, str | int]:
    """Describe this machine and its programs, without its owner or name."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "botocore": version("botocore"),
        "ministack": version("ministack"),
        "cogauth": __version__,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def where(results: Mapping[str, Any]) -> str:
    """Return a line about the machine and the date of the measurements."""
    on = results["machine"]
    cores = "1 core" if on["cores"] == 1 else f"{on['cores']} cores"
    return f"{on['processor']}, {cores}, {on['system']}, Python {on['python']}; {results['date']}"


def conditions() -> dict[str, Any]:
    """Return the simulated latencies and transient errors, with their sources."""
    return {
        "latencies": [
            {"what": row.what, "seconds": row.seconds, "source": row.source}
            for row in AWS.latencies
        ],
        "role_assumable_s": AWS.role_assumable_s,
        "function_pending_s": AWS.function_pending_s,
        "rates": [
            {
                "calls": ", ".join(rate.names) or "all of API Gateway's together",
                "per_second": round(rate.per_second, 4),
                "burst": rate.burst,
                "source": rate.source,
            }
            for rate in AWS.rates
        ],
    }


def markdown(results: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        results: the measurements by part; missing parts get no section.
    """
    on, measured = results["machine"], f"Measured on {where(results)}"
    lines = [
        "# Benchmarks",
        "",
        f"{measured}; cogauth {on['cogauth']}, botocore {on['botocore']}.{_elsewhere(results)}",
        "",
        PLAYED.format(**on),
        "",
    ]
    sections = dict(
        zip(PARTS, (_up_down, _startup, _login, _crowd, _attach, _unchanged), strict=True)
    )
    if met := goals(results):
        lines += ["## Goals", "", *_table(("goal", "measured", "met"), met), ""]
    for part, section in sections.items():
        if part in results:
            lines += section(results[part])
    return "\n".join(lines)


def summary(results: Mapping[str, Any]) -> str:
    """Return the summary for the project's README: the goals, and a comparison of the ways.

    Args:
        results: the measurements of all parts.
    """
    return "\n".join(
        [
            f"Measured on {where(results)}.{_elsewhere(results)}",
            "",
            *_table(("goal", "measured", "met"), goals(results)),
            "",
            *(line for command in ("up", "down") for line in _ways(command, results["up_down"])),
        ]
    )


def _elsewhere(results: Mapping[str, Any]) -> str:
    """Return a sentence for each part that was measured on another machine or day."""
    own = {part: results[part] for part in PARTS if "machine" in results.get(part, {})}
    return "".join(
        f" The part `{part}` was measured on {where(found)}."
        for part, found in own.items()
        if where(found) != where(results)
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return a table whose columns after the first are numbers."""
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([str(x) for x in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _up_down(found: Mapping[str, Any]) -> list[str]:
    lines = ["## `up` and `down`", ""]
    lines += [f"Medians; runs of each, in turns: {found['runs']}.", ""]
    for command in ("up", "down"):
        lines += _ways(command, found)
        steps = _chain(found[command])
        chain = " → ".join(f"{what.replace('_', ' ')} {at:.1f}" for what, at in steps)
        lines += [f"The critical path of `{command}`, and when each link could end: {chain} s.", ""]
    lines += ["![What ran when in one `up`](timeline.svg)", "", "### Calls", ""]
    for command in ("up", "down"):
        lines += [f"`{command}`:", "", *_calls(found[command]), ""]
    return lines


def _ways(command: str, found: Mapping[str, Any]) -> list[str]:
    """Return a table that compares the ways of ``up`` or ``down``, in seconds."""
    ways = found[command]
    article = ways[ARTICLE_WAY]["process_s"]
    rows = [
        (
            way,
            f"{one['process_s']:.2f}",
            f"{one['calls_s']:.2f}",
            f"{one['critical_s']:.2f}" if "critical_s" in one else "",
            f"{to_path(one):.2f}" if "critical_s" in one else "",
            f"{one['process_s'] / article:.2f}",
            sum(sum(counts.values()) for counts in one["calls"].values()),
        )
        for way, one in ways.items()
    ]
    head = (
        *(f"`{command}`, in seconds", "whole process", "first call to last answer"),
        *("critical path", "calls / path", "process / article's", "number of calls"),
    )
    return [*_table(head, rows), ""]


def _chain(ways: Mapping[str, Any]) -> list[tuple[str, float]]:
    words = {BEFORE: "looking what stands"}
    return [(words.get(what, what), at) for what, at in ways[COGAUTH_WAY]["chain"]]


def _calls(ways: Mapping[str, Any]) -> list[str]:
    """Return a table of each way's calls, with writes and reads apart."""
    rows: list[list[object]] = []
    titles = {"write": "change", "read": "read", "refused": "refused, tried again"}
    for kind, title in titles.items():
        names = sorted({name for one in ways.values() for name in one["calls"][kind]})
        counts = [[one["calls"][kind].get(name, 0) for one in ways.values()] for name in names]
        total = [sum(column) for column in zip(*counts, strict=True)] or [0] * len(ways)
        rows.append([f"**{title}**", *(f"**{each}**" for each in total)])
        rows += [[name, *row] for name, row in zip(names, counts, strict=True)]
    return _table(("", *ways), rows)


def _startup(found: Mapping[str, Any]) -> list[str]:
    rows = [(f"`{name}`", f"{seconds:.3f}") for name, seconds in found["seconds"].items()]
    return [
        "## Start-up",
        "",
        f"Medians; runs of each, in turns: {found['runs']}.",
        "",
        *_table(("", "seconds"), rows),
        "",
    ]


def _login(found: Mapping[str, Any]) -> list[str]:
    ways = list(found["calls"])
    outcomes = list(found["calls"][OURS])
    calls = [
        (
            outcome,
            *(
                ", ".join(
                    f"{number} {name.partition(':')[2]}"
                    for name, number in found["calls"][way][outcome].items()
                )
                or "none"
                for way in ways
            ),
        )
        for outcome in outcomes
    ]
    names = list(found["seconds"][OURS])
    times = [
        (name, *(f"{1000 * found['seconds'][way][name]:.2f}" for way in ways)) for name in names
    ]
    return [
        "## Login",
        "",
        "Cognito calls of a warm function:",
        "",
        *_table(("", *ways), calls),
        "",
        LOGIN_TIMES.format(**found),
        "",
        *_table(("", *ways), times),
        "",
    ]


def _crowd(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## In an account full of other people's things",
        "",
        CROWD,
        "",
    ]
    for command, sizes in found.items():
        more = growing(sizes)
        rows: list[list[object]] = [["all calls", *(_total(each) for each in sizes.values())]]
        rows += [[name, *numbers] for name, numbers in more.items()]
        lines += [*_table((f"`{command}`", *sizes), rows), ""]
    return lines


def _attach(found: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            f"{size} methods, {way}",
            f"{one['process_s']:.2f}",
            f"{one['calls_s']:.2f}",
            f"{one['bound_s']:.2f}",
            f"{one['calls_s'] / one['bound_s']:.2f}",
            sum(sum(counts.values()) for counts in one["calls"].values()),
            sum(one["calls"]["refused"].values()),
        )
        for way, sizes in found.items()
        for size, one in sizes.items()
    ]
    head = (
        *("`attach`", "whole process", "first call to last answer", "bound", "calls / bound"),
        *("calls", "refused"),
    )
    return ["## `attach`", "", ATTACH, "", *_table(head, rows), ""]


def _unchanged(found: Mapping[str, Any]) -> list[str]:
    commands = found["commands"]
    rows = [
        (
            f"`{command}`",
            f"{one['process_s']:.2f}",
            f"{one['calls_s']:.2f}",
            *(_share(found["ratios"].get(command), time) for time in TIMES),
            _total(one["calls"]),
            one["again"],
        )
        for command, one in commands.items()
    ]
    head = (
        *("", "whole process", "first call to last answer", "process / `up`'s"),
        *("calls / `up`'s", "number of calls", "repeated"),
    )
    return [
        "## `up`, `plan` and `status` of an unchanged stack",
        "",
        UNCHANGED.format(**found),
        "",
        *_table(head, rows),
        "",
        *_calls(commands),
        "",
    ]


def _share(ratios: Mapping[str, Any] | None, time: str) -> str:
    if ratios is None:
        return ""
    median, first, third = ratios[time].values()
    return f"{median:.2f} ({first:.2f} to {third:.2f})"


def _total(counts: Mapping[str, Mapping[str, int]]) -> int:
    return sum(sum(each.values()) for each in counts.values())
