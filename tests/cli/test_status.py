"""How a stack's status is shown: on a terminal, on a pipe, as JSON, and repeatedly."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ConnectionClosedError
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cogauth.aws.answers import Field
from cogauth.cli.output import print_tree
from cogauth.cli.status import tree, watch_status
from cogauth.engine.status import AttachedStatus, MethodStatus, StackStatus, StepStatus
from cogauth.page.picture import SHOWN
from cogauth.steps import STEPS
from support.broken import record_whole_stack
from support.commands import in_process
from support.planted import ROWS
from support.servers import ACCOUNT, Answer, Fixed
from support.status import CHANGES, MIXED, ORDERS, stack_in, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cogauth.context import Context
    from support.commands import Cli

# Links and colours.
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\(.*?)\x1b\]8;;\x1b\\")
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")
ANY_TEXT = st.text(
    st.characters() | st.sampled_from("\n\r\x1b\x9b\x07\u202e\u200b[]/山"), max_size=40
)


class Terminal(io.StringIO):
    """Standard output on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return stack_in("aws", tmp_path)


@contextmanager
def on_a_terminal(**env: str) -> Iterator[Terminal]:
    """Make stdout a terminal with 80 columns."""
    with pytest.MonkeyPatch.context() as patch:
        known = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "50"}
        for name, value in {**known, **env}.items():
            patch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setattr(sys, "stdout", shown := Terminal())
        yield shown


