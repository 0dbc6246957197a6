"""Shows what a token says: times in local time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cogauth.cli.output import say

TIMES = ("auth_time", "iat", "nbf", "exp")
# Up to how many seconds a distance reads best in which unit.
UNITS = ((120, 1, "s"), (120 * 60, 60, "min"), (48 * 3600, 3600, "h"))
DAY_S = 86400


def show_claims(claims: dict[str, Any], indent: str) -> None:
    """Print a token's header or claims, one a line."""
    for name, value in claims.items():
        text = local_time(value) if name in TIMES else plain(value)
        say(f"{indent}{name:<18} {text}")


def plain(value: object) -> str:
    """Return a value of JSON as a text: a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def local_time(timestamp: Any) -> str:
    """Return a token's time in local time, and how far it is away.

    Args:
        timestamp: in seconds since the epoch; whatever else it is, is shown as it is.
    """
    try:
        moment = datetime.fromtimestamp(timestamp, UTC)
        local = f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (TypeError, ValueError, OverflowError, OSError):
        return plain(timestamp)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    length = abs(seconds)
    per, unit = next((u[1:] for u in UNITS if length < u[0]), (DAY_S, "days"))
    distance = f"{length / per:.0f} {unit}"
    return f"{local} ({f'in {distance}' if seconds > 0 else f'{distance} ago'})"
