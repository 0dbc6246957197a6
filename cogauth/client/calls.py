"""Requests to an API's methods: sent with a token, by API Gateway's test, or shown as curl."""

from __future__ import annotations

import codecs
import json
import re
import shlex
import time
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from requests.utils import requote_uri
from urllib3.util import parse_url

from cogauth.aws.answers import NOT_FOUND, code_of, message_of
from cogauth.aws.errors import translate
from cogauth.aws.policies import OTHER_API, REST_API, allow
from cogauth.client.transport import http_session, request, strict_json
from cogauth.errors import CogauthError, UsageError
from cogauth.gateway import rest_apis, routing
from cogauth.printable import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cogauth.context import Context
    from cogauth.gateway.rest_apis import LiveMethod

# The statuses with which emulators refuse an unknown operation.
NO_SUCH_OPERATION = {404, 405, 501}
# Headers that a caller may not set, because they frame the request or redirect it.
CLIENTS_OWN = {
    *("connection", "content-length", "expect", "host", "proxy-authorization"),
    "transfer-encoding",
}


@dataclass(frozen=True)
class Call:
    """A checked request without its token: a path below the stage, headers, and a JSON body."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the path and the headers; raise UsageError."""
        if not self.path.startswith("/"):
            raise UsageError(
                f"The path {self.path!r} is invalid",
                hint=(
                    "Give the part after the stage, such as /hello or '/items?page=2'. To call "
                    "another API, use --api and --stage, not a URL."
                ),
            )
        if not self.path.isprintable():
            raise UsageError("The path is invalid: it contains a control character.")
        parts = unquote(self.path.partition("?")[0]).split("/")
        if "#" in self.path or {".", ".."} & set(parts):
            raise UsageError(
                f"The path {self.path!r} is invalid: '#' only means something to browsers, and a "
                "part '.' or '..' would leave the stage.",
                hint="Write '#' in a value as %23.",
            )
        if self.method == "HEAD" and self.body is not None:
            raise UsageError("HEAD takes no --data", hint="Leave it out, or give another method.")


def parse_headers(given: tuple[str, ...]) -> dict[str, str]:
    """Parse headers in the form ``Name: value``; raise UsageError if one can't be sent."""
    headers: dict[str, str] = {}
    for line in given:
        name, colon, value = line.partition(":")
        # https://www.rfc-editor.org/rfc/rfc9110#name-tokens
        if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            shown = repr(name) if colon else "without a colon"
            raise UsageError(f"The header {shown} is invalid", hint="Give it as 'Name: value'.")
        value = value.strip(" \t")
        if name.lower() == "authorization":
            raise UsageError(
                "The header Authorization carries the token",
                hint="Leave it out. --username and --type choose the token, --no-token sends none.",
            )
        if name.lower() in CLIENTS_OWN:
            raise UsageError(
                f"The header {name} can't be given: the client sets it, because it controls how "
                "and where the request is sent.",
                hint="Leave it out.",
            )
        if name.lower() in {known.lower() for known in headers}:
            raise UsageError(f"The header {name} was given twice", hint="Give it once.")
        # A line break would begin another header.
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or not value.isascii():
            raise UsageError(
                f"The value of the header {name} is invalid: it contains a control character, such "
                "as a line break, or a non-ASCII character, which clients send in different ways."
            )
        headers[name] = value
    return headers


@dataclass(frozen=True)
class Destination:
    """An API and the stage to call."""

    api: str
    stage: str
    variables: Mapping[str, str] = field(default_factory=dict)


# What ``find_destination`` needs, and ``console_test``.
FIND = (
    *(rest_apis.CHECK_OWN, rest_apis.FIND_API, rest_apis.EXISTING),
    *(rest_apis.reading(api, "stages") for api in (REST_API, OTHER_API)),
)
TEST = tuple(
    one
    for api in (REST_API, OTHER_API)
    for one in (
        rest_apis.reading(api, "resources"),
        allow(f"{api}/resources/*/methods/*", "apigateway:POST"),
    )
)


def find_destination(ctx: Context, api: str | None, stage: str | None) -> Destination:
    """Return the stack's own API and stage, or others in the same account and region.

    ``api`` is an id or a name; None means the stack's own. The default ``stage`` is the stack's
    own, for other APIs the attached one or the only one. Raises UsageError if none or several
    match, CogauthError if the recorded API belongs to another stack.
    """
    own, own_stage = ctx.fact("rest_api"), ctx.state.settings.stage
    if api is None:
        rest_apis.check_own(ctx)
    found = {"id": own} if api is None else rest_apis.find_api(ctx, api)
    id_ = found["id"]
    if id_ == own and stage in {None, own_stage}:
        return Destination(own, own_stage)
    with rest_apis.existing(ctx, id_):
        stages = rest_apis.stages(ctx, id_)
    chosen = rest_apis.choose_stage(found, stages, stage, ctx.state.stages_of(id_))
    return Destination(id_, chosen["stageName"], chosen.get("variables") or {})


@dataclass(frozen=True)
class Response:
    """The response to a call.

    Attributes:
        elapsed_ms: the time until it was complete; for API Gateway's test, the latency it reports.
        log: the test's execution log.
        as_any: whether the test called the resource's ANY method, without a specific verb.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int
    log: str | None = None
    as_any: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether ``explain`` may find out why: the call was refused, or broke."""
        return (
            self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )

    def document(self) -> Any:
        """Parse the body as JSON, or raise ValueError."""
        return strict_json(self.body.decode())


