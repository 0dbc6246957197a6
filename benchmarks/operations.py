"""Which operation of AWS a request is, as it stands on the wire: by botocore's service models."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session

READS = ("Get", "List", "Describe")
# What a request is about: these of its names are kept, and never a password.
NAMES = (
    *("RoleName", "PolicyName", "FunctionName", "StatementId", "Role"),
    *("logGroupName", "logGroupNamePrefix", "PoolName", "UserPoolId", "ClientName", "ClientId"),
    *("name", "pathPart", "stageName"),
)
# The services whose operation is in the HTTP method and path alone.
REST = ("apigateway", "lambda")
# Anyone may call some operations, such as SignUp, without a signature that names the service.
UNSIGNED = {"AWSCognitoIdentityProviderService": "cognito-idp"}


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Operation:
    """A call, by its service's name in the request's signature, and what it is about."""

    service: str
    name: str
    about: dict[str, str] = field(default_factory=dict)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.name.startswith(READS)

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"


def operation_of(request: Request) -> Operation | None:
    """Return which operation a request is; None for one that is none of AWS's."""
    headers = {name.lower(): value for name, value in request.headers}
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", headers.get("authorization", ""))
    target, _, name = headers.get("x-amz-target", "").rpartition(".")
    service = scope[1] if scope else UNSIGNED.get(target)
    if service is None:
        return None
    if target:
        return Operation(service, name, _names(json.loads(request.body or b"{}")))
    if service in REST:
        return _rest(service, request)
    query = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
    return Operation(service, query["Action"], _names(query)) if "Action" in query else None


def _names(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    return {name: given[name] for name in NAMES if isinstance(given.get(name), str)}


def _rest(service: str, request: Request) -> Operation | None:
    parts = urlsplit(request.path)
    query = parse_qs(parts.query, keep_blank_values=True)
    for method, wanted, path, name in _routes(service):
        found = path.fullmatch(parts.path.rstrip("/"))
        if method == request.method and found and wanted.items() <= query.items():
            places = {key: unquote(value) for key, value in found.groupdict().items()}
            is_json = request.body[:1] == b"{"
            return Operation(
                service, name, _names(json.loads(request.body) if is_json else {}) | places
            )
    return None


@functools.cache
def _routes(service: str) -> list[tuple[str, dict[str, list[str]], re.Pattern[str], str]]:
    """Return HTTP method, query and path of each operation, the most specific first."""
    model = botocore.session.Session().get_service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        uri = urlsplit(http["requestUri"])
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(uri.path.rstrip("/")))
        query = parse_qs(uri.query, keep_blank_values=True)
        routes.append((http["method"], query, re.compile(pattern), name))
    return sorted(routes, key=lambda route: (-len(route[1]), route[2].groups))
