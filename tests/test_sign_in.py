"""What the sign-in function answers, what it asks of Cognito for that, and what it logs.

Cognito is played by a small pool in memory, which answers in botocore's `before-call` event: all of
the function runs but the HTTP request, and the last test sends those to a server on this machine.
"""

import base64
import contextlib
import hashlib
import hmac
import importlib.util
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCE = Path(__file__).parents[1] / "lambda_code" / "sign_in.py"
POOL, CLIENT = "eu-west-1_AbCdEfGhI", "1example23456789"
ARN = "arn:aws:sts::123456789012:assumed-role/cogauth-sign-in/cogauth-sign-in"
POLICY = "at least 8 characters, with an upper-case letter and a digit"
PASSWORD, OTHER_PASSWORD = "Correct-Horse-1", "Battery-Staple-2"
LOGIN = {"username": "ada", "password": PASSWORD}
WRONG_LOGIN = {"username": "ada", "password": OTHER_PASSWORD}
DESCRIBE, SIGN_IN, SIGN_UP, LOOK = (
    "DescribeUserPoolClient",
    "AdminInitiateAuth",
    "SignUp",
    "AdminGetUser",
)

Reply = tuple[int, dict[str, Any]]


def error(name: str, message: str = "", status: int = 400) -> Reply:
    return status, {"Error": {"Code": name, "Message": message}}


def not_authorized(message: str) -> Reply:
    return error("NotAuthorizedException", message)


WRONG = not_authorized("Incorrect username or password.")


def segment(claims: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@dataclass
class User:
    password: str
    sub: str
    made: datetime


@dataclass
class Pool:
    """A user pool with one app client; `faults` holds what an operation answers instead."""

    users: dict[str, User] = field(default_factory=dict)
    secret: str = "first-secret"
    policy_first: bool = False
    calls: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    wrong_passwords: int = 0
    faults: dict[str, list[Reply | Exception]] = field(default_factory=dict)
    after_sign_in: Callable[[], object] = lambda: None
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, model: Any, params: Any, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        body = json.loads(params["body"])
        with self.lock:
            self.calls.append(model.name)
            self.sent.append(body)
            faults = self.faults.get(model.name)
            fault = faults.pop(0) if faults else None
            reply = fault or getattr(self, model.name)(body)
        if model.name == SIGN_IN:
            self.after_sign_in()
        if isinstance(reply, Exception):
            raise reply
        status, parsed = reply
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status}
        return SimpleNamespace(status_code=status), parsed

    def add(self, username: str, password: str, age: float = 3600) -> None:
        made = datetime.now(UTC) - timedelta(seconds=age)
        self.users[username.lower()] = User(password, f"sub-of-user-{len(self.users)}", made)

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
        if not self.hash_fits(parameters["USERNAME"], parameters["SECRET_HASH"]):
            return not_authorized(f"Unable to verify secret hash for client {CLIENT}")
        user = self.users.get(parameters["USERNAME"].lower())
        if user is None:
            return WRONG
        if user.password != parameters["PASSWORD"]:
            self.wrong_passwords += 1
            return WRONG
        tokens = {
            "IdToken": f"header.{segment({'sub': user.sub})}.id-signature",
            "AccessToken": "header.claims.access-signature",
            "RefreshToken": "refresh-token",
            "ExpiresIn": 3600,
            "TokenType": "Bearer",
        }
        return 200, {"AuthenticationResult": tokens, "ChallengeParameters": {}}

    def SignUp(self, body: dict[str, Any]) -> Reply:  # noqa: N802
        assert set(body) == {"ClientId", "SecretHash", "Username", "Password"}
        if not self.hash_fits(body["Username"], body["SecretHash"]):
            return not_authorized(f"Unable to verify secret hash for client {CLIENT}")
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


def load() -> Any:
    spec = importlib.util.spec_from_file_location("sign_in_under_test", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def environment(**more: str) -> Iterator[None]:
    variables = {
        "USER_POOL_ID": POOL,
        "CLIENT_ID": CLIENT,
        "PASSWORD_POLICY": POLICY,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"):
            patch.delenv(name, raising=False)
        for name, value in (variables | more).items():
            patch.setenv(name, value)
        yield


class Context:
    """Lambda's second argument, as far as the function looks at it."""

    def __init__(self, seconds: float = 29) -> None:
        self.end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.end - time.monotonic()) * 1000)


