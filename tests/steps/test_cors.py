"""CORS: what `up --cors-origin` sets, takes back, and never lets in."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from cogauth import cors, engine
from cogauth.aws.answers import Field
from cogauth.record.records import CREATED, CREATING
from cogauth.settings import Settings
from cogauth.steps.methods import FUNCTION_FAILED, SignInIntegration, response_template
from support.account import Account, Silent, agree
from support.calls import Call, refusal
from support.faults import FAULTS, Fault, nth, run_with_fault
from support.origins import ONE, SEVERAL
from support.stacks import STACK, UNCHANGED, configuration, existing, fact, stage
from support.tampers import change_template
from support.templates import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.commands import Cli

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)
OTHER = ("http://localhost:3000",)
ANY = ("*",)
NONE: tuple[str, ...] = ()
CHOICES = {"none": NONE, "one": ONE, "other": OTHER, "any": ANY, "several": SEVERAL}
RESPONSES = ["ACCESS_DENIED", "DEFAULT_4XX", "DEFAULT_5XX", "UNAUTHORIZED"]
HEADER = "gatewayresponse.header.Access-Control-Allow-Origin"
ALLOW_ORIGIN = "method.response.header.Access-Control-Allow-Origin"
DEFAULT_TEMPLATE = {"application/json": '{"message":$context.error.messageString}'}


# ---- The settings


def test_settings_of_a_state_file_without_them_have_none() -> None:
    data = Settings(cors_origins=ONE).to_json()
    assert Settings.from_json(json.loads(json.dumps(data))).cors_origins == ONE
    del data["cors_origins"]
    assert Settings.from_json(data) == Settings()


# ---- What the API has


def place(account: Account) -> dict[str, str]:
    return {"restApiId": fact(account, "rest_api")}


def gateway_responses(account: Account) -> dict[str, dict[str, Any]]:
    """Return the gateway responses that somebody set, by type."""
    found = account.client("apigateway").get_gateway_responses(**place(account))["items"]
    return {one["responseType"]: one for one in found if not one.get("defaultResponse")}


def method(account: Account, resource: str, http_method: str) -> dict[str, Any]:
    found: dict[str, Any] = account.client("apigateway").get_method(
        **place(account), resourceId=fact(account, f"{resource}_resource"), httpMethod=http_method
    )
    return found


def answers(account: Account, resource: str, http_method: str) -> dict[str, Any]:
    found = method(account, resource, http_method)["methodIntegration"]["integrationResponses"]
    assert isinstance(found, dict)
    return found


def planned(account: Account, key: str, origins: tuple[str, ...]) -> list[Field]:
    """Return how a resource differs from what it would be with other origins."""
    rows = engine.plan(account.context(cors_origins=origins), Silent()).rows
    return next(row.fields for row in rows if row.resource.key == key)


def existing_with(origins: tuple[str, ...]) -> list[str]:
    more = ["method OPTIONS /signin 200", "method OPTIONS /hello 200"] if origins else []
    if len(origins) == 1:
        more += [f"gateway response {name}" for name in RESPONSES]
    return sorted([*STACK, *more])


def test_without_it_nothing_of_cors_is_set(account: Account) -> None:
    account.stands()
    assert existing(account) == STACK
    assert gateway_responses(account) == {}
    for resource, http_method in (("sign_in", "POST"), ("hello", "GET")):
        for answer in answers(account, resource, http_method).values():
            assert not answer.get("responseParameters")
            assert "Origin" not in json.dumps(answer)


@pytest.mark.parametrize("origins", [ONE, ANY])
def test_one_origin_is_a_fixed_header_everywhere(
    account: Account, origins: tuple[str, ...]
) -> None:
    account.up(cors_origins=origins)
    assert existing(account) == existing_with(origins)
    quoted = f"'{origins[0]}'"
    for resource, http_method in (("sign_in", "POST"), ("hello", "GET")):
        for answer in answers(account, resource, http_method).values():
            assert answer["responseParameters"] == {ALLOW_ORIGIN: quoted}
    assert sorted(gateway_responses(account)) == RESPONSES
    for response in gateway_responses(account).values():
        assert response["responseParameters"] == {HEADER: quoted}
        # Headers only: a status or a body would apply to every response of this type.
        assert "statusCode" not in response
        assert not response.get("responseTemplates")


@pytest.mark.parametrize("origins", [ONE, ANY, SEVERAL])
def test_a_preflight_is_open_to_anyone_and_answers_by_itself(
    account: Account, origins: tuple[str, ...]
) -> None:
    account.up(cors_origins=origins)
    for resource, http_method in (("sign_in", "POST"), ("hello", "GET")):
        preflight = method(account, resource, "OPTIONS")
        assert preflight["authorizationType"] == "NONE"
        assert not preflight.get("authorizerId")
        assert not preflight.get("apiKeyRequired")
        integration = preflight["methodIntegration"]
        assert integration["type"] == "MOCK"
        assert integration["requestTemplates"] == {"application/json": '{"statusCode": 200}'}
        (answer,) = integration["integrationResponses"].values()
        sent = cors.sent(answer)
        assert sent["Access-Control-Allow-Methods"] == f"'OPTIONS,{http_method}'"
        assert sent["Access-Control-Allow-Headers"] == "'Authorization,Content-Type'"
        assert int(sent["Access-Control-Max-Age"].strip("'")) == 600
        assert "Access-Control-Allow-Credentials" not in sent
        if len(origins) == 1:
            assert sent["Access-Control-Allow-Origin"] == f"'{origins[0]}'"
            assert "Vary" not in sent
        else:
            assert "Access-Control-Allow-Origin" not in sent
            assert sent["Vary"] == "'Origin'"
    # The guard is unchanged.
    assert method(account, "hello", "GET")["authorizationType"] == "COGNITO_USER_POOLS"


def test_of_several_origins_a_template_names_one_and_the_gateway_none(account: Account) -> None:
    account.up(cors_origins=SEVERAL)
    assert existing(account) == existing_with(SEVERAL)
    assert gateway_responses(account) == {}
    for resource, http_method in (
        ("sign_in", "POST"),
        ("hello", "GET"),
        ("sign_in", "OPTIONS"),
        ("hello", "OPTIONS"),
    ):
        for answer in answers(account, resource, http_method).values():
            assert cors.sent(answer)["Vary"] == "'Origin'"
            assert ALLOW_ORIGIN not in answer["responseParameters"]
            template = answer["responseTemplates"]["application/json"]
            assert template.startswith(cors.origin_template(SEVERAL))


def test_the_answers_themselves_are_what_they_were(account: Account) -> None:
    account.stands()
    before = {name: answers(account, *name) for name in (("sign_in", "POST"), ("hello", "GET"))}
    account.up(cors_origins=SEVERAL)
    for name, was in before.items():
        now = answers(account, *name)
        assert set(now) == set(was)
        for status, answer in now.items():
            template = answer["responseTemplates"]["application/json"]
            text = template.removeprefix(cors.origin_template(SEVERAL)).removeprefix("\n")
            assert text == was[status]["responseTemplates"]["application/json"]
            assert answer.get("selectionPattern") == was[status].get("selectionPattern")


# ---- On an existing stack


@pytest.fixture(scope="module")
def clean_worlds() -> dict[str, Any]:
    """The worlds of stacks that were made with a choice from the start, by choice."""
    return {}


@pytest.mark.parametrize(
    ("before", "later"),
    [
        *(("none", "one"), ("one", "none"), ("none", "several"), ("several", "none")),
        *(("one", "several"), ("several", "one"), ("one", "other"), ("one", "any")),
        *(("any", "several"), ("any", "none"), ("one", "one"), ("several", "several")),
    ],
)
@pytest.mark.sample(10)
def test_changed_it_is_as_if_made_so_from_the_start(
    account: Account, clean_worlds: dict[str, Any], before: str, later: str
) -> None:
    if later not in clean_worlds:
        account.up(cors_origins=CHOICES[later])
        clean_worlds[later] = configuration(account)
        account.down()
    account.up(cors_origins=CHOICES[before])
    former = stage(account)["deploymentId"]
    with account.calls.watched() as calls:
        actions = account.up(cors_origins=CHOICES[later])
    assert configuration(account) == clean_worlds[later]
    changed = {step for step, action in actions.items() if action != "unchanged"}
    if before == later:
        assert changed == set()
        return
    assert changed == {"rest_api", "protected_method", "deployment"}
    # A deployment is a snapshot: it must follow the last change, or clients don't see the change.
    writes = [call.operation for call in calls if call.mutating]
    assert writes.index("CreateDeployment") == len(writes) - 3
    assert writes[-2:] == ["UpdateStage", "DeleteDeployment"]
    assert stage(account)["deploymentId"] == fact(account, "deployment") != former
    assert account.up() == UNCHANGED
    assert account.state().settings.cors_origins == CHOICES[later]


def test_what_is_only_taken_away_is_deployed_too(account: Account) -> None:
    account.stands()
    before, former = configuration(account), stage(account)["deploymentId"]
    account.client("apigateway").put_method(
        **place(account),
        resourceId=fact(account, "hello_resource"),
        httpMethod="OPTIONS",
        authorizationType="NONE",
    )
    state = account.state()
    record = {"status": CREATED, "id": "OPTIONS /hello"}
    state.put("resources", "hello_preflight", record)
    actions = account.up()
    assert actions == {**UNCHANGED, "protected_method": "updated", "deployment": "created"}
    assert stage(account)["deploymentId"] != former
    assert configuration(account) == before


@pytest.mark.parametrize("origins", [ONE, SEVERAL])
def test_down_takes_it_along(account: Account, origins: tuple[str, ...]) -> None:
    account.up(cors_origins=origins)
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []
    deleted = {entry["id"] for entry in result.deleted}
    assert {"OPTIONS /signin", "OPTIONS /hello"} <= deleted


CORS_FAULTS: dict[str, Fault] = {
    **{name: FAULTS[name] for name in ("stopped after", "stopped before", "answer lost", "denied")},
    "conflict": (lambda _: refusal(409, "ConflictException", "concurrent modification"), None),
}


@pytest.mark.parametrize("fault", CORS_FAULTS)
@pytest.mark.parametrize(
    ("before", "later"), [("none", "one"), ("one", "none"), ("one", "several")]
)
@pytest.mark.sample(16)
def test_after_a_fault_at_any_call_of_a_change(
    account: Account, pytestconfig: pytest.Config, before: str, later: str, fault: str
) -> None:
    account.up(cors_origins=CHOICES[later])
    clean = configuration(account)
    account.up(cors_origins=CHOICES[before])
    with account.calls.watched() as calls:
        account.up(cors_origins=CHOICES[later])
    total = sum(call.mutating for call in calls)
    step = 1 if pytestconfig.getoption("--all-faults") else 4 * len(CORS_FAULTS)
    for number in range(2 * list(CORS_FAULTS).index(fault) % step, total, step):
        account.up(cors_origins=CHOICES[before])
        change = functools.partial(account.up, cors_origins=CHOICES[later])
        met, error = run_with_fault(account, change, CORS_FAULTS[fault], nth(number, mutating=True))
        assert met
        # `up` waits for temporary errors to pass.
        assert not (error and fault == "conflict")
        # The user may then want to continue or to go back.
        account.up()
        assert configuration(account) == clean, number
        assert account.up() == UNCHANGED
    result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


def test_taken_back_a_create_that_lands_late_is_gone_too(account: Account) -> None:
    """The intent is on disk but the method isn't there yet: `up` waits for it, then deletes it."""
    account.stands()
    state = account.state()
    since = "1970-01-01T00:00:00+00:00"
    state.put("resources", "sign_in_preflight", {"status": CREATING, "since": since})
    ctx = account.context()
    ctx.now = lambda: 1.0
    api = account.client("apigateway")
    looked: list[str] = []

    def land(call: Call) -> None:
        if call.operation == "GetMethod" and call.sent["url_path"].endswith("/OPTIONS"):
            looked.append(call.operation)
            if len(looked) == 3:
                api.put_method(
                    **place(account),
                    resourceId=fact(account, "sign_in_resource"),
                    httpMethod="OPTIONS",
                    authorizationType="NONE",
                )

    with account.calls.watched(after=land):
        engine.up(ctx, Silent())
    assert len(looked) >= 3
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_stack_whose_responses_declare_no_header_is_mended_when_it_matters(
    account: Account,
) -> None:
    """API Gateway refuses a header that the method response doesn't declare."""
    account.stands()
    api, names = account.client("apigateway"), place(account)
    where = {**names, "resourceId": fact(account, "hello_resource"), "httpMethod": "GET"}
    api.delete_method_response(**where, statusCode="200")
    api.put_method_response(**where, statusCode="200")
    assert account.up() == UNCHANGED
    path = f"methodResponses.200.responseParameters.{ALLOW_ORIGIN}"
    assert Field(path, None, "false") in planned(account, "protected_method", ONE)
    account.up(cors_origins=ONE)
    declared = method(account, "hello", "GET")["methodResponses"]["200"]["responseParameters"]
    assert declared[ALLOW_ORIGIN] is False
    assert answers(account, "hello", "GET")["200"]["responseParameters"][ALLOW_ORIGIN]


