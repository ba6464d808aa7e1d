"""Chooses the stream for an event, so that the events of one arm are delivered in their order.

In a process, each arm has one open stream, which all attempts and recorders of the arm share. After
a stream has ended, the next events of its arm go to a new stream. The sender delivers the new
stream after the ended one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import RLock

from podium._recorder.process_outbox import ProcessOutbox
from podium._recorder.settings import Settings, Subject
from podium._recorder.stream import Stream, StreamEndedError

__all__ = ["StreamOrder", "stream_order"]


@dataclass
class _Line:
    """The streams of one arm, or of the experiment itself. New events go to the last one."""

    last: Stream | None = None
    is_begun: bool = False
    """Whether this process has started the arm.

    Events that it logs before may have to wait in the outbox until another process starts the arm.
    """
    starts: set[str | bytes] = field(default_factory=set)
    """The tokens (`Subject.token`) of the subjects whose opening event this process has logged."""
    newest: Subject | None = None
    """The newest attempt that this process has started.

    The `stream.json` of each new stream names this attempt, so that the sender can order the
    streams of several processes.
    """


class StreamOrder:
    """Keeps the order of the events that one process logs for one experiment."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._lines: dict[str | None, _Line] = {}
        self._last_begun: Stream | None = None

    def start(self, subject: Subject, outbox: ProcessOutbox) -> Stream:
        """Logs the opening event of a subject, and returns the stream that it was logged to."""
        with self._lock:
            line = self._lines.setdefault(subject.arm, _Line())
            return self._start(line, subject, subject.opening or b"", outbox)

    def stream_of(self, subject: Subject, outbox: ProcessOutbox) -> Stream:
        """Returns the stream for the next event of a subject.

        A process that has not logged the opening event yet, such as a fork, logs it first.
        """
        with self._lock:
            line = self._lines.setdefault(subject.arm, _Line())
            if subject.opening is not None and subject.token not in line.starts:
                return self._start(line, subject, subject.opening, outbox)
            return self._current(line, subject, outbox)

    def record_whole(
        self, subject: Subject, whole_arm: Sequence[bytes], outbox: ProcessOutbox, size: int
    ) -> Stream:
        """Logs the events of an arm that `record_arm` records. Returns their stream.

        No other events are in this stream. So the sender knows which rows to reject if the server
        rejects the arm.
        """
        with self._lock:
            line = self._lines.setdefault(subject.arm, _Line())
            is_first = _begin(line, subject)
            return self._open(line, subject, outbox, size, is_first=is_first, whole_arm=whole_arm)

    def _start(
        self, line: _Line, subject: Subject, opening: bytes, outbox: ProcessOutbox
    ) -> Stream:
        is_first = _begin(line, subject)
        while True:
            stream = self._current(line, subject, outbox, is_first=is_first)
            is_first = False
            try:
                stream.put(opening, needed=True)
            except StreamEndedError:
                continue
            if subject.token is not None:
                stream.replay = opening
                line.starts.add(subject.token)
            return stream

    def _current(
        self, line: _Line, subject: Subject, outbox: ProcessOutbox, *, is_first: bool = False
    ) -> Stream:
        last = line.last
        if last is not None and not last.has_ended and outbox.has(last):
            return last
        return self._open(line, subject, outbox, 0, is_first=is_first)

    def _open(
        self,
        line: _Line,
        subject: Subject,
        outbox: ProcessOutbox,
        size: int,
        *,
        is_first: bool,
        whole_arm: Sequence[bytes] = (),
    ) -> Stream:
        last, follows = line.last, None
        if line.is_begun and last is not None:
            last.end_soon()
            follows = None if is_first else last
        starts_after = self._last_begun if is_first else None
        line.last = stream = outbox.open(
            line.newest or subject,
            size,
            follows=follows,
            starts_after=starts_after,
            whole_arm=whole_arm,
        )
        if is_first:
            self._last_begun = stream
        return stream


def _begin(line: _Line, subject: Subject) -> bool:
    """Sets `is_begun` and `newest` of a line, because this process starts or records its arm.

    Returns whether this is the first time.
    """
    is_first = not line.is_begun
    if is_first and line.last is not None:
        line.last.end_soon()
    line.is_begun = True
    if line.newest is None or (subject.attempt_order or 0) >= (line.newest.attempt_order or 0):
        line.newest = subject._replace(opening=None)
    return is_first


_orders: dict[tuple[int, str, str, str], StreamOrder] = {}


def stream_order(settings: Settings) -> StreamOrder:
    """Returns the StreamOrder of an experiment, which all its recorders in this process share."""
    key = (os.getpid(), str(settings.root), settings.address, settings.experiment)
    return _orders.get(key) or _orders.setdefault(key, StreamOrder())
