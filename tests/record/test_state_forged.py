"""A state file that somebody else wrote: what it names is not touched, and nothing is sent there.

Other tests cover what ``up``, ``down`` and ``detach`` do with the resources named in such a file.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from moto.backends import get_backend
from moto.core.botocore_stubber import BotocoreStubber
from urllib3 import HTTPResponse

from cogauth import engine
from cogauth.client import token_store, tokens
from cogauth.engine import Wanted
from cogauth.errors import StateError
from cogauth.record.state import State, load
from cogauth.record.trust import trusting
from cogauth.settings import Settings
from support.attached import Orders, attach, ours
from support.broken import COMMANDS
from support.commands import KEYS, Cli, in_process, processes_of
from support.documents import OTHERS_ARN, TERMINAL, at, places, replaced
from support.foreign import Inside, describe_api, describe_pool, make_api, make_pool, plain
from support.local_aws import client
from support.names import PASSWORD, READS, REGION
from support.servers import ACCOUNT, STACK_ID, Answer, Fixed, Request, answer, asks_for_the_api
from support.state_files import whole_stack
from support.world import described, lasting

if TYPE_CHECKING:
    from support.account import Account
    from support.forker import Result


EVIL = ["evil.example/x?", "evil.example#", "x@evil.example/", "evil.example\\", "..", "", "a b"]
# The facts that become part of a URL: of a host name or a path.
IN_URLS = [
    "resources.rest_api.id",
    "resources.user_pool.id",
    "resources.stage.id",
    "resources.sign_in_resource.path",
    "settings.path",
    "settings.stage",
    "region",
]


@pytest.mark.parametrize("place", IN_URLS)
def test_nothing_else_than_an_id_gets_into_a_url(
    place: str, tmp_path: Path, no_credentials: pytest.MonkeyPatch, asked: list[str]
) -> None:
    for name, value in KEYS.items():
        no_credentials.setenv(name, value)
    no_credentials.setenv("COGAUTH_PASSWORD", PASSWORD)
    document = at(tmp_path / "cogauth.json")
    for value in EVIL:
        text = json.dumps(replaced(document, place, value))
        (tmp_path / "cogauth.json").write_text(text)
        done = in_process(
            "test-login", "--username", "ann", "--state", str(tmp_path / "cogauth.json")
        ).must(1)
        assert "is damaged" in done.err
        # Messages name a setting by its option.
        assert place.replace("settings.", "settings: --") in done.err
        assert (tmp_path / "cogauth.json").read_text() == text
    assert asked == []


def test_a_state_file_that_became_a_link_meanwhile_is_not_read(tmp_path: Path) -> None:
    at(tmp_path / "cogauth.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "cogauth.json")
    with pytest.raises(StateError, match="can't be read"):
        load(tmp_path / "link.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(StateError, match="not a regular file"):
        load(tmp_path / "pipe.json")


# Where passwords and credentials go


SIGN_IN = "/restapis/rest_api/dev/_user_request_/signin"


def test_the_word_of_a_file_is_no_reason_to_send_anything_anywhere(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".cogauth" / "cogauth.json"
    no_credentials.chdir(tmp_path)
    for name, value in {**KEYS, "COGAUTH_PASSWORD": PASSWORD}.items():
        no_credentials.setenv(name, value)
    with Fixed(answer) as aws:
        at(path, endpoint_url=aws.url)
        there = f"{aws.url}/restapis/rest_api/dev/_user_request_/hello"
        for name, words in COMMANDS.items():
            if name in {"demo", "recover", "decode", "list", "policy"} or "--state" in words:
                continue
            words = [there if word == "URL" else word for word in words]  # noqa: PLW2901
            done = in_process(*words, typed=f"{PASSWORD}\n").must(2)
            assert f"give it yourself: --endpoint-url {aws.url}" in done.err
        in_process("decode", typed="eyJhbGciOiJub25lIn0.e30.x\n").must(0)
        in_process("policy").must(0)
        assert aws.requests == []
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {aws.url}\n")
        for words, env in (
            (["--endpoint-url", aws.url], {}),
            ([], {"COGAUTH_ENDPOINT_URL": aws.url}),
            ([], {"AWS_ENDPOINT_URL": aws.url}),
            ([], {"AWS_CONFIG_FILE": str(tmp_path / "config")}),
        ):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in env.items():
                    patch.setenv(name, value)
                in_process("test-login", "--username", "ann", *words).must(1)
            assert [one.path for one in aws.requests if PASSWORD.encode() in one.body] == [SIGN_IN]
            aws.requests.clear()


@pytest.mark.local
def test_a_file_that_claims_the_local_aws_starts_none(cli: Cli) -> None:
    with Fixed(answer) as aws:
        for url in (aws.url, "http://127.0.0.1:20001"):
            at(cli.state, endpoint_url=url, local_data="0123456789abcdef")
            for words in (["up"], ["down", "--yes"], ["users"]):
                done = cli.run(*words).must(1)
                assert f"of endpoint {url}, not of a local AWS beside it" in done.err
            done = cli.login("ann", PASSWORD).must(1)
        assert aws.requests == []
    assert processes_of(cli.folder) == []
    assert not cli.local.exists()


def test_an_api_of_somebody_else_gets_neither_password_nor_token(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    """A well-formed id may belong to an API in another account, so cogauth asks AWS."""
    path = tmp_path / ".cogauth" / "cogauth.json"
    no_credentials.chdir(tmp_path)
    for name, value in {**KEYS, "COGAUTH_PASSWORD": PASSWORD}.items():
        no_credentials.setenv(name, value)
    others = json.dumps({"id": "evil1", "tags": {"cogauth:stack-id": "another"}})
    no_such = Answer(404, '{"message": "no"}', {"x-amzn-ErrorType": "NotFoundException"})
    said = {
        f"doesn't exist any more in account {ACCOUNT}": no_such,
        "doesn't carry the tag": Answer(200, others),
        "doesn't carry": Answer(200, '{"id": "evil1"}'),
    }
    for why, whose in said.items():

        def play(request: Request, whose: Answer = whose) -> Answer:
            return whose if asks_for_the_api(request) else answer(request)

        with Fixed(play) as aws:
            no_credentials.setenv("COGAUTH_ENDPOINT_URL", aws.url)
            at(path, endpoint_url=aws.url, resources=whole_stack(rest_api="evil1"))
            state = load(path)
            assert state is not None
            token_store.store(state, "ann", dict.fromkeys(tokens.NAMES, "eyJ0"))
            for words in (
                ["test-login", "--username", "ann"],
                ["token", "--username", "ann"],
                ["token", "--username", "bob"],
                ["call", "GET", "/hello", "--username", "ann"],
                ["curl", "GET", "/hello", "--username", "ann"],
                ["verify"],
            ):
                done = in_process(*words).must(1)
                assert why in done.err
                assert done.out == ""
            assert not [one for one in aws.requests if "_user_request_" in one.path]


def test_where_the_password_goes_is_said_before_it_is_asked_for(cli: Cli) -> None:
    with Fixed(answer) as aws:
        at(cli.state, endpoint_url=aws.url)
        for words in (["test-login", "--username", "ann"], ["token", "--username", "ann"]):
            running = cli.on_terminal(*words, COGAUTH_ENDPOINT_URL=aws.url)
            seen = running.see("Password:")
            seen = " ".join(seen.split())
            there = f"sent to POST {aws.url}{SIGN_IN}"
            assert there in seen
            assert f"in account {ACCOUNT}, region {REGION} at {aws.url}" in seen
            assert not [one for one in aws.requests if one.method == "POST" and one.path != "/"]
            running.type(f"{PASSWORD}\n")
            assert running.ended() == 1
            assert [one.path for one in aws.requests if PASSWORD.encode() in one.body] == [SIGN_IN]
            aws.requests.clear()


def test_what_is_printed_to_be_run_says_where(tmp_path: Path) -> None:
    given = " --endpoint-url http://aws.example:1 --allow-http"
    path = Path(".cogauth", "cogauth.json")
    state = State(path, "cogauth", ACCOUNT, REGION, "http://aws.example:1", Settings())
    assert state.options == given
    with trusting(path.parent):
        assert state.command("up") == f"cogauth up{given} --trust-state"
    state.endpoint_url = "https://aws.example"
    assert state.options == " --endpoint-url https://aws.example"
    # The local AWS on this machine is trusted without an option.
    state.endpoint_url, state.local_data = "http://127.0.0.1:20000", "0123456789abcdef"
    assert state.options == ""
    del tmp_path


def test_a_proxy_does_not_get_what_is_signed_for_this_machine(
    tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        no_credentials.setenv(name, value)
    with Fixed(answer) as aws, Fixed(lambda _: Answer(502)) as proxy:
        at(tmp_path / "cogauth.json", endpoint_url=aws.url)
        for name in ("HTTP_PROXY", "http_proxy"):
            no_credentials.setenv(name, proxy.url)
        words = ("users", "--endpoint-url", aws.url, "--state", str(tmp_path / "cogauth.json"))
        in_process(*words)
        assert aws.requests
        assert proxy.requests == []


# All of it together


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every host that botocore or requests calls; no host answers a login."""
    hosts: list[str] = []
    process = BotocoreStubber.process_request

    def note(self: BotocoreStubber, request: Any) -> Any:
        hosts.append(urlsplit(request.url).netloc)
        return process(self, request)

    def send(_self: requests.Session, request: requests.PreparedRequest, **_: Any) -> Any:
        hosts.append(urlsplit(request.url or "").netloc)
        response = requests.Response()
        response.status_code, response.url = 404, request.url or ""
        response.raw = HTTPResponse(io.BytesIO(b"{}"), preload_content=False)
        return response

    def resolve(host: Any, *_: Any, **__: Any) -> Any:
        hosts.append(str(host))
        raise OSError(f"there is no {host}")

    monkeypatch.setattr(BotocoreStubber, "process_request", note)
    monkeypatch.setattr(requests.Session, "send", send)
    monkeypatch.setattr("socket.getaddrinfo", resolve)
    return hosts


