"""The record of a local AWS: what cogauth never writes is refused, and its keys are not shown."""

import json
import socket
from dataclasses import asdict
from typing import Any

import pytest

from cogauth.local.record import HOST, PORTS, ServerRecord, is_free


@pytest.mark.parametrize(
    "change",
    [
        {"port": 80},
        {"port": PORTS.stop},
        {"port": "20000"},
        {"port": True},
        {"data_id": "../../home/ann00"},
        {"data_id": ""},
        {"data_id": "0123456789abcde\n"},
        {"data_id": 7},
        {"access_key_id": "test"},
        {"secret_access_key": "test"},
        {"run": 31 * "0"},
        {"loaded": "0"},
        {"loaded": True},
    ],
)
def test_what_is_never_written_is_no_record(change: dict[str, Any]) -> None:
    sound = asdict(ServerRecord.new(PORTS.start))
    ServerRecord(**json.loads(json.dumps(sound)))
    with pytest.raises((ValueError, TypeError)):
        ServerRecord(**{**sound, **change})


def test_another_run_is_of_the_same_data_with_the_same_keys() -> None:
    first = ServerRecord.new(PORTS.start)
    again = first.again()
    assert (again.data_id, again.keys, again.url) == (first.data_id, first.keys, first.url)
    assert again.run != first.run
    other = ServerRecord.new(PORTS.start)
    assert not {other.data_id, *other.keys} & {first.data_id, *first.keys}
    assert first.secret_access_key not in repr(first)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
