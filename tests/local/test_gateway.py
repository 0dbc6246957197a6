"""Deployed REST APIs on the local AWS answer as AWS does, whether they refuse or allow."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.exceptions import ClientError

from cogauth.local.process import FOLDER
from support.local_aws import client, own_local_aws
from support.names import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cogauth.local.process import LocalAws

pytestmark = pytest.mark.local

JSON = "application/json"
PASSWORD = "Correct-Horse-1"
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
class World:
    """The local AWS of this module's tests, and its functions."""

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
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", CODE)
        name = f"function-{len(self.made)}"
        self.made.append(name)
        answer = self.lambda_.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=f"arn:aws:iam::{self.account}:role/function",
            Handler=f"index.{handler}",
            Code={"ZipFile": packed.getvalue()},
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

    world: World
    id: str
    resources: dict[str, str]

    def resource(self, path: str) -> str:
        if path not in self.resources:
            parent, _, part = path.rpartition("/")
            self.resources[path] = self.world.apigateway.create_resource(
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
        gateway = self.world.apigateway
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
            self.world.apigateway.put_method_response(
                **place, statusCode=status, responseParameters=declared
            )
            self.world.apigateway.put_integration_response(**place, statusCode=status, **response)

    def deploy(self, stage: str = "s", **how: Any) -> str:
        answer = self.world.apigateway.create_deployment(restApiId=self.id, stageName=stage, **how)
        return str(answer["id"])

    def call(
        self, path: str = "/x", verb: str = "POST", stage: str = "s", **how: Any
    ) -> requests.Response:
        url = f"{self.world.endpoint_url}/restapis/{self.id}/{stage}/_user_request_{path}"
        return requests.request(verb, url, timeout=30, **how)


def uri_of(function: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


def mock(text: str = '{"statusCode": 200}', **more: Any) -> dict[str, Any]:
    return {"type": "MOCK", "requestTemplates": {JSON: text}, **more}


def says(text: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A single response, with a template."""
    return {"200": {"responseTemplates": {JSON: text}, **more}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("local")
    with own_local_aws(folder) as local:
        world = World(local, folder / FOLDER / "ministack.log", local.start().endpoint_url)
        world.account = world.sts.get_caller_identity()["Account"]
        trust = {"Service": "lambda.amazonaws.com"}
        for policy, call in (
            ({"Principal": trust, "Action": "sts:AssumeRole"}, "create_role"),
            ({"Resource": "*", "Action": "apigateway:GET"}, "put_role_policy"),
        ):
            statement = {"Effect": "Allow", **policy}
            text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            if call == "create_role":
                world.iam.create_role(RoleName="function", AssumeRolePolicyDocument=text)
            else:
                world.iam.put_role_policy(
                    RoleName="function", PolicyName="read", PolicyDocument=text
                )
        yield world


@pytest.fixture(scope="module")
def echo(world: World) -> str:
    """A function that returns its event, and that any API may invoke."""
    arn = world.function("echo")
    world.let(arn, "*")
    return arn


# What ministack must have


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ("del v1._invoke_mock_v1", "function services.apigateway_v1._invoke_mock_v1"),
        ("v1._gw_error = lambda kind: None", "function services.apigateway_v1._gw_error"),
        ("del v1._models", "AccountRegionScopedDict services.apigateway_v1._models"),
        ("v1._resources = {}", "AccountRegionScopedDict services.apigateway_v1._resources"),
        ("del policies.EvalContext", "function core.iam_evaluator.EvalContext"),
    ],
)
@pytest.mark.sample(3)
def test_a_ministack_without_what_is_replaced_or_called_doesnt_start(
    change: str, gone: str
) -> None:
    program = f"""
import ministack.app, ministack.core.iam_evaluator as policies
import ministack.services.apigateway_v1 as v1
ministack.app.main = lambda: print("serves")
{change}
import sys
from cogauth.aws.environment import Keys
from cogauth.local import hooks, server
try:
    server.serve(Keys.new())
except hooks.HookError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"has no {gone}" in done.stderr
    assert "install cogauth with that extra again" in done.stderr
    assert "Traceback" not in done.stderr


# A function behind a non-proxy integration


@pytest.mark.parametrize(
    "event",
    [{"username": "ann", "deep": {"é": [1, 2.5, None, True]}}, [1, {"a": 2}], "text", 7, None],
)
def test_the_requests_json_is_the_functions_event(world: World, echo: str, event: Any) -> None:
    api = world.api()
    api.method(integration={"type": "AWS", "function": echo})
    api.deploy()
    answer = api.call(data=json.dumps(event))
    assert (answer.status_code, answer.json()) == (200, event)
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize("body", ["", " \n"])
def test_of_an_empty_body_the_event_is_an_empty_object(world: World, echo: str, body: str) -> None:
    api = world.api()
    api.method(integration={"type": "AWS", "function": echo})
    api.deploy()
    answer = api.call(data=body)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    "body",
    [
        b'{"password": "secret-word"',
        b"username=ann&password=secret-word",
        b'{"a": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": 1} {"b": 2}',
    ],
)
def test_a_body_that_is_no_json_is_refused_by_the_gateway(
    world: World, echo: str, body: bytes
) -> None:
    api = world.api()
    api.method(integration={"type": "AWS", "function": echo})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    world.apigateway.put_gateway_response(
        restApiId=api.id, responseType="DEFAULT_4XX", responseParameters=origin
    )
    api.deploy()
    answer = api.call(data=body, headers={"Content-Type": JSON})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Could not parse request body into json")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "secret-word" not in answer.text + world.log()


def test_a_request_template_makes_the_event(world: World, echo: str) -> None:
    template = """{
        "body": $input.json('$'), "name": $input.json('$.user.name'),
        "first": $input.json("$.tags[0]"), "none": $input.json('$.nope'),
        "path": "$input.params('id')", "query": "$input.params('q')",
        "header": "$input.params().header.get('X-Thing')",
        "sum": "$util.escapeJavaScript($input.path('$.user.name')).replaceAll("\\\\'", "'")",
        "coded": "$util.base64Encode('ab') $util.base64Decode('YWI=') $util.urlEncode('a b')",
        "decoded": "$util.urlDecode('a%20b')", "parsed": "$util.parseJson('{"a": "b"}').a",
        "stage": "$stageVariables.colour", "id": "$context.requestId", "api": "$context.apiId",
        "where": "$context.stage $context.httpMethod $context.resourcePath",
        "from": "$context.identity.sourceIp",
        "all": [#foreach($tag in $input.path('$.tags'))"$tag"#if($foreach.hasNext),#end#end]
    }"""
    api = world.api()
    api.method(
        "/users/{id}",
        integration={"type": "AWS", "function": echo, "requestTemplates": {JSON: template}},
    )
    api.deploy(variables={"colour": "blue"})
    body = {"user": {"name": 'O\'Hara "é"'}, "tags": ["x", "y"]}
    answer = api.call("/users/42?q=1&q=2", json=body, headers={"X-Thing": "thing"})
    got = answer.json()
    assert len(got.pop("id")) == 36
    assert got == {
        "body": body,
        "name": 'O\'Hara "é"',
        "first": "x",
        "none": "",
        "path": "42",
        "query": "2",
        "header": "thing",
        "sum": 'O\'Hara "é"',
        "coded": "YWI= ab a+b",
        "decoded": "a b",
        "parsed": "b",
        "stage": "blue",
        "api": api.id,
        "where": "s POST /users/{id}",
        "from": "127.0.0.1",
        "all": ["x", "y"],
    }


def test_a_form_is_text_to_a_template_of_its_own(world: World, echo: str) -> None:
    api = world.api()
    form = "application/x-www-form-urlencoded"
    templates = {form: '{"form": $input.json("$")}'}
    api.method(integration={"type": "AWS", "function": echo, "requestTemplates": templates})
    api.deploy()
    assert api.call(data={"a": "b"}).json() == {"form": "a=b"}
    # No template is for JSON, so it passes through.
    assert api.call(json={"a": "b"}).json() == {"a": "b"}
    # With a character set, it is the same content type.
    headers = {"Content-Type": f"{form}; charset=UTF-8"}
    assert api.call(data="a=c", headers=headers).json() == {"form": "a=c"}


@pytest.mark.parametrize(
    ("behavior", "templates", "status"),
    [
        ("WHEN_NO_MATCH", {"text/plain": "{}"}, 200),
        ("WHEN_NO_TEMPLATES", {}, 200),
        ("WHEN_NO_TEMPLATES", {"text/plain": "{}"}, 415),
        ("NEVER", {"text/plain": "{}"}, 415),
        ("NEVER", {}, 415),
        ("NEVER", {JSON: '{"a": 1}'}, 200),
    ],
)
def test_a_body_without_a_template_passes_as_the_integration_says(
    world: World, echo: str, behavior: str, templates: dict[str, str], status: int
) -> None:
    api = world.api()
    how = {"passthroughBehavior": behavior, "requestTemplates": templates}
    api.method(integration={"type": "AWS", "function": echo, **how})
    api.deploy()
    answer = api.call(json={"a": 1})
    refused = {"message": "Unsupported Media Type"}
    assert (answer.status_code, answer.json()) == (status, {"a": 1} if status == 200 else refused)


def test_a_template_that_makes_no_json_is_refused_too(world: World, echo: str) -> None:
    api = world.api()
    broken = {JSON: "{\"name\": $input.path('$.name')}"}
    api.method(integration={"type": "AWS", "function": echo, "requestTemplates": broken})
    api.deploy()
    answer = api.call(json={"name": "ann"})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Could not parse request body into json")


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("denied: ann", 403),
        ("she was denied", 200),  # it begins differently
        ("one\ntwo", 502),
        ("", 200),
        ("something else", 200),
    ],
)
def test_a_pattern_that_matches_all_of_the_error_chooses_the_response(
    world: World, echo: str, message: str, status: int
) -> None:
    api = world.api()
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={
            "200": {},
            "403": {
                "selectionPattern": "denied.*",
                "responseTemplates": {JSON: "{\"said\": $input.json('$.errorMessage')}"},
            },
            "502": {"selectionPattern": r"[\s\S]*\n[\s\S]*"},
        },
    )
    api.deploy()
    answer = api.call(json={"fail": message})
    assert answer.status_code == status
    said = answer.json()["said" if status == 403 else "errorMessage"]
    assert said == message