# ---- What was changed behind our back


def delete_preflight(account: Account) -> None:
    account.client("apigateway").delete_method(
        **place(account), resourceId=fact(account, "sign_in_resource"), httpMethod="OPTIONS"
    )


def delete_answer(account: Account) -> None:
    account.client("apigateway").delete_integration(
        **place(account), resourceId=fact(account, "hello_resource"), httpMethod="OPTIONS"
    )


def guard_preflight(account: Account) -> None:
    account.client("apigateway").update_method(
        **place(account),
        resourceId=fact(account, "hello_resource"),
        httpMethod="OPTIONS",
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}],
    )


def let_all_in(account: Account) -> None:
    account.client("apigateway").put_integration_response(
        **place(account),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
        statusCode="200",
        responseParameters={ALLOW_ORIGIN: "'*'"},
        responseTemplates={"application/json": response_template()},
    )


def delete_gateway_response(account: Account) -> None:
    account.client("apigateway").delete_gateway_response(
        **place(account), responseType="UNAUTHORIZED"
    )


def let_all_read_refusals(account: Account) -> None:
    account.client("apigateway").put_gateway_response(
        **place(account),
        responseType="DEFAULT_4XX",
        responseParameters={HEADER: "method.request.header.Origin"},
    )


@pytest.mark.parametrize(
    ("tamper", "step"),
    [
        (delete_preflight, "rest_api"),
        (delete_answer, "protected_method"),
        (guard_preflight, "protected_method"),
        (let_all_in, "rest_api"),
        (delete_gateway_response, "rest_api"),
        (let_all_read_refusals, "rest_api"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.sample(6)
def test_up_restores_it(account: Account, tamper: Callable[[Account], None], step: str) -> None:
    account.up(confirm=agree, cors_origins=ONE)
    before = configuration(account)
    tamper(account)
    assert configuration(account) != before
    actions = account.up(confirm=agree)
    assert {name for name, action in actions.items() if action != "unchanged"} == {
        step,
        "deployment",
    }
    assert configuration(account) == before
    assert account.up(confirm=agree) == UNCHANGED


def test_a_plan_names_a_header_that_somebody_added(account: Account) -> None:
    account.stands()
    let_all_in(account)
    rows = {row.resource.key: row for row in engine.plan(account.context(), Silent()).rows}
    (header,) = rows["sign_in_integration"].fields
    assert header.path == "integrationResponses.200.responseParameters"
    assert (header.old, header.new) == ({"Access-Control-Allow-Origin": "'*'"}, {})
    # What differs otherwise says so itself.
    change_template(account)
    rows = {row.resource.key: row for row in engine.plan(account.context(), Silent()).rows}
    differing = {each.path.partition("500.")[2] for each in rows["sign_in_integration"].fields}
    assert {"selectionPattern", "responseTemplates.application/json"} <= differing
    assert "responseParameters" not in differing


def test_what_someone_else_set_of_a_gateway_response_stays(account: Account) -> None:
    account.stands()
    api = account.client("apigateway")
    theirs = {
        "UNAUTHORIZED": {
            "statusCode": "418",
            "responseTemplates": {"application/json": '{"error": "no"}'},
            "responseParameters": {"gatewayresponse.header.X-Team": "'billing'"},
        },
        "ACCESS_DENIED": {"statusCode": "404", "responseTemplates": DEFAULT_TEMPLATE},
        "DEFAULT_5XX": {"responseTemplates": {"application/json": "{}"}},
    }
    for kind, given_ in theirs.items():
        api.put_gateway_response(**place(account), responseType=kind, **given_)
    before = configuration(account)
    account.up(cors_origins=ONE)
    for kind, given_ in theirs.items():
        found = gateway_responses(account)[kind]
        headers = given_.get("responseParameters", {})
        assert found["responseParameters"] == {**headers, HEADER: "'https://app.example'"}
        assert found.get("statusCode") == given_.get("statusCode")
        assert found["responseTemplates"] == given_["responseTemplates"]
    header = Field(f"responseParameters.{HEADER}", f"'{ONE[0]}'", f"'{OTHER[0]}'")
    assert planned(account, "access_denied_response", OTHER) == [header]
    account.up(cors_origins=OTHER)
    account.up(cors_origins=NONE)
    after = configuration(account)
    for world in (before, after):
        for found in world["api STACK"][0]["gateway responses"]:
            found["responseParameters"] = found.get("responseParameters") or {}
    assert after == before


def test_a_response_that_is_a_default_but_for_the_header_is_deleted(account: Account) -> None:
    account.up(cors_origins=ONE)
    for kind, status in (("UNAUTHORIZED", "401"), ("ACCESS_DENIED", "403")):
        account.client("apigateway").put_gateway_response(
            **place(account),
            responseType=kind,
            statusCode=status,
            responseTemplates=DEFAULT_TEMPLATE,
            responseParameters={HEADER: f"'{ONE[0]}'"},
        )
    account.up(cors_origins=NONE)
    assert gateway_responses(account) == {}


def test_an_inherited_header_is_not_taken_for_a_response_of_its_own(account: Account) -> None:
    """While nobody sets UNAUTHORIZED, AWS describes it with the headers of DEFAULT_4XX."""
    account.up(cors_origins=ONE)
    delete_gateway_response(account)
    shown = account.client("apigateway").get_gateway_response(
        **place(account), responseType="UNAUTHORIZED"
    )
    assert shown["defaultResponse"]
    assert HEADER in shown["responseParameters"]
    assert account.up()["rest_api"] == "updated"
    assert "UNAUTHORIZED" in gateway_responses(account)


# ---- A lost state file


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.sample(6)
def test_recover_reads_the_origins_off_what_stands(account: Account, name: str) -> None:
    account.up(cors_origins=CHOICES[name], path="/enter")
    before = configuration(account)
    account.path().unlink()
    assert account.recover().settings.cors_origins == CHOICES[name]
    changed = {step for step, action in account.up().items() if action != "unchanged"}
    assert changed == {"deployment"}
    assert configuration(account) == before


def test_origins_that_are_not_ours_are_not_read(account: Account) -> None:
    account.up(cors_origins=ONE)
    for value in ("'null'", "integration.response.header.x", "''", "'https://a.example/'"):
        response = {"responseParameters": {ALLOW_ORIGIN: value}}
        assert cors.origins_of(response) == ()
    assert cors.origins_of({"responseTemplates": {"application/json": "$lower == 'x'"}}) == ()
    assert cors.origins_of({}) == cors.origins_of({"responseParameters": None}) == ()


# ---- The templates


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "success", "id_token": "a"}, None),
        ({"status": "fail", "code": "wrong_credentials", "msg": "no"}, 401),
        ({"errorMessage": "boom"}, 500),
    ],
)
def test_the_sign_ins_answer_keeps_its_status_and_names_the_origin(
    body: dict[str, Any], status: int | None
) -> None:
    answer = cors.with_origin(SignInIntegration().responses()["200"], SEVERAL, "application/json")
    template = answer["responseTemplates"]["application/json"]
    rendered = render(template, body, {"origin": SEVERAL[1]})
    assert rendered.status == status
    assert rendered.headers == {"Access-Control-Allow-Origin": SEVERAL[1]}
    assert json.loads(rendered.text) == (json.loads(FUNCTION_FAILED) if status == 500 else body)
    crashed = cors.with_origin(SignInIntegration().responses()["500"], SEVERAL, "application/json")
    assert crashed["selectionPattern"]
    rendered = render(
        crashed["responseTemplates"]["application/json"], None, {"Origin": SEVERAL[0]}
    )
    assert rendered.headers == {"Access-Control-Allow-Origin": SEVERAL[0]}
    assert json.loads(rendered.text) == json.loads(FUNCTION_FAILED)


