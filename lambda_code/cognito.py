"""The sign-in function's calls to Amazon Cognito: one signed HTTP request each, and what it means.

`ask` makes one call. It returns Cognito's answer, or raises SignInError with our code for Cognito's
error.

The function keeps its connection for the next request; Lambda freezes the process in between. If
the kept connection closes before an answer begins, nobody knows whether Cognito acted on the call.
SignUp isn't repeated then: SignInError says that its answer was lost. Every other call is repeated
once, on a new connection, so one wrong password may count twice towards the lockout. A call that
failed on a new connection or timed out is never repeated.

The environment provides COGNITO_ENDPOINT. Lambda adds the region, and the keys of the
function's role.
"""

import json
import os
import re
import socket
import ssl
import time
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

# Parts of botocore are enough: importing boto3 and loading its API descriptions would take more
# than half of a cold start.
# The protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
# The signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

CONNECT_SECONDS, READ_SECONDS = 1, 3
# The longest time that one Cognito call can take, and a little for our own answer.
CALL_SECONDS = CONNECT_SECONDS + READ_SECONDS + 0.25
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


class SignInError(Exception):
    """The login failed; `code` is a key of sign_in.MESSAGES.

    `cause` is the name of Cognito's or botocore's error, if there is one.
    `lost` means that the connection of a SignUp closed before an answer began.
    """

    def __init__(self, code: str, cause: str | None = None, *, lost: bool = False) -> None:
        super().__init__(code)
        self.code, self.cause, self.lost = code, cause, lost


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


def send(deadline: float, operation: str, parameters: dict[str, Any]) -> AWSResponse:
    """Send one Cognito call, and repeat it if a kept connection has closed.

    Raises SignInError if too little time is left for it, BotoCoreError if no answer came.
    """
    # The age can be negative, because a wall clock can be set back.
    if answered and not 0 <= time.time() - answered["at"] <= IDLE_SECONDS:
        drop_connection()
    if deadline - time.monotonic() < CALL_SECONDS:
        raise SignInError("timeout")
    # urllib3 silently replaces a connection that it knows to be closed; that counts as kept too.
    kept = bool(answered)
    try:
        response = http.send(request_for(operation, parameters))
    except BotoCoreError as error:
        drop_connection()
        if not (kept and operation != "SignUp" and has_ended(error)):
            raise
        return send(deadline, operation, parameters)  # on a fresh connection, so not a third time
    answered["at"] = time.time()
    return response


def drop_connection() -> None:
    """Make the next call use a new connection."""
    http.close()
    answered.clear()


def ask(deadline: float, operation: str, parameters: dict[str, Any]) -> Any:
    """Make one Cognito call and return its answer; raise SignInError if that fails."""
    default, lost = "internal_error", False
    try:
        response = send(deadline, operation, parameters)
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
