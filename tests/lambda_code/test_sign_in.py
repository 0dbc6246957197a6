"""What the sign-in function answers, what it asks Cognito for, and what it logs.

A small in-memory pool plays Cognito, behind an HTTP server on this machine that checks the
signature of each request: all of the function's code runs.
"""

import base64
import contextlib
import functools
import hashlib
import hmac
import io
import ipaddress
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import exceptions
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import JSONParser
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, SSLError

from support.handlers import load_sign_in

POOL, CLIENT = "eu-west-1_AbCdEfGhI", "1example23456789"
ARN = "arn:aws:sts::123456789012:assumed-role/cogauth-sign-in/cogauth-sign-in"
POLICY = "at least 8 characters, with an upper-case letter and a digit"
PASSWORD, OTHER_PASSWORD, NEW_PASSWORD = "Correct-Horse-1", "Battery-Staple-2", "Paper-Clip-3"
LOGIN = {"username": "ada", "password": PASSWORD}
WRONG_LOGIN = {"username": "ada", "password": OTHER_PASSWORD}
REPLACING = {**LOGIN, "new_password": NEW_PASSWORD}
REFRESH = {"username": "ada", "refresh_token": "refresh-token.of-ada"}
DESCRIBE, SIGN_IN, SIGN_UP, LOOK, RESPOND, CHANGE = OPERATIONS = (
    "DescribeUserPoolClient",
    "AdminInitiateAuth",
    "SignUp",
    "AdminGetUser",
    "AdminRespondToAuthChallenge",
    "ChangePassword",
)
# The calls that users make themselves; they are not signed.
UNSIGNED = (SIGN_UP, CHANGE)

REGION = "eu-west-1"
KEYS = Credentials("AKIDEXAMPLE", "secret-key-example", "token-example")
SERVICE = "COGNITO_IDENTITY_PROVIDER"
AWS = f"https://cognito-idp.{REGION}.amazonaws.com"

Reply = tuple[int, Any]  # the HTTP status, and the body: its JSON, or its bytes
# What a bad connection does with an answer; after that the connection is closed.
Break = Callable[["Connection", bytes], object]


def error(name: str, message: str = "", status: int = 400) -> Reply:
    return status, {"__type": name, "message": message}


def not_authorized(message: str) -> Reply:
    return error("NotAuthorizedException", message)


WRONG = not_authorized("Incorrect username or password.")


