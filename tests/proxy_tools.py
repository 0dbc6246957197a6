"""A proxy on this machine's loopback, in front of a local AWS, that strikes at one call.

Beside it: a stack's description in which nothing is left that differs between two clean runs.
"""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cli_tools import PATIENCE, client

from benchmarks.proxy import PassThrough

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.operations import Request
    from benchmarks.proxy import Answer

READS = ("Get", "List", "Describe")
# Behind these in a path of API Gateway comes an id, another one in each run.
PARENTS = ("restapis", "resources", "deployments", "authorizers")


@dataclass(frozen=True)
class Call:
    """A call as it is the same in every run: what it does to which resource, the how manieth."""

    what: str
    nth: int

    def __str__(self) -> str:
        return self.what if self.nth == 1 else f"{self.what} ({self.nth})"


def what_of(method: str, path: str, headers: dict[str, str], body: bytes, stack: str) -> str | None:
    """Return what a mutating request does to what; None for one that only reads, or signs in."""
    target = headers.get("x-amz-target", "")
    if target or path == "/":
        fields = (
            json.loads(body) if target else {k: v[0] for k, v in parse_qs(body.decode()).items()}
        )
        operation = target.rpartition(".")[2] or fields["Action"]
        names = [fields[key] for key in ("logGroupName", "RoleName", "PolicyName") if key in fields]
        what = " ".join([operation, *names])
        return None if operation.startswith(READS) else what.replace(stack, "STACK")
    if method == "GET" or "/_user_request_" in path:
        return None
    parts = urlsplit(path).path.split("/")
    for place in range(1, len(parts)):
        if parts[place - 1] in PARENTS:
            parts[place] = "*"
    what = f"{method} {'/'.join(parts)}"
    if method == "POST":
        given = json.loads(body or b"{}")
        names = [given[key] for key in ("FunctionName", "pathPart", "StatementId") if key in given]
        what = " ".join([what, *names])
    return what.replace(stack, "STACK")


@dataclass
class Strike:
    """What happens at one call, and when: before it reaches the server, or before its answer."""

    call: Call
    when: str  # "before" or "after"
    do: Callable[[], bool]  # says whether the call goes on


class Proxy(PassThrough):
    """Passes on all that it gets, and keeps the mutating calls that it saw."""

    patience_s = PATIENCE

    def __init__(self, upstream: str, stack: str, strike: Strike | None = None) -> None:
        super().__init__(upstream)
        self.stack = stack
        self.strike = strike
        # What every mutating call waits for before it goes on.
        self.hold: Gate | None = None
        self.seen: list[Call] = []
        # What a handler of a request met that the tests must see.
        self.broken: list[BaseException] = []
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Answer | None:
        headers = {name.lower(): value for name, value in request.headers}
        what = what_of(request.method, request.path, headers, request.body, self.stack)
        strike = None
        if what is not None:
            with self._lock:
                call = Call(what, 1 + sum(call.what == what for call in self.seen))
                self.seen.append(call)
                if self.strike is not None and self.strike.call == call:
                    strike, self.strike = self.strike, None
        if what is not None and self.hold is not None:
            self.hold()
        if strike and strike.when == "before" and not self._do(strike):
            return None
        answer = self.ask(request)
        if strike and strike.when == "after" and not self._do(strike):
            return None
        return answer

    def _do(self, strike: Strike) -> bool:
        try:
            return strike.do()
        except BaseException as error:
            self.broken.append(error)
            raise


@dataclass
class Gate:
    """Holds a call until the test lets it go on, or be lost."""

    reached: threading.Event = field(default_factory=threading.Event)
    verdict: Future[bool] = field(default_factory=Future)

    def __call__(self) -> bool:
        self.reached.set()
        return self.verdict.result(PATIENCE)

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE), "the call was never made"


VOLATILE = {
    "CreationDate",
    "LastModifiedDate",
    "LastModified",
    "CreateDate",
    "createdDate",
    "lastUpdatedDate",
    "creationTime",
    "storedBytes",
    "RoleId",
    "RoleLastUsed",
    "RevisionId",
    "ClientSecret",
    "ResponseMetadata",
    "Location",
    "rootResourceId",
}


