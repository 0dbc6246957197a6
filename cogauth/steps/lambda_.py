"""The console's Lambda pages: two functions and their callers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogauth.aws.answers import Field, Live, deleted, differing, fields, or_none
from cogauth.aws.policies import FUNCTION, Purpose, allow
from cogauth.aws.transient import ROLE
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.errors import CogauthError
from cogauth.settings import OPEN
from cogauth.steps.base import Change, Recreate, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.policies import Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

# The states and the last updates of a function that can be used. AWS may leave out either.
READY = set(product((None, "Active", "Inactive"), (None, "Successful")))
# Who says that AWS asks for actions that no call is named after.
FUNCTION_TAGGING = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html"
LISTING_TAGS = "https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html"
PASSING = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"


@dataclass(frozen=True)
class FunctionSpec:
    """The differences between the two functions and their roles.

    ``role`` is the key of the role's record. A name is the stack's name and a suffix.
    """

    key: str
    suffix: str
    # The file in ``lambda_code/``, without ``.py``; its handler is called ``handler``.
    module: str
    role: str
    role_suffix: str
    # It contains no secret: anyone who may read the function's configuration can read it.
    environment: Callable[[Context], dict[str, str]]
    # The resources whose facts the environment contains.
    depends_on: tuple[str, ...] = ()
    # The other files in ``lambda_code/`` that its file imports.
    imports: tuple[str, ...] = ()
    signs_in: bool = False

    def name(self, ctx: Context) -> str:
        return f"{ctx.stack}-{self.suffix}"

    def arn(self, ctx: Context) -> str:
        return ctx.arn("lambda", f"function:{self.name(ctx)}")

    def role_name(self, ctx: Context) -> str:
        return f"{ctx.stack}-{self.role_suffix}"

    @property
    def log_group(self) -> str:
        return f"{self.module}_log_group"


SIGN_IN = FunctionSpec(
    key="sign_in_function",
    suffix="signInFunction",
    module="sign_in",
    role="role",
    role_suffix="LambdaAuthRole",
    environment=lambda ctx: {
        "USER_POOL_ID": ctx.fact("user_pool"),
        "CLIENT_ID": ctx.fact("app_client"),
        "PASSWORD_POLICY": ctx.state.settings.password_policy_text,
        "SIGN_UP": ctx.state.settings.sign_up or OPEN,
        # Also on an emulator, where the function prefers AWS_ENDPOINT_URL.
        "COGNITO_ENDPOINT": ctx.cognito_endpoint,
    },
    depends_on=("user_pool", "app_client"),
    imports=("cognito",),
    signs_in=True,
)
# Cognito passes it everyone's sign-ups, so its role may write its log and do nothing else.
AUTO_CONFIRM = FunctionSpec(
    key="auto_confirm_function",
    suffix="autoConfirmUserFunction",
    module="auto_confirm",
    role="auto_confirm_role",
    role_suffix="AutoConfirmRole",
    environment=lambda _ctx: {},
)


def package(function: FunctionSpec) -> bytes:
    """Return a function's zip for Lambda; the same files always give the same bytes."""
    here = Path(__file__).parents[1]
    # An installed cogauth contains the folder; in a checkout it is beside the package.
    folder = next(f for f in (here / "lambda_code", here.parent / "lambda_code") if f.is_dir())
    buffer = io.BytesIO()
    # Stored, not deflated: compressed bytes differ between versions of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for module in (function.module, *function.imports):
            entry = zipfile.ZipInfo(f"{module}.py")  # Always dated 1980, not by the file.
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (folder / f"{module}.py").read_bytes())
    return buffer.getvalue()


