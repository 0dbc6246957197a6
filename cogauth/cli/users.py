"""``cogauth users``: the pool's users, for administrators."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cogauth.cli.help import Command, Group
from cogauth.cli.options import Target, target_options, yes_option
from cogauth.cli.output import confirm, notice, print_json, say
from cogauth.cli.session import ask_new_password, checked
from cogauth.cli.stacks import complete_stack, require_state
from cogauth.cli.stdin import first_line
from cogauth.cli.user_list import list_users
from cogauth.errors import DeclinedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.client.passwords import Policy
    from cogauth.context import Context
    from cogauth.record.state import State

NAME = click.argument("name", metavar="NAME")
PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of stdin."
)
PERMANENT = click.option(
    "--permanent/--temporary",
    default=False,
    show_default=True,
    help="Whether the user keeps the password, or must choose a new one at the next login.",
)
UNCHANGED = "Nothing was changed."
STILL_VALID = (
    "The gateway accepts the user's ID and access tokens until they expire, within an hour."
)


@click.group(
    cls=Group,
    short_help="List, create, change and delete the pool's users.",
    options_metavar="[COMMAND]",
    subcommand_metavar="[OPTIONS]",
    epilog="""\b
Examples:
  cogauth users
  cogauth users create ann        shows a temporary password
  cogauth test-login ann          asks for it, and for a new one
  cogauth users delete ann        asks first
""",
)
def users() -> None:
    """List, create, change and delete the user pool's users.

    Without a command it lists them, with the options below.
    """


users.add_command(list_users)


@users.command(
    "create",
    cls=Command,
    short_help="Create a user with a temporary password.",
    epilog="""\b
Examples:
  cogauth users create ann
  cogauth users create ann --yes --json | jq -r .temporary_password
  pass show ann | cogauth users create ann -y --permanent --password-stdin
""",
)
@NAME
@PASSWORD_STDIN
@PERMANENT
@yes_option()
@target_options
def create(target: Target, *, name: str, password_stdin: bool, permanent: bool, yes: bool) -> None:
    """Create a user; Cognito sends no message.

    A temporary password is generated and shown once, unless you give one. The user must choose a
    new one at the first login. A permanent password is yours to give: on a terminal you are asked.
    """
    from cogauth.client import passwords
    from cogauth.client import users as client

    ask = permanent and not password_stdin
    generate = not (permanent or password_stdin)
    if generate and sys.__stdout__ is None:
        raise UsageError(
            "Stdout is closed, so nobody would see the temporary password. Nothing was created.",
            hint="Leave stdout open, or give a password with --password-stdin.",
        )
    if generate and not target.as_json and not sys.stdout.isatty():
        raise UsageError(
            "Stdout is not a terminal to show the temporary password on. Nothing was created.",
            hint="Give --json to print it all the same, or give a password with --password-stdin.",
        )
    state = _prepared(target, name, yes=yes, ask=ask)
    given = _from_stdin() if password_stdin else None
    ctx = complete_stack(target, state, "cognito")
    policy = _policy(ctx, given)
    client.check_vacant(ctx, name)
    new = passwords.new_password(policy.least) if generate else None
    password = given or new or _asked(policy)
    _agree(f"Create the user {name} in the pool {ctx.fact('user_pool')}?", yes=yes)
    happened = "may have been created"
    try:
        client.create(ctx, name, password, policy, permanent=permanent)
        happened = "was created"
        if target.as_json:
            print_json({"created": name, "permanent": permanent, "temporary_password": new})
            return
        say(f"Created the user {name}.")
        if new is not None:
            say(f"Temporary password: {new}")
    except (OSError, KeyboardInterrupt):
        if new is not None:
            another = ctx.state.command("users set-password", name)
            notice(f"{name} {happened}, but nobody saw the password. To give another: {another}")
        raise
    if new is not None:
        days = f" It is valid for {policy.days} days." if policy.days else ""
        notice(f"It is shown only here.{days}")
    if not permanent:
        command = ctx.state.command("test-login", name)
        notice(f"The user chooses a new one at the first login: {command}")


@users.command(
    "set-password",
    cls=Command,
    short_help="Give a user a password.",
    epilog="""\b
Examples:
  cogauth users set-password ann                  asks for it
  pass show ann | cogauth users set-password ann -y --password-stdin
