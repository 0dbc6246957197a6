"""``cogauth attach`` and ``detach`` as users run them, and what a client gets meanwhile."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import requests

from support.commands import KEYS, Cli, command_line
from support.local_aws import EMULATORS_KEYS, MOCK, client, emulator
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.forker import Result

pytestmark = pytest.mark.local

ATTACH_FIELDS = [
    "stack",
    "rest_api_id",
    "rest_api_name",
    "stage",
    "authorizer_id",
    "deployment_id",
    "token_use",
    "scopes",
    "dry_run",
    "methods",
    "pending",
    "pending_unknown",
    "warnings",
    "elapsed_s",
]
METHOD_FIELDS = {"path", "method", "before", "after", "action"}


class Theirs:
    """Someone else's API on the local AWS."""

    def __init__(self, url: str, name: str, paths: list[str]) -> None:
        self.url, self.name = url, name
        self.aws = client("apigateway", url)
        made = self.aws.create_rest_api(name=name)
        self.id = made["id"]
        for path in paths:
            resource = self.aws.create_resource(
                restApiId=self.id, parentId=made["rootResourceId"], pathPart=path
            )["id"]
            for method in ("GET", "OPTIONS"):
                place = {"restApiId": self.id, "resourceId": resource, "httpMethod": method}
                self.aws.put_method(**place, authorizationType="NONE")
                self.aws.put_integration(**place, **MOCK)
                self.aws.put_integration_response(**place, statusCode="200")
        self.aws.create_deployment(restApiId=self.id, stageName="prod")

    def status(self, path: str, token: str | None = None, method: str = "GET") -> int:
        where = f"{self.url}/restapis/{self.id}/prod/_user_request_/{path}"
        headers = {"Authorization": token} if token else {}
        return requests.request(method, where, headers=headers, timeout=30).status_code

    def guarded(self) -> list[str]:
        items = self.aws.get_resources(restApiId=self.id, embed=["methods"], limit=500)["items"]
        return [
            f"{name} {item['path']}"
            for item in items
            for name, live in item.get("resourceMethods", {}).items()
            if live["authorizationType"] != "NONE"
        ]


