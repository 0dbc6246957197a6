"""`down` sees what AWS would refuse to delete before it deletes anything, on moto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cogauth import engine
from cogauth.errors import CogauthError
from cogauth.steps import ROOTS
from support.attached import Orders, attach, pool_and_orders
from support.calls import Call, refusal
from support.faults import stopped
from support.stacks import (
    OTHER_TRUST,
    ROLE,
    SIGN_IN_LOGS,
    existing,
    fact,
    mutations,
    shown,
    update_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.account import Account

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)

AUDIT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "logs:Get*", "Resource": "*"}],
    }
)


def protect_pool(account: Account) -> list[str]:
    update_pool(account, DeletionProtection="ACTIVE")
    pool = fact(account, "user_pool")
    return [
        f"user pool {pool} is protected",
        "console (Cognito, User pools, the pool, Settings, Deletion protection)",
        (
            f"'aws cognito-idp update-user-pool --user-pool-id {pool} --region eu-central-1 "
            "--deletion-protection INACTIVE'"
        ),
    ]


def give_pool_a_domain(account: Account) -> list[str]:
    pool = fact(account, "user_pool")
    account.client("cognito-idp").create_user_pool_domain(UserPoolId=pool, Domain="shop-login")
    return [
        f"user pool {pool} has the domain shop-login",
        (
            f"'aws cognito-idp delete-user-pool-domain --user-pool-id {pool} --region eu-central-1 "
            "--domain shop-login'"
        ),
    ]


def map_a_custom_domain(account: Account) -> list[str]:
    api, place = account.client("apigateway"), {"domainName": "api.shop.example"}
    api.create_domain_name(**place)
    api.create_base_path_mapping(**place, restApiId=fact(account, "rest_api"), stage="dev")
    return [
        f"custom domain api.shop.example leads to the API {fact(account, 'rest_api')}",
        "console (API Gateway, Custom domain names, the domain, API mappings)",
        (
            "'aws apigateway delete-base-path-mapping --domain-name api.shop.example --base-path "
            '"(none)" --region eu-central-1\''
        ),
    ]


def give_role_a_policy(account: Account) -> list[str]:
    account.client("iam").put_role_policy(RoleName=ROLE, PolicyName="audit", PolicyDocument=AUDIT)
    return [
        f"role {ROLE} has the inline policy audit",
        f"'aws iam delete-role-policy --role-name {ROLE} --policy-name audit'",
    ]


def attach_a_policy_to_role(account: Account) -> list[str]:
    iam = account.client("iam")
    arn = iam.create_policy(PolicyName="audit", PolicyDocument=AUDIT)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=arn)
    return [
        f"role {ROLE} has the policy audit",
        f"'aws iam detach-role-policy --role-name {ROLE} --policy-arn {arn}'",
    ]


OBSTACLES = [
    protect_pool,
    give_pool_a_domain,
    map_a_custom_domain,
    give_role_a_policy,
    attach_a_policy_to_role,
]


@pytest.fixture
def pool_domains(account: Account) -> Iterator[None]:
    """Make DescribeUserPool return a pool's domain, as AWS does; moto leaves it out."""
    cognito = account.aws.cognito

    def tell(parsed: Any, **_: Any) -> None:
        pool = parsed.get("UserPool")
        domain = account.client("cognito-idp").describe_user_pool_domain(Domain="shop-login")
        if pool and domain["DomainDescription"].get("UserPoolId") == pool["Id"]:
            pool["Domain"] = "shop-login"

    event = "after-call.cognito-identity-provider.DescribeUserPool"
    cognito.meta.events.register(event, tell)
    yield
    cognito.meta.events.unregister(event, tell)


@pytest.mark.usefixtures("pool_domains")
@pytest.mark.parametrize("put_up", OBSTACLES)
def test_nothing_is_deleted_if_not_all_can_be(
    account: Account, put_up: Callable[[Account], list[str]]
) -> None:
    account.stands()
    told = put_up(account)
    before, state = existing(account), account.path().read_text()
    with account.calls.watched() as calls:
        result = account.down()
    assert mutations(calls) == []
    assert existing(account) == before
    assert account.path().read_text() == state
    first, last = result.problems
    assert all(words in first for words in told), first
    assert f"'cogauth down --stack shop --state {account.path()}' again" in last
    assert {entry["step"] for entry in result.remaining} >= {"user_pool", "role", "rest_api"}
    assert result.deleted == result.already_gone == []


@pytest.mark.usefixtures("pool_domains")
def test_all_that_stands_in_the_way_is_named(account: Account) -> None:
    account.stands()
    told = [words for put_up in OBSTACLES for words in put_up(account)]
    text = "\n".join(account.down().problems)
    assert [words for words in told if words not in text] == []


