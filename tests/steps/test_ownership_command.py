"""What commands do with what may be another one's."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from cogauth import engine
from cogauth.errors import CogauthError, UsageError
from cogauth.steps import RESOURCES, ownership
from support.foreign import describe_api, describe_pool, make_api, make_pool
from support.local_aws import client
from support.reporters import Told
from support.stacks import (
    ROLE,
    SIGN_IN_LOGS,
    UNCHANGED,
    delete_pool,
    existing,
    fact,
)

if TYPE_CHECKING:
    from support.account import Account
    from support.commands import Cli, Running


from support.ownership import TAGS, api_arn, command, ids, pool_arn, record_another, tags

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


# ---- recover


@pytest.mark.parametrize("kind", ["user_pool", "rest_api"])
def test_recover_takes_none_of_several_unless_told_which(
    account: Account, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Theirs is the older one.
    stack_id = tags(account)
    theirs = make_pool(account, "shop", 2) if kind == "user_pool" else make_api(account, "shop")
    account.up()
    cognito, api = account.client("cognito-idp"), account.client("apigateway")
    if kind == "user_pool":
        update = cognito.update_user_pool
        update(UserPoolId=theirs, UserPoolTags=stack_id, PoolName="shop")
    else:
        api.tag_resource(resourceArn=api_arn(account, theirs), tags=stack_id)
    lost, mine = account.state().resources, fact(account, kind)
    account.path().unlink()
    describe = describe_pool if kind == "user_pool" else describe_api
    before = describe(account, theirs), existing(account)

    done = command(account, monkeypatch, "recover", "--json").must(1)
    assert f"{theirs} (created " in done.err
    assert f"{mine} (created " in done.err
    assert ("about 2 users" in done.err) == (kind == "user_pool")
    assert "--take ID" in done.err
    assert not account.path().exists()
    with pytest.raises(UsageError, match="--take names more than one"):
        account.recover(take=(mine, theirs))
    with pytest.raises(UsageError, match="--take no-such-id: no user pool") as caught:
        account.recover(take=("no-such-id",))
    # What has a unique name is no choice.
    other = lost["rest_api" if kind == "user_pool" else "user_pool"]["id"]
    found = re.findall(r"[\w-]+", str(caught.value).partition("Found: ")[2])
    assert sorted(found) == sorted([mine, theirs, other])
    command(account, monkeypatch, "recover", "--take", mine).must()
    assert account.state().fact(kind, "id") == mine
    assert lost.keys() == account.state().resources.keys()
    told = Told()
    engine.up(account.context(), told)
    assert theirs in told.warnings[0]
    assert (describe(account, theirs), existing(account)) == before
    assert account.up() == UNCHANGED
    assert ids(account.down().remaining) == [theirs]
    assert describe(account, theirs) == before[0]


def test_what_is_shown_without_a_date_is_described_without_one(account: Account) -> None:
    live = {"id": "abcdef1234", "name": "shop", "rootResourceId": "root"}
    ctx = account.context()
    assert ownership.described(ctx, RESOURCES["rest_api"], live) == "abcdef1234"


def test_recover_looks_only_at_pools_with_the_stacks_name(account: Account) -> None:
    """Nobody's pool comes to be the stack's, or one of several, by tags alone."""
    account.stands()
    mine, stack_id = fact(account, "user_pool"), tags(account)
    theirs = make_pool(account, "theirs", 0, UserPoolTags=stack_id)
    before = describe_pool(account, theirs)
    account.path().unlink()
    assert account.recover().fact("user_pool", "id") == mine
    delete_pool(account)
    account.path().unlink()
    assert account.recover().record("user_pool") is None
    assert describe_pool(account, theirs) == before


# ---- The command


def test_the_command_lists_leaves_alone_and_fails_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    theirs = make_pool(account, "theirs", 2)
    before = describe_pool(account, theirs)
    record_another(account, "user_pool", {"id": theirs, "arn": pool_arn(account, theirs)})
    done = command(account, monkeypatch, "down", "--yes", "--json").must(1)
    assert done.document["not_ours"] == [
        {"step": "user_pool", "resource": "user_pool", "id": theirs}
    ]
    assert done.document["remaining"] == []
    first = done.err.partition("deleting")[0]
    assert f"user pool {theirs}: isn't this stack's (it carries no cogauth tag)" in " ".join(
        first.split()
    )
    assert f"up --adopt {theirs}" in first
    assert describe_pool(account, theirs) == before
    done = command(account, monkeypatch, "down", "--yes", "--json").must()
    assert list(done.document) == ["stack", "deleted", "already_gone", "remaining", "elapsed_s"]
    assert not account.path().exists()
    assert account.left() == ["pool theirs"]


def test_the_command_lists_what_only_a_tag_makes_ours_and_leaves_it_with_yes(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stands()
    theirs = make_pool(account, "shop", 2, UserPoolTags=tags(account))
    done = command(account, monkeypatch, "down", "--yes", "--settle", "0").must(1)
    first = done.err.partition("deleting")[0]
    assert f"{theirs}: only its tag assigns it to the stack; --yes leaves it alone" in first
    assert f"the user pool {theirs} is deleted with about 2 users" in " ".join(first.split())
    assert "remaining: 1" in done.out
    assert account.left() == ["pool shop"]


def test_a_log_group_a_role_and_a_function_need_name_and_tag(account: Account) -> None:
    """A similar name with the tag isn't enough, and neither is the exact name without it."""
    account.stands()
    logs, iam = account.client("logs"), account.client("iam")
    logs.create_log_group(logGroupName=f"{SIGN_IN_LOGS}2", tags=tags(account))
    logs.untag_log_group(logGroupName=SIGN_IN_LOGS, tags=list(TAGS))
    iam.untag_role(RoleName=ROLE, TagKeys=list(TAGS))
    with contextlib.suppress(CogauthError):
        account.up()
    result = account.down()
    assert sorted(ids(result.not_ours)) == sorted([SIGN_IN_LOGS, ROLE])
    assert account.left() == [
        f"logs {SIGN_IN_LOGS}",
        f"logs {SIGN_IN_LOGS}2",
        f"role {ROLE}",
    ]
    assert account.down().clean


