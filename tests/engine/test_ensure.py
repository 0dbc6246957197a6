"""After `up` changes who may call a method, it reads the change back and reports only what holds.

What can't be changed is recreated. Some emulators don't keep the pool of an authorizer.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from moto.apigateway.models import Authorizer

from cogauth.errors import CogauthError
from cogauth.steps.rest_api import create_authorizer
from support.calls import refusal
from support.faults import StoppedError
from support.local_aws import client
from support.names import REGION
from support.stacks import STACK, UNCHANGED, delete_pool, existing, fact, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.calls import Call
    from support.commands import Cli

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def authorizers(account: Account) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = account.client("apigateway").get_authorizers(
        restApiId=fact(account, "rest_api")
    )["items"]
    return found


def guarded_by(account: Account) -> dict[str, Any]:
    """Return the authorizer of the protected method."""
    method = account.client("apigateway").get_method(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "hello_resource"),
        httpMethod="GET",
    )
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
    """An AWS that accepts patches of an authorizer and doesn't keep them."""
    monkeypatch.setattr(Authorizer, "apply_operations", request.param)


def up(account: Account) -> dict[str, str]:
    return account.up(confirm=lambda _lost: None)


@pytest.mark.usefixtures("forgetful")
def test_an_authorizer_that_does_not_take_the_new_pool_is_made_anew(account: Account) -> None:
    account.stands()
    for _ in range(3):
        account.grow_old()
        delete_pool(account)
        former = fact(account, "authorizer")
        actions = up(account)
        # AWS's answer says at once that the change wasn't kept.
        assert account.time.now == 0
        assert {actions[step] for step in ("authorizer", "protected_method")} == {"updated"}
        # `up` checks the current authorizer, not one that is deployed.
        assert actions["deployment"] in {"created", "updated"}
        assert existing(account) == STACK
        guard = guarded_by(account)
        assert guard["providerARNs"] == [fact(account, "user_pool", "arn")]
        assert guard["id"] == fact(account, "authorizer") != former
        assert account.up() == UNCHANGED


@pytest.mark.long
@pytest.mark.usefixtures("forgetful")
def test_a_stop_at_any_call_of_the_making_anew_is_made_good(account: Account) -> None:
    account.stands()
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
    assert existing(account) == STACK
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert account.up() == UNCHANGED
    assert not account.down().problems
    assert account.left() == []


@pytest.mark.usefixtures("forgetful")
def test_one_that_somebody_elses_method_refers_to_stays(account: Account) -> None:
    account.stands()
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


