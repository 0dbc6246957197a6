"""The console's Cognito pages: the user pool, its app client, and its pre-sign-up trigger."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import botocore
from botocore.exceptions import ClientError

from cogauth.aws.waiting import code_of, message_of
from cogauth.errors import CogauthError
from cogauth.settings import TIERS
from cogauth.steps.base import Change, Live, Resource, deleted, differing, or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.record.state import Record

GONE = "ResourceNotFoundException"
# What Cognito says to a tier that a user pool can't have.
TIER_REFUSED = {"FeatureUnavailableInTierException", "TierChangeNotAllowedException"}
# The parameter by which a client's secret moves to AWS Secrets Manager and back, and the first
# botocore that knows it.
PUBLISH, PUBLISH_SINCE = "PublishSecretsInAWSSecretsManager", "1.44.7"
# A character class that a password may have to have, and the policy's key for it.
POLICY_KEYS = {
    "upper": "RequireUppercase",
    "lower": "RequireLowercase",
    "digit": "RequireNumbers",
    "symbol": "RequireSymbols",
}


class UserPool(Resource):
    """The directory of users: they sign in by username only, and nothing of theirs is verified."""

    key = "user_pool"
    repeatable = True
    asks = True

    def create(self, ctx: Context) -> Live:
        """Make the pool. What can't be changed later (the username's case) is set here.

        Raises:
            CogauthError: AWS refuses the tier.
        """
        try:
            return ctx.aws.cognito_once.create_user_pool(
                PoolName=ctx.stack,
                # Without this, "Ann" and "ann" are two users: it can only be chosen now.
                UsernameConfiguration={"CaseSensitive": False},
                # Anyone may sign up: the sign-in function does it for a name it doesn't know.
                # Whoever closes the pool later, or asks for a second factor, is not overruled.
                AdminCreateUserConfig={"AllowAdminCreateUserOnly": False},
                MfaConfiguration="OFF",
                **_pool_settings(ctx),
            )["UserPool"]
        except ClientError as error:
            if code_of(error) not in TIER_REFUSED:
                raise
            tier, options = ctx.state.settings.tier, ctx.state.options
            others = [other for other in TIERS if other != tier]
            raise CogauthError(
                f"AWS refuses to make a user pool of the tier {tier} ({code_of(error)}): "
                f"{message_of(error).removesuffix('.')}. Choose {' or '.join(others)}, such as by "
                f"'cogauth up{options} --tier {others[0]}'."
            ) from error

    def find(self, ctx: Context) -> list[Live]:
        """Look through the account's pools; their names are not unique."""
        return self.others(ctx, "")

    def others(self, ctx: Context, known: str) -> list[Live]:
        """Look through them, and don't describe the known one again."""
        pages = ctx.aws.cognito.get_paginator("list_user_pools").paginate(
            PaginationConfig={"PageSize": 60}
        )
        named = [p["Id"] for page in pages for p in page["UserPools"] if p["Name"] == ctx.stack]
        pools = (self.read(ctx, {"id": pool}) for pool in named if pool != known)
        return [pool for pool in pools if pool is not None]

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Describe the pool."""
        answer = or_none(lambda: ctx.aws.cognito.describe_user_pool(UserPoolId=record["id"]), GONE)
        return answer and answer["UserPool"]  # type: ignore[no-any-return]

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the pool's id and ARN."""
        del ctx
        return {"id": live["Id"], "arn": live["Arn"]}

    def arn_prefix(self, ctx: Context) -> str:
        """Return its ARN but for the id: a pool can be renamed."""
        return ctx.arn("cognito-idp", "userpool/")

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the tier and the password policy."""
        del ctx
        observed: dict[str, Any] = {"tier": live.get("UserPoolTier", "ESSENTIALS")}
        policy = live.get("Policies", {}).get("PasswordPolicy")
        if policy:
            required = [name for name, key in POLICY_KEYS.items() if policy.get(key)]
            observed["password_min_length"] = policy["MinimumLength"]
            observed["password_require"] = tuple(required)
        return observed

    def tags(self, live: Live) -> dict[str, str]:
        """Return the pool's tags."""
        return dict(live.get("UserPoolTags", {}))

    def users(self, live: Live) -> int:
        """Return Cognito's own estimate."""
        return int(live.get("EstimatedNumberOfUsers", 0))

    def holds_users(self, ctx: Context, live: Live) -> bool:
        """Look whether it holds any user: the estimate alone could lag.

        Source: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
        """
        if self.users(live):
            return True
        return bool(ctx.aws.cognito.list_users(UserPoolId=live["Id"], Limit=1)["Users"])

    def untouched(self, ctx: Context, live: Live) -> bool:
        """Say whether it has its name still, and neither app clients nor users."""
        named = live["Name"] == ctx.stack
        return named and not _clients(ctx, live["Id"]) and not self.holds_users(ctx, live)

    def marked(self, ctx: Context, live: Live) -> bool:
        """Say whether it has our app client, by the name that carries the stack-id."""
        names = [client["ClientName"] for client in _clients(ctx, live["Id"])]
        return ctx.name_with_id in names

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        """Ask before it is made anew."""
        del ctx
        if live is None:
            yield (
                f"The user pool {record['id']} is gone, and all its users with it. Make it anew?"
            )

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the settings that can be changed."""
        wanted = differing(live, _pool_settings(ctx))
        settings = ctx.state.settings
        present = live.get("UserPoolTier", settings.tier)
        # A tier that we don't know yet is none to be left either.
        is_higher = present not in TIERS[: TIERS.index(settings.tier) + 1]
        if is_higher and not settings.tier_given:
            wanted.pop("UserPoolTier", None)
        if wanted:
            yield Change(
                f"set {', '.join(sorted(wanted))}",
                lambda: update_user_pool(ctx, live["Id"], wanted),
            )

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for a deletion protection, and for domains of its sign-in pages.

        Source: https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-deletion-protection.html
        """
        live, pool = self.read(ctx, record) or {}, record["id"]
        of_pool = f"--user-pool-id {pool} --region {ctx.aws.region}"
        if live.get("DeletionProtection") == "ACTIVE":
            yield (
                f"The user pool {pool} is protected from deletion. Deactivate that in the console "
                "(Cognito, User pools, the pool, Settings, Deletion protection), or by 'aws "
                f"cognito-idp update-user-pool {of_pool} --deletion-protection INACTIVE', which "
                "also resets every other setting of the pool that it isn't given."
            )
        for domain in filter(None, (live.get("Domain"), live.get("CustomDomain"))):
            yield (
                f"The user pool {pool} has the domain {domain}. Delete that in the console "
                "(Cognito, User pools, the pool, Domain, Actions), or by 'aws cognito-idp "
                f"delete-user-pool-domain {of_pool} --domain {domain}'."
            )

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete the pool with its users and app clients."""
        return deleted(lambda: ctx.aws.cognito.delete_user_pool(UserPoolId=record["id"]), GONE)


def _pool_settings(ctx: Context) -> dict[str, Any]:
    settings = ctx.state.settings
    required = settings.password_require
    return {
        "UserPoolTags": ctx.tags,
        "UserPoolTier": settings.tier,
        "Policies": {
            # Written out: what is left out follows the console's defaults of the day.
            "PasswordPolicy": {
                "MinimumLength": settings.password_min_length,
                **{key: name in required for name, key in POLICY_KEYS.items()},
            }
        },
    }


# What UpdateUserPool is sent back of DescribeUserPool's answer: here is said of each member how.
# The operation resets what it isn't given: that is documented for all of it, and was measured by
# others for AutoVerifiedAttributes, but not so for Policies and MfaConfiguration
# (https://github.com/go-to-k/cdkd/pull/1982). But not all that a newer botocore knows can be sent
# back: AWS refuses some of it, and some changes its meaning. So what isn't in this list isn't sent,
# and the tests on the newest botocore fail until each new member is. The reasons are AWS's own, in
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
Echo = Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


def _never(_value: Any) -> None:
    return None


def _one_email_body(template: dict[str, Any]) -> dict[str, Any]:
    """Leave out the body that isn't in use: both are described, and both at once refused."""
    unused = "EmailMessage" if _by_link(template) else "EmailMessageByLink"
    return {key: value for key, value in template.items() if key != unused}


