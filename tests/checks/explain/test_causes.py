"""Causes outside the token, on constructed evidence: the gateway, the stage, the function."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cogauth.checks.explain import diagnose
from cogauth.checks.explain.address import Address
from cogauth.checks.explain.evidence import Answer as Got
from cogauth.checks.explain.evidence import read_token
from cogauth.gateway.deployed import Deployed
from cogauth.gateway.rest_apis import Guard
from support.evidence import (
    FUNCTION,
    GUARD,
    JWT_GUARD,
    NOW,
    POOL,
    SIGNATURE,
    a_token,
    evidence,
    routes,
    says,
)
from support.names import REGION


def test_a_guard_that_was_changed_and_not_deployed() -> None:
    scoped = replace(GUARD, scopes=("shop/read",))
    found = diagnose(evidence(guard=scoped, now=GUARD))
    says(found, "not_deployed", 401, "scopes: deployed shop/read, now none", "id_token", "15 min")
    assert "create-deployment --rest-api-id api1 --stage-name dev" in found.cause.fix
    # It is refused either way: the token is the cause, and the change is mentioned.
    old = read_token(a_token(exp=NOW - 90))
    found = diagnose(evidence(guard=scoped, now=GUARD, token=old))
    says(found, "expired", 401, "expired 1 min 30 s ago", "changed since it was deployed")
    # The authorizer's pool and header.
    other = replace(GUARD, pools=(POOL.replace("Ours", "Other"),))
    says(diagnose(evidence(guard=other, now=GUARD)), "not_deployed", 401, "wrong_pool", "_Other")
    header = replace(GUARD, header="X-Auth")
    says(diagnose(evidence(guard=header, now=GUARD)), "not_deployed", 401, "wrong_header")
    # A method deployed open still lets everyone in, although it has a guard now.
    open_to_all = diagnose(evidence(200, "", guard=Guard(), now=GUARD, token=None))
    says(open_to_all, "none", 200, "type: deployed NONE, now COGNITO_USER_POOLS")
    says(open_to_all, "none", 200, "is open to anyone on the stage dev", "isn't deployed to that")
    assert "Nothing is wrong" not in open_to_all.cause.sentence


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_on_aws_an_answer_without_the_gateways_mark_is_not_the_gateways(status: int) -> None:
    """Whatever the token or the function's permission, the call reached the function."""
    wrong = read_token(f"Bearer {a_token(exp=1)}")
    seen = evidence(function=FUNCTION, answer=Got(status, "no"), token=wrong, permitted=False)
    says(diagnose(seen), "integration_answered", status, "the function shop", "/aws/lambda/shop")
    # It isn't the answer of a new deployment, either.
    served = Deployed(routes(GUARD), "d2", datetime.fromtimestamp(NOW - 5, UTC))
    found = diagnose(evidence(answer=Got(status, "no"), served=served))
    says(found, "integration_answered", status, "the method's backend")


def test_an_api_key_is_the_cause_only_where_nothing_else_is() -> None:
    guard = replace(GUARD, api_key=True)
    own_words = "explain sends none, so if your client sends one"
    refused = Got(403, "Forbidden", "ForbiddenException")
    says(diagnose(evidence(guard=guard, answer=refused)), "api_key", 403, own_words)
    says(diagnose(evidence(None, guard=guard)), "api_key", None, own_words)
    old = read_token(a_token(exp=1))
    says(diagnose(evidence(guard=guard, token=old)), "expired", 401)
    says(diagnose(evidence(None, guard=guard, token=old)), "expired", None)
    unpermitted = evidence(None, guard=guard, function=FUNCTION, permitted=False)
    says(diagnose(unpermitted), "lambda_permission", None)
    says(diagnose(evidence(guard=guard, answer=Got(403, "Forbidden"))), "integration_answered", 403)


def test_behind_the_guard_a_user_that_is_gone_is_why() -> None:
    seen = evidence(answer=Got(403, "no"), user="deleted")
    says(diagnose(seen), "user_deleted", 403, "The gateway doesn't know")
    # The gateway itself doesn't check that.
    says(diagnose(evidence(user="deleted")), "unexplained", 401)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("MissingAuthenticationTokenException", "The token is not the cause"),
        ("ForbiddenException", "AWS WAF"),
    ],
)
def test_a_403_that_is_not_about_the_token(error: str, words: str) -> None:
    seen = evidence(answer=Got(403, "no", error), token=read_token(f"Bearer {a_token(exp=1)}"))
    says(diagnose(seen), "unexplained", 403, words)
    signed = replace(seen, served=Deployed(routes(Guard("AWS_IAM")), "d1", None))
    code = "unexplained" if error == "ForbiddenException" else "iam_authorization"
    says(diagnose(signed), code, 403)


def test_too_many_calls_by_the_gateways_own_word() -> None:
    says(diagnose(evidence(429, "Too Many Requests")), "throttled", 429, "too many calls")
    quota = Got(429, "Limit Exceeded", "LimitExceededException")
    says(diagnose(evidence(answer=quota)), "throttled", 429, "quota")


