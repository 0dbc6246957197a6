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

The function keeps its connection for the next request; Lambda freezes the process in between. If
the kept connection closes before an answer begins, nobody knows whether Cognito acted on the call.
The function doesn't repeat SignUp: the next sign-in shows whether it took effect, and the user is
new, because the first sign-in was refused. It repeats every other call once, on a new connection,
so one wrong password may count twice towards the lockout. It never repeats a call that failed on a
new connection or timed out.

Functions that call Cognito may raise SignInError; `handler` never raises. Read from the bottom up:
Lambda calls `handler`, and `sign_in_or_up` has the main logic. The environment provides
USER_POOL_ID, CLIENT_ID, COGNITO_ENDPOINT, PASSWORD_POLICY (the policy in plain English) and SIGN_UP
(open or closed; open if it is missing).
"""

import base64
import hmac
import json
import os
import re
import socket
import ssl
import time
import unicodedata
from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NamedTuple

# This function sends its own signed HTTP requests, using parts of botocore: importing boto3 and
# loading its API descriptions would take more than half of a cold start.
# The protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
# The signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

USER_POOL_ID = os.environ["USER_POOL_ID"]
CLIENT_ID = os.environ["CLIENT_ID"]
PASSWORD_POLICY = os.environ["PASSWORD_POLICY"]
SIGN_UP_IS_OPEN = os.environ.get("SIGN_UP", "open") == "open"

# Cognito's limits, in characters, and the characters of its tokens.
MAX_USERNAME, MAX_PASSWORD, MAX_TOKEN = 128, 256, 131072
TOKEN = re.compile(r"[A-Za-z0-9_=.-]+")
# What no password begins or ends with; inside one, a space counts as a symbol.
SPACES = " \t\n\r\f\v"
CONNECT_SECONDS, READ_SECONDS = 1, 3
# The longest time that one Cognito call can take, and a little for our own answer.
CALL_SECONDS = CONNECT_SECONDS + READ_SECONDS + 0.25
# An overlapping request of the same person may have created a user younger than this.
JUST_CREATED_SECONDS = 30
# How long to reuse an idle connection. About frozen processes, AWS only says that "Lambda purges
# idle connections over time": https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html
IDLE_SECONDS = 20

# An emulator sets its own URL in the variables that AWS's tools use.
ENDPOINT = (
    os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")
    or os.environ.get("AWS_ENDPOINT_URL")
    or os.environ["COGNITO_ENDPOINT"]
)
# Lambda gives each process the keys of the function's role. The signer only reads three fields, and
# importing botocore's Credentials would make a cold start a twelfth longer.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
credentials: Any = SimpleNamespace(
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    token=os.environ.get("AWS_SESSION_TOKEN"),
)
signer = SigV4Auth(credentials, "cognito-idp", os.environ["AWS_REGION"])
# Configured like boto3's client, but without retries: `send` decides what to repeat.
make_session: Any = URLLib3Session  # Any: its published types are narrower than what it takes
http: URLLib3Session = make_session(
    timeout=(CONNECT_SECONDS, READ_SECONDS),
    verify=os.environ.get("AWS_CA_BUNDLE") or True,
    proxies=get_environ_proxies(ENDPOINT),
    # Nagle's algorithm would delay a body until its header is acknowledged, by up to 40 ms.
    socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
)
# The wall-clock time of the last answer; empty if no connection is kept. The monotonic clock may
# stop while the process is frozen.
answered: dict[str, float] = {}
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

# The error's name, a pattern in its message, and our code; the first match counts. The table has
# every error that AWS documents for our six calls. Callers never see AWS's messages: they may
# contain the ids of pools, clients, functions and roles.
REFUSALS = (
    ("NotAuthorizedException", "Incorrect username or password", "wrong_credentials"),
    ("NotAuthorizedException", "User is disabled", "user_disabled"),
    ("NotAuthorizedException", "Password attempts exceeded", "locked_out"),
    ("NotAuthorizedException", "Unable to verify secret hash", "client_secret_refused"),
    ("NotAuthorizedException", "SecretHash does not match", "client_secret_refused"),
    ("NotAuthorizedException", "SignUp is not permitted", "sign_up_refused"),
    # "Refresh Token has expired", "… has been revoked", "Invalid Refresh Token", and
    # "The user has been deleted for the associated refresh token"
    ("NotAuthorizedException", "[Rr]efresh [Tt]oken", "refresh_refused"),
    # An overlapping request has answered a temporary password's challenge: "Invalid session for the
    # user, session can only be used once."
    ("NotAuthorizedException", "Invalid session", "wrong_credentials"),
    # "Temporary password has expired and must be …", "User account has expired, it must be …"
    ("NotAuthorizedException", "reset by an administrator", "password_reset_required"),
    ("NotAuthorizedException", "", "not_authorized"),
    ("ForbiddenException", "", "not_authorized"),  # by a web application firewall
    ("UserNotFoundException", "", "wrong_credentials"),
    ("UsernameExistsException", "", "wrong_credentials"),  # a sign-up follows a refused sign-in
    ("UserNotConfirmedException", "", "user_unconfirmed"),
    ("PasswordResetRequiredException", "", "password_reset_required"),
    ("MFAMethodNotFoundException", "", "mfa_required"),
    ("SoftwareTokenMFANotFoundException", "", "mfa_required"),
    ("InvalidPasswordException", "", "password_policy"),
    ("PasswordHistoryPolicyViolationException", "", "password_policy"),
    ("InvalidParameterException", "'(p|previousP|proposedP)assword'", "invalid_password"),
    ("InvalidParameterException", "'username'", "invalid_username"),
    ("InvalidParameterException", "Username ", "invalid_username"),  # "… should be an email."
    ("InvalidParameterException", "Attributes did not conform", "sign_up_refused"),
    ("InvalidParameterException", "", "internal_error"),
    # Lambda refuses the call: "PreSignUp invocation failed due to error AccessDeniedException."
    # Formerly: "arn:… invocation failed with error User: … Error Code: AccessDeniedException".
    # An error of the function itself: "PreSignUp failed with error …AccessDenied…".
    # Sources: https://repost.aws/knowledge-center/cognito-lambda-trigger-errors and
    # https://github.com/aws/aws-cli/issues/2256
    ("UserLambdaValidationException", "invocation failed.*AccessDenied", "trigger_denied"),
    ("UnexpectedLambdaException", "invocation failed.*AccessDenied", "trigger_denied"),
    ("UserLambdaValidationException", "invocation failed", "trigger_failed"),
    # The function crashed: "PreSignUp failed with error … Task timed out after 3.00 seconds."
    ("UserLambdaValidationException", "Task timed out|Runtime exited", "trigger_failed"),
    ("UserLambdaValidationException", "PreSignUp", "sign_up_refused"),  # the trigger said no
    ("UserLambdaValidationException", "", "not_authorized"),  # another trigger said no
    ("UnexpectedLambdaException", "", "trigger_failed"),
    ("InvalidLambdaResponseException", "", "trigger_failed"),
    ("TooManyRequestsException", "", "throttled"),
    ("LimitExceededException", "", "throttled"),
    ("ThrottlingException", "", "throttled"),
    ("AccessDeniedException", "", "access_denied"),
    ("UnrecognizedClientException", "", "access_denied"),
    ("ExpiredTokenException", "", "access_denied"),
    ("InternalErrorException", "", "unavailable"),
    # These concern what the function never sends: codes and attributes.
    ("AliasExistsException", "", "internal_error"),
    ("CodeMismatchException", "", "internal_error"),
    ("ExpiredCodeException", "", "internal_error"),
    # The pool, its app client or its message delivery is misconfigured.
    ("CodeDeliveryFailureException", "", "internal_error"),
    ("FeatureUnavailableInTierException", "", "internal_error"),
    ("InvalidEmailRoleAccessPolicyException", "", "internal_error"),
    ("InvalidSmsRoleAccessPolicyException", "", "internal_error"),
    ("InvalidSmsRoleTrustRelationshipException", "", "internal_error"),
    ("InvalidUserPoolConfigurationException", "", "internal_error"),
    ("OperationNotEnabledException", "", "internal_error"),
    ("ResourceNotFoundException", "", "internal_error"),
    ("UnsupportedOperationException", "", "internal_error"),
    # botocore's own errors, without an answer
    ("ConnectTimeoutError", "", "timeout"),
    ("ReadTimeoutError", "", "timeout"),
    ("EndpointConnectionError", "", "unavailable"),
    ("ConnectionClosedError", "", "unavailable"),
    ("ProxyConnectionError", "", "unavailable"),
    ("SSLError", "", "unavailable"),
    ("JSONDecodeError", "", "unavailable"),  # an answer that was cut off
    ("HTTPClientError", "", "unavailable"),
)

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


class SignInError(Exception):
    """The login failed; `code` is a key of MESSAGES, `cause` the original error's name, if any.

    `lost` means that the connection of a SignUp closed before an answer began.
    """

    def __init__(self, code: str, cause: str | None = None, *, lost: bool = False) -> None:
        super().__init__(code)
        self.code, self.cause, self.lost = code, cause, lost


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


def request_for(operation: str, parameters: dict[str, Any]) -> AWSPreparedRequest:
    """Build the HTTP request for a Cognito call."""
    request = AWSRequest(
        method="POST",
        url=ENDPOINT.rstrip("/") + "/",
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        },
        data=json.dumps(parameters).encode(),
    )
    # A user's own calls need no signature; the others need the permissions of the role.
    if operation not in {"SignUp", "ChangePassword"}:
        signer.add_auth(request)
    return request.prepare()


def error_in(response: AWSResponse) -> tuple[str, str]:
    """Return the error's name (or the HTTP status) and its message, as boto3 reads them."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}  # It comes from a proxy or a firewall, not from Cognito.
    # The name may be wrapped, such as "com.amazonaws.cognito#NAME" or "NAME:http://…".
    name = str(body.get("__type") or response.status_code)
    message = str(body.get("message") or body.get("Message") or "")
    return name.partition(":")[0].rpartition("#")[2], message


