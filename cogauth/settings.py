"""The settings that a user can choose for a stack, and the bounds of each."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from cogauth import cors
from cogauth.errors import UsageError

DEFAULT_STACK = "cogauth"
# Cognito's feature plans. Each includes the ones before it.
TIERS = ("LITE", "ESSENTIALS", "PLUS")
# Who may sign up.
OPEN, CLOSED = "open", "closed"
# Removes a permissions boundary.
NO_BOUNDARY = "none"
# For every partition. Source: the patterns of IAM's policyPathType and policyNameType, and
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
POLICY_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/([\w.,+@=-]{1,512}/)*[\w+=,.@-]{1,128}", re.ASCII
)
STACK_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
PROTECTED_PATH = "/hello"
CHARACTER_CLASSES = {
    "upper": "an upper-case letter",
    "lower": "a lower-case letter",
    "digit": "a digit",
    "symbol": "a symbol",
}


def check_stack_name(name: str) -> str:
    """Return the stack's name; raise UsageError if it is invalid.

    Lambda allows function names of 64 characters, and ``-autoConfirmUserFunction`` takes 24.
    """
    if not STACK_NAME.fullmatch(name):
        raise UsageError(
            f"--stack {name!r} can't be used", hint="Give 1 to 40 letters, digits, '_' or '-'."
        )
    return name


def _between(low: float, high: float, unit: str = "") -> dict[str, Any]:
    return {"low": low, "high": high, "unit": unit}


@dataclass(frozen=True)
class Settings:
    """A stack's settings. The state file keeps them; ``up`` merges new choices into them.

    Attributes:
        tier: the user pool's feature plan, Cognito's ``UserPoolTier``.
        tier_given: whether the user chose ``tier`` for this run, or for an earlier one that
            failed; only then does ``up`` lower a pool's tier.
        sign_up: who may sign up: OPEN for anyone, CLOSED for nobody, so that only administrators
            create users; None in a state file from before this setting, until ``up`` or ``plan``
            takes over what the pool has.
        sign_up_given: whether the user chose ``sign_up`` for this run, or for an earlier one that
            failed; otherwise a pool that differs was changed by hand.
        password_min_length: in characters.
        password_require: the character classes that a password must contain.
        power_user: attach AmazonCognitoPowerUser instead of the least privileges.
        permissions_boundary: the ARN of a managed policy that limits both roles; NO_BOUNDARY
            removes the boundary in this run; None leaves it as it is.
        runtime, architecture: of both functions, as Lambda names them.
        sign_in_memory, auto_confirm_memory: in MB.
        sign_in_timeout, auto_confirm_timeout: in seconds.
        path: the sign-in method's path, one segment.
        stage: the API's stage, part of its URL.
        throttle_rate: limit of the sign-in method for all callers together, in requests a second.
        throttle_burst: limit of the sign-in method for a burst, in requests.
        cors_origins: the origins whose pages may call the API; ``*`` alone allows any.
    """

    tier: str = "LITE"
    # Someone may have raised the pool's tier on purpose, and pays for it: neither a default nor an
    # old choice may lower it. But the next run must finish an interrupted one that was to lower it,
    # so the choice is kept until a run succeeds.
    tier_given: bool = False
    sign_up: str | None = OPEN
    sign_up_given: bool = False
    password_min_length: int = field(default=8, metadata=_between(6, 99, "characters"))
    password_require: tuple[str, ...] = tuple(CHARACTER_CLASSES)
    power_user: bool = False
    permissions_boundary: str | None = None
    runtime: str = "python3.14"
    architecture: str = "arm64"
    sign_in_memory: int = field(default=512, metadata=_between(128, 10240, "MB"))
    # A first login makes four calls, and the function starts none with less than 4.25 s left
    # (sign_in.py). API Gateway gives up after 29 s.
    sign_in_timeout: int = field(default=10, metadata=_between(9, 29, "seconds"))
    auto_confirm_memory: int = field(default=128, metadata=_between(128, 10240, "MB"))
    # Cognito waits 5 s for a trigger.
    auto_confirm_timeout: int = field(default=3, metadata=_between(1, 5, "seconds"))
    path: str = "/signin"
    stage: str = "dev"
    throttle_rate: float = field(default=20.0, metadata=_between(0.1, 10000, "requests a second"))
    throttle_burst: int = field(default=40, metadata=_between(1, 5000, "requests"))
    cors_origins: tuple[str, ...] = ()
    # Whether an 'up' began to carry them out and hasn't ended: then a value in AWS that differs may
    # be left from before, and nobody changed it by hand. Who may sign up is known to be changed by
    # hand even then, unless it was chosen.
    in_progress: bool = False

    def __post_init__(self) -> None:
        """Check every value; raise a UsageError that names the option and the remedy."""
        for setting in fields(self):
            if not setting.metadata:
                continue
            low, high, unit = (setting.metadata[key] for key in ("low", "high", "unit"))
            value = getattr(self, setting.name)
            kinds = (int, float) if isinstance(setting.default, float) else (int,)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            # This form refuses NaN too, for which every comparison is false.
            if not (number and low <= value <= high):
                raise UsageError(
                    f"{_option(setting.name)} {value!r} can't be used",
                    hint=f"Give {low} to {high} {unit}.",
                )
        for name, pattern, wanted in (
            ("tier", "|".join(TIERS), "LITE, ESSENTIALS or PLUS"),
            ("sign_up", f"{OPEN}|{CLOSED}", "open or closed"),
            ("runtime", r"python3\.(1[1-9]|[2-9][0-9])", "a Lambda Python runtime, 3.11 or later"),
            ("architecture", r"arm64|x86_64", "arm64 or x86_64"),
            ("stage", r"[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, '_' or '-'"),
            (
                "path",
                # Clients remove '.' and '..' from URLs.
                r"/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}",
                "a '/' and one segment of letters, digits, '.', '_' or '-', such as /signin",
            ),
        ):
            value = getattr(self, name)
            is_unknown = name == "sign_up" and value is None
            if not (is_unknown or (isinstance(value, str) and re.fullmatch(pattern, value))):
                raise UsageError(f"{_option(name)} {value!r} can't be used", hint=f"Give {wanted}.")
        for name in ("power_user", "tier_given", "sign_up_given", "in_progress"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(
                    f"{_option(name)} {getattr(self, name)!r} can't be used",
                    hint="Give true or false.",
                )
        self._check_boundary()
        if self.path == PROTECTED_PATH:
            raise UsageError(
                f"--path {self.path} is the protected method's path", hint="Give another."
            )
        unknown = [name for name in self.password_require if name not in CHARACTER_CLASSES]
        if unknown:
            raise UsageError(
                f"--password-require {unknown[0]!r} can't be used",
                hint=f"Give some of {', '.join(CHARACTER_CLASSES)}, or none.",
            )
        cors.check_origins(self.cors_origins)

    def _check_boundary(self) -> None:
        boundary = self.permissions_boundary
        if boundary not in {None, NO_BOUNDARY} and not (
            isinstance(boundary, str) and POLICY_ARN.fullmatch(boundary)
        ):
            raise UsageError(
                f"--permissions-boundary {boundary!r} can't be used",
                hint=(
                    "Give a managed policy's ARN, such as "
                    "arn:aws:iam::123456789012:policy/boundary, or none."
                ),
            )

    @property
    def unneeded(self) -> set[str]:
        """The keys of the resources that a stack with these settings doesn't have."""
        keys = set() if self.power_user else {"power_user_attachment"}
        if not self.cors_origins:
            keys |= {"sign_in_preflight", "hello_preflight"}
        if cors.fixed_origin(self.cors_origins) is None:
            kinds = ("unauthorized", "access_denied", "default_4xx", "default_5xx")
            keys |= {f"{kind}_response" for kind in kinds}
        return keys

    @property
    def password_policy_text(self) -> str:
        """The password policy as a phrase, such as ``at least 8 characters, with a digit``."""
        text = f"at least {self.password_min_length} characters"
        classes = [
            words for name, words in CHARACTER_CLASSES.items() if name in self.password_require
        ]
        if classes:
            text += ", with " + ", ".join(classes[:-1]) + (" and " if classes[1:] else "")
            text += classes[-1]
        return text

    def with_choices(self, choices: dict[str, Any], *, exists: bool) -> Settings:
        """Return these settings with a user's choices merged in; None means not chosen.

        Raises:
            UsageError: a value can't be used, or would change the URL of a stack that ``exists``.
        """
        chosen = {name: value for name, value in choices.items() if value is not None}
        for name in ("tier", "sign_up"):
            if name in chosen:
                chosen[f"{name}_given"] = True
        changed = replace(self, **chosen)
        for name in ("path", "stage"):
            if exists and getattr(changed, name) != getattr(self, name):
                raise UsageError(
                    f"{_option(name)} can't be changed while the stack exists (it is "
                    f"{getattr(self, name)!r}): the URL that callers use would change.",
                    hint="Use another --stack, or run 'cogauth down' first.",
                )
        return changed

    def begun(self) -> Settings:
        """Return these settings as those of a run that changes something."""
        return replace(self, in_progress=True)

    def carried_out(self) -> Settings:
        """Return these settings after a successful run, without the choices that apply only once.

        From now on, a tier raised or a boundary set elsewhere stays.
        """
        kept = None if self.permissions_boundary == NO_BOUNDARY else self.permissions_boundary
        return replace(
            self,
            tier_given=False,
            sign_up_given=False,
            in_progress=False,
            permissions_boundary=kept,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        lists = {name: list(getattr(self, name)) for name in ("password_require", "cors_origins")}
        return {**asdict(self), **lists}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Settings:
        """Read what to_json returned; raise UsageError, TypeError or KeyError if it is invalid."""
        lists = {
            "password_require": tuple(data["password_require"]),
            "cors_origins": tuple(data.get("cors_origins", ())),
        }
        # Somebody may have closed the sign-up by hand before there was a setting for it.
        return cls(**{"sign_up": None, **data, **lists})


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
