"""AWS's undocumented behaviour, tested on AWS itself by ``pytest --aws``.

cogauth works with each of the answers listed here. A test fails on any other answer, and with
``-s`` it prints the actual one. The stack is created once and deleted at the end.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import secrets
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of
from support.real_aws import Account, post, until_it_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.aws

PASSWORD = f"Aws-{secrets.token_urlsafe(12)}-1a"
SCOPE = "cogauth/no-such-scope"
# More than Cognito's UserPoolRead rate allows at once: 15 a second.
MANY = 200


@dataclass
class StackOnAws:
    """A stack on AWS, and what a test does to it without cogauth."""

    account: Account
    up: dict[str, Any]

    def client(self, service: str, **settings: Any) -> Any:
        session = boto3.Session(region_name=self.up["region"])
        return session.client(service, config=Config(**settings))  # type: ignore[call-overload]

    @property
    def pool(self) -> dict[str, str]:
        return {"UserPoolId": self.up["user_pool_id"]}

    @property
    def app_client(self) -> dict[str, str]:
        return {**self.pool, "ClientId": self.up["client_id"]}

    @property
    def api(self) -> dict[str, str]:
        return {"restApiId": self.up["rest_api_id"]}

    def tokens(self, kind: str) -> str:
        words = ("token", "--username", "ann", "--type", kind)
        return self.account.run(*words, password=PASSWORD).must().out.strip()

    def add_method(self, path: str, **method: Any) -> None:
        """Add a GET with no backend; it isn't deployed yet."""
        api = self.client("apigateway")
        root = next(item for item in api.get_resources(**self.api)["items"] if item["path"] == "/")
        made = api.create_resource(**self.api, parentId=root["id"], pathPart=path.strip("/"))
        place = {**self.api, "resourceId": made["id"], "httpMethod": "GET"}
        api.put_method(**place, **method)
        api.put_method_response(**place, statusCode="200")
        template = {"application/json": '{"statusCode": 200}'}
        api.put_integration(**place, type="MOCK", requestTemplates=template)
        api.put_integration_response(**place, statusCode="200")

    def deploy(self) -> None:
        self.client("apigateway").create_deployment(**self.api, stageName=self.up["stage"])

    def new_user(self, name: str) -> str:
        """Create a user as an administrator; return the temporary password."""
        made = self.account.run("users", "create", name, "--yes", "--json").must().document
        return str(made["temporary_password"])

    def sign_in(self, name: str, password: str, **more: str) -> str:
        """Return the code of the answer, or 'success'."""
        body = {"username": name, "password": password, **more}
        _, answer = post(self.up["sign_in_url"], json.dumps(body))
        return str(answer.get("code", answer["status"]))

    def get(self, path: str, **headers: str) -> requests.Response:
        base = self.up["protected_url"].removesuffix("/hello")
        return requests.get(f"{base}{path}", headers=headers, timeout=35)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackOnAws]:
    folder = tmp_path_factory.mktemp("facts")
    account = Account(folder, f"cogauth-facts-{secrets.token_hex(4)}")
    try:
        up = account.run("up", "--json").must().document
        account.login(PASSWORD).must()
        yield StackOnAws(account, up)
    finally:
        account.run("down", "--yes", "--json").must()


def said(what: str, answer: object) -> None:
    print(f"\n{what}: {answer}")  # noqa: T201 for pytest -s


def test_a_pool_that_names_no_tier_and_no_policy(stack: StackOnAws) -> None:
    cognito = stack.client("cognito-idp")
    made = cognito.create_user_pool(PoolName=f"{stack.account.stack}-plain")["UserPool"]
    try:
        live = cognito.describe_user_pool(UserPoolId=made["Id"])["UserPool"]
    finally:
        cognito.delete_user_pool(UserPoolId=made["Id"])
    policy = live["Policies"]["PasswordPolicy"]
    said("the defaults of a pool", (live.get("UserPoolTier"), policy))
    assert live.get("UserPoolTier") in {"ESSENTIALS", None}
    assert policy["MinimumLength"] == 8


