"""UpdateUserPool resets whatever it isn't given: our changes must not lose a pool's settings.

The emulators imitate that only partly. The `account` fixture's moto resets everything; the first
test here shows that.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.model import Shape

from cogauth import engine
from cogauth.aws.answers import Field
from cogauth.errors import CogauthError, UsageError
from cogauth.settings import Settings
from cogauth.steps.cognito_update import CLIENT_ECHO, POOL_ECHO, PUBLISH, PUBLISH_SINCE
from support.account import Account, Silent, agree
from support.calls import Call, refusal
from support.faults import stopped
from support.stacks import mutations

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)

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
# These change with every change of the pool, or for moto's own reasons.
VOLATILE = {"LastModifiedDate", "CreationDate", "EstimatedNumberOfUsers"}


def pool(account: Account) -> dict[str, Any]:
    place = {"UserPoolId": account.state().fact("user_pool", "id")}
    live = account.client("cognito-idp").describe_user_pool(**place)["UserPool"]
    return {key: value for key, value in live.items() if key not in VOLATILE}


def update(account: Account, **settings: Any) -> None:
    """Change the pool as the console does: send all of its settings."""
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
    # What was chosen at creation stays, here and on AWS.
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
    account.stands()
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
    account.stands()
    update(account, LambdaConfig={"PostConfirmation": "arn:aws:lambda:x:1:function:f"}, **OTHERS)
    theirs = pool(account)
    assert account.up(confirm=agree)["trigger"] == "created"
    theirs["LambdaConfig"]["PreSignUp"] = function_arn(account)
    assert pool(account) == theirs


def test_what_someone_adds_while_up_runs_is_kept_too(account: Account) -> None:
    """`up` reads the description just before the update, not at the beginning of the run."""

    account.stands()
    update(account, LambdaConfig={})
    met: list[Call] = []

    def meddle(call: Call) -> None:
        # `up` sets the trigger only after it has looked at its function.
        if call.operation == "GetFunction" and "autoConfirm" in call.sent["url_path"]:
            update(account, UserPoolTags={**account.context().tags, "team": "billing"})
            met.append(call)

    with account.calls.watched(meddle):
        account.up(confirm=agree)
    assert met
    live = pool(account)
    assert live["UserPoolTags"] == {**account.context().tags, "team": "billing"}
    assert live["LambdaConfig"] == {"PreSignUp": function_arn(account)}


def test_the_older_of_two_names_for_a_temporary_passwords_days_is_not_sent(
    account: Account,
) -> None:
    """DescribeUserPool returns both names, but UpdateUserPool refuses both together."""
    account.stands()

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
    """Much of a description can't be sent back: botocore would refuse it."""
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
    account.stands()
    met: list[Call] = []

    def collide(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
        if call.operation != "UpdateUserPool":
            return None
        met.append(call)
        if len(met) > times:
            return None
        # The other client's setting is only in the new description.
        update(account, UserPoolTags={**account.context().tags, "team": f"team {len(met)}"})
        return refusal(400, "ConcurrentModificationException")

    with account.calls.watched(collide):
        account.up(tier="PLUS")
    assert len(met) == times + 1
    live = pool(account)
    assert live["UserPoolTier"] == "PLUS"
    assert live["UserPoolTags"]["team"] == f"team {times}"


def test_a_client_put_right_keeps_what_someone_else_set(account: Account) -> None:
    """UpdateUserPoolClient also resets whatever it isn't given."""
    account.stands()
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
        assert account.up(confirm=agree)["app_client"] == "updated"
    after = client.describe_user_pool_client(**place)["UserPoolClient"]
    (sent,) = [json.loads(c.sent["body"]) for c in calls if c.operation == "UpdateUserPoolClient"]
    assert sent["AccessTokenValidity"] == after["AccessTokenValidity"] == 2
    assert sent["ClientName"] == before["ClientName"]
    assert "ClientSecret" not in sent
    assert after["ClientSecret"] == before["ClientSecret"]
    assert sorted(after["ExplicitAuthFlows"]) == sorted(before["ExplicitAuthFlows"])


# The lists of members to send back, compared with the installed botocore's service model

MODEL = botocore.session.get_session().get_service_model("cognito-idp")


def members(operation: str) -> dict[str, Shape]:
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    found: dict[str, Shape] = shape.members  # type: ignore[attr-defined]
    return found


# The id, and the name: taken from the description under other names, or always the same.
PLACES = {"UserPoolId", "PoolName", "ClientId"}


@pytest.mark.parametrize(
    ("operation", "echo"),
    [("UpdateUserPool", POOL_ECHO), ("UpdateUserPoolClient", CLIENT_ECHO)],
)
def test_the_list_says_of_each_member_whether_it_is_sent_back(
    operation: str, echo: dict[str, Any]
) -> None:
    """With the newest botocore this fails when AWS adds a member that the list doesn't mention."""
    assert set(members(operation)) - PLACES - set(echo) == set()


# The inner members of what is sent back unchanged, after a check of AWS's documentation: none of
# them is refused or changes its meaning if it is what DescribeUserPool returned.
LOOKED_AT = """
AcrConfiguration.AcrValue
AccountRecoverySetting.RecoveryMechanisms.Name AccountRecoverySetting.RecoveryMechanisms.Priority
AdminCreateUserConfig.AllowAdminCreateUserOnly
AdminCreateUserConfig.InviteMessageTemplate.EmailMessage
AdminCreateUserConfig.InviteMessageTemplate.EmailSubject
AdminCreateUserConfig.InviteMessageTemplate.SMSMessage
AdminCreateUserConfig.UnusedAccountValidityDays
AnalyticsConfiguration.ApplicationArn AnalyticsConfiguration.ApplicationId
AnalyticsConfiguration.ExternalId AnalyticsConfiguration.RoleArn
AnalyticsConfiguration.UserDataShared
DeviceConfiguration.ChallengeRequiredOnNewDevice
DeviceConfiguration.DeviceOnlyRememberedOnUserPrompt
EmailConfiguration.ConfigurationSet EmailConfiguration.EmailSendingAccount
EmailConfiguration.From EmailConfiguration.ReplyToEmailAddress EmailConfiguration.SourceArn
IssuerConfiguration.Type KeyConfiguration.KeyType KeyConfiguration.KmsKeyArn
LambdaConfig.CreateAuthChallenge LambdaConfig.CustomEmailSender.LambdaArn
LambdaConfig.CustomEmailSender.LambdaVersion LambdaConfig.CustomMessage
LambdaConfig.CustomSMSSender.LambdaArn LambdaConfig.CustomSMSSender.LambdaVersion
LambdaConfig.DefineAuthChallenge LambdaConfig.InboundFederation.LambdaArn
LambdaConfig.InboundFederation.LambdaVersion LambdaConfig.KMSKeyID
LambdaConfig.PostAuthentication LambdaConfig.PostConfirmation LambdaConfig.PreAuthentication
LambdaConfig.PreSignUp LambdaConfig.PreTokenGeneration
LambdaConfig.PreTokenGenerationConfig.LambdaArn LambdaConfig.PreTokenGenerationConfig.LambdaVersion
LambdaConfig.UserMigration LambdaConfig.VerifyAuthChallengeResponse
Policies.PasswordPolicy.MinimumLength Policies.PasswordPolicy.PasswordHistorySize
Policies.PasswordPolicy.RequireLowercase Policies.PasswordPolicy.RequireNumbers
Policies.PasswordPolicy.RequireSymbols Policies.PasswordPolicy.RequireUppercase
Policies.PasswordPolicy.TemporaryPasswordValidityDays
Policies.SignInPolicy.AllowedFirstAuthFactors
RefreshTokenRotation.Feature RefreshTokenRotation.RetryGracePeriodSeconds
SmsConfiguration.EumsSms.CallerArn SmsConfiguration.EumsSms.ConfigurationSetName
SmsConfiguration.EumsSms.ExternalId SmsConfiguration.EumsSms.InEntityId
SmsConfiguration.EumsSms.InTemplateId SmsConfiguration.EumsSms.OriginationIdentity
SmsConfiguration.EumsSms.Region
SmsConfiguration.ExternalId SmsConfiguration.SnsCallerArn SmsConfiguration.SnsRegion
TokenValidityUnits.AccessToken TokenValidityUnits.IdToken TokenValidityUnits.RefreshToken
UserAttributeUpdateSettings.AttributesRequireVerificationBeforeUpdate
UserPoolAddOns.AdvancedSecurityAdditionalFlows.CustomAuthMode UserPoolAddOns.AdvancedSecurityMode
VerificationMessageTemplate.DefaultEmailOption VerificationMessageTemplate.EmailMessage
VerificationMessageTemplate.EmailMessageByLink VerificationMessageTemplate.EmailSubject
VerificationMessageTemplate.EmailSubjectByLink VerificationMessageTemplate.SmsMessage
"""


def inside(name: str, shape: Any) -> Iterator[str]:
    if shape.type_name == "list":
        yield from inside(name, shape.member)
    elif shape.type_name == "map":
        yield from inside(name, shape.value)
    elif shape.type_name == "structure":
        for key, member in shape.members.items():
            yield from inside(f"{name}.{key}", member)
    else:
        yield name


@pytest.mark.parametrize("operation", ["UpdateUserPool", "UpdateUserPoolClient"])
def test_what_is_inside_of_a_member_was_looked_at_too(operation: str) -> None:
    """As above: for a new member, check what AWS says about sending it back."""
    sent = {name: shape for name, shape in members(operation).items() if name != "DcrConfiguration"}
    found = {each for name, shape in sent.items() for each in inside(name, shape) if "." in each}
    assert found - set(LOOKED_AT.split()) == set()


@contextlib.contextmanager
def described(account: Account, **more: Any) -> Iterator[None]:
    """Make DescribeUserPool return these members as well, or leave out those that are None."""

    def add(parsed: dict[str, Any], **_: Any) -> None:
        live = {**parsed["UserPool"], **more}
        parsed["UserPool"] = {key: value for key, value in live.items() if value is not None}

    event = "after-call.cognito-identity-provider.DescribeUserPool"
    account.aws.cognito.meta.events.register(event, add)
    try:
        yield
    finally:
        account.aws.cognito.meta.events.unregister(event, add)


def sent_for_a_change(account: Account, **live: Any) -> dict[str, Any]:
    """Change a pool with this description; return what UpdateUserPool was sent."""
    account.stands()
    with described(account, **live), account.calls.watched() as calls:
        account.up(password_min_length=13)
    (body,) = [json.loads(c.sent["body"]) for c in calls if c.operation == "UpdateUserPool"]
    assert body["Policies"]["PasswordPolicy"]["MinimumLength"] == 13
    result: dict[str, Any] = body
    return result


LEVELS = {f"Level{n}": {"AcrValue": f"urn:cognito:loa:{n}"} for n in range(1, 5)}
SECOND_FACTOR = {"Level2": {"AcrValue": "urn:shop:2fa"}}


@pytest.mark.parametrize(
    ("member", "described_as", "sent"),
    [
        ("AcrConfiguration", LEVELS, None),
        ("AcrConfiguration", {**LEVELS, **SECOND_FACTOR}, SECOND_FACTOR),
        ("DcrConfiguration", {"OpenDcrEnabled": False}, None),
        ("DcrConfiguration", {"EnableStatus": "Enabled", "OpenDcrEnabled": True}, None),
        ("KeyConfiguration", {"KeyType": "AWS_OWNED_KEY"}, None),
        *(
            ("KeyConfiguration", key, key)
            for key in ({"KeyType": "CUSTOMER_MANAGED_KEY", "KmsKeyArn": "arn:aws:kms:x:1:key/k"},)
        ),
        ("IssuerConfiguration", {"Type": "ORIGINAL"}, None),
        ("IssuerConfiguration", {"Type": "UPDATED"}, {"Type": "UPDATED"}),
        # From a service newer than botocore, or a description that isn't this operation's.
        ("SomethingNew", {"On": True}, None),
        ("Domain", "shop", None),
    ],
)
def test_a_member_is_sent_back_only_where_aws_takes_it_as_it_is(
    account: Account, member: str, described_as: Any, sent: Any
) -> None:
    if sent is not None and member not in members("UpdateUserPool"):
        pytest.skip(f"this botocore does not know {member}")
    assert sent_for_a_change(account, **{member: described_as}).get(member) == sent


BODIES = {"EmailMessage": "Your code: {####}", "EmailMessageByLink": "{##Click here##}"}


@pytest.mark.parametrize(
    ("option", "body"),
    [
        ({"DefaultEmailOption": "CONFIRM_WITH_LINK"}, "EmailMessageByLink"),
        ({"DefaultEmailOption": "CONFIRM_WITH_CODE"}, "EmailMessage"),
        ({}, "EmailMessage"),
    ],
)
def test_of_two_email_bodies_the_one_in_use_is_sent(
    account: Account, option: dict[str, str], body: str
) -> None:
    """DescribeUserPool returns both bodies, but UpdateUserPool refuses both together."""
    others = {"EmailSubject": "A code", "EmailSubjectByLink": "A link", "SmsMessage": "{####}"}
    sent = sent_for_a_change(
        account,
        VerificationMessageTemplate={**BODIES, **others, **option},
        EmailVerificationMessage=BODIES["EmailMessage"],
    )
    expected = {**others, **option, body: BODIES[body]}
    assert sent["VerificationMessageTemplate"] == expected
    assert ("EmailVerificationMessage" in sent) == (body == "EmailMessage")


def test_a_pool_without_a_password_policy_gets_ours(account: Account) -> None:
    sent = sent_for_a_change(account, Policies=None)
    assert set(sent["Policies"]) == {"PasswordPolicy"}


def test_nor_does_a_trigger_that_is_put_back_need_one(account: Account) -> None:
    account.stands()
    update(account, LambdaConfig={})
    with described(account, Policies=None):
        assert account.up(confirm=agree)["trigger"] == "created"
    assert pool(account)["LambdaConfig"]["PreSignUp"]


def test_nor_does_recover_need_one(account: Account) -> None:
    account.up(tier="PLUS")
    account.path().unlink()
    with described(account, Policies=None):
        settings = account.recover().settings
    assert (settings.tier, settings.password_min_length) == ("PLUS", 8)
    account.path().unlink()
    # AWS's own default, for an emulator that doesn't know tiers.
    with described(account, UserPoolTier=None):
        assert account.recover().settings.tier == "ESSENTIALS"


# The tier

FEATURES = {"SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]}}
HISTORY = {"PasswordHistorySize": 5}


def raise_tier(account: Account, tier: str = "PLUS") -> dict[str, Any]:
    """Raise the tier as the console does, and set what the tier LITE doesn't have."""
    passwords = pool(account)["Policies"]["PasswordPolicy"]
    policies = {"PasswordPolicy": {**passwords, **HISTORY}, **FEATURES}
    update(account, UserPoolTier=tier, Policies=policies)
    return pool(account)


def refuse_lite(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
    """Refuse the tier LITE as AWS does if it lacks a feature that the pool uses."""
    if call.operation != "UpdateUserPool":
        return None
    sent = json.loads(call.sent["body"])
    policies = sent["Policies"]
    lacking = "SignInPolicy" in policies or "PasswordHistorySize" in policies["PasswordPolicy"]
    if sent["UserPoolTier"] == "LITE" and lacking:
        return refusal(
            400,
            "FeatureUnavailableInTierException",
            "The following features need to be disabled for the LITE pricing tier configured: "
            "Password History",
        )
    return None


@pytest.mark.parametrize(
    ("chosen", "raised"),
    [(None, "ESSENTIALS"), ("LITE", "PLUS"), ("ESSENTIALS", "PLUS"), (None, "PLUS")],
)
def test_a_tier_that_was_raised_elsewhere_stays_with_all_that_it_brought(
    account: Account, chosen: str | None, raised: str
) -> None:
    """Neither a default nor an old choice is a reason to lower the tier."""
    account.up(tier=chosen)
    theirs = raise_tier(account, raised)
    assert set(account.up().values()) == {"unchanged"}
    assert pool(account) == theirs
    with account.calls.watched(refuse_lite):
        assert account.up(password_min_length=14)["user_pool"] == "updated"
    theirs["Policies"]["PasswordPolicy"]["MinimumLength"] = 14
    assert pool(account) == theirs


def test_nor_does_a_trigger_that_is_put_back_lower_it(account: Account) -> None:
    account.stands()
    raise_tier(account)
    update(account, LambdaConfig={})
    theirs = pool(account)
    with account.calls.watched(refuse_lite):
        assert account.up(confirm=agree)["trigger"] == "created"
    assert {**pool(account), "LambdaConfig": {}} == {**theirs, "LambdaConfig": {}}


def test_what_aws_describes_of_a_pool_whose_tier_lacks_it_is_not_sent(account: Account) -> None:
    account.stands()
    passwords = pool(account)["Policies"]["PasswordPolicy"]
    more = {"PasswordPolicy": {**passwords, **HISTORY}, **FEATURES}
    with described(account, Policies=more), account.calls.watched(refuse_lite):
        assert account.up(password_min_length=9)["user_pool"] == "updated"
    assert pool(account)["Policies"]["PasswordPolicy"]["MinimumLength"] == 9


def test_a_tier_of_tomorrow_stays_too(account: Account) -> None:
    account.up(tier="PLUS")
    with described(account, UserPoolTier="PREMIUM"):
        assert set(account.up().values()) == {"unchanged"}


@pytest.mark.parametrize("tier", ["LITE", "ESSENTIALS"])
def test_the_option_lowers_it_once(account: Account, tier: str) -> None:
    account.stands()
    default = {"SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD"]}}
    policies = {**pool(account)["Policies"], **default}
    update(account, UserPoolTier="PLUS", Policies=policies)
    with account.calls.watched(refuse_lite):
        assert account.up(tier=tier)["user_pool"] == "updated"
    assert pool(account)["UserPoolTier"] == tier
    raise_tier(account)
    assert set(account.up().values()) == {"unchanged"}


def test_a_run_that_was_to_lower_it_is_finished_by_the_next_one(account: Account) -> None:
    account.stands()
    update(account, UserPoolTier="PLUS")

    def deny(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
        return refusal(403, "AccessDenied") if call.operation == "UpdateUserPool" else None

    with account.calls.watched(deny), pytest.raises(CogauthError, match="AccessDenied"):
        account.up(tier="LITE")
    assert account.up()["user_pool"] == "updated"
    assert pool(account)["UserPoolTier"] == "LITE"


def test_what_was_lowered_elsewhere_is_raised_again(account: Account) -> None:
    account.up(confirm=agree, tier="ESSENTIALS")
    update(account, UserPoolTier="LITE")
    assert account.up(confirm=agree)["user_pool"] == "updated"
    assert pool(account)["UserPoolTier"] == "ESSENTIALS"


@pytest.mark.parametrize("feature", [FEATURES, {"PasswordPolicy": HISTORY}])
def test_a_refused_tier_says_which_option_ends_it(
    account: Account, feature: dict[str, Any]
) -> None:
    account.stands()
    policies = pool(account)["Policies"]
    for key, value in feature.items():
        policies[key] = {**policies.get(key, {}), **value}
    update(account, UserPoolTier="PLUS", Policies=policies)
    theirs = pool(account)
    with account.calls.watched(refuse_lite), pytest.raises(CogauthError) as caught:
        account.up(tier="LITE")
    said = str(caught.value)
    assert "from PLUS to LITE (FeatureUnavailableInTierException): The following features" in said
    assert f"'cogauth up --stack shop --state {account.path()} --tier PLUS'" in said
    assert "again" not in said
    assert pool(account) == theirs
    with account.calls.watched(refuse_lite):
        assert set(account.up(tier="PLUS").values()) == {"unchanged"}
    assert pool(account) == theirs


def test_a_tier_that_a_new_pool_can_not_have_names_the_option(account: Account) -> None:
    def deny(call: Call) -> tuple[AWSResponse, dict[str, Any]] | None:
        refused = refusal(400, "TierChangeNotAllowedException")
        return refused if call.operation == "CreateUserPool" else None

    with account.calls.watched(deny), pytest.raises(CogauthError) as caught:
        account.up(tier="PLUS")
    said = str(caught.value)
    assert "with the tier PLUS (TierChangeNotAllowedException): No. " in said
    assert f"'cogauth up --stack shop --state {account.path()} --tier LITE'" in said
    assert "again" not in said
    assert account.state().record("user_pool") is None
    assert account.up(tier="LITE")["user_pool"] == "created"


def test_settings_from_before_the_choice_was_kept_are_read() -> None:
    written = Settings(tier="PLUS").to_json()
    del written["tier_given"]
    assert Settings.from_json(written) == Settings(tier="PLUS")


# The client: its secret in AWS Secrets Manager, and rotated refresh tokens

KNOWN = PUBLISH in members("UpdateUserPoolClient")
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:cognito-AbCdEf"


@contextlib.contextmanager
def secret_in_secrets_manager(account: Account) -> Iterator[list[bool]]:
    """Play that the secret is there until an update takes it back; record whether each does."""
    taken_back: list[bool] = []

    def describe(parsed: dict[str, Any], **_: Any) -> None:
        if not any(taken_back):
            del parsed["UserPoolClient"]["ClientSecret"]
            # botocore doesn't show members that it doesn't know.
            parsed["UserPoolClient"].update({"ClientSecretArn": SECRET_ARN} if KNOWN else {})

    def update(params: dict[str, Any], **_: Any) -> None:
        taken_back.append(json.loads(params["body"]).get(PUBLISH) is False)

    service = "cognito-identity-provider"
    hooks = {
        f"after-call.{service}.DescribeUserPoolClient": describe,
        f"before-call.{service}.UpdateUserPoolClient": update,
    }
    events = account.aws.cognito.meta.events
    for event, hook in hooks.items():
        events.register(event, hook)
    try:
        yield taken_back
    finally:
        for event, hook in hooks.items():
            events.unregister(event, hook)


def no(_question: str) -> None:
    raise CogauthError("Nothing was touched.")


@pytest.mark.skipif(not KNOWN, reason="this botocore does not know the parameter")
def test_a_secret_in_secrets_manager_is_taken_back_only_with_a_yes(account: Account) -> None:
    account.stands()
    with secret_in_secrets_manager(account) as taken_back:
        for kind, confirm in ((UsageError, None), (CogauthError, no)):
            more = {} if confirm is None else {"confirm": confirm}
            with account.calls.watched() as calls, pytest.raises(kind, match="Nothing was touched"):
                # The other change isn't made either.
                account.up(password_min_length=12, **more)
            assert mutations(calls) == []
        (row,) = [r for r in engine.plan(account.context(), Silent()).rows if r.fields]
        assert row.fields == [Field(PUBLISH, old=True, new=False)]
        asked: list[str] = []
        assert account.up(confirm=asked.append)["app_client"] == "updated"
        (question,) = asked
        client = f"The app client {account.state().fact('app_client', 'id')}"
        for part in (client, "nobody can sign in", f"AWS delete {SECRET_ARN} at once and for good"):
            assert part in question
        assert taken_back == [True]
        # The secret is back, and there are no more questions.
        assert set(account.up().values()) == {"unchanged"}


@pytest.mark.skipif(not KNOWN, reason="this botocore does not know the parameter")
def test_without_a_terminal_the_refusal_says_what_does_not_work_until_then(
    account: Account,
) -> None:
    account.stands()
    with secret_in_secrets_manager(account), pytest.raises(UsageError) as caught:
        account.up()
    for part in ("nobody can sign in", "at once and for good", "give --yes"):
        assert part in str(caught.value)


def test_a_pool_that_outlived_its_deletion_is_asked_about_with_all_in_it(account: Account) -> None:
    account.stands()
    account.grow_old()
    with stopped(account, "DeleteUserPool"):
        account.down()
    with secret_in_secrets_manager(account) as taken_back:
        with account.calls.watched() as calls, pytest.raises(CogauthError, match="can sign in"):
            account.up()
        assert mutations(calls) == []
        assert taken_back == []
        if KNOWN:
            asked: list[str] = []
            account.up(confirm=asked.append)
            assert len(asked) == 1
            assert taken_back == [True]


@pytest.mark.skipif(KNOWN, reason="this botocore knows the parameter")
def test_an_older_botocore_names_the_one_that_can_take_it_back(account: Account) -> None:
    account.stands()
    with secret_in_secrets_manager(account), account.calls.watched() as calls:
        with pytest.raises(CogauthError) as caught:
            account.up(confirm=lambda _question: None)
        # It is no conflict to be listed in a plan: nothing can be planned.
        with pytest.raises(CogauthError, match="nobody can sign in"):
            engine.plan(account.context(), Silent())
    for part in ("nobody can sign in", f"boto3 {PUBLISH_SINCE}", botocore.__version__):
        assert part in str(caught.value)
    assert mutations(calls) == []


def test_what_the_client_settings_need_does_not_touch_where_the_secret_is(
    account: Account,
) -> None:
    account.stands()
    place = {
        "UserPoolId": account.state().fact("user_pool", "id"),
        "ClientId": account.state().fact("app_client", "id"),
    }
    account.client("cognito-idp").update_user_pool_client(
        **place,
        ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        RefreshTokenRotation={"Feature": "ENABLED", "RetryGracePeriodSeconds": 60},
    )
    (row,) = [r for r in engine.plan(account.context(), Silent()).rows if r.fields]
    assert Field("RefreshTokenRotation.Feature", "ENABLED", "DISABLED") in row.fields
    with account.calls.watched() as calls:
        assert account.up(confirm=agree)["app_client"] == "updated"
    (sent,) = [json.loads(c.sent["body"]) for c in calls if c.operation == "UpdateUserPoolClient"]
    assert PUBLISH not in sent
    assert "ALLOW_REFRESH_TOKEN_AUTH" in sent["ExplicitAuthFlows"]
    # A client that rotates its refresh tokens doesn't accept REFRESH_TOKEN_AUTH.
    assert sent["RefreshTokenRotation"] == {"Feature": "DISABLED"}
