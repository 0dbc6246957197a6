"""Sessions and users on the local AWS: what the token kit gets, renews and deletes there."""

from __future__ import annotations

import json
import re
import shlex
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

from cogauth.client import token_store, tokens
from support.commands import KEYS, Running, command_line, files_in, in_process
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.tokens import with_claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.forker import Result

pytestmark = pytest.mark.local


class Kit(LocalStack):
    """A stack, used through the token kit."""

    @property
    def stored(self) -> dict[str, dict[str, str]]:
        return token_store.stored(self.state)

    def run(self, *words: str, code: int = 0, typed: str = "", secret: bool = True) -> Result:
        """Run a command; check that no token is shown, except by the one that prints it."""
        done = in_process(*words, typed=typed).must(code)
        shown = done.err + (done.out if secret else "")
        for kept in self.stored.values():
            assert not [token for token in kept.values() if token in shown]
        assert PASSWORD not in done.out + done.err
        return done

    def token(self, username: str, *words: str, typed: str = "", code: int = 0) -> str:
        words = ("token", "--username", username, *words)
        return self.run(*words, typed=typed, code=code, secret=False).out.removesuffix("\n")

    def hello(self, token: str) -> int:
        headers = {"Authorization": token}
        url = self.up["protected_url"]
        return requests.get(url, headers=headers, timeout=30).status_code

    def change(self, username: str, **claims: Any) -> None:
        """Store tokens with other claims, so that their signature is no longer valid."""
        former = self.stored[username]
        changed = {
            name: with_claims(former[name], **claims) for name in ("id_token", "access_token")
        }
        token_store.store(self.state, username, {**former, **changed})


def claims_of(token: str) -> dict[str, Any]:
    return tokens.read(token)[1].claims


@pytest.fixture(scope="module")
def existing(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    given = {**KEYS, "AWS_REGION": REGION, "COGAUTH_ENDPOINT_URL": endpoint}
    with command_line(tmp_path_factory.mktemp("kit"), **given) as cli:
        with Kit.made(cli, "--stack", "kit") as made:
            yield made
        # Neither the tokens nor their lock are left.
        assert files_in(cli.folder) == []


@pytest.fixture
def kit(existing: Kit, no_credentials: pytest.MonkeyPatch) -> Kit:
    for name, value in {
        **KEYS,
        "COGAUTH_STACK": "kit",
        "COGAUTH_STATE": str(existing.path),
        "COGAUTH_ENDPOINT_URL": existing.url,
        "COGAUTH_PASSWORD": PASSWORD,
    }.items():
        no_credentials.setenv(name, value)
    return existing


@pytest.fixture
def no_password(kit: Kit, no_credentials: pytest.MonkeyPatch) -> None:
    """Remove the password variable."""
    del kit
    no_credentials.delenv("COGAUTH_PASSWORD")


@pytest.fixture
def ann(kit: Kit) -> str:
    """A user who has signed in."""
    kit.token("ann")
    return "ann"


# token


def test_the_first_token_takes_the_password_and_the_next_none(
    kit: Kit, no_credentials: pytest.MonkeyPatch
) -> None:
    done = in_process("token", "--username", "new").must()
    assert done.err == "new was signed up, because the user pool didn't know the name.\n"
    first = done.out.removesuffix("\n")
    assert kit.hello(first) == 200
    assert kit.state.tokens_path.stat().st_mode & 0o777 == 0o600
    no_credentials.delenv("COGAUTH_PASSWORD")
    # It doesn't need AWS or its credentials, either.
    for name in KEYS:
        no_credentials.delenv(name)
    assert kit.token("new") == first
    assert kit.token("NEW", "--header") == f"Authorization: {first}"
    document = json.loads(kit.token("new", "--type", "access", "--json"))
    access = document.pop("token")
    assert document == {"username": "new", "type": "access"}
    assert claims_of(access)["token_use"] == "access"
    assert kit.token("new", "--type", "refresh") == kit.stored["new"]["refresh_token"]


def test_the_password_can_come_from_stdin(kit: Kit, no_password: None) -> None:
    del no_password
    token = kit.token("pat", "--password-stdin", typed=f"{PASSWORD}\nrest\n")
    assert kit.hello(token) == 200


def test_an_editors_mark_is_no_part_of_the_password(
    kit: Kit, no_credentials: pytest.MonkeyPatch
) -> None:
    kit.token("eva")
    token_store.forget(kit.state, "eva")
    no_credentials.setenv("COGAUTH_PASSWORD", f"\ufeff{PASSWORD}")
    assert kit.token("eva")
    token_store.forget(kit.state, "eva")
    no_credentials.delenv("COGAUTH_PASSWORD")
    assert kit.token("eva", "--password-stdin", typed=f"\ufeff{PASSWORD}\n")


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"exp": int(time.time()) + 30}, {"exp": None}, {"exp": "never"}]
)
def test_an_expired_token_is_renewed_without_the_password(
    kit: Kit, ann: str, no_password: None, claims: dict[str, Any]
) -> None:
    del no_password
    kit.change(ann, **claims)
    expired = kit.stored[ann]
    token = kit.token(ann)
    assert token == kit.stored[ann]["id_token"] != expired["id_token"]
    assert kit.stored[ann]["access_token"] != expired["access_token"]
    assert kit.stored[ann]["refresh_token"] == expired["refresh_token"]
    assert kit.hello(token) == 200
    assert kit.token(ann) == token


