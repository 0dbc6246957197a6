"""A stack's user pool on moto, and the command that changes its users."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from cogauth.client import token_store, tokens
from support.commands import in_process
from support.stacks import fact

if TYPE_CHECKING:
    from support.account import Account
    from support.forker import Result


@dataclass
class Pool:
    """A stack's user pool, with a user called ann."""

    account: Account
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.account.stands()
        self.monkeypatch.setenv("AWS_REGION", self.account.region)
        self.cognito = self.account.client("cognito-idp")
        self.id = fact(self.account, "user_pool")
        self.cognito.admin_create_user(UserPoolId=self.id, Username="ann")

    def words(self, *words: str) -> list[str]:
        """Return the words of a `users` command for this stack."""
        return ["users", *words, "--stack", "shop", "--state", str(self.account.path())]

    def run(self, *words: str, code: int = 0, typed: str = "") -> Result:
        """Run `users`; check that no output contains what was typed."""
        done = in_process(*self.words(*words), typed=typed).must(code)
        assert not typed or typed.strip() not in done.out + done.err
        return done

    def user(self, name: str) -> Any:
        try:
            return self.cognito.admin_get_user(UserPoolId=self.id, Username=name)
        except ClientError:
            return None

    def signs_in(self, name: str, password: str) -> str:
        """Sign in as the sign-in function does; return the challenge or the token's kind."""
        client = self.cognito.describe_user_pool_client(
            UserPoolId=self.id, ClientId=fact(self.account, "app_client")
        )["UserPoolClient"]
        secret = users_hash(name, client["ClientId"], client["ClientSecret"])
        try:
            answer = self.cognito.admin_initiate_auth(
                UserPoolId=self.id,
                ClientId=client["ClientId"],
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": name, "PASSWORD": password, "SECRET_HASH": secret},
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(answer.get("ChallengeName", "tokens"))

    def store_tokens(self, *names: str) -> None:
        for name in names:
            token_store.store(self.account.state(), name, dict.fromkeys(tokens.NAMES, "eyJ0"))

    @property
    def stored(self) -> set[str]:
        return set(token_store.stored(self.account.state()))


def users_hash(name: str, client: str, secret: str) -> str:
    digest = hmac.digest(secret.encode(), f"{name}{client}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


@pytest.fixture
def pool(account: Account, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(account, monkeypatch)
