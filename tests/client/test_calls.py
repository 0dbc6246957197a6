"""``cogauth call``, ``curl`` and ``decode`` against a server that answers like API Gateway."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.client import token_store
from cogauth.client.calls import parse_headers, read_json
from cogauth.client.transport import strict_json
from cogauth.errors import UsageError, holds_token
from cogauth.record.files import beside
from cogauth.record.state import State
from cogauth.settings import Settings
from support.commands import KEYS, Cli, command_line, in_process
from support.forker import ESCAPE, Result
from support.names import REGION
from support.servers import (
    ACCOUNT,
    CALLER,
    OWN_API,
    STACK_ID,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
)
from support.state_files import whole_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL, CLIENT = f"{REGION}_Pool1", "client1"
BASE = "/restapis/api1/dev/_user_request_"
SIGNATURE = "the-signature-of-this-token-is-no-ones-business"


def segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def token(use: str = "id", **claims: Any) -> str:
    given = {
        "iss": f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}",
        "token_use": use,
        "exp": int(time.time()) + 3600,
        "aud" if use == "id" else "client_id": CLIENT,
        "cognito:username": "ann",
        **claims,
    }
    return f"{segment({'alg': 'RS256', 'kid': 'key1'})}.{segment(given)}.{SIGNATURE}"


def session(**claims: Any) -> dict[str, str]:
    return {
        "id_token": token(**claims),
        "access_token": token("access", **claims),
        "refresh_token": "refresh",
    }


# As AWS words it.
NO_SUCH_METHOD = Answer(
    404,
    '{"message": "Invalid Method identifier specified"}',
    {"x-amzn-ErrorType": "NotFoundException"},
)
# A caller who may only call the API isn't told what is missing from the stack.
DENIED = Answer(403, '{"message": "Denied"}', {"x-amzn-ErrorType": "AccessDeniedException"})


@dataclass
class Gateway:
    """API Gateway's control plane, and its deployed APIs."""

    answers: dict[str, Answer] = field(default_factory=dict)
    tested: Answer = field(default_factory=lambda: Answer(404, '{"message": "Unknown path"}'))
    missing: tuple[str, ...] = ()
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path == "/":
            return Answer(200, CALLER)
        if asks_for_the_api(request):
            return OWN_API
        if "_user_request_" in path:
            self.requests.append(request)
            guarded = path == f"{BASE}/hello" and "Authorization" not in request.headers
            if guarded:
                return Answer(401, '{"message": "Unauthorized"}', {"x-amzn-ErrorType": "E"})
            return self.answers.get(path) or Answer(200, '{"message": "Hello"}')
        if "/methods/" in path and request.method == "POST":
            self.requests.append(request)
            return NO_SUCH_METHOD if path.endswith(self.missing) else self.tested
        items = LISTS.get(path.removeprefix("/restapis"))
        return DENIED if items is None else Answer(200, json.dumps({"item": items}))


LISTS: dict[str, list[dict[str, Any]]] = {
    "": [
        {"id": "api1", "name": "cogauth"},
        {"id": "pets1", "name": "pets"},
        {"id": "twin1", "name": "twin"},
        {"id": "twin2", "name": "twin"},
        {"id": "raw1", "name": "raw"},
    ],
    "/api1/stages": [{"stageName": "dev"}, {"stageName": "beta"}],
    "/pets1/stages": [{"stageName": "v1", "variables": {"table": "pets"}}],
    "/twin1/stages": [{"stageName": "a"}, {"stageName": "b"}],
    "/raw1/stages": [],
    "/pets1/resources": [
        {"id": "all", "path": "/{all+}", "resourceMethods": {"ANY": {}}},
        {"id": "one", "path": "/pets/{pet}", "resourceMethods": {"GET": {}}},
        {"id": "best", "path": "/pets/best", "resourceMethods": {"GET": {}, "POST": {}}},
    ],
    "/api1/resources": [
        {"id": "hello", "path": "/hello", "resourceMethods": {"GET": {}}},
        {"id": "root", "path": "/"},
    ],
}


