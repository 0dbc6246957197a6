"""AWS's and botocore's errors in plain words: what failed, why, and what to do next."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.environment import in_force, mentioned, redact, unsendable
from cogauth.aws.waiting import TimedOutError
from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Services name the same error differently: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "AuthFailure",
    "OptInRequired",
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
}
# Errors from a wrong clock. SignatureDoesNotMatch and InvalidSignatureException say so in words:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
SKEW = re.compile(r"Signature (expired|not yet current)")
# Regions of the partitions that have accounts of their own.
APART = re.compile(r"(cn|us-gov|us-iso[bf]?|eu-isoe|eusc)-")
# All other regions are disabled until the account enables them:
# https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
ENABLED_BY_DEFAULT = {
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
    *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "ap-south-1"),
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedException", "UnauthorizedOperation"}
# Actions that a policy may allow only for roles with a permissions boundary.
BOUNDED = {"iam:CreateRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"}
THROTTLED = {"TooManyRequestsException", "Throttling", "ThrottlingException"}
QUOTA = {"LimitExceeded", "LimitExceededException", "CodeStorageExceededException"}

AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError, TimedOutError)
# AWS's hosts in every partition.
AWS_HOST = re.compile(r"\.amazonaws\.[a-z.]+$|\.aws$|\.gov$|\.adc-e\.uk$")
NOT_AWS = "The server isn't AWS, or a proxy is in between."
# The most that an error quotes of others' text, in characters.
LONGEST = 800


def is_definite(error: Exception) -> bool:
    """Return whether a call that ended with this error certainly had no effect.

    A refusal is definite; a server error, a time-out or a lost connection is not.
    """
    if not isinstance(error, ClientError):
        return False
    metadata = error.response.get("ResponseMetadata", {})
    if metadata.get("RetryAttempts"):
        # botocore retried by itself, after an error that may have left an effect.
        return False
    status = metadata.get("HTTPStatusCode", 500)
    # 408 is a time-out, like the client's own: nobody knows how far the call got.
    return bool(400 <= status < 500 and status != 408)  # noqa: PLR2004 HTTP's own numbers


def translate(error: Exception) -> CogauthError:
    """Return an error that says why AWS refused or can't be reached, and what to do.

    It never quotes a credential.
    """
    if isinstance(error, CogauthError):
        return error
    if isinstance(error, ClientError):
        return _explain_answer(error)
    if isinstance(error, NETWORK):
        return _explain_network(error)
    if isinstance(error, botocore_errors.ProfileNotFound) and not error.kwargs.get("profile"):
        hint = "Unset AWS_PROFILE, or give a name with --profile."
        return CogauthError("The AWS profile's name is empty", hint=hint)
    for kind, (text, advice) in _KNOWN.items():
        if isinstance(error, kind):
            found = {"error": _words(error).removesuffix("."), "endpoint": endpoint_advice()}
            return CogauthError(text.format(**found), hint=advice.format(**found) or None)
    return _said(*unexpected(error))


def _said(*sentences: str, hint: str | None = None) -> CogauthError:
    """Return an error of one line."""
    return CogauthError(" ".join(filter(None, sentences)), hint=hint)


def unexpected(error: Exception) -> tuple[str, str]:
    """Return the text of an error that we have no words for, and the variables that it quotes."""
    words = f"{type(error).__name__}: {_words(error)}"
    return words, mentioned(words)


def endpoint_advice() -> str:
    """Return what to do about an answer that isn't AWS's."""
    return (
        "Check --endpoint-url, AWS_ENDPOINT_URL, endpoint_url in the profile, and the network. "
        + in_force()
    ).rstrip()


def _words(error: Exception | str) -> str:
    """Return others' text of an error: short, in one line, and without a credential."""
    text = " ".join(redact(str(error)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _explain_network(error: Exception) -> CogauthError:
    cause = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    if isinstance(cause, UnicodeEncodeError) or "header value" in str(cause):
        where = " and ".join(unsendable()) or "the profile and its source_profile"
        return _said(
            "The AWS credentials contain a character that can't be sent, such as a line end (they "
            "are not shown here).",
            hint=f"Check {where}, and set them again.",
        )
    said = [f"AWS can't be reached ({_words(error).removesuffix('.')})."]
    url = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    if url and not AWS_HOST.search(urlsplit(url).hostname or ""):
        said.append(
            "The endpoint isn't AWS's: it comes from --endpoint-url, the state file, "
            "AWS_ENDPOINT_URL, or endpoint_url in the profile."
        )
    certificates = isinstance(error, botocore_errors.SSLError)
    hint = (
        "Check the network, a proxy, the region's name and --endpoint-url; then run this command "
        "again."
    )
    if certificates:
        hint += (
            " If a proxy here decrypts the traffic, put its certificate into a file and set "
            "AWS_CA_BUNDLE to it."
        )
    return _said(*said, in_force(certificates=certificates), hint=hint)


def _explain_answer(error: ClientError) -> CogauthError:
    code, message = code_of(error), _words(message_of(error)).removesuffix(".")
    operation = error.operation_name
    metadata: dict[str, Any] = {**error.response.get("ResponseMetadata", {})}
    after = f"AWS says: {message}." if message else ""
    if code in EXPIRED:
        text = f"The AWS credentials have expired ({code})."
        hint = (
            "Get new ones ('aws sso login', or the way you got these) and run the same command "
            "again: it continues where it stopped."
        )
        if code == "RequestExpired":
            hint += f" Or {_clock(metadata)}: set it."
    elif code in SKEWED or SKEW.match(message):
        text = f"AWS rejects the signature's time ({code}): {_clock(metadata)}."
        hint = "Set the clock."
    elif code in INVALID:
        text, hint = _explain_invalid(code, metadata.get("Region") or "")
        after = f"{after} {in_force(proxies=False)}".strip()
    elif code in DENIED:
        text, hint = _explain_denied(code, message, metadata.get("Action", operation))
    elif code in QUOTA:
        text = f"{operation} reached a quota of the account ({code})."
        hint = "Delete what you don't need, or request more in the console's Service Quotas."
    elif code in THROTTLED:
        text = f"AWS limits the rate of such calls ({code})."
        hint = "Wait a minute and try again."
    elif not code or code.isdigit():
        # AWS's own services name each error.
        text = f"HTTP {metadata.get('HTTPStatusCode')} at {operation}."
        after, hint = f"{after} {NOT_AWS}".lstrip(), endpoint_advice()
    else:
        text, hint = f"{code}: {message}.", " ".join(_advice(operation, message))
        # GetCallerIdentity needs no permission: AWS answers every call with a valid signature.
        after = in_force() if operation == "GetCallerIdentity" else ""
    return _said(text, after, hint=hint or None)


def _explain_denied(code: str, message: str, action: str) -> tuple[str, str]:
    if "MultiFactorAuthentication" in message:
        return f"AWS rejects the MFA code ({code}).", "Run the command again with a new one."
    # AWS's message names the action, which may differ from the operation's own: iam:PassRole.
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    lacking = named.group(1) if named else action
    hint = "'cogauth policy --for COMMAND' prints all that a command needs."
    if lacking in BOUNDED:
        hint += (
            " If your organisation allows it only for roles with a permissions boundary, run the "
            "same command with --permissions-boundary ARN."
        )
    return f"{code} ({lacking}). These credentials lack that permission.", hint


def _clock(metadata: dict[str, Any]) -> str:
    date = metadata.get("HTTPHeaders", {}).get("date")
    now = format_datetime(datetime.now(UTC), usegmt=True)
    clocks = f" (AWS: {date}; here: {now})" if date else ""
    return f"this machine's clock differs from AWS's by minutes{clocks}"


def _explain_invalid(code: str, region: str) -> tuple[str, str]:
    disabled = f"The region {region} may not be enabled for the account"
    enabled = "See the regions on the console's account page or in 'aws account list-regions'."
    if code == "OptInRequired":
        return f"{disabled} ({code}).", enabled
    text = f"AWS doesn't accept these credentials ({code})."
    hint = (
        "Check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give another --profile."
    )
    if APART.match(region):
        return f"{text} The region {region} needs an account of its own partition.", hint
    if region and region not in ENABLED_BY_DEFAULT:
        # AWS gives the same answer to valid credentials there.
        return f"{disabled}, or {text}", f"{hint} {enabled}"
    return text, hint


def _advice(operation: str, message: str) -> Iterator[str]:
    """Yield the options that may help against an error, judging by AWS's message."""
    if operation in {"CreateFunction", "UpdateFunctionCode"} and re.search(
        "arm64|architecture", message, re.IGNORECASE
    ):
        yield "Run 'cogauth up' with --architecture x86_64: not every region has arm64."
    if operation == "PutRolePermissionsBoundary" or "Scope ARN" in message:
        yield "Give --permissions-boundary a managed policy that exists in this account."


NETWORK = (botocore_errors.ConnectionError, botocore_errors.HTTPClientError)
_BAD_CONFIG = ("The AWS configuration can't be read: {error}.", "")
_SSO_OVER = (
    "The AWS SSO session has expired or was never started ({error}).",
    "Run 'aws sso login' with the same profile, then this command again.",
)
# What failed and what to do, for each class of error.
_KNOWN: dict[type[Exception], tuple[str, str]] = {
    TimedOutError: ("{error}", ""),
    ResponseParserError: (f"The answer can't be read ({{error}}). {NOT_AWS}", "{endpoint}"),
    botocore_errors.NoCredentialsError: (
        "No AWS credentials were found.",
        (
            "Run 'aws configure' or 'aws sso login', set AWS_PROFILE, or give --profile. Without "
            "an AWS account: 'cogauth demo', or 'cogauth up' with --local."
        ),
    ),
    botocore_errors.PartialCredentialsError: (
        "The AWS credentials are incomplete ({error}).",
        "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or complete the profile.",
    ),
    botocore_errors.SSOError: _SSO_OVER,
    botocore_errors.TokenRetrievalError: _SSO_OVER,
    botocore_errors.MissingDependencyException: (
        "A profile created by 'aws login' needs one more package, of 13 MB ({error}).",
        "In cogauth's source folder run: pip install '.[login]'",
    ),
    botocore_errors.LoginError: (
        "The session of 'aws login' has expired or was never started ({error}).",
        "Run 'aws login' with the same profile, then this command again.",
    ),
    botocore_errors.RefreshWithMFAUnsupportedError: (
        (
            "The session of a role that requires MFA is ending, and a new one needs a new code "
            "({error})."
        ),
        (
            "Run the same command again: it continues where it stopped. For longer sessions set "
            "duration_seconds in the profile."
        ),
    ),
    botocore_errors.CredentialRetrievalError: (
        "Getting the AWS credentials failed ({error}).",
        "Check the profile; 'custom-process' means its credential_process.",
    ),
    botocore_errors.ProfileNotFound: (
        "{error}.",
        "Give one that 'aws configure list-profiles' lists.",
    ),
    botocore_errors.ConfigParseError: _BAD_CONFIG,
    botocore_errors.ConfigNotFound: _BAD_CONFIG,
}


def failure(
    what: str, error: Exception, *, after: str = "", hint: str | None = None
) -> CogauthError:
    """Return the error that says that ``what`` (such as ``Creating the authorizer``) failed.

    ``after`` says what the state is now, and ``hint`` how to continue. Chain the error with
    ``from``.
    """
    why = translate(error)
    hints = " ".join(filter(None, [why.hint, hint]))
    return _said(f"{what} failed: {why.message}", after, hint=hints or None)
