"""attach warns beforehand of what will not work, as far as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from cogauth.attach.warnings import ALLOW_HEADERS, _may_allow_the_token
from cogauth.gateway.rest_apis import LiveMethod
from support.attached import Orders, attach, plan
from support.calls import refusal

if TYPE_CHECKING:
    from support.account import Account
    from support.calls import Before, Call

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)

HEADER = "method.response.header."
ORIGIN = "gatewayresponse.header.Access-Control-Allow-Origin"


def warned(account: Account, path: str = "/open", **more: Any) -> str:
    return "\n".join(plan(account, path=path, **more).warnings)


def answer(orders: Orders, path: str, method: str = "OPTIONS", **headers: str) -> None:
    """Make a method answer with these headers, as the console's 'Enable CORS' does."""
    place = orders.at(method, path)
    given_ = {f"{HEADER}{name.replace('_', '-')}": value for name, value in headers.items()}
    declared = dict.fromkeys(given_, True)
    orders.aws.put_method_response(**place, statusCode="200", responseParameters=declared)
    orders.aws.put_integration_response(**place, statusCode="200", responseParameters=given_)


def set_gateway_response(orders: Orders, kind: str, **parameters: str) -> None:
    orders.aws.put_gateway_response(
        **orders.place, responseType=kind, responseParameters=parameters
    )


@pytest.mark.parametrize(
    ("allowed", "enough"),
    [
        ("'Content-Type,Authorization'", True),
        ("'content-type, authorization ,x-api-key'", True),
        ("'Content-Type,X-Api-Key'", False),
        # In the Fetch standard, '*' doesn't include Authorization.
        ("'*'", False),
        ("'*,Authorization'", True),
        ("'X-Authorization'", False),
        # The value at run time isn't known.
        ("integration.response.header.Allowed", True),
        (None, False),
    ],
)
def test_a_preflight_that_does_not_allow_the_token(
    account: Account, orders: Orders, allowed: str | None, *, enough: bool
) -> None:
    headers = {"Access_Control_Allow_Headers": allowed} if allowed else {}
    answer(orders, "/open", Access_Control_Allow_Origin="'*'", **headers)
    said = "The preflight of /open doesn't allow the header Authorization"
    assert (said in warned(account)) is not enough
    # The warning is only about the attached paths.
    assert "preflight" not in warned(account, "/iam")
    attach(account)
    assert (said in warned(account)) is not enough


def test_a_preflights_header_in_any_case(account: Account, orders: Orders) -> None:
    answer(orders, "/open", access_control_allow_headers="'authorization'")
    assert "preflight" not in warned(account)


def test_a_preflight_that_a_function_answers_is_not_judged(
    account: Account, orders: Orders
) -> None:
    orders.aws.put_integration(
        **orders.at("OPTIONS", "/open"),
        type="HTTP_PROXY",
        uri="https://orders.example/",
        integrationHttpMethod="OPTIONS",
    )
    assert "preflight" not in warned(account)


def test_a_path_of_cors_without_a_preflight(account: Account, orders: Orders) -> None:
    """Without a token, browsers sent no preflight."""
    assert warned(account, "/iam") == ""
    answer(orders, "/iam", "GET", Access_Control_Allow_Origin="'*'")
    assert "GET /iam allows pages of other origins, but its path has no" in warned(account, "/iam")
    orders.put("ANY", "/iam", "NONE")
    assert "no OPTIONS" not in warned(account, "/iam")


