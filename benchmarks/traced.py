"""Run cogauth's command line in its own process, with each request marked with its resource.

A worker thread of cogauth has the name of its resource. This adds the thread's name to each request
as a header, after signing, for the proxy to record and remove.

    python -P traced.py [--workers N] COGAUTH'S WORDS…
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

import botocore

RESOURCE_HEADER = "X-Cogauth-Resource"  # as in proxy.py, which this process doesn't import


def _mark(**event: Any) -> None:
    event["request"].headers[RESOURCE_HEADER] = threading.current_thread().name


def main() -> None:
    """Run it; ``--workers`` is the number of worker threads."""
    botocore.register_initializer(lambda session: session.register("before-send", _mark))
    if sys.argv[1:2] == ["--workers"]:
        workers = int(sys.argv[2])
        del sys.argv[1:3]
        # Import only for --workers: normal runs import the engine when they need it.
        for name in ("cogauth.engine.graph", "cogauth.aws.parallel"):
            module: Any = importlib.import_module(name)
            module.WORKERS = workers
    from cogauth.cli import main as cogauth  # noqa: PLC0415 after the initializer is registered

    cogauth()


if __name__ == "__main__":
    main()
