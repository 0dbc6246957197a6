"""``cogauth demo``."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.interrupt import interrupt_once, on_ending
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json, say, wrapped
from cogauth.cli.up import new_stack
from cogauth.settings import PROTECTED_PATH, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.clients import Aws
    from cogauth.checks.login import LoginResult
    from cogauth.context import Context

# The width of a trimmed answer, in columns.
TRIMMED = 75
# What each line of a chapter begins with.
MARGIN = "   "


@dataclass
class Story:
    """The demo's chapters: each is told, done, and compared with what is expected."""

    silent: bool
    chapters: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, title: str, text: str, command: str = "") -> None:
        """Start a chapter; ``command`` is what a user would type."""
        self.chapters.append({"title": title, "expected": None, "got": None, "ok": False})
        if not self.silent:
            # Also on a pipe, where nothing else is wrapped.
            lines = wrapped(f"{MARGIN}{text}", get_terminal_size().columns)
            say("", f"{len(self.chapters)}. {title}", *lines)
            if command:
                say(f"{MARGIN}$ {command}")

    def expect(self, expected: object, got: object, shown: str = "") -> None:
        """End the chapter with the result; ``shown`` is what the command printed or received."""
        ok = expected == got
        self.chapters[-1].update(expected=expected, got=got, ok=ok)
        if not self.silent:
            if shown:
                say(f"{MARGIN}< {shown if len(shown) <= TRIMMED else f'{shown[: TRIMMED - 2]} …'}")
            say(f"{MARGIN}✓ {got}" if ok else f"{MARGIN}✗ {got}; expected {expected}")


