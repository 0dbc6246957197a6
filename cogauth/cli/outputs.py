"""``cogauth outputs``: the fields of ``up --json``, of an existing stack."""

from __future__ import annotations

import functools
import os
import re
import textwrap
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, is_typed, target_options
from cogauth.cli.output import print_data, print_json, show_table
from cogauth.cli.stacks import check_complete, connect, require_state
from cogauth.errors import UsageError
from cogauth.settings import PROTECTED_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.context import Context

# The facts of resources to show, by field name.
IDS: dict[str, Callable[[Context], Any]] = {
    "user_pool_id": lambda ctx: ctx.fact("user_pool"),
    "user_pool_arn": lambda ctx: ctx.fact("user_pool", "arn"),
    "client_id": lambda ctx: ctx.fact("app_client"),
    "role_arn": lambda ctx: ctx.fact("role", "arn"),
    "auto_confirm_role_arn": lambda ctx: ctx.fact("auto_confirm_role", "arn"),
    "sign_in_function_arn": lambda ctx: ctx.fact("sign_in_function", "arn"),
    "auto_confirm_function_arn": lambda ctx: ctx.fact("auto_confirm_function", "arn"),
    "rest_api_id": lambda ctx: ctx.fact("rest_api"),
    "authorizer_id": lambda ctx: ctx.fact("authorizer"),
}
# The fields in the order shown: where the stack is, and what it consists of. No secret.
FIELDS: dict[str, Callable[[Context], Any]] = {
    "stack": lambda ctx: ctx.stack,
    "stack_id": lambda ctx: ctx.state.stack_id,
    "account": lambda ctx: ctx.state.account,
    "region": lambda ctx: ctx.state.region,
    "endpoint_url": lambda ctx: ctx.state.endpoint_url,
    "stage": lambda ctx: ctx.state.settings.stage,
    "sign_in_url": lambda ctx: ctx.url(ctx.state.settings.path),
    "protected_url": lambda ctx: ctx.url(PROTECTED_PATH),
    "sign_up": lambda ctx: ctx.state.settings.sign_up,
    "cors_origins": lambda ctx: list(ctx.state.settings.cors_origins),
    **IDS,
    "state_file": lambda ctx: str(ctx.state.path),
}
# Unset as well: each overrides one of our variables, or makes botocore refuse it.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
_IN_THE_WAY = re.compile(
    r"AWS_(ENDPOINT_URL_[A-Z0-9_]+|IGNORE_CONFIGURED_ENDPOINT_URLS"
    r"|DEFAULT_PROFILE|SECURITY_TOKEN|CREDENTIAL_EXPIRATION)"
)
_LISTED = textwrap.fill(", ".join(FIELDS), 78, initial_indent="  ", subsequent_indent="  ")


def values_of(ctx: Context) -> dict[str, Any]:
    """Return the fields of a complete stack, by name."""
    return {name: get(ctx) for name, get in FIELDS.items()}


def _with_one_format(command: Callable[..., int]) -> Callable[..., int]:
    """Let ``--json`` mean ``--format json``; with another format no error is a JSON document.

    A shell evaluates what is on stdout. If it has a COGAUTH_JSON, an error's text would be there.
    """

    @functools.wraps(command)
    def run(*, as_json: bool, form: str | None, **options: Any) -> int:
        if as_json and form not in {None, "json"} and is_typed("as_json"):
            raise UsageError(
                f"--json and --format {form} exclude each other", hint="Give one of them."
            )
        form = form or ("json" if as_json else "table")
        return command(as_json=form == "json", form=form, **options)

    return run


