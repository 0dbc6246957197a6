"""`cogauth users` on moto: what exists afterwards, and what is refused before anything changes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import io
import json
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.handlers
import click
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from cogauth.cli.output import print_error, print_json_list
from cogauth.cli.session import live_policy
from cogauth.cli.user_list import show
from cogauth.client import passwords, token_store, tokens, users
from cogauth.client.passwords import Policy
from cogauth.errors import CogauthError
from cogauth.printable import json_text
from cogauth.record.lock import hold
from cogauth.steps.cognito import POLICY_KEYS
from support.calls import refusal
from support.commands import in_process, program
from support.foreign import describe_pool, make_pool
from support.stacks import fact, update_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.client.users import User
    from cogauth.context import Context
    from support.account import Account
    from support.calls import Call
    from support.forker import Result

PASSWORD = "Correct-Horse-7"
# Each changing command except `create`, with its extra options.
CHANGES = {
    "set-password": ("--password-stdin",),
    "disable": (),
    "enable": (),
    "sign-out": (),
    "delete": (),
}


@dataclass
class Pool:
    """A stack's user pool, with a user called ann."""

    account: Account
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.account.stands()
        self.monkeypatch.setenv("AWS_REGION", self.account.region)
        self.cognito = self.account.client("cognito-idp")
        self.id = fact(self.account, "user_pool")
        self.cognito.admin_create_user(UserPoolId=self.id, Username="ann")

    def words(self, *words: str) -> list[str]:
        """Return the words of a `users` command for this stack."""
        return ["users", *words, "--stack", "shop", "--state", str(self.account.path())]

    def run(self, *words: str, code: int = 0, typed: str = "") -> Result:
        """Run `users`; check that no output contains what was typed."""
        done = in_process(*self.words(*words), typed=typed).must(code)
        assert not typed or typed.strip() not in done.out + done.err
        return done

    def user(self, name: str) -> Any:
        try:
            return self.cognito.admin_get_user(UserPoolId=self.id, Username=name)
        except ClientError:
            return None

    def signs_in(self, name: str, password: str) -> str:
        """Sign in as the sign-in function does; return the challenge or the token's kind."""
        client = self.cognito.describe_user_pool_client(
            UserPoolId=self.id, ClientId=fact(self.account, "app_client")
        )["UserPoolClient"]
        secret = users_hash(name, client["ClientId"], client["ClientSecret"])
        try:
            answer = self.cognito.admin_initiate_auth(
                UserPoolId=self.id,
                ClientId=client["ClientId"],
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": name, "PASSWORD": password, "SECRET_HASH": secret},
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(answer.get("ChallengeName", "tokens"))

    def store_tokens(self, *names: str) -> None:
        for name in names:
            token_store.store(self.account.state(), name, dict.fromkeys(tokens.NAMES, "eyJ0"))

    @property
    def stored(self) -> set[str]:
        return set(token_store.stored(self.account.state()))


def users_hash(name: str, client: str, secret: str) -> str:
    digest = hmac.digest(secret.encode(), f"{name}{client}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


@contextlib.contextmanager
def on_event(event: str, handler: Callable[..., object]) -> Iterator[None]:
    """Handle an event of each botocore session that a command makes."""
    with pytest.MonkeyPatch.context() as patch:
        handlers = [*botocore.handlers.BUILTIN_HANDLERS, (event, handler)]
        patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
        yield


@contextlib.contextmanager
def called() -> Iterator[list[str]]:
    """Record the operations that a command calls."""
    calls: list[str] = []
    with on_event("before-call", lambda model, **_: calls.append(model.name)):
        yield calls


@pytest.fixture
def pool(account: Account, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(account, monkeypatch)


# What exists afterwards


def test_a_user_is_created_with_a_temporary_password_that_is_shown_once(pool: Pool) -> None:
    done = pool.run("create", "bob", "--yes", "--json").document
    password = done.pop("temporary_password")
    assert done == {"created": "bob", "permanent": False}
    assert pool.user("bob")["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert pool.signs_in("bob", password) == "NEW_PASSWORD_REQUIRED"
    for file in pool.account.folder.rglob("*"):
        assert file.is_dir() or password not in file.read_text()


def test_cognito_is_told_to_send_no_message(pool: Pool) -> None:
    ctx = pool.account.context()
    with pool.account.calls.watched() as calls:
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=False)
    (sent,) = [json.loads(one.sent["body"]) for one in calls if one.operation == "AdminCreateUser"]
    assert sent["MessageAction"] == "SUPPRESS"


@pytest.mark.parametrize(
    ("words", "challenge"), [((), "NEW_PASSWORD_REQUIRED"), (("--permanent",), "tokens")]
)
@pytest.mark.parametrize("command", ["create", "set-password"])
def test_a_given_password_is_the_users(
    pool: Pool, command: str, words: tuple[str, ...], challenge: str
) -> None:
    name = "bob" if command == "create" else "ann"
    given = (command, name, "--yes", "--password-stdin", *words)
    done = pool.run(*given, "--json", typed=f"{PASSWORD}\n").document
    assert (
        done
        == {
            "create": {"created": "bob", "permanent": bool(words), "temporary_password": None},
            "set-password": {"password_set": "ann", "permanent": bool(words)},
        }[command]
    )
    assert pool.signs_in(name, PASSWORD) == challenge
    if command == "set-password":
        assert "ann" in pool.run(*given, typed=f"{PASSWORD}\n").out


def test_a_disabled_user_can_be_enabled(pool: Pool) -> None:
    with called() as calls:
        done = pool.run("disable", "ann", "--yes")
    assert calls[-2:] == ["AdminGetUser", "AdminDisableUser"]
    assert done.out == "Disabled the user ann.\n"
    assert "until they expire" in done.err
    assert pool.user("ann")["Enabled"] is False
    done = pool.run("enable", "ann", "--yes")
    assert (done.out, done.err) == ("Enabled the user ann.\n", "")
    assert pool.user("ann")["Enabled"] is True


@pytest.mark.parametrize("command", ["sign-out", "delete"])
def test_the_stored_tokens_of_who_is_signed_out_or_deleted_are_forgotten(
    pool: Pool, command: str
) -> None:
    pool.store_tokens("ann", "bob")
    done = pool.run(command, "ann", "--yes")
    assert "The gateway accepts the user's ID and access tokens until they expire" in done.err
    assert pool.stored == {"bob"}
    assert (pool.user("ann") is None) == (command == "delete")
    pool.cognito.admin_create_user(UserPoolId=pool.id, Username="cid")
    name = {"sign-out": "signed_out", "delete": "deleted"}[command]
    assert pool.run(command, "cid", "--yes", "--json").document == {name: "cid"}


def test_the_list_is_filtered_by_cognito(pool: Pool) -> None:
    for name in ("andy", "bob"):
        pool.cognito.admin_create_user(UserPoolId=pool.id, Username=name)
    found = pool.run("--filter", 'username ^= "an"', "--json").document
    assert sorted(user["username"] for user in found["users"]) == ["andy", "ann"]
    assert pool.run("--filter", 'username = "nobody"').err == "0 users\n"
    done = pool.run("--filter", "nonsense", "--json", code=2)
    assert "Cognito can't use the filter 'nonsense'" in done.document["error"]["message"]


@pytest.mark.parametrize("as_json", [False, True])
def test_each_page_is_printed_before_the_next_is_read(
    pool: Pool, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    for number in range(61):
        name = f"user{number:02}" if number else "a-long-name-on-the-first-page"
        pool.cognito.admin_create_user(UserPoolId=pool.id, Username=name)
    printed: list[str] = []

    def watched() -> Iterator[list[User]]:
        for page in users.pages(pool.account.context()):
            printed.append(capsys.readouterr().out)
            yield page

    if as_json:
        print_json_list(
            {"pool": ""}, "users", (vars(one)["username"] for p in watched() for one in p)
        )
    else:
        assert show(watched()) == 62
    before, first = printed
    assert before == ""
    assert "ann" in first
    assert "user60" not in first
    last = capsys.readouterr().out
    if as_json:
        assert len(json.loads(first + last)["users"]) == 62
        return
    lines = (first + last).splitlines()
    assert lines[0].split() == ["username", "status", "enabled", "created"]
    assert len(lines) == 1 + 62
    # The columns of both pages have the same width.
    assert len({line.index("FORCE_CHANGE_PASSWORD") for line in lines[1:]}) == 1


def test_a_question_for_a_password_quotes_the_pools_own_policy(pool: Pool) -> None:
    ctx = pool.account.context()
    classes = dict.fromkeys(POLICY_KEYS.values(), False)
    update_pool(pool.account, Policies={"PasswordPolicy": {**classes, "MinimumLength": 12}})
    assert live_policy(ctx) == "at least 12 characters"
    # Who may not read it gets the stack's.
    denied = refusal(400, "AccessDeniedException", "No.")
    with pool.account.calls.watched(lambda _: denied):
        assert live_policy(ctx).startswith("at least 8 characters, with ")


def test_nobody_is_new_to_a_closed_pool(pool: Pool) -> None:
    ctx = pool.account.context()
    assert users.would_sign_up(ctx, "bob")
    assert not users.would_sign_up(ctx, "ann")
    update_pool(pool.account, AdminCreateUserConfig={"AllowAdminCreateUserOnly": True})
    assert not users.would_sign_up(ctx, "bob")


def test_nobody_is_new_to_a_function_that_signs_nobody_up(pool: Pool) -> None:
    """Somebody opened the pool by hand, or nobody may read it."""
    ctx = pool.account.context(sign_up="closed")
    assert not users.would_sign_up(ctx, "bob")
    denied = refusal(400, "AccessDeniedException", "No.")
    with pool.account.calls.watched(lambda _: denied):
        assert not users.would_sign_up(ctx, "bob")


# A document printed in parts


@pytest.mark.parametrize("items", [[], [{"a": "é\n"}], [{"a": 1}, {"a": [2]}, {}]])
def test_a_list_in_parts_is_the_document(
    capsys: pytest.CaptureFixture[str], items: list[object]
) -> None:
    print_json_list({"pool": "p"}, "users", iter(items))
    assert capsys.readouterr().out == json_text({"pool": "p", "users": items}) + "\n"


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_in_between_is_in_the_same_document(
    capsys: pytest.CaptureFixture[str], count: int
) -> None:
    def items() -> Any:
        yield from [{"a": nth} for nth in range(count)]
        raise CogauthError("It broke.")

    with pytest.raises(CogauthError) as caught:
        print_json_list({"pool": "p"}, "users", items())
    print_error("failed", caught.value)
    document = json.loads(capsys.readouterr().out)
    assert document.pop("error")["message"] == "It broke."
    assert document == ({"pool": "p", "users": [{"a": 0}, {"a": 1}]} if count else {})
    print_error("failed", caught.value)
    assert list(json.loads(capsys.readouterr().out)) == ["error"]


# What is refused


@pytest.mark.parametrize("command", CHANGES)
def test_a_user_who_is_not_there_is_named(pool: Pool, command: str) -> None:
    before = describe_pool(pool.account, pool.id)
    pool.store_tokens("gone", "ann")
    done = pool.run(command, "gone", *CHANGES[command], "--yes", code=1, typed=f"{PASSWORD}\n")
    assert f"There is no user 'gone' in the user pool {pool.id}. Nothing was changed." in done.err
    assert describe_pool(pool.account, pool.id) == before
    assert pool.stored == {"ann"}


def test_a_name_that_is_taken_is_not_created_again(pool: Pool) -> None:
    before = describe_pool(pool.account, pool.id)
    done = pool.run("create", "ann", "--yes", "--json", code=1)
    assert "There is already a user 'ann'" in done.document["error"]["message"]
    assert "cogauth users set-password ann --stack shop" in done.document["error"]["hint"]
    assert describe_pool(pool.account, pool.id) == before


@pytest.mark.parametrize("name", ["", "x" * 129, "two words", "a\tb", "\ufeffa"])
@pytest.mark.parametrize("command", ["create", *CHANGES])
def test_a_name_that_no_pool_takes_is_refused_with_the_rule(
    pool: Pool, command: str, name: str
) -> None:
    words = CHANGES.get(command, ("--json",))
    with called() as calls:
        done = pool.run(command, name, "--yes", *words, code=2)
    assert "ive 1 to 128 characters" in done.err
    assert calls == []


@pytest.mark.parametrize("word", ["-x", "-ann"])
@pytest.mark.parametrize("command", ["users create", "users delete", "test-login", "token"])
def test_a_name_that_begins_with_a_dash_is_given_after_two(command: str, word: str) -> None:
    said = in_process(*command.split(), word).must(2).err
    assert "No such option" in said
    assert "To give a name that begins with '-', put -- before it." in said


@pytest.mark.parametrize("words", [("users", "list"), ("outputs",), ("users", "create", "--stak")])
def test_what_is_no_name_is_not_taken_for_one(words: tuple[str, ...]) -> None:
    said = in_process(*words, "-x").must(2).err
    assert "No such option" in said
    assert "begins with" not in said


def test_only_what_cognito_takes_for_a_space_may_not_be_at_an_end() -> None:
    assert passwords.is_possible("\N{NO-BREAK SPACE}Correct-1\N{NO-BREAK SPACE}")
    for space in string.whitespace:
        assert not passwords.is_possible(f"Correct-1{space}")
        assert not passwords.is_possible(f"{space}Correct-1")
    assert passwords.is_possible("Correct Horse 1")


@pytest.mark.parametrize("password", ["a" * 257, " Correct-1", "Correct-1 ", "Aa1-5", "\t"])
@pytest.mark.parametrize("command", ["create", "set-password"])
def test_a_password_that_no_pool_takes_is_refused_before_any_call(
    pool: Pool, command: str, password: str
) -> None:
    words = (command, "ann", "--yes", "--password-stdin")
    with called() as calls:
        done = in_process(*pool.words(*words), typed=f"{password}\n").must(2)
    assert "it needs 6 to 256 characters, and no space at its start or end" in done.err
    assert calls == []


@pytest.mark.parametrize("command", ["create", "set-password"])
def test_a_password_is_held_against_the_pools_own_policy(pool: Pool, command: str) -> None:
    """Someone changed it in the console, so the recorded policy isn't used."""
    classes = dict.fromkeys(POLICY_KEYS.values(), False)
    policy = {"MinimumLength": 12, **classes, "RequireNumbers": True}
    update_pool(pool.account, Policies={"PasswordPolicy": policy})
    before = describe_pool(pool.account, pool.id)
    name = "bob" if command == "create" else "ann"
    for password in ("short1", "none-of-the-digits"):
        done = pool.run(command, name, "--yes", "--password-stdin", code=2, typed=f"{password}\n")
        assert "it needs at least 12 characters, with a digit, at most 256" in done.err
        assert describe_pool(pool.account, pool.id) == before
    pool.run(command, name, "--yes", "--password-stdin", typed="only-lower-case-1\n")


@pytest.mark.parametrize("command", ["create", *CHANGES])
def test_nothing_is_changed_where_nobody_can_be_asked(pool: Pool, command: str) -> None:
    before = describe_pool(pool.account, pool.id)
    words = CHANGES.get(command, ("--json",))
    done = pool.run(command, "ann" if command in CHANGES else "bob", *words, code=2)
    assert "Give --yes" in done.err
    assert describe_pool(pool.account, pool.id) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "bob", "--yes"), "Stdout is not a terminal to show the temporary password on"),
        (("create", "bob", "--yes", "--permanent", "--json"), "No password was given"),
        (("set-password", "ann", "--yes"), "No password was given"),
        (("create", "bob", "--yes", "--password-stdin"), "The password is empty"),
    ],
)
def test_a_password_that_nobody_gives_or_sees_is_none(
    pool: Pool, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That variable is for the user who signs in.
    monkeypatch.setenv("COGAUTH_PASSWORD", PASSWORD)
    before = describe_pool(pool.account, pool.id)
    assert said in pool.run(*words, code=2).err
    assert describe_pool(pool.account, pool.id) == before


@pytest.mark.parametrize(
    "code", ["InvalidPasswordException", "PasswordHistoryPolicyViolationException"]
)
def test_a_password_that_cognito_refuses_is_refused_with_the_rule(pool: Pool, code: str) -> None:
    ctx = pool.account.context()
    policy = Policy(8, ("digit",))
    with (
        pool.account.calls.watched(lambda _: refusal(400, code, "Not this one.")),
        pytest.raises(CogauthError) as caught,
    ):
        users.set_password(ctx, "ann", PASSWORD, policy, permanent=True)
    assert str(caught.value) == (
        "Cognito refuses the password: Not this one. It needs at least 8 characters, with a digit. "
        "Give another."
    )


def test_who_was_created_without_the_password_is_named(pool: Pool) -> None:
    ctx = pool.account.context()

    def refuse(call: Any) -> Any:
        refused = call.operation == "AdminSetUserPassword"
        return refusal(400, "InvalidPasswordException", "Not this one.") if refused else None

    with pool.account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=True)
    assert "The user was created, with a password that nobody knows." in str(caught.value)
    assert "cogauth users set-password --permanent bob --stack shop" in str(caught.value)
    assert pool.user("bob")


