"""The stack that a command is about: its state file, and the account that it stands in."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from cogauth.cli.output import notice
from cogauth.errors import CogauthError, StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.aws.clients import Aws
    from cogauth.cli.options import Target
    from cogauth.context import Context
    from cogauth.local.process import Started
    from cogauth.record.state import State
    from cogauth.settings import Settings

LOST = (
    "The local AWS ended without saving its data, so nothing of the stack exists there any more, "
    "nor do its users."
)


def report_once(indent: str = "") -> Callable[[str, float], None]:
    """Return what tells the user once for each thing that is waited for, and for how long."""
    told: set[str] = set()

    def report(reason: str, seconds_left: float) -> None:
        if reason not in told:
            told.add(reason)
            notice(f"{indent}waiting for {reason}, up to {seconds_left:.0f} s")

    return report


def connect(
    target: Target,
    state: State | None,
    *,
    from_environment: bool = False,
    clients: tuple[str, ...] = (),
) -> Aws:
    """Return the account and region that the options and the state file agree on.

    Args:
        target: the options.
        state: the stack's state; its region is taken where no option says one.
        from_environment: let AWS's own variables for the region speak like an option: for a
            command that creates, for they say where.
        clients: those that the command is going to use; they are made while AWS is asked who is
            calling.

    Raises:
        StateError: the state file was made for another account, region or endpoint.
        UsageError: no region, or a value that can't be used; or nobody but the state file says
            that there is such an endpoint.
        CogauthError: the stack's local AWS has lost its data, and ``forget_lost_data`` was not
            called.
        BotoCoreError, ClientError: no credentials, or none that AWS takes.
    """
    aws = unasked(target, state, from_environment=from_environment)
    if state is None or state.local_data is None:
        aws.identify(*clients)
        if state is not None:
            _check_same(state, "account", state.account, aws.account, "--profile")
    return aws


def unasked(target: Target, state: State | None, *, from_environment: bool = False) -> Aws:
    """Return the same as ``connect``, of which all is checked that AWS needn't be asked for.

    Raises:
        StateError: the state file was made for another region or endpoint.
        UsageError: as ``connect``.
    """
    from cogauth.aws.clients import Aws

    if state is not None and state.local_data is not None:
        return _connect_local(target, state)
    region = target.region
    if from_environment:
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if state is not None:
        region = region or state.region
    aws = Aws(
        profile=target.profile,
        region=region,
        endpoint_url=target.endpoint_url,
        allow_http=target.allow_http,
    )
    if state is not None:
        _check_same(state, "region", state.region, aws.region, "--region")
        if state.endpoint_url is not None and aws.endpoint_url is None:
            raise UsageError(
                f"The state file {state.path} says that the stack is at {state.endpoint_url}, "
                "which isn't AWS's own. Your credentials and passwords would go there, so a file's "
                "word is not enough. If you know that endpoint, give it yourself: --endpoint-url "
                f"{shlex.quote(state.endpoint_url)} (or COGAUTH_ENDPOINT_URL). Nothing was touched."
            )
        _check_same(
            state,
            "endpoint",
            state.endpoint_url or "AWS's own",
            aws.endpoint_url or "AWS's own",
            "--endpoint-url",
            _leftover(target) if state.endpoint_url is None else "",
        )
    return aws


def _connect_local(target: Target, state: State) -> Aws:
    """Start the stack's local AWS unless it runs; its credentials are not the user's."""
    from cogauth.aws.clients import Aws

    started = _start_recorded(target, state)
    if started.data_id != state.local_data:
        raise CogauthError(f"{LOST} Run '{state.command('up')}' to build it again.")
    return Aws(region=state.region, endpoint_url=started.endpoint_url, local=started.keys)


def forget_lost_data(target: Target, state: State) -> None:
    """Empty the record of a stack whose local AWS has lost its data, and say so.

    It is for a command that holds the state file's lock, and builds or deletes the stack.
    """
    if state.local_data is None:
        return
    from cogauth.record.files import remove_private

    started = _start_recorded(target, state)
    if started.data_id == state.local_data:
        return
    notice(LOST)
    state.resources.clear()
    state.attachments.clear()
    state.local_data = started.data_id
    for line in remove_private(state.tokens_path):
        notice(line)
    state.save()


def _start_recorded(target: Target, state: State) -> Started:
    """Start the local AWS that a state file names, unless it runs.

    Raises:
        StateError: the options, or what lies beside the state file, name another.
    """
    for option, given, recorded in (
        ("--region", target.region, state.region),
        ("--endpoint-url", target.endpoint_url, state.endpoint_url),
    ):
        _check_same(state, option[2:], recorded, given or recorded, option)
    # Before one is started that nobody would stop: a state file can say anything.
    here = target.local_aws.endpoint_url or "a local AWS beside it"
    _check_same(state, "endpoint", state.endpoint_url, here, "--state")
    started = start_local(target)
    _check_same(state, "endpoint", state.endpoint_url, started.endpoint_url, "--state")
    return started


def start_local(target: Target) -> Started:
    """Start the local AWS beside the state file unless it runs."""
    started = target.local_aws.start()
    if started.forgotten is not None:
        notice(
            "The local AWS can't note that its data are yours, so it begins empty once it has "
            f"ended: {started.forgotten}. Set XDG_STATE_HOME to a folder that you alone can write "
            "to."
        )
    return started


def _check_same(  # noqa: PLR0913, PLR0917 what it is about, and what to do
    state: State,
    what: str,
    recorded: str | None,
    present: str | None,
    option: str,
    remedy: str = "",
) -> None:
    if recorded != present:
        remedy = remedy or f"Give the same with {option}"
        raise StateError(
            f"The state file {state.path} is of {what} {recorded}, not of {present}. Nothing was "
            f"touched. {remedy}, or give another --stack or --state."
        )


def _leftover(target: Target) -> str:
    """Say how AWS's own endpoint is taken: no option can name it."""
    if target.endpoint_url:
        return "Leave out --endpoint-url and COGAUTH_ENDPOINT_URL"
    return (
        "Unset AWS_ENDPOINT_URL, take endpoint_url out of the AWS profile, or set "
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"
    )


