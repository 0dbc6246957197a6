"""URLs of API Gateway: their parts, and the hosts that a token may go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cogauth.aws.clients import Aws
from cogauth.checks.explain.address import check_suffix, parse_url
from cogauth.errors import UsageError
from cogauth.gateway import routing
from cogauth.record.state import State
from cogauth.settings import Settings
from support.names import REGION

if TYPE_CHECKING:
    from pathlib import Path


def on_aws(tmp_path: Path, endpoint: str | None = None) -> State:
    return State(tmp_path / "s.json", "shop", "123456789012", REGION, endpoint, Settings())


def test_urls_of_aws(tmp_path: Path) -> None:
    state, host = on_aws(tmp_path), f"abc123.execute-api.{REGION}.amazonaws.com"
    for url, stage, path in (
        (f"https://{host}/dev/hello", "dev", "/hello"),
        (f"https://{host}/dev", "dev", "/"),
        (f"https://{host}", "", "/"),
        (f"https://{host}:443/dev/pets/a%20b?x=1#part", "dev", "/pets/a b"),
        (f"https://abc123-vpce-0a1b.execute-api.{REGION}.amazonaws.com/dev/x", "dev", "/x"),
    ):
        address = parse_url(state, url)
        assert (address.api, address.stage, address.path) == ("abc123", stage, path)
        assert "#" not in address.url
    for url in (
        f"http://{host}/dev/hello",
        f"https://user:secret@{host}/dev",
        f"https://{host}:8443/dev",
        f"https://{host}:x/dev",
        "https://api.example.com/hello",
        f"https://{host}.example.com:1/dev",
        f"https://abc123.lambda-url.{REGION}.on.aws/",
        "hello",
        "",
        "https://[",
    ):
        with pytest.raises(UsageError, match="custom domain"):
            parse_url(state, url)
    with pytest.raises(UsageError, match="in the region us-east-1"):
        parse_url(state, "https://abc123.execute-api.us-east-1.amazonaws.com/dev/hello")


def test_a_slash_that_is_encoded_parts_nothing(tmp_path: Path) -> None:
    url = f"https://a.execute-api.{REGION}.amazonaws.com/dev/orders/a%2Fb"
    address = parse_url(on_aws(tmp_path), url)
    assert routing.route({"/orders/{id}": {"GET": 1}}, "GET", address.path)[1] == 1
    assert routing.route({"/orders/a/b": {"GET": 1}}, "GET", address.path)[0] is None


@pytest.mark.parametrize(
    "path", ["dev/./x", "dev/../x", "dev/x/..", "dev/%2e%2E/x", "dev//x", "/dev/x", "dev/x//"]
)
def test_a_path_that_clients_change_before_they_send_it(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="Clients change such paths"):
        parse_url(on_aws(tmp_path), f"https://a.execute-api.{REGION}.amazonaws.com/{path}")
    home = "http://127.0.0.1:4566"
    with pytest.raises(UsageError):
        parse_url(on_aws(tmp_path, home), f"{home}/restapis/a1/dev/_user_request_/{path[3:]}/../x")


def test_a_token_goes_to_awss_own_hosts_alone(tmp_path: Path, no_credentials: Any) -> None:
    del no_credentials
    aws = Aws(region=REGION)
    aws.identity = ("123456789012", "aws")
    state = on_aws(tmp_path)
    for suffix in ("amazonaws.com", "api.aws"):
        check_suffix(parse_url(state, f"https://a.execute-api.{REGION}.{suffix}/dev"), aws)
    for suffix in ("evil.com", "amazonaws.com.evil.com", "amazonaws.com.cn"):
        with pytest.raises(UsageError, match="not AWS's own"):
            check_suffix(parse_url(state, f"https://a.execute-api.{REGION}.{suffix}/dev"), aws)


def test_urls_of_a_local_aws(tmp_path: Path) -> None:
    state = on_aws(tmp_path, "http://127.0.0.1:4566")
    address = parse_url(state, "http://127.0.0.1:4566/restapis/a1/dev/_user_request_/pets/7?x=1")
    assert (address.api, address.stage, address.path) == ("a1", "dev", "/pets/7")
    for url in (
        "http://127.0.0.1:4567/restapis/a1/dev/_user_request_/pets",
        "https://127.0.0.1:4566/restapis/a1/dev/_user_request_/pets",
        "http://127.0.0.1:4566/restapis/a1/dev/pets",
        f"https://a1.execute-api.{REGION}.amazonaws.com/dev",
    ):
        with pytest.raises(UsageError, match="this stack's endpoint"):
            parse_url(state, url)
