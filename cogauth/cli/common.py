"""What the commands share: the options, the connection they describe, errors and output."""

from __future__ import annotations

import errno
import functools
import math
import os
import shlex
import signal
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.output import notice, print_json, tell_error
from cogauth.errors import CogauthError, StateError, UsageError
from cogauth.settings import DEFAULT_STACK, check_stack_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from cogauth.context import Aws, Context
    from cogauth.local.process import LocalAws, Started
    from cogauth.record.state import State
    from cogauth.settings import Settings


# A full disk, a spent quota, a broken device: what writing to stdout can meet.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@dataclass(frozen=True)
class Target:
    """Which stack, where, and how its results are shown: the options that all commands have."""

    stack: str
    state: Path | None
    profile: str | None
    region: str | None
    endpoint_url: str | None
    as_json: bool
    debug: bool
    allow_http: bool = False
    trust_state: bool = False

    @property
    def state_path(self) -> Path:
        """The state file."""
        return self.state or default_state_path(self.stack)

    @property
    def local_aws(self) -> LocalAws:
        """The embedded local AWS whose data lie beside the state file; started or not."""
        from cogauth.local.process import FOLDER, LocalAws

        return LocalAws(self.state_path.parent / FOLDER)

    def command(self, words: str) -> str:
        """Return a command line for the same stack, to be shown to the user."""
        options: dict[str, object] = {
            "--stack": self.stack if self.stack != DEFAULT_STACK else None
        }
        options |= {"--state": self.state, "--profile": self.profile}
        options |= {"--endpoint-url": self.endpoint_url}
        given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value]
        flags = {"--allow-http": self.allow_http, "--trust-state": self.trust_state}
        given += [name for name, value in flags.items() if value]
        return " ".join(["cogauth", words, *given])


def target_options(command: Callable[..., int | None]) -> Callable[..., int]:
    """Give a command the options of a Target, and turn its errors into messages and exit codes.

    The command gets the target as its first argument and returns its exit code.
    """

    @click.option(
        "--stack",
        default=DEFAULT_STACK,
        show_default=True,
        envvar="COGAUTH_STACK",
        help="The stack's name: the resources' names begin with it.",
    )
    @click.option(
        "--state",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="COGAUTH_STATE",
        help="The file that records what stands.  [default: .cogauth/STACK.json]",
    )
    @click.option("--profile", envvar="COGAUTH_PROFILE", help="A profile of the AWS configuration.")
    @click.option("--region", envvar="COGAUTH_REGION", help="The AWS region, as eu-central-1.")
    @click.option(
        "--endpoint-url",
        envvar="COGAUTH_ENDPOINT_URL",
        help="Another server than AWS's, such as a local AWS that runs already.",
    )
    @click.option(
        "--allow-http",
        is_flag=True,
        envvar="COGAUTH_ALLOW_HTTP",
        help="Let credentials, passwords and tokens go to another machine by plain HTTP.",
    )
    @click.option(
        "--trust-state",
        is_flag=True,
        envvar="COGAUTH_TRUST_STATE",
        help="Take the state file as it is, whoever owns it and may write to it.",
    )
    @click.option(
        "--json",
        "as_json",
        is_flag=True,
        envvar="COGAUTH_JSON",
        help="Print the result as one JSON document.",
    )
    @click.option(
        "--debug", is_flag=True, envvar="COGAUTH_DEBUG", help="Show an error's traceback too."
    )
    @functools.wraps(command)
    def run(  # noqa: PLR0913, PLR0917 click passes each option by its name
        stack: str,
        state: Path | None,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        as_json: bool,  # noqa: FBT001
        debug: bool,  # noqa: FBT001
        allow_http: bool,  # noqa: FBT001
        trust_state: bool,  # noqa: FBT001
        **options: Any,
    ) -> int:
        try:
            check_stack_name(stack)
            state = _followed(stack, state)
            target = Target(
                stack, state, profile, region, endpoint_url, as_json, debug, allow_http, trust_state
            )
            from cogauth.record.files import trusting

            with trusting(target.state_path.parent) if trust_state else nullcontext():
                return command(target, **options) or 0
        except (click.Abort, KeyboardInterrupt):
            if as_json:
                print_json({"error": "Interrupted."})
            raise
        except Exception as error:
            failure = _as_ours(error)
            if failure is None:
                raise
            if debug:
                from cogauth.aws.environment import redact

                # An error's text may have line ends: none of its lines may look like ours.
                lines = redact(traceback.format_exc()).rstrip().split("\n")
                notice(*(f"| {line}" for line in lines))
            if as_json:
                print_json({"error": "\n".join(failure.lines)})
            tell_error(failure)
            return failure.exit_code

    return run


