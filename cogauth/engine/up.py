"""``up``: create the stack, or its missing parts, several resources at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.engine.ensure import changed_meanwhile
from cogauth.engine.plan import UNTOUCHED, plan
from cogauth.engine.tasks import UP_CLIENTS, Tasks
from cogauth.record.records import CREATING, DELETING
from cogauth.steps import STEPS
from cogauth.steps.cognito import take_over_sign_up

if TYPE_CHECKING:
    from collections.abc import Collection

    from cogauth.context import Context
    from cogauth.engine.reporting import Reporter, StepResult, UpPlan
    from cogauth.settings import Settings


def up(
    ctx: Context,
    reporter: Reporter,
    adopt: Collection[str] = (),
    former_settings: Settings | None = None,
    *,
    overwrite: bool = False,
) -> list[StepResult]:
    """Create the stack, or its missing parts; return each step's result, in order.

    If the stack exists, this plans first, and asks the plan's questions. If nothing differs, the
    plan has read all that there is to read.

    Args:
        ctx: the stack; its settings are saved unless the user answers no to a question.
        reporter: receives the progress.
        adopt: ids of recorded user pools and REST APIs whose tags are to be restored.
        former_settings: the settings before this run's choices; None if there are no choices.
        overwrite: whether the user has agreed to overwriting anything. Otherwise a resource that
            somebody changes after the plan is left alone, if the plan would have asked about it.

    Raises:
        CogauthError: one or more steps failed; the state file records what exists.
        KeyboardInterrupt: the stop event was set; the state file records what exists.
    """
    ctx.aws.make_clients(*UP_CLIENTS)
    take_over_sign_up(ctx)
    tasks = Tasks(ctx, reporter, adopt)
    settings = ctx.state.settings
    former_settings = former_settings or settings
    tasks.shared.former_settings = former_settings
    in_progress = True
    if ctx.state.resources:
        planned = _plan(tasks, adopt, former_settings)
        if planned.is_empty:
            return _nothing_to_do(ctx, reporter, planned)
        reporter.planned(planned)
        for question in planned.questions:
            ctx.confirm(question)
        _approve(ctx, tasks, planned, overwrite=overwrite)
        in_progress = settings != former_settings or _creates_values(ctx, planned)
    # Save the settings now: the user has agreed to them, and nothing was changed yet.
    if in_progress:
        ctx.state.settings = settings.begun()
    ctx.state.save()
    options = ctx.state.options
    tasks.raise_errors(
        tasks.run(),
        f"Nothing is lost: {ctx.state.path} records what exists.",
        f"Run 'cogauth up{options}' again to continue, or 'cogauth down{options}' to delete "
        "everything.",
    )
    if len(tasks.steps.results) < len(STEPS):
        raise KeyboardInterrupt
    _save(ctx)
    return [tasks.steps.results[step.name] for step in STEPS]


def _plan(tasks: Tasks, adopt: Collection[str], former_settings: Settings) -> UpPlan:
    """Return what differs; raise the errors that keep ``up`` from changing it."""
    planned = plan(tasks.ctx, tasks.reporter, adopt, former_settings)
    # What an interrupted run left may not be shown yet: the run waits for it, and decides.
    tasks.raise_errors(
        {
            key: error
            for key, error in planned.conflicts.items()
            if (tasks.ctx.state.record(key) or {}).get("status") != CREATING
        },
        *UNTOUCHED,
    )
    return planned


def _nothing_to_do(ctx: Context, reporter: Reporter, planned: UpPlan) -> list[StepResult]:
    _save(ctx)
    for warning in planned.warnings:
        reporter.warn(warning)
    for result in planned.results:
        reporter.end(result)
    return planned.results


def _approve(ctx: Context, tasks: Tasks, planned: UpPlan, *, overwrite: bool) -> None:
    """Look again at what a run can't undo, and hold the run to the plan."""
    questions, failed = tasks.look_first()
    tasks.raise_errors(failed, *UNTOUCHED)
    if overwrite:
        return
    if new := [each for each in questions if each not in planned.questions]:
        raise changed_meanwhile(
            ctx,
            "Somebody has changed the stack since the plan was made, so nothing was touched. 'up' "
            f"would have asked: {' '.join(new)}",
        )
    tasks.shared.approved = {row.resource.key: row for row in planned.rows}
    if tasks.shared.former_settings is not None and _is_unfinished(ctx):
        # What an interrupted run began may end during this one, and change values.
        tasks.shared.former_settings = tasks.shared.former_settings.begun()


def _creates_values(ctx: Context, planned: UpPlan) -> bool:
    """Return whether values may differ after an interruption that nobody has changed by hand."""
    return _is_unfinished(ctx) or any(row.is_new and row.resource.tuned for row in planned.rows)


def _is_unfinished(ctx: Context) -> bool:
    return any(each["status"] in {CREATING, DELETING} for each in ctx.state.resources.values())


def _save(ctx: Context) -> None:
    """Save the settings without the choices that applied to this run."""
    ctx.state.settings = ctx.state.settings.carried_out()
    ctx.state.save()