class Function(Resource):
    """A function, from ``lambda_code/``."""

    conflict = "ResourceConflictException"
    recreate = Recreate.DELETE_FIRST
    tuned = True

    def __init__(self, function: FunctionSpec) -> None:
        self.function = function
        self.key = function.key
        # The log group must exist before the function's first line and until after its last.
        self.depends_on = (function.role, function.log_group, *function.depends_on)

    def permissions(self, settings: Settings) -> Permissions:
        arn = f"{FUNCTION}:STACK-{self.function.suffix}"
        pass_role = allow(
            f"arn:PARTITION:iam::ACCOUNT:role/STACK-{self.function.role_suffix}",
            "iam:PassRole",
            conditions=(("StringEquals", "iam:PassedToService", SERVICE_PRINCIPALS["lambda"]),),
            source=PASSING,
        )
        return {
            Purpose.FIND: (
                allow(arn, "lambda:GetFunction"),
                allow(arn, "lambda:ListTags", source=LISTING_TAGS),
            ),
            Purpose.CREATE: (
                allow(arn, "lambda:CreateFunction", "lambda:GetFunctionConfiguration"),
                allow(arn, "lambda:TagResource", source=FUNCTION_TAGGING),
                pass_role,
            ),
            Purpose.CHANGE: (
                allow(
                    arn,
                    "lambda:GetFunctionConfiguration",
                    "lambda:UpdateFunctionCode",
                    "lambda:UpdateFunctionConfiguration",
                ),
                pass_role,
            ),
            Purpose.DELETE: (allow(arn, "lambda:DeleteFunction"),),
        }

    def name(self, ctx: Context) -> str:
        return self.function.name(ctx)

    def _configuration(self, ctx: Context) -> dict[str, Any]:
        return {
            "Runtime": ctx.state.settings.runtime,
            "Role": ctx.fact(self.function.role, "arn"),
            "Handler": f"{self.function.module}.handler",
            # It shows whether the code is still cogauth's, of whatever version.
            "Description": f"{self.function.module}.py of cogauth, CodeSha256 "
            f"{self._code(ctx)['CodeSha256']}",
            "MemorySize": getattr(ctx.state.settings, f"{self.function.module}_memory"),
            "Timeout": getattr(ctx.state.settings, f"{self.function.module}_timeout"),
            "Environment": {"Variables": self.function.environment(ctx)},
        }

    def _code(self, ctx: Context) -> dict[str, Any]:
        code = package(self.function)
        return {
            "Architectures": [ctx.state.settings.architecture],
            "CodeSha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        }

    def create(self, ctx: Context) -> Live:
        answer = ctx.aws.lambda_.create_function(
            FunctionName=self.function.name(ctx),
            Code={"ZipFile": package(self.function)},
            Architectures=self._code(ctx)["Architectures"],
            Tags=ctx.tags,
            **self._configuration(ctx),
        )
        # The other function may be waiting for its role.
        ctx.waiter.stop.got(ROLE)
        return answer

    def read(self, ctx: Context, record: Record) -> Live | None:
        answer = or_none(lambda: ctx.aws.lambda_.get_function(FunctionName=self.name(ctx)))
        # Deletion takes a while, and can't be undone once it has begun.
        if answer is None or answer["Configuration"].get("State") == "Deleting":
            return None
        if "TagsError" in answer:
            # Without lambda:ListTags the answer lacks the tags, as if the function were somebody
            # else's.
            raise CogauthError(
                f"The tags of the function {self.name(ctx)} can't be read: "
                f"{answer['TagsError'].get('Message')} Its owner is unknown, so it was left alone.",
                hint="These credentials need lambda:ListTags.",
            )
        return {**answer["Configuration"], "Tags": answer.get("Tags", {})}

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["FunctionName"], "arn": live["FunctionArn"]}

    def arn(self, ctx: Context) -> str:
        return self.function.arn(ctx)

    def version(self, live: Live) -> str:
        return str(live["LastModified"])

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        return {
            "runtime": live["Runtime"],
            "architecture": live["Architectures"][0],
            f"{self.function.module}_memory": live["MemorySize"],
            f"{self.function.module}_timeout": live["Timeout"],
        }

    def tags(self, live: Live) -> dict[str, str]:
        return dict(live["Tags"])

    def is_ready(self, live: Live) -> bool:
        """Return whether the function is Active and its last update has succeeded."""
        return (live.get("State"), live.get("LastUpdateStatus")) in READY

    def wait_until_ready(self, ctx: Context, live: Live) -> None:
        """Wait until the function is Active and no update is in progress.

        Until then Lambda refuses to invoke, update or delete it.
        Source: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
        """
        name, first = self.name(ctx), [live]
        get = ctx.aws.lambda_.get_function_configuration

        def ready() -> bool | None:
            now = first.pop() if first else get(FunctionName=name)
            if "Failed" in (now.get("State"), now.get("LastUpdateStatus")):
                reason = now.get("StateReason") or now.get("LastUpdateStatusReason")
                raise CogauthError(f"Lambda could not create the function {name}: {reason}")
            return self.is_ready(now) or None

        # The run ends with this, so a long pause would delay it.
        reason = f"{name} to be active"
        ctx.waiter.until(ready, reason=reason, timeout_s=120, share=1 / 20)

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare code and configuration; wait for each update, or Lambda refuses the next."""
        name, client = self.name(ctx), ctx.aws.lambda_
        # The code first: if its description came first, an interruption in between would leave the
        # former code looking like somebody else's.
        if differing(live, self._code(ctx)):
            yield Change(
                lambda: self.wait_until_ready(
                    ctx,
                    client.update_function_code(
                        FunctionName=name,
                        ZipFile=package(self.function),
                        Architectures=self._code(ctx)["Architectures"],
                    ),
                ),
                tuple(fields(live, self._code(ctx))),
                asks=f"The function {name} has code that isn't cogauth's. Overwrite it?"
                if self._has_other_code(ctx, live)
                else "",
            )
        wanted = differing(live, self._configuration(ctx))
        # The answer omits an empty environment; an extra variable is a difference.
        variables = live.get("Environment", {}).get("Variables", {})
        extra = sorted(variables.keys() - self.function.environment(ctx).keys())
        wanted.pop("Environment", None)
        differs = [
            *fields(live, wanted),
            *fields(variables, self.function.environment(ctx), "Environment.Variables."),
            # Its value is somebody else's, and may be a secret.
            *(Field(f"Environment.Variables.{each}", "(hidden)", None) for each in extra),
        ]
        if variables != self.function.environment(ctx):
            wanted["Environment"] = {"Variables": self.function.environment(ctx)}
        if wanted:
            yield Change(
                lambda: self.wait_until_ready(
                    ctx, client.update_function_configuration(FunctionName=name, **wanted)
                ),
                tuple(differs),
                asks=f"The function {name} has variables that aren't cogauth's: "
                f"{', '.join(extra)}. Remove them?"
                if extra
                else "",
            )

    def _has_other_code(self, ctx: Context, live: Live) -> bool:
        """Return whether somebody replaced its code: it isn't what our description says."""
        sha, description = live.get("CodeSha256", ""), live.get("Description", "")
        is_ours = sha == self._code(ctx)["CodeSha256"] or sha in description
        return "of cogauth, CodeSha256 " in description and not is_ours

    def console_page(self, ctx: Context, identifier: str) -> str:
        return f"lambda/home?region={ctx.aws.region}#/functions/{identifier}"

    def delete(self, ctx: Context, record: Record) -> bool:
        return deleted(lambda: ctx.aws.lambda_.delete_function(FunctionName=record["id"]))


