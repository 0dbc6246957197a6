"""The configuration of each resource that `up` makes, in each of AWS's partitions."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from moto import mock_aws

from cogauth.errors import CogauthError
from cogauth.record.state import State
from cogauth.steps import lambda_ as functions
from support.account import Account, agree, aws_with_clients
from support.attached import Orders, attach
from support.calls import Call, refusal
from support.world import statements

REGIONS = {
    "eu-central-1": ("aws", "amazonaws.com"),
    "cn-north-1": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-west-1": ("aws-us-gov", "amazonaws.com"),
}
ROLE, AUTO_CONFIRM_ROLE = "shop-LambdaAuthRole", "shop-AutoConfirmRole"
SIGN_IN, AUTO_CONFIRM = "shop-signInFunction", "shop-autoConfirmUserFunction"


@dataclass
class Built:
    """A new stack with default settings: its description by AWS, and the calls that made it."""

    account: str
    region: str
    partition: str
    suffix: str
    state: State
    text: str
    calls: list[Call]
    urls: list[str]
    pool: dict[str, Any]
    client: dict[str, Any]
    role: dict[str, Any]
    auto_confirm_role: dict[str, Any]
    auto_confirm_policies: dict[str, Any]
    attached: list[Any]
    policies: dict[str, Any]
    functions: dict[str, Any]
    groups: dict[str, Any]
    statements: dict[str, Any]
    api: dict[str, Any]
    methods: dict[str, Any]
    authorizer: dict[str, Any]
    stage: dict[str, Any]
    deployment: dict[str, Any]

    def fact(self, key: str, name: str = "id") -> str:
        return self.state.fact(key, name)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def tags(self) -> dict[str, str]:
        return {"cogauth:stack": "shop", "cogauth:stack-id": self.state.stack_id}


def describe(account: Account, calls: list[Call]) -> Built:
    state, ctx = account.state(), account.context()
    cognito, iam, logs = (account.client(name) for name in ("cognito-idp", "iam", "logs"))
    lambda_, gateway = account.client("lambda"), account.client("apigateway")
    pool = {"UserPoolId": state.fact("user_pool", "id")}
    app_client = {**pool, "ClientId": state.fact("app_client", "id")}
    api = {"restApiId": state.fact("rest_api", "id")}
    partition, suffix = REGIONS[account.region]

    def policies(role: str) -> dict[str, Any]:
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {
            name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }

    return Built(
        account=account.aws.account,
        region=account.region,
        partition=partition,
        suffix=suffix,
        state=state,
        text=account.path().read_text(),
        calls=calls,
        urls=[ctx.url("/signin"), ctx.issuer, ctx.jwks_url],
        pool=cognito.describe_user_pool(**pool)["UserPool"],
        client=cognito.describe_user_pool_client(**app_client)["UserPoolClient"],
        role=iam.get_role(RoleName=ROLE)["Role"],
        attached=iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"],
        policies=policies(ROLE),
        auto_confirm_role=iam.get_role(RoleName=AUTO_CONFIRM_ROLE)["Role"],
        auto_confirm_policies=policies(AUTO_CONFIRM_ROLE),
        functions={
            name: lambda_.get_function(FunctionName=name) for name in (SIGN_IN, AUTO_CONFIRM)
        },
        groups={
            group["logGroupName"]: {
                **group,
                **logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*")),
            }
            for group in logs.describe_log_groups()["logGroups"]
        },
        statements={name: statements(account.client, name) for name in (SIGN_IN, AUTO_CONFIRM)},
        api=gateway.get_rest_api(**api),
        methods={
            name: gateway.get_method(
                **api, resourceId=state.fact(f"{name}_resource", "id"), httpMethod=http_method
            )
            for name, http_method in (("sign_in", "POST"), ("hello", "GET"))
        },
        authorizer=gateway.get_authorizer(**api, authorizerId=state.fact("authorizer", "id")),
        stage=gateway.get_stage(**api, stageName="dev"),
        deployment=gateway.get_deployment(**api, deploymentId=state.fact("deployment", "id")),
    )


@pytest.fixture(scope="module", params=REGIONS)
def built(
    request: pytest.FixtureRequest,
    whole_moto: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    """One stack for each partition; the tests look at how AWS describes it."""
    del whole_moto
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        # User pools aren't available in China yet.
        patch.setenv("MOTO_ALLOW_NONEXISTENT_REGION", "true")
        account = Account(aws_with_clients(request.param), tmp_path_factory.mktemp("built"))
        with account.calls.watched() as calls:
            account.up()
        return describe(account, calls)


def test_user_pool(built: Built) -> None:
    pool = built.pool
    assert pool["Name"] == "shop"
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] == 8
    for name in ("RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"):
        assert policy[name] is True
    assert pool["MfaConfiguration"] == "OFF"
    assert pool["UserPoolTier"] == "LITE"
    assert pool["UserPoolTags"] == built.tags
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False
    # Users sign in by username only, and nothing is verified.
    for name in ("AutoVerifiedAttributes", "AliasAttributes", "UsernameAttributes"):
        assert not pool.get(name)
    assert pool["LambdaConfig"] == {
        "PreSignUp": built.functions[AUTO_CONFIRM]["Configuration"]["FunctionArn"]
    }
    assert built.fact("user_pool", "arn") == pool["Arn"]


def test_app_client(built: Built) -> None:
    client = built.client
    assert client["ClientName"] == f"shop-{built.tags['cogauth:stack-id']}"
    assert len(client["ClientSecret"]) > 20
    assert sorted(client["ExplicitAuthFlows"]) == [
        "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    ]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True


DECLARED = {
    f"method.response.header.{name}": False for name in ("Access-Control-Allow-Origin", "Vary")
}
CRASHED = {
    "status": "fail",
    "msg": "The sign-in failed on the server's side. Try again in a moment.",
    "code": "internal_error",
}


def settings(built: Built) -> dict[str, dict[str, Any]]:
    """The settings made in the console's steps, except those that the other tests look at."""
    owned = f"shop-{built.tags['cogauth:stack-id']}"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    log_group = built.arn("logs", f"log-group:/aws/lambda/{AUTO_CONFIRM}:*")
    write_logs = {
        "Sid": "WriteLogs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [log_group],
    }
    return {
        "role": {"Description": "What the sign_in function of the cogauth stack shop may do"},
        "auto_confirm_role": {
            "RoleName": AUTO_CONFIRM_ROLE,
            "Path": "/",
            "Description": "What the auto_confirm function of the cogauth stack shop may do",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Tags": [{"Key": key, "Value": value} for key, value in built.tags.items()],
        },
        "auto_confirm_policies": {
            "cogauth": {"Version": "2012-10-17", "Statement": [write_logs]},
        },
        "api": {"description": "A Cognito login in front of an API, created by cogauth"},
        "authorizer": {"name": owned},
        "deployment": {"description": owned},
    }


