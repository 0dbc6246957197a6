"""The console's API Gateway pages: the REST API, its methods, the authorizer, the deployment."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.moods import passing
from cogauth.aws.waiting import code_of, message_of
from cogauth.gateway import cors
from cogauth.settings import PROTECTED_PATH
from cogauth.steps.base import (
    Change,
    Live,
    NotKeptError,
    Resource,
    deleted,
    differing,
    or_none,
)
from cogauth.steps.lambda_ import SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context
    from cogauth.record.state import Record

GONE = "NotFoundException"
JSON = "application/json"
# The most that API Gateway gives in a page.
PAGE: Any = {"PageSize": 500}

# The sign-in function knows codes; here, at the edge to HTTP, each gets its status.
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
# An integration with nothing behind it.
MOCK: dict[str, Any] = {
    "type": "MOCK",
    "requestTemplates": {JSON: '{"statusCode": 200}'},
    "passthroughBehavior": "NEVER",
}
# What a client gets when the function crashed or ran out of time: nothing of the stack trace.
FUNCTION_FAILED = json.dumps(
    {
        "status": "fail",
        "msg": "The sign-in failed on the server's side. Try again in a moment.",
        "code": "internal_error",
    }
)


def response_template() -> str:
    """Return the template of the function's answer: the body as it is, the status by its code.

    An answer that is neither a success nor carries a known code is no answer of the function's:
    API Gateway hands an error over as a 200 with a stack trace, so it is replaced.
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


class RestApi(Resource):
    """The API itself: REGIONAL, for API Gateway's own default is EDGE."""

    key = "rest_api"
    repeatable = True
    # API Gateway lets one API be deleted in 30 s, an account over.
    urgent = True

    def create(self, ctx: Context) -> Live:
        """Make the API."""
        return ctx.aws.apigateway_once.create_rest_api(
            name=ctx.stack,
            description="A Cognito login in front of an API, made by cogauth",
            endpointConfiguration={"types": ["REGIONAL"]},
            tags=ctx.tags,
        )

    def find(self, ctx: Context) -> list[Live]:
        """Look through the account's APIs; their names are not unique."""
        pages = ctx.aws.apigateway.get_paginator("get_rest_apis").paginate(PaginationConfig=PAGE)
        return [api for page in pages for api in page["items"] if api["name"] == ctx.stack]

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the API by its id."""
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_rest_api(restApiId=record["id"]), GONE
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the API's id, and the id of its root, which every path hangs on."""
        root = live["rootResourceId"]
        return {"id": live["id"], "arn": _api_arn(ctx, live["id"]), "root": root}

    def arn_prefix(self, ctx: Context) -> str:
        """Return its ARN but for the id: an API can be renamed."""
        return _api_arn(ctx, "")

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the sign-in's path, and the stage that is ours."""
        api = ctx.aws.apigateway
        pages = api.get_paginator("get_resources").paginate(
            restApiId=live["id"], embed=["methods"], PaginationConfig=PAGE
        )
        posts = {
            resource["path"]: resource["resourceMethods"]["POST"]
            for page in pages
            for resource in page["items"]
            if "POST" in resource.get("resourceMethods", {})
        }
        # Its owner may have more in the API. Ours may have nothing behind it yet.
        paths = [path for path, post in posts.items() if _asks_us(ctx, post)] or [
            path
            for path, post in posts.items()
            if not post.get("methodIntegration") and post.get("authorizationType") == "NONE"
        ]
        stages = api.get_stages(restApiId=live["id"])["item"]
        names = [stage["stageName"] for stage in stages if ctx.owns(stage.get("tags", {}))]
        return {**({"path": paths[0]} if paths else {}), **({"stage": names[0]} if names else {})}

    def tags(self, live: Live) -> dict[str, str]:
        """Return the API's tags."""
        return dict(live.get("tags", {}))

    def untouched(self, ctx: Context, live: Live) -> bool:
        """Say whether it has its name still, and neither a stage nor a method."""
        api, named = ctx.aws.apigateway, live["name"] == ctx.stack
        return (
            named
            and not api.get_stages(restApiId=live["id"])["item"]
            and not any(
                resource.get("resourceMethods")
                for page in api.get_paginator("get_resources").paginate(
                    restApiId=live["id"], PaginationConfig=PAGE
                )
                for resource in page["items"]
            )
        )

    def marked(self, ctx: Context, live: Live) -> bool:
        """Say whether it has our authorizer, by a name that carries the stack-id."""
        return bool(Authorizer().of(ctx, live["id"]))

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the tags."""
        if differing(live.get("tags", {}), ctx.tags):
            arn = _api_arn(ctx, live["id"])
            yield Change(
                "restore its tags",
                lambda: ctx.aws.apigateway.tag_resource(resourceArn=arn, tags=ctx.tags),
            )

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for custom domains that lead to it: AWS deletes no API that has a mapping.

        Source: https://github.com/glomex/gcdt/issues/373
        """
        api = ctx.aws.apigateway
        domains = api.get_paginator("get_domain_names").paginate(PaginationConfig=PAGE)
        for domain in (one for page in domains for one in page.get("items", [])):
            name, words = domain["domainName"], f"--domain-name {domain['domainName']}"
            place: dict[str, Any] = {"domainName": name}
            if identifier := domain.get("domainNameId"):
                # Of private ones there may be several of a name.
                place["domainNameId"] = identifier
                words += f" --domain-name-id {identifier}"
            mappings = api.get_paginator("get_base_path_mappings").paginate(
                **place, PaginationConfig=PAGE
            )
            for mapping in (one for page in mappings for one in page.get("items", [])):
                if mapping.get("restApiId") != record["id"]:
                    continue
                path = mapping.get("basePath") or "(none)"
                yield (
                    f"The custom domain {name} leads to the API {record['id']} (base path {path}). "
                    "Remove that mapping in the console (API Gateway, Custom domain names, the "
                    "domain, API mappings), or by 'aws apigateway delete-base-path-mapping "
                    f'{words} --base-path "{path}" --region {ctx.aws.region}\'.'
                )

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete the API with all in it."""
        return deleted(lambda: ctx.aws.apigateway.delete_rest_api(restApiId=record["id"]), GONE)


def _asks_us(ctx: Context, method: Live) -> bool:
    """Say whether the stack's sign-in function answers a method."""
    uri = (method.get("methodIntegration") or {}).get("uri") or ""
    return f":function:{SIGN_IN.name(ctx)}/invocations" in uri


