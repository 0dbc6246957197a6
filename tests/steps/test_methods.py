"""The methods as AWS has them, and what their templates make of the function's answer."""

import json
import re
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.steps.methods import (
    FUNCTION_FAILED,
    STATUS_BY_CODE,
    SignInIntegration,
    response_template,
)
from support.built import Built
from support.handlers import VARIABLES, load_sign_in
from support.stacks import SIGN_IN
from support.templates import render

BODY_KEYS = {"status", "msg", "code"}
CRASHES: list[Any] = [
    {
        "errorMessage": "'NoneType' object has no attribute 'split'",
        "errorType": "AttributeError",
        "requestId": "1b7c7f3c-51c6-4b0c-8a39-d9cb3f1ce7d3",
        "stackTrace": ['  File "/var/task/sign_in.py", line 270, in handler\n'],
    },
    {"errorMessage": "2026-11-22T10:00:00.000Z 1b7c7f3c Task timed out after 10.00 seconds"},
    {"status": "fail", "code": "a_code_that_nobody_knows", "msg": "arn:aws:iam::1:role/x"},
    {"status": "fail", "msg": "no code"},
    {"message": "Internal Server Error"},
    {},
    None,
    "text",
    [],
]


def answer(body: Any, template: str | None = None) -> tuple[int, Any]:
    """Return the HTTP status and the body that a client gets for the function's answer."""
    rendered = render(template or response_template(), body)
    return rendered.status or 200, json.loads(rendered.text)


@pytest.fixture(scope="module")
def sign_in() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        module: ModuleType = load_sign_in()
    return module


def test_every_code_of_the_function_has_a_status_and_no_other(sign_in: ModuleType) -> None:
    assert set(STATUS_BY_CODE) == set(sign_in.MESSAGES)
    assert set(STATUS_BY_CODE.values()) == {400, 401, 403, 429, 500}


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (
            400,
            ("bad_request invalid_username invalid_password invalid_refresh_token password_policy"),
        ),
        (401, "wrong_credentials refresh_refused"),
        (
            403,
            (
                "user_disabled user_unconfirmed password_reset_required new_password_required "
                "mfa_required challenge_required sign_up_refused not_authorized"
            ),
        ),
        (429, "throttled locked_out"),
        (
            500,
            (
                "trigger_failed trigger_denied client_secret_refused client_secret_unreadable "
                "access_denied timeout unavailable internal_error"
            ),
        ),
    ],
)
def test_each_status_is_for_these_codes(status: int, codes: str) -> None:
    assert {code for code, of in STATUS_BY_CODE.items() if of == status} == set(codes.split())


@pytest.mark.parametrize("code", STATUS_BY_CODE)
def test_a_refusal_has_its_codes_status_and_its_body(code: str, sign_in: ModuleType) -> None:
    body = sign_in.failure(code)
    assert answer(body) == (STATUS_BY_CODE[code], body)


@pytest.mark.parametrize("is_new", ["true", "false"])
def test_a_success_is_a_200_and_passes_as_it_is(is_new: str) -> None:
    body = {
        "status": "success",
        "id_token": "aaa.bbb.ccc",
        "access_token": "ddd",
        "refresh_token": "eee",
        "expires_in": 3600,
        "user_id": "8f3b",
        "is_new": is_new,
    }
    assert answer(body) == (200, body)


@pytest.mark.parametrize("body", CRASHES)
def test_what_is_no_answer_of_the_functions_is_a_500_with_a_fixed_body(body: Any) -> None:
    status, text = answer(body)
    assert status == 500
    assert text == json.loads(FUNCTION_FAILED)


@given(
    st.dictionaries(
        st.sampled_from(["status", "code", "msg", "errorMessage", "stackTrace", "id_token"]),
        st.sampled_from(["success", "fail", "wrong_credentials", "throttled", "x", "", None, 1]),
    )
)
def test_whatever_the_function_answers_a_status_of_the_table_comes_out(body: Any) -> None:
    status, text = answer(body)
    code = body.get("code")
    if code in STATUS_BY_CODE:
        assert (status, text) == (STATUS_BY_CODE[code], body)
    elif body.get("status") == "success":
        assert (status, text) == (200, body)
    else:
        assert (status, text) == (500, json.loads(FUNCTION_FAILED))


def test_the_fixed_body_is_one_of_the_contract() -> None:
    body = json.loads(FUNCTION_FAILED)
    assert set(body) == BODY_KEYS
    assert body["status"] == "fail"
    assert STATUS_BY_CODE[body["code"]] == 500
    # The template is output unchanged: it contains no Velocity syntax.
    assert not set(FUNCTION_FAILED) & set("$#\\")
    assert render(FUNCTION_FAILED).text == FUNCTION_FAILED


PATTERN = SignInIntegration().responses()["500"]["selectionPattern"]


@given(st.text(min_size=1))
def test_the_selection_pattern_matches_every_error_message(message: str) -> None:
    assert re.fullmatch(PATTERN, message)


