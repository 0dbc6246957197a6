"""Names of users on the local AWS, in upper and lower case, and their aliases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.local.cognito.names import UsersInAnyCase
from support.local_pools import ANY_CASE, OTHER_PASSWORD, Server, claims, refused
from support.names import PASSWORD


@pytest.mark.local
def test_a_pool_knows_a_user_by_any_case_of_the_name(server: Server) -> None:
    pool = server.pool(UsernameConfiguration=ANY_CASE)
    cognito, place = server.cognito, pool.place
    cognito.create_group(**place, GroupName="g")
    pool.sign_up("Ann")
    for again in ("Ann", "ann", "ANN"):
        with refused("UsernameExistsException"):
            pool.sign_up(again)
        with refused("UsernameExistsException"):
            pool.make(again)
    cognito.admin_confirm_sign_up(**place, Username="aNN")
    for name in ("Ann", "ann", "ANN"):
        for answer in (pool.log_in(name), pool.log_in_unsigned(name)):
            tokens = answer["AuthenticationResult"]
            assert claims(tokens["IdToken"])["cognito:username"] == "ann"
            assert cognito.get_user(AccessToken=tokens["AccessToken"])["Username"] == "ann"
        assert pool.shown_name(name) == "ann"
        member = {**place, "Username": name, "GroupName": "g"}
        cognito.admin_add_user_to_group(**member)
        (found,) = cognito.list_users_in_group(**place, GroupName="g")["Users"]
        assert found["Username"] == "ann"
        groups = cognito.admin_list_groups_for_user(**place, Username=name.swapcase())
        assert [group["GroupName"] for group in groups["Groups"]] == ["g"]
        cognito.admin_remove_user_from_group(**{**member, "Username": name.swapcase()})
        assert cognito.list_users_in_group(**place, GroupName="g")["Users"] == []
    cognito.admin_set_user_password(
        **place, Username="ANN", Password=OTHER_PASSWORD, Permanent=True
    )
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
    cognito.admin_disable_user(**place, Username="Ann")
    with refused("NotAuthorizedException", "User is disabled."):
        pool.log_in("ANN", OTHER_PASSWORD)
    assert pool.users() == pool.users(Filter='username = "ann"') == ["ann"]
    cognito.admin_delete_user(**place, Username="aNn")
    assert pool.users() == []
    with refused("UserNotFoundException"):
        pool.shown_name("ann")


@pytest.mark.local
@pytest.mark.parametrize("configuration", [None, {"CaseSensitive": True}])
def test_a_pool_keeps_cases_apart_unless_it_is_told_not_to(
    server: Server, configuration: dict[str, bool] | None
) -> None:
    settings = {"UsernameConfiguration": configuration} if configuration else {}
    pool = server.pool(**settings)
    pool.make("Ann")
    pool.make("ann")
    assert pool.users() == ["Ann", "ann"]
    assert (pool.shown_name("Ann"), pool.shown_name("ann")) == ("Ann", "ann")
    with refused("UserNotFoundException"):
        pool.shown_name("ANN")


@pytest.mark.local
def test_the_hash_is_over_the_name_as_it_is_sent_and_at_a_refresh_as_the_pool_has_it(
    server: Server,
) -> None:
    pool = server.pool(secret=True, UsernameConfiguration=ANY_CASE)
    pool.sign_up("Ann")
    server.cognito.admin_confirm_sign_up(**pool.place, Username="Ann")
    token = pool.log_in("ANN")["AuthenticationResult"]["RefreshToken"]
    sent = {"USERNAME": "ANN", "PASSWORD": PASSWORD}
    with refused(
        "NotAuthorizedException", f"Unable to verify secret hash for client {pool.client}"
    ):
        pool.start("ADMIN_USER_PASSWORD_AUTH", **sent, SECRET_HASH=pool.hash_of("ann"))
    pool.start("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=token, SECRET_HASH=pool.hash_of("ann"))
    with refused(
        "NotAuthorizedException", f"Unable to verify secret hash for client {pool.client}"
    ):
        pool.start("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=token, SECRET_HASH=pool.hash_of("ANN"))


@pytest.mark.local
@pytest.mark.parametrize("any_case", [True, False])
def test_an_email_address_that_is_the_name_follows_the_pools_case(
    server: Server, *, any_case: bool
) -> None:
    pool = server.pool(
        UsernameAttributes=["email"], UsernameConfiguration={"CaseSensitive": not any_case}
    )
    pool.make("Ann@Example.com")
    sub = pool.shown_name("Ann@Example.com")
    if any_case:
        assert pool.shown_name("aNN@eXAMPLE.COM") == sub
        with refused("UsernameExistsException"):
            pool.sign_up("ann@example.com")
    else:
        with refused("UserNotFoundException"):
            pool.shown_name("ann@example.com")
        pool.sign_up("ann@example.com")
    assert len(pool.users()) == 2 - any_case


@pytest.mark.local
def test_an_alias_is_found_in_any_case_once_it_counts_as_one(server: Server) -> None:
    pool = server.pool(
        AliasAttributes=["email", "preferred_username"], UsernameConfiguration=ANY_CASE
    )
    pool.make("ann", email="Ann@Example.com", preferred_username="Annie")
    assert pool.shown_name("ANNIE") == "ann"
    with refused("UserNotFoundException"):
        pool.shown_name("ann@example.com")
    server.cognito.admin_update_user_attributes(
        **pool.place, Username="ann", UserAttributes=[{"Name": "email_verified", "Value": "true"}]
    )
    assert pool.shown_name("ann@example.com") == "ann"
    assert "AuthenticationResult" in pool.log_in("ANN@example.COM")


@pytest.mark.local
def test_users_in_any_case_outlast_a_restart(server: Server) -> None:
    pool = server.pool(UsernameConfiguration=ANY_CASE)
    pool.make("Ann")
    server.restart()
    assert pool.shown_name("ANN") == "ann"
    assert "AuthenticationResult" in pool.log_in("Ann")
    pool.make("Bob")
    server.restart()
    assert pool.users() == ["ann", "bob"]
    with refused("UsernameExistsException"):
        pool.make("BOB")


@given(st.lists(st.tuples(st.booleans(), st.text("aAbBßİς"))))
def test_the_store_holds_one_user_by_all_cases_of_a_name(steps: list[tuple[bool, str]]) -> None:
    users, expected = UsersInAnyCase(), {}
    for number, (is_made, name) in enumerate(steps):
        if is_made:
            users[name] = {"number": number}
            expected[name.lower()] = {"Username": name.lower(), "number": number}
        elif name in users:
            del users[name]
            del expected[name.lower()]
        assert users == expected
        assert users.get(name) == expected.get(name.lower())
