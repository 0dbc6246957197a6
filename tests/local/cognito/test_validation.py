"""What the local AWS's user pools refuse: strangers' input, and sign-ups to a closed pool."""

from __future__ import annotations

import base64
import json
from functools import partial

import pytest

from support.local_pools import FLOWS, NEW_PASSWORD, Server, claims, refused, unsigned
from support.names import PASSWORD

# Closed pools


@pytest.mark.local
def test_nobody_signs_up_in_a_closed_pool(server: Server) -> None:
    pool = server.pool(AdminCreateUserConfig={"AllowAdminCreateUserOnly": True})
    pool.make("ann")
    # It reveals nothing about its users or its policy.
    for name, password in (("bob", PASSWORD), ("ann", PASSWORD), ("bob", "short")):
        with refused("NotAuthorizedException", "SignUp is not permitted for this user pool"):
            pool.sign_up(name, password)
    assert pool.users() == ["ann"]
    server.cognito.update_user_pool(
        **pool.place, AdminCreateUserConfig={"AllowAdminCreateUserOnly": False}
    )
    pool.sign_up("bob")
    assert pool.users() == ["ann", "bob"]


@pytest.mark.local
def test_a_closed_pool_asks_for_the_secret_hash_first(server: Server) -> None:
    pool = server.pool(secret=True, AdminCreateUserConfig={"AllowAdminCreateUserOnly": True})
    with refused(
        "NotAuthorizedException", f"Unable to verify secret hash for client {pool.client}"
    ):
        server.cognito.sign_up(
            ClientId=pool.client, Username="ann", Password=PASSWORD, SecretHash="wrong"
        )
    with refused("NotAuthorizedException", "SignUp is not permitted for this user pool"):
        pool.sign_up("ann")


# The session of a challenge


@pytest.mark.local
def test_a_password_has_spaces_inside_alone(server: Server) -> None:
    pool = server.pool()
    good, other, bad = "Correct Horse 7", "Battery Staple 8", "Correct-Horse-7 "
    pool.make("ann", permanent=False)
    pool.cognito.admin_create_user(**pool.place, Username="bob", TemporaryPassword=good)
    token = pool.log_in("bob", good)["Session"]
    with refused("InvalidPasswordException"):
        pool.answer(NEW_PASSWORD, token, USERNAME="bob", NEW_PASSWORD=bad)
    pool.answer(NEW_PASSWORD, token, USERNAME="bob", NEW_PASSWORD=other)
    access = pool.log_in("bob", other)["AuthenticationResult"]["AccessToken"]
    change = partial(server.cognito.change_password, AccessToken=access)
    change(PreviousPassword=other, ProposedPassword=good)
    pool.sign_up("eve", good)
    set_password = partial(server.cognito.admin_set_user_password, **pool.place, Username="ann")
    set_password(Password=good, Permanent=True)
    assert "AuthenticationResult" in pool.log_in("ann", good)
    create = partial(server.cognito.admin_create_user, **pool.place, Username="ida")
    pattern = r"Member must satisfy regular expression pattern: ^[\S]+.*[\S]+$"
    for name, call in (
        ("password", partial(pool.sign_up, "ida", bad)),
        ("password", partial(set_password, Password=bad)),
        ("temporaryPassword", partial(create, TemporaryPassword=bad)),
        ("previousPassword", partial(change, PreviousPassword=bad, ProposedPassword=good)),
        ("proposedPassword", partial(change, PreviousPassword=good, ProposedPassword=bad)),
    ):
        at = f"1 validation error detected: Value at '{name}' failed to satisfy constraint"
        with refused("InvalidParameterException", f"{at}: {pattern}"):
            call()
    assert pool.users() == ["ann", "bob", "eve"]


# Input from strangers

NO_ATTRIBUTES_OF_A_USERS = [
    *("cognito:username", "cognito:groups", "token_use", "scope", "exp", "iss", "aud", "username"),
    *("sub", "email_verified", "phone_number_verified", "custom:never", "client_id"),
]


