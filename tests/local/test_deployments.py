"""A stage of the local AWS serves what was deployed, until the next deployment."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from support.local_gateway import JSON, Api, LocalGateway, mock, says

pytestmark = pytest.mark.local


def serves(api: Api, stage: str = "s") -> tuple[int, str]:
    answer = api.call(verb="GET", stage=stage)
    return answer.status_code, answer.text


def test_a_stage_serves_what_was_deployed_through_changes_stops_and_rollbacks(
    there: LocalGateway,
) -> None:
    api = there.api()
    api.method(verb="GET", integration=mock(), responses=says("one"))
    first = api.deploy()
    api.respond("/x", "GET", says("two"))
    api.method("/new", "GET", integration=mock(), responses=says("new"))
    assert serves(api) == (200, "one")
    assert api.call("/new", "GET").status_code == 403
    second = api.deploy()
    assert serves(api) == (200, "two")
    assert api.call("/new", "GET").text == "new"
    api.respond("/x", "GET", says("three"))

    there.local.stop()
    assert there.local.start().endpoint_url == there.endpoint_url
    assert serves(api) == (200, "two")

    def move(deployment: str) -> None:
        operation = {"op": "replace", "path": "/deploymentId", "value": deployment}
        there.apigateway.update_stage(restApiId=api.id, stageName="s", patchOperations=[operation])

    move(first)
    assert serves(api) == (200, "one")
    assert api.call("/new", "GET").status_code == 403
    move(second)
    assert serves(api) == (200, "two")
    # Another stage, with the current API.
    api.deploy("t")
    assert (serves(api), serves(api, "t")) == ((200, "two"), (200, "three"))


def test_a_stage_is_put_on_a_deployment_that_is_there(there: LocalGateway) -> None:
    api = there.api()
    api.method(verb="GET", integration=mock(), responses=says("deployed"))
    deployment = api.deploy()
    api.respond("/x", "GET", says("changed"))
    gateway, place = there.apigateway, {"restApiId": api.id, "stageName": "s"}
    operation = {"op": "replace", "path": "/deploymentId", "value": "unknown0"}
    for refused, code, call in (
        (
            "Deployment id does not exist",
            "BadRequestException",
            lambda: gateway.update_stage(**place, patchOperations=[operation]),
        ),
        (
            "Deployment id does not exist",
            "BadRequestException",
            lambda: gateway.create_stage(**{**place, "stageName": "t"}, deploymentId="unknown0"),
        ),
        (
            "Stage already exists",
            "ConflictException",
            lambda: gateway.create_stage(**place, deploymentId=deployment),
        ),
    ):
        with pytest.raises(ClientError, match=f"{code}.*{refused}"):
            call()
    assert serves(api) == (200, "deployed")
    assert [one["stageName"] for one in gateway.get_stages(restApiId=api.id)["item"]] == ["s"]


def test_what_is_deleted_is_served_until_the_next_deployment(
    there: LocalGateway, pool: dict[str, str], echo: str
) -> None:
    gateway, api = there.apigateway, there.api()
    authorizer = gateway.create_authorizer(
        restApiId=api.id,
        name="pool",
        type="COGNITO_USER_POOLS",
        providerARNs=[pool["arn"]],
        identitySource="method.request.header.Authorization",
    )["id"]
    api.method(
        verb="GET",
        integration=mock(),
        responses=says("guarded"),
        authorizationType="COGNITO_USER_POOLS",
        authorizerId=authorizer,
    )
    gateway.create_model(
        restApiId=api.id,
        name="Named",
        contentType=JSON,
        schema='{"type": "object", "required": ["name"]}',
    )
    validator = gateway.create_request_validator(restApiId=api.id, validateRequestBody=True)["id"]
    api.method(
        "/checked",
        integration={"type": "AWS", "function": echo},
        requestValidatorId=validator,
        requestModels={JSON: "Named"},
    )
    api.method("/kept", "GET", integration=mock(), responses=says("kept"))
    api.deploy()

    def answers() -> list[int]:
        token = {"Authorization": pool["id"]}
        return [
            api.call(verb="GET").status_code,
            api.call(verb="GET", headers=token).status_code,
            api.call("/checked", json={"name": "ann"}).status_code,
            api.call("/checked", json={"nobody": "ann"}).status_code,
            api.call("/kept", "GET").status_code,
        ]

    deployed = [401, 200, 200, 400, 200]
    assert answers() == deployed
    place = {"restApiId": api.id, "resourceId": api.resources["/x"], "httpMethod": "GET"}
    gateway.update_method(
        **place,
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}],
    )
    gateway.delete_authorizer(restApiId=api.id, authorizerId=authorizer)
    gateway.delete_model(restApiId=api.id, modelName="Named")
    gateway.delete_request_validator(restApiId=api.id, requestValidatorId=validator)
    gateway.delete_resource(restApiId=api.id, resourceId=api.resources["/kept"])
    # The control plane shows the current API.
    assert "/kept" not in {r["path"] for r in gateway.get_resources(restApiId=api.id)["items"]}
    assert gateway.get_authorizers(restApiId=api.id)["items"] == []
    assert gateway.get_method(**place)["authorizationType"] == "NONE"
    assert answers() == deployed
    api.deploy()
    assert answers() == [200, 200, 200, 200, 403]


def test_the_apis_policy_acts_as_it_was_deployed_and_stage_settings_act_at_once(
    there: LocalGateway,
) -> None:
    gateway, api = there.apigateway, there.api()
    api.method(verb="GET", integration=mock(), responses=says("$stageVariables.colour"))
    api.deploy(variables={"colour": "blue"})
    everyone = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **everyone}]}
    denied = {"op": "replace", "path": "/policy", "value": json.dumps(policy)}
    gateway.update_rest_api(restApiId=api.id, patchOperations=[denied])
    green = {"op": "replace", "path": "/variables/colour", "value": "green"}
    gateway.update_stage(restApiId=api.id, stageName="s", patchOperations=[green])
    assert serves(api) == (200, "green")
    api.deploy()
    assert serves(api)[0] == 403


def test_a_function_sees_the_api_as_it_stands_while_its_stage_serves_what_was_deployed(
    there: LocalGateway,
) -> None:
    function = there.function("look")
    api = there.api()
    there.let(function, f"{api.id}/*")
    api.method(integration={"type": "AWS", "function": function})
    api.deploy()
    api.method("/later", "GET", integration=mock())
    answer = api.call(json={"api": api.id})
    assert (answer.status_code, answer.json()) == (200, ["/", "/x", "/later"])
    assert api.call("/later", "GET").status_code == 403


def test_an_api_without_methods_or_with_an_unfinished_one_is_not_deployed(
    there: LocalGateway,
) -> None:
    gateway, api = there.apigateway, there.api()

    def refusal() -> tuple[str, str]:
        with pytest.raises(ClientError) as caught:
            api.deploy()
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    api.resource("/x")
    assert refusal() == ("BadRequestException", "The REST API doesn't contain any methods")
    place = {"restApiId": api.id, "resourceId": api.resources["/x"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE")
    assert refusal() == ("BadRequestException", "No integration defined for method")
    assert gateway.get_deployments(restApiId=api.id)["items"] == []
    assert gateway.get_stages(restApiId=api.id)["item"] == []
    with pytest.raises(ClientError) as caught:
        gateway.create_deployment(restApiId="none")
    assert caught.value.response["Error"]["Code"] == "NotFoundException"


def test_a_deployment_stays_as_long_as_a_stage_is_on_it_and_ends_with_the_api(
    there: LocalGateway,
) -> None:
    gateway, api = there.apigateway, there.api()
    api.method(verb="GET", integration=mock(), responses=says("one"))
    first = api.deploy()
    with pytest.raises(ClientError) as caught:
        gateway.delete_deployment(restApiId=api.id, deploymentId=first)
    assert caught.value.response["Error"]["Code"] == "BadRequestException"
    assert serves(api) == (200, "one")
    api.deploy()
    gateway.delete_deployment(restApiId=api.id, deploymentId=first)
    assert serves(api) == (200, "one")
    # The copies aren't shown.
    (deployment,) = gateway.get_deployments(restApiId=api.id)["items"]
    assert set(deployment) <= {"id", "description", "createdDate", "apiSummary"}
    gateway.delete_rest_api(restApiId=api.id)
    assert api.call(verb="GET").status_code in {403, 404}
