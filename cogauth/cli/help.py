"""The help pages: commands grouped by purpose, options by how often people need them."""

from __future__ import annotations

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
GROUPS = {
    "The stack": ("up", "plan", "status", "list", "logs", "down", "recover", "outputs", "policy"),
    "Try it": ("demo", "test-login", "call", "curl", "token", "decode", "users"),
    "Guard": ("attach", "detach", "verify", "explain"),
}
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


class Program(click.Group):
    """The program, whose help page groups the commands by purpose."""

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
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(100)) for name in names]
                )
