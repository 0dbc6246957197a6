"""The functions: their configuration, and what is waited for before one is made or used."""

import base64
import hashlib
import json
import threading
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError
from cogauth.steps import lambda_ as functions
from support.account import Account
from support.answers import not_assumable
from support.built import Built
from support.calls import Call, refusal
from support.reporters import Told
from support.stacks import AUTO_CONFIRM, ROLE, SIGN_IN, STACK, UNCHANGED, existing
from support.world import statements


def test_a_role_that_is_not_assumable_yet_is_waited_for(account: Account) -> None:
    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or account.time.now > 20:
            return None
        return not_assumable()

    told = Told()
    with account.calls.watched(refuse):
        engine.up(account.context(), told)
    assert existing(account) == STACK
    assert 20 < account.time.now < 40
    # When the wait is over, it isn't shown any more.
    assert told.events["sign_in_function"][-3:] == ["wait", "begin", "end"]


def test_the_api_is_served_while_the_roles_propagate(account: Account) -> None:
    """Lambda accepts no role before the stage exists: waiting for the function first would fail."""

    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or "stage dev deployed" in existing(account):
            return None
        return not_assumable()

    with account.calls.watched(refuse):
        account.up()
    assert existing(account) == STACK


def test_a_role_that_never_becomes_assumable_is_given_up_with_a_reason(account: Account) -> None:
    def refuse(call: Call) -> Any:
        message = "The role defined for the function cannot be assumed by Lambda."
        refused = call.operation == "CreateFunction"
        return refusal(400, "InvalidParameterValueException", message) if refused else None

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="cannot be assumed"):
        account.up()
    assert account.time.now < 300
    assert not account.down().problems
    assert account.left() == []


@pytest.mark.parametrize(
    ("name", "module", "memory", "timeout"),
    [(SIGN_IN, "sign_in", 512, 10), (AUTO_CONFIRM, "auto_confirm", 128, 3)],
)
def test_functions(built: Built, name: str, module: str, memory: int, timeout: int) -> None:
    answer = built.functions[name]
    function = answer["Configuration"]
    assert function["Runtime"] == "python3.14"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == f"{module}.handler"
    assert (function["MemorySize"], function["Timeout"]) == (memory, timeout)
    role = ROLE if module == "sign_in" else "shop-AutoConfirmRole"
    assert function["Role"] == f"arn:{built.partition}:iam::{built.account}:role/{role}"
    digest = hashlib.sha256(functions.package(getattr(functions, module.upper()))).digest()
    assert function["CodeSha256"] == base64.b64encode(digest).decode()
    assert answer["Tags"] == built.tags
    variables = function.get("Environment", {}).get("Variables", {})
    if module == "auto_confirm":
        assert variables == {}
    else:
        assert variables == {
            "USER_POOL_ID": built.fact("user_pool"),
            "CLIENT_ID": built.fact("app_client"),
            "SIGN_UP": "open",
            "PASSWORD_POLICY": "at least 8 characters, with an upper-case letter, "
            "a lower-case letter, a digit and a symbol",
            "COGNITO_ENDPOINT": f"https://cognito-idp.{built.region}.{built.suffix}",
        }


def test_a_changed_architecture_replaces_the_code(account: Account) -> None:
    account.stands()
    # moto ignores the architecture in UpdateFunctionCode, so the test looks at the requests.
    with account.calls.watched() as calls:
        actions = account.up(architecture="x86_64")
    sent = [json.loads(call.sent["body"]) for call in calls if call.mutating]
    assert {call.operation for call in calls if call.mutating} == {"UpdateFunctionCode"}
    assert [update["Architectures"] for update in sent] == [["x86_64"], ["x86_64"]]
    assert {base64.b64decode(update["ZipFile"]) for update in sent} == {
        functions.package(functions.SIGN_IN),
        functions.package(functions.AUTO_CONFIRM),
    }
    changed = {step for step, action in actions.items() if action == "updated"}
    assert changed == {"sign_in_function", "auto_confirm_function"}


@pytest.mark.parametrize(
    "failed",
    [
        {"State": "Failed", "StateReason": "no such layer"},
        {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no such layer"},
    ],
)
def test_a_function_that_lambda_could_not_make_is_no_success(
    account: Account, failed: dict[str, str]
) -> None:
    def fail(parsed: dict[str, Any], **_: Any) -> None:
        parsed.update(failed)

    client = account.aws.lambda_
    client.meta.events.register("after-call.lambda.CreateFunction", fail)
    try:
        with pytest.raises(CogauthError, match="no such layer"):
            account.up()
    finally:
        client.meta.events.unregister("after-call.lambda.CreateFunction", fail)
    assert not account.down().problems
    assert account.left() == []


def test_a_function_that_nobody_called_for_weeks_is_not_waited_for(account: Account) -> None:
    """Lambda calls it Inactive, and starts it at the next call."""
    account.stands()
    began = account.time.now

    def rest(parsed: dict[str, Any], **_: Any) -> None:
        found = parsed.get("Configuration", parsed)
        if "State" in found:
            found["State"] = "Inactive"

    events = account.aws.lambda_.meta.events
    events.register("after-call", rest)
    try:
        assert account.up() == UNCHANGED
        assert account.up(sign_in_memory=1024)["sign_in_function"] == "updated"
    finally:
        events.unregister("after-call", rest)
    assert account.time.now == began


@pytest.mark.parametrize("refused_while_pending", [False, True])
def test_a_pending_function_is_waited_for_before_up_ends(
    account: Account, *, refused_while_pending: bool
) -> None:
    """Nobody can call a Pending function; Lambda may or may not let us set who may call it."""
    lambda_ = account.aws.lambda_
    since: dict[str, float] = {}
    active: set[str] = set()
    permitted = {name: threading.Event() for name in (SIGN_IN, AUTO_CONFIRM)}

    def pending(parsed: dict[str, Any], **_: Any) -> None:
        if "State" in parsed:
            made = since.setdefault(parsed["FunctionName"], account.time())
            if account.time() < made + 8:
                parsed["State"] = "Pending"
                if account.time() > made and not refused_while_pending:
                    # What needs only the function's ARN doesn't wait.
                    assert permitted[parsed["FunctionName"]].wait(30)
            else:
                active.add(parsed["FunctionName"])

    def refuse(call: Call) -> Any:
        for name, event in permitted.items():
            if call.operation == "AddPermission" and name in call.sent["url_path"]:
                event.set()
        message = "The operation cannot be performed at this time. The function is Pending"
        early = refused_while_pending and account.time() < 8
        return (
            refusal(409, "ResourceConflictException", message)
            if early and call.operation == "AddPermission"
            else None
        )

    lambda_.meta.events.register("after-call", pending)
    try:
        with account.calls.watched(refuse):
            account.up()
    finally:
        lambda_.meta.events.unregister("after-call", pending)
    assert len(since) == len(active) == 2
    assert 8 <= account.time.now < 20
    assert [len(statements(account.client, name)) for name in since] == [1, 1]


def test_what_is_changed_of_a_function_waits_until_it_is_active(account: Account) -> None:
    account.stands()
    lambda_, changed = account.aws.lambda_, []

    def pending(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "UpdateFunctionConfiguration":
            changed.append(account.time())
        elif "Configuration" in parsed or "State" in parsed:
            state = "Pending" if account.time() < 8 else "Active"
            parsed.get("Configuration", parsed)["State"] = state

    lambda_.meta.events.register("after-call", pending)
    try:
        account.up(sign_in_memory=1024)
    finally:
        lambda_.meta.events.unregister("after-call", pending)
    assert len(changed) == 1
    assert changed[0] >= 8
