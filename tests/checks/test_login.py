"""``cogauth test-login`` against a server that does things the local AWS never does."""

from __future__ import annotations

import base64
import codecs
import json
import re
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.aws.waiting import Waiter
from cogauth.checks.login import LoginResult, check_login
from cogauth.cli import cli as program
from cogauth.client import sessions, tokens
from cogauth.client.signin import READY_WITHIN_S
from cogauth.client.tokens import NAMES
from cogauth.client.transport import session
from cogauth.context import Context
from cogauth.errors import LoginError, UsageError
from cogauth.record.state import State
from cogauth.settings import Settings
from support.clock import FakeTime
from support.local_aws import free_port
from support.names import REGION
from support.sampling import examples
from support.screen import Screen
from support.servers import (
    ACCOUNT,
    CALLER,
    OWN_API,
    STACK_ID,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
)
from support.state_files import whole_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.commands import Cli

PASSWORD = 'Correct-"Horse"-7'
NEW_PASSWORD = "Correct-Horse-8"
POOL, CLIENT = f"{REGION}_Pool1", "client1"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}"
POOLS_KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
THROTTLED = Answer(429, '{"message": "Too Many Requests"}')
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


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Fixed, list[Api], Aws]]:
    """One server and the clients for it, because creating clients takes a moment."""
    apis: list[Api] = []
    with Fixed(lambda request: apis[-1].answer(request)) as server:  # noqa: PLW0108 the last then
        yield server, apis, Aws(region=REGION, endpoint_url=server.url, local=Keys.new())


@pytest.fixture
def api(played: tuple[Fixed, list[Api], Aws]) -> Api:
    server, apis, _ = played
    server.requests.clear()
    apis.append(Api(server))
    return apis[-1]


def stack_at(cli: Cli, url: str) -> State:
    """A stack that exists, according to its state file."""
    ids = {"user_pool": POOL, "app_client": CLIENT, "rest_api": "api1"}
    return State(
        path=cli.state,
        stack="cogauth",
        account=ACCOUNT,
        region=REGION,
        endpoint_url=url,
        settings=Settings(),
        stack_id=STACK_ID,
        resources=whole_stack(**ids),
    )


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def ctx(
    cli: Cli, api: Api, played: tuple[Fixed, list[Api], Aws], fake: FakeTime, told: list[str]
) -> Context:
    waiter = Waiter(clock=fake, stop=fake, report=lambda reason, _: told.append(reason))
    return Context(played[2], stack_at(cli, api.server.url), waiter)


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


# Valid logins


def test_a_login_that_holds(ctx: Context, api: Api, told: list[str]) -> None:
    result = login(ctx)
    assert result.problems == ()
    assert (result.status, result.is_new, result.user_id) == ("success", True, "sub1")
    assert result.claims
    assert result.claims["cognito:username"] == "ann"
    assert result.protected
    assert (result.protected["without_token"], result.protected["with_token"]) == (401, 200)
    assert told == []
    (post,) = api.sent("/signin")
    assert post.method == "POST"
    assert json.loads(post.body) == {"username": "ann", "password": PASSWORD}
    assert "Authorization" not in post.headers
    assert [r.headers.get("Authorization") for r in api.sent("/hello")] == [
        None,
        result.tokens["id_token"],
    ]
    assert all(PASSWORD not in repr(thing) for thing in (result, result.to_json()))
    assert result.tokens["id_token"] not in repr(result)


def test_a_clock_that_is_some_seconds_off_does_no_harm(ctx: Context, api: Api) -> None:
    now = int(time.time())
    api.sign_in = [success(token(iat=now + 10, exp=now - 10))]
    assert login(ctx).problems == ()


def test_the_pools_second_key_is_as_good_as_its_first(ctx: Context, api: Api) -> None:
    api.keys = Answer(200, key_set(OTHER_KEY, POOLS_KEY))
    api.sign_in = [success(token(kid="key2"))]
    assert login(ctx).problems == ()


# Invalid tokens

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


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_token_that_does_not_hold_is_a_problem(ctx: Context, api: Api, name: str) -> None:
    make, said = BAD_TOKENS[name]
    api.sign_in = [success(make())]
    result = login(ctx)
    (problem,) = result.problems
    assert problem.startswith("The ID token isn't valid: ")
    assert said in problem
    assert result.claims is None


