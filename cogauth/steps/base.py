"""What the engine asks of a resource, and how resources group into the console's steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
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
    """One call that brings a standing resource closer to what the stack wants.

    Attributes:
        what: what it changes, in a few words.
        call: makes the call.
        guards: whether it decides who may call what: it is read again, and must be as asked for.
    """

    what: str
    call: Callable[[], object]
    guards: bool = False


class Resource(ABC):
    """One AWS resource: how it is made, found, compared and deleted, side by side.

    A resource is silent and keeps no record of its own: the engine writes the journal, decides
    what to call, and refuses what isn't the stack's.
    """

    # The name of its record in the state file.
    key: str
    # The resource whose deletion takes this one along, and which needs no call of its own then.
    inside: str | None = None
    # The resources, beside the one it is inside of, that must stand before it is made.
    needs: tuple[str, ...] = ()
    # The error by which AWS says that the name is taken; None where names are not unique.
    taken: str | None = None
    # The resources that must be made anew once this one is made or changed.
    outdates: tuple[str, ...] = ()
    # Whether to delete it before it is made anew: its name can be used only once.
    replaced: bool = False
    # Whether it is made anew, beside the former one, where a change that guards isn't kept.
    remade: bool = False
    # Whether one that a crash left is as good as a new one.
    adopted: bool = True
    # Whether a create that is made twice makes two of it: its name is not unique.
    repeatable: bool = False
    # Whether it is read before anything is touched, for it may have questions.
    asks: bool = False
    # Whether to begin with it, of all that can begin: AWS takes its time over it.
    urgent: bool = False

    @property
    def outermost(self) -> str:
        """The resource whose deletion takes this one along; itself, if it is inside of none."""
        return self.inside or self.key

    @property
    def all_needs(self) -> tuple[str, ...]:
        """What must stand before it is made, the one that it is inside of included."""
        return (*self.needs, self.inside) if self.inside else self.needs

    def wanted(self, ctx: Context) -> bool:
        """Say whether the stack's settings ask for it."""
        del ctx
        return True

    @abstractmethod
    def create(self, ctx: Context) -> Live:
        """Make it with the one creating call; what else it needs are changes."""

    def find(self, ctx: Context) -> list[Live]:
        """Return all that might be it: by name, or by its place in a parent that is ours.

        Without a definition of its own: the one that ``read`` finds without a record, by its name.
        """
        live = self.read(ctx, {})
        return [] if live is None else [live]

    def name(self, ctx: Context) -> str | None:
        """Return its name, where that is its id and can be used only once; or None."""
        del ctx
        return None

    def others(self, ctx: Context, known: str) -> list[Live]:
        """Return all that ``find`` does, but for the one of a known id."""
        return [live for live in self.find(ctx) if self.facts(ctx, live)["id"] != known]

    @abstractmethod
    def read(self, ctx: Context, record: Record) -> Live | None:
        """Return the recorded one as it stands now, or None if it is gone."""

    @abstractmethod
    def facts(self, ctx: Context, live: Live) -> Record:
        """Return what the record keeps: the id, and what later steps and deletion need."""

    def arn_prefix(self, ctx: Context) -> str | None:
        """Return what its ARN says before its id, for one that could be renamed; or None."""
        del ctx
        return None

    def version(self, live: Live) -> str:
        """Return what tells it from an earlier one of its name. Only of what is ``replaced``."""
        raise NotImplementedError(self.key)

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the settings that it shows, for a state file that is written anew."""
        del ctx, live
        return {}

    def tags(self, live: Live) -> dict[str, str] | None:
        """Return its tags, or None if it has none because it is part of a parent that is ours."""
        del live
        return None

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether it has the name that the stack gives it, where that says whose it is.

        What can't be tagged inside of something that is ours may still be its owner's.
        """
        del ctx, live
        return True

    def users(self, live: Live) -> int | None:
        """Return about how many users it holds, or None if it is nothing that holds any."""
        del live
        return None

    def holds_users(self, ctx: Context, live: Live) -> bool:
        """Look whether it holds any user."""
        del ctx, live
        return False

    def untouched(self, ctx: Context, live: Live) -> bool:
        """Say whether it is as its creating call leaves it, so that nothing is lost with it.

        Tags are a claim that others may make, too: of what no record knows, only this tells that it
        may be what an interrupted create of ours made.
        """
        del ctx, live
        return True

    def marked(self, ctx: Context, live: Live) -> bool:
        """Say whether a part of it bears the stack's id, which takes more than to tag it."""
        del ctx, live
        return True

    def wait_until_ready(self, ctx: Context, live: Live) -> None:  # noqa: B027 most need no wait
        """Wait until what was just created can be used or changed; its facts can be used before."""

    def outdates_when_made(self, ctx: Context) -> tuple[str, ...]:
        """Return the resources that must be made anew once this one is made, and only then."""
        del ctx
        return ()

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        """Yield what the user must say yes to, for something is lost by it for good.

        Only of what ``asks``, and before anything is touched.

        Args:
            ctx: the stack.
            record: of the resource; it stood when it was written.
            live: the resource as it stands now; None if it is gone.

        Raises:
            CogauthError: it can't go on, whatever the answer.
        """
        del ctx, record, live
        yield from ()

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield what differs from what the stack wants, each with the call that mends it."""
        del ctx, live
        yield from ()

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Yield what earlier runs may have left beside one that stood already."""
        del ctx, live
        yield from ()

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Yield why AWS would refuse to delete it, each with what ends that."""
        del ctx, record
        yield from ()

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete it, and say whether it was there. Not called for what is inside another."""
        raise NotImplementedError(self.key)


@dataclass(frozen=True)
class Step:
    """One step of the console.

    Attributes:
        name: in the state file and in JSON; also the key of the step's main resource.
        title: for the user.
        resources: what it makes; each says what it needs, and the engine begins it as soon as
            that stands.
    """

    name: str
    title: str
    resources: tuple[Resource, ...]
