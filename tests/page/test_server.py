"""The page's server on the local AWS: what its browser gets, and how it begins and ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cogauth.client import token_store
from support.commands import Cli, command_line, files_in, until
from support.forker import PATIENCE
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.page import OpenPage, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("page")
    with (
        command_line(folder, COGAUTH_STACK="page") as cli,
        LocalStack.made(cli, "--local", "--region", REGION) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def page(stack: LocalStack) -> Iterator[OpenPage]:
    with opened(stack.cli) as page:
        page.enter()
        yield page


@pytest.fixture
def ann(stack: LocalStack, page: OpenPage) -> str:
    """A user who is signed in on the page."""
    del stack
    assert page.post("/api/sign-in", username="ann", password=PASSWORD).status == 200
    return "ann"


def to_hello(stack: LocalStack, token: str, /, **changed: Any) -> dict[str, Any]:
    """Return a request for the protected method with ann's token."""
    place = {"api": stack.up["rest_api_id"], "stage": stack.up["stage"]}
    return {
        **place,
        "method": "GET",
        "path": "/hello",
        "token": token,
        "username": "ann",
        **changed,
    }


# The stack


def test_the_stack_and_its_status_are_those_of_the_commands(
    stack: LocalStack, page: OpenPage
) -> None:
    shown = page.get("/api/stack").document
    assert (shown["stack"], shown["sign_up"], shown["is_local"]) == ("page", "open", True)
    assert shown["commands"]["up"].endswith("cogauth up --local --stack page")
    status = page.get("/api/status").document
    by_command = stack.cli.run("status", "--json").must().document
    for step in status["steps"]:
        for name in ("title", "lacks", "settings", "resources"):
            step.pop(name)
    assert {name: status[name] for name in by_command} == by_command
    assert 'id="step-user_pool" class="step exists"' in status["svg"]
    # The page may have no style inside it.
    assert "style" not in status["svg"]


def test_what_was_changed_is_shown_with_both_values(stack: LocalStack, page: OpenPage) -> None:
    function, client = "page-signInFunction", stack.client("lambda")
    client.update_function_configuration(FunctionName=function, MemorySize=256)
    # Until then the change isn't finished.
    assert until(lambda: page.get("/api/status").document["condition"] == "drifted")
    status = page.get("/api/status").document
    client.update_function_configuration(FunctionName=function, MemorySize=512)
    assert status["next"].endswith("cogauth plan --stack page")
    (step,) = [each for each in status["steps"] if each["status"] != "stands"]
    assert step["step"] == "sign_in_function"
    assert step["changes"] == [{"field": "MemorySize", "old": 256, "new": 512}]
    assert ["--sign-in-memory", "512"] in step["settings"]
    assert until(lambda: page.get("/api/status").document["condition"] == "complete")


# Sign-in


def test_a_user_is_made_signs_in_again_and_is_refused(stack: LocalStack, page: OpenPage) -> None:
    given = {"username": "eve", "password": PASSWORD}
    made = page.post("/api/sign-in", **given).document
    assert (made["http_status"], made["status"], made["is_new"]) == (200, "success", True)
    assert page.post("/api/sign-in", **given).document["is_new"] is False
    refused = page.post("/api/sign-in", username="eve", password=f"{PASSWORD}x").document
    assert (refused["http_status"], refused["code"]) == (401, "wrong_credentials")
    assert "wrong_credentials" in refused["problem"]
    assert (
        made["user_id"]
        == stack.cognito.admin_get_user(
            UserPoolId=stack.state.fact("user_pool", "id"), Username="eve"
        )["UserAttributes"][0]["Value"]
    )