def test_what_a_sign_up_of_a_known_name_with_a_weak_password_is_refused_for(
    stack: StackOnAws,
) -> None:
    body = json.dumps({"username": "ann", "password": "123456"})
    status, answer = post(stack.up["sign_in_url"], body)
    # Whatever Cognito checks first, the function must say that the password is wrong.
    assert (status, answer["code"]) == (401, "wrong_credentials")


def test_whether_a_second_client_secret_is_shown(stack: StackOnAws) -> None:
    cognito = stack.client("cognito-idp")
    if not hasattr(cognito, "add_user_pool_client_secret"):
        pytest.skip("this botocore doesn't know AddUserPoolClientSecret")
    first = cognito.describe_user_pool_client(**stack.app_client)["UserPoolClient"]["ClientSecret"]
    try:
        made = cognito.add_user_pool_client_secret(**stack.app_client)["ClientSecretDescriptor"]
    except ClientError as error:
        said("a second client secret", code_of(error))
        return
    try:
        now = cognito.describe_user_pool_client(**stack.app_client)["UserPoolClient"]
        said("a second client secret changes what is shown", now.get("ClientSecret") != first)
        # Both secrets are valid, whichever is shown: the sign-in must still work.
        stack.account.login(PASSWORD).must()
    finally:
        secret = {"ClientSecretId": made["ClientSecretId"]}
        cognito.delete_user_pool_client_secret(**stack.app_client, **secret)
    stack.account.login(PASSWORD).must()


def test_how_cognito_says_that_it_is_called_too_often(stack: StackOnAws) -> None:
    settings: dict[str, Any] = {"max_pool_connections": 50, "retries": {"total_max_attempts": 1}}
    cognito = stack.client("cognito-idp", **settings)

    def ask(_: int) -> tuple[str, int] | None:
        try:
            cognito.describe_user_pool(**stack.pool)
        except ClientError as error:
            return code_of(error), error.response["ResponseMetadata"]["HTTPStatusCode"]
        return None

    with ThreadPoolExecutor(50) as crowd:
        refusals = set(crowd.map(ask, range(MANY))) - {None}
    said("Cognito's throttling", refusals or "was not met")
    assert refusals <= {("TooManyRequestsException", 400), ("TooManyRequestsException", 429)}


def test_an_integration_may_name_a_function_that_is_not_there_yet(stack: StackOnAws) -> None:
    api = stack.client("apigateway")
    stack.add_method("/early", authorizationType="NONE")
    (early,) = (
        item for item in api.get_resources(**stack.api)["items"] if item["path"] == "/early"
    )
    arn = f"{stack.up['sign_in_function_arn']}-not-yet"
    region = stack.up["region"]
    partition = arn.split(":")[1]
    uri = f"arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    try:
        api.put_integration(
            **stack.api,
            resourceId=early["id"],
            httpMethod="GET",
            type="AWS",
            integrationHttpMethod="POST",
            uri=uri,
        )
        answer = "taken"
    except ClientError as error:
        answer = code_of(error)
    finally:
        api.delete_resource(**stack.api, resourceId=early["id"])
    said("PutIntegration with the ARN of no function", answer)
    assert answer in {"taken", "BadRequestException", "NotFoundException"}


