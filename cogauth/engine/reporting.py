"""What ``up`` tells: its plan, its progress on several resources at once, each step's result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cogauth.aws.answers import Field
    from cogauth.context import Context
    from cogauth.errors import CogauthError
    from cogauth.steps.base import Change, Resource, Step


# The results of a resource or of a step.
CREATED, ADOPTED, UPDATED, UNCHANGED = "created", "adopted", "updated", "unchanged"
# What a plan says of a resource or a step; also UNCHANGED.
CREATE, UPDATE, RECREATE, DELETE = "create", "update", "recreate", "delete"


class Waiting(Protocol):
    """Shows what the engine waits for. Steps report from their own threads."""

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """A step waits for at most so many seconds; None means for another step of the stack."""


class Reporter(Waiting, Protocol):
    """Shows the engine's progress. ``begin`` and ``end`` are called one at a time."""

    def begin(self, step: Step) -> None:
        """A step starts or continues."""

    def planned(self, plan: UpPlan) -> None:
        """An existing stack is about to be changed like this."""

    def change(self, step: Step, what: str) -> None:
        """An existing resource is about to be changed."""

    def warn(self, what: str) -> None:
        """Something was left as it is, and the user should know."""

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


@dataclass
class ResourcePlan:
    """What would become of one resource, and why."""

    resource: Resource
    action: str
    # Its present id, or the name that it will have; None if only AWS knows.
    id: str | None
    reason: str = ""
    # Whether something of it was found.
    exists: bool = False
    # Whether it doesn't exist, though it should; whether it can be used.
    is_missing: bool = False
    is_ready: bool = True
    # The resources that are outdated once this is created or changed.
    outdates: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)
    # The ids of others like it that an interrupted run left, to be deleted.
    surplus: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    # Why 'up' would refuse to go on.
    conflict: CogauthError | None = None

    @property
    def is_new(self) -> bool:
        """Whether it would be created, for the first time or again."""
        return self.action in {CREATE, RECREATE}

    @property
    def notes(self) -> list[str]:
        """What would be deleted beside it."""
        left = [f"delete {name}, left by an interrupted run" for name in self.surplus]
        return left + [change.what for change in self.changes if change.what]

    @property
    def fields(self) -> list[Field]:
        """The fields that differ."""
        return [each for change in self.changes for each in change.fields]


@dataclass(frozen=True)
class Unfinished:
    """An intent that an interrupted run left, and what becomes of it.

    Attributes:
        resource: the key of a resource; of an attached API its id, and ``authorizer`` or a method,
            such as ``a1b2c3d4e5 GET /orders``.
        intent: ``create``, ``delete``, ``attach`` or ``detach``.
        since: when it began; None for a method, where it isn't recorded.
    """

    resource: str
    intent: str
    since: str | None
    outcome: str


@dataclass(frozen=True)
class StepPlan:
    """What would become of one step of the console."""

    step: Step
    action: str
    id: str | None
    resources: list[ResourcePlan]


@dataclass(frozen=True)
class UpPlan:
    """What ``up`` would do.

    Attributes:
        steps: the steps, in order.
        conflicts: what stops ``up``, by resource.
        unfinished: the intents of an interrupted run.
        questions: what ``up`` asks before it touches anything.
        warnings: what ``up`` would leave as it is, and the user should know.
        results: the result of each step, if nothing is to be done.
        recorded: whether the state file needs no change either.
        seconds: about how long ``up`` would take.
    """

    steps: list[StepPlan]
    conflicts: dict[str, CogauthError]
    unfinished: list[Unfinished]
    questions: list[str]
    warnings: list[str]
    results: list[StepResult]
    recorded: bool
    seconds: float

    @property
    def is_empty(self) -> bool:
        """Whether ``up`` would change nothing, in AWS or in the records, and wait for nothing."""
        unchanged = all(row.action == UNCHANGED and row.is_ready for row in self.rows)
        return unchanged and self.recorded and not self.conflicts

    @property
    def rows(self) -> list[ResourcePlan]:
        """The resources of all steps, in the console's order."""
        return [row for step in self.steps for row in step.resources]

    def counts(self) -> dict[str, int]:
        """Return how many resources there are of each action."""
        counts = dict.fromkeys((CREATE, UPDATE, RECREATE, DELETE, UNCHANGED), 0)
        for row in self.rows:
            counts[row.action] += 1
        return counts


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