def segment(claims: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@dataclass
class User:
    password: str
    sub: str
    made: float
    # Whether an administrator created the user with this password, which then has to be replaced.
    temporary: bool = False


@dataclass
class Pool:
    """A user pool with one app client; `faults` has the answers that replace an operation's own."""

    users: dict[str, User] = field(default_factory=dict)
    secret: str = "first-secret"
    policy_first: bool = False
    calls: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    connections: int = 0
    wrong_passwords: int = 0
    # A refresh returns a new refresh token only if tokens are rotated.
    rotated: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[Reply]] = field(default_factory=dict)
    breaks: dict[str, Break] = field(default_factory=dict)
    wrong_requests: list[AssertionError] = field(default_factory=list)
    after_sign_in: Callable[[], object] = lambda: None
    # By session, the users whose challenge hasn't been answered yet.
    sessions: dict[str, str] = field(default_factory=dict)
    former_passwords: set[str] = field(default_factory=set)
    # The challenge that follows the one for a temporary password.
    next_challenge: str = ""
    closed: bool = False
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, operation: str, body: dict[str, Any]) -> Reply:
        with self.lock:
            self.calls.append(operation)
            self.sent.append(body)
            faults = self.faults.get(operation)
            fault = faults.pop(0) if faults else None
            reply: Reply = fault or getattr(self, operation)(body)
        if operation == SIGN_IN:
            self.after_sign_in()
        return reply

    def add(
        self, username: str, password: str, age: float = 3600, *, temporary: bool = False
    ) -> None:
        made, sub = time.time() - age, f"sub-of-user-{len(self.users)}"
        self.users[username.lower()] = User(password, sub, made, temporary)

    def hash_fits(self, username: str, digest: str) -> bool:
        text = (username + CLIENT).encode()
        right = hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        return base64.b64decode(digest) == right

    def DescribeUserPoolClient(self, body: dict[str, Any]) -> Reply:  # noqa: N802 - AWS's name
        assert body == {"UserPoolId": POOL, "ClientId": CLIENT}
        return 200, {"UserPoolClient": {"ClientSecret": self.secret}}

    def AdminInitiateAuth(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        assert set(body) == {"UserPoolId", "ClientId", "AuthFlow", "AuthParameters"}
        parameters = body["AuthParameters"]
        if body["AuthFlow"] == "REFRESH_TOKEN_AUTH":
            return self.refresh(parameters)
        assert body["AuthFlow"] == "ADMIN_USER_PASSWORD_AUTH"
        if not self.hash_fits(parameters["USERNAME"], parameters["SECRET_HASH"]):
            return not_authorized(f"Unable to verify secret hash for client {CLIENT}")
        user = self.users.get(parameters["USERNAME"].lower())
        if user is None:
            return WRONG
        if user.password != parameters["PASSWORD"]:
            self.wrong_passwords += 1
            return WRONG
        name = parameters["USERNAME"].lower()
        if user.temporary:
            session = f"session-{len(self.calls)}-of-a-challenge"
            self.sessions[session] = name
            return 200, {
                "ChallengeName": "NEW_PASSWORD_REQUIRED",
                "Session": session,
                "ChallengeParameters": {"USER_ID_FOR_SRP": name, "requiredAttributes": "[]"},
            }
        return self.tokens(user, {"RefreshToken": f"refresh-token.of-{name}"})

    def AdminRespondToAuthChallenge(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        """AWS expects the pool's own form of the name, and its hash; a session works only once."""
        keys = "UserPoolId ClientId ChallengeName Session ChallengeResponses"
        assert set(body) == set(keys.split())
        assert body["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
        given = body["ChallengeResponses"]
        assert set(given) == {"USERNAME", "NEW_PASSWORD", "SECRET_HASH"}
        name = given["USERNAME"]
        if not self.hash_fits(name, given["SECRET_HASH"]):
            return not_authorized(f"Unable to verify secret hash for client {CLIENT}")
        user = self.users.get(name)
        if user is None or not user.temporary or self.sessions.get(body["Session"]) != name:
            return not_authorized("Invalid session for the user, session can only be used once.")
        refused = self.check_new_password(given["NEW_PASSWORD"])
        if refused:
            return refused
        del self.sessions[body["Session"]]
        user.password, user.temporary = given["NEW_PASSWORD"], False
        if self.next_challenge:
            return challenge(self.next_challenge)
        return self.tokens(user, {"RefreshToken": f"refresh-token.of-{name}"})

    def ChangePassword(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        assert set(body) == {"AccessToken", "PreviousPassword", "ProposedPassword"}
        header, name, signature = body["AccessToken"].split(".")
        assert (header, signature) == ("header", "access-signature")
        user = next(user for user in self.users.values() if user.sub == name)
        if user.password != body["PreviousPassword"]:
            return WRONG
        refused = self.check_new_password(body["ProposedPassword"])
        if refused:
            return refused
        user.password = body["ProposedPassword"]
        return 200, {}

    def check_new_password(self, password: str) -> Reply | None:
        if password in self.former_passwords:
            return error("PasswordHistoryPolicyViolationException", "used before")
        return self.check_password({"Password": password})

    def refresh(self, parameters: dict[str, str]) -> Reply:
        """AWS checks the token before the hash, which must be of the name that the pool has."""
        assert set(parameters) == {"REFRESH_TOKEN", "SECRET_HASH"}
        _, _, name = parameters["REFRESH_TOKEN"].partition(".of-")
        user = self.users.get(name)
        if user is None:
            return not_authorized("Invalid Refresh Token")
        if not self.hash_fits(name, parameters["SECRET_HASH"]):
            return not_authorized(f"SecretHash does not match for the client: {CLIENT}")
        return self.tokens(user, self.rotated)

    def tokens(self, user: User, more: dict[str, str]) -> Reply:
        tokens = {
            "IdToken": f"header.{segment({'sub': user.sub})}.id-signature",
            "AccessToken": f"header.{user.sub}.access-signature",
            "ExpiresIn": 3600,
            "TokenType": "Bearer",
            **more,
        }
        return 200, {"AuthenticationResult": tokens, "ChallengeParameters": {}}

    def SignUp(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        assert set(body) == {"ClientId", "SecretHash", "Username", "Password"}
        if not self.hash_fits(body["Username"], body["SecretHash"]):
            return not_authorized(f"Unable to verify secret hash for client {CLIENT}")
        if self.closed:
            return not_authorized("SignUp is not permitted for this user pool")
        checks = [self.check_name, self.check_password]
        for check in reversed(checks) if self.policy_first else checks:
            refused = check(body)
            if refused:
                return refused
        self.add(body["Username"], body["Password"], age=0)
        return 200, {"UserConfirmed": True, "UserSub": self.users[body["Username"].lower()].sub}

    def check_name(self, body: dict[str, Any]) -> Reply | None:
        taken = body["Username"].lower() in self.users
        return error("UsernameExistsException", "User already exists") if taken else None

    def check_password(self, body: dict[str, Any]) -> Reply | None:
        if body["Password"] != body["Password"].strip():
            return error(
                "InvalidParameterException",
                "1 validation error detected: Value at 'password' failed to satisfy constraint",
            )
        if len(body["Password"]) >= 8:
            return None
        return error("InvalidPasswordException", "Password did not conform with policy: too short")

    def AdminGetUser(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        assert set(body) == {"UserPoolId", "Username"}
        user = self.users.get(body["Username"].lower())
        if user is None:
            return error("UserNotFoundException", "User does not exist.")
        return 200, {"Username": body["Username"], "UserCreateDate": user.made}


def authorization(connection: "Connection", body: bytes) -> str:
    """Return what the header must be, computed from the request that arrived."""
    headers = connection.headers
    match = re.search("SignedHeaders=([^,]+),", headers["Authorization"])
    assert match is not None
    signed = match[1].split(";")
    needed = "content-type host x-amz-date x-amz-security-token x-amz-target"
    assert set(needed.split()) <= set(signed)
    request = AWSRequest(
        method=connection.command,
        url=f"http://{headers['Host']}{urlsplit(connection.path).path}",
        headers={name: headers[name] for name in signed},
        data=body,
    )
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(KEYS, "cognito-idp", REGION)
    signature = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )


class Connection(BaseHTTPRequestHandler):
    """Cognito's side of a connection; like AWS, it keeps it open for the next request."""

    server: "Cognito"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.pool.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        pool = self.server.pool
        # The original line is used: http.server collapses several slashes into one.
        pool.paths.add(self.requestline.split()[1])
        service, _, operation = self.headers["X-Amz-Target"].partition(".")
        try:
            assert service == "AWSCognitoIdentityProviderService"
            self.check(operation, body)
            status, answer = pool.answer(operation, json.loads(body))
        except AssertionError as wrong:
            pool.wrong_requests.append(wrong)
            self.close_connection = True
            return
        if not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} .\r\nContent-Length: {len(answer)}\r\n"
        # If the function followed this redirect, the pool would see the request twice.
        head += f"Location: {self.path}\r\n" if 300 <= status < 400 else ""
        whole = head.encode() + b"\r\n" + answer
        broken = pool.breaks.get(operation)
        if broken is None:
            self.wfile.write(whole)
        else:
            self.close_connection = True
            broken(self, whole)

    def check(self, operation: str, body: bytes) -> None:
        headers = self.headers
        assert urlsplit(self.path).path == "/"
        assert headers["Content-Type"] == "application/x-amz-json-1.1"
        if operation in UNSIGNED:
            signing = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
            assert not [name for name in signing if name in headers]
            return
        assert headers["X-Amz-Security-Token"] == KEYS.token
        sent = datetime.strptime(headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        assert abs(sent - datetime.now(UTC)) < timedelta(minutes=5)
        assert headers["Authorization"] == authorization(self, body)

    def log_message(self, *_: Any) -> None:
        pass


class Cognito(ThreadingHTTPServer):
    """The server; `pool` is the one that currently answers."""

    pool: Pool

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # which is a client that has hung up
            super().handle_error(request, client_address)

    scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Cognito]:
    with Cognito() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            server.scheme = "https"
        server.pool = Pool()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def loaded(**more: str) -> Iterator[Any]:
    """Load the function with the environment that Lambda gives it, and with these variables."""
    variables = {
        "USER_POOL_ID": POOL,
        "CLIENT_ID": CLIENT,
        "PASSWORD_POLICY": POLICY,
        "COGNITO_ENDPOINT": AWS,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_SESSION_TOKEN": KEYS.token,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", f"AWS_ENDPOINT_URL_{SERVICE}", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        for name, value in (variables | more).items():
            patch.setenv(name, value)
        module = load_sign_in()
    try:
        yield module
    finally:
        module.cognito.http.close()


class Context:
    """Lambda's second argument, as far as the function uses it."""

    def __init__(self, seconds: float = 29) -> None:
        self.end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.end - time.monotonic()) * 1000)


class Process:
    """The function in its own process: its pool, and what it printed."""

    def __init__(self, module: Any, pool: Pool) -> None:
        self.module, self.pool = module, pool
        self.log: dict[str, Any] = {}

    def __call__(self, event: Any, context: Any = None) -> dict[str, Any]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            answer: dict[str, Any] = self.module.handler(event, context or Context())
        assert err.getvalue() == ""
        assert out.getvalue().count("\n") == 1
        self.log = json.loads(out.getvalue())
        # The code is the function's own text, and "unreadable" contains "ada".
        logged = out.getvalue().replace(str(answer.get("code")), "")
        passwords = (PASSWORD, OTHER_PASSWORD, NEW_PASSWORD)
        for secret in (*passwords, "ada", "signature", "refresh-token", "-secret", "session-"):
            assert secret not in logged
        assert_well_formed(self.module, answer)
        assert_log_fits(answer, self.log)
        return answer

    def code(self, event: Any, context: Any = None) -> str:
        answer = self(event, context)
        return str(answer.get("code"))

    def calls_for(self, event: Any) -> list[str]:
        """Make one more login in this process; return what it asked of Cognito."""
        self.pool.calls.clear()
        self(event)
        return self.pool.calls


def assert_well_formed(module: Any, answer: dict[str, Any]) -> None:
    json.dumps(answer)
    if answer["status"] == "success":
        keys = "status id_token access_token refresh_token expires_in user_id is_new"
        assert set(answer) == set(keys.split())
        assert answer["is_new"] in {"true", "false"}
    else:
        # The message is the function's own text, so it contains nothing from AWS or the user.
        assert answer == {
            "status": "fail",
            "msg": module.MESSAGES[answer["code"]],
            "code": answer["code"],
        }


def assert_log_fits(answer: dict[str, Any], line: dict[str, Any]) -> None:
    """Each value of the log line is from a closed set, so none can be a name or a password."""
    assert line["outcome"] == answer["status"]
    assert line.get("code") == answer.get("code")
    assert line.get("is_new") == answer.get("is_new")
    assert isinstance(line["duration_ms"], int)
    assert line["duration_ms"] >= 0
    assert set(line) <= {"outcome", "code", "is_new", "duration_ms", "cause"}
    # AWS's name of an error, or its HTTP status where there is no name
    assert re.fullmatch(r"[A-Za-z]+(Error|Exception)|\d{3}", line.get("cause", "AnError"))


@pytest.fixture(scope="module")
def cognito() -> Iterator[Cognito]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def module(cognito: Cognito) -> Iterator[Any]:
    with loaded(AWS_ENDPOINT_URL=cognito.url) as module:
        yield module


@contextlib.contextmanager
def fresh(module: Any, cognito: Cognito) -> Iterator[Process]:
    """A process that has just started, with an empty pool."""
    cognito.pool = Pool()
    module.kept_secret.clear()
    module.cognito.drop_connection()
    yield Process(module, cognito.pool)
    assert cognito.pool.wrong_requests == []


@pytest.fixture
def process(module: Any, cognito: Cognito) -> Iterator[Process]:
    with fresh(module, cognito) as process:
        yield process


# What a login costs


def test_a_new_user_takes_three_calls_and_gets_tokens(process: Process) -> None:
    answer = process(LOGIN)
    assert answer["status"] == "success"
    assert answer["is_new"] == "true"
    assert answer["user_id"] == process.pool.users["ada"].sub
    assert answer["expires_in"] == 3600
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN]
    assert process.pool.wrong_passwords == 0


def test_a_returning_user_takes_one_call_and_keeps_the_user_id(process: Process) -> None:
    first = process(LOGIN)
    assert process.calls_for(LOGIN) == [SIGN_IN]
    again = process(LOGIN)
    assert again["is_new"] == "false"
    assert again["user_id"] == first["user_id"]


def test_the_user_id_is_read_from_claims_of_any_length(process: Process) -> None:
    """A token's base64 has no padding; "?" and ">" need the two characters of its URL form."""
    process.pool.add("ada", PASSWORD)
    for length in range(20):
        process.pool.users["ada"].sub = user_id = "?>?" + "u" * length
        assert process(LOGIN)["user_id"] == user_id


def test_the_secret_is_read_once_in_a_process(process: Process) -> None:
    for _ in range(3):
        process(LOGIN)
    assert process.pool.calls.count(DESCRIBE) == 1


def test_a_wrong_password_takes_three_calls_and_one_failed_attempt(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    answer = process(WRONG_LOGIN)
    assert answer["code"] == "wrong_credentials"
    assert answer["msg"] == "The username or password is incorrect"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK]
    assert process.pool.wrong_passwords == 1


def test_the_name_in_other_letters_is_the_same_user(process: Process) -> None:
    first = process(LOGIN)
    again = process({"username": "ADA", "password": PASSWORD})
    assert (again["user_id"], again["is_new"]) == (first["user_id"], "false")


@pytest.mark.parametrize("policy_first", [False, True])
@pytest.mark.parametrize("password", ["short", "Correct-Horse-1 "])
def test_a_password_no_user_can_have_is_a_wrong_one_if_the_user_exists(
    process: Process, password: str, *, policy_first: bool
) -> None:
    process.pool.add("ada", PASSWORD)
    process.pool.policy_first = policy_first
    assert process.code({"username": "ada", "password": password}) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK]
    assert process.pool.wrong_passwords == 1


def test_nor_does_it_take_a_second_attempt_if_that_user_is_seconds_old(process: Process) -> None:
    process.pool.add("ada", PASSWORD, age=10)
    process.pool.policy_first = True
    assert process.code({"username": "ada", "password": "short"}) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK]
    assert process.pool.wrong_passwords == 1


