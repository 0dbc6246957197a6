"""What each resource asks for: the least policy of a command's user, evaluated as AWS documents it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

from cogauth.checks import policy as checks
from cogauth.client.logs import FUNCTIONS
from cogauth.client.logs import read as read_logs
from cogauth.settings import Settings
from support.account import Account
from support.calls import Call
from support.iam import Request, allowed, asked_for
from support.names import REGION
from support.stacks import OTHER_TRUST, ROLE

BOUNDARY = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:policy/bounding"


def least(*commands: str, **settings: Any) -> list[dict[str, Any]]:
    """Return the statements of the least policy for commands on stack shop before it exists."""
    found = Settings().with_choices(settings, exists=False)
    stack = checks.StackNames("aws", REGION, DEFAULT_ACCOUNT_ID, "shop", found)
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
