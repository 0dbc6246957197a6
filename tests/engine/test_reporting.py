"""What a reporter is told while `up` works on several resources at once."""

from typing import Any

from cogauth import engine
from cogauth.engine.reporting import CREATED, UNCHANGED, UPDATED, Steps
from cogauth.steps import RESOURCES
from cogauth.steps.ownership import words
from support.account import Account
from support.reporters import Told
from support.state_files import whole_stack


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


def test_a_step_waits_for_the_first_thing_that_it_lacks_and_ends_with_its_last(
    account: Account,
) -> None:
    state, told = account.new_state(), Told()
    state.resources = whole_stack()
    keys = ("user_pool", "app_client", "role", "sign_in_log_group", "sign_in_function")
    concerned = {key: RESOURCES[key] for key in keys}
    steps = Steps(account.context_of(state), told, concerned)

    def work(key: str, action: str) -> None:
        steps.begin(concerned[key])
        steps.end(concerned[key], action)

    work("role", UNCHANGED)
    work("user_pool", UNCHANGED)
    work("sign_in_log_group", CREATED)
    # The function needs the role and the pool, too.
    assert [(step, needed) for step, needed, _ in told.needs] == [
        ("sign_in_function", words(RESOURCES["app_client"]))
    ]
    assert told.done == {"role", "user_pool"}
    work("app_client", CREATED)
    work("sign_in_function", UNCHANGED)
    assert {step: result.action for step, result in steps.results.items()} == {
        "role": UNCHANGED,
        "user_pool": UNCHANGED,
        "app_client": CREATED,
        # Its main resource is as it was, but not all of it.
        "sign_in_function": UPDATED,
    }
