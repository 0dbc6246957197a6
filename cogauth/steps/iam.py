"""The console's IAM page: each function's role, with the least privileges that it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cogauth.aws import parallel
from cogauth.aws.answers import Field, Live, deleted, or_none
from cogauth.aws.policies import FUNCTION, Allow, Purpose, allow
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.errors import UsageError
from cogauth.settings import NO_BOUNDARY
from cogauth.steps.base import Change, Resource
from cogauth.steps.lambda_ import SIGN_IN, FunctionSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.policies import Permissions, PolicyCondition
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

POLICY_NAME = "cogauth"
# The path of a role's permissions boundary in AWS's answers.
BOUNDARY = "PermissionsBoundary.PermissionsBoundaryArn"
# Whoever creates a role with tags must be allowed to tag it.
TAGGING = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags_roles.html"
TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE_PRINCIPALS["lambda"]},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Role(Resource):
    """A role that only Lambda may assume."""

    conflict = "EntityAlreadyExists"
    # Lambda can assume it only after some seconds; other resources are created meanwhile.
    urgent = True
    tuned = True

    def __init__(self, function: FunctionSpec) -> None:
        self.function = function
        self.key = function.role

    def permissions(self, settings: Settings) -> Permissions:
        role, function = _role_arn(self.function), f"{FUNCTION}:STACK-{self.function.suffix}"
        boundary = settings.permissions_boundary
        change = [_bounded(self.function, settings, "iam:UpdateAssumeRolePolicy")]
        delete = [allow(role, "iam:DeleteRole", "iam:DeleteRolePolicy")]
        if PowerUserAttachment.parent == self.key:
            delete += PowerUserAttachment().permissions(settings).get(Purpose.DELETE, ())
        if boundary == NO_BOUNDARY:
            change.append(allow(role, "iam:DeleteRolePermissionsBoundary"))
        elif boundary:
            change.append(_bounded(self.function, settings, "iam:PutRolePermissionsBoundary"))
        return {
            Purpose.FIND: (allow(role, "iam:GetRole"),),
            Purpose.CREATE: (
                _bounded(self.function, settings, "iam:CreateRole"),
                allow(role, "iam:TagRole", source=TAGGING),
            ),
            Purpose.OUTDATE: (allow(function, "lambda:GetFunctionConfiguration"),),
            Purpose.CHANGE: tuple(change),
            Purpose.OBSTACLES: (
                allow(role, "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
            ),
            Purpose.DELETE: tuple(delete),
        }

    def name(self, ctx: Context) -> str:
        return self.function.role_name(ctx)

    def create(self, ctx: Context) -> Live:
        boundary = _wanted_boundary(ctx)
        given: dict[str, Any] = {"PermissionsBoundary": boundary} if boundary else {}
        role = ctx.aws.iam.create_role(
            RoleName=self.name(ctx),
            AssumeRolePolicyDocument=json.dumps(TRUST_POLICY),
            Description=f"What the {self.function.module} function of the cogauth stack "
            f"{ctx.stack} may do",
            Tags=[{"Key": key, "Value": value} for key, value in ctx.tags.items()],
            **given,
        )["Role"]
        return {**role, "PermissionsBoundary": {"PermissionsBoundaryArn": boundary}}

    def outdates_when_made(self, ctx: Context) -> tuple[str, ...]:
        """Return the function, if it was created with a former role of this name.

        Lambda keeps a grant to the role that a function was created with; a new role with the same
        name and ARN doesn't have it. A function that runs as some other role is given this one.
        Source: https://github.com/hashicorp/terraform-provider-aws/issues/9703
        """
        function = self.function
        if ctx.state.record(function.key) is None:
            return ()
        call = ctx.aws.lambda_.get_function_configuration
        live = or_none(lambda: call(FunctionName=function.name(ctx)))
        runs_as = live["Role"].partition(":role/")[2] if live else None
        return (function.key,) if runs_as == self.name(ctx) else ()

    def read(self, ctx: Context, record: Record) -> Live | None:
        answer = or_none(lambda: ctx.aws.iam.get_role(RoleName=self.name(ctx)))
        return answer and answer["Role"]  # type: ignore[no-any-return]

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["RoleName"], "arn": live["Arn"]}

    def arn(self, ctx: Context) -> str:
        return f"arn:{ctx.aws.partition}:iam::{ctx.aws.account}:role/{self.name(ctx)}"

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        boundary = _boundary(live)
        return {"permissions_boundary": boundary} if boundary else {}

    def tags(self, live: Live) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in live.get("Tags", [])}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        # The boundary first: a policy may allow a change of the trust policy only under it.
        name, wanted = self.name(ctx), _wanted_boundary(ctx)
        if wanted and _boundary(live) != wanted:
            put = ctx.aws.iam.put_role_permissions_boundary
            yield Change(
                lambda: put(RoleName=name, PermissionsBoundary=wanted),
                (Field(BOUNDARY, _boundary(live), wanted),),
            )
        if ctx.state.settings.permissions_boundary == NO_BOUNDARY and _boundary(live):
            delete = ctx.aws.iam.delete_role_permissions_boundary
            yield Change(
                lambda: or_none(lambda: delete(RoleName=name)),
                (Field(BOUNDARY, _boundary(live), None),),
            )
        trusts = _document(live["AssumeRolePolicyDocument"])
        if trusts != TRUST_POLICY:
            document, update = json.dumps(TRUST_POLICY), ctx.aws.iam.update_assume_role_policy
            yield Change(
                lambda: update(RoleName=name, PolicyDocument=document),
                (Field("AssumeRolePolicyDocument", trusts, TRUST_POLICY),),
            )

    def _has_power_user(self, ctx: Context) -> bool:
        recorded = ctx.state.record(PowerUserAttachment.key) is not None
        return recorded and PowerUserAttachment.parent == self.key

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for others' policies on the role: IAM refuses to delete a role that has any."""
        iam, role = ctx.aws.iam, record["id"]
        looks: list[Callable[[], Any]] = [
            lambda: or_none(lambda: iam.list_attached_role_policies(RoleName=role)),
            lambda: or_none(lambda: iam.list_role_policies(RoleName=role)),
        ]
        attached, inline = parallel.each(looks)
        if not (attached and inline):
            return
        ours = {POLICY_NAME}
        if self._has_power_user(ctx):
            # An interrupted attach left only an intent, without the ARN.
            ours.add(_power_user_arn(ctx))
        policies = [
            (each["PolicyArn"], f"policy {each['PolicyName']}", "detach-role-policy", "arn")
            for each in attached["AttachedPolicies"]
        ] + [
            (name, f"inline policy {name}", "delete-role-policy", "name")
            for name in inline["PolicyNames"]
        ]
        for identifier, what, command, option in policies:
            if identifier not in ours:
                yield (
                    f"The role {role} has the {what}, which isn't this stack's. Delete it in the "
                    f"console (IAM, Roles, the role), or with 'aws iam {command} "
                    f"--role-name {role} --policy-{option} {identifier}'."
                )

    def console_page(self, ctx: Context, identifier: str) -> str:
        return f"iam/home#/roles/details/{identifier}"

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete our policies, then the role: with a policy left IAM answers DeleteConflict."""
        iam, role = ctx.aws.iam, record["id"]
        or_none(lambda: iam.delete_role_policy(RoleName=role, PolicyName=POLICY_NAME))
        if self._has_power_user(ctx):
            PowerUserAttachment().delete(ctx, {})
        return deleted(lambda: iam.delete_role(RoleName=role))


class RolePolicy(Resource):
    """A role's inline policy: access to its function's log group, and for sign-in to the pool."""

    def __init__(self, function: FunctionSpec) -> None:
        self.function = function
        self.key = f"{function.role}_policy"
        self.parent = function.role
        self.depends_on = ("user_pool",) if function.signs_in else ()

    def permissions(self, settings: Settings) -> Permissions:
        put = (_bounded(self.function, settings, "iam:PutRolePolicy"),)
        return {
            Purpose.FIND: (allow(_role_arn(self.function), "iam:GetRolePolicy"),),
            Purpose.CREATE: put,
            Purpose.CHANGE: put,
        }

    def create(self, ctx: Context) -> Live:
        document = _least_privileges(ctx, self.function)
        role, text = self.function.role_name(ctx), json.dumps(document)
        ctx.aws.iam.put_role_policy(RoleName=role, PolicyName=POLICY_NAME, PolicyDocument=text)
        return {"PolicyName": POLICY_NAME, "PolicyDocument": document}

    def read(self, ctx: Context, record: Record) -> Live | None:
        name = self.function.role_name(ctx)
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.iam.get_role_policy(RoleName=name, PolicyName=POLICY_NAME)
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["PolicyName"], "role": self.function.role_name(ctx)}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        present, wanted = _document(live["PolicyDocument"]), _least_privileges(ctx, self.function)
        if present != wanted:
            yield Change(lambda: self.create(ctx), (Field("PolicyDocument", present, wanted),))


class PowerUserAttachment(Resource):
    """The article's managed policy, which ``--power-user`` uses instead of Cognito statements."""

    key = "power_user_attachment"
    parent = "role"

    def permissions(self, settings: Settings) -> Permissions:
        read = (allow(_role_arn(SIGN_IN), "iam:ListAttachedRolePolicies"),)
        if not settings.power_user:
            return {Purpose.RECOVER: read}
        policy = "arn:PARTITION:iam::aws:policy/AmazonCognitoPowerUser"
        only: tuple[PolicyCondition, ...] = (("ArnEquals", "iam:PolicyARN", policy),)
        return {
            Purpose.FIND: read,
            Purpose.CREATE: (_bounded(SIGN_IN, settings, "iam:AttachRolePolicy", only),),
            # This only takes rights away.
            Purpose.DELETE: (allow(_role_arn(SIGN_IN), "iam:DetachRolePolicy", conditions=only),),
        }

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        return {"power_user": True}

    def create(self, ctx: Context) -> Live:
        arn = _power_user_arn(ctx)
        ctx.aws.iam.attach_role_policy(RoleName=SIGN_IN.role_name(ctx), PolicyArn=arn)
        return {"PolicyArn": arn}

    def read(self, ctx: Context, record: Record) -> Live | None:
        call = ctx.aws.iam.list_attached_role_policies
        answer = or_none(lambda: call(RoleName=SIGN_IN.role_name(ctx)))
        attached: list[Live] = answer["AttachedPolicies"] if answer else []
        return next((p for p in attached if p["PolicyArn"] == _power_user_arn(ctx)), None)

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["PolicyArn"], "role": SIGN_IN.role_name(ctx)}

    def delete(self, ctx: Context, record: Record) -> bool:
        role, arn = SIGN_IN.role_name(ctx), _power_user_arn(ctx)
        detach = ctx.aws.iam.detach_role_policy
        return deleted(lambda: detach(RoleName=role, PolicyArn=arn))