@dataclass(frozen=True)
class Caller:
    """Who may call a function: ``service`` (see SERVICE_PRINCIPALS) on behalf of a resource."""

    service: str
    resource: str
    # The resource's ARN in the statement.
    arn: Callable[[Context], str]
    # Whether to require as well that the resource is in this account.
    same_account: bool = False


class Permission(Resource):
    """A statement of a function's resource policy: which service may call it, on whose behalf.

    It is added while the function is still Pending: cdkd (github.com/go-to-k/cdkd), which doesn't
    wait either, says in its source that AWS accepts that. If not, the error is transient.
    """

    conflict = "ResourceConflictException"

    def __init__(self, key: str, function: FunctionSpec, caller: Caller) -> None:
        self.key = key
        self.parent = function.key
        self.depends_on = (caller.resource,)
        self.function = function
        self.caller = caller
        self.statement_id = f"cogauth-{caller.service}"

    def permissions(self, settings: Settings) -> Permissions:
        arn = f"{FUNCTION}:STACK-{self.function.suffix}"
        return {
            Purpose.FIND: (allow(arn, "lambda:GetPolicy"),),
            Purpose.CREATE: (allow(arn, "lambda:AddPermission"),),
            Purpose.CHANGE: (allow(arn, "lambda:AddPermission", "lambda:RemovePermission"),),
        }

    def _statement(self, ctx: Context) -> dict[str, Any]:
        condition = {"ArnLike": {"AWS:SourceArn": self.caller.arn(ctx)}}
        if self.caller.same_account:
            condition["StringEquals"] = {"AWS:SourceAccount": ctx.aws.account}
        return {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE_PRINCIPALS[self.caller.service]},
            "Action": "lambda:InvokeFunction",
            "Condition": condition,
        }

    def create(self, ctx: Context) -> Live:
        account: Any = {"SourceAccount": ctx.aws.account} if self.caller.same_account else {}
        answer = ctx.aws.lambda_.add_permission(
            FunctionName=self.function.name(ctx),
            StatementId=self.statement_id,
            Action="lambda:InvokeFunction",
            Principal=SERVICE_PRINCIPALS[self.caller.service],
            SourceArn=self.caller.arn(ctx),
            **account,
        )
        return json.loads(answer["Statement"])  # type: ignore[no-any-return]

    def read(self, ctx: Context, record: Record) -> Live | None:
        name = self.function.name(ctx)
        answer = or_none(lambda: ctx.aws.lambda_.get_policy(FunctionName=name))
        statements: list[Live] = json.loads(answer["Policy"])["Statement"] if answer else []
        return next((s for s in statements if s["Sid"] == self.statement_id), None)

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["Sid"]}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Replace a statement that differs; Lambda has no call to change one."""
        if differs := tuple(fields(live, self._statement(ctx))):
            yield Change(lambda: self._replace(ctx), differs)

    def _replace(self, ctx: Context) -> None:
        name, remove = self.function.name(ctx), ctx.aws.lambda_.remove_permission
        or_none(lambda: remove(FunctionName=name, StatementId=self.statement_id))
        self.create(ctx)
