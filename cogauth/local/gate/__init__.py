"""Let in to the local AWS only its owner, by signature, except where AWS needs no signature.

Its functions run as the user, so anyone who may create one can run code as the user. Few requests
need no signature (``rules.is_open`` lists them). The gate checks all others: ministack itself
accepts any signature with its account's own key, and some of its paths need none.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from cogauth.local import hooks
from cogauth.local.gate import rules
from cogauth.local.gate.requests import RefusedError, Request, check_host, check_object
from cogauth.printable import one_line

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# The maximum sizes of unsigned bodies, in bytes: API Gateway's limit for calls of deployed APIs,
# and more than any of Cognito's unsigned operations needs.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_CALL, MAX_OPEN = 10 << 20, 256 << 10
LOGGED = 200

logger = logging.getLogger("cogauth.gate")

_refusal = hooks.called("app._credential_failure", "service iam_action request_id denied headers")
_error = hooks.called("core.iam_evaluator.AuthError", "code message details")


class Gate:
    """The ASGI application in front of ministack's."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # cogauth needs no WebSockets.
            logger.warning("Refused: a WebSocket")
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = None
        try:
            request = Request.of(scope)
            receive, send = await self._admit(request, receive, send)
        except RefusedError as refused:
            await self._refuse(request, refused, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, request: Request, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Check a request, and return how to receive and send for it. Raises RefusedError."""
        check_host(request)
        if request.calls_api:
            return _again(await _body(receive, MAX_CALL), receive), send
        send = _without_cors(send)
        if rules.is_open(request):
            # A small compressed body can expand to any size.
            if "content-encoding" in request.headers:
                raise RefusedError(None, "a compressed body needs a signature")
            body = await _body(receive, MAX_OPEN)
            if request.method == "POST":
                check_object(body)
            return _again(body, receive), send
        if "origin" in request.headers:
            raise RefusedError(None, "a web page may only call deployed APIs")
        signer = rules.find_signer(request)
        body = await _body(receive)
        rules.check_signature(request, signer, body)
        return _again(body, receive), send

    async def _refuse(self, request: Request | None, refused: RefusedError, send: Send) -> None:
        target = request.headers.get("x-amz-target", "") if request else ""
        what = f"{request.method} {request.path} {target}" if request else "a request"
        why = one_line(str(refused))[:LOGGED]
        logger.warning("Refused: %s: %s", one_line(what.strip())[:LOGGED], why)
        status, headers = refused.status, {"Content-Type": "text/plain"}
        body = f"Refused: {refused}\n".encode()
        if request and refused.code:
            service = rules.service_of(request, dict(request.query))
            error = _error(refused.code, str(refused))
            status, headers, body = _refusal(service, "", str(uuid.uuid4()), error, request.headers)
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        sent += [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})


def _without_cors(send: Send) -> Send:
    """Wrap ``send`` to drop CORS headers, because ministack lets web pages read everything."""

    async def without(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = message.get("headers", [])
            kept = [one for one in sent if not one[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return without


async def _body(receive: Receive, limit: int | None = None) -> bytes:
    """Return a request's body. Raises RefusedError past ``limit`` bytes, or if it ends early."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(None, "it ended early")
        body += message.get("body", b"")
        if limit is not None and len(body) > limit:
            raise RefusedError(None, f"its body has more than {limit} bytes", 413)
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again
