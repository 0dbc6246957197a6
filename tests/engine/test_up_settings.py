"""Settings changed on an existing stack: what `up` changes, and what an interruption leaves."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, UsageError
from support.account import Account, Silent, agree
from support.calls import Call, refusal
from support.faults import StoppedError, stopped
from support.stacks import (
    AUTO_CONFIRM,
    SIGN_IN,
    STACK,
    UNCHANGED,
    delete_pool,
    existing,
    function,
    mutations,
    pool,
    stage,
    throttle,
    update_pool,
)
from support.tampers import close_sign_up, delete_log_group, weaken_passwords

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def password_policy(account: Account) -> dict[str, Any]:
    policy: dict[str, Any] = pool(account)["Policies"]["PasswordPolicy"]
    return policy


CHANGED_SETTINGS: list[
    tuple[dict[str, Any], set[str], list[str], Callable[[Account], Any], Any]
] = [
    (
        {"sign_in_memory": 1024},
        {"sign_in_function"},
        ["UpdateFunctionConfiguration"],
        lambda account: function(account, SIGN_IN)["MemorySize"],
        1024,
    ),
    (
        {"auto_confirm_timeout": 5},
        {"auto_confirm_function"},
        ["UpdateFunctionConfiguration"],
        lambda account: function(account, AUTO_CONFIRM)["Timeout"],
        5,
    ),
    (
        {"runtime": "python3.13"},
        {"sign_in_function", "auto_confirm_function"},
        ["UpdateFunctionConfiguration"] * 2,
        lambda account: {function(account, name)["Runtime"] for name in (SIGN_IN, AUTO_CONFIRM)},
        {"python3.13"},
    ),
    (
        {"throttle_rate": 5.0},
        {"deployment"},
        ["UpdateStage"],
        throttle,
        [(5.0, 40)],
    ),
    (
        {"throttle_rate": 2.5, "throttle_burst": 7},
        {"deployment"},
        ["UpdateStage"],
        throttle,
        [(2.5, 7)],
    ),
    (
        {"tier": "ESSENTIALS"},
        {"user_pool"},
        ["UpdateUserPool"],
        lambda account: pool(account)["UserPoolTier"],
        "ESSENTIALS",
    ),
    (
        {"sign_up": "closed"},
        {"user_pool", "sign_in_function"},
        ["UpdateUserPool", "UpdateFunctionConfiguration"],
        lambda account: (
            pool(account)["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"],
            function(account, SIGN_IN)["Environment"]["Variables"]["SIGN_UP"],
        ),
        (True, "closed"),
    ),
    (
        # The function's error message quotes the policy.
        {"password_min_length": 12, "password_require": ("lower", "digit")},
        {"user_pool", "sign_in_function"},
        ["UpdateUserPool", "UpdateFunctionConfiguration"],
        lambda account: (
            password_policy(account)["MinimumLength"],
            password_policy(account)["RequireSymbols"],
            password_policy(account)["RequireNumbers"],
            function(account, SIGN_IN)["Environment"]["Variables"]["PASSWORD_POLICY"],
        ),
        (
            12,
            False,
            True,
            "at least 12 characters, with a lower-case letter and a digit",
        ),
    ),
]


@pytest.mark.parametrize(
    ("choices", "steps", "operations", "look", "wanted"),
    CHANGED_SETTINGS,
    ids=[",".join(case[0]) for case in CHANGED_SETTINGS],
)
@pytest.mark.sample(2)
def test_a_changed_setting_changes_what_it_concerns_and_nothing_else(  # noqa: PLR0913, PLR0917 a table's row
    account: Account,
    choices: dict[str, Any],
    steps: set[str],
    operations: list[str],
    look: Callable[[Account], Any],
    wanted: Any,
) -> None:
    account.stands()
    before = existing(account), stage(account)["deploymentId"]
    assert look(account) != wanted
    with account.calls.watched() as calls:
        actions = account.up(**choices)
    assert {step for step, action in actions.items() if action == "updated"} == steps
    assert set(actions.values()) == {"updated", "unchanged"}
    assert mutations(calls) == operations
    assert look(account) == wanted
    # None of these settings is part of the API, so its deployment stays in use.
    assert (existing(account), stage(account)["deploymentId"]) == before
    assert account.up() == UNCHANGED


def test_a_setting_is_on_disk_before_anything_is_changed(account: Account) -> None:
    account.stands()

    def stop(call: Call) -> None:
        if call.mutating:
            raise StoppedError

    with pytest.raises(StoppedError), account.calls.watched(stop):
        account.up(throttle_rate=3.0)
    assert account.up()["deployment"] == "updated"
    assert throttle(account) == [(3.0, 40)]


def test_a_setting_of_a_run_that_touched_nothing_is_forgotten(account: Account) -> None:
    account.stands()
    before = account.path().read_text()

    def deny(call: Call) -> Any:
        denied = call.operation == "DescribeUserPool"
        return refusal(400, "AccessDeniedException") if denied else None

    told = pytest.raises(
        CogauthError, match=r"Nothing was touched\. .*Run the same command again\.$"
    )
    with account.calls.watched(deny), told:
        account.up(throttle_rate=3.0)
    assert account.path().read_text() == before
    account.grow_old()
    delete_pool(account)
    before = account.path().read_text()
    with pytest.raises(UsageError, match="Nothing was touched"):
        account.up(throttle_rate=3.0)
    assert account.path().read_text() == before


# ---- who may sign up, and runs that were interrupted


def is_closed(account: Account) -> tuple[bool, str]:
    """Return whether the pool is closed, and what the function was told about it."""
    config = pool(account)["AdminCreateUserConfig"]
    variables = function(account, SIGN_IN)["Environment"]["Variables"]
    return config["AllowAdminCreateUserOnly"], variables["SIGN_UP"]


def test_sign_up_is_closed_and_opened_in_place_and_all_else_of_the_pool_stays(
    account: Account,
) -> None:
    account.stands()
    mail = {"EmailSubject": "Come in", "EmailMessage": "{username}: {####}"}
    config = {**pool(account)["AdminCreateUserConfig"], "InviteMessageTemplate": mail}
    update_pool(account, AdminCreateUserConfig=config, AutoVerifiedAttributes=["email"])
    before = pool(account)
    account.up(sign_up="closed")
    assert is_closed(account) == (True, "closed")
    assert account.up() == UNCHANGED
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")
    changing = {"LastModifiedDate"}
    after = pool(account)
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_who_closed_the_pool_is_not_overruled_once_that_is_the_choice(account: Account) -> None:
    account.stands()
    close_sign_up(account)
    # Nothing in the pool is overwritten, so there is nothing to ask.
    assert account.up(sign_up="closed")["user_pool"] == "unchanged"
    assert is_closed(account) == (True, "closed")
    assert account.up() == UNCHANGED


def interrupted(account: Account, **choices: Any) -> None:
    """Interrupt an `up` with other settings at its first write, then run it no further."""

    def refuse(call: Call) -> Any:
        return refusal(400, "AccessDenied", "No.") if call.mutating else None

    with account.calls.watched(refuse), pytest.raises(CogauthError):
        account.up(**choices)
    assert account.state().settings.in_progress


def test_a_pool_closed_by_hand_is_not_reopened_unasked_after_an_interruption(
    account: Account,
) -> None:
    account.stands()
    interrupted(account, password_min_length=12)
    close_sign_up(account)
    with pytest.raises(UsageError, match="AllowAdminCreateUserOnly"):
        account.up()
    assert is_closed(account)[0]
    account.up(confirm=agree)
    assert is_closed(account) == (False, "open")
    assert pool(account)["Policies"]["PasswordPolicy"]["MinimumLength"] == 12


def test_nor_is_a_function_that_was_closed_by_hand(account: Account) -> None:
    account.stands()
    interrupted(account, password_min_length=12)
    variables = {**function(account, SIGN_IN)["Environment"]["Variables"], "SIGN_UP": "closed"}
    account.client("lambda").update_function_configuration(
        FunctionName=SIGN_IN, Environment={"Variables": variables}
    )
    with pytest.raises(UsageError, match=r"SIGN_UP: closed → open"):
        account.up()
    assert is_closed(account) == (False, "closed")
    account.up(confirm=agree)
    assert is_closed(account) == (False, "open")


def test_a_description_of_another_version_is_replaced_without_a_question(account: Account) -> None:
    account.stands()
    described = function(account, SIGN_IN)["Description"]
    account.client("lambda").update_function_configuration(
        FunctionName=SIGN_IN,
        Description=f"As cogauth 0.1 said it, CodeSha256 {described.split()[-1]}",
    )
    assert account.up()["sign_in_function"] == "updated"
    assert function(account, SIGN_IN)["Description"] == described


def test_the_choice_of_an_interrupted_run_is_carried_out_unasked(account: Account) -> None:
    account.stands()
    account.up(sign_up="closed")
    interrupted(account, sign_up="open")
    assert is_closed(account) == (True, "closed")
    account.up()
    assert is_closed(account) == (False, "open")
    # From now on it is no choice of this run.
    close_sign_up(account)
    with pytest.raises(UsageError, match="AllowAdminCreateUserOnly"):
        account.up()


def test_what_is_changed_while_a_first_run_is_interrupted_is_put_back_unasked(
    account: Account,
) -> None:
    with stopped(account, "CreateDeployment"):
        account.up()
    weaken_passwords(account)
    account.up()
    assert pool(account)["Policies"]["PasswordPolicy"]["MinimumLength"] == 8


def test_who_changes_values_after_a_run_that_was_to_change_none_is_asked(account: Account) -> None:
    account.stands()
    delete_log_group(account)

    def refuse(call: Call) -> Any:
        return refusal(400, "AccessDenied") if call.mutating else None

    with account.calls.watched(refuse), pytest.raises(CogauthError):
        account.up()
    weaken_passwords(account)
    with pytest.raises(UsageError, match="MinimumLength"):
        account.up()


def test_what_an_interrupted_recreation_left_is_finished_without_a_question(
    account: Account,
) -> None:
    account.stands()
    delete_pool(account)
    with stopped(account, "UpdateFunctionConfiguration"):
        account.up(confirm=agree)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_run_that_finds_nothing_to_do_ends_an_interrupted_one(account: Account) -> None:
    account.stands()
    default = account.state().settings.password_min_length
    interrupted(account, password_min_length=12)
    assert account.up(password_min_length=default) == UNCHANGED
    # From now on, what differs was changed by hand.
    weaken_passwords(account)
    with pytest.raises(UsageError, match="MinimumLength"):
        account.up()


@pytest.mark.parametrize(
    ("choices", "closed"), [({}, True), ({}, False), ({"throttle_rate": 3.0}, True)]
)
def test_a_state_file_from_before_the_choice_takes_over_what_the_pool_has(
    account: Account, choices: dict[str, Any], *, closed: bool
) -> None:
    account.stands()
    if closed:
        close_sign_up(account)
    data = json.loads(account.path().read_text())
    del data["settings"]["sign_up"]
    account.path().write_text(json.dumps(data))
    assert account.state().settings.sign_up is None
    ctx = account.context()
    assert engine.plan(ctx, Silent()).is_empty == (not closed)
    assert ctx.state.settings.sign_up == ("closed" if closed else "open")
    account.up(**choices)
    assert is_closed(account) == ((True, "closed") if closed else (False, "open"))
    assert account.state().settings.sign_up == ("closed" if closed else "open")
    # From now on it is a choice like any other.
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")


def test_such_a_file_and_a_choice_ask_nothing(account: Account) -> None:
    """Nobody knows what the former choice was, so none is overruled."""
    account.stands()
    close_sign_up(account)
    data = json.loads(account.path().read_text())
    del data["settings"]["sign_up"]
    account.path().write_text(json.dumps(data))
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")
