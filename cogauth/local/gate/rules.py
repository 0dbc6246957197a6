"""Decide who may send which request to the local AWS, with ministack's pools, keys and signing.

Signatures: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from cogauth.local import hooks
from cogauth.local.gate.requests import RefusedError, Request

HEALTH = "/_ministack/health"
COGNITO = "AWSCognitoIdentityProviderService."
ALGORITHM = "AWS4-HMAC-SHA256"
WELL_KNOWN = re.compile(r"/([\w-]+)/\.well-known/(jwks\.json|openid-configuration)", re.ASCII)
SHA256, TIME = re.compile("[0-9a-f]{64}"), re.compile(r"\d{8}T\d{6}Z", re.ASCII)
NOT_NORMAL = re.compile(r"//|/\.{1,2}(/|\Z)")
FORM = "x-www-form-urlencoded"
# Paths that ministack serves without asking IAM.
OWN_PAGES = re.compile(r"/(_[^/]*|oauth2|login|logout|saml2|health|latest|\.well-known)(/|\Z)")
# The maximum lifetime of a signed URL, in seconds.
MAX_EXPIRES = 604800

_get_pool = hooks.called("services.cognito._get_pool_unscoped", "pool_id")
_unsigned = hooks.called("core.iam_actions.unsigned_operations", "service")
_account = hooks.called("app._request_account_scope", "access_key_id")
_set_account = hooks.called("core.responses.set_request_account_id", "access_key_id")
_get_account = hooks.called("core.responses.get_account_id", "")
_ambiguous = hooks.kept("core.iam_evaluator.AmbiguousAccessKeyError", type)
_credential = hooks.called(
    "core.iam_evaluator.resolve_credential", "access_key_id account_id session_token"
)
_parse_header = hooks.called("core.sigv4.parse_header_signature", "headers")
_parse_query = hooks.called("core.sigv4.parse_query_signature", "query_params")
_skew = hooks.called("core.sigv4.request_time_failure", "signature now")
_is_expired = hooks.called("core.sigv4.presigned_request_is_expired", "amz_date expires now")
_signature_failure = hooks.called(
    "core.sigv4.header_signature_failure",
    "signature secret method raw_path query_params headers body presigned explain",
)
_detect_service = hooks.called("core.router.detect_service", "method path headers query_params")
_find_action = hooks.called(
    "core.iam_actions.extract_iam_action", "service method path headers body query_params"
)


class Signer(NamedTuple):
    """The claimed signer of a request: the parts of the signature, and the key's credential."""

    parsed: Any
    credential: Any
    presigned: bool


def service_of(request: Request, parameters: dict[str, Any]) -> Any:
    """Return the name of the service that ministack routes a request to."""
    return _detect_service(request.method, request.path, request.headers, parameters)


def is_open(request: Request) -> bool:
    """Return whether AWS needs no signature, and the request has none."""
    if request.has_credentials:
        return False
    if request.method == "GET":
        if request.path == HEALTH:
            return True
        known = WELL_KNOWN.fullmatch(request.path)
        return known is not None and _get_pool(known[1]) is not None
    target = request.headers.get("x-amz-target", "")
    return (
        (request.method, request.path, dict(request.query)) == ("POST", "/", {})
        and target.startswith(COGNITO)
        and target.removeprefix(COGNITO) in _unsigned("cognito-idp")
    )


def find_signer(request: Request) -> Signer:
    """Return the claimed signer of a request. Raises RefusedError if the signature is unusable."""
    if not request.has_credentials:
        raise RefusedError("MissingAuthenticationToken", "Missing Authentication Token")
    presigned = "authorization" not in request.headers
    if presigned:
        algorithm = request.parameter("X-Amz-Algorithm")
        token = request.parameter("X-Amz-Security-Token")
    else:
        algorithm, _, _ = request.headers["authorization"].partition(" ")
        token = request.headers.get("x-amz-security-token", "")
    if algorithm != ALGORITHM:
        raise RefusedError("UnsupportedSignature", f"Only {ALGORITHM} is supported.")
    parsed = _parse_query(dict(request.query)) if presigned else _parse_header(request.headers)
    if isinstance(parsed, tuple):
        raise RefusedError(*parsed)
    _check_signed(request, parsed)
    _check_time(request, parsed, presigned=presigned)
    return Signer(parsed, _resolve(parsed.access_key_id, token), presigned)


