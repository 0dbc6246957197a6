"""The data folder of a local AWS, and the record of which data this user created."""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from cogauth.errors import CogauthError, LocalAwsError
from cogauth.local.record import DATA_ID, ServerRecord
from cogauth.record.files import make_folder, open_own, read_own, write_private

MARKER = ".cogauth"
MARKED = b"The data of cogauth's local AWS. cogauth deletes them with the last stack in there.\n"


class KnownData:
    """The data that this user created on this machine: a file for each id, in the home folder.

    Source of the location: https://specifications.freedesktop.org/basedir-spec/latest/
    """

    def __init__(self) -> None:
        base = os.environ.get("XDG_STATE_HOME", "")
        self._folder: Path | None = None
        with suppress(RuntimeError):  # There is no home folder.
            home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
            self._folder = home / "cogauth" / "local-aws"

    def made_in(self, data_id: str) -> Path | None:
        """Return the folder in which this user created these data; None if unknown."""
        with suppress(OSError, CogauthError, ValueError, KeyError, TypeError, RecursionError):
            if self._folder is not None and _is_private(self._folder):
                return Path(json.loads(read_own(self._folder / data_id))["folder"])
        return None

    def obstacle(self) -> str | None:
        """Return why nothing can be recorded; None if it can."""
        if self._folder is None:
            return "there is no home folder"
        try:
            make_folder(self._folder)
            if not _is_private(self._folder):
                return f"others may write to {self._folder}"
            with tempfile.TemporaryFile(dir=self._folder):
                return None
        except OSError as error:
            return f"{self._folder} can't be written to ({error.strerror})"

    def add(self, data_id: str, of: Path) -> str | None:
        """Record data about to be created; return why that failed, if it did."""
        why = self.obstacle()
        if why is None and self._folder is not None:
            try:
                write_private(self._folder / data_id, {"folder": str(of.resolve())})
            except CogauthError as error:
                why = str(error)
        return why

    def drop(self, data_id: str, of: Path) -> None:
        """Forget deleted data, but not those recorded for another folder."""
        if self._folder is not None and self.made_in(data_id) == of.resolve():
            with suppress(OSError):
                (self._folder / data_id).unlink()


def _is_private(folder: Path) -> bool:
    others = stat.S_IWGRP | stat.S_IWOTH
    return is_own_folder(folder) and not folder.lstat().st_mode & others


def is_own_folder(path: Path) -> bool:
    """Return whether it is this user's folder, not a link or a pipe (on which ``rmtree`` hangs)."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


class DataFolder:
    """The folder of one local AWS. If it isn't cogauth's own, it is left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.record_file = self.path / "local.json"
        self.tmp = self.path / "tmp"
        self.known = KnownData()

    def is_there(self) -> bool:
        """Return whether it exists. Raises ``LocalAwsError`` if it is not cogauth's own."""
        if not os.path.lexists(self.path):
            return False
        why = ""
        if not is_own_folder(self.path):
            why = "it is a link, a file, or another user's"
        else:
            try:
                inside = [(each.name, each.lstat().st_size) for each in self.path.iterdir()]
                if not set(inside) - {(MARKER, 0)}:
                    self._mark()  # A start was killed before it could do so.
                if read_own(self.path / MARKER) != MARKED:
                    why = f"its {MARKER} is not what cogauth writes"
            except (OSError, CogauthError):
                why = f"it has no {MARKER} file of this user's, which marks cogauth's own folders"
        if why:
            raise LocalAwsError(
                f"{self.path} is not the folder of cogauth's local AWS: {why}. It was left "
                "unchanged.",
                hint="Move it away, or choose another place with --state FILE.",
            )
        return True

    def make(self) -> None:
        """Create the folder if needed, and let nobody else in."""
        if not self.is_there():
            make_folder(self.path)
            self._mark()
        self.path.chmod(0o700)

    def _mark(self) -> None:
        with os.fdopen(open_own(self.path / MARKER, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(MARKED)

    def read(self) -> ServerRecord | None:
        """Return the record, if any. Raises ``LocalAwsError`` if it is damaged."""
        try:
            return ServerRecord(**json.loads(read_own(self.record_file)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError) as error:
            raise LocalAwsError(
                f"{self.record_file} is damaged, or from an earlier cogauth.",
                hint=f"Delete it {self._and_start_over}",
            ) from error

    def write(self, record: ServerRecord) -> None:
        """Write the record to disk."""
        write_private(self.record_file, asdict(record))

    def trusted(self, record: ServerRecord, is_served: Callable[[], bool]) -> ServerRecord | None:
        """Return the record if its data are this user's, None if unknown; raise if they aren't."""
        made_in = self.known.made_in(record.data_id)
        # If a process of this user's serves them, that is proof too.
        if made_in == self.path.resolve() or is_served():
            return record
        if made_in is not None:
            raise LocalAwsError(
                f"The local AWS's data in {self.path} were created in {made_in}, and are only "
                "served from there: they contain code that would run, and anyone who knows their "
                "id could have put other data here.",
                hint=(
                    f"If you moved the folder, move it back. Otherwise delete {self.record_file} "
                    f"{self._and_start_over}"
                ),
            )
        if self.known.obstacle() is not None:
            # They may be this user's, but nothing could be recorded. Start with empty data.
            self.record_file.unlink()
            return None
        raise LocalAwsError(
            f"The local AWS's data in {self.path} were not created by this user on this machine. "
            "They contain code that would run, so they are not served.",
            hint=(
                f"Find out where they come from, and delete {self.record_file} "
                f"{self._and_start_over}"
            ),
        )

    @property
    def _and_start_over(self) -> str:
        return (
            f"and the state files in {self.path.parent} whose stacks are on the local AWS; "
            "'cogauth up --local' then deletes the data and creates a new stack."
        )

    def data(self, record: ServerRecord) -> Path:
        """Return the folder of a record's data."""
        return self.path / f"data-{record.data_id}"

    def saved(self, record: ServerRecord) -> int:
        """Return when the data were last saved, in nanoseconds; 0 if never."""
        return max((f.stat().st_mtime_ns for f in self.data(record).glob("*.json")), default=0)

    def pid_files(self) -> Iterator[Path]:
        """Return the pid files of servers."""
        return self.tmp.glob("ministack-*.pid")

    def delete_data(self, *, but: ServerRecord | None = None) -> None:
        """Delete and forget all data, except those of one record."""
        kept = self.data(but) if but else None
        for data in self.path.glob("data-*"):
            data_id = data.name.removeprefix("data-")
            # Only cogauth creates such names.
            if data != kept and DATA_ID.fullmatch(data_id) and is_own_folder(data):
                shutil.rmtree(data, ignore_errors=but is None)
                self.known.drop(data_id, self.path)
