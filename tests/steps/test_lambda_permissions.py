"""Who may call the functions: the statements, and what they allow."""

import pytest

from support.account import Account
from support.built import Built
from support.iam import Request, allowed
from support.permissions import Policies, arn, look
from support.stacks import AUTO_CONFIRM, SIGN_IN

INVOKE = "lambda:InvokeFunction"


@pytest.fixture
def stack(account: Account) -> Policies:
    account.stands()
    return look(account)


def test_permissions_allow_one_service_one_action(built: Built) -> None:
    """A statement without a condition would let any API, or any pool, call the function."""
    for name, service, conditions in (
        (AUTO_CONFIRM, "cognito-idp", {"ArnLike", "StringEquals"}),
        (SIGN_IN, "apigateway", {"ArnLike"}),
    ):
        (statement,) = built.statements[name]
        assert statement["Sid"] == f"cogauth-{service}"
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Action"] == "lambda:InvokeFunction"
        assert statement["Resource"] == built.arn("lambda", f"function:{name}")
        assert set(statement["Condition"]) == conditions


def test_permissions_carry_source_arn_and_account(built: Built) -> None:
    (trigger,) = built.statements[AUTO_CONFIRM]
    assert trigger["Principal"] == {"Service": "cognito-idp.amazonaws.com"}
    assert trigger["Action"] == "lambda:InvokeFunction"
    assert trigger["Condition"]["ArnLike"] == {"AWS:SourceArn": built.pool["Arn"]}
    assert trigger["Condition"]["StringEquals"] == {"AWS:SourceAccount": built.account}
    (method,) = built.statements[SIGN_IN]
    assert method["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert method["Condition"]["ArnLike"] == {
        "AWS:SourceArn": built.arn("execute-api", f"{built.fact('rest_api')}/*/POST/signin")
    }


def may_invoke(stack: Policies, name: str, service: str, source: str, account: str = "") -> bool:
    policy = stack.functions[name]
    function = arn(stack, "lambda", f"function:{name}")
    request = Request(INVOKE, function, service, source, account or stack.account)
    return allowed(policy, request)


def test_the_user_pool_may_call_the_auto_confirm_function(stack: Policies) -> None:
    pool = stack.pool
    assert may_invoke(stack, AUTO_CONFIRM, "cognito-idp.amazonaws.com", pool)


def test_no_one_else_may_call_the_auto_confirm_function(stack: Policies) -> None:
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


def method_arn(stack: Policies, rest: str, api: str = "") -> str:
    return arn(stack, "execute-api", f"{api or stack.api}/{rest}")


@pytest.mark.parametrize("stage", ["dev", "prod", "test-invoke-stage"])
def test_the_sign_in_method_may_call_its_function_on_any_stage(stack: Policies, stage: str) -> None:
    source = method_arn(stack, f"{stage}/POST/signin")
    assert may_invoke(stack, SIGN_IN, "apigateway.amazonaws.com", source)


def test_no_other_method_path_api_or_service_may_call_it(stack: Policies) -> None:
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
