"""User pools on the embedded local AWS answer as those on AWS do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import itertools
import json
import re
import struct
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cogauth.local import cognito
from cogauth.local.cognito.names import UsersInAnyCase
from cogauth.local.process import FOLDER, LocalAws
from support.names import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.environment import Keys

ACCOUNT = "000000000000"
PASSWORD, OTHER_PASSWORD = "Correct-Horse-7", "Battery-Staple-8"
FLOWS = [
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
]
ANY_CASE = {"CaseSensitive": False}
NOBODYS_SESSION = "nobody's session, but long enough"

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def session(keys: Keys) -> boto3.Session:
    return boto3.Session(*keys, region_name=REGION)


def send(
    server: Server, method: str, path: str, form: dict[str, str] | None = None
) -> requests.Response:
    """Send a signed request for one of ministack's own pages."""
    credentials: Any = session(server.local.keys()).get_credentials()
    request = AWSRequest(method, server.url + path, {}, urlencode(form or {}))
    SigV4Auth(credentials, "cognito-idp", REGION).add_auth(request)
    prepared: Any = request.prepare()
    return requests.request(
        prepared.method,
        prepared.url,
        headers=dict(prepared.headers),
        data=prepared.body,
        timeout=30,
        allow_redirects=False,
    )


class Pool(NamedTuple):
    """A user pool with an app client that accepts passwords."""

    server: Server
    id: str
    client: str
    secret: str | None

    @property
    def cognito(self) -> Any:
        return self.server.cognito

    @property
    def place(self) -> dict[str, str]:
        return {"UserPoolId": self.id}

    @property
    def arn(self) -> str:
        return f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{self.id}"

    def hash_of(self, name: str) -> str:
        assert self.secret is not None
        digest = hmac.digest(self.secret.encode(), (name + self.client).encode(), "sha256")
        return base64.b64encode(digest).decode()

    def sign_up(self, name: str, password: str = PASSWORD, **attributes: str) -> Any:
        return self.cognito.sign_up(
            ClientId=self.client,
            Username=name,
            Password=password,
            UserAttributes=[{"Name": key, "Value": attributes[key]} for key in attributes],
            **({"SecretHash": self.hash_of(name)} if self.secret else {}),
        )

    def make(self, name: str, *, permanent: bool = True, **attributes: str) -> None:
        """Make a user with a permanent or a temporary password."""
        self.cognito.admin_create_user(
            **self.place,
            Username=name,
            TemporaryPassword=PASSWORD,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": key, "Value": attributes[key]} for key in attributes],
        )
        if permanent:
            self.cognito.admin_set_user_password(
                **self.place, Username=name, Password=PASSWORD, Permanent=True
            )

    def start(self, flow: str, **parameters: str) -> Any:
        """Begin a sign-in as an administrator does."""
        return self.cognito.admin_initiate_auth(
            **self.place, ClientId=self.client, AuthFlow=flow, AuthParameters=parameters
        )

    def log_in(self, name: str, password: str = PASSWORD) -> Any:
        parameters = {"USERNAME": name, "PASSWORD": password}
        if self.secret:
            parameters["SECRET_HASH"] = self.hash_of(name)
        return self.start("ADMIN_USER_PASSWORD_AUTH", **parameters)

    def log_in_unsigned(self, name: str, password: str = PASSWORD) -> Any:
        return self.cognito.initiate_auth(
            ClientId=self.client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": password},
        )

    def answer(
        self, challenge: str, session: str | None, *, signed: bool = True, **responses: str
    ) -> Any:
        """Answer a challenge."""
        call: Any = self.cognito.respond_to_auth_challenge
        if signed:
            call = self.cognito.admin_respond_to_auth_challenge
        return call(
            **(self.place if signed else {}),
            **({"Session": session} if session else {}),
            ClientId=self.client,
            ChallengeName=challenge,
            ChallengeResponses=responses,
        )

    def shown_name(self, name: str) -> str:
        found: str = self.cognito.admin_get_user(**self.place, Username=name)["Username"]
        return found

    def users(self, **parameters: str) -> list[str]:
        found = self.cognito.list_users(**self.place, **parameters)["Users"]
        return sorted(user["Username"] for user in found)

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cognito.describe_user_pool(**self.place)["UserPool"]
        return found