@pytest.mark.parametrize("name", ["another key under the pool's name", "expired"])
def test_the_command_fails_over_a_token_that_does_not_hold(cli: Cli, api: Api, name: str) -> None:
    make, said = BAD_TOKENS[name]
    api.sign_in = [success(make())]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--json").must(1)
    assert done.document["status"] == "success"
    assert done.document["claims"] is None
    assert f"Error: The ID token isn't valid: {said}" in done.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"without_token": [Answer(200)]}, "Without a token"),
        ({"with_token": [Answer(401)]}, "With the token"),
        ({"with_token": [Answer(404)]}, "answers 404, not 200"),
    ],
)
def test_a_guard_that_does_not_guard_is_a_problem(
    cli: Cli, ctx: Context, api: Api, changed: dict[str, list[Answer]], said: str
) -> None:
    for name, answers in changed.items():
        setattr(api, name, answers)
    (problem,) = login(ctx).problems
    assert said in problem
    ctx.state.save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    assert problem in cli.login("ann", PASSWORD).must(1).err


# A token can contain any JSON

FINITE = st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
READ = ("sub", "iss", "aud", "client_id", "token_use", "iat", "nbf", "exp", "auth_time", "jti")


def unpadded(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.fixed_dictionaries({}, optional=dict.fromkeys(READ, any_json)),
    header=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("alg", "kid", "typ", "crit"), any_json)
    ),
)
def test_whatever_a_token_says_it_can_be_said_whether_it_holds(
    ctx: Context, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    # Signed by the pool, so that everything is checked; then with a header that isn't signed.
    known = {"token_use": "id", "iss": ISSUER, "aud": CLIENT, "sub": "s", "iat": 1, "exp": 2**40}
    said = json.dumps({**known, **claims}).encode()
    signed = jwt.PyJWS().encode(said, POOLS_KEY, "RS256", headers={"kid": "key1"})
    changed = {"alg": "RS256", "kid": "key1", **header}
    for text in (signed, f"{unpadded(changed)}.{signed.partition('.')[2]}"):
        found, parts = tokens.read(text)
        http = session(ctx.url("/"), ctx.aws)
        why = tokens.why_unverified(ctx, http, found, parts.claims)
        assert why is None or isinstance(why, str)


@pytest.mark.parametrize("value", [[], {}, ["id"], 7, None])
def test_decode_shows_a_token_of_any_use(cli: Cli, api: Api, value: Any) -> None:
    stack_at(cli, api.server.url).save()
    given = {"COGAUTH_ENDPOINT_URL": api.server.url, "COGAUTH_JSON": "1"}
    done = cli.run("decode", typed=token(token_use=value), **given).must()
    assert done.document["reason"] == "its token_use is neither 'id' nor 'access'"


# A deployment that isn't ready yet


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "first",
    [
        [NOT_DEPLOYED],
        [GATEWAY_FAILS],
        [NOT_DEPLOYED, GATEWAY_FAILS, NOT_DEPLOYED],
        [Answer(500, '{"status": "fail", "msg": "no", "code": "access_denied"}')],
        [Answer(200, '{"status": "fail", "msg": "no", "code": "access_denied"}')],
        [Answer(500, '{"status": "fail", "msg": "no", "code": "trigger_denied"}')] * 2,
        [Answer(200, '{"status": "fail", "msg": "no", "code": "trigger_denied"}')],
        [Answer(403, "")],
    ],
)
def test_a_new_deployment_is_waited_for(
    ctx: Context, api: Api, fake: FakeTime, told: list[str], first: list[Answer]
) -> None:
    api.sign_in = [*first, success(token())]
    assert login(ctx).problems == ()
    assert len(api.sent("/signin")) == len(first) + 1
    assert set(told) == {"the new deployment to answer"}
    assert 0 < fake.now < READY_WITHIN_S


@pytest.mark.parametrize("code", ["access_denied", "trigger_denied"])
def test_so_it_is_where_a_token_is_wanted(
    ctx: Context, api: Api, told: list[str], code: str
) -> None:
    body = {"status": "fail", "msg": "no", "code": code}
    api.sign_in = [Answer(500, json.dumps(body)), success(token())]
    got, is_new = sessions.begin(ctx, "ann", PASSWORD)
    assert is_new
    assert set(got) == set(NAMES)
    assert set(told) == {"the new deployment to answer"}


def test_the_protected_method_is_waited_for_too(ctx: Context, api: Api, told: list[str]) -> None:
    api.without_token = [NOT_DEPLOYED, GATEWAY_FAILS, Answer(401)]
    api.with_token = [GATEWAY_FAILS, Answer(200)]
    assert login(ctx).problems == ()
    assert set(told) == {"the guarded method to answer"}