@pytest.mark.parametrize(
    "message", ["x", "a\nb", "\n", "Task timed out after 10.00 seconds", "a\r\nb\u2028c", " "]
)
def test_the_selection_pattern_matches_messages_of_many_lines(message: str) -> None:
    assert re.fullmatch(PATTERN, message)


def test_the_selection_pattern_leaves_an_answer_without_an_error_message_alone() -> None:
    assert not re.fullmatch(PATTERN, "")


def test_the_template_uses_only_what_api_gateway_documents() -> None:
    """airspeed-ext isn't Velocity: use only what both understand in the same way.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    template = response_template().replace(FUNCTION_FAILED, "")
    directives = set(re.findall(r"#(\w+)", template))
    assert directives == {"set", "if", "elseif", "else", "end"}
    references = set(re.findall(r"\$[A-Za-z][\w.]*", template))
    assert references == {"$code", "$input.path", "$input.json", "$context.responseOverride.status"}
    assert set(re.findall(r"\$input\.\w+\('([^']*)'\)", template)) == {"$", "$.code", "$.status"}
    # There are only these two operators, and strings have single quotes, so nothing is expanded.
    assert set(re.findall(r"[=!<>|&]+", template)) == {"=", "==", "||"}
    assert '"' not in template
    assert template.count("#if") == template.count("#end") == 1
    # Each directive has its own line, so that no text of it reaches the body.
    for line in template.splitlines():
        assert re.fullmatch(r"#(set|if|elseif)\(.*\)|#(else|end)|\$input\.json\('\$'\)|", line)
    # API Gateway accepts templates of up to 300 kB.
    assert len(template) < 5000


DECLARED = {
    f"method.response.header.{name}": False for name in ("Access-Control-Allow-Origin", "Vary")
}
CRASHED = {
    "status": "fail",
    "msg": "The sign-in failed on the server's side. Try again in a moment.",
    "code": "internal_error",
}


def test_what_is_set_of_methods_and_integrations(built: Built) -> None:
    for method in built.methods.values():
        assert method["apiKeyRequired"] is False
        for status, response in method["methodResponses"].items():
            assert response["statusCode"] == status
            assert response["responseParameters"] == DECLARED
    sign_in, hello = (built.methods[name]["methodIntegration"] for name in ("sign_in", "hello"))
    # The body is passed on unchanged, whatever its content type.
    assert sign_in["passthroughBehavior"] == "WHEN_NO_MATCH"
    assert not sign_in.get("requestTemplates")
    # There is no backend that anything could be passed on to.
    assert hello["passthroughBehavior"] == "NEVER"
    assert list(hello["requestTemplates"]) == ["application/json"]
    for integration, templates in (
        (sign_in, {"200": None, "500": CRASHED}),
        (hello, {"200": None}),
    ):
        responses = integration["integrationResponses"]
        assert set(responses) == set(templates)
        for status, body in templates.items():
            assert responses[status]["statusCode"] == status
            # No origin was chosen, so no header names one.
            assert not responses[status].get("responseParameters")
            assert list(responses[status]["responseTemplates"]) == ["application/json"]
            text = responses[status]["responseTemplates"]["application/json"]
            assert body is None or json.loads(text) == body
    assert sign_in["integrationResponses"]["500"]["selectionPattern"] == r"[\s\S]+"


def test_sign_in_method(built: Built) -> None:
    method = built.methods["sign_in"]
    assert method["authorizationType"] == "NONE"
    statuses = ["200", "400", "401", "403", "429", "500"]
    assert sorted(method["methodResponses"]) == statuses
    integration = method["methodIntegration"]
    assert integration["type"] == "AWS"
    assert integration["httpMethod"] == "POST"
    function = built.arn("lambda", f"function:{SIGN_IN}")
    assert integration["uri"] == (
        f"arn:{built.partition}:apigateway:{built.region}:lambda:path/2015-03-31"
        f"/functions/{function}/invocations"
    )
    responses = integration["integrationResponses"]
    assert sorted(responses) == ["200", "500"]
    # A response without a pattern is the default, for whatever matches no other pattern.
    assert not responses["200"].get("selectionPattern")
    assert responses["500"]["selectionPattern"]
    assert "responseOverride" in responses["200"]["responseTemplates"]["application/json"]
    assert json.loads(responses["500"]["responseTemplates"]["application/json"])["status"] == "fail"


def test_protected_method_and_authorizer(built: Built) -> None:
    method = built.methods["hello"]
    assert method["authorizationType"] == "COGNITO_USER_POOLS"
    assert method["authorizerId"] == built.fact("authorizer")
    # With scopes it would accept access tokens instead of ID tokens.
    assert not method.get("authorizationScopes")
    integration = method["methodIntegration"]
    assert integration["type"] == "MOCK"
    assert json.loads(integration["requestTemplates"]["application/json"]) == {"statusCode": 200}
    body = integration["integrationResponses"]["200"]["responseTemplates"]["application/json"]
    assert json.loads(body)["message"]
    authorizer = built.authorizer
    assert authorizer["type"] == "COGNITO_USER_POOLS"
    assert authorizer["providerARNs"] == [built.pool["Arn"]]
    assert authorizer["identitySource"] == "method.request.header.Authorization"
