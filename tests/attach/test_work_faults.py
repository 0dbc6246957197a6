"""A fault at any call to an attached API: the next command ends as a clean run does."""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.account import Account, Accounts
from support.attached import SCOPE, Orders, attach, detach, pool_and_orders
from support.calls import Call
from support.faults import FAULTS, StoppedError, nth, run_with_fault

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


COMMANDS: dict[str, Callable[[Account], object]] = {
    "attach": lambda account: attach(account, scopes=(SCOPE,)),
    "detach": detach,
    "down": lambda account: account.down() if account.path().exists() else None,
}


def world(orders: Orders, account: Account) -> Any:
    """Return what the API has and what is deployed, without what AWS makes up in each run."""
    found = [orders.methods(), orders.deployed(), orders.authorizers(), orders.deployments()]
    text = json.dumps(found, sort_keys=True)
    for name, identifier in orders.authorizers().items():
        text = text.replace(identifier, f"<{name}>")
    state = account.state()
    pool = state.fact("user_pool", "id")
    return text.replace(state.stack_id, "<stack>").replace(pool, "<pool>")


@contextlib.contextmanager
def fresh(accounts: Accounts) -> Iterator[tuple[Account, Orders]]:
    """Yield an account with a stack's pool and somebody's API."""
    with accounts() as account:
        yield account, pool_and_orders(account)


def check_ending(account: Account, orders: Orders, ending: str, clean: dict[str, Any]) -> None:
    """Run a command after a fault: the API must be as after a clean run of it, or as before."""
    COMMANDS[ending](account)
    if ending == "attach":
        assert world(orders, account) == clean["attached"]
        assert account.state().attachments[orders.id]["outdated"] == []
        # All of it can still be given back, too.
        COMMANDS["detach"](account)
    assert [orders.methods(), sorted(orders.authorizers())] == clean["before"]
    # None of our deployments is left over, except the one that the stage may use.
    assert orders.deployments() in ([], ["prod"])
    assert orders.deployed()["paths"] == clean["deployed"]
    if ending == "down":
        assert account.left() == ["api orders"]
        assert not account.path().exists()
    else:
        assert account.state().attachments == {}


def clean_run(accounts: Accounts) -> dict[str, Any]:
    with fresh(accounts) as (account, orders):
        found: dict[str, Any] = {
            "before": [orders.methods(), sorted(orders.authorizers())],
            "deployed": orders.deployed()["paths"],
        }
        attach(account, scopes=(SCOPE,))
        found["attached"] = world(orders, account)
        return found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["attach", "detach"])
@pytest.mark.sample(8)
def test_after_a_fault_at_any_call(
    accounts: Accounts, pytestconfig: pytest.Config, command: str, fault: str
) -> None:
    clean = clean_run(accounts)
    everything = pytestconfig.getoption("--all-faults")
    met = 0
    for number in range(40):
        # Each call gets two of the faults, in turn; the commands that follow also take turns.
        place = number + list(FAULTS).index(fault)
        turn = [list(COMMANDS)[place // 3 % 3]] if place % 3 == 0 else []
        for ending in COMMANDS if everything else turn:
            with fresh(accounts) as (account, orders):
                clean["before"] = [orders.methods(), sorted(orders.authorizers())]
                if command == "detach":
                    attach(account, scopes=(SCOPE,))
                run = functools.partial(COMMANDS[command], account)
                if run_with_fault(account, run, FAULTS[fault], nth(number))[0] is None:
                    assert met > 3
                    return
                met += 1
                check_ending(account, orders, ending, clean)


def test_after_a_fault_at_a_call_of_down(accounts: Accounts, pytestconfig: pytest.Config) -> None:
    clean = clean_run(accounts)
    # With an odd step both faults are used.
    for number in range(0, 20, 1 if pytestconfig.getoption("--all-faults") else 3):
        with fresh(accounts) as (account, orders):
            clean["before"] = [orders.methods(), sorted(orders.authorizers())]
            attach(account, scopes=(SCOPE,))
            fault = FAULTS[("stopped after", "answer lost")[number % 2]]
            run_with_fault(account, account.down, fault, nth(number))
            check_ending(account, orders, "down", clean)


def test_a_run_that_is_stopped_after_each_write_touches_no_method_twice(
    accounts: Accounts,
) -> None:
    clean = clean_run(accounts)
    with fresh(accounts) as (account, orders):
        touched: list[str] = []

        def stop_after_a_write(call: Call) -> None:
            place = f"{call.operation} {call.sent['url_path'].partition('/deployments/')[0]}"
            if call.mutating:
                touched.append(place)
                if touched.count(place) == 1:
                    raise StoppedError

        for _ in range(60):
            with contextlib.suppress(StoppedError), account.calls.watched(after=stop_after_a_write):
                attach(account, scopes=(SCOPE,))
                break
        assert world(orders, account) == clean["attached"]
        updates = [one for one in touched if one.startswith("UpdateMethod")]
        assert len(updates) == len(set(updates)) == 5
        assert len([one for one in touched if one.startswith("CreateAuthorizer")]) == 1
