"""How long the local AWS takes to start, to create a stack, and to sign in a user.

``python -m benchmarks.local --beside PYTHON`` compares it with the cogauth version installed for
another interpreter, alternating between the two in one run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import requests

from benchmarks.programs import Times, environment, folder, run

LOGINS = 20
ANN = {"username": "ann", "password": "Correct-Horse-7"}


def measure(ways: dict[str, str], runs: int) -> dict[str, dict[str, Times]]:
    """Measure each way, in turns.

    Args:
        ways: an interpreter with cogauth installed, by the name of the way.
        runs: the number of runs.

    Returns:
        The times, in seconds, by way and step.
    """
    found: dict[str, dict[str, Times]] = {way: {} for way in ways}
    # The first run isn't counted, because the disk cache is cold.
    for nth in range(runs + 1):
        for way, python in ways.items():
            for what, seconds in _one_run(python):
                if nth:
                    found[way].setdefault(what, Times()).all.append(seconds)
    return found


def _one_run(python: str) -> list[tuple[str, float]]:
    with folder() as home:
        cogauth = [python, "-P", "-m", "cogauth"]
        done = run([*cogauth, "up", "--local", "--json"], home, environment(home))
        times = [("cogauth up --local", done.seconds)]
        up = json.loads(done.out)
        with requests.Session() as client:
            for nth in range(LOGINS + 1):
                begun = time.monotonic()
                answer = client.post(up["sign_in_url"], json=ANN, timeout=60)
                assert answer.json()["status"] == "success", answer.text  # noqa: S101
                # The first login creates the user.
                if nth:
                    times.append(("POST /signin", time.monotonic() - begun))
            token = {"Authorization": answer.json()["id_token"]}
            for _ in range(LOGINS):
                begun = time.monotonic()
                client.get(up["protected_url"], headers=token, timeout=60).raise_for_status()
                times.append(("GET /hello", time.monotonic() - begun))
        done = run([*cogauth, "down", "--yes"], home, environment(home))
        return [*times, ("cogauth down", done.seconds)]


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.add_argument("--beside", metavar="PYTHON", help="interpreter with another cogauth")
    parser.add_argument("--runs", type=int, default=7, help="runs of each (default: %(default)s)")
    chosen = parser.parse_args()
    ways = {"this": sys.executable} | ({"other": chosen.beside} if chosen.beside else {})
    found = measure(ways, chosen.runs)
    for what in found["this"]:
        line = "  ".join(f"{way} {times[what].median:.4f} s" for way, times in found.items())
        if chosen.beside:
            line += f"  ratio {found['this'][what].median / found['other'][what].median:.3f}"
        print(f"{what:<20}{line}")  # noqa: T201 a program's own words


if __name__ == "__main__":
    main()
