"""What the tests share: moto's AWS in this process, stacks in it, and faults on the way to it."""

import contextlib
import functools
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, NoReturn
from urllib.parse import unquote

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings
from joserfc import jwk
from moto import mock_aws
from moto.apigateway.exceptions import (
    AuthorizerNotFoundException,
    BadRequestException,
    ConflictException,
    DeploymentNotFoundException,
    NoIntegrationDefined,
)
from moto.apigateway.models import APIGatewayBackend, Authorizer, RestAPI
from moto.apigateway.responses import AUTHORIZER_TYPES, APIGatewayResponse
from moto.cognitoidp.models import CognitoIdpBackend
from moto.core import DEFAULT_ACCOUNT_ID, responses
from moto.core.botocore_stubber import BotocoreStubber
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.utilities.utils import get_partition

from cogauth import engine
from cogauth.aws.clients import Aws
from cogauth.aws.waiting import Waiter
from cogauth.context import Context, refuse
from cogauth.engine import DownResult, StepResult
from cogauth.record import state as state_file
from cogauth.record.state import State
from cogauth.settings import Settings
from cogauth.steps import STEPS
from cogauth.steps.base import Step

# For benchmarks/, which is never installed; at the end, so that cogauth is the one that is.
sys.path.append(str(Path(__file__).parents[1]))

REGION = "eu-central-1"
CLIENTS = (
    "sts",
    "cognito",
    "cognito_once",
    "iam",
    "lambda_",
    "logs",
    "apigateway",
    "apigateway_once",
    "tagging",
)
# moto takes the partition from the region in the host's name; AWS's own host says "us-gov".
IAM_ENDPOINTS = {"us-gov-west-1": "https://iam.us-gov-west-1.amazonaws.com"}
READS = ("Get", "List", "Describe")

# A busy machine is no reason to fail.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are processors: many tests wait for a program of their own."""
    return 2 * (os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--aws",
        action="store_true",
        help="also run the acceptance tests on the AWS account that the environment names",
    )
    parser.addoption(
        "--all-faults",
        action="store_true",
        help="sweep every kind of fault over every call, followed by up and by down (minutes)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = {"aws": config.getoption("--aws"), "browser": "browser" in config.option.markexpr}
    needed = {"aws": "needs --aws and an AWS account", "browser": "needs -m browser"}
    for item in items:
        for marker in [name for name in asked if not asked[name]]:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=needed[marker]))


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What cogauth notes in the user's home, it notes elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


class FakeTime(Event):
    """A clock and its stop event: a wait takes no time, but the clock goes on by it.

    Each thread of a run has a clock of its own: what one waits is no time that another has lost.
    """

    def __init__(self) -> None:
        super().__init__()
        # The latest of all threads.
        self.now = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()
        self.restart()

    def restart(self) -> None:
        """Begin a new run, which nobody has stopped yet."""
        self.clear()
        self._begun = self.now
        self._local = threading.local()

    def __call__(self) -> float:
        here: float = getattr(self._local, "now", self._begun)
        return here

    def wait(self, timeout: float | None = None) -> bool:
        with self._lock:
            self.waits.append(timeout or 0.0)
            self._local.now = self() + (timeout or 0.0)
            self.now = max(self.now, self._local.now)
        return self.is_set()


class Silent:
    """A reporter that says nothing."""

    def begin(self, step: Step) -> None:
        pass

    def change(self, step: Step, what: str) -> None:
        pass

    def warn(self, what: str) -> None:
        pass

    def waiting(self, step: Step, reason: str, seconds_left: float | None) -> None:
        pass

    def end(self, result: StepResult) -> None:
        pass


RESOURCES = {resource.key: resource for step in STEPS for resource in step.resources}


def needed(key: str) -> set[str]:
    """Return all that must stand before a resource is made, near and far."""
    near = set(RESOURCES[key].all_needs)
    return near.union(*map(needed, near))


