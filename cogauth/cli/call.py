"""``cogauth call`` and ``cogauth curl``."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options, with_options
from cogauth.cli.output import notice, print_data, print_json, runnable
from cogauth.cli.session import get_tokens, user_options
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.errors import UsageError
from cogauth.gateway.routing import VERBS

if TYPE_CHECKING:
    from cogauth.client.calls import Call, Destination, Response
    from cogauth.context import Context
    from cogauth.record.state import State

# The response headers worth showing: about the content, and about API Gateway's decision.
SHOWN = (
    "content-type",
    "location",
    "retry-after",
    "www-authenticate",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-amz-apigw-id",
)
# The value of --data that means stdin.
STDIN = ("-", "@-")


request_options = with_options(
    click.argument(
        "method", type=click.Choice(VERBS, case_sensitive=False), metavar=f"[{'|'.join(VERBS)}]"
    ),
    click.argument("path"),
    user_options("id", "access"),
    click.option(
        "-d",
        "--data",
        metavar="JSON|@FILE|-",
        help="The JSON to send: as it is, from a file, or from stdin.",
    ),
    click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A header to send. Repeatable.",
    ),
    click.option(
        "--api",
        envvar="COGAUTH_API",
        metavar="ID-OR-NAME",
        show_default="the stack's own",
        help="The REST API, by id or name.",
    ),
    click.option(
        "--stage",
        show_default="the stack's; for another API the one attached to, or the only one",
        help="The stage of the API.",
    ),
    click.option("--no-token", is_flag=True, help="Send no token."),
)


@click.command(
    cls=Command,
    short_help="Send a request with a user's token and show the response.",
    epilog="""\b
Examples:
  cogauth call GET /hello
  cogauth call POST /orders -u ann -d '{"item": 7}'
  cogauth call POST /orders -d @order.json -H 'Prefer: return=minimal'
  cogauth call GET /pets --api petstore --stage prod
  cogauth call GET /hello --no-token     as a client without a token
  cogauth call GET /hello --json | jq .elapsed_s
  cogauth call GET /hello --test-invoke  without the authorizer; shows a log

The body goes to stdout, everything else to stderr. Redirects are shown, not followed.
""",
)
@request_options
@click.option(
    "--test-invoke",
    is_flag=True,
    help="Have API Gateway call the method, as the console's TEST does: it skips the authorizer, "
    "uses the current method, even if it isn't deployed, and returns the execution log.",
)
@target_options
def call(target: Target, *, no_token: bool, test_invoke: bool, **options: Any) -> int:
    """Send a request with a user's token to a method of the API, and show the response.

    The token is the one that 'cogauth token' prints. The exit code is 1 if the response's status is
    400 or above.
    """
    ctx, place, wanted = _parse(target, options)
    from cogauth.client import calls, sessions
    from cogauth.steps.missing import missing_error, naming_missing

    username = ""
    is_own = place.api == ctx.fact("rest_api")
    if test_invoke:
        notice(f"{wanted.method} {wanted.path} by TestInvokeMethod, without authorizer and token")
        with naming_missing(ctx) if is_own else nullcontext():
            answer = calls.console_test(ctx, place, wanted)
        if answer.as_any:
            notice(
                "  as the path's ANY method; API Gateway chose the HTTP method that it passes on"
            )
    else:
        token = None
        if not no_token:
            username = sessions.whose(ctx.state, options["username"])
            on_stdin = options["password_stdin"]
            found = get_tokens(target, ctx.state, username, ctx, from_stdin=on_stdin)
            token = found[f"{options['kind']}_token"]
        url = calls.url_of(ctx, place, wanted.path)
        notice(f"{wanted.method} {url}")
        answer = calls.send(ctx, place, wanted, token)
    if target.as_json:
        print_json(_to_json(place, wanted, answer))
    else:
        _show(answer)
    if answer.is_refused:
        if is_own and (lost := missing_error(ctx)) is not None:
            notice(f"Why: {lost}")
        elif not (test_invoke or target.as_json):
            notice(f"Why: {_explain(ctx.state, url, options, username)}")
    return 1 if answer.status >= HTTPStatus.BAD_REQUEST else 0


def _explain(state: State, url: str, options: dict[str, Any], username: str) -> str:
    """Return the command that says why the request was refused."""
    words = f"explain {shlex.quote(url)}"
    if options["method"] != "GET":
        words += f" --method {options['method']}"
    if not username:
        return state.command(f"{words} --no-token")
    name = shlex.quote(username)
    if options["kind"] == "id":
        return state.command(f"{words} --username {name}")
    token = state.command(f"token --username {name} --type {options['kind']}")
    return f"{token} | {state.command(f'{words} --token-stdin')}"


@click.command(
    cls=Command,
    short_help="Print the curl command that sends the same request.",
    epilog="""\b
