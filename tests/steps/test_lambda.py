"""The functions: their configuration, and what is waited for before one is made or used."""

from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError
from support.account import Account
from support.answers import not_assumable
from support.calls import Call, refusal
from support.reporters import Told
from support.stacks import STACK, existing


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
