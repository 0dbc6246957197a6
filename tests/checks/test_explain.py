"""Each cause of a refusal that the local AWS can produce, on a real refusal, and the command.

explain/ has the others, on constructed evidence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cogauth.checks import explain as explaining
from cogauth.checks.explain import Diagnosis, diagnose
from cogauth.checks.explain.address import parse_url
from cogauth.checks.explain.causes import CHECKS
from cogauth.checks.explain.evidence import Answer as Got
from cogauth.checks.explain.evidence import Evidence, read_token
from cogauth.checks.explain.gather import _with_answer, gather
from cogauth.checks.explain.token_causes import JWT_CHECKS, TOKEN_CHECKS
from cogauth.cli.explain import _show
from cogauth.gateway.deployed import Deployed
from cogauth.gateway.rest_apis import Guard, Issuer, Route
from support.commands import Cli, command_line, until
from support.evidence import (
    ERRORS,
    GUARD,
    ISSUER,
    JWT_GUARD,
    NOW,
    SIGNATURE,
    a_token,
    evidence,
    says,
)
from support.functions import zipped
from support.local_aws import client
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.servers import Answer, Fixed
from support.tokens import segment, with_claims

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    functions = lab.client("lambda")
    made = functions.create_function(
        FunctionName="why-answers",
        Runtime="python3.14",
        Handler="answers.handler",
        Role=lab.up["role_arn"],
        Code={"ZipFile": zipped(CODE, "answers.py")},
    )
    assert until(
        lambda: (
            functions.get_function(FunctionName="why-answers")["Configuration"]["State"] == "Active"
        )
    )
    return str(made["FunctionArn"])


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
        (f"{segment({'alg': 'RS256'})}.garbage.x", "its payload can't be decoded"),
        (f"{segment([1])}.{segment({})}.x", "its header can't be decoded"),
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
    made = ".".join([segment({"enc": "A256GCM", "alg": "RSA-OAEP"}), "a", "b", "c", "d"])
    says(lab.explain("/hello", made), "refresh_token", 401, "only Cognito can read")


@pytest.mark.local
def test_wrong_pool(lab: Lab) -> None:
    found = lab.explain("/elsewhere", lab.tokens["id_token"])
    says(found, "wrong_pool", 401, f"{lab.up['user_pool_id']} (this stack's own)", "attach --api")
    assert f"accepts those of {lab.other_pool}" in found.cause.sentence


@pytest.mark.local
def test_a_foreign_token_is_named_by_its_own_word_and_its_keys_are_not_fetched(lab: Lab) -> None:
    with Fixed(lambda _: Answer(200, "{}")) as elsewhere:
        token = with_claims(lab.tokens["id_token"], iss=f"{elsewhere.url}/{lab.up['user_pool_id']}")
        found = lab.explain("/hello", token)
        says(found, "wrong_pool", 401, elsewhere.url, "test-login --username NAME --stack why")
        assert found.facts["signature"] == "not checked: the token is of another pool"
        assert elsewhere.requests == []


@pytest.mark.local
def test_tampered(lab: Lab) -> None:
    found = lab.explain("/hello", with_claims(lab.tokens["id_token"], sub="root"))
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
    token = with_claims(lab.tokens["id_token"], exp=1)
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


# Whatever the cause: on constructed evidence


def test_an_open_method_is_called_that() -> None:
    found = diagnose(evidence(200, "", guard=Guard(), now=Guard(), token=None))
    says(found, "none", 200, "needs no token", "is open to anyone on the stage dev", "attach --api")
    # A preflight has to be open.
    open_path = {"/hello": {"OPTIONS": Route("OPTIONS", "/hello", Guard(), "MOCK", None)}}
    served = Deployed(open_path, "d1", datetime.fromtimestamp(NOW - 900, UTC))
    preflight = {"token": None, "verb": "OPTIONS", "live": open_path, "served": served}
    says(diagnose(evidence(200, "", **preflight)), "none", 200, "Nothing is wrong")


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


def test_issuers_that_an_older_botocore_leaves_out_are_no_change() -> None:
    deployed = replace(JWT_GUARD, scopes=())
    now = replace(deployed, issuers=None)
    assert diagnose(evidence(200, "", guard=deployed, now=now)).notes == ()
    now = replace(deployed, issuers=(Issuer(ISSUER),))
    (note,) = diagnose(evidence(200, "", guard=deployed, now=now)).notes
    assert note.endswith(f"issuers: deployed {ISSUER}, https://id.example, now {ISSUER}.")


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


@pytest.mark.local
@pytest.mark.parametrize("around", ['"{}"', "'{}'", '"Bearer {}"', 'Bearer "{}"', '{}"', "“{}”"])
def test_quotes_around_a_token(lab: Lab, around: str) -> None:
    text = around.format(lab.tokens["id_token"])
    # Text that no header can carry isn't sent.
    says(lab.explain("/hello", text), "quoted", 401 if text.isascii() else None, "quotes around it")
    words = ("explain", lab.address("/hello"), "--token-stdin", "--stack", "why", "--json")
    document = lab.cli.run(*words, typed=f"{text}\n").must().document
    assert document["cause"] == "quoted"


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