def _followed(stack: str, state: Path | None) -> Path | None:
    """Return the state file that is meant: where it is a link, the file that the link leads to.

    The file is replaced at every write, and its lock and the tokens are kept beside it. A link
    must lead all of them to one place, whichever name the file is reached by. Only one that the
    user gives is followed: what lies at the default place may have come with a clone.

    Raises:
        UsageError: the link leads to itself, or is at the default place.
    """
    path = state or default_state_path(stack)
    links = []
    try:
        links = [each for each in ([path] if state else [path.parent, path]) if each.is_symlink()]
        if not links:
            return state
        end = path.resolve()
        looped = end.is_symlink()
    except RuntimeError:  # as Python 3.11 and 3.12 have it
        looped = True
    except OSError:
        return state  # Whoever opens it says what is wrong.
    if looped:
        raise UsageError(f"--state {path} can't be used: the link leads to itself.")
    if state is None:
        raise UsageError(
            f"{links[0]} is a link to {links[0].readlink()}, and was left as it is: a clone can "
            "carry one, so none is followed where no --state is given. If it is yours, give what "
            f"it leads to: --state {shlex.quote(str(end))}"
        )
    return end


def default_state_path(stack: str) -> Path:
    """Return the state file of a stack for which no other is given."""
    return Path(".cogauth") / f"{stack}.json"


def _as_ours(error: Exception) -> CogauthError | None:
    """Return the error as one of ours, or None if it is about our own output."""
    if isinstance(error, CogauthError):
        return error
    if is_about_output(error):
        return None
    from cogauth.aws.errors import AWS_ERRORS, explain

    if isinstance(error, AWS_ERRORS):
        return CogauthError(explain(error))
    from cogauth.aws.environment import in_force, redact

    if isinstance(error, OSError) and error.filename is not None:
        return CogauthError(f"{error.filename}: {error.strerror or error}.")
    text = redact(f"{type(error).__name__}: {error}")
    # It may be an answer that isn't AWS's: of those only the first one is checked.
    return CogauthError(
        f"This is a defect of cogauth, or nothing that AWS would answer: {text}. Please report it "
        f"with what --debug shows. {in_force()}".rstrip()
    )


def is_about_output(error: Exception) -> bool:
    """Say whether our output can't be written: its reader has gone, or a disk is full."""
    if isinstance(error, BrokenPipeError):
        return True
    return isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is None


class Seconds(click.FloatRange):
    """A number of seconds, 0 or more; neither infinity nor NaN, by which a wait would never end."""

    name = "seconds"

    def __init__(self) -> None:
        """Describe it."""
        super().__init__(min=0)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail as click does."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number


