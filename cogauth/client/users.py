"""The pool's users: list, create, change and delete them."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.errors import AWS_ERRORS, failure, is_definite
from cogauth.aws.policies import USER_POOL, allow
from cogauth.aws.waiting import Wait
from cogauth.client.passwords import LONGEST_NAME, Policy, new_password, policy_of
from cogauth.client.token_store import forget
from cogauth.errors import CogauthError, UsageError
from cogauth.settings import CLOSED
from cogauth.steps import RESOURCES
from cogauth.steps.lookup import FRESH_S, check_pool, is_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cogauth.context import Context

# Cognito's limit of users on a page.
PAGE = 60
# What ``pages`` and ``would_sign_up`` need; what ``existing`` does; then each change, after it.
LIST = allow(USER_POOL, "cognito-idp:DescribeUserPool", "cognito-idp:ListUsers")
FIND = allow(USER_POOL, "cognito-idp:DescribeUserPool", "cognito-idp:AdminGetUser")
SET_PASSWORD = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminSetUserPassword")
CREATE_TEMPORARY = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminCreateUser")
# A permanent password is set after the creation.
CREATE = allow(USER_POOL, *SET_PASSWORD.actions, "cognito-idp:AdminCreateUser")
DISABLE = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminDisableUser")
ENABLE = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminEnableUser")
SIGN_OUT = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminUserGlobalSignOut")
DELETE = allow(USER_POOL, *FIND.actions, "cognito-idp:AdminDeleteUser")
# Errors of the pre-sign-up trigger, which Cognito also calls when an administrator creates a user;
# and what they say if Lambda refuses the call. Its sources are those of the sign-in function.
# https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-sign-up.html
_OF_TRIGGER = {
    "UserLambdaValidationException",
    "UnexpectedLambdaException",
    "InvalidLambdaResponseException",
}
_NOT_PERMITTED = re.compile("invocation failed.*AccessDenied", re.DOTALL)
_REFUSED_PASSWORD = {"InvalidPasswordException", "PasswordHistoryPolicyViolationException"}


@dataclass(frozen=True)
class User:
    """A user of the pool; the status is Cognito's, such as ``CONFIRMED``."""

    username: str
    status: str
    enabled: bool
    created: datetime


def pages(ctx: Context, where: str | None = None) -> Iterator[list[User]]:
    """Yield the users in Cognito's order, page by page, each read when it is asked for.

    The list lags: it may lack a new user, or still show a deleted one.

    Args:
        ctx: the stack.
        where: a filter in Cognito's own form, such as ``username ^= "a"``; None means all users.

    Raises:
        UsageError: Cognito can't use the filter.
        CogauthError: the pool belongs to another stack.

    Source: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html
    """
    check_pool(ctx)
    chosen = {} if where is None else {"Filter": where}
    found = ctx.aws.cognito.get_paginator("list_users").paginate(
        UserPoolId=ctx.fact("user_pool"), PaginationConfig={"PageSize": PAGE}, **chosen
    )
    try:
        for page in found:
            yield [
                User(one["Username"], one["UserStatus"], one["Enabled"], one["UserCreateDate"])
                for one in page["Users"]
            ]
    except ClientError as error:
        if where is None or code_of(error) != "InvalidParameterException":
            raise
        raise UsageError(
            f"Cognito can't use the filter {where!r}: {message_of(error).removesuffix('.')}.",
            hint="Give one such as 'username ^= \"a\"' or 'status = \"Disabled\"'.",
        ) from error


def would_sign_up(ctx: Context, username: str) -> bool:
    """Say whether a sign-in with this name signs a user up: it is new, and the sign-up is open.

    It is closed if either the sign-in function's setting or the pool is. The name is looked up in
    Cognito's list, which lags as ``pages`` says. Raises CogauthError if the pool that it looks at
    isn't the stack's.
    """
    if ctx.state.settings.sign_up == CLOSED:
        return False
    live = check_pool(ctx)
    if live.get("AdminCreateUserConfig", {}).get("AllowAdminCreateUserOnly"):
        return False
    if len(username) > LONGEST_NAME:
        return True
    quoted = username.replace("\\", "\\\\").replace('"', '\\"')
    found = ctx.aws.cognito.list_users(
        UserPoolId=ctx.fact("user_pool"), Filter=f'username = "{quoted}"'
    )
    return not found["Users"]


