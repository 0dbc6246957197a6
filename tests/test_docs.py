"""README.md and docs/ show what the program really prints.

``python docs/make.py`` writes the generated parts.
"""

import importlib.util
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.session
import click
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from cogauth.steps import RESOURCES
from cogauth.steps.methods import STATUS_BY_CODE
from support.commands import Cli, parsed
from support.local_stack import LocalStack
from support.names import REGION

ROOT = Path(__file__).parents[1]
README, DOCS, COGAUTH = ROOT / "README.md", ROOT / "docs", ROOT / "cogauth"
POLICIES = sorted((DOCS / "policies").glob("*.json"))
PAGES = sorted(DOCS.glob("*.md"))
ALL_PAGES = [*PAGES, *sorted(ROOT.glob("*.md")), ROOT / "benchmarks" / "README.md"]
GENERATED = DOCS / "commands.md"
PASSWORD = "Correct-Horse-1"
# The ID token's claims, as a function behind the guard receives them.
CLAIMS = {"sub": "7524b3e5-789b-4a22-94b5-851adaf568b4", "cognito:username": "ann"}


def title_of(page: Path) -> str:
    return f"{page.parent.name}/{page.name}"


each_page = pytest.mark.parametrize("page", ALL_PAGES, ids=title_of)


@pytest.fixture(scope="module")
def make() -> ModuleType:
    """docs/make.py, which isn't part of a package."""
    spec = importlib.util.spec_from_file_location("make", DOCS / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


# The README


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 220


def test_the_two_commands_are_there_word_for_word() -> None:
    lines = README.read_text().splitlines()
    run = "python3 -m venv .venv && .venv/bin/pip install '.[local,page]' && .venv/bin/cogauth demo"
    test = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"
    assert f"`{run}`" in lines
    assert f"`{test}`" in lines


def test_the_readme_lists_the_commands_as_the_help_does(make: ModuleType) -> None:
    table = README.read_text().split("<!-- commands -->")[1].split("<!-- /commands -->")[0]
    listed: dict[str, list[str]] = {}
    group = ""
    for title, name in re.findall(r"^\| ([A-Za-z ]*?) ?\| `([a-z-]+)` \|", table, re.MULTILINE):
        group = title or group
        listed.setdefault(group, []).append(name)
    assert listed == make.groups()


def test_it_says_that_its_makers_have_not_run_it_on_aws() -> None:
    assert "have not run it on AWS" in README.read_text()


# The pages


def test_no_page_is_long_but_the_generated_one() -> None:
    lengths = {page.name: len(page.read_text().splitlines()) for page in PAGES}
    assert {name: n for name, n in lengths.items() if n > 250} == {
        GENERATED.name: lengths[GENERATED.name]
    }


def test_the_table_of_contents_names_each_page() -> None:
    links = set(re.findall(r"\]\(([a-z-]+\.md)\)", (DOCS / "README.md").read_text()))
    assert links == {page.name for page in PAGES} - {"README.md"}


def test_the_source_archive_has_all_pages() -> None:
    include = re.search(
        r"sdist\]\ninclude = (\[.*\])", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert include
    assert {"docs", "README.md", "SECURITY.md"} <= set(json.loads(include[1]))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as repository sites generate them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in plain}


@each_page
def test_what_is_linked_is_there(page: Path) -> None:
    code = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", code):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), link
        if heading:
            assert heading in anchors(linked), link


def typed_commands(text: str) -> Iterator[str]:
    """The command lines of a page: in indented or fenced blocks, and after a ``$``."""
    block = re.compile(
        r"^(?:    |\$ )?(?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?(cogauth .*)$", re.MULTILINE
    )
    # In the program's output, only the command was typed.
    text = re.sub(
        r"(<!-- shown: .*?\n\$ [^\n]*\n).*?(^```$)", r"\1\2", text, flags=re.MULTILINE | re.DOTALL
    )
    fenced = "".join(re.findall(r"^```\n.*?^```", text, re.MULTILINE | re.DOTALL))
    indented = "\n".join(re.findall(r"^    .*$", text, re.MULTILINE))
    for line in block.findall(f"{fenced}\n{indented}"):
        yield re.split(r"\s#| \| | > | < | \|\| ", line)[0].strip()


@pytest.mark.parametrize("page", [README, *PAGES], ids=title_of)
def test_the_commands_that_a_page_tells_to_type_exist(page: Path) -> None:
    if page == GENERATED:
        return
    for line in typed_commands(page.read_text()):
        _, name, *words = shlex.split(line)
        try:
            parsed(name, words).close()
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


# What is generated


def test_the_commands_page_is_the_programs_help(make: ModuleType) -> None:
    assert GENERATED.read_text() == make.commands_page()


def test_the_benchmarks_are_what_was_measured(make: ModuleType) -> None:
    text = (DOCS / "performance.md").read_text()
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    summary = make.report.summary(results)
    assert summary in text
    assert make.between(text, "benchmarks", summary) == text


def test_the_error_codes_are_all_listed(make: ModuleType) -> None:
    assert make.error_codes() in (DOCS / "json.md").read_text()


@pytest.mark.long
@pytest.mark.local
def test_the_outputs_and_the_picture_are_what_the_program_prints(
    make: ModuleType, tmp_path: Path
) -> None:
    shown = make.play(tmp_path)
    found = {}
    for page in (README, *PAGES):
        for _, name, text, _ in make.SHOWN.findall(page.read_text()):
            found[name] = make.stable(text)
    assert found == {name: make.stable(text) for name, text in shown.blocks.items()}
    assert make.words_of(make.PICTURE.read_text()) == make.words_of(shown.picture)


def test_the_picture_loads_nothing_from_elsewhere(make: ModuleType) -> None:
    urls = set(re.findall(r"https?://[^\"'\s<)]+", make.PICTURE.read_text()))
    assert {url for url in urls if "127.0.0.1" not in url} <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",  # in a comment by rich
    }


