"""``cogauth users``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options, yes_option
from cogauth.cli.output import confirm, notice, print_json, say, show_table
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.errors import CogauthError, DeclinedError, UsageError
from cogauth.printable import local_time, utc_time

if TYPE_CHECKING:
    from cogauth.context import Context


@click.command(
    cls=Command,
    short_help="List the user pool's users, or delete one.",
    epilog="""\b
Examples:
  cogauth users
  cogauth users --json | jq -r '.users[].username'
  cogauth users --delete ann                      asks first
""",
)
@click.option("--delete", metavar="NAME", help="Delete this user permanently.")
@yes_option()
@target_options
def users(target: Target, *, delete: str | None, yes: bool) -> None:
    """List the user pool's users with their status and creation time, or delete one.

    Cognito's list may lag behind: a user who has just signed up may be missing from it.
    """
    state = require_state(target)
    if delete is None:
        _list(target, complete_stack(target, state, "cognito"))
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was deleted, because stdin is not a terminal to ask on.",
            hint=f"Give --yes to delete the user {delete}.",
        )
    from cogauth.client.users import delete as delete_user
    from cogauth.client.users import is_listed

    ctx = complete_stack(target, state, "cognito")
    if not yes and not is_listed(ctx, delete):
        raise CogauthError(
            f"There is no user {delete!r} in the user pool {ctx.fact('user_pool')}. Nothing was "
            "deleted.",
            hint=(
                f"Run '{ctx.state.command('users')}' to list its users; if this one has just "
                "signed up, wait a moment, or give --yes."
            ),
        )
    question = f"Permanently delete the user {delete} from the pool {ctx.fact('user_pool')}?"
    if not yes and not confirm(question):
        raise DeclinedError("Nothing was deleted.")
    delete_user(ctx, delete)
    if target.as_json:
        print_json({"deleted": delete})
    else:
        say(f"Deleted the user {delete}.")
        notice("Its ID and access tokens stay valid at the API until they expire, within an hour.")


def _list(target: Target, ctx: Context) -> None:
    from cogauth.client.users import listed

    if target.as_json:
        users = [
            {**vars(user), "created": utc_time(user.created.timestamp())} for user in listed(ctx)
        ]
        print_json({"user_pool_id": ctx.fact("user_pool"), "users": users})
        return
    rows = [
        (
            user.username,
            (user.status, "green" if user.status == "CONFIRMED" else "yellow"),
            "yes" if user.enabled else ("no", "red"),
            local_time(user.created.timestamp()),
        )
        for user in listed(ctx)
    ]
    if rows:
        show_table(rows, ("username", "status", "enabled", "created"))
    notice(f"{len(rows)} user{'' if len(rows) == 1 else 's'}")
