"""What botocore asks of a user, or raises, to get credentials."""

from __future__ import annotations

import getpass
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import CredentialRetrievalError

from cogauth.aws.errors import AWS_ERRORS, unexpected
from cogauth.errors import CogauthError
from cogauth.printable import one_line

if TYPE_CHECKING:
    from botocore.credentials import Credentials


def understand_refresh(credentials: Credentials) -> None:
    """Let a later renewal of credentials raise nothing but botocore's errors and ours.

    A credential_process may break between two runs of it, and JSON's own error comes through.
    """
    refresh = getattr(credentials, "_refresh_using", None)
    if refresh is None:
        return

    def renew() -> Any:
        try:
            return refresh()
        except (CogauthError, *AWS_ERRORS):
            raise
        except Exception as error:
            words = " ".join(filter(None, unexpected(error)))
            raise CredentialRetrievalError(provider=credentials.method, error_msg=words) from error

    # botocore has no public way to it.
    credentials._refresh_using = renew  # type: ignore[attr-defined]  # noqa: SLF001


def ask_mfa_code(prompt: str) -> str:
    """Ask for the code of an MFA device, on the terminal and nowhere else.

    Raises:
        CogauthError: there is no terminal, or what was typed is no such code.
        KeyboardInterrupt: the question was ended with Ctrl-D.
    """
    device = prompt.removeprefix("Enter MFA code for ").rstrip(": ")
    if not (_has_terminal() or sys.stdin.isatty()):
        raise CogauthError(
            f"The AWS profile asks for a code of the MFA device {device}, and there is no terminal "
            "to ask on. Run this on a terminal; or get a session there first and give this command "
            "its variables: aws configure export-credentials --profile NAME --format env"
        )
    try:
        code = getpass.getpass(one_line(prompt)).strip()
    except EOFError as error:
        raise KeyboardInterrupt from error
    # A password that was typed here by mistake goes nowhere.
    if not re.fullmatch("[0-9]{6}", code):
        raise CogauthError(
            f"That is no code of the MFA device {device}: it has six digits. Run this again."
        )
    return code


def _has_terminal() -> bool:
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return False
