"""``cogauth logs`` as users see it: the layout, JSON, hostile lines, --since and Ctrl-C."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.broken import record_whole_stack
from support.commands import KEYS, Cli, command_line, in_process
from support.hostile import ANY_TEXT, FORGED, HOSTILE, WITH_HALVES, acting
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.servers import CALLER, Answer, Fixed, Request
from support.stacks import AUTO_CONFIRM_LOGS, SIGN_IN_LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.account import Account
    from support.forker import Result

NOW = round(time.time()) * 1000 - 60_000
AT = f"{datetime.fromtimestamp(NOW / 1000, UTC):%Y-%m-%dT%H:%M:%S}"
STARTED = "START RequestId: r1 Version: $LATEST\n"
TRACEBACK = "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File \"a\"\n    x"


class Logged:
    """A stack on moto, and its functions' log lines, one millisecond apart."""

    def __init__(self, account: Account) -> None:
        account.stands()
        self.account = account
        self.logs = account.client("logs")
        for group in (SIGN_IN_LOGS, AUTO_CONFIRM_LOGS):
            self.logs.create_log_stream(logGroupName=group, logStreamName="a")
        self.count = 0

    def write(self, *texts: str, group: str = SIGN_IN_LOGS) -> None:
        events = []
        for text in texts:
            events.append({"timestamp": NOW + self.count, "message": text})
            self.count += 1
        self.logs.put_log_events(logGroupName=group, logStreamName="a", logEvents=events)

    def show(self, *words: str, code: int = 0) -> Result:
        where = ("--stack", "shop", "--state", str(self.account.path()), "--region", REGION)
        done = in_process("logs", *words, *where)
        assert done.code == code, done.err
        return done


@pytest.fixture
def logged(account: Account) -> Logged:
    return Logged(account)


def test_lines_are_laid_out_and_lambdas_own_are_folded(logged: Logged) -> None:
    logged.write("INIT_START Runtime Version: python:3.13.v64", STARTED)
    logged.write('{"outcome": "success", "is_new": "true", "duration_ms": 412}\n')
    logged.write("END RequestId: r1\n", "REPORT RequestId: r1\tDuration: 412 ms\tStatus: timeout")
    wrong = {"outcome": "fail", "code": "wrong_credentials", "cause": "X", "duration_ms": 9}
    logged.write(json.dumps(wrong), '{"outcome": "success", "duration_ms": 88}')
    # Lambda's Python indents with no-break spaces.
    logged.write(re.sub("(?<=[ \n]) ", "\xa0", TRACEBACK), group=AUTO_CONFIRM_LOGS)
    done = logged.show()
    assert done.out.splitlines() == [
        f"{AT}.002Z  sign-in       success  new user             412 ms",
        f"{AT}.004Z  sign-in       REPORT RequestId: r1    Duration: 412 ms        Status: timeout",
        f"{AT}.005Z  sign-in       fail     wrong_credentials      9 ms  X",
        f"{AT}.006Z  sign-in       success                        88 ms",
        f"{AT}.007Z  auto-confirm  [ERROR] KeyError: 'x'",
        "    Traceback (most recent call last):",
        '      File "a"',
        "        x",
    ]
    assert re.fullmatch(r"5 lines since \S+Z\. 3 of Lambda's own: --all shows them\.\n", done.err)
    assert len(logged.show("--all", "sign-in").out.splitlines()) == 7
    assert logged.show("auto-confirm").out.splitlines()[0].startswith(f"{AT}.007Z  auto-confirm")
    later = datetime.fromtimestamp((NOW + 6) / 1000, UTC).isoformat(timespec="milliseconds")
    assert len(logged.show("sign-in", "--since", later).out.splitlines()) == 1


def test_without_any_line_it_says_so(logged: Logged) -> None:
    logged.write(STARTED)
    done = logged.show("--since", "30m")
    assert done.out == ""
    assert re.fullmatch(r"No lines since \S+Z\. 1 of Lambda's own: --all shows them\.\n", done.err)


def test_a_traceback_in_lambdas_json_format_is_readable(logged: Logged) -> None:
    error = {
        "timestamp": "2026-11-27T13:45:00Z",
        "level": "ERROR",
        "errorMessage": "'x'",
        "errorType": "KeyError",
        "requestId": "r1",
        "stackTrace": ['  File "/var/task/auto_confirm.py", line 3, in handler\n    x()\n'],
    }
    logged.write(json.dumps(error), group=AUTO_CONFIRM_LOGS)
    assert logged.show().out.splitlines() == [
        f"{AT}.000Z  auto-confirm  ERROR: KeyError: 'x'",
        '      File "/var/task/auto_confirm.py", line 3, in handler',
        "        x()",
    ]


