"""What a stage has deployed, as its summary and its export show it according to AWS's docs.

moto has neither, so the tests supply AWS's answers.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse

from cogauth.gateway import rest_apis
from cogauth.gateway.deployed import deployed, export
from cogauth.gateway.rest_apis import Guard, Issuer
from support.calls import Call, refusal
from support.exports import SCHEMES, jwt_export
from support.names import REGION

if TYPE_CHECKING:
    from cogauth.context import Context
    from support.account import Account
    from support.calls import Before


MADE = datetime(2026, 11, 24, tzinfo=UTC)


POOL = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_Deployed"


FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:pets"


SUMMARY = {
    "/hello": {"GET": {"authorizationType": "COGNITO_USER_POOLS", "apiKeyRequired": False}},
    "/signin": {"POST": {"authorizationType": "NONE", "apiKeyRequired": True}},
    "/pets": {
        "ANY": {"authorizationType": "COGNITO_USER_POOLS", "apiKeyRequired": True},
        "PUT": {"authorizationType": "AWS_IAM", "apiKeyRequired": False},
        "PATCH": {"authorizationType": "CUSTOM", "apiKeyRequired": False},
    },
}


# The form of a stage's export: OpenAPI 3 with API Gateway's extensions.
EXPORT = {
    "openapi": "3.0.1",
    "paths": {
        "/hello": {"get": {"security": [{"pool": []}]}},
        "/signin": {"post": {"security": [{"api_key": []}]}},
        "/pets": {
            "parameters": [],
            "x-amazon-apigateway-any-method": {
                "security": [{"pool": ["pets/read", "pets/write"]}, {"api_key": []}],
                "x-amazon-apigateway-integration": {
                    "type": "aws_proxy",
                    "httpMethod": "POST",
                    "uri": (
                        f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
                        f"{FUNCTION}/invocations"
                    ),
                    "credentials": "arn:aws:iam::123456789012:role/gateway",
                },
            },
            "put": {"security": [{"sigv4": []}]},
            "patch": {"security": [{"mine": []}]},
        },
    },
    "components": {
        "securitySchemes": {
            "pool": {
                "type": "apiKey",
                "name": "X-Auth",
                "in": "header",
                "x-amazon-apigateway-authtype": "cognito_user_pools",
                "x-amazon-apigateway-authorizer": {
                    "type": "cognito_user_pools",
                    "providerARNs": [POOL],
                    "identityValidationExpression": "client.*",
                },
            },
            "mine": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "custom",
                "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": "arn:…"},
            },
            "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
            "sigv4": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "awsSigv4",
            },
        }
    },
}


def aws_says(summary: Any, export: Any) -> Before:
    def before(call: Call) -> Any:
        if call.operation == "GetDeployment":
            return answer({"id": "d1", "createdDate": MADE, "apiSummary": summary})
        if call.operation == "GetExport":
            if isinstance(export, str):
                return refusal(400, export)
            return answer({"body": io.BytesIO(json.dumps(export).encode())})
        return None

    return before


def answer(parsed: dict[str, Any]) -> tuple[AWSResponse, dict[str, Any]]:
    meta = {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}
    return AWSResponse("https://aws.invalid/", 200, {}, None), {**parsed, **meta}


def looked_at(account: Account, summary: Any, export: Any) -> tuple[Context, Any]:
    account.up()
    ctx = account.context()
    api = ctx.fact("rest_api")
    stage = {"stageName": "dev", "deploymentId": ctx.fact("deployment")}
    with account.calls.watched(aws_says(summary, export)):
        return ctx, deployed(ctx, api, stage, rest_apis.routes(ctx, api))


def test_summary_and_export_say_what_is_deployed(account: Account) -> None:
    _, found = looked_at(account, SUMMARY, EXPORT)
    assert (found.made, found.unseen) == (MADE, None)
    pool = Guard(
        "COGNITO_USER_POOLS",
        authorizer="pool",
        pools=(POOL,),
        header="X-Auth",
        audience="client.*",
    )
    assert found.routes["/hello"]["GET"].guard == pool
    assert found.routes["/signin"]["POST"].guard == Guard(api_key=True)
    pets = found.routes["/pets"]
    assert pets["ANY"].guard.scopes == ("pets/read", "pets/write")
    assert pets["ANY"].guard.api_key
    assert (pets["ANY"].integration, pets["ANY"].function) == ("AWS_PROXY", FUNCTION)
    assert pets["ANY"].role == "arn:aws:iam::123456789012:role/gateway"
    assert pets["PUT"].guard == Guard("AWS_IAM")
    assert (pets["PATCH"].guard.type, pets["PATCH"].guard.authorizer) == ("CUSTOM", "mine")


def test_the_export_is_asked_for_its_authorizers(account: Account) -> None:
    """AWS omits the authorizers unless it is asked for them: then no guard would have a pool."""
    account.stands()
    ctx = account.context()
    with account.calls.watched(aws_says(SUMMARY, EXPORT)) as calls:
        export(ctx, ctx.fact("rest_api"), "dev")
    sent = next(call.sent for call in calls if call.operation == "GetExport")
    assert sent["query_string"]["extensions"] == "integrations,authorizers"


def test_an_api_that_can_not_be_exported_is_known_by_its_summary(account: Account) -> None:
    """AWS can't export an API with payloads that are not all JSON."""
    ctx, found = looked_at(account, SUMMARY, "BadRequestException")
    assert "its export (BadRequestException: " in found.unseen
    # The type comes from the summary, the rest from the current API.
    guard = found.routes["/hello"]["GET"].guard
    assert guard.type == "COGNITO_USER_POOLS"
    assert guard.pools == (ctx.fact("user_pool", "arn"),)
    assert found.routes["/signin"]["POST"].guard.api_key
    # If a method is gone or its type has changed, only the summary counts.
    assert found.routes["/pets"]["ANY"].guard == Guard("COGNITO_USER_POOLS", api_key=True)


