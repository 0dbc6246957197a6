"""The errors that users meet, and the exit code of each.

Every message says what failed and why, and a hint says what to do. Code that raises one of these
has made sure that nothing is lost: the state file records whatever was created in AWS.
"""

import re
from base64 import urlsafe_b64decode

# A token, or the beginning of one: a JWT's header starts with '{"', which is "eyJ" in base64.
TOKEN_LIKE = re.compile(r"eyJ[\w-]{8}[\w.-]*", re.ASCII)

# The codes that ``--json`` gives errors: the whole set.
CODES = {
    "usage": "The command line or another input can't be used as given. Nothing was changed.",
    "no_stack": "There is no state file for this stack here.",
    "incomplete": "The stack, or its record, lacks something. `cogauth up` finishes it.",
    "state": "The state file can't be read, or belongs to another stack, account or region.",
    "state_damaged": "The state file is damaged. `cogauth recover` rebuilds it.",
    "state_newer": "A newer cogauth wrote the state file.",
    "locked": "Another cogauth is working on the same state file.",
    "name_conflict": "A resource that isn't the stack's own has one of its names.",
    "not_owned": "A recorded resource isn't the stack's own.",
    "local_aws": "The local AWS isn't installed or didn't start.",
    "login": "Signing in, or a check of it, failed.",
    "declined": "You didn't confirm. Nothing was changed.",
    "credentials": "AWS credentials are missing, incomplete, expired or refused.",
    "permission": "The credentials don't have a permission that the command needs.",
    "quota": "A quota of the AWS account is reached.",
    "throttled": "AWS, or the stage, received too many requests.",
    "unreachable": "AWS, or the API, can't be reached.",
    "aws": "AWS refused a call for another reason.",
    "file": "A file can't be read or written.",
    "failed": "Something else failed; the message says what.",
    "defect": "A defect of cogauth, or an answer that AWS would not give.",
    "interrupted": "The command was interrupted. What it had done is recorded.",
}


def holds_token(text: str) -> bool:
    """Return whether a text contains a token or the beginning of one, not just a lookalike."""
    for match in TOKEN_LIKE.finditer(text):
        head = match[0].partition(".")[0]
        # A JWT's header decodes to JSON, which is plain text; a name such as eyJohnnyboys doesn't.
        decoded = urlsafe_b64decode(head[: len(head) // 4 * 4])
        if decoded.isascii() and decoded.decode().isprintable():
            return True
    return False


class CogauthError(Exception):
    """Something failed: each argument is one line that says what, and why. Exit code 1.

    A line end inside a line is quoted text and starts no new line.

    Attributes:
        hint: what to do, in whole sentences; None if there is nothing to do.
        code: one of CODES.
    """

    exit_code = 1
    code = "failed"

    def __init__(self, *lines: str, hint: str | None = None) -> None:
        super().__init__(*lines)
        self.hint = hint

    @property
    def message(self) -> str:
        """What failed, and why: the lines without the hint."""
        return " ".join(self.args)

    @property
    def lines(self) -> tuple[str, ...]:
        """What failed, why, and what to do: in one line, or the hint after several lines."""
        if self.hint is None or len(self.args) != 1:
            return (*self.args, *filter(None, [self.hint]))
        if self.message.endswith((".", "?")):
            return (f"{self.message} {self.hint}",)
        return (f"{self.message}: {self.hint[0].lower()}{self.hint[1:]}",)

    def __str__(self) -> str:
        return " ".join(self.lines)


class UsageError(CogauthError):
    """The input can't be used; nothing was touched. Exit code 2."""

    exit_code = 2
    code = "usage"


class NoRegionError(UsageError):
    """No AWS region is set anywhere."""


class NoStackError(UsageError):
    """There is no state file for this stack here."""

    code = "no_stack"


class IncompleteError(CogauthError):
    """Something of the stack is missing, which ``up`` creates."""

    code = "incomplete"


class LockedError(CogauthError):
    """Another cogauth is working on the same state file."""

    code = "locked"


class DeclinedError(CogauthError):
    """The user didn't confirm."""

    code = "declined"


class StateError(CogauthError):
    """The state file is damaged, has another version, or belongs to another account or region."""

    code = "state"


class DamagedStateError(StateError):
    """The state file can be read, but no cogauth writes such a file."""

    code = "state_damaged"


class NewerStateError(StateError):
    """A newer cogauth wrote the state file; the file itself may be sound."""

    code = "state_newer"


class NameConflictError(CogauthError):
    """A resource has one of the stack's names but isn't the stack's own."""

    code = "name_conflict"


class NotOwnedError(CogauthError):
    """A resource that the state file records isn't the stack's own, judging by the resource."""

    code = "not_owned"


class LocalAwsError(CogauthError):
    """The embedded local AWS is not installed, not running, or didn't start."""

    code = "local_aws"


class LoginError(CogauthError):
    """``cogauth test-login`` could not run a check at all."""

    code = "login"


class Interrupted(CogauthError):  # noqa: N818 no error, and Python's InterruptedError differs
    """The user ended the command. Exit code 130."""

    code = "interrupted"
    exit_code = 130