@dataclass(frozen=True)
class Call:
    """One call to AWS, by its operation's name and what was sent."""

    operation: str
    sent: dict[str, Any] = field(compare=False, repr=False)

    @property
    def mutating(self) -> bool:
        return not self.operation.startswith(READS)


Before = Callable[[Call], tuple[AWSResponse, dict[str, Any]] | None]
After = Callable[[Call], None]


def refusal(status: int, code: str, message: str = "No.") -> tuple[AWSResponse, dict[str, Any]]:
    """Return what a `before-call` handler answers in AWS's place."""
    parsed = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return AWSResponse("https://aws.invalid/", status, {}, None), parsed


class Calls:
    """All calls that the clients of one Aws make, with a way to answer in AWS's place."""

    def __init__(self, aws: Aws) -> None:
        self.clients = [getattr(aws, name) for name in CLIENTS]

    @contextlib.contextmanager
    def watched(
        self, before: Before | None = None, after: After | None = None
    ) -> Iterator[list[Call]]:
        """Record the calls; `before` may answer or raise, `after` may raise: the answer is lost.

        Calls come from several threads, but these are asked about one at a time.
        """
        calls: list[Call] = []
        one_at_a_time, here = threading.RLock(), threading.local()

        def on_before(model: Any, params: dict[str, Any], **_: Any) -> Any:
            with one_at_a_time:
                here.call = Call(model.name, params)
                calls.append(here.call)
                return before(here.call) if before else None

        def on_after(**_: Any) -> None:
            with one_at_a_time:
                if after:
                    after(here.call)

        for client in self.clients:
            # Last: what cogauth itself lets not begin is no call.
            client.meta.events.register_last("before-call", on_before)
            client.meta.events.register_last("after-call", on_after)
        try:
            yield calls
        finally:
            for client in self.clients:
                client.meta.events.unregister("before-call", on_before)
                client.meta.events.unregister("after-call", on_after)


class Session(boto3.Session):
    """A session that makes each client once: it takes a while."""

    @functools.cache  # noqa: B019 there are as many as regions
    def client(self, service: str) -> Any:  # type: ignore[override]
        endpoint = IAM_ENDPOINTS.get(self.region_name) if service == "iam" else None
        return super().client(service, endpoint_url=endpoint)  # type: ignore[call-overload]


@functools.cache
def _session(region: str) -> Session:
    # As moto itself sets them; the environment's are gone by the time of another test.
    return Session("testing", "testing", region_name=region)


class StoppedError(BaseException):
    """As if the process had been killed."""


def stop(_call: Call) -> NoReturn:
    raise StoppedError


def lose(_call: Call) -> NoReturn:
    raise ConnectionClosedError(endpoint_url="https://aws.invalid")


# What a call meets: before it reaches AWS, or after it took effect.
FAULTS: dict[str, tuple[Before | None, Callable[[Call], None] | None]] = {
    "stopped after": (None, stop),
    "answer lost": (None, lose),
    "stopped before": (stop, None),
    "500 without effect": (lambda _: refusal(500, "InternalFailure"), None),
    "denied": (lambda _: refusal(403, "AccessDeniedException"), None),
    "expired": (lambda _: refusal(403, "ExpiredTokenException"), None),
    "throttled": (lambda _: refusal(429, "TooManyRequestsException"), None),
}


