"""One sign-in: it waits for a new deployment, and takes only an answer of the sign-in function."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cogauth.client import sessions
from cogauth.client.signin import READY_WITHIN_S
from cogauth.client.tokens import NAMES
from cogauth.errors import LoginError
from support.local_aws import free_port
from support.servers import Answer
from support.sign_in_api import (
    GATEWAY_FAILS,
    NOT_DEPLOYED,
    PASSWORD,
    Api,
    login,
    refusal,
    success,
    token,
)

if TYPE_CHECKING:
    from cogauth.context import Context
    from support.clock import FakeTime

# For the fixtures.
pytest_plugins = ["support.sign_in_api"]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "first",
    [
        [NOT_DEPLOYED],
        [GATEWAY_FAILS],
        [NOT_DEPLOYED, GATEWAY_FAILS, NOT_DEPLOYED],
        [Answer(500, '{"status": "fail", "msg": "no", "code": "access_denied"}')],
        [Answer(200, '{"status": "fail", "msg": "no", "code": "access_denied"}')],
        [Answer(500, '{"status": "fail", "msg": "no", "code": "trigger_denied"}')] * 2,
        [Answer(200, '{"status": "fail", "msg": "no", "code": "trigger_denied"}')],
        [Answer(403, "")],
    ],
)
def test_a_new_deployment_is_waited_for(
    ctx: Context, api: Api, fake: FakeTime, told: list[str], first: list[Answer]
) -> None:
    api.sign_in = [*first, success(token())]
    assert login(ctx).problems == ()
    assert len(api.sent("/signin")) == len(first) + 1
    assert set(told) == {"the new deployment to answer"}
    assert 0 < fake.now < READY_WITHIN_S


@pytest.mark.parametrize("code", ["access_denied", "trigger_denied"])
def test_so_it_is_where_a_token_is_wanted(
    ctx: Context, api: Api, told: list[str], code: str
) -> None:
    body = {"status": "fail", "msg": "no", "code": code}
    api.sign_in = [Answer(500, json.dumps(body)), success(token())]
    got, is_new = sessions.begin(ctx, "ann", PASSWORD)
    assert is_new
    assert set(got) == set(NAMES)
    assert set(told) == {"the new deployment to answer"}


def test_the_wait_ends(ctx: Context, api: Api, fake: FakeTime) -> None:
    api.sign_in = [NOT_DEPLOYED]
    said = refusal(ctx)
    assert "still answers HTTP 403 Missing Authentication Token after 60 s" in said
    assert f"Run 'cogauth up{ctx.state.options}' to repair" in said
    assert "--state" in ctx.state.options
    assert READY_WITHIN_S <= fake.now < READY_WITHIN_S + 10
    api.sign_in, api.with_token = [success(token())], [GATEWAY_FAILS]
    assert "answers 500, not 200" in login(ctx).problems[0]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("answer", "logs"),
    [
        (Answer(500, '{"status": "fail", "msg": "no", "code": "internal_error"}'), "logs sign-in"),
        (Answer(500, '{"status": "fail", "msg": "no", "code": "trigger_denied"}'), "logs"),
        (GATEWAY_FAILS, "logs"),
        (Answer(504, '{"message": "Endpoint request timed out"}'), "logs"),
        (Answer(404, "{}"), None),
        (Answer(401, '{"status": "fail", "msg": "no", "code": "wrong_credentials"}'), None),
    ],
)
def test_what_is_the_functions_fault_ends_with_the_command_that_shows_their_log(
    ctx: Context, api: Api, answer: Answer, logs: str | None
) -> None:
    """'token' and 'call', which sign in on their own, say the same."""
    api.sign_in = [answer]
    with pytest.raises(LoginError) as caught:
        sessions.begin(ctx, "ann", PASSWORD)
    said = str(caught.value)
    if logs is None:
        assert "cogauth logs" not in said
    else:
        command = ctx.state.command(f"{logs} --since 10m")
        assert said.endswith((f"'{command}'.", f"'{command}' to see why."))


@pytest.mark.parametrize("sign_up", ["open", "closed"])
def test_who_is_refused_by_a_closed_stack_is_told_who_creates_users(
    ctx: Context, api: Api, sign_up: str
) -> None:
    refused = {"status": "fail", "msg": "no", "code": "wrong_credentials"}
    api.sign_in = [Answer(401, json.dumps(refused))]
    ctx.state.settings = replace(ctx.state.settings, sign_up=sign_up)
    with pytest.raises(LoginError) as caught:
        sessions.begin(ctx, "ann", PASSWORD)
    command = ctx.state.command("users create NAME")
    assert (f"if there is no such user, '{command}' creates one" in str(caught.value)) == (
        sign_up == "closed"
    )


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, "<html>Sign in to the hotel's network</html>"),
        Answer(200, ""),
        Answer(200, "[]"),
        Answer(200, '"success"'),
        Answer(200, '{"message": "hello"}'),
        Answer(200, "[" * 100_000),
        Answer(404, '{"message": "Not Found"}'),
        Answer(504, '{"message": "Endpoint request timed out"}'),
        Answer(200, '{"status": "success"}'),
        Answer(400, '{"status": "fail", "code": []}'),
        Answer(400, '{"status": "fail", "code": NaN, "msg": Infinity}'),
        Answer(400, f'{{"status": "fail", "expires_in": {"9" * 5000}}}'),
        Answer(400, '{"status": {}, "msg": ["a"]}'),
        success(token(), refresh_token=["a"]),
        success(token(), access_token="a\r\nX-Evil: 1"),
        success(token(), expires_in="soon"),
        success(token(), refresh_token=None),
        success(token(), user_id=None),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:20]}",
)
def test_what_is_no_answer_of_the_sign_in_is_an_error(
    ctx: Context, api: Api, answer: Answer
) -> None:
    api.sign_in = [answer]
    said = refusal(ctx)
    assert "isn't an answer of the sign-in" in said or "lacks " in said
    assert len(api.sent("/signin")) == 1


THROTTLED = Answer(429, '{"message": "Too Many Requests"}')


def test_the_stages_throttle_is_called_by_its_name(ctx: Context, api: Api) -> None:
    api.sign_in = [THROTTLED]
    said = refusal(ctx)
    assert "HTTP 429 Too Many Requests: the stage's throttle" in said
    assert f"'cogauth up --throttle-rate … --throttle-burst …{ctx.state.options}'" in said


def test_an_api_that_can_not_be_reached(ctx: Context) -> None:
    ctx.state.endpoint_url = f"http://127.0.0.1:{free_port()}"
    assert "/signin failed: ConnectionError" in refusal(ctx)
