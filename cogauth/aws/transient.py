"""Transient errors: refusals that pass by themselves, each by name. Nothing else is retried."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError, SSLError

from cogauth.aws.answers import NOT_FOUND, code_of, message_of
from cogauth.aws.errors import NETWORK
from cogauth.aws.waiting import Wait
from cogauth.errors import CogauthError

# How long to retry. API Gateway lets an account delete one API in 30 s; a role has been seen to
# need half a minute until Lambda can assume it.
PASSES_WITHIN_S = 120
# How long later calls may not know a resource that was just created.
KNOWN_WITHIN_S = 30
UNKNOWN = Wait("the new resource to be known everywhere in AWS", within_s=KNOWN_WITHIN_S)
ROLE = "the role to become assumable by Lambda"
# Everything else is done before a function exists, so a long pause would delay the whole run.
FUNCTION = Wait("the function to exist", share=1 / 40)

# API Gateway's words for a missing resource whose id isn't in the call's path: the authorizer of a
# method or of a deployment, the deployment of a stage.
# https://github.com/aws/chalice/issues/304 https://github.com/aws/chalice/pull/1839
REFERS_TO_NOTHING = ("identifier specified", "invalid authorizer id", "id does not exist")
# IAM's words for a missing managed policy, which the stack doesn't create.
NO_SUCH_POLICY = "does not exist or is not attachable"


@dataclass(frozen=True)
class Transient:
    """A refusal that had no effect and passes.

    Attributes:
        code: AWS's error code.
        reason: what cogauth waits for, as the user is told.
        words: any of these in AWS's message tells this refusal from others with the same code.
        share: the next pause, as a share of the time waited so far.
        common: whether it passes for all calls at about the same time.
    """

    code: str
    reason: str
    words: tuple[str, ...] = ("",)
    share: float = Wait.share
    common: bool = False


TRANSIENT = (
    Transient(
        "InvalidParameterValueException",
        ROLE,
        (
            "cannot be assumed",
            "execution role does not have permissions",
            # Lambda grants the role the use of the environment variables' key, but KMS may not know
            # the role yet, even if Lambda can already assume it.
            # https://github.com/hashicorp/terraform-provider-aws/issues/4633
            "kms key is invalid for creategrant",
        ),
        # Everything else is done before this ends, so a long pause would delay the whole run.
        share=1 / 80,
        # The roles were made in one run, so Lambda accepts the other at about the same time.
        common=True,
    ),
    # The same code says that a name or a statement id exists, which waiting doesn't cure.
    Transient(
        "ResourceConflictException",
        "another update of the function to end",
        ("cannot be performed at this time", "update is in progress", "concurrent update"),
    ),
    Transient(
        "ConflictException", "another change of the API to end", ("concurrent modification",)
    ),
    Transient("ConcurrentModificationException", "another change of the same resource to end"),
    Transient("ConcurrentModification", "another change of the role to end"),
    Transient("OperationAbortedException", "another change of the log group to end"),
    # IAM's own copies lag: it may still count a policy that was just deleted.
    Transient("DeleteConflict", "IAM to see that the role's policies are gone"),
    Transient(
        "TooManyRequestsException",
        "AWS, which limits such calls (API Gateway: one API deleted in 30 s)",
    ),
    Transient("Throttling", "AWS, which limits such calls"),
    Transient("ThrottlingException", "AWS, which limits such calls"),
)


def is_not_found(error: ClientError) -> bool:
    """Return whether a refusal says that a resource of the stack's kinds doesn't exist."""
    message = message_of(error).lower()
    if NO_SUCH_POLICY in message:
        return False
    return code_of(error) in NOT_FOUND or (
        code_of(error) == "BadRequestException"
        and any(words in message for words in REFERS_TO_NOTHING)
    )


def is_about_a_function(error: ClientError) -> bool:
    """Return whether API Gateway may refuse a call because a Lambda function doesn't exist."""
    refused = code_of(error) in {*NOT_FOUND, "BadRequestException"}
    return refused and "function" in message_of(error).lower()


def passing(error: ClientError) -> Wait | None:
    """Return what to wait for, or None if the refusal won't pass by itself."""
    code, message = code_of(error), message_of(error).lower()
    for one in TRANSIENT:
        if code == one.code and any(words in message for words in one.words):
            return Wait(one.reason, one.share, common=one.common)
    return None


def passing_cause(error: BaseException) -> Exception | None:
    """Return the failure that a later look may not meet, or None if it won't pass by itself.

    For what reads again and again anyway. Besides transient refusals these are AWS's own failures
    (HTTP 5xx) and lost connections. An error of ours is judged by its cause, and several errors
    are judged by all of them.
    """
    if isinstance(error, CogauthError):
        return passing_cause(error.__cause__) if error.__cause__ else None
    if isinstance(error, BaseExceptionGroup):
        causes = [passing_cause(each) for each in error.exceptions]
        return causes[0] if all(causes) else None
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error if passing(error) or status >= 500 else None  # noqa: PLR2004 HTTP's number
    # A certificate that isn't accepted won't be accepted later.
    return error if isinstance(error, NETWORK) and not isinstance(error, SSLError) else None
