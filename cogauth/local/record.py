"""The content of ``local.json``: the server's port, its data, and its keys."""

import re
import secrets
import socket
from dataclasses import dataclass, field, replace

from cogauth.aws.environment import KEY_ID, SECRET, Keys
from cogauth.errors import LocalAwsError
from cogauth.record import formats

HOST = "127.0.0.1"
# Below the ports that Linux and macOS use for outgoing connections. Those could be in use at a
# restart, and a client that polls one without a listener can connect to itself.
PORTS = range(20000, 32000)
DATA_ID = re.compile(formats.DATA_ID)
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class ServerRecord:
    """The content of ``local.json``. Raises ``ValueError`` for values that cogauth never writes.

    ``run`` identifies the server that was started last: only that one reports it.
    ``loaded`` is the time (ns) of the saved data when the server became ready, 0 for no data: if it
    hasn't changed since, the server didn't save. None means that it never became ready.
    """

    port: int
    data_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    run: str
    loaded: int | None = None

    def __post_init__(self) -> None:
        if type(self.port) is not int or self.port not in PORTS:
            raise ValueError("no port of cogauth's")
        if type(self.loaded) not in {int, type(None)} or not DATA_ID.fullmatch(self.data_id):
            raise ValueError("no time or id of cogauth's")
        sound = KEY_ID.fullmatch(self.access_key_id) and SECRET.fullmatch(self.secret_access_key)
        if not sound or not _RUN_ID.fullmatch(self.run):
            raise ValueError("no keys of cogauth's")

    @classmethod
    def new(cls, port: int) -> "ServerRecord":
        """Return a record for empty data, with new secret keys."""
        return cls(port, secrets.token_hex(8), *Keys.new(), secrets.token_hex(16))

    def again(self) -> "ServerRecord":
        """Return a record of the same data for a server about to start."""
        return replace(self, run=secrets.token_hex(16), loaded=None)

    @property
    def keys(self) -> Keys:
        """The keys of the account's root."""
        return Keys(self.access_key_id, self.secret_access_key)

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"http://{HOST}:{self.port}"


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_port() -> int:
    """Return a free port. Raises ``LocalAwsError`` if there is none."""
    for port in secrets.SystemRandom().sample(PORTS, 100):
        if is_free(port):
            return port
    raise LocalAwsError(f"No free port found between {PORTS.start} and {PORTS.stop}.")