def test_a_pattern_for_everything_leaves_a_success_alone(world: World, echo: str) -> None:
    api = world.api()
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {}, "500": {"selectionPattern": r"[\s\S]*"}},
    )
    api.deploy()
    # An answer that looks like an error isn't one unless the function failed.
    answer = api.call(json={"errorMessage": "none"})
    assert (answer.status_code, answer.json()) == (200, {"errorMessage": "none"})
    assert api.call(json={"fail": "x"}).status_code == 500


@pytest.mark.parametrize("responses", [{}, {"500": {"selectionPattern": "x"}}])
def test_without_a_response_to_choose_the_gateway_answers(
    world: World, echo: str, responses: dict[str, Any]
) -> None:
    api = world.api()
    api.method(integration={"type": "AWS", "function": echo}, responses=responses)
    api.deploy()
    answer = api.call(json={})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    assert "No match for output mapping" in world.log()


def test_a_template_overrides_status_and_headers(world: World, echo: str) -> None:
    template = """#if($input.path('$.code') == 'wrong')
#set($context.responseOverride.status = 401)
#set($context.responseOverride.header.Access-Control-Allow-Origin = 'https://a.example')
#set($context.responseOverride.header['X-Code'] = $input.path('$.code'))
#end
{"code": $input.json('$.code')}"""
    api = world.api()
    headers = {"method.response.header.Access-Control-Allow-Origin": "'https://b.example'"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses=says(template, responseParameters=headers),
    )
    api.deploy()
    wrong = api.call(json={"code": "wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"code": "wrong"})
    assert wrong.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert wrong.headers["X-Code"] == "wrong"
    right = api.call(json={"code": "right"})
    assert (right.status_code, right.json()) == (200, {"code": "right"})
    assert right.headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert "X-Code" not in right.headers


@pytest.mark.parametrize(
    "template",
    [
        "#set($context.responseOverride.status = 401)#set($context.responseOverride.status = 403)",
        "$util.urlEncode($input.path('$.password').none)",
        "#set($list = [1])$list[$input.path('$.password')]",
        "$input.json('$..password')",
        "#foreach($x in $input.path('$')",
    ],
)
def test_a_template_that_cant_be_rendered_is_a_500_and_the_log_keeps_its_data_to_itself(
    world: World, echo: str, template: str
) -> None:
    api = world.api()
    api.method(integration={"type": "AWS", "function": echo}, responses=says(template))
    api.deploy()
    before = len(world.log())
    answer = api.call(json={"password": "secret-word"})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    logged = world.log()[before:]
    assert "Execution failed due to configuration error" in logged
    assert "secret-word" not in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'fixed'", "fixed"),
        ("integration.response.body.user.name", "ann"),
        ("integration.response.body.tags[1]", "2"),
        ("integration.response.body.nope", None),
        ("integration.response.header.Content-Type", JSON),
        ("integration.response.header.X-Nope", None),
        ("context.stage", "s"),
        ("context.identity.sourceIp", "127.0.0.1"),
        ("stageVariables.colour", "blue"),
    ],
)
def test_a_mapping_sets_a_header(world: World, echo: str, source: str, value: str | None) -> None:
    api = world.api()
    headers = {"method.response.header.X-Mapped": source}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseParameters": headers}},
    )
    api.deploy(variables={"colour": "blue"})
    answer = api.call(json={"user": {"name": "ann"}, "tags": ["a", 2]})
    assert answer.status_code == 200
    assert answer.headers.get("X-Mapped") == value


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html", "text/html"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        (JSON, JSON),
        ("*/*", JSON),
        ("image/png", JSON),
    ],
)
def test_the_response_is_of_the_kind_that_the_client_accepts(
    world: World, echo: str, accept: str, kind: str
) -> None:
    api = world.api()
    texts = {"text/html": "<p>$input.path('$.a')</p>", JSON: "{\"a\": $input.json('$.a')}"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseTemplates": texts}},
    )
    api.deploy()
    answer = api.call(json={"a": "b"}, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == kind
    assert answer.text == ("<p>b</p>" if kind == "text/html" else '{"a": "b"}')


# A MOCK integration


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/200", 200, "fine"), ("/404", 404, "none"), ("/409", 409, "409"), ("/201", 200, "fine")],
)
def test_a_mock_answers_by_the_status_of_its_request(
    world: World, path: str, status: int, text: str
) -> None:
    api = world.api()
    api.method(
        "/{status}",
        "GET",
        integration=mock("{\"statusCode\": $input.params('status')}"),
        responses={
            "200": {"responseTemplates": {JSON: "fine"}},
            "404": {"selectionPattern": "404", "responseTemplates": {JSON: "none"}},
            "409": {
                "selectionPattern": r"4\d\d",
                "responseTemplates": {JSON: "$input.params('status')"},
                "responseParameters": {"method.response.header.X-From": "'mock'"},
            },
        },
    )
    api.deploy()
    answer = api.call(path, "GET")
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers.get("X-From") == ("mock" if status == 409 else None)


