"""The embedded local AWS as a child process that outlives the command.

Everything is in one folder, which a command locks while it starts or stops the server:

    .cogauth          marks the folder as cogauth's own; no other folder is changed
    alive             locked by the server itself, for as long as it runs
    local.json        its port, the id of its data, and the keys of its account's root, which it
                      reads from here; written before the server starts
    beginners         locked by commands that use it for a stack without a state file yet
    ministack.log     its output
    data-<id>/        the data that it saves when it stops; a new id whenever it starts empty
    tmp/              its pid file, and its Lambda functions' code

The starter locks ``alive`` and the server inherits the lock; the kernel releases it when the server
ends for any reason. So a crashed starter never leaves a server that can't be found. But anyone may
have written its pid file, and pids are reused: a process is killed only if it belongs to this user,
runs ministack in this folder's ``tmp``, and is older than the pid file.

The folder may have come with a git clone, and its data contain code that runs once they are served.
So data are only served if this user created them on this machine, in this folder (``KnownData``).
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
from cogauth.local.beginners import Beginners
from cogauth.local.child import Server, require_extra
from cogauth.local.folder import MARKER, DataFolder, is_own_folder
from cogauth.local.record import ServerRecord, choose_port, is_free
from cogauth.record.files import remove_own
from cogauth.record.lock import hold

# A folder beside the state file, with a unique name.
FOLDER = "cogauth-local-aws"


@dataclass(frozen=True)
class Started:
    """A running local AWS.

    ``data_id`` changes whenever it starts empty, for example after it ended without saving
    (``kill -9``, a power cut): a stack recorded with another id no longer exists.
    ``forgotten``: why these data can't be trusted again once the server has stopped; else None.
    """

    endpoint_url: str
    keys: Keys
    data_id: str
    forgotten: str | None = None


class LocalAws:
    """An embedded local AWS with its data in one folder."""

    def __init__(
        self, folder: Path, *, patience: float = 30.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Prepare without starting; ``patience`` is the time to start or to stop, in seconds."""
        self._folder = DataFolder(folder)
        self._server = Server(self._folder, patience, sleep)
        self._beginners = Beginners(self._folder.path / "beginners")
        self._patience = patience

    @property
    def endpoint_url(self) -> str | None:
        """Its URL, running or not; None if it was never started. Raises ``LocalAwsError``."""
        record = self._record()
        return record.url if record else None

    def keys(self) -> Keys:
        """Return its root's keys. Raises ``LocalAwsError`` if it was never started."""
        record = self._record()
        if record is None:
            raise LocalAwsError(f"No local AWS was started in {self._folder.path}.")
        return record.keys

    def _record(self) -> ServerRecord | None:
        return self._folder.read() if self._folder.is_there() else None

    def is_running(self) -> bool:
        """Return whether its process exists; it may still be starting."""
        return self._server.is_running()

    def start(self, *, begins: bool = False) -> Started:
        """Start it unless it already runs, and wait until it answers.

        With ``begins`` nobody else removes it until ``claimed`` or ``leave``: a state file that
        names it may be yet to come.

        Raises ``LocalAwsError`` if the extra isn't installed, its port is in use, it doesn't
        start, or the folder or its data aren't this user's own. No process is left behind then.
        """
        folder, server = self._folder, self._server
        folder.is_there()  # Raises before a lock is created beside someone else's folder.
        with self._one_at_a_time():
            folder.make()
            record, forgotten = folder.read(), None
            if begins:
                self._beginners.join(unclaimed=record is None)
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
        """Stop it and save its data; return whether it ran. Raises ``LocalAwsError``."""
        if not self._folder.is_there():
            return False
        with self._one_at_a_time():
            running = self.is_running()
            self._server.end()
            return running

    def claimed(self) -> AbstractContextManager[None]:
        """Return a context manager in which the state file is written that names it from then."""
        return self._beginners.claimed()

    def leave(self, *, removes: bool) -> bool:
        """Stop using it after ``start(begins=True)``; return whether it was removed.

        With ``removes`` the last one to leave removes it, if it was started for that alone. Raises
        ``LocalAwsError``.
        """
        try:
            return removes and self.remove(unclaimed=True)
        finally:
            self._beginners.leave()

    def is_unclaimed(self) -> bool:
        """Return whether it was started for a stack that no state file names yet."""
        return self._folder.is_there() and self._beginners.is_unclaimed()

    def remove(self, *, unclaimed: bool = False) -> bool:
        """Stop it if it runs, and delete everything in its folder that is cogauth's.

        While others use it for a stack without a state file, the last of them does that instead.
        With ``unclaimed`` it is only removed if that is all that it was started for. Return whether
        it is gone.
        """
        folder = self._folder
        if not folder.is_there():
            return True
        with self._one_at_a_time():
            if unclaimed and not self._beginners.is_unclaimed():
                return False
            if self._beginners.are_others():
                self._beginners.leave_to_the_last()
                return False
            self._server.end()
            folder.delete_data()
            with suppress(LocalAwsError):
                if record := folder.read():
                    folder.known.drop(record.data_id, folder.path)
            if is_own_folder(folder.tmp):
                shutil.rmtree(folder.tmp, ignore_errors=True)
            server = self._server
            own = (folder.record_file, server.log, server.alive, self._beginners.path)
            for file in (*own, folder.path / MARKER):
                remove_own(file)
            with suppress(OSError):  # Someone has put other files into it.
                folder.path.rmdir()
            return True

    def _one_at_a_time(self) -> AbstractContextManager[object]:
        return hold(self._folder.path, "local AWS", 2 * self._patience, advice="")

    def _prepare(self, old: ServerRecord | None) -> tuple[ServerRecord, str | None]:
        """Record the server to start; also return why its data can't be trusted again, if so."""
        folder = self._folder
        for own in (folder.tmp, *([folder.data(old)] if old else [])):
            if os.path.lexists(own) and not is_own_folder(own):
                raise LocalAwsError(
                    f"{own} is not cogauth's own: it isn't a folder of this user's. It was left "
                    "unchanged.",
                    hint="Find out where it comes from, and move it away.",
                )
        if old is None:
            # A server without a record is of no use, because its port is unknown.
            self._server.end()
            record = ServerRecord.new(choose_port())
        else:
            # A server killed a moment ago may lose its lock an instant before its port.
            if not self._server.until(lambda: is_free(old.port), seconds=2):
                raise LocalAwsError(
                    f"Another program uses the local AWS's port {old.port}, which the local "
                    "stack's URLs contain. Nothing is lost.",
                    hint=f"Find it with 'lsof -i :{old.port}', stop it and run the command again.",
                )
            # Ministack saves when it stops, then deletes its pid file. Data older than the last
            # run are worse than none: deleted resources would be back.
            data_lost = old.loaded is not None and (
                any(folder.pid_files()) or folder.saved(old) in {0, old.loaded}
            )
            record = ServerRecord.new(old.port) if data_lost else old.again()
        forgotten = folder.known.add(record.data_id, folder.path)
        # Write the record first, in case we are killed before the old data are deleted.
        folder.write(record)
        folder.delete_data(but=record)
        # A Lambda function of a killed server may still be running in there.
        shutil.rmtree(folder.tmp, ignore_errors=True)
        folder.tmp.mkdir(mode=0o700, exist_ok=True)
        return record, forgotten
