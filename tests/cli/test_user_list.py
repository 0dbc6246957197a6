"""``cogauth users list``: filtered by Cognito, and printed page by page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cogauth.cli.output import print_json_list
from cogauth.cli.user_list import show
from cogauth.client import users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.client.users import User
    from support.user_pool import Pool

# For the fixtures.
pytest_plugins = ["support.user_pool"]


def test_the_list_is_filtered_by_cognito(pool: Pool) -> None:
    for name in ("andy", "bob"):
        pool.cognito.admin_create_user(UserPoolId=pool.id, Username=name)
    found = pool.run("--filter", 'username ^= "an"', "--json").document
    assert sorted(user["username"] for user in found["users"]) == ["andy", "ann"]
    assert pool.run("--filter", 'username = "nobody"').err == "0 users\n"
    done = pool.run("--filter", "nonsense", "--json", code=2)
    assert "Cognito can't use the filter 'nonsense'" in done.document["error"]["message"]


@pytest.mark.parametrize("as_json", [False, True])
def test_each_page_is_printed_before_the_next_is_read(
    pool: Pool, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    for number in range(61):
        name = f"user{number:02}" if number else "a-long-name-on-the-first-page"
        pool.cognito.admin_create_user(UserPoolId=pool.id, Username=name)
    printed: list[str] = []

    def watched() -> Iterator[list[User]]:
        for page in users.pages(pool.account.context()):
            printed.append(capsys.readouterr().out)
            yield page

    if as_json:
        print_json_list(
            {"pool": ""}, "users", (vars(one)["username"] for p in watched() for one in p)
        )
    else:
        assert show(watched()) == 62
    before, first = printed
    assert before == ""
    assert "ann" in first
    assert "user60" not in first
    last = capsys.readouterr().out
    if as_json:
        assert len(json.loads(first + last)["users"]) == 62
        return
    lines = (first + last).splitlines()
    assert lines[0].split() == ["username", "status", "enabled", "created"]
    assert len(lines) == 1 + 62
    # The columns of both pages have the same width.
    assert len({line.index("FORCE_CHANGE_PASSWORD") for line in lines[1:]}) == 1
