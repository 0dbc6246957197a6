"""Manual changes to a stack: every kind that `up` repairs, all at once."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

from support.stacks import OTHER_TRUST

if TYPE_CHECKING:
    from cogauth.record.state import State
    from support.world import Clients


def drift(client: Clients, state: State) -> None:
    """Change everything in a stack that can be changed without replacement."""
    _change_functions(client, state)
    _change_roles(client, state)
    _change_pool(client, state)
    _change_api(client, state)


def _change_functions(client: Clients, state: State) -> None:
    lambda_ = client("lambda")
    for key, service in (("sign_in", "apigateway"), ("auto_confirm", "cognito-idp")):
        name = state.fact(f"{key}_function", "id")
        lambda_.update_function_configuration(FunctionName=name, MemorySize=1024)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"{key}.py", "def handler(event, _): return event")
        lambda_.update_function_code(FunctionName=name, ZipFile=buffer.getvalue())
        place = {"FunctionName": name, "StatementId": f"cogauth-{service}"}
        lambda_.remove_permission(**place)
        anyone = {"Action": "lambda:InvokeFunction", "Principal": f"{service}.amazonaws.com"}
        lambda_.add_permission(**place, **anyone)
        client("logs").put_retention_policy(
            logGroupName=state.fact(f"{key}_log_group", "id"), retentionInDays=1
        )


def _change_roles(client: Clients, state: State) -> None:
    iam = client("iam")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    for role in (state.fact("role", "id"), state.fact("auto_confirm_role", "id")):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=OTHER_TRUST)
        iam.put_role_policy(RoleName=role, PolicyName="cogauth", PolicyDocument=document)


def _change_pool(client: Clients, state: State) -> None:
    cognito, pool = client("cognito-idp"), state.fact("user_pool", "id")
    live = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    passwords = {**live["Policies"]["PasswordPolicy"], "MinimumLength": 6}
    kept = {name: live[name] for name in ("UserPoolTags", "LambdaConfig")}
    cognito.update_user_pool(UserPoolId=pool, Policies={"PasswordPolicy": passwords}, **kept)
    cognito.update_user_pool_client(
        UserPoolId=pool,
        ClientId=state.fact("app_client", "id"),
        ClientName=state.fact("app_client", "name"),
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )


def _change_api(client: Clients, state: State) -> None:
    api, own = client("apigateway"), {"restApiId": state.fact("rest_api", "id")}

    def replacing(path: str, value: str) -> dict[str, list[dict[str, str]]]:
        return {"patchOperations": [{"op": "replace", "path": path, "value": value}]}

    hello = {**own, "resourceId": state.fact("hello_resource", "id"), "httpMethod": "GET"}
    api.update_method(**hello, **replacing("/authorizationType", "NONE"))
    api.put_integration(
        **hello, type="HTTP", uri="https://example.com", integrationHttpMethod="GET"
    )
    api.update_authorizer(
        **own,
        authorizerId=state.fact("authorizer", "id"),
        **replacing("/identitySource", "method.request.header.X"),
    )
    rate = f"/{state.settings.path.replace('/', '~1')}/POST/throttling/rateLimit"
    api.update_stage(**own, stageName=state.settings.stage, **replacing(rate, "9999"))
