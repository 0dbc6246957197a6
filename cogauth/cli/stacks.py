"""The stack of a command: its state file, and its account."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cogauth.cli.output import ThisRun, notice
from cogauth.errors import CogauthError, IncompleteError, NoStackError, StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.clients import Aws
    from cogauth.cli.options import Target
    from cogauth.context import Context
    from cogauth.local.process import Started
    from cogauth.record.state import State
    from cogauth.settings import Settings

LOST = (
    "The local AWS ended without saving its data, for example by kill -9. The stack and its users "
    "don't exist there any more."
)


def report_once(indent: str = "") -> Callable[[str, float], None]:
    """Return a function that says once what the command waits for, and the time limit."""
    told: set[str] = set()

    def report(reason: str, seconds_left: float) -> None:
        if reason not in told:
            told.add(reason)
            notice(f"{indent}waiting for {reason}, up to {seconds_left:.0f} s")

    return report


def connect(
    target: Target, state: State, *clients: str, ask: bool = True, creates: bool = False
) -> Context:
    """Return the stack in the account and region that the options and the state file agree on.

    With ``ask`` this asks AWS who is calling, creates the ``clients`` meanwhile, and checks the
    account. With ``creates`` AWS's own variables for the region count like an option.
    Raises CogauthError if they don't agree, or the stack's local AWS has lost its data.
    """
    if state.local_data is not None:
        started = _start_recorded(target, state)
        if started.data_id != state.local_data:
            raise IncompleteError(LOST, hint=f"Run '{state.command('up')}' to recreate the stack.")
        return _context(target, state, _aws(target, state.region, started))
    aws = _aws(target, (_region(target) if creates else target.region) or state.region)
    _check_same(state, "region", state.region, aws.region)
    if state.endpoint_url is not None and aws.endpoint_url is None:
        raise UsageError(
            f"The state file {state.path} says that the stack is at {state.endpoint_url}, which "
            "isn't AWS's own. Your credentials and passwords would be sent there, so you have to "
            "confirm it. Nothing was touched.",
            hint=(
                "If you know that endpoint, give it yourself: --endpoint-url "
                f"{shlex.quote(state.endpoint_url)} (or COGAUTH_ENDPOINT_URL)."
            ),
        )
    remedy = "Give that one with --endpoint-url"
    if state.endpoint_url is None:
        # No option stands for AWS's own endpoint.
        remedy = (
            "Leave out --endpoint-url and COGAUTH_ENDPOINT_URL"
            if target.endpoint_url
            else "Unset AWS_ENDPOINT_URL, take endpoint_url out of the AWS profile, or set "
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"
        )
    recorded, present = (url or "AWS's own" for url in (state.endpoint_url, aws.endpoint_url))
    _check_same(state, "endpoint", recorded, present, remedy)
    if ask:
        aws.identify(*clients)
        _check_same(
            state,
            "account",
            state.account,
            aws.account,
            "Give credentials of that account, for example with --profile",
        )
    return _context(target, state, aws)


def new_context(
    target: Target, settings: Settings, started: Started | None, *clients: str
) -> Context:
    """Return a new stack: nothing exists in AWS or on disk yet.

    It is on the local AWS that was started, or in the account that the options and the environment
    name. ``clients`` are made while AWS is asked who is calling.
    """
    from cogauth.record.state import State

    aws = _aws(target, target.region if started else _region(target), started)
    if started is None:
        aws.identify(*clients)
    state = State(
        path=target.state_path,
        stack=target.stack,
        account=aws.account,
        region=aws.region,
        endpoint_url=aws.endpoint_url,
        settings=settings,
        local_data=started.data_id if started else None,
        profile=target.profile,
    )
    return _context(target, state, aws)


def unasked_context(target: Target, settings: Settings, region: str | None) -> Context:
    """Return a new stack of an unknown account, for what makes no call."""
    from cogauth.record.state import State

    aws = _aws(target, _region(target) or region)
    state = State(
        path=target.state_path,
        stack=target.stack,
        account="",
        region=aws.region,
        endpoint_url=aws.endpoint_url,
        settings=settings,
        profile=target.profile,
    )
    return _context(target, state, aws)


def find_account(target: Target, account: str | None) -> tuple[str, str, str]:
    """Return the partition, region and account of a stack without a state file.

    AWS is asked for the account only if that is None. Raises CogauthError if it can't be asked.
    """
    from cogauth.aws.errors import AWS_ERRORS, failure

    aws = _aws(target, _region(target))
    if account is not None:
        return aws.regions_partition, aws.region, account
    try:
        aws.identify()
    except (*AWS_ERRORS, CogauthError) as error:
        after = "Give --account to write the policy without asking."
        raise failure("Asking AWS for the account", error, after=after) from error
    return aws.partition, aws.region, aws.account


def _region(target: Target) -> str | None:
    return target.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _aws(target: Target, region: str | None, started: Started | None = None) -> Aws:
    from cogauth.aws.clients import Aws

    if started is not None:
        return Aws(region=region, endpoint_url=started.endpoint_url, local=started.keys)
    return Aws(
        profile=target.profile,
        region=region,
        endpoint_url=target.endpoint_url,
        allow_http=target.allow_http,
    )


def _context(target: Target, state: State, aws: Aws) -> Context:
    from cogauth.context import Context

    ThisRun.endpoint_url = aws.endpoint_url
    return Context(aws, state, aws.waiter(), settle_s=target.settle)


def forget_lost_data(target: Target, state: State) -> None:
    """Empty the record of a stack whose local AWS lost its data; the file must be locked."""
    data = data_of(target, state)
    if data == state.local_data:
        return
    from cogauth.record.files import remove_private

    notice(LOST)
    state.resources.clear()
    state.attachments.clear()
    state.local_data = data
    notice(*remove_private(state.tokens_path))
    state.save()


def data_of(target: Target, state: State) -> str | None:
    """Return the id of the data that the stack's local AWS serves; None for a stack elsewhere."""
    return None if state.local_data is None else _start_recorded(target, state).data_id


