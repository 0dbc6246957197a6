"""Attached guards that are gone: what the stack recorded, compared with what AWS says now."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth import engine
from cogauth.attach import guards
from cogauth.attach.model import read
from cogauth.checks.verify.subject import find_subject
from cogauth.cli.up import _say_lost_guards, _say_lost_pools
from cogauth.errors import CogauthError, UsageError
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
)
from support.calls import refusal
from support.commands import parsed

if TYPE_CHECKING:
    from support.account import Account
    from support.calls import Call

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def look(account: Account, orders: Orders) -> guards.Comparison:
    found = guards.look(account.context(), orders.id)
    assert found is not None
    return found


def lost(account: Account, orders: Orders) -> dict[str, str]:
    """Return the lost guards, with what is there in place of each."""
    return {each.name: each.found for each in look(account, orders).lost}


def mend(account: Account, orders: Orders) -> None:
    """Run the suggested ``attach`` and ``detach`` commands."""
    for each in look(account, orders).findings:
        _cogauth, command, *words = shlex.split(each.mend)
        given_ = parsed(command, words).params
        wanted = {name: given_[name] for name in ("path", "method")}
        if command == "detach":
            detach(account, given_["api"], **wanted)
        else:
            wanted |= {name: given_[name] for name in ("scopes", "stage")}
            attach(account, given_["api"], **wanted)


def replace_path(orders: Orders, path: str, *methods: str, **how: Any) -> None:
    """Delete a path with its methods and recreate it, as an owner's own tool may do."""
    orders.aws.delete_resource(**orders.place, resourceId=orders.paths.pop(path))
    for method in methods:
        orders.put(method, path, how.pop("kind", "NONE"), **how)
    orders.deploy("prod")


def test_nothing_is_lost_as_long_as_nobody_changes_it(account: Account, orders: Orders) -> None:
    attach(account)
    found = look(account, orders)
    assert found.lost == ()
    assert found.held == {"GET /iam", "GET /jwt", "GET /open", "GET /pool", "POST /open"}
    assert found.unknown == ""


@pytest.mark.parametrize("scopes", [(), (SCOPE, "b/x")])
def test_a_path_that_was_replaced_is_open_and_is_attached_again(
    account: Account, orders: Orders, scopes: tuple[str, ...]
) -> None:
    attach(account, path="/open", scopes=scopes)
    replace_path(orders, "/open", "GET", "POST")
    assert lost(account, orders) == {"GET /open": "NONE", "POST /open": "NONE"}
    assert look(account, orders).held == frozenset()
    mend(account, orders)
    assert lost(account, orders) == {}
    for method in ("GET", "POST"):
        assert orders.security(method, "/open") == [{ours(account): sorted(scopes)}]
    # The method gets back what it had at the second attach, not what it had at first.
    detach(account)
    assert orders.methods()["POST /open"] == {
        "authorizationType": "NONE",
        "authorizerId": None,
        "authorizationScopes": [],
        "apiKeyRequired": False,
    }
    assert account.state().attachments == {}


def test_a_path_that_was_replaced_with_our_guard_on_it_is_still_attached(
    account: Account, orders: Orders
) -> None:
    authorizer = attach(account, path="/jwt").authorizer
    replace_path(orders, "/jwt", "GET", kind="COGNITO_USER_POOLS", authorizerId=authorizer)
    assert look(account, orders).held == {"GET /jwt"}
    assert lost(account, orders) == {}
    assert attach(account, path="/jwt").deployment is None
    recorded = account.state().attachments[orders.id]["methods"]["GET /jwt"]
    assert recorded["resource_id"] == orders.path("/jwt")
    # The former authorizer is found by its name.
    assert detach(account)[0].restored == ["GET /jwt"]
    assert orders.methods()["GET /jwt"]["authorizerId"] == orders.jwt
    assert ours(account) not in orders.authorizers()


