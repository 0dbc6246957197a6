"""The console's IAM page: the role that both functions run as, with the least it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cogauth.context import SERVICE_PRINCIPALS
from cogauth.steps.base import Change, Live, Resource, deleted, or_none
from cogauth.steps.lambda_ import AUTO_CONFIRM, SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.state import Record

GONE = "NoSuchEntity"
POLICY_NAME = "cogauth"


class Role(Resource):
    """The role: Lambda may assume it, no one else."""

    key = "role"
    taken = "EntityAlreadyExists"
    # Some seconds pass until Lambda can assume it; whatever doesn't need it is made meanwhile.
    urgent = True
    # Lambda keeps a grant to the very role that a function was made with; another role of the
    # same name and ARN doesn't have it.
    outdates_when_made = (SIGN_IN.key, AUTO_CONFIRM.key)

    def name(self, ctx: Context) -> str:
        """Return the role's name, which is unique in an account."""
        return _role_name(ctx)

    def create(self, ctx: Context) -> Live:
        """Make the role. It may take some seconds until Lambda can assume it."""
        return ctx.aws.iam.create_role(
            RoleName=_role_name(ctx),
            AssumeRolePolicyDocument=json.dumps(_trust_policy()),
            Description=f"What the functions of the cogauth stack {ctx.stack} may do",
            Tags=[{"Key": key, "Value": value} for key, value in ctx.tags.items()],
        )["Role"]

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the role by its name, which is unique in an account."""
        del record
        answer = or_none(lambda: ctx.aws.iam.get_role(RoleName=_role_name(ctx)), GONE)
        return answer and answer["Role"]  # type: ignore[no-any-return]

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the role's name and ARN."""
        del ctx
        return {"id": live["RoleName"], "arn": live["Arn"]}

    def tags(self, live: Live) -> dict[str, str]:
        """Return the role's tags."""
        return {tag["Key"]: tag["Value"] for tag in live.get("Tags", [])}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the trust policy."""
        if _document(live["AssumeRolePolicyDocument"]) != _trust_policy():
            yield Change(
                "restore its trust policy",
                lambda: ctx.aws.iam.update_assume_role_policy(
                    RoleName=_role_name(ctx), PolicyDocument=json.dumps(_trust_policy())
                ),
            )

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for policies that somebody else gave it: with one left IAM deletes no role."""
        live, iam, role = self.read(ctx, record), ctx.aws.iam, record["id"]
        if live is None or not ctx.owns(self.tags(live)):
            return
        ours = {POLICY_NAME, (ctx.state.record("role", PowerUserAttachment.key) or {}).get("id")}
        for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            if policy["PolicyArn"] not in ours:
                yield (
                    f"The role {role} has the policy {policy['PolicyName']}, which isn't this "
                    "stack's. Remove it in the console (IAM, Roles, the role), or by 'aws iam "
                    f"detach-role-policy --role-name {role} --policy-arn {policy['PolicyArn']}'."
                )
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            if name not in ours:
                yield (
                    f"The role {role} has the inline policy {name}, which isn't this stack's. "
                    "Remove it in the console (IAM, Roles, the role), or by 'aws iam "
                    f"delete-role-policy --role-name {role} --policy-name {name}'."
                )

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete the role and what is ours in it: with a policy left IAM answers DeleteConflict."""
        iam, role = ctx.aws.iam, record["id"]
        or_none(lambda: iam.delete_role_policy(RoleName=role, PolicyName=POLICY_NAME), GONE)
        if ctx.state.record("role", PowerUserAttachment.key):
            PowerUserAttachment().delete(ctx, {})
        return deleted(lambda: iam.delete_role(RoleName=role), GONE)


class RolePolicy(Resource):
    """The role's inline policy: this pool, these log groups, nothing else."""

    key = "role_policy"
    inside = "role"
    needs = ("user_pool",)

    def create(self, ctx: Context) -> Live:
        """Put the policy into the role."""
        ctx.aws.iam.put_role_policy(
            RoleName=_role_name(ctx),
            PolicyName=POLICY_NAME,
            PolicyDocument=json.dumps(_least_privileges(ctx)),
        )
        return {"PolicyName": POLICY_NAME, "PolicyDocument": _least_privileges(ctx)}

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the policy."""
        del record
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.iam.get_role_policy(RoleName=_role_name(ctx), PolicyName=POLICY_NAME),
            GONE,
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep its name and its role's."""
        return {"id": live["PolicyName"], "role": _role_name(ctx)}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the statements."""
        if _document(live["PolicyDocument"]) != _least_privileges(ctx):
            yield Change("set its statements", lambda: self.create(ctx))


class PowerUserAttachment(Resource):
    """With ``--power-user``: the article's managed policy, in place of the Cognito statements."""

    key = "power_user_attachment"
    inside = "role"

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return that it is attached."""
        del ctx, live
        return {"power_user": True}

    def wanted(self, ctx: Context) -> bool:
        """Only with ``--power-user``."""
        return ctx.state.settings.power_user

    def create(self, ctx: Context) -> Live:
        """Attach the policy; attaching it twice is no error."""
        ctx.aws.iam.attach_role_policy(RoleName=_role_name(ctx), PolicyArn=_power_user_arn(ctx))
        return {"PolicyArn": _power_user_arn(ctx)}

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Look through the role's attached policies."""
        del record
        answer = or_none(
            lambda: ctx.aws.iam.list_attached_role_policies(RoleName=_role_name(ctx)), GONE
        )
        attached: list[Live] = answer["AttachedPolicies"] if answer else []
        return next((p for p in attached if p["PolicyArn"] == _power_user_arn(ctx)), None)

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the policy's ARN and the role's name."""
        return {"id": live["PolicyArn"], "role": _role_name(ctx)}

    def delete(self, ctx: Context, record: Record) -> bool:
        """Detach the policy: ``--power-user`` was taken back."""
        del record  # an interrupted attaching left only an intent in it
        return deleted(
            lambda: ctx.aws.iam.detach_role_policy(
                RoleName=_role_name(ctx), PolicyArn=_power_user_arn(ctx)
            ),
            GONE,
        )


def _role_name(ctx: Context) -> str:
    return f"{ctx.stack}-LambdaAuthRole"


def _power_user_arn(ctx: Context) -> str:
    return f"arn:{ctx.aws.partition}:iam::aws:policy/AmazonCognitoPowerUser"


def _trust_policy() -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": SERVICE_PRINCIPALS["lambda"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def _least_privileges(ctx: Context) -> dict[str, Any]:
    statements = [
        {
            "Sid": "WriteLogs",
            "Effect": "Allow",
            # No logs:CreateLogGroup: the groups are made beforehand, and a late log line must not
            # bring one back after it was deleted.
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [
                ctx.arn("logs", f"log-group:/aws/lambda/{function.name(ctx)}:*")
                for function in (SIGN_IN, AUTO_CONFIRM)
            ],
        }
    ]
    if not ctx.state.settings.power_user:
        statements.append(
            {
                "Sid": "SignIn",
                "Effect": "Allow",
                # SignUp is not in the list: Cognito lets anyone call it who knows the client.
                "Action": [
                    "cognito-idp:AdminGetUser",
                    "cognito-idp:AdminInitiateAuth",
                    "cognito-idp:DescribeUserPoolClient",
                ],
                "Resource": [ctx.fact("user_pool", "arn")],
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _document(document: Any) -> Any:
    # botocore decodes AWS's policy documents; some emulators' arrive as text.
    return json.loads(document) if isinstance(document, str) else document
