"""The causes of a refusal, each by its check, about in the order in which API Gateway decides.

Where does the URL lead, who may call that, does the token hold, what does the function say: the
first check of ``CHECKS`` that knows the cause names it.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from cogauth.checks.explain.evidence import (
    BROKEN_FROM,
    FORBIDDEN,
    THROTTLED,
    TIMED_OUT,
    UNAUTHORIZED,
    Cause,
    Evidence,
    issuer_like,
    length,
    local_time,
    moment_of,
)
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.gateway import rest_apis
from cogauth.gateway.rest_apis import COGNITO, CUSTOM, IAM, JWT, OF_A_TOKEN, Guard

if TYPE_CHECKING:
    from collections.abc import Callable

# A deployment reaches API Gateway's hosts within seconds; AWS gives no figure.
SETTLES_WITHIN_S = 60

# What is said of a signature where a method asks for one.
OF_A_SIGNATURE = (
    *OF_A_TOKEN,
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
)
TOO_MANY = ("TooManyRequestsException", "LimitExceededException")
OTHERWISE_FORBIDDEN = "ForbiddenException"
NO_PATH = "MissingAuthenticationTokenException"


# A regular expression that does no more than list app clients, by their ids.
CLIENTS = re.compile(
    r"(?P<start>\^)?(?P<group>\((?:\?:)?)?(?P<names>[\w-]+(?:\|[\w-]+)*)(?(group)\))(?P<end>\$)?",
    re.ASCII,
)


# Where the URL leads


def no_api(e: Evidence) -> Cause | None:
    """The account has no such REST API."""
    if e.api is not None:
        return None
    return Cause(
        "wrong_api",
        f"There is no REST API {e.address.api} in this account and region. It may be another "
        "account's, an HTTP API, or one that was deleted. Nothing was sent to it.",
        f"Check the URL's host: '{e.aws('apigateway get-rest-apis')}' lists the APIs; this stack's "
        f"own URLs are what '{e.command('up')}' prints.",
    )


def private_api(e: Evidence) -> Cause | None:
    """The API is reached only from its VPC."""
    if not e.unreached:
        return None
    return Cause(
        "private_api",
        f"The API {e.address.api} is private: it is reached only from a VPC, by an interface "
        "endpoint for execute-api, and can't be reached from here.",
        "Run this in that VPC; if the private DNS of its endpoint is off, with the URL's host as "
        f"{e.address.api}-VPCE_ID.execute-api.… (the endpoint's id for VPCE_ID).",
    )


def endpoint_off(e: Evidence) -> Cause | None:
    """The API answers at its custom domains only."""
    if not (e.api or {}).get("disableExecuteApiEndpoint") or not e.led_nowhere:
        return None
    return Cause(
        "endpoint_disabled",
        f"The API {e.address.api} has its execute-api endpoint turned off: it answers at its "
        "custom domain names alone, and 403 Forbidden here.",
        "Call it at its custom domain, or turn the default endpoint on in the console's API "
        "settings and deploy.",
    )


def wrong_stage(e: Evidence) -> Cause | None:
    """The URL's stage isn't one of the API's."""
    if e.stage is not None or not e.led_nowhere:
        return None
    names = [str(stage["stageName"]) for stage in e.stages]
    if not names:
        fix = "Deploy the API to a stage: console, the API, Deploy API."
        return Cause("wrong_stage", f"The API {e.address.api} has no stage at all.", fix)
    if not e.address.stage:
        return Cause(
            "wrong_stage",
            f"The URL names no stage; the API {e.address.api} has: {', '.join(names)}. API Gateway "
            "answers 403 to that, not 404.",
            f"Put the stage's name first in the URL's path: /{names[0]}/…",
        )
    # The commonest way to it: the stage was left out of the URL.
    whole = f"/{e.address.stage}{e.address.path}".rstrip("/") or "/"
    left_out = rest_apis.route(e.live, e.verb, whole)[0]
    hint = f" The URL lacks it: {whole} is a path of the API." if left_out else ""
    return Cause(
        "wrong_stage",
        f"The API {e.address.api} has no stage {e.address.stage!r}; it has {', '.join(names)}."
        f"{hint} API Gateway answers 403 to that, not 404.",
        f"Put the stage's name first in the URL's path: /{names[0]}{whole if left_out else '/…'}",
    )


