"""What stands in AWS, as its own calls tell it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from support.local_aws import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import boto3


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


def all_that_stands(url: str) -> dict[str, Any]:
    """Describe all in an emulator of the kinds that cogauth makes."""
    cognito, iam, functions, logs, api = (
        client(name, url) for name in ("cognito-idp", "iam", "lambda", "logs", "apigateway")
    )
    world: dict[str, Any] = {}
    for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        name = {"UserPoolId": pool["Id"]}
        world[f"pool {pool['Name']}"] = cognito.describe_user_pool(**name)["UserPool"]
        for one in cognito.list_user_pool_clients(**name, MaxResults=60)["UserPoolClients"]:
            world[f"client {one['ClientName']}"] = cognito.describe_user_pool_client(
                **name, ClientId=one["ClientId"]
            )["UserPoolClient"]
    for role in iam.list_roles()["Roles"]:
        name = {"RoleName": role["RoleName"]}
        world[f"role {role['RoleName']}"] = {
            **iam.get_role(**name)["Role"],
            "policies": [
                iam.get_role_policy(**name, PolicyName=policy)["PolicyDocument"]
                for policy in iam.list_role_policies(**name)["PolicyNames"]
            ],
            "attached": iam.list_attached_role_policies(**name)["AttachedPolicies"],
        }
    for function in functions.list_functions()["Functions"]:
        name = {"FunctionName": function["FunctionName"]}
        described = functions.get_function(**name)
        world[f"function {function['FunctionName']}"] = {
            "configuration": described["Configuration"],
            "tags": described.get("Tags"),
            "policy": functions.get_policy(**name)["Policy"],
        }
    for found in api.get_rest_apis(limit=500)["items"]:
        name = {"restApiId": found["id"]}
        world[f"api {found['name']}"] = {
            "api": found,
            "resources": api.get_resources(**name, embed=["methods"])["items"],
            "authorizers": api.get_authorizers(**name)["items"],
            "deployments": api.get_deployments(**name)["items"],
            "stages": api.get_stages(**name)["item"],
        }
    for group in logs.describe_log_groups()["logGroups"]:
        # How much has been logged is no part of what was made.
        world[f"log group {group['logGroupName']}"] = {
            **{key: value for key, value in group.items() if key != "storedBytes"},
            "tags": logs.list_tags_log_group(logGroupName=group["logGroupName"])["tags"],
        }
    return world


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
    for key, record in data["resources"].items():
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
    statuses = {record["status"] for record in data["resources"].values()}
    return {**document, "statuses": sorted(statuses), "resources": sorted(data["resources"])}
