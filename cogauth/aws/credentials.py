"""botocore's questions and errors while it gets credentials."""

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
    """Make a later refresh of the credentials raise only botocore's errors and ours.

    A credential_process may break between two of its runs, and botocore lets JSON's error through.
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
    """Ask for an MFA device's code, only on the terminal.

    Raises:
        CogauthError: there is no terminal, or the input isn't such a code.
        KeyboardInterrupt: the user pressed Ctrl-D.
    """
    device = prompt.removeprefix("Enter MFA code for ").rstrip(": ")
    if not (_has_terminal() or sys.stdin.isatty()):
        raise CogauthError(
            f"The AWS profile asks for a code of the MFA device {device}, and there is no terminal "
            "to ask on.",
            hint=(
                "Run this on a terminal; or get a session there first and give this command its "
                "variables: aws configure export-credentials --profile NAME --format env"
            ),
        )
    try:
        code = getpass.getpass(one_line(prompt)).strip()
    except EOFError as error:
        raise KeyboardInterrupt from error
    # A password typed here by mistake is not sent.
    if not re.fullmatch("[0-9]{6}", code):
        raise CogauthError(
            f"That is not a code of the MFA device {device}: a code has six digits.",
            hint="Run this again.",
        )
    return code


def _has_terminal() -> bool:
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return False
