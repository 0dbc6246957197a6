"""The stack that the page shows, as it is at each request."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cogauth.context import Context
    from cogauth.record.state import State

# The clients that the page's requests share: threads may not make any.
CLIENTS = ("cognito", "cognito_once", "apigateway", "lambda_", "iam", "logs")


@dataclass
class Stack:
    """The stack, and what the command that opened the page knows of it.

    Attributes:
        load: reads the state file; raises NoStackError if there is none.
        connect: makes a stack's clients of these names; the stack may be incomplete.
        check: raises IncompleteError unless a stack is complete.
        locked: holds the state file's lock, for a command of this name.
        where: says in words where a stack is.
        runnable: writes a text's commands so that they run in the user's shell.
        error_json: returns an exception in the form that ``--json`` gives errors.
    """

    load: Callable[[], State]
    connect: Callable[..., Context]
    check: Callable[[Context], None]
    locked: Callable[[str], AbstractContextManager[None]]
    where: Callable[[Context], str]
    runnable: Callable[[str], str]
    error_json: Callable[[BaseException], dict[str, str | None]]
    # One reading of the status at a time: a failed one stops the calls of its connection.
    reading: Lock = field(default_factory=Lock)
    # By use. A failed reading of the status stops its calls, and only those.
    _known: dict[str, Context] = field(default_factory=dict)
    _begun: list[Context] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _is_over: bool = False

    def context(self, use: str = "request", *, complete: bool = True) -> Context:
        """Return the stack by its present state file: another cogauth may be at work.

        Raises CogauthError if it has no state file, or, with ``complete``, isn't complete.
        """
        state = self.load()
        with self._lock:
            known = self._known.get(use)
            if known is None or known.state.location != state.location:
                known = self._known[use] = self._connect(state, *CLIENTS)
        ctx = replace(known, state=state, made=set())
        if complete:
            self.check(ctx)
        return ctx

    @contextmanager
    def own_context(self, *clients: str) -> Iterator[Context]:
        """Return the complete stack with clients of its own, which end with this."""
        with self._lock:
            ctx = self._connect(self.load(), *clients)
        try:
            self.check(ctx)
            yield ctx
        finally:
            with self._lock:
                self._begun = [each for each in self._begun if each is not ctx]

    def resume(self, ctx: Context) -> None:
        """Let calls go on after a failure that stopped them, unless all is to end."""
        if not self._is_over:
            ctx.waiter.stop.clear()

    def lose(self) -> None:
        """Connect again at the next request: the local AWS may have ended, a session expired."""
        with self._lock:
            lost = set(map(id, self._known.values()))
            self._begun = [each for each in self._begun if id(each) not in lost]
            self._known.clear()

    def end(self) -> None:
        """Let all calls and waits end."""
        self._is_over = True
        for ctx in list(self._begun):
            ctx.waiter.stop.set()

    def _connect(self, state: State, *clients: str) -> Context:
        ctx = self.connect(state, *clients)
        self._begun.append(ctx)
        if self._is_over:
            ctx.waiter.stop.set()
        return ctx
