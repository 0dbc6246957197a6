"""The interface between the engine and a resource, and the console's steps as resource groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cogauth.aws.policies import Purpose
from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.answers import Field, Live
    from cogauth.aws.policies import Allow, Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings


# The console's host by partition: https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html
# Without a region in front of it, the region in the URL's query counts.
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-eusc": "console.amazonaws-eusc.eu",
}


class NotKeptError(CogauthError):
    """AWS accepted a change, but the resource doesn't have the requested value."""


@dataclass(frozen=True)
class Change:
    """One call that brings a resource closer to what the stack wants."""

    call: Callable[[], object]
    # What differs. A change that has no fields needs ``what``.
    fields: tuple[Field, ...] = ()
    what: str = ""
    # Whether it decides who may call a method: then it is read back and must have been kept.
    guards: bool = False
    # What somebody else put there and loses, or who may call it from then on: 'up' asks first.
    asks: str = ""

    def __str__(self) -> str:
        return self.what or "; ".join(map(str, self.fields))


class Recreate(Enum):
    """How to recreate a resource whose record says ``outdated``."""

    # Change it in place instead.
    NEVER = "never"
    # Delete the former one first, because the name is unique.
    DELETE_FIRST = "delete first"
    # Create it beside the former one, which is deleted once nothing refers to it.
    BESIDE = "beside"
    # Like BESIDE, but delete what an interrupted create left: it may lack later changes.
    SNAPSHOT = "snapshot"


