"""A first `up` as a script of AWS CLI commands: run by bash, it makes what `up` makes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth import engine
from cogauth.aws.clients import Aws
from cogauth.aws.transient import TRANSIENT, Transient
from cogauth.context import Context
from cogauth.engine.script import CONSOLE, escaped, script
from cogauth.record.state import State
from cogauth.settings import Settings
from cogauth.steps import STEPS
from support.account import Account, Silent
from support.aws_cli import aws_cli
from support.commands import environment
from support.forker import PATIENCE
from support.local_aws import keys_at
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.stacks import STEP_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.commands import Cli

BASH = shutil.which("bash") or "bash"
CHOICES: dict[str, dict[str, Any]] = {
    "most": {
        "password_min_length": 9,
        "password_require": ("lower", "digit"),
        "path": "/log-in_2.x",
        "stage": "a_b-c",
        "throttle_rate": 0.5,
        "permissions_boundary": "arn:aws:iam::000000000000:policy/boundary",
        "cors_origins": ("https://app.example",),
    },
    "defaults": {},
    "several origins": {"cors_origins": ("https://app.example", "http://localhost:3000")},
    "power user": {"power_user": True},
}


def run(text: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would."""
    path = folder / "script.sh"
    path.write_text(text)
    return subprocess.run(
        [BASH, "-e", str(path)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
        check=False,
    )


# ---- On the local AWS, with the AWS CLI


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder with the AWS CLI."""
    with aws_cli(tmp_path_factory.mktemp("cli") / "bin") as folder:
        yield folder


@pytest.fixture
def here(cli: Cli, endpoint: str, aws: Path, tmp_path: Path) -> LocalStack:
    """A stack with its own name that doesn't exist yet."""
    cli.env.update(COGAUTH_ENDPOINT_URL=endpoint)
    cli.env["PATH"] = os.pathsep.join([str(aws), cli.env["PATH"]])
    return LocalStack(cli, f"script-{tmp_path.name[-20:]}", endpoint)


def new(stack: LocalStack, settings: Settings) -> Context:
    """Return the context of a stack that doesn't exist yet."""
    aws = stack.aws
    path = stack.path.relative_to(stack.cli.folder)
    return Context(
        aws, State(path, stack.stack, aws.account, REGION, stack.url, settings), aws.waiter()
    )


def let_the_boundary_exist(stack: LocalStack) -> None:
    iam = stack.client("iam")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        allowed = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        iam.create_policy(PolicyName="boundary", PolicyDocument=document)


def made_by_up(stack: LocalStack, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the portrait of a stack that `up` made; the stack is deleted again."""
    other = LocalStack(stack.cli, stack.stack.replace("script", "up"), stack.url)
    monkeypatch.chdir(stack.cli.folder)
    engine.up(new(other, settings), Silent())
    found = other.portrait()
    stack.cli.run("down", "--yes", "--stack", other.stack).must()
    return found


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_it_makes_what_up_makes_and_recover_takes_it_up(
    here: LocalStack,
    choices: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_the_boundary_exist(here)
    settings = Settings(**choices)
    wanted = made_by_up(here, settings, monkeypatch)
    text = script(new(here, settings))
    assert not [key for key in keys_at(here.url) if key in text]
    done = run(text, tmp_path, here.cli.env)
    assert done.returncode == 0, done.stderr
    assert list(Path(here.cli.env["TMPDIR"]).iterdir()) == []

    # The script's last line is the command that takes over the stack.
    last = done.stdout.splitlines()[-1]
    recover = shlex.split(last[last.index("cogauth recover") :])
    here.cli.run(*recover[1:]).must()
    found = here.portrait()
    # A recovered stack is deployed again: nobody knows whether its API was changed since.
    assert wanted.pop("statuses") == ["created"]
    assert found.pop("statuses") == ["created", "outdated"]
    assert found == wanted

    world = here.existing()
    again = run(text, tmp_path, here.cli.env)
    assert again.returncode == 1
    assert "Nothing was created." in again.stderr
    assert here.existing() == world

    up = here.cli.run("up", "--json", "--stack", here.stack).must().document
    assert {step["step"] for step in up["steps"] if step["action"] != "unchanged"} == {"deployment"}
    assert f"Sign-in URL: {up['sign_in_url']}\n" in done.stdout
    again = here.cli.run("up", "--json", "--stack", here.stack).must().document
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    if not settings.power_user:  # this local AWS has no such managed policy
        here.cli.login("ann", PASSWORD, "--stack", here.stack).must()
    here.cli.run("down", "--yes", "--stack", here.stack).must()
    assert here.existing() == {}


@pytest.mark.long
@pytest.mark.local
def test_what_a_script_made_that_was_stopped_is_finished_by_up_and_deleted_by_down(
    here: LocalStack, tmp_path: Path
) -> None:
    # The boundary doesn't exist, so the first role can't be created.
    settings = Settings(permissions_boundary="arn:aws:iam::000000000000:policy/nowhere")
    done = run(script(new(here, settings)), tmp_path, here.cli.env)
    assert done.returncode == 1
    assert "(NoSuchEntity)" in done.stderr
    assert list(here.existing()) == [f"pool {here.stack}"]
    line = next(line for line in done.stderr.splitlines() if "cogauth recover" in line)
    here.cli.run(*shlex.split(line)[1:]).must()
    here.cli.run("up", "--stack", here.stack).must()
    here.cli.run("down", "--yes", "--stack", here.stack).must()
    assert here.existing() == {}


# ---- With stubs in place of the AWS CLI's commands


AWS = """#!/bin/sh
echo "${AWS_MAX_ATTEMPTS} $1 $2 $3" >>calls
if [ "$2" = get-role ] && ! [ -e role ] && ! [ -e refusals/get-role ]; then
  echo 'An error occurred (NoSuchEntity) when calling the GetRole operation: None.' >&2
  exit 254
fi
for file in refusals/"$2"/*; do
  [ -e "$file" ] || break
  cat "$file" >&2
  rm "$file"
  exit 254
done
case "$*" in
  (*'--query ['*) printf 'one\\ttwo\\n' ;;
  (*) echo one ;;
esac
"""
REFUSED = (
    "\naws: [ERROR]: An error occurred ({code}) when calling the {operation} operation: {words}\n"
)


@dataclass
class Stand:
    """A folder with our own commands in place of ``aws`` and ``sleep``."""

    folder: Path

    def refuse(self, operation: str, *refusals: tuple[str, str]) -> None:
        """Refuse the first calls of an operation, each with a code and a message."""
        place = self.folder / "refusals" / operation
        place.mkdir(parents=True)
        for number, (code, words) in enumerate(refusals):
            text = REFUSED.format(code=code, operation=operation, words=words)
            (place / f"{number:03}").write_text(text)

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        env = environment(self.folder)
        env["PATH"] = os.pathsep.join([str(self.folder / "bin"), env["PATH"]])
        return run(text, self.folder, env)

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    (tmp_path / "bin").mkdir()
    for name, text in {"aws": AWS, "sleep": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o700)
    return Stand(tmp_path)


@pytest.fixture(scope="module")
def text() -> str:
    """Return the script of a stack with every kind of resource."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        aws = Aws(region=REGION)
        settings = Settings(cors_origins=("https://app.example",), power_user=True)
        state = State(Path(".cogauth/shop.json"), "shop", "123456789012", REGION, None, settings)
        return script(Context(aws, state, aws.waiter()))


def test_a_role_that_lambda_cant_assume_yet_is_waited_for(text: str, stand: Stand) -> None:
    words = "The role defined for the function cannot be assumed by Lambda."
    stand.refuse("create-function", *[("InvalidParameterValueException", words)] * 3)
    done = stand.run(text)
    assert done.returncode == 0, done.stderr
    creates = [call for call in stand.calls() if "create-function" in call]
    assert len(creates) == 3 + 2
    assert "cannot be assumed" not in done.stderr


def test_each_function_is_waited_for_before_it_is_used(text: str, stand: Stand) -> None:
    assert stand.run(text).returncode == 0
    lambdas = [call.split(" ", 2)[2] for call in stand.calls() if " lambda " in call]
    made = "create-function --cli-input-json"
    waited = "wait function-active-v2"
    added = "add-permission --cli-input-json"
    assert lambdas == [made, waited, made, waited, added, added]


@pytest.mark.parametrize("one", TRANSIENT, ids=lambda one: one.code)
def test_what_passes_for_up_passes_for_the_script(text: str, stand: Stand, one: Transient) -> None:
    refusals = [(one.code, f"It {word.upper()}, for now.") for word in one.words]
    stand.refuse("get-caller-identity", *refusals, ("AccessDenied", "No."))
    done = stand.run(text)
    assert done.returncode == 1
    assert len(stand.calls()) == len(refusals) + 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDeniedException", "You may not."),
        ("InvalidParameterValueException", "The runtime is unknown."),
        ("ResourceConflictException", "Function already exist: shop-signInFunction"),
        ("NoSuchEntity", "Policy arn:… does not exist or is not attachable."),
    ],
)
def test_any_other_refusal_ends_it_at_once(text: str, stand: Stand, code: str, words: str) -> None:
    stand.refuse("create-function", (code, words))
    done = stand.run(text)
    assert done.returncode == 1
    assert done.stdout == ""
    assert words in done.stderr
    assert "cogauth recover --stack shop --region eu-central-1\n" in done.stderr
    assert "'cogauth up --stack shop' finishes the stack" in done.stderr
    assert "'cogauth down --stack shop' deletes it" in done.stderr
    assert ["create-function" in call for call in stand.calls()[-2:]] == [False, True]
    # Nothing is left in the temporary folder.
    assert list((stand.folder / "tmp").iterdir()) == []


def test_an_unknown_new_resource_is_asked_for_again(text: str, stand: Stand) -> None:
    stand.refuse("put-role-policy", *[("NoSuchEntity", "The role isn't known.")] * 2)
    stand.refuse("create-deployment", ("BadRequestException", "Invalid authorizer ID specified"))
    done = stand.run(text)
    assert done.returncode == 0, done.stderr


def test_it_creates_nothing_if_the_stack_may_exist(text: str, stand: Stand) -> None:
    (stand.folder / "role").touch()
    done = stand.run(text)
    assert done.returncode == 1
    assert "The role shop-LambdaAuthRole exists" in done.stderr
    assert [call.split()[2] for call in stand.calls()] == ["get-caller-identity", "get-role"]


def test_nothing_is_created_where_nobody_may_look_for_the_role(text: str, stand: Stand) -> None:
    stand.refuse("get-role", ("AccessDenied", "You may not."))
    done = stand.run(text)
    assert done.returncode == 1
    assert "You may not." in done.stderr
    assert [call.split()[2] for call in stand.calls()] == ["get-caller-identity", "get-role"]


def test_before_anything_is_created_a_failure_names_no_remains(text: str, stand: Stand) -> None:
    stand.refuse("get-caller-identity", ("ExpiredToken", "The token has expired."))
    done = stand.run(text)
    assert done.returncode == 1
    assert "The token has expired." in done.stderr
    assert "recover" not in done.stderr


def test_what_has_no_unique_name_is_tried_once_by_the_aws_cli(text: str, stand: Stand) -> None:
    stand.run(text)
    once = {call.split()[2] for call in stand.calls() if call.startswith("1 ")}
    assert once == {
        "create-user-pool",
        "create-user-pool-client",
        "create-rest-api",
        "create-resource",
        "create-authorizer",
        "create-deployment",
    }
    assert {call.split()[0] for call in stand.calls()} == {"1", "4"}


def test_each_step_is_announced_and_explained(text: str, stand: Stand) -> None:
    done = stand.run(text)
    announced = [f"{n}/{len(STEPS)} {step.title}" for n, step in enumerate(STEPS, 1)]
    assert done.stderr.splitlines() == announced
    assert list(CONSOLE) == STEP_NAMES
    for title in announced:
        assert re.search(rf"^# ---- {title}\n# \w", text, re.MULTILINE)
    # Nothing is created twice; further calls say what they set.
    created = re.findall(r"^# Create the (.*)\.$", text, re.MULTILINE)
    assert len(created) == len(set(created))
    assert "# The sign-in log group: set retentionInDays.\n" in text
    # Each parameter has a line.
    assert '\n  "PoolName": ' in text


def test_it_is_clean_for_shellcheck(text: str, tmp_path: Path) -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.skip("shellcheck isn't here: it is in the extra [dev]")
    (tmp_path / "script.sh").write_text(text)
    command = [checker, "--enable=quote-safe-variables", str(tmp_path / "script.sh")]
    assert subprocess.run(command, check=False, capture_output=True, text=True).stdout == ""


def test_a_state_files_path_cant_add_a_command(account: Account, stand: Stand) -> None:
    state = account.new_state()
    state.path = Path("$(touch here)`touch here`'; touch here; '\ntouch here\nEND\n", "x.json")
    stand.run(script(account.context_of(state)))
    assert not (stand.folder / "here").exists()


# ---- Text in a here-document

TEXT = st.text(st.sampled_from("\\$`{}\"'()A_\n #!") | st.characters(exclude_categories=["Cs"]))


@given(st.lists(TEXT, min_size=1, max_size=20))
def test_bash_expands_the_variables_in_a_document_and_nothing_else(texts: list[str]) -> None:
    documents = [json.dumps(["${A}", one.replace("${A}", ""), "${A}"]) for one in texts]
    lines = [f"cat <<JSON\n{escaped(one, ['A'])}\nJSON\n" for one in documents]
    env = {"PATH": os.environ["PATH"], "A": "told"}
    done = subprocess.run(
        [BASH, "-eu"], input="".join(lines), env=env, capture_output=True, text=True, check=True
    )
    told = [one.replace("${A}", "told") for one in documents]
    assert done.stdout.splitlines() == told
