"""Who may do what: the policies of a stack, evaluated as AWS documents it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID

from cogauth.checks import policy as checks
from cogauth.client.logs import FUNCTIONS
from cogauth.client.logs import read as read_logs
from cogauth.settings import Settings
from support.account import Account, aws_with_clients
from support.calls import Call
from support.iam import Request, allowed, as_list, asked_for
from support.names import REGION
from support.stacks import OTHER_TRUST
from support.world import statements

ROLE, AUTO_CONFIRM_ROLE = "shop-LambdaAuthRole", "shop-AutoConfirmRole"
SIGN_IN, AUTO_CONFIRM = "shop-signInFunction", "shop-autoConfirmUserFunction"
INVOKE = "lambda:InvokeFunction"


@dataclass(frozen=True)
class Stack:
    """A stack's policies as AWS has them, and the ARNs that they refer to."""

    region: str
    account: str
    pool: str
    api: str
    trust: list[dict[str, Any]]
    role_arn: str
    role_policy: list[dict[str, Any]]
    auto_confirm_role_policy: list[dict[str, Any]]
    functions: dict[str, list[dict[str, Any]]]


def look(account: Account) -> Stack:
    state, iam = account.state(), account.client("iam")
    role = iam.get_role(RoleName=ROLE)["Role"]
    policy, other = (
        iam.get_role_policy(RoleName=name, PolicyName="cogauth")["PolicyDocument"]
        for name in (ROLE, AUTO_CONFIRM_ROLE)
    )
    return Stack(
        region=account.region,
        account=account.aws.account,
        pool=state.fact("user_pool", "arn"),
        api=state.fact("rest_api", "id"),
        trust=role["AssumeRolePolicyDocument"]["Statement"],
        role_arn=role["Arn"],
        role_policy=policy["Statement"],
        auto_confirm_role_policy=other["Statement"],
        functions={name: statements(account.client, name) for name in (SIGN_IN, AUTO_CONFIRM)},
    )


