"""The user pool and the app client, as AWS describes them."""

import json

from support.built import Built
from support.stacks import AUTO_CONFIRM, SIGN_IN


def test_user_pool(built: Built) -> None:
    pool = built.pool
    assert pool["Name"] == "shop"
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] == 8
    for name in ("RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"):
        assert policy[name] is True
    assert pool["MfaConfiguration"] == "OFF"
    assert pool["UserPoolTier"] == "LITE"
    assert pool["UserPoolTags"] == built.tags
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False
    # Users sign in by username only, and nothing is verified.
    for name in ("AutoVerifiedAttributes", "AliasAttributes", "UsernameAttributes"):
        assert not pool.get(name)
    assert pool["LambdaConfig"] == {
        "PreSignUp": built.functions[AUTO_CONFIRM]["Configuration"]["FunctionArn"]
    }
    assert built.fact("user_pool", "arn") == pool["Arn"]


def test_app_client(built: Built) -> None:
    client = built.client
    assert client["ClientName"] == f"shop-{built.tags['cogauth:stack-id']}"
    assert len(client["ClientSecret"]) > 20
    assert sorted(client["ExplicitAuthFlows"]) == [
        "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    ]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True


def test_no_secret_is_kept_anywhere_but_in_cognito(built: Built) -> None:
    secret = built.client["ClientSecret"]
    assert secret not in built.text
    assert secret not in json.dumps(
        [built.functions[name] for name in (SIGN_IN, AUTO_CONFIRM)], default=str
    )
