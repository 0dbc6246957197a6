"""Documents of a whole stack's state file, and what an attack changes in them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from cogauth.record.state import State
from cogauth.settings import Settings
from support.names import REGION
from support.servers import ACCOUNT, STACK_ID
from support.state_files import whole_stack

if TYPE_CHECKING:
    from pathlib import Path


def at(path: Path, **changes: Any) -> dict[str, Any]:
    """Write the state file of a complete stack; return its content."""
    made: dict[str, Any] = {
        "path": path,
        "stack": "cogauth",
        "account": ACCOUNT,
        "region": REGION,
        "endpoint_url": None,
        "settings": Settings(),
        "stack_id": STACK_ID,
        "resources": whole_stack(),
    }
    State(**{**made, **changes}).save()
    return dict(json.loads(path.read_text()))


def replaced(document: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *outer, last = place.split(".")
    inner = changed
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return changed


OPEN = {
    "authorizationType": "NONE",
    "authorizerId": None,
    "authorizationScopes": [],
    "apiKeyRequired": False,
}


def attached(path: Path) -> dict[str, Any]:
    """Write the state file of a stack that is also attached to an API."""
    authorizer = {
        "status": "created",
        "id": "a1",
        "pool": f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/x_Y",
    }
    return at(
        path,
        attachments={
            "api1": {
                "name": "orders",
                "stages": ["prod"],
                "outdated": [],
                "found": {"prod": "d1"},
                "authorizer": authorizer,
                "methods": {
                    "GET /a": {
                        "status": "attached",
                        "resource_id": "r1",
                        "former": OPEN,
                        "ours": [OPEN],
                    }
                },
            }
        },
        throwaway_users={f"cogauth-verify-{'0' * 32}": "2026-11-23T08:00:00+00:00"},
    )


OTHERS_ARN = "arn:aws:cognito-idp:eu-central-1:999999999999:userpool/eu-central-1_Other"
# A terminal acts on these, or they change how a text looks.
TERMINAL = [
    "\x1b[2J",
    "a\rb",
    "a\nb",
    "\x9b2J",
    "\u202egnp.exe",
    "a\u2066b",
    "\u2028",
    "\ud800",
    "a\u200b",
]


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of each value in a document, itself first."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [place, *(found for key, item in inner for found in places(item, (*place, key)))]
