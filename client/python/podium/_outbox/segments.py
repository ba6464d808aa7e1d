"""The segments of a stream: files that contain its records one after the other.

Before the first record, a segment is filled with zeros, so that the disk has room for all its
bytes. The file is mapped into memory, so writing a record only copies bytes. This needs no system
call and cannot fail because of a full disk. The record survives the end of the process.
"""

import errno
import fcntl
import mmap
import os
from pathlib import Path
from struct import Struct
from typing import Protocol

from podium._outbox.errors import OutboxFullError
from podium._outbox.files import open_new
from podium._outbox.records import FREE, HEADER

__all__ = ["Memory", "Segment", "segment_numbers", "segment_path"]

_SUFFIX = ".segment"
_FLAGS = Struct("l")
_GET_FLAGS, _SET_FLAGS, _NO_COPY_ON_WRITE = 0x80086601, 0x40086602, 0x00800000
"""Constants of Linux: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOCOW_FL."""
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
_fdatasync = getattr(os, "fdatasync", os.fsync)


def segment_path(folder: Path, number: int) -> Path:
    """Returns the path of a segment."""
    return folder / f"{number:08}{_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """Returns the numbers of the segments of a stream, in order."""
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name.endswith(_SUFFIX))
        return sorted(int(stem) for name in names if (stem := name.removesuffix(_SUFFIX)).isdigit())


class Segment:
    """A segment that this process writes."""

    def __init__(self, folder: Path, number: int, size: int) -> None:
        """Creates the file, and reserves all its bytes on the disk.

        Raises:
            OSError: The disk has no room, or the file cannot be created. No file is left behind.
        """
        self.number = number
        self._failed = False
        self.size = size
        self.path = segment_path(folder, number)
        temporary = self.path.with_name(f".{self.path.name}")
        temporary.unlink(missing_ok=True)
        self._descriptor = open_new(temporary)
        try:
            self.bytes: Memory = _memory(self._descriptor, size)
            temporary.rename(self.path)
        except BaseException:
            os.close(self._descriptor)
            temporary.unlink(missing_ok=True)
            raise

    def is_empty(self) -> bool:
        """Returns whether the segment has no records."""
        return self.bytes[0:HEADER] in FREE

    def sync(self, used: int) -> None:
        """Syncs the first `used` bytes, so that they survive a power cut.

        Raises:
            OSError: The disk reports an error, so a power cut may lose the bytes.
        """
        if self._failed:
            # After a failed sync, the kernel writes pages again only if they are changed again.
            self.bytes[0:used] = self.bytes[0:used]
        self._failed = True
        _fdatasync(self._descriptor)
        self._failed = False

    def close(self, used: int | None = None) -> None:
        """Closes the file, and shortens it to `used` bytes, if given.

        Deletes the file if it has no records.
        """
        empty = self.is_empty()
        self.bytes.close()
        if used is not None:
            os.ftruncate(self._descriptor, used)
        os.close(self._descriptor)
        if empty:
            self.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Closes the file without changing it."""
        self.bytes.close()
        os.close(self._descriptor)


class Memory(Protocol):
    """Access to the bytes of a segment, by slices. An `mmap.mmap` is one implementation."""

    def __getitem__(self, place: slice) -> bytes: ...
    def __setitem__(self, place: slice, content: bytes) -> None: ...
    def close(self) -> None: ...


class _Calls:
    """Access to the bytes of a segment on btrfs: by system calls, not by mapped memory.

    On a full btrfs, writing to mapped memory hangs, or ends the process with SIGBUS. System calls
    do neither if the file is overwritten in place (see `_keep_in_place`).
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __getitem__(self, place: slice) -> bytes:
        begin = place.start or 0
        return os.pread(self._descriptor, place.stop - begin, begin)

    def __setitem__(self, place: slice, content: bytes) -> None:
        try:
            written = os.pwrite(self._descriptor, content, place.start or 0)
        except OSError as error:
            raise OutboxFullError(error.errno, error.strerror) from None
        if written < len(content):
            raise OutboxFullError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Does nothing, because the descriptor belongs to the segment."""


def _memory(descriptor: int, size: int) -> Memory:
    """Reserves the bytes of a new file on the disk. Returns access to these bytes."""
    keeps_in_place = _keep_in_place(descriptor)
    _fill(descriptor, size)
    return _Calls(descriptor) if keeps_in_place else _map(descriptor, size)


def _keep_in_place(descriptor: int) -> bool:
    """Makes btrfs overwrite the file in place, so that writing needs no new room on the disk.

    Returns False on other file systems.
    """
    flags = bytearray(_FLAGS.size)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        kept = _FLAGS.unpack(flags)[0] | _NO_COPY_ON_WRITE
        fcntl.ioctl(descriptor, _SET_FLAGS, _FLAGS.pack(kept))
    except OSError:
        return False
    return True


def _map(descriptor: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | _POPULATE)
    except OSError as error:
        text = f"the outbox cannot map files ({error}): set PODIUM_OUTBOX to a local folder"
        raise OSError(error.errno, text) from None


def _fill(descriptor: int, size: int) -> None:
    """Reserves the bytes of a file on the disk by writing zeros."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
    written = 0
    while written < size:
        written += os.pwrite(descriptor, bytes(min(size - written, 1 << 20)), written)
