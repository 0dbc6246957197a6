"""``cogauth explain``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cogauth.cli import stdin
from cogauth.cli.help import Command
from cogauth.cli.options import Target, is_typed, target_options
from cogauth.cli.output import notice, print_json, say, show_table
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.errors import UsageError
from cogauth.printable import moment_of

if TYPE_CHECKING:
    from cogauth.checks.explain import Diagnosis
    from cogauth.record.state import State


@click.command(
    cls=Command,
    short_help="Explain why a call is refused and what to do about it.",
    epilog="""\b
Examples:
  cogauth explain /hello                       a path of the stack's own API
  cogauth explain https://abc.execute-api.eu-central-1.amazonaws.com/dev/hello
  pbpaste | cogauth explain URL --token-stdin  a token from elsewhere
  cogauth explain URL --no-token               sends no token
  cogauth explain URL --method POST            doesn't make the call
  cogauth explain URL --json | jq -r .cause

The token is the stored ID token (see 'cogauth test-login'), or it comes on stdin as your client
sends it, including any 'Bearer '. It is sent only to the URL's API, if that is in the stack's
account, and it is never shown. The exit code is 0 if the call is explained or went through.
""",
)
@click.argument("url", metavar="URL|PATH")
@click.option(
    "-X",
    "--method",
    default="GET",
    show_default=True,
    envvar="COGAUTH_METHOD",
    help="The HTTP method.",
)
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
@click.option("--no-token", is_flag=True, help="Send no token.")
@click.option(
    "-u",
    "--username",
    envvar="COGAUTH_USERNAME",
    show_default="the one stored user",
    help="The user whose stored token to use.",
)
@click.option(
    "--header",
    default="Authorization",
    show_default=True,
    envvar="COGAUTH_HEADER",
    help="The request header in which the client sends the token.",
)
@target_options
def explain(  # noqa: PLR0913 click passes each option by its name
    target: Target,
    *,
    url: str,
    method: str,
    token_stdin: bool,
    no_token: bool,
    username: str | None,
    header: str,
) -> int:
    """Explain why a call to a REST API is refused, and what to do about it.

    Looks at what is deployed (not at what the console shows), at the token and its user, and at
    the function's permission. Makes the call once if it is a GET, HEAD or OPTIONS, and names the
    one cause and its fix. The URL may be a path of the stack's own API, such as /hello.
    """
    if (token_stdin or no_token) and not is_typed("username"):
        # COGAUTH_USERNAME is for the commands that need a user.
        username = None
    if [token_stdin, no_token, username is not None].count(True) > 1:
        raise UsageError(
            "--token-stdin, --no-token and --username exclude each other", hint="Give one of them."
        )
    verb = _checked(method, header)
    state = require_state(target)
    from cogauth.checks.explain import explain as run
    from cogauth.checks.explain.address import parse_url

    own = url.startswith("/")
    if not own:
        parse_url(state, url)
    text = None if no_token else _from_stdin() if token_stdin else _stored(state, username)
    ctx = complete_stack(target, state, "apigateway", "cognito", "lambda_")
    if own:
        url = ctx.url(url)
    diagnosis = run(ctx, url, verb, text, header)
    if target.as_json:
        print_json({"url": url, "method": verb, **diagnosis.to_json()})
    else:
        _show(url, verb, diagnosis)
    return 1 if diagnosis.cause.code == "unexplained" else 0


def _checked(method: str, header: str) -> str:
    from cogauth.gateway.routing import VERBS

    verb = method.upper()
    if verb not in VERBS:
        raise UsageError(
            f"--method {method!r} can't be used", hint=f"Give one of {', '.join(VERBS)}."
        )
    if not (header.isascii() and header.replace("-", "").replace("_", "").isalnum()):
        raise UsageError(
            f"--header {header!r} can't be used", hint="Give a header's name, such as X-Token."
        )
    return verb


def _from_stdin() -> str:
    if sys.stdin.isatty():
        notice("Paste the token, then press Enter and Ctrl-D:")
    try:
        text = stdin.everything().strip()
    except UnicodeDecodeError as error:
        raise UsageError("stdin is not text", hint="Give a token.") from error
    if not text:
        raise UsageError("There is no token on stdin", hint="Give one, or --no-token.")
    # Someone who copies the whole header copies its name too.
    name, colon, value = text.partition(":")
    return value.strip() if colon and name.strip().lower() == "authorization" else text


def _stored(state: State, username: str | None) -> str:
    """Return the stored ID token of a user, or of the only stored user if none is named."""
    from cogauth.client import sessions, token_store

    names = sorted(token_store.stored(state))
    name = sessions.whose(state, username) if username or names else ""
    if (stored := token_store.stored_for(state, name)) is not None:
        return stored["id_token"]
    which = f" of {name!r}" if name else ""
    others = f"; there are those of {', '.join(names)}" if names else ""
    raise UsageError(
        f"No token{which} is stored{others}.",
        hint=(
            f"Run '{state.command('test-login NAME')}', or give your client's token with "
            "--token-stdin, or give --no-token."
        ),
    )


def _show(url: str, verb: str, diagnosis: Diagnosis) -> None:
    say(f"{verb} {url}")
    answer, cause = diagnosis.answer, diagnosis.cause
    if answer is None:
        say("  not called")
    else:
        mark = "✓" if answer.passed else "✗"
        say(f"  {mark} {answer.status} {answer.message}".rstrip())
    say("", f"Cause ({cause.code}):", f"  {cause.sentence}")
    if cause.fix:
        say("Fix:", f"  {cause.fix}")
    if diagnosis.notes:
        say("Also:", *(f"  - {note}" for note in diagnosis.notes))
    say("", "Facts:")
    rows = [
        (name, fact if isinstance(fact, str) else moment_of(fact, diagnosis.now))
        for name, fact in diagnosis.facts.items()
    ]
    show_table(rows, indent=2)
