"""The log lines of the stack's functions, in their order."""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, PaginationError

from cogauth.aws.answers import NOT_FOUND, code_of
from cogauth.aws.errors import AWS_ERRORS
from cogauth.aws.policies import allow
from cogauth.aws.transient import passing_cause
from cogauth.client.transport import strict_json
from cogauth.errors import IncompleteError
from cogauth.steps.lambda_ import AUTO_CONFIRM, SIGN_IN
from cogauth.steps.log_groups import LogGroup
from cogauth.steps.lookup import incomplete_error
from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cogauth.context import Context

FUNCTIONS = {"sign-in": SIGN_IN, "auto-confirm": AUTO_CONFIRM}
# What ``read`` and ``follow`` need, by function.
PERMISSIONS = {
    name: allow(LogGroup(function).arns, "logs:FilterLogEvents")
    for name, function in FUNCTIONS.items()
}
# The pause between two looks, in seconds. An account may make 5 such calls a second, and a look
# makes one for each function: https://repost.aws/knowledge-center/cloudwatch-logs-throttling
PAUSE_S = 2
# How late a line may come: Lambda says 5 to 10 minutes after the invocation. Source:
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
# This machine's clock may be some minutes fast.
LATE_MS = 15 * 60 * 1000
# How many lines of a function to tell apart from late ones, at most twice that for a moment, and
# all of one millisecond. It is less than a page, so that looking again costs few calls.
KEPT = 5000
# Lines that Lambda itself writes in its text format, with the request's id. Only those about a
# failure have a status. Sources: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
# and https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
_OF_REQUEST = re.compile(r"(START|END|REPORT) RequestId: (\S+)")
_OF_ENVIRONMENT = re.compile(r"(INIT|RESTORE)_(START|REPORT|RUNTIME_DONE)\b")
_FAILED = re.compile(r"\bStatus: (?!success\b)")
# The requests in progress that are known, at most: as many as may run at once by default.
RUNNING = 1000


@dataclass(frozen=True)
class Line:
    """What a function, or Lambda about it, wrote at once: in a traceback several lines.

    Attributes:
        time: in UTC.
        function: a key of FUNCTIONS.
        request_id: Lambda's id of the invocation; None if it isn't known.
        message: as it was written, without the line end.
        record: the message's JSON object; None if it isn't one.
    """

    time: datetime
    function: str
    request_id: str | None
    message: str
    record: dict[str, Any] | None

    @property
    def is_routine(self) -> bool:
        """Whether Lambda itself wrote it at each invocation or cold start, and about no failure.

        In the JSON log format these are events named ``platform.…``. Source:
        https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
        """
        if self.record is None:
            of_lambda = _OF_REQUEST.match(self.message) or _OF_ENVIRONMENT.match(self.message)
            return of_lambda is not None and not _FAILED.search(self.message)
        kind, inner = self.record.get("type"), self.record.get("record")
        if not isinstance(kind, str) or not isinstance(inner, dict):
            return False
        # Not the event that says that lines were dropped.
        known = kind.startswith("platform.") and kind != "platform.logsDropped"
        return known and inner.get("status", "success") == "success"


def read(ctx: Context, functions: Collection[str], since_ms: int) -> Iterator[Line]:
    """Yield the lines of some FUNCTIONS since a time, oldest first, a page of each at a time.

    Args:
        ctx: the stack, complete or not.
        functions: keys of FUNCTIONS.
        since_ms: in milliseconds since the epoch.

    Raises:
        IncompleteError: the stack has no such log group, or it was deleted.
    """
    return _merged([_LogGroup(ctx, each, since_ms) for each in functions])


def follow(
    ctx: Context,
    functions: Collection[str],
    since_ms: int,
    lost: Callable[[Exception], object],
) -> Iterator[Line]:
    """Like ``read``, and then look for more lines every PAUSE_S, without an end.

    A line that comes late is yielded as it comes, if that is within LATE_MS and no more than KEPT
    others of its function are younger. After a first answer, errors that may pass don't end it:
    ``lost`` is called with the first of several. Raises KeyboardInterrupt at the stop event.
    """
    groups = [_LogGroup(ctx, each, since_ms, lost) for each in functions]
    while True:
        yield from _merged(groups)
        if ctx.waiter.stop.wait(PAUSE_S):
            raise KeyboardInterrupt


