"""Up and down as a whole: what exists in AWS afterwards, whatever was there or happened before."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from moto.apigateway.models import apigateway_backends

from cogauth import engine
from cogauth.aws.transient import KNOWN_WITHIN_S
from cogauth.context import refuse
from cogauth.engine import StepResult
from cogauth.errors import CogauthError, NameConflictError, StateError, UsageError
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.steps import RESOURCES, ROOTS, STEPS
from cogauth.steps.base import Step
from cogauth.steps.ownership import words
from support.account import Account, Silent, agree
from support.calls import Call, refusal
from support.faults import StoppedError, stopped
from support.stacks import (
    AUTO_CONFIRM,
    AUTO_CONFIRM_LOGS,
    AUTO_CONFIRM_ROLE,
    OTHER_TRUST,
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    STACK,
    STEP_NAMES,
    UNCHANGED,
    configuration,
    delete_api,
    delete_pool,
    existing,
    fact,
    function,
    mutations,
    pool,
    shown,
    stage,
    throttle,
    update_pool,
)
from support.tampers import (
    OVERWRITTEN,
    add_a_variable,
    change_code,
    change_flows,
    change_identity_source,
    change_integration,
    change_template,
    change_trust,
    close_sign_in_method,
    close_sign_up,
    delete_authorizer,
    delete_auto_confirm_function,
    delete_client,
    delete_log_group,
    delete_method,
    delete_resource,
    delete_role,
    delete_role_policy,
    delete_sign_in_function,
    delete_stage,
    lift_throttle,
    open_protected_method,
    point_trigger_elsewhere,
    put_back_retention,
    remove_permission,
    remove_trigger,
    weaken_passwords,
    widen_permission,
    widen_role,
)
from support.world import described, lasting

# Most cases run `up` more than once, so plain `pytest` runs only every fourth one.
pytestmark = pytest.mark.sample(4)

# ---- up


def test_up_makes_exactly_one_of_each(account: Account) -> None:
    with account.calls.watched() as calls:
        assert account.up() == dict.fromkeys(STEP_NAMES, "created")
    assert existing(account) == STACK
    # Nothing is left beside what was just made.
    assert "GetDeployments" not in {call.operation for call in calls}


def test_every_resource_is_recorded_as_created_with_its_id(account: Account) -> None:
    account.stands()
    state, unwanted = account.state(), set()
    for step in STEPS:
        for resource in step.resources:
            record = state.record(resource.key)
            if not resource.wanted(account.context()):
                assert record is None
                unwanted.add(resource.key)
            else:
                assert record is not None
                assert record["status"] == CREATED
                assert record["id"]
    assert "power_user_attachment" in unwanted
    assert len(unwanted) == 7


def test_a_second_up_changes_nothing_and_says_so(account: Account) -> None:
    account.up()
    before, text = existing(account), account.path().read_text()
    with account.calls.watched() as calls:
        assert account.up() == UNCHANGED
    assert mutations(calls) == []
    assert existing(account) == before
    assert account.path().read_text() == text


def test_two_stacks_stand_side_by_side(account: Account) -> None:
    account.up("shop")
    shop = existing(account)
    account.up("shop2")
    assert account.up("shop") == UNCHANGED
    account.down("shop2")
    assert existing(account) == shop


# ---- settings changed on an existing stack


def password_policy(account: Account) -> dict[str, Any]:
    policy: dict[str, Any] = pool(account)["Policies"]["PasswordPolicy"]
    return policy


CHANGED_SETTINGS: list[
    tuple[dict[str, Any], set[str], list[str], Callable[[Account], Any], Any]
] = [
    (
        {"sign_in_memory": 1024},
        {"sign_in_function"},
        ["UpdateFunctionConfiguration"],
        lambda account: function(account, SIGN_IN)["MemorySize"],
        1024,
    ),
    (
        {"auto_confirm_timeout": 5},
        {"auto_confirm_function"},
        ["UpdateFunctionConfiguration"],
        lambda account: function(account, AUTO_CONFIRM)["Timeout"],
        5,
    ),
    (
        {"runtime": "python3.13"},
        {"sign_in_function", "auto_confirm_function"},
        ["UpdateFunctionConfiguration"] * 2,
        lambda account: {function(account, name)["Runtime"] for name in (SIGN_IN, AUTO_CONFIRM)},
        {"python3.13"},
    ),
    (
        {"throttle_rate": 5.0},
        {"deployment"},
        ["UpdateStage"],
        throttle,
        [(5.0, 40)],
    ),
    (
        {"throttle_rate": 2.5, "throttle_burst": 7},
        {"deployment"},
        ["UpdateStage"],
        throttle,
        [(2.5, 7)],
    ),
    (
        {"tier": "ESSENTIALS"},
        {"user_pool"},
        ["UpdateUserPool"],
        lambda account: pool(account)["UserPoolTier"],
        "ESSENTIALS",
    ),
    (
        {"sign_up": "closed"},
        {"user_pool", "sign_in_function"},
        ["UpdateUserPool", "UpdateFunctionConfiguration"],
        lambda account: (
            pool(account)["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"],
            function(account, SIGN_IN)["Environment"]["Variables"]["SIGN_UP"],
        ),
        (True, "closed"),
    ),
    (
        # The function's error message quotes the policy.
        {"password_min_length": 12, "password_require": ("lower", "digit")},
        {"user_pool", "sign_in_function"},
        ["UpdateUserPool", "UpdateFunctionConfiguration"],
        lambda account: (
            password_policy(account)["MinimumLength"],
            password_policy(account)["RequireSymbols"],
            password_policy(account)["RequireNumbers"],
            function(account, SIGN_IN)["Environment"]["Variables"]["PASSWORD_POLICY"],
        ),
        (
            12,
            False,
            True,
            "at least 12 characters, with a lower-case letter and a digit",
        ),
    ),
]


@pytest.mark.parametrize(
    ("choices", "steps", "operations", "look", "wanted"),
    CHANGED_SETTINGS,
    ids=[",".join(case[0]) for case in CHANGED_SETTINGS],
)
@pytest.mark.sample(2)
def test_a_changed_setting_changes_what_it_concerns_and_nothing_else(  # noqa: PLR0913, PLR0917 a table's row
    account: Account,
    choices: dict[str, Any],
    steps: set[str],
    operations: list[str],
    look: Callable[[Account], Any],
    wanted: Any,
) -> None:
    account.stands()
    before = existing(account), stage(account)["deploymentId"]
    assert look(account) != wanted
    with account.calls.watched() as calls:
        actions = account.up(**choices)
    assert {step for step, action in actions.items() if action == "updated"} == steps
    assert set(actions.values()) == {"updated", "unchanged"}
    assert mutations(calls) == operations
    assert look(account) == wanted
    # None of these settings is part of the API, so its deployment stays in use.
    assert (existing(account), stage(account)["deploymentId"]) == before
    assert account.up() == UNCHANGED


def test_a_setting_is_on_disk_before_anything_is_changed(account: Account) -> None:
    account.stands()

    def stop(call: Call) -> None:
        if call.mutating:
            raise StoppedError

    with pytest.raises(StoppedError), account.calls.watched(stop):
        account.up(throttle_rate=3.0)
    assert account.up()["deployment"] == "updated"
    assert throttle(account) == [(3.0, 40)]


def test_a_setting_of_a_run_that_touched_nothing_is_forgotten(account: Account) -> None:
    account.stands()
    before = account.path().read_text()

    def deny(call: Call) -> Any:
        denied = call.operation == "DescribeUserPool"
        return refusal(400, "AccessDeniedException") if denied else None

    told = pytest.raises(
        CogauthError, match=r"Nothing was touched\. .*Run the same command again\.$"
    )
    with account.calls.watched(deny), told:
        account.up(throttle_rate=3.0)
    assert account.path().read_text() == before
    account.grow_old()
    delete_pool(account)
    before = account.path().read_text()
    with pytest.raises(UsageError, match="Nothing was touched"):
        account.up(throttle_rate=3.0)
    assert account.path().read_text() == before


def test_power_user_on_and_off(account: Account, managed_policies: None) -> None:
    del managed_policies
    account.up()
    assert account.up(power_user=True) == {**UNCHANGED, "role": "updated"}
    assert existing(account) == sorted([*STACK, "attached AmazonCognitoPowerUser"])
    assert account.up() == UNCHANGED
    assert account.up(power_user=False) == {**UNCHANGED, "role": "updated"}
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_power_user_from_the_start_goes_with_the_stack(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    assert not account.down().problems
    assert account.left() == []


def test_a_managed_policy_that_somebody_detached_already_stops_no_down(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    policy = fact(account, "power_user_attachment")
    account.client("iam").detach_role_policy(RoleName=ROLE, PolicyArn=policy)
    assert not account.down().problems
    assert account.left() == []


def test_the_managed_policy_of_the_other_role_is_an_obstacle(
    account: Account, managed_policies: None
) -> None:
    """The stack attaches it only to the sign-in function's role."""
    del managed_policies
    account.up(power_user=True)
    before = existing(account)
    policy = account.state().fact("power_user_attachment", "id")
    place = {"RoleName": AUTO_CONFIRM_ROLE, "PolicyArn": policy}
    account.client("iam").attach_role_policy(**place)
    result = account.down()
    assert any(f"The role {AUTO_CONFIRM_ROLE} has the policy" in one for one in result.problems)
    assert result.deleted == []
    account.client("iam").detach_role_policy(**place)
    assert existing(account) == before
    assert account.down().problems == []
    assert account.left() == []