def test_an_owners_own_authorizer_of_our_pool_is_a_guard(account: Account, orders: Orders) -> None:
    attach(account, path="/open", method="GET")
    pool = account.state().fact("user_pool", "arn")
    patch = [{"op": "add", "path": "/providerARNs", "value": pool}]
    orders.aws.update_authorizer(**orders.place, authorizerId=orders.pool, patchOperations=patch)
    orders.patch("GET", "/open", ("replace", "/authorizerId", orders.pool))
    orders.deploy("prod")
    assert lost(account, orders) == {}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("AWS_IAM", "AWS_IAM"),
        ("COGNITO_USER_POOLS", "COGNITO_USER_POOLS their pool"),
        ("CUSTOM", "CUSTOM jwt"),
        ("JWT", "JWT their issuer of /other"),
    ],
)
def test_another_guard_is_named(account: Account, orders: Orders, kind: str, found: str) -> None:
    attach(account, path="/open", method="GET")
    authorizer = {
        "COGNITO_USER_POOLS": orders.pool,
        "CUSTOM": orders.jwt,
        "JWT": put_jwt(orders, "/other"),
    }
    more = [("replace", "/authorizerId", authorizer[kind])] if kind in authorizer else []
    orders.patch("GET", "/open", ("replace", "/authorizationType", kind), *more)
    orders.deploy("prod")
    assert lost(account, orders) == {"GET /open": found}
    assert orders.methods()["GET /open"]["authorizationType"] == kind
    mend(account, orders)
    assert lost(account, orders) == {}
    detach(account)
    assert orders.methods()["GET /open"]["authorizationType"] == kind


def test_our_authorizer_with_another_pool_is_no_guard(account: Account, orders: Orders) -> None:
    authorizer = attach(account, path="/iam").authorizer
    pool = account.state().fact("user_pool", "arn")
    patch = [
        {"op": "add", "path": "/providerARNs", "value": OTHER_POOL},
        {"op": "remove", "path": "/providerARNs", "value": pool},
    ]
    orders.aws.update_authorizer(**orders.place, authorizerId=authorizer, patchOperations=patch)
    assert lost(account, orders) == {"GET /iam": f"COGNITO_USER_POOLS {ours(account)}"}
    mend(account, orders)
    assert lost(account, orders) == {}


def test_a_method_that_is_gone_is_forgotten(account: Account, orders: Orders) -> None:
    attach(account, path="/open")
    orders.aws.delete_method(**orders.at("POST", "/open"))
    (found,) = look(account, orders).lost
    assert (found.name, found.found) == ("POST /open", "gone")
    assert f"run '{found.mend}' to drop it from the record." in found.sentence
    mend(account, orders)
    assert list(account.state().attachments[orders.id]["methods"]) == ["GET /open"]
    assert lost(account, orders) == {}


def delete(orders: Orders, path: str) -> None:
    orders.aws.delete_resource(**orders.place, resourceId=orders.paths.pop(path))


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ("ANY /any", ["GET /any"], ["answered by GET /any (NONE)"]),
        ("ANY /any", ["GET /any", "OPTIONS /any"], ["answered by GET /any (NONE)"]),
        (
            "ANY /any",
            ["GET /any", "POST /any"],
            ["answered by GET /any (NONE)", "answered by POST /any (NONE)"],
        ),
        ("GET /any", ["ANY /any"], ["answered by ANY /any (NONE)"]),
        ("GET /{id}", ["GET /{orderId}"], ["answered by GET /{orderId} (NONE)"]),
        ("GET /any", ["ANY /{proxy+}"], ["answered by ANY /{proxy+} (NONE)"]),
        ("GET /any", ["GET /{proxy+}", "POST /any"], ["answered by GET /{proxy+} (NONE)"]),
        ("GET /any", ["POST /any", "GET /elsewhere"], ["gone"]),
    ],
)
def test_what_answers_in_the_place_of_a_method_that_is_gone(
    account: Account, orders: Orders, was: str, now: list[str], found: list[str]
) -> None:
    verb, _, path = was.partition(" ")
    orders.put(verb, path, "NONE")
    attach(account, path=path, method=verb, scopes=(SCOPE,))
    delete(orders, path)
    for each in now:
        orders.put(*each.split(" "), "NONE")
    orders.deploy("prod")
    compared = look(account, orders)
    assert [(one.name, one.found) for one in compared.lost] == [(was, each) for each in found]
    # 'detach' reports it as well.
    ctx = account.context()
    (row,) = engine.plan_detach(ctx, orders.id).rows
    assert [one.found for one in row.lost] == [each for each in found if each != "gone"]
    # The suggested commands restore the guard; then only a record of a missing method is left.
    if found != ["gone"]:
        mend(account, orders)
        for each in found:
            answer = each.split("answered by ")[1].removesuffix(" (NONE)")
            assert orders.methods()[answer]["authorizationScopes"] == [SCOPE]
    assert lost(account, orders) == {was: "gone"}
    mend(account, orders)
    record = account.state().attachments.get(orders.id)
    assert record is None or (was not in record["methods"] and lost(account, orders) == {})