class Account:
    """An account on moto, with a folder for state files, used as one run after another."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.region = aws.region
        self.folder = folder
        self.calls = Calls(aws)
        self.session = _session(aws.region)
        self.time = FakeTime()

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def path(self, stack: str = "shop") -> Path:
        return self.folder / f"{stack}.json"

    def state(self, stack: str = "shop") -> State:
        """The state as the file has it."""
        state = state_file.load(self.path(stack))
        assert state is not None
        return state

    def new_state(self, stack: str = "shop") -> State:
        """One that records nothing, and has no file."""
        return State(
            path=self.path(stack),
            stack=stack,
            account=self.aws.account,
            region=self.region,
            endpoint_url=None,
            settings=Settings(),
        )

    def context(self, stack: str = "shop", **choices: Any) -> Context:
        """A new process's view: the state is read from its file, or made."""
        state = state_file.load(self.path(stack))
        if state is None:
            state = self.new_state(stack)
            state.save()
        state.settings = state.settings.with_choices(choices, standing=bool(state.resources))
        return self.context_of(state)

    def context_of(self, state: State) -> Context:
        self.time.restart()
        self.aws.stop = self.time
        return Context(self.aws, state, Waiter(clock=self.time, stop=self.time))

    def up(
        self,
        stack: str = "shop",
        *,
        confirm: Callable[[str], None] = refuse,
        adopt: tuple[str, ...] = (),
        **choices: Any,
    ) -> dict[str, str]:
        """Run `up` as the command does; return each step's action."""
        ctx = self.context(stack, **choices)
        ctx.confirm = confirm
        if not engine.is_complete(ctx):
            engine.check_names(ctx)
        return {result.step: result.action for result in engine.up(ctx, Silent(), adopt)}

    def down(self, stack: str = "shop", *, asked: bool = False) -> DownResult:
        """Run `down` as the command does with --yes, or where the answer is yes."""
        ctx = self.context(stack)
        plan = engine.plan_down(ctx)
        result = engine.down(ctx, plan, lambda _line: None, claimed=asked)
        if result.clean:
            ctx.state.remove()
        return result

    def recover(self, stack_id: str | None = None, take: tuple[str, ...] = ()) -> State:
        """Run `recover` as the command does."""
        state = self.new_state()
        engine.recover(self.context_of(state), stack_id, take)
        state.save()
        return state

    def left(self) -> list[str]:
        return left_in_aws(self.session)

    def grow_old(self) -> None:
        """As if what is recorded had been made an hour ago, so that AWS knows it everywhere."""
        state = self.state()
        for records in state.resources.values():
            for record in records.values():
                since = datetime.fromisoformat(record["since"]) - timedelta(hours=1)
                record["since"] = since.isoformat()
        state.save()


def left_in_aws(session: boto3.Session) -> list[str]:
    """List every pool, role, function, REST API and log group, each by kind and name."""
    cognito, iam = session.client("cognito-idp"), session.client("iam")
    pools = cognito.list_user_pools(MaxResults=60)["UserPools"]
    functions = session.client("lambda").list_functions()["Functions"]
    apis = session.client("apigateway").get_rest_apis(limit=500)["items"]
    groups = session.client("logs").describe_log_groups()["logGroups"]
    return sorted(
        [f"pool {pool['Name']}" for pool in pools]
        + [f"role {role['RoleName']}" for role in iam.list_roles()["Roles"]]
        + [f"function {function['FunctionName']}" for function in functions]
        + [f"api {api['name']}" for api in apis]
        + [f"logs {group['logGroupName']}" for group in groups]
    )


def inventory(session: boto3.Session) -> list[str]:
    """List all that `left_in_aws` does, and what is inside of each."""
    found = left_in_aws(session)
    cognito, iam = session.client("cognito-idp"), session.client("iam")
    lambda_, api = session.client("lambda"), session.client("apigateway")
    for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        place = {"UserPoolId": pool["Id"]}
        clients = cognito.list_user_pool_clients(**place, MaxResults=60)["UserPoolClients"]
        found += ["client" for _ in clients]
        triggers = cognito.describe_user_pool(**place)["UserPool"].get("LambdaConfig", {})
        found += [f"trigger {name}" for name in triggers]
    for role in iam.list_roles()["Roles"]:
        place = {"RoleName": role["RoleName"]}
        found += [f"policy {name}" for name in iam.list_role_policies(**place)["PolicyNames"]]
        attached = iam.list_attached_role_policies(**place)["AttachedPolicies"]
        found += [f"attached {policy['PolicyName']}" for policy in attached]
    for function in lambda_.list_functions()["Functions"]:
        found += [f"permission {s['Sid']}" for s in statements(session, function["FunctionName"])]
    for rest_api in api.get_rest_apis(limit=500)["items"]:
        place = {"restApiId": rest_api["id"]}
        for resource in api.get_resources(**place)["items"]:
            found.append(f"path {resource['path']}")
            for method, detail in resource.get("resourceMethods", {}).items():
                integration = detail.get("methodIntegration", {})
                answers = ",".join(sorted(integration.get("integrationResponses", {})))
                found.append(f"method {method} {resource['path']} {answers}")
        found += ["authorizer" for _ in api.get_authorizers(**place)["items"]]
        deployments = [item["id"] for item in api.get_deployments(**place)["items"]]
        found += ["deployment" for _ in deployments]
        for one in api.get_gateway_responses(**place)["items"]:
            if not one.get("defaultResponse"):
                found.append(f"gateway response {one['responseType']}")
        for stage in api.get_stages(**place)["item"]:
            known = "deployed" if stage["deploymentId"] in deployments else "dangling"
            found.append(f"stage {stage['stageName']} {known}")
    return sorted(found)


