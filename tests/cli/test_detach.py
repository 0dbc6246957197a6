"""``cogauth detach``: which of the attached APIs it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.attached import Orders, attach

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.forker import Result

# For the fixtures.
pytest_plugins = ["support.account_commands"]


def test_an_api_in_which_nothing_matches_is_left_out(
    account: Account, orders: Orders, run: Callable[..., Result]
) -> None:
    more = Orders(account, "more")
    more.put("GET", "/more", "NONE")
    more.deploy("prod")
    attach(account, path="/iam")
    attach(account, "more", path="/more")
    before = orders.methods()
    (done,) = run("detach", "--path", "/more", "--yes", "--json").must().document["apis"]
    assert (done["rest_api_id"], done["restored"]) == (more.id, ["GET /more"])
    assert orders.methods() == before
    refused = run("detach", "--path", "/nowhere", "--yes").must(2).err
    assert "--path '/nowhere' matches no method" in refused
    assert orders.methods() == before
