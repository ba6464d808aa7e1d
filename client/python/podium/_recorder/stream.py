"""A stream: the events that this process records for one arm, or for the experiment itself.

The thread that logs an event copies it into a mapped file, and the upkeep thread does all disk
work. While the outbox has no room or its disk hangs, events wait in memory, in order. If too many
events wait, new ones are dropped and counted.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock

from podium._outbox import OutboxFullError, Progress, StreamWriter, wake_sender
from podium._recorder.counts import Counters
from podium._recorder.warnings import RecorderWarnings
from podium.errors import RecordingError

__all__ = ["MEMORY_BYTES", "Stream", "StreamEndedError"]

MEMORY_BYTES = 16 << 20
"""The most bytes of one stream's events that wait in memory."""
_ROOM_SECONDS = 1.0
"""The seconds that `put` waits for room before the disk counts as slow."""
_POLL_SECONDS = 0.001


class StreamEndedError(Exception):
    """The stream has ended. Further events go to another stream."""


class Stream:
    """A stream that this process writes.

    Args:
        begin: A function that creates the stream's file. The upkeep thread calls it.
        wake: A function that wakes the upkeep thread.
        notices: Logs warnings.
        follows: The previous stream of the same arm, or None. The file of this stream is made after
            that stream has ended.
        starts_after: A stream whose file must be made before that of this stream, or None.
        whole_arm: All events of an arm that `record_arm` records. If given, the stream takes no
            other events. Even a signal handler cannot add one between them.

    Attributes:
        is_whole_arm: Whether the stream has only the events of `whole_arm`.
        replay: The event to write first into a new folder if a user deletes the stream's folder.
    """

    def __init__(
        self,
        begin: "Callable[[Stream], StreamWriter]",
        wake: Callable[[], None],
        notices: RecorderWarnings,
        *,
        follows: "Stream | None" = None,
        starts_after: "Stream | None" = None,
        whole_arm: Sequence[bytes] = (),
    ) -> None:
        self.pid = os.getpid()
        self.is_whole_arm = self.has_ended = bool(whole_arm)
        self.is_rejected = False
        """Whether the server rejected the attempt's start, or has a newer attempt of the arm."""
        self.last_warned = 0
        """The sequence number of the last rejected event about which a warning was logged."""
        self.notices_read = 0
        """The number of the sender's notices about this stream that were logged."""
        self.replay: bytes | None = None
        self.follows = follows
        self.starts_after = starts_after
        self._begin = begin
        self._opening: bytes | None = None
        self._wake = wake
        self._notices = notices
        self._writer: StreamWriter | None = None
        self._waiting = deque(whole_arm)
        self._memory = sum(map(len, whole_arm))
        self._keeping = RLock()
        self._is_slow = False
        self._is_closed = False
        self._is_released = False
        self._dropped = 0
        self._progress = Progress(0, 0)
        self._marks: deque[tuple[int, float]] = deque()

    # ---- For the threads that train ----------------------------------------------------------

    def put(self, payload: bytes, *, needed: bool = False) -> None:
        """Appends an event. When this method returns, the event survives the end of the process.

        If the outbox has no room or its disk hangs, the event waits in memory instead.

        Args:
            payload: The serialized event.
            needed: Whether to keep the event in memory even if too many other events wait there.

        Raises:
            StreamEndedError: The stream has ended.
            RecordingError: The event was dropped, because there was no room for it or it is too
                large.
        """
        writer = self._writer
        if writer is None or self._waiting or not self._append(writer, payload):
            self._keep(payload, needed=needed)
            self.wait_for_room()
        elif writer.needs_room:
            self._wake()

    def _append(self, writer: StreamWriter, payload: bytes) -> bool:
        try:
            writer.append(payload)
        except OutboxFullError:
            return False
        except ValueError as error:
            if self._is_closed:
                raise StreamEndedError from None
            if writer is not self._writer:
                return False  # a user has just deleted the folder
            self._dropped += 1
            raise RecordingError(f"an event was dropped: {error}") from None
        return True

    def _keep(self, payload: bytes, *, needed: bool) -> None:
        size = len(payload)
        with self._keeping:
            if self._is_closed:
                raise StreamEndedError
            if self._memory + size > MEMORY_BYTES and not needed:
                self._drop()
            # This statement calls no function: during a call, a signal handler could change the old
            # sum.
            self._memory += size
            self._waiting.append(payload)
        self._wake()

    def _drop(self) -> None:
        self._dropped += 1
        raise RecordingError(
            "an event was dropped: the disk of the outbox has no room, and the memory for "
            f"waiting events is full ({MEMORY_BYTES >> 20} MiB); free space on the disk"
        )

    def end_soon(self) -> None:
        """Ends the stream after the events that wait in memory are written to it."""
        self.has_ended = True
        self._wake()

    def wait_for_room(self) -> None:
        """Waits until all events are in the file, for at most one second.

        After that second the disk counts as slow. Until it is quick again, this method returns at
        once. It also returns at once in a signal handler that has interrupted
        `StreamWriter.append`.
        """
        if self._writer is not None and self._writer.is_interrupted:
            # A signal handler is logging. The interrupted `append` cannot go on while this waits.
            return
        deadline = time.monotonic() + _ROOM_SECONDS
        while (self._writer is None or self._waiting) and not self._is_slow:
            if time.monotonic() > deadline:
                self._is_slow = True
                self._notices.say("delays by a slow disk", _SLOW)
            time.sleep(_POLL_SECONDS)

    # ---- For the upkeep thread ---------------------------------------------------------------

    def upkeep(self) -> None:
        """Makes room in the outbox, and writes the events that wait in memory to the file.

        Then closes the file if the stream has ended.
        """
        if self._is_released or not self._may_begin():
            return
        try:
            writer = self._open()
            writer.prepare()
            self._move(writer)
            if self._may_close():
                writer.close()
        except OSError:
            self._is_slow = True
            raise
        self._is_slow = False

    def _may_close(self) -> bool:
        with self._keeping:
            self._is_closed = self.has_ended and not self._waiting
            return self._is_closed

    def _may_begin(self) -> bool:
        """Returns whether the file of this stream may be created now.

        All events of `follows` must be on disk, and `starts_after` must have a file. The new file
        names both streams, so that the sender keeps the order.
        """
        follows, starts_after = self.follows, self.starts_after
        return (follows is None or follows.is_over) and (
            starts_after is None or starts_after.is_over or starts_after.folder is not None
        )

    def _open(self) -> StreamWriter:
        if self._writer is None:
            writer = self._begin(self)
            # Otherwise each stream would keep all earlier streams of its arm in memory.
            self.follows = self.starts_after = None
            if self._opening is not None:
                writer.append(self._opening)
                self._opening = None
            self._writer = writer
        return self._writer

    def _move(self, writer: StreamWriter) -> None:
        while self._waiting:
            # An event leaves the memory only when it is in the file, so that `put` keeps the order.
            if self._is_settled(writer, self._waiting[0]):
                self._forget_first()
            else:
                writer.prepare()

    def _is_settled(self, writer: StreamWriter, payload: bytes) -> bool:
        """Returns whether an event is in the file, or can never be written."""
        try:
            return self._append(writer, payload)
        except RecordingError as error:
            self._notices.say("events too large", str(error))
            return True

    def _forget_first(self) -> None:
        with self._keeping:
            self._memory -= len(self._waiting.popleft())

    def sync(self) -> bool:
        """Syncs the file. Returns whether all events of the stream survive a power cut."""
        writer = self._writer
        if writer is None:
            return False
        logged = writer.last_sequence
        return writer.sync() >= logged and not self._waiting

    def look(self) -> None:
        """Reads from the outbox how many events of the stream are delivered.

        If a user has deleted the stream's folder, continues in a new one.
        """
        writer = self._writer
        if writer is None:
            return
        progress = writer.progress()
        if not writer.folder.exists():
            if not self._is_released:
                self._begin_again(writer)
                return
            # The sender deletes a released stream after its delivery, so all events are delivered.
            progress = Progress(writer.last_sequence, 0)
        self._progress = progress
        self._mark(progress)

    def wake_sender(self) -> None:
        """Asks the sender to retry this stream soon, because a process waits for its delivery."""
        if self._writer is not None:
            wake_sender(self._writer.folder)

    def _begin_again(self, writer: StreamWriter) -> None:
        """Continues the stream in a new folder, because a user has deleted the old one."""
        lost = writer.last_sequence - self._progress.delivered
        self._dropped += lost
        self._notices.say(
            "deleted folders of the outbox",
            f"the folder {writer.folder} was deleted, and {lost} undelivered "
            "events in it are lost; recording continues in a new folder",
        )
        self._writer, self._opening = None, self.replay
        writer.abandon()
        self._progress = Progress(0, 0)
        self._marks.clear()

    def _mark(self, progress: Progress) -> None:
        """Remembers when the newest event was first seen.

        Forgets this time once the event is delivered.
        """
        now, last = time.monotonic(), self.last
        if last > (self._marks[-1][0] if self._marks else progress.delivered):
            self._marks.append((last, now))
        while self._marks and self._marks[0][0] <= progress.delivered:
            self._marks.popleft()

    def release(self) -> None:
        """Allows the sender to delete the stream after its delivery."""
        was_released, self._is_released = self._is_released, True
        if self._writer is not None and not was_released:
            self._writer.release()

    # ---- For all threads ---------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The sequence number of the last event, including events that are only in memory."""
        written = 0 if self._writer is None else self._writer.last_sequence
        return written + self.in_memory

    def pending_of(self, sequence: int) -> int:
        """Returns how many events up to a sequence number were undelivered at the last `look`."""
        return max(0, sequence - self._progress.delivered)

    @property
    def is_over(self) -> bool:
        """Whether the stream takes no more events and all of its events are on disk."""
        return self._is_closed or self._is_released

    @property
    def folder(self) -> Path | None:
        """The folder of the stream, or None if it is not made yet."""
        return None if self._writer is None else self._writer.folder

    @property
    def in_memory(self) -> int:
        """The number of events that are only in memory."""
        return len(self._waiting) + (self._opening is not None)

    @property
    def counters(self) -> Counters:
        """The counts of the stream's events at the last call of `look`."""
        delivered, rejected = self._progress
        pending = self.pending_of(self.last)
        lag = time.monotonic() - self._marks[0][1] if pending and self._marks else 0.0
        return Counters(pending, max(0, delivered - rejected), rejected, self._dropped, lag)


_SLOW = (
    "the disk of the outbox is slow or hangs: training continues, and "
    "events wait in memory; they are lost if the process is killed now"
)