def has_ended(error: BotoCoreError) -> bool:
    """Return whether the connection closed before the answer began."""
    # botocore's error wraps urllib3's, which wraps Python's and says when it happened.
    parts: tuple[Any, ...] = getattr(error.kwargs.get("error"), "args", ())
    ends = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
    in_the_body = bool(parts) and str(parts[0]).startswith("Connection broken")
    return not in_the_body and any(isinstance(part, ends) for part in parts)


def send(login: Login, operation: str, parameters: dict[str, Any]) -> AWSResponse:
    """Send one Cognito call, and repeat it if a kept connection has closed.

    Raises SignInError if too little time is left for it, BotoCoreError if no answer came.
    """
    # The age can be negative, because a wall clock can be set back.
    if answered and not 0 <= time.time() - answered["at"] <= IDLE_SECONDS:
        drop_connection()
    if login.deadline - time.monotonic() < CALL_SECONDS:
        raise SignInError("timeout")
    # urllib3 silently replaces a connection that it knows to be closed; that counts as kept too.
    kept = bool(answered)
    try:
        response = http.send(request_for(operation, parameters))
    except BotoCoreError as error:
        drop_connection()
        if not (kept and operation != "SignUp" and has_ended(error)):
            raise
        return send(login, operation, parameters)  # on a fresh connection, so not a third time
    answered["at"] = time.time()
    return response


