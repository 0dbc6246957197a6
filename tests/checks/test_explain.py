"""Each cause of a refusal, tested on a real refusal if the local AWS can produce one.

If it can't, the section says so, and the cause is tested on constructed evidence.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jwt
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from cogauth.aws.clients import Aws
from cogauth.checks import explain as explaining
from cogauth.checks.explain import Diagnosis, diagnose
from cogauth.checks.explain.address import Address, check_suffix, parse_url
from cogauth.checks.explain.causes import CHECKS
from cogauth.checks.explain.evidence import Answer as Got
from cogauth.checks.explain.evidence import Evidence, read_token
from cogauth.checks.explain.gather import _permits, _with_answer, _with_function, _with_user, gather
from cogauth.checks.explain.token_causes import JWT_CHECKS, TOKEN_CHECKS, audience_matches
from cogauth.cli.explain import _show
from cogauth.client import tokens
from cogauth.errors import LoginError, UsageError
from cogauth.gateway import routing
from cogauth.gateway.deployed import Deployed
from cogauth.gateway.rest_apis import Guard, Issuer, Method, Routes
from cogauth.printable import length, local_time, utc_time
from cogauth.record.state import State
from cogauth.settings import Settings
from support.commands import Cli, command_line, until
from support.local_aws import client
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.servers import Answer, Fixed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADMIN_SCOPE = "aws.cognito.signin.user.admin"
CODE = """
def handler(event, context):
    if event["path"].endswith("/crash"):
        raise ValueError("on purpose")
    if event["path"].endswith("/forbids"):
        headers = {"x-amzn-ErrorType": "AccessDeniedException"}
        return {"statusCode": 403, "headers": headers, "body": "the function says no"}
    return {"statusCode": 403, "body": "the function says no"}
