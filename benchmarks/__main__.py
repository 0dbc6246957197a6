"""``python -m benchmarks``: measure, and write the results."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import attach, crowd, login, report, startup, unchanged, up_down
from benchmarks.timeline import timeline

PARTS = ("up-down", "startup", "login", "crowd", "attach", "unchanged")


def main() -> None:
    """Run the parts that are asked for."""
    chosen = _parse()
    if chosen.page:
        write_page(chosen.folder, json.loads((chosen.folder / "results.json").read_text()))
        return
    parts = chosen.parts or PARTS

    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": report.machine(),
        "played": report.conditions(),
    }
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if "up-down" in parts:
        results["up_down"], calls = up_down.measure(chosen.runs, say)
        title = f"cogauth up on a played AWS — {report.where(results)}"
        (chosen.folder / "timeline.svg").write_text(timeline(calls, title))
    if "startup" in parts:
        results["startup"] = startup.measure(chosen.starts, say, install_aws=chosen.install_aws)
    if "login" in parts:
        results["login"] = login.measure(chosen.interpreters, say)
    if "crowd" in parts:
        results["crowd"] = crowd.measure(say)
    if "attach" in parts:
        results["attach"] = attach.measure(say)
    if "unchanged" in parts:
        # They are those of this part if its figures are put beside others.
        measured = {name: results[name] for name in ("date", "machine")}
        results["unchanged"] = measured | unchanged.measure(chosen.rounds, say)
    (chosen.folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    write_page(chosen.folder, results)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast cogauth is, compared with the article's way, on a simulated AWS.",
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)} (default: all)"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of up and down, each way (default: %(default)s)"
    )
    parser.add_argument(
        "--starts",
        type=int,
        default=21,
        help="starts of each program in the start-up part (default: %(default)s)",
    )
    parser.add_argument(
        "--interpreters",
        type=int,
        default=9,
        help="new interpreters for each login handler (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=12,
        help="runs of up, plan and status each, of an unchanged stack (default: %(default)s)",
    )
    parser.add_argument(
        "--install-aws",
        action="store_true",
        help="install the AWS CLI for the start-up part, into a temporary folder",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(__file__).parent,
        help="folder for results.md, results.json and timeline.svg (default: this one)",
    )
    parser.add_argument(
        "--page", action="store_true", help="only write results.md from results.json"
    )
    chosen = parser.parse_args()
    if chosen.rounds < 2:  # noqa: PLR2004
        parser.error("--rounds: give at least 2, so that there is a spread")
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return chosen


def write_page(folder: Path, results: dict[str, Any]) -> None:
    """Write results as a page."""
    (folder / "results.md").write_text(report.markdown(results))
    say(f"written: {folder / 'results.md'}")


def say(what: str) -> None:
    """Print progress."""
    print(what, file=sys.stderr, flush=True)  # noqa: T201 a program's own output


if __name__ == "__main__":
    main()
