"""The calls of a rehearsed `up`, made one after the other, create what `up` creates."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jmespath
import pytest

from cogauth.aws.answers import READS
from cogauth.engine.rehearsal import ACCOUNT, RehearsedCall, rehearse
from cogauth.settings import Settings
from support.account import Account, add_managed_policy, aws_with_clients
from support.stacks import UNCHANGED, configuration, mutations

if TYPE_CHECKING:
    from pathlib import Path

    from support.account import Accounts

ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
CHOICES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "an origin": {"cors_origins": ("https://app.example",)},
    "several origins": {"cors_origins": ("https://app.example", "http://localhost:3000")},
    "power user": {"power_user": True},
    "a boundary": {"permissions_boundary": "arn:aws:iam::123456789012:policy/boundary"},
    "others": {
        "tier": "PLUS",
        "password_min_length": 9,
        "password_require": ("lower", "digit"),
        "runtime": "python3.13",
        "architecture": "x86_64",
        "sign_in_memory": 640,
        "sign_in_timeout": 12,
        "auto_confirm_memory": 192,
        "auto_confirm_timeout": 4,
        "path": "/log-in_2.x",
        "stage": "a_b-c",
        "throttle_rate": 0.5,
        "throttle_burst": 6,
    },
}


def make(account: Account, calls: list[RehearsedCall]) -> None:
    """Make the calls; replace their variables with values from the earlier answers."""
    told = {ACCOUNT: account.aws.account}
    for call in calls:
        if call.operation.startswith(READS):
            continue
        sent = dict(call.sent)
        code = {"Code": sent.pop("Code")} if "Code" in sent else {}
        text = json.dumps(sent)
        for name, value in told.items():
            text = text.replace(f"${{{name}}}", value)
        assert "${" not in text
        client = account.client(call.service)
        method = next(
            name for name, one in client.meta.method_to_api_mapping.items() if one == call.operation
        )
        answer = getattr(client, method)(**json.loads(text), **code)
        told |= {key: jmespath.search(place, answer) for key, place in call.told.items()}


def prepared(account: Account) -> Account:
    """Create the managed policies named in the choices."""
    add_managed_policy(account.region)
    document = json.dumps({"Version": "2012-10-17", "Statement": [ANYTHING]})
    account.client("iam").create_policy(PolicyName="boundary", PolicyDocument=document)
    return account


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
@pytest.mark.sample(6)
def test_its_calls_make_what_up_makes(accounts: Accounts, choices: dict[str, Any]) -> None:
    with accounts() as account:
        prepared(account).up(**choices)
        wanted = configuration(account)
    with accounts() as account:
        ctx = prepared(account).context(**choices)
        ctx.state.path.unlink()
        there, calls = rehearse(ctx)
        make(account, calls)
        assert account.recover().stack_id == there.state.stack_id
        found = configuration(account)
        # A recovered stack is deployed again: nobody knows whether its API was changed since.
        assert wanted.pop("statuses") == ["created"]
        assert found.pop("statuses") == ["created", "outdated"]
        assert found == wanted
        assert account.up() == {**UNCHANGED, "deployment": "created"}
        assert account.up() == UNCHANGED
        assert account.down().clean
        assert account.left() == []


@pytest.mark.parametrize("choices", [CHOICES["defaults"], CHOICES["an origin"]])
def test_it_has_each_writing_call_of_up_and_no_other(
    account: Account, choices: dict[str, Any]
) -> None:
    """A call that is made twice would mean that the rehearsal made up a wrong answer."""
    _, calls = rehearse(
        account.context_of(replace(account.new_state(), settings=Settings(**choices)))
    )
    with account.calls.watched() as made:
        account.up(**choices)
    writing = [call.operation for call in calls if not call.operation.startswith(READS)]
    assert Counter(writing) == Counter(mutations(made))


def test_it_sends_nothing_and_writes_nothing(account: Account, tmp_path: Path) -> None:
    state = account.new_state()
    before = state.stack_id
    with account.calls.watched() as calls:
        one, _ = rehearse(account.context_of(state))
        other, _ = rehearse(account.context_of(state))
    assert calls == []
    assert account.left() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    # The stack's own state is unchanged.
    assert (state.stack_id, state.resources) == (before, {})
    assert len({before, one.state.stack_id, other.state.stack_id}) == 3


def test_it_needs_no_credentials(account: Account, no_credentials: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        no_credentials.delenv(name)
    # Nor a profile that exists.
    ctx = account.context_of(account.new_state())
    no_credentials.setenv("AWS_PROFILE", "nobody")
    _, calls = rehearse(ctx)
    assert calls


def test_a_stack_that_stands_is_rehearsed_as_if_it_didnt(account: Account) -> None:
    account.stands()
    text = account.path().read_text()
    _, calls = rehearse(account.context())
    assert "CreateUserPool" in {call.operation for call in calls}
    assert account.path().read_text() == text


@pytest.mark.usefixtures("moto_aws")
@pytest.mark.parametrize(
    ("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_arns_are_those_of_the_regions_partition(
    tmp_path: Path,
    region: str,
    partition: str,
) -> None:
    account = Account(aws_with_clients(region), tmp_path)
    _, calls = rehearse(account.context_of(account.new_state()))
    arns = set(re.findall(r"arn:[\w-]+", " ".join(str(call.sent) for call in calls)))
    assert arns == {f"arn:{partition}"}


def test_what_has_no_unique_name_is_created_once(account: Account) -> None:
    _, calls = rehearse(account.context_of(account.new_state()))
    assert {call.operation for call in calls if call.once} == {
        "CreateUserPool",
        "CreateUserPoolClient",
        "CreateRestApi",
        "CreateResource",
        "CreateAuthorizer",
        "CreateDeployment",
    }
