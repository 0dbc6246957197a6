"""`up` as a whole: what exists in AWS afterwards, whatever was there or happened before."""

import json
from collections.abc import Callable

import pytest

from cogauth.context import refuse
from cogauth.errors import UsageError
from cogauth.record.records import CREATED
from cogauth.steps import STEPS
from support.account import Account, agree
from support.answers import terse
from support.stacks import (
    AUTO_CONFIRM,
    ROLE,
    SIGN_IN,
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
    stage,
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
from support.world import described

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


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
