"""The console's Cognito pages: the user pool, its app client, and its pre-sign-up trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cogauth.steps.base import Change, Live, Resource, deleted, differing, or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.state import Record

GONE = "ResourceNotFoundException"
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
    loses = "and all its users with it"

    def create(self, ctx: Context) -> Live:
        """Make the pool. What can't be changed later (the username's case) is set here."""
        return ctx.aws.cognito_once.create_user_pool(
            PoolName=ctx.stack,
            # Without this, "Ann" and "ann" are two users: it can only be chosen at the creation.
            UsernameConfiguration={"CaseSensitive": False},
            # Anyone may sign up: the sign-in function does it for a name it doesn't know. Whoever
            # closes the pool later, or asks for a second factor, is not overruled.
            AdminCreateUserConfig={"AllowAdminCreateUserOnly": False},
            MfaConfiguration="OFF",
            **_pool_settings(ctx),
        )["UserPool"]

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
        policy = live["Policies"]["PasswordPolicy"]
        required = [name for name, key in POLICY_KEYS.items() if policy.get(key)]
        return {
            "tier": live.get("UserPoolTier", "ESSENTIALS"),
            "password_min_length": policy["MinimumLength"],
            "password_require": tuple(required),
        }

    def tags(self, live: Live) -> dict[str, str]:
        """Return the pool's tags."""
        return dict(live.get("UserPoolTags", {}))

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the settings that can be changed."""
        wanted = differing(live, _pool_settings(ctx))
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
                "also sets back what else of the pool it isn't given."
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


def update_user_pool(ctx: Context, pool: str, wanted: dict[str, Any]) -> None:
    """Change some of a pool's settings and keep all others.

    ``UpdateUserPool`` resets what it isn't given, so the whole pool is described, merged and sent
    back, tags included. Source: the operation's own documentation, "If you don't provide a value
    for an attribute, Amazon Cognito sets it to its default value".

    Args:
        ctx: the stack.
        pool: the pool's id.
        wanted: the settings to change, in the operation's own form.
    """
    client = ctx.aws.cognito
    live = client.describe_user_pool(UserPoolId=pool)["UserPool"]
    accepted = client.meta.service_model.operation_model("UpdateUserPool").input_shape.members  # type: ignore[union-attr]
    request: dict[str, Any] = {
        key: value
        for key, value in {**live, "PoolName": live["Name"]}.items()
        # What is empty was never set, and the update takes no empty value for it.
        if key in accepted and value not in (None, "", [], {})
    }
    if "TemporaryPasswordValidityDays" in request["Policies"]["PasswordPolicy"]:
        # The description has it under its older name too, but the update takes only one.
        request.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    request = merged(request, wanted)
    if request.get("UserPoolTier") == "LITE":
        # Features of the higher tiers, which a description may show all the same.
        request["Policies"].pop("SignInPolicy", None)
        request["Policies"]["PasswordPolicy"].pop("PasswordHistorySize", None)
    client.update_user_pool(UserPoolId=pool, **request)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``over``, nested mappings merged likewise."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


class UserPoolClient(Resource):
    """The app client: what the sign-in function is, to the pool. Its secret stays in Cognito."""

    key = "app_client"
    inside = "user_pool"
    repeatable = True

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
        pages = ctx.aws.cognito.get_paginator("list_user_pool_clients").paginate(
            UserPoolId=ctx.fact("user_pool"), PaginationConfig={"PageSize": 60}
        )
        named = [
            client["ClientId"]
            for page in pages
            for client in page["UserPoolClients"]
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

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the client's id; never its secret."""
        del ctx
        return {"id": live["ClientId"], "name": live["ClientName"]}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the settings; an update sends them all, for it resets what it isn't given."""
        if differing(live, _client_settings()):
            client = ctx.aws.cognito
            accepted = client.meta.service_model.operation_model("UpdateUserPoolClient").input_shape
            request: dict[str, Any] = {
                key: value
                for key, value in live.items()
                if key in accepted.members  # type: ignore[union-attr]
            }
            request.update(_client_settings())
            yield Change("set its flows", lambda: client.update_user_pool_client(**request))

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete a client that is one too many; the one in use goes with its pool."""
        return deleted(
            lambda: ctx.aws.cognito.delete_user_pool_client(
                UserPoolId=ctx.fact("user_pool"), ClientId=record["id"]
            ),
            GONE,
        )


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


def count_users(ctx: Context, pool: str) -> int | None:
    """Return about how many users a pool holds (Cognito's own estimate), None if it is gone."""
    live = UserPool().read(ctx, {"id": pool})
    return None if live is None else int(live.get("EstimatedNumberOfUsers", 0))
