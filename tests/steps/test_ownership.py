"""No resource of others is deleted, changed or adopted: attacks by state file or tag, on moto.

A state file may name anybody's resources, and anyone who may tag a resource may claim it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from moto.cognitoidp.models import CognitoIdpUserPool

from cogauth import engine
from cogauth.errors import CogauthError, NameConflictError, NotOwnedError, UsageError
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED, THROWAWAY
from cogauth.steps import RESOURCES
from support.account import Account, Silent
from support.attached import attach, pool_and_orders
from support.calls import Call, refusal
from support.faults import stopped
from support.foreign import Inside, describe_api, describe_pool, make_api, make_pool
from support.reporters import Told
from support.stacks import (
    ROLE,
    SIGN_IN,
    STACK,
    UNCHANGED,
    delete_api,
    delete_pool,
    existing,
    fact,
    mutations,
    shown,
    update_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable


from support.ownership import (
    NAMES,
    TAGS,
    api_arn,
    command,
    ids,
    others,
    pool_arn,
    record_another,
    tagging_api,
    tags,
    tags_now,
    two_stacks,
    untag_api,
)

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


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


# ---- Tags that were removed


def untag_pool(account: Account) -> None:
    update_pool(account, UserPoolTags={})


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
