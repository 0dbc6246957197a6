"""The console's "Enable CORS": preflight methods and headers on the gateway's refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cogauth import cors
from cogauth.aws.answers import Field, Live, deleted
from cogauth.aws.policies import REST_API, Purpose, allow
from cogauth.steps.base import Change, Resource
from cogauth.steps.methods import METHODS, Integration, Method
from cogauth.steps.rest_api import JSON, present

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.policies import Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

# How long a browser may cache a preflight's answer, in seconds; a change takes as long to reach a
# page. Chromium's limit is 7200.
MAX_AGE_S = 600
ORIGIN_HEADER = f"gatewayresponse.header.{cors.ALLOW_ORIGIN}"
# API Gateway's default responses.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
DEFAULT_STATUS = {"UNAUTHORIZED": "401", "ACCESS_DENIED": "403"}
DEFAULT_TEMPLATES: dict[str, str] = {JSON: '{"message":$context.error.messageString}'}


class Preflight(Method):
    """A path's OPTIONS method: browsers call it without a token, and API Gateway answers it."""

    http_method = "OPTIONS"

    def __init__(self, path: str, http_method: str) -> None:
        self.key = f"{path}_preflight"
        self.resource = f"{path}_resource"
        self.depends_on = (self.resource,)
        self.fixed_headers = {
            "Access-Control-Allow-Methods": f"OPTIONS,{http_method}",
            "Access-Control-Allow-Headers": "Authorization,Content-Type",
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }
        self.headers = (*Method.headers, *self.fixed_headers)
        self.answer = PreflightAnswer(self)

    def permissions(self, settings: Settings) -> Permissions:
        own, answer = super().permissions(settings), self.answer.permissions(settings)
        return {
            **own,
            Purpose.CHANGE: own[Purpose.CHANGE] + answer[Purpose.CHANGE],
            Purpose.DELETE: (allow(METHODS, "apigateway:DELETE"),),
        }

    def authorization(self, ctx: Context) -> dict[str, Any]:
        return {"authorizationType": "NONE"}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        yield from super().changes(ctx, live)
        yield from self.answer.changes(ctx, live.get("methodIntegration") or {})

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        answers = (live.get("methodIntegration") or {}).get("integrationResponses") or {}
        origins = cors.origins_of(answers.get("200", {}))
        return {"cors_origins": origins} if origins else {}

    def delete(self, ctx: Context, record: Record) -> bool:
        return deleted(lambda: ctx.aws.apigateway.delete_method(**self.address(ctx)))


class PreflightAnswer(Integration):
    """A preflight's integration: it answers only with headers."""

    method: Preflight

    def __init__(self, method: Preflight) -> None:
        self.method = method

    def responses(self) -> dict[str, dict[str, Any]]:
        headers = self.method.fixed_headers.items()
        parameters = {f"{cors.PARAMETER}{name}": f"'{value}'" for name, value in headers}
        return {"200": {"responseParameters": parameters}}


class GatewayResponse(Resource):
    """One type of the gateway's own responses, such as the guard's 401, made readable for pages.

    Only a header is set. Its value is either fixed or the request's Origin, which would admit every
    page; so with several origins it isn't set.
    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
    """

    parent = "rest_api"
    outdates = ("deployment",)

    def __init__(self, response_type: Any) -> None:
        self.type = response_type
        self.key = f"{response_type.lower()}_response"

    def permissions(self, settings: Settings) -> Permissions:
        one = f"{REST_API}/gatewayresponses/{self.type}"
        put = (allow(one, "apigateway:PUT"),)
        return {
            Purpose.FIND: (allow(one, "apigateway:GET"),),
            Purpose.CREATE: put,
            Purpose.CHANGE: put,
            Purpose.DELETE: (allow(one, "apigateway:PUT", "apigateway:DELETE"),),
        }

    def _place(self, ctx: Context) -> dict[str, Any]:
        return {"restApiId": ctx.fact("rest_api"), "responseType": self.type}

    def _live(self, ctx: Context) -> dict[str, Any]:
        """Return it as somebody set it; empty if it is API Gateway's default or inherited."""
        live = present(ctx.aws.apigateway.get_gateway_response, **self._place(ctx))
        return {} if live is None or live.get("defaultResponse") else dict(live)

    def _put(self, ctx: Context, live: Live, headers: dict[str, str]) -> Live:
        kept = {key: live[key] for key in ("statusCode", "responseTemplates") if live.get(key)}
        return ctx.aws.apigateway.put_gateway_response(
            **self._place(ctx), **kept, responseParameters=self._others(live) | headers
        )

    def _others(self, live: Live) -> dict[str, str]:
        headers = live.get("responseParameters") or {}
        return {name: value for name, value in headers.items() if name != ORIGIN_HEADER}

    def create(self, ctx: Context) -> Live:
        return self._put(ctx, self._live(ctx), {ORIGIN_HEADER: self._origin(ctx)})

    def _origin(self, ctx: Context) -> str:
        return f"'{cors.fixed_origin(ctx.state.settings.cors_origins)}'"

    def read(self, ctx: Context, record: Record) -> Live | None:
        live = self._live(ctx)
        return live if ORIGIN_HEADER in (live.get("responseParameters") or {}) else None

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": self.type}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        present, wanted = live["responseParameters"][ORIGIN_HEADER], self._origin(ctx)
        if present != wanted:
            path = f"responseParameters.{ORIGIN_HEADER}"
            yield Change(lambda: self.create(ctx), (Field(path, present, wanted),))

    def delete(self, ctx: Context, record: Record) -> bool:
        """Remove the header; delete the whole response if nobody set anything else in it."""
        live = self._live(ctx)
        if not live:
            return False
        others = self._others(live)
        status = live.get("statusCode") or DEFAULT_STATUS.get(self.type)
        templates = live.get("responseTemplates") or DEFAULT_TEMPLATES
        if others or (status, templates) != (DEFAULT_STATUS.get(self.type), DEFAULT_TEMPLATES):
            return bool(self._put(ctx, live, {}))
        return deleted(lambda: ctx.aws.apigateway.delete_gateway_response(**self._place(ctx)))


SIGN_IN_PREFLIGHT = Preflight("sign_in", "POST")
HELLO_PREFLIGHT = Preflight("hello", "GET")
GATEWAY_RESPONSES = tuple(
    GatewayResponse(each)
    for each in ("UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_4XX", "DEFAULT_5XX")
)
