"""The console's Method Execution pages: methods, their integrations and responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cogauth import cors
from cogauth.aws.answers import Field, Live, differing, fields
from cogauth.aws.policies import REST_API, Purpose, allow
from cogauth.gateway.rest_apis import OPEN
from cogauth.steps.base import Change, Resource
from cogauth.steps.lambda_ import SIGN_IN
from cogauth.steps.rest_api import JSON, Authorizer, api_page, present

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.aws.policies import Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

# The sign-in function returns codes; API Gateway maps each to an HTTP status.
STATUS_BY_CODE = {
    "bad_request": 400,
    "invalid_username": 400,
    "invalid_password": 400,
    "invalid_refresh_token": 400,
    "password_policy": 400,
    "wrong_credentials": 401,
    "refresh_refused": 401,
    "user_disabled": 403,
    "user_unconfirmed": 403,
    "password_reset_required": 403,
    "new_password_required": 403,
    "mfa_required": 403,
    "challenge_required": 403,
    "sign_up_refused": 403,
    "not_authorized": 403,
    "throttled": 429,
    "locked_out": 429,
    "trigger_failed": 500,
    "trigger_denied": 500,
    "client_secret_refused": 500,
    "client_secret_unreadable": 500,
    "access_denied": 500,
    "timeout": 500,
    "unavailable": 500,
    "internal_error": 500,
}
# The last "*" stands for "/" as well: it includes a method's responses and its integration. Source:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
METHODS = f"{REST_API}/resources/*/methods/*"
# An integration without a back end.
MOCK: dict[str, Any] = {
    "type": "MOCK",
    "requestTemplates": {JSON: '{"statusCode": 200}'},
    "passthroughBehavior": "NEVER",
}
# The response when the function crashed or timed out, without its stack trace.
FUNCTION_FAILED = json.dumps(
    {
        "status": "fail",
        "msg": "The sign-in failed on the server's side. Try again in a moment.",
        "code": "internal_error",
    }
)


def response_template() -> str:
    """Return the template for the function's answer: it keeps the body and sets the status by code.

    An answer that isn't a success and has no known code doesn't come from the function's code: API
    Gateway passes an error on as a 200 with a stack trace, so the template replaces it.
    """
    by_status: dict[int, list[str]] = {}
    for code, status in STATUS_BY_CODE.items():
        by_status.setdefault(status, []).append(code)
    lines = ["#set($code = $input.path('$.code'))"]
    branch = "#if"
    for status, codes in sorted(by_status.items()):
        condition = " || ".join(f"$code == '{code}'" for code in codes)
        lines += [f"{branch}({condition})", f"#set($context.responseOverride.status = {status})"]
        lines += ["$input.json('$')"]
        branch = "#elseif"
    lines += ["#elseif($input.path('$.status') == 'success')", "$input.json('$')"]
    lines += ["#else", "#set($context.responseOverride.status = 500)", FUNCTION_FAILED, "#end"]
    return "\n".join(lines)


class Method(Resource):
    """A method and its possible statuses; subclasses define them."""

    parent = "rest_api"
    conflict = "ConflictException"
    outdates = ("deployment",)
    http_method: str
    resource: str
    # The headers that an integration response may set: API Gateway refuses one that the method
    # response doesn't declare. Declaring it sends nothing.
    headers: tuple[str, ...] = (cors.ALLOW_ORIGIN, cors.VARY)
    statuses: tuple[str, ...] = ("200",)

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (allow(METHODS, "apigateway:GET"),),
            Purpose.CREATE: (allow(METHODS, "apigateway:PUT"),),
            Purpose.CHANGE: (allow(METHODS, "apigateway:PUT", "apigateway:PATCH"),),
        }

    @property
    def ancestors(self) -> tuple[str, ...]:
        return ("rest_api", self.resource)

    def address(self, ctx: Context) -> dict[str, Any]:
        return {
            "restApiId": ctx.fact("rest_api"),
            "resourceId": ctx.fact(self.resource),
            "httpMethod": self.http_method,
        }

    def authorization(self, ctx: Context) -> dict[str, Any]:
        """Return who may call the method, as PutMethod's parameters."""
        raise NotImplementedError

    def create(self, ctx: Context) -> Live:
        return ctx.aws.apigateway.put_method(**self.address(ctx), **self.authorization(ctx))

    def read(self, ctx: Context, record: Record) -> Live | None:
        return present(ctx.aws.apigateway.get_method, **self.address(ctx))

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": f"{live['httpMethod']} {ctx.fact(self.resource, 'path')}"}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        api, place = ctx.aws.apigateway, self.address(ctx)
        # A method that was attached keeps the authorizer from 'attach'.
        name = f"{self.http_method} {ctx.fact(self.resource, 'path')}"
        attachment = ctx.state.attachments.get(place["restApiId"])
        attached = attachment is not None and name in attachment["methods"]
        authorization = {} if attached else differing(live, self.authorization(ctx))
        if authorization:
            operations: Any = [
                {"op": "replace", "path": f"/{key}", "value": value}
                for key, value in authorization.items()
            ]
            present, wanted = live.get("authorizationType"), authorization.get("authorizationType")
            opened = wanted == OPEN and present != OPEN
            yield Change(
                lambda: api.update_method(**place, patchOperations=operations),
                tuple(fields(live, authorization)),
                what=f"{name} was open: {OPEN} → {wanted}" if present == OPEN != wanted else "",
                guards=True,
                asks=f"{name} is guarded by {present}. Open it to anyone?" if opened else "",
            )
        declared = {f"{cors.PARAMETER}{name}": False for name in self.headers}
        for status in self.statuses:
            existing = live.get("methodResponses", {}).get(status)
            # An existing response needs them only if they will be set.
            needed = declared.keys() if ctx.state.settings.cors_origins else set()
            if existing is None:
                yield Change(
                    lambda status=status: api.put_method_response(  # type: ignore[misc]
                        **place, statusCode=status, responseParameters=declared
                    ),
                    (Field(f"methodResponses.{status}.responseParameters", None, declared),),
                )
            elif missing := needed - (existing.get("responseParameters") or {}).keys():
                # An existing response can't be put again: API Gateway answers with a conflict.
                patch: Any = [
                    {"op": "add", "path": f"/responseParameters/{name}", "value": "false"}
                    for name in sorted(missing)
                ]
                within = f"methodResponses.{status}.responseParameters."
                yield Change(
                    lambda status=status, patch=patch: api.update_method_response(  # type: ignore[misc]
                        **place, statusCode=status, patchOperations=patch
                    ),
                    tuple(Field(within + name, None, "false") for name in sorted(missing)),
                )


