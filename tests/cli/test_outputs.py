"""``cogauth outputs``: what it says about an existing stack, and its use in a shell."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.cli import cli as program
from cogauth.cli.outputs import export
from cogauth.local.process import LocalAws
from cogauth.record.records import CREATING, DELETING
from cogauth.record.state import State
from cogauth.settings import Settings
from support.commands import Cli, command_line, in_process, processes_of, until
from support.forker import COGAUTH, LANG, PATIENCE
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.sampling import examples
from support.servers import ACCOUNT, STACK_ID
from support.state_files import whole_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.account import Account

# Fields that only describe what 'up' did in that run.
OF_THE_RUN = {"elapsed_s", "steps"}
# Fields whose variables cogauth reads as options.
OPTIONS = {"stack", "stack_id", "region", "endpoint_url", "stage", "sign_up"}
EVALUATED = """eval "$COGAUTH_SAID"; unset COGAUTH_SAID; exec env -0"""
LIST_POOLS = """
import boto3
pools = boto3.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
print(*(pool["Id"] for pool in pools))
"""
# Most machines have no zsh.
SHELLS = [name for name in ("sh", "bash", "zsh") if shutil.which(name)]


def record(cli: Cli, path: Path | None = None, **more: Any) -> State:
    """Write the state file of a complete stack, on AWS unless specified otherwise."""
    known: dict[str, Any] = {
        "stack": "cogauth",
        "account": ACCOUNT,
        "region": REGION,
        "endpoint_url": None,
        "settings": Settings(),
        "stack_id": STACK_ID,
        "resources": whole_stack(),
    }
    state = State(path=path or cli.state, **{**known, **more})
    state.save()
    return state


def evaluated(said: str, env: dict[str, str], shell: str = "sh") -> dict[str, str]:
    """Return the environment of a shell's programs after it evaluated that text."""
    done = subprocess.run(
        [shell, "-c", EVALUATED],
        env={**env, "COGAUTH_SAID": said},
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == b""
    pairs = (os.fsdecode(line).partition("=") for line in done.stdout.split(b"\0") if line)
    own = {"PWD", "OLDPWD", "SHLVL", "_", "HOME", "LOGNAME"} - env.keys()
    return {name: value for name, _, value in pairs if name not in own}


def options_variables() -> set[str]:
    """All variables from which click reads an option of any command."""
    commands: list[click.Command] = [program]
    found: set[str] = set()
    while commands:
        command = commands.pop()
        if isinstance(command, click.Group):
            commands += command.commands.values()
        for each in command.params:
            names = each.envvar or ()
            found |= {names} if isinstance(names, str) else set(names)
    return found


# What it says


@pytest.mark.parametrize("origins", [(), ("https://a.example", "https://b.example")])
@pytest.mark.sample(2)
def test_the_fields_are_those_of_up(
    account: Account, origins: tuple[str, ...], no_credentials: pytest.MonkeyPatch
) -> None:
    words = ("--stack", "shop", "--state", str(account.path()))
    given = [word for origin in origins for word in ("--cors-origin", origin)]
    up = in_process("up", *words, "--region", REGION, *given, "--json").must().document
    before = account.path().read_bytes()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        no_credentials.delenv(name)  # So that no call can be made.
    outputs = in_process("outputs", *words, "--json").must().document
    assert list(outputs.items()) == [each for each in up.items() if each[0] not in OF_THE_RUN]
    assert up["cors_origins"] == list(origins)
    assert in_process("outputs", *words, "--format", "json").must().document == outputs
    table = in_process("outputs", *words).must()
    rows = dict(line.split("  ", 1) for line in table.out.splitlines())
    for name, value in outputs.items():
        text = " ".join(value) if isinstance(value, list) else value or ""
        assert in_process("outputs", name, *words).must().out == f"{text}\n"
        assert in_process("outputs", name, *words, "--json").must().document == value
        assert rows[name].strip() == (text or "-")
    assert list(rows) == list(outputs)
    # The state file was only read.
    assert account.path().read_bytes() == before


def test_without_credentials_or_a_network_it_says_what_is_recorded(cli: Cli) -> None:
    record(cli)
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": ""}
    said = cli.run("outputs", "--json", **dead).must()
    assert said.err == ""
    url = f"https://rest_api.execute-api.{REGION}.amazonaws.com/dev/signin"
    assert said.document["sign_in_url"] == url
    assert {path.name for path in cli.state.parent.iterdir()} == {".gitignore", "cogauth.json"}


def test_the_help_names_the_fields_and_those_without_a_variable(cli: Cli) -> None:
    record(cli)
    page = " ".join(cli.run("outputs", "--help", COLUMNS="100").must().out.split())
    assert ", ".join(cli.run("outputs", "--json").must().document) in page
    named = re.search(r"It leaves out ([\w, ]+):", page)
    assert named
    assert set(re.split(r", | and ", named[1])) == OPTIONS


def test_a_terminal_gets_a_path_in_which_nothing_acts(cli: Cli) -> None:
    path = cli.folder / "a\x1b]0;title\x07\u202eb.json"
    record(cli, path)
    for words in ((), ("state_file",), ("--format", "env"), ("--json",)):
        running = cli.on_terminal("outputs", *words, "--state", str(path))
        assert running.ended() == 0
        assert "title" in running.text
        assert not {"\x1b", "\x07", "\u202e"} & set(running.text)


# Evaluated by a shell


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_the_fields_and_the_region_of_a_stack_on_aws(cli: Cli, shell: str) -> None:
    origins = ("https://a.example", "https://b.example")
    record(cli, settings=Settings(cors_origins=origins), resources=whole_stack())
    outputs = cli.run("outputs", "--json").must().document
    config = cli.folder / "config"
    config.write_text("[profile work]\noutput = json\n")
    own = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "own",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {**cli.env, **own}
    after = evaluated(cli.run("outputs", "--format", "env", **own).must().out, before, shell)
    new = {name: value for name, value in after.items() if before.get(name) != value}
    fields = {name: new[f"COGAUTH_{name.upper()}"] for name in outputs if name not in OPTIONS}
    # The path is absolute, so it works in any folder.
    assert fields.pop("state_file") == str(cli.state)
    assert fields.pop("cors_origins") == "https://a.example https://b.example"
    assert fields == {name: outputs[name] for name in fields}
    named = {f"COGAUTH_{name.upper()}" for name in outputs if name not in OPTIONS}
    assert new.keys() == named | {"AWS_DEFAULT_REGION"}
    assert (after["AWS_REGION"], after["AWS_DEFAULT_REGION"]) == (REGION, REGION)
    # The credentials are the user's own, unchanged.
    assert after.items() >= {name: before[name] for name in before if "REGION" not in name}.items()


def test_no_variable_is_taken_for_an_option(cli: Cli) -> None:
    record(cli)
    said = cli.run("outputs", "--format", "env").must().out
    variables = set(re.findall(r"^export (COGAUTH_\w+)=", said, re.MULTILINE))
    assert variables
    lines = [line for line in said.splitlines() if not line.startswith("unset ")]
    assert all(re.fullmatch(r"export [A-Z_]+='[^']*'", line) for line in lines)
    assert not variables & options_variables()
    # They don't set variables that are read without click, either.
    sources = (Path(__file__).parents[2] / "cogauth").rglob("*.py")
    read = {name for file in sources for name in re.findall(r"COGAUTH_[A-Z_]+", file.read_text())}
    assert "COGAUTH_PASSWORD" in read
    # The help mentions one.
    assert variables & read == {"COGAUTH_USER_POOL_ID"}
    for name in cli.run("outputs", "--json").must().document:
        one = cli.run("outputs", name, "--format", "env")
        if name in OPTIONS:
            assert f"{name} has no variable" in one.must(2).err
            assert one.out == ""
        else:
            assert one.must().out.splitlines() == [
                line
                for line in said.splitlines()
                if line.startswith(f"export COGAUTH_{name.upper()}=")
            ]


@pytest.mark.parametrize("shell", SHELLS)
@examples(30)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))))
def test_any_value_comes_through_a_shell(shell: str, values: list[str]) -> None:
    wanted = {f"VALUE_{number}": value for number, value in enumerate(values)}
    said = "\n".join(export(name, value) for name, value in wanted.items())
    env = {"LANG": LANG, "PATH": os.environ["PATH"]}
    assert evaluated(said, env, shell) == {**env, **wanted}


