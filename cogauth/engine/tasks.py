"""The resources that ``up`` is concerned with, as tasks in the order of their prerequisites."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from cogauth.aws.errors import AWS_ERRORS, translate
from cogauth.engine import graph
from cogauth.engine.ensure import Ensure, Run
from cogauth.engine.reporting import Steps
from cogauth.errors import CogauthError
from cogauth.record.records import CREATING, DELETING
from cogauth.steps import RESOURCES
from cogauth.steps.base import Resource
from cogauth.steps.lookup import CLIENTS, outlived, read
from cogauth.steps.ownership import check_owner, described, may_be_adopted, owned, owner, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.engine.reporting import Reporter
    from cogauth.steps.base import Step

UP_CLIENTS = (*CLIENTS, "cognito_once", "apigateway_once")


class Tasks:
    """One task for each resource that is wanted or recorded.

    Args:
        ctx: the stack, with the settings to carry out.
        reporter: receives the progress.
        adopt: ids of recorded user pools and REST APIs whose tags are to be restored.
        ensure: does a task; ``plan`` has one that makes no writing call.
    """

    def __init__(
        self,
        ctx: Context,
        reporter: Reporter,
        adopt: Collection[str],
        ensure: Callable[[Context, Resource, Run], Ensure] = Ensure,
    ) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.adopt = adopt
        self.ensure = ensure
        self.concerned = {
            key: resource
            for key, resource in RESOURCES.items()
            if resource.wanted(ctx) or ctx.state.record(key) is not None
        }
        turns = {resource.root_key: Lock() for resource in self.concerned.values()}
        self.shared = Run(reporter, turns)
        self.steps = Steps(ctx, reporter, self.concerned)

    def run(self) -> dict[str, BaseException]:
        """Do all tasks, several at once; return the errors by resource."""
        return graph.run(self.needs(), self._work, self.ctx.waiter.stop)

    def needs(self) -> Mapping[str, list[str]]:
        """Return each resource's prerequisites, urgent ones first, else in the console's order."""
        resources = sorted(self.concerned.values(), key=lambda resource: not resource.urgent)
        # Create one uniquely named resource first. If two 'up's race, the loser fails at once
        # instead of each holding a name the other needs.
        first, *others = [each for each in resources if each.conflict and not each.parent]
        return {
            resource.key: [
                *(key for key in resource.prerequisites if key in self.concerned),
                *([first.key] if resource in others else []),
            ]
            for resource in resources
        }

    def look_first(self) -> tuple[list[str], dict[str, BaseException]]:
        """Return the questions about irreversible changes, before anything is touched; and errors.

        Resources without a unique name are read first, too: a recorded id may be anybody's.
        """
        ctx, failed, questions = self.ctx, dict[str, BaseException](), list[str]()
        for key, resource in self.concerned.items():
            record = ctx.state.record(key)
            may_ask = type(resource).questions is not Resource.questions
            first = may_ask or (resource.parent is None and resource.name(ctx) is None)
            if not first or record is None or record["status"] == CREATING:
                continue
            if resource.parent is not None and self.shared.known.get(resource.parent) is None:
                continue  # It is gone with its parent, or the parent isn't ours.
            deleting = record["status"] == DELETING
            look = outlived if deleting else read
            try:
                live = look(self._at(resource.step), resource, record)
                if live is not None:
                    questions += self._adoption(resource, live)
                self.shared.known[key] = live
                # If it is gone because 'down' deleted it, 'down' has already asked.
                if not deleting or live is not None:
                    questions += resource.questions(ctx, record, live)
            except (*AWS_ERRORS, CogauthError) as error:
                failed[key] = error
        return questions, failed

    def _adoption(self, resource: Resource, live: Live) -> list[str]:
        """Return the question to ask before a recorded resource without our tags is adopted."""
        name, tags = resource.facts(self.ctx, live)["id"], resource.tags(live) or {}
        if owned(self.ctx, resource, live):
            return []
        if name not in self.adopt or not may_be_adopted(self.ctx, tags):
            check_owner(self.ctx, resource, live)
        self.shared.adopted.add(resource.key)
        question = (
            f"The {words(resource)} {described(self.ctx, resource, live)} doesn't carry this "
            f"stack's tags ({owner(tags)}). Add them, so that 'up' changes it and 'down' deletes "
            "it?"
        )
        return [question]

    def _work(self, key: str, exists: Callable[[], None]) -> None:
        resource = self.concerned[key]
        try:
            self.steps.begin(resource)
            ensured = self.ensure(self._at(resource.step), resource, self.shared)
            self.steps.end(resource, ensured.run(exists))
        except BaseException:
            # Calls in flight end and are recorded, waits end, and nothing new starts.
            self.ctx.waiter.stop.set()
            raise

    def _at(self, step: Step) -> Context:
        report, over = partial(self.reporter.waiting, step), partial(self.reporter.begin, step)
        return replace(self.ctx, waiter=replace(self.ctx.waiter, report=report, over=over))

    def raise_errors(self, failed: Mapping[str, BaseException], after: str, hint: str) -> None:
        """Raise the errors for the user, if there are any: all of them, and how to continue."""
        wrong = {k: e for k, e in failed.items() if not isinstance(e, KeyboardInterrupt)}
        told = {k: e for k, e in wrong.items() if isinstance(e, (*AWS_ERRORS, CogauthError))}
        errors = list(told.values())
        # One cause, such as expired credentials, may have stopped several steps at once.
        titles: dict[str, list[str]] = {}
        hints: dict[str, None] = {}
        for key, error in told.items():
            why = translate(error)
            titles.setdefault(why.message, []).append(f"'{self.concerned[key].step.title}'")
            hints |= {why.hint: None} if why.hint else {}
        for defect in wrong.values():
            if defect not in errors:
                for message in titles:
                    defect.add_note(f"Besides: {message}")
                raise defect
        if not wrong:
            return
        if len(errors) == 1 and isinstance(errors[0], CogauthError):
            raise errors[0]
        said = [
            f"The step{'s' if len(names) > 1 else ''} {', '.join(names)} failed: {message}"
            for message, names in titles.items()
        ]
        said.append(after)
        cause = errors[0] if len(errors) == 1 else ExceptionGroup("several steps failed", errors)
        lines = said if len(titles) > 1 else [" ".join(said)]
        raise CogauthError(*lines, hint=" ".join([*hints, hint])) from cause