def test_a_mock_answers_nothing_without_a_template_and_overrides_with_one(world: World) -> None:
    api = world.api()
    template = "#set($context.responseOverride.status = 418)$input.params('q')"
    api.method("/plain", "GET", integration=mock())
    api.method("/pot", "GET", integration=mock(), responses=says(template))
    api.deploy()
    plain = api.call("/plain", "GET")
    assert (plain.status_code, plain.text) == (200, "")
    pot = api.call("/pot?q=tea", "GET")
    assert (pot.status_code, pot.text) == (418, "tea")


@pytest.mark.parametrize(
    ("request_template", "status"),
    [
        ("{statusCode:200}", 200),
        ('{"statusCode": 200,}', 200),
        ("{'statusCode': 200}", 200),
        ('{"statusCode": "200"}', 500),
        ('{"status": 200}', 500),
        ("{}", 500),
        ("[]", 500),
        ("", 500),
    ],
)
def test_a_mock_needs_a_status_but_not_quite_json(
    world: World, request_template: str, status: int
) -> None:
    api = world.api()
    api.method(verb="GET", integration=mock(request_template))
    api.deploy()
    assert api.call(verb="GET").status_code == status


# Tokens


@pytest.fixture(scope="module")
def pool(world: World) -> dict[str, str]:
    """A user's tokens, and the pool's ARN."""
    cognito = client("cognito-idp", world.endpoint_url)
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


