"""The form of each recorded value: a state file in which one has another is refused."""

from __future__ import annotations

import copy
import functools
import json
import re
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.errors import CogauthError, StateError
from cogauth.record import formats
from cogauth.record.state import load
from support.account import RESOURCES, Account, aws_with_clients
from support.attached import Orders, attach, detach
from support.commands import in_process
from support.documents import TERMINAL, at, attached, places, replaced
from support.sampling import examples

if TYPE_CHECKING:
    from pathlib import Path

# The form of each recorded fact


@pytest.mark.usefixtures("managed_policies")
def test_each_fact_that_up_records_has_a_form(account: Account) -> None:
    account.up(power_user=True, cors_origins=("https://app.example",))
    recorded = account.state().resources
    assert set(formats.FACTS) == set(RESOURCES)
    for key, record in recorded.items():
        assert record.keys() - {"status", "since"} == formats.FACTS[key].keys()
    assert set(recorded) == set(RESOURCES)


def test_a_stack_of_another_partition_is_read_again(moto_aws: None, tmp_path: Path) -> None:
    del moto_aws
    account = Account(aws_with_clients("us-gov-west-1"), tmp_path)
    account.up()
    assert account.state().fact("user_pool", "arn").startswith("arn:aws-us-gov:")
    assert account.down().problems == []


# By service and name of the model's shape: the form, and whether it equals the model's.
MODELS = [
    ("cognito-idp", "UserPoolIdType", formats.POOL_ID, True),
    ("cognito-idp", "ClientIdType", formats.CLIENT_ID, True),
    ("cognito-idp", "ClientNameType", formats.CLIENT_NAME, True),
    ("cognito-idp", "ArnType", formats.ANY_ARN, True),
    ("iam", "roleNameType", formats.ROLE_NAME, True),
    ("iam", "policyNameType", formats.POLICY_NAME, True),
    ("lambda", "StatementId", formats.STATEMENT_ID, True),
    ("logs", "LogGroupName", formats.LOG_GROUP_NAME, True),
    # The model accepts a whole ARN as a name, and longer names than Lambda allows.
    ("lambda", "NamespacedFunctionName", formats.FUNCTION_NAME, False),
]


@functools.cache
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@pytest.mark.parametrize(("service", "shape", "form", "same"), MODELS)
@examples(30)
@given(data=st.data())
def test_the_forms_are_those_of_botocores_models(
    service: str, shape: str, form: str, *, same: bool, data: st.DataObject
) -> None:
    model = service_model(service).shape_for(shape).metadata
    ours, theirs = (re.compile(each, re.ASCII) for each in (form, model["pattern"]))
    text = data.draw(st.from_regex(ours, fullmatch=True))
    assert theirs.fullmatch(text)
    if same:
        text = data.draw(st.from_regex(theirs, fullmatch=True))
        if model["min"] <= len(text) <= model["max"]:
            assert ours.fullmatch(text)


# Values that no form allows


TEXTS = [
    "stack",
    "endpoint_url",
    "resources.authorizer.name",
    "resources.app_client.name",
    "attachments.api1.name",
    "attachments.api1.methods.GET /a.former.authorizationScopes",
]


@pytest.mark.parametrize("text", TERMINAL)
def test_nothing_that_a_terminal_acts_on_is_in_a_text(text: str, tmp_path: Path) -> None:
    document = attached(tmp_path / "cogauth.json")
    for place in TEXTS:
        value: Any = [text] if place.endswith("Scopes") else text
        (tmp_path / "cogauth.json").write_text(json.dumps(replaced(document, place, value)))
        with pytest.raises(StateError, match="can't be printed") as caught:
            load(tmp_path / "cogauth.json")
        assert f"is damaged: {place} has characters that" in str(caught.value)
        assert str(caught.value).isprintable()
    for changed, named in (
        ({**document, text: 1}, "it"),
        (replaced(document, "resources.role", {text: 1}), "resources.role"),
    ):
        (tmp_path / "cogauth.json").write_text(json.dumps(changed))
        with pytest.raises(StateError, match=f"is damaged: a name in {named} has characters that"):
            load(tmp_path / "cogauth.json")


def wide(text: str) -> str:
    """Return the text with full-width forms of its first letter and its first digit."""
    for part in ("[a-zA-Z]", "[0-9]"):
        text = re.sub(part, lambda found: chr(ord(found[0]) + 0xFEE0), text, count=1)
    return text


def test_letters_and_digits_are_those_of_ascii(tmp_path: Path) -> None:
    """Others look the same but mean something else, or nothing, in URLs and ARNs."""
    path = tmp_path / "cogauth.json"
    document = attached(path)
    # These are only shown or compared.
    free = {("attachments", "api1", "name"), ("resources", "authorizer", "name")}
    for *outer, last in {*places(document)[1:]} - free:
        changed = copy.deepcopy(document)
        inner = changed
        for key in outer:
            inner = inner[key]
        if isinstance(inner[last], str):
            inner[last] = wide(inner[last])
            path.write_text(json.dumps(changed))
            with pytest.raises(StateError):
                load(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 5000])
def test_no_number_is_endless(number: str, tmp_path: Path) -> None:
    path = tmp_path / "cogauth.json"
    document = at(path)
    for name in ("throttle_rate", "sign_in_memory", "throttle_burst"):
        text = json.dumps(replaced(document, f"settings.{name}", "HERE"))
        path.write_text(text.replace('"HERE"', number))
        with pytest.raises(StateError, match="is damaged"):
            load(path)


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_no_wait_is_endless(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["up"],
        ["down"],
        ["recover"],
        ["attach", "--api", "a"],
        ["detach"],
        ["verify"],
    ):
        for option in ("--settle", "--lock-timeout"):
            done = in_process(*command, option, value).must(2)
            assert re.search("is not a number of seconds|is not in the range", done.err)
    done = in_process("up", "--throttle-rate", value).must(2)
    assert "--throttle-rate" in done.err
    monkeypatch.setenv("COGAUTH_LOCK_TIMEOUT", value)
    in_process("down").must(2)
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_read_again_is_not_written(account: Account) -> None:
    """Scopes must be restored exactly. One that can't be recorded is not taken away."""
    account.stands()
    orders = Orders(account)
    guarded = {"authorizerId": orders.pool, "authorizationScopes": ["a\u202eb"]}
    orders.put("GET", "/odd", "COGNITO_USER_POOLS", **guarded)
    before = orders.methods(), orders.authorizers()
    with pytest.raises(
        CogauthError, match=r"can't record the answer of AWS: .*authorizationScopes has characters"
    ):
        attach(account, path="/odd")
    assert orders.methods() == before[0]
    detach(account)
    assert (orders.methods(), orders.authorizers()) == before
    assert account.state().attachments == {}


def test_an_apis_name_is_kept_without_what_a_terminal_acts_on(account: Account) -> None:
    account.stands()
    orders = Orders(account)
    name = "orders\x1b[2J\u202e"
    patch: Any = [{"op": "replace", "path": "/name", "value": name}]
    orders.aws.update_rest_api(restApiId=orders.id, patchOperations=patch)
    attach(account, orders.id, path="/open")
    assert account.state().attachments[orders.id]["name"] == r"orders\x1b[2J\u202e"
