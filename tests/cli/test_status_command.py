"""``cogauth status`` as a command: its exit codes, its picture's file, and Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from cogauth.steps import STEPS
from support.commands import Cli, in_process

if TYPE_CHECKING:
    from pathlib import Path

    from support.account import Account


def words_for(account: Account) -> list[str]:
    return ["--stack", "shop", "--state", str(account.path())]


def test_a_whole_stack_is_complete_and_a_changed_one_is_not(account: Account) -> None:
    account.up()
    before = account.path().read_bytes()
    done = in_process("status", *words_for(account), "--json").must()
    assert done.document["condition"] == "complete"
    assert {step["status"] for step in done.document["steps"]} == {"stands"}
    assert [step["step"] for step in done.document["steps"]] == [step.name for step in STEPS]
    assert all(step["console_url"] for step in done.document["steps"])
    assert "✓ complete" in in_process("status", *words_for(account)).must().out
    name = account.state().fact("sign_in_function", "id")
    account.client("lambda").update_function_configuration(FunctionName=name, MemorySize=1024)
    done = in_process("status", *words_for(account)).must(1)
    assert "~ changed     Sign-in function" in done.out
    assert "MemorySize: 1024, wanted 512" in done.out
    assert "Next: cogauth plan --stack shop" in done.err
    assert account.path().read_bytes() == before


def test_the_picture_is_written_and_replaced(account: Account, tmp_path: Path) -> None:
    account.up()
    picture = tmp_path / "stack.svg"
    for _ in range(2):
        done = in_process("status", *words_for(account), "--svg", str(picture)).must()
        assert f"✓ Wrote the picture to {picture}." in done.err
        assert "Stack shop: ✓ complete" in "".join(ET.parse(picture).getroot().itertext())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["stack.svg"]


@pytest.mark.local
def test_ctrl_c_ends_watching(cli: Cli) -> None:
    cli.run("up", "--local").must()
    running = cli.shell_on_terminal(
        "exec $COGAUTH status --watch --interval 1", TERM="xterm-256color"
    )
    running.see("✓ complete(?s:.*)✓ exists")
    running.press_ctrl_c()
    assert running.ended() == 130
    assert running.text.rindex("\x1b[?25h") > running.text.rindex("\x1b[?25l")
    assert "Interrupted." in running.plain
    running = cli.on_terminal("status")
    assert running.ended() == 0
    # Nothing on the local AWS has a page in AWS's console.
    assert "\x1b]8" not in running.text
    cli.run("down", "--yes").must()
