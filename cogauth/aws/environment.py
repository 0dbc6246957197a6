"""The environment's settings for every request: endpoints, proxies, CA bundles.

Also the last line of defence: nothing that is quoted to the user contains a credential.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from cogauth.errors import TOKEN_LIKE, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


# The characters of a credential; a line end or a blank comes from copying.
SENDABLE = re.compile(r"[!-~]+")
CREDENTIALS = {
    "access_key": ("AWS_ACCESS_KEY_ID",),
    "secret_key": ("AWS_SECRET_ACCESS_KEY",),
    # botocore uses the first that is set.
    "token": ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"),
}
_SECRET = (*CREDENTIALS["secret_key"], *CREDENTIALS["token"], "AWS_CONTAINER_AUTHORIZATION_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HIDDEN = "(not shown)"
# A shorter password is hidden only in its place in a URL, not wherever its characters occur.
SHORTEST_HIDDEN = 4
_QUOTED_SECRETS = (
    # http.client, urllib3 and requests quote the whole of a header that can't be sent.
    (re.compile(r"(header value:?|header part) .*", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (re.compile(r"(AWS4-[A-Z0-9-]+) Credential.*"), rf"\1 {_HIDDEN}"),
    # configparser quotes the line that it can't read.
    (re.compile(r"(\[line +\d+\]:|, line: \d+\n).*"), rf"\1 {_HIDDEN}"),
    # STS and IAM quote an invalid parameter.
    (re.compile(r"Value '[^']*'(?= at 'tokenCode')"), f"Value {_HIDDEN}"),
    # SignatureDoesNotMatch quotes everything that was to be signed.
    (
        re.compile(
            r"(aws_secret_access_key|aws_session_token|secretaccesskey|sessiontoken|"
            r"x-amz-security-token|authorization)(['\"]?\s*[:=]\s*['\"]?)[^\s'\"]+",
            re.IGNORECASE,
        ),
        rf"\1\2{_HIDDEN}",
    ),
    # A proxy's password, which may hold an @ or a slash itself.
    (re.compile(r"(?<=//)[^\s'\"]+@"), f"{_HIDDEN}@"),
    (TOKEN_LIKE, "(a token)"),
)
_KEY_LIKE = re.compile(r"[A-Za-z0-9/+]{40,}={0,2}")


def redact(text: str) -> str:
    """Return the text without anything that is, or may be, a credential.

    For text that others wrote: AWS, botocore, requests, a traceback.
    """
    for name in _SECRET:
        for part in re.findall(r"[!-~]{8,}", os.environ.get(name, "")):
            text = text.replace(part, _HIDDEN)
    for name in _urls():
        text = _without_password(text, os.environ.get(name, ""))
    for pattern, instead in _QUOTED_SECRETS:
        text = pattern.sub(instead, text)
    return _KEY_LIKE.sub(_without_key, text)


def _without_password(text: str, url: str) -> str:
    """Hide the user and password of a URL, however it was written, in a text that quotes it."""
    user = re.match(r"(?is)(?:[a-z][a-z0-9+.-]*:/{0,2})?(.+)@", url)
    if user is None:
        return text
    password = user[1].partition(":")[2]
    # As written, and as quoted; the longest comes first.
    for secret in (user[1], quote(user[1]), unquote(user[1]), password, unquote(password)):
        for written in (secret, repr(secret)[1:-1]):
            # Hiding one or two letters would hide them in every word.
            if len(written) >= SHORTEST_HIDDEN:
                text = text.replace(written, _HIDDEN)
    return text.replace(f"{user[1]}@", f"{_HIDDEN}@")


def _urls() -> list[str]:
    names = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))
    names += ["COGAUTH_ENDPOINT_URL"]
    return [*names, *(each for name in _PROXIES for each in (name, name.lower()))]


def _without_key(match: re.Match[str]) -> str:
    """Hide text that looks like a secret key or a session token: mixed characters, not a path."""
    text = match[0]
    kinds = all(re.search(kind, text) for kind in ("[A-Z]", "[a-z]", "[0-9]"))
    return _HIDDEN if kinds and text.count("/") * 9 <= len(text) else text


def unsendable() -> list[str]:
    """Return the credential variables whose values can't be sent in a header."""
    names = [name for several in CREDENTIALS.values() for name in several]
    return [name for name in names if not SENDABLE.fullmatch(os.environ.get(name) or "-")]


