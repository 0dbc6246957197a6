"""``cogauth call`` and ``curl`` against a server that answers like API Gateway."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cogauth.client import token_store
from cogauth.record.files import beside
from support.called_api import BASE, SIGNATURE, Played, session, token
from support.forker import ESCAPE
from support.servers import Answer, Fixed

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
