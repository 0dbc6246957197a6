"""What a state file holds, record by record, and the check that a document is such a file."""

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
# Created, and to be recreated: a deployment after which the API was changed.
OUTDATED = "outdated"
# Its deletion began; it may stand or be gone.
DELETING = "deleting"
# Of a method that is attached or given back: it may have been changed; it was.
ATTACHING, ATTACHED = "attaching", "attached"
DETACHING, DETACHED = "detaching", "detached"

# What the users that ``verify`` makes for a moment are called; the rest is random.
THROWAWAY = "cogauth-verify-"
# What every state file has besides its version.
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
    """A method that was put behind the stack's user pool, in whoever's API."""

    status: str
    # Of its path at that time: one that was recreated has another id.
    resource_id: str
    # What it had before, to be given back.
    former: Authorization
    # What it was given: the last is wanted; one before it may still be there after a crash.
    ours: list[Authorization]


class Attachment(TypedDict):
    """What the stack did in a REST API."""

    name: str
    # Those that are deployed to, and those of them that lack what was changed.
    stages: list[str]
    outdated: list[str]
    # Each stage's deployment before anything was touched.
    found: dict[str, str]
    # The record of ours there, with the ARN of its ``pool``.
    authorizer: Record
    # By their name, as ``GET /orders``.
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

    There a step grouped the records of its resources; a document from before ``verify`` existed
    has no throwaway users.
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
    """Raise ValueError, which names the field, if a document isn't one that cogauth writes."""
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
        # They are deleted without a question: none but verify's own.
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
    """Check a resource's record; ``always`` are facts that it has before it is created, too."""
    # ``former`` is of the one that a create takes the place of; see Resource.version.
    forms.check_fields(where, record, {"status", *always}, {"since", "former", *facts})
    status = record["status"]
    statuses = f"{CREATING}|{CREATED}|{OUTDATED}|{DELETING}"
    forms.check_text(f"{where}.status", status, statuses)
    if status != CREATING:
        forms.check_fields(where, record, {"status", *facts}, {"since"})
    # A state file that was written before this was noted of what stands lacks it there.
    if status in {CREATING, DELETING} or "since" in record:
        _check_moment(f"{where}.since", record.get("since"))
    if "former" in record:
        forms.check_text(f"{where}.former", record["former"], forms.VERSION)
    # The id first, for the others may be made of it.
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
