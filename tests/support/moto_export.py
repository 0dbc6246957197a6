"""AWS's exports of an API and its stages, which moto does differently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moto.apigateway.models import RestAPI


def exported(api: RestAPI) -> dict[str, Any]:
    """Return AWS's export of an API, with integrations and authorizers, as OpenAPI 3.0.

    It follows AWS's own examples:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
    """
    paths: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for resource in api.resources.values():
        for name, method in resource.resource_methods.items():
            verb = "x-amazon-apigateway-any-method" if name == "ANY" else name.lower()
            operation: dict[str, Any] = {"responses": {}}
            if security := _security(api, method, schemes):
                operation["security"] = security
            if method.method_integration is not None:
                integration = method.method_integration.to_json()
                answers = integration.pop("integrationResponses") or {}
                operation["x-amazon-apigateway-integration"] = {
                    "responses": {
                        one.get("selectionPattern", "default"): one for one in answers.values()
                    },
                    "type": integration.pop("type").lower(),
                    "passthroughBehavior": (integration.pop("passthroughBehavior") or "").lower(),
                    **{key: value for key, value in integration.items() if value},
                }
            paths.setdefault(resource.get_path(), {})[verb] = operation
    document = {
        "openapi": "3.0.1",
        "info": {"title": api.name},
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }
    copied: dict[str, Any] = json.loads(json.dumps(document))
    return copied


def _security(api: RestAPI, method: Any, schemes: dict[str, Any]) -> list[dict[str, Any]]:
    kind, security = method.authorization_type, []
    header = {"type": "apiKey", "in": "header"}
    if kind == "AWS_IAM":
        schemes["sigv4"] = {
            **header,
            "name": "Authorization",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
        security.append({"sigv4": []})
    elif authorizer := api.authorizers.get(method.authorizer_id):
        live = authorizer.to_json()
        kept = {key: live[key] for key in ("providerARNs", "authorizerUri") if key in live}
        schemes[live["name"]] = {
            **header,
            "name": "Authorization",
            "x-amazon-apigateway-authtype": kind.lower(),
            "x-amazon-apigateway-authorizer": {"type": live["type"].lower(), **kept},
        }
        security.append({live["name"]: method.authorization_scopes or []})
    if method.api_key_required:
        schemes["api_key"] = {**header, "name": "x-api-key"}
        security.append({"api_key": []})
    return security


def get_export(response: Any) -> Any:
    """Export the snapshot that the stage's deployment holds; moto exports the current API."""
    names = response.path.split("/")
    api = response.backend.get_rest_api(names[2])
    deployment = api.deployments[response.backend.get_stage(names[2], names[4]).deployment_id]
    return 200, {"Content-Type": "application/json"}, json.dumps(deployment.exported).encode()