def check_signature(request: Request, signer: Signer, body: bytes) -> None:
    """Check a request's signature, and the action unless it is root's. Raises RefusedError."""
    failure = _signature_failure(
        signer.parsed,
        signer.credential.secret_access_key,
        request.method,
        request.raw_path,
        dict(request.query),
        request.headers,
        body,
        presigned=signer.presigned,
    )
    signed = request.headers.get("x-amz-content-sha256", "")
    if SHA256.fullmatch(signed) and signed != hashlib.sha256(body).hexdigest():
        failure = failure or ("SignatureDoesNotMatch", "The body is not the one that was signed.")
    if failure:
        raise RefusedError(*failure)
    if signer.credential.principal_type != "Root":
        _check_action(request, body)


def _check_action(request: Request, body: bytes) -> None:
    """Raise RefusedError unless ministack will ask IAM, because it allows unknown actions.

    It looks for an action first in a form, whatever else the request contains, and in the query. So
    forms are only allowed where AWS uses them, and a query may not name an action.
    """
    denied = RefusedError("AccessDenied", "Only the account's root may send this request.")
    if OWN_PAGES.match(request.path):
        raise denied
    parameters, where = dict(request.query), (request.method, request.path)
    is_form = FORM in request.headers.get("content-type", "").lower()
    if "x-amz-target" in request.headers:
        if is_form or (*where, parameters) != ("POST", "/", {}):
            raise denied
    elif "Action" in parameters:
        raise denied
    elif is_form or where == ("POST", "/"):
        parameters |= parse_qs(body.decode("latin-1"), keep_blank_values=True)
        is_one = is_form and len(parameters.get("Action", [])) == 1
        if where != ("POST", "/") or not is_one or "content-encoding" in request.headers:
            raise denied
    service = service_of(request, parameters)
    head = (service, request.method, request.path, request.headers)
    if _find_action(*head, body, parameters) is None:
        raise denied


def _check_time(request: Request, parsed: Any, *, presigned: bool) -> None:
    expires = request.parameter("X-Amz-Expires") if presigned else ""
    try:
        if not expires:
            failure = _skew(parsed)
        elif not 0 < int(expires) <= MAX_EXPIRES or _is_expired(parsed.amz_date, expires):
            failure = "SignatureDoesNotMatch", "Request has expired"
        else:
            failure = None
    except (ValueError, OverflowError):
        failure = "SignatureDoesNotMatch", "Its time is invalid."
    if failure:
        raise RefusedError(*failure)


def _resolve(key: str, token: str) -> Any:
    """Return a key's credential, and switch to the key's account."""
    why = "The security token included in the request is invalid."
    unknown = RefusedError("UnrecognizedClientException", why)
    if not key:
        raise unknown
    try:
        _set_account(_account(key))
    except _ambiguous():
        raise unknown from None
    found = _credential(key, _get_account(), token)
    if not hasattr(found, "secret_access_key"):
        # AWS treats a session's key without its token as unknown.
        raise RefusedError(found.code, found.message) if token else unknown
    return found


def _check_signed(request: Request, parsed: Any) -> None:
    """Raise RefusedError if the signature is ambiguous or doesn't cover everything that matters.

    Like AWS, require Host and every x-amz- header to be signed; otherwise someone could change them
    or add them to a captured request. Except for S3, the path must be in normal form.
    """
    wrong = None
    signed = parsed.signed_headers.lower().split(";")
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if not SHA256.fullmatch(parsed.signature) or not TIME.fullmatch(parsed.amz_date):
        wrong = "Its signature or its time is malformed."
    elif needed - set(signed):
        wrong = "There were headers present in the request which were not signed"
    elif parsed.service != "s3" and NOT_NORMAL.search(request.raw_path):
        wrong = "Its path is not in normal form."
    if wrong:
        raise RefusedError("SignatureDoesNotMatch", wrong)
