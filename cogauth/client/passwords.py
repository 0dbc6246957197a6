"""The names and passwords that a user pool takes."""

from __future__ import annotations

import secrets
import string
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogauth.errors import UsageError
from cogauth.settings import Settings
from cogauth.steps.cognito import POLICY_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Cognito's limits, in characters. A name consists of letters, marks, symbols, numbers and
# punctuation.
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html
LONGEST_NAME, LONGEST_PASSWORD = 128, 256
# The least that a pool's policy may ask for.
SHORTEST_PASSWORD = 6
NAME_RULE = (
    f"Give 1 to {LONGEST_NAME} characters: letters, marks, numbers, symbols and punctuation."
)
# What Cognito counts as a symbol; a space inside counts too.
# https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
SYMBOLS = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "
CLASSES = {
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "digit": string.digits,
    "symbol": SYMBOLS,
}
# For passwords that people read and type: without what looks alike or what a shell acts on.
LETTERS = ("ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz")
ALPHABETS = (*LETTERS, "23456789", "-_.+=@%")
# Of a generated password, in characters: more than 100 bits.
LENGTH = 20


@dataclass(frozen=True)
class Policy:
    """A pool's password policy.

    Attributes:
        least: the least number of characters.
        required: the required classes of characters, of CLASSES.
        days: how long a temporary password is valid, in days; None if AWS doesn't say.
    """

    least: int
    required: tuple[str, ...]
    days: int | None = None

    @property
    def text(self) -> str:
        """What a password needs, such as ``at least 8 characters, with a digit``."""
        wanted = Settings(password_min_length=self.least, password_require=self.required)
        return wanted.password_policy_text

    def check(self, password: str) -> None:
        """Raise UsageError, with the rule, if the pool can't take a password. It isn't quoted."""
        missing = [
            name for name in self.required if not any(one in CLASSES[name] for one in password)
        ]
        if missing or not is_possible(password) or len(password) < self.least:
            raise UsageError(
                f"The user pool doesn't take this password: it needs {self.text}, at most "
                f"{LONGEST_PASSWORD}, and no space at its start or end. Nothing was changed.",
                hint="Give another.",
            )


def is_possible(password: str) -> bool:
    """Return whether a pool may take a password: not too long, without a space at an end."""
    # To Cognito, a no-break space is a character like any other.
    return password == password.strip(string.whitespace) and len(password) <= LONGEST_PASSWORD


def check_password(password: str) -> None:
    """Raise UsageError, with the rule, if no pool takes a password. It isn't quoted."""
    if not (is_possible(password) and len(password) >= SHORTEST_PASSWORD):
        raise UsageError(
            f"No user pool takes this password: it needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} "
            "characters, and no space at its start or end. Nothing was changed.",
            hint="Give another.",
        )


def policy_of(live: Mapping[str, Any], settings: Settings) -> Policy:
    """Return the password policy of a described pool; what AWS doesn't describe is the stack's."""
    described = live.get("Policies", {}).get("PasswordPolicy")
    if not described:
        return Policy(settings.password_min_length, settings.password_require)
    return Policy(
        described["MinimumLength"],
        tuple(name for name, key in POLICY_KEYS.items() if described.get(key)),
        described.get("TemporaryPasswordValidityDays"),
    )


def check_name(username: str) -> None:
    """Raise UsageError, with the rule, if no user can have this name."""
    if not 1 <= len(username) <= LONGEST_NAME or any(
        unicodedata.category(one)[0] not in "LMSNP" for one in username
    ):
        raise UsageError(f"The user name {username!r} is invalid", hint=NAME_RULE)


def new_password(least: int, length: int = LENGTH) -> str:
    """Return a random password that meets every policy with this least number of characters."""
    characters = [secrets.choice(alphabet) for alphabet in ALPHABETS]
    more = max(least, length) - len(characters) - 1
    characters += [secrets.choice("".join(ALPHABETS)) for _ in range(more)]
    secrets.SystemRandom().shuffle(characters)
    # No program takes it for an option, nor a spreadsheet for a formula.
    return "".join([secrets.choice("".join(LETTERS)), *characters])
