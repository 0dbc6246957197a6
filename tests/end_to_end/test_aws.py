"""The acceptance test on a real AWS account, run by ``pytest --aws``.

It uses the credentials and the region of the environment, with the permissions that the README
lists, and ``tag:GetResources``. It creates a stack with its own name, and deletes it again.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from support.real_aws import Account, post

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.aws

COST = (
    "Cost: a few Lambda and API requests and one monthly active user of Cognito's LITE plan, "
    "all within the free tier; without it less than 0.02 USD."
)


def soon(nothing: Callable[[], list[str]]) -> list[str]:
    """Return what is left after AWS's lists had up to two minutes to show a deletion."""
    end = time.monotonic() + 120
    while (left := nothing()) and time.monotonic() < end:
        time.sleep(5)
    return left


def test_the_article_on_aws(tmp_path: Path) -> None:
    account = Account(tmp_path, f"cogauth-test-{secrets.token_hex(4)}")
    password = f"Aws-{secrets.token_urlsafe(12)}-1a"
    begun = time.monotonic()
    region = None
    try:
        up = account.run("up", "--json").must().document
        region = up["region"]
        assert {step["action"] for step in up["steps"]} == {"created"}
        logs_in(account, up, password)
        answers_with_a_status_of_its_own(up["sign_in_url"], password)
        renews_and_calls(account, up["sign_in_url"], password)
        again = account.run("up", "--json").must().document
        assert {step["action"] for step in again["steps"]} == {"unchanged"}
    finally:
        # There is nothing to delete if 'up' failed at once.
        down = account.run("down", "--yes", "--json")
    assert down.must().document["remaining"] == []
    assert down.document["already_gone"] == []
    assert not account.folder.joinpath(".cogauth", f"{account.stack}.json").exists()
    assert soon(lambda: account.named(region)) == []
    assert soon(lambda: account.tagged(region)) == []
    print(f"\nAll of it: {time.monotonic() - begun:.0f} s. {COST}")  # noqa: T201 for pytest -s


def logs_in(account: Account, up: dict[str, Any], password: str) -> None:
    """Sign up and in, sign in again, and get refused."""
    first = account.login(password).must().document
    assert (first["is_new"], first["http_status"]) == (True, 200)
    assert first["protected"] == {
        "url": up["protected_url"],
        "without_token": 401,
        "with_token": 200,
    }
    second = account.login(password).must().document
    assert (second["is_new"], second["user_id"]) == (False, first["user_id"])
    wrong = account.login(f"{password}-not").must(1).document
    assert (wrong["code"], wrong["http_status"]) == ("wrong_credentials", 401)
    assert wrong["msg"] == "The username or password is incorrect"
    # The authorizer's own answer to text that isn't a token, and to a tampered token.
    for token in ("garbage", first["id_token"][:-8] + "AAAAAAAA"):
        refused = requests.get(up["protected_url"], headers={"Authorization": token}, timeout=35)
        assert refused.status_code == 401
    hello = {"Authorization": first["id_token"]}
    assert "message" in requests.get(up["protected_url"], headers=hello, timeout=35).json()


def answers_with_a_status_of_its_own(url: str, password: str) -> None:
    """Each code has its own HTTP status, which no local AWS shows."""
    for status, code, body in (
        (200, None, {"username": "ann", "password": password}),
        (401, "wrong_credentials", {"username": "ann", "password": f"{password}-not"}),
        (400, "password_policy", {"username": "newcomer", "password": "123456"}),
        (400, "invalid_password", {"username": "ann"}),
        (400, "invalid_username", {"username": 7, "password": password}),
        (400, "bad_request", []),
        (401, "refresh_refused", {"username": "ann", "refresh_token": "garbage"}),
        (400, "invalid_refresh_token", {"username": "ann", "refresh_token": "two words"}),
    ):
        got, answer = post(url, json.dumps(body))
        assert (got, answer.get("code")) == (status, code), answer
        assert answer["status"] == ("success" if status == 200 else "fail")
    # Text that isn't JSON never reaches the function: Lambda refuses it.
    got, answer = post(url, "{")
    assert got in {400, 500}
    assert "stackTrace" not in answer


def renews_and_calls(account: Account, url: str, password: str) -> None:
    """Use the token kit; no local AWS treats the case of names as AWS does."""
    for name in ("ann", "Bea"):
        words = ("token", "--username", name)
        refresh_token = account.run(*words, "--type", "refresh", password=password).out.strip()
        claims = account.run(*words, "--decode", "--json").must().document["claims"]
        named = claims["cognito:username"]
        for username in {named, name, name.lower(), name.upper()}:
            body = {"username": username, "refresh_token": refresh_token}
            status, answer = post(url, json.dumps(body))
            # Only the name in the token is guaranteed to work; for others the result is printed.
            assert username != named or (status, answer["status"]) == (200, "success")
            print(f"{named}, renewed as {username}: {answer.get('code', 'success')}")  # noqa: T201
    status, answer = post(url, json.dumps({"username": "bea", "refresh_token": "garbage"}))
    assert (status, answer["code"]) == (401, "refresh_refused")
    called = account.run("call", "GET", "/hello", "--username", "ann", "--json").must().document
    assert (called["status"], called["log"]) == (200, None)
    tested = account.run("call", "GET", "/hello", "--test-invoke", "--json").must().document
    assert tested["status"] == 200
    assert "Execution log" in tested["log"]
    account.run("users", "delete", "bea", "--yes").must()
    account.run("users", "delete", "bea", "--yes").must(1)
