"""A lost or damaged state file is written again, from what exists in the account."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from moto.apigateway.models import apigateway_backends

from cogauth import engine
from cogauth.attach.work import AT_ONCE, PER_SECOND
from cogauth.errors import CogauthError
from cogauth.local.process import FOLDER
from cogauth.settings import Settings
from cogauth.steps import RESOURCES
from cogauth.steps.lambda_ import AUTO_CONFIRM, package
from support.commands import beside_gitignore
from support.foreign import make_api
from support.local_stack import LocalStack
from support.names import PASSWORD
from support.stacks import STACK, existing, fact, tags_of
from support.world import described, inventory

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.record.state import State
    from support.account import Account
    from support.calls import Call
    from support.commands import Cli

# Non-default values of all settings but --power-user: the policy it attaches hides the rest.
CHOICES = [
    *(
        "--tier",
        "PLUS",
        "--sign-up",
        "closed",
        "--password-min-length",
        "9",
        "--password-require",
        "lower,digit",
    ),
    *("--runtime", "python3.13", "--architecture", "x86_64"),
    *("--sign-in-memory", "640", "--sign-in-timeout", "12"),
    *("--auto-confirm-memory", "192", "--auto-confirm-timeout", "4"),
    *("--path", "/enter", "--stage", "v1", "--throttle-rate", "7.5", "--throttle-burst", "11"),
]
OTHERS = [
    *("--password-require", "none", "--path", "/log-in_2.x", "--stage", "a_b-c"),
    *("--throttle-rate", "0.5", "--throttle-burst", "6", "--power-user"),
    *("--cors-origin", "https://app.example"),
]


@pytest.fixture
def here(cli: Cli, endpoint: str, tmp_path: Path) -> LocalStack:
    """A stack with its own name that doesn't exist yet."""
    stack = tmp_path.name[-30:]
    cli.env.update(COGAUTH_STACK=stack, COGAUTH_ENDPOINT_URL=endpoint)
    return LocalStack(cli, stack, endpoint)


def recoverable(state: Path) -> Any:
    """Return the content of a state file without what can't be known once the file is lost."""
    found = json.loads(state.read_text())
    for record in found["resources"].values():
        del record["since"]
    # Nobody knows whether the API was changed since it was deployed.
    found["resources"]["deployment"]["status"] = "outdated"
    return found


# ---- Lost


@pytest.mark.local
@pytest.mark.parametrize("choices", [[], CHOICES, OTHERS], ids=["defaults", "choices", "others"])
@pytest.mark.sample(3)
def test_a_lost_state_file_comes_back_as_it_was(here: LocalStack, choices: list[str]) -> None:
    here.cli.run("up", *choices).must()
    lost = recoverable(here.path)
    before = here.portrait()
    here.path.unlink()

    recovered = here.cli.run("recover", "--json").must()
    found = json.loads(here.path.read_text())
    assert recovered.document == {
        "stack": here.stack,
        "stack_id": lost["stack_id"],
        "state_file": f".cogauth/{here.stack}.json",
        "found": [
            {"step": RESOURCES[key].step.name, "resource": key, "id": record["id"]}
            for key, record in found["resources"].items()
        ],
    }
    assert here.path.stat().st_mode & 0o777 == 0o600
    # Until the next 'up', differences don't count as changes made by hand.
    lost["settings"]["in_progress"] = True
    assert found == lost

    up = here.cli.run("up", "--json").must().document
    changed = {step["step"] for step in up["steps"] if step["action"] != "unchanged"}
    assert changed == {"deployment"}
    assert here.portrait() == before
    again = here.cli.run("up", "--json").must().document
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    if "closed" in choices:
        assert "wrong_credentials" in here.cli.login("ann", PASSWORD).must(1).err
    elif "--power-user" not in choices:  # this local AWS has no such managed policy
        here.cli.login("ann", PASSWORD).must()
    here.cli.run("down", "--yes").must()
    assert here.existing() == {}


@pytest.mark.local
def test_down_right_after_recover_leaves_nothing(here: LocalStack) -> None:
    here.cli.run("up", "--path", "/enter").must()
    here.path.unlink()
    recovered = here.cli.run("recover").must()
    assert f"Stack {here.stack}, " in recovered.err
    assert re.search(rf"role +{re.escape(here.stack)}-LambdaAuthRole", recovered.out)
    # The resources have the same names as in all other output.
    assert re.search(r"sign-in log group +/aws/lambda/", recovered.out)
    assert re.search(r"REST API +\w+", recovered.out)
    assert f"Next: cogauth up --stack {here.stack}" in recovered.out
    assert here.cli.run("down", "--yes", "--json").must().document["remaining"] == []
    assert here.existing() == {}


