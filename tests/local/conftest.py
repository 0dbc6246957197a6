"""The local AWS that the tests of this folder share, each with resources of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cogauth.local.process import FOLDER
from support.local_aws import own_local_aws
from support.local_gateway import echo, pool, there  # noqa: F401 fixtures
from support.local_pools import Server
from support.local_process import aws, folder  # noqa: F401 fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cogauth.local.process import LocalAws


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared local AWS is."""
    return tmp_path_factory.mktemp("local") / FOLDER


@pytest.fixture(scope="session")
def local_aws(local_folder: Path) -> Iterator[LocalAws]:
    """A local AWS that runs; a test that stops it starts it again."""
    with own_local_aws(local_folder.parent) as local:
        local.start()
        yield local


@pytest.fixture(scope="session")
def server(local_folder: Path, local_aws: LocalAws) -> Server:
    """The shared local AWS, to make user pools in."""
    return Server(local_folder, local_aws)
