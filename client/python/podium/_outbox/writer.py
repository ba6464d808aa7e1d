"""Appends the events of one process to a stream."""

import os
import shutil
from collections import deque
from dataclasses import replace
from pathlib import Path
from threading import Lock as ThreadLock
from threading import RLock, get_ident
from typing import NamedTuple

from podium._outbox.budget import Budget
from podium._outbox.errors import OutboxFullError
from podium._outbox.files import make_folder, open_new, sync_file
from podium._outbox.folders import StreamInfo
from podium._outbox.locks import Lock
from podium._outbox.progress import Progress, note_progress, read_progress
from podium._outbox.records import FREE, HEADER, header_of, room_for, seed_of
from podium._outbox.segments import Segment, segment_path

__all__ = ["CLOSED_FILE", "LOCK_FILE", "SEGMENT_BYTES", "StreamWriter"]

SEGMENT_BYTES = 1 << 20
LOCK_FILE = "lock"
CLOSED_FILE = "closed"
"""The name of the file that exists once the writer has closed the stream."""


class _Place(NamedTuple):
    """The place of the next record.

    A writer replaces its place in one step, so an exception cannot leave an invalid place.
    """

    segment: Segment
    seed: int
    offset: int
    sequence: int
    """The sequence number of the last record before this place."""

    def behind(self, length: int) -> "_Place":
        """Returns the place after a record with a payload of `length` bytes."""
        end = self.offset + room_for(length)
        return _Place(self.segment, self.seed, end, self.sequence + 1)