def _merged(groups: list[_LogGroup]) -> Iterator[Line]:
    return heapq.merge(*(group.lines() for group in groups), key=lambda line: line.time)


@dataclass
class _LogGroup:
    """The log group of a function, and how far it has been read."""

    ctx: Context
    function: str
    start: int
    # Called with an error that may pass; None if it ends the reading.
    lost: Callable[[Exception], object] | None = None
    answered: bool = False
    # The times of the lines that a later look may find again, by their ids.
    known: dict[str, int] = field(default_factory=dict)
    # The request that each execution environment works on. Each has a log stream of its own.
    running: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[Line]:
        """Yield the lines since ``start`` that were not yielded before; move ``start``.

        AWS sorts them by time. Source:
        https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
        """
        ctx, group = self.ctx, LogGroup(FUNCTIONS[self.function])
        name = group.name(ctx)
        if "id" not in (ctx.state.record(group.key) or {}):
            raise IncompleteError(
                f"The stack {ctx.stack} has no {words(group)} yet.",
                hint=f"Run '{ctx.state.command('up')}' to finish it.",
            )
        oldest = max(self.start, round(ctx.now() * 1000) - LATE_MS)
        most = 2 * max(KEPT, len(self.known))
        try:
            for events in self._pages(name):
                for event in events:
                    if event["eventId"] in self.known:
                        continue
                    if event["timestamp"] >= oldest:
                        self.known[event["eventId"]] = event["timestamp"]
                        if len(self.known) > most:
                            oldest = self._forget_before(sorted(self.known.values())[-KEPT])
                            # Those of one millisecond stay together: look again at twice as many.
                            most = 2 * max(KEPT, len(self.known))
                    yield self._line(event)
        except ClientError as error:
            if code_of(error) not in NOT_FOUND:
                raise
            raise incomplete_error(ctx, group) from error
        self.start = self._forget_before(oldest)

    def _pages(self, name: str) -> Iterator[Any]:
        """Yield the events page by page. A page that isn't answered is asked for again.

        botocore's paginator doesn't go on after an error.
        """
        more: Any = {}
        while True:
            page = self._page(logGroupName=name, startTime=self.start, **more)
            yield page.get("events", [])
            if not page.get("nextToken"):
                return
            if page["nextToken"] == more.get("nextToken"):
                # As the paginator does: otherwise this would never end.
                raise PaginationError(message="The next page is the same one again.")
            more = {"nextToken": page["nextToken"]}

    def _page(self, **which: Any) -> Any:
        is_told = False
        while True:
            try:
                page = self.ctx.aws.logs.filter_log_events(**which)
            except AWS_ERRORS as error:
                if self.lost is None or not self.answered or not passing_cause(error):
                    raise
                if not is_told:
                    self.lost(error)
                is_told = True
                if self.ctx.waiter.stop.wait(PAUSE_S):
                    raise KeyboardInterrupt from None
            else:
                self.answered = True
                return page

    def _forget_before(self, oldest: int) -> int:
        self.known = {each: time for each, time in self.known.items() if time >= oldest}
        return oldest

    def _line(self, event: Any) -> Line:
        message = event["message"].rstrip("\r\n")
        record = _json_object(message)
        return Line(
            datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
            self.function,
            self._request_of(event["logStreamName"], message, record),
            message,
            record,
        )

    def _request_of(self, stream: str, message: str, record: dict[str, Any] | None) -> str | None:
        """Return the id that a line names, or that of the request in progress in its stream."""
        if record is not None:
            inner = record.get("record")
            named = {**record, **(inner if isinstance(inner, dict) else {})}.get("requestId")
            kind, found = record.get("type"), named if isinstance(named, str) else None
        else:
            match = _OF_REQUEST.match(message)
            kind, found = match.groups() if match else (None, None)
        if found is None:
            return self.running.get(stream)
        if kind in ("START", "platform.start"):
            self.running[stream] = found
            if len(self.running) > RUNNING:
                del self.running[next(iter(self.running))]
        elif kind in ("REPORT", "platform.report"):
            self.running.pop(stream, None)
        return found


def _json_object(message: str) -> dict[str, Any] | None:
    if not message.startswith("{"):
        return None
    try:
        found: dict[str, Any] = strict_json(message)
    except ValueError:
        return None
    return found