@dataclass
class Played:
    """The command line, and the server that its stack is on."""

    cli: Cli
    gateway: Gateway
    server: Fixed
    state: State

    def run(self, *words: str, code: int = 0, typed: str = "") -> Result:
        """Run a command in this process; check that it never shows a token."""
        done = in_process(*words, typed=typed).must(code)
        assert SIGNATURE not in done.out + done.err
        return done

    def refuse(self, *words: str, says: str) -> None:
        """Run a command with bad input: it says so and sends nothing."""
        done = self.run(*words, code=2)
        assert says in done.err
        assert "Error: " in done.err
        assert done.out == ""
        assert self.gateway.requests == []


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Fixed, list[Gateway]]]:
    gateways: list[Gateway] = []
    with Fixed(lambda request: gateways[-1](request)) as server:  # noqa: PLW0108 the last then
        yield server, gateways


@pytest.fixture
def played(
    server: tuple[Fixed, list[Gateway]], tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> Iterator[Played]:
    no_credentials.chdir(tmp_path)
    fixed, gateways = server
    given = {**KEYS, "COGAUTH_ENDPOINT_URL": fixed.url}
    for name, value in given.items():
        no_credentials.setenv(name, value)
    gateways.append(Gateway())
    ids = {"user_pool": POOL, "app_client": CLIENT, "rest_api": "api1"}
    with command_line(tmp_path, **given, AWS_REGION=REGION) as cli:
        state = State(
            path=cli.state,
            stack="cogauth",
            account=ACCOUNT,
            region=REGION,
            endpoint_url=fixed.url,
            settings=Settings(),
            stack_id=STACK_ID,
            resources=whole_stack(**ids),
        )
        state.save()
        token_store.store(state, "ann", session())
        yield Played(cli, gateways[-1], fixed, state)


# call: what it sends and what it shows


def test_a_call_carries_the_stored_token_and_shows_the_answer(played: Played) -> None:
    done = played.run("call", "get", "/hello")
    (sent,) = played.gateway.requests
    assert (sent.method, sent.path, sent.body) == ("GET", f"{BASE}/hello", b"")
    assert sent.headers["Authorization"] == token_store.stored(played.state)["ann"]["id_token"]
    assert done.out == '{\n  "message": "Hello"\n}\n'
    assert done.err.startswith(f"GET {played.server.url}{BASE}/hello\n  ✓ 200 OK  ")
    assert " ms\n" in done.err


def test_a_refused_call_exits_with_1(played: Played) -> None:
    done = played.run("call", "GET", "/hello", "--no-token", code=1)
    assert "Authorization" not in played.gateway.requests[0].headers
    assert done.out == '{\n  "message": "Unauthorized"\n}\n'
    assert "401 Unauthorized" in done.err
    assert "  x-amzn-ErrorType: E\n" in done.err


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("status", "words", "explained_by"),
    [
        (401, (), "explain {url} --username ann{given}"),
        (
            403,
            ("--type", "access"),
            "token --username ann --type access{given} | {explain} --token-stdin{given}",
        ),
        (500, ("--no-token",), "explain {url} --no-token{given}"),
        (502, (), "explain {url} --username ann{given}"),
        (404, (), None),
    ],
)
def test_a_refused_call_names_the_command_that_says_why(
    played: Played, status: int, words: tuple[str, ...], explained_by: str | None
) -> None:
    played.gateway.answers[f"{BASE}/page"] = Answer(status, "{}")
    done = played.run("call", "POST", "/page", *words, code=1)
    url = f"{played.server.url}{BASE}/page --method POST"
    if explained_by is None:
        assert "explain" not in done.err
    else:
        # The user who runs the line may not have that variable.
        given = f" --endpoint-url {played.server.url}"
        why = explained_by.format(url=url, explain=f"cogauth explain {url}", given=given)
        assert done.err.endswith(f"\nWhy: cogauth {why}\n")


def test_400_is_refused(played: Played) -> None:
    played.gateway.answers[f"{BASE}/page"] = Answer(400, "{}")
    played.run("call", "GET", "/page", code=1)