def test_other_apis_get_their_methods_back_even_if_the_stacks_own_was_attached_before_them(
    account: Account,
) -> None:
    account.stands()
    orders = Orders(account)
    before = orders.methods()
    attach(account, fact(account, "rest_api"), path="/hello")
    attach(account)
    assert orders.methods() != before
    ctx, lines = account.context(), list[str]()
    plan = engine.plan_down(ctx)
    # Those of its own API are deleted with it.
    assert list(plan.attached) == [orders.id]
    assert engine.down(ctx, plan, lines.append).clean
    assert orders.methods() == before
    assert "gave back GET /open of orders" in lines
    assert account.left() == ["api orders"]


def test_what_the_owner_changes_beside_attached_methods_is_not_part_of_the_question(
    account: Account,
) -> None:
    orders = pool_and_orders(account)
    attach(account)
    before = engine.plan_down(account.context()).shown
    orders.put("GET", "/new", "NONE")
    assert engine.plan_down(account.context()).shown == before
    orders.patch("GET", "/open", ("replace", "/authorizationType", "AWS_IAM"))
    assert engine.plan_down(account.context()).shown != before


def test_nothing_is_deleted_while_an_attached_api_cant_be_read(account: Account) -> None:
    orders = pool_and_orders(account)
    before = orders.methods()
    attach(account)
    attached = orders.methods()

    def refuse(call: Call) -> Any:
        its = call.operation == "GetResources" and orders.id in call.sent["url_path"]
        return refusal(403, "AccessDeniedException") if its else None

    with account.calls.watched(refuse) as calls:
        (problem,) = account.down().problems
    assert "Restoring the methods of orders failed: AccessDeniedException" in problem
    assert mutations(calls) == []
    assert orders.methods() == attached
    assert account.down().clean
    assert orders.methods() == before
    assert account.left() == ["api orders"]


def test_the_methods_of_other_apis_stay_attached_then(account: Account) -> None:
    orders = pool_and_orders(account)
    attach(account)
    protect_pool(account)
    before = json.loads(account.path().read_text())["attachments"]
    with account.calls.watched() as calls:
        assert account.down().problems
    assert mutations(calls) == []
    assert json.loads(account.path().read_text())["attachments"] == before
    assert before[orders.id]["methods"]


@pytest.mark.parametrize(
    ("operation", "key", "value", "told"),
    [
        (
            "DescribeUserPool",
            "UserPool",
            {"CustomDomain": "login.shop.example"},
            "has the domain login.shop.example",
        ),
        (
            "DescribeLogGroups",
            "logGroups",
            {"deletionProtectionEnabled": True},
            (
                f"put-log-group-deletion-protection --log-group-identifier {SIGN_IN_LOGS} "
                "--no-deletion-protection-enabled"
            ),
        ),
    ],
)
def test_what_moto_does_not_know_is_seen_in_aws_s_answer(
    account: Account, operation: str, key: str, value: dict[str, Any], told: str
) -> None:
    account.stands()

    def tell(parsed: Any, model: Any, **_: Any) -> None:
        if model.name == operation:
            found = parsed[key]
            for one in found if isinstance(found, list) else [found]:
                one.update(value)

    clients = (account.aws.cognito, account.aws.logs)
    for client in clients:
        client.meta.events.register("after-call", tell)
    try:
        with account.calls.watched() as calls:
            text = "\n".join(account.down().problems)
    finally:
        for client in clients:
            client.meta.events.unregister("after-call", tell)
    assert told in text
    assert mutations(calls) == []


def test_a_private_custom_domain_is_meant_by_its_id(account: Account) -> None:
    account.stands()
    asked: list[str] = []

    def answer(call: Call) -> Any:
        found: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": 200}}
        if call.operation == "GetDomainNames":
            domains = [{"domainName": "in.example", "domainNameId": one} for one in ("d1", "d2")]
            return refusal(200, "")[0], {**found, "items": domains}
        if call.operation == "GetBasePathMappings":
            asked.append(call.sent["query_string"]["domainNameId"])
            api = fact(account, "rest_api") if asked[-1] == "d2" else "another"
            mappings = [{"basePath": "v1", "restApiId": api, "stage": "dev"}]
            if api != "another":
                # AWS may leave out an empty path.
                mappings.append({"restApiId": api, "stage": "test"})
            return refusal(200, "")[0], {**found, "items": mappings}
        return None

    with account.calls.watched(answer):
        problems = account.down().problems
    assert asked == ["d1", "d2"]
    assert len(problems) == 3
    for problem, path in zip(problems, ("v1", "(none)"), strict=False):
        assert f'--domain-name in.example --domain-name-id d2 --base-path "{path}"' in problem


