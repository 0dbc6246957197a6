"""How evidence is gathered where the local AWS answers otherwise than AWS, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from cogauth.checks.explain import diagnose
from cogauth.checks.explain.address import Address
from cogauth.checks.explain.evidence import Evidence, read_token
from cogauth.checks.explain.gather import _permits, _with_answer, _with_function, _with_user
from cogauth.client import tokens
from cogauth.errors import LoginError
from cogauth.gateway.deployed import Deployed
from cogauth.gateway.rest_apis import Guard, Route
from support.evidence import (
    FUNCTION,
    GUARD,
    ISSUER,
    NOW,
    POOL,
    SIGNATURE,
    OurPool,
    a_token,
    evidence,
    says,
)
from support.names import REGION
from support.servers import Answer, Fixed
from support.tokens import with_claims


def test_the_keys_of_a_pool_that_the_authorizer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    asked = []

    def keys(_: Any, verb: str, url: str) -> Any:
        asked.append(f"{verb} {url}")
        document = {"keys": [{**public, "kid": "k"}]}
        return SimpleNamespace(content=json.dumps(document).encode(), status_code=200)

    monkeypatch.setattr(tokens, "request", keys)
    issuer = ISSUER.replace("_Ours", "_Other")
    guard = replace(GUARD, pools=(POOL.replace("_Ours", "_Other"), f"{POOL}${{stageVariables.p}}"))
    good = jwt.encode({"iss": issuer, "exp": NOW + 60}, key, "RS256", headers={"kid": "k"})

    def seen(token: str, **more: Any) -> Evidence:
        known = evidence(signed=None, guard=guard, token=read_token(token), **more)
        return _with_user(cast("Any", OurPool), known)

    found = seen(good)
    assert asked == [f"GET {issuer}/.well-known/jwks.json"]
    assert found.signed is True
    assert diagnose(found).facts["signature"] == "made by the pool that it names"
    found = seen(with_claims(good, sub="root"))
    assert found.signed is False
    says(diagnose(found), "bad_signature", 401)
    del asked[:]
    # An issuer that only the token names, and an emulator's pool.
    assert seen(a_token(iss="https://evil.example/x")).signed is None
    assert seen(a_token(iss=f"{ISSUER}${{stageVariables.p}}")).signed is None
    assert seen(good, endpoint="http://127.0.0.1:1").signed is None
    assert asked == []


class NoPolicy:
    """A context whose Lambda refuses GetPolicy."""

    def __init__(self, message: str) -> None:
        self.aws = self.lambda_ = self
        self.message = message

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{REGION}:123456789012:{resource}"

    def get_policy(self, FunctionName: str) -> Any:  # noqa: N803 boto3's name
        assert FunctionName == f"{FUNCTION}-v2"
        error = {"Code": "ResourceNotFoundException", "Message": self.message}
        raise ClientError({"Error": error}, "GetPolicy")


@pytest.mark.parametrize(
    ("message", "permitted", "gone"),
    [
        ("The resource you requested does not exist.", False, False),
        (f"Function not found: {FUNCTION}", False, True),
        ("Functions from 'us-east-1' are not reachable in this region", None, False),
    ],
)
def test_what_get_policy_says(message: str, permitted: bool | None, gone: bool) -> None:  # noqa: FBT001
    name, path = f"{FUNCTION}-${{stageVariables.version}}", "/orders/{id}/{rest+}"
    method = Route("ANY", path, Guard(), "AWS_PROXY", name)
    seen = evidence(
        500,
        "Internal server error",
        served=Deployed({path: {"ANY": method}}, "d1", None),
        address=replace(evidence().address, path="/orders/7/a/b"),
        stage={"stageName": "dev", "variables": {"version": "v2"}},
    )
    seen = _with_function(cast("Any", NoPolicy(message)), seen)
    assert (seen.permitted, seen.function_gone) == (permitted, gone)
    assert bool(seen.unknown) == (permitted is None)
    arn = f"'arn:aws:execute-api:{REGION}:123456789012:api1/*/*/orders/*/*'"
    if permitted is False and not gone:
        says(diagnose(seen), "lambda_permission", 500, "the function shop-v2 for", arn)


def test_a_private_api_that_is_not_reached() -> None:
    nowhere = Address("http://127.0.0.1:1/dev/hello", "api1", "dev", "/hello", "amazonaws.com")
    seen = evidence(None, address=nowhere)
    with pytest.raises(LoginError):
        _with_answer(cast("Any", OurPool), seen)
    private = {**(seen.api or {}), "endpointConfiguration": {"types": ["PRIVATE"]}}
    found = diagnose(_with_answer(cast("Any", OurPool), replace(seen, api=private)))
    says(found, "private_api", None, "only an interface endpoint", "api1-VPCE_ID")


# Texts that aren't tokens, and texts around a token


def test_what_the_gateway_repeats_of_a_signature_is_not_shown() -> None:
    def repeat(request: Any) -> Answer:
        sent = request.headers["Authorization"]
        parts = sent.replace(",", "").split()
        return Answer(403, json.dumps({"message": f"{sent} and {parts[1]} and {parts[-1]}"}))

    with Fixed(repeat) as gateway:
        address = replace(evidence().address, url=gateway.url)
        seen = _with_answer(
            cast("Any", OurPool), evidence(None, address=address, token=read_token(SIGNATURE))
        )
    assert seen.answer is not None
    assert "AKIDEXAMPLE" not in seen.answer.message
    assert "0123456789abcdef" not in seen.answer.message


# Who may call a function

ARN = f"arn:aws:execute-api:{REGION}:123456789012:api1/dev/GET/pets"


@pytest.mark.parametrize(
    ("change", "permits"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Action": "lambda:*"}, True),
        ({"Action": ["lambda:GetFunction"]}, False),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": ARN.replace("dev/GET", "*/GET")}}}, True),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": ARN.replace("dev/GET", "*/POST")}}}, False),
        ({"Condition": {"ArnLike": {"aws:sourceArn": [f"{ARN}/x", f"{ARN[:-4]}*"]}}}, True),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}}}, True),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": "210987654321"}}}, False),
    ],
)
def test_statements_of_a_functions_policy(change: dict[str, Any], permits: bool) -> None:  # noqa: FBT001
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
    }
    assert _permits({**statement, **change}, ARN) is permits
