"""What a call may hold: one header a line, and a body that is JSON; never a token of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.client.calls import parse_headers, read_json
from cogauth.client.transport import strict_json
from cogauth.errors import UsageError


@given(st.text(), st.text())
def test_whatever_header_is_taken_is_one_header(name: str, value: str) -> None:
    try:
        taken = parse_headers((f"{name}:{value}",))
    except UsageError:
        return
    ((key, sent),) = taken.items()
    assert key.lower() != "authorization"
    assert not set(key + sent) & {"\r", "\n", "\0"}
    f"{key}: {sent}".encode("latin-1")


@given(st.binary() | st.text().map(str.encode))
def test_a_body_is_taken_only_as_json_and_never_repeated(data: bytes) -> None:
    try:
        strict_json(data.decode())
    except ValueError:
        with pytest.raises(UsageError) as caught:
            read_json(data, "--data")
        assert caught.value.__cause__ is None
        assert len(str(caught.value)) < 200
    else:
        assert read_json(data, "--data") == data