def test_a_function_that_timed_out_on_aws() -> None:
    seen = evidence(504, "Endpoint request timed out", function=FUNCTION, permitted=True)
    says(diagnose(seen), "function_failed", 504, "29 s")


def test_a_lambda_authorizer_that_fails() -> None:
    answer = Got(500, "null", "AuthorizerConfigurationException")
    found = diagnose(evidence(guard=Guard("CUSTOM", authorizer="mine"), answer=answer))
    says(found, "authorizer_broken", 500, "The Lambda authorizer mine failed", "log")
    assert "user pool" not in found.cause.sentence
    says(diagnose(evidence(answer=answer)), "authorizer_broken", 500, "user pool")


def test_only_a_500_tells_of_a_lambda_permission() -> None:
    unpermitted = {"function": FUNCTION, "permitted": False}
    says(diagnose(evidence(500, "", **unpermitted)), "lambda_permission", 500)
    says(diagnose(evidence(None, **unpermitted)), "lambda_permission", None)
    says(diagnose(evidence(504, "", **unpermitted)), "function_failed", 504)
    found = diagnose(evidence(200, "", **unpermitted))
    says(found, "none", 200)
    assert found.notes == ()


def test_a_url_without_a_stage() -> None:
    address = Address(f"https://api1.execute-api.{REGION}.amazonaws.com", "api1", "", "/", None)
    seen = evidence(403, "Forbidden", address=address, stage=None, served=None)
    says(diagnose(seen), "wrong_stage", 403, "names no stage; the API api1 has: dev", "/dev/…")


def test_a_resource_policy() -> None:
    said = "User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:…"
    says(diagnose(evidence(403, said)), "resource_policy", 403, "Resource policy")


def test_where_the_url_leads_is_no_cause_of_an_answer_from_there() -> None:
    off = {"name": "shop", "disableExecuteApiEndpoint": True}
    lost = Deployed(routes(GUARD, path="/other"), "d1", None)
    post = Deployed({"/hello": {"POST": routes(GUARD)["/hello"]["GET"]}}, "d1", None)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("endpoint_disabled", {"api": off}),
        ("wrong_stage", {"stage": None, "served": None}),
        ("wrong_path", {"served": lost, "live": {}}),
        ("wrong_method", {"served": post, "live": {}}),
    ]
    for code, more in cases:
        says(diagnose(evidence(403, "Forbidden", **more)), code, 403)
        says(diagnose(evidence(None, verb="GET", **more)), code, None)
        says(diagnose(evidence(200, "", **more)), "none", 200)
        assert not diagnose(evidence(200, "", **more)).notes
        assert diagnose(evidence(429, "Too Many Requests", **more)).cause.code == "throttled"
        behind = evidence(answer=Got(404, "no such order"), **more)
        assert diagnose(behind).cause.code == "integration_answered"


def test_an_endpoint_that_is_turned_off() -> None:
    off = {"name": "shop", "disableExecuteApiEndpoint": True}
    says(diagnose(evidence(403, "Forbidden", api=off)), "endpoint_disabled", 403, "custom domain")


def test_a_deployment_of_a_moment_ago() -> None:
    served = Deployed(routes(GUARD), "d2", datetime.fromtimestamp(NOW - 5, UTC))
    found = diagnose(evidence(500, "Internal server error", served=served))
    says(found, "just_deployed", 500, "5 s ago", "Wait a moment")


def test_a_lambda_authorizer_is_left_to_its_own_log() -> None:
    guard = Guard("CUSTOM", authorizer="mine")
    says(diagnose(evidence(guard=guard)), "custom_authorizer", 401, "mine", "log")
    says(diagnose(evidence(200, "", guard=guard)), "none", 200)


def test_a_crash_that_lambda_hands_over_as_a_success() -> None:
    name = f"arn:aws:lambda:{REGION}:1:function:shop"
    answer = Got(200, "division by zero", failed=True)
    found = diagnose(evidence(function=name, answer=answer, permitted=True))
    says(found, "function_failed", 200, "/aws/lambda/shop")


# Authorizers of type JWT


def test_a_jwt_authorizer_that_can_t_be_used() -> None:
    answer = Got(500, "null", "AuthorizerConfigurationException")
    found = diagnose(evidence(guard=JWT_GUARD, answer=answer))
    says(found, "authorizer_broken", 500, "issuer's keys")


# Texts that aren't tokens, and texts around a token


def test_an_aws_signature_where_one_is_asked_for() -> None:
    seen = evidence(403, "no", guard=Guard("AWS_IAM"), token=read_token(SIGNATURE))
    says(diagnose(seen), "iam_authorization", 403, "valid for a single request")
    says(diagnose(evidence(guard=JWT_GUARD, token=read_token(SIGNATURE))), "aws_signature", 401)