@pytest.mark.parametrize("standing_before", [False, True])
def test_an_interrupted_attaching_of_the_managed_policy_is_no_obstacle_to_down(
    account: Account, managed_policies: None, *, standing_before: bool
) -> None:
    del managed_policies
    if standing_before:
        account.up()
    with stopped(account, "AttachRolePolicy", lands=True):
        account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


def test_power_user_taken_back_after_its_attaching_was_interrupted(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up()
    with stopped(account, "AttachRolePolicy", lands=True):
        account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    (unfinished,) = engine.plan(account.context(power_user=False), Silent()).unfinished
    assert unfinished.outcome == "'up' deletes it"
    account.up(power_user=False)
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_changed_api_is_deployed_anew_and_the_former_deployment_deleted(
    account: Account,
) -> None:
    account.stands()
    former = stage(account)["deploymentId"]
    account.client("apigateway").update_method(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "hello_resource"),
        httpMethod="GET",
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}],
    )
    told = Told()
    with account.calls.watched() as calls:
        results = engine.up(account.context(), told)
    actions = {result.step: result.action for result in results}
    assert told.changes[0] == "protected method: GET /hello was open: NONE → COGNITO_USER_POOLS"
    assert told.changes[1].startswith("stage: deploymentId: ")
    assert actions["protected_method"] == "updated"
    assert actions["deployment"] in {"created", "updated"}
    assert [call.operation for call in calls].count("GetDeployments") == 1
    newest = stage(account)["deploymentId"]
    assert newest != former
    assert newest == fact(account, "deployment")
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


# ---- what was changed behind our back


def recorded_ids(account: Account) -> dict[str, str]:
    """Return all recorded ids but the deployment's, which changes with every change of the API."""
    resources = account.state().resources
    return {key: record["id"] for key, record in resources.items() if key != "deployment"}


