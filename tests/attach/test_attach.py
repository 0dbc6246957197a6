"""Methods of somebody else's API behind the stack's pool, and back again: before and after."""

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from cogauth import engine
from cogauth.attach import work
from cogauth.aws.waiting import Pace, Waiter
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis
from cogauth.record.records import Authorization
from support.account import Account, Accounts
from support.attached import (
    OTHER_POOL,
    SCOPE,
    Orders,
    attach,
    detach,
    only_a_pool,
    ours,
    plan,
    pool_and_orders,
    put_jwt,
    quiet,
)
from support.calls import Call, refusal
from support.faults import FAULTS, StoppedError, nth, run_with_fault

# Most cases run `up` more than once, so plain `pytest` runs only every fourth one.
pytestmark = pytest.mark.sample(4)

# ---- attach


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


def test_options_and_any_are_left_out(account: Account, orders: Orders) -> None:
    orders.put("ANY", "/any", "NONE")
    orders.put("ANY", "/both", "NONE")
    orders.put("OPTIONS", "/both", "NONE")
    rows = {row.name: row.action for row in plan(account).rows}
    assert rows["OPTIONS /open"] == rows["ANY /any"] == rows["OPTIONS /both"] == "left out"
    assert rows["ANY /both"] == "attach"
    by_name = plan(account, path="/any", method="any")
    assert [row.action for row in by_name.rows] == ["attach"]
    assert "preflights" in by_name.warnings[0]
    for path, method in (("/any", None), ("/open", "OPTIONS")):
        with pytest.raises(UsageError, match="None of these"):
            plan(account, path=path, method=method)


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


# ---- authorizers of type JWT, and of types that this code doesn't know yet


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


def test_a_jwt_authorizer_that_was_changed_is_pending(account: Account, orders: Orders) -> None:
    put_jwt(orders, "/plain")
    orders.deploy("prod")
    second = put_jwt(orders, "/other")
    orders.patch("GET", "/plain", ("replace", "/authorizerId", second))
    found = plan(account, path="/open").pending
    assert found is not None
    assert {each.what: each.fields for each in found} == {
        "GET /plain": ("authorization",),
        "GET /other": (),
    }


def test_a_type_that_isn_t_known_is_refused_by_name(account: Account, orders: Orders) -> None:
    orders.put("GET", "/newer", "NONE")
    orders.deploy("prod")

    def newer(call: Call) -> Any:
        if call.operation != "GetResources":
            return None
        items = orders.aws.get_resources(**orders.place, embed=["methods"])["items"]
        for item in items:
            if item["path"] == "/newer":
                its = item["resourceMethods"]["GET"]
                its |= {"authorizationType": "PASSKEY", "authorizerId": orders.jwt}
        return AWSResponse("https://aws.invalid/", 200, {}, None), {"items": items}

    with account.calls.watched(newer):
        found = plan(account, path="/[no]*")
        left = next(row for row in found.rows if row.name == "GET /newer")
        assert left.action == "left out"
        assert "this cogauth doesn't know its authorization type PASSKEY" in left.why
        assert left.before is not None
        assert left.before["authorizerId"] == orders.jwt
        assert found.api is not None
        assert found.api.words(account.context(), left.before) == "PASSKEY jwt"
        with pytest.raises(UsageError, match=r"GET /newer: this cogauth doesn't know its"):
            plan(account, path="/newer")


# ---- bad input


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"api": "nowhere"}, r"nowhere.*no REST API has that id or name.*orders"),
        ({"path": "/nowhere*"}, r"/nowhere\*.*matches no method.*GET /open"),
        ({"method": "PATCH"}, r"PATCH.*matches no method"),
        ({"stage": "beta"}, r"beta.*no such stage.*prod"),
    ],
)
def test_bad_input_is_named_with_what_there_is(
    account: Account, orders: Orders, given_: dict[str, Any], said: str
) -> None:
    before, text = orders.methods(), account.path().read_text()
    with account.calls.watched() as calls, pytest.raises(UsageError, match=f"(?s){said}"):
        attach(account, **given_)
    assert [call for call in calls if call.mutating] == []
    assert (orders.methods(), account.path().read_text()) == (before, text)


def test_names_and_stages_that_are_ambiguous_are_listed(account: Account, orders: Orders) -> None:
    second = Orders(account, stages=("beta", "prod"))
    with pytest.raises(UsageError) as caught:
        plan(account)
    assert orders.id in str(caught.value)
    assert second.id in str(caught.value)
    assert [row.name for row in plan(account, orders.id, "/iam").rows] == ["GET /iam"]
    with pytest.raises(UsageError, match="several stages: beta, prod"):
        plan(account, second.id)
    assert plan(account, second.id, stage="beta").stages == ["beta"]