def wrong_path(e: Evidence) -> Cause | None:
    """Nothing that is deployed has the URL's path."""
    path = e.address.path
    if rest_apis.route(e.routes, e.verb, path)[0] is not None or not e.led_nowhere:
        return None
    if e.live_method is not None:
        return _not_deployed(e, f"The path {path} is in the API, but not deployed to the stage")
    near = ", ".join(rest_apis.nearest(e.routes, path)) or "none at all"
    return Cause(
        "wrong_path",
        f"The stage {e.address.stage} has no path {path}. API Gateway answers an unknown path with "
        "403 'Missing Authentication Token', or with a complaint about the Authorization header's "
        "form: neither is about the token.",
        f"Correct the URL's path. The nearest that are deployed: {near}.",
    )


def wrong_method(e: Evidence) -> Cause | None:
    """The path is deployed, but not with this HTTP method."""
    if e.method is not None or not e.led_nowhere:
        return None
    template = rest_apis.route(e.routes, e.verb, e.address.path)[0] or ""
    if e.live_method is not None:
        return _not_deployed(e, f"{e.verb} {template} is in the API, but not deployed to the stage")
    there = ", ".join(sorted(e.routes[template])) or "none"
    preflight = (
        " A browser asks by OPTIONS before it calls from another origin; "
        f"'{e.command('up --cors-origin ORIGIN')}' lets this stack's own API answer."
        if e.verb == "OPTIONS"
        else ""
    )
    return Cause(
        "wrong_method",
        f"The path {template} has no method {e.verb}; it has {there}. API Gateway answers an "
        "unknown method with 403 'Missing Authentication Token', or with a complaint about the "
        "Authorization header's form: neither is about the token.",
        f"Call it by {there}, or add the method and deploy.{preflight}",
    )


def _not_deployed(e: Evidence, sentence: str) -> Cause:
    age = (
        f" (deployed {moment_of(e.served.made.timestamp(), e.now)})"
        if e.served and e.served.made
        else ""
    )
    return Cause("not_deployed", f"{sentence} {e.address.stage}{age}.", e.redeploy)


# What the gateway says, whatever the token


def throttled(e: Evidence) -> Cause | None:
    """Too many calls."""
    if e.status != THROTTLED or not e.answer or not e.refused_by(*TOO_MANY):
        return None
    quota = "Limit Exceeded" in e.answer.message
    said = "the usage plan's quota is used up" if quota else "calls come faster than is allowed"
    return Cause(
        "throttled",
        f"The gateway answers 429: {said}. It is of the account, the stage, the method or a usage "
        "plan, and callers share it.",
        "Wait a moment and call again, or raise it: console, the stage, its throttling or the "
        f"usage plan; POST /signin's by '{e.command('up --throttle-rate')}'.",
    )


def api_key_missing(e: Evidence) -> Cause | None:
    """The method asks for an API key, which the gateway looks at after the authorizer."""
    if not (e.method and e.method.guard.api_key):
        return None
    if e.answer and e.status != FORBIDDEN:
        return None
    # AWS names the error by its type, an emulator by this message alone.
    by_message = e.endpoint and e.answer and e.answer.message == "Forbidden"
    if e.answer and not by_message and e.answer.error_type != OTHERWISE_FORBIDDEN:
        return None
    return Cause(
        "api_key",
        "The method asks for an API key as well; explain sends none, so if your client sends one "
        "in the header x-api-key, this is not the cause.",
        "Send a key that is enabled and in a usage plan of this stage, or turn 'API key required' "
        "off in the method's Method Request and deploy.",
    )


def denied_by_policy(e: Evidence) -> Cause | None:
    """The API's resource policy doesn't let the caller in."""
    if not e.answer or e.status != FORBIDDEN or "execute-api:Invoke" not in e.answer.message:
        return None
    if not e.by_gateway:
        return None
    if e.method and e.method.guard.type == IAM:
        return None
    return Cause(
        "resource_policy",
        "The API's resource policy doesn't let this caller in, whatever the token: "
        f"{e.answer.message}",
        "Console, the API, Resource policy: allow execute-api:Invoke, and deploy.",
    )


