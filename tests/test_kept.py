"""What `up` changed of who may call what is read again: it says that it stands only if it does.

And what can't be changed is made anew. Some emulators don't keep the pool of an authorizer.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from cli_tools import REGION, Cli, client
from conftest import Account, Call, StoppedError
from moto.apigateway.models import Authorizer
from test_engine import STACK, UNCHANGED, configuration, delete_pool, fact, standing

from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ("cli_tools",)


def authorizers(account: Account) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = account.client("apigateway").get_authorizers(
        restApiId=fact(account, "rest_api")
    )["items"]
    return found


def guarded_by(account: Account) -> dict[str, Any]:
    """Return the authorizer of the protected method."""
    method = configuration(account)["methods"][1]
    return next(one for one in authorizers(account) if one["id"] == method["authorizerId"])


def lose_the_value(authorizer: Authorizer, operations: list[dict[str, Any]]) -> Authorizer:
    for operation in operations:
        if operation["path"] == "/providerARNs":
            authorizer.provider_arns = []
    return authorizer


def keep_what_was(authorizer: Authorizer, operations: list[dict[str, Any]]) -> Authorizer:
    del operations
    return authorizer


@pytest.fixture(params=[lose_the_value, keep_what_was], ids=["lost", "left as it was"])
def forgetful(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS that takes patches of an authorizer and doesn't keep them."""
    monkeypatch.setattr(Authorizer, "apply_operations", request.param)


def up(account: Account) -> dict[str, str]:
    return account.up(confirm=lambda _lost: None)


@pytest.mark.usefixtures("forgetful")
def test_an_authorizer_that_does_not_take_the_new_pool_is_made_anew(account: Account) -> None:
    account.up()
    for _ in range(3):
        delete_pool(account)
        former = fact(account, "authorizer")
        actions = up(account)
        assert {actions[step] for step in ("authorizer", "protected_method")} == {"updated"}
        # Not of an authorizer that is deployed is asked, but of the present one.
        assert actions["deployment"] in {"created", "updated"}
        assert standing(account) == STACK
        guard = guarded_by(account)
        assert guard["providerARNs"] == [fact(account, "user_pool", "arn")]
        assert guard["id"] == fact(account, "authorizer") != former
        assert account.up() == UNCHANGED


@pytest.mark.usefixtures("forgetful")
def test_a_stop_at_any_call_of_the_making_anew_is_made_good(account: Account) -> None:
    account.up()
    delete_pool(account)
    met: set[tuple[str, str]] = set()

    def stop_once_each(call: Call) -> None:
        place = call.operation, call.sent["url_path"]
        if call.mutating and call.sent["url_path"].startswith("/restapis") and place not in met:
            met.add(place)
            raise StoppedError

    for _ in range(40):
        with contextlib.suppress(StoppedError), account.calls.watched(after=stop_once_each):
            up(account)
            break
    assert {"CreateAuthorizer", "UpdateMethod", "DeleteAuthorizer"} <= {one for one, _ in met}
    assert standing(account) == STACK
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert account.up() == UNCHANGED
    assert not account.down().problems
    assert account.left() == []


@pytest.mark.usefixtures("forgetful")
def test_one_that_somebody_elses_method_refers_to_stays(account: Account) -> None:
    account.up()
    former = fact(account, "authorizer")
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    theirs = {**place, "resourceId": fact(account, "hello_resource"), "httpMethod": "PUT"}
    guard = {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": former}
    api.put_method(**theirs, **guard)
    api.put_integration(**theirs, type="MOCK", requestTemplates={})
    delete_pool(account)
    up(account)
    assert {one["id"] for one in authorizers(account)} == {former, fact(account, "authorizer")}
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert account.up() == UNCHANGED
    api.delete_method(**theirs)
    account.up()
    assert [one["id"] for one in authorizers(account)] == [fact(account, "authorizer")]


def test_an_authorizer_that_takes_the_new_pool_keeps_its_id(account: Account) -> None:
    account.up()
    former = fact(account, "authorizer")
    delete_pool(account)
    up(account)
    assert fact(account, "authorizer") == former
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]


def shown(account: Account, operation: str, change: Callable[[Any], None], times: int) -> Any:
    """Let an operation's next answers show something else than what is so."""
    left = [times]

    def on_answer(parsed: Any, model: Any, **_: Any) -> None:
        if model.name == operation and left[0] and "Error" not in parsed:
            left[0] -= 1
            change(parsed)

    @contextlib.contextmanager
    def watching() -> Any:
        events = [one.meta.events for one in account.calls.clients]
        for one in events:
            one.register("after-call", on_answer)
        try:
            yield
        finally:
            for one in events:
                one.unregister("after-call", on_answer)

    return watching()


def open_up(method: Any) -> None:
    method.update(authorizationType="NONE")
    method.pop("authorizerId", None)


def test_a_method_that_stays_open_is_no_success(account: Account) -> None:
    account.up()
    account.grow_old()
    begun = account.time.now
    with (
        shown(account, "GetMethod", open_up, times=10**9),
        pytest.raises(CogauthError, match=r"protected method was changed, but AWS doesn't show"),
    ):
        account.up()
    assert 30 <= account.time.now - begun < 45
    assert account.up()["protected_method"] in {"updated", "unchanged"}


def test_a_read_that_lags_behind_the_change_is_waited_for(account: Account) -> None:
    account.up()
    with shown(account, "GetMethod", open_up, times=5):
        assert account.up()["protected_method"] == "updated"
    assert account.up() == UNCHANGED


def test_an_authorizer_that_can_not_be_made_right_either_is_no_success(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.up()
    monkeypatch.setattr(Authorizer, "apply_operations", keep_what_was)
    delete_pool(account)

    def without_pool(parsed: Any) -> None:
        parsed["providerARNs"] = []

    lost = shown(account, "CreateAuthorizer", without_pool, times=1)
    with lost, pytest.raises(CogauthError, match="authorizer was changed, but AWS"):
        up(account)
    account.up()
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert standing(account) == STACK


@pytest.mark.local
def test_after_a_lost_pool_the_local_aws_guards_with_the_new_one(cli: Cli) -> None:
    cli.run("up", "--local", "--region", REGION).must()
    state = json.loads(cli.state.read_text())
    pool = state["resources"]["user_pool"]["user_pool"]["id"]
    client("cognito-idp", state["endpoint_url"]).delete_user_pool(UserPoolId=pool)
    cli.run("up", "--yes").must()
    cli.login("ann", "Correct-Horse-7").must()
    again = cli.run("up", "--json").must().document
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    api = client("apigateway", state["endpoint_url"])
    found = api.get_authorizers(restApiId=again["rest_api_id"])["items"]
    assert [one["providerARNs"] for one in found] == [[again["user_pool_arn"]]]
