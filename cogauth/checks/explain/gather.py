"""Gather the evidence: read the API, the token, its user and the function, and make the call."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of, or_none
from cogauth.aws.errors import DENIED
from cogauth.aws.policies import FUNCTION, OTHER_API, REST_API, USER_POOL, allow
from cogauth.checks.explain.address import check_suffix
from cogauth.checks.explain.evidence import Answer, Evidence, Token, issuer_like, read_token
from cogauth.client import token_store, tokens
from cogauth.client.transport import http_session, json_object, request
from cogauth.context import SERVICE_PRINCIPALS
from cogauth.errors import TOKEN_LIKE, LoginError
from cogauth.gateway import rest_apis
from cogauth.gateway.deployed import deployed, exporting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cogauth.checks.explain.address import Address
    from cogauth.context import Context
    from cogauth.gateway.rest_apis import Route
    from cogauth.record.state import State

# Methods that explain calls itself, because they change nothing.
HARMLESS = ("GET", "HEAD", "OPTIONS")
LONGEST_MESSAGE = 300
# GetPolicy's message for a function without a policy.
NO_POLICY = "The resource you requested does not exist"


# What ``gather`` needs: the API is whichever the URL names, and its function anybody's.
PERMISSIONS = (
    *(
        one
        for api in (REST_API, OTHER_API)
        for one in (
            allow(api, "apigateway:GET"),
            rest_apis.reading(api, "stages", "resources", "authorizers", "deployments/*"),
            exporting(api),
        )
    ),
    allow(USER_POOL, "cognito-idp:DescribeUserPool", "cognito-idp:AdminGetUser"),
    allow(f"{FUNCTION}:*", "lambda:GetPolicy"),
)


def gather(ctx: Context, address: Address, verb: str, text: str | None, header: str) -> Evidence:
    """Read the API, the token, its user and the function, and make the call."""
    check_suffix(address, ctx.aws)
    ctx.aws.make_clients("apigateway", "cognito", "lambda_")
    evidence = Evidence(
        address,
        verb,
        header,
        None if text is None else read_token(text),
        issuer=ctx.issuer,
        client=ctx.fact("app_client"),
        options=ctx.state.options,
        endpoint=ctx.state.endpoint_url,
        emulated=ctx.state.emulated,
        here=ctx.now(),
        now=ctx.now(),
    )
    gateway, api = ctx.aws.apigateway, address.api
    found = or_none(lambda: gateway.get_rest_api(restApiId=api))
    if found is None:
        # The API may be someone else's, so send it no token.
        return evidence
    stages = tuple(rest_apis.stages(ctx, api))
    stage = next((one for one in stages if one["stageName"] == address.stage), None)
    live = rest_apis.routes(ctx, api)
    evidence = replace(evidence, api=found, stages=stages, stage=stage, live=live)
    if stage is not None:
        evidence = replace(evidence, served=deployed(ctx, api, stage, live))
    evidence = _with_issuer(ctx, _with_answer(ctx, evidence))
    return _with_function(ctx, _with_user(ctx, evidence))


def _with_answer(ctx: Context, evidence: Evidence) -> Evidence:
    """Make the call, if it changes nothing and its token can be sent in a header."""
    token = evidence.token
    sendable = token is None or (token.raw.isascii() and token.raw.isprintable() and token.raw)
    if evidence.verb not in HARMLESS or not sendable:
        return evidence
    url = evidence.address.url
    headers = {evidence.header: token.raw} if token else {}
    try:
        http = http_session(url, ctx.aws)
        response = request(http, evidence.verb, url, headers=headers)
    except LoginError:
        types = (evidence.api or {}).get("endpointConfiguration", {}).get("types", [])
        if "PRIVATE" not in types:
            raise
        return replace(evidence, unreached=True)
    body = json_object(response)
    message = body.get("message") or body.get("Message") or body.get("errorMessage")
    answer = Answer(
        response.status_code,
        _redacted(str(message or response.text), token)[:LONGEST_MESSAGE],
        response.headers.get("x-amzn-ErrorType", "").partition(":")[0],
        "errorMessage" in body and "errorType" in body,
        _date(response.headers.get("Date")),
    )
    return replace(evidence, answer=answer, now=answer.at or evidence.now)


def _redacted(text: str, token: Token | None) -> str:
    """Remove the token from the gateway's message: for a wrong path it repeats the header."""
    secrets = [token.raw, token.bare] if token else []
    if token and token.kind == "aws_signature":
        parts = re.findall(r"(?:Credential|Signature)=([^,\s]+)", token.raw)
        secrets += [*parts, *(part.partition("/")[0] for part in parts)]
    # The longest first, because one may contain another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "(the token)")
    return TOKEN_LIKE.sub("(a token)", text)


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _with_issuer(ctx: Context, evidence: Evidence) -> Evidence:
    """Read the stack's pool's IssuerConfiguration, if the method accepts that pool's tokens."""
    method, pool = evidence.method, ctx.fact("user_pool")
    if method is None or ctx.fact("user_pool", "arn") not in method.guard.pools:
        return evidence
    try:
        live: Any = ctx.aws.cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    except ClientError as error:
        return _not_seen(evidence, "the user pool", error)
    return replace(evidence, issuer_type=live.get("IssuerConfiguration", {}).get("Type"))