def test_with_json_each_line_is_an_object(logged: Logged) -> None:
    logged.write(
        STARTED, '{"outcome": "success", "duration_ms": 1}', "a\nb\x1b\n", "END RequestId: r1"
    )
    shown = [json.loads(line) for line in logged.show("--json").out.splitlines()]
    common = {"function": "sign-in", "request_id": "r1"}
    assert shown == [
        {
            **common,
            "time": f"{AT}.001+00:00",
            "record": {"outcome": "success", "duration_ms": 1},
            "message": None,
        },
        {**common, "time": f"{AT}.002+00:00", "record": None, "message": "a\nb\x1b"},
    ]
    assert len(logged.show("--json", "--all").out.splitlines()) == 4


# Text that others may write


def check(out: str) -> None:
    """Check that nothing acts on a terminal, and that only log lines look like log lines."""
    assert acting(out) == []
    for line in out.splitlines():
        assert re.match(rf"{AT}\.\d\d\dZ  (sign-in|auto-confirm)\b|    |$", line)


def test_a_hostile_line_acts_on_nothing_and_forges_no_other(logged: Logged) -> None:
    forged = f"{AT}.000Z  sign-in       success  {FORGED}"
    logged.write(f"x{HOSTILE}", f"x\n{forged}\r{forged}", json.dumps({"outcome": HOSTILE}))
    fail = {"outcome": "fail", "code": HOSTILE, "cause": HOSTILE, "duration_ms": 1}
    logged.write(json.dumps(fail), json.dumps({"stackTrace": [HOSTILE, forged]}))
    done = logged.show()
    check(done.out)
    assert FORGED in done.out
    in_json = logged.show("--json").out
    assert acting(in_json) == []
    assert json.loads(in_json.splitlines()[0])["message"] == f"x{HOSTILE}".rstrip("\r\n")


odd = (
    st.none()
    | st.booleans()
    | st.integers()
    | ANY_TEXT
    | WITH_HALVES
    | st.lists(st.text(), max_size=2)
)
FIELDS = ("outcome", "code", "cause", "is_new", "duration_ms", "stackTrace", "errorType", "type")
records = st.dictionaries(st.sampled_from([*FIELDS, "record", "requestId"]), odd)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records | ANY_TEXT, min_size=1, max_size=5))
def test_whatever_a_line_holds_it_is_shown(logged: Logged, content: list[Any]) -> None:
    texts = [text if isinstance(text, str) else json.dumps(text) for text in content]
    logged.count = 0
    logged.logs.delete_log_stream(logGroupName=SIGN_IN_LOGS, logStreamName="a")
    logged.logs.create_log_stream(logGroupName=SIGN_IN_LOGS, logStreamName="a")
    logged.write(*(text or "empty" for text in texts))
    done = logged.show("--all")
    check(done.out)
    found = re.findall(rf"^{AT}\.(\d\d\d)Z", done.out, re.MULTILINE)
    assert found == [f"{number:03}" for number in range(len(texts))]
    assert len(logged.show("--all", "--json").out.splitlines()) == len(texts)


# --since


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("0s", 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("3d", 259_200), ("999999d", None)],
)
def test_since_takes_a_duration(logged: Logged, given: str, seconds: int | None) -> None:
    if seconds is None:
        assert "is not a time" in logged.show("--since", given, code=2).err
        return
    (said,) = re.findall(r"since (\S+)\.\n", logged.show("--since", given).err)
    distance = datetime.now(UTC) - datetime.fromisoformat(said)
    assert timedelta(seconds=seconds) <= distance < timedelta(seconds=seconds + 600)


