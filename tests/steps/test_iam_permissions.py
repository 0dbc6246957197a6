"""Who may do what with the roles: their policies, evaluated as AWS documents it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID

from support.account import Account
from support.built import Built
from support.iam import Request, allowed, as_list
from support.names import REGION
from support.permissions import Policies, arn, look
from support.stacks import AUTO_CONFIRM, SIGN_IN

LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")


@pytest.fixture
def stack(account: Account) -> Policies:
    account.stands()
    return look(account)


def test_role(built: Built) -> None:
    role = built.role
    assert role["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == built.tags
    assert role["Description"] == "What the sign_in function of the cogauth stack shop may do"
    assert built.attached == []
    assert list(built.policies) == ["cogauth"]
    document = built.policies["cogauth"]
    logs, cognito = document["Statement"]
    assert sorted(logs["Action"]) == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert logs["Resource"] == [built.arn("logs", f"log-group:/aws/lambda/{SIGN_IN}:*")]
    assert sorted(cognito["Action"]) == [
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminInitiateAuth",
        "cognito-idp:AdminRespondToAuthChallenge",
        "cognito-idp:DescribeUserPoolClient",
    ]
    assert cognito["Resource"] == [built.pool["Arn"]]
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}


def role_may(stack: Policies, action: str, resource: str) -> bool:
    return allowed(stack.role_policy, Request(action, resource))


def test_the_role_may_do_what_the_sign_in_function_does(stack: Policies) -> None:
    pool = stack.pool
    answers = ("AdminInitiateAuth", "AdminRespondToAuthChallenge")
    for action in (*answers, "AdminGetUser", "DescribeUserPoolClient"):
        assert role_may(stack, f"cognito-idp:{action}", pool)
    for action in LOGGING:
        assert role_may(stack, action, log_stream(stack, SIGN_IN))
        assert not role_may(stack, action, log_stream(stack, AUTO_CONFIRM))


def log_stream(stack: Policies, function: str) -> str:
    stream = f"log-group:/aws/lambda/{function}:log-stream:2026/11/22/[$LATEST]a"
    return arn(stack, "logs", stream)


def test_the_auto_confirm_function_may_write_its_log_and_nothing_else(stack: Policies) -> None:
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


def test_the_role_may_do_nothing_else(stack: Policies) -> None:
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


def test_only_lambda_may_assume_the_role(stack: Policies) -> None:
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


def documented(name: str) -> list[dict[str, Any]]:
    """Return a policy of docs/policies/, with values in place of the words in capitals."""
    text = (Path(__file__).parents[2] / "docs" / "policies" / f"{name}.json").read_text()
    for word, value in {"REGION": REGION, "ACCOUNT": DEFAULT_ACCOUNT_ID}.items():
        text = re.sub(rf"\b{word}\b", value, text)
    statement: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statement


def test_the_boundary_lets_the_roles_do_all_that_they_may(stack: Policies) -> None:
    boundary = documented("boundary")
    for statement in (*stack.role_policy, *stack.auto_confirm_role_policy):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                assert allowed(boundary, Request(action, resource.replace(":*", ":log-stream:a")))
    for action in ("iam:PutRolePolicy", "sts:AssumeRole", "cognito-idp:AdminCreateUser"):
        for resource in (stack.role_arn, stack.pool, "*"):
            assert not allowed(boundary, Request(action, resource))
