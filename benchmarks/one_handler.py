"""Run one Lambda handler in its own interpreter, and print its times as JSON.

    python -P one_handler.py FILE NAME < REQUESTS

``REQUESTS`` is a JSON list of events; the output is
``{"import_s": …, "requests": [{"seconds": …, "in_client_s": …, "in_http_s": …, "answer": …}, …]}``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

# The botocore functions that a handler may use: for a whole call, or for parts of one.
LIBRARY = (
    ("botocore.client", "BaseClient", "_make_api_call"),
    ("botocore.auth", "SigV4Auth", "add_auth"),
    ("botocore.awsrequest", "AWSRequest", "prepare"),
    ("botocore.httpsession", "URLLib3Session", "send"),
)


class Clock:
    """Add up the time spent in a function, counting recursive calls once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def around(self, function: Any) -> Any:
        """Return the function with time measurement."""

        def measured(*words: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            self._depth += 1
            try:
                return function(*words, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - begun

        return measured


def main() -> None:
    """Import the handler, send it the requests, and print the times."""
    file, name = sys.argv[1:]
    events = json.load(sys.stdin)

    begun = time.perf_counter()
    # In Lambda, the files of a zip import each other by name.
    sys.path.insert(0, str(Path(file).parent))
    handler = getattr(importlib.import_module(Path(file).stem), name)
    import_s = time.perf_counter() - begun

    # Only patch modules that the handler has imported, so that our imports aren't measured.
    clients, http = Clock(), Clock()
    for module_name, class_name, method in LIBRARY:
        if module_name in sys.modules:
            owner = getattr(sys.modules[module_name], class_name)
            setattr(owner, method, clients.around(getattr(owner, method)))
    patched = False
    requests = []
    for event in events:
        if not patched and "urllib3.connectionpool" in sys.modules:
            pool = sys.modules["urllib3.connectionpool"].HTTPConnectionPool
            pool.urlopen = http.around(pool.urlopen)
            patched = True
        clients.seconds = http.seconds = 0.0
        # In Lambda, a handler's output goes to the log.
        with contextlib.redirect_stdout(io.StringIO()):
            begun = time.perf_counter()
            answer = handler(event, None)
            seconds = time.perf_counter() - begun
        requests.append(
            {
                "seconds": seconds,
                "in_client_s": clients.seconds,
                "in_http_s": http.seconds,
                "answer": {key: answer[key] for key in ("status", "is_new") if key in answer},
            }
        )
    print(json.dumps({"import_s": import_s, "requests": requests}))  # noqa: T201


if __name__ == "__main__":
    main()
