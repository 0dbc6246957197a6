"""Deployed REST APIs on the local AWS answer as AWS does, whether they refuse or allow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.local_gateway import INTERNAL, JSON, LocalGateway, mock, says, uri_of

pytestmark = pytest.mark.local


# A function behind a non-proxy integration


@pytest.mark.parametrize(
    "event",
    [{"username": "ann", "deep": {"é": [1, 2.5, None, True]}}, [1, {"a": 2}], "text", 7, None],
)
def test_the_requests_json_is_the_functions_event(
    there: LocalGateway, echo: str, event: Any
) -> None:
    api = there.api()
    api.method(integration={"type": "AWS", "function": echo})
    api.deploy()
    answer = api.call(data=json.dumps(event))
    assert (answer.status_code, answer.json()) == (200, event)
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize("body", ["", " \n"])
def test_of_an_empty_body_the_event_is_an_empty_object(
    there: LocalGateway, echo: str, body: str
) -> None:
    api = there.api()
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
    there: LocalGateway, echo: str, body: bytes
) -> None:
    api = there.api()
    api.method(integration={"type": "AWS", "function": echo})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    there.apigateway.put_gateway_response(
        restApiId=api.id, responseType="DEFAULT_4XX", responseParameters=origin
    )
    api.deploy()
    answer = api.call(data=body, headers={"Content-Type": JSON})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Could not parse request body into json")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "secret-word" not in answer.text + there.log()


# Tokens


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
    there: LocalGateway, pool: dict[str, str], scopes: list[str], token: str, status: int
) -> None:
    api = there.api()
    authorizer = there.apigateway.create_authorizer(
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


def test_a_proxied_function_that_fails_is_answered_for_by_the_gateway(there: LocalGateway) -> None:
    function = there.function("proxied")
    there.let(function, "*")
    api = there.api()
    for path in ("/fails", "/answers", "/name", "/value", "/status"):
        api.method(path, integration={"type": "AWS_PROXY", "function": function})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    there.apigateway.put_gateway_response(
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
def test_a_method_any_needs_a_permission_for_any(
    there: LocalGateway, verb: str, status: int
) -> None:
    function = there.function("echo")
    api = there.api()
    there.let(function, f"{api.id}/*/{verb}/x")
    api.method(verb="ANY", integration={"type": "AWS", "function": function})
    api.deploy()
    assert api.call(verb="GET").status_code == status


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
def test_an_integration_with_a_role_needs_no_permission(there: LocalGateway, kind: str) -> None:
    api = there.api()
    role = f"arn:aws:iam::{there.account}:role/function"
    integration = {"type": kind, "function": there.function("echo"), "credentials": role}
    api.method(integration=integration)
    api.deploy()
    assert api.call(json={"statusCode": 200}).status_code == 200


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
    there: LocalGateway, source: str | None, more: dict[str, str], status: int
) -> None:
    function = there.function("let_in")
    api = there.api()
    authorizer = there.apigateway.create_authorizer(
        restApiId=api.id,
        name="function",
        type="TOKEN",
        authorizerUri=uri_of(function),
        identitySource="method.request.header.Authorization",
        **{name: text.format(account=there.account) for name, text in more.items()},
    )["id"]
    if source is not None:
        there.let(function, source.format(api=api.id, authorizer=authorizer))
    api.method(
        verb="GET",
        integration=mock(),
        responses=says("$context.authorizer.principalId $context.authorizer.team"),
        authorizationType="CUSTOM",
        authorizerId=authorizer,
    )
    there.apigateway.put_gateway_response(
        restApiId=api.id, responseType="AUTHORIZER_CONFIGURATION_ERROR", statusCode="599"
    )
    api.deploy()
    before = len(there.log())
    answer = api.call(verb="GET", headers={"Authorization": "x"})
    assert answer.status_code == (599 if status == 500 else 200)
    if status == 200:
        assert answer.text == "ann blue"
    else:
        assert answer.json() == INTERNAL
        assert f"{api.id}/authorizers/{authorizer}" in there.log()[before:]