def _may_ask_us(ctx: Context) -> bool:
    """Say whether the sign-in function's policy lets the sign-in's path call it."""
    call = ctx.aws.lambda_.get_policy
    answer = or_none(lambda: call(FunctionName=SIGN_IN.name(ctx)), "ResourceNotFoundException")
    return answer is not None and f'"{sign_in_source_arn(ctx)}"' in answer["Policy"]


class ApiResource(Resource):
    """A path of the API."""

    inside = "rest_api"
    taken = "ConflictException"
    outdates = ("deployment",)

    def __init__(self, key: str) -> None:
        self.key = key

    def _path(self, ctx: Context) -> str:
        return PROTECTED_PATH if self.key == "hello_resource" else ctx.state.settings.path

    def create(self, ctx: Context) -> Live:
        """Make the path below the API's root."""
        return ctx.aws.apigateway_once.create_resource(
            restApiId=ctx.fact("rest_api"),
            parentId=ctx.fact("rest_api", "root"),
            pathPart=self._path(ctx).removeprefix("/"),
        )

    def find(self, ctx: Context) -> list[Live]:
        """Look through the API's resources for the path."""
        pages = ctx.aws.apigateway.get_paginator("get_resources").paginate(
            restApiId=ctx.fact("rest_api"), embed=["methods"], PaginationConfig=PAGE
        )
        return [item for page in pages for item in page["items"] if item["path"] == self._path(ctx)]

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the resource by its id, with its methods."""
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_resource(
                restApiId=ctx.fact("rest_api"), resourceId=record["id"], embed=["methods"]
            ),
            GONE,
        )

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether it is the path that the stack asks for, and holds nobody else's sign-in.

        The sign-in's path is the state file's to say. Its POST may be answered by the stack's
        function, or by nothing yet; if somebody changed that, the function's policy still says
        which path may call it.
        """
        if live["path"] != self._path(ctx):
            return False
        post = live.get("resourceMethods", {}).get("POST")
        if self.key == "hello_resource" or post is None or not post.get("methodIntegration"):
            return True
        return _asks_us(ctx, post) or _may_ask_us(ctx)

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the resource's id and path."""
        del ctx
        return {"id": live["id"], "path": live["path"]}