def test_a_screen_is_what_remains_of_what_was_printed(make: ModuleType) -> None:
    printed = "one\r\n\x1b[32mtwo\x1b[0m\r\n\x1b[?25l\x1b[1A\r\x1b[2Kthree \r\nfour"
    assert make.last_screen(printed) == "one\nthree\nfour\n"


def test_only_what_changes_from_run_to_run_is_left_out(make: ModuleType) -> None:
    one = "at http://127.0.0.1:28351, 7cb22816  0.1 s\nexp 2026-11-26 22:29:36 UTC, in 1 h"
    other = "exp  2027-01-01 00:00:00 UTC, in 59 min 3 s\nat http://127.0.0.1:1, b0233ae3 12.0 s"
    assert make.stable(one) == make.stable(other)
    kids = ("eg8JIfBC2g08J8oe9jHThkdakFvZnWyMJeF8ac88hzg=", "/".join([26 * "a", 16 * "b"]) + "=")
    assert make.stable(kids[0]) == make.stable(kids[1])
    assert make.stable(one) != make.stable(one.replace("at ", "on "))


# Tables that are written by hand


def test_codes_and_their_http_status_are_all_listed() -> None:
    text = (DOCS / "sign-in-contract.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == STATUS_BY_CODE


def test_the_causes_of_a_refusal_are_all_listed() -> None:
    text = (DOCS / "why-is-a-call-refused.md").read_text()
    table = text.split("| cause | when |")[1].split("\n\n")[0]
    rows = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    source = "".join(file.read_text() for file in (COGAUTH / "checks" / "explain").glob("*.py"))
    made = set(re.findall(r"Cause\(\s*\"(\w+)\"", source))
    made |= {"user_deleted", "user_disabled", "revoked"}  # named after the user's condition
    assert sorted(rows) == sorted(made)


def test_each_class_of_a_resource_stands_beside_its_step_in_the_console() -> None:
    text = (DOCS / "how-it-works.md").read_text()
    table = text.split("<!-- steps -->")[1].split("<!-- /steps -->")[0]
    cells = "".join(row.split("|")[2] for row in table.strip().splitlines()[2:])
    assert set(re.findall(r"`(\w+)`", cells)) == {type(one).__name__ for one in RESOURCES.values()}
    for name, path in re.findall(r"\[`(\w+)`\]\(\.\./(cogauth/steps/\w+\.py)\)", cells):
        assert f"class {name}(" in (ROOT / path).read_text()


# Permissions


def test_the_policies_are_those_that_the_program_prints(make: ModuleType) -> None:
    written = {policy.name: policy.read_text() for policy in POLICIES}
    # The roles' boundary isn't a policy for a person: it is written by hand.
    del written["boundary.json"]
    assert written == make.policies()


def test_the_page_says_where_it_is_known_from_what_only_aws_asks_for(make: ModuleType) -> None:
    text = (DOCS / "permissions.md").read_text()
    assert make.between(text, "sources", make.sources()) == text


def test_the_page_names_each_policy_and_each_word_to_replace() -> None:
    text = (DOCS / "permissions.md").read_text()
    links = set(re.findall(r"\]\(policies/([a-z-]+\.json)\)", text))
    assert links == {policy.name for policy in POLICIES}
    words = set(re.findall(r"\b[A-Z]{3,}\b", "".join(policy.read_text() for policy in POLICIES)))
    # The HTTP methods are in actions such as apigateway:GET.
    words -= {"DELETE", "GET", "PATCH", "POST", "PUT"}
    # A gateway response.
    words -= {"UNAUTHORIZED"}
    assert words == {"ACCOUNT", "API", "BOUNDARY", "REGION", "STACK"}
    assert all(f"`{word}`" in text for word in words)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.stem)
