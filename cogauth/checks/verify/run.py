"""A live check of the guard, with a user that is made for it and removed at the end.

The user is in the state file before it is made. Whatever happens meanwhile, it is removed; where
that fails, or the process is killed, the next ``verify`` does it, and ``down`` takes it along.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import jwt

from cogauth.aws.errors import AWS_ERRORS, failure
from cogauth.aws.waiting import TimedOutError
from cogauth.checks.verify.targets import FOREIGN, Place, Row, Target
from cogauth.checks.verify.throwaway import new_password, new_user, remove_users
from cogauth.client import token_store, tokens
from cogauth.client.signin import FORBIDDEN, OK, READY_WITHIN_S, UNAUTHORIZED, sign_in
from cogauth.client.transport import request, session
from cogauth.cors import ALLOW_ORIGIN, ANY
from cogauth.errors import CogauthError
from cogauth.gateway.rest_apis import OF_A_TOKEN
from cogauth.steps.lookup import check_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from cogauth.context import Context
GARBAGE = "not-a-token"
# API Gateway's own errors have it, and a backend's don't. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
OF_GATEWAY = "x-amzn-ErrorType"
NOT_REFUSED = f"not {UNAUTHORIZED} or {FORBIDDEN}"
# What AWS answers to a token of the wrong kind or scope isn't documented.
REFUSED = f"{UNAUTHORIZED}, or the gateway's {FORBIDDEN}"
REDIRECTION, CLIENT_ERROR = 300, 400
NEEDS_API_KEY = "not counted: it asks for an API key as well, which verify doesn't have"
# Of the origins that may read the answers so many are tried.
ORIGINS_TRIED = 3


@dataclass(frozen=True)
class Verification:
    """What a check of the guard showed.

    Attributes:
        target: what was checked.
        rows: the checks.
        left: why the throwaway user could not be removed; None if it was.
    """

    target: Target
    rows: tuple[Row, ...]
    left: str | None = None

    @property
    def ok(self) -> bool:
        """Whether no row differs, and nothing was left behind."""
        return self.left is None and all(row.ok is not False for row in self.rows)


# The checks


def verify(ctx: Context, target: Target, report: Callable[[Row], None]) -> Verification:
    """Check the guard, and leave nothing behind.

    Args:
        ctx: a stack that stands.
        target: from ``find_target``.
        report: told each row as soon as it is known.

    Raises:
        CogauthError: the check can't be made at all; the throwaway user was removed, or the
            message says that it wasn't.
        KeyboardInterrupt: the stop event was set from elsewhere; likewise.
    """
    ctx.aws.make_clients("cognito", "apigateway")
    run = _Run(ctx, target, report)
    # Users are made and deleted in it.
    check_pool(ctx)
    user = new_user(ctx)
    failed: CogauthError | None = None
    try:
        run.check(user, new_password(ctx.state.settings))
    except CogauthError as error:
        failed = error
        raise
    finally:
        # Nothing new begins after a Ctrl-C but this.
        stopped = ctx.waiter.stop.is_set()
        ctx.waiter.stop.clear()
        left = _tidy(ctx, user, answered=run.answered)
        if stopped:
            ctx.waiter.stop.set()
        if failed and left:
            failed.args = (f"{failed} {left}",)
    return Verification(target, tuple(run.rows), left)


def _tidy(ctx: Context, user: str, *, answered: bool) -> str | None:
    try:
        remove_users(ctx, user if answered else None)
    except AWS_ERRORS as error:
        why = failure(f"Removing the throwaway user {user}", error)
        return f"{why} The next 'cogauth verify{ctx.state.options}' removes it."
    if user in ctx.state.throwaway_users:
        return (
            f"Whether the throwaway user {user} was made isn't known: its sign-up was not "
            f"answered. The next 'cogauth verify{ctx.state.options}' removes it."
        )
    return None


class _Run:
    def __init__(self, ctx: Context, target: Target, report: Callable[[Row], None]) -> None:
        self.ctx = ctx
        self.target = target
        self.report = report
        self.rows: list[Row] = []
        self.http = session(ctx.url("/"), ctx.aws)
        # Another emulator's word on what AWS refuses counts for nothing.
        self.emulated = ctx.state.emulated
        self.origins = ctx.state.settings.cors_origins
        self.several_origins = len(self.origins) > 1
        self.answered = True

    def check(self, user: str, password: str) -> None:
        """Make all checks, one after the other."""
        got = self._sign_up(user, password)
        old = self._expired_tokens()
        for place in self.target.places:
            for row in self._place_rows(place, got, old):
                self._add(row)
        for row in (*self.target.lost, *self.target.not_called):
            self._add(row)

    def _add(self, row: Row) -> None:
        if self.ctx.waiter.stop.is_set():
            raise KeyboardInterrupt
        self.rows.append(row)
        self.report(row)

    def _sign_up(self, user: str, password: str) -> dict[str, str]:
        """See that the trigger fires and that a wrong password is refused; return the tokens."""
        ctx, path = self.ctx, self.ctx.state.settings.path
        self.answered = False
        _, answer = sign_in(ctx, self.http, {"username": user, "password": password})
        self.answered = True
        status = self._status_of(user)
        new = answer.get("is_new") == "true"
        got = f"{answer.get('code') or ('signed up' if new else 'not new')}, {status}"
        expected = "signed up, CONFIRMED"
        note = "" if got == expected else str(answer.get("msg") or "the trigger did not confirm it")
        sent = f"POST {path}, a new name"
        self._add(Row("trigger fires", sent, expected, got, got == expected, note))
        if answer.get("status") != "success":
            return {}
        _, refused = sign_in(ctx, self.http, {"username": user, "password": f"{password}x"})
        code = str(refused.get("code") or refused["status"])
        self._add(
            Row(
                "wrong password",
                f"POST {path}, that name and another password",
                "wrong_credentials",
                code,
                code == "wrong_credentials",
            )
        )
        return {name: str(answer[name]) for name in tokens.NAMES if name in answer}

    def _status_of(self, user: str) -> str:
        cognito, pool = self.ctx.aws.cognito, self.ctx.fact("user_pool")
        try:
            return str(cognito.admin_get_user(UserPoolId=pool, Username=user)["UserStatus"])
        except cognito.exceptions.UserNotFoundException:
            return "no such user"
        except AWS_ERRORS as error:
            raise failure(f"Looking at the throwaway user {user}", error) from error

    def _expired_tokens(self) -> dict[str, str]:
        """Return a stored ID token and an access token that have expired, and that the pool made.

        An app client's tokens live for an hour; to make them shorter would change the stack.
        """
        http = session(self.ctx.jwks_url, self.ctx.aws)
        found: dict[str, str] = {}
        for kept in token_store.stored(self.ctx.state).values():
            for name in {"id_token", "access_token"} - set(found):
                try:
                    claims = jwt.decode(kept[name], options={"verify_signature": False})
                    expired = float(claims["exp"]) < self.ctx.now()
                except (jwt.PyJWTError, KeyError, TypeError, ValueError):
                    continue
                if expired and tokens.is_signed(self.ctx, http, kept[name]):
                    found[name] = kept[name]
        return found

    def _place_rows(self, place: Place, got: dict[str, str], old: dict[str, str]) -> Iterator[Row]:
        identity, access = got.get("id_token"), got.get("access_token")
        yield self._call("no token", place, None, UNAUTHORIZED)
        yield self._call("garbage", place, GARBAGE, UNAUTHORIZED)
        if identity is None or access is None:
            for name in ("tampered token", "ID token", "access token"):
                why = "the sign-up gave no token"
                yield Row(name, str(place), "", "", None, why)
        else:
            genuine = access if place.guard.scopes else identity
            yield self._call("tampered token", place, _tampered(genuine), UNAUTHORIZED)
            yield self._id_token(place, identity)
            yield self._access_token(place, access)
        yield self._expired(place, old)
        yield self._preflight(place)
        yield from self._cors(place, access if place.guard.scopes else identity)

    def _id_token(self, place: Place, token: str) -> Row:
        if place.guard.scopes:
            note = f"its scopes ({', '.join(place.guard.scopes)}) ask for an access token"
            return self._call("ID token", place, token, UNAUTHORIZED, note, or_forbidden=True)
        return self._call("ID token", place, token, OK if place.own else None)

    def _access_token(self, place: Place, token: str) -> Row:
        """Without scopes a method takes ID tokens; with some, an access token that has one.

        Source: https://repost.aws/knowledge-center/api-gateway-cognito-401-unauthorized
        """
        claims = jwt.decode(token, options={"verify_signature": False})
        carried = str(claims.get("scope") or "").split()
        if set(place.guard.scopes) & set(carried):
            return self._call("access token", place, token, OK if place.own else None)
        if place.guard.scopes:
            note = f"it carries {', '.join(carried) or 'no scope'}, not {place.guard.scopes[0]}"
            return self._call("access token", place, token, UNAUTHORIZED, note, or_forbidden=True)
        note = "AWS refuses an access token where no scope is asked for"
        return self._call("access token", place, token, UNAUTHORIZED, note, aws_only=True)

    def _expired(self, place: Place, old: dict[str, str]) -> Row:
        # One of the other kind is refused for its kind.
        name, kind = ("access_token", "access") if place.guard.scopes else ("id_token", "ID")
        if name not in old:
            why = (
                "the app client's tokens live for an hour, and no stored one of "
                "'cogauth test-login' has expired"
            )
            return Row("expired token", str(place), "", "", None, why)
        sent = f"expired {kind} token"
        return self._call("expired token", place, old[name], UNAUTHORIZED, sent=sent)

    def _preflight(self, place: Place) -> Row:
        sent, own = f"OPTIONS {place.path}", self._cors_on(place)
        if not (own or place.preflight):
            why = "the path has no OPTIONS method, so browsers can't call from elsewhere"
            return Row("OPTIONS", sent, "", "", None, why)
        # As a browser asks; what it gets for that in somebody else's API is their affair.
        origin = self._own_origins()[0] if own else FOREIGN
        headers = {"Origin": origin, "Access-Control-Request-Method": place.verb}
        least, expected = (REDIRECTION, "2xx") if own else (CLIENT_ERROR, "below 400")

        def attempt() -> Row:
            status = self._send("OPTIONS", place, None, headers).status_code
            note = ""
            if status in {UNAUTHORIZED, FORBIDDEN}:
                note = "a browser's preflight carries no token: OPTIONS must not be guarded"
            elif status >= least:
                note = f"'cogauth explain {place.url} --method OPTIONS' tells more"
            return Row("OPTIONS", sent, expected, str(status), status < least, note)

        return self._settled(attempt)

    def _cors(self, place: Place, token: str | None) -> Iterator[Row]:
        """See that a page of an origin that is let in can read both answers, and no other page."""
        if not self._cors_on(place):
            why = "CORS is off ('cogauth up --cors-origin' turns it on)"
            if not place.own:
                why = "what the API does about CORS is its own affair"
            yield Row("CORS headers", str(place), "", "", None, why)
            return
        if place.guard.api_key:
            token = None
        if self.several_origins:
            why = "API Gateway's own answers can't choose among several origins, so they name none"
            yield Row("CORS headers on 401", str(place), "", "", None, why)
        for origin in self._own_origins():
            if not self.several_origins:
                yield self._settled(partial(self._cors_row, place, None, origin))
            if token is not None:
                yield self._settled(partial(self._cors_row, place, token, origin))
        if place.guard.api_key:
            yield Row("CORS headers on 200", str(place), "", "", None, NEEDS_API_KEY)
        if self.origins != (ANY,):
            yield self._settled(partial(self._foreign_row, place, token))

    def _own_origins(self) -> tuple[str, ...]:
        return (FOREIGN,) if self.origins == (ANY,) else self.origins[:ORIGINS_TRIED]

    def _cors_row(self, place: Place, token: str | None, origin: str) -> Row:
        got = self._send(place.verb, place, token, {"Origin": origin}).headers.get(ALLOW_ORIGIN)
        row = Row(
            f"CORS headers on {UNAUTHORIZED if token is None else OK}",
            f"{place}, Origin: {origin}",
            f"{ALLOW_ORIGIN}: {origin} or *",
            got or "none",
            got in {origin, ANY},
        )
        if row.ok or not (self.emulated and self.several_origins):
            return row
        note = "not counted: AWS's mapping template names the origin, this endpoint has none"
        return replace(row, ok=None, note=note)

    def _foreign_row(self, place: Place, token: str | None) -> Row:
        got = self._send(place.verb, place, token, {"Origin": FOREIGN}).headers.get(ALLOW_ORIGIN)
        return Row(
            "CORS, other origin",
            f"{place}, Origin: {FOREIGN}",
            f"not {FOREIGN} or *",
            got or "none",
            got not in {FOREIGN, ANY},
        )

    def _cors_on(self, place: Place) -> bool:
        return place.own and bool(self.origins)

    def _call(  # noqa: PLR0913 as many as a check has parts
        self,
        name: str,
        place: Place,
        token: str | None,
        expected: int | None,
        note: str = "",
        *,
        sent: str = "",
        aws_only: bool = False,
        or_forbidden: bool = False,
    ) -> Row:
        """Call a method.

        Args:
            name: of the check.
            place: the method.
            token: sent in the header that its guard asks for; None for none.
            expected: the status; None where any answer will do that is not the guard's.
            note: what is to know of it.
            sent: what is sent, in words; empty: as the check's name says.
            aws_only: whether AWS is known to answer so, and an emulator's other answer is no fault.
            or_forbidden: whether the authorizer's own 403 will do as well.
        """
        wanted = REFUSED if or_forbidden else NOT_REFUSED if expected is None else str(expected)
        if place.guard.api_key and expected in {None, OK}:
            return Row(name, str(place), "", "", None, NEEDS_API_KEY)

        def attempt() -> Row:
            answer = self._send(place.verb, place, token)
            status, about = answer.status_code, note
            ok = self._let_pass(answer) if expected is None else status == expected
            if or_forbidden and status == FORBIDDEN:
                # One from behind the guard would mean that the token was let pass; another of the
                # gateway's, as for a path that isn't deployed yet, says nothing of the token.
                kind = answer.headers.get(OF_GATEWAY, "")
                ok = kind.partition(":")[0] in OF_A_TOKEN
            row = Row(name, f"{place}, {sent or name}", wanted, str(status), ok)
            if not ok and aws_only and self.emulated:
                return replace(row, ok=None, note=f"not counted: {note}, this endpoint doesn't")
            if not ok:
                about = f"{f'{note}; ' if note else ''}'cogauth explain {place.url}' tells more"
            elif expected is None and status != OK:
                about = f"the guard let it pass; what is behind it answered {status} itself"
            return replace(row, note=about)

        return self._settled(attempt)

    def _let_pass(self, answer: requests.Response) -> bool:
        """Say whether an answer is not the guard's; of a refusal on AWS a header tells it."""
        refused = answer.status_code in {UNAUTHORIZED, FORBIDDEN}
        # API Gateway names the kind of its own; an emulator may not.
        return not refused or not (self.emulated or OF_GATEWAY in answer.headers)

    def _settled(self, make: Callable[[], Row]) -> Row:
        """Make a check again while it differs: a new deployment takes some seconds to answer.

        Until then the one before it answers, or API Gateway says 403 or 500 by itself.
        """
        last: list[Row] = []
        patience = self.target.deployed_at + READY_WITHIN_S - self.ctx.now()

        def attempt() -> Row | None:
            last[:] = [make()]
            return None if last[0].ok is False else last[0]

        try:
            return self.ctx.waiter.until(
                attempt,
                reason="the new deployment to answer",
                timeout_s=min(max(0.0, patience), READY_WITHIN_S),
            )
        except TimedOutError:
            return last[0]

    def _send(
        self, verb: str, place: Place, token: str | None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        sent = {**({place.guard.header: token} if token else {}), **(headers or {})}
        return request(self.http, verb, place.url, headers=sent)


def _tampered(token: str) -> str:
    """Return a token with another claim under the old signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["sub"] = "00000000-0000-0000-0000-000000000000"
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"
