"""What the pre-sign-up trigger does with Cognito's event."""

import ast
import copy
import runpy
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "lambda_code" / "auto_confirm.py"
handler = runpy.run_path(str(SOURCE))["handler"]


def event_of(trigger: str) -> dict[str, Any]:
    return {
        "version": "1",
        "triggerSource": trigger,
        "region": "eu-west-1",
        "userPoolId": "eu-west-1_AbCdEfGhI",
        "userName": "ada",
        "callerContext": {
            "awsSdkVersion": "aws-sdk-unknown-unknown",
            "clientId": "1example23456789",
        },
        "request": {"userAttributes": {}, "validationData": None},
        "response": {
            "autoConfirmUser": False,
            "autoVerifyEmail": False,
            "autoVerifyPhone": False,
        },
    }


def test_who_signs_up_is_confirmed_and_nothing_else_of_the_event_changes() -> None:
    expected = event_of("PreSignUp_SignUp")
    expected["response"]["autoConfirmUser"] = True
    assert handler(event_of("PreSignUp_SignUp"), None) == expected


def test_a_second_call_changes_nothing() -> None:
    once = handler(event_of("PreSignUp_SignUp"), None)
    assert handler(copy.deepcopy(once), None) == once


@pytest.mark.parametrize("trigger", ["PreSignUp_AdminCreateUser", "PreSignUp_ExternalProvider"])
def test_other_ways_to_become_a_user_pass_as_they_are(trigger: str) -> None:
    assert handler(event_of(trigger), None) == event_of(trigger)


def test_it_imports_nothing() -> None:
    nodes = ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8")))
    assert not [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