def password_policy(ctx: Context) -> Policy:
    """Return the pool's present password policy; raise CogauthError if the pool isn't ours."""
    return policy_of(check_pool(ctx), ctx.state.settings)


def existing(ctx: Context, username: str) -> User:
    """Return a user by any spelling of its name.

    Raises:
        CogauthError: there is no such user, or the pool belongs to another stack.
    """
    check_pool(ctx)
    with _named(ctx, username):
        found = ctx.aws.cognito.admin_get_user(UserPoolId=ctx.fact("user_pool"), Username=username)
    return User(found["Username"], found["UserStatus"], found["Enabled"], found["UserCreateDate"])


def check_vacant(ctx: Context, username: str) -> None:
    """Raise CogauthError if a user has this name, or if the pool belongs to another stack."""
    check_pool(ctx)
    try:
        ctx.aws.cognito.admin_get_user(UserPoolId=ctx.fact("user_pool"), Username=username)
    except ClientError as error:
        if code_of(error) != "UserNotFoundException":
            raise
        return
    raise _taken(ctx, username)


def create(ctx: Context, username: str, password: str, policy: Policy, *, permanent: bool) -> None:
    """Create a user with a password that ``policy`` takes; Cognito sends no message.

    Right after ``up`` it waits until the pool may call its pre-sign-up trigger.

    Raises:
        CogauthError: the name exists meanwhile, Cognito refuses the password, the trigger failed,
            or the user was created but its permanent password not set.
    """
    pool = ctx.fact("user_pool")
    # The temporary one may count in the password history, so a permanent one isn't given for both.
    first = new_password(policy.least) if permanent else password
    call = partial(
        ctx.aws.cognito_once.admin_create_user,
        UserPoolId=pool,
        Username=username,
        TemporaryPassword=first,
        MessageAction="SUPPRESS",
    )
    with _password(policy):
        try:
            ctx.waiter.retry(call, passing=partial(_permission, ctx), timeout_s=FRESH_S)
        except AWS_ERRORS as error:
            if (ours := _uncreated(ctx, username, error)) is not None:
                raise ours from error
            raise
    if not permanent:
        return
    try:
        set_password(ctx, username, password, policy, permanent=True)
    except (*AWS_ERRORS, CogauthError) as error:
        raise failure(
            f"Setting the password of the user {username}",
            error,
            after="The user was created, with a password that nobody knows.",
            hint=f"Run '{ctx.state.command('users set-password --permanent', username)}'.",
        ) from error


def _permission(ctx: Context, error: ClientError) -> Wait | None:
    """Return what to wait for if Lambda doesn't know yet that the pool may call its trigger."""
    denied = code_of(error) in _OF_TRIGGER and _NOT_PERMITTED.search(message_of(error))
    if not (denied and is_fresh(ctx, RESOURCES["trigger_permission"])):
        return None
    return Wait("the user pool to be allowed to call its trigger")


def _uncreated(ctx: Context, username: str, error: Exception) -> CogauthError | None:
    """Return what there is to say about a creation that failed; None for an error of any call."""
    what = f"Creating the user {username}"
    code = code_of(error) if isinstance(error, ClientError) else ""
    if code == "UsernameExistsException":
        return _taken(ctx, username)
    if not is_definite(error):
        hint = f"If so, run '{_mend(ctx, username)}' to give it a password."
        return failure(what, error, after="The user may have been created.", hint=hint)
    if code in _OF_TRIGGER:
        status, logs = ctx.state.command("status"), ctx.state.command("logs --since 10m")
        hint = f"Run '{status}' to see what differs, or '{logs}' to see the functions' log lines."
        # Cognito calls it before it creates a user.
        return failure(what, error, after="The user was not created.", hint=hint)
    return None