def test_what_else_is_set(built: Built) -> None:
    for name, wanted in settings(built).items():
        live = getattr(built, name)
        assert {key: live.get(key) for key in wanted} == wanted, name
    assert [statement["Sid"] for statement in built.policies["cogauth"]["Statement"]] == [
        "WriteLogs",
        "SignIn",
    ]
    assert list(built.auto_confirm_policies) == ["cogauth"]


def test_permissions_allow_one_service_one_action(built: Built) -> None:
    """A statement without a condition would let any API, or any pool, call the function."""
    for name, service, conditions in (
        (AUTO_CONFIRM, "cognito-idp", {"ArnLike", "StringEquals"}),
        (SIGN_IN, "apigateway", {"ArnLike"}),
    ):
        (statement,) = built.statements[name]
        assert statement["Sid"] == f"cogauth-{service}"
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Action"] == "lambda:InvokeFunction"
        assert statement["Resource"] == built.arn("lambda", f"function:{name}")
        assert set(statement["Condition"]) == conditions


def test_what_is_set_of_methods_and_integrations(built: Built) -> None:
    for method in built.methods.values():
        assert method["apiKeyRequired"] is False
        for status, response in method["methodResponses"].items():
            assert response["statusCode"] == status
            assert response["responseParameters"] == DECLARED
    sign_in, hello = (built.methods[name]["methodIntegration"] for name in ("sign_in", "hello"))
    # The body is passed on unchanged, whatever its content type.
    assert sign_in["passthroughBehavior"] == "WHEN_NO_MATCH"
    assert not sign_in.get("requestTemplates")
    # There is no backend that anything could be passed on to.
    assert hello["passthroughBehavior"] == "NEVER"
    assert list(hello["requestTemplates"]) == ["application/json"]
    for integration, templates in (
        (sign_in, {"200": None, "500": CRASHED}),
        (hello, {"200": None}),
    ):
        responses = integration["integrationResponses"]
        assert set(responses) == set(templates)
        for status, body in templates.items():
            assert responses[status]["statusCode"] == status
            # No origin was chosen, so no header names one.
            assert not responses[status].get("responseParameters")
            assert list(responses[status]["responseTemplates"]) == ["application/json"]
            text = responses[status]["responseTemplates"]["application/json"]
            assert body is None or json.loads(text) == body
    assert sign_in["integrationResponses"]["500"]["selectionPattern"] == r"[\s\S]+"


