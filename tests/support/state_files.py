"""The state file of a whole stack, and the records in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.record.formats import FACTS
from cogauth.record.records import CREATED, Record
from cogauth.record.state import State
from cogauth.settings import Settings
from support.names import REGION
from support.servers import ACCOUNT, STACK_ID

if TYPE_CHECKING:
    from pathlib import Path

# Plausible ids for the records of a stack; any other id is the name of its resource.
POOL_ID = f"{REGION}_Aa1Bb2Cc3"
RECORDED = {
    "user_pool": POOL_ID,
    "trigger": POOL_ID,
    "role": "cogauth-LambdaAuthRole",
    **dict.fromkeys(("sign_in_method", "sign_in_integration"), "POST /signin"),
    **dict.fromkeys(("protected_method", "protected_integration"), "GET /hello"),
    "sign_in_preflight": "OPTIONS /signin",
    "hello_preflight": "OPTIONS /hello",
}


def whole_stack(**ids: str) -> dict[str, Record]:
    """Return the records of a complete stack in the account and region of the tests.

    Args:
        ids: different ids for some resources, by key.
    """
    own = {"partition": "aws", "region": REGION, "account": ACCOUNT}
    known = {"role": RECORDED["role"], "root": "root", "name": "cogauth-its-id"}
    resources: dict[str, Record] = {}
    for key, facts in FACTS.items():
        if key == "power_user_attachment":
            continue  # only with --power-user
        by_name = key.removesuffix("_response").upper() if key.endswith("_response") else key
        record = {"status": CREATED, "id": ids.get(key, RECORDED.get(key, by_name))}
        for name in facts.keys() - record.keys():
            text = facts[name]
            for part, value in {**own, "id": record["id"]}.items():
                text = text.replace(f"<{part}>", value)
            record[name] = known.get(name, text)
        if "path" in facts:
            record["path"] = "/hello" if key == "hello_resource" else "/signin"
        resources[key] = record
    resources["trigger"]["arn"] = resources["auto_confirm_function"]["arn"]
    resources["stage"]["arn"] = resources["rest_api"]["arn"] + "/stages/stage"
    return resources


def state_at(path: Path, url: str, **ids: str) -> State:
    """Return the state of a complete stack at an endpoint; it isn't saved.

    Args:
        path: its state file.
        url: the endpoint.
        ids: different ids for some resources, by key.
    """
    return State(
        path=path,
        stack="cogauth",
        account=ACCOUNT,
        region=REGION,
        endpoint_url=url,
        settings=Settings(),
        stack_id=STACK_ID,
        resources=whole_stack(**ids),
    )