def test_a_call_renews_as_well(kit: Kit, ann: str, no_password: None) -> None:
    del no_password
    kit.change(ann, exp=1)
    document = kit.run("call", "GET", "/hello", "--username", ann, "--json").document
    assert (document["status"], document["body"]["message"][:6]) == (200, "Hello!")


@pytest.mark.parametrize("claims", [{"iss": "https://elsewhere/pool"}, {"aud": "another"}])
def test_tokens_of_another_pool_or_client_are_not_handed_out(
    kit: Kit, ann: str, claims: dict[str, Any]
) -> None:
    kit.change(ann, **claims)
    got = claims_of(kit.token(ann))
    assert not claims.items() & got.items()


def test_a_session_that_is_over_asks_for_the_password(
    kit: Kit, ann: str, no_credentials: pytest.MonkeyPatch
) -> None:
    over = {**kit.stored[ann], "refresh_token": "garbage"}
    token_store.store(kit.state, ann, over)
    kit.change(ann, exp=1)
    with no_credentials.context() as without:
        without.delenv("COGAUTH_PASSWORD")
        done = kit.run("token", "--username", ann, code=2)
        assert "The stored session of ann is over (refresh_refused): sign in again." in done.err
        assert "No password was given, and stdin is not a terminal to ask on." in done.err
    assert kit.hello(kit.token(ann)) == 200


def test_another_users_refresh_token_is_refused(kit: Kit, ann: str) -> None:
    kit.token("eve")
    url = kit.up["sign_in_url"]
    data = {"username": "eve", "refresh_token": kit.stored[ann]["refresh_token"]}
    assert requests.post(url, json=data, timeout=30).json()["code"] == "refresh_refused"
    both = {**data, "password": PASSWORD}
    assert requests.post(url, json=both, timeout=30).json()["code"] == "bad_request"


def test_a_disabled_user_gets_no_token(kit: Kit) -> None:
    kit.token("ida")
    kit.change("ida", exp=1)
    name = {"UserPoolId": kit.up["user_pool_id"], "Username": "ida"}
    kit.cognito.admin_disable_user(**name)
    said = kit.run("token", "--username", "ida", code=1).err
    assert said == "Error: The login was refused: This user is disabled (user_disabled).\n"
    kit.cognito.admin_enable_user(**name)


def test_a_wrong_password_gets_no_token(kit: Kit, ann: str) -> None:
    token_store.forget(kit.state, ann)
    said = kit.run("token", "--username", ann, "--password-stdin", typed="Wrong-1234\n", code=1).err
    assert "The username or password is incorrect (wrong_credentials)" in said
    assert ann not in kit.stored


