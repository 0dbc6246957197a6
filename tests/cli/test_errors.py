"""The command line's messages and exit codes when something is wrong."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from cogauth import __version__
from cogauth.record.state import State
from cogauth.settings import Settings
from support.commands import KEYS, Cli, command_line, environment, files_in
from support.local_aws import client, free_port
from support.names import PASSWORD, REGION
from support.servers import (
    ACCOUNT,
    CALLER,
    OWN_API,
    STACK_ID,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
    is_identity_call,
)
from support.state_files import whole_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.forker import Result

COMMANDS = ["up", "test-login", "down", "demo"]


def error_answer(code: str, message: str = "no", status: int = 403) -> Answer:
    return Answer(
        status,
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>",
    )


@pytest.fixture
def silent() -> Iterator[Fixed]:
    """A server in AWS's place that should receive no request."""
    with Fixed(lambda _: error_answer("Unexpected", status=400)) as server:
        yield server


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Cli]:
    """The command line of someone without any AWS configuration."""
    with command_line(tmp_path) as made:
        yield made


@pytest.fixture
def existing(cli: Cli, silent: Fixed) -> dict[str, Any]:
    """Write a state file that records a whole stack; return its contents."""
    State(
        path=cli.state,
        stack="cogauth",
        account=ACCOUNT,
        region=REGION,
        endpoint_url=silent.url,
        settings=Settings(),
        stack_id=STACK_ID,
        resources=whole_stack(rest_api="id-of-rest_api"),
    ).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = silent.url
    return dict(json.loads(cli.state.read_text()))


def reads_well(done: Result, *parts: str, code: int = 1) -> None:
    """Check that an error is only one message on stderr that contains each part."""
    done.must(code)
    assert done.out == ""
    for part in parts:
        assert part in done.err, done.err
    assert done.err.splitlines()[-1].startswith("Error: "), done.err


# Usage


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_needs_nothing(bare: Cli, words: list[str]) -> None:
    done = bare.run(*words, "--help").must()
    assert done.out.startswith("Usage: cogauth " + " ".join(words))
    assert done.err == ""
    if words:
        assert "Examples:\n    cogauth" in done.out
        for shared in ("--stack", "--state", "--profile", "--region", "--endpoint-url", "--json"):
            assert shared in done.out


def test_the_version(bare: Cli) -> None:
    assert bare.run("-h").must().out == bare.run("--help").must().out
    assert bare.run("--version").must().out == f"cogauth {__version__}\n"


def test_without_a_command_the_help_is_shown(bare: Cli) -> None:
    done = bare.run().must(2)
    assert "Usage: cogauth" in done.out + done.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["upp"], "No such command 'upp'"),
        (["up", "--stak", "x"], "No such option '--stak'"),
        (["up", "more"], "unexpected extra argument (more)"),
        (["test-login"], "No user is named: give NAME"),
    ],
)
def test_what_is_no_command_is_named(bare: Cli, words: list[str], named: str) -> None:
    done = bare.run(*words).must(2)
    assert named in done.err
    assert done.out == ""


@pytest.mark.parametrize("form", [["--password", PASSWORD], [f"--password={PASSWORD}"]])
def test_a_password_is_not_taken_from_the_command_line(
    cli: Cli, existing: dict[str, Any], silent: Fixed, form: list[str]
) -> None:
    assert existing
    done = cli.run("test-login", "--username", "ann", *form).must(2)
    assert "No such option" in done.err
    assert PASSWORD not in done.err
    assert silent.requests == []


def test_a_missing_password_is_said_to_be_missing(
    cli: Cli, existing: dict[str, Any], silent: Fixed
) -> None:
    assert existing
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    for typed, words, said in (
        (b"", [], "No password was given, and stdin is not a terminal"),
        (b"", ["--password-stdin"], "The password is empty"),
        (b"\n", ["--password-stdin"], "The password is empty"),
        (b"\xff\xfe\n", ["--password-stdin"], "not UTF-8"),
    ):
        done = cli.run("test-login", "--username", "ann", *words, typed=typed, **strict)
        reads_well(done, said, code=2)
    assert silent.requests == []


