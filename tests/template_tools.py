"""Renders mapping templates as API Gateway would, by airspeed, which is no Velocity but near it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import airspeed

ALLOW_ORIGIN = "Access-Control-Allow-Origin"


class Input:
    """`$input` of a mapping template."""

    def __init__(self, body: Any, headers: dict[str, str]) -> None:
        self.body = body
        self.headers = headers

    def _get(self, path: str) -> Any:
        if path == "$":
            return self.body
        return self.body.get(path.removeprefix("$.")) if isinstance(self.body, dict) else None

    def path(self, path: str) -> Any:
        return self._get(path)

    def json(self, path: str) -> str:
        return json.dumps(self._get(path))

    def params(self) -> dict[str, dict[str, str]]:
        return {"header": self.headers, "path": {}, "querystring": {}}


class OverriddenOnce(dict[str, Any]):
    """An override may be applied once only: a second one is a 5xx on AWS."""

    def __setitem__(self, key: str, value: Any) -> None:
        assert key not in self, f"{key} is overridden twice"
        super().__setitem__(key, value)


@dataclass(frozen=True)
class Rendered:
    """What a template made: the text, and what it overrides."""

    text: str
    status: int | None
    headers: dict[str, str]


def render(template: str, body: Any = None, headers: dict[str, str] | None = None) -> Rendered:
    """Render an integration response's template.

    Args:
        template: its text.
        body: the integration's answer.
        headers: the request's, spelled as the client did.
    """
    override = OverriddenOnce(header=OverriddenOnce())
    # Velocity takes a hyphen in a reference's name, airspeed doesn't.
    name = ALLOW_ORIGIN.replace("-", "_")
    text = airspeed.Template(template.replace(f".{ALLOW_ORIGIN}", f".{name}")).merge(
        {"input": Input(body, headers or {}), "context": {"responseOverride": override}}
    )
    made = {key.replace("_", "-"): value for key, value in override["header"].items()}
    return Rendered(text, override.get("status"), made)