def test_a_call_as_json_is_one_document(played: Played) -> None:
    words = ("call", "GET", "/items?page=2", "--json")
    document = played.run(*words, "--type", "access").document
    assert (
        played.gateway.requests[0].headers["Authorization"]
        == (token_store.stored(played.state)["ann"]["access_token"])
    )
    headers = document.pop("headers")
    assert headers["Content-Length"] == "20"
    assert document.pop("elapsed_s") >= 0
    assert document == {
        "method": "GET",
        "path": "/items?page=2",
        "rest_api_id": "api1",
        "stage": "dev",
        "status": 200,
        "body": {"message": "Hello"},
        "log": None,
    }


@pytest.mark.parametrize(
    ("words", "typed", "body"),
    [
        (("--data", '{"a": 1}'), "", b'{"a": 1}'),
        (("--data", "@order.json"), "", b'{"b": [2]}'),
        (("--data", "-"), '"\u00e4"', '"\u00e4"'.encode()),
    ],
)
def test_json_is_sent_as_it_was_given(
    played: Played, words: tuple[str, ...], typed: str, body: bytes
) -> None:
    (played.cli.folder / "order.json").write_text('{"b": [2]}')
    played.run("call", "POST", "/orders", *words, "--header", "Prefer: minimal", typed=typed)
    (sent,) = played.gateway.requests
    assert sent.method == "POST"
    assert sent.body == body
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["Prefer"] == "minimal"


def test_a_content_type_of_the_callers_own_is_kept(played: Played) -> None:
    mine = "application/merge-patch+json"
    played.run("call", "PATCH", "/a", "--data", "{}", "--header", f"content-type: {mine}")
    assert played.gateway.requests[0].headers["content-type"] == mine


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_shown_and_not_followed(played: Played, status: int) -> None:
    with Fixed(lambda _: Answer(200)) as elsewhere:
        there = f"{elsewhere.url}/there"
        played.gateway.answers[f"{BASE}/moved"] = Answer(status, "", {"Location": there})
        done = played.run("call", "GET", "/moved")
        assert elsewhere.requests == []
    assert f"  Location: {there}\n" in done.err
    assert done.out == ""


def test_a_body_that_is_not_json_comes_as_it_is(played: Played) -> None:
    body = f"<p>{ESCAPE}[31m"
    played.gateway.answers[f"{BASE}/page"] = Answer(500, body)
    assert played.cli.run("call", "GET", "/page").out == body
    assert played.run("call", "GET", "/page", "--json", code=1).document["body"] == body
    # But the server must not control the terminal.
    shown = played.cli.on_terminal("call", "GET", "/page", NO_COLOR="1")
    assert shown.ended() == 1
    assert r"<p>\x1b[31m" in shown.text
    assert ESCAPE not in shown.text


def test_json_is_coloured_on_a_terminal_alone(played: Played) -> None:
    shown = played.cli.on_terminal("call", "GET", "/hello")
    assert shown.ended() == 0
    assert f"{ESCAPE}[" in shown.text
    assert '"message": "Hello"' in shown.plain


@pytest.mark.parametrize(
    "body", ["[" * 500 + "]" * 500, "[" * 99999, '"\\ud800"', '{"a": NaN}', "1e999"]
)
def test_json_of_a_kind_that_can_not_be_written_again_is_shown_somehow(
    played: Played, body: str
) -> None:
    played.gateway.answers[f"{BASE}/odd"] = Answer(200, body)
    assert "".join(played.run("call", "GET", "/odd").out.split()) == body.replace(" ", "")
    assert json.loads(played.run("call", "GET", "/odd", "--json").out)["status"] == 200


# call: which API


@pytest.mark.parametrize("api", ["pets", "pets1"])
def test_another_api_is_called_at_its_only_stage(played: Played, api: str) -> None:
    played.run("call", "GET", "/pets/best", "--api", api)
    assert played.gateway.requests[0].path == "/restapis/pets1/v1/_user_request_/pets/best"


