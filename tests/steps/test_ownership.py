"""No resource of others is deleted, changed or adopted: attacks by state file or tag, on moto.

A state file may name anybody's resources, and anyone who may tag a resource may claim it.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from moto.cognitoidp.models import CognitoIdpUserPool

from cogauth import engine
from cogauth.errors import CogauthError, NameConflictError, NotOwnedError, UsageError
from cogauth.record.records import ATTACHED, CREATED, CREATING, DELETING, OUTDATED, THROWAWAY
from cogauth.steps import RESOURCES, ownership
from support.account import Account, Silent
from support.attached import OTHER_POOL, Orders, attach, detach, ours, pool_and_orders
from support.calls import Call, refusal
from support.commands import in_process
from support.faults import stopped
from support.foreign import Inside, describe_api, describe_pool, make_api, make_pool
from support.local_aws import client
from support.reporters import Told
from support.stacks import (
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    UNCHANGED,
    delete_api,
    delete_pool,
    existing,
    fact,
    mutations,
    pool,
    shown,
    update_pool,
)
from support.tampers import put_back_retention
from support.world import described, lasting

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.commands import Cli, Running
    from support.forker import Result


# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


TAGS = ("cogauth:stack", "cogauth:stack-id")
# The names of the others' pool and API: a name that says nothing, and the stack's own name.
NAMES = ["theirs", "shop"]


def tags(account: Account) -> dict[str, str]:
    """Return the tags that anyone who may tag can set."""
    return account.context().tags


def tagging_api(*arns: str) -> Callable[[Call], Any]:
    """Answer in place of moto's tagging API, which lists neither pools nor APIs."""

    def answer(call: Call) -> Any:
        # The operation that gets an API's paths has the same name.
        if call.operation != "GetResources" or call.sent["url_path"].startswith("/restapis"):
            return None
        found = [{"ResourceARN": arn} for arn in arns]
        metadata = {"HTTPStatusCode": 200}
        return refusal(200, "")[0], {"ResourceTagMappingList": found, "ResponseMetadata": metadata}

    return answer


def pool_arn(account: Account, identifier: str) -> str:
    return account.context().arn("cognito-idp", f"userpool/{identifier}")


def api_arn(account: Account, identifier: str) -> str:
    return f"arn:aws:apigateway:{account.region}::/restapis/{identifier}"


def ids(entries: list[dict[str, str]]) -> list[str]:
    return [entry["id"] for entry in entries]


