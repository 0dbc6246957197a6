"""`down`: what is gone afterwards, in which order it goes, and what is reported to remain."""

from typing import Any

import pytest

from cogauth import engine
from cogauth.aws.transient import KNOWN_WITHIN_S
from cogauth.errors import CogauthError
from cogauth.record.records import CREATED, DELETING, OUTDATED
from cogauth.steps import RESOURCES, ROOTS
from support.account import Account
from support.calls import Call, refusal
from support.stacks import (
    AUTO_CONFIRM,
    AUTO_CONFIRM_LOGS,
    AUTO_CONFIRM_ROLE,
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    delete_pool,
    existing,
    fact,
    mutations,
    shown,
)
from support.tampers import delete_role, delete_sign_in_function

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def test_down_leaves_nothing_and_lists_all_it_deleted(account: Account) -> None:
    account.stands()
    recorded = sorted(
        (RESOURCES[key].step.name, record["id"])
        for key, record in account.state().resources.items()
    )
    result = account.down()
    assert account.left() == []
    assert sorted((entry["step"], entry["id"]) for entry in result.deleted) == recorded
    assert (result.already_gone, result.remaining, result.problems) == ([], [], [])
    assert not account.path().exists()


def test_down_twice_is_fine(account: Account) -> None:
    account.stands()
    account.grow_old()
    text = account.path().read_text()
    account.down()
    # As if the state file had been restored from a backup.
    account.path().write_text(text)
    assert engine.plan_down(account.context()).deletions == []
    with account.calls.watched() as calls:
        result = account.down()
    assert mutations(calls) == []
    assert (result.deleted, result.remaining, result.problems) == ([], [], [])
    # Everything but the API's root path; a method's integration has a record of its own.
    assert len(result.already_gone) == len(STACK) - 1 + 2
    assert not account.path().exists()
    assert account.down().already_gone == []


def test_what_was_gone_before_counts_as_already_gone(account: Account) -> None:
    account.stands()
    delete_sign_in_function(account)
    delete_pool(account)
    delete_role(account)
    result = account.down()
    assert {(entry["step"], entry["id"]) for entry in result.already_gone} >= {
        ("sign_in_function", SIGN_IN),
        ("role", ROLE),
    }
    assert {entry["step"] for entry in result.already_gone} == {
        "role",
        "sign_in_function",
        "rest_api",  # its permission on the function
        "user_pool",
        "app_client",
        "trigger",
    }
    assert account.left() == []


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.sample(1)
def test_what_somebody_deletes_after_the_plan_counts_as_already_gone(
    account: Account, *, old: bool
) -> None:
    account.stands()
    if old:
        account.grow_old()
    ctx = account.context()
    plan = engine.plan_down(ctx)
    delete_sign_in_function(account)
    begun = account.time.now
    result = engine.down(ctx, plan, lambda _line: None)
    # AWS may not know a new one everywhere yet.
    assert account.time.now - begun == (0 if old else pytest.approx(KNOWN_WITHIN_S, abs=5))
    assert {entry["id"] for entry in result.already_gone} >= {SIGN_IN}
    assert SIGN_IN not in {entry["id"] for entry in result.deleted}
    assert account.left() == []


def down(account: Account, lines: list[str]) -> None:
    ctx = account.context()
    engine.down(ctx, engine.plan_down(ctx), lines.append)


def test_down_deletes_against_the_needs_and_the_api_at_once(account: Account) -> None:
    account.stands()
    api, pool = fact(account, "rest_api"), fact(account, "user_pool")
    lines: list[str] = []
    with account.calls.watched() as calls:
        down(account, lines)
    assert sorted(mutations(calls)) == [
        "DeleteFunction",
        "DeleteFunction",
        "DeleteLogGroup",
        "DeleteLogGroup",
        "DeleteRestApi",
        "DeleteRole",
        "DeleteRole",
        "DeleteRolePolicy",
        "DeleteRolePolicy",
        "DeleteUserPool",
    ]
    order = [line.rsplit(" ", 1)[1] for line in lines]
    assert order[0] == api
    assert order.index(SIGN_IN) < order.index(ROLE)
    assert order.index(AUTO_CONFIRM) < order.index(AUTO_CONFIRM_ROLE)
    assert order.index(SIGN_IN) < min(map(order.index, (pool, SIGN_IN_LOGS)))
    assert order.index(AUTO_CONFIRM) < order.index(AUTO_CONFIRM_LOGS)


def test_a_refused_deletion_is_reported_and_its_record_kept(account: Account) -> None:
    account.stands()
    role = fact(account, "role", "arn")

    def refuse(call: Call) -> Any:
        its = call.operation == "DeleteRole" and call.sent["body"]["RoleName"] == ROLE
        return refusal(403, "AccessDenied") if its else None

    begun = account.time.now
    with account.calls.watched(refuse):
        result = account.down()
    # `down` doesn't wait for what AWS refuses to delete.
    assert account.time.now == begun
    assert account.left() == [f"role {ROLE}"]
    assert result.remaining == [{"step": "role", "resource": "role", "id": ROLE}]
    assert len(result.problems) == 1
    assert "iam:DeleteRole" in result.problems[0]
    # Nobody need look for an obstacle: permission is what is lacking.
    assert "obstacle" not in result.problems[0]
    assert account.state().fact("role", "arn") == role
    assert list(account.state().resources) == ["role", "role_policy"]
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


