"""``cogauth token`` and ``cogauth decode``."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli import stdin
from cogauth.cli.options import Target, is_typed, target_options
from cogauth.cli.output import ask, print_data, print_json, say
from cogauth.cli.session import get_tokens, user_options
from cogauth.cli.stacks import complete_stack, load_state, require_state
from cogauth.errors import CogauthError, UsageError
from cogauth.printable import moment_of

if TYPE_CHECKING:
    from cogauth.client.tokens import Parts
    from cogauth.record.state import State

# No token is that long, in bytes: no header could carry it.
LONGEST = 65536
# As Linux has it for a line that is edited, its end included.
TERMINAL_LINE = 4095
# The claims that are times.
TIMES = ("auth_time", "iat", "nbf", "exp")


@click.command(
    short_help="Print a valid token of a user.",
    epilog="""\b
Examples:
  cogauth token --username ann                    the ID token, for a header of your own
  cogauth token --username ann --header | curl -H @- https://...
  cogauth token --username ann --decode           what it says
  cogauth call GET /hello                         the same without a pipe

It is the stored token, renewed when it has expired or is about to; only when that fails is the
password asked for. 'cogauth curl' writes the line with curl for you.
""",
)
@user_options("id", "access", "refresh")
@click.option("--header", is_flag=True, help="Print it as the header that 'curl -H @-' reads.")
@click.option("--decode", "decoded", is_flag=True, help="Print what it says, as 'decode' does.")
@target_options
def token(  # noqa: PLR0913 click passes each option by its name
    target: Target,
    *,
    username: str | None,
    kind: str,
    password_stdin: bool,
    header: bool,
    decoded: bool,
) -> None:
    """Print a valid token of a user, and sign in for it only if that is needed.

    The tokens are kept beside the state file, readable by you alone.
    """
    if header and decoded:
        raise UsageError("--header and --decode exclude each other: give one of them.")
    # The line that 'curl' prints has no --json: a COGAUTH_JSON of its shell is not meant.
    if header and target.as_json and is_typed("as_json"):
        raise UsageError("--header and --json exclude each other: give one of them.")
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
    short_help="Show what a token on stdin says.",
    epilog="""\b
Examples:
  cogauth decode < token.txt
  pbpaste | cogauth decode                        from the clipboard; on Linux: xclip -o
  cogauth decode --json < token.txt | jq .verified

A token is never taken from the command line, which others can read and the shell keeps. Without a
stack the token is shown all the same, unverified.
""",
)
@target_options
def decode(target: Target) -> None:
    """Show what a token on stdin says, and whether the stack's pool has made it.

    Times are shown in local time, and how far they are away. The signature is never shown. Exits
    with 0 whenever it could be read; '--json' says in "verified" whether it holds.
    """
    if sys.stdin.isatty():
        text = ask("Token (not shown)", hidden=True)
        if len(text) >= TERMINAL_LINE:
            raise UsageError(
                f"The terminal cut the token off after {TERMINAL_LINE} characters: give it by a "
                "pipe or from a file, as in 'cogauth decode < token.txt'."
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
    show_claims(parts.header, indent="  ")
    say("Claims:")
    show_claims(parts.claims, indent="  ")
    say(
        "Verified: the stack's pool made it, for the stack's app client, and it is in its time."
        if reason is None
        else f"Not verified: {reason.removesuffix('.')}."
    )


def show_claims(claims: dict[str, Any], indent: str) -> None:
    """Print a token's header or claims, one a line; times in local time."""
    from cogauth.client.tokens import as_time

    for name, value in claims.items():
        moment = as_time(value) if name in TIMES else None
        text = _plain(value) if moment is None else moment_of(moment, time.time())
        say(f"{indent}{name:<18} {text}")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _why_unverified(target: Target, state: State | None, token: str, parts: Parts) -> str | None:
    from cogauth.aws.errors import AWS_ERRORS, explain
    from cogauth.client import tokens
    from cogauth.client.transport import session

    if state is None:
        return f"there is no stack here ({target.state_path}) whose pool could have made it"
    pool = (state.record("user_pool") or {}).get("id")
    issuer = _plain(parts.claims.get("iss"))
    if pool and not issuer.endswith(f"/{pool}"):
        return f"it names another issuer, {issuer}; the stack's pool is {pool}"
    try:
        ctx = complete_stack(target, state)
        http = session(ctx.jwks_url, ctx.aws)
        return tokens.why_unverified(ctx, http, token, parts.claims)
    except (CogauthError, *AWS_ERRORS) as error:
        return explain(error)
