"""The records in a state file, and the check that a document is a state file."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from cogauth.aws import environment
from cogauth.errors import UsageError
from cogauth.record import forms
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
    "authorizationType": forms.AUTHORIZATION_TYPE,
    "authorizerId": (forms.ID, None),
    "authorizationScopes": [forms.SCOPE],
    "apiKeyRequired": bool,
}
_METHOD = {
    "status": f"{ATTACHING}|{ATTACHED}|{DETACHING}|{DETACHED}",
    "resource_id": forms.ID,
    "former": _AUTHORIZATION,
    "ours": [_AUTHORIZATION],
}


def from_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 in the present form, or raise KeyError or ValueError.

    Version 1 groups the records by step; a document older than ``verify`` has no throwaway users.
    """
    forms.check_showable(data)
    resources: dict[str, Any] = {}
    for step, records in _items("resources", data["resources"]):
        for name, record in _items(f"resources.{step}", records):
            if name in resources:
                raise ValueError(f"resources has {name} twice")
            resources[name] = record
    return {"throwaway_users": {}, **data, "resources": resources}


def check_document(data: Any) -> None:
    """Raise a ValueError that names the field if cogauth doesn't write such a document."""
    forms.check_showable(data)
    forms.check_fields("", data, {"version", *FIELDS}, set())
    known = {"region": data["region"], "account": data["account"]}
    for name, form in (
        ("stack", STACK_NAME.pattern),
        ("stack_id", forms.UUID),
        ("account", forms.ACCOUNT),
        ("region", forms.REGION),
    ):
        forms.check_text(name, data[name], form)
    url = data["endpoint_url"]
    if url is not None and url != environment.as_endpoint(url):
        raise ValueError(f"endpoint_url can't be {forms.shown(url)}")
    if data["local_data"] is not None:
        forms.check_text("local_data", data["local_data"], forms.DATA_ID)
        forms.check_text("endpoint_url beside local_data", url, forms.LOCAL_URL)
    settings = {each.name for each in fields(Settings)}
    forms.check_fields("settings", data["settings"], set(), settings)
    try:
        Settings.from_json(data["settings"])
    except (KeyError, TypeError, UsageError) as error:
        raise ValueError(f"settings: {error}") from error
    for name, record in _items("resources", data["resources"], forms.FACTS):
        _check_record(f"resources.{name}", record, forms.FACTS[name], known)
    for name, since in _items("throwaway_users", data["throwaway_users"]):
        # cogauth deletes these without asking, so only verify's own may be here.
        forms.check_text("a name in throwaway_users", name, rf"{THROWAWAY}[0-9a-f]{{32}}")
        _check_moment(f"throwaway_users.{name}", since)
    for api, attachment in _items("attachments", data["attachments"]):
        forms.check_text("a name in attachments", api, forms.ID)
        _check_attachment(f"attachments.{api}", attachment, known)


def _items(where: str, data: Any, known: Collection[str] | None = None) -> list[tuple[str, Any]]:
    names = set(known) if known is not None else set(data) if isinstance(data, dict) else set()
    return list(forms.check_fields(where, data, set(), names).items())


def _check_moment(where: str, text: Any) -> None:
    forms.check_text(where, text, forms.MOMENT)
    datetime.fromisoformat(text)


def _check_record(
    where: str, record: Any, facts: dict[str, str], known: dict[str, str], *always: str
) -> None:
    """Check a resource's record; it has the facts in ``always`` even before it is created."""
    # ``former`` is the version of the resource that a create replaces; see Resource.version.
    forms.check_fields(where, record, {"status", *always}, {"since", "former", *facts})
    status = record["status"]
    statuses = f"{CREATING}|{CREATED}|{OUTDATED}|{DELETING}"
    forms.check_text(f"{where}.status", status, statuses)
    if status != CREATING:
        forms.check_fields(where, record, {"status", *facts}, {"since"})
    # State files from before ``since`` was recorded for existing resources lack it there.
    if status in {CREATING, DELETING} or "since" in record:
        _check_moment(f"{where}.since", record.get("since"))
    if "former" in record:
        forms.check_text(f"{where}.former", record["former"], forms.VERSION)
    # The id first, because others may contain it.
    for name in sorted(facts.keys() & record.keys(), key=lambda name: (name != "id", name)):
        own = {"id": record["id"]} if name != "id" and "id" in record else {}
        forms.check_text(f"{where}.{name}", record[name], facts[name], **known, **own)


def _check_attachment(where: str, data: Any, known: dict[str, str]) -> None:
    forms.check_fields(where, data, set(Attachment.__annotations__), set())
    for field, form in (("name", forms.NAME), ("stages", [forms.ID]), ("outdated", [forms.ID])):
        forms.check(f"{where}.{field}", data[field], form)
    for stage, deployment in _items(f"{where}.found", data["found"]):
        forms.check_text(f"a name in {where}.found", stage, forms.ID)
        forms.check_text(f"{where}.found.{stage}", deployment, forms.ID)
    facts = {"id": forms.ID, "pool": forms.ATTACHED_POOL}
    _check_record(f"{where}.authorizer", data["authorizer"], facts, known, "pool")
    for name, method in _items(f"{where}.methods", data["methods"]):
        forms.check_text(f"a name in {where}.methods", name, forms.METHOD)
        forms.check(f"{where}.methods.{name}", method, _METHOD)
        if not method["ours"]:
            raise ValueError(f"{where}.methods.{name}.ours can't be []")