def test_a_type_that_was_changed_since_is_seen(account: Account) -> None:
    summary = {"/hello": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}
    ctx, found = looked_at(account, summary, {"paths": {"/hello": {"get": {}}}})
    assert found.routes["/hello"]["GET"].guard == Guard()
    assert "/signin" not in found.routes
    live = rest_apis.routes(ctx, ctx.fact("rest_api"))
    assert live["/hello"]["GET"].guard.type == "COGNITO_USER_POOLS"
    assert live["/signin"]["POST"].function == ctx.fact("sign_in_function", "arn")


@pytest.mark.parametrize("export", [None, [], {"paths": 1}, {"paths": {"/x": None}}, {}])
def test_an_export_that_is_none_is_no_harm(account: Account, export: Any) -> None:
    _, found = looked_at(account, SUMMARY, export)
    assert "its export (its answer isn't an OpenAPI document)" in found.unseen
    assert found.routes["/hello"]["GET"].guard.type == "COGNITO_USER_POOLS"


def test_without_a_summary_what_the_api_says_now_is_taken(account: Account) -> None:
    """moto has no summary."""
    account.stands()
    ctx = account.context()
    live = rest_apis.routes(ctx, ctx.fact("rest_api"))
    stage = {"stageName": "dev", "deploymentId": ctx.fact("deployment")}
    found = deployed(ctx, ctx.fact("rest_api"), stage, live)
    assert found.routes == live
    assert found.unseen


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_jwt_authorizer_as_deployed(account: Account, scheme: dict[str, Any]) -> None:
    summary = {"/pets": {"GET": {"authorizationType": "JWT", "apiKeyRequired": False}}}
    _, found = looked_at(account, summary, jwt_export(scheme))
    assert found.unseen is None
    guard = found.routes["/pets"]["GET"].guard
    assert (guard.type, guard.authorizer, guard.scopes, guard.header) == (
        *("JWT", "theirs", ("pets/read",), "X-Auth"),
    )
    assert guard.issuers == (Issuer("https://id.example", ("a", "b")),)
    # A Lambda authorizer that gives jwt as its type has no issuers.
    words = {"x-amazon-apigateway-authtype": "jwt"}
    _, found = looked_at(account, summary, jwt_export({**scheme, **words}, type="token"))
    assert found.unseen == "the authorizers of its methods"