class Method(Resource):
    """A method and the statuses that it may answer with; a subclass says which."""

    inside = "rest_api"
    taken = "ConflictException"
    outdates = ("deployment",)
    http_method: str
    resource: str
    # The headers that an integration response may set: API Gateway refuses one that the method
    # response doesn't declare. Declaring it sends nothing.
    headers: tuple[str, ...] = (cors.ALLOW_ORIGIN, cors.VARY)

    def place(self, ctx: Context) -> dict[str, Any]:
        """Return by what API Gateway finds the method."""
        return {
            "restApiId": ctx.fact("rest_api"),
            "resourceId": ctx.fact(self.resource),
            "httpMethod": self.http_method,
        }

    def authorization(self, ctx: Context) -> dict[str, Any]:
        """Return who may call the method, in PutMethod's words."""
        raise NotImplementedError

    def statuses(self) -> list[str]:
        """Return the HTTP statuses that the method may answer with."""
        raise NotImplementedError

    def create(self, ctx: Context) -> Live:
        """Put the method; its responses are changes, and what answers it is a resource apart."""
        return ctx.aws.apigateway.put_method(**self.place(ctx), **self.authorization(ctx))

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the method with its responses."""
        del record
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_method(**self.place(ctx)), GONE
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Name the method by its HTTP method and path: it has no id of its own."""
        return {"id": f"{live['httpMethod']} {ctx.fact(self.resource, 'path')}"}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare who may call it, and the statuses with their headers."""
        api, place = ctx.aws.apigateway, self.place(ctx)
        # One that 'attach' put behind an authorizer of its own keeps that.
        name = f"{self.http_method} {ctx.fact(self.resource, 'path')}"
        attached = ctx.state.is_attached(place["restApiId"], name)
        authorization = {} if attached else differing(live, self.authorization(ctx))
        if authorization:
            operations: Any = [
                {"op": "replace", "path": f"/{key}", "value": value}
                for key, value in authorization.items()
            ]
            yield Change(
                f"set {', '.join(sorted(authorization))}",
                lambda: api.update_method(**place, patchOperations=operations),
                guards=True,
            )
        declared = {cors.parameter(name): False for name in self.headers}
        for status in self.statuses():
            standing = live.get("methodResponses", {}).get(status)
            # Asked of a response that stands only where they are to be set.
            needed = declared.keys() if ctx.state.settings.cors_origins else set()
            if standing is None:
                yield Change(
                    f"add the response {status}",
                    lambda status=status: api.put_method_response(  # type: ignore[misc]
                        **place, statusCode=status, responseParameters=declared
                    ),
                )
            elif missing := needed - (standing.get("responseParameters") or {}).keys():
                # A response that stands can't be put again: API Gateway answers with a conflict.
                patch: Any = [
                    {"op": "add", "path": f"/responseParameters/{name}", "value": "false"}
                    for name in sorted(missing)
                ]
                yield Change(
                    f"declare headers of the response {status}",
                    lambda status=status, patch=patch: api.update_method_response(  # type: ignore[misc]
                        **place, statusCode=status, patchOperations=patch
                    ),
                )


class Integration(Resource):
    """What answers a method, and how its answer becomes HTTP's; a subclass says which."""

    inside = "rest_api"
    outdates = ("deployment",)
    method: Method

    def wanted_integration(self, ctx: Context) -> dict[str, Any]:
        """Return what answers the method, in PutIntegration's words."""
        raise NotImplementedError

    def responses(self) -> dict[str, dict[str, Any]]:
        """Return what becomes of the integration's answer, by HTTP status; without the origin."""
        raise NotImplementedError

    def create(self, ctx: Context) -> Live:
        """Put the integration; a present one is replaced, with its responses."""
        return ctx.aws.apigateway.put_integration(
            **self.method.place(ctx), **self.wanted_integration(ctx)
        )

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the integration with its responses."""
        del record
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_integration(**self.method.place(ctx)), GONE
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Name it as its method."""
        del live
        return {"id": ctx.fact(self.method.key)}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the integration and every response."""
        api, place = ctx.aws.apigateway, self.method.place(ctx)
        wanted = self.wanted_integration(ctx)
        if "integrationHttpMethod" in wanted:
            # What PutIntegration calls integrationHttpMethod is httpMethod in the answers.
            wanted["httpMethod"] = wanted.pop("integrationHttpMethod")
        standing = live.get("integrationResponses", {})
        if differing(live, wanted):
            yield Change("set what answers it", lambda: self.create(ctx))
            standing = {}
        for status, bare in self.responses().items():
            response = cors.with_origin(bare, ctx.state.settings.cors_origins, JSON)
            present = standing.get(status, {})
            # A header that is set and no longer wanted is a difference, too.
            same = cors.sent(present) == cors.sent(response)
            if not present or not same or differing(present, response):
                yield Change(
                    f"set the answer for {status}",
                    lambda status=status, response=response: api.put_integration_response(  # type: ignore[misc]
                        **place, statusCode=status, **response
                    ),
                )


class SignInMethod(Method):
    """POST /signin, open to anyone: it is where one gets a token."""

    key = "sign_in_method"
    resource = "sign_in_resource"
    needs = ("sign_in_resource",)
    http_method = "POST"

    def authorization(self, ctx: Context) -> dict[str, Any]:
        """Anyone."""
        del ctx
        return {"authorizationType": "NONE"}

    def statuses(self) -> list[str]:
        """200 and whatever the codes say."""
        return ["200", *sorted({str(status) for status in STATUS_BY_CODE.values()})]


class SignInIntegration(Integration):
    """What answers POST /signin: the function, through a template."""

    key = "sign_in_integration"
    needs = ("sign_in_method", "sign_in_function")
    method = SignInMethod()

    def wanted_integration(self, ctx: Context) -> dict[str, Any]:
        """The function, non-proxy: the request's JSON is its event, its return value the body."""
        function = ctx.fact("sign_in_function", "arn")
        aws = ctx.aws
        return {
            "type": "AWS",
            # Lambda is always called by POST, whatever the method is.
            "integrationHttpMethod": "POST",
            "uri": (
                f"arn:{aws.partition}:apigateway:{aws.region}:lambda:path/2015-03-31"
                f"/functions/{function}/invocations"
            ),
            "passthroughBehavior": "WHEN_NO_MATCH",
        }

    def responses(self) -> dict[str, dict[str, Any]]:
        """The function's answer; or, if it crashed or ran out of time, a fixed body."""
        return {
            "200": {"responseTemplates": {JSON: response_template()}},
            # The pattern is matched against errorMessage, which only a failed function has. A
            # plain ".*" would stop at a line's end.
            "500": {
                "selectionPattern": r"[\s\S]+",
                "responseTemplates": {JSON: FUNCTION_FAILED},
            },
        }