@pytest.mark.parametrize(
    "value",
    [
        "=ls",
        "~",
        "a:~root",
        "a=~",
        "$(id)",
        "`id`",
        "'",
        "''",
        "\\",
        "'\"'",
        "a\n",
        "\n\n",
        "*",
        "!!",
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_would_expand_comes_through(shell: str, value: str) -> None:
    env = {"LANG": LANG, "PATH": os.environ["PATH"]}
    assert evaluated(export("VALUE", value), env, shell)["VALUE"] == value


@pytest.mark.long
def test_a_file_s_name_is_no_command(cli: Cli) -> None:
    names = (
        "$(touch planted)",
        "`touch planted`",
        "'; touch planted; '",
        "\n touch planted",
        "\udcff",
    )
    for name in names:
        path = cli.folder / f"{name}.json"
        record(cli, path)
        words = ("outputs", "--state", str(path))
        after = evaluated(cli_bytes(cli, *words, "--format", "env"), cli.env)
        assert after["COGAUTH_STATE_FILE"] == str(path)
        assert cli_bytes(cli, *words[:1], "state_file", *words[1:]) == f"{path}\n"
        assert not list(cli.folder.rglob("planted"))


def cli_bytes(cli: Cli, *words: str) -> str:
    """Run a command whose output may not be text; return it as Python decodes file names."""
    done = subprocess.run(
        [*COGAUTH, *words],
        cwd=cli.folder,
        # As in most UTF-8 locales, which may be missing on the tests' machine.
        env={**cli.env, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    return os.fsdecode(done.stdout)


# Values that can't be printed


def broken(cli: Cli, how: str) -> None:
    if how == "unfinished":
        resources = whole_stack()
        resources["stage"] = {
            "status": CREATING,
            "id": "stage",
            "since": "2026-01-01T00:00:00+00:00",
        }
        record(cli, resources=resources)
    elif how == "begun":
        record(cli, resources={})
    elif how == "half gone":
        resources = whole_stack()
        resources["rest_api"] |= {
            "status": DELETING,
            "since": "2026-01-01T00:00:00+00:00",
        }
        record(cli, resources=resources)
    elif how == "damaged":
        record(cli)
        cli.state.write_text(cli.state.read_text().replace(REGION, "$(touch planted)"))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (
            "nothing",
            r"doesn't exist\. Run this command .* 'cogauth recover'\. To create .* 'cogauth up'",
        ),
        ("begun", "is not complete. Run 'cogauth up' first"),
        ("unfinished", "is not complete. Run 'cogauth up' first"),
        ("half gone", "is not complete. Run 'cogauth up' first"),
        ("damaged", "is damaged: .*'cogauth recover'"),
    ],
)
def test_a_stack_that_does_not_stand_puts_nothing_into_a_shell(
    cli: Cli, how: str, says: str
) -> None:
    broken(cli, how)
    for words in ((), ("user_pool_id",), ("--format", "env"), ("user_pool_id", "--format", "env")):
        done = cli.run("outputs", *words).must(1)
        assert re.search(says, done.err)
        assert done.out == ""
    # With output for a shell, that shell's COGAUTH_JSON doesn't turn the error into JSON.
    for json_words in ((), ("--debug",)):
        words = ("outputs", "--format", "env", *json_words)
        assert cli.run(*words, COGAUTH_JSON="1").out == ""
    assert re.search(says, cli.run("outputs", "--json").must(1).error)


def test_what_contradicts_is_refused(cli: Cli) -> None:
    record(cli)
    for form in ("table", "env"):
        done = cli.run("outputs", "--json", "--format", form).must(2)
        assert f"--json and --format {form} exclude each other" in done.err
    cli.run("outputs", "--json", "--format", "json").must()
    # A shell's variable doesn't conflict with --format; alone it is the same as --json.
    assert cli.run("outputs", "--format", "env", COGAUTH_JSON="1").must().out.startswith("export ")
    assert cli.run("outputs", "stage", "--format", "table", COGAUTH_JSON="1").must().out == "dev\n"
    assert cli.run("outputs", "stage", COGAUTH_JSON="1").must().document == "dev"


def test_an_unknown_name_lists_those_that_there_are(cli: Cli) -> None:
    record(cli)
    done = cli.run("outputs", "client_secret").must(2)
    assert done.out == ""
    for name in cli.run("outputs", "--json").must().document:
        assert f"'{name}'" in done.err


# A stack on another server


def test_another_server_is_taken_at_its_user_s_word_alone(cli: Cli) -> None:
    url = "http://127.0.0.1:4566"
    record(cli, endpoint_url=url)
    refused = cli.run("outputs", "--format", "env").must(2)
    assert "so you have to confirm it" in refused.err
    assert refused.out == ""
    for words in (("--endpoint-url", url), ()):
        env = {} if words else {"AWS_ENDPOINT_URL": url}
        said = cli.run("outputs", "--format", "env", *words, **env).must().out
        after = evaluated(said, cli.env)
        assert after["AWS_ENDPOINT_URL"] == url
        assert after["COGAUTH_SIGN_IN_URL"].startswith(url)
        # Its keys aren't known here.
        assert not re.search("KEY|unset|TOKEN|PROFILE", said)
        assert cli.run("outputs", **after).must()
    elsewhere = cli.run("outputs", "--endpoint-url", "http://127.0.0.1:4567").must(1)
    assert "is of endpoint http://127.0.0.1:4566" in elsewhere.err


def test_nothing_is_led_across_the_network_in_clear_text(cli: Cli) -> None:
    url = "http://aws.example"
    record(cli, endpoint_url=url)
    words = ("outputs", "--endpoint-url", url)
    refused = cli.run(*words, "--format", "env").must(2)
    assert "would cross the network in clear text to aws.example" in refused.err
    assert refused.out == ""
    assert (
        f"AWS_ENDPOINT_URL='{url}'" in cli.run(*words, "--format", "env", "--allow-http").must().out
    )
    cli.run(*words).must()


def test_a_shell_of_another_server_is_not_led_to_aws_by_halves(cli: Cli) -> None:
    record(cli)
    done = cli.run("outputs", "--format", "env", AWS_ENDPOINT_URL="http://127.0.0.1:4566").must(1)
    assert "Unset AWS_ENDPOINT_URL" in done.err
    assert done.out == ""


# On the local AWS


class Evaluated(LocalStack):
    """A stack on a local AWS, and a shell that has evaluated its ``outputs``."""

    def shell(self, **env: str) -> dict[str, str]:
        said = self.cli.run("outputs", "--format", "env", **env).must()
        return evaluated(said.out, {**self.cli.env, **env})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluated]:
    with command_line(tmp_path_factory.mktemp("outputs")) as cli:
        yield Evaluated.up_on(cli, "--local", "--region", REGION)


def run_in(env: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("shell", SHELLS)
def test_evaluated_boto3_works_there(local: Evaluated, shell: str) -> None:
    cogauth = shlex.join(COGAUTH)
    boto3 = shlex.join([sys.executable, "-c", LIST_POOLS])
    line = f'eval "$({cogauth} outputs --format env)"; {boto3}; echo "$COGAUTH_USER_POOL_ID"'
    said = subprocess.run(
        [shell, "-c", line],
        cwd=local.cli.folder,
        env={**local.cli.env, "AWS_SESSION_TOKEN": "stale", "AWS_PROFILE": "nobody"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert said.stdout == f"{local.up['user_pool_id']}\n" * 2
    assert said.stderr == ""


@pytest.mark.local
def test_evaluated_the_aws_cli_works_there(local: Evaluated) -> None:
    # As in the shell of the user who has the AWS CLI: some are found through HOME.
    env = {**local.shell(), "HOME": os.environ.get("HOME", "/")}
    aws = shutil.which("aws")
    if aws is None or subprocess.run([aws, "--version"], env=env, check=False).returncode:
        pytest.skip("the AWS CLI is not installed")
    said = run_in(env, aws, "cognito-idp", "list-user-pools", "--max-results", "9")
    assert [pool["Id"] for pool in json.loads(said)["UserPools"]] == [local.up["user_pool_id"]]


@pytest.mark.local
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SESSION_TOKEN", "stale"),
        ("AWS_SECURITY_TOKEN", "stale"),
        ("AWS_PROFILE", "nobody"),
        ("AWS_DEFAULT_PROFILE", "nobody"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "http://127.0.0.1:9"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ],
)
@pytest.mark.sample(10)
def test_what_was_in_the_way_is_so_no_more(local: Evaluated, name: str, value: str) -> None:
    shell = local.shell(**{name: value, "AWS_MAX_ATTEMPTS": "1"})
    said = run_in(shell, sys.executable, "-c", LIST_POOLS)
    assert said == f"{local.up['user_pool_id']}\n"
    # This local AWS ignores tokens; a proxy stays, except for this machine.
    assert (shell.get(name) == value) == name.lower().endswith("proxy")


@pytest.mark.local
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_proxy_keeps_its_exceptions(local: Evaluated, name: str) -> None:
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", name: "intern.example"}
    shell = local.shell(**proxy)
    assert shell[name] == "intern.example,127.0.0.1"
    # Evaluating it again adds no more exceptions.
    assert local.shell(**shell)[name] == shell[name]
    assert "HTTP_PROXY" in shell


@pytest.mark.local
def test_the_keys_are_the_local_aws_s_and_not_the_user_s(local: Evaluated) -> None:
    own = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "own-secret"}
    said = local.cli.run("outputs", "--format", "env", **own).must().out
    assert not [value for value in own.values() if value in said]
    assert run_in(evaluated(said, {**local.cli.env, **own}), sys.executable, "-c", LIST_POOLS)
    # The other formats contain no secret, either.
    for words in ((), ("--json",)):
        assert not re.search("secret|KEY", local.cli.run("outputs", *words, **own).must().out)


@pytest.mark.local
def test_the_client_s_secret_is_no_output(local: Evaluated) -> None:
    describe = (
        "import boto3, os\n"
        'pool, client = os.environ["COGAUTH_USER_POOL_ID"], os.environ["COGAUTH_CLIENT_ID"]\n'
        'client = boto3.client("cognito-idp").describe_user_pool_client('
        "UserPoolId=pool, ClientId=client)\n"
        'print(client["UserPoolClient"]["ClientSecret"])\n'
    )
    secret = run_in(local.shell(), sys.executable, "-c", describe).strip()
    assert len(secret) > 20
    for words in ((), ("--json",), ("--format", "env")):
        assert secret not in local.cli.run("outputs", *words).must().out


# For each command: its words, and its exit code.
COMMANDS = {
    "test-login": (["test-login", "--username", "ann"], 0),
    "token": (["token", "--username", "ann"], 0),
    "users": (["users"], 0),
    "call": (["call", "GET", "/hello", "--username", "ann"], 0),
    "curl": (["curl", "GET", "/hello", "--username", "ann"], 0),
    "explain": (["explain", "URL", "--username", "ann"], 0),
    "verify": (["verify"], 0),
    "attach": (["attach", "--api", "cogauth"], 0),
    "detach": (["detach", "--dry-run"], 0),
    "decode": (["decode"], 0),
    "up": (["up"], 0),
    "up --local": (["up", "--local"], 0),
    "outputs": (["outputs"], 0),
    "policy": (["policy"], 0),
    "plan": (["plan"], 0),
    "status": (["status"], 0),
    "list": (["list"], 0),
    "logs": (["logs"], 0),
    # There is nothing to recover.
    "recover": (["recover"], 2),
    "demo": (["demo"], 0),
}


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.sample(2)
def test_cogauth_s_own_commands_work_in_that_shell(
    local: Evaluated, tmp_path: Path, *, elsewhere: bool
) -> None:
    # 'down' has a test below, and 'page' ends only with Ctrl-C.
    others = {"down", "page"}
    assert {words[0] for words, _ in COMMANDS.values()} | others == program.commands.keys()
    shell = {**local.shell(), "COGAUTH_PASSWORD": PASSWORD}
    state = ["--state", shell["COGAUTH_STATE_FILE"]] if elsewhere else []
    here = Cli(tmp_path if elsewhere else local.cli.folder, shell)
    token = ""
    for name, (given_words, code) in COMMANDS.items():
        words = [local.up["protected_url"] if word == "URL" else word for word in given_words]
        done = here.run(*words, *state, "--json", typed=token).must(code)
        if name == "token":
            token = done.document["token"]
        if name == "decode":
            assert done.document["verified"]
        if name.startswith("up"):
            assert {step["action"] for step in done.document["steps"]} == {"unchanged"}
        if name == "call":
            assert done.document["status"] == 200
    # Everything was about this stack: nothing was created in the shell's folder.
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.local
def test_down_and_up_again_in_that_shell(cli: Cli) -> None:
    stack = Evaluated.up_on(cli, "--local", "--region", REGION)
    cli.env = stack.shell()
    # Another stack, in the account that the shell's variables point to.
    cli.run("up", "--local", "--stack", "other", "--region", REGION).must()
    assert cli.run("outputs", "stack", "--stack", "other").must().out == "other\n"
    cli.run("down", "--yes", "--stack", "other").must()
    cli.run("down", "--yes").must()
    assert "doesn't exist" in cli.run("outputs").must(1).err
    # The variables point to a local AWS that no longer exists.
    again = cli.run("up", "--local", "--region", REGION, "--json").must().document
    assert again["user_pool_id"] != stack.up["user_pool_id"]
    assert cli.run("outputs", "user_pool_id").must().out.strip() == again["user_pool_id"]
    cli.login("ann", PASSWORD).must()
    cli.run("down", "--yes").must()


@pytest.mark.long
@pytest.mark.local
def test_a_local_aws_that_has_ended_is_started(cli: Cli) -> None:
    stack = Evaluated.up_on(cli, "--local", "--region", REGION)
    assert LocalAws(cli.local).stop()
    said = evaluated(cli.run("outputs", "--format", "env").must().out, cli.env)
    assert run_in(said, sys.executable, "-c", LIST_POOLS) == f"{stack.up['user_pool_id']}\n"

    # Killing it loses its data, and the stack with them.
    (file,) = cli.local.glob("tmp/ministack-*.pid")
    pid = int(file.read_text())
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: pid not in processes_of(cli.folder))
    before = cli.state.read_bytes()
    done = cli.run("outputs", "--format", "env").must(1)
    assert "ended without saving its data" in done.err
    assert "Run 'cogauth up' to recreate the stack" in done.err
    assert done.out == ""
    # The state file was only read: the commands that write it empty it.
    assert cli.state.read_bytes() == before
    assert "ended without saving its data" in cli.run("down", "--yes").must().err
    assert not cli.state.exists()