@pytest.mark.usefixtures("ann")
def test_the_claims_are_shown_and_no_token_leaves_the_server(
    stack: LocalStack, page: OpenPage
) -> None:
    got = page.get("/api/sessions")
    (session,) = [each for each in got.document["sessions"] if each["username"] == "ann"]
    assert session["id"]["claims"]["cognito:username"] == "ann"
    assert session["access"]["claims"]["token_use"] == "access"
    assert session["id"]["verified"] is session["access"]["verified"] is True
    assert got.document["now"] < session["expires"] <= got.document["now"] + 3600
    kept = token_store.stored(stack.state)["ann"]
    answers = [got, page.post("/api/call", **to_hello(stack, "id"))]
    for answer in answers:
        for token in kept.values():
            assert token.encode() not in answer.body
    # No password, and no key, is in any file.
    for file in stack.cli.state.parent.rglob("*"):
        if file.is_file() and "local-aws" not in str(file):
            assert PASSWORD not in file.read_text(errors="replace")
            assert page.token not in file.read_text(errors="replace")
    assert stat.S_IMODE(stack.state.tokens_path.stat().st_mode) == 0o600


def test_a_session_is_renewed_and_signed_out(stack: LocalStack, page: OpenPage, ann: str) -> None:
    before = token_store.stored(stack.state)[ann]
    assert page.post("/api/renew", username=ann).document == {"renewed": True}
    assert token_store.stored(stack.state)[ann]["id_token"] != before["id_token"]
    assert page.post("/api/sign-out", username=ann).document == {"signed_out": ann}
    assert ann not in token_store.stored(stack.state)
    over = page.post("/api/renew", username=ann)
    assert (over.status, over.error["code"]) == (502, "login")


def test_an_expired_session_that_cannot_be_renewed_says_so(
    stack: LocalStack, page: OpenPage, ann: str
) -> None:
    kept = token_store.stored(stack.state)[ann]
    token_store.store(stack.state, ann, {**dict.fromkeys(kept, "e30.e30.AA"), "refresh_token": "x"})
    got = page.post("/api/call", **to_hello(stack, "id"))
    assert (got.status, got.error["code"]) == (502, "login")
    assert "The stored session of ann is over" in got.error["message"]
    shown = page.get("/api/sessions").document["sessions"]
    (session,) = [each for each in shown if each["username"] == ann]
    assert session["expires"] is None
    assert session["id"]["verified"] is False


def test_a_temporary_password_is_replaced(page: OpenPage) -> None:
    made = page.post("/api/users/create", username="tia").document
    given = {"username": "tia", "password": made["temporary_password"]}
    first = page.post("/api/sign-in", **given).document
    assert (first["status"], first["code"]) == ("fail", "new_password_required")
    done = page.post("/api/sign-in", **given, new_password=PASSWORD).document
    assert (done["status"], done["is_new"]) == ("success", False)


# Calls


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("token", "status", "cause"),
    [
        ("id", 200, "none"),
        ("access", 401, "access_token"),
        ("none", 401, "no_header"),
        ("tampered", 401, "bad_signature"),
    ],
)
def test_a_call_and_why_it_is_refused(
    stack: LocalStack, page: OpenPage, token: str, status: int, cause: str
) -> None:
    answer = page.post("/api/call", **to_hello(stack, token)).document
    assert (answer["status"], answer["refused"]) == (status, status != 200)
    assert answer["is_json"]
    assert "message" in json.loads(answer["body"])
    why = page.post("/api/explain", **to_hello(stack, token)).document
    assert why["cause"] == cause
    assert why["message"]
    assert bool(why["fix"]) == (token != "id")


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(("token", "status"), [("id", 200), ("none", 401), ("tampered", 401)])
def test_the_curl_command_has_no_token_and_does_the_same(
    stack: LocalStack, page: OpenPage, token: str, status: int
) -> None:
    line = page.post("/api/curl", **to_hello(stack, token)).document["command"]
    assert "eyJ" not in line
    running = stack.cli.shell_on_terminal(f"{line} -o /dev/null -w 'HTTP %{{http_code}}'")
    assert f"HTTP {status}" in running.see("HTTP [0-9]+")
    running.ended()


