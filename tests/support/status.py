"""A fully recorded stack, and the statuses that it can have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cogauth.aws.answers import Field
from cogauth.aws.clients import Aws
from cogauth.context import Context
from cogauth.engine.status import AttachedStatus, MethodStatus, StackStatus, StepStatus
from cogauth.record.state import State
from cogauth.settings import Settings
from cogauth.steps import STEPS
from support.servers import ACCOUNT
from support.state_files import whole_stack

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.engine.status import Status

# A stack with a step in every status.
MIXED: dict[str, Status] = {
    "role": "missing",
    "sign_in_function": "changed",
    "protected_method": "changed",
    "authorizer": "unfinished",
    "deployment": "stale",
}
CHANGES = (
    Field("MemorySize", 1024, 512),
    Field("authorizationType", "NONE", "COGNITO_USER_POOLS"),
    Field("PermissionsBoundary", None, ""),
    Field("Environment", {"Variables": {}}, {"Variables": {"A": "é"}}),
)
ORDERS = AttachedStatus(
    "orders1234",
    "orders",
    ("prod", "beta"),
    (
        MethodStatus("GET /orders", guarded=True),
        MethodStatus("ANY /x", guarded=False, note="open to anyone"),
    ),
)


def stack_in(
    partition: str, path: Path, region: str = "eu-central-1", endpoint_url: str | None = None
) -> Context:
    """Return a fully recorded stack without asking AWS."""
    aws = Aws(region=region, endpoint_url=endpoint_url)
    aws.identity = (ACCOUNT, partition)
    state = State(
        path=path / "cogauth.json",
        stack="cogauth",
        account=ACCOUNT,
        region=region,
        endpoint_url=endpoint_url,
        settings=Settings(),
        resources=whole_stack(),
    )
    return Context(aws, state, aws.waiter())


def status_of(
    ctx: Context, how: dict[str, Status], *attached: AttachedStatus, users: int | None = 3
) -> StackStatus:
    """Return a stack's status; ``how`` names the steps that don't just exist."""
    steps = tuple(
        StepStatus(
            step.name,
            step.title,
            how.get(step.name, "exists"),
            ctx.fact(step.name),
            CHANGES if how.get(step.name) == "changed" else (),
            step.console_url(ctx),
        )
        for step in STEPS
    )
    deployed = datetime(2026, 11, 27, 12, tzinfo=UTC)
    condition = "drifted" if how else "complete"
    return StackStatus(ctx.stack, condition, steps, users, deployed, attached, "open")
