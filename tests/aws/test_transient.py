"""AWS's errors about resources that were just created, on moto.

Not every part of AWS knows at once that something was created. "There is no such thing" then
passes; otherwise it is an error. test_up_faults.py covers all.
"""

from collections.abc import Callable
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, UsageError
from support.account import Account, Silent
from support.calls import Call, refusal
from support.refusals import always, refusing
from support.stacks import (
    ROLE,
    SIGN_IN,
    STACK,
    UNCHANGED,
    delete_api,
    delete_pool,
    existing,
    fact,
)
from support.tampers import delete_authorizer, delete_log_group

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)

KMS = (
    "Lambda was unable to configure access to your environment variables because the KMS key is "
    "invalid for CreateGrant. Please check your KMS key settings. KMS Exception: "
    "InvalidArnException KMS Message: ARN does not refer to a valid principal: " + ROLE
)


def test_a_key_that_does_not_know_a_new_role_is_waited_for(account: Account) -> None:
    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or account.time.now > 20:
            return None
        return refusal(400, "InvalidParameterValueException", KMS)

    with account.calls.watched(refuse):
        account.up()
    assert existing(account) == STACK
    assert 20 < account.time.now < 40


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("PutRolePolicy", "NoSuchEntity"),
        ("AddPermission", "ResourceNotFoundException"),
        ("PutRetentionPolicy", "ResourceNotFoundException"),
        ("CreateUserPoolClient", "ResourceNotFoundException"),
        ("UpdateUserPool", "ResourceNotFoundException"),
        ("PutMethod", "NotFoundException"),
        ("CreateAuthorizer", "NotFoundException"),
    ],
)
def test_what_stays_unknown_is_given_up_after_half_a_minute(
    account: Account, operation: str, code: str
) -> None:
    begun = account.time.now
    unknown = account.calls.watched(always(operation, 404, code))
    with unknown, pytest.raises(CogauthError, match=code):
        account.up()
    assert 30 <= account.time.now - begun < 45
    account.up()
    assert existing(account) == STACK


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("PutMethod", "Invalid authorizer ID specified. Setting the authorization type to CUSTOM"),
        ("CreateDeployment", "Invalid Authorizer identifier specified"),
        ("CreateStage", "Deployment id does not exist"),
    ],
)
def test_api_gateway_may_call_it_a_bad_request(
    account: Account, operation: str, message: str
) -> None:
    with account.calls.watched(refusing(operation, 400, "BadRequestException", message)):
        account.up()
    assert existing(account) == STACK


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("CreateDeployment", "No integration defined for method"),
        # It refers to a function, but the error is about something else.
        ("PutIntegration", "Invalid timeout"),
    ],
)
@pytest.mark.sample(1)
def test_any_other_bad_request_is_an_error_at_once(
    account: Account, operation: str, message: str
) -> None:
    met: list[Call] = []

    def refuse(call: Call) -> Any:
        if call.operation != operation or "MOCK" in str(call.sent["body"]):
            return None
        met.append(call)
        return refusal(400, "BadRequestException", message)

    with account.calls.watched(refuse), pytest.raises(CogauthError, match=message):
        account.up()
    assert len(met) == 1


def test_a_managed_policy_that_there_is_not_is_an_error_at_once(account: Account) -> None:
    """moto has no such policy here; the role to attach it to was just created."""
    with pytest.raises(CogauthError, match="AmazonCognitoPowerUser does not exist"):
        account.up(power_user=True)
    assert account.time.now == 0


CHANGES = [
    ({"throttle_rate": 3}, "UpdateStage", "NotFoundException"),
    ({"sign_in_memory": 1024}, "UpdateFunctionConfiguration", "ResourceNotFoundException"),
    ({"tier": "PLUS"}, "UpdateUserPool", "ResourceNotFoundException"),
]


@pytest.mark.parametrize(("choice", "operation", "code"), CHANGES, ids=[row[1] for row in CHANGES])
def test_of_what_was_made_long_ago_it_is_an_error_at_once(
    account: Account, choice: dict[str, Any], operation: str, code: str
) -> None:
    account.stands()
    account.grow_old()
    begun = account.time.now
    unknown = account.calls.watched(always(operation, 404, code))
    with unknown as calls, pytest.raises(CogauthError, match=code):
        account.up(**choice)
    assert account.time.now == begun
    assert [call.operation for call in calls].count(operation) == 1


