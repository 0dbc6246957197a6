"""A small state file of a stack: one record of each kind."""

import json
from pathlib import Path
from typing import Any

from cogauth.errors import StateError
from cogauth.record.records import CREATED, CREATING, DELETING
from cogauth.record.state import State, load
from cogauth.settings import Settings
from support.documents import OPEN
from support.names import REGION
from support.servers import ACCOUNT

SINCE = "2026-11-23T08:00:00.123456+00:00"
ROLE = {"status": CREATED, "id": "r", "arn": f"arn:aws:iam::{ACCOUNT}:role/r"}
POOL = f"{REGION}_Aa1"
POOL_ARN = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{POOL}"


def make(path: Path, **changes: Any) -> State:
    """Return a new stack's state, with other values for some fields."""
    state = State(
        path=path,
        stack="shop",
        account=ACCOUNT,
        region=REGION,
        endpoint_url=None,
        settings=Settings(),
    )
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def text_of(path: Path) -> dict[str, Any]:
    """Write the state file; return its content."""
    state = make(path)
    state.put("resources", "user_pool", {"status": CREATED, "id": POOL, "arn": POOL_ARN})
    state.put("resources", "role", {"status": CREATING, "since": "2026-11-23T08:00:00+00:00"})
    since = {"since": "2026-11-23T08:00:01+00:00"}
    api = {"id": "a", "arn": f"arn:aws:apigateway:{REGION}::/restapis/a", "root": "r"}
    state.put("resources", "rest_api", {"status": CREATED, **api, **since})
    function = {"id": "f", "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}
    state.put("resources", "sign_in_function", {"status": DELETING, **function, **since})
    state.put(
        "attachments",
        "api",
        {
            "name": "orders",
            "stages": ["prod"],
            "outdated": [],
            "found": {"prod": "d"},
            "authorizer": {"status": CREATED, "id": "a", "pool": POOL_ARN},
            "methods": {
                "GET /orders": {
                    "status": "attached",
                    "resource_id": "r",
                    "former": OPEN,
                    "ours": [OPEN],
                }
            },
        },
    )
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def inside(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of each field in a document, itself first."""
    inner = value.items() if isinstance(value, dict) else []
    return [place, *(found for key, item in inner for found in inside(item, (*place, key)))]


def complaint(path: Path) -> str:
    """Return what is wrong with a file, or an empty string."""
    try:
        load(path)
    except StateError as error:
        return str(error)
    return ""
