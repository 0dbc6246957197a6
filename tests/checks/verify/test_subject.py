"""Which method of a path a check calls."""
# ruff: noqa: SLF001 which verb is asked can't be seen from outside without a stack

from __future__ import annotations

import pytest

from cogauth.checks.verify import subject
from cogauth.gateway.rest_apis import COGNITO, Guard, Route


def method(verb: str, path: str) -> Route:
    return Route(verb, path, Guard(COGNITO, pools=("arn:pool",)))


@pytest.mark.parametrize(
    ("verbs", "asked"),
    [(["ANY"], "GET"), (["ANY", "GET"], "HEAD"), (["ANY", "GET", "HEAD"], "ANY")],
)
def test_any_is_called_by_what_it_answers(verbs: list[str], asked: str) -> None:
    """If GET is a separate method, a GET request says nothing about ANY."""
    routes = {"/a": {verb: method(verb, "/a") for verb in verbs}}
    any_method = routes["/a"]["ANY"]
    assert subject._verb(routes, any_method) == asked
    assert subject._is_meant(routes, any_method, "/a")
