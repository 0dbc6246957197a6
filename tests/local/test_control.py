"""How API Gateway's control plane answers on the local AWS: patches, summaries and exports."""

import json
from typing import Any

import pytest

from support.local_gateway import LocalGateway

pytestmark = pytest.mark.local

POOL = "arn:aws:cognito-idp:eu-central-1:000000000000:userpool/eu-central-1_{}"
SETTINGS = "x-amazon-apigateway-authorizer"


class Api:
    """An API with a method of each kind of guard."""

    def __init__(self, apis: Any) -> None:
        self.apis = apis
        made = apis.create_rest_api(name="guarded")
        self.id = {"restApiId": made["id"]}
        self.root = {**self.id, "resourceId": made["rootResourceId"]}
        self.authorizer = {
            **self.id,
            "authorizerId": apis.create_authorizer(
                **self.id,
                name="people",
                type="COGNITO_USER_POOLS",
                providerARNs=[POOL.format("first")],
                identitySource="method.request.header.X-Token",
            )["id"],
        }
        self.method("GET", authorizationType="NONE")
        guard = {
            "authorizationType": "COGNITO_USER_POOLS",
            "authorizerId": self.authorizer["authorizerId"],
        }
        self.method("PUT", **guard)
        self.method("POST", **guard, authorizationScopes=["a/read", "a/write"])
        self.method("DELETE", authorizationType="AWS_IAM", apiKeyRequired=True)

    def method(self, verb: str, **guard: Any) -> None:
        self.apis.put_method(**self.root, httpMethod=verb, **guard)
        self.apis.put_integration(**self.root, httpMethod=verb, type="MOCK")

    def patch(self, verb: str, *operations: tuple[str, str, str]) -> Any:
        patch = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        return self.apis.update_method(**self.root, httpMethod=verb, patchOperations=patch)

    def deploy(self) -> str:
        return str(self.apis.create_deployment(**self.id, stageName="v1")["id"])

    def export(self, kind: str = "oas30", extensions: str = "integrations,authorizers") -> Any:
        answer = self.apis.get_export(
            **self.id,
            stageName="v1",
            exportType=kind,
            parameters={"extensions": extensions},
            accepts="application/json",
        )
        return json.loads(answer["body"].read())


@pytest.fixture
def apis(there: LocalGateway) -> Any:
    return there.apigateway


@pytest.fixture
def api(apis: Any) -> Api:
    return Api(apis)


def test_a_patch_adds_and_removes_one_scope(api: Api) -> None:
    changed = api.patch(
        "POST",
        ("add", "/authorizationScopes", "a/own"),
        ("remove", "/authorizationScopes", "a/read"),
    )
    assert changed["authorizationScopes"] == ["a/write", "a/own"]
    again = api.patch("POST", ("add", "/authorizationScopes", "a/own"))
    assert again["authorizationScopes"] == ["a/write", "a/own"]
    assert api.apis.get_method(**api.root, httpMethod="POST")["authorizationScopes"] == [
        "a/write",
        "a/own",
    ]


def test_a_patch_sets_what_is_no_text(api: Api) -> None:
    assert api.patch("GET", ("replace", "/apiKeyRequired", "true"))["apiKeyRequired"] is True
    assert api.patch("GET", ("replace", "/apiKeyRequired", "false"))["apiKeyRequired"] is False
    patch = [{"op": "replace", "path": "/authorizerResultTtlInSeconds", "value": "60"}]
    changed = api.apis.update_authorizer(**api.authorizer, patchOperations=patch)
    assert changed["authorizerResultTtlInSeconds"] == 60


def test_a_patch_replaces_one_text(api: Api) -> None:
    assert (
        api.patch("PUT", ("replace", "/authorizationType", "NONE"))["authorizationType"] == "NONE"
    )


def test_a_patch_adds_and_removes_one_pool_of_an_authorizer(api: Api) -> None:
    patch = [
        {"op": "add", "path": "/providerARNs", "value": POOL.format("second")},
        {"op": "remove", "path": "/providerARNs", "value": POOL.format("first")},
    ]
    changed = api.apis.update_authorizer(**api.authorizer, patchOperations=patch)
    assert changed["providerARNs"] == [POOL.format("second")]
    assert api.apis.get_authorizer(**api.authorizer)["providerARNs"] == [POOL.format("second")]


def test_a_summary_says_how_each_method_is_authorized(api: Api) -> None:
    made = api.apis.get_deployment(**api.id, deploymentId=api.deploy(), embed=["apisummary"])
    assert {
        verb: (said["authorizationType"], said["apiKeyRequired"])
        for verb, said in made["apiSummary"]["/"].items()
    } == {
        "GET": ("NONE", False),
        "PUT": ("COGNITO_USER_POOLS", False),
        "POST": ("COGNITO_USER_POOLS", False),
        "DELETE": ("AWS_IAM", True),
    }


@pytest.mark.parametrize("kind", ["oas30", "swagger"])
def test_an_export_shows_who_may_call(api: Api, kind: str) -> None:
    api.deploy()
    document = api.export(kind)
    assert {verb: one.get("security") for verb, one in document["paths"]["/"].items()} == {
        "get": None,
        "put": [{"people": []}],
        "post": [{"people": ["a/read", "a/write"]}],
        "delete": [{"sigv4": [], "api_key": []}],
    }
    schemes = (
        document["components"]["securitySchemes"]
        if kind == "oas30"
        else document["securityDefinitions"]
    )
    assert schemes["people"] == {
        "type": "apiKey",
        "name": "X-Token",
        "in": "header",
        "x-amazon-apigateway-authtype": "cognito_user_pools",
        SETTINGS: {"type": "cognito_user_pools", "providerARNs": [POOL.format("first")]},
    }
    assert schemes["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    without = api.export(kind, "integrations")
    schemes = without.get("components", without)
    assert SETTINGS not in json.dumps(schemes)


def test_an_export_is_of_what_is_deployed(api: Api) -> None:
    api.deploy()
    before = api.export()
    api.patch("GET", ("replace", "/authorizationType", "AWS_IAM"))
    api.apis.delete_method(**api.root, httpMethod="PUT")
    assert api.export() == before
    api.deploy()
    after = api.export()["paths"]["/"]
    assert set(after) == {"get", "post", "delete"}
    assert after["get"]["security"] == [{"sigv4": []}]


def test_what_is_not_guarded_asks_for_nothing(apis: Any) -> None:
    made = apis.create_rest_api(name="open")
    place = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    apis.put_method(**place, authorizationType="NONE")
    apis.put_integration(**place, type="MOCK")
    apis.create_deployment(restApiId=made["id"], stageName="v1")
    answer = apis.get_export(restApiId=made["id"], stageName="v1", exportType="oas30")
    document = json.loads(answer["body"].read())
    assert "security" not in document["paths"]["/"]["get"]
    assert not document["components"].get("securitySchemes")