def test_a_method_that_another_of_ours_answers_for_is_only_gone(
    account: Account, orders: Orders
) -> None:
    orders.put("GET", "/any", "NONE")
    orders.put("ANY", "/{proxy+}", "NONE")
    attach(account, path="/any", scopes=(SCOPE,))
    attach(account, path="/{proxy+}", method="ANY")
    delete(orders, "/any")
    assert lost(account, orders) == {"GET /any": "gone"}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ((SCOPE,), (), "without scopes"),
        ((SCOPE,), (SCOPE, "b/x"), f"with the scopes {SCOPE} b/x"),
        ((SCOPE, "b/x"), ("b/x",), "with the scopes b/x"),
        ((), (SCOPE,), f"with the scopes {SCOPE}"),
    ],
)
def test_a_guard_with_other_scopes(
    account: Account,
    orders: Orders,
    before: tuple[str, ...],
    after: tuple[str, ...],
    found: str,
) -> None:
    """Without scopes, our authorizer accepts any ID token."""
    authorizer = attach(account, path="/iam", scopes=before).authorizer
    guard = {"kind": "COGNITO_USER_POOLS", "authorizerId": authorizer}
    replace_path(orders, "/iam", "GET", **guard, authorizationScopes=list(after))
    has = f"COGNITO_USER_POOLS {ours(account)} {found}"
    assert lost(account, orders) == {"GET /iam": has}
    assert look(account, orders).held == frozenset()
    (row,) = engine.plan_detach(account.context(), orders.id).rows
    assert [one.found for one in row.lost] == [has]
    # Now only the stage has the wrong guard.
    orders.aws.delete_method(**orders.at("GET", "/iam"))
    orders.put("GET", "/iam", **guard, authorizationScopes=list(before))
    assert lost(account, orders) == {"GET /iam": f"{has} on the stage prod"}
    mend(account, orders)
    assert lost(account, orders) == {}
    assert orders.security("GET", "/iam") == [{ours(account): sorted(before)}]


def test_our_authorizer_that_takes_another_pool_too(account: Account, orders: Orders) -> None:
    authorizer = attach(account, path="/iam").authorizer
    patch = [{"op": "add", "path": "/providerARNs", "value": OTHER_POOL}]
    orders.aws.update_authorizer(**orders.place, authorizerId=authorizer, patchOperations=patch)
    has = f"COGNITO_USER_POOLS {ours(account)}, which also accepts tokens of {OTHER_POOL}"
    assert lost(account, orders) == {"GET /iam": has}
    mend(account, orders)
    assert lost(account, orders) == {}
    live = orders.aws.get_authorizer(**orders.place, authorizerId=authorizer)
    assert live["providerARNs"] == [account.state().fact("user_pool", "arn")]


def test_a_stage_that_was_never_deployed_to_lost_nothing(account: Account) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("prod", "beta", "other"))
    for stage in ("beta", "prod"):
        attach(account, path="/iam", stage=stage)
    attach(account, path="/open", method="GET", stage="prod")
    found = look(account, orders)
    assert found.lost == ()
    assert found.held == {"GET /iam", "GET /open"}
    assert [(one.name, one.found) for one in found.undeployed] == [
        ("GET /open", "not deployed yet to beta")
    ]
    # A stage that nobody attached to isn't a loss either.
    api = read(account.context(), orders.id, "orders")
    assert api is not None
    there = guards.compare(account.context(), api, "other")
    assert there.lost == ()
    assert {one.found for one in there.undeployed} == {"not deployed yet to other"}
    mend(account, orders)
    assert look(account, orders).findings == ()
    assert orders.security("GET", "/open", "beta") == [{ours(account): []}]


