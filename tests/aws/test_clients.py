"""Who makes the clients, and what they do with a call in flight when no other may start."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from cogauth import engine
from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.aws.errors import is_definite
from cogauth.context import Context
from cogauth.steps.missing import missing
from support.account import Account, Silent
from support.names import REGION
from support.servers import Answer, Fixed, Request


def made(url: str) -> Aws:
    return Aws(region=REGION, endpoint_url=url, local=Keys("testing", "testing"))


def stopping(
    status: int, after: int = 1, code: str = "NoException"
) -> tuple[Callable[[Request], Answer], list[Aws]]:
    """Return what refuses each request with a status, and the client to stop at the nth request."""
    stopped: list[Aws] = []
    requests = 0

    def answer(request: Request) -> Answer:
        nonlocal requests
        del request
        requests += 1
        if requests == after:
            stopped[0].stop.set()
        return Answer(status, '{"message": "No."}', {"x-amzn-ErrorType": code})

    return answer, stopped


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_was_stopped_is_not_tried_again_and_its_refusal_told(status: int) -> None:
    answer, stopped = stopping(status)
    with Fixed(answer) as server:
        aws = made(server.url)
        stopped.append(aws)
        with pytest.raises(ClientError) as caught:
            aws.lambda_.list_functions()
    assert len(server.requests) == 1
    assert caught.value.response["Error"]["Code"] == "NoException"
    metadata = caught.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (status, 0)
    assert metadata["Action"] == "lambda:ListFunctions"  # type: ignore[typeddict-item]


def test_a_call_that_is_stopped_in_the_pause_before_a_retry_is_not_tried_again() -> None:
    with Fixed(lambda _request: Answer(503)) as server:
        aws = made(server.url)
        # As Ctrl-C sets it while botocore waits.
        aws.lambda_.meta.events.register_last("needs-retry", lambda **_: aws.stop.set())
        with pytest.raises(ClientError) as caught:
            aws.lambda_.list_functions()
    assert len(server.requests) == 1
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_of_what_was_tried_before_nobody_says_that_it_had_no_effect() -> None:
    answer, stopped = stopping(429, after=2, code="ThrottlingException")
    with Fixed(answer) as server:
        aws = made(server.url)
        stopped.append(aws)
        with pytest.raises(ClientError) as caught:
            aws.lambda_.list_functions()
    assert len(server.requests) == 2
    assert not is_definite(caught.value)


def test_a_lost_answer_is_not_asked_for_again() -> None:
    requests = 0

    def answer(request: Request) -> Answer:
        nonlocal requests
        del request
        requests += 1
        aws.stop.set()
        raise ConnectionError  # This closes the connection.

    with Fixed(answer) as server:
        aws = made(server.url)
        with pytest.raises(ConnectionClosedError):
            aws.lambda_.list_functions()
    assert requests == 1


@pytest.mark.long
def test_without_a_stop_botocore_tries_again() -> None:
    with Fixed(lambda _request: Answer(503)) as server, pytest.raises(ClientError) as caught:
        made(server.url).lambda_.list_functions()
    assert len(server.requests) == 4
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 3


def test_what_succeeded_is_told_as_such() -> None:
    def answer(request: Request) -> Answer:
        del request
        aws.stop.set()
        return Answer(200, '{"Functions": []}')

    with Fixed(answer) as server:
        aws = made(server.url)
        assert aws.lambda_.list_functions()["Functions"] == []
        with pytest.raises(KeyboardInterrupt):
            aws.lambda_.list_functions()
    assert len(server.requests) == 1


def take_down(ctx: Context) -> None:
    assert engine.down(ctx, engine.plan_down(ctx), lambda _line: None).clean


def bring_up(ctx: Context) -> None:
    engine.up(ctx, Silent())


def make_plan(ctx: Context) -> None:
    assert engine.plan(ctx, Silent()).is_empty


@pytest.mark.parametrize("run", [bring_up, make_plan, take_down, missing])
def test_no_thread_makes_a_client(
    account: Account, monkeypatch: pytest.MonkeyPatch, run: Callable[[Context], Any]
) -> None:
    """All threads share a session of boto3, which isn't thread-safe."""
    if run is not bring_up:
        account.stands()
    makers: list[threading.Thread] = []
    make = boto3.Session.client

    def client(session: boto3.Session, *given: Any, **named: Any) -> Any:
        makers.append(threading.current_thread())
        return make(session, *given, **named)

    monkeypatch.setattr(boto3.Session, "client", client)
    run(replace(account.context(), aws=Aws(region=account.region)))
    assert set(makers) == {threading.main_thread()}
