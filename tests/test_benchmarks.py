"""The benchmarks' measuring tools. The tests assert numbers of calls, but no times."""

from __future__ import annotations

import itertools
import json
import re
import string
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import attach, crowd, report, unchanged
from benchmarks.conditions import (
    AWS,
    LATENCIES,
    NOT_ASSUMABLE,
    NOT_WHILE_PENDING,
    QUIET,
    RATES,
    STILL_PENDING,
    TOO_MANY,
    TWO_AT_ONCE,
    Account,
    Bucket,
    Conditions,
    Rate,
    Refusal,
)
from benchmarks.critical_path import critical_path, needs_of_down, needs_of_up, phases
from benchmarks.operations import REST, Operation, Request, operation_of
from benchmarks.programs import HERE
from benchmarks.proxy import Call, PlayedAws
from benchmarks.timeline import timeline
from cogauth.steps import STEPS
from support.names import REGION
from support.servers import Answer, Fixed

SESSION = botocore.session.Session()
# For a name in a path: includes every character that has a meaning there.
NAMES = st.text(string.ascii_letters + string.digits + ":-_./ %$", min_size=1)


def signed(service: str) -> list[tuple[str, str]]:
    scope = f"20261124/{REGION}/{service}/aws4_request"
    return [("Authorization", f"AWS4-HMAC-SHA256 Credential=AKID/{scope}, Signature=0")]


# Which operation.


