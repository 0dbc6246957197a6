"""What ``local.json`` holds: where the server of some data listens, and by which keys."""

import re
import secrets
import socket
from dataclasses import dataclass, field, replace

from cogauth.aws.environment import KEY_ID, SECRET, Keys
from cogauth.errors import LocalAwsError

HOST = "127.0.0.1"
# Below the ports that Linux and macOS give to outgoing connections. One of those could be in use
# at a restart, and a client that polls one before anybody listens can connect to itself.
PORTS = range(20000, 32000)
DATA_ID = re.compile(r"[0-9a-f]{16}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Record:
    """What ``local.json`` holds. Raises ``ValueError`` for what cogauth never writes.

    ``run`` is told by the server that was started last, and by no other: it is known by that.
    ``loaded`` is the time stamp (ns) of the saved data which the server had when it became ready,
    0 for none: unless it has changed since, the server didn't save. None: it never became ready.
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
    def new(cls, port: int) -> "Record":
        """Return that of data which begin empty; nobody else knows the keys to them."""
        return cls(port, secrets.token_hex(8), *Keys.new(), secrets.token_hex(16))

    def again(self) -> "Record":
        """Return that of the same data, for a server that is about to be started."""
        return replace(self, run=secrets.token_hex(16), loaded=None)

    @property
    def keys(self) -> Keys:
        """Those of the account's root."""
        return Keys(self.access_key_id, self.secret_access_key)

    @property
    def url(self) -> str:
        """The server's."""
        return f"http://{HOST}:{self.port}"


def is_free(port: int) -> bool:
    """Say whether nobody listens at a port."""
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
