"""A live check of the guard, with a throwaway user that it deletes at the end.

The state file records the user before it is created, so a later ``verify`` or ``down`` can delete
it too.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import NOT_FOUND, code_of, deleted
from cogauth.aws.errors import AWS_ERRORS, failure
from cogauth.aws.policies import USER_POOL, allow
from cogauth.checks.verify.guard import GuardChecks
from cogauth.checks.verify.subject import Row, Subject, not_made
from cogauth.client import token_store, tokens
from cogauth.client.passwords import new_password
from cogauth.client.signin import logs_command, sign_in
from cogauth.client.transport import http_session
from cogauth.errors import CogauthError, LoginError
from cogauth.record.records import THROWAWAY
from cogauth.steps.lookup import check_pool
from cogauth.steps.missing import missing_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.context import Context

PASSWORD_LENGTH = 32
CLOSED = "sign-up is closed, so verify can't create its test user"


@dataclass(frozen=True)
class Verification:
    """The result of a check.

    Attributes:
        left: why the throwaway user wasn't deleted, if so.
        missing: the error about what is gone of the stack, if a check failed and something is.
        closed: whether the pool takes no sign-ups, so there was no user to check with.
    """

    rows: tuple[Row, ...]
    left: str | None = None
    missing: CogauthError | None = None
    closed: bool = False

    @property
    def ok(self) -> bool:
        """Whether every check passed, and nothing was left behind."""
        return self.left is None and all(row.ok is not False for row in self.rows)


def verify(ctx: Context, subject: Subject, report: Callable[[Row], None]) -> Verification:
    """Check the guard, leave nothing behind, and pass each row to ``report``.

    Raises:
        CogauthError: the check failed; the message says so if its user couldn't be deleted.
        KeyboardInterrupt: the stop event was set.
    """
    ctx.aws.make_clients("cognito", "apigateway")
    run = _Run(ctx, subject, report)
    # The run creates and deletes a user in the pool, unless only administrators may create any.
    config = check_pool(ctx).get("AdminCreateUserConfig") or {}
    user = None if config.get("AllowAdminCreateUserOnly") else new_user(ctx)
    failed: CogauthError | None = None
    try:
        run.check(user, new_password(ctx.state.settings.password_min_length, PASSWORD_LENGTH))
    except CogauthError as error:
        failed = error
        raise
    finally:
        # Even after a Ctrl-C, delete the user.
        stopped = ctx.waiter.stop.is_set()
        ctx.waiter.stop.clear()
        left = _tidy(ctx, user, answered=run.answered)
        if stopped:
            ctx.waiter.stop.set()
        if failed and left:
            failed.args = (*failed.args, left)
    missing = missing_error(ctx) if any(row.ok is False for row in run.rows) else None
    return Verification(tuple(run.rows), left, missing, closed=user is None)


def _tidy(ctx: Context, user: str | None, *, answered: bool) -> str | None:
    try:
        remove_users(ctx, user if answered else None)
    except AWS_ERRORS as error:
        why = failure(f"Deleting the throwaway user {user or 'of an earlier run'}", error)
        return f"{why} The next 'cogauth verify{ctx.state.options}' deletes it."
    if user in ctx.state.throwaway_users:
        return (
            f"The throwaway user {user} may exist, because its sign-up got no answer. "
            f"The next 'cogauth verify{ctx.state.options}' deletes it."
        )
    return None


def checked_tokens(answer: dict[str, Any], path: str) -> dict[str, str]:
    """Return the ID token and the access token of a sign-in's answer.

    Raises LoginError if one of them isn't a JWT: the function, or an endpoint, may answer anything.
    """
    found = {name: str(answer[name]) for name in ("id_token", "access_token")}
    for name, token in found.items():
        try:
            tokens.take_apart(token)
        except tokens.FlawError as flaw:
            raise LoginError(f"POST {path} answers an {name} that isn't a token: {flaw}.") from flaw
    return found


class _Run:
    def __init__(self, ctx: Context, subject: Subject, report: Callable[[Row], None]) -> None:
        self.ctx = ctx
        self.subject = subject
        self.report = report
        self.rows: list[Row] = []
        self.guard = GuardChecks(ctx, subject)
        self.http = self.guard.http
        self.answered = True

    def check(self, user: str | None, password: str) -> None:
        got = self._sign_up(user, password) if user else self._no_user()
        old = self._expired_tokens()
        for place in self.subject.called:
            for row in self.guard.rows(place, got, old):
                self._add(row)
        for row in (*self.subject.lost, *self.subject.not_called):
            self._add(row)

    def _add(self, row: Row) -> None:
        if self.ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        self.rows.append(row)
        self.report(row)

    def _no_user(self) -> dict[str, str]:
        """Say what can't be checked without a user; return no tokens."""
        self.guard.no_token = CLOSED
        for name in ("trigger fires", "wrong password"):
            self._add(not_made(name, f"POST {self.ctx.state.settings.path}", CLOSED))
        return {}

    def _sign_up(self, user: str, password: str) -> dict[str, str]:
        """Check that the trigger fires and a wrong password is refused; return the tokens."""
        ctx, path = self.ctx, self.ctx.state.settings.path
        self.answered = False
        _, answer = sign_in(ctx, self.http, {"username": user, "password": password})
        self.answered = True
        status = self._status_of(user)
        new = answer.get("is_new") == "true"
        got = f"{answer.get('code') or ('signed up' if new else 'not new')}, {status}"
        expected = "signed up, CONFIRMED"
        note = "" if got == expected else self._why(answer, "the trigger did not confirm it")
        sent = f"POST {path}, a new name"
        self._add(Row("trigger fires", sent, expected, got, got == expected, note))
        if answer.get("status") != "success":
            return {}
        _, refused = sign_in(ctx, self.http, {"username": user, "password": f"{password}x"})
        code = str(refused.get("code") or refused["status"])
        sent, expected = f"POST {path}, that name and another password", "wrong_credentials"
        note = "" if code == expected else self._why(refused, "it was not refused")
        self._add(Row("wrong password", sent, expected, code, code == expected, note))
        return checked_tokens(answer, path)

    def _why(self, answer: dict[str, Any], otherwise: str) -> str:
        """Return a note about the wrong answer of a sign-in."""
        note = str(answer.get("msg") or otherwise)
        command = logs_command(self.ctx.state, answer.get("code"))
        return f"{note}; run '{command}' to see why" if command else note

    def _status_of(self, user: str) -> str:
        cognito, pool = self.ctx.aws.cognito, self.ctx.fact("user_pool")
        try:
            return str(cognito.admin_get_user(UserPoolId=pool, Username=user)["UserStatus"])
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and code_of(error) == "UserNotFoundException":
                return "no such user"
            raise failure(f"Looking up the throwaway user {user}", error) from error

    def _expired_tokens(self) -> dict[str, str]:
        """Return an expired ID token and access token of the pool, if any are stored."""
        http = http_session(self.ctx.jwks_url, self.ctx.aws)
        found: dict[str, str] = {}
        for kept in token_store.stored(self.ctx.state).values():
            for name in {"id_token", "access_token"} - set(found):
                if self._has_expired(kept[name]) and tokens.is_signed(self.ctx, http, kept[name]):
                    found[name] = kept[name]
        return found

    def _has_expired(self, token: str) -> bool:
        try:
            end = tokens.as_time(tokens.take_apart(token).claims.get("exp"))
        except tokens.FlawError:
            return False
        return end is not None and end < self.ctx.now()


