"""The live check of the guard on the local AWS, and the user that it creates and removes."""

from __future__ import annotations

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.config import Config

from cogauth.aws.waiting import Waiter
from cogauth.checks.verify import guard as guarding
from cogauth.checks.verify import run as verifying
from cogauth.checks.verify import subject
from cogauth.checks.verify.run import Verification, verify
from cogauth.checks.verify.subject import Row, find_subject
from cogauth.client import calls, token_store, tokens
from cogauth.context import Context
from cogauth.errors import CogauthError, LoginError, StateError, UsageError
from cogauth.gateway.rest_apis import COGNITO, Guard, Route
from cogauth.record import state as state_file
from cogauth.record.state import State
from cogauth.settings import Settings
from support.calls import refusal
from support.clock import FakeTime
from support.commands import KEYS, Cli, command_line, in_process
from support.local_aws import MOCK, client, keys_at
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.proxies import Call, Gate, Proxy, Strike
from support.servers import Answer, Fixed, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cogauth.record.records import Attachment, Authorization
    from support.commands import Running

USER = "cogauth-verify-" + "0" * 32
ORIGIN = "https://app.example"
CHECKS = [
    *("trigger fires", "wrong password", "no token", "garbage", "tampered token"),
    *("ID token", "access token", "expired token", "OPTIONS", "CORS headers"),
]


@dataclass
class Checked(LocalStack):
    """A stack with its checks, and with methods that change what is checked."""

    def context(self) -> Context:
        fake = self.aws.stop = FakeTime()
        return Context(self.aws, self.state, Waiter(clock=fake, stop=fake), settle_s=0)

    def verify(self, **target: Any) -> tuple[dict[str, Row], Verification]:
        ctx = self.context()
        told: list[Row] = []
        # Deployed long ago, so that there is no waiting.
        found = replace(find_subject(ctx, **target), deployed_at=0.0)
        result = verify(ctx, found, told.append)
        assert tuple(told) == result.rows
        return {row.check: row for row in result.rows}, result

    def users(self) -> list[str]:
        users = self.cognito.list_users(UserPoolId=self.up["user_pool_id"])["Users"]
        return [user["Username"] for user in users]

    def method(self, path: str, verb: str = "GET") -> dict[str, str]:
        api = self.up["rest_api_id"]
        items = self.gateway.get_resources(restApiId=api)["items"]
        resource = next(item["id"] for item in items if item["path"] == path)
        return {"restApiId": api, "resourceId": resource, "httpMethod": verb}

    def add(self, name: str, **method: Any) -> dict[str, str]:
        """Add GET /name, guarded by the stack's own authorizer."""
        place = self.method("/hello") | {"httpMethod": "GET"}
        api = {"restApiId": place["restApiId"]}
        root = next(r for r in self.gateway.get_resources(**api)["items"] if r["path"] == "/")
        made = self.gateway.create_resource(**api, parentId=root["id"], pathPart=name)
        place["resourceId"] = made["id"]
        self.gateway.put_method(
            **place,
            authorizationType="COGNITO_USER_POOLS",
            authorizerId=self.up["authorizer_id"],
            **method,
        )
        self.gateway.put_integration(**place, **MOCK)
        self.gateway.put_integration_response(**place, statusCode="200")
        self.deploy()
        return place

    def guard(self, place: dict[str, str], **change: str) -> None:
        patch = [{"op": "replace", "path": f"/{k}", "value": v} for k, v in change.items()]
        self.gateway.update_method(**place, patchOperations=patch)
        self.deploy()

    def deploy(self) -> None:
        self.gateway.create_deployment(restApiId=self.up["rest_api_id"], stageName="dev")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    with (
        command_line(tmp_path_factory.mktemp("checked"), COGAUTH_STACK="checked") as cli,
        Checked.made(cli, "--local", "--region", REGION) as made,
    ):
        yield made


@pytest.mark.local
def test_a_guard_that_guards(checked: Checked) -> None:
    rows, result = checked.verify()
    assert list(rows) == CHECKS
    assert result.ok
    assert {name: row.got for name, row in rows.items() if row.ok} == {
        "trigger fires": "signed up, CONFIRMED",
        "wrong password": "wrong_credentials",
        "no token": "401",
        "garbage": "401",
        "tampered token": "401",
        "ID token": "200",
        "access token": "401",
    }
    assert "AWS refuses access tokens" in rows["access token"].note
    for name in ("expired token", "OPTIONS", "CORS headers"):
        assert (rows[name].got, rows[name].ok) == ("", None)
        assert rows[name].note
    assert checked.users() == []
    assert checked.state.throwaway_users == {}