def test_a_stage_can_be_chosen(played: Played) -> None:
    played.run("call", "GET", "/", "--stage", "beta")
    played.run("call", "GET", "/", "--api", "twin1", "--stage", "b")
    assert [request.path for request in played.gateway.requests] == [
        "/restapis/api1/beta/_user_request_/",
        "/restapis/twin1/b/_user_request_/",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--api", "nope"), "--api 'nope': no REST API has that id or name in account"),
        (("--api", "twin"), "2 REST APIs have that name. Give the id of one: twin1, twin2"),
        (("--api", "twin1"), "several stages: a, b. Give one with --stage"),
        (("--api", "raw"), "The API raw has no stage, so nobody can call it"),
        (("--stage", "nope"), "'nope': the API api1 has no such stage. It has: beta, dev."),
    ],
)
def test_an_api_or_stage_that_is_not_there_is_named(
    played: Played, words: tuple[str, ...], says: str
) -> None:
    played.refuse("call", "GET", "/hello", *words, says=says)
    played.refuse("curl", "GET", "/hello", *words, says=says)


# call: bad input


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("GET", "hello"), "The path 'hello' is invalid"),
        (("GET", "https://example.com/"), "To call another API, use --api and --stage"),
        (("GET", "/a\nb"), "it contains a control character"),
        (("FETCH", "/"), "'FETCH' is not one of"),
        (("GET", "/", "--header", "authorization:x"), "The header Authorization carries the token"),
        (("GET", "/", "--header", "X: a\r\nAuthorization: b"), "The value of the header X is"),
        (("GET", "/", "--header", "X: \u20ac"), "a non-ASCII character"),
        (("GET", "/", "--header", "X: \u00e9"), "a non-ASCII character"),
        (("GET", "/", "--header", "Content-Length: 5"), "The header Content-Length can't be given"),
        (("GET", "/", "--header", "host: evil.example"), "The header host can't be given"),
        (("GET", "/../beta/x"), "would leave the stage"),
        (("GET", "/%2e%2E/beta/x"), "would leave the stage"),
        (("GET", "/a%2f..%2f..%2fb"), "would leave the stage"),
        (("GET", "/hello#x"), "'#' only means something to browsers"),
        (("HEAD", "/", "--data", "{}"), "HEAD takes no --data: leave it out"),
        (("GET", "/", "--header", "no colon"), "The header without a colon is invalid"),
        (("GET", "/", "--header", "a b: c"), "The header 'a b' is invalid"),
        (("GET", "/", "--header", "X: 1", "--header", "x: 2"), "The header x was given twice"),
        (("POST", "/", "--data", "{'a': 1}"), "--data isn't JSON: Expecting property name"),
        (("POST", "/", "--data", "NaN"), "--data isn't JSON"),
        (("POST", "/", "--data", "@bad.json"), "the file bad.json, isn't JSON: it is not UTF-8"),
        (("POST", "/", "--data", "@none.json"), "the file none.json can't be read: No such file"),
        (("POST", "/", "--data", "@."), "can't be read: Is a directory"),
        (("POST", "/", "--data", "-"), "--data from stdin isn't JSON: Expecting value"),
        (("POST", "/", "--data", "-", "--password-stdin"), "would read stdin"),
    ],
)
def test_a_request_that_can_not_be_sent_is_refused(
    played: Played, words: tuple[str, ...], says: str
) -> None:
    (played.cli.folder / "bad.json").write_bytes(b'"\xff"')
    played.refuse("call", *words, says=says)


def test_a_token_on_the_command_line_is_refused_and_not_repeated(played: Played) -> None:
    stolen = token()
    for words in (
        ("decode", stolen),
        ("call", "GET", "/hello", "--header", f"X-Token: {stolen}"),
        ("call", "POST", "/hello", "--data", json.dumps({"token": stolen})),
        ("decode", stolen[:20]),
    ):
        done = played.cli.run(*words).must(2)
        assert "There is a token on the command line" in done.err
        assert stolen[:20] not in done.err
    assert played.gateway.requests == []


def test_a_name_that_only_looks_like_a_token_is_none(played: Played) -> None:
    assert played.cli.run("call", "GET", "/keyJournalEntries").must().out
    done = played.cli.run("call", "GET", "/hello", "--username", "eyJohnnyboys1").must(2)
    assert "No password" in done.err


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ"]), st.text(), min_size=1), st.text())
def test_the_beginning_of_any_token_is_seen(header: dict[str, str], before: str) -> None:
    text = f"{before} {segment(header)}.e30.x"
    assert holds_token(text)
    assert holds_token(text[: len(before) + 13])


