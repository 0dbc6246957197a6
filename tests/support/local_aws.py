"""Emulators and local AWSs that someone else started, and boto3 clients for them."""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3

from cogauth.aws.environment import Keys
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws
from support.commands import FOLDERS, KEYS, environment, until
from support.names import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# The keys that other emulators accept as the root's, as ministack does without cogauth's gate.
EMULATORS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# An integration that answers 200 by itself.
MOCK: Any = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
# The root's keys of each running emulator, by its URL.
KEYS_OF: dict[str, tuple[str, ...]] = {}


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def emulator(folder: Path, *words: str, **more: str) -> Iterator[str]:
    """Run ministack, known to cogauth only by its URL; it keeps nothing when it ends."""
    folder.mkdir(exist_ok=True)
    port = int(more.setdefault("GATEWAY_PORT", str(free_port())))
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "LOG_LEVEL": "WARNING",
        **more,
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *(words or ["ministack"])],
            cwd=folder,
            env=environment(folder, **settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as server,
    ):
        try:
            until(lambda: server.poll() is not None or is_listening(port), 30)
            assert server.poll() is None, (folder / "log").read_text()
            KEYS_OF[url] = tuple(more.get(name, KEYS[name]) for name in KEYS)
            yield url
        finally:
            KEYS_OF.pop(url, None)
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def someones_local_aws(folder: Path) -> Iterator[str]:
    """Run the local AWS with KEYS where no command looks for it, so only its URL is known."""
    record = {"port": 20000, "data_id": 16 * "0", "run": 32 * "0"}
    record |= Keys(*KEYS.values())._asdict()
    (folder / "tmp").mkdir(parents=True)
    (folder / MARKER).write_bytes(MARKED)
    (folder / "local.json").write_text(json.dumps(record))
    with emulator(folder / "tmp", "cogauth.local.server") as url:
        yield url


@contextmanager
def own_local_aws(folder: Path) -> Iterator[LocalAws]:
    """Run a test's own local AWS in a folder, with keys that ``client`` knows; then remove it."""
    local = LocalAws(folder / FOLDER)
    FOLDERS.add(folder)
    try:
        yield local
    finally:
        local.remove()
        FOLDERS.remove(folder)


def keys_at(url: str) -> tuple[str, ...]:
    """Return a local AWS's root keys: those of one that a command here started, or KEYS."""
    if url in KEYS_OF:
        return KEYS_OF[url]
    # A copy: another thread of a test may add its own command line meanwhile.
    for alive in (file for folder in tuple(FOLDERS) for file in folder.rglob(f"{FOLDER}/alive")):
        local = LocalAws(alive.parent)
        if local.endpoint_url == url:
            return local.keys()
    return tuple(KEYS.values())


def client(service: str, url: str, **more: Any) -> Any:
    """Return a boto3 client for a local AWS, as the root of its account."""
    return _client(service, url, keys_at(url), tuple(more.items()))


@functools.cache
def _client(
    service: str, url: str, keys: tuple[str, ...], more: tuple[tuple[str, Any], ...]
) -> Any:
    make: Any = boto3.Session(*keys, region_name=REGION).client
    return make(service, endpoint_url=url, **dict(more))


def somebodys_api(gateway: Any, name: str = "theirs", body: str | None = None) -> str:
    """Create someone else's API, with an open GET / on its stage prod; return its id.

    The method answers with ``body``, if there is one.
    """
    made = gateway.create_rest_api(name=name)
    place = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    gateway.put_integration(**place, **MOCK)
    answers = {} if body is None else {"responseTemplates": {"application/json": body}}
    gateway.put_integration_response(**place, statusCode="200", **answers)
    gateway.create_deployment(restApiId=made["id"], stageName="prod")
    return str(made["id"])
