"""The functions' log lines on moto: their order, which ones are Lambda's, and following."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, PaginationError, SSLError

from cogauth.aws.waiting import Waiter
from cogauth.client.logs import FUNCTIONS, KEPT, LATE_MS, Line, _LogGroup, follow, read
from cogauth.errors import IncompleteError
from support.calls import Call, refusal
from support.clock import FakeTime
from support.stacks import AUTO_CONFIRM_LOGS, SIGN_IN_LOGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from support.account import Account

GROUPS = {"sign-in": SIGN_IN_LOGS, "auto-confirm": AUTO_CONFIRM_LOGS}
REPORT = "REPORT RequestId: r1\tDuration: 3000.00 ms\tBilled Duration: 3000 ms"


class Written:
    """A stack and its functions' log lines. Times are in milliseconds before its creation."""

    def __init__(self, account: Account) -> None:
        account.stands()
        self.account = account
        self.logs = account.client("logs")
        self.now = round(time.time() * 1000)
        self.streams: set[tuple[str, str]] = set()
        # The errors reported while following.
        self.lost: list[Exception] = []

    def write(self, *lines: tuple[int, str], function: str = "sign-in", stream: str = "a") -> None:
        place = {"logGroupName": GROUPS[function], "logStreamName": stream}
        if (function, stream) not in self.streams:
            self.logs.create_log_stream(**place)
            self.streams.add((function, stream))
        events = [
            {"timestamp": self.now - ago, "message": text} for ago, text in sorted(lines)[::-1]
        ]
        self.logs.put_log_events(**place, logEvents=events)

    def read(self, *functions: str, since: int = 3_600_000) -> list[Line]:
        return list(read(self.account.context(), functions or list(FUNCTIONS), self.now - since))

    def follow(self, *meanwhile: Callable[[], object], since: int = 3_600_000) -> Iterator[Line]:
        """Follow both logs. Each pause runs one step; the pause after the last step is the end."""
        ctx = self.account.context()
        ctx.waiter = Waiter(stop=Pauses(list(meanwhile)))
        return follow(ctx, list(FUNCTIONS), self.now - since, self.lost.append)


class Pauses(FakeTime):
    """A stop event: each wait runs one step, and the event is set when no step is left."""

    def __init__(self, steps: list[Callable[[], object]]) -> None:
        super().__init__()
        self.steps = steps

    def wait(self, timeout: float | None = None) -> bool:
        if self.steps:
            self.steps.pop(0)()
        else:
            self.set()
        return super().wait(timeout)


@pytest.fixture
def written(account: Account) -> Written:
    return Written(account)


