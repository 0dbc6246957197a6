"""What a reporter is told while `up` works on several resources at once."""

from typing import Any

from cogauth import engine
from cogauth.steps import RESOURCES
from cogauth.steps.ownership import words
from support.account import Account
from support.reporters import Told


def test_a_step_is_said_to_wait_only_for_what_another_has_not_done_yet(account: Account) -> None:
    told, steps = Told(), {words(each): each.step.name for each in RESOURCES.values()}

    def hold_the_pool(model: Any, **_: Any) -> None:
        if model.name == "CreateUserPool":
            # The role is there; its policy names the pool.
            assert told.needs_the_pool.wait(30)

    events = account.aws.cognito_once.meta.events
    events.register_first("before-call", hold_the_pool)
    try:
        results = engine.up(account.context(), told)
    finally:
        events.unregister("before-call", hold_the_pool)
    for step, needed, done in told.needs:
        assert steps[needed] not in {step, *done}
    # What a new resource needs is no change.
    assert told.changes == []
    for events_of_one in told.events.values():
        assert (events_of_one[0], events_of_one[-1]) == ("begin", "end")
        assert events_of_one.count("end") == 1
    for result in results:
        assert 0 <= result.seconds < 60
        assert result.seconds == round(result.seconds, 3)
