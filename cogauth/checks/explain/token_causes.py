"""Why an authorizer refuses a token or its header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

from cogauth.checks.explain.evidence import Cause, Evidence, issuer_like
from cogauth.gateway.rest_apis import COGNITO, CUSTOM, IAM, JWT, OF_A_TOKEN, Guard
from cogauth.printable import length, local_time

# The errors of a method that requires a signature.
OF_A_SIGNATURE = (
    *OF_A_TOKEN,
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
)

# A regular expression that only lists the ids of app clients.
CLIENTS = re.compile(
    r"(?P<start>\^)?(?P<group>\((?:\?:)?)?(?P<names>[\w-]+(?:\|[\w-]+)*)(?(group)\))(?P<end>\$)?",
    re.ASCII,
)


def unreadable(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The client sends no token in the authorizer's header, or an unreadable one."""
    if not e.sent.raw:
        yield Cause(
            "no_header",
            f"No token was sent: the authorizer looks for one in the header {guard.header}.",
            f"Send the header {guard.header} with the token as its value: {e.prints_one}",
        )
    # HTTP header names are case-insensitive.
    if e.header.lower() != guard.header.lower():
        yield Cause(
            "wrong_header",
            f"The token was sent in the header {e.header}, but the authorizer "
            f"{guard.authorizer or ''} looks in {guard.header} (its identity source).",
            f"Send it as '{guard.header}: TOKEN', or set the authorizer's token source to "
            f"{e.header} in the console and deploy.",
        )
    if e.sent.flaw is None:
        return
    if e.sent.kind == "aws_signature":
        yield Cause(
            "aws_signature",
            "The client sent an AWS signature (SigV4), but this method takes a token in the header "
            f"{guard.header}.",
            f"Send a token, and don't let the client sign: {e.prints_one} For signed requests, "
            "set the method's authorization to AWS_IAM and deploy.",
        )
    elif e.sent.kind == "quoted":
        yield Cause(
            "quoted",
            "The token was sent with quotes around it, as written in JSON or a shell.",
            "Remove them where the client reads the token: jq does so with -r, and within a "
            "shell's single quotes the token needs no others.",
        )
    elif e.sent.kind == "refresh_token":
        yield Cause(
            "refresh_token",
            "This is a refresh token: it gets new tokens from Cognito, but no API accepts it.",
            f"Send an ID or access token: {e.prints_one}",
        )
    else:
        yield Cause(
            "not_a_jwt",
            f"The client sent something that is no JWT: {e.sent.flaw}.",
            "Send the whole token as Cognito returned it: three parts with two dots between them, "
            f"and nothing else. {e.prints_one}",
        )