def test_the_password_is_asked_for_on_a_terminal_and_the_pipe_stays_clean(kit: Kit) -> None:
    words = ("token", "--username", "tom", "--stack", "kit", "--state", str(kit.path))
    running = kit.cli.on_terminal(*words)
    running.see("Password: ")
    running.type(f"{PASSWORD}\n")
    # For a new user it is asked for twice, until both match.
    running.see("The same again: ")
    running.type("Mistyped-1!\n")
    running.see("(?s)do not match.*Password: ")
    running.type(f"{PASSWORD}\n")
    running.see("(?s)do not match.*The same again: ")
    running.type(f"{PASSWORD}\n")
    assert running.ended() == 0
    assert PASSWORD not in running.text
    assert running.plain.rstrip().endswith(kit.stored["tom"]["id_token"])
    asked = kit.cli.on_terminal(*words[:2], "kim", *words[3:])
    asked.see("Password: ")
    asked.press_ctrl_c()
    assert asked.ended() == 130
    assert "kim" not in kit.stored


# decode


def test_the_pools_tokens_are_verified(kit: Kit, ann: str) -> None:
    for kind in ("id", "access"):
        document = kit.run("decode", "--json", typed=kit.stored[ann][f"{kind}_token"]).document
        assert document["claims"]["token_use"] == kind
        assert (document["verified"], document["reason"]) == (True, None)
        assert set(document) == {"header", "claims", "verified", "reason"}
    shown = kit.run("token", "--username", ann, "--decode").out
    assert re.search(r"^  exp +\d{4}-\d\d-\d\d .*, in (1 h|59 min.*)$", shown, re.MULTILINE)
    assert shown.splitlines()[-1].startswith("✓ Verified: issued by the stack's user pool")
    both = kit.run("token", "--username", ann, "--decode", "--header", code=2)
    assert "exclude each other" in both.err


def test_a_token_that_does_not_hold_says_why(kit: Kit, ann: str) -> None:
    good = kit.stored[ann]["id_token"]
    for token, why in (
        (with_claims(good, sub="another"), "Signature verification failed"),
        (kit.stored[ann]["refresh_token"], "its token_use is neither 'id' nor 'access'"),
    ):
        document = kit.run("decode", "--json", typed=token).document
        assert (document["verified"], document["reason"]) == (False, why)
    assert f"Not verified: {why}." in kit.run("decode", typed=token).out


# call


def test_the_local_aws_says_that_it_has_no_test_button(kit: Kit) -> None:
    said = kit.run("call", "GET", "/hello", "--test-invoke", code=1).err
    assert f"The endpoint {kit.url} doesn't support TestInvokeMethod" in said


def test_the_guard_is_seen_at_work(kit: Kit, ann: str) -> None:
    for words, code, status in (((), 0, 200), (("--no-token",), 1, 401)):
        done = kit.run("call", "GET", "/hello", "--username", ann, *words, code=code)
        assert f"\n  {'✗' if code else '✓'} {status} " in done.err


# users


def users(kit: Kit) -> dict[str, dict[str, Any]]:
    document = kit.run("users", "--json").document
    assert document["user_pool_id"] == kit.up["user_pool_id"]
    return {user["username"]: user for user in document["users"]}


@pytest.mark.long
def test_users_are_listed_page_by_page(kit: Kit) -> None:
    pool = kit.up["user_pool_id"]
    for number in range(61):
        kit.cognito.admin_create_user(
            UserPoolId=pool, Username=f"user{number:02}", MessageAction="SUPPRESS"
        )
    kit.cognito.admin_disable_user(UserPoolId=pool, Username="user60")
    kit.token("zoe")
    found = users(kit)
    assert {f"user{number:02}" for number in range(61)} < set(found)
    assert found["zoe"]["status"] == "CONFIRMED"
    assert (found["user60"]["status"], found["user60"]["enabled"]) == (
        "FORCE_CHANGE_PASSWORD",
        False,
    )
    assert set(found["zoe"]) == {"username", "status", "enabled", "created"}
    assert datetime.fromisoformat(found["zoe"]["created"]).utcoffset() == timedelta(0)
    lines = kit.run("users").out.splitlines()
    assert lines[0].split() == ["username", "status", "enabled", "created"]
    assert len(lines) == 1 + len(found)
    assert [line.split()[:3] for line in lines if line.startswith("user60")] == [
        ["user60", "FORCE_CHANGE_PASSWORD", "no"]
    ]