def _with_user(ctx: Context, evidence: Evidence) -> Evidence:
    """Check the signature with its pool's keys, and look up the user in the stack's pool."""
    token = evidence.token
    url = _url_of_keys(ctx, evidence)
    if token is None or token.flaw or url is None:
        return evidence
    try:
        http = http_session(url, ctx.aws)
        signed = tokens.is_signed(ctx, http, token.bare, url)
    except LoginError as error:
        return replace(evidence, unknown=(*evidence.unknown, f"the pool's keys: {error}"))
    evidence = replace(evidence, signed=signed)
    # ID tokens and access tokens name the user in different claims.
    name = token.claims.get("cognito:username") or token.claims.get("username")
    if not signed or not isinstance(name, str) or token.original_issuer != evidence.issuer:
        return evidence
    try:
        live = or_none(
            lambda: ctx.aws.cognito.admin_get_user(UserPoolId=ctx.fact("user_pool"), Username=name),
            ("UserNotFoundException",),
        )
    except ClientError as error:
        return _not_seen(evidence, "the user", error)
    user = "deleted" if live is None else "present" if live["Enabled"] else "disabled"
    return replace(evidence, user=user, revoked=_is_revoked(ctx, token))


def _url_of_keys(ctx: Context, evidence: Evidence) -> str | None:
    """Return the URL of the keys of the token's pool, if the authorizer accepts that pool.

    On an emulator, only the stack's own pool has a known URL.
    """
    # Both forms of a pool's issuer have the same keys.
    issuer = evidence.token.original_issuer if evidence.token else None
    if issuer == evidence.issuer:
        return ctx.jwks_url
    pools = evidence.method.guard.pools if evidence.method and not evidence.endpoint else ()
    # The value of a stage variable is unknown.
    taken = [issuer_like(evidence.issuer, pool) for pool in pools if "$" not in pool]
    return f"{issuer}/.well-known/jwks.json" if issuer in taken else None


def _is_revoked(ctx: Context, token: Token) -> bool | None:
    """Ask Cognito about the token's session, with the token or the access token stored with it.

    The error is Cognito's own: "Access Token has been revoked". Source:
    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GlobalSignOut.html
    """
    access = token if token.use == "access" else _beside(ctx.state, token)
    if access is None:
        return None
    try:
        ctx.aws.cognito.get_user(AccessToken=access.bare)
    except ClientError as error:
        # Other errors, such as an expired token, don't show whether it was revoked.
        return True if "revoked" in message_of(error) else None
    return False


def _beside(state: State, token: Token) -> Token | None:
    session_id = token.claims.get("origin_jti")
    for kept in token_store.stored(state).values():
        access = read_token(str(kept.get("access_token", "")))
        if session_id and access.claims.get("origin_jti") == session_id:
            return access
    return None


def _with_function(ctx: Context, evidence: Evidence) -> Evidence:
    method = evidence.method
    if method is None or method.function is None or method.role is not None:
        # An integration with a role needs no permission in the function's policy.
        return evidence
    variables = (evidence.stage or {}).get("variables") or {}
    name = re.sub(
        r"\$\{stageVariables\.(\w+)\}",
        lambda match: variables.get(match[1], match[0]),
        method.function,
    )
    verb = "*" if method.http_method == "ANY" else method.http_method
    path = _any_parameter(method.path)
    source_arn = ctx.arn("execute-api", f"{evidence.address.api}/*/{verb}{path}")
    evidence = replace(evidence, function=name, source_arn=source_arn)
    try:
        policy = ctx.aws.lambda_.get_policy(FunctionName=name)["Policy"]
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            return _not_seen(evidence, "the function's permission", error)
        gone = "function not found" in message_of(error).lower()
        # A function in another region causes the same error.
        if not (gone or evidence.endpoint or NO_POLICY in message_of(error)):
            return _not_seen(evidence, "the function's permission", error)
        return replace(evidence, permitted=False, function_gone=gone)
    statements = json.loads(policy)["Statement"]
    arns = list(_source_arns(ctx, evidence, method))
    permitted = any(_permits(each, arn) for each in statements for arn in arns)
    return replace(evidence, permitted=permitted)


def _not_seen(evidence: Evidence, what: str, error: ClientError) -> Evidence:
    remedy = " ('cogauth policy --for explain' prints all that it needs)"
    why = f"{what}: {code_of(error)}{remedy if code_of(error) in DENIED else ''}"
    return replace(evidence, unknown=(*evidence.unknown, why))


def _any_parameter(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "*", path)


def _source_arns(ctx: Context, evidence: Evidence, method: Route) -> Iterable[str]:
    """Yield the source ARNs that a statement may permit for the call.

    AWS doesn't document what API Gateway inserts for a path parameter, so each form counts.
    """
    stage = f"{evidence.address.api}/{evidence.address.stage}"
    for path in {method.path, _any_parameter(method.path), evidence.address.path}:
        for verb in {method.http_method.replace("ANY", "*"), evidence.verb}:
            yield ctx.arn("execute-api", f"{stage}/{verb}{path}")


def _permits(statement: Mapping[str, Any], arn: str) -> bool:
    """Return whether a statement of the function's policy lets API Gateway call it."""
    principal = statement.get("Principal", {})
    services = "*" if principal == "*" else principal.get("Service", principal.get("AWS", ""))
    for_gateway = {"*", SERVICE_PRINCIPALS["apigateway"]} & set(_several(services))
    actions = [action.lower() for action in _several(statement.get("Action", ""))]
    invokes = any(fnmatchcase("lambda:invokefunction", action) for action in actions)
    if statement.get("Effect") != "Allow" or not for_gateway or not invokes:
        return False
    for condition in statement.get("Condition", {}).values():
        for key, patterns in condition.items():
            if key.lower() == "aws:sourcearn":
                globs = [re.sub(r"([\[\]])", r"[\1]", one) for one in _several(patterns)]
                if not any(fnmatchcase(arn, one) for one in globs):
                    return False
            account = arn.split(":")[4]
            if key.lower() == "aws:sourceaccount" and account not in _several(patterns):
                return False
    return True


def _several(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
