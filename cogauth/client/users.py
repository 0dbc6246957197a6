"""List and delete the pool's users, as the article does in the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of
from cogauth.aws.policies import USER_POOL, allow
from cogauth.client.token_store import forget
from cogauth.errors import CogauthError, UsageError
from cogauth.steps.lookup import check_pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cogauth.context import Context

# Cognito's limits: users on a page, and characters of a name.
PAGE, LONGEST = 60, 128
# What ``listed`` and ``is_listed`` need, and ``delete``.
LIST = allow(USER_POOL, "cognito-idp:DescribeUserPool", "cognito-idp:ListUsers")
DELETE = allow(USER_POOL, "cognito-idp:DescribeUserPool", "cognito-idp:AdminDeleteUser")


@dataclass(frozen=True)
class User:
    """A user of the pool; the status is Cognito's, such as ``CONFIRMED``."""

    username: str
    status: str
    enabled: bool
    created: datetime


def listed(ctx: Context) -> Iterator[User]:
    """Yield the users in Cognito's order, reading pages of 60 as needed.

    The list lags: it may lack a new user, or still show a deleted one. Source:
    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html
    Raises CogauthError if the pool belongs to another stack.
    """
    check_pool(ctx)
    pages = ctx.aws.cognito.get_paginator("list_users").paginate(
        UserPoolId=ctx.fact("user_pool"), PaginationConfig={"PageSize": PAGE}
    )
    for page in pages:
        for user in page["Users"]:
            yield User(
                user["Username"], user["UserStatus"], user["Enabled"], user["UserCreateDate"]
            )


def is_listed(ctx: Context, username: str) -> bool:
    """Say whether a name is in Cognito's list, which lags as ``listed`` says.

    Source: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html
    Raises CogauthError if the pool isn't the stack's.
    """
    check_pool(ctx)
    if len(username) > LONGEST:
        return False
    quoted = username.replace("\\", "\\\\").replace('"', '\\"')
    found = ctx.aws.cognito.list_users(
        UserPoolId=ctx.fact("user_pool"), Filter=f'username = "{quoted}"'
    )
    return bool(found["Users"])


def delete(ctx: Context, username: str) -> None:
    """Delete a user and its stored tokens.

    Raises UsageError for an invalid name, CogauthError for an unknown user or another stack's pool.
    """
    if not 1 <= len(username) <= LONGEST:
        raise UsageError(
            f"The user name {username!r} is invalid", hint=f"Give 1 to {LONGEST} characters."
        )
    check_pool(ctx)
    cognito, pool = ctx.aws.cognito, ctx.fact("user_pool")
    try:
        cognito.admin_delete_user(UserPoolId=pool, Username=username)
    except ClientError as error:
        if code_of(error) != "UserNotFoundException":
            raise
        forget(ctx.state, username)
        raise CogauthError(
            f"There is no user {username!r} in the pool {pool}. Nothing was deleted.",
            hint=f"'cogauth users{ctx.state.options}' lists the users.",
        ) from error
    forget(ctx.state, username)