# What AWS refuses to delete while something protects or uses it.
@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("DeleteUserPool", "InvalidParameterException"),
        ("DeleteRestApi", "BadRequestException"),
        ("DeleteRestApi", "ConflictException"),
        ("DeleteRole", "DeleteConflict"),
        ("DeleteLogGroup", "ValidationException"),
    ],
)
def test_an_obstacle_is_named_with_the_way_on(account: Account, operation: str, code: str) -> None:
    account.stands()

    def refuse(call: Call) -> Any:
        return refusal(400, code, "It is in use.") if call.operation == operation else None

    with account.calls.watched(refuse):
        result = account.down()
    for problem in result.problems:
        assert "It is in use. First remove the obstacle, such as" in problem
        assert problem.endswith("' again.")
    assert len(result.problems) == len(result.remaining) == len(account.left()) > 0
    assert account.down().remaining == []


@pytest.mark.parametrize(
    ("status", "age"), [(CREATED, 1), (OUTDATED, 1), (DELETING, 1), (DELETING, 0)]
)
def test_refused_deletions_leave_the_records_as_they_were(
    account: Account, status: str, age: int
) -> None:
    """Except deletions that began so long ago that they can't take effect any more."""
    account.stands()
    if age:
        account.grow_old()
    state = account.state()
    for root in ROOTS:
        state.resources[root.key]["status"] = status
    state.save()
    wanted = account.state().resources
    if status == DELETING and age:
        for root in ROOTS:
            # Nobody knows whether a function was outdated before, but it can be recreated.
            restored = OUTDATED if root.key.endswith("_function") else CREATED
            wanted[root.key]["status"] = restored

    def refuse(call: Call) -> Any:
        return refusal(403, "AccessDenied") if call.mutating else None

    with account.calls.watched(refuse):
        result = account.down()
    assert len(result.problems) == len(ROOTS)
    assert account.state().resources == wanted
    assert existing(account) == STACK


def test_down_waits_out_the_one_deletion_of_an_api_in_30_seconds(account: Account) -> None:
    account.stands()
    began = account.time.now

    def throttle_until_later(call: Call) -> Any:
        early = account.time.now < began + 30
        throttled = call.operation == "DeleteRestApi" and early
        return refusal(429, "TooManyRequestsException") if throttled else None

    with account.calls.watched(throttle_until_later):
        result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []
    assert 30 <= account.time.now - began < 60


def pretend(call: Call) -> Any:
    """Answer that the pool is deleted, and don't delete it."""
    if call.operation != "DeleteUserPool":
        return None
    return refusal(200, "")[0], {"ResponseMetadata": {"HTTPStatusCode": 200}}


def test_down_counts_as_remaining_what_aws_still_shows(account: Account) -> None:
    account.stands()
    with account.calls.watched(pretend):
        result = account.down()
    assert [entry["step"] for entry in result.remaining] == ["user_pool"]
    assert account.left() == ["pool shop"]


def test_so_it_does_if_only_its_id_finds_it(account: Account) -> None:
    """AWS's lists lag."""
    account.stands()
    listed = shown(account, "ListUserPools", lambda answer: answer["UserPools"].clear(), 10**9)
    with account.calls.watched(pretend), listed:
        result = account.down()
    assert [entry["step"] for entry in result.remaining] == ["user_pool"]


def test_each_deletion_is_on_disk_before_it_happens(account: Account) -> None:
    account.stands()
    ids = {fact(account, root.key): root.key for root in ROOTS}
    deleted = []

    def look(call: Call) -> None:
        if call.mutating and call.operation != "DeleteRolePolicy":
            sent = f"{call.sent['url_path']} {call.sent['body']}"
            # A function's name is the end of its log group's name.
            key = ids[max((each for each in ids if each in sent), key=len)]
            assert account.state().fact(key, "status") == DELETING
            deleted.append(key)

    with account.calls.watched(look):
        assert account.down().clean
    assert sorted(deleted) == sorted(ids.values())


def test_down_tells_what_failed_before_it_could_not_look_again(account: Account) -> None:
    account.stands()

    denied = ["DeleteRole"]

    def refuse(call: Call) -> Any:
        if call.operation in denied:
            # What was found before is deleted; what remains can't be listed.
            denied.append("GetResources")
            return refusal(403, "AccessDenied")
        return None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.down()
    assert "Deleting the role failed: AccessDenied (iam:DeleteRole)" in str(caught.value)
    assert "Looking for what remains failed: AccessDenied" in str(caught.value)
    assert f"The state file {account.path()} stays." in str(caught.value)
    assert account.down().problems == []


def test_what_down_deletes_is_listed_before(account: Account) -> None:
    account.stands()
    api = fact(account, "rest_api")
    listed = [each.id for each in engine.plan_down(account.context()).deletions]
    lines: list[str] = []
    down(account, lines)
    assert sorted(line.rsplit(" ", 1)[1] for line in lines) == sorted(listed)
    assert listed[0] == api
    assert listed.index(SIGN_IN) < listed.index(SIGN_IN_LOGS)


def test_so_is_what_no_record_knows(account: Account) -> None:
    account.stands()
    state = account.state()
    state.resources.clear()
    state.save()
    deletions = engine.plan_down(account.context()).deletions
    assert sorted(each.resource.key for each in deletions) == sorted(root.key for root in ROOTS)
    assert not [each.id for each in deletions if each.recorded or each.claimed]
