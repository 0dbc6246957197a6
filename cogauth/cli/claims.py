"""Shows what a token says: times in local time."""

from __future__ import annotations

import json
import time
from typing import Any

from cogauth.cli.output import say
from cogauth.printable import moment_of

TIMES = ("auth_time", "iat", "nbf", "exp")


def show_claims(claims: dict[str, Any], indent: str) -> None:
    """Print a token's header or claims, one a line."""
    from cogauth.client.tokens import as_time

    for name, value in claims.items():
        moment = as_time(value) if name in TIMES else None
        text = plain(value) if moment is None else moment_of(moment, time.time())
        say(f"{indent}{name:<18} {text}")


def plain(value: object) -> str:
    """Return a value of JSON as a text: a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