@pytest.mark.parametrize(
    ("scopes", "token", "status"),
    [
        ([], "id", 200),
        ([], "access", 401),
        ([], "none", 401),
        (["aws.cognito.signin.user.admin"], "access", 200),
        (["other", "aws.cognito.signin.user.admin"], "access", 200),
        (["aws.cognito.signin.user.admin"], "id", 401),
        (["other"], "access", 401),
    ],
)
def test_a_method_takes_id_tokens_or_with_scopes_access_tokens(
    world: World, pool: dict[str, str], scopes: list[str], token: str, status: int
) -> None:
    api = world.api()
    authorizer = world.apigateway.create_authorizer(
        restApiId=api.id,
        name="pool",
        type="COGNITO_USER_POOLS",
        providerARNs=[pool["arn"]],
        identitySource="method.request.header.Authorization",
    )
    api.method(
        verb="GET",
        integration=mock(),
        responses=says("$context.authorizer.claims.token_use"),
        authorizationType="COGNITO_USER_POOLS",
        authorizerId=authorizer["id"],
        authorizationScopes=scopes,
    )
    api.deploy()
    answer = api.call(verb="GET", headers={"Authorization": pool.get(token, "")})
    assert answer.status_code == status
    if status == 200:
        assert answer.text == token
    else:
        assert answer.json() == {"message": "Unauthorized"}


