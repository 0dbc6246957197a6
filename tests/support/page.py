"""The page of a stack: opened by the command, and used as its own browser's page does."""

from __future__ import annotations

import json
import re
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.forker import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.commands import Cli, Running


@dataclass
class Got:
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.document["error"]

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class OpenPage:
    """A page's server, and what its browser knows."""

    running: Running
    url: str
    cookie: str = ""
    token: str = ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key_path(self) -> str:
        """The path and query of the URL that works once."""
        return self.url.removeprefix(self.origin)

    @property
    def known(self) -> dict[str, str]:
        """The headers of the page's own requests that change something."""
        return {
            "Host": f"127.0.0.1:{self.port}",
            "Origin": self.origin,
            "Cookie": self.cookie,
            "X-Cogauth-Token": self.token,
            "Content-Type": "application/json",
        }

    def enter(self) -> Got:
        """Open the URL, as a browser does; keep the cookie and the token."""
        got = self.raw("GET", self.key_path, {"Host": f"127.0.0.1:{self.port}"})
        assert got.status == 200, got
        self.cookie = got.headers["set-cookie"].partition(";")[0]
        (self.token,) = re.findall(r'name="cogauth-token" content="([^"]+)"', got.body.decode())
        return got

    def raw(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Got:
        """Send exactly these headers."""
        with self.answer(method, path, headers, body) as answer:
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, found, answer.read())

    @contextmanager
    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Iterator[HTTPResponse]:
        """Send a request; yield its answer, of which the body may come bit by bit."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = {**headers, **({} if body is None else {"Content-Length": str(len(body))})}
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            yield connection.getresponse()
        finally:
            connection.close()

    def get(self, path: str) -> Got:
        return self.raw("GET", path, {k: v for k, v in self.known.items() if k != "Origin"})

    def post(self, path: str, /, **data: Any) -> Got:
        return self.raw("POST", path, self.known, json.dumps(data).encode())


@contextmanager
def opened(cli: Cli, *words: str, **env: str) -> Iterator[OpenPage]:
    """Run `page` until this ends, then end it by Ctrl-C's signal."""
    running = cli.spawn("page", "--no-browser", "--json", *words, **env)
    (line,) = re.findall(r"^\{.*\}$", running.see(r"\}\n"), re.MULTILINE)
    page = OpenPage(running, json.loads(line)["url"])
    try:
        yield page
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.ended()
