"""The full workflow through the command line, on both kinds of local AWS."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from cogauth.record.lock import hold
from support.commands import (
    KEYS,
    Cli,
    command_line,
    files_in,
    pid_of_local_aws,
    processes_of,
    until,
)
from support.forker import COGAUTH, ESCAPE, PATIENCE, Result
from support.local_aws import EMULATORS_KEYS, client, emulator, is_listening, someones_local_aws
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.proxies import Call, Gate, Proxy, Strike
from support.world import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.commands import Running

pytestmark = pytest.mark.local

UP_FIELDS = [
    "stack",
    "stack_id",
    "account",
    "region",
    "endpoint_url",
    "stage",
    "sign_in_url",
    "protected_url",
    "sign_up",
    "cors_origins",
    "user_pool_id",
    "user_pool_arn",
    "client_id",
    "role_arn",
    "auto_confirm_role_arn",
    "sign_in_function_arn",
    "auto_confirm_function_arn",
    "rest_api_id",
    "authorizer_id",
    "state_file",
    "elapsed_s",
    "steps",
]
LOGIN_FIELDS = {
    "status",
    "msg",
    "code",
    "is_new",
    "user_id",
    "http_status",
    "id_token",
    "claims",
    "expires_in",
    "protected",
}
STEPS = [
    "user_pool",
    "app_client",
    "role",
    "sign_in_function",
    "auto_confirm_role",
    "auto_confirm_function",
    "trigger",
    "rest_api",
    "authorizer",
    "protected_method",
    "deployment",
]
TITLES = [
    "User pool",
    "App client",
    "Role",
    "Sign-in function",
    "Auto-confirm role",
    "Auto-confirm function",
    "Pre-sign-up trigger",
    "REST API",
    "Authorizer",
    "Protected method",
    "Deployment",
]


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["action"] for step in document["steps"]}


# An existing stack, on each of the two


@dataclass
class Up(LocalStack):
    """A stack with the arguments of its ``up``, and what ``up`` reported."""

    words: list[str] = field(default_factory=list)
    stderr: str = ""


@pytest.fixture(scope="module", params=["local", "endpoint"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("made")
    if request.param == "local":
        keys, words = {}, ["--local", "--region", REGION]
    else:
        url = request.getfixturevalue("endpoint")
        keys, words = {**KEYS, "COGAUTH_ENDPOINT_URL": url}, ["--region", REGION]
    with command_line(folder, **keys) as cli:
        done = cli.run("up", *words, "--json").must()
        up = done.document
        yield Up(cli, up["stack"], up["endpoint_url"], up, words, done.err)
        # The shared local AWS keeps running, and this stack has the default name.
        cli.run("down", "--yes")


@pytest.mark.sample(2)
def test_up_prints_what_it_made(made: Up) -> None:
    up = made.up
    assert list(up) == UP_FIELDS
    assert up["stack"] == "cogauth"
    assert up["account"] == "000000000000"
    assert up["region"] == REGION
    assert up["stage"] == "dev"
    assert up["state_file"] == ".cogauth/cogauth.json"
    assert 0 < up["elapsed_s"] < PATIENCE
    assert actions(up) == dict.fromkeys(STEPS, "created")
    for step in up["steps"]:
        assert list(step) == ["step", "action", "id", "seconds"]
        assert step["id"]
        assert 0 <= step["seconds"] <= up["elapsed_s"]


def test_up_tells_of_each_step_on_stderr(made: Up) -> None:
    told = [line for line in made.stderr.splitlines() if re.search(r"  \d+\.\d s$", line)]
    # In the order in which they end: several run at once.
    assert sorted(line[:22].strip() for line in told) == sorted(TITLES)
    assert all("created" in line for line in told)
    assert ESCAPE not in made.stderr


def test_what_up_names_stands_and_carries_the_tags(made: Up) -> None:
    up = made.up
    tags = {"cogauth:stack": "cogauth", "cogauth:stack-id": up["stack_id"]}
    world = described(made.client)
    (pool,) = world["pool cogauth"]
    assert (pool["Id"], pool["Arn"]) == (up["user_pool_id"], up["user_pool_arn"])
    assert pool["UserPoolTags"] == tags
    assert pool["LambdaConfig"] == {"PreSignUp": up["auto_confirm_function_arn"]}
    (app_client,) = pool["clients"]
    assert app_client["ClientName"] == f"cogauth-{up['stack_id']}"
    assert app_client["ClientId"] == up["client_id"]
    for role_name, name, which in (
        ("LambdaAuthRole", "signInFunction", ("role_arn", "sign_in_function_arn")),
        (
            "AutoConfirmRole",
            "autoConfirmUserFunction",
            ("auto_confirm_role_arn", "auto_confirm_function_arn"),
        ),
    ):
        (role,) = world[f"role cogauth-{role_name}"]
        assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == tags
        (function,) = world[f"function cogauth-{name}"]
        assert [role["Arn"], function["FunctionArn"]] == [up[key] for key in which]
        assert function["Role"] == role["Arn"]
        assert function["tags"] == tags
        (group,) = world[f"logs /aws/lambda/cogauth-{name}"]
        assert group["retentionInDays"] == 30
        assert group["tags"] == tags
    (api,) = world["api cogauth"]
    assert api["id"] == up["rest_api_id"]
    assert api["tags"] == tags
    assert [authorizer["id"] for authorizer in api["authorizers"]] == [up["authorizer_id"]]
    (stage,) = api["stages"]
    assert stage["tags"] == tags
    assert stage["methodSettings"]["/signin/POST"]["throttlingRateLimit"] == 20
    assert stage["methodSettings"]["/signin/POST"]["throttlingBurstLimit"] == 40


def test_up_again_changes_nothing_and_says_so(made: Up) -> None:
    before = described(made.client)
    again = made.cli.run("up", *made.words, "--json").must().document
    assert actions(again) == dict.fromkeys(STEPS, "unchanged")
    assert described(made.client) == before
    variable = {"elapsed_s", "steps"}
    assert {k: v for k, v in again.items() if k not in variable} == {
        k: v for k, v in made.up.items() if k not in variable
    }


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_up_reads_well(made: Up) -> None:
    words = made.cli.run("up", *made.words).must()
    assert "Stack cogauth is up to date; nothing changed." in words.out
    assert made.up["sign_in_url"] in words.out
    assert made.up["protected_url"] in words.out
    given = f"--endpoint-url {made.url}"
    assert words.out.splitlines()[-1] == f"Next: cogauth test-login NAME {given}"


def test_a_name_is_new_once_and_keeps_its_user_id(made: Up) -> None:
    first = made.cli.login("ann", PASSWORD, "--json").must().document
    assert set(first) == LOGIN_FIELDS
    assert first["status"] == "success"
    assert first["is_new"] is True
    assert (first["msg"], first["code"], first["http_status"]) == (None, None, 200)
    assert first["expires_in"] == 3600
    (user,) = made.client("cognito-idp").list_users(
        UserPoolId=made.up["user_pool_id"], Filter='username = "ann"'
    )["Users"]
    subs = [a["Value"] for a in user["Attributes"] if a["Name"] == "sub"]
    assert subs == [first["user_id"]]
    assert user["UserStatus"] == "CONFIRMED"
    assert first["claims"]["sub"] == first["user_id"]
    assert first["claims"]["aud"] == made.up["client_id"]
    assert first["claims"]["token_use"] == "id"
    url = made.up["protected_url"]
    assert first["protected"] == {"url": url, "without_token": 401, "with_token": 200}
    # It printed a token that a client can use.
    headers = {"Authorization": first["id_token"]}
    assert requests.get(url, headers=headers, timeout=10).status_code == 200
    assert requests.get(url, timeout=10).status_code == 401

    second = made.cli.login("ann", PASSWORD, "--json").must().document
    assert second["is_new"] is False
    assert second["user_id"] == first["user_id"]


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_a_login_reads_well(made: Up) -> None:
    done = made.cli.login("ben", PASSWORD).must()
    assert f"POST {made.up['sign_in_url']}" in done.out
    assert "  ✓ 200 a new user, signed up and signed in; user_id " in done.out
    assert re.search(r"cognito:username +ben\n", done.out)
    assert re.search(r"exp +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \w+, in (1 h|59 min.*)\n", done.out)
    assert "✓ 401 without token: refused" in done.out
    assert "✓ 200 with token: accepted" in done.out
    assert done.err == ""


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_the_password_may_come_on_stdin(made: Up) -> None:
    words = ("test-login", "--username", "cem", "--password-stdin", "--json")
    first = made.cli.run(*words, typed=f"{PASSWORD}\nanother line\n").must().document
    second = made.cli.login("cem", PASSWORD, "--json").must().document
    assert second["user_id"] == first["user_id"]


def test_a_wrong_password_is_refused(made: Up) -> None:
    made.cli.login("dea", PASSWORD).must()
    done = made.cli.login("dea", "Wrong-Horse-7", "--json").must(1)
    said = done.document
    assert said["status"] == "fail"
    assert said["msg"] == "The username or password is incorrect"
    assert said["code"] == "wrong_credentials"
    for name in ("id_token", "user_id", "is_new", "claims", "protected"):
        assert said[name] is None
    assert "Error: The login was refused: The username or password is incorrect" in done.err
    # The text for people has it only once.
    told = made.cli.login("dea", "Wrong-Horse-7").must(1)
    assert (told.out + told.err).count("The username or password is incorrect") == 1


def test_a_weak_password_makes_no_user(made: Up) -> None:
    said = made.cli.login("eve", "123456", "--json").must(1).document
    assert (said["status"], said["code"]) == ("fail", "password_policy")
    assert "8 characters" in said["msg"]
    assert "symbol" in said["msg"]
    assert not made.client("cognito-idp").list_users(
        UserPoolId=made.up["user_pool_id"], Filter='username = "eve"'
    )["Users"]


def test_two_first_logins_at_one_moment_both_succeed(made: Up) -> None:
    with ThreadPoolExecutor(2) as pool:
        clicks = [pool.submit(made.cli.login, "fay", PASSWORD, "--json") for _ in range(2)]
        said = [click.result().must().document for click in clicks]
    assert sorted(one["is_new"] for one in said) == [False, True]
    assert len({one["user_id"] for one in said}) == 1


def test_no_secret_is_written_where_it_does_not_belong(made: Up) -> None:
    cli = made.cli
    secret = made.client("cognito-idp").describe_user_pool_client(
        UserPoolId=made.up["user_pool_id"], ClientId=made.up["client_id"]
    )["UserPoolClient"]["ClientSecret"]
    told = cli.login("gus", PASSWORD).must()
    tokens_file = cli.state.with_name(".cogauth.json.cogauth-tokens")
    tokens = json.loads(tokens_file.read_text())["gus"]
    assert set(tokens) == {"id_token", "access_token", "refresh_token"}
    assert tokens_file.stat().st_mode & 0o777 == 0o600
    assert cli.state.stat().st_mode & 0o777 == 0o600
    assert cli.state.parent.stat().st_mode & 0o077 == 0
    logs = made.client("logs")
    places = {
        "the state file": cli.state.read_text(),
        "up's output": json.dumps(made.up) + made.stderr,
        "the login's output": told.out + told.err,
        "the functions": json.dumps(
            made.client("lambda").list_functions()["Functions"], default=str
        ),
        "the log": json.dumps(
            [
                event["message"]
                for group in logs.describe_log_groups()["logGroups"]
                for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
            ]
        ),
        "the local AWS's log": "".join(p.read_text() for p in cli.local.glob("*.log")),
    }
    for place, text in places.items():
        for hidden in (secret, PASSWORD, *tokens.values()):
            assert hidden not in text, place


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_a_state_file_of_elsewhere_is_refused(made: Up, tmp_path: Path) -> None:
    before = described(made.client)
    file = tmp_path / "elsewhere.json"
    for command, entry, value, said in (
        ("up", "region", "eu-west-3", f"of region eu-west-3, not of {REGION}. Nothing was touched"),
        ("down", "region", "eu-west-3", f"of region eu-west-3, not of {REGION}."),
        ("down", "endpoint_url", "http://127.0.0.1:1", "of endpoint http://127.0.0.1:1, not of ht"),
        ("up", "account", "111111111111", "of account 111111111111, not of 000000000000."),
        ("down", "account", "111111111111", "of account 111111111111, not of 000000000000."),
        ("down", "stack", "another", "of the stack another, not of cogauth"),
    ):
        text = made.cli.state.read_text()
        was = json.loads(text)[entry]
        if entry in {"region", "account"}:
            # ARNs contain it, too.
            text = text.replace(was, value)
        else:
            text = text.replace(f'"{entry}": "{was}"', f'"{entry}": "{value}"')
        file.write_text(text)
        words = [command, *made.words, "--state", str(file)]
        done = made.cli.run(*words, *(["--yes"] if command == "down" else [])).must(1)
        assert said in done.err
        assert str(file) in done.err
        assert file.read_text() == text
    assert described(made.client) == before


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_options_may_come_from_the_environment(made: Up, tmp_path: Path) -> None:
    """An option on the command line overrides its variable."""
    shared = {
        "COGAUTH_STATE": str(made.cli.state),
        "COGAUTH_ENDPOINT_URL": made.url,
        "COGAUTH_REGION": REGION,
        "COGAUTH_JSON": "1",
    }
    assert made.cli.run("up", **shared).must().document["stack"] == "cogauth"
    other = made.cli.run("up", COGAUTH_STACK="other", **shared).must(1)
    assert "of the stack cogauth, not of other" in other.error
    said = made.cli.login("hal", PASSWORD, **shared).must().document
    assert said["claims"]["cognito:username"] == "hal"
    louder = made.cli.run("up", "--region", "eu-west-3", **shared).must(1)
    assert "of region eu-central-1, not of eu-west-3" in louder.error
    # AWS's own variables work for new stacks; the state file has the other options.
    aws = {"AWS_ENDPOINT_URL": made.url, "AWS_REGION": REGION}
    assert "is up to date" in made.cli.run("up", **aws).must().out
    there = made.cli.run("down", "--yes", COGAUTH_STATE=str(tmp_path / "no.json"), **aws)
    assert "a stack cogauth exists" in there.must(1).err


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_a_reader_who_has_read_enough_is_no_error_to_show(made: Up) -> None:
    source, sink = os.pipe()
    os.close(source)
    try:
        done = subprocess.run(
            [*COGAUTH, "up", *made.words, "--json"],
            cwd=made.cli.folder,
            env=made.cli.env,
            stdout=sink,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(sink)
    assert done.returncode == 1
    assert b"Deployment             unchanged" in done.stderr
    for word in (b"Traceback", b"Exception", b"BrokenPipe"):
        assert word not in done.stderr


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_down_off_a_terminal_wants_a_yes(made: Up) -> None:
    before = described(made.client)
    done = made.cli.run("down", typed="y\n").must(2)
    assert "--yes" in done.err
    assert done.out == ""
    assert described(made.client) == before
    assert made.cli.state.exists()


@pytest.mark.long
@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_down_on_a_terminal_takes_no_for_an_answer(made: Up) -> None:
    made.cli.login("ida", PASSWORD).must()
    before = described(made.client)
    # Users would be lost, so a mere 'y' is not enough.
    for answer in ("n\n", "y\n", "cogaut\n", "\n", "\x03"):
        running = made.cli.on_terminal("down")
        asked = " ".join(running.see(r"Type the stack's name, cogauth, to delete it: ").split())
        assert f"account 000000000000, region {REGION} at {made.url}" in asked
        assert re.search(r"is deleted with about \d+ users?\.", asked)
        if answer == "\x03":
            running.press_ctrl_c()
        else:
            running.type(answer)
        assert running.ended() == (130 if answer == "\x03" else 1)
        assert ("Interrupted" if answer == "\x03" else "Nothing was deleted.") in running.text
        assert described(made.client) == before


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_a_password_is_asked_for_without_an_echo(made: Up) -> None:
    running = made.cli.on_terminal("test-login", "--username", "jan")
    running.see("Password: ")
    running.type(f"{PASSWORD}\n")
    running.see("The same again: ")
    running.type(f"{PASSWORD}\n")
    assert running.ended() == 0
    assert "a new user, signed up and signed in" in running.text
    assert re.search(r"(?s)Next:.* call GET /hello", running.text)
    assert PASSWORD not in running.text
    made.cli.login("jan", PASSWORD).must()


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_no_color_is_honoured_on_a_terminal(made: Up) -> None:
    # 30 to 49 and 90 to 107 set a colour; bold, dim and cursor moves aren't colours.
    colour = re.compile(r"\x1b\[[0-9;]*\b(?:[34]\d|9\d|10[0-7])(?:;[0-9;]*)?m")
    colourful = made.cli.on_terminal("up", *made.words)
    assert colourful.ended() == 0
    assert colour.search(colourful.text)
    plain = made.cli.on_terminal("up", *made.words, NO_COLOR="1")
    assert plain.ended() == 0
    assert not colour.search(plain.text)


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_the_next_command_can_be_pasted_whatever_the_path(made: Up, tmp_path: Path) -> None:
    state = tmp_path / "it's a folder" / "state file"
    state.parent.mkdir()
    state.write_bytes(made.cli.state.read_bytes())
    done = made.cli.run("up", "--state", str(state), *made.words).must()
    program, *words = shlex.split(done.out.splitlines()[-1].removeprefix("Next: "))
    assert program == "cogauth"
    words[words.index("NAME")] = "kai"
    made.cli.run(*words, COGAUTH_PASSWORD=PASSWORD).must()
    assert state.with_name(".state file.cogauth-tokens").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
@pytest.mark.sample(2)
def test_what_an_encoding_cannot_show_is_replaced(made: Up, encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    name = "Ωmega"
    made.cli.login(name, PASSWORD, **env).must()
    assert "?mega" in made.cli.run("users", **env).must().out
    for words in (["up", *made.words], ["token", "--decode", "--username", name]):
        made.cli.run(*words, **env).must()
    api = ("--api", made.up["rest_api_id"])
    made.cli.run("attach", *api, "--path", "/hello", "--dry-run", **env).must()
    assert made.cli.run("down", **env, typed="").must(2).err.startswith("Error: ")
    # A JSON document has every character, whatever the encoding.
    users = made.cli.run("users", "--json", **env).must().document["users"]
    assert name.lower() in {user["username"].lower() for user in users}
    on_terminal = made.cli.on_terminal("up", *made.words, **env)
    assert on_terminal.ended() == 0, on_terminal.text
    assert "Traceback" not in on_terminal.text


@pytest.mark.parametrize("made", ["endpoint"], indirect=True)
def test_a_state_file_behind_a_link_keeps_all_beside_the_file(made: Up, tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "shop.json", tmp_path / "link.json"
    real.parent.mkdir()
    real.write_bytes(made.cli.state.read_bytes())
    link.symlink_to(real)
    before = real.stat().st_ino
    said = made.cli.run("up", "--state", str(link), "--json", *made.words).must().document
    assert said["state_file"] == str(real)
    made.cli.login("lea", PASSWORD, "--state", str(link)).must()
    # The file was written and thereby replaced, but the link wasn't.
    assert real.stat().st_ino != before
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "real"]
    assert {"shop.json", ".shop.json.cogauth-tokens"} <= {
        path.name for path in real.parent.iterdir()
    }
    # A command through the link and one on the file itself exclude each other.
    with hold(real, "up", 0):
        refused = made.cli.run("up", "--state", str(link), *made.words).must(1)
    assert "Another cogauth is using" in refused.err


# A test's own stack, on a local AWS that it shares with others


def named(cli: Cli, endpoint: str, stack: str) -> None:
    """Make every command use this stack."""
    cli.env |= {"COGAUTH_STACK": stack, "COGAUTH_ENDPOINT_URL": endpoint}


def at(url: str) -> Callable[[str], Any]:
    """Return a function that gives boto3 clients for a local AWS."""
    return lambda service: client(service, url)


def test_one_setting_of_a_standing_stack_is_changed(cli: Cli, endpoint: str) -> None:
    named(cli, endpoint, "throttled")
    up = cli.run("up", "--json").must().document
    before = described(at(endpoint), "throttled")
    changed = cli.run("up", "--throttle-rate", "5", "--json").must().document
    assert actions(changed) == {**dict.fromkeys(STEPS, "unchanged"), "deployment": "updated"}
    after = described(at(endpoint), "throttled")
    (stage,) = after["api throttled"][0].pop("stages")
    (was,) = before["api throttled"][0].pop("stages")
    assert after == before
    assert was["methodSettings"]["/signin/POST"]["throttlingRateLimit"] == 20
    assert stage["methodSettings"]["/signin/POST"]["throttlingRateLimit"] == 5
    # Choices persist, and a change to a fixed one is refused.
    again = cli.run("up", "--json").must().document
    assert actions(again) == dict.fromkeys(STEPS, "unchanged")
    assert again["sign_in_url"] == up["sign_in_url"]
    assert "--stage" in cli.run("up", "--stage", "prod").must(2).err


@pytest.mark.long
def test_without_its_state_file_a_stack_is_named_and_left_alone(cli: Cli, endpoint: str) -> None:
    named(cli, endpoint, "astray")
    up = cli.run("up", "--json").must().document
    before = described(at(endpoint), "astray")
    state = cli.state.with_name("astray.json")
    hidden = state.rename(cli.folder / "hidden")

    down = cli.run("down", "--yes", "--json").must(1)
    assert down.document["deleted"] == []
    ids = {found["id"] for found in down.document["remaining"]}
    assert {up["user_pool_id"], up["rest_api_id"], "astray-LambdaAuthRole"} < ids
    assert f"a stack astray exists in account 000000000000, region {REGION}" in down.err

    refused = cli.run("up").must(1)
    assert (
        f"A stack named astray already exists in account 000000000000, region {REGION}"
        in refused.err
    )
    assert up["stack_id"] in refused.err
    assert not state.exists()
    assert described(at(endpoint), "astray") == before

    # Resources that are gone when the state file is found again count as deleted.
    # They were made long ago, so there is no wait to see whether they appear.
    text = re.sub(r'(?<="since": ")[^"]+', "2020-01-01T00:00:00+00:00", hidden.read_text())
    hidden.unlink()
    state.parent.mkdir(0o700, exist_ok=True)  # It was empty, so it was deleted.
    state.touch(0o600)
    state.write_text(text)
    client("apigateway", endpoint).delete_rest_api(restApiId=up["rest_api_id"])
    client("lambda", endpoint).delete_function(FunctionName="astray-signInFunction")
    done = cli.run("down", "--yes", "--json").must().document
    gone = {(one["step"], one["id"]) for one in done["already_gone"]}
    assert {("rest_api", up["rest_api_id"]), ("sign_in_function", "astray-signInFunction")} <= gone
    assert {"user_pool", "role"} <= {one["step"] for one in done["deleted"]}
    assert done["remaining"] == []
    assert not described(at(endpoint), "astray")


def test_where_nothing_stands_down_says_so(cli: Cli, endpoint: str) -> None:
    named(cli, endpoint, "nowhere")
    done = cli.run("down", "--json").must()
    document = done.document
    assert document.pop("elapsed_s") > 0
    assert document == {"stack": "nowhere", "deleted": [], "already_gone": [], "remaining": []}
    assert "No stack nowhere here or in account 000000000000" in done.err
    assert files_in(cli.folder) == []


@pytest.mark.sample(2)
@pytest.mark.parametrize("way_on", ["up", "down"])
def test_an_interrupted_up_goes_on_either_way(cli: Cli, endpoint: str, way_on: str) -> None:
    stack, gate = f"cut-{way_on}", Gate()
    held = Strike(Call("POST /restapis/*/authorizers", 1), "before", gate)
    with Proxy(endpoint, stack, held) as proxy:
        named(cli, proxy.url, stack)
        running = cli.spawn("up") if way_on == "up" else cli.on_terminal("up")
        gate.wait()
        running.see("Role +created")
        if way_on == "up":
            running.process.send_signal(signal.SIGINT)
        else:
            running.press_ctrl_c()
        running.see("[Ss]topping after the calls in flight")
        gate.verdict.set_result(True)
        assert running.ended() == 130
        see_it_go_on(cli, endpoint, stack, way_on, running)


def see_it_go_on(cli: Cli, endpoint: str, stack: str, way_on: str, running: Running) -> None:
    if way_on == "down":
        # The hidden cursor is back.
        assert running.text.rindex("\x1b[?25h") > running.text.rindex("\x1b[?25l")
    # Lines wrap on a terminal.
    said = " ".join(running.plain[running.plain.rindex("Error: ") :].split())
    assert f".cogauth/{stack}.json" in said
    options = f"--stack {stack} --endpoint-url {cli.env['COGAUTH_ENDPOINT_URL']}"
    assert f"'cogauth up {options}' to finish" in said
    assert f"'cogauth down {options}' to delete everything" in said
    assert "Traceback" not in running.text
    assert not re.search("Deployment +created", running.plain)
    assert f"role {stack}-LambdaAuthRole" in described(at(endpoint))
    assert "not complete" in cli.login("ann", PASSWORD).must(1).err

    if way_on == "up":
        done = actions(cli.run("up", "--json").must().document)
        assert {done[step] for step in STEPS[:3]} == {"unchanged"}
        assert done["deployment"] == "created"
        cli.login("ann", PASSWORD).must()
    cli.run("down", "--yes").must()
    assert not described(at(endpoint), stack)
    assert files_in(cli.folder) == []


def test_on_a_terminal_the_steps_are_a_live_list(cli: Cli, endpoint: str) -> None:
    named(cli, endpoint, "live")
    running = cli.on_terminal("up")
    seen = running.see(r"running")
    first = seen[: seen.index("running")]
    assert "User pool" in first
    # All steps are shown from the start; future ones are shown as waiting.
    running.see(r"Deployment +waiting")
    assert running.ended() == 0
    assert running.text.count("Deployment") > 3
    # At the usual terminal width it shows the seconds, and never wraps a line.
    assert re.search(r"Sign-in function +running +waiting for .*… \d\.\d s\n", running.plain)
    last = running.plain.rsplit("User pool", 1)[1]
    for title in TITLES[1:]:
        assert re.search(rf"✓ {title} +created +\S.* \d+\.\d s", last), title
    assert "running" not in last
    assert "Next: cogauth test-login NAME --stack live" in last
    # The hidden cursor is back.
    assert running.text.rindex("\x1b[?25h") > running.text.rindex("\x1b[?25l")

    down = cli.on_terminal("down")
    down.see(r"Delete the stack\? \[y/N\]: ")
    down.type("y\n")
    assert down.ended() == 0
    assert "remaining: nothing" in down.text
    listed = re.search(r"(\d+) resources to delete", down.text)
    assert listed
    assert f"deleted: {listed[1]}\n" in down.text
    assert not described(at(endpoint), "live")


# Down until nothing is left


def test_down_leaves_nothing(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    with someones_local_aws(tmp_path_factory.mktemp("own") / "ministack") as url:
        assert described(at(url)) == {}
        cli.env["COGAUTH_ENDPOINT_URL"] = url
        up = cli.run("up", "--json").must().document
        cli.login("ann", PASSWORD).must()
        assert cli.state.with_name(".cogauth.json.cogauth-tokens").exists()
        down = cli.run("down", "--yes", "--json").must()
        tells_of_all(down, up)
        assert f"account 000000000000, region {REGION} at {url}" in down.err
        assert "is deleted with about 1 user." in down.err
        assert described(at(url)) == {}
        assert processes_of(cli.folder) == []
        assert files_in(cli.folder) == []


# An emulator that differs from API Gateway


@pytest.mark.long
def test_an_emulator_that_wraps_requests_signs_nobody_in_and_that_is_said(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        emulator(tmp_path_factory.mktemp("kinder"), **EMULATORS_KEYS) as url,
        command_line(tmp_path, **EMULATORS_KEYS, AWS_REGION=REGION) as cli,
    ):
        cli.env["COGAUTH_ENDPOINT_URL"] = url
        cli.run("up").must()
        done = cli.login("ann", PASSWORD).must(1)
        assert "doesn't apply the API's mapping templates" in done.err
        assert "Nobody can sign in" in done.err
        assert "('cogauth up --local'), which behaves like API Gateway" in done.err
        assert "eyJ" not in done.out
        document = cli.login("ann", PASSWORD, "--json").must(1).document
        assert (document["status"], document["http_status"]) == ("fail", 200)
        cli.run("down", "--yes").must()


def tells_of_all(down: Result, up: dict[str, Any]) -> None:
    """Check that ``down`` reports the deletion of everything that ``up`` reported as made."""
    document, stack = down.document, up["stack"]
    assert list(document) == ["stack", "deleted", "already_gone", "remaining", "elapsed_s"]
    assert document["stack"] == stack
    assert (document["already_gone"], document["remaining"]) == ([], [])
    deleted = [(one["step"], one["id"]) for one in document["deleted"]]
    assert {step for step, _ in deleted} == set(STEPS)
    # Each is listed once, although several resources of a step may share an id.
    assert sorted(one["resource"] for one in document["deleted"]) == sorted(
        {one["resource"] for one in document["deleted"]}
    )
    for step, name in (
        ("user_pool", "user_pool_id"),
        ("app_client", "client_id"),
        ("rest_api", "rest_api_id"),
        ("authorizer", "authorizer_id"),
    ):
        assert (step, up[name]) in deleted
    for function in ("sign_in_function", "auto_confirm_function"):
        assert len([step for step, _ in deleted if step == function]) == 2  # and its log group


# The embedded local AWS, as the commands find it


@pytest.mark.long
def test_two_stacks_share_a_local_aws_to_the_last(cli: Cli) -> None:
    first = (
        cli.run("up", "--local", "--region", REGION, "--stack", "first", "--json").must().document
    )
    # A state file doesn't need the extension .json.
    mine = ("--stack", "second", "--state", ".cogauth/mine")
    second = cli.run("up", "--local", "--region", REGION, *mine, "--json").must().document
    assert first["endpoint_url"] == second["endpoint_url"]
    # Not every file next to it is a state file.
    (cli.state.parent / "notes.txt").write_text("The first is for the shop.")
    pid = pid_of_local_aws(cli)
    last = "the local AWS's last stack: it will stop"
    assert last not in cli.run("down", "--yes", "--stack", "first").must().err
    assert pid in processes_of(cli.folder)
    assert "pool second" in described(at(second["endpoint_url"]))
    assert not described(at(second["endpoint_url"]), "first")
    cli.login("ann", PASSWORD, *mine).must()
    # A function that is running doesn't outlive it, either.
    run_slowly(second)
    assert until(lambda: any(cli.local.rglob("at-work")))
    done = cli.run("down", "--yes", "--json", *mine).must()
    tells_of_all(done, second)
    assert last in done.err
    assert "the local AWS was stopped" in done.err
    until(lambda: not processes_of(cli.folder), 2)  # A killed process takes a moment to disappear.
    assert processes_of(cli.folder) == []
    assert not is_listening(urlsplit(second["endpoint_url"]).port or 0)
    assert files_in(cli.folder) == [".cogauth/.gitignore", ".cogauth/notes.txt"]


def run_slowly(up: dict[str, Any]) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr(
            "slow.py",
            "import os, time\n"
            "def handler(event, context):\n"
            "    open(os.environ['TMPDIR'] + '/at-work', 'w').close()\n"
            "    time.sleep(60)\n",
        )
    functions = client("lambda", up["endpoint_url"])
    functions.create_function(
        FunctionName="slow",
        Runtime="python3.14",
        Handler="slow.handler",
        Role=up["role_arn"],
        Timeout=60,
        Code={"ZipFile": code.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(
        FunctionName="slow", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    functions.invoke(FunctionName="slow", InvocationType="Event")


@pytest.mark.long
def test_a_local_aws_comes_back_with_its_data_or_without(cli: Cli) -> None:
    up = cli.run("up", "--local", "--json").must().document
    user = cli.login("ann", PASSWORD, "--json").must().document
    port = urlsplit(up["endpoint_url"]).port

    # Ended as by a shutdown of the machine; then another program takes its port.
    pid = pid_of_local_aws(cli)
    os.kill(pid, signal.SIGTERM)
    assert until(lambda: pid not in processes_of(cli.folder))
    with socket.create_server(("127.0.0.1", port)):
        done = cli.login("ann", PASSWORD, "--json").must(1)
        assert f"Another program uses the local AWS's port {port}" in done.error
        assert "Nothing is lost" in done.err
    again = cli.login("ann", PASSWORD, "--json").must().document
    assert (again["is_new"], again["user_id"]) == (False, user["user_id"])
    assert pid_of_local_aws(cli) != pid

    # Its state file is missing, so 'up' refuses, until the file is back.
    hidden = cli.state.rename(cli.folder / "hidden")
    assert "already exists in account" in cli.run("up", "--local").must(1).err
    hidden.rename(cli.state)
    same = cli.run("up", "--local", "--json").must().document
    assert actions(same) == dict.fromkeys(STEPS, "unchanged")

    # Killed: nothing was saved.
    pid = pid_of_local_aws(cli)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: pid not in processes_of(cli.folder))
    anew = cli.run("up", "--local", "--json").must()
    assert "ended without saving its data" in anew.err
    assert actions(anew.document) == dict.fromkeys(STEPS, "created")
    assert anew.document["endpoint_url"] == up["endpoint_url"]
    assert not cli.state.with_name(".cogauth.json.cogauth-tokens").exists()
    new = cli.login("ann", PASSWORD, "--json").must()
    assert new.document["is_new"]
    assert new.document["user_id"] != user["user_id"]
    # It is reported once: after that, nothing is lost.
    assert "ended without saving" not in new.err