def unsaved_stack(
    target: Target, aws: Aws, settings: Settings, local_data: str | None = None
) -> Context:
    """Return a stack of which nothing stands and nothing is on disk yet."""
    from cogauth.context import Context
    from cogauth.record.state import State

    state = State(
        path=target.state_path,
        stack=target.stack,
        account=aws.account,
        region=aws.region,
        endpoint_url=aws.endpoint_url,
        settings=settings,
        local_data=local_data,
        profile=target.profile,
    )
    return Context(aws, state, aws.waiter())


def load_state(target: Target) -> State | None:
    """Return the stack's state, or None if it has no state file.

    Raises:
        StateError: the file is damaged, or of a stack of another name.
    """
    from cogauth.record.state import load

    state = load(target.state_path)
    if state is not None and state.stack != target.stack:
        raise StateError(
            f"The state file {state.path} is of the stack {state.stack}, not of {target.stack}. "
            f"Give --stack {state.stack}, or another --state."
        )
    if state is not None:
        state.profile = target.profile
    return state


def complete_stack(target: Target, state: State, *, clients: tuple[str, ...] = ()) -> Context:
    """Return the stack, of which all must exist.

    Args:
        target: the options.
        state: the stack's.
        clients: those that the command is going to use.

    Raises:
        CogauthError: the stack is not complete, or what bears the tokens' name isn't our own.
        BotoCoreError, ClientError: no credentials, or none that AWS takes.
    """
    from cogauth.context import Context
    from cogauth.record.files import check_beside

    # Before a password is sent, or a user made, whose tokens couldn't be kept.
    check_beside(state.path)
    aws = connect(target, state, clients=clients)
    ctx = Context(aws, state, aws.waiter())
    check_complete(ctx)
    ctx.waiter.report = report_once()
    return ctx


def check_complete(ctx: Context) -> None:
    """See that all of the stack was made, as far as its state file knows.

    Raises:
        CogauthError: it wasn't.
    """
    from cogauth import engine

    if not engine.is_complete(ctx):
        raise CogauthError(
            f"The stack {ctx.stack} is not complete: run '{ctx.state.command('up')}' first."
        )


def require_state(target: Target) -> State:
    """Return the stack's state.

    Raises:
        UsageError: there is no state file.
    """
    state = load_state(target)
    if state is None:
        raise UsageError(no_stack(target))
    return state


def no_stack(target: Target) -> str:
    """Say that there is no state file, and what to do about it."""
    return (
        f"There is no stack here: the state file {target.state_path} doesn't exist. Run "
        "'cogauth up' first, or run this where its state file is, or give --stack or --state. "
        "If the file was lost: 'cogauth recover'."
    )


def where(ctx: Context) -> str:
    """Say in which account and region a stack is."""
    if ctx.state.local_data is not None:
        place = f" on the local AWS at {ctx.state.endpoint_url}"
    else:
        place = f" at {ctx.state.endpoint_url}" if ctx.state.endpoint_url else ""
    return f"account {ctx.aws.account}, region {ctx.aws.region}{place}"
