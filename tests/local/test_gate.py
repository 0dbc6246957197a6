"""Access to the local AWS: its owner's signed requests, and those that AWS leaves open to all."""

import functools
import gzip
import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cogauth.aws.environment import Keys
from cogauth.local import gate
from cogauth.local.gate import rules
from cogauth.local.process import FOLDER, LocalAws, Started
from support.functions import TRUST, zipped
from support.names import PASSWORD, REGION
from support.sampling import examples

pytestmark = pytest.mark.local

EVIL = "http://evil.example"
# A function that returns its environment.
TELLTALE = "import os\ndef handler(event, context): return dict(os.environ)"
OPEN = {
    "AllowOrigin": "method.response.header.Access-Control-Allow-Origin",
    "pages": "'http://pages.example'",
}


@functools.cache
def client(service: str, url: str, keys: tuple[str, ...]) -> Any:
    make: Any = boto3.Session(*keys, region_name=REGION).client
    return make(service, endpoint_url=url)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cors(self) -> set[str]:
        return {name for name in self.headers if name.startswith("access-control-")}


class Here(NamedTuple):
    """A local AWS with an open API, a pool, and a function whose role may list functions."""

    started: Started
    folder: Path
    api_path: str
    pool_id: str
    client_id: str
    function_arn: str
    role_arn: str

    @property
    def port(self) -> int:
        return int(self.started.endpoint_url.rpartition(":")[2])

    def client(self, service: str, *keys: str) -> Any:
        return client(service, self.started.endpoint_url, keys or self.started.keys)

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def log(self) -> str:
        return (self.folder / "ministack.log").read_text()

    def functions(self) -> list[str]:
        return [f["FunctionName"] for f in self.client("lambda").list_functions()["Functions"]]


