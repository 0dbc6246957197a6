"""``cogauth test-login``."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.session import (
    NAME_ARGUMENT,
    PASSWORD_STDIN,
    ask_new_password,
    ask_password,
    both_passwords,
    given_password,
    live_policy,
    named,
)
from cogauth.cli.stacks import check_exists, complete_stack, require_state
from cogauth.cli.token import show_claims
from cogauth.errors import UsageError
from cogauth.settings import PROTECTED_PATH

if TYPE_CHECKING:
    from cogauth.checks.login import LoginResult
    from cogauth.context import Context


@click.command(
    "test-login",
    cls=Command,
    short_help="Sign in at the deployed URL and check that it works.",
    epilog="""\b
Examples:
  cogauth test-login ann                      asks for the password
  pass show ann | cogauth test-login ann --password-stdin
  COGAUTH_PASSWORD=... cogauth test-login ann --json

A name that the user pool doesn't know is signed up with the given password, unless the sign-up is
closed. A user with a temporary password is asked for a new one.
""",
)
@NAME_ARGUMENT
@click.option(
    "-u",
    "--username",
    envvar="COGAUTH_USERNAME",
    help="The user to sign in, instead of NAME. A new name is signed up.",
)
@PASSWORD_STDIN
@click.option(
    "--new-password-stdin",
    is_flag=True,
    help="If the password is a temporary one, read the new one from the second line of stdin. "
    "Nobody is signed up then.",
)
@target_options
def test_login(
    target: Target,
    *,
    name: str | None,
    username: str | None,
    password_stdin: bool,
    new_password_stdin: bool,
) -> int:
    """Sign in at the deployed URL, check the token, and call the protected method.

    The method must refuse a call without the token (401) and answer one with it (200). The tokens
    are stored beside the state file, and only you can read them. The exit code is 0 only if every
    check passed.
    """
    username = named(name, username)
    if username is None:
        raise UsageError("No user is named", hint="Give NAME, as in 'cogauth test-login ann'.")
    if new_password_stdin and not password_stdin:
        raise UsageError(
            "--new-password-stdin is the second line of stdin",
            hint="Give --password-stdin too, for the first.",
        )
    state = require_state(target)
    password, new_password = (
        both_passwords()
        if new_password_stdin
        else (given_password(from_stdin=password_stdin), None)
    )
    from cogauth.client import token_store

    ctx = complete_stack(target, state, "apigateway", "cognito")
    check_exists(ctx)
    if new_password is not None:
        _check_known(ctx, username)
    password = password or ask_password(ctx, username)
    result = _signed_in(ctx, username, password, new_password)
    if result.claims:
        token_store.store(ctx.state, username, result.tokens)
    if target.as_json:
        print_json(result.to_json())
    else:
        _show(result, ctx.url(state.settings.path))
    for problem in result.problems:
        notice(f"Error: {problem}")
    if not (result.problems or target.as_json):
        several = len(token_store.stored(state)) > 1
        whose = f" --username {shlex.quote(username)}" if several else ""
        say("", f"Next: {state.command(f'call GET {PROTECTED_PATH}{whose}')}")
    return 1 if result.problems else 0


def _check_known(ctx: Context, username: str) -> None:
    """Raise CogauthError if there is no such user, who would be signed up by the first request."""
    from cogauth.aws.errors import AWS_ERRORS
    from cogauth.client.users import existing

    # Signing in needs no permission on the pool.
    with suppress(*AWS_ERRORS):
        existing(ctx, username)


def _signed_in(ctx: Context, username: str, password: str, new_password: str | None) -> LoginResult:
    """Check the login; a user with a temporary password gets the new one, and is asked for it."""
    from cogauth.checks.login import check_login
    from cogauth.client.sessions import NEW_PASSWORD_REQUIRED

    result = check_login(ctx, username, password)
    # Only then: another user's password would be replaced.
    if result.code != NEW_PASSWORD_REQUIRED:
        return result
    if new_password is None and sys.stdin.isatty():
        notice(f"{username} has a temporary password and must choose a new one.")
        new_password = ask_new_password(live_policy(ctx))
    return result if new_password is None else check_login(ctx, username, password, new_password)


def _show(result: LoginResult, url: str) -> None:
    say(f"POST {url}")
    if result.status != "success":
        say(f"  ✗ {result.http_status} refused")
        return
    kind = "a new user, signed up and signed in" if result.is_new else "an existing user, signed in"
    say(f"  ✓ {result.http_status} {kind}; user_id {result.user_id}")
    if result.claims:
        say("  ✓ ID token: signature valid. Claims:")
        show_claims(result.claims, indent=4)
    if protected := result.protected:
        say(f"GET {protected['url']}")
        for name, expected in (("without_token", 401), ("with_token", 200)):
            status, words = protected[name], name.replace("_", " ")
            refused = "refused" if expected == HTTPStatus.UNAUTHORIZED else "accepted"
            say(
                f"  ✓ {status} {words}: {refused}"
                if status == expected
                else f"  ✗ {status} {words}: expected {expected}"
            )
