"""``cogauth users``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cogauth.cli.options import Target, target_options
from cogauth.cli.output import confirm, notice, print_json, say
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.errors import CogauthError, UsageError
from cogauth.printable import local_time

if TYPE_CHECKING:
    from cogauth.context import Context


@click.command(
    short_help="List the pool's users, or delete one.",
    epilog="""\b
Examples:
  cogauth users
  cogauth users --json | jq -r '.users[].username'
  cogauth users --delete ann                      asks first
""",
)
@click.option("--delete", metavar="NAME", help="Delete this user, for good.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@target_options
def users(target: Target, *, delete: str | None, yes: bool) -> None:
    """List the pool's users with their status and when they were made, or delete one.

    Cognito's own list may lag behind a user who was just made or deleted.
    """
    state = require_state(target)
    if delete is None:
        _list(target, complete_stack(target, state, "cognito"))
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "Nothing was deleted: stdin is not a terminal to ask on. Give --yes to delete the user "
            f"{delete}."
        )
    from cogauth.client.users import delete as delete_user

    ctx = complete_stack(target, state, "cognito")
    question = f"Delete the user {delete} from the pool {ctx.fact('user_pool')} for good?"
    if not yes and not confirm(question):
        raise CogauthError("Nothing was deleted.")
    delete_user(ctx, delete)
    if target.as_json:
        print_json({"deleted": delete})
    else:
        say(f"Deleted the user {delete}.")
        notice("Tokens that it has stay good at the API until they expire, up to an hour.")


def _list(target: Target, ctx: Context) -> None:
    from cogauth.client.users import listed

    if target.as_json:
        users = [
            {**vars(user), "created": user.created.astimezone().isoformat(timespec="seconds")}
            for user in listed(ctx)
        ]
        print_json({"user_pool_id": ctx.fact("user_pool"), "users": users})
        return
    count = 0
    say(f"{'username':<24} {'status':<22} {'enabled':<8} made")
    for user in listed(ctx):
        count += 1
        enabled = "yes" if user.enabled else "no"
        made = local_time(user.created.timestamp())
        say(f"{user.username:<24} {user.status:<22} {enabled:<8} {made}")
    notice(f"{count} user{'' if count == 1 else 's'}")