@given(st.text(), st.text())
def test_whatever_header_is_taken_is_one_header(name: str, value: str) -> None:
    try:
        taken = parse_headers((f"{name}:{value}",))
    except UsageError:
        return
    ((key, sent),) = taken.items()
    assert key.lower() != "authorization"
    assert not set(key + sent) & {"\r", "\n", "\0"}
    f"{key}: {sent}".encode("latin-1")


@given(st.binary() | st.text().map(str.encode))
def test_a_body_is_taken_only_as_json_and_never_repeated(data: bytes) -> None:
    try:
        strict_json(data.decode())
    except ValueError:
        with pytest.raises(UsageError) as caught:
            read_json(data, "--data")
        assert caught.value.__cause__ is None
        assert len(str(caught.value)) < 200
    else:
        assert read_json(data, "--data") == data


# The console's test


LOG = "Execution log for request 1\nMethod request path: {}\nSuccessfully completed execution\n"


@pytest.mark.parametrize(
    ("method", "path", "resource"),
    [
        ("GET", "/pets/best", "best/methods/GET"),
        ("GET", "/pets/7?x=1", "one/methods/GET"),
        ("GET", "/pets/7/toys", "all/methods/GET"),
        ("POST", "/pets/7", "all/methods/POST"),
    ],
)
def test_the_consoles_test_finds_the_method_as_api_gateway_does(
    played: Played, method: str, path: str, resource: str
) -> None:
    found = {"status": 200, "body": '{"a": 1}', "latency": 12, "log": LOG, "headers": {"X": "1"}}
    played.gateway.tested = Answer(200, json.dumps(found))
    words = ("call", method, path, "--api", "pets", "--test-invoke", "--header", "Y: 2")
    done = played.run(*words)
    (sent,) = played.gateway.requests
    assert sent.path == f"/restapis/pets1/resources/{resource}"
    assert json.loads(sent.body) == {
        "pathWithQueryString": path,
        "body": "",
        "headers": {"Y": "2"},
        "stageVariables": {"table": "pets"},
    }
    assert done.out == '{\n  "a": 1\n}\n'
    assert "by TestInvokeMethod, without authorizer and token" in done.err
    assert "  ✓ 200  12 ms\n" in done.err
    assert "    Execution log for request 1\n    Method request path: {}\n" in done.err
    document = played.run(*words, "--json").document
    assert (document["elapsed_s"], document["log"]) == (0.012, LOG)
    assert document["headers"] == {"X": "1"}


def test_a_path_with_any_is_tested_as_that_where_the_method_itself_is_not_known(
    played: Played,
) -> None:
    played.gateway.tested = Answer(200, '{"status": 200, "body": "", "latency": 1, "log": ""}')
    played.gateway.missing = ("/methods/POST",)
    done = played.run("call", "POST", "/pets/7", "--api", "pets", "--test-invoke")
    assert [request.path.rpartition("/")[2] for request in played.gateway.requests] == [
        "POST",
        "ANY",
    ]
    assert "API Gateway chose the HTTP method" in done.err


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_test_is_made_once(played: Played, status: int) -> None:
    """The call may take effect although the answer is an error."""
    played.gateway.tested = Answer(status, '{"message": "no"}')
    played.run("call", "POST", "/pets/best", "--api", "pets", "--test-invoke", code=1)
    assert len(played.gateway.requests) == 1


def test_a_method_that_was_deleted_meanwhile_is_no_missing_operation(played: Played) -> None:
    played.gateway.missing = ("/methods/GET",)
    done = played.run("call", "GET", "/hello", "--test-invoke", code=1)
    assert "Invalid Method identifier specified" in done.err
    assert "doesn't support TestInvokeMethod" not in done.err