def drop_connection() -> None:
    """Make the next call use a new connection."""
    http.close()
    answered.clear()


def ask(login: Login, operation: str, parameters: dict[str, Any]) -> Any:
    """Make one Cognito call and return its answer; raise SignInError if that fails."""
    default, lost = "internal_error", False
    try:
        response = send(login, operation, parameters)
        if response.status_code == HTTPStatus.OK:
            return json.loads(response.content)
        name, message = error_in(response)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            default = "unavailable"
    except BotoCoreError as error:
        name, message = type(error).__name__, ""
        lost = operation == "SignUp" and has_ended(error)
    except json.JSONDecodeError as error:
        name, message = type(error).__name__, ""
    for refusal, pattern, code in REFUSALS:
        if name == refusal and re.search(pattern, message, re.DOTALL):
            raise SignInError(code, name, lost=lost)
    raise SignInError(default, name)


def secret_hash(login: Login) -> str:
    """Return the hash that proves knowledge of the app client's secret, without sending it."""
    if CLIENT_ID not in kept_secret:
        ids = {"UserPoolId": USER_POOL_ID, "ClientId": CLIENT_ID}
        client = ask(login, "DescribeUserPoolClient", ids)["UserPoolClient"]
        if "ClientSecret" not in client:
            # The secret is in AWS Secrets Manager now, which this function may not read.
            raise SignInError("client_secret_unreadable")
        kept_secret[CLIENT_ID] = client["ClientSecret"]
    secret, text = kept_secret[CLIENT_ID], login.username + CLIENT_ID
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def ask_with_hash(login: Login, operation: str, parameters: Callable[[str], dict[str, Any]]) -> Any:
    """Make one Cognito call that takes the secret hash."""
    try:
        return ask(login, operation, parameters(secret_hash(login)))
    except SignInError as refused:
        if refused.code != "client_secret_refused":
            raise
    # The secret may have been replaced, so read it again, once. A call with a refused hash changes
    # nothing and doesn't count as an attempt, so repeating it is safe.
    kept_secret.clear()
    return ask(login, operation, parameters(secret_hash(login)))


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
        ask(login, "ChangePassword", {"AccessToken": tokens["access_token"], **passwords})
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
            answer = ask(login, "AdminInitiateAuth", flow("REFRESH_TOKEN_AUTH", **parameters))
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
        return float(ask(login, "AdminGetUser", ids)["UserCreateDate"])
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
