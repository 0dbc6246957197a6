"""What ``cogauth down`` says: it counts what it lists, and ends if nothing is left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.commands import in_process
from support.stacks import delete_pool, fact

if TYPE_CHECKING:
    from support.account import Account
    from support.forker import Result


@pytest.fixture
def shop(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    account.stands()
    monkeypatch.setenv("AWS_REGION", account.region)
    return account


def run(account: Account, *words: str) -> Result:
    return in_process(*words, "--stack", "shop", "--state", str(account.path()))


def test_down_counts_what_it_lists(shop: Account) -> None:
    done = run(shop, "down", "--yes", "--settle", "0").must()
    announced = re.search(
        r"^(\d+) resources to delete, with all that they contain:\n((?:  .+\n)+)",
        done.err,
        re.MULTILINE,
    )
    assert announced is not None
    listed = [line for line in announced[2].splitlines() if re.match(r"  \w[\w -]*?  +\S+$", line)]
    assert len(listed) == int(announced[1])
    assert f"✓ deleted: {len(listed)}\n" in done.out
    assert "remaining: nothing\n" in done.out
    assert re.search(r"\n✓ Stack shop is deleted \(\d+\.\d s\)\.\n$", done.out)
    pool = re.search(r"^  user pool +(\S+)$", announced[2], re.MULTILINE)
    assert pool is not None
    # Without users there is no warning about losing them.
    assert f"  The user pool {pool[1]} has no users, as far as Cognito has counted" in done.err
    assert "Warning" not in done.err


def test_a_second_down_says_that_there_is_nothing(shop: Account) -> None:
    run(shop, "down", "--yes", "--settle", "0").must()
    again = run(shop, "down", "--yes", "--settle", "0").must()
    (line,) = again.err.splitlines()
    assert line.startswith("No stack shop here or in account ")
    assert line.endswith(": nothing to delete.")


@pytest.mark.usefixtures("no_credentials")
def test_nor_does_it_need_a_region_for_that(shop: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.path().unlink()
    monkeypatch.delenv("AWS_REGION", raising=False)
    done = run(shop, "down", "--yes")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("Error: No stack shop here: nothing to delete.")
    assert line.endswith("To look for one in an AWS account, give --region.")


@pytest.mark.parametrize("words", [("users",), ("verify",), ("test-login", "ann")])
def test_each_command_says_that_the_user_pool_is_gone(
    shop: Account, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """The pool was deleted by hand: they show up's message, not AWS's."""
    monkeypatch.setenv("COGAUTH_PASSWORD", "Correct-Horse-7")
    shop.grow_old()
    pool = fact(shop, "user_pool")
    delete_pool(shop)
    done = run(shop, *words, "--json").must(1)
    error = done.document["error"]
    assert error["code"] == "incomplete"
    assert error["message"] == f"The user pool {pool} doesn't exist any more; its users are lost."
    assert error["hint"].startswith("Run 'cogauth up --stack shop")
    assert "ResourceNotFound" not in done.err
