"""A function's lines in CloudWatch Logs of the local AWS: each has an id, and faults have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.commands import until

if TYPE_CHECKING:
    from support.local_pools import Server

pytestmark = pytest.mark.local


def test_a_function_that_cant_be_imported_logs_why_and_each_line_has_its_id(server: Server) -> None:
    name = server.function("return 1\nimport no_such_module").rpartition(":")[2]
    functions, logs = server.client("lambda"), server.client("logs")
    assert functions.invoke(FunctionName=name)["FunctionError"]

    def events() -> list[dict[str, Any]]:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [each for each in found if "[ERROR]" in each["message"]]

    assert until(lambda: events() != [])
    assert [each for each in events() if "no_such_module" in each["message"]]
    every = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    ids = [each["eventId"] for each in every]
    assert len(ids) == len(set(ids)) > 1