@pytest.mark.parametrize("service", REST)
@given(names=st.lists(NAMES, min_size=6, max_size=6))
def test_each_rest_operation_is_found_by_method_and_path(service: str, names: list[str]) -> None:
    model = SESSION.get_service_model(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        places = dict(zip(re.findall(r"{(\w+)}", http["requestUri"]), names, strict=False))
        # As botocore writes them: a slash in a name is escaped in the path.
        path = http["requestUri"].format(**{k: quote(v, safe="") for k, v in places.items()})
        request = Request(http["method"], path, signed(service), b"")
        assert operation_of(request) == Operation(service, name, places)


def on_the_wire(service: str, method: str, **given: Any) -> Request:
    """What boto3 sends."""
    sent: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        sent.append(request)
        raise InterruptedError

    client: Any = boto3.Session("test", "test", region_name=REGION).client(service)  # type: ignore[call-overload]
    client.meta.events.register("before-send", stop)
    with pytest.raises(InterruptedError):
        getattr(client, method)(**given)
    headers = [(key, v if isinstance(v, str) else v.decode()) for key, v in sent[0].headers.items()]
    url = urlsplit(sent[0].url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    body = sent[0].body or b""
    return Request(
        sent[0].method, path, headers, body if isinstance(body, bytes) else body.encode()
    )


@pytest.mark.parametrize(
    ("service", "method", "given_", "name", "about"),
    [
        ("sts", "get_caller_identity", {}, "sts:GetCallerIdentity", {}),
        ("iam", "get_role", {"RoleName": "r"}, "iam:GetRole", {"RoleName": "r"}),
        (
            "cognito-idp",
            "sign_up",
            {"ClientId": "c", "Username": "u", "Password": "secret-1"},
            "cognito-idp:SignUp",
            {"ClientId": "c"},
        ),
        (
            "cognito-idp",
            "create_user_pool",
            {"PoolName": "p"},
            "cognito-idp:CreateUserPool",
            {"PoolName": "p"},
        ),
        ("logs", "create_log_group", {"logGroupName": "g"}, "logs:CreateLogGroup", None),
        ("resourcegroupstaggingapi", "get_resources", {}, "tagging:GetResources", {}),
        ("lambda", "list_functions", {}, "lambda:ListFunctions", {}),
        (
            "lambda",
            "get_function",
            {"FunctionName": "f"},
            "lambda:GetFunction",
            {"FunctionName": "f"},
        ),
        (
            "apigateway",
            "create_resource",
            {"restApiId": "a", "parentId": "r", "pathPart": "hello"},
            "apigateway:CreateResource",
            {"restapi_id": "a", "parent_id": "r", "pathPart": "hello"},
        ),
    ],
)
def test_what_boto3_sends_is_known(
    service: str, method: str, given_: dict[str, str], name: str, about: dict[str, str] | None
) -> None:
    found = operation_of(on_the_wire(service, method, **given_))
    assert found is not None
    assert str(found) == name
    if about is not None:
        assert found.about == about
    assert "secret-1" not in found.about.values()


def test_a_request_that_is_none_of_awss_is_none() -> None:
    assert operation_of(Request("GET", "/_ministack/health", [], b"")) is None
    assert operation_of(Request("GET", "/nowhere/at/all", signed("lambda"), b"")) is None


# Account.


def lambda_(name: str, **about: str) -> Operation:
    return Operation("lambda", name, {"FunctionName": "f", **about})


def api(name: str, rest_api: str = "a") -> Operation:
    return Operation("apigateway", name, {"restapi_id": rest_api})


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: ",".join(rate.names) or "all")
def test_a_bucket_gives_its_burst_and_then_its_rate(rate: Rate) -> None:
    bucket = Bucket(rate)

    def take(now: float) -> bool:
        may = bucket.has_one(now)
        if may:
            bucket.take()
        return may

    assert [take(100.0) for _ in range(rate.burst + 1)] == [True] * rate.burst + [False]
    each = 1 / rate.per_second
    assert not take(100 + 0.9 * each)
    assert take(100 + each)
    assert not take(100 + each)
    # A long pause restores the burst and no more.
    later = 100 + 1000 * each
    assert [take(later) for _ in range(rate.burst + 1)] == [True] * rate.burst + [False]


def test_the_rates_are_api_gateways_and_all_its_calls_share_one() -> None:
    account = Account(Conditions(conflicts=False))
    for nth in range(200):
        assert account.begin(Operation("cognito-idp", f"GetResources{nth}"), 0) is None
    gets = [account.begin(api("GetMethod"), 0) for _ in range(41)]
    assert gets == [None] * 40 + [TOO_MANY]
    assert account.begin(api("GetMethod"), 0.1) is None
    assert account.begin(api("DeleteRestApi"), 0.1) is TOO_MANY
    # The refused call has used up nothing of its own rate.
    assert account.begin(api("DeleteRestApi"), 0.2) is None
    assert account.begin(api("DeleteRestApi"), 30) is TOO_MANY
    assert account.begin(api("DeleteRestApi"), 30.2) is None


def test_a_role_is_assumable_some_seconds_after_it_was_made() -> None:
    account = Account(AWS)
    role = Operation("iam", "CreateRole", {"RoleName": "r"})
    create = lambda_("CreateFunction", Role="arn:aws:iam::1:role/r")
    assert account.begin(role, 0) is None
    account.end(role, 200, b"<xml/>", 0, 1)
    assert account.begin(create, 8.9) is NOT_ASSUMABLE
    assert account.begin(lambda_("CreateFunction", Role="arn:aws:iam::1:role/other"), 2) is None
    assert account.begin(create, 9.0) is None


def test_a_function_is_pending_at_first() -> None:
    account = Account(AWS)
    create, look = lambda_("CreateFunction"), lambda_("GetFunction")

    def answer(operation: Operation, body: str, begun: float, now: float) -> tuple[Any, str | None]:
        body_, awaits = account.end(operation, 200, body.encode(), begun, now)
        return json.loads(body_), awaits

    made, awaits = answer(create, '{"State": "Active", "FunctionName": "f"}', 0, 1)
    assert (made["State"], made["StateReasonCode"], awaits) == ("Pending", "Creating", None)
    for name in NOT_WHILE_PENDING:
        assert account.begin(lambda_(name), 2.9) is STILL_PENDING
        assert account.begin(lambda_(name), 3.0) is None
    assert account.begin(lambda_("AddPermission"), 1.5) is None
    got, awaits = answer(look, '{"Configuration": {"State": "Active"}}', 2.9, 3.1)
    assert (got["Configuration"]["State"], awaits) == ("Pending", "pending")
    got, awaits = answer(look, '{"Configuration": {"State": "Pending"}}', 3.0, 3.1)
    assert (got["Configuration"]["State"], awaits) == ("Active", None)


def test_two_writes_at_once_to_one_api_are_refused() -> None:
    account = Account(AWS)
    assert account.begin(api("PutMethod"), 0) is None
    assert account.begin(api("CreateResource"), 0.1) is TWO_AT_ONCE
    assert account.begin(api("GetMethod"), 0.1) is None
    assert account.begin(api("PutMethod", "b"), 0.1) is None
    account.end(api("PutMethod"), 201, b"{}", 0, 0.2)
    assert account.begin(api("CreateResource"), 0.2) is None


def test_a_quiet_account_refuses_nothing() -> None:
    account = Account(QUIET)
    role = Operation("iam", "CreateRole", {"RoleName": "r"})
    account.end(role, 200, b"", 0, 0)
    assert account.begin(lambda_("CreateFunction", Role="role/r"), 0) is None
    for _ in range(100):
        assert account.begin(api("CreateRestApi"), 0) is None
    assert QUIET.latency(role) == 0


def test_each_figure_names_its_source() -> None:
    for row in (*LATENCIES, *RATES):
        assert "https://" in row.source or row.source.startswith("Assumed"), row


@pytest.mark.parametrize(
    "refusal", [NOT_ASSUMABLE, STILL_PENDING, TOO_MANY, TWO_AT_ONCE], ids=lambda each: each.awaits
)
def test_boto3_reads_a_refusal_as_awss(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    with Fixed(lambda _request: Answer(202)) as upstream, PlayedAws(upstream.url, QUIET) as aws:
        monkeypatch.setattr(aws.account, "begin", lambda *_: refusal)
        clients = boto3.Session("test", "test", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1})
        caller = clients.client("apigateway", endpoint_url=aws.url, config=config)
        with pytest.raises(ClientError) as refused:
            caller.delete_rest_api(restApiId="a")
        assert refused.value.response["Error"] == {
            "Code": refusal.code,
            "Message": refusal.message,
        }
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == refusal.status
        (call,) = aws.calls
        assert (str(call.operation), call.status, call.error, call.awaits, call.kind) == (
            "apigateway:DeleteRestApi",
            refusal.status,
            refusal.code,
            refusal.awaits,
            "refused",
        )
        assert upstream.requests == []


def test_the_header_that_names_a_resource_is_recorded_and_goes_no_further() -> None:
    with Fixed(lambda _request: Answer(202)) as upstream, PlayedAws(upstream.url, QUIET) as aws:
        caller = boto3.Session("test", "test", region_name=REGION).client(
            "apigateway", endpoint_url=aws.url
        )

        def mark(request: Any, **_: Any) -> None:
            request.headers["X-Cogauth-Resource"] = "rest_api"

        caller.meta.events.register("before-send", mark)
        caller.delete_rest_api(restApiId="a")
    assert [call.resource for call in aws.calls] == ["rest_api"]
    assert [call.kind for call in aws.calls] == ["write"]
    (request,) = upstream.requests
    assert "x-cogauth-resource" not in {name.lower() for name in request.headers}


# The critical path. Each recording: resource, operation, how many seconds it took.

NEEDS = {
    "pool": set(),
    "role": set(),
    "group": set(),
    "function": {"role", "pool", "group"},
    "api": {"function"},
}
PLAIN = Conditions(role_assumable_s=8, function_pending_s=2)


def recording(*calls: tuple[str, str, float] | tuple[str, str, float, str]) -> list[Call]:
    """One call after the other; the fourth item is the call's `awaits`."""
    begin, made = 0.0, []
    for resource, name, seconds, *awaits in calls:
        service, _, operation = name.rpartition(":")
        about = {"FunctionName": "f", "RoleName": "r", "Role": "arn:aws:iam::1:role/r"}
        made.append(
            Call(
                Operation(service or "iam", operation, about),
                begin,
                begin + seconds,
                200,
                awaits=awaits[0] if awaits else None,
                resource=resource,
            )
        )
        begin += seconds + 5  # our own program's time isn't part of the path
    return made


def path(*calls: Any) -> tuple[float, list[str]]:
    found = critical_path(recording(*calls), NEEDS, PLAIN)
    return round(found.seconds, 6), [link.what for link in found.chain]


def test_the_path_is_the_longest_chain_of_needs() -> None:
    assert path(
        ("pool", "CreatePool", 1.0),
        ("group", "CreateGroup", 2.0),
        ("group", "PutRetention", 0.5),
        ("api", "CreateApi", 0.25),
    ) == (2.75, ["before", "group", "api"])


def test_before_the_graph_comes_the_caller_and_then_the_longest_of_the_rest() -> None:
    assert path(
        ("MainThread", "sts:GetCallerIdentity", 0.5),
        ("pool-0", "ListPools", 0.25),
        ("pool-1", "ListApis", 1.0),
        ("pool", "CreatePool", 1.0),
        ("pool-2", "ListApis", 0.25),
        ("pool-3", "ListPools", 0.125),
    ) == (2.75, ["before", "pool", "after"])


def test_a_function_waits_for_its_role_and_its_refusals_dont_count() -> None:
    assert path(
        ("role", "CreateRole", 1.0),
        ("function", "lambda:CreateFunction", 0.5, "role"),
        ("function", "lambda:CreateFunction", 0.5, "role"),
        ("function", "lambda:CreateFunction", 0.5),
    ) == (9.5, ["before", "role", "function"])


def test_what_needs_a_function_doesnt_wait_until_it_is_active_but_the_end_does() -> None:
    calls = [
        ("function", "lambda:CreateFunction", 0.5),
        ("function", "lambda:GetFunctionConfiguration", 0.25, "pending"),
        ("function", "lambda:GetFunctionConfiguration", 0.25),
    ]
    assert path(*calls, ("api", "CreateApi", 1.0)) == (2.75, ["before", "function"])
    assert path(*calls, ("api", "CreateApi", 3.0)) == (3.5, ["before", "function", "api"])


def test_a_call_that_is_refused_while_a_function_is_pending_waits_for_it() -> None:
    assert path(
        ("function", "lambda:CreateFunction", 0.5),
        ("function", "lambda:UpdateFunctionCode", 0.5),
    ) == (3.0, ["before", "function"])


def test_a_recording_without_the_graph_is_only_a_preparation() -> None:
    assert path(("MainThread", "sts:GetCallerIdentity", 0.5)) == (0.5, ["before"])


def test_the_graphs_are_of_cogauths_own_resources() -> None:
    keys = {resource.key for step in STEPS for resource in step.resources}
    roots = {r.key for step in STEPS for r in step.resources if r.parent is None}
    up, down = needs_of_up(), needs_of_down()
    assert set(up) == keys
    assert set().union(*up.values()) <= keys
    assert set(down) == roots
    assert set().union(*down.values()) <= roots
    # Both have an order, and an empty recording has no path.
    for needs in (up, down):
        assert critical_path([], needs, AWS).seconds == 0


# The picture and the page.


def test_the_picture_is_well_formed_and_shows_every_call() -> None:
    calls = recording(
        ("MainThread", "sts:GetCallerIdentity", 0.5),
        ("user_pool", "cognito-idp:CreateUserPool", 1.0),
        ("role", "CreateRole", 1.0),
        ("sign_in_function", "lambda:CreateFunction", 0.5, "role"),
        ("sign_in_function", "lambda:CreateFunction", 0.5),
        ("ThreadPoolExecutor-1_0", "ListRoles", 0.25),
    )
    picture = ET.fromstring(timeline(calls, 'a <title> & "more"'))
    name = "{http://www.w3.org/2000/svg}"
    assert picture.tag == f"{name}svg"
    texts = [element.text for element in picture.iter(f"{name}text")]
    assert texts[0] == 'a <title> & "more"'
    assert {"User pool", "Role", "Sign-in function", "Before", "After"} <= set(texts)
    bars = [rect for rect in picture.iter(f"{name}rect") if rect.find(f"{name}title") is not None]
    assert len(bars) == len(calls)


def test_calls_at_the_same_time_hide_none() -> None:
    at_once = [
        Call(Operation("iam", "GetRole"), begin, begin + 1, 200, resource="MainThread")
        for begin in (0.0, 0.5, 1.0)
    ]
    picture = ET.fromstring(timeline(at_once, "t"))
    name = "{http://www.w3.org/2000/svg}"
    bars = [
        (float(rect.attrib["y"]), float(rect.attrib["x"]), float(rect.attrib["width"]))
        for rect in picture.iter(f"{name}rect")
        if rect.find(f"{name}title") is not None
    ]
    for (y, x, width), (other_y, other_x, _) in itertools.pairwise(sorted(bars)):
        assert y != other_y or x + width <= other_x


def test_a_recordings_phases_hold_each_call_once() -> None:
    calls = recording(
        ("MainThread", "sts:GetCallerIdentity", 0.5), ("pool", "A", 1.0), ("after-all", "B", 1.0)
    )
    found = phases(calls, NEEDS)
    assert found == {"before": calls[:1], "pool": calls[1:2], "after": calls[2:]}


def test_the_page_is_what_its_json_says() -> None:
    results = json.loads((HERE / "results.json").read_text())
    page = (HERE / "results.md").read_text()
    assert page == report.markdown(results), "write it anew: python -m benchmarks --page"
    assert ET.parse(HERE / "timeline.svg").getroot().tag.endswith("svg")


# The number of calls, in an empty account and in one full of other people's resources.

EXPECTED = {
    "up": {
        "write": {
            "apigateway:CreateAuthorizer": 1,
            "apigateway:CreateDeployment": 1,
            "apigateway:CreateResource": 2,
            "apigateway:CreateRestApi": 1,
            "apigateway:CreateStage": 1,
            "apigateway:PutIntegration": 2,
            "apigateway:PutIntegrationResponse": 3,
            "apigateway:PutMethod": 2,
            "apigateway:PutMethodResponse": 7,
            "apigateway:UpdateStage": 1,
            "cognito-idp:CreateUserPool": 1,
            "cognito-idp:CreateUserPoolClient": 1,
            "cognito-idp:UpdateUserPool": 1,
            "iam:CreateRole": 2,
            "iam:PutRolePolicy": 2,
            "lambda:AddPermission": 2,
            "lambda:CreateFunction": 2,
            "logs:CreateLogGroup": 2,
            "logs:PutRetentionPolicy": 2,
        },
        "read": {
            "apigateway:GetRestApis": 1,
            "cognito-idp:DescribeUserPool": 1,
            "cognito-idp:ListUserPools": 1,
            "iam:GetRole": 2,
            "lambda:GetFunction": 2,
            "lambda:GetFunctionConfiguration": 2,
            "logs:DescribeLogGroups": 2,
            "sts:GetCallerIdentity": 1,
        },
        "refused": {},
    },
    "down": {
        "write": {
            "apigateway:DeleteRestApi": 1,
            "cognito-idp:DeleteUserPool": 1,
            "iam:DeleteRole": 2,
            "iam:DeleteRolePolicy": 2,
            "lambda:DeleteFunction": 2,
            "logs:DeleteLogGroup": 2,
        },
        "read": {
            # Everything is looked up before it is deleted, and again afterwards.
            "apigateway:GetDomainNames": 1,
            "apigateway:GetRestApi": 2,
            "apigateway:GetRestApis": 2,
            "cognito-idp:DescribeUserPool": 2,
            "cognito-idp:ListUserPools": 2,
            "iam:GetRole": 4,
            "iam:ListAttachedRolePolicies": 2,
            "iam:ListRolePolicies": 2,
            "lambda:GetFunction": 4,
            "logs:DescribeLogGroups": 4,
            "logs:ListTagsForResource": 2,
            "sts:GetCallerIdentity": 1,
            "tagging:GetResources": 2,
        },
        "refused": {},
    },
}
# More than one page of user pools: Cognito lists 60 at a time.
CROWD = 70
COMMANDS = list(EXPECTED)


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, Any]]:
    return crowd.measure(lambda _: None, (0, CROWD))


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("command", COMMANDS)
def test_no_call_is_made_that_isnt_needed(command: str, counted: dict[str, Any]) -> None:
    assert counted[command]["0"] == EXPECTED[command]


