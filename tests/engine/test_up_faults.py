"""A fault at any call: `up` then ends as a clean run does, and `down` leaves nothing.

The calls are found by recording a clean run. Each is identified by its operation and the resource
it is about, not by its position. By default every other call gets one fault, in turn; with
--all-faults each call gets all of them, followed by `up` and, in a separate run, by `down`.
"""

import contextlib
import functools
import itertools
import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from moto import mock_aws

from cogauth.record.records import CREATED
from cogauth.record.state import State, load
from cogauth.steps.iam import RolePolicy
from cogauth.steps.methods import Integration, Method
from support.account import RESOURCES, Account, Accounts, add_managed_policy, aws_with_clients
from support.calls import Call, refusal
from support.faults import FAULTS, StoppedError, nth, run_with_fault
from support.names import READS
from support.stacks import (
    SIGN_IN,
    STACK,
    configuration,
    existing,
    function,
    pool,
    shown,
    unrecorded,
)

# The fields of a call's body that say which resource it is about.
NAMING = (
    "FunctionName",
    "StatementId",
    "RoleName",
    "PolicyName",
    "PoolName",
    "ClientName",
    "logGroupName",
    "logGroupNamePrefix",
    "resourceArn",
    "pathPart",
    "name",
)
Address = tuple[str, int]


class Addressed:
    """Gives each call of a run an address that doesn't depend on the ids that AWS made up."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.met: Counter[str] = Counter()
        self.seen: dict[str, str] = {}

    def of(self, call: Call) -> Address:
        text = f"{call.operation} {call.sent['url_path']} {_names(call.sent)}"
        for identifier, key in self.ids():
            text = text.replace(identifier, f"<{key}>")
        # The API's root resource is the only one that isn't cogauth's and has no record.
        text = re.sub(r"/resources/\w+", "/resources/<root>", text)
        self.met[text] += 1
        return text, self.met[text]

    def ids(self) -> list[tuple[str, str]]:
        """Return all ids that were ever recorded, the longest first."""
        state = load(self.account.path())
        if state:
            self.seen[state.stack_id] = "stack_id"
            for name, record in state.resources.items():
                # A trigger's id is the pool's; a policy's id is a word that other names contain.
                if "id" in record and name != "trigger" and not name.endswith("_policy"):
                    self.seen[record["id"]] = name
        return sorted(self.seen.items(), key=lambda pair: -len(pair[0]))


def _names(sent: dict[str, Any]) -> str:
    body = sent["body"]
    if isinstance(body, bytes | str):
        body = json.loads(body) if body else {}
    return " ".join(str(body[key]) for key in NAMING if key in body)


def run(account: Account, command: str) -> None:
    """Run `up`, which must not ask about anything, or `down`."""
    if command == "up":
        account.up()
    else:
        account.down()


def run_with_fault_at(account: Account, command: str, address: Address, fault: str) -> None:
    """Run a command and inject a fault at the call with this address."""
    addressed = Addressed(account)
    met, _ = run_with_fault(
        account,
        lambda: run(account, command),
        FAULTS[fault],
        lambda call: addressed.of(call) == address,
    )
    assert met, f"{address} was never called"


def check_ending(account: Account, ending: str, clean: Any, place: str) -> None:
    """Run a command after a fault; `up` must end as a clean run does, `down` with nothing."""
    if ending == "up":
        run(account, "up")
        assert configuration(account) == clean, place
    elif account.path().exists():
        result = account.down()
        assert (result.remaining, result.problems) == ([], []), place
        assert account.left() == [], place
        assert not account.path().exists()
    else:
        assert account.left() == [], place


class Clean:
    """The calls of clean runs, and the world after `up`."""

    def __init__(self, account: Account) -> None:
        self.up = self._recorded(account, "up")
        self.ctx = account.context()
        self.world, self.stands = configuration(account), existing(account)
        self.down = self._recorded(account, "down")
        assert account.left() == []

    @staticmethod
    def _recorded(account: Account, command: str) -> list[Address]:
        addressed, addresses = Addressed(account), []
        with account.calls.watched(lambda call: addresses.append(addressed.of(call))):
            run(account, command)
        return addresses


@pytest.fixture(scope="module")
def clean(whole_moto: None, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    del whole_moto
    with mock_aws():
        return Clean(Account(aws_with_clients("eu-central-1"), tmp_path_factory.mktemp("clean")))


def endings(config: pytest.Config, number: int, fault: str) -> tuple[str, ...]:
    """Return the commands to run after a fault at that call: both, or one in turn, or none."""
    if config.getoption("--all-faults"):
        return ("up", "down")
    turn, rest = divmod(number, 5)
    if rest or list(FAULTS)[turn % len(FAULTS)] != fault:
        return ()
    return (("up", "down")[turn // len(FAULTS) % 2],)


def test_the_calls_of_clean_runs_are_told_apart(clean: Clean) -> None:
    assert len(set(clean.up)) == len(clean.up)
    assert len(set(clean.down)) == len(clean.down)
    creates = [address for address, _ in clean.up if address.startswith("CreateFunction ")]
    assert len(creates) == 2
    assert clean.stands == STACK


def marks(state: State, key: str) -> tuple[str, ...]:
    """Return what identifies a resource in a call's path or body; empty if it isn't made yet."""
    record, made = state.record(key), RESOURCES[key]
    if record is None or record["status"] != CREATED:
        return ()
    if isinstance(made, Method | Integration):
        method = made if isinstance(made, Method) else made.method
        place = f"/resources/{state.fact(method.resource, 'id')}/methods/{method.http_method}"
        return (place if made is method else f"{place}/integration",)
    if isinstance(made, RolePolicy):
        # Both roles' policies have the same name, and every tag contains that word.
        return f"'PolicyName': '{record['id']}'", f"'RoleName': '{record['role']}'"
    return (f"/stages/{record['id']}" if key == "stage" else record["id"],)


def unknown(call: Call) -> Any:
    """Return the answer of a service that doesn't know the resource of a call."""
    if call.operation == "DescribeLogGroups":
        return refusal(200, "")[0], {"logGroups": [], "ResponseMetadata": {"HTTPStatusCode": 200}}
    if call.sent["url_path"].startswith("/restapis"):
        return refusal(404, "NotFoundException", "Invalid Resource identifier specified")
    if isinstance(call.sent["body"], dict):
        return refusal(404, "NoSuchEntity", "The role with that name cannot be found.")
    return refusal(404, "ResourceNotFoundException", "There is no such thing.")


