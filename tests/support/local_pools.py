"""User pools of a local AWS: their users, triggers, mails and refusals."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from support.functions import TRUST, zipped
from support.names import PASSWORD, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cogauth.aws.environment import Keys
    from cogauth.local.process import LocalAws

ACCOUNT = "000000000000"
OTHER_PASSWORD = "Battery-Staple-8"
FLOWS = [
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
]
ANY_CASE = {"CaseSensitive": False}
NOBODYS_SESSION = "nobody's session, but long enough"


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
    """A local AWS in a folder, and the resources that tests create in it."""

    def __init__(self, folder: Path, local: LocalAws) -> None:
        self.folder = folder
        self.local = local
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
            RoleName=f"trigger-{number}", AssumeRolePolicyDocument=json.dumps(TRUST)
        )["Role"]["Arn"]
        arn: str = self.client("lambda").create_function(
            FunctionName=f"trigger-{number}",
            Runtime="python3.13",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": zipped(f"def handler(event, context):\n    {body}\n")},
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


# The session of a challenge

NEW_PASSWORD = "NEW_PASSWORD_REQUIRED"


# Input from strangers


def unsigned(server: Server, operation: str, given: Any) -> requests.Response:
    """Send, as a stranger, what no SDK would send."""
    headers = {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    body = given if isinstance(given, str) else json.dumps(given)
    return requests.post(server.url, body, headers=headers, timeout=30)
