"""Two stacks, and what names, tags and ids say of whose a thing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.calls import Call, refusal
from support.commands import in_process
from support.foreign import describe_api, describe_pool
from support.stacks import (
    existing,
    fact,
    pool,
)
from support.world import described, lasting

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from support.account import Account
    from support.forker import Result


TAGS = ("cogauth:stack", "cogauth:stack-id")


# The names of the others' pool and API: a name that says nothing, and the stack's own name.
NAMES = ["theirs", "shop"]


def tags(account: Account) -> dict[str, str]:
    """Return the tags that anyone who may tag can set."""
    return account.context().tags


def tagging_api(*arns: str) -> Callable[[Call], Any]:
    """Answer in place of moto's tagging API, which lists neither pools nor APIs."""

    def answer(call: Call) -> Any:
        # The operation that gets an API's paths has the same name.
        if call.operation != "GetResources" or call.sent["url_path"].startswith("/restapis"):
            return None
        found = [{"ResourceARN": arn} for arn in arns]
        metadata = {"HTTPStatusCode": 200}
        return refusal(200, "")[0], {"ResourceTagMappingList": found, "ResponseMetadata": metadata}

    return answer


def pool_arn(account: Account, identifier: str) -> str:
    return account.context().arn("cognito-idp", f"userpool/{identifier}")


def api_arn(account: Account, identifier: str) -> str:
    return f"arn:aws:apigateway:{account.region}::/restapis/{identifier}"


def ids(entries: list[dict[str, str]]) -> list[str]:
    return [entry["id"] for entry in entries]


def command(account: Account, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Run a command in this process, on the stack's state file."""
    monkeypatch.setenv("AWS_REGION", account.region)
    return in_process(*words, "--stack", "shop", "--state", str(account.path()))


# For each root, a well-formed id that nothing has, and the ARN that goes with it.
NOBODYS = {
    "user_pool": ("{region}_Nobody", "arn:aws:cognito-idp:{region}:{account}:userpool/{id}"),
    "rest_api": ("abcdef1234", "arn:aws:apigateway:{region}::/restapis/{id}"),
    "role": ("nobodys", "arn:aws:iam::{account}:role/{id}"),
    **dict.fromkeys(
        ["sign_in_function", "auto_confirm_function"],
        ("nobodys", "arn:aws:lambda:{region}:{account}:function:{id}"),
    ),
    **dict.fromkeys(
        ["sign_in_log_group", "auto_confirm_log_group"],
        ("/aws/lambda/nobodys", "arn:aws:logs:{region}:{account}:log-group:{id}"),
    ),
}


def nobodys(account: Account, key: str) -> dict[str, str]:
    """Return facts of a root that are well-formed but match nothing."""
    place = {"region": account.region, "account": account.state().account}
    identifier, arn = NOBODYS[key]
    identifier = identifier.format(**place)
    return {"id": identifier, "arn": arn.format(**place, id=identifier)}


def record_another(account: Account, key: str, record: dict[str, str]) -> None:
    """Make the state file name another resource."""
    state = account.state()
    known = state.record(key)
    assert known is not None
    state.put("resources", key, {**known, **record})


def others(account: Account) -> Any:
    """Describe everything of the other stack."""
    state = account.state("shop2")
    return [
        lasting(described(account.client)),
        describe_pool(account, state.fact("user_pool", "id")),
        describe_api(account, state.fact("rest_api", "id")),
    ]


def two_stacks(account: Account) -> Any:
    """Make another stack, then our own; return the state of the other before that."""
    account.up("shop2")
    alone = others(account), existing(account)
    account.up()
    return alone


def function(account: Account, name: str) -> Any:
    """Return a function's configuration, with the time of its last change, and its tags."""
    answer = account.client("lambda").get_function(FunctionName=name)
    return answer["Configuration"], answer["Tags"]


def in_china(account: Account) -> str:
    """Return the ARN that the stack's pool would have in another partition."""
    return account.state().fact("user_pool", "arn").replace("arn:aws:", "arn:aws-cn:")


def untag_api(account: Account) -> None:
    arn = account.state().fact("rest_api", "arn")
    account.client("apigateway").untag_resource(resourceArn=arn, tagKeys=list(TAGS))


def tags_now(account: Account) -> list[Any]:
    api = account.client("apigateway").get_rest_api(restApiId=fact(account, "rest_api"))
    return [pool(account).get("UserPoolTags"), api.get("tags")]