def _role_arn(function: FunctionSpec) -> str:
    return f"arn:PARTITION:iam::ACCOUNT:role/STACK-{function.role_suffix}"


def _bounded(
    function: FunctionSpec,
    settings: Settings,
    action: str,
    conditions: tuple[PolicyCondition, ...] = (),
) -> Allow:
    """Allow an action that decides what a role may do; under a boundary, only with it.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    boundary = settings.permissions_boundary
    if boundary and boundary != NO_BOUNDARY:
        conditions = (*conditions, ("StringEquals", "iam:PermissionsBoundary", "BOUNDARY"))
    return allow(_role_arn(function), action, conditions=conditions)


def check_boundary(ctx: Context, settings: Settings) -> None:
    """Raise UsageError for a permissions boundary of another account.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    boundary = settings.permissions_boundary
    if boundary in {None, NO_BOUNDARY}:
        return
    _, partition, _, _, account, _ = str(boundary).split(":", 5)
    if partition != ctx.aws.partition or account not in {"aws", ctx.aws.account}:
        raise UsageError(
            f"--permissions-boundary {boundary} can't be used: it is in another account, not "
            f"{ctx.aws.account} (partition {ctx.aws.partition}).",
            hint="Give a policy of that or of AWS.",
        )


def _power_user_arn(ctx: Context) -> str:
    return f"arn:{ctx.aws.partition}:iam::aws:policy/AmazonCognitoPowerUser"