# What looking up and deleting the throwaway user needs.
PERMISSIONS = (
    allow(
        USER_POOL,
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminGetUser",
        "cognito-idp:DescribeUserPool",
    ),
)


def new_user(ctx: Context) -> str:
    """Return a new user's name, after checking the permission to delete it and recording it."""
    name = f"{THROWAWAY}{secrets.token_hex(16)}"
    try:
        # IAM decides before Cognito looks up the user, so this works before the user exists.
        _delete(ctx, name)
    except AWS_ERRORS as error:
        doing = "Checking that a throwaway user may be deleted"
        raise failure(doing, error, after="None was created.") from error
    ctx.state.put("throwaway_users", name, ctx.timestamp())
    return name


def remove_users(ctx: Context, answered: str | None = None) -> None:
    """Delete the throwaway users that may exist, this run's and those that a crash left.

    A sign-up whose answer got lost may still take effect. So a missing user stays on record until
    both the settling time and the sign-in's timeout are over, except the user ``answered``, whose
    sign-up has ended. If Cognito refuses, the users stay on record.
    """
    lasts = max(ctx.settle_s, ctx.state.settings.sign_in_timeout)
    for name, since in list(ctx.state.throwaway_users.items()):
        gone = _delete(ctx, name)
        age = ctx.now() - datetime.fromisoformat(since).timestamp()
        if gone or name == answered or age >= lasts:
            ctx.state.drop("throwaway_users", name)


def _delete(ctx: Context, name: str) -> bool:
    return deleted(
        lambda: ctx.aws.cognito.admin_delete_user(UserPoolId=ctx.fact("user_pool"), Username=name),
        (*NOT_FOUND, "UserNotFoundException"),
    )
