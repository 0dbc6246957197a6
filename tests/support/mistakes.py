"""Commands that are used wrongly: who uses them, where, and how the error reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.broken import record_whole_stack
from support.commands import Cli, command_line
from support.servers import Answer, Fixed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.forker import Result


def error_answer(code: str, message: str = "no", status: int = 403) -> Answer:
    """Return an error as IAM and STS answer it."""
    return Answer(
        status,
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>",
    )


@pytest.fixture
def silent() -> Iterator[Fixed]:
    """A server in AWS's place that should receive no request."""
    with Fixed(lambda _: error_answer("Unexpected", status=400)) as server:
        yield server


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Cli]:
    """The command line of someone without any AWS configuration."""
    with command_line(tmp_path) as made:
        yield made


@pytest.fixture
def existing(cli: Cli, silent: Fixed) -> dict[str, Any]:
    """Write a state file that records a whole stack; return its contents."""
    record_whole_stack(cli, silent.url)
    cli.env["COGAUTH_ENDPOINT_URL"] = silent.url
    return dict(json.loads(cli.state.read_text()))


def reads_well(done: Result, *parts: str, code: int = 1) -> None:
    """Check that an error is only one message on stderr that contains each part."""
    done.must(code)
    assert done.out == ""
    for part in parts:
        assert part in done.err, done.err
    assert done.err.splitlines()[-1].startswith("Error: "), done.err
