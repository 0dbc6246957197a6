"""A proxy on 127.0.0.1 in front of a local AWS that simulates latencies and transient errors.

``PassThrough`` passes on each request unchanged; ``PlayedAws`` takes as long as AWS does,
refuses what AWS would refuse, and records every call.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from benchmarks.conditions import AWS, FIRST_ERROR, Account, Conditions
from benchmarks.operations import Operation, Request, operation_of

if TYPE_CHECKING:
    from collections.abc import Callable

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
# traced.py adds this header to a request, to record which of cogauth's resources it is for.
RESOURCE_HEADER = "X-Cogauth-Resource"


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PassThrough:
    """Pass on every request; a subclass may inspect, answer or refuse it."""

    patience_s = 60.0

    def __init__(self, upstream: str) -> None:
        """Prepare without listening yet.

        Args:
            upstream: the URL of the server behind it.
        """
        self.upstream = upstream
        # The number of open connections.
        self._open = 0
        self._closed = threading.Condition()

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                answer = proxy.handle(
                    Request(self.command, self.path, list(self.headers.items()), body)
                )
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any  # noqa: N815 as it asks

            def log_message(self, *args: Any) -> None:
                del args

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request: Any, client_address: Any) -> None:
                with proxy._closed:
                    proxy._open += 1
                super().process_request(request, client_address)

            def shutdown_request(self, request: Any) -> None:
                super().shutdown_request(request)
                with proxy._closed:
                    proxy._open -= 1
                    proxy._closed.notify_all()

            def handle_error(self, *_: object) -> None:
                """Print nothing about a killed client."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def drain(self) -> bool:
        """Wait until the last requests of ended clients are complete.

        Returns:
            Whether that happened within this proxy's patience.
        """
        # Connections are accepted in order, so all earlier ones are open once this one is.
        last = HTTPConnection(urlsplit(self.url).netloc, timeout=self.patience_s)
        last.connect()
        last.close()
        with self._closed:
            return self._closed.wait_for(lambda: self._open == 0, self.patience_s)

    def handle(self, request: Request) -> Answer | None:
        """Return the answer to a request; None hangs up without one."""
        return self.ask(request)

    def ask(self, request: Request) -> Answer:
        """Pass on a request, and return the server's answer."""
        server = HTTPConnection(urlsplit(self.upstream).netloc, timeout=self.patience_s)
        try:
            server.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            # Keep the Host header, because the request's signature includes it.
            for name, value in request.headers:
                if name.lower() not in HOP_BY_HOP:
                    server.putheader(name, value)
            server.putheader("Content-Length", str(len(request.body)))
            server.endheaders(request.body)
            response = server.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            server.close()


@dataclass(frozen=True)
class Call:
    """A recorded call.

    Attributes:
        operation: the operation and its recorded parameters.
        begin, end: seconds since the run's start.
        status: the HTTP status.
        error: AWS's error code, or None.
        awaits: what the caller has to wait for, or None: ``role``, ``pending``, ``rate`` or
            ``conflict``.
        resource: the cogauth resource that it was made for, if the caller named one.
    """

    operation: Operation
    begin: float
    end: float
    status: int
    error: str | None = None
    awaits: str | None = None
    resource: str = ""

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.begin

    @property
    def kind(self) -> str:
        """``read``, ``write`` or ``refused``; polling for something new is a read."""
        if self.awaits is not None and self.error is not None:
            return "refused"
        return "read" if self.operation.reads else "write"

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "operation": str(self.operation),
            "about": self.operation.about,
            "begin": round(self.begin, 4),
            "end": round(self.end, 4),
            "status": self.status,
            "error": self.error,
            "awaits": self.awaits,
            "resource": self.resource,
        }


class PlayedAws(PassThrough):
    """A local AWS that is as slow as AWS and refuses like AWS; it records all calls."""

    def __init__(
        self,
        upstream: str,
        conditions: Conditions = AWS,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare without listening yet.

        Args:
            upstream: the local AWS's URL.
            conditions: the latencies and transient errors.
            now: the clock, in seconds.
            sleep: waits, in that clock's seconds.
        """
        super().__init__(upstream)
        self.conditions = conditions
        self._now, self._sleep = now, sleep
        self._lock = threading.Lock()
        self.new_run()

    def new_run(self) -> None:
        """Forget all calls, and start again with a rested account and a new clock."""
        self.account = Account(self.conditions)
        self.calls: list[Call] = []
        self._begun = self._now()

    def handle(self, request: Request) -> Answer | None:
        """Answer like AWS, and as late as AWS."""
        begin = self._now()
        request, resource = _without_resource(request)
        operation = operation_of(request)
        if operation is None:
            return self.ask(request)
        with self._lock:
            refusal = self.account.begin(operation, begin)
        if refusal is None:
            answer = self.ask(request)
            seconds = self.conditions.latency(operation)
        else:
            answer = Answer(refusal.status, *refusal.document())
            seconds = self.conditions.refused_after(refusal.awaits, operation)
        self._sleep(max(0.0, begin + seconds - self._now()))
        with self._lock:
            end = self._now()
            awaits = refusal.awaits if refusal else None
            if refusal is None:
                body, awaits = self.account.end(operation, answer.status, answer.body, begin, end)
                answer = Answer(answer.status, answer.headers, body)
            self.calls.append(
                Call(
                    operation=operation,
                    begin=begin - self._begun,
                    end=end - self._begun,
                    status=answer.status,
                    error=_error_of(answer),
                    awaits=awaits,
                    resource=resource,
                )
            )
        return answer


def _without_resource(request: Request) -> tuple[Request, str]:
    mine = [value for name, value in request.headers if name.lower() == RESOURCE_HEADER.lower()]
    others = [one for one in request.headers if one[0].lower() != RESOURCE_HEADER.lower()]
    return replace(request, headers=others), mine[0] if mine else ""


def _error_of(answer: Answer) -> str | None:
    if answer.status < FIRST_ERROR:
        return None
    headers = {name.lower(): value for name, value in answer.headers}
    found = headers.get("x-amzn-errortype") or headers.get("x-amzn-query-error")
    return found.partition(":")[0].partition(";")[0] if found else _code_in(answer.body)


def _code_in(body: bytes) -> str:
    """Return the error code in a JSON or XML body."""
    if body[:1] == b"{":
        document = json.loads(body)
        return str(document.get("__type") or document.get("code") or "").rpartition("#")[2]
    found = re.search(rb"<Code>([^<]+)</Code>", body)
    return found[1].decode() if found else ""