def test_an_api_that_can_t_be_deployed_is_not_touched(account: Account, orders: Orders) -> None:
    with pytest.raises(UsageError, match="create-deployment --rest-api-id"):
        plan(account, Orders(account, "unused", stages=()).id)
    orders.aws.put_method(**orders.at("GET", "/bare"), authorizationType="NONE")
    with pytest.raises(UsageError, match="GET /bare has no integration"):
        plan(account)


# ---- what else goes live


def test_nothing_else_is_pending_after_a_deployment(account: Account, orders: Orders) -> None:
    assert plan(account).pending == []
    attach(account)
    orders.deploy("prod")
    assert engine.plan_detach(account.context(), orders.id).pending == []


def test_what_else_goes_live_is_said(account: Account, orders: Orders) -> None:
    orders.put("GET", "/new", "NONE")
    orders.patch("GET", "/iam", ("replace", "/apiKeyRequired", "true"))
    orders.patch("GET", "/jwt", ("replace", "/authorizationType", "NONE"))
    orders.aws.delete_method(**orders.at("POST", "/open"))
    orders.aws.put_integration(
        **orders.at("GET", "/pool"),
        type="HTTP",
        uri="https://orders.example/",
        integrationHttpMethod="GET",
    )
    orders.aws.update_authorizer(
        **orders.place,
        authorizerId=orders.pool,
        patchOperations=[{"op": "add", "path": "/providerARNs", "value": f"{OTHER_POOL}2"}],
    )
    found = plan(account, path="/open").pending
    assert found is not None
    assert {each.what: (each.change, each.fields) for each in found} == {
        "GET /new": ("new", ()),
        "POST /open": ("deleted", ()),
        "GET /iam": ("changed", ("authorization",)),
        "GET /jwt": ("changed", ("authorization",)),
        "GET /pool": (
            "changed",
            (
                "integration's type",
                "integration's URI",
                "integration's HTTP method",
                "integration's request templates",
                "integration's answers",
            ),
        ),
        "authorizer their pool": ("changed", ("user pools",)),
    }


@pytest.mark.parametrize("code", ["BadRequestException", "UnknownOperationException"])
def test_an_endpoint_that_can_t_export_is_said(account: Account, orders: Orders, code: str) -> None:
    with account.calls.watched(
        lambda call: refusal(400, code) if call.operation == "GetExport" else None
    ):
        found = plan(account)
    assert found.pending is None
    assert code in found.unknown
    assert orders.deployments() == []


authorizations = st.builds(
    lambda kind, scopes, key: {
        "authorizationType": kind,
        "authorizerId": None if kind in rest_apis.WITHOUT_AUTHORIZER else "abc123",
        "authorizationScopes": sorted(scopes) if kind in {rest_apis.COGNITO, rest_apis.JWT} else [],
        "apiKeyRequired": key,
    },
    st.sampled_from(rest_apis.KNOWN_TYPES),
    st.sets(st.sampled_from(["a/r", "a/w", "b"])),
    st.booleans(),
)


@given(authorizations, authorizations)
def test_a_patch_leads_from_any_authorization_to_any_other(
    before: Authorization, after: Authorization
) -> None:
    now: dict[str, Any] = {**before, "authorizationScopes": set(before["authorizationScopes"])}
    for operation in work.patch(before, after):
        key, value = operation["path"][1:], operation["value"]
        if key == "authorizationScopes":
            # Each operation is valid by itself: scopes need an authorizer for a user pool's tokens.
            assert now["authorizationType"] in {rest_apis.COGNITO, rest_apis.JWT}
            {"add": now[key].add, "remove": now[key].remove}[operation["op"]](value)
        else:
            now[key] = value == "true" if key == "apiKeyRequired" else value
    assert (
        rest_apis.authorization_of(
            {**now, "authorizationScopes": sorted(now["authorizationScopes"])}
        )
        == after
    )
    assert work.patch(before, before) == []


# ---- detach and down


