"""A new stack with default settings as AWS describes it, in each of its partitions."""

from dataclasses import dataclass
from typing import Any

import pytest
from moto import mock_aws

from cogauth.record.state import State
from support.account import Account, aws_with_clients
from support.calls import Call
from support.stacks import AUTO_CONFIRM, AUTO_CONFIRM_ROLE, ROLE, SIGN_IN
from support.world import statements

REGIONS = {
    "eu-central-1": ("aws", "amazonaws.com"),
    "cn-north-1": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-west-1": ("aws-us-gov", "amazonaws.com"),
}


@dataclass
class Built:
    """A new stack with default settings: its description by AWS, and the calls that made it."""

    account: str
    region: str
    partition: str
    suffix: str
    state: State
    text: str
    calls: list[Call]
    urls: list[str]
    pool: dict[str, Any]
    client: dict[str, Any]
    role: dict[str, Any]
    auto_confirm_role: dict[str, Any]
    auto_confirm_policies: dict[str, Any]
    attached: list[Any]
    policies: dict[str, Any]
    functions: dict[str, Any]
    groups: dict[str, Any]
    statements: dict[str, Any]
    api: dict[str, Any]
    methods: dict[str, Any]
    authorizer: dict[str, Any]
    stage: dict[str, Any]
    deployment: dict[str, Any]

    def fact(self, key: str, name: str = "id") -> str:
        return self.state.fact(key, name)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def tags(self) -> dict[str, str]:
        return {"cogauth:stack": "shop", "cogauth:stack-id": self.state.stack_id}


def describe(account: Account, calls: list[Call]) -> Built:
    """Ask AWS for all of a stack that tests look at."""
    state, ctx = account.state(), account.context()
    cognito, iam, logs = (account.client(name) for name in ("cognito-idp", "iam", "logs"))
    lambda_, gateway = account.client("lambda"), account.client("apigateway")
    pool = {"UserPoolId": state.fact("user_pool", "id")}
    app_client = {**pool, "ClientId": state.fact("app_client", "id")}
    api = {"restApiId": state.fact("rest_api", "id")}
    partition, suffix = REGIONS[account.region]

    def policies(role: str) -> dict[str, Any]:
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {
            name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }

    return Built(
        account=account.aws.account,
        region=account.region,
        partition=partition,
        suffix=suffix,
        state=state,
        text=account.path().read_text(),
        calls=calls,
        urls=[ctx.url("/signin"), ctx.issuer, ctx.jwks_url],
        pool=cognito.describe_user_pool(**pool)["UserPool"],
        client=cognito.describe_user_pool_client(**app_client)["UserPoolClient"],
        role=iam.get_role(RoleName=ROLE)["Role"],
        attached=iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"],
        policies=policies(ROLE),
        auto_confirm_role=iam.get_role(RoleName=AUTO_CONFIRM_ROLE)["Role"],
        auto_confirm_policies=policies(AUTO_CONFIRM_ROLE),
        functions={
            name: lambda_.get_function(FunctionName=name) for name in (SIGN_IN, AUTO_CONFIRM)
        },
        groups={
            group["logGroupName"]: {
                **group,
                **logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*")),
            }
            for group in logs.describe_log_groups()["logGroups"]
        },
        statements={name: statements(account.client, name) for name in (SIGN_IN, AUTO_CONFIRM)},
        api=gateway.get_rest_api(**api),
        methods={
            name: gateway.get_method(
                **api, resourceId=state.fact(f"{name}_resource", "id"), httpMethod=http_method
            )
            for name, http_method in (("sign_in", "POST"), ("hello", "GET"))
        },
        authorizer=gateway.get_authorizer(**api, authorizerId=state.fact("authorizer", "id")),
        stage=gateway.get_stage(**api, stageName="dev"),
        deployment=gateway.get_deployment(**api, deploymentId=state.fact("deployment", "id")),
    )


# By region: a stack takes moto a while, and nothing changes these.
BUILT: dict[str, Built] = {}


@pytest.fixture(params=REGIONS)
def built(
    request: pytest.FixtureRequest,
    whole_moto: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    """One stack for each partition; the tests look at how AWS describes it."""
    del whole_moto
    region = request.param
    if region not in BUILT:
        with pytest.MonkeyPatch.context() as patch, mock_aws():
            # User pools aren't available in China yet.
            patch.setenv("MOTO_ALLOW_NONEXISTENT_REGION", "true")
            account = Account(aws_with_clients(region), tmp_path_factory.mktemp("built"))
            with account.calls.watched() as calls:
                account.up()
            BUILT[region] = describe(account, calls)
    return BUILT[region]
