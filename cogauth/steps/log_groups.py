"""The console's CloudWatch page: the functions' log groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cogauth.aws import parallel
from cogauth.aws.answers import Live, deleted, fields, or_none
from cogauth.aws.policies import ANY, Purpose, allow
from cogauth.steps.base import Change, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogauth.aws.policies import Permissions
    from cogauth.context import Context
    from cogauth.record.records import Record
    from cogauth.settings import Settings
    from cogauth.steps.lambda_ import FunctionSpec

LOG_RETENTION_DAYS = 30
# It says that AWS asks for an action that no call is named after.
LOGS_TAGGING = (
    "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html"
)


class LogGroup(Resource):
    """A function's log group, created beforehand: Lambda's own would keep its logs forever."""

    conflict = "ResourceAlreadyExistsException"
    held = "its lines"

    def __init__(self, function: FunctionSpec) -> None:
        self.function = function
        self.key = function.log_group

    @property
    def arns(self) -> tuple[str, str]:
        """The patterns of its ARN: AWS asks for actions on tags without ':*', for most with it.

        Source:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
        """
        name = f"/aws/lambda/STACK-{self.function.suffix}"
        arn = f"arn:PARTITION:logs:REGION:ACCOUNT:log-group:{name}"
        return arn, f"{arn}:*"

    def permissions(self, settings: Settings) -> Permissions:
        both = self.arns
        return {
            Purpose.FIND: (
                allow(ANY, "logs:DescribeLogGroups"),
                allow(both, "logs:ListTagsForResource"),
            ),
            Purpose.CREATE: (
                allow(both, "logs:CreateLogGroup"),
                allow(both, "logs:TagResource", source=LOGS_TAGGING),
            ),
            Purpose.CHANGE: (allow(both, "logs:PutRetentionPolicy"),),
            Purpose.DELETE: (allow(both, "logs:DeleteLogGroup"),),
        }

    def name(self, ctx: Context) -> str:
        return f"/aws/lambda/{self.function.name(ctx)}"

    def create(self, ctx: Context) -> Live:
        ctx.aws.logs.create_log_group(logGroupName=self.name(ctx), tags=ctx.tags)
        return {"logGroupName": self.name(ctx)}

    def read(self, ctx: Context, record: Record) -> Live | None:
        list_tags = ctx.aws.logs.list_tags_for_resource
        looks: list[Callable[[], Any]] = [
            lambda: self._described(ctx),
            lambda: or_none(lambda: list_tags(resourceArn=self._arn(ctx))),
        ]
        if record:
            group, answer = parallel.each(looks)
        else:
            # Nobody knows whether there is one.
            group = looks[0]()
            answer = looks[1]() if group else None
        return {**group, "Tags": answer.get("tags", {})} if group and answer else None

    def _described(self, ctx: Context) -> Live | None:
        pages = ctx.aws.logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=self.name(ctx)
        )
        groups = (group for page in pages for group in page["logGroups"])
        return next((one for one in groups if one["logGroupName"] == self.name(ctx)), None)

    def _arn(self, ctx: Context) -> str:
        return ctx.arn("logs", f"log-group:{self.name(ctx)}")

    def facts(self, ctx: Context, live: Live) -> Record:
        return {"id": live["logGroupName"], "arn": self._arn(ctx)}

    def tags(self, live: Live) -> dict[str, str]:
        return dict(live["Tags"])

    def changes(self, ctx: Context, live: Live) -> Iterator[Change]:
        if live.get("retentionInDays") != LOG_RETENTION_DAYS:
            yield Change(
                lambda: ctx.aws.logs.put_retention_policy(
                    logGroupName=self.name(ctx), retentionInDays=LOG_RETENTION_DAYS
                ),
                tuple(fields(live, {"retentionInDays": LOG_RETENTION_DAYS})),
                asks=f"The log group {self.name(ctx)} keeps its logs for longer than "
                f"{LOG_RETENTION_DAYS} days. Delete the older ones?"
                if self._keeps_more(ctx, live)
                else "",
            )

    def _keeps_more(self, ctx: Context, live: Live) -> bool:
        """Return whether it may hold logs older than the stack wants to keep."""
        longest = LOG_RETENTION_DAYS * 24 * 3600
        age_s: float = ctx.now() - live.get("creationTime", 0) / 1000
        kept_days: int = live.get("retentionInDays", LOG_RETENTION_DAYS + 1)
        return age_s > longest and kept_days > LOG_RETENTION_DAYS

    def obstacles(self, ctx: Context, record: Record) -> Iterator[str]:
        live, name = self.read(ctx, record), record["id"]
        if live and live.get("deletionProtectionEnabled"):
            yield (
                f"The log group {name} is protected from deletion. Turn that off in the console "
                "(CloudWatch, Log groups, the group, Actions), or with 'aws logs "
                f"put-log-group-deletion-protection --log-group-identifier {name} "
                f"--no-deletion-protection-enabled --region {ctx.aws.region}'."
            )

    def delete(self, ctx: Context, record: Record) -> bool:
        return deleted(lambda: ctx.aws.logs.delete_log_group(logGroupName=record["id"]))