def test_who_was_created_with_a_password_that_nobody_saw_is_named(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*pool.words("create", "--yes", "--json"), "--", "-bob"]
    full = Path("/dev/full").open("w")  # noqa: SIM115 its end fails, too
    with contextlib.redirect_stdout(full), pytest.raises(OSError, match="No space left"):
        program(words, standalone_mode=False)
    with contextlib.suppress(OSError):
        full.close()
    said = capsys.readouterr().err
    assert "-bob was created, but nobody saw the password." in said
    assert re.search(r"cogauth users set-password --stack shop .* -- -bob\n", said)
    assert pool.user("-bob")


class Interrupted(io.StringIO):
    """A stdout at which Ctrl-C is pressed."""

    def write(self, _text: str) -> int:
        raise KeyboardInterrupt


def test_who_may_have_been_created_is_named_after_ctrl_c(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(**_: Any) -> None:
        raise KeyboardInterrupt

    words = pool.words("create", "bob", "--yes", "--json")
    with (
        on_event("after-call.cognito-identity-provider.AdminCreateUser", press),
        pytest.raises((KeyboardInterrupt, click.Abort)),
    ):
        program(words, standalone_mode=False)
    assert pool.user("bob")
    said = capsys.readouterr().err
    assert "bob may have been created, but nobody saw the password. To give another: " in said
    words[2] = "cid"
    with (
        contextlib.redirect_stdout(Interrupted()),
        pytest.raises((KeyboardInterrupt, click.Abort)),
    ):
        program(words, standalone_mode=False)
    said = capsys.readouterr().err
    assert "cid was created, but nobody saw the password. To give another: " in said
    assert pool.user("cid")


def test_a_creation_whose_answer_is_lost_is_not_repeated(pool: Pool) -> None:
    """Cognito would answer that the name is taken: by our own first call."""
    ctx, sent = pool.account.context(), []
    policy = users.password_policy(ctx)

    def lose(**_: Any) -> None:
        if not sent:
            pool.cognito.admin_create_user(UserPoolId=pool.id, Username="bob")
        sent.append("AdminCreateUser")
        raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    clients = [ctx.aws.cognito, ctx.aws.cognito_once]
    for client in clients:
        client.meta.events.register_first("before-send.cognito-idp.AdminCreateUser", lose)
    try:
        with pytest.raises(CogauthError) as caught:
            users.create(ctx, "bob", PASSWORD, policy, permanent=False)
    finally:
        for client in clients:
            client.meta.events.unregister("before-send.cognito-idp.AdminCreateUser", lose)
    assert "The user may have been created." in str(caught.value)
    assert len(sent) == 1


DENIED = "PreSignUp invocation failed due to error AccessDeniedException."
FORMERLY_DENIED = (
    "arn:aws:lambda:eu-central-1:1:function:f invocation failed with error User: arn:aws:sts::2:a "
    "is not authorized (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException)"
)


@pytest.mark.parametrize("message", [DENIED, FORMERLY_DENIED])
@pytest.mark.parametrize("code", ["UnexpectedLambdaException", "UserLambdaValidationException"])
def test_a_new_permission_of_the_trigger_is_waited_for(pool: Pool, code: str, message: str) -> None:
    ctx, told = pool.account.context(), set[str]()
    ctx.made.add("trigger_permission")
    ctx.waiter.report = lambda reason, _: told.add(reason)
    left = [2]

    def deny(call: Call) -> Any:
        if call.operation != "AdminCreateUser" or not left[0]:
            return None
        left[0] -= 1
        return refusal(400, code, message)

    with pool.account.calls.watched(deny):
        users.create(ctx, "bob", PASSWORD, users.password_policy(ctx), permanent=False)
    assert pool.user("bob")
    assert told == {"the user pool to be allowed to call its trigger"}


@pytest.mark.parametrize(
    ("fresh", "code", "message", "waits"),
    [
        (True, "UnexpectedLambdaException", DENIED, True),
        (False, "UnexpectedLambdaException", DENIED, False),
        (True, "UserLambdaValidationException", "PreSignUp failed with error AccessDenied.", False),
        (True, "InvalidLambdaResponseException", "Unrecognizable lambda output", False),
    ],
)
def test_a_trigger_that_lets_nobody_be_created_is_explained(
    pool: Pool, code: str, message: str, *, fresh: bool, waits: bool
) -> None:
    pool.account.grow_old()
    ctx = pool.account.context()
    if fresh:
        ctx.made.add("trigger_permission")
    policy = users.password_policy(ctx)
    with (
        pool.account.calls.watched(lambda _: refusal(400, code, message)),
        pytest.raises(CogauthError) as caught,
    ):
        users.create(ctx, "bob", PASSWORD, policy, permanent=False)
    said = str(caught.value)
    assert said.startswith(f"Creating the user bob failed: {code}: {message.rstrip('.')}. The user")
    assert "The user was not created. Run 'cogauth status --stack shop" in said
    assert "cogauth logs --since 10m" in said
    assert (pool.account.time.now >= 60) == waits
    assert pool.user("bob") is None


@contextlib.contextmanager
def answer_lost(ctx: Context, operation: str, effect: Callable[[], object]) -> Iterator[None]:
    """Let the first call of an operation take effect, but lose its answer."""
    sent: list[str] = []

    def lose(**_: Any) -> None:
        sent.append(operation)
        if len(sent) == 1:
            effect()
            raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    events, event = ctx.aws.cognito.meta.events, f"before-send.cognito-idp.{operation}"
    events.register_first(event, lose)
    try:
        yield
    finally:
        events.unregister(event, lose)
    assert len(sent) == 2


def test_a_deletion_whose_answer_is_lost_is_a_deletion(pool: Pool) -> None:
    """botocore's second call is told that there is no such user."""
    ctx, name = pool.account.context(), {"UserPoolId": pool.id, "Username": "ann"}
    pool.store_tokens("ann")
    with answer_lost(ctx, "AdminDeleteUser", lambda: pool.cognito.admin_delete_user(**name)):
        users.delete(ctx, "ann")
    assert pool.user("ann") is None
    assert pool.stored == set()


def test_a_password_whose_first_setting_was_lost_may_be_set(pool: Pool) -> None:
    ctx, policy = pool.account.context(), Policy(8, ())
    refused, parsed = refusal(400, "PasswordHistoryPolicyViolationException", "Used before.")
    parsed["ResponseMetadata"]["RetryAttempts"] = 1
    with (
        pool.account.calls.watched(lambda _: (refused, parsed)),
        pytest.raises(CogauthError) as caught,
    ):
        users.set_password(ctx, "ann", PASSWORD, policy, permanent=True)
    assert "A first attempt may have set it: try to sign in with it" in str(caught.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("delete", "The user ann was deleted. Only its stored tokens remain here: "),
        ("sign-out", "The user ann was signed out. Only its stored tokens remain here: "),
    ],
)
def test_what_was_done_is_said_where_the_stored_tokens_stay(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    monkeypatch.setattr(token_store, "LOCK_S", 0.1)
    pool.store_tokens("ann")
    with hold(pool.account.state().tokens_path, "token", 0):
        done = pool.run(command, "ann", "--yes", code=1)
        assert f"{said}Another cogauth is using " in done.err
        assert (pool.user("ann") is None) == (command == "delete")
        done = pool.run(command, "zed", "--yes", code=1)
        assert "There is no user 'zed'" in done.err
        assert "Nothing was changed. Only its stored tokens remain here" in done.err
    assert pool.stored == {"ann"}


@pytest.mark.parametrize("command", ["list", "create", *CHANGES])
def test_no_user_of_another_pool_is_touched(pool: Pool, command: str) -> None:
    theirs = make_pool(pool.account, "theirs", 1)
    arn = f"arn:aws:cognito-idp:{pool.account.region}:{pool.account.aws.account}:userpool/{theirs}"
    state = pool.account.state()
    state.put(
        "resources", "user_pool", {**(state.record("user_pool") or {}), "id": theirs, "arn": arn}
    )
    before = describe_pool(pool.account, theirs)
    words = {"list": (), "create": ("new", "--json", "--yes")}.get(
        command, ("user0", *CHANGES.get(command, ()), "--yes")
    )
    done = pool.run(command, *words, code=1, typed=f"{PASSWORD}\n")
    assert "isn't this stack's" in done.err
    assert "user0" not in done.out
    assert describe_pool(pool.account, theirs) == before


# Generated passwords


@pytest.mark.parametrize("least", [6, 8, 20, 99])
def test_a_generated_password_fits_any_policy(least: int) -> None:
    policy = Policy(least, tuple(passwords.CLASSES))
    for length in (20, 32):
        for password in (passwords.new_password(least, length) for _ in range(50)):
            policy.check(password)
            assert len(password) == max(least, length)
            assert password[0] in string.ascii_letters
            assert " " not in password
            assert password.isascii()