# Whether the token holds, as API Gateway asks


def no_header(e: Evidence, guard: Guard) -> Cause | None:
    """The client sends no token."""
    if e.token is not None and e.token.raw:
        return None
    return Cause(
        "no_header",
        f"No token was sent: the authorizer looks for one in the header {guard.header}.",
        f"Send the header {guard.header} with the token as its value: '"
        f"{e.command('token --username NAME')}' prints one.",
    )


def wrong_header(e: Evidence, guard: Guard) -> Cause | None:
    """It sends it where the authorizer doesn't look."""
    # HTTP's names of headers have no case.
    if e.header.lower() == guard.header.lower():
        return None
    return Cause(
        "wrong_header",
        f"The token was sent in the header {e.header}, but the authorizer "
        f"{guard.authorizer or ''} looks in {guard.header} (its identity source).",
        f"Send it as '{guard.header}: TOKEN', or set the authorizer's token source to "
        f"{e.header} in the console and deploy.",
    )


def aws_signature(e: Evidence, guard: Guard) -> Cause | None:
    """It is a request's AWS signature, as a client with AWS credentials sends it."""
    if e.token is None or not e.token.aws_signature:
        return None
    return Cause(
        "aws_signature",
        "What was sent is an AWS signature (SigV4), as AWS's own clients sign requests with their "
        f"credentials; this method takes a token in the header {guard.header}.",
        f"Send a token, and don't let the client sign: '{e.command('token --username NAME')}' "
        "prints one. If the request should be signed, set the method's authorization to AWS_IAM "
        "and deploy.",
    )


def quoted(e: Evidence, guard: Guard) -> Cause | None:
    """There are quotes around it."""
    del guard
    if e.token is None or not e.token.quoted:
        return None
    return Cause(
        "quoted",
        "The token was sent with quotes around it, as JSON and shells write it; they are no part "
        "of it.",
        "Take them off where the client reads the token: jq does with -r, and in a shell's single "
        "quotes no further ones are needed.",
    )


def not_a_jwt(e: Evidence, guard: Guard) -> Cause | None:
    """It is no token that could be read."""
    del guard
    if e.token is None or e.token.flaw is None:
        return None
    if e.token.encrypted:
        return Cause(
            "refresh_token",
            "This is a refresh token: it is for getting new tokens from Cognito, no API takes it.",
            f"Send an ID or access token: '{e.command('token --username NAME')}' prints one.",
        )
    return Cause(
        "not_a_jwt",
        f"What was sent is no JWT: {e.token.flaw}.",
        "Send the whole token, as Cognito gave it, three parts with two dots and nothing around "
        f"them: '{e.command('token --username NAME')}' prints one.",
    )


def updated_issuer(e: Evidence, guard: Guard) -> Cause | None:
    """Its pool names itself in the newer form, which Cognito authorizers don't take.

    Source for the two forms:
    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html
    """
    if e.token is None or not e.token.updated:
        return None
    pools = {issuer_like(e.issuer, pool) for pool in guard.pools if "$" not in pool}
    if e.token.original_issuer not in pools and len(pools) == len(guard.pools) > 0:
        return None
    said = (
        f"The token's issuer is {e.token.issuer}, as user pools with the IssuerConfiguration "
        "UPDATED name themselves. API Gateway's Cognito authorizers don't take such tokens."
    )
    again = f"'{e.command('test-login --username NAME')}' does to this stack's pool"
    if e.issuer_type == "ORIGINAL" and e.token.original_issuer == e.issuer:
        said = f"{said} The pool is ORIGINAL again."
        return Cause("updated_issuer", said, f"Sign in again: {again}.")
    return Cause(
        "updated_issuer",
        said,
        "Set the pool's issuer back to ORIGINAL and sign in again. By UpdateUserPool "
        "(IssuerConfiguration, Type=ORIGINAL) send all of the pool's other settings too: it resets "
        "what it isn't given. Or put an authorizer of type JWT before the method that trusts this "
        "issuer, and deploy.",
    )


