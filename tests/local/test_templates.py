"""What mapping templates make on the local AWS: an event, a response, or a refusal."""

from __future__ import annotations

import pytest

from support.local_gateway import INTERNAL, JSON, LocalGateway, says

pytestmark = pytest.mark.local


def test_a_request_template_makes_the_event(there: LocalGateway, echo: str) -> None:
    template = """{
        "body": $input.json('$'), "name": $input.json('$.user.name'),
        "first": $input.json("$.tags[0]"), "none": $input.json('$.nope'),
        "path": "$input.params('id')", "query": "$input.params('q')",
        "header": "$input.params().header.get('X-Thing')",
        "sum": "$util.escapeJavaScript($input.path('$.user.name')).replaceAll("\\\\'", "'")",
        "coded": "$util.base64Encode('ab') $util.base64Decode('YWI=') $util.urlEncode('a b')",
        "decoded": "$util.urlDecode('a%20b')", "parsed": "$util.parseJson('{"a": "b"}').a",
        "stage": "$stageVariables.colour", "id": "$context.requestId", "api": "$context.apiId",
        "where": "$context.stage $context.httpMethod $context.resourcePath",
        "from": "$context.identity.sourceIp",
        "all": [#foreach($tag in $input.path('$.tags'))"$tag"#if($foreach.hasNext),#end#end]
    }"""
    api = there.api()
    api.method(
        "/users/{id}",
        integration={"type": "AWS", "function": echo, "requestTemplates": {JSON: template}},
    )
    api.deploy(variables={"colour": "blue"})
    body = {"user": {"name": 'O\'Hara "é"'}, "tags": ["x", "y"]}
    answer = api.call("/users/42?q=1&q=2", json=body, headers={"X-Thing": "thing"})
    got = answer.json()
    assert len(got.pop("id")) == 36
    assert got == {
        "body": body,
        "name": 'O\'Hara "é"',
        "first": "x",
        "none": "",
        "path": "42",
        "query": "2",
        "header": "thing",
        "sum": 'O\'Hara "é"',
        "coded": "YWI= ab a+b",
        "decoded": "a b",
        "parsed": "b",
        "stage": "blue",
        "api": api.id,
        "where": "s POST /users/{id}",
        "from": "127.0.0.1",
        "all": ["x", "y"],
    }


def test_a_template_that_makes_no_json_is_refused_too(there: LocalGateway, echo: str) -> None:
    api = there.api()
    broken = {JSON: "{\"name\": $input.path('$.name')}"}
    api.method(integration={"type": "AWS", "function": echo, "requestTemplates": broken})
    api.deploy()
    answer = api.call(json={"name": "ann"})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Could not parse request body into json")


def test_a_template_overrides_status_and_headers(there: LocalGateway, echo: str) -> None:
    template = """#if($input.path('$.code') == 'wrong')
#set($context.responseOverride.status = 401)
#set($context.responseOverride.header.Access-Control-Allow-Origin = 'https://a.example')
#set($context.responseOverride.header['X-Code'] = $input.path('$.code'))
#end
{"code": $input.json('$.code')}"""
    api = there.api()
    headers = {"method.response.header.Access-Control-Allow-Origin": "'https://b.example'"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses=says(template, responseParameters=headers),
    )
    api.deploy()
    wrong = api.call(json={"code": "wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"code": "wrong"})
    assert wrong.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert wrong.headers["X-Code"] == "wrong"
    right = api.call(json={"code": "right"})
    assert (right.status_code, right.json()) == (200, {"code": "right"})
    assert right.headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert "X-Code" not in right.headers


@pytest.mark.parametrize(
    "template",
    [
        "#set($context.responseOverride.status = 401)#set($context.responseOverride.status = 403)",
        "$util.urlEncode($input.path('$.password').none)",
        "#set($list = [1])$list[$input.path('$.password')]",
        "$input.json('$..password')",
        "#foreach($x in $input.path('$')",
    ],
)
def test_a_template_that_cant_be_rendered_is_a_500_and_the_log_keeps_its_data_to_itself(
    there: LocalGateway, echo: str, template: str
) -> None:
    api = there.api()
    api.method(integration={"type": "AWS", "function": echo}, responses=says(template))
    api.deploy()
    before = len(there.log())
    answer = api.call(json={"password": "secret-word"})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    logged = there.log()[before:]
    assert "Execution failed due to configuration error" in logged
    assert "secret-word" not in logged
    assert "Traceback" not in logged
