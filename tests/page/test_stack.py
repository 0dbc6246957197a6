"""The stack of the page: read anew at each request, on connections that last, and that all end."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cogauth.aws.clients import Aws
from cogauth.context import Context
from cogauth.errors import IncompleteError
from cogauth.page.stack import Stack
from cogauth.record.state import State
from cogauth.settings import Settings
from support.names import REGION


class Shown:
    """A page's stack, how often it was connected to, and what its state file is."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, ...]] = []
        self.state = self.read()
        self.is_complete = True
        unused: Any = None
        self.stack = Stack(
            load=lambda: self.state,
            connect=self.connect,
            check=self.check,
            locked=lambda _command: nullcontext(),
            where=unused,
            runnable=unused,
            error_json=unused,
        )

    def read(self, stack_id: str = "0123456789ab") -> State:
        where = (Path("s.json"), "shop", "123456789012", REGION, None)
        return State(*where, Settings(), stack_id=stack_id)

    def connect(self, state: State, *clients: str) -> Context:
        self.connected.append(clients)
        aws = Aws(region=REGION)
        return Context(aws, state, aws.waiter())

    def check(self, _ctx: Context) -> None:
        if not self.is_complete:
            raise IncompleteError("It lacks something.")


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_each_request_reads_the_state_file_and_shares_a_connection(shown: Shown) -> None:
    first = shown.stack.context()
    shown.state = shown.read()
    second = shown.stack.context()
    assert second.state is shown.state is not first.state
    assert second.aws is first.aws
    # A failed reading of the status stops its own calls only.
    assert shown.stack.context("status").aws is not first.aws
    shown.stack.lose()
    assert shown.stack.context().aws is not first.aws
    assert len(shown.connected) == 3


def test_another_stack_at_that_place_is_connected_to_anew(shown: Shown) -> None:
    first = shown.stack.context()
    shown.state = shown.read("another12345")
    assert shown.stack.context().aws is not first.aws


def test_an_incomplete_stack_is_given_only_to_who_takes_it(shown: Shown) -> None:
    shown.is_complete = False
    shown.stack.context(complete=False)
    with pytest.raises(IncompleteError):
        shown.stack.context()
    with pytest.raises(IncompleteError), shown.stack.own_context("logs"):
        pytest.fail("It was given.")


def test_the_end_stops_all_that_goes_on_or_begins_later(shown: Shown) -> None:
    shared = shown.stack.context()
    shared.waiter.stop.set()
    shown.stack.resume(shared)
    assert not shared.waiter.stop.is_set()
    with shown.stack.own_context("logs") as over:
        pass
    with shown.stack.own_context("logs") as own:
        assert shown.connected[-1] == ("logs",)
        shown.stack.end()
        assert shared.waiter.stop.is_set()
        assert own.waiter.stop.is_set()
    assert not over.waiter.stop.is_set()
    shown.stack.resume(shared)
    assert shared.waiter.stop.is_set()
    assert shown.stack.context("late").waiter.stop.is_set()
