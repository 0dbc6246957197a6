"""What an authorizer refuses: the header, and the token in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cogauth.checks.explain.evidence import FORBIDDEN, UNAUTHORIZED, Cause, Evidence, issuer_like
from cogauth.gateway.rest_apis import COGNITO, CUSTOM, IAM, JWT, OF_A_TOKEN, Guard
from cogauth.printable import length, local_time

# What is said of a signature where a method asks for one.
OF_A_SIGNATURE = (
    *OF_A_TOKEN,
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
)

# A regular expression that does no more than list app clients, by their ids.
CLIENTS = re.compile(
    r"(?P<start>\^)?(?P<group>\((?:\?:)?)?(?P<names>[\w-]+(?:\|[\w-]+)*)(?(group)\))(?P<end>\$)?",
    re.ASCII,
)


def unreadable(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The client sends no token where the authorizer looks for one, or none that can be read."""
    if not e.sent.raw:
        yield Cause(
            "no_header",
            f"No token was sent: the authorizer looks for one in the header {guard.header}.",
            f"Send the header {guard.header} with the token as its value: {e.prints_one}",
        )
    # HTTP's names of headers have no case.
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
            "What was sent is an AWS signature (SigV4); this method takes a token in the header "
            f"{guard.header}.",
            f"Send a token, and don't let the client sign: {e.prints_one} If the request should "
            "be signed, set the method's authorization to AWS_IAM and deploy.",
        )
    elif e.sent.kind == "quoted":
        yield Cause(
            "quoted",
            "The token was sent with quotes around it, as JSON and shells write it.",
            "Take them off where the client reads the token: jq does with -r, and in a shell's "
            "single quotes no further ones are needed.",
        )
    elif e.sent.kind == "refresh_token":
        yield Cause(
            "refresh_token",
            "This is a refresh token: it is for getting new tokens from Cognito, no API takes it.",
            f"Send an ID or access token: {e.prints_one}",
        )
    else:
        yield Cause(
            "not_a_jwt",
            f"What was sent is no JWT: {e.sent.flaw}.",
            "Send the whole token, as Cognito gave it, three parts with two dots and nothing "
            f"around them: {e.prints_one}",
        )