# Permissions


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
@pytest.mark.parametrize(
    ("source", "more", "status"),
    [
        ("{api}/s/POST/users/{id}", {}, 200),
        ("{api}/*/POST/users/*", {}, 200),
        ("{api}/*", {}, 200),
        ("*", {"SourceAccount": "{account}"}, 200),
        ("{api}/*/POST/users/42", {}, 500),  # the request's path, not the resource's
        ("{api}/*/GET/users/*", {}, 500),
        ("{api}/t/POST/users/*", {}, 500),
        ("other/*/POST/users/*", {}, 500),
        ("{api}/*/POST/users", {}, 500),
        ("{api}/*", {"SourceAccount": "123456789012"}, 500),
        ("{api}/*", {"Principal": "cognito-idp.amazonaws.com"}, 500),
        ("{api}/*", {"Principal": "123456789012"}, 500),
        ("{api}/*", {"Action": "lambda:GetFunction"}, 500),
        (None, {}, 500),
    ],
)
def test_a_function_runs_only_for_whom_its_policy_lets(
    world: World, kind: str, source: str | None, more: dict[str, str], status: int
) -> None:
    function = world.function("echo")
    api = world.api()
    if source is not None:
        # Not with format(): {id} must stay as it is.
        filled = source.replace("{api}", api.id)
        more = {name: text.replace("{account}", world.account) for name, text in more.items()}
        world.let(function, filled, **more)
    api.method("/users/{id}", integration={"type": kind, "function": function})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    world.apigateway.put_gateway_response(
        restApiId=api.id, responseType="DEFAULT_5XX", responseParameters=origin
    )
    api.deploy()
    before = len(world.log())
    answer = api.call("/users/42", json={"statusCode": 200, "a": 1})
    logged = f"Invalid permissions on Lambda function: the policy of {function}"
    if status == 200:
        assert answer.status_code == 200
        assert logged not in world.log()[before:]
    else:
        assert (answer.status_code, answer.json()) == (500, INTERNAL)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert (
            f"invoke it for arn:aws:execute-api:{REGION}:{world.account}:{api.id}/s/POST"
            in (world.log()[before:])
        )
        assert logged in world.log()[before:]


