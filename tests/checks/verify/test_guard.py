"""What each check of a guard makes of the answers, played as AWS gives them."""
# ruff: noqa: SLF001 a single check is asked, with answers that no stack gives at will

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests

from cogauth.aws.clients import Aws
from cogauth.aws.waiting import Waiter
from cogauth.checks.verify import guard as guarding
from cogauth.checks.verify import subject
from cogauth.checks.verify.subject import GuardedMethod, Subject
from cogauth.context import Context
from cogauth.gateway.rest_apis import COGNITO, Guard
from cogauth.record.state import State
from cogauth.settings import PROTECTED_PATH, Settings
from support.clock import FakeTime
from support.names import REGION

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "https://app.example"


@pytest.fixture
def ctx(no_credentials: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    """A stack on AWS whose waits take no time."""
    del no_credentials
    aws, fake = Aws(region=REGION), FakeTime()
    aws.identity = ("123456789012", "aws")
    aws.stop = fake
    state = State(tmp_path / "s.json", "shop", aws.account, REGION, None, Settings())
    pool = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/pool"
    # As in a state file that holds nothing else; it is never written.
    state.resources |= {"rest_api": {"id": "api1"}, "user_pool": {"id": "pool", "arn": pool}}
    return Context(aws, state, Waiter(clock=fake, stop=fake), settle_s=0)


class Played(guarding.GuardChecks):
    """Checks whose calls the test answers, as on AWS unless it says otherwise."""

    def __init__(
        self,
        ctx: Context,
        *answers: tuple[int, dict[str, str]],
        origins: tuple[str, ...] = (),
    ) -> None:
        url = ctx.url(PROTECTED_PATH)
        guard = Guard(COGNITO, authorizer="ours", pools=(ctx.fact("user_pool", "arn"),))
        self.place = GuardedMethod(url, PROTECTED_PATH, "GET", guard, preflight=False, own=True)
        now = datetime.now(UTC).timestamp()
        super().__init__(ctx, Subject("api1", "dev", ctx.url(""), now, (self.place,)))
        self.origins, self.several_origins = origins, len(origins) > 1
        # The last one is repeated.
        self.answers = list(answers)
        self.sent: list[tuple[str, str | None, dict[str, str]]] = []

    def _send(
        self,
        verb: str,
        place: GuardedMethod,
        token: str | None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        del place
        self.sent.append((verb, token, headers or {}))
        answer = requests.Response()
        answer.status_code, found = self.answers[0]
        answer.headers.update(found)
        self.answers = self.answers[1:] or self.answers
        return answer

    def guarded(self, **guard: Any) -> GuardedMethod:
        """Return the method with another guard, and as someone else's."""
        return replace(self.place, own=False, guard=replace(self.place.guard, **guard))


def test_the_deployment_before_may_still_answer(ctx: Context) -> None:
    run = Played(ctx, (200, {}), (200, {}), (401, {}))
    row = run._call("no token", run.place, None, 401)
    assert (row.ok, len(run.sent)) == (True, 3)
    run = Played(ctx, (404, {}), (204, {}), origins=("*",))
    assert run._preflight(run.place).ok
    # The deployment has had enough time.
    run = Played(ctx, (200, {}), (401, {}))
    run.subject = replace(run.subject, deployed_at=0.0)
    row = run._call("no token", run.place, None, 401)
    assert (row.ok, len(run.sent)) == (False, 1)
    # Waiting doesn't bring back a guard that is off in the API itself.
    run = Played(ctx, (200, {}), (401, {}))
    row = run._call("no token", run.guarded(pools=()), None, 401)
    assert (row.ok, len(run.sent)) == (False, 1)


def test_an_api_key_that_it_does_not_have(ctx: Context) -> None:
    run = Played(ctx, (403, {}))
    keyed = run.guarded(api_key=True)
    for place in (keyed, replace(keyed, own=True)):
        row = run._id_token(place, "eyJ")
        assert (row.ok, row.got) == (None, "")
        assert "requires an API key" in row.note
    run.origins = (ORIGIN,)
    (row,) = (r for r in run._cors(replace(keyed, own=True), "eyJ") if r.check.endswith("200"))
    assert row.ok is None
    # A caller without a token is refused for that reason.
    assert {token for _, token, _ in run.sent} == {None}
    run.answers = [(401, {})]
    assert run._call("no token", keyed, None, 401).ok


def test_a_refusal_from_behind_the_guard(ctx: Context) -> None:
    """API Gateway names the type of its own refusals in a header; a backend doesn't."""
    for status in (401, 403):
        run = Played(ctx, (status, {}))
        row = run._id_token(run.guarded(), "eyJ")
        assert row.ok
        assert f"the backend answered {status}" in row.note
        run.emulated = True
        assert run._id_token(run.guarded(), "eyJ").ok is False
        run = Played(ctx, (status, {"x-amzn-errortype": "AccessDeniedException"}))
        assert run._id_token(run.guarded(), "eyJ").ok is False


@pytest.mark.parametrize("check", ["_id_token", "_access_token"])
def test_a_token_of_the_wrong_kind_or_scope_gets_401_or_the_gateways_403(
    ctx: Context, check: str
) -> None:
    """AWS doesn't document which of the two; a backend's 403 would mean the token passed."""
    of_gateway = {"x-amzn-errortype": "AccessDeniedException"}
    # For an unknown or not yet deployed path, and from a web application firewall.
    unknown = {"x-amzn-errortype": "MissingAuthenticationTokenException"}
    firewall = {"x-amzn-errortype": "ForbiddenException"}
    token = jwt.encode({"scope": "shop/write"}, "k" * 32)
    for status, headers, ok in (
        (401, {}, True),
        (403, of_gateway, True),
        (403, {"x-amzn-errortype": "UnauthorizedException:http://internal.amazon.com/"}, True),
        (403, unknown, False),
        (403, firewall, False),
        (403, {}, False),
        (200, {}, False),
        (500, of_gateway, False),
    ):
        run = Played(ctx, (status, headers))
        run.subject = replace(run.subject, deployed_at=0.0)
        row = getattr(run, check)(run.guarded(scopes=("shop/read",)), token)
        assert (row.ok, row.got) == (ok, str(status))
        assert row.expected == "401, or the gateway's 403"
        # Without a scope the status is certain.
        if check == "_access_token":
            assert run._access_token(run.guarded(), token).ok is (status == 401)
    # The check waits for a deployment that isn't ready yet.
    run = Played(ctx, (403, unknown), (401, {}))
    row = getattr(run, check)(run.guarded(scopes=("shop/read",)), token)
    assert (row.ok, row.got, len(run.sent)) == (True, "401", 2)


def test_an_expired_token_is_of_the_kind_that_the_method_takes(ctx: Context) -> None:
    run = Played(ctx, (401, {}))
    old = {"id_token": "eyJi", "access_token": "eyJa"}
    assert run._expired(run.guarded(), old).sent == "GET /hello, expired ID token"
    scoped = run.guarded(scopes=("shop/read",))
    assert run._expired(scoped, old).sent == "GET /hello, expired access token"
    assert [token for _, token, _ in run.sent] == ["eyJi", "eyJa"]
    assert run._expired(scoped, {"id_token": "eyJi"}).ok is None


# CORS


@pytest.mark.parametrize(
    ("status", "own", "elsewhere"),
    [(204, True, True), (302, False, True), (404, False, False), (500, False, False)],
)
def test_a_preflight_that_fails_is_no_good(
    ctx: Context, status: int, *, own: bool, elsewhere: bool
) -> None:
    run = Played(ctx, (status, {}), origins=(ORIGIN,))
    row = run._preflight(run.place)
    assert (row.ok, row.expected) == (own, "2xx")
    asked = ("OPTIONS", None, {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
    assert run.sent[0] == asked
    row = run._preflight(replace(run.guarded(), preflight=True))
    assert (row.ok, row.expected) == (elsewhere, "below 400")


def test_each_origin_is_tried_and_a_foreign_one(ctx: Context) -> None:
    header = "Access-Control-Allow-Origin"
    origins = tuple(f"https://{name}.example" for name in "abcd")
    named = [(200, {header: origin}) for origin in origins[:3]]
    run = Played(ctx, *named, (200, {}), origins=origins)
    found = [(row.check, row.ok) for row in run._cors(run.place, "eyJ")]
    # API Gateway's own 401 can't choose among the origins.
    assert found[0] == ("CORS headers on 401", None)
    assert found[1:] == [*[("CORS headers on 200", True)] * 3, ("CORS, other origin", True)]
    assert [headers["Origin"] for _, _, headers in run.sent] == [*origins[:3], subject.FOREIGN]
    # If any origin is echoed, every page is allowed in.
    run = Played(ctx, *named, (200, {header: subject.FOREIGN}), origins=origins)
    assert [row.ok for row in run._cors(run.place, "eyJ")][-1] is False
    # Another emulator may ignore mapping templates.
    run = Played(ctx, (200, {}), origins=origins)
    run.emulated = True
    assert {row.ok for row in run._cors(run.place, "eyJ")} == {None, True}
    run = Played(ctx, (401, {header: "*"}), (200, {header: "*"}), origins=("*",))
    assert [(row.check[-3:], row.ok) for row in run._cors(run.place, "eyJ")] == [
        ("401", True),
        ("200", True),
    ]
