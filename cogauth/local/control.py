"""Make the API Gateway control plane of the local AWS answer like AWS where ministack doesn't."""

from collections.abc import Callable
from typing import Any

from cogauth.local import hooks
from cogauth.local.hooks import AnyFunction

MODULE = "services.apigateway_v1."
STORE = "core.responses.AccountRegionScopedDict"
EXPORT = "api_id stage_name export_type include_integrations include_authorizers"
# Lists that a patch changes one member at a time, and values that aren't text.
# Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
_LISTS = {"/authorizationScopes", "/providerARNs"}
_TYPED: dict[str, Callable[[str], Any]] = {
    "/apiKeyRequired": lambda text: text == "true",
    "/authorizerResultTtlInSeconds": int,
}

# While a deployment is read, these return the deployed version.
_resources = hooks.kept(f"{MODULE}_resources", STORE)
_authorizers = hooks.kept(f"{MODULE}_authorizers_v1", STORE)


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    hooks.wrap(f"{MODULE}_apply_patch", "obj patch_ops", _patch)
    hooks.wrap(f"{MODULE}_build_api_summary", "api_id", _summarize)
    hooks.wrap(f"{MODULE}_build_api_export", EXPORT, _export)


def _patch(own: AnyFunction, target: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
    for operation in operations:
        path, value = operation.get("path", ""), operation.get("value")
        name = path.removeprefix("/")
        if path in _LISTS and name in target:
            others = [one for one in target[name] or [] if one != value]
            target[name] = others + ([] if operation.get("op") == "remove" else [value])
        elif path in _TYPED and name in target and isinstance(value, str):
            target[name] = _TYPED[path](value)
        else:
            own(target, [operation])
    return target


def _methods(api: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (resource.get("path", "/"), verb, method)
        for resource in _resources().get(api, {}).values()
        for verb, method in resource.get("resourceMethods", {}).items()
    ]


def _summarize(own: AnyFunction, api_id: str) -> Any:
    # A deployment's summary contains the authorization type of each method.
    # Source: https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html
    found = own(api_id)
    for path, verb, method in _methods(api_id):
        found[path][verb]["authorizationType"] = method.get("authorizationType") or "NONE"
    return found


def _export(
    own: AnyFunction, api_id: str, stage_name: str, export_type: str, *include: bool
) -> Any:
    # An export contains the Cognito authorizers and signatures that methods require.
    # Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
    # and https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authtype.html
    document = own(api_id, stage_name, export_type, *include)
    _integrations, include_authorizers = include
    oas30 = export_type == "oas30"
    parent = document["components"] if oas30 else document
    schemes = parent.setdefault("securitySchemes" if oas30 else "securityDefinitions", {})
    for path, verb, method in _methods(api_id):
        key = "x-amazon-apigateway-any-method" if verb == "ANY" else verb.lower()
        asked = _asked(api_id, method, with_settings=include_authorizers)
        if asked is not None:
            name, scheme, scopes = asked
            schemes[name] = scheme
            (requirement,) = document["paths"][path][key].setdefault("security", [{}])
            requirement[name] = scopes
    return document


def _asked(
    api: str, method: dict[str, Any], *, with_settings: bool
) -> tuple[str, dict[str, Any], list[str]] | None:
    """Return a security scheme that ministack leaves out: its name, the scheme, and the scopes."""
    if method.get("authorizationType") == "AWS_IAM":
        return "sigv4", _scheme("Authorization", "awsSigv4"), []
    authorizer = _authorizers().get(api, {}).get(str(method.get("authorizerId")))
    if method.get("authorizationType") != "COGNITO_USER_POOLS" or authorizer is None:
        return None
    source = authorizer.get("identitySource") or "method.request.header.Authorization"
    scheme = _scheme(source.rpartition(".")[2], "cognito_user_pools")
    if with_settings:
        scheme["x-amazon-apigateway-authorizer"] = {
            "type": "cognito_user_pools",
            "providerARNs": list(authorizer.get("providerARNs") or []),
        }
    return authorizer["name"], scheme, list(method.get("authorizationScopes") or [])


def _scheme(header: str, kind: str) -> dict[str, Any]:
    return {
        "type": "apiKey",
        "name": header,
        "in": "header",
        "x-amazon-apigateway-authtype": kind,
    }
