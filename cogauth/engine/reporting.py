"""``up``'s progress while it works on several resources at once, and each step's result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cogauth.context import Context
    from cogauth.engine.plan import UpPlan
    from cogauth.steps.base import Resource, Step


# The results of a resource or of a step.
CREATED, ADOPTED, UPDATED, UNCHANGED = "created", "adopted", "updated", "unchanged"


class Reporter(Protocol):
    """Shows the engine's progress.

    Steps report from their own threads, but ``begin`` and ``end`` are called one at a time.
    """

    def begin(self, step: Step) -> None:
        """A step starts or continues."""

    def planned(self, plan: UpPlan) -> None:
        """An existing stack is about to be changed like this."""

    def change(self, step: Step, what: str) -> None:
        """An existing resource is about to be changed."""

    def warn(self, what: str) -> None:
        """Something was left as it is, and the user should know."""

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """A step waits for at most so many seconds; None means for another step of the stack."""

    def end(self, result: StepResult) -> None:
        """A step is done."""


@dataclass(frozen=True)
class StepResult:
    """A step's result: its name, its main resource's id, and one of the actions above."""

    step: str
    action: str
    id: str
    # From the start of its first resource to the end of its last.
    seconds: float


class Steps:
    """The steps' progress for the reporter; their resources are worked on in several threads."""

    def __init__(self, ctx: Context, reporter: Reporter, concerned: Mapping[str, Resource]) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.concerned = concerned
        self.results: dict[str, StepResult] = {}
        self._lock = Lock()
        self._begun: dict[str, float] = {}
        # By resource: its step while it is worked on, and then its result.
        self._working: dict[str, str] = {}
        self._actions: dict[str, str] = {}

    def begin(self, resource: Resource) -> None:
        """Report that work on a resource starts."""
        step = resource.step
        with self._lock:
            self._working[resource.key] = step.name
            self._begun.setdefault(step.name, time.monotonic())
            self.reporter.begin(step)

    def end(self, resource: Resource, action: str) -> None:
        """Report the step's result after its last resource; before that, what it waits for."""
        step = resource.step
        with self._lock:
            del self._working[resource.key]
            self._actions[resource.key] = action
            keys = [each.key for each in step.resources if each.key in self.concerned]
            if missing := [each for each in keys if each not in self._actions]:
                if step.name not in self._working.values():
                    self._tell_needed(step, missing[0])
                return
            main, actions = self._actions[step.name], {self._actions[each] for each in keys}
            result = StepResult(
                step=step.name,
                action=UPDATED if main == UNCHANGED and actions != {UNCHANGED} else main,
                id=self.ctx.fact(step.name),
                seconds=round(time.monotonic() - self._begun[step.name], 3),
            )
            self.results[step.name] = result
            self.reporter.end(result)

    def _tell_needed(self, step: Step, key: str) -> None:
        own = {resource.key for resource in step.resources}
        for need in self.concerned[key].depends_on:
            if need in self.concerned and need not in own and need not in self._actions:
                self.reporter.waiting(step, f"the {words(self.concerned[need])}", None)
                return
