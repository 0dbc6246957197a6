"""What a state file says of ids and methods is checked with AWS."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, NotOwnedError
from cogauth.record.records import ATTACHED, CREATED, CREATING, DELETING, OUTDATED
from support.account import Account, Silent
from support.attached import OTHER_POOL, Orders, attach, detach, ours, pool_and_orders
from support.calls import Call, refusal
from support.foreign import describe_api, describe_pool, make_api, make_pool
from support.ownership import (
    api_arn,
    command,
    function,
    ids,
    in_china,
    nobodys,
    others,
    pool_arn,
    record_another,
    two_stacks,
)
from support.stacks import (
    SIGN_IN,
    STACK,
    UNCHANGED,
    delete_pool,
    existing,
    fact,
    mutations,
    shown,
    update_pool,
)
from support.tampers import put_back_retention

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


# ---- Ids of other resources in the state file


ROOTS = {
    "user_pool": "user_pool",
    "rest_api": "rest_api",
    "role": "role",
    "sign_in_function": "sign_in_function",
    "auto_confirm_function": "auto_confirm_function",
    "sign_in_log_group": "sign_in_function",
    "auto_confirm_log_group": "auto_confirm_function",
}


@pytest.mark.parametrize("key", ROOTS)
@pytest.mark.sample(6)
def test_down_leaves_another_stacks_thing_alone_and_forgets_it(account: Account, key: str) -> None:
    alone = account.as_after(two_stacks)
    theirs = account.state("shop2").record(key)
    assert theirs is not None
    record_another(account, key, theirs)
    # Whether the tags of the stack are to be put back is no question here.
    assert not any(one.adoptable for one in engine.plan_down(account.context()).not_ours)
    result = account.down()
    assert (others(account), existing(account)) == alone
    assert result.not_ours == [{"step": ROOTS[key], "resource": key, "id": theirs["id"]}]
    assert any(theirs["id"] in words for words in result.left_alone)
    assert (result.remaining, result.problems) == ([], [])
    assert not result.clean
    # A second run has nothing to do and nothing to say.
    assert account.state().resources == {}
    assert account.down().clean
    assert not account.path().exists()
    assert (others(account), existing(account)) == alone
    assert account.up("shop2") == UNCHANGED


@pytest.mark.parametrize("key", ["user_pool", "rest_api"])
def test_down_leaves_what_nobody_tagged_alone_with_all_in_it(account: Account, key: str) -> None:
    account.stands()
    if key == "user_pool":
        theirs, describe = make_pool(account, "theirs", 2), describe_pool
        record_another(account, key, {"id": theirs, "arn": pool_arn(account, theirs)})
    else:
        theirs, describe = make_api(account, "theirs"), describe_api
        record_another(account, key, {"id": theirs, "arn": api_arn(account, theirs)})
    before = describe(account, theirs)
    with account.calls.watched() as calls:
        result = account.down(asked=True)
    assert describe(account, theirs) == before
    # Nothing inside it was changed either: no client, stage, deployment or authorizer.
    assert not [call for call in calls if call.mutating and theirs in str(call.sent)]
    assert ids(result.not_ours) == [theirs]
    assert "it carries no cogauth tag" in result.left_alone[0]
    assert account.down().clean
    assert describe(account, theirs) == before


@pytest.mark.parametrize("key", ROOTS)
def test_an_id_of_nobody_counts_as_gone(account: Account, key: str) -> None:
    account.stands()
    real = fact(account, key)
    record_another(account, key, nobodys(account, key))
    account.down()
    account.down()
    # The stack's own has its name, its tag, and a part that only the stack creates.
    assert account.left() == [], real
    assert not account.path().exists()


@pytest.mark.parametrize("key", ["user_pool", "rest_api"])
def test_up_refuses_a_recorded_thing_of_another_stack_before_anything_is_changed(
    account: Account, key: str
) -> None:
    account.as_after(two_stacks)
    theirs = account.state("shop2").record(key)
    assert theirs is not None
    record_another(account, key, theirs)
    before = others(account), existing(account)
    with account.calls.watched() as calls, pytest.raises(NotOwnedError) as caught:
        account.up(throttle_rate=3, tier="PLUS", sign_in_memory=512)
    assert mutations(calls) == []
    text = str(caught.value)
    for part in (theirs["id"], "stack shop2", account.state("shop2").stack_id, "cogauth down"):
        assert part in text
    # What belongs to another stack can't be adopted.
    assert "--adopt" not in text
    with account.calls.watched() as calls, pytest.raises(NotOwnedError):
        account.up(adopt=(theirs["id"],), confirm=lambda _question: None)
    assert mutations(calls) == []
    assert (others(account), existing(account)) == before


def test_so_it_does_if_something_else_is_gone(account: Account) -> None:
    account.as_after(two_stacks)
    theirs = account.state("shop2").record("rest_api")
    assert theirs is not None
    delete_pool(account)
    record_another(account, "rest_api", theirs)
    begun, asked = threading.Event(), list[str]()

    def let_the_pool_be_first(model: Any, **_: Any) -> None:
        """Make parallel work begin a change before anything looks at the API."""
        if model.name == "CreateUserPool":
            begun.set()
        elif model.name == "GetRestApi" and threading.current_thread().name == "rest_api":
            begun.wait(30)

    events = [one.meta.events for one in (account.aws.apigateway, account.aws.cognito_once)]
    for one in events:
        one.register_first("before-call", let_the_pool_be_first)
    try:
        with account.calls.watched() as calls, pytest.raises(NotOwnedError):
            account.up(confirm=asked.append)
    finally:
        for one in events:
            one.unregister("before-call", let_the_pool_be_first)
    assert (mutations(calls), asked) == ([], [])


def test_so_it_does_if_the_tags_become_anothers_after_the_plan(account: Account) -> None:
    account.stands()
    put_back_retention(account)
    shown_to_user, begun = threading.Event(), threading.Event()

    class Meanwhile(Silent):
        def planned(self, plan: engine.UpPlan) -> None:
            assert not plan.is_empty
            shown_to_user.set()
            update_pool(account, UserPoolTags={"cogauth:stack": "other"})

    def let_others_be_first(**_: Any) -> None:
        if shown_to_user.is_set() and threading.current_thread().name == "user_pool":
            begun.wait(5)

    events = account.aws.cognito.meta.events
    events.register_first("before-call", let_others_be_first)
    try:
        with (
            account.calls.watched(lambda call: begun.set() if call.mutating else None) as calls,
            pytest.raises(NotOwnedError),
        ):
            engine.up(account.context(), Meanwhile())
    finally:
        events.unregister("before-call", let_others_be_first)
    assert mutations(calls) == []


@pytest.mark.parametrize("key", [key for key in ROOTS if key not in {"user_pool", "rest_api"}])
@pytest.mark.sample(2)
def test_up_goes_by_the_stacks_own_names_whatever_the_file_says(account: Account, key: str) -> None:
    account.as_after(two_stacks)
    sound, before = account.state(), (others(account), existing(account))
    theirs = account.state("shop2").record(key)
    assert theirs is not None
    record_another(account, key, theirs)
    with account.calls.watched() as calls:
        assert account.up() == UNCHANGED
    assert mutations(calls) == []
    assert (others(account), existing(account)) == before
    assert account.state().fact(key, "id") == sound.fact(key, "id")
    assert account.state().fact(key, "arn") == sound.fact(key, "arn")


@pytest.mark.parametrize("status", [OUTDATED, DELETING])
@pytest.mark.parametrize("key", ["sign_in_function", "auto_confirm_function"])
def test_what_is_deleted_to_be_recreated_is_the_stacks_own(
    account: Account, key: str, status: str
) -> None:
    account.as_after(two_stacks)
    sound, before = account.state(), existing(account)
    theirs = account.state("shop2").record(key)
    assert theirs is not None
    was = function(account, theirs["id"])
    since = "2026-11-23T08:00:00+00:00"
    record_another(account, key, {**theirs, "status": status, "since": since})
    account.up()
    assert function(account, theirs["id"]) == was
    assert existing(account) == before
    assert account.state().fact(key, "id") == sound.fact(key, "id")
    assert account.up() == UNCHANGED


def test_a_former_version_of_what_has_none_is_ignored(account: Account) -> None:
    """A state file may claim one for any resource."""
    account.stands()
    since = datetime.fromtimestamp(account.context().now(), UTC).isoformat()
    state = account.state()
    state.put("resources", "app_client", {"status": CREATING, "since": since, "former": "x"})
    assert account.up()["app_client"] == "adopted"
    assert existing(account) == STACK


def test_a_client_that_is_listed_but_gone_is_passed_over(account: Account) -> None:
    account.stands()
    since = datetime.fromtimestamp(account.context().now(), UTC).isoformat()
    own, state = fact(account, "app_client"), account.state()
    state.put("resources", "app_client", {"status": CREATING, "since": since})
    place = {"UserPoolId": fact(account, "user_pool"), "ClientName": account.context().name_with_id}
    gone = account.client("cognito-idp").create_user_pool_client(**place)["UserPoolClient"]

    def refuse(call: Call) -> Any:
        if call.operation != "DescribeUserPoolClient" or gone["ClientId"] not in str(call.sent):
            return None
        return refusal(400, "ResourceNotFoundException")

    with account.calls.watched(refuse):
        assert account.up()["app_client"] == "adopted"
    assert fact(account, "app_client") == own


def test_a_function_whose_tags_cant_be_read_is_left_alone(account: Account) -> None:
    """Without lambda:ListTags, the function would look like somebody else's."""
    account.stands()
    state, before = account.path().read_text(), existing(account)

    def deny(answer: Any) -> None:
        answer.pop("Tags", None)
        answer["TagsError"] = {"ErrorCode": "AccessDeniedException", "Message": "No ListTags."}

    for run in (account.up, account.down):
        with (
            shown(account, "GetFunction", deny, times=99),
            account.calls.watched() as calls,
            pytest.raises(CogauthError, match=r"can't be read: No ListTags\.") as caught,
        ):
            run()
        assert "lambda:ListTags" in str(caught.value.hint)
        assert mutations(calls) == []
    assert (account.path().read_text(), existing(account)) == (state, before)