def make_api(apis: Any) -> str:
    """Make an open API that pages of one origin may read; return the path of a call."""
    api = apis.create_rest_api(name="open")
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    apis.put_method(**place, authorizationType="NONE")
    apis.put_integration(
        **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    apis.put_method_response(
        **place, statusCode="200", responseParameters={OPEN["AllowOrigin"]: True}
    )
    apis.put_integration_response(
        **place, statusCode="200", responseParameters={OPEN["AllowOrigin"]: OPEN["pages"]}
    )
    apis.create_deployment(restApiId=api["id"], stageName="v1")
    return f"/restapis/{api['id']}/v1/_user_request_/"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("gate") / FOLDER
    local = LocalAws(folder)
    try:
        bare = Here(local.start(), folder, "", "", "", "", "")
        cognito, iam = bare.client("cognito-idp"), bare.client("iam")
        pool = cognito.create_user_pool(PoolName="p")["UserPool"]["Id"]
        app = cognito.create_user_pool_client(
            UserPoolId=pool, ClientName="c", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )["UserPoolClient"]["ClientId"]
        role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        allowed = {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy)
        functions = bare.client("lambda")
        made = functions.create_function(
            FunctionName="telltale",
            Runtime="python3.13",
            Role=role["Arn"],
            Handler="index.handler",
            Code={"ZipFile": zipped(TELLTALE)},
        )
        functions.get_waiter("function_active_v2").wait(
            FunctionName="telltale", WaiterConfig={"Delay": 1}
        )
        yield bare._replace(
            api_path=make_api(bare.client("apigateway")),
            pool_id=pool,
            client_id=app,
            function_arn=made["FunctionArn"],
            role_arn=role["Arn"],
        )
    finally:
        local.remove()


def guessed(here: Here) -> tuple[str, str, str]:
    """The credentials that ministack itself derives from public names for the function's role."""
    digest = hashlib.sha256(f"{here.function_arn}:{here.role_arn}".encode()).hexdigest()
    return (
        f"ASIA{digest[:16].upper()}",
        hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
        hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
    )


def told(here: Here) -> dict[str, str]:
    """Return the function's environment."""
    answer = here.client("lambda").invoke(FunctionName="telltale")
    found: dict[str, str] = json.loads(answer["Payload"].read())
    return found


# By service: its codes for an unknown key and for a wrong signature.
# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
SAID = {
    "lambda": ("list_functions", {}, "UnrecognizedClientException", "InvalidSignatureException"),
    "apigateway": (
        *("get_rest_apis", {}),
        *("UnrecognizedClientException", "InvalidSignatureException"),
    ),
    "cognito-idp": (
        *("list_user_pools", {"MaxResults": 1}),
        *("UnrecognizedClientException", "InvalidSignatureException"),
    ),
    "logs": (
        *("describe_log_groups", {}),
        *("UnrecognizedClientException", "InvalidSignatureException"),
    ),
    "iam": ("list_roles", {}, "InvalidClientTokenId", "SignatureDoesNotMatch"),
    "sts": ("get_caller_identity", {}, "InvalidClientTokenId", "SignatureDoesNotMatch"),
    "resourcegroupstaggingapi": (
        *("get_resources", {}),
        *("UnrecognizedClientException", "InvalidSignatureException"),
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("service", SAID)
def test_each_service_takes_its_owners_keys_alone(here: Here, service: str) -> None:
    method, parameters, unknown, wrong = SAID[service]

    def code(*keys: str) -> str:
        with pytest.raises(ClientError) as refused:
            getattr(here.client(service, *keys), method)(**parameters)
        return str(refused.value.response["Error"]["Code"])

    getattr(here.client(service), method)(**parameters)
    key, secret = here.started.keys
    others = Keys.new()
    strangers = {
        "test": ("test", "test"),
        "an account's number": ("000000000000", "test"),
        "another account's": ("123456789012", "test"),
        "another local AWS's": others,
        "another's key id with the right secret": (others.access_key_id, secret),
        "a role's, of public names": guessed(here),
    }
    assert {who: code(*keys) for who, keys in strangers.items()} == dict.fromkeys(
        strangers, unknown
    )
    assert code(key, "test") == code(key, others.secret_access_key) == wrong
    assert code(key, secret, "a token that no key of a root has") == unknown
    log = here.log()
    assert "Refused: " in log
    assert secret not in log


# Requests that need no signature on AWS, as a stranger may send them: method, path and headers. A
# name in braces is an attribute of Here.
COGNITO = "AWSCognitoIdentityProviderService."
JSON = {"Content-Type": "application/x-amz-json-1.1"}
UNSIGNED: dict[str, tuple[str, str, dict[str, str], dict[str, str], int]] = {
    "a call of a deployed API": ("GET", "{api_path}", {}, {}, 200),
    "a pool's keys": ("GET", "/{pool_id}/.well-known/jwks.json", {}, {}, 200),
    "a pool's description": ("GET", "/{pool_id}/.well-known/openid-configuration", {}, {}, 200),
    "health": ("GET", "/_ministack/health", {}, {}, 200),
    "SignUp": (
        *("POST", "/", {"X-Amz-Target": f"{COGNITO}SignUp"}),
        *({"ClientId": "{client_id}", "Username": "{who}", "Password": PASSWORD}, 200),
    ),
    "ChangePassword": (
        *("POST", "/", {"X-Amz-Target": f"{COGNITO}ChangePassword"}),
        *({"AccessToken": "a.b.c", "ProposedPassword": PASSWORD}, 400),
    ),
}


def send_unsigned(here: Here, what: str, who: str, **headers: str) -> Answer:
    method, path, more, body, _ = UNSIGNED[what]
    names = {**here._asdict(), "who": who}
    filled = {key: value.format(**names) for key, value in body.items()}
    text = json.dumps(filled).encode() if filled else b""
    return here.send(
        method, path.format(**names), {**(JSON if body else {}), **more, **headers}, text
    )


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_aws_serves_unsigned_is_served(here: Here, what: str) -> None:
    assert send_unsigned(here, what, "unsigned").status == UNSIGNED[what][-1]


@pytest.mark.parametrize("what", UNSIGNED)
def test_a_page_may_send_that_too_but_reads_what_the_api_lets_it(here: Here, what: str) -> None:
    answer = send_unsigned(here, what, "page", Origin=EVIL)
    assert answer.status == UNSIGNED[what][-1]
    if what == "a call of a deployed API":
        assert answer.headers["access-control-allow-origin"] == "http://pages.example"
    else:
        assert answer.cors == set()


@pytest.mark.parametrize("what", UNSIGNED)
@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost."),
        *("localhost.evil.example", "192.168.0.1:{port}", "0.0.0.0:{port}", "[::]:{port}", "", ":"),
        *(
            "x.execute-api.127.0.0.1:{port}",
            "evil.example@127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:1:2",
        ),
    ],
)
def test_nothing_is_served_under_another_name(here: Here, what: str, host: str) -> None:
    answer = send_unsigned(here, what, "rebound", Host=host.format(port=here.port))
    assert answer.status == 403
    assert b"Host" in answer.body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:{port}", "LOCALHOST:1"])
def test_it_is_served_under_each_name_of_this_machine(here: Here, host: str) -> None:
    assert here.send("GET", here.api_path, {"Host": host.format(port=here.port)}).status == 200


def test_a_host_that_comes_twice_is_refused(here: Here) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=30)
    connection.putrequest("GET", "/_ministack/health", skip_host=True)
    for host in ("127.0.0.1", "evil.example"):
        connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status in {400, 403}
    connection.close()


