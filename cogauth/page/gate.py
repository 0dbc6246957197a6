"""Who may use the page: the browser that was given its URL, and no other program or site.

Every program of this machine can reach a port of 127.0.0.1, and every site that a browser shows can
send requests to it. So a request needs a cookie, and the cookie needs the key in the URL. A browser
sends the cookie to each port of 127.0.0.1, whoever listens there. So all that concerns the stack
also needs the token, which is only in the page that the key got, and which a browser keeps by port.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST, HTTP_PORT = "127.0.0.1", 80
TOKEN_HEADER = "x-cogauth-token"  # noqa: S105 a header's name
PROOF_HEADER = "x-cogauth-proof"
# In the scope of the request that brought the key: its answer has the token.
ENTERED = "cogauth.entered"
HEADERS = {
    # The page runs and shows only what this server sends.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The first URL has the key.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
AGAIN = (
    "This address isn't complete, or it was used before. Run 'cogauth page' again, and open the "
    "URL that it prints."
)


@dataclass
class PageSecrets:
    """The secrets of one run of the server.

    Attributes:
        key: is in the URL, and good for one request.
        cookie: the cookie's value, by which the browser is known from then on.
        token: in the page, and in each of its requests about the stack. A page of another origin
            can have such a request sent, but can't read this.
        proof: in the page and in each answer, so that the page notices if another program has taken
            the port after this one ended.
    """

    port: int
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    proof: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    is_used: bool = False

    @property
    def authority(self) -> str:
        """The host and port, as browsers write them: HTTP's own port is left out."""
        return HOST if self.port == HTTP_PORT else f"{HOST}:{self.port}"

    @property
    def origin(self) -> str:
        """The page's origin."""
        return f"http://{self.authority}"

    @property
    def url(self) -> str:
        """The URL to open, which works once."""
        return f"{self.origin}/?key={self.key}"

    @property
    def cookie_name(self) -> str:
        """The cookie's name. Cookies don't know ports, so two servers need two names."""
        return f"cogauth-page-{self.port}"

    def take(self, given: str) -> bool:
        """Return whether a key is the right one, for the first time; then it is used up."""
        if self.is_used or not _same(given, self.key):
            return False
        self.is_used = True
        return True


class PageGate:
    """Lets through what the page itself sends, and adds the headers that protect it."""

    def __init__(self, app: ASGIApp, keys: PageSecrets, log: Callable[[str], None]) -> None:
        self.app = app
        self.keys = keys
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            # There are no others: a websocket handshake, for example, is not accepted.
            return
        headers, new_cookie = Headers(scope=scope), False
        problem = self._problem(scope, headers)
        if problem is None and not self._is_known(headers):
            new_cookie = scope["method"] == "GET" and scope["path"] == "/" and self._has_key(scope)
            problem = None if new_cookie else (403, AGAIN)
            scope[ENTERED] = new_cookie

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.update(HEADERS)
                if problem is None:
                    answered[PROOF_HEADER] = self.keys.proof
                if new_cookie:
                    answered.append(
                        "Set-Cookie",
                        f"{self.keys.cookie_name}={self.keys.cookie}; Path=/; HttpOnly; "
                        "SameSite=Strict",
                    )
                # Neither the query, which has the key, nor any header.
                self.log(f"{scope['method']} {scope['path']} {message['status']}")
            await send(message)

        app = self.app if problem is None else _refusal(scope, *problem)
        await app(scope, receive, send_safely)

    def _problem(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Return the status and the reason with which to refuse a request, whoever sends it."""
        method, origins = scope["method"], headers.getlist("origin")
        site = headers.get("sec-fetch-site", "none")
        changes = method == "POST"
        is_about_stack = changes or scope["path"].startswith("/api/")
        token = headers.get(TOKEN_HEADER, "")
        refusals = (
            # A site may have its name lead to 127.0.0.1: then it is of this server's origin, but by
            # its name (DNS rebinding).
            (
                headers.getlist("host") != [self.keys.authority],
                f"This is not the address of the page: {self.keys.origin}, exactly so.",
            ),
            (
                any(origin != self.keys.origin for origin in origins),
                "The Origin of the request isn't this page's.",
            ),
            # The URL may be clicked on in a terminal that is itself a page.
            (
                site not in {"same-origin", "none"} and scope["path"] != "/",
                "The request comes from another site.",
            ),
            (changes and not origins, "The request has no Origin."),
            (
                is_about_stack and not _same(token, self.keys.token),
                "The request lacks the page's token, which only the tab that opened the URL has.",
            ),
        )
        return next(((403, why) for is_refused, why in refusals if is_refused), None)

    def _is_known(self, headers: Headers) -> bool:
        """Return whether the cookie is there, beside any others: other ports may set some."""
        pairs = ";".join(headers.getlist("cookie")).split(";")
        found = [pair.strip().partition("=")[::2] for pair in pairs]
        values = [value for name, value in found if name == self.keys.cookie_name]
        return any(_same(value, self.keys.cookie) for value in values)

    def _has_key(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [])
        return len(given) == 1 and self.keys.take(given[0])


def _refusal(scope: Scope, status: int, why: str) -> ASGIApp:
    if scope["path"] == "/":
        return PlainTextResponse(f"{why}\n", status)
    error = {"code": "session", "message": why, "hint": "Run 'cogauth page' again."}
    return JSONResponse({"error": error}, status)


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())