@pytest.mark.parametrize(("choice", "operation", "code"), CHANGES, ids=[row[1] for row in CHANGES])
def test_of_what_an_earlier_run_made_just_now_it_is_waited_out(
    account: Account, choice: dict[str, Any], operation: str, code: str
) -> None:
    account.stands()
    with account.calls.watched(refusing(operation, 404, code, times=2)):
        account.up(**choice)
    assert account.up() == UNCHANGED


def refusing_all_about(
    operation: str, about: str, code: str, message: str, met: list[Call]
) -> Callable[[Call], Any]:
    """Return a hook that refuses and records each call of an operation about something."""

    def refuse(call: Call) -> Any:
        if (
            call.operation != operation
            or about not in f"{call.sent['url_path']} {call.sent['body']}"
        ):
            return None
        met.append(call)
        return refusal(404, code, message)

    return refuse


def test_that_something_far_from_it_is_new_is_no_reason_to_wait(account: Account) -> None:
    """The function's permission needs the function and the API, and neither needs the new pool."""
    account.stands()
    account.grow_old()
    delete_pool(account)
    place = {"FunctionName": SIGN_IN, "StatementId": "cogauth-apigateway"}
    account.client("lambda").remove_permission(**place)
    met: list[Call] = []
    unknown = refusing_all_about("AddPermission", SIGN_IN, "ResourceNotFoundException", "No.", met)
    told = pytest.raises(CogauthError, match="ResourceNotFoundException")
    with account.calls.watched(unknown), told:
        account.up(confirm=lambda _lost: None)
    assert len(met) == 1
    account.up()
    assert existing(account) == STACK


def test_what_is_old_and_named_is_not_waited_for(account: Account) -> None:
    """The role's policy needs the pool, which is new, but AWS's error names the role."""
    account.stands()
    account.grow_old()
    delete_pool(account)
    met: list[Call] = []
    message = f"The role with name {ROLE} cannot be found."
    unknown = refusing_all_about("PutRolePolicy", ROLE, "NoSuchEntity", message, met)
    with account.calls.watched(unknown), pytest.raises(CogauthError, match="cannot be found"):
        account.up(confirm=lambda _lost: None)
    assert len(met) == 1
    account.up()
    assert existing(account) == STACK


def test_an_arn_of_nothing_of_the_stack_is_not_waited_for(account: Account) -> None:
    """The role is new, but it isn't what AWS's error names."""
    met: list[Call] = []
    message = "There is no arn:aws:iam::aws:policy/Theirs."
    unknown = refusing_all_about("PutRolePolicy", ROLE, "NoSuchEntity", message, met)
    with account.calls.watched(unknown), pytest.raises(CogauthError, match="policy/Theirs"):
        account.up()
    assert len(met) == 1


def test_a_new_part_that_is_named_beside_its_old_parent_is_waited_for(account: Account) -> None:
    account.stands()
    account.grow_old()
    delete_authorizer(account)
    left = [2]

    def refuse(call: Call) -> Any:
        if call.operation != "UpdateMethod" or not left[0]:
            return None
        left[0] -= 1
        api, authorizer = fact(account, "rest_api"), fact(account, "authorizer")
        message = f"The API {api} has no authorizer {authorizer}"
        return refusal(404, "NotFoundException", message)

    with account.calls.watched(refuse):
        account.up()
    assert left == [0]
    assert existing(account) == STACK


def test_what_is_new_and_named_is_waited_for(account: Account) -> None:
    message = f"Function not found: arn:aws:lambda:eu-central-1:123456789012:function:{SIGN_IN}"
    unknown = refusing("AddPermission", 404, "ResourceNotFoundException", message, times=2)
    role = refusing("PutRolePolicy", 404, "NoSuchEntity", f"The role with name {ROLE} cannot be.")

    def refuse(call: Call) -> Any:
        about = {"AddPermission": SIGN_IN, "PutRolePolicy": ROLE}.get(call.operation, "")
        return (unknown(call) or role(call)) if about in str(call.sent) else None

    with account.calls.watched(refuse):
        account.up()
    assert existing(account) == STACK