BAD_VALUES = [
    ("--stack", ("", "a b", "../up", "x" * 41, "größe")),
    ("--tier", ("FREE",)),
    ("--sign-up", ("shut", "")),
    ("--password-min-length", ("5", "100", "eight")),
    ("--password-require", ("upper,emoji",)),
    ("--runtime", ("python3.10", "nodejs22.x")),
    ("--architecture", ("mips",)),
    ("--permissions-boundary", ("", "boundary", "arn:aws:iam::123456789012:role/x")),
    ("--sign-in-memory", ("127", "10241")),
    ("--sign-in-timeout", ("5", "30")),
    ("--auto-confirm-memory", ("64",)),
    ("--auto-confirm-timeout", ("0", "6")),
    ("--path", ("signin", "/a/b", "/hello")),
    ("--stage", ("a b", "")),
    ("--throttle-rate", ("0", "nan", "many")),
    ("--throttle-burst", ("0", "5001")),
    ("--cors-origin", ("", "null", "https://app.example/", "app.example", "https://*.example")),
    ("--region", ("moon-1",)),
    ("--endpoint-url", ("ftp://127.0.0.1", "127.0.0.1:4566", "http://127.0.0.1:x")),
    ("--adopt", ("eu-central-1_NotRecorded",)),
    ("--state", (".",)),
    ("--settle", ("-1", "soon")),
    ("--lock-timeout", ("-1", "soon")),
]


def test_bad_values_of_up_are_refused_before_anything_happens(cli: Cli, silent: Fixed) -> None:
    pairs = [(option, value) for option, values in BAD_VALUES for value in values]
    # Each takes a moment, so two run at once; one may have to wait for the other's lock.
    env = {"AWS_ENDPOINT_URL": silent.url, "COGAUTH_LOCK_TIMEOUT": "60"}
    with ThreadPoolExecutor(2) as two:
        results = list(two.map(lambda pair: cli.run("up", *pair, **env), pairs))
    for (option, value), done in zip(pairs, results, strict=True):
        done.must(2)
        assert option in done.err or f"endpoint {value!r}" in done.err, done.err
        assert done.out == ""
    assert silent.requests == []
    assert [entry.name for entry in cli.folder.iterdir()] == ["tmp"]


def test_every_option_of_up_has_a_bad_value_here(bare: Cli) -> None:
    """Except flags, and options that accept any text."""
    text = bare.run("up", "--help").must().out
    # An option's metavar follows after one space, a flag's help after several.
    offered = set(re.findall(r"^  (?:-[a-z], )?(--[a-z-]+) [A-Za-z|]+\b", text, re.MULTILINE))
    assert offered - {"--profile"} == {option for option, _ in BAD_VALUES}


def test_a_bad_value_from_the_environment_is_refused_too(cli: Cli, silent: Fixed) -> None:
    done = cli.run("up", COGAUTH_TIER="FREE", AWS_ENDPOINT_URL=silent.url).must(2)
    assert "--tier 'FREE' can't be used: give LITE, ESSENTIALS or PLUS." in done.err
    assert silent.requests == []


def test_local_and_an_endpoint_exclude_each_other(cli: Cli, silent: Fixed) -> None:
    done = cli.run("up", "--local", "--endpoint-url", silent.url)
    reads_well(done, "--local and --endpoint-url exclude each other", code=2)
    assert silent.requests == []
    assert files_in(cli.folder) == []


def test_an_error_is_one_json_document_too(cli: Cli) -> None:
    done = cli.run("up", "--tier", "FREE", "--json").must(2)
    assert list(done.document) == ["error"]
    assert done.error.startswith("--tier 'FREE' can't be used")
    assert done.document["error"]["message"] in done.err


def test_only_debug_shows_a_traceback(cli: Cli) -> None:
    plain = cli.run("up", "--tier", "FREE").must(2)
    debug = cli.run("up", "--tier", "FREE", "--debug")
    assert debug.code == 2
    assert debug.out == ""
    assert "Traceback (most recent call last)" in debug.err
    assert debug.err.endswith(plain.err)
    both = cli.run("up", "--tier", "FREE", "--debug", "--json")
    assert list(both.document) == ["error"]
    assert "Traceback" in cli.run("up", "--tier", "FREE", COGAUTH_DEBUG="1").err


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


