"""``cogauth demo``."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cogauth.cli.interrupt import on_ending
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.up import new_stack
from cogauth.settings import PROTECTED_PATH, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from cogauth.aws.clients import Aws
    from cogauth.checks.login import LoginResult


@dataclass
class Story:
    """The demo's chapters: each is told, done, and held against what it should come to."""

    silent: bool
    chapters: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self.chapters.append({"title": title, "expected": None, "got": None, "ok": False})
        if not self.silent:
            say("", f"{len(self.chapters)}. {title}", f"   {text}")

    def expect(self, expected: object, got: object) -> None:
        """End the chapter with what came out."""
        ok = expected == got
        self.chapters[-1].update(expected=expected, got=got, ok=ok)
        if not self.silent:
            verdict = "as it should be" if ok else f"{expected} was expected"
            say(f"   -> {got}: {verdict}")


@click.command(
    short_help="Play the whole story on an embedded local AWS.",
    epilog="""\b
Examples:
  cogauth demo
  cogauth demo --json | jq .ok

It runs in a temporary folder of its own: --state, --profile and --endpoint-url change nothing.
Needs the embedded local AWS: pip install '.[local]'
""",
)
@target_options
def demo(target: Target) -> int:
    """Play the whole story on an embedded local AWS; needs no AWS account.

    Up, a first login, a second one, a wrong password, the protected method without and with the
    token, down, and what is left. Exits with 0 only if each came out as it should.
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
            f"All of it came out as it should ({target.elapsed:.1f} s). Try it yourself:",
            "  cogauth up --local       the same, to look around in",
            "  cogauth up               on AWS",
        )
    else:
        say("", "Not all of it came out as it should.")
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
    on_ending(_interrupt_once)
    folder = Path(tempfile.mkdtemp(prefix="cogauth-demo-"))
    try:
        yield folder
    finally:
        on_ending(lambda *_: None)
        LocalAws(folder / FOLDER).remove()
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt_once(_number: int, _frame: FrameType | None) -> NoReturn:
    on_ending(lambda *_: None)
    raise KeyboardInterrupt


def _play(target: Target, story: Story) -> None:
    import secrets

    from cogauth import engine
    from cogauth.checks.login import call_protected, check_login
    from cogauth.cli.progress import Progress
    from cogauth.steps import STEPS

    user, password = "ann", f"Demo-{secrets.token_urlsafe(9)}-1a"
    story.tell(
        "cogauth up --local",
        "A user pool with an app client, a role, two functions, an API with POST /signin, "
        "and a guarded GET /hello.",
    )
    ctx = new_stack(target, Settings(), local=True)
    progress = Progress(STEPS)
    with progress.live or nullcontext():
        created = [step for step in engine.up(ctx, progress) if step.action == "created"]
    story.expect(f"{len(STEPS)} steps created", f"{len(created)} steps created")

    story.tell(
        f"First login of '{user}'",
        "POST /signin with a name that the pool doesn't know: the function signs it up, the "
        "trigger confirms it, and Cognito gives tokens.",
    )
    first = check_login(ctx, user, password)
    story.expect("HTTP 200, success, is_new true", _login(first))

    story.tell("Second login", "The same name and password: one call to Cognito, and tokens.")
    second = check_login(ctx, user, password)
    story.expect("HTTP 200, success, is_new false", _login(second))

    story.tell("A wrong password", "The name is known, the password isn't its own.")
    wrong = check_login(ctx, user, f"{password}-not")
    story.expect("HTTP 401, fail: The username or password is incorrect", _login(wrong))

    url = ctx.url(PROTECTED_PATH)
    for words, token, expected in (
        ("without a token", None, 401),
        ("with the ID token", second.tokens.get("id_token"), 200),
    ):
        story.tell(f"GET {PROTECTED_PATH} {words}", "The authorizer decides before anything runs.")
        story.expect(f"HTTP {expected}", f"HTTP {call_protected(ctx, url, token)}")

    story.tell("cogauth down", "All of it is deleted, each before what it needs.")
    result = engine.down(ctx, engine.plan_down(ctx), lambda line: notice(f"   {line}"))
    story.expect(
        "0 remaining, 0 problems",
        f"{len(result.remaining)} remaining, {len(result.problems)} problems",
    )

    story.tell("What is left", "Every pool, role, function, API and log group of this account.")
    left = everything(ctx.aws)
    story.expect("nothing", ", ".join(left) or "nothing")


def _login(result: LoginResult) -> str:
    if result.status != "success":
        return f"HTTP {result.http_status}, {result.status}: {result.msg}"
    if result.problems:
        return " ".join(result.problems)
    return f"HTTP {result.http_status}, success, is_new {str(result.is_new).lower()}"


def everything(aws: Aws) -> list[str]:
    """Return the names of all that an account holds of the kinds that cogauth makes."""
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
