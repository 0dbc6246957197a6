"""A create that AWS refuses because the name exists: of what was deleted just now, or of others."""

import base64
import json
from collections import Counter
from typing import Any

import pytest

from cogauth.errors import CogauthError, NameConflictError
from support.account import Account
from support.calls import Call, refusal
from support.faults import StoppedError
from support.refusals import refusing
from support.stacks import (
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    UNCHANGED,
    existing,
)

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


TAKEN = [
    ("CreateRole", "EntityAlreadyExists", "Role with name x already exists."),
    ("CreateLogGroup", "ResourceAlreadyExistsException", "The specified log group already exists"),
    ("CreateFunction", "ResourceConflictException", "Function already exist"),
    ("AddPermission", "ResourceConflictException", "The statement id provided already exists."),
    ("CreateResource", "ConflictException", "Another resource with the same parent has this name"),
    ("PutMethod", "ConflictException", "Method already exists for this resource"),
    ("CreateStage", "ConflictException", "Stage already exists"),
]


NAMES = {
    "CreateRole": ROLE,
    "CreateLogGroup": SIGN_IN_LOGS,
    "CreateFunction": SIGN_IN,
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("operation", "code", "message"), TAKEN, ids=[row[0] for row in TAKEN])
@pytest.mark.sample(6)
def test_a_name_that_is_taken_by_nothing_is_waited_for(
    account: Account, operation: str, code: str, message: str, times: int
) -> None:
    account.stands()
    account.down()
    with account.calls.watched(refusing(operation, 409, code, message, times)):
        account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_name_that_is_taken_for_ever_is_an_error_and_no_intent_is_left(account: Account) -> None:
    begun = account.time.now
    taken = refusing("CreateRole", 409, "EntityAlreadyExists", "It exists.", times=10**9)
    with account.calls.watched(taken), pytest.raises(NameConflictError) as caught:
        account.up()
    for part in (f"{ROLE} (role) can't be created", "AWS says: It exists. Use another --stack"):
        assert part in str(caught.value)
    assert 100 < account.time.now - begun < 150
    assert account.state().record("role") is None


@pytest.mark.parametrize(("operation", "code", "message"), TAKEN[:3], ids=[r[0] for r in TAKEN[:3]])
def test_a_name_that_differs_only_in_case_is_not_waited_for(
    account: Account, operation: str, code: str, message: str
) -> None:
    """IAM's names ignore case; GetRole finds no role with the stack's exact name."""
    name, met = NAMES[operation], []

    def taken(call: Call) -> Any:
        if call.operation != operation or name not in str(call.sent["body"]):
            return None
        met.append(call)
        return refusal(409, code, f"{message} ({name.upper()})")

    with account.calls.watched(taken), pytest.raises(NameConflictError) as caught:
        account.up()
    for part in (f"{name.upper()} exists", "AWS says: ", "Use another --stack"):
        assert part in str(caught.value)
    assert len(met) == 1
    account.up()
    assert existing(account) == STACK


def test_a_path_that_is_taken_for_ever_asks_for_no_other_stack(account: Account) -> None:
    taken = refusing("CreateResource", 409, "ConflictException", "It exists.", times=10**9)
    with account.calls.watched(taken), pytest.raises(CogauthError, match="It exists") as caught:
        account.up()
    assert "another --stack" not in str(caught.value)


def test_a_role_that_appears_after_its_name_was_taken_is_told_whose_it_is(account: Account) -> None:
    """GetRole lags behind CreateRole, but finally returns the role."""
    iam = account.client("iam")
    hidden = refusing("GetRole", 404, "NoSuchEntity", times=3)

    def make_first(call: Call) -> Any:
        if call.operation == "CreateRole" and account.left().count(f"role {ROLE}") == 0:
            iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
        return hidden(call)

    with (
        account.calls.watched(make_first),
        pytest.raises(NameConflictError, match="no cogauth tag"),
    ):
        account.up()
    assert account.left().count(f"role {ROLE}") == 1
    iam.delete_role(RoleName=ROLE)
    account.up()
    assert existing(account) == STACK


