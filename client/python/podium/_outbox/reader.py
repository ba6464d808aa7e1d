"""Reads a stream for the sender and `podium outbox`, even while its process writes it."""

import logging
import os
import shutil
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from podium._outbox.folders import StreamInfo
from podium._outbox.locks import Lock
from podium._outbox.notices import append_notice
from podium._outbox.progress import Progress, note_progress, read_progress
from podium._outbox.records import FREE, HEADER, Record, find, is_written, seed_of, walk
from podium._outbox.rejected import (
    RejectedCounter,
    RejectedEvent,
    append_rejected,
    append_retried,
    read_rejected,
)
from podium._outbox.segments import segment_numbers, segment_path
from podium._outbox.writer import CLOSED_FILE, LOCK_FILE

__all__ = ["Entry", "StreamReader"]

_log = logging.getLogger(__name__)

_TORN = ".torn"
_SURE_SECONDS = 3.0
"""How many seconds the lock of an unclosed stream must be free before the stream is removed.

A process that copies its own outbox loses the lock for a moment (see `locks`).
"""


class Entry(NamedTuple):
    """An event of a stream."""

    sequence: int
    payload: bytes


class _Cursor(NamedTuple):
    """A place between two records.

    `sequence` is the sequence number of the record before the place. The next record begins at
    `offset` in the segment with the number `segment`.
    """

    sequence: int
    segment: int
    offset: int


_BEGIN = _Cursor(-1, 0, 0)