class Integration(Resource):
    """A method's integration and its responses; subclasses define them."""

    parent = "rest_api"
    outdates = ("deployment",)
    method: Method

    def permissions(self, settings: Settings) -> Permissions:
        put = (allow(METHODS, "apigateway:PUT"),)
        return {
            Purpose.FIND: (allow(METHODS, "apigateway:GET"),),
            Purpose.CREATE: put,
            Purpose.CHANGE: put,
        }

    @property
    def ancestors(self) -> tuple[str, ...]:
        return (*self.method.ancestors, self.method.key)

    def wanted_integration(self, ctx: Context) -> dict[str, Any]:
        """Return the integration as PutIntegration's parameters; the default is a mock."""
        return dict(MOCK)

    def responses(self) -> dict[str, dict[str, Any]]:
        """Return the integration's responses by HTTP status, without the CORS origin."""
        raise NotImplementedError

    def create(self, ctx: Context) -> Live:
        """Put the integration; this replaces an existing one and its responses."""
        return ctx.aws.apigateway.put_integration(
            **self.method.address(ctx), **self.wanted_integration(ctx)
        )

    def read(self, ctx: Context, record: Record) -> Live | None:
        return present(ctx.aws.apigateway.get_integration, **self.method.address(ctx))

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": ctx.fact(self.method.key)}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        api, place = ctx.aws.apigateway, self.method.address(ctx)
        wanted = self.wanted_integration(ctx)
        if "integrationHttpMethod" in wanted:
            # PutIntegration's integrationHttpMethod is called httpMethod in answers.
            wanted["httpMethod"] = wanted.pop("integrationHttpMethod")
        existing = live.get("integrationResponses", {})
        if differs := tuple(fields(live, wanted)):
            yield Change(lambda: self.create(ctx), differs)
            existing = {}
        for status, bare in self.responses().items():
            response = cors.with_origin(bare, ctx.state.settings.cors_origins, JSON)
            present = existing.get(status, {})
            # An extra header is a difference, too.
            same = cors.sent(present) == cors.sent(response)
            if not present or not same or differing(present, response):
                within = f"integrationResponses.{status}"
                extra = Field(
                    f"{within}.responseParameters", cors.sent(present), cors.sent(response)
                )
                yield Change(
                    lambda status=status, response=response: api.put_integration_response(  # type: ignore[misc]
                        **place, statusCode=status, **response
                    ),
                    tuple(fields(present, response, f"{within}.")) or (extra,),
                )