def wrong_pool(e: Evidence, guard: Guard) -> Cause | None:
    """It is of a user pool that the authorizer doesn't take."""
    # One whose ARN has a stage variable in it could be any.
    if e.token is None or not guard.pools or any("$" in pool for pool in guard.pools):
        return None
    taken = [pool.rpartition("/")[2] for pool in guard.pools]
    if e.token.issuer in {issuer_like(e.issuer, pool) for pool in guard.pools}:
        return None
    of = e.token.claims.get("iss")
    own = " (this stack's own)" if e.token.original_issuer == e.issuer else ""
    ours = e.issuer.rpartition("/")[2]
    fix = (
        f"Sign in to that pool: '{e.command('test-login --username NAME')}' does to this stack's."
        if ours in taken
        else f"Sign in to the pool {taken[0]}, or give the API an authorizer of this stack's pool: "
        f"'{e.command(f'attach --api {e.address.api}')}'."
    )
    return Cause(
        "wrong_pool",
        f"The token says that it is of {'the user pool ' + str(of) if of else 'no pool'}{own}, "
        f"but the authorizer takes those of {', '.join(taken)}.",
        fix,
    )


def wrong_issuer(e: Evidence, guard: Guard) -> Cause | None:
    """It is of an issuer that an authorizer of type JWT doesn't trust."""
    if e.token is None or not guard.issuers:
        return None
    if e.token.issuer in {one.url for one in guard.issuers}:
        return None
    return Cause(
        "wrong_issuer",
        f"The token's issuer (iss) is {e.token.claims.get('iss', 'not named')}, but the authorizer "
        f"{guard.authorizer or ''} trusts {', '.join(map(str, guard.issuers))}, to the letter.",
        "Send a token of such an issuer, or add the token's to the authorizer and deploy.",
    )


def bad_signature(e: Evidence, guard: Guard) -> Cause | None:
    """It was changed, or made by somebody else."""
    del guard
    if e.signed is not False:
        return None
    return Cause(
        "bad_signature",
        "The token's signature doesn't hold: it was changed after Cognito made it, was not "
        "copied whole, or was made by somebody else.",
        f"Get a new one: '{e.command('token --username NAME')}' prints one.",
    )


def expired(e: Evidence, guard: Guard) -> Cause | None:
    """Its time is over."""
    del guard
    end = e.token.time("exp") if e.token else None
    if end is None or end > e.now:
        return None
    return Cause(
        "expired",
        f"The token expired {length(e.now - end)} ago, at {local_time(end)}.",
        f"Get a new one: '{e.command('token --username NAME')}' renews the stored one, "
        f"'{e.command('test-login --username NAME')}' signs in.",
    )


def not_valid_yet(e: Evidence, guard: Guard) -> Cause | None:
    """Its time has not come: one of the clocks is wrong."""
    del guard
    for name in ("nbf", "iat"):
        begin = e.token.time(name) if e.token else None
        if begin is not None and begin > e.now + 1:
            return Cause(
                "not_valid_yet",
                f"The token is valid only from {local_time(begin)} on ({name}), in "
                f"{length(begin - e.now)}: a clock is wrong, the signer's or the one here.",
                "Set this machine's clock (by NTP), or wait; if the signer's is wrong, sign in "
                "anew.",
            )
    return None


def wrong_kind(e: Evidence, guard: Guard) -> Cause | None:
    """It is an ID token where an access token is wanted, or the reverse.

    Source: https://repost.aws/knowledge-center/api-gateway-cognito-401-unauthorized
    """
    if e.token is None:
        return None
    if guard.scopes and e.token.use == "id":
        return Cause(
            "id_token",
            f"This is an ID token, but the method asks for the scope {' or '.join(guard.scopes)}: "
            "that takes an access token.",
            f"Send the access token: '{e.command('token --username NAME --type access')}' prints "
            "it. Or take the scopes off the method and deploy.",
        )
    if not guard.scopes and e.token.use == "access":
        return Cause(
            "access_token",
            "This is an access token, but the method asks for no scope: that takes an ID token.",
            f"Send the ID token: '{e.command('token --username NAME --type id')}' prints it. Or "
            "give the method a scope that the access token carries, and deploy.",
        )
    return None