class ProtectedMethod(Method):
    """GET /hello, the dummy API, for those that the authorizer lets pass."""

    key = "protected_method"
    resource = "hello_resource"
    needs = ("hello_resource", "authorizer")
    http_method = "GET"

    def authorization(self, ctx: Context) -> dict[str, Any]:
        """Those with a token of the pool."""
        return {
            "authorizationType": "COGNITO_USER_POOLS",
            "authorizerId": ctx.fact("authorizer"),
        }

    def statuses(self) -> list[str]:
        """Only 200; the authorizer's 401 is the gateway's own."""
        return ["200"]

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Find the authorizer of ours that it had, if that was made anew meanwhile."""
        if live.get("authorizerId") == ctx.fact("authorizer"):
            return
        if former := Authorizer().others(ctx, ctx.fact("authorizer")):
            yield Change(
                "delete the authorizer that it had",
                lambda: [Authorizer().delete(ctx, {"id": one["id"]}) for one in former],
            )


class ProtectedIntegration(Integration):
    """What answers GET /hello: a fixed text."""

    key = "protected_integration"
    needs = ("protected_method",)
    method = ProtectedMethod()

    def wanted_integration(self, ctx: Context) -> dict[str, Any]:
        """Nothing behind it: API Gateway answers by itself."""
        del ctx
        return dict(MOCK)

    def responses(self) -> dict[str, dict[str, Any]]:
        """The fixed text."""
        body = json.dumps({"message": "Hello! Your token was accepted."})
        return {"200": {"responseTemplates": {JSON: body}}}


class Authorizer(Resource):
    """The authorizer: it checks a request's token against the pool before anything is called."""

    key = "authorizer"
    inside = "rest_api"
    needs = ("user_pool",)
    repeatable = True
    outdates = ("deployment",)
    remade = True

    def create(self, ctx: Context) -> Live:
        """Make the authorizer; it can't be tagged, so its name says whose it is.

        In an API the names are unique, and former ones stay as long as methods refer to them.
        Source: https://github.com/aws/aws-cdk/issues/13711
        """
        try:
            return self._create(ctx, ctx.name_with_id)
        except ClientError as error:
            if "name must be unique" not in message_of(error):
                raise
        standing = {live["name"] for live in self.find(ctx)}
        names = (f"{ctx.name_with_id}-{number}" for number in itertools.count(2))
        return self._create(ctx, next(name for name in names if name not in standing))

    def _create(self, ctx: Context, name: str) -> Live:
        return ctx.aws.apigateway_once.create_authorizer(
            restApiId=ctx.fact("rest_api"), name=name, **authorizer_settings(ctx)
        )

    def find(self, ctx: Context) -> list[Live]:
        """Look through the API's authorizers for the name, with a number or without."""
        return self.of(ctx, ctx.fact("rest_api"))

    def of(self, ctx: Context, api: str) -> list[Live]:
        """Look through those of any API."""
        pages = ctx.aws.apigateway.get_paginator("get_authorizers").paginate(
            restApiId=api, PaginationConfig=PAGE
        )
        return [one for page in pages for one in page["items"] if self.is_named(ctx, one)]

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether its name carries the stack-id, with a number or without."""
        return bool(re.fullmatch(rf"{re.escape(ctx.name_with_id)}(-\d+)?", live["name"]))

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the authorizer by its id."""
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_authorizer(
                restApiId=ctx.fact("rest_api"), authorizerId=record["id"]
            ),
            GONE,
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the authorizer's id."""
        del ctx
        return {"id": live["id"], "name": live["name"]}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the pool and the header."""
        if authorizer_patch(ctx, live):
            names = differing(live, authorizer_settings(ctx))
            yield Change(
                f"set {', '.join(sorted(names))}",
                lambda: self._update(ctx, live),
                guards="providerARNs" in names,
            )

    def _update(self, ctx: Context, live: Live) -> None:
        answered = update_authorizer(ctx, ctx.fact("rest_api"), live)
        if "providerARNs" in differing(answered, authorizer_settings(ctx)):
            raise NotKeptError("The authorizer was to ask the stack's user pool, and doesn't.")

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete an authorizer that is one too many, unless a method still refers to it."""
        api = ctx.fact("rest_api")
        try:
            return delete_authorizer(ctx, api, record["id"])
        except ClientError as error:
            if code_of(error) != "ConflictException" or passing(error):
                raise
            return False


