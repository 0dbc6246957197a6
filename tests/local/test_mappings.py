"""How the local AWS maps requests to integrations, and their results to responses."""

from __future__ import annotations

from typing import Any

import pytest

from support.local_gateway import INTERNAL, JSON, LocalGateway, mock, says

pytestmark = pytest.mark.local


# A function behind a non-proxy integration


def test_a_form_is_text_to_a_template_of_its_own(there: LocalGateway, echo: str) -> None:
    api = there.api()
    form = "application/x-www-form-urlencoded"
    templates = {form: '{"form": $input.json("$")}'}
    api.method(integration={"type": "AWS", "function": echo, "requestTemplates": templates})
    api.deploy()
    assert api.call(data={"a": "b"}).json() == {"form": "a=b"}
    # No template is for JSON, so it passes through.
    assert api.call(json={"a": "b"}).json() == {"a": "b"}
    # With a character set, it is the same content type.
    headers = {"Content-Type": f"{form}; charset=UTF-8"}
    assert api.call(data="a=c", headers=headers).json() == {"form": "a=c"}


@pytest.mark.parametrize(
    ("behavior", "templates", "status"),
    [
        ("WHEN_NO_MATCH", {"text/plain": "{}"}, 200),
        ("WHEN_NO_TEMPLATES", {}, 200),
        ("WHEN_NO_TEMPLATES", {"text/plain": "{}"}, 415),
        ("NEVER", {"text/plain": "{}"}, 415),
        ("NEVER", {}, 415),
        ("NEVER", {JSON: '{"a": 1}'}, 200),
    ],
)
def test_a_body_without_a_template_passes_as_the_integration_says(
    there: LocalGateway, echo: str, behavior: str, templates: dict[str, str], status: int
) -> None:
    api = there.api()
    how = {"passthroughBehavior": behavior, "requestTemplates": templates}
    api.method(integration={"type": "AWS", "function": echo, **how})
    api.deploy()
    answer = api.call(json={"a": 1})
    refused = {"message": "Unsupported Media Type"}
    assert (answer.status_code, answer.json()) == (status, {"a": 1} if status == 200 else refused)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("denied: ann", 403),
        ("she was denied", 200),  # it begins differently
        ("one\ntwo", 502),
        ("", 200),
        ("something else", 200),
    ],
)
def test_a_pattern_that_matches_all_of_the_error_chooses_the_response(
    there: LocalGateway, echo: str, message: str, status: int
) -> None:
    api = there.api()
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={
            "200": {},
            "403": {
                "selectionPattern": "denied.*",
                "responseTemplates": {JSON: "{\"said\": $input.json('$.errorMessage')}"},
            },
            "502": {"selectionPattern": r"[\s\S]*\n[\s\S]*"},
        },
    )
    api.deploy()
    answer = api.call(json={"fail": message})
    assert answer.status_code == status
    said = answer.json()["said" if status == 403 else "errorMessage"]
    assert said == message


def test_a_pattern_for_everything_leaves_a_success_alone(there: LocalGateway, echo: str) -> None:
    api = there.api()
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {}, "500": {"selectionPattern": r"[\s\S]*"}},
    )
    api.deploy()
    # An answer that looks like an error isn't one unless the function failed.
    answer = api.call(json={"errorMessage": "none"})
    assert (answer.status_code, answer.json()) == (200, {"errorMessage": "none"})
    assert api.call(json={"fail": "x"}).status_code == 500


