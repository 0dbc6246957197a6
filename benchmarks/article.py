"""The article's way: its console steps as one plain boto3 script, one call after another.

It works like a good tutorial: a fixed pause for the new role, boto3's own waiters for the
functions, no state file, no final check. It runs in its own process, for comparison with cogauth:

    python -P article.py up      creates the stack, and prints its ids as JSON
    python -P article.py down    reads the ids from stdin, and deletes the stack

Endpoint, region and credentials come from the environment.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3

NAME = "article"
# The usual pause in tutorials and scripts. On the simulated AWS, a role needs 8 s.
PAUSE_FOR_THE_ROLE_S = 10
RUNTIME = "python3.14"
POLICY = "arn:aws:iam::aws:policy/AmazonCognitoPowerUser"
AUTO_CONFIRM = """\
def lambda_handler(event, context):
    event["response"]["autoConfirmUser"] = True
    return event
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def _clients() -> list[Any]:
    make: Any = boto3.client  # its overloads ask for a literal name
    return [make(name) for name in ("cognito-idp", "iam", "lambda", "apigateway")]


def _zip(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lambda_function.py", source)
    return buffer.getvalue()


def up() -> dict[str, str]:
    """Create the stack; return its ids."""
    cognito, iam, lambda_, api = _clients()
    pool = cognito.create_user_pool(PoolName=NAME)["UserPool"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool["Id"],
        ClientName=NAME,
        GenerateSecret=True,
        ExplicitAuthFlows=["ADMIN_NO_SRP_AUTH"],
    )["UserPoolClient"]

    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.attach_role_policy(RoleName=NAME, PolicyArn=POLICY)
    time.sleep(PAUSE_FOR_THE_ROLE_S)

    environment = {
        "USER_POOL_ID": pool["Id"],
        "CLIENT_ID": client["ClientId"],
        "CLIENT_SECRET": client["ClientSecret"],
    }
    arns = _create_functions(lambda_, role["Arn"], environment)
    lambda_.add_permission(
        FunctionName="autoConfirmUserFunction",
        StatementId="cognito",
        Action="lambda:InvokeFunction",
        Principal="cognito-idp.amazonaws.com",
        SourceArn=pool["Arn"],
    )
    cognito.update_user_pool(
        UserPoolId=pool["Id"], LambdaConfig={"PreSignUp": arns["autoConfirmUserFunction"]}
    )

    rest_api = _create_api(api, lambda_, pool["Arn"], arns["signInFunction"])
    return {"rest_api": rest_api, "user_pool": pool["Id"], **environment}


def _create_functions(lambda_: Any, role: str, environment: dict[str, str]) -> dict[str, str]:
    functions = {
        "signInFunction": Path(__file__).with_name("article_handler.py").read_text(),
        "autoConfirmUserFunction": AUTO_CONFIRM,
    }
    arns = {}
    for name, source in functions.items():
        arns[name] = lambda_.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=role,
            Handler="lambda_function.lambda_handler",
            Code={"ZipFile": _zip(source)},
            Environment={"Variables": environment if name == "signInFunction" else {}},
        )["FunctionArn"]
        lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    return arns


def _create_api(api: Any, lambda_: Any, pool: str, function: str) -> str:
    made = api.create_rest_api(name=NAME, endpointConfiguration={"types": ["REGIONAL"]})
    rest_api = str(made["id"])
    root = api.get_resources(restApiId=rest_api)["items"][0]["id"]
    region, account = function.split(":")[3:5]
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations"
    sign_in = api.create_resource(restApiId=rest_api, parentId=root, pathPart="signin")["id"]
    place = {"restApiId": rest_api, "resourceId": sign_in, "httpMethod": "POST"}
    api.put_method(**place, authorizationType="NONE")
    api.put_integration(**place, type="AWS", integrationHttpMethod="POST", uri=uri)
    _put_responses(api, place, {})
    lambda_.add_permission(
        FunctionName="signInFunction",
        StatementId="apigateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{region}:{account}:{rest_api}/*/POST/signin",
    )

    authorizer = api.create_authorizer(
        restApiId=rest_api,
        name=NAME,
        type="COGNITO_USER_POOLS",
        providerARNs=[pool],
        identitySource="method.request.header.Authorization",
    )["id"]
    hello = api.create_resource(restApiId=rest_api, parentId=root, pathPart="hello")["id"]
    place = {"restApiId": rest_api, "resourceId": hello, "httpMethod": "GET"}
    api.put_method(**place, authorizationType="COGNITO_USER_POOLS", authorizerId=authorizer)
    api.put_integration(
        **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    _put_responses(api, place, {"application/json": '{"message": "hello"}'})
    api.create_deployment(restApiId=rest_api, stageName="dev")
    return rest_api


def _put_responses(api: Any, place: dict[str, str], templates: dict[str, str]) -> None:
    api.put_method_response(**place, statusCode="200")
    api.put_integration_response(**place, statusCode="200", responseTemplates=templates)


def down(ids: dict[str, str]) -> None:
    """Delete the stack."""
    cognito, iam, lambda_, api = _clients()
    api.delete_rest_api(restApiId=ids["rest_api"])
    lambda_.delete_function(FunctionName="autoConfirmUserFunction")
    lambda_.delete_function(FunctionName="signInFunction")
    iam.detach_role_policy(RoleName=NAME, PolicyArn=POLICY)
    iam.delete_role(RoleName=NAME)
    cognito.delete_user_pool(UserPoolId=ids["user_pool"])


if __name__ == "__main__":
    if sys.argv[1:] == ["up"]:
        print(json.dumps(up()))  # noqa: T201 its result
    else:
        down(json.load(sys.stdin))