"""


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def changed(token: str, **claims: Any) -> str:
    """A token with other claims under its old signature."""
    header, payload, signature = token.split(".")
    old = jwt.decode(token, options={"verify_signature": False})
    del payload
    return f"{header}.{part({**old, **claims})}.{signature}"


# Real refusals


@dataclass
class Lab(LocalStack):
    """A stack whose API has a path for each way to be refused."""

    tokens: dict[str, str] = field(default_factory=dict)
    other_pool: str = ""

    @property
    def api(self) -> str:
        return str(self.up["rest_api_id"])

    def address(self, path: str, stage: str = "dev") -> str:
        return f"{self.url}/restapis/{self.api}/{stage}/_user_request_{path}"

    def explain(
        self, path: str, token: str | None = None, verb: str = "GET", **more: Any
    ) -> Diagnosis:
        return explaining.explain(self.context(), self.address(path), verb, token, **more)

    def add(self, name: str, authorizer: str | None = None, **method: Any) -> str:
        """Add GET /name; return its resource's id."""
        place = {"restApiId": self.api}
        root = next(
            r["id"] for r in self.gateway.get_resources(**place)["items"] if r["path"] == "/"
        )
        made = self.gateway.create_resource(**place, parentId=root, pathPart=name)["id"]
        place |= {"resourceId": made, "httpMethod": "GET"}
        if authorizer is not None:
            method |= {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": authorizer}
        self.gateway.put_method(**place, **{"authorizationType": "NONE", **method})
        self.gateway.put_integration(
            **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )
        self.gateway.put_method_response(**place, statusCode="200")
        self.gateway.put_integration_response(**place, statusCode="200")
        return str(made)

    def answer_by_function(self, resource: str, function: str) -> None:
        self.gateway.put_integration(
            restApiId=self.api,
            resourceId=resource,
            httpMethod="GET",
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
        )

    def authorizer(self, name: str, pool: str, header: str = "Authorization") -> str:
        made = self.gateway.create_authorizer(
            restApiId=self.api,
            name=name,
            type="COGNITO_USER_POOLS",
            providerARNs=[pool],
            identitySource=f"method.request.header.{header}",
        )
        return str(made["id"])

    def sign_up(self, name: str) -> dict[str, str]:
        """Sign a user up; return its tokens."""
        words = ("--username", name, "--stack", "why")
        self.cli.run("test-login", *words, COGAUTH_PASSWORD=PASSWORD).must()
        kept = json.loads(self.cli.state.with_name(".why.json.cogauth-tokens").read_text())
        return dict(kept[name])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    words = ("--local", "--region", REGION, "--stack", "why")
    with command_line(tmp_path_factory.mktemp("why")) as cli, Lab.made(cli, *words) as made:
        furnish(made)
        yield made
        made.cognito.delete_user_pool(UserPoolId=made.other_pool)
        made.client("lambda").delete_function(FunctionName="why-answers")


def furnish(lab: Lab) -> None:
    pool, own = lab.up["user_pool_arn"], lab.up["authorizer_id"]
    lab.tokens = lab.sign_up("ann")
    other = lab.cognito.create_user_pool(PoolName="why-other")["UserPool"]
    lab.other_pool = other["Id"]
    lab.add("header", lab.authorizer("by-header", pool, "X-Auth"))
    lab.add("elsewhere", lab.authorizer("elsewhere", other["Arn"]))
    lab.add("scoped", own, authorizationScopes=["shop/read"])
    lab.add("admin", own, authorizationScopes=[ADMIN_SCOPE, "shop/read"])
    lab.add("key", apiKeyRequired=True)
    lab.add("signed", authorizationType="AWS_IAM")
    lab.add("busy")
    gone = lab.authorizer("gone", pool)
    lab.add("broken", gone)
    lab.gateway.delete_authorizer(restApiId=lab.api, authorizerId=gone)
    function = make_function(lab)
    for name in ("crash", "refuses", "forbids", "unpermitted"):
        lab.answer_by_function(lab.add(name, own), function)
    lab.answer_by_function(lab.add("nowhere"), f"{function}-gone")
    for name in ("crash", "refuses", "forbids"):
        lab.client("lambda").add_permission(
            FunctionName="why-answers",
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:000000000000:{lab.api}/*/GET/{name}",
        )
    lab.gateway.create_deployment(restApiId=lab.api, stageName="dev")
    patch = [
        {"op": "replace", "path": f"/~1busy/GET/throttling/{name}", "value": "0"}
        for name in ("rateLimit", "burstLimit")
    ]
    lab.gateway.update_stage(restApiId=lab.api, stageName="dev", patchOperations=patch)
    lab.add("late", own)


def make_function(lab: Lab) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("answers.py", CODE)
    functions = lab.client("lambda")
    made = functions.create_function(
        FunctionName="why-answers",
        Runtime="python3.14",
        Handler="answers.handler",
        Role=lab.up["role_arn"],
        Code={"ZipFile": code.getvalue()},
    )
    assert until(
        lambda: (
            functions.get_function(FunctionName="why-answers")["Configuration"]["State"] == "Active"
        )
    )
    return str(made["FunctionArn"])


def says(found: Diagnosis, code: str, status: int | None, *words: str) -> None:
    """Check the cause and the answer's status, and that no token is shown."""
    text = f"{found.cause.sentence}\n{found.cause.fix}\n{found.notes}\n{found.facts}"
    assert (found.cause.code, found.answer and found.answer.status) == (code, status), text
    for each in words:
        assert each in text
    assert "eyJ" not in text.replace("eyJhbGciOi…", "")
    assert found.cause.fix or code == "none"


@pytest.mark.local
def test_nothing_is_wrong(lab: Lab) -> None:
    found = lab.explain("/hello", lab.tokens["id_token"])
    says(found, "none", 200, "answered 200")
    assert found.facts["signature"] == "made by the stack's pool"
    assert found.facts["user"] == "present, the token not revoked"
    assert found.facts["method"] == "GET /hello"
    assert found.facts["user_pools"] == lab.up["user_pool_id"]
    assert found.facts["cognito:username"] == "ann"


@pytest.mark.local
def test_no_header(lab: Lab) -> None:
    says(lab.explain("/hello"), "no_header", 401, "in the header Authorization", "cogauth token")


@pytest.mark.local
def test_wrong_header(lab: Lab) -> None:
    token = lab.tokens["id_token"]
    found = lab.explain("/header", token)
    says(found, "wrong_header", 401, "sent in the header Authorization", "by-header", "'X-Auth: ")
    # HTTP header names are case-insensitive.
    says(lab.explain("/header", token, header="x-auth"), "none", 200)


@pytest.mark.local
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "it has 1 part separated by dots"),
        ("a.b", "it has 2 parts"),
        ("one two.three.four", "white space"),
        ("not.a.token", "its header can't be decoded"),
        (f"{part({'alg': 'RS256'})}.garbage.x", "its payload can't be decoded"),
        (f"{part([1])}.{part({})}.x", "its header can't be decoded"),
        ("ümlaut.b.c", "its header can't be decoded"),
    ],
)
def test_not_a_jwt(lab: Lab, text: str, said: str) -> None:
    # Text that no header can carry isn't sent.
    sent = text.isascii()
    says(lab.explain("/hello", text), "not_a_jwt", 401 if sent else None, said)


@pytest.mark.local
def test_a_refresh_token(lab: Lab) -> None:
    # The local AWS's refresh tokens aren't encrypted like Cognito's; it refuses this one too.
    made = ".".join([part({"enc": "A256GCM", "alg": "RSA-OAEP"}), "a", "b", "c", "d"])
    says(lab.explain("/hello", made), "refresh_token", 401, "only Cognito can read")


@pytest.mark.local
def test_wrong_pool(lab: Lab) -> None:
    found = lab.explain("/elsewhere", lab.tokens["id_token"])
    says(found, "wrong_pool", 401, f"{lab.up['user_pool_id']} (this stack's own)", "attach --api")
    assert f"accepts those of {lab.other_pool}" in found.cause.sentence


@pytest.mark.local
def test_a_foreign_token_is_named_by_its_own_word_and_its_keys_are_not_fetched(lab: Lab) -> None:
    with Fixed(lambda _: Answer(200, "{}")) as elsewhere:
        token = changed(lab.tokens["id_token"], iss=f"{elsewhere.url}/{lab.up['user_pool_id']}")
        found = lab.explain("/hello", token)
        says(found, "wrong_pool", 401, elsewhere.url, "test-login --username NAME --stack why")
        assert found.facts["signature"] == "not checked: the token is of another pool"
        assert elsewhere.requests == []


@pytest.mark.local
def test_tampered(lab: Lab) -> None:
    found = lab.explain("/hello", changed(lab.tokens["id_token"], sub="root"))
    says(found, "bad_signature", 401, "the token was changed")
    assert found.facts["signature"] == "not made by the stack's pool"


@pytest.mark.local
def test_expired(lab: Lab) -> None:
    # Below Cognito's minimum of five minutes, to save time; only botocore itself enforces it.
    cognito = client(
        "cognito-idp", lab.up["endpoint_url"], config=Config(parameter_validation=False)
    )
    pool = lab.up["user_pool_id"]
    short = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="short",
        ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        IdTokenValidity=-7500,
        TokenValidityUnits={"IdToken": "seconds"},
    )["UserPoolClient"]["ClientId"]
    token = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=short,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ann", "PASSWORD": PASSWORD},
    )["AuthenticationResult"]["IdToken"]
    found = lab.explain("/hello", token)
    says(found, "expired", 401, "expired 2 h 5 min ago", "renews the stored one")
    assert found.facts["signature"] == "made by the stack's pool"
    # Another app client isn't the cause, but is mentioned.
    assert f"another app client ({short})" in found.notes[0]


@pytest.mark.local
def test_an_id_token_where_scopes_ask_for_an_access_token(lab: Lab) -> None:
    found = lab.explain("/admin", lab.tokens["id_token"])
    says(found, "id_token", 401, f"scope {ADMIN_SCOPE} or shop/read", "--type access")
    says(lab.explain("/admin", lab.tokens["access_token"]), "none", 200)


@pytest.mark.local
def test_an_access_token_where_no_scope_is_asked_for(lab: Lab) -> None:
    found = lab.explain("/hello", lab.tokens["access_token"])
    says(found, "access_token", 401, "takes ID tokens")


@pytest.mark.local
def test_a_scope_is_missing(lab: Lab) -> None:
    found = lab.explain("/scoped", lab.tokens["access_token"])
    says(
        found, "scope_missing", 401, "requires the scope shop/read", f"the token has {ADMIN_SCOPE}"
    )


@pytest.mark.local
def test_bearer_is_no_cause_where_it_is_let_pass(lab: Lab) -> None:
    found = lab.explain("/hello", f"Bearer {lab.tokens['id_token']}")
    says(found, "none", 200, "AWS doesn't document", "without 'Bearer '")
    assert found.facts["token"] == "Bearer eyJhbGciOi…"


@pytest.mark.local
def test_bearer_where_the_call_is_refused_and_nothing_else_is_wrong(lab: Lab) -> None:
    """Here the function refuses in the gateway's name; the gateway itself accepts 'Bearer '."""
    found = lab.explain("/forbids", f"Bearer {lab.tokens['id_token']}")
    says(found, "bearer", 403, "AWS doesn't document")


@pytest.mark.local
@pytest.mark.parametrize("what", ["deleted", "disabled", "revoked"])
def test_the_user_or_the_session_does_not_stand_any_more(lab: Lab, what: str) -> None:
    """The backend refuses; the gateway itself doesn't know."""
    tokens, place = lab.sign_up(what), {"UserPoolId": lab.up["user_pool_id"], "Username": what}
    {
        "deleted": lab.cognito.admin_delete_user,
        "disabled": lab.cognito.admin_disable_user,
        "revoked": lab.cognito.admin_user_global_sign_out,
    }[what](**place)
    found = lab.explain("/refuses", tokens["id_token"])
    code = what if what == "revoked" else f"user_{what}"
    says(found, code, 403, what, "The gateway doesn't know", "test-login")
    # If the call succeeds anyway, it is mentioned.
    passed = lab.explain("/hello", tokens["id_token"])
    says(passed, "none", 200, "The gateway doesn't know")


@pytest.mark.local
def test_a_path_that_is_not_deployed(lab: Lab) -> None:
    found = lab.explain("/late")
    says(found, "not_deployed", 403, "in the API, but not deployed", "create-deployment")
    # Not on AWS, where the id would be someone else's API.
    assert "aws --endpoint-url http://127.0.0.1:" in found.cause.fix


@pytest.mark.local
@pytest.mark.parametrize("path", ["/helo", "/Hello", "/hello/x", "/"])
def test_wrong_path(lab: Lab, path: str) -> None:
    found = lab.explain(path, lab.tokens["id_token"])
    says(found, "wrong_path", 403, "'Missing Authentication Token'", "the token is not the cause")
    assert "/hello" in found.cause.fix or path == "/"


@pytest.mark.local
def test_wrong_stage(lab: Lab) -> None:
    found = explaining.explain(lab.context(), lab.address("/hello", "prod"), "GET", None)
    says(found, "wrong_stage", 403, "no stage 'prod'; it has dev", "/dev/")
    # Without a stage, the path's first part is taken for it.
    found = explaining.explain(lab.context(), lab.address("", "hello"), "GET", None)
    says(found, "wrong_stage", 403, "The URL lacks the stage", "/dev/hello")


@pytest.mark.local
def test_wrong_method(lab: Lab) -> None:
    says(lab.explain("/signin"), "wrong_method", 403, "no method GET; it has POST")
    says(lab.explain("/hello", verb="OPTIONS"), "wrong_method", 403, "--cors-origin")
    # A call that could change something is only looked up, not sent.
    says(lab.explain("/hello", verb="DELETE"), "wrong_method", None, "it has GET")


@pytest.mark.local
def test_an_api_that_is_not_in_the_account_gets_no_token(lab: Lab) -> None:
    url = lab.address("/hello").replace(lab.api, "0123456789")
    found = explaining.explain(lab.context(), url, "GET", lab.tokens["id_token"])
    says(found, "wrong_api", None, "no REST API 0123456789", "Nothing was sent")


@pytest.mark.local
def test_a_post_is_looked_at_and_not_sent(lab: Lab) -> None:
    found = lab.explain("/signin", lab.tokens["id_token"], verb="POST")
    says(found, "not_sent", None, "could change data")
    assert found.facts["permission"] == "API Gateway may call it"


@pytest.mark.local
def test_an_api_key_is_asked_for(lab: Lab) -> None:
    says(lab.explain("/key"), "api_key", 403, "x-api-key")


@pytest.mark.local
def test_throttled(lab: Lab) -> None:
    says(lab.explain("/busy"), "throttled", 429, "too many calls", "--throttle-rate")


@pytest.mark.local
def test_a_method_for_signed_requests(lab: Lab) -> None:
    found = lab.explain("/signed", lab.tokens["id_token"])
    assert found.answer is not None
    says(found, "iam_authorization", found.answer.status, "AWS_IAM", "SigV4")
    assert found.answer.status in {400, 403}


@pytest.mark.local
def test_what_the_gateway_repeats_of_a_header_is_not_shown(lab: Lab) -> None:
    """If a call to an unknown path has a token, AWS's message contains the token."""

    def repeat(request: Any) -> Answer:
        sent = request.headers["Authorization"]
        return Answer(403, json.dumps({"message": f"'{sent}' not a valid key=value pair"}))

    ctx = lab.context()
    address = parse_url(ctx.state, lab.address("/helo"))
    token = read_token(f"Bearer {lab.tokens['id_token']}")
    with Fixed(repeat) as gateway:
        seen = _with_answer(
            ctx, Evidence(replace(address, url=gateway.url), "GET", "Authorization", token, "", "")
        )
    assert seen.answer is not None
    assert seen.answer.message == "'(the token)' not a valid key=value pair"


@pytest.mark.local
def test_an_authorizer_that_is_gone(lab: Lab) -> None:
    says(lab.explain("/broken", lab.tokens["id_token"]), "authorizer_broken", 500, "(deleted)")


@pytest.mark.local
def test_a_function_that_fails(lab: Lab) -> None:
    found = lab.explain("/crash", lab.tokens["id_token"])
    says(found, "function_failed", 502, "why-answers", "logs tail /aws/lambda/why-answers")


@pytest.mark.local
def test_a_function_that_does_not_exist(lab: Lab) -> None:
    says(lab.explain("/nowhere"), "function_missing", 500, "why-answers-gone")


@pytest.mark.local
def test_a_lambda_permission_is_missing(lab: Lab) -> None:
    found = lab.explain("/unpermitted", lab.tokens["id_token"])
    assert found.facts["permission"] == "API Gateway may not call it"
    arn = f"--source-arn 'arn:aws:execute-api:{REGION}:000000000000:{lab.api}/*/GET/unpermitted'"
    says(found, "lambda_permission", 500, arn, "the function why-answers for")
    function = f"arn:aws:lambda:{REGION}:000000000000:function:why-answers"
    assert f" lambda add-permission --function-name {function} --st" in found.cause.fix


# The command line


@pytest.mark.local
def test_the_command_reads_well_and_shows_no_token(lab: Lab) -> None:
    token = changed(lab.tokens["id_token"], exp=1)
    words = ("explain", lab.address("/hello"), "--token-stdin", "--stack", "why")
    done = lab.cli.run(*words, typed=f"Authorization: {token}\n").must()
    lines = done.out.splitlines()
    assert lines[:4] == [f"GET {lab.address('/hello')}", "  ✗ 401 Unauthorized", "", lines[3]]
    assert lines[3] == "Cause (bad_signature):"
    assert token not in done.out + done.err
    assert token.split(".")[0] not in done.out + done.err
    document = lab.cli.run(*words, "--json", typed=f"\ufeff{token}").must().document
    assert list(document) == [
        *(
            "url",
            "method",
            "status",
            "response_message",
            "cause",
            "message",
            "fix",
            "notes",
            "facts",
        )
    ]
    assert (document["cause"], document["status"]) == ("bad_signature", 401)
    facts = document["facts"]
    assert facts["exp"] == "1970-01-01T00:00:01+00:00"
    assert datetime.fromisoformat(facts["deployment_created"]).tzinfo
    assert any(re.match(r"  exp +19(70|69)-\d\d-\d\d .* ago$", line) for line in lines)


@pytest.mark.local
def test_the_stored_token_is_taken(lab: Lab) -> None:
    words = ("explain", lab.address("/hello"), "--stack", "why", "--json")
    assert lab.cli.run(*words, "--username", "ann").must().document["cause"] == "none"
    assert lab.cli.run(*words, "--no-token").must().document["cause"] == "no_header"
    # A name in the environment only matters to commands that need one.
    for words_for in (("--no-token",), ("--token-stdin",)):
        lab.cli.run(*words, *words_for, typed="x", COGAUTH_USERNAME="ann").must()
    both = lab.cli.run(*words, "--no-token", "--username", "ann", COGAUTH_USERNAME="bob")
    assert "exclude each other" in both.must(2).err
    lab.sign_up("bob")
    assert lab.cli.run(*words, COGAUTH_USERNAME="ann").must().document["cause"] == "none"
    several = lab.cli.run(*words).must(2)
    assert "are signed in: ann, bob" in several.err
    # The pool ignores a name's case, and so does each command.
    for command in (words, ("call", "GET", "/hello", "--stack", "why", "--json")):
        lab.cli.run(*command, "--username", "Ann").must()
    assert "No token of 'eve' is stored" in lab.cli.run(*words, "--username", "eve").must(2).err


@pytest.mark.local
def test_a_refusal_that_nothing_explains_is_exit_1(lab: Lab) -> None:
    words = ("explain", lab.address("/forbids"), "--stack", "why", "--username", "ann")
    done = lab.cli.run(*words).must(1)
    assert "Cause (unexplained):" in done.out
    assert "403 the function says no" in done.out


@pytest.mark.local
def test_bad_input_is_exit_2(lab: Lab) -> None:
    url, token = lab.address("/hello"), lab.tokens["id_token"]
    for words, typed, said in (
        (("https://example.com/dev/hello",), "", "isn't the URL of a REST API's stage at"),
        ((url.replace("_user_request_", "x"),), "", "isn't the URL"),
        ((url, "--method", "FETCH"), "", "--method 'FETCH'"),
        ((url, "--header", "X Auth"), "", "--header 'X Auth'"),
        ((url, "--token-stdin"), "", "no token on stdin"),
        ((url, "--token-stdin"), b"\xff\xfd", "not text"),
        ((url, "--token-stdin", "--no-token"), "", "exclude each other"),
        ((f"{url}?token={token}",), "", "a token on the command line"),
        ((url, token), "", "a token on the command line"),
        ((url, f"--token={token}"), "", "a token on the command line"),
        ((url, "--username", f"Bearer {token}"), "", "a token on the command line"),
    ):
        done = lab.cli.run("explain", *words, "--stack", "why", typed=typed).must(2)
        assert said in done.err
        assert token not in done.out + done.err


def test_without_a_stack_it_says_so(cli: Cli) -> None:
    assert "There is no stack here" in cli.run("explain", "https://x").must(2).err


# What no emulator produces: on constructed evidence

NOW = 1_800_000_000.0
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{REGION}_Ours"
POOL = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_Ours"
GUARD = Guard("COGNITO_USER_POOLS", authorizer="ours", pools=(POOL,))
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:shop"
# The error types that mark the answers of AWS's gateway itself.
ERRORS = {
    401: "UnauthorizedException",
    403: "AccessDeniedException",
    429: "TooManyRequestsException",
    500: "InternalServerErrorException",
    504: "InternalServerErrorException",
}


def routes(guard: Guard, function: str | None = None, path: str = "/hello") -> Routes:
    return {path: {"GET": Method("GET", path, guard, "AWS_PROXY", function)}}


def a_token(**claims: Any) -> str:
    whole = {
        "iss": ISSUER,
        "token_use": "id",
        "aud": "client1",
        "iat": NOW - 60,
        "exp": NOW + 3600,
        **claims,
    }
    return f"{part({'alg': 'RS256', 'kid': 'k'})}.{part(whole)}.c2lnbmF0dXJl"


def evidence(
    status: int | None = 401,
    message: str = "Unauthorized",
    *,
    guard: Guard = GUARD,
    now: Guard | None = None,
    function: str | None = None,
    **more: Any,
) -> Evidence:
    url = f"https://api1.execute-api.{REGION}.amazonaws.com/dev/hello"
    known = Evidence(
        Address(url, "api1", "dev", "/hello", "amazonaws.com"),
        "GET",
        "Authorization",
        read_token(a_token()),
        ISSUER,
        "client1",
        here=NOW,
        now=NOW,
        api={"id": "api1", "name": "shop"},
        stages=({"stageName": "dev"},),
        stage={"stageName": "dev"},
        live=routes(now or guard, function),
        served=Deployed(routes(guard, function), "d1", datetime.fromtimestamp(NOW - 900, UTC)),
        answer=None if status is None else Got(status, message, ERRORS.get(status, "")),
        signed=True,
        user="present",
    )
    return replace(known, **more)


def test_a_guard_that_was_changed_and_not_deployed() -> None:
    scoped = replace(GUARD, scopes=("shop/read",))
    found = diagnose(evidence(guard=scoped, now=GUARD))
    says(found, "not_deployed", 401, "scopes: deployed shop/read, now none", "id_token", "15 min")
    assert "create-deployment --rest-api-id api1 --stage-name dev" in found.cause.fix
    # It is refused either way: the token is the cause, and the change is mentioned.
    old = read_token(a_token(exp=NOW - 90))
    found = diagnose(evidence(guard=scoped, now=GUARD, token=old))
    says(found, "expired", 401, "expired 1 min 30 s ago", "changed since it was deployed")
    # The authorizer's pool and header.
    other = replace(GUARD, pools=(POOL.replace("Ours", "Other"),))
    says(diagnose(evidence(guard=other, now=GUARD)), "not_deployed", 401, "wrong_pool", "_Other")
    header = replace(GUARD, header="X-Auth")
    says(diagnose(evidence(guard=header, now=GUARD)), "not_deployed", 401, "wrong_header")
    # A method deployed open still lets everyone in, although it has a guard now.
    open_to_all = diagnose(evidence(200, "", guard=Guard(), now=GUARD, token=None))
    says(open_to_all, "none", 200, "type: deployed NONE, now COGNITO_USER_POOLS")
    says(open_to_all, "none", 200, "is open to anyone on the stage dev", "isn't deployed to that")
    assert "Nothing is wrong" not in open_to_all.cause.sentence


def test_an_open_method_is_called_that() -> None:
    found = diagnose(evidence(200, "", guard=Guard(), now=Guard(), token=None))
    says(found, "none", 200, "needs no token", "is open to anyone on the stage dev", "attach --api")
    # A preflight has to be open.
    open_path = {"/hello": {"OPTIONS": Method("OPTIONS", "/hello", Guard(), "MOCK", None)}}
    served = Deployed(open_path, "d1", datetime.fromtimestamp(NOW - 900, UTC))
    preflight = {"token": None, "verb": "OPTIONS", "live": open_path, "served": served}
    says(diagnose(evidence(200, "", **preflight)), "none", 200, "Nothing is wrong")


def test_a_clock_that_is_wrong() -> None:
    early = read_token(a_token(iat=NOW + 300))
    says(diagnose(evidence(token=early)), "not_valid_yet", 401, "in 5 min", "clock")
    says(diagnose(evidence(token=read_token(a_token(nbf=NOW + 86400)))), "not_valid_yet", 401)
    # By the server's clock, regardless of this machine's.
    found = diagnose(evidence(token=read_token(a_token(exp=NOW - 1)), here=NOW - 7200))
    says(found, "expired", 401, "differs from the server's by 2 h")


def test_the_authorizers_token_validation() -> None:
    guard = replace(GUARD, audience="client2|client3")
    says(diagnose(evidence(guard=guard)), "wrong_audience", 401, "client1", "client2|client3")
    assert diagnose(evidence(guard=guard)).notes == ()


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "client[23]",
        "^client2|client3$",
        "client2.*",
        # A pattern that would take Python's re forever.
        "^(client|c|l|i|e|n|t|1|client1)+(client|client1)*(x+x+)+$",
        "(([a-z]+)*[0-9]*)*!",
        "(a" * 5000,
    ],
)
def test_a_regular_expression_of_an_api_owner_is_not_run(pattern: str) -> None:
    token = read_token(a_token(aud="client1" * 200))
    found = diagnose(evidence(guard=replace(GUARD, audience=pattern), token=token))
    says(found, "unexplained", 401)
    assert [note for note in found.notes if note.startswith("Not checked: ") and pattern in note]
    passed = diagnose(evidence(200, "", guard=replace(GUARD, audience=pattern), token=token))
    assert not [note for note in passed.notes if note.startswith("Not checked")]
    assert not [note for note in (*found.notes, *passed.notes) if "doesn't check that" in note]