def url_of(ctx: Context, place: Destination, path: str) -> str:
    """Return the URL of a path, percent-encoded where needed."""
    # Encode it like requests and urllib3, so that the output and curl use the same URL.
    return parse_url(requote_uri(ctx.url(path, api=place.api, stage=place.stage))).url


def send(ctx: Context, place: Destination, call: Call, token: str | None) -> Response:
    """Send the request to the deployed API; raise LoginError if no answer came."""
    url = url_of(ctx, place, call.path)
    with http_session(url, ctx.aws) as http:
        begun = time.monotonic()
        headers = dict(call.headers)
        got = request(http, call.method, url, token=token, data=call.body, headers=headers)
        elapsed_ms = round((time.monotonic() - begun) * 1000)
    return Response(got.status_code, got.reason, got.headers, got.content, elapsed_ms)


def console_test(ctx: Context, place: Destination, call: Call) -> Response:
    """Let API Gateway call the method, as the console's TEST button does.

    The test skips the authorizer, sends no token, and calls the current method, deployed or not.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-test-method.html

    Raises UsageError if the API has no such method or was deleted, CogauthError if an emulator
    doesn't support the test, and ClientError if AWS refuses.
    """
    with rest_apis.existing(ctx, place.api):
        return _tested(ctx, place, call)


def _tested(ctx: Context, place: Destination, call: Call) -> Response:
    method = _find_method(ctx, place.api, call)
    invoke = partial(
        # Don't retry: the call may take effect even if its answer gets lost.
        ctx.aws.apigateway_once.test_invoke_method,
        restApiId=place.api,
        resourceId=method.resource_id,
        pathWithQueryString=call.path,
        headers=dict(call.headers),
        stageVariables=dict(place.variables),
        # The API treats an empty body like none.
        body=(call.body or b"").decode(),
    )
    as_any = False
    try:
        try:
            got = invoke(httpMethod=call.method)
        except ClientError as error:
            # AWS doesn't document whether a resource's ANY covers each verb here.
            if method.http_method != "ANY" or not _is_no_such_method(error):
                raise
            got, as_any = invoke(httpMethod="ANY"), True
    except (ClientError, ResponseParserError) as error:
        if ctx.aws.endpoint_url and _is_unknown_operation(error):
            raise CogauthError(
                f"The endpoint {ctx.aws.endpoint_url} doesn't support TestInvokeMethod "
                f"({translate(error)}).",
                hint="Leave out --test-invoke to call the deployed stage.",
            ) from error
        raise
    return Response(
        status=got["status"],
        reason="",
        headers=got.get("headers") or {},
        body=(got.get("body") or "").encode(),
        elapsed_ms=got["latency"],
        log=got.get("log") or "",
        as_any=as_any,
    )


def _is_no_such_method(error: ClientError) -> bool:
    # API Gateway's "Invalid Method identifier specified".
    return code_of(error) in NOT_FOUND and "identifier specified" in message_of(error)


def _is_unknown_operation(error: ClientError | ResponseParserError) -> bool:
    if isinstance(error, ResponseParserError):
        return True
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status in NO_SUCH_OPERATION and not _is_no_such_method(error)


def _find_method(ctx: Context, api: str, call: Call) -> LiveMethod:
    path = call.path.partition("?")[0]
    by_path: dict[str, dict[str, LiveMethod]] = {}
    methods = rest_apis.methods(ctx, api)
    for each in methods:
        by_path.setdefault(each.path, {})[each.http_method] = each
    _, method = routing.route(by_path, call.method, path)
    if method is None:
        there = shortened(each.name for each in methods)
        raise UsageError(
            f"The API {api} has no {call.method} {path}. Its methods: {there or 'none'}."
        )
    return method


def curl(
    ctx: Context, place: Destination, call: Call, data: str | None, token_command: str | None
) -> str:
    """Return the curl command for the request, for a POSIX shell and without the token.

    ``data`` is the argument of ``--data-binary``: JSON, or ``@`` and a file. ``token_command``
    prints the token's header for curl to read. Either may be None.
    """
    words = ["curl", "-sS"]
    usual = "GET" if data is None else "POST"
    if call.method == "HEAD":
        words.append("--head")
    elif call.method != usual:
        words += ["-X", call.method]
    if token_command is not None:
        words += ["-H", "@-"]
    for name, value in call.headers.items():
        # "Name:" would remove curl's own header of that name.
        words += ["-H", f"{name}: {value}" if value else f"{name};"]
    if data is not None:
        words += ["--data-binary", data]
    line = shlex.join([*words, url_of(ctx, place, call.path)])
    return line if token_command is None else f"{token_command} | {line}"


def with_json(headers: dict[str, str], data: bytes, source: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a request with JSON; see ``read_json``."""
    body = read_json(data, source)
    if "content-type" not in {name.lower() for name in headers}:
        headers = {**headers, "Content-Type": "application/json"}
    return headers, body


def read_json(data: bytes, source: str) -> bytes:
    """Return a request's body; raise UsageError, without quoting it, if it isn't JSON."""
    # JSON on the network must not begin with a byte order mark, which some editors write.
    # Source: https://www.rfc-editor.org/rfc/rfc8259#section-8.1
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        strict_json(data.decode())
    except json.JSONDecodeError as error:
        why = f"{error.msg}, line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except ValueError as error:
        why = str(error)
    else:
        return data
    # Not chained, because the parser's error contains the whole text.
    raise UsageError(f"{source} isn't JSON: {why}.")
