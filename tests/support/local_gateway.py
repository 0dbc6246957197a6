"""REST APIs of a local AWS that tests deploy and call, and functions behind them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests

from support.functions import zipped
from support.local_aws import client
from support.names import PASSWORD, REGION

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.local.process import LocalAws

JSON = "application/json"
CODE = """
import json, os

def proxied(event, context):
    if event["path"].endswith("/fails"):
        raise ValueError("of which no client hears")
    odd = {
        "name": {"statusCode": 200, "headers": {"bad name": "x"}},
        "value": {"statusCode": 200, "headers": {"x": "a\\r\\nb: c"}},
        "status": {"statusCode": 99999},
    }
    if event["path"].rpartition("/")[2] in odd:
        return odd[event["path"].rpartition("/")[2]]
    return {"statusCode": 502, "body": "its own"}

def echo(event, context):
    if isinstance(event, dict) and "fail" in event:
        raise ValueError(event["fail"])
    return event

def let_in(event, context):
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "ann", "policyDocument": policy, "context": {"team": "blue"}}

def look(event, context):
    import boto3
    api = boto3.client("apigateway", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    return [item["path"] for item in api.get_resources(restApiId=event["api"])["items"]]
"""
INTERNAL = {"message": "Internal server error"}


@dataclass
class LocalGateway:
    """A local AWS, and the functions that tests make in it."""

    local: LocalAws
    log_file: Path
    endpoint_url: str
    account: str = ""
    made: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        made = client(name.rstrip("_"), self.endpoint_url)
        setattr(self, name, made)
        return made

    def log(self) -> str:
        return self.log_file.read_text()

    def function(self, handler: str) -> str:
        """Make a function; return its ARN."""
        name = f"function-{len(self.made)}"
        self.made.append(name)
        answer = self.lambda_.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=f"arn:aws:iam::{self.account}:role/function",
            Handler=f"index.{handler}",
            Code={"ZipFile": zipped(CODE)},
            Timeout=20,
        )
        return str(answer["FunctionArn"])

    def let(self, function: str, source: str, **more: str) -> None:
        """Let the gateway invoke a function; `source` is the end of the caller's ARN."""
        self.made.append(source)
        self.lambda_.add_permission(
            FunctionName=function,
            **{
                "StatementId": f"statement-{len(self.made)}",
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": f"arn:aws:execute-api:{REGION}:{self.account}:{source}",
                **more,
            },
        )

    def api(self) -> Api:
        answer = self.apigateway.create_rest_api(name="test")
        return Api(self, answer["id"], {"/": answer["rootResourceId"]})


@dataclass
class Api:
    """A REST API that a test sets up and calls."""

    there: LocalGateway
    id: str
    resources: dict[str, str]

    def resource(self, path: str) -> str:
        if path not in self.resources:
            parent, _, part = path.rpartition("/")
            self.resources[path] = self.there.apigateway.create_resource(
                restApiId=self.id, parentId=self.resource(parent or "/"), pathPart=part
            )["id"]
        return self.resources[path]

    def method(
        self,
        path: str = "/x",
        verb: str = "POST",
        *,
        integration: dict[str, Any],
        responses: dict[str, dict[str, Any]] | None = None,
        **how: Any,
    ) -> None:
        """Put a method; ``function`` in its integration is a function's ARN."""
        place = {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": verb}
        gateway = self.there.apigateway
        gateway.put_method(**place, **{"authorizationType": "NONE", **how})
        integration = dict(integration)
        if function := integration.pop("function", None):
            integration["integrationHttpMethod"] = "POST"
            integration["uri"] = uri_of(function)
        gateway.put_integration(**place, **integration)
        self.respond(path, verb, {"200": {}} if responses is None else responses)

    def respond(self, path: str, verb: str, responses: dict[str, dict[str, Any]]) -> None:
        place = {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": verb}
        for status, response in responses.items():
            declared = dict.fromkeys(response.get("responseParameters", {}), False)
            self.there.apigateway.put_method_response(
                **place, statusCode=status, responseParameters=declared
            )
            self.there.apigateway.put_integration_response(**place, statusCode=status, **response)

    def deploy(self, stage: str = "s", **how: Any) -> str:
        answer = self.there.apigateway.create_deployment(restApiId=self.id, stageName=stage, **how)
        return str(answer["id"])

    def call(
        self, path: str = "/x", verb: str = "POST", stage: str = "s", **how: Any
    ) -> requests.Response:
        url = f"{self.there.endpoint_url}/restapis/{self.id}/{stage}/_user_request_{path}"
        return requests.request(verb, url, timeout=30, **how)


def uri_of(function: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


def mock(text: str = '{"statusCode": 200}', **more: Any) -> dict[str, Any]:
    return {"type": "MOCK", "requestTemplates": {JSON: text}, **more}


def says(text: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A single response, with a template."""
    return {"200": {"responseTemplates": {JSON: text}, **more}}


@pytest.fixture(scope="session")
def there(local_folder: Path, local_aws: LocalAws) -> LocalGateway:
    url = local_aws.endpoint_url
    assert url is not None
    there = LocalGateway(local_aws, local_folder / "ministack.log", url)
    there.account = there.sts.get_caller_identity()["Account"]
    trust = {"Service": "lambda.amazonaws.com"}
    for policy, call in (
        ({"Principal": trust, "Action": "sts:AssumeRole"}, "create_role"),
        ({"Resource": "*", "Action": "apigateway:GET"}, "put_role_policy"),
    ):
        statement = {"Effect": "Allow", **policy}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        if call == "create_role":
            there.iam.create_role(RoleName="function", AssumeRolePolicyDocument=text)
        else:
            there.iam.put_role_policy(RoleName="function", PolicyName="read", PolicyDocument=text)
    return there


@pytest.fixture(scope="session")
def echo(there: LocalGateway) -> str:
    """A function that returns its event, and that any API may invoke."""
    arn = there.function("echo")
    there.let(arn, "*")
    return arn


# Tokens


@pytest.fixture(scope="session")
def pool(there: LocalGateway) -> dict[str, str]:
    """A user's tokens, and the pool's ARN."""
    cognito = client("cognito-idp", there.endpoint_url)
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]
    app = cognito.create_user_pool_client(
        UserPoolId=pool["Id"],
        ClientName="app",
        ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
    )["UserPoolClient"]
    user = {"UserPoolId": pool["Id"], "Username": "ann"}
    cognito.admin_create_user(**user, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(**user, Password=PASSWORD, Permanent=True)
    tokens = cognito.admin_initiate_auth(
        UserPoolId=pool["Id"],
        ClientId=app["ClientId"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ann", "PASSWORD": PASSWORD},
    )["AuthenticationResult"]
    return {"arn": pool["Arn"], "id": tokens["IdToken"], "access": tokens["AccessToken"]}
