"""What the sign-in function answers, what it asks Cognito for, and what it logs."""

import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.played_cognito import (
    ARN,
    CHANGE,
    CLIENT,
    DESCRIBE,
    LOGIN,
    LOOK,
    NEW_PASSWORD,
    OPERATIONS,
    OTHER_PASSWORD,
    PASSWORD,
    POLICY,
    POOL,
    REFRESH,
    REPLACING,
    RESPOND,
    SIGN_IN,
    SIGN_UP,
    WRONG,
    WRONG_LOGIN,
    Cognito,
    Context,
    Process,
    Reply,
    challenge,
    error,
    fresh,
    loaded,
    lose,
    not_authorized,
)

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
