"""Where a request leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.gateway.rest_apis import Guard, Route, Routes
from cogauth.gateway.routing import matches, nearest, route


def routes(*methods: str) -> Routes:
    made: Routes = {}
    for each in methods:
        verb, path = each.split()
        made.setdefault(path, {})[verb] = Route(verb, path, Guard())
    return made


PETS = routes(
    "GET /",
    "GET /pets",
    "ANY /pets/{id}",
    "GET /pets/mine",
    "POST /pets/{id}/toys",
    "GET /files/{path+}",
    "DELETE /{rest+}",
)


@pytest.mark.parametrize(
    ("request_line", "template", "verb"),
    [
        ("GET /", "/", "GET"),
        ("GET /pets", "/pets", "GET"),
        ("GET /pets/", "/pets", "GET"),
        ("GET /pets/7", "/pets/{id}", "ANY"),
        ("GET /pets/mine", "/pets/mine", "GET"),
        # A more general path may have the method that the literal path lacks.
        ("DELETE /pets", "/{rest+}", "DELETE"),
        ("PUT /pets/mine", "/pets/{id}", "ANY"),
        ("GET /files/a/b/c", "/files/{path+}", "GET"),
        ("GET /files", "/{rest+}", None),
        ("GET /pets/7/toys", "/pets/{id}/toys", None),
        ("POST /", "/", None),
    ],
)
def test_where_a_request_leads(request_line: str, template: str, verb: str | None) -> None:
    asked, path = request_line.split()
    found, method = route(PETS, asked, path)
    assert (found, method and method.http_method) == (template, verb)


def test_a_path_that_is_not_there() -> None:
    without = {path: methods for path, methods in PETS.items() if path != "/{rest+}"}
    assert route(without, "GET", "/cats") == (None, None)
    assert nearest(without, "/Pets")[0] == "/pets"
    assert nearest(without, "/zzz") == sorted(without)[:5]
    assert nearest({}, "/pets") == []


@given(st.text())
def test_any_path_leads_somewhere_or_nowhere(path: str) -> None:
    template, method = route(PETS, "GET", path)
    assert method is None or matches(method.path, path)
    assert template is None or template in PETS