@pytest.mark.long
@pytest.mark.usefixtures("forgetful")
def test_any_number_of_them_may_stay(account: Account) -> None:
    """Each time the pool is lost, somebody's method refers to the current authorizer."""
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    theirs = {**place, "resourceId": fact(account, "hello_resource")}
    kept = []
    for verb in ("PUT", "PATCH", "DELETE"):
        kept.append(fact(account, "authorizer"))
        guard = {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": kept[-1]}
        api.put_method(**theirs, httpMethod=verb, **guard)
        api.put_integration(**theirs, httpMethod=verb, type="MOCK", requestTemplates={})
        delete_pool(account)
        up(account)
        present = fact(account, "authorizer")
        assert {one["id"] for one in authorizers(account)} == {*kept, present}
        assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
        assert account.up() == UNCHANGED
    for verb in ("PUT", "PATCH", "DELETE"):
        api.delete_method(**theirs, httpMethod=verb)
    account.up()
    assert [one["id"] for one in authorizers(account)] == [present]


def test_only_a_method_that_refers_to_it_keeps_a_surplus_one(account: Account) -> None:
    account.stands()
    ctx, left = account.context(), [refusal(403, "AccessDeniedException")]
    create_authorizer(ctx, fact(account, "rest_api"), f"{ctx.name_with_id}-2")
    left.append(refusal(409, "ConflictException", "A concurrent modification was detected."))

    def refuse(call: Call) -> Any:
        return left.pop(0) if call.operation == "DeleteAuthorizer" and left else None

    with account.calls.watched(refuse):
        with pytest.raises(CogauthError, match="AccessDeniedException"):
            account.up()
        assert account.up() == {**UNCHANGED, "authorizer": "updated"}
    assert not left
    assert existing(account) == STACK


def test_an_authorizer_that_takes_the_new_pool_keeps_its_id(account: Account) -> None:
    account.stands()
    former = fact(account, "authorizer")
    header, where = "method.request.header.", {"restApiId": fact(account, "rest_api")}
    patch = [{"op": "replace", "path": "/identitySource", "value": f"{header}X-Other"}]
    account.client("apigateway").update_authorizer(
        **where, authorizerId=former, patchOperations=patch
    )
    delete_pool(account)
    up(account)
    assert fact(account, "authorizer") == former
    guard = guarded_by(account)
    assert guard["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert guard["identitySource"] == f"{header}Authorization"


def open_up(method: Any) -> None:
    method.update(authorizationType="NONE")
    method.pop("authorizerId", None)


def test_a_stage_that_stays_on_another_deployment_is_no_success(account: Account) -> None:
    account.stands()

    def stay(parsed: Any) -> None:
        parsed["deploymentId"] = "another"

    kept = shown(account, "GetStage", stay, times=10**9)
    with kept, pytest.raises(CogauthError, match="stage was changed, but AWS still shows the old"):
        account.up()


def open_all(answer: Any) -> None:
    """Open every method in the answer that the plan reads, which has all methods."""
    for path in answer["items"]:
        for method in path.get("resourceMethods", {}).values():
            if method.get("authorizerId"):
                open_up(method)


def test_a_method_that_stays_open_is_no_success(account: Account) -> None:
    account.stands()
    account.grow_old()
    begun = account.time.now
    with (
        shown(account, "GetResources", open_all, times=1),
        shown(account, "GetMethod", open_up, times=10**9),
        pytest.raises(CogauthError, match=r"protected method was changed, but AWS still") as caught,
    ):
        account.up()
    assert "all its users" in str(caught.value)
    assert 30 <= account.time.now - begun < 45
    assert account.up()["protected_method"] in {"updated", "unchanged"}


def test_nor_is_a_new_one_that_stays_open(account: Account) -> None:
    with (
        shown(account, "PutMethod", open_up, times=10**9),
        shown(account, "GetMethod", open_up, times=10**9),
        pytest.raises(CogauthError, match="protected method was changed, but AWS still"),
    ):
        account.up()
    account.up()
    assert existing(account) == STACK


def another_throttle(stage: Any) -> None:
    for settings in stage["methodSettings"].values():
        settings["throttlingRateLimit"] = 19.5


def another_header(authorizer: Any) -> None:
    authorizer["identitySource"] = "method.request.header.authorization"


def no_header(method: Any) -> None:
    for response in method.get("methodResponses", {}).values():
        response.pop("responseParameters", None)


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("GetStage", another_throttle),
        ("GetAuthorizer", another_header),
        ("UpdateAuthorizer", another_header),
        ("GetMethod", no_header),
    ],
)
def test_what_guards_nothing_may_be_shown_differently(
    account: Account, operation: str, change: Callable[[Any], None]
) -> None:
    account.up(cors_origins=("https://app.example",))
    delete_pool(account)
    former = fact(account, "authorizer")
    api = account.client("apigateway")
    place = {"restApiId": fact(account, "rest_api"), "httpMethod": "GET"}
    place["resourceId"] = fact(account, "hello_resource")
    patch = [{"op": "replace", "path": "/authorizationType", "value": "NONE"}]
    api.update_method(**place, patchOperations=patch)
    account.grow_old()
    begun = account.time.now

    def change_all(answer: Any) -> None:
        for one in answer["items"]:
            change(one)

    # The plan reads the list.
    listed = shown(account, "GetAuthorizers", change_all, times=10**9)
    with (
        listed if operation == "GetAuthorizer" else contextlib.nullcontext(),
        shown(account, operation, change, times=10**9),
    ):
        up(account)
    assert account.time.now - begun < 30
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert fact(account, "authorizer") == former
    assert api.get_method(**place)["authorizationType"] == "COGNITO_USER_POOLS"


def test_a_read_that_lags_behind_the_change_is_waited_for(account: Account) -> None:
    account.stands()
    with (
        shown(account, "GetResources", open_all, times=1),
        shown(account, "GetMethod", open_up, times=5),
    ):
        assert account.up()["protected_method"] == "updated"
    assert account.up() == UNCHANGED


def test_an_authorizer_that_can_not_be_made_right_either_is_no_success(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    monkeypatch.setattr(Authorizer, "apply_operations", keep_what_was)
    delete_pool(account)

    def without_pool(parsed: Any) -> None:
        parsed["providerARNs"] = []

    lost = shown(account, "CreateAuthorizer", without_pool, times=1)
    with lost, pytest.raises(CogauthError, match="authorizer was changed, but AWS"):
        up(account)
    account.up()
    assert guarded_by(account)["providerARNs"] == [fact(account, "user_pool", "arn")]
    assert existing(account) == STACK


@pytest.mark.long
@pytest.mark.local
def test_after_a_lost_pool_the_local_aws_guards_with_the_new_one(cli: Cli) -> None:
    cli.run("up", "--local", "--region", REGION).must()
    state = json.loads(cli.state.read_text())
    pool = state["resources"]["user_pool"]["id"]
    client("cognito-idp", state["endpoint_url"]).delete_user_pool(UserPoolId=pool)
    cli.run("up", "--yes").must()
    cli.login("ann", "Correct-Horse-7").must()
    again = cli.run("up", "--json").must().document
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    api = client("apigateway", state["endpoint_url"])
    found = api.get_authorizers(restApiId=again["rest_api_id"])["items"]
    assert [one["providerARNs"] for one in found] == [[again["user_pool_arn"]]]


@pytest.mark.local
def test_an_up_whose_question_is_refused_keeps_nothing_of_its_options(cli: Cli) -> None:
    cli.run("up", "--local", "--region", REGION, "--tier", "ESSENTIALS").must()
    state = json.loads(cli.state.read_text())
    pool = state["resources"]["user_pool"]["id"]
    client("cognito-idp", state["endpoint_url"]).delete_user_pool(UserPoolId=pool)
    refused = cli.run("up", "--tier", "LITE", "--throttle-rate", "3").must_fail(2)
    assert "Nothing was touched" in refused.err
    assert json.loads(cli.state.read_text()) == state