def test_a_statement_of_somebodys_is_not_taken_for_the_stacks_permission(account: Account) -> None:
    account.stands()
    lambda_, name = account.client("lambda"), {"FunctionName": SIGN_IN}
    # Theirs is the first.
    lambda_.remove_permission(**name, StatementId="cogauth-apigateway")
    theirs = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    lambda_.add_permission(**name, StatementId="theirs", **theirs)
    account.up()
    statements = json.loads(lambda_.get_policy(**name)["Policy"])["Statement"]
    assert [each["Sid"] for each in statements] == ["theirs", "cogauth-apigateway"]
    assert account.up() == UNCHANGED


def test_up_takes_no_arn_of_another_from_the_file(account: Account) -> None:
    """An ARN's form fixes almost all but the partition; the root path's id is not fixed at all."""
    account.stands()
    sound = account.state().resources
    record_another(account, "user_pool", {"arn": in_china(account)})
    record_another(account, "rest_api", {"root": "another"})
    assert account.up() == UNCHANGED
    assert account.state().resources == sound


@pytest.mark.parametrize("key", ["user_pool", "rest_api", "app_client"])
def test_nothing_is_made_again_because_the_file_calls_it_outdated(
    account: Account, key: str
) -> None:
    """No run of ours calls these so: a second pool would have none of the users."""
    account.stands()
    sound = account.state()
    record_another(account, key, {"status": OUTDATED})
    account.up()
    for name in ("id", "status"):
        assert fact(account, key, name) == sound.fact(key, name)
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


