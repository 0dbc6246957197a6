"""What exists in AWS, according to its own calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Gives the boto3 client for a service.
Clients = Callable[[str], Any]
# Full descriptions by kind and name; Cognito and API Gateway allow several with one name.
World = dict[str, list[dict[str, Any]]]


def left_in_aws(client: Clients) -> list[str]:
    """List every pool, role, function, REST API and log group by kind and name."""
    return sorted(f"{kind} {name}" for kind, name, _ in _listed(client))


def described(client: Clients, stack: str | None = None) -> World:
    """Describe everything that `left_in_aws` lists, with its contents.

    Args:
        client: gives boto3's clients.
        stack: only what has this name; other stacks' resources may come and go meanwhile.
    """
    describe = {
        "pool": _pool,
        "role": _role,
        "function": _function,
        "logs": _log_group,
        "api": _rest_api,
    }
    world: World = {}
    for kind, name, entry in _listed(client):
        if stack and not re.search(rf"\b{stack}\b", name):
            continue
        world.setdefault(f"{kind} {name}", []).append(describe[kind](client, entry))
    return world


def inventory(client: Clients) -> list[str]:
    """List everything that `left_in_aws` lists, and its contents."""
    found = []
    for kind, name, entry in _listed(client):
        found += [f"{kind} {name}", *INSIDE[kind](client, entry)]
    return sorted(found)


def _listed(client: Clients) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for entry in client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]:
        yield "pool", entry["Name"], entry
    for entry in client("iam").list_roles()["Roles"]:
        yield "role", entry["RoleName"], entry
    for entry in client("lambda").list_functions()["Functions"]:
        yield "function", entry["FunctionName"], entry
    for entry in client("apigateway").get_rest_apis(limit=500)["items"]:
        yield "api", entry["name"], entry
    for entry in client("logs").describe_log_groups()["logGroups"]:
        yield "logs", entry["logGroupName"], entry


def _pool(client: Clients, entry: dict[str, Any]) -> dict[str, Any]:
    cognito, place = client("cognito-idp"), {"UserPoolId": entry["Id"]}
    listed = cognito.list_user_pool_clients(**place, MaxResults=60)["UserPoolClients"]
    clients = [
        cognito.describe_user_pool_client(**place, ClientId=one["ClientId"])["UserPoolClient"]
        for one in listed
    ]
    return {**cognito.describe_user_pool(**place)["UserPool"], "clients": clients}


def _role(client: Clients, entry: dict[str, Any]) -> dict[str, Any]:
    iam, place = client("iam"), {"RoleName": entry["RoleName"]}
    policies = {
        name: iam.get_role_policy(**place, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(**place)["PolicyNames"]
    }
    attached = iam.list_attached_role_policies(**place)["AttachedPolicies"]
    return {**iam.get_role(**place)["Role"], "policies": policies, "attached": attached}


def _function(client: Clients, entry: dict[str, Any]) -> dict[str, Any]:
    name = entry["FunctionName"]
    found = client("lambda").get_function(FunctionName=name)
    tags, policy = found.get("Tags"), statements(client, name)
    return {**found["Configuration"], "tags": tags, "policy": policy}


def statements(client: Clients, function: str) -> list[dict[str, Any]]:
    """Return the statements of a function's resource policy."""
    lambda_ = client("lambda")
    try:
        policy = lambda_.get_policy(FunctionName=function)["Policy"]
    except lambda_.exceptions.ResourceNotFoundException:
        return []
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def _log_group(client: Clients, entry: dict[str, Any]) -> dict[str, Any]:
    tags = client("logs").list_tags_log_group(logGroupName=entry["logGroupName"])["tags"]
    # The amount of logged data isn't part of what was made.
    return {**{key: value for key, value in entry.items() if key != "storedBytes"}, "tags": tags}


def _rest_api(client: Clients, entry: dict[str, Any]) -> dict[str, Any]:
    api, place = client("apigateway"), {"restApiId": entry["id"]}
    paths = api.get_resources(**place, embed=["methods"])["items"]
    responses = [
        one for one in api.get_gateway_responses(**place)["items"] if not one.get("defaultResponse")
    ]
    return {
        **entry,
        "paths": sorted(paths, key=lambda path: str(path["path"])),
        "authorizers": api.get_authorizers(**place)["items"],
        "gateway responses": sorted(responses, key=lambda one: str(one["responseType"])),
        "deployments": api.get_deployments(**place)["items"],
        "stages": api.get_stages(**place)["item"],
    }


