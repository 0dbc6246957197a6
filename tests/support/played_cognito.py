"""A user pool in memory behind an HTTP server, which plays Cognito for the sign-in function.

It checks the signature of each request: all of the function's code runs.
"""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.handlers import load_sign_in
from support.tokens import segment

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


def challenge(name: str) -> Reply:
    return 200, {"ChallengeName": name, "Session": "session", "ChallengeParameters": {}}


WRONG = not_authorized("Incorrect username or password.")


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


def lose(_connection: Connection, _answer: bytes) -> None:
    """Send no answer."""


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


@contextlib.contextmanager
def fresh(module: Any, cognito: Cognito) -> Iterator[Process]:
    """A process that has just started, with an empty pool."""
    cognito.pool = Pool()
    module.kept_secret.clear()
    module.cognito.drop_connection()
    yield Process(module, cognito.pool)
    assert cognito.pool.wrong_requests == []
