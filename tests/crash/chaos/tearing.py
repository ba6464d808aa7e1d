"""A recorder that writes slowly, and headers first: kills leave torn records behind.

The real one writes the header last, in one store, so that no kill ever hits the middle. A power
cut may, and another implementation of the format could.
"""

import time

from podium._outbox import StreamWriter
from podium._outbox.records import HEADER, header_of, room_for

__all__ = ["tear"]

_PAUSE_SECONDS = 0.004
_SLOW_ONE_IN = 8


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
    content[middle:end] = payload[middle - begin :]
    self._place = place.behind(len(payload))
    return sequence


def tear() -> None:
    """Has this process write so."""
    StreamWriter._append = _append  # type: ignore[method-assign]