def _wanted_boundary(ctx: Context) -> str | None:
    wanted = ctx.state.settings.permissions_boundary
    return None if wanted == NO_BOUNDARY else wanted


def _boundary(live: Live) -> str | None:
    return (live.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")


def _least_privileges(ctx: Context, function: FunctionSpec) -> dict[str, Any]:
    statements = [
        {
            "Sid": "WriteLogs",
            "Effect": "Allow",
            # No logs:CreateLogGroup: cogauth creates the groups beforehand, and a late log line
            # must not recreate a deleted one.
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [ctx.arn("logs", f"log-group:/aws/lambda/{function.name(ctx)}:*")],
        }
    ]
    if function.signs_in and not ctx.state.settings.power_user:
        statements.append(
            {
                "Sid": "SignIn",
                "Effect": "Allow",
                # SignUp and ChangePassword are not in the list: users call them without a role.
                "Action": [
                    "cognito-idp:AdminGetUser",
                    "cognito-idp:AdminInitiateAuth",
                    "cognito-idp:AdminRespondToAuthChallenge",
                    "cognito-idp:DescribeUserPoolClient",
                ],
                "Resource": [ctx.fact("user_pool", "arn")],
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _document(document: Any) -> Any:
    # botocore decodes AWS's policy documents; some emulators' arrive as text.
    return json.loads(document) if isinstance(document, str) else document
