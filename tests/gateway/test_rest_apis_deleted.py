"""An API that is deleted between two calls: each command reports it in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cogauth.checks.explain import explain
from cogauth.checks.verify.subject import find_subject
from cogauth.client.calls import Call, console_test, find_destination
from cogauth.errors import CogauthError
from support.attached import Orders
from support.stacks import fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.context import Context
    from support import calls
    from support.account import Account


def given(ctx: Context, api: str) -> str | None:
    return None if api == ctx.fact("rest_api") else api


def by_test_button(ctx: Context, api: str) -> object:
    place = find_destination(ctx, given(ctx, api), None)
    return console_test(ctx, place, Call("GET", "/hello"))


COMMANDS: dict[str, Callable[[Context, str], object]] = {
    # The POST is only examined, not sent.
    "explain": lambda ctx, api: explain(ctx, ctx.url("/hello", api=api, stage="dev"), "POST", None),
    "verify": lambda ctx, api: find_subject(ctx, given(ctx, api)),
    "call --test-invoke": by_test_button,
}


@pytest.mark.parametrize(
    ("command", "own", "last"),
    [
        ("explain", True, "GetRestApi"),
        ("explain", False, "GetRestApi"),
        ("explain", False, "GetStages"),
        ("verify", True, "GetRestApi"),
        ("verify", False, "GetRestApis"),
        ("verify", False, "GetStages"),
        ("call --test-invoke", True, "GetRestApi"),
        ("call --test-invoke", False, "GetRestApis"),
        ("call --test-invoke", False, "GetStages"),
    ],
)
def test_an_api_that_was_deleted_meanwhile(
    account: Account,
    command: str,
    own: bool,  # noqa: FBT001
    last: str,
) -> None:
    account.stands()
    api = fact(account, "rest_api") if own else Orders(account, stages=("dev",)).id
    gone: list[str] = []
    said = (
        f"The REST API {api} doesn't exist any more in account" if own else "was deleted just now"
    )

    def delete(call: calls.Call) -> None:
        if call.operation == last and not gone:
            gone.append(api)
            account.client("apigateway").delete_rest_api(restApiId=api)

    with account.calls.watched(after=delete), pytest.raises(CogauthError, match=said):
        COMMANDS[command](account.context(), api)
