"""Turns any error into one of ours, with its code for ``--json``."""

from __future__ import annotations

import errno

from cogauth.errors import CogauthError

# Errors of writing to stdout: a full disk, a spent quota, a broken device.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def as_ours(error: Exception) -> CogauthError | None:
    """Return the error as one of ours, or None if it is about our own output."""
    if isinstance(error, CogauthError):
        return error
    if is_about_output(error):
        return None
    from cogauth.aws.errors import AWS_ERRORS, translate

    if isinstance(error, AWS_ERRORS):
        return translate(error)
    from cogauth.aws.environment import in_force, redact

    if isinstance(error, OSError) and error.filename is not None:
        return CogauthError(f"{error.filename}: {error.strerror or error}.")
    text = redact(f"{type(error).__name__}: {error}")
    said = f"This is a defect of cogauth, or an answer that AWS would not give: {text}."
    # An endpoint may send anything: only its first answer is checked to be AWS's.
    return CogauthError(
        f"{said} {in_force()}".rstrip(), hint="Please report it with what --debug shows."
    )


def is_about_output(error: Exception) -> bool:
    """Return whether our own output can't be written: its reader has gone, or a disk is full."""
    if isinstance(error, BrokenPipeError):
        return True
    return isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is None


def error_code(error: BaseException, ours: CogauthError) -> str:
    """Return the code of its class, or the code of the AWS or file error that caused it."""
    if ours.code != CogauthError.code:
        return ours.code
    from cogauth.aws.errors import AWS_ERRORS

    if isinstance(error, CogauthError):
        cause: BaseException | None = error.__cause__
        while cause is not None and not isinstance(cause, (*AWS_ERRORS, OSError)):
            cause = cause.__cause__
        if cause is None:
            return ours.code
        error = cause
    if isinstance(error, AWS_ERRORS):
        return _code_of_aws(error)
    return "file" if isinstance(error, OSError) else "defect"


def _code_of_aws(error: Exception) -> str:
    from botocore import exceptions
    from botocore.exceptions import ClientError

    from cogauth.aws import errors
    from cogauth.aws.answers import code_of as aws_code_of

    if isinstance(error, ClientError):
        name = aws_code_of(error)
        of_class = {
            "credentials": errors.EXPIRED | errors.INVALID | errors.SKEWED,
            "permission": errors.DENIED,
            "quota": errors.QUOTA,
            "throttled": errors.THROTTLED,
        }
        return next((code for code, names in of_class.items() if name in names), "aws")
    if isinstance(error, errors.NETWORK):
        return "unreachable"
    signing = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.SSOError,
        exceptions.UnauthorizedSSOTokenError,
        exceptions.ProfileNotFound,
    )
    return "credentials" if isinstance(error, signing) else "aws"