@pytest.mark.long
@pytest.mark.local
def test_the_local_aws_beside_is_where_a_lost_stack_is_looked_for(cli: Cli) -> None:
    up = cli.run("up", "--local", "--region", "us-east-1", "--json").must().document
    lost = recoverable(cli.state)
    cli.state.unlink()
    bare = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_REGION": ""}
    # Without a state file, up looks on AWS, but says how to get back.
    said = cli.run("up", **bare).must(2).err
    assert "There is a local AWS in .cogauth but no state file" in said
    assert "run 'cogauth recover' to write its state file again" in said
    # Another local stack doesn't hide it.
    cli.run("up", "--local", "--stack", "other", "--region", "us-east-1").must()
    recovered = cli.run("recover", **bare).must()
    assert f"on the local AWS at {up['endpoint_url']}" in recovered.err
    lost["settings"]["in_progress"] = True
    assert json.loads(cli.state.read_text()) == lost
    again = cli.run("up", "--json", **bare).must().document
    assert again["stack_id"] == up["stack_id"]
    assert again["sign_in_url"] == up["sign_in_url"]
    cli.login("ann", PASSWORD, **bare).must()
    cli.run("down", "--yes", **bare).must()
    cli.run("down", "--stack", "other", "--yes", **bare).must()
    assert beside_gitignore(cli.folder / ".cogauth") in ([], [FOLDER])


@pytest.mark.local
def test_where_nothing_stands_it_says_so(here: LocalStack) -> None:
    failed = here.cli.run("recover", "--json").must(1)
    account = "Nothing in account 000000000000, region eu-central-1 carries the tag"
    assert failed.error.startswith(f"{account} cogauth:stack = {here.stack}")
    assert account in failed.err
    there = f"--stack {here.stack} --endpoint-url {here.url}"
    assert f"'cogauth up {there}' creates a stack" in failed.err
    assert not here.path.exists()


# ---- Damaged, or sound


@pytest.mark.local
def test_a_damaged_state_file_is_kept_beside_the_new_one(here: LocalStack) -> None:
    here.cli.run("up").must()
    sound = json.loads(here.path.read_text())
    kept: list[bytes] = []
    for damaged in (here.path.read_bytes()[:-40], b"\x00\xff" * 100, b""):
        here.path.write_bytes(damaged)
        refused = here.cli.run("up").must(1)
        assert "is damaged" in refused.err
        assert "cogauth recover" in refused.err
        assert here.path.read_bytes() == damaged
        done = here.cli.run("recover").must()
        kept.append(damaged)
        copies = sorted(here.path.parent.glob("*.damaged-*"))
        assert [copy.read_bytes() for copy in copies] == kept
        assert str(copies[-1].relative_to(here.cli.folder)) in done.err
        assert json.loads(here.path.read_text())["stack_id"] == sound["stack_id"]
    here.cli.run("down", "--yes").must()
    assert here.existing() == {}
    assert len(list(here.path.parent.glob("*.damaged-*"))) == 3


@pytest.mark.local
def test_a_damaged_file_of_no_stack_stays_where_it_is(here: LocalStack) -> None:
    here.path.parent.mkdir()
    here.path.write_bytes(b"{")
    assert "Nothing in account" in here.cli.run("recover").must(1).err
    found = here.path.parent.iterdir()
    assert {path.name: path.read_bytes() for path in found} == {here.path.name: b"{"}


@pytest.mark.local
def test_a_sound_state_file_of_another_stack_is_not_taken_for_a_damaged_one(
    here: LocalStack,
) -> None:
    here.cli.run("up").must()
    state = json.loads(here.path.read_text())
    other = here.path.with_name("other.json")
    other.write_text(json.dumps({**state, "stack": "other"}))
    before = other.read_bytes()
    refused = here.cli.run("recover", "--state", str(other)).must(1)
    assert f"is of the stack other, not of {here.stack}" in refused.err
    assert other.read_bytes() == before
    assert not list(other.parent.glob("*.damaged-*"))
    here.cli.run("down", "--yes").must()


