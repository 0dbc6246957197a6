"""`--power-user`: AWS's broad policy on the sign-in function's role, attached and detached."""

import pytest

from cogauth import engine
from support.account import Account, Silent
from support.faults import stopped
from support.stacks import AUTO_CONFIRM_ROLE, ROLE, STACK, UNCHANGED, existing, fact

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def test_power_user_on_and_off(account: Account, managed_policies: None) -> None:
    del managed_policies
    account.up()
    assert account.up(power_user=True) == {**UNCHANGED, "role": "updated"}
    assert existing(account) == sorted([*STACK, "attached AmazonCognitoPowerUser"])
    assert account.up() == UNCHANGED
    assert account.up(power_user=False) == {**UNCHANGED, "role": "updated"}
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_power_user_from_the_start_goes_with_the_stack(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    assert not account.down().problems
    assert account.left() == []


def test_a_managed_policy_that_somebody_detached_already_stops_no_down(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    policy = fact(account, "power_user_attachment")
    account.client("iam").detach_role_policy(RoleName=ROLE, PolicyArn=policy)
    assert not account.down().problems
    assert account.left() == []


def test_the_managed_policy_of_the_other_role_is_an_obstacle(
    account: Account, managed_policies: None
) -> None:
    """The stack attaches it only to the sign-in function's role."""
    del managed_policies
    account.up(power_user=True)
    before = existing(account)
    policy = account.state().fact("power_user_attachment", "id")
    place = {"RoleName": AUTO_CONFIRM_ROLE, "PolicyArn": policy}
    account.client("iam").attach_role_policy(**place)
    result = account.down()
    assert any(f"The role {AUTO_CONFIRM_ROLE} has the policy" in one for one in result.problems)
    assert result.deleted == []
    account.client("iam").detach_role_policy(**place)
    assert existing(account) == before
    assert account.down().problems == []
    assert account.left() == []


@pytest.mark.parametrize("standing_before", [False, True])
def test_an_interrupted_attaching_of_the_managed_policy_is_no_obstacle_to_down(
    account: Account, managed_policies: None, *, standing_before: bool
) -> None:
    del managed_policies
    if standing_before:
        account.up()
    with stopped(account, "AttachRolePolicy", lands=True):
        account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


def test_power_user_taken_back_after_its_attaching_was_interrupted(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up()
    with stopped(account, "AttachRolePolicy", lands=True):
        account.up(power_user=True)
    assert "attached AmazonCognitoPowerUser" in existing(account)
    (unfinished,) = engine.plan(account.context(power_user=False), Silent()).unfinished
    assert unfinished.outcome == "'up' deletes it"
    account.up(power_user=False)
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_power_user_takes_the_cognito_statements_place(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    iam = account.client("iam")
    attached = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    assert [p["PolicyArn"] for p in attached] == ["arn:aws:iam::aws:policy/AmazonCognitoPowerUser"]
    document = iam.get_role_policy(RoleName=ROLE, PolicyName="cogauth")["PolicyDocument"]
    assert [statement["Sid"] for statement in document["Statement"]] == ["WriteLogs"]
