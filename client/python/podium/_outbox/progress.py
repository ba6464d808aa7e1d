"""The progress of a stream's delivery, in a file that the sender writes and the recorder reads.

The server knows the last event that it has stored, so the file is only a cache and is not synced.
If it is unreadable, the sender sends all events again, and the server skips those that it has.
"""

import os
from pathlib import Path
from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

from podium._outbox.files import open_new

__all__ = ["Progress", "note_progress", "read_progress"]

_FILE = "delivered"
_NUMBERS = Struct("<QQ")
_CHECK = Struct("<I")


class Progress(NamedTuple):
    """The progress of a stream's delivery."""

    delivered: int
    """The sequence number of the last event that was delivered or rejected, or 0 for none."""
    rejected: int
    """The number of rejected events, without those that `podium outbox` delivered or discarded."""


def read_progress(folder: Path) -> Progress:
    """Returns the progress of a stream. Both numbers are 0 if its file is missing or damaged."""
    try:
        content = (folder / _FILE).read_bytes()
        numbers, check = content[: _NUMBERS.size], _CHECK.unpack_from(content, _NUMBERS.size)[0]
    except (OSError, error):
        return Progress(0, 0)
    return Progress(*_NUMBERS.unpack(numbers)) if crc32(numbers) == check else Progress(0, 0)


def note_progress(folder: Path, progress: Progress) -> None:
    """Writes the progress of a stream's delivery."""
    numbers = _NUMBERS.pack(*progress)
    path = folder / _FILE
    try:
        descriptor = open_new(path, os.O_WRONLY)
    except FileExistsError:
        descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, numbers + _CHECK.pack(crc32(numbers)), 0)
    finally:
        os.close(descriptor)
