"""Where credentials come from, and where credentials and stdin must not end up."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.session import Session

from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.errors import CogauthError
from support.broken import COMMANDS, OWN_KEYS, SECRET_KEY, TOKEN, record_whole_stack
from support.commands import KEYS, Cli, command_line
from support.names import PASSWORD, REGION
from support.servers import ACCOUNT, CALLER, OWN_API, Answer, Fixed, Request, asks_for_the_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICE = f"arn:aws:iam::{ACCOUNT}:mfa/ann"
ROLE = f"""
[profile work]
region = {REGION}
role_arn = arn:aws:iam::{ACCOUNT}:role/admin
source_profile = source
mfa_serial = {DEVICE}
[profile chained]
region = {REGION}
role_arn = arn:aws:iam::{ACCOUNT}:role/further
source_profile = work
[profile source]
aws_access_key_id = {OWN_KEYS["AWS_ACCESS_KEY_ID"]}
aws_secret_access_key = {SECRET_KEY}
"""
ASSUMED = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    "<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    "<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>"
)


class Sts(Fixed):
    """AWS's STS; it refuses every other request."""

    def __init__(self) -> None:
        super().__init__(self.answer)

    def answer(self, request: Request) -> Answer:
        if b"Action=AssumeRole" in request.body:
            return Answer(200, ASSUMED)
        if b"Action=GetCallerIdentity" in request.body:
            return Answer(200, CALLER)
        if asks_for_the_api(request):
            return OWN_API
        return Answer(400, json.dumps({"__type": "Unexpected", "message": "no"}))

    def sent(self, text: str) -> list[Request]:
        return [request for request in self.requests if text.encode() in request.body]


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as server:
        yield server


@pytest.fixture
def role(tmp_path: Path, sts: Sts) -> Iterator[Cli]:
    """The command line of someone whose profile requires MFA and whose stack exists."""
    config = tmp_path / "config"
    config.write_text(ROLE)
    with command_line(
        tmp_path, AWS_CONFIG_FILE=str(config), AWS_PROFILE="work", AWS_ENDPOINT_URL=sts.url
    ) as made:
        record_whole_stack(made, sts.url)
        yield made


def words_of(command: str, sts: Sts) -> list[str]:
    there = f"{sts.url}/restapis/id-of-rest_api/dev/_user_request_/hello"
    return [there if word == "URL" else word for word in COMMANDS[command]]


# The commands that read a password on stdin: one before it asks AWS, the others after.
WITH_PASSWORD = {
    "test-login": ["test-login", "--username", "ann", "--password-stdin"],
    "token": ["token", "--username", "ann", "--password-stdin"],
    "call": ["call", "GET", "/hello", "--username", "ann", "--password-stdin"],
}


# MFA


@pytest.mark.parametrize("profile", ["work", "chained"])
@pytest.mark.parametrize("command", WITH_PASSWORD)
def test_what_is_on_stdin_is_no_mfa_code(role: Cli, sts: Sts, profile: str, command: str) -> None:
    words = [*WITH_PASSWORD[command], "--debug", "--json"]
    for typed in (f"{PASSWORD}\n", "902134\n"):
        done = role.run(*words, typed=typed, AWS_PROFILE=profile).must_fail()
        assert DEVICE in done.error
        assert "no terminal" in done.error
        assert "export-credentials" in done.error
        assert typed.strip() not in done.out + done.err
    assert sts.requests == []


@pytest.mark.parametrize(
    "command", sorted(COMMANDS.keys() - {"decode", "list", "outputs", "policy", "page"})
)
@pytest.mark.sample(5)
def test_the_mfa_code_is_asked_for_on_the_terminal(role: Cli, sts: Sts, command: str) -> None:
    words = [word for word in words_of(command, sts) if word != "--password-stdin"]
    running = role.on_terminal(*words, COGAUTH_PASSWORD=PASSWORD)
    running.see(f"Enter MFA code for {DEVICE}: ")
    running.type("902134\n")
    running.ended()
    assert len(sts.sent("TokenCode=902134")) == 1
    assert sts.sent("Action=GetCallerIdentity")
    assert "902134" not in running.text


def test_the_mfa_code_is_typed_while_the_password_is_on_a_pipe(role: Cli, sts: Sts) -> None:
    line = f"echo {PASSWORD} | $COGAUTH test-login --username ann --password-stdin"
    running = role.shell_on_terminal(line)
    running.see("Enter MFA code")
    running.type("902134\n")
    running.ended()
    assert len(sts.sent("TokenCode=902134")) == 1
    assert [request.path for request in sts.sent(PASSWORD)] == [
        "/restapis/id-of-rest_api/dev/_user_request_/signin"
    ]


