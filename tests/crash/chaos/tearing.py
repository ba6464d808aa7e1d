"""Makes a recorder write in a way in which a kill can tear a record.

It writes the header of a record first, and then the payload slowly. The real recorder writes the
header last, in one write to memory, so a kill cannot tear a record. A power cut can, and so can
another implementation of the format.
"""

import signal
import time
from pathlib import Path

from podium._outbox import StreamWriter
from podium._outbox.records import HEADER, header_of, room_for

__all__ = ["ASKED", "REACHED", "tear"]

ASKED, REACHED = "tear-asked", "tear-reached"
"""Two files in the folder of the run.

The first asks the writer to stop within a record. The writer creates the second when it has stopped
there.
"""

_PAUSE_SECONDS = 0.004
_SLOW_ONE_IN = 8
_SMALL_BYTES = 1_000
_folder = Path()


def _append(self: StreamWriter, payload: bytes) -> int:
    if self._closed:
        raise ValueError("the stream is closed")
    place = self._free_place(room_for(len(payload)))
    sequence = place.sequence + 1
    content, begin = place.segment.bytes, place.offset + HEADER
    middle, end = begin + len(payload) // 2, begin + len(payload)
    content[place.offset : begin] = header_of(sequence, payload, place.seed)
    content[begin:middle] = payload[: middle - begin]
    if sequence % _SLOW_ONE_IN == 0:
        time.sleep(_PAUSE_SECONDS)
    if len(payload) < _SMALL_BYTES and (_folder / ASKED).exists():
        (_folder / REACHED).touch()
        signal.pause()
    content[middle:end] = payload[middle - begin :]
    self._place = place.behind(len(payload))
    return sequence


def tear(folder: Path) -> None:
    """Makes this process write slowly. `folder` is for the files `ASKED` and `REACHED`."""
    global _folder  # noqa: PLW0603 - one of the process
    _folder = folder
    StreamWriter._append = _append  # type: ignore[method-assign]