def test_a_user_is_deleted_with_the_stored_tokens(kit: Kit) -> None:
    kit.token("del")
    said = kit.run("users", "delete", "del", code=2).err
    assert "Stdin is not a terminal to ask on. Nothing was changed. Give --yes" in said
    assert "del" in users(kit)
    done = kit.run("users", "delete", "del", "--yes")
    assert done.out == "Deleted the user del.\n"
    assert "del" not in users(kit)
    assert "del" not in kit.stored
    said = kit.run("users", "delete", "del", "--yes", code=1).err
    assert "There is no user 'del' in the user pool" in said


def test_tokens_of_a_user_who_is_gone_are_dropped_as_well(kit: Kit, ann: str) -> None:
    token_store.store(kit.state, "gone", kit.stored[ann])
    kit.run("users", "delete", "GONE", "--yes", code=1)
    assert "gone" not in kit.stored
    assert ann in kit.stored


def test_a_change_is_asked_about(kit: Kit) -> None:
    kit.token("joe")

    def is_disabled() -> bool:
        return not users(kit)["joe"]["enabled"]

    for command, verb, changed in (
        ("disable", "Disable", is_disabled),
        ("delete", "Permanently delete", lambda: "joe" not in users(kit)),
    ):
        for answer, code in (("n\n", 1), ("y\n", 0)):
            # The user gives any spelling; the question has the pool's.
            running = on_terminal(kit, "users", command, "JOE")
            running.see(rf"{verb} the user joe of the pool \S+\? \[y/N\]: ")
            running.type(answer)
            assert running.ended() == code
            assert changed() is (code == 0)
            assert ("joe" in kit.stored) is (command == "disable" or code == 1)


def test_a_temporary_password_is_shown_on_a_terminal_and_signs_in_once(kit: Kit) -> None:
    asked = on_terminal(kit, "users", "create", "tia")
    asked.see(r"Create the user tia in the pool \S+\? \[y/N\]: ")
    assert "Temporary password" not in asked.plain
    assert "tia" not in users(kit)
    asked.type("y\n")
    (temporary,) = re.findall(r"Temporary password: (\S+)\n", asked.see(r"Next|first login"))
    assert asked.ended() == 0
    assert asked.plain.count(temporary) == 1
    assert users(kit)["tia"]["status"] == "FORCE_CHANGE_PASSWORD"
    done = kit.run("test-login", "tia", "--password-stdin", typed=f"{temporary}\n", code=1)
    assert "(new_password_required)" in done.err
    assert temporary not in done.err + kit.path.read_text()


def test_a_new_password_signs_nobody_up(kit: Kit) -> None:
    """A mistyped name would be signed up with the temporary password of another user."""
    words = ("test-login", "vva", "--password-stdin", "--new-password-stdin")
    done = kit.run(*words, typed=f"{PASSWORD}\n{PASSWORD}!\n", code=1)
    assert "There is no user 'vva' in the user pool" in done.err
    assert "vva" not in users(kit)
    kit.run("users", "create", "viv", "--yes", "--password-stdin", typed=f"{PASSWORD}\n")
    kit.run(words[0], "VIV", *words[2:], typed=f"{PASSWORD}\n{PASSWORD}!\n")
    assert users(kit)["viv"]["status"] == "CONFIRMED"


