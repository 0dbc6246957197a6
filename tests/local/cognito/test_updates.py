"""An update of a user pool, or of an app client, on the local AWS resets what it isn't given."""

from __future__ import annotations

from typing import Any

import pytest

from support.local_pools import ACCOUNT, ANY_CASE, FLOWS, Server, refused


@pytest.mark.local
def test_an_update_of_a_pool_resets_what_it_is_not_given(server: Server) -> None:
    settings: dict[str, Any] = {
        "AccountRecoverySetting": {
            "RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]
        },
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
        "AutoVerifiedAttributes": ["email"],
        "DeletionProtection": "ACTIVE",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
        "EmailConfiguration": {"ReplyToEmailAddress": "a@b.c"},
        "EmailVerificationMessage": "Your code: {####}",
        "EmailVerificationSubject": "A code",
        "LambdaConfig": {"PreSignUp": server.function("return event")},
        "SmsAuthenticationMessage": "{####}",
        "SmsConfiguration": {"SnsCallerArn": f"arn:aws:iam::{ACCOUNT}:role/sms"},
        "SmsVerificationMessage": "{####}!",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "UserPoolAddOns": {"AdvancedSecurityMode": "OFF"},
        "UserPoolTags": {"a": "b"},
        "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_LINK"},
    }
    kept: dict[str, Any] = {
        "Policies": {"PasswordPolicy": {"MinimumLength": 30}},
        "MfaConfiguration": "OPTIONAL",
        "UserPoolTier": "PLUS",
        "UsernameConfiguration": ANY_CASE,
    }
    bare, pool = server.pool().described(), server.pool(**settings, **kept)
    before = pool.described()
    changing = {"Id", "Arn", "LastModifiedDate", "CreationDate"}
    assert {key for key in before if before[key] != bare.get(key)} == (
        settings.keys() | kept.keys() | changing
    )

    # Sending all of it back changes nothing.
    members = server.cognito.meta.service_model.operation_model("UpdateUserPool").input_shape
    server.cognito.update_user_pool(
        **pool.place, **{key: before[key] for key in before.keys() & members.members.keys()}
    )
    after = pool.described()
    assert {key for key in before if before[key] != after.get(key)} <= {"LastModifiedDate"}

    server.cognito.update_user_pool(**pool.place, UserPoolTags={"c": "d"})
    after = pool.described()
    assert after["UserPoolTags"] == {"c": "d"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    reset = settings.keys() - {"UserPoolTags"}
    assert {key: after.get(key) for key in reset} == {key: bare.get(key) for key in reset}
    # The pool is open again, and no trigger is called at sign-up.
    pool.sign_up("ann", "Correct-Horse-Battery-Staple-77")


@pytest.mark.local
def test_an_update_of_an_app_client_resets_what_it_is_not_given(server: Server) -> None:
    pool = server.pool(secret=True)
    pool.make("ann")
    own = {**pool.place, "ClientId": pool.client}
    settings: dict[str, Any] = {
        "AuthSessionValidity": 15,
        "PreventUserExistenceErrors": "ENABLED",
        "RefreshTokenValidity": 7,
        "AccessTokenValidity": 2,
        "EnableTokenRevocation": False,
        "ReadAttributes": ["email"],
        "CallbackURLs": ["https://example.com"],
    }
    server.cognito.update_user_pool_client(
        **own, ClientName="renamed", ExplicitAuthFlows=FLOWS, **settings
    )
    described = server.cognito.describe_user_pool_client(**own)["UserPoolClient"]
    assert {key: described[key] for key in settings} == settings
    assert "AuthenticationResult" in pool.log_in("ann")

    server.cognito.update_user_pool_client(**own)
    described = server.cognito.describe_user_pool_client(**own)["UserPoolClient"]
    assert described["ClientName"] == "renamed"
    assert described["ClientSecret"] == pool.secret
    assert {key: described.get(key) for key in settings} == {
        "AuthSessionValidity": 3,
        "PreventUserExistenceErrors": "LEGACY",
        "RefreshTokenValidity": 30,
        "AccessTokenValidity": None,
        "EnableTokenRevocation": True,
        "ReadAttributes": [],
        "CallbackURLs": [],
    }
    with refused("InvalidParameterException", "Auth flow not enabled for this client"):
        pool.log_in("ann")