@pytest.mark.local
def test_a_denied_step_names_the_action_and_the_way_on(cli: Cli, endpoint: str) -> None:
    iam = client("iam", endpoint)
    iam.create_user(UserName="limited")
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "lambda:CreateFunction", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allowed, denied]}
    iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="limited")["AccessKey"]
    own = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "COGAUTH_ENDPOINT_URL": endpoint,
        "COGAUTH_STACK": "denied",
    }
    done = cli.run("up", **own)
    reads_well(
        done,
        "function' failed: AccessDenied",
        "(lambda:CreateFunction)",
        "lack that permission",
        "Nothing is lost: .cogauth/denied.json records what exists",
        f"'cogauth up --stack denied --endpoint-url {endpoint}' again",
        f"'cogauth down --stack denied --endpoint-url {endpoint}'",
    )
    # With the permission it continues, and doesn't recreate what exists.
    policy["Statement"] = [allowed]
    iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    again = cli.run("up", "--json", **own).must().document
    actions = {step["step"]: step["action"] for step in again["steps"]}
    assert actions["role"] != "created"
    assert actions["sign_in_function"] in {"created", "updated"}
    cli.run("down", "--yes", **own).must()


@pytest.mark.local
@pytest.mark.parametrize("taken", ["role", "function", "log group"])
def test_a_name_that_is_someone_elses_is_named_and_left_alone(
    cli: Cli, endpoint: str, taken: str
) -> None:
    stack = f"taken-{taken.split(maxsplit=1)[0]}"
    if taken == "role":
        name = f"{stack}-LambdaAuthRole"
        client("iam", endpoint).create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    elif taken == "log group":
        name = f"/aws/lambda/{stack}-signInFunction"
        client("logs", endpoint).create_log_group(logGroupName=name)
    else:
        name = f"{stack}-autoConfirmUserFunction"
        role = client("iam", endpoint).create_role(
            RoleName="another", AssumeRolePolicyDocument="{}"
        )["Role"]
        client("lambda", endpoint).create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/none:1"},
            Role=role["Arn"],
        )
    done = cli.run("up", "--endpoint-url", endpoint, "--stack", stack)
    reads_well(done, name, "already exists", "Use another --stack")
    assert files_in(cli.folder) == []
    iam = client("iam", endpoint)
    pools = client("cognito-idp", endpoint).list_user_pools(MaxResults=60)["UserPools"]
    assert stack not in {pool["Name"] for pool in pools}
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    assert (f"{stack}-LambdaAuthRole" in roles) == (taken == "role")


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


def test_a_state_file_that_is_a_link_to_itself(cli: Cli) -> None:
    cli.state.parent.mkdir()
    cli.state.symlink_to(cli.state)
    for words in (["up"], ["down"], ["up", "--state", str(cli.state)]):
        assert "the link leads to itself" in cli.run(*words).must(2).err


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


def test_a_token_on_the_command_line_is_refused_in_json_too(cli: Cli) -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.sig"
    done = cli.run("decode", "--json", token).must(2)
    assert "There is a token on the command line" in done.error
    assert token not in done.out + done.err


def test_recover_leaves_a_newer_cogauths_file_alone(
    cli: Cli, existing: dict[str, Any], silent: Fixed
) -> None:
    cli.state.write_text(json.dumps({**existing, "version": 3}))
    before = cli.state.read_bytes()
    done = cli.run("recover", AWS_ENDPOINT_URL=silent.url)
    reads_well(done, "has version 3", "A newer cogauth wrote it")
    assert cli.state.read_bytes() == before
    assert files_in(cli.folder) == [".cogauth/.gitignore", ".cogauth/cogauth.json"]


def test_an_error_of_a_value_is_a_json_document_too(cli: Cli) -> None:
    for words, env in (
        (["up", "--json", "--settle", "soon"], {}),
        (["users", "--json", "--nothing"], {}),
        (["attach"], {"COGAUTH_JSON": "1"}),
    ):
        done = cli.run(*words, **env).must(2)
        assert list(done.document) == ["error"]
        assert done.document["error"]["message"] in done.err


def test_a_state_file_that_can_not_be_written(cli: Cli, silent: Fixed) -> None:
    (cli.folder / "file").touch()
    for place in ("file/state.json", "/proc/nowhere/state.json", "file/deep/state.json"):
        done = cli.run("up", "--state", place, "--endpoint-url", silent.url)
        reads_well(done, place)
        assert re.search(r"can't be (read|written): (Not a directory|No such file)", done.err)
    assert silent.requests == []
    assert files_in(cli.folder) == ["file"]


def test_a_login_without_a_stack_says_what_to_do(cli: Cli) -> None:
    done = cli.run("test-login", "--username", "ann", COGAUTH_PASSWORD=PASSWORD)
    reads_well(done, "There is no stack here", ".cogauth/cogauth.json", "cogauth up", code=2)


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
