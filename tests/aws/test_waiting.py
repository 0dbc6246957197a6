"""Waits are bounded, get longer, end at once when stopped, and cover only the named errors."""

from contextlib import suppress
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.waiting import Pace, Stop, TimedOutError, Wait, Waiter
from cogauth.context import Context
from support.account import Account
from support.clock import FakeTime


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code}!"}}, "CreateThing")


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def waiter(time: FakeTime) -> Waiter:
    return Waiter(clock=time, stop=time)


def test_what_is_there_at_once_takes_no_wait(waiter: Waiter, time: FakeTime) -> None:
    assert waiter.until(lambda: 0, reason="it", timeout_s=10) == 0
    assert time.waits == []


def test_what_comes_about_ends_the_wait(waiter: Waiter, time: FakeTime) -> None:
    found = waiter.until(lambda: "it" if time.now > 3 else None, reason="it", timeout_s=10)
    assert found == "it"
    assert 3 < time.now < 6


@given(st.floats(0.01, 500))
def test_waiting_ends_at_its_time(timeout: float) -> None:
    time = FakeTime()
    tries: list[float] = []
    with pytest.raises(TimedOutError, match="the thing"):
        Waiter(clock=time, stop=time).until(
            lambda: tries.append(time.now), reason="the thing", timeout_s=timeout
        )
    assert time.now == pytest.approx(timeout)
    # One try at the very beginning and one at the very end.
    assert (tries[0], tries[-1]) == (0, pytest.approx(timeout))
    assert len(tries) < 70 + timeout / 3


def test_a_pause_is_a_tenth_of_what_has_gone_from_a_tenth_of_a_second_to_five(
    waiter: Waiter, time: FakeTime
) -> None:
    with pytest.raises(TimedOutError):
        waiter.until(lambda: None, reason="it", timeout_s=200)
    gone = 0.0
    for wait in time.waits[:-1]:
        middle = min(max(0.1, gone / 10), 5)
        assert 0.8 * middle - 1e-9 <= wait <= 1.2 * middle + 1e-9
        gone += wait


def test_intervals_are_jittered(time: FakeTime) -> None:
    firsts = set()
    for _ in range(20):
        time.waits.clear()
        with pytest.raises(TimedOutError):
            Waiter(clock=time, stop=time).until(lambda: None, reason="it", timeout_s=1)
        firsts.add(time.waits[0])
    assert len(firsts) > 1


def test_who_waits_is_told_for_what_and_how_long_at_the_most(time: FakeTime) -> None:
    told: list[tuple[str, float]] = []
    waiter = Waiter(clock=time, stop=time, report=lambda *report: told.append(report))
    with pytest.raises(TimedOutError):
        waiter.until(lambda: None, reason="the role", timeout_s=7)
    assert {reason for reason, _left in told} == {"the role"}
    lefts = [left for _reason, left in told]
    assert lefts[0] == 7
    assert lefts == sorted(lefts, reverse=True)


def test_the_stop_event_ends_the_wait_like_ctrl_c(waiter: Waiter, time: FakeTime) -> None:
    tries: list[None] = []

    def probe() -> None:
        tries.append(None)
        time.set()

    with pytest.raises(KeyboardInterrupt):
        waiter.until(probe, reason="it", timeout_s=100)
    assert len(tries) == 1


def test_the_stop_event_set_elsewhere_ends_a_real_wait_at_once() -> None:
    stop, waits = Stop(), Event()
    caught: list[BaseException] = []
    waiter = Waiter(stop=stop, report=lambda *_: waits.set(), first_s=600, longest_s=600)

    def run() -> None:
        try:
            waiter.until(lambda: None, reason="it", timeout_s=600)
        except KeyboardInterrupt as error:
            caught.append(error)

    thread = Thread(target=run)
    thread.start()
    assert waits.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_once_one_has_what_all_wait_for_the_others_try_at_once() -> None:
    stop, all_wait = Stop(), Barrier(4)
    role = Wait("the role", common=True)
    got: list[str] = []

    def waiting(name: str, wait: Wait, *, first_s: float) -> Thread:
        met = iter([wait])

        def call() -> None:
            if refusal := next(met, None):
                raise refused(refusal.reason)
            got.append(name)

        waiter = Waiter(stop=stop, report=lambda *_: all_wait.wait(10), first_s=first_s)
        waiter.longest_s = first_s

        def run() -> None:
            with suppress(KeyboardInterrupt):
                waiter.retry(call, passing=lambda _error: wait, timeout_s=3600)

        return Thread(target=run, daemon=True)

    threads = [
        waiting("first", role, first_s=0.1),
        waiting("second", role, first_s=3600),
        waiting("another's", Wait("something else", common=True), first_s=3600),
    ]
    for thread in threads:
        thread.start()
    all_wait.wait(10)
    for thread in threads[:2]:
        thread.join(10)
    assert got == ["first", "second"]
    stop.set()
    threads[2].join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert got == ["first", "second"]


