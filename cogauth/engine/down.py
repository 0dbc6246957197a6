"""``down``: delete the stack in reverse order of its dependencies, and check that it is gone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.attach.detach import detach
from cogauth.aws import parallel
from cogauth.aws.answers import code_of
from cogauth.aws.errors import AWS_ERRORS, failure, is_definite, translate
from cogauth.aws.transient import KNOWN_WITHIN_S, UNKNOWN
from cogauth.aws.waiting import TimedOutError
from cogauth.engine import graph, journal
from cogauth.engine.down_plan import (
    deletion_needs,
    is_explained,
    renamed_ones,
    roots,
    tagged_arns,
)
from cogauth.errors import CogauthError
from cogauth.record.records import CREATING, Record
from cogauth.steps.lookup import find_after_crash, find_ours, is_fresh, patiently
from cogauth.steps.ownership import described, owned, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.engine.down_plan import DownPlan, NotOurs
    from cogauth.steps.base import Resource

# AWS's errors for a resource that is protected from deletion or still in use.
OBSTRUCTED = {
    *("InvalidParameterException", "BadRequestException", "ConflictException"),
    *("ValidationException", "DeleteConflict"),
}
# A resource in down's result: {"step": …, "resource": …, "id": …}.
Entry = dict[str, str]


@dataclass
class DownResult:
    """What became of a stack's resources."""

    deleted: list[Entry] = field(default_factory=list)
    already_gone: list[Entry] = field(default_factory=list)
    # Recorded, but not the stack's: left alone, and the record dropped.
    not_ours: list[Entry] = field(default_factory=list)
    remaining: list[Entry] = field(default_factory=list)
    # Methods of other APIs that were restored.
    restored: list[Entry] = field(default_factory=list)
    # Resources that aren't the stack's, and methods of other APIs that someone changed since.
    left_alone: list[str] = field(default_factory=list)
    # Why something could not be deleted or restored.
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of the stack's resources that were deleted, without what they contained."""
        own = {root.key for root in roots()}
        return sum(entry["resource"] in own for entry in self.deleted)

    @property
    def clean(self) -> bool:
        """Whether everything recorded was the stack's, and nothing of it is left."""
        return not (self.remaining or self.problems or self.not_ours)


def down(
    ctx: Context, plan: DownPlan, report: Callable[[str], None], *, claimed: bool = False
) -> DownResult:
    """Delete the stack, continue after failed deletions, and look again.

    Nothing is deleted unless all methods of other APIs could be restored: without the pool nobody
    could call them.

    A resource outside the ``plan``, made a moment ago, is deleted only if a record, an intent or a
    computed name of the stack explains it. A resource that is the stack's only by its tag is
    deleted only with ``claimed``. ``report`` is called for each deletion, from several threads,
    which share the clients that ``plan_down`` has created.

    Raises:
        CogauthError: the account can't be read, so it is unknown what remains.
        KeyboardInterrupt: the stop event was set; its arguments say what could not be deleted
            until then.
    """
    work = _Down(ctx, plan, report, claimed=claimed)
    try:
        return work.run()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(*work.result.problems) from error