def wrong_pool(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The authorizer doesn't accept the token's user pool, or the newer form of its issuer."""
    # An ARN with a stage variable in it could be any pool's.
    known = [pool for pool in guard.pools if "$" not in pool]
    taken, certain = [pool.rpartition("/")[2] for pool in known], len(known) == len(guard.pools) > 0
    issuers = {issuer_like(e.issuer, pool) for pool in known}
    own = e.sent.original_issuer == e.issuer
    if e.sent.updated and (e.sent.original_issuer in issuers or not certain):
        said = (
            f"The token's issuer is {e.sent.issuer}, from a user pool with the IssuerConfiguration "
            "UPDATED. API Gateway's Cognito authorizers don't accept such tokens."
        )
        fix = (
            "Set the pool's issuer back to ORIGINAL (pass all other settings to UpdateUserPool "
            "too: it resets missing ones) and sign in again. Or give the method an authorizer of "
            "type JWT that trusts this issuer, and deploy."
        )
        if own and e.issuer_type == "ORIGINAL":
            said = f"{said} The pool is ORIGINAL again."
            fix = f"Sign in again: '{e.signs_in}' uses this stack's pool."
        yield Cause("updated_issuer", said, fix)
    elif certain and e.sent.issuer not in issuers:
        of = e.sent.claims.get("iss")
        whose = f"the user pool {of}" if of else "no pool"
        whose += " (this stack's own)" if own else ""
        yield Cause(
            "wrong_pool",
            f"The token says that it is of {whose}, but the authorizer accepts those of "
            f"{', '.join(taken)}.",
            f"Sign in to this stack's pool: '{e.signs_in}'."
            if e.issuer.rpartition("/")[2] in taken
            else f"Sign in to the pool {taken[0]}, or give the API an authorizer of this stack's "
            f"pool: '{e.attaches}'.",
        )


def wrong_issuer(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """An authorizer of type JWT doesn't trust the token's issuer."""
    if guard.issuers and e.sent.issuer not in {one.url for one in guard.issuers}:
        yield Cause(
            "wrong_issuer",
            f"The token's issuer (iss) is {e.sent.claims.get('iss', 'not named')}, but the "
            f"authorizer {guard.authorizer or ''} trusts only exactly "
            f"{', '.join(map(str, guard.issuers))}.",
            "Send a token of such an issuer, or add the token's to the authorizer and deploy.",
        )


def not_valid(e: Evidence, _guard: Guard) -> Iterator[Cause]:
    """The token was changed or forged, has expired, or isn't valid yet."""
    if e.signed is False:
        yield Cause(
            "bad_signature",
            "The token's signature isn't valid: the token was changed, not copied completely, or "
            "issued by someone else.",
            f"Get a new one: {e.prints_one}",
        )
    end = e.sent.time("exp")
    if end is not None and end <= e.now:
        yield Cause(
            "expired",
            f"The token expired {length(e.now - end)} ago, at {local_time(end)}.",
            f"Get a new one: '{e.command('token --username NAME')}' renews the stored one, "
            f"'{e.signs_in}' signs in.",
        )
    for name in ("nbf", "iat"):
        begin = e.sent.time(name)
        if begin is not None and begin > e.now + 1:
            yield Cause(
                "not_valid_yet",
                f"The token isn't valid before {local_time(begin)} ({name}), in "
                f"{length(begin - e.now)}: the signer's clock or the one here is wrong.",
                "Set this machine's clock (by NTP) or wait; if the signer's was wrong, sign in "
                "again.",
            )


def wrong_kind(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """It is an ID token where an access token is needed, or the reverse.

    Source: https://repost.aws/knowledge-center/api-gateway-cognito-401-unauthorized
    """
    if guard.scopes and e.sent.use == "id":
        yield Cause(
            "id_token",
            f"This is an ID token, but the method requires the scope {' or '.join(guard.scopes)}, "
            "so it takes access tokens.",
            f"Send the access token: '{e.command('token --username NAME --type access')}' prints "
            "it. Or remove the method's scopes and deploy.",
        )
    if not guard.scopes and e.sent.use == "access":
        yield Cause(
            "access_token",
            "This is an access token, but the method requires no scope, so it takes ID tokens.",
            f"Send the ID token: '{e.command('token --username NAME --type id')}' prints it. Or "
            "give the method a scope that the access token has, and deploy.",
        )


def scope_missing(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The access token has none of the method's scopes."""
    if guard.scopes and not set(guard.scopes) & set(e.sent.scopes):
        yield Cause(
            "scope_missing",
            f"The method requires the scope {' or '.join(guard.scopes)}; the token has "
            f"{', '.join(e.sent.scopes) or 'none'}. Access tokens of POST /signin have only "
            "aws.cognito.signin.user.admin."
            + (" An authorizer of type JWT answers that with 403." if guard.type == JWT else ""),
            "Get a token with that scope from Cognito's own pages (OAuth 2.0), or change the "
            "method's scopes and deploy.",
        )


def wrong_jwt_audience(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """An authorizer of type JWT doesn't accept the token's audience for its issuer.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_JwtIssuer.html
    """
    taken = next((one.audiences for one in guard.issuers or () if one.url == e.sent.issuer), ())
    if taken and not set(taken) & set(e.sent.audiences):
        client = str(e.sent.claims.get("client_id", ""))
        yield Cause(
            "wrong_audience",
            f"The token's audience (aud) is {', '.join(e.sent.audiences) or 'not named'}, but the "
            f"authorizer {guard.authorizer or ''} accepts {', '.join(taken)}. Cognito's access "
            "tokens have an aud only on request.",
            "Send a token with that audience (with Cognito, the ID token), or change the "
            "authorizer's audiences and deploy.",
            # HTTP APIs use client_id if aud is missing; AWS doesn't document it for REST APIs.
            certain=bool(e.sent.audiences) or client not in taken,
        )


def wrong_audience(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The authorizer's token validation accepts only some app clients.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html
    """
    given = str(e.sent.claims.get("aud", ""))
    if guard.audience and audience_matches(guard.audience, given) is False:
        yield Cause(
            "wrong_audience",
            f"The token's app client (aud) is {given or 'not named'}, which the authorizer's token "
            f"validation {guard.audience!r} doesn't match.",
            "Sign in with an app client that matches, or change the validation and deploy.",
        )


def audience_matches(pattern: str, audience: str) -> bool | None:
    """Return whether an authorizer's token validation matches an audience; None if unknown.

    The pattern comes from the API's owner, and backtracking could keep Python's ``re`` busy for
    years. So it isn't run: only a plain list of app clients is compared, as text.
    """
    found = CLIENTS.fullmatch(pattern)
    if found is None:
        return None
    names = found["names"].split("|")
    anchored = found["start"], found["end"]
    if anchored != (None, None) and names[1:] and not found["group"]:
        return None  # Each anchor applies to only one of the names.
    taken = {
        ("^", "$"): audience in names,
        ("^", None): audience.startswith(tuple(names)),
        (None, "$"): audience.endswith(tuple(names)),
        (None, None): any(name in audience for name in names),
    }
    return taken[anchored]


Check = Callable[[Evidence, Guard], Iterator[Cause]]
TOKEN_CHECKS: tuple[Check, ...] = (
    unreadable,
    wrong_pool,
    not_valid,
    wrong_kind,
    scope_missing,
    wrong_audience,
)
# An authorizer of type JWT accepts any kind of token. It answers 401 to these causes, and 403 to a
# token without the method's scope. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-jwt-authorizer-methods.html
JWT_CHECKS: tuple[Check, ...] = (unreadable, wrong_issuer, not_valid, wrong_jwt_audience)


def token_cause(e: Evidence, guard: Guard) -> Cause | None:
    """Return why a guard would refuse the token; None if it wouldn't."""
    if guard.type == IAM and e.sent.kind == "aws_signature":
        return Cause(
            "iam_authorization",
            "The method takes signed requests (AWS_IAM), and the client sent such a signature. A "
            "signature is valid for a single request, so the refusal of explain's own call "
            "says nothing about your client's.",
            "Look at the answer that your client gets: its message says what is wrong with the "
            "signature or the permission execute-api:Invoke.",
            certain=False,
        )
    if guard.type == IAM:
        return Cause(
            "iam_authorization",
            "The method takes requests signed with AWS credentials (AWS_IAM), not tokens. Its "
            "message about the Authorization header is about such a signature.",
            "Sign the request (SigV4), or set the method's authorization to a Cognito authorizer: "
            f"'{e.attaches}'.",
        )
    if guard.type == CUSTOM:
        return Cause(
            "custom_authorizer",
            f"A Lambda authorizer ({guard.authorizer or 'unnamed'}) guards this method with its "
            "own code; cogauth can't know what it requires.",
            "Read the log of the authorizer's function.",
            certain=False,
        )
    checks = {COGNITO: TOKEN_CHECKS, JWT: _jwt_checks(e)}.get(guard.type, ())
    return next((cause for check in checks for cause in check(e, guard)), None)


def _jwt_checks(e: Evidence) -> tuple[Check, ...]:
    if e.status == HTTPStatus.UNAUTHORIZED and not e.emulated:
        return JWT_CHECKS
    if e.status == HTTPStatus.FORBIDDEN and not e.emulated:
        return (scope_missing,) if e.token else ()
    return (*JWT_CHECKS, scope_missing)


def bearer(e: Evidence) -> Iterator[Cause]:
    """The token is sent after ``Bearer``, which AWS doesn't document."""
    cognito = e.method and e.method.guard.type == COGNITO
    if cognito and e.sent.bearer and e.refused_by(*OF_A_TOKEN):
        yield Cause(
            "bearer",
            "The token was sent after 'Bearer '. AWS doesn't document whether a REST API's Cognito "
            "authorizer accepts that.",
            "Send the token alone, without 'Bearer '.",
            certain=False,
        )