class Resource(ABC):
    """One AWS resource: how it is created, found, compared and deleted, side by side.

    The engine keeps the journal, decides what to call, and refuses resources of others.

    After an interrupted create the engine looks for what it may have created, as long as that may
    still appear. Then it does what fits the effect of a second create:

    ============  ==============  ========================  =====================================
    ``conflict``  ``repeatable``  a second create           after an interrupted create
    ============  ==============  ========================  =====================================
    an error      False           fails with that error     the one with the name is kept
    None          True            creates a second one      the oldest is kept, younger deleted
    None          False           is a put: no change       what was put is kept
    ============  ==============  ========================  =====================================

    Only what is ours and as a create leaves it is kept or deleted. If nothing is found, the engine
    creates the resource. A ``SNAPSHOT`` is the exception: a second create creates a second one, and
    all that are left are deleted before another one is created.

    Attributes:
        key: the name of its record in the state file.
        step: the console's step that it belongs to.
        parent: the resource whose deletion deletes this one too.
        depends_on: the resources, besides the parent, that must exist before it is created.
        refers_to: the resources whose ARN it contains, which needn't exist yet.
        conflict: AWS's error code for a name that exists; None if names needn't be unique.
        repeatable: whether a second create creates a second one.
        recreate: how to recreate it.
        outdates: the resources to recreate once this one is created or changed.
        urgent: whether it starts before others that are ready, because AWS is slow with it.
        tuned: whether owners tune it by hand, so that ``up`` asks before it overwrites a value.
        held: what is lost with it for good, such as ``its users``.
    """

    key: str
    step: Step
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    refers_to: tuple[str, ...] = ()
    conflict: str | None = None
    repeatable: bool = False
    recreate: Recreate = Recreate.NEVER
    outdates: tuple[str, ...] = ()
    urgent: bool = False
    tuned: bool = False
    held: str = ""

    @property
    def root_key(self) -> str:
        """The resource whose deletion deletes this one."""
        return self.parent or self.key

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The resources that it is a part of: if one of these is recreated, so is it."""
        return (self.parent,) if self.parent else ()

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The resources that must exist before it is created, including its parent."""
        return (*self.depends_on, self.parent) if self.parent else self.depends_on

    @abstractmethod
    def permissions(self, settings: Settings) -> Permissions:
        """Return the IAM permissions that its calls need with these settings, by their purpose."""

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        """Return the permissions that ``read`` needs; ``find`` needs others if it reads a list."""
        return self.permissions(settings)[Purpose.FIND]

    def wanted(self, ctx: Context) -> bool:
        """Return whether the stack's settings require it."""
        return self.key not in ctx.state.settings.unneeded

    @abstractmethod
    def create(self, ctx: Context) -> Live:
        """Call the one creating operation; everything else it needs is a change."""

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        """Return all candidates, by name or parent; the one with a known id may be omitted."""
        live = self.read(ctx, {})
        return [] if live is None else [live]

    def name(self, ctx: Context) -> str | None:
        """Return its name if that is its id and unique, else None."""
        return None

    @abstractmethod
    def read(self, ctx: Context, record: Record) -> Live | None:
        """Return the recorded one's present state, or None if it is gone."""

    @abstractmethod
    def facts(self, ctx: Context, live: Live) -> Record:
        """Return the facts for the record: the id, and what later steps and deletion need."""

    def arn_prefix(self, ctx: Context) -> str | None:
        """Return its ARN up to the id if it can be renamed, else None."""
        return None

    def arn(self, ctx: Context) -> str | None:
        """Return its ARN if that is known before it is created, else None."""
        return None

    def version(self, live: Live) -> str:
        """Return what distinguishes it from an earlier one with its name. Only for DELETE_FIRST."""
        raise NotImplementedError(self.key)

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the settings that it shows, for ``recover``."""
        return {}

    def tags(self, live: Live) -> dict[str, str] | None:
        """Return its tags, or None for an untagged part of a parent that is ours."""
        return None

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Return whether it has the stack's name for it, if that name shows who owns it."""
        return True

    def users(self, live: Live) -> int | None:
        """Return about how many users it holds, or None if it can't hold any."""
        return None

    def holds_users(self, ctx: Context, live: Live) -> bool:
        return False

    def untouched(self, ctx: Context, live: Live) -> bool:
        """Return whether it is as its creating call leaves it, so that deleting it loses nothing.

        Anyone can tag a resource. Only this shows what our interrupted create may have created.
        """
        return True

    def marked(self, ctx: Context, live: Live) -> bool:
        """Return whether a part of it carries the stack's id, which takes more than tagging."""
        return True

    def is_ready(self, live: Live) -> bool:
        """Return whether ``wait_until_ready`` has nothing to wait for, and finds no failure."""
        return True

    def wait_until_ready(self, ctx: Context, live: Live) -> None:  # noqa: B027 most need no wait
        """Wait until the new resource can be used or changed; its facts are usable before that."""

    def outdates_when_made(self, ctx: Context) -> tuple[str, ...]:
        """Return the resources to recreate once this one is created, and only then."""
        return ()

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        """Yield questions to ask before anything is touched; ``live`` is None if it is gone.

        Raises:
            CogauthError: ``up`` can't continue, whatever the answer.
        """
        yield from ()

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield the differences from the wanted state, each with the call that corrects it."""
        yield from ()

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield the deletions of what earlier runs may have left beside an existing one."""
        yield from ()

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Yield why AWS would refuse to delete it, each with the remedy."""
        yield from ()

    def console_page(self, ctx: Context, identifier: str) -> str | None:
        """Return its page in the AWS console, as the URL after the host; None if it has none.

        The identifier is quoted for URLs. AWS documents only the console's hosts; the pages are
        those that the console's address bar shows.
        """
        return None

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete it; return whether it existed. Parts need this only if they can go alone."""
        raise NotImplementedError(self.key)


@dataclass(frozen=True)
class Step:
    """One step of the console."""

    # In JSON; also the key of the step's main resource.
    name: str
    title: str
    resources: tuple[Resource, ...]

    def __post_init__(self) -> None:
        for resource in self.resources:
            resource.step = self

    @property
    def main(self) -> Resource:
        """The resource that gives the step its name and id."""
        return next(each for each in self.resources if each.key == self.name)

    def console_url(self, ctx: Context) -> str | None:
        """Return the URL of the main resource's page in the AWS console.

        It is None for a stack that isn't on AWS itself, and while no id is recorded.
        """
        host = CONSOLES.get(ctx.aws.partition)
        keys = filter(None, (self.main.key, self.main.parent))
        records = [ctx.state.record(key) or {} for key in keys]
        if host is None or ctx.state.endpoint_url or not all("id" in each for each in records):
            return None
        page = self.main.console_page(ctx, quote(records[0]["id"], safe=""))
        return page and f"https://{host}/{page}"
