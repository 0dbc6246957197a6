"""Work along a graph: in order of need, in parallel where nothing is needed, and how it ends."""

import threading
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.engine import graph

PATIENCE = 30


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Generate pieces, in any order, that each need some of the pieces before them."""
    names = [str(number) for number in range(draw(st.integers(0, 12)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        for place, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(needs=graphs(), early=st.booleans())
def test_each_piece_is_done_once_and_after_what_it_needs(
    needs: Mapping[str, list[str]], *, early: bool
) -> None:
    begun: list[str] = []
    stood: list[str] = []

    def work(piece: str, stands: Callable[[], None]) -> None:
        assert set(needs[piece]) <= set(stood)
        assert threading.current_thread().name == piece
        begun.append(piece)
        stood.append(piece)
        if early:
            stands()

    assert graph.run(needs, work, Event()) == {}
    assert sorted(begun) == sorted(needs)


def test_what_needs_nothing_of_each_other_goes_on_at_once() -> None:
    together = threading.Barrier(3)
    assert graph.run(dict.fromkeys("abc", ()), lambda *_: [together.wait(PATIENCE)], Event()) == {}


def test_what_stands_early_lets_others_begin_before_its_end() -> None:
    other = Event()

    def work(piece: str, stands: Callable[[], None]) -> None:
        if piece == "a":
            stands()
            assert other.wait(PATIENCE)
        else:
            other.set()

    assert graph.run({"a": (), "b": ("a",)}, work, Event()) == {}


def test_all_errors_come_back_and_what_needs_a_failed_piece_never_begins() -> None:
    together, begun = threading.Barrier(2), []

    def work(piece: str, _stands: Callable[[], None]) -> None:
        begun.append(piece)
        if piece in "ab":
            together.wait(PATIENCE)
            raise ValueError(piece)

    errors = graph.run({"a": (), "b": (), "c": ("a",), "d": ("c",)}, work, Event())
    assert {key: str(error) for key, error in errors.items()} == {"a": "a", "b": "b"}
    assert sorted(begun) == ["a", "b"]


def test_an_error_after_a_piece_stands_comes_back_too() -> None:
    def work(piece: str, stands: Callable[[], None]) -> None:
        if piece == "a":
            stands()
            raise ValueError(piece)

    assert list(graph.run({"a": (), "b": ("a",)}, work, Event())) == ["a"]


def test_a_stop_lets_what_is_in_flight_end_and_nothing_begin() -> None:
    stop, ended = Event(), []

    def work(piece: str, _stands: Callable[[], None]) -> None:
        stop.set()
        ended.append(piece)

    assert graph.run({"a": (), "b": ("a",)}, work, stop) == {}
    assert ended == ["a"]
    assert graph.run({"a": ()}, work, stop) == {}
    assert ended == ["a"]


def test_an_interruption_of_the_main_thread_stops_it_and_waits_for_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, ended = Event(), []

    class Interrupted(graph.SimpleQueue[Any]):
        def get(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    def work(piece: str, _stands: Callable[[], None]) -> None:
        assert stop.wait(PATIENCE)
        ended.append(piece)

    monkeypatch.setattr(graph, "SimpleQueue", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        graph.run({"a": (), "b": ("a",)}, work, stop)
    assert ended == ["a"]