class NotYet:
    """Answers "not found" a number of times to each call about one resource."""

    def __init__(self, account: Account, key: str, times: int) -> None:
        self.account, self.key, self.times = account, key, times
        self.met: Counter[str] = Counter()

    def __call__(self, call: Call) -> Any:
        text = f"{call.operation} {call.sent['url_path']} {call.sent['body']!s}"
        about = marks(self.account.state(), self.key)
        # A log group's name contains its function's name, but is about the group alone.
        group = self.key.endswith("_log_group")
        within = text if group else re.sub(r"/aws/lambda/[\w-]+", "", text)
        if not about or self.met[text] == self.times or not all(one in within for one in about):
            return None
        self.met[text] += 1
        return unknown(call)


def stop_once_made(account: Account, key: str, choices: dict[str, Any]) -> None:
    """Run `up` and stop it at the first call after a resource was recorded as created."""
    frozen: list[bytes] = []

    def on_before(_call: Call) -> None:
        if not frozen and marks(account.state(), key):
            frozen.append(account.path().read_bytes())
        if frozen:
            raise StoppedError

    with contextlib.suppress(StoppedError), account.calls.watched(on_before):
        account.up(**choices)
    if frozen:
        account.path().write_bytes(frozen[0])


def set_pending(function: Any) -> None:
    function["State"] = "Pending"