def scope_missing(e: Evidence, guard: Guard) -> Cause | None:
    """The access token carries none of the method's scopes."""
    if e.token is None or not guard.scopes or set(guard.scopes) & set(e.token.scopes):
        return None
    return Cause(
        "scope_missing",
        f"The method asks for the scope {' or '.join(guard.scopes)}; the token carries "
        f"{', '.join(e.token.scopes) or 'none'}. POST /signin's access tokens carry "
        "aws.cognito.signin.user.admin alone."
        + (" An authorizer of type JWT answers 403 to that." if guard.type == JWT else ""),
        "Get the token from Cognito's own pages (OAuth 2.0) with that scope, or change the "
        "method's scopes and deploy.",
    )


def wrong_jwt_audience(e: Evidence, guard: Guard) -> Cause | None:
    """It is for nobody whom an authorizer of type JWT knows of its issuer.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_JwtIssuer.html
    """
    taken = next(
        (one.audiences for one in guard.issuers or () if e.token and one.url == e.token.issuer), ()
    )
    if e.token is None or not taken or set(taken) & set(e.token.audiences):
        return None
    client = str(e.token.claims.get("client_id", ""))
    return Cause(
        "wrong_audience",
        f"The token is for {', '.join(e.token.audiences) or 'nobody by name'} (aud), and the "
        f"authorizer {guard.authorizer or ''} takes those for {', '.join(taken)}. Cognito's access "
        "tokens have no aud, but where one was asked for.",
        "Send a token with that audience (of Cognito's, the ID token), or change the authorizer's "
        "audiences and deploy.",
        # HTTP APIs take client_id in place of a missing aud; of REST APIs that isn't documented.
        certain=bool(e.token.audiences) or client not in taken,
    )


def wrong_audience(e: Evidence, guard: Guard) -> Cause | None:
    """The authorizer takes only some app clients, by its token validation.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html
    """
    if e.token is None or not guard.audience:
        return None
    given = str(e.token.claims.get("aud", ""))
    if audience_matches(guard.audience, given) is not False:
        return None
    return Cause(
        "wrong_audience",
        f"The token's app client (aud) is {given or 'not named'}, which the authorizer's token "
        f"validation {guard.audience!r} doesn't match.",
        "Sign in by an app client that it takes, or change the authorizer's token validation and "
        "deploy.",
    )


