"""Who gets through the page's gate: played requests, and an application that answers all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from cogauth.page.gate import ENTERED, HEADERS, PROOF_HEADER, PageGate, PageSecrets

if TYPE_CHECKING:
    from starlette.types import Message

PORT = 8088


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_let_in(self) -> bool:
        return self.body == b"inside"


class Site:
    """A gate, and its browser."""

    def __init__(self) -> None:
        self.keys = PageSecrets(PORT)
        self.logged: list[str] = []
        # Whether the last answer may have the token.
        self.is_entered: object = False
        self.gate = PageGate(PlainTextResponse("inside"), self.keys, self.logged.append)

    @property
    def cookie(self) -> str:
        return f"cogauth-page-{PORT}={self.keys.cookie}"

    def ask(self, method: str = "GET", path: str = "/", **headers: str | None) -> Got:
        """Send a request of the page itself, with some headers changed, or without if None."""
        usual: dict[str, str | None] = {"host": f"127.0.0.1:{PORT}", "cookie": self.cookie}
        if method == "POST" or path.startswith("/api/"):
            usual |= {"x_cogauth_token": self.keys.token}
        if method == "POST":
            usual |= {"origin": f"http://127.0.0.1:{PORT}"}
        sent = [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in {**usual, **headers}.items()
            if value is not None
        ]
        return self.send(method, path, sent)

    def send(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Got:
        place, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": place,
            "headers": headers,
            "query_string": query.encode("latin-1"),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        self.is_entered = scope.get(ENTERED, False)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Got(sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:]))


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_pages_own_requests_are_let_in(site: Site) -> None:
    assert site.ask().is_let_in
    assert site.ask("HEAD").status == 200
    assert site.ask("POST", "/api/call").is_let_in
    assert site.ask(origin=site.keys.origin, sec_fetch_site="same-origin").is_let_in
    assert site.ask(cookie=f"theme=dark; {site.cookie}; a=b").is_let_in


@pytest.mark.parametrize(
    "changed",
    [
        {"cookie": None},
        {"cookie": "cogauth-page-8088="},
        {"cookie": "cogauth-page-8088=guess"},
        {"cookie": "cogauth-page-8089={cookie}"},
        {"cookie": "Cogauth-Page-8088={cookie}"},
        {"cookie": 'cogauth-page-8088="{cookie}x"'},
        {"cookie": "é=\xff; ;;="},
        {"host": None},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:80"},
        {"host": "127.0.0.1:80880"},
        {"host": "localhost:8088"},
        {"host": "rebound.example:8088"},
        {"host": "127.0.0.1:8088.rebound.example"},
        {"host": "127.0.0.1:8088@rebound.example"},
        {"host": " 127.0.0.1:8088"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:8089"},
        {"origin": "https://127.0.0.1:8088"},
        {"origin": "http://localhost:8088"},
        {"origin": "http://rebound.example:8088"},
        {"origin": "http://127.0.0.1:8088/"},
    ],
    ids=str,
)
def test_another_host_origin_or_cookie_is_refused(
    site: Site, changed: dict[str, str | None]
) -> None:
    filled = {
        name: value and value.replace("{cookie}", site.keys.cookie)
        for name, value in changed.items()
    }
    paths = ("/", "/static/page.js", "/api/stack", "/nothing", "//")
    for method, path in product(("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE"), paths):
        got = site.ask(method, path, **filled)
        assert (got.status, got.is_let_in) == (403, False)
        # Neither refusals nor the log tell a secret.
        for secret in (site.keys.cookie, site.keys.key, site.keys.token, site.keys.proof):
            assert secret not in f"{got} {site.logged}"


@pytest.mark.parametrize("token", [None, "", "guess", "\xe9"])
def test_what_concerns_the_stack_needs_the_token(site: Site, token: str | None) -> None:
    """Whoever listens on another port of 127.0.0.1 is sent the cookie, but not the token."""
    for method, path in (("POST", "/api/call"), ("GET", "/api/sessions"), ("HEAD", "/api/x")):
        assert site.ask(method, path, x_cogauth_token=token).status == 403
    assert site.ask("GET", "/static/page.js", x_cogauth_token=token).is_let_in


def test_what_changes_something_needs_the_origin(site: Site) -> None:
    assert site.ask("POST", "/api/call", origin=None).status == 403


@pytest.mark.parametrize("where", ["cross-site", "same-site", ""])
def test_another_site_may_only_lead_to_the_page(site: Site, where: str) -> None:
    for path in ("/api/stack", "/static/page.js"):
        assert site.ask("GET", path, sec_fetch_site=where).status == 403
    assert site.ask("GET", "/", sec_fetch_site=where).is_let_in


def test_a_header_given_twice_is_not_taken_for_the_right_one(site: Site) -> None:
    right = [(b"host", b"127.0.0.1:8088"), (b"cookie", site.cookie.encode())]
    assert site.send("GET", "/", right).is_let_in
    for name, value in ((b"host", b"rebound.example"), (b"origin", b"http://rebound.example")):
        for headers in ([*right, (name, value)], [(name, value), *right]):
            assert site.send("GET", "/", headers).status == 403


@pytest.mark.parametrize(
    "other",
    [
        *(
            'prefs={"a":1}',
            "a=hello world",
            "nameless",
            "path=x",
            "version=1",
            ";;",
            "=x",
            "a=\xe9",
        ),
        *("cogauth-page-8088=guess", "cogauth-page-8088"),
    ],
)
def test_other_ports_cookies_are_no_hindrance(site: Site, other: str) -> None:
    for cookie in (f"{other}; {site.cookie}", f"{site.cookie}; {other}"):
        assert site.ask(cookie=cookie).is_let_in
    assert site.ask(cookie=other).status == 403


def test_browsers_leave_out_the_port_of_http() -> None:
    site = Site()
    site.keys = site.gate.keys = PageSecrets(80)
    headers = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1")]
    assert site.send("GET", f"/?key={site.keys.key}", headers).is_let_in
    assert site.keys.url.startswith("http://127.0.0.1/?key=")


# The key


def test_the_key_is_good_for_one_request(site: Site) -> None:
    url = f"/?key={site.keys.key}"
    got = site.ask("GET", url, cookie=None)
    assert got.is_let_in
    assert got.headers["set-cookie"] == f"{site.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert site.is_entered
    again = site.ask("GET", url, cookie=None)
    assert (again.status, "set-cookie" in again.headers) == (403, False)
    assert b"Run 'cogauth page' again" in again.body
    # The browser that has the cookie may use the URL again, but its page gets no token.
    assert site.ask("GET", url).is_let_in
    assert not site.is_entered


@pytest.mark.parametrize(
    ("method", "path", "changed"),
    [
        ("GET", "/?key=KEY", {"host": "rebound.example"}),
        ("GET", "/?key=KEY", {"origin": "http://rebound.example"}),
        ("HEAD", "/?key=KEY", {}),
        ("POST", "/?key=KEY", {}),
        ("OPTIONS", "/?key=KEY", {}),
        ("GET", "/api/stack?key=KEY", {}),
        ("GET", "/?key=KEY&key=KEY", {}),
        ("GET", "/?key=KEYx", {}),
        ("GET", "/?key=", {}),
        ("GET", "/?KEY", {}),
    ],
)
def test_a_refused_request_does_not_use_the_key_up(
    site: Site, method: str, path: str, changed: dict[str, str]
) -> None:
    path = path.replace("KEY", site.keys.key)
    assert site.ask(method, path, cookie=None, **changed).status == 403
    assert site.ask("GET", f"/?key={site.keys.key}", cookie=None).is_let_in


def test_the_log_shows_neither_key_nor_cookie_nor_token(site: Site) -> None:
    site.ask("GET", f"/?key={site.keys.key}", cookie=None)
    site.ask("POST", "/api/sign-in")
    site.ask("GET", f"/api/users?search={site.keys.key}", host="rebound.example")
    assert site.logged == ["GET / 200", "POST /api/sign-in 200", "GET /api/users 403"]


def test_two_servers_and_two_runs_share_no_secret() -> None:
    one, other = PageSecrets(1), PageSecrets(2)
    assert len({one.key, one.cookie, one.token, other.key, other.cookie, other.token}) == 6
    assert one.cookie_name != other.cookie_name
    for secret in (one.key, one.cookie, one.token):
        assert secret not in repr(one)


# What every answer has


@pytest.mark.parametrize("let_in", [True, False])
def test_every_answer_has_the_headers_that_protect_the_page(site: Site, *, let_in: bool) -> None:
    got = site.ask() if let_in else site.ask(cookie=None)
    for name, value in HEADERS.items():
        assert got.headers[name.lower()] == value
    assert "default-src 'self'" in got.headers["content-security-policy"]
    assert "unsafe" not in got.headers["content-security-policy"]
    # Who isn't let in can't play this server to the page later.
    assert (got.headers.get(PROOF_HEADER) == site.keys.proof) == let_in


def test_a_websocket_gets_no_answer(site: Site) -> None:
    async def never(*_: Any) -> Any:
        pytest.fail("It was spoken to.")

    asyncio.run(site.gate({"type": "websocket", "path": "/", "headers": []}, never, never))


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "x"]),
    st.text(max_size=30),
    st.binary(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"origin", b"cookie", b"sec-fetch-site", b"x-cogauth-token"]),
            st.binary(max_size=60) | st.just(b"127.0.0.1:8088") | st.just(b"cogauth-page-8088=x"),
        )
    ),
)
def test_no_other_request_is_let_in(
    method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    site = Site()
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query}
    asyncio.run(site.gate({**scope, "headers": headers}, receive, send))
    assert sent[0]["status"] == 403