""",
)
@NAME
@PASSWORD_STDIN
@PERMANENT
@yes_option()
@target_options
def set_password(
    target: Target, *, name: str, password_stdin: bool, permanent: bool, yes: bool
) -> None:
    """Give a user a password, in place of the present one.

    The user's tokens stay valid: 'cogauth users sign-out' revokes them.
    """
    from cogauth.client import users as client

    state = _prepared(target, name, yes=yes, ask=not password_stdin)
    given = _from_stdin() if password_stdin else None
    ctx = complete_stack(target, state, "cognito")
    policy = _policy(ctx, given)
    # As the pool spells the name.
    name = client.existing(ctx, name).username
    password = given or _asked(policy)
    kind = "permanent" if permanent else "temporary"
    pool = ctx.fact("user_pool")
    _agree(f"Give the user {name} of the pool {pool} this {kind} password?", yes=yes)
    client.set_password(ctx, name, password, policy, permanent=permanent)
    if target.as_json:
        print_json({"password_set": name, "permanent": permanent})
        return
    say(f"The user {name} has a new {kind} password.")


@users.command("disable", cls=Command, short_help="Keep a user from signing in.")
@NAME
@yes_option()
@target_options
def disable(target: Target, *, name: str, yes: bool) -> None:
    """Keep a user from signing in and from renewing tokens, until it is enabled again."""
    from cogauth.client.users import disable as change

    _change(target, name, change, ("Disable", "disabled"), yes=yes)


@users.command("enable", cls=Command, short_help="Let a disabled user sign in again.")
@NAME
@yes_option()
@target_options
def enable(target: Target, *, name: str, yes: bool) -> None:
    """Let a disabled user sign in again."""
    from cogauth.client.users import enable as change

    _change(target, name, change, ("Enable", "enabled"), yes=yes)


@users.command("sign-out", cls=Command, short_help="Revoke a user's tokens.")
@NAME
@yes_option()
@target_options
def sign_out(target: Target, *, name: str, yes: bool) -> None:
    """Revoke a user's tokens, and forget the stored ones.

    Cognito refuses them from then on. The gateway doesn't ask Cognito: it accepts the ID and access
    tokens until they expire, within an hour.
    """
    from cogauth.client.users import sign_out as change

    _change(target, name, change, ("Sign out", "signed_out"), yes=yes)


@users.command("delete", cls=Command, short_help="Delete a user permanently.")
@NAME
@yes_option()
@target_options
def delete(target: Target, *, name: str, yes: bool) -> None:
    """Delete a user permanently, and forget the stored tokens."""
    from cogauth.client.users import delete as change

    _change(target, name, change, ("Permanently delete", "deleted"), yes=yes)


def _change(
    target: Target,
    name: str,
    change: Callable[[Context, str], None],
    words: tuple[str, str],
    *,
    yes: bool,
) -> None:
    """Check that the user exists, ask, change it and say so, with a verb's two forms."""
    from cogauth.client.users import existing

    verb, done = words
    ctx = complete_stack(target, _prepared(target, name, yes=yes), "cognito")
    # As the pool spells the name.
    name = existing(ctx, name).username
    _agree(f"{verb} the user {name} of the pool {ctx.fact('user_pool')}?", yes=yes)
    change(ctx, name)
    if target.as_json:
        print_json({done: name})
    else:
        say(f"{done.capitalize().replace('_', ' ')} the user {name}.")
    if done != "enabled":
        notice(STILL_VALID)


def _prepared(target: Target, name: str, *, yes: bool, ask: bool = False) -> State:
    """Return the stack's state, once all is there that the command needs: a name, whom to ask.

    ``ask`` says whether the password is asked for.
    """
    from cogauth.client.passwords import check_name

    state = require_state(target)
    check_name(name)
    if not sys.stdin.isatty():
        if ask:
            raise UsageError(
                f"No password was given, and stdin is not a terminal to ask on. {UNCHANGED}",
                hint="Give the password on stdin with --password-stdin.",
            )
        if not yes:
            raise UsageError(
                f"Stdin is not a terminal to ask on. {UNCHANGED}",
                hint=f"Give --yes to change the user {name} without a question.",
            )
    return state


def _policy(ctx: Context, given: str | None) -> Policy:
    """Return the pool's password policy. Raises UsageError if it doesn't allow a given password."""
    from cogauth.client import users as client

    policy = client.password_policy(ctx)
    if given is not None:
        policy.check(given)
    return policy


def _from_stdin() -> str:
    """Return the password on stdin, if a pool can take it."""
    from cogauth.client.passwords import check_password

    password = checked(first_line)
    check_password(password)
    return password


def _asked(policy: Policy) -> str:
    """Ask for a password; return it if the pool can take it."""
    password = ask_new_password(policy.text)
    policy.check(password)
    return password


def _agree(question: str, *, yes: bool) -> None:
    if not yes and not confirm(question):
        raise DeclinedError(UNCHANGED)
