"""Protects the file of a store: only one server may use it, and no other program may change it.

Other programs can remove, replace, truncate or overwrite the file while a server runs. SQLite does
not notice that. It would then write to a deleted file, or mix its pages with those of another file.
`StoreFile.check` notices such a change, so that no further call is acknowledged.
"""

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import NamedTuple

import apsw

from podium_server.store.contract import StoreError

__all__ = ["HEADER_BYTES", "FileDamagedError", "StoreFile", "check_kind"]

_CHECKPOINT_PAGES = 4_000
HEADER_BYTES, _LOG_HEADER_BYTES = 100, 32


class FileDamagedError(Exception):
    """Another program changed the file of the store. The message names the change."""


def check_kind(path: Path) -> None:
    """Raises an error if a path exists but is not a file. Opening a pipe would block."""
    if path.exists() and not path.is_file():
        raise StoreError(f"cannot open {path}: it is not a file")


class _State(NamedTuple):
    """The properties of a file by which changes are noticed."""

    identity: tuple[int, int]
    """The file's device and inode, which are the same under every name of the file."""
    size: int
    modified: int


class StoreFile:
    """The file of an open store, its write-ahead log, and the index of the log.

    While the store is open, only `committed` writes to the file itself. If the file's size or
    modification time changes at another time, another program has changed it.

    Raises:
        StoreError: The file cannot be opened, or another server uses it under any name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.checkpoint_pages = _CHECKPOINT_PAGES
        # `check` runs before and after each commit. With a Path, `stat` would take longer.
        self._name = str(self.path)
        self._beside: dict[str, _State] = {}
        self._log_pages = 0
        self._created: list[Path] = []
        self._is_discarded = True
        with contextlib.ExitStack() as stack:
            self._lock_name(stack)
            # This is called while the path is still locked.
            stack.callback(self._remove_created)
            _refuse_log_without_file(self.path)
            self._lock_file(stack)
            self._stack = stack.pop_all()
        self._is_discarded = False

    def _lock_name(self, stack: contextlib.ExitStack) -> None:
        """Locks FILE.lock, so that no other server can use another file at this path."""
        lock = self._open(_beside(self.path, ".lock"))
        stack.callback(os.close, lock)
        _lock(lock, self.path)

    def _lock_file(self, stack: contextlib.ExitStack) -> None:
        """Locks the file itself, because it can have several names."""
        self._file = self._open(self.path)
        stack.callback(os.close, self._file)
        if sys.platform == "linux":
            _lock(self._file, self.path)
        elif os.fstat(self._file).st_nlink > 1:
            # On other systems such a lock would lock SQLite out, too.
            raise StoreError(f"{self.path} has several names (hard links); remove the others")

    def _open(self, path: Path) -> int:
        """Opens a file. Only this user can read a new file and its log."""
        try:
            check_kind(path)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            with contextlib.suppress(FileExistsError):
                file = os.open(path, flags | os.O_EXCL, 0o600)
                self._created.append(path)
                return file
            return os.open(path, flags, 0o600)
        except OSError as error:
            folder = self.path.parent
            why = error.strerror if folder.is_dir() else f"there is no folder {folder}"
            raise StoreError(f"cannot open {self.path}: {why}") from error

    def header(self) -> bytes:
        """Returns the header of the file.

        Reads from the descriptor that is open, because closing another descriptor of the file would
        release SQLite's locks.
        """
        return os.pread(self._file, HEADER_BYTES, 0)

    def watch(self, connection: apsw.Connection) -> None:
        """Stores the state of the files that the writing connection has opened, for `check`."""
        connection.set_wal_hook(self._note_log)
        self._beside = {str(log): _state(log) for log in map(self._log, ("-wal", "-shm"))}
        self._state = _state(self._file)

    def _log(self, ending: str) -> Path:
        return _beside(self.path, ending)

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def check(self) -> None:
        """Raises FileDamagedError if another program has changed the files."""
        for path, before in self._beside.items():
            now = _same_file(path, before)
            if now.size < before.size:
                raise FileDamagedError(f"{path} was truncated while the server ran")
            self._beside[path] = now
        now = _same_file(self._name, self._state)
        if now != self._state:
            how = "truncated" if now.size < self._state.size else "overwritten"
            raise FileDamagedError(f"{self.path} was {how} while the server ran")

    def committed(self, connection: apsw.Connection) -> None:
        """Checks the files after a commit. If the log is long, merges it into the file."""
        self.check()
        if self._log_pages < self.checkpoint_pages:
            return
        # If the disk is full, or a reader is active, the next checkpoint copies the rest.
        with contextlib.suppress(apsw.FullError, apsw.BusyError, apsw.IOError):
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._state = _state(self._file)

    def discard(self) -> None:
        """Makes `close` remove the files that this object has created."""
        self._is_discarded = True

    def close(self) -> None:
        """Unlocks the file. All connections to it must have been closed before."""
        self._stack.close()

    def _remove_created(self) -> None:
        if self._is_discarded:
            logs = map(self._log, ("-wal", "-shm")) if self.path in self._created else ()
            for path in (*self._created, *logs):
                path.unlink(missing_ok=True)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(
            f"another server uses {path}; stop it, connect to it, or choose another file"
        ) from error


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _refuse_log_without_file(path: Path) -> None:
    """Raises an error if a log with commits has no file, because SQLite would delete the log."""
    log = _beside(path, "-wal")
    is_empty = not (path.exists() and path.stat().st_size)
    if is_empty and log.exists() and log.stat().st_size > _LOG_HEADER_BYTES:
        raise StoreError(
            f"{path} is missing or empty, but its log {log.name} is not: the file was removed or "
            "truncated while a server ran; restore a backup, or remove the log to start without "
            "any results"
        )


def _state(file: str | Path | int) -> _State:
    found = os.stat(file)  # noqa: PTH116 - also for descriptors
    return _State((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def _same_file(path: str, before: _State) -> _State:
    """Returns the state of a path. Raises an error if it is not the same file as before."""
    try:
        now = _state(path)
    except OSError as error:
        text = f"{path} was removed while the server ran ({error.strerror})"
        raise FileDamagedError(text) from error
    if now.identity != before.identity:
        raise FileDamagedError(f"{path} was replaced while the server ran")
    return now