def test_a_test_that_fails_exits_with_1(played: Played) -> None:
    found = {"status": 500, "body": "", "latency": 1, "log": LOG}
    played.gateway.tested = Answer(200, json.dumps(found))
    done = played.run("call", "GET", "/hello", "--test-invoke", code=1)
    assert "  ✗ 500  1 ms\n" in done.err


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_the_consoles_test_is_told_of(played: Played, status: int) -> None:
    played.gateway.tested = Answer(status, "<html>")
    done = played.run("call", "GET", "/hello", "--test-invoke", code=1)
    assert f"The endpoint {played.server.url} doesn't support TestInvokeMethod" in done.err


def test_a_method_that_is_not_there_is_not_tested(played: Played) -> None:
    said = "The API api1 has no POST /hello. Its methods: GET /hello."
    played.refuse("call", "POST", "/hello", "--test-invoke", says=said)


# curl

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def paste(played: Played, line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in a shell, whether or not cogauth is on the tests' PATH."""
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=played.cli.folder,
        env={**played.cli.env, **env},
        capture_output=True,
        timeout=60,
        check=False,
    )


@needs_curl
@pytest.mark.parametrize(
    "words",
    [
        ("GET", "/hello"),
        ("GET", "/a b/[1]{x}?q=it's&r=%20"),
        ("HEAD", "/hello"),
        ("POST", "/x", "--data", '{"it\'s": "$HOME `id` \\"\n"}'.replace("\n", "\\n")),
        ("PUT", "/x", "--data", "[1,\n 2]", "--header", "X-Empty:", "--header", "X: a 'b' \"c\""),
        ("GET", "/x", "--data", "@it's a file.json", "--type", "access"),
        ("POST", "/x", "--no-token"),
    ],
)
@pytest.mark.sample(6)
def test_what_curl_sends_when_it_is_pasted_is_what_call_sends(
    played: Played, words: tuple[str, ...]
) -> None:
    (played.cli.folder / "it's a file.json").write_text('{"b": [2]}')
    played.run("call", *words)
    line = played.run("curl", *words).out
    assert line.count("\n") == 1 + sum("\n" in word for word in words)
    done = paste(played, line)
    assert done.returncode == 0, done.stderr
    called, pasted = played.gateway.requests
    assert (pasted.method, pasted.path, pasted.body) == (called.method, called.path, called.body)
    for name in ("Authorization", "Content-Type", "X-Empty", "X"):
        assert pasted.headers.get(name) == called.headers.get(name)


@needs_curl
def test_a_pasted_line_means_the_same_user_and_stack(
    played: Played, no_credentials: pytest.MonkeyPatch
) -> None:
    token_store.store(played.state, "o'neil; $(x)", session(sub="other"))
    folder = played.cli.folder / "it's"
    folder.mkdir()
    copy = folder / "state.json"
    copy.write_bytes(played.cli.state.read_bytes())
    beside(copy, "tokens").write_bytes(beside(played.cli.state, "tokens").read_bytes())
    words = ("--username", "o'neil; $(x)", "--state", "it's/state.json")
    line = played.run("curl", "GET", "/hello", *words).out
    # As with a virtual environment that isn't activated, the line names the interpreter.
    path = os.pathsep.join(p for p in os.get_exec_path() if not (Path(p) / "cogauth").exists())
    no_credentials.setenv("PATH", path)
    elsewhere = played.run("curl", "GET", "/hello", *words).out
    assert elsewhere.startswith(f"{sys.executable} -P -m cogauth token ")
    for pasted, env in ((line, {}), (elsewhere, {"PATH": path})):
        assert paste(played, pasted, **env).stdout == b'{"message": "Hello"}'
    expected = token_store.stored(played.state)["o'neil; $(x)"]["id_token"]
    assert {r.headers["Authorization"] for r in played.gateway.requests} == {expected}