def test_a_stage_that_is_open_is_named(account: Account) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("prod", "beta"))
    warned = plan(account, path="/open", stage="beta").warnings
    assert [one for one in warned if "prod isn't guarded: anyone can call GET /open there" in one]
    assert not any("/iam there" in one or "POST /open" in one for one in warned)
    attach(account, path="/*", stage="beta")
    api = read(account.context(), orders.id, "orders")
    assert api is not None
    found = guards.compare(account.context(), api, everywhere=True)
    assert {(one.name, one.stage) for one in found.undeployed} == {
        (name, "prod") for name in found.held
    }
    said = {one.name: one.sentence for one in found.undeployed}
    assert "anyone can call it there" in said["GET /open"]
    # One of these has its own guard there, and the other requires an API key.
    assert "anyone" not in said["GET /iam"] + said["POST /open"]
    # Deploying there guards the method there.
    orders.deploy("prod")
    assert guards.compare(account.context(), api, everywhere=True).findings == ()
    assert not any("isn't guarded" in one for one in plan(account, path="/*").warnings)


def test_the_command_names_a_stage_that_stands(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("alpha", "beta", "prod", "other"))
    for stage in ("alpha", "beta", "prod"):
        attach(account, path="/iam", stage=stage)
    for gone, left in (("alpha", "beta"), ("beta", None)):
        orders.aws.delete_stage(**orders.place, stageName=gone)
        orders.patch("GET", "/iam", ("replace", "/authorizationType", "NONE"))
        orders.deploy("prod")
        (found,) = [one for one in look(account, orders).lost if one.found == "NONE"]
        words = parsed("attach", shlex.split(found.mend)[2:]).params
        assert words["stage"] == left
        mend(account, orders)
        for stage in ("beta", "prod") if left else ("prod",):
            attach(account, path="/iam", stage=stage)
        assert lost(account, orders) == {}
    # The command that mends a lost pool doesn't name a deleted stage either.
    ctx = account.context()
    ctx.state.attachments[orders.id]["authorizer"]["pool"] = OTHER_POOL
    capsys.readouterr()
    _say_lost_pools(ctx)
    assert "--method GET" in (told := capsys.readouterr().err)
    assert "--stage" not in told


def test_a_loss_behind_an_interrupted_run_is_told(account: Account, orders: Orders) -> None:
    """While a method is being attached again, it may change before the first call."""
    attach(account, path="/open", method="GET")
    with (
        account.calls.watched(
            lambda call: (
                refusal(403, "AccessDeniedException") if call.operation == "UpdateMethod" else None
            )
        ),
        pytest.raises(CogauthError),
    ):
        attach(account, path="/open", method="GET", scopes=(SCOPE,))
    assert look(account, orders).interrupted == ()
    replace_path(orders, "/open", "GET", kind="NONE")
    found = look(account, orders)
    assert found.lost == ()
    assert [(one.name, one.found) for one in found.interrupted] == [
        ("GET /open", "interrupted; now NONE")
    ]
    assert f"run '{found.interrupted[0].mend}'" in found.interrupted[0].sentence
    mend(account, orders)
    assert look(account, orders).findings == ()
    assert orders.security("GET", "/open") == [{ours(account): [SCOPE]}]
    # Somebody else's guard is not the former state that was to be restored.
    with (
        account.calls.watched(
            lambda call: (
                refusal(403, "AccessDeniedException") if call.operation == "UpdateMethod" else None
            )
        ),
        pytest.raises(CogauthError),
    ):
        detach(account)
    assert look(account, orders).interrupted == ()
    replace_path(orders, "/open", "GET", kind="AWS_IAM")
    (left,) = look(account, orders).interrupted
    assert left.found == "interrupted; now AWS_IAM"
    assert shlex.split(left.mend)[1] == "detach"
    mend(account, orders)
    assert account.state().attachments == {}
    assert orders.methods()["GET /open"]["authorizationType"] == "AWS_IAM"


def test_a_stage_that_serves_no_guard(account: Account, orders: Orders) -> None:
    before = orders.aws.get_stage(**orders.place, stageName="prod")["deploymentId"]
    orders.put("GET", "/new", "NONE")
    attach(account, path="/[on]*")
    patch = [{"op": "replace", "path": "/deploymentId", "value": before}]
    orders.aws.update_stage(**orders.place, stageName="prod", patchOperations=patch)
    assert lost(account, orders) == {
        "GET /new": "not deployed on the stage prod",
        "GET /open": "NONE on the stage prod",
        "POST /open": "NONE on the stage prod",
    }
    # The API itself still has the guards.
    assert orders.methods()["GET /open"]["authorizationType"] == "COGNITO_USER_POOLS"
    mend(account, orders)
    assert lost(account, orders) == {}
    assert orders.security("GET", "/open") == [{ours(account): []}]


