"""One resource of ``up``: find it or create it, then change what differs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cogauth.aws.transient import KNOWN_WITHIN_S
from cogauth.aws.waiting import TimedOutError
from cogauth.engine import journal, reporting
from cogauth.errors import CogauthError, NotOwnedError
from cogauth.record import records
from cogauth.steps import RESOURCES
from cogauth.steps.base import NotKeptError, Recreate
from cogauth.steps.cognito_update import PUBLISH
from cogauth.steps.lookup import (
    by_explanation,
    find_after_crash,
    find_ours,
    outlived,
    patiently,
    read,
)
from cogauth.steps.ownership import check_owner, described, made_at, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import Lock

    from cogauth.aws.answers import Field, Live
    from cogauth.context import Context
    from cogauth.engine.reporting import Reporter, ResourcePlan
    from cogauth.record.records import Record
    from cogauth.settings import Settings
    from cogauth.steps.base import Change, Resource

T = TypeVar("T")
# Values that cogauth itself changes from version to version, or from run to run.
# A secret that moves back is asked about by itself.
OURS = frozenset({"CodeSha256", "Description", "deploymentId", PUBLISH})
# Who may sign up. An interrupted run changed it only if it was chosen.
SIGN_UP = frozenset(
    {"AdminCreateUserConfig.AllowAdminCreateUserOnly", "Environment.Variables.SIGN_UP"}
)


@dataclass
class Run:
    """The state that the resources of one ``up`` share."""

    reporter: Reporter
    # By root, held while it or a part of it is written: AWS refuses concurrent writes.
    turns: Mapping[str, Lock]
    # Resources that were read before anything was touched; None means gone.
    known: dict[str, Live | None] = field(default_factory=dict)
    # Resources whose adoption the user agreed to.
    adopted: set[str] = field(default_factory=set)
    # The settings before this run's choices; None if they are the same.
    former_settings: Settings | None = None
    # By resource: the plan that the user has agreed to; None if anything may be overwritten.
    approved: Mapping[str, ResourcePlan] | None = None


class Ensure:
    """Makes sure that one resource exists as the stack wants it."""

    def __init__(self, ctx: Context, resource: Resource, shared: Run) -> None:
        self.ctx = ctx
        self.resource = resource
        self.shared = shared
        self.turn = shared.turns[resource.root_key]
        self.words = words(resource)
        # The version that was deleted to be recreated. AWS may show it for a while.
        self.former_version: str | None = None

    def run(self, release: Callable[[], None]) -> str:
        """Find, create, change or delete it; return what was done.

        ``release`` lets its dependents start. It is called early if nothing is to be changed; else
        they start when this returns.
        """
        ctx, resource = self.ctx, self.resource
        record = ctx.state.record(resource.key)
        if record is not None and not resource.wanted(ctx):
            self._remove(record)
            return reporting.UPDATED
        live, action = self._find(record)
        if live is None:
            self._check_gone(record)
            live, action = self._create()
        # What replaces a recorded one may find the leftovers of that.
        changes = self._differences(live, new=action == reporting.CREATED and record is None)
        if not changes:
            # Others need only its facts, which are on disk now.
            release()
            self._wait_until_ready(live)
            return action
        self._wait_until_ready(live)
        if action in {reporting.UNCHANGED, reporting.UPDATED}:
            self._check_asked(changes, live)
        journal.outdate(ctx, resource.outdates)
        if action in {reporting.UNCHANGED, reporting.UPDATED}:
            for change in changes:
                self._tell(str(change))
        self._change(changes)
        return reporting.UPDATED if action == reporting.UNCHANGED else action

    def _create(self) -> tuple[Live, str]:
        return journal.create(self.ctx, self.resource, self.turn, self.former_version)

    def _differences(self, live: Live, *, new: bool) -> list[Change]:
        ctx, resource = self.ctx, self.resource

        def look() -> list[Change]:
            left = resource.leftovers(ctx, live) if not new else ()
            return [*resource.changes(ctx, live), *left]

        return patiently(ctx, look, resource)

    def _overwritten(self, live: Live, changes: list[Change]) -> list[Field]:
        """Return the fields to be overwritten that neither these nor the former settings want."""
        ctx = self.ctx
        settings = self.shared.former_settings or ctx.state.settings
        unclear = settings.in_progress
        if not changes or not self.resource.tuned or (unclear and settings.sign_up_given):
            return []
        before = replace(ctx, state=replace(ctx.state, settings=settings))
        undone = patiently(ctx, lambda: list(self.resource.changes(before, live)), self.resource)
        drifted = {each.path for change in undone for each in change.fields} - OURS
        if unclear:
            drifted &= SIGN_UP
        return [
            each
            for change in changes
            for each in change.fields
            if each.path in drifted and None not in (each.old, each.new)
        ]

    def _about(self, overwritten: Iterable[Field]) -> list[str]:
        """Return the question to ask before values are overwritten."""
        found = "; ".join(map(str, overwritten))
        return [f"Somebody has changed the {self.words}: {found}. Overwrite it?"] if found else []

    def _check_asked(self, changes: list[Change], live: Live | None = None) -> None:
        """Check that the user was asked what these changes need, and saw the values of ``live``.

        Raises CogauthError if somebody has changed the resource since the plan.
        """
        if self.shared.approved is None:
            return
        plan = self.shared.approved[self.resource.key]
        asks = [each.asks for each in changes if each.asks and each.asks not in plan.questions]
        if live is not None:
            seen = [(each.path, each.old) for each in plan.fields]
            found = self._overwritten(live, changes)
            asks += self._about(each for each in found if (each.path, each.old) not in seen)
        if asks:
            raise changed_meanwhile(
                self.ctx,
                f"Somebody has changed the {self.words} since the plan was made, so it was left "
                f"alone. 'up' would have asked: {' '.join(asks)}",
            )

    def _check_gone(self, record: Record | None) -> None:
        """Check that the plan has shown the creation of a recorded one that is gone.

        Raises CogauthError if somebody has deleted it since the plan.
        """
        if self.shared.approved is None or record is None or record["status"] != records.CREATED:
            return
        if self.ctx.made.intersection(self.resource.ancestors):
            # It went with what it is a part of, which was rightly recreated.
            return
        if not self.shared.approved[self.resource.key].is_new:
            raise changed_meanwhile(
                self.ctx,
                f"The {self.words} doesn't exist any more: somebody has deleted it since the plan "
                "was made, which doesn't show that 'up' recreates it.",
            )

    def _wait_until_ready(self, live: Live) -> None:
        patiently(self.ctx, lambda: self.resource.wait_until_ready(self.ctx, live), self.resource)

    def _tell(self, what: str) -> None:
        self.shared.reporter.change(self.resource.step, f"{self.words}: {what}")

    def _write(self, call: Callable[[], T]) -> T:
        with self.turn:
            return patiently(self.ctx, call, self.resource)

    def _find(self, record: Record | None) -> tuple[Live | None, str]:
        """Return the resource if it exists, and what was done; else None, and ``CREATED`` to come.

        What the record says:

        none      Nothing exists.
        creating  A crash may have left one: adopt the oldest.
        created   Read it.
        outdated  It must be recreated. Its ``recreate`` says whether it is deleted first; if it is
                  never recreated, keep it.
        deleting  An interrupted ``down`` may not have deleted it: then keep it.

        A SNAPSHOT that isn't ``created`` is created again; those that are left are deleted.
        """
        ctx, resource = self.ctx, self.resource
        if record is None:
            return None, reporting.CREATED
        status = record["status"]
        if status != records.CREATED and resource.recreate is Recreate.SNAPSHOT:
            # The one in use stays until the stage has a new one; then it is the stage's leftover.
            leaves = status == records.OUTDATED and self._is_used()
            self._delete([] if leaves else find_ours(ctx, resource))
            return None, reporting.CREATED
        if status == records.CREATING:
            return self._left_by_a_crash(record)
        live = self._recorded(record)
        if live is not None:
            # Another owner may have the name now, and the id may never have been ours.
            if resource.key not in self.shared.adopted:
                check_owner(ctx, resource, live)
            record = journal.correct(ctx, resource, record, live)
            if status != records.CREATED and resource.recreate is Recreate.DELETE_FIRST:
                self._replaces(live)
                self.former_version = resource.version(live)
                self._write(partial(resource.delete, ctx, record))
                live = None
        if live is None:
            return self._in_its_place(status)
        if status != records.CREATED:
            # Keep it, with its users or logs; running 'down' again deletes it. Nor is it recreated
            # because the file, which may say anything, calls it outdated.
            journal.record_existing(ctx, resource, live)
        if not resource.repeatable:
            return live, reporting.UNCHANGED
        # A create whose answer was lost may have succeeded late, after another was created.
        ours = find_ours(ctx, resource, record["id"])
        late, claimed = by_explanation(ctx, resource, ours)
        self._leave(claimed)
        return live, reporting.UPDATED if self._sweep(late) else reporting.UNCHANGED

    def _is_used(self) -> bool:
        """Return whether a recorded resource depends on it."""
        state, key = self.ctx.state, self.resource.key
        return any(key in each.depends_on and state.record(each.key) for each in RESOURCES.values())

    def _replaces(self, live: Live) -> None:
        """An existing one is about to be deleted and created again: check what it has."""
        if self.shared.approved is not None:
            self._check_asked(self._differences(live, new=False))

    def _recorded(self, record: Record) -> Live | None:
        """Return the recorded one, or None if it is gone or will be replaced."""
        if self.resource.key in self.shared.known:
            return self.shared.known[self.resource.key]
        if record["status"] == records.DELETING:
            return outlived(self.ctx, self.resource, record)
        deleted_first = self.resource.recreate is Recreate.DELETE_FIRST
        if record["status"] == records.OUTDATED and not deleted_first:
            return None
        return read(self.ctx, self.resource, record)

    def _in_its_place(self, status: str) -> tuple[Live | None, str]:
        """The recorded one is gone: adopt another part of our parent with the stack's id."""
        resource = self.resource
        if status != records.OUTDATED and resource.parent and resource.repeatable:
            for live in find_ours(self.ctx, resource):
                journal.record_existing(self.ctx, resource, live)
                return live, reporting.ADOPTED
        return None, reporting.CREATED

    def _left_by_a_crash(self, record: Record) -> tuple[Live | None, str]:
        ctx, resource = self.ctx, self.resource
        self.former_version = record.get("former")
        made, claimed = find_after_crash(ctx, resource, record)
        made = journal.without_former(resource, self.former_version, made)
        if not made:
            self._refuse(claimed)
            return None, reporting.CREATED
        self._leave(claimed)
        oldest = min(made, key=made_at)
        self._sweep([one for one in made if one is not oldest])
        journal.record_existing(ctx, resource, oldest)
        return oldest, reporting.ADOPTED

    def _refuse(self, claimed: list[Live]) -> None:
        if not claimed:
            return
        ctx = self.ctx
        raise NotOwnedError(
            f"An interrupted run may have created the {self.words}, but this one with the "
            "stack's tags contains more than such a run puts into it:",
            *(f"  {described(ctx, self.resource, live)}" for live in claimed),
            "It was left alone.",
            hint=(
                f"If it is the stack's, move {ctx.state.path} away and run 'cogauth "
                f"recover{ctx.state.options} --take ID'. If it isn't, remove its tags "
                "cogauth:stack and cogauth:stack-id, and run this again."
            ),
        )

    def _leave(self, claimed: list[Live]) -> None:
        for live in claimed:
            self.shared.reporter.warn(
                f"The {self.words} {described(self.ctx, self.resource, live)} carries this "
                "stack's tags as well. It was left alone. If it isn't the stack's, remove its "
                f"tags; if it is, 'cogauth down{self.ctx.state.options}' lists it and asks."
            )

    def _remove(self, record: Record) -> None:
        ctx, resource = self.ctx, self.resource
        if record["status"] == records.CREATING:
            # A create whose caller died may still succeed; it must not do so after the deletion.
            find_after_crash(ctx, resource, record)
        journal.outdate(ctx, resource.outdates)
        self._tell("delete it")
        self._write(lambda: resource.delete(ctx, record))
        journal.forget(ctx, resource)

    def _sweep(self, late: list[Live]) -> bool:
        """Delete the empty leftovers of interrupted creates; return whether there were any."""
        gone = self._delete(late)
        for live in gone:
            name = self.resource.facts(self.ctx, live)["id"]
            self._tell(f"delete {name}, left by an interrupted run")
        return bool(gone)

    def _delete(self, surplus: list[Live]) -> list[Live]:
        ctx, resource = self.ctx, self.resource
        gone = []
        for live in surplus:
            if self._write(partial(resource.delete, ctx, resource.facts(ctx, live))):
                gone.append(live)  # noqa: PERF401 a deletion is not a filter
        return gone

    def _change(self, changes: list[Change]) -> None:
        """Make the changes; recreate the resource if AWS doesn't keep one."""
        try:
            for change in changes:
                self._write(change.call)
            if any(change.guards for change in changes):
                self._check_kept()
        except NotKeptError:
            if self.resource.recreate is not Recreate.BESIDE:
                raise
            self._recreate()

    def _recreate(self) -> None:
        """Create it beside the former one, which is deleted once nothing refers to it."""
        self._tell("recreate it, because it didn't keep the change")
        live, _ = journal.create(self.ctx, self.resource, self.turn)
        if not self._is_kept(live):
            raise self._not_kept()

    def _is_kept(self, live: Live) -> bool:
        return not any(change.guards for change in self.resource.changes(self.ctx, live))

    def _check_kept(self) -> None:
        ctx, resource = self.ctx, self.resource
        record = ctx.state.record(resource.key) or {}

        def is_kept() -> bool | None:
            live = resource.read(ctx, record)
            return True if live is not None and self._is_kept(live) else None

        try:
            # The old value may be read once more, because AWS's copies lag.
            ctx.waiter.until(
                lambda: patiently(ctx, is_kept, resource),
                reason=f"AWS to show the change of the {self.words}",
                timeout_s=KNOWN_WITHIN_S,
            )
        except TimedOutError as error:
            raise self._not_kept() from error

    def _not_kept(self) -> NotKeptError:
        state = self.ctx.state
        return NotKeptError(
            f"The {self.words} was changed, but {state.endpoint_url or 'AWS'} still shows the old "
            "value.",
            hint=(
                f"Run 'cogauth up{state.options}' again. If that doesn't help, recreate the stack: "
                f"first 'cogauth down{state.options}', which also deletes the user pool and all "
                "its users."
            ),
        )


def changed_meanwhile(ctx: Context, what: str) -> CogauthError:
    """Return the error that something was changed after the user has agreed to the plan."""
    hint = f"Run '{ctx.state.command('up')}' again to see what it would do now."
    return CogauthError(what, hint=hint)
