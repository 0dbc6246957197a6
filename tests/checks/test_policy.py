"""Each command's policy allows exactly what its calls need."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import botocore.handlers
import click
import pytest
from botocore.exceptions import ClientError

from cogauth import engine
from cogauth.attach import guards, model
from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.aws.policies import Purpose, documents
from cogauth.checks import policy as checks
from cogauth.cli import cli as program
from cogauth.client import logs, users
from cogauth.context import Context
from cogauth.engine.status import status
from cogauth.errors import UsageError
from cogauth.gateway import rest_apis
from cogauth.page import actions, shown, streams
from cogauth.page.stack import Stack
from cogauth.record.records import OUTDATED
from cogauth.settings import Settings
from cogauth.steps import RESOURCES
from cogauth.steps.missing import missing
from support.account import Silent
from support.attached import OTHER_POOL, Orders, attach, detach
from support.calls import Call, refusal
from support.commands import command_line, in_process
from support.drift import drift
from support.iam import Request, allowed, asked_for
from support.local_aws import keys_at, somebodys_api
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.stacks import fact, tags_of
from support.world import left_in_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.record.state import State
    from support.account import Account

ACCOUNT = "123456789012"
# A stack with placeholder words for names.
WORDS = checks.StackNames(
    "aws", REGION, ACCOUNT, "STACK", Settings(), "POOL", "API", ("ATTACHED",), ("OTHER",)
)
NOTHING = {"list", "outputs", "policy", "demo"}


@dataclass
class Asked:
    """The requests to AWS, with the stack's own names in place of ids."""

    names: dict[str, str]
    account: str = ACCOUNT
    requests: set[Request] = field(default_factory=set)

    def note(self, call: Call) -> None:
        for request in asked_for(call, REGION, self.account):
            self.requests.add(replace(request, boundary="", policy=""))

    def in_words(self) -> set[Request]:
        """Return the requests, with words in the same places as the policy of WORDS."""
        return {replace(one, resource=self._in_words(one.resource)) for one in self.requests}

    def _in_words(self, resource: str) -> str:
        resource = resource.replace(f":{self.account}:", f":{ACCOUNT}:")
        for name, word in self.names.items():
            resource = re.sub(rf"(?<![\w-]){re.escape(name)}(?![a-z0-9])", word, resource)
        return resource


def undeclared(command: str, asked: set[Request]) -> list[str]:
    policy = statements(command)
    return sorted(str(one) for one in asked if not allowed(policy, one))


