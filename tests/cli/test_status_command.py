"""The command ``cogauth status``: its exit codes, its picture's file, and Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from cogauth.cli.options import Target
from cogauth.cli.status import Reader, watch_status
from cogauth.errors import CogauthError
from cogauth.steps import STEPS
from support.calls import Call, refusal
from support.commands import Cli, in_process
from support.tampers import weaken_passwords

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

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


class Watched:
    """`status --watch` of a stack on moto: each pause runs a step, and the last is Ctrl-C."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.error: Exception | tuple[int, str] | None = None

    def fail(self, error: Exception | tuple[int, str]) -> None:
        self.error = error

    def mend(self) -> None:
        self.error = None

    def watch(self, *steps: Callable[[], object]) -> None:
        left, place = list(steps), {"profile": None, "region": None, "endpoint_url": None}
        target = Target("shop", self.account.path(), **place, as_json=False, debug=False)
        reader = Reader(target, self.account.context(), None)

        def pause() -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        with self.account.calls.watched(self._answer):
            watch_status(reader.read(), reader.again, reader.tree, pause)

    def _answer(self, call: Call) -> Any:
        if self.error is None or call.operation != "GetRole":
            return None
        if isinstance(self.error, Exception):
            raise self.error
        return refusal(*self.error)


GONE = ConnectionClosedError(endpoint_url="https://x.amazonaws.com")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ((400, "ThrottlingException"), "AWS limits the rate of such calls"),
        ((503, "ServiceUnavailable"), "ServiceUnavailable: No."),
        (GONE, "AWS can't be reached"),
    ],
)
def test_watching_goes_on_after_an_error_that_passes(
    account: Account,
    capsys: pytest.CaptureFixture[str],
    error: Exception | tuple[int, str],
    said: str,
) -> None:
    account.stands()
    account.grow_old()
    watched = Watched(account)

    def change() -> None:
        watched.mend()
        weaken_passwords(account)

    with pytest.raises(KeyboardInterrupt):
        watched.watch(lambda: watched.fail(error), lambda: None, change)
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("Stack shop")] == [
        *("Stack shop  ✓ complete", "Stack shop  ~ drifted")
    ]
    assert err.count("Warning: ") == err.count("This is the last known status.") == 1
    assert said in err


def test_watching_ends_at_any_other_error(account: Account) -> None:
    account.stands()
    account.grow_old()
    watched = Watched(account)
    with pytest.raises((ClientError, CogauthError), match="AccessDenied"):
        watched.watch(lambda: watched.fail((403, "AccessDeniedException")))


@pytest.mark.long
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