def statements(session: boto3.Session, function: str) -> list[dict[str, Any]]:
    """Return the statements of a function's resource policy."""
    lambda_ = session.client("lambda")
    try:
        policy = lambda_.get_policy(FunctionName=function)["Policy"]
    except lambda_.exceptions.ResourceNotFoundException:
        return []
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing of the user's own AWS configuration is seen."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def in_turn(call: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.RLock()

    def locked(*arguments: Any, **named: Any) -> Any:
        with lock:
            return call(*arguments, **named)

    return locked


@pytest.fixture(scope="session")
def quick_moto() -> Iterator[None]:
    """Let moto read its RSA key once, not for each pool; and its classes, not for each call.

    And let botocore read a service's model once, not for each command that is run in this process.
    """
    read = functools.cache(lambda text: original(json.loads(text)))
    original = jwk.RSAKey.import_key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jwk.RSAKey, "import_key", lambda value: read(json.dumps(value)))
        load = JSONFileLoader.load_file
        loaded = functools.cache(lambda path: load(JSONFileLoader(), path))
        patch.setattr(JSONFileLoader, "load_file", lambda _self, path: loaded(path))
        names = functools.cache(responses.method_names_from_class)
        patch.setattr(responses, "method_names_from_class", names)
        # AWS takes two calls at once; moto's dictionaries are not made for that.
        patch.setattr(BotocoreStubber, "__call__", in_turn(BotocoreStubber.__call__))
        yield


def _update_method(response: Any) -> str:
    """Change who may call a method, as AWS does: all of it, or nothing if the outcome is wrong."""
    api, resource, http_method = (response.path.split("/")[part] for part in (2, 4, 6))
    method = response.backend.get_method(api, resource, http_method)
    names = {"/authorizationType": "authorization_type", "/authorizerId": "authorizer_id"}
    new = {name: getattr(method, name) for name in names.values()}
    new["api_key_required"] = method.api_key_required
    scopes = list(method.authorization_scopes or [])
    for operation in response._get_param("patchOperations"):  # noqa: SLF001 moto's own way
        op, path, value = operation["op"], operation["path"], operation["value"]
        if path == "/authorizationScopes":
            # A list's members are added and removed; the list as a whole can't be replaced.
            {"add": scopes.append, "remove": scopes.remove}[op](value)
            continue
        assert op == "replace"
        if path == "/apiKeyRequired":
            new["api_key_required"] = value == "true"
        else:
            new[names[path]] = value
    if new["authorization_type"] in {"NONE", "AWS_IAM"}:
        new["authorizer_id"] = None
    elif new["authorizer_id"] not in response.backend.get_rest_api(api).authorizers:
        raise BadRequestException(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM, "
            "COGNITO_USER_POOLS or JWT requires a valid authorizer."
        )
    if scopes and new["authorization_type"] not in {"COGNITO_USER_POOLS", "JWT"}:
        raise BadRequestException(
            "Invalid Method authorization type specified. Authorization Scopes are only valid for "
            "COGNITO_USER_POOLS and JWT authorization type"
        )
    for name, value in {**new, "authorization_scopes": scopes or None}.items():
        setattr(method, name, value)
    return json.dumps(method.to_json())