def test_no_call_carries_client_metadata(process: Process) -> None:
    process(LOGIN)
    process(WRONG_LOGIN)
    assert len(process.pool.sent) == 8
    assert not [body for body in process.pool.sent if "ClientMetadata" in body]


# A closed sign-up


@pytest.fixture
def closed(cognito: Cognito) -> Iterator[Process]:
    with (
        loaded(AWS_ENDPOINT_URL=cognito.url, SIGN_UP="closed") as module,
        fresh(module, cognito) as process,
    ):
        process.pool.closed = True
        yield process


@pytest.mark.parametrize("reply", [WRONG, error("UserNotFoundException", "User does not exist.")])
@pytest.mark.parametrize("more", [{}, {"new_password": NEW_PASSWORD}], ids=["", "new password"])
def test_a_closed_sign_up_tells_no_wrong_password_from_an_unknown_name(
    closed: Process, more: dict[str, str], reply: Reply
) -> None:
    closed.pool.add("ada", PASSWORD)
    closed.pool.add("bob", PASSWORD, temporary=True)
    assert closed(LOGIN)["status"] == "success"
    answers, calls = [], []
    for name in ("ada", "bob", "grace"):
        if name == "grace":
            closed.pool.faults[SIGN_IN] = [reply] * (2 if more else 1)
        closed.pool.calls.clear()
        answers.append(json.dumps(closed({**WRONG_LOGIN, "username": name, **more})))
        calls.append(list(closed.pool.calls))
    assert calls == [[SIGN_IN] * (2 if more else 1)] * 3
    assert answers == [json.dumps(closed.module.failure("wrong_credentials"))] * 3
    assert "grace" not in closed.pool.users


def test_a_closed_sign_up_signs_nobody_up_even_where_the_pool_is_open(closed: Process) -> None:
    closed.pool.closed = False
    assert closed.code(LOGIN) == "wrong_credentials"
    assert closed.pool.calls == [DESCRIBE, SIGN_IN]
    assert closed.pool.users == {}


@pytest.mark.parametrize(
    ("value", "signs_up"), [("open", True), ("closed", False), ("Open", False), ("", False)]
)
def test_only_a_missing_variable_and_open_mean_open(
    cognito: Cognito, value: str, *, signs_up: bool
) -> None:
    """The other tests don't set this variable."""
    with (
        loaded(AWS_ENDPOINT_URL=cognito.url, SIGN_UP=value) as module,
        fresh(module, cognito) as process,
    ):
        assert (process(LOGIN)["status"] == "success") == signs_up
        assert (SIGN_UP in process.pool.calls) == signs_up


# A new password


@pytest.mark.parametrize("name", ["ada", "ADA"])
def test_a_temporary_password_is_replaced_in_two_calls(process: Process, name: str) -> None:
    process.pool.add("ada", PASSWORD, temporary=True)
    assert process.code({**LOGIN, "username": name}) == "new_password_required"
    process.pool.calls.clear()
    answer = process({**REPLACING, "username": name})
    assert (answer["status"], answer["is_new"]) == ("success", "false")
    assert answer["user_id"] == process.pool.users["ada"].sub
    assert process.pool.calls == [SIGN_IN, RESPOND]
    assert not [body for body in process.pool.sent if "ClientMetadata" in body]
    assert process({**LOGIN, "password": NEW_PASSWORD})["user_id"] == answer["user_id"]
    assert process.code(LOGIN) == "wrong_credentials"


def test_any_other_password_is_replaced_in_two_calls_and_the_tokens_are_the_sign_ins(
    process: Process,
) -> None:
    process.pool.add("ada", PASSWORD)
    answer = process(REPLACING)
    assert (answer["status"], answer["is_new"]) == ("success", "false")
    assert process.pool.calls == [DESCRIBE, SIGN_IN, CHANGE]
    assert process.pool.sent[-1]["AccessToken"] == answer["access_token"]
    assert process.pool.users["ada"].password == NEW_PASSWORD
    assert process.pool.wrong_passwords == 0


def test_nobody_is_signed_up_with_a_new_password(process: Process) -> None:
    assert process.code(REPLACING) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_IN]
    assert process.pool.users == {}


@pytest.mark.parametrize("temporary", [True, False])
@pytest.mark.parametrize("new_password", ["short", NEW_PASSWORD])
def test_a_new_password_that_the_pool_refuses_leaves_the_former_one(
    process: Process, new_password: str, *, temporary: bool
) -> None:
    process.pool.add("ada", PASSWORD, temporary=temporary)
    process.pool.former_passwords = {NEW_PASSWORD}
    answer = process({**LOGIN, "new_password": new_password})
    assert answer["code"] == "password_policy"
    assert POLICY in answer["msg"]
    assert process.pool.calls == [DESCRIBE, SIGN_IN, RESPOND if temporary else CHANGE]
    assert process({**LOGIN, "new_password": OTHER_PASSWORD})["status"] == "success"


@pytest.mark.parametrize("temporary", [True, False])
def test_a_new_password_may_have_a_space_inside(process: Process, *, temporary: bool) -> None:
    process.pool.add("ada", PASSWORD, temporary=temporary)
    spaced = NEW_PASSWORD.replace("-", " ")
    assert process({**LOGIN, "new_password": spaced})["status"] == "success"
    assert process({**LOGIN, "password": spaced})["status"] == "success"


@pytest.mark.parametrize("name", ["previousPassword", "proposedPassword"])
def test_either_password_of_a_change_can_be_malformed(process: Process, name: str) -> None:
    process.pool.add("ada", PASSWORD)
    message = f"1 validation error detected: Value at '{name}' failed to satisfy constraint"
    process.pool.faults[CHANGE] = [error("InvalidParameterException", message)]
    assert process.code(REPLACING) == "invalid_password"


@pytest.mark.parametrize("name", ["SMS_MFA", "MFA_SETUP"])
def test_a_second_factor_after_a_new_password_is_told(process: Process, name: str) -> None:
    process.pool.add("ada", PASSWORD, temporary=True)
    process.pool.next_challenge = name
    assert process.code(REPLACING) == "mfa_required"
    assert process.pool.users["ada"].password == NEW_PASSWORD


