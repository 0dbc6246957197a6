"""Commands on the stack of an account on moto, run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.commands import in_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.forker import Result


@pytest.fixture
def run(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process on the account's stack."""
    monkeypatch.setenv("AWS_REGION", account.region)

    def run_it(*words: str) -> Result:
        return in_process(*words, "--stack", "shop", "--state", str(account.path()))

    return run_it
