"""The options for a stack's settings: bad values, and which were typed."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from support.commands import Cli, files_in
from support.mistakes import reads_well

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.forker import Result
    from support.servers import Fixed

# For the fixtures.
pytest_plugins = ["support.account_commands", "support.mistakes"]

BAD_VALUES = [
    ("--stack", ("", "a b", "../up", "x" * 41, "größe")),
    ("--tier", ("FREE",)),
    ("--sign-up", ("shut", "")),
    ("--password-min-length", ("5", "100", "eight")),
    ("--password-require", ("upper,emoji",)),
    ("--runtime", ("python3.10", "nodejs22.x")),
    ("--architecture", ("mips",)),
    ("--permissions-boundary", ("", "boundary", "arn:aws:iam::123456789012:role/x")),
    ("--sign-in-memory", ("127", "10241")),
    ("--sign-in-timeout", ("5", "30")),
    ("--auto-confirm-memory", ("64",)),
    ("--auto-confirm-timeout", ("0", "6")),
    ("--path", ("signin", "/a/b", "/hello")),
    ("--stage", ("a b", "")),
    ("--throttle-rate", ("0", "nan", "many")),
    ("--throttle-burst", ("0", "5001")),
    ("--cors-origin", ("", "null", "https://app.example/", "app.example", "https://*.example")),
    ("--region", ("moon-1",)),
    ("--endpoint-url", ("ftp://127.0.0.1", "127.0.0.1:4566", "http://127.0.0.1:x")),
    ("--adopt", ("eu-central-1_NotRecorded",)),
    ("--state", (".",)),
    ("--settle", ("-1", "soon")),
    ("--lock-timeout", ("-1", "soon")),
]


def test_bad_values_of_up_are_refused_before_anything_happens(cli: Cli, silent: Fixed) -> None:
    pairs = [(option, value) for option, values in BAD_VALUES for value in values]
    # Each takes a moment, so two run at once; one may have to wait for the other's lock.
    env = {"AWS_ENDPOINT_URL": silent.url, "COGAUTH_LOCK_TIMEOUT": "60"}
    with ThreadPoolExecutor(2) as two:
        results = list(two.map(lambda pair: cli.run("up", *pair, **env), pairs))
    for (option, value), done in zip(pairs, results, strict=True):
        done.must(2)
        assert option in done.err or f"endpoint {value!r}" in done.err, done.err
        assert done.out == ""
    assert silent.requests == []
    assert [entry.name for entry in cli.folder.iterdir()] == ["tmp"]


def test_every_option_of_up_has_a_bad_value_here(bare: Cli) -> None:
    """Except flags, and options that accept any text."""
    text = bare.run("up", "--help").must().out
    # An option's metavar follows after one space, a flag's help after several.
    offered = set(re.findall(r"^  (?:-[a-z], )?(--[a-z-]+) [A-Za-z|]+\b", text, re.MULTILINE))
    assert offered - {"--profile"} == {option for option, _ in BAD_VALUES}


def test_a_bad_value_from_the_environment_is_refused_too(cli: Cli, silent: Fixed) -> None:
    done = cli.run("up", COGAUTH_TIER="FREE", AWS_ENDPOINT_URL=silent.url).must(2)
    assert "--tier 'FREE' can't be used: give LITE, ESSENTIALS or PLUS." in done.err
    assert silent.requests == []


def test_local_and_an_endpoint_exclude_each_other(cli: Cli, silent: Fixed) -> None:
    done = cli.run("up", "--local", "--endpoint-url", silent.url)
    reads_well(done, "--local and --endpoint-url exclude each other", code=2)
    assert silent.requests == []
    assert files_in(cli.folder) == []


def test_the_next_command_has_the_options_that_were_typed(
    account: Account, run: Callable[..., Result]
) -> None:
    account.stands()
    words = [
        *("--password-require", "digit,lower", "--cors-origin", "https://a.example"),
        *("--cors-origin", "https://b.example", "--no-power-user", "--throttle-rate", "3.0"),
    ]
    (line,) = [line for line in run("plan", *words).out.splitlines() if line.startswith("Next: ")]
    typed = shlex.split(line)
    assert typed[:3] == ["Next:", "cogauth", "up"]
    done = run(*typed[2:-4])
    assert done.code == 0
    assert "up to date" in run("plan", *words).out


def with_cors(account: Account) -> None:
    account.up(cors_origins=("https://a.example",))


def test_a_list_that_is_emptied_is_typed_as_none(
    account: Account, run: Callable[..., Result]
) -> None:
    account.as_after(with_cors)
    out = run("plan", "--cors-origin", "none", "--password-require", "none").out
    assert "Next: cogauth up --password-require none --cors-origin none --stack" in out
