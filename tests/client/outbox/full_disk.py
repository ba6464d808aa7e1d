"""Tests a stream on a full disk. Run it on a file system of its own, which it fills.

python -m tests.client.outbox.full_disk FOLDER
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

from podium._outbox import OutboxFullError, StreamReader, StreamWriter

from tests.client.outbox.places import all_of, info, new_outbox

__all__ = ["main"]

_SEGMENT = 64 * 1024


def _fill(path: Path) -> None:
    """Writes to a file until the disk is full."""
    with path.open("wb", buffering=0) as file, _no_room():
        while True:
            file.write(b"x" * 4096)


@contextmanager
def _no_room() -> Iterator[None]:
    """Raises an AssertionError unless the block fails because the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    else:
        raise AssertionError("there was room")


def _append_all(writer: StreamWriter) -> int:
    """Appends records until there is no room. Returns the sequence of the last one."""
    while True:
        try:
            sequence = writer.append(b"x" * 1_000)
        except OutboxFullError:
            return writer.last_sequence
        assert sequence == writer.last_sequence


def main(folder: Path) -> None:
    """Fills the disk, checks that all appended records can be read, makes room and appends more."""
    outbox, filler = new_outbox(folder), folder / "filler"
    writer = StreamWriter.create(outbox, info(), segment_bytes=_SEGMENT)
    writer.append(b"x" * (_SEGMENT // 2))
    writer.prepare()
    _fill(filler)
    reader = StreamReader(writer.folder)
    last = _append_all(writer)
    assert last > _SEGMENT // 1_024, "every byte of a prepared segment can be written"
    with _no_room():
        writer.prepare()
    assert not list(writer.folder.glob(".*")), "nothing is left of a segment without room"
    with _no_room():
        StreamWriter.create(outbox, info())
    assert [path.name for path in outbox.iterdir() if path.is_dir()] == [writer.folder.name]
    assert writer.sync() == len(all_of(reader)) == last
    if isinstance(writer._place.segment.bytes, mmap):
        # Not on btrfs, where even overwriting the file of the progress needs room.
        reader.note_delivered(1)
        assert writer.progress().delivered == 1, "progress needs no room"
    filler.unlink()
    writer.prepare()
    assert writer.append(b"more") == last + 1
    _fill(filler)
    writer.release()
    assert reader.read(last) == [(last + 1, b"more")]
    sys.stdout.write("went on\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
