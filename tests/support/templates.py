"""Renders integration responses' mapping templates as the local AWS does."""

from __future__ import annotations

import json
from typing import Any

from cogauth.local import templates


def render(
    template: str, body: Any = None, headers: dict[str, str] | None = None
) -> templates.Rendered:
    """Render an integration response's template.

    Args:
        template: its text.
        body: the integration's answer.
        headers: the request's, spelled as by the client.
    """
    return templates.render(template, json.dumps(body), params={"header": headers or {}})
