"""``cogauth token`` and ``cogauth decode``."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli import stdin
from cogauth.cli.help import Command
from cogauth.cli.options import Target, is_typed, target_options
from cogauth.cli.output import ask, print_data, print_json, say, show_table
from cogauth.cli.session import NAME_ARGUMENT, get_tokens, named, user_options
from cogauth.cli.stacks import complete_stack, load_state, require_state
from cogauth.errors import CogauthError, UsageError
from cogauth.printable import moment_of

if TYPE_CHECKING:
    from cogauth.client.tokens import Parts
    from cogauth.record.state import State

# The longest input, in bytes: no header could carry a longer token.
LONGEST = 65536
# The limit of Linux for a line typed on a terminal, its end included.
TERMINAL_LINE = 4095
# The claims that are times.
TIMES = ("auth_time", "iat", "nbf", "exp")


@click.command(
    cls=Command,
    short_help="Print a valid token of a user.",
    epilog="""\b
Examples:
  cogauth token ann           the ID token, for a header of your own
  cogauth token ann --header | curl -H @- https://...
  cogauth token ann --decode  the token's header and claims
  cogauth call GET /hello     the same call without a pipe

This is the stored token, renewed if it has expired or is about to. You are asked for the password
only if renewing fails. 'cogauth curl' writes the curl command for you.
""",
)
@NAME_ARGUMENT
@user_options("id", "access", "refresh")
@click.option("-H", "--header", is_flag=True, help="Print it as a header for 'curl -H @-'.")
@click.option(
    "--decode", "decoded", is_flag=True, help="Print its header and claims, as 'decode' does."
)
@target_options
def token(  # noqa: PLR0913 click passes each option by its name
    target: Target,
    *,
    name: str | None,
    username: str | None,
    kind: str,
    password_stdin: bool,
    header: bool,
    decoded: bool,
) -> None:
    """Print a valid token of a user, and sign in only if necessary.

    The tokens are stored beside the state file, and only you can read them.
    """
    if header and decoded:
        raise UsageError("--header and --decode exclude each other", hint="Give one of them.")
    # The line that 'curl' prints has no --json, so the shell's COGAUTH_JSON is ignored.
    if header and target.as_json and is_typed("as_json"):
        raise UsageError("--header and --json exclude each other", hint="Give one of them.")
    username = named(name, username)
    state = require_state(target)
    from cogauth.client import sessions

    username = sessions.whose(state, username)
    found = get_tokens(target, state, username, from_stdin=password_stdin)[f"{kind}_token"]
    if decoded:
        _show(target, state, found)
    elif header:
        print_data(f"Authorization: {found}")
    elif target.as_json:
        print_json({"username": username, "type": kind, "token": found})
    else:
        print_data(found)


@click.command(
    cls=Command,
    short_help="Show the claims of a token on stdin.",
    epilog="""\b
Examples:
  cogauth decode < token.txt
  pbpaste | cogauth decode  from the clipboard; on Linux: xclip -o
  cogauth decode --json < token.txt | jq .verified

Tokens are never read from the command line, because other users can see it and the shell's history
keeps it. Without a stack, the token is shown but not verified.
""",
)
@target_options
def decode(target: Target) -> None:
    """Show the claims of a token on stdin, and whether the stack's user pool issued it.

    Times are shown in local time, with their distance from now. The signature is never shown. The
    exit code is 0 if the token can be read; with --json, "verified" says whether it is valid.
    """
    if sys.stdin.isatty():
        text = ask("Token (not shown)", hidden=True)
        if len(text) >= TERMINAL_LINE:
            raise UsageError(
                f"The terminal cut the token off after {TERMINAL_LINE} characters",
                hint="Give it through a pipe or from a file, as in 'cogauth decode < token.txt'.",
            )
    else:
        text = stdin.everything(LONGEST + 1, errors="replace")
    if len(text) > LONGEST:
        raise UsageError(f"That is not a token: it is longer than {LONGEST} bytes.")
    _show(target, load_state(target), text)


def _show(target: Target, state: State | None, text: str) -> None:
    from cogauth.client import tokens

    found, parts = tokens.read(text)
    reason = _why_unverified(target, state, found, parts)
    if target.as_json:
        said: dict[str, Any] = {"header": parts.header, "claims": parts.claims}
        print_json({**said, "verified": reason is None, "reason": reason})
        return
    say("Header:")
    show_claims(parts.header, indent=2)
    say("Claims:")
    show_claims(parts.claims, indent=2)
    say(
        "✓ Verified: issued by the stack's user pool for its app client, and not expired."
        if reason is None
        else f"✗ Not verified: {reason.removesuffix('.')}."
    )


def show_claims(claims: dict[str, Any], indent: int) -> None:
    """Print a token's header or claims as a table, indented by ``indent`` columns."""
    from cogauth.client.tokens import as_time

    rows = []
    for name, value in claims.items():
        moment = as_time(value) if name in TIMES else None
        rows.append((name, _plain(value) if moment is None else moment_of(moment, time.time())))
    show_table(rows, indent=indent)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _why_unverified(target: Target, state: State | None, token: str, parts: Parts) -> str | None:
    from cogauth.aws.errors import AWS_ERRORS, translate
    from cogauth.client import tokens
    from cogauth.client.transport import http_session
    from cogauth.steps.missing import naming_missing

    if state is None:
        return f"there is no stack here ({target.state_path}) to check it against"
    pool = (state.record("user_pool") or {}).get("id")
    issuer = _plain(parts.claims.get("iss"))
    if pool and not issuer.endswith(f"/{pool}"):
        return f"another issuer issued it, {issuer}; the stack's user pool is {pool}"
    try:
        ctx = complete_stack(target, state)
        http = http_session(ctx.jwks_url, ctx.aws)
        with naming_missing(ctx, "user_pool"):
            return tokens.why_unverified(ctx, http, token, parts.claims)
    except (CogauthError, *AWS_ERRORS) as error:
        return str(translate(error))