# Everything else is closed: method, path, headers, body.
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLOSED: list[tuple[str, str, dict[str, str], str]] = [
    ("POST", "/_ministack/reset", {}, ""),
    ("POST", "/_ministack/reset?init=1", {}, ""),
    ("POST", "/_ministack/config", {}, '{"lambda_svc.LAMBDA_EXECUTOR": "docker"}'),
    ("GET", "/_ministack/ready", {}, ""),
    ("GET", "/_localstack/health", {}, ""),
    ("GET", "/health", {}, ""),
    ("POST", "/_ministack/health", {}, ""),
    ("GET", "/_ministack/lambda-code/telltale", {}, ""),
    ("GET", "/_ministack/lambda-code/000000000000/eu-central-1/telltale", {}, ""),
    ("GET", "/_ministack/ses/messages", {}, ""),
    ("GET", "/_aws/ses", {}, ""),
    ("GET", "/_aws/sqs/messages", {}, ""),
    ("GET", "/_aws/sns/sms-messages", {}, ""),
    ("PUT", "/_ministack/cfn-response/x", {}, "{}"),
    ("POST", "/_ministack/rds/iam-auth", {}, "{}"),
    ("POST", "/_ministack/eks-auth/x", {}, "{}"),
    ("GET", "/oauth2/authorize?client_id={client_id}&response_type=code", {}, ""),
    ("POST", "/oauth2/token", FORM, "grant_type=client_credentials"),
    ("GET", "/oauth2/userInfo", {}, ""),
    ("POST", "/login", FORM, "username=a"),
    ("POST", "/oauth2/login", FORM, "username=a"),
    ("GET", "/logout", {}, ""),
    ("POST", "/saml2/idpresponse", FORM, ""),
    ("GET", "/latest/meta-data/iam/security-credentials/", {}, ""),
    ("PUT", "/latest/api/token", {}, ""),
    ("GET", "/v2/credentials/x", {}, ""),
    ("GET", "/v2/_catalog", {}, ""),
    ("GET", "/", {}, ""),
    ("GET", "/a-bucket/a-key", {}, ""),
    ("PUT", "/a-bucket", {}, ""),
    ("OPTIONS", "/", {"Origin": EVIL, "Access-Control-Request-Method": "POST"}, ""),
    ("OPTIONS", "/{pool_id}/.well-known/jwks.json", {"Origin": EVIL}, ""),
    ("GET", "/2015-03-31/functions/", {}, ""),
    ("POST", "/2015-03-31/functions/telltale/invocations", {}, "{}"),
    ("GET", "/restapis", {}, ""),
    ("DELETE", "/restapis/x", {}, ""),
    ("GET", "/restapis/x/v1/_user_request_x", {}, ""),
    ("GET", "/_aws/execute-api/x/v1/", {}, ""),
    ("GET", "/_alb/x", {}, ""),
    ("GET", "/iceberg/v1/config", {}, ""),
    ("POST", "/graphql", {}, "{}"),
    ("POST", "/", FORM, "Action=ListUsers&Version=2010-05-08"),
    ("POST", "/?Action=ListUsers&Version=2010-05-08", {}, ""),
    ("POST", "/", {"X-Amz-Target": f"{COGNITO}AdminCreateUser", **JSON}, "{}"),
    ("POST", "/", {"X-Amz-Target": f"{COGNITO}ListUserPools", **JSON}, "{}"),
    ("POST", "/", {"X-Amz-Target": f"{COGNITO}ListUserPools.SignUp", **JSON}, "{}"),
    ("POST", "/", {"X-Amz-Target": "AWSCognitoIdentityService.GetId", **JSON}, "{}"),
    ("POST", "/", {"X-Amz-Target": "Logs_20140328.DescribeLogGroups", **JSON}, "{}"),
    ("POST", "/?X=1", {"X-Amz-Target": f"{COGNITO}SignUp", **JSON}, "{}"),
    ("POST", "/x", {"X-Amz-Target": f"{COGNITO}SignUp", **JSON}, "{}"),
    ("GET", "/eu-central-1_Unknown00/.well-known/jwks.json", {}, ""),
    ("GET", "/a/b/.well-known/jwks.json", {}, ""),
    ("PUT", "/{pool_id}/.well-known/jwks.json", {}, "{}"),
]