def test_what_a_cognito_authorizer_answers_about_scopes_and_bearer(stack: StackOnAws) -> None:
    stack.add_method(
        "/scoped",
        authorizationType="COGNITO_USER_POOLS",
        authorizerId=stack.up["authorizer_id"],
        authorizationScopes=[SCOPE],
    )
    stack.deploy()
    until_it_answers(lambda: stack.get("/scoped").status_code == 401)
    identity, access = stack.tokens("id"), stack.tokens("access")
    for what, path, token, allowed in (
        ("an access token that lacks the scope", "/scoped", access, {401, 403}),
        ("an ID token where a scope is asked for", "/scoped", identity, {401, 403}),
        ("an access token where no scope is asked for", "/hello", access, {401}),
        ("an ID token behind 'Bearer '", "/hello", f"Bearer {identity}", {200, 401, 403}),
        ("a path that isn't there, with a token", "/nowhere", identity, {403}),
    ):
        answer = stack.get(path, Authorization=token)
        kind = answer.headers.get("x-amzn-ErrorType")
        said(what, f"{answer.status_code} {kind} {answer.text[:200]}")
        assert answer.status_code in allowed
        # By this header, 'verify' recognizes a 403 as the gateway's own.
        assert answer.status_code != 403 or kind


def test_a_first_login_takes_a_password_with_a_space_inside(stack: StackOnAws) -> None:
    temporary, new = stack.new_user("spaced"), f"{PASSWORD} and more"
    assert stack.sign_in("spaced", temporary, new_password=new) == "success"
    assert stack.sign_in("spaced", new) == "success"
    # ChangePassword has its own rule.
    assert stack.sign_in("spaced", new, new_password=f"{new} 2") == "success"
    assert stack.sign_in("signed up", f"{new} 3") == "invalid_username"
    assert stack.sign_in("signed-up", f"{new} 3") == "success"


@pytest.mark.parametrize("same", [True, False], ids=["with one password", "with two"])
def test_two_first_logins_at_once(stack: StackOnAws, *, same: bool) -> None:
    name = f"twice-{same}".lower()
    temporary = stack.new_user(name)
    new = [f"{PASSWORD}1", f"{PASSWORD}{1 if same else 2}"]
    with ThreadPoolExecutor(2) as both:
        answers = both.map(lambda one: stack.sign_in(name, temporary, new_password=one), new)
        codes = sorted(answers)
    said(f"two first logins at once, {same=}", codes)
    assert codes == ["success", "success" if same else "wrong_credentials"]
    assert "success" in {stack.sign_in(name, password) for password in new}


def test_what_a_disabled_user_is_told(stack: StackOnAws) -> None:
    temporary = stack.new_user("away")
    assert stack.sign_in("away", temporary, new_password=PASSWORD) == "success"
    stack.account.run("users", "disable", "away", "--yes").must()
    assert stack.sign_in("away", PASSWORD) == "user_disabled"
    wrong = stack.sign_in("away", f"{PASSWORD}-not")
    said("a disabled user's wrong password", wrong)
    assert wrong in {"user_disabled", "wrong_credentials"}


def test_the_gateway_takes_tokens_after_a_sign_out_everywhere(stack: StackOnAws) -> None:
    identity, refresh = stack.tokens("id"), stack.tokens("refresh")
    stack.account.run("users", "sign-out", "ann", "--yes").must()
    # 'users sign-out' says so.
    assert stack.get("/hello", Authorization=identity).status_code == 200
    body = json.dumps({"username": "ann", "refresh_token": refresh})
    status, answer = post(stack.up["sign_in_url"], body)
    assert (status, answer["code"]) == (401, "refresh_refused")


def test_an_export_shows_what_was_just_deployed(stack: StackOnAws) -> None:
    api = stack.client("apigateway")
    stack.add_method("/exported", authorizationType="NONE")
    stack.deploy()

    def paths() -> set[str]:
        whole = api.get_export(
            **stack.api,
            stageName=stack.up["stage"],
            exportType="oas30",
            accepts="application/json",
        )
        return set(json.loads(whole["body"].read())["paths"])

    said("an export right after the deployment has the new path", "/exported" in paths())
    until_it_answers(lambda: "/exported" in paths())
    assert "/exported" in paths()


