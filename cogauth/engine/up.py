"""``up``: create the stack, or its missing parts, several resources at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from cogauth.aws.errors import AWS_ERRORS, explain
from cogauth.engine import graph
from cogauth.engine.ensure import Ensure, Run
from cogauth.engine.reporting import Reporter, StepResult, Steps
from cogauth.errors import CogauthError
from cogauth.record.records import CREATING, DELETING, OUTDATED
from cogauth.steps import RESOURCES, STEPS
from cogauth.steps.base import Resource
from cogauth.steps.lookup import CLIENTS, outlived, read
from cogauth.steps.ownership import check_owner, described, may_be_adopted, owned, owner, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.steps.base import Step

UP_CLIENTS = (*CLIENTS, "cognito_once", "apigateway_once")


def up(ctx: Context, reporter: Reporter, adopt: Collection[str] = ()) -> list[StepResult]:
    """Create the stack, or its missing parts; return each step's result, in order.

    Args:
        ctx: the stack; its settings are saved unless the user answers no to a question.
        reporter: receives the progress.
        adopt: ids of recorded user pools and REST APIs whose tags are to be restored.

    Raises:
        CogauthError: one or more steps failed; the state file records what exists.
        KeyboardInterrupt: the stop event was set; the state file records what exists.
    """
    return _Up(ctx, reporter, adopt).run()


class _Up:
    def __init__(self, ctx: Context, reporter: Reporter, adopt: Collection[str]) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.adopt = adopt
        self.concerned = {
            key: resource
            for key, resource in RESOURCES.items()
            if resource.wanted(ctx) or ctx.state.record(key) is not None
        }
        turns = {resource.root_key: Lock() for resource in self.concerned.values()}
        self.shared = Run(reporter, turns)
        self.steps = Steps(ctx, reporter, self.concerned)

    def run(self) -> list[StepResult]:
        ctx = self.ctx
        ctx.aws.make_clients(*UP_CLIENTS)
        self._raise(self._ask_first(), "Nothing was touched.", "Run the same command again.")
        # Save the settings now: the user has agreed to them, and nothing was changed yet.
        ctx.state.save()
        options = ctx.state.options
        self._raise(
            graph.run(self._needs(), self._work, ctx.waiter.stop),
            f"Nothing is lost: {ctx.state.path} records what exists.",
            f"Run 'cogauth up{options}' again to continue, or 'cogauth down{options}' to delete "
            "everything.",
        )
        if len(self.steps.results) < len(STEPS):
            raise KeyboardInterrupt
        if (settings := ctx.state.settings.carried_out()) != ctx.state.settings:
            ctx.state.settings = settings
            ctx.state.save()
        return [self.steps.results[step.name] for step in STEPS]

    def _needs(self) -> Mapping[str, list[str]]:
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

    def _ask_first(self) -> dict[str, BaseException]:
        """Ask about irreversible changes before anything is touched; return the errors.

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
                if record["status"] == OUTDATED:
                    continue  # It will be replaced, whatever its state.
                self.shared.known[key] = live
                # If it is gone because 'down' deleted it, 'down' has already asked.
                if not deleting or live is not None:
                    questions += resource.questions(ctx, record, live)
            except (*AWS_ERRORS, CogauthError) as error:
                failed[key] = error
        for question in questions if not failed else ():
            ctx.confirm(question)
        return failed

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
            ensured = Ensure(self._at(resource.step), resource, self.shared)
            self.steps.end(resource, ensured.run(exists))
        except BaseException:
            # Calls in flight end and are recorded, waits end, and nothing new starts.
            self.ctx.waiter.stop.set()
            raise

    def _at(self, step: Step) -> Context:
        report, over = partial(self.reporter.waiting, step), partial(self.reporter.begin, step)
        return replace(self.ctx, waiter=replace(self.ctx.waiter, report=report, over=over))

    def _raise(self, failed: Mapping[str, BaseException], after: str, hint: str) -> None:
        """Raise the errors for the user, if there are any: all of them, and how to continue."""
        wrong = {k: e for k, e in failed.items() if not isinstance(e, KeyboardInterrupt)}
        told = {k: e for k, e in wrong.items() if isinstance(e, (*AWS_ERRORS, CogauthError))}
        errors = list(told.values())
        # One cause, such as expired credentials, may have stopped several steps at once.
        titles: dict[str, list[str]] = {}
        hints: dict[str, None] = {}
        for key, error in told.items():
            why = explain(error)
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