# ---- The command


@pytest.fixture
def here(cli: Cli, endpoint: str, tmp_path: Path) -> Cli:
    """A command line whose stack has its own name."""
    cli.env.update(COGAUTH_STACK=tmp_path.name[-30:], COGAUTH_ENDPOINT_URL=endpoint)
    return cli


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["*", "https://app.example"], "give it alone"),
        (["none", "https://app.example"], "'none'"),
    ],
)
def test_what_stands_alone_is_refused_beside_others(cli: Cli, words: list[str], named: str) -> None:
    options = [word for origin in words for word in ("--cors-origin", origin)]
    nobody = {"COGAUTH_ENDPOINT_URL": "http://127.0.0.1:1"}
    refused = cli.run("up", *options, **nobody).must(2)
    assert named in refused.err
    assert not cli.state.exists()
    assert list(cli.folder.glob(".cogauth/*")) == []


@pytest.mark.long
@pytest.mark.local
def test_the_command_says_what_it_lets_in_and_what_it_can_not(here: Cli) -> None:
    first = here.run("up", "--cors-origin", "https://app.example").must()
    assert "browsers   pages of https://app.example\n" in first.out
    assert "CORS" not in first.err
    assert "Warning" not in first.err
    bad = here.run("up", COGAUTH_CORS_ORIGIN="https://a.example https://app.example:443").must(2)
    assert "--cors-origin 'https://app.example:443'" in bad.err

    origins = {"COGAUTH_CORS_ORIGIN": "https://b.example https://a.example https://a.example"}
    several = here.run("up", "--json", **origins).must()
    assert several.document["cors_origins"] == ["https://a.example", "https://b.example"]
    assert "can't read API Gateway's own refusals" in several.err

    again = here.run("up", "--json").must()
    assert again.document["cors_origins"] == ["https://a.example", "https://b.example"]
    assert {step["action"] for step in again.document["steps"]} == {"unchanged"}

    everyone = here.run("up", "--cors-origin", "*").must()
    assert "Warning: --cors-origin '*' lets any web page call the API" in everyone.err
    assert "browsers   pages of any origin\n" in everyone.out

    nobody = here.run("up", "--cors-origin", "none").must()
    assert "browsers" not in nobody.out
    assert "sign-in preflight: delete it" in nobody.err
    assert here.run("up", "--json").must().document["cors_origins"] == []
    here.run("down", "--yes").must()
