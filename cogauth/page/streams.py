"""What the page shows as it comes: lines of JSON, each sent at once."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cogauth.aws.errors import translate
from cogauth.checks.verify.run import verify as run_verify
from cogauth.checks.verify.subject import find_subject
from cogauth.client import logs as reader
from cogauth.steps.missing import naming_missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from threading import Event

    from cogauth.page.stack import Stack

    Put = Callable[[dict[str, Any]], None]
    # Takes where to put the lines, and where to put the event that ends it.
    Work = Callable[[Stack, Put, Callable[[Event], None]], None]

# How many seconds may pass without a line: a browser that has gone is noticed then.
ALIVE_S = 10
# Each works as long as somebody reads. Python waits for them at its end: a check deletes its user.
THREADS = ThreadPoolExecutor(32)
# How far back the log begins, in milliseconds.
LOGS_SINCE_MS = 10 * 60 * 1000


def verify(of: Stack, put: Put, begun: Callable[[Event], None]) -> None:
    """Check the guard of the stack's own API by real calls."""
    with of.locked("verify"), of.own_context("cognito", "apigateway") as ctx:
        begun(ctx.waiter.stop)
        with naming_missing(ctx):
            subject = find_subject(ctx, None, None, None)
        found = run_verify(ctx, subject, lambda row: put({"row": row.to_json()}))
    passed, failed, skipped = (
        sum(row.ok is wanted for row in found.rows) for wanted in (True, False, None)
    )
    done = {"ok": found.ok, "passed": passed, "failed": failed, "skipped": skipped}
    lost = of.runnable(str(found.missing)) if found.missing else None
    put({"done": {**done, "closed": found.closed, "left": found.left, "missing": lost}})


def logs(of: Stack, put: Put, begun: Callable[[Event], None]) -> None:
    """Follow the sign-in function's log."""

    def lose(error: Exception) -> None:
        put({"lost": translate(error).message})

    with of.own_context("logs") as ctx:
        begun(ctx.waiter.stop)
        since = max(0, round(ctx.now() * 1000) - LOGS_SINCE_MS)
        for line in reader.follow(ctx, ["sign-in"], since, lose):
            put(
                {
                    "line": {
                        "time": line.time.isoformat(timespec="milliseconds"),
                        "message": line.message,
                        "record": line.record,
                        "routine": line.is_routine,
                    }
                }
            )


async def lines(work: Work, of: Stack) -> AsyncIterator[bytes]:
    """Yield the lines of a work that runs in a thread, until it ends or nobody reads them."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()
    events: list[Event] = []
    is_over = False

    def put(line: dict[str, Any] | None) -> None:
        # The server may have ended.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, line)

    def begun(event: Event) -> None:
        events.append(event)
        if is_over:
            event.set()

    def run() -> None:
        try:
            work(of, put, begun)
        except BaseException as error:  # noqa: BLE001 also the KeyboardInterrupt of a stop
            put({"error": of.error_json(error)})
        finally:
            put(None)

    loop.run_in_executor(THREADS, run)
    try:
        while True:
            try:
                line = await asyncio.wait_for(queue.get(), ALIVE_S)
            except TimeoutError:
                line = {"alive": True}
            if line is None:
                return
            # As ASCII: a log line may have a lone surrogate.
            yield json.dumps(line, default=str).encode() + b"\n"
    finally:
        is_over = True
        for event in events:
            event.set()
