"""Causes in a token, on constructed evidence: what the authorizer of a method refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.checks.explain import diagnose
from cogauth.checks.explain.evidence import Answer as Got
from cogauth.checks.explain.evidence import read_token
from cogauth.checks.explain.token_causes import audience_matches
from cogauth.gateway.rest_apis import Guard, Issuer
from support.evidence import GUARD, ISSUER, JWT_GUARD, NOW, POOL, a_token, evidence, says
from support.names import REGION


def test_a_clock_that_is_wrong() -> None:
    early = read_token(a_token(iat=NOW + 300))
    says(diagnose(evidence(token=early)), "not_valid_yet", 401, "in 5 min", "clock")
    says(diagnose(evidence(token=read_token(a_token(nbf=NOW + 86400)))), "not_valid_yet", 401)
    # By the server's clock, regardless of this machine's.
    found = diagnose(evidence(token=read_token(a_token(exp=NOW - 1)), here=NOW - 7200))
    says(found, "expired", 401, "differs from the server's by 2 h")


def test_the_authorizers_token_validation() -> None:
    guard = replace(GUARD, audience="client2|client3")
    says(diagnose(evidence(guard=guard)), "wrong_audience", 401, "client1", "client2|client3")
    assert diagnose(evidence(guard=guard)).notes == ()


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "client[23]",
        "^client2|client3$",
        "client2.*",
        # A pattern that would take Python's re forever.
        "^(client|c|l|i|e|n|t|1|client1)+(client|client1)*(x+x+)+$",
        "(([a-z]+)*[0-9]*)*!",
        "(a" * 5000,
    ],
)
def test_a_regular_expression_of_an_api_owner_is_not_run(pattern: str) -> None:
    token = read_token(a_token(aud="client1" * 200))
    found = diagnose(evidence(guard=replace(GUARD, audience=pattern), token=token))
    says(found, "unexplained", 401)
    assert [note for note in found.notes if note.startswith("Not checked: ") and pattern in note]
    passed = diagnose(evidence(200, "", guard=replace(GUARD, audience=pattern), token=token))
    assert not [note for note in passed.notes if note.startswith("Not checked")]
    assert not [note for note in (*found.notes, *passed.notes) if "doesn't check that" in note]


@given(
    st.sampled_from(["", "^"]),
    st.lists(st.sampled_from(["a", "ab", "client_1", "x-y"]), min_size=1, max_size=3),
    st.sampled_from(["", "(", "(?:"]),
    st.sampled_from(["", "$"]),
    st.sampled_from(["", "a", "ab", "cab", "abc", "client_1", "x-y", "x"]),
)
def test_a_list_of_app_clients_means_what_it_means_as_a_regular_expression(
    start: str, names: list[str], group: str, end: str, audience: str
) -> None:
    pattern = f"{start}{group}{'|'.join(names)}{')' if group else ''}{end}"
    matches = audience_matches(pattern, audience)
    assert matches in {None, bool(re.search(pattern, audience))}
    assert (matches is None) == (bool(start or end) and bool(names[1:]) and not group)


def test_of_a_call_that_was_not_made_a_doubt_is_no_cause() -> None:
    token = read_token(f"Bearer {a_token()}")
    says(diagnose(evidence(None, token=token)), "not_sent", None, "without 'Bearer '")
    says(diagnose(evidence(None, user="deleted")), "not_sent", None, "The gateway doesn't know")
    guard = Guard("CUSTOM", authorizer="mine", api_key=True)
    says(diagnose(evidence(None, guard=guard)), "api_key", None, "A Lambda authorizer (mine)")


def test_a_pool_behind_a_stage_variable_is_not_judged() -> None:
    guard = replace(
        GUARD, pools=(f"arn:aws:cognito-idp:{REGION}:1:userpool/${{stageVariables.p}}",)
    )
    says(diagnose(evidence(guard=guard)), "unexplained", 401)


# Authorizers of type JWT


@pytest.mark.parametrize(
    ("claims", "status", "code", "words"),
    [
        # There, a missing scope is 403, and everything else 401.
        ({}, 403, "scope_missing", "has none. Access tokens of POST /signin have only aws.cog"),
        ({"scope": "shop/write"}, 403, "scope_missing", "answers that with 403"),
        ({"scope": "shop/write"}, None, "scope_missing", "shop/write"),
        ({"scope": "shop/write"}, 401, "unexplained", "an algorithm or a claim"),
        ({"exp": 1}, 401, "expired", "ago"),
        ({"exp": 1, "scope": "shop/read"}, 403, "unexplained", "AWS WAF"),
        (
            {"iss": "https://id.example/"},
            401,
            "wrong_issuer",
            f"trusts only exactly {ISSUER}, https://id.",
        ),
        ({"iss": "https://id.example"}, 401, "wrong_audience", "(aud) is client1"),
        ({"iss": "https://id.example", "aud": ["x", "shop"]}, 401, "unexplained", "algorithm"),
        (
            {"aud": None, "client_id": "other"},
            401,
            "wrong_audience",
            "access tokens have an aud only on request",
        ),
        # It isn't documented whether client_id can replace it.
        ({"aud": None, "client_id": "client1"}, 401, "wrong_audience", "(aud) is not named"),
        (
            {"aud": None, "client_id": "client1", "scope": "shop/read"},
            None,
            "not_sent",
            "an aud only",
        ),
        # It accepts both kinds of token, and both names of the claim.
        ({"token_use": "access", "scp": ["a", "shop/read"]}, None, "not_sent", "was not made"),
        ({"token_use": "id", "scope": "shop/read"}, 200, "none", "answered 200"),
    ],
)
def test_what_a_jwt_authorizer_refuses(
    claims: dict[str, Any], status: int | None, code: str, words: str
) -> None:
    token = read_token(a_token(**claims))
    found = diagnose(evidence(status, "Forbidden", guard=JWT_GUARD, token=token))
    says(found, code, status, words)
    assert found.facts["issuers"] == f"{ISSUER}, https://id.example"
    assert found.facts["authorization"] == "JWT"


@pytest.mark.parametrize("error", ["ForbiddenException", "AccessDeniedException"])
def test_a_403_of_a_jwt_authorizer_by_either_name(error: str) -> None:
    answer = Got(403, "Forbidden", error)
    says(diagnose(evidence(guard=JWT_GUARD, answer=answer)), "scope_missing", 403)


# The newer form of a pool's issuer

UPDATED = ISSUER.replace("https://", "https://issuer-")


def test_a_token_of_the_updated_issuer() -> None:
    token = read_token(a_token(iss=UPDATED))
    found = diagnose(evidence(token=token, issuer_type="UPDATED"))
    says(found, "updated_issuer", 401, UPDATED, "back to ORIGINAL", "resets missing ones")
    assert found.facts["signature"] == "made by the stack's pool"
    # With a botocore that doesn't know the setting.
    says(diagnose(evidence(token=token)), "updated_issuer", 401, "type JWT")
    again = diagnose(evidence(token=token, issuer_type="ORIGINAL"))
    says(again, "updated_issuer", 401, "is ORIGINAL again", "Sign in again", "test-login")
    # From another pool.
    other = read_token(a_token(iss=UPDATED.replace("_Ours", "_Other")))
    says(diagnose(evidence(token=other)), "wrong_pool", 401, "issuer-cognito-idp")
    theirs = replace(GUARD, pools=(POOL.replace("_Ours", "_Other"),))
    says(diagnose(evidence(token=other, guard=theirs)), "updated_issuer", 401)
    # An authorizer of type JWT accepts the issuer if it trusts it.
    trusting = replace(JWT_GUARD, scopes=(), issuers=(Issuer(UPDATED, ("client1",)),))
    says(diagnose(evidence(200, "", token=token, guard=trusting)), "none", 200)
    strict = replace(trusting, issuers=(Issuer(ISSUER, ("client1",)),))
    says(diagnose(evidence(token=token, guard=strict)), "wrong_issuer", 401, UPDATED)


# Texts that aren't tokens, and texts around a token


@pytest.mark.parametrize("text", ['"hello"', '"', "''", '"a.b.c"'])
def test_quotes_around_what_is_no_token_either(text: str) -> None:
    says(diagnose(evidence(token=read_token(text))), "not_a_jwt", 401)
