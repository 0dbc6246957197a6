"""`cogauth users` on moto: what exists afterwards, and what is refused before anything changes."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.handlers
import click
import pytest

from cogauth.client import token_store
from cogauth.record.lock import hold
from cogauth.steps.cognito import POLICY_KEYS
from support.commands import in_process, program
from support.foreign import describe_pool, make_pool
from support.names import PASSWORD
from support.stacks import update_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.user_pool import Pool

# For the fixtures.
pytest_plugins = ["support.user_pool"]

# Each changing command except `create`, with its extra options.
CHANGES = {
    "set-password": ("--password-stdin",),
    "disable": (),
    "enable": (),
    "sign-out": (),
    "delete": (),
}


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


# What exists afterwards


def test_a_user_is_created_with_a_temporary_password_that_is_shown_once(pool: Pool) -> None:
    done = pool.run("create", "bob", "--yes", "--json").document
    password = done.pop("temporary_password")
    assert done == {"created": "bob", "permanent": False}
    assert pool.user("bob")["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert pool.signs_in("bob", password) == "NEW_PASSWORD_REQUIRED"
    for file in pool.account.folder.rglob("*"):
        assert file.is_dir() or password not in file.read_text()


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
