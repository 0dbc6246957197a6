"""The command `plan`: what it says of a new stack, a changed one and bad input."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from support.attached import attach, detach, pool_and_orders
from support.commands import in_process
from support.faults import stopped
from support.stacks import SIGN_IN, STEP_NAMES, fact, mutations
from support.tampers import close_sign_up, lift_throttle, weaken_passwords

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.forker import Result

# For the fixtures.
pytest_plugins = ["support.account_commands"]


def test_a_plan_of_a_new_stack_creates_nothing(
    account: Account, run: Callable[..., Result]
) -> None:
    with account.calls.watched() as calls:
        done = run("plan")
    assert done.code == 0
    assert mutations(calls) == []
    assert not account.path().exists()
    assert account.left() == []
    assert f"  +   sign-in function {SIGN_IN}" in done.out
    assert re.search(r"^  \+   role policy \(Role\)", done.out, re.MULTILINE)
    counts = "23 to create, 0 to update, 0 to recreate, 0 to delete, 0 unchanged"
    assert re.search(rf"^Plan: {counts}; about \d+ s\.$", done.out, re.MULTILINE)
    assert f"Next: cogauth up --stack shop --state {account.path()}" in done.out


def test_a_plan_says_who_may_sign_up_after_it(account: Account, run: Callable[..., Result]) -> None:
    account.stands()
    assert "After 'up', sign-up is open: anyone can create an account." in run("plan").out
    chosen = run("plan", "--sign-up", "closed")
    assert "AdminCreateUserConfig.AllowAdminCreateUserOnly: false → true" in chosen.out
    assert "After 'up', sign-up is closed: only administrators create users." in chosen.out
    assert chosen.out.splitlines()[-1].startswith("Next: cogauth up --sign-up closed")
    # If someone closed sign-up by hand, the plan shows that 'up' would reopen it, unless the
    # user chooses closed.
    close_sign_up(account)
    drifted = run("plan")
    field = "AdminCreateUserConfig.AllowAdminCreateUserOnly: true → false"
    assert f"'up' asks: Somebody has changed the user pool: {field}. Overwrite it?" in drifted.out
    assert "After 'up', sign-up is open" in drifted.out
    document = json.loads(run("plan", "--sign-up", "closed", "--json").out)
    assert (document["sign_up"], document["questions"]) == ("closed", [])


def test_the_document_has_the_contracts_fields(
    account: Account, run: Callable[..., Result]
) -> None:
    account.stands()
    weaken_passwords(account)
    done = run("plan", "--json")
    assert done.code == 0
    document: dict[str, Any] = json.loads(done.out)
    assert document.keys() >= {
        *("stack", "account", "region", "steps", "conflicts", "unfinished", "estimate")
    }
    assert [step["step"] for step in document["steps"]] == list(STEP_NAMES)
    assert document["estimate"]["seconds"] > 0
    pool = document["steps"][0]
    assert (pool["action"], pool["id"]) == ("update", fact(account, "user_pool"))
    assert pool["resources"] == [
        {
            "resource": "user_pool",
            "action": "update",
            "reason": None,
            "changes": [
                {"field": "Policies.PasswordPolicy.MinimumLength", "old": 6, "new": 8},
            ],
            "notes": [],
        }
    ]
    assert {step["action"] for step in document["steps"][1:]} == {"unchanged"}
    (question,) = document["questions"]
    assert "Policies.PasswordPolicy.MinimumLength: 6 → 8" in question


@pytest.mark.parametrize(
    ("tampered", "words", "code"),
    [
        (False, ["plan"], 0),
        (False, ["plan", "--exit-code"], 0),
        (True, ["plan"], 0),
        (True, ["plan", "--exit-code"], 3),
        (False, ["plan", "--exit-code", "--throttle-rate", "3"], 3),
        (True, ["up", "--dry-run"], 0),
    ],
)
def test_the_exit_code_says_whether_something_would_change(
    account: Account, run: Callable[..., Result], words: list[str], *, tampered: bool, code: int
) -> None:
    account.stands()
    if tampered:
        lift_throttle(account)
    before = account.path().read_text()
    with account.calls.watched() as calls:
        assert run(*words).code == code
    assert mutations(calls) == []
    assert account.path().read_text() == before


def test_a_clash_is_named_and_is_exit_code_1(account: Account, run: Callable[..., Result]) -> None:
    account.client("iam").create_role(RoleName="shop-LambdaAuthRole", AssumeRolePolicyDocument="{}")
    done = run("plan", "--json")
    assert done.code == 1
    (conflict,) = json.loads(done.out)["conflicts"]
    assert conflict["resource"] == "role"
    assert conflict["code"] == "name_conflict"
    assert "shop-LambdaAuthRole" in conflict["message"]
    assert "✗ shop-LambdaAuthRole (role) already exists" in run("plan").out


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("begun", "left"),
    [
        ((attach, "CreateAuthorizer"), ["create ID authorizer since"]),
        ((attach, "UpdateMethod"), 5 * ["attach ID"]),
        ((detach, "UpdateMethod"), 5 * ["detach ID"]),
    ],
)
def test_what_is_unfinished_in_an_attached_api_is_named_with_the_command_that_finishes_it(
    account: Account,
    run: Callable[..., Result],
    begun: tuple[Callable[..., object], str],
    left: list[str],
) -> None:
    orders, (begin, operation) = pool_and_orders(account), begun
    if begin is detach:
        attach(account, orders.id)
    with stopped(account, operation, lands=True):
        begin(account, orders.id)
    said = [line for line in run("plan").out.splitlines() if line.startswith("Unfinished: ")]
    for line, words in zip(said, left, strict=True):
        assert line.startswith(f"Unfinished: {words.replace('ID', orders.id)} ")
    unfinished = json.loads(run("plan", "--json").out)["unfinished"]
    assert all(each["outcome"].startswith("'up' leaves it; '") for each in unfinished)
    for command in {each["outcome"].split("'")[3] for each in unfinished}:
        in_process(*shlex.split(command)[1:], "--yes").must()
    assert json.loads(run("plan", "--json").out)["unfinished"] == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--password-min-length", "3"], "--password-min-length"),
        (["--stage", "x/y"], "--stage"),
        (["--adopt", "us-east-1_nobody"], "--adopt us-east-1_nobody"),
        (["--local", "--endpoint-url", "http://127.0.0.1:1"], "--local and --endpoint-url"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_input_is_named_before_anything_is_read(
    account: Account, run: Callable[..., Result], words: list[str], named: str
) -> None:
    with account.calls.watched() as calls:
        done = run("plan", *words)
    assert done.code == 2
    assert named in done.err
    assert calls == []


def test_the_script_is_printed_without_asking_anybody(
    account: Account, run: Callable[..., Result]
) -> None:
    with account.calls.watched() as calls:
        done = run("plan", "--script", "--password-min-length", "11")
    assert done.code == 0
    assert calls == []
    assert done.out.startswith("#!/usr/bin/env bash\n")
    assert '"MinimumLength": 11' in done.out
    assert account.region in done.out
    assert done.err == ""


@pytest.mark.parametrize("option", ["--json", "--local"])
def test_the_script_is_for_the_aws_cli_alone(run: Callable[..., Result], option: str) -> None:
    done = run("plan", "--script", option)
    assert done.code == 2
    assert f"--script and {option} exclude each other" in done.err + done.out
