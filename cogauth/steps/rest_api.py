"""The console's API Gateway pages: the REST API, its paths, and the authorizer."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import Live, code_of, deleted, differing, fields, message_of, or_none
from cogauth.aws.policies import FUNCTION, REST_API, REST_APIS, Purpose, allow
from cogauth.aws.transient import passing
from cogauth.gateway import rest_apis
from cogauth.settings import PROTECTED_PATH
from cogauth.steps.base import Change, NotKeptError, Recreate, Resource
from cogauth.steps.lambda_ import SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.policies import Allow, Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings

JSON = "application/json"
TAGS = "arn:PARTITION:apigateway:REGION::/tags/*"
# Whoever creates an API or a stage with tags must be allowed to tag it.
TAG = allow(TAGS, "apigateway:PUT", source="https://github.com/mattclay/aws-terminator/pull/284")
# Tagging an API changes it as well.
TAGGING_ITSELF = "https://github.com/iann0036/iam-dataset/pull/39"


def present(get: Callable[..., Any], **place: Any) -> Live | None:
    """Return what API Gateway's ``get`` finds at a place, or None."""
    found: Live | None = or_none(lambda: get(**place))
    return found


class RestApi(Resource):
    """The API itself: REGIONAL, because API Gateway's default is EDGE."""

    key = "rest_api"
    repeatable = True
    # API Gateway lets an account delete one API in 30 s.
    urgent = True

    def permissions(self, settings: Settings) -> Permissions:
        domains = "arn:PARTITION:apigateway:REGION::/domainnames"
        return {
            Purpose.FIND: (allow(REST_APIS, "apigateway:GET"),),
            Purpose.READ: (
                allow(REST_API, "apigateway:GET"),
                rest_apis.reading(REST_API, "resources", "stages", "authorizers"),
            ),
            Purpose.RECOVER: (rest_apis.reading(REST_API, "resources", "stages"),),
            Purpose.CREATE: (allow(REST_APIS, "apigateway:POST"), TAG),
            Purpose.CHANGE: (
                allow(TAGS, "apigateway:PUT"),
                allow(REST_API, "apigateway:PATCH", source=TAGGING_ITSELF),
            ),
            Purpose.OBSTACLES: (
                allow((domains, f"{domains}/*/basepathmappings"), "apigateway:GET"),
            ),
            Purpose.DELETE: (allow(REST_API, "apigateway:DELETE"),),
        }

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        return (rest_apis.CHECK_OWN,)

    def create(self, ctx: Context) -> Live:
        return ctx.aws.apigateway_once.create_rest_api(
            name=ctx.stack,
            description="A Cognito login in front of an API, created by cogauth",
            endpointConfiguration={"types": ["REGIONAL"]},
            tags=ctx.tags,
        )

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        return [api for api in rest_apis.all_apis(ctx) if api["name"] == ctx.stack]

    def read(self, ctx: Context, record: Record) -> Live | None:
        return present(ctx.aws.apigateway.get_rest_api, restApiId=record["id"])

    def facts(self, ctx: Context, live: Live) -> Record:
        arn, root = api_arn(ctx, live["id"]), live["rootResourceId"]
        return {"id": live["id"], "arn": arn, "root": root}

    def arn_prefix(self, ctx: Context) -> str:
        return api_arn(ctx, "")

    def observed(self, ctx: Context, live: Live) -> dict[str, Any]:
        posts = {
            resource["path"]: resource["resourceMethods"]["POST"]
            for resource in rest_apis.resources(ctx, live["id"])
            if "POST" in resource.get("resourceMethods", {})
        }
        # Its owner may have added methods. Ours may have no integration yet.
        paths = [path for path, post in posts.items() if _asks_us(ctx, post)] or [
            path
            for path, post in posts.items()
            if not post.get("methodIntegration") and post.get("authorizationType") == "NONE"
        ]
        stages = rest_apis.stages(ctx, live["id"])
        names = [stage["stageName"] for stage in stages if ctx.owns(stage.get("tags", {}))]
        return {**({"path": paths[0]} if paths else {}), **({"stage": names[0]} if names else {})}

    def tags(self, live: Live) -> dict[str, str]:
        return dict(live.get("tags", {}))

    def untouched(self, ctx: Context, live: Live) -> bool:
        return (
            live["name"] == ctx.stack
            and not rest_apis.stages(ctx, live["id"])
            and not rest_apis.methods(ctx, live["id"])
        )

    def marked(self, ctx: Context, live: Live) -> bool:
        return bool(Authorizer().of(ctx, live["id"]))

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        if differs := tuple(fields(live.get("tags", {}), ctx.tags, "tags.")):
            arn = api_arn(ctx, live["id"])
            yield Change(
                lambda: ctx.aws.apigateway.tag_resource(resourceArn=arn, tags=ctx.tags), differs
            )

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        """Look for custom domains mapped to it: AWS refuses to delete an API with a mapping.

        Source: https://github.com/glomex/gcdt/issues/373
        """
        for domain in rest_apis.listed(ctx, "get_domain_names"):
            name, words = domain["domainName"], f"--domain-name {domain['domainName']}"
            place: dict[str, Any] = {"domainName": name}
            if identifier := domain.get("domainNameId"):
                # Several private domains may have the same name.
                place["domainNameId"] = identifier
                words += f" --domain-name-id {identifier}"
            for mapping in rest_apis.listed(ctx, "get_base_path_mappings", **place):
                if mapping.get("restApiId") != record["id"]:
                    continue
                path = mapping.get("basePath") or "(none)"
                yield (
                    f"The custom domain {name} leads to the API {record['id']} (base path {path}). "
                    "Delete that mapping in the console (API Gateway, Custom domain names, the "
                    "domain, API mappings), or with 'aws apigateway delete-base-path-mapping "
                    f'{words} --base-path "{path}" --region {ctx.aws.region}\'.'
                )

    def console_page(self, ctx: Context, identifier: str) -> str:
        return api_page(ctx, identifier, "resources")

    def delete(self, ctx: Context, record: Record) -> bool:
        return deleted(lambda: ctx.aws.apigateway.delete_rest_api(restApiId=record["id"]))