@given(
    st.sampled_from(["", "^"]),
    st.lists(st.sampled_from(["a", "ab", "client_1", "x-y"]), min_size=1, max_size=3),
    st.sampled_from(["", "(", "(?:"]),
    st.sampled_from(["", "$"]),
    st.sampled_from(["", "a", "ab", "cab", "abc", "client_1", "x-y", "x"]),
)
def test_a_list_of_app_clients_means_what_it_means_as_a_regular_expression(
    start: str, names: list[str], group: str, end: str, audience: str
) -> None:
    pattern = f"{start}{group}{'|'.join(names)}{')' if group else ''}{end}"
    matches = audience_matches(pattern, audience)
    assert matches in {None, bool(re.search(pattern, audience))}
    assert (matches is None) == (bool(start or end) and bool(names[1:]) and not group)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_on_aws_an_answer_without_the_gateways_mark_is_not_the_gateways(status: int) -> None:
    """Whatever the token or the function's permission, the call reached the function."""
    wrong = read_token(f"Bearer {a_token(exp=1)}")
    seen = evidence(function=FUNCTION, answer=Got(status, "no"), token=wrong, permitted=False)
    says(diagnose(seen), "integration_answered", status, "the function shop", "/aws/lambda/shop")
    # It isn't the answer of a new deployment, either.
    served = Deployed(routes(GUARD), "d2", datetime.fromtimestamp(NOW - 5, UTC))
    found = diagnose(evidence(answer=Got(status, "no"), served=served))
    says(found, "integration_answered", status, "the method's backend")


