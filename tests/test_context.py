"""What a step derives from its context: ARNs, URLs, and what is the stack's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cogauth.aws.clients import Aws
from cogauth.context import Context, refuse
from cogauth.errors import UsageError
from cogauth.record.state import State
from cogauth.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "123456789012"
LOCAL = "http://127.0.0.1:4566"


def context(tmp_path: Path, region: str, partition: str, endpoint: str | None = None) -> Context:
    aws = Aws(region=region)
    aws.identity = (ACCOUNT, partition)
    state = State(tmp_path / "s.json", "shop", ACCOUNT, region, endpoint, Settings(stage="v1"))
    # As in a state file that holds nothing else; it is never written.
    state.resources |= {key: {"id": f"{region}_{key}"} for key in ("rest_api", "user_pool")}
    waiter: Any = None
    return Context(aws, state, waiter, now=lambda: 0.0)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [("eu-central-1", "aws", "amazonaws.com"), ("cn-north-1", "aws-cn", "amazonaws.com.cn")],
)
def test_urls_and_arns_are_of_the_partition(
    region: str, partition: str, suffix: str, tmp_path: Path
) -> None:
    ctx = context(tmp_path, region, partition)
    assert (
        ctx.arn("lambda", "function:f") == f"arn:{partition}:lambda:{region}:{ACCOUNT}:function:f"
    )
    own = f"https://{region}_rest_api.execute-api.{region}.{suffix}/v1/hello"
    assert ctx.url("/hello") == own
    other = f"https://api2.execute-api.{region}.{suffix}/prod/x"
    assert ctx.url("/x", api="api2", stage="prod") == other
    assert ctx.issuer == f"https://cognito-idp.{region}.{suffix}/{region}_user_pool"
    assert ctx.jwks_url == f"{ctx.issuer}/.well-known/jwks.json"
    assert ctx.timestamp() == "1970-01-01T00:00:00+00:00"


@pytest.mark.usefixtures("no_credentials")
def test_a_pool_on_an_emulator_signs_as_awss_and_has_its_keys_there(tmp_path: Path) -> None:
    ctx = context(tmp_path, "eu-central-1", "aws", LOCAL)
    pool, api = "eu-central-1_user_pool", "eu-central-1_rest_api"
    assert ctx.url("/hello") == f"{LOCAL}/restapis/{api}/v1/_user_request_/hello"
    assert ctx.issuer == f"https://cognito-idp.eu-central-1.amazonaws.com/{pool}"
    assert ctx.jwks_url == f"{LOCAL}/{pool}/.well-known/jwks.json"


@pytest.mark.usefixtures("no_credentials")
def test_both_tags_make_a_resource_the_stacks_own(tmp_path: Path) -> None:
    ctx = context(tmp_path, "eu-central-1", "aws")
    assert ctx.owns({**ctx.tags, "team": "blue"})
    for name in ctx.tags:
        assert not ctx.owns({key: ctx.tags[key] for key in ctx.tags if key != name})
        assert not ctx.owns({**ctx.tags, name: "another"})


def test_without_an_answer_it_is_no() -> None:
    with pytest.raises(UsageError, match=r"Delete it\? Nothing was touched\. .*--yes"):
        refuse("Delete it?")