def _update_method_response(response: Any) -> tuple[int, dict[str, Any], str]:
    names = response.path.split("/")
    api, resource, http_method, status = (unquote(names[part]) for part in (2, 4, 6, 8))
    found = response.backend.get_method_response(api, resource, http_method, status)
    for operation in response._get_param("patchOperations"):  # noqa: SLF001 moto's own way
        assert operation["op"] == "add"
        assert operation["value"] in {"true", "false"}
        name = operation["path"].removeprefix("/responseParameters/")
        assert name.startswith("method.response.header.")
        declared = {**(found.response_parameters or {}), name: operation["value"] == "true"}
        found.response_parameters = declared
    return 201, {}, json.dumps(found.to_json())


def _put_method_response(
    backend: APIGatewayBackend, api: str, resource: str, method: str, status: str, *rest: Any
) -> Any:
    if backend.get_method_response(api, resource, method, status) is not None:
        raise ConflictException("Response already exists for this resource")
    return _moto_put_method_response(backend, api, resource, method, status, *rest)


def _put_integration_response(  # noqa: PLR0913, PLR0917 as moto has it
    backend: APIGatewayBackend,
    api: str,
    resource: str,
    method: str,
    status: str,
    pattern: Any,
    templates: Any,
    parameters: dict[str, str] | None,
    *rest: Any,
) -> Any:
    """Refuse a header that the method response of the same status doesn't declare, as AWS does."""
    declared = backend.get_method_response(api, resource, method, status)
    for name in parameters or {}:
        if declared is None or name not in (declared.response_parameters or {}):
            raise BadRequestException(
                "Invalid mapping expression specified: Validation Result: warnings : [], "
                f"errors : [Invalid mapping expression parameter specified: {name}]"
            )
    return _moto_put_integration_response(
        backend, api, resource, method, status, pattern, templates, parameters, *rest
    )


def _get_gateway_response(response: Any) -> tuple[int, dict[str, Any], str]:
    """Answer with API Gateway's own response, if nobody set one, where moto has none.

    It has the headers of the DEFAULT_ one of its kind, and says that it is a default all the same.
    """
    api, kind = response.path.split("/")[-3], response.path.split("/")[-1]
    set_by_user = response.backend.get_rest_api(api).gateway_responses
    if kind in set_by_user:
        return _moto_get_gateway_response(response)
    inherited = set_by_user.get("DEFAULT_4XX")
    status = {"UNAUTHORIZED": "401", "ACCESS_DENIED": "403"}.get(kind)
    answer = {
        "responseType": kind,
        "defaultResponse": True,
        "responseParameters": (inherited.response_parameters or {}) if inherited and status else {},
        "responseTemplates": {"application/json": '{"message":$context.error.messageString}'},
        **({"statusCode": status} if status else {}),
    }
    return 200, {}, json.dumps(answer)


_moto_put_method_response = APIGatewayBackend.put_method_response
_moto_put_integration_response = APIGatewayBackend.put_integration_response
_moto_get_gateway_response = APIGatewayResponse.get_gateway_response


def _create_authorizer(
    backend: APIGatewayBackend, restapi_id: str, name: str, *given: Any, **named: Any
) -> Any:
    """Refuse a name that another authorizer of the API has, as AWS does."""
    if name in [one.name for one in backend.get_rest_api(restapi_id).authorizers.values()]:
        raise BadRequestException(
            f"Authorizer name must be unique. Authorizer {name} already exists in this RestApi."
        )
    return _moto_create_authorizer(backend, restapi_id, name, *given, **named)


