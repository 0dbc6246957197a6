"""The embedded local AWS as a child process that outlives the command.

Everything lives in one folder, which the command that starts or stops the server has locked:

    .cogauth          marks the folder as cogauth's own: in no other is anything changed
    alive             locked by the server itself, for as long as it lives
    local.json        its port, which data it serves, and the keys of its account's root, which it
                      takes from here; written before it is started
    ministack.log     what it prints
    data-<id>/        what it saves when it ends; another id whenever it begins empty
    tmp/              its pid file, and its Lambda functions' code

The starter locks ``alive`` and the server inherits the lock; the kernel lets go of it when the
server ends, however it ends. So no crash of a starter leaves a server that nobody finds. But anyone
may have written its pid file, and pids are reused: a process is ended only if it is this user's,
runs ministack in this folder's ``tmp``, and is older than the pid file.

The folder may have come with a clone, and its data hold code that runs once they are served. So
data are served only if this user made them on this machine, in this folder (``KnownData``).
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cogauth.aws.environment import Keys
from cogauth.errors import LocalAwsError
from cogauth.local.child import Server, require_extra
from cogauth.local.folder import MARKER, DataFolder, is_own_folder
from cogauth.local.record import Record, choose_port, is_free
from cogauth.record.files import remove_own
from cogauth.record.lock import hold

# Beside the state file; a name that nothing else has.
FOLDER = "cogauth-local-aws"


@dataclass(frozen=True)
class Started:
    """A local AWS that answers.

    ``data_id`` changes whenever it begins empty, as after it ended without saving (a ``kill -9``, a
    power cut): a stack recorded with another id is gone.
    ``forgotten``: why nobody will know these data again once the server has ended; else None.
    """

    endpoint_url: str
    keys: Keys
    data_id: str
    forgotten: str | None = None


class LocalAws:
    """An embedded local AWS whose data live in one folder."""

    def __init__(
        self, folder: Path, *, patience: float = 30.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Describe it; it gets ``patience`` seconds to become ready, and to end."""
        self._folder = DataFolder(folder)
        self._server = Server(self._folder, patience, sleep)
        self._patience = patience

    @property
    def endpoint_url(self) -> str | None:
        """Its URL, running or not; None if it was never started. Raises ``LocalAwsError``."""
        record = self._record()
        return record.url if record else None

    def keys(self) -> Keys:
        """Return its account's root's. Raises ``LocalAwsError`` if it was never started."""
        record = self._record()
        if record is None:
            raise LocalAwsError(f"No local AWS was started in {self._folder.path}.")
        return record.keys

    def _record(self) -> Record | None:
        return self._folder.read() if self._folder.is_there() else None

    def is_running(self) -> bool:
        """Whether its process lives; it may still be starting."""
        return self._server.is_running()

    def start(self) -> Started:
        """Start it unless it runs already, and wait until it answers.

        Raises ``LocalAwsError`` if the extra isn't installed, its port is in use, it doesn't come
        up, or the folder or its data are not this user's own; no process is left behind then.
        """
        folder, server = self._folder, self._server
        folder.is_there()  # If it is somebody else's, not even a lock is left beside it.
        with self._one_at_a_time():
            folder.make()
            record, forgotten = folder.read(), None
            if record is not None:
                record = folder.trusted(record, lambda: server.process() is not None)
            if not (record and server.comes_up(record)):
                require_extra()
                record, forgotten = self._prepare(record)
                try:
                    server.spawn(record)
                except BaseException:
                    server.end()
                    raise
            if record.loaded is None:
                folder.write(replace(record, loaded=folder.saved(record)))
            return Started(record.url, record.keys, record.data_id, forgotten)

    def stop(self) -> bool:
        """End it, with its data saved; say whether it ran. Raises ``LocalAwsError``."""
        if not self._folder.is_there():
            return False
        with self._one_at_a_time():
            running = self.is_running()
            self._server.end()
            return running

    def remove(self) -> None:
        """End it if it runs, and delete its folder with all that is cogauth's in there."""
        folder = self._folder
        if not folder.is_there():
            return
        with self._one_at_a_time():
            self._server.end()
            folder.delete_data()
            with suppress(LocalAwsError):
                if record := folder.read():
                    folder.known.drop(record.data_id, folder.path)
            if is_own_folder(folder.tmp):
                shutil.rmtree(folder.tmp, ignore_errors=True)
            server = self._server
            for file in (folder.record_file, server.log, server.alive, folder.path / MARKER):
                remove_own(file)
            with suppress(OSError):  # Somebody has put something of theirs into it.
                folder.path.rmdir()

    def _one_at_a_time(self) -> AbstractContextManager[object]:
        return hold(self._folder.path, "local AWS", 2 * self._patience, advice="")

    def _prepare(self, old: Record | None) -> tuple[Record, str | None]:
        """Record the server about to be started; say why its data won't be known again, if so."""
        folder = self._folder
        for own in (folder.tmp, *([folder.data(old)] if old else [])):
            if os.path.lexists(own) and not is_own_folder(own):
                raise LocalAwsError(
                    f"{own} is not cogauth's own: it is no folder of this user's. It was left "
                    "as it is. Look where it comes from, and move it away."
                )
        if old is None:
            # Without its record a server would be of no use: nobody knows its port.
            self._server.end()
            record = Record.new(choose_port())
        else:
            # A server killed a moment ago may lose its lock an instant before its port.
            if not self._server.until(lambda: is_free(old.port), seconds=2):
                raise LocalAwsError(
                    f"The local AWS's port {old.port} is taken by another program, and the "
                    f"local stack's URLs contain it. See which one with 'lsof -i :{old.port}', "
                    "end it and run the command again. Nothing is lost."
                )
            # Ministack saves when it ends and deletes its pid file after that. Data older than
            # the last run are worse than none: what was deleted since would be back.
            data_lost = old.loaded is not None and (
                any(folder.pid_files()) or folder.saved(old) in {0, old.loaded}
            )
            record = Record.new(old.port) if data_lost else old.again()
        forgotten = folder.known.add(record.data_id, folder.path)
        # From here on the data are the new ones, should we be killed before the old are deleted.
        folder.write(record)
        folder.delete_data(but=record)
        # A Lambda function of a killed server may still be at work in there.
        shutil.rmtree(folder.tmp, ignore_errors=True)
        folder.tmp.mkdir(mode=0o700, exist_ok=True)
        return record, forgotten
