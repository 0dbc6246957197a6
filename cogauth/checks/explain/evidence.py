"""The evidence about a refused call: its address, its token, and its answer."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cogauth.client.tokens import EncryptedError, FlawError, as_time, take_apart
from cogauth.gateway import routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cogauth.checks.explain.address import Address
    from cogauth.gateway.deployed import Deployed
    from cogauth.gateway.rest_apis import Route, Routes

SHOWN = 10  # characters of a token's header, which isn't secret
BEARER = re.compile(r"bearer\s+", re.IGNORECASE)
# The beginning of an AWS signature in the Authorization header. Source:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
AWS_SIGNATURE = re.compile(r"AWS4-(?:HMAC|ECDSA-P256)-SHA256\b")
# Straight quotes, and the curly ones of word processors and chats.
QUOTES = "\"'`\u2018\u2019\u201c\u201d"
# How a pool's issuer begins, for the IssuerConfiguration ORIGINAL and UPDATED. Source:
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html
ORIGINAL_ISSUER, UPDATED_ISSUER = "https://cognito-idp.", "https://issuer-cognito-idp."


@dataclass(frozen=True)
class Cause:
    """Why a call is refused, and how to fix it; ``certain`` if AWS is known to refuse it."""

    code: str
    sentence: str
    fix: str
    certain: bool = True


@dataclass(frozen=True)
class Answer:
    """The answer to the call, without any token.

    Attributes:
        error_type: the type of API Gateway's own errors, such as ``UnauthorizedException``.
        failed: whether it is Lambda's answer for a function that crashed.
        at: the server's clock, in seconds since the epoch.
    """

    status: int
    message: str = ""
    error_type: str = ""
    failed: bool = False
    at: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the call went through."""
        return HTTPStatus.OK <= self.status < HTTPStatus.BAD_REQUEST and not self.failed


@dataclass(frozen=True)
class Token:
    """The parts of a token, untrusted until its signature is checked.

    Attributes:
        raw: what the client sends; never shown.
        kind: the cause's code for a flaw: ``not_a_jwt``; ``refresh_token`` if only Cognito can
            read it; ``aws_signature``; ``quoted`` if the quotes around it are its only flaw.
    """

    raw: str = field(repr=False)
    flaw: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
    bearer: bool = False
    kind: str = "not_a_jwt"

    @property
    def use(self) -> str:
        """The claim ``token_use``: ``id`` or ``access``."""
        return str(self.claims.get("token_use"))

    @property
    def issuer(self) -> str:
        """The issuer that it claims: a pool's URL."""
        return str(self.claims.get("iss"))

    @property
    def original_issuer(self) -> str:
        """The same pool's issuer with the IssuerConfiguration ORIGINAL."""
        return ORIGINAL_ISSUER * self.updated + self.issuer.removeprefix(UPDATED_ISSUER)

    @property
    def updated(self) -> bool:
        """Whether its issuer has the form of the IssuerConfiguration UPDATED."""
        return self.issuer.startswith(UPDATED_ISSUER)

    @property
    def scopes(self) -> list[str]:
        """Its scopes; issuers other than Cognito may call the claim ``scp``."""
        return _several(self.claims.get("scope") or self.claims.get("scp"))

    @property
    def audiences(self) -> list[str]:
        """Its audiences (``aud``)."""
        found = self.claims.get("aud")
        return [found] if isinstance(found, str) else _several(found)

    def time(self, name: str) -> float | None:
        """Return one of its times, in seconds since the epoch; None if it has none."""
        return as_time(self.claims.get(name))

    def __str__(self) -> str:
        if self.flaw is not None:
            return f"{len(self.raw)} characters, not shown"
        return f"{'Bearer ' if self.bearer else ''}{self.bare[:SHOWN]}…"

    @property
    def bare(self) -> str:
        """The token without ``Bearer``."""
        return BEARER.sub("", self.raw, count=1)