@pytest.mark.local
@pytest.mark.parametrize("name", NO_ATTRIBUTES_OF_A_USERS)
def test_nobody_gives_himself_what_is_not_an_attribute_of_his(server: Server, name: str) -> None:
    pool = server.pool()
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        pool.sign_up("mal", **{name: "x"})
    assert pool.users() == []
    pool.make("mal")
    tokens = pool.log_in("mal")["AuthenticationResult"]
    before = claims(tokens["IdToken"])
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        server.cognito.update_user_attributes(
            AccessToken=tokens["AccessToken"], UserAttributes=[{"Name": name, "Value": "x"}]
        )
    after = claims(pool.log_in("mal")["AuthenticationResult"]["IdToken"])
    assert set(after) == set(before)
    assert (after["sub"], after["iss"]) == (before["sub"], before["iss"])


@pytest.mark.local
def test_an_attribute_of_the_schema_is_the_users_own(server: Server) -> None:
    pool = server.pool(Schema=[{"Name": "team", "AttributeDataType": "String", "Mutable": True}])
    pool.sign_up("ann", nickname="annie", **{"custom:team": "blue"})
    server.cognito.admin_confirm_sign_up(**pool.place, Username="ann")
    tokens = pool.log_in("ann")["AuthenticationResult"]
    server.cognito.update_user_attributes(
        AccessToken=tokens["AccessToken"], UserAttributes=[{"Name": "custom:team", "Value": "red"}]
    )
    after = claims(pool.log_in("ann")["AuthenticationResult"]["IdToken"])
    assert (after["custom:team"], after["nickname"]) == ("red", "annie")
    pool.sign_up("bob", **{"custom:team": ""})
    without = {"ClientId": pool.client, "Username": "eve", "Password": PASSWORD}
    answer = unsigned(server, "SignUp", {**without, "UserAttributes": [{"Name": "nickname"}]})
    assert answer.status_code == 200


@pytest.mark.local
def test_an_app_client_writes_what_it_may_and_a_developers_attribute_is_no_users(
    server: Server,
) -> None:
    pool = server.pool(
        Schema=[
            {"Name": "id_verified", "AttributeDataType": "String", "Mutable": True},
            {"Name": "tier", "AttributeDataType": "String", "Mutable": True},
            {"Name": "secret", "AttributeDataType": "String", "DeveloperOnlyAttribute": True},
        ]
    )
    pool.sign_up("ann", **{"custom:id_verified": "no", "custom:tier": "none"})
    (dev,) = (
        one["Name"]
        for one in pool.described()["SchemaAttributes"]
        if one["Name"].startswith("dev:")
    )
    with refused("NotAuthorizedException"):
        pool.sign_up("bob", **{dev: "x"})
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=FLOWS, WriteAttributes=["email"]
    )
    with refused("NotAuthorizedException"):
        pool.sign_up("bob", **{"custom:tier": "admin"})
    server.cognito.admin_confirm_sign_up(**pool.place, Username="ann")
    access = pool.log_in("ann")["AuthenticationResult"]["AccessToken"]
    with refused("NotAuthorizedException"):
        server.cognito.update_user_attributes(
            AccessToken=access, UserAttributes=[{"Name": "custom:tier", "Value": "admin"}]
        )


DEEP = "[" * 700 + "]" * 700
NO_TEXTS = [1, None, True, [], {}, ["x"], {"__bytes__": 1}, json.loads(DEEP), "x" * 2049, "\ud800"]