class Server:
    """A local AWS, and the resources that tests create in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local = LocalAws(folder)
        self._numbers = itertools.count()
        self._clients: dict[str, Any] = {}

    @property
    def url(self) -> str:
        url = self.local.endpoint_url
        assert url is not None
        return url

    def client(self, service: str) -> Any:
        if service not in self._clients:
            made: Any = session(self.local.keys()).client(service, endpoint_url=self.url)  # type: ignore[call-overload]
            self._clients[service] = made
        return self._clients[service]

    @property
    def cognito(self) -> Any:
        return self.client("cognito-idp")

    def pool(self, *, secret: bool = False, **settings: Any) -> Pool:
        made = self.cognito.create_user_pool(PoolName="pool", **settings)["UserPool"]["Id"]
        client = self.cognito.create_user_pool_client(
            UserPoolId=made, ClientName="client", GenerateSecret=secret, ExplicitAuthFlows=FLOWS
        )["UserPoolClient"]
        return Pool(self, made, client["ClientId"], client.get("ClientSecret"))

    def function(self, body: str, **settings: Any) -> str:
        """Make a function with this body; return its ARN."""
        number = next(self._numbers)
        role = self.client("iam").create_role(
            RoleName=f"role-{number}", AssumeRolePolicyDocument=json.dumps(TRUST)
        )["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("index.py", f"def handler(event, context):\n    {body}\n")
        arn: str = self.client("lambda").create_function(
            FunctionName=f"function-{number}",
            Runtime="python3.13",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": code.getvalue()},
            **settings,
        )["FunctionArn"]
        return arn

    def let_in(self, function: str, source: str, **settings: Any) -> None:
        self.client("lambda").add_permission(
            FunctionName=function,
            StatementId="s",
            **{
                "Action": "lambda:InvokeFunction",
                "Principal": "cognito-idp.amazonaws.com",
                "SourceArn": source,
                "SourceAccount": ACCOUNT,
                **settings,
            },
        )

    def mails(self, to: str) -> list[dict[str, Any]]:
        """Return the mails sent to an address, oldest first."""
        answer = send(self, "GET", "/_ministack/ses/messages").json()["messages"]
        return [mail for mails in answer.values() for mail in mails if to in mail["To"]]

    def code_for(self, to: str) -> str:
        found = re.search(r"\b\d{6}\b", self.mails(to)[-1]["BodyText"])
        assert found is not None
        return found[0]

    def restart(self, edit: Callable[[dict[str, Any]], None] = lambda _pools: None) -> None:
        """Stop it, change its saved pools, and start it."""
        self.local.stop()
        (file,) = self.folder.glob("data-*/cognito.json")
        saved = json.loads(file.read_text())
        edit(saved["payload"])
        file.write_text(json.dumps(saved))
        self.local.start()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server") / FOLDER)
    made.local.start()
    try:
        yield made
    finally:
        made.local.remove()


@contextmanager
def refused(code: str | tuple[str, ...], message: str | None = None) -> Iterator[None]:
    """Expect a refusal with this code, or one of several, and this whole message."""
    with pytest.raises(ClientError) as error:
        yield
    said = error.value.response["Error"]
    assert said["Code"] in ((code,) if isinstance(code, str) else code)
    assert said["Message"] == (message or said["Message"])


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


# The parts of ministack that this relies on

WITHOUT_ONE = """
import sys
from cogauth.local import cognito, hooks
for name in sys.argv[1:]:
    place, _, attribute = name.rpartition(".")
    module = hooks.module(place)
    theirs = getattr(module, attribute)
    for other in (None, lambda of_something_else: None):
        setattr(module, attribute, other)
        try:
            cognito.install()
        except hooks.HookError as error:
            print(name in str(error) and "install cogauth with that extra again" in str(error))
        setattr(module, attribute, theirs)
