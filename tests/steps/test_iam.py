"""The two roles: one for each function, with a boundary if asked for, on older stacks too.

Before, both functions ran as the sign-in function's role.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cogauth import engine
from cogauth.aws.answers import Field
from cogauth.errors import CogauthError, UsageError
from cogauth.settings import Settings
from cogauth.steps.iam import check_boundary
from support.account import RESOURCES, Account, Silent, agree
from support.calls import Call, refusal
from support.commands import Cli, in_process
from support.faults import FAULTS, StoppedError, lose, nth, run_with_fault, stop
from support.local_aws import client
from support.names import REGION
from support.stacks import (
    AUTO_CONFIRM,
    AUTO_CONFIRM_LOGS,
    AUTO_CONFIRM_ROLE,
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    UNCHANGED,
    existing,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)

BOUNDARY, OTHER_BOUNDARY = (
    f"arn:aws:iam::123456789012:policy/{name}" for name in ("boundary", "path/to/other")
)


def runs_as(account: Account) -> dict[str, str]:
    """Return the role that each function runs as, by function."""
    lambda_ = account.client("lambda")
    return {
        name: lambda_.get_function(FunctionName=name)["Configuration"]["Role"].rpartition("/")[2]
        for name in (SIGN_IN, AUTO_CONFIRM)
    }


OWN = {SIGN_IN: ROLE, AUTO_CONFIRM: AUTO_CONFIRM_ROLE}


def logs_of(account: Account, role: str) -> list[str]:
    """Return the log groups that a role may write to."""
    policy = account.client("iam").get_role_policy(RoleName=role, PolicyName="cogauth")
    statement = next(s for s in policy["PolicyDocument"]["Statement"] if s["Sid"] == "WriteLogs")
    return [arn.partition("log-group:")[2].removesuffix(":*") for arn in statement["Resource"]]


def make_it_one_of_before(account: Account) -> None:
    """Turn a stack into an older one, from when both functions had one role."""
    account.up()
    iam, state = account.client("iam"), account.state()
    both = iam.get_role_policy(RoleName=ROLE, PolicyName="cogauth")["PolicyDocument"]
    for statement in both["Statement"]:
        if statement["Sid"] == "WriteLogs":
            arn = statement["Resource"][0]
            statement["Resource"] = [arn, arn.replace(SIGN_IN, AUTO_CONFIRM)]
    iam.put_role_policy(RoleName=ROLE, PolicyName="cogauth", PolicyDocument=json.dumps(both))
    account.client("lambda").update_function_configuration(
        FunctionName=AUTO_CONFIRM, Role=state.fact("role", "arn")
    )
    iam.delete_role_policy(RoleName=AUTO_CONFIRM_ROLE, PolicyName="cogauth")
    iam.delete_role(RoleName=AUTO_CONFIRM_ROLE)
    del state.resources["auto_confirm_role"], state.resources["auto_confirm_role_policy"]
    state.save()
    data = json.loads(account.path().read_text())
    del data["settings"]["permissions_boundary"]
    account.path().write_text(json.dumps(data))
    account.grow_old()


@pytest.fixture
def before(account: Account) -> Account:
    make_it_one_of_before(account)
    return account


def test_each_function_has_a_role_of_its_own(account: Account) -> None:
    account.stands()
    assert runs_as(account) == OWN
    assert logs_of(account, ROLE) == [SIGN_IN_LOGS]
    assert logs_of(account, AUTO_CONFIRM_ROLE) == [AUTO_CONFIRM_LOGS]


def test_every_name_fits_the_longest_stack(account: Account) -> None:
    ctx = account.context("s" * 40)
    for key in ("role", "auto_confirm_role"):
        assert 1 <= len(RESOURCES[key].name(ctx) or "") <= 64


def test_a_stack_of_before_is_moved_over_in_place(before: Account) -> None:
    rows = {row.resource.key: row for row in engine.plan(before.context(), Silent()).rows}
    # The ARN of a role that doesn't exist yet is known beforehand.
    (role,) = [one for one in rows["auto_confirm_function"].fields if one.path == "Role"]
    assert str(role.new) == before.context().fact("role", "arn").replace(ROLE, AUTO_CONFIRM_ROLE)
    with before.calls.watched() as calls:
        actions = before.up(confirm=agree)
    assert actions == {
        **UNCHANGED,
        "role": "updated",
        "auto_confirm_role": "created",
        "auto_confirm_function": "updated",
    }
    assert sorted(call.operation for call in calls if call.mutating) == [
        "CreateRole",
        "PutRolePolicy",
        "PutRolePolicy",
        "UpdateFunctionConfiguration",
    ]
    assert existing(before) == STACK
    assert runs_as(before) == OWN
    assert logs_of(before, ROLE) == [SIGN_IN_LOGS]
    assert before.up(confirm=agree) == UNCHANGED


def test_it_keeps_its_former_role_until_lambda_takes_the_new_one(before: Account) -> None:
    message = "The role defined for the function cannot be assumed by Lambda."
    early: list[str] = []

    def refuse(call: Call) -> Any:
        if call.operation != "UpdateFunctionConfiguration" or len(early) > 2:
            return None
        early.append(runs_as(before)[AUTO_CONFIRM])
        return refusal(400, "InvalidParameterValueException", message)

    with before.calls.watched(refuse):
        before.up(confirm=agree)
    assert early == [ROLE] * 3
    assert runs_as(before) == OWN


@pytest.mark.long
@pytest.mark.parametrize("fault", ["stopped before", "stopped after", "answer lost", "denied"])
@pytest.mark.parametrize("then", ["up", "down"])
@pytest.mark.sample(12)
def test_a_move_that_is_cut_short_is_finished_or_taken_away(
    account: Account, pytestconfig: pytest.Config, fault: str, then: str
) -> None:
    """The fault comes at each of the move's mutating calls, or at some of them."""
    step = 1 if pytestconfig.getoption("--all-faults") else 3
    number, met = 0, True
    while met:
        make_it_one_of_before(account)
        at = nth(number, mutating=True)
        up = partial(account.up, confirm=agree)
        met = run_with_fault(account, up, FAULTS[fault], at)[0] is not None
        number += step
        if then == "up":
            account.up(confirm=agree)
            assert existing(account) == STACK
            assert runs_as(account) == OWN
            assert account.up(confirm=agree) == UNCHANGED
        result = account.down()
        assert (result.remaining, result.problems) == ([], [])
        assert account.left() == []
    assert number > 4


