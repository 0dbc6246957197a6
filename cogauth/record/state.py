"""The state file: what of a stack stands in AWS, one record per resource.

It is the journal that makes a crash harmless. Before a resource's creating call its record says
``creating``; after it ``created``, with the id; before its deletion ``deleting``. The file is
replaced whole at each write, so a reader finds the former or the present one, never half of one.
No secret is in it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
import uuid
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cogauth.aws.environment import crosses_in_clear
from cogauth.errors import CogauthError, DamagedStateError, NewerStateError, StateError, UsageError
from cogauth.printable import one_line
from cogauth.record import forms
from cogauth.record.files import (
    beside,
    head,
    is_trusted,
    read_input,
    remove_own,
    remove_private,
    write_private,
)
from cogauth.settings import DEFAULT_STACK, STACK_NAME, Settings

if TYPE_CHECKING:
    from collections.abc import Collection

VERSION = 1
# More than any state file has, in bytes.
LONGEST = 16_000_000
# Within so many bytes one names its version and its stack's id.
BEGINNING = 4096
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
    *("settings", "resources", "attachments"),
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


@dataclass
class State:
    """A stack's state file in memory; every change to a record is on disk when it returns.

    Threads may share it: one writes at a time, and reads see no half-made change.
    """

    path: Path
    stack: str
    account: str
    region: str
    endpoint_url: str | None
    settings: Settings
    # Which data of the embedded local AWS the stack stands in; None: it isn't on that.
    local_data: str | None = None
    stack_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    # {step: {resource: record}}: a step groups the resources that it makes.
    resources: dict[str, dict[str, Record]] = field(default_factory=dict)
    # Users of ``verify``'s that may stand in the pool, by name: since when.
    throwaway_users: dict[str, str] = field(default_factory=dict)
    # By the REST API's id.
    attachments: dict[str, Attachment] = field(default_factory=dict)
    # Of the AWS configuration, by which this run came here; the command lines that are shown have
    # it, the file doesn't.
    profile: str | None = field(default=None, compare=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def save(self) -> None:
        """Write the file: temporary file, fsync, rename, mode 0600.

        Raises:
            CogauthError: it can't be written; or it could not be read again, for AWS answered with
                something that has no such form.
        """
        with self._lock:
            for attachment in self.attachments.values():
                # Whoever may name an API can name it anything, and it is only shown.
                attachment["name"] = one_line(attachment["name"])
            data = {
                "version": VERSION,
                "stack": self.stack,
                "stack_id": self.stack_id,
                "account": self.account,
                "region": self.region,
                "endpoint_url": self.endpoint_url,
                "local_data": self.local_data,
                "settings": self.settings.to_json(),
                "resources": self.resources,
                "throwaway_users": self.throwaway_users,
                "attachments": self.attachments,
            }
            try:
                _check(data)
            except ValueError as error:
                raise CogauthError(
                    f"What {self.endpoint_url or 'AWS'} answered can't be kept in {self.path}: "
                    f"{error}. The file was left as it is, and what was to be done next was not."
                ) from error
            write_private(self.path, data)

    def record(self, step: str, resource: str) -> Record | None:
        """Return a resource's record, or None."""
        with self._lock:
            return self.resources.get(step, {}).get(resource)

    def by_key(self, resource: str) -> Record | None:
        """Return a resource's record, whichever step's it is, or None."""
        with self._lock:
            steps = self.resources.values()
            return next((records[resource] for records in steps if resource in records), None)

    def has(self, resource: str) -> bool:
        """Say whether a resource has a record, whatever its status."""
        return self.by_key(resource) is not None

    def fact(self, resource: str, name: str) -> str:
        """Return what a resource's record says: its ``id``, its ``arn``, or another fact.

        Raises:
            KeyError: the resource has not been created; a resource's ``needs`` exclude that.
        """
        record = self.by_key(resource)
        if record is None:
            raise KeyError(resource)
        return record[name]

    def put(self, step: str, resource: str, record: Record) -> None:
        """Set a resource's record, on disk."""
        with self._lock:
            self.resources.setdefault(step, {})[resource] = record
            self.save()

    def drop(self, step: str, resource: str) -> None:
        """Remove a resource's record, on disk."""
        with self._lock:
            self.resources.get(step, {}).pop(resource, None)
            if not self.resources.get(step, {"": None}):
                del self.resources[step]
            self.save()

    def put_throwaway_user(self, name: str, since: str) -> None:
        """Note that a user of ``verify``'s may stand from now on, on disk."""
        with self._lock:
            self.throwaway_users[name] = since
            self.save()

    def drop_throwaway_user(self, name: str) -> None:
        """Note that a user of ``verify``'s is gone, on disk."""
        with self._lock:
            self.throwaway_users.pop(name, None)
            self.save()

    def put_attachment(self, api: str, attachment: Attachment) -> None:
        """Set what the stack did in a REST API, on disk."""
        with self._lock:
            self.attachments[api] = attachment
            self.save()

    def drop_attachment(self, api: str) -> None:
        """Forget a REST API in which nothing of the stack is left, on disk."""
        with self._lock:
            self.attachments.pop(api, None)
            self.save()

    def is_attached(self, api: str, method: str) -> bool:
        """Say whether a method, as ``GET /orders``, was attached, whatever became of its path.

        ``attach`` and ``detach`` look after it then.
        """
        with self._lock:
            attachment = self.attachments.get(api)
            return attachment is not None and method in attachment["methods"]

    def stages_of(self, api: str) -> list[str]:
        """Return the stages of a REST API that were attached to."""
        with self._lock:
            attachment = self.attachments.get(api)
            return list(attachment["stages"]) if attachment else []

    @property
    def emulated(self) -> bool:
        """Whether it is on an emulator that may be kinder than AWS: not the embedded local AWS."""
        return self.endpoint_url is not None and self.local_data is None

    @property
    def options(self) -> str:
        """The options by which a command line means this stack, each behind a space."""
        options = f" --stack {self.stack}" if self.stack != DEFAULT_STACK else ""
        if self.path != Path(".cogauth", f"{self.stack}.json"):
            options += f" --state {shlex.quote(str(self.path))}"
        if self.profile:
            options += f" --profile {shlex.quote(self.profile)}"
        if self.endpoint_url and self.local_data is None:
            # The state file's word alone is not taken for it.
            options += f" --endpoint-url {shlex.quote(self.endpoint_url)}"
            if crosses_in_clear(self.endpoint_url):
                options += " --allow-http"
        return options + (" --trust-state" if is_trusted(self.path) else "")

    def command(self, words: str) -> str:
        """Return a command line for this stack, to be shown to the user."""
        return f"cogauth {words}{self.options}"

    @property
    def tokens_path(self) -> Path:
        """The file of the tokens that ``test-login`` got, beside the state file."""
        return beside(self.path, "tokens")

    def remove(self) -> list[str]:
        """Delete the file and the stored tokens: nothing of the stack is left.

        Returns:
            What bears their names and isn't our own: it was left alone. Each with the reason.
        """
        lock = remove_own(beside(self.tokens_path, "lock"))
        left = [*remove_private(self.tokens_path), *([lock] if lock else [])]
        # Last: after a kill in between it still says that there is something.
        return [*left, *remove_private(self.path)]


