"""What attaching plans: the chosen methods, bad input, and what else goes live."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from cogauth import engine
from cogauth.errors import UsageError
from support.account import Account
from support.attached import OTHER_POOL, Orders, attach, plan, put_jwt
from support.calls import Call, refusal

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


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


# ---- authorizers of type JWT, and of types that this code doesn't know yet


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


def test_a_plan_shows_all_that_a_user_saw(account: Account, orders: Orders) -> None:
    seen = plan(account, path="/open")
    assert plan(account, path="/open").shown == seen.shown
    orders.put("GET", "/new", "NONE")
    assert plan(account, path="/open").shown != seen.shown
