"""A stack whose API is called: a server that answers like API Gateway, and tokens for it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from cogauth.client import token_store
from support.commands import KEYS, Cli, command_line, in_process
from support.names import REGION
from support.servers import (
    CALLER,
    OWN_API,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
)
from support.state_files import state_at
from support.tokens import segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cogauth.record.state import State
    from support.forker import Result

POOL, CLIENT = f"{REGION}_Pool1", "client1"
BASE = "/restapis/api1/dev/_user_request_"
SIGNATURE = "the-signature-of-this-token-is-no-ones-business"


def token(use: str = "id", **claims: Any) -> str:
    given = {
        "iss": f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}",
        "token_use": use,
        "exp": int(time.time()) + 3600,
        "aud" if use == "id" else "client_id": CLIENT,
        "cognito:username": "ann",
        **claims,
    }
    return f"{segment({'alg': 'RS256', 'kid': 'key1'})}.{segment(given)}.{SIGNATURE}"


def session(**claims: Any) -> dict[str, str]:
    return {
        "id_token": token(**claims),
        "access_token": token("access", **claims),
        "refresh_token": "refresh",
    }


# As AWS words it.
NO_SUCH_METHOD = Answer(
    404,
    '{"message": "Invalid Method identifier specified"}',
    {"x-amzn-ErrorType": "NotFoundException"},
)
# A caller who may only call the API isn't told what is missing from the stack.
DENIED = Answer(403, '{"message": "Denied"}', {"x-amzn-ErrorType": "AccessDeniedException"})


@dataclass
class Gateway:
    """API Gateway's control plane, and its deployed APIs."""

    answers: dict[str, Answer] = field(default_factory=dict)
    tested: Answer = field(default_factory=lambda: Answer(404, '{"message": "Unknown path"}'))
    missing: tuple[str, ...] = ()
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path == "/":
            return Answer(200, CALLER)
        if asks_for_the_api(request):
            return OWN_API
        if "_user_request_" in path:
            self.requests.append(request)
            guarded = path == f"{BASE}/hello" and "Authorization" not in request.headers
            if guarded:
                return Answer(401, '{"message": "Unauthorized"}', {"x-amzn-ErrorType": "E"})
            return self.answers.get(path) or Answer(200, '{"message": "Hello"}')
        if "/methods/" in path and request.method == "POST":
            self.requests.append(request)
            return NO_SUCH_METHOD if path.endswith(self.missing) else self.tested
        items = LISTS.get(path.removeprefix("/restapis"))
        return DENIED if items is None else Answer(200, json.dumps({"item": items}))


LISTS: dict[str, list[dict[str, Any]]] = {
    "": [
        {"id": "api1", "name": "cogauth"},
        {"id": "pets1", "name": "pets"},
        {"id": "twin1", "name": "twin"},
        {"id": "twin2", "name": "twin"},
        {"id": "raw1", "name": "raw"},
    ],
    "/api1/stages": [{"stageName": "dev"}, {"stageName": "beta"}],
    "/pets1/stages": [{"stageName": "v1", "variables": {"table": "pets"}}],
    "/twin1/stages": [{"stageName": "a"}, {"stageName": "b"}],
    "/raw1/stages": [],
    "/pets1/resources": [
        {"id": "all", "path": "/{all+}", "resourceMethods": {"ANY": {}}},
        {"id": "one", "path": "/pets/{pet}", "resourceMethods": {"GET": {}}},
        {"id": "best", "path": "/pets/best", "resourceMethods": {"GET": {}, "POST": {}}},
    ],
    "/api1/resources": [
        {"id": "hello", "path": "/hello", "resourceMethods": {"GET": {}}},
        {"id": "root", "path": "/"},
    ],
}


@dataclass
class Played:
    """The command line, and the server that its stack is on."""

    cli: Cli
    gateway: Gateway
    server: Fixed
    state: State

    def run(self, *words: str, code: int = 0, typed: str = "") -> Result:
        """Run a command in this process; check that it never shows a token."""
        done = in_process(*words, typed=typed).must(code)
        assert SIGNATURE not in done.out + done.err
        return done

    def refuse(self, *words: str, says: str) -> None:
        """Run a command with bad input: it says so and sends nothing."""
        done = self.run(*words, code=2)
        assert says in done.err
        assert "Error: " in done.err
        assert done.out == ""
        assert self.gateway.requests == []


@contextmanager
def serving() -> Iterator[tuple[Fixed, list[Gateway]]]:
    """A server on which the last of the gateways answers, whichever was added."""
    gateways: list[Gateway] = []
    with Fixed(lambda request: gateways[-1](request)) as server:  # noqa: PLW0108 the last then
        yield server, gateways


@contextmanager
def playing(
    server: tuple[Fixed, list[Gateway]], folder: Path, no_credentials: pytest.MonkeyPatch
) -> Iterator[Played]:
    """A new gateway on the server, and in the folder its stack, where ann is signed in."""
    no_credentials.chdir(folder)
    fixed, gateways = server
    given = {**KEYS, "COGAUTH_ENDPOINT_URL": fixed.url}
    for name, value in given.items():
        no_credentials.setenv(name, value)
    gateways.append(Gateway())
    ids = {"user_pool": POOL, "app_client": CLIENT, "rest_api": "api1"}
    with command_line(folder, **given, AWS_REGION=REGION) as cli:
        state = state_at(cli.state, fixed.url, **ids)
        state.save()
        token_store.store(state, "ann", session())
        yield Played(cli, gateways[-1], fixed, state)


@pytest.fixture(scope="module")
def gateway_server() -> Iterator[tuple[Fixed, list[Gateway]]]:
    """A server for the file's tests with `played`."""
    with serving() as server:
        yield server


@pytest.fixture
def played(
    gateway_server: tuple[Fixed, list[Gateway]],
    tmp_path: Path,
    no_credentials: pytest.MonkeyPatch,
) -> Iterator[Played]:
    """A stack whose API is called, on a server that answers like API Gateway."""
    with playing(gateway_server, tmp_path, no_credentials) as made:
        yield made
