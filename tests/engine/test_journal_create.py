"""A creating call: what is on disk before it, and what a lost answer or a refusal leaves."""

from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from cogauth.errors import CogauthError
from cogauth.record.records import CREATED, CREATING
from cogauth.steps import STEPS
from support.account import Account
from support.calls import Call, refusal
from support.stacks import STACK, existing

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


@pytest.mark.parametrize(
    ("operation", "step"), [("CreateRole", "role"), ("CreateLogGroup", "sign_in_function")]
)
def test_a_lost_answer_that_botocore_retries_is_no_taken_name(
    account: Account, operation: str, step: str
) -> None:
    """The second attempt is told that the name is taken; the first attempt took it."""
    lost: list[str] = []

    def lose_first(request: Any, event_name: str, **_: Any) -> None:
        del request
        if event_name.endswith(operation) and not lost:
            lost.append(operation)
            raise ConnectionClosedError(endpoint_url="https://aws.invalid")

    for client in account.calls.clients:
        client.meta.events.register_last("before-send", lose_first)
    try:
        actions = account.up()
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-send", lose_first)
    assert lost == [operation]
    assert actions[step] in {"created", "adopted"}
    assert existing(account) == STACK


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("CreateUserPool", "user_pool"),
        ("CreateUserPoolClient", "app_client"),
        ("CreateRestApi", "rest_api"),
        ("CreateAuthorizer", "authorizer"),
    ],
)
def test_a_create_whose_name_is_not_unique_is_not_retried_blind(
    account: Account, operation: str, step: str
) -> None:
    """A second attempt would leave an unrecorded pool, client, API or authorizer behind."""
    sent: list[str] = []

    def lose_all(event_name: str, **_: Any) -> None:
        if event_name.endswith(f".{operation}"):
            sent.append(operation)
            raise ConnectionClosedError(endpoint_url="https://aws.invalid")

    for client in account.calls.clients:
        client.meta.events.register_last("before-send", lose_all)
    try:
        with pytest.raises(CogauthError):
            account.up()
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-send", lose_all)
    assert sent == [operation]
    assert account.up()[step] == "adopted"
    assert existing(account) == STACK


def test_throttled_creates_are_waited_out(account: Account) -> None:
    refused: set[str] = set()

    def once_each(call: Call) -> Any:
        if not call.operation.startswith("Create") or call.operation in refused:
            return None
        refused.add(call.operation)
        return refusal(429, "TooManyRequestsException")

    with account.calls.watched(once_each):
        account.up()
    assert len(refused) >= 9
    assert existing(account) == STACK


def test_each_record_is_on_disk_before_what_needs_it_is_made(account: Account) -> None:
    """During a create, the file has its own intent and the facts of all that its step needs."""
    creating = {
        "CreateUserPool": ["user_pool"],
        "CreateUserPoolClient": ["app_client"],
        "CreateRole": ["auto_confirm_role", "role"],
        "CreateFunction": ["auto_confirm_function", "sign_in_function"],
        "CreateRestApi": ["rest_api"],
        "CreateAuthorizer": ["authorizer"],
        "CreateDeployment": ["deployment"],
    }
    resources = {resource.key: resource for step in STEPS for resource in step.resources}
    seen: list[str] = []

    def look(call: Call) -> None:
        if call.operation not in creating:
            return
        keys = creating[call.operation]
        sent = str(call.sent["body"]).lower()
        here = next((key for key in keys if key[:4] in sent), keys[-1])
        keys.remove(here)
        records = account.state().resources
        assert records[here]["status"] == CREATING
        for need in filter(None, (*resources[here].depends_on, resources[here].parent)):
            assert records[need]["status"] == CREATED
        seen.append(here)

    with account.calls.watched(look):
        account.up(cors_origins=("https://app.example",))
    assert len(seen) == 9


def test_a_name_that_is_taken_is_told_even_if_something_else_stopped_the_run(
    account: Account,
) -> None:
    def press_ctrl_c(call: Call) -> Any:
        if call.operation == "CreateRole":
            account.time.set()
            return refusal(409, "EntityAlreadyExists", "Taken.")
        return None

    with account.calls.watched(press_ctrl_c), pytest.raises(CogauthError, match="Taken"):
        account.up()
    assert account.state().record("role") is None


def test_an_intent_stays_when_botocore_tried_again_by_itself(account: Account) -> None:
    """The first attempt may have taken effect, whatever the last one was answered."""

    def refuse(call: Call) -> Any:
        if call.operation != "CreateRole":
            return None
        answer = refusal(403, "AccessDenied")
        answer[1]["ResponseMetadata"]["RetryAttempts"] = 2
        return answer

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="iam:CreateRole"):
        account.up()
    record = account.state().record("role")
    assert record is not None
    assert record["status"] == CREATING
    account.down()
    assert account.left() == []
