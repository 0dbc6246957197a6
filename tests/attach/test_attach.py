"""Methods of somebody else's API behind the stack's pool: what `attach` changes and keeps."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from support.account import Account
from support.attached import (
    OTHER_POOL,
    SCOPE,
    Orders,
    attach,
    detach,
    only_a_pool,
    ours,
    plan,
    put_jwt,
    quiet,
)
from support.calls import Call

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def test_the_chosen_methods_are_guarded_live_and_deployed(account: Account, orders: Orders) -> None:
    before = orders.methods()
    result = attach(account, path="/[oi]*")
    assert result.done == ["GET /iam", "GET /open", "POST /open"]
    assert orders.authorizers()[ours(account)] == result.authorizer
    after = orders.methods()
    for name in result.done:
        assert after[name] == {
            "authorizationType": "COGNITO_USER_POOLS",
            "authorizerId": result.authorizer,
            "authorizationScopes": [],
            "apiKeyRequired": before[name]["apiKeyRequired"],
        }
        assert {ours(account): []} in orders.security(*name.split(" "))
    for name in ("OPTIONS /open", "GET /jwt", "GET /pool"):
        assert after[name] == before[name]
    live = orders.aws.get_authorizer(**orders.place, authorizerId=result.authorizer)
    assert live["providerARNs"] == [account.state().fact("user_pool", "arn")]
    assert orders.deployments() == ["prod"]


def test_with_scopes(account: Account, orders: Orders) -> None:
    attach(account, path="/pool", scopes=("b/write", SCOPE))
    assert orders.methods()["GET /pool"]["authorizationScopes"] == ["b/write", SCOPE]
    attach(account, path="/pool", scopes=(SCOPE,))
    assert orders.methods()["GET /pool"]["authorizationScopes"] == [SCOPE]
    attach(account, path="/pool")
    assert orders.methods()["GET /pool"]["authorizationScopes"] == []
    assert orders.deployments() == ["prod"]
    assert detach(account)[0].restored == ["GET /pool"]
    assert orders.methods()["GET /pool"]["authorizationScopes"] == ["b/write", "a/read"]


def test_up_leaves_a_method_of_the_stack_s_own_as_attach_has_guarded_it(account: Account) -> None:
    account.stands()
    api, own = account.client("apigateway"), account.state()
    authorizer = attach(account, own.fact("rest_api", "id"), path="/hello").authorizer
    assert account.up()["protected_method"] == "unchanged"
    place = {"restApiId": own.fact("rest_api", "id"), "httpMethod": "GET"}
    hello = api.get_method(**place, resourceId=own.fact("hello_resource", "id"))
    assert hello["authorizerId"] == authorizer != own.fact("authorizer", "id")


def test_a_second_attach_changes_nothing(account: Account, orders: Orders) -> None:
    attach(account)
    text = account.path().read_text()
    with account.calls.watched() as calls:
        assert attach(account).deployment is None
    assert [call for call in calls if call.mutating] == []
    assert account.path().read_text() == text
    assert orders.deployments() == ["prod"]


def test_what_each_method_had_is_on_disk_before_it_is_touched(
    account: Account, orders: Orders
) -> None:
    before = orders.methods()

    def look(call: Call) -> None:
        if call.operation == "UpdateMethod":
            record = account.state().attachments[orders.id]["methods"]
            assert {name: one["former"] for name, one in record.items()} == {
                name: one for name, one in before.items() if name in record
            }
            assert len(record) == 5

    with account.calls.watched(look):
        attach(account)


def test_up_keeps_what_is_attached(account: Account) -> None:
    account.stands()
    orders = Orders(account)
    attach(account)
    guarded = orders.methods()
    assert set(account.up().values()) == {"unchanged"}
    assert orders.methods() == guarded
    account.up(throttle_rate=5)
    assert account.state().attachments[orders.id]["outdated"] == []


def test_the_stacks_own_api(account: Account) -> None:
    account.stands()
    rest_api = account.state().fact("rest_api", "id")
    rows = {row.name: row for row in plan(account, rest_api).rows}
    assert (rows["POST /signin"].action, rows["GET /hello"].action) == ("left out", "attach")
    former = rows["GET /hello"].before
    attach(account, rest_api, path="/hello", scopes=(SCOPE,))
    api = account.client("apigateway")
    place = {
        "restApiId": rest_api,
        "resourceId": account.state().fact("hello_resource", "id"),
        "httpMethod": "GET",
    }
    assert api.get_method(**place)["authorizationScopes"] == [SCOPE]
    # 'up' leaves this method to attach, whatever else it changes.
    account.up(throttle_rate=5)
    assert api.get_method(**place)["authorizationScopes"] == [SCOPE]
    detach(account)
    assert rest_apis.authorization_of(api.get_method(**place)) == former
    assert set(account.up().values()) == {"unchanged"}
    attach(account, rest_api, path="/hello")
    result = account.down()
    assert (result.remaining, result.problems, result.restored) == ([], [], [])
    assert account.left() == []


def test_a_pool_that_was_made_anew_is_asked_once_attached_again(account: Account) -> None:
    account.stands()
    orders = Orders(account)
    result = attach(account)
    account.client("cognito-idp").delete_user_pool(
        UserPoolId=account.state().fact("user_pool", "id")
    )
    account.up(confirm=quiet)
    pool = account.state().fact("user_pool", "arn")
    assert account.state().attachments[orders.id]["authorizer"]["pool"] != pool
    again = attach(account, path="/open")
    assert again.authorizer == result.authorizer
    live = orders.aws.get_authorizer(**orders.place, authorizerId=result.authorizer)
    assert live["providerARNs"] == [pool]
    assert account.state().attachments[orders.id]["authorizer"]["pool"] == pool
    scheme = orders.deployed()["components"]["securitySchemes"][ours(account)]
    assert scheme["x-amazon-apigateway-authorizer"]["providerARNs"] == [pool]


def test_a_new_attach_takes_over_what_someone_changed(account: Account, orders: Orders) -> None:
    attach(account, path="/open")
    orders.patch("GET", "/open", ("replace", "/authorizationType", "AWS_IAM"))
    attach(account, path="/open")
    # If someone narrowed our guard, the guard recorded as the former one stays the same.
    orders.patch("POST", "/open", ("add", "/authorizationScopes", "a/b"))
    attach(account, path="/open")
    assert orders.methods()["POST /open"]["authorizationScopes"] == []
    detach(account)
    assert orders.methods()["GET /open"]["authorizationType"] == "AWS_IAM"
    assert orders.methods()["POST /open"]["authorizationType"] == "NONE"


def test_a_stage_that_someone_rolled_back_is_deployed_to_again(
    account: Account, orders: Orders
) -> None:
    before = orders.aws.get_stage(**orders.place, stageName="prod")["deploymentId"]
    attach(account)
    patch = [{"op": "replace", "path": "/deploymentId", "value": before}]
    orders.aws.update_stage(**orders.place, stageName="prod", patchOperations=patch)
    assert orders.security("GET", "/open") == []
    result = attach(account)
    assert (result.done, bool(result.deployment)) == ([], True)
    assert orders.security("GET", "/open") == [{ours(account): []}]
    assert orders.deployments() == ["prod"]


@pytest.mark.parametrize("end", ["detach", "down"])
@pytest.mark.parametrize("wanted", [(), ("a/read",), (SCOPE,)])
def test_a_jwt_authorizer_is_given_back_with_its_scopes(
    account: Account, orders: Orders, wanted: tuple[str, ...], end: str
) -> None:
    authorizer = put_jwt(orders, "/plain")
    put_jwt(orders, "/scoped", "b/write", "a/read")
    orders.deploy("prod")
    before, deployed = orders.methods(), orders.deployed()
    assert before["GET /plain"] == {
        "authorizationType": "JWT",
        "authorizerId": authorizer,
        "authorizationScopes": [],
        "apiKeyRequired": False,
    }
    found = plan(account, path="/[ps][lc]*", scopes=wanted)
    assert found.pending == []
    assert found.api is not None
    ctx = account.context()
    assert [found.api.words(ctx, row.before) for row in found.rows if row.before] == [
        "JWT their issuer of /plain",
        "JWT their issuer of /scoped, scopes b/write a/read",
    ]
    attach(account, path="/[ps][lc]*", scopes=wanted)
    for name in ("GET /plain", "GET /scoped"):
        assert orders.methods()[name]["authorizationType"] == "COGNITO_USER_POOLS"
        assert orders.methods()[name]["authorizationScopes"] == sorted(wanted)
    if end == "detach":
        detach(account)
    else:
        assert account.down().problems == []
    after = orders.methods()
    for name, was in before.items():
        was["authorizationScopes"].sort()
        after[name]["authorizationScopes"].sort()
        assert after[name] == was
    assert sorted(orders.deployed()["paths"]) == sorted(deployed["paths"])
    assert orders.authorizers()["their issuer of /plain"] == authorizer


def test_two_stages_are_both_deployed_to(account: Account, orders: Orders) -> None:
    orders.deploy("beta")
    attach(account, stage="prod")
    attach(account, stage="beta")
    for stage in ("prod", "beta"):
        assert orders.security("GET", "/open", stage) == [{ours(account): []}]
    detach(account)
    for stage in ("prod", "beta"):
        assert orders.security("GET", "/open", stage) == []


def test_an_api_key_of_the_owners_is_taken_over_by_attaching_again(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/open", method="GET")
    orders.patch("GET", "/open", ("replace", "/apiKeyRequired", "true"))
    assert "attach it again" in detach(account)[0].problems[0]
    assert attach(account, path="/open", method="GET").deployment is None
    result = detach(account)[0]
    assert (result.restored, result.problems) == (["GET /open"], [])
    given_back = orders.methods()["GET /open"]
    assert (given_back["authorizationType"], given_back["apiKeyRequired"]) == ("NONE", True)


def test_each_stage_gets_what_was_changed_for_another(account: Account) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("prod", "beta"))
    attach(account, path="/open", method="GET", stage="prod")
    second = plan(account, path="/iam", stage="beta")
    assert second.warnings == [
        "Not deployed to: prod. To deploy there, run this again with --stage."
    ]
    attach(account, path="/iam", stage="beta")
    assert orders.security("GET", "/iam", "prod") == [{"sigv4": []}]
    attach(account, path="/iam", stage="prod")
    assert orders.security("GET", "/iam", "prod") == [{ours(account): []}]
    assert attach(account, path="/iam", stage="prod").deployment is None


def test_what_is_attached_as_any_is_not_left_out_the_next_time(
    account: Account, orders: Orders
) -> None:
    orders.put("ANY", "/any", "NONE")
    attach(account, path="/any", method="ANY")
    assert [row.action for row in plan(account, path="/any").rows] == ["unchanged"]


def test_an_authorizer_that_doesn_t_take_the_new_pool_is_told_of(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/iam")
    api, ours_id = orders.place, orders.authorizers()[ours(account)]
    patch = [{"op": "add", "path": "/providerARNs", "value": OTHER_POOL}]
    orders.aws.update_authorizer(**api, authorizerId=ours_id, patchOperations=patch)

    def keep(call: Call) -> Any:
        if call.operation != "UpdateAuthorizer":
            return None
        live = orders.aws.get_authorizer(**api, authorizerId=ours_id)
        return AWSResponse("https://aws.invalid/", 200, {}, None), live

    with (
        account.calls.watched(keep),
        pytest.raises(CogauthError, match="didn't switch the authorizer"),
    ):
        attach(account, path="/iam")