@pytest.mark.local
def test_a_sound_state_file_is_refused_and_untouched(here: LocalStack) -> None:
    here.cli.run("up").must()
    before = here.path.read_bytes(), here.path.stat()
    world = here.existing()
    refused = here.cli.run("recover").must(2)
    assert "exists and is sound; there is nothing to recover" in refused.err
    after = here.path.read_bytes(), here.path.stat()
    assert after[0] == before[0]
    assert (after[1].st_ino, after[1].st_mtime_ns) == (before[1].st_ino, before[1].st_mtime_ns)
    assert here.existing() == world
    here.cli.run("down", "--yes").must()


# ---- Whose it is


@pytest.mark.local
def test_of_several_stacks_of_one_name_one_is_chosen(here: LocalStack) -> None:
    """The other pool is left over from somebody who lost the race for the name to us."""
    cognito = here.client("cognito-idp")
    other = "00000000-0000-4000-8000-000000000000"
    pool = cognito.create_user_pool(
        PoolName=here.stack,
        UserPoolTags={"cogauth:stack": here.stack, "cogauth:stack-id": other},
    )["UserPool"]["Id"]
    described = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    refused = here.cli.run("up").must(1)
    assert other in refused.err
    # The tag is only set once ours exists, as if two people had started at the same moment.
    cognito.untag_resource(ResourceArn=described["Arn"], TagKeys=["cogauth:stack"])
    here.cli.run("up").must()
    ours = json.loads(here.path.read_text())
    cognito.tag_resource(ResourceArn=described["Arn"], Tags={"cogauth:stack": here.stack})
    here.path.unlink()

    several = here.cli.run("recover").must(1)
    assert f"Several stacks have the name {here.stack}" in several.err
    assert other in several.err
    assert ours["stack_id"] in several.err
    assert "--stack-id" in several.err
    assert not here.path.exists()
    nobody = here.cli.run("recover", "--stack-id", "11111111-0000-4000-8000-000000000000").must(1)
    assert "11111111-0000-4000-8000-000000000000" in nobody.err

    chosen = here.cli.run("recover", "--stack-id", ours["stack_id"], "--json").must().document
    assert chosen["stack_id"] == ours["stack_id"]
    assert pool not in here.path.read_text()
    here.cli.run("up").must()
    here.cli.run("down", "--yes").must()
    assert [found["Id"] for found in here.existing()[f"pool {here.stack}"]] == [pool]
    now = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert _undated(now) == _undated(described)

    left = here.cli.run("recover", "--json").must().document
    assert left["stack_id"] == other
    assert [entry["id"] for entry in left["found"]] == [pool]
    here.cli.run("down", "--yes").must()
    assert here.existing() == {}


def _undated(pool: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in pool.items() if not key.endswith("Date")}


