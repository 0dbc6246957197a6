"""An account on moto, and runs of cogauth in it."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.utilities.utils import get_partition

from cogauth import engine
from cogauth.aws.clients import Aws
from cogauth.aws.waiting import Waiter
from cogauth.context import Context, refuse
from cogauth.record import state as state_file
from cogauth.record.state import State
from cogauth.settings import Settings
from cogauth.steps import STEPS
from support.calls import CLIENTS, Calls
from support.clock import FakeTime
from support.names import REGION
from support.snapshot import Snapshot
from support.world import left_in_aws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cogauth.engine import DownResult, StepResult
    from cogauth.steps.base import Step

# moto takes the partition from the region in the host name; AWS's own host has "us-gov" there.
IAM_ENDPOINTS = {"us-gov-west-1": "https://iam.us-gov-west-1.amazonaws.com"}


Made = TypeVar("Made")
# By region and maker: the snapshot, and what the maker returned.
SNAPSHOTS: dict[tuple[str, Callable[..., Any]], tuple[Snapshot, Any]] = {}


def agree(_question: str) -> None:
    """Answer yes."""


class Silent:
    """A reporter that says nothing."""

    def begin(self, step: Step) -> None:
        pass

    def change(self, step: Step, what: str) -> None:
        pass

    def planned(self, plan: engine.UpPlan) -> None:
        pass

    def warn(self, what: str) -> None:
        pass

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        pass

    def end(self, result: StepResult) -> None:
        pass


RESOURCES = {resource.key: resource for step in STEPS for resource in step.resources}


def needed(key: str) -> set[str]:
    """Return everything that must exist before a resource is made, directly or indirectly."""
    near = set(RESOURCES[key].prerequisites)
    return near.union(*map(needed, near))


class Session(boto3.Session):
    """A session that makes each client only once: that takes a while."""

    @functools.cache  # noqa: B019 there are as many as regions
    def client(self, service: str) -> Any:  # type: ignore[override]
        endpoint = IAM_ENDPOINTS.get(self.region_name) if service == "iam" else None
        return super().client(service, endpoint_url=endpoint)  # type: ignore[call-overload]


@functools.cache
def _session(region: str) -> Session:
    # The same as moto sets: those in the environment are gone when the next test runs.
    return Session("testing", "testing", region_name=region)


class Account:
    """An account on moto with a folder for state files, used by one run after another."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.region = aws.region
        self.folder = folder
        self.calls = Calls(aws)
        self.session = _session(aws.region)
        self.time = FakeTime()

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def path(self, stack: str = "shop") -> Path:
        return self.folder / f"{stack}.json"

    def state(self, stack: str = "shop") -> State:
        """The state in the file."""
        state = state_file.load(self.path(stack))
        assert state is not None
        return state

    def new_state(self, stack: str = "shop") -> State:
        """A state that records nothing and has no file."""
        return State(
            path=self.path(stack),
            stack=stack,
            account=self.aws.account,
            region=self.region,
            endpoint_url=None,
            settings=Settings(),
        )

    def context(self, stack: str = "shop", **choices: Any) -> Context:
        """The context of a new process: the state is read from its file, or created."""
        state = state_file.load(self.path(stack))
        if state is None:
            state = self.new_state(stack)
            state.save()
        state.settings = state.settings.with_choices(choices, exists=bool(state.resources))
        return self.context_of(state)

    def context_of(self, state: State) -> Context:
        self.time.restart()
        self.aws.stop = self.time
        return Context(self.aws, state, Waiter(clock=self.time, stop=self.time))

    def up(
        self,
        stack: str = "shop",
        *,
        confirm: Callable[[str], None] = refuse,
        adopt: tuple[str, ...] = (),
        **choices: Any,
    ) -> dict[str, str]:
        """Run `up` as the command does; return each step's action."""
        ctx = self.context(stack)
        former = ctx.state.settings
        exists = bool(ctx.state.resources)
        ctx.state.settings = former.with_choices(choices, exists=exists)
        ctx.confirm = confirm
        if not engine.is_complete(ctx):
            engine.check_names(ctx)
        results = engine.up(ctx, Silent(), adopt, former)
        return {result.step: result.action for result in results}

    def as_after(self, make: Callable[[Account], Made]) -> Made:
        """Bring an empty account to the state that `make` leaves: run it once, then use a copy.

        Returns:
            What `make` returned the first time.
        """
        key = self.region, make
        if key not in SNAPSHOTS:
            made = make(self)
            SNAPSHOTS[key] = Snapshot(self.folder), made
        else:
            SNAPSHOTS[key][0].put_back(self.folder)
        kept: Made = SNAPSHOTS[key][1]
        return kept

    def stands(self) -> None:
        """Create the stack as `up` does."""
        self.as_after(Account.up)

    def down(self, stack: str = "shop", *, asked: bool = False) -> DownResult:
        """Run `down` as the command does with --yes, or when the answer is yes."""
        ctx = self.context(stack)
        plan = engine.plan_down(ctx)
        result = engine.down(ctx, plan, lambda _line: None, claimed=asked)
        if result.clean:
            ctx.state.remove()
        return result

    def recover(self, stack_id: str | None = None, take: tuple[str, ...] = ()) -> State:
        """Run `recover` as the command does."""
        state = self.new_state()
        engine.recover(self.context_of(state), stack_id, take)
        state.save()
        return state

    def left(self) -> list[str]:
        return left_in_aws(self.client)

    def grow_old(self) -> None:
        """Date everything recorded back by an hour, so that AWS would know it everywhere."""
        state = self.state()
        for record in state.resources.values():
            since = datetime.fromisoformat(record["since"]) - timedelta(hours=1)
            record["since"] = since.isoformat()
        state.save()


# Gives a new empty account on each call.
Accounts = Callable[[], contextlib.AbstractContextManager[Account]]


def empty_accounts(folder: Path) -> Accounts:
    """Return a function that gives a new empty account on each call."""
    numbers = itertools.count()

    @contextlib.contextmanager
    def empty() -> Iterator[Account]:
        with mock_aws():
            yield Account(aws_with_clients(REGION), folder / str(next(numbers)))

    return empty


def add_managed_policy(region: str) -> None:
    """Give IAM the managed policy that `--power-user` attaches; loading all takes seconds."""
    name = "AmazonCognitoPowerUser"
    data = json.loads(aws_managed_policies_data)[name]
    policy = AWSManagedPolicy.from_data(name, DEFAULT_ACCOUNT_ID, region, data)
    backend = iam_backends[DEFAULT_ACCOUNT_ID][get_partition(region)]
    backend.managed_policies[policy.arn] = policy


@functools.cache
def aws_with_clients(region: str) -> Aws:
    """Make an Aws together with its clients; that takes a second, so all tests share it."""
    with pytest.MonkeyPatch.context() as patch:
        if region in IAM_ENDPOINTS:
            patch.setenv("AWS_ENDPOINT_URL_IAM", IAM_ENDPOINTS[region])
        aws = Aws(region=region)
        for name in CLIENTS:
            getattr(aws, name)
    _ = aws.identity
    # The clients' models are very many objects that are never freed. Scanning them took the
    # collector a fifth of the tests' time.
    gc.collect()
    gc.freeze()
    return aws
