"""The records in a state file, and the check that a document is a state file."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from cogauth.aws import environment
from cogauth.errors import UsageError
from cogauth.record import formats
from cogauth.settings import STACK_NAME, Settings

if TYPE_CHECKING:
    from collections.abc import Collection
CREATING = "creating"
CREATED = "created"
# Created, and to be recreated, such as a deployment after the API was changed.
OUTDATED = "outdated"
# Its deletion has begun; it may still exist or be gone.
DELETING = "deleting"
# For a method that is attached or detached: the change may have happened; it has happened.
ATTACHING, ATTACHED = "attaching", "attached"
DETACHING, DETACHED = "detaching", "detached"

# The prefix of ``verify``'s temporary users; the rest of their names is random.
THROWAWAY = "cogauth-verify-"
# The fields of every state file besides its version.
FIELDS = (
    *("stack", "stack_id", "account", "region", "endpoint_url", "local_data"),
    *("settings", "resources", "throwaway_users", "attachments"),
)

Record = dict[str, str]


class Authorization(TypedDict):
    """Who may call a method, in API Gateway's own words."""

    authorizationType: str
    authorizerId: str | None
    authorizationScopes: list[str]
    apiKeyRequired: bool


class AttachedMethod(TypedDict):
    """A method, in any API, that was attached to the stack's user pool."""

    status: str
    # The path's id when the method was attached: a recreated path has another id.
    resource_id: str
    # What the method had before, to be restored.
    former: Authorization
    # What it was set to: the last is wanted, but after a crash it may still have an earlier one.
    ours: list[Authorization]


class Attachment(TypedDict):
    """The stack's changes in a REST API."""

    name: str
    # The stages that are deployed to, and those of them that lack the changes.
    stages: list[str]
    outdated: list[str]
    # Each stage's deployment before anything was touched.
    found: dict[str, str]
    # The record of our authorizer there, with the ARN of its ``pool``.
    authorizer: Record
    # By name, such as ``GET /orders``.
    methods: dict[str, AttachedMethod]


_AUTHORIZATION = {
    "authorizationType": formats.AUTHORIZATION_TYPE,
    "authorizerId": (formats.ID, None),
    "authorizationScopes": [formats.SCOPE],
    "apiKeyRequired": bool,
}
_METHOD = {
    "status": f"{ATTACHING}|{ATTACHED}|{DETACHING}|{DETACHED}",
    "resource_id": formats.ID,
    "former": _AUTHORIZATION,
    "ours": [_AUTHORIZATION],
}


def from_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 in the present form, or raise KeyError or ValueError.

    Version 1 groups the records by step; a document older than ``verify`` has no throwaway users.
    """
    formats.check_showable(data)
    resources: dict[str, Any] = {}
    for step, records in _items("resources", data["resources"]):
        for name, record in _items(f"resources.{step}", records):
            if name in resources:
                raise ValueError(f"resources has {name} twice")
            resources[name] = record
    return {"throwaway_users": {}, **data, "resources": resources}


def check_document(data: Any) -> None:
    """Raise a ValueError that names the field if cogauth doesn't write such a document."""
    formats.check_showable(data)
    formats.check_fields("", data, {"version", *FIELDS}, set())
    known = {"region": data["region"], "account": data["account"]}
    for name, format_ in (
        ("stack", STACK_NAME.pattern),
        ("stack_id", formats.UUID),
        ("account", formats.ACCOUNT),
        ("region", formats.REGION),
    ):
        formats.check_text(name, data[name], format_)
    url = data["endpoint_url"]
    if url is not None and url != environment.as_endpoint(url):
        raise ValueError(f"endpoint_url can't be {formats.shown(url)}")
    if data["local_data"] is not None:
        formats.check_text("local_data", data["local_data"], formats.DATA_ID)
        formats.check_text("endpoint_url beside local_data", url, formats.LOCAL_URL)
    settings = {each.name for each in fields(Settings)}
    formats.check_fields("settings", data["settings"], set(), settings)
    try:
        Settings.from_json(data["settings"])
    except (KeyError, TypeError, UsageError) as error:
        raise ValueError(f"settings: {error}") from error
    for name, record in _items("resources", data["resources"], formats.FACTS):
        _check_record(f"resources.{name}", record, formats.FACTS[name], known)
    for name, since in _items("throwaway_users", data["throwaway_users"]):
        # cogauth deletes these without asking, so only verify's own may be here.
        formats.check_text("a name in throwaway_users", name, rf"{THROWAWAY}[0-9a-f]{{32}}")
        _check_moment(f"throwaway_users.{name}", since)
    for api, attachment in _items("attachments", data["attachments"]):
        formats.check_text("a name in attachments", api, formats.ID)
        _check_attachment(f"attachments.{api}", attachment, known)


def _items(where: str, data: Any, known: Collection[str] | None = None) -> list[tuple[str, Any]]:
    names = set(known) if known is not None else set(data) if isinstance(data, dict) else set()
    return list(formats.check_fields(where, data, set(), names).items())


def _check_moment(where: str, text: Any) -> None:
    formats.check_text(where, text, formats.MOMENT)
    datetime.fromisoformat(text)


def _check_record(
    where: str, record: Any, facts: dict[str, str], known: dict[str, str], *always: str
) -> None:
    """Check a resource's record; it has the facts in ``always`` even before it is created."""
    # ``former`` is the version of the resource that a create replaces; see Resource.version.
    formats.check_fields(where, record, {"status", *always}, {"since", "former", *facts})
    status = record["status"]
    statuses = f"{CREATING}|{CREATED}|{OUTDATED}|{DELETING}"
    formats.check_text(f"{where}.status", status, statuses)
    if status != CREATING:
        formats.check_fields(where, record, {"status", *facts}, {"since"})
    # State files from before ``since`` was recorded for existing resources lack it there.
    if status in {CREATING, DELETING} or "since" in record:
        _check_moment(f"{where}.since", record.get("since"))
    if "former" in record:
        formats.check_text(f"{where}.former", record["former"], formats.VERSION)
    # The id first, because others may contain it.
    for name in sorted(facts.keys() & record.keys(), key=lambda name: (name != "id", name)):
        own = {"id": record["id"]} if name != "id" and "id" in record else {}
        formats.check_text(f"{where}.{name}", record[name], facts[name], **known, **own)


def _check_attachment(where: str, data: Any, known: dict[str, str]) -> None:
    formats.check_fields(where, data, set(Attachment.__annotations__), set())
    for field, format_ in (
        ("name", formats.NAME),
        ("stages", [formats.ID]),
        ("outdated", [formats.ID]),
    ):
        formats.check(f"{where}.{field}", data[field], format_)
    for stage, deployment in _items(f"{where}.found", data["found"]):
        formats.check_text(f"a name in {where}.found", stage, formats.ID)
        formats.check_text(f"{where}.found.{stage}", deployment, formats.ID)
    facts = {"id": formats.ID, "pool": formats.ATTACHED_POOL}
    _check_record(f"{where}.authorizer", data["authorizer"], facts, known, "pool")
    for name, method in _items(f"{where}.methods", data["methods"]):
        formats.check_text(f"a name in {where}.methods", name, formats.METHOD)
        formats.check(f"{where}.methods.{name}", method, _METHOD)
        if not method["ours"]:
            raise ValueError(f"{where}.methods.{name}.ours can't be []")
