"""What is deployed: when the API is deployed anew, and which deployments and stages stay."""

from typing import Any

import pytest
from moto.apigateway.models import apigateway_backends

from cogauth import engine
from cogauth.errors import CogauthError
from support.account import Account
from support.built import Built
from support.calls import Call, refusal
from support.reporters import Told
from support.stacks import STACK, UNCHANGED, existing, fact, stage
from support.tampers import change_template, delete_stage, open_protected_method


def test_a_changed_api_is_deployed_anew_and_the_former_deployment_deleted(
    account: Account,
) -> None:
    account.stands()
    former = stage(account)["deploymentId"]
    account.client("apigateway").update_method(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "hello_resource"),
        httpMethod="GET",
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}],
    )
    told = Told()
    with account.calls.watched() as calls:
        results = engine.up(account.context(), told)
    actions = {result.step: result.action for result in results}
    assert told.changes[0] == "protected method: GET /hello was open: NONE → COGNITO_USER_POOLS"
    assert told.changes[1].startswith("stage: deploymentId: ")
    assert actions["protected_method"] == "updated"
    assert actions["deployment"] in {"created", "updated"}
    assert [call.operation for call in calls].count("GetDeployments") == 1
    newest = stage(account)["deploymentId"]
    assert newest != former
    assert newest == fact(account, "deployment")
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_a_stage_that_is_made_again_leaves_no_superseded_deployment(account: Account) -> None:
    account.stands()
    delete_stage(account)
    open_protected_method(account)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_nor_does_one_that_could_not_be_made_before(account: Account) -> None:
    def refuse(call: Call) -> Any:
        denied = call.operation == "CreateStage"
        return refusal(403, "AccessDeniedException") if denied else None

    with account.calls.watched(refuse), pytest.raises(CogauthError, match="Deployment"):
        account.up()
    assert account.state().record("stage") is None
    open_protected_method(account)
    account.up()
    assert existing(account) == STACK
    assert account.up() == UNCHANGED


def test_whoever_deployed_the_api_later_is_left_on_its_stage(account: Account) -> None:
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    theirs = api.create_deployment(**place, description="the owner's")["id"]
    patch = [{"op": "replace", "path": "/deploymentId", "value": theirs}]
    api.update_stage(**place, stageName="dev", patchOperations=patch)
    found = apigateway_backends[account.aws.account][account.region].apis[place["restApiId"]]
    ours = found.deployments[fact(account, "deployment")]
    # AWS dates deployments to the second.
    for later_s in (60, 0):
        found.deployments[theirs].created_date = ours.created_date + later_s
        assert account.up() == UNCHANGED
        assert stage(account)["deploymentId"] == theirs


def test_a_stage_that_was_put_on_an_older_deployment_is_put_back(account: Account) -> None:
    """The older deployment may lack the guard."""
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    older = api.create_deployment(**place, description="the owner's")["id"]
    found = apigateway_backends[account.aws.account][account.region].apis[place["restApiId"]]
    ours = found.deployments[fact(account, "deployment")]
    found.deployments[older].created_date = ours.created_date - 60
    patch = [{"op": "replace", "path": "/deploymentId", "value": older}]
    api.update_stage(**place, stageName="dev", patchOperations=patch)
    assert account.up()["deployment"] == "updated"
    assert stage(account)["deploymentId"] == fact(account, "deployment")


def test_a_superseded_deployment_that_another_stage_is_on_stays(account: Account) -> None:
    account.stands()
    api, place = account.client("apigateway"), {"restApiId": fact(account, "rest_api")}
    former = fact(account, "deployment")
    api.create_stage(**place, stageName="prod", deploymentId=former)
    change_template(account)
    account.up()
    assert fact(account, "deployment") != former
    assert former in {item["id"] for item in api.get_deployments(**place)["items"]}


def test_stage_and_its_throttle_of_one_method(built: Built) -> None:
    stage = built.stage
    assert stage["deploymentId"] == built.fact("deployment")
    assert stage["tags"] == built.tags
    (settings,) = stage["methodSettings"].items()
    key, throttle = settings
    assert key.replace("~1", "/").strip("/") == "signin/POST"
    assert throttle["throttlingRateLimit"] == 20
    assert throttle["throttlingBurstLimit"] == 40