@pytest.mark.parametrize("typed", [PASSWORD, "90213", "9021345", "", "١٢٣٤٥٦"])
def test_what_is_no_mfa_code_goes_nowhere(role: Cli, sts: Sts, typed: str) -> None:
    running = role.on_terminal("users")
    running.see("Enter MFA code")
    running.type(f"{typed}\n")
    assert running.ended() == 1
    assert "a code has six digits" in " ".join(running.plain.split())
    assert not typed or typed not in running.plain
    assert sts.requests == []


@pytest.mark.parametrize("ending", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_the_question_for_the_mfa_code_can_be_left(role: Cli, sts: Sts, ending: str) -> None:
    running = role.on_terminal("users")
    running.see("Enter MFA code")
    running.type(ending)
    assert running.ended() == 130
    assert sts.requests == []


# Programs that provide credentials


@pytest.mark.parametrize("command", WITH_PASSWORD)
def test_a_credential_process_does_not_read_the_password(
    tmp_path: Path, sts: Sts, command: str
) -> None:
    (tmp_path / "program").write_text(
        f"cat > {tmp_path}/read\necho '"
        + json.dumps({"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s"})
        + "'\n"
    )
    config = tmp_path / "config"
    # The program must not read stdin at any depth, such as when it is a source profile.
    config.write_text(
        f"[profile work]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/admin\nsource_profile = program\n"
        f"[profile program]\ncredential_process = sh {tmp_path}/program\n"
    )
    for profile in ("program", "work"):
        with command_line(
            tmp_path,
            AWS_CONFIG_FILE=str(config),
            AWS_PROFILE=profile,
            AWS_ENDPOINT_URL=sts.url,
        ) as cli:
            record_whole_stack(cli, sts.url)
            cli.run(*WITH_PASSWORD[command], typed=f"{PASSWORD}\n")
        assert (tmp_path / "read").read_text() == ""
        assert {request.path for request in sts.sent(PASSWORD)} == {
            "/restapis/id-of-rest_api/dev/_user_request_/signin"
        }
        sts.requests.clear()


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_program_that_breaks_at_its_nth_run_is_an_error_in_words(
    tmp_path: Path, sts: Sts, nth: int
) -> None:
    # botocore renews credentials that expire in five minutes every time it uses them.
    ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    good = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s", "Expiration": ends}
    (tmp_path / "program").write_text(
        f"echo >> {tmp_path}/runs\n"
        f"if [ $(wc -l < {tmp_path}/runs) -ge {nth} ]; then echo '<html>'; exit; fi\n"
        f"echo '{json.dumps(good)}'\n"
    )
    config = tmp_path / "config"
    config.write_text(f"[profile work]\ncredential_process = sh {tmp_path}/program\n")
    env = {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "work", "AWS_ENDPOINT_URL": sts.url}
    with command_line(tmp_path, **env) as cli:
        record_whole_stack(cli, sts.url)
        done = cli.run("users", "--json").must(1)
    assert (tmp_path / "runs").read_text().count("\n") >= nth
    assert "JSONDecodeError" in done.error
    assert "credential_process" in done.error
    assert "defect" not in done.err


# Variables


@pytest.mark.parametrize(
    "name",
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"],
)
@pytest.mark.parametrize("damage", ["{}\n", "\n{}", "{}\r", "a {}", "{}\t", "{}\u20ac", "{}\udcff"])
def test_a_credential_that_cant_be_sent_is_named_and_not_shown(
    cli: Cli, sts: Sts, name: str, damage: str
) -> None:
    env = {**OWN_KEYS, name: damage.format(TOKEN)}
    done = cli.run("up", "--debug", "--json", AWS_ENDPOINT_URL=sts.url, **env).must_fail(2)
    assert name in done.error
    assert "line end" in done.error
    assert "network" not in done.error
    assert TOKEN not in done.out + done.err
    assert sts.requests == []


# The login of the AWS CLI


@pytest.fixture
def login(tmp_path: Path, sts: Sts) -> Iterator[Cli]:
    """The command line of someone who ran 'aws login'."""
    cryptography = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = cryptography.generate_private_key(cryptography.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    session = f"arn:aws:iam::{ACCOUNT}:user/ann"
    expiry = datetime.now(UTC) + timedelta(hours=1)
    token = {
        "accessToken": {
            "accessKeyId": "ASIALOGIN",
            "secretAccessKey": "s",
            "sessionToken": "t",
            "accountId": ACCOUNT,
            "expiresAt": f"{expiry:%Y-%m-%dT%H:%M:%SZ}",
        },
        "refreshToken": "r",
        "dpopKey": key.decode(),
        "clientId": "c",
    }
    name = hashlib.sha256(session.encode()).hexdigest()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{name}.json").write_text(json.dumps(token))
    config = tmp_path / "config"
    config.write_text(f"[profile work]\nregion = {REGION}\nlogin_session = {session}\n")
    with command_line(
        tmp_path,
        AWS_CONFIG_FILE=str(config),
        AWS_PROFILE="work",
        AWS_ENDPOINT_URL=sts.url,
        AWS_LOGIN_CACHE_DIRECTORY=str(tmp_path / "cache"),
    ) as made:
        record_whole_stack(made, sts.url)
        yield made


def test_a_profile_of_aws_login_works(login: Cli, sts: Sts) -> None:
    pytest.importorskip("awscrt", reason="needs the extra 'login'")
    login.run("users")
    assert "ASIALOGIN" in sts.sent("Action=GetCallerIdentity")[0].headers["Authorization"]


def test_the_session_of_aws_login_that_isnt_there_is_said_to_be_so(login: Cli) -> None:
    pytest.importorskip("awscrt", reason="needs the extra 'login'")
    done = login.run("users", AWS_LOGIN_CACHE_DIRECTORY=str(login.folder)).must(1)
    assert "Run 'aws login' with the same profile" in done.err


def test_the_extra_that_aws_login_needs_is_named(login: Cli, sts: Sts) -> None:
    done = login.run("users", BOTO_DISABLE_CRT="true").must(1)
    assert "pip install '.[login]'" in done.err
    assert sts.requests == []


# The local AWS


def test_the_local_aws_reads_nothing_of_the_users_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    lines = ["[default]"]
    for key, variables, _default, _convert in Session.SESSION_VARIABLES.values():
        if key is not None:
            lines.append(f"{key} = odd")
        for variable in [variables] if isinstance(variables, str) else variables or []:
            monkeypatch.setenv(variable, "odd")
    config.write_text("\n".join([*lines, "s3 =", "  addressing_style = odd", ""]))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "odd")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "odd")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/odd")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "odd")
    with Sts() as sts:
        aws = Aws(endpoint_url=sts.url, local=Keys.new())
        aws.identify("cognito", "iam", "lambda_", "logs", "apigateway", "tagging")
        assert aws.account == ACCOUNT
        config.write_text("[broken")
        Aws(endpoint_url=sts.url, local=Keys.new()).identify()