@pytest.mark.parametrize(
    ("set_by_owner", "readable"),
    [
        ({}, False),
        ({"UNAUTHORIZED": {ORIGIN: "'*'"}}, True),
        ({"DEFAULT_4XX": {ORIGIN.lower(): "'*'"}}, True),
        # A response that somebody set inherits nothing.
        ({"DEFAULT_4XX": {ORIGIN: "'*'"}, "UNAUTHORIZED": {}}, False),
        ({"DEFAULT_5XX": {ORIGIN: "'*'"}}, False),
        ({"ACCESS_DENIED": {ORIGIN: "'*'"}}, False),
    ],
)
@pytest.mark.parametrize("defaults", [False, True])
def test_a_401_that_pages_can_not_read(
    account: Account,
    orders: Orders,
    set_by_owner: dict[str, dict[str, str]],
    *,
    readable: bool,
    defaults: bool,
) -> None:
    for kind, parameters in set_by_owner.items():
        set_gateway_response(orders, kind, **parameters)

    def with_defaults(call: Call) -> Any:
        """AWS also lists responses that nobody set, with or without what they inherit."""
        if call.operation != "GetGatewayResponses" or not defaults:
            return None
        kinds = ("UNAUTHORIZED", "DEFAULT_4XX", "DEFAULT_5XX", "ACCESS_DENIED")
        items = [
            {
                "responseType": kind,
                "defaultResponse": kind not in set_by_owner,
                "responseParameters": set_by_owner.get(kind, {}),
            }
            for kind in kinds
        ]
        return AWSResponse("https://aws.invalid/", 200, {}, None), {"items": items}

    said = "The gateway's 401 carries no Access-Control-Allow-Origin"
    with account.calls.watched(with_defaults):
        assert (said in warned(account)) is not readable
    # It doesn't matter where no page can call the API.
    assert said not in warned(account, "/iam")


def test_gateway_responses_that_can_not_be_read(account: Account, orders: Orders) -> None:
    before = orders.deployments()
    with account.calls.watched(
        lambda call: (
            refusal(403, "AccessDeniedException")
            if call.operation == "GetGatewayResponses"
            else None
        )
    ):
        assert "can read a 401 (GetGatewayResponses: AccessDeniedException)" in warned(account)
    assert orders.deployments() == before


def described(account: Account, orders: Orders, **api: Any) -> Before:
    """Describe the API as AWS does; moto has only one kind of API."""

    def before(call: Call) -> Any:
        if call.operation != "GetRestApis":
            return None
        items = account.client("apigateway").get_rest_apis(limit=500)["items"]
        items = [{**one, **(api if one["id"] == orders.id else {})} for one in items]
        return AWSResponse("https://aws.invalid/", 200, {}, None), {"items": items}

    return before


def test_an_api_key_that_the_authorizer_would_have_to_give(
    account: Account, orders: Orders
) -> None:
    said = "POST /open requires an API key, which this API takes from its authorizer"
    with account.calls.watched(described(account, orders, apiKeySource="AUTHORIZER")):
        assert said in warned(account)
        assert "apiKeySource" not in warned(account, method="GET")
    assert "apiKeySource" not in warned(account)


def test_a_private_api(account: Account, orders: Orders) -> None:
    configuration = {"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]}
    with account.calls.watched(described(account, orders, endpointConfiguration=configuration)):
        assert "The API orders is private: only an interface endpoint in a VPC" in warned(
            account, "/iam"
        )
    assert "private" not in warned(account, "/iam")


def test_a_warning_is_part_of_what_was_shown(account: Account, orders: Orders) -> None:
    """A warning that appears while the question is open is shown before anything is done."""
    before = plan(account, path="/open").shown
    set_gateway_response(orders, "UNAUTHORIZED", **{ORIGIN: "'*'"})
    assert plan(account, path="/open").shown != before


@given(
    st.none()
    | st.dictionaries(
        st.sampled_from(["200", "500"]),
        st.fixed_dictionaries(
            {},
            optional={
                "responseParameters": st.none()
                | st.dictionaries(st.sampled_from([f"{HEADER}{ALLOW_HEADERS}", "x"]), st.text()),
                "responseTemplates": st.none() | st.dictionaries(st.text(), st.none() | st.text()),
            },
        ),
    )
)
def test_any_answers_of_a_preflight_can_be_looked_at(answers: Any) -> None:
    live = {"methodIntegration": {"type": "MOCK", "integrationResponses": answers}}
    found = _may_allow_the_token(LiveMethod("r1", "/a", "OPTIONS", live))
    if not answers:
        assert not found