@pytest.mark.long
@pytest.mark.local
def test_what_is_not_ours_is_neither_recorded_nor_touched(here: LocalStack) -> None:
    """A pool and an API with the very same name; the others' names are unique, so only similar."""
    stack, (iam, lambda_, logs, api, cognito) = (
        here.stack,
        (here.client(name) for name in ("iam", "lambda", "logs", "apigateway", "cognito-idp")),
    )
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}],
    }
    pool = cognito.create_user_pool(PoolName=stack, UserPoolTags={"team": "billing"})["UserPool"]
    cognito.create_user_pool_client(UserPoolId=pool["Id"], ClientName=stack)
    rest_api = api.create_rest_api(name=stack, tags={"team": "billing"})["id"]
    names = [f"{stack}-LambdaAuthRole2", f"x{stack}-LambdaAuthRole"]
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=name, PolicyName="cogauth", PolicyDocument=json.dumps(policy))
    functions = [f"{stack}-signInFunction2", f"{stack}-autoConfirmUserFunctio"]
    for name in functions:
        lambda_.create_function(
            FunctionName=name,
            Role=f"arn:aws:iam::000000000000:role/{names[0]}",
            Runtime="python3.13",
            Handler="app.handler",
            Code={"ZipFile": package(AUTO_CONFIRM)},
            Tags={"cogauth:stack": f"{stack}2", "cogauth:stack-id": "theirs"},
        )
        lambda_.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        logs.create_log_group(logGroupName=f"/aws/lambda/{name}")
    resource = api.get_resources(restApiId=rest_api)["items"][0]["id"]
    api.put_method(
        restApiId=rest_api, resourceId=resource, httpMethod="POST", authorizationType="NONE"
    )

    def theirs() -> str:
        described = [
            cognito.describe_user_pool(UserPoolId=pool["Id"])["UserPool"],
            cognito.list_user_pool_clients(UserPoolId=pool["Id"])["UserPoolClients"],
            api.get_rest_api(restApiId=rest_api),
            api.get_resources(restApiId=rest_api, embed=["methods"])["items"],
            [iam.get_role(RoleName=name)["Role"] for name in names],
            [iam.get_role_policy(RoleName=name, PolicyName="cogauth") for name in names],
            [lambda_.get_function(FunctionName=name)["Configuration"] for name in functions],
            [
                lambda_.list_tags(Resource=f"arn:aws:lambda:eu-central-1:000000000000:function:{n}")
                for n in functions
            ],
            [
                group
                for name in functions
                for group in logs.describe_log_groups()["logGroups"]
                if group["logGroupName"] == f"/aws/lambda/{name}"
            ],
        ]
        for one in _dicts(described):
            one.pop("ResponseMetadata", None)
        return json.dumps(described, default=str)

    before, all_before = theirs(), set(described(here.client))
    here.cli.run("up").must()
    assert theirs() == before
    here.path.unlink()
    here.cli.run("recover").must()
    assert theirs() == before
    recorded = here.path.read_text()
    for identifier in (pool["Id"], rest_api, *names, *functions):
        assert f'"{identifier}"' not in recorded
    here.cli.run("up").must()
    assert theirs() == before
    here.cli.run("down", "--yes").must()
    assert theirs() == before
    assert set(described(here.client)) == all_before
    assert "Nothing in account" in here.cli.run("recover").must(1).err

    cognito.delete_user_pool(UserPoolId=pool["Id"])
    api.delete_rest_api(restApiId=rest_api)
    for name in functions:
        lambda_.delete_function(FunctionName=name)
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")
    for name in names:
        iam.delete_role_policy(RoleName=name, PolicyName="cogauth")
        iam.delete_role(RoleName=name)


def _dicts(found: Any) -> list[dict[str, Any]]:
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    return [one for each in inner for one in _dicts(each)] + (
        [found] if isinstance(found, dict) else []
    )


# ---- Half of a stack, on moto


class CutOffError(BaseException):
    """Ends the run here, as if it were killed."""


def cut_off(account: Account, run: Any, after: int) -> bool:
    """Run until this many mutating calls have taken effect; return whether it was cut off."""
    made: list[Call] = []

    def before(call: Call) -> None:
        if call.mutating and len(made) == after:
            raise CutOffError
        if call.mutating:
            made.append(call)

    with account.calls.watched(before):
        try:
            run()
        except CutOffError:
            return True
    return False


def recovered(account: Account, stack_id: str | None = None) -> State:
    """Run `recover` and check that it changes nothing in AWS."""
    with account.calls.watched() as calls:
        state = account.recover(stack_id)
    assert [call.operation for call in calls if call.mutating] == []
    return state


def steps_to_test(request: pytest.FixtureRequest, total: int) -> range:
    return range(1, total, 1 if request.config.getoption("--all-faults") else 13)


@pytest.mark.parametrize("ending", ["up", "down"])
@pytest.mark.sample(2)
def test_a_half_made_stack_is_recovered(
    account: Account, request: pytest.FixtureRequest, ending: str
) -> None:
    with account.calls.watched() as calls:
        account.up()
    total = sum(call.mutating for call in calls)
    clean = inventory(account.client)
    account.down()
    assert total > 30
    for after in steps_to_test(request, total):
        assert cut_off(account, account.up, after)
        stack_id = account.state().stack_id
        account.path().unlink()
        assert recovered(account).stack_id == stack_id
        if ending == "up":
            account.up()
            assert inventory(account.client) == clean, after
        result = account.down()
        assert (result.remaining, result.problems) == ([], []), after
        assert account.left() == [], after


@pytest.mark.long
@pytest.mark.parametrize("ending", ["up", "down"])
@pytest.mark.sample(2)
def test_what_a_cut_off_down_left_is_recovered(
    account: Account, pytestconfig: pytest.Config, ending: str
) -> None:
    account.stands()
    clean = inventory(account.client)
    account.down()
    after = 1
    while True:
        account.up(confirm=lambda _what: None)
        if not cut_off(account, account.down, after):
            break
        account.path().unlink()
        recovered(account)
        if ending == "up":
            account.up()
            assert inventory(account.client) == clean, after
        result = account.down()
        assert (result.remaining, result.problems) == ([], []), after
        assert account.left() == [], after
        after += 1 if pytestconfig.getoption("--all-faults") else 6
    assert after > 6