LOOKS = ["GetDomainNames", "ListAttachedRolePolicies", "ListRolePolicies"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnknownOperationException"])
@pytest.mark.parametrize("operation", LOOKS)
def test_who_may_not_look_may_delete_all_the_same(
    account: Account, operation: str, code: str
) -> None:
    account.stands()

    def refuse(call: Call) -> Any:
        return refusal(403, code) if call.operation == operation else None

    with account.calls.watched(refuse):
        result = account.down()
    assert (result.remaining, result.problems) == ([], [])
    assert account.left() == []


def test_who_cant_see_what_exists_is_told_that_nothing_was_deleted(account: Account) -> None:
    account.stands()

    def refuse(call: Call) -> Any:
        denied = call.operation == "ListUserPools"
        return refusal(400, "AccessDeniedException") if denied else None

    told = pytest.raises(CogauthError, match=r"AccessDeniedException.*Nothing was deleted\.")
    with account.calls.watched(refuse) as calls, told:
        account.down()
    assert mutations(calls) == []


def test_what_aws_shows_only_later_is_waited_for_and_listed(account: Account) -> None:
    account.stands()
    ctx, told = account.context(), list[str]()
    ctx.waiter.report = lambda reason, _left: told.append(reason)
    with shown(account, "DescribeLogGroups", lambda answer: answer["logGroups"].clear(), times=3):
        plan = engine.plan_down(ctx)
    assert {each.resource.key for each in plan.deletions} == {root.key for root in ROOTS}
    assert set(told) == {"the new resource to be known everywhere in AWS"}


def test_what_aws_shows_only_after_the_plan_is_deleted_if_it_is_recorded(account: Account) -> None:
    """Its record says that it is the stack's, whatever is in it by now."""
    account.stands()
    account.grow_old()
    pool = fact(account, "user_pool")
    account.client("cognito-idp").admin_create_user(UserPoolId=pool, Username="ann")
    ctx = account.context()

    def hide(call: Call) -> Any:
        hidden = call.operation == "DescribeUserPool"
        return refusal(400, "ResourceNotFoundException") if hidden else None

    with account.calls.watched(hide):
        plan = engine.plan_down(ctx)
    assert "user_pool" not in {each.resource.key for each in plan.deletions}
    result = engine.down(ctx, plan, lambda _line: None)
    assert pool in {entry["id"] for entry in result.deleted}
    assert result.clean
    assert account.left() == []


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.sample(1)
def test_what_an_interrupted_run_may_have_created_is_listed_once(
    account: Account, *, lands: bool
) -> None:
    with stopped(account, "CreateUserPool", lands=lands):
        account.up()
    deletions = engine.plan_down(account.context()).deletions
    (pool,) = [each.id for each in deletions if each.resource.key == "user_pool"]
    assert ("interrupted" in pool) == (not lands)
    # Nothing else is, unless it is recorded.
    recorded = account.state().resources
    assert {each.resource.key for each in deletions} == {r.key for r in ROOTS if r.key in recorded}


def test_what_could_not_be_seen_is_told_with_the_stack_s_options(account: Account) -> None:
    account.stands()

    def refuse(call: Call) -> Any:
        message = "Please remove all base path mappings related to the API in your domain: a.b"
        refused = call.operation == "DeleteRestApi"
        return refusal(400, "BadRequestException", message) if refused else None

    with account.calls.watched(refuse):
        (problem,) = account.down().problems
    assert "in your domain: a.b." in problem
    assert f"'cogauth down --stack shop --state {account.path()}' again" in problem
    account.down()
    assert account.left() == []


def test_another_s_mapping_and_a_role_that_is_not_ours_are_no_obstacle(account: Account) -> None:
    account.stands()
    api, place = account.client("apigateway"), {"domainName": "api.shop.example"}
    other = api.create_rest_api(name="other")["id"]
    theirs = {
        "restApiId": other,
        "resourceId": api.get_resources(restApiId=other)["items"][0]["id"],
    }
    api.put_method(**theirs, httpMethod="GET", authorizationType="NONE")
    api.put_integration(**theirs, httpMethod="GET", type="MOCK", requestTemplates={})
    api.create_deployment(restApiId=other, stageName="dev")
    api.create_domain_name(**place)
    api.create_base_path_mapping(**place, restApiId=other, stage="dev")
    iam = account.client("iam")
    iam.delete_role_policy(RoleName=ROLE, PolicyName="cogauth")
    iam.delete_role(RoleName=ROLE)
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=OTHER_TRUST)
    give_role_a_policy(account)
    result = account.down()
    assert result.problems == []
    assert sorted(account.left()) == ["api other", f"role {ROLE}"]
    assert len(result.left_alone) == 1