def test_who_has_a_second_factor_keeps_the_password(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    process.pool.faults[SIGN_IN] = [challenge("SOFTWARE_TOKEN_MFA")]
    assert process.code(REPLACING) == "mfa_required"
    assert process.pool.users["ada"].password == PASSWORD


@pytest.mark.parametrize("temporary", [True, False])
@pytest.mark.parametrize("other", [NEW_PASSWORD, OTHER_PASSWORD])
@pytest.mark.parametrize("meets", [True, False])
def test_of_two_that_cross_both_succeed_with_the_same_new_password_only(
    process: Process, other: str, *, temporary: bool, meets: bool
) -> None:
    """One login ends before the other begins, or both sign in before either sets a password."""
    process.pool.add("ada", PASSWORD, temporary=temporary)
    both_in = threading.Barrier(2, timeout=10)
    waits = [both_in.wait, both_in.wait] if meets else []
    process.pool.after_sign_in = lambda: waits.pop()() if waits else None
    events = [REPLACING, {**LOGIN, "new_password": other}]
    with contextlib.redirect_stdout(io.StringIO()), ThreadPoolExecutor(2) as threads:
        if meets:
            answers = list(threads.map(lambda e: process.module.handler(e, Context()), events))
        else:
            answers = [process.module.handler(event, Context()) for event in events]
    codes = sorted(answer.get("code", "") for answer in answers)
    assert codes == (["", ""] if other == NEW_PASSWORD else ["", "wrong_credentials"])
    winner = next(e for e, answer in zip(events, answers, strict=True) if "code" not in answer)
    assert process.pool.users["ada"].password == winner["new_password"]
    assert process.pool.calls.count(RESPOND if temporary else CHANGE) == (2 if meets else 1)


def test_a_secret_replaced_before_the_challenge_is_read_again(process: Process) -> None:
    process.pool.add("ada", PASSWORD, temporary=True)
    refused = not_authorized(f"Unable to verify secret hash for client {CLIENT}")
    process.pool.faults[RESPOND] = [refused]
    assert process(REPLACING)["status"] == "success"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, RESPOND, DESCRIBE, RESPOND]


REPLACEMENTS: list[tuple[str, str, Reply]] = [
    ("throttled", CHANGE, error("LimitExceededException", "Attempt limit exceeded, …")),
    ("throttled", RESPOND, error("TooManyRequestsException", "Rate exceeded")),
    ("not_authorized", CHANGE, not_authorized("Access Token has been revoked")),
    ("not_authorized", CHANGE, error("ForbiddenException", "Request not allowed by WAF")),
    ("access_denied", RESPOND, error("AccessDeniedException", f"User: {ARN} is not authorized …")),
    ("mfa_required", RESPOND, error("SoftwareTokenMFANotFoundException", "no token")),
    ("trigger_failed", RESPOND, error("UnexpectedLambdaException", "PostAuthentication failed")),
    ("internal_error", RESPOND, error("CodeMismatchException", "Invalid code")),
    ("unavailable", CHANGE, error("InternalErrorException", "Something went wrong", 500)),
]


@pytest.mark.parametrize(("code", "operation", "reply"), REPLACEMENTS)
def test_each_refusal_of_a_new_password_has_its_code(
    process: Process, code: str, operation: str, reply: Reply
) -> None:
    process.pool.add("ada", PASSWORD, temporary=operation == RESPOND)
    process.pool.faults[operation] = [reply]
    assert process.code(REPLACING) == code
    assert process.pool.calls == [DESCRIBE, SIGN_IN, operation]
    assert process.pool.users["ada"].password == PASSWORD


# New tokens for a refresh token


def test_a_refresh_takes_one_call_and_gives_the_refresh_token_back(process: Process) -> None:
    first = process(LOGIN)
    process.pool.calls.clear()
    again = process(REFRESH)
    assert (again["status"], again["is_new"]) == ("success", "false")
    assert again["user_id"] == first["user_id"]
    assert again["refresh_token"] == first["refresh_token"] == REFRESH["refresh_token"]
    assert process.pool.calls == [SIGN_IN]
    assert not [body for body in process.pool.sent if "ClientMetadata" in body]


def test_a_rotated_refresh_token_is_handed_on(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    process.pool.rotated = {"RefreshToken": "next-refresh-token"}
    assert process(REFRESH)["refresh_token"] == "next-refresh-token"


def test_the_refresh_takes_the_name_in_other_letters(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    assert process({**REFRESH, "username": "ADA"})["status"] == "success"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_IN]


@pytest.mark.parametrize(
    ("event", "calls"),
    [
        ({**REFRESH, "username": "grace"}, 1),
        ({**REFRESH, "username": "Grace"}, 2),
        ({**REFRESH, "refresh_token": "unknown"}, 1),
        # Other letters of the name would change nothing.
        ({**REFRESH, "username": "ADA", "refresh_token": "unknown"}, 1),
        ({**REFRESH, "refresh_token": "of-nobody.of-grace"}, 1),
    ],
)
def test_a_refused_refresh_signs_nobody_up(
    process: Process, event: dict[str, str], calls: int
) -> None:
    process.pool.add("ada", PASSWORD)
    answer = process(event)
    assert answer["code"] == "refresh_refused"
    assert process.log["cause"] == "NotAuthorizedException"
    # The secret isn't read again either: nobody should be able to cause that.
    assert process.pool.calls == [DESCRIBE] + [SIGN_IN] * calls
    assert list(process.pool.users) == ["ada"]
    assert process.calls_for(LOGIN) == [SIGN_IN]


def test_a_replaced_secret_is_read_by_the_sign_in_that_follows(process: Process) -> None:
    process(LOGIN)
    process.pool.secret = "second-secret"
    assert process.code(REFRESH) == "refresh_refused"
    assert process.calls_for(LOGIN) == [SIGN_IN, DESCRIBE, SIGN_IN]
    assert process(REFRESH)["status"] == "success"


REFRESHES: list[tuple[str, Reply]] = [
    ("refresh_refused", not_authorized("Refresh Token has expired")),
    ("refresh_refused", not_authorized("Refresh Token has been revoked")),
    ("refresh_refused", not_authorized("Refresh Token has different Client")),
    (
        "refresh_refused",
        not_authorized("The user has been deleted for the associated refresh token"),
    ),
    ("refresh_refused", WRONG),
    ("refresh_refused", error("UserNotFoundException", "User does not exist.")),
    ("user_disabled", not_authorized("User is disabled.")),
    ("not_authorized", not_authorized("Something new")),
    ("throttled", error("TooManyRequestsException", "Rate exceeded")),
    ("mfa_required", (200, {"ChallengeName": "SMS_MFA", "Session": "session"})),
    ("unavailable", error("InternalErrorException", "Something went wrong", 500)),
]


@pytest.mark.parametrize(("code", "reply"), REFRESHES)
def test_each_refusal_of_a_refresh_has_its_code(process: Process, code: str, reply: Reply) -> None:
    process.pool.faults[SIGN_IN] = [reply]
    assert process.code(REFRESH) == code
    assert process.pool.calls == [DESCRIBE, SIGN_IN]


def test_the_deadline_holds_for_a_refresh(process: Process) -> None:
    assert process.code(REFRESH, Context(seconds=4)) == "timeout"
    assert process.pool.calls == []


# Two logins at once, and lost answers


def test_a_double_click_makes_one_user_and_two_logins(process: Process) -> None:
    both_refused = threading.Barrier(2, timeout=10)
    waits = [both_refused.wait, both_refused.wait]
    process.pool.after_sign_in = lambda: waits.pop()() if waits else None
    with contextlib.redirect_stdout(io.StringIO()) as out, ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: process.module.handler(LOGIN, Context()), range(2)))
    assert sorted(answer["is_new"] for answer in answers) == ["false", "true"]
    assert {answer["user_id"] for answer in answers} == {process.pool.users["ada"].sub}
    assert process.pool.calls.count(SIGN_IN) == 4
    assert process.pool.calls.count(SIGN_UP) == 2
    assert process.pool.calls.count(LOOK) == 1
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("age", "calls"), [(10, [SIGN_IN, SIGN_UP, LOOK, SIGN_IN]), (35, [SIGN_IN, SIGN_UP, LOOK])]
)
def test_one_more_sign_in_only_for_a_user_of_the_last_thirty_seconds(
    process: Process, age: float, calls: list[str]
) -> None:
    process.pool.add("ada", PASSWORD, age)
    process.pool.faults[SIGN_IN] = [WRONG]
    answer = process(LOGIN)
    assert answer["status"] == ("success" if SIGN_IN in calls[1:] else "fail")
    assert answer.get("is_new", "false") == "false"
    assert process.pool.calls == [DESCRIBE, *calls]