def test_an_empty_account_has_nothing_to_recover(account: Account) -> None:
    with pytest.raises(CogauthError, match=r"the tag cogauth:stack = shop\.") as caught:
        recovered(account)
    assert (
        caught.value.hint == f"'cogauth up --stack shop --state {account.path()}' creates a stack."
    )
    other = "11111111-0000-4000-8000-000000000000"
    with pytest.raises(CogauthError, match=rf"cogauth:stack = shop with the stack-id {other}\.$"):
        recovered(account, other)
    assert not account.path().exists()


@pytest.mark.parametrize("power_user", [False, True])
def test_every_setting_is_read_off_what_stands(
    account: Account, managed_policies: None, *, power_user: bool
) -> None:
    del managed_policies
    settings = replace(
        Settings(),
        tier="ESSENTIALS",
        sign_up="closed",
        password_min_length=14,
        password_require=("digit", "upper"),
        power_user=power_user,
        runtime="python3.12",
        architecture="x86_64",
        sign_in_memory=1024,
        sign_in_timeout=29,
        auto_confirm_memory=256,
        auto_confirm_timeout=5,
        path="/open.sesame",
        stage="prod",
        throttle_rate=0.5,
        throttle_burst=3,
        cors_origins=("http://localhost:3000", "https://app.example"),
    )
    account.up(**vars(settings))
    account.path().unlink()
    found = recovered(account).settings
    # Differences from a recovered record aren't changes made by hand: an 'up' is due.
    same = replace(settings, password_require=(), in_progress=True)
    assert replace(found, password_require=()) == same
    assert set(found.password_require) == set(settings.password_require)
    actions = account.up()
    assert {step for step, action in actions.items() if action != "unchanged"} == {"deployment"}
    account.down()
    assert account.left() == []


def test_a_sign_in_path_without_an_integration_is_recovered(account: Account) -> None:
    account.up(path="/enter")
    state = account.state()
    account.client("apigateway").delete_integration(
        restApiId=state.fact("rest_api", "id"),
        resourceId=state.fact("sign_in_resource", "id"),
        httpMethod="POST",
    )
    account.path().unlink()
    found = recovered(account)
    assert found.settings.path == "/enter"
    assert found.fact("sign_in_resource", "id") == state.fact("sign_in_resource", "id")


def test_what_somebody_took_off_or_put_beside_is_no_setting(account: Account) -> None:
    """The stage was made anew without its throttle, and the role has a policy that isn't ours."""
    account.stands()
    state, iam, api = account.state(), account.client("iam"), account.client("apigateway")
    place = {"restApiId": state.fact("rest_api", "id"), "stageName": "dev"}
    stage = api.get_stage(**place)
    api.delete_stage(**place)
    api.create_stage(**place, deploymentId=stage["deploymentId"], tags=stage["tags"])
    allowed = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    policy = iam.create_policy(PolicyName="theirs", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=state.fact("role", "id"), PolicyArn=policy)
    account.path().unlink()
    found = recovered(account)
    assert found.settings == Settings().begun()
    assert found.record("power_user_attachment") is None


@pytest.mark.parametrize("age_s", [60, -60])
def test_of_several_deployments_the_latest_is_recovered(account: Account, age_s: int) -> None:
    """An interrupted run leaves a second deployment behind."""
    account.stands()
    ctx = account.context()
    place = {"restApiId": ctx.fact("rest_api"), "description": ctx.name_with_id}
    more = account.client("apigateway").create_deployment(**place)["id"]
    made = apigateway_backends[account.aws.account][account.region].apis[place["restApiId"]]
    own = ctx.fact("deployment")
    made.deployments[more].created_date = made.deployments[own].created_date - age_s
    account.path().unlink()
    latest = own if age_s > 0 else more
    assert recovered(account).fact("deployment", "id") == latest
    account.up()
    assert existing(account) == STACK