@needs_curl
def test_a_pasted_line_imports_nothing_from_the_folder_that_it_is_pasted_in(
    played: Played, no_credentials: pytest.MonkeyPatch
) -> None:
    folder = played.cli.folder
    came = folder / "came"
    attack = f"open({str(came)!r}, 'w').close()\n"
    for name in ("click.py", "json.py", "cogauth/__init__.py", "cogauth/__main__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(attack)
    others = [p for p in os.get_exec_path() if not (Path(p) / "cogauth").exists()]
    for folders, begins in (
        ([str(Path(sys.executable).parent), *others], "cogauth token"),
        (others, f"{sys.executable} "),
    ):
        path = os.pathsep.join(folders)
        no_credentials.setenv("PATH", path)
        line = played.run("curl", "GET", "/hello").out
        assert line.startswith(begins)
        done = paste(played, line, PATH=path)
        assert not came.exists()
        assert done.stdout == b'{"message": "Hello"}', done.stderr


def test_the_line_of_curl_holds_in_a_shell_with_variables_of_ours(played: Played) -> None:
    line = played.run("curl", "GET", "/hello").out
    done = paste(played, line, COGAUTH_JSON="1", COGAUTH_TYPE="access")
    assert done.stdout == b'{"message": "Hello"}'
    (sent,) = played.gateway.requests
    assert sent.headers["Authorization"] == token_store.stored(played.state)["ann"]["id_token"]
    refused = played.run("token", "--header", "--json", code=2).document
    assert "--header and --json exclude each other" in refused["error"]["message"]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{cogauth} decode <&-", "There is no token: the input is empty"),
        ("{cogauth} call POST /x --data - <&-", "isn't JSON"),
        ("{cogauth} token --username ben --password-stdin <&-", "The password is empty"),
        ("{cogauth} token >&-", ""),
        ("{cogauth} token >/dev/full", "The output can't be written: No space left on device."),
        ("{cogauth} call GET /hello >/dev/full", "The output can't be written"),
    ],
)
def test_streams_that_are_closed_or_full(played: Played, line: str, says: str) -> None:
    done = paste(played, line.format(cogauth=shlex.join([sys.executable, "-m", "cogauth"])))
    said = (done.stdout + done.stderr).decode()
    assert says in said
    assert "Traceback" not in said
    assert SIGNATURE not in done.stderr.decode()


def test_curl_sends_nothing_and_holds_no_token(played: Played) -> None:
    line = played.run("curl", "GET", "/hello").out
    given = f"--endpoint-url {played.server.url}"
    assert f" token --username ann --type id --header {given} | curl -sS -H @- http" in line
    assert played.run("curl", "GET", "/hello", "--json").document == {"command": line.rstrip()}
    assert played.gateway.requests == []
    played.refuse("curl", "POST", "/", "--data", "-", says="--data can't be stdin here")
    played.refuse("curl", "POST", "/", "--data", "{", says="--data isn't JSON")


# Whose tokens


def test_times_are_local(played: Played) -> None:
    assert " JST, in " in played.cli.run("token", "--decode", TZ="Asia/Tokyo").must().out


def test_whose_token_it_is_must_be_clear(played: Played) -> None:
    token_store.store(played.state, "ben", session())
    for command in (("call", "GET", "/hello"), ("curl", "GET", "/hello"), ("token",)):
        played.refuse(*command, says="Several users are signed in: ann, ben. Give --username NAME.")
    played.state.tokens_path.unlink()
    played.refuse("token", says="Nobody is signed in yet. Run ")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"ann": {}}', '{"ann": "x"}', "[" * 99999])
def test_a_damaged_file_of_tokens_is_as_good_as_none(played: Played, content: str) -> None:
    played.state.tokens_path.write_text(content)
    played.refuse(
        "token", "--username", "ann", says="No password was given, and stdin is not a terminal"
    )


