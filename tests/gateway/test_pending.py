"""What a deployment would publish: a stage's export, compared with the live API."""

from __future__ import annotations

from typing import Any

import pytest

from cogauth.gateway.pending import Pending, pending
from cogauth.gateway.rest_apis import LiveMethod
from support.exports import JWT_AUTHORIZER, SCHEMES, jwt_export


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_jwt_authorizer_is_compared(scheme: dict[str, Any]) -> None:
    method = LiveMethod(
        *("r1", "/pets", "GET"),
        {"authorizationType": "JWT", "authorizerId": "a1", "authorizationScopes": ["pets/read"]},
    )
    live = {**JWT_AUTHORIZER, "id": "a1", "name": "theirs", "type": "JWT"}
    document = jwt_export(scheme)

    def found(**changed: Any) -> list[Pending]:
        return pending(document, [method], [{**live, **changed}], authorization=True)

    assert found() == []
    # This answer is from an older botocore, which leaves out what it doesn't know.
    assert found(jwtConfiguration=None) == []
    other = {"issuers": [{"issuer": "https://id.example", "audiences": ["a"]}]}
    assert found(jwtConfiguration=other) == [
        Pending("authorizer theirs", "changed", ("issuers",)),
    ]
    assert found(identitySource="method.request.header.Authorization") == [
        Pending("authorizer theirs", "changed", ("header",)),
    ]


def compared(integration: Any, authorizer: Any, *, live: Any, guard: Any) -> list[Pending]:
    document = {
        "paths": {
            "/pets": {
                "get": {
                    "security": [{"mine": []}],
                    "x-amazon-apigateway-integration": {"type": "mock", **integration},
                }
            }
        },
        "components": {
            "securitySchemes": {
                "mine": {
                    "type": "apiKey",
                    "name": "X-Auth",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "custom",
                    "x-amazon-apigateway-authorizer": {"type": "token", **authorizer},
                }
            }
        },
    }
    method = LiveMethod(
        "r1",
        "/pets",
        "GET",
        {
            "authorizationType": "CUSTOM",
            "authorizerId": "a1",
            "methodIntegration": {"type": "MOCK", **live},
        },
    )
    authorizer = {
        "id": "a1",
        "name": "mine",
        "type": "TOKEN",
        "identitySource": "method.request.header.X-Auth",
        **guard,
    }
    return pending(document, [method], [authorizer], authorization=True)


@pytest.mark.parametrize(
    ("exported", "live"),
    [
        # There are several ways to write a template that passes the body on.
        (
            {"responseTemplates": {"application/json": "__passthrough__"}},
            {"application/json": None},
        ),
        ({}, {"application/json": None}),
        ({"responseTemplates": {"application/json": "$x"}}, {"application/json": "$x"}),
    ],
)
def test_templates_that_are_the_same_are_not_pending(exported: Any, live: Any) -> None:
    answer = {"statusCode": "200"}
    assert (
        compared(
            {"responses": {"default": {**answer, **exported}}},
            {},
            live={"integrationResponses": {"200": {**answer, "responseTemplates": live}}},
            guard={},
        )
        == []
    )


def test_settings_are_compared_where_an_export_shows_them() -> None:
    shown = {"passthroughBehavior": "when_no_match", "timeoutInMillis": 5000}
    same = {"passthroughBehavior": "WHEN_NO_MATCH", "timeoutInMillis": 5000}
    assert compared(shown, {}, live=same, guard={}) == []
    assert compared({}, {}, live=same, guard={}) == []
    (found,) = compared(shown, {}, live={**same, "timeoutInMillis": 29000}, guard={})
    assert found == Pending("GET /pets", "changed", ("integration's timeout",))
    (found,) = compared(shown, {}, live={**same, "passthroughBehavior": "NEVER"}, guard={})
    assert found == Pending("GET /pets", "changed", ("integration's passthrough behavior",))


def test_an_authorizers_settings_are_compared() -> None:
    shown = {"authorizerResultTtlInSeconds": 300, "authorizerCredentials": "arn:one"}
    same = dict(shown)
    assert compared({}, shown, live={}, guard=same) == []
    (found,) = compared(
        {},
        shown,
        live={},
        guard={
            "authorizerResultTtlInSeconds": 0,
            "authorizerCredentials": "arn:two",
            "identitySource": "method.request.header.Authorization",
        },
    )
    assert found == Pending("authorizer mine", "changed", ("header", "role", "caching time"))
