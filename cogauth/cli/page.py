"""``cogauth page``."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.failures import as_ours, error_code
from cogauth.cli.help import Command
from cogauth.cli.interrupt import INTERRUPTED, on_signals
from cogauth.cli.options import Target, show_traceback, target_options
from cogauth.cli.output import error_json, notice, print_json_line, runnable, say
from cogauth.cli.stacks import check_complete, connect, report_once, require_state, where
from cogauth.errors import CogauthError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.page.stack import Stack
    from cogauth.record.state import State

# The modules of the extra [page].
EXTRA = {"starlette", "uvicorn", "anyio", "h11"}
# What leads a browser to the page, in a private file: a URL on a command line can be read by other
# users of this machine.
LEADING = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={}">\n'


@click.command(
    cls=Command,
    short_help="Open a page of the stack in the browser.",
    epilog="""\b
Examples:
  cogauth page
  cogauth page --no-browser            only prints the URL
  cogauth page --no-browser --json | head -n 1 | jq -r .url

It needs the extra [page]: pip install '.[page]'. The URL works once, in one browser; Ctrl-C ends
the page. Only this machine can reach it: from another one, forward its port to the same port.
""",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free port",
    envvar="COGAUTH_PORT",
    help="The port to serve it on, on 127.0.0.1. Leave it out where other people use this machine: "
    "they could foresee it.",
)
@click.option("--no-browser", is_flag=True, help="Print the URL, and open no browser.")
@target_options
def page(target: Target, *, port: int, no_browser: bool) -> int:
    """Open a page of the stack: sign in, see the tokens, call methods, see why a call is refused.

    It also has the stack's picture, the checks of the guard, the users and the sign-in function's
    log. It shows what the other commands show, for a stack on AWS or on the local AWS.
    """
    try:
        from cogauth.page.gate import PageSecrets
        from cogauth.page.server import listening, serve
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise UsageError(
            f"The page needs {error.name}, which isn't installed.",
            hint="Install it where cogauth's source is: pip install '.[page]'",
        ) from error
    from cogauth.record.files import check_beside

    of = _stack(target)
    # That there is no stack, or no way to it, is told here.
    ctx = of.context(complete=False)
    # The tokens are stored there.
    check_beside(ctx.state.path)
    # A signal that comes before the server handles them ends the page in the same way.
    early: list[int] = []
    with listening(port) as listener, on_signals(lambda number, _frame: early.append(number)):
        keys = PageSecrets(listener.getsockname()[1])
        if target.as_json:
            print_json_line({"url": keys.url})
        else:
            notice(f"The page of the stack {ctx.stack}, until Ctrl-C. The URL works once:")
            say(keys.url)
        with _browser(ctx.state, keys.url) if not no_browser else nullcontext():
            serve(of, keys, listener, notice if target.debug else lambda _line: None, early)
    notice("The page has ended.")
    # There is no other way to end it.
    return INTERRUPTED


def _stack(target: Target) -> Stack:
    """Return what the page needs of the stack."""
    from cogauth.page.stack import Stack

    def joined(state: State, *clients: str) -> Context:
        ctx = connect(target, state, *clients)
        ctx.waiter.report = report_once()
        return ctx

    return Stack(
        load=partial(require_state, target),
        connect=joined,
        check=check_complete,
        locked=target.locked,
        where=where,
        runnable=runnable,
        error_json=partial(_error_json, debug=target.debug),
    )


def _error_json(error: BaseException, *, debug: bool) -> dict[str, Any]:
    if debug and isinstance(error, Exception):
        show_traceback(error)
    ours = as_ours(error) if isinstance(error, Exception) else Interrupted("The page has ended.")
    # ``as_ours`` returns None for an error of our own output, which can't happen here.
    failure = ours or CogauthError(f"{type(error).__name__}: {error}.")
    return error_json(error_code(error, failure), failure)


@contextmanager
def _browser(state: State, url: str) -> Iterator[None]:
    """Open the URL in a browser, without a command line that has the key in it."""
    # A browser of the terminal would take it over.
    if sys.platform == "linux" and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        notice("There is no browser to open: open the URL in one.")
        yield
        return
    from cogauth.record.files import remove_private, write_private_text

    path = state.page_path
    try:
        write_private_text(path, LEADING.format(url))
        # Some browsers return only when they are closed.
        address = path.absolute().as_uri()
        Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        yield
    finally:
        notice(*remove_private(path))
