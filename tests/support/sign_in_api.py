"""A stack's API whose sign-in answers as a test wants, also in ways the local AWS never does."""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.aws.waiting import Waiter
from cogauth.checks.login import LoginResult, check_login
from cogauth.context import Context
from cogauth.errors import LoginError
from support.called_api import CLIENT, POOL
from support.clock import FakeTime
from support.names import REGION
from support.servers import CALLER, OWN_API, Answer, Fixed, Request, asks_for_the_api
from support.state_files import state_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.record.state import State
    from support.commands import Cli

# JSON escapes a part of it.
PASSWORD = 'Correct-"Horse"-7'
NEW_PASSWORD = "Correct-Horse-8"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}"
POOLS_KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
MUST_CHOOSE = Answer(
    403, '{"status": "fail", "msg": "A new password is needed.", "code": "new_password_required"}'
)
NOT_DEPLOYED = Answer(403, '{"message": "Missing Authentication Token"}')
GATEWAY_FAILS = Answer(500, '{"message": "Internal server error"}')


def key_set(*keys: rsa.RSAPrivateKey) -> str:
    algorithm = jwt.get_algorithm_by_name("RS256")
    entries = [json.loads(algorithm.to_jwk(key.public_key())) for key in keys]
    named = [
        {**entry, "kid": f"key{n}", "alg": "RS256", "use": "sig"}
        for n, entry in enumerate(entries, 1)
    ]
    return json.dumps({"keys": named})


def token(*, key: rsa.RSAPrivateKey = POOLS_KEY, kid: str | None = "key1", **claims: Any) -> str:
    now = int(time.time())
    given = {
        "sub": "sub1",
        "iss": ISSUER,
        "aud": CLIENT,
        "token_use": "id",
        "iat": now,
        "auth_time": now,
        "exp": now + 3600,
        "cognito:username": "ann",
        **claims,
    }
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(kept, key, "RS256", headers={"kid": kid} if kid else None)


def success(id_token: str, **more: Any) -> Answer:
    answer = {
        "status": "success",
        "id_token": id_token,
        "access_token": "access",
        "refresh_token": "refresh",
        "user_id": "sub1",
        "is_new": "true",
        "expires_in": 3600,
        **more,
    }
    return Answer(200, json.dumps({k: v for k, v in answer.items() if v is not None}))


@dataclass
class Api:
    """The deployed API's answers: each list in order, then its last item forever."""

    server: Fixed
    sign_in: list[Answer] = field(default_factory=lambda: [success(token())])
    without_token: list[Answer] = field(default_factory=lambda: [Answer(401)])
    with_token: list[Answer] = field(default_factory=lambda: [Answer(200)])
    keys: Answer = field(default_factory=lambda: Answer(200, key_set(POOLS_KEY)))

    def answer(self, request: Request) -> Answer:
        if request.path == "/":
            return Answer(200, CALLER)
        if asks_for_the_api(request):
            return OWN_API
        if request.path == f"/{POOL}/.well-known/jwks.json":
            return self.keys
        if request.path == "/restapis/api1/dev/_user_request_/signin":
            queue = self.sign_in
        elif request.path == "/restapis/api1/dev/_user_request_/hello":
            queue = self.with_token if "Authorization" in request.headers else self.without_token
        else:
            return Answer(404, "{}")
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def sent(self, what: str) -> list[Request]:
        return [request for request in self.server.requests if request.path.endswith(what)]


@pytest.fixture(scope="session")
def sign_in_server() -> Iterator[tuple[Fixed, list[Api], Aws]]:
    """One server and the clients for it, because creating clients takes a moment."""
    apis: list[Api] = []
    with Fixed(lambda request: apis[-1].answer(request)) as server:  # noqa: PLW0108 the last then
        yield server, apis, Aws(region=REGION, endpoint_url=server.url, local=Keys.new())


@pytest.fixture
def api(sign_in_server: tuple[Fixed, list[Api], Aws]) -> Api:
    """The API of a test's stack, which so far answers as it should."""
    server, apis, _ = sign_in_server
    server.requests.clear()
    apis.append(Api(server))
    return apis[-1]


def stack_at(cli: Cli, url: str) -> State:
    """A stack that exists, according to its state file."""
    ids = {"user_pool": POOL, "app_client": CLIENT, "rest_api": "api1"}
    return state_at(cli.state, url, **ids)


@pytest.fixture
def fake() -> FakeTime:
    """The time of `ctx`."""
    return FakeTime()


@pytest.fixture
def told() -> list[str]:
    """What `ctx` waited for."""
    return []


@pytest.fixture
def ctx(
    cli: Cli,
    api: Api,
    sign_in_server: tuple[Fixed, list[Api], Aws],
    fake: FakeTime,
    told: list[str],
) -> Context:
    """The stack of `api`."""
    waiter = Waiter(clock=fake, stop=fake, report=lambda reason, _: told.append(reason))
    return Context(sign_in_server[2], stack_at(cli, api.server.url), waiter)


def login(ctx: Context) -> LoginResult:
    return check_login(ctx, "ann", PASSWORD)


def refusal(ctx: Context) -> str:
    """Check that the login could not be tested; return the error and its causes."""
    with pytest.raises(LoginError) as caught:
        login(ctx)
    text = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in text
    assert json.dumps(PASSWORD) not in text
    return str(caught.value)


def bodies(api: Api) -> list[dict[str, str]]:
    return [json.loads(request.body) for request in api.sent("/signin")]


# What the sign-in gets of a user who has, and who also chooses, a password.
OLD = {"username": "ann", "password": PASSWORD}
BOTH = {**OLD, "new_password": NEW_PASSWORD}


@pytest.fixture
def temporary(cli: Cli, api: Api) -> Api:
    """Ann's password is temporary; the function accepts any new one."""
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    api.sign_in = [MUST_CHOOSE, success(token(), is_new="false")]
    return api


# By kind: how to make it, and a part of what is said about it.
BAD_TOKENS: dict[str, tuple[Callable[[], str], str]] = {
    "another key under the pool's name": (lambda: token(key=OTHER_KEY), "Signature verification"),
    "a key that is not the pool's": (
        lambda: token(key=OTHER_KEY, kid="key9"),
        "one of the pool's keys",
    ),
    "no name of a key": (lambda: token(kid=None), "one of the pool's keys"),
    "another client": (lambda: token(aud="client2"), "Audience doesn't match"),
    "another pool": (lambda: token(iss=f"{ISSUER}2"), "Invalid issuer"),
    "expired": (lambda: token(iat=1, exp=int(time.time()) - 60), "Signature has expired"),
    "never expires": (lambda: token(exp=None), 'missing the "exp" claim'),
    "an access token": (lambda: token(token_use="access"), "its token_use is 'access', not 'id'"),
    "an access token as Cognito makes it": (
        lambda: token(token_use="access", aud=None, client_id=CLIENT),
        'missing the "aud" claim',
    ),
    "not signed": (
        lambda: jwt.encode(
            {"sub": "sub1", "aud": CLIENT, "iss": ISSUER}, "", "none", headers={"kid": "key1"}
        ),
        "alg",
    ),
    "signed with the public key as a secret": (
        lambda: jwt.encode({"aud": CLIENT}, "0" * 64, "HS256", headers={"kid": "key1"}),
        "alg",
    ),
    "no token at all": (lambda: "no.token", "Not enough segments"),
}