# ---- The question, on a local AWS


def tagged_pool(endpoint: str, stack: str, stack_id: str) -> str:
    cognito = client("cognito-idp", endpoint)
    claim = dict(zip(TAGS, (stack, stack_id), strict=True))
    made = cognito.create_user_pool(PoolName=stack, UserPoolTags=claim)["UserPool"]["Id"]
    cognito.admin_create_user(UserPoolId=made, Username="bob")
    return str(made)


def pools_of(endpoint: str, stack: str) -> set[str]:
    found = client("cognito-idp", endpoint).list_user_pools(MaxResults=60)["UserPools"]
    return {each["Id"] for each in found if each["Name"] == stack}


def asked(cli: Cli, theirs: str) -> Running:
    running = cli.on_terminal("down")
    text = running.see(r"Type the stack's name, claimed, to delete it: ")
    assert f"{theirs}: only its tag assigns it to the stack" in " ".join(text.split())
    assert f"the user pool {theirs} is deleted with about 1 user." in " ".join(text.split())
    return running


@pytest.mark.local
def test_what_was_listed_goes_once_it_was_agreed_to(cli: Cli, endpoint: str) -> None:
    cli.env.update(COGAUTH_STACK="claimed", COGAUTH_ENDPOINT_URL=endpoint)
    up = cli.run("up", "--json").must().document
    theirs = tagged_pool(endpoint, "claimed", up["stack_id"])
    running = asked(cli, theirs)
    # Somebody quickly tags one more: it wasn't shown, so nothing is deleted.
    second = tagged_pool(endpoint, "claimed", up["stack_id"])
    running.type("claimed\n")
    assert running.ended() == 1
    assert "changed in the meantime. Nothing was deleted" in running.plain
    assert pools_of(endpoint, "claimed") == {up["user_pool_id"], theirs, second}
    client("cognito-idp", endpoint).delete_user_pool(UserPoolId=second)
    running = asked(cli, theirs)
    running.type("claimed\n")
    assert running.ended() == 0
    assert pools_of(endpoint, "claimed") == set()
    assert not cli.state.with_name("claimed.json").exists()
