"""The options that all commands share, and the handling of errors."""

from __future__ import annotations

import functools
import math
import shlex
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.failures import as_ours, error_code
from cogauth.cli.output import ThisRun, notice, print_error, tell_error
from cogauth.errors import Interrupted, UsageError
from cogauth.settings import DEFAULT_STACK, check_stack_name

if TYPE_CHECKING:
    from cogauth.local.process import LocalAws

Decorated = Callable[..., Any]


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
    settle: float = 15.0
    lock_timeout: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    thought: float = field(default_factory=lambda: ThisRun.thinking)

    @property
    def state_path(self) -> Path:
        """The state file."""
        return self.state or Path(".cogauth", f"{self.stack}.json")

    @property
    def local_aws(self) -> LocalAws:
        """The embedded local AWS whose data are beside the state file, running or not."""
        from cogauth.local.process import FOLDER, LocalAws

        return LocalAws(self.state_path.parent / FOLDER)

    @property
    def elapsed(self) -> float:
        """The command's time so far, in seconds, without waiting for the user's answers."""
        return round(time.monotonic() - self.begun - (ThisRun.thinking - self.thought), 3)

    def locked(self, command: str) -> AbstractContextManager[None]:
        """Return a context manager that holds the state file's lock."""
        from cogauth.record.lock import hold

        return hold(self.state_path, command, self.lock_timeout)


def is_typed(option: str) -> bool:
    """Return whether an option was given on the command line, not in the environment."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def with_options(
    *options: Callable[[Decorated], Decorated],
) -> Callable[[Decorated], Decorated]:
    """Return a decorator that gives a command several options or arguments, in this order."""

    def decorate(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


TARGET_OPTIONS = with_options(
    click.option(
        "-s",
        "--stack",
        default=DEFAULT_STACK,
        show_default=True,
        envvar="COGAUTH_STACK",
        help="The stack's name. The names of its resources begin with it.",
    ),
    click.option(
        "--state",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="COGAUTH_STATE",
        show_default=".cogauth/STACK.json",
        help="The state file: it records the resources that exist.",
    ),
    click.option(
        "--profile", envvar="COGAUTH_PROFILE", help="The profile of your AWS configuration to use."
    ),
    click.option("--region", envvar="COGAUTH_REGION", help="The AWS region, such as eu-central-1."),
    click.option(
        "--endpoint-url",
        envvar="COGAUTH_ENDPOINT_URL",
        help="Use this endpoint instead of AWS's, for example a local emulator.",
    ),
    click.option(
        "--allow-http",
        is_flag=True,
        envvar="COGAUTH_ALLOW_HTTP",
        help="Allow plain HTTP to another machine for credentials, passwords and tokens.",
    ),
    click.option(
        "--trust-state",
        is_flag=True,
        envvar="COGAUTH_TRUST_STATE",
        help="Use the state file even if other users own it or can write to it.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        envvar="COGAUTH_JSON",
        help="Print the result as one JSON document.",
    ),
    click.option(
        "--debug", is_flag=True, envvar="COGAUTH_DEBUG", help="Also show the traceback of an error."
    ),
)


def yes_option(
    help_text: str = "Don't ask for confirmation.",
) -> Callable[[Decorated], Decorated]:
    """Return a decorator that gives a command its --yes."""
    return click.option("-y", "--yes", is_flag=True, help=help_text)


def target_options(command: Callable[..., int | None]) -> Callable[..., int]:
    """Give a command a Target made of its options, and turn errors into messages and exit codes."""

    @functools.wraps(command)
    def run(**options: Any) -> int:
        names = [each.name for each in fields(Target) if each.name in options]
        given = {name: options.pop(name) for name in names}
        try:
            check_stack_name(given["stack"])
            target = _followed(Target(**given))
            from cogauth.record.trust import trusting

            folder = target.state_path.parent
            with trusting(folder) if target.trust_state else nullcontext():
                return command(target, **options) or 0
        except (click.Abort, KeyboardInterrupt):
            if given["as_json"]:
                print_error("interrupted", Interrupted("Interrupted."))
            raise
        except Exception as error:
            failure = as_ours(error)
            if failure is None:
                raise
            if given["debug"]:
                show_traceback(error)
            if given["as_json"]:
                print_error(error_code(error, failure), failure)
            tell_error(failure)
            return failure.exit_code

    return TARGET_OPTIONS(run)


def show_traceback(error: BaseException) -> None:
    """Print an error's traceback, for --debug."""
    from cogauth.aws.environment import redact

    # The prefix keeps lines of an error's text from looking like ours.
    lines = redact("".join(traceback.format_exception(error))).rstrip().split("\n")
    notice(*(f"| {line}" for line in lines))


def _followed(target: Target) -> Target:
    """Return the target with the state file that is meant: that which a link leads to.

    The file is replaced at every write, and its lock and the tokens are kept beside it. A link
    must lead all of them to one place, whatever name the file is reached by. Only a link that the
    user gives is followed: a link at the default place may have come with a clone.
    """
    path = target.state_path
    try:
        named = [path] if target.state else [path.parent, path]
        links = [each for each in named if each.is_symlink()]
        if not links:
            return target
        end = path.resolve()
        looped = end.is_symlink()
    except RuntimeError:  # raised by Python 3.11 and 3.12
        looped = True
    except OSError:
        return target  # Opening it reports what is wrong.
    if looped:
        raise UsageError(
            f"--state {path} can't be used: the link leads to itself.", hint="Give another file."
        )
    if target.state is None:
        raise UsageError(
            f"{links[0]} is a link to {links[0].readlink()}. It was not followed, because it may "
            "have come with a clone.",
            hint=f"If it is yours, give the file that it leads to: --state {shlex.quote(str(end))}",
        )
    return replace(target, state=end)


class Seconds(click.FloatRange):
    """A number of seconds, 0 or more; not infinity or NaN, with which a wait would never end."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or raise click's error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number


writer_options = with_options(
    click.option(
        "--settle",
        type=Seconds(min=0),
        default=15.0,
        show_default=True,
        envvar="COGAUTH_SETTLE",
        help="How long to look for resources that an interrupted run may have created, in seconds.",
    ),
    click.option(
        "--lock-timeout",
        type=Seconds(min=0),
        default=0.0,
        show_default=True,
        envvar="COGAUTH_LOCK_TIMEOUT",
        help="How long to wait while another cogauth uses the state file, in seconds.",
    ),
)
