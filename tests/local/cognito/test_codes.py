"""Codes that the local AWS's user pools send: the mail's alone, and void after some guesses."""

from __future__ import annotations

import re

import pytest

from support.local_pools import FLOWS, OTHER_PASSWORD, Pool, Server, refused, send

# Codes

MISMATCH = "CodeMismatchException"
VOID = ("ExpiredCodeException", "Invalid code provided, please request a code again.")


def confirm(pool: Pool, name: str, code: str) -> None:
    pool.cognito.confirm_sign_up(ClientId=pool.client, Username=name, ConfirmationCode=code)


def set_password(pool: Pool, name: str, code: str) -> None:
    pool.cognito.confirm_forgot_password(
        ClientId=pool.client, Username=name, ConfirmationCode=code, Password=OTHER_PASSWORD
    )


@pytest.mark.local
def test_the_code_of_a_sign_up_is_the_mails_alone(server: Server) -> None:
    pool = server.pool()
    addresses = [f"{number}@{pool.client}.example.com" for number in range(3)]
    for address in addresses:
        pool.sign_up(address, email=address)
    codes = [server.code_for(address) for address in addresses]
    assert len(set(codes)) > 1
    for address, code in zip(addresses, codes, strict=True):
        with refused(MISMATCH):
            confirm(pool, address, "123456")
        confirm(pool, address, code)
        assert "AuthenticationResult" in pool.log_in(address)


@pytest.mark.local
def test_a_code_that_is_sent_again_is_another(server: Server) -> None:
    pool = server.pool()
    to = f"ann@{pool.client}.example.com"
    pool.sign_up("ann", email=to)
    codes = {server.code_for(to)}
    for _ in range(3):
        server.cognito.resend_confirmation_code(ClientId=pool.client, Username="ann")
        codes.add(server.code_for(to))
    assert len(codes) > 1
    confirm(pool, "ann", server.code_for(to))


@pytest.mark.local
def test_who_was_sent_no_code_has_none(server: Server) -> None:
    pool = server.pool()
    pool.sign_up("ann")
    with refused(*VOID):
        confirm(pool, "ann", "123456")
    with refused("UserNotConfirmedException"):
        pool.log_in("ann")


@pytest.mark.local
@pytest.mark.parametrize("asks", ["the user", "an administrator"])
def test_the_code_for_a_new_password_is_the_mails_alone(server: Server, asks: str) -> None:
    pool = server.pool()
    to = f"ann@{pool.client}.example.com"
    pool.make("ann", email=to)
    with refused(*VOID):
        set_password(pool, "ann", "654321")
    if asks == "the user":
        server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    else:
        server.cognito.admin_reset_user_password(**pool.place, Username="ann")
    code = server.code_for(to)
    with refused(MISMATCH):
        set_password(pool, "ann", "654321")
    set_password(pool, "ann", code)
    assert "AuthenticationResult" in pool.log_in("ann", OTHER_PASSWORD)
    with refused(*VOID):
        set_password(pool, "ann", code)


@pytest.mark.local
def test_a_code_is_void_after_a_few_guesses(server: Server) -> None:
    pool = server.pool()
    to = f"ann@{pool.client}.example.com"
    pool.make("ann", email=to)
    server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    code = server.code_for(to)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(5):
        with refused(MISMATCH):
            set_password(pool, "ann", wrong)
    for guess in (wrong, code):
        with refused(*VOID):
            set_password(pool, "ann", guess)
    assert "AuthenticationResult" in pool.log_in("ann")
    server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    with refused(MISMATCH):
        set_password(pool, "ann", f"{(int(server.code_for(to)) + 1) % 10**6:06}")
    set_password(pool, "ann", server.code_for(to))


@pytest.mark.local
def test_the_code_of_the_managed_login_is_the_mails_alone(server: Server) -> None:
    back = "https://example.com"
    pool = server.pool(Policies={"SignInPolicy": {"AllowedFirstAuthFactors": ["EMAIL_OTP"]}})
    server.cognito.update_user_pool_client(
        **pool.place,
        ClientId=pool.client,
        ExplicitAuthFlows=[*FLOWS, "ALLOW_USER_AUTH"],
        CallbackURLs=[back],
    )
    codes = set()
    for name in ("ann", "bob"):
        to = f"{name}@{pool.client}.example.com"
        pool.make(name, email=to)
        form = {"auth_flow": "USER_AUTH", "username": name, "client_id": pool.client}
        page = send(server, "POST", "/login", {**form, "redirect_uri": back}).text
        token = re.search(r'name="ua_token" value="([^"]+)"', page)
        assert token is not None
        answer = {"ua_token": token[1]}
        codes.add(server.code_for(to))
        refusal = send(server, "POST", "/login", {**answer, "code": "123456"})
        assert "Incorrect code." in refusal.text
        entered = send(server, "POST", "/login", {**answer, "code": server.code_for(to)})
        assert entered.headers["Location"].startswith(back)
    assert "123456" not in codes


# Input from strangers


@pytest.mark.local
def test_guesses_are_counted_for_each_kind_of_code_and_codes_are_few(server: Server) -> None:
    pool = server.pool()
    to = f"ann@{pool.client}.example.com"
    pool.sign_up("ann", email=to)
    server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    code = server.code_for(to)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(4):
        with refused(MISMATCH):
            set_password(pool, "ann", wrong)
    server.cognito.resend_confirmation_code(ClientId=pool.client, Username="ann")
    with refused(MISMATCH):
        set_password(pool, "ann", wrong)
    with refused(*VOID):
        set_password(pool, "ann", code)
    for _ in range(3):
        server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    with refused("LimitExceededException"):
        server.cognito.forgot_password(ClientId=pool.client, Username="ann")
    # It doesn't reveal who is a user.
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, PreventUserExistenceErrors="ENABLED"
    )
    for _ in range(5):
        server.cognito.forgot_password(ClientId=pool.client, Username="nobody")
    with refused("LimitExceededException"):
        server.cognito.forgot_password(ClientId=pool.client, Username="nobody")
