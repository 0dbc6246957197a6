"""The state file: what is known of a stack.

That is a record for each of its resources that exists in AWS or may exist, its settings, the
methods that it guards in other APIs, and the temporary users of ``verify``.

Each write replaces the whole file, so a reader finds the old or the new one, never half of one. It
contains no secret.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import threading
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cogauth.aws.environment import crosses_in_clear
from cogauth.errors import CogauthError, DamagedStateError, NewerStateError, StateError
from cogauth.printable import one_line
from cogauth.record import formats
from cogauth.record.files import beside, head, remove_own, remove_private, write_private
from cogauth.record.records import (
    CREATED,
    FIELDS,
    Attachment,
    Record,
    check_document,
    from_version_1,
)
from cogauth.record.trust import is_trusted, read_input
from cogauth.settings import DEFAULT_STACK, Settings

Records = Literal["resources", "throwaway_users", "attachments"]
VERSION = 2
# More than any state file has, in bytes.
LONGEST = 16_000_000
# A state file names its version and its stack's id within so many bytes.
BEGINNING = 4096


@dataclass
class State:
    """A stack's state file in memory; methods that change a record return once it is on disk.

    Threads may share it: one writes at a time, and reads never see half a change.
    """

    path: Path
    stack: str
    account: str
    region: str
    endpoint_url: str | None
    settings: Settings
    # The embedded local AWS's data that contains the stack; None if the stack is elsewhere.
    local_data: str | None = None
    stack_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    # By the resource's key.
    resources: dict[str, Record] = field(default_factory=dict)
    # ``verify``'s temporary users that may exist in the pool, by name: since when.
    throwaway_users: dict[str, str] = field(default_factory=dict)
    # By the REST API's id.
    attachments: dict[str, Attachment] = field(default_factory=dict)
    # The AWS profile of this run; printed command lines name it, the file doesn't.
    profile: str | None = field(default=None, compare=False)
    # Whether it is only a plan, which is never written.
    is_draft: bool = field(default=False, compare=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def draft(self) -> State:
        """Return a copy whose changes stay in memory."""
        with self._lock:
            return replace(
                self,
                is_draft=True,
                resources={key: dict(record) for key, record in self.resources.items()},
                attachments=copy.deepcopy(self.attachments),
                _lock=threading.RLock(),
            )

    def save(self) -> None:
        """Write the file.

        Raises:
            CogauthError: it can't be written; or it could not be read again, because a value in
                AWS's answer has an unknown form.
        """
        if self.is_draft:
            return
        with self._lock:
            for attachment in self.attachments.values():
                # An API's name can contain anything, and it is only shown.
                attachment["name"] = one_line(attachment["name"])
            data = {"version": VERSION, **{name: getattr(self, name) for name in FIELDS}}
            data["settings"] = self.settings.to_json()
            try:
                check_document(data)
            except ValueError as error:
                raise CogauthError(
                    f"{self.path} can't record the answer of {self.endpoint_url or 'AWS'}: "
                    f"{error}. The file was left as it is, and the next change was not made."
                ) from error
            write_private(self.path, data)

    def record(self, resource: str) -> Record | None:
        """Return a resource's record, or None."""
        with self._lock:
            return self.resources.get(resource)

    def fact(self, resource: str, name: str) -> str:
        """Return a fact of a resource's record, such as its ``id``; raise KeyError if missing."""
        with self._lock:
            return self.resources[resource][name]

    def put(self, kind: Records, key: str, record: Any) -> None:
        """Set a record, and save the file if the stack has one."""
        with self._lock:
            getattr(self, kind)[key] = record
            self.save()

    def drop(self, kind: Records, key: str) -> None:
        """Remove a record, and save the file if the stack has one."""
        with self._lock:
            getattr(self, kind).pop(key, None)
            self.save()

    def stages_of(self, api: str) -> list[str]:
        """Return the attached stages of a REST API."""
        with self._lock:
            attachment = self.attachments.get(api)
            return list(attachment["stages"]) if attachment else []

    @property
    def location(self) -> tuple[str | None, ...]:
        """Which stack it is, and where; if that changes, it needs other clients."""
        where = (self.account, self.region, self.endpoint_url, self.local_data)
        return (self.stack_id, *where)

    @property
    def is_finished(self) -> bool:
        """Whether each resource that the settings require, and no other, is recorded as created.

        Unlike in ``is_complete`` of steps/lookup.py, an outdated resource isn't enough: it can be
        used, but the next ``up`` recreates it.
        """
        with self._lock:
            statuses = {key: record["status"] for key, record in self.resources.items()}
        return statuses == dict.fromkeys(formats.FACTS.keys() - self.settings.unneeded, CREATED)

    @property
    def emulated(self) -> bool:
        """Whether the stack is on an emulator that may be laxer than AWS and the local AWS."""
        return self.endpoint_url is not None and self.local_data is None

    @property
    def options(self) -> str:
        """The options with which a command line addresses this stack, each after a space."""
        options = f" --stack {self.stack}" if self.stack != DEFAULT_STACK else ""
        if self.path != Path(".cogauth", f"{self.stack}.json"):
            options += f" --state {shlex.quote(str(self.path))}"
        if self.profile:
            options += f" --profile {shlex.quote(self.profile)}"
        if self.endpoint_url and self.local_data is None:
            # Commands don't accept an endpoint from the state file alone.
            options += f" --endpoint-url {shlex.quote(self.endpoint_url)}"
            if crosses_in_clear(self.endpoint_url):
                options += " --allow-http"
        return options + (" --trust-state" if is_trusted(self.path) else "")

    def command(self, words: str, name: str | None = None) -> str:
        """Return a command line for this stack, to show to the user; ``name`` is its argument."""
        if name is None:
            return f"cogauth {words}{self.options}"
        quoted = shlex.quote(name)
        if name.startswith("-"):
            return f"cogauth {words}{self.options} -- {quoted}"
        return f"cogauth {words} {quoted}{self.options}"

    @property
    def tokens_path(self) -> Path:
        """The file beside the state file with the tokens from ``test-login``."""
        return beside(self.path, "tokens")

    @property
    def page_path(self) -> Path:
        """The file beside the state file that leads a browser to the page."""
        return beside(self.path, "page.html")

    def remove(self) -> list[str]:
        """Delete the file and the tokens; return the files left alone, each with the reason."""
        lock = remove_own(beside(self.tokens_path, "lock"))
        left = [*remove_private(self.tokens_path), *([lock] if lock else [])]
        # A 'cogauth page' that was killed left it.
        left += remove_private(self.page_path)
        # The state file goes last: after a kill in between it still shows that there is a stack.
        return [*left, *remove_private(self.path)]


