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
# Created, and to be made anew: a deployment after which the API was changed.
OUTDATED = "outdated"
# Its deletion began; it may stand or be gone.
DELETING = "deleting"
# Of a method that is attached or given back: it may have been changed; it was.
ATTACHING, ATTACHED = "attaching", "attached"
DETACHING, DETACHED = "detaching", "detached"

# What the users that ``verify`` makes for a moment are called; the rest is random.
THROWAWAY = "cogauth-verify-"
# What every state file has.
FIELDS = {
    *("version", "stack", "stack_id", "account", "region", "endpoint_url", "local_data"),
    *("settings", "resources", "throwaway_users", "attachments"),
}

Record = dict[str, str]


class Authorization(TypedDict):
    """Who may call a method, in API Gateway's own words."""

    authorizationType: str
    authorizerId: str | None
    authorizationScopes: list[str]
    apiKeyRequired: bool


class AttachedMethod(TypedDict):
    """A method that was put behind the stack's user pool, in whoever's API.

    ``former`` is what it had before, to be given back. ``ours`` is what it was given: the last is
    wanted, and one before it may still stand after a crash. ``resource_id`` is of its path at that
    time: one that is deleted and made again has another, and is the same to whoever calls it.
    """

    status: str
    resource_id: str
    former: Authorization
    ours: list[Authorization]


class Attachment(TypedDict):
    """What the stack did in a REST API.

    ``found`` is each stage's deployment before anything was touched; ``stages`` are those that are
    deployed to, and ``outdated`` those of them that lack what was changed.
    ``authorizer`` is the record of ours there, with the ARN of its ``pool``; ``methods`` are by
    their name, as ``GET /orders``.
    """

    name: str
    stages: list[str]
    outdated: list[str]
    found: dict[str, str]
    authorizer: Record
    methods: dict[str, AttachedMethod]


def from_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 in the present form.

    There a step grouped the records of its resources; a document from before ``verify`` existed
    has no throwaway users.

    Raises:
        KeyError, ValueError: it is no such document.
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
    """See that a document is one that cogauth writes.

    Raises:
        ValueError: it isn't; the text names the field.
    """
    forms.check_showable(data)
    forms.check_fields("", data, FIELDS, set())
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
    forms.check_fields(
        "settings", data["settings"], set(), {each.name for each in fields(Settings)}
    )
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
    """Check the record of a resource: its status, since when, and its facts.

    Args:
        where: the record is, in the file.
        record: the record.
        facts: those that it has once the resource was created, each with its form.
        known: the file's own region and account.
        always: the facts that it has before, too.
    """
    # ``former`` is of the one that a create takes the place of; see Resource.version.
    forms.check_fields(where, record, {"status", *always}, {"since", "former", *facts})
    status = record["status"]
    _check_status(where, status, {CREATING, CREATED, OUTDATED, DELETING})
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


def _check_status(where: str, status: Any, known: set[str]) -> None:
    # A list can be in no set.
    if not isinstance(status, str) or status not in known:
        raise ValueError(f"{where}.status can't be {forms.shown(status)}")


def _check_texts(where: str, data: Any, form: str) -> None:
    if not isinstance(data, list):
        raise ValueError(f"{where} can't be {forms.shown(data)}")  # noqa: TRY004 as all damage
    for one in data:
        forms.check_text(where, one, form)


def _check_attachment(where: str, data: Any, known: dict[str, str]) -> None:
    forms.check_fields(where, data, set(Attachment.__annotations__), set())
    forms.check_text(f"{where}.name", data["name"], forms.NAME)
    _check_texts(f"{where}.stages", data["stages"], forms.ID)
    _check_texts(f"{where}.outdated", data["outdated"], forms.ID)
    for stage, deployment in _items(f"{where}.found", data["found"]):
        forms.check_text(f"a name in {where}.found", stage, forms.ID)
        forms.check_text(f"{where}.found.{stage}", deployment, forms.ID)
    facts = {"id": forms.ID, "pool": forms.ATTACHED_POOL}
    _check_record(f"{where}.authorizer", data["authorizer"], facts, known, "pool")
    for name, method in _items(f"{where}.methods", data["methods"]):
        forms.check_text(f"a name in {where}.methods", name, forms.METHOD)
        _check_method(f"{where}.methods.{name}", method)


def _check_method(where: str, data: Any) -> None:
    forms.check_fields(where, data, set(AttachedMethod.__annotations__), set())
    _check_status(where, data["status"], {ATTACHING, ATTACHED, DETACHING, DETACHED})
    forms.check_text(f"{where}.resource_id", data["resource_id"], forms.ID)
    _check_authorization(f"{where}.former", data["former"])
    if not isinstance(data["ours"], list) or not data["ours"]:
        raise ValueError(f"{where}.ours can't be {forms.shown(data['ours'])}")
    for one in data["ours"]:
        _check_authorization(f"{where}.ours", one)


def _check_authorization(where: str, data: Any) -> None:
    forms.check_fields(where, data, set(Authorization.__annotations__), set())
    forms.check_text(
        f"{where}.authorizationType", data["authorizationType"], forms.AUTHORIZATION_TYPE
    )
    if data["authorizerId"] is not None:
        forms.check_text(f"{where}.authorizerId", data["authorizerId"], forms.ID)
    _check_texts(f"{where}.authorizationScopes", data["authorizationScopes"], forms.SCOPE)
    if not isinstance(data["apiKeyRequired"], bool):
        raise ValueError(  # noqa: TRY004 as all damage
            f"{where}.apiKeyRequired can't be {forms.shown(data['apiKeyRequired'])}"
        )