def test_what_one_got_during_anothers_attempt_is_tried_at_once_too() -> None:
    stop = Stop()
    waiter = Waiter(stop=stop, first_s=3600, longest_s=3600)
    attempts: list[str] = []

    def call() -> str:
        attempts.append("one")
        if len(attempts) == 1:
            # Another thread's call succeeds while this one fails.
            stop.got("the role")
            raise refused("NotYet")
        return "done"

    def passing(_error: ClientError) -> Wait:
        return Wait("the role", common=True)

    assert waiter.retry(call, passing=passing, timeout_s=3600) == "done"


def retry(waiter: Waiter, call: Any, timeout: float = 60) -> Any:
    def passing(error: ClientError) -> Wait | None:
        return Wait("AWS") if code_of(error) == "Throttled" else None

    return waiter.retry(call, passing=passing, timeout_s=timeout)


def test_a_named_error_is_tried_again_until_it_passes(waiter: Waiter) -> None:
    answers = iter([refused("Throttled"), refused("Throttled"), None])

    def call() -> None:
        answer = next(answers)
        if answer:
            raise answer

    # None as the call's result is an answer, too.
    assert retry(waiter, call) is None
    assert list(answers) == []


def test_any_other_error_is_raised_at_once(waiter: Waiter, time: FakeTime) -> None:
    for error in (refused("AccessDenied"), OSError("no"), KeyboardInterrupt()):

        def call(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            retry(waiter, call)
        assert caught.value is error
    assert time.waits == []


def test_another_error_after_a_named_one_is_raised_too(waiter: Waiter) -> None:
    errors = iter([refused("Throttled"), refused("AccessDenied")])

    def call() -> None:
        raise next(errors)

    with pytest.raises(ClientError, match="AccessDenied"):
        retry(waiter, call)


def test_a_named_error_that_doesnt_pass_is_raised_in_the_end(
    waiter: Waiter, time: FakeTime
) -> None:
    tries: list[None] = []

    def call() -> None:
        tries.append(None)
        raise refused("Throttled")

    with pytest.raises(ClientError, match="Throttled!"):
        retry(waiter, call, timeout=30)
    assert time.now == pytest.approx(30)
    assert len(tries) > 5


@pytest.mark.parametrize("response", [{}, {"Error": {}}])
def test_an_answer_without_code_or_message_has_empty_ones(response: Any) -> None:
    error = ClientError(response, "CreateThing")
    assert (code_of(error), message_of(error)) == ("", "")


def test_who_is_in_a_hurry_says_so(waiter: Waiter, time: FakeTime) -> None:
    def call() -> None:
        raise refused("Throttled")

    with pytest.raises(ClientError):
        waiter.retry(call, passing=lambda _: Wait("AWS", share=1 / 40), timeout_s=10)
    assert all(wait <= 0.3 for wait in time.waits)


def test_a_reason_may_have_a_limit_of_its_own_from_when_it_was_first_met(
    waiter: Waiter, time: FakeTime
) -> None:
    waits = {"Busy": Wait("the other"), "Unknown": Wait("the copies", within_s=30)}

    def call() -> None:
        raise refused("Busy" if time.now < 50 else "Unknown")

    with pytest.raises(ClientError, match="Unknown!"):
        waiter.retry(call, passing=lambda error: waits[code_of(error)], timeout_s=120)
    assert 80 <= time.now < 90


def test_a_context_leaves_its_client_as_it_is(account: Account) -> None:
    stop = account.aws.stop
    Context(account.aws, account.new_state("shop"), Waiter())
    assert account.aws.stop is stop
    # Stopping the calls also stops the client's own waiter.
    assert account.aws.waiter().stop is stop


def test_a_pace_is_a_token_bucket(account: Account) -> None:
    pace = Pace(Waiter(clock=account.time, stop=account.time), per_second=10, burst=3)
    for _ in range(3):
        pace.wait()
    assert account.time() == 0
    for _ in range(5):
        pace.wait()
    assert account.time() == pytest.approx(0.5)
    account.time.set()
    with pytest.raises(KeyboardInterrupt):
        pace.wait()