def test_an_api_key_is_the_cause_only_where_nothing_else_is() -> None:
    guard = replace(GUARD, api_key=True)
    own_words = "explain sends none, so if your client sends one"
    refused = Got(403, "Forbidden", "ForbiddenException")
    says(diagnose(evidence(guard=guard, answer=refused)), "api_key", 403, own_words)
    says(diagnose(evidence(None, guard=guard)), "api_key", None, own_words)
    old = read_token(a_token(exp=1))
    says(diagnose(evidence(guard=guard, token=old)), "expired", 401)
    says(diagnose(evidence(None, guard=guard, token=old)), "expired", None)
    unpermitted = evidence(None, guard=guard, function=FUNCTION, permitted=False)
    says(diagnose(unpermitted), "lambda_permission", None)
    says(diagnose(evidence(guard=guard, answer=Got(403, "Forbidden"))), "integration_answered", 403)


def test_of_a_call_that_was_not_made_a_doubt_is_no_cause() -> None:
    token = read_token(f"Bearer {a_token()}")
    says(diagnose(evidence(None, token=token)), "not_sent", None, "without 'Bearer '")
    says(diagnose(evidence(None, user="deleted")), "not_sent", None, "The gateway doesn't know")
    guard = Guard("CUSTOM", authorizer="mine", api_key=True)
    says(diagnose(evidence(None, guard=guard)), "api_key", None, "A Lambda authorizer (mine)")


