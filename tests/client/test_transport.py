"""What a hostile API can do with the size, the time and the nesting of its answers: nothing."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests

from cogauth.client import transport
from cogauth.client.transport import DEEPEST, LARGEST, request, strict_json
from cogauth.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def serving(write: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            write(self)

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_that_is_larger_than_it_looks_is_broken_off() -> None:
    small = gzip.compress(bytes(4 * LARGEST))

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(small)))
        handler.end_headers()
        handler.wfile.write(small)

    with (
        serving(write) as url,
        requests.Session() as http,
        pytest.raises(LoginError, match=f"answered more than {LARGEST} bytes"),
    ):
        request(http, "GET", url)


def test_an_answer_that_never_ends_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LONGEST_S", 0.2)
    over = threading.Event()

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.end_headers()
        while not over.wait(0.02):
            try:
                handler.wfile.write(b".")
            except OSError:
                return

    with serving(write) as url, requests.Session() as http:
        with pytest.raises(LoginError, match="didn't finish its answer within"):
            request(http, "GET", url)
        over.set()


def test_an_answer_is_whole() -> None:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_header("Content-Length", "200000")
        handler.end_headers()
        handler.wfile.write(b"ab" * 100_000)

    with serving(write) as url, requests.Session() as http:
        assert request(http, "GET", url).content == b"ab" * 100_000


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_json_is_nested_so_deeply_and_no_deeper(begin: str, end: str) -> None:
    deepest = f"{begin * DEEPEST}1{end * DEEPEST}"
    assert json.dumps(strict_json(deepest), indent=2)
    for depth in (DEEPEST + 1, 900, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            strict_json(f"{begin * depth}1{end * depth}")