@pytest.mark.local
def test_the_command_reads_well_off_a_terminal_and_on_one(checked: Checked) -> None:
    done = checked.cli.run("verify").must()
    assert done.out.count("\n") == len(CHECKS) + 1
    assert "✓ ok      no token             expected 401, got 401 (GET /hello, no token)" in done.out
    assert done.out.endswith("✓ All 7 checks passed; 3 could not be made.\n")
    document = checked.cli.run("verify", "--json").must().document
    fields = ["ok", "rest_api_id", "stage", "url", "rows", "missing", "left", "elapsed_s"]
    assert list(document) == fields
    assert list(document["rows"][0]) == ["check", "sent", "expected", "got", "ok", "note"]
    assert (document["ok"], document["rest_api_id"]) == (True, checked.up["rest_api_id"])
    rows = {row["check"]: row for row in document["rows"]}
    assert (rows["no token"]["expected"], rows["no token"]["got"]) == (401, 401)
    assert rows["wrong password"]["got"] == "wrong_credentials"
    assert (document["missing"], document["left"]) == (None, None)
    assert f"{document['url']}/hello" == checked.up["protected_url"]
    table = checked.cli.on_terminal("verify")
    assert table.ended() == 0
    assert "All 7 checks passed" in table.plain
    last = table.plain.rsplit("trigger fires", 1)[1]
    assert "tampered token" in last
    # The verdict comes first and is never truncated.
    assert "✓ ok       tampered token  GET /hello, tampered token: 401" in last
    assert "- skipped  OPTIONS         OPTIONS /hello: not made, see below" in last
    assert table.text.rindex("\x1b[?25h") > table.text.rindex("\x1b[?25l")
    assert checked.users() == []