class StreamReader:
    """Reads the stream in a folder. Only the sender may call the methods that change files."""

    def __init__(self, folder: Path) -> None:
        """Opens a stream.

        Raises:
            DamagedError: `stream.json` is unreadable or incomplete.
            OSError: The folder has no `stream.json`.
        """
        self.folder = folder
        self.info = StreamInfo.read(folder)
        self._lock = Lock(folder / LOCK_FILE)
        self._cursor = _BEGIN
        self._end = _BEGIN
        self._alone_since: float | None = None
        self._noted = 0
        self._rejected_counter = RejectedCounter(folder)

    def read(
        self, after: int, *, most_events: int = 1_000, most_bytes: int = 1 << 20
    ) -> list[Entry]:
        """Returns the events after the sequence number `after`, in order, up to one of the limits.

        The first event is returned even if it is larger than `most_bytes`. Events that were deleted
        after their delivery, or that are damaged (see `torn`), are left out.
        """
        entries: list[Entry] = []
        size = 0
        for record, behind in self._records(after):
            size += len(record.payload)
            if entries and (size > most_bytes or len(entries) == most_events):
                break
            entries.append(Entry(record.sequence, record.payload))
            self._cursor = behind
        return entries

    def has_more(self, after: int) -> bool:
        """Returns whether there are events after the sequence number `after`.

        Has no effect on later calls of `read`.
        """
        return next(self._records(after), None) is not None

    def remaining(self) -> Iterator[bytes]:
        """Yields the payloads of all events on disk, including delivered ones.

        Has no effect on later calls of `read`.
        """
        return (record.payload for record, _ in self._records(0))

    def is_unread(self) -> bool:
        """Returns whether the stream has content, but neither delivered nor readable events."""
        numbers = segment_numbers(self.folder)
        return not self._delivered() and self._last_begun(numbers) > 0 and not self.has_more(0)

    def is_original(self) -> bool:
        """Returns whether this is the folder in which the stream was created, not a copy."""
        try:
            return (self.folder / LOCK_FILE).stat().st_ino == self.info.lock_inode
        except FileNotFoundError:
            return False

    def last_sequence(self) -> int:
        """Returns the sequence number of the last event, or 0 if there is none."""
        number = self._last_begun(segment_numbers(self.folder))
        base = self._end.offset if self._end.segment == number else 0
        for record in walk(self._bytes(number, base), self._seed(number), final=True):
            self._end = _Cursor(record.sequence, number, base + record.end)
        return max(self._end.sequence, self._delivered())

    def writer_lives(self) -> bool:
        """Returns whether the process that writes the stream runs and has not closed it."""
        return self._lock.is_held() and not self._is_closed()

    def progress(self) -> Progress:
        """Returns the progress of the stream's delivery."""
        return read_progress(self.folder)

    def note_delivered(self, sequence: int) -> None:
        """Stores that all events up to a sequence number are delivered or rejected.

        Raises:
            OSError: The progress could not be written. This reader uses the new value anyway.
        """
        self._noted = sequence
        note_progress(self.folder, Progress(sequence, self._rejected_counter.count()))

    def drop_delivered(self) -> list[Path]:
        """Deletes delivered segments. Renames delivered segments with damaged records to `*.torn`.

        Returns the paths of the renamed segments.
        """
        delivered = self._delivered()
        passed = [n for n in segment_numbers(self.folder) if n < self._cursor.segment]
        spent = [number for number in passed if self._last_of(number) <= delivered]
        return [kept for number in spent if (kept := self._drop(number, delivered))]

    def is_finished(self) -> bool:
        """Returns whether no more events will come and every readable event is delivered.

        No more events come if the writing process has closed the stream and released its lock, or
        has ended at least 3 s ago.
        """
        if self._lock.is_held():
            self._alone_since = None
            return False
        if not self._is_closed() and not self._writer_gone_long_enough():
            return False
        return not self.has_more(self._delivered())

    @property
    def is_settling(self) -> bool:
        """Whether the writing process seems to have ended less than 3 s ago.

        Such a stream is not removed yet.
        """
        return self._alone_since is not None and not self._writer_gone_long_enough()

    def remove(self) -> bool:
        """Deletes a finished stream.

        Returns False if the stream is locked, or is kept because it has rejected or damaged events.
        """
        if not self._lock.try_acquire():
            return False
        try:
            delivered = self._delivered()
            for number in segment_numbers(self.folder):
                self._drop(number, delivered)
            stays = self.torn() or any(not rejected.retried for rejected in self.rejected_events())
            if not stays:
                self._delete()
        finally:
            self._lock.release()
        return not stays

    def discard(self) -> bool:
        """Deletes a stream with all of its events. Returns False if the stream is locked."""
        if not self._lock.try_acquire():
            return False
        try:
            self._delete()
        finally:
            self._lock.release()
        return True

    def torn(self) -> list[Path]:
        """Returns the paths of segments that are kept because they have damaged records."""
        return sorted(self.folder.glob(f"*{_TORN}"))

    def rejected_events(self) -> list[RejectedEvent]:
        """Returns the rejected events in order. Some may have been delivered or discarded since."""
        return read_rejected(self.folder)

    def add_notice(self, text: str) -> None:
        """Stores a message that the recorder of the stream logs as a warning.

        Raises:
            OSError: The message could not be written.
        """
        append_notice(self.folder, text)

    def reject(self, *rejected_events: RejectedEvent) -> None:
        """Stores permanently rejected events and syncs them, so that they survive a power cut."""
        append_rejected(self.folder, rejected_events)

    def mark_retried(self, *sequences: int) -> None:
        """Marks rejected events that `podium outbox` has delivered or discarded."""
        append_retried(self.folder, sequences)
        self.note_delivered(self._delivered())

    def _delete(self) -> None:
        # If this process is killed meanwhile, `sweep` deletes the hidden folder.
        hidden = self.folder.rename(self.folder.with_name(f".{self.folder.name}"))
        shutil.rmtree(hidden)

    def _delivered(self) -> int:
        return max(self._noted, self.progress().delivered)

    def _records(self, after: int) -> Iterator[tuple[Record, _Cursor]]:
        """Yields the records after a sequence number, each with the place of the next record.

        Leaves out damaged records. Ends at a gap: a place at which no record was written, although
        there are later records. Gaps occur after a power cut, and in a copy that was made while the
        stream was written.
        """
        start = self._cursor if self._cursor.sequence == after else _BEGIN
        last, clean = start.sequence, start is not _BEGIN
        numbers, final = self._segments()
        for number in numbers[bisect_left(numbers, start.segment) :]:
            base = start.offset if number == start.segment else 0
            data, end = self._bytes(number, base), 0
            for record in walk(data, self._seed(number), final=number in final):
                if clean and record.begin == end and record.sequence != last + 1:
                    return
                last, end, clean = record.sequence, record.end, True
                if last > after:
                    yield record, _Cursor(last, number, base + end)
            clean = clean and not is_written(data, end)

    def _segments(self) -> tuple[list[int], set[int]]:
        """Returns the numbers of the segments to read, and the numbers of the complete segments.

        While the writing process runs, the segment that it writes to is not complete: a record that
        is being written looks damaged. Later segments are empty and not read.
        """
        lives = self.writer_lives()
        numbers = segment_numbers(self.folder)
        if not lives:
            return numbers, set(numbers)
        begun = self._last_begun(numbers)
        final = {number for number in numbers if number < begun}
        return [number for number in numbers if number <= begun], final

    def _last_begun(self, numbers: list[int]) -> int:
        """Returns the number of the last segment with content, or 0 if there is none."""
        return next((n for n in reversed(numbers) if self._bytes(n, most=HEADER)), 0)

    def _bytes(self, number: int, begin: int = 0, most: int | None = None) -> bytes:
        """Returns at most `most` bytes of a segment, from an offset on.

        Returns b"" if no record begins at the offset.
        """
        try:
            descriptor = os.open(segment_path(self.folder, number), os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            if os.pread(descriptor, HEADER, begin) in FREE:
                return b""
            return os.pread(descriptor, most or os.fstat(descriptor).st_size - begin, begin)
        finally:
            os.close(descriptor)

    def _seed(self, number: int) -> int:
        return seed_of(self.info.writer_id, number)

    def _last_of(self, number: int) -> int:
        records = walk(self._bytes(number), self._seed(number), final=True)
        return max((record.sequence for record in records), default=0)

    def _drop(self, number: int, delivered: int) -> Path | None:
        """Deletes a segment and returns None if all its records are intact and delivered.

        Renames any other segment to `*.torn`, and returns the new path.
        """
        path = segment_path(self.folder, number)
        if self._is_spent(path.read_bytes(), self._seed(number), delivered):
            path.unlink()
            return None
        kept = path.rename(path.with_suffix(_TORN))
        _log.error(
            "%s: this segment is kept, because some of its events could not be read or delivered",
            kept,
        )
        return kept

    @staticmethod
    def _is_spent(data: bytes, seed: int, delivered: int) -> bool:
        """Returns whether all records of a segment are intact and delivered."""
        end = 0
        for record in walk(data, seed, final=True):
            if record.begin != end or record.sequence > delivered:
                return False
            end = record.end
        return not is_written(data, end) and find(data, seed, end) is None

    def _is_closed(self) -> bool:
        return (self.folder / CLOSED_FILE).exists()

    def _writer_gone_long_enough(self) -> bool:
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        return now - self._alone_since >= _SURE_SECONDS
