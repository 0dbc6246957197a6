"""Text that others choose can't control the terminal or imitate our own output.

Such text is an API's, authorizer's, stage's or user's name, a tag, a claim, AWS's message, a
function's ``msg`` and ``code``, or a state file's ``stack``. Anyone who can choose one could
otherwise forge the plan that an admin confirms.
"""

from __future__ import annotations

import ast
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from rich.console import Console

from cogauth.cli.output import print_error, print_json_list, stacked, styled
from cogauth.errors import CogauthError
from cogauth.printable import json_text, one_line
from support.attached import only_a_pool
from support.commands import KEYS, Cli, command_line, in_process
from support.forker import Result
from support.hostile import ANY_TEXT, FORGED, HOSTILE, acting
from support.local_aws import client
from support.names import REGION
from support.servers import CALLER, Answer, Fixed, Request
from support.tokens import segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.account import Account


def check(done: Result, *, named: bool = True) -> Result:
    """Check that no line is forged, although the output contains the hostile text."""
    for text in (done.out, done.err):
        assert acting(text) == []
        assert [line for line in text.splitlines() if line.lstrip().startswith("FORGED")] == []
    if named:
        assert FORGED in done.out + done.err
    return done


def check_json(done: Result) -> Any:
    """Check that the document has the exact name, in characters that are safe on a terminal."""
    check(done)
    document = done.document
    assert [text for text in texts(document) if HOSTILE in text]
    return document


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)


# The filter


@given(ANY_TEXT, ANY_TEXT)
def test_a_cell_of_a_table_is_one_line_and_no_markup(first: str, second: str) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=10_000, force_terminal=False)
    console.print(stacked(styled(first), styled(second, "dim")), soft_wrap=True)
    assert shown.getvalue() == f"{one_line(first)}\n{one_line(second)}\n"


# Where lines leave the program

