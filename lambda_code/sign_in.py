"""The sign-in function: signs a user in to Amazon Cognito, and first signs up a new name.

It takes `{"username": ..., "password": ...}`, with `"new_password": ...` besides to replace the
password, or `{"username": ..., "refresh_token": ...}` for new tokens without the password. It
returns one of

    {"status": "success", "id_token": ..., "access_token": ..., "refresh_token": ...,
     "expires_in": <seconds>, "user_id": ..., "is_new": "true" or "false"}
    {"status": "fail", "msg": <for people>, "code": <for programs, a key of MESSAGES>}

It calls Cognito as little as possible (a pool allows 120 logins, but only 50 sign-ups a second):

    a returning user    sign in
    a new user          sign in (refused), sign up, sign in
    a wrong password    sign in (refused), sign up (refused: the name exists), look up the user
    a refresh token     sign in with it; no user is created

    If the sign-up is closed:
    a wrong password, or an unknown name    sign in (refused)

    With a new password no user is created either:
    a temporary password                    sign in, answer the challenge with the new one
    any other right password                sign in, change it
    a wrong password, or an unknown name    sign in (refused), sign in with the new one (refused)

Cognito deliberately answers an unknown name and a wrong password alike. Only a sign-up can tell
them apart, and it doesn't count towards the lockout after wrong passwords. If the user is only
seconds old, two first logins overlapped (a double click), so the function signs in once more.
Likewise, if a password to be replaced is refused, an overlapping request or a lost answer may have
replaced it already: by the same new one, if that signs in.

If the answer to a SignUp is lost, the next sign-in shows whether it took effect, and the user is
new, because the first sign-in was refused.

`cognito.py` makes the calls. Functions that call Cognito may raise SignInError; `handler` never
raises. Read from the bottom up: Lambda calls `handler`, and `sign_in_or_up` has the main logic. The
environment provides USER_POOL_ID, CLIENT_ID, PASSWORD_POLICY (the policy in plain English) and
SIGN_UP (open or closed; open if it is missing), and COGNITO_ENDPOINT for `cognito.py`.
"""

import base64
import hmac
import json
import os
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

import cognito
from cognito import SignInError

USER_POOL_ID = os.environ["USER_POOL_ID"]
CLIENT_ID = os.environ["CLIENT_ID"]
PASSWORD_POLICY = os.environ["PASSWORD_POLICY"]
SIGN_UP_IS_OPEN = os.environ.get("SIGN_UP", "open") == "open"

# Cognito's limits, in characters, and the characters of its tokens.
MAX_USERNAME, MAX_PASSWORD, MAX_TOKEN = 128, 256, 131072
TOKEN = re.compile(r"[A-Za-z0-9_=.-]+")
# What no password begins or ends with; inside one, a space counts as a symbol.
SPACES = " \t\n\r\f\v"
# An overlapping request of the same person may have created a user younger than this.
JUST_CREATED_SECONDS = 30
# The app client's secret. In the environment, anyone who can view the function could read it.
kept_secret: dict[str, str] = {}

MESSAGES = {
    "bad_request": "Send a JSON object with username and either password or refresh_token",
    "invalid_username": "username must be text of 1 to 128 characters, without spaces",
    "invalid_password": "password and new_password must be text of 1 to 256 characters, with no "
    "space at either end",
    "invalid_refresh_token": "refresh_token must be one that a sign-in returned",
    "password_policy": f"The password does not meet the policy: {PASSWORD_POLICY}",
    "wrong_credentials": "The username or password is incorrect",
    "refresh_refused": "The refresh token is no longer valid, or not this user's: sign in again",
    "user_disabled": "This user is disabled",
    "user_unconfirmed": "This user has not been confirmed yet",
    "password_reset_required": "The password must be reset before this user can sign in",
    "new_password_required": "This password is temporary: send it with a new_password",
    "mfa_required": "This user signs in with a second factor, which is not supported here",
    "challenge_required": "This user must take a further step, which is not supported here",
    "sign_up_refused": "There is no such user, and new users are not accepted",
    "not_authorized": "This sign-in is not allowed",
    "throttled": "Too many requests: try again in a moment",
    "locked_out": "Too many wrong passwords: wait up to 15 minutes and try again",
    "trigger_failed": "A function that the user pool calls has failed",
    "trigger_denied": "The user pool may not call one of its functions, or not yet",
    "client_secret_refused": "The user pool refuses its app client's secret",
    "client_secret_unreadable": "The user pool does not reveal its app client's secret",
    "access_denied": "The sign-in function may not use the user pool, or not yet",
    "timeout": "The sign-in took too long: try again",
    "unavailable": "The sign-in service cannot be reached: try again in a moment",
    "internal_error": "The sign-in failed for an unexpected reason",
}