def authorizer_settings(ctx: Context) -> dict[str, Any]:
    """Return what an authorizer that asks the stack's user pool is, in CreateAuthorizer's words."""
    return {
        "type": "COGNITO_USER_POOLS",
        "providerARNs": [ctx.fact("user_pool", "arn")],
        "identitySource": "method.request.header.Authorization",
    }


def authorizer_patch(ctx: Context, live: Live) -> list[dict[str, str]]:
    """Return what makes an authorizer ask the stack's present user pool; empty if it does."""
    wanted = differing(live, authorizer_settings(ctx))
    patch = [
        {"op": "replace", "path": "/identitySource", "value": value}
        for key, value in wanted.items()
        if key == "identitySource"
    ]
    if "providerARNs" in wanted:
        ours, standing = wanted["providerARNs"], live.get("providerARNs", [])
        # Added first: an authorizer without a provider is refused.
        patch += [
            {"op": op, "path": "/providerARNs", "value": arn}
            for op, arns in (
                ("add", [arn for arn in ours if arn not in standing]),
                ("remove", [arn for arn in standing if arn not in ours]),
            )
            for arn in arns
        ]
    return patch


def update_authorizer(ctx: Context, api: str, live: Live) -> Live:
    """Let an authorizer ask the stack's present user pool; return it as AWS has it then."""
    operations: Any = authorizer_patch(ctx, live)
    return ctx.aws.apigateway.update_authorizer(
        restApiId=api, authorizerId=live["id"], patchOperations=operations
    )