def in_force(*, certificates: bool = False, proxies: bool = True) -> str:
    """Name the variables that decide where requests go; return "" if none is set.

    ``certificates`` adds those for CA bundles. Without ``proxies`` only endpoints are named.
    """
    names = [name for name in _urls() if proxies or "ENDPOINT" in name]
    return _named([*names, *(_BUNDLES if certificates else ())])


def mentioned(text: str) -> str:
    """Name the AWS variables whose values an error's text quotes; return "" if it quotes none."""
    names = [name for name in sorted(os.environ) if name.startswith("AWS_") and name not in _SECRET]
    return _named(
        name
        for name in names
        if (value := os.environ[name]) and re.search(rf"(['\"]){re.escape(value)}\1", text)
    )


def _named(names: Iterable[str]) -> str:
    found = [f"{name}={redact(value)!r}" for name in names if (value := os.environ.get(name))]
    return f"The environment has {', '.join(found)}." if found else ""


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def crosses_in_clear(url: str) -> bool:
    """Return whether others can read data sent to a URL: plain HTTP to another machine."""
    return urlsplit(url).scheme != "https" and not is_loopback(url)


def check_clear(url: str, what: str, *, allowed: bool) -> None:
    """Check that ``what``, which is confidential, isn't sent over the network in clear text.

    Raises UsageError if it would be, unless the user has ``allowed`` it.
    """
    if not allowed and crosses_in_clear(url):
        raise UsageError(
            f"{what} would cross the network in clear text to {urlsplit(url).hostname}.",
            hint=(
                "Use an https endpoint, or one on this machine. If nobody else can read that "
                "traffic, give --allow-http."
            ),
        )


def ca_bundle(configured: str | None) -> str | None:
    """Return the file with the certificates to trust; None means certifi's.

    botocore uses the first of these three (``configured`` is the profile's ``ca_bundle``), requests
    only the last. Raises UsageError if the file can't be used.
    """
    for where, path in (
        ("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE")),
        ("ca_bundle in the profile", configured),
        ("REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE")),
    ):
        if path is not None:
            _check_bundle(where, path)
            return path
    return None


def _check_bundle(where: str, path: str) -> None:
    try:
        ssl.create_default_context(cafile=path.strip() or os.devnull)
    except OSError as error:
        why = "it contains no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(
            f"The CA bundle {path!r} ({where}) can't be used: {why}.",
            hint="Give a file with certificates in PEM form, or unset it.",
        ) from error


def as_endpoint(text: Any) -> str | None:
    """Return a URL in the form of a stored endpoint: lower-case scheme and host, no final slash.

    Return None unless it is an http or https URL with a host and without a user and a query.
    """
    # urlsplit drops a line end.
    if not isinstance(text, str) or not re.fullmatch(r"[!-~]+", text):
        return None
    try:
        parts = urlsplit(text)
        fits = (
            parts.scheme in {"http", "https"}
            and re.fullmatch(r"[\w.:%-]+", parts.hostname or "", re.ASCII)
            and parts.port != 0
            and "@" not in parts.netloc
            and not {"?", "#", "\\"} & set(text)
        )
    except ValueError:
        return None
    return parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/") if fits else None


_KEY_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
KEY_ID = re.compile(f"AKIA[{_KEY_ID_LETTERS}]{{16}}")
SECRET = re.compile(r"[\w-]{40}", re.ASCII)


class Keys(NamedTuple):
    """The root key pair of a local AWS's account: it allows everything there."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return "Keys(…)"  # A traceback may be shown to others.

    @classmethod
    def new(cls) -> Keys:
        """Return a new random pair."""
        return cls(
            "AKIA" + "".join(secrets.choice(_KEY_ID_LETTERS) for _ in range(16)),
            secrets.token_urlsafe(30),
        )