def set_password(
    ctx: Context, username: str, password: str, policy: Policy, *, permanent: bool
) -> None:
    """Give a user a password; a temporary one must be replaced at the next login.

    Raises:
        CogauthError: the user is gone, or Cognito refuses the password.
    """
    with _named(ctx, username), _password(policy):
        ctx.aws.cognito.admin_set_user_password(
            UserPoolId=ctx.fact("user_pool"),
            Username=username,
            Password=password,
            Permanent=permanent,
        )


def disable(ctx: Context, username: str) -> None:
    """Keep a user from signing in; raise CogauthError if it is gone."""
    with _named(ctx, username):
        ctx.aws.cognito.admin_disable_user(UserPoolId=ctx.fact("user_pool"), Username=username)


def enable(ctx: Context, username: str) -> None:
    """Let a disabled user sign in again; raise CogauthError if it is gone."""
    with _named(ctx, username):
        ctx.aws.cognito.admin_enable_user(UserPoolId=ctx.fact("user_pool"), Username=username)


def sign_out(ctx: Context, username: str) -> None:
    """Revoke a user's tokens at Cognito, and forget the stored ones.

    API Gateway doesn't ask Cognito: it accepts ID and access tokens until they expire. Source:
    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html
    Raises CogauthError if the user is gone, or only the stored tokens couldn't be forgotten.
    """
    with _named(ctx, username):
        ctx.aws.cognito.admin_user_global_sign_out(
            UserPoolId=ctx.fact("user_pool"), Username=username
        )
    _forget(ctx, username, f"The user {username} was signed out.")


def delete(ctx: Context, username: str) -> None:
    """Delete a user and its stored tokens.

    Raises CogauthError if the user is gone, or if the stored tokens couldn't be deleted.
    """
    with _named(ctx, username):
        try:
            ctx.aws.cognito.admin_delete_user(UserPoolId=ctx.fact("user_pool"), Username=username)
        except ClientError as error:
            # botocore called again, because the answer to a first call was lost: that deleted it.
            if code_of(error) != "UserNotFoundException" or is_definite(error):
                raise
    _forget(ctx, username, f"The user {username} was deleted.")


@contextmanager
def _named(ctx: Context, username: str) -> Iterator[None]:
    """Raise CogauthError if the user turns out not to exist, whose tokens are then forgotten."""
    try:
        yield
    except ClientError as error:
        if code_of(error) != "UserNotFoundException":
            raise
        pool = ctx.fact("user_pool")
        said = f"There is no user {username!r} in the user pool {pool}. Nothing was changed."
        _forget(ctx, username, said)
        raise CogauthError(
            said, hint=f"Run '{ctx.state.command('users')}' to list its users."
        ) from error


def _forget(ctx: Context, username: str, said: str) -> None:
    """Delete a user's stored tokens; if that fails, raise CogauthError, which begins with ``said``.

    ``said`` is the sentence about what happened before.
    """
    try:
        forget(ctx.state, username)
    except CogauthError as error:
        raise CogauthError(
            f"{said} Only its stored tokens remain here: {error.message}", hint=error.hint
        ) from error


@contextmanager
def _password(policy: Policy) -> Iterator[None]:
    """Raise CogauthError, with the rule, if Cognito refuses the password."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _REFUSED_PASSWORD:
            raise
        history = code_of(error) == "PasswordHistoryPolicyViolationException"
        raise CogauthError(
            f"Cognito refuses the password: {message_of(error).removesuffix('.')}. It needs "
            f"{policy.text}.",
            # botocore called again, because the answer to a first call was lost.
            hint="A first attempt may have set it: try to sign in with it, or give another."
            if history and not is_definite(error)
            else "Give another.",
        ) from error


def _taken(ctx: Context, username: str) -> CogauthError:
    return CogauthError(
        f"There is already a user {username!r} in the user pool {ctx.fact('user_pool')}. Nothing "
        "was changed.",
        hint=f"To give this user a password, run '{_mend(ctx, username)}'.",
    )


def _mend(ctx: Context, username: str) -> str:
    return ctx.state.command("users set-password", username)
