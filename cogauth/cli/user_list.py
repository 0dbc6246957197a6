"""``cogauth users list``, which shows each page of users as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json_list, show_table
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.printable import column_width, local_time, one_line, utc_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cogauth.client.users import User

HEADER = ("username", "status", "enabled", "created")


@click.command(
    "list",
    cls=Command,
    short_help="List the users.",
    epilog="""\b
Examples:
  cogauth users list
  cogauth users list --filter 'username ^= "an"'      names that begin so
  cogauth users list --filter 'status = "Disabled"'   who can't sign in
  cogauth users list --json | jq -r '.users[].username'

Cognito filters by one of: username, sub, email, phone_number, name, given_name, family_name,
preferred_username, cognito:user_status (such as "CONFIRMED") and status ("Enabled", "Disabled").
""",
)
@click.option(
    "--filter",
    "where",
    metavar="TEXT",
    help='Only users that match, in Cognito\'s form: NAME = "VALUE", or ^= for its beginning.',
)
@target_options
def list_users(target: Target, *, where: str | None) -> None:
    """List the users with their status and creation time, page by page.

    Cognito's list may lag behind: a user who has just signed up may be missing from it.
    """
    state = require_state(target)
    ctx = complete_stack(target, state, "cognito")
    from cogauth.client.users import pages

    found = pages(ctx, where)
    if target.as_json:
        head = {"user_pool_id": ctx.fact("user_pool")}
        print_json_list(head, "users", (_fields(user) for page in found for user in page))
        return
    count = show(found)
    notice(f"{count} user{'' if count == 1 else 's'}")


def _fields(user: User) -> dict[str, Any]:
    return {**vars(user), "created": utc_time(user.created.timestamp())}


def show(found: Iterable[list[User]]) -> int:
    """Print each page as rows of one table; return the number of users."""
    count, widths = 0, [len(name) for name in HEADER]
    for page in filter(None, found):
        rows = [list(_cells(user)) for user in page]
        for row in rows:
            sizes = [column_width(one_line(text)) for text, _ in row]
            widths = [max(pair) for pair in zip(widths, sizes, strict=True)]
        # A page's columns are as wide as those before it.
        padded = [
            [
                (text + " " * (width - column_width(one_line(text))), style)
                for (text, style), width in zip(row, widths, strict=True)
            ]
            for row in rows
        ]
        show_table(padded, () if count else HEADER)
        count += len(page)
    return count


def _cells(user: User) -> Iterator[tuple[str, str]]:
    yield user.username, ""
    yield user.status, "green" if user.status == "CONFIRMED" else "yellow"
    yield ("yes", "") if user.enabled else ("no", "red")
    yield local_time(user.created.timestamp()), ""