def _delete_authorizer(backend: APIGatewayBackend, restapi_id: str, authorizer_id: str) -> None:
    """Refuse it while a method refers to it, or if it isn't there, as AWS does."""
    api = backend.get_rest_api(restapi_id)
    if authorizer_id not in api.authorizers:
        raise AuthorizerNotFoundException
    for resource in api.resources.values():
        for name, method in resource.resource_methods.items():
            if method.authorizer_id == authorizer_id:
                raise ConflictException(
                    f"Cannot delete authorizer '{api.authorizers[authorizer_id].name}', is "
                    f"referenced in method: {name}/{resource.get_path()}"
                )
    del api.authorizers[authorizer_id]


def _create_deployment(
    backend: APIGatewayBackend, function_id: str, *given: Any, **named: Any
) -> Any:
    """Ask for an integration of each method, and take a snapshot, as AWS does."""
    api = backend.get_rest_api(function_id)
    methods = [one for each in api.resources.values() for one in each.resource_methods.values()]
    if any(one.method_integration is None for one in methods):
        raise BadRequestException("No integration defined for method")
    deployment = _moto_create_deployment(backend, function_id, *given, **named)
    deployment.exported = exported(api)
    return deployment


def exported(api: RestAPI) -> dict[str, Any]:
    """Return what AWS exports of an API, with integrations and authorizers, as OpenAPI 3.0.

    As in AWS's own examples:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
    """
    paths: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for resource in api.resources.values():
        for name, method in resource.resource_methods.items():
            verb = "x-amazon-apigateway-any-method" if name == "ANY" else name.lower()
            operation: dict[str, Any] = {"responses": {}}
            if security := _security(api, method, schemes):
                operation["security"] = security
            if method.method_integration is not None:
                integration = method.method_integration.to_json()
                answers = integration.pop("integrationResponses") or {}
                operation["x-amazon-apigateway-integration"] = {
                    "responses": {
                        one.get("selectionPattern", "default"): one for one in answers.values()
                    },
                    "type": integration.pop("type").lower(),
                    "passthroughBehavior": (integration.pop("passthroughBehavior") or "").lower(),
                    **{key: value for key, value in integration.items() if value},
                }
            paths.setdefault(resource.get_path(), {})[verb] = operation
    document = {
        "openapi": "3.0.1",
        "info": {"title": api.name},
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }
    copied: dict[str, Any] = json.loads(json.dumps(document))
    return copied


