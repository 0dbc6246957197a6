"""The page's server: which address answers what, on this machine alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from cogauth.errors import UsageError
from cogauth.page import actions, shown, streams
from cogauth.page.gate import ENTERED, HOST, PageGate, PageSecrets
from cogauth.page.picture import STYLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from starlette.requests import Request

    from cogauth.page.stack import Stack

    Endpoint = Callable[[Request], Awaitable[Response]]

STATIC = Path(__file__).with_name("static")
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# API Gateway takes no larger body, in bytes.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
LARGEST = 10 * 1024 * 1024
# By the code of an error: the stack isn't as the request needs it; all other codes but these and
# "usage" mean that AWS or the API refused, or can't be reached.
STATUSES = {
    "usage": 400,
    "defect": 500,
    **dict.fromkeys(("no_stack", "incomplete", "state", "state_damaged", "state_newer"), 409),
    **dict.fromkeys(("locked", "name_conflict", "not_owned"), 409),
    "interrupted": 503,
}
# The longest text of a search, and how many pages of users may be asked for.
LONGEST_SEARCH, MOST_PAGES = 128, 100
# Requests aren't logged: anyone may send some, and they would fill the command's output.
QUIET: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {
        name: {"handlers": ["none"], "propagate": False} for name in ("uvicorn", "asyncio")
    },
}
# How long a connection may be open before its first request, in seconds, and how many may be.
PATIENCE_S, MOST_CONNECTIONS = 10, 200
# How long answers in progress may take when the server ends, in seconds.
END_S = 3

SHOWN: dict[str, Callable[[Stack], dict[str, Any]]] = {
    "stack": shown.stack,
    "status": shown.status,
    "sessions": shown.sessions,
    "methods": shown.methods,
}
ACTIONS: dict[str, Callable[[Stack, Mapping[str, Any]], dict[str, Any]]] = {
    "sign-in": actions.sign_in_or_up,
    "renew": actions.renew,
    "sign-out": actions.sign_out,
    "call": actions.call,
    "curl": actions.curl,
    "explain": actions.explain,
    "users/create": actions.create_user,
    "users/disable": actions.disable_user,
    "users/enable": actions.enable_user,
    "users/delete": actions.delete_user,
}


def application(of: Stack, keys: PageSecrets, log: Callable[[str], None]) -> PageGate:
    """Return the page's application, for the browser that has the key."""
    get = partial(Route, methods=["GET"])
    post = partial(Route, methods=["POST"])
    return PageGate(
        Starlette(
            routes=[
                get("/", partial(_index, keys)),
                get("/favicon.ico", partial(_file, "favicon.svg")),
                *(get(f"/static/{name}", partial(_file, name)) for name in _names()),
                *(get(f"/api/{name}", _asked(of, show)) for name, show in SHOWN.items()),
                get("/api/users", _users(of)),
                *(post(f"/api/{name}", _told(of, act)) for name, act in ACTIONS.items()),
                get("/api/logs", _stream(of, streams.logs)),
                post("/api/verify", _stream(of, streams.verify)),
            ]
        ),
        keys,
        log,
    )


def _names() -> list[str]:
    return [STYLE.name, *sorted(path.name for path in STATIC.iterdir() if path.suffix in KINDS)]


async def _index(keys: PageSecrets, request: Request) -> Response:
    page = Template((STATIC / "index.html").read_text(encoding="utf-8"))
    # Only once: the cookie alone may be anyone's who listens on another port.
    is_new = request.scope.get(ENTERED, False)
    token, proof = (keys.token, keys.proof) if is_new else ("", "")
    return HTMLResponse(page.substitute(token=token, proof=proof))


async def _file(name: str, _request: Request) -> Response:
    path = STYLE if name == STYLE.name else STATIC / name
    return Response(path.read_bytes(), media_type=KINDS[path.suffix])


def _asked(of: Stack, show: Callable[[Stack], dict[str, Any]]) -> Endpoint:
    """Return the endpoint that shows something."""

    async def endpoint(_request: Request) -> Response:
        return await _answer(of, partial(show, of))

    return endpoint


def _users(of: Stack) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        search, pages = (request.query_params.get(name, "") for name in ("search", "pages"))
        count = int(pages) if pages.isdecimal() and len(pages) <= len(str(MOST_PAGES)) else 1
        show = partial(shown.list_users, of, search[:LONGEST_SEARCH], min(count, MOST_PAGES))
        return await _answer(of, show)

    return endpoint


def _told(of: Stack, act: Callable[[Stack, Mapping[str, Any]], dict[str, Any]]) -> Endpoint:
    """Return the endpoint that does something, with the JSON of the request."""

    async def endpoint(request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    return _error(of, UsageError(f"The request is larger than {LARGEST} bytes."))
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            return _error(of, UsageError("The request isn't a JSON object."))
        return await _answer(of, partial(act, of, data))

    return endpoint


def _stream(of: Stack, work: streams.Work) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return StreamingResponse(streams.lines(work, of), media_type="application/x-ndjson")

    return endpoint


async def _answer(of: Stack, work: Callable[[], dict[str, Any]]) -> Response:
    """Do some work in a thread, and return its result or its error."""

    def run() -> Response:
        try:
            return _json(work())
        except BaseException as error:  # noqa: BLE001 also the KeyboardInterrupt of a stop
            return _error(of, error)

    return await run_in_threadpool(run)


def _error(of: Stack, error: BaseException) -> Response:
    found = of.error_json(error)
    if found["code"] in {"unreachable", "credentials"}:
        of.lose()
    return _json({"error": found}, STATUSES.get(str(found["code"]), HTTPStatus.BAD_GATEWAY))


def _json(document: dict[str, Any], status: int = 200) -> Response:
    # Values of AWS's may be times.
    text = json.dumps(document, ensure_ascii=False, default=str)
    # A lone surrogate can't be sent.
    return Response(text.encode(errors="replace"), status, media_type="application/json")


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port of this machine, or on any free one for 0; raise UsageError if that fails.

    The kernel keeps connections until ``serve`` accepts them.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"--port {port} can't be used: {os.strerror(error.errno or 0)}.",
            hint="Give another port, or leave it out: then any free port is used.",
        ) from error
    with listener:
        # Otherwise small answers wait 40 ms for the browser to acknowledge. Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def serve(
    of: Stack,
    keys: PageSecrets,
    listener: socket.socket,
    log: Callable[[str], None],
    early: Collection[int],
) -> None:
    """Serve the page until SIGINT, SIGTERM or SIGHUP; then end what is in progress.

    ``early`` has the signals that came before; the caller's handlers may still add some.
    """
    asyncio.run(_serve(of, keys, listener, log, early))


async def _serve(
    of: Stack,
    keys: PageSecrets,
    listener: socket.socket,
    log: Callable[[str], None],
    early: Collection[int],
) -> None:
    config = uvicorn.Config(
        application(of, keys, log),
        log_config=QUIET,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="none",
        http=_Connection,
        timeout_graceful_shutdown=END_S,
    )
    server = _Server(config)

    def end() -> None:
        server.should_exit = True
        of.end()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ignored from the start, by nohup or by a shell that runs us in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end)
    if early:
        end()
    await server.serve(sockets=[listener])


class _Connection(H11Protocol):
    """A connection that is closed unless it is used: anyone on this machine may open some."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there aren't too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self.loop.call_later(PATIENCE_S, self._close_unused)

    def _close_unused(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to ``_serve``, which ends the work in progress, too."""
        yield
