"""The checks of one guarded method: what it answers to each token, and to a browser."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from cogauth.checks.verify.subject import FOREIGN, GuardedMethod, Row, Subject, not_made
from cogauth.client import tokens
from cogauth.client.signin import READY_WITHIN_S
from cogauth.client.transport import http_session, request
from cogauth.cors import ALLOW_ORIGIN, ANY
from cogauth.gateway.rest_apis import OF_A_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from cogauth.context import Context

GARBAGE = "not-a-token"
# The header that only API Gateway's own errors have. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
OF_GATEWAY = "x-amzn-ErrorType"
OK, UNAUTHORIZED, FORBIDDEN = HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN
NOT_REFUSED = f"not {UNAUTHORIZED} or {FORBIDDEN}"
# AWS doesn't document its answer to a token of the wrong kind or scope.
REFUSAL = f"{UNAUTHORIZED}, or the gateway's {FORBIDDEN}"
REDIRECTION, CLIENT_ERROR = 300, 400
NEEDS_API_KEY = "not counted: it also requires an API key, which verify doesn't have"
# How many of the allowed origins to try.
ORIGINS_TRIED = 3


class GuardChecks:
    """Makes the calls to the methods of a subject."""

    def __init__(self, ctx: Context, subject: Subject) -> None:
        self.ctx = ctx
        self.subject = subject
        self.http = http_session(ctx.url("/"), ctx.aws)
        # Other emulators don't refuse everything that AWS refuses.
        self.emulated = ctx.state.emulated
        self.origins = ctx.state.settings.cors_origins
        self.several_origins = len(self.origins) > 1
        # Why there is no token to check with, if there is none.
        self.no_token = "the sign-up gave no token"  # noqa: S105 a sentence

    def rows(self, place: GuardedMethod, got: dict[str, str], old: dict[str, str]) -> Iterator[Row]:
        """Make all checks of a method, with the new user's tokens and expired ones."""
        identity, access = got.get("id_token"), got.get("access_token")
        yield self._call("no token", place, None, UNAUTHORIZED)
        yield self._call("garbage", place, GARBAGE, UNAUTHORIZED)
        if identity is None or access is None:
            for name in ("tampered token", "ID token", "access token"):
                yield not_made(name, str(place), self.no_token)
        else:
            genuine = access if place.guard.scopes else identity
            yield self._call("tampered token", place, tokens.tampered(genuine), UNAUTHORIZED)
            yield self._id_token(place, identity)
            yield self._access_token(place, access)
        yield self._expired(place, old)
        yield self._preflight(place)
        yield from self._cors(place, access if place.guard.scopes else identity)

    def _id_token(self, place: GuardedMethod, token: str) -> Row:
        if not place.guard.scopes:
            return self._call("ID token", place, token, OK if place.own else None)
        note = f"its scopes ({', '.join(place.guard.scopes)}) require an access token"
        return self._call("ID token", place, token, UNAUTHORIZED, note, or_forbidden=True)

    def _access_token(self, place: GuardedMethod, token: str) -> Row:
        """Without scopes, a method accepts ID tokens; with scopes, access tokens with one of them.

        Source: https://repost.aws/knowledge-center/api-gateway-cognito-401-unauthorized
        """
        claims = tokens.take_apart(token).claims
        carried = str(claims.get("scope") or "").split()
        if set(place.guard.scopes) & set(carried):
            return self._call("access token", place, token, OK if place.own else None)
        if place.guard.scopes:
            note = f"it carries {', '.join(carried) or 'no scope'}, not {place.guard.scopes[0]}"
            return self._call("access token", place, token, UNAUTHORIZED, note, or_forbidden=True)
        note = "AWS refuses access tokens for a method without scopes"
        return self._call("access token", place, token, UNAUTHORIZED, note, aws_only=True)

    def _expired(self, place: GuardedMethod, old: dict[str, str]) -> Row:
        # A token of the other kind would be refused anyway.
        name, kind = ("access_token", "access") if place.guard.scopes else ("id_token", "ID")
        if name not in old:
            why = (
                "tokens live for an hour, and none that 'cogauth test-login' has stored "
                "has expired yet"
            )
            return not_made("expired token", str(place), why)
        sent = f"expired {kind} token"
        return self._call("expired token", place, old[name], UNAUTHORIZED, sent=sent)

    def _preflight(self, place: GuardedMethod) -> Row:
        sent, own = f"OPTIONS {place.path}", place.own and bool(self.origins)
        if not (own or place.preflight):
            why = "the path has no OPTIONS method, so browsers can't call it from other origins"
            return not_made("OPTIONS", sent, why)
        # Ask like a browser. In other APIs, any status below 400 will do.
        origin = self._own_origins()[0] if own else FOREIGN
        headers = {"Origin": origin, "Access-Control-Request-Method": place.verb}
        least, expected = (REDIRECTION, "2xx") if own else (CLIENT_ERROR, "below 400")

        def attempt() -> Row:
            status = self._send("OPTIONS", place, None, headers).status_code
            note = ""
            if status in {UNAUTHORIZED, FORBIDDEN}:
                note = "a browser's preflight carries no token: OPTIONS must not be guarded"
            elif status >= least:
                note = f"run 'cogauth explain {place.url} --method OPTIONS'"
            return Row("OPTIONS", sent, expected, str(status), status < least, note)

        return self._settled(place, attempt)

    def _cors(self, place: GuardedMethod, token: str | None) -> Iterator[Row]:
        """Check that pages of allowed origins can read both answers, and other pages can't."""
        if not (place.own and self.origins):
            why = "CORS is off ('cogauth up --cors-origin' turns it on)"
            if not place.own:
                why = "verify doesn't check the CORS headers of other APIs"
            yield not_made("CORS headers", str(place), why)
            return
        if place.guard.api_key:
            token = None
        if self.several_origins:
            why = "with several origins, API Gateway's own answers can't name the right one"
            yield not_made("CORS headers on 401", str(place), why)
        for origin in self._own_origins():
            if not self.several_origins:
                yield self._settled(place, partial(self._cors_row, place, None, origin))
            if token is not None:
                yield self._settled(place, partial(self._cors_row, place, token, origin))
        if place.guard.api_key:
            yield not_made("CORS headers on 200", str(place), NEEDS_API_KEY)
        if self.origins != (ANY,):
            yield self._settled(place, partial(self._cors_row, place, token, FOREIGN, foreign=True))

    def _own_origins(self) -> tuple[str, ...]:
        return (FOREIGN,) if self.origins == (ANY,) else self.origins[:ORIGINS_TRIED]

    def _cors_row(
        self, place: GuardedMethod, token: str | None, origin: str, *, foreign: bool = False
    ) -> Row:
        """Check that a page of an origin can read the answer; with ``foreign``, that it can't."""
        got = self._send(place.verb, place, token, {"Origin": origin}).headers.get(ALLOW_ORIGIN)
        name, expected = f"CORS headers on {OK if token else UNAUTHORIZED}", f"{origin} or *"
        ok: bool | None = (got in {origin, ANY}) is not foreign
        note = ""
        if foreign:
            name = "CORS, other origin"
        elif not ok and self.emulated and self.several_origins:
            note = "not counted: this endpoint doesn't apply the mapping template for the origin"
            ok = None
        expected = f"not {expected}" if foreign else f"{ALLOW_ORIGIN}: {expected}"
        return Row(name, f"{place}, Origin: {origin}", expected, got or "none", ok, note)

    def _call(  # noqa: PLR0913 as many as a check has parts
        self,
        name: str,
        place: GuardedMethod,
        token: str | None,
        expected: int | None,
        note: str = "",
        *,
        sent: str = "",
        aws_only: bool = False,
        or_forbidden: bool = False,
    ) -> Row:
        """Call a method; ``expected`` None allows any answer that isn't the guard's refusal.

        With ``aws_only``, a different answer of an emulator doesn't count; ``or_forbidden`` also
        allows the authorizer's own 403.
        """
        wanted = REFUSAL if or_forbidden else NOT_REFUSED if expected is None else str(expected)
        if place.guard.api_key and expected in {None, OK}:
            return not_made(name, str(place), NEEDS_API_KEY)

        def attempt() -> Row:
            answer = self._send(place.verb, place, token)
            status, about = answer.status_code, note
            ok = status == expected
            if expected is None:
                # API Gateway marks its own refusals; an emulator may not.
                by_gateway = self.emulated or OF_GATEWAY in answer.headers
                ok = status not in {UNAUTHORIZED, FORBIDDEN} or not by_gateway
            if or_forbidden and status == FORBIDDEN:
                # A 403 from the backend means that the token passed. Other 403s of the gateway,
                # such as for an undeployed path, say nothing about the token.
                kind = answer.headers.get(OF_GATEWAY, "")
                ok = kind.partition(":")[0] in OF_A_TOKEN
            row = Row(name, f"{place}, {sent or name}", wanted, str(status), ok)
            if not ok and aws_only and self.emulated:
                return replace(row, ok=None, note=f"not counted: {note}, this endpoint doesn't")
            if not ok:
                about = f"{f'{note}; ' if note else ''}run 'cogauth explain {place.url}'"
            elif expected is None and status != OK:
                about = f"the guard let it pass; the backend answered {status}"
            return replace(row, note=about)

        return self._settled(place, attempt)

    def _settled(self, place: GuardedMethod, make: Callable[[], Row]) -> Row:
        """Repeat a check until it passes: a new deployment takes some seconds to take effect.

        There is no point in waiting for a method that isn't guarded in the API itself.
        """
        patience = self.subject.deployed_at + READY_WITHIN_S - self.ctx.now()
        if self.ctx.fact("user_pool", "arn") not in place.guard.pools:
            patience = 0.0
        return self.ctx.waiter.settle(
            make,
            lambda row: row.ok is not False,
            reason="the new deployment to answer",
            timeout_s=min(max(0.0, patience), READY_WITHIN_S),
        )

    def _send(
        self,
        verb: str,
        place: GuardedMethod,
        token: str | None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        sent = {**({place.guard.header: token} if token else {}), **(headers or {})}
        return request(self.http, verb, place.url, headers=sent)
