"""Code for commands that act as a user: which token to use, and asking for the password."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

import click

from cogauth.cli import stdin
from cogauth.cli.options import is_typed, with_options
from cogauth.cli.output import ask, notice
from cogauth.cli.stacks import complete_stack, where
from cogauth.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.cli.options import Decorated, Target
    from cogauth.context import Context
    from cogauth.record.state import State

PASSWORD_STDIN = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from the first line of stdin, instead of COGAUTH_PASSWORD or a prompt.",
)


def user_options(*kinds: str) -> Callable[[Decorated], Decorated]:
    """Return a decorator that gives a command the options for the token's user and type."""
    return with_options(
        click.option(
            "-u",
            "--username",
            envvar="COGAUTH_USERNAME",
            show_default="the one stored user",
            help="The user whose token to use.",
        ),
        click.option(
            "--type",
            "kind",
            type=click.Choice(kinds),
            default=kinds[0],
            show_default=True,
            envvar="COGAUTH_TYPE",
            help="The token to use: id for methods without scopes, access for methods with scopes.",
        ),
        PASSWORD_STDIN,
    )


NAME_ARGUMENT = click.argument("name", required=False, metavar="[NAME]")


def named(name: str | None, username: str | None) -> str | None:
    """Return the user that NAME or --username names; NAME overrides COGAUTH_USERNAME."""
    if name is not None and is_typed("username") and name != username:
        raise UsageError(
            f"{name} and --username {username} exclude each other", hint="Give one of them."
        )
    if "" in (name, username):
        raise UsageError("The user's name is empty", hint="Give one.")
    return name or username


def get_tokens(
    target: Target, state: State, username: str, ctx: Context | None = None, *, from_stdin: bool
) -> dict[str, str]:
    """Return valid tokens of a user: stored, renewed, or obtained with the password.

    Without ``ctx`` the stack is looked up only if a call is needed.
    """
    from cogauth.client import sessions

    if ctx is None and state.local_data is not None:
        ctx = complete_stack(target, state)  # If its data are lost, so are the tokens.
    found = sessions.kept(state, username)
    if found is not None:
        return found
    ctx = ctx or complete_stack(target, state)
    try:
        found = sessions.renew(ctx, username)
    except sessions.SessionOverError as over:
        notice(str(over))
    if found is not None:
        return found
    password = given_password(from_stdin=from_stdin) or ask_password(ctx, username)
    try:
        found, is_new = sessions.begin(ctx, username, password)
    except sessions.NewPasswordRequiredError as refused:
        if not sys.stdin.isatty():
            raise
        notice(str(refused.args[0]))
        new_password = ask_new_password(live_policy(ctx))
        found, is_new = sessions.begin(ctx, username, password, new_password)
    if is_new:
        notice(f"{username} was signed up, because the user pool didn't know the name.")
    return found


def given_password(*, from_stdin: bool) -> str | None:
    """Return the password from stdin or COGAUTH_PASSWORD; None if a terminal can be asked."""
    if from_stdin:
        return checked(stdin.first_line)
    if "COGAUTH_PASSWORD" in os.environ:
        return checked(lambda: os.environ["COGAUTH_PASSWORD"])
    if sys.stdin.isatty():
        return None
    raise UsageError(
        "No password was given, and stdin is not a terminal to ask on.",
        hint="Give the password on stdin with --password-stdin, or set COGAUTH_PASSWORD.",
    )


def ask_password(ctx: Context, username: str) -> str:
    """Ask for the password, after saying where it goes and, to a new user, what it needs."""
    notice(f"The password is sent to POST {ctx.url(ctx.state.settings.path)}")
    notice(f"  in {where(ctx)}.")
    is_new = _is_new(ctx, username)
    if is_new is not False:
        needs = live_policy(ctx)
        notice(f"A new name is signed up. A new user's password needs {needs}.")
    # Nobody could sign in with a mistyped new password.
    return checked(lambda: ask("Password", hidden=True, twice=is_new is True))


def both_passwords() -> tuple[str, str]:
    """Return the passwords on the first two lines of stdin: the present and the new one."""
    lines = cache(lambda: stdin.first_lines(2))
    present = checked(lambda: lines()[0])
    return present, checked(lambda: lines()[1], "new password")


def ask_new_password(policy: str) -> str:
    """Ask for a user's new password, after saying what it needs: ``policy``, a phrase."""
    notice(f"The new password needs {policy}.")
    return checked(lambda: ask("New password", hidden=True, twice=True))


def live_policy(ctx: Context) -> str:
    """Return what the pool's passwords need, as a phrase; the stack's own if it is unreadable."""
    from cogauth.aws.errors import AWS_ERRORS
    from cogauth.client.users import password_policy

    try:
        return password_policy(ctx).text
    except AWS_ERRORS:
        return ctx.state.settings.password_policy_text  # Signing in needs no such permission.


def _is_new(ctx: Context, username: str) -> bool | None:
    """Return whether the sign-in signs the user up, as far as the pool tells; None if unreadable.

    A user who has signed in here isn't new.
    """
    from cogauth.aws.errors import AWS_ERRORS
    from cogauth.client.token_store import stored_for
    from cogauth.client.users import would_sign_up

    if stored_for(ctx.state, username) is not None:
        return False
    try:
        return would_sign_up(ctx, username)
    except AWS_ERRORS:
        return None  # Signing in needs no permission to list users.


def checked(read: Callable[[], str], what: str = "password") -> str:
    """Return a password that is read; raise UsageError if it is empty or isn't text."""
    try:
        # An editor may have written a byte order mark; it isn't part of the password.
        password = read().removeprefix("\ufeff")
        password.encode()
    except UnicodeError as error:
        raise UsageError(f"The {what} is not UTF-8 text", hint="Give it as that.") from error
    if not password:
        raise UsageError(f"The {what} is empty", hint="Give one.")
    return password