@pytest.fixture(scope="module")
def power_user_world(whole_moto: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the world after a clean `up --power-user`."""
    del whole_moto
    with mock_aws():
        account = Account(aws_with_clients("eu-central-1"), tmp_path_factory.mktemp("power-user"))
        add_managed_policy(account.region)
        account.up(power_user=True)
        return configuration(account)


# No later call has to name these: neither in the run that creates them nor in the next one.
# The trigger is named by its pool.
LAST_IN_NEXT = {"trigger_permission", "sign_in_permission", "power_user_attachment"}
POLICIES = {"role_policy", "auto_confirm_role_policy"}
LAST = {False: LAST_IN_NEXT | POLICIES | {"trigger"}, True: LAST_IN_NEXT}
# By resource: a later call that must have received that answer.
CALLED = {
    "sign_in_function": "GetFunctionConfiguration",
    "auto_confirm_function": "GetFunctionConfiguration",
    "role": "AttachRolePolicy",
}


@pytest.mark.parametrize("power_user", [False, True], ids=["least", "power user"])
@pytest.mark.parametrize("killed", [False, True], ids=["in one run", "after a killed one"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.sample(10)
def test_what_was_just_made_may_be_unknown_to_all_that_follows(  # noqa: PLR0913 fixtures
    clean: Clean,
    power_user_world: Any,
    accounts: Accounts,
    pytestconfig: pytest.Config,
    times: int,
    *,
    killed: bool,
    power_user: bool,
) -> None:
    choices = {"power_user": power_user}
    keys = [key for key, one in RESOURCES.items() if one.wanted(clean.ctx)]
    if power_user:
        keys = ["role", "role_policy", "power_user_attachment"]
    elif not pytestconfig.getoption("--all-faults"):
        keys = keys[2 * killed + times :: 4]
    for key in keys:
        with accounts() as account:
            add_managed_policy(account.region)
            with shown(account, "CreateFunction", set_pending, times=2):
                if killed:
                    stop_once_made(account, key, choices)
                answer = NotYet(account, key, times)
                with account.calls.watched(answer):
                    account.up(**choices)
            met = {text.split()[0] for text in answer.met}
            assert met or key in LAST[killed], key
            if key in CALLED and not killed and (key != "role" or power_user):
                assert CALLED[key] in met
            assert configuration(account) == (power_user_world if power_user else clean.world), key


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_any_call_of_up(
    clean: Clean, accounts: Accounts, pytestconfig: pytest.Config, fault: str
) -> None:
    for number, address in enumerate(clean.up):
        for ending in endings(pytestconfig, number, fault):
            with accounts() as account:
                run_with_fault_at(account, "up", address, fault)
                assert not account.path().exists() or unrecorded(account) == [], address
                check_ending(account, ending, clean.world, f"{fault} at {address}, {ending}")


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_any_call_of_down(
    clean: Clean, accounts: Accounts, pytestconfig: pytest.Config, fault: str
) -> None:
    for number, address in enumerate(clean.down):
        for ending in endings(pytestconfig, number, fault):
            with accounts() as account:
                account.stands()
                run_with_fault_at(account, "down", address, fault)
                check_ending(account, ending, clean.world, f"{fault} at {address}, {ending}")


def sign_up(account: Account) -> tuple[str, str]:
    """Return who may sign up, by the pool and by the sign-in function."""
    config = pool(account)["AdminCreateUserConfig"]
    variables = function(account, SIGN_IN)["Environment"]["Variables"]
    return ("closed" if config["AllowAdminCreateUserOnly"] else "open"), variables["SIGN_UP"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wanted", ["closed", "open"])
@pytest.mark.sample(10)
def test_after_a_fault_at_any_change_of_who_may_sign_up(
    accounts: Accounts, fault: str, wanted: str
) -> None:
    """The next `up`, which isn't told again, ends what was begun."""
    met: Call | None = None
    for number in itertools.count():
        with accounts() as account:
            account.stands()
            if wanted == "open":
                account.up(sign_up="closed")
            change = functools.partial(account.up, sign_up=wanted)
            at = nth(number, mutating=True)
            met, _ = run_with_fault(account, change, FAULTS[fault], at)
            account.up()
            assert sign_up(account) == (wanted, wanted), f"{fault} at {met}"
        if met is None:
            break
    # The pool and the function were each changed by a call.
    assert number >= 2


def test_after_a_second_fault_while_recovering_from_a_first(
    clean: Clean, accounts: Accounts, pytestconfig: pytest.Config
) -> None:
    dice = random.Random(20261123)  # noqa: S311 the same cases each time
    for _ in range(300 if pytestconfig.getoption("--all-faults") else 2):
        first, second = dice.choice(clean.up), dice.choice(list(FAULTS))
        faults = dice.choice(list(FAULTS)), second
        recovery, ending = dice.choice(("up", "down")), dice.choice(("up", "down"))
        with accounts() as account:
            run_with_fault_at(account, "up", first, faults[0])
            number, place = dice.randrange(40), f"{faults[0]} at {first}, {recovery} meets {second}"
            if account.path().exists():
                rerun = functools.partial(run, account, recovery)
                run_with_fault(account, rerun, FAULTS[second], nth(number))
            place = f"{place} at its call {number}, then {ending}"
            check_ending(account, ending, clean.world, place)


@pytest.mark.long
def test_a_run_that_is_stopped_after_call_upon_call_gets_there_in_the_end(
    clean: Clean, accounts: Accounts
) -> None:
    with accounts() as account:
        addressed, stopped = Addressed(account), set[Address]()

        def stop_once_each(call: Call) -> None:
            address = addressed.of(call)
            if call.mutating and address[1] == 1:
                stopped.add(address)
                raise StoppedError

        runs, finished = 0, False
        while not finished:
            runs += 1
            assert runs < 60
            with contextlib.suppress(StoppedError), account.calls.watched(after=stop_once_each):
                run(account, "up")
                finished = True
        # Several calls in flight may be stopped in one run, but each of them was stopped once.
        assert len(stopped) >= runs - 1 > 10
        mutating = {address for address in clean.up if not address[0].startswith(READS)}
        assert {text for text, nth in stopped if nth == 1} >= {
            text for text, nth in mutating if nth == 1
        }
        assert configuration(account) == clean.world
