"""Moto's state, saved and restored for another test: a copy needs no calls."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moto.backends import get_backend

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("cognito-idp", "iam", "lambda", "apigateway", "logs")


class Snapshot:
    """Everything that exists in moto, and the state files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._backends = [
            (service, *found)
            for service in SERVICES
            for found in get_backend(service).iter_backends()
        ]
        # The backends refer to each other: only their contents are copied.
        themselves = {id(backend): backend for *_, backend in self._backends}
        self._held = copy.deepcopy([b.__dict__ for *_, b in self._backends], themselves)
        self._states = {file.name: file.read_text() for file in folder.glob("*.json")}
        self._taken = datetime.now(UTC)

    def put_back(self, folder: Path) -> None:
        """Restore it in an unused account; everything is as new as when it was saved."""
        assert not [service for service in SERVICES if get_backend(service)]
        live = [get_backend(service)[of][where] for service, of, where, _ in self._backends]
        themselves = {id(old): new for (*_, old), new in zip(self._backends, live, strict=True)}
        for backend, held in zip(live, copy.deepcopy(self._held, themselves), strict=True):
            backend.__dict__.update(held)
        age = datetime.now(UTC) - self._taken
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self._states.items():
            document = json.loads(text)
            for record in document["resources"].values():
                since = datetime.fromisoformat(record["since"]) + age
                record["since"] = since.isoformat()
            (folder / name).write_text(json.dumps(document))