LOOKING = [
    ["test-login", "--username", "ann"],
    ["users"],
    ["logs"],
    ["token", "--username", "ann"],
    ["call", "GET", "/hello", "--username", "ann"],
    ["curl", "GET", "/hello", "--username", "ann"],
    ["attach", "--api", "orders"],
    ["detach", "--dry-run"],
    ["decode"],
    ["outputs"],
]
UPS = [
    ["up", "--yes"],
    ["up", "--yes", "--throttle-rate", "3", "--tier", "PLUS"],
    ["up", "--yes", "--cors-origin", "https://a.example"],
]
DOWN = ["down", "--yes"]
ACTING = [
    ["detach", "--yes"],
    ["attach", "--api", "orders", "--path", "/[oi]*", "--yes"],
    ["users", "delete", "user0", "--yes"],
    ["verify"],
    ["recover"],
]
hostile = (
    st.sampled_from([*EVIL, *TERMINAL, "http://evil.example", "//evil.example", "evil1", "$(id)"])
    | st.sampled_from([OTHERS_ARN, "eu-central-1_Other", "999999999999", "us-east-1", "x" * 5000])
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
)
# AWS's own hosts, and the host of the stack's own API.
AWS_HOST = r"(sts|cognito-idp|apigateway|lambda|iam|logs|tagging)(\.[a-z0-9-]+)?\.amazonaws\.com"
MOTOS = ("apigateway", "cognito-idp", "iam", "lambda", "logs", "sts")


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every request to AWS that may change anything."""
    found: list[str] = []
    process = BotocoreStubber.process_request

    def note(self: BotocoreStubber, request: Any) -> Any:
        target = re.search(r"\.(\w+)'?$", str(request.headers.get("X-Amz-Target")))
        name = target or re.search(r"Action=(\w+)", str(request.body))
        if request.method != "GET" and not (name and name[1].startswith(READS)):
            found.append(f"{request.method} {request.url} {name and name[1]}")
        return process(self, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", note)
    return found


class Kept:
    """A copy of moto's whole state that can be restored; creating it again takes longer."""

    def __init__(self) -> None:
        self._saved = [(each, self._copy(vars(each))) for each in self._all()]

    def _all(self) -> list[Any]:
        accounts = [one for name in MOTOS for one in get_backend(name).values()]  # type: ignore[call-overload]
        return [backend for regions in accounts for backend in regions.values()]

    def _copy(self, values: dict[str, Any]) -> dict[str, Any]:
        # The backends refer to one another.
        return copy.deepcopy(values, {id(each): each for each in self._all()})

    def restore(self) -> None:
        known = {id(backend) for backend, _ in self._saved}
        for backend in self._all():
            if id(backend) not in known:
                backend.reset()
        for backend, saved in self._saved:
            vars(backend).clear()
            vars(backend).update(self._copy(saved))