class StreamWriter:
    """Makes a stream and appends events to it. Any thread may call `append`, which is quick.

    The methods `prepare`, `sync`, `progress`, `close` and `release` may wait for the disk. Only one
    background thread may call them.
    """

    def __init__(self, folder: Path, info: StreamInfo, budget: Budget, segment_bytes: int) -> None:
        """Initializes the writer only. Call `create`, which also makes the stream's files."""
        self.info = info
        self.folder = folder
        self._lock = Lock(folder / LOCK_FILE)
        self._budget = budget
        self._segment_bytes = segment_bytes
        self._appending = RLock()
        self._busy_thread = 0
        self._wanted = 0
        self._upkeep = ThreadLock()
        self._spares: deque[Segment] = deque()
        self._open: dict[int, Segment] = {}
        self._sizes: dict[int, int] = {}
        self._made = 0
        self._synced = 0
        self._synced_names = 0
        self._closed = False

    @classmethod
    def create(
        cls,
        outbox: Path,
        info: StreamInfo,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        budget: Budget | None = None,
    ) -> "StreamWriter":
        """Begins a stream in an outbox, for this process.

        Args:
            outbox: The folder that `outbox_folder` made.
            info: Describes the stream. The `writer_id` must be new; see `new_writer_id`.
            segment_bytes: The bytes of a segment. A larger record gets a larger segment.
            budget: The limit that the streams of a recorder share; 1 GiB if not given.

        Raises:
            OutboxFullError: The budget has no room for another stream.
            OSError: The folder cannot be made, or the disk is full. No folder is left behind.
        """
        hidden = outbox / f".{info.writer_id}"
        writer = cls(hidden, info, budget or Budget(), segment_bytes)
        make_folder(hidden)
        try:
            writer._begin(outbox / info.writer_id)
        except BaseException:
            writer.abandon()
            writer._budget.give_back(sum(writer._sizes.values()))
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        return writer

    def _begin(self, folder: Path) -> None:
        """Writes the stream's files in the hidden folder, then gives the folder its final name."""
        self._lock.try_acquire()
        inode = (self.folder / LOCK_FILE).stat().st_ino
        self.info = replace(self.info, lock_inode=inode)
        self.info.write(self.folder)
        # Later progress overwrites this file, so that it needs no room on a full disk.
        note_progress(self.folder, Progress(0, 0))
        self._place = self._beginning(self._make(self._segment_bytes), 0)
        self.folder.rename(folder)
        self.folder = folder

    def _beginning(self, segment: Segment, sequence: int) -> "_Place":
        return _Place(segment, seed_of(self.info.writer_id, segment.number), 0, sequence)

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record, or 0 if there is none."""
        return self._place.sequence

    @property
    def needs_room(self) -> bool:
        """Whether `prepare` should be called soon, to make the next segment.

        This property is quick to compute, so threads can check it after each `append`.
        """
        place = self._place
        return self._wanted > 0 or (not self._spares and place.offset * 4 >= place.segment.size)

    @property
    def is_interrupted(self) -> bool:
        """Whether this thread is already inside of `append`.

        This is the case in a signal handler that interrupted `append`.
        """
        return self._busy_thread == get_ident()

    def append(self, payload: bytes) -> int:
        """Appends an event, and returns its sequence number.

        When this method returns, the event survives the end of the process.

        Raises:
            OutboxFullError: There is no room now. `prepare` may make room.
            ValueError: The stream is closed, or the event is larger than the limit of the budget.
        """
        with self._appending:
            if self._busy_thread:
                # A signal handler or a finalizer that logs has interrupted `append`.
                raise OutboxFullError("this thread is already appending a record")
            self._busy_thread = get_ident()
            try:
                return self._append(payload)
            finally:
                self._busy_thread = 0

    def _append(self, payload: bytes) -> int:
        if self._closed:
            raise ValueError("the stream is closed")
        size = room_for(len(payload))
        place = self._free_place(size)
        sequence = place.sequence + 1
        header = header_of(sequence, payload, place.seed)
        content, begin = place.segment.bytes, place.offset + HEADER
        end = begin + len(payload)
        content[begin:end] = payload
        content[place.offset : begin] = header
        self._place = _Place(place.segment, place.seed, place.offset + size, sequence)
        return sequence

    def _free_place(self, size: int) -> "_Place":
        place = self._place
        begun = place.segment.bytes[place.offset : place.offset + HEADER]
        if begun not in FREE:
            # An exception, such as that of Ctrl-C, came between writing a record and counting it.
            self._place = place = place.behind(int.from_bytes(begun[:4], "little"))
        if place.offset + size > place.segment.size:
            self._place = place = self._turn(size)
        return place

    def _turn(self, size: int) -> "_Place":
        """Moves to the next spare segment that has room for a record, and returns its start.

        Spare segments that are too small are skipped and never used.
        """
        while self._spares:
            spare = self._spares.popleft()
            if size <= spare.size:
                return self._beginning(spare, self._place.sequence)
        self._budget.check(size)
        self._wanted = size
        raise OutboxFullError("the next segment of the outbox is not ready")

    def prepare(self) -> None:
        """Makes the next segment if one is needed soon. Frees the budget of deleted segments.

        Raises:
            OutboxFullError: The undelivered events take as many bytes as the limit allows.
            OSError: The disk has no room, or a user deleted the stream.
        """
        with self._upkeep:
            self._give_back()
            if self._closed or not self.needs_room:
                return
            # A delivered stream may exceed the limit: the sender deletes its last segment only when
            # the next one has begun.
            delivered = self.progress().delivered >= self.last_sequence
            size = max(self._segment_bytes, self._wanted)
            self._spares.append(self._make(size, beyond=delivered))
            self._wanted = 0

    def _make(self, size: int, *, beyond: bool = False) -> Segment:
        self._budget.take(size, beyond=beyond)
        try:
            segment = Segment(self.folder, self._made + 1, size)
        except BaseException:
            self._budget.give_back(size)
            raise
        self._made = segment.number
        self._open[segment.number] = segment
        self._sizes[segment.number] = size
        return segment

    def _give_back(self) -> None:
        """Returns the bytes of deleted segments to the budget.

        The sender deletes a segment after its delivery.
        """
        for number in list(self._sizes):
            if not segment_path(self.folder, number).exists():
                self._budget.give_back(self._sizes.pop(number))

    def sync(self) -> int:
        """Syncs the stream to disk. Returns the sequence number of the last event that is synced.

        Raises:
            OSError: The disk fails, or a user deleted the stream.
        """
        with self._upkeep:
            if not self._closed:
                self._sync()
            return self._synced

    def _sync(self) -> None:
        self._lock.assure()
        place, made = self._place, self._made
        if place.sequence == self._synced:
            return
        left = [self._open[number] for number in self._open if number < place.segment.number]
        for segment in left:
            segment.sync(segment.size)
        place.segment.sync(place.offset)
        self._sync_names(made)
        for segment in left:
            del self._open[segment.number]
            segment.close()
        self._synced = place.sequence

    def _sync_names(self, made: int) -> None:
        if not self._synced_names:
            self.info.sync(self.folder)
            sync_file(self.folder.parent)
        if made > self._synced_names:
            sync_file(self.folder)
        self._synced_names = made

    def progress(self) -> Progress:
        """Returns the progress of the stream's delivery."""
        return read_progress(self.folder)

    def close(self) -> None:
        """Ends the stream: syncs it, and frees the unused bytes of its segments.

        The sender keeps the folder until all events are delivered, and `release` was called or the
        process has ended.

        Raises:
            OSError: The disk fails. The stream is closed anyway.
        """
        with self._upkeep:
            with self._appending:
                if self._closed:
                    return
                self._closed = True
            try:
                self._sync()
            finally:
                self._close_segments()
                os.close(open_new(self.folder / CLOSED_FILE))

    def _close_segments(self) -> None:
        last, used = self._place.segment.number, self._place.offset
        for segment in self._open.values():
            segment.close(used if segment.number == last else None)
        self._open.clear()

    def release(self) -> None:
        """Closes the stream, and allows the sender to remove it after its delivery.

        When the sender has removed the stream, `progress` returns zeros.
        """
        self.close()
        self._lock.release()

    def abandon(self) -> None:
        """Closes the files of the stream without changing them."""
        self._closed = True
        self._appending, self._upkeep, self._busy_thread = RLock(), ThreadLock(), 0
        for segment in self._open.values():
            segment.forget()
        self._open.clear()
        self._lock.release()
