"""A ministack that lacks what is replaced or called is noticed before it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.local


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ("del v1._invoke_mock_v1", "function services.apigateway_v1._invoke_mock_v1"),
        ("v1._gw_error = lambda kind: None", "function services.apigateway_v1._gw_error"),
        ("del v1._models", "AccountRegionScopedDict services.apigateway_v1._models"),
        ("v1._resources = {}", "AccountRegionScopedDict services.apigateway_v1._resources"),
        ("del policies.EvalContext", "function core.iam_evaluator.EvalContext"),
    ],
)
@pytest.mark.sample(3)
def test_a_ministack_without_what_is_replaced_or_called_doesnt_start(
    change: str, gone: str
) -> None:
    program = f"""
import ministack.app, ministack.core.iam_evaluator as policies
import ministack.services.apigateway_v1 as v1
ministack.app.main = lambda: print("serves")
{change}
import sys
from cogauth.aws.environment import Keys
from cogauth.local import hooks, server
try:
    server.serve(Keys.new())
except hooks.HookError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"has no {gone}" in done.stderr
    assert "install cogauth with that extra again" in done.stderr
    assert "Traceback" not in done.stderr
