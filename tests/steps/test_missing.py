"""If something was deleted by hand, each command that fails for it says so as `up` does."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from cogauth import engine
from cogauth.errors import IncompleteError
from cogauth.steps import RESOURCES
from cogauth.steps.missing import CALLED, missing, missing_error, naming_missing
from cogauth.steps.ownership import words
from support.account import Account, Silent
from support.calls import Call, refusal
from support.commands import command_line, in_process
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.stacks import SIGN_IN, delete_api, delete_pool, mutations
from support.tampers import (
    delete_authorizer,
    delete_auto_confirm_function,
    delete_client,
    delete_method,
    delete_resource,
    delete_role,
    delete_role_policy,
    delete_sign_in_function,
    delete_stage,
    remove_permission,
    remove_trigger,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.record.state import State

GONE = "it doesn't exist any more"
# A loss of one of these is the reason why POST /signin is refused, not just a consequence.
FIXES = {"rest_api", "stage", "sign_in_function", "sign_in_permission"}
MEND = "Run 'cogauth up --stack shop' to recreate it."


def remove_sign_in_permission(account: Any) -> None:
    account.client("lambda").remove_permission(
        FunctionName=SIGN_IN, StatementId="cogauth-apigateway"
    )


# By the function that deletes it.
DELETED: dict[Callable[[Any], None], str] = {
    delete_pool: "user_pool",
    delete_client: "app_client",
    delete_role: "role",
    delete_role_policy: "role_policy",
    delete_sign_in_function: "sign_in_function",
    delete_auto_confirm_function: "auto_confirm_function",
    remove_permission: "trigger_permission",
    remove_trigger: "trigger",
    remove_sign_in_permission: "sign_in_permission",
    delete_api: "rest_api",
    delete_stage: "stage",
}
# The deployed API keeps working without these.
DELETED_FROM_THE_API: dict[Callable[[Any], None], str] = {
    delete_authorizer: "authorizer",
    delete_method: "sign_in_method",
    delete_resource: "hello_resource",
}


@pytest.mark.sample(6)
@pytest.mark.parametrize(("delete", "key"), (DELETED | DELETED_FROM_THE_API).items())
def test_what_is_gone_is_named_as_plan_names_it(
    account: Account, delete: Callable[[Account], None], key: str
) -> None:
    account.stands()
    delete(account)
    ctx = account.context()
    rows = [row for row in engine.plan(ctx, Silent()).rows if row.resource in CALLED]
    with account.calls.watched() as calls:
        assert [each.key for each in missing(ctx)] == [key]
        error = missing_error(ctx, before="It failed.")
    assert mutations(calls) == []
    assert [row.resource.key for row in rows if row.reason == GONE] == [key]
    assert str(error).startswith(f"It failed. The {words(RESOURCES[key])} ")
    assert str(error).endswith(f"Run '{ctx.state.command('up')}' to recreate it.")


def test_several_are_named_at_once(account: Account) -> None:
    account.stands()
    delete_client(account)
    delete_role(account)
    delete_stage(account)
    assert str(missing_error(account.context())) == (
        "The app client, the role shop-LambdaAuthRole and the stage don't exist any more. Run "
        f"'{account.state().command('up')}' to recreate them."
    )


def test_what_a_request_does_without_is_not_named(account: Account) -> None:
    account.stands()
    logs = account.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])
    assert missing(account.context()) == []


def test_what_exists_or_cannot_be_read_is_not_called_gone(account: Account) -> None:
    account.stands()
    assert missing_error(account.context()) is None
    # As after an 'up' that was interrupted before it created the stage.
    delete_stage(account)
    account.state().drop("resources", "stage")
    assert missing_error(account.context()) is None
    delete_client(account)
    with account.calls.watched(lambda _call: refusal(403, "AccessDenied")):
        assert missing_error(account.context()) is None


def test_only_an_error_about_something_missing_is_explained_by_it(account: Account) -> None:
    account.stands()
    delete_client(account)
    ctx, cognito = account.context(), account.aws.cognito
    place = {"UserPoolId": ctx.fact("user_pool"), "ClientId": ctx.fact("app_client")}
    with (
        pytest.raises(IncompleteError, match=r"app client doesn't exist any more"),
        naming_missing(ctx),
    ):
        cognito.describe_user_pool_client(**place)

    def deny(call: Call) -> Any:
        return refusal(403, "AccessDenied") if call.operation == "ListUsers" else None

    with (
        account.calls.watched(deny),
        pytest.raises(ClientError, match="AccessDenied"),
        naming_missing(ctx),
    ):
        cognito.list_users(UserPoolId=place["UserPoolId"])


# The commands' output, on a local AWS


@dataclass
class Shop:
    """A stack called shop, for tests that delete something in it."""

    made: LocalStack

    def client(self, service: str) -> Any:
        return self.made.client(service)

    def state(self) -> State:
        return self.made.state

    def run(self, *words: str, typed: str = "") -> str:
        """Run a command; return its exit code and everything it prints, in one line."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in self.made.cli.env.items():
                patch.setenv(name, value)
            patch.chdir(self.made.cli.folder)
            done = in_process(*words, typed=typed)
        return " ".join(f"{done.code} {done.out} {done.err}".split())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The stack is on its own local AWS, which enforces the functions' permissions and roles."""
    environment = {"COGAUTH_STACK": "shop", "COGAUTH_REGION": REGION, "COGAUTH_PASSWORD": PASSWORD}
    folder = tmp_path_factory.mktemp("shop")
    with command_line(folder, **environment) as cli, LocalStack.made(cli, "--local") as made:
        yield Shop(made)


@pytest.fixture
def whole_shop(shop: Shop) -> Shop:
    """The complete stack, with a user called ann and a token of hers."""
    assert shop.run("up", "--yes").startswith("0 ")
    assert shop.run("test-login", "ann").startswith("0 ")
    return shop


@pytest.mark.local
@pytest.mark.sample(12)
@pytest.mark.parametrize(("delete", "key"), DELETED.items())
def test_each_command_that_fails_names_what_is_gone(
    whole_shop: Shop, delete: Callable[[Shop], None], key: str
) -> None:
    shop, state = whole_shop, whole_shop.state()
    token = shop.run("token", "ann").split()[1]
    delete(shop)
    name = key.replace("_", "-")
    body = json.dumps({"username": f"{name}-1", "password": PASSWORD})
    commands: dict[str, tuple[str, ...]] = {
        "test-login": (f"{name}-2",),
        "token": (f"{name}-3",),
        "verify": (),
        "call": ("POST", "/signin", "--no-token", "-d", body),
        "explain": ("/signin", "--method", "POST", "--no-token"),
    }
    if key == "trigger":
        del commands["call"]  # The function answers 403 with its own reason.
    if key == "user_pool":
        commands |= {"users": (), "decode": ()}
    if key == "rest_api":
        commands |= {"curl": ("GET", "/hello", "--no-token")}
    record = {} if RESOURCES[key].parent else state.resources[key]
    sentence = f"The {words(RESOURCES[key])} {record.get('id', '')}".rstrip() + " doesn't exist any"
    for command, given in commands.items():
        said = shop.run(command, *given, typed=token if command == "decode" else "")
        assert sentence in said, (command, said)
        assert MEND in said, (command, said)
        # The function logged why it failed.
        if (command, key) == ("test-login", "app_client"):
            assert "logs sign-in --since 10m" in said
        if command == "explain" and key in FIXES:
            assert f"Fix: {sentence}" in said
        assert "Traceback" not in said
        # 'explain' and 'decode' did their job.
        assert said[0] == ("0" if command in {"explain", "decode"} else "1"), said
