"""What the README shows of the program is what the program shows.

``python tests/test_readme.py`` writes the help pages and the benchmarks' table into it anew.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import botocore.session
from botocore import xform_name

from benchmarks import report
from cogauth.steps.methods import STATUS_BY_CODE

README = Path(__file__).parents[1] / "README.md"
COGAUTH = Path(__file__).parents[1] / "cogauth"
HELP = re.compile(r"<!-- help: ?([a-z-]*) -->\n(?:```\n.*?```\n)?", re.DOTALL)

BENCHMARKS = re.compile(r"(<!-- benchmarks -->\n).*(<!-- /benchmarks -->\n)", re.DOTALL)


def help_page(command: str) -> str:
    words = [*command.split(), "--help"]
    page = subprocess.run(
        [sys.executable, "-m", "cogauth", *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    ).stdout
    shown = re.sub(r"[ \t]+$", "", page, flags=re.MULTILINE).rstrip()
    name = f" {command}" if command else ""
    return f"<!-- help:{name} -->\n```\n$ cogauth {' '.join(words)}\n{shown}\n```\n"


def with_help_pages(text: str) -> str:
    return HELP.sub(lambda match: help_page(match[1]), text)


def with_benchmarks(text: str) -> str:
    results = json.loads((README.parent / "benchmarks" / "results.json").read_text())
    return BENCHMARKS.sub(lambda match: f"{match[1]}{report.summary(results)}{match[2]}", text)


def test_the_benchmarks_are_what_was_measured() -> None:
    text = README.read_text()
    assert BENCHMARKS.search(text)
    assert with_benchmarks(text) == text


def test_help_pages_are_the_programs() -> None:
    text = README.read_text()
    assert len(HELP.findall(text)) == 16
    assert with_help_pages(text) == text


def test_codes_and_their_http_status_are_all_listed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", README.read_text(), re.MULTILINE)
    assert {code: int(status) for code, status in rows} == STATUS_BY_CODE


def test_the_two_commands_are_there_word_for_word() -> None:
    lines = README.read_text().splitlines()
    run = "python3 -m venv .venv && .venv/bin/pip install '.[local]' && .venv/bin/cogauth demo"
    test = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"
    assert f"`{run}`" in lines
    assert f"`{test}`" in lines


def test_the_causes_of_a_refusal_are_all_listed() -> None:
    table = README.read_text().split("| cause | when |")[1].split("\n\n")[0]
    rows = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    source = "".join(file.read_text() for file in (COGAUTH / "checks" / "explain").glob("*.py"))
    made = set(re.findall(r"Cause\(\s*\"(\w+)\"", source))
    made |= {"user_deleted", "user_disabled", "revoked"}  # named by what the user is
    assert sorted(rows) == sorted(made)


def readme_actions(name: str = "policy") -> set[str]:
    block = re.search(rf"<!-- {name} -->\n```json\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    actions: set[str] = set()
    for statement in json.loads(block[1])["Statement"]:
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return actions


def called_actions(files: Iterable[Path]) -> set[str]:
    """Return the actions of all calls that some files make, by the names of boto3's methods."""
    session = botocore.session.get_session()
    action_of = {}
    # ListUsers is IAM's too, and Cognito's here: the later one counts.
    for service in ("iam", "cognito-idp", "lambda", "logs", "apigateway"):
        model = session.get_service_model(service)
        for operation in model.operation_names:
            verb = model.operation_model(operation).http["method"]
            action_of[xform_name(operation)] = (
                f"apigateway:{verb}" if service == "apigateway" else f"{service}:{operation}"
            )
    source = "".join(file.read_text() for file in files)
    # Method names are theirs alone: no two of these services share one that the steps call, or hand
    # over to be called.
    names = set(re.findall(r"\.([a-z_]+)\b", source))
    names |= set(re.findall(r"get_paginator\(\"(\w+)\"", source))
    return {action_of[name] for name in names if name in action_of}


def test_the_permissions_are_those_of_the_calls_and_no_more() -> None:
    # What a create needs besides: its tags, and giving the role away. GetFunction shows its tags
    # only to those who may list them.
    beside = {
        "cognito-idp:TagResource",
        "iam:TagRole",
        "iam:PassRole",
        "lambda:TagResource",
        "lambda:ListTags",
        "logs:TagResource",
        # The engine's own last look, not a step's.
        "tag:GetResources",
    }
    options = {
        *("iam:AttachRolePolicy", "iam:DetachRolePolicy"),
        *("iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary"),
    }
    client = COGAUTH / "client"
    calling = (*(COGAUTH / "steps").glob("*.py"), client / "calls.py", client / "users.py")
    assert readme_actions() == (called_actions(calling) | beside) - options
    assert all(f"`{action}`" in README.read_text() for action in options)


def test_the_roles_under_a_boundary_need_the_same_and_what_sets_it() -> None:
    roles = {action for action in readme_actions() if action.startswith("iam:")}
    bounded = readme_actions("policy: roles under a boundary")
    assert bounded == roles - {"iam:PassRole"} | {"iam:PutRolePermissionsBoundary"}


def test_what_is_linked_is_there() -> None:
    for page in ("README.md", "SECURITY.md"):
        text = (README.parent / page).read_text()
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        assert links
        for link in links:
            name, _, heading = link.partition("#")
            linked = README.parent / (name or page)
            assert linked.exists(), link
            if heading:
                titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
                words = [
                    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
                ]
                assert heading in words, link


def test_what_verify_and_explain_need_beside_is_listed_and_no_more() -> None:
    checks = COGAUTH / "checks"
    looking = (
        *((checks / "verify").glob("*.py")),
        *((checks / "explain").glob("*.py")),
        COGAUTH / "gateway" / "deployed.py",
    )
    called = called_actions(looking)
    # Cognito's GetUser asks for no permission: an access token speaks for itself. IAM has one, too.
    beside = called - readme_actions() - {"cognito-idp:GetUser", "iam:GetUser"}
    # Of other functions than the stack's own; and what the statement of the kit allows as well.
    both = {"lambda:GetPolicy", "cognito-idp:AdminDeleteUser"}
    assert readme_actions("policy: verify, explain") == beside | both
    assert "lambda:GetPolicy" in called


if __name__ == "__main__":
    README.write_text(with_benchmarks(with_help_pages(README.read_text())))