# The sources: in a wheel, the package also contains lambda_code, which writes to a log.
PACKAGE = Path(__file__).parents[2] / "cogauth"
OUTPUT = PACKAGE / "cli" / "output.py"
# By module: what else may write to a terminal, and why that doesn't bypass the filter.
ALLOWED = {
    # Constants, in a signal handler.
    "cli/interrupt.py": {"os.write"},
    # A file descriptor.
    "record/lock.py": {"os.write"},
    # The question for an MFA code: its prompt goes through one_line.
    "aws/credentials.py": {"getpass.getpass"},
    # A type: the texts themselves are made by output.py.
    "cli/status.py": {"rich.text"},
}
WRITING = {
    *("print", "input", "os.write", "getpass.getpass", "getpass.getuser", "pprint"),
    *(f"click.{name}" for name in ("echo", "secho", "confirm", "prompt", "echo_via_pager")),
    *(f"sys.{stream}.write" for stream in ("stdout", "stderr", "stdout.buffer", "stderr.buffer")),
    *("warnings.warn", "traceback.print_exc", "logging.warning", "rich.print"),
}
RICH_OF_OUTPUT = {"rich", "rich.console", "rich.text", "rich.markup", "rich.highlighter"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def ways_around(source: str) -> list[str]:
    """The code in a module that writes to the terminal directly."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [module] if module in RICH_OF_OUTPUT else []
            names = {f"{module}.{name.name}" for name in node.names}
            found += sorted(names & (WRITING - {"os.write"}))
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name in RICH_OF_OUTPUT]
        if isinstance(node, ast.Attribute | ast.Name) and dotted(node) in WRITING:
            found.append(dotted(node))
        if isinstance(node, ast.Call):
            found += _of_rich(node)
    return found


def _of_rich(node: ast.Call) -> list[str]:
    """The unfiltered arguments of a table or a bar."""
    name = dotted(node.func).rpartition(".")[2]
    if name == "add_row":
        return [f"add_row({ast.unparse(cell)})" for cell in node.args if not _is_filtered(cell)]
    if name == "update":
        given = [word.value for word in node.keywords if word.arg == "description"]
        return [f"update({ast.unparse(text)})" for text in given if not _is_filtered(text)]
    if name == "print":
        return [ast.unparse(node)] if not all(map(_is_filtered, node.args)) else []
    if name == "TextColumn":
        return [] if any(word.arg == "markup" for word in node.keywords) else [name]
    return []


def _is_filtered(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Call):
        return dotted(node.func) in {"styled", "stacked", "one_line"}
    # It only spins and shows no text.
    return isinstance(node, ast.Attribute) and node.attr == "spinner"


def test_no_line_leaves_the_program_by_another_way() -> None:
    found = {
        str(path.relative_to(PACKAGE)): set(ways_around(path.read_text()))
        for path in PACKAGE.rglob("*.py")
        if path != OUTPUT
    }
    assert {name: ways for name, ways in found.items() if ways} == ALLOWED
    assert "getpass.getpass(one_line(" in (PACKAGE / "aws" / "credentials.py").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "print(x)",
        "click.echo(x)",
        "say = click.echo",
        "click.confirm(x)",
        "from click import prompt",
        "sys.stderr.write(x)",
        "from rich.console import Console",
        "import rich.console",
        "table.add_row(styled(x), x)",
        "self.live.update(task, description=x)",
        "self.live.console.print(x)",
        "TextColumn(x)",
    ],
)
def test_and_such_a_way_would_be_seen(line: str) -> None:
    assert ways_around(line)


# The commands that only ask AWS, on moto


class Named:
    """An account in which someone chose every name that they may choose."""

    def __init__(self, account: Account) -> None:
        self.account = account
        only_a_pool(account)
        self.aws = account.client("apigateway")
        made = self.aws.create_rest_api(name=HOSTILE)
        self.api = made["id"]
        place = {"restApiId": self.api, "resourceId": made["rootResourceId"], "httpMethod": "GET"}
        theirs = self.aws.create_authorizer(
            restApiId=self.api,
            name=HOSTILE,
            type="TOKEN",
            authorizerUri="arn:aws:lambda:x",
            identitySource="method.request.header.Authorization",
        )
        self.aws.put_method(**place, authorizationType="CUSTOM", authorizerId=theirs["id"])
        self.aws.put_integration(**place, type="MOCK")
        self.aws.create_deployment(restApiId=self.api, stageName="prod")
        self.pool = account.state().fact("user_pool", "id")

    def run(self, *words: str, code: int = 0, typed: str = "") -> Result:
        where = ("--stack", "shop", "--state", str(self.account.path()), "--region", REGION)
        return in_process(*words, *where, typed=typed).must(code)


@pytest.fixture
def named(account: Account) -> Named:
    return Named(account)


def test_attach_and_detach(named: Named) -> None:
    api = ("--api", named.api)
    check(named.run("attach", *api))
    check_json(named.run("attach", *api, "--json"))
    check(named.run("attach", *api, "--path", "*", "--dry-run"))
    check(named.run("attach", *api, "--path", "*", "--yes"))
    named.aws.update_rest_api(
        restApiId=named.api,
        patchOperations=[{"op": "replace", "path": "/name", "value": f"{HOSTILE}2"}],
    )
    check(named.run("attach", *api, "--path", "/nowhere", code=2), named=False)
    check(named.run("detach", "--dry-run"))
    planned = check(named.run("detach", "--dry-run", "--json")).document["apis"]
    assert [each["rest_api_id"] for each in planned] == [named.api]
    check(named.run("detach", "--yes"))


def test_down_and_recover(named: Named) -> None:
    named.run("attach", "--api", named.api, "--path", "*", "--yes")
    named.account.path().unlink()
    check(named.run("recover", "--settle", "0"))
    refused = check(named.run("down", "--yes", "--settle", "0", code=1))
    assert "attached API" in refused.err


def test_a_stage_and_an_authorizer(named: Named) -> None:
    deployment = named.aws.get_deployments(restApiId=named.api)["items"][0]["id"]
    named.aws.create_stage(restApiId=named.api, stageName=HOSTILE, deploymentId=deployment)
    check(named.run("attach", "--api", named.api))
    check(named.run("attach", "--api", named.api, "--path", "*", "--dry-run", code=2))


def test_a_tag(account: Account) -> None:
    account.client("logs").create_log_group(
        logGroupName="/aws/lambda/shop-signInFunction",
        tags={"cogauth:stack": HOSTILE, "cogauth:stack-id": HOSTILE},
    )
    words = ("--stack", "shop", "--state", str(account.path()), "--region", REGION)
    check(in_process("up", *words).must(1))
    check_json(in_process("up", *words, "--json").must(1))


def test_up_and_users(named: Named) -> None:
    """'up' lists methods that lost their guard; a user may have any name."""
    account = named.account
    named.run("up")
    named.run("attach", "--api", named.api, "--path", "*", "--yes")
    root = named.aws.get_resources(restApiId=named.api)["items"][0]["id"]
    named.aws.update_method(
        restApiId=named.api,
        resourceId=root,
        httpMethod="GET",
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}],
    )
    told = check(named.run("up"))
    assert "lost" in told.err
    named.aws.delete_rest_api(restApiId=named.api)
    assert "was deleted" in check(named.run("up")).err
    pool = account.state().fact("user_pool", "id")
    name = HOSTILE[:128]
    account.client("cognito-idp").admin_create_user(UserPoolId=pool, Username=name)
    check(named.run("users"))
    listed = check(named.run("users", "--json")).document["users"]
    assert [user["username"] for user in listed] == [name]
    # Cognito doesn't allow such names, so there is no user to delete.
    check(named.run("users", "delete", name, "--yes", code=2))


# Commands that need no AWS, or an AWS that answers anything


def test_a_token_s_claims(tmp_path: Path) -> None:
    words = ("decode", "--state", str(tmp_path / "none.json"))
    hostile = ({HOSTILE: 1}, {"sub": HOSTILE}, {"iss": HOSTILE}, {"a": [HOSTILE]}, {"exp": HOSTILE})
    for claims in hostile:
        token = f"{segment({'alg': HOSTILE})}.{segment(claims)}.c2ln"
        check(in_process(*words, typed=token).must())
        document = check_json(in_process(*words, "--json", typed=token).must())
        assert document["claims"] == claims


def test_a_state_file_s_stack(account: Account) -> None:
    account.context()
    path = account.path()
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "stack": HOSTILE}))
    for command in (("up",), ("down",), ("attach", "--api", "x"), ("users",)):
        words = (*command, "--stack", "shop", "--state", str(path))
        check(in_process(*words).must(1))
        # The error's text is for people, so it shows the name in a terminal-safe form.
        assert FORGED in check(in_process(*words, "--json").must(1)).error


def test_a_file_s_name(tmp_path: Path) -> None:
    path = tmp_path / HOSTILE.replace("\0", "")[:80]
    words = ("users", "--state", str(path))
    check(in_process(*words).must(2))


@pytest.fixture
def answering(no_credentials: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A server that answers one call as AWS does, and all others with hostile text."""

    def answer(request: Request) -> Answer:
        if b"Action=GetCallerIdentity" in request.body:
            return Answer(200, CALLER)
        document = {"__type": "InvalidParameterException", "message": HOSTILE}
        return Answer(400, json.dumps(document), {"x-amzn-ErrorType": "InvalidParameterException"})

    with Fixed(answer) as server:
        no_credentials.setenv("AWS_ENDPOINT_URL", server.url)
        no_credentials.setenv("AWS_ACCESS_KEY_ID", "test")
        no_credentials.setenv("AWS_SECRET_ACCESS_KEY", "test")
        no_credentials.setenv("AWS_REGION", REGION)
        no_credentials.chdir(tmp_path)
        yield


@pytest.mark.usefixtures("answering")
def test_a_message_of_aws_s() -> None:
    for command in (("up",), ("recover",), ("down",)):
        done = check(in_process(*command).must(1))
        assert "InvalidParameterException" in done.err
        assert check(in_process(*command, "--json").must(1)).error


@pytest.mark.usefixtures("answering")
def test_a_traceback_of_debug_s() -> None:
    shown = check(in_process("recover", "--debug").must_fail(1)).err.splitlines()
    traceback, said = shown[:-1], shown[-1]
    assert traceback[0] == "| Traceback (most recent call last):"
    assert all(line.startswith("|") for line in traceback)
    assert said.startswith("Error: InvalidParameterException")


# The functions and APIs behind a URL, on the local AWS

FUNCTION = f"""
def handler(event, context):
    return {{"status": "fail", "msg": {HOSTILE!r}, "code": "wrong_credentials"}}
"""


@pytest.fixture(scope="module")
def served(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A stack whose sign-in function someone replaced, and an API with a hostile name."""
    folder = tmp_path_factory.mktemp("served")
    where = {"COGAUTH_STACK": "served", "AWS_ENDPOINT_URL": endpoint}
    keys = {**KEYS, "AWS_REGION": REGION}
    with command_line(folder, **where, **keys) as cli:
        cli.run("up").must()
        cli.login("ann", "Correct-Horse-7").must()
        api = client("apigateway", endpoint)
        made = api.create_rest_api(name=HOSTILE)
        place = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
        api.put_method(**place, authorizationType="NONE")
        api.put_integration(**place, type="MOCK")
        api.create_deployment(restApiId=made["id"], stageName="prod")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("sign_in.py", FUNCTION)
        client("lambda", endpoint).update_function_code(
            FunctionName="served-signInFunction", ZipFile=packed.getvalue()
        )
        yield cli


@pytest.mark.local
def test_a_function_s_answer(served: Cli) -> None:
    login = check(served.login("bob", "Correct-Horse-7"))
    assert "x\\nFORGED" in login.err
    check_json(served.login("bob", "Correct-Horse-7", "--json"))
    called = served.run("call", "POST", "/signin", "--data", "{}", "--no-token")
    check(called)
    check_json(served.run("call", "POST", "/signin", "--data", "{}", "--no-token", "--json"))


@pytest.mark.local
def test_the_question_that_an_admin_answers(served: Cli) -> None:
    """The plan, the question and the result, on a terminal with colours and bars."""
    api = client("apigateway", served.env["AWS_ENDPOINT_URL"])
    found = next(one["id"] for one in api.get_rest_apis()["items"] if one["name"] == HOSTILE)
    asked = served.on_terminal("attach", "--api", found, "--path", "*")
    asked.see(r"Make these changes\?")
    asked.type("y\n")
    assert asked.ended() == 0
    check(Result(0, asked.plain.replace("\r", ""), ""))
    asked = served.on_terminal("detach")
    asked.see(r"Make these changes\?")
    asked.type("y\n")
    assert asked.ended() == 0
    check(Result(0, asked.plain.replace("\r", ""), ""))


# A document printed in parts


@pytest.mark.parametrize("items", [[], [{"a": "é\n"}], [{"a": 1}, {"a": [2]}, {}]])
def test_a_list_in_parts_is_the_document(
    capsys: pytest.CaptureFixture[str], items: list[object]
) -> None:
    print_json_list({"pool": "p"}, "users", iter(items))
    assert capsys.readouterr().out == json_text({"pool": "p", "users": items}) + "\n"


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_in_between_is_in_the_same_document(
    capsys: pytest.CaptureFixture[str], count: int
) -> None:
    def items() -> Any:
        yield from [{"a": nth} for nth in range(count)]
        raise CogauthError("It broke.")

    with pytest.raises(CogauthError) as caught:
        print_json_list({"pool": "p"}, "users", items())
    print_error("failed", caught.value)
    document = json.loads(capsys.readouterr().out)
    assert document.pop("error")["message"] == "It broke."
    assert document == ({"pool": "p", "users": [{"a": 0}, {"a": 1}]} if count else {})
    print_error("failed", caught.value)
    assert list(json.loads(capsys.readouterr().out)) == ["error"]