def test_a_role_that_was_lost_takes_its_own_function_along(account: Account) -> None:
    account.stands()
    iam = account.client("iam")
    iam.delete_role_policy(RoleName=AUTO_CONFIRM_ROLE, PolicyName="cogauth")
    iam.delete_role(RoleName=AUTO_CONFIRM_ROLE)
    with account.calls.watched() as calls:
        actions = account.up()
    assert (actions["auto_confirm_role"], actions["auto_confirm_function"]) == (
        "created",
        "created",
    )
    assert actions["sign_in_function"] == "unchanged"
    assert [call.operation for call in calls].count("DeleteFunction") == 1
    assert existing(account) == STACK


def test_recover_finds_both_of_a_new_one_and_the_one_of_before(account: Account) -> None:
    account.stands()
    account.path().unlink()
    assert account.recover().fact("auto_confirm_role", "id") == AUTO_CONFIRM_ROLE
    account.down()
    make_it_one_of_before(account)
    account.path().unlink()
    assert account.recover().record("auto_confirm_role") is None
    account.up()
    assert runs_as(account) == OWN
    assert existing(account) == STACK


def test_a_foreign_role_of_the_name_is_left_alone(before: Account) -> None:
    """`up` refuses before it changes anything."""
    iam = before.client("iam")
    iam.create_role(RoleName=AUTO_CONFIRM_ROLE, AssumeRolePolicyDocument="{}")
    with before.calls.watched() as calls, pytest.raises(CogauthError, match="no cogauth tag"):
        before.up()
    assert [call.operation for call in calls if call.mutating] == []
    assert before.down().remaining == []
    assert before.left() == [f"role {AUTO_CONFIRM_ROLE}"]


