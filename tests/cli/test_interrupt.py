"""Signals during calls: what is handled, what stays ignored, and what the user reads."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING

import pytest

from cogauth.cli.interrupt import SIGNALS, gently, on_signals
from cogauth.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handle signals as a program in the foreground, and afterwards as before."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_ignored_signal_stays_ignored_and_the_others_get_their_handlers_back() -> None:
    """nohup ignores SIGHUP, and a shell ignores SIGINT in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    got: list[int] = []
    with on_signals(lambda number, _frame: got.append(number)):
        for number in SIGNALS:
            signal.raise_signal(number)
    assert got == [signal.SIGINT, signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


@pytest.mark.parametrize("listed", [False, True])
def test_a_first_signal_stops_and_the_user_reads_where_things_are(
    capfd: pytest.CaptureFixture[str], *, listed: bool
) -> None:
    stop, shown = Event(), Event() if listed else None

    def run() -> None:
        with gently(stop, shown, lambda: ("Nothing is lost.", "Run it again.")):
            signal.raise_signal(signal.SIGTERM)
            assert stop.wait(5)
            # As the waiter raises it; a call in flight has failed.
            raise KeyboardInterrupt("The role wasn't created.")

    with pytest.raises(Interrupted) as caught:
        run()
    assert caught.value.message == "Interrupted. Nothing is lost."
    assert caught.value.hint == "Run it again."
    said = capfd.readouterr().err
    assert said.endswith("Error: The role wasn't created.\n")
    # A live list says itself that it stops.
    assert said.startswith("Stopping after the calls in flight.") == (not listed)
    assert shown is None or shown.is_set()