def test_a_wrong_password_for_a_user_of_the_last_seconds_stays_wrong(process: Process) -> None:
    process.pool.add("ada", PASSWORD, age=10)
    assert process.code(WRONG_LOGIN) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK, SIGN_IN]


def test_a_user_removed_in_between_is_no_surprise(process: Process) -> None:
    process.pool.faults[SIGN_UP] = [error("UsernameExistsException", "User already exists")]
    assert process.code(LOGIN) == "wrong_credentials"


def lose(_connection: Connection, _answer: bytes) -> None:
    """Send no answer."""


def test_after_a_lost_sign_up_answer_the_sign_in_tells_that_the_user_was_made(
    process: Process,
) -> None:
    process.pool.breaks[SIGN_UP] = lose
    answer = process(LOGIN)
    assert (answer["is_new"], answer["user_id"]) == ("true", process.pool.users["ada"].sub)
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN]
    assert process(LOGIN)["is_new"] == "false"


def test_a_lost_sign_up_that_made_no_user_is_told_as_such(process: Process) -> None:
    process.pool.breaks[SIGN_UP] = lose
    process.pool.faults[SIGN_UP] = [(500, b"")]
    assert process.code(LOGIN) == "unavailable"
    assert process.log["cause"] == "ConnectionClosedError"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN, LOOK]
    process.pool.breaks.clear()
    assert process(LOGIN)["is_new"] == "true"


def test_a_sign_up_that_was_answered_is_not_taken_for_a_lost_one(process: Process) -> None:
    process.pool.faults[SIGN_UP] = [error("NewException", "Something new")]
    assert process.code(LOGIN) == "internal_error"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP]


def test_a_lost_sign_up_of_a_known_user_is_a_wrong_password(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    process.pool.breaks[SIGN_UP] = lose
    assert process.code(WRONG_LOGIN) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN, LOOK]


# The client's secret


def test_a_replaced_secret_is_read_again(process: Process) -> None:
    process(LOGIN)
    process.pool.secret = "second-secret"
    assert process.calls_for(LOGIN) == [SIGN_IN, DESCRIBE, SIGN_IN]
    assert process.log["outcome"] == "success"
    assert process.calls_for(LOGIN) == [SIGN_IN]


def test_a_secret_replaced_before_the_sign_up_makes_one_user(process: Process) -> None:
    refused = not_authorized(f"Unable to verify secret hash for client {CLIENT}")
    process.pool.faults[SIGN_UP] = [refused]
    assert process(LOGIN)["is_new"] == "true"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, DESCRIBE, SIGN_UP, SIGN_IN]


def test_a_secret_refused_twice_has_its_own_code(process: Process) -> None:
    refused = not_authorized(f"Unable to verify secret hash for client {CLIENT}")
    process.pool.faults[SIGN_IN] = [refused, refused]
    assert process.code(LOGIN) == "client_secret_refused"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, DESCRIBE, SIGN_IN]
    # The next login starts over.
    assert process(LOGIN)["status"] == "success"


SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cognito-AbCdEf"


@pytest.mark.parametrize("client", [{"ClientSecretArn": SECRET_ARN}, {}])
def test_a_secret_that_cognito_does_not_show_has_its_own_code(
    process: Process, client: dict[str, str]
) -> None:
    moved = (200, {"UserPoolClient": client})
    process.pool.faults[DESCRIBE] = [moved]
    assert process.code(LOGIN) == "client_secret_unreadable"
    assert process.pool.calls == [DESCRIBE]
    # The secret moved during the life of the process and got a new value, as AWS does at once.
    assert process(LOGIN)["status"] == "success"
    process.pool.secret = "second-secret"
    process.pool.faults[DESCRIBE] = [moved, moved]
    assert process.code(LOGIN) == "client_secret_unreadable"
    assert process.code(REFRESH) == "client_secret_unreadable"


# Every code, and the operation's answer that leads to it

LAMBDA_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:trigger"
DENIED = error("AccessDeniedException", f"User: {ARN} is not authorized to perform: cognito-idp:…")


def challenge(name: str) -> Reply:
    return 200, {"ChallengeName": name, "Session": "session", "ChallengeParameters": {}}


ANSWERS: list[tuple[str, str, Reply]] = [
    ("user_disabled", SIGN_IN, not_authorized("User is disabled.")),
    ("locked_out", SIGN_IN, not_authorized("Password attempts exceeded")),
    (
        "password_reset_required",
        SIGN_IN,
        not_authorized("Temporary password has expired and must be reset by an administrator."),
    ),
    (
        "password_reset_required",
        SIGN_IN,
        not_authorized("User account has expired, it must be reset by an administrator."),
    ),
    ("password_reset_required", SIGN_IN, error("PasswordResetRequiredException", "reset")),
    ("not_authorized", SIGN_IN, not_authorized(f"Something new about {POOL}")),
    ("not_authorized", SIGN_IN, error("ForbiddenException", "Request not allowed by WAF")),
    (
        "not_authorized",
        SIGN_IN,
        error("UserLambdaValidationException", "PreAuthentication failed with error no."),
    ),
    ("user_unconfirmed", SIGN_IN, error("UserNotConfirmedException", "User is not confirmed.")),
    ("new_password_required", SIGN_IN, challenge("NEW_PASSWORD_REQUIRED")),
    ("mfa_required", SIGN_IN, challenge("SMS_MFA")),
    ("mfa_required", SIGN_IN, challenge("SOFTWARE_TOKEN_MFA")),
    ("mfa_required", SIGN_IN, challenge("EMAIL_OTP")),
    ("mfa_required", SIGN_IN, challenge("SELECT_MFA_TYPE")),
    ("mfa_required", SIGN_IN, challenge("MFA_SETUP")),
    ("mfa_required", SIGN_IN, error("MFAMethodNotFoundException", "no method")),
    ("challenge_required", SIGN_IN, challenge("CUSTOM_CHALLENGE")),
    ("sign_up_refused", SIGN_UP, not_authorized("SignUp is not permitted for this user pool")),
    (
        "sign_up_refused",
        SIGN_UP,
        error("UserLambdaValidationException", "PreSignUp failed with error not you."),
    ),
    (
        "sign_up_refused",
        SIGN_UP,
        error(
            "InvalidParameterException",
            "Attributes did not conform to the schema: email: The attribute is required",
        ),
    ),
    ("invalid_username", SIGN_UP, error("InvalidParameterException", "Username should be a…")),
    (
        "invalid_username",
        SIGN_IN,
        error("InvalidParameterException", "Value at 'username' failed to satisfy constraint"),
    ),
    *(
        ("trigger_denied", operation, error(name, message))
        for operation in (SIGN_UP, SIGN_IN)
        for name in ("UnexpectedLambdaException", "UserLambdaValidationException")
        for message in (
            "PreSignUp invocation failed due to error AccessDeniedException.",
            "PreSignUp invocation failed due to error AccessDeniedException",
            (
                f"{LAMBDA_ARN} invocation failed with error User: {ARN} is not authorized to "
                f"perform: lambda:InvokeFunction on resource: {LAMBDA_ARN}\n(Service: AWSLambda; "
                "Status Code: 403; Error Code: AccessDeniedException; Request ID: b8d009ff-9b66)"
            ),
        )
    ),
    *(
        ("trigger_failed", SIGN_UP, error(name, message))
        for name, message in (
            (
                "UserLambdaValidationException",
                f"PreSignUp invocation failed due to error for {LAMBDA_ARN}",
            ),
            (
                "UnexpectedLambdaException",
                (
                    "PreSignUp invocation failed due to error Socket timeout while invoking Lambda "
                    "function."
                ),
            ),
            (
                "UserLambdaValidationException",
                (
                    "PreSignUp failed with error 2026-11-22T10:00:00.000Z 1b7c7f3c-51c6 Task timed "
                    "out after 3.00 seconds."
                ),
            ),
            (
                "UserLambdaValidationException",
                (
                    "PreSignUp failed with error RequestId: 9fdb5cfa Error: Runtime exited with "
                    "error: exit status 129."
                ),
            ),
        )
    ),
    (
        # The trigger was called but lacks a permission for what it does.
        "sign_up_refused",
        SIGN_UP,
        error(
            "UserLambdaValidationException",
            "PreSignUp failed with error An error occurred (AccessDeniedException) when calling "
            "the PutItem operation.",
        ),
    ),
    (
        "trigger_failed",
        SIGN_UP,
        error("InvalidLambdaResponseException", "Unrecognizable lambda output"),
    ),
    ("throttled", SIGN_IN, error("TooManyRequestsException", "Rate exceeded")),
    ("throttled", SIGN_UP, error("TooManyRequestsException", "Rate exceeded")),
    ("throttled", SIGN_UP, error("LimitExceededException", "limit")),
    ("throttled", DESCRIBE, error("ThrottlingException", "Rate exceeded")),
    ("access_denied", DESCRIBE, DENIED),
    ("access_denied", SIGN_IN, DENIED),
    ("access_denied", SIGN_IN, error("UnrecognizedClientException", "The security token …")),
    ("access_denied", SIGN_IN, error("ExpiredTokenException", "The security token …")),
    ("unavailable", SIGN_IN, error("InternalErrorException", "Something went wrong", 500)),
    ("unavailable", SIGN_UP, (503, b"<html>Service Unavailable")),
    ("internal_error", SIGN_IN, error("ResourceNotFoundException", f"User pool {POOL} …")),
    ("internal_error", SIGN_IN, error("InvalidParameterException", "Auth flow not enabled …")),
    ("internal_error", SIGN_IN, (200, {})),
    ("internal_error", SIGN_IN, (200, [])),
    ("unavailable", SIGN_IN, (200, b"<html>")),
]
INPUTS: dict[str, list[Any]] = {
    "bad_request": [
        *(None, [], "ada", 1, True),
        {**LOGIN, **REFRESH},
        {**REFRESH, "new_password": NEW_PASSWORD},
    ],
    "invalid_username": [
        {},
        {"username": None, "password": PASSWORD},
        {"username": 7, "password": PASSWORD},
        {"username": "", "password": PASSWORD},
        {"username": "a b", "password": PASSWORD},
        {"username": "a\n", "password": PASSWORD},
        {"username": "a\0", "password": PASSWORD},
        {"username": "\ud800", "password": PASSWORD},
        {"username": "a" * 129, "password": PASSWORD},
        {"refresh_token": "refresh-token"},
    ],
    "invalid_refresh_token": [
        {"username": "ada", "refresh_token": ""},
        {"username": "ada", "refresh_token": 7},
        {"username": "ada", "refresh_token": "two words"},
        {"username": "ada", "refresh_token": "a\n"},
        {"username": "ada", "refresh_token": "a" * 131073},
    ],
    "invalid_password": [
        {"username": "ada"},
        {"username": "ada", "password": ""},
        {"username": "ada", "password": ["x"]},
        {"username": "ada", "password": "\ud800" * 9},
        {"username": "ada", "password": "p" * 257},
        {"username": "ada", "new_password": NEW_PASSWORD},
        *({**LOGIN, "new_password": new} for new in ("", ["x"], "\ud800" * 9, "p" * 257, False)),
        *({**LOGIN, "new_password": new} for new in (f" {NEW_PASSWORD}", f"{NEW_PASSWORD}\n")),
    ],
}