def test_only_the_stacks_own_and_attached_apis_are_called(
    stack: LocalStack, page: OpenPage
) -> None:
    theirs = stack.gateway.create_rest_api(name="theirs")["id"]
    try:
        for api in (theirs, "", "../x", "http://rebound.example/"):
            for action in ("call", "curl", "explain"):
                got = page.post(f"/api/{action}", **to_hello(stack, "none", api=api))
                assert got.status == 400, got
    finally:
        stack.gateway.delete_rest_api(restApiId=theirs)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 5000, b'{"a": NaN}x'])
def test_what_is_no_json_object_is_refused(page: OpenPage, body: bytes) -> None:
    got = page.raw("POST", "/api/call", page.known, body)
    assert (got.status, got.error["code"]) == (400, "usage")


def test_the_methods_are_listed_with_what_guards_them(stack: LocalStack, page: OpenPage) -> None:
    (api,) = page.get("/api/methods").document["apis"]
    assert (api["stage"], api["problem"]) == (stack.up["stage"], None)
    found = {(each["method"], each["path"]): each["guard"] for each in api["methods"]}
    assert found == {
        ("GET", "/hello"): "this stack's user pool, ID tokens",
        ("POST", "/signin"): "open to anyone",
    }


# Users, checks and log


def test_users_are_listed_searched_changed_and_deleted(page: OpenPage) -> None:
    for name in ("uma", "ute"):
        assert page.post("/api/users/create", username=name).document["created"] == name
    listed = page.get("/api/users?search=u").document
    assert {each["username"] for each in listed["users"]} == {"uma", "ute"}
    assert not listed["more"]
    assert page.post("/api/users/disable", username="uma").document == {"disabled": "uma"}
    (uma,) = page.get("/api/users?search=uma").document["users"]
    assert uma["enabled"] is False
    assert page.post("/api/users/enable", username="uma").document == {"enabled": "uma"}
    for name in ("uma", "ute"):
        assert page.post("/api/users/delete", username=name).document == {"deleted": name}
    gone = page.post("/api/users/delete", username="uma")
    assert "There is no user 'uma'" in gone.error["message"]
    assert page.post("/api/users/create", username="a b").error["code"] == "usage"


def test_the_checks_arrive_one_by_one_and_leave_nothing(stack: LocalStack, page: OpenPage) -> None:
    before = stack.portrait()
    with page.answer("POST", "/api/verify", page.known, b"{}") as answer:
        assert answer.getheader("content-type") == "application/x-ndjson"
        lines = [json.loads(line) for line in answer]
    rows, done = lines[:-1], lines[-1]["done"]
    assert done["ok"]
    assert done["passed"] + done["skipped"] == len(rows)
    assert {"no token", "tampered token"} <= {each["row"]["check"] for each in rows}
    assert stack.portrait() == before


def test_a_reader_who_goes_ends_the_checks_and_their_user_is_deleted(
    stack: LocalStack, page: OpenPage
) -> None:
    before = stack.portrait()
    with page.answer("POST", "/api/verify", page.known, b"{}") as answer:
        answer.readline()
    assert until(lambda: stack.state.throwaway_users == {} and stack.portrait() == before)
    assert page.get("/api/stack").status == 200


def test_the_log_is_followed(page: OpenPage) -> None:
    with page.answer("GET", "/api/logs", page.known) as answer:
        # What the tests before have written.
        answer.readline()
        page.post("/api/sign-in", username="lea", password="Wrong-1")
        codes, end = set(), time.monotonic() + PATIENCE
        while "password_policy" not in codes and time.monotonic() < end:
            line = json.loads(answer.readline())
            codes.add((line.get("line", {}).get("record") or {}).get("code"))
    assert "password_policy" in codes


# What isn't there


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/../server.py", 404),
        ("GET", "/static/%2e%2e/server.py", 404),
        ("GET", "/static/", 404),
        ("GET", "/api/call", 405),
        ("POST", "/api/stack", 405),
        ("GET", "/api/verify", 405),
        ("POST", "/api/logs", 405),
    ],
)
def test_no_other_address_answers(page: OpenPage, method: str, path: str, status: int) -> None:
    headers = page.known if method == "POST" else {**page.known, "Origin": page.origin}
    assert page.raw(method, path, headers, b"{}" if method == "POST" else None).status == status


