"""The command line: each command parses, builds the context, calls, and renders."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import StringIO, TextIOWrapper
from typing import NoReturn

import click

from cogauth import __version__
from cogauth.cli.failures import is_about_output
from cogauth.cli.help import Program
from cogauth.cli.interrupt import INTERRUPTED, interrupt, on_ending
from cogauth.cli.output import notice, print_error, tell_error
from cogauth.errors import CogauthError, UsageError, holds_token

HELP = """Put an Amazon Cognito login in front of an API Gateway REST API.

\b
See everything once, without an AWS account, on an embedded local AWS:
  cogauth demo

\b
Create a stack on AWS, with your AWS configuration's credentials and region:
  cogauth up
  cogauth test-login ann
  cogauth down

\b
Create one on the embedded local AWS, to look around in:
  cogauth up --local
"""
EPILOG = """'cogauth COMMAND --help' shows a command's options, the environment variables
that set them, and examples."""


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=HELP,
    epilog=EPILOG,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """The group of all commands."""


def main() -> NoReturn:
    """Run the command line and exit: 0 fine, 1 failed, 2 usage, 130 interrupted."""
    _open_what_is_closed()
    _replace_what_cannot_be_shown()
    _keep_stdin()
    on_ending(interrupt)
    try:
        # Checked first, so that no message about wrong usage quotes it.
        _check_for_tokens()
        code = cli.main(prog_name="cogauth", standalone_mode=False) or 0
        sys.stdout.flush()
    except CogauthError as error:
        if _wants_json():
            print_error(error.code, error)
        tell_error(error)
        code = error.exit_code
    except click.ClickException as error:
        lines = _lines(error)
        if _wants_json():
            hint = next((line for line in lines if line.startswith("Try ")), None)
            print_error("usage", UsageError(error.format_message(), hint=hint))
        notice(*lines)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        on_ending(lambda *_: None)
        notice("Interrupted.")
        code = INTERRUPTED
    except OSError as error:
        if not is_about_output(error):
            raise
        # Otherwise Python complains again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader such as head may have read enough.
        if not isinstance(error, BrokenPipeError):
            notice(f"Error: The output can't be written: {error.strerror}.")
        code = 1
    if code == INTERRUPTED:
        with suppress(OSError):
            sys.stdout.flush()
        # Not by sys.exit, which waits for threads: the calls still in flight only read.
        os._exit(code)
    sys.exit(code)


def _check_for_tokens() -> None:
    if any(map(holds_token, sys.argv[1:])):
        raise UsageError(
            "There is a token on the command line, where other users of this machine can read it "
            "and the shell's history keeps it. Nothing was done.",
            hint=(
                "Give tokens on stdin: 'cogauth decode' reads one from there; 'token', 'call' and "
                "'curl' use the stored one."
            ),
        )


def _lines(error: click.ClickException) -> list[str]:
    """Return click's text about an unusable command line."""
    text = StringIO()
    error.show(text)
    return [line.expandtabs() for line in text.getvalue().removesuffix("\n").split("\n")]


def _open_what_is_closed() -> None:
    """Replace standard streams that the parent process closed: as None they would crash."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 to the end


def _replace_what_cannot_be_shown() -> None:
    """Print a question mark for a character that the output's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _keep_stdin() -> None:
    """Keep programs that we start, such as a credential_process, from reading our stdin.

    It may be a password. On a terminal such a program may have something to ask.
    """
    with suppress(OSError, ValueError):  # Tests may use a stdin that isn't a file.
        number = sys.stdin.fileno()
        if number != 0 or os.isatty(number):
            return
        kept = os.dup(number)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 pathlib takes a while to import
            os.dup2(nothing.fileno(), number)
        encoding, errors = sys.stdin.encoding, sys.stdin.errors
        sys.stdin = os.fdopen(kept, encoding=encoding, errors=errors)


def _wants_json() -> bool:
    """Return whether --json was given, for errors from before a command has parsed it."""
    variable = os.environ.get("COGAUTH_JSON", "").strip().lower()
    return "--json" in sys.argv[1:] or variable in {"1", "true", "t", "yes", "y", "on"}
