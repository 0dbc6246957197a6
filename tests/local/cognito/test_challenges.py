"""A challenge of the local AWS's user pools is answered with its own session, once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import time
from functools import partial
from typing import Any

import pytest
import requests

from support.local_pools import (
    ANY_CASE,
    FLOWS,
    NEW_PASSWORD,
    NOBODYS_SESSION,
    OTHER_PASSWORD,
    Pool,
    Server,
    claims,
    refused,
)
from support.names import PASSWORD

# The session of a challenge

INVALID = "Invalid session for the user"


@pytest.mark.local
@pytest.mark.parametrize("signed", [True, False])
def test_a_new_password_takes_the_session_of_its_own_challenge_once(
    server: Server, *, signed: bool
) -> None:
    pool, other = server.pool(), server.pool()
    for one in (pool, other):
        for name in ("ann", "bob"):
            one.make(name, permanent=False)

    def begin(one: Pool, name: str) -> str:
        challenge = one.log_in(name)
        assert challenge["ChallengeName"] == NEW_PASSWORD
        begun: str = challenge["Session"]
        return begun

    second = pool._replace(
        client=server.cognito.create_user_pool_client(
            **pool.place, ClientName="second", ExplicitAuthFlows=FLOWS
        )["UserPoolClient"]["ClientId"]
    )
    answer = {"USERNAME": "ann", "NEW_PASSWORD": OTHER_PASSWORD}
    for strange in (
        NOBODYS_SESSION,
        begin(pool, "bob"),
        begin(other, "ann"),
        begin(second, "ann"),
    ):
        with refused("NotAuthorizedException", f"{INVALID}."):
            pool.answer(NEW_PASSWORD, strange, signed=signed, **answer)
    with refused("InvalidParameterException", "Missing required parameter Session"):
        pool.answer(NEW_PASSWORD, None, signed=signed, **answer)

    own = begin(pool, "ann")
    for missing in answer:
        given = {key: answer[key] for key in answer if key != missing}
        with refused("InvalidParameterException", f"Missing required parameter {missing}"):
            pool.answer(NEW_PASSWORD, own, signed=signed, **given)
    with refused("InvalidPasswordException"):
        pool.answer(NEW_PASSWORD, own, signed=signed, USERNAME="ann", NEW_PASSWORD="short")
    # None of this has changed the user: the temporary password still works.
    begin(pool, "ann")
    got = pool.answer(NEW_PASSWORD, own, signed=signed, **answer)
    assert claims(got["AuthenticationResult"]["IdToken"])["cognito:username"] == "ann"
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
    with refused("NotAuthorizedException"):
        pool.log_in("ann", PASSWORD)
    with refused("NotAuthorizedException", f"{INVALID}, session can only be used once."):
        pool.answer(NEW_PASSWORD, own, signed=signed, **{**answer, "NEW_PASSWORD": PASSWORD})
    # An answer for a missing app client doesn't make it valid again, either.
    with refused("ResourceNotFoundException"):
        pool._replace(client=26 * "0").answer(NEW_PASSWORD, own, signed=signed, **answer)
    with refused("NotAuthorizedException", f"{INVALID}, session can only be used once."):
        pool.answer(NEW_PASSWORD, own, signed=signed, **{**answer, "NEW_PASSWORD": PASSWORD})
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
    # It hasn't changed any other user, either.
    begin(pool, "bob")


@pytest.mark.local
def test_a_challenge_names_the_user_as_the_pool_does_and_the_hash_is_over_that(
    server: Server,
) -> None:
    pool = server.pool(secret=True, UsernameConfiguration=ANY_CASE)
    pool.make("Ann", permanent=False)
    challenge = pool.log_in("ANN")
    assert challenge["ChallengeParameters"]["USER_ID_FOR_SRP"] == "ann"
    for name, hashed in (("ANN", "ANN"), ("ANN", "ann"), ("ann", "ANN")):
        wrong = {"USERNAME": name, "SECRET_HASH": pool.hash_of(hashed)}
        message = f"Unable to verify secret hash for client {pool.client}"
        with refused("NotAuthorizedException", message):
            pool.answer(NEW_PASSWORD, challenge["Session"], NEW_PASSWORD=OTHER_PASSWORD, **wrong)
    right = {"USERNAME": "ann", "SECRET_HASH": pool.hash_of("ann")}
    pool.answer(NEW_PASSWORD, challenge["Session"], NEW_PASSWORD=OTHER_PASSWORD, **right)
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)


@pytest.mark.local
def test_a_client_without_a_secret_answers_in_any_case(server: Server) -> None:
    pool = server.pool(UsernameConfiguration=ANY_CASE)
    pool.make("Ann", permanent=False)
    session = pool.log_in("ANN")["Session"]
    pool.answer(NEW_PASSWORD, session, USERNAME="aNN", NEW_PASSWORD=OTHER_PASSWORD)
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)


@pytest.mark.local
def test_a_password_is_changed_by_who_knows_it_and_the_tokens_stay_valid(server: Server) -> None:
    pool = server.pool()
    pool.make("ann")
    tokens = pool.log_in("ann")["AuthenticationResult"]
    change = partial(server.cognito.change_password, AccessToken=tokens["AccessToken"])
    with refused("NotAuthorizedException", "Incorrect username or password."):
        change(PreviousPassword=OTHER_PASSWORD, ProposedPassword=OTHER_PASSWORD)
    with refused("InvalidPasswordException"):
        change(PreviousPassword=PASSWORD, ProposedPassword="short")
    with refused("NotAuthorizedException"):
        server.cognito.change_password(
            AccessToken=tokens["AccessToken"][:-9] + "A" * 9,
            PreviousPassword=PASSWORD,
            ProposedPassword=OTHER_PASSWORD,
        )
    assert "AuthenticationResult" in pool.log_in("ann")
    change(PreviousPassword=PASSWORD, ProposedPassword=OTHER_PASSWORD)
    with refused("NotAuthorizedException", "Incorrect username or password."):
        pool.log_in("ann")
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
    assert server.cognito.get_user(AccessToken=tokens["AccessToken"])["Username"] == "ann"
    renewed = pool.start("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=tokens["RefreshToken"])
    assert claims(renewed["AuthenticationResult"]["IdToken"])["cognito:username"] == "ann"


@pytest.mark.local
def test_a_session_outlasts_a_restart_until_it_has_expired_or_was_used(server: Server) -> None:
    pool = server.pool()
    sessions = {}
    for name in ("ann", "bob", "eve"):
        pool.make(name, permanent=False)
        sessions[name] = pool.log_in(name)["Session"]
    pool.answer(NEW_PASSWORD, sessions["eve"], USERNAME="eve", NEW_PASSWORD=OTHER_PASSWORD)

    def let_bobs_expire(payload: dict[str, Any]) -> None:
        for kept in payload["challenge_sessions"]["data"].values():
            if (kept["pool_id"], kept["username"]) == (pool.id, "bob"):
                # By default it lasts three minutes.
                assert kept["expires_at"] - kept["created_at"] == pytest.approx(180)
                kept["expires_at"] -= 180

    server.restart(let_bobs_expire)
    pool.answer(NEW_PASSWORD, sessions["ann"], USERNAME="ann", NEW_PASSWORD=OTHER_PASSWORD)
    with refused("NotAuthorizedException", f"{INVALID}, session is expired."):
        pool.answer(NEW_PASSWORD, sessions["bob"], USERNAME="bob", NEW_PASSWORD=OTHER_PASSWORD)
    with refused("NotAuthorizedException", f"{INVALID}, session can only be used once."):
        pool.answer(NEW_PASSWORD, sessions["eve"], USERNAME="eve", NEW_PASSWORD=PASSWORD)


@pytest.mark.local
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("challenge", ["MFA_SETUP", "SOFTWARE_TOKEN_MFA"])
def test_no_challenge_is_answered_that_was_not_given(
    server: Server, challenge: str, *, signed: bool
) -> None:
    pool = server.pool()
    pool.make("ann")
    pool.make("bob", permanent=False)
    for strange in (NOBODYS_SESSION, pool.log_in("bob")["Session"]):
        for name in ("ann", "bob"):
            with refused("NotAuthorizedException", f"{INVALID}."):
                pool.answer(
                    challenge,
                    strange,
                    signed=signed,
                    USERNAME=name,
                    SOFTWARE_TOKEN_MFA_CODE="123456",
                )


@pytest.mark.local
def test_no_pool_that_an_unsigned_answer_names_stands_in_for_a_session(server: Server) -> None:
    pool, other = server.pool(), server.pool()
    pool.make("ann")
    answer = {
        **other.place,
        "ClientId": pool.client,
        "ChallengeName": "MFA_SETUP",
        "ChallengeResponses": {"USERNAME": "ann"},
        "Session": NOBODYS_SESSION,
    }
    # botocore wouldn't send the pool's id.
    target = "AWSCognitoIdentityProviderService.RespondToAuthChallenge"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    got = requests.post(server.url, json.dumps(answer), headers=headers, timeout=30)
    assert got.status_code == 400
    assert got.json()["message"] == f"{INVALID}."


@pytest.mark.local
def test_a_session_of_one_challenge_is_none_of_another(server: Server) -> None:
    pool = server.pool()
    pool.make("bob", permanent=False)
    own = pool.log_in("bob")["Session"]
    with refused("NotAuthorizedException", f"{INVALID}."):
        pool.answer("CUSTOM_CHALLENGE", own, USERNAME="bob", ANSWER="x")
    with refused("NotAuthorizedException", f"{INVALID}."):
        pool.answer("SMS_MFA", own, USERNAME="bob", SMS_MFA_CODE="123456")
    assert "AuthenticationResult" in pool.answer(
        NEW_PASSWORD, own, USERNAME="bob", NEW_PASSWORD=OTHER_PASSWORD
    )


def one_time_code(secret: str) -> str:
    """Return what an authenticator shows (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    mac = hmac.digest(base64.b32decode(secret), counter, hashlib.sha1)
    return f"{(struct.unpack_from('>I', mac, mac[-1] & 15)[0] & 0x7FFFFFFF) % 10**6:06}"


@pytest.mark.local
@pytest.mark.parametrize("signed", [True, False])
def test_a_second_factor_takes_the_session_of_its_own_challenge_once(
    server: Server, *, signed: bool
) -> None:
    pool = server.pool()
    secrets = {}
    for name in ("ann", "bob"):
        pool.make(name)
        access = {"AccessToken": pool.log_in(name)["AuthenticationResult"]["AccessToken"]}
        secrets[name] = server.cognito.associate_software_token(**access)["SecretCode"]
        server.cognito.verify_software_token(**access, UserCode=one_time_code(secrets[name]))
    server.cognito.set_user_pool_mfa_config(
        **pool.place,
        MfaConfiguration="OPTIONAL",
        SoftwareTokenMfaConfiguration={"Enabled": True},
    )
    begun = {name: pool.log_in(name) for name in secrets}
    assert {one["ChallengeName"] for one in begun.values()} == {"SOFTWARE_TOKEN_MFA"}

    def answer(session: str, code: str) -> Any:
        return pool.answer(
            "SOFTWARE_TOKEN_MFA",
            session,
            signed=signed,
            USERNAME="ann",
            SOFTWARE_TOKEN_MFA_CODE=code,
        )

    own = begun["ann"]["Session"]
    wrong = f"{(int(one_time_code(secrets['ann'])) + 1) % 10**6:06}"
    with refused("NotAuthorizedException", f"{INVALID}."):
        answer(begun["bob"]["Session"], one_time_code(secrets["ann"]))
    for _ in range(2):
        with refused("CodeMismatchException"):
            answer(own, wrong)
    assert "AuthenticationResult" in answer(own, one_time_code(secrets["ann"]))
    with refused("NotAuthorizedException", f"{INVALID}, session can only be used once."):
        answer(own, one_time_code(secrets["ann"]))


# Input from strangers


@pytest.mark.local
def test_a_session_is_no_good_once_a_lasting_password_was_set(server: Server) -> None:
    pool = server.pool()
    pool.make("ann", permanent=False)
    first, second = (pool.log_in("ann")["Session"] for _ in range(2))
    names = {"USERNAME": "ann", "NEW_PASSWORD": OTHER_PASSWORD}
    assert "AuthenticationResult" in pool.answer(NEW_PASSWORD, first, **names)
    with refused("NotAuthorizedException", f"{INVALID}."):
        pool.answer(NEW_PASSWORD, second, USERNAME="ann", NEW_PASSWORD=PASSWORD)
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