def wrong_pool(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """It is of a user pool that the authorizer doesn't take, or names it in the newer form."""
    # An ARN that has a stage variable in it could be any pool's.
    known = [pool for pool in guard.pools if "$" not in pool]
    taken, certain = [pool.rpartition("/")[2] for pool in known], len(known) == len(guard.pools) > 0
    issuers = {issuer_like(e.issuer, pool) for pool in known}
    own = e.sent.original_issuer == e.issuer
    if e.sent.updated and (e.sent.original_issuer in issuers or not certain):
        said = (
            f"The token's issuer is {e.sent.issuer}, as user pools with the IssuerConfiguration "
            "UPDATED name themselves. API Gateway's Cognito authorizers don't take such tokens."
        )
        fix = (
            "Set the pool's issuer back to ORIGINAL (send UpdateUserPool all else as well: it "
            "resets what it isn't given) and sign in again. Or put an authorizer of type JWT that "
            "trusts this issuer before the method, and deploy."
        )
        if own and e.issuer_type == "ORIGINAL":
            said = f"{said} The pool is ORIGINAL again."
            fix = f"Sign in again: '{e.signs_in}' does to this stack's pool."
        yield Cause("updated_issuer", said, fix)
    elif certain and e.sent.issuer not in issuers:
        of = e.sent.claims.get("iss")
        whose = f"the user pool {of}" if of else "no pool"
        whose += " (this stack's own)" if own else ""
        yield Cause(
            "wrong_pool",
            f"The token says that it is of {whose}, but the authorizer takes those of "
            f"{', '.join(taken)}.",
            f"Sign in to that pool: '{e.signs_in}' does to this stack's."
            if e.issuer.rpartition("/")[2] in taken
            else f"Sign in to the pool {taken[0]}, or give the API an authorizer of this stack's "
            f"pool: '{e.attaches}'.",
        )


def wrong_issuer(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """It is of an issuer that an authorizer of type JWT doesn't trust."""
    if guard.issuers and e.sent.issuer not in {one.url for one in guard.issuers}:
        yield Cause(
            "wrong_issuer",
            f"The token's issuer (iss) is {e.sent.claims.get('iss', 'not named')}, but the "
            f"authorizer {guard.authorizer or ''} trusts {', '.join(map(str, guard.issuers))}, to "
            "the letter.",
            "Send a token of such an issuer, or add the token's to the authorizer and deploy.",
        )


def not_valid(e: Evidence, _guard: Guard) -> Iterator[Cause]:
    """It was changed or made by somebody else, or it isn't its time."""
    if e.signed is False:
        yield Cause(
            "bad_signature",
            "The token's signature doesn't hold: it was changed after Cognito made it, was not "
            "copied whole, or was made by somebody else.",
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
                f"The token is valid only from {local_time(begin)} on ({name}), in "
                f"{length(begin - e.now)}: a clock is wrong, the signer's or the one here.",
                "Set this machine's clock (by NTP) or wait; if it is the signer's, sign in anew.",
            )


def wrong_kind(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """It is an ID token where an access token is wanted, or the reverse.

    Source: https://repost.aws/knowledge-center/api-gateway-cognito-401-unauthorized
    """
    if guard.scopes and e.sent.use == "id":
        yield Cause(
            "id_token",
            f"This is an ID token, but the method asks for the scope {' or '.join(guard.scopes)}: "
            "that takes an access token.",
            f"Send the access token: '{e.command('token --username NAME --type access')}' prints "
            "it. Or take the scopes off the method and deploy.",
        )
    if not guard.scopes and e.sent.use == "access":
        yield Cause(
            "access_token",
            "This is an access token, but the method asks for no scope: that takes an ID token.",
            f"Send the ID token: '{e.command('token --username NAME --type id')}' prints it. Or "
            "give the method a scope that the access token carries, and deploy.",
        )


def scope_missing(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The access token carries none of the method's scopes."""
    if guard.scopes and not set(guard.scopes) & set(e.sent.scopes):
        yield Cause(
            "scope_missing",
            f"The method asks for the scope {' or '.join(guard.scopes)}; the token carries "
            f"{', '.join(e.sent.scopes) or 'none'}. POST /signin's access tokens carry "
            "aws.cognito.signin.user.admin alone."
            + (" An authorizer of type JWT answers 403 to that." if guard.type == JWT else ""),
            "Get the token from Cognito's own pages (OAuth 2.0) with that scope, or change the "
            "method's scopes and deploy.",
        )


def wrong_jwt_audience(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """It is for nobody whom an authorizer of type JWT knows of its issuer.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_JwtIssuer.html
    """
    taken = next((one.audiences for one in guard.issuers or () if one.url == e.sent.issuer), ())
    if taken and not set(taken) & set(e.sent.audiences):
        client = str(e.sent.claims.get("client_id", ""))
        yield Cause(
            "wrong_audience",
            f"The token is for {', '.join(e.sent.audiences) or 'nobody by name'} (aud), and the "
            f"authorizer {guard.authorizer or ''} takes those for {', '.join(taken)}. Cognito's "
            "access tokens have no aud, but where one was asked for.",
            "Send a token with that audience (of Cognito's, the ID token), or change the "
            "authorizer's audiences and deploy.",
            # HTTP APIs take client_id for a missing aud; of REST APIs that isn't documented.
            certain=bool(e.sent.audiences) or client not in taken,
        )


def wrong_audience(e: Evidence, guard: Guard) -> Iterator[Cause]:
    """The authorizer takes only some app clients, by its token validation.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html
    """
    given = str(e.sent.claims.get("aud", ""))
    if guard.audience and audience_matches(guard.audience, given) is False:
        yield Cause(
            "wrong_audience",
            f"The token's app client (aud) is {given or 'not named'}, which the authorizer's token "
            f"validation {guard.audience!r} doesn't match.",
            "Sign in by an app client that it takes, or change the validation and deploy.",
        )


def audience_matches(pattern: str, audience: str) -> bool | None:
    """Say whether an authorizer's token validation takes an audience; None if it isn't known.

    The pattern is an API owner's, and one that backtracks could keep Python's ``re`` busy for
    years. So it isn't run: one that only lists app clients is compared, as text.
    """
    found = CLIENTS.fullmatch(pattern)
    if found is None:
        return None
    names = found["names"].split("|")
    anchored = found["start"], found["end"]
    if anchored != (None, None) and names[1:] and not found["group"]:
        return None  # The anchors are the first name's and the last one's.
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
# Of an authorizer of type JWT, which asks for no kind of token. It answers 401 to these, and 403
# to a token without the method's scope. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-jwt-authorizer-methods.html
JWT_CHECKS: tuple[Check, ...] = (unreadable, wrong_issuer, not_valid, wrong_jwt_audience)


def token_cause(e: Evidence, guard: Guard) -> Cause | None:
    """Say why a guard would refuse the token, or that it wouldn't."""
    if guard.type == IAM and e.sent.kind == "aws_signature":
        return Cause(
            "iam_authorization",
            "The method takes signed requests (AWS_IAM), and what was sent is such a signature. It "
            "holds for the one request that it was made for, so that explain's own call is refused "
            "says nothing about your client's.",
            "Look at what your client itself is answered: the message names what is wrong with "
            "its signature or its permission execute-api:Invoke.",
            certain=False,
        )
    if guard.type == IAM:
        return Cause(
            "iam_authorization",
            "The method takes requests that are signed with AWS credentials (AWS_IAM), no tokens. "
            "What it says about the Authorization header is about such a signature.",
            "Sign the request (SigV4), or set the method's authorization to a Cognito authorizer: "
            f"'{e.attaches}'.",
        )
    if guard.type == CUSTOM:
        return Cause(
            "custom_authorizer",
            f"A Lambda authorizer ({guard.authorizer or 'unnamed'}) decides about this method, "
            "by code of its own; cogauth can't tell what it wants.",
            "Look at the log of the authorizer's function.",
            certain=False,
        )
    checks = {COGNITO: TOKEN_CHECKS, JWT: _jwt_checks(e)}.get(guard.type, ())
    return next((cause for check in checks for cause in check(e, guard)), None)


def _jwt_checks(e: Evidence) -> tuple[Check, ...]:
    if e.status == UNAUTHORIZED and not e.emulated:
        return JWT_CHECKS
    if e.status == FORBIDDEN and not e.emulated:
        return (scope_missing,) if e.token else ()
    return (*JWT_CHECKS, scope_missing)


def bearer(e: Evidence) -> Iterator[Cause]:
    """The token is sent behind ``Bearer``, of which AWS's documentation says nothing."""
    cognito = e.method and e.method.guard.type == COGNITO
    if cognito and e.sent.bearer and e.refused_by(*OF_A_TOKEN):
        yield Cause(
            "bearer",
            "The token was sent behind 'Bearer '. Whether a REST API's Cognito authorizer takes it "
            "so is not documented.",
            "Send the token alone, without 'Bearer '.",
            certain=False,
        )