def test_a_proxied_function_that_fails_is_answered_for_by_the_gateway(world: World) -> None:
    function = world.function("proxied")
    world.let(function, "*")
    api = world.api()
    for path in ("/fails", "/answers", "/name", "/value", "/status"):
        api.method(path, integration={"type": "AWS_PROXY", "function": function})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    world.apigateway.put_gateway_response(
        restApiId=api.id, responseType="DEFAULT_5XX", responseParameters=origin
    )
    api.deploy()
    failed = api.call("/fails")
    assert (failed.status_code, failed.json()) == (502, INTERNAL)
    assert failed.headers["x-amzn-ErrorType"] == "InternalServerErrorException"
    assert failed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    for path in ("/name", "/value", "/status"):
        assert (api.call(path).status_code, api.call(path).json()) == (502, INTERNAL)
    own = api.call("/answers")
    assert (own.status_code, own.text) == (502, "its own")
    assert "x-amzn-ErrorType" not in own.headers


@pytest.mark.parametrize(("verb", "status"), [("*", 200), ("GET", 500), ("ANY", 500)])
def test_a_method_any_needs_a_permission_for_any(world: World, verb: str, status: int) -> None:
    function = world.function("echo")
    api = world.api()
    world.let(function, f"{api.id}/*/{verb}/x")
    api.method(verb="ANY", integration={"type": "AWS", "function": function})
    api.deploy()
    assert api.call(verb="GET").status_code == status


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
def test_an_integration_with_a_role_needs_no_permission(world: World, kind: str) -> None:
    api = world.api()
    role = f"arn:aws:iam::{world.account}:role/function"
    integration = {"type": kind, "function": world.function("echo"), "credentials": role}
    api.method(integration=integration)
    api.deploy()
    assert api.call(json={"statusCode": 200}).status_code == 200


def test_a_permission_is_for_the_alias_that_it_names(world: World) -> None:
    function = world.function("echo")
    world.lambda_.publish_version(FunctionName=function)
    world.lambda_.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    api = world.api()
    world.let(function, f"{api.id}/*", Qualifier="live")
    api.method("/alias", integration={"type": "AWS", "function": f"{function}:live"})
    api.method("/latest", integration={"type": "AWS", "function": function})
    api.method("/gone", integration={"type": "AWS", "function": f"{function}-gone"})
    api.deploy()
    assert [api.call(path).status_code for path in ("/alias", "/latest", "/gone")] == [
        200,
        500,
        500,
    ]


@pytest.mark.parametrize(
    ("source", "more", "status"),
    [
        ("{api}/authorizers/{authorizer}", {}, 200),
        ("{api}/*", {}, 200),
        ("{api}/authorizers/other", {}, 500),
        ("other/authorizers/{authorizer}", {}, 500),
        ("{api}/*/GET/x", {}, 500),
        (None, {}, 500),
        (None, {"authorizerCredentials": "arn:aws:iam::{account}:role/function"}, 200),
    ],
)
def test_a_lambda_authorizer_needs_a_permission_of_its_own(
    world: World, source: str | None, more: dict[str, str], status: int
) -> None:
    function = world.function("let_in")
    api = world.api()
    authorizer = world.apigateway.create_authorizer(
        restApiId=api.id,
        name="function",
        type="TOKEN",
        authorizerUri=uri_of(function),
        identitySource="method.request.header.Authorization",
        **{name: text.format(account=world.account) for name, text in more.items()},
    )["id"]
    if source is not None:
        world.let(function, source.format(api=api.id, authorizer=authorizer))
    api.method(
        verb="GET",
        integration=mock(),
        responses=says("$context.authorizer.principalId $context.authorizer.team"),
        authorizationType="CUSTOM",
        authorizerId=authorizer,
    )
    world.apigateway.put_gateway_response(
        restApiId=api.id, responseType="AUTHORIZER_CONFIGURATION_ERROR", statusCode="599"
    )
    api.deploy()
    before = len(world.log())
    answer = api.call(verb="GET", headers={"Authorization": "x"})
    assert answer.status_code == (599 if status == 500 else 200)
    if status == 200:
        assert answer.text == "ann blue"
    else:
        assert answer.json() == INTERNAL
        assert f"{api.id}/authorizers/{authorizer}" in world.log()[before:]


# Deployments


def serves(api: Api, stage: str = "s") -> tuple[int, str]:
    answer = api.call(verb="GET", stage=stage)
    return answer.status_code, answer.text


