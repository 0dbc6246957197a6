"""The console's Cognito pages: the user pool, its app client, and its pre-sign-up trigger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import botocore
from botocore.exceptions import ClientError

from cogauth.aws.answers import Live, code_of, deleted, differing, fields, message_of, or_none
from cogauth.aws.policies import ANY, ANY_USER_POOL, USER_POOL, Purpose, allow
from cogauth.errors import CogauthError
from cogauth.record.records import CREATED
from cogauth.settings import CLOSED, OPEN, TIERS
from cogauth.steps.base import Change, Resource
from cogauth.steps.cognito_update import (
    CLIENT_ECHO,
    PUBLISH,
    PUBLISH_SINCE,
    TIER_REFUSED,
    echoed,
    knows_publish,
    update_user_pool,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.policies import Allow, Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

# AWS doesn't document whether creating a pool with tags asks for it. It does so for roles,
# functions and log groups.
TAGGING = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/"
    "list_amazoncognitouserpools.html"
)
# The password policy's key for each character class.
POLICY_KEYS = {
    "upper": "RequireUppercase",
    "lower": "RequireLowercase",
    "digit": "RequireNumbers",
    "symbol": "RequireSymbols",
}
CLIENT_SETTINGS: dict[str, Any] = {
    # ALLOW_ADMIN_USER_PASSWORD_AUTH is the present name of ADMIN_NO_SRP_AUTH.
    "ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    # Unknown names and wrong passwords get the same answer.
    "PreventUserExistenceErrors": "ENABLED",
    "EnableTokenRevocation": True,
}


class UserPool(Resource):
    """The user directory: users sign in by username only, and no attribute is verified."""

    key = "user_pool"
    repeatable = True
    tuned = True
    held = "its users"

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (
                allow(ANY, "cognito-idp:ListUserPools"),
                # Others may have its name.
                allow(ANY_USER_POOL, "cognito-idp:DescribeUserPool"),
            ),
            Purpose.READ: (
                allow(USER_POOL, "cognito-idp:ListUserPoolClients", "cognito-idp:ListUsers"),
            ),
            Purpose.CREATE: (
                allow(ANY, "cognito-idp:CreateUserPool"),
                allow(USER_POOL, "cognito-idp:TagResource", source=TAGGING),
            ),
            Purpose.CHANGE: (allow(USER_POOL, "cognito-idp:UpdateUserPool"),),
            Purpose.DELETE: (allow(USER_POOL, "cognito-idp:DeleteUserPool"),),
        }

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        return (allow(USER_POOL, "cognito-idp:DescribeUserPool"),)

    def create(self, ctx: Context) -> Live:
        try:
            return ctx.aws.cognito_once.create_user_pool(
                PoolName=ctx.stack,
                # Without this, "Ann" and "ann" are two users. It can't be changed later.
                UsernameConfiguration={"CaseSensitive": False},
                # 'up' doesn't overrule someone who requires a second factor later.
                MfaConfiguration="OFF",
                **_pool_settings(ctx),
            )["UserPool"]
        except ClientError as error:
            if code_of(error) not in TIER_REFUSED:
                raise
            tier, options = ctx.state.settings.tier, ctx.state.options
            others = [other for other in TIERS if other != tier]
            raise CogauthError(
                f"AWS refuses to create a user pool with the tier {tier} ({code_of(error)}): "
                f"{message_of(error).removesuffix('.')}.",
                hint=(
                    f"Choose {' or '.join(others)}, for example 'cogauth up{options} --tier "
                    f"{others[0]}'."
                ),
            ) from error

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        pages = ctx.aws.cognito.get_paginator("list_user_pools").paginate(
            PaginationConfig={"PageSize": 60}
        )
        named = [p["Id"] for page in pages for p in page["UserPools"] if p["Name"] == ctx.stack]
        pools = (self.read(ctx, {"id": pool}) for pool in named if pool != known)
        return [pool for pool in pools if pool is not None]

    def read(self, ctx: Context, record: Record) -> Live | None:
        answer = or_none(lambda: ctx.aws.cognito.describe_user_pool(UserPoolId=record["id"]))
        return answer and answer["UserPool"]  # type: ignore[no-any-return]

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["Id"], "arn": live["Arn"]}

    def arn_prefix(self, ctx: Context) -> str:
        return ctx.arn("cognito-idp", "userpool/")

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        config = live.get("AdminCreateUserConfig", {})
        observed: dict[str, Any] = {
            "tier": live.get("UserPoolTier", "ESSENTIALS"),
            "sign_up": CLOSED if config.get("AllowAdminCreateUserOnly") else OPEN,
        }
        policy = live.get("Policies", {}).get("PasswordPolicy")
        if policy:
            required = [name for name, key in POLICY_KEYS.items() if policy.get(key)]
            observed["password_min_length"] = policy["MinimumLength"]
            observed["password_require"] = tuple(required)
        return observed

    def tags(self, live: Live) -> dict[str, str]:
        return dict(live.get("UserPoolTags", {}))

    def users(self, live: Live) -> int:
        return int(live.get("EstimatedNumberOfUsers", 0))

    def holds_users(self, ctx: Context, live: Live) -> bool:
        """Return whether it holds any user; the estimate alone could lag.

        Source: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
        """
        if self.users(live):
            return True
        return bool(ctx.aws.cognito.list_users(UserPoolId=live["Id"], Limit=1)["Users"])

    def untouched(self, ctx: Context, live: Live) -> bool:
        named = live["Name"] == ctx.stack
        return named and not _clients(ctx, live["Id"]) and not self.holds_users(ctx, live)

    def marked(self, ctx: Context, live: Live) -> bool:
        return ctx.name_with_id in {each["ClientName"] for each in _clients(ctx, live["Id"])}

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        if live is None:
            yield (f"The user pool {record['id']} is gone, and all its users with it. Recreate it?")

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        wanted = differing(live, _pool_settings(ctx))
        settings = ctx.state.settings
        present = live.get("UserPoolTier", settings.tier)
        # An unknown tier counts as higher.
        is_higher = present not in TIERS[: TIERS.index(settings.tier) + 1]
        if is_higher and not settings.tier_given:
            wanted.pop("UserPoolTier", None)
        if settings.sign_up is None:
            wanted.pop("AdminCreateUserConfig", None)
        if wanted:
            yield Change(
                lambda: update_user_pool(ctx, live["Id"], wanted), tuple(fields(live, wanted))
            )

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for deletion protection and for domains of its sign-in pages.

        Source: https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-deletion-protection.html
        """
        live, pool = self.read(ctx, record) or {}, record["id"]
        of_pool = f"--user-pool-id {pool} --region {ctx.aws.region}"
        if live.get("DeletionProtection") == "ACTIVE":
            yield (
                f"The user pool {pool} is protected from deletion. Turn that off in the console "
                "(Cognito, User pools, the pool, Settings, Deletion protection), or with 'aws "
                f"cognito-idp update-user-pool {of_pool} --deletion-protection INACTIVE', which "
                "also resets every other pool setting that you don't pass."
            )
        for domain in filter(None, (live.get("Domain"), live.get("CustomDomain"))):
            yield (
                f"The user pool {pool} has the domain {domain}. Delete that in the console "
                "(Cognito, User pools, the pool, Domain, Actions), or with 'aws cognito-idp "
                f"delete-user-pool-domain {of_pool} --domain {domain}'."
            )

    def console_page(self, ctx: Context, identifier: str) -> str:
        return f"cognito/v2/idp/user-pools/{identifier}?region={ctx.aws.region}"

    def delete(self, ctx: Context, record: Record) -> bool:
        return deleted(lambda: ctx.aws.cognito.delete_user_pool(UserPoolId=record["id"]))