def test_behind_the_guard_a_user_that_is_gone_is_why() -> None:
    seen = evidence(answer=Got(403, "no"), user="deleted")
    says(diagnose(seen), "user_deleted", 403, "The gateway doesn't know")
    # The gateway itself doesn't check that.
    says(diagnose(evidence(user="deleted")), "unexplained", 401)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("MissingAuthenticationTokenException", "The token is not the cause"),
        ("ForbiddenException", "AWS WAF"),
    ],
)
def test_a_403_that_is_not_about_the_token(error: str, words: str) -> None:
    seen = evidence(answer=Got(403, "no", error), token=read_token(f"Bearer {a_token(exp=1)}"))
    says(diagnose(seen), "unexplained", 403, words)
    signed = replace(seen, served=Deployed(routes(Guard("AWS_IAM")), "d1", None))
    code = "unexplained" if error == "ForbiddenException" else "iam_authorization"
    says(diagnose(signed), code, 403)


def test_too_many_calls_by_the_gateways_own_word() -> None:
    says(diagnose(evidence(429, "Too Many Requests")), "throttled", 429, "too many calls")
    quota = Got(429, "Limit Exceeded", "LimitExceededException")
    says(diagnose(evidence(answer=quota)), "throttled", 429, "quota")


def test_a_function_that_timed_out_on_aws() -> None:
    seen = evidence(504, "Endpoint request timed out", function=FUNCTION, permitted=True)
    says(diagnose(seen), "function_failed", 504, "29 s")


def test_a_lambda_authorizer_that_fails() -> None:
    answer = Got(500, "null", "AuthorizerConfigurationException")
    found = diagnose(evidence(guard=Guard("CUSTOM", authorizer="mine"), answer=answer))
    says(found, "authorizer_broken", 500, "The Lambda authorizer mine failed", "log")
    assert "user pool" not in found.cause.sentence
    says(diagnose(evidence(answer=answer)), "authorizer_broken", 500, "user pool")


def test_only_a_500_tells_of_a_lambda_permission() -> None:
    unpermitted = {"function": FUNCTION, "permitted": False}
    says(diagnose(evidence(500, "", **unpermitted)), "lambda_permission", 500)
    says(diagnose(evidence(None, **unpermitted)), "lambda_permission", None)
    says(diagnose(evidence(504, "", **unpermitted)), "function_failed", 504)
    found = diagnose(evidence(200, "", **unpermitted))
    says(found, "none", 200)
    assert found.notes == ()


class OurPool:
    """A context that only knows where its pool's keys are."""

    jwks_url = f"{ISSUER}/.well-known/jwks.json"
    aws = SimpleNamespace(ca_bundle=None, allow_http=False)


def test_the_keys_of_a_pool_that_the_authorizer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    asked = []

    def keys(_: Any, verb: str, url: str) -> Any:
        asked.append(f"{verb} {url}")
        document = {"keys": [{**public, "kid": "k"}]}
        return SimpleNamespace(content=json.dumps(document).encode(), status_code=200)

    monkeypatch.setattr(tokens, "request", keys)
    issuer = ISSUER.replace("_Ours", "_Other")
    guard = replace(GUARD, pools=(POOL.replace("_Ours", "_Other"), f"{POOL}${{stageVariables.p}}"))
    good = jwt.encode({"iss": issuer, "exp": NOW + 60}, key, "RS256", headers={"kid": "k"})

    def seen(token: str, **more: Any) -> Evidence:
        known = evidence(signed=None, guard=guard, token=read_token(token), **more)
        return _with_user(cast("Any", OurPool), known)

    found = seen(good)
    assert asked == [f"GET {issuer}/.well-known/jwks.json"]
    assert found.signed is True
    assert diagnose(found).facts["signature"] == "made by the pool that it names"
    found = seen(changed(good, sub="root"))
    assert found.signed is False
    says(diagnose(found), "bad_signature", 401)
    del asked[:]
    # An issuer that only the token names, and an emulator's pool.
    assert seen(a_token(iss="https://evil.example/x")).signed is None
    assert seen(a_token(iss=f"{ISSUER}${{stageVariables.p}}")).signed is None
    assert seen(good, endpoint="http://127.0.0.1:1").signed is None
    assert asked == []


class NoPolicy:
    """A context whose Lambda refuses GetPolicy."""

    def __init__(self, message: str) -> None:
        self.aws = self.lambda_ = self
        self.message = message

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{REGION}:123456789012:{resource}"

    def get_policy(self, FunctionName: str) -> Any:  # noqa: N803 boto3's name
        assert FunctionName == f"{FUNCTION}-v2"
        error = {"Code": "ResourceNotFoundException", "Message": self.message}
        raise ClientError({"Error": error}, "GetPolicy")