def messages(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


def followed(lines: Iterator[Line]) -> list[str]:
    found: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(line.message for line in lines)
    return found


# Reading


def test_the_lines_of_both_functions_come_in_the_order_of_their_times(written: Written) -> None:
    written.write((9000, "1"), (5000, "4\n"), (1000, "6"))
    written.write((7000, "3"), (4000, "5"), stream="b")
    written.write((8000, "2"), (500, "7"), function="auto-confirm")
    lines = written.read()
    assert messages(lines) == list("1234567")
    assert [line.function for line in lines if line.message in "27"] == 2 * ["auto-confirm"]
    assert lines[0].time.timestamp() * 1000 == pytest.approx(written.now - 9000)
    assert messages(written.read("auto-confirm")) == ["2", "7"]
    assert messages(written.read(since=4000)) == list("567")


def test_they_are_read_page_by_page_as_they_are_needed(written: Written) -> None:
    """A page has up to 10,000 lines, on AWS and on moto."""
    for half in (0, 1):
        written.write(*((9000 - n, str(n)) for n in range(half * 6000, half * 6000 + 6000)))
    ctx = written.account.context()
    with written.account.calls.watched() as calls:
        lines = read(ctx, ["sign-in"], written.now - 10_000)
        assert next(lines).message == "0"
        assert len(calls) == 1
        assert messages(list(lines)) == [str(n) for n in range(1, 12_000)]
    assert len(calls) == 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_log_group_that_is_gone_is_named_with_the_remedy(written: Written, name: str) -> None:
    written.logs.delete_log_group(logGroupName=GROUPS[name])
    with pytest.raises(IncompleteError) as raised:
        written.read()
    said = str(raised.value)
    assert (
        f"The {name} log group {GROUPS[name]} doesn't exist any more; its lines are lost." in said
    )
    assert "Run 'cogauth up --stack shop" in said
    other = next(each for each in FUNCTIONS if each != name)
    assert written.read(other) == []
    written.account.up()
    assert written.read() == []


def test_a_stack_that_has_no_log_group_yet_says_so(account: Account) -> None:
    with pytest.raises(IncompleteError, match="The stack shop has no sign-in log group yet"):
        list(read(account.context(), ["sign-in"], 0))


# Which request a line belongs to


ROUTINE = [
    "INIT_START Runtime Version: python:3.13.v64\tRuntime Version ARN: arn:aws:x",
    "START RequestId: r1 Version: $LATEST",
    "END RequestId: r1",
    REPORT,
    f"{REPORT}\t\nXRAY TraceId: 1-5e\tSegmentId: 07\tSampled: true",
    "INIT_REPORT Init Duration: 90.12 ms\tPhase: init\tStatus: success",
    '{"type": "platform.initStart", "record": {"runtimeVersion": "python:3.13.v64"}}',
    '{"type": "platform.start", "record": {"requestId": "r1", "version": "$LATEST"}}',
    '{"type": "platform.report", "record": {"requestId": "r1", "status": "success"}}',
]
OTHERS = [
    f"{REPORT}\tStatus: timeout",
    f"{REPORT}\tStatus: error\tError Type: Runtime.ExitError",
    "INIT_REPORT Init Duration: 137.69 ms\tPhase: init\tStatus: error\tError Type: x",
    "2026-11-27T13:45:00.123Z r1 Task timed out after 3.00 seconds",
    "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n\xa0\xa0File",
    "STARTING",
    '{"outcome": "success", "duration_ms": 12}',
    '{"type": "platform.report", "record": {"requestId": "r1", "status": "timeout"}}',
    '{"type": "platform.initReport", "record": {"status": "error"}}',
    '{"type": "platform.logsDropped", "record": {"droppedRecords": 3}}',
    '{"type": "platform.start", "record": "r1"}',
    '{"type": ["platform.start"], "record": {"requestId": ["r1"]}}',
]


def test_the_lines_that_lambda_writes_at_each_call_are_known(written: Written) -> None:
    written.write(*((1000, text) for text in [*ROUTINE, *OTHERS]))
    lines = written.read()
    assert {line.message for line in lines if line.is_routine} == set(ROUTINE)
    assert {line.message for line in lines if not line.is_routine} == set(OTHERS)


def test_a_line_belongs_to_the_request_in_progress_in_its_stream(written: Written) -> None:
    """Each execution environment has its own stream, and handles one request at a time."""
    json_start = json.dumps({"type": "platform.start", "record": {"requestId": "r3"}})
    json_end = json.dumps({"type": "platform.report", "record": {"requestId": "r3"}})
    written.write(
        (9900, "before any"),
        (9000, "START RequestId: r1 Version: $LATEST"),
        (8000, '{"outcome": "success", "duration_ms": 12}'),
        (7500, "END RequestId: r1"),
        (7000, "REPORT RequestId: r1\tDuration: 1 ms"),
        (6000, "between"),
        (5900, '{"message": "named", "requestId": "r9"}'),
    )
    written.write(
        (8500, "START RequestId: r2 Version: $LATEST"), (7900, "at the same time"), stream="b"
    )
    written.write((5000, json_start), (4000, "in JSON"), (3000, json_end), stream="c")
    requests = [(line.message, line.request_id) for line in written.read()]
    assert [request for _, request in requests] == [
        *(None, "r1", "r2", "r1", "r2", "r1", "r1", None, "r9", "r3", "r3", "r3")
    ]


def test_json_is_parsed_only_if_it_can_be_written_again(written: Written) -> None:
    texts = ('{"a": [1, null]}', '{"a": NaN}', "{", "[1]", '{"a":' * 9999, '{"\\ud800": 1}')
    written.write(*((100 - n, text) for n, text in enumerate(texts)))
    assert [line.record for line in written.read()] == [
        *({"a": [1, None]}, None, None, None, None, {"\ud800": 1})
    ]


# Following


def test_each_line_is_shown_once_also_one_that_comes_late(written: Written) -> None:
    written.write((60_000, "1"), (50_000, "2"))
    found = followed(
        written.follow(
            lambda: None,
            lambda: written.write((55_000, "late"), (50_000, "the same time"), stream="b"),
            lambda: written.write((40_000, "3"), function="auto-confirm"),
            lambda: None,
            lambda: written.write((LATE_MS - 60_000, "very late"), function="auto-confirm"),
        )
    )
    assert found == ["1", "2", "late", "the same time", "3", "very late"]


def test_many_lines_in_any_order_are_shown_once(written: Written) -> None:
    by_chance = random.Random(7)  # noqa: S311 no secret
    lines = [(by_chance.randrange(LATE_MS - 60_000), str(number)) for number in range(300)]
    batches = [lines[at : at + 30] for at in range(0, 300, 30)]

    def write(batch: list[tuple[int, str]]) -> None:
        for function in FUNCTIONS:
            some = [line for line in batch if (int(line[1]) % 2 == 0) is (function == "sign-in")]
            written.write(*some, function=function, stream=by_chance.choice("abc"))

    found = followed(written.follow(*(lambda batch=batch: write(batch) for batch in batches)))
    assert sorted(found, key=int) == [str(number) for number in range(300)]
    assert messages(written.read()) == [text for _, text in sorted(lines, key=lambda x: -x[0])]


def test_after_more_lines_than_are_kept_the_next_ones_are_shown_once(written: Written) -> None:
    """Only the newest lines are remembered to recognize late ones, so memory is bounded."""
    count = 2 * KEPT + 100

    def burst() -> None:
        for begin in range(0, count, 5000):
            numbers = range(begin, min(begin + 5000, count))
            written.write(*((60_000 - number, str(number)) for number in numbers))

    with written.account.calls.watched() as calls:
        found = followed(
            written.follow(burst, calls.clear, lambda: written.write((100, "next")), lambda: None)
        )
    assert found == [*map(str, range(count)), "next"]
    # Reading again needs no second page.
    assert len([call for call in calls if call.operation == "FilterLogEvents"]) == 2 * 3


def test_many_lines_of_one_millisecond_are_not_scanned_for_each_line(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their times don't tell them apart, so all of them are kept."""
    count, scanned = 3 * KEPT, 0
    forget = _LogGroup._forget_before  # noqa: SLF001 what scans them

    def counted(group: _LogGroup, oldest: int) -> int:
        nonlocal scanned
        scanned += len(group.known)
        return forget(group, oldest)

    monkeypatch.setattr(_LogGroup, "_forget_before", counted)
    for begin in range(0, count, KEPT):
        written.write(*((60_000, str(n)) for n in range(begin, begin + KEPT)))
    assert len(written.read("sign-in")) == count
    assert scanned <= 3 * count


def test_a_page_that_comes_again_and_again_is_an_error(written: Written) -> None:
    def again(call: Call) -> Any:
        if call.operation != "FilterLogEvents":
            return None
        return AWSResponse("https://x", 200, {}, None), {"events": [], "nextToken": "same"}

    with written.account.calls.watched(again), pytest.raises(PaginationError):
        written.read("sign-in")


def test_a_log_group_that_goes_while_it_is_followed_ends_it(written: Written) -> None:
    written.write((1000, "1"))
    lines = written.follow(lambda: written.logs.delete_log_group(logGroupName=SIGN_IN_LOGS))
    assert next(lines).message == "1"
    with pytest.raises(IncompleteError, match="doesn't exist any more"):
        next(lines)


class Failing:
    """Makes calls about one function's log fail, from `begin` until they have failed twice."""

    def __init__(self, error: Exception | tuple[int, str], times: int = 2) -> None:
        self.error, self.times, self.left = error, times, 0

    def begin(self) -> None:
        self.left = self.times

    def __call__(self, call: Call) -> Any:
        if not self.left or AUTO_CONFIRM_LOGS not in str(call.sent["body"]):
            return None
        self.left -= 1
        if isinstance(self.error, Exception):
            raise self.error
        return refusal(*self.error)


GONE = ConnectionClosedError(endpoint_url="https://logs.eu-central-1.amazonaws.com")


@pytest.mark.parametrize("error", [(400, "ThrottlingException"), (503, "ServiceUnavailable"), GONE])
def test_an_error_that_passes_is_told_once_and_no_line_is_lost_or_repeated(
    written: Written, error: Exception | tuple[int, str]
) -> None:
    failing = Failing(error)

    def write() -> None:
        written.write((900, "2"), (700, "4"))
        written.write((800, "3"), function="auto-confirm")
        failing.begin()

    # These are too old to be distinguished from late ones.
    written.write((2 * LATE_MS, "0"), (1000, "1"))
    with written.account.calls.watched(failing):
        found = followed(written.follow(write, lambda: None, lambda: None, lambda: None))
    assert found == list("01234")
    assert len(written.lost) == 1


@pytest.mark.parametrize(
    "error",
    [(400, "AccessDeniedException"), SSLError(endpoint_url="https://x", error="certificate")],
)
def test_any_other_error_ends_it(written: Written, error: Exception | tuple[int, str]) -> None:
    failing = Failing(error)
    written.write((1000, "1"))
    lines = written.follow(failing.begin)
    with written.account.calls.watched(failing):
        assert next(lines).message == "1"
        with pytest.raises((ClientError, SSLError)):
            next(lines)
    assert written.lost == []


def test_an_error_before_the_first_answer_ends_it(written: Written) -> None:
    failing = Failing(GONE)
    failing.begin()
    with written.account.calls.watched(failing), pytest.raises(ConnectionClosedError):
        next(written.follow())


def test_a_stop_ends_the_wait_for_an_error_to_pass(written: Written) -> None:
    failing = Failing(GONE, times=1000)
    written.write((1000, "1"))
    with written.account.calls.watched(failing):
        assert followed(written.follow(failing.begin)) == ["1"]