def standing(url: str, stack: str) -> dict[str, list[Any]]:
    """Describe all that has one of the stack's names, by kind; several of one name as several."""
    world: dict[str, list[Any]] = {}
    for kind, found in (
        *_cognito(client("cognito-idp", url), stack),
        *_iam(client("iam", url), stack),
        *_lambda(client("lambda", url), stack),
        *_apigateway(client("apigateway", url), stack),
        *_logs(client("logs", url), stack),
    ):
        world.setdefault(kind, []).append(found)
    return world


def _cognito(cognito: Any, stack: str) -> Iterator[tuple[str, Any]]:
    for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        if pool["Name"] == stack:
            place = {"UserPoolId": pool["Id"]}
            yield "pool", cognito.describe_user_pool(**place)["UserPool"]
            for one in cognito.list_user_pool_clients(**place, MaxResults=60)["UserPoolClients"]:
                described = cognito.describe_user_pool_client(**place, ClientId=one["ClientId"])
                yield "client", described["UserPoolClient"]


def _named(found: list[dict[str, Any]], key: str, prefix: str) -> list[str]:
    return sorted(one[key] for one in found if one[key].startswith(prefix))


def _iam(iam: Any, stack: str) -> Iterator[tuple[str, Any]]:
    for role in _named(iam.list_roles()["Roles"], "RoleName", f"{stack}-"):
        place = {"RoleName": role}
        policies = iam.list_role_policies(**place)["PolicyNames"]
        documents = [
            iam.get_role_policy(**place, PolicyName=name)["PolicyDocument"] for name in policies
        ]
        attached = iam.list_attached_role_policies(**place)["AttachedPolicies"]
        described = iam.get_role(**place)["Role"]
        yield "role", {**described, "policies": documents, "attached": attached}


def _lambda(lambda_: Any, stack: str) -> Iterator[tuple[str, Any]]:
    for name in _named(lambda_.list_functions()["Functions"], "FunctionName", f"{stack}-"):
        described = lambda_.get_function(FunctionName=name)
        tags, policy = described.get("Tags"), _policy(lambda_, name)
        yield "function", {**described["Configuration"], "tags": tags, "policy": policy}


def _apigateway(api: Any, stack: str) -> Iterator[tuple[str, Any]]:
    for found in api.get_rest_apis(limit=500)["items"]:
        if found["name"] == stack:
            place = {"restApiId": found["id"]}
            resources = api.get_resources(**place, embed=["methods"])["items"]
            yield "api", found
            yield "paths", sorted(resources, key=lambda item: str(item["path"]))
            yield "authorizers", api.get_authorizers(**place)["items"]
            yield "deployments", api.get_deployments(**place)["items"]
            yield "stages", api.get_stages(**place)["item"]


def _logs(logs: Any, stack: str) -> Iterator[tuple[str, Any]]:
    prefix = f"/aws/lambda/{stack}-"
    for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
        tags = logs.list_tags_log_group(logGroupName=group["logGroupName"])["tags"]
        yield "log group", {**group, "tags": tags}


def _policy(lambda_: Any, name: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(lambda_.get_policy(FunctionName=name)["Policy"])["Statement"]
    except lambda_.exceptions.ResourceNotFoundException:
        return []
    return found


def _lasting(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _lasting(value) for key, value in found.items() if key not in VOLATILE}
    return [_lasting(one) for one in found] if isinstance(found, list) else found


def portrait(url: str, state: Path) -> dict[str, Any]:
    """Describe a stack by its state file, with all ids in it replaced by what they are of.

    Two stacks that are the same but for their names have equal portraits.
    """
    data = json.loads(state.read_text())
    found = json.dumps(_lasting(standing(url, data["stack"])), default=str)
    for records in data["resources"].values():
        for key, record in records.items():
            if re.fullmatch(r"[\w-]{8,}", record["id"]):
                found = found.replace(record["id"], f"<{key}>")
    found = found.replace(data["stack_id"], "<stack-id>").replace(data["stack"], "STACK")
    # The root of an API's paths is nobody's record.
    found = re.sub(r'("parentId": )"\w+"', r"\1null", found)
    document: dict[str, Any] = json.loads(found)
    for paths in document["paths"]:
        for path in paths:
            if path["path"] == "/":
                del path["id"]
    statuses = {r["status"] for records in data["resources"].values() for r in records.values()}
    return {**document, "statuses": sorted(statuses), "steps": sorted(data["resources"])}
