"""Runs cogauth's command line as a process of its own, each request marked with its resource.

A worker of cogauth bears the name of the resource that it works on; this puts the thread's name
into a header of each request, after it was signed, for the proxy to record and take off again.

    python -P traced.py [--workers N] COGAUTH'S WORDS…
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

import botocore

RESOURCE_HEADER = "X-Cogauth-Resource"  # as in proxy.py, which this process has no use for


def _mark(**event: Any) -> None:
    event["request"].headers[RESOURCE_HEADER] = threading.current_thread().name


def main() -> None:
    """Run it; ``--workers`` is how many threads may be at work at once."""
    botocore.register_initializer(lambda session: session.register("before-send", _mark))
    if sys.argv[1:2] == ["--workers"]:
        workers = int(sys.argv[2])
        del sys.argv[1:3]
        # Only here: a run as shipped imports the engine when it needs it.
        for name in ("cogauth.engine.graph", "cogauth.aws.parallel"):
            module: Any = importlib.import_module(name)
            module.WORKERS = workers
    from cogauth.cli import main as cogauth  # noqa: PLC0415 after the initializer is registered

    cogauth()


if __name__ == "__main__":
    main()
