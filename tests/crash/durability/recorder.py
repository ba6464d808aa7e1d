"""SQLite's files, with everything that is done to them written down.

`recording(journal)` makes a VFS the default one for as long as its block lasts, so that the
store runs as it is. Nothing is really synced: that is what makes a thousand openings fast.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from tests.crash.durability.disk import (
    Create,
    Delete,
    Disk,
    FailedSync,
    Journal,
    Sync,
    Truncate,
    Write,
)

__all__ = ["Faults", "file_name", "recording", "without_syncs"]

_BASE = "unix"
_SYNCS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
"""Files whose first sync syncs their folder too: `unixOpen` of SQLite's os_unix.c."""


def file_name(name: str | apsw.URIFilename | None) -> str | None:
    """Returns the last part of a file's path; None for a temporary file."""
    if name is None:
        return None
    return Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name


@dataclass
class Faults:
    """The next fault of a recorded file, once: a write finds no room, or a sync fails."""

    write: bool = False
    sync: bool = False


class _File(apsw.VFSFile):
    """A file that is never synced."""

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Does nothing."""


class _RecordedFile(_File):
    """A file that records the operations on it."""

    def __init__(
        self,
        name: str | apsw.URIFilename,
        flags: list[int],
        number: int,
        journal: Journal,
        faults: Faults,
    ) -> None:
        self._number = number
        self._faults = faults
        self._journal = journal
        self._syncs_folder = bool(flags[0] & _SYNCS_FOLDER)
        super().__init__(_BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Writes bytes, or only some of them if there is no room."""
        if self._faults.write:
            data = data[: len(data) // 2]
        self._journal.append(Write(self._number, offset, bytes(data)))
        super().xWrite(data, offset)
        if self._faults.write:
            self._faults.write = False
            raise apsw.FullError("no room")

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Gives the file a size."""
        self._journal.append(Truncate(self._number, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's name
        """Notes that everything is durable, or that it failed."""
        if self._faults.sync:
            self._faults.sync = False
            self._journal.append(FailedSync(self._number))
            raise apsw.IOError("the disk failed")
        self._journal.append(Sync(self._number, self._syncs_folder))
        self._syncs_folder = False


class _QuietVfs(apsw.VFS):
    """Files that are never synced."""

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Opens a file."""
        return _File(_BASE, name, flags)


class _RecordingVfs(apsw.VFS):
    """Files of one folder that record the operations on them."""

    def __init__(self, name: str, journal: Journal, faults: Faults) -> None:
        disk = Disk()
        for entry in journal:
            disk.follow(entry)
        self._names = disk.names
        self._numbers = sum(isinstance(entry, Create) for entry in journal)
        self._journal = journal
        self._faults = faults
        super().__init__(name, _BASE, makedefault=True)

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Opens a file; a new one gets its name."""
        short = file_name(name)
        if name is None or short is None:
            return _File(_BASE, name, flags)
        if short not in self._names:
            self._names[short] = self._numbers
            self._numbers += 1
            self._journal.append(Create(short, self._names[short]))
        return _RecordedFile(name, flags, self._names[short], self._journal, self._faults)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        """Deletes a file."""
        short = file_name(filename)
        if short in self._names:
            del self._names[short]
            self._journal.append(Delete(short, syncdir))
        super().xDelete(filename, syncdir)


@contextmanager
def recording(journal: Journal) -> Iterator[Faults]:
    """Has every file that is opened inside write down what is done to it.

    A journal that was begun goes on: names and files are those that it left. What the block
    is given makes things go wrong.
    """
    faults = Faults()
    vfs = _RecordingVfs("podium-recording", journal, faults)
    try:
        yield faults
    finally:
        vfs.unregister()


@contextmanager
def without_syncs() -> Iterator[None]:
    """Has no file that is opened inside be synced."""
    vfs = _QuietVfs("podium-quiet", _BASE, makedefault=True)
    try:
        yield
    finally:
        vfs.unregister()
