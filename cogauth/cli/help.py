"""The help pages: commands grouped by purpose, options by how often people need them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import click

# By the name of the parameter. All others come first, under "Options".
SECTIONS = {
    "Settings of the user pool, the functions and the API": {
        *("tier", "password_min_length", "password_require", "power_user", "permissions_boundary"),
        *("runtime", "architecture", "sign_in_memory", "sign_in_timeout", "auto_confirm_memory"),
        *("auto_confirm_timeout", "throttle_rate", "throttle_burst"),
    },
    "AWS": {"profile", "region", "endpoint_url", "allow_http"},
    "Rare": {
        "state",
        "trust_state",
        "settle",
        "lock_timeout",
        "adopt",
        "take",
        "stack_id",
        "debug",
    },
}
# The commands, each with its help's first sentence: the program's own help imports no command.
GROUPS = {
    "The stack": {
        "up": "Create or update the stack, or finish an interrupted run.",
        "plan": "Show what 'up' would change, and change nothing.",
        "status": "Show the state of each step of the stack, and what differs.",
        "list": "List the stacks whose state files are here.",
        "logs": "Show the functions' log lines.",
        "down": "Delete the stack and check that nothing is left.",
        "recover": "Rebuild a lost or damaged state file.",
        "outputs": "Print the ids and URLs of the stack.",
        "policy": "Print the minimal IAM policy that the commands need.",
    },
    "Try it": {
        "demo": "Show everything once on an embedded local AWS.",
        "test-login": "Sign in at the deployed URL and check that it works.",
        "call": "Send a request with a user's token and show the response.",
        "curl": "Print the curl command that sends the same request.",
        "token": "Print a valid token of a user.",
        "decode": "Show the claims of a token on stdin.",
        "users": "List, create, change and delete the pool's users.",
        "page": "Open a page of the stack in the browser.",
    },
    "Guard": {
        "attach": "Guard methods of any REST API with the user pool.",
        "detach": "Undo attach: give methods back what guarded them before.",
        "verify": "Check the guard with real calls.",
        "explain": "Explain why a call is refused and what to do about it.",
    },
}
# The modules of the commands whose module has another name.
MODULES = {"curl": "call", "decode": "token", "test-login": "login"}
# What people try first, because other tools call it that.
MEANT = {
    **dict.fromkeys(("create", "deploy", "start"), "up"),
    **dict.fromkeys(("delete", "destroy", "remove", "stop"), "down"),
    **dict.fromkeys(("info", "show"), "outputs"),
    **dict.fromkeys(("login", "sign-in", "signin"), "test-login"),
    **dict.fromkeys(("check", "test"), "verify"),
    **dict.fromkeys(("guard", "protect"), "attach"),
}


class Command(click.Command):
    """A command whose help page has common options first and names environment variables."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        for each in self.params:
            if isinstance(each, click.Option):
                each.show_envvar = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; an unknown option may be a name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            takes_name = any(
                isinstance(each, click.Argument)
                and each.name == "name"
                and not isinstance(each.type, click.Choice)
                for each in self.params
            )
            if not takes_name or error.possibilities:
                raise
            said = f"{error.message} To give a name that begins with '-', put -- before it."
            raise click.NoSuchOption(error.option_name, said, ctx=error.ctx) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, in their sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        sections |= {title: [] for title in SECTIONS}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                found = (title for title, names in SECTIONS.items() if each.name in names)
                sections[next(found, "Options")].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(Command, click.Group):
    """A command with subcommands; without one it is the subcommand ``default``."""

    default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the subcommand; options before any are those of the default."""
        asks_for_help = args[:1] and args[0] in ctx.help_option_names
        if not asks_for_help and (not args or args[0].startswith("-")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands' names in the order in which they were added."""
        del ctx
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands, and the options of the default."""
        self.format_commands(ctx, formatter)
        self.commands[self.default].format_options(ctx, formatter)


class Commands(MutableMapping[str, click.Command]):
    """All commands by name, in the order of the help; each is imported when it is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, click.Command | None] = {
            name: None for names in GROUPS.values() for name in names
        }

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if found is None:
            module = vars(import_module(f"cogauth.cli.{MODULES.get(name, name)}"))
            commands = (each for each in module.values() if isinstance(each, click.Command))
            found = self._found[name] = next(each for each in commands if each.name == name)
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Program(click.Group):
    """The program, whose help page groups the commands by purpose."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.commands = Commands()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the one that another tool's word means."""
        if args[0] in MEANT and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {MEANT[args[0]]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, in their groups."""
        del ctx
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))
