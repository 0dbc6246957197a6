"""The passwords that a user pool takes, and those that are generated for it."""

from __future__ import annotations

import string

import pytest

from cogauth.client import passwords
from cogauth.client.passwords import Policy


def test_only_what_cognito_takes_for_a_space_may_not_be_at_an_end() -> None:
    assert passwords.is_possible("\N{NO-BREAK SPACE}Correct-1\N{NO-BREAK SPACE}")
    for space in string.whitespace:
        assert not passwords.is_possible(f"Correct-1{space}")
        assert not passwords.is_possible(f"{space}Correct-1")
    assert passwords.is_possible("Correct Horse 1")


@pytest.mark.parametrize("least", [6, 8, 20, 99])
def test_a_generated_password_fits_any_policy(least: int) -> None:
    policy = Policy(least, tuple(passwords.CLASSES))
    for length in (20, 32):
        for password in (passwords.new_password(least, length) for _ in range(50)):
            policy.check(password)
            assert len(password) == max(least, length)
            assert password[0] in string.ascii_letters
            assert " " not in password
            assert password.isascii()
