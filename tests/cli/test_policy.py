"""``cogauth policy`` as users run it: which names it has, and which services it asks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.aws.policies import LARGEST
from cogauth.record.records import ATTACHED, CREATED
from cogauth.record.state import State
from cogauth.settings import Settings
from support.commands import KEYS
from support.iam import Request, allowed, as_list
from support.names import REGION
from support.servers import ACCOUNT, CALLER, STACK_ID, Answer, Fixed
from support.state_files import POOL_ID, whole_stack

if TYPE_CHECKING:
    from support.commands import Cli

API, ORDERS = "a1b2c3d4e5", "orders1234"
AUTHORIZATION: Any = {
    "authorizationType": "NONE",
    "authorizerId": None,
    "authorizationScopes": [],
    "apiKeyRequired": False,
}


def statements(cli: Cli, *words: str, **env: str) -> list[dict[str, Any]]:
    printed = cli.run("policy", *words, **env).must().document
    return [one for document in as_list(printed) for one in document["Statement"]]


def resources(found: list[dict[str, Any]], action: str) -> set[str]:
    return {one for each in found if action in each["Action"] for one in each["Resource"]}


def record_stack(cli: Cli, **more: Any) -> None:
    State(
        path=cli.state,
        stack="cogauth",
        account=ACCOUNT,
        region=REGION,
        endpoint_url=None,
        stack_id=STACK_ID,
        **{"settings": Settings(), "resources": whole_stack(rest_api=API), **more},
    ).save()


def arn(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


def test_without_a_state_file_it_names_what_is_known(cli: Cli) -> None:
    """It doesn't ask AWS: the keys are worthless."""
    words = ("--account", "210987654321", "--stack", "shop")
    found = statements(cli, *words)
    roles = [
        f"arn:aws:iam::210987654321:role/shop-{name}" for name in ("AutoConfirm", "LambdaAuth")
    ]
    assert resources(found, "iam:CreateRole") == {f"{role}Role" for role in roles}
    pools = arn("cognito-idp", "userpool/*", "210987654321")
    assert resources(found, "cognito-idp:DeleteUserPool") == {pools}
    assert not cli.state.parent.exists()


def test_the_account_is_that_of_the_credentials(cli: Cli) -> None:
    with Fixed(lambda _request: Answer(200, CALLER)) as sts:
        found = statements(cli, "--for", "users", AWS_ENDPOINT_URL=sts.url)
        assert len(sts.requests) == 1
    assert resources(found, "cognito-idp:ListUsers") == {arn("cognito-idp", "userpool/*")}


def test_the_partition_is_the_regions(cli: Cli) -> None:
    words = ("--account", ACCOUNT, "--region", "us-gov-west-1", "--for", "down")
    found = statements(cli, *words)
    named = {one for each in found for one in each["Resource"]} - {"*"}
    assert {one.split(":")[1] for one in named} == {"aws-us-gov"}


def test_with_a_state_file_it_names_the_ids_and_asks_nobody(cli: Cli) -> None:
    record_stack(cli)
    cli.env = {name: value for name, value in cli.env.items() if name not in KEYS}
    del cli.env["AWS_REGION"]
    found = statements(cli, "--for", "up", "--for", "down", "--for", "users")
    pool = arn("cognito-idp", f"userpool/{POOL_ID}")
    for action in ("UpdateUserPool", "DeleteUserPool", "AdminDeleteUser", "CreateUserPoolClient"):
        assert resources(found, f"cognito-idp:{action}") == {pool}
    own = f"arn:aws:apigateway:{REGION}::/restapis/{API}"
    assert own in resources(found, "apigateway:DELETE")
    for action in ("apigateway:DELETE", "apigateway:PATCH"):
        assert all(one.startswith(own) for one in resources(found, action))
    other = own.replace(API, "z9y8x7w6v5")
    assert not allowed(found, Request("apigateway:PATCH", f"{other}/stages/dev"))
    # A second pool with this name is read, to see whose it is.
    request = Request("cognito-idp:DescribeUserPool", pool.replace("Aa1", "Zz9"))
    assert allowed(found, request)


def test_a_name_that_is_a_word_of_the_patterns_stays_as_it_is(cli: Cli) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/ACCOUNT"
    settings = Settings(stage="STACK", permissions_boundary=boundary)
    record_stack(cli, settings=settings)
    found = statements(cli, "--for", "up")
    stage = f"arn:aws:apigateway:{REGION}::/restapis/{API}/stages/STACK"
    assert stage in resources(found, "apigateway:PATCH")
    (condition,) = [one["Condition"] for one in found if "iam:CreateRole" in one["Action"]]
    assert condition == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


def test_an_interrupted_create_has_no_id_yet(cli: Cli) -> None:
    intent = {"status": "creating", "since": "2026-11-27T10:00:00+00:00"}
    record_stack(cli, resources={"user_pool": intent})
    found = statements(cli, "--for", "up")
    assert resources(found, "cognito-idp:UpdateUserPool") == {arn("cognito-idp", "userpool/*")}


