"""AWS's errors about resources that were just created or names that were just freed, on moto.

Not every part of AWS knows at once that something was created or that a name is free. "There is no
such thing" and "the name is taken" then pass; otherwise they are errors. test_up_faults.py covers
all.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, NameConflictError, UsageError
from cogauth.steps.base import Step
from support.account import Account, Silent
from support.calls import Call, refusal
from support.faults import StoppedError, stopped
from support.stacks import (
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    UNCHANGED,
    delete_api,
    delete_pool,
    existing,
    fact,
)
from support.tampers import delete_authorizer, delete_log_group

# Most cases run `up` more than once, so plain `pytest` runs only every fourth one.
pytestmark = pytest.mark.sample(4)

KMS = (
    "Lambda was unable to configure access to your environment variables because the KMS key is "
    "invalid for CreateGrant. Please check your KMS key settings. KMS Exception: "
    "InvalidArnException KMS Message: ARN does not refer to a valid principal: " + ROLE
)


def refusing(
    operation: str, status: int, code: str, message: str = "No.", times: int = 1
) -> Callable[[Call], Any]:
    """Return a hook that refuses the first calls of an operation."""
    met: Counter[str] = Counter()

    def refuse(call: Call) -> Any:
        if call.operation != operation or met[operation] == times:
            return None
        met[operation] += 1
        return refusal(status, code, message)

    return refuse


def always(operation: str, status: int, code: str) -> Callable[[Call], Any]:
    return refusing(operation, status, code, times=10**9)


def test_a_key_that_does_not_know_a_new_role_is_waited_for(account: Account) -> None:
    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or account.time.now > 20:
            return None
        return refusal(400, "InvalidParameterValueException", KMS)

    with account.calls.watched(refuse):
        account.up()
    assert existing(account) == STACK
    assert 20 < account.time.now < 40


# ---- There is no such thing


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


# ---- The name is taken

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


# ---- A deletion began


def test_what_this_stack_itself_was_deleting_is_made_anew_without_a_question(
    account: Account,
) -> None:
    account.stands()
    former = fact(account, "user_pool")
    with stopped(account, "DeleteUserPool", lands=True):
        account.down()
    record = account.state().record("user_pool")
    assert record is not None
    assert record["status"] == "deleting"
    assert record["id"] == former
    assert account.up()["user_pool"] == "created"
    assert fact(account, "user_pool") != former
    assert existing(account) == STACK
    # From then on it is a pool like any other.
    account.grow_old()
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


def test_a_pool_that_outlived_its_deletion_is_kept_with_its_users(account: Account) -> None:
    account.stands()
    account.grow_old()
    pool = fact(account, "user_pool")
    cognito = account.client("cognito-idp")
    cognito.admin_create_user(UserPoolId=pool, Username="ann")
    begun = account.time.now
    with stopped(account, "DeleteUserPool"):
        account.down()
    account.up()
    # The deletion may still land until the settling time is over; part of that time really passes.
    assert 5 <= account.time.now - begun <= 16
    assert fact(account, "user_pool") == pool
    assert [user["Username"] for user in cognito.list_users(UserPoolId=pool)["Users"]] == ["ann"]
    assert existing(account) == STACK
    account.grow_old()
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


class Landing(Silent):
    """A reporter that makes the pool's deletion land after some seconds of waiting."""

    def __init__(self, account: Account, pool: str) -> None:
        self.account, self.pool, self.landed = account, pool, False

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        del step, reason, seconds_left
        if self.account.time.now > 5 and not self.landed:
            self.landed = True
            self.account.client("cognito-idp").delete_user_pool(UserPoolId=self.pool)


def test_a_deletion_that_lands_late_is_seen(account: Account) -> None:
    account.stands()
    account.grow_old()
    with stopped(account, "DeleteUserPool"):
        account.down()
    pool = fact(account, "user_pool")
    landing = Landing(account, pool)
    engine.up(account.context(), landing)
    assert landing.landed
    assert fact(account, "user_pool") != pool
    assert existing(account) == STACK


def test_a_function_that_outlived_its_deletion_is_made_anew(account: Account) -> None:
    """Its role may not have survived: the current one may be another with the same name."""
    account.stands()
    with stopped(account, "DeleteFunction"):
        account.down()
    actions = account.up()
    assert "created" in {actions["sign_in_function"], actions["auto_confirm_function"]}
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_name_that_somebody_took_after_a_deletion_began_is_theirs(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteRole", lands=True):
        account.down()
    iam = account.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    with pytest.raises(NameConflictError, match="no cogauth tag"):
        account.up()
    assert account.down().left_alone
    assert account.left() == [f"role {ROLE}"]


def test_a_deletion_that_was_refused_is_no_intent_any_more(account: Account) -> None:
    account.stands()
    before = account.state().record("role")
    with account.calls.watched(always("DeleteRole", 403, "AccessDenied")):
        assert account.down().problems
    assert account.state().record("role") == before


@pytest.mark.parametrize(
    ("key", "operation", "status"),
    [
        ("user_pool", "DeleteUserPool", "created"),
        ("sign_in_function", "DeleteFunction", "outdated"),
    ],
)
def test_nor_is_the_one_of_a_run_before_it_that_was_killed(
    account: Account, key: str, operation: str, status: str
) -> None:
    account.stands()
    with stopped(account, operation):
        account.down()
    account.grow_old()
    with account.calls.watched(always(operation, 403, "AccessDeniedException")):
        assert account.down().problems
    record = account.state().record(key)
    assert record is not None
    assert record["status"] == status
    account.up()
    assert existing(account) == STACK


def test_the_one_that_may_still_land_stays_an_intent_all_the_same(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteUserPool"):
        account.down()
    before = account.state().record("user_pool")
    with account.calls.watched(always("DeleteUserPool", 403, "AccessDeniedException")):
        assert account.down().problems
    assert account.state().record("user_pool") == before


def test_whose_users_were_not_deleted_is_asked_about_when_they_are_gone(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteUserPool"):
        account.down()
    account.grow_old()
    with account.calls.watched(always("DeleteUserPool", 403, "AccessDeniedException")):
        assert account.down().problems
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


def test_a_deletion_whose_end_is_not_known_stays_an_intent(account: Account) -> None:
    account.stands()
    with account.calls.watched(always("DeleteRole", 500, "InternalFailure")):
        assert account.down().problems
    record = account.state().record("role")
    assert record is not None
    assert record["status"] == "deleting"
    assert account.down().problems == []
    assert account.left() == []