def test_a_method_that_a_stage_lacks_altogether_is_deployed_again(
    account: Account, orders: Orders
) -> None:
    before = orders.aws.get_stage(**orders.place, stageName="prod")["deploymentId"]
    orders.put("GET", "/new", "NONE")
    attach(account, path="/new")
    patch = [{"op": "replace", "path": "/deploymentId", "value": before}]
    orders.aws.update_stage(**orders.place, stageName="prod", patchOperations=patch)
    mend(account, orders)
    assert orders.security("GET", "/new") == [{ours(account): []}]


def test_each_stage_that_was_attached_to_is_looked_at(account: Account) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("prod", "beta", "other"))
    found = {one["stageName"]: one for one in orders.aws.get_stages(**orders.place)["item"]}
    for stage in ("prod", "beta"):
        attach(account, path="/iam", stage=stage)
    patch = [{"op": "replace", "path": "/deploymentId", "value": found["beta"]["deploymentId"]}]
    orders.aws.update_stage(**orders.place, stageName="beta", patchOperations=patch)
    assert lost(account, orders) == {"GET /iam": "AWS_IAM on the stage beta"}
    mend(account, orders)
    assert lost(account, orders) == {}
    # A deleted stage serves nobody.
    orders.aws.delete_stage(**orders.place, stageName="beta")
    assert lost(account, orders) == {}
    # One of the two attached stages is left, so attach uses that one.
    assert attach(account, path="/iam").deployment is None


def test_a_run_that_was_interrupted_lost_nothing(account: Account, orders: Orders) -> None:
    attach(account, path="/open")
    ctx = account.context()
    record = ctx.state.attachments[orders.id]
    for status in ("attaching", "detaching", "detached"):
        record["methods"]["GET /open"]["status"] = status
        ctx.state.put("attachments", orders.id, record)
        orders.patch("GET", "/open", ("replace", "/authorizationType", "NONE"))
        found = look(account, orders)
        assert found.lost == ()
        assert found.held == {"POST /open"}
        # A method that was to be given back is rightly open.
        assert bool(found.interrupted) is (status == "attaching")


def test_a_pool_that_was_lost_is_another_matter(account: Account) -> None:
    """``up`` reports those APIs separately."""
    account.stands()
    orders = Orders(account)
    attach(account, path="/iam")
    pool = account.state().fact("user_pool", "id")
    account.client("cognito-idp").delete_user_pool(UserPoolId=pool)
    account.up(confirm=lambda _what: None)
    assert lost(account, orders) == {}
    attach(account, path="/iam")
    assert lost(account, orders) == {}


def test_what_can_not_be_exported_is_not_known(account: Account, orders: Orders) -> None:
    attach(account, path="/iam")
    with account.calls.watched(
        lambda call: refusal(400, "BadRequestException") if call.operation == "GetExport" else None
    ):
        found = look(account, orders)
    assert found.lost == ()
    assert "what the stage prod serves (BadRequestException" in found.unknown


# ---- verify


def test_verify_looks_at_the_stage_that_it_calls(account: Account) -> None:
    account.stands()
    orders = Orders(account)
    before = orders.aws.get_stage(**orders.place, stageName="prod")["deploymentId"]
    attach(account, path="/open")
    assert find_subject(account.context(), orders.id).lost == ()
    patch = [{"op": "replace", "path": "/deploymentId", "value": before}]
    orders.aws.update_stage(**orders.place, stageName="prod", patchOperations=patch)
    found = find_subject(account.context(), orders.id)
    assert [(row.sent, row.got, row.ok) for row in found.lost] == [
        ("GET /open", "NONE on the stage prod", False),
        ("POST /open", "NONE on the stage prod", False),
    ]
    with account.calls.watched(
        lambda call: refusal(400, "BadRequestException") if call.operation == "GetExport" else None
    ):
        found = find_subject(account.context(), orders.id)
    assert found.lost == ()
    unknown = next(row for row in found.not_called if row.check == "guard as deployed")
    assert (unknown.sent, unknown.ok) == ("prod", None)
    assert "what the stage prod serves (BadRequestException" in unknown.note