def _in_pool(client: Clients, entry: dict[str, Any]) -> Iterator[str]:
    cognito, place = client("cognito-idp"), {"UserPoolId": entry["Id"]}
    for _ in cognito.list_user_pool_clients(**place, MaxResults=60)["UserPoolClients"]:
        yield "client"
    pool = cognito.describe_user_pool(**place)["UserPool"]
    yield from (f"trigger {name}" for name in pool.get("LambdaConfig", {}))


def _in_role(client: Clients, entry: dict[str, Any]) -> Iterator[str]:
    iam, place = client("iam"), {"RoleName": entry["RoleName"]}
    yield from (f"policy {name}" for name in iam.list_role_policies(**place)["PolicyNames"])
    for policy in iam.list_attached_role_policies(**place)["AttachedPolicies"]:
        yield f"attached {policy['PolicyName']}"


def _in_function(client: Clients, entry: dict[str, Any]) -> Iterator[str]:
    for statement in statements(client, entry["FunctionName"]):
        yield f"permission {statement['Sid']}"


def _in_rest_api(client: Clients, entry: dict[str, Any]) -> Iterator[str]:
    one = _rest_api(client, entry)
    for path in one["paths"]:
        yield f"path {path['path']}"
        for name, method in path.get("resourceMethods", {}).items():
            integration = method.get("methodIntegration", {})
            answers = ",".join(sorted(integration.get("integrationResponses", {})))
            yield f"method {name} {path['path']} {answers}"
    yield from ("authorizer" for _ in one["authorizers"])
    yield from ("deployment" for _ in one["deployments"])
    yield from (f"gateway response {each['responseType']}" for each in one["gateway responses"])
    deployments = [each["id"] for each in one["deployments"]]
    for stage in one["stages"]:
        known = "deployed" if stage["deploymentId"] in deployments else "dangling"
        yield f"stage {stage['stageName']} {known}"


INSIDE: dict[str, Callable[[Clients, dict[str, Any]], Iterator[str]]] = {
    "pool": _in_pool,
    "role": _in_role,
    "function": _in_function,
    "logs": lambda _client, _entry: iter(()),
    "api": _in_rest_api,
}
VOLATILE = {
    "CreationDate",
    "LastModifiedDate",
    "LastModified",
    "CreateDate",
    "createdDate",
    "lastUpdatedDate",
    "creationTime",
    "RoleId",
    "RoleLastUsed",
    "RevisionId",
    "ClientSecret",
    "ResponseMetadata",
    "Location",
    "rootResourceId",
}


def lasting(found: Any) -> Any:
    """Return the same without the values that AWS generates or counts."""
    if isinstance(found, dict):
        return {key: lasting(value) for key, value in found.items() if key not in VOLATILE}
    return [lasting(one) for one in found] if isinstance(found, list) else found


def portrait(client: Clients, state: Path) -> dict[str, Any]:
    """Describe a state file's stack, with each id replaced by the name of its resource.

    Two stacks that differ only in their names have equal portraits.
    """
    data = json.loads(state.read_text())
    found = json.dumps(lasting(described(client, data["stack"])), default=str)
    for key, record in data["resources"].items():
        # A trigger's id is the pool's; a policy's id is a word that other names contain.
        if re.fullmatch(r"[\w-]{8,}", record["id"]) and key != "trigger":
            found = found.replace(record["id"], f"<{key}>")
    found = found.replace(data["stack_id"], "<stack-id>").replace(data["stack"], "STACK")
    # No record has the id of an API's root path.
    found = re.sub(r'("parentId": )"\w+"', r"\1null", found)
    world: World = json.loads(found)
    for api in world.get("api STACK", []):
        for path in api["paths"]:
            if path["path"] == "/":
                del path["id"]
    statuses = {record["status"] for record in data["resources"].values()}
    return {**world, "statuses": sorted(statuses), "resources": sorted(data["resources"])}
