"""What a hostile API, network or environment can do to a request and its answer: nothing."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
import requests

from cogauth.client import transport
from cogauth.client.transport import DEEPEST, LARGEST, request, strict_json
from cogauth.errors import LoginError, UsageError
from support.servers import Answer, Fixed, Server
from support.sign_in_api import Api, login, refusal, success, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context
    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


@contextmanager
def serving(write: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            write(self)

        def log_message(self, *args: object) -> None:
            del args

    server = Server(("127.0.0.1", 0), Handler)
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


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(ctx: Context, api: Api, status: int) -> None:
    with Fixed(lambda _: success(token())) as elsewhere:
        api.sign_in = [Answer(status, "", {"Location": f"{elsewhere.url}/signin"})]
        assert f"answers HTTP {status}, which isn't an answer of the sign-in function" in refusal(
            ctx
        )
        assert elsewhere.requests == []
    assert len(api.sent("/signin")) == 1


def test_a_token_is_not_redirected_either(ctx: Context, api: Api) -> None:
    with Fixed(lambda _: Answer(200)) as elsewhere:
        api.with_token = [Answer(307, "", {"Location": f"{elsewhere.url}/hello"})]
        assert "answers 307, not 200" in login(ctx).problems[0]
        api.keys = Answer(302, "", {"Location": f"{elsewhere.url}/keys"})
        assert "public keys" in refusal(ctx)
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:80", "http://example.com", "http://127.0.0.1.example.com"]
)
def test_a_password_goes_in_clear_text_to_this_machine_only(ctx: Context, url: str) -> None:
    ctx.state.endpoint_url = url
    with pytest.raises(UsageError, match="in clear text"):
        login(ctx)


def test_a_proxy_or_netrc_of_the_environment_is_not_asked(
    ctx: Context, api: Api, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = cli.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Fixed(lambda _: Answer(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert login(ctx).problems == ()
        assert proxy.requests == []
    assert "Authorization" not in api.sent("/hello")[0].headers