def is_refused(answer: Answer) -> bool:
    """Whether the answer is AWS's or the gate's own refusal of an unsigned request."""
    said = answer.body.decode()
    words = ("MissingAuthenticationToken", "AccessDenied", "Refused: ")
    return answer.status in {400, 403} and any(w in said for w in words) and not answer.cors


@pytest.mark.parametrize(("method", "path", "headers", "body"), CLOSED)
def test_all_else_is_closed(
    here: Here, method: str, path: str, headers: dict[str, str], body: str
) -> None:
    where = path.format(pool_id=here.pool_id, client_id=here.client_id)
    for more in ({}, {"Origin": EVIL}, {"Authorization": "Bearer x"}):
        answer = here.send(method, where, {**headers, **more}, body.encode())
        assert is_refused(answer) or (more and answer.status in {400, 403}), answer
        assert not answer.cors
    assert here.functions() == ["telltale"]


KNOWN_TARGETS = st.sampled_from(["SignUp", "ListUserPools", "AdminCreateUser", "GetUser"])


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    path=st.one_of(
        st.sampled_from([one[1].partition("?")[0] for one in CLOSED if "{" not in one[1]]),
        st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), max_size=30).map(
            lambda text: "/" + text.replace("?", "").replace("#", "")
        ),
    ),
    target=st.none() | KNOWN_TARGETS.map(COGNITO.__add__) | st.just("AWSLambda.CreateFunction"),
    query=st.sampled_from(
        ["", "Action=ListUsers", "X-Amz-Credential=test/20261126/x/y/z", "uploads"]
    ),
)
@examples(300)
def test_what_is_open_is_only_what_the_list_says(
    here: Here, method: str, path: str, target: str | None, query: str
) -> None:
    headers = {"X-Amz-Target": target, **JSON} if target else {}
    answer = here.send(method, f"{path}?{query}" if query else path, headers, b"")
    is_open = (
        (method, path, query) == ("POST", "/", "")
        and target in {f"{COGNITO}SignUp", f"{COGNITO}GetUser"}
    ) or (method, path) == ("GET", "/_ministack/health")
    assert is_open or answer.status in {400, 403}
    assert not answer.cors
    assert here.functions() == ["telltale"]