@pytest.mark.parametrize(
    ("message", "permitted", "gone"),
    [
        ("The resource you requested does not exist.", False, False),
        (f"Function not found: {FUNCTION}", False, True),
        ("Functions from 'us-east-1' are not reachable in this region", None, False),
    ],
)
def test_what_get_policy_says(message: str, permitted: bool | None, gone: bool) -> None:  # noqa: FBT001
    name, path = f"{FUNCTION}-${{stageVariables.version}}", "/orders/{id}/{rest+}"
    method = Method("ANY", path, Guard(), "AWS_PROXY", name)
    seen = evidence(
        500,
        "Internal server error",
        served=Deployed({path: {"ANY": method}}, "d1", None),
        address=replace(evidence().address, path="/orders/7/a/b"),
        stage={"stageName": "dev", "variables": {"version": "v2"}},
    )
    seen = _with_function(cast("Any", NoPolicy(message)), seen)
    assert (seen.permitted, seen.function_gone) == (permitted, gone)
    assert bool(seen.unknown) == (permitted is None)
    arn = f"'arn:aws:execute-api:{REGION}:123456789012:api1/*/*/orders/*/*'"
    if permitted is False and not gone:
        says(diagnose(seen), "lambda_permission", 500, "the function shop-v2 for", arn)


def test_a_private_api_that_is_not_reached() -> None:
    nowhere = Address("http://127.0.0.1:1/dev/hello", "api1", "dev", "/hello", "amazonaws.com")
    seen = evidence(None, address=nowhere)
    with pytest.raises(LoginError):
        _with_answer(cast("Any", OurPool), seen)
    private = {**(seen.api or {}), "endpointConfiguration": {"types": ["PRIVATE"]}}
    found = diagnose(_with_answer(cast("Any", OurPool), replace(seen, api=private)))
    says(found, "private_api", None, "only an interface endpoint", "api1-VPCE_ID")


def test_a_url_without_a_stage() -> None:
    address = Address(f"https://api1.execute-api.{REGION}.amazonaws.com", "api1", "", "/", None)
    seen = evidence(403, "Forbidden", address=address, stage=None, served=None)
    says(diagnose(seen), "wrong_stage", 403, "names no stage; the API api1 has: dev", "/dev/…")


def test_a_resource_policy() -> None:
    said = "User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:…"
    says(diagnose(evidence(403, said)), "resource_policy", 403, "Resource policy")


def test_where_the_url_leads_is_no_cause_of_an_answer_from_there() -> None:
    off = {"name": "shop", "disableExecuteApiEndpoint": True}
    lost = Deployed(routes(GUARD, path="/other"), "d1", None)
    post = Deployed({"/hello": {"POST": routes(GUARD)["/hello"]["GET"]}}, "d1", None)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("endpoint_disabled", {"api": off}),
        ("wrong_stage", {"stage": None, "served": None}),
        ("wrong_path", {"served": lost, "live": {}}),
        ("wrong_method", {"served": post, "live": {}}),
    ]
    for code, more in cases:
        says(diagnose(evidence(403, "Forbidden", **more)), code, 403)
        says(diagnose(evidence(None, verb="GET", **more)), code, None)
        says(diagnose(evidence(200, "", **more)), "none", 200)
        assert not diagnose(evidence(200, "", **more)).notes
        assert diagnose(evidence(429, "Too Many Requests", **more)).cause.code == "throttled"
        behind = evidence(answer=Got(404, "no such order"), **more)
        assert diagnose(behind).cause.code == "integration_answered"


def test_an_endpoint_that_is_turned_off() -> None:
    off = {"name": "shop", "disableExecuteApiEndpoint": True}
    says(diagnose(evidence(403, "Forbidden", api=off)), "endpoint_disabled", 403, "custom domain")


def test_a_deployment_of_a_moment_ago() -> None:
    served = Deployed(routes(GUARD), "d2", datetime.fromtimestamp(NOW - 5, UTC))
    found = diagnose(evidence(500, "Internal server error", served=served))
    says(found, "just_deployed", 500, "5 s ago", "Wait a moment")


def test_a_pool_behind_a_stage_variable_is_not_judged() -> None:
    guard = replace(
        GUARD, pools=(f"arn:aws:cognito-idp:{REGION}:1:userpool/${{stageVariables.p}}",)
    )
    says(diagnose(evidence(guard=guard)), "unexplained", 401)


def test_a_lambda_authorizer_is_left_to_its_own_log() -> None:
    guard = Guard("CUSTOM", authorizer="mine")
    says(diagnose(evidence(guard=guard)), "custom_authorizer", 401, "mine", "log")
    says(diagnose(evidence(200, "", guard=guard)), "none", 200)


def test_a_crash_that_lambda_hands_over_as_a_success() -> None:
    name = f"arn:aws:lambda:{REGION}:1:function:shop"
    answer = Got(200, "division by zero", failed=True)
    found = diagnose(evidence(function=name, answer=answer, permitted=True))
    says(found, "function_failed", 200, "/aws/lambda/shop")


def test_on_aws_what_went_through_is_not_wrong() -> None:
    """That holds whatever cogauth expected; its doubt is mentioned."""
    access = read_token(a_token(token_use="access"))
    says(diagnose(evidence(200, "", token=access)), "none", 200, "takes ID tokens")


def test_where_something_could_not_be_looked_at_it_says_so() -> None:
    found = diagnose(evidence(unknown=("the user: AccessDeniedException",), user=None))
    says(found, "unexplained", 401, "Unknown: the user: AccessDeniedException", "AWS WAF")


def test_every_cause_has_a_check_and_every_check_a_description() -> None:
    for check in (*CHECKS, *TOKEN_CHECKS, *JWT_CHECKS):
        assert check.__doc__


def test_what_a_token_or_an_answer_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "\x1b]0;x\x07\nCause (none):"
    token = read_token(a_token(iss=forged, scope=forged, exp=1))
    for guard in (GUARD, replace(GUARD, pools=(), scopes=("a",))):
        found = diagnose(
            evidence(
                guard=guard, token=token, answer=Got(401, forged, ERRORS[401]), unknown=(forged,)
            )
        )
        _show("https://x", "GET", found)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    causes = [line for line in shown.splitlines() if line.startswith("Cause")]
    assert causes == ["Cause (wrong_pool):", "Cause (expired):"]
    assert shown.count(r"\x1b]0;x\x07\nCause (none):") > 4


# Authorizers of type JWT

JWT_GUARD = Guard(
    "JWT",
    scopes=("shop/read",),
    authorizer="theirs",
    issuers=(Issuer(ISSUER, ("client1", "client2")), Issuer("https://id.example", ("shop",))),
)


@pytest.mark.parametrize(
    ("claims", "status", "code", "words"),
    [
        # There, a missing scope is 403, and everything else 401.
        ({}, 403, "scope_missing", "has none. Access tokens of POST /signin have only aws.cog"),
        ({"scope": "shop/write"}, 403, "scope_missing", "answers that with 403"),
        ({"scope": "shop/write"}, None, "scope_missing", "shop/write"),
        ({"scope": "shop/write"}, 401, "unexplained", "an algorithm or a claim"),
        ({"exp": 1}, 401, "expired", "ago"),
        ({"exp": 1, "scope": "shop/read"}, 403, "unexplained", "AWS WAF"),
        (
            {"iss": "https://id.example/"},
            401,
            "wrong_issuer",
            f"trusts only exactly {ISSUER}, https://id.",
        ),
        ({"iss": "https://id.example"}, 401, "wrong_audience", "(aud) is client1"),
        ({"iss": "https://id.example", "aud": ["x", "shop"]}, 401, "unexplained", "algorithm"),
        (
            {"aud": None, "client_id": "other"},
            401,
            "wrong_audience",
            "access tokens have an aud only on request",
        ),
        # It isn't documented whether client_id can replace it.
        ({"aud": None, "client_id": "client1"}, 401, "wrong_audience", "(aud) is not named"),
        (
            {"aud": None, "client_id": "client1", "scope": "shop/read"},
            None,
            "not_sent",
            "an aud only",
        ),
        # It accepts both kinds of token, and both names of the claim.
        ({"token_use": "access", "scp": ["a", "shop/read"]}, None, "not_sent", "was not made"),
        ({"token_use": "id", "scope": "shop/read"}, 200, "none", "answered 200"),
    ],
)
def test_what_a_jwt_authorizer_refuses(
    claims: dict[str, Any], status: int | None, code: str, words: str
) -> None:
    token = read_token(a_token(**claims))
    found = diagnose(evidence(status, "Forbidden", guard=JWT_GUARD, token=token))
    says(found, code, status, words)
    assert found.facts["issuers"] == f"{ISSUER}, https://id.example"
    assert found.facts["authorization"] == "JWT"