@pytest.mark.parametrize(
    ("given", "utc"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02t03:04:05.123456789z", "2026-01-02T03:04:05.123Z"),
        ("2026-01-02 03:04:05+02:00", "2026-01-02T01:04:05.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_since_takes_a_time_of_rfc_3339(logged: Logged, given: str, utc: str) -> None:
    assert f"No lines since {utc}." in logged.show("--since", given).err


@pytest.mark.parametrize(
    "given",
    [
        *("", "10", "10x", "m", "-5m", "1.5h", "1h30m", "٣d", "yesterday", "2026-01-02"),
        *("2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "0001-01-01T00:00:00+23:00", "x\x1b"),
    ],
)
def test_anything_else_is_refused_before_any_call(logged: Logged, given: str) -> None:
    with logged.account.calls.watched() as calls:
        said = logged.show("--since", given, code=2).err
    assert calls == []
    assert f"{given!r} is not a time. Give a duration up to now, such as 30s, 10m" in said


def test_a_time_in_the_future_is_refused(logged: Logged) -> None:
    future = "9999-01-01T00:00:00Z"
    assert f"{future!r} is in the future" in logged.show("--since", future, code=2).err


@settings(max_examples=50)
@given(ANY_TEXT | st.from_regex(r"[0-9]{1,10}[smhdw]|[0-9:TZ+.-]{1,30}", fullmatch=True))
def test_no_text_breaks_since(text: str) -> None:
    done = in_process("logs", f"--since={text}", "--state", "/nowhere/cogauth.json")
    assert done.code == 2
    assert "is not a time" in done.err or "in the future" in done.err or "no stack" in done.err


def test_only_the_two_functions_have_a_log(logged: Logged) -> None:
    assert "'sign-in', 'auto-confirm'" in logged.show("hello", code=2).err


# Failures


def test_a_missing_permission_is_named(cli: Cli) -> None:
    def answer(request: Request) -> Answer:
        if "GetCallerIdentity" in request.body.decode():
            return Answer(200, CALLER)
        assert request.headers["X-Amz-Target"] == "Logs_20140328.FilterLogEvents"
        message = (
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: "
            "logs:FilterLogEvents on resource: arn:aws:logs:x:log-group:y:log-stream: because …"
        )
        return Answer(400, json.dumps({"__type": "AccessDeniedException", "message": message}))

    with Fixed(answer) as aws:
        record_whole_stack(cli, aws.url)
        done = cli.run("logs", "--json", "--endpoint-url", aws.url).must(1)
    assert done.document["error"]["code"] == "permission"
    assert "AccessDeniedException (logs:FilterLogEvents). These credentials lack" in done.error


def test_a_web_page_is_no_empty_log(cli: Cli) -> None:
    def answer(request: Request) -> Answer:
        sts = "GetCallerIdentity" in request.body.decode()
        return Answer(200, CALLER if sts else "<html>Welcome!</html>")

    with Fixed(answer) as aws:
        record_whole_stack(cli, aws.url)
        assert "The answer can't be read" in cli.run("logs", "--endpoint-url", aws.url).must(1).err


# On the local AWS


@pytest.fixture(scope="module")
def served(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    given = {**KEYS, "AWS_REGION": REGION, "COGAUTH_ENDPOINT_URL": endpoint}
    given |= {"COGAUTH_STACK": "logged"}
    folder = tmp_path_factory.mktemp("logged")
    with command_line(folder, **given) as cli, LocalStack.made(cli) as made:
        yield made


def outcomes(out: str) -> list[str]:
    records = [json.loads(line)["record"] for line in out.splitlines()]
    return [record.get("code") or record["outcome"] for record in records]


@pytest.mark.local
def test_sign_ins_leave_their_lines_and_no_secret(served: LocalStack) -> None:
    cli = served.cli
    cli.login("ann", PASSWORD).must()
    cli.login("ann", f"{PASSWORD}x").must(1)
    shown = cli.run("logs", "--all", "--json").must().out
    (start,) = [line for line in shown.splitlines() if "START" in line and "auto-confirm" in line]
    assert re.fullmatch(r"START RequestId: \S+ Version: \$LATEST", json.loads(start)["message"])
    assert PASSWORD not in shown
    assert "ann" not in shown
    assert outcomes(cli.run("logs", "sign-in", "--json").must().out) == [
        *("success", "wrong_credentials")
    ]


@pytest.mark.sample(2)
@pytest.mark.local
@pytest.mark.parametrize(
    ("module", "function", "code", "line"),
    [
        (
            "auto_confirm",
            "autoConfirmUserFunction",
            "def handler(event, context):\n    event['nothing']\n",
            "auto-confirm  KeyError: 'nothing'",
        ),
        (
            "sign_in",
            "signInFunction",
            "import nothing",
            r"sign-in       \[ERROR\] .*No module named 'nothing'",
        ),
    ],
)
def test_a_function_that_crashes_shows_why(
    served: LocalStack, module: str, function: str, code: str, line: str
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{module}.py", code)
    served.client("lambda").update_function_code(
        FunctionName=f"logged-{function}", ZipFile=packed.getvalue()
    )
    said = served.cli.login("bob", PASSWORD).must(1).err
    served.cli.run("up", "--yes").must()
    (command,) = re.findall(r"Run '(cogauth logs .*)' to see why\.", said)
    _, *words = shlex.split(command)
    shown = served.cli.run(*words)
    assert shown.code == 0
    assert re.search(rf"  {line}$", shown.out, re.MULTILINE)


@pytest.mark.local
def test_ctrl_c_ends_following_and_leaves_whole_lines(served: LocalStack) -> None:
    running = served.cli.spawn("logs", "sign-in", "--follow", "--json", "--since", "0s")
    running.see("Press Ctrl-C to end")
    served.cli.login("cid", PASSWORD).must()
    running.see('"outcome": "success"')
    served.cli.login("cid", f"{PASSWORD}x").must(1)
    running.see("wrong_credentials")
    running.process.send_signal(signal.SIGINT)
    assert running.ended() == 130
    first, *lines = running.text.splitlines()
    assert first == "Following the log. Press Ctrl-C to end."
    assert outcomes("\n".join(lines)) == ["success", "wrong_credentials"]
