"""An HTTP server that gives fixed answers, and some answers of AWS's."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What the client gets."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """A server to which many clients connect at once."""

    daemon_threads = True
    # With Python's 5, a sixth that connects in the same moment tries again only after a second.
    request_queue_size = 128


class Fixed:
    """An HTTP server on the loopback address that records what it is sent."""

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[Request] = []
        fixed = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command, self.path, dict(self.headers), self.rfile.read(length)
                )
                fixed.requests.append(request)
                given = answer(request)
                body = given.body.encode()
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815 as it asks

            def log_message(self, *args: Any) -> None:
                del args

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            # Each connection does its own handshake, in its thread.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


ACCOUNT = "123456789012"
CALLER = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    f"<GetCallerIdentityResult><Account>{ACCOUNT}</Account><UserId>AIDA</UserId>"
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/ann</Arn></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>"
)
# What AWS answers when asked which stack owns the API.
STACK_ID = "8f1d2c9a-6d54-4c1e-9b57-0d0a5c1f3e21"
OWN_API = Answer(
    200,
    json.dumps(
        {
            "id": "api1",
            "name": "cogauth",
            "rootResourceId": "root",
            "tags": {"cogauth:stack": "cogauth", "cogauth:stack-id": STACK_ID},
        }
    ),
)


def asks_for_the_api(request: Request) -> bool:
    return request.method == "GET" and re.fullmatch("/restapis/[^/]+", request.path) is not None


def is_identity_call(request: Request) -> bool:
    return request.path == "/" and b"Action=GetCallerIdentity" in request.body


def answer(request: Request) -> Answer:
    """Answer as AWS does when asked who the caller is and whose the API is."""
    if is_identity_call(request):
        return Answer(200, CALLER)
    return OWN_API if asks_for_the_api(request) else Answer(404, "{}")