# The permissions boundary


def boundaries(account: Account) -> list[str | None]:
    return [
        account.client("iam")
        .get_role(RoleName=name)["Role"]
        .get("PermissionsBoundary", {})
        .get("PermissionsBoundaryArn")
        for name in (ROLE, AUTO_CONFIRM_ROLE)
    ]


def test_both_roles_are_made_with_it(account: Account) -> None:
    """CreateRole itself sends the boundary: a policy that demands it refuses any other call.

    The answer need not have it.
    """

    def check(call: Call) -> None:
        assert call.operation != "CreateRole" or boundaries_sent(call) == BOUNDARY

    silent = shown(
        account, "CreateRole", lambda answer: answer["Role"].pop("PermissionsBoundary"), times=2
    )
    with silent, account.calls.watched(after=check) as calls:
        account.up(permissions_boundary=BOUNDARY)
    assert "PutRolePermissionsBoundary" not in {call.operation for call in calls}
    assert boundaries(account) == [BOUNDARY] * 2
    assert account.up() == UNCHANGED
    assert account.state().settings.permissions_boundary == BOUNDARY


def boundaries_sent(call: Call) -> Any:
    return call.sent["body"].get("PermissionsBoundary")


def test_it_is_set_changed_and_taken_back(account: Account) -> None:
    account.stands()
    changed = {**UNCHANGED, "role": "updated", "auto_confirm_role": "updated"}
    former = None
    for arn in (BOUNDARY, OTHER_BOUNDARY):
        rows = engine.plan(account.context(permissions_boundary=arn), Silent()).rows
        field = Field("PermissionsBoundary.PermissionsBoundaryArn", former, arn)
        assert [row.fields for row in rows if row.fields] == [[field]] * 2
        former = arn
        assert account.up(permissions_boundary=arn) == changed
        assert boundaries(account) == [arn] * 2
        assert account.up() == UNCHANGED
    assert account.up(permissions_boundary="none") == changed
    assert boundaries(account) == [None] * 2
    assert account.up() == UNCHANGED
    account.up(permissions_boundary=BOUNDARY)
    assert account.down().problems == []
    assert account.left() == []


def test_one_that_somebody_else_has_set_stays_unless_it_is_asked_for(account: Account) -> None:
    account.stands()
    iam = account.client("iam")
    iam.put_role_permissions_boundary(RoleName=ROLE, PermissionsBoundary=OTHER_BOUNDARY)
    assert account.up() == UNCHANGED
    assert boundaries(account) == [OTHER_BOUNDARY, None]
    account.up(permissions_boundary="none")
    assert boundaries(account) == [None] * 2
    # The boundary was removed once: what an admin sets from now on stays.
    iam.put_role_permissions_boundary(RoleName=ROLE, PermissionsBoundary=OTHER_BOUNDARY)
    assert account.up() == UNCHANGED
    assert boundaries(account) == [OTHER_BOUNDARY, None]


def test_a_boundary_that_was_changed_behind_its_back_is_restored(account: Account) -> None:
    account.up(confirm=agree, permissions_boundary=BOUNDARY)
    iam = account.client("iam")
    iam.delete_role_permissions_boundary(RoleName=ROLE)
    iam.put_role_permissions_boundary(
        RoleName=AUTO_CONFIRM_ROLE, PermissionsBoundary=BOUNDARY + "2"
    )
    account.up(confirm=agree)
    assert boundaries(account) == [BOUNDARY] * 2