TRIGGER_FAULTS = {"trigger_failed", "trigger_denied"}
# Refusals of a sign-up that an existing user can get too, so the function looks up the user.
# Otherwise, a client that repeats one wrong password until a trigger works could lock out a user.
REFUSED_FOR_KNOWN_USERS_TOO = {
    "wrong_credentials",
    "password_policy",
    "invalid_password",
    "sign_up_refused",
    *TRIGGER_FAULTS,
}

# Refusals of a refresh token that isn't valid for this user.
REFUSED_REFRESHES = {"client_secret_refused", "wrong_credentials", "refresh_refused"}

# Challenges that Cognito may return instead of tokens. All others are challenge_required.
TEMPORARY_PASSWORD = "NEW_PASSWORD_REQUIRED"  # noqa: S105 - a challenge's name
CHALLENGES = {TEMPORARY_PASSWORD: "new_password_required"} | dict.fromkeys(
    ("SMS_MFA", "EMAIL_OTP", "SOFTWARE_TOKEN_MFA", "SELECT_MFA_TYPE", "MFA_SETUP"), "mfa_required"
)


class Login(NamedTuple):
    """One request, with a password or a refresh token; `deadline` is a time.monotonic() value."""

    username: str
    password: str | None
    new_password: str | None
    refresh_token: str | None
    deadline: float


def is_text(value: Any, longest: int) -> bool:
    """Return whether a value is text of 1 to `longest` characters."""
    return isinstance(value, str) and 1 <= len(value) <= longest


def is_password(value: Any) -> bool:
    """Return whether a value can be a password, by Cognito's limits."""
    # JSON can contain a lone surrogate (half a character), which can't be encoded.
    return is_text(value, MAX_PASSWORD) and not any(
        unicodedata.category(character) == "Cs" for character in value
    )


def is_new_password(value: Any) -> bool:
    """Return whether a value can become a password, by Cognito's limits."""
    # Checked here, because Cognito's error for a space in a challenge's answer isn't documented.
    return is_password(value) and value == value.strip(SPACES)


def read_login(event: Any, deadline: float) -> Login:
    """Check the request's JSON; raise SignInError if it is invalid."""
    if not isinstance(event, dict):
        raise SignInError("bad_request")
    username: Any = event.get("username")
    password: Any = event.get("password")
    new_password: Any = event.get("new_password")
    token: Any = event.get("refresh_token")
    if token is not None and not (password is new_password is None):
        raise SignInError("bad_request")
    # Cognito's limits. A name consists of letters, marks, symbols, numbers and punctuation.
    if not is_text(username, MAX_USERNAME) or any(
        unicodedata.category(character)[0] not in "LMSNP" for character in username
    ):
        raise SignInError("invalid_username")
    if token is not None:
        if not (is_text(token, MAX_TOKEN) and TOKEN.fullmatch(token)):
            raise SignInError("invalid_refresh_token")
    elif not is_password(password) or (
        "new_password" in event and not is_new_password(new_password)
    ):
        raise SignInError("invalid_password")
    return Login(username, password, new_password, token, deadline)


def secret_hash(login: Login) -> str:
    """Return the hash that proves knowledge of the app client's secret, without sending it."""
    if CLIENT_ID not in kept_secret:
        ids = {"UserPoolId": USER_POOL_ID, "ClientId": CLIENT_ID}
        client = cognito.ask(login.deadline, "DescribeUserPoolClient", ids)["UserPoolClient"]
        if "ClientSecret" not in client:
            # The secret is in AWS Secrets Manager now, which this function may not read.
            raise SignInError("client_secret_unreadable")
        kept_secret[CLIENT_ID] = client["ClientSecret"]
    secret, text = kept_secret[CLIENT_ID], login.username + CLIENT_ID
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def ask_with_hash(login: Login, operation: str, parameters: Callable[[str], dict[str, Any]]) -> Any:
    """Make one Cognito call that takes the secret hash."""
    try:
        return cognito.ask(login.deadline, operation, parameters(secret_hash(login)))
    except SignInError as refused:
        if refused.code != "client_secret_refused":
            raise
    # The secret may have been replaced, so read it again, once. A call with a refused hash changes
    # nothing and doesn't count as an attempt, so repeating it is safe.
    kept_secret.clear()
    return cognito.ask(login.deadline, operation, parameters(secret_hash(login)))