def test_a_stage_serves_what_was_deployed_through_changes_stops_and_rollbacks(
    world: World,
) -> None:
    api = world.api()
    api.method(verb="GET", integration=mock(), responses=says("one"))
    first = api.deploy()
    api.respond("/x", "GET", says("two"))
    api.method("/new", "GET", integration=mock(), responses=says("new"))
    assert serves(api) == (200, "one")
    assert api.call("/new", "GET").status_code == 403
    second = api.deploy()
    assert serves(api) == (200, "two")
    assert api.call("/new", "GET").text == "new"
    api.respond("/x", "GET", says("three"))

    world.local.stop()
    assert world.local.start().endpoint_url == world.endpoint_url
    assert serves(api) == (200, "two")

    def move(deployment: str) -> None:
        operation = {"op": "replace", "path": "/deploymentId", "value": deployment}
        world.apigateway.update_stage(restApiId=api.id, stageName="s", patchOperations=[operation])

    move(first)
    assert serves(api) == (200, "one")
    assert api.call("/new", "GET").status_code == 403
    move(second)
    assert serves(api) == (200, "two")
    # Another stage, with the current API.
    api.deploy("t")
    assert (serves(api), serves(api, "t")) == ((200, "two"), (200, "three"))


def test_a_stage_is_put_on_a_deployment_that_is_there(world: World) -> None:
    api = world.api()
    api.method(verb="GET", integration=mock(), responses=says("deployed"))
    deployment = api.deploy()
    api.respond("/x", "GET", says("changed"))
    gateway, place = world.apigateway, {"restApiId": api.id, "stageName": "s"}
    operation = {"op": "replace", "path": "/deploymentId", "value": "unknown0"}
    for refused, code, call in (
        (
            "Deployment id does not exist",
            "BadRequestException",
            lambda: gateway.update_stage(**place, patchOperations=[operation]),
        ),
        (
            "Deployment id does not exist",
            "BadRequestException",
            lambda: gateway.create_stage(**{**place, "stageName": "t"}, deploymentId="unknown0"),
        ),
        (
            "Stage already exists",
            "ConflictException",
            lambda: gateway.create_stage(**place, deploymentId=deployment),
        ),
    ):
        with pytest.raises(ClientError, match=f"{code}.*{refused}"):
            call()
    assert serves(api) == (200, "deployed")
    assert [one["stageName"] for one in gateway.get_stages(restApiId=api.id)["item"]] == ["s"]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "\x7f"])
def test_a_header_that_cant_be_sent_is_a_misconfiguration(
    world: World, echo: str, value: str
) -> None:
    api = world.api()
    mapped = {"method.response.header.X-Got": "integration.response.body.got"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseParameters": mapped}},
    )
    api.deploy()
    assert api.call(json={"got": "fine, é"}).headers["X-Got"]
    answer = api.call(json={"got": value})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    assert "X-Evil" not in answer.headers


def test_what_is_deleted_is_served_until_the_next_deployment(
    world: World, pool: dict[str, str], echo: str
) -> None:
    gateway, api = world.apigateway, world.api()
    authorizer = gateway.create_authorizer(
        restApiId=api.id,
        name="pool",
        type="COGNITO_USER_POOLS",
        providerARNs=[pool["arn"]],
        identitySource="method.request.header.Authorization",
    )["id"]
    api.method(
        verb="GET",
        integration=mock(),
        responses=says("guarded"),
        authorizationType="COGNITO_USER_POOLS",
        authorizerId=authorizer,
    )
    gateway.create_model(
        restApiId=api.id,
        name="Named",
        contentType=JSON,
        schema='{"type": "object", "required": ["name"]}',
    )
    validator = gateway.create_request_validator(restApiId=api.id, validateRequestBody=True)["id"]
    api.method(
        "/checked",
        integration={"type": "AWS", "function": echo},
        requestValidatorId=validator,
        requestModels={JSON: "Named"},
    )
    api.method("/kept", "GET", integration=mock(), responses=says("kept"))
    api.deploy()

    def answers() -> list[int]:
        token = {"Authorization": pool["id"]}
        return [
            api.call(verb="GET").status_code,
            api.call(verb="GET", headers=token).status_code,
            api.call("/checked", json={"name": "ann"}).status_code,
            api.call("/checked", json={"nobody": "ann"}).status_code,
            api.call("/kept", "GET").status_code,
        ]

    deployed = [401, 200, 200, 400, 200]
    assert answers() == deployed
    place = {"restApiId": api.id, "resourceId": api.resources["/x"], "httpMethod": "GET"}
    gateway.update_method(
        **place,
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}],
    )
    gateway.delete_authorizer(restApiId=api.id, authorizerId=authorizer)
    gateway.delete_model(restApiId=api.id, modelName="Named")
    gateway.delete_request_validator(restApiId=api.id, requestValidatorId=validator)
    gateway.delete_resource(restApiId=api.id, resourceId=api.resources["/kept"])
    # The control plane shows the current API.
    assert "/kept" not in {r["path"] for r in gateway.get_resources(restApiId=api.id)["items"]}
    assert gateway.get_authorizers(restApiId=api.id)["items"] == []
    assert gateway.get_method(**place)["authorizationType"] == "NONE"
    assert answers() == deployed
    api.deploy()
    assert answers() == [200, 200, 200, 200, 403]


