"""How a stack is: each step against its record and the stack's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from cogauth.context import Context
    from cogauth.steps.base import Field

# How a step is: ``unfinished`` if an interrupted run left an intent, ``stale`` if the stage doesn't
# serve the API as it is.
Status = Literal["exists", "missing", "changed", "unfinished", "stale"]
Condition = Literal["complete", "incomplete", "drifted"]


@dataclass(frozen=True)
class StepStatus:
    """How a step is.

    Attributes:
        step: its name.
        id: the recorded id of its main resource, or None.
        changes: what differs from the settings, in each of its resources.
        console_url: its page in the AWS console; None for a stack that isn't on AWS itself.
    """

    step: str
    title: str
    status: Status
    id: str | None = None
    changes: tuple[Field, ...] = ()
    console_url: str | None = None


@dataclass(frozen=True)
class MethodStatus:
    """Whether an attached method, such as ``GET /orders``, still asks the stack's user pool.

    ``note`` says more if it doesn't; it is empty otherwise.
    """

    method: str
    guarded: bool
    note: str = ""


@dataclass(frozen=True)
class AttachedStatus:
    """An attached REST API, with its deployed stages."""

    rest_api_id: str
    name: str
    stages: tuple[str, ...]
    methods: tuple[MethodStatus, ...]


@dataclass(frozen=True)
class StackStatus:
    """How a stack is.

    Attributes:
        condition: ``incomplete`` if something is missing or unfinished, ``drifted`` if something
            else differs from what the stack wants.
        steps: all steps, in the console's order.
        users: about how many users the pool has; None if there is no pool.
        deployed: when the stage's deployment was created; None if there is none.
    """

    stack: str
    condition: Condition
    steps: tuple[StepStatus, ...]
    users: int | None = None
    deployed: datetime | None = None
    attached: tuple[AttachedStatus, ...] = ()


def status(ctx: Context) -> StackStatus:
    """Return how a stack is, without changing anything."""
    raise NotImplementedError
