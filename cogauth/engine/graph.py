"""Work along a graph: each task begins as soon as its prerequisites exist, several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import TYPE_CHECKING

from cogauth.aws.parallel import WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from threading import Event

Work = Callable[[str, Callable[[], None]], None]


def run(needs: Mapping[str, Iterable[str]], work: Work, stop: Event) -> dict[str, BaseException]:
    """Do every task, each after its prerequisites; return when all have ended.

    What is raised in this thread meanwhile, as by a signal's handler, sets ``stop`` and is raised
    once the tasks in flight have ended.

    Args:
        needs: for each task, its prerequisites. Tasks that become ready together start in this
            order.
        work: does a task, in a thread of that name. Its dependents begin when it calls what it is
            handed, or when it returns.
        stop: once it is set, nothing begins any more.

    Returns:
        What was raised, by task. The dependents of such a task have not begun.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    order = list(needs)
    # What a worker has to say: that its piece stands, or that its work has ended, and how.
    said: SimpleQueue[tuple[str, bool, BaseException | None]] = SimpleQueue()

    def do(piece: str) -> None:
        threading.current_thread().name = piece
        error = None
        try:
            work(piece, lambda: said.put((piece, False, None)))
        except BaseException as raised:  # noqa: BLE001 it is handed to whoever called
            error = raised
        said.put((piece, True, error))

    running = 0
    finished: set[str] = set()
    errors: dict[str, BaseException] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            while True:
                if not stop.is_set():
                    for piece in sorted(sorter.get_ready(), key=order.index):
                        pool.submit(do, piece)
                        running += 1
                if not running:
                    return errors
                piece, ended, error = said.get()
                running -= ended
                if error is not None:
                    errors[piece] = error
                elif piece not in finished:
                    finished.add(piece)
                    sorter.done(piece)
        except BaseException:
            stop.set()
            raise
