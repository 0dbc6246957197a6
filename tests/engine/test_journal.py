"""The journal's finer guarantees, on moto: late creates, duplicates, and things that reappear."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.apigateway.models import apigateway_backends
from moto.cognitoidp.models import cognitoidp_backends

from cogauth import engine
from cogauth.aws.transient import TRANSIENT, passing
from cogauth.context import Context
from cogauth.errors import CogauthError
from cogauth.record.records import CREATED, CREATING, DELETING
from cogauth.steps import RESOURCES
from cogauth.steps.base import Step
from cogauth.steps.ownership import words
from support.account import Account, Silent, agree
from support.calls import Call, refusal
from support.faults import about, lose, run_with_fault, stopped
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
    tags_of,
    unrecorded,
)
from support.tampers import delete_role

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def at(operation: str, do: Callable[[], Any]) -> Callable[[Call], Any]:
    """Return a hook that runs `do` at each call of an operation."""
    return lambda call: do() if call.operation == operation else None


def lands_late(
    account: Account, operation: str, make: Callable[[], Any], after_s: float
) -> tuple[Context, "Landing"]:
    """Leave an intent whose create lands after some seconds of waiting; return a new run."""
    with stopped(account, operation):
        account.up()
    ctx = account.context()
    landing = Landing(account, make, after_s)
    ctx.waiter.report = lambda _reason, _left: landing.look()
    return ctx, landing


class Landing(Silent):
    """A reporter that makes a create land once the run has waited long enough."""

    def __init__(self, account: Account, make: Callable[[], Any], after_s: float) -> None:
        self.account, self.make, self.after_s = account, make, after_s
        self.landed = False
        self.warnings: list[str] = []

    def warn(self, what: str) -> None:
        self.warnings.append(what)

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        del step, reason, seconds_left
        self.look()

    def look(self) -> None:
        if self.account.time.now >= self.after_s and not self.landed:
            self.landed = True
            self.make()


def make_pool(account: Account) -> Any:
    client = account.client("cognito-idp")
    return client.create_user_pool(PoolName="shop", UserPoolTags=tags_of(account.state()))[
        "UserPool"
    ]["Id"]


def make_api(account: Account) -> Any:
    api = account.client("apigateway")
    return api.create_rest_api(name="shop", tags=tags_of(account.state()))["id"]


LATE = [("CreateUserPool", make_pool), ("CreateRestApi", make_api)]


@pytest.mark.parametrize(("operation", "make"), LATE, ids=["pool", "api"])
def test_a_create_that_lands_within_the_settling_time_is_adopted(
    account: Account, operation: str, make: Callable[[Account], Any]
) -> None:
    ctx, landing = lands_late(account, operation, lambda: make(account), after_s=5)
    actions = {result.step: result.action for result in engine.up(ctx, landing)}
    assert actions["user_pool" if operation == "CreateUserPool" else "rest_api"] == "adopted"
    assert 5 <= account.time.now < 15
    assert landing.warnings == []
    assert existing(account) == STACK


def test_such_a_create_is_waited_for_beside_what_only_a_tag_makes_ours(account: Account) -> None:
    ctx, landing = lands_late(account, "CreateUserPool", lambda: make_pool(account), after_s=5)
    theirs = make_pool(account)
    account.client("cognito-idp").admin_create_user(UserPoolId=theirs, Username="ann")
    actions = {result.step: result.action for result in engine.up(ctx, landing)}
    assert actions["user_pool"] == "adopted"
    assert fact(account, "user_pool") != theirs


@pytest.mark.parametrize(("operation", "make"), LATE, ids=["pool", "api"])
def test_down_waits_for_a_create_that_may_still_land(
    account: Account, operation: str, make: Callable[[Account], Any]
) -> None:
    ctx, _ = lands_late(account, operation, lambda: make(account), after_s=5)
    result = engine.down(ctx, engine.plan_down(ctx), lambda _line: None)
    key = "user_pool" if operation == "CreateUserPool" else "rest_api"
    assert [entry["resource"] for entry in result.deleted].count(key) == 1
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


@pytest.mark.parametrize(("operation", "make"), LATE, ids=["pool", "api"])
def test_down_keeps_the_intent_of_what_it_may_not_delete(
    account: Account, operation: str, make: Callable[[Account], Any]
) -> None:
    with stopped(account, operation):
        account.up()
    make(account)
    key = "user_pool" if operation == "CreateUserPool" else "rest_api"

    def refuse(call: Call) -> Any:
        delete = operation.replace("Create", "Delete")
        return refusal(403, "AccessDeniedException") if call.operation == delete else None

    with account.calls.watched(refuse):
        result = account.down()
    assert [entry["resource"] for entry in result.remaining] == [key]
    assert len(result.problems) == 1
    record = account.state().record(key)
    assert record is not None
    assert record["status"] == CREATING
    assert account.down().clean
    assert account.left() == []


@pytest.mark.parametrize(
    ("operation", "make", "lookup"), [(*LATE[0], "ListUserPools"), (*LATE[1], "GetRestApis")]
)
@pytest.mark.sample(1)
def test_down_keeps_the_intent_of_what_it_could_not_look_for(
    account: Account, operation: str, make: Callable[[Account], Any], lookup: str
) -> None:
    with stopped(account, operation):
        account.up()
    ctx = account.context()
    plan, refusals = engine.plan_down(ctx), [refusal(403, "AccessDeniedException")]

    def refuse(call: Call) -> Any:
        return refusals.pop() if call.operation == lookup and refusals else None

    with account.calls.watched(refuse):
        result = engine.down(ctx, plan, lambda _line: None)
    assert not refusals
    (problem,) = result.problems
    assert "AccessDenied" in problem
    assert CREATING in {record["status"] for record in account.state().resources.values()}
    # It may be created late.
    make(account)
    assert account.down().clean
    assert account.left() == []


@pytest.mark.parametrize(("key", "delete"), [("user_pool", delete_pool), ("rest_api", delete_api)])
def test_a_deletion_that_lands_within_the_settling_time_is_asked_about_no_more(
    account: Account, key: str, delete: Callable[[Account], None]
) -> None:
    account.stands()
    account.grow_old()
    former, state = fact(account, key), account.state()
    record = {**state.resources[key], "status": DELETING, "since": account.context().timestamp()}
    state.put("resources", key, record)
    ctx = account.context()
    landing = Landing(account, lambda: delete(account), after_s=5)
    ctx.waiter.report = lambda _reason, _left: landing.look()
    engine.up(ctx, landing)
    assert landing.landed
    assert fact(account, key) != former
    assert existing(account) == STACK


@pytest.mark.parametrize(("operation", "make"), LATE, ids=["pool", "api"])
def test_one_that_landed_after_another_was_made_is_deleted(
    account: Account, operation: str, make: Callable[[Account], Any]
) -> None:
    account.stands()
    kept = fact(account, "user_pool"), fact(account, "rest_api")
    late, told = make(account), Told()
    assert existing(account) != STACK
    changed = "user_pool" if operation == "CreateUserPool" else "rest_api"
    (note,) = [note for row in engine.plan(account.context(), told).rows for note in row.notes]
    assert note == f"delete {late}, left by an interrupted run"
    actions = {result.step: result.action for result in engine.up(account.context(), told)}
    assert actions == {**UNCHANGED, changed: "updated"}
    what = words(RESOURCES[changed])
    assert told.changes == [f"{what}: {note}"]
    assert existing(account) == STACK
    assert (fact(account, "user_pool"), fact(account, "rest_api")) == kept


def test_such_a_part_takes_the_place_of_one_that_is_gone(account: Account) -> None:
    account.stands()
    account.grow_old()
    cognito, place = account.client("cognito-idp"), {"UserPoolId": fact(account, "user_pool")}
    name = fact(account, "app_client", "name")
    late = cognito.create_user_pool_client(**place, ClientName=name, GenerateSecret=True)
    cognito.delete_user_pool_client(**place, ClientId=fact(account, "app_client"))
    assert account.up(confirm=agree)["app_client"] == "adopted"
    assert fact(account, "app_client") == late["UserPoolClient"]["ClientId"]
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


@pytest.mark.parametrize(("_operation", "make"), LATE, ids=["pool", "api"])
def test_down_deletes_the_stacks_own_that_no_record_knows(
    account: Account, _operation: str, make: Callable[[Account], Any]
) -> None:
    account.stands()
    extra = make(account)
    result = account.down()
    assert extra in {entry["id"] for entry in result.deleted}
    assert account.left() == []


def make_older(account: Account, kind: str, identifier: str) -> None:
    """Make this pool or API the oldest; moto gives APIs of the same second the same age."""
    if kind == "rest_api":
        apigateway_backends[account.aws.account][account.region].apis[identifier].create_date -= 60
    else:
        pool = cognitoidp_backends[account.aws.account][account.region].user_pools[identifier]
        pool.creation_date -= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("operation", "make", "kind"), [(*LATE[0], "user_pool"), (*LATE[1], "rest_api")]
)
def test_of_several_that_a_crash_left_the_oldest_is_kept(
    account: Account, operation: str, make: Callable[[Account], Any], kind: str
) -> None:
    with stopped(account, operation):
        account.up()
    made = [make(account) for _ in range(3)]
    make_older(account, kind, made[1])
    assert account.up()[kind] == "adopted"
    assert fact(account, kind) == made[1]
    assert existing(account) == STACK


@pytest.mark.parametrize("kind", ["user_pool", "rest_api"])
def test_what_was_renamed_and_isnt_recorded_is_found_by_its_tag(
    account: Account, kind: str
) -> None:
    """moto's tagging API lists neither pools nor APIs, so the test supplies AWS's answer."""
    account.stands()
    theirs = account.client("cognito-idp").create_user_pool(PoolName="theirs")["UserPool"]
    state, own = account.state(), tags_of(account.state())
    identifier, arn = state.fact(kind, "id"), state.fact(kind, "arn")
    if kind == "user_pool":
        pool = account.client("cognito-idp").describe_user_pool(UserPoolId=identifier)["UserPool"]
        kept = {key: pool[key] for key in ("Policies", "UserPoolTags", "UserPoolTier")}
        update = account.client("cognito-idp").update_user_pool
        update(UserPoolId=identifier, PoolName="renamed", **kept)
    else:
        patch = [{"op": "replace", "path": "/name", "value": "renamed"}]
        account.client("apigateway").update_rest_api(restApiId=identifier, patchOperations=patch)
    for key in [key for key, each in RESOURCES.items() if each.step.name == kind]:
        state.resources.pop(key, None)
    state.save()

    def tagged(call: Call) -> Any:
        if call.operation != "GetResources":
            return None
        found = [{"ResourceARN": arn}, {"ResourceARN": f"{arn}/stages/dev"}]
        asked = json.loads(call.sent["body"] or "{}").get("TagFilters", [])
        if {each["Key"]: each["Values"] for each in asked} != {k: [v] for k, v in own.items()}:
            # As AWS does when it is asked for more than the stack's.
            found.append({"ResourceARN": theirs["Arn"]})
        metadata = {"HTTPStatusCode": 200}
        return refusal(200, "")[0], {"ResourceTagMappingList": found, "ResponseMetadata": metadata}

    with account.calls.watched(tagged) as calls:
        result = account.down()
    assert identifier in {entry["id"] for entry in result.deleted}
    assert account.left() == ["pool theirs"]
    assert not [call for call in calls if theirs["Id"] in call.request]
    # A stage isn't read as an API, though its ARN begins with the API's.
    reads = {call.sent["url_path"] for call in calls if call.operation == "GetRestApi"}
    assert not [path for path in reads if "stages" in path]


def test_absence_is_believed_only_after_the_settling_time(account: Account) -> None:
    begun = time.time()
    with stopped(account, "CreateUserPool"):
        account.up()
    assert account.state().record("user_pool") is not None
    since = account.time.now
    account.up()
    # The settling time counts from the intent, by the real clock.
    assert 15 - (time.time() - begun) - 0.01 <= account.time.now - since <= 16
    assert existing(account) == STACK


def test_a_settling_time_that_is_over_is_not_waited_for(account: Account) -> None:
    with stopped(account, "CreateUserPool"):
        account.up()
    state = account.state()
    for record in state.resources.values():
        if record["status"] == CREATING:
            record["since"] = "2020-01-01T00:00:00+00:00"
    state.save()
    since = account.time.now
    account.up()
    assert account.time.now == since


@pytest.mark.parametrize("since", ["2999-01-01T00:00:00+00:00"])
def test_a_clock_that_was_set_back_costs_no_more_than_the_settling_time(
    account: Account, since: str
) -> None:
    with stopped(account, "CreateUserPool"):
        account.up()
    state = account.state()
    state.put("resources", "user_pool", {"status": CREATING, "since": since})
    before = account.time.now
    account.up()
    assert account.time.now - before <= 16


def test_a_definite_refusal_clears_the_intent(account: Account) -> None:
    def denied(call: Call) -> Any:
        return refusal(403, "AccessDeniedException") if call.operation == "CreateRole" else None

    with account.calls.watched(denied), pytest.raises(CogauthError, match="iam:CreateRole"):
        account.up()
    assert account.state().record("role") is None


def test_an_ambiguous_end_leaves_the_intent(account: Account) -> None:
    _, error = run_with_fault(account, account.up, (lose, None), about("CreateRestApi"))
    assert isinstance(error, CogauthError)
    record = account.state().record("rest_api")
    assert record is not None
    assert record["status"] == CREATING


def test_a_log_group_that_comes_back_after_its_function_is_deleted_again(account: Account) -> None:
    account.stands()
    logs, back = account.client("logs"), []

    def come_back(call: Call) -> None:
        if call.operation == "DeleteLogGroup" and "signIn" in str(call.sent["body"]) and not back:
            back.append(SIGN_IN_LOGS)
            logs.create_log_group(logGroupName=SIGN_IN_LOGS, tags=tags_of(account.state()))

    # Both groups are deleted; one of them is back at the last check.
    with account.calls.watched(after=come_back):
        result = account.down()
    assert back
    assert (result.remaining, result.problems) == ([], [])
    # It was deleted twice, and is listed once.
    assert [entry["id"] for entry in result.deleted].count(SIGN_IN_LOGS) == 1
    assert account.left() == []


def test_a_role_made_anew_makes_its_functions_anew(account: Account) -> None:
    account.stands()
    functions = account.client("lambda")
    before = functions.get_function_configuration(FunctionName="shop-signInFunction")
    delete_role(account)
    deleted: list[Any] = []
    with account.calls.watched(at("DeleteFunction", lambda: deleted.append(1))):
        actions = account.up()
    assert (actions["role"], actions["sign_in_function"]) == ("created", "created")
    assert actions["auto_confirm_function"] == "unchanged"
    assert len(deleted) == 1
    after = functions.get_function_configuration(FunctionName="shop-signInFunction")
    assert before["FunctionArn"] == after["FunctionArn"]
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.sample(1)
def test_a_deleted_function_that_aws_still_shows_is_not_taken_for_the_new_one(
    account: Account, *, interrupted: bool
) -> None:
    account.stands()
    delete_role(account)
    functions, place = account.client("lambda"), {"FunctionName": SIGN_IN}
    former, left = functions.get_function(**place), [3]

    def lag(call: Call) -> Any:
        if not left[0]:
            return None
        if call.operation == "GetFunction" and SIGN_IN in call.sent["url_path"]:
            return refusal(200, "")[0], former
        if call.operation == "CreateFunction":
            left[0] -= 1
            return refusal(409, "ResourceConflictException", f"Function already exist: {SIGN_IN}")
        return None

    if interrupted:
        with stopped(account, "CreateFunction"):
            account.up()
    with account.calls.watched(lag):
        assert account.up()["sign_in_function"] == "created"
    assert left == [0]
    assert existing(account) == STACK
    made = functions.get_function(**place)["Configuration"]["LastModified"]
    assert made != former["Configuration"]["LastModified"]
    assert account.up() == UNCHANGED


def test_the_stop_event_lets_no_call_begin(account: Account) -> None:
    begun: list[Call] = []

    def press_ctrl_c(call: Call) -> None:
        if call.operation == "CreateRole":
            account.time.set()
            begun.extend(calls)

    with account.calls.watched(after=press_ctrl_c) as calls, pytest.raises(KeyboardInterrupt):
        account.up()
    assert calls == begun
    # The calls in flight finished and their outcome is on disk; no later intent is.
    assert fact(account, "role") == ROLE
    assert account.state().record("role_policy") is None
    assert statuses(account) == {CREATED}
    assert unrecorded(account) == []
    assert account.up()["role"] == "updated"
    assert existing(account) == STACK


def statuses(account: Account) -> set[str]:
    return {record["status"] for record in account.state().resources.values()}


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: f"{error.code} {error.words[0]}")
@pytest.mark.sample(6)
def test_a_transient_error_is_waited_out_wherever_it_meets_a_change(
    account: Account, error: Any
) -> None:
    """Each create, change and deletion of a whole life cycle gets the error once."""
    refused: set[str] = set()

    def refuse_once(call: Call) -> Any:
        place = f"{call.operation} {call.sent['url_path']} {call.sent['body']!s:.60}"
        if not call.mutating or place in refused:
            return None
        refused.add(place)
        return refusal(409, error.code, f"Well: {error.words[0]}.")

    with account.calls.watched(refuse_once):
        account.up()
        assert existing(account) == STACK
        result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


def test_what_is_not_named_is_not_waited_for() -> None:
    for code, message in (
        ("ResourceConflictException", "Function already exist: shop-signInFunction"),
        ("ResourceConflictException", "The statement id (cogauth) provided already exists."),
        ("ConflictException", "Another resource with the same parent already has this name"),
        ("InvalidParameterValueException", "Unsupported runtime"),
        ("AccessDeniedException", "no"),
        ("ServiceException", "500"),
    ):
        error = ClientError({"Error": {"Code": code, "Message": message}}, "CreateThing")
        assert passing(error) is None


def test_a_folder_that_can_not_be_written_is_noticed_before_the_next_create(
    account: Account,
) -> None:
    away, ctx = account.folder.with_name("away"), account.context()

    def take_away(call: Call) -> None:
        if call.operation == "CreateUserPool":
            # A thread that writes the state file sees either the folder or the file.
            with ctx.state._lock:  # noqa: SLF001
                account.folder.rename(away)
                account.folder.touch()

    watched = account.calls.watched(after=take_away)
    with watched, pytest.raises(CogauthError, match="can't be written"):
        engine.up(ctx, Silent())
    # Nothing that was made is lost: each intent was on disk.
    account.folder.unlink()
    away.rename(account.folder)
    assert account.up()["user_pool"] == "adopted"
    assert existing(account) == STACK


def test_an_interrupted_down_tells_what_could_not_be_deleted_until_then(account: Account) -> None:
    account.stands()

    def refuse_and_stop(call: Call) -> Any:
        if call.operation != "DeleteUserPool":
            return None
        account.time.set()
        return refusal(400, "InvalidParameterException", "It is protected.")

    told = pytest.raises(KeyboardInterrupt, match=r"user pool failed: .*It is protected")
    with told, account.calls.watched(refuse_and_stop):
        account.down()
    assert account.down().problems == []
    assert account.left() == []
