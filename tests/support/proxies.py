"""A proxy in front of a local AWS that strikes at one call."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from benchmarks.proxy import PassThrough
from support.forker import PATIENCE
from support.names import READS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.operations import Request
    from benchmarks.proxy import Answer


# In an API Gateway path these are followed by an id, which differs in each run.
PARENTS = ("restapis", "resources", "deployments", "authorizers")


@dataclass(frozen=True)
class Call:
    """A call, identified the same way in every run: its action, its resource and its number."""

    what: str
    nth: int

    def __str__(self) -> str:
        return self.what if self.nth == 1 else f"{self.what} ({self.nth})"


def what_of(method: str, path: str, headers: dict[str, str], body: bytes, stack: str) -> str | None:
    """Return what a mutating request does to what; None for reads and sign-ins."""
    target = headers.get("x-amz-target", "")
    if target or path == "/":
        fields = (
            json.loads(body) if target else {k: v[0] for k, v in parse_qs(body.decode()).items()}
        )
        operation = target.rpartition(".")[2] or fields["Action"]
        names = [fields[key] for key in ("logGroupName", "RoleName", "PolicyName") if key in fields]
        what = " ".join([operation, *names])
        return None if operation.startswith(READS) else what.replace(stack, "STACK")
    if method == "GET" or "/_user_request_" in path:
        return None
    parts = urlsplit(path).path.split("/")
    for place in range(1, len(parts)):
        if parts[place - 1] in PARENTS:
            parts[place] = "*"
    what = f"{method} {'/'.join(parts)}"
    if method == "POST":
        given = json.loads(body or b"{}")
        names = [given[key] for key in ("FunctionName", "pathPart", "StatementId") if key in given]
        what = " ".join([what, *names])
    return what.replace(stack, "STACK")


@dataclass
class Strike:
    """What happens at one call, and when: before it reaches the server, or after."""

    call: Call
    when: str  # "before" or "after"
    do: Callable[[], bool]  # says whether the call continues


class Proxy(PassThrough):
    """Forwards every request, and records the mutating calls."""

    patience_s = PATIENCE

    def __init__(self, upstream: str, stack: str, strike: Strike | None = None) -> None:
        super().__init__(upstream)
        self.stack = stack
        self.strike = strike
        # What every mutating call waits for before it is forwarded.
        self.hold: Gate | None = None
        self.seen: list[Call] = []
        # Errors in request handlers, which the tests must see.
        self.broken: list[BaseException] = []
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Answer | None:
        headers = {name.lower(): value for name, value in request.headers}
        what = what_of(request.method, request.path, headers, request.body, self.stack)
        strike = None
        if what is not None:
            with self._lock:
                call = Call(what, 1 + sum(call.what == what for call in self.seen))
                self.seen.append(call)
                if self.strike is not None and self.strike.call == call:
                    strike, self.strike = self.strike, None
        if what is not None and self.hold is not None:
            self.hold()
        if strike and strike.when == "before" and not self._do(strike):
            return None
        answer = self.ask(request)
        if strike and strike.when == "after" and not self._do(strike):
            return None
        return answer

    def _do(self, strike: Strike) -> bool:
        try:
            return strike.do()
        except BaseException as error:
            self.broken.append(error)
            raise


@dataclass
class Gate:
    """Holds a call until the test lets it continue or drops it."""

    reached: threading.Event = field(default_factory=threading.Event)
    verdict: Future[bool] = field(default_factory=Future)

    def __call__(self) -> bool:
        self.reached.set()
        return self.verdict.result(PATIENCE)

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE), "the call was never made"