@click.command(
    cls=Command,
    short_help="Print the ids and URLs of the stack.",
    epilog=f"""\b
Examples:
  cogauth outputs
  cogauth outputs sign_in_url             the bare value
  cogauth outputs --json | jq -r .user_pool_id
  eval "$(cogauth outputs --format env)"  in sh, bash or zsh; after it:
  aws cognito-idp list-users --user-pool-id "$COGAUTH_USER_POOL_ID"

\b
The fields are those of 'up --json', without elapsed_s and steps, which
describe a run:
{_LISTED}

'--format env' gives user_pool_id as COGAUTH_USER_POOL_ID, and so on. It leaves out stack,
stack_id, region, endpoint_url, stage and sign_up: cogauth would read such a variable as an option.
It sets AWS_REGION and AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL if the endpoint isn't AWS's own. For
a stack on the local AWS it also sets that one's keys, and unsets what would outrank them.
""",
)
@click.argument("name", metavar="[NAME]", required=False, type=click.Choice(list(FIELDS)))
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json", "env")),
    show_default="table; for one NAME the bare value",
    help="For people, for programs, or for a shell to evaluate.",
)
@_with_one_format
@target_options
def outputs(target: Target, *, name: str | None, form: str) -> None:
    """Print the ids, ARNs and URLs of the stack, or the value of one NAME.

    They come from the state file; AWS is not asked. A local AWS is started if it doesn't run.
    """
    variables = _variables()
    if form == "env" and name is not None and name not in variables:
        raise UsageError(
            f"{name} has no variable, because cogauth would read {_variable(name)} as an option.",
            hint=f"Run 'cogauth outputs {name}' to print the value.",
        )
    # Exit code 1, not 2: a script may well ask before there is a stack.
    state = require_state(target, exit_code=1)
    ctx = connect(target, state, ask=False)
    check_complete(ctx)
    # A URL's host takes the partition from what AWS says of the caller; here the file says it.
    ctx.aws.identity = (state.account, state.fact("user_pool", "arn").split(":")[1])
    values = values_of(ctx)
    if form == "env":
        shown = variables if name is None else {name: variables[name]}
        # An absolute path means the same in every folder that the shell goes to.
        values["state_file"] = str(target.state_path.absolute())
        lines = [export(variable, _text(values[each])) for each, variable in shown.items()]
        lines += _of_aws(target, ctx) if name is None else ()
        # As bytes: a variable or a path need not be text.
        print_data(b"".join(os.fsencode(f"{line}\n") for line in lines))
    elif form == "json":
        print_json(values if name is None else values[name])
    elif name is not None:
        print_data(os.fsencode(f"{_text(values[name])}\n"))
    else:
        show_table([(each, _text(value) or "-") for each, value in values.items()])


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value or "")


def _variable(name: str) -> str:
    return f"COGAUTH_{name.upper()}"


def _variables() -> dict[str, str]:
    """Return the variables of the fields, without those that commands read as options."""
    program = click.get_current_context().find_root().command
    commands = program.commands.values() if isinstance(program, click.Group) else [program]
    options = {option.envvar for command in commands for option in command.params}
    return {name: _variable(name) for name in FIELDS if _variable(name) not in options}


def _of_aws(target: Target, ctx: Context) -> Iterator[str]:
    """Yield the variables that lead the AWS CLI and boto3 to the stack."""
    # boto3 and version 1 of the AWS CLI read only the second name.
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        yield export(variable, ctx.state.region)
    url = ctx.state.endpoint_url
    if url is None:
        return
    from botocore.utils import get_environ_proxies

    from cogauth.aws.environment import check_clear

    check_clear(url, "What the AWS CLI signs", allowed=target.allow_http)
    yield export("AWS_ENDPOINT_URL", url)
    if ctx.aws.local_keys is None:
        return
    yield export("AWS_ACCESS_KEY_ID", ctx.aws.local_keys.access_key_id)
    yield export("AWS_SECRET_ACCESS_KEY", ctx.aws.local_keys.secret_access_key)
    yield "unset AWS_SESSION_TOKEN AWS_PROFILE"
    if obstacles := sorted(filter(_IN_THE_WAY.fullmatch, os.environ)):
        yield f"unset {' '.join(obstacles)}"
    if get_environ_proxies(url).get("http"):
        # A proxy can't reach this machine's own server. Python prefers the first of the names.
        variable = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
        yield export(variable, f"{os.environ.get(variable, '')},127.0.0.1".removeprefix(","))


def export(variable: str, value: str) -> str:
    """Return the shell line that sets and exports a variable.

    The value is quoted whatever it is: shlex.quote leaves ``=ls`` as it is, and zsh makes the path
    of a command of that.
    """
    # A quote in it ends the quoting, follows in double quotes, and starts the quoting again.
    quoted = value.replace("'", "'\"'\"'")
    return f"export {variable}='{quoted}'"
