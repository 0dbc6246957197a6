"""IAM's decision on a request, and the IAM requests that a call to AWS leads to.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.calls import Call


def like(pattern: str, value: str) -> bool:
    """Say whether a value matches an IAM pattern: `*` is any text, `?` any character."""
    parts = [{"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern]
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def arn_like(pattern: str, value: str) -> bool:
    """Say whether an ARN matches, part by part, so that `*` doesn't match a colon."""
    patterns, parts = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(parts) and all(map(like, patterns, parts))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Request:
    """A request to IAM: an action on a resource, by a service or by the role itself (None)."""

    action: str
    resource: str
    service: str | None = None
    source_arn: str = ""
    source_account: str = ""
    boundary: str = ""
    policy: str = ""

    @property
    def keys(self) -> dict[str, str]:
        keys = {
            "aws:sourcearn": self.source_arn,
            "aws:sourceaccount": self.source_account,
            "iam:permissionsboundary": self.boundary,
            "iam:policyarn": self.policy,
            "iam:passedtoservice": self.service or "",
        }
        return {key: value for key, value in keys.items() if value}


OPERATORS = {
    "ArnLike": arn_like,
    "ArnEquals": arn_like,
    "StringEquals": str.__eq__,
    "StringLike": like,
}


def applies(statement: dict[str, Any], request: Request) -> bool:
    known = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    assert set(statement) <= known, "the evaluator doesn't know all of the statement"
    if request.service is not None and "Principal" in statement:
        principal = statement["Principal"]
        services = [] if principal == "*" else as_list(principal.get("Service", []))
        if principal not in ("*", {"AWS": "*"}) and request.service not in services:
            return False
    conditions = [
        (OPERATORS[operator], pattern, request.keys.get(key.lower()))
        for operator, keys in statement.get("Condition", {}).items()
        for key, patterns in keys.items()
        for pattern in as_list(patterns)
    ]
    return (
        any(like(action.lower(), request.action.lower()) for action in as_list(statement["Action"]))
        and any(like(resource, request.resource) for resource in as_list(statement["Resource"]))
        and all(value is not None and test(pattern, value) for test, pattern, value in conditions)
    )


def allowed(policy: list[dict[str, Any]], request: Request) -> bool:
    effects = {statement["Effect"] for statement in policy if applies(statement, request)}
    return effects == {"Allow"}


LOGS, COGNITO = "Logs_20140328", "AWSCognitoIdentityProviderService"
TAGGING = "ResourceGroupsTaggingAPI_20170126"
# Cognito's operations that name no pool, or need no permission.
OF_NO_POOL, FREE = {"CreateUserPool", "ListUserPools"}, {"GetUser", "SignUp"}


def asked_for(call: Call, region: str, account: str) -> Iterator[Request]:
    """Return what IAM is asked for a call, according to the Service Authorization Reference.

    This leaves out what only AWS sees, such as iam:PassRole. CloudWatch Logs uses a group's ARN
    with or without ':*', so both are returned.
    """
    sent = call.sent
    target, path, name = sent["headers"].get("X-Amz-Target", ""), sent["url_path"], call.operation
    body = sent["body"]
    given: dict[str, Any] = json.loads(body) if isinstance(body, bytes | str) and body else {}
    arn = f"arn:aws:{{}}:{region}:{account}:{{}}"
    if isinstance(body, dict) and "RoleName" in body:
        role = f"arn:aws:iam::{account}:role/{body['RoleName']}"
        keys = {
            "boundary": body.get("PermissionsBoundary", ""),
            "policy": body.get("PolicyArn", ""),
        }
        yield Request(f"iam:{name}", role, **keys)
    elif path.startswith(("/restapis", "/tags", "/domainnames")):
        yield Request(f"apigateway:{sent['method']}", f"arn:aws:apigateway:{region}::{path}")
    elif "/functions" in path:
        function = given.get("FunctionName") or path.split("/functions/")[1].split("/")[0]
        action = f"lambda:{name.rstrip('0123456789')}"
        yield Request(action, arn.format("lambda", f"function:{unquote(function)}"))
    elif target.startswith(TAGGING):
        yield Request(f"tag:{name}", "*")
    elif target.startswith(LOGS):
        group = given.get("logGroupName") or given.get("resourceArn", "").partition("log-group:")[2]
        for end in ("", ":*") if group else ():
            yield Request(f"logs:{name}", arn.format("logs", f"log-group:{group}{end}"))
        if not group:
            yield Request(f"logs:{name}", "*")
    elif target.startswith(COGNITO) and name not in FREE:
        pool = (
            "*"
            if name in OF_NO_POOL
            else arn.format("cognito-idp", f"userpool/{given['UserPoolId']}")
        )
        yield Request(f"cognito-idp:{name}", pool)
    else:
        assert name in {*FREE, "GetCallerIdentity"}, (name, path, target)