def test_detaching_is_for_the_attached_apis(cli: Cli) -> None:
    method: Any = {
        "status": ATTACHED,
        "resource_id": "res1",
        "former": AUTHORIZATION,
        "ours": [AUTHORIZATION],
    }
    attachment = {
        "name": "orders",
        "stages": ["prod"],
        "outdated": [],
        "found": {"prod": "dep1"},
        "authorizer": {"status": CREATED, "id": "auth1", "pool": POOL_ID},
        "methods": {"GET /": method},
    }
    record_stack(cli, attachments={ORDERS: attachment})
    for command in ("detach", "down"):
        found = statements(cli, "--for", command)
        deployments = f"arn:aws:apigateway:{REGION}::/restapis/{ORDERS}/deployments"
        assert resources(found, "apigateway:POST") == {deployments}
    record_stack(cli)
    assert "apigateway:POST" not in json.dumps(statements(cli, "--for", "down"))


def test_an_api_narrows_what_attach_may_change(cli: Cli) -> None:
    found = statements(cli, "--account", ACCOUNT, "--for", "attach", "--api", ORDERS)
    changed = resources(found, "apigateway:PATCH")
    assert all(f"/restapis/{ORDERS}/" in one for one in changed)
    found = statements(cli, "--account", ACCOUNT, "--for", "attach")
    assert any("/restapis/*/" in one for one in resources(found, "apigateway:PATCH"))


def test_each_command_alone_gets_less_than_all_together(cli: Cli) -> None:
    everything = statements(cli, "--account", ACCOUNT)
    assert resources(everything, "iam:CreateRole")
    for command in ("down", "recover", "attach", "verify", "users"):
        found = statements(cli, "--account", ACCOUNT, "--for", command)
        assert not resources(found, "iam:CreateRole")
        assert not resources(found, "cognito-idp:CreateUserPool")


def test_a_role_is_passed_to_lambda_alone(cli: Cli) -> None:
    """No emulator checks this."""
    document = cli.run("policy", "--account", ACCOUNT, "--region", REGION).must().document
    passing = [each for each in document["Statement"] if "iam:PassRole" in as_list(each["Action"])]
    assert passing
    for each in passing:
        assert as_list(each["Action"]) == ["iam:PassRole"]
        assert each["Condition"] == {
            "StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}
        }
        for role in as_list(each["Resource"]):
            assert role.startswith(f"arn:aws:iam::{ACCOUNT}:role/cogauth-")


def test_what_changes_nothing_may_only_read(cli: Cli) -> None:
    words = [word for name in ("plan", "status", "list", "logs") for word in ("--for", name)]
    found = statements(cli, "--account", ACCOUNT, *words)
    actions = {action.partition(":")[2] for each in found for action in each["Action"]}
    verbs = ("GET", "Get", "List", "Describe", "Filter")
    assert [action for action in actions if not action.startswith(verbs)] == []
    assert resources(found, "logs:FilterLogEvents")


def test_a_setting_of_the_stack_counts(cli: Cli) -> None:
    assert not resources(statements(cli, "--account", ACCOUNT), "iam:AttachRolePolicy")
    found = statements(cli, "--account", ACCOUNT, "--power-user")
    assert resources(found, "iam:AttachRolePolicy")
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/bounding"
    record_stack(cli)
    for words in (["--permissions-boundary", boundary], []):
        if not words:
            state = json.loads(cli.state.read_text())
            state["settings"]["permissions_boundary"] = boundary
            cli.state.write_text(json.dumps(state))
        found = statements(cli, *words)
        (condition,) = [one["Condition"] for one in found if "iam:CreateRole" in one["Action"]]
        assert condition == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


def test_what_is_too_large_for_one_document_is_a_list(cli: Cli) -> None:
    apis = [word for number in range(60) for word in ("--api", f"api{number:07}")]
    record_stack(cli)
    printed = cli.run("policy", *apis).must().document
    assert isinstance(printed, list)
    sizes = [len(re.sub(r"\s", "", json.dumps(document))) for document in printed]
    assert len(sizes) > 1
    assert max(sizes) <= LARGEST
    assert isinstance(cli.run("policy").must().document, dict)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--for", "upp"], "--for 'upp': there is no such command. Give one of attach, call,"),
        (["--for", "list"], "list: no call to AWS is made that needs a permission"),
        (["--account", "12345678901"], "--account '12345678901' can't be used: give the 12 digits"),
        (["--account", "१२३४५६७८९०१२"], "can't be used: give the 12 digits"),
        (["--api", "orders/../*"], "--api 'orders/../*' can't be used: give a REST API's id"),
        (["--api", "*"], "--api '*' can't be used"),
        (["--permissions-boundary", "b"], "--permissions-boundary 'b' can't be used"),
        (["--region", "nowhere"], "Unknown AWS region 'nowhere'"),
    ],
)
def test_bad_input_is_named(cli: Cli, words: list[str], says: str) -> None:
    given = words if "--account" in words else [*words, "--account", ACCOUNT]
    done = cli.run("policy", *given).must(2)
    assert says in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("words", "option"),
    [(["--account", "210987654321"], "--account"), (["--region", "us-east-1"], "--region")],
)
def test_an_option_that_the_state_file_contradicts_is_refused(
    cli: Cli, words: list[str], option: str
) -> None:
    record_stack(cli)
    done = cli.run("policy", *words).must(2)
    assert f"{option} {words[1]}: the state file .cogauth/cogauth.json is of " in done.err


def test_without_credentials_it_says_how_to_do_without(cli: Cli) -> None:
    cli.env = {name: value for name, value in cli.env.items() if name not in KEYS}
    done = cli.run("policy").must(1)
    assert "Asking AWS for the account failed" in done.err
    assert "Give --account" in done.err