@dataclass(frozen=True)
class Evidence:
    """Everything known about a call; None for what doesn't exist or wasn't checked.

    Attributes:
        issuer, client: the stack's own.
        options: the command-line options that select the stack, each after a space.
        endpoint: None for AWS.
        emulated: whether the endpoint may allow what AWS refuses; False for the local AWS.
        here, now: this machine's clock, and the server's, in seconds since the epoch.
        api, stages, stage: as returned by GetRestApi and GetStages; the stage is the URL's.
        live, served: the API's current methods, and what is deployed to the stage.
        signed: whether the pool that the token names made its signature.
        user: the token's user in the stack's pool: ``present``, ``disabled`` or ``deleted``.
        revoked: whether Cognito itself refuses the token's session.
        function: its name or ARN, with the stage's variables filled in.
        issuer_type: ``ORIGINAL`` or ``UPDATED`` for the stack's own pool, if botocore knows.
        unreached: whether a private API gave no answer.
        unknown: what couldn't be read, and why.
    """

    address: Address
    verb: str
    header: str
    token: Token | None
    issuer: str
    client: str
    options: str = ""
    endpoint: str | None = None
    emulated: bool = False
    here: float = 0.0
    now: float = 0.0
    api: Mapping[str, Any] | None = None
    stages: tuple[Mapping[str, Any], ...] = ()
    stage: Mapping[str, Any] | None = None
    live: Routes = field(default_factory=dict)
    served: Deployed | None = None
    answer: Answer | None = None
    signed: bool | None = None
    user: str | None = None
    revoked: bool | None = None
    permitted: bool | None = None
    function_gone: bool = False
    function: str = ""
    source_arn: str = ""
    issuer_type: str | None = None
    unreached: bool = False
    unknown: tuple[str, ...] = ()

    @property
    def sent(self) -> Token:
        """The token; an empty one if none is sent."""
        return self.token or Token("")

    @property
    def method(self) -> Route | None:
        """The deployed method."""
        return routing.route(self.routes, self.verb, self.address.path)[1]

    @property
    def live_method(self) -> Route | None:
        """The current method, deployed or not."""
        return routing.route(self.live, self.verb, self.address.path)[1]

    @property
    def function_name(self) -> str:
        """The name of the function that answers the deployed method; empty if none does."""
        function = (self.method.function if self.method else None) or ""
        return function.rpartition(":function:")[2].partition(":")[0]

    @property
    def log(self) -> str:
        """The command that shows that function's log."""
        return self.aws(f"logs tail /aws/lambda/{self.function_name} --since 10m")

    @property
    def routes(self) -> Routes:
        """The deployed methods."""
        return self.served.routes if self.served else {}

    @property
    def status(self) -> int | None:
        """The answer's HTTP status."""
        return self.answer.status if self.answer else None

    @property
    def broke(self) -> bool:
        """Whether the call failed on the server's side, or may fail there."""
        if self.answer is None or self.answer.passed:
            return True
        return self.answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.by_gateway

    @property
    def by_gateway(self) -> bool:
        """Whether the gateway itself, not the backend, answered or may have answered.

        AWS marks its own errors with a type. Emulators may not, so any answer may be theirs.
        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
        """
        return self.answer is None or self.emulated or bool(self.answer.error_type)

    @property
    def led_nowhere(self) -> bool:
        """Whether the call found no API, stage or method, or may not have found one.

        A stage may serve more than its deployment shows, as with a canary or on an emulator.
        """
        refused = self.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND} and self.by_gateway
        return self.answer is None or self.emulated or refused

    def refused_by(self, *error_types: str) -> bool:
        """Return whether one of these gateway errors can explain the call's 401 or 403."""
        if self.answer is None or self.answer.passed:
            return True
        refused = self.answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        return refused and (self.emulated or self.answer.error_type in error_types)

    def command(self, words: str) -> str:
        """Return a command line for the same stack."""
        return f"cogauth {words}{self.options}"

    @property
    def signs_in(self) -> str:
        """The command that signs in again."""
        return self.command("test-login --username NAME")

    @property
    def attaches(self) -> str:
        """The command that guards methods of the URL's API by this stack's pool."""
        return self.command(f"attach --api {self.address.api}")

    @property
    def prints_one(self) -> str:
        """The words for the command that prints a token."""
        return f"'{self.command('token --username NAME')}' prints one."

    def aws(self, words: str) -> str:
        """Return an AWS CLI command for the URL's endpoint."""
        endpoint = f"--endpoint-url {shlex.quote(self.endpoint)} " if self.endpoint else ""
        return f"aws {endpoint}{words}"


def read_token(text: str) -> Token:
    """Parse a token as a client sends it, with or without ``Bearer``."""
    raw = text.strip()
    bare = BEARER.sub("", raw, count=1)
    if AWS_SIGNATURE.match(raw):
        return Token(raw, "it is an AWS signature (SigV4)", kind="aws_signature")
    within = BEARER.sub("", raw.strip(QUOTES), count=1).strip(QUOTES)
    if within != bare and read_token(within).flaw is None:
        return Token(raw, "it has quotes around it", kind="quoted")
    bearer = BEARER.match(raw) is not None
    if re.search(r"\s", bare):
        flaw = "it contains white space, perhaps from a wrapped line"
        return Token(raw, flaw, bearer=bearer)
    try:
        parts = take_apart(bare)
    except FlawError as flaw:
        kind = "refresh_token" if isinstance(flaw, EncryptedError) else "not_a_jwt"
        return Token(raw, str(flaw), bearer=bearer, kind=kind)
    return Token(raw, None, parts.header, parts.claims, bearer=bearer)


def _several(claim: Any) -> list[str]:
    """Return the values of a claim that is a list or a space-separated text."""
    return list(map(str, claim)) if isinstance(claim, list) else str(claim or "").split()


def issuer_like(ours: str, arn: str) -> str:
    """Return the issuer of the pool with this ARN; ``ours`` is our own pool's issuer."""
    region = arn.split(":")[3] if arn.count(":") > 3 else ""  # noqa: PLR2004 an ARN's fourth part
    suffix = urlsplit(ours).netloc.split(".", 2)[2]
    return f"https://cognito-idp.{region}.{suffix}/{arn.rpartition('/')[2]}"