@pytest.fixture(scope="module")
def up(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A stack of its own, with a user who has signed in."""
    folder: Path = tmp_path_factory.mktemp("attach")
    where = {"COGAUTH_STACK": "attaching", "COGAUTH_ENDPOINT_URL": endpoint}
    keys = {**KEYS, "AWS_REGION": REGION}
    with command_line(folder, **where, **keys) as cli:
        cli.run("up").must()
        cli.login("ann", PASSWORD).must()
        yield cli


def state_of(cli: Cli) -> Any:
    return json.loads((cli.folder / ".cogauth" / "attaching.json").read_text())


@pytest.fixture(scope="module")
def token(up: Cli) -> str:
    tokens = json.loads((up.folder / ".cogauth" / ".attaching.json.cogauth-tokens").read_text())
    return str(tokens["ann"]["id_token"])


@pytest.mark.long
def test_a_client_needs_a_token_until_it_is_given_back(up: Cli, endpoint: str, token: str) -> None:
    theirs = Theirs(endpoint, "orders", ["a", "b"])
    assert theirs.status("a") == 200
    listed = up.run("attach", "--api", "orders").must()
    assert listed.out.splitlines() == [
        "GET /a      NONE",
        "OPTIONS /a  NONE",
        "GET /b      NONE",
        "OPTIONS /b  NONE",
    ]
    shown = up.run("attach", "--api", "orders", "--path", "/a", "--dry-run").must()
    assert "GET /a      NONE  →  COGNITO_USER_POOLS of the stack attaching" in shown.out
    assert "gateway responses" in shown.out.lower()
    assert theirs.guarded() == []

    done = up.run("attach", "--api", "orders", "--path", "/a", "--yes").must()
    assert "Attached 1 method to the stack attaching, deployed to prod" in done.out
    assert "ID tokens" in done.err
    assert "  attached GET /a (1/1)" in done.err
    assert (theirs.status("a"), theirs.status("a", token)) == (401, 200)
    assert theirs.status("a", method="OPTIONS") == 200
    assert theirs.status("b") == 200
    assert "✓ attached" in up.run("attach", "--api", theirs.id).must().out

    again = up.run("attach", "--api", "orders", "--path", "/a", "--yes", "--json").must().document
    assert list(again) == ATTACH_FIELDS
    assert [set(one) >= METHOD_FIELDS for one in again["methods"]] == [True, True]
    assert [one["action"] for one in again["methods"]] == ["unchanged", "left_out"]
    assert (again["token_use"], again["deployment_id"], again["stage"]) == ("id", None, None)

    document = up.run("detach", "--yes", "--json").must().document
    assert document["apis"][0]["restored"] == ["GET /a"]
    assert theirs.status("a") == 200
    assert state_of(up)["attachments"] == {}
    assert "is attached to no API; nothing changed" in up.run("detach", "--yes").must().out


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--api", "nowhere", "--path", "*"], "'nowhere'"),
        (
            ["--api", "inputs", "--path", "/nowhere"],
            "'/nowhere' matches no method. The methods are: GET /a",
        ),
        (["--api", "inputs", "--path", "*", "--method", "OPTIONS"], "None of these methods"),
        (["--api", "inputs", "--path", "*", "--stage", "beta"], "no such stage. It has: prod"),
        (["--api", "inputs", "--path", "*", "--scope", "a b"], "--scope 'a b'"),
        (["--api", "inputs", "--path", "*"], "stdin is not a terminal"),
        (["--path", "*"], "--api"),
        # An unset shell variable gives this; it must not mean all paths.
        (
            ["--api", "inputs", "--path", "", "--yes"],
            "--path is empty: give a value, or leave it out",
        ),
        (["--api", "", "--path", "*", "--yes"], "--api is empty"),
    ],
)
def test_input_that_can_t_be_used(up: Cli, endpoint: str, words: list[str], said: str) -> None:
    if not [
        a
        for a in client("apigateway", endpoint).get_rest_apis(limit=500)["items"]
        if a["name"] == "inputs"
    ]:
        Theirs(endpoint, "inputs", ["a"])
    before = state_of(up)
    result = up.run("attach", *words).must(2)
    assert said in result.err
    assert state_of(up) == before


@pytest.mark.parametrize("option", ["--api", "--path", "--method"])
def test_what_is_empty_doesn_t_mean_all_of_it(up: Cli, option: str) -> None:
    assert f"{option} is empty" in up.run("detach", option, "", "--yes").must(2).err


def test_without_a_stack(cli: Cli) -> None:
    for words in (
        ["attach", "--api", "orders", "--path", "*"],
        ["detach"],
        ["attach", "--api", "a"],
    ):
        assert "cogauth up" in cli.run(*words).must(2).err


def test_scopes_that_the_sign_in_never_gives_are_warned_of(
    up: Cli, endpoint: str, token: str
) -> None:
    theirs = Theirs(endpoint, "scoped", ["a"])
    words = ["attach", "--api", "scoped", "--path", "/a", "--scope", "a/read"]
    refused = up.run(*words).must(2)
    assert "access tokens" in refused.err
    assert "they will be refused" in refused.err
    assert theirs.guarded() == []
    up.run(*words, "--yes").must()
    assert theirs.guarded() == ["GET /a"]
    # With scopes, a method accepts access tokens that have one of them.
    assert theirs.status("a", token) == 401
    up.run("detach", "--api", "scoped", "--yes").must()
    assert theirs.guarded() == []
    assert state_of(up)["attachments"] == {}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A stack on an emulator that garbles a patch of a list."""
    folder = tmp_path_factory.mktemp("other")
    keys = {**EMULATORS_KEYS, "AWS_REGION": REGION, "COGAUTH_STACK": "attaching"}
    with (
        emulator(folder / "ministack", **EMULATORS_KEYS) as url,
        command_line(folder, **keys, COGAUTH_ENDPOINT_URL=url) as cli,
    ):
        cli.run("up").must()
        yield cli


@pytest.mark.long
def test_an_emulator_that_garbles_scopes_is_set_back(other: Cli) -> None:
    theirs = Theirs(other.env["COGAUTH_ENDPOINT_URL"], "scoped", ["a"])
    words = ["attach", "--api", "scoped", "--path", "/a", "--scope", "a/read"]
    result = other.run(*words, "--yes").must(1)
    assert "it should have authorizationType" in result.err
    assert "It was restored" in result.err
    assert theirs.guarded() == []
    other.run("detach", "--api", "scoped", "--yes").must()
    assert state_of(other)["attachments"] == {}


def test_on_a_terminal_it_asks_and_shows_how_far_it_is(up: Cli, endpoint: str) -> None:
    theirs = Theirs(endpoint, "asked", ["a", "b", "c"])
    no = up.on_terminal("attach", "--api", "asked", "--path", "*")
    no.see(r"Make these changes\? \[y/N\]:")
    no.type("n\n")
    assert no.ended() == 1
    assert theirs.guarded() == []
    yes = up.on_terminal("attach", "--api", "asked", "--path", "*")
    yes.see(r"Make these changes\? \[y/N\]:")
    yes.type("y\n")
    assert yes.ended() == 0
    assert "3/3" in yes.plain
    assert theirs.guarded() == ["GET /a", "GET /b", "GET /c"]
    up.run("detach", "--yes").must()
    assert theirs.guarded() == []


@pytest.mark.long
def test_ctrl_c_and_going_on(up: Cli, endpoint: str) -> None:
    theirs = Theirs(endpoint, "many", [f"n{nth}" for nth in range(45)])
    running = up.on_terminal("attach", "--api", "many", "--path", "*", "--yes")
    running.see(r"3\d/45")
    running.press_ctrl_c()
    assert running.ended() == 130
    done = theirs.guarded()
    assert 0 < len(done) < 45
    rest = up.run("attach", "--api", "many", "--path", "*", "--yes", "--json").must()
    actions = [one["action"] for one in rest.document["methods"]]
    assert (actions.count("unchanged"), actions.count("attach")) == (len(done), 45 - len(done))
    assert len(theirs.guarded()) == 45
    up.run("detach", "--path", "/n1*", "--yes").must()
    assert len(theirs.guarded()) == 45 - 11
    up.run("detach", "--yes").must()
    assert theirs.guarded() == []


def test_down_gives_back_first(endpoint: str, tmp_path: Path) -> None:
    theirs = Theirs(endpoint, "left", ["a"])
    where = {"COGAUTH_STACK": "leaving", "AWS_ENDPOINT_URL": endpoint}
    keys = {**KEYS, "AWS_REGION": REGION}
    with command_line(tmp_path, **where, **keys) as cli:
        cli.run("up").must()
        cli.run("attach", "--api", "left", "--path", "*", "--yes").must()
        assert theirs.status("a") == 401
        # The next up reports guards lost behind our back, and the next attach restores them.
        path = tmp_path / ".cogauth" / "leaving.json"
        state = json.loads(path.read_text())
        for record in state["resources"].values():
            # If it were new, up would first wait to see whether it is really gone.
            record["since"] = "2026-01-01T00:00:00+00:00"
        path.write_text(json.dumps(state))
        pool = state["resources"]["user_pool"]["id"]
        client("cognito-idp", endpoint).delete_user_pool(UserPoolId=pool)
        told = cli.run("up", "--yes").must().err
        words = ("attach", "--api", theirs.id, "--path", "/a", "--method", "GET")
        assert f"cogauth {' '.join(words)}" in told
        cli.run(*words, "--yes").must()
        assert "Warning" not in cli.run("up").must().err
        document = cli.run("down", "--yes", "--json").must().document
    assert document["restored"] == [
        {"step": "attachment", "resource": "method", "id": f"{theirs.id} GET /a"}
    ]
    assert document["remaining"] == []
    assert theirs.status("a") == 200


def by_profile(cli: Cli) -> Callable[..., Result]:
    """Return a function that runs a command with the profile ``work``."""
    config = cli.folder / "aws-config"
    config.write_text(
        f"[profile work]\nregion = {REGION}\n"
        + "".join(f"{name.lower()} = {value}\n" for name, value in KEYS.items())
    )
    return partial(cli.run, AWS_CONFIG_FILE=str(config), COGAUTH_PROFILE="work")


@pytest.mark.long
def test_a_stage_that_stays_open_is_called_open(cli: Cli) -> None:
    with LocalStack.made(cli, "--local", "--region", REGION) as stack:
        theirs = Theirs(stack.url, "staged", ["a"])
        theirs.aws.create_deployment(restApiId=theirs.id, stageName="beta")
        attached = cli.run("attach", "--api", "staged", "--path", "/a", "--stage", "beta", "--yes")
        assert theirs.status("a") == 200
        assert "old guard" not in attached.must().err
        assert "prod isn't guarded: anyone can call GET /a there" in attached.err
        listed = cli.run("attach", "--api", "staged").must()
        assert "✓ attached, not on prod" in listed.out
        mend = f"cogauth attach --api {theirs.id} --path /a --method GET --stage prod"
        assert f"the stage prod isn't guarded: anyone can call it there. Run '{mend}'" in listed.err
        document = cli.run("attach", "--api", "staged", "--json").must().document
        assert {
            (one["method"], one["attached"], *one["unguarded_stages"])
            for one in document["methods"]
        } == {("GET", True, "prod"), ("OPTIONS", False)}
        url = f"{stack.url}/restapis/{theirs.id}/prod/_user_request_/a"
        explained = cli.run("explain", url, "--no-token", "--json").must().document
        assert (explained["cause"], explained["status"]) == ("none", 200)
        assert "GET /a is open to anyone on the stage prod" in explained["message"]
        # The owner deploys, as the warning says.
        theirs.aws.create_deployment(restApiId=theirs.id, stageName="prod")
        assert theirs.status("a") == 401
        listed = cli.run("attach", "--api", "staged").must()
        assert "not on" not in listed.out + listed.err
        cli.run("detach", "--yes").must()


@pytest.mark.long
def test_a_guard_that_an_owner_took_away_is_told_by_each_command(
    up: Cli, endpoint: str, token: str
) -> None:
    run = by_profile(up)
    theirs = Theirs(endpoint, "redone", ["a", "b", "c"])
    run("attach", "--api", "redone", "--path", "*", "--yes").must()
    theirs.aws.create_deployment(restApiId=theirs.id, stageName="beta")
    api = {"restApiId": theirs.id}
    paths = {one["path"]: one["id"] for one in theirs.aws.get_resources(**api)["items"]}
    # As the owner's own tool does: it recreates what it knows, and deploys.
    theirs.aws.delete_resource(**api, resourceId=paths["/a"])
    made = theirs.aws.create_resource(**api, parentId=paths["/"], pathPart="a")["id"]
    for method in ("GET", "POST"):
        place = {**api, "resourceId": made, "httpMethod": method}
        theirs.aws.put_method(**place, authorizationType="NONE")
        theirs.aws.put_integration(
            **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )
        theirs.aws.put_integration_response(**place, statusCode="200")
    theirs.aws.delete_resource(**api, resourceId=paths["/c"])
    theirs.aws.create_deployment(**api, stageName="prod")
    assert (theirs.status("a"), theirs.status("b")) == (200, 401)

    stack = f"--stack attaching --profile work --endpoint-url {endpoint}"
    again = f"cogauth attach --api {theirs.id} --path /a --method GET {stack}"
    forget = f"cogauth detach --api {theirs.id} --path /c --method GET {stack}"
    listed = run("attach", "--api", "redone").must()
    assert [" ".join(line.split()) for line in listed.out.splitlines()] == [
        "GET /a NONE ✗ lost",
        "POST /a NONE",
        "GET /b COGNITO_USER_POOLS of the stack attaching ✓ attached",
        "OPTIONS /b NONE",
        "GET /c gone ✗ lost",
    ]
    document = run("attach", "--api", "redone", "--json").must().document
    shown = {f"{one['method']} {one['path']}": one for one in document["methods"]}
    assert set(shown["GET /b"]) == {
        *("path", "method", "authorization", "attached", "lost", "unguarded_stages")
    }
    assert {name: (one["attached"], one["lost"]) for name, one in shown.items()} == {
        "GET /a": (False, True),
        "POST /a": (False, False),
        "GET /b": (True, False),
        "OPTIONS /b": (False, False),
        "GET /c": (False, True),
    }
    assert (shown["GET /a"]["now"], shown["GET /c"]["now"]) == ("NONE", "gone")
    assert shown["GET /c"]["authorization"] is None

    # The attached stage is used, although there is another one.
    checked = run("verify", "--api", "redone", "--json").must(1).document
    assert checked["stage"] == "prod"
    rows = {row["sent"]: row for row in checked["rows"] if row["check"] == "guard"}
    assert {name: (row["got"], row["ok"]) for name, row in rows.items()} == {
        "GET /a": ("NONE", False),
        "GET /c": ("gone", False),
    }
    warned = run("up").must()
    told = {
        "attach": listed.err,
        "attach --json": f"{shown['GET /a']['mend']}' {shown['GET /c']['mend']}'",
        "verify": f"{rows['GET /a']['note']} {rows['GET /c']['note']}",
        "up": warned.err,
        "detach": run("detach", "--api", "redone", "--dry-run").must().out,
    }
    for command, text in told.items():
        assert command == "detach" or f"{again}'" in text, command
        assert command == "detach" or f"{forget}'" in text, command
    assert "it lost its guard" in told["detach"]
    assert warned.err.count("Warning") == 2

    # The command that they name restores the guard.
    run(*again.split()[1:], "--yes").must()
    assert (theirs.status("a"), theirs.status("a", token)) == (401, 200)
    run(*forget.split()[1:], "--yes").must()
    assert "Warning" not in run("up").must().err
    assert "✗ lost" not in run("attach", "--api", "redone").must().out

    # The result of detaching names the command, too.
    patch = [{"op": "replace", "path": "/authorizationType", "value": "NONE"}]
    place = {**api, "resourceId": made, "httpMethod": "GET"}
    theirs.aws.update_method(**place, patchOperations=patch)
    done = run("detach", "--yes", "--json").must()
    (gave,) = done.document["apis"]
    assert f"GET /a of the API redone ({theirs.id}) was left alone" in done.err
    assert gave["lost"] == [f"GET /a had already lost its guard: '{again}' guards it again."]
    assert f"Warning: {gave['lost'][0]}" in done.err
    assert theirs.guarded() == []


def test_detaching_from_two_apis_tells_what_became_of_each(up: Cli, endpoint: str) -> None:
    first, second = Theirs(endpoint, "first", ["a"]), Theirs(endpoint, "second", ["a"])
    for each in (first, second):
        up.run("attach", "--api", each.id, "--path", "*", "--yes").must()
    asked = up.on_terminal("detach")
    for answer in ("y\n", "n\n"):
        asked.see(r"Make these changes\? \[y/N\]:")
        asked.type(answer)
    assert asked.ended() == 1
    kept = json.loads((up.folder / ".cogauth" / "attaching.json").read_text())["attachments"]
    (still,) = kept
    done, left = (first, second) if still == second.id else (second, first)
    assert f"Detached 1 method of the API {done.name}" in asked.plain
    assert f"Error: {left.name}: Nothing was changed." in asked.plain
    assert (done.guarded(), left.guarded()) == ([], ["GET /a"])
    up.run("detach", "--yes").must()
    assert left.guarded() == []