def is_of_cogauth(path: Path) -> bool:
    """Say whether a regular file may be a state file, sound or not.

    A lock or tokens lie beside it; or it is named as one and can't be read, or its beginning names
    the version and the stack's id.
    """
    if any(os.path.lexists(beside(path, what)) for what in ("lock", "tokens")):
        return True
    if path.suffix != ".json":
        return False
    try:
        text = head(path, BEGINNING)
    except OSError:
        return True
    return all(re.search(rb'"%s"\s*:' % name, text) for name in (b"version", b"stack_id"))


def load(path: Path) -> State | None:
    """Read a state file.

    It is input like any other: what it says is used only if it has the form that cogauth gives it.

    Returns:
        The state, or None if there is no such file.

    Raises:
        DamagedStateError: the file is damaged.
        StateError: it can't be read, or a newer cogauth wrote it.
        CogauthError: others than this user may have written it.
    """
    try:
        text = read_input(path, LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"The state file {path} can't be read: {error.strerror}. Nothing was touched. Look "
            "what it is, and move it away; or give another place with --state FILE."
        ) from error
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} bytes")  # noqa: TRY301 damage like any
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("it holds no JSON object")  # noqa: TRY301, TRY004 damage like any
        version = data["version"]
        if type(version) is not int or version < VERSION:
            raise ValueError(f"version can't be {forms.shown(version)}")  # noqa: TRY301 as above
        if version == VERSION:
            _check(data)
            return State(
                path=path,
                stack=data["stack"],
                account=data["account"],
                region=data["region"],
                endpoint_url=data["endpoint_url"],
                local_data=data["local_data"],
                settings=Settings.from_json(data["settings"]),
                stack_id=data["stack_id"],
                resources=data["resources"],
                throwaway_users=data.get("throwaway_users", {}),
                attachments=data["attachments"],
            )
    except (ValueError, KeyError, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DamagedStateError(
            f"The state file {path} is damaged: {why}. It was left as it is and nothing was "
            "touched in AWS. Restore it from a copy, or run 'cogauth recover' with the same "
            "--stack and --state: it keeps this one beside a new one, written from what stands in "
            "the account."
        ) from error
    raise NewerStateError(
        f"The state file {path} is of version {forms.shown(version)}; this cogauth reads version "
        f"{VERSION}. A newer cogauth wrote it: upgrade this one, or use that one."
    )


def _check(data: Any) -> None:
    """See that a document is one that cogauth writes.

    Raises:
        ValueError: it isn't; the text names the field.
    """
    forms.check_showable(data)
    # A state file that was written before there was a verify has no throwaway users.
    forms.check_fields("", data, FIELDS, {"throwaway_users"})
    known = {"region": data["region"], "account": data["account"]}
    for name, form in (
        ("stack", STACK_NAME.pattern),
        ("stack_id", forms.UUID),
        ("account", forms.ACCOUNT),
        ("region", forms.REGION),
    ):
        forms.check_text(name, data[name], form)
    url = data["endpoint_url"]
    if url is not None and url != forms.as_endpoint(url):
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
    for step, records in _items("resources", data["resources"], forms.FACTS):
        for name, record in _items(f"resources.{step}", records, forms.FACTS[step]):
            _check_record(f"resources.{step}.{name}", record, forms.FACTS[step][name], known)
    for name, since in _items("throwaway_users", data.get("throwaway_users", {})):
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