class _Down:
    def __init__(
        self, ctx: Context, plan: DownPlan, report: Callable[[str], None], *, claimed: bool
    ) -> None:
        self.ctx = ctx
        self.plan = plan
        self.report = report
        self.result = DownResult()
        self.roots = {resource.key: resource for resource in roots()}
        # By root: the result's list that it and its parts belong to, and their entries.
        self.outcomes: dict[str, tuple[list[Entry], list[Entry]]] = {}
        # The ids that AWS refuses to delete; they are tried once.
        self.refused: set[str] = set()
        # The ids of resources that are the stack's only by their tag, and nobody agreed to.
        self.unexplained: set[str] = set()
        self.not_ours = {each.resource.key: each for each in plan.not_ours}
        # The records at the beginning, whose resources are read once more at the end.
        self.recorded = {
            key: record
            for key in self.roots
            if key not in self.not_ours and "id" in (record := ctx.state.record(key) or {})
        }
        # What may be deleted, by root and id.
        self.agreed = {
            (each.resource.key, each.id): each.facts or {} for each in plan.agreed(claimed=claimed)
        }
        self.obstacles = plan.obstacles(claimed=claimed)

    def run(self) -> DownResult:
        ctx = self.ctx
        if self.obstacles:
            # ``down`` deletes everything or nothing.
            nothing = (
                "Nothing was deleted, because not everything can be. Remove the obstacles above, "
                f"then run '{ctx.state.command('down')}' again."
            )
            self.result.problems += [*self.obstacles, nothing]
        else:
            self._give_back()
        if self.result.problems:
            self.result.remaining = [
                _entry(self.roots[key], record["id"]) for key, record in self.recorded.items()
            ]
            return self.result
        failed = graph.run(deletion_needs(), self._work, ctx.waiter.stop)
        # A defect goes before an interruption, which it may have caused.
        for error in sorted(failed.values(), key=lambda each: isinstance(each, KeyboardInterrupt)):
            raise error
        if ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        for key in self.roots:
            # In a fixed order, whichever ended first.
            outcome, entries = self.outcomes.get(key, ([], []))
            outcome += entries
        try:
            self._look_again()
        except AWS_ERRORS as error:
            blind = failure(
                "Looking for what remains",
                error,
                after=f"The state file {ctx.state.path} stays.",
                hint=f"Run '{ctx.state.command('down')}' again.",
            )
            problems = *self.result.problems, blind.message
            raise CogauthError(*problems, hint=blind.hint) from error
        return self.result

    def _give_back(self) -> None:
        """Restore the methods of other APIs while the pool still exists."""
        for api, plan in self.plan.attached.items():
            name = self.ctx.state.attachments[api]["name"]

            def report(what: str, *_: int, name: str = name) -> None:
                self.report(f"{what} of {name}")

            failed = f"Restoring the methods of {name} failed"
            if isinstance(plan, str):
                self.result.problems.append(f"{failed}: {plan}")
                continue
            try:
                done = detach(self.ctx, plan, report)
            except (*AWS_ERRORS, CogauthError) as error:
                self.result.problems.append(f"{failed}: {translate(error)}")
                continue
            self.result.restored += _attached(api, done.restored)
            self.result.not_ours += _attached(api, done.not_ours)
            authorizers = (f"authorizer {a}" for a in done.authorizers)
            self.result.deleted += _attached(api, authorizers, "authorizer")
            self.result.left_alone += [*done.left_alone, *plan.warnings]
            self.result.problems += done.problems

    def _work(self, key: str, _done: Callable[[], None]) -> None:
        ctx, result = self.ctx, self.result
        resource, record = self.roots[key], ctx.state.record(key)
        if record is None:
            return
        if other := self.not_ours.get(key):
            self._forget(other)
            return
        try:
            if record["status"] == CREATING:
                # The create may have succeeded. Only what is as it left it is deleted here; what
                # holds more is deleted at the end, if the user agreed.
                made, _ = find_after_crash(ctx, resource, record)
                ids, outcome = [resource.facts(ctx, live) for live in made], result.deleted
                if None in [self._delete(resource, one) for one in ids]:
                    return
            else:
                facts = self.agreed.get((key, record["id"]))
                gone = self._delete(resource, facts, recorded=True) if facts else False
                if gone is None:
                    return
                ids, outcome = [record], result.deleted if gone else result.already_gone
        except (*AWS_ERRORS, CogauthError) as error:
            self._tell(resource, error)
            return
        entries = [_entry(resource, facts["id"]) for facts in ids]
        self.outcomes[key] = outcome, entries + self._drop(resource)

    def _forget(self, other: NotOurs) -> None:
        resource = other.resource
        self._drop(resource)
        self.outcomes[resource.key] = self.result.not_ours, [_entry(resource, other.id)]
        self.result.left_alone.append(
            f"The {words(resource)} {other.id}, which the state file recorded, isn't this "
            f"stack's ({other.why}). It was left alone, and its record was dropped."
        )

    def _drop(self, resource: Resource) -> list[Entry]:
        parts = journal.forget_parts(self.ctx, resource)
        entries = [_entry(part, record["id"]) for part, record in parts if "id" in record]
        journal.forget(self.ctx, resource)
        return entries

    def _delete(self, resource: Resource, facts: Record, *, recorded: bool = False) -> bool | None:
        """Delete one resource; return whether it existed, or None if AWS refused.

        For a recorded one the intent is on disk before, and is withdrawn if nothing was deleted.
        """
        ctx, patience_s = self.ctx, 0
        take_back: Callable[[], None] | None = None
        if recorded:
            # A fresh one counts as gone only after AWS had time to know it everywhere.
            patience_s = KNOWN_WITHIN_S if is_fresh(ctx, resource) else 0
            take_back = journal.intend_deletion(ctx, resource, facts)
        self.report(f"deleting {words(resource)} {facts['id']}")
        try:
            return ctx.waiter.until(
                lambda: patiently(ctx, partial(resource.delete, ctx, facts)) or None,
                reason=UNKNOWN.reason,
                timeout_s=patience_s,
            )
        except TimedOutError:
            return False
        except AWS_ERRORS as error:
            if take_back is not None and is_definite(error):
                take_back()
            self.refused.add(facts["id"])
            self._tell(resource, error)
            return None

    def _tell(self, resource: Resource, error: Exception) -> None:
        problem = f"Deleting the {words(resource)} failed: {translate(error)}"
        if isinstance(error, ClientError) and code_of(error) in OBSTRUCTED:
            problem += (
                " First remove the obstacle, such as deletion protection or a custom domain; then "
                f"run 'cogauth down{self.ctx.state.options}' again."
            )
        self.result.problems.append(problem)

    def _look_again(self) -> None:
        """Read every recorded id and search by names and tag, until nothing of ours is left.

        A create may have succeeded late, or a function's last lines recreated its log group.
        """

        def look() -> bool | None:
            self.result.remaining = []
            for key, there in self._still_there().items():
                resource = self.roots[key]
                for identifier, live in there.items():
                    entry = _entry(resource, identifier)
                    self.result.remaining.append(entry)
                    if not self._may_go(resource, identifier, live):
                        continue
                    gone = self._delete(resource, resource.facts(self.ctx, live))
                    if gone and entry not in self.result.deleted:
                        self.result.deleted.append(entry)
            stays = self.refused | self.unexplained
            waiting = [entry for entry in self.result.remaining if entry["id"] not in stays]
            return None if waiting else True

        with suppress(TimedOutError):
            self.ctx.waiter.until(
                look, reason="AWS to show that all is gone", timeout_s=max(self.ctx.settle_s, 1)
            )

    def _may_go(self, resource: Resource, identifier: str, live: Live) -> bool:
        """Return whether a resource may be deleted; if nobody agreed to it, report it once."""
        ctx, key = self.ctx, resource.key
        if identifier in self.refused | self.unexplained:
            return False
        recorded = self.recorded.get(key, {}).get("id")
        if (key, identifier) in self.agreed or identifier == recorded:
            return True
        if is_explained(ctx, resource, live):
            self.agreed[key, identifier] = resource.facts(ctx, live)
            return True
        self.unexplained.add(identifier)
        self.result.problems.append(
            f"The {words(resource)} {described(ctx, resource, live)} was not deleted: only its tag "
            "says that it is this stack's. If it is, run "
            f"'cogauth down{ctx.state.options}' on a terminal, without --yes, and confirm it. If "
            "it isn't, remove its tags cogauth:stack and cogauth:stack-id."
        )
        return False

    def _still_there(self) -> dict[str, dict[str, Live]]:
        """Return our resources that still exist, by root and id, with all calls at once."""
        ctx = self.ctx
        # By their ids as well, because AWS's lists lag.
        recorded = [key for key in self.recorded if self.roots[key].name(ctx) is None]
        calls: list[Callable[[], Any]] = [
            *(partial(find_ours, ctx, resource) for resource in self.roots.values()),
            *(partial(self.roots[key].read, ctx, self.recorded[key]) for key in recorded),
            partial(tagged_arns, ctx),
        ]
        *answers, tagged = parallel.each(calls)
        there: dict[str, dict[str, Live]] = {}
        for (key, resource), found in zip(self.roots.items(), answers, strict=False):
            there[key] = {resource.facts(ctx, live)["id"]: live for live in found}
        for key, live in zip(recorded, answers[len(self.roots) :], strict=True):
            if live is not None and owned(ctx, self.roots[key], live):
                there[key].setdefault(self.recorded[key]["id"], live)
        for key, resource in self.roots.items():
            for live in renamed_ones(ctx, resource, tagged, there[key]):
                there[key][resource.facts(ctx, live)["id"]] = live
        return there


def _entry(resource: Resource, identifier: str) -> Entry:
    return {"step": resource.step.name, "resource": resource.key, "id": identifier}


def _attached(api: str, names: Iterable[str], resource: str = "method") -> list[Entry]:
    return [{"step": "attachment", "resource": resource, "id": f"{api} {name}"} for name in names]