@pytest.mark.local
def test_a_row_that_differs_is_exit_1(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    place = checked.method("/hello")
    # Otherwise the previous deployment could still be answering.
    monkeypatch.setattr(guarding, "READY_WITHIN_S", 0)
    monkeypatch.chdir(checked.cli.folder)
    for name, value in checked.cli.env.items():
        monkeypatch.setenv(name, value)
    checked.guard(place, authorizationType="NONE")
    try:
        done = in_process("verify", "--json").must(1)
        rows = done.document["rows"]
        assert not done.document["ok"]
        differ = {row["check"]: row["got"] for row in rows if row["ok"] is False}
        let_pass = ("no token", "garbage", "tampered token", "access token")
        assert differ == dict.fromkeys(let_pass, 200)
        url = checked.up["protected_url"]
        assert all(f"'cogauth explain {url}'" in r["note"] for r in rows if r["ok"] is False)
    finally:
        authorizer = checked.up["authorizer_id"]
        checked.guard(place, authorizationType="COGNITO_USER_POOLS", authorizerId=authorizer)
    assert checked.users() == []


@pytest.mark.local
def test_a_trigger_that_does_not_fire(checked: Checked) -> None:
    pool = checked.up["user_pool_id"]
    # Settings that aren't given would be reset, and a pool without its tags has no owner.
    live = checked.cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    kept = {name: live[name] for name in ("UserPoolTags", "Policies", "AdminCreateUserConfig")}
    checked.cognito.update_user_pool(UserPoolId=pool, **kept, LambdaConfig={})
    try:
        done = checked.cli.run("verify", "--json").must(1)
        rows = {row["check"]: row for row in done.document["rows"]}
        fires = rows["trigger fires"]
        assert (fires["got"], fires["ok"]) == ("user_unconfirmed, UNCONFIRMED", False)
        assert "not been confirmed" in fires["note"]
        # Checks that need no token are still made.
        assert rows["no token"]["ok"]
        assert (rows["ID token"]["ok"], rows["ID token"]["note"]) == (
            None,
            "the sign-up gave no token",
        )
    finally:
        checked.cli.run("up", "--yes").must()
    assert checked.users() == []


@pytest.mark.local
@pytest.mark.parametrize(
    ("scope", "access"), [("aws.cognito.signin.user.admin", "200"), ("shop/read", "401")]
)
def test_scopes_turn_the_tokens_round(checked: Checked, scope: str, access: str) -> None:
    place = checked.add("scoped", authorizationScopes=[scope])
    try:
        rows, result = checked.verify(path="/scoped")
        assert result.ok
        assert (rows["ID token"].got, rows["access token"].got) == ("401", access)
        assert scope in f"{rows['ID token'].note}{rows['access token'].note}"
    finally:
        checked.gateway.delete_resource(
            restApiId=place["restApiId"], resourceId=place["resourceId"]
        )


def all_of(token: str) -> dict[str, str]:
    """The stored tokens of a login, all replaced by one token."""
    return dict.fromkeys(tokens.NAMES, token)


@pytest.mark.local
def test_an_expired_token_of_an_earlier_login(checked: Checked) -> None:
    """It is from an app client whose tokens live for less than Cognito's minimum, 5 minutes."""
    ctx, pool = checked.context(), {"UserPoolId": checked.up["user_pool_id"]}
    cognito = client(
        "cognito-idp", checked.up["endpoint_url"], config=Config(parameter_validation=False)
    )
    checked.cli.login("ann", PASSWORD).must()
    short = cognito.create_user_pool_client(
        **pool,
        ClientName="short",
        ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        IdTokenValidity=-60,
        TokenValidityUnits={"IdToken": "seconds"},
    )["UserPoolClient"]["ClientId"]
    try:
        old = cognito.admin_initiate_auth(
            **pool,
            ClientId=short,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ann", "PASSWORD": PASSWORD},
        )["AuthenticationResult"]["IdToken"]
        # A token that the pool didn't make, or that is still valid, isn't used for this.
        header, payload, _ = old.split(".")
        token_store.store(ctx.state, "eve", all_of(f"{header}.{payload}.c2lnbmF0dXJl"))
        rows, _ = checked.verify()
        assert (rows["expired token"].got, rows["expired token"].ok) == ("", None)
        token_store.store(ctx.state, "ann", all_of(old))
        rows, result = checked.verify()
        assert (rows["expired token"].got, rows["expired token"].ok) == ("401", True)
        assert result.ok
    finally:
        checked.cognito.admin_delete_user(**pool, Username="ann")
        checked.cognito.delete_user_pool_client(**pool, ClientId=short)
        ctx.state.tokens_path.unlink()


# CORS


@pytest.mark.local
def test_where_cors_is_on_both_answers_can_be_read(checked: Checked) -> None:
    # Simulates an API that lost what 'up --cors-origin' set.
    state = checked.state
    state.settings = replace(state.settings, cors_origins=(ORIGIN,))
    state.save()
    place = checked.method("/hello")
    api = checked.up["rest_api_id"]
    rows, result = checked.verify()
    # It has neither an OPTIONS method nor a header yet.
    assert not result.ok
    differ = [name for name, row in rows.items() if row.ok is False]
    assert differ == ["OPTIONS", "CORS headers on 401", "CORS headers on 200"]
    assert rows["CORS, other origin"].ok
    assert rows["CORS headers on 401"].got == "none"

    options = {**place, "httpMethod": "OPTIONS"}
    checked.gateway.put_method(**options, authorizationType="NONE")
    checked.gateway.put_integration(**options, **MOCK)
    checked.gateway.put_integration_response(**options, statusCode="200")
    header = "header.Access-Control-Allow-Origin"
    checked.gateway.put_integration_response(
        **place, statusCode="200", responseParameters={f"method.response.{header}": f"'{ORIGIN}'"}
    )
    checked.gateway.put_gateway_response(
        restApiId=api,
        responseType="UNAUTHORIZED",
        responseParameters={f"gatewayresponse.{header}": "'*'"},
    )
    deployment = checked.gateway.create_deployment(restApiId=api, stageName="dev")["id"]
    try:
        rows, result = checked.verify()
        assert result.ok
        assert rows["OPTIONS"].got == "200"
        assert rows["CORS headers on 401"].got == "*"
        assert rows["CORS headers on 200"].got == ORIGIN
    finally:
        checked.gateway.delete_method(**options)
        checked.gateway.delete_gateway_response(restApiId=api, responseType="UNAUTHORIZED")
        state.settings = replace(state.settings, cors_origins=())
        state.save()
        checked.cli.run("up").must()
    assert deployment


# Other APIs


@pytest.fixture(scope="module")
def attached(checked: Checked) -> Iterator[str]:
    """Someone else's REST API, with some methods guarded by the stack's pool."""
    gateway = checked.gateway
    api = gateway.create_rest_api(name="orders")["id"]
    authorizer = gateway.create_authorizer(
        restApiId=api,
        name="pool",
        type="COGNITO_USER_POOLS",
        providerARNs=[checked.up["user_pool_arn"]],
        identitySource="method.request.header.X-Auth",
    )["id"]
    ids = {"/": gateway.get_resources(restApiId=api)["items"][0]["id"]}
    for parent, name, verbs in (
        ("/", "orders", ("GET", "POST", "OPTIONS")),
        ("/orders", "{id}", ("GET",)),
        ("/orders", "mine", ("GET",)),
        ("/", "open", ("GET",)),
    ):
        path = f"{parent.rstrip('/')}/{name}"
        made = gateway.create_resource(restApiId=api, parentId=ids[parent], pathPart=name)["id"]
        ids[path] = made
        for verb in verbs:
            place = {"restApiId": api, "resourceId": made, "httpMethod": verb}
            guarded = verb != "OPTIONS" and name not in {"open", "mine"}
            how: dict[str, str] = (
                {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": authorizer}
                if guarded
                else {"authorizationType": "NONE"}
            )
            gateway.put_method(**place, **how)
            gateway.put_integration(**place, **MOCK)
            gateway.put_integration_response(**place, statusCode="200")
    gateway.create_deployment(restApiId=api, stageName="live")
    yield str(api)
    gateway.delete_rest_api(restApiId=api)


@pytest.mark.local
def test_an_attached_api(checked: Checked, attached: str) -> None:
    del attached
    ctx = checked.context()
    target = find_subject(ctx, "orders")
    result = verify(ctx, target, lambda _row: None)
    assert result.ok
    assert target.stage == "live"
    assert [str(place) for place in target.called] == ["GET /orders"]
    rows = {row.check: row for row in result.rows if "not called" not in row.check}
    assert (rows["ID token"].got, rows["ID token"].expected) == ("200", "not 401 or 403")
    assert rows["OPTIONS"].ok
    skipped = [(row.sent, row.note) for row in result.rows if row.check == "not called"]
    assert [name for name, _ in skipped] == ["POST /orders", "GET /orders/{id}"]
    assert "could change something" in skipped[0][1]
    assert "--path /orders/1" in skipped[1][1]
    assert checked.users() == []


@pytest.mark.local
@pytest.mark.parametrize(
    ("path", "called"),
    [("/orders/7", ["GET /orders/7"]), ("/ord*", ["GET /orders"]), ("/orders", ["GET /orders"])],
)
def test_some_of_its_paths(checked: Checked, attached: str, path: str, called: list[str]) -> None:
    ctx = checked.context()
    target = find_subject(ctx, attached, path)
    assert [str(place) for place in target.called] == called
    assert verify(ctx, target, lambda _row: None).ok


def attachment(checked: Checked, methods: dict[str, str]) -> Attachment:
    """A record of methods attached to the stage live, with their status."""
    given: Authorization = {
        "authorizationType": "COGNITO_USER_POOLS",
        "authorizerId": "a1",
        "authorizationScopes": [],
        "apiKeyRequired": False,
    }
    return {
        "name": "orders",
        "stages": ["live"],
        "outdated": [],
        "found": {"live": "d0"},
        "authorizer": {"status": "created", "id": "a1", "pool": checked.up["user_pool_arn"]},
        "methods": {
            name: {"status": status, "resource_id": "r1", "former": given, "ours": [given]}
            for name, status in methods.items()
        },
    }


@pytest.fixture
def recorded(checked: Checked) -> Iterator[Callable[..., Context]]:
    """Return a function that records an API's methods as attached, for this test only."""

    def note(api: str, **status: str) -> Context:
        ctx = checked.context()
        ctx.state.put("attachments", api, attachment(checked, status))
        return ctx

    yield note
    state = checked.state
    state.attachments.clear()
    state.save()


@pytest.mark.local
def test_a_lost_guard_is_a_row_that_differs_without_a_call(
    checked: Checked, attached: str, recorded: Callable[..., Context]
) -> None:
    names = ("POST /orders", "PUT /orders", "GET /open", "GET /orders/mine", "GET /orders")
    ctx = recorded(attached, **dict.fromkeys(names, "attached"))
    target = replace(find_subject(ctx, attached), deployed_at=0.0)
    assert "PUT /orders" not in [str(place) for place in target.called]
    result = verify(ctx, target, lambda _row: None)
    assert not result.ok
    lost = {row.sent: row for row in result.rows if row.check == "guard"}
    # A guard that still works isn't among them, although its path has a new id.
    assert {name: (row.got, row.ok) for name, row in lost.items()} == {
        "PUT /orders": ("gone", False),
        "GET /open": ("NONE", False),
        "GET /orders/mine": ("NONE", False),
    }
    options = ctx.state.options
    for name, command in (
        ("GET /open", f"cogauth attach --api {attached} --path /open --method GET{options}"),
        ("PUT /orders", f"cogauth detach --api {attached} --path /orders --method PUT{options}"),
    ):
        assert f"'{command}'" in lost[name].note
    # Only the requested ones.
    for path, found in (
        ("/op*", ["GET /open"]),
        ("/orders/mine", ["GET /orders/mine"]),
        ("/orders", ["PUT /orders"]),
        ("/orders/7", []),
    ):
        assert [row.sent for row in find_subject(ctx, attached, path).lost] == found
    assert checked.users() == []


@pytest.mark.local
def test_a_lost_guard_is_seen_where_nothing_can_be_called(
    checked: Checked, attached: str, recorded: Callable[..., Context]
) -> None:
    """In an API with no other guarded method, and for a path whose method is gone."""
    api = checked.gateway.create_rest_api(name="bare")["id"]
    root = checked.gateway.get_resources(restApiId=api)["items"][0]["id"]
    place = {"restApiId": api, "resourceId": root, "httpMethod": "POST"}
    checked.gateway.put_method(**place, authorizationType="NONE")
    checked.gateway.put_integration(**place, **MOCK)
    checked.gateway.create_deployment(restApiId=api, stageName="live")
    try:
        with pytest.raises(UsageError, match="guards no method"):
            find_subject(checked.context(), api)
        ctx = recorded(api, **{"POST /": "attached"})
        result = verify(ctx, find_subject(ctx, api), lambda _row: None)
        assert [row.sent for row in result.rows if row.ok is False] == ["POST /"]
    finally:
        checked.gateway.delete_rest_api(restApiId=api)
    target = find_subject(recorded(attached, **{"PUT /gone": "attached"}), attached, "/gone")
    assert [row.sent for row in target.lost] == ["PUT /gone"]
    assert target.called == ()


@pytest.mark.local
def test_the_stage_that_was_attached_to_is_taken(
    checked: Checked, attached: str, recorded: Callable[..., Context]
) -> None:
    checked.gateway.create_deployment(restApiId=attached, stageName="beta")
    ctx = checked.context()
    try:
        with pytest.raises(UsageError, match="several stages: beta, live"):
            find_subject(ctx, attached)
        with pytest.raises(UsageError, match="several stages: beta, live"):
            calls.find_destination(ctx, attached, None)
        ctx = recorded(attached, **{"GET /orders": "attached"})
        assert find_subject(ctx, attached).stage == "live"
        assert find_subject(ctx, attached, stage="beta").stage == "beta"
        assert calls.find_destination(ctx, attached, None).stage == "live"
        assert calls.find_destination(ctx, attached, "beta").stage == "beta"
    finally:
        checked.gateway.delete_stage(restApiId=attached, stageName="beta")


@pytest.mark.local
def test_a_guard_that_was_taken_away_is_seen(checked: Checked, attached: str) -> None:
    ctx = checked.context()
    ctx.state.attachments[attached] = attachment(
        checked, {"GET /open": "attached", "GET /orders/mine": "detached"}
    )
    target = replace(find_subject(ctx, attached), deployed_at=0.0)
    assert [str(place) for place in target.called] == ["GET /open", "GET /orders"]
    first = next(guarding.GuardChecks(ctx, target).rows(target.called[0], {}, {}))
    assert (first.check, first.got, first.ok) == ("no token", "200", False)


@pytest.mark.local
def test_what_can_not_be_called_is_not_said_to_be_guarded(
    checked: Checked, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Route("POST", "/orders", Guard(COGNITO, pools=("arn:pool",)))
    monkeypatch.setattr(subject, "_guarded", lambda *_: [post])
    said = r"No guarded method can be called. POST /orders: it could change something"
    with pytest.raises(UsageError, match=said):
        find_subject(checked.context(), attached)


@pytest.mark.local
def test_bad_input_is_refused_and_changes_nothing(checked: Checked, attached: str) -> None:
    twin = checked.gateway.create_rest_api(name="orders")["id"]
    ctx = checked.context()
    try:
        for api, path, stage, said in (
            ("nothing", None, None, "'nothing': no REST API has that id or name"),
            ("orders", None, None, "'orders': 2 REST APIs have that name"),
            (attached, None, "beta", "has no such stage. It has: live"),
            (attached, "/x*", None, "matches no method"),
            (attached, "/open", None, "give one such as /orders"),
            # A real path leads to one method, and this one isn't guarded.
            (attached, "/orders/mine", None, "matches no method"),
            # A glob is not a real path.
            (attached, "/orders/*", None, "GET /orders/{id}: its path has a parameter"),
            (twin, None, None, "has no stage, so nobody can call it"),
            (None, None, "prod", "has no such stage. It has: dev"),
            (None, "/signin", None, "give one such as /hello"),
        ):
            with pytest.raises(UsageError) as caught:
                find_subject(ctx, api, path, stage)
            assert said in str(caught.value)
        done = checked.cli.run("verify", "--api", "nothing", "--json").must(2)
        assert done.error.startswith("--api 'nothing': no REST API")
    finally:
        checked.gateway.delete_rest_api(restApiId=twin)
    assert checked.users() == []


def test_without_a_stack_it_says_so(cli: Cli) -> None:
    assert "There is no stack here" in cli.run("verify").must(2).err


# The throwaway user


@pytest.mark.local
def test_what_a_crash_left_is_removed(checked: Checked) -> None:
    """The user is recorded before it is made, so a kill never leaves one behind for good."""
    ctx = checked.context()
    run = verifying._Run(ctx, find_subject(ctx), lambda _row: None)  # noqa: SLF001 its user is ours

    def killed(**_: Any) -> None:
        raise SystemExit

    # Between the sign-up and everything after it.
    name = "before-call.cognito-identity-provider.AdminGetUser"
    ctx.aws.cognito.meta.events.register(name, killed)
    try:
        with pytest.raises(SystemExit):
            run.check(verifying.new_user(ctx), PASSWORD)
    finally:
        ctx.aws.cognito.meta.events.unregister(name, killed)
    (left,) = checked.users()
    assert list(checked.state.throwaway_users) == [left]
    _, result = checked.verify()
    assert result.ok
    assert checked.users() == []
    assert checked.state.throwaway_users == {}


@contextmanager
def held(checked: Checked) -> Iterator[tuple[Running, Gate, Proxy]]:
    """A run of the command that has created its user and is held there."""
    gate, state = Gate(), checked.state
    strike = Strike(Call("AdminGetUser", 1), "before", gate)
    url, data = checked.up["endpoint_url"], state.local_data
    keys = dict(zip(KEYS, keys_at(url), strict=True))
    with Proxy(url, "checked", strike) as proxy:
        # Like an emulator that the user named.
        state.endpoint_url, state.local_data = proxy.url, None
        state.save()
        try:
            running = checked.cli.spawn("verify", COGAUTH_ENDPOINT_URL=proxy.url, **keys)
            gate.wait()
            assert len(checked.users()) == 1
            yield running, gate, proxy
        finally:
            if not gate.verdict.done():
                gate.verdict.set_result(False)
            state = checked.state
            state.endpoint_url, state.local_data = url, data
            state.save()


@pytest.mark.local
def test_a_kill_leaves_nothing_for_good(checked: Checked) -> None:
    with held(checked) as (running, _, _):
        running.process.send_signal(signal.SIGKILL)
        running.ended()
    assert checked.users() == list(checked.state.throwaway_users) != []
    checked.cli.run("verify", "--settle", "0").must()
    assert checked.users() == []
    assert checked.state.throwaway_users == {}


@pytest.mark.local
def test_ctrl_c_removes_the_user(checked: Checked) -> None:
    with held(checked) as (running, gate, _):
        running.process.send_signal(signal.SIGINT)
        running.see("Stopping after the calls in flight")
        gate.verdict.set_result(True)
        assert running.ended() == 130
    assert "Its user was deleted" in running.text
    assert "Traceback" not in running.text
    assert checked.users() == []
    assert checked.state.throwaway_users == {}


@pytest.mark.local
def test_ctrl_c_says_so_where_the_user_may_still_exist(checked: Checked) -> None:
    with held(checked) as (running, gate, proxy):

        def lose_each() -> bool:
            number = sum(call.what == "AdminDeleteUser" for call in proxy.seen)
            proxy.strike = Strike(Call("AdminDeleteUser", number + 1), "before", lose_each)
            return False

        # The first call only tested the permission.
        proxy.strike = Strike(Call("AdminDeleteUser", 2), "before", lose_each)
        running.process.send_signal(signal.SIGINT)
        running.see("Stopping after the calls in flight")
        gate.verdict.set_result(True)
        assert running.ended() == 130
    assert "Its user was deleted" not in running.text
    assert "Its user may exist. Run 'cogauth verify" in running.text
    assert checked.users() == list(checked.state.throwaway_users) != []
    checked.cli.run("verify", "--settle", "0").must()
    assert checked.users() == []


@pytest.mark.local
def test_an_error_in_the_middle_removes_the_user(checked: Checked) -> None:
    ctx = checked.context()

    def fail(_row: Row) -> None:
        raise LoginError("the network is gone")

    with pytest.raises(LoginError):
        verify(ctx, find_subject(ctx), fail)
    assert checked.users() == []
    # A run that is stopped from elsewhere deletes it, too.
    ctx = checked.context()
    with pytest.raises(KeyboardInterrupt):
        verify(ctx, find_subject(ctx), lambda _row: ctx.waiter.stop.set())
    assert checked.users() == []
    assert checked.state.throwaway_users == {}
    assert ctx.waiter.stop.is_set()


@pytest.mark.local
def test_who_may_not_remove_a_user_makes_none(checked: Checked) -> None:
    ctx = checked.context()
    denied = denial("AdminDeleteUser")
    events = ctx.aws.cognito.meta.events
    name = "before-call.cognito-identity-provider.AdminDeleteUser"
    events.register(name, denied)
    try:
        with pytest.raises(CogauthError, match=r"cognito-idp:AdminDeleteUser.*None was created"):
            verify(ctx, find_subject(ctx), lambda _row: None)
    finally:
        events.unregister(name, denied)
    assert checked.users() == []
    assert checked.state.throwaway_users == {}


@pytest.mark.local
@pytest.mark.parametrize("fails", [False, True])
def test_a_user_that_can_not_be_removed_stays_on_disk(checked: Checked, *, fails: bool) -> None:
    ctx = checked.context()
    events = ctx.aws.cognito.meta.events
    prefix = "before-call.cognito-identity-provider."
    calls: list[int] = []
    deny = denial("AdminDeleteUser")

    def denied_later(**more: Any) -> Any:
        calls.append(1)
        return deny(**more) if len(calls) > 1 else None

    handlers = {f"{prefix}AdminDeleteUser": denied_later}
    if fails:
        handlers[f"{prefix}AdminGetUser"] = denial("AdminGetUser")
    for name, handler in handlers.items():
        events.register(name, handler)
    try:
        if fails:
            # The run's own error doesn't hide it.
            with pytest.raises(CogauthError, match="Looking up the throwaway user") as caught:
                verify(ctx, find_subject(ctx), lambda _row: None)
            left = str(caught.value)
        else:
            result = verify(ctx, find_subject(ctx), lambda _row: None)
            assert not result.ok
            left = str(result.left)
    finally:
        for name, handler in handlers.items():
            events.unregister(name, handler)
    assert f"Deleting the throwaway user {checked.users()[0]} failed" in left
    assert "The next 'cogauth verify --stack checked --state" in left
    assert checked.users() == list(checked.state.throwaway_users)
    checked.verify()
    assert checked.users() == []


def denial(operation: str) -> Any:
    said = f"User is not authorized to perform: cognito-idp:{operation}"
    return lambda **_: refusal(400, "AccessDeniedException", said)


@pytest.mark.local
def test_a_sign_up_that_may_still_land_is_not_forgotten(checked: Checked) -> None:
    """Its answer was lost, so the user counts as missing only after the settling time."""
    ctx = replace(checked.context(), settle_s=15)
    now = datetime.fromtimestamp(ctx.now(), UTC)
    ctx.state.put("throwaway_users", USER, now.isoformat())
    verifying.remove_users(ctx)
    assert checked.state.throwaway_users == {USER: now.isoformat()}
    later = replace(ctx, now=lambda: now.timestamp() + 16)
    verifying.remove_users(later)
    assert checked.state.throwaway_users == {}
    # A run that got the answer is certain.
    ctx.state.put("throwaway_users", USER, now.isoformat())
    verifying.remove_users(ctx, USER)
    assert checked.state.throwaway_users == {}


@pytest.mark.local
@pytest.mark.parametrize(
    ("code", "got"),
    [
        ("trigger_denied", "signed up, CONFIRMED"),
        ("trigger_failed", "trigger_failed, no such user"),
    ],
)
def test_a_trigger_that_may_not_be_called_yet_is_waited_for_and_a_broken_one_told(
    checked: Checked, code: str, got: str
) -> None:
    refused = json.dumps({"status": "fail", "msg": "no", "code": code})
    first = [Answer(500, refused)]

    def pass_on(request: Request) -> Answer:
        if request.path.endswith("/signin") and first:
            return first.pop()
        headers = {
            key: request.headers[key] for key in ("Authorization",) if key in request.headers
        }
        url = checked.up["endpoint_url"] + request.path
        passed = requests.request(
            request.method, url, headers=headers, data=request.body, timeout=60
        )
        return Answer(passed.status_code, passed.text)

    ctx = checked.context()
    target = replace(find_subject(ctx), deployed_at=0.0)
    with Fixed(pass_on) as between:
        ctx.state.endpoint_url = between.url
        try:
            rows = {row.check: row for row in verify(ctx, target, lambda _row: None).rows}
        finally:
            ctx.state.endpoint_url = checked.up["endpoint_url"]
            ctx.state.save()
    assert (rows["trigger fires"].got, first) == (got, [])
    note = rows["trigger fires"].note
    command = f"cogauth logs --since 10m{checked.context().state.options}"
    assert note.replace(between.url, checked.url) == (
        f"no; run '{command}' to see why" if code == "trigger_failed" else ""
    )
    assert checked.users() == []


@pytest.mark.local
def test_a_sign_up_without_an_answer_is_told(checked: Checked) -> None:
    ctx = checked.context()
    target = find_subject(ctx)
    ctx = replace(ctx, settle_s=15)

    def no_answer(request: Request) -> Answer:
        del request
        return Answer(404, "{}")

    with Fixed(no_answer) as elsewhere:
        ctx.state.endpoint_url = elsewhere.url
        with pytest.raises(LoginError, match="isn't an answer of the sign-in") as caught:
            verify(ctx, target, lambda _row: None)
    (left,) = checked.state.throwaway_users
    assert f"The throwaway user {left} may exist, because" in str(caught.value)
    assert left.startswith("cogauth-verify-")
    later = replace(checked.context(), now=lambda: time.time() + 60)
    later.state.endpoint_url = checked.up["endpoint_url"]
    verifying.remove_users(later)
    assert checked.state.throwaway_users == {}


@pytest.mark.parametrize(
    "users",
    [{"ann": "2026-11-24T00:00:00+00:00"}, {USER: "yesterday"}, {USER: 1}, [USER], "x", 1],
)
def test_a_state_file_that_names_another_user_is_damaged(tmp_path: Path, users: Any) -> None:
    """These users are deleted without asking."""
    path = tmp_path / "s.json"
    State(path, "s", "123456789012", REGION, None, Settings()).save()
    data = json.loads(path.read_text())
    assert data["throwaway_users"] == {}
    path.write_text(json.dumps({**data, "throwaway_users": users}))
    with pytest.raises(StateError, match="damaged"):
        state_file.load(path)
    # A state file from before 'verify' existed has no such users.
    del data["throwaway_users"]
    data["version"] = 1
    path.write_text(json.dumps(data))
    old = state_file.load(path)
    assert old is not None
    assert old.throwaway_users == {}
    old.put("throwaway_users", USER, "2026-11-24T00:00:00+00:00")
    again = state_file.load(path)
    assert again is not None
    assert list(again.throwaway_users) == [USER]
    again.drop("throwaway_users", USER)
    again.drop("throwaway_users", USER)


# Sign-up is closed


@pytest.mark.long
@pytest.mark.local
def test_where_sign_up_is_closed_an_administrators_user_signs_in(cli: Cli) -> None:
    with LocalStack.made(cli, "--local", "--region", REGION, "--sign-up", "closed") as stack:
        assert stack.up["sign_up"] == "closed"
        assert "Next: cogauth users create NAME" in cli.run("up").must().out
        cognito, pool = stack.aws.cognito, stack.up["user_pool_id"]
        done = cli.run("verify").must()
        made, unmade = re.findall(r"All (\d+) checks passed; (\d+) could not be made", done.out)[0]
        assert (int(made), int(unmade)) == (2, 8)
        assert "Sign-up is closed. 'cogauth test-login NAME' checks" in done.out
        assert re.search(r"trigger fires +not made .*: sign-up is closed", done.out)
        assert stack.state.throwaway_users == {}
        assert cognito.list_users(UserPoolId=pool)["Users"] == []
        for name in ("Ann", "bob"):
            cognito.admin_create_user(
                UserPoolId=pool,
                Username=name,
                TemporaryPassword=PASSWORD,
                MessageAction="SUPPRESS",
            )
        first_logins(stack)
        signed_in = cli.login("ann", f"{PASSWORD}-3", "--json").must().document
        assert (signed_in["is_new"], signed_in["protected"]["with_token"]) == (False, 200)
        assert cli.run("up", "--sign-up", "open").must().out.count("open: anyone can") == 1
        assert cli.login("carol", PASSWORD, "--json").must().document["is_new"] is True


def first_logins(stack: LocalStack) -> None:
    """Let ann and bob, who have temporary passwords, sign in at the deployed URL."""

    def post(name: str, password: str, **more: str) -> tuple[int, str]:
        login = {"username": name, "password": password, **more}
        answer = requests.post(stack.up["sign_in_url"], json=login, timeout=30)
        return answer.status_code, answer.text

    def said(status: int, text: str) -> tuple[int, str]:
        return status, json.loads(text).get("code", "")

    # The answer is the same, byte for byte, whether or not the name exists.
    for more in ({}, {"new_password": f"{PASSWORD}-9"}):
        refused = {post(name, f"{PASSWORD}-0", **more) for name in ("ann", "bob", "carol")}
        assert [said(*each) for each in refused] == [(401, "wrong_credentials")]
    assert said(*post("ann", PASSWORD)) == (403, "new_password_required")
    assert said(*post("ann", PASSWORD, new_password="weak")) == (400, "password_policy")
    for name, others, outcome in (
        ("ANN", ("-2", "-2"), {(200, "")}),
        ("bob", ("-2", "-4"), {(200, ""), (401, "wrong_credentials")}),
    ):
        with ThreadPoolExecutor(2) as threads:
            found = threads.map(
                lambda new, name=name: post(name, PASSWORD, new_password=PASSWORD + new), others
            )
            assert {said(*each) for each in found} == outcome
    # Now it is a normal password. The tokens stay valid.
    status, text = post("ann", f"{PASSWORD}-2", new_password=f"{PASSWORD}-3")
    assert status == 200
    tokens = json.loads(text)
    header = {"Authorization": tokens["id_token"]}
    assert requests.get(stack.up["protected_url"], headers=header, timeout=30).ok
    renewing = {"username": "ann", "refresh_token": tokens["refresh_token"]}
    assert requests.post(stack.up["sign_in_url"], json=renewing, timeout=30).ok
    assert said(*post("ann", f"{PASSWORD}-2")) == (401, "wrong_credentials")
