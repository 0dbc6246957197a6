"""On the local AWS a function runs for API Gateway only as its own policy lets it."""

from __future__ import annotations

import pytest

from support.local_gateway import INTERNAL, LocalGateway
from support.names import REGION

pytestmark = pytest.mark.local


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
@pytest.mark.parametrize(
    ("source", "more", "status"),
    [
        ("{api}/s/POST/users/{id}", {}, 200),
        ("{api}/*/POST/users/*", {}, 200),
        ("{api}/*", {}, 200),
        ("*", {"SourceAccount": "{account}"}, 200),
        ("{api}/*/POST/users/42", {}, 500),  # the request's path, not the resource's
        ("{api}/*/GET/users/*", {}, 500),
        ("{api}/t/POST/users/*", {}, 500),
        ("other/*/POST/users/*", {}, 500),
        ("{api}/*/POST/users", {}, 500),
        ("{api}/*", {"SourceAccount": "123456789012"}, 500),
        ("{api}/*", {"Principal": "cognito-idp.amazonaws.com"}, 500),
        ("{api}/*", {"Principal": "123456789012"}, 500),
        ("{api}/*", {"Action": "lambda:GetFunction"}, 500),
        (None, {}, 500),
    ],
)
def test_a_function_runs_only_for_whom_its_policy_lets(
    there: LocalGateway, kind: str, source: str | None, more: dict[str, str], status: int
) -> None:
    function = there.function("echo")
    api = there.api()
    if source is not None:
        # Not with format(): {id} must stay as it is.
        filled = source.replace("{api}", api.id)
        more = {name: text.replace("{account}", there.account) for name, text in more.items()}
        there.let(function, filled, **more)
    api.method("/users/{id}", integration={"type": kind, "function": function})
    origin = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example'"}
    there.apigateway.put_gateway_response(
        restApiId=api.id, responseType="DEFAULT_5XX", responseParameters=origin
    )
    api.deploy()
    before = len(there.log())
    answer = api.call("/users/42", json={"statusCode": 200, "a": 1})
    logged = f"Invalid permissions on Lambda function: the policy of {function}"
    if status == 200:
        assert answer.status_code == 200
        assert logged not in there.log()[before:]
    else:
        assert (answer.status_code, answer.json()) == (500, INTERNAL)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert (
            f"invoke it for arn:aws:execute-api:{REGION}:{there.account}:{api.id}/s/POST"
            in (there.log()[before:])
        )
        assert logged in there.log()[before:]


def test_a_permission_is_for_the_alias_that_it_names(there: LocalGateway) -> None:
    function = there.function("echo")
    there.lambda_.publish_version(FunctionName=function)
    there.lambda_.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    api = there.api()
    there.let(function, f"{api.id}/*", Qualifier="live")
    api.method("/alias", integration={"type": "AWS", "function": f"{function}:live"})
    api.method("/latest", integration={"type": "AWS", "function": function})
    api.method("/gone", integration={"type": "AWS", "function": f"{function}-gone"})
    api.deploy()
    assert [api.call(path).status_code for path in ("/alias", "/latest", "/gone")] == [
        200,
        500,
        500,
    ]
