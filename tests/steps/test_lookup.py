"""Whether a thing exists, as AWS shows it: by its name, and while it may not be known yet."""

import threading
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, StateError
from support.account import Account, agree
from support.answers import not_assumable
from support.calls import Call, refusal
from support.stacks import SIGN_IN, STACK, existing, fact, mutations

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def up_without_function(
    account: Account, code: str, message: str, met: threading.Event | None = None
) -> None:
    """Run `up` where AWS refuses the integration, at least three times, until its function exists.

    Until then Lambda doesn't accept the roles. The first refusal sets `met`.
    """
    refused = 0

    def refuse(call: Call) -> Any:
        nonlocal refused
        if call.operation == "PutIntegration" and "function:" in str(call.sent["body"]):
            if f"function {SIGN_IN}" in existing(account):
                return None
            refused += 1
            if met is not None:
                met.set()
            return refusal(400, code, message)
        return not_assumable() if call.operation == "CreateFunction" and refused < 3 else None

    with account.calls.watched(refuse):
        account.up(confirm=agree)
    assert refused >= 3
    assert existing(account) == STACK


NO_FUNCTION = [
    ("BadRequestException", "The Lambda function in the integration's uri does not exist"),
    ("NotFoundException", "Function not found: arn:aws:lambda:eu-central-1:1:function:x"),
]


@pytest.mark.parametrize(("code", "message"), NO_FUNCTION)
def test_an_integration_that_aws_refuses_without_its_function_waits_for_it(
    account: Account, code: str, message: str
) -> None:
    # AWS names the missing function. It may come to exist between the refusal and the look at it.
    up_without_function(account, code, message.replace("function:x", f"function:{SIGN_IN}"))


def test_an_integration_whose_function_was_deleted_waits_for_the_next(account: Account) -> None:
    account.stands()
    account.grow_old()
    account.client("lambda").delete_function(FunctionName=SIGN_IN)
    account.client("apigateway").delete_integration(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
    )
    met = threading.Event()

    def let_the_integration_be_first(model: Any, **_: Any) -> None:
        """Let the run find out only then that the function is gone."""
        its = threading.current_thread().name == "sign_in_function"
        if its and model.name == "GetFunction" and account.state().settings.in_progress:
            assert met.wait(30)

    events = account.aws.lambda_.meta.events
    events.register_first("before-call", let_the_integration_be_first)
    try:
        up_without_function(account, *NO_FUNCTION[0], met)
    finally:
        events.unregister("before-call", let_the_integration_be_first)


@pytest.mark.parametrize(("code", "message"), NO_FUNCTION)
def test_an_integration_that_aws_refuses_with_its_function_is_an_error(
    account: Account, code: str, message: str
) -> None:
    def refuse(call: Call) -> Any:
        if call.operation == "PutIntegration" and "function:" in str(call.sent["body"]):
            return refusal(400, code, message)
        return None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.up()
    assert message in str(caught.value)
    assert account.time.now < 60
    assert account.down().clean
    assert account.left() == []


def test_a_stack_that_another_state_file_knows_is_refused(account: Account) -> None:
    account.stands()
    stack_id = account.state().stack_id
    account.path().rename(account.folder / "elsewhere.json")
    before = existing(account)
    with account.calls.watched() as calls, pytest.raises(StateError) as caught:
        account.up()
    assert stack_id in str(caught.value)
    assert f"cogauth recover --stack shop --state {account.path()}" in str(caught.value)
    assert mutations(calls) == []
    # The new, empty state file doesn't let `down` delete the other stack either.
    account.down()
    assert existing(account) == before


def test_survey_finds_each_root_of_a_stack_with_its_tags(account: Account) -> None:
    account.stands()
    ctx = account.context()
    found = list(engine.survey(ctx))
    assert len(found) == 8
    assert all(ctx.owns(finding.tags) for finding in found)
    assert {finding.resource.step.name for finding in found if finding.resource.conflict} == {
        "role",
        "auto_confirm_role",
        "sign_in_function",
        "auto_confirm_function",
    }


def test_survey_passes_over_what_is_listed_but_gone(account: Account) -> None:
    account.client("cognito-idp").create_user_pool(PoolName="shop")

    def gone(call: Call) -> Any:
        if call.operation != "DescribeUserPool":
            return None
        return refusal(400, "ResourceNotFoundException")

    with account.calls.watched(gone):
        assert list(engine.survey(account.context())) == []