@pytest.mark.parametrize(("code", "operation", "reply"), ANSWERS)
def test_each_refusal_has_its_code(
    process: Process, code: str, operation: str, reply: Reply
) -> None:
    process.pool.faults[operation] = [reply]
    assert process.code(LOGIN) == code
    # The function doesn't blindly repeat a call.
    assert process.pool.calls.count(operation) == 1


@pytest.mark.parametrize(("code", "event"), [(c, e) for c, some in INPUTS.items() for e in some])
def test_bad_input_names_the_field_and_reaches_no_cognito(
    process: Process, code: str, event: Any
) -> None:
    answer = process(event)
    assert answer["code"] == code
    assert answer["msg"].startswith(code.removeprefix("invalid_").replace("bad_request", "Send"))
    assert process.pool.calls == []


def test_the_limits_themselves_are_good(process: Process) -> None:
    assert process({"username": "ä€1._" + "x" * 123, "password": "p" * 256})["is_new"] == "true"
    process.pool.add("a", "p")
    assert process({"username": "a", "password": "p"})["is_new"] == "false"


def test_a_password_against_the_policy_says_what_the_policy_asks(process: Process) -> None:
    answer = process({"username": "ada", "password": "short"})
    assert answer["code"] == "password_policy"
    assert POLICY in answer["msg"]
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK]
    assert process.pool.users == {}


def test_a_password_with_a_space_at_an_end_is_malformed(process: Process) -> None:
    assert process.code({"username": "ada", "password": PASSWORD + " "}) == "invalid_password"


def test_a_pool_that_admits_unknown_users_is_understood(process: Process) -> None:
    process.pool.faults[SIGN_IN] = [error("UserNotFoundException", "User does not exist.")]
    assert process(LOGIN)["is_new"] == "true"


def test_a_look_at_the_user_that_fails_says_so(process: Process) -> None:
    process.pool.add("ada", PASSWORD)
    process.pool.faults[LOOK] = [error("TooManyRequestsException", "Rate exceeded")]
    assert process.code(WRONG_LOGIN) == "throttled"


@pytest.mark.parametrize(
    "reply",
    [
        error("UnexpectedLambdaException", "PreSignUp invocation failed due to error AccessDenied"),
        error("UnexpectedLambdaException", "PreSignUp invocation failed due to error"),
        not_authorized("SignUp is not permitted for this user pool"),
    ],
)
def test_a_refusal_that_may_come_before_the_name_hides_no_wrong_password(
    process: Process, reply: Reply
) -> None:
    """Otherwise retries until the trigger may be called would lock the user out."""
    process.pool.add("ada", PASSWORD)
    process.pool.faults[SIGN_UP] = [reply]
    assert process.code(WRONG_LOGIN) == "wrong_credentials"
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, LOOK]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "PostConfirmation invocation failed due to error AccessDeniedException.",
            "trigger_denied",
        ),
        ("PostConfirmation invocation failed due to error Socket timeout", "trigger_failed"),
    ],
)
def test_a_trigger_that_comes_after_the_user_was_made_is_told_at_once(
    process: Process, message: str, code: str
) -> None:
    """The sign-up has made the user by then: the password is right, even if the trigger fails."""
    process.pool.add("ada", PASSWORD, age=0)
    process.pool.faults[SIGN_IN] = [not_authorized("Incorrect username or password.")]
    process.pool.faults[SIGN_UP] = [error("UnexpectedLambdaException", message)]
    assert process.code(LOGIN) == code
    assert process(LOGIN)["status"] == "success"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_error_that_aws_describes_has_a_line_of_the_table(module: Any, operation: str) -> None:
    """With the newest botocore this fails when AWS adds an error that the table doesn't cover."""
    loader = Loader()
    description = loader.load_service_model("cognito-idp", "service-2")
    model = ServiceModel(description, "cognito-idp").operation_model(operation)
    described = {shape.error_code for shape in model.error_shapes}
    assert described
    assert described <= {name for name, pattern, _ in module.cognito.REFUSALS if not pattern}


def test_every_code_is_reached_here(module: Any) -> None:
    elsewhere = {"wrong_credentials", "password_policy", "client_secret_refused", "timeout"}
    elsewhere |= {code for code, _ in REFRESHES} | {"client_secret_unreadable"}
    assert {code for code, *_ in ANSWERS} | set(INPUTS) | elsewhere == set(module.MESSAGES)
    assert {code for *_, code in module.cognito.REFUSALS} <= set(module.MESSAGES)


# The deadline


def test_no_call_starts_that_could_outlive_the_request(process: Process) -> None:
    assert process.code(LOGIN, Context(seconds=4)) == "timeout"
    assert process.pool.calls == []


def test_one_deadline_holds_for_all_calls_of_a_request(process: Process) -> None:
    process(WRONG_LOGIN)
    process.pool.calls.clear()
    process.pool.after_sign_in = lambda: time.sleep(0.6)
    enough_for_one = process.module.cognito.CALL_SECONDS + 0.5
    assert process.code(LOGIN, Context(enough_for_one)) == "timeout"
    assert process.pool.calls == [SIGN_IN]


def test_it_works_without_a_context(process: Process) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        assert process.module.handler(LOGIN, None)["status"] == "success"