def test_nobody_signs_up_in_a_closed_pool(stack: StackOnAws) -> None:
    stack.account.run("up", "--sign-up", "closed", "--yes", "--json").must()
    try:
        assert stack.sign_in("stranger", PASSWORD) == "wrong_credentials"
        cognito = stack.client("cognito-idp")
        secret = cognito.describe_user_pool_client(**stack.app_client)["UserPoolClient"]
        key, named = secret["ClientSecret"].encode(), f"stranger{stack.up['client_id']}".encode()
        with pytest.raises(ClientError) as refused:
            cognito.sign_up(
                ClientId=stack.up["client_id"],
                SecretHash=base64.b64encode(hmac.digest(key, named, "sha256")).decode(),
                Username="stranger",
                Password=PASSWORD,
            )
        said("SignUp in a closed pool", refused.value)
        assert code_of(refused.value) == "NotAuthorizedException"
        # The pre-sign-up trigger runs for administrators' users too.
        assert stack.sign_in("inside", stack.new_user("inside")) == "new_password_required"
        # Its user is an administrator's too.
        stack.account.run("verify", "--json").must()
    finally:
        stack.account.run("up", "--sign-up", "open", "--yes", "--json").must()


def test_a_filter_finds_one_name_and_no_other(stack: StackOnAws) -> None:
    assert stack.sign_in("filtered", PASSWORD) == "success"
    cognito = stack.client("cognito-idp")

    def found(name: str) -> list[str]:
        users = cognito.list_users(**stack.pool, Filter=f'username = "{name}"')["Users"]
        return [user["Username"] for user in users]

    until_it_answers(lambda: bool(found("filtered")))
    assert (found("filtered"), found("filter")) == (["filtered"], [])
    said("a filter in other letters finds", found("FILTERED"))


def test_log_lines_have_ids_and_an_order(stack: StackOnAws) -> None:
    assert stack.sign_in("logged", PASSWORD) == "success"
    logs = stack.client("logs")
    group = f"/aws/lambda/{stack.up['sign_in_function_arn'].rpartition(':')[2]}"

    def events() -> list[Any]:
        return list(logs.filter_log_events(logGroupName=group)["events"])

    until_it_answers(lambda: any('"outcome"' in event["message"] for event in events()))
    found = events()
    assert len({event["eventId"] for event in found}) == len(found)
    times = [event["timestamp"] for event in found]
    said("the log's lines come in order", times == sorted(times))
    assert "success" in stack.account.run("logs").must().out


def test_code_that_somebody_changed_is_seen_and_put_back(stack: StackOnAws) -> None:
    functions, name = stack.client("lambda"), stack.up["sign_in_function_arn"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sign_in.py", "def handler(event, context):\n    return {}\n")
    functions.update_function_code(FunctionName=name, ZipFile=buffer.getvalue())
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    described = functions.get_function_configuration(FunctionName=name)["Description"]
    said("the description after a change of the code", described)
    assert stack.account.run("plan", "--exit-code", "--json").code == 3
    stack.account.run("up", "--yes", "--json").must()
    until_it_answers(lambda: stack.sign_in("ann", PASSWORD) == "success")
    assert stack.account.run("plan", "--exit-code", "--json").code == 0


def test_resources_show_what_guards_their_methods(stack: StackOnAws) -> None:
    api = stack.client("apigateway")
    items = api.get_resources(**stack.api, embed=["methods"])["items"]
    hello = next(item for item in items if item["path"] == "/hello")["resourceMethods"]["GET"]
    assert hello["authorizationType"] == "COGNITO_USER_POOLS"
    (authorizer,) = api.get_authorizers(**stack.api)["items"]
    assert hello["authorizerId"] == authorizer["id"]


def test_a_deleted_api_is_not_found_at_once(stack: StackOnAws) -> None:
    api = stack.client("apigateway")
    made = api.create_rest_api(name=f"{stack.up['stack']}-deleted")["id"]
    api.delete_rest_api(restApiId=made)
    with pytest.raises(ClientError) as refused:
        api.get_rest_api(restApiId=made)
    assert code_of(refused.value) == "NotFoundException"
