"""Start a local AWS and run programs against it, without the user's own environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3

from cogauth.local.process import FOLDER, LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.proxy import Call
    from cogauth.aws.environment import Keys

REGION = "eu-central-1"
HERE = Path(__file__).parent
# -P keeps these programs from importing this folder's modules by their short names.
PYTHON = [sys.executable, "-P"]
COGAUTH = [*PYTHON, str(HERE / "traced.py")]
ONE_AFTER_ANOTHER = [*COGAUTH, "--workers", "1"]
ARTICLE = [*PYTHON, str(HERE / "article.py")]
# Much longer than any program here takes.
PATIENCE_S = 600


class BenchmarkError(Exception):
    """A measured program failed."""


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder."""
    with TemporaryDirectory(prefix="cogauth-benchmark-") as made:
        yield Path(made)


# The keys of the running local AWS, passed to all measured programs.
keys_here: list[Keys] = []


@contextmanager
def local_aws() -> Iterator[str]:
    """Run a new local AWS; yield its URL."""
    with folder() as made:
        local = LocalAws(made / FOLDER)
        try:
            started = local.start()
            keys_here.append(started.keys)
            yield started.endpoint_url
        finally:
            keys_here.clear()
            local.remove()


def client(service: str, url: str) -> Any:
    """Return a boto3 client of a local AWS."""
    (keys,) = keys_here
    session = boto3.Session(*keys, region_name=REGION)
    make: Any = session.client
    return make(service, endpoint_url=url)


def environment(home: Path, url: str | None = None, **more: str) -> dict[str, str]:
    """Return the whole environment of a measured program."""
    where = {} if url is None else {"AWS_ENDPOINT_URL": url}
    for keys in keys_here:
        where |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **where,
        **more,
    }


@dataclass(frozen=True)
class Run:
    """A finished program: its time in seconds, and its output."""

    seconds: float
    out: str


def run(command: list[str], home: Path, env: dict[str, str], typed: str = "") -> Run:
    """Run a program to its end.

    Raises:
        BenchmarkError: the program failed.
    """
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 our own programs
        command,
        cwd=home,
        env=env,
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return Run(seconds, done.stdout)


@dataclass
class Times:
    """The measured times of one step, in seconds."""

    all: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return round(median(self.all), 6)


def count(calls: Iterable[Call]) -> dict[str, dict[str, int]]:
    """Count calls by operation, separately for writes, reads and transient refusals."""
    kinds: dict[str, Counter[str]] = {"write": Counter(), "read": Counter(), "refused": Counter()}
    for call in calls:
        kinds[call.kind][str(call.operation)] += 1
    return {kind: dict(sorted(counter.items())) for kind, counter in kinds.items()}
