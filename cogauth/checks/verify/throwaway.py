"""The user that ``verify`` makes for a moment, and deletes."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from cogauth.aws.answers import deleted
from cogauth.aws.errors import AWS_ERRORS, failure
from cogauth.record.records import THROWAWAY

if TYPE_CHECKING:
    from cogauth.context import Context
    from cogauth.settings import Settings

GONE = ("UserNotFoundException", "ResourceNotFoundException")
# One character at the least of each class that a policy may ask for; symbols that Cognito counts
# as such, and none that a shell or JSON would need quoted.
ALPHABETS = ("ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz", "23456789", "!#%()*+-./:=?@_")
PASSWORD_LENGTH = 32


def new_password(settings: Settings) -> str:
    """Return a random password that any policy takes which the settings may ask for."""
    size = max(PASSWORD_LENGTH, settings.password_min_length)
    characters = [secrets.choice(alphabet) for alphabet in ALPHABETS]
    characters += [secrets.choice("".join(ALPHABETS)) for _ in range(size - len(characters))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def new_user(ctx: Context) -> str:
    """Return a new user's name, once it is known that it may be removed, and is on disk.

    Raises:
        CogauthError: these credentials may not remove it, so it must not be made.
    """
    name = f"{THROWAWAY}{secrets.token_hex(16)}"
    try:
        # IAM decides before Cognito looks: that there is no such user yet is no matter.
        _delete(ctx, name)
    except AWS_ERRORS as error:
        raise failure(
            "Trying whether a throwaway user may be removed again",
            error,
            after="None was made.",
        ) from error
    ctx.state.put_throwaway_user(name, ctx.timestamp())
    return name


def remove_users(ctx: Context, answered: str | None = None) -> None:
    """Remove the throwaway users that may stand, this run's and those that a crash left.

    A sign-up whose answer was lost may still land: that there is no such user is believed only
    when the settling time since the intent is over, and no sign-in runs so long.

    Args:
        ctx: the stack.
        answered: the user whose sign-up has been answered, so that it can't land any more.

    Raises:
        BotoCoreError, ClientError: Cognito refuses; what stands is still on disk.
    """
    lasts = max(ctx.settle_s, ctx.state.settings.sign_in_timeout)
    for name, since in list(ctx.state.throwaway_users.items()):
        gone = _delete(ctx, name)
        age = ctx.now() - datetime.fromisoformat(since).timestamp()
        if gone or name == answered or age >= lasts:
            ctx.state.drop_throwaway_user(name)


def _delete(ctx: Context, name: str) -> bool:
    return deleted(
        lambda: ctx.aws.cognito.admin_delete_user(UserPoolId=ctx.fact("user_pool"), Username=name),
        *GONE,
    )