def signed(  # noqa: PLR0913 as many as a request has parts
    here: Here,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    keys: tuple[str, ...] = (),
    service: str = "",
    **headers: str,
) -> dict[str, str]:
    """Return the headers of a signed request."""
    request = AWSRequest(method, f"{here.started.endpoint_url}{path}", data=body)
    request.headers["Host"] = f"127.0.0.1:{here.port}"
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    service = service or ("execute-api" if "/_" in path else "lambda")
    SigV4Auth(Credentials(*(keys or here.started.keys)), service, REGION).add_auth(request)
    return dict(request.headers)


def test_a_signature_opens_what_is_ministacks_own(here: Here) -> None:
    path = "/_ministack/ready"
    assert here.send("GET", path, signed(here, "GET", path)).status == 200


def test_a_signature_is_of_one_request(here: Here) -> None:
    """It doesn't hold for another path, query, body or time, or for a changed signed header."""
    path, body = "/2015-03-31/functions/telltale/invocations", b"{}"
    headers = signed(here, "POST", path, body)
    assert here.send("POST", path, headers, body).status == 200
    assert here.send("POST", f"{path}?x=1", headers, body).status == 403
    assert here.send("POST", path.replace("telltale", "other"), headers, body).status == 403
    assert here.send("PUT", path, headers, body).status == 403
    assert here.send("POST", path, headers, b"[]").status == 403
    changed = {**headers, "X-Amz-Date": "20200101T000000Z"}
    assert here.send("POST", path, changed, body).status == 403
    assert here.send("POST", path, {**headers, "Host": "127.0.0.1:1"}, body).status == 403
    assert here.send("POST", path, {**headers, "Origin": EVIL}, body).status == 403


def test_a_body_is_the_one_whose_hash_was_signed(here: Here) -> None:
    path = "/2015-03-31/functions/telltale/invocations"
    request = AWSRequest("POST", f"{here.started.endpoint_url}{path}", data=b"{}")
    request.headers["Host"] = f"127.0.0.1:{here.port}"
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(b"{}").hexdigest()
    SigV4Auth(Credentials(*here.started.keys), "lambda", REGION).add_auth(request)
    assert here.send("POST", path, dict(request.headers), b"{}").status == 200
    assert here.send("POST", path, dict(request.headers), b"[]").status == 403


def presigned(here: Here, keys: tuple[str, ...], path: str, seconds: int) -> str:
    request = AWSRequest("GET", f"{here.started.endpoint_url}{path}")
    SigV4QueryAuth(Credentials(*keys), "lambda", REGION, expires=seconds).add_auth(request)
    return str(request.url).removeprefix(here.started.endpoint_url)


def test_a_signed_url_is_good_for_as_long_as_it_says(here: Here) -> None:
    path = "/2015-03-31/functions/"
    assert here.send("GET", presigned(here, here.started.keys, path, 60)).status == 200
    key = here.started.keys.access_key_id
    for keys, seconds in (
        ((key, "test"), 60),
        (("test", "test"), 60),
        (here.started.keys, -1),
        (here.started.keys, 0),
        (here.started.keys, rules.MAX_EXPIRES + 1),
    ):
        assert here.send("GET", presigned(here, keys, path, seconds)).status in {400, 403}


def test_keys_that_its_iam_and_sts_issued_do_what_they_may(here: Here) -> None:
    iam = here.client("iam")
    iam.create_user(UserName="u")
    issued = iam.create_access_key(UserName="u")["AccessKey"]
    keys = (issued["AccessKeyId"], issued["SecretAccessKey"])
    assert here.client("sts", *keys).get_caller_identity()["Arn"].endswith(":user/u")
    with pytest.raises(ClientError, match="AccessDenied"):
        here.client("lambda", *keys).list_functions()
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        here.client("lambda", keys[0], "test").list_functions()
    iam.update_access_key(UserName="u", AccessKeyId=keys[0], Status="Inactive")
    with pytest.raises(ClientError, match=r"UnrecognizedClientException|InvalidClientTokenId"):
        here.client("sts", *keys).get_caller_identity()


