"""Which REST APIs exist, which of their stages is meant, and where a request leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.errors import UsageError
from cogauth.gateway.rest_apis import Guard, Method, Routes, choose_stage, find_api
from cogauth.gateway.routing import matches, nearest, route

if TYPE_CHECKING:
    from support.account import Account


def test_an_api_by_id_or_name(account: Account) -> None:
    account.stands()
    ctx, gateway = account.context(), account.client("apigateway")
    own = ctx.fact("rest_api")
    assert find_api(ctx, own)["id"] == find_api(ctx, "shop")["id"] == own
    second = gateway.create_rest_api(name="shop")["id"]
    with pytest.raises(UsageError, match=f"2 REST APIs have that name.*{second}") as caught:
        find_api(ctx, "shop")
    assert own in str(caught.value)
    assert find_api(ctx, second)["id"] == second
    with pytest.raises(UsageError, match=r"'shpo': no REST API .* Similar names: \w+ \(shop\)"):
        find_api(ctx, "shpo")
    with pytest.raises(UsageError, match="no REST API"):
        find_api(ctx, "")


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        ([], None, "The API shop has no stage.*create-deployment --rest-api-id a1 "),
        (["dev", "beta"], None, "several stages: beta, dev. .*--stage"),
        (["dev", "beta"], "prod", "--stage 'prod': the API shop has no such stage.*: beta, dev."),
    ],
)
def test_a_stage_that_is_not_clear(names: list[str], wanted: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_stage({"id": "a1", "name": "shop"}, [{"stageName": name} for name in names], wanted)


def test_the_stage_that_is_meant() -> None:
    stages = [{"stageName": "dev"}, {"stageName": "beta"}]
    assert choose_stage({"id": "a1"}, stages, "beta") == stages[1]
    assert choose_stage({"id": "a1"}, stages[:1], None) == stages[0]
    # The attached stage is meant, unless it was deleted or there are two of them.
    assert choose_stage({"id": "a1"}, stages, None, ["beta", "gone"]) == stages[1]
    assert choose_stage({"id": "a1"}, stages, "dev", ["beta"]) == stages[0]
    for attached in (["gone"], ["dev", "beta"]):
        with pytest.raises(UsageError, match="several stages"):
            choose_stage({"id": "a1"}, stages, None, attached)


# Where a request leads


def routes(*methods: str) -> Routes:
    made: Routes = {}
    for each in methods:
        verb, path = each.split()
        made.setdefault(path, {})[verb] = Method(verb, path, Guard())
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
