"""``cogauth recover``: which state files it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.commands import Cli, files_in
from support.mistakes import reads_well

if TYPE_CHECKING:
    from support.servers import Fixed

# For the fixtures.
pytest_plugins = ["support.mistakes"]


def test_recover_leaves_a_newer_cogauths_file_alone(
    cli: Cli, existing: dict[str, Any], silent: Fixed
) -> None:
    cli.state.write_text(json.dumps({**existing, "version": 3}))
    before = cli.state.read_bytes()
    done = cli.run("recover", AWS_ENDPOINT_URL=silent.url)
    reads_well(done, "has version 3", "A newer cogauth wrote it")
    assert cli.state.read_bytes() == before
    assert files_in(cli.folder) == [".cogauth/.gitignore", ".cogauth/cogauth.json"]
