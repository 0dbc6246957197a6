"""The policies of a stack as AWS has them, and the ARNs that they refer to."""

from dataclasses import dataclass
from typing import Any

from support.account import Account
from support.stacks import AUTO_CONFIRM, AUTO_CONFIRM_ROLE, ROLE, SIGN_IN
from support.world import statements


@dataclass(frozen=True)
class Policies:
    """A stack's policies as AWS has them, and the ARNs that they refer to."""

    region: str
    account: str
    pool: str
    api: str
    trust: list[dict[str, Any]]
    role_arn: str
    role_policy: list[dict[str, Any]]
    auto_confirm_role_policy: list[dict[str, Any]]
    functions: dict[str, list[dict[str, Any]]]


def look(account: Account) -> Policies:
    """Ask AWS for the policies of a stack."""
    state, iam = account.state(), account.client("iam")
    role = iam.get_role(RoleName=ROLE)["Role"]
    policy, other = (
        iam.get_role_policy(RoleName=name, PolicyName="cogauth")["PolicyDocument"]
        for name in (ROLE, AUTO_CONFIRM_ROLE)
    )
    return Policies(
        region=account.region,
        account=account.aws.account,
        pool=state.fact("user_pool", "arn"),
        api=state.fact("rest_api", "id"),
        trust=role["AssumeRolePolicyDocument"]["Statement"],
        role_arn=role["Arn"],
        role_policy=policy["Statement"],
        auto_confirm_role_policy=other["Statement"],
        functions={name: statements(account.client, name) for name in (SIGN_IN, AUTO_CONFIRM)},
    )


def arn(stack: Policies, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{stack.region}:{stack.account}:{resource}"