def test_verify_of_the_stacks_own_api_tells_of_all_that_was_attached_there(
    account: Account,
) -> None:
    account.stands()
    rest_api = account.state().fact("rest_api", "id")
    attach(account, rest_api, path="/hello")
    state = account.state()
    record = state.attachments[rest_api]
    record["methods"]["POST /orders"] = record["methods"]["GET /hello"]
    state.put("attachments", rest_api, record)
    found = find_subject(account.context())
    assert [row.sent for row in found.lost] == ["POST /orders"]
    assert [str(place) for place in found.called] == ["GET /hello"]


def test_verifys_rows_of_what_was_interrupted_and_of_what_is_not_deployed_yet(
    account: Account,
) -> None:
    account.stands()
    orders = Orders(account, stages=("prod", "beta"))
    for stage in ("prod", "beta"):
        attach(account, path="/iam", stage=stage)
    attach(account, path="/open", method="GET", stage="prod")
    rows = find_subject(account.context(), orders.id, stage="beta").lost
    assert [(row.sent, row.got, row.ok) for row in rows] == [
        ("GET /open", "not deployed yet to beta", None)
    ]
    state = account.state()
    record = state.attachments[orders.id]
    record["methods"]["GET /iam"]["status"] = "attaching"
    state.put("attachments", orders.id, record)
    orders.patch("GET", "/iam", ("replace", "/authorizationType", "NONE"))
    rows = find_subject(account.context(), orders.id, stage="prod").lost
    assert [(row.sent, row.got, row.ok) for row in rows] == [
        ("GET /iam", "interrupted; now NONE", False)
    ]


def test_what_is_not_deployed_yet_is_no_check_of_the_guard(account: Account) -> None:
    account.stands()
    orders = Orders(account, stages=("prod", "beta"))
    attach(account, path="/open", method="POST", stage="prod")
    with pytest.raises(UsageError, match="but not yet deployed to the stage beta"):
        find_subject(account.context(), orders.id, stage="beta")


# ---- up