def test_a_functions_keys_are_its_roles_and_no_one_can_guess_them(here: Here) -> None:
    seen = told(here)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    own = tuple(seen[name] for name in names)
    assert not set(own) & set(guessed(here))
    assert ":assumed-role/r/" in here.client("sts", *own).get_caller_identity()["Arn"]
    assert here.client("lambda", *own).list_functions()["Functions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        here.client("iam", *own).list_roles()
    # Without its token a session's key is unknown.
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        here.client("lambda", *own[:2]).list_functions()


def test_no_function_is_given_the_accounts_own_keys(here: Here) -> None:
    seen = json.dumps(told(here))
    assert not any(key in seen for key in here.started.keys)


def test_a_method_that_asks_for_a_signature_takes_no_strangers(here: Here) -> None:
    apis = here.client("apigateway")
    api = apis.create_rest_api(name="signed")
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    apis.put_method(**place, authorizationType="AWS_IAM")
    apis.put_integration(
        **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    apis.put_method_response(**place, statusCode="200")
    apis.put_integration_response(**place, statusCode="200")
    apis.create_deployment(restApiId=api["id"], stageName="v1")
    path = f"/restapis/{api['id']}/v1/_user_request_/"

    def status(*keys: str) -> int:
        return here.send("GET", path, signed(here, "GET", path, keys=keys)).status

    key, secret = here.started.keys
    assert status(key, secret) == 200
    assert [
        status(*keys)
        for keys in ((key, "test"), ("test", "test"), ("000000000000", "test"), guessed(here))
    ] == [403] * 4
    assert here.send("GET", path).status == 403


REFUSED = {400, 403}
# Requests that ministack handles before it asks IAM, or can't name the action of: path, service,
# headers, body. A role that may list functions sends them.
PLAIN = {"Content_Type": "text/plain"}
IDP = {"Content_Type": "application/x-amz-json-1.1"}
BEYOND_A_ROLE: list[tuple[str, str, str, dict[str, str], str]] = [
    ("POST", "/", "iam", PLAIN, "Action=CreateUser&UserName=evil&Version=2010-05-08"),
    ("POST", "/", "iam", {}, "Action=CreateUser&UserName=evil&Version=2010-05-08"),
    ("POST", "/", "iam", PLAIN, "Action=ListUsers&Version=2010-05-08"),
    (
        *("POST", "/?Action=ListFunctions", "iam"),
        {"Content_Type": FORM["Content-Type"]},
        "Action=CreateUser&UserName=evil&Version=2010-05-08",
    ),
    (
        *("POST", "/", "iam"),
        {"Content_Type": FORM["Content-Type"]},
        "Action=ListFunctions&Action=CreateUser&UserName=evil&Version=2010-05-08",
    ),
    ("GET", "/?Action=ListUsers&Version=2010-05-08", "iam", {}, ""),
    ("POST", "/", "sqs", PLAIN, "Action=CreateQueue&QueueName=q"),
    (
        *("POST", "/?Action=GetCallerIdentity", "cognito-idp"),
        {**IDP, "X_Amz_Target": f"{COGNITO}ListUserPools"},
        '{"MaxResults": 1}',
    ),
    (
        *("POST", "/x", "cognito-idp"),
        {**IDP, "X_Amz_Target": f"{COGNITO}ListUserPools"},
        '{"MaxResults": 1}',
    ),
    # Ministack first looks for an action in a form, wherever it is sent.
    (
        *("POST", "/2015-03-31/functions", "lambda", {"Content_Type": FORM["Content-Type"]}),
        '{"FunctionName": "evil", "Description": "&Action=ListFunctions&"}',
    ),
    (
        *("DELETE", "/2015-03-31/functions/telltale", "lambda"),
        *({"Content_Type": "Application/X-WWW-Form-URLencoded; x=y"}, "Action=ListFunctions"),
    ),
    (
        *("PUT", "/bucket/key", "s3", {"Content_Type": FORM["Content-Type"]}),
        "Action=ListFunctions",
    ),
    (
        *("POST", "/", "cognito-idp"),
        {"Content_Type": FORM["Content-Type"], "X_Amz_Target": f"{COGNITO}ListUserPools"},
        '{"MaxResults": 1, "x": "&Action=GetUser&"}',
    ),
    (
        *("POST", "/", "iam"),
        {"Content_Type": FORM["Content-Type"], "Content_Encoding": "gzip"},
        "Action=ListUsers&Version=2010-05-08",
    ),
    ("POST", "/_ministack/reset", "lambda", {}, ""),
    ("POST", "/_ministack/config", "lambda", {}, "{}"),
    ("GET", "/_ministack/ready", "s3", {}, ""),
    ("GET", "/_ministack/ses/messages", "lambda", {}, ""),
    ("GET", "/_aws/sqs/messages", "lambda", {}, ""),
    ("GET", "/_ministack/lambda-code/000000000000/eu-central-1/telltale", "lambda", {}, ""),
    ("GET", "/oauth2/authorize", "s3", {}, ""),
    ("POST", "/oauth2/token", "cognito-idp", {}, ""),
    ("POST", "/login", "s3", {}, ""),
    ("GET", "/logout", "s3", {}, ""),
    ("GET", "/latest/meta-data/", "s3", {}, ""),
    (
        *("POST", "/2021-11-15/functions/telltale/response-streaming-invocations", "lambda"),
        *({}, "{}"),
    ),
]


@pytest.mark.parametrize("attempt", BEYOND_A_ROLE, ids=lambda one: f"{one[0]} {one[1]} {one[2]}")
def test_a_role_does_only_what_iam_is_asked_about(
    here: Here, attempt: tuple[str, str, str, dict[str, str], str]
) -> None:
    method, path, service, headers, body = attempt
    seen, sent = told(here), body.encode()
    own = tuple(seen[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    own += (seen["AWS_SESSION_TOKEN"],)
    made = signed(here, method, path, sent, keys=own, service=service, **headers)
    answer = here.send(method, path, made, sent)
    assert answer.status in {400, 403}, answer
    assert b"AccessDenied" in answer.body or b"not authorized" in answer.body
    assert here.functions() == ["telltale"]
    assert [user["UserName"] for user in here.client("iam").list_users()["Users"]] in ([], ["u"])


def test_a_role_may_use_a_bucket_whose_name_begins_like_a_page_of_ministacks(here: Here) -> None:
    iam, name = here.client("iam"), "buckets"
    iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
    got = here.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="session"
    )["Credentials"]
    keys = (got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    s3 = here.client("s3", *keys)
    for bucket in ("login-assets", "latest-builds", "health-data", "oauth2-x"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key="a//b", Body=b"x")
        assert s3.get_object(Bucket=bucket, Key="a//b")["Body"].read() == b"x"


def test_what_was_not_signed_is_not_taken(here: Here) -> None:
    """An intercepted request can't be turned into one that does something else."""
    path = "/2015-03-31/functions/"
    made = signed(here, "GET", path)
    assert here.send("GET", path, made).status == 200
    for name, value in (
        ("X-Amz-Target", f"{COGNITO}ListUserPools"),
        ("X-Amz-Copy-Source", "/a/b"),
        ("X-Amz-Anything", "x"),
    ):
        assert here.send("GET", path, {**made, name: value}).status in REFUSED
    for other in (f"/{path}", f"/.{path}", f"/x/..{path}", "/2015-03-31//functions/"):
        assert here.send("GET", other, made).status in REFUSED
    url = presigned(here, here.started.keys, path, 60)
    assert here.send("GET", url).status == 200
    assert here.send("GET", url, {"X-Amz-Target": f"{COGNITO}ListUserPools"}).status in REFUSED
    without_host = made["Authorization"].replace("host;", "")
    assert here.send("GET", path, {**made, "Authorization": without_host}).status in REFUSED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Date", "99991231T235959Z"),
        ("X-Amz-Date", "x"),
        ("X-Amz-Expires", "9" * 30),
        ("X-Amz-Expires", "1e3"),
        ("X-Amz-Signature", "%C3%A4"),
        ("X-Amz-Signature", ""),
        ("X-Amz-Credential", "x"),
        ("X-Amz-Credential", "/////"),
    ],
)
def test_a_signature_that_is_none_is_refused(here: Here, name: str, value: str) -> None:
    url = presigned(here, here.started.keys, "/2015-03-31/functions/", 60)
    assert here.send("GET", re.sub(f"{name}=[^&]*", f"{name}={value}", url)).status in {400, 403}


def test_nobody_without_a_key_can_fill_the_memory(here: Here) -> None:
    sign_up = {"X-Amz-Target": f"{COGNITO}SignUp", **JSON}
    much = b" " * (gate.MAX_OPEN + 1)
    assert here.send("POST", "/", sign_up, much).status == 413
    packed = gzip.compress(b" " * (1 << 20))
    assert here.send("POST", "/", {**sign_up, "Content-Encoding": "gzip"}, packed).status == 403
    assert here.send("GET", here.api_path, {}, b" " * (gate.MAX_CALL + 1)).status == 413
    # Without a key, or with an unknown one, the body isn't read at all.
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=30)
    for headers in ({}, signed(here, "POST", "/x", keys=tuple(Keys.new()))):
        connection.putrequest("POST", "/x", skip_host="Host" in headers)
        for name, value in {**headers, "Content-Length": str(1 << 40)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 403
        connection.close()


def test_a_websocket_is_refused(here: Here) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert here.send("GET", f"{here.api_path}", upgrade).status == 403


def test_the_log_is_no_place_for_a_strangers_escapes(here: Here) -> None:
    here.send("GET", "/%1b%5b31m%0aRefused%3a%20nothing%e2%80%ae", {"User-Agent": "x"})
    here.send("POST", "/", {"X-Amz-Target": f"{COGNITO}\x1b[2J", **JSON})
    here.send("GET", "/" + 5000 * "a")
    lines = here.log().splitlines()
    assert all(line.isprintable() for line in lines)
    assert all(len(line) < 1000 for line in lines if "Refused" in line)
    assert not [line for line in lines if line.startswith("Refused: nothing")]


@pytest.mark.long
def test_a_reset_by_the_owner_leaves_the_owner_in(here: Here, tmp_path: Path) -> None:
    local = LocalAws(tmp_path / FOLDER)
    try:
        other = here._replace(started=local.start(), folder=tmp_path / FOLDER)
        path = "/_ministack/reset"
        assert other.send("POST", path, signed(other, "POST", path)).status == 200
        assert other.functions() == []
        # Each data folder has its own keys, which a restart doesn't change.
        assert other.started.keys != here.started.keys
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            other.client("lambda", *here.started.keys).list_functions()
        local.stop()
        assert local.start() == other.started
        assert other.functions() == []
    finally:
        local.remove()


def test_the_keys_lie_in_a_file_of_the_owners_alone_and_nowhere_else(here: Here) -> None:
    secret = here.started.keys.secret_access_key
    holding = [
        file
        for file in here.folder.rglob("*")
        if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert holding == [here.folder / "local.json"]
    assert (here.folder / "local.json").stat().st_mode & 0o777 == 0o600
    pid = int(next(here.folder.glob("tmp/ministack-*.pid")).read_text())
    if Path(f"/proc/{pid}").exists():
        for name in ("environ", "cmdline"):
            assert secret.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert secret not in repr(here.started)