def piped(ctx: Context, found: StackStatus) -> str:
    """Return the output on a pipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out := io.StringIO())
        print_tree(tree(ctx, found))
    return out.getvalue()


def drawn(ctx: Context, found: StackStatus, width: int) -> str:
    """Return the output on a terminal."""
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=width, color_system="256").print(tree(ctx, found))
    return out.getvalue()


# A terminal


def test_a_terminal_gets_each_step_in_80_columns_with_a_link_to_the_console(ctx: Context) -> None:
    found = status_of(ctx, MIXED, ORDERS)
    with on_a_terminal() as terminal:
        print_tree(tree(ctx, found))
    text = terminal.getvalue()
    assert max(map(len, SEQUENCE.sub("", text).splitlines())) <= 80
    links = LINK.findall(text)
    assert [url for url, _ in links] == [step.console_url for step in found.steps]
    assert [SEQUENCE.sub("", name) for _, name in links] == [step.id for step in found.steps]
    lines = SEQUENCE.sub("", text).splitlines()
    for step in found.steps:
        (line,) = (line for line in lines if f" {step.title}  " in line)
        assert SHOWN[step.status] in line


def test_long_ids_are_cut_and_their_links_are_whole(ctx: Context) -> None:
    ctx.state.resources["role"]["id"] = "r" * 64
    found = status_of(ctx, {})
    with on_a_terminal() as terminal:
        print_tree(tree(ctx, found))
    text = terminal.getvalue()
    assert max(map(len, SEQUENCE.sub("", text).splitlines())) <= 80
    assert f"roles/details/{'r' * 64}" in text
    assert "rrr…" in text
    assert "r" * 64 in piped(ctx, found)


def test_without_colours_there_are_words_and_no_links(
    ctx: Context,
) -> None:
    with on_a_terminal(TERM="dumb") as terminal:
        print_tree(tree(ctx, status_of(ctx, MIXED)))
    assert "\x1b" not in terminal.getvalue()
    assert set(MIXED.values()) <= set(terminal.getvalue().split())


def test_a_stack_on_an_emulator_has_no_links(tmp_path: Path) -> None:
    ctx = stack_in("aws", tmp_path, endpoint_url="http://127.0.0.1:4566")
    with on_a_terminal() as terminal:
        print_tree(tree(ctx, status_of(ctx, {})))
    assert "\x1b]8" not in terminal.getvalue()
    assert "at http://127.0.0.1:4566" in terminal.getvalue()


# A pipe


def test_a_pipe_gets_plain_lines_with_whole_ids_and_values(ctx: Context) -> None:
    found = status_of(ctx, MIXED, ORDERS)
    text = piped(ctx, found)
    assert "\x1b" not in text
    lines = [re.sub(r"^[│├└─ ]+", "", line).rstrip() for line in text.splitlines()]
    assert lines[:2] == ["Stack cogauth  ~ drifted", f"account {ACCOUNT}, region eu-central-1"]
    changes = [
        "MemorySize: 1024, wanted 512",
        "authorizationType: NONE, wanted COGNITO_USER_POOLS",
        'PermissionsBoundary: unset, wanted ""',
        'Environment: {"Variables": {}}, wanted {"Variables": {"A": "é"}}',
    ]
    assert [line for line in lines if "wanted" in line] == 2 * changes
    assert lines[-6:-1] == [
        "Attached: orders (orders1234), prod, beta",
        "✓ guarded      GET /orders",
        "✗ not guarded  ANY /x: open to anyone",
        "3 users in the user pool",
        "sign-up is open: anyone can create an account",
    ]
    assert lines[-1].startswith("deployed 2026-11-2")
    assert len(lines) == 2 + len(STEPS) + 2 * len(CHANGES) + 3 + 3


def test_a_step_names_the_parts_that_it_lacks(ctx: Context) -> None:
    found = status_of(ctx, {"rest_api": "missing"})
    parts = ("sign-in method", "sign-in integration")
    steps = [replace(s, lacks=parts if s.step == "rest_api" else ()) for s in found.steps]
    lines = piped(ctx, replace(found, steps=tuple(steps))).splitlines()
    (at,) = (n for n, line in enumerate(lines) if "✗ missing" in line)
    assert lines[at + 1].endswith("─ missing: sign-in method, sign-in integration")


def test_what_is_unknown_is_not_said(ctx: Context) -> None:
    found = replace(status_of(ctx, {}, users=None), deployed=None)
    assert "user pool" not in piped(ctx, found)
    assert "deployed" not in piped(ctx, found)
    assert "1 user in" in piped(ctx, status_of(ctx, {}, users=1))


def test_nothing_that_others_named_acts_or_begins_a_line(ctx: Context) -> None:
    values = st.none() | st.integers() | ANY_TEXT | st.lists(ANY_TEXT)

    @settings(max_examples=40)
    @given(ANY_TEXT, ANY_TEXT, ANY_TEXT, values)
    def check(name: str, path: str, note: str, value: object) -> None:
        step = StepStatus("role", "Role", "changed", name or None, (Field(path, value, note),))
        method = MethodStatus(path, guarded=False, note=note)
        api = AttachedStatus(name, note, (name, path), (method,))
        found = StackStatus("cogauth", "drifted", (step,), attached=(api,))
        text = piped(ctx, found)
        assert all(c == "\n" or c.isprintable() for c in text)
        assert len(text.splitlines()) == 6
        shown = SEQUENCE.sub("", drawn(ctx, found, 40))
        assert all(c == "\n" or c.isprintable() for c in shown)

    check()


# JSON


def test_the_document_is_as_the_contract_has_it(ctx: Context) -> None:
    found = status_of(ctx, MIXED, ORDERS)
    shown = json.loads(json.dumps(found.to_json()))
    assert list(shown) == ["stack", "condition", "steps", "users", "sign_up", "attached"]
    assert (shown["stack"], shown["condition"], shown["users"]) == ("cogauth", "drifted", 3)
    assert [step["step"] for step in shown["steps"]] == [step.name for step in STEPS]
    statuses = {step["step"]: step["status"] for step in shown["steps"]}
    assert {name: status for name, status in statuses.items() if status != "stands"} == MIXED
    (role,) = (step for step in shown["steps"] if step["step"] == "role")
    assert role == {
        "step": "role",
        "status": "missing",
        "id": "cogauth-LambdaAuthRole",
        "changes": [],
        "console_url": "https://console.aws.amazon.com/iam/home#/roles/details/"
        "cogauth-LambdaAuthRole",
    }
    (function,) = (step for step in shown["steps"] if step["step"] == "sign_in_function")
    assert function["changes"][0] == {"field": "MemorySize", "old": 1024, "new": 512}
    assert shown["attached"] == [
        {
            "rest_api_id": "orders1234",
            "rest_api_name": "orders",
            "stages": ["prod", "beta"],
            "methods": [
                {"path": "/orders", "method": "GET", "guarded": True, "note": ""},
                {"path": "/x", "method": "ANY", "guarded": False, "note": "open to anyone"},
            ],
        }
    ]


# --watch


def series(*found: StackStatus) -> tuple[Callable[[], StackStatus], Callable[[], None]]:
    """Return a reader that gives these in turn, and a pause that ends in Ctrl-C at the last."""
    left = list(found)

    def pause() -> None:
        if not left:
            raise KeyboardInterrupt

    return lambda: left.pop(0), pause


def test_on_a_pipe_each_change_is_printed_once(
    ctx: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, mixed = status_of(ctx, {}), status_of(ctx, MIXED)
    read, pause = series(whole, mixed, mixed, whole)
    with pytest.raises(KeyboardInterrupt):
        watch_status(whole, read, lambda found: tree(ctx, found), pause)
    headings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Stack")]
    assert headings == [
        f"Stack cogauth  {SHOWN[condition]}" for condition in ("complete", "drifted", "complete")
    ]


def test_on_a_terminal_the_last_reading_stays_and_the_cursor_is_back(ctx: Context) -> None:
    read, pause = series(status_of(ctx, MIXED), status_of(ctx, {"role": "missing"}))
    with on_a_terminal() as terminal, pytest.raises(KeyboardInterrupt):
        watch_status(status_of(ctx, {}), read, lambda found: tree(ctx, found), pause)
    text = terminal.getvalue()
    assert text.rindex("\x1b[?25l") < text.rindex("\x1b[?25h")
    last = SEQUENCE.sub("", text[text.rindex("Stack cogauth") :])
    assert "~ drifted" in last
    assert last.count("✗ missing") == 1
    assert last.count("✓ exists") == len(STEPS) - 1


def test_on_a_terminal_a_lost_connection_is_shown_below_the_last_reading(ctx: Context) -> None:
    def read() -> StackStatus:
        raise ConnectionClosedError(endpoint_url="https://x.amazonaws.com")

    pauses = iter([None])

    def pause() -> None:
        if next(pauses, "over"):
            raise KeyboardInterrupt

    with on_a_terminal() as terminal, pytest.raises(KeyboardInterrupt):
        watch_status(status_of(ctx, MIXED), read, lambda found: tree(ctx, found), pause)
    text = SEQUENCE.sub("", terminal.getvalue())
    last = text[text.rindex("Stack cogauth") :]
    assert "~ drifted" in last
    assert "! AWS can't be reached" in last
    assert "This is the last known status." in " ".join(last.replace("│", " ").split())


def test_watching_has_no_document(cli: Cli) -> None:
    record_whole_stack(cli, "http://127.0.0.1:9")
    done = cli.run("status", "--watch", "--json").must(2)
    assert "--watch and --json exclude each other" in done.error


# Refusals before anything else


def test_without_a_stack_it_names_the_others(cli: Cli) -> None:
    record_whole_stack(cli, "http://127.0.0.1:9")
    done = cli.run("status", "--stack", "shop").must(2)
    assert "Stacks here: cogauth (--stack cogauth)" in done.err


def a_missing_folder(path: Path) -> None:
    path.parent.rmdir()


def a_file_as_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text(ROWS)


IN_THE_WAY: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("/dev/null"),
    "a readme": lambda path: path.write_text(ROWS) and None,
    "a missing folder": a_missing_folder,
    "a file": a_file_as_folder,
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_picture_that_cannot_be_written_is_refused_before_aws_is_asked(
    kind: str, cli: Cli, no_credentials: pytest.MonkeyPatch
) -> None:
    path = cli.folder / "pictures" / "stack.svg"
    path.parent.mkdir()
    IN_THE_WAY[kind](path)
    no_credentials.setenv("COGAUTH_STATE", str(cli.state))
    with Fixed(lambda _: Answer(404, "{}")) as aws:
        record_whole_stack(cli, aws.url)
        done = in_process("status", "--svg", str(path), "--endpoint-url", aws.url).must(1)
        assert f"{path} can't be written" in done.err
        assert "Give another file" in done.err
        assert aws.requests == []


def test_a_state_file_is_not_replaced_by_its_picture(cli: Cli) -> None:
    record_whole_stack(cli, "http://127.0.0.1:9")
    before = cli.state.read_bytes()
    done = cli.run("status", "--svg", str(cli.state)).must(1)
    assert "it has other content, which would be lost" in done.err
    assert cli.state.read_bytes() == before