@pytest.mark.long
@pytest.mark.local
@pytest.mark.parametrize("command", COMMANDS)
def test_others_things_cost_no_more_than_pages_of_lists(
    command: str, counted: dict[str, Any]
) -> None:
    expected = json.loads(json.dumps(EXPECTED[command]))
    expected["read"]["cognito-idp:ListUserPools"] *= 2
    assert counted[command][str(CROWD)] == expected


# Attaching.


def test_the_bound_of_attaching_is_the_rates_or_the_turns() -> None:
    rates_alone, _ = attach.WAYS[attach.RATES_ALONE]
    # There are eight other calls; 40 are allowed at once, then ten a second.
    assert attach.bound(10, rates_alone) == pytest.approx(0, abs=0.01)
    assert attach.bound(300, rates_alone) == pytest.approx((308 - 40) / 10, abs=0.5)
    # A write takes longer than the rate requires, and writes run one at a time.
    assert attach.bound(10, AWS) == pytest.approx(4 * 0.15 + 13 * 0.25, abs=0.01)
    assert attach.bound(100, AWS) - attach.bound(10, AWS) == pytest.approx(90 * 0.25, abs=0.01)


@pytest.mark.local
def test_the_report_of_attaching_has_its_goal() -> None:
    one = {
        "process_s": 5.0,
        "calls_s": 4.4,
        "bound_s": 4.0,
        "calls": {"write": {"a": 12}, "read": {"b": 7}, "refused": {}},
    }
    results = {"machine": report.machine(), "date": "2026-11-24", "attach": {"as AWS": {"10": one}}}
    page = report.markdown(results)
    assert "what API Gateway's rates allow | 1.10 | yes |" in page
    assert "| 10 methods, as AWS | 5.00 | 4.40 | 4.00 | 1.10 | 19 | 0 |" in page


