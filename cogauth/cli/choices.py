"""The options for a stack's settings, which ``up`` and ``plan`` share."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.options import with_options
from cogauth.cli.stacks import load_state
from cogauth.errors import UsageError
from cogauth.settings import CHARACTER_CLASSES, CLOSED, OPEN, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.cli.options import Target
    from cogauth.record.state import State

DEFAULTS = Settings()
# What the values of --sign-up mean, after "sign-up is".
SIGN_UP = {
    OPEN: "open: anyone can create an account",
    CLOSED: "closed: only administrators create users",
}
# The options that up and plan share.
SHARED = {*(each.name for each in fields(Settings)), "local", "adopt"}


def _setting(
    name: str, help_text: str, option: str | None = None, **attributes: Any
) -> Callable[[Any], Any]:
    """Return an option for a setting. If it is not given, the stack keeps its value."""
    default = getattr(DEFAULTS, name)
    option = option or "--" + name.replace("_", "-")
    variable = "COGAUTH_" + option[2:].replace("-", "_").upper()
    if isinstance(default, bool):
        option = f"{option}/--no-{option[2:]}"
    else:
        shown = (",".join(default) or "none") if isinstance(default, tuple) else default
        attributes = {"type": type(default), "show_default": str(shown), **attributes}
    return click.option(option, name, default=None, envvar=variable, help=help_text, **attributes)


def _classes(_ctx: click.Context, _option: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    names = [name.strip() for name in value.split(",") if name.strip()]
    return () if names == ["none"] else tuple(names)


def _origins(_ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Any:
    if not values:
        return None
    # Sorted, so that another order is not a change.
    return () if values == ("none",) else tuple(sorted(set(values)))


setting_options = with_options(
    click.option(
        "--local",
        is_flag=True,
        envvar="COGAUTH_LOCAL",
        help="Start an embedded local AWS and use it. Needs: pip install '.[local]'. It saves its "
        "data when it is stopped (SIGTERM), not when it is killed (kill -9).",
    ),
    _setting(
        "tier",
        "The user pool's feature plan: LITE, ESSENTIALS or PLUS. If you don't give it, a higher "
        "plan stays.",
    ),
    _setting(
        "sign_up",
        "Who may sign up: open (anyone, by POST /signin) or closed (nobody; administrators create "
        "the users).",
        metavar="open|closed",
    ),
    _setting("password_min_length", "Minimum password length."),
    _setting(
        "password_require",
        f"What a password must contain: any of {', '.join(CHARACTER_CLASSES)}; or none.",
        type=str,
        callback=_classes,
        metavar="LIST",
    ),
    _setting(
        "power_user",
        "Also attach AWS's broad policy AmazonCognitoPowerUser to the sign-in function's role.",
    ),
    click.option(
        "--permissions-boundary",
        envvar="COGAUTH_PERMISSIONS_BOUNDARY",
        metavar="ARN",
        help="A managed policy that limits what both roles may do; none removes it.",
    ),
    _setting("runtime", "The Lambda runtime of both functions."),
    _setting("architecture", "The processor of both functions: arm64 or x86_64."),
    _setting("sign_in_memory", "The sign-in function's memory, in MB."),
    _setting("sign_in_timeout", "The sign-in function's time limit, in seconds."),
    _setting("auto_confirm_memory", "The auto-confirm function's memory, in MB."),
    _setting("auto_confirm_timeout", "The auto-confirm function's time limit, in seconds."),
    _setting("path", "The path of the sign-in method."),
    _setting("stage", "The API's stage."),
    _setting("throttle_rate", "Maximum sign-ins per second, for all callers together."),
    _setting("throttle_burst", "Maximum sign-ins at once, for all callers together."),
    _setting(
        "cors_origins",
        "An origin whose pages may call the API from a browser, such as https://app.example. "
        "Repeatable; '*' allows any origin, none removes all.",
        option="--cors-origin",
        type=str,
        multiple=True,
        callback=_origins,
        metavar="ORIGIN",
    ),
    click.option(
        "--adopt",
        multiple=True,
        metavar="ID",
        help="Put the stack's tags back on its user pool or REST API if someone removed them. "
        "Asks. Works only for ids that the state file records. Repeatable.",
    ),
)


def check_recorded(target: Target, state: State | None, adopt: tuple[str, ...]) -> None:
    """Check that the state file records the resources to adopt; only those can be."""
    records = [state.record(key) or {} for key in ("user_pool", "rest_api")] if state else []
    known = [record["id"] for record in records if "id" in record]
    if unknown := [one for one in adopt if one not in known]:
        raise UsageError(
            f"--adopt {' '.join(unknown)} can't be used: the state file {target.state_path} "
            f"records no user pool or REST API with that id. It records: "
            f"{', '.join(known) or 'none'}."
        )


def stack_of(target: Target, *, local: bool) -> State | None:
    """Return the stack's state, or None for a new one; check ``--local`` against it."""
    if local and target.endpoint_url:
        raise UsageError("--local and --endpoint-url exclude each other", hint="Give one of them.")
    state = load_state(target)
    if local and state is not None and state.local_data is None:
        raise UsageError(
            f"The stack {state.stack} of {state.path} is not on a local AWS.",
            hint="Use --local with another --stack to create one there.",
        )
    return state


def typed_options() -> str:
    """Return the options for settings that were typed, each after a space."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    text = ""
    for option in context.command.params:
        name = option.name or ""
        is_ours = name in SHARED and context.get_parameter_source(name) is typed
        if not (is_ours and isinstance(option, click.Option)):
            continue
        value = context.params[name]
        if option.is_flag:
            text += f" {option.opts[0] if value else option.secondary_opts[0]}"
            continue
        values = [value]
        if isinstance(value, tuple):
            values = list(value) if option.multiple else [",".join(value)]
        for each in values or ["none"]:
            text += f" {option.opts[0]} {shlex.quote(str(each) or 'none')}"
    return text