def take_over_sign_up(ctx: Context) -> None:
    """Set who may sign up to what the pool has, if the state file is from before that setting.

    So nobody opens by a newer cogauth what somebody has closed by hand. The state isn't saved.
    """
    if ctx.state.settings.sign_up is not None:
        return
    pool, record = UserPool(), ctx.state.record(UserPool.key) or {}
    live = pool.read(ctx, record) if "id" in record else None
    sign_up = OPEN if live is None else pool.observed(ctx, live)["sign_up"]
    ctx.state.settings = replace(ctx.state.settings, sign_up=sign_up)


def _pool_settings(ctx: Context) -> dict[str, Any]:
    settings = ctx.state.settings
    required = settings.password_require
    return {
        "UserPoolTags": ctx.tags,
        "UserPoolTier": settings.tier,
        # If the sign-up is open, the sign-in function signs up unknown names.
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": settings.sign_up == CLOSED},
        "Policies": {
            # All are given, because omitted ones get AWS's defaults of the day.
            "PasswordPolicy": {
                "MinimumLength": settings.password_min_length,
                **{key: name in required for name, key in POLICY_KEYS.items()},
            }
        },
    }


class UserPoolClient(Resource):
    """The app client that the sign-in function uses. Its secret stays in Cognito.

    The console can move the secret to AWS Secrets Manager, where the function may not read it.
    """

    key = "app_client"
    parent = "user_pool"
    repeatable = True
    tuned = True

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (
                allow(
                    USER_POOL,
                    "cognito-idp:ListUserPoolClients",
                    "cognito-idp:DescribeUserPoolClient",
                ),
            ),
            Purpose.CREATE: (allow(USER_POOL, "cognito-idp:CreateUserPoolClient"),),
            Purpose.CHANGE: (allow(USER_POOL, "cognito-idp:UpdateUserPoolClient"),),
            Purpose.DELETE: (allow(USER_POOL, "cognito-idp:DeleteUserPoolClient"),),
        }

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        return (allow(USER_POOL, "cognito-idp:DescribeUserPoolClient"),)

    def create(self, ctx: Context) -> Live:
        return ctx.aws.cognito_once.create_user_pool_client(
            UserPoolId=ctx.fact("user_pool"),
            # A client can't be tagged: its name shows who owns it.
            ClientName=ctx.name_with_id,
            GenerateSecret=True,
            **CLIENT_SETTINGS,
        )["UserPoolClient"]

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        named = [
            client["ClientId"]
            for client in _clients(ctx, ctx.fact("user_pool"))
            if client["ClientName"] == ctx.name_with_id and client["ClientId"] != known
        ]
        clients = (self.read(ctx, {"id": client}) for client in named)
        return [client for client in clients if client is not None]

    def read(self, ctx: Context, record: Record) -> Live | None:
        pool, describe = ctx.fact("user_pool"), ctx.aws.cognito.describe_user_pool_client
        answer = or_none(lambda: describe(UserPoolId=pool, ClientId=record["id"]))
        return answer and answer["UserPoolClient"]  # type: ignore[no-any-return]

    def is_named(self, ctx: Context, live: Live) -> bool:
        return bool(live["ClientName"] == ctx.name_with_id)

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["ClientId"], "name": live["ClientName"]}

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        if live is None or "ClientSecret" in live:
            return
        unreadable = (
            f"The app client {record['id']} has its secret in AWS Secrets Manager, where the "
            "sign-in function can't read it: nobody can sign in until it is back in Cognito."
        )
        if not knows_publish(ctx):
            # Such a botocore doesn't show either where the secret is, only that Cognito lacks it.
            raise CogauthError(
                f"{unreadable} 'cogauth up' can move it back with boto3 {PUBLISH_SINCE} or later; "
                f"{botocore.__version__} is installed. Nothing was touched.",
                hint=(
                    "Run 'pip install --upgrade boto3' in an environment without cogauth's extra "
                    "[local], which needs an older one."
                ),
            )
        if "ClientSecretArn" in live:
            yield (
                f"{unreadable} Moving it back makes AWS delete {live['ClientSecretArn']} at once "
                "and for good, whoever else reads it. Move the secret back?"
            )

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        wanted = differing(live, CLIENT_SETTINGS)
        if "ClientSecretArn" in live:
            wanted[PUBLISH] = False
        if wanted:
            place = {"UserPoolId": live["UserPoolId"], "ClientId": live["ClientId"]}
            request = {**echoed(live, CLIENT_ECHO), **CLIENT_SETTINGS, **wanted, **place}
            # AWS doesn't describe where the secret is, but its ARN if it is elsewhere.
            shown = {**live, PUBLISH: True} if PUBLISH in wanted else live
            if live.get("RefreshTokenRotation", {}).get("Feature") == "ENABLED":
                wanted["RefreshTokenRotation"] = request["RefreshTokenRotation"]
            differs = tuple(fields(shown, wanted))
            yield Change(lambda: ctx.aws.cognito.update_user_pool_client(**request), differs)

    def console_page(self, ctx: Context, identifier: str) -> str:
        pool, place = ctx.fact("user_pool"), f"applications/app-clients/{identifier}"
        page = f"{place}/quick-setup-guide"
        return f"cognito/v2/idp/user-pools/{pool}/{page}?region={ctx.aws.region}"

    def delete(self, ctx: Context, record: Record) -> bool:
        pool, delete = ctx.fact("user_pool"), ctx.aws.cognito.delete_user_pool_client
        return deleted(lambda: delete(UserPoolId=pool, ClientId=record["id"]))