class Neighbourhood:
    """A stack with an attached API, and everything that others may have beside it and inside it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        account.up("shop2")
        account.up()
        self.orders, self.billing = Orders(account), Orders(account, "billing")
        attach(account, path="/open")
        ctx = account.context("shop2")
        engine.attach(ctx, engine.plan_attach(ctx, Wanted("billing", "/open")), lambda *_: None)
        self.inside = Inside(account)
        self.pool, self.api = make_pool(account, "theirs", 2), make_api(account, "theirs")
        own, other = account.state(), account.state("shop2")
        for state in (own, other):
            account.client("cognito-idp").admin_create_user(
                UserPoolId=state.fact("user_pool", "id"), Username="user0"
            )
        self.own_api, self.own_pool = own.fact("rest_api", "id"), own.fact("user_pool", "id")
        self.other = other
        # By owner: a value in the file, and the other owner's value that could replace it.
        ids = [
            (mine[key], theirs["id"])
            for name, mine in own.resources.items()
            for theirs in [other.resources[name]]
            for key in ["id"]
            if mine["id"] != theirs["id"]
        ]
        self.swaps = {
            "another stack's": [
                *ids,
                (own.stack_id, other.stack_id),
                ("shop-", "shop2-"),
                (self.orders.id, self.billing.id),
                (self.orders.authorizers()[ours(account)], self.billing.authorizers()["jwt"]),
            ],
            "nobody's": [
                (self.own_pool, self.pool),
                (self.own_api, self.api),
                (self.orders.id, self.api),
                (self.orders.id, self.own_api),
                (own.stack_id, STACK_ID),
            ],
            "in it": [
                (own.fact("app_client", "id"), self.inside.client),
                (own.fact("authorizer", "id"), self.inside.authorizer),
                (own.fact("sign_in_resource", "id"), self.inside.resource),
                (own.fact("hello_resource", "id"), self.inside.resource),
                (own.fact("deployment", "id"), self.inside.deployment),
                ("/signin", "/orders"),
                ('dev"', 'prod"'),
            ],
            "in the attached one": [
                (self.orders.path("/open"), self.orders.path("/jwt")),
                ("GET /open", "GET /jwt"),
                ("POST /open", "GET /pool"),
                (self.orders.authorizers()[ours(account)], self.orders.pool),
                ('"NONE"', '"AWS_IAM"'),
            ],
        }
        self.known = sorted({text for pairs in self.swaps.values() for _, text in pairs})

    def described(self) -> dict[str, Any]:
        """Describe everything that isn't the stack's own, by owner."""
        account, live = self.account, self.orders.methods()
        found = {
            "the other stack's": {
                name: what
                for name, what in lasting(described(account.client)).items()
                if name.split()[0] in {"role", "function", "logs"}
                and not re.search(r"\bshop\b", json.dumps(what))
            },
            "the other stack's pool": describe_pool(account, self.other.fact("user_pool", "id")),
            "the other stack's API": describe_api(account, self.other.fact("rest_api", "id")),
            "what that is attached to": describe_api(account, self.billing.id),
            "somebody's pool": describe_pool(account, self.pool),
            "somebody's API": describe_api(account, self.api),
            "what nobody attached": {
                name: live[name] for name in live if name.split()[1] not in {"/open", "/iam"}
            },
            "others' authorizers": plain(
                *(
                    self.orders.aws.get_authorizer(**self.orders.place, authorizerId=one)
                    for one in (self.orders.jwt, self.orders.pool)
                )
            ),
        }
        existing = [
            *account.client("apigateway").get_rest_apis(limit=500)["items"],
            *account.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"],
        ]
        if {self.own_api, self.own_pool} <= {one.get("id") or one.get("Id") for one in existing}:
            # 'down' deletes the stack's own pool and API with everything inside.
            found["what is in the stack's own"] = self.inside.described()
        return found


def swapped(document: Any, pairs: list[tuple[str, str]]) -> Any:
    """Return a document with other people's values in place of the stack's own."""
    text = json.dumps(document)
    for own, theirs in pairs:
        text = text.replace(own, theirs)
    return json.loads(text)


def changed(data: st.DataObject, document: Any, nearby: Neighbourhood) -> Any:
    """Return a state file's document with a random change."""
    how = data.draw(st.sampled_from(["swap", "swap", "swap", "value", "status", "drop", "name"]))
    if how == "swap":
        pairs = nearby.swaps[data.draw(st.sampled_from(sorted(nearby.swaps)))]
        some = st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True)
        return swapped(document, data.draw(some | st.just(pairs)))
    if how in {"status", "drop"}:
        group = document.get("resources")
        records = group.items() if isinstance(group, dict) else ()
        keys = [key for key, record in records if isinstance(record, dict)]
        if not keys:
            return document
        key = data.draw(st.sampled_from(keys))
        if how == "drop":
            del group[key]
            return document
        status = data.draw(st.sampled_from(["creating", "created", "outdated", "deleting"]))
        group[key] |= {"status": status, "since": "2026-11-23T08:00:00+00:00"}
        return document
    *outer, last = data.draw(st.sampled_from(places(document)[1:]))
    inner = document
    for key in outer:
        inner = inner[key]
    former = inner.pop(last)
    value = data.draw(st.sampled_from(nearby.known) | hostile) if how == "value" else former
    if isinstance(inner, list):
        inner.insert(last, value)
    elif how == "value":
        inner[last] = value
    else:
        inner[data.draw(st.text(max_size=4) | st.sampled_from([*EVIL, *nearby.known]))] = value
    return document