def test_the_command_says_once_that_it_waits(cli: Cli, api: Api) -> None:
    api.sign_in = [NOT_DEPLOYED, GATEWAY_FAILS, success(token())]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--json").must()
    assert done.document["is_new"] is True
    # Before that, it looked for missing resources.
    told = re.fullmatch(r"waiting for the new deployment to answer, up to (\d+) s\n", done.err)
    assert told
    assert READY_WITHIN_S - 15 < int(told[1]) <= READY_WITHIN_S


def test_the_results_are_green_or_red_on_a_terminal_alone(
    cli: Cli, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_at(cli, api.server.url).save()
    given = {**cli.env, "COGAUTH_ENDPOINT_URL": api.server.url, "COGAUTH_PASSWORD": PASSWORD}
    for name, value in {**given, "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(*, is_terminal: bool = True) -> Screen:
        screen = Screen()
        monkeypatch.setattr(screen, "isatty", lambda: is_terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        words = ("test-login", "ann", "--state", str(cli.state))
        program.main(words, standalone_mode=False)
        return screen

    green, red = "32", "31"
    screen = shown()
    for line in ("200 a new user", "ID token: signature valid", "401 without", "200 with token"):
        assert screen.colour(line) == green
    api.with_token = [Answer(404)]
    screen = shown()
    assert screen.colour("✗ 404 with token") == screen.colour("Error: With the token") == red
    api.sign_in = [Answer(401, json.dumps({"status": "fail", "msg": "no", "code": "x"}))]
    assert shown().colour("✗ 401 refused") == red
    assert "\x1b" not in shown(is_terminal=False).getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown().getvalue()


def test_the_wait_ends(ctx: Context, api: Api, fake: FakeTime) -> None:
    api.sign_in = [NOT_DEPLOYED]
    said = refusal(ctx)
    assert "still answers HTTP 403 Missing Authentication Token after 60 s" in said
    assert f"Run 'cogauth up{ctx.state.options}' to repair" in said
    assert "--state" in ctx.state.options
    assert READY_WITHIN_S <= fake.now < READY_WITHIN_S + 10
    api.sign_in, api.with_token = [success(token())], [GATEWAY_FAILS]
    assert "answers 500, not 200" in login(ctx).problems[0]


def test_what_the_sign_in_itself_answers_is_not_asked_for_again(
    ctx: Context, api: Api, told: list[str]
) -> None:
    """Each attempt with a wrong password counts towards Cognito's lockout."""
    for status, code, logs in (
        (401, "wrong_credentials", None),
        (403, "user_disabled", None),
        (403, "sign_up_refused", "logs"),
        (500, "timeout", "logs sign-in"),
        (500, "trigger_failed", "logs"),
        (500, "client_secret_unreadable", "logs sign-in"),
        (500, "internal_error", "logs sign-in"),
    ):
        api.server.requests.clear()
        body = {"status": "fail", "msg": "said so", "code": code}
        api.sign_in = [Answer(status, json.dumps(body))]
        result = login(ctx)
        assert (result.http_status, result.code) == (status, code)
        said = f"The login was refused: said so ({code})."
        command = ctx.state.command(f"{logs} --since 10m")
        assert result.problems == (f"{said} Run '{command}' to see why." if logs else said,)
        assert len(api.sent("/signin")) == 1
    assert told == []


# A temporary password


@pytest.fixture
def temporary(cli: Cli, api: Api) -> Api:
    """Ann's password is temporary; the function accepts any new one."""
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    api.sign_in = [MUST_CHOOSE, success(token(), is_new="false")]
    return api


def bodies(api: Api) -> list[dict[str, str]]:
    return [json.loads(request.body) for request in api.sent("/signin")]


OLD = {"username": "ann", "password": PASSWORD}
BOTH = {**OLD, "new_password": NEW_PASSWORD}


def test_the_new_password_is_the_second_line_of_stdin(cli: Cli, temporary: Api) -> None:
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin", "--json")
    for end in ("", "\n", "\r\nmore\n"):
        done = cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}{end}").must()
        assert (done.document["status"], done.document["is_new"]) == ("success", False)
        assert NEW_PASSWORD not in done.out + done.err + cli.state.read_text()
        assert bodies(temporary) == [OLD, BOTH]
        temporary.server.requests.clear()
        temporary.sign_in.insert(0, MUST_CHOOSE)
    data = codecs.BOM_UTF16_LE + f"{PASSWORD}\n{NEW_PASSWORD}\n".encode("utf-16-le")
    cli.run(*words, typed=data).must()
    assert bodies(temporary) == [OLD, BOTH]


def test_who_needs_no_new_password_keeps_the_present_one(cli: Cli, temporary: Api) -> None:
    temporary.sign_in = [success(token())]
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin")
    cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}\n").must()
    assert bodies(temporary) == [OLD]


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("--new-password-stdin",), f"{PASSWORD}\n{NEW_PASSWORD}\n", "give --password-stdin too"),
        (("--password-stdin", "--new-password-stdin"), PASSWORD, "The new password is empty"),
        (("--password-stdin", "--new-password-stdin"), f"\n{PASSWORD}", "The password is empty"),
    ],
)
def test_a_new_password_without_its_line_is_none(
    cli: Cli, temporary: Api, words: tuple[str, ...], typed: str, said: str
) -> None:
    assert said in cli.run("test-login", "ann", *words, typed=typed).must(2).err
    assert temporary.sent("/signin") == []


