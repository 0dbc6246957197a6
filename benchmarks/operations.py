"""Find the AWS operation of a raw HTTP request, using botocore's service models."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session

READS = ("Get", "List", "Describe")
# The parameters to record from a request; no passwords.
NAMES = (
    *("RoleName", "PolicyName", "FunctionName", "StatementId", "Role"),
    *("logGroupName", "logGroupNamePrefix", "PoolName", "UserPoolId", "ClientName", "ClientId"),
    *("name", "pathPart", "stageName", "resourceArn"),
)
# The services whose operation only depends on the HTTP method and path.
REST = ("apigateway", "lambda")
# Operations such as SignUp need no signature, which would name the service.
UNSIGNED = {"AWSCognitoIdentityProviderService": "cognito-idp"}


@dataclass(frozen=True)
class Request:
    """A client's HTTP request."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Operation:
    """An AWS operation: the service's name as in signatures, and the recorded parameters."""

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
    """Return a request's operation; None if it isn't an AWS operation."""
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
