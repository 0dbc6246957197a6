"""Who may come in to the local AWS: its owner, by a signature; everyone, where AWS asks for none.

Functions there run as the user, so whoever may make one runs code as the user. Few requests need no
signature (``Checker.is_open`` lists them). The gate checks all others: ministack itself takes any
signature made with its account's own key, and some of its paths ask for none.

Signatures: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import ipaddress
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from cogauth.aws.environment import Keys
from cogauth.local import hooks
from cogauth.printable import one_line

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ACCOUNT = "000000000000"
HEALTH = "/_ministack/health"
COGNITO = "AWSCognitoIdentityProviderService."
ALGORITHM = "AWS4-HMAC-SHA256"
# A deployed API, as ministack and LocalStack spell its URL.
API_CALL = re.compile(r"/restapis/[^/]+/[^/]+/_user_request_(/.*)?", re.DOTALL)
WELL_KNOWN = re.compile(r"/([\w-]+)/\.well-known/(jwks\.json|openid-configuration)", re.ASCII)
# If one of these came twice, the gate and ministack could take different ones.
SINGLE = ("host", "authorization", "origin", "x-amz-date", "x-amz-security-token", "x-amz-target")
# A part of a query that is, or may be taken for, somebody's credentials.
QUERY_CREDENTIALS = re.compile(r"x-amz-(algorithm|credential|signature)|awsaccesskeyid|signature")
SIGNATURE, TIME = re.compile("[0-9a-f]{64}"), re.compile(r"\d{8}T\d{6}Z", re.ASCII)
NOT_NORMAL = re.compile(r"//|/\.{1,2}(/|\Z)")
FORM = "x-www-form-urlencoded"
# What ministack serves before it asks IAM.
OWN_PAGES = re.compile(r"/(_[^/]*|oauth2|login|logout|saml2|health|latest|\.well-known)(/|\Z)")
# The longest that a signed URL may be good for, in seconds; and the most that an unsigned body may
# have, in bytes: API Gateway's own limit, and more than any of Cognito's unsigned operations needs.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_EXPIRES = 604800
MAX_CALL, MAX_OPEN = 10 << 20, 256 << 10
LOGGED = 200

logger = logging.getLogger("cogauth.gate")


class RefusedError(Exception):
    """A request that may not come in.

    Attributes:
        code: AWS's for a failed authentication; None where AWS has none for it.
        status: the answer's, where there is no code.
    """

    def __init__(self, code: str | None, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Request:
    """The head of an HTTP request; the headers' names are in lower case."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, scope: Message) -> "Request":
        """Read one. Raises RefusedError if it could be read in two ways."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers and name in SINGLE:
                raise RefusedError(None, f"it has the header {name} twice")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return cls(
            scope["method"],
            scope["path"],
            (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers,
        )

    @property
    def calls_api(self) -> bool:
        """Whether it is for a deployed API, which says itself what it asks for."""
        return API_CALL.fullmatch(self.path) is not None

    def parameter(self, name: str) -> str:
        """Return a parameter of the query; empty if it isn't there."""
        return next(iter(self.query.get(name, [])), "")

    @property
    def has_credentials(self) -> bool:
        """Whether anything in it may be taken for a signature."""
        return "authorization" in self.headers or any(
            QUERY_CREDENTIALS.fullmatch(name.lower()) for name in self.query
        )


def install(keys: Keys) -> None:
    """Let ministack know the account's own keys, and take no others for them. Raises HookError.

    Args:
        keys: of the account's root.
    """
    for place in ("core.iam_evaluator", "services.sts"):
        # Of these ministack checks no signature. Without a key is what AWS serves unsigned.
        hooks.replace(f"{place}.is_root_access_key", "access_key_id", lambda _: _is_empty)
    register = hooks.function("services.sts.register_session", "access_key session")

    def make_known() -> None:
        # A session that never ends is one more key whose signatures are checked everywhere.
        session = {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": keys.secret_access_key,
        }
        register(keys.access_key_id, session)

    def keeping(own: Callable[[], None]) -> Callable[[], None]:
        def reset() -> None:
            own()
            make_known()

        return reset

    make_known()
    hooks.replace("services.sts.reset", "", keeping)
    hooks.replace("app._request_account_scope", "access_key_id", _without_numbers)
    for place in ("core.lambda_runtime", "services.lambda_svc"):
        hooks.replace(
            f"{place}.execution_credentials", "config", lambda own: _with_secret(own, keys)
        )


