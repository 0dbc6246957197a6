"""Lines that are sent as they come: each at once, and none for who has gone."""

from __future__ import annotations

import asyncio
import json
from threading import Event
from typing import TYPE_CHECKING, Any

from cogauth.page import streams
from support.forker import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from cogauth.page.stack import Stack
    from cogauth.page.streams import Put, Work


def read(work: Work, of: Stack, most: int = 100) -> list[Any]:
    """Return the first lines of a work."""

    async def first() -> list[Any]:
        found: list[Any] = []
        lines = streams.lines(work, of)
        async for line in lines:
            found.append(json.loads(line))
            if len(found) == most:
                break
        await lines.aclose()  # type: ignore[attr-defined] a generator's
        return found

    return asyncio.run(first())


def test_an_error_is_the_last_line(of: Stack) -> None:
    def work(stack: Stack, put: Put, _begun: Callable[[Event], None]) -> None:
        assert stack is of
        # A log line may have half a character.
        put({"line": "\ud800"})
        raise KeyboardInterrupt("stopped")

    assert read(work, of) == [{"line": "\ud800"}, {"error": {"message": "stopped"}}]


def test_a_work_whose_reader_goes_is_told_to_end(
    of: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ALIVE_S", 0.01)
    stop, late, ended = Event(), Event(), Event()

    def work(_of: Stack, put: Put, begun: Callable[[Event], None]) -> None:
        begun(stop)
        put({"line": 1})
        assert stop.wait(PATIENCE)
        # What begins now is to end at once.
        begun(late)
        assert late.is_set()
        put({"line": 2})
        ended.set()

    # While nothing comes, lines tell whether anybody reads.
    assert read(work, of, most=2) == [{"line": 1}, {"alive": True}]
    assert ended.wait(PATIENCE)