@pytest.mark.parametrize(
    ("tamper", "step", "deployed"),
    [
        (put_back_retention, "sign_in_function", False),
        (change_code, "sign_in_function", False),
        (add_a_variable, "sign_in_function", False),
        (remove_trigger, "trigger", False),
        (point_trigger_elsewhere, "trigger", False),
        (weaken_passwords, "user_pool", False),
        (close_sign_up, "user_pool", False),
        (change_flows, "app_client", False),
        (widen_role, "role", False),
        (change_trust, "role", False),
        (widen_permission, "rest_api", False),
        (remove_permission, "trigger", False),
        (open_protected_method, "protected_method", True),
        (close_sign_in_method, "rest_api", True),
        (change_identity_source, "authorizer", True),
        (change_template, "rest_api", True),
        (change_integration, "rest_api", True),
        (lift_throttle, "deployment", False),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.sample(8)
def test_up_restores_what_was_changed_behind_its_back(
    account: Account, tamper: Callable[[Account], None], step: str, *, deployed: bool
) -> None:
    account.stands()
    before, former = configuration(account), stage(account)["deploymentId"]
    ids = recorded_ids(account)
    tamper(account)
    assert configuration(account) != before
    if tamper in OVERWRITTEN:
        changed_so = configuration(account)
        with pytest.raises(UsageError, match="To answer yes, give --yes"):
            account.up()
        assert configuration(account) == changed_so
    actions = account.up(confirm=agree if tamper in OVERWRITTEN else refuse)
    changed = {name for name, action in actions.items() if action != "unchanged"}
    assert changed == {step, "deployment"} if deployed else changed == {step}
    assert configuration(account) == before
    # No resource was replaced by a new one.
    assert recorded_ids(account) == ids
    assert existing(account) == STACK
    assert (stage(account)["deploymentId"] != former) == deployed
    assert account.up() == UNCHANGED


# ---- what was deleted behind our back


@pytest.mark.parametrize(
    ("delete", "made"),
    [
        (delete_client, {"app_client"}),
        # Lambda keeps a grant to the exact role that a function was created with.
        (delete_role, {"role", "sign_in_function", "rest_api"}),
        (delete_role_policy, {"role"}),
        (delete_sign_in_function, {"sign_in_function", "rest_api"}),
        (delete_auto_confirm_function, {"auto_confirm_function", "trigger"}),
        (delete_log_group, {"auto_confirm_function"}),
        (delete_api, {"rest_api", "authorizer", "protected_method", "deployment"}),
        (delete_resource, {"protected_method", "deployment"}),
        (delete_method, {"rest_api", "deployment"}),
        (delete_authorizer, {"authorizer", "protected_method", "deployment"}),
        (delete_stage, {"deployment"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.sample(8)
def test_up_makes_again_what_was_deleted_behind_its_back(
    account: Account, delete: Callable[[Account], None], made: set[str]
) -> None:
    account.stands()
    delete(account)
    actions = account.up()
    changed = {step for step, action in actions.items() if action != "unchanged"}
    # A new client's id is written to the sign-in function's environment.
    assert changed - {"sign_in_function"} == made - {"sign_in_function"}
    assert existing(account) == STACK
    assert stage(account)["deploymentId"] == fact(account, "deployment")
    variables = function(account, SIGN_IN)["Environment"]["Variables"]
    assert variables["CLIENT_ID"] == fact(account, "app_client")
    place = {"restApiId": fact(account, "rest_api"), "httpMethod": "GET"}
    hello = account.client("apigateway").get_method(
        **place, resourceId=fact(account, "hello_resource")
    )
    assert hello["authorizerId"] == fact(account, "authorizer")
    assert account.up() == UNCHANGED
    assert not account.down().problems
    assert account.left() == []


def test_a_pool_that_was_deleted_is_made_again_and_all_that_names_it_follows(
    account: Account,
) -> None:
    account.stands()
    former = fact(account, "user_pool")
    delete_pool(account)
    with account.calls.watched() as calls, pytest.raises(UsageError, match="users"):
        account.up()
    assert mutations(calls) == []
    asked: list[str] = []
    actions = account.up(confirm=asked.append)
    # Nothing is asked about what went with the pool.
    assert [f"The user pool {former} is gone" in each for each in asked] == [True]
    arn = pool(account)["Arn"]
    assert fact(account, "user_pool") != former
    made = {step for step, action in actions.items() if action == "created"}
    assert made >= {"user_pool", "app_client"}
    assert existing(account) == STACK
    stands = described(account.client)
    assert stands["api shop"][0]["authorizers"][0]["providerARNs"] == [arn]
    assert former not in json.dumps(stands, default=str)
    assert arn in json.dumps(stands[f"role {ROLE}"][0]["policies"])
    assert arn in json.dumps(stands[f"function {AUTO_CONFIRM}"][0]["policy"])


def is_closed(account: Account) -> tuple[bool, str]:
    """Return whether the pool is closed, and what the function was told about it."""
    config = pool(account)["AdminCreateUserConfig"]
    variables = function(account, SIGN_IN)["Environment"]["Variables"]
    return config["AllowAdminCreateUserOnly"], variables["SIGN_UP"]


def test_sign_up_is_closed_and_opened_in_place_and_all_else_of_the_pool_stays(
    account: Account,
) -> None:
    account.stands()
    mail = {"EmailSubject": "Come in", "EmailMessage": "{username}: {####}"}
    config = {**pool(account)["AdminCreateUserConfig"], "InviteMessageTemplate": mail}
    update_pool(account, AdminCreateUserConfig=config, AutoVerifiedAttributes=["email"])
    before = pool(account)
    account.up(sign_up="closed")
    assert is_closed(account) == (True, "closed")
    assert account.up() == UNCHANGED
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")
    changing = {"LastModifiedDate"}
    after = pool(account)
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_who_closed_the_pool_is_not_overruled_once_that_is_the_choice(account: Account) -> None:
    account.stands()
    close_sign_up(account)
    # Nothing in the pool is overwritten, so there is nothing to ask.
    assert account.up(sign_up="closed")["user_pool"] == "unchanged"
    assert is_closed(account) == (True, "closed")
    assert account.up() == UNCHANGED


def interrupted(account: Account, **choices: Any) -> None:
    """Interrupt an `up` with other settings at its first write, then run it no further."""

    def refuse(call: Call) -> Any:
        return refusal(400, "AccessDenied", "No.") if call.mutating else None

    with account.calls.watched(refuse), pytest.raises(CogauthError):
        account.up(**choices)
    assert account.state().settings.in_progress


def test_a_pool_closed_by_hand_is_not_reopened_unasked_after_an_interruption(
    account: Account,
) -> None:
    account.stands()
    interrupted(account, password_min_length=12)
    close_sign_up(account)
    with pytest.raises(UsageError, match="AllowAdminCreateUserOnly"):
        account.up()
    assert is_closed(account)[0]
    account.up(confirm=agree)
    assert is_closed(account) == (False, "open")
    assert pool(account)["Policies"]["PasswordPolicy"]["MinimumLength"] == 12


def test_the_choice_of_an_interrupted_run_is_carried_out_unasked(account: Account) -> None:
    account.stands()
    account.up(sign_up="closed")
    interrupted(account, sign_up="open")
    assert is_closed(account) == (True, "closed")
    account.up()
    assert is_closed(account) == (False, "open")
    # From now on it is no choice of this run.
    close_sign_up(account)
    with pytest.raises(UsageError, match="AllowAdminCreateUserOnly"):
        account.up()


def test_what_is_changed_while_a_first_run_is_interrupted_is_put_back_unasked(
    account: Account,
) -> None:
    with stopped(account, "CreateDeployment"):
        account.up()
    weaken_passwords(account)
    account.up()
    assert pool(account)["Policies"]["PasswordPolicy"]["MinimumLength"] == 8


def test_who_changes_values_after_a_run_that_was_to_change_none_is_asked(account: Account) -> None:
    account.stands()
    delete_log_group(account)

    def refuse(call: Call) -> Any:
        return refusal(400, "AccessDenied") if call.mutating else None

    with account.calls.watched(refuse), pytest.raises(CogauthError):
        account.up()
    weaken_passwords(account)
    with pytest.raises(UsageError, match="MinimumLength"):
        account.up()


def test_what_an_interrupted_recreation_left_is_finished_without_a_question(
    account: Account,
) -> None:
    account.stands()
    delete_pool(account)
    with stopped(account, "UpdateFunctionConfiguration"):
        account.up(confirm=agree)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_run_that_finds_nothing_to_do_ends_an_interrupted_one(account: Account) -> None:
    account.stands()
    default = account.state().settings.password_min_length
    interrupted(account, password_min_length=12)
    assert account.up(password_min_length=default) == UNCHANGED
    # From now on, what differs was changed by hand.
    weaken_passwords(account)
    with pytest.raises(UsageError, match="MinimumLength"):
        account.up()


@pytest.mark.parametrize(
    ("choices", "closed"), [({}, True), ({}, False), ({"throttle_rate": 3.0}, True)]
)
def test_a_state_file_from_before_the_choice_takes_over_what_the_pool_has(
    account: Account, choices: dict[str, Any], *, closed: bool
) -> None:
    account.stands()
    if closed:
        close_sign_up(account)
    data = json.loads(account.path().read_text())
    del data["settings"]["sign_up"]
    account.path().write_text(json.dumps(data))
    assert account.state().settings.sign_up is None
    ctx = account.context()
    assert engine.plan(ctx, Silent()).is_empty == (not closed)
    assert ctx.state.settings.sign_up == ("closed" if closed else "open")
    account.up(**choices)
    assert is_closed(account) == ((True, "closed") if closed else (False, "open"))
    assert account.state().settings.sign_up == ("closed" if closed else "open")
    # From now on it is a choice like any other.
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")


def test_a_stage_that_is_made_again_leaves_no_superseded_deployment(account: Account) -> None:
    account.stands()
    delete_stage(account)
    open_protected_method(account)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_nor_does_one_that_could_not_be_made_before(account: Account) -> None:
    def refuse(call: Call) -> Any:
        denied = call.operation == "CreateStage"
        return refusal(403, "AccessDeniedException") if denied else None

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="Deployment"):
        account.up()
    assert account.state().record("stage") is None
    open_protected_method(account)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_such_a_file_and_a_choice_ask_nothing(account: Account) -> None:
    """Nobody knows what the former choice was, so none is overruled."""
    account.stands()
    close_sign_up(account)
    data = json.loads(account.path().read_text())
    del data["settings"]["sign_up"]
    account.path().write_text(json.dumps(data))
    account.up(sign_up="open")
    assert is_closed(account) == (False, "open")


def test_whoever_deployed_the_api_later_is_left_on_its_stage(account: Account) -> None:
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    theirs = api.create_deployment(**place, description="the owner's")["id"]
    patch = [{"op": "replace", "path": "/deploymentId", "value": theirs}]
    api.update_stage(**place, stageName="dev", patchOperations=patch)
    found = apigateway_backends[account.aws.account][account.region].apis[place["restApiId"]]
    ours = found.deployments[fact(account, "deployment")]
    # AWS dates deployments to the second.
    for later_s in (60, 0):
        found.deployments[theirs].created_date = ours.created_date + later_s
        assert account.up() == UNCHANGED
        assert stage(account)["deploymentId"] == theirs


def test_a_stage_that_was_put_on_an_older_deployment_is_put_back(account: Account) -> None:
    """The older deployment may lack the guard."""
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    older = api.create_deployment(**place, description="the owner's")["id"]
    found = apigateway_backends[account.aws.account][account.region].apis[place["restApiId"]]
    ours = found.deployments[fact(account, "deployment")]
    found.deployments[older].created_date = ours.created_date - 60
    patch = [{"op": "replace", "path": "/deploymentId", "value": older}]
    api.update_stage(**place, stageName="dev", patchOperations=patch)
    assert account.up()["deployment"] == "updated"
    assert stage(account)["deploymentId"] == fact(account, "deployment")


def test_a_superseded_deployment_that_another_stage_is_on_stays(account: Account) -> None:
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    former = fact(account, "deployment")
    api.create_stage(**place, stageName="prod", deploymentId=former)
    change_template(account)
    account.up()
    assert fact(account, "deployment") != former
    assert former in {item["id"] for item in api.get_deployments(**place)["items"]}


def without_empty(found: Any) -> Any:
    """Return an answer without its empty members."""
    if isinstance(found, dict):
        kept = {key: without_empty(value) for key, value in found.items()}
        return {key: value for key, value in kept.items() if value not in (None, "", [], {})}
    return [without_empty(one) for one in found] if isinstance(found, list) else found


@contextlib.contextmanager
def terse(account: Account) -> Iterator[None]:
    """Make AWS leave empty members out of its answers."""

    def shorten(parsed: dict[str, Any], **_: Any) -> None:
        for key in parsed.keys() - {"ResponseMetadata"}:
            parsed[key] = without_empty(parsed[key])
            # A list is the whole answer, so it stays.
            if parsed[key] in (None, "", {}):
                del parsed[key]

    events = [client.meta.events for client in account.calls.clients]
    for one in events:
        one.register_first("after-call", shorten)
    try:
        yield
    finally:
        for one in events:
            one.unregister("after-call", shorten)


def test_aws_may_leave_out_what_is_empty(account: Account) -> None:
    account.stands()
    update_pool(account, LambdaConfig={})
    lambda_, api = account.client("lambda"), account.client("apigateway")
    lambda_.remove_permission(FunctionName=SIGN_IN, StatementId="cogauth-apigateway")
    # Other resources with the same names, or inside the stack's own, carry no tags.
    own, arn = {"restApiId": fact(account, "rest_api")}, fact(account, "rest_api", "arn")
    api.create_rest_api(name="shop")
    api.create_stage(**own, stageName="other", deploymentId=fact(account, "deployment"))
    account.client("cognito-idp").create_user_pool(PoolName="shop")
    api.untag_resource(resourceArn=arn, tagKeys=["cogauth:stack", "cogauth:stack-id"])
    with terse(account):
        account.up(adopt=(own["restApiId"],), confirm=lambda _question: None)
        assert account.up() == UNCHANGED
        assert account.up(password_min_length=9)["user_pool"] == "updated"
        account.path().unlink()
        account.recover()
        account.up()
        assert account.down().clean
    assert account.left() == ["api shop", "pool shop"]


# ---- down


def test_down_leaves_nothing_and_lists_all_it_deleted(account: Account) -> None:
    account.stands()
    recorded = sorted(
        (RESOURCES[key].step.name, record["id"])
        for key, record in account.state().resources.items()
    )
    result = account.down()
    assert account.left() == []
    assert sorted((entry["step"], entry["id"]) for entry in result.deleted) == recorded
    assert (result.already_gone, result.remaining, result.problems) == ([], [], [])
    assert not account.path().exists()


def test_down_twice_is_fine(account: Account) -> None:
    account.stands()
    account.grow_old()
    text = account.path().read_text()
    account.down()
    # As if the state file had been restored from a backup.
    account.path().write_text(text)
    assert engine.plan_down(account.context()).doomed == []
    with account.calls.watched() as calls:
        result = account.down()
    assert mutations(calls) == []
    assert (result.deleted, result.remaining, result.problems) == ([], [], [])
    # Everything but the API's root path; a method's integration has a record of its own.
    assert len(result.already_gone) == len(STACK) - 1 + 2
    assert not account.path().exists()
    assert account.down().already_gone == []


def test_what_was_gone_before_counts_as_already_gone(account: Account) -> None:
    account.stands()
    delete_sign_in_function(account)
    delete_pool(account)
    delete_role(account)
    result = account.down()
    assert {(entry["step"], entry["id"]) for entry in result.already_gone} >= {
        ("sign_in_function", SIGN_IN),
        ("role", ROLE),
    }
    assert {entry["step"] for entry in result.already_gone} == {
        "role",
        "sign_in_function",
        "rest_api",  # its permission on the function
        "user_pool",
        "app_client",
        "trigger",
    }
    assert account.left() == []


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.sample(1)
def test_what_somebody_deletes_after_the_plan_counts_as_already_gone(
    account: Account, *, old: bool
) -> None:
    account.stands()
    if old:
        account.grow_old()
    ctx = account.context()
    plan = engine.plan_down(ctx)
    delete_sign_in_function(account)
    begun = account.time.now
    result = engine.down(ctx, plan, lambda _line: None)
    # AWS may not know a new one everywhere yet.
    assert account.time.now - begun == (0 if old else pytest.approx(KNOWN_WITHIN_S, abs=5))
    assert {entry["id"] for entry in result.already_gone} >= {SIGN_IN}
    assert SIGN_IN not in {entry["id"] for entry in result.deleted}
    assert account.left() == []


def down(account: Account, lines: list[str]) -> None:
    ctx = account.context()
    engine.down(ctx, engine.plan_down(ctx), lines.append)


def test_down_deletes_against_the_needs_and_the_api_at_once(account: Account) -> None:
    account.stands()
    api, pool = fact(account, "rest_api"), fact(account, "user_pool")
    lines: list[str] = []
    with account.calls.watched() as calls:
        down(account, lines)
    assert sorted(mutations(calls)) == [
        "DeleteFunction",
        "DeleteFunction",
        "DeleteLogGroup",
        "DeleteLogGroup",
        "DeleteRestApi",
        "DeleteRole",
        "DeleteRole",
        "DeleteRolePolicy",
        "DeleteRolePolicy",
        "DeleteUserPool",
    ]
    order = [line.rsplit(" ", 1)[1] for line in lines]
    assert order[0] == api
    assert order.index(SIGN_IN) < order.index(ROLE)
    assert order.index(AUTO_CONFIRM) < order.index(AUTO_CONFIRM_ROLE)
    assert order.index(SIGN_IN) < min(map(order.index, (pool, SIGN_IN_LOGS)))
    assert order.index(AUTO_CONFIRM) < order.index(AUTO_CONFIRM_LOGS)


def test_a_refused_deletion_is_reported_and_its_record_kept(account: Account) -> None:
    account.stands()
    role = fact(account, "role", "arn")

    def refuse(call: Call) -> Any:
        its = call.operation == "DeleteRole" and call.sent["body"]["RoleName"] == ROLE
        return refusal(403, "AccessDenied") if its else None

    begun = account.time.now
    with account.calls.watched(refuse):
        result = account.down()
    # `down` doesn't wait for what AWS refuses to delete.
    assert account.time.now == begun
    assert account.left() == [f"role {ROLE}"]
    assert result.remaining == [{"step": "role", "resource": "role", "id": ROLE}]
    assert len(result.problems) == 1
    assert "iam:DeleteRole" in result.problems[0]
    # Nobody need look for an obstacle: permission is what is lacking.
    assert "obstacle" not in result.problems[0]
    assert account.state().fact("role", "arn") == role
    assert list(account.state().resources) == ["role", "role_policy"]
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


@pytest.mark.parametrize(
    ("status", "age"), [(CREATED, 1), (OUTDATED, 1), (DELETING, 1), (DELETING, 0)]
)
def test_refused_deletions_leave_the_records_as_they_were(
    account: Account, status: str, age: int
) -> None:
    """Except deletions that began so long ago that they can't take effect any more."""
    account.stands()
    if age:
        account.grow_old()
    state = account.state()
    for root in ROOTS:
        state.resources[root.key]["status"] = status
    state.save()
    wanted = account.state().resources
    if status == DELETING and age:
        for root in ROOTS:
            # Nobody knows whether a function was outdated before, but it can be recreated.
            restored = OUTDATED if root.key.endswith("_function") else CREATED
            wanted[root.key]["status"] = restored

    def refuse(call: Call) -> Any:
        return refusal(403, "AccessDenied") if call.mutating else None

    with account.calls.watched(refuse):
        result = account.down()
    assert len(result.problems) == len(ROOTS)
    assert account.state().resources == wanted
    assert existing(account) == STACK


def test_down_waits_out_the_one_deletion_of_an_api_in_30_seconds(account: Account) -> None:
    account.stands()
    began = account.time.now

    def throttle_until_later(call: Call) -> Any:
        early = account.time.now < began + 30
        throttled = call.operation == "DeleteRestApi" and early
        return refusal(429, "TooManyRequestsException") if throttled else None

    with account.calls.watched(throttle_until_later):
        result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []
    assert 30 <= account.time.now - began < 60


def pretend(call: Call) -> Any:
    """Answer that the pool is deleted, and don't delete it."""
    if call.operation != "DeleteUserPool":
        return None
    return refusal(200, "")[0], {"ResponseMetadata": {"HTTPStatusCode": 200}}


def test_down_counts_as_remaining_what_aws_still_shows(account: Account) -> None:
    account.stands()
    with account.calls.watched(pretend):
        result = account.down()
    assert [entry["step"] for entry in result.remaining] == ["user_pool"]
    assert account.left() == ["pool shop"]


def test_so_it_does_if_only_its_id_finds_it(account: Account) -> None:
    """AWS's lists lag."""
    account.stands()
    listed = shown(account, "ListUserPools", lambda answer: answer["UserPools"].clear(), 10**9)
    with account.calls.watched(pretend), listed:
        result = account.down()
    assert [entry["step"] for entry in result.remaining] == ["user_pool"]


# ---- the journal


@pytest.mark.parametrize(
    ("operation", "step"), [("CreateRole", "role"), ("CreateLogGroup", "sign_in_function")]
)
def test_a_lost_answer_that_botocore_retries_is_no_taken_name(
    account: Account, operation: str, step: str
) -> None:
    """The second attempt is told that the name is taken; the first attempt took it."""
    lost: list[str] = []

    def lose_first(request: Any, event_name: str, **_: Any) -> None:
        del request
        if event_name.endswith(operation) and not lost:
            lost.append(operation)
            raise ConnectionClosedError(endpoint_url="https://aws.invalid")

    for client in account.calls.clients:
        client.meta.events.register_last("before-send", lose_first)
    try:
        actions = account.up()
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-send", lose_first)
    assert lost == [operation]
    assert actions[step] in {"created", "adopted"}
    assert existing(account) == STACK


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("CreateUserPool", "user_pool"),
        ("CreateUserPoolClient", "app_client"),
        ("CreateRestApi", "rest_api"),
        ("CreateAuthorizer", "authorizer"),
    ],
)
def test_a_create_whose_name_is_not_unique_is_not_retried_blind(
    account: Account, operation: str, step: str
) -> None:
    """A second attempt would leave an unrecorded pool, client, API or authorizer behind."""
    sent: list[str] = []

    def lose_all(event_name: str, **_: Any) -> None:
        if event_name.endswith(f".{operation}"):
            sent.append(operation)
            raise ConnectionClosedError(endpoint_url="https://aws.invalid")

    for client in account.calls.clients:
        client.meta.events.register_last("before-send", lose_all)
    try:
        with pytest.raises(CogauthError):
            account.up()
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-send", lose_all)
    assert sent == [operation]
    assert account.up()[step] == "adopted"
    assert existing(account) == STACK


def test_throttled_creates_are_waited_out(account: Account) -> None:
    refused: set[str] = set()

    def once_each(call: Call) -> Any:
        if not call.operation.startswith("Create") or call.operation in refused:
            return None
        refused.add(call.operation)
        return refusal(429, "TooManyRequestsException")

    with account.calls.watched(once_each):
        account.up()
    assert len(refused) >= 9
    assert existing(account) == STACK


def not_assumable() -> Any:
    words = "The role defined for the function cannot be assumed by Lambda."
    return refusal(400, "InvalidParameterValueException", words)


def test_a_role_that_is_not_assumable_yet_is_waited_for(account: Account) -> None:
    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or account.time.now > 20:
            return None
        return not_assumable()

    told = Told()
    with account.calls.watched(refuse):
        engine.up(account.context(), told)
    assert existing(account) == STACK
    assert 20 < account.time.now < 40
    # When the wait is over, it isn't shown any more.
    assert told.events["sign_in_function"][-3:] == ["wait", "begin", "end"]


def test_the_api_is_served_while_the_roles_propagate(account: Account) -> None:
    """Lambda accepts no role before the stage exists: waiting for the function first would fail."""

    def refuse(call: Call) -> Any:
        if call.operation != "CreateFunction" or "stage dev deployed" in existing(account):
            return None
        return not_assumable()

    with account.calls.watched(refuse):
        account.up()
    assert existing(account) == STACK


def up_without_function(
    account: Account, code: str, message: str, met: threading.Event | None = None
) -> None:
    """Run `up` where AWS refuses the integration, at least three times, until its function exists.

    Until then Lambda doesn't accept the roles. The first refusal sets `met`.
    """
    refused = 0

    def refuse(call: Call) -> Any:
        nonlocal refused
        if call.operation == "PutIntegration" and "function:" in str(call.sent["body"]):
            if f"function {SIGN_IN}" in existing(account):
                return None
            refused += 1
            if met is not None:
                met.set()
            return refusal(400, code, message)
        return not_assumable() if call.operation == "CreateFunction" and refused < 3 else None

    with account.calls.watched(refuse):
        account.up(confirm=agree)
    assert refused >= 3
    assert existing(account) == STACK


NO_FUNCTION = [
    ("BadRequestException", "The Lambda function in the integration's uri does not exist"),
    ("NotFoundException", "Function not found: arn:aws:lambda:eu-central-1:1:function:x"),
]


@pytest.mark.parametrize(("code", "message"), NO_FUNCTION)
def test_an_integration_that_aws_refuses_without_its_function_waits_for_it(
    account: Account, code: str, message: str
) -> None:
    # AWS names the missing function. It may come to exist between the refusal and the look at it.
    up_without_function(account, code, message.replace("function:x", f"function:{SIGN_IN}"))


def test_an_integration_whose_function_was_deleted_waits_for_the_next(account: Account) -> None:
    account.stands()
    account.grow_old()
    account.client("lambda").delete_function(FunctionName=SIGN_IN)
    account.client("apigateway").delete_integration(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
    )
    met = threading.Event()

    def let_the_integration_be_first(model: Any, **_: Any) -> None:
        """Let the run find out only then that the function is gone."""
        its = threading.current_thread().name == "sign_in_function"
        if its and model.name == "GetFunction" and account.state().settings.in_progress:
            assert met.wait(30)

    events = account.aws.lambda_.meta.events
    events.register_first("before-call", let_the_integration_be_first)
    try:
        up_without_function(account, *NO_FUNCTION[0], met)
    finally:
        events.unregister("before-call", let_the_integration_be_first)


@pytest.mark.parametrize(("code", "message"), NO_FUNCTION)
def test_an_integration_that_aws_refuses_with_its_function_is_an_error(
    account: Account, code: str, message: str
) -> None:
    def refuse(call: Call) -> Any:
        if call.operation == "PutIntegration" and "function:" in str(call.sent["body"]):
            return refusal(400, code, message)
        return None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.up()
    assert message in str(caught.value)
    assert account.time.now < 60
    assert account.down().clean
    assert account.left() == []


def test_a_role_that_never_becomes_assumable_is_given_up_with_a_reason(account: Account) -> None:
    def refuse(call: Call) -> Any:
        message = "The role defined for the function cannot be assumed by Lambda."
        refused = call.operation == "CreateFunction"
        return refusal(400, "InvalidParameterValueException", message) if refused else None

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="cannot be assumed"):
        account.up()
    assert account.time.now < 300
    assert not account.down().problems
    assert account.left() == []


def test_each_record_is_on_disk_before_what_needs_it_is_made(account: Account) -> None:
    """During a create, the file has its own intent and the facts of all that its step needs."""
    creating = {
        "CreateUserPool": ["user_pool"],
        "CreateUserPoolClient": ["app_client"],
        "CreateRole": ["auto_confirm_role", "role"],
        "CreateFunction": ["auto_confirm_function", "sign_in_function"],
        "CreateRestApi": ["rest_api"],
        "CreateAuthorizer": ["authorizer"],
        "CreateDeployment": ["deployment"],
    }
    resources = {resource.key: resource for step in STEPS for resource in step.resources}
    seen: list[str] = []

    def look(call: Call) -> None:
        if call.operation not in creating:
            return
        keys = creating[call.operation]
        sent = str(call.sent["body"]).lower()
        here = next((key for key in keys if key[:4] in sent), keys[-1])
        keys.remove(here)
        records = account.state().resources
        assert records[here]["status"] == CREATING
        for need in filter(None, (*resources[here].depends_on, resources[here].parent)):
            assert records[need]["status"] == CREATED
        seen.append(here)

    with account.calls.watched(look):
        account.up(cors_origins=("https://app.example",))
    assert len(seen) == 9


def test_each_deletion_is_on_disk_before_it_happens(account: Account) -> None:
    account.stands()
    ids = {fact(account, root.key): root.key for root in ROOTS}
    deleted = []

    def look(call: Call) -> None:
        if call.mutating and call.operation != "DeleteRolePolicy":
            sent = f"{call.sent['url_path']} {call.sent['body']}"
            # A function's name is the end of its log group's name.
            key = ids[max((each for each in ids if each in sent), key=len)]
            assert account.state().fact(key, "status") == DELETING
            deleted.append(key)

    with account.calls.watched(look):
        assert account.down().clean
    assert sorted(deleted) == sorted(ids.values())


class Told(Silent):
    """A reporter that records what it is told, and which steps were done by then."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.changes: list[str] = []
        # What each step waits for of the stack.
        self.needs: list[tuple[str, str, set[str]]] = []
        # By step: what it was told, in order.
        self.events: dict[str, list[str]] = {name: [] for name in STEP_NAMES}
        self.needs_the_pool = threading.Event()

    def begin(self, step: Step) -> None:
        self.events[step.name].append("begin")

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        self.events[step.name].append("wait")
        if seconds_left is None:
            self.needs.append((step.name, reason.removeprefix("the "), set(self.done)))
            if (step.name, reason) == ("role", "the user pool"):
                self.needs_the_pool.set()

    def change(self, step: Step, what: str) -> None:
        del step
        self.changes.append(what)

    def end(self, result: StepResult) -> None:
        self.events[result.step].append("end")
        self.done.add(result.step)


def test_a_step_is_said_to_wait_only_for_what_another_has_not_done_yet(account: Account) -> None:
    told, steps = Told(), {words(each): each.step.name for each in RESOURCES.values()}

    def hold_the_pool(model: Any, **_: Any) -> None:
        if model.name == "CreateUserPool":
            # The role is there; its policy names the pool.
            assert told.needs_the_pool.wait(30)

    events = account.aws.cognito_once.meta.events
    events.register_first("before-call", hold_the_pool)
    try:
        results = engine.up(account.context(), told)
    finally:
        events.unregister("before-call", hold_the_pool)
    for step, needed, done in told.needs:
        assert steps[needed] not in {step, *done}
    # What a new resource needs is no change.
    assert told.changes == []
    for events_of_one in told.events.values():
        assert (events_of_one[0], events_of_one[-1]) == ("begin", "end")
        assert events_of_one.count("end") == 1
    for result in results:
        assert 0 <= result.seconds < 60
        assert result.seconds == round(result.seconds, 3)


@contextlib.contextmanager
def before_calls(account: Account, hook: Callable[..., Any]) -> Iterator[None]:
    """Run a hook before each call. Unlike with `account.calls`, they run at the same time."""
    for client in account.calls.clients:
        client.meta.events.register_last("before-call", hook)
    try:
        yield
    finally:
        for client in account.calls.clients:
            client.meta.events.unregister("before-call", hook)


def refuse_at_once(account: Account, codes: dict[str, str]) -> CogauthError:
    """Run `up` while AWS refuses some operations, each only once all of them are in flight."""
    together = threading.Barrier(len(codes))

    def wait_and_refuse(model: Any, **_: Any) -> Any:
        if model.name not in codes:
            return None
        together.wait(30)
        return refusal(403, codes[model.name])

    with before_calls(account, wait_and_refuse), pytest.raises(CogauthError) as caught:
        account.up()
    return caught.value


def test_all_that_failed_is_told(account: Account) -> None:
    error = refuse_at_once(
        account, {"CreateUserPool": "AccessDeniedException", "CreateRestApi": "LimitExceeded"}
    )
    first, second, last = sorted(error.args)
    assert first.startswith("Nothing is lost")
    assert second.startswith("The step 'REST API' failed: CreateRestApi reached a quota")
    assert last.startswith("The step 'User pool' failed: AccessDenied")
    assert error.hint is not None
    assert "Service Quotas" in error.hint
    assert error.hint.endswith("to delete everything.")
    assert isinstance(error.__cause__, ExceptionGroup)
    assert account.up()["rest_api"] == "created"


def test_what_failed_for_one_reason_is_told_once(account: Account) -> None:
    expired = "ExpiredTokenException"
    # Neither waits for the other, so they are in flight together.
    error = refuse_at_once(account, {"CreateUserPool": expired, "CreateRole": expired})
    assert str(error).count("have expired") == 1
    (line,) = error.args
    assert line.startswith("The steps '")
    steps, _, _ = line.removeprefix("The steps ").partition(" failed: ")
    assert sorted(steps.split(", ")) == ["'Role'", "'User pool'"]


def test_once_something_failed_nothing_new_starts(account: Account) -> None:
    def refuse_and_hold(model: Any, **_: Any) -> Any:
        if model.name == "CreateUserPool":
            return refusal(403, "AccessDeniedException")
        if model.name == "CreateRole":
            # It is in flight when the run is stopped.
            assert threading.Event.wait(account.time, 30)
        return None

    failed = pytest.raises(CogauthError, match="The step 'User pool' failed: AccessDenied")
    with before_calls(account, refuse_and_hold), failed:
        account.up()
    # What waited for the role isn't there.
    named = [each for each in existing(account) if each.startswith(("role", "logs", "function"))]
    assert named == [f"role {ROLE}"]
    assert account.state().fact("role", "status") == CREATED


def test_a_defect_is_raised_as_it_is_and_tells_what_else_failed(account: Account) -> None:
    together = threading.Barrier(2)

    def break_down(model: Any, **_: Any) -> Any:
        if model.name in {"CreateRole", "CreateUserPool"}:
            together.wait(30)
            if model.name == "CreateRole":
                raise RuntimeError("a defect")
            return refusal(403, "AccessDeniedException")
        return None

    defect = pytest.raises(RuntimeError, match="a defect")
    with before_calls(account, break_down), defect as caught:
        account.up()
    (note,) = caught.value.__notes__
    assert note.startswith("Besides: AccessDenied")


def test_a_name_that_is_taken_is_told_even_if_something_else_stopped_the_run(
    account: Account,
) -> None:
    def press_ctrl_c(call: Call) -> Any:
        if call.operation == "CreateRole":
            account.time.set()
            return refusal(409, "EntityAlreadyExists", "Taken.")
        return None

    with account.calls.watched(press_ctrl_c), pytest.raises(CogauthError, match="Taken"):
        account.up()
    assert account.state().record("role") is None


def test_an_intent_stays_when_botocore_tried_again_by_itself(account: Account) -> None:
    """The first attempt may have taken effect, whatever the last one was answered."""

    def refuse(call: Call) -> Any:
        if call.operation != "CreateRole":
            return None
        answer = refusal(403, "AccessDenied")
        answer[1]["ResponseMetadata"]["RetryAttempts"] = 2
        return answer

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="iam:CreateRole"):
        account.up()
    record = account.state().record("role")
    assert record is not None
    assert record["status"] == CREATING
    account.down()
    assert account.left() == []


def test_down_tells_what_failed_before_it_could_not_look_again(account: Account) -> None:
    account.stands()

    denied = ["DeleteRole"]

    def refuse(call: Call) -> Any:
        if call.operation in denied:
            # What was found before is deleted; what remains can't be listed.
            denied.append("GetResources")
            return refusal(403, "AccessDenied")
        return None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.down()
    assert "Deleting the role failed: AccessDenied (iam:DeleteRole)" in str(caught.value)
    assert "Looking for what remains failed: AccessDenied" in str(caught.value)
    assert f"The state file {account.path()} stays." in str(caught.value)
    assert account.down().problems == []


def test_an_error_says_which_step_failed_why_and_how_to_go_on(account: Account) -> None:
    def refuse(call: Call) -> Any:
        denied = call.operation == "CreateAuthorizer"
        return refusal(403, "AccessDeniedException", "Not you.") if denied else None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.up()
    text = str(caught.value)
    for part in (
        "Authorizer",
        "apigateway:POST",
        str(account.path()),
        f"Run 'cogauth up --stack shop --state {account.path()}' again to continue, or",
        f"or 'cogauth down --stack shop --state {account.path()}' to delete everything.",
    ):
        assert part in text


# ---- whose it is


def make_foreign_role(account: Account) -> None:
    account.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=OTHER_TRUST)


def make_foreign_group(account: Account) -> None:
    account.client("logs").create_log_group(logGroupName=SIGN_IN_LOGS)


OTHERS_TAGS = {"cogauth:stack": "other", "cogauth:stack-id": "a-stack-id-of-theirs"}


def make_foreign_function(account: Account, tags: Any = OTHERS_TAGS) -> None:
    role = account.client("iam").create_role(
        RoleName="billing", AssumeRolePolicyDocument=OTHER_TRUST
    )["Role"]["Arn"]
    account.client("lambda").create_function(
        FunctionName=AUTO_CONFIRM,
        Role=role,
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": b"zip"},
        Tags=tags,
    )


def make_bare_function(account: Account) -> None:
    make_foreign_function(account, {})


def delete_sign_in_log_group(account: Account) -> None:
    logs = account.client("logs")
    # moto gives a deleted group's tags to the next group with the same name.
    logs.untag_log_group(logGroupName=SIGN_IN_LOGS, tags=["cogauth:stack", "cogauth:stack-id"])
    logs.delete_log_group(logGroupName=SIGN_IN_LOGS)


FOREIGN = [
    (make_foreign_role, ROLE, "no cogauth tag"),
    (make_foreign_group, SIGN_IN_LOGS, "no cogauth tag"),
    (make_foreign_function, AUTO_CONFIRM, "a-stack-id-of-theirs"),
]


@pytest.mark.parametrize(
    ("make", "name", "owner"), [*FOREIGN, (make_bare_function, AUTO_CONFIRM, "no cogauth tag")]
)
@pytest.mark.sample(1)
def test_a_name_that_someone_else_has_is_refused_before_anything_is_made(
    account: Account, make: Callable[[Account], None], name: str, owner: str
) -> None:
    make(account)
    before = lasting(described(account.client))
    refused = pytest.raises(NameConflictError)
    with account.calls.watched() as calls, terse(account), refused as caught:
        account.up()
    assert name in str(caught.value)
    assert owner in str(caught.value)
    assert mutations(calls) == []
    account.down()
    assert lasting(described(account.client)) == before


@pytest.mark.parametrize(("make", "name", "owner"), FOREIGN, ids=["role", "log group", "function"])
def test_a_name_that_is_taken_while_up_runs_is_left_alone_too(
    account: Account, make: Callable[[Account], None], name: str, owner: str
) -> None:
    taken: list[Any] = []

    def take(call: Call) -> None:
        if call.mutating and not taken:
            make(account)
            taken.append(lasting(described(account.client)))

    with account.calls.watched(take) as calls, pytest.raises(NameConflictError) as caught:
        account.up()
    assert name in str(caught.value)
    assert owner in str(caught.value)
    if make is make_foreign_role:
        # Of two that race, the loser holds no name that the other needs.
        assert mutations(calls).count("CreateRole") == 1
        assert {"CreateLogGroup", "CreateFunction"}.isdisjoint(mutations(calls))
    # With the stack's tags, 'down' would delete it.
    assert "tags" not in str(caught.value)
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert lasting(described(account.client)) == taken[0]


@pytest.mark.parametrize(
    ("make", "delete", "name"),
    [
        (make_foreign_role, delete_role, ROLE),
        (make_foreign_group, delete_sign_in_log_group, SIGN_IN_LOGS),
        (make_foreign_function, delete_auto_confirm_function, AUTO_CONFIRM),
    ],
    ids=["role", "log group", "function"],
)
def test_what_someone_else_put_in_our_resources_place_is_left_alone(
    account: Account, make: Callable[[Account], None], delete: Callable[[Account], Any], name: str
) -> None:
    account.stands()
    delete(account)
    make(account)
    with account.calls.watched() as calls, pytest.raises(NameConflictError, match=name):
        account.up()
    assert mutations(calls) == []
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert [entry["id"] for entry in result.not_ours] == [name]
    assert any(name in words for words in result.left_alone)
    assert any(name in left for left in account.left())


def test_a_pool_and_an_api_of_the_same_name_are_left_alone(account: Account) -> None:
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    their_pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    their_api = api.create_rest_api(name="shop")["id"]
    account.up()
    assert fact(account, "user_pool") != their_pool
    assert fact(account, "rest_api") != their_api
    assert account.left().count("pool shop") == account.left().count("api shop") == 2
    account.down()
    assert account.left() == ["api shop", "pool shop"]
    assert cognito.list_user_pools(MaxResults=60)["UserPools"][0]["Id"] == their_pool
    assert api.get_rest_apis()["items"][0]["id"] == their_api


@pytest.mark.parametrize("ending", ["up", "down"])
def test_what_an_interrupted_create_may_have_left_is_not_mistaken_for_theirs(
    account: Account, ending: str
) -> None:
    """The state file says only that a pool or an API may have been created: theirs was not."""
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    their_pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    their_api = api.create_rest_api(name="shop")["id"]
    with stopped(account, "CreateUserPool", "CreateRestApi"):
        account.up()
    if ending == "down":
        account.down()
        assert account.left() == ["api shop", "pool shop"]
    if ending == "up":
        account.up()
        assert fact(account, "user_pool") != their_pool
        assert fact(account, "rest_api") != their_api
        account.down()
    assert [each["Id"] for each in cognito.list_user_pools(MaxResults=9)["UserPools"]] == [
        their_pool
    ]
    assert [each["id"] for each in api.get_rest_apis()["items"]] == [their_api]


@pytest.mark.parametrize(("make", "name", "_owner"), FOREIGN, ids=["role", "log group", "function"])
def test_a_name_that_is_taken_after_our_create_was_interrupted_is_theirs(
    account: Account, make: Callable[[Account], None], name: str, _owner: str
) -> None:
    operation = {
        make_foreign_role: "CreateRole",
        make_foreign_group: "CreateLogGroup",
        make_foreign_function: "CreateFunction",
    }[make]

    def stop_before(call: Call) -> None:
        if call.operation == operation and name in str(call.sent["body"]):
            raise StoppedError

    with pytest.raises(StoppedError), account.calls.watched(stop_before):
        account.up()
    make(account)
    theirs = lasting(described(account.client))
    with account.calls.watched() as calls, pytest.raises(NameConflictError, match=name):
        account.up()
    assert mutations(calls) == []
    assert lasting(described(account.client)) == theirs
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert [entry for entry in account.left() if not entry.endswith(" billing")] == [
        entry for entry in account.left() if entry.endswith(f" {name}")
    ]
    assert any(entry.endswith(f" {name}") for entry in account.left())


def test_a_stack_that_another_state_file_knows_is_refused(account: Account) -> None:
    account.stands()
    stack_id = account.state().stack_id
    account.path().rename(account.folder / "elsewhere.json")
    before = existing(account)
    with account.calls.watched() as calls, pytest.raises(StateError) as caught:
        account.up()
    assert stack_id in str(caught.value)
    assert f"cogauth recover --stack shop --state {account.path()}" in str(caught.value)
    assert mutations(calls) == []
    # The new, empty state file doesn't let `down` delete the other stack either.
    account.down()
    assert existing(account) == before


def test_survey_finds_each_root_of_a_stack_with_its_tags(account: Account) -> None:
    account.stands()
    ctx = account.context()
    found = list(engine.survey(ctx))
    assert len(found) == 8
    assert all(ctx.owns(finding.tags) for finding in found)
    assert {finding.resource.step.name for finding in found if finding.resource.conflict} == {
        "role",
        "auto_confirm_role",
        "sign_in_function",
        "auto_confirm_function",
    }


def test_survey_passes_over_what_is_listed_but_gone(account: Account) -> None:
    account.client("cognito-idp").create_user_pool(PoolName="shop")

    def gone(call: Call) -> Any:
        if call.operation != "DescribeUserPool":
            return None
        return refusal(400, "ResourceNotFoundException")

    with account.calls.watched(gone):
        assert list(engine.survey(account.context())) == []


def test_what_down_deletes_is_listed_before(account: Account) -> None:
    account.stands()
    api = fact(account, "rest_api")
    listed = [each.id for each in engine.plan_down(account.context()).doomed]
    lines: list[str] = []
    down(account, lines)
    assert sorted(line.rsplit(" ", 1)[1] for line in lines) == sorted(listed)
    assert listed[0] == api
    assert listed.index(SIGN_IN) < listed.index(SIGN_IN_LOGS)


def test_so_is_what_no_record_knows(account: Account) -> None:
    account.stands()
    state = account.state()
    state.resources.clear()
    state.save()
    doomed = engine.plan_down(account.context()).doomed
    assert sorted(each.resource.key for each in doomed) == sorted(root.key for root in ROOTS)
    assert not [each.id for each in doomed if each.recorded or each.claimed]