def test_detach_gives_back_exactly_what_was_there(account: Account, orders: Orders) -> None:
    before, deployed = orders.methods(), orders.deployed()
    attach(account, scopes=(SCOPE,))
    result = detach(account)[0]
    assert sorted(result.restored) == sorted(set(before) - {"OPTIONS /open"})
    assert (result.left_alone, result.problems) == ([], [])
    assert orders.methods() == before
    assert orders.deployed() == deployed
    assert sorted(orders.authorizers()) == ["jwt", "their pool"]
    assert account.state().attachments == {}
    # The deployment that the stage uses has to stay.
    assert orders.deployments() == ["prod"]
    assert detach(account) == []


def test_some_methods_are_given_back(account: Account, orders: Orders) -> None:
    before = orders.methods()
    attach(account)
    assert detach(account, path="/open", method="get")[0].restored == ["GET /open"]
    assert orders.methods()["GET /open"] == before["GET /open"]
    assert orders.security("GET", "/open") == []
    assert ours(account) in orders.authorizers()
    assert orders.security("GET", "/iam") == [{ours(account): []}]
    with pytest.raises(UsageError, match="matches no method"):
        detach(account, path="/open", method="get")
    detach(account, "orders")
    assert orders.methods() == before
    with pytest.raises(UsageError, match=r"attached to such an API\. It is attached to no API"):
        detach(account, "orders")


def test_what_someone_changed_since_is_left_alone_and_named(
    account: Account, orders: Orders
) -> None:
    attach(account)
    orders.patch("GET", "/open", ("replace", "/authorizationType", "AWS_IAM"))
    orders.aws.delete_method(**orders.at("POST", "/open"))
    result = detach(account)[0]
    assert orders.methods()["GET /open"]["authorizationType"] == "AWS_IAM"
    assert sorted(re.findall(r"\b[A-Z]+ /\w+", " ".join(result.left_alone))) == [
        "GET /open",
        "POST /open",
    ]
    assert result.problems == []
    assert account.state().attachments == {}
    assert ours(account) not in orders.authorizers()


def test_a_changed_method_that_still_needs_us_keeps_the_stack(
    account: Account, orders: Orders
) -> None:
    attach(account)
    orders.patch("GET", "/open", ("add", "/authorizationScopes", "a/b"))
    before = account.left()
    result = account.down()
    assert "GET /open" in result.problems[0]
    assert "user_pool" in {entry["step"] for entry in result.remaining}
    assert account.left() == before
    assert orders.methods()["GET /open"]["authorizationScopes"] == ["a/b"]
    assert orders.methods()["GET /iam"]["authorizationType"] == "AWS_IAM"
    # The owner sets the method back to what it should be.
    orders.patch(
        "GET",
        "/open",
        ("remove", "/authorizationScopes", "a/b"),
        ("replace", "/authorizationType", "NONE"),
    )
    result = account.down()
    assert (result.problems, result.remaining) == ([], [])
    assert account.left() == ["api orders"]


def test_a_method_that_someone_else_put_behind_our_authorizer(
    account: Account, orders: Orders
) -> None:
    authorizer = attach(account, path="/iam").authorizer
    orders.patch(
        "GET",
        "/open",
        ("replace", "/authorizationType", "COGNITO_USER_POOLS"),
        ("replace", "/authorizerId", authorizer),
    )
    result = detach(account)[0]
    assert result.restored == ["GET /iam"]
    assert "GET /open" in result.problems[0]
    assert ours(account) in orders.authorizers()
    orders.patch("GET", "/open", ("replace", "/authorizationType", "NONE"))
    assert detach(account)[0].authorizers == [authorizer]
    assert account.state().attachments == {}


def test_a_former_authorizer_that_is_gone(account: Account, orders: Orders) -> None:
    attach(account)
    orders.aws.delete_authorizer(**orders.place, authorizerId=orders.jwt)
    result = detach(account)[0]
    assert "GET /jwt" in result.problems[0]
    assert orders.jwt in result.problems[0]
    assert list(account.state().attachments[orders.id]["methods"]) == ["GET /jwt"]
    assert orders.methods()["GET /jwt"]["authorizationType"] == "COGNITO_USER_POOLS"


def test_an_api_that_is_gone(account: Account, orders: Orders) -> None:
    attach(account)
    orders.aws.delete_rest_api(**orders.place)
    result = detach(account)[0]
    assert "was deleted" in result.left_alone[0]
    assert account.state().attachments == {}