@pytest.mark.local
@given(st.floats(1.19, 1.21))
def test_a_figure_never_contradicts_its_verdict(ratio: float) -> None:
    one = {"process_s": ratio, "calls_s": ratio, "bound_s": 1.0, "calls": {"refused": {}}}
    results = {"machine": report.machine(), "date": "2026-11-24", "attach": {"as AWS": {"10": one}}}
    row = re.search(r"1\.2 of what .* \| ([\d.]+) \| (yes|no) \|", report.markdown(results))
    assert row
    assert (float(row[1]) <= 1.2) == (row[2] == "yes") == (ratio <= 1.2)


# An unchanged stack.

READ_BY_UP = {
    # The lists show whether an interrupted run left a second one with the stack's name.
    "apigateway:GetAuthorizers": 1,
    "apigateway:GetDeployments": 1,
    "apigateway:GetResources": 1,
    "apigateway:GetRestApi": 1,
    "apigateway:GetRestApis": 1,
    "apigateway:GetStage": 1,
    "cognito-idp:DescribeUserPool": 1,
    "cognito-idp:DescribeUserPoolClient": 1,
    "cognito-idp:ListUserPoolClients": 1,
    "cognito-idp:ListUserPools": 1,
    "iam:GetRole": 2,
    "iam:GetRolePolicy": 2,
    "lambda:GetFunction": 2,
    "lambda:GetPolicy": 2,
    "logs:DescribeLogGroups": 2,
    "logs:ListTagsForResource": 2,
    "sts:GetCallerIdentity": 1,
}
READ_BY_STATUS_BESIDES = {"apigateway:GetExport": 1}