cognito.install()
"""


@pytest.mark.local
def test_a_ministack_without_a_name_that_is_replaced_or_used_is_noticed(tmp_path: Path) -> None:
    source = "".join(path.read_text() for path in Path(cognito.__file__).parent.glob("*.py"))
    own = re.findall(r'(?:of_cognito|store)\(\s*"(\w+)"', source)
    named = re.findall(r'"((?:services|core)\.[\w.]+)"', source)
    replaced = [name for name, _, _ in cognito._REPLACED]  # noqa: SLF001 the table is what is tested
    names = {*named, *(f"services.cognito.{name}" for name in (*own, *replaced))}
    # "services.cognito" itself isn't such a name.
    used = sorted(name for name in names if name.count(".") > 1)
    assert len(used) > 30
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ONE, *used],
        env={"STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["True"] * (2 * len(used))


# User names in upper or lower case


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


def saved_pool(payload: dict[str, Any], pool: Pool) -> dict[str, Any]:
    """Return one pool from everything that a server has saved."""
    pools = payload["user_pools"]["data"].values()
    (found,) = [one for one in pools if one["Id"] == pool.id]
    return found


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

INVALID = "Invalid session for the user"
NEW_PASSWORD = "NEW_PASSWORD_REQUIRED"


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


# Updates


@pytest.mark.local
def test_an_update_of_a_pool_resets_what_it_is_not_given(server: Server) -> None:
    settings: dict[str, Any] = {
        "AccountRecoverySetting": {
            "RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]
        },
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
        "AutoVerifiedAttributes": ["email"],
        "DeletionProtection": "ACTIVE",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
        "EmailConfiguration": {"ReplyToEmailAddress": "a@b.c"},
        "EmailVerificationMessage": "Your code: {####}",
        "EmailVerificationSubject": "A code",
        "LambdaConfig": {"PreSignUp": server.function("return event")},
        "SmsAuthenticationMessage": "{####}",
        "SmsConfiguration": {"SnsCallerArn": f"arn:aws:iam::{ACCOUNT}:role/sms"},
        "SmsVerificationMessage": "{####}!",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "UserPoolAddOns": {"AdvancedSecurityMode": "OFF"},
        "UserPoolTags": {"a": "b"},
        "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_LINK"},
    }
    kept: dict[str, Any] = {
        "Policies": {"PasswordPolicy": {"MinimumLength": 30}},
        "MfaConfiguration": "OPTIONAL",
        "UserPoolTier": "PLUS",
        "UsernameConfiguration": ANY_CASE,
    }
    bare, pool = server.pool().described(), server.pool(**settings, **kept)
    before = pool.described()
    changing = {"Id", "Arn", "LastModifiedDate", "CreationDate"}
    assert {key for key in before if before[key] != bare.get(key)} == (
        settings.keys() | kept.keys() | changing
    )

    # Sending all of it back changes nothing.
    members = server.cognito.meta.service_model.operation_model("UpdateUserPool").input_shape
    server.cognito.update_user_pool(
        **pool.place, **{key: before[key] for key in before.keys() & members.members.keys()}
    )
    after = pool.described()
    assert {key for key in before if before[key] != after.get(key)} <= {"LastModifiedDate"}

    server.cognito.update_user_pool(**pool.place, UserPoolTags={"c": "d"})
    after = pool.described()
    assert after["UserPoolTags"] == {"c": "d"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    reset = settings.keys() - {"UserPoolTags"}
    assert {key: after.get(key) for key in reset} == {key: bare.get(key) for key in reset}
    # The pool is open again, and no trigger is called at sign-up.
    pool.sign_up("ann", "Correct-Horse-Battery-Staple-77")


@pytest.mark.local
def test_an_update_of_an_app_client_resets_what_it_is_not_given(server: Server) -> None:
    pool = server.pool(secret=True)
    pool.make("ann")
    own = {**pool.place, "ClientId": pool.client}
    settings: dict[str, Any] = {
        "AuthSessionValidity": 15,
        "PreventUserExistenceErrors": "ENABLED",
        "RefreshTokenValidity": 7,
        "AccessTokenValidity": 2,
        "EnableTokenRevocation": False,
        "ReadAttributes": ["email"],
        "CallbackURLs": ["https://example.com"],
    }
    server.cognito.update_user_pool_client(
        **own, ClientName="renamed", ExplicitAuthFlows=FLOWS, **settings
    )
    described = server.cognito.describe_user_pool_client(**own)["UserPoolClient"]
    assert {key: described[key] for key in settings} == settings
    assert "AuthenticationResult" in pool.log_in("ann")

    server.cognito.update_user_pool_client(**own)
    described = server.cognito.describe_user_pool_client(**own)["UserPoolClient"]
    assert described["ClientName"] == "renamed"
    assert described["ClientSecret"] == pool.secret
    assert {key: described.get(key) for key in settings} == {
        "AuthSessionValidity": 3,
        "PreventUserExistenceErrors": "LEGACY",
        "RefreshTokenValidity": 30,
        "AccessTokenValidity": None,
        "EnableTokenRevocation": True,
        "ReadAttributes": [],
        "CallbackURLs": [],
    }
    with refused("InvalidParameterException", "Auth flow not enabled for this client"):
        pool.log_in("ann")


# Triggers

CONFIRM = "event['response']['autoConfirmUser'] = True; return event"
NOT_LET = "PreSignUp invocation failed due to error AccessDeniedException."


@pytest.mark.local
def test_a_pool_calls_a_function_only_if_the_functions_policy_lets_it(server: Server) -> None:
    pool, other = server.pool(), server.pool()
    allowed = server.function(CONFIRM)
    server.let_in(allowed, pool.arn)
    account = pool.arn.replace(ACCOUNT, "111111111111")
    strange: list[tuple[str, dict[str, Any]]] = [
        (other.arn, {}),
        (account, {}),
        (pool.arn, {"SourceAccount": "111111111111"}),
        (pool.arn, {"Principal": "apigateway.amazonaws.com"}),
        (pool.arn, {"Action": "lambda:GetFunction"}),
    ]
    functions = [server.function(CONFIRM) for _ in strange]
    for function, (source, settings) in zip(functions, strange, strict=True):
        server.let_in(function, source, **settings)
    gone = server.function(CONFIRM)
    server.let_in(gone, pool.arn)
    server.client("lambda").delete_function(FunctionName=gone)
    for function in (server.function(CONFIRM), gone, *functions):
        server.cognito.update_user_pool(**pool.place, LambdaConfig={"PreSignUp": function})
        with refused("UnexpectedLambdaException", NOT_LET):
            pool.sign_up("ann")
        assert pool.users() == []
    server.cognito.update_user_pool(**pool.place, LambdaConfig={"PreSignUp": allowed})
    assert pool.sign_up("ann")["UserConfirmed"]
    assert pool.users() == ["ann"]
    # The permission can be revoked.
    server.client("lambda").remove_permission(FunctionName=allowed, StatementId="s")
    with refused("UnexpectedLambdaException", NOT_LET):
        pool.sign_up("bob")
    assert pool.users() == ["ann"]


@pytest.mark.local
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            "raise ValueError('not ' + event['userName'])",
            "UserLambdaValidationException",
            "PreSignUp failed with error not ann.",
        ),
        (
            "import time; time.sleep(30)",
            "UserLambdaValidationException",
            "PreSignUp failed with error Task timed out after 1.00 seconds.",
        ),
        ("return {}", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        ("return None", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        ("return 'yes'", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        (
            "event['response'] = None; return event",
            "InvalidLambdaResponseException",
            "Unrecognizable lambda output",
        ),
    ],
)
def test_a_fault_of_the_function_ends_the_sign_up(
    server: Server, body: str, code: str, message: str
) -> None:
    function = server.function(body, Timeout=1)
    pool = server.pool(LambdaConfig={"PreSignUp": function}, UsernameConfiguration=ANY_CASE)
    server.let_in(function, pool.arn)
    with refused(code, message):
        pool.sign_up("Ann")
    assert pool.users() == []


@pytest.mark.local
def test_an_administrator_creates_a_user_only_if_the_pool_may_call_the_trigger(
    server: Server,
) -> None:
    function = server.function(
        "if event['userName'] == 'bad': raise ValueError(event['triggerSource'])\n    " + CONFIRM
    )
    pool = server.pool(LambdaConfig={"PreSignUp": function})
    with refused("UnexpectedLambdaException", NOT_LET):
        pool.make("ann")
    assert pool.users() == []
    server.let_in(function, pool.arn)
    said = "PreSignUp failed with error PreSignUp_AdminCreateUser."
    with refused("UserLambdaValidationException", said):
        pool.make("bad")
    # What the function returns doesn't confirm the user.
    pool.make("ann", permanent=False)
    assert pool.log_in("ann")["ChallengeName"] == NEW_PASSWORD
    with refused("UsernameExistsException"):
        pool.make("ann")
    assert pool.users() == ["ann"]


@pytest.mark.local
def test_a_function_that_only_looks_on_leaves_the_user_unconfirmed(server: Server) -> None:
    function = server.function("return event")
    pool = server.pool(LambdaConfig={"PreSignUp": function})
    server.let_in(function, pool.arn)
    assert not pool.sign_up("ann")["UserConfirmed"]
    with refused("UserNotConfirmedException"):
        pool.log_in("ann")


def invite(pool: Pool) -> None:
    pool.cognito.admin_create_user(
        **pool.place, Username="eve", UserAttributes=[{"Name": "email", "Value": "e@example.com"}]
    )


def begin_custom(pool: Pool) -> None:
    pool.start("CUSTOM_AUTH", USERNAME="Ann")


@pytest.mark.local
@pytest.mark.parametrize(
    ("trigger", "act"),
    [
        ("PreTokenGeneration", lambda pool: pool.log_in("ann")),
        ("CustomMessage", invite),
        ("DefineAuthChallenge", begin_custom),
        ("CreateAuthChallenge", begin_custom),
    ],
)
def test_every_trigger_takes_a_permission(
    server: Server, trigger: str, act: Callable[[Pool], None]
) -> None:
    body = "event['response']['challengeName'] = 'CUSTOM_CHALLENGE'; return event"
    function = server.function(body)
    pool = server.pool(LambdaConfig={trigger: function}, UsernameConfiguration=ANY_CASE)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=[*FLOWS, "ALLOW_CUSTOM_AUTH"]
    )
    pool.make("ann")
    with refused(
        "UnexpectedLambdaException",
        f"{trigger} invocation failed due to error AccessDeniedException.",
    ):
        act(pool)
    assert pool.users() == ["ann"]
    server.let_in(function, pool.arn)
    act(pool)


@pytest.mark.local
def test_the_answer_to_a_custom_challenge_takes_a_permission(server: Server) -> None:
    function = server.function("event['response']['answerCorrect'] = True; return event")
    define = server.function(
        "asked = event['request']['session']; event['response'].update("
        "issueTokens=bool(asked), challengeName='CUSTOM_CHALLENGE'); return event"
    )
    config = {"VerifyAuthChallengeResponse": function, "DefineAuthChallenge": define}
    pool = server.pool(LambdaConfig=config)
    server.let_in(define, pool.arn)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=["ALLOW_CUSTOM_AUTH"]
    )
    pool.make("ann")
    begun = pool.start("CUSTOM_AUTH", USERNAME="ann")["Session"]
    answer = {"USERNAME": "ann", "ANSWER": "x"}
    with refused(
        "UnexpectedLambdaException",
        "VerifyAuthChallengeResponse invocation failed due to error AccessDeniedException.",
    ):
        pool.answer("CUSTOM_CHALLENGE", begun, **answer)
    server.let_in(function, pool.arn)
    assert "AuthenticationResult" in pool.answer("CUSTOM_CHALLENGE", begun, **answer)


# Code for federated sign-ins, which the tests can't make without another identity provider.
FEDERATED = """
from cogauth.local import cognito, hooks
cognito.install()
pools = hooks.module("services.cognito")._user_pools
triggers = {"PreSignUp": "arn:aws:lambda:us-east-1:000000000000:function:f"}
triggers["InboundFederation"] = {"LambdaArn": triggers["PreSignUp"]}
arn = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/p"
pools["p"] = {"Id": "p", "Arn": arn, "LambdaConfig": triggers}
module = hooks.module("services.cognito")
for call, rest in (
    (module._apply_presignup_trigger, ({},)),
    (module._apply_inbound_federation_trigger, ("provider", "OIDC", {})),
):
    try:
        call("p", "client", "ann", *rest)
    except Exception as error:
        print(error)
