"""``up``: make the stack, or what is missing of it, several resources at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from cogauth.aws.errors import AWS_ERRORS, explain, is_definite
from cogauth.aws.transient import KNOWN_WITHIN_S, PASSES_WITHIN_S
from cogauth.aws.waiting import TimedOutError, Wait
from cogauth.engine import graph
from cogauth.engine.journal import timestamp, write_fact
from cogauth.errors import CogauthError, NotOwnedError
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.steps import STEPS
from cogauth.steps.base import NotKeptError
from cogauth.steps.lookup import (
    CLIENTS,
    by_explanation,
    find,
    find_after_crash,
    find_ours,
    others_of_ours,
    outlived,
    passing_of,
    patiently,
    read,
)
from cogauth.steps.ownership import (
    check_case,
    check_owner,
    check_unseen,
    described,
    is_taken,
    made_at,
    may_be_adopted,
    owned,
    owner,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from botocore.exceptions import ClientError

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.steps.base import Change, Resource, Step

UP_CLIENTS = (*CLIENTS, "cognito_once", "apigateway_once")
CREATED_NOW, ADOPTED, UPDATED, UNCHANGED = "created", "adopted", "updated", "unchanged"


class Reporter(Protocol):
    """Told what the engine does; it shows that, the engine prints nothing.

    Several steps go on at once. They report from their own threads, ``begin`` and ``end`` one at
    a time.
    """

    def begin(self, step: Step) -> None:
        """A step begins, or goes on."""

    def change(self, step: Step, what: str) -> None:
        """Something that stood before is about to be changed."""

    def warn(self, what: str) -> None:
        """Something was left as it is, and the user should know."""

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        """A step waits, so many seconds at the most; None: for another step of the stack."""

    def end(self, result: StepResult) -> None:
        """A step is done."""


@dataclass(frozen=True)
class StepResult:
    """What became of a step.

    Attributes:
        step: its name.
        action: ``created``, ``adopted``, ``updated`` or ``unchanged``.
        id: of its main resource.
        seconds: from the beginning of its first resource to the end of its last.
    """

    step: str
    action: str
    id: str
    seconds: float


def up(ctx: Context, reporter: Reporter, adopt: Collection[str] = ()) -> list[StepResult]:
    """Make the stack, or what is missing of it.

    The settings in ``ctx.state`` needn't be on disk: they are saved before anything is touched,
    and not if a question is refused.

    Args:
        ctx: the stack.
        reporter: told what is done.
        adopt: ids of recorded user pools and REST APIs whose tags are to be put back, if they
            don't say any more that it is the stack's.

    Returns:
        What became of each step, in order.

    Raises:
        CogauthError: a step failed, or several; what stands is in the state file.
        KeyboardInterrupt: the stop event was set from elsewhere; likewise.
    """
    return _Up(ctx, reporter, adopt).run()


class _Steps:
    """What the steps have come to, for the reporter: their resources go on in several threads."""

    def __init__(self, ctx: Context, reporter: Reporter, concerned: Mapping[str, Resource]) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.concerned = concerned
        self.results: dict[str, StepResult] = {}
        self._lock = Lock()
        self._begun: dict[str, float] = {}
        # By resource: the step that it is of, and what was done.
        self._working: dict[str, str] = {}
        self._actions: dict[str, str] = {}

    def begin(self, step: Step, key: str) -> None:
        """Tell that a step's resource is begun."""
        with self._lock:
            self._working[key] = step.name
            self._begun.setdefault(step.name, time.monotonic())
            self.reporter.begin(step)

    def end(self, step: Step, key: str, action: str) -> None:
        """Tell what became of a step, if this was its last resource; else what it waits for."""
        with self._lock:
            del self._working[key]
            self._actions[key] = action
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
        """Say which other step's resource a step waits for, if it does."""
        own = {resource.key for resource in step.resources}
        for need in self.concerned[key].needs:
            if need in self.concerned and need not in own and need not in self._actions:
                self.reporter.waiting(step, f"the {words(self.concerned[need])}", None)
                return