@pytest.mark.long
@pytest.mark.local
def test_nothing_is_read_twice_of_an_unchanged_stack() -> None:
    found = unchanged.measure(2, lambda _: None, QUIET)
    commands = found["commands"]
    for command in unchanged.COMMANDS:
        assert commands[command]["again"] == 0
        assert commands[command]["calls"]["write"] == {}
        assert commands[command]["calls"]["refused"] == {}
        assert len(commands[command]["all_process_s"]) == 2
    assert commands["up"]["calls"]["read"] == READ_BY_UP
    assert commands["plan"]["calls"]["read"] == READ_BY_UP
    assert commands["status"]["calls"]["read"] == READ_BY_UP | READ_BY_STATUS_BESIDES


def test_what_is_read_again_is_counted_by_what_it_is_about() -> None:
    def read(name: str, **about: str) -> Call:
        return Call(Operation("iam", name, about), 0, 1, 200)

    one, other = read("GetRole", RoleName="r"), read("GetRole", RoleName="s")
    write = read("CreateRole", RoleName="r")
    assert unchanged.again([one, other, write, write]) == 0
    assert unchanged.again([one, other, one, one, read("GetRolePolicy", RoleName="r")]) == 2


def one_command(process_s: float, again: int) -> dict[str, Any]:
    counted = {"write": {}, "read": {"iam:GetRole": 5}, "refused": {}}
    return {"process_s": process_s, "calls_s": 1.5, "calls": counted, "again": again}


