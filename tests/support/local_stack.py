"""A stack on a local AWS."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.context import Context
from cogauth.record import state as state_file
from support.local_aws import client, keys_at
from support.names import REGION
from support.world import described, portrait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cogauth.record.state import State
    from support.commands import Cli
    from support.world import World


@dataclass
class LocalStack:
    """A stack, the local AWS that it is on, and the command line that uses it."""

    cli: Cli
    stack: str
    url: str
    # What `up --json` printed about it, if it has been made.
    up: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def up_on(cls, cli: Cli, *words: str) -> Self:
        """Make a stack with `up` and these words."""
        up = cli.run("up", *words, "--json").must().document
        return cls(cli, up["stack"], up["endpoint_url"], up)

    @classmethod
    @contextmanager
    def made(cls, cli: Cli, *words: str) -> Iterator[Self]:
        """Make a stack with `up` and these words; take it down at the end."""
        made = cls.up_on(cli, *words)
        yield made
        cli.run("down", "--yes", "--stack", made.stack).must()

    @property
    def path(self) -> Path:
        """Its state file."""
        return self.cli.state.with_name(f"{self.stack}.json")

    @property
    def state(self) -> State:
        """The contents of its state file."""
        state = state_file.load(self.path)
        assert state is not None
        return state

    @functools.cached_property
    def aws(self) -> Aws:
        return Aws(region=REGION, endpoint_url=self.url, local=Keys(*keys_at(self.url)))

    def context(self) -> Context:
        return Context(self.aws, self.state, self.aws.waiter())

    def client(self, service: str) -> Any:
        return client(service, self.url)

    @property
    def cognito(self) -> Any:
        return self.client("cognito-idp")

    @property
    def gateway(self) -> Any:
        return self.client("apigateway")

    def existing(self) -> World:
        """Describe everything that has one of its names."""
        return described(self.client, self.stack)

    def portrait(self) -> dict[str, Any]:
        return portrait(self.client, self.path)