class Lagging:
    """After a deletion, GetFunction still shows the function and CreateFunction says it is taken.

    Args:
        account: where the function exists.
        times: how often each operation lags.
    """

    def __init__(self, account: Account, times: int, **shown: str) -> None:
        answer = account.client("lambda").get_function(FunctionName=SIGN_IN)
        self.old = {**answer, "Configuration": {**answer["Configuration"], **shown}}
        self.times, self.deleted = times, False
        self.met: Counter[str] = Counter()

    def __call__(self, call: Call) -> Any:
        text = f"{call.sent['url_path']} {call.sent['body']!s}"
        operation = call.operation
        if SIGN_IN not in text or operation not in LAGGING:
            return None
        self.deleted = self.deleted or operation == "DeleteFunction"
        if not self.deleted or operation == "DeleteFunction" or self.met[operation] == self.times:
            return None
        self.met[operation] += 1
        if operation == "GetFunction":
            return refusal(200, "")[0], self.old
        message = f"Function already exist: {SIGN_IN}"
        return refusal(409, "ResourceConflictException", message)


LAGGING = ("GetFunction", "CreateFunction", "DeleteFunction")


def lose_role(account: Account) -> None:
    iam = account.client("iam")
    iam.delete_role_policy(RoleName=ROLE, PolicyName="cogauth")
    iam.delete_role(RoleName=ROLE)


@pytest.mark.parametrize("times", [1, 3])
def test_the_function_that_is_replaced_is_not_taken_for_the_new_one(
    account: Account, times: int
) -> None:
    account.stands()
    lagging = Lagging(account, times)
    lose_role(account)
    with account.calls.watched(lagging):
        assert account.up()["sign_in_function"] == "created"
    assert lagging.met == {"GetFunction": times, "CreateFunction": times}
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


@pytest.mark.parametrize("killed", [True, False], ids=["a killed one", "an interrupted one"])
def test_nor_by_the_run_after(account: Account, *, killed: bool) -> None:
    account.stands()
    lagging = Lagging(account, 2)
    lose_role(account)

    def end(call: Call) -> Any:
        if call.operation != "CreateFunction" or SIGN_IN not in str(call.sent["body"]):
            return None
        if killed:
            raise StoppedError
        account.time.set()
        return refusal(429, "TooManyRequestsException")

    with account.calls.watched(end), pytest.raises((StoppedError, KeyboardInterrupt)):
        account.up()
    lagging.deleted = True
    with account.calls.watched(lagging):
        account.up()
    assert lagging.met["GetFunction"] == 2
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_the_new_function_whose_create_was_answered_late_is_taken(account: Account) -> None:
    """botocore repeats a call whose answer was lost; then our own function has taken the name."""
    account.stands()
    lose_role(account)
    made: list[Any] = []

    def make_first(call: Call) -> Any:
        if call.operation != "CreateFunction" or made or SIGN_IN not in str(call.sent["body"]):
            return None
        given = json.loads(call.sent["body"])
        given["Code"] = {"ZipFile": base64.b64decode(given["Code"]["ZipFile"])}
        made.append(account.client("lambda").create_function(**given))
        return refusal(409, "ResourceConflictException", f"Function already exist: {SIGN_IN}")

    with account.calls.watched(make_first):
        assert account.up()["sign_in_function"] == "adopted"
    assert existing(account) == STACK


def test_a_function_that_is_being_deleted_is_not_there(account: Account) -> None:
    account.stands()
    lagging = Lagging(account, 2, State="Deleting")
    account.client("lambda").delete_function(FunctionName=SIGN_IN)
    lagging.deleted = True
    with account.calls.watched(lagging):
        assert account.up()["sign_in_function"] == "created"
    assert existing(account) == STACK
    assert account.up() == UNCHANGED
