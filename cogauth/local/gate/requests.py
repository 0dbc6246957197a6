"""A request as the gate reads it, without ambiguity."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

# A deployed API, as ministack and LocalStack spell its URL.
API_CALL = re.compile(r"/restapis/[^/]+/[^/]+/_user_request_(/.*)?", re.DOTALL)
# If a request had one of these twice, the gate and ministack could use different ones.
SINGLE = ("host", "authorization", "origin", "x-amz-date", "x-amz-security-token", "x-amz-target")
# Query parameters that are credentials, or could be mistaken for them.
QUERY_CREDENTIALS = re.compile(r"x-amz-(algorithm|credential|signature)|awsaccesskeyid|signature")


class RefusedError(Exception):
    """The gate refuses a request.

    ``code`` is AWS's error code for failed authentication; without one, ``status`` is the answer.
    """

    def __init__(self, code: str | None, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Request:
    """The head of an HTTP request; the headers' names are in lower case."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "Request":
        """Read a request. Raises RefusedError if it is ambiguous."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers and name in SINGLE:
                raise RefusedError(None, f"it has the header {name} twice")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return cls(
            scope["method"],
            scope["path"],
            (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers,
        )

    @property
    def calls_api(self) -> bool:
        """Whether it is for a deployed API, which has its own authorization."""
        return API_CALL.fullmatch(self.path) is not None

    def parameter(self, name: str) -> str:
        """Return a query parameter; empty if it is missing."""
        return next(iter(self.query.get(name, [])), "")

    @property
    def has_credentials(self) -> bool:
        """Whether anything in it could be read as a signature."""
        return "authorization" in self.headers or any(
            QUERY_CREDENTIALS.fullmatch(name.lower()) for name in self.query
        )


def check_object(body: bytes) -> None:
    """Raise RefusedError unless a body is a JSON object."""
    try:
        is_object = isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise RefusedError(None, "its body is no JSON object", 400)


def check_host(request: Request) -> None:
    """Raise RefusedError unless the Host header is a local name or address.

    After DNS rebinding, a web page whose name now points to 127.0.0.1 sends that name as Host, and
    no Origin when it reads.
    """
    name = re.sub(r":\d+\Z", "", request.headers.get("host", "")).lower()
    if name == "localhost":
        return
    try:
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        if address.is_loopback and "%" not in name:
            return
    except ValueError:
        pass
    raise RefusedError(None, "its Host is no name of this machine's own, as 127.0.0.1")
