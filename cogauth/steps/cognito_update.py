"""UpdateUserPool and UpdateUserPoolClient, which reset parameters that are not passed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of
from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from cogauth.context import Context
# Cognito's errors for a tier that a user pool can't have.
TIER_REFUSED = {"FeatureUnavailableInTierException", "TierChangeNotAllowedException"}
# The parameter by which a client's secret moves to AWS Secrets Manager and back, and the first
# botocore that knows it.
PUBLISH, PUBLISH_SINCE = "PublishSecretsInAWSSecretsManager", "1.44.7"


# The members of DescribeUserPool's answer to send back to UpdateUserPool, which would otherwise
# reset them. AWS documents that for all members; https://github.com/go-to-k/cdkd/pull/1982 measured
# it for AutoVerifiedAttributes, and no reset of Policies and MfaConfiguration. AWS refuses some
# members that a newer botocore knows, and others change their meaning. So members outside this list
# aren't sent, and the tests on the newest botocore fail until each new member is in it. Source:
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
Echo = Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


def _never(_value: Any) -> None:
    return None


def _one_email_body(template: dict[str, Any]) -> dict[str, Any]:
    """Omit the unused body: AWS describes both, but refuses both at once."""
    unused = "EmailMessage" if _by_link(template) else "EmailMessageByLink"
    return {key: value for key, value in template.items() if key != unused}


def _by_link(template: Mapping[str, Any]) -> bool:
    return template.get("DefaultEmailOption") == "CONFIRM_WITH_LINK"


def _own_names(levels: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Omit the default names, which AWS describes too: passing any name requires ESSENTIALS."""
    return {
        level: named
        for level, named in levels.items()
        if not DEFAULT_LEVEL.fullmatch(named.get("AcrValue", ""))
    }


DEFAULT_LEVEL = re.compile(r"urn:cognito:loa:\d+")
POOL_ECHO: dict[str, Echo] = {
    **dict.fromkeys(
        (
            "AccountRecoverySetting",
            # Without the older name of a setting that Policies has too; see update_user_pool.
            "AdminCreateUserConfig",
            "AutoVerifiedAttributes",
            "DeletionProtection",
            "DeviceConfiguration",
            "EmailConfiguration",
            # "No longer used", but still described: an older name of the template's EmailMessage,
            # so it isn't sent with EmailMessageByLink; see update_user_pool.
            "EmailVerificationMessage",
            "EmailVerificationSubject",
            "LambdaConfig",
            "MfaConfiguration",
            # Without the features that the tier LITE lacks; see update_user_pool.
            "Policies",
            "SmsAuthenticationMessage",
            "SmsConfiguration",
            "SmsVerificationMessage",
            "UserAttributeUpdateSettings",
            "UserPoolAddOns",
            "UserPoolTags",
            "UserPoolTier",
        ),
        _as_it_is,
    ),
    "VerificationMessageTemplate": _one_email_body,
    "AcrConfiguration": _own_names,
    # AWS keeps it if it is omitted, but turns it on if it is sent without EnableStatus.
    "DcrConfiguration": _never,
    # AWS describes these two's defaults as well; they needn't be sent back.
    "KeyConfiguration": lambda key: key if key.get("KeyType") == "CUSTOMER_MANAGED_KEY" else None,
    "IssuerConfiguration": lambda issuer: issuer if issuer.get("Type") != "ORIGINAL" else None,
}
# The same for UpdateUserPoolClient.
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
CLIENT_ECHO: dict[str, Echo] = {
    **dict.fromkeys(
        (
            "AccessTokenValidity",
            "AllowedOAuthFlows",
            "AllowedOAuthFlowsUserPoolClient",
            "AllowedOAuthScopes",
            "AnalyticsConfiguration",
            "AuthSessionValidity",
            "CallbackURLs",
            "ClientName",
            "DefaultRedirectURI",
            "EnablePropagateAdditionalUserContextData",
            "EnableTokenRevocation",
            "ExplicitAuthFlows",
            "IdTokenValidity",
            "LogoutURLs",
            "PreventUserExistenceErrors",
            "ReadAttributes",
            "RefreshTokenValidity",
            "SupportedIdentityProviders",
            "TokenValidityUnits",
            "WriteAttributes",
        ),
        _as_it_is,
    ),
    # Off, because the sign-in function refreshes with REFRESH_TOKEN_AUTH: "You can't authenticate
    # with REFRESH_TOKEN_AUTH in app clients with refresh token rotation enabled".
    # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
    "RefreshTokenRotation": lambda _rotation: {"Feature": "DISABLED"},
    # Not described; if it is omitted, AWS leaves the secret where it is.
    PUBLISH: _never,
}


def echoed(live: Mapping[str, Any], rules: Mapping[str, Echo]) -> dict[str, Any]:
    """Return the parameters of an update that changes nothing."""
    echo = {key: rules[key](value) for key, value in live.items() if key in rules}
    # Empty values were never set, and the update accepts none.
    return {key: value for key, value in echo.items() if value not in (None, "", [], {})}


def update_user_pool(ctx: Context, pool: str, wanted: dict[str, Any]) -> None:
    """Change some of a pool's settings and keep all others.

    ``UpdateUserPool`` resets omitted parameters, so the whole pool is described, merged and sent
    back, including tags. ``wanted`` has the operation's own form.

    Raises:
        CogauthError: AWS refuses the wanted tier.
    """
    client = ctx.aws.cognito
    live = client.describe_user_pool(UserPoolId=pool)["UserPool"]
    request = merged({**echoed(live, POOL_ECHO), "PoolName": live["Name"]}, wanted)
    policies = request.get("Policies", {})
    passwords = policies.get("PasswordPolicy", {})
    if "TemporaryPasswordValidityDays" in passwords:
        # The description has it under its older name too, but the update accepts only one.
        request.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    if _by_link(request.get("VerificationMessageTemplate", {})):
        request.pop("EmailVerificationMessage", None)
    if request.get("UserPoolTier") == "LITE":
        # AWS may describe a LITE pool with features that it lacks. A pool that is to become LITE
        # has them: those in use are sent, so that AWS refuses, because we must not turn them off.
        has_them = live.get("UserPoolTier") != "LITE"
        if not has_them or policies.get("SignInPolicy") == {
            "AllowedFirstAuthFactors": ["PASSWORD"]
        }:
            policies.pop("SignInPolicy", None)
        if not has_them or not passwords.get("PasswordHistorySize"):
            passwords.pop("PasswordHistorySize", None)
    try:
        client.update_user_pool(UserPoolId=pool, **request)
    except ClientError as error:
        if code_of(error) not in TIER_REFUSED or "UserPoolTier" not in wanted:
            raise
        present, options = live.get("UserPoolTier"), ctx.state.options
        raise CogauthError(
            f"AWS refuses to change the user pool's tier from {present} to "
            f"{wanted['UserPoolTier']} ({code_of(error)}): {message_of(error).removesuffix('.')}.",
            hint=(
                f"'cogauth up{options} --tier {present}' leaves the tier as it is. To change it, "
                "first turn off what AWS names, on the console's Cognito page."
            ),
        ) from error


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` updated with ``over``, merging nested mappings."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


def knows_publish(ctx: Context) -> bool:
    """Return whether this botocore can move a client's secret to Secrets Manager and back."""
    model = ctx.aws.cognito.meta.service_model.operation_model("UpdateUserPoolClient")
    return PUBLISH in model.input_shape.members  # type: ignore[union-attr]