@pytest.mark.local
@pytest.mark.parametrize(
    ("plans", "again", "goals"),
    [
        ((1.0, 1.1, 1.2), 0, ("| 1.00 | yes", "repeat no read | 0 | yes")),
        ((3.0,) * 3, 1, ("| 2.73 | no", "repeat no read | 1 | no")),
    ],
)
def test_the_report_of_an_unchanged_stack_has_its_goals(
    plans: tuple[float, ...], again: int, goals: tuple[str, ...]
) -> None:
    runs = {
        "up": [one_command(seconds, 0) for seconds in (1.0, 1.1, 1.2)],
        "plan": [one_command(seconds, again) for seconds in plans],
        "status": [one_command(1.1, 0)] * 3,
    }
    results: dict[str, Any] = {"machine": report.machine(), "date": "2026-11-24"}
    results["unchanged"] = {**results, **unchanged.summary(runs), "rounds": 3, "load": 0.5}
    page = report.markdown(results)
    for goal in goals:
        assert f" {goal} |" in page
    assert "| `status` | 1.10 | 1.50 | 1.00 (0.96 to 1.05) | 1.00 (1.00 to 1.00) | 5 | 0 |" in page
    assert "| iam:GetRole | 5 | 5 | 5 |" in page
    assert "The part" not in page
    results["date"] = "2026-11-25"
    assert (
        f"The part `unchanged` was measured on {report.where(results['unchanged'])}."
        in report.markdown(results)
    )