def test_the_apis_policy_acts_as_it_was_deployed_and_stage_settings_act_at_once(
    world: World,
) -> None:
    gateway, api = world.apigateway, world.api()
    api.method(verb="GET", integration=mock(), responses=says("$stageVariables.colour"))
    api.deploy(variables={"colour": "blue"})
    everyone = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **everyone}]}
    denied = {"op": "replace", "path": "/policy", "value": json.dumps(policy)}
    gateway.update_rest_api(restApiId=api.id, patchOperations=[denied])
    green = {"op": "replace", "path": "/variables/colour", "value": "green"}
    gateway.update_stage(restApiId=api.id, stageName="s", patchOperations=[green])
    assert serves(api) == (200, "green")
    api.deploy()
    assert serves(api)[0] == 403


def test_a_function_sees_the_api_as_it_stands_while_its_stage_serves_what_was_deployed(
    world: World,
) -> None:
    function = world.function("look")
    api = world.api()
    world.let(function, f"{api.id}/*")
    api.method(integration={"type": "AWS", "function": function})
    api.deploy()
    api.method("/later", "GET", integration=mock())
    answer = api.call(json={"api": api.id})
    assert (answer.status_code, answer.json()) == (200, ["/", "/x", "/later"])
    assert api.call("/later", "GET").status_code == 403


def test_an_api_without_methods_or_with_an_unfinished_one_is_not_deployed(world: World) -> None:
    gateway, api = world.apigateway, world.api()

    def refusal() -> tuple[str, str]:
        with pytest.raises(ClientError) as caught:
            api.deploy()
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    api.resource("/x")
    assert refusal() == ("BadRequestException", "The REST API doesn't contain any methods")
    place = {"restApiId": api.id, "resourceId": api.resources["/x"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    assert refusal() == ("BadRequestException", "No integration defined for method")
    assert gateway.get_deployments(restApiId=api.id)["items"] == []
    assert gateway.get_stages(restApiId=api.id)["item"] == []
    with pytest.raises(ClientError) as caught:
        gateway.create_deployment(restApiId="none")
    assert caught.value.response["Error"]["Code"] == "NotFoundException"


def test_a_deployment_stays_as_long_as_a_stage_is_on_it_and_ends_with_the_api(
    world: World,
) -> None:
    gateway, api = world.apigateway, world.api()
    api.method(verb="GET", integration=mock(), responses=says("one"))
    first = api.deploy()
    with pytest.raises(ClientError) as caught:
        gateway.delete_deployment(restApiId=api.id, deploymentId=first)
    assert caught.value.response["Error"]["Code"] == "BadRequestException"
    assert serves(api) == (200, "one")
    api.deploy()
    gateway.delete_deployment(restApiId=api.id, deploymentId=first)
    assert serves(api) == (200, "one")
    # The copies aren't shown.
    (deployment,) = gateway.get_deployments(restApiId=api.id)["items"]
    assert set(deployment) <= {"id", "description", "createdDate", "apiSummary"}
    gateway.delete_rest_api(restApiId=api.id)
    assert api.call(verb="GET").status_code in {403, 404}
