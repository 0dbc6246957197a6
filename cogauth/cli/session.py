"""What the commands share that act as a user: whose token, and the password if there is none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cogauth.cli import stdin
from cogauth.cli.options import with_options
from cogauth.cli.output import ask, notice
from cogauth.cli.stacks import complete_stack, where
from cogauth.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.cli.options import Command, Target
    from cogauth.context import Context
    from cogauth.record.state import State

PASSWORD_STDIN = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from stdin, its first line. Else: COGAUTH_PASSWORD, or a question.",
)


def user_options(*kinds: str) -> Callable[[Command], Command]:
    """Return what gives a command the options of whose token, and of which type."""
    return with_options(
        click.option(
            "--username",
            envvar="COGAUTH_USERNAME",
            help="Whose token.  [default: the only user's whose tokens are stored]",
        ),
        click.option(
            "--type",
            "kind",
            type=click.Choice(kinds),
            default=kinds[0],
            show_default=True,
            envvar="COGAUTH_TYPE",
            help="Which token: methods without scopes take id, those with scopes access.",
        ),
        PASSWORD_STDIN,
    )


def get_tokens(
    target: Target, state: State, username: str, ctx: Context | None = None, *, from_stdin: bool
) -> dict[str, str]:
    """Return tokens of a user that are good for a while: stored, renewed, or got by the password.

    The stack is ``ctx``, if that is at hand; else it is asked for only if a call is needed.
    """
    from cogauth.client import sessions

    if ctx is None and state.local_data is not None:
        ctx = complete_stack(target, state)  # Whose tokens are gone if its data are.
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
    password = given_password(from_stdin=from_stdin) or ask_password(ctx)
    found, is_new = sessions.begin(ctx, username, password)
    if is_new:
        notice(f"{username} was signed up: the pool didn't know the name.")
    return found


def given_password(*, from_stdin: bool) -> str | None:
    """Return the password that was given, anywhere but in argv; None if it can be asked for."""
    if from_stdin:
        return _checked(stdin.first_line)
    if "COGAUTH_PASSWORD" in os.environ:
        return _checked(lambda: os.environ["COGAUTH_PASSWORD"])
    if sys.stdin.isatty():
        return None
    raise UsageError(
        "No password: stdin is not a terminal to ask on. Give --password-stdin and the "
        "password on stdin, or set COGAUTH_PASSWORD."
    )


def ask_password(ctx: Context) -> str:
    """Ask for the password, and say where it goes first."""
    settings = ctx.state.settings
    notice(f"The password goes to POST {ctx.url(settings.path)}")
    notice(f"  in {where(ctx)}.")
    notice(f"A new name is signed up; its password needs {settings.password_policy_text}.")
    return _checked(lambda: ask("Password", hidden=True))


def _checked(read: Callable[[], str]) -> str:
    try:
        # A byte order mark is the editor's that wrote the file, not a character of the password.
        password = read().removeprefix("\ufeff")
        password.encode()
    except UnicodeError as error:
        raise UsageError("The password is not UTF-8 text: give it as that.") from error
    if not password:
        raise UsageError("The password is empty: give one.")
    return password