def _by_link(template: Mapping[str, Any]) -> bool:
    return template.get("DefaultEmailOption") == "CONFIRM_WITH_LINK"


def _own_names(levels: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Leave out the default names, which are described too: to name any takes ESSENTIALS."""
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
            # But for the older name of a setting that Policies has too; see update_user_pool.
            "AdminCreateUserConfig",
            "AutoVerifiedAttributes",
            "DeletionProtection",
            "DeviceConfiguration",
            "EmailConfiguration",
            # "No longer used", and still described: an older name of the template's EmailMessage,
            # so not sent beside EmailMessageByLink; see update_user_pool.
            "EmailVerificationMessage",
            "EmailVerificationSubject",
            "LambdaConfig",
            "MfaConfiguration",
            # But for what the tier LITE doesn't have; see update_user_pool.
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
    # Kept when it is left out. Sent back without EnableStatus it is turned on.
    "DcrConfiguration": _never,
    # The defaults of these two are described as well, and need no echo.
    "KeyConfiguration": lambda key: key if key.get("KeyType") == "CUSTOMER_MANAGED_KEY" else None,
    "IssuerConfiguration": lambda issuer: issuer if issuer.get("Type") != "ORIGINAL" else None,
}
# Likewise for UpdateUserPoolClient.
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
    # Off: "You can't authenticate with REFRESH_TOKEN_AUTH in app clients with refresh token
    # rotation enabled", and that is how the sign-in function refreshes.
    # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
    "RefreshTokenRotation": lambda _rotation: {"Feature": "DISABLED"},
    # Not described; where the secret is stays as it is when this is left out.
    PUBLISH: _never,
}


def _echo(live: Mapping[str, Any], rules: Mapping[str, Echo]) -> dict[str, Any]:
    """Return what an update is sent so that all stays as it is."""
    echo = {key: rules[key](value) for key, value in live.items() if key in rules}
    # What is empty was never set, and the update takes no empty value for it.
    return {key: value for key, value in echo.items() if value not in (None, "", [], {})}


def update_user_pool(ctx: Context, pool: str, wanted: dict[str, Any]) -> None:
    """Change some of a pool's settings and keep all others.

    ``UpdateUserPool`` resets what it isn't given, so the whole pool is described, merged and sent
    back, tags included. Source: the operation's own documentation, "If you don't provide a value
    for an attribute, Amazon Cognito sets it to its default value".

    Args:
        ctx: the stack.
        pool: the pool's id.
        wanted: the settings to change, in the operation's own form.

    Raises:
        CogauthError: AWS refuses the wanted tier.
    """
    client = ctx.aws.cognito
    live = client.describe_user_pool(UserPoolId=pool)["UserPool"]
    request = merged({**_echo(live, POOL_ECHO), "PoolName": live["Name"]}, wanted)
    policies = request.get("Policies", {})
    passwords = policies.get("PasswordPolicy", {})
    if "TemporaryPasswordValidityDays" in passwords:
        # The description has it under its older name too, but the update takes only one.
        request.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    if _by_link(request.get("VerificationMessageTemplate", {})):
        request.pop("EmailVerificationMessage", None)
    if request.get("UserPoolTier") == "LITE":
        # A pool of this tier may be described with features that it doesn't have. One that is
        # to become LITE has them: those in use are sent, so that AWS refuses, for it isn't ours to
        # turn them off.
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
            f"{wanted['UserPoolTier']} ({code_of(error)}): {message_of(error).removesuffix('.')}. "
            f"'cogauth up{options} --tier {present}' leaves the tier as it is. For the other one, "
            "turn off in the console's Cognito page what AWS names, first."
        ) from error


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``over``, nested mappings merged likewise."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


class UserPoolClient(Resource):
    """The app client: what the sign-in function is, to the pool. Its secret stays in Cognito.

    The console can move it to AWS Secrets Manager, where the function has no right to read it.
    """

    key = "app_client"
    inside = "user_pool"
    repeatable = True
    asks = True

    def create(self, ctx: Context) -> Live:
        """Make the client, with a secret."""
        return ctx.aws.cognito_once.create_user_pool_client(
            UserPoolId=ctx.fact("user_pool"),
            # A client can't be tagged: its name says whose it is.
            ClientName=ctx.name_with_id,
            GenerateSecret=True,
            **_client_settings(),
        )["UserPoolClient"]

    def find(self, ctx: Context) -> list[Live]:
        """Look through the pool's clients for the name that carries the stack-id."""
        return self.others(ctx, "")

    def others(self, ctx: Context, known: str) -> list[Live]:
        """Look through them, and don't describe the known one again."""
        named = [
            client["ClientId"]
            for client in _clients(ctx, ctx.fact("user_pool"))
            if client["ClientName"] == ctx.name_with_id
        ]
        clients = (self.read(ctx, {"id": client}) for client in named if client != known)
        return [client for client in clients if client is not None]

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Describe the client."""
        answer = or_none(
            lambda: ctx.aws.cognito.describe_user_pool_client(
                UserPoolId=ctx.fact("user_pool"), ClientId=record["id"]
            ),
            GONE,
        )
        return answer and answer["UserPoolClient"]  # type: ignore[no-any-return]

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether its name carries the stack-id."""
        return bool(live["ClientName"] == ctx.name_with_id)

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the client's id; never its secret."""
        del ctx
        return {"id": live["ClientId"], "name": live["ClientName"]}

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        """Ask before its secret is taken back."""
        if live is None or "ClientSecret" in live:
            return
        unreadable = (
            f"The app client {record['id']} has its secret in AWS Secrets Manager, where the "
            "sign-in function can't read it: until it is back in Cognito nobody can sign in."
        )
        if not _knows_publish(ctx):
            # Nor does such a botocore show where the secret is, only that it isn't there.
            raise CogauthError(
                f"{unreadable} 'cogauth up' can take it back with boto3 {PUBLISH_SINCE} or later; "
                f"installed is {botocore.__version__}. Update it with pip install --upgrade boto3, "
                "in an environment without cogauth's extra [local], which needs an older one. "
                "Nothing was touched."
            )
        if "ClientSecretArn" in live:
            yield (
                f"{unreadable} AWS then deletes {live['ClientSecretArn']} at once and for good, "
                "whoever else reads it. Take the secret back?"
            )

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the settings; an update sends them all, for it resets what it isn't given."""
        wanted = differing(live, _client_settings())
        if "ClientSecretArn" in live:
            wanted[PUBLISH] = False
        if wanted:
            place = {"UserPoolId": live["UserPoolId"], "ClientId": live["ClientId"]}
            request = {**_echo(live, CLIENT_ECHO), **_client_settings(), **wanted, **place}
            what = "take its secret back" if PUBLISH in wanted else "set its flows"
            if live.get("RefreshTokenRotation", {}).get("Feature") == "ENABLED":
                what += ", turn off the rotation of refresh tokens"
            yield Change(
                what,
                lambda: ctx.aws.cognito.update_user_pool_client(**request),
            )

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete a client that is one too many; the one in use goes with its pool."""
        return deleted(
            lambda: ctx.aws.cognito.delete_user_pool_client(
                UserPoolId=ctx.fact("user_pool"), ClientId=record["id"]
            ),
            GONE,
        )


def _clients(ctx: Context, pool: str) -> list[Any]:
    pages = ctx.aws.cognito.get_paginator("list_user_pool_clients").paginate(
        UserPoolId=pool, PaginationConfig={"PageSize": 60}
    )
    return [client for page in pages for client in page["UserPoolClients"]]


def _knows_publish(ctx: Context) -> bool:
    model = ctx.aws.cognito.meta.service_model.operation_model("UpdateUserPoolClient")
    return PUBLISH in model.input_shape.members  # type: ignore[union-attr]


def _client_settings() -> dict[str, Any]:
    return {
        # ALLOW_ADMIN_USER_PASSWORD_AUTH is the present name of ADMIN_NO_SRP_AUTH.
        "ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        # An unknown name and a wrong password get the same answer.
        "PreventUserExistenceErrors": "ENABLED",
        "EnableTokenRevocation": True,
    }


class PreSignUpTrigger(Resource):
    """The pool's PreSignUp trigger: the auto-confirm function, asked at each sign-up."""

    key = "trigger"
    inside = "user_pool"
    needs = ("auto_confirm_function",)

    def create(self, ctx: Context) -> Live:
        """Point the pool's PreSignUp to the function; all else of the pool stays as it is."""
        function = ctx.fact("auto_confirm_function", "arn")
        update_user_pool(ctx, ctx.fact("user_pool"), {"LambdaConfig": {"PreSignUp": function}})
        return {"PreSignUp": function}

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Read the pool's triggers."""
        del record
        pool = UserPool().read(ctx, {"id": ctx.fact("user_pool")})
        config = (pool or {}).get("LambdaConfig", {})
        return config if config.get("PreSignUp") else None

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the function's ARN; the trigger has no id but the pool's."""
        return {"id": ctx.fact("user_pool"), "arn": live["PreSignUp"]}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Point it back to our function if it was pointed elsewhere."""
        if live["PreSignUp"] != ctx.fact("auto_confirm_function", "arn"):
            yield Change("point PreSignUp to the function", lambda: self.create(ctx))