@pytest.mark.parametrize("error", ["ForbiddenException", "AccessDeniedException"])
def test_a_403_of_a_jwt_authorizer_by_either_name(error: str) -> None:
    answer = Got(403, "Forbidden", error)
    says(diagnose(evidence(guard=JWT_GUARD, answer=answer)), "scope_missing", 403)


def test_a_jwt_authorizer_that_can_t_be_used() -> None:
    answer = Got(500, "null", "AuthorizerConfigurationException")
    found = diagnose(evidence(guard=JWT_GUARD, answer=answer))
    says(found, "authorizer_broken", 500, "issuer's keys")


def test_issuers_that_an_older_botocore_leaves_out_are_no_change() -> None:
    deployed = replace(JWT_GUARD, scopes=())
    now = replace(deployed, issuers=None)
    assert diagnose(evidence(200, "", guard=deployed, now=now)).notes == ()
    now = replace(deployed, issuers=(Issuer(ISSUER),))
    (note,) = diagnose(evidence(200, "", guard=deployed, now=now)).notes
    assert note.endswith(f"issuers: deployed {ISSUER}, https://id.example, now {ISSUER}.")


# The newer form of a pool's issuer

UPDATED = ISSUER.replace("https://", "https://issuer-")


def test_a_token_of_the_updated_issuer() -> None:
    token = read_token(a_token(iss=UPDATED))
    found = diagnose(evidence(token=token, issuer_type="UPDATED"))
    says(found, "updated_issuer", 401, UPDATED, "back to ORIGINAL", "resets missing ones")
    assert found.facts["signature"] == "made by the stack's pool"
    # With a botocore that doesn't know the setting.
    says(diagnose(evidence(token=token)), "updated_issuer", 401, "type JWT")
    again = diagnose(evidence(token=token, issuer_type="ORIGINAL"))
    says(again, "updated_issuer", 401, "is ORIGINAL again", "Sign in again", "test-login")
    # From another pool.
    other = read_token(a_token(iss=UPDATED.replace("_Ours", "_Other")))
    says(diagnose(evidence(token=other)), "wrong_pool", 401, "issuer-cognito-idp")
    theirs = replace(GUARD, pools=(POOL.replace("_Ours", "_Other"),))
    says(diagnose(evidence(token=other, guard=theirs)), "updated_issuer", 401)
    # An authorizer of type JWT accepts the issuer if it trusts it.
    trusting = replace(JWT_GUARD, scopes=(), issuers=(Issuer(UPDATED, ("client1",)),))
    says(diagnose(evidence(200, "", token=token, guard=trusting)), "none", 200)
    strict = replace(trusting, issuers=(Issuer(ISSUER, ("client1",)),))
    says(diagnose(evidence(token=token, guard=strict)), "wrong_issuer", 401, UPDATED)


def test_a_pool_that_was_set_to_the_updated_issuer_is_worth_a_word() -> None:
    found = diagnose(evidence(200, "", issuer_type="UPDATED"))
    says(found, "none", 200, "IssuerConfiguration UPDATED")
    assert diagnose(evidence(200, "", issuer_type="ORIGINAL")).notes == ()


@pytest.mark.local
def test_the_pools_issuer_is_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local AWS's botocore doesn't know the setting, so AWS's answer is substituted."""
    ctx = lab.context()
    ctx.aws.make_clients("cognito")
    address = parse_url(ctx.state, lab.address("/hello"))
    live: dict[str, Any] = {"UserPool": {"IssuerConfiguration": {"Type": "UPDATED"}}}
    monkeypatch.setattr(ctx.aws.cognito, "describe_user_pool", lambda **_: live, raising=False)
    seen = gather(ctx, address, "GET", lab.tokens["id_token"], "Authorization")
    assert seen.issuer_type == "UPDATED"
    live["UserPool"] = {}
    assert gather(ctx, address, "GET", None, "Authorization").issuer_type is None

    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeUserPool")

    monkeypatch.setattr(ctx.aws.cognito, "describe_user_pool", denied, raising=False)
    seen = gather(ctx, address, "GET", None, "Authorization")
    assert "the user pool: AccessDeniedException" in seen.unknown[0]


# Texts that aren't tokens, and texts around a token

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-central-1/execute-api/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef"
)


@pytest.mark.local
def test_an_aws_signature(lab: Lab) -> None:
    found = lab.explain("/hello", SIGNATURE)
    assert found.answer is not None
    says(found, "aws_signature", found.answer.status, "SigV4", "header Authorization")
    assert found.answer.status in {401, 403}
    done = lab.cli.run(
        *("explain", lab.address("/hello"), "--token-stdin", "--stack", "why", "--json"),
        typed=f"Authorization: {SIGNATURE}\n",
    ).must()
    assert done.document["cause"] == "aws_signature"
    for secret in ("AKIDEXAMPLE", "0123456789abcdef"):
        assert secret not in done.out + done.err + repr(found)


def test_an_aws_signature_where_one_is_asked_for() -> None:
    seen = evidence(403, "no", guard=Guard("AWS_IAM"), token=read_token(SIGNATURE))
    says(diagnose(seen), "iam_authorization", 403, "valid for a single request")
    says(diagnose(evidence(guard=JWT_GUARD, token=read_token(SIGNATURE))), "aws_signature", 401)


def test_what_the_gateway_repeats_of_a_signature_is_not_shown() -> None:
    def repeat(request: Any) -> Answer:
        sent = request.headers["Authorization"]
        parts = sent.replace(",", "").split()
        return Answer(403, json.dumps({"message": f"{sent} and {parts[1]} and {parts[-1]}"}))

    with Fixed(repeat) as gateway:
        address = replace(evidence().address, url=gateway.url)
        seen = _with_answer(
            cast("Any", OurPool), evidence(None, address=address, token=read_token(SIGNATURE))
        )
    assert seen.answer is not None
    assert "AKIDEXAMPLE" not in seen.answer.message
    assert "0123456789abcdef" not in seen.answer.message


@pytest.mark.local
@pytest.mark.parametrize("around", ['"{}"', "'{}'", '"Bearer {}"', 'Bearer "{}"', '{}"', "“{}”"])
def test_quotes_around_a_token(lab: Lab, around: str) -> None:
    text = around.format(lab.tokens["id_token"])
    # Text that no header can carry isn't sent.
    says(lab.explain("/hello", text), "quoted", 401 if text.isascii() else None, "quotes around it")
    words = ("explain", lab.address("/hello"), "--token-stdin", "--stack", "why", "--json")
    document = lab.cli.run(*words, typed=f"{text}\n").must().document
    assert document["cause"] == "quoted"


