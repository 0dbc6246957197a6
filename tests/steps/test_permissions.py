"""Who may do what: the policies that were made, evaluated as AWS documents it.

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

from cogauth.aws.clients import Aws
from cogauth.client.logs import FUNCTIONS
from cogauth.client.logs import read as read_logs
from support.account import Account
from support.attached import OTHER_POOL, attach, detach, pool_and_orders
from support.calls import Call
from support.names import REGION
from support.stacks import OTHER_TRUST
from support.world import statements

ROLE, AUTO_CONFIRM_ROLE = "shop-LambdaAuthRole", "shop-AutoConfirmRole"
SIGN_IN, AUTO_CONFIRM = "shop-signInFunction", "shop-autoConfirmUserFunction"
INVOKE = "lambda:InvokeFunction"


def like(pattern: str, value: str) -> bool:
    """Say whether a value matches a pattern of IAM's: `*` is any text, `?` any character."""
    parts = [{"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern]
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def arn_like(pattern: str, value: str) -> bool:
    """Say whether an ARN matches: part by part, so that a `*` doesn't reach over a colon."""
    patterns, parts = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(parts) and all(map(like, patterns, parts))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Request:
    """What is asked: an action on a resource, by a service or by the role itself (None)."""

    action: str
    resource: str
    service: str | None = None
    source_arn: str = ""
    source_account: str = ""
    boundary: str = ""

    @property
    def keys(self) -> dict[str, str]:
        keys = {
            "aws:sourcearn": self.source_arn,
            "aws:sourceaccount": self.source_account,
            "iam:permissionsboundary": self.boundary,
            "iam:passedtoservice": self.service or "",
        }
        return {key: value for key, value in keys.items() if value}


OPERATORS = {
    "ArnLike": arn_like,
    "ArnEquals": arn_like,
    "StringEquals": str.__eq__,
    "StringLike": like,
}


def applies(statement: dict[str, Any], request: Request) -> bool:
    known = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    assert set(statement) <= known, "the evaluator doesn't know all of the statement"
    if request.service is not None and "Principal" in statement:
        principal = statement["Principal"]
        services = [] if principal == "*" else as_list(principal.get("Service", []))
        if principal not in ("*", {"AWS": "*"}) and request.service not in services:
            return False
    conditions = [
        (OPERATORS[operator], pattern, request.keys.get(key.lower()))
        for operator, keys in statement.get("Condition", {}).items()
        for key, patterns in keys.items()
        for pattern in as_list(patterns)
    ]
    return (
        any(like(action.lower(), request.action.lower()) for action in as_list(statement["Action"]))
        and any(like(resource, request.resource) for resource in as_list(statement["Resource"]))
        and all(value is not None and test(pattern, value) for test, pattern, value in conditions)
    )


def allowed(policy: list[dict[str, Any]], request: Request) -> bool:
    effects = {statement["Effect"] for statement in policy if applies(statement, request)}
    return effects == {"Allow"}


@dataclass(frozen=True)
class Stack:
    """A stack's policies as AWS has them, and the ARNs that they are about."""

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
def stack(
    whole_moto: None, clients: Callable[[str], Aws], tmp_path_factory: pytest.TempPathFactory
) -> Stack:
    del whole_moto
    with mock_aws():
        account = Account(clients(REGION), tmp_path_factory.mktemp("stack"))
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
    for action in ("AdminInitiateAuth", "AdminGetUser", "DescribeUserPoolClient"):
        assert role_may(stack, f"cognito-idp:{action}", pool)
    for action in LOGGING:
        assert role_may(stack, action, log_stream(stack, SIGN_IN))
        assert not role_may(stack, action, log_stream(stack, AUTO_CONFIRM))


LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")


def log_stream(stack: Stack, function: str) -> str:
    stream = f"log-group:/aws/lambda/{function}:log-stream:2026/11/22/[$LATEST]a"
    return arn(stack, "logs", stream)


def test_the_auto_confirm_function_may_write_its_log_and_nothing_else(stack: Stack) -> None:
    """It could sign anyone in, had it the sign-in function's role."""
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
    # With it a late log line would bring a deleted group back, to stay for ever.
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
    # A trust policy names no resource: it is the role's own.
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


def documented(name: str = "deploy", **values: str) -> list[dict[str, Any]]:
    """A policy of docs/policies/, with values in place of the words in capitals."""
    text = (Path(__file__).parents[2] / "docs" / "policies" / f"{name}.json").read_text()
    for word, value in {"REGION": REGION, "ACCOUNT": DEFAULT_ACCOUNT_ID, **values}.items():
        text = re.sub(rf"\b{word}\b", value, text)
    statement: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statement


def attach_policy(api: str) -> list[dict[str, Any]]:
    """The documented policy for attaching, for one API."""
    return documented("attach", API=api)


# What whoever runs cogauth may do


BOUNDARY = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:policy/bounding"
LOGS = ("CreateLogGroup", "DeleteLogGroup", "FilterLogEvents", "PutRetentionPolicy")


def asked_for(account: Account, call: Call) -> Iterator[Request]:
    """What a call asks for, of those to IAM, Lambda and CloudWatch Logs: by their documentation."""
    body, path = call.sent["body"], call.sent["url_path"]
    if isinstance(body, dict) and "RoleName" in body:
        role = f"arn:aws:iam::{account.aws.account}:role/{body['RoleName']}"
        boundary = body.get("PermissionsBoundary") or bound_by(account, body["RoleName"])
        yield Request(f"iam:{call.operation}", role, boundary=boundary)
        if call.operation == "CreateRole":
            yield Request("iam:TagRole", role)
    elif "/functions" in path:
        given = json.loads(body) if body else {}
        name = given.get("FunctionName") or path.split("/functions/")[1].split("/")[0]
        arn = f"arn:aws:lambda:{REGION}:{account.aws.account}:function:{name}"
        yield Request(f"lambda:{call.operation.rstrip('0123456789')}", arn)
        if role := given.get("Role"):
            yield Request("iam:PassRole", role, service="lambda.amazonaws.com")
    elif call.operation in {*LOGS, "ListTagsForResource"} and isinstance(body, bytes | str):
        given = json.loads(body)
        name = given.get("logGroupName") or given["resourceArn"].partition("log-group:")[2]
        arn = f"arn:aws:logs:{REGION}:{account.aws.account}:log-group:{name}"
        # The service model says that all but the tagging calls are asked about with ':*'.
        yield Request(f"logs:{call.operation}", f"{arn}:*" if call.operation in LOGS else arn)
        if call.operation == "CreateLogGroup":
            yield Request("logs:TagResource", arn)


def bound_by(account: Account, role: str) -> str:
    iam = account.client("iam")
    try:
        found = iam.get_role(RoleName=role)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return ""
    return str(found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))


def ask_all(account: Account, *runs: Callable[[], object]) -> set[Request]:
    asked: set[Request] = set()
    with account.calls.watched(lambda call: asked.update(asked_for(account, call))):
        for run in runs:
            run()
    return asked


def test_the_policy_allows_all_that_one_stack_asks_for_and_nothing_of_another(
    account: Account,
) -> None:
    asked = ask_all(
        account,
        account.up,
        lambda: account.up(sign_in_memory=1024),
        lambda: list(read_logs(account.context(), FUNCTIONS, 0)),
        account.down,
    )
    services = {request.action.partition(":")[0] for request in asked}
    assert services == {"iam", "lambda", "logs"}
    assert {
        "iam:PassRole",
        "lambda:CreateFunction",
        "logs:DeleteLogGroup",
        "logs:FilterLogEvents",
    } < {request.action for request in asked}
    policy = documented(STACK="shop")
    assert [request for request in asked if not allowed(policy, request)] == []
    # Those whose names begin as ours do, or end so.
    for other in ("shop-2", "shop-signInFunction", "shop-", "my-shop", "*"):
        for request in asked:
            resource = request.resource.replace("shop-", f"{other}-")
            assert not allowed(policy, replace(request, resource=resource)), resource


def test_under_a_boundary_a_role_gets_nothing_without_it(account: Account) -> None:
    policy = [
        *(one for one in documented(STACK="shop") if one["Sid"] != "Roles"),
        *documented("roles-under-a-boundary", STACK="shop", BOUNDARY="bounding"),
    ]
    asked = ask_all(
        account,
        lambda: account.up(permissions_boundary=BOUNDARY),
        lambda: account.client("iam").update_assume_role_policy(
            RoleName=ROLE, PolicyDocument=OTHER_TRUST
        ),
        account.up,
        account.down,
    )
    assert "iam:UpdateAssumeRolePolicy" in {request.action for request in asked}
    assert [request for request in asked if not allowed(policy, request)] == []
    # One that stands without it is bounded first.
    account.up()
    asked = ask_all(account, lambda: account.up(permissions_boundary=BOUNDARY), account.down)
    assert "iam:PutRolePermissionsBoundary" in {request.action for request in asked}
    assert [request for request in asked if not allowed(policy, request)] == []
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


def test_the_boundary_lets_the_roles_do_all_that_they_may(stack: Stack) -> None:
    boundary = documented("boundary")
    for statement in (*stack.role_policy, *stack.auto_confirm_role_policy):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                assert allowed(boundary, Request(action, resource.replace(":*", ":log-stream:a")))
    for action in ("iam:PutRolePolicy", "sts:AssumeRole", "cognito-idp:AdminCreateUser"):
        for resource in (stack.role_arn, stack.pool, "*"):
            assert not allowed(boundary, Request(action, resource))


def test_the_attach_policy_allows_what_attaching_calls_and_each_part_is_needed(
    account: Account,
) -> None:
    """The calls of attach, of mending a lost pool, and of detach; on one API and on no other."""
    orders = pool_and_orders(account)
    asked: set[tuple[str, str]] = set()

    def note(call: Call) -> None:
        if call.sent["url_path"].startswith("/restapis"):
            path = call.sent["url_path"]
            asked.add((f"apigateway:{call.sent['method']}", f"arn:aws:apigateway:{REGION}::{path}"))

    with account.calls.watched(note):
        attach(account)
        attach(account, path="/iam", scopes=("a/b",))
        orders.aws.update_authorizer(
            **orders.place,
            authorizerId=account.state().attachments[orders.id]["authorizer"]["id"],
            patchOperations=[{"op": "add", "path": "/providerARNs", "value": f"{OTHER_POOL}2"}],
        )
        attach(account, path="/iam")
        detach(account)
    # A refusal is looked into by a read of the method.
    method = f"arn:aws:apigateway:{REGION}::/restapis/{orders.id}/resources/r/methods/GET"
    asked.add(("apigateway:GET", method))
    policy = attach_policy(orders.id)
    assert [one for one in asked if not allowed(policy, Request(*one))] == []
    for statement in policy:
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                less = [{**statement, "Action": action, "Resource": resource}]
                used = any(allowed(less, Request(*one)) for one in asked)
                assert used, (action, resource)
    other = orders.id.replace(orders.id[0], "z" if orders.id[0] != "z" else "y")
    assert not allowed(attach_policy(other), Request("apigateway:PATCH", method))
    assert not allowed(
        policy, Request("apigateway:DELETE", f"arn:aws:apigateway:{REGION}::/restapis/{orders.id}")
    )