@pytest.fixture(scope="module")
def stack(whole_moto: None, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    del whole_moto
    with mock_aws():
        account = Account(aws_with_clients(REGION), tmp_path_factory.mktemp("stack"))
        account.up()
        return look(account)


def arn(stack: Stack, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{stack.region}:{stack.account}:{resource}"


def may_invoke(stack: Stack, name: str, service: str, source: str, account: str = "") -> bool:
    policy = stack.functions[name]
    function = arn(stack, "lambda", f"function:{name}")
    request = Request(INVOKE, function, service, source, account or stack.account)
    return allowed(policy, request)


def test_the_user_pool_may_call_the_auto_confirm_function(stack: Stack) -> None:
    pool = stack.pool
    assert may_invoke(stack, AUTO_CONFIRM, "cognito-idp.amazonaws.com", pool)


def test_no_one_else_may_call_the_auto_confirm_function(stack: Stack) -> None:
    cognito, pool = "cognito-idp.amazonaws.com", stack.pool
    other_pool = arn(stack, "cognito-idp", "userpool/eu-central-1_OtherPool")
    for service, source, account in (
        (cognito, other_pool, ""),
        (cognito, f"{pool}x", ""),
        (cognito, pool, "210987654321"),
        (cognito, pool.replace(stack.account, "210987654321"), "210987654321"),
        (cognito, "", ""),
        ("apigateway.amazonaws.com", pool, ""),
        ("s3.amazonaws.com", pool, ""),
        ("events.amazonaws.com", "", ""),
    ):
        assert not may_invoke(stack, AUTO_CONFIRM, service, source, account)


def method_arn(stack: Stack, rest: str, api: str = "") -> str:
    return arn(stack, "execute-api", f"{api or stack.api}/{rest}")


@pytest.mark.parametrize("stage", ["dev", "prod", "test-invoke-stage"])
def test_the_sign_in_method_may_call_its_function_on_any_stage(stack: Stack, stage: str) -> None:
    source = method_arn(stack, f"{stage}/POST/signin")
    assert may_invoke(stack, SIGN_IN, "apigateway.amazonaws.com", source)


def test_no_other_method_path_api_or_service_may_call_it(stack: Stack) -> None:
    gateway = "apigateway.amazonaws.com"
    for source in (
        method_arn(stack, "dev/GET/signin"),
        method_arn(stack, "dev/POST/hello"),
        method_arn(stack, "dev/POST/signin2"),
        method_arn(stack, "dev/POST/"),
        method_arn(stack, "dev/POST/signin", api="otherapi01"),
        method_arn(stack, "dev/POST/signin").replace(stack.account, "210987654321"),
        method_arn(stack, "dev/POST/signin").replace(stack.region, "us-east-1"),
        "",
    ):
        assert not may_invoke(stack, SIGN_IN, gateway, source)
    source = method_arn(stack, "dev/POST/signin")
    assert not may_invoke(stack, SIGN_IN, "cognito-idp.amazonaws.com", source)
    assert not may_invoke(stack, AUTO_CONFIRM, gateway, source)


def role_may(stack: Stack, action: str, resource: str) -> bool:
    return allowed(stack.role_policy, Request(action, resource))


def test_the_role_may_do_what_the_sign_in_function_does(stack: Stack) -> None:
    pool = stack.pool
    answers = ("AdminInitiateAuth", "AdminRespondToAuthChallenge")
    for action in (*answers, "AdminGetUser", "DescribeUserPoolClient"):
        assert role_may(stack, f"cognito-idp:{action}", pool)
    for action in LOGGING:
        assert role_may(stack, action, log_stream(stack, SIGN_IN))
        assert not role_may(stack, action, log_stream(stack, AUTO_CONFIRM))


LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")


def log_stream(stack: Stack, function: str) -> str:
    stream = f"log-group:/aws/lambda/{function}:log-stream:2026/11/22/[$LATEST]a"
    return arn(stack, "logs", stream)


def test_the_auto_confirm_function_may_write_its_log_and_nothing_else(stack: Stack) -> None:
    """With the sign-in function's role it could sign anyone in."""
    policy, session = stack.auto_confirm_role_policy, boto3.Session()
    for action in LOGGING:
        assert allowed(policy, Request(action, log_stream(stack, AUTO_CONFIRM)))
        assert not allowed(policy, Request(action, log_stream(stack, SIGN_IN)))
    for service in ("cognito-idp", "iam", "logs", "lambda", "s3", "sts"):
        for operation in session.client(service, REGION).meta.service_model.operation_names:
            for resource in (stack.pool, stack.role_arn, log_stream(stack, AUTO_CONFIRM), "*"):
                action = f"{service}:{operation}"
                mine = action in LOGGING and resource == log_stream(stack, AUTO_CONFIRM)
                assert allowed(policy, Request(action, resource)) is mine


def test_the_role_may_do_nothing_else(stack: Stack) -> None:
    pool = stack.pool
    for action in (
        "AdminCreateUser",
        "AdminSetUserPassword",
        "AdminDeleteUser",
        "AdminConfirmSignUp",
        "ListUsers",
        "DescribeUserPool",
        "UpdateUserPool",
        "DeleteUserPool",
        "UpdateUserPoolClient",
    ):
        assert not role_may(stack, f"cognito-idp:{action}", pool)
    other_pool = arn(stack, "cognito-idp", "userpool/eu-central-1_OtherPool")
    assert not role_may(stack, "cognito-idp:AdminInitiateAuth", other_pool)
    assert not role_may(stack, "cognito-idp:AdminInitiateAuth", f"{pool}x")
    group = arn(stack, "logs", f"log-group:/aws/lambda/{SIGN_IN}")
    # With this permission a late log line would recreate a deleted group, which would then stay.
    for resource in (group, f"{group}:*", f"{group}:log-stream:a"):
        assert not role_may(stack, "logs:CreateLogGroup", resource)
        assert not role_may(stack, "logs:DeleteLogGroup", resource)
    other = arn(stack, "logs", "log-group:/aws/lambda/other:log-stream:a")
    longer = arn(stack, "logs", f"log-group:/aws/lambda/{SIGN_IN}2:log-stream:a")
    assert not role_may(stack, "logs:PutLogEvents", other)
    assert not role_may(stack, "logs:PutLogEvents", longer)
    for action in ("iam:PassRole", "lambda:InvokeFunction", "sts:AssumeRole", "s3:GetObject"):
        assert not role_may(stack, action, "*")


def test_only_lambda_may_assume_the_role(stack: Stack) -> None:
    # A trust policy names no resource: it applies to its own role.
    trust = [{"Resource": "*", **s} for s in stack.trust]
    for service, expected in (
        ("lambda.amazonaws.com", True),
        ("ec2.amazonaws.com", False),
        ("cognito-idp.amazonaws.com", False),
    ):
        assert allowed(trust, Request("sts:AssumeRole", stack.role_arn, service)) is expected


def test_with_power_user_the_inline_policy_keeps_to_logs(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    stack = look(account)
    assert not role_may(stack, "cognito-idp:AdminInitiateAuth", stack.pool)
    stream = arn(stack, "logs", f"log-group:/aws/lambda/{SIGN_IN}:log-stream:a")
    assert role_may(stack, "logs:PutLogEvents", stream)


# What the user who runs cogauth may do


BOUNDARY = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:policy/bounding"


def least(*commands: str, **settings: Any) -> list[dict[str, Any]]:
    """Return the statements of the least policy for commands on stack shop before it exists."""
    found = Settings().with_choices(settings, exists=False)
    stack = checks.Stack("aws", REGION, DEFAULT_ACCOUNT_ID, "shop", found)
    (document,) = checks.policy(stack, commands)
    statement: list[dict[str, Any]] = document["Statement"]
    return statement


def asked(account: Account, call: Call) -> Iterator[Request]:
    """Yield a call's requests, with an existing role's boundary and with what only AWS sees."""
    body = call.sent["body"]
    for request in asked_for(call, REGION, account.aws.account):
        bound = request.boundary
        if request.action.startswith("iam:"):
            bound = bound or bound_by(account, body["RoleName"])
        yield replace(request, boundary=bound)
        if request.action == "lambda:CreateFunction":
            role = json.loads(body)["Role"]
            yield Request("iam:PassRole", role, service="lambda.amazonaws.com")


def bound_by(account: Account, role: str) -> str:
    iam = account.client("iam")
    try:
        found = iam.get_role(RoleName=role)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return ""
    return str(found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))


def ask_all(account: Account, *runs: Callable[[], object]) -> set[Request]:
    found: set[Request] = set()
    with account.calls.watched(lambda call: found.update(asked(account, call))):
        for run in runs:
            run()
    return found


def test_the_policy_allows_all_that_one_stack_asks_for_and_nothing_of_another(
    account: Account,
) -> None:
    found = ask_all(
        account,
        account.up,
        lambda: account.up(sign_in_memory=1024),
        lambda: list(read_logs(account.context(), FUNCTIONS, 0)),
        account.down,
    )
    policy = least()
    assert [request for request in found if not allowed(policy, request)] == []
    # Resources whose names begin or end like ours are out of reach.
    named = [request for request in found if "shop-" in request.resource]
    assert {request.action.partition(":")[0] for request in named} == {"iam", "lambda", "logs"}
    for other in ("shop-2", "shop-signInFunction", "shop-", "my-shop", "*"):
        for request in named:
            if request.action == "lambda:GetPolicy":
                continue  # explain reads any function's policy.
            resource = request.resource.replace("shop-", f"{other}-")
            assert not allowed(policy, replace(request, resource=resource)), resource


def test_under_a_boundary_a_role_gets_nothing_without_it(account: Account) -> None:
    policy = least(permissions_boundary=BOUNDARY)
    found = ask_all(
        account,
        lambda: account.up(permissions_boundary=BOUNDARY),
        lambda: account.client("iam").update_assume_role_policy(
            RoleName=ROLE, PolicyDocument=OTHER_TRUST
        ),
        lambda: account.up(confirm=lambda _question: None),
        account.down,
    )
    assert "iam:UpdateAssumeRolePolicy" in {request.action for request in found}
    assert [request for request in found if not allowed(policy, request)] == []
    # A role that exists without the boundary gets it first.
    account.up()
    found = ask_all(account, lambda: account.up(permissions_boundary=BOUNDARY), account.down)
    assert "iam:PutRolePermissionsBoundary" in {request.action for request in found}
    assert [request for request in found if not allowed(policy, request)] == []
    role = f"arn:aws:iam::{account.aws.account}:role/{ROLE}"
    for action in (
        *("CreateRole", "PutRolePolicy", "UpdateAssumeRolePolicy", "PutRolePermissionsBoundary"),
        *("DeleteRolePermissionsBoundary", "AttachRolePolicy"),
    ):
        for boundary in ("", f"{BOUNDARY}2", "arn:aws:iam::aws:policy/AdministratorAccess"):
            assert not allowed(policy, Request(f"iam:{action}", role, boundary=boundary))
    for action in ("DeleteRolePermissionsBoundary", "AttachRolePolicy", "CreatePolicyVersion"):
        for resource in (role, BOUNDARY):
            assert not allowed(policy, Request(f"iam:{action}", resource, boundary=BOUNDARY))
    # Without the boundary, AWS's broad policy can't be attached either.
    policy = least(permissions_boundary=BOUNDARY, power_user=True)
    broad = "arn:aws:iam::aws:policy/AmazonCognitoPowerUser"
    attach = Request("iam:AttachRolePolicy", role, policy=broad)
    assert not allowed(policy, attach)
    assert allowed(policy, replace(attach, boundary=BOUNDARY))
    assert not allowed(policy, replace(attach, boundary=BOUNDARY, policy=f"{broad}2"))


def test_a_boundary_is_removed_only_where_that_is_asked_for(account: Account) -> None:
    account.up(permissions_boundary=BOUNDARY)
    found = ask_all(account, lambda: account.up(permissions_boundary="none"))
    request = next(one for one in found if one.action == "iam:DeleteRolePermissionsBoundary")
    assert allowed(least(permissions_boundary="none"), request)
    assert not allowed(least(), request)


def test_with_power_user_only_that_policy_may_be_attached(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    found = ask_all(account, lambda: account.up(power_user=True), account.down)
    policy = least(power_user=True)
    assert {"iam:AttachRolePolicy", "iam:DetachRolePolicy"} < {one.action for one in found}
    assert [request for request in found if not allowed(policy, request)] == []
    for request in found:
        if request.action in {"iam:AttachRolePolicy", "iam:DetachRolePolicy"}:
            administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
            assert not allowed(policy, replace(request, policy=administrator))
            assert not allowed(least(), request)


def documented(name: str) -> list[dict[str, Any]]:
    """Return a policy of docs/policies/, with values in place of the words in capitals."""
    text = (Path(__file__).parents[2] / "docs" / "policies" / f"{name}.json").read_text()
    for word, value in {"REGION": REGION, "ACCOUNT": DEFAULT_ACCOUNT_ID}.items():
        text = re.sub(rf"\b{word}\b", value, text)
    statement: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statement


def test_the_boundary_lets_the_roles_do_all_that_they_may(stack: Stack) -> None:
    boundary = documented("boundary")
    for statement in (*stack.role_policy, *stack.auto_confirm_role_policy):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                assert allowed(boundary, Request(action, resource.replace(":*", ":log-stream:a")))
    for action in ("iam:PutRolePolicy", "sts:AssumeRole", "cognito-idp:AdminCreateUser"):
        for resource in (stack.role_arn, stack.pool, "*"):
            assert not allowed(boundary, Request(action, resource))
