"""The errors a user meets, and the exit code of each.

Every message says what failed, why, and what to do next. Whoever raises one of these has made
sure that nothing is lost: what was made in AWS stands in the state file.
"""

import re
from base64 import urlsafe_b64decode

# A token, or the beginning of one: "eyJ" is base64's text for '{"', as a JWT's header begins.
TOKEN_LIKE = re.compile(r"eyJ[\w-]{8}[\w.-]*", re.ASCII)


def holds_token(text: str) -> bool:
    """Say whether there is a token in a text, or the beginning of one; not if it only looks so."""
    for match in TOKEN_LIKE.finditer(text):
        head = match[0].partition(".")[0]
        # A JWT's header is JSON, which is plain text; a name such as eyJohnnyboys isn't in base64.
        decoded = urlsafe_b64decode(head[: len(head) // 4 * 4])
        if decoded.isascii() and decoded.decode().isprintable():
            return True
    return False


class CogauthError(Exception):
    """Something failed; the text is for the user, an argument a line. Exit code 1."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The text's lines. A line end inside one is not ours, and begins no new one."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        return " ".join(self.lines)


class UsageError(CogauthError):
    """The input can't be used as given; nothing was touched. Exit code 2."""

    exit_code = 2


class StateError(CogauthError):
    """The state file is damaged, of another version, or belongs to another account or region."""


class DamagedStateError(StateError):
    """The state file can be read and is none that a cogauth writes."""


class NewerStateError(StateError):
    """The state file was written by a newer cogauth; it is as good as that one."""


class NameConflictError(CogauthError):
    """A resource has one of the stack's names but isn't the stack's own."""


class NotOwnedError(CogauthError):
    """What the state file records isn't the stack's own, by what it says itself."""


class LocalAwsError(CogauthError):
    """The embedded local AWS is not installed, not running, or didn't start."""


class LoginError(CogauthError):
    """A check of ``cogauth test-login`` could not be made at all."""


class Interrupted(CogauthError):  # noqa: N818 no error, and Python's InterruptedError differs
    """The user ended the command. Exit code 130."""

    exit_code = 130