# ---- Other people's methods in the state file


def forge(account: Account, orders: Orders, names: list[str], *, outdated: bool = False) -> None:
    """Make the state file say that somebody's methods were attached, and were open before."""
    nothing = {
        "authorizationType": "NONE",
        "authorizerId": None,
        "authorizationScopes": [],
        "apiKeyRequired": False,
    }
    live = orders.methods()
    state = account.state()
    state.put(
        "attachments",
        orders.id,
        {
            "name": "orders",
            "stages": ["prod"],
            "outdated": ["prod"] if outdated else [],
            "found": {"prod": "another"},
            "authorizer": {"status": CREATED, "id": orders.pool, "pool": OTHER_POOL},
            "methods": {
                name: {
                    "status": ATTACHED,
                    "resource_id": orders.path(name.partition(" ")[2]),
                    "former": nothing,  # type: ignore[typeddict-item]
                    "ours": [live[name]],
                }
                for name in names
            },
        },
    )


GUARDED = ["GET /iam", "GET /jwt", "GET /pool", "POST /open"]


@pytest.mark.parametrize("outdated", [False, True])
@pytest.mark.parametrize("end", ["detach", "down"])
def test_a_method_that_others_guard_is_not_given_back(
    account: Account, end: str, *, outdated: bool
) -> None:
    orders = pool_and_orders(account)
    # The owner has unpublished changes, which only the owner may publish.
    orders.put("GET", "/new", "NONE")
    forge(account, orders, GUARDED, outdated=outdated)
    before = describe_api(account, orders.id), orders.deployed()
    if end == "detach":
        (result,) = detach(account)
        assert sorted(result.not_ours) == GUARDED
        assert account.state().attachments == {}
    else:
        down = account.down()
        assert ids(down.not_ours) == [f"{orders.id} {name}" for name in GUARDED]
        assert not down.clean
        assert account.state().attachments == {}
        assert account.down().clean
    assert (describe_api(account, orders.id), orders.deployed()) == before