def test_a_managed_policy_that_does_not_exist_is_an_error_at_once(account: Account) -> None:
    """moto has none of AWS's policies here. The role is new, but it isn't what is missing."""
    with account.calls.watched() as calls, pytest.raises(CogauthError, match="AmazonCognitoPower"):
        account.up(power_user=True)
    assert [call.operation for call in calls].count("AttachRolePolicy") == 1


def test_of_a_record_that_does_not_say_since_when_it_is_an_error(account: Account) -> None:
    """State files of older cogauth versions have such records."""
    account.stands()
    state = account.state()
    for record in state.resources.values():
        del record["since"]
    state.save()
    unknown = account.calls.watched(always("UpdateStage", 404, "NotFoundException"))
    with unknown, pytest.raises(CogauthError, match="NotFoundException"):
        account.up(throttle_rate=3)
    assert account.time.now == 0
    assert account.up(throttle_rate=3)["deployment"] == "updated"


def test_a_clock_that_was_set_back_does_not_make_what_is_old_fresh(account: Account) -> None:
    account.stands()
    state = account.state()
    record = state.record("stage")
    assert record is not None
    record["since"] = "2999-01-01T00:00:00+00:00"
    state.save()
    for key in ("rest_api", "deployment"):
        old = state.record(key)
        assert old is not None
        del old["since"]
    state.save()
    delete_stage = account.client("apigateway").delete_stage
    delete_stage(restApiId=fact(account, "rest_api"), stageName="dev")
    assert account.up()["deployment"] == "updated"
    assert account.time.now == 0


def test_a_pool_that_is_not_known_everywhere_yet_is_not_asked_about(account: Account) -> None:
    account.stands()
    pool = fact(account, "user_pool")
    absent = refusing("DescribeUserPool", 400, "ResourceNotFoundException", times=2)
    with account.calls.watched(absent):
        assert account.up() == UNCHANGED
    assert fact(account, "user_pool") == pool
    account.grow_old()
    absent = refusing("DescribeUserPool", 400, "ResourceNotFoundException")
    with account.calls.watched(absent), pytest.raises(UsageError, match="is gone"):
        account.up()


def test_what_was_inside_of_something_that_was_lost_is_not_waited_for(account: Account) -> None:
    """An old API is recreated: the records of everything in it are older than the API."""
    account.stands()
    account.grow_old()
    delete_api(account)
    account.up()
    assert account.time.now == 0
    assert existing(account) == STACK


def test_down_does_not_believe_at_once_that_what_was_just_made_is_gone(account: Account) -> None:
    account.stands()
    absent = {
        "DeleteRestApi": refusal(404, "NotFoundException"),
        "DeleteUserPool": refusal(400, "ResourceNotFoundException"),
        "GetRole": refusal(404, "NoSuchEntity"),
        "GetFunction": refusal(404, "ResourceNotFoundException"),
    }

    def refuse(call: Call) -> Any:
        # AWS's lists also lag behind.
        if call.operation in {"GetRestApis", "ListUserPools", "DescribeUserPool", "GetRestApi"}:
            return None
        return absent.pop(call.operation, None)

    with account.calls.watched(refuse):
        result = account.down()
    assert not absent
    assert (result.already_gone, result.remaining, result.problems) == ([], [], [])
    assert account.left() == []


def test_the_local_aws_is_believed_at_once_that_something_is_gone(account: Account) -> None:
    account.stands()
    delete_log_group(account)
    begun, state = account.time.now, account.state()
    state.local_data = "1" * 32
    plan = engine.plan(account.context_of(state), Silent())
    assert [row.resource.key for row in plan.rows if row.is_missing] == ["auto_confirm_log_group"]
    assert account.time.now == begun


def test_a_log_group_whose_tags_are_not_known_everywhere_yet_is_waited_for(
    account: Account,
) -> None:
    account.stands()
    code = "ResourceNotFoundException"
    with account.calls.watched(refusing("ListTagsForResource", 400, code, times=2)):
        assert account.up() == UNCHANGED
