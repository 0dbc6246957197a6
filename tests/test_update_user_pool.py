"""UpdateUserPool resets what it isn't given: nothing of a pool may get lost by what we change.

The emulators play that in part only. The `account` fixture's moto resets everything; the first test
here shows that it does.
"""

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from conftest import Account, Call, refusal

OTHERS: dict[str, Any] = {
    "DeletionProtection": "ACTIVE",
    "EmailVerificationMessage": "Your code: {####}",
    "EmailVerificationSubject": "A code for you",
    "AccountRecoverySetting": {"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]},
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
    "EmailConfiguration": {
        "EmailSendingAccount": "COGNITO_DEFAULT",
        "ReplyToEmailAddress": "a@b.c",
    },
    "UserPoolAddOns": {"AdvancedSecurityMode": "OFF"},
    "AutoVerifiedAttributes": ["email"],
}
# Changed by a change of the pool itself, or by moto for its own reasons.
VOLATILE = {"LastModifiedDate", "CreationDate", "EstimatedNumberOfUsers"}


def pool(account: Account) -> dict[str, Any]:
    place = {"UserPoolId": account.state().fact("user_pool", "id")}
    live = account.client("cognito-idp").describe_user_pool(**place)["UserPool"]
    return {key: value for key, value in live.items() if key not in VOLATILE}


def update(account: Account, **settings: Any) -> None:
    """Change the pool as the console does: all of it is sent."""
    client = account.client("cognito-idp")
    members = client.meta.service_model.operation_model("UpdateUserPool").input_shape.members
    live = {key: value for key, value in pool(account).items() if key in members}
    live["AdminCreateUserConfig"].pop("UnusedAccountValidityDays", None)
    place = {"UserPoolId": account.state().fact("user_pool", "id")}
    client.update_user_pool(**place, **{**live, **settings})


def function_arn(account: Account) -> str:
    return account.state().fact("auto_confirm_function", "arn")


def test_here_an_update_really_resets_what_is_left_out(account: Account) -> None:
    account.up(password_min_length=12)
    update(account, **OTHERS)
    place = {"UserPoolId": account.state().fact("user_pool", "id")}
    account.client("cognito-idp").update_user_pool(
        **place, LambdaConfig={"PreSignUp": function_arn(account)}
    )
    live = pool(account)
    assert live["Policies"]["PasswordPolicy"]["MinimumLength"] == 8
    assert live["UserPoolTier"] == "ESSENTIALS"
    assert not live.get("UserPoolTags")
    assert "DeletionProtection" not in live
    # What was chosen at the creation stays, here and on AWS.
    assert live["UsernameConfiguration"] == {"CaseSensitive": False}


def test_up_sets_the_trigger_and_keeps_all_that_the_creation_set(account: Account) -> None:
    before: list[dict[str, Any]] = []

    def look(call: Call) -> None:
        if call.operation == "UpdateUserPool":
            before.append(pool(account))

    with account.calls.watched(look):
        account.up(tier="PLUS", password_min_length=10, password_require=("lower",))
    (created,) = before
    after = pool(account)
    assert created.pop("LambdaConfig", {}) == {}
    assert after.pop("LambdaConfig") == {"PreSignUp": function_arn(account)}
    assert after == created
    assert after["UserPoolTier"] == "PLUS"
    assert after["UserPoolTags"] == account.context().tags
    assert after["Policies"]["PasswordPolicy"]["MinimumLength"] == 10
    assert after["UsernameConfiguration"] == {"CaseSensitive": False}
    assert after["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False


def test_a_change_of_ours_keeps_what_someone_else_set(account: Account) -> None:
    account.up()
    lambdas = {
        "PreSignUp": function_arn(account),
        "PostConfirmation": "arn:aws:lambda:x:1:function:f",
    }
    update(account, LambdaConfig=lambdas, **OTHERS)
    theirs = pool(account)
    for key, value in OTHERS.items():
        assert theirs[key] == value
    assert set(account.up().values()) == {"unchanged"}
    assert pool(account) == theirs
    account.up(password_min_length=14)
    theirs["Policies"]["PasswordPolicy"]["MinimumLength"] = 14
    assert pool(account) == theirs


def test_the_trigger_put_back_keeps_what_someone_else_set(account: Account) -> None:
    account.up()
    update(account, LambdaConfig={"PostConfirmation": "arn:aws:lambda:x:1:function:f"}, **OTHERS)
    theirs = pool(account)
    assert account.up()["trigger"] == "created"
    theirs["LambdaConfig"]["PreSignUp"] = function_arn(account)
    assert pool(account) == theirs


def test_what_someone_adds_while_up_runs_is_kept_too(account: Account) -> None:
    """The description is read just before the update, not at the beginning of the run."""

    def meddle(call: Call) -> None:
        if call.operation == "AddPermission":
            update(account, UserPoolTags={**account.context().tags, "team": "billing"})

    with account.calls.watched(meddle):
        account.up()
    live = pool(account)
    assert live["UserPoolTags"] == {**account.context().tags, "team": "billing"}
    assert live["LambdaConfig"] == {"PreSignUp": function_arn(account)}


def test_the_older_of_two_names_for_a_temporary_passwords_days_is_not_sent(
    account: Account,
) -> None:
    """DescribeUserPool answers with both, UpdateUserPool refuses both."""
    account.up()

    def describe_both(parsed: dict[str, Any], **_: Any) -> None:
        live = parsed["UserPool"]
        live["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"] = 7
        live["AdminCreateUserConfig"]["UnusedAccountValidityDays"] = 7

    def refuse(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
        if call.operation != "UpdateUserPool":
            return None
        sent = json.loads(call.sent["body"])
        assert sent["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"] == 7
        if "UnusedAccountValidityDays" in sent["AdminCreateUserConfig"]:
            return refusal(400, "InvalidParameterException", "Please use either of the two")
        return None

    event = "after-call.cognito-identity-provider.DescribeUserPool"
    account.aws.cognito.meta.events.register(event, describe_both)
    try:
        assert set(account.up().values()) == {"unchanged"}
        with account.calls.watched(refuse) as calls:
            assert account.up(tier="ESSENTIALS")["user_pool"] == "updated"
    finally:
        account.aws.cognito.meta.events.unregister(event, describe_both)
    assert "UpdateUserPool" in [call.operation for call in calls]


def test_only_what_the_update_takes_is_sent(account: Account) -> None:
    """Of what a description holds, much can't be sent back; botocore would refuse it."""
    with account.calls.watched() as calls:
        account.up()
    (sent,) = [json.loads(c.sent["body"]) for c in calls if c.operation == "UpdateUserPool"]
    assert {"UserPoolId", "UserPoolTags", "Policies", "UserPoolTier", "LambdaConfig"} <= set(sent)
    assert sent["PoolName"] == "shop"
    assert not set(sent) & {"Id", "Arn", "Name", "SchemaAttributes", "UsernameConfiguration"}


@pytest.mark.parametrize("times", [1, 3])
def test_a_concurrent_update_is_tried_again_from_a_fresh_description(
    account: Account, times: int
) -> None:
    account.up()
    met: list[Call] = []

    def collide(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
        if call.operation != "UpdateUserPool":
            return None
        met.append(call)
        if len(met) > times:
            return None
        # What the other one set is in the fresh description only.
        update(account, UserPoolTags={**account.context().tags, "team": f"team {len(met)}"})
        return refusal(400, "ConcurrentModificationException")

    with account.calls.watched(collide):
        account.up(tier="PLUS")
    assert len(met) == times + 1
    live = pool(account)
    assert live["UserPoolTier"] == "PLUS"
    assert live["UserPoolTags"]["team"] == f"team {times}"


def test_a_client_put_right_keeps_what_someone_else_set(account: Account) -> None:
    """UpdateUserPoolClient resets what it isn't given, likewise."""
    account.up()
    client = account.client("cognito-idp")
    place = {
        "UserPoolId": account.state().fact("user_pool", "id"),
        "ClientId": account.state().fact("app_client", "id"),
    }
    before = client.describe_user_pool_client(**place)["UserPoolClient"]
    client.update_user_pool_client(
        **place, ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"], AccessTokenValidity=2
    )
    with account.calls.watched() as calls:
        assert account.up()["app_client"] == "updated"
    after = client.describe_user_pool_client(**place)["UserPoolClient"]
    (sent,) = [json.loads(c.sent["body"]) for c in calls if c.operation == "UpdateUserPoolClient"]
    assert sent["AccessTokenValidity"] == after["AccessTokenValidity"] == 2
    assert sent["ClientName"] == before["ClientName"]
    assert "ClientSecret" not in sent
    assert after["ClientSecret"] == before["ClientSecret"]
    assert sorted(after["ExplicitAuthFlows"]) == sorted(before["ExplicitAuthFlows"])
