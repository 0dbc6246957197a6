"""``cogauth policy``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import print_json
from cogauth.cli.stacks import find_account, load_state
from cogauth.errors import UsageError
from cogauth.settings import Settings

if TYPE_CHECKING:
    from cogauth.record.state import State

API_ID = re.compile("[a-z0-9]{1,128}")


@click.command(
    cls=Command,
    short_help="Print the minimal IAM policy that the commands need.",
    epilog="""\b
Examples:
  cogauth policy                              for all commands
  cogauth policy --for up --for down          for these
  cogauth policy --for 'users list'           for a command of a command
  cogauth policy --for attach --api a1b2c3d4e5
  cogauth policy --account 123456789012 --region eu-central-1
                                              without credentials
  cogauth policy > policy.json; aws iam create-policy \\
      --policy-name cogauth --policy-document file://policy.json
""",
)
@click.option(
    "--for",
    "commands",
    multiple=True,
    metavar="COMMAND",
    show_default="all",
    help="A command that the policy is for. Repeatable.",
)
@click.option(
    "--account",
    metavar="NUMBER",
    show_default="the stack's, else that of your credentials",
    help="The account's number.",
)
@click.option(
    "--api",
    "apis",
    multiple=True,
    metavar="ID",
    show_default="any",
    help="A REST API, besides the stack's own, that the commands may use. Repeatable.",
)
@click.option(
    "--power-user/--no-power-user",
    default=None,
    envvar="COGAUTH_POWER_USER",
    help="For a stack with --power-user.",
)
@click.option(
    "--permissions-boundary",
    metavar="ARN",
    envvar="COGAUTH_PERMISSIONS_BOUNDARY",
    help="For a stack with this boundary: roles may be changed only under it.",
)
@target_options
def policy(
    target: Target,
    *,
    commands: tuple[str, ...],
    account: str | None,
    apis: tuple[str, ...],
    **settings: Any,
) -> None:
    """Print the minimal IAM policy that the commands need, as JSON.

    It names the stack's account, region and resources. Once the user pool and the REST API exist,
    it names their ids, from the state file. So it doesn't cover a pool or API that
    'up' has to recreate: then print it again.

    The output is one policy document, or a JSON array of several if one would exceed AWS's limit
    for a managed policy (6,144 characters).
    """
    from cogauth.checks.policy import StackNames
    from cogauth.checks.policy import policy as least

    _check(account, apis)
    state = load_state(target)
    chosen = (state.settings if state else Settings()).with_choices(settings, exists=False)
    partition, region, account = (
        _recorded(target, state, account) if state else find_account(target, account)
    )
    documents = least(
        StackNames(
            partition,
            region,
            account,
            target.stack,
            chosen,
            pool=_id(state, "user_pool"),
            api=_id(state, "rest_api"),
            attached=tuple(sorted(state.attachments)) if state else (),
            others=apis,
        ),
        commands,
    )
    print_json(documents[0] if len(documents) == 1 else documents)


def _check(account: str | None, apis: tuple[str, ...]) -> None:
    if account is not None and not re.fullmatch(r"\d{12}", account, re.ASCII):
        raise UsageError(
            f"--account {account!r} can't be used", hint="Give the 12 digits of its number."
        )
    if wrong := [api for api in apis if not API_ID.fullmatch(api)]:
        raise UsageError(
            f"--api {wrong[0]!r} can't be used", hint="Give a REST API's id, such as a1b2c3d4e5."
        )


def _recorded(target: Target, state: State, account: str | None) -> tuple[str, str, str]:
    """Return the partition, region and account in a state file; check that options agree."""
    import botocore.session

    for option, given, recorded in (
        ("--account", account, state.account),
        ("--region", target.region, state.region),
    ):
        if given not in {None, recorded}:
            raise UsageError(
                f"{option} {given}: the state file {state.path} is of {recorded}.",
                hint=f"Leave {option} out, or run this in a folder without that file.",
            )
    partition = botocore.session.Session().get_partition_for_region(state.region)
    return partition, state.region, state.account


def _id(state: State | None, resource: str) -> str | None:
    """Return a recorded resource's id; None if it isn't known to exist."""
    record = state.record(resource) if state else None
    return record.get("id") if record else None
