"""Part 5: ``attach`` on many methods, compared with the bound set by API Gateway's limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.conditions import AWS, QUIET, Bucket
from benchmarks.operations import Operation
from benchmarks.programs import COGAUTH, client, count, environment, folder, local_aws, run
from benchmarks.proxy import PlayedAws

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.conditions import Conditions

SIZES = (10, 100, 300)
AS_AWS, RATES_ALONE = "as AWS", "rates alone"
# Without latency, ten methods fit in the burst, so no rate limits them.
WAYS: dict[str, tuple[Conditions, int]] = {
    AS_AWS: (AWS, 0),
    RATES_ALONE: (replace(AWS, latencies=()), 100),
}


def measure(say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Attach to APIs of these sizes, once with AWS's latencies and once with only its rates."""
    found: dict[str, dict[str, Any]] = {}
    with local_aws() as upstream, PlayedAws(upstream, QUIET) as aws, folder() as home:
        env = environment(home, aws.url)
        run([*COGAUTH, "up", "--json"], home, env)
        for way, (conditions, least) in WAYS.items():
            for size in (one for one in sizes if one >= least):
                say(f"attach, {way}: {size} methods")
                api = make(upstream, size)
                aws.conditions = conditions
                aws.new_run()
                words = ["attach", "--api", api, "--path", "*", "--yes", "--json"]
                done = run([*COGAUTH, *words], home, env)
                begin, end = min(c.begin for c in aws.calls), max(c.end for c in aws.calls)
                found.setdefault(way, {})[str(size)] = {
                    "process_s": done.seconds,
                    "calls_s": end - begin,
                    "bound_s": bound(size, conditions),
                    "calls": count(aws.calls),
                }
    return found


def make(url: str, size: int) -> str:
    """Create someone else's API with ``size`` open methods; return its id."""
    apis = client("apigateway", url)
    made = apis.create_rest_api(name="theirs")
    api = {"restApiId": made["id"]}
    for nth in range(size):
        resource = apis.create_resource(
            **api, parentId=made["rootResourceId"], pathPart=f"path-{nth:03}"
        )
        place = {**api, "resourceId": resource["id"], "httpMethod": "GET"}
        apis.put_method(**place, authorizationType="NONE")
        apis.put_integration(**place, type="MOCK")
    apis.create_deployment(**api, stageName="prod")
    return str(made["id"])


def bound(size: int, conditions: Conditions) -> float:
    """Return the shortest possible time, in seconds: only the necessary calls, as early as allowed.

    The caller's identity is read first. Reads may overlap. Writes to one API take turns, because
    API Gateway refuses concurrent ones. No call comes before the rates allow it.

    Args:
        size: the number of methods to attach.
        conditions: the latencies and rates.
    """
    together = [
        ["sts:GetCallerIdentity"],
        ["apigateway:GetRestApis"],
        [f"apigateway:{n}" for n in ("GetResources", "GetAuthorizers", "GetStages")],
        # It needs the stage's name.
        ["apigateway:GetExport"],
        ["apigateway:CreateAuthorizer"],
        *(["apigateway:UpdateMethod"] for _ in range(size)),
        ["apigateway:CreateDeployment"],
        ["apigateway:UpdateStage"],
    ]
    buckets = [Bucket(rate) for rate in conditions.rates]
    now = 0.0
    for names in together:
        ends = []
        for name in names:
            service, _, short = name.partition(":")
            operation = Operation(service, short)
            begin = _allowed(buckets, operation, now)
            ends.append(begin + conditions.latency(operation))
        now = max(ends)
    return now


def _allowed(buckets: Sequence[Bucket], operation: Operation, now: float) -> float:
    """Take a token from each bucket for the operation; return when all have one."""
    mine = [bucket for bucket in buckets if bucket.limits(operation)]
    while not all(bucket.has_one(now) for bucket in mine):
        # The steps are too short to show in the total.
        now += 0.001
    for bucket in mine:
        bucket.take()
    return now
