"""``cogauth logs``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.help import Command
from cogauth.cli.interrupt import INTERRUPTED
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import notice, print_json_line, say_others
from cogauth.cli.stacks import connect, require_state

if TYPE_CHECKING:
    from cogauth.client.logs import Line

NAMES = ["sign-in", "auto-confirm"]
UNITS = {"S": "seconds", "M": "minutes", "H": "hours", "D": "days"}
DURATION = re.compile(r"(\d{1,9})([SMHD])", re.ASCII)
# https://www.rfc-editor.org/rfc/rfc3339#section-5.6
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
# The fields of the line that the sign-in function writes about each sign-in.
OUTCOMES, TEXTS = ("success", "fail"), ("code", "cause", "is_new")


def _parse(_ctx: click.Context, _option: click.Parameter, value: str) -> datetime:
    """Return the time that --since gives; raise click's error if it gives none in the past."""
    now, text = datetime.now(UTC), value.strip().upper()
    try:
        if duration := DURATION.fullmatch(text):
            return now - timedelta(**{UNITS[duration[2]]: int(duration[1])})
        given = datetime.fromisoformat(text).astimezone(UTC) if TIME.fullmatch(text) else None
    except (ValueError, OverflowError):
        given = None
    if given is None:
        raise click.BadParameter(
            f"{value!r} is not a time. Give a duration up to now, such as 30s, 10m, 2h or 3d, or a "
            "time with its zone, such as 2026-11-27T13:45:00Z."
        )
    if given > now:
        raise click.BadParameter(f"{value!r} is in the future. Give a time in the past.")
    return given


@click.command(
    cls=Command,
    short_help="Show the functions' log lines.",
    epilog="""\b
Examples:
  cogauth logs                         both functions, the last hour
  cogauth logs sign-in --since 10m
  cogauth logs --since 2026-11-27T13:45:00Z --all
  cogauth logs --follow                until Ctrl-C
  cogauth logs --json | jq -r 'select(.record.outcome == "fail").record'

A line may appear late: AWS says 5 to 10 minutes after the call.
""",
)
@click.argument("function", required=False, type=click.Choice(NAMES))
@click.option(
    "--since",
    metavar="TIME",
    callback=_parse,
    default="1h",
    show_default=True,
    help="Show lines from this time on: how long ago, such as 30s, 10m, 2h or 3d, or a time with "
    "its zone, such as 2026-11-27T13:45:00Z.",
)
@click.option("-f", "--follow", is_flag=True, help="Then show further lines as they come.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also show the lines that Lambda itself writes at each call, such as START, END and "
    "REPORT. Those about a failure are always shown.",
)
@target_options
def logs(
    target: Target, *, function: str | None, since: datetime, follow: bool, everything: bool
) -> int:
    """Show the log lines of the sign-in function, the auto-confirm function, or both.

    The oldest come first; times are in UTC. With --follow, a late line is shown when it arrives.
    With --json each line is a JSON object of its own.
    """
    state = require_state(target)
    from cogauth.client import logs as reader

    ctx = connect(target, state, "logs")
    functions, begin = [function] if function else NAMES, _milliseconds(since)
    if follow:
        lines = reader.follow(ctx, functions, begin, _say_lost)
        notice("Following the log. Press Ctrl-C to end.")
    else:
        lines = reader.read(ctx, functions, begin)
    shown = folded = 0
    try:
        for line in lines:
            if line.is_routine and not everything:
                folded += 1
                continue
            shown += 1
            if target.as_json:
                print_json_line(_to_json(line))
            else:
                say_others(*_laid_out(line))
    except KeyboardInterrupt:
        if follow:
            return INTERRUPTED  # There is no other way to end it.
        raise
    count = f"{shown or 'No'} line{'' if shown == 1 else 's'} since {_text_of(since)}."
    notice(f"{count} {folded} of Lambda's own: --all shows them." if folded else count)
    return 0


def _say_lost(error: Exception) -> None:
    from cogauth.aws.errors import translate
    from cogauth.client.logs import PAUSE_S

    notice(f"Warning: {translate(error).message} Trying again every {PAUSE_S} s.")


def _milliseconds(moment: datetime) -> int:
    return max(0, round(moment.timestamp() * 1000))


def _text_of(moment: datetime) -> str:
    """Return a time in the form that --since takes."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_json(line: Line) -> dict[str, Any]:
    return {
        "time": line.time.isoformat(timespec="milliseconds"),
        "function": line.function,
        "request_id": line.request_id,
        "record": line.record,
        "message": line.message if line.record is None else None,
    }


def _laid_out(line: Line) -> list[str]:
    """Return the lines to print; all after the first are indented, so that none looks like ours."""
    first, *others = _words(line)
    head = f"{_text_of(line.time)}  {line.function:<12}  {first}"
    return [text.rstrip() for text in (head, *(f"    {each}" for each in others))]


def _words(line: Line) -> list[str]:
    record = line.record or {}
    if _is_sign_in(record):
        code = record.get("code") or ("new user" if record.get("is_new") == "true" else "")
        duration = f"{record['duration_ms']:>5} ms"
        return [f"{record['outcome']:<7}  {code:<17}  {duration}  {record.get('cause', '')}"]
    trace = record.get("stackTrace")
    if isinstance(trace, list) and all(isinstance(each, str) for each in trace):
        # The traceback, in Lambda's JSON log format.
        names = ("level", "message", "errorType", "errorMessage")
        said = ": ".join(str(record[name]) for name in names if record.get(name))
        return _lines("\n".join([said, *(each.rstrip() for each in trace)]))
    return _lines(line.message)


def _is_sign_in(record: dict[str, Any]) -> bool:
    """Return whether a record is the sign-in function's: its fields and no others."""
    return (
        set(record) <= {"outcome", "duration_ms", *TEXTS}
        and record.get("outcome") in OUTCOMES
        and isinstance(record.get("duration_ms"), int)
        and all(isinstance(record.get(name, ""), str) for name in TEXTS)
    )


def _lines(text: str) -> list[str]:
    """Return a text's lines. Lambda's Python indents tracebacks with no-break spaces."""
    return [each.expandtabs() for each in re.split(r"\r\n|\r|\n", text.replace("\xa0", " "))]
