"""The simulated AWS: one table of its latencies and transient errors, and an account that uses it.

Each row names its source. "Assumed" means that no figure was found. The figures found are for
single calls, from other people's networks. This project has measured nothing on AWS.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.operations import Operation

ISSUES = "https://github.com/hashicorp/terraform-provider-aws/issues"
QUOTAS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"


@dataclass(frozen=True)
class Latency:
    """How long a class of calls takes, from a request to its answer.

    Attributes:
        what: the class, for the reader.
        service: as in a request's signature; ``*`` is any.
        names: what the operation's name begins with.
        seconds: the time.
        source: where the figure is from.
    """

    what: str
    service: str
    names: tuple[str, ...]
    seconds: float
    source: str


# The first match counts.
LATENCIES = (
    Latency(
        "Lambda's CreateFunction",
        "lambda",
        ("CreateFunction",),
        0.5,
        "Assumed: it takes in the code and assumes the role. A first attempt that was refused "
        "took 1.3 s, the connection included: https://github.com/epam/aws-syndicate/issues/63",
    ),
    Latency(
        "reads: Get…, List…, Describe…",
        "*",
        ("Get", "List", "Describe"),
        0.15,
        "Between 0.07 s (IAM, from the same continent), 0.23 s (Lambda's GetFunction, from another "
        f"one) and 0.41 s (API Gateway's GetRestApis): {ISSUES}/34698, {ISSUES}/42245, "
        "https://github.com/aws/aws-sdk-js/issues/1014",
    ),
    Latency(
        "IAM writes",
        "iam",
        ("",),
        0.25,
        f"CreateRole took 0.25 s: {ISSUES}/34698",
    ),
    Latency(
        "API Gateway writes",
        "apigateway",
        ("",),
        0.25,
        "CreateRestApi took 0.2 s more than a read did, DeleteRestApi 0.5 s more: "
        "https://github.com/aws/aws-sdk-js/issues/1014; for the others assumed",
    ),
    Latency("Cognito writes", "cognito-idp", ("",), 0.25, "Assumed: as IAM's"),
    Latency("all other writes", "*", ("",), 0.25, "Assumed: as IAM's"),
)


@dataclass(frozen=True)
class Rate:
    """One of API Gateway's rate limits for an account, which can't be raised.

    Attributes:
        names: the operations that share it; empty means all of API Gateway's together.
        per_second: the number of calls a second, over time.
        burst: the number of calls at once, after a pause.
    """

    names: tuple[str, ...]
    per_second: float
    burst: int
    source: str = QUOTAS


# "n requests in t seconds" is simulated as a bucket that holds n and fills up in t.
RATES = (
    Rate(("CreateRestApi",), 1 / 3, 1, f"{QUOTAS} (a regional API)"),
    Rate(("DeleteRestApi",), 1 / 30, 1),
    Rate(("CreateDeployment",), 1 / 5, 1),
    Rate(("CreateResource",), 5, 5),
    Rate(("DeleteResource",), 5, 5),
    Rate(("GetResources",), 5 / 2, 5),
    Rate((), 10, 40),
)


@dataclass(frozen=True)
class Conditions:
    """The conditions to simulate.

    Attributes:
        latencies: how long calls take; a call without a row takes as long as the local AWS.
        role_assumable_s: after CreateRole's answer, until Lambda can assume the role.
            Source: "typically 2-5 s" (https://github.com/go-to-k/cdkd/pull/54), "a simple sleep 5
            works but seems unreliable" (https://github.com/aws/aws-cli/issues/7700), "15 seconds
            is not enough" (https://github.com/aws/chalice/pull/172): 8 s is assumed, within these.
        function_pending_s: after CreateFunction's answer, until the function is Active. Source:
            more than 0.5 s and less than 5.7 s in one log
            (https://github.com/hashicorp/terraform-provider-aws/issues/42245): 2 s is assumed. What
            is refused until then: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html;
            that AddPermission is not among it is assumed: https://github.com/go-to-k/cdkd says so
            in its source (src/provisioning/providers/lambda-function-provider.ts).
        rates: how often calls may be made.
        conflicts: whether a write to a REST API is refused while another one is under way.
            Source: https://github.com/hashicorp/terraform-provider-aws/issues/16439
    """

    latencies: tuple[Latency, ...] = LATENCIES
    role_assumable_s: float = 8.0
    function_pending_s: float = 2.0
    rates: tuple[Rate, ...] = RATES
    conflicts: bool = True

    def latency(self, operation: Operation) -> float:
        """Return how long a call takes, in seconds."""
        for row in self.latencies:
            if row.service in {"*", operation.service} and operation.name.startswith(row.names):
                return row.seconds
        return 0.0

    def refused_after(self, awaits: str, operation: Operation) -> float:
        """Return how long a refusal takes: throttling as long as a read, others like the call.

        Source: https://github.com/aws/aws-sdk-js/issues/1014, where a throttled CreateRestApi took
        as long as a GetRestApis.
        """
        reads = [row.seconds for row in self.latencies if "Get" in row.names]
        return reads[0] if awaits == RATE and reads else self.latency(operation)


AWS = Conditions()
# An account without delays or refusals, for counting calls only.
QUIET = Conditions((), 0, 0, (), conflicts=False)

ROLE, PENDING, RATE, CONFLICT = "role", "pending", "rate", "conflict"
# Lambda refuses these while a function is Pending.
NOT_WHILE_PENDING = (
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
    "DeleteFunction",
    "Invoke",
)


@dataclass(frozen=True)
class Refusal:
    """AWS's refusal of a call, in the REST-JSON protocol of all services that refuse here."""

    awaits: str
    status: int
    code: str
    message: str

    def document(self) -> tuple[list[tuple[str, str]], bytes]:
        """Return the answer's headers and its body."""
        headers = [
            ("Content-Type", "application/json"),
            ("x-amzn-ErrorType", self.code),
            ("x-amzn-RequestId", str(uuid.uuid4())),
        ]
        return headers, json.dumps({"message": self.message}).encode()


NOT_ASSUMABLE = Refusal(
    ROLE,
    400,
    "InvalidParameterValueException",
    "The role defined for the function cannot be assumed by Lambda.",
)
STILL_PENDING = Refusal(
    PENDING,
    409,
    "ResourceConflictException",
    "The operation cannot be performed at this time. "
    "The function is currently in the following state: Pending",
)
TOO_MANY = Refusal(RATE, 429, "TooManyRequestsException", "Too Many Requests")
TWO_AT_ONCE = Refusal(
    CONFLICT,
    409,
    "ConflictException",
    "Unable to complete operation due to concurrent modification. Please try again later.",
)


class Bucket:
    """A token bucket: full at first; each call takes a token, and it refills over time."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._tokens = float(rate.burst)
        self._at = 0.0

    def has_one(self, now: float) -> bool:
        """Return whether a call may be made now."""
        self._tokens = min(
            self.rate.burst, self._tokens + max(0.0, now - self._at) * self.rate.per_second
        )
        self._at = max(now, self._at)
        # Allow for rounding errors of floats.
        return self._tokens > 1 - 1e-9

    def take(self) -> None:
        """Make a call."""
        self._tokens -= 1

    def limits(self, operation: Operation) -> bool:
        """Return whether it limits an operation."""
        mine = not self.rate.names or operation.name in self.rate.names
        return mine and operation.service == "apigateway"


class Account:
    """Simulate an account: its refusals, and its unfinished operations."""

    def __init__(self, conditions: Conditions) -> None:
        """Begin with a rested account."""
        self.conditions = conditions
        self._buckets = [Bucket(rate) for rate in conditions.rates]
        # By role and by function: the time from which it can be used, in the clock's seconds.
        self._assumable: dict[str, float] = {}
        self._active: dict[str, float] = {}
        self._being_written: set[str] = set()

    def begin(self, operation: Operation, now: float) -> Refusal | None:
        """Begin a request: return why it is refused, or None.

        Each request that isn't refused must ``end``.
        """
        buckets = [bucket for bucket in self._buckets if bucket.limits(operation)]
        # Ask every bucket, because asking refills it.
        have_one = [bucket.has_one(now) for bucket in buckets]
        if not all(have_one):
            return TOO_MANY
        for bucket in buckets:
            bucket.take()
        about = operation.about
        if operation.service == "lambda":
            role = about.get("Role", "").rpartition("/")[2]
            if operation.name == "CreateFunction" and now < self._assumable.get(role, now):
                return NOT_ASSUMABLE
            if operation.name in NOT_WHILE_PENDING and self._is_pending(operation, now):
                return STILL_PENDING
        api = self._written(operation)
        if api and self.conditions.conflicts:
            if api in self._being_written:
                return TWO_AT_ONCE
            self._being_written.add(api)
        return None

    def end(
        self, operation: Operation, status: int, body: bytes, begun: float, now: float
    ) -> tuple[bytes, str | None]:
        """End a request: return the answer as AWS gives it, and what its reader has to wait for."""
        self._being_written.discard(self._written(operation))
        if status >= FIRST_ERROR:
            return body, None
        if operation.name == "CreateRole":
            self._assumable[operation.about["RoleName"]] = now + self.conditions.role_assumable_s
        if operation.service != "lambda" or operation.name not in STATES:
            return body, None
        if operation.name == "CreateFunction":
            self._active[_function(operation)] = now + self.conditions.function_pending_s
        # An answer shows the state at the time of the request.
        pending = self._is_pending(operation, begun)
        document = json.loads(body)
        shown: dict[str, Any] = document
        for key in STATES[operation.name]:
            shown = shown[key]
        shown.update(_state(pending=pending))
        awaits = PENDING if pending and operation.reads else None
        return json.dumps(document).encode(), awaits

    def _is_pending(self, operation: Operation, now: float) -> bool:
        return now < self._active.get(_function(operation), now)

    def _written(self, operation: Operation) -> str:
        """Return the REST API that a call writes to; empty if it writes to none."""
        writes = operation.service == "apigateway" and not operation.reads
        return operation.about.get("restapi_id", "") if writes else ""


FIRST_ERROR = 400
# The answers that contain a function's state, and its place in them.
STATES: dict[str, tuple[str, ...]] = {
    "CreateFunction": (),
    "GetFunctionConfiguration": (),
    "GetFunction": ("Configuration",),
}


def _function(operation: Operation) -> str:
    """Return the name of the function in a call, which may be given as an ARN."""
    return operation.about.get("FunctionName", "").rpartition(":")[2]


def _state(*, pending: bool) -> dict[str, Any]:
    """Return a function's state as AWS reports it, whatever the local AWS says."""
    reason = ("The function is being created.", "Creating") if pending else (None, None)
    return {
        "State": "Pending" if pending else "Active",
        "StateReason": reason[0],
        "StateReasonCode": reason[1],
        "LastUpdateStatus": None if pending else "Successful",
    }
