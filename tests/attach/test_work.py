"""The calls to an attached API: what they send, how fast, and what they leave when one fails."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.attach import work
from cogauth.errors import CogauthError
from cogauth.gateway import rest_apis
from cogauth.record.records import Authorization
from support.account import Account
from support.attached import Orders, attach, detach
from support.calls import Call, refusal

# Most cases run `up` more than once, so plain `pytest` runs only every sixth one.
pytestmark = pytest.mark.sample(6)


authorizations = st.builds(
    lambda kind, scopes, key: {
        "authorizationType": kind,
        "authorizerId": None if kind in rest_apis.WITHOUT_AUTHORIZER else "abc123",
        "authorizationScopes": sorted(scopes) if kind in {rest_apis.COGNITO, rest_apis.JWT} else [],
        "apiKeyRequired": key,
    },
    st.sampled_from(rest_apis.KNOWN_TYPES),
    st.sets(st.sampled_from(["a/r", "a/w", "b"])),
    st.booleans(),
)


@given(authorizations, authorizations)
def test_a_patch_leads_from_any_authorization_to_any_other(
    before: Authorization, after: Authorization
) -> None:
    now: dict[str, Any] = {**before, "authorizationScopes": set(before["authorizationScopes"])}
    for operation in work.patch(before, after):
        key, value = operation["path"][1:], operation["value"]
        if key == "authorizationScopes":
            # Each operation is valid by itself: scopes need an authorizer for a user pool's tokens.
            assert now["authorizationType"] in {rest_apis.COGNITO, rest_apis.JWT}
            {"add": now[key].add, "remove": now[key].remove}[operation["op"]](value)
        else:
            now[key] = value == "true" if key == "apiKeyRequired" else value
    assert (
        rest_apis.authorization_of(
            {**now, "authorizationScopes": sorted(now["authorizationScopes"])}
        )
        == after
    )
    assert work.patch(before, before) == []


def test_one_method_that_can_t_be_given_back_keeps_no_other(
    account: Account, orders: Orders
) -> None:
    before = orders.methods()
    attach(account)
    place = orders.at("GET", "/iam")

    def refuse_one(call: Call) -> Any:
        if call.operation == "UpdateMethod" and place["resourceId"] in call.sent["url_path"]:
            return refusal(400, "BadRequestException", "Not this one.")
        return None

    with account.calls.watched(refuse_one):
        result = detach(account)[0]
    (problem,) = result.problems
    assert "GET /iam of the API orders failed" in problem
    assert "Not this one" in problem
    assert {name for name in before if orders.methods()[name] != before[name]} == {"GET /iam"}
    assert list(account.state().attachments[orders.id]["methods"]) == ["GET /iam"]
    assert detach(account)[0].restored == ["GET /iam"]
    assert orders.methods() == before
    assert account.state().attachments == {}


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_what_someone_changes_during_a_long_run_is_not_overwritten(
    account: Account, orders: Orders, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK_AGAIN", 2)
    if command == "detach":
        attach(account)

    def change_the_last(call: Call) -> None:
        if call.operation == "UpdateMethod" and orders.path("/pool") not in call.sent["url_path"]:
            # A client other than the watched one makes the change.
            orders.patch("GET", "/pool", ("replace", "/apiKeyRequired", "true"))

    changes = account.calls.watched(after=change_the_last)
    with changes, pytest.raises(CogauthError, match="changed GET /pool of the API orders"):
        attach(account) if command == "attach" else detach(account)
    changed = orders.methods()["GET /pool"]
    assert changed["apiKeyRequired"]
    if command == "attach":
        attach(account)
        assert "GET /pool" in detach(account)[0].restored
    else:
        assert "GET /pool" in detach(account)[0].problems[0]
    assert orders.methods()["GET /pool"] == changed


def test_a_clean_up_that_is_denied_makes_no_second_deployment(
    account: Account, orders: Orders
) -> None:
    attach(account, path="/iam")

    def deny(call: Call) -> Any:
        denied = call.operation == "DeleteDeployment"
        return refusal(403, "AccessDeniedException") if denied else None

    with account.calls.watched(deny), pytest.raises(CogauthError, match="DELETE"):
        attach(account, path="/open")
    assert orders.deployments() == ["", "prod"]
    assert attach(account, path="/open").deployment is None
    assert orders.deployments() == ["prod"]


@pytest.mark.long
def test_hundreds_of_methods_keep_to_the_rate(account: Account, orders: Orders) -> None:
    for number in range(60):
        orders.put("GET", f"/n{number}", "NONE")
    account.time.now = 0
    attach(account, path="/n*")
    # There are 63 writes: 30 may come at once, then 10 a second; moto itself takes no time.
    assert 2.5 < account.time() < 4.5