# Any event


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
names = st.sampled_from(["ada", "grace", "a b", ""]) | values
passwords = st.sampled_from([PASSWORD, OTHER_PASSWORD, "short"]) | st.characters() | values
refresh_tokens = st.sampled_from(["refresh-token.of-grace", "unknown", None]) | values
logins = st.fixed_dictionaries(
    {},
    optional={
        "username": names,
        "password": passwords,
        "new_password": passwords,
        "refresh_token": refresh_tokens,
    },
)
replies = st.sampled_from([reply for _, _, reply in [*ANSWERS, *REPLACEMENTS]])
faults = st.dictionaries(st.sampled_from(OPERATIONS), st.lists(replies, max_size=1))


@settings(derandomize=True, deadline=None)
@given(event=values | logins, faults=faults)
def test_whatever_comes_is_answered_in_one_shape(
    module: Any, cognito: Cognito, event: Any, faults: dict[str, list[Reply]]
) -> None:
    with fresh(module, cognito) as process:
        process.pool.add("grace", PASSWORD)
        process.pool.add("ada", OTHER_PASSWORD, temporary=True)
        process.pool.faults = {operation: list(some) for operation, some in faults.items()}
        process(event)  # which looks at the answer and at the log line
        assert len(process.pool.calls) <= 4


# On the wire: the forms of an error

DISABLED = "User is disabled."
INTERNAL = "http://internal.amazon.com/coral/com.amazon.coral.service/"


@pytest.mark.parametrize(
    ("status", "body", "code", "cause"),
    [
        (
            400,
            {"__type": "com.amazonaws.cognito#NotAuthorizedException", "Message": DISABLED},
            "user_disabled",
            "NotAuthorizedException",
        ),
        (
            400,
            {"__type": f"NotAuthorizedException:{INTERNAL}", "message": DISABLED},
            "user_disabled",
            "NotAuthorizedException",
        ),
        (400, {"__type": "NotAuthorizedException"}, "not_authorized", "NotAuthorizedException"),
        (400, {}, "internal_error", "400"),
        (400, {"message": DISABLED}, "internal_error", "400"),
        (400, b"", "internal_error", "400"),
        (400, b"\xff", "internal_error", "400"),
        (400, [DISABLED], "internal_error", "400"),
        (400, {"__type": None, "message": None}, "internal_error", "400"),
        (302, b"", "internal_error", "302"),
        (403, b"<html>Forbidden", "internal_error", "403"),
        (404, b"null", "internal_error", "404"),
        (500, b"", "unavailable", "500"),
        (503, {"message": "Service Unavailable"}, "unavailable", "503"),
        (503, {"__type": "ThrottlingException"}, "throttled", "ThrottlingException"),
    ],
)
def test_an_error_is_read_in_each_of_its_forms(
    process: Process, status: int, body: Any, code: str, cause: str
) -> None:
    process.pool.faults[SIGN_IN] = [(status, body)]
    assert process.code(LOGIN) == code
    assert process.log["cause"] == cause
    assert process.pool.calls == [DESCRIBE, SIGN_IN]


names_of_errors = st.sampled_from(["AnError", "aws#AnError", "AnError:http://a#b", "aws#AnError:x"])


@settings(derandomize=True, deadline=None)
@given(
    name=st.none() | names_of_errors,
    message=st.dictionaries(st.sampled_from(["message", "Message"]), st.text(min_size=1)),
    status=st.integers(400, 599),
)
def test_an_error_is_read_as_boto3_reads_it(
    module: Any, name: str | None, message: dict[str, str], status: int
) -> None:
    body = json.dumps(({} if name is None else {"__type": name}) | message).encode()
    answer = {"status_code": status, "headers": {}, "body": body}
    boto3s = JSONParser().parse(answer, None)["Error"]
    response = AWSResponse(AWS, status, {}, io.BytesIO())
    response._content = body  # noqa: SLF001 - where it would keep what it has read
    assert module.cognito.error_in(response) == (boto3s["Code"], boto3s["Message"])


# On the wire: no answer


def halve(connection: Connection, answer: bytes) -> None:
    connection.wfile.write(answer[:-10])


def babble(connection: Connection, _answer: bytes) -> None:
    connection.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")


@pytest.mark.parametrize("broken", [babble, halve])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, SIGN_UP])
def test_a_broken_answer_is_not_asked_for_again(
    process: Process, broken: Break, operation: str
) -> None:
    if operation == SIGN_IN:
        # Half a refusal could be anyone's answer, but half a success is recognized.
        process.pool.add("ada", PASSWORD)
    process.pool.breaks[operation] = broken
    assert process.code(LOGIN) == "unavailable"
    assert process.pool.calls.count(operation) == 1


def test_a_connection_that_was_closed_since_is_replaced(process: Process) -> None:
    closed = threading.Event()

    def close(connection: Connection, answer: bytes) -> None:
        connection.wfile.write(answer)
        connection.wfile.flush()
        connection.connection.shutdown(socket.SHUT_WR)
        closed.set()

    process.pool.add("ada", PASSWORD)
    process.pool.breaks[SIGN_IN] = close
    for _ in range(3):
        closed.clear()
        assert process(LOGIN)["status"] == "success"
        assert closed.wait(10)


# On the wire: a kept connection that has ended


def reset(connection: Connection, _answer: bytes) -> None:
    """Reset the connection as a dead server does, or a middlebox that has forgotten it."""
    linger = struct.pack("ii", 1, 0)
    connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    # Both objects that have the connection open are closed, so that the reset is sent now.
    connection.rfile.close()
    connection.connection.close()


def once(operation: str, broken: Break) -> Break:
    def break_it(connection: Connection, answer: bytes) -> None:
        del connection.server.pool.breaks[operation]
        broken(connection, answer)

    return break_it


def warmed_up(process: Process) -> Pool:
    """Make the process keep a connection but no secret; return its pool."""
    assert process({"username": "grace", "password": PASSWORD})["status"] == "success"
    process.module.kept_secret.clear()
    process.pool.calls.clear()
    assert process.pool.connections == 1
    return process.pool


@pytest.mark.parametrize(("seconds", "connections"), [(19, 1), (21, 2), (6 * 3600, 2), (-60, 2)])
def test_a_connection_is_kept_for_twenty_idle_seconds_of_the_wall_clock(
    process: Process, monkeypatch: pytest.MonkeyPatch, seconds: float, connections: int
) -> None:
    pool = warmed_up(process)
    frozen = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr(process.module.cognito, "time", frozen)
    assert process(LOGIN)["status"] == "success"
    assert pool.connections == connections
    assert process.calls_for(LOGIN) == [SIGN_IN]
    assert pool.connections == connections


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, LOOK])
def test_what_a_kept_connection_took_along_is_asked_once_more(
    process: Process, broken: Break, operation: str
) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[operation] = once(operation, broken)
    event, code = (WRONG_LOGIN, "wrong_credentials") if operation == LOOK else (LOGIN, "None")
    assert process.code(event) == code
    assert pool.calls.count(operation) == 2
    assert pool.connections == 2


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [RESPOND, CHANGE])
def test_a_new_password_whose_answer_a_kept_connection_took_along_is_set(
    process: Process, broken: Break, operation: str
) -> None:
    """The repeated call finds that the password was already replaced."""
    pool = warmed_up(process)
    pool.add("ada", PASSWORD, temporary=operation == RESPOND)
    pool.breaks[operation] = once(operation, broken)
    answer = process(REPLACING)
    assert (answer["status"], answer["is_new"]) == ("success", "false")
    assert pool.calls == [DESCRIBE, SIGN_IN, operation, operation, SIGN_IN]
    assert pool.users["ada"].password == NEW_PASSWORD


@pytest.mark.parametrize("broken", [lose, reset])
def test_a_sign_up_that_a_kept_connection_took_along_is_not(
    process: Process, broken: Break
) -> None:
    pool = warmed_up(process)
    pool.breaks[SIGN_UP] = once(SIGN_UP, broken)
    assert process(LOGIN)["is_new"] == "true"
    assert pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN]


def test_a_wrong_password_may_count_twice(process: Process) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[SIGN_IN] = once(SIGN_IN, lose)
    assert process.code(WRONG_LOGIN) == "wrong_credentials"
    assert pool.wrong_passwords == 2


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, LOOK])
def test_what_ends_on_a_fresh_connection_too_is_given_up(
    process: Process, broken: Break, operation: str
) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[operation] = broken
    assert process.code(WRONG_LOGIN) == "unavailable"
    assert process.log["cause"] == "ConnectionClosedError"
    assert pool.calls.count(operation) == 2