@pytest.mark.parametrize("responses", [{}, {"500": {"selectionPattern": "x"}}])
def test_without_a_response_to_choose_the_gateway_answers(
    there: LocalGateway, echo: str, responses: dict[str, Any]
) -> None:
    api = there.api()
    api.method(integration={"type": "AWS", "function": echo}, responses=responses)
    api.deploy()
    answer = api.call(json={})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    assert "No match for output mapping" in there.log()


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'fixed'", "fixed"),
        ("integration.response.body.user.name", "ann"),
        ("integration.response.body.tags[1]", "2"),
        ("integration.response.body.nope", None),
        ("integration.response.header.Content-Type", JSON),
        ("integration.response.header.X-Nope", None),
        ("context.stage", "s"),
        ("context.identity.sourceIp", "127.0.0.1"),
        ("stageVariables.colour", "blue"),
    ],
)
def test_a_mapping_sets_a_header(
    there: LocalGateway, echo: str, source: str, value: str | None
) -> None:
    api = there.api()
    headers = {"method.response.header.X-Mapped": source}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseParameters": headers}},
    )
    api.deploy(variables={"colour": "blue"})
    answer = api.call(json={"user": {"name": "ann"}, "tags": ["a", 2]})
    assert answer.status_code == 200
    assert answer.headers.get("X-Mapped") == value


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html", "text/html"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        (JSON, JSON),
        ("*/*", JSON),
        ("image/png", JSON),
    ],
)
def test_the_response_is_of_the_kind_that_the_client_accepts(
    there: LocalGateway, echo: str, accept: str, kind: str
) -> None:
    api = there.api()
    texts = {"text/html": "<p>$input.path('$.a')</p>", JSON: "{\"a\": $input.json('$.a')}"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseTemplates": texts}},
    )
    api.deploy()
    answer = api.call(json={"a": "b"}, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == kind
    assert answer.text == ("<p>b</p>" if kind == "text/html" else '{"a": "b"}')


# A MOCK integration


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/200", 200, "fine"), ("/404", 404, "none"), ("/409", 409, "409"), ("/201", 200, "fine")],
)
def test_a_mock_answers_by_the_status_of_its_request(
    there: LocalGateway, path: str, status: int, text: str
) -> None:
    api = there.api()
    api.method(
        "/{status}",
        "GET",
        integration=mock("{\"statusCode\": $input.params('status')}"),
        responses={
            "200": {"responseTemplates": {JSON: "fine"}},
            "404": {"selectionPattern": "404", "responseTemplates": {JSON: "none"}},
            "409": {
                "selectionPattern": r"4\d\d",
                "responseTemplates": {JSON: "$input.params('status')"},
                "responseParameters": {"method.response.header.X-From": "'mock'"},
            },
        },
    )
    api.deploy()
    answer = api.call(path, "GET")
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers.get("X-From") == ("mock" if status == 409 else None)


def test_a_mock_answers_nothing_without_a_template_and_overrides_with_one(
    there: LocalGateway,
) -> None:
    api = there.api()
    template = "#set($context.responseOverride.status = 418)$input.params('q')"
    api.method("/plain", "GET", integration=mock())
    api.method("/pot", "GET", integration=mock(), responses=says(template))
    api.deploy()
    plain = api.call("/plain", "GET")
    assert (plain.status_code, plain.text) == (200, "")
    pot = api.call("/pot?q=tea", "GET")
    assert (pot.status_code, pot.text) == (418, "tea")


@pytest.mark.parametrize(
    ("request_template", "status"),
    [
        ("{statusCode:200}", 200),
        ('{"statusCode": 200,}', 200),
        ("{'statusCode': 200}", 200),
        ('{"statusCode": "200"}', 500),
        ('{"status": 200}', 500),
        ("{}", 500),
        ("[]", 500),
        ("", 500),
    ],
)
def test_a_mock_needs_a_status_but_not_quite_json(
    there: LocalGateway, request_template: str, status: int
) -> None:
    api = there.api()
    api.method(verb="GET", integration=mock(request_template))
    api.deploy()
    assert api.call(verb="GET").status_code == status


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "\x7f"])
def test_a_header_that_cant_be_sent_is_a_misconfiguration(
    there: LocalGateway, echo: str, value: str
) -> None:
    api = there.api()
    mapped = {"method.response.header.X-Got": "integration.response.body.got"}
    api.method(
        integration={"type": "AWS", "function": echo},
        responses={"200": {"responseParameters": mapped}},
    )
    api.deploy()
    assert api.call(json={"got": "fine, é"}).headers["X-Got"]
    answer = api.call(json={"got": value})
    assert (answer.status_code, answer.json()) == (500, INTERNAL)
    assert "X-Evil" not in answer.headers