def delete_authorizer(ctx: Context, api: str, authorizer: str) -> bool:
    """Delete an authorizer; AWS refuses it while a method refers to it.

    A stage's deployment is a snapshot, and doesn't count.
    """
    return deleted(
        lambda: ctx.aws.apigateway.delete_authorizer(restApiId=api, authorizerId=authorizer), GONE
    )


class Deployment(Resource):
    """A snapshot of the API. Whatever is changed in the API reaches clients only with a new one."""

    key = "deployment"
    inside = "rest_api"
    # CreateDeployment asks for an integration of each method, and looks up the authorizers that
    # they refer to; the rest is what it publishes.
    needs = (
        "authorizer",
        "sign_in_integration",
        "protected_integration",
        "sign_in_preflight",
        "hello_preflight",
        "unauthorized_response",
        "access_denied_response",
        "default_4xx_response",
        "default_5xx_response",
    )
    # When a snapshot was taken matters: one that a crash left is swept away, and taken again.
    adopted = False

    def create(self, ctx: Context) -> Live:
        """Take the snapshot; its description says whose it is."""
        return ctx.aws.apigateway_once.create_deployment(
            restApiId=ctx.fact("rest_api"), description=ctx.name_with_id
        )

    def find(self, ctx: Context) -> list[Live]:
        """Look through the API's deployments for ours, the superseded ones included."""
        return [one for one in _deployments(ctx) if self.is_named(ctx, one)]

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Say whether its description carries the stack-id."""
        return live.get("description") == ctx.name_with_id

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the deployment by its id."""
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_deployment(
                restApiId=ctx.fact("rest_api"), deploymentId=record["id"]
            ),
            GONE,
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the deployment's id."""
        del ctx
        return {"id": live["id"]}

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete a deployment that was superseded, unless some other stage of the API is on it."""
        api, place = ctx.aws.apigateway, {"restApiId": ctx.fact("rest_api")}
        stages = api.get_stages(**place)["item"]
        if record["id"] in {stage.get("deploymentId") for stage in stages}:
            return False
        return deleted(lambda: api.delete_deployment(**place, deploymentId=record["id"]), GONE)


class Stage(Resource):
    """The stage: a deployment under a URL, with a throttle on the sign-in method.

    An open sign-up must not be free to hammer: Cognito's own quotas are the account's.
    """

    key = "stage"
    inside = "rest_api"
    needs = ("deployment",)
    taken = "ConflictException"

    def _place(self, ctx: Context) -> dict[str, Any]:
        return {"restApiId": ctx.fact("rest_api"), "stageName": ctx.state.settings.stage}

    def create(self, ctx: Context) -> Live:
        """Make the stage on the deployment; only this call takes tags, CreateDeployment doesn't."""
        return ctx.aws.apigateway.create_stage(
            **self._place(ctx), deploymentId=ctx.fact("deployment"), tags=ctx.tags
        )

    def read(self, ctx: Context, record: Record) -> Live | None:
        """Get the stage."""
        del record
        return or_none(  # type: ignore[no-any-return]
            lambda: ctx.aws.apigateway.get_stage(**self._place(ctx)), GONE
        )

    def facts(self, ctx: Context, live: Live) -> Record:
        """Keep the stage's name."""
        arn = f"{_api_arn(ctx, ctx.fact('rest_api'))}/stages/{live['stageName']}"
        return {"id": live["stageName"], "arn": arn}

    def tags(self, live: Live) -> dict[str, str]:
        """Return its tags: whoever owns the API may have stages of their own in it."""
        return live.get("tags") or {}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Compare the deployment and the throttle."""
        settings = ctx.state.settings
        patch: Any = []
        ours = ctx.fact("deployment")
        if serves_other := live["deploymentId"] != ours and not _is_later(ctx, live):
            patch.append({"op": "replace", "path": "/deploymentId", "value": ours})
        throttle = _throttle(live, f"{settings.path}/POST")
        for key, option, value in (
            ("throttlingRateLimit", "rateLimit", settings.throttle_rate),
            ("throttlingBurstLimit", "burstLimit", settings.throttle_burst),
        ):
            if throttle.get(key) != value:
                # A '/' inside a path's part is written '~1': the part is the method's full path.
                path = f"/{settings.path.replace('/', '~1')}/POST/throttling/{option}"
                patch.append({"op": "replace", "path": path, "value": str(value)})
        if patch:
            yield Change(
                "set its deployment and throttle",
                lambda: ctx.aws.apigateway.update_stage(**self._place(ctx), patchOperations=patch),
                guards=serves_other,
            )

    def leftovers(self, ctx: Context, live: Live) -> Iterator[Change]:
        """Find the deployments that ours superseded: a stage that stood before was on one."""
        del live
        superseded = [one for one in Deployment().find(ctx) if one["id"] != ctx.fact("deployment")]
        if superseded:
            yield Change(
                "delete superseded deployments",
                lambda: [Deployment().delete(ctx, {"id": one["id"]}) for one in superseded],
            )

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        """Return the throttle of the sign-in method."""
        throttle = _throttle(live, f"{ctx.state.settings.path}/POST")
        names = {"throttlingRateLimit": "throttle_rate", "throttlingBurstLimit": "throttle_burst"}
        return {setting: throttle[key] for key, setting in names.items() if key in throttle}


def _deployments(ctx: Context) -> list[Any]:
    pages = ctx.aws.apigateway.get_paginator("get_deployments").paginate(
        restApiId=ctx.fact("rest_api"), PaginationConfig=PAGE
    )
    return [deployment for page in pages for deployment in page["items"]]


def _is_later(ctx: Context, stage: Live) -> bool:
    """Say whether somebody else deployed the API after us, and so has more in it than we have."""
    made = {one["id"]: one for one in _deployments(ctx)}
    standing = made.get(stage["deploymentId"])
    if standing is None or standing.get("description") == ctx.name_with_id:
        return False
    # One that the list doesn't have yet was made just now.
    ours = made.get(ctx.fact("deployment"))
    return bool(ours and standing["createdDate"] >= ours["createdDate"])


def _throttle(stage: Live, method: str) -> Live:
    """Return a method's settings: AWS writes the key with or without its leading slash."""
    for key, settings in stage.get("methodSettings", {}).items():
        if key.replace("~1", "/").strip("/") == method.strip("/"):
            return settings  # type: ignore[no-any-return]
    return {}


def _api_arn(ctx: Context, api: str) -> str:
    # An ARN of API Gateway carries no account.
    return f"arn:{ctx.aws.partition}:apigateway:{ctx.aws.region}::/restapis/{api}"


def sign_in_source_arn(ctx: Context) -> str:
    """Return what may call the sign-in function: this one method of this API, on any stage."""
    return ctx.arn("execute-api", f"{ctx.fact('rest_api')}/*/POST{ctx.state.settings.path}")
