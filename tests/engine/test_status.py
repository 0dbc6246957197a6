"""The status that is reported for a stack, whatever people or interruptions did to it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cogauth.engine.status import MethodStatus, StackStatus, status
from cogauth.record.records import OUTDATED
from support.account import Account, Silent
from support.attached import Orders, attach, detach, only_a_pool
from support.calls import Call, refusal
from support.faults import stopped
from support.forker import PATIENCE
from support.stacks import (
    STEP_NAMES,
    delete_api,
    delete_pool,
    existing,
    fact,
    mutations,
    pool,
    throttle,
)
from support.tampers import (
    change_code,
    change_template,
    close_sign_up,
    delete_client,
    delete_log_group,
    delete_method,
    delete_role,
    delete_stage,
    lift_throttle,
    open_protected_method,
    weaken_passwords,
    widen_role,
)


def found(account: Account) -> StackStatus:
    """Return the status; check that reading it changed nothing, in AWS or on disk."""
    before = account.path().read_text()
    with account.calls.watched() as calls:
        status_now = status(account.context(), Silent())
    assert mutations(calls) == []
    assert account.path().read_text() == before
    return status_now


def differing(now: StackStatus) -> dict[str, str]:
    return {each.step: each.status for each in now.steps if each.status != "exists"}


def test_a_stack_that_is_as_wanted_is_complete(account: Account) -> None:
    account.stands()
    for name in ("ann", "bob"):
        account.client("cognito-idp").admin_create_user(
            UserPoolId=fact(account, "user_pool"), Username=name
        )
    now = found(account)
    assert now.condition == "complete"
    assert differing(now) == {}
    assert [each.step for each in now.steps] == list(STEP_NAMES)
    assert [each.id for each in now.steps] == [fact(account, name) for name in STEP_NAMES]
    assert now.users == pool(account)["EstimatedNumberOfUsers"]
    assert now.deployed is not None
    assert now.attached == ()
    assert now.sign_up == "open"


def test_who_may_sign_up_is_told_as_the_pool_has_it(account: Account) -> None:
    account.stands()
    close_sign_up(account)
    now = found(account)
    assert (now.sign_up, differing(now)) == ("closed", {"user_pool": "changed"})


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("tamper", "differs"),
    [
        (change_code, {"sign_in_function": "changed"}),
        (weaken_passwords, {"user_pool": "changed"}),
        (widen_role, {"role": "changed"}),
        # The stage doesn't serve the API as it is.
        (open_protected_method, {"protected_method": "changed", "deployment": "stale"}),
        (change_template, {"rest_api": "changed", "deployment": "stale"}),
        (lift_throttle, {"deployment": "changed"}),
    ],
)
def test_what_was_changed_by_hand_is_named_and_nothing_else(
    account: Account, tamper: Callable[[Account], None], differs: dict[str, str]
) -> None:
    account.stands()
    tamper(account)
    now = found(account)
    assert differing(now) == differs
    assert now.condition == "drifted"
    (changed,) = [each for each in now.steps if differs.get(each.step, "stale") != "stale"]
    assert changed.changes
    assert all("known after" not in str(each) for each in changed.changes)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("delete", "missing"),
    [
        (delete_pool, {"user_pool", "app_client", "trigger"}),
        (delete_client, {"app_client"}),
        (delete_role, {"role"}),
        (delete_log_group, {"auto_confirm_function"}),
        (delete_api, {"rest_api", "authorizer", "protected_method", "deployment"}),
        (delete_method, {"rest_api"}),
        (delete_stage, {"deployment"}),
    ],
)
def test_what_was_deleted_by_hand_is_missing(
    account: Account, delete: Callable[[Account], None], missing: set[str]
) -> None:
    account.stands()
    account.grow_old()
    delete(account)
    now = found(account)
    assert now.condition == "incomplete"
    assert {step for step, how in differing(now).items() if how == "missing"} == missing
    # Parts are only named if they aren't their step's main resource.
    parts = {delete_log_group: "log group", delete_method: "method", delete_stage: "stage"}
    lacking = [(each.step, name) for each in now.steps for name in each.lacks]
    assert {step for step, _ in lacking} == (missing if delete in parts else set())
    assert all(parts[delete] in name or "integration" in name for _, name in lacking)


@pytest.mark.parametrize("operation", ["CreateRole", "CreateStage"])
def test_an_interrupted_run_is_unfinished(account: Account, operation: str) -> None:
    with stopped(account, operation, lands=True):
        account.up()
    now = found(account)
    assert now.condition == "incomplete"
    assert "unfinished" in differing(now).values()
    account.up()
    assert found(account).condition == "complete"


@pytest.mark.parametrize(
    ("tamper", "operation", "differs"),
    [
        (open_protected_method, "UpdateMethod", {"deployment": "stale"}),
        (delete_role, "CreateRole", {"role": "unfinished", "sign_in_function": "unfinished"}),
    ],
)
def test_what_an_interrupted_run_outdated_is_unfinished_and_a_deployment_is_stale(
    account: Account, tamper: Callable[[Account], None], operation: str, differs: dict[str, str]
) -> None:
    account.stands()
    account.grow_old()
    tamper(account)
    with stopped(account, operation, lands=True):
        account.up()
    assert differing(found(account)) == differs


def test_so_it_is_if_the_run_ended_before_anything_else_was_begun(account: Account) -> None:
    account.stands()
    state = account.state()
    state.resources["sign_in_function"]["status"] = OUTDATED
    state.save()
    now = found(account)
    assert (now.condition, differing(now)) == ("incomplete", {"sign_in_function": "unfinished"})


def test_after_an_interrupted_down_what_went_with_the_api_is_missing(account: Account) -> None:
    account.up()
    with stopped(account, "DeleteRestApi", lands=True):
        account.down()
    steps = {each.step: each.status for each in found(account).steps}
    assert steps["rest_api"] == "unfinished"
    gone = {steps[name] for name in ("authorizer", "protected_method", "deployment")}
    assert gone == {"missing"}


def test_a_stage_whose_function_is_not_there_yet_is_told_as_such(account: Account) -> None:
    def refuse(call: Call) -> Any:
        """Stop the run once the stage is as wanted, while Lambda doesn't accept the roles yet."""
        if call.operation != "CreateFunction":
            return None
        if "stage dev deployed" in existing(account) and throttle(account):
            account.aws.stop.set()
        return refusal(400, "InvalidParameterValueException", "The role cannot be assumed")

    with account.calls.watched(refuse), pytest.raises(KeyboardInterrupt):
        account.up()
    now = found(account)
    assert now.condition == "incomplete"
    steps = {each.step: each.status for each in now.steps}
    assert steps["deployment"] == "exists"
    assert steps["sign_in_function"] in {"missing", "unfinished"}
    account.up()
    assert found(account).condition == "complete"