@pytest.mark.parametrize("text", ['"hello"', '"', "''", '"a.b.c"'])
def test_quotes_around_what_is_no_token_either(text: str) -> None:
    says(diagnose(evidence(token=read_token(text))), "not_a_jwt", 401)


@given(
    st.one_of(st.none(), st.text(), st.builds(a_token, exp=st.floats(), iss=st.text())),
    st.sampled_from([200, 302, 400, 401, 403, 404, 429, 500, 504, None]),
    st.sampled_from(
        [GUARD, Guard(), Guard("AWS_IAM"), replace(GUARD, scopes=("a", "b")), JWT_GUARD]
    ),
    st.booleans(),
)
def test_whatever_is_found_there_is_one_cause_and_no_token(
    text: str | None,
    status: int | None,
    guard: Guard,
    emulated: bool,  # noqa: FBT001
) -> None:
    token = None if text is None else read_token(text)
    found = diagnose(evidence(status, guard=guard, token=token, emulated=emulated))
    shown = f"{found.cause} {found.notes} {found.facts}"
    assert found.cause.sentence
    if text is not None and len(text) > 30:
        assert text not in shown
    json.dumps(found.facts)


@given(
    st.one_of(
        st.text("ab.-_é=+", min_size=1),
        st.builds(a_token, exp=st.floats()),
        st.sampled_from([f"{a_token()}=", f"{a_token()}é", "a.b.c.d.e"]),
    )
)
def test_explain_and_decode_read_a_token_alike(text: str) -> None:
    flaw, encrypted = False, False
    try:
        tokens.read(text)
    except UsageError as error:
        flaw, encrypted = True, "is encrypted" in str(error)
    found = read_token(text)
    assert (found.flaw is not None, found.kind == "refresh_token") == (flaw, encrypted)


@given(st.text())
def test_anything_can_be_read_as_a_token(text: str) -> None:
    token = read_token(text)
    assert token.flaw or token.header is not None
    assert text not in repr(token) or len(text) < 20 or text in repr(read_token(""))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_a_time_that_the_calendar_has_nowhere_is_a_number(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for moment in (253402300799.0, -62135596800.0, 1e300, -1e18):
            assert re.fullmatch(r"\d{1,4}-\d\d-\d\d [\d:]+ \S+|-?\d+", local_time(moment))
            assert re.fullmatch(r"\d{1,4}-\d\d-\d\dT[\d:]+\+00:00|-?\d+", utc_time(moment))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (7500, "2 h 5 min"),
        (86400, "1 day"),
        (200_000, "2 days 7 h"),
        (-5, "0 s"),
    ],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert length(seconds) == words


# URLs


def on_aws(tmp_path: Path, endpoint: str | None = None) -> State:
    return State(tmp_path / "s.json", "shop", "123456789012", REGION, endpoint, Settings())


def test_urls_of_aws(tmp_path: Path) -> None:
    state, host = on_aws(tmp_path), f"abc123.execute-api.{REGION}.amazonaws.com"
    for url, stage, path in (
        (f"https://{host}/dev/hello", "dev", "/hello"),
        (f"https://{host}/dev", "dev", "/"),
        (f"https://{host}", "", "/"),
        (f"https://{host}:443/dev/pets/a%20b?x=1#part", "dev", "/pets/a b"),
        (f"https://abc123-vpce-0a1b.execute-api.{REGION}.amazonaws.com/dev/x", "dev", "/x"),
    ):
        address = parse_url(state, url)
        assert (address.api, address.stage, address.path) == ("abc123", stage, path)
        assert "#" not in address.url
    for url in (
        f"http://{host}/dev/hello",
        f"https://user:secret@{host}/dev",
        f"https://{host}:8443/dev",
        f"https://{host}:x/dev",
        "https://api.example.com/hello",
        f"https://{host}.example.com:1/dev",
        f"https://abc123.lambda-url.{REGION}.on.aws/",
        "hello",
        "",
        "https://[",
    ):
        with pytest.raises(UsageError, match="custom domain"):
            parse_url(state, url)
    with pytest.raises(UsageError, match="in the region us-east-1"):
        parse_url(state, "https://abc123.execute-api.us-east-1.amazonaws.com/dev/hello")


def test_a_slash_that_is_encoded_parts_nothing(tmp_path: Path) -> None:
    url = f"https://a.execute-api.{REGION}.amazonaws.com/dev/orders/a%2Fb"
    address = parse_url(on_aws(tmp_path), url)
    assert routing.route({"/orders/{id}": {"GET": 1}}, "GET", address.path)[1] == 1
    assert routing.route({"/orders/a/b": {"GET": 1}}, "GET", address.path)[0] is None


@pytest.mark.parametrize(
    "path", ["dev/./x", "dev/../x", "dev/x/..", "dev/%2e%2E/x", "dev//x", "/dev/x", "dev/x//"]
)
def test_a_path_that_clients_change_before_they_send_it(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="Clients change such paths"):
        parse_url(on_aws(tmp_path), f"https://a.execute-api.{REGION}.amazonaws.com/{path}")
    home = "http://127.0.0.1:4566"
    with pytest.raises(UsageError):
        parse_url(on_aws(tmp_path, home), f"{home}/restapis/a1/dev/_user_request_/{path[3:]}/../x")


def test_a_token_goes_to_awss_own_hosts_alone(tmp_path: Path, no_credentials: Any) -> None:
    del no_credentials
    aws = Aws(region=REGION)
    aws.identity = ("123456789012", "aws")
    state = on_aws(tmp_path)
    for suffix in ("amazonaws.com", "api.aws"):
        check_suffix(parse_url(state, f"https://a.execute-api.{REGION}.{suffix}/dev"), aws)
    for suffix in ("evil.com", "amazonaws.com.evil.com", "amazonaws.com.cn"):
        with pytest.raises(UsageError, match="not AWS's own"):
            check_suffix(parse_url(state, f"https://a.execute-api.{REGION}.{suffix}/dev"), aws)


def test_urls_of_a_local_aws(tmp_path: Path) -> None:
    state = on_aws(tmp_path, "http://127.0.0.1:4566")
    address = parse_url(state, "http://127.0.0.1:4566/restapis/a1/dev/_user_request_/pets/7?x=1")
    assert (address.api, address.stage, address.path) == ("a1", "dev", "/pets/7")
    for url in (
        "http://127.0.0.1:4567/restapis/a1/dev/_user_request_/pets",
        "https://127.0.0.1:4566/restapis/a1/dev/_user_request_/pets",
        "http://127.0.0.1:4566/restapis/a1/dev/pets",
        f"https://a1.execute-api.{REGION}.amazonaws.com/dev",
    ):
        with pytest.raises(UsageError, match="this stack's endpoint"):
            parse_url(state, url)


# Who may call a function

ARN = f"arn:aws:execute-api:{REGION}:123456789012:api1/dev/GET/pets"


@pytest.mark.parametrize(
    ("change", "permits"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Action": "lambda:*"}, True),
        ({"Action": ["lambda:GetFunction"]}, False),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": ARN.replace("dev/GET", "*/GET")}}}, True),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": ARN.replace("dev/GET", "*/POST")}}}, False),
        ({"Condition": {"ArnLike": {"aws:sourceArn": [f"{ARN}/x", f"{ARN[:-4]}*"]}}}, True),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}}}, True),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": "210987654321"}}}, False),
    ],
)
def test_statements_of_a_functions_policy(change: dict[str, Any], permits: bool) -> None:  # noqa: FBT001
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
    }
    assert _permits({**statement, **change}, ARN) is permits