def flow(name: str, **parameters: str | None) -> dict[str, Any]:
    """Return the parameters of AdminInitiateAuth."""
    ids = {"UserPoolId": USER_POOL_ID, "ClientId": CLIENT_ID}
    return {**ids, "AuthFlow": name, "AuthParameters": parameters}


def ask_with_password(login: Login) -> Any:
    """Return Cognito's answer to the password: tokens or a challenge."""
    names = {"USERNAME": login.username, "PASSWORD": login.password}
    return ask_with_hash(
        login,
        "AdminInitiateAuth",
        lambda digest: flow("ADMIN_USER_PASSWORD_AUTH", **names, SECRET_HASH=digest),
    )


def sign_in(login: Login, *, is_new: bool) -> dict[str, Any]:
    """Get tokens with the password."""
    return success(ask_with_password(login), is_new=is_new)


def sign_in_and_replace_password(login: Login) -> dict[str, Any]:
    """Get tokens with the password, and replace it by the new one."""
    try:
        answer = ask_with_password(login)
        if answer.get("ChallengeName") == TEMPORARY_PASSWORD:
            return success(replace_temporary_password(login, answer), is_new=False)
        tokens = success(answer, is_new=False)
        passwords = {"PreviousPassword": login.password, "ProposedPassword": login.new_password}
        # The tokens stay valid.
        cognito.ask(
            login.deadline, "ChangePassword", {"AccessToken": tokens["access_token"], **passwords}
        )
    except SignInError as refused:
        if refused.code != "wrong_credentials" or login.new_password == login.password:
            raise
        # Another request may have set the same new password.
        return sign_in(login._replace(password=login.new_password), is_new=False)
    return tokens


def replace_temporary_password(login: Login, challenge: dict[str, Any]) -> Any:
    """Answer the challenge of a temporary password; return tokens or the next challenge."""
    # The answer and its hash must use the pool's own name of the user: "You must use the username
    # and not an alias." A case-insensitive pool stores names in lower case.
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminInitiateAuth.html
    name = challenge["ChallengeParameters"]["USER_ID_FOR_SRP"]
    given = {"USERNAME": name, "NEW_PASSWORD": login.new_password}
    return ask_with_hash(
        login._replace(username=name),
        "AdminRespondToAuthChallenge",
        lambda digest: {
            "UserPoolId": USER_POOL_ID,
            "ClientId": CLIENT_ID,
            "ChallengeName": TEMPORARY_PASSWORD,
            "Session": challenge["Session"],
            "ChallengeResponses": {**given, "SECRET_HASH": digest},
        },
    )


def refresh(login: Login) -> dict[str, Any]:
    """Get tokens with the refresh token."""
    # Here the hash must use the pool's own spelling of the user's name. A case-insensitive pool
    # stores names in lower case, so try that if the given spelling fails.
    # GetTokensFromRefreshToken needs no hash, but users report that it refuses the tokens of
    # AdminInitiateAuth: https://github.com/aws/aws-sdk-js-v3/issues/7162
    for name in dict.fromkeys((login.username, login.username.lower())):
        digest = secret_hash(login._replace(username=name))
        parameters = {"REFRESH_TOKEN": login.refresh_token, "SECRET_HASH": digest}
        try:
            answer = cognito.ask(
                login.deadline, "AdminInitiateAuth", flow("REFRESH_TOKEN_AUTH", **parameters)
            )
            return success(answer, is_new=False, refresh_token=login.refresh_token)
        except SignInError as refused:
            if refused.code not in REFUSED_REFRESHES:
                raise
            cause = refused.cause
            if refused.code != "client_secret_refused":
                break
    # Here a refused hash probably means another user's name, not a replaced secret. Anyone can
    # cause it, so don't read the secret again; the next sign-in with a password does.
    raise SignInError("refresh_refused", cause)


