"""What a page can read in a real browser: headless Chromium, given only the page's URL.

The page and the API have different origins: two ports of 127.0.0.1.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import requests

from support.commands import command_line, environment, processes_of, until
from support.forker import PATIENCE
from support.local_stack import LocalStack
from support.names import PASSWORD
from support.servers import Answer, Fixed, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.local,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-breakpad", "--no-default-browser-check"),
    # It can reach only this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
# As an application would write it. The page whose sign-in is blocked is given a token.
PAGE = """<!doctype html><title>app</title><script>
const {signIn, hello, endpoint, password, givenToken} = CONFIG;
async function attempt(url, options) {
  try {
    const answer = await fetch(url, options);
    return {status: answer.status, body: await answer.json()};
  } catch (error) {
    return {blocked: error.name};
  }
}
const post = (password) => attempt(signIn, {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify({username: "ann", password}),
});
const get = (token) => attempt(hello, token ? {headers: {Authorization: token}} : {});
(async () => {
  const result = {origin: location.origin, signedIn: await post(password)};
  result.wrongPassword = await post(password + "-not");
  result.withToken = await get(result.signedIn.body?.id_token ?? givenToken);
  result.withoutToken = await get();
  result.withGarbage = await get("garbage");
  result.closed = await Promise.all([
    attempt(`${endpoint}/2015-03-31/functions/`),
    attempt(`${endpoint}/_ministack/reset`, {method: "POST"}),
    attempt(`${endpoint}/_ministack/health`),
    attempt(endpoint, {method: "POST", body: "Action=ListUsers&Version=2010-05-08"}),
    attempt(endpoint, {
      method: "POST",
      headers: {"X-Amz-Target": "AWSCognitoIdentityProviderService.ListUserPools"},
      body: "{}",
    }),
  ]);
  if (result.signedIn.body) result.signedIn.body = Object.keys(result.signedIn.body);
  await fetch("/result", {method: "POST", body: JSON.stringify(result)});
})();
</script>"""
BLOCKED = {"blocked": "TypeError"}
UNAUTHORIZED = {"status": 401, "body": {"message": "Unauthorized"}}


class Page:
    """The page's own server, and the page's report to it."""

    def __init__(self) -> None:
        self.config: dict[str, str] = {}
        self.reported = threading.Event()
        self.result: dict[str, Any] = {}
        self.server = Fixed(self._answer)

    def _answer(self, request: Request) -> Answer:
        if request.path == "/":
            page = PAGE.replace("CONFIG", json.dumps(self.config))
            return Answer(200, page, {"Content-Type": "text/html"})
        if request.path == "/result":
            self.result = json.loads(request.body)
            self.reported.set()
            return Answer(200, "", {"Content-Type": "text/plain"})
        return Answer(404, "", {"Content-Type": "text/plain"})


@contextmanager
def chromium(url: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run Chromium on a page, in its own session that ends with this; yield it and its log."""
    # It puts sockets in this folder, and a test folder's path is too long for a socket.
    with TemporaryDirectory(prefix="web-") as name:
        folder = Path(name)
        with _process(folder, url) as browser:
            yield browser, folder / "log"
        assert until(lambda: not processes_of(folder), 10), "a process of Chromium's is left"


@contextmanager
def _process(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    assert CHROMIUM
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", url],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as browser,
    ):
        try:
            yield browser
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                browser.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)


class Visited(LocalStack):
    """A stack on the local AWS; a page knows its two URLs."""

    @property
    def urls(self) -> dict[str, str]:
        names = {"signIn": "sign_in_url", "hello": "protected_url", "endpoint": "endpoint_url"}
        return {name: self.up[field] for name, field in names.items()}

    @functools.cached_property
    def token(self) -> str:
        body = {"username": "ann", "password": PASSWORD}
        answer = requests.post(self.urls["signIn"], json=body, timeout=PATIENCE)
        return str(answer.json()["id_token"])

    def visit(self, *others: str, allowed: bool = True) -> dict[str, Any]:
        """Let a page try everything, with these origins and its own allowed; return what it saw."""
        page = Page()
        with page.server:
            origins = [*others, *([page.server.url] if allowed else [])] or ["none"]
            words = [word for origin in origins for word in ("--cors-origin", origin)]
            self.cli.run("up", *words).must()
            page.config = {**self.urls, "password": PASSWORD, "givenToken": self.token}
            with chromium(page.server.url) as (browser, log):
                until(lambda: page.reported.is_set() or browser.poll() is not None)
                assert page.reported.is_set(), log.read_text(errors="replace")
        assert page.result.pop("origin") == page.server.url
        # Whatever the API allows pages, the rest of the local AWS is closed to them.
        assert set(map(str, page.result.pop("closed"))) == {str(BLOCKED)}
        return page.result


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    folder = tmp_path_factory.mktemp("browser")
    with command_line(folder, COGAUTH_STACK="browser") as cli, Visited.made(cli, "--local") as made:
        yield made


def check_all_of_it(seen: dict[str, Any]) -> None:
    assert seen["signedIn"]["status"] == 200
    assert {"status", "id_token", "access_token", "user_id"} <= set(seen["signedIn"]["body"])
    assert seen["wrongPassword"]["status"] == 401
    assert seen["wrongPassword"]["body"]["code"] == "wrong_credentials"
    assert seen["withToken"]["status"] == 200
    assert "Hello" in seen["withToken"]["body"]["message"]


def test_with_cors_a_page_signs_in_and_calls_and_reads_refusals(stack: Visited) -> None:
    seen = stack.visit()
    check_all_of_it(seen)
    assert seen["withoutToken"] == seen["withGarbage"] == UNAUTHORIZED


def test_without_cors_it_is_blocked(stack: Visited) -> None:
    seen = stack.visit(allowed=False)
    assert set(map(str, seen.values())) == {str(BLOCKED)}
    # The API would have accepted the token, but the browser didn't send it.
    with_token = {"Authorization": stack.token}
    assert requests.get(stack.urls["hello"], headers=with_token, timeout=PATIENCE).ok


def test_a_page_of_another_origin_than_the_allowed_one_is_blocked(stack: Visited) -> None:
    seen = stack.visit("https://app.example", allowed=False)
    assert set(map(str, seen.values())) == {str(BLOCKED)}


def test_any_origin(stack: Visited) -> None:
    seen = stack.visit("*", allowed=False)
    check_all_of_it(seen)
    assert seen["withoutToken"] == UNAUTHORIZED


def test_one_of_several_origins_gets_all_but_the_gateways_own_refusals(stack: Visited) -> None:
    seen = stack.visit("https://app.example", "http://localhost:3000")
    check_all_of_it(seen)
    assert seen["withoutToken"] == seen["withGarbage"] == BLOCKED


def test_none_of_several_origins_is_blocked(stack: Visited) -> None:
    origins = ("https://app.example", "http://localhost:3000")
    seen = stack.visit(*origins, allowed=False)
    assert set(map(str, seen.values())) == {str(BLOCKED)}


def test_without_cors_no_answer_has_a_header_of_cors(stack: Visited) -> None:
    stack.cli.run("up", "--cors-origin", "none").must()
    body = {"username": "ann", "password": PASSWORD}
    sent = requests.post(stack.urls["signIn"], json=body, timeout=PATIENCE)
    options = requests.options(stack.urls["signIn"], timeout=PATIENCE)
    assert (sent.status_code, options.status_code) == (200, 403)
    for answer in (sent, options):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