def test_without_a_new_password_the_way_to_give_one_is_told(cli: Cli, temporary: Api) -> None:
    done = cli.login("ann", PASSWORD).must(1)
    assert "(new_password_required). Give the new one on a terminal" in done.err
    assert bodies(temporary) == [OLD]
    temporary.sign_in = [MUST_CHOOSE]
    done = cli.run("token", "ann", COGAUTH_PASSWORD=PASSWORD).must(1)
    assert "ann has a temporary password and must choose a new one." in done.err
    assert "Run 'cogauth test-login ann" in done.err


def test_a_new_password_that_is_refused_is_a_problem(cli: Cli, temporary: Api) -> None:
    refused = {"status": "fail", "msg": "Too short.", "code": "password_policy"}
    temporary.sign_in[1:] = [Answer(400, json.dumps(refused))]
    words = ("test-login", "ann", "--password-stdin", "--new-password-stdin")
    done = cli.run(*words, typed=f"{PASSWORD}\n{NEW_PASSWORD}\n").must(1)
    assert "The login was refused: Too short. (password_policy)." in done.err
    assert "Give the new one" not in done.err


@pytest.mark.parametrize("command", ["test-login", "token"])
def test_on_a_terminal_the_new_password_is_asked_for_twice(
    cli: Cli, temporary: Api, command: str
) -> None:
    running = cli.on_terminal(command, "ann", COGAUTH_PASSWORD=PASSWORD)
    running.see("New password: ")
    assert "The new password needs at least 8 characters" in running.plain
    running.type(f"{NEW_PASSWORD}\n")
    running.see("The same again: ")
    running.type("another\n")
    running.see("New password: (.|\n)*New password: ")
    for question in ("The same again: (.|\n)*The same again: ", "$"):
        running.type(f"{NEW_PASSWORD}\n")
        running.see(question)
    assert running.ended() == 0
    assert NEW_PASSWORD not in running.text
    assert bodies(temporary) == [OLD, BOTH]


# Invalid answers


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("answer", "logs"),
    [
        (Answer(500, '{"status": "fail", "msg": "no", "code": "internal_error"}'), "logs sign-in"),
        (Answer(500, '{"status": "fail", "msg": "no", "code": "trigger_denied"}'), "logs"),
        (GATEWAY_FAILS, "logs"),
        (Answer(504, '{"message": "Endpoint request timed out"}'), "logs"),
        (Answer(404, "{}"), None),
        (Answer(401, '{"status": "fail", "msg": "no", "code": "wrong_credentials"}'), None),
    ],
)
def test_what_is_the_functions_fault_ends_with_the_command_that_shows_their_log(
    ctx: Context, api: Api, answer: Answer, logs: str | None
) -> None:
    """'token' and 'call', which sign in on their own, say the same."""
    api.sign_in = [answer]
    with pytest.raises(LoginError) as caught:
        sessions.begin(ctx, "ann", PASSWORD)
    said = str(caught.value)
    if logs is None:
        assert "cogauth logs" not in said
    else:
        command = ctx.state.command(f"{logs} --since 10m")
        assert said.endswith((f"'{command}'.", f"'{command}' to see why."))


