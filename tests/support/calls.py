"""The calls that one Aws makes: record them, or answer them in AWS's place."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse

from support.names import READS

if TYPE_CHECKING:
    from cogauth.aws.clients import Aws

CLIENTS = (
    "sts",
    "cognito",
    "cognito_once",
    "iam",
    "lambda_",
    "logs",
    "apigateway",
    "apigateway_once",
    "tagging",
)


@dataclass(frozen=True)
class Call:
    """One call to AWS: its operation's name and what was sent."""

    operation: str
    sent: dict[str, Any] = field(compare=False, repr=False)

    @property
    def mutating(self) -> bool:
        return not self.operation.startswith(READS)

    @property
    def request(self) -> str:
        """The operation and everything that was sent."""
        parts = (self.sent[name] for name in ("url_path", "query_string", "body"))
        return f"{self.operation} {' '.join(map(repr, parts))}"


Before = Callable[[Call], tuple[AWSResponse, dict[str, Any]] | None]
After = Callable[[Call], None]


def refusal(status: int, code: str, message: str = "No.") -> tuple[AWSResponse, dict[str, Any]]:
    """Return a refusal for a `before-call` handler to answer in AWS's place."""
    parsed = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return AWSResponse("https://aws.invalid/", status, {}, None), parsed


class Calls:
    """All calls that the clients of one Aws make, with a way to answer in AWS's place."""

    def __init__(self, aws: Aws) -> None:
        self.clients = [getattr(aws, name) for name in CLIENTS]

    @contextlib.contextmanager
    def watched(
        self, before: Before | None = None, after: After | None = None
    ) -> Iterator[list[Call]]:
        """Record the calls; `before` may answer or raise; `after` may raise to lose the answer.

        Calls come from several threads, but `before` and `after` run one at a time.
        """
        calls: list[Call] = []
        one_at_a_time, here = threading.RLock(), threading.local()

        def on_before(model: Any, params: dict[str, Any], **_: Any) -> Any:
            with one_at_a_time:
                here.call = Call(model.name, params)
                calls.append(here.call)
                return before(here.call) if before else None

        def on_after(**_: Any) -> None:
            with one_at_a_time:
                if after:
                    after(here.call)

        for client in self.clients:
            # Last: a call that cogauth itself stops doesn't count.
            client.meta.events.register_last("before-call", on_before)
            client.meta.events.register_last("after-call", on_after)
        try:
            yield calls
        finally:
            for client in self.clients:
                client.meta.events.unregister("before-call", on_before)
                client.meta.events.unregister("after-call", on_after)