def _start_recorded(target: Target, state: State) -> Started:
    """Start the local AWS that a state file names, unless the options contradict it."""
    _check_same(state, "region", state.region, target.region or state.region)
    recorded = state.endpoint_url
    remedy = "Give the same with --endpoint-url"
    _check_same(state, "endpoint", recorded, target.endpoint_url or recorded, remedy)
    # Checked first, because a state file can say anything and nobody would stop that server.
    here = target.local_aws.endpoint_url or "a local AWS beside it"
    _check_same(state, "endpoint", recorded, here, "Give the same with --state")
    started = start_local(target)
    _check_same(state, "endpoint", recorded, started.endpoint_url, "Give the same with --state")
    return started


def start_local(target: Target, *, begins: bool = False) -> Started:
    """Start the local AWS beside the state file unless it runs.

    With ``begins`` it is for a stack without a state file; see ``LocalAws.start``.
    """
    started = target.local_aws.start(begins=begins)
    if started.forgotten is not None:
        notice(
            "The local AWS can't record that its data are yours, so it will start empty the next "
            f"time: {started.forgotten}. Set XDG_STATE_HOME to a folder of your own."
        )
    return started


def _check_same(
    state: State,
    what: str,
    recorded: str | None,
    present: str | None,
    remedy: str = "Give the same with --region",
) -> None:
    if recorded != present:
        raise StateError(
            f"The state file {state.path} is of {what} {recorded}, not of {present}. Nothing was "
            "touched.",
            hint=f"{remedy}, or use another --stack or --state.",
        )


def load_state(target: Target) -> State | None:
    """Return the stack's state, or None if it has no state file."""
    from cogauth.record.state import load

    state = load(target.state_path)
    if state is None:
        return None
    if state.stack != target.stack:
        raise StateError(
            f"The state file {state.path} is of the stack {state.stack}, not of {target.stack}.",
            hint=f"Give --stack {state.stack}, or another --state.",
        )
    state.profile = target.profile
    return state