def command(account: Account, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Run a command in this process, on the stack's state file."""
    monkeypatch.setenv("AWS_REGION", account.region)
    return in_process(*words, "--stack", "shop", "--state", str(account.path()))


# ---- Other people's resources with a tag that has our id


@pytest.mark.parametrize("name", NAMES)
def test_yes_deletes_no_pool_with_users_that_only_a_tag_makes_ours(
    account: Account, name: str
) -> None:
    account.stands()
    theirs = make_pool(account, name, 2, UserPoolTags=tags(account))
    before = describe_pool(account, theirs)
    with account.calls.watched(tagging_api(pool_arn(account, theirs))):
        result = account.down()
        assert describe_pool(account, theirs) == before
        assert account.left() == [f"pool {name}"]
        assert ids(result.remaining) == [theirs]
        (problem,) = result.problems
        assert f"The user pool {theirs} (created " in problem
        assert "about 2 users) was not deleted: only its tag" in problem
        assert "on a terminal, without --yes" in problem
        assert not result.clean
        # The next run does the same; the pool is deleted once it was listed and confirmed.
        assert ids(account.down().remaining) == [theirs]
        assert ids(account.down(asked=True).deleted) == [theirs]
    assert account.left() == []
    assert not account.path().exists()


@pytest.mark.parametrize("name", NAMES)
def test_yes_deletes_no_api_in_use_that_only_a_tag_makes_ours(account: Account, name: str) -> None:
    account.stands()
    theirs = make_api(account, name, tags=tags(account))
    before = describe_api(account, theirs)
    with account.calls.watched(tagging_api(api_arn(account, theirs))):
        result = account.down()
        assert describe_api(account, theirs) == before
        assert account.left() == [f"api {name}"]
        assert ids(result.remaining) == [theirs]
        assert f"The REST API {theirs}" in result.problems[0]
        assert ids(account.down(asked=True).deleted) == [theirs]
    assert account.left() == []


def test_an_attached_api_that_somebody_tags_gets_its_methods_back_all_the_same(
    account: Account,
) -> None:
    orders = pool_and_orders(account)
    before = orders.methods()
    attach(account)
    orders.aws.tag_resource(resourceArn=api_arn(account, orders.id), tags=tags(account))
    with account.calls.watched(tagging_api(api_arn(account, orders.id))):
        result = account.down()
    assert orders.methods() == before
    assert len(result.restored) == 5
    assert ids(result.remaining) == [orders.id]
    assert account.left() == ["api orders"]


@pytest.mark.parametrize("name", NAMES)
def test_all_that_would_go_is_listed_with_the_users_of_each_pool(
    account: Account, name: str
) -> None:
    account.stands()
    account.client("cognito-idp").admin_create_user(
        UserPoolId=fact(account, "user_pool"), Username="ann"
    )
    theirs = make_pool(account, name, 3, UserPoolTags=tags(account))
    with account.calls.watched(tagging_api(pool_arn(account, theirs))) as calls:
        plan = engine.plan_down(account.context())
    assert mutations(calls) == []
    pools = {
        each.id: (each.users, each.claimed) for each in plan.deletions if each.users is not None
    }
    assert pools == {fact(account, "user_pool"): (1, False), theirs: (3, True)}
    assert plan.users == 4
    assert {each.id for each in plan.deletions} >= {fact(account, "rest_api"), ROLE, SIGN_IN}


def test_what_somebody_tags_after_the_question_is_not_deleted(account: Account) -> None:
    account.stands()
    theirs: list[str] = []

    def tag(call: Call) -> None:
        if call.operation == "DeleteUserPool" and not theirs:
            theirs.append(make_pool(account, "shop", 1, UserPoolTags=tags(account)))
            theirs.append(make_api(account, "shop", tags=tags(account)))

    with account.calls.watched(tag):
        result = account.down(asked=True)
    assert sorted(ids(result.remaining)) == sorted(theirs)
    assert account.left() == ["api shop", "pool shop"]
    assert len(result.problems) == 2


def test_what_a_create_of_ours_leaves_late_is_deleted_without_a_question(account: Account) -> None:
    account.stands()
    late: list[str] = []

    def land(call: Call) -> None:
        if call.operation == "DeleteUserPool" and not late:
            cognito, api = account.client("cognito-idp"), account.client("apigateway")
            made = cognito.create_user_pool(PoolName="shop", UserPoolTags=tags(account))
            late.append(made["UserPool"]["Id"])
            late.append(api.create_rest_api(name="shop", tags=tags(account))["id"])

    with account.calls.watched(land):
        result = account.down()
    assert late
    assert (result.remaining, result.problems) == ([], [])
    assert set(ids(result.deleted)) >= set(late)
    assert account.left() == []


def test_up_leaves_alone_what_only_a_tag_makes_ours_and_says_so(account: Account) -> None:
    account.stands()
    their_pool = make_pool(account, "shop", 2, UserPoolTags=tags(account))
    their_api = make_api(account, "shop", tags=tags(account))
    before = describe_pool(account, their_pool), describe_api(account, their_api)
    told = Told()
    with account.calls.watched() as calls:
        results = engine.up(account.context(), told)
    assert mutations(calls) == []
    assert {each.action for each in results} == {"unchanged"}
    assert (describe_pool(account, their_pool), describe_api(account, their_api)) == before
    first, second = sorted(told.warnings)
    assert f"The REST API {their_api}" in first
    assert f"The user pool {their_pool}" in second
    assert "about 2 users" in second


@pytest.mark.parametrize("kind", ["user_pool", "rest_api"])
def test_what_somebody_tags_does_not_take_the_place_of_what_is_gone(
    account: Account, kind: str
) -> None:
    account.stands()
    account.grow_old()
    if kind == "user_pool":
        delete_pool(account)
        theirs, describe = make_pool(account, "shop", 2, UserPoolTags=tags(account)), describe_pool
    else:
        delete_api(account)
        theirs, describe = make_api(account, "shop", tags=tags(account)), describe_api
    was = describe(account, theirs)
    assert account.up(confirm=lambda _question: None)[kind] == "created"
    assert fact(account, kind) != theirs
    assert describe(account, theirs) == was


@pytest.mark.parametrize(
    ("operation", "make", "kind"),
    [("CreateUserPool", "pool", "user_pool"), ("CreateRestApi", "api", "rest_api")],
)
@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.sample(2)
def test_after_a_crash_only_what_the_create_can_have_made_is_adopted(
    account: Account, operation: str, make: str, kind: str, *, landed: bool
) -> None:
    with stopped(account, operation, lands=landed):
        account.up()
    if make == "pool":
        theirs = make_pool(account, "shop", 2, UserPoolTags=tags(account))
    else:
        theirs = make_api(account, "shop", tags=tags(account))
    describe = describe_pool if make == "pool" else describe_api
    was = describe(account, theirs)
    if landed:
        assert account.up()[kind] == "adopted"
        assert fact(account, kind) != theirs
        assert account.up() == UNCHANGED
    else:
        # Only the user can tell whether it is the stack's.
        with pytest.raises(NotOwnedError) as caught:
            account.up()
        assert theirs in str(caught.value)
        assert "recover --stack shop" in str(caught.value)
        assert "--take ID" in str(caught.value)
        record = account.state().record(kind)
        assert record is not None
        assert record["status"] == CREATING
    assert describe(account, theirs) == was
    assert ids(account.down().remaining) == [theirs]
    assert describe(account, theirs) == was


def test_so_it_is_if_aws_lists_that_one_only_later(account: Account) -> None:
    with stopped(account, "CreateUserPool", lands=True):
        account.up()
    theirs = make_pool(account, "shop", 2, UserPoolTags=tags(account))

    def lag(answer: Any) -> None:
        answer["UserPools"] = [each for each in answer["UserPools"] if each["Id"] == theirs]

    with shown(account, "ListUserPools", lag, times=3):
        assert account.up()["user_pool"] == "adopted"
    assert fact(account, "user_pool") != theirs


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


# For each root, a well-formed id that nothing has, and the ARN that goes with it.
NOBODYS = {
    "user_pool": ("{region}_Nobody", "arn:aws:cognito-idp:{region}:{account}:userpool/{id}"),
    "rest_api": ("abcdef1234", "arn:aws:apigateway:{region}::/restapis/{id}"),
    "role": ("nobodys", "arn:aws:iam::{account}:role/{id}"),
    **dict.fromkeys(
        ["sign_in_function", "auto_confirm_function"],
        ("nobodys", "arn:aws:lambda:{region}:{account}:function:{id}"),
    ),
    **dict.fromkeys(
        ["sign_in_log_group", "auto_confirm_log_group"],
        ("/aws/lambda/nobodys", "arn:aws:logs:{region}:{account}:log-group:{id}"),
    ),
}


def nobodys(account: Account, key: str) -> dict[str, str]:
    """Return facts of a root that are well-formed but match nothing."""
    place = {"region": account.region, "account": account.state().account}
    identifier, arn = NOBODYS[key]
    identifier = identifier.format(**place)
    return {"id": identifier, "arn": arn.format(**place, id=identifier)}


def record_another(account: Account, key: str, record: dict[str, str]) -> None:
    """Make the state file name another resource."""
    state = account.state()
    known = state.record(key)
    assert known is not None
    state.put("resources", key, {**known, **record})


def others(account: Account) -> Any:
    """Describe everything of the other stack."""
    state = account.state("shop2")
    return [
        lasting(described(account.client)),
        describe_pool(account, state.fact("user_pool", "id")),
        describe_api(account, state.fact("rest_api", "id")),
    ]


def two_stacks(account: Account) -> Any:
    """Make another stack, then our own; return the state of the other before that."""
    account.up("shop2")
    alone = others(account), existing(account)
    account.up()
    return alone


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


def function(account: Account, name: str) -> Any:
    """Return a function's configuration, with the time of its last change, and its tags."""
    answer = account.client("lambda").get_function(FunctionName=name)
    return answer["Configuration"], answer["Tags"]


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


def in_china(account: Account) -> str:
    """Return the ARN that the stack's pool would have in another partition."""
    return account.state().fact("user_pool", "arn").replace("arn:aws:", "arn:aws-cn:")


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


# ---- Tags that were removed


def untag_pool(account: Account) -> None:
    update_pool(account, UserPoolTags={})


def untag_api(account: Account) -> None:
    arn = account.state().fact("rest_api", "arn")
    account.client("apigateway").untag_resource(resourceArn=arn, tagKeys=list(TAGS))


def tags_now(account: Account) -> list[Any]:
    api = account.client("apigateway").get_rest_api(restApiId=fact(account, "rest_api"))
    return [pool(account).get("UserPoolTags"), api.get("tags")]


UNTAG = [(untag_pool, "user_pool"), (untag_api, "rest_api")]


@pytest.mark.parametrize(("untag", "key"), UNTAG)
def test_up_names_the_way_on_for_an_owner_who_took_the_tags_off(
    account: Account, untag: Callable[[Account], None], key: str
) -> None:
    account.stands()
    untag(account)
    with account.calls.watched() as calls, pytest.raises(NotOwnedError) as caught:
        account.up(throttle_rate=3)
    assert mutations(calls) == []
    assert "it carries no cogauth tag" in str(caught.value)
    assert f"--adopt {fact(account, key)}'" in str(caught.value)


@pytest.mark.parametrize(("untag", "key"), UNTAG)
def test_adopt_asks_and_puts_the_tags_back(
    account: Account, untag: Callable[[Account], None], key: str
) -> None:
    account.stands()
    cognito, place = account.client("cognito-idp"), {"UserPoolId": fact(account, "user_pool")}
    cognito.admin_create_user(**place, Username="ann")
    tagged, identifier = tags_now(account), fact(account, key)
    untag(account)
    with account.calls.watched() as calls, pytest.raises(UsageError, match=identifier) as caught:
        account.up(adopt=(identifier,))
    assert mutations(calls) == []
    assert ("about 1 user" in str(caught.value)) == (key == "user_pool")
    plan = engine.plan(account.context(), Silent(), (identifier,))
    prefix = "UserPoolTags" if key == "user_pool" else "tags"
    fields = {each.path for row in plan.rows for each in row.fields}
    assert fields == {f"{prefix}.{name}" for name in TAGS}
    questions: list[str] = []
    actions = account.up(adopt=(identifier,), confirm=questions.append)
    assert len(questions) == 1
    assert actions == {**UNCHANGED, key: "updated"}
    assert tags_now(account) == tagged
    assert [user["Username"] for user in cognito.list_users(**place)["Users"]] == ["ann"]
    assert existing(account) == STACK
    # Once is enough; naming what is the stack's anyway asks no question.
    assert account.up() == account.up(adopt=(identifier,)) == UNCHANGED
    assert account.down().clean
    assert account.left() == []


@pytest.mark.parametrize(("untag", "key"), UNTAG)
@pytest.mark.parametrize("after", [False, True])
def test_an_adoption_that_was_cut_off_is_gone_on_with(
    account: Account, untag: Callable[[Account], None], key: str, *, after: bool
) -> None:
    account.stands()
    tagged, identifier = tags_now(account), fact(account, key)
    untag(account)
    with stopped(account, "UpdateUserPool", "TagResource", lands=after):
        account.up(adopt=(identifier,), confirm=lambda _question: None)
    account.up(adopt=(identifier,), confirm=lambda _question: None)
    assert tags_now(account) == tagged
    assert account.up() == UNCHANGED


@pytest.mark.parametrize(("untag", "key"), UNTAG)
def test_down_leaves_alone_what_has_no_tags_any_more(
    account: Account, untag: Callable[[Account], None], key: str
) -> None:
    account.stands()
    untag(account)
    identifier = fact(account, key)
    (stranger,) = engine.plan_down(account.context()).not_ours
    assert (stranger.id, stranger.adoptable) == (identifier, True)
    assert ids(account.down().not_ours) == [identifier]
    assert account.left() == ["pool shop" if key == "user_pool" else "api shop"]
    assert account.down().clean


def test_both_without_tags_are_told_at_once(account: Account) -> None:
    account.stands()
    untag_pool(account)
    untag_api(account)
    both = fact(account, "user_pool"), fact(account, "rest_api")
    with pytest.raises(CogauthError) as caught:
        account.up()
    assert all(f"--adopt {each}'" in str(caught.value) for each in both)
    questions: list[str] = []
    account.up(adopt=both, confirm=questions.append)
    assert len(questions) == 2
    assert account.up() == UNCHANGED


def test_a_pool_whose_deletion_began_is_no_less_looked_at(account: Account) -> None:
    account.stands()
    theirs = make_pool(account, "theirs", 2)
    record = {"status": "deleting", "id": theirs, "arn": pool_arn(account, theirs)}
    record_another(account, "user_pool", record)
    before = describe_pool(account, theirs)
    with account.calls.watched() as calls, pytest.raises(NotOwnedError):
        account.up()
    assert mutations(calls) == []
    assert ids(account.down().not_ours) == [theirs]
    assert describe_pool(account, theirs) == before


def test_only_what_is_recorded_can_be_adopted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    theirs = make_pool(account, "theirs", 2)
    before = describe_pool(account, theirs)
    done = command(account, monkeypatch, "up", "--adopt", theirs, "--yes").must(2)
    assert (
        f"--adopt {theirs} can't be used: the state file {account.path()} records no user pool"
        in done.err
    )
    assert fact(account, "user_pool") in done.err
    assert describe_pool(account, theirs) == before
    account.path().unlink()
    done = command(account, monkeypatch, "up", "--adopt", theirs, "--yes").must(2)
    assert "It records: none" in done.err
    assert not account.path().exists()


# ---- A pool and an API are the stack's only with both tags


def test_the_id_of_another_stack_makes_nothing_of_that_the_stacks(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.as_after(two_stacks)
    theirs = account.state("shop2")
    account.client("cognito-idp").admin_create_user(
        UserPoolId=theirs.fact("user_pool", "id"), Username="ann"
    )
    state = account.state()
    state.stack_id = theirs.stack_id
    for key in ("user_pool", "rest_api"):
        record = theirs.record(key)
        assert record is not None
        state.put("resources", key, record)
    before = others(account), existing(account)
    done = command(account, monkeypatch, "down", "--yes", "--settle", "0").must(1)
    assert f"user pool {theirs.fact('user_pool', 'id')}: isn't this stack's" in " ".join(
        done.err.split()
    )
    assert (others(account), existing(account)) == before
    assert account.up("shop2") == UNCHANGED


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize(
    "words", [("users",), ("users", "delete", "user0", "--yes"), ("verify",)], ids=" ".join
)
def test_no_user_is_listed_made_or_deleted_in_a_pool_that_isnt_the_stacks(
    account: Account, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], *, tagged: bool
) -> None:
    account.stands()
    whose = account.new_state("shop2")
    claim = {"cogauth:stack": "shop2", "cogauth:stack-id": whose.stack_id} if tagged else {}
    theirs = make_pool(account, "theirs", 1, UserPoolTags=claim)
    throwaway = f"{THROWAWAY}{0:032x}"
    account.client("cognito-idp").admin_create_user(UserPoolId=theirs, Username=throwaway)
    record_another(account, "user_pool", {"id": theirs, "arn": pool_arn(account, theirs)})
    # 'verify' deletes leftover throwaway users without a question.
    state = account.state()
    state.put("throwaway_users", throwaway, "2026-11-23T08:00:00+00:00")
    before = describe_pool(account, theirs)
    done = command(account, monkeypatch, *words).must(1)
    assert f"The user pool {theirs}, which" in done.err
    assert "isn't this stack's, judging by its tags" in done.err
    assert "user0" not in done.out
    assert describe_pool(account, theirs) == before


@pytest.mark.parametrize("with_id", [False, True])
@pytest.mark.parametrize("key", ["user_pool", "rest_api"])
def test_nothing_that_is_tagged_as_another_stacks_is_adopted(
    account: Account, key: str, *, with_id: bool
) -> None:
    account.stands()
    claim = {"cogauth:stack": "shop2"}
    if with_id:
        claim["cogauth:stack-id"] = account.state().stack_id
    if key == "user_pool":
        update_pool(account, UserPoolTags=claim)
    else:
        untag_api(account)
        account.client("apigateway").tag_resource(
            resourceArn=account.state().fact(key, "arn"), tags=claim
        )
    tagged = tags_now(account)
    questions: list[str] = []
    with account.calls.watched() as calls, pytest.raises(NotOwnedError, match="stack shop2") as got:
        account.up(adopt=(fact(account, key),), confirm=questions.append)
    assert "--adopt" not in str(got.value)
    assert (mutations(calls), questions) == ([], [])
    assert tags_now(account) == tagged


def test_a_stage_without_its_tags_is_left_alone_until_they_are_back(account: Account) -> None:
    account.stands()
    api, arn = account.client("apigateway"), account.state().fact("stage", "arn")
    api.untag_resource(resourceArn=arn, tagKeys=list(TAGS))
    before = describe_api(account, fact(account, "rest_api"))
    with pytest.raises(NameConflictError, match="restore its tags") as caught:
        account.up(throttle_rate=3)
    for name, value in tags(account).items():
        assert f"{name} = {value}" in str(caught.value)
    assert describe_api(account, fact(account, "rest_api")) == before
    api.tag_resource(resourceArn=arn, tags=tags(account))
    assert account.up(throttle_rate=3)["deployment"] == "updated"
    assert account.up() == UNCHANGED


# ---- What is inside the stack's pool or API but isn't the stack's


def name_inside(account: Account, inside: Inside, key: str, status: str) -> None:
    """Make the state file name somebody's resource as a part of the stack."""
    state = account.state()
    identifier = {
        "app_client": inside.client,
        "sign_in_resource": inside.resource,
        "hello_resource": inside.resource,
        "authorizer": inside.authorizer,
        "deployment": inside.deployment,
    }[key]
    since = "2026-11-23T08:00:00+00:00"
    state.put(
        "resources",
        key,
        {**state.resources[key], "id": identifier, "status": status, "since": since},
    )


@pytest.mark.parametrize("status", [CREATED, OUTDATED, DELETING])
@pytest.mark.parametrize(
    "key", ["app_client", "sign_in_resource", "hello_resource", "authorizer", "deployment"]
)
@pytest.mark.sample(8)
def test_up_finds_its_own_again_where_the_file_names_somebodys(
    account: Account, key: str, status: str
) -> None:
    account.stands()
    sound, inside = account.state(), Inside(account)
    before, world = inside.described(), existing(account)
    name_inside(account, inside, key, status)
    account.up(throttle_rate=3)
    assert inside.described() == before
    if status == OUTDATED and key in {"app_client", "authorizer"}:
        # It is recreated, and the next run deletes the former one.
        account.up()
    elif key != "deployment":
        assert fact(account, key) == sound.fact(key, "id")
    assert existing(account) == world
    assert account.up() == UNCHANGED
    function = account.client("lambda").get_function_configuration(FunctionName=SIGN_IN)
    assert fact(account, "app_client") in str(function["Environment"])
    assert account.down().clean


def test_up_takes_no_stage_of_somebodys(account: Account) -> None:
    account.stands()
    inside = Inside(account)
    before, world = inside.described(), existing(account)
    state = account.state()
    sound = state.settings
    state.settings = replace(sound, stage="prod")
    arn = state.fact("stage", "arn").replace("/dev", "/prod")
    state.put("resources", "stage", {"status": CREATED, "id": "prod", "arn": arn})
    with pytest.raises(NameConflictError, match="prod"):
        account.up(throttle_rate=3)
    assert inside.described() == before
    state = account.state()
    state.settings = sound
    state.drop("resources", "stage")
    account.up()
    assert inside.described() == before
    assert existing(account) == world
    assert account.up() == UNCHANGED


@pytest.mark.parametrize(
    ("forget", "known"),
    [((), False), ((), True), (("rest_api",), False), (("rest_api", "sign_in_function"), False)],
)
def test_up_takes_no_path_of_somebodys_for_the_sign_in(
    account: Account, forget: tuple[str, ...], *, known: bool
) -> None:
    account.up(cors_origins=("https://a.example",))
    inside = Inside(account)
    before, world = inside.described(), existing(account)
    text = account.path().read_text()
    state = account.state()
    state.settings = replace(state.settings, path="/orders")
    if known:
        name_inside(account, inside, "sign_in_resource", CREATED)
        state.resources["sign_in_resource"].update(path="/orders", id=inside.resource)
    for key in [key for key, each in RESOURCES.items() if each.step.name in forget]:
        if key != "rest_api":
            del state.resources[key]
    state.save()
    tries = 0

    def wait_for_the_rest(call: Call) -> Any:
        """Keep the path waiting, so that everything that doesn't need it comes first."""
        nonlocal tries
        tries += call.operation == "CreateResource"
        passes = call.operation != "CreateResource" or tries > 5
        return None if passes else refusal(429, "TooManyRequestsException")

    with (
        account.calls.watched(wait_for_the_rest),
        pytest.raises(NameConflictError, match="/orders in the stack's REST API"),
    ):
        account.up()
    assert inside.described() == before
    account.path().write_text(text)
    account.up()
    assert inside.described() == before
    assert existing(account) == world
    assert account.up() == UNCHANGED


# ---- A pool with users, whatever the estimate says


@pytest.fixture
def late_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Cognito's estimate of a pool's users lag behind."""
    described = CognitoIdpUserPool.to_json

    def to_json(pool: CognitoIdpUserPool, *given: Any, **named: Any) -> dict[str, Any]:
        return {**described(pool, *given, **named), "EstimatedNumberOfUsers": 0}

    monkeypatch.setattr(CognitoIdpUserPool, "to_json", to_json)


@pytest.mark.usefixtures("late_estimate")
@pytest.mark.parametrize("status", [CREATED, CREATING])
def test_no_pool_with_a_user_is_swept_whatever_the_estimate_says(
    account: Account, status: str
) -> None:
    account.stands()
    cognito = account.client("cognito-idp")
    theirs = cognito.create_user_pool(PoolName="shop", UserPoolTags=tags(account))["UserPool"]["Id"]
    cognito.admin_create_user(UserPoolId=theirs, Username="ann")
    before = describe_pool(account, theirs)
    if status == CREATING:
        state = account.state()
        since = account.state().resources["user_pool"]["since"]
        cognito.delete_user_pool(UserPoolId=fact(account, "user_pool"))
        state.put("resources", "user_pool", {"status": CREATING, "since": since})
        with pytest.raises(NotOwnedError, match=theirs):
            account.up()
    else:
        assert account.up() == UNCHANGED
    assert describe_pool(account, theirs) == before
    # Anyone who may create a client can give it the name of ours.
    cognito.create_user_pool_client(UserPoolId=theirs, ClientName=account.context().name_with_id)
    before = describe_pool(account, theirs)
    result = account.down()
    assert ids(result.remaining) == [theirs]
    assert describe_pool(account, theirs) == before


# ---- recover


@pytest.mark.parametrize("kind", ["user_pool", "rest_api"])
def test_recover_takes_none_of_several_unless_told_which(
    account: Account, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Theirs is the older one.
    stack_id = tags(account)
    theirs = make_pool(account, "shop", 2) if kind == "user_pool" else make_api(account, "shop")
    account.up()
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    if kind == "user_pool":
        update = cognito.update_user_pool
        update(UserPoolId=theirs, UserPoolTags=stack_id, PoolName="shop")
    else:
        api.tag_resource(resourceArn=api_arn(account, theirs), tags=stack_id)
    lost, mine = account.state().resources, fact(account, kind)
    account.path().unlink()
    describe = describe_pool if kind == "user_pool" else describe_api
    before = describe(account, theirs), existing(account)

    done = command(account, monkeypatch, "recover", "--json").must(1)
    assert f"{theirs} (created " in done.err
    assert f"{mine} (created " in done.err
    assert ("about 2 users" in done.err) == (kind == "user_pool")
    assert "--take ID" in done.err
    assert not account.path().exists()
    with pytest.raises(UsageError, match="--take names more than one"):
        account.recover(take=(mine, theirs))
    with pytest.raises(UsageError, match="--take no-such-id: no user pool") as caught:
        account.recover(take=("no-such-id",))
    # What has a unique name is no choice.
    other = lost["rest_api" if kind == "user_pool" else "user_pool"]["id"]
    found = re.findall(r"[\w-]+", str(caught.value).partition("Found: ")[2])
    assert sorted(found) == sorted([mine, theirs, other])
    command(account, monkeypatch, "recover", "--take", mine).must()
    assert account.state().fact(kind, "id") == mine
    assert lost.keys() == account.state().resources.keys()
    told = Told()
    engine.up(account.context(), told)
    assert theirs in told.warnings[0]
    assert (describe(account, theirs), existing(account)) == before
    assert account.up() == UNCHANGED
    assert ids(account.down().remaining) == [theirs]
    assert describe(account, theirs) == before[0]


def test_what_is_shown_without_a_date_is_described_without_one(account: Account) -> None:
    live = {"id": "abcdef1234", "name": "shop", "rootResourceId": "root"}
    ctx = account.context()
    assert ownership.described(ctx, RESOURCES["rest_api"], live) == "abcdef1234"


def test_recover_looks_only_at_pools_with_the_stacks_name(account: Account) -> None:
    """Nobody's pool comes to be the stack's, or one of several, by tags alone."""
    account.stands()
    mine, stack_id = fact(account, "user_pool"), tags(account)
    theirs = make_pool(account, "theirs", 0, UserPoolTags=stack_id)
    before = describe_pool(account, theirs)
    account.path().unlink()
    assert account.recover().fact("user_pool", "id") == mine
    delete_pool(account)
    account.path().unlink()
    assert account.recover().record("user_pool") is None
    assert describe_pool(account, theirs) == before


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


# ---- The command


def test_the_command_lists_leaves_alone_and_fails_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    theirs = make_pool(account, "theirs", 2)
    before = describe_pool(account, theirs)
    record_another(account, "user_pool", {"id": theirs, "arn": pool_arn(account, theirs)})
    done = command(account, monkeypatch, "down", "--yes", "--json").must(1)
    assert done.document["not_ours"] == [
        {"step": "user_pool", "resource": "user_pool", "id": theirs}
    ]
    assert done.document["remaining"] == []
    first = done.err.partition("deleting")[0]
    assert f"user pool {theirs}: isn't this stack's (it carries no cogauth tag)" in " ".join(
        first.split()
    )
    assert f"up --adopt {theirs}" in first
    assert describe_pool(account, theirs) == before
    done = command(account, monkeypatch, "down", "--yes", "--json").must()
    assert list(done.document) == ["stack", "deleted", "already_gone", "remaining", "elapsed_s"]
    assert not account.path().exists()
    assert account.left() == ["pool theirs"]


def test_the_command_lists_what_only_a_tag_makes_ours_and_leaves_it_with_yes(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    theirs = make_pool(account, "shop", 2, UserPoolTags=tags(account))
    done = command(account, monkeypatch, "down", "--yes", "--settle", "0").must(1)
    first = done.err.partition("deleting")[0]
    assert f"{theirs}: only its tag assigns it to the stack; --yes leaves it alone" in first
    assert f"the user pool {theirs} is deleted with about 2 users" in " ".join(first.split())
    assert "remaining: 1" in done.out
    assert account.left() == ["pool shop"]


def test_a_log_group_a_role_and_a_function_need_name_and_tag(account: Account) -> None:
    """A similar name with the tag isn't enough, and neither is the exact name without it."""
    account.stands()
    logs, iam = account.client("logs"), account.client("iam")
    logs.create_log_group(logGroupName=f"{SIGN_IN_LOGS}2", tags=tags(account))
    logs.untag_log_group(logGroupName=SIGN_IN_LOGS, tags=list(TAGS))
    iam.untag_role(RoleName=ROLE, TagKeys=list(TAGS))
    with contextlib.suppress(CogauthError):
        account.up()
    result = account.down()
    assert sorted(ids(result.not_ours)) == sorted([SIGN_IN_LOGS, ROLE])
    assert account.left() == [
        f"logs {SIGN_IN_LOGS}",
        f"logs {SIGN_IN_LOGS}2",
        f"role {ROLE}",
    ]
    assert account.down().clean


# ---- The question, on a local AWS


def tagged_pool(endpoint: str, stack: str, stack_id: str) -> str:
    cognito = client("cognito-idp", endpoint)
    claim = dict(zip(TAGS, (stack, stack_id), strict=True))
    made = cognito.create_user_pool(PoolName=stack, UserPoolTags=claim)["UserPool"]["Id"]
    cognito.admin_create_user(UserPoolId=made, Username="bob")
    return str(made)


def pools_of(endpoint: str, stack: str) -> set[str]:
    found = client("cognito-idp", endpoint).list_user_pools(MaxResults=60)["UserPools"]
    return {each["Id"] for each in found if each["Name"] == stack}


def asked(cli: Cli, theirs: str) -> Running:
    running = cli.on_terminal("down")
    text = running.see(r"Type the stack's name, claimed, to delete it: ")
    assert f"{theirs}: only its tag assigns it to the stack" in " ".join(text.split())
    assert f"the user pool {theirs} is deleted with about 1 user." in " ".join(text.split())
    return running


@pytest.mark.local
def test_what_was_listed_goes_once_it_was_agreed_to(cli: Cli, endpoint: str) -> None:
    cli.env.update(COGAUTH_STACK="claimed", COGAUTH_ENDPOINT_URL=endpoint)
    up = cli.run("up", "--json").must().document
    theirs = tagged_pool(endpoint, "claimed", up["stack_id"])
    running = asked(cli, theirs)
    # Somebody quickly tags one more: it wasn't shown, so nothing is deleted.
    second = tagged_pool(endpoint, "claimed", up["stack_id"])
    running.type("claimed\n")
    assert running.ended() == 1
    assert "changed in the meantime. Nothing was deleted" in running.plain
    assert pools_of(endpoint, "claimed") == {up["user_pool_id"], theirs, second}
    client("cognito-idp", endpoint).delete_user_pool(UserPoolId=second)
    running = asked(cli, theirs)
    running.type("claimed\n")
    assert running.ended() == 0
    assert pools_of(endpoint, "claimed") == set()
    assert not cli.state.with_name("claimed.json").exists()
