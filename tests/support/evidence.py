"""Evidence of a call that no emulator produces, and what is found from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cogauth.checks.explain.address import Address
from cogauth.checks.explain.evidence import Answer as Got
from cogauth.checks.explain.evidence import Evidence, read_token
from cogauth.gateway.deployed import Deployed
from cogauth.gateway.rest_apis import Guard, Issuer, Route, Routes
from support.names import REGION
from support.tokens import segment

if TYPE_CHECKING:
    from cogauth.checks.explain import Diagnosis


def says(found: Diagnosis, code: str, status: int | None, *words: str) -> None:
    """Check the cause and the answer's status, and that no token is shown."""
    text = f"{found.cause.sentence}\n{found.cause.fix}\n{found.notes}\n{found.facts}"
    assert (found.cause.code, found.answer and found.answer.status) == (code, status), text
    for each in words:
        assert each in text
    assert "eyJ" not in text.replace("eyJhbGciOi…", "")
    assert found.cause.fix or code == "none"


NOW = 1_800_000_000.0
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{REGION}_Ours"
POOL = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_Ours"
GUARD = Guard("COGNITO_USER_POOLS", authorizer="ours", pools=(POOL,))
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:shop"
# The error types that mark the answers of AWS's gateway itself.
ERRORS = {
    401: "UnauthorizedException",
    403: "AccessDeniedException",
    429: "TooManyRequestsException",
    500: "InternalServerErrorException",
    504: "InternalServerErrorException",
}


def routes(guard: Guard, function: str | None = None, path: str = "/hello") -> Routes:
    return {path: {"GET": Route("GET", path, guard, "AWS_PROXY", function)}}


def a_token(**claims: Any) -> str:
    whole = {
        "iss": ISSUER,
        "token_use": "id",
        "aud": "client1",
        "iat": NOW - 60,
        "exp": NOW + 3600,
        **claims,
    }
    return f"{segment({'alg': 'RS256', 'kid': 'k'})}.{segment(whole)}.c2lnbmF0dXJl"


def evidence(
    status: int | None = 401,
    message: str = "Unauthorized",
    *,
    guard: Guard = GUARD,
    now: Guard | None = None,
    function: str | None = None,
    **more: Any,
) -> Evidence:
    url = f"https://api1.execute-api.{REGION}.amazonaws.com/dev/hello"
    known = Evidence(
        Address(url, "api1", "dev", "/hello", "amazonaws.com"),
        "GET",
        "Authorization",
        read_token(a_token()),
        ISSUER,
        "client1",
        here=NOW,
        now=NOW,
        api={"id": "api1", "name": "shop"},
        stages=({"stageName": "dev"},),
        stage={"stageName": "dev"},
        live=routes(now or guard, function),
        served=Deployed(routes(guard, function), "d1", datetime.fromtimestamp(NOW - 900, UTC)),
        answer=None if status is None else Got(status, message, ERRORS.get(status, "")),
        signed=True,
        user="present",
    )
    return replace(known, **more)


class OurPool:
    """A context that only knows where its pool's keys are."""

    jwks_url = f"{ISSUER}/.well-known/jwks.json"
    aws = SimpleNamespace(ca_bundle=None, allow_http=False)


JWT_GUARD = Guard(
    "JWT",
    scopes=("shop/read",),
    authorizer="theirs",
    issuers=(Issuer(ISSUER, ("client1", "client2")), Issuer("https://id.example", ("shop",))),
)


SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-central-1/execute-api/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef"
)
