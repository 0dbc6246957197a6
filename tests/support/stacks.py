"""A stack called shop on moto: its names, its parts, and changes from outside."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from cogauth.steps import STEPS
from support.world import inventory, portrait

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.record.state import State
    from support.account import Account
    from support.calls import Call


ROLE, AUTO_CONFIRM_ROLE = "shop-LambdaAuthRole", "shop-AutoConfirmRole"
SIGN_IN, AUTO_CONFIRM = "shop-signInFunction", "shop-autoConfirmUserFunction"
SIGN_IN_LOGS, AUTO_CONFIRM_LOGS = f"/aws/lambda/{SIGN_IN}", f"/aws/lambda/{AUTO_CONFIRM}"
STACK = sorted(
    [
        "api shop",
        "authorizer",
        "client",
        "deployment",
        f"function {AUTO_CONFIRM}",
        f"function {SIGN_IN}",
        f"logs {AUTO_CONFIRM_LOGS}",
        f"logs {SIGN_IN_LOGS}",
        "method GET /hello 200",
        "method POST /signin 200,500",
        "path /",
        "path /hello",
        "path /signin",
        "permission cogauth-apigateway",
        "permission cogauth-cognito-idp",
        "policy cogauth",
        "policy cogauth",
        "pool shop",
        f"role {AUTO_CONFIRM_ROLE}",
        f"role {ROLE}",
        "stage dev deployed",
        "trigger PreSignUp",
    ]
)
STEP_NAMES = [step.name for step in STEPS]
UNCHANGED = dict.fromkeys(STEP_NAMES, "unchanged")
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "ec2.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
OTHER_TRUST = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})


def tags_of(state: State) -> dict[str, str]:
    """The tags that mark a resource as the stack's."""
    return {"cogauth:stack": state.stack, "cogauth:stack-id": state.stack_id}


def existing(account: Account) -> list[str]:
    return inventory(account.client)


def fact(account: Account, key: str, name: str = "id") -> str:
    return account.state().fact(key, name)


def mutations(calls: list[Call]) -> list[str]:
    return [call.operation for call in calls if call.mutating]


def function(account: Account, name: str) -> dict[str, Any]:
    found: dict[str, Any] = account.client("lambda").get_function_configuration(FunctionName=name)
    return found


def pool(account: Account) -> dict[str, Any]:
    place = {"UserPoolId": fact(account, "user_pool")}
    found: dict[str, Any] = account.client("cognito-idp").describe_user_pool(**place)["UserPool"]
    return found


def stage(account: Account) -> dict[str, Any]:
    place = {"restApiId": fact(account, "rest_api"), "stageName": "dev"}
    found: dict[str, Any] = account.client("apigateway").get_stage(**place)
    return found


def throttle(account: Account) -> list[tuple[float, int]]:
    return [
        (method["throttlingRateLimit"], method["throttlingBurstLimit"])
        for method in stage(account)["methodSettings"].values()
    ]


def update_pool(account: Account, **settings: Any) -> None:
    """Change the pool as a careful person would: like AWS, moto resets what isn't given."""
    live = pool(account)
    kept = {
        key: live[key]
        for key in (
            "UserPoolTags",
            "UserPoolTier",
            "Policies",
            "LambdaConfig",
            "AdminCreateUserConfig",
        )
        if key in live
    }
    account.client("cognito-idp").update_user_pool(UserPoolId=live["Id"], **{**kept, **settings})


def configuration(account: Account) -> dict[str, Any]:
    """Return everything that exists of the stack, except values that AWS generates."""
    return portrait(account.client, account.path())


def delete_pool(account: Account) -> None:
    account.client("cognito-idp").delete_user_pool(UserPoolId=fact(account, "user_pool"))


def delete_api(account: Account) -> None:
    account.client("apigateway").delete_rest_api(restApiId=fact(account, "rest_api"))


def unrecorded(account: Account) -> list[str]:
    """Return what exists in AWS but is neither a fact nor an intent in the state file."""
    roots = {
        "pool shop": "user_pool",
        f"role {ROLE}": "role",
        f"role {AUTO_CONFIRM_ROLE}": "auto_confirm_role",
        f"function {SIGN_IN}": "sign_in_function",
        f"function {AUTO_CONFIRM}": "auto_confirm_function",
        f"logs {SIGN_IN_LOGS}": "sign_in_log_group",
        f"logs {AUTO_CONFIRM_LOGS}": "auto_confirm_log_group",
        "api shop": "rest_api",
    }
    state = account.state()
    return [name for name in account.left() if state.record(roots[name]) is None]


def shown(account: Account, operation: str, change: Callable[[Any], None], times: int) -> Any:
    """Let an operation's next answers differ from the truth."""
    left = [times]

    def on_answer(parsed: Any, model: Any, **_: Any) -> None:
        if model.name == operation and left[0] and "Error" not in parsed:
            left[0] -= 1
            change(parsed)

    @contextlib.contextmanager
    def watching() -> Any:
        events = [one.meta.events for one in account.calls.clients]
        for one in events:
            one.register("after-call", on_answer)
        try:
            yield
        finally:
            for one in events:
                one.unregister("after-call", on_answer)

    return watching()
