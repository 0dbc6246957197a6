"""Stacks on a real AWS account."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import boto3
import requests

from support.forker import COGAUTH, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SLOWEST = 900.0


class Account:
    """The command line with the user's own AWS configuration, and what exists in the account."""

    def __init__(self, folder: Path, stack: str) -> None:
        self.folder, self.stack = folder, stack
        kept = {k: v for k, v in os.environ.items() if not k.startswith("COGAUTH_")}
        self.env = {**kept, "COGAUTH_STACK": stack}

    def run(self, *words: str, password: str = "") -> Result:
        begun = time.monotonic()
        done = subprocess.run(
            [*COGAUTH, *words],
            cwd=self.folder,
            env={**self.env, "COGAUTH_PASSWORD": password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SLOWEST,
            check=False,
        )
        print(f"\ncogauth {words[0]}: {time.monotonic() - begun:.1f} s\n{done.stderr}")  # noqa: T201 for pytest -s
        return Result(done.returncode, done.stdout, done.stderr)

    def login(self, password: str) -> Result:
        return self.run("test-login", "--username", "ann", "--json", password=password)

    def named(self, region: str) -> list[str]:
        """Return everything that has one of the stack's names."""
        session = boto3.Session(region_name=region)
        listed: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
            ("cognito-idp", "list_user_pools", {"MaxResults": 60}, "UserPools", "Name"),
            ("iam", "list_roles", {}, "Roles", "RoleName"),
            ("lambda", "list_functions", {}, "Functions", "FunctionName"),
            ("apigateway", "get_rest_apis", {}, "items", "name"),
            ("logs", "describe_log_groups", {}, "logGroups", "logGroupName"),
        )
        return [
            entry[name]
            for service, operation, arguments, key, name in listed
            # The overloads require literal names.
            for page in session.client(service)  # type: ignore[call-overload]
            .get_paginator(operation)
            .paginate(**arguments)
            for entry in page[key]
            if self.stack in entry[name]
        ]

    def tagged(self, region: str) -> list[str]:
        """Return what has the stack's tag, except a REST API's own log."""
        tagging = boto3.Session(region_name=region).client("resourcegroupstaggingapi")
        pages = tagging.get_paginator("get_resources").paginate(
            TagFilters=[{"Key": "cogauth:stack", "Values": [self.stack]}]
        )
        return [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]


def until_it_answers(ready: Callable[[], bool]) -> None:
    """Wait until a new deployment has reached API Gateway's hosts, for at most a minute."""
    end = time.monotonic() + 60
    while not ready() and time.monotonic() < end:
        time.sleep(2)


def post(url: str, body: str) -> tuple[int, dict[str, Any]]:
    """POST as any client would; return the HTTP status and the answer."""
    headers = {"Content-Type": "application/json"}
    response = requests.post(url, data=body, headers=headers, timeout=35)
    return response.status_code, dict(response.json())