@click.command(
    cls=Command,
    short_help="Show everything once on an embedded local AWS.",
    epilog="""\b
Examples:
  cogauth demo
  cogauth demo --json | jq .ok

It runs in a temporary folder, so --state, --profile and --endpoint-url have no effect.
It needs the embedded local AWS: pip install '.[local]'
""",
)
@target_options
def demo(target: Target) -> int:
    """Show everything once on an embedded local AWS; you need no AWS account.

    The demo creates a stack, signs a user in twice, tries a wrong password, calls the protected
    method without and with the token, deletes the stack, and checks what is left. Each chapter
    shows the command to type and what came back. The exit code is 0 only if everything worked.
    """
    story = Story(silent=target.as_json)
    with _temporary_folder() as folder:
        _play(replace(target, state=folder / "demo.json", profile=None, endpoint_url=None), story)
    ok = all(chapter["ok"] for chapter in story.chapters)
    if target.as_json:
        print_json({"ok": ok, "chapters": story.chapters, "elapsed_s": target.elapsed})
    elif ok:
        say(
            "",
            f"✓ Everything worked ({target.elapsed:.1f} s). Try it yourself:",
            "  cogauth up --local",
            "    creates the same stack on a local AWS, to look around in",
            "  cogauth up",
            "    creates it on AWS",
        )
    else:
        say("", "✗ Not everything worked: see the chapters with ✗.")
    return 0 if ok else 1


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Give a folder; whatever happens, it is deleted, and the local AWS in it ended.

    A second Ctrl-C doesn't stop that: it takes a moment, and would leave a process behind.
    """
    import shutil
    import tempfile

    from cogauth.local.process import FOLDER, LocalAws
    from cogauth.record.trust import check_place

    check_place(Path(tempfile.gettempdir()) / FOLDER)
    on_ending(interrupt_once)
    folder = Path(tempfile.mkdtemp(prefix="cogauth-demo-"))
    try:
        yield folder
    finally:
        on_ending(lambda *_: None)
        LocalAws(folder / FOLDER).remove()
        shutil.rmtree(folder, ignore_errors=True)


def _play(target: Target, story: Story) -> None:
    import secrets

    from cogauth import engine

    user, password = "ann", f"Demo-{secrets.token_urlsafe(9)}-1a"
    ctx = _up(target, story)
    token = _log_in(ctx, story, user, password)
    _call(ctx, story, token)

    story.tell(
        "cogauth down", "Deletes everything and checks that nothing is left.", "cogauth down"
    )
    result = engine.down(ctx, engine.plan_down(ctx), lambda line: notice(f"{MARGIN}{line}"))
    story.expect(
        "0 remaining, 0 problems",
        f"{len(result.remaining)} remaining, {len(result.problems)} problems",
        f"{result.count} resources deleted, with all that they contained",
    )

    story.tell(
        "What is left", "Every user pool, role, function, API and log group of this account."
    )
    left = everything(ctx.aws)
    story.expect("nothing", ", ".join(left) or "nothing")


def _up(target: Target, story: Story) -> Context:
    from cogauth import engine
    from cogauth.cli.progress import Progress
    from cogauth.steps import STEPS

    story.tell(
        "cogauth up --local",
        "Creates a user pool with an app client, roles, two functions, and a REST API with "
        "POST /signin and a guarded GET /hello.",
        "cogauth up --local",
    )
    ctx = new_stack(target, Settings(), local=True, margin=MARGIN)
    progress = Progress(STEPS, margin=MARGIN)
    with progress.live or nullcontext():
        created = [step for step in engine.up(ctx, progress) if step.action == "created"]
    shown = f"GET {ctx.url(PROTECTED_PATH)}"
    story.expect(f"{len(STEPS)} steps created", f"{len(created)} steps created", shown)
    return ctx


def _log_in(ctx: Context, story: Story, user: str, password: str) -> str | None:
    """Sign the user up, in, and in with a wrong password; return an ID token."""
    from cogauth.checks.login import check_login

    story.tell(
        f"First login of '{user}'",
        "The user pool doesn't know the name, so POST /signin signs the user up, the trigger "
        "confirms the user, and Cognito issues tokens.",
        f"cogauth test-login {user}",
    )
    first = check_login(ctx, user, password)
    story.expect("HTTP 200, success, is_new true", _login(first), _body(first))

    story.tell("Second login", "The same name and password.", f"cogauth test-login {user}")
    second = check_login(ctx, user, password)
    story.expect("HTTP 200, success, is_new false", _login(second), _body(second))

    story.tell("A wrong password", "A known name.", f"cogauth test-login {user}")
    wrong = check_login(ctx, user, f"{password}-not")
    expected = "HTTP 401, fail: The username or password is incorrect"
    story.expect(expected, _login(wrong), _body(wrong))
    return second.tokens.get("id_token")


def _call(ctx: Context, story: Story, id_token: str | None) -> None:
    """Call the guarded method without a token, and with one."""
    from cogauth.checks.login import call_protected
    from cogauth.client.transport import http_session, request

    url = ctx.url(PROTECTED_PATH)
    for words, text, token, status, option in (
        (
            "without a token",
            "The authorizer refuses the call; nothing behind it is asked.",
            None,
            401,
            " --no-token",
        ),
        (
            "with the ID token",
            "The authorizer accepts the token, and the method answers (without a function).",
            id_token,
            200,
            "",
        ),
    ):
        command = f"cogauth call GET {PROTECTED_PATH}{option}"
        story.tell(f"GET {PROTECTED_PATH} {words}", text, command)
        got = call_protected(ctx, url, token)
        body = " ".join(request(http_session(url, ctx.aws), "GET", url, token=token).text.split())
        story.expect(f"HTTP {status}", f"HTTP {got}", body)


def _body(result: LoginResult) -> str:
    """Return the sign-in function's answer without the tokens."""
    names = ("status", "code", "msg", "is_new", "user_id", "expires_in")
    answer = {n: value for n in names if (value := getattr(result, n)) is not None}
    if result.is_new is not None:
        answer["is_new"] = "true" if result.is_new else "false"  # a string in the contract
    return json.dumps(answer)


def _login(result: LoginResult) -> str:
    if result.status != "success":
        return f"HTTP {result.http_status}, {result.status}: {result.msg}"
    if result.problems:
        return " ".join(result.problems)
    return f"HTTP {result.http_status}, success, is_new {str(result.is_new).lower()}"


def everything(aws: Aws) -> list[str]:
    """Return the names of all resources in an account of the kinds that cogauth creates."""
    lists: tuple[tuple[Any, ...], ...] = (
        (aws.cognito, "list_user_pools", "UserPools", "Name"),
        (aws.iam, "list_roles", "Roles", "RoleName"),
        (aws.lambda_, "list_functions", "Functions", "FunctionName"),
        (aws.apigateway, "get_rest_apis", "items", "name"),
        (aws.logs, "describe_log_groups", "logGroups", "logGroupName"),
    )
    return [
        entry[name]
        for client, operation, key, name in lists
        for page in client.get_paginator(operation).paginate(PaginationConfig={"PageSize": 50})
        for entry in page[key]
    ]
