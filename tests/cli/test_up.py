"""``cogauth up``: what it says and asks, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.commands import Cli, files_in
from support.local_aws import client
from support.mistakes import reads_well
from support.stacks import SIGN_IN, STEP_NAMES, stage
from support.tampers import change_code, lift_throttle, open_protected_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.account import Account
    from support.forker import Result

# For the fixtures.
pytest_plugins = ["support.account_commands"]


@pytest.mark.local
def test_a_denied_step_names_the_action_and_the_way_on(cli: Cli, endpoint: str) -> None:
    iam = client("iam", endpoint)
    iam.create_user(UserName="limited")
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "lambda:CreateFunction", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allowed, denied]}
    iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="limited")["AccessKey"]
    own = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "COGAUTH_ENDPOINT_URL": endpoint,
        "COGAUTH_STACK": "denied",
    }
    done = cli.run("up", **own)
    reads_well(
        done,
        "function' failed: AccessDenied",
        "(lambda:CreateFunction)",
        "lack that permission",
        "Nothing is lost: .cogauth/denied.json records what exists",
        f"'cogauth up --stack denied --endpoint-url {endpoint}' again",
        f"'cogauth down --stack denied --endpoint-url {endpoint}'",
    )
    # With the permission it continues, and doesn't recreate what exists.
    policy["Statement"] = [allowed]
    iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    again = cli.run("up", "--json", **own).must().document
    actions = {step["step"]: step["action"] for step in again["steps"]}
    assert actions["role"] != "created"
    assert actions["sign_in_function"] in {"created", "updated"}
    cli.run("down", "--yes", **own).must()


@pytest.mark.local
@pytest.mark.parametrize("taken", ["role", "function", "log group"])
def test_a_name_that_is_someone_elses_is_named_and_left_alone(
    cli: Cli, endpoint: str, taken: str
) -> None:
    stack = f"taken-{taken.split(maxsplit=1)[0]}"
    if taken == "role":
        name = f"{stack}-LambdaAuthRole"
        client("iam", endpoint).create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    elif taken == "log group":
        name = f"/aws/lambda/{stack}-signInFunction"
        client("logs", endpoint).create_log_group(logGroupName=name)
    else:
        name = f"{stack}-autoConfirmUserFunction"
        role = client("iam", endpoint).create_role(
            RoleName="another", AssumeRolePolicyDocument="{}"
        )["Role"]
        client("lambda", endpoint).create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/none:1"},
            Role=role["Arn"],
        )
    done = cli.run("up", "--endpoint-url", endpoint, "--stack", stack)
    reads_well(done, name, "already exists", "Use another --stack")
    assert files_in(cli.folder) == []
    iam = client("iam", endpoint)
    pools = client("cognito-idp", endpoint).list_user_pools(MaxResults=60)["UserPools"]
    assert stack not in {pool["Name"] for pool in pools}
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    assert (f"{stack}-LambdaAuthRole" in roles) == (taken == "role")


def test_up_shows_what_it_changes_by_value(account: Account, run: Callable[..., Result]) -> None:
    account.stands()
    open_protected_method(account)
    done = run("up")
    assert done.code == 0
    line = "protected method: GET /hello was open: NONE → COGNITO_USER_POOLS"
    assert done.err.count(line) == 1
    assert "-/+ deployment: recreate, because of the protected method" in done.err
    done = run("up")
    assert "up to date" in done.out
    assert done.err.count("unchanged") == len(STEP_NAMES)


def test_up_asks_before_it_overwrites(account: Account, run: Callable[..., Result]) -> None:
    account.stands()
    change_code(account)
    lift_throttle(account)
    theirs = account.client("lambda").get_function(FunctionName=SIGN_IN)["Configuration"]
    before = account.path().read_text()
    refused = run("up")
    assert refused.code == 2
    assert "has code that isn't cogauth's" in refused.err
    assert "give --yes" in refused.err
    now = account.client("lambda").get_function(FunctionName=SIGN_IN)["Configuration"]
    assert now["CodeSha256"] == theirs["CodeSha256"]
    assert account.path().read_text() == before
    assert run("up", "--yes").code == 0
    now = account.client("lambda").get_function(FunctionName=SIGN_IN)["Configuration"]
    assert now["CodeSha256"] != theirs["CodeSha256"]
    (settings,) = stage(account)["methodSettings"].values()
    assert settings["throttlingRateLimit"] == 20
