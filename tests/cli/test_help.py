"""The help pages: commands in groups, options in sections, and what may be typed short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from cogauth.cli import cli as program
from cogauth.cli.help import GROUPS, SECTIONS
from support.commands import in_process

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = sorted(program.commands)


def test_each_command_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == COMMANDS
    page = in_process("--help").must().out
    at = [page.index(f"\n{title}:\n") for title in GROUPS]
    assert at == sorted(at)


def test_each_name_in_a_section_is_an_options() -> None:
    options = {option.name for command in program.commands.values() for option in command.params}
    assert {name for names in SECTIONS.values() for name in names} <= options


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commonest_options_come_first_and_all_variables_are_shown(command: str) -> None:
    page = in_process(command, "--help").must().out
    first, _, others = page.partition("\nAWS:\n")
    aws, _, rare = others.partition("\nRare:\n")
    assert "--stack TEXT" in first
    assert "--region TEXT" in aws
    assert "--debug" in rare
    shown = " ".join(page.split())
    for option in program.commands[command].params:
        assert isinstance(option, click.Option | click.Argument)
        if option.envvar:
            assert re.search(rf"\[env var: {option.envvar}\b", shown), option.name


@pytest.mark.parametrize(
    ("command", "short", "long"),
    [
        *((name, "-s", "--stack") for name in COMMANDS),
        *((name, "-y", "--yes") for name in ("up", "down", "users", "attach", "detach")),
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
    options = [set(option.opts) for option in program.commands[command].params]
    assert any({short, long} <= names for names in options)


@pytest.mark.parametrize("command", ["token", "test-login"])
def test_a_name_is_given_once(tmp_path: Path, command: str) -> None:
    words = ("ann", "--username", "bob", "--state", str(tmp_path / "none.json"))
    assert "ann and --username bob exclude each other" in in_process(command, *words).must(2).err