def test_a_policy_can_be_handed_over(policy: Path) -> None:
    document = json.loads(policy.read_text())
    assert document["Version"] == "2012-10-17"
    sids = [one["Sid"] for one in document["Statement"] if "Sid" in one]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    assert len(set(sids)) == len(sids)


# Functions behind the guard


def example(language: str, page: str = "guard-your-api.md") -> str:
    text = (DOCS / page).read_text()
    block = re.search(rf"<!-- example: {language} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert block
    return block[1]


def readme_example() -> str:
    block = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    return block[1]


def event_of(claims: dict[str, str]) -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"claims": claims}}}


@pytest.mark.parametrize("source", [example("python"), readme_example()], ids=["docs", "readme"])
def test_the_python_function_reads_the_claims(source: str) -> None:
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 it is ours
    answer = names["lambda_handler"](event_of(CLAIMS), None)
    assert answer["statusCode"] == 200
    assert CLAIMS["sub"] in answer["body"]
    assert CLAIMS["cognito:username"] in answer["body"]


@pytest.mark.parametrize(
    ("groups", "status"),
    [("admins", 200), ("readers,admins", 200), ("", 403), ("readers", 403), ("no-admins", 403)],
)
def test_the_function_that_checks_groups_lets_only_that_group_in(groups: str, status: int) -> None:
    names: dict[str, Any] = {}
    exec(example("groups", "users.md"), names)  # noqa: S102 it is ours
    claims = {**CLAIMS, **({"cognito:groups": groups} if groups else {})}
    answer = names["lambda_handler"](event_of(claims), None)
    assert answer["statusCode"] == status
    assert (CLAIMS["sub"] in answer["body"]) is (status == 200)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_the_node_function_reads_the_claims(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text(example("node"))
    call = (
        f"require('./index.js').handler({json.dumps(event_of(CLAIMS))})"
        ".then(answer => console.log(JSON.stringify(answer)))"
    )
    done = subprocess.run(
        [str(shutil.which("node")), "-e", call],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "user_id": CLAIMS["sub"],
        "name": CLAIMS["cognito:username"],
    }


@pytest.mark.long
@pytest.mark.local
def test_the_python_function_behind_the_guard_receives_the_users_claims(cli: Cli) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", example("python"))
    with LocalStack.made(cli, "--local", "--region", REGION) as stack:
        function = stack.aws.lambda_.create_function(
            FunctionName="whoami",
            Runtime="python3.13",
            Role=stack.up["role_arn"],
            Handler="index.lambda_handler",
            Code={"ZipFile": packed.getvalue()},
        )["FunctionArn"]
        gateway = stack.aws.apigateway
        api = gateway.create_rest_api(name="whoami")
        place = {
            "restApiId": api["id"],
            "resourceId": api["rootResourceId"],
            "httpMethod": "GET",
        }
        gateway.put_method(**place, authorizationType="NONE")
        gateway.put_integration(
            **place,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
        )
        stack.aws.lambda_.add_permission(
            FunctionName=function,
            StatementId="gateway",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{stack.up['account']}:{api['id']}/*",
        )
        gateway.create_deployment(restApiId=api["id"], stageName="prod")
        cli.run("attach", "--api", "whoami", "--path", "/", "--yes").must()
        user_id = cli.login("ann", PASSWORD, "--json").must().document["user_id"]
        body = cli.run("call", "GET", "/", "--api", "whoami", "--json").must().document["body"]
    assert body == {"user_id": user_id, "name": "ann"}


def test_the_commands_for_aws_waf_are_those_of_its_api() -> None:
    """They have never been run on AWS."""
    model = botocore.session.Session().get_service_model("wafv2")
    rules = model.operation_model("CreateWebACL").input_shape.members["Rules"]
    report = ParamValidator().validate(json.loads(example("rules", "users.md")), rules)
    assert not report.has_errors(), report.generate_report()
    text = (DOCS / "users.md").read_text()
    commands = re.findall(r"aws wafv2 ([a-z-]+)( --[^\n]*)", text)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert len(commands) == 5
    for command, options in commands:
        operation = model.operation_model(names[command]).input_shape
        taken = {f"--{xform_name(name, '-')}" for name in operation.members}
        used = set(re.findall(r"(?<= )--[a-z-]+", options)) - {"--query", "--output"}
        assert used <= taken, command
        assert {f"--{xform_name(name, '-')}" for name in operation.required_members} <= used


# JSON


def documented_fields(row: str) -> set[str]:
    """The fields at the beginning of a row in the table of commands."""
    text = (DOCS / "json.md").read_text()
    found = re.search(rf"^\| {row} \| `([^`]*)`", text, re.MULTILINE)
    assert found, row
    return set(found[1].split(", "))


@pytest.mark.long
@pytest.mark.local
def test_the_fields_of_json_are_those_that_are_listed(cli: Cli) -> None:
    documents: dict[str, dict[str, Any]] = {}
    error = cli.run("verify", "--json").document
    up = cli.run("up", "--local", "--json").must().document
    documents["`up`"] = up
    documents["`test-login`"] = cli.login("ann", PASSWORD, "--json").must().document
    for words in (
        ("verify",),
        ("explain", up["protected_url"]),
        ("token",),
        ("call", "GET", "/hello"),
        ("curl", "GET", "/hello"),
        ("users",),
        ("users", "create", "bob", "--yes"),
        ("users", "sign-out", "bob", "--yes"),
        ("attach", "--api", "cogauth"),
        ("detach", "--yes"),
    ):
        name = "`attach` without `--path`" if words[0] == "attach" else f"`{words[0]}`"
        if words[1:2] in {("create",), ("sign-out",)}:
            name = f"`users {words[1]}`"
        documents[name] = cli.run(*words, "--json").must().document
    *_, line = cli.run("logs", "--json").must().out.splitlines()
    documents["`logs`"] = json.loads(line)
    token = documents["`token`"]["token"]
    documents["`decode`"] = cli.run("decode", "--json", typed=token).must().document
    outputs = cli.run("outputs", "--json").must().document
    documents["`down`"] = cli.run("down", "--yes", "--json").must().document
    assert {name: set(found) for name, found in documents.items()} == {
        name: documented_fields(name) for name in documents
    }
    assert set(outputs) == set(up) - {"elapsed_s", "steps"}
    assert set(error) == {"error"}
    assert set(error["error"]) == {"code", "message", "hint"}
    statuses = [row for row in documents["`verify`"]["rows"] if row["check"] == "no token"]
    assert [(row["expected"], row["got"]) for row in statuses] == [(401, 401)]
    for user in documents["`users`"]["users"]:
        # https://www.rfc-editor.org/rfc/rfc3339#section-5.6
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", user["created"])