def test_only_what_has_both_the_name_and_the_tags_is_taken_for_the_stack(account: Account) -> None:
    """A claimed API of another name is no second one, and a stage without the tags isn't ours."""
    account.stands()
    api, own = account.client("apigateway"), fact(account, "rest_api")
    tags = tags_of(account.state())
    make_api(account, "theirs", tags=tags)
    stage = {"restApiId": own, "deploymentId": fact(account, "deployment")}
    # Theirs comes first in AWS's list.
    api.delete_stage(restApiId=own, stageName="dev")
    api.create_stage(**stage, stageName="a")
    api.create_stage(**stage, stageName="dev", tags=tags)
    account.path().unlink()
    state = recovered(account)
    assert state.fact("rest_api", "id") == own
    assert state.settings.stage == "dev"


def test_the_apis_of_a_large_account_are_read_at_the_rate_that_attach_keeps_to(
    account: Account,
) -> None:
    account.stands()
    for number in range(AT_ONCE + 9):
        account.client("apigateway").create_rest_api(name=f"api-{number}")
    account.path().unlink()
    begun = account.time.now
    recovered(account)
    assert account.time.now - begun == pytest.approx(10 / PER_SECOND)


def test_a_method_of_somebody_elses_is_not_taken_for_the_sign_in(account: Account) -> None:
    """Neither while the stack's own method exists nor after somebody deleted it."""
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": account.state().fact("rest_api", "id")}
    root = account.state().fact("rest_api", "root")
    theirs: dict[str, Any] = {}
    for part, kind in (("a0", "AWS_IAM"), ("zz", "NONE")):
        made = api.create_resource(**place, parentId=root, pathPart=part)
        theirs[part] = {**place, "resourceId": made["id"], "httpMethod": "POST"}
        api.put_method(**theirs[part], authorizationType=kind)
        api.put_integration(
            **theirs[part],
            type="HTTP_PROXY",
            integrationHttpMethod="POST",
            uri="https://orders.example",
        )

    def of_theirs() -> list[Any]:
        methods = [api.get_method(**each) for each in theirs.values()]
        return [(one["authorizationType"], one["methodIntegration"]["uri"]) for one in methods]

    before = of_theirs()
    for delete in (False, True):
        if delete:
            sign_in = account.state().fact("sign_in_resource", "id")
            api.delete_resource(**place, resourceId=sign_in)
        account.path().unlink()
        assert recovered(account).settings.path == "/signin"
        account.up(confirm=lambda _: None)
        assert of_theirs() == before


def test_what_has_lost_its_tags_keeps_its_parts(account: Account) -> None:
    account.stands()
    iam, role = account.client("iam"), account.state().fact("role", "id")
    iam.untag_role(RoleName=role, TagKeys=["cogauth:stack", "cogauth:stack-id"])
    account.path().unlink()
    found = recovered(account)
    assert found.record("auto_confirm_role_policy") is not None
    assert (found.record("role"), found.record("role_policy")) == (None, None)
    account.down()
    assert account.left() == [f"role {role}"]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["cogauth"]


def test_a_setting_that_no_stack_can_have_is_left_out_and_named(account: Account) -> None:
    account.stands()
    function = account.state().fact("sign_in_function", "id")
    account.client("lambda").update_function_configuration(FunctionName=function, Timeout=60)
    account.path().unlink()
    state = account.new_state()
    (told,) = engine.recover(account.context_of(state))
    assert "The sign-in function has a setting that --sign-in-timeout doesn't accept: 60." in told
    assert f"'cogauth up{state.options}' sets it to 10" in told
    state.save()
    assert account.up()["sign_in_function"] == "updated"
    found = account.client("lambda").get_function_configuration(FunctionName=function)
    assert found["Timeout"] == 10


def test_what_is_another_stacks_by_its_tag_is_not_recovered(account: Account) -> None:
    other = {"cogauth:stack": "other", "cogauth:stack-id": "00000000-0000-4000-8000-000000000000"}
    account.client("cognito-idp").create_user_pool(PoolName="shop", UserPoolTags=other)
    with pytest.raises(CogauthError, match="carries the tag cogauth:stack = shop"):
        recovered(account)
    assert not account.path().exists()


@pytest.mark.parametrize(
    "text", ["../../x", "", "x\x1b[2J", "8F1D2C9A-6D54-4C1E-9B57-0D0A5C1F3E21"]
)
def test_a_tag_that_is_no_stacks_id_is_nobodys(account: Account, text: str) -> None:
    tags = {"cogauth:stack": "shop", "cogauth:stack-id": text}
    account.client("cognito-idp").create_user_pool(PoolName="shop", UserPoolTags=tags)
    with pytest.raises(CogauthError, match="carries the tag cogauth:stack = shop"):
        recovered(account)
    assert not account.path().exists()
