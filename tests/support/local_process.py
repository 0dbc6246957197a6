"""A local AWS of a test's own, as a process: started in a folder, and what it has there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import boto3
import pytest

from cogauth.aws.environment import Keys
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws, Started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from types_boto3_cognito_idp import CognitoIdentityProviderClient

# The id of the data in a folder that is laid out, not made by a start.
SERVED = "0123456789abcdef"
START = """
import os, signal, sys
from pathlib import Path
from cogauth.local.process import LocalAws
{prelude}
print(LocalAws(Path(sys.argv[1]){arguments}).start().endpoint_url)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".cogauth" / FOLDER


@pytest.fixture
def aws(folder: Path) -> Iterator[LocalAws]:
    local = LocalAws(folder)
    yield local
    local.stop()


def ours(folder: Path) -> None:
    """Create the folder as starting it does."""
    folder.mkdir(parents=True)
    (folder / MARKER).write_bytes(MARKED)


def session(started: Started) -> boto3.Session:
    return boto3.Session(*started.keys, region_name="eu-central-1")


def cognito(started: Started) -> CognitoIdentityProviderClient:
    return session(started).client("cognito-idp", endpoint_url=started.endpoint_url)


def pools(started: Started) -> list[str]:
    answer = cognito(started).list_user_pools(MaxResults=10)
    return [pool["Name"] for pool in answer["UserPools"]]


def data_id_of(folder: Path) -> str:
    return str(json.loads((folder / "local.json").read_text())["data_id"])


def pid_of_server(folder: Path) -> int:
    (file,) = folder.glob("tmp/ministack-*.pid")
    return int(file.read_text())


def starter(folder: Path, prelude: str = "", arguments: str = "") -> subprocess.Popen[str]:
    program = START.format(prelude=prelude, arguments=arguments)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )


def lay_out(folder: Path) -> None:
    """Create the folder as a start does."""
    folder.mkdir(mode=0o700, parents=True)
    (folder / MARKER).write_bytes(MARKED)
    record = {"port": 20000, "data_id": SERVED, "loaded": 0, "run": 32 * "0"}
    record |= Keys.new()._asdict()
    (folder / "local.json").write_text(json.dumps(record))
    (folder / "local.json").chmod(0o600)
