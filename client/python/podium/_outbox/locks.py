"""File locks that end with the process that holds them, even if it is killed.

These are POSIX record locks. A forked child does not inherit them, so the lock of a training
process ends with this process, even if its workers still run. But a process that opens and closes
the file of its own lock loses the lock. So this package never opens the file of a lock that its
process holds.
"""

import fcntl
import os
import struct
import sys
import time
from pathlib import Path

from podium._outbox.files import open_new

__all__ = ["Lock", "SenderLock"]

_SENDER_LOCK = "sender.lock"
_TRIES = 20
_TRY_SECONDS = 0.01
_TAKEN = (BlockingIOError, PermissionError)
"""The errors with which operating systems report that another process has the lock."""

_FLOCK = struct.Struct("hhqqi0q" if sys.platform == "linux" else "qqihh")
"""The C structure `struct flock` of the operating system."""
_HOLDER = 4 if sys.platform == "linux" else 2
"""The index of the field of `struct flock` that has the pid of the lock's holder."""

_held: dict[tuple[int, int], int] = {}
"""The locks that this process holds: its pid by the device and inode of the lock's file.

A forked child inherits this dict, but not the locks. It sees that the pid is not its own.
"""


class Lock:
    """A lock on a file, held by at most one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def try_acquire(self) -> bool:
        """Takes the lock until `release` or the end of the process.

        Returns False if the lock is held already, by this or another process.

        Raises:
            OSError: The file cannot be opened, or its file system has no locks.
        """
        descriptor = self._open_unless_ours()
        if descriptor is None:
            return False
        # The entry is made before the lock is taken, so that no other thread opens and closes the
        # file meanwhile.
        _held[_identity(os.fstat(descriptor))] = os.getpid()
        self._descriptor = descriptor
        if _lock(descriptor):
            return True
        self.release()
        return False

    def _open_unless_ours(self) -> int | None:
        try:
            descriptor = open_new(self._path)
        except FileExistsError:
            if self._is_ours():
                return None
            descriptor = os.open(self._path, os.O_RDWR)
        return descriptor

    def assure(self) -> bool:
        """Takes the lock again in case it was lost. Returns False if another process has it now."""
        return _lock(self._descriptor)

    def release(self) -> None:
        """Releases the lock, if it is held."""
        if self._descriptor < 0:
            return
        _held.pop(_identity(os.fstat(self._descriptor)), None)
        os.close(self._descriptor)
        self._descriptor = -1

    def is_held(self) -> bool:
        """Returns whether any process holds the lock, including this one."""
        try:
            if self._is_ours():
                return True
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except _TAKEN:
            return True
        finally:
            os.close(descriptor)
        return False

    def is_held_by(self, pid: int) -> bool:
        """Returns whether another process, the one with the given pid, holds the lock."""
        try:
            if self._is_ours():
                return False
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_GETLK, _holder_query())
        finally:
            os.close(descriptor)
        holder: int = _FLOCK.unpack(found)[_HOLDER]
        return holder == pid

    def _is_ours(self) -> bool:
        return _held.get(_identity(self._path.stat())) == os.getpid()


class SenderLock(Lock):
    """The lock of an outbox. Only the process that holds the lock may deliver the outbox."""

    def __init__(self, outbox: Path) -> None:
        super().__init__(outbox / _SENDER_LOCK)


def _lock(descriptor: int) -> bool:
    """Locks a file. Returns False if another process has locked it.

    Retries briefly, because `is_held`, called by another process, takes the lock for a moment.
    """
    for _ in range(_TRIES):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except _TAKEN:
            time.sleep(_TRY_SECONDS)
        except OSError as error:
            text = f"the outbox cannot lock files ({error}): set PODIUM_OUTBOX to a local folder"
            raise OSError(error.errno, text) from None
        else:
            return True
    return False


def _holder_query() -> bytes:
    """Returns the `struct flock` with which F_GETLK asks who has locked any part of a file."""
    kind, whence = fcntl.F_WRLCK, os.SEEK_SET
    order = (kind, whence, 0, 0, 0) if sys.platform == "linux" else (0, 0, 0, kind, whence)
    return _FLOCK.pack(*order)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