@pytest.mark.parametrize("url", ["HTTP://127.0.0.1", "Http://LOCALHOST", "http://127.0.0.1"])
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])
def test_a_proxy_gets_nothing_that_is_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, no_credentials: pytest.MonkeyPatch, url: str, variable: str
) -> None:
    for name, value in KEYS.items():
        no_credentials.setenv(name, value)
    with Sts() as sts, Fixed(lambda _: Answer(502)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(variable, f"{url}:{sts.url.rpartition(':')[2]}")
        aws = Aws(region=REGION)
        assert aws.account == ACCOUNT
        assert proxy.requests == []


def test_a_partition_that_botocore_does_not_know_is_named(
    no_credentials: pytest.MonkeyPatch,
) -> None:
    for name, value in KEYS.items():
        no_credentials.setenv(name, value)
    with Fixed(lambda _: Answer(200, CALLER.replace("arn:aws:", "arn:aws-moon:"))) as sts:
        aws = Aws(region=REGION, endpoint_url=sts.url)
        with pytest.raises(CogauthError, match="partition 'aws-moon', which botocore doesn't know"):
            _ = aws.dns_suffix


BROKEN_AWS = {
    "AWS_PROFILE": "nobody",
    "AWS_REGION": "moon-1",
    "AWS_CA_BUNDLE": "/nowhere/ca.pem",
    "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_STS": "odd",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_RETRY_MODE": "odd",
    "AWS_DEFAULTS_MODE": "odd",
    "AWS_STS_REGIONAL_ENDPOINTS": "odd",
    "AWS_ACCESS_KEY_ID": "a\n",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "odd",
}


@pytest.mark.long
@pytest.mark.local
def test_a_broken_aws_configuration_stops_nothing_on_the_local_aws(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[broken")
    with command_line(tmp_path, **BROKEN_AWS, AWS_CONFIG_FILE=str(config)) as cli:
        cli.run("demo").must()
        cli.run("up", "--local").must()
        cli.login("ann", PASSWORD).must()
        cli.run("verify").must()
        cli.run("call", "GET", "/hello").must()
        cli.run("users").must()
        cli.state.unlink()
        cli.run("recover").must()
        cli.run("down", "--yes").must()
        assert not cli.state.exists()
        assert list(cli.local.glob("data-*")) == []
