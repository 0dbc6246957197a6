"""What `up` makes of a stack whose deletion began."""

import pytest

from cogauth import engine
from cogauth.errors import NameConflictError, UsageError
from cogauth.steps.base import Step
from support.account import Account, Silent
from support.faults import stopped
from support.refusals import always
from support.stacks import (
    ROLE,
    STACK,
    UNCHANGED,
    delete_pool,
    existing,
    fact,
)

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


def test_what_this_stack_itself_was_deleting_is_made_anew_without_a_question(
    account: Account,
) -> None:
    account.stands()
    former = fact(account, "user_pool")
    with stopped(account, "DeleteUserPool", lands=True):
        account.down()
    record = account.state().record("user_pool")
    assert record is not None
    assert record["status"] == "deleting"
    assert record["id"] == former
    assert account.up()["user_pool"] == "created"
    assert fact(account, "user_pool") != former
    assert existing(account) == STACK
    # From then on it is a pool like any other.
    account.grow_old()
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


def test_a_pool_that_outlived_its_deletion_is_kept_with_its_users(account: Account) -> None:
    account.stands()
    account.grow_old()
    pool = fact(account, "user_pool")
    cognito = account.client("cognito-idp")
    cognito.admin_create_user(UserPoolId=pool, Username="ann")
    begun = account.time.now
    with stopped(account, "DeleteUserPool"):
        account.down()
    account.up()
    # The deletion may still land until the settling time is over; part of that time really passes.
    assert 5 <= account.time.now - begun <= 16
    assert fact(account, "user_pool") == pool
    assert [user["Username"] for user in cognito.list_users(UserPoolId=pool)["Users"]] == ["ann"]
    assert existing(account) == STACK
    account.grow_old()
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


class Landing(Silent):
    """A reporter that makes the pool's deletion land after some seconds of waiting."""

    def __init__(self, account: Account, pool: str) -> None:
        self.account, self.pool, self.landed = account, pool, False

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        del step, reason, seconds_left
        if self.account.time.now > 5 and not self.landed:
            self.landed = True
            self.account.client("cognito-idp").delete_user_pool(UserPoolId=self.pool)


def test_a_deletion_that_lands_late_is_seen(account: Account) -> None:
    account.stands()
    account.grow_old()
    with stopped(account, "DeleteUserPool"):
        account.down()
    pool = fact(account, "user_pool")
    landing = Landing(account, pool)
    engine.up(account.context(), landing)
    assert landing.landed
    assert fact(account, "user_pool") != pool
    assert existing(account) == STACK


def test_a_function_that_outlived_its_deletion_is_made_anew(account: Account) -> None:
    """Its role may not have survived: the current one may be another with the same name."""
    account.stands()
    with stopped(account, "DeleteFunction"):
        account.down()
    actions = account.up()
    assert "created" in {actions["sign_in_function"], actions["auto_confirm_function"]}
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_name_that_somebody_took_after_a_deletion_began_is_theirs(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteRole", lands=True):
        account.down()
    iam = account.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    with pytest.raises(NameConflictError, match="no cogauth tag"):
        account.up()
    assert account.down().left_alone
    assert account.left() == [f"role {ROLE}"]


def test_a_deletion_that_was_refused_is_no_intent_any_more(account: Account) -> None:
    account.stands()
    before = account.state().record("role")
    with account.calls.watched(always("DeleteRole", 403, "AccessDenied")):
        assert account.down().problems
    assert account.state().record("role") == before


@pytest.mark.parametrize(
    ("key", "operation", "status"),
    [
        ("user_pool", "DeleteUserPool", "created"),
        ("sign_in_function", "DeleteFunction", "outdated"),
    ],
)
def test_nor_is_the_one_of_a_run_before_it_that_was_killed(
    account: Account, key: str, operation: str, status: str
) -> None:
    account.stands()
    with stopped(account, operation):
        account.down()
    account.grow_old()
    with account.calls.watched(always(operation, 403, "AccessDeniedException")):
        assert account.down().problems
    record = account.state().record(key)
    assert record is not None
    assert record["status"] == status
    account.up()
    assert existing(account) == STACK


def test_the_one_that_may_still_land_stays_an_intent_all_the_same(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteUserPool"):
        account.down()
    before = account.state().record("user_pool")
    with account.calls.watched(always("DeleteUserPool", 403, "AccessDeniedException")):
        assert account.down().problems
    assert account.state().record("user_pool") == before


def test_whose_users_were_not_deleted_is_asked_about_when_they_are_gone(account: Account) -> None:
    account.stands()
    with stopped(account, "DeleteUserPool"):
        account.down()
    account.grow_old()
    with account.calls.watched(always("DeleteUserPool", 403, "AccessDeniedException")):
        assert account.down().problems
    delete_pool(account)
    with pytest.raises(UsageError, match="is gone"):
        account.up()


def test_a_deletion_whose_end_is_not_known_stays_an_intent(account: Account) -> None:
    account.stands()
    with account.calls.watched(always("DeleteRole", 500, "InternalFailure")):
        assert account.down().problems
    record = account.state().record("role")
    assert record is not None
    assert record["status"] == "deleting"
    assert account.down().problems == []
    assert account.left() == []
