"""``cogauth test-login``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.session import PASSWORD_STDIN, ask_password, given_password
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.cli.token import show_claims

if TYPE_CHECKING:
    from cogauth.checks.login import LoginResult


@click.command(
    "test-login",
    short_help="Sign in at the deployed URL, and prove that it works.",
    epilog="""\b
Examples:
  cogauth test-login --username ann                      asks for the password
  pass show ann | cogauth test-login --username ann --password-stdin
  COGAUTH_PASSWORD=... cogauth test-login --username ann --json

A name that the pool doesn't know is signed up with the given password.
""",
)
@click.option("--username", required=True, envvar="COGAUTH_USERNAME", help="Who signs in, or up.")
@PASSWORD_STDIN
@target_options
def test_login(target: Target, *, username: str, password_stdin: bool) -> int:
    """Sign in at the deployed URL, check the token, and try the protected method.

    It is called without the token, which must be refused (401), and with it (200). The tokens are
    kept beside the state file, readable by you alone. Exits with 0 only if all of it held.
    """
    state = require_state(target)
    password = given_password(from_stdin=password_stdin)
    from cogauth.checks import login
    from cogauth.client import token_store

    ctx = complete_stack(target, state)
    password = password or ask_password(ctx)
    result = login.check_login(ctx, username, password)
    if result.claims:
        token_store.store(ctx.state, username, result.tokens)
    if target.as_json:
        print_json(result.to_json())
    else:
        _show(result, ctx.url(state.settings.path))
    for problem in result.problems:
        notice(f"Error: {problem}")
    return 1 if result.problems else 0


def _show(result: LoginResult, url: str) -> None:
    say(f"POST {url}")
    if result.status != "success":
        say(f"  {result.http_status}  {result.status}: {result.msg} ({result.code})")
        return
    kind = "signed up and in: a new user" if result.is_new else "signed in: not a new user"
    say(f"  {result.http_status}  {kind}, user_id {result.user_id}")
    if result.claims:
        say("  ID token: its signature was made by the pool. Its claims:")
        show_claims(result.claims, indent="    ")
    if protected := result.protected:
        say(f"GET  {protected['url']}")
        for name, expected in (("without_token", 401), ("with_token", 200)):
            status = protected[name]
            verdict = "as it should be" if status == expected else f"{expected} was expected"
            say(f"  {status}  {name.replace('_', ' ')}: {verdict}")