def writer_options(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command that writes the state file the options of the lock and the settling time."""
    for option in (
        click.option(
            "--lock-timeout",
            type=Seconds(),
            default=0.0,
            show_default=True,
            envvar="COGAUTH_LOCK_TIMEOUT",
            help="Seconds to wait for another cogauth at work on the same state file.",
        ),
        click.option(
            "--settle",
            type=Seconds(),
            default=15.0,
            show_default=True,
            envvar="COGAUTH_SETTLE",
            help="Seconds after which what an interrupted run may have made is believed absent.",
        ),
    ):
        command = option(command)
    return command


def on_ending(handler: Callable[[int, FrameType | None], object]) -> None:
    """Let this be done on Ctrl-C, on SIGTERM, and when the terminal is closed.

    Not SIG_IGN, to ignore them: Python prints that it lost a signal that comes in that instant.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ignored from the start: by nohup, or by a shell that runs us in its background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


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
    from cogauth.context import Aws

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
    from cogauth.context import Aws
    from cogauth.record.files import remove_private

    for option, given, recorded in (
        ("--region", target.region, state.region),
        ("--endpoint-url", target.endpoint_url, state.endpoint_url),
    ):
        _check_same(state, option[2:], recorded, given or recorded, option)
    # Before one is started that nobody would stop: a state file can say anything.
    here = target.local_aws.endpoint_url or "a local AWS beside it"
    _check_same(state, "endpoint", state.endpoint_url, here, "--state")
    started = _started(target)
    _check_same(state, "endpoint", state.endpoint_url, started.endpoint_url, "--state")
    if started.data_id != state.local_data:
        notice(
            "The local AWS ended without saving its data, so nothing of the stack stands there "
            "any more, nor do its users."
        )
        state.resources.clear()
        state.attachments.clear()
        state.local_data = started.data_id
        for line in remove_private(state.tokens_path):
            notice(line)
        state.save()
    return Aws(region=state.region, endpoint_url=started.endpoint_url, local=started.keys)


def _started(target: Target) -> Started:
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


def new_stack(target: Target, settings: Settings, *, local: bool) -> Context:
    """Open the state file of a stack that is about to be made, after all that can be checked is.

    Args:
        target: the options.
        settings: the stack's.
        local: on the embedded local AWS, which is started.

    Raises:
        CogauthError: the folder can't be written to, or the stack's names are not free.
        BotoCoreError, ClientError: no credentials, or none that AWS takes.
    """
    from cogauth import engine
    from cogauth.context import Aws
    from cogauth.record.files import check_writable
    from cogauth.steps.iam import check_boundary

    check_writable(target.state_path)
    local_data = None
    # One that was there before may hold a stack whose state file is elsewhere for now.
    unused = local and target.local_aws.endpoint_url is None
    try:
        if local:
            notice("Starting the local AWS …")
            started = _started(target)
            local_data = started.data_id
            aws = Aws(region=target.region, endpoint_url=started.endpoint_url, local=started.keys)
        else:
            aws = connect(target, None, from_environment=True, clients=engine.UP_CLIENTS)
        ctx = unsaved_stack(target, aws, settings, local_data)
        check_boundary(ctx, settings)
        engine.check_names(ctx)
        ctx.state.save()
    except BaseException:
        if unused:
            stop_unused_local(target, local_data)
        raise
    return ctx


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
    return Context(aws, state)


def stop_unused_local(target: Target, served: str | None, ctx: Context | None = None) -> bool:
    """End the local AWS and delete its data, unless it is in use: then say by what.

    Args:
        target: the options.
        served: which data it serves; None if it never came up.
        ctx: the stack that is gone from it; None if there never was one, so that nothing else can
            stand there either.
    """
    users = local_users(target, served, ctx)
    for user in users:
        notice(f"The local AWS keeps running: {user}")
    if not users:
        target.local_aws.remove()
    return not users


def local_users(target: Target, served: str | None, ctx: Context | None) -> list[str]:
    """Say, each in a sentence, what the local AWS is in use by beside the target's own stack.

    The local AWS is asked itself, for a stack's state file may be damaged, or elsewhere.
    """
    given = f" --state {shlex.quote(str(target.state))}" if target.state else ""
    said, known = [], set()
    sound, damaged = _states_beside(target)
    for path, state in sound:
        if state.local_data == served:
            known.add(state.stack)
            down = f"cogauth down --stack {state.stack} --state {shlex.quote(str(path))}"
            said.append(f"the stack {state.stack} of {path} is on it. '{down}' deletes that.")
    for path in damaged:
        its = f"--stack NAME --state {shlex.quote(str(path))}"
        said.append(
            f"{path} can't be read, or others can write to it; it may belong to a stack on the "
            f"local AWS. If it does, 'cogauth recover {its}' writes it anew, and 'cogauth down "
            f"{its}' then deletes that stack. If it doesn't, delete the file: 'cogauth down "
            f"--yes{given}' then ends the local AWS."
        )
    if ctx is not None:
        stacks, pools = _standing_beside(ctx)
        said += [
            f"a stack {stack} stands in it. 'cogauth down --stack {shlex.quote(stack)}' deletes "
            "that, with the --state that it was made with; if its state file is lost or damaged, "
            "'cogauth recover' with the same options writes it anew."
            for stack in sorted(stacks - known)
        ]
        said += [
            f"the user pool {name} ({pool}) stands in it. Delete it at {ctx.aws.endpoint_url}, "
            f"then 'cogauth down --yes{given}' ends the local AWS."
            for pool, name in pools
        ]
    return said


def _standing_beside(ctx: Context) -> tuple[set[str], list[tuple[str, str]]]:
    """Return the other stacks that stand in a local AWS, and the user pools of no stack.

    A stack's roles tell of it whatever its region; pools are those of this region.
    """
    iam, cognito, own = ctx.aws.iam, ctx.aws.cognito, ctx.state.stack_id
    every = [
        {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role["RoleName"])["Tags"]}
        for page in iam.get_paginator("list_roles").paginate()
        for role in page["Roles"]
    ]
    found = []
    pages = cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 60})
    for page in pages:
        for pool in page["UserPools"]:
            described = cognito.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]
            tags = described.get("UserPoolTags") or {}
            every.append(tags)
            if "cogauth:stack" not in tags:
                found.append((pool["Id"], pool["Name"]))
    others = [tags for tags in every if tags.get("cogauth:stack-id") != own]
    return {tags["cogauth:stack"] for tags in others if "cogauth:stack" in tags}, found