@pytest.mark.parametrize("operation", ["CreateAuthorizer", "UpdateMethod"])
def test_a_stack_is_incomplete_until_an_interrupted_attach_is_finished(
    account: Account, operation: str
) -> None:
    account.stands()
    orders = Orders(account)
    with stopped(account, operation, lands=True):
        attach(account, orders.id)
    now = found(account)
    assert now.condition == "incomplete"
    # Only a method can be open; 'plan' says what else is unfinished.
    command = f"attach --api {orders.id}" if operation == "UpdateMethod" else "plan"
    assert now.advice == command
    attach(account, orders.id)
    now = found(account)
    assert (now.condition, now.advice) == ("complete", None)


def test_an_interruption_lets_no_further_call_begin(account: Account) -> None:
    account.stands()
    before = set(threading.enumerate())

    def press_ctrl_c(call: Call) -> None:
        if call.operation == "GetExport":
            raise KeyboardInterrupt

    with account.calls.watched(press_ctrl_c), pytest.raises(KeyboardInterrupt):
        status(account.context(), Silent())
    with pytest.raises(KeyboardInterrupt):
        account.aws.iam.get_role(RoleName=fact(account, "role"))
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)


def test_what_cant_be_read_of_an_attached_api_is_unknown(account: Account) -> None:
    only_a_pool(account)
    attach(account, Orders(account).id)

    def deny(call: Call) -> Any:
        return refusal(403, "AccessDeniedException") if call.operation == "GetResources" else None

    with account.calls.watched(deny):
        (api,) = status(account.context(), Silent()).attached
    assert {each.guarded for each in api.methods} == {None}
    assert all("AccessDenied" in each.note for each in api.methods)


def test_of_many_attached_apis_that_were_deleted_each_is_named_at_the_pace_of_aws(
    account: Account,
) -> None:
    only_a_pool(account)
    orders = Orders(account)
    attach(account, path="/open", method="GET")
    orders.aws.delete_rest_api(**orders.place)
    state = account.state()
    for number in range(11):
        state.put("attachments", f"gone{number:06}", state.attachments[orders.id])
    begun = account.time.now
    with account.calls.watched() as calls:
        now = found(account)
    assert len(now.attached) == 12
    (methods,) = {api.methods for api in now.attached}
    assert methods == (MethodStatus("GET /open", guarded=False, note="the API was deleted"),)
    # API Gateway allows 5 calls in 2 s.
    reads = [call.operation for call in calls].count("GetResources")
    assert reads <= 5 + 5 / 2 * (account.time.now - begun)


def test_until_an_interrupted_attach_is_deployed_its_methods_count_as_open(
    account: Account,
) -> None:
    only_a_pool(account)
    orders = Orders(account)
    with stopped(account, "CreateDeployment"):
        attach(account)
    (api,) = found(account).attached
    assert {each.guarded for each in api.methods} == {False}
    assert all("the stage prod" in each.note for each in api.methods)
    attach(account)
    (api,) = found(account).attached
    assert {each.guarded for each in api.methods} == {True}
    # What an interrupted detach has given back is attached no more.
    with stopped(account, "CreateDeployment"):
        detach(account)
    (api,) = found(account).attached
    assert api.methods == ()
    detach(account)
    assert found(account).attached == ()
    assert orders.security("GET", "/open") == []


def test_a_stage_that_stays_open_is_named_though_the_attached_one_is_guarded(
    account: Account,
) -> None:
    only_a_pool(account)
    orders = Orders(account, stages=("beta", "prod"))
    attach(account, orders.id, stage="beta")
    (api,) = found(account).attached
    assert all(each.guarded for each in api.methods)
    assert any("the stage prod isn't guarded" in each.note for each in api.methods)


def test_the_next_command_is_about_an_attached_api_only_if_all_else_is_as_wanted(
    account: Account,
) -> None:
    account.stands()
    _, opened = apis = Orders(account), Orders(account, "opened")
    for each in apis:
        attach(account, each.id)
    assert found(account).advice is None
    opened.patch("GET", "/open", ("replace", "/authorizationType", "NONE"))
    opened.deploy("prod")
    assert found(account).advice == f"attach --api {opened.id}"
    weaken_passwords(account)
    assert found(account).advice == "plan"
