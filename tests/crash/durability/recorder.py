"""Records all operations on SQLite's files.

`recording(journal)` makes a recording VFS the default one inside its block, so the store runs
unchanged. Files are never really synced. That makes thousands of openings fast.
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
"""The kinds of files whose first sync syncs the folder too: `unixOpen` in SQLite's os_unix.c."""


def file_name(name: str | apsw.URIFilename | None) -> str | None:
    """Returns the last part of a file's path, or None for a temporary file."""
    if name is None:
        return None
    return Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name


@dataclass
class Faults:
    """The next fault, which happens once: a write finds no room, or a sync fails."""

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
        """Writes bytes. If a fault is set, writes half of them and raises an error."""
        if self._faults.write:
            data = data[: len(data) // 2]
        self._journal.append(Write(self._number, offset, bytes(data)))
        super().xWrite(data, offset)
        if self._faults.write:
            self._faults.write = False
            raise apsw.FullError("no room")

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Sets the size of the file."""
        self._journal.append(Truncate(self._number, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's name
        """Records a sync, or a failed one if a fault is set."""
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
        """Opens a file. Records the name of a new file."""
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
    """Records the operations on every file that is opened inside the block.

    Continues the journal if it has entries. Yields an object with which the block causes faults.
    """
    faults = Faults()
    vfs = _RecordingVfs("podium-recording", journal, faults)
    try:
        yield faults
    finally:
        vfs.unregister()


@contextmanager
def without_syncs() -> Iterator[None]:
    """Opens files inside the block so that they are never synced."""
    vfs = _QuietVfs("podium-quiet", _BASE, makedefault=True)
    try:
        yield
    finally:
        vfs.unregister()