def test_detach_says_so_by_its_exit_code(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = pool_and_orders(account)
    forge(account, orders, ["GET /jwt"])
    before = describe_api(account, orders.id)
    done = command(account, monkeypatch, "detach", "--yes").must(1)
    assert "GET /jwt of the API orders" in done.err
    assert "isn't the stack's authorizer" in done.err
    assert describe_api(account, orders.id) == before
    command(account, monkeypatch, "detach", "--yes").must()


def test_attach_gives_back_one_day_what_is_there_and_not_what_a_file_says(account: Account) -> None:
    orders = pool_and_orders(account)
    forge(account, orders, ["GET /jwt"])
    before = orders.methods()
    attach(account, path="/jwt")
    assert orders.methods()["GET /jwt"]["authorizerId"] == orders.authorizers()[ours(account)]
    assert detach(account)[0].restored == ["GET /jwt"]
    assert orders.methods() == before


def test_attach_guards_by_no_pool_that_a_file_names(account: Account) -> None:
    orders = pool_and_orders(account)
    before, sound = orders.methods(), account.state().record("user_pool")
    assert sound is not None
    theirs = make_pool(account, "theirs", 0)
    for wrong, said in (
        (
            {"id": theirs, "arn": pool_arn(account, theirs)},
            "isn't this stack's, judging by its tags",
        ),
        ({"arn": in_china(account)}, "has another ARN"),
        (nobodys(account, "user_pool"), "doesn't exist any more"),
    ):
        record_another(account, "user_pool", {**sound, **wrong})
        with account.calls.watched() as calls, pytest.raises(CogauthError, match=said):
            attach(account)
        assert mutations(calls) == []
    assert orders.methods() == before


@pytest.mark.parametrize("words", [("down", "--yes"), ("detach", "--yes"), ("detach", "--dry-run")])
def test_what_opens_a_method_says_so(
    account: Account, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    orders = pool_and_orders(account)
    attach(account)
    done = command(account, monkeypatch, *words, *(["--settle", "0"] if "--yes" in words else []))
    text = done.must().out + done.err
    lines = {" ".join(line.split()) for line in text.splitlines()}
    guard = "COGNITO_USER_POOLS of the stack shop"
    assert lines >= {
        f"GET /open {guard} → NONE: open to anyone",
        f"POST /open {guard}, API key → NONE, API key",
        f"GET /iam {guard} → AWS_IAM",
        f"GET /jwt {guard} → CUSTOM jwt",
    }
    assert text.count("open to anyone") == (1 if "--dry-run" in words else 2)
    assert orders.authorizers().keys() >= {"jwt", "their pool"}