@pytest.mark.local
def test_what_is_not_of_the_models_types_is_refused_and_nothing_is_lost(server: Server) -> None:
    pool = server.pool()
    pool.make("ann")
    good = {"ClientId": pool.client, "Username": "mal", "Password": PASSWORD}
    for value in NO_TEXTS[:1] + NO_TEXTS[2:]:
        given = {**good, "UserAttributes": [{"Name": "name", "Value": value}]}
        assert unsigned(server, "SignUp", given).status_code == 400, value
    for name in good:
        for value in NO_TEXTS:
            answer = unsigned(server, "SignUp", {**good, name: value})
            assert answer.status_code == 400, (name, value)
            assert answer.json()["__type"] in {
                *("InvalidParameterException", "ResourceNotFoundException"),
                *("InvalidPasswordException", "SerializationException"),
            }
    for name in ("mal ", "a b", "a\x00", "a\nb", "\x1b[2J", "a\u200b", ""):
        assert unsigned(server, "SignUp", {**good, "Username": name}).status_code == 400, name
    for body in ("[]", "7", "null", '"x"', "{", DEEP, "[" * 100_000, '{"ClientId": NaN}'):
        assert unsigned(server, "SignUp", body).status_code == 400, body
    for operation in ("InitiateAuth", "ForgotPassword", "RespondToAuthChallenge", "GetUser"):
        for value in NO_TEXTS:
            assert unsigned(server, operation, {"ClientId": value}).status_code == 400
    assert pool.users() == ["ann"]
    server.restart()
    assert pool.users() == ["ann"]
    assert "AuthenticationResult" in pool.log_in("ann")


@pytest.mark.local
@pytest.mark.parametrize("operation", ["GetUser", "GlobalSignOut", "DeleteUser"])
def test_a_token_that_is_nested_deeply_is_refused(server: Server, operation: str) -> None:
    part = base64.urlsafe_b64encode(("[" * 5000).encode()).decode().rstrip("=")
    answer = unsigned(server, operation, {"AccessToken": f"{part}.{part}.{part}"})
    assert answer.status_code == 400


@pytest.mark.local
def test_a_refresh_token_is_taken_from_who_knows_the_clients_secret(server: Server) -> None:
    pool = server.pool(secret=True)
    pool.make("ann")
    token = pool.log_in("ann")["AuthenticationResult"]["RefreshToken"]
    given = {"ClientId": pool.client, "RefreshToken": token}
    for secret in ({}, {"ClientSecret": 26 * "no"}):
        with refused("NotAuthorizedException"):
            server.cognito.get_tokens_from_refresh_token(**given, **secret)
        with refused("NotAuthorizedException"):
            server.cognito.revoke_token(ClientId=pool.client, Token=token, **secret)
    own = {"ClientSecret": pool.secret}
    got = server.cognito.get_tokens_from_refresh_token(**given, **own)["AuthenticationResult"]
    server.cognito.get_user(AccessToken=got["AccessToken"])
    server.cognito.revoke_token(ClientId=pool.client, Token=token, **own)
    with refused("NotAuthorizedException"):
        server.cognito.get_user(AccessToken=got["AccessToken"])


@pytest.mark.local
def test_a_refresh_token_is_revoked_by_its_own_app_client(server: Server) -> None:
    pool = server.pool()
    pool.make("ann")
    other = server.cognito.create_user_pool_client(**pool.place, ClientName="other")
    tokens = pool.log_in("ann")["AuthenticationResult"]
    with refused("NotAuthorizedException"):
        server.cognito.revoke_token(
            ClientId=other["UserPoolClient"]["ClientId"], Token=tokens["RefreshToken"]
        )
    with refused("UnsupportedTokenTypeException"):
        server.cognito.revoke_token(ClientId=pool.client, Token=tokens["AccessToken"])
    server.cognito.get_user(AccessToken=tokens["AccessToken"])


@pytest.mark.local
def test_a_token_that_the_pool_did_not_make_revokes_nothing(server: Server) -> None:
    pool = server.pool()
    pool.make("ann")
    tokens = pool.log_in("ann")["AuthenticationResult"]
    content = {"token_use": "refresh", "origin_jti": claims(tokens["AccessToken"])["origin_jti"]}
    made = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    for token in (f"x.{made}.y", "x", 3 * "x" * 1000):
        with refused("NotAuthorizedException"):
            server.cognito.revoke_token(ClientId=pool.client, Token=token)
    server.cognito.get_user(AccessToken=tokens["AccessToken"])
