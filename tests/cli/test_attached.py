"""What ``cogauth attach`` says at the end: the next step, and what is unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.attached import Orders, only_a_pool
from support.commands import in_process

if TYPE_CHECKING:
    import pytest

    from support.account import Account


def test_attach_ends_with_the_next_step(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    only_a_pool(account)
    Orders(account, stages=("beta", "prod"))
    monkeypatch.setenv("AWS_REGION", account.region)
    where = ("--stack", "shop", "--state", str(account.path()))
    words = ("attach", "--api", "orders", "--path", "/open", "--stage", "prod", "--yes")
    done = in_process(*words, *where).must()
    assert "beta isn't guarded: anyone can call GET /open there" in done.err
    claims, following = done.out.splitlines()[-2:]
    assert 'event["requestContext"]["authorizer"]["claims"]' in claims
    command = "cogauth call GET /open --api orders --stage prod"
    assert following == f"Next: {command} --stack shop --state {account.path()}"