class Process:
    """The function in a process of its own: its pool, and what it printed."""

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
        for secret in (PASSWORD, OTHER_PASSWORD, "ada", "signature", "refresh-token", "-secret"):
            assert secret not in out.getvalue()
        assert_well_formed(self.module, answer)
        assert_log_fits(answer, self.log)
        return answer

    def code(self, event: Any, context: Any = None) -> str:
        answer = self(event, context)
        return str(answer.get("code"))

    def calls_for(self, event: Any) -> list[str]:
        """Make one more login in this process, and say what it asked of Cognito."""
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
        # The text is one of the function's own, so it holds nothing of AWS's or the user's.
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
    assert re.fullmatch(r"[A-Za-z]+(Error|Exception)|5\d\d", line.get("cause", "AnError"))


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    with environment():
        yield load()


@contextlib.contextmanager
def fresh(module: Any) -> Iterator[Process]:
    """A process that has just started, in front of an empty pool."""
    pool = Pool()
    module.kept_secret.clear()
    module.cognito.meta.events.register("before-call", pool.answer)
    try:
        yield Process(module, pool)
    finally:
        module.cognito.meta.events.unregister("before-call", pool.answer)


@pytest.fixture
def process(module: Any) -> Iterator[Process]:
    with fresh(module) as process:
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


def test_after_a_lost_sign_up_answer_the_next_try_signs_in(process: Process) -> None:
    def lose(model: Any, **_: Any) -> None:
        if model.name == SIGN_UP:
            raise exceptions.ReadTimeoutError(endpoint_url="https://cognito-idp.example")

    events = process.module.cognito.meta.events
    events.register("after-call", lose)
    try:
        assert process.code(LOGIN) == "timeout"
    finally:
        events.unregister("after-call", lose)
    assert process.pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP]
    assert process.calls_for(LOGIN) == [SIGN_IN]
    assert len(process.pool.users) == 1


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


# Every code, and the operation's answer that leads to it

LAMBDA_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:trigger"
DENIED = error("AccessDeniedException", f"User: {ARN} is not authorized to perform: cognito-idp:…")
NO_ROUTE = exceptions.EndpointConnectionError(endpoint_url="https://cognito-idp.example")


def challenge(name: str) -> Reply:
    return 200, {"ChallengeName": name, "Session": "session", "ChallengeParameters": {}}


