"""Parse an API Gateway URL: its API and stage, and whether its host is AWS's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cogauth.errors import UsageError

if TYPE_CHECKING:
    from cogauth.aws.clients import Aws
    from cogauth.record.state import State

# The suffix of dual-stack hosts in the partition aws. Other hosts have the partition's own suffix.
DUAL_STACK = "api.aws"
_HOST = re.compile(r"([a-z0-9]+)(?:-vpce-[a-z0-9]+)?\.execute-api\.([a-z0-9-]+)\.([a-z.]+)")


@dataclass(frozen=True)
class Address:
    """The parts of an API Gateway URL.

    Attributes:
        stage: empty if the URL names none.
        path: below the stage, percent-decoded except for encoded slashes.
        suffix: the end of the host, such as ``amazonaws.com``; None for an endpoint other than AWS.
    """

    url: str
    api: str
    stage: str
    path: str
    suffix: str | None


def parse_url(state: State, url: str) -> Address:
    """Parse an API Gateway URL of the stack's region or endpoint.

    Its form is ``https://API.execute-api.REGION.SUFFIX/STAGE/PATH``, or, for an emulator,
    ``ENDPOINT/restapis/API/STAGE/_user_request_/PATH``.

    Raises:
        UsageError: the URL has another form, or another region.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        # An invalid port raises ValueError here.
        plain = parts.port in {None, 443} and not (parts.username or parts.password)
    except ValueError:
        raise _no_url(state, url) from None
    whole = parts._replace(fragment="").geturl()
    if state.endpoint_url is not None:
        home = urlsplit(state.endpoint_url)
        form = re.fullmatch(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?", parts.path)
        if form is None or (parts.scheme, parts.netloc) != (home.scheme, home.netloc):
            raise _no_url(state, url)
        return Address(whole, form[1], unquote(form[2]), _path(form[3] or "/"), None)
    match = _HOST.fullmatch(host)
    if match is None or parts.scheme != "https" or not plain:
        raise _no_url(state, url)
    api, region, suffix = match.groups()
    if region != state.region:
        raise UsageError(
            f"The URL's API is in the region {region}, the stack {state.stack} in {state.region}",
            hint="Give a URL in the stack's own region.",
        )
    stage, _, path = parts.path.removeprefix("/").partition("/")
    if path and not stage:
        # Two slashes in a row: the stage is ambiguous.
        _path(parts.path)
    return Address(whole, api, unquote(stage), _path(f"/{path}"), suffix)


def _path(text: str) -> str:
    """Return a path percent-decoded; raise UsageError if a client would change it."""
    parts = [unquote(part) for part in text.split("/")]
    # requests removes the dots; how API Gateway handles two slashes isn't documented.
    if {".", ".."} & {*parts} or "" in parts[1:-1]:
        raise UsageError(
            f"The URL's path contains '.', '..' or '//': {text!r}. Clients change such paths "
            "before they send them",
            hint="Give the path as it is sent.",
        )
    return "/".join(part.replace("/", "%2F") for part in parts)


def check_suffix(address: Address, aws: Aws) -> None:
    """Raise UsageError if the URL's host isn't AWS's own, because the token would be sent there."""
    if address.suffix not in {None, aws.dns_suffix, DUAL_STACK}:
        raise UsageError(
            f"The host of {address.url} is not AWS's own: it should end with {aws.dns_suffix}. "
            "Nothing was sent there."
        )


def _no_url(state: State, url: str) -> UsageError:
    if state.endpoint_url is not None:
        wanted = f"{state.endpoint_url}/restapis/API/STAGE/_user_request_/PATH"
        return UsageError(
            f"{url!r} isn't the URL of a REST API's stage at this stack's endpoint",
            hint=f"Give {wanted}.",
        )
    return UsageError(
        f"{url!r} isn't the URL of a REST API's stage",
        hint=(
            f"Give https://API.execute-api.{state.region}.SUFFIX/STAGE/PATH, as the console's "
            "Stages page shows it (https only). For a custom domain, give the URL of the stage "
            "that it is mapped to: 'aws apigateway get-base-path-mappings --domain-name NAME' "
            "shows it."
        ),
    )
