"""The bytes of a segment: records one after the other, and zeros after the last.

    length of the payload   4 bytes        little-endian, as all numbers
    CRC-32                  4 bytes        of length, sequence and payload; see `seed_of`
    sequence                8 bytes        the sequence number of the event, from 1
    payload                 length bytes   and zeros up to the next multiple of 16

The first three fields are the header. It is written after the payload, so an unfinished record has
a header of zeros. Headers begin at multiples of 16, so no header lies across two pages of memory.
Therefore a copy that is made while a record is written has the whole header or none of it.
"""

import re
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "FREE",
    "HEADER",
    "Record",
    "find",
    "header_of",
    "is_written",
    "room_for",
    "seed_of",
    "walk",
]

HEADER = 16
"""The size of a header in bytes."""
FREE = frozenset({bytes(HEADER), b""})
"""The possible contents of a place without a header: zeros, or nothing at the segment's end."""

_GRID = 16
_CRC_PIECE = 4096
"""The size in bytes of the pieces in which larger payloads are passed to zlib.

For more than 5 KiB, zlib releases the GIL. It may then wait 5 ms to get the GIL back while another
thread is busy.
"""
_WRITTEN = re.compile(rb"[^\0]")
_NUMBERS = Struct("<IQ")
_HEADER = Struct("<IIQ")


class Record(NamedTuple):
    """A record that was read, with the offsets of its begin and its end in the segment."""

    sequence: int
    payload: bytes
    begin: int
    end: int


def seed_of(writer_id: str, number: int) -> int:
    """Returns the initial value of the CRCs of a segment's records.

    The value differs between segments, so bytes of another segment are not taken for a record.
    """
    return crc32(f"{writer_id}/{number}".encode())


def room_for(length: int) -> int:
    """Returns the size of a record in bytes, given the number of bytes of its payload."""
    return (HEADER + length + _GRID - 1) & -_GRID


def header_of(sequence: int, payload: bytes, seed: int) -> bytes:
    """Returns the header of a record."""
    length = len(payload)
    return _HEADER.pack(length, _check(length, sequence, payload, seed), sequence)


def _check(length: int, sequence: int, payload: bytes, seed: int) -> int:
    seed = crc32(_NUMBERS.pack(length, sequence), seed)
    if length <= _CRC_PIECE:
        return crc32(payload, seed)
    view = memoryview(payload)
    for begin in range(0, length, _CRC_PIECE):
        seed = crc32(view[begin : begin + _CRC_PIECE], seed)
    return seed


def walk(data: bytes, seed: int, begin: int = 0, *, final: bool = False) -> Iterator[Record]:
    """Yields the records of a segment, up to the first place without a header.

    Args:
        data: The bytes of the segment.
        seed: The seed of the segment; see `seed_of`.
        begin: The offset of the first record.
        final: Whether nothing more is written to the segment. If so, damaged records are skipped.
            Otherwise a damaged record may be one that is being written, and ends the iteration.
    """
    while True:
        record = _at(data, begin, seed)
        if record is None and final and is_written(data, begin):
            record = find(data, seed, begin + _GRID)
        if record is None:
            return
        yield record
        begin = record.end


def is_written(data: bytes, begin: int) -> bool:
    """Returns whether there is a header at an offset, intact or damaged."""
    return bool(data[begin : begin + HEADER].strip(b"\0"))


def find(data: bytes, seed: int, begin: int) -> Record | None:
    """Returns the first intact record at or after an offset, or None if there is none."""
    while begin < len(data):
        record = _at(data, begin, seed)
        if record is not None:
            return record
        written = _WRITTEN.search(data, begin + _GRID)
        if written is None:
            return None
        begin = written.start() & -_GRID
    return None


def _at(data: bytes, begin: int, seed: int) -> Record | None:
    if begin + HEADER > len(data):
        return None
    length, check, sequence = _HEADER.unpack_from(data, begin)
    end = begin + HEADER + length
    if not sequence or end > len(data):
        return None
    payload = data[begin + HEADER : end]
    if _check(length, sequence, payload, seed) != check:
        return None
    return Record(sequence, payload, begin, begin + room_for(length))
