"""HTTP to the deployed API and to the pool's keys: never a password in the clear, no detours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import requests
from urllib3.exceptions import HTTPError

from cogauth.aws.environment import check_clear, in_force, is_loopback
from cogauth.errors import LoginError

if TYPE_CHECKING:
    from cogauth.aws.clients import Aws

# To connect, and to read: API Gateway itself gives up on an integration after 29 s.
TIMEOUT_S = (10, 35)


def session(url: str, aws: Aws) -> requests.Session:
    """Return a session for an API's URL, which trusts what ``aws`` trusts.

    Raises UsageError if it is plain HTTP to another machine, and ``aws`` doesn't allow that.
    """
    check_clear(url, "A password or a token", allowed=aws.allow_http)
    http = requests.Session()
    # A proxy from the environment has no way to this machine's own loopback. And a .netrc would
    # add an Authorization header of its own, which the guard would be asked about.
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
    """Send a request and return the answer, whatever its status.

    The token is sent as it is in the Authorization header, ``data`` as JSON, bytes as they are.
    Raises LoginError if no answer came.
    """
    try:
        return http.request(
            method,
            url,
            **({"data": data} if isinstance(data, bytes) else {"json": data}),
            # The raw token: whether the authorizer takes "Bearer " is not documented.
            headers={**(headers or {}), **({"Authorization": token} if token else {})},
            timeout=TIMEOUT_S,
            # A redirect would carry the password elsewhere.
            allow_redirects=False,
            # The session's own would give way to REQUESTS_CA_BUNDLE.
            verify=http.verify,
        )
    except requests.exceptions.InvalidHeader as error:
        raise LoginError(
            f"{method} {url} can't be sent: a header has a character that none can have, such as a "
            "line end."
        ) from error
    # requests lets through what urllib3 says of a proxy that is none, and that a CA bundle is
    # missing.
    except (OSError, ValueError, HTTPError) as error:
        # That there is no such CA bundle is a mere OSError.
        certificates = isinstance(error, requests.exceptions.SSLError) or "CA cert" in str(error)
        why = ", which is about certificates" if certificates else ""
        text = (
            f"{method} {url} failed: {type(error).__name__}{why}. "
            "Check the network; if the stack is local, 'cogauth up' starts it again. "
        )
        raise LoginError(f"{text}{in_force(certificates=certificates)}".rstrip()) from error


def json_object(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object that a response holds; an empty one if it holds none."""
    try:
        answer = strict_json(response.content.decode())
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def strict_json(text: str) -> Any:
    """Return what a JSON text says, if it can be written as JSON again; else raise ValueError."""
    try:
        found = json.loads(text)
        # Somewhat deeper than it will be written.
        json.dumps([[[[found]]]], indent=2, allow_nan=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return found
