"""AWS's and botocore's errors in words for a user: what failed, why, and what to do next."""

from __future__ import annotations

import re

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError

from cogauth.errors import CogauthError
from cogauth.waiting import TimedOutError, code_of, message_of

# Services spell one thing differently: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedException", "UnauthorizedOperation"}
THROTTLED = {"TooManyRequestsException", "Throttling", "ThrottlingException"}
QUOTA = {"LimitExceeded", "LimitExceededException", "CodeStorageExceededException"}

AWS_ERRORS = (ClientError, BotoCoreError, TimedOutError)


def is_definite(error: Exception) -> bool:
    """Say whether a call that ended with this error certainly took no effect.

    A refusal is definite; a server's error, a time-out or a lost connection is not.
    """
    if not isinstance(error, ClientError):
        return False
    metadata = error.response.get("ResponseMetadata", {})
    if metadata.get("RetryAttempts"):
        # botocore tried again by itself, after an error of which nobody knows.
        return False
    status = metadata.get("HTTPStatusCode", 500)
    # 408 is a time-out, like those of the client: nobody knows how far the call got.
    return bool(400 <= status < 500 and status != 408)  # noqa: PLR2004 HTTP's own numbers


def explain(error: Exception) -> str:
    """Return why AWS refused or could not be reached, and the remedy.

    Args:
        error: what botocore raised.
    """
    if isinstance(error, ClientError):
        return _explain_answer(error)
    if isinstance(error, (CogauthError, TimedOutError)):
        return str(error)
    for kinds, text in _BOTOCORE:
        if isinstance(error, kinds):
            return text.format(error=error)
    return f"{type(error).__name__}: {error}"


def _explain_answer(error: ClientError) -> str:
    code, message = code_of(error), message_of(error)
    if code in EXPIRED:
        return (
            f"The AWS credentials have expired ({code}). Get new ones ('aws sso login', or as you "
            "got these) and run the same command again: it goes on where it stopped."
        )
    if code in INVALID:
        return (
            f"AWS doesn't accept these credentials ({code}). Check AWS_PROFILE, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give another --profile."
        )
    if code in DENIED:
        # AWS's message names the action, and not always the operation's own: iam:PassRole.
        named = re.search(r"perform: ([\w-]+:\w+)", message)
        metadata = {**error.response.get("ResponseMetadata", {})}
        operation = metadata.get("Action", error.operation_name)
        action = named.group(1) if named else operation
        return (
            f"{code} ({action}). These credentials don't have that permission; the README lists "
            f"all that cogauth needs. AWS says: {message.removesuffix('.')}."
        )
    if code in QUOTA:
        return (
            f"A quota of the account is reached at {error.operation_name} ({code}): "
            f"{message.removesuffix('.')}. Delete what you don't need, or ask for more in the "
            "console's Service Quotas."
        )
    if code in THROTTLED:
        return f"AWS answers that it is called too often ({code}). Wait a minute and try again."
    return f"{code}: {message.removesuffix('.')}."


_NO_CREDENTIALS = (
    "No AWS credentials were found. Run 'aws configure' or 'aws sso login', set AWS_PROFILE, or "
    "give --profile. Without an AWS account: 'cogauth demo', or 'cogauth up --local'."
)
_SSO = (
    "The AWS SSO session has expired or was never begun ({error}). Run 'aws sso login' with the "
    "same profile, then this command again."
)
_NO_NETWORK = (
    "AWS can't be reached ({error}). Check the network, a proxy, the region's name and "
    "--endpoint-url; then run this command again."
)
_BOTOCORE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((botocore_errors.NoCredentialsError,), _NO_CREDENTIALS),
    (
        (botocore_errors.PartialCredentialsError,),
        (
            "The AWS credentials are incomplete ({error}). Set both AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or use a profile."
        ),
    ),
    (
        (botocore_errors.SSOError, botocore_errors.TokenRetrievalError),
        _SSO,
    ),
    (
        (botocore_errors.CredentialRetrievalError,),
        "The AWS credentials could not be got ({error}).",
    ),
    (
        (botocore_errors.ProfileNotFound,),
        "{error}. 'aws configure list-profiles' lists those that there are.",
    ),
    (
        (botocore_errors.ConfigParseError, botocore_errors.ConfigNotFound),
        "The AWS configuration can't be read: {error}",
    ),
    (
        (
            botocore_errors.EndpointConnectionError,
            botocore_errors.ConnectionError,
            botocore_errors.HTTPClientError,
        ),
        _NO_NETWORK,
    ),
)


def failure(what: str, error: Exception, *, after: str = "") -> CogauthError:
    """Return the error that tells a user that ``what`` failed, why, and what to do.

    Args:
        what: as ``Creating the authorizer``.
        error: what botocore raised; chain it with ``from``.
        after: what holds now and how to go on.
    """
    return CogauthError(" ".join(filter(None, [f"{what} failed: {explain(error)}", after])))
