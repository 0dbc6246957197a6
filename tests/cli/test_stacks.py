"""The stack of a command: an account or a state file that can't be used, and what is said of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from support.commands import KEYS, Cli, environment, files_in, in_process
from support.local_aws import free_port
from support.mistakes import error_answer, reads_well
from support.names import PASSWORD, REGION
from support.servers import (
    CALLER,
    OWN_API,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
    is_identity_call,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.account import Account

# For the fixtures.
pytest_plugins = ["support.mistakes"]


# Credentials, region, profile


def test_no_credentials(bare: Cli) -> None:
    done = bare.run("up", "--region", REGION)
    reads_well(done, "No AWS credentials were found", "aws configure", "cogauth demo")
    assert [entry.name for entry in bare.folder.iterdir()] == ["tmp"]
    done = bare.run("down", "--region", REGION)
    reads_well(done, "No AWS credentials were found")


def test_half_of_the_credentials(bare: Cli) -> None:
    done = bare.run("up", "--region", REGION, AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE")
    reads_well(done, "credentials are incomplete", "AWS_SECRET_ACCESS_KEY")


def test_no_region(bare: Cli) -> None:
    done = bare.run("up", **KEYS)
    reads_well(done, "No AWS region is set", "--region", "AWS_REGION", code=2)


@pytest.mark.parametrize("words", [{"AWS_PROFILE": "nobody"}, {"COGAUTH_PROFILE": "nobody"}])
def test_an_unknown_profile(bare: Cli, words: dict[str, str]) -> None:
    done = bare.run("up", "--region", REGION, **words)
    reads_well(done, "nobody", "could not be found", "aws configure list-profiles")


def test_an_sso_session_that_never_was(bare: Cli) -> None:
    config = bare.folder / "config"
    config.write_text(
        "[profile work]\nsso_start_url = https://example.awsapps.com/start\n"
        "sso_region = eu-central-1\nsso_account_id = 123456789012\nsso_role_name = Admin\n"
    )
    done = bare.run("up", "--profile", "work", "--region", REGION, AWS_CONFIG_FILE=str(config))
    reads_well(done, "SSO session has expired", "aws sso login")


def test_a_broken_aws_configuration(bare: Cli) -> None:
    config = bare.folder / "config"
    config.write_text("region = eu-central-1\n")
    done = bare.run("up", AWS_CONFIG_FILE=str(config), **KEYS)
    reads_well(done, "AWS configuration can't be read", str(config))


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("ExpiredToken", ("credentials have expired (ExpiredToken)", "aws sso login")),
        ("InvalidClientTokenId", ("AWS doesn't accept these credentials", "--profile")),
        ("SignatureDoesNotMatch", ("AWS doesn't accept these credentials", "--profile")),
        ("AccessDenied", ("AccessDenied (sts:GetCallerIdentity)", "lack that permission")),
    ],
)
def test_credentials_that_aws_refuses(cli: Cli, code: str, parts: tuple[str, ...]) -> None:
    message = "User: ann is not authorized to perform: sts:GetCallerIdentity"
    with Fixed(lambda _: error_answer(code, message)) as aws:
        done = cli.run("up", "--endpoint-url", aws.url)
        reads_well(done, *parts)
        assert all(is_identity_call(request) for request in aws.requests)
    assert [entry.name for entry in cli.folder.iterdir()] == ["tmp"]


def test_credentials_that_expire_on_the_way(cli: Cli) -> None:
    """Only the first call succeeds."""

    def aws(request: Request) -> Answer:
        if is_identity_call(request):
            return Answer(200, CALLER)
        return Answer(400, json.dumps({"__type": "ExpiredTokenException", "message": "expired"}))

    with Fixed(aws) as server:
        reads_well(cli.run("up", "--endpoint-url", server.url), "have expired", "same command")


def test_no_network(cli: Cli) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = cli.run("up", "--endpoint-url", url)
    reads_well(done, "AWS can't be reached", url, "--endpoint-url", "run this command again")
    assert files_in(cli.folder) == []


# The state file


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "\x00\xff",
        {"version": None},
        {"settings": None},
        {"resources": {"user_pool": {"user_pool": {}}}},
        {"resources": {"user_pool": {"user_pool": {"status": "created"}}}},
        {"resources": {"user_pool": {"user_pool": {"status": "broken", "id": "x"}}}},
    ],
    ids=lambda damage: str(damage)[:30].encode("unicode_escape").decode(),
)
def test_a_damaged_state_file_is_left_as_it_is(
    cli: Cli, existing: dict[str, Any], silent: Fixed, damage: Any
) -> None:
    text = json.dumps({**existing, **damage}) if isinstance(damage, dict) else damage
    cli.state.write_text(text, encoding="latin-1")
    done = cli.run("down", "--yes")
    reads_well(done, "The state file .cogauth/cogauth.json", "is damaged")
    assert cli.state.read_text(encoding="latin-1") == text
    assert silent.requests == []


@pytest.mark.parametrize(
    "command", [["up"], ["up", "--local"], ["test-login", "--username", "ann"]]
)
def test_every_command_refuses_a_damaged_state_file(
    cli: Cli, silent: Fixed, command: list[str]
) -> None:
    cli.state.parent.mkdir()
    cli.state.write_text('{"version": 1}')
    done = cli.run(*command, AWS_ENDPOINT_URL=silent.url, COGAUTH_PASSWORD=PASSWORD)
    reads_well(done, ".cogauth/cogauth.json is damaged", "left as it is", "cogauth recover")
    assert files_in(cli.folder) == [".cogauth/cogauth.json"]
    assert silent.requests == []


def test_a_state_file_of_a_later_version(cli: Cli, existing: dict[str, Any]) -> None:
    cli.state.write_text(json.dumps({**existing, "version": 3}))
    reads_well(cli.run("down", "--yes"), "has version 3", "reads up to version 2")


@pytest.mark.parametrize("leftover", ["AWS_ENDPOINT_URL", "COGAUTH_ENDPOINT_URL", "profile"])
def test_a_leftover_endpoint_is_named_where_the_stack_is_on_aws(
    cli: Cli, existing: dict[str, Any], silent: Fixed, leftover: str
) -> None:
    cli.state.write_text(json.dumps({**existing, "endpoint_url": None}))
    del cli.env["COGAUTH_ENDPOINT_URL"]
    env = {leftover: silent.url}
    if leftover == "profile":
        (cli.folder / "config").write_text(f"[default]\nendpoint_url = {silent.url}\n")
        env = {"AWS_CONFIG_FILE": str(cli.folder / "config")}
    named = "endpoint_url out of the AWS profile" if leftover == "profile" else leftover
    done = cli.run("down", "--yes", **env)
    reads_well(done, "of endpoint AWS's own", silent.url, named, "Nothing was touched")
    assert "Give the same with" not in done.err
    assert silent.requests == []


def test_a_state_file_that_can_not_be_written(cli: Cli, silent: Fixed) -> None:
    (cli.folder / "file").touch()
    for place in ("file/state.json", "/proc/nowhere/state.json", "file/deep/state.json"):
        done = cli.run("up", "--state", place, "--endpoint-url", silent.url)
        reads_well(done, place)
        assert re.search(r"can't be (read|written): (Not a directory|No such file)", done.err)
    assert silent.requests == []
    assert files_in(cli.folder) == ["file"]


# Where a password may be sent


def test_neither_password_nor_credentials_cross_the_network_in_clear_text(
    cli: Cli, existing: dict[str, Any]
) -> None:
    """0.0.0.0 reaches this machine but isn't a loopback address; here it acts as another host."""

    def aws(request: Request) -> Answer:
        if asks_for_the_api(request):
            return OWN_API
        return Answer(200, CALLER) if is_identity_call(request) else Answer(404)

    with Fixed(aws) as server:
        url = f"http://0.0.0.0:{server.port}"
        cli.state.write_text(json.dumps({**existing, "endpoint_url": url}))
        given = {"COGAUTH_ENDPOINT_URL": url, "COGAUTH_PASSWORD": PASSWORD}
        # The same goes for credentials: whoever reads a signed request can reuse it.
        for words in (["up"], ["down", "--yes"], ["test-login", "--username", "ann"]):
            done = cli.run(*words, **given)
            reads_well(done, "cross the network in clear text to 0.0.0.0", "--allow-http", code=2)
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
            done = cli.run("up", "--stack", "other", COGAUTH_ENDPOINT_URL="", **{variable: url})
            reads_well(done, "cross the network in clear text to 0.0.0.0", "--allow-http", code=2)
        assert server.requests == []
        done = cli.run("test-login", "--username", "ann", "--allow-http", **given)
        assert any(is_identity_call(request) for request in server.requests)
        assert any(PASSWORD.encode() in request.body for request in server.requests)
        assert "in clear text" not in done.err


def test_the_environment_of_these_tests_is_nobodys(tmp_path: Path) -> None:
    kept = {name for name in environment(tmp_path) if name.startswith("AWS_")}
    assert kept == {
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_EC2_METADATA_DISABLED",
    }


def test_the_other_stacks_here_are_named(account: Account) -> None:
    state = account.context().state
    state.save()
    missing = state.path.parent / "missing.json"
    done = in_process("users", "--stack", "missing", "--state", str(missing)).must(2)
    assert f"Stacks here: {state.stack} (--stack {state.stack} --state {state.path})" in done.err
