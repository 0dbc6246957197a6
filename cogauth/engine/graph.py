"""A task graph: each task starts as soon as its prerequisites are done, several at once."""

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

DoTask = Callable[[str, Callable[[], None]], None]


def run(needs: Mapping[str, Iterable[str]], work: DoTask, stop: Event) -> dict[str, BaseException]:
    """Do every task, each after its prerequisites; return when all have ended.

    An exception in this thread meanwhile, for example from a signal handler, sets ``stop`` and is
    raised once the running tasks have ended.

    Args:
        needs: for each task, its prerequisites. Tasks that become ready together start in this
            order.
        work: does a task, in a thread with the task's name. Its dependents start when it calls its
            second argument, or when it returns.
        stop: once it is set, no further task starts.

    Returns:
        The exceptions, by task. The dependents of a failed task have not started.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    order = list(needs)
    # A worker's messages: its task, whether the work has ended, and the exception if it failed.
    said: SimpleQueue[tuple[str, bool, BaseException | None]] = SimpleQueue()

    def do(task: str) -> None:
        threading.current_thread().name = task
        error = None
        try:
            work(task, lambda: said.put((task, False, None)))
        except BaseException as raised:  # noqa: BLE001 it is returned to the caller
            error = raised
        said.put((task, True, error))

    running = 0
    finished: set[str] = set()
    errors: dict[str, BaseException] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            while True:
                if not stop.is_set():
                    for task in sorted(sorter.get_ready(), key=order.index):
                        pool.submit(do, task)
                        running += 1
                if not running:
                    return errors
                task, ended, error = said.get()
                running -= ended
                if error is not None:
                    errors[task] = error
                elif task not in finished:
                    finished.add(task)
                    sorter.done(task)
        except BaseException:
            stop.set()
            raise
