"""The pool's users: who is new, what Cognito is told, and what is said where it fails."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from cogauth.client import users
from cogauth.client.passwords import Policy
from cogauth.errors import CogauthError
from support.calls import refusal
from support.names import PASSWORD
from support.stacks import update_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context
    from support.calls import Call
    from support.user_pool import Pool

# For the fixtures.
pytest_plugins = ["support.user_pool"]


def test_cognito_is_told_to_send_no_message(pool: Pool) -> None:
    ctx = pool.account.context()
    with pool.account.calls.watched() as calls:
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=False)
    (sent,) = [json.loads(one.sent["body"]) for one in calls if one.operation == "AdminCreateUser"]
    assert sent["MessageAction"] == "SUPPRESS"


def test_nobody_is_new_to_a_closed_pool(pool: Pool) -> None:
    ctx = pool.account.context()
    assert users.would_sign_up(ctx, "bob")
    assert not users.would_sign_up(ctx, "ann")
    update_pool(pool.account, AdminCreateUserConfig={"AllowAdminCreateUserOnly": True})
    assert not users.would_sign_up(ctx, "bob")


def test_nobody_is_new_to_a_function_that_signs_nobody_up(pool: Pool) -> None:
    """Somebody opened the pool by hand, or nobody may read it."""
    ctx = pool.account.context(sign_up="closed")
    assert not users.would_sign_up(ctx, "bob")
    denied = refusal(400, "AccessDeniedException", "No.")
    with pool.account.calls.watched(lambda _: denied):
        assert not users.would_sign_up(ctx, "bob")


def test_who_was_created_without_the_password_is_named(pool: Pool) -> None:
    ctx = pool.account.context()

    def refuse(call: Any) -> Any:
        refused = call.operation == "AdminSetUserPassword"
        return refusal(400, "InvalidPasswordException", "Not this one.") if refused else None

    with pool.account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=True)
    assert "The user was created, with a password that nobody knows." in str(caught.value)
    assert "cogauth users set-password --permanent bob --stack shop" in str(caught.value)
    assert pool.user("bob")


def test_a_creation_whose_answer_is_lost_is_not_repeated(pool: Pool) -> None:
    """Cognito would answer that the name is taken: by our own first call."""
    ctx, sent = pool.account.context(), []
    policy = users.password_policy(ctx)

    def lose(**_: Any) -> None:
        if not sent:
            pool.cognito.admin_create_user(UserPoolId=pool.id, Username="bob")
        sent.append("AdminCreateUser")
        raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    clients = [ctx.aws.cognito, ctx.aws.cognito_once]
    for client in clients:
        client.meta.events.register_first("before-send.cognito-idp.AdminCreateUser", lose)
    try:
        with pytest.raises(CogauthError) as caught:
            users.create(ctx, "bob", PASSWORD, policy, permanent=False)
    finally:
        for client in clients:
            client.meta.events.unregister("before-send.cognito-idp.AdminCreateUser", lose)
    assert "The user may have been created." in str(caught.value)
    assert len(sent) == 1


DENIED = "PreSignUp invocation failed due to error AccessDeniedException."
FORMERLY_DENIED = (
    "arn:aws:lambda:eu-central-1:1:function:f invocation failed with error User: arn:aws:sts::2:a "
    "is not authorized (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException)"
)


@pytest.mark.parametrize("message", [DENIED, FORMERLY_DENIED])
@pytest.mark.parametrize("code", ["UnexpectedLambdaException", "UserLambdaValidationException"])
def test_a_new_permission_of_the_trigger_is_waited_for(pool: Pool, code: str, message: str) -> None:
    ctx, told = pool.account.context(), set[str]()
    ctx.made.add("trigger_permission")
    ctx.waiter.report = lambda reason, _: told.add(reason)
    left = [2]

    def deny(call: Call) -> Any:
        if call.operation != "AdminCreateUser" or not left[0]:
            return None
        left[0] -= 1
        return refusal(400, code, message)

    with pool.account.calls.watched(deny):
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=False)
    assert pool.user("bob")
    assert told == {"the user pool to be allowed to call its trigger"}


@pytest.mark.parametrize(
    ("fresh", "code", "message", "waits"),
    [
        (True, "UnexpectedLambdaException", DENIED, True),
        (False, "UnexpectedLambdaException", DENIED, False),
        (True, "UserLambdaValidationException", "PreSignUp failed with error AccessDenied.", False),
        (True, "InvalidLambdaResponseException", "Unrecognizable lambda output", False),
    ],
)
def test_a_trigger_that_lets_nobody_be_created_is_explained(
    pool: Pool, code: str, message: str, *, fresh: bool, waits: bool
) -> None:
    pool.account.grow_old()
    ctx = pool.account.context()
    if fresh:
        ctx.made.add("trigger_permission")
    policy = users.password_policy(ctx)
    with (
        pool.account.calls.watched(lambda _: refusal(400, code, message)),
        pytest.raises(CogauthError) as caught,
    ):
        users.create(ctx, "bob", PASSWORD, policy, permanent=False)
    said = str(caught.value)
    assert said.startswith(f"Creating the user bob failed: {code}: {message.rstrip('.')}. The user")
    assert "The user was not created. Run 'cogauth status --stack shop" in said
    assert "cogauth logs --since 10m" in said
    assert (pool.account.time.now >= 60) == waits
    assert pool.user("bob") is None


@contextlib.contextmanager
def answer_lost(ctx: Context, operation: str, effect: Callable[[], object]) -> Iterator[None]:
    """Let the first call of an operation take effect, but lose its answer."""
    sent: list[str] = []

    def lose(**_: Any) -> None:
        sent.append(operation)
        if len(sent) == 1:
            effect()
            raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    events, event = ctx.aws.cognito.meta.events, f"before-send.cognito-idp.{operation}"
    events.register_first(event, lose)
    try:
        yield
    finally:
        events.unregister(event, lose)
    assert len(sent) == 2


def test_a_deletion_whose_answer_is_lost_is_a_deletion(pool: Pool) -> None:
    """botocore's second call is told that there is no such user."""
    ctx, name = pool.account.context(), {"UserPoolId": pool.id, "Username": "ann"}
    pool.store_tokens("ann")
    with answer_lost(ctx, "AdminDeleteUser", lambda: pool.cognito.admin_delete_user(**name)):
        users.delete(ctx, "ann")
    assert pool.user("ann") is None
    assert pool.stored == set()