class _Up:
    def __init__(self, ctx: Context, reporter: Reporter, adopt: Collection[str]) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.adopt = adopt
        # The resources whose adoption was agreed to.
        self.adopted: set[str] = set()
        self.concerned: dict[str, tuple[Step, Resource]] = {
            resource.key: (step, resource)
            for step in STEPS
            for resource in step.resources
            if resource.wanted(ctx) or ctx.state.record(step.name, resource.key) is not None
        }
        # Two writes at once to one REST API are refused, and so with a function, a role or a pool:
        # those to one of them and to what is inside of it take turns.
        self.turns = {resource.outermost: Lock() for _, resource in self.concerned.values()}
        self.known: dict[str, Live | None] = {}
        # By resource: the version that was deleted to be made anew. AWS may show it for a while.
        self.former: dict[str, str] = {}
        self.steps = _Steps(ctx, reporter, {key: pair[1] for key, pair in self.concerned.items()})

    def run(self) -> list[StepResult]:
        ctx = self.ctx
        ctx.aws.make_clients(*UP_CLIENTS)
        self._raise(self._ask_first(), "Nothing was touched: run the same command again.")
        # The settings: now it is certain that they are wanted, and nothing was changed yet.
        ctx.state.save()
        options = ctx.state.options
        self._raise(
            graph.run(self._needs(), self._work, ctx.waiter.stop),
            f"Nothing is lost: what stands is in {ctx.state.path}. Run 'cogauth up{options}' "
            f"again to go on, or 'cogauth down{options}' to take it all away.",
        )
        if len(self.steps.results) < len(STEPS):
            raise KeyboardInterrupt
        if (settings := ctx.state.settings.carried_out()) != ctx.state.settings:
            ctx.state.settings = settings
            ctx.state.save()
        return [self.steps.results[step.name] for step in STEPS]

    def _needs(self) -> Mapping[str, list[str]]:
        """Return what each resource needs, in the console's order but for what can't wait."""
        resources = [resource for _, resource in self.concerned.values()]
        resources.sort(key=lambda resource: not resource.urgent)
        # Of names that can be used only once the first one is taken before the others: of two who
        # begin at one moment one has all, and not each the one that the other needs.
        first, *others = [each for each in resources if each.taken and not each.inside]
        return {
            resource.key: [
                *(key for key in resource.all_needs if key in self.concerned),
                *([first.key] if resource in others else []),
            ]
            for resource in resources
        }

    def _ask_first(self) -> dict[str, BaseException]:
        """Before anything is touched: ask about what can't be made good. Return what failed.

        What nothing but its tags says to be the stack's is looked at first, too: an id tells
        nothing of whose it is, and the state file may be anybody's.
        """
        ctx, failed, questions = self.ctx, dict[str, BaseException](), list[str]()
        for key, (step, resource) in self.concerned.items():
            record = ctx.state.record(step.name, key)
            first = resource.asks or (resource.inside is None and resource.name(ctx) is None)
            if not first or record is None or record["status"] == CREATING:
                continue
            if resource.inside is not None and self.known.get(resource.inside) is None:
                continue  # It is gone with what it was inside of, or that isn't ours.
            deleting = record["status"] == DELETING
            look = outlived if deleting else read
            try:
                live = look(self._at(step), resource, record)
                if live is not None:
                    questions += self._adoption(step, resource, live)
                if record["status"] == OUTDATED:
                    continue  # It is left behind, whatever it is like.
                self.known[key] = live
                # That this stack was deleting what is gone was asked about by 'down'.
                if not deleting or live is not None:
                    questions += resource.questions(ctx, record, live)
            except (*AWS_ERRORS, CogauthError) as error:
                failed[key] = error
        for question in questions if not failed else ():
            ctx.confirm(question)
        return failed

    def _adoption(self, step: Step, resource: Resource, live: Live) -> list[str]:
        """Return what is to be asked before a recorded thing without our tags is adopted.

        Raises:
            NotOwnedError: it isn't the stack's by its tags, and isn't to be adopted.
        """
        name, tags = resource.facts(self.ctx, live)["id"], resource.tags(live) or {}
        if owned(self.ctx, resource, live):
            return []
        if name not in self.adopt or not may_be_adopted(self.ctx, tags):
            check_owner(self.ctx, step, resource, live)
        self.adopted.add(resource.key)
        question = (
            f"The {words(resource)} {described(self.ctx, resource, live)} doesn't carry this "
            f"stack's tags ({owner(tags)}). Put them on it, so that 'up' changes it and 'down' "
            "deletes it?"
        )
        return [question]

    def _work(self, key: str, stands: Callable[[], None]) -> None:
        step, resource = self.concerned[key]
        try:
            self.steps.begin(step, key)
            self.steps.end(step, key, self._ensure(self._at(step), step, resource, stands))
        except BaseException:
            # The calls in flight end and are recorded, the waits end, nothing new begins.
            self.ctx.waiter.stop.set()
            raise

    def _at(self, step: Step) -> Context:
        """Return the context with a waiter that says which step waits."""

        def report(reason: str, seconds_left: float) -> None:
            self.reporter.waiting(step, reason, seconds_left)

        over = partial(self.reporter.begin, step)
        return replace(self.ctx, waiter=replace(self.ctx.waiter, report=report, over=over))

    def _ensure(
        self, ctx: Context, step: Step, resource: Resource, stands: Callable[[], None]
    ) -> str:
        """Make sure that a resource stands as the stack wants it; return what was done."""
        record = ctx.state.record(step.name, resource.key)
        if record is not None and not resource.wanted(ctx):
            self._take_away(ctx, step, resource, record)
            return UPDATED
        live, action = self._standing(ctx, step, resource, record)
        if live is None:
            live, action = self._create(ctx, step, resource)

        def wait_until_ready() -> None:
            patiently(ctx, lambda: resource.wait_until_ready(ctx, live), resource)

        def differences() -> list[Change]:
            left = resource.leftovers(ctx, live) if action != CREATED_NOW else ()
            return [*resource.changes(ctx, live), *left]

        changes = patiently(ctx, differences, resource)
        if not changes:
            # What needs it needs its facts only, which are on disk by now.
            stands()
            wait_until_ready()
            return action
        wait_until_ready()
        _outdate(ctx, resource.outdates)
        if action in {UNCHANGED, UPDATED}:
            for change in changes:
                self.reporter.change(step, f"{words(resource)}: {change.what}")
        self._change(ctx, step, resource, changes, made=action == CREATED_NOW)
        return UPDATED if action == UNCHANGED else action

    def _change(
        self, ctx: Context, step: Step, resource: Resource, changes: list[Change], *, made: bool
    ) -> None:
        """Change a resource; make it anew if it can't be changed, unless it was made just now."""
        try:
            for change in changes:
                self._write(ctx, resource, change.call)
            if not made and any(change.guards for change in changes):
                _check_kept(ctx, step, resource)
        except NotKeptError:
            if not resource.remade:
                raise
            self._make_anew(ctx, step, resource)

    def _make_anew(self, ctx: Context, step: Step, resource: Resource) -> None:
        """Make a resource beside the former one, which goes once nothing refers to it any more."""
        record = ctx.state.record(step.name, resource.key) or {}
        ctx.state.put(step.name, resource.key, {**record, "status": OUTDATED})
        self.reporter.change(step, f"{words(resource)}: make it anew, it didn't keep the change")
        live, _ = self._create(ctx, step, resource)
        if not _is_kept(ctx, resource, live):
            raise _not_kept(ctx, resource)

    def _take_away(self, ctx: Context, step: Step, resource: Resource, record: Record) -> None:
        """Delete what the settings don't ask for any more."""
        if record["status"] == CREATING:
            # A create whose caller is gone may still land: not after it was deleted.
            find_after_crash(ctx, resource, record)
        _outdate(ctx, resource.outdates)
        self.reporter.change(step, f"{words(resource)}: take it away")
        self._write(ctx, resource, lambda: resource.delete(ctx, record))
        ctx.state.drop(step.name, resource.key)

    def _standing(
        self, ctx: Context, step: Step, resource: Resource, record: Record | None
    ) -> tuple[Live | None, str]:
        """Return the resource as it stands, if it does: the recorded one, or a crash's."""
        if record is None:
            return None, CREATED_NOW
        if record["status"] != CREATED and not resource.adopted:
            # Whatever is in use stays: the stage lets go of it later.
            self._delete(ctx, resource, find_ours(ctx, resource))
            return None, CREATED_NOW
        if record["status"] == CREATING:
            return self._left_by_a_crash(ctx, step, resource, record)
        live = self._recorded(ctx, resource, record)
        if live is not None:
            # The name may be another's by now, and the id may never have been ours.
            if resource.key not in self.adopted:
                check_owner(ctx, step, resource, live)
            record = _with_facts(ctx, step, resource, record, live)
        if live is not None and record["status"] != CREATED and resource.replaced:
            self.former[resource.key] = resource.version(live)
            self._write(ctx, resource, lambda: resource.delete(ctx, record))
            live = None
        if live is None:
            return self._in_its_stead(ctx, step, resource, record)
        if record["status"] == DELETING:
            # It is kept, with the users or logs in it: whoever wants it gone runs 'down' again.
            write_fact(ctx, step, resource, live)
        if not resource.repeatable:
            return live, UNCHANGED
        # A create whose answer was lost may have landed late, after another was made.
        ours = others_of_ours(ctx, resource, record["id"])
        late, claimed = by_explanation(ctx, resource, ours)
        self._leave(ctx, resource, claimed)
        return live, UPDATED if self._sweep(ctx, step, resource, late) else UNCHANGED

    def _in_its_stead(
        self, ctx: Context, step: Step, resource: Resource, record: Record
    ) -> tuple[Live | None, str]:
        """Take a part of what is ours that bears the stack's id, if the record names another."""
        if record["status"] == OUTDATED or not (resource.inside and resource.repeatable):
            return None, CREATED_NOW
        for live in find_ours(ctx, resource):
            write_fact(ctx, step, resource, live)
            return live, ADOPTED
        return None, CREATED_NOW

    def _recorded(self, ctx: Context, resource: Resource, record: Record) -> Live | None:
        """Return the recorded one as it stands, or None if it is gone or is to be left behind."""
        if resource.key in self.known:
            return self.known[resource.key]
        if record["status"] == DELETING:
            return outlived(ctx, resource, record)
        if record["status"] == OUTDATED and not resource.replaced:
            return None
        return read(ctx, resource, record)

    def _left_by_a_crash(
        self, ctx: Context, step: Step, resource: Resource, record: Record
    ) -> tuple[Live | None, str]:
        """Take what a create made whose end was not recorded, if there is any."""
        if "former" in record:
            self.former[resource.key] = record["former"]
        made, claimed = find_after_crash(ctx, resource, record)
        made = self._not_former(resource, made)
        if not made:
            self._refuse(ctx, resource, claimed)
            return None, CREATED_NOW
        self._leave(ctx, resource, claimed)
        oldest = min(made, key=made_at)
        self._sweep(ctx, step, resource, [one for one in made if one is not oldest])
        write_fact(ctx, step, resource, oldest)
        return oldest, ADOPTED

    def _refuse(self, ctx: Context, resource: Resource, claimed: list[Live]) -> None:
        """Refuse to choose among what carries the stack's tags, and no intent explains.

        Raises:
            NotOwnedError: there is something; it is listed.
        """
        if not claimed:
            return
        raise NotOwnedError(
            f"An interrupted run may have made the {words(resource)}, but what carries this "
            "stack's tags holds more than such a run puts into it:",
            *(f"  {described(ctx, resource, live)}" for live in claimed),
            f"It was left alone. If it is the stack's: move {ctx.state.path} away, and run "
            f"'cogauth recover{ctx.state.options} --take ID'. If it isn't: take the tags "
            "cogauth:stack and cogauth:stack-id off it, and run this again.",
        )

    def _leave(self, ctx: Context, resource: Resource, claimed: list[Live]) -> None:
        """Tell of what carries the stack's tags, and isn't recorded: it may be anybody's."""
        for live in claimed:
            self.reporter.warn(
                f"The {words(resource)} {described(ctx, resource, live)} carries this stack's tags "
                "as well. It was left alone: take them off it if it isn't the stack's; if it is, "
                f"'cogauth down{ctx.state.options}' lists it, and asks."
            )

    def _sweep(self, ctx: Context, step: Step, resource: Resource, late: list[Live]) -> bool:
        """Delete what interrupted creates left, with nothing in it; say whether any went."""
        gone = self._delete(ctx, resource, late)
        for live in gone:
            name = resource.facts(ctx, live)["id"]
            self.reporter.change(
                step, f"{words(resource)}: delete {name}, which an interrupted run left"
            )
        return bool(gone)

    def _create(self, ctx: Context, step: Step, resource: Resource) -> tuple[Live, str]:
        with self.turns[resource.outermost]:
            # The wait for this turn may have been long enough for a Ctrl-C.
            _check_stop(ctx)
            when_made = patiently(ctx, partial(resource.outdates_when_made, ctx))
            _outdate(ctx, resource.outdates + when_made)
            intent = {"status": CREATING, "since": timestamp(ctx)}
            if resource.key in self.former:
                intent["former"] = self.former[resource.key]
            ctx.state.put(step.name, resource.key, intent)
            without_effect = True

            def create() -> tuple[Live, str]:
                nonlocal without_effect
                try:
                    return resource.create(ctx), CREATED_NOW
                except AWS_ERRORS as error:
                    without_effect = without_effect and is_definite(error)
                    check_case(ctx, step, resource, error)
                    for live in self._in_its_place(ctx, resource, error):
                        check_owner(ctx, step, resource, live)
                        # A create whose answer was lost, and that was made again.
                        return live, ADOPTED
                    raise

            def passes(error: ClientError) -> Wait | None:
                wait = passing_of(ctx, resource, error)
                if wait or not is_taken(error, resource) or ctx.waiter.stop.is_set():
                    return wait
                # Nothing of the name can be found. It can take AWS a while to free a name.
                return Wait(f"the name of the {words(resource)} to be free")

            try:
                live, action = ctx.waiter.retry(create, passing=passes, timeout_s=PASSES_WITHIN_S)
            except (*AWS_ERRORS, CogauthError, KeyboardInterrupt) as error:
                # A thread is interrupted before a call, or while it waits after a refusal. Only the
                # intent says which former one isn't to be taken for the new one.
                if without_effect and resource.key not in self.former:
                    ctx.state.drop(step.name, resource.key)
                if not ctx.waiter.stop.is_set():
                    check_unseen(ctx, step, resource, error)
                raise
            write_fact(ctx, step, resource, live)
            return live, action

    def _in_its_place(self, ctx: Context, resource: Resource, error: Exception) -> list[Live]:
        """Return what has the name that AWS says is taken, if that is the error."""
        if not is_taken(error, resource):
            return []
        try:
            return self._not_former(resource, find(ctx, resource))
        except KeyboardInterrupt:
            # Something else failed meanwhile, and nothing is looked up any more.
            return []

    def _not_former(self, resource: Resource, found: list[Live]) -> list[Live]:
        """Leave out what was deleted to be made anew, and is shown all the same."""
        if resource.key not in self.former:
            return found
        former = self.former[resource.key]
        return [live for live in found if resource.version(live) != former]

    def _delete(self, ctx: Context, resource: Resource, surplus: list[Live]) -> list[Live]:
        """Delete what isn't in use; return what went."""
        gone: list[Live] = []
        for live in surplus:
            call = partial(resource.delete, ctx, resource.facts(ctx, live))
            with self.turns[resource.outermost]:
                gone += [live] if patiently(ctx, call, resource) else []
        return gone

    def _write(self, ctx: Context, resource: Resource, call: Callable[[], object]) -> None:
        with self.turns[resource.outermost]:
            patiently(ctx, call, resource)

    def _raise(self, failed: Mapping[str, BaseException], after: str) -> None:
        """Raise what the user is to know, if anything went wrong: all of it, and how to go on."""
        wrong = {k: e for k, e in failed.items() if not isinstance(e, KeyboardInterrupt)}
        told = {k: e for k, e in wrong.items() if isinstance(e, (*AWS_ERRORS, CogauthError))}
        errors = list(told.values())
        # One cause, as credentials that have expired, may have met several steps at once.
        titles: dict[str, list[str]] = {}
        for key, error in told.items():
            why = explain(error)
            titles.setdefault(why, []).append(f"'{self.concerned[key][0].title}'")
        for defect in wrong.values():
            if defect not in errors:
                for why in titles:
                    defect.add_note(f"Besides: {why}")
                raise defect
        if not wrong:
            return
        if len(errors) == 1 and isinstance(errors[0], CogauthError):
            raise errors[0]
        said = [
            f"The step{'s' if len(names) > 1 else ''} {', '.join(names)} failed: {why}"
            for why, names in titles.items()
        ]
        said.append(after)
        cause = errors[0] if len(errors) == 1 else ExceptionGroup("several steps failed", errors)
        raise CogauthError(*(said if len(titles) > 1 else [" ".join(said)])) from cause


