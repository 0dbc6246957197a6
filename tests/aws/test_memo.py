"""Each reading call is made only once, and every thread gets the answer."""

from collections.abc import Iterator
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cogauth.aws import parallel
from cogauth.aws.clients import Aws
from cogauth.aws.memo import Memo
from support.account import Account
from support.calls import Call
from support.stacks import fact

AT_ONCE = 8


@pytest.fixture
def calls(account: Account) -> Iterator[list[Call]]:
    with account.calls.watched() as made:
        yield made


@pytest.fixture
def memo() -> Memo:
    return Memo()


@pytest.fixture
def aws(account: Account, memo: Memo) -> Aws:
    # The context is new, because the previous test may have stopped the calls.
    return memo.of(account.context_of(account.new_state()).aws)


def made_pool(aws: Aws, name: str = "p") -> dict[str, Any]:
    return {"UserPoolId": aws.cognito.create_user_pool(PoolName=name)["UserPool"]["Id"]}


def names(aws: Aws) -> list[str]:
    pages = aws.cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 1})
    return [each["Name"] for page in pages for each in page["UserPools"]]


def test_of_threads_that_ask_the_same_at_once_one_makes_the_call(
    aws: Aws, calls: list[Call]
) -> None:
    place, together = made_pool(aws), Barrier(AT_ONCE)

    def ask() -> str:
        together.wait()
        return aws.cognito.describe_user_pool(**place)["UserPool"]["Id"]

    assert parallel.each([ask] * AT_ONCE) == [place["UserPoolId"]] * AT_ONCE
    assert [each.operation for each in calls] == ["CreateUserPool", "DescribeUserPool"]


def test_calls_that_differ_get_their_own_answers(aws: Aws, account: Account) -> None:
    one, other = made_pool(aws), made_pool(aws, "q")
    for place, name in ((one, "p"), (other, "q")):
        assert aws.cognito.describe_user_pool(**place)["UserPool"]["Name"] == name
    # The account's own clients remember nothing.
    account.aws.cognito.delete_user_pool(**one)
    with pytest.raises(ClientError):
        account.aws.cognito.describe_user_pool(**one)


def test_all_pages_of_a_list_are_remembered(aws: Aws, calls: list[Call]) -> None:
    made_pool(aws)
    made_pool(aws, "q")
    calls.clear()
    assert names(aws) == names(aws) == ["p", "q"]
    assert [each.operation for each in calls] == ["ListUserPools"] * 2


def test_what_was_forgotten_is_asked_again(aws: Aws, memo: Memo) -> None:
    made_pool(aws)
    assert names(aws) == ["p"]
    made_pool(aws, "q")
    assert names(aws) == ["p"]
    memo.forget()
    assert names(aws) == ["p", "q"]


def test_a_refusal_is_not_remembered(aws: Aws) -> None:
    role: Any = {"RoleName": "r"}
    with pytest.raises(ClientError):
        aws.iam.get_role(**role)
    aws.iam.create_role(**role, AssumeRolePolicyDocument="{}")
    assert aws.iam.get_role(**role)["Role"]["RoleName"] == "r"


def test_an_answer_with_a_stream_can_be_read_each_time(account: Account, memo: Memo) -> None:
    account.stands()
    client = memo.of(account.aws).apigateway
    place: Any = {"restApiId": fact(account, "rest_api"), "stageName": fact(account, "stage")}
    bodies = [client.get_export(**place, exportType="oas30")["body"].read() for _ in range(2)]
    assert bodies[0]
    assert bodies[0] == bodies[1]