def unneeded(command: str, asked: set[Request]) -> list[str]:
    """Return what the policy allows but no call needs, except what only AWS asks for."""
    beside = {
        (action, resource)
        for one in checks.COMMANDS[command](Settings())
        if one.source
        for statement in documents([one], checks.words_of(WORDS, [command]))[0]["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    found = []
    for statement in statements(command):
        for action in statement["Action"]:
            for resource in statement["Resource"]:
                less = [{**statement, "Action": action, "Resource": resource}]
                if (action, resource) not in beside and not any(
                    allowed(less, one) for one in asked
                ):
                    found.append(f"{action} {resource}")
    return found


def statements(command: str) -> list[dict[str, Any]]:
    return [
        statement
        for document in checks.policy(WORDS, [command])
        for statement in document["Statement"]
    ]


# On moto: the commands that need no client of the API


class Shop:
    """A stack called shop and someone else's API on moto, with the requests to AWS."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.asked = Asked({"shop": "STACK"})

    @contextlib.contextmanager
    def watched(self, before: Any = None) -> Iterator[None]:
        with self.account.calls.watched(before) as calls:
            yield
        for call in calls:
            self.asked.note(call)
        self._learn()

    def _learn(self) -> None:
        """Note which ids are the stack's, and which are someone else's."""
        for api in self.account.client("apigateway").get_rest_apis()["items"]:
            self.asked.names[api["id"]] = "API" if api["name"] == "shop" else self.other
        for pool in self.account.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]:
            self.asked.names[pool["Id"]] = "POOL"

    other = "ATTACHED"

    def twins(self) -> None:
        """Make a second pool, client, API and authorizer, as a late create does."""
        cognito, gateway = self.account.client("cognito-idp"), self.account.client("apigateway")
        state = self.account.state()
        tags, name = tags_of(state), f"shop-{state.stack_id}"
        cognito.create_user_pool(PoolName="shop", UserPoolTags=tags)
        cognito.create_user_pool_client(UserPoolId=state.fact("user_pool", "id"), ClientName=name)
        gateway.create_rest_api(name="shop", tags=tags)
        gateway.create_authorizer(
            restApiId=state.fact("rest_api", "id"),
            name=f"{name}-2",
            type="COGNITO_USER_POOLS",
            providerARNs=[state.fact("user_pool", "arn")],
            identitySource="method.request.header.Authorization",
        )
        self._learn()


def yes(_question: str) -> None:
    pass


def ups(shop: Shop) -> None:
    """Create, change, repair, recreate, adopt, and clean up after a crash."""
    account = shop.account
    orders = Orders(account)
    with shop.watched():
        account.up()
    drift(account.client, account.state())
    with shop.watched():
        account.up(cors_origins=("https://a.example",), confirm=yes)
        account.up(cors_origins=("https://b.example",))
        account.up(cors_origins=())
    shop.twins()
    with shop.watched():
        account.up()
    # A new role, hence a new function; a new authorizer.
    delete_roles(account)
    state = account.state()
    state.resources["authorizer"]["status"] = OUTDATED
    state.save()
    with shop.watched():
        account.up()
    arn = fact(account, "rest_api", "arn")
    account.client("apigateway").untag_resource(resourceArn=arn, tagKeys=["cogauth:stack"])
    attach(account)
    with shop.watched():
        account.up(adopt=(fact(account, "rest_api"),), confirm=yes)
        guards.look(account.context(), orders.id)


def delete_roles(account: Account) -> None:
    iam = account.client("iam")
    for role in (fact(account, "role"), fact(account, "auto_confirm_role")):
        iam.delete_role_policy(RoleName=role, PolicyName="cogauth")
        iam.delete_role(RoleName=role)


def reads(shop: Shop, read: Callable[[], object]) -> None:
    """Read a missing stack, a whole one, a changed one with twins, and one without roles."""
    account = shop.account
    orders = Orders(account)
    with shop.watched():
        read()
    account.up(cors_origins=("https://a.example",))
    attach(account)
    with shop.watched():
        read()
    drift(account.client, account.state())
    shop.twins()
    orders.patch("GET", "/iam", ("replace", "/authorizationType", "NONE"))
    with shop.watched():
        read()
    delete_roles(account)
    with shop.watched():
        read()


def plans(shop: Shop) -> None:
    account = shop.account

    def read() -> None:
        ctx = account.context()
        former = ctx.state.settings
        ctx.state.settings = former.with_choices({"throttle_rate": 5.0}, exists=True)
        engine.plan(ctx, Silent(), (), former)

    reads(shop, read)


def tells_the_status(shop: Shop) -> None:
    reads(shop, lambda: status(shop.account.context(), Silent()))


def reads_logs(shop: Shop) -> None:
    account = shop.account
    account.up()
    with shop.watched():
        assert list(logs.read(account.context(), logs.FUNCTIONS, 0)) == []


def downs(shop: Shop) -> None:
    """Delete a stack with twins, a custom domain, attached methods; first a foreign policy."""
    account = shop.account
    orders = Orders(account)
    account.up()
    attach(account)
    orders.deploy("prod")
    shop.twins()
    gateway, state = account.client("apigateway"), account.state()
    twin = next(
        api
        for api in gateway.get_rest_apis()["items"]
        if api["name"] == "shop" and api["id"] != state.fact("rest_api", "id")
    )
    # More than an interrupted create leaves behind.
    gateway.put_method(
        restApiId=twin["id"],
        resourceId=twin["rootResourceId"],
        httpMethod="GET",
        authorizationType="NONE",
    )
    gateway.create_domain_name(domainName="shop.example")
    gateway.create_base_path_mapping(domainName="shop.example", restApiId=twin["id"])
    with shop.watched():
        assert account.down(asked=True).problems
    gateway.delete_base_path_mapping(domainName="shop.example", basePath="(none)")
    with shop.watched(refused_once):
        assert account.down(asked=True).problems
    with shop.watched():
        account.down(asked=True)
    assert left_in_aws(account.client) == ["api orders"]


def recovers(shop: Shop) -> None:
    account = shop.account
    Orders(account)
    account.up(cors_origins=("https://a.example",))
    account.path().unlink()
    shop.other = "*"
    with shop.watched():
        account.recover()


def refused_once(call: Call) -> Any:
    """Answer as AWS does when an update whose answer was lost is repeated."""
    return refusal(400, "BadRequestException") if call.operation == "UpdateMethod" else None


def attaches(shop: Shop) -> None:
    account, shop.other = shop.account, "OTHER"
    account.up()
    # A second stage's deployment is read as well.
    orders = Orders(account, stages=("prod", "beta"))
    with shop.watched(refused_once), contextlib.suppress(Exception):
        attach(account, stage="prod")
    with shop.watched():
        attach(account, stage="prod")
        attach(account, path="/iam", scopes=("a/b",))
    made = account.state().attachments[orders.id]["authorizer"]["id"]
    live = orders.aws.get_authorizer(**orders.place, authorizerId=made)
    twin = orders.aws.create_authorizer(
        **orders.place,
        name="twin",
        type="COGNITO_USER_POOLS",
        providerARNs=live["providerARNs"],
        identitySource=live["identitySource"],
    )
    orders.aws.update_authorizer(
        **orders.place,
        authorizerId=twin["id"],
        patchOperations=[{"op": "replace", "path": "/name", "value": live["name"]}],
    )
    orders.aws.update_authorizer(
        **orders.place,
        authorizerId=made,
        patchOperations=[{"op": "add", "path": "/providerARNs", "value": f"{OTHER_POOL}2"}],
    )
    with shop.watched():
        attach(account, path="/iam")
        # The way 'attach' without --path lists an API.
        ctx = account.context()
        guards.compare(ctx, model.read_api(ctx, orders.id), everywhere=True)


def detaches(shop: Shop) -> None:
    account = shop.account
    account.up()
    Orders(account)
    attach(account)
    with shop.watched(refused_once):
        detach(account)
    attach(account)
    with shop.watched():
        detach(account)


def _lists(ctx: Context) -> None:
    assert [[user.username for user in page] for page in users.pages(ctx)] == [["ann"]]


def _creates(ctx: Context) -> None:
    users.check_vacant(ctx, "bob")
    policy = users.password_policy(ctx)
    users.create(ctx, "bob", PASSWORD, policy, permanent=True)


def _sets_the_password(ctx: Context) -> None:
    users.existing(ctx, "ann")
    policy = users.password_policy(ctx)
    users.set_password(ctx, "ann", PASSWORD, policy, permanent=False)


def _changes(change: Callable[[Context, str], None]) -> Callable[[Context], None]:
    return lambda ctx: change(ctx, users.existing(ctx, "ann").username)


# Ordered so that ann exists for each of them.
USERS: dict[str, Callable[[Context], None]] = {
    "users list": _lists,
    "users create": _creates,
    "users set-password": _sets_the_password,
    "users disable": _changes(users.disable),
    "users enable": _changes(users.enable),
    "users sign-out": _changes(users.sign_out),
    "users delete": _changes(users.delete),
}


def changes_users(*commands: str) -> Callable[[Shop], None]:
    def run(shop: Shop) -> None:
        account = shop.account
        account.stands()
        shop.account.client("cognito-idp").admin_create_user(
            UserPoolId=fact(account, "user_pool"), Username="ann"
        )
        for command in commands:
            with shop.watched():
                USERS[command](account.context())

    return run


ON_MOTO: dict[str, Callable[[Shop], None]] = {
    "up": ups,
    "plan": plans,
    "status": tells_the_status,
    "down": downs,
    "recover": recovers,
    "attach": attaches,
    "detach": detaches,
    "users": changes_users(*USERS),
    **{command: changes_users(command) for command in USERS},
    "logs": reads_logs,
}


@pytest.mark.sample(8)
@pytest.mark.parametrize("command", ON_MOTO)
def test_a_command_is_allowed_what_it_asks_for_and_no_more(account: Account, command: str) -> None:
    shop = Shop(account)
    ON_MOTO[command](shop)
    asked = shop.asked.in_words()
    assert undeclared(command, asked) == []
    assert unneeded(command, asked) == []


# On the local AWS: the commands that call the API


@dataclass
class Kit:
    """A stack with a user ann, someone else's attached API, and the requests to AWS."""

    stack: LocalStack
    other: str
    asked: Asked

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        def note(model: Any, params: dict[str, Any], **_: Any) -> None:
            self.asked.note(Call(model.name, params))

        with pytest.MonkeyPatch.context() as patch:
            # For each botocore session created from now on.
            handlers = [*botocore.handlers.BUILTIN_HANDLERS, ("before-call", note)]
            patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in self.stack.cli.env.items():
                patch.setenv(name, value)
            patch.chdir(self.stack.cli.folder)
            yield

    def run(self, *words: str, code: int | None = 0, typed: str = "") -> None:
        """Run a command and note its calls."""
        with self.watched():
            done = in_process(*words, typed=typed)
        assert code in {None, done.code}, done.err

    def looks_up(self) -> None:
        """Look up the name, as a command does before it asks for the password on a terminal."""
        with self.watched():
            users.would_sign_up(self.context(), "ann")

    def context(self) -> Context:
        keys = Keys(*keys_at(self.stack.url))
        aws = Aws(region=REGION, endpoint_url=self.stack.url, local=keys)
        return Context(aws, self.stack.state, aws.waiter())

    def looks_for_missing(self, *keys: str) -> None:
        """Look for missing resources, as a command does after a failure."""
        with self.watched():
            assert missing(self.context(), *keys) == []

    def looks_again(self) -> None:
        """Check whether the APIs exist, as happens if one was deleted while it was read."""
        gone = ClientError({"Error": {"Code": "NotFoundException"}}, "GetStages")
        for api in (self.stack.state.fact("rest_api", "id"), self.other):
            with self.watched(), contextlib.suppress(ClientError):
                ctx = self.context()
                with rest_apis.existing(ctx, api):
                    raise gone

    def forget_tokens(self) -> None:
        self.stack.state.tokens_path.unlink()


@pytest.fixture(scope="module")
def shared_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A kit on its own local AWS, which serves what was deployed, so that gets checked."""
    folder = tmp_path_factory.mktemp("kit")
    environment = {
        "COGAUTH_REGION": REGION,
        "COGAUTH_STACK": "asking",
        "COGAUTH_PASSWORD": PASSWORD,
    }
    with command_line(folder, **environment) as cli, LocalStack.made(cli, "--local") as stack:
        gateway, state = stack.gateway, stack.state
        other = somebodys_api(gateway)
        cli.run("attach", "--api", other, "--path", "/", "--yes").must()
        cli.run("test-login", "ann").must()
        names = {
            "asking": "STACK",
            state.fact("user_pool", "id"): "POOL",
            state.fact("rest_api", "id"): "API",
            other: "OTHER",
        }
        yield Kit(stack, other, Asked(names, state.account))
        cli.run("detach", "--yes").must()
        gateway.delete_rest_api(restApiId=other)


@pytest.fixture
def kit(shared_kit: Kit) -> Kit:
    shared_kit.asked.requests.clear()
    return shared_kit


def signs_in(kit: Kit) -> None:
    kit.run("test-login", "ann")
    new_password = ("--password-stdin", "--new-password-stdin")
    kit.run("test-login", "ann", *new_password, typed=f"{PASSWORD}\n{PASSWORD}!\n")
    kit.looks_up()
    kit.looks_for_missing()


def gets_a_token(kit: Kit) -> None:
    kit.forget_tokens()
    kit.run("token", "-u", "ann")
    kit.looks_up()
    kit.looks_for_missing()


def calls(kit: Kit) -> None:
    kit.run("call", "GET", "/hello")
    kit.run("call", "GET", "/hello", "--stage", "other", code=2)
    kit.run("call", "GET", "/", "--api", kit.other)
    # It doesn't matter whether the local AWS supports that call.
    kit.run("call", "GET", "/hello", "--test-invoke", code=None)
    kit.run("call", "GET", "/", "--api", kit.other, "--test-invoke", code=None)
    kit.looks_up()
    kit.looks_for_missing()
    kit.looks_again()


def prints_curls(kit: Kit) -> None:
    kit.run("curl", "GET", "/hello")
    kit.run("curl", "GET", "/hello", "--stage", "other", code=2)
    kit.run("curl", "GET", "/", "--api", kit.other)
    kit.looks_again()


def verifies(kit: Kit) -> None:
    kit.run("verify")
    kit.run("verify", "--api", kit.other)
    kit.looks_for_missing()
    kit.looks_again()


def explains(kit: Kit) -> None:
    theirs = kit.stack.context().url("/", api=kit.other, stage="prod")
    for url, *words in (
        (kit.stack.up["protected_url"], "-u", "ann"),
        (kit.stack.up["sign_in_url"], "--method", "POST", "--no-token"),
        (theirs, "-u", "ann"),
    ):
        kit.run("explain", url, *words, code=None)
    kit.looks_for_missing()
    kit.looks_again()


def decodes(kit: Kit) -> None:
    kit.looks_for_missing("user_pool")


def opens_a_page(kit: Kit) -> None:
    def made(state: State, *names: str) -> Context:
        ctx = replace(kit.context(), state=state)
        ctx.aws.make_clients(*names)
        return ctx

    page = Stack(
        load=lambda: kit.stack.state,
        connect=made,
        check=lambda _ctx: None,
        locked=lambda _command: contextlib.nullcontext(),
        where=lambda _ctx: "",
        runnable=str,
        error_json=lambda error: {"code": str(error)},
    )
    own = {"api": kit.stack.up["rest_api_id"], "stage": kit.stack.up["stage"], "path": "/hello"}
    call = {"method": "GET", "token": "id", "username": "ann"}
    with kit.watched():
        shown.status(page)
        for api in shown.methods(page)["apis"]:
            assert api["problem"] is None
        for place in (own, {"api": kit.other, "stage": "prod", "path": "/"}):
            for act in (actions.call, actions.curl, actions.explain):
                act(page, {**place, **call})
        actions.explain(page, {**own, **call, "path": "/signin", "method": "POST"})
        shown.list_users(page, "", 1)
        actions.create_user(page, {"username": "zoe"})
        for change in (actions.disable_user, actions.enable_user, actions.sign_out):
            change(page, {"username": "zoe"})
        actions.delete_user(page, {"username": "zoe"})
        streams.verify(page, lambda _line: None, lambda _event: None)
        with pytest.raises(KeyboardInterrupt):
            streams.logs(page, lambda _line: None, lambda event: event.set())
    kit.looks_for_missing()
    kit.looks_again()


THERE: dict[str, Callable[[Kit], None]] = {
    "page": opens_a_page,
    "test-login": signs_in,
    "token": gets_a_token,
    "call": calls,
    "curl": prints_curls,
    "verify": verifies,
    "explain": explains,
    "decode": decodes,
}


@pytest.mark.sample(6)
@pytest.mark.local
@pytest.mark.parametrize("command", THERE)
def test_a_command_of_the_kit_is_allowed_what_it_asks_for_and_no_more(
    kit: Kit, command: str
) -> None:
    THERE[command](kit)
    asked = kit.asked.in_words()
    assert undeclared(command, asked) == []
    # The page also asks for the status, which has a test of its own above.
    others = unneeded("status", asked) if command == "page" else []
    assert [each for each in unneeded(command, asked) if each not in others] == []


def test_without_the_right_to_look_down_names_no_remedy(account: Account) -> None:
    """'down' continues when it may not list the policies; then IAM refuses the deletion."""
    account.up()
    nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    account.client("iam").put_role_policy(
        RoleName=fact(account, "role"),
        PolicyName="theirs",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [nothing]}),
    )
    remedy = "has the inline policy theirs, which isn't this stack's. Delete it"

    def refuse(call: Call) -> Any:
        return refusal(403, "AccessDenied") if call.operation == "ListRolePolicies" else None

    with account.calls.watched(refuse):
        (problem,) = account.down().problems
    assert "DeleteConflict" in problem
    assert remedy not in problem
    assert account.left() == [f"role {fact(account, 'role')}"]
    account.up()
    assert remedy in account.down().problems[0]


def test_each_command_is_run_above_or_needs_nothing() -> None:
    inner = {
        f"{name} {each}"
        for name, group in program.commands.items()
        if isinstance(group, click.Group)
        for each in group.commands
    }
    assert checks.COMMANDS.keys() == program.commands.keys() | inner
    assert checks.COMMANDS.keys() - NOTHING == ON_MOTO.keys() | THERE.keys()
    for name in NOTHING:
        with pytest.raises(UsageError, match="no call to AWS is made that needs a permission"):
            checks.policy(WORDS, [name])


def test_each_resource_declares_permissions_for_each_of_its_calls() -> None:
    """A resource that is created, changed or deleted says which permissions that needs."""
    for resource in RESOURCES.values():
        declared = resource.permissions(Settings(power_user=True)).keys()
        assert {Purpose.FIND, Purpose.CREATE} <= declared, resource.key


def test_what_only_aws_asks_for_has_a_source() -> None:
    beside = {
        action: one.source
        for name in checks.COMMANDS
        for one in checks.COMMANDS[name](Settings())
        for action in one.actions
        if one.source
    }
    assert beside.keys() == {
        "apigateway:PATCH",
        "apigateway:PUT",
        "cognito-idp:TagResource",
        "iam:PassRole",
        "iam:TagRole",
        "lambda:ListTags",
        "lambda:TagResource",
        "logs:TagResource",
    }
    assert all(str(source).startswith("https://") for source in beside.values())
