"""What is set of all resources, what is sent to make them, and in each of AWS's partitions."""

import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from support.account import Account, agree
from support.attached import Orders, attach
from support.built import Built
from support.stacks import AUTO_CONFIRM, AUTO_CONFIRM_ROLE, SIGN_IN
from support.world import statements


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