def _asks_us(ctx: Context, method: Live) -> bool:
    """Return whether a method's integration is the stack's sign-in function."""
    uri = (method.get("methodIntegration") or {}).get("uri") or ""
    return f":function:{SIGN_IN.name(ctx)}/invocations" in uri


def _may_ask_us(ctx: Context) -> bool:
    """Return whether the sign-in function's policy lets the sign-in method call it."""
    call = ctx.aws.lambda_.get_policy
    answer = or_none(lambda: call(FunctionName=SIGN_IN.name(ctx)))
    return answer is not None and f'"{sign_in_source_arn(ctx)}"' in answer["Policy"]


class ApiResource(Resource):
    """A path of the API."""

    parent = "rest_api"
    conflict = "ConflictException"
    outdates = ("deployment",)

    def __init__(self, key: str) -> None:
        self.key = key

    def permissions(self, settings: Settings) -> Permissions:
        return {
            Purpose.FIND: (
                rest_apis.reading(REST_API, "resources"),
                allow(f"{FUNCTION}:STACK-{SIGN_IN.suffix}", "lambda:GetPolicy"),
            ),
            Purpose.READ: (rest_apis.reading(REST_API, "resources/*"),),
            # Of its parent.
            Purpose.CREATE: (allow(f"{REST_API}/resources/*", "apigateway:POST"),),
        }

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        # That of the sign-in may ask who may call its function.
        policy = allow(f"{FUNCTION}:STACK-{SIGN_IN.suffix}", "lambda:GetPolicy")
        return (rest_apis.reading(REST_API, "resources/*"), policy)

    def _path(self, ctx: Context) -> str:
        return PROTECTED_PATH if self.key == "hello_resource" else ctx.state.settings.path

    def create(self, ctx: Context) -> Live:
        return ctx.aws.apigateway_once.create_resource(
            restApiId=ctx.fact("rest_api"),
            parentId=ctx.fact("rest_api", "root"),
            pathPart=self._path(ctx).removeprefix("/"),
        )

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        found = rest_apis.resources(ctx, ctx.fact("rest_api"))
        return [item for item in found if item["path"] == self._path(ctx)]

    def read(self, ctx: Context, record: Record) -> Live | None:
        api, get = ctx.fact("rest_api"), ctx.aws.apigateway.get_resource
        return present(get, restApiId=api, resourceId=record["id"], embed=["methods"])

    def is_named(self, ctx: Context, live: Live) -> bool:
        """Return whether it is the stack's path and doesn't hold somebody else's sign-in."""
        if live["path"] != self._path(ctx):
            return False
        post = live.get("resourceMethods", {}).get("POST")
        if self.key == "hello_resource" or post is None or not post.get("methodIntegration"):
            return True
        # Someone may have changed the integration of POST but not the function's policy.
        return _asks_us(ctx, post) or _may_ask_us(ctx)

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["id"], "path": live["path"]}