def audience_matches(pattern: str, audience: str) -> bool | None:
    """Say whether an authorizer's token validation takes an audience.

    The pattern is an API owner's, and one that backtracks could keep Python's ``re`` busy for
    years. So it isn't run: one that only lists app clients is compared, as text.

    Returns:
        None if the pattern is any other.
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


TOKEN_CHECKS: tuple[Callable[[Evidence, Guard], Cause | None], ...] = (
    no_header,
    wrong_header,
    aws_signature,
    quoted,
    not_a_jwt,
    updated_issuer,
    wrong_pool,
    bad_signature,
    expired,
    not_valid_yet,
    wrong_kind,
    scope_missing,
    wrong_audience,
)
# Of an authorizer of type JWT, which asks for no kind of token. It answers 401 to these, and 403
# to a token without the method's scope. Source:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-jwt-authorizer-methods.html
JWT_CHECKS: tuple[Callable[[Evidence, Guard], Cause | None], ...] = (
    no_header,
    wrong_header,
    aws_signature,
    quoted,
    not_a_jwt,
    wrong_issuer,
    bad_signature,
    expired,
    not_valid_yet,
    wrong_jwt_audience,
)


def token_cause(e: Evidence, guard: Guard) -> Cause | None:
    """Say why a guard would refuse the token, or that it wouldn't."""
    if guard.type == IAM and e.token and e.token.aws_signature:
        return Cause(
            "iam_authorization",
            "The method takes requests that are signed with AWS credentials (AWS_IAM), and what "
            "was sent is such a signature. It holds for the one request that it was made for, so "
            "that explain's own call is refused says nothing about your client's.",
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
            f"'{e.command(f'attach --api {e.address.api}')}'.",
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
    return next(filter(None, (check(e, guard) for check in checks)), None)


def _jwt_checks(e: Evidence) -> tuple[Callable[[Evidence, Guard], Cause | None], ...]:
    if e.status == UNAUTHORIZED and not e.emulated:
        return JWT_CHECKS
    if e.status == FORBIDDEN and not e.emulated:
        return (scope_missing,)
    return (*JWT_CHECKS, scope_missing)


def refused_token(e: Evidence) -> Cause | None:
    """The deployed guard refuses the token; one that is not deployed yet wouldn't."""
    if not e.method or not e.answered(UNAUTHORIZED, FORBIDDEN):
        return None
    # A JWT authorizer's 403 is documented, and its type isn't.
    errors = {IAM: OF_A_SIGNATURE, JWT: (*OF_A_TOKEN, OTHERWISE_FORBIDDEN)}.get(
        e.method.guard.type, OF_A_TOKEN
    )
    if not e.refused_by(*errors):
        return None
    cause = token_cause(e, e.method.guard)
    if cause is None or e.live_method is None:
        return cause
    changes = differences(e.method.guard, e.live_method.guard)
    if not changes or token_cause(e, e.live_method.guard) is not None:
        return cause
    return _not_deployed(
        e,
        f"The method's guard was changed, and would let this call pass, but that is not deployed "
        f"({'; '.join(changes)}; what is deployed says: {cause.code}) to the stage",
    )


def authorizer_broken(e: Evidence) -> Cause | None:
    """The gateway can't use the authorizer."""
    if not e.answer or e.answer.error_type != "AuthorizerConfigurationException":
        return None
    guard = e.method.guard if e.method else Guard()
    if guard.type == CUSTOM:
        return Cause(
            "authorizer_broken",
            f"The Lambda authorizer {guard.authorizer or '(it is gone)'} failed: its function "
            "raised an error, ran out of time or answered in a wrong form, or API Gateway may not "
            "call it.",
            "Look at the log of the authorizer's function, and at its permission.",
        )
    lost = "its issuer's keys can't be had" if guard.type == JWT else "its user pool"
    return Cause(
        "authorizer_broken",
        f"API Gateway can't use the method's authorizer {guard.authorizer or '(it is gone)'}: "
        f"{lost} or the authorizer itself doesn't exist any more.",
        f"Put a working one before the method: '{e.command('up')}' mends this stack's own API, "
        f"'{e.command(f'attach --api {e.address.api}')}' another.",
    )


# What is behind the guard


def function_missing(e: Evidence) -> Cause | None:
    """The function isn't there."""
    if not (e.function_gone and e.broke):
        return None
    name = e.method.function if e.method else ""
    return Cause(
        "function_missing",
        f"The method calls the Lambda function {name}, which doesn't exist.",
        f"Make it again ('{e.command('up')}' does for this stack's own), or point the method's "
        "integration elsewhere and deploy.",
    )


def not_permitted(e: Evidence) -> Cause | None:
    """API Gateway may not call the function."""
    if e.permitted is not False or not e.broke or not e.method:
        return None
    # 502 and 504 are what becomes of a call that reached the function.
    if e.answer and not e.answer.passed and e.status != BROKEN_FROM:
        return None
    # Nor did one that went through need it, on AWS; an emulator doesn't ask.
    if e.answer and e.answer.passed and not e.emulated:
        return None
    name = e.function.rpartition(":function:")[2]
    return Cause(
        "lambda_permission",
        f"API Gateway has no permission to call the function {name} for this "
        "method: it answers 500 'Internal server error'.",
        f"'{e.command('up')}' restores this stack's own. Else: {e.aws('lambda add-permission')} "
        f"--function-name {shlex.quote(e.function)} --statement-id apigateway "
        f"--action lambda:InvokeFunction --principal {SERVICE_PRINCIPALS['apigateway']} "
        f"--source-arn {shlex.quote(e.source_arn)}",
    )


def just_deployed(e: Evidence) -> Cause | None:
    """A new deployment has not reached all of the gateway's hosts yet."""
    made = e.served.made if e.served else None
    age = e.now - made.timestamp() if made else SETTLES_WITHIN_S
    if age >= SETTLES_WITHIN_S or e.endpoint or not e.by_gateway:
        return None
    if e.status not in {FORBIDDEN, BROKEN_FROM}:
        return None
    return Cause(
        "just_deployed",
        f"The stage was deployed {length(age)} ago; for some seconds the gateway answers 403 or "
        "500 by itself.",
        "Wait a moment, and run this again.",
    )


def function_failed(e: Evidence) -> Cause | None:
    """The function crashed, ran out of time, or gave an answer that the gateway can't use."""
    if not e.answer or not e.method or not e.method.function:
        return None
    # A function may answer 500 on purpose.
    if not (e.answer.failed or (e.answer.status >= BROKEN_FROM and e.by_gateway)):
        return None
    name = e.method.function.rpartition(":function:")[2].partition(":")[0]
    timed_out = " (API Gateway waits 29 s)" if e.answer.status == TIMED_OUT else ""
    return Cause(
        "function_failed",
        f"The guard let the call pass; the function {name} failed{timed_out}: it raised an "
        "error, ran out of time, or answered in a form that a proxy integration can't use.",
        f"Read its log: {e.aws(f'logs tail /aws/lambda/{name} --since 10m')}",
    )


def user_gone(e: Evidence) -> Cause | None:
    """The token holds, but its user or its session doesn't stand any more."""
    caveat = (
        "The gateway doesn't know: it looks at signature and times alone, and lets the token pass "
        "until it expires. So what refused the call stands behind it."
    )
    said = (
        f"The token's user is {e.user}."
        if e.user in {"deleted", "disabled"}
        else "The token was revoked (a sign-out, or its refresh token's revocation)."
    )
    if e.user not in {"deleted", "disabled"} and not e.revoked:
        return None
    # What the gateway itself refused has another cause.
    if not e.answered(UNAUTHORIZED, FORBIDDEN) or not e.refused_by(""):
        return None
    how = "enable the user first" if e.user == "disabled" else "the same name signs up anew"
    return Cause(
        f"user_{e.user}" if e.user != "present" else "revoked",
        f"{said} {caveat}",
        f"Sign in again: '{e.command('test-login --username NAME')}'"
        + (f" ({how})." if e.user != "present" else "."),
        certain=False,
    )


def integration_answered(e: Evidence) -> Cause | None:
    """What stands behind the guard answered so, and the gateway handed it on."""
    if e.by_gateway or not e.answer or e.answer.passed:
        return None
    function = e.method.function if e.method else None
    name = (function or "").rpartition(":function:")[2].partition(":")[0]
    behind = f"the function {name}" if name else "what stands behind the method"
    look = (
        f"{e.aws(f'logs tail /aws/lambda/{name}')} --since 10m"
        if name
        else "look at it, and at its log"
    )
    return Cause(
        "integration_answered",
        f"The guard let the call pass; {behind} answered {e.status} itself.",
        f"Its log or its code tells why: {look}",
    )


def bearer(e: Evidence) -> Cause | None:
    """The token is sent behind ``Bearer``, of which AWS's documentation says nothing."""
    cognito = e.method and e.method.guard.type == COGNITO
    if not (cognito and e.token and e.token.bearer and e.answered(UNAUTHORIZED, FORBIDDEN)):
        return None
    if not e.refused_by(*OF_A_TOKEN):
        return None
    return Cause(
        "bearer",
        "The token was sent behind 'Bearer '. Whether a REST API's Cognito authorizer takes it so "
        "is not documented.",
        "Send the token alone, without 'Bearer '.",
        certain=False,
    )


CHECKS: tuple[Callable[[Evidence], Cause | None], ...] = (
    no_api,
    private_api,
    endpoint_off,
    wrong_stage,
    wrong_path,
    wrong_method,
    throttled,
    denied_by_policy,
    authorizer_broken,
    refused_token,
    function_missing,
    not_permitted,
    just_deployed,
    function_failed,
    api_key_missing,
    user_gone,
    integration_answered,
    bearer,
)


def differences(before: Guard, after: Guard) -> list[str]:
    """Return in words what of a guard differs, deployed and now."""
    return [
        f"{name.replace('_', ' ')}: deployed {_words(old)}, now {_words(new)}"
        for name, old in vars(before).items()
        if (new := getattr(after, name)) != old and not (name == "issuers" and None in {old, new})
    ]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no", None: "none"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]
