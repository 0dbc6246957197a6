"""A name that someone else has: nothing of theirs is adopted, changed or deleted."""

from collections.abc import Callable
from typing import Any

import pytest

from cogauth.errors import NameConflictError
from support.account import Account
from support.answers import terse
from support.calls import Call
from support.faults import StoppedError, stopped
from support.stacks import AUTO_CONFIRM, OTHER_TRUST, ROLE, SIGN_IN_LOGS, fact, mutations
from support.tampers import delete_auto_confirm_function, delete_role
from support.world import described, lasting

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def make_foreign_role(account: Account) -> None:
    account.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=OTHER_TRUST)


def make_foreign_group(account: Account) -> None:
    account.client("logs").create_log_group(logGroupName=SIGN_IN_LOGS)


OTHERS_TAGS = {"cogauth:stack": "other", "cogauth:stack-id": "a-stack-id-of-theirs"}


def make_foreign_function(account: Account, tags: Any = OTHERS_TAGS) -> None:
    role = account.client("iam").create_role(
        RoleName="billing", AssumeRolePolicyDocument=OTHER_TRUST
    )["Role"]["Arn"]
    account.client("lambda").create_function(
        FunctionName=AUTO_CONFIRM,
        Role=role,
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": b"zip"},
        Tags=tags,
    )


def make_bare_function(account: Account) -> None:
    make_foreign_function(account, {})


def delete_sign_in_log_group(account: Account) -> None:
    logs = account.client("logs")
    # moto gives a deleted group's tags to the next group with the same name.
    logs.untag_log_group(logGroupName=SIGN_IN_LOGS, tags=["cogauth:stack", "cogauth:stack-id"])
    logs.delete_log_group(logGroupName=SIGN_IN_LOGS)


FOREIGN = [
    (make_foreign_role, ROLE, "no cogauth tag"),
    (make_foreign_group, SIGN_IN_LOGS, "no cogauth tag"),
    (make_foreign_function, AUTO_CONFIRM, "a-stack-id-of-theirs"),
]


@pytest.mark.parametrize(
    ("make", "name", "owner"), [*FOREIGN, (make_bare_function, AUTO_CONFIRM, "no cogauth tag")]
)
@pytest.mark.sample(1)
def test_a_name_that_someone_else_has_is_refused_before_anything_is_made(
    account: Account, make: Callable[[Account], None], name: str, owner: str
) -> None:
    make(account)
    before = lasting(described(account.client))
    refused = pytest.raises(NameConflictError)
    with account.calls.watched() as calls, terse(account), refused as caught:
        account.up()
    assert name in str(caught.value)
    assert owner in str(caught.value)
    assert mutations(calls) == []
    account.down()
    assert lasting(described(account.client)) == before


@pytest.mark.parametrize(("make", "name", "owner"), FOREIGN, ids=["role", "log group", "function"])
def test_a_name_that_is_taken_while_up_runs_is_left_alone_too(
    account: Account, make: Callable[[Account], None], name: str, owner: str
) -> None:
    taken: list[Any] = []

    def take(call: Call) -> None:
        if call.mutating and not taken:
            make(account)
            taken.append(lasting(described(account.client)))

    with account.calls.watched(take) as calls, pytest.raises(NameConflictError) as caught:
        account.up()
    assert name in str(caught.value)
    assert owner in str(caught.value)
    if make is make_foreign_role:
        # Of two that race, the loser holds no name that the other needs.
        assert mutations(calls).count("CreateRole") == 1
        assert {"CreateLogGroup", "CreateFunction"}.isdisjoint(mutations(calls))
    # With the stack's tags, 'down' would delete it.
    assert "tags" not in str(caught.value)
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert lasting(described(account.client)) == taken[0]


@pytest.mark.parametrize(
    ("make", "delete", "name"),
    [
        (make_foreign_role, delete_role, ROLE),
        (make_foreign_group, delete_sign_in_log_group, SIGN_IN_LOGS),
        (make_foreign_function, delete_auto_confirm_function, AUTO_CONFIRM),
    ],
    ids=["role", "log group", "function"],
)
def test_what_someone_else_put_in_our_resources_place_is_left_alone(
    account: Account, make: Callable[[Account], None], delete: Callable[[Account], Any], name: str
) -> None:
    account.stands()
    delete(account)
    make(account)
    with account.calls.watched() as calls, pytest.raises(NameConflictError, match=name):
        account.up()
    assert mutations(calls) == []
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert [entry["id"] for entry in result.not_ours] == [name]
    assert any(name in words for words in result.left_alone)
    assert any(name in left for left in account.left())


def test_a_pool_and_an_api_of_the_same_name_are_left_alone(account: Account) -> None:
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    their_pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    their_api = api.create_rest_api(name="shop")["id"]
    account.up()
    assert fact(account, "user_pool") != their_pool
    assert fact(account, "rest_api") != their_api
    assert account.left().count("pool shop") == account.left().count("api shop") == 2
    account.down()
    assert account.left() == ["api shop", "pool shop"]
    assert cognito.list_user_pools(MaxResults=60)["UserPools"][0]["Id"] == their_pool
    assert api.get_rest_apis()["items"][0]["id"] == their_api


@pytest.mark.parametrize("ending", ["up", "down"])
def test_what_an_interrupted_create_may_have_left_is_not_mistaken_for_theirs(
    account: Account, ending: str
) -> None:
    """The state file says only that a pool or an API may have been created: theirs was not."""
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    their_pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    their_api = api.create_rest_api(name="shop")["id"]
    with stopped(account, "CreateUserPool", "CreateRestApi"):
        account.up()
    if ending == "down":
        account.down()
        assert account.left() == ["api shop", "pool shop"]
    if ending == "up":
        account.up()
        assert fact(account, "user_pool") != their_pool
        assert fact(account, "rest_api") != their_api
        account.down()
    assert [each["Id"] for each in cognito.list_user_pools(MaxResults=9)["UserPools"]] == [
        their_pool
    ]
    assert [each["id"] for each in api.get_rest_apis()["items"]] == [their_api]


@pytest.mark.parametrize(("make", "name", "_owner"), FOREIGN, ids=["role", "log group", "function"])
def test_a_name_that_is_taken_after_our_create_was_interrupted_is_theirs(
    account: Account, make: Callable[[Account], None], name: str, _owner: str
) -> None:
    operation = {
        make_foreign_role: "CreateRole",
        make_foreign_group: "CreateLogGroup",
        make_foreign_function: "CreateFunction",
    }[make]

    def stop_before(call: Call) -> None:
        if call.operation == operation and name in str(call.sent["body"]):
            raise StoppedError

    with pytest.raises(StoppedError), account.calls.watched(stop_before):
        account.up()
    make(account)
    theirs = lasting(described(account.client))
    with account.calls.watched() as calls, pytest.raises(NameConflictError, match=name):
        account.up()
    assert mutations(calls) == []
    assert lasting(described(account.client)) == theirs
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert [entry for entry in account.left() if not entry.endswith(" billing")] == [
        entry for entry in account.left() if entry.endswith(f" {name}")
    ]
    assert any(entry.endswith(f" {name}") for entry in account.left())