def said(account: Account, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    ctx = account.context()
    ctx.state.profile = "work"
    _say_lost_guards(ctx)
    return capsys.readouterr().err.splitlines()


def test_up_names_what_is_lost(
    account: Account, orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(account, path="/open", scopes=(SCOPE,))
    assert said(account, capsys) == []
    replace_path(orders, "/open", "GET")
    api = f"the API orders ({orders.id})"
    attaching = f"cogauth attach --api {orders.id} --path /open --method GET --scope {SCOPE}"
    detaching = f"cogauth detach --api {orders.id} --path /open --method POST"
    options = f"{account.state().options} --profile work".strip()
    assert "\n".join(said(account, capsys)) == (
        f"Warning: {api}: GET /open was attached, but lost its guard (NONE): "
        f"'{attaching} {options}' guards it again.\n"
        f"Warning: {api}: POST /open was attached, and doesn't exist any more: "
        f"run '{detaching} {options}' to drop it from the record."
    )
    orders.aws.delete_rest_api(**orders.place)
    (line,) = said(account, capsys)
    mend = f"Run 'cogauth detach --api {orders.id} {options}' to remove it from the state file."
    assert mend in line


def test_up_names_ten_of_many(
    account: Account, orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    for nth in range(12):
        orders.put("GET", f"/n{nth}", "NONE")
    attach(account, path="/n*")
    for nth in range(12):
        orders.patch("GET", f"/n{nth}", ("replace", "/authorizationType", "NONE"))
    *lines, last = said(account, capsys)
    assert len(lines) == 10
    assert "2 more. Run 'cogauth attach --api" in last


@pytest.mark.parametrize("operation", ["GetResources", "GetAuthorizers", "GetStages", "GetExport"])
def test_what_up_can_not_read_is_told_and_no_error(
    account: Account, orders: Orders, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(account, path="/iam")

    def deny(call: Call) -> Any:
        denied = call.operation == operation
        return refusal(403, "AccessDeniedException") if denied else None

    with account.calls.watched(deny):
        (line,) = said(account, capsys)
    assert f"can't check whether the API orders ({orders.id}) is still guarded" in line
    assert "AccessDeniedException" in line


def test_up_keeps_to_the_rate_of_get_resources(
    account: Account, orders: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit is 5 in 2 s; reading one API takes only a few calls."""
    attach(account, path="/iam")
    with account.calls.watched() as made:
        assert said(account, capsys) == []
    assert len(made) == 4
    ctx = account.context()
    for nth in range(13):
        ctx.state.put("attachments", f"gone{nth}", ctx.state.attachments[orders.id])
    assert len(said(account, capsys)) == 13
    assert 4.5 < account.time() < 6
    # An API without attached methods, as after a lost state file, costs no call.
    for api in list(ctx.state.attachments):
        ctx.state.attachments[api]["methods"] = {}
        ctx.state.save()
    with account.calls.watched() as made:
        assert said(account, capsys) == []
    assert made == []


def test_up_leaves_an_own_method_alone_whose_path_was_made_anew(account: Account) -> None:
    account.stands()
    rest_api = account.state().fact("rest_api", "id")
    attach(account, rest_api, path="/hello", scopes=(SCOPE,))
    api = account.client("apigateway")
    attached = next(
        one["id"]
        for one in api.get_authorizers(restApiId=rest_api)["items"]
        if one["name"] == ours(account)
    )
    place = {"restApiId": rest_api}
    former = account.state().fact("hello_resource", "id")
    api.delete_resource(**place, resourceId=former)
    root = account.state().fact("rest_api", "root")
    made = api.create_resource(**place, parentId=root, pathPart="hello")["id"]
    place |= {"resourceId": made, "httpMethod": "GET"}
    api.put_method(
        **place,
        authorizationType="COGNITO_USER_POOLS",
        authorizerId=attached,
        authorizationScopes=[SCOPE],
    )
    api.put_integration(**place, type="MOCK")
    # AWS refuses a second path with this name, so 'up' takes this one; moto would make two of it.
    state = account.state()
    record = state.record("hello_resource")
    assert record is not None
    state.put("resources", "hello_resource", {**record, "id": made})
    account.up()
    live = api.get_method(**place)
    assert (live["authorizerId"], live["authorizationScopes"]) == (attached, [SCOPE])


# ---- detach


@pytest.mark.parametrize("kind", ["NONE", "AWS_IAM"])
def test_detach_names_what_was_lost(account: Account, orders: Orders, kind: str) -> None:
    """NONE is what the method had before, so nothing is left to be given back."""
    attach(account, path="/open", method="GET")
    replace_path(orders, "/open", "GET", kind=kind)
    options = account.state().options
    result = detach(account)[0]
    (line,) = result.left_alone
    assert line.startswith(f"GET /open of the API orders ({orders.id}) was left alone: ")
    command = f"cogauth attach --api {orders.id} --path /open --method GET{options}"
    assert result.lost == [f"GET /open had already lost its guard: '{command}' guards it again."]
    assert orders.methods()["GET /open"]["authorizationType"] == kind
    assert account.state().attachments == {}
    # What was given back earlier is no loss.
    attach(account, path="/open", method="GET")
    result = detach(account)[0]
    assert (result.left_alone, result.lost) == ([], [])


# ---- the command that restores a guard


@given(
    st.text("/abc{}+-._:", min_size=1).map("/".__add__),
    st.sampled_from(["GET", "ANY", "POST"]),
    st.lists(
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), max_size=3
    ),
    st.lists(st.text("abc_0", min_size=1), min_size=1, max_size=2),
)
def test_the_command_means_the_same_as_the_record(
    path: str, verb: str, scopes: list[str], stages: list[str]
) -> None:
    record: Any = {
        "stages": stages,
        "methods": {f"{verb} {path}": {"ours": [{}, {"authorizationScopes": scopes}]}},
    }
    words = guards.options_of(record, stages, f"{verb} {path}")
    given_ = parsed("attach", shlex.split(f"--api a1 {words}")).params
    assert (given_["path"], given_["method"]) == (path, verb)
    assert list(given_["scopes"]) == scopes
    assert given_["stage"] == (stages[0] if stages[1:] else None)
