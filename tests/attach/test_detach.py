"""`detach`, and `down` before it deletes, give methods back as they were."""

import re

import pytest

from cogauth import engine
from cogauth.errors import UsageError
from support.account import Account
from support.attached import SCOPE, Orders, attach, detach, only_a_pool, ours
from support.calls import Call, refusal


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
    assert {(one["step"], one["resource"]) for one in result.restored} == {("attachment", "method")}
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


def test_nothing_is_given_back_while_the_api_can_t_be_deployed(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/iam")
    orders.aws.put_method(**orders.at("GET", "/bare"), authorizationType="NONE")
    existing = orders.methods()
    with pytest.raises(UsageError, match="can't be deployed, because GET /bare has no integration"):
        detach(account)
    assert orders.methods() == existing
