"""What the engine asks of a resource, and how resources group into the console's steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.record.records import Record


class NotKeptError(CogauthError):
    """A change was taken, and what was asked for isn't so all the same."""


@dataclass(frozen=True)
class Change:
    """One call that brings a resource closer to what the stack wants."""

    what: str
    call: Callable[[], object]
    # It decides who may call what: it is read again, and must be as asked for.
    guards: bool = False


class Recreate(Enum):
    """How a resource is recreated whose record says ``outdated``."""

    # It is changed in place.
    NEVER = "never"
    # Its name is unique: the former one is deleted before.
    DELETE_FIRST = "delete first"
    # Beside the former one, which is deleted once nothing refers to it.
    BESIDE = "beside"
    # As BESIDE, but one that an interrupted create left is deleted: it may lack later changes.
    SNAPSHOT = "snapshot"


class Resource(ABC):
    """One AWS resource: how it is created, found, compared and deleted, side by side.

    The engine keeps the journal, decides what to call, and refuses what isn't the stack's.

    What a second create does decides what the engine does after an interrupted one. First it looks
    for what that may have created, as long as it may still land:

    ============  ==============  ========================  =====================================
    ``conflict``  ``repeatable``  a second create           after an interrupted create
    ============  ==============  ========================  =====================================
    an error      False           is refused by that error  the one of the name is kept
    None          True            creates a second one      the oldest is kept, younger deleted
    None          False           is a put: no change       what was put is kept
    ============  ==============  ========================  =====================================

    Only what is ours and as a create leaves it is kept or deleted. If there is none, it is created.

    Attributes:
        key: the name of its record in the state file.
        step: the console's step that it is part of.
        parent: the resource whose deletion deletes this one too.
        depends_on: the resources, beside the parent, that must exist before it is created.
        conflict: the error by which AWS says that the name exists; None if no create is refused so.
        repeatable: whether a second create makes a second one.
        recreate: how it is recreated.
        outdates: the resources to recreate once this one is created or changed.
        urgent: whether it starts before others that are ready, because AWS takes long over it.
    """

    key: str
    step: Step
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    conflict: str | None = None
    repeatable: bool = False
    recreate: Recreate = Recreate.NEVER
    outdates: tuple[str, ...] = ()
    urgent: bool = False

    @property
    def root_key(self) -> str:
        """The resource whose deletion deletes this one."""
        return self.parent or self.key

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """What must exist before it is created, its parent included."""
        return (*self.depends_on, self.parent) if self.parent else self.depends_on

    def wanted(self, ctx: Context) -> bool:
        """Say whether the stack's settings ask for it."""
        return True

    @abstractmethod
    def create(self, ctx: Context) -> Live:
        """Call the one creating operation; all else that it needs is a change."""

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        """Return all that might be it, by name or parent; the one of a known id may be left out."""
        live = self.read(ctx, {})
        return [] if live is None else [live]

    def name(self, ctx: Context) -> str | None:
        """Return its name, where that is its id and can be used only once; or None."""
        return None

    @abstractmethod
    def read(self, ctx: Context, record: Record) -> Live | None:
        """Return the recorded one as it stands now, or None if it is gone."""

    @abstractmethod
    def facts(self, ctx: Context, live: Live) -> Record:
        """Return what the record keeps: the id, and what later steps and deletion need."""

    def arn_prefix(self, ctx: Context) -> str | None:
        """Return what its ARN says before its id, for one that could be renamed; or None."""
        return None

    def version(self, live: Live) -> str:
        """Return what tells it from an earlier one of its name. Only for DELETE_FIRST."""
        raise NotImplementedError(self.key)

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the settings that it shows, for a state file that is written anew."""
        return {}

    def tags(self, live: Live) -> dict[str, str] | None:
        """Return its tags, or None if it has none because it is part of a parent that is ours."""
        return None

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether it has the name that the stack gives it, where that says whose it is."""
        return True

    def users(self, live: Live) -> int | None:
        """Return about how many users it holds, or None if it is nothing that holds any."""
        return None

    def holds_users(self, ctx: Context, live: Live) -> bool:
        return False

    def untouched(self, ctx: Context, live: Live) -> bool:
        """Say whether it is as its creating call leaves it, so that nothing is lost with it.

        Anyone can tag a thing. Only this tells what an interrupted create of ours may have made.
        """
        return True

    def marked(self, ctx: Context, live: Live) -> bool:
        """Say whether a part of it bears the stack's id, which takes more than to tag it."""
        return True

    def wait_until_ready(self, ctx: Context, live: Live) -> None:  # noqa: B027 most need no wait
        """Wait until what was just created can be used or changed; its facts can be used before."""

    def outdates_when_made(self, ctx: Context) -> tuple[str, ...]:
        """Return the resources to recreate once this one is created, and only then."""
        return ()

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        """Yield what the user must agree to before anything is touched; ``live`` is None if gone.

        Raises:
            CogauthError: ``up`` can't go on, whatever the answer.
        """
        yield from ()

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield what differs from what the stack wants, each with the call that mends it."""
        yield from ()

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield what earlier runs may have left beside one that stood already."""
        yield from ()

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Yield why AWS would refuse to delete it, each with what ends that."""
        yield from ()

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete it, and say whether it was there. A part needs this only if it can go alone."""
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