def test_a_password_may_have_spaces_inside(kit: Kit) -> None:
    """An administrator's, the first own one, the next, and that of who signs up."""
    first, second, third = (f"Correct Horse {number}" for number in range(3))
    kit.run("users", "create", "amy", "--yes", "--password-stdin", typed=f"{first}\n")
    for data, is_new in (
        ({"username": "amy", "password": first, "new_password": second}, "false"),
        ({"username": "amy", "password": second, "new_password": third}, "false"),
        ({"username": "amy", "password": third}, "false"),
        ({"username": "ali", "password": third}, "true"),
    ):
        answer = requests.post(kit.up["sign_in_url"], json=data, timeout=30).json()
        assert (answer["status"], answer.get("is_new")) == ("success", is_new)
    for password in (f" {first}", f"{first} "):
        data = {"username": "ada", "password": password}
        answer = requests.post(kit.up["sign_in_url"], json=data, timeout=30).json()
        assert answer["code"] == "invalid_password"
        assert "no space at either end" in answer["msg"]


def test_nobody_is_created_whose_password_goes_nowhere(kit: Kit) -> None:
    words = f"users create ivo --yes --json --stack kit --state {shlex.quote(str(kit.path))}"
    running = kit.cli.shell_on_terminal(f"$COGAUTH {words} >&-")
    assert running.ended() == 2
    assert "Stdout is closed, so nobody would see the temporary password." in running.plain
    assert "ivo" not in users(kit)
    # Whoever sends it there means it.
    running = kit.cli.shell_on_terminal(f"$COGAUTH {words} >/dev/null")
    assert running.ended() == 0
    assert "ivo" in users(kit)


def test_a_password_that_is_asked_for_is_checked_before_the_question(kit: Kit) -> None:
    kit.run("users", "create", "pia", "--yes", "--json")
    for password, code in (("short", 2), (f"{PASSWORD}!", 0)):
        asked = on_terminal(kit, "users", "set-password", "pia", "--permanent")
        asked.see("New password: ")
        asked.type(f"{password}\n")
        asked.see("The same again: ")
        asked.type(f"{password}\n")
        if code == 0:
            asked.see(r"Give the user pia of the pool \S+ this permanent\s+password\? \[y/N\]: ")
            asked.type("y\n")
        assert asked.ended() == code
        assert password not in asked.text
        assert (users(kit)["pia"]["status"] == "CONFIRMED") is (code == 0)
    kit.run("token", "pia", "--password-stdin", typed=f"{PASSWORD}!\n", secret=False)


def test_who_is_signed_out_has_no_stored_tokens_and_can_renew_none(kit: Kit) -> None:
    kit.token("una")
    kept = kit.stored["una"]
    done = kit.run("users", "sign-out", "una", "--yes")
    assert done.out == "Signed out the user una.\n"
    assert "The gateway accepts the user's ID and access tokens until they expire" in done.err
    assert "una" not in kit.stored
    # It does, as the message says.
    assert kit.hello(kept["id_token"]) == 200


def test_a_user_may_be_named_without_an_option(kit: Kit) -> None:
    assert (
        kit.run("token", "ann", secret=False).out
        == kit.run("token", "--username", "ann", secret=False).out
    )


def test_a_path_of_the_stacks_own_api_is_explained(kit: Kit) -> None:
    shown = kit.run("explain", "/hello", "--username", "ann").out
    assert shown.splitlines()[0] == f"GET {kit.up['protected_url']}"


def on_terminal(kit: Kit, *words: str) -> Running:
    state = str(kit.path)
    return kit.cli.on_terminal(*words, "--stack", "kit", "--state", state)


def test_a_user_who_is_not_there_is_named_before_a_question(kit: Kit) -> None:
    asked = on_terminal(kit, "users", "delete", "zed")
    assert asked.ended() == 1
    assert "There is no user 'zed'" in asked.plain
    assert "Permanently delete" not in asked.plain


def test_the_passwords_rule_is_for_new_users(kit: Kit) -> None:
    kit.run("test-login", "ann", "--password-stdin", typed=f"{PASSWORD}\n")
    for name, shown in (("ann", False), ("newcomer", True)):
        asked = on_terminal(kit, "test-login", name)
        asked.see("Password: ")
        assert ("A new user's password needs" in " ".join(asked.plain.split())) == shown
        asked.press_ctrl_c()
        assert asked.ended() == 130
