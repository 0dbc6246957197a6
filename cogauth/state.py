"""The state file: what of a stack stands in AWS, one record per resource.

It is the journal that makes a crash harmless. Before a resource's creating call its record says
``creating``; after it ``created``, with the id; before its deletion ``deleting``. The file is
replaced whole at each write, so a reader finds the former or the present one, never half of one.
No secret is in it.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from cogauth.errors import NewerStateError, StateError, UsageError
from cogauth.files import beside, remove_private, write_private
from cogauth.settings import DEFAULT_STACK, Settings

VERSION = 1
# More than any state file has, in bytes.
LONGEST = 16_000_000
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
        """Write the file: temporary file, fsync, rename, mode 0600."""
        with self._lock:
            write_private(
                self.path,
                {
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
                },
            )

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
    def options(self) -> str:
        """The options by which a command line means this stack, each behind a space."""
        options = f" --stack {self.stack}" if self.stack != DEFAULT_STACK else ""
        if self.path != Path(".cogauth", f"{self.stack}.json"):
            options += f" --state {shlex.quote(str(self.path))}"
        if self.profile:
            options += f" --profile {shlex.quote(self.profile)}"
        return options

    def command(self, words: str) -> str:
        """Return a command line for this stack, to be shown to the user."""
        return f"cogauth {words}{self.options}"

    @property
    def tokens_path(self) -> Path:
        """The file of the tokens that ``test-login`` got, beside the state file."""
        return beside(self.path, "tokens")

    def remove(self) -> None:
        """Delete the file and the stored tokens: nothing of the stack is left."""
        remove_private(self.tokens_path)
        beside(self.tokens_path, "lock").unlink(missing_ok=True)
        remove_private(self.path)


def is_of_cogauth(path: Path) -> bool:
    """Say whether a file is a state file, sound or not: it names its version and its stack's id."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST)
    except OSError:
        return False
    return all(re.search(rb'"%s"\s*:' % name, text) for name in (b"version", b"stack_id"))


def load(path: Path) -> State | None:
    """Read a state file.

    Returns:
        The state, or None if there is no such file.

    Raises:
        StateError: the file can't be read, is damaged, or is of another version.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"The state file {path} can't be read: {error.strerror}.") from error
    try:
        data = json.loads(text)
        version = data["version"]
        if version == VERSION and not isinstance(version, bool):
            return State(
                path=path,
                stack=_text(data["stack"]),
                account=_text(data["account"]),
                region=_text(data["region"]),
                endpoint_url=_text_or_none(data["endpoint_url"]),
                local_data=_text_or_none(data["local_data"]),
                settings=Settings.from_json(data["settings"]),
                stack_id=str(uuid.UUID(data["stack_id"])),
                resources=_resources(data["resources"]),
                # A state file that was written before there was a verify lacks it.
                throwaway_users=_throwaway_users(data.get("throwaway_users", {})),
                attachments={
                    _text(api): _attachment(one) for api, one in data["attachments"].items()
                },
            )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise StateError(
            f"The state file {path} is damaged ({type(error).__name__}: {error}). It was left as "
            "it is and nothing was touched in AWS. Restore it from a copy, or run 'cogauth "
            "recover': it keeps this one beside a new one, written from what stands in the account."
        ) from error
    said = f"The state file {path} is of version {version!r}; this cogauth reads version {VERSION}."
    if isinstance(version, int) and version > VERSION:
        raise NewerStateError(
            f"{said} A newer cogauth wrote it: upgrade this one, or use that one."
        )
    raise StateError(f"{said} Use the cogauth that wrote it.")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"a text was expected, not {value!r}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _resources(data: Any) -> dict[str, dict[str, Record]]:
    return {
        _text(step): {_text(name): _record(record) for name, record in records.items()}
        for step, records in data.items()
    }


def _throwaway_users(data: Any) -> dict[str, str]:
    for name, since in data.items():
        # They are deleted without a question: none but verify's own.
        if not re.fullmatch(rf"{THROWAWAY}[0-9a-f]{{32}}", name):
            raise ValueError(f"{name!r} is no name of a throwaway user")
        datetime.fromisoformat(since)
    return dict(data)


def _record(data: Any) -> Record:
    record = {_text(key): _text(value) for key, value in data.items()}
    status = record["status"]
    if status not in {CREATING, CREATED, OUTDATED, DELETING}:
        raise ValueError(f"there is no status {status!r}")
    if status != CREATING:
        _text(record["id"])
    # A state file that was written before this was noted of what stands lacks it there.
    if status in {CREATING, DELETING} or "since" in record:
        datetime.fromisoformat(record["since"]).timestamp()
    return record


def _texts(data: Any) -> list[str]:
    if not isinstance(data, list):
        raise TypeError(f"a list was expected, not {data!r}")
    return [_text(one) for one in data]


def _attachment(data: Any) -> Attachment:
    authorizer = _record(data["authorizer"])
    _text(authorizer["pool"])
    return {
        "name": _text(data["name"]),
        "stages": _texts(data["stages"]),
        "outdated": _texts(data["outdated"]),
        "found": {_text(stage): _text(one) for stage, one in data["found"].items()},
        "authorizer": authorizer,
        "methods": {_text(name): _method(one) for name, one in data["methods"].items()},
    }


def _method(data: Any) -> AttachedMethod:
    if data["status"] not in {ATTACHING, ATTACHED, DETACHING, DETACHED}:
        raise ValueError(f"there is no status {data['status']!r}")
    ours = [_authorization(one) for one in data["ours"]]
    if not ours:
        raise ValueError("a method that is attached was given no authorization")
    return {
        "status": data["status"],
        "resource_id": _text(data["resource_id"]),
        "former": _authorization(data["former"]),
        "ours": ours,
    }


def _authorization(data: Any) -> Authorization:
    if not isinstance(data["apiKeyRequired"], bool):
        raise TypeError(f"true or false was expected, not {data['apiKeyRequired']!r}")
    return {
        "authorizationType": _text(data["authorizationType"]),
        "authorizerId": _text_or_none(data["authorizerId"]),
        "authorizationScopes": _texts(data["authorizationScopes"]),
        "apiKeyRequired": data["apiKeyRequired"],
    }