def _check_stop(ctx: Context) -> None:
    if ctx.waiter.stop.is_set():
        raise KeyboardInterrupt


def _with_facts(ctx: Context, step: Step, resource: Resource, record: Record, live: Live) -> Record:
    """Return the record with what AWS says of a resource; a state file may say anything."""
    found = resource.facts(ctx, live)
    if resource.inside is not None or found.items() <= record.items():
        return record
    record = {**record, **found}
    ctx.state.put(step.name, resource.key, record)
    return record


def _is_kept(ctx: Context, resource: Resource, live: Live) -> bool:
    """Say whether it lets those call whom the stack wants; all else may be shown differently."""
    return not any(change.guards for change in resource.changes(ctx, live))


def _check_kept(ctx: Context, step: Step, resource: Resource) -> None:
    """See that a resource lets those call whom the stack wants, after it was changed.

    Raises:
        NotKeptError: AWS took the changes, and shows something else all the same.
    """
    record = ctx.state.record(step.name, resource.key) or {}

    def is_kept() -> bool | None:
        live = resource.read(ctx, record)
        return True if live is not None and _is_kept(ctx, resource, live) else None

    try:
        # What was read before may be read once more: AWS's copies lag.
        ctx.waiter.until(
            lambda: patiently(ctx, is_kept, resource),
            reason=f"AWS to show the {words(resource)} as it was changed",
            timeout_s=KNOWN_WITHIN_S,
        )
    except TimedOutError as error:
        raise _not_kept(ctx, resource) from error


def _not_kept(ctx: Context, resource: Resource) -> NotKeptError:
    options = ctx.state.options
    return NotKeptError(
        f"The {words(resource)} was changed, but {ctx.state.endpoint_url or 'AWS'} still shows the "
        f"old value. Run 'cogauth up{options}' again. If that doesn't help, the stack can only be "
        f"made anew: 'cogauth down{options}' deletes it first, with the user pool and all its "
        "users."
    )


def _outdate(ctx: Context, outdated: tuple[str, ...]) -> None:
    """Note that these resources must be made anew, before what outdates them is touched."""
    for step in STEPS:
        for other in step.resources:
            record = ctx.state.record(step.name, other.key)
            if other.key in outdated and record and record["status"] == CREATED:
                ctx.state.put(step.name, other.key, {**record, "status": OUTDATED})