class SignInMethod(Method):
    """POST /signin, open to anyone: clients get their tokens here."""

    key = "sign_in_method"
    resource = "sign_in_resource"
    depends_on = ("sign_in_resource",)
    http_method = "POST"
    statuses = ("200", *sorted({str(status) for status in STATUS_BY_CODE.values()}))

    def authorization(self, ctx: Context) -> dict[str, Any]:
        return {"authorizationType": "NONE"}


class SignInIntegration(Integration):
    """The integration of POST /signin: the sign-in function, with a response template."""

    key = "sign_in_integration"
    depends_on = ("sign_in_method",)
    # API Gateway looks for the function only when a request comes.
    refers_to = (SIGN_IN.key,)
    method = SignInMethod()

    def wanted_integration(self, ctx: Context) -> dict[str, Any]:
        function = SIGN_IN.arn(ctx)
        aws = ctx.aws
        return {
            # Non-proxy: the request's JSON is the event, and the return value is the body.
            "type": "AWS",
            # API Gateway always calls Lambda with POST.
            "integrationHttpMethod": "POST",
            "uri": (
                f"arn:{aws.partition}:apigateway:{aws.region}:lambda:path/2015-03-31"
                f"/functions/{function}/invocations"
            ),
            "passthroughBehavior": "WHEN_NO_MATCH",
        }

    def responses(self) -> dict[str, dict[str, Any]]:
        return {
            "200": {"responseTemplates": {JSON: response_template()}},
            # API Gateway matches this against errorMessage, which only a failed function returns.
            # A plain ".*" would stop at a line end.
            "500": {
                "selectionPattern": r"[\s\S]+",
                "responseTemplates": {JSON: FUNCTION_FAILED},
            },
        }


class ProtectedMethod(Method):
    """GET /hello, the example API, guarded by the authorizer."""

    key = "protected_method"
    resource = "hello_resource"
    depends_on = ("hello_resource", "authorizer")
    http_method = "GET"

    def authorization(self, ctx: Context) -> dict[str, Any]:
        return {
            "authorizationType": "COGNITO_USER_POOLS",
            "authorizerId": ctx.fact("authorizer"),
        }

    def console_page(self, ctx: Context, identifier: str) -> str:
        return api_page(ctx, ctx.fact("rest_api"), "resources")

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        ours = ctx.fact("authorizer")
        if live.get("authorizerId") == ours:
            return
        if former := [one for one in Authorizer().find(ctx) if one["id"] != ours]:
            names = [one["id"] for one in former]
            yield Change(
                lambda: [Authorizer().delete(ctx, {"id": each}) for each in names],
                (Field("authorizers", sorted([*names, ours]), [ours]),),
                what="delete its former authorizer",
            )


class ProtectedIntegration(Integration):
    """The integration of GET /hello: a fixed text."""

    key = "protected_integration"
    depends_on = ("protected_method",)
    method = ProtectedMethod()

    def responses(self) -> dict[str, dict[str, Any]]:
        body = json.dumps({"message": "Hello! Your token was accepted."})
        return {"200": {"responseTemplates": {JSON: body}}}