"""


@pytest.mark.local
def test_the_triggers_of_a_federated_sign_in_take_a_permission(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FEDERATED],
        env={"STATE_DIR": str(tmp_path), "LAMBDA_EXECUTOR": "local"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = "invocation failed due to error AccessDeniedException."
    assert done.stdout.splitlines() == [f"PreSignUp {said}", f"InboundFederation {said}"]


@pytest.mark.local
def test_triggers_are_given_names_in_lower_case(server: Server) -> None:
    function = server.function("raise ValueError(event['userName'])")
    pool = server.pool(
        LambdaConfig={"DefineAuthChallenge": function}, UsernameConfiguration=ANY_CASE
    )
    server.let_in(function, pool.arn)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=["ALLOW_CUSTOM_AUTH"]
    )
    pool.make("Ann")
    with pytest.raises(ClientError, match="'ann'"):
        begin_custom(pool)


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


def unsigned(server: Server, operation: str, given: Any) -> requests.Response:
    """Send, as a stranger, what no SDK would send."""
    headers = {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    body = given if isinstance(given, str) else json.dumps(given)
    return requests.post(server.url, body, headers=headers, timeout=30)


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


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
    before = claims_of(tokens["IdToken"])
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        server.cognito.update_user_attributes(
            AccessToken=tokens["AccessToken"], UserAttributes=[{"Name": name, "Value": "x"}]
        )
    after = claims_of(pool.log_in("mal")["AuthenticationResult"]["IdToken"])
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
    after = claims_of(pool.log_in("ann")["AuthenticationResult"]["IdToken"])
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
    claims = {"token_use": "refresh", "origin_jti": claims_of(tokens["AccessToken"])["origin_jti"]}
    made = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for token in (f"x.{made}.y", "x", 3 * "x" * 1000):
        with refused("NotAuthorizedException"):
            server.cognito.revoke_token(ClientId=pool.client, Token=token)
    server.cognito.get_user(AccessToken=tokens["AccessToken"])


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