@pytest.mark.parametrize("broken", [lose, reset])
def test_a_fresh_connection_gets_one_attempt(process: Process, broken: Break) -> None:
    process.pool.breaks[DESCRIBE] = broken
    for _ in range(2):  # The failed connection doesn't count as kept.
        process.pool.calls.clear()
        assert process.code(LOGIN) == "unavailable"
        assert process.pool.calls == [DESCRIBE]


def test_nothing_is_asked_once_more_that_could_outlive_the_request(process: Process) -> None:
    def lose_late(_connection: Connection, _answer: bytes) -> None:
        time.sleep(0.6)

    pool = warmed_up(process)
    pool.breaks[DESCRIBE] = lose_late
    assert process.code(LOGIN, Context(process.module.cognito.CALL_SECONDS + 0.5)) == "timeout"
    assert pool.calls == [DESCRIBE]


@pytest.mark.parametrize("broken", [lose, reset])
def test_so_it_is_over_tls(tmp_path: Path, broken: Break) -> None:
    trusted = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    with over_tls(tmp_path, trusted) as (server, bundle):
        variables = {"AWS_ENDPOINT_URL": server.url, "AWS_CA_BUNDLE": str(bundle)}
        with loaded(**variables) as module, fresh(module, server) as process:
            pool = warmed_up(process)
            pool.breaks[SIGN_IN] = once(SIGN_IN, broken)
            assert process(LOGIN)["is_new"] == "true"
            assert pool.calls == [DESCRIBE, SIGN_IN, SIGN_IN, SIGN_UP, SIGN_IN]


@pytest.mark.parametrize(
    ("raised", "ended"),
    [
        (exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLEOFError(8, "EOF"))), True),
        (exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLZeroReturnError())), True),
        (
            exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLCertVerificationError())),
            False,
        ),
        (exceptions.ReadTimeoutError(endpoint_url=AWS), False),
        (
            exceptions.ConnectionClosedError(
                endpoint_url=AWS,
                error=ProtocolError("Connection broken: …", ConnectionResetError()),
            ),
            False,
        ),
    ],
)
def test_an_end_is_told_from_other_failures(
    module: Any, raised: exceptions.BotoCoreError, *, ended: bool
) -> None:
    """Failures that no server here can cause at a given moment."""
    assert module.cognito.has_ended(raised) == ended


def test_a_requests_body_does_not_wait_for_its_heads_acknowledgement(process: Process) -> None:
    def duration() -> int:
        process(LOGIN)
        return int(process.log["duration_ms"])

    # Waiting for it would take 40 ms each time.
    assert min(duration() for _ in range(10)) < 20


def test_an_answer_is_waited_for_three_seconds(process: Process) -> None:
    given_up = threading.Event()
    process.pool.breaks[SIGN_IN] = lambda *_: given_up.wait(10)
    started = time.monotonic()
    assert process.code(LOGIN) == "timeout"
    assert 3 <= time.monotonic() - started < process.module.cognito.CALL_SECONDS
    assert process.log["cause"] == "ReadTimeoutError"
    assert 3_000 <= process.log["duration_ms"] < 10_000
    assert process.pool.calls == [DESCRIBE, SIGN_IN]
    given_up.set()


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port that takes no more connections: connections that nobody accepts fill its queue."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(200):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.1)
            try:
                client.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    with socket.socket() as never_listens:
        never_listens.bind(("127.0.0.1", 0))
        yield never_listens.getsockname()[1]


def test_a_connection_is_waited_for_one_second() -> None:
    with deaf_port() as port, loaded(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}") as module:
        process = Process(module, Pool())
        started = time.monotonic()
        assert process.code(LOGIN) == "timeout"
        assert 1 <= time.monotonic() - started < module.cognito.CALL_SECONDS
        assert process.log["cause"] == "ConnectTimeoutError"


def test_nobody_there() -> None:
    with closed_port() as port, loaded(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}") as module:
        process = Process(module, Pool())
        assert process.code(LOGIN) == "unavailable"
        assert process.log["cause"] == "EndpointConnectionError"


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("unavailable", exceptions.HTTPClientError(error=OSError(ARN))),
        ("internal_error", RuntimeError(f"{ARN} {PASSWORD}")),
    ],
)
def test_whatever_else_goes_wrong_is_logged_by_its_type(
    process: Process, monkeypatch: pytest.MonkeyPatch, code: str, raised: Exception
) -> None:
    def send(_request: Any) -> None:
        raise raised

    monkeypatch.setattr(process.module.cognito.http, "send", send)
    assert process.code(LOGIN) == code
    assert process.log["cause"] == type(raised).__name__


# On the wire: where to


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, AWS),
        ({"AWS_ENDPOINT_URL": ""}, AWS),
        ({"COGNITO_ENDPOINT": "https://c.example"}, "https://c.example"),
        ({"AWS_ENDPOINT_URL": "http://a.example"}, "http://a.example"),
        (
            {"AWS_ENDPOINT_URL": "http://a.example", f"AWS_ENDPOINT_URL_{SERVICE}": "http://b.it"},
            "http://b.it",
        ),
    ],
)
def test_an_emulators_own_endpoint_comes_first(variables: dict[str, str], endpoint: str) -> None:
    with loaded(**variables) as module:
        assert module.cognito.request_for(SIGN_IN, {}).url == f"{endpoint}/"


def test_an_endpoint_may_end_with_a_slash(cognito: Cognito) -> None:
    with loaded(AWS_ENDPOINT_URL=f"{cognito.url}/") as module, fresh(module, cognito) as process:
        assert process(LOGIN)["is_new"] == "true"
        assert process.pool.paths == {"/"}


def test_keys_without_a_session_token_are_good_too() -> None:
    with loaded(AWS_SESSION_TOKEN="") as module:
        assert "X-Amz-Security-Token" not in module.cognito.request_for(SIGN_IN, {}).headers


def test_a_proxy_is_used_as_aws_tools_do(cognito: Cognito) -> None:
    with (
        loaded(COGNITO_ENDPOINT="http://cognito.example", http_proxy=cognito.url) as module,
        fresh(module, cognito) as process,
    ):
        assert process(LOGIN)["is_new"] == "true"
        assert process.pool.paths == {"http://cognito.example/"}


def test_a_proxy_is_left_out_where_it_shall_be(cognito: Cognito) -> None:
    with closed_port() as port:
        variables = {"AWS_ENDPOINT_URL": cognito.url, "http_proxy": f"http://127.0.0.1:{port}"}
        with loaded(**variables) as module, fresh(module, cognito) as process:
            assert process.code(LOGIN) == "unavailable"
            assert process.log["cause"] == "ProxyConnectionError"
        with loaded(no_proxy="127.0.0.1", **variables) as module, fresh(module, cognito) as process:
            assert process(LOGIN)["is_new"] == "true"


# On the wire: TLS


@functools.cache
def certificate(name: x509.GeneralName) -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cognito")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def over_tls(folder: Path, name: x509.GeneralName) -> Iterator[tuple[Cognito, Path]]:
    """Serve under a certificate for that name; yield the server and the bundle to trust."""
    bundle, key = folder / "bundle.pem", folder / "key.pem"
    for path, content in zip((bundle, key), certificate(name), strict=True):
        path.write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(bundle, key)
    with serving(tls) as server:
        yield server, bundle


@pytest.mark.parametrize(
    ("name", "trusted", "code"),
    [
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True, "None"),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), False, "unavailable"),
        (x509.DNSName("cognito.example"), True, "unavailable"),
    ],
)
def test_cognito_must_show_its_certificate(
    tmp_path: Path, name: x509.GeneralName, code: str, *, trusted: bool
) -> None:
    with over_tls(tmp_path, name) as (server, bundle):
        trust = {"AWS_CA_BUNDLE": str(bundle)} if trusted else {}
        variables = {"AWS_ENDPOINT_URL": server.url, **trust}
        with loaded(**variables) as module, fresh(module, server) as process:
            assert process.code(LOGIN) == code
            assert process.log.get("cause") == ("SSLError" if code == "unavailable" else None)
            assert bool(process.pool.calls) == (code == "None")