Examples:
  cogauth curl GET /hello
  cogauth curl POST /orders --data @order.json
  eval "$(cogauth curl GET /hello)"               runs it at once

It needs curl 7.55 or later, which reads the header with the token from stdin: so the token is
neither in the shell's history nor in the list of processes.
""",
)
@request_options
@target_options
def curl(target: Target, *, no_token: bool, **options: Any) -> None:
    """Print the curl command that sends the request, to paste into a shell.

    It takes the options of 'cogauth call', and sends nothing.
    """
    if options["data"] in STDIN:
        raise UsageError(
            "--data can't be stdin here: curl reads the token from it.",
            hint="Give the JSON, or @FILE.",
        )
    ctx, place, wanted = _parse(target, options)
    from cogauth.client import calls, sessions

    token = None
    if not no_token:
        name = sessions.whose(ctx.state, options["username"])
        token = runnable(sessions.header_command(ctx.state, name, options["kind"]))
    line = calls.curl(ctx, place, wanted, options["data"], token)
    if target.as_json:
        print_json({"command": line})
    else:
        print_data(line)


def _parse(target: Target, options: dict[str, Any]) -> tuple[Context, Destination, Call]:
    """Return the stack, the API with its stage, and the request, after checking all of them."""
    from cogauth.client import calls

    state = require_state(target)
    headers = calls.parse_headers(options["headers"])
    body = None
    if options["data"] is not None:
        data, source = _body(options["data"], from_stdin=options["password_stdin"])
        headers, body = calls.with_json(headers, data, source)
    wanted = calls.Call(options["method"], options["path"], headers, body)
    ctx = complete_stack(target, state)
    return ctx, calls.find_destination(ctx, options["api"], options["stage"]), wanted


def _body(data: str, *, from_stdin: bool) -> tuple[bytes, str]:
    """Return the content that ``--data`` names, and a name for it."""
    if data in STDIN:
        if from_stdin:
            raise UsageError(
                "Both --data and --password-stdin would read stdin", hint="Give the JSON as @FILE."
            )
        if sys.stdin.isatty():
            notice("Type the JSON, then press Enter and Ctrl-D:")
        return sys.stdin.buffer.read(), "--data from stdin"
    if not data.startswith("@"):
        return data.encode(errors="surrogateescape"), "--data"
    path = Path(data[1:])
    try:
        return path.read_bytes(), f"--data, the file {path},"
    except OSError as error:
        raise UsageError(
            f"--data {data!r} can't be used: the file {path} can't be read: {error.strerror}."
        ) from error


def _to_json(place: Destination, wanted: Call, answer: Response) -> dict[str, Any]:
    try:
        body = answer.document()
    except ValueError:
        body = answer.body.decode(errors="replace") or None
    return {
        "method": wanted.method,
        "path": wanted.path,
        "rest_api_id": place.api,
        "stage": place.stage,
        "status": answer.status,
        "elapsed_s": answer.elapsed_ms / 1000,
        "headers": dict(answer.headers),
        "body": body,
        "log": answer.log,
    }


def _show(answer: Response) -> None:
    """Print the response: JSON indented, anything else as it came."""
    mark = "✗" if answer.status >= HTTPStatus.BAD_REQUEST else "✓"
    notice(f"  {mark} {answer.status} {answer.reason}".rstrip() + f"  {answer.elapsed_ms} ms")
    for name, value in answer.headers.items():
        if name.lower() in SHOWN:
            notice(f"  {name}: {value}")
    if answer.log:
        notice("  Execution log:", *(f"    {line}" for line in answer.log.splitlines()))
    # Keeps the order if both go to one terminal.
    sys.stderr.flush()
    try:
        document = answer.document()
    except ValueError:
        print_data(answer.body)
    else:
        print_json(document, highlighted=True)
