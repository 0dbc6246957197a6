"""Which REST APIs exist, and which of their stages is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cogauth.errors import UsageError
from cogauth.gateway.rest_apis import choose_stage, find_api

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