def local_stacks(target: Target, served: str | None = None) -> tuple[list[Path], list[Path]]:
    """Return the state files beside the target's whose stacks are, or may be, on the local AWS.

    Args:
        target: the options; its own state file doesn't count.
        served: which data the local AWS serves; None: any.

    Returns:
        Those that are of such a stack; and those of cogauth's that can't be read, or that others
        may have written.
    """
    sound, damaged = _states_beside(target)
    return [path for path, state in sound if served in {None, state.local_data}], damaged


def _states_beside(target: Target) -> tuple[list[tuple[Path, State]], list[Path]]:
    """Return the state files beside the target's that are on a local AWS; and those that may be.

    Others' files may lie there as well. One that ``recover`` kept doesn't count: a sound one has
    taken its place since.
    """
    from cogauth.record.files import is_beside, is_kept, is_link
    from cogauth.record.state import is_of_cogauth, load

    sound, damaged = [], []
    for path in sorted(target.state_path.parent.glob("*")):
        if path == target.state_path or is_link(path) or not path.is_file():
            continue
        if is_beside(path) or is_kept(path) or not is_of_cogauth(path):
            continue
        try:
            state = load(path)
        except CogauthError:
            damaged.append(path)
            continue
        if state is not None and state.local_data is not None:
            sound.append((path, state))
    return sound, damaged


def search(target: Target) -> Context:
    """Return where a stack without a state file is to be looked for; nothing is on disk.

    That is the account that the options and the environment name; or the local AWS beside the
    state file, if something of the stack stands there, or no state file here is of a stack on it.
    """
    from cogauth import engine
    from cogauth.context import Aws
    from cogauth.record.files import check_place
    from cogauth.settings import Settings

    local = target.local_aws
    elsewhere = target.endpoint_url or target.profile or target.region
    if not elsewhere and local.endpoint_url is not None:
        check_place(target.state_path)
        ran = local.is_running()
        started = _started(target)
        aws = Aws(endpoint_url=started.endpoint_url, local=started.keys)
        ctx = unsaved_stack(target, aws, Settings(), started.data_id)
        if local_stacks(target, started.data_id) == ([], []) or any(engine.survey(ctx)):
            return ctx
        if not ran:
            local.stop()
    return unsaved_stack(target, connect(target, None, from_environment=True), Settings())


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


def complete_stack(target: Target, *, clients: tuple[str, ...] = ()) -> Context:
    """Return the stack, of which all must stand.

    Args:
        target: the options.
        clients: those that the command is going to use.

    Raises:
        UsageError: there is no state file.
        CogauthError: the stack is not complete.
    """
    state = require_state(target)
    from cogauth.context import Context
    from cogauth.record.files import check_beside

    check_beside(state.path)
    ctx = Context(connect(target, state, clients=clients), state)
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
