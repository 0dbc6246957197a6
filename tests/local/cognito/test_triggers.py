"""Triggers of the local AWS's user pools: who may call them, and what their answers do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from support.local_pools import ACCOUNT, ANY_CASE, FLOWS, NEW_PASSWORD, Pool, Server, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIRM = "event['response']['autoConfirmUser'] = True; return event"
NOT_LET = "PreSignUp invocation failed due to error AccessDeniedException."


@pytest.mark.local
def test_a_pool_calls_a_function_only_if_the_functions_policy_lets_it(server: Server) -> None:
    pool, other = server.pool(), server.pool()
    allowed = server.function(CONFIRM)
    server.let_in(allowed, pool.arn)
    account = pool.arn.replace(ACCOUNT, "111111111111")
    strange: list[tuple[str, dict[str, Any]]] = [
        (other.arn, {}),
        (account, {}),
        (pool.arn, {"SourceAccount": "111111111111"}),
        (pool.arn, {"Principal": "apigateway.amazonaws.com"}),
        (pool.arn, {"Action": "lambda:GetFunction"}),
    ]
    functions = [server.function(CONFIRM) for _ in strange]
    for function, (source, settings) in zip(functions, strange, strict=True):
        server.let_in(function, source, **settings)
    gone = server.function(CONFIRM)
    server.let_in(gone, pool.arn)
    server.client("lambda").delete_function(FunctionName=gone)
    for function in (server.function(CONFIRM), gone, *functions):
        server.cognito.update_user_pool(**pool.place, LambdaConfig={"PreSignUp": function})
        with refused("UnexpectedLambdaException", NOT_LET):
            pool.sign_up("ann")
        assert pool.users() == []
    server.cognito.update_user_pool(**pool.place, LambdaConfig={"PreSignUp": allowed})
    assert pool.sign_up("ann")["UserConfirmed"]
    assert pool.users() == ["ann"]
    # The permission can be revoked.
    server.client("lambda").remove_permission(FunctionName=allowed, StatementId="s")
    with refused("UnexpectedLambdaException", NOT_LET):
        pool.sign_up("bob")
    assert pool.users() == ["ann"]


@pytest.mark.local
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            "raise ValueError('not ' + event['userName'])",
            "UserLambdaValidationException",
            "PreSignUp failed with error not ann.",
        ),
        (
            "import time; time.sleep(30)",
            "UserLambdaValidationException",
            "PreSignUp failed with error Task timed out after 1.00 seconds.",
        ),
        ("return {}", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        ("return None", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        ("return 'yes'", "InvalidLambdaResponseException", "Unrecognizable lambda output"),
        (
            "event['response'] = None; return event",
            "InvalidLambdaResponseException",
            "Unrecognizable lambda output",
        ),
    ],
)
def test_a_fault_of_the_function_ends_the_sign_up(
    server: Server, body: str, code: str, message: str
) -> None:
    function = server.function(body, Timeout=1)
    pool = server.pool(LambdaConfig={"PreSignUp": function}, UsernameConfiguration=ANY_CASE)
    server.let_in(function, pool.arn)
    with refused(code, message):
        pool.sign_up("Ann")
    assert pool.users() == []


@pytest.mark.local
def test_an_administrator_creates_a_user_only_if_the_pool_may_call_the_trigger(
    server: Server,
) -> None:
    function = server.function(
        "if event['userName'] == 'bad': raise ValueError(event['triggerSource'])\n    " + CONFIRM
    )
    pool = server.pool(LambdaConfig={"PreSignUp": function})
    with refused("UnexpectedLambdaException", NOT_LET):
        pool.make("ann")
    assert pool.users() == []
    server.let_in(function, pool.arn)
    said = "PreSignUp failed with error PreSignUp_AdminCreateUser."
    with refused("UserLambdaValidationException", said):
        pool.make("bad")
    # What the function returns doesn't confirm the user.
    pool.make("ann", permanent=False)
    assert pool.log_in("ann")["ChallengeName"] == NEW_PASSWORD
    with refused("UsernameExistsException"):
        pool.make("ann")
    assert pool.users() == ["ann"]


@pytest.mark.local
def test_a_function_that_only_looks_on_leaves_the_user_unconfirmed(server: Server) -> None:
    function = server.function("return event")
    pool = server.pool(LambdaConfig={"PreSignUp": function})
    server.let_in(function, pool.arn)
    assert not pool.sign_up("ann")["UserConfirmed"]
    with refused("UserNotConfirmedException"):
        pool.log_in("ann")


def invite(pool: Pool) -> None:
    pool.cognito.admin_create_user(
        **pool.place, Username="eve", UserAttributes=[{"Name": "email", "Value": "e@example.com"}]
    )


def begin_custom(pool: Pool) -> None:
    pool.start("CUSTOM_AUTH", USERNAME="Ann")


@pytest.mark.local
@pytest.mark.parametrize(
    ("trigger", "act"),
    [
        ("PreTokenGeneration", lambda pool: pool.log_in("ann")),
        ("CustomMessage", invite),
        ("DefineAuthChallenge", begin_custom),
        ("CreateAuthChallenge", begin_custom),
    ],
)
def test_every_trigger_takes_a_permission(
    server: Server, trigger: str, act: Callable[[Pool], None]
) -> None:
    body = "event['response']['challengeName'] = 'CUSTOM_CHALLENGE'; return event"
    function = server.function(body)
    pool = server.pool(LambdaConfig={trigger: function}, UsernameConfiguration=ANY_CASE)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=[*FLOWS, "ALLOW_CUSTOM_AUTH"]
    )
    pool.make("ann")
    with refused(
        "UnexpectedLambdaException",
        f"{trigger} invocation failed due to error AccessDeniedException.",
    ):
        act(pool)
    assert pool.users() == ["ann"]
    server.let_in(function, pool.arn)
    act(pool)


@pytest.mark.local
def test_the_answer_to_a_custom_challenge_takes_a_permission(server: Server) -> None:
    function = server.function("event['response']['answerCorrect'] = True; return event")
    define = server.function(
        "asked = event['request']['session']; event['response'].update("
        "issueTokens=bool(asked), challengeName='CUSTOM_CHALLENGE'); return event"
    )
    config = {"VerifyAuthChallengeResponse": function, "DefineAuthChallenge": define}
    pool = server.pool(LambdaConfig=config)
    server.let_in(define, pool.arn)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=["ALLOW_CUSTOM_AUTH"]
    )
    pool.make("ann")
    begun = pool.start("CUSTOM_AUTH", USERNAME="ann")["Session"]
    answer = {"USERNAME": "ann", "ANSWER": "x"}
    with refused(
        "UnexpectedLambdaException",
        "VerifyAuthChallengeResponse invocation failed due to error AccessDeniedException.",
    ):
        pool.answer("CUSTOM_CHALLENGE", begun, **answer)
    server.let_in(function, pool.arn)
    assert "AuthenticationResult" in pool.answer("CUSTOM_CHALLENGE", begun, **answer)


# Code for federated sign-ins, which the tests can't make without another identity provider.
FEDERATED = """
from cogauth.local import cognito, hooks
cognito.install()
pools = hooks.module("services.cognito")._user_pools
triggers = {"PreSignUp": "arn:aws:lambda:us-east-1:000000000000:function:f"}
triggers["InboundFederation"] = {"LambdaArn": triggers["PreSignUp"]}
arn = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/p"
pools["p"] = {"Id": "p", "Arn": arn, "LambdaConfig": triggers}
module = hooks.module("services.cognito")
for call, rest in (
    (module._apply_presignup_trigger, ({},)),
    (module._apply_inbound_federation_trigger, ("provider", "OIDC", {})),
):
    try:
        call("p", "client", "ann", *rest)
    except Exception as error:
        print(error)
"""


@pytest.mark.local
def test_the_triggers_of_a_federated_sign_in_take_a_permission(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FEDERATED],
        env={"STATE_DIR": str(tmp_path), "LAMBDA_EXECUTOR": "local"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = "invocation failed due to error AccessDeniedException."
    assert done.stdout.splitlines() == [f"PreSignUp {said}", f"InboundFederation {said}"]


@pytest.mark.local
def test_triggers_are_given_names_in_lower_case(server: Server) -> None:
    function = server.function("raise ValueError(event['userName'])")
    pool = server.pool(
        LambdaConfig={"DefineAuthChallenge": function}, UsernameConfiguration=ANY_CASE
    )
    server.let_in(function, pool.arn)
    server.cognito.update_user_pool_client(
        **pool.place, ClientId=pool.client, ExplicitAuthFlows=["ALLOW_CUSTOM_AUTH"]
    )
    pool.make("Ann")
    with pytest.raises(ClientError, match="'ann'"):
        begin_custom(pool)