def complete_stack(target: Target, state: State, *clients: str) -> Context:
    """Return a complete stack; ``clients`` are the AWS clients that the command needs."""
    from cogauth.record.files import check_beside

    # Checked before a password is sent or a user created: the tokens must be storable.
    check_beside(state.path)
    ctx = connect(target, state, *clients)
    check_complete(ctx)
    ctx.waiter.report = report_once()
    return ctx


def check_complete(ctx: Context) -> None:
    """Raise IncompleteError if, by its state file, the stack is incomplete."""
    from cogauth import engine

    if not engine.is_complete(ctx):
        raise IncompleteError(
            f"The stack {ctx.stack} is not complete.",
            hint=f"Run '{ctx.state.command('up')}' first.",
        )


def check_exists(ctx: Context) -> None:
    """Check that the stack's API and user pool exist, before asking for a password.

    Raises CogauthError if one doesn't, or isn't the stack's.
    """
    from cogauth.aws.errors import AWS_ERRORS
    from cogauth.gateway.rest_apis import check_own
    from cogauth.steps.lookup import check_pool

    check_own(ctx)
    # Signing in needs no permission on the pool, and reports other problems itself.
    with suppress(*AWS_ERRORS):
        check_pool(ctx)


def require_state(target: Target, *, exit_code: int = 2) -> State:
    """Return the stack's state; raise NoStackError if there is no state file."""
    state = load_state(target)
    if state is None:
        others = stacks_here(target)
        here = f"Stacks here: {', '.join(others)}." if others else ""
        error = NoStackError(
            f"There is no stack here: the state file {target.state_path} doesn't exist. "
            f"{here}".rstrip(),
            hint=(
                "Run this command in the folder of the state file, or give --stack or --state. If "
                "the file was lost, run 'cogauth recover'. To create a new stack, run 'cogauth up'."
            ),
        )
        error.exit_code = exit_code
        raise error
    return state


def stacks_here(target: Target) -> list[str]:
    """Return the stacks with state files in the same folder, each with its options."""
    found = []
    with suppress(CogauthError):  # Nobody asked about this folder, or about a file without a stack.
        for path, state in state_files(target):
            if isinstance(state, CogauthError):
                continue
            options = f"--stack {state.stack}"
            if path != Path(".cogauth", f"{state.stack}.json"):
                options += f" --state {shlex.quote(str(path))}"
            found.append(f"{state.stack} ({options})")
    return found


def _light(error: CogauthError) -> CogauthError:
    """Return an error without its frames, which hold the whole file."""
    if error.__cause__ is not None:
        error.__cause__.with_traceback(None)
    return error.with_traceback(None)


def state_files(target: Target) -> Iterator[tuple[Path, State | CogauthError]]:
    """Yield the state files in the target's folder, each with its state, or why it has none.

    Raises CogauthError if the folder can't be read.
    """
    from cogauth.record.files import STATE_FOLDER, is_beside, is_kept, is_link
    from cogauth.record.state import is_of_cogauth, load

    folder = target.state_path.parent
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(
            f"The folder {folder} can't be read: {error.strerror}.",
            hint="Give a state file in another folder with --state FILE.",
        ) from error
    for path in paths:
        if is_beside(path) or is_kept(path):
            continue
        link = is_link(path)
        # In other folders any program may have .json files, and links to them.
        in_ours = path.suffix == ".json" and folder.name == STATE_FOLDER
        expected = in_ours or path == target.state
        if not expected and (link or not path.is_file() or not is_of_cogauth(path)):
            continue
        try:
            if link:
                raise StateError(
                    f"{path} is a link. It was not followed, because it may have come with a "
                    "clone.",
                    hint="If it is yours, give the file that it leads to with --state FILE.",
                )
            state = load(path)
        except CogauthError as error:
            yield path, _light(error)
        else:
            if state is not None:
                yield path, state


def where(ctx: Context) -> str:
    """Return the account and region of a stack, in words."""
    place = f"account {ctx.aws.account}, region {ctx.aws.region}"
    if ctx.state.endpoint_url is None:
        return place
    local = " on the local AWS" if ctx.state.local_data is not None else ""
    return f"{place}{local} at {ctx.state.endpoint_url}"