def is_of_cogauth(path: Path) -> bool:
    """Return whether a regular file may be a state file, sound or damaged."""
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
    """Read a state file; return None if there is none.

    Raises:
        DamagedStateError: the file is damaged.
        StateError: it can't be read, or a newer cogauth wrote it.
        CogauthError: other users may have written it.
    """
    try:
        text = read_input(path, LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"The state file {path} can't be read: {error.strerror}. Nothing was touched.",
            hint="Find out what it is and move it away, or give another place with --state FILE.",
        ) from error
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} bytes")  # noqa: TRY301 damage like any
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("it isn't a JSON object")  # noqa: TRY301, TRY004 damage like any
        version = data["version"]
        if type(version) is not int or version < 1:
            raise ValueError(f"version can't be {formats.shown(version)}")  # noqa: TRY301 as above
        if version <= VERSION:
            if version == 1:
                data = from_version_1(data)
            check_document(data)
            data["settings"] = Settings.from_json(data["settings"])
            return State(path=path, **{name: data[name] for name in FIELDS})
    except (ValueError, KeyError, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DamagedStateError(
            f"The state file {path} is damaged: {why}. It was left as it is and nothing was "
            "touched in AWS.",
            hint=(
                "Restore it from a copy, or run 'cogauth recover' with the same --stack and "
                "--state: it keeps a copy of this file, and writes a new one from what exists in "
                "the account."
            ),
        ) from error
    raise NewerStateError(
        f"The state file {path} has version {formats.shown(version)}, but this cogauth reads up to "
        f"version {VERSION}. A newer cogauth wrote it",
        hint="Upgrade this one, or use the newer one.",
    )