def _clients(ctx: Context, pool: str) -> list[Any]:
    pages = ctx.aws.cognito.get_paginator("list_user_pool_clients").paginate(
        UserPoolId=pool, PaginationConfig={"PageSize": 60}
    )
    return [client for page in pages for client in page["UserPoolClients"]]


class PreSignUpTrigger(Resource):
    """The pool's PreSignUp trigger: Cognito calls the auto-confirm function at each sign-up."""

    key = "trigger"
    parent = "user_pool"
    depends_on = ("auto_confirm_function",)
    tuned = True

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (allow(USER_POOL, "cognito-idp:DescribeUserPool"),),
            Purpose.CREATE: (allow(USER_POOL, "cognito-idp:UpdateUserPool"),),
        }

    def create(self, ctx: Context) -> Live:
        function = ctx.fact("auto_confirm_function", "arn")
        update_user_pool(ctx, ctx.fact("user_pool"), {"LambdaConfig": {"PreSignUp": function}})
        return {"PreSignUp": function}

    def read(self, ctx: Context, record: Record) -> Live | None:
        pool = UserPool().read(ctx, {"id": ctx.fact("user_pool")})
        config = (pool or {}).get("LambdaConfig", {})
        return config if config.get("PreSignUp") else None

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": ctx.fact("user_pool"), "arn": live["PreSignUp"]}

    def questions(self, ctx: Context, record: Record, live: Live | None) -> Iterator[str]:
        # An interrupted run may have recreated the pool, but not its trigger yet.
        if live is None and record["status"] == CREATED and not ctx.state.settings.in_progress:
            yield (
                f"Somebody has removed the pre-sign-up trigger of the user pool {record['id']}, "
                "which confirms everyone who signs up. Add it again?"
            )

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        wanted = {"PreSignUp": ctx.fact("auto_confirm_function", "arn")}
        if differs := tuple(fields(live, wanted, "LambdaConfig.")):
            yield Change(lambda: self.create(ctx), differs)

    def console_page(self, ctx: Context, identifier: str) -> str:
        """Return the pool's page, which leads to its triggers: Authentication, Extensions."""
        return UserPool().console_page(ctx, identifier)