def success(
    answer: dict[str, Any], *, is_new: bool, refresh_token: str | None = None
) -> dict[str, Any]:
    """Return our success answer for Cognito's; raise SignInError for a challenge."""
    if "ChallengeName" in answer:
        raise SignInError(CHALLENGES.get(answer["ChallengeName"], "challenge_required"))
    tokens = answer["AuthenticationResult"]
    # No need to check the signature: the token just came from Cognito itself.
    claims = tokens["IdToken"].split(".")[1]
    user_id = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    return {
        "status": "success",
        "id_token": tokens["IdToken"],
        "access_token": tokens["AccessToken"],
        # Cognito returns no new refresh token for an old one; our answer always has all three.
        "refresh_token": tokens.get("RefreshToken") or refresh_token,
        "expires_in": tokens["ExpiresIn"],
        "user_id": user_id,
        "is_new": "true" if is_new else "false",
    }


def sign_up(login: Login) -> None:
    """Create the user. The pool's trigger, auto_confirm.py, confirms it."""
    names = {"ClientId": CLIENT_ID, "Username": login.username, "Password": login.password}
    ask_with_hash(login, "SignUp", lambda digest: {**names, "SecretHash": digest})


def created_at(login: Login) -> float | None:
    """Return when the user was created, in seconds since 1970; None if there is no such user."""
    ids = {"UserPoolId": USER_POOL_ID, "Username": login.username}
    try:
        return float(cognito.ask(login.deadline, "AdminGetUser", ids)["UserCreateDate"])
    except SignInError as refused:
        if refused.cause == "UserNotFoundException":
            return None
        raise


def sign_in_after_lost_sign_up(login: Login, lost: SignInError) -> dict[str, Any]:
    """Sign in, if the SignUp whose answer got lost has created the user."""
    try:
        return sign_in(login, is_new=True)
    except SignInError as refused:
        if refused.code == "wrong_credentials" and created_at(login) is None:
            raise lost from None
        raise


def sign_in_or_up(login: Login) -> dict[str, Any]:
    """Sign in; if that is refused, sign-up is open and the name is free, sign up and sign in."""
    try:
        return sign_in(login, is_new=False)
    except SignInError as refused:
        if refused.code != "wrong_credentials" or not SIGN_UP_IS_OPEN:
            raise
    try:
        sign_up(login)
    except SignInError as refused:
        if refused.lost:
            return sign_in_after_lost_sign_up(login, refused)
        if refused.code not in REFUSED_FOR_KNOWN_USERS_TOO:
            raise
        # Cognito doesn't document what it checks first: the name, the password, or whether anyone
        # may sign up. So each of these may be the answer to an existing user's wrong password.
        created = created_at(login)
        if created is None:
            raise
        just_created = time.time() - created <= JUST_CREATED_SECONDS
        if just_created and refused.code == "wrong_credentials":
            return sign_in(login, is_new=False)
        if just_created and refused.code in TRIGGER_FAULTS:
            # A trigger that runs after the user is created, such as PostConfirmation.
            raise
        raise SignInError("wrong_credentials") from None
    return sign_in(login, is_new=True)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer one request; never raise. Log one line of JSON, without any user name."""
    started, cause = time.monotonic(), None
    try:
        # Outside Lambda there is no context; API Gateway waits 29 seconds.
        seconds = context.get_remaining_time_in_millis() / 1000 if context else 29
        login = read_login(event, started + seconds)
        if login.refresh_token:
            answer = refresh(login)
        elif login.new_password:
            answer = sign_in_and_replace_password(login)
        else:
            answer = sign_in_or_up(login)
    except SignInError as refused:
        answer, cause = failure(refused.code), refused.cause
    except Exception as error:  # noqa: BLE001 - Lambda would give the client a traceback
        # Log only the type: the message may contain ids or user input.
        answer, cause = failure("internal_error"), type(error).__name__
    line = {
        "outcome": answer["status"],
        "code": answer.get("code"),
        "cause": cause,
        "is_new": answer.get("is_new"),
        "duration_ms": round((time.monotonic() - started) * 1000),
    }
    # Lambda logs what a function prints.
    print(json.dumps({key: value for key, value in line.items() if value is not None}))  # noqa: T201
    return answer


def failure(code: str) -> dict[str, Any]:
    """Return the answer for a failed login."""
    return {"status": "fail", "msg": MESSAGES[code], "code": code}