def test_no_change_of_a_state_file_changes_what_is_anothers_or_sends_anything_elsewhere(
    account: Account,
    asked: list[str],
    writes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    nearby = Neighbourhood(account)
    account.grow_old()
    path = account.path()
    sound, before, kept = json.loads(path.read_text()), nearby.described(), Kept()
    assert "what is in the stack's own" in before
    api = nearby.own_api
    allowed = re.compile(rf"{AWS_HOST}|{api}\.execute-api\.{REGION}\.amazonaws\.com")
    for name, value in {
        "STACK": "shop",
        "STATE": str(path),
        "PASSWORD": PASSWORD,
        # Nothing was interrupted, and moto shows every change at once.
        "SETTLE": "0",
    }.items():
        monkeypatch.setenv(f"COGAUTH_{name}", value)

    def check(document: Any, words: list[str]) -> None:
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        asked.clear()
        writes.clear()
        done = in_process(*words, typed="eyJhbGciOiJub25lIn0.e30.x\n")
        assert done.code in {0, 1, 2}
        assert "Traceback" not in done.err
        assert "defect" not in done.err
        assert [host for host in asked if not allowed.fullmatch(host)] == []
        if writes:
            after = nearby.described()
            assert after == {whose: before[whose] for whose in after}, writes
            assert words[0] == "down" or after.keys() == before.keys()
            kept.restore()

    # The unchanged file does reach its API, and changes are noticed; else the test proves nothing.
    check(sound, LOOKING[0])
    assert f"{api}.execute-api.{REGION}.amazonaws.com" in asked
    for words in [*UPS, *ACTING, DOWN]:
        check(sound, words)
        assert writes or words[0] in {"verify", "recover"} or words == UPS[0], words
    assert nearby.described() == before

    # Everything of another owner together, and each thing inside the stack's own by itself.
    everything = pytestconfig.getoption("--all-faults")
    at_once = [*nearby.swaps.values(), *([pair] for pair in nearby.swaps["in it"])]
    swaps = [
        *((pairs, UPS[1]) for pairs in at_once),
        *itertools.product(nearby.swaps.values(), [*ACTING, DOWN]),
    ]
    for pairs, words in swaps if everything else swaps[::30]:
        check(swapped(sound, pairs), words)

    @settings(max_examples=60 if everything else 3, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def change(data: st.DataObject) -> None:
        document = copy.deepcopy(sound)
        for _ in range(data.draw(st.integers(1, 2))):
            document = changed(data, document, nearby)
        others = [data.draw(st.sampled_from(some)) for some in (UPS, ACTING, LOOKING)]
        note(f"{others}: {json.dumps(document)}")
        for words in [*others, DOWN]:
            check(document, words)

    change()


class There:
    """An emulator and a folder of state files: the part of an `Account` that descriptions need."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def client(self, service: str) -> Any:
        return client(service, self.url)

    def path(self, stack: str) -> Path:
        return self.folder / f"{stack}.json"

    def state(self, stack: str) -> State:
        state = load(self.path(stack))
        assert state is not None
        return state

    def run(self, stack: str, *words: str) -> Result:
        return in_process(*words, "--stack", stack, "--state", str(self.path(stack)))


@pytest.mark.long
@pytest.mark.local
def test_a_sample_of_it_on_the_local_aws(
    endpoint: str, tmp_path: Path, no_credentials: pytest.MonkeyPatch
) -> None:
    for name, value in {
        **KEYS,
        "AWS_REGION": REGION,
        "COGAUTH_ENDPOINT_URL": endpoint,
        "COGAUTH_PASSWORD": PASSWORD,
        "COGAUTH_SETTLE": "0",
    }.items():
        no_credentials.setenv(name, value)
    there: Any = There(endpoint, tmp_path)
    for stack in ("mine", "yours"):
        there.run(stack, "up").must()
    own, other = there.state("mine"), there.state("yours")
    inside = Inside(there, "mine")
    pool, api = make_pool(there, "theirs", 2), make_api(there, "theirs")
    there.client("cognito-idp").admin_create_user(
        UserPoolId=other.fact("user_pool", "id"), Username="user0"
    )

    def described() -> Any:
        return [
            *(describe_pool(there, one) for one in (pool, other.fact("user_pool", "id"))),
            *(describe_api(there, one) for one in (api, other.fact("rest_api", "id"))),
        ]

    own_pool, own_api = own.fact("user_pool", "id"), own.fact("rest_api", "id")
    yours = {
        own.stack_id: other.stack_id,
        own_pool: other.fact("user_pool", "id"),
        own_api: other.fact("rest_api", "id"),
    }
    parts = {
        own.fact("app_client", "id"): inside.client,
        own.fact("sign_in_resource", "id"): inside.resource,
        own.fact("authorizer", "id"): inside.authorizer,
        own.fact("deployment", "id"): inside.deployment,
    }
    delete = ("users", "delete", "user0", "--yes")
    sound, before, within = there.path("mine").read_text(), described(), inside.described()
    for swaps, words, code in [
        *(({own_pool: pool}, words, 1) for words in [("users",), delete, ("verify",)]),
        *((yours, words, 1) for words in [("up",), ("down", "--yes"), delete]),
        ({own_pool: pool, own_api: api}, ("up",), 1),
        (parts, ("up",), 0),
        ({'"dev"': '"prod"', "/stages/dev": "/stages/prod"}, ("up",), 1),
        ({"/signin": "/orders"}, ("up",), 1),
        ({"/signin": "/orders", **parts}, ("up",), 1),
        ({}, ("up",), 0),
    ]:
        text = sound
        for mine, theirs in swaps.items():
            text = text.replace(mine, theirs)
        there.path("mine").write_text(text)
        there.run("mine", *words).must(code)
        assert (described(), inside.described()) == (before, within), (swaps, words)
        if code == 0:
            sound = there.path("mine").read_text()
    done = there.run("mine", "up", "--json").must().document
    assert {step["action"] for step in done["steps"]} == {"unchanged"}
    there.path("mine").write_text(sound.replace(own_pool, pool).replace(own_api, api))
    # The stack's own pool and API, with its name, its tags and a part only it makes, are deleted.
    there.run("mine", "down", "--yes").must(1)
    assert described() == before
    there.run("yours", "down", "--yes").must()
