"""What failed while several resources were worked on: all is told, and nothing new starts."""

import threading
from typing import Any

import pytest

from cogauth.errors import CogauthError
from cogauth.record.records import CREATED
from support.account import Account
from support.answers import before_calls
from support.calls import Call, refusal
from support.stacks import ROLE, existing


def refuse_at_once(account: Account, codes: dict[str, str]) -> CogauthError:
    """Run `up` while AWS refuses some operations, each only once all of them are in flight."""
    together = threading.Barrier(len(codes))

    def wait_and_refuse(model: Any, **_: Any) -> Any:
        if model.name not in codes:
            return None
        together.wait(30)
        return refusal(403, codes[model.name])

    with before_calls(account, wait_and_refuse), pytest.raises(CogauthError) as caught:
        account.up()
    return caught.value


def test_all_that_failed_is_told(account: Account) -> None:
    error = refuse_at_once(
        account, {"CreateUserPool": "AccessDeniedException", "CreateRestApi": "LimitExceeded"}
    )
    first, second, last = sorted(error.args)
    assert first.startswith("Nothing is lost")
    assert second.startswith("The step 'REST API' failed: CreateRestApi reached a quota")
    assert last.startswith("The step 'User pool' failed: AccessDenied")
    assert error.hint is not None
    assert "Service Quotas" in error.hint
    assert error.hint.endswith("to delete everything.")
    assert isinstance(error.__cause__, ExceptionGroup)
    assert account.up()["rest_api"] == "created"


def test_what_failed_for_one_reason_is_told_once(account: Account) -> None:
    expired = "ExpiredTokenException"
    # Neither waits for the other, so they are in flight together.
    error = refuse_at_once(account, {"CreateUserPool": expired, "CreateRole": expired})
    assert str(error).count("have expired") == 1
    (line,) = error.args
    assert line.startswith("The steps '")
    steps, _, _ = line.removeprefix("The steps ").partition(" failed: ")
    assert sorted(steps.split(", ")) == ["'Role'", "'User pool'"]


def test_once_something_failed_nothing_new_starts(account: Account) -> None:
    def refuse_and_hold(model: Any, **_: Any) -> Any:
        if model.name == "CreateUserPool":
            return refusal(403, "AccessDeniedException")
        if model.name == "CreateRole":
            # It is in flight when the run is stopped.
            assert threading.Event.wait(account.time, 30)
        return None

    failed = pytest.raises(CogauthError, match="The step 'User pool' failed: AccessDenied")
    with before_calls(account, refuse_and_hold), failed:
        account.up()
    # What waited for the role isn't there.
    named = [each for each in existing(account) if each.startswith(("role", "logs", "function"))]
    assert named == [f"role {ROLE}"]
    assert account.state().fact("role", "status") == CREATED


def test_a_defect_is_raised_as_it_is_and_tells_what_else_failed(account: Account) -> None:
    together = threading.Barrier(2)

    def break_down(model: Any, **_: Any) -> Any:
        if model.name in {"CreateRole", "CreateUserPool"}:
            together.wait(30)
            if model.name == "CreateRole":
                raise RuntimeError("a defect")
            return refusal(403, "AccessDeniedException")
        return None

    defect = pytest.raises(RuntimeError, match="a defect")
    with before_calls(account, break_down), defect as caught:
        account.up()
    (note,) = caught.value.__notes__
    assert note.startswith("Besides: AccessDenied")


def test_an_error_says_which_step_failed_why_and_how_to_go_on(account: Account) -> None:
    def refuse(call: Call) -> Any:
        denied = call.operation == "CreateAuthorizer"
        return refusal(403, "AccessDeniedException", "Not you.") if denied else None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.up()
    text = str(caught.value)
    for part in (
        "Authorizer",
        "apigateway:POST",
        str(account.path()),
        f"Run 'cogauth up --stack shop --state {account.path()}' again to continue, or",
        f"or 'cogauth down --stack shop --state {account.path()}' to delete everything.",
    ):
        assert part in text