@pytest.mark.parametrize("sign_up", ["open", "closed"])
def test_who_is_refused_by_a_closed_stack_is_told_who_creates_users(
    ctx: Context, api: Api, sign_up: str
) -> None:
    refused = {"status": "fail", "msg": "no", "code": "wrong_credentials"}
    api.sign_in = [Answer(401, json.dumps(refused))]
    ctx.state.settings = replace(ctx.state.settings, sign_up=sign_up)
    with pytest.raises(LoginError) as caught:
        sessions.begin(ctx, "ann", PASSWORD)
    command = ctx.state.command("users create NAME")
    assert (f"if there is no such user, '{command}' creates one" in str(caught.value)) == (
        sign_up == "closed"
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(ctx: Context, api: Api, status: int) -> None:
    with Fixed(lambda _: success(token())) as elsewhere:
        api.sign_in = [Answer(status, "", {"Location": f"{elsewhere.url}/signin"})]
        assert f"answers HTTP {status}, which isn't an answer of the sign-in function" in refusal(
            ctx
        )
        assert elsewhere.requests == []
    assert len(api.sent("/signin")) == 1


def test_a_token_is_not_redirected_either(ctx: Context, api: Api) -> None:
    with Fixed(lambda _: Answer(200)) as elsewhere:
        api.with_token = [Answer(307, "", {"Location": f"{elsewhere.url}/hello"})]
        assert "answers 307, not 200" in login(ctx).problems[0]
        api.keys = Answer(302, "", {"Location": f"{elsewhere.url}/keys"})
        assert "public keys" in refusal(ctx)
        assert elsewhere.requests == []


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, "<html>Sign in to the hotel's network</html>"),
        Answer(200, ""),
        Answer(200, "[]"),
        Answer(200, '"success"'),
        Answer(200, '{"message": "hello"}'),
        Answer(200, "[" * 100_000),
        Answer(404, '{"message": "Not Found"}'),
        Answer(504, '{"message": "Endpoint request timed out"}'),
        Answer(200, '{"status": "success"}'),
        Answer(400, '{"status": "fail", "code": []}'),
        Answer(400, '{"status": "fail", "code": NaN, "msg": Infinity}'),
        Answer(400, f'{{"status": "fail", "expires_in": {"9" * 5000}}}'),
        Answer(400, '{"status": {}, "msg": ["a"]}'),
        success(token(), refresh_token=["a"]),
        success(token(), access_token="a\r\nX-Evil: 1"),
        success(token(), expires_in="soon"),
        success(token(), refresh_token=None),
        success(token(), user_id=None),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:20]}",
)
def test_what_is_no_answer_of_the_sign_in_is_an_error(
    ctx: Context, api: Api, answer: Answer
) -> None:
    api.sign_in = [answer]
    said = refusal(ctx)
    assert "isn't an answer of the sign-in" in said or "lacks " in said
    assert len(api.sent("/signin")) == 1


def test_the_stages_throttle_is_called_by_its_name(ctx: Context, api: Api) -> None:
    api.sign_in = [THROTTLED]
    said = refusal(ctx)
    assert "HTTP 429 Too Many Requests: the stage's throttle" in said
    assert f"'cogauth up --throttle-rate … --throttle-burst …{ctx.state.options}'" in said


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "RSA"}]}',
        '{"keys": 7}',
        '{"keys": [7]}',
        "<html>",
        "[" * 100_000,
        f'{{"keys": {"9" * 5000}}}',
    ],
)
def test_keys_that_are_none_are_an_error(ctx: Context, api: Api, keys: str) -> None:
    api.keys = Answer(200, keys)
    said = refusal(ctx)
    assert f"{api.server.url}/{POOL}/.well-known/jwks.json" in said


def test_an_api_that_can_not_be_reached(ctx: Context) -> None:
    ctx.state.endpoint_url = f"http://127.0.0.1:{free_port()}"
    assert "/signin failed: ConnectionError" in refusal(ctx)


def test_neither_password_nor_token_is_in_what_debug_shows(cli: Cli, api: Api) -> None:
    api.sign_in = [Answer(200, "<html>")]
    stack_at(cli, api.server.url).save()
    cli.env["COGAUTH_ENDPOINT_URL"] = api.server.url
    done = cli.login("ann", PASSWORD, "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert PASSWORD not in done.err + done.out


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:80", "http://example.com", "http://127.0.0.1.example.com"]
)
def test_a_password_goes_in_clear_text_to_this_machine_only(ctx: Context, url: str) -> None:
    ctx.state.endpoint_url = url
    with pytest.raises(UsageError, match="in clear text"):
        login(ctx)


def test_a_proxy_or_netrc_of_the_environment_is_not_asked(
    ctx: Context, api: Api, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = cli.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Fixed(lambda _: Answer(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert login(ctx).problems == ()
        assert proxy.requests == []
    assert "Authorization" not in api.sent("/hello")[0].headers