def test_every_file_that_the_page_names_is_served(page: OpenPage) -> None:
    index = page.get("/").body.decode()
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', index):
        got = page.get(name)
        assert (got.status, bool(got.body)) == (200, True), name
    assert page.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    assert "<script>" not in index
    assert " style=" not in index


# How it begins and ends


def test_it_listens_on_the_loopback_alone(page: OpenPage) -> None:
    sockets = psutil.Process(page.running.process.pid).net_connections()
    heard = {one.laddr for one in sockets if one.status == psutil.CONN_LISTEN}
    assert heard == {("127.0.0.1", page.port)}


def test_ctrl_c_ends_it_at_once_with_what_is_in_progress(stack: LocalStack) -> None:
    files = files_in(stack.cli.folder)
    with opened(stack.cli, "--debug") as page:
        page.enter()
        with page.answer("GET", "/api/logs", page.known) as answer:
            answer.readline()
            page.running.process.send_signal(signal.SIGINT)
            assert page.running.ended() == 130
            last = [json.loads(line) for line in answer][-1]
            assert last["error"]["code"] == "interrupted"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", page.port), 2)
        assert "Traceback" not in page.running.text
        # The log of --debug.
        assert "GET /api/logs 200" in page.running.text
        for secret in (page.cookie.partition("=")[2], page.token):
            assert secret not in page.running.text
    assert files_in(stack.cli.folder) == files


def test_a_signal_that_comes_with_the_url_ends_it_in_the_same_way(stack: LocalStack) -> None:
    running = stack.cli.spawn("page", "--no-browser", "--json")
    running.see(r"\}\n")
    running.process.send_signal(signal.SIGTERM)
    assert running.ended() == 130
    assert running.text.splitlines()[1:] == ["The page has ended."]


def test_a_browser_gets_the_url_by_a_private_file(stack: LocalStack, tmp_path: Path) -> None:
    """Other users of the machine can read what is on its command line."""
    seen, copy, script = tmp_path / "seen", tmp_path / "copy", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\ncp -p "${{1#file://}}" {copy}\necho "$1" > {seen}\n')
    script.chmod(0o755)
    files = files_in(stack.cli.folder)
    running = stack.cli.spawn("page", "--json", BROWSER=f"{script} %s")
    url = json.loads(running.see(r"\}\n").splitlines()[0])["url"]
    assert until(seen.exists)
    assert seen.read_text().startswith("file:///")
    assert url.partition("key=")[2] not in seen.read_text()
    assert f"url={url}" in copy.read_text()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    running.process.send_signal(signal.SIGTERM)
    assert running.ended() == 130
    assert files_in(stack.cli.folder) == files


def test_a_port_in_use_is_named(stack: LocalStack, page: OpenPage) -> None:
    done = stack.cli.run("page", "--no-browser", "--port", str(page.port)).must(2)
    assert f"--port {page.port} can't be used: Address already in use." in done.err


def test_a_stack_that_is_not_there_is_told_before_anything_is_served(cli: Cli) -> None:
    done = cli.run("page", "--no-browser").must(2)
    assert "There is no stack here" in done.err


@pytest.mark.long
def test_a_stack_that_is_taken_down_meanwhile_is_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with command_line(tmp_path_factory.mktemp("gone")) as cli:
        cli.run("up", "--local").must()
        with opened(cli) as page:
            page.enter()
            assert page.get("/api/status").document["condition"] == "complete"
            cli.run("down", "--yes").must()
            for path in ("stack", "status", "sessions", "methods", "users"):
                got = page.get(f"/api/{path}")
                assert (got.status, got.error["code"]) == (409, "no_stack"), path
            assert page.get("/api/logs").lines[-1]["error"]["code"] == "no_stack"
            # Another one of this name is another stack.
            cli.run("up", "--local").must()
            assert page.get("/api/status").document["condition"] == "complete"
            cli.run("down", "--yes").must()
