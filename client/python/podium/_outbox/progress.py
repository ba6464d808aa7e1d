"""How far a stream is delivered, as its sender notes it for the recorder.

A cache, since the server's own position decides: it is not synced, and what cannot be read is 0.
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
    """How far a stream is delivered."""

    delivered: int
    """The last sequence that the server has, or that was rejected; 0: none."""
    rejected: int
    """How many events were rejected and wait for `podium outbox retry`."""


def read_progress(folder: Path) -> Progress:
    """Returns the last noted progress; zeros if there is none."""
    try:
        content = (folder / _FILE).read_bytes()
        numbers, check = content[: _NUMBERS.size], _CHECK.unpack_from(content, _NUMBERS.size)[0]
    except (OSError, error):
        return Progress(0, 0)
    return Progress(*_NUMBERS.unpack(numbers)) if crc32(numbers) == check else Progress(0, 0)


def note_progress(folder: Path, progress: Progress) -> None:
    """Notes how far a stream is delivered."""
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