def test_no_secret_is_kept_anywhere_but_in_cognito(built: Built) -> None:
    secret = built.client["ClientSecret"]
    assert secret not in built.text
    assert secret not in json.dumps(
        [built.functions[name] for name in (SIGN_IN, AUTO_CONFIRM)], default=str
    )


def test_role(built: Built) -> None:
    role = built.role
    assert role["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == built.tags
    assert role["Description"] == "What the sign_in function of the cogauth stack shop may do"
    assert built.attached == []
    assert list(built.policies) == ["cogauth"]
    document = built.policies["cogauth"]
    logs, cognito = document["Statement"]
    assert sorted(logs["Action"]) == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert logs["Resource"] == [built.arn("logs", f"log-group:/aws/lambda/{SIGN_IN}:*")]
    assert sorted(cognito["Action"]) == [
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminInitiateAuth",
        "cognito-idp:AdminRespondToAuthChallenge",
        "cognito-idp:DescribeUserPoolClient",
    ]
    assert cognito["Resource"] == [built.pool["Arn"]]
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}


def test_power_user_takes_the_cognito_statements_place(
    account: Account, managed_policies: None
) -> None:
    del managed_policies
    account.up(power_user=True)
    iam = account.client("iam")
    attached = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    assert [p["PolicyArn"] for p in attached] == ["arn:aws:iam::aws:policy/AmazonCognitoPowerUser"]
    document = iam.get_role_policy(RoleName=ROLE, PolicyName="cogauth")["PolicyDocument"]
    assert [statement["Sid"] for statement in document["Statement"]] == ["WriteLogs"]


@pytest.mark.parametrize(
    ("name", "module", "memory", "timeout"),
    [(SIGN_IN, "sign_in", 512, 10), (AUTO_CONFIRM, "auto_confirm", 128, 3)],
)
def test_functions(built: Built, name: str, module: str, memory: int, timeout: int) -> None:
    answer = built.functions[name]
    function = answer["Configuration"]
    assert function["Runtime"] == "python3.14"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == f"{module}.handler"
    assert (function["MemorySize"], function["Timeout"]) == (memory, timeout)
    role = ROLE if module == "sign_in" else "shop-AutoConfirmRole"
    assert function["Role"] == f"arn:{built.partition}:iam::{built.account}:role/{role}"
    digest = hashlib.sha256(functions.package(getattr(functions, module.upper()))).digest()
    assert function["CodeSha256"] == base64.b64encode(digest).decode()
    assert answer["Tags"] == built.tags
    variables = function.get("Environment", {}).get("Variables", {})
    if module == "auto_confirm":
        assert variables == {}
    else:
        assert variables == {
            "USER_POOL_ID": built.fact("user_pool"),
            "CLIENT_ID": built.fact("app_client"),
            "SIGN_UP": "open",
            "PASSWORD_POLICY": "at least 8 characters, with an upper-case letter, "
            "a lower-case letter, a digit and a symbol",
            "COGNITO_ENDPOINT": f"https://cognito-idp.{built.region}.{built.suffix}",
        }


def test_log_groups_with_retention_and_tags(built: Built) -> None:
    groups = built.groups
    assert sorted(groups) == sorted([f"/aws/lambda/{SIGN_IN}", f"/aws/lambda/{AUTO_CONFIRM}"])
    for name, group in groups.items():
        assert group["retentionInDays"] == 30
        arn = group["arn"].removesuffix(":*")
        assert group["tags"] == built.tags
        key = "sign_in_log_group" if name.endswith(SIGN_IN) else "auto_confirm_log_group"
        assert built.fact(key, "arn") == arn