def _security(api: RestAPI, method: Any, schemes: dict[str, Any]) -> list[dict[str, Any]]:
    kind, security = method.authorization_type, []
    header = {"type": "apiKey", "in": "header"}
    if kind == "AWS_IAM":
        schemes["sigv4"] = {
            **header,
            "name": "Authorization",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
        security.append({"sigv4": []})
    elif authorizer := api.authorizers.get(method.authorizer_id):
        live = authorizer.to_json()
        kept = {key: live[key] for key in ("providerARNs", "authorizerUri") if key in live}
        schemes[live["name"]] = {
            **header,
            "name": "Authorization",
            "x-amazon-apigateway-authtype": kind.lower(),
            "x-amazon-apigateway-authorizer": {"type": live["type"].lower(), **kept},
        }
        security.append({live["name"]: method.authorization_scopes or []})
    if method.api_key_required:
        schemes["api_key"] = {**header, "name": "x-api-key"}
        security.append({"api_key": []})
    return security


def _get_deployment(backend: APIGatewayBackend, api: str, deployment: str) -> Any:
    """Answer that there is no such deployment, as AWS does, where moto breaks."""
    if deployment not in backend.get_rest_api(api).deployments:
        raise DeploymentNotFoundException
    return _moto_get_deployment(backend, api, deployment)


def _create_resource(backend: APIGatewayBackend, api: str, parent: str, part: str) -> Any:
    """Refuse a path that is there already, as AWS does."""
    for one in backend.get_rest_api(api).resources.values():
        if (one.parent_id, one.path_part) == (parent, part):
            raise ConflictException(
                f"Another resource with the same parent already has this name: {part}"
            )
    return _moto_create_resource(backend, api, parent, part)


def _put_method(
    backend: APIGatewayBackend, api: str, resource: str, method: str, *rest: Any, **named: Any
) -> Any:
    """Refuse a method that is there already, as AWS does."""
    if method in backend.get_resource(api, resource).resource_methods:
        raise ConflictException("Method already exists for this resource")
    return _moto_put_method(backend, api, resource, method, *rest, **named)


def _get_export(response: Any) -> Any:
    """Give what the stage's deployment is a snapshot of; moto exports the API as it stands."""
    names = response.path.split("/")
    api = response.backend.get_rest_api(names[2])
    deployment = api.deployments[response.backend.get_stage(names[2], names[4]).deployment_id]
    return 200, {"Content-Type": "application/json"}, json.dumps(deployment.exported).encode()


def _apply_operations(authorizer: Authorizer, operations: list[dict[str, Any]]) -> Authorizer:
    others = [operation for operation in operations if operation["path"] != "/providerARNs"]
    for operation in operations:
        if operation not in others:
            change = {"add": list.append, "remove": list.remove}[operation["op"]]
            change(authorizer.provider_arns, operation["value"])
            assert authorizer.provider_arns, "AWS refuses an authorizer without a provider"
    return _moto_apply_operations(authorizer, others)


def _tags_of(response: Any) -> dict[str, str]:
    """Return the tags that a tagging call is about: a REST API's or a stage's, to be changed."""
    names = unquote(response.path).split("/restapis/")[1].split("/")
    api = response.backend.get_rest_api(names[0])
    owner = api.stages[names[2]] if len(names) > 1 else api
    owner.tags = owner.tags or {}
    tags: dict[str, str] = owner.tags
    return tags


def _tag_resource(response: Any) -> str:
    _tags_of(response).update(response._get_param("tags"))  # noqa: SLF001 moto's own way
    return "{}"


def _untag_resource(response: Any) -> str:
    for key in response.querystring["tagKeys"]:
        _tags_of(response).pop(key, None)
    return "{}"


_moto_apply_operations = Authorizer.apply_operations


def _update_user_pool(backend: CognitoIdpBackend, pool: str, given: dict[str, Any]) -> None:
    """Reset what isn't given, as AWS documents it; what is chosen at the creation stays."""
    live = backend.describe_user_pool(pool)
    chosen = {key: live.extended_config[key] for key in CHOSEN if key in live.extended_config}
    given = {key: value for key, value in given.items() if key != "UserPoolId"}
    live.update_extended_config({"UserPoolTier": "ESSENTIALS", **given, **chosen})
    live.mfa_config = given.get("MfaConfiguration", "OFF")
    live.name = given.get("PoolName", live.name)


def _delete_rest_api(backend: APIGatewayBackend, api: str) -> RestAPI:
    """Answer that there is no such API, as AWS does, where moto breaks."""
    backend.get_rest_api(api)
    return _moto_delete_rest_api(backend, api)


def _get_integration(backend: APIGatewayBackend, api: str, resource: str, method: str) -> Any:
    """Answer that there is none, as AWS does, where moto answers with an empty one."""
    found = _moto_get_integration(backend, api, resource, method)
    if not found:
        raise NoIntegrationDefined
    return found


_moto_create_authorizer = APIGatewayBackend.create_authorizer
_moto_create_deployment = APIGatewayBackend.create_deployment
_moto_get_deployment = APIGatewayBackend.get_deployment
_moto_create_resource = APIGatewayBackend.create_resource
_moto_put_method = APIGatewayBackend.put_method
_moto_delete_rest_api = APIGatewayBackend.delete_rest_api
_moto_get_integration = APIGatewayBackend.get_integration
CHOSEN = ("UsernameConfiguration", "UsernameAttributes", "AliasAttributes")


@pytest.fixture(scope="session")
def whole_moto(quick_moto: None) -> Iterator[None]:
    """What moto lacks of AWS: UpdateMethod, patches of providerARNs, UpdateUserPool's resets,

    tags of a REST API, the deletion of one that is gone, an integration or a deployment that isn't
    there, UpdateMethodResponse, a second PutMethodResponse, a header that no method response
    declares, gateway responses that nobody set; that a path and a method are made once, that
    authorizers' names are unique in an API, that one which is referred to stays, and that an export
    shows what is deployed; authorizers of type JWT.
    """
    del quick_moto
    with pytest.MonkeyPatch.context() as patch:
        newer = [*AUTHORIZER_TYPES, "JWT"]
        patch.setattr("moto.apigateway.responses.AUTHORIZER_TYPES", newer)
        patch.setattr(APIGatewayResponse, "update_method", _update_method, raising=False)
        patch.setattr(
            APIGatewayResponse, "update_method_response", _update_method_response, raising=False
        )
        patch.setattr(APIGatewayResponse, "get_gateway_response", _get_gateway_response)
        patch.setattr(APIGatewayResponse, "tag_resource", _tag_resource)
        patch.setattr(APIGatewayResponse, "untag_resource", _untag_resource)
        patch.setattr(CognitoIdpBackend, "update_user_pool", _update_user_pool)
        patch.setattr(Authorizer, "apply_operations", _apply_operations)
        patch.setattr(APIGatewayBackend, "delete_rest_api", _delete_rest_api)
        patch.setattr(APIGatewayBackend, "get_integration", _get_integration)
        patch.setattr(APIGatewayBackend, "put_method_response", _put_method_response)
        patch.setattr(APIGatewayBackend, "put_integration_response", _put_integration_response)
        patch.setattr(APIGatewayBackend, "create_authorizer", _create_authorizer)
        patch.setattr(APIGatewayBackend, "delete_authorizer", _delete_authorizer)
        patch.setattr(APIGatewayBackend, "create_deployment", _create_deployment)
        patch.setattr(APIGatewayBackend, "get_deployment", _get_deployment)
        patch.setattr(APIGatewayBackend, "create_resource", _create_resource)
        patch.setattr(APIGatewayBackend, "put_method", _put_method)
        patch.setattr(APIGatewayResponse, "get_export", _get_export)
        yield


@pytest.fixture
def moto_aws(whole_moto: None, no_credentials: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS played by moto, empty, with credentials that are worth nothing."""
    del whole_moto
    no_credentials.setenv("AWS_ACCESS_KEY_ID", "testing")
    no_credentials.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture(scope="session")
def clients() -> Callable[[str], Aws]:
    """Return an Aws by region, with its clients: they take a second to make, so all tests share."""
    made: dict[str, Aws] = {}

    def get(region: str) -> Aws:
        if region not in made:
            with pytest.MonkeyPatch.context() as patch:
                if region in IAM_ENDPOINTS:
                    patch.setenv("AWS_ENDPOINT_URL_IAM", IAM_ENDPOINTS[region])
                made[region] = Aws(region=region)
                for name in CLIENTS:
                    getattr(made[region], name)
            _ = made[region].identity
            # The clients' models are very many objects that stay: a fifth of the tests' time went
            # into the collector's looking through them.
            gc.collect()
            gc.freeze()
        return made[region]

    return get


@pytest.fixture
def account(moto_aws: None, clients: Callable[[str], Aws], tmp_path: Path) -> Account:
    """An empty account in a region of the partition aws."""
    del moto_aws
    return Account(clients(REGION), tmp_path / "stacks")


def add_managed_policy(region: str) -> None:
    """Let IAM have the managed policy that `--power-user` attaches; all of them take seconds."""
    name = "AmazonCognitoPowerUser"
    data = json.loads(aws_managed_policies_data)[name]
    policy = AWSManagedPolicy.from_data(name, DEFAULT_ACCOUNT_ID, region, data)
    backend = iam_backends[DEFAULT_ACCOUNT_ID][get_partition(region)]
    backend.managed_policies[policy.arn] = policy


@pytest.fixture
def managed_policies(account: Account) -> None:
    """IAM has the managed policy that `--power-user` attaches."""
    add_managed_policy(account.region)