def test_after_the_state_file_was_lost_down_asks_for_the_methods(account: Account) -> None:
    account.stands()
    orders = Orders(account)
    attach(account, path="/open")
    account.path().unlink()
    ctx = account.context()
    engine.recover(ctx)
    ctx.state.save()
    (record,) = account.state().attachments.values()
    assert list(account.state().attachments) == [orders.id]
    assert record["authorizer"]["pool"] == account.state().fact("user_pool", "arn")
    before, authorizers = account.left(), orders.authorizers()
    with account.calls.watched() as calls:
        result = account.down()
    # `down` checks this itself: an emulator would let the authorizer be deleted.
    assert "was kept, because GET /open, POST /open uses it" in result.problems[0]
    assert [call for call in calls if call.mutating] == []
    assert (account.left(), orders.authorizers()) == (before, authorizers)
    for method in ("GET", "POST"):
        orders.patch(method, "/open", ("replace", "/authorizationType", "NONE"))
    assert account.down().problems == []
    assert account.left() == ["api orders"]
    assert sorted(orders.authorizers()) == ["jwt", "their pool"]


def test_down_gives_back_before_it_deletes(account: Account, orders: Orders) -> None:
    before, deployed = orders.methods(), orders.deployed()
    second = Orders(account, "second")
    first, other = attach(account), attach(account, "second")

    def look(call: Call) -> None:
        if call.operation == "DeleteUserPool":
            assert orders.methods() == before

    with account.calls.watched(look):
        result = account.down()
    assert len(result.restored) == 10
    assert [one for one in result.deleted if one["step"] == "attachment"] == [
        {"step": "attachment", "resource": "authorizer", "id": f"{api} authorizer {authorizer}"}
        for api, authorizer in ((orders.id, first.authorizer), (second.id, other.authorizer))
    ]
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == ["api orders", "api second"]
    assert (orders.methods(), orders.deployed()) == (before, deployed)
    assert sorted(second.authorizers()) == ["jwt", "their pool"]


def test_down_deletes_nothing_while_methods_can_t_be_given_back(
    account: Account, orders: Orders
) -> None:
    attach(account, orders.id)
    before = account.left()
    with account.calls.watched(
        lambda call: (
            refusal(403, "AccessDeniedException") if call.operation == "UpdateMethod" else None
        )
    ):
        result = account.down()
    assert "AccessDeniedException" in result.problems[0]
    assert account.left() == before
    assert account.down().problems == []
    assert account.left() == ["api orders"]


def test_another_stage_that_was_deployed_since_is_named(account: Account, orders: Orders) -> None:
    orders.deploy("beta")
    attach(account, stage="prod")
    assert engine.plan_detach(account.context(), orders.id).warnings == []
    orders.deploy("beta")
    found = engine.plan_detach(account.context(), orders.id)
    assert found.stages == ["prod"]
    assert "stage beta" in found.warnings[0]


def test_two_stages_are_both_deployed_to(account: Account, orders: Orders) -> None:
    orders.deploy("beta")
    attach(account, stage="prod")
    attach(account, stage="beta")
    for stage in ("prod", "beta"):
        assert orders.security("GET", "/open", stage) == [{ours(account): []}]
    detach(account)
    for stage in ("prod", "beta"):
        assert orders.security("GET", "/open", stage) == []


# ---- pace


def test_a_stage_is_deployed_to_when_only_the_owner_undid_the_method(
    account: Account, orders: Orders
) -> None:
    """Otherwise the stage would keep asking for tokens of a pool that is about to be deleted."""
    attach(account, path="/iam")
    orders.patch("GET", "/iam", ("replace", "/authorizationType", "AWS_IAM"))
    assert {ours(account): []} in orders.security("GET", "/iam")
    assert detach(account)[0].restored == []
    assert orders.security("GET", "/iam") == [{"sigv4": []}]
    assert account.state().attachments == {}


def test_a_stage_that_asks_us_no_more_is_not_deployed_to(account: Account, orders: Orders) -> None:
    attach(account, path="/iam")
    orders.patch("GET", "/iam", ("replace", "/authorizationType", "AWS_IAM"))
    orders.deploy("prod")
    assert detach(account)[0].deployment is None
    assert account.state().attachments == {}


def test_the_files_word_alone_redeploys_no_stage(account: Account) -> None:
    """A stage that was never attached keeps what it serves, whatever is pending in the API."""
    only_a_pool(account)
    orders = Orders(account, stages=("prod", "beta"))
    attach(account, orders.id, stage="prod")
    state = account.state()
    record = state.attachments[orders.id]
    record["stages"], record["outdated"], record["found"] = ["prod", "beta"], ["beta"], {}
    state.save()
    beta = {**orders.place, "stageName": "beta"}
    before = orders.aws.get_stage(**beta)["deploymentId"]
    (done,) = detach(account)
    assert done.restored
    assert orders.aws.get_stage(**beta)["deploymentId"] == before


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