def test_a_password_whose_first_setting_was_lost_may_be_set(pool: Pool) -> None:
    ctx, policy = pool.account.context(), Policy(8, ())
    refused, parsed = refusal(400, "PasswordHistoryPolicyViolationException", "Used before.")
    parsed["ResponseMetadata"]["RetryAttempts"] = 1
    with (
        pool.account.calls.watched(lambda _: (refused, parsed)),
        pytest.raises(CogauthError) as caught,
    ):
        users.set_password(ctx, "ann", PASSWORD, policy, permanent=True)
    assert "A first attempt may have set it: try to sign in with it" in str(caught.value)


@pytest.mark.parametrize(
    "code", ["InvalidPasswordException", "PasswordHistoryPolicyViolationException"]
)
def test_a_password_that_cognito_refuses_is_refused_with_the_rule(pool: Pool, code: str) -> None:
    ctx = pool.account.context()
    policy = Policy(8, ("digit",))
    with (
        pool.account.calls.watched(lambda _: refusal(400, code, "Not this one.")),
        pytest.raises(CogauthError) as caught,
    ):
        users.set_password(ctx, "ann", PASSWORD, policy, permanent=True)
    assert str(caught.value) == (
        "Cognito refuses the password: Not this one. It needs at least 8 characters, with a digit. "
        "Give another."
    )