def _is_empty(access_key_id: str) -> bool:
    return not access_key_id


def _without_numbers(own: Callable[[str], str]) -> Callable[[str], str]:
    """Return which account a key acts in; ministack takes a number for the account itself."""

    def account_of(access_key_id: str) -> str:
        return "" if access_key_id.isdecimal() else own(access_key_id)

    return account_of


def _with_secret(
    own: Callable[[dict[str, Any]], dict[str, str]], keys: Keys
) -> Callable[[dict[str, Any]], dict[str, str]]:
    """Return a function that gives a Lambda function the credentials of its role.

    Ministack makes them of the function's and the role's ARN, which anyone can guess. The account
    and the region are still read from the ARN's beginning.
    """

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        arn = f"{config.get('FunctionArn', '')}:{keys.secret_access_key}"
        return own({**config, "FunctionArn": arn})

    return execution_credentials


class Signer(NamedTuple):
    """Who says to have signed a request: the parts of the signature, and the key's own."""

    parsed: Any
    credential: Any
    presigned: bool


class Gate:
    """The ASGI application in front of ministack's."""

    def __init__(self, app: App) -> None:
        """Stand in front of it. Raises HookError."""
        self._app = app
        self._refusal = hooks.function(
            "app._credential_failure", "service iam_action request_id denied headers"
        )
        self._error = hooks.function("core.iam_evaluator.AuthError", "code message details")
        self._check = Checker()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            # Nothing of cogauth's needs one.
            logger.warning("Refused: a WebSocket")
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        request = None
        try:
            request = Request.of(scope)
            receive, send = await self._admit(request, receive, send)
        except RefusedError as refused:
            await self._refuse(request, refused, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, request: Request, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Return the ways in which a request that may come in is served. Raises RefusedError."""
        _check_host(request)
        if request.calls_api:
            return _again(await _body(receive, MAX_CALL), receive), send
        send = _without_cors(send)
        if self._check.is_open(request):
            # A small body can be inflated to any size.
            if "content-encoding" in request.headers:
                raise RefusedError(None, "a compressed body needs a signature")
            body = await _body(receive, MAX_OPEN)
            if request.method == "POST":
                _check_object(body)
            return _again(body, receive), send
        if "origin" in request.headers:
            raise RefusedError(None, "a web page may only call deployed APIs")
        signer = self._check.signer(request)
        body = await _body(receive)
        self._check.signature(request, signer, body)
        return _again(body, receive), send

    async def _refuse(self, request: Request | None, refused: RefusedError, send: Send) -> None:
        target = request.headers.get("x-amz-target", "") if request else ""
        what = f"{request.method} {request.path} {target}" if request else "a request"
        why = one_line(str(refused))[:LOGGED]
        logger.warning("Refused: %s: %s", one_line(what.strip())[:LOGGED], why)
        status, headers, body = (
            refused.status,
            {"Content-Type": "text/plain"},
            f"Refused: {refused}\n".encode(),
        )
        if request and refused.code:
            service = self._check.service(request, dict(request.query))
            error = self._error(refused.code, str(refused))
            status, headers, body = self._refusal(
                service, "", str(uuid.uuid4()), error, request.headers
            )
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        sent += [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})


class Checker:
    """Decides by ministack's own knowledge: its pools, its keys, its signing."""

    def __init__(self) -> None:
        """Look for all that is needed of ministack's. Raises HookError."""
        sigv4 = "core.sigv4"
        self._pool = hooks.function("services.cognito._get_pool_unscoped", "pool_id")
        self._unsigned = hooks.function("core.iam_actions.unsigned_operations", "service")
        self._account = hooks.function("app._request_account_scope", "access_key_id")
        self._set_account = hooks.function("core.responses.set_request_account_id", "access_key_id")
        self._get_account = hooks.function("core.responses.get_account_id", "")
        self._ambiguous: Any = hooks.value("core.iam_evaluator.AmbiguousAccessKeyError", type)
        self._credential = hooks.function(
            "core.iam_evaluator.resolve_credential", "access_key_id account_id session_token"
        )
        self._header = hooks.function(f"{sigv4}.parse_header_signature", "headers")
        self._query = hooks.function(f"{sigv4}.parse_query_signature", "query_params")
        self._skew = hooks.function(f"{sigv4}.request_time_failure", "signature now")
        self._expired = hooks.function(
            f"{sigv4}.presigned_request_is_expired", "amz_date expires now"
        )
        self._service = hooks.function(
            "core.router.detect_service", "method path headers query_params"
        )
        self._action = hooks.function(
            "core.iam_actions.extract_iam_action", "service method path headers body query_params"
        )
        self._failure = hooks.function(
            f"{sigv4}.header_signature_failure",
            "signature secret method raw_path query_params headers body presigned explain",
        )

    def service(self, request: Request, parameters: dict[str, Any]) -> Any:
        """Return the name of the service that ministack gives it to."""
        return self._service(request.method, request.path, request.headers, parameters)

    def is_open(self, request: Request) -> bool:
        """Whether AWS asks for no signature; a request that has one anyway is not open."""
        if request.has_credentials:
            return False
        if request.method == "GET":
            if request.path == HEALTH:
                return True
            known = WELL_KNOWN.fullmatch(request.path)
            return known is not None and self._pool(known[1]) is not None
        target = request.headers.get("x-amz-target", "")
        return (
            (request.method, request.path, dict(request.query)) == ("POST", "/", {})
            and target.startswith(COGNITO)
            and target.removeprefix(COGNITO) in self._unsigned("cognito-idp")
        )

    def signer(self, request: Request) -> Signer:
        """Return who says to have signed a request. Raises RefusedError if nobody can have."""
        if not request.has_credentials:
            raise RefusedError("MissingAuthenticationToken", "Missing Authentication Token")
        algorithm, _, _ = request.headers.get("authorization", "").partition(" ")
        presigned = "authorization" not in request.headers
        if presigned:
            algorithm = request.parameter("X-Amz-Algorithm")
        if algorithm != ALGORITHM:
            raise RefusedError("UnsupportedSignature", f"Only {ALGORITHM} is taken here.")
        query = dict(request.query)
        parsed = self._query(query) if presigned else self._header(request.headers)
        if isinstance(parsed, tuple):
            raise RefusedError(*parsed)
        _check_signed(request, parsed)
        self._check_time(request, parsed, presigned=presigned)
        token = (
            request.parameter("X-Amz-Security-Token")
            if presigned
            else request.headers.get("x-amz-security-token", "")
        )
        return Signer(parsed, self._resolve(parsed.access_key_id, token), presigned)

    def signature(self, request: Request, signer: Signer, body: bytes) -> None:
        """Check a request's signature, and what others than the root may do by it.

        Raises:
            RefusedError: it is wrong, or they may not.
        """
        failure = self._failure(
            signer.parsed,
            signer.credential.secret_access_key,
            request.method,
            request.raw_path,
            dict(request.query),
            request.headers,
            body,
            presigned=signer.presigned,
        ) or _body_failure(request, body)
        if failure:
            raise RefusedError(*failure)
        if signer.credential.principal_type != "Root":
            self._check_action(request, body)

    def _check_action(self, request: Request, body: bytes) -> None:
        """See that ministack will ask IAM about this: it lets pass what it can't name.

        It looks for an action in a form first, whatever else the request says, and in a query. So
        a form is sent where forms are, and a query names none.

        Raises:
            RefusedError: it wouldn't.
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
        service = self.service(request, parameters)
        head = (service, request.method, request.path, request.headers)
        if self._action(*head, body, parameters) is None:
            raise denied

    def _check_time(self, request: Request, parsed: Any, *, presigned: bool) -> None:
        expires = request.parameter("X-Amz-Expires") if presigned else ""
        try:
            if not expires:
                failure = self._skew(parsed)
            elif not 0 < int(expires) <= MAX_EXPIRES or self._expired(parsed.amz_date, expires):
                failure = "SignatureDoesNotMatch", "Request has expired"
            else:
                failure = None
        except (ValueError, OverflowError):
            failure = "SignatureDoesNotMatch", "Its time is none."
        if failure:
            raise RefusedError(*failure)

    def _resolve(self, key: str, token: str) -> Any:
        """Return a key's credential, and have it act in the account that is its own."""
        unknown = RefusedError(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
        if not key:
            raise unknown
        try:
            self._set_account(self._account(key))
        except self._ambiguous:
            raise unknown from None
        found = self._credential(key, self._get_account(), token)
        if not hasattr(found, "secret_access_key"):
            # AWS takes a session's key without its token for an unknown one.
            raise RefusedError(found.code, found.message) if token else unknown
        return found


def _body_failure(request: Request, body: bytes) -> tuple[str, str] | None:
    """Say what is wrong if the body isn't the one whose hash was signed."""
    signed = request.headers.get("x-amz-content-sha256", "")
    if re.fullmatch("[0-9a-f]{64}", signed) and signed != hashlib.sha256(body).hexdigest():
        return "SignatureDoesNotMatch", "The body is not the one that was signed."
    return None


def _check_signed(request: Request, parsed: Any) -> None:
    """See that what was signed can be read in one way, and that all that matters was signed.

    AWS too wants Host and every x-amz- header to be signed; else they could be changed, or given to
    a request that was caught. The path must be in normal form, except for S3.

    Raises:
        RefusedError: it isn't so.
    """
    wrong = None
    signed = parsed.signed_headers.lower().split(";")
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if not SIGNATURE.fullmatch(parsed.signature) or not TIME.fullmatch(parsed.amz_date):
        wrong = "Its signature or its time is malformed."
    elif needed - set(signed):
        wrong = "There were headers present in the request which were not signed"
    elif parsed.service != "s3" and NOT_NORMAL.search(request.raw_path):
        wrong = "Its path is not in normal form."
    if wrong:
        raise RefusedError("SignatureDoesNotMatch", wrong)


def _check_object(body: bytes) -> None:
    """See that a body is a JSON object. Raises RefusedError."""
    try:
        is_object = isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise RefusedError(None, "its body is no JSON object", 400)


def _check_host(request: Request) -> None:
    """Let in what was sent to this machine by its own name.

    A page whose name was bound to 127.0.0.1 after it was loaded (DNS rebinding) has the name in
    Host, and no Origin in what it reads from there. Raises RefusedError.
    """
    name = re.sub(r":\d+\Z", "", request.headers.get("host", "")).lower()
    if name == "localhost":
        return
    try:
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        if address.is_loopback and "%" not in name:
            return
    except ValueError:
        pass
    raise RefusedError(None, "its Host is no name of this machine's own, as 127.0.0.1")


def _without_cors(send: Send) -> Send:
    """Return a way to send that drops what lets web pages read: ministack lets them read all."""

    async def without(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": headers}
        await send(message)

    return without


async def _body(receive: Receive, limit: int | None = None) -> bytes:
    """Return a request's body.

    Args:
        receive: what gives it.
        limit: the most that it may have, in bytes.

    Raises:
        RefusedError: it has more, or the client has gone.
    """
    parts: list[bytes] = []
    left = limit
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(None, "it ended early")
        parts.append(message.get("body", b""))
        if left is not None:
            left -= len(parts[-1])
            if left < 0:
                raise RefusedError(None, f"its body has more than {limit} bytes", 413)
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a way to receive that gives a body that was received before."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again