def test_without_a_stack_there_is_no_token(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    no_credentials.chdir(tmp_path)
    for command in (("call", "GET", "/hello"), ("curl", "GET", "/"), ("token",), ("users",)):
        assert "There is no stack here" in in_process(*command).must(2).err


def test_two_at_once_keep_each_others_tokens(played: Played) -> None:
    names = [f"user{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: token_store.store(played.state, name, session()), names))
        list(threads.map(lambda name: token_store.forget(played.state, name), names[:8]))
    assert sorted(token_store.stored(played.state)) == sorted(["ann", *names[8:]])
    assert played.state.tokens_path.stat().st_mode & 0o777 == 0o600
    # To the pool, "ANN" is the same user.
    token_store.store(played.state, "ANN", session())
    assert "ann" not in token_store.stored(played.state)
    # Nothing outlives the stack.
    played.state.remove()
    token_store.store(played.state, "late", session())
    assert not played.cli.state.parent.exists()


# decode


def decode(text: str | bytes, *words: str, code: int = 0) -> str:
    """Run 'decode' where there is no stack."""
    done = in_process("decode", "--state", "/nowhere/state.json", *words, typed=text).must(code)
    return done.out + done.err


parts = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
times = st.dictionaries(
    st.sampled_from(["exp", "iat", "nbf", "auth_time", "iss"]),
    st.integers() | st.floats() | st.text() | st.none() | st.lists(st.integers()),
)


@given(st.text() | st.binary() | st.text(alphabet="eyJ.=_- \nBearer:", max_size=40))
def test_what_is_no_token_is_refused_and_not_repeated(text: str | bytes) -> None:
    said = decode(text, code=2)
    assert said.count("\n") == 1
    # The error is always one of these few sentences.
    known = ("There is no token", "That is not a token", "The token is encrypted (five parts)")
    assert said.startswith(tuple(f"Error: {each}" for each in known))


@given(parts, parts, times)
def test_whatever_a_token_says_is_shown_in_plain_lines(
    header: dict[str, Any], claims: dict[str, Any], more: dict[str, Any]
) -> None:
    text = f"{segment(header)}.{segment({**claims, **more})}.{SIGNATURE}"
    try:
        strict_json(json.dumps([header, claims, more]))
    except ValueError:
        decode(text, code=2)
        return
    shown = decode(text)
    assert SIGNATURE not in shown
    assert shown.replace("\n", "").isprintable()
    assert shown.splitlines()[-1].startswith("✗ Not verified: there is no stack here")
    document = json.loads(decode(text, "--json"))
    assert document["header"] == json.loads(json.dumps(header))
    assert (document["verified"], document["reason"] is None) == (False, False)


@pytest.mark.parametrize("before", ["", "Authorization: ", "authorization:Bearer ", " bearer\t"])
def test_a_header_is_taken_for_the_token_in_it(before: str) -> None:
    assert "token_use         id\n" in decode(f"{before}{token()}\n\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There is no token: the input is empty"),
        ("Authorization: ", "There is no token: the input is empty"),
        ("a.b.c.d.e", "is encrypted (five parts), like Cognito's refresh tokens"),
        ("a" * 70000, "it is longer than 65536 bytes"),
        (f"{segment([])}.{segment({})}.x", "That is not a token"),
        (f"{token()}\n{token()}", "That is not a token"),
        (f"{segment({})}.{'WyJ' * 3000}.x", "That is not a token"),
        (b"\xff\xfd", "That is not a token"),
        (b"\xff\xfe", "There is no token: the input is empty"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str | bytes, says: str) -> None:
    assert says in decode(text, code=2)


def test_a_time_of_any_kind_is_shown() -> None:
    now = int(time.time())
    for value, shown in (
        # On a busy machine, the command may run noticeably later.
        (now - 30, r" s ago"),
        (now + 3050, r", in 50 min \d\d? s"),
        (now - 5 * 3600 - 5, ", 5 h ago"),
        (now + 30 * 86400 + 600, ", in 30 days"),
        (10**30, str(10**30)),
        ("soon", "soon"),
        ([1], r"\[1\]"),
    ):
        line = next(line for line in decode(token(exp=value)).splitlines() if "exp  " in line)
        assert re.search(f"{shown}$", line)


def test_a_token_of_another_issuer_is_not_asked_the_pool_about(played: Played) -> None:
    played.server.requests.clear()
    document = played.run("decode", "--json", typed=token(iss="https://a/b")).document
    assert document["verified"] is False
    assert document["reason"] == (
        f"another issuer issued it, https://a/b; the stack's user pool is {POOL}"
    )
    assert played.server.requests == []


def test_a_pool_that_can_not_be_asked_is_a_reason_too(
    played: Played, no_credentials: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        no_credentials.delenv(name)
    done = played.run("decode", typed=token())
    assert "Not verified: No AWS credentials were found." in done.out
