"""The errors that users meet, and the exit code of each.

Every message says what failed, why, and what to do next. Code that raises one of these has made
sure that nothing is lost: the state file records whatever was created in AWS.
"""

import re
from base64 import urlsafe_b64decode

# A token, or the beginning of one: a JWT's header starts with '{"', which is "eyJ" in base64.
TOKEN_LIKE = re.compile(r"eyJ[\w-]{8}[\w.-]*", re.ASCII)


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
    """Something failed. Each argument is one line of the message to the user. Exit code 1."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The message's lines. A line end inside one is quoted text and starts no new line."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        return " ".join(self.lines)


class UsageError(CogauthError):
    """The input can't be used; nothing was touched. Exit code 2."""

    exit_code = 2


class StateError(CogauthError):
    """The state file is damaged, has another version, or belongs to another account or region."""


class DamagedStateError(StateError):
    """The state file can be read, but no cogauth writes such a file."""


class NewerStateError(StateError):
    """A newer cogauth wrote the state file; the file itself may be sound."""


class NameConflictError(CogauthError):
    """A resource has one of the stack's names but isn't the stack's own."""


class NotOwnedError(CogauthError):
    """A resource that the state file records isn't the stack's own, judging by the resource."""


class LocalAwsError(CogauthError):
    """The embedded local AWS is not installed, not running, or didn't start."""


class LoginError(CogauthError):
    """``cogauth test-login`` could not run a check at all."""


class Interrupted(CogauthError):  # noqa: N818 no error, and Python's InterruptedError differs
    """The user ended the command. Exit code 130."""

    exit_code = 130