@pytest.mark.parametrize("to", [BOUNDARY, "none"])
@pytest.mark.parametrize("fault", [stop, lose])
def test_a_change_that_is_cut_short_is_finished_by_the_next_run(
    account: Account, to: str, fault: Callable[[Call], None]
) -> None:
    account.up(permissions_boundary=OTHER_BOUNDARY)

    def strike(call: Call) -> None:
        if call.operation.endswith("RolePermissionsBoundary"):
            fault(call)

    with account.calls.watched(after=strike), suppress(StoppedError, CogauthError):
        account.up(permissions_boundary=to)
    account.up()
    assert boundaries(account) == [None if to == "none" else to] * 2
    assert account.up() == UNCHANGED


def test_recover_reads_it(account: Account) -> None:
    account.up(permissions_boundary=BOUNDARY)
    account.path().unlink()
    assert account.recover().settings.permissions_boundary == BOUNDARY


@pytest.mark.parametrize(
    "text",
    [
        *("", "boundary", "None", "arn:aws:iam::123456789012:role/x", "arn:aws:s3:::x"),
        *(f"{BOUNDARY}\n", f" {BOUNDARY}", f"{BOUNDARY} x", "arn:aws:iam::1:policy/x"),
        *("arn:aws:iam::123456789012:policy/", "arn:aws:iam::123456789012:policy//x"),
        f"arn:aws:iam::123456789012:policy/{'x' * 129}",
    ],
)
def test_what_is_no_policys_arn_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--permissions-boundary"):
        Settings(permissions_boundary=text)


@pytest.mark.parametrize(
    "text",
    [
        BOUNDARY,
        OTHER_BOUNDARY,
        "arn:aws:iam::aws:policy/PowerUserAccess",
        "arn:aws-us-gov:iam::123456789012:policy/a+b=c,d.e@f-g_h",
        "none",
    ],
)
def test_a_policys_arn_is_taken(text: str) -> None:
    assert Settings(permissions_boundary=text).permissions_boundary == text


def test_one_of_aws_is_in_no_other_account(account: Account) -> None:
    settings = Settings(permissions_boundary="arn:aws:iam::aws:policy/PowerUserAccess")
    check_boundary(account.context(), settings)


def test_one_of_another_account_is_refused_before_anything_is_made(account: Account) -> None:
    words = ("--stack", "shop", "--state", str(account.path()), "--region", REGION)
    other = BOUNDARY.replace("123456789012", "210987654321")
    for arn in (other, BOUNDARY.replace("arn:aws:", "arn:aws-cn:")):
        refused = in_process("up", *words, "--permissions-boundary", arn).must(2)
        assert "another account" in refused.err
    assert not account.path().exists()
    assert account.left() == []
    done = in_process("up", *words, "--permissions-boundary", BOUNDARY, "--json").must().document
    assert done["auto_confirm_role_arn"] == account.state().fact("auto_confirm_role", "arn")
    text = account.path().read_text()
    in_process("up", *words, "--permissions-boundary", other).must(2)
    assert account.path().read_text() == text
    in_process("up", *words, "--permissions-boundary", "none").must()
    assert boundaries(account) == [None] * 2


@pytest.mark.long
@pytest.mark.local
def test_on_the_local_aws(cli: Cli, endpoint: str) -> None:
    """A boundary must exist there, and users sign up with the function's own role."""
    iam = client("iam", endpoint)
    policy = iam.create_policy(
        PolicyName="bounding",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            }
        ),
    )["Policy"]["Arn"]
    where = ("--stack", "bounded", "--endpoint-url", endpoint)
    refused = cli.run("up", *where, "--permissions-boundary", f"{policy}2").must(1)
    assert "--permissions-boundary" in refused.err
    done = cli.run("up", *where, "--permissions-boundary", policy, "--json").must().document
    for name in ("LambdaAuthRole", "AutoConfirmRole"):
        role = iam.get_role(RoleName=f"bounded-{name}")["Role"]
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == policy
    function = client("lambda", endpoint).get_function(
        FunctionName="bounded-autoConfirmUserFunction"
    )
    assert function["Configuration"]["Role"] == done["auto_confirm_role_arn"]
    cli.login("ann", "Correct-Horse-7", *where).must()
    again = cli.run("up", *where, "--json").must().document
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    cli.run("down", "--yes", *where).must()
