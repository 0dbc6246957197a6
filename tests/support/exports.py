"""A stage's export, in which a method has a JWT authorizer.

AWS doesn't document how it exports them: an apiKey scheme has the header as its name; oauth2, as
in HTTP APIs, has none.
"""

from __future__ import annotations

from typing import Any

TRUSTED = {"issuers": [{"issuer": "https://id.example", "audiences": ["b", "a"]}]}
JWT_AUTHORIZER = {
    "type": "jwt",
    "identitySource": "method.request.header.X-Auth",
    "jwtConfiguration": TRUSTED,
}
SCHEMES: list[dict[str, Any]] = [
    {"type": "apiKey", "name": "X-Auth", "in": "header"},
    {"type": "oauth2"},
]


def jwt_export(scheme: dict[str, Any], **authorizer: Any) -> dict[str, Any]:
    whole = {**scheme, "x-amazon-apigateway-authorizer": {**JWT_AUTHORIZER, **authorizer}}
    return {
        "paths": {"/pets": {"get": {"security": [{"theirs": ["pets/read"]}]}}},
        "components": {"securitySchemes": {"theirs": whole}},
    }
