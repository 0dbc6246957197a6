"""``cogauth test-login``."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cogauth.cli.common import (
    Target,
    connect,
    notice,
    print_json,
    report_once,
    require_state,
    target_options,
)
from cogauth.errors import CogauthError, UsageError

if TYPE_CHECKING:
    from cogauth.login import LoginResult
    from cogauth.settings import Settings

TIMES = ("auth_time", "iat", "exp")
MINUTES_FROM = 120  # seconds from which on minutes read better


@click.command(
    "test-login",
    epilog="""\b
Examples:
  cogauth test-login --username ann                      asks for the password
  pass show ann | cogauth test-login --username ann --password-stdin
  COGAUTH_PASSWORD=... cogauth test-login --username ann --json

A name that the pool doesn't know is signed up with the given password.
""",
)
@click.option("--username", required=True, envvar="COGAUTH_USERNAME", help="Who signs in, or up.")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from stdin, its first line. Else: COGAUTH_PASSWORD, or a question.",
)
@target_options
def test_login(target: Target, *, username: str, password_stdin: bool) -> int:
    """Sign in at the deployed URL, check the token, and try the protected method.

    It is called without the token, which must be refused (401), and with it (200). The tokens are
    kept beside the state file, readable by you alone. Exits with 0 only if all of it held.
    """
    state = require_state(target)
    try:
        password = _password(state.settings, from_stdin=password_stdin)
        password.encode()
    except UnicodeError as error:
        raise UsageError("The password is not UTF-8 text: give it as that.") from error
    from cogauth import engine, login, tokens
    from cogauth.context import Context

    ctx = Context(connect(target, state), state)
    if not engine.is_complete(ctx):
        raise CogauthError(
            f"The stack {state.stack} is not complete: run '{target.command('up')}' first."
        )
    ctx.waiter.report = report_once()
    result = login.check_login(ctx, username, password)
    if result.claims:
        tokens.store(ctx.state, username, result.tokens)
    if target.as_json:
        print_json(result.to_json())
    else:
        show_login(result, ctx.url(state.settings.path))
    for problem in result.problems:
        notice(f"Error: {problem}")
    return 1 if result.problems else 0


def _password(settings: Settings, *, from_stdin: bool) -> str:
    """Return the password, from anywhere but the command line, which others can read."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif "COGAUTH_PASSWORD" in os.environ:
        password = os.environ["COGAUTH_PASSWORD"]
    elif sys.stdin.isatty():
        notice(f"A new name is signed up; its password needs {settings.password_policy_text}.")
        password = click.prompt("Password", hide_input=True, err=True)
    else:
        raise UsageError(
            "No password: stdin is not a terminal to ask on. Give --password-stdin and the "
            "password on stdin, or set COGAUTH_PASSWORD."
        )
    if not password:
        raise UsageError("The password is empty: give one.")
    return str(password)


def show_login(result: LoginResult, url: str) -> None:
    """Print what a test login showed, for a person."""
    click.echo(f"POST {url}")
    if result.status != "success":
        click.echo(f"  {result.http_status}  {result.status}: {result.msg} ({result.code})")
        return
    kind = "signed up and in: a new user" if result.is_new else "signed in: not a new user"
    click.echo(f"  {result.http_status}  {kind}, user_id {result.user_id}")
    if result.claims:
        click.echo("  ID token: its signature was made by the pool. Its claims:")
        for name, value in result.claims.items():
            text = _time(value) if name in TIMES else value
            click.echo(f"    {name:<18} {text}")
    if result.protected:
        protected = result.protected
        click.echo(f"GET  {protected['url']}")
        for name, expected in (("without_token", 401), ("with_token", 200)):
            status = protected[name]
            verdict = "as it should be" if status == expected else f"{expected} was expected"
            click.echo(f"  {status}  {name.replace('_', ' ')}: {verdict}")


def _time(timestamp: float) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    length = abs(seconds)
    distance = f"{length:.0f} s" if length < MINUTES_FROM else f"{length / 60:.0f} min"
    ago = f"in {distance}" if seconds > 0 else f"{distance} ago"
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z} ({ago})"