def test_one_method_that_can_t_be_given_back_keeps_no_other(
    account: Account, orders: Orders
) -> None:
    before = orders.methods()
    attach(account)
    place = orders.at("GET", "/iam")

    def refuse_one(call: Call) -> Any:
        if call.operation == "UpdateMethod" and place["resourceId"] in call.sent["url_path"]:
            return refusal(400, "BadRequestException", "Not this one.")
        return None

    with account.calls.watched(refuse_one):
        result = detach(account)[0]
    (problem,) = result.problems
    assert "GET /iam of the API orders failed" in problem
    assert "Not this one" in problem
    assert {name for name in before if orders.methods()[name] != before[name]} == {"GET /iam"}
    assert list(account.state().attachments[orders.id]["methods"]) == ["GET /iam"]
    assert detach(account)[0].restored == ["GET /iam"]
    assert orders.methods() == before
    assert account.state().attachments == {}


def test_nothing_is_given_back_while_the_api_can_t_be_deployed(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/iam")
    orders.aws.put_method(**orders.at("GET", "/bare"), authorizationType="NONE")
    existing = orders.methods()
    with pytest.raises(UsageError, match="can't be deployed, because GET /bare has no integration"):
        detach(account)
    assert orders.methods() == existing


def test_what_is_attached_as_any_is_not_left_out_the_next_time(
    account: Account, orders: Orders
) -> None:
    orders.put("ANY", "/any", "NONE")
    attach(account, path="/any", method="ANY")
    assert [row.action for row in plan(account, path="/any").rows] == ["unchanged"]


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_what_someone_changes_during_a_long_run_is_not_overwritten(
    account: Account, orders: Orders, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK_AGAIN", 2)
    if command == "detach":
        attach(account)

    def change_the_last(call: Call) -> None:
        if call.operation == "UpdateMethod" and orders.path("/pool") not in call.sent["url_path"]:
            # A client other than the watched one makes the change.
            orders.patch("GET", "/pool", ("replace", "/apiKeyRequired", "true"))

    changes = account.calls.watched(after=change_the_last)
    with changes, pytest.raises(CogauthError, match="changed GET /pool of the API orders"):
        attach(account) if command == "attach" else detach(account)
    changed = orders.methods()["GET /pool"]
    assert changed["apiKeyRequired"]
    if command == "attach":
        attach(account)
        assert "GET /pool" in detach(account)[0].restored
    else:
        assert "GET /pool" in detach(account)[0].problems[0]
    assert orders.methods()["GET /pool"] == changed


def test_a_clean_up_that_is_denied_makes_no_second_deployment(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/iam")

    def deny(call: Call) -> Any:
        denied = call.operation == "DeleteDeployment"
        return refusal(403, "AccessDeniedException") if denied else None

    with account.calls.watched(deny), pytest.raises(CogauthError, match="DELETE"):
        attach(account, path="/open")
    assert orders.deployments() == ["", "prod"]
    assert attach(account, path="/open").deployment is None
    assert orders.deployments() == ["prod"]


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


def test_a_plan_shows_all_that_a_user_saw(account: Account, orders: Orders) -> None:
    seen = plan(account, path="/open")
    assert plan(account, path="/open").shown == seen.shown
    orders.put("GET", "/new", "NONE")
    assert plan(account, path="/open").shown != seen.shown


def test_hundreds_of_methods_keep_to_the_rate(account: Account, orders: Orders) -> None:
    for number in range(60):
        orders.put("GET", f"/n{number}", "NONE")
    account.time.now = 0
    attach(account, path="/n*")
    # There are 63 writes: 30 may come at once, then 10 a second; moto itself takes no time.
    assert 2.5 < account.time() < 4.5


def test_a_pace_is_a_token_bucket(account: Account) -> None:
    pace = Pace(Waiter(clock=account.time, stop=account.time), per_second=10, burst=3)
    for _ in range(3):
        pace.wait()
    assert account.time() == 0
    for _ in range(5):
        pace.wait()
    assert account.time() == pytest.approx(0.5)
    account.time.set()
    with pytest.raises(KeyboardInterrupt):
        pace.wait()


# ---- faults


COMMANDS: dict[str, Callable[[Account], object]] = {
    "attach": lambda account: attach(account, scopes=(SCOPE,)),
    "detach": detach,
    "down": lambda account: account.down() if account.path().exists() else None,
}


def world(orders: Orders, account: Account) -> Any:
    """Return what the API has and what is deployed, without what AWS makes up in each run."""
    found = [orders.methods(), orders.deployed(), orders.authorizers(), orders.deployments()]
    text = json.dumps(found, sort_keys=True)
    for name, identifier in orders.authorizers().items():
        text = text.replace(identifier, f"<{name}>")
    state = account.state()
    pool = state.fact("user_pool", "id")
    return text.replace(state.stack_id, "<stack>").replace(pool, "<pool>")


@contextlib.contextmanager
def fresh(accounts: Accounts) -> Iterator[tuple[Account, Orders]]:
    """Yield an account with a stack's pool and somebody's API."""
    with accounts() as account:
        yield account, pool_and_orders(account)


def check_ending(account: Account, orders: Orders, ending: str, clean: dict[str, Any]) -> None:
    """Run a command after a fault: the API must be as after a clean run of it, or as before."""
    COMMANDS[ending](account)
    if ending == "attach":
        assert world(orders, account) == clean["attached"]
        assert account.state().attachments[orders.id]["outdated"] == []
        # All of it can still be given back, too.
        COMMANDS["detach"](account)
    assert [orders.methods(), sorted(orders.authorizers())] == clean["before"]
    # None of our deployments is left over, except the one that the stage may use.
    assert orders.deployments() in ([], ["prod"])
    assert orders.deployed()["paths"] == clean["deployed"]
    if ending == "down":
        assert account.left() == ["api orders"]
        assert not account.path().exists()
    else:
        assert account.state().attachments == {}


def clean_run(accounts: Accounts) -> dict[str, Any]:
    with fresh(accounts) as (account, orders):
        found: dict[str, Any] = {
            "before": [orders.methods(), sorted(orders.authorizers())],
            "deployed": orders.deployed()["paths"],
        }
        attach(account, scopes=(SCOPE,))
        found["attached"] = world(orders, account)
        return found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["attach", "detach"])
@pytest.mark.sample(8)
def test_after_a_fault_at_any_call(
    accounts: Accounts, pytestconfig: pytest.Config, command: str, fault: str
) -> None:
    clean = clean_run(accounts)
    everything = pytestconfig.getoption("--all-faults")
    met = 0
    for number in range(40):
        # Each call gets two of the faults, in turn; the commands that follow also take turns.
        place = number + list(FAULTS).index(fault)
        turn = [list(COMMANDS)[place // 3 % 3]] if place % 3 == 0 else []
        for ending in COMMANDS if everything else turn:
            with fresh(accounts) as (account, orders):
                clean["before"] = [orders.methods(), sorted(orders.authorizers())]
                if command == "detach":
                    attach(account, scopes=(SCOPE,))
                run = functools.partial(COMMANDS[command], account)
                if run_with_fault(account, run, FAULTS[fault], nth(number))[0] is None:
                    assert met > 3
                    return
                met += 1
                check_ending(account, orders, ending, clean)


def test_after_a_fault_at_a_call_of_down(accounts: Accounts, pytestconfig: pytest.Config) -> None:
    clean = clean_run(accounts)
    # With an odd step both faults are used.
    for number in range(0, 20, 1 if pytestconfig.getoption("--all-faults") else 3):
        with fresh(accounts) as (account, orders):
            clean["before"] = [orders.methods(), sorted(orders.authorizers())]
            attach(account, scopes=(SCOPE,))
            fault = FAULTS[("stopped after", "answer lost")[number % 2]]
            run_with_fault(account, account.down, fault, nth(number))
            check_ending(account, orders, "down", clean)


def test_a_run_that_is_stopped_after_each_write_touches_no_method_twice(
    accounts: Accounts,
) -> None:
    clean = clean_run(accounts)
    with fresh(accounts) as (account, orders):
        touched: list[str] = []

        def stop_after_a_write(call: Call) -> None:
            place = f"{call.operation} {call.sent['url_path'].partition('/deployments/')[0]}"
            if call.mutating:
                touched.append(place)
                if touched.count(place) == 1:
                    raise StoppedError

        for _ in range(60):
            with contextlib.suppress(StoppedError), account.calls.watched(after=stop_after_a_write):
                attach(account, scopes=(SCOPE,))
                break
        assert world(orders, account) == clean["attached"]
        updates = [one for one in touched if one.startswith("UpdateMethod")]
        assert len(updates) == len(set(updates)) == 5
        assert len([one for one in touched if one.startswith("CreateAuthorizer")]) == 1
