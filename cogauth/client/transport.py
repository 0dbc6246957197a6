"""HTTP to the deployed API and the pool's keys, without redirects or passwords in the clear."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import requests
from urllib3.exceptions import HTTPError

from cogauth.aws.environment import check_clear, in_force, is_loopback
from cogauth.errors import LoginError

if TYPE_CHECKING:
    from cogauth.aws.clients import Aws

# For connecting and reading. API Gateway itself gives up on an integration after 29 s.
TIMEOUT_S = (10, 35)
# Of a response, in bytes and seconds. API Gateway sends 10 MB at most, which may be compressed.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
LARGEST, LONGEST_S = 16 * 1024 * 1024, 60
# How deeply JSON may be nested; output needs some levels more.
DEEPEST = 200


def http_session(url: str, aws: Aws) -> requests.Session:
    """Return a session for an API's URL that trusts the same certificates as ``aws``.

    Raises UsageError if the URL is plain HTTP to another machine and ``aws`` doesn't allow that.
    """
    check_clear(url, "A password or a token", allowed=aws.allow_http)
    http = requests.Session()
    # A proxy from the environment can't reach this machine's loopback. And a .netrc would add its
    # own Authorization header, which the guard would check.
    http.trust_env = not is_loopback(url)
    http.auth = lambda request: request
    http.verify = aws.ca_bundle or True
    return http


def request(  # noqa: PLR0913 as many as a request has parts
    http: requests.Session,
    method: str,
    url: str,
    *,
    token: str | None = None,
    data: dict[str, str] | bytes | None = None,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    """Send a request and return the response, whatever its status.

    The token goes into the Authorization header unchanged, ``data`` is sent as JSON, bytes as they
    are. Raises LoginError if there is no response.
    """
    try:
        response = http.request(
            method,
            url,
            **({"data": data} if isinstance(data, bytes) else {"json": data}),
            # The token alone: AWS doesn't document whether the authorizer accepts "Bearer ".
            headers={**(headers or {}), **({"Authorization": token} if token else {})},
            timeout=TIMEOUT_S,
            # A redirect would send the password elsewhere.
            allow_redirects=False,
            # REQUESTS_CA_BUNDLE would override the session's own setting.
            verify=http.verify,
            stream=True,
        )
        with response:
            # requests has no limits of its own.
            response._content = _body(response, f"{method} {url}")  # noqa: SLF001
    except requests.exceptions.InvalidHeader as error:
        raise LoginError(
            f"{method} {url} can't be sent: a header contains an invalid character, such as a line "
            "break."
        ) from error
    # requests doesn't wrap urllib3's errors about a bad proxy or a missing CA bundle.
    except (OSError, ValueError, HTTPError) as error:
        # A missing CA bundle is a plain OSError.
        certificates = isinstance(error, requests.exceptions.SSLError) or "CA cert" in str(error)
        why = ", a certificate error" if certificates else ""
        raise LoginError(
            f"{method} {url} failed: {type(error).__name__}{why}. "
            f"{in_force(certificates=certificates)}".rstrip(),
            hint="Check the network; if the stack is local, 'cogauth up' starts it again.",
        ) from error
    return response


def _body(response: requests.Response, what: str) -> bytes:
    """Return a response's whole body; raise LoginError if it is too large or takes too long."""
    body, end = bytearray(), time.monotonic() + LONGEST_S
    # Unlike iter_content it returns what has come, so that a slow answer can be broken off.
    for part in iter(lambda: response.raw.read1(65536, decode_content=True), b""):
        body += part
        if len(body) > LARGEST:
            raise LoginError(f"{what} answered more than {LARGEST} bytes, so it was broken off.")
        if time.monotonic() > end:
            raise LoginError(f"{what} didn't finish its answer within {LONGEST_S} s.")
    return bytes(body)


def json_object(response: requests.Response) -> dict[str, Any]:
    """Return the response's JSON object; an empty one if the body isn't an object."""
    try:
        answer = strict_json(response.content.decode())
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def strict_json(text: str) -> Any:
    """Parse a JSON text; raise ValueError if it is invalid or can't be written as JSON again."""
    try:
        found = json.loads(text)
        json.dumps(found, allow_nan=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [found]
    for _ in range(DEEPEST):
        level = [one for each in level for one in _inside(each)]
        if not level:
            return found
    raise ValueError("it is nested too deeply")


def _inside(value: Any) -> list[Any]:
    """Return the lists and objects directly inside a list or an object."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, (dict, list))]