ANSWERS: list[tuple[str, str, Reply | Exception]] = [
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
    (
        "trigger_failed",
        SIGN_UP,
        error(
            "UnexpectedLambdaException",
            "PreSignUp invocation failed due to error AccessDeniedException.",
        ),
    ),
    (
        "trigger_failed",
        SIGN_UP,
        error(
            "UserLambdaValidationException",
            f"PreSignUp invocation failed due to error for {LAMBDA_ARN}",
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
    ("access_denied", SIGN_IN, exceptions.NoCredentialsError()),
    ("timeout", SIGN_IN, exceptions.ReadTimeoutError(endpoint_url="https://cognito.example")),
    ("timeout", SIGN_IN, exceptions.ConnectTimeoutError(endpoint_url="https://cognito.example")),
    ("unavailable", SIGN_IN, NO_ROUTE),
    ("unavailable", SIGN_UP, exceptions.ConnectionClosedError(endpoint_url="https://c.example")),
    ("unavailable", SIGN_IN, exceptions.HTTPClientError(error=OSError(ARN))),
    (
        "unavailable",
        SIGN_IN,
        exceptions.SSLError(endpoint_url="https://c.example", error=OSError()),
    ),
    ("unavailable", SIGN_IN, error("InternalErrorException", "Something went wrong", 500)),
    ("unavailable", SIGN_IN, error("503", "<html>", 503)),
    ("internal_error", SIGN_IN, error("ResourceNotFoundException", f"User pool {POOL} …")),
    ("internal_error", SIGN_IN, RuntimeError(f"{ARN} {PASSWORD}")),
    ("internal_error", SIGN_IN, (200, {})),
]
INPUTS: dict[str, list[Any]] = {
    "bad_request": [None, [], "ada", 1, True],
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
    ],
    "invalid_password": [
        {"username": "ada"},
        {"username": "ada", "password": ""},
        {"username": "ada", "password": ["x"]},
        {"username": "ada", "password": "\ud800" * 9},
        {"username": "ada", "password": "p" * 257},
    ],
}


@pytest.mark.parametrize(("code", "operation", "reply"), ANSWERS)
def test_each_refusal_has_its_code(
    process: Process, code: str, operation: str, reply: Reply | Exception
) -> None:
    process.pool.faults[operation] = [reply]
    assert process.code(LOGIN) == code
    # Nothing is repeated blindly.
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


def test_every_code_is_reached_here(module: Any) -> None:
    elsewhere = {"wrong_credentials", "password_policy", "client_secret_refused"}
    assert {code for code, *_ in ANSWERS} | set(INPUTS) | elsewhere == set(module.MESSAGES)
    assert {code for *_, code in module.REFUSALS} <= set(module.MESSAGES)


# The deadline


def test_no_call_starts_that_could_outlive_the_request(process: Process) -> None:
    assert process.code(LOGIN, Context(seconds=4)) == "timeout"
    assert process.pool.calls == []


def test_one_deadline_holds_for_all_calls_of_a_request(process: Process) -> None:
    process(WRONG_LOGIN)
    process.pool.calls.clear()
    process.pool.after_sign_in = lambda: time.sleep(0.6)
    enough_for_one = process.module.CALL_SECONDS + 0.5
    assert process.code(LOGIN, Context(enough_for_one)) == "timeout"
    assert process.pool.calls == [SIGN_IN]


def test_it_works_without_a_context(process: Process) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        assert process.module.handler(LOGIN, None)["status"] == "success"


# The two shapes of the event


def proxy(body: Any, *, encoded: bool = False) -> dict[str, Any]:
    if encoded:
        body = base64.b64encode(body.encode()).decode()
    return {
        "resource": "/signin",
        "path": "/signin",
        "httpMethod": "POST",
        "headers": {},
        "requestContext": {"stage": "v1"},
        "body": body,
        "isBase64Encoded": encoded,
    }


@pytest.mark.parametrize("encoded", [False, True])
def test_a_proxy_event_is_taken_as_well(process: Process, *, encoded: bool) -> None:
    assert process(proxy(json.dumps(LOGIN), encoded=encoded))["is_new"] == "true"
    assert process(LOGIN)["is_new"] == "false"


@pytest.mark.parametrize(
    "event",
    [
        proxy(None),
        proxy(""),
        proxy("not JSON"),
        proxy("[]"),
        proxy("null"),
        proxy(7),
        proxy(LOGIN),
        proxy("[" * 100_000),
        proxy("1" * 5_000),
        proxy("\xff", encoded=True) | {"body": "/w=="},
        proxy("{}") | {"isBase64Encoded": True},
    ],
)
def test_a_proxy_event_without_a_json_object_is_a_bad_request(process: Process, event: Any) -> None:
    assert process.code(event) == "bad_request"
    assert process.pool.calls == []


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
names = st.sampled_from(["ada", "grace", "a b", ""]) | values
passwords = st.sampled_from([PASSWORD, OTHER_PASSWORD, "short"]) | st.characters() | values
logins = st.fixed_dictionaries({}, optional={"username": names, "password": passwords})
bodies = (logins | values).map(json.dumps) | values
proxies = st.fixed_dictionaries(
    {"requestContext": values, "httpMethod": values},
    optional={"body": bodies, "isBase64Encoded": st.booleans() | values},
)
replies = st.sampled_from([reply for _, _, reply in ANSWERS if isinstance(reply, tuple)])
faults = st.dictionaries(
    st.sampled_from([DESCRIBE, SIGN_IN, SIGN_UP, LOOK]), st.lists(replies, max_size=1)
)


@settings(derandomize=True, deadline=None)
@given(event=values | logins | proxies, faults=faults)
def test_whatever_comes_is_answered_in_one_shape(
    module: Any, event: Any, faults: dict[str, list[Reply | Exception]]
) -> None:
    with fresh(module) as process:
        process.pool.add("grace", PASSWORD)
        process.pool.faults = {operation: list(some) for operation, some in faults.items()}
        process(event)  # which looks at the answer and at the log line
        assert len(process.pool.calls) <= 4


# On the wire


class Broken(BaseHTTPRequestHandler):
    """A Cognito that answers 500 to the first request, and none to the others."""

    seen: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["X-Amz-Target"])
        if len(self.seen) == 1:
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def test_botocore_repeats_nothing_by_itself() -> None:
    class Server(Broken):
        seen: list[str] = []  # noqa: RUF012 - one list for one test

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with environment(AWS_ENDPOINT_URL=url, AWS_MAX_ATTEMPTS="5"):
                process = Process(load(), Pool())
                assert process.code(LOGIN) == "unavailable"
                process.module.kept_secret[CLIENT] = "first-secret"
                assert process.code(LOGIN) == "unavailable"
                process.module.cognito.close()
        finally:
            server.shutdown()
    service = "AWSCognitoIdentityProviderService"
    assert Server.seen == [f"{service}.{DESCRIBE}", f"{service}.{SIGN_IN}"]