class Authorizer(Resource):
    """The authorizer: it checks a request's token against the pool before the integration runs."""

    key = "authorizer"
    parent = "rest_api"
    depends_on = ("user_pool",)
    repeatable = True
    outdates = ("deployment",)
    recreate = Recreate.BESIDE
    tuned = True

    def permissions(self, settings: Settings) -> Permissions:
        one = f"{REST_API}/authorizers/*"
        return {
            Purpose.FIND: (rest_apis.reading(REST_API, "authorizers"),),
            Purpose.READ: (rest_apis.reading(REST_API, "authorizers/*"),),
            Purpose.CREATE: (allow(f"{REST_API}/authorizers", "apigateway:POST"),),
            Purpose.CHANGE: (allow(one, "apigateway:PATCH"),),
            Purpose.DELETE: (allow(one, "apigateway:DELETE"),),
        }

    def reads(self, settings: Settings) -> tuple[Allow, ...]:
        return (rest_apis.reading(REST_API, "authorizers/*"),)

    def create(self, ctx: Context) -> Live:
        """Create the authorizer; it can't be tagged, so its name shows who owns it.

        Names are unique in an API, and former authorizers stay as long as methods refer to them.
        Source: https://github.com/aws/aws-cdk/issues/13711
        """
        api = ctx.fact("rest_api")
        try:
            return create_authorizer(ctx, api, ctx.name_with_id)
        except ClientError as error:
            if "name must be unique" not in message_of(error):
                raise
        used = {live["name"] for live in self.find(ctx)}
        names = (f"{ctx.name_with_id}-{number}" for number in itertools.count(2))
        return create_authorizer(ctx, api, next(name for name in names if name not in used))

    def find(self, ctx: Context, known: str = "") -> list[Live]:
        return self.of(ctx, ctx.fact("rest_api"))

    def of(self, ctx: Context, api: str) -> list[Live]:
        return [one for one in rest_apis.authorizers(ctx, api) if self.is_named(ctx, one)]

    def is_named(self, ctx: Context, live: Live) -> bool:
        return bool(re.fullmatch(rf"{re.escape(ctx.name_with_id)}(-\d+)?", live["name"]))

    def read(self, ctx: Context, record: Record) -> Live | None:
        api, get = ctx.fact("rest_api"), ctx.aws.apigateway.get_authorizer
        return present(get, restApiId=api, authorizerId=record["id"])

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["id"], "name": live["name"]}

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        if authorizer_patch(ctx, live):
            wanted = authorizer_settings(ctx)
            yield Change(
                lambda: self._update(ctx, live),
                tuple(fields(live, wanted)),
                guards="providerARNs" in differing(live, wanted),
            )

    def _update(self, ctx: Context, live: Live) -> None:
        answered = update_authorizer(ctx, ctx.fact("rest_api"), live)
        if "providerARNs" in differing(answered, authorizer_settings(ctx)):
            raise NotKeptError("AWS didn't set the authorizer to the stack's user pool.")

    def console_page(self, ctx: Context, identifier: str) -> str:
        return api_page(ctx, ctx.fact("rest_api"), "authorizers")

    def delete(self, ctx: Context, record: Record) -> bool:
        """Delete a surplus authorizer, unless a method still refers to it."""
        try:
            return delete_authorizer(ctx, ctx.fact("rest_api"), record["id"])
        except ClientError as error:
            if code_of(error) != "ConflictException" or passing(error):
                raise
            return False


def authorizer_settings(ctx: Context) -> dict[str, Any]:
    """Return CreateAuthorizer's parameters for an authorizer on the stack's user pool."""
    return {
        "type": "COGNITO_USER_POOLS",
        "providerARNs": [ctx.fact("user_pool", "arn")],
        "identitySource": "method.request.header.Authorization",
    }


def create_authorizer(ctx: Context, api: str, name: str) -> Live:
    """Create an authorizer on the stack's user pool in any API."""
    return ctx.aws.apigateway_once.create_authorizer(
        restApiId=api, name=name, **authorizer_settings(ctx)
    )


def authorizer_patch(ctx: Context, live: Live) -> list[dict[str, str]]:
    """Return the patch that sets an authorizer to the stack's user pool; empty if it is set."""
    wanted, patch = differing(live, authorizer_settings(ctx)), []
    if source := wanted.get("identitySource"):
        patch.append({"op": "replace", "path": "/identitySource", "value": source})
    ours, now = authorizer_settings(ctx)["providerARNs"], live.get("providerARNs", [])
    # Add first: AWS refuses an authorizer without a provider.
    for op, arns, others in (("add", ours, now), ("remove", now, ours)):
        missing = [arn for arn in arns if arn not in others]
        patch += [{"op": op, "path": "/providerARNs", "value": arn} for arn in missing]
    return patch


def update_authorizer(ctx: Context, api: str, live: Live) -> Live:
    """Set an authorizer to the stack's user pool; return AWS's answer."""
    operations: Any = authorizer_patch(ctx, live)
    return ctx.aws.apigateway.update_authorizer(
        restApiId=api, authorizerId=live["id"], patchOperations=operations
    )


def delete_authorizer(ctx: Context, api: str, authorizer: str) -> bool:
    """Delete an authorizer; AWS refuses it while a method refers to it.

    A stage's deployment is a snapshot and doesn't count.
    """
    return deleted(
        lambda: ctx.aws.apigateway.delete_authorizer(restApiId=api, authorizerId=authorizer)
    )


def api_arn(ctx: Context, api: str) -> str:
    """Return a REST API's ARN."""
    # API Gateway's ARNs contain no account.
    return f"arn:{ctx.aws.partition}:apigateway:{ctx.aws.region}::/restapis/{api}"


def api_page(ctx: Context, api: str, tab: str) -> str:
    """Return a page of a REST API in the AWS console, as the URL after the host."""
    return f"apigateway/main/apis/{api}/{tab}?api={api}&region={ctx.aws.region}"


def sign_in_source_arn(ctx: Context) -> str:
    """Return the ARN of the sign-in function's caller: the sign-in method, on any stage."""
    return ctx.arn("execute-api", f"{ctx.fact('rest_api')}/*/POST{ctx.state.settings.path}")
