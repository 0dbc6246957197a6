"""The help pages: commands in groups, options in sections, and short forms."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

import click
import pytest

from cogauth import __version__
from cogauth.cli import cli as program
from cogauth.cli.help import GROUPS, MEANT, SECTIONS, Group
from cogauth.settings import Settings
from support.commands import in_process

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Cli

# For the fixtures.
pytest_plugins = ["support.mistakes"]

COMMANDS = sorted(program.commands)
# The subcommands.
INNER = [
    f"{name} {each}"
    for name, group in program.commands.items()
    if isinstance(group, click.Group)
    for each in group.commands
]
USERS = [name for name in INNER if name != "users list"]


def found(command: str) -> click.Command:
    """Return a command; for one with subcommands, the one that runs without any."""
    name, _, inner = command.partition(" ")
    one = program.commands[name]
    return one.commands[inner or Group.default] if isinstance(one, Group) else one


def test_each_command_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == COMMANDS
    for names in GROUPS.values():
        for name, sentence in names.items():
            assert sentence == program.commands[name].get_short_help_str(100)
    page = in_process("--help").must().out
    at = [page.index(f"\n{title}:\n") for title in GROUPS]
    assert at == sorted(at)


def test_each_name_in_a_section_is_an_options() -> None:
    options = {option.name for command in COMMANDS for option in found(command).params}
    assert {name for names in SECTIONS.values() for name in names} <= options


@pytest.mark.parametrize("command", [*COMMANDS, *INNER])
def test_the_commonest_options_come_first_and_all_variables_are_shown(command: str) -> None:
    page = in_process(*command.split(), "--help").must().out
    first, _, others = page.partition("\nAWS:\n")
    aws, _, rare = others.partition("\nRare:\n")
    assert "--stack TEXT" in first
    assert "--region TEXT" in aws
    assert "--debug" in rare
    shown = " ".join(page.split())
    for option in found(command).params:
        assert isinstance(option, click.Option | click.Argument)
        if option.envvar:
            assert re.search(rf"\[env var: {option.envvar}\b", shown), option.name


@pytest.mark.parametrize(
    ("command", "short", "long"),
    [
        *((name, "-s", "--stack") for name in [*COMMANDS, *INNER]),
        *((name, "-y", "--yes") for name in USERS),
        *((name, "-y", "--yes") for name in ("up", "down", "attach", "detach")),
        *((name, "-u", "--username") for name in ("test-login", "token", "call", "explain")),
        *(
            (name, short, long)
            for name in ("call", "curl")
            for short, long in (("-d", "--data"), ("-H", "--header"))
        ),
        ("explain", "-X", "--method"),
        ("attach", "-n", "--dry-run"),
    ],
)
def test_short_options_are_those_that_hands_know(command: str, short: str, long: str) -> None:
    options = [set(option.opts) for option in found(command).params]
    assert any({short, long} <= names for names in options)


def test_options_without_a_subcommand_are_those_of_list(tmp_path: Path) -> None:
    words = ("--state", str(tmp_path / "none.json"))
    assert "There is no stack here" in in_process("users", *words).must(2).err
    assert in_process("users", "--help").must().out != in_process("users", "list", "-h").must().out
    # Options before a subcommand don't belong to it: they aren't dropped silently.
    said = in_process("users", *words, "delete", "ann", "--yes").must(2).err
    assert "unexpected extra argument" in said or "No such option" in said
    assert "No such command 'lst'" in in_process("users", "lst").must(2).err


@pytest.mark.parametrize("command", ["token", "test-login"])
def test_a_name_is_given_once(tmp_path: Path, command: str) -> None:
    words = ("ann", "--username", "bob", "--state", str(tmp_path / "none.json"))
    assert "ann and --username bob exclude each other" in in_process(command, *words).must(2).err


def test_a_variable_of_a_setting_means_nothing_else_to_another_command() -> None:
    names = {field.name for field in fields(Settings)}
    settings = {each.envvar for each in program.commands["up"].params if each.name in names}
    assert "COGAUTH_PATH" in settings
    for name in {*COMMANDS, *INNER} - {"up", "plan", "policy"}:
        assert not settings & {each.envvar for each in found(name).params}, name


# Pages that an 80-column terminal shows as written.


def lines_of(page: str) -> list[str]:
    assert not set(re.findall(r"[\x00-\x09\x0b-\x1f]|\\x..", page))
    return page.split("\n")


@pytest.mark.parametrize("command", ["", *COMMANDS, *INNER])
def test_no_line_of_a_help_page_is_longer_than_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = in_process(*command.split(), "--help").must().out
    assert [line for line in lines_of(page) if len(line) > 80] == []


def test_without_arguments_the_help_is_shown_whole(cli: Cli) -> None:
    page = [line.rstrip() for line in lines_of(cli.run("--help").must().out)]
    piped = cli.run().must(2)
    assert piped.out == ""
    assert [line.rstrip() for line in lines_of(piped.err)] == page
    on_terminal = cli.on_terminal()
    assert on_terminal.ended() == 2
    shown = [line.rstrip() for line in lines_of(on_terminal.plain)]
    # Only the commands may be longer, so that they run in this shell.
    assert [line.split("cogauth ")[-1] for line in shown] == [
        line.split("cogauth ")[-1] for line in page
    ]


@pytest.mark.parametrize(("word", "command"), MEANT.items())
def test_another_tools_word_leads_to_the_command(word: str, command: str) -> None:
    assert word not in COMMANDS
    said = in_process(word).must(2).err
    assert said == f"Error: No such command {word!r}. Did you mean {command!r}?"
    assert command in COMMANDS


@pytest.mark.parametrize("words", [[], ["up"], ["test-login"], ["down"], ["demo"]])
def test_help_needs_nothing(bare: Cli, words: list[str]) -> None:
    done = bare.run(*words, "--help").must()
    assert done.out.startswith("Usage: cogauth " + " ".join(words))
    assert done.err == ""
    if words:
        assert "Examples:\n    cogauth" in done.out
        for shared in ("--stack", "--state", "--profile", "--region", "--endpoint-url", "--json"):
            assert shared in done.out


def test_the_version(bare: Cli) -> None:
    assert bare.run("-h").must().out == bare.run("--help").must().out
    assert bare.run("--version").must().out == f"cogauth {__version__}\n"


def test_without_a_command_the_help_is_shown(bare: Cli) -> None:
    done = bare.run().must(2)
    assert "Usage: cogauth" in done.out + done.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["upp"], "No such command 'upp'"),
        (["up", "--stak", "x"], "No such option '--stak'"),
        (["up", "more"], "unexpected extra argument (more)"),
        (["test-login"], "No user is named: give NAME"),
    ],
)
def test_what_is_no_command_is_named(bare: Cli, words: list[str], named: str) -> None:
    done = bare.run(*words).must(2)
    assert named in done.err
    assert done.out == ""
