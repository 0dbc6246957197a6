"""Make updates reset missing values to their defaults.

"If you don't provide a value for an attribute, Amazon Cognito sets it to its default value", says
the documentation of both operations:
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
Others have observed that for a pool's AutoVerifiedAttributes and tags, but also that Policies and
MfaConfiguration don't change, so here they don't:
https://github.com/go-to-k/cdkd/pull/1982, https://github.com/aws/aws-cli/issues/3302.
The documentation no longer excepts UserPoolTier; nobody has measured that, and ministack keeps it.
A name has no default. All other resets follow the documentation alone.
"""

import copy
from http import HTTPStatus
from typing import Any

from cogauth.local.cognito.ministacks import all_pools
from cogauth.local.hooks import AnyFunction

_POOL_DEFAULTS: dict[str, Any] = {
    "AccountRecoverySetting": {},
    "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False, "UnusedAccountValidityDays": 7},
    "AutoVerifiedAttributes": [],
    "DeletionProtection": "INACTIVE",
    "EmailConfiguration": {},
    "EmailVerificationMessage": "",
    "EmailVerificationSubject": "",
    "LambdaConfig": {},
    "SmsAuthenticationMessage": "",
    "SmsConfiguration": {},
    "SmsVerificationMessage": "",
    "UserPoolTags": {},
}
# A pool only has these if they were given.
_POOL_EXTRAS = (
    "DeviceConfiguration",
    "UserAttributeUpdateSettings",
    "UserPoolAddOns",
    "VerificationMessageTemplate",
)
_CLIENT_DEFAULTS: dict[str, Any] = {
    "AccessTokenValidity": None,
    "AllowedOAuthFlows": [],
    "AllowedOAuthFlowsUserPoolClient": False,
    "AllowedOAuthScopes": [],
    "AnalyticsConfiguration": None,
    "AuthSessionValidity": 3,
    "CallbackURLs": [],
    "DefaultRedirectURI": "",
    "EnablePropagateAdditionalUserContextData": False,
    "EnableTokenRevocation": True,
    # "If you don't specify a value for ExplicitAuthFlows, your app client supports" these.
    "ExplicitAuthFlows": [
        "ALLOW_REFRESH_TOKEN_AUTH",
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_CUSTOM_AUTH",
    ],
    "IdTokenValidity": None,
    "LogoutURLs": [],
    "PreventUserExistenceErrors": "LEGACY",
    "ReadAttributes": [],
    "RefreshTokenValidity": 30,
    "SupportedIdentityProviders": [],
    "TokenValidityUnits": {},
    "WriteAttributes": [],
}


def update_pool(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Reset values missing from a pool's update."""
    answer = own({**copy.deepcopy(_POOL_DEFAULTS), **data})
    if answer[0] == HTTPStatus.OK:
        pool = all_pools().get(data["UserPoolId"])
        for name in set(_POOL_EXTRAS) - data.keys():
            pool.pop(name, None)
    return answer


def update_client(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Reset values missing from an app client's update."""
    return own({**copy.deepcopy(_CLIENT_DEFAULTS), **data})