def test_each_log_group_is_made_and_kept_before_its_function_is(built: Built) -> None:
    """Otherwise the function's first call would create it, without a retention limit."""
    order = [call.operation for call in built.calls]
    for nth in range(2):
        made = [
            [index for index, name in enumerate(order) if name == operation][nth]
            for operation in ("CreateLogGroup", "PutRetentionPolicy", "CreateFunction")
        ]
        assert made == sorted(made)


def test_permissions_carry_source_arn_and_account(built: Built) -> None:
    (trigger,) = built.statements[AUTO_CONFIRM]
    assert trigger["Principal"] == {"Service": "cognito-idp.amazonaws.com"}
    assert trigger["Action"] == "lambda:InvokeFunction"
    assert trigger["Condition"]["ArnLike"] == {"AWS:SourceArn": built.pool["Arn"]}
    assert trigger["Condition"]["StringEquals"] == {"AWS:SourceAccount": built.account}
    (method,) = built.statements[SIGN_IN]
    assert method["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert method["Condition"]["ArnLike"] == {
        "AWS:SourceArn": built.arn("execute-api", f"{built.fact('rest_api')}/*/POST/signin")
    }


def test_rest_api(built: Built) -> None:
    api = built.api
    assert api["name"] == "shop"
    assert "cogauth" in api["description"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["tags"] == built.tags


def test_sign_in_method(built: Built) -> None:
    method = built.methods["sign_in"]
    assert method["authorizationType"] == "NONE"
    statuses = ["200", "400", "401", "403", "429", "500"]
    assert sorted(method["methodResponses"]) == statuses
    integration = method["methodIntegration"]
    assert integration["type"] == "AWS"
    assert integration["httpMethod"] == "POST"
    function = built.arn("lambda", f"function:{SIGN_IN}")
    assert integration["uri"] == (
        f"arn:{built.partition}:apigateway:{built.region}:lambda:path/2015-03-31"
        f"/functions/{function}/invocations"
    )
    responses = integration["integrationResponses"]
    assert sorted(responses) == ["200", "500"]
    # A response without a pattern is the default, for whatever matches no other pattern.
    assert not responses["200"].get("selectionPattern")
    assert responses["500"]["selectionPattern"]
    assert "responseOverride" in responses["200"]["responseTemplates"]["application/json"]
    assert json.loads(responses["500"]["responseTemplates"]["application/json"])["status"] == "fail"


def test_protected_method_and_authorizer(built: Built) -> None:
    method = built.methods["hello"]
    assert method["authorizationType"] == "COGNITO_USER_POOLS"
    assert method["authorizerId"] == built.fact("authorizer")
    # With scopes it would accept access tokens instead of ID tokens.
    assert not method.get("authorizationScopes")
    integration = method["methodIntegration"]
    assert integration["type"] == "MOCK"
    assert json.loads(integration["requestTemplates"]["application/json"]) == {"statusCode": 200}
    body = integration["integrationResponses"]["200"]["responseTemplates"]["application/json"]
    assert json.loads(body)["message"]
    authorizer = built.authorizer
    assert authorizer["type"] == "COGNITO_USER_POOLS"
    assert authorizer["providerARNs"] == [built.pool["Arn"]]
    assert authorizer["identitySource"] == "method.request.header.Authorization"


def test_stage_and_its_throttle_of_one_method(built: Built) -> None:
    stage = built.stage
    assert stage["deploymentId"] == built.fact("deployment")
    assert stage["tags"] == built.tags
    (settings,) = stage["methodSettings"].items()
    key, throttle = settings
    assert key.replace("~1", "/").strip("/") == "signin/POST"
    assert throttle["throttlingRateLimit"] == 20
    assert throttle["throttlingBurstLimit"] == 40


def test_chosen_settings_reach_the_resources(account: Account) -> None:
    account.up(
        path="/login",
        stage="prod",
        architecture="x86_64",
        sign_in_timeout=20,
        auto_confirm_memory=256,
        tier="PLUS",
    )
    state = account.state()
    assert state.fact("sign_in_resource", "path") == "/login"
    (statement,) = statements(account.client, SIGN_IN)
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith("/*/POST/login")
    stage = account.client("apigateway").get_stage(
        restApiId=state.fact("rest_api", "id"), stageName="prod"
    )
    assert [key.replace("~1", "/").strip("/") for key in stage["methodSettings"]] == ["login/POST"]
    sign_in = account.client("lambda").get_function_configuration(FunctionName=SIGN_IN)
    assert (sign_in["Architectures"], sign_in["Timeout"]) == (["x86_64"], 20)
    other = account.client("lambda").get_function_configuration(FunctionName=AUTO_CONFIRM)
    assert other["MemorySize"] == 256
    assert account.context().url("/login").endswith("/prod/login")


def test_a_changed_architecture_replaces_the_code(account: Account) -> None:
    account.stands()
    # moto ignores the architecture in UpdateFunctionCode, so the test looks at the requests.
    with account.calls.watched() as calls:
        actions = account.up(architecture="x86_64")
    sent = [json.loads(call.sent["body"]) for call in calls if call.mutating]
    assert {call.operation for call in calls if call.mutating} == {"UpdateFunctionCode"}
    assert [update["Architectures"] for update in sent] == [["x86_64"], ["x86_64"]]
    assert {base64.b64decode(update["ZipFile"]) for update in sent} == {
        functions.package(functions.SIGN_IN),
        functions.package(functions.AUTO_CONFIRM),
    }
    changed = {step for step, action in actions.items() if action == "updated"}
    assert changed == {"sign_in_function", "auto_confirm_function"}


def test_arns_and_urls_are_of_the_partition(built: Built) -> None:
    """Only the service principals are `….amazonaws.com` everywhere."""
    sent = json.dumps([[str(call.sent["body"]), call.sent["url_path"]] for call in built.calls])
    urls = built.urls
    for text in (sent, built.text, *urls):
        arns = re.findall(r"arn(?::|%3A)(aws[a-z-]*)(?::|%3A)", text)
        assert set(arns) <= {built.partition}
        hosts = re.findall(r"(?<![\w.-])([\w.-]+)\.(amazonaws\.com(?:\.cn)?)\b", text)
        for name, suffix in hosts:
            principal = name in {"lambda", "cognito-idp", "apigateway"}
            assert suffix == ("amazonaws.com" if principal else built.suffix)
    assert re.findall(r"arn(?::|%3A)aws", sent)
    region = built.region
    assert urls[0] == (
        f"https://{built.fact('rest_api')}.execute-api.{region}.{built.suffix}/dev/signin"
    )
    assert urls[1] == f"https://cognito-idp.{region}.{built.suffix}/{built.fact('user_pool')}"
    assert urls[2] == f"{urls[1]}/.well-known/jwks.json"


def scalars(shape: Shape, value: Any, place: str) -> Iterator[tuple[Shape, Any, str]]:
    """Yield every value in a parameter, each with its model and its place."""
    yield shape, value, place
    if isinstance(shape, StructureShape):
        for name, inner in value.items():
            yield from scalars(shape.members[name], inner, f"{place}.{name}")
    elif isinstance(shape, ListShape):
        for inner in value:
            yield from scalars(shape.member, inner, f"{place}[]")
    elif isinstance(shape, MapShape):
        for key, inner in value.items():
            yield shape.key, key, f"a key in {place}"
            yield from scalars(shape.value, inner, f"{place}.{key}")


def is_within(shape: Shape, value: Any) -> bool:
    rules = shape.metadata
    if shape.type_name != "boolean":
        size = value if isinstance(value, (int, float)) else len(value)
        if not rules.get("min", size) <= size <= rules.get("max", size):
            return False
    if not isinstance(value, str):
        return True
    # Python has no classes such as \p{L}; each is part of \S.
    pattern = re.sub(r"\\p\{\w+\}", r"\\S", rules.get("pattern", r"[\s\S]*"))
    return value in rules.get("enum", [value]) and bool(re.fullmatch(pattern, value))


def test_all_that_is_sent_is_within_aws_s_own_models(
    account: Account, managed_policies: None
) -> None:
    """botocore checks only types and minimums, and moto accepts more than AWS does."""
    del managed_policies
    wrong, operations = set(), set()

    def look(params: dict[str, Any], model: OperationModel, **_: Any) -> None:
        operations.add(model.name)
        sent = scalars(model.input_shape, params, model.name) if model.input_shape else ()
        wrong.update(
            f"{place}: {value!r} {shape.metadata}"
            for shape, value, place in sent
            if not is_within(shape, value)
        )

    events = [client.meta.events for client in account.calls.clients]
    for one in events:
        one.register("provide-client-params", look)
    try:
        account.up(confirm=agree)
        account.up(
            confirm=agree,
            power_user=True,
            cors_origins=("https://app.example",),
            password_min_length=9,
            sign_in_memory=1024,
            architecture="x86_64",
            permissions_boundary="arn:aws:iam::aws:policy/AmazonCognitoPowerUser",
            throttle_rate=3,
        )
        account.up(confirm=agree, power_user=False, cors_origins=(), permissions_boundary="none")
        attach(account, Orders(account).id)
        assert account.down().clean
    finally:
        for one in events:
            one.unregister("provide-client-params", look)
    assert sorted(wrong) == []
    assert len(operations) > 60


@pytest.mark.parametrize(
    "failed",
    [
        {"State": "Failed", "StateReason": "no such layer"},
        {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no such layer"},
    ],
)
def test_a_function_that_lambda_could_not_make_is_no_success(
    account: Account, failed: dict[str, str]
) -> None:
    def fail(parsed: dict[str, Any], **_: Any) -> None:
        parsed.update(failed)

    client = account.aws.lambda_
    client.meta.events.register("after-call.lambda.CreateFunction", fail)
    try:
        with pytest.raises(CogauthError, match="no such layer"):
            account.up()
    finally:
        client.meta.events.unregister("after-call.lambda.CreateFunction", fail)
    assert not account.down().problems
    assert account.left() == []


@pytest.mark.parametrize("refused_while_pending", [False, True])
def test_a_pending_function_is_waited_for_before_up_ends(
    account: Account, *, refused_while_pending: bool
) -> None:
    """Nobody can call a Pending function; Lambda may or may not let us set who may call it."""
    lambda_ = account.aws.lambda_
    since: dict[str, float] = {}
    active: set[str] = set()
    permitted = {name: threading.Event() for name in (SIGN_IN, AUTO_CONFIRM)}

    def pending(parsed: dict[str, Any], **_: Any) -> None:
        if "State" in parsed:
            made = since.setdefault(parsed["FunctionName"], account.time())
            if account.time() < made + 8:
                parsed["State"] = "Pending"
                if account.time() > made and not refused_while_pending:
                    # What needs only the function's ARN doesn't wait.
                    assert permitted[parsed["FunctionName"]].wait(30)
            else:
                active.add(parsed["FunctionName"])

    def refuse(call: Call) -> Any:
        for name, event in permitted.items():
            if call.operation == "AddPermission" and name in call.sent["url_path"]:
                event.set()
        message = "The operation cannot be performed at this time. The function is Pending"
        early = refused_while_pending and account.time() < 8
        return (
            refusal(409, "ResourceConflictException", message)
            if early and call.operation == "AddPermission"
            else None
        )

    lambda_.meta.events.register("after-call", pending)
    try:
        with account.calls.watched(refuse):
            account.up()
    finally:
        lambda_.meta.events.unregister("after-call", pending)
    assert len(since) == len(active) == 2
    assert 8 <= account.time.now < 20
    assert [len(statements(account.client, name)) for name in since] == [1, 1]


def test_what_is_changed_of_a_function_waits_until_it_is_active(account: Account) -> None:
    account.stands()
    lambda_, changed = account.aws.lambda_, []

    def pending(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "UpdateFunctionConfiguration":
            changed.append(account.time())
        elif "Configuration" in parsed or "State" in parsed:
            state = "Pending" if account.time() < 8 else "Active"
            parsed.get("Configuration", parsed)["State"] = state

    lambda_.meta.events.register("after-call", pending)
    try:
        account.up(sign_in_memory=1024)
    finally:
        lambda_.meta.events.unregister("after-call", pending)
    assert len(changed) == 1
    assert changed[0] >= 8
