"""What `plan` says, compared with what `up` then does."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends

from cogauth import engine
from cogauth.aws.transient import UNKNOWN
from cogauth.engine import UpPlan
from cogauth.engine.plan import CALL_S, LATER, ROLE_S
from cogauth.engine.status import status
from cogauth.errors import CogauthError
from cogauth.record.records import CREATING
from cogauth.settings import Settings
from cogauth.steps.base import Step
from support.account import Account, Silent, add_managed_policy
from support.calls import Call
from support.commands import in_process
from support.faults import stopped
from support.stacks import (
    AUTO_CONFIRM,
    SIGN_IN,
    SIGN_IN_LOGS,
    UNCHANGED,
    delete_api,
    delete_pool,
    fact,
    mutations,
    pool,
    shown,
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
    update_pool,
    weaken_passwords,
    widen_permission,
    widen_role,
)

TAMPERS = [
    *(put_back_retention, change_code, add_a_variable, remove_trigger, point_trigger_elsewhere),
    *(weaken_passwords, change_flows, widen_role, change_trust, widen_permission),
    close_sign_up,
    *(remove_permission, open_protected_method, close_sign_in_method, change_identity_source),
    *(change_template, change_integration, lift_throttle),
]
DELETIONS = [
    *(delete_client, delete_role, delete_role_policy, delete_sign_in_function),
    *(delete_auto_confirm_function, delete_log_group, delete_api, delete_resource, delete_method),
    *(delete_authorizer, delete_stage, delete_pool),
]
CHOICES: list[dict[str, Any]] = [
    {"password_min_length": 12},
    {"sign_in_memory": 256, "runtime": "python3.13"},
    {"cors_origins": ("https://app.example",)},
    {"throttle_rate": 3.0},
    {"tier": "ESSENTIALS"},
    {"sign_up": "closed"},
]
# For each action of a plan, the results of `up` that it covers.
RESULTS = {
    "create": {"created"},
    "recreate": {"created", "updated"},
    "update": {"updated"},
    "delete": {"updated"},
    "unchanged": {"unchanged"},
}


def planned(account: Account, **choices: Any) -> UpPlan:
    """Return the plan; check that planning changed nothing, in AWS, on disk or of the run."""
    ctx = account.context()
    before, former = account.path().read_text(), ctx.state.settings
    exists = bool(ctx.state.resources)
    ctx.state.settings = former.with_choices(choices, exists=exists)
    with account.calls.watched() as calls:
        plan = engine.plan(ctx, Silent(), former_settings=former)
    assert mutations(calls) == []
    assert account.path().read_text() == before
    assert ctx.made == set()
    return plan


def actions(plan: UpPlan) -> dict[str, str]:
    return {each.step.name: each.action for each in plan.steps}


def check(account: Account, **choices: Any) -> UpPlan:
    """Check that `up` does and asks what the plan says; return the plan."""
    plan = planned(account, **choices)
    asked: list[str] = []
    done = account.up(confirm=asked.append, **choices)
    assert asked == plan.questions
    for step, action in actions(plan).items():
        kept = {"adopted"} if plan.unfinished else set()
        assert done[step] in RESULTS[action] | kept, (step, action, done[step])
    assert planned(account).is_empty
    return plan


def test_a_first_up_creates_all_and_asks_nothing(account: Account) -> None:
    plan = check(account)
    assert set(actions(plan).values()) == {"create"}
    assert plan.questions == []
    assert {row.id for row in plan.rows if row.resource.key == "sign_in_function"} == {SIGN_IN}


def test_the_estimate_is_of_the_longest_chain_of_calls(account: Account, tmp_path: Path) -> None:
    # Lambda can assume a new role only after a while; the local AWS needs no such time.
    assert planned(account).seconds == ROLE_S + 4 * CALL_S
    ctx = account.context()
    ctx.state.local_data = tmp_path
    assert 0 < engine.plan(ctx, Silent()).seconds < 1
    account.stands()
    weaken_passwords(account)
    assert planned(account).seconds == round(CALL_S, 1)
    add_a_variable(account)
    change_code(account)
    assert planned(account).seconds == round(3 * CALL_S, 1)
    delete_sign_in_function(account)
    account.grow_old()
    assert planned(account).seconds < ROLE_S


def test_a_plan_of_a_stack_that_is_as_wanted_is_empty(account: Account) -> None:
    account.stands()
    plan = planned(account)
    assert plan.is_empty
    assert set(actions(plan).values()) == {"unchanged"}
    assert plan.seconds == 0
    assert [row for row in plan.rows if row.fields] == []


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "look",
    [
        lambda account: engine.plan(account.context(), Silent()),
        lambda account: status(account.context(), Silent()),
        Account.up,
        lambda account: engine.plan_down(account.context()),
    ],
    ids=["plan", "status", "up", "plan_down"],
)
@pytest.mark.parametrize(
    "choices", [{}, {"power_user": True, "cors_origins": ("https://app.example",)}], ids=str
)
def test_of_a_stack_that_is_as_wanted_each_thing_is_read_once(
    account: Account, choices: dict[str, Any], look: Callable[[Account], object]
) -> None:
    if choices:
        add_managed_policy(account.region)
        account.up(**choices)
    else:
        account.stands()
    with account.calls.watched() as calls:
        look(account)
    assert mutations(calls) == []
    assert [each for each, times in Counter(c.request for c in calls).items() if times > 1] == []
    # A call for each kind, instead of one for each part of the API.
    single = {"GetResource", "GetMethod", "GetIntegration", "GetAuthorizer"}
    assert single.isdisjoint(call.operation for call in calls)


class Waits(Silent):
    """Keeps what each step waits for."""

    def __init__(self) -> None:
        self.said: set[tuple[str, str]] = set()

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        del seconds_left
        self.said.add((step.name, reason))


def test_what_aws_shows_only_later_is_found(account: Account) -> None:
    account.stands()
    there = pool(account)["LambdaConfig"]
    remove_trigger(account)
    ctx = account.context()
    # As if the trigger had just been created.
    ctx.made.add("trigger")
    times: list[float] = []
    waits = Waits()

    def before(call: Call) -> None:
        if call.operation == "DescribeUserPool":
            times.append(account.time())
            # The trigger shows in the first answer after a pause.
            if times[-1] > times[0]:
                update_pool(account, LambdaConfig=there)

    with account.calls.watched(before):
        plan = engine.plan(ctx, waits)
    assert plan.is_empty
    assert times[-1] > times[0]
    assert ("trigger", UNKNOWN.reason) in waits.said


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_up_does_what_its_plan_says_with_other_settings(
    account: Account, choices: dict[str, Any]
) -> None:
    account.stands()
    plan = check(account, **choices)
    assert not plan.is_empty
    # The user chose the change, so there is no need to ask whether to overwrite.
    assert plan.questions == []


@pytest.mark.sample(6)
@pytest.mark.parametrize("tamper", TAMPERS)
def test_up_does_what_its_plan_says_after_a_change_by_hand(
    account: Account, tamper: Callable[[Account], None]
) -> None:
    account.stands()
    tamper(account)
    plan = check(account)
    assert not plan.is_empty
    assert bool(plan.questions) == (tamper in OVERWRITTEN)
    for row in plan.rows:
        for change in row.changes:
            assert change.what or change.fields
            assert str(change)


@pytest.mark.sample(6)
@pytest.mark.parametrize("delete", DELETIONS)
def test_up_does_what_its_plan_says_after_a_deletion_by_hand(
    account: Account, delete: Callable[[Account], None]
) -> None:
    account.stands()
    account.grow_old()
    delete(account)
    plan = check(account)
    recreated = [row for row in plan.rows if row.action == "recreate"]
    assert recreated
    assert all(row.reason for row in recreated)


def test_what_goes_with_its_api_and_what_keeps_its_arn(account: Account) -> None:
    account.stands()
    account.grow_old()
    delete_api(account)
    delete_auto_confirm_function(account)
    rows = {row.resource.key: row for row in planned(account).rows}
    assert rows["rest_api"].reason == "it doesn't exist any more"
    for key in ("sign_in_resource", "protected_method", "authorizer", "stage"):
        assert rows[key].reason == "it is a part of the REST API"
    # Only AWS knows the new API's id, which the permission names.
    (change,) = rows["sign_in_permission"].fields
    assert f":{LATER}/" in str(change.new)
    # The new function has the ARN of the former one, which the trigger names.
    assert rows["auto_confirm_function"].is_new
    assert rows["trigger"].action == "unchanged"


def test_of_many_causes_two_are_named(account: Account) -> None:
    account.stands()
    for tamper in (open_protected_method, close_sign_in_method, change_identity_source):
        tamper(account)
    (row,) = [row for row in planned(account).rows if row.resource.key == "deployment"]
    causes = "the sign-in method, the authorizer, the protected method"
    assert row.reason == f"because of {causes}"
    change_template(account)
    (row,) = [row for row in planned(account).rows if row.resource.key == "deployment"]
    assert row.reason == "because of the sign-in method, the sign-in integration and 2 more"


def test_values_are_named_by_aws_paths_with_both_values(account: Account) -> None:
    account.stands()
    weaken_passwords(account)
    point_trigger_elsewhere(account)
    open_protected_method(account)
    lift_throttle(account)
    rows = {row.resource.key: row for row in planned(account).rows}
    (length,) = rows["user_pool"].fields
    assert str(length) == "Policies.PasswordPolicy.MinimumLength: 6 → 8"
    (function,) = rows["trigger"].fields
    assert str(function) == (
        f"LambdaConfig.PreSignUp: …:function:{SIGN_IN} → …:function:{AUTO_CONFIRM}"
    )
    (change,) = rows["protected_method"].changes
    assert str(change) == "GET /hello was open: NONE → COGNITO_USER_POOLS"
    assert {each.path for each in change.fields} >= {"authorizationType"}
    assert rows["deployment"].reason == "because of the protected method"
    # Deleting the former deployment is part of recreating the deployment, so it isn't listed.
    served, rate = rows["stage"].fields
    assert (served.path, served.old) == ("deploymentId", fact(account, "deployment"))
    assert str(rate) == "methodSettings./signin/POST.throttlingRateLimit: 9999.0 → 20.0"
    assert rows["stage"].notes == []


def test_a_foreign_variables_value_is_not_shown(account: Account) -> None:
    """The value may be a secret."""
    account.stands()
    variables = account.client("lambda").get_function_configuration(FunctionName=SIGN_IN)
    account.client("lambda").update_function_configuration(
        FunctionName=SIGN_IN,
        Environment={
            "Variables": {
                **variables["Environment"]["Variables"],
                "KEY": "s3cr3t",
                "SIGN_UP": "closed",
            }
        },
    )
    plan = planned(account)
    (row,) = [row for row in plan.rows if row.resource.key == "sign_in_function"]
    assert [str(each) for each in row.fields] == [
        "Environment.Variables.SIGN_UP: closed → open",
        "Environment.Variables.KEY: (hidden) → none",
    ]
    assert "s3cr3t" not in str(plan)
    assert any("that aren't cogauth's: KEY" in question for question in plan.questions)


@pytest.mark.sample(3)
@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize(
    "operation", ["CreateUserPool", "CreateRole", "CreateFunction", "PutMethod", "CreateDeployment"]
)
def test_an_unfinished_create_and_what_becomes_of_it(
    account: Account, operation: str, *, lands: bool
) -> None:
    with stopped(account, operation, lands=lands):
        account.up()
    begun = account.time.now
    assert planned(account).unfinished
    # What AWS may still show is not waited for: it is told as not found.
    assert account.time.now == begun
    plan = check(account)
    left = [
        key for key, record in account.state().resources.items() if record["status"] == CREATING
    ]
    assert left == []
    found = lands and operation != "CreateDeployment"
    outcome = "it exists; 'up' keeps it" if found else "nothing of it was found; 'up' creates it"
    # Two functions may have been in flight.
    assert {(each.intent, each.outcome) for each in plan.unfinished} == {("create", outcome)}
    assert plan.questions == []


@pytest.mark.parametrize("lands", [True, False])
def test_an_unfinished_deletion_and_what_becomes_of_it(account: Account, *, lands: bool) -> None:
    account.stands()
    with stopped(account, "DeleteFunction", lands=lands):
        account.down()
    plan = check(account)
    left = [each for each in plan.unfinished if each.resource.endswith("_function")]
    reasons = {row.resource.key: row.reason for row in plan.rows}
    assert left
    for each in left:
        found = "nothing of it was found" if lands else "it exists"
        assert (each.intent, each.outcome) == ("delete", f"{found}; 'up' recreates it")
        did = "deleted" if lands else "was to delete"
        assert reasons[each.resource] == f"an interrupted 'down' {did} it"


def test_an_interrupted_change_of_settings_is_finished_without_a_question(
    account: Account,
) -> None:
    account.stands()
    with stopped(account, "UpdateUserPool", lands=False):
        account.up(password_min_length=12)
    assert check(account).questions == []
    assert account.up() == UNCHANGED


def test_somebody_elses_thing_is_a_conflict_and_the_rest_is_planned(account: Account) -> None:
    account.stands()
    account.client("lambda").untag_resource(
        Resource=fact(account, "sign_in_function", "arn"), TagKeys=["cogauth:stack-id"]
    )
    plan = planned(account)
    assert list(plan.conflicts) == ["sign_in_function"]
    assert not plan.is_empty
    assert {each.step.name for each in plan.steps} == set(UNCHANGED)
    with account.calls.watched() as calls, pytest.raises(CogauthError, match="isn't this stack's"):
        account.up()
    assert mutations(calls) == []


def test_what_deletes_older_log_lines_is_asked_about(account: Account) -> None:
    account.stands()
    logs, place = account.client("logs"), {"logGroupName": SIGN_IN_LOGS}
    group = logs_backends[DEFAULT_ACCOUNT_ID][account.region].groups[SIGN_IN_LOGS]
    made = group.creation_time

    def questions(age: timedelta) -> list[str]:
        group.creation_time = made - age
        return planned(account).questions

    question = f"{SIGN_IN_LOGS} keeps its logs for longer than 30 days. Delete the older ones?"
    logs.put_retention_policy(**place, retentionInDays=14)
    assert questions(timedelta(days=31)) == []
    # Now it keeps them for ever.
    logs.delete_retention_policy(**place)
    assert questions(timedelta(days=29, hours=23)) == []
    assert questions(timedelta(days=30, minutes=5)) == [f"The log group {question}"]
    check(account)
    (found,) = logs.describe_log_groups(logGroupNamePrefix=SIGN_IN_LOGS)["logGroups"]
    assert found["retentionInDays"] == 30


def test_a_draft_is_never_written(account: Account) -> None:
    account.stands()
    state = account.state()
    before = account.path().read_text()
    draft = state.draft()
    draft.put(
        "resources", "user_pool", {"status": "creating", "since": "2020-01-01T00:00:00+00:00"}
    )
    draft.drop("resources", "stage")
    draft.settings = Settings(path="/other")
    draft.save()
    assert account.path().read_text() == before
    assert json.loads(before)["resources"]["stage"] == state.record("stage")


# ---- Somebody changes the account between the plan and the run


class Meanwhile(Silent):
    """Keeps the plan that `up` shows, then tampers with the account at once."""

    def __init__(self, account: Account, tamper: Callable[[Account], None]) -> None:
        self.account, self.tamper = account, tamper

    def planned(self, plan: UpPlan) -> None:
        self.shown = plan
        self.tamper(self.account)


def up_while(
    account: Account, tamper: Callable[[Account], None], *, overwrite: bool = False
) -> None:
    """Tamper while `up` runs, with a change in its plan that needs no question."""
    account.stands()
    account.grow_old()
    open_protected_method(account)
    reporter = Meanwhile(account, tamper)
    engine.up(account.context(), reporter, overwrite=overwrite)
    assert reporter.shown.questions == []


@pytest.mark.parametrize("tamper", sorted(OVERWRITTEN, key=lambda one: one.__name__))
@pytest.mark.sample(6)
def test_a_change_made_after_the_plan_is_left_alone_and_asked_about_then(
    account: Account, tamper: Callable[[Account], None]
) -> None:
    with pytest.raises(CogauthError, match="since the plan was made") as raised:
        up_while(account, tamper)
    (question,) = planned(account).questions
    assert f"'up' would have asked: {question} Run 'cogauth up --stack shop" in str(raised.value)
    assert check(account).questions == [question]


@pytest.mark.parametrize("tamper", DELETIONS)
@pytest.mark.sample(6)
def test_a_deletion_made_after_the_plan_is_not_undone_before_it_was_shown(
    account: Account, tamper: Callable[[Account], None]
) -> None:
    with pytest.raises(CogauthError, match="since the plan was made"):
        up_while(account, tamper)
    plan = check(account)
    assert [row for row in plan.rows if row.is_new and row.is_missing]


def test_so_is_one_in_what_is_deleted_to_be_recreated(account: Account) -> None:
    account.stands()
    account.grow_old()
    delete_role(account)
    reporter = Meanwhile(account, add_a_variable)
    with pytest.raises(CogauthError, match="since the plan was made"):
        engine.up(account.context(), reporter)
    assert reporter.shown.questions == []
    (question,) = planned(account).questions
    assert "variables that aren't cogauth's: DEBUG" in question


@pytest.mark.parametrize("tamper", [change_code, lift_throttle, delete_role, delete_pool])
def test_who_agrees_to_overwriting_anything_is_not_asked_again(
    account: Account, tamper: Callable[[Account], None]
) -> None:
    up_while(account, tamper, overwrite=True)
    assert planned(account).is_empty


@pytest.mark.parametrize("tamper", [change_template, widen_permission])
def test_a_change_made_after_the_plan_that_needs_no_question_is_put_back(
    account: Account, tamper: Callable[[Account], None]
) -> None:
    up_while(account, tamper)
    assert planned(account).is_empty


# ---- What a review found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("State", "Pending"),
        ("State", "Failed"),
        ("LastUpdateStatus", "InProgress"),
        ("LastUpdateStatus", "Failed"),
    ],
)
def test_a_function_that_isnt_ready_is_waited_for(account: Account, field: str, value: str) -> None:
    account.stands()

    def show(parsed: Any, **_: Any) -> None:
        parsed["Configuration"][field] = value

    with shown(account, "GetFunction", show, times=100):
        assert not planned(account).is_empty
        if value == "Failed":
            with pytest.raises(CogauthError, match="could not create the function"):
                account.up()
        else:
            assert account.up() == UNCHANGED


def test_a_claimed_thing_after_an_interrupted_create_is_a_conflict(account: Account) -> None:
    with stopped(account, "CreateUserPool", lands=True):
        account.up()
    account.grow_old()
    pools = account.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
    account.client("cognito-idp").admin_create_user(UserPoolId=pools[0]["Id"], Username="ann")
    plan = planned(account)
    assert list(plan.conflicts) == ["user_pool"]
    assert [each.outcome for each in plan.unfinished if each.resource == "user_pool"] == [
        "'up' stops at it"
    ]
    with pytest.raises(CogauthError, match="contains more than such a run puts into it"):
        account.up()


def test_an_api_that_is_somebody_elses_is_a_conflict_beside_all_else(account: Account) -> None:
    account.stands()
    account.client("apigateway").untag_resource(
        resourceArn=fact(account, "rest_api", "arn"), tagKeys=["cogauth:stack-id"]
    )
    plan = planned(account)
    assert "rest_api" in plan.conflicts
    assert {each.step.name for each in plan.steps} == set(UNCHANGED)
    # Its id is known, so nothing differs in what refers to it.
    (permission,) = [row for row in plan.rows if row.resource.key == "sign_in_permission"]
    assert permission.action == "unchanged"


def test_what_a_recreated_function_loses_is_asked_about(account: Account) -> None:
    account.stands()
    account.grow_old()
    change_code(account)
    add_a_variable(account)
    delete_role(account)
    plan = check(account)
    assert any("has code that isn't cogauth's" in question for question in plan.questions)
    assert any("has variables that aren't cogauth's" in question for question in plan.questions)
    (row,) = [row for row in plan.rows if row.resource.key == "sign_in_function"]
    assert row.reason == "because of the role"


def test_a_function_of_another_version_of_cogauth_is_nobody_elses(account: Account) -> None:
    account.stands()
    client = account.client("lambda")
    former = client.get_function(FunctionName=SIGN_IN)["Configuration"]["Description"]
    change_code(account)
    sha = client.get_function(FunctionName=SIGN_IN)["Configuration"]["CodeSha256"]
    name, _, _ = former.partition("CodeSha256")
    client.update_function_configuration(
        FunctionName=SIGN_IN, Description=f"{name}CodeSha256 {sha}"
    )
    assert check(account).questions == []
    client.update_function_configuration(FunctionName=SIGN_IN, Description="")
    change_code(account)
    assert check(account).questions == []


def test_all_questions_are_quoted_where_nobody_can_answer(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    change_code(account)
    lift_throttle(account)
    monkeypatch.setenv("AWS_REGION", account.region)
    done = in_process("up", "--stack", "shop", "--state", str(account.path()))
    assert done.code == 2
    assert "Overwrite it? Somebody has changed the stage" in done.err
