"""Which method of a REST API a request reaches."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cogauth.gateway.rest_apis import Routes

# The HTTP methods of API Gateway, without ANY, which means all of them.
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

M = TypeVar("M")


def route(
    by_path: Mapping[str, Mapping[str, M]], verb: str, path: str
) -> tuple[str | None, M | None]:
    """Return the resource path and the method to which API Gateway routes a request, or None.

    A literal part wins over ``{name}``, and that over ``{name+}``. If the best resource lacks the
    method, one with ``{name+}`` that has it answers. ``path`` excludes the stage.
    """
    templates = sorted(filter(lambda each: matches(each, path), by_path), key=_vagueness)
    for template in templates:
        there = by_path[template]
        if method := there.get(verb) or there.get("ANY"):
            return template, method
    return (templates[0] if templates else None), None


def matches(template: str, path: str) -> bool:
    """Return whether a resource's path, such as ``/pets/{id}``, matches a request's."""
    parts, given = _parts(template), _parts(path)
    if parts and parts[-1].endswith("+}"):
        head = parts[:-1]
        return len(given) > len(head) and _fits(head, given[: len(head)])
    return len(parts) == len(given) and _fits(parts, given)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _fits(parts: list[str], given: list[str]) -> bool:
    return all(
        part == one or (part.startswith("{") and part.endswith("}"))
        for part, one in zip(parts, given, strict=True)
    )


def _vagueness(template: str) -> list[int]:
    return [2 if part.endswith("+}") else int(part.startswith("{")) for part in _parts(template)]


def nearest(routes: Routes, path: str) -> list[str]:
    """Return the paths most similar to one that doesn't exist; the first ones if none is."""
    by_case = {each.lower(): each for each in routes}
    near = difflib.get_close_matches(path.lower(), by_case, 3, 0.6)
    return [by_case[each] for each in near] or sorted(routes)[:5]
