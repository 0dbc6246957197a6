"""Reporters that record what they are told."""

import threading

from cogauth.engine import StepResult
from cogauth.steps.base import Step
from support.account import Silent
from support.stacks import STEP_NAMES


class Told(Silent):
    """A reporter that records what it is told, and which steps were done by then."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.changes: list[str] = []
        self.warnings: list[str] = []
        # What each step waits for of the stack.
        self.needs: list[tuple[str, str, set[str]]] = []
        # By step: what it was told, in order.
        self.events: dict[str, list[str]] = {name: [] for name in STEP_NAMES}
        self.needs_the_pool = threading.Event()

    def begin(self, step: Step) -> None:
        self.events[step.name].append("begin")

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        self.events[step.name].append("wait")
        if seconds_left is None:
            self.needs.append((step.name, reason.removeprefix("the "), set(self.done)))
            if (step.name, reason) == ("role", "the user pool"):
                self.needs_the_pool.set()

    def change(self, step: Step, what: str) -> None:
        del step
        self.changes.append(what)

    def warn(self, what: str) -> None:
        self.warnings.append(what)

    def end(self, result: StepResult) -> None:
        self.events[result.step].append("end")
        self.done.add(result.step)
