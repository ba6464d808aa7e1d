"""The streams that one process writes to an outbox, their upkeep thread, and the sender's start."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from podium._outbox import (
    Budget,
    StreamInfo,
    StreamWriter,
    new_writer_id,
    outbox_folder,
    temporary_root,
)
from podium._recorder.counts import Counters, Flushed
from podium._recorder.disk_errors import is_lasting
from podium._recorder.launch_sender import SenderStarter, is_delivering, unreachable, waits
from podium._recorder.other_recorders import warn_of_other_recorders
from podium._recorder.rejections import pass_on_notices, warn_of_rejected
from podium._recorder.settings import Settings, Subject
from podium._recorder.stream import MEMORY_BYTES, Stream
from podium._recorder.upkeep import Upkeep
from podium._recorder.warnings import RecorderWarnings
from podium.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ProcessOutbox"]

_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.02
_WAKE_SECONDS = 1.0
_SLOW_SECONDS = 30.0
"""The seconds that a strict recorder waits for a slow disk before it raises an error."""
_DISK_SECONDS = 5.0
"""The most seconds to wait for a sync, and for the end of the upkeep thread."""
_FIRST_PROGRESS_SECONDS, _PROGRESS_SECONDS = 5.0, 20.0
"""The seconds without progress after which `close` stops waiting for delivery.

The first number applies from the start of a sender until its first progress, the second otherwise.
"""
_ARM_SEGMENT = 1 << 20
_SMALL_SEGMENT = 1 << 17
_MOST_WATCHED = 64
"""The most ended streams whose delivery is watched. Each watched stream keeps a file open."""
_DISK_ERRORS = "disk errors of the outbox"


class ProcessOutbox:
    """The streams of one process for one experiment, and their upkeep and delivery.

    A forked child does not use or close the object of its parent.
    """

    def __init__(self, settings: Settings, notices: RecorderWarnings, *, is_child: bool) -> None:
        self.pid = os.getpid()
        self._is_child = is_child
        self.folder: Path | None = None
        self.trouble: OSError | None = None
        self._settings = settings
        self._notices = notices
        self._root = settings.root
        self._budget = Budget(settings.max_bytes)
        self._streams: list[Stream] = []
        self._past = Counters()
        self._sender = SenderStarter(notices)
        self._next_look = self._next_wake = 0.0
        self._needs_sender = False
        self._last_streams: tuple[Stream, ...] = ()
        self._named_as_waiting: set[str] = set()
        self._upkeep = Upkeep(self._work, notices.say_unforeseen)
        self._upkeep.start()

    # ---- For the threads that train ----------------------------------------------------------

    def open(
        self,
        subject: Subject,
        size: int = 0,
        *,
        follows: Stream | None = None,
        starts_after: Stream | None = None,
        whole_arm: Sequence[bytes] = (),
    ) -> Stream:
        """Begins a stream for an arm or the experiment itself.

        The stream is delivered after all events of `follows` and the first event of `starts_after`.
        Its first segment has `size` bytes, or a default size if `size` is 0. `whole_arm` has all
        events of an arm that `record_arm` records.

        Raises:
            RecordingError: The recorder is strict, and the stream's file cannot be made.
        """
        small = subject.arm is None or self._is_child
        segment_bytes = size or (_SMALL_SEGMENT if small else _ARM_SEGMENT)
        stream = Stream(
            partial(self._begin, subject, segment_bytes),
            self._upkeep.wake,
            self._notices,
            follows=follows,
            starts_after=starts_after,
            whole_arm=whole_arm,
        )
        self._streams.append(stream)
        self._upkeep.wake()
        stream.wait_for_room()
        if self._settings.is_strict and not self._has_begun(stream):
            self._streams.remove(stream)
            stream.release()
            raise RecordingError(
                f"the outbox cannot be written to: {self.trouble or 'its disk hangs'}"
            )
        return stream

    def has(self, stream: Stream) -> bool:
        """Returns whether a stream belongs to this outbox and this process."""
        return stream.pid == os.getpid() and stream in self._streams

    def _has_begun(self, stream: Stream) -> bool:
        """Waits until a stream has its file. Returns False if the disk fails or is too slow."""
        deadline = time.monotonic() + _SLOW_SECONDS
        while stream.folder is None and self.trouble is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return stream.folder is not None

    def end(self, stream: Stream) -> None:
        """Ends a stream and syncs it to disk, unless the disk hangs."""
        self._upkeep.call(partial(self._end_all, [stream]), _DISK_SECONDS)

    def flush(self, streams: Sequence[Stream] | None, timeout: float) -> Flushed:
        """Waits at most `timeout` seconds until the given streams are delivered.

        Returns the counts of their events. If `streams` is None, waits for all streams.
        """
        chosen = tuple(self._streams if streams is None else streams)
        targets = [(stream, stream.last) for stream in chosen]
        deadline = time.monotonic() + timeout
        synced = bool(self._upkeep.call(partial(self._sync, chosen), timeout))
        pending = self._pending(targets, timeout)
        while pending and time.monotonic() < deadline and not self._settings.is_offline:
            self._wake_sender(targets, timeout)
            time.sleep(_POLL_SECONDS)
            pending = self._pending(targets, timeout)
        counts = self.counters(streams)
        return Flushed(counts.delivered, pending, counts.rejected, counts.dropped, synced)

    def counters(self, streams: Sequence[Stream] | None = None) -> Counters:
        """Returns the counts of the events of the given streams. None stands for all streams."""
        if streams is not None:
            return sum((stream.counters for stream in streams), Counters())
        return sum((stream.counters for stream in tuple(self._streams)), self._past)

    def close(self, timeout: float) -> Counters:
        """Ends all streams, and waits at most `timeout` seconds for their delivery.

        Returns the counts of all events.
        """
        streams = tuple(self._streams)
        self._upkeep.call(partial(self._end_all, streams), _DISK_SECONDS)
        self._upkeep.call(self._look_around, _DISK_SECONDS)
        self._next_wake = 0.0
        targets = [(stream, stream.last) for stream in streams]
        self._wake_sender(targets, _DISK_SECONDS)
        self._wait_for_delivery(targets, timeout)
        counters = self._final(streams)
        self._upkeep.call(partial(self._release_all, streams), _DISK_SECONDS)
        self._upkeep.stop(_DISK_SECONDS)
        self._sender.wait()
        self._last_streams = streams
        self._streams.clear()
        return counters

    def _wait_for_delivery(self, targets: Sequence[tuple[Stream, int]], timeout: float) -> None:
        begin = progressed = time.monotonic()
        # A sender may start slowly on a busy machine, and one call may take long over a slow link.
        patience, has_sender = _PROGRESS_SECONDS, False
        least = pending = self._pending(targets, _DISK_SECONDS)
        while pending:
            now = time.monotonic()
            if pending < least:
                least, progressed, patience, has_sender = pending, now, _PROGRESS_SECONDS, True
            elif not has_sender and self.folder is not None and is_delivering(self.folder):
                progressed, patience, has_sender = now, _FIRST_PROGRESS_SECONDS, True
            if now - begin > timeout or now - progressed > patience:
                return
            if self._is_safe([stream for stream, _ in targets]):
                return
            time.sleep(_POLL_SECONDS)
            pending = self._pending(targets, _DISK_SECONDS)

    def _is_safe(self, streams: Sequence[Stream]) -> bool:
        """Returns whether all events are on disk and none can be delivered now.

        In this case, waiting longer is useless.
        """
        if any(stream.in_memory for stream in streams):
            return False
        pending = [stream for stream in streams if stream.counters.pending]
        return self.unreachable() is not None or len(self._waits(pending)) == len(pending)

    def _final(self, streams: Sequence[Stream]) -> Counters:
        """Returns the final counts of events. Events that are only in memory count as dropped."""
        lost = sum(stream.in_memory for stream in streams)
        counters = self.counters()
        return replace(counters, pending=counters.pending - lost, dropped=counters.dropped + lost)

    def unreachable(self) -> str | None:
        """Returns why nothing can be delivered now, or None if no reason is known."""
        if self._settings.is_offline:
            return "this process records offline"
        return None if self.folder is None else unreachable(self.folder)

    def why_pending(self) -> str:
        """Returns why events are pending."""
        waiting = self._waits(self._last_streams)
        throttled = None if self.folder is None else unreachable(self.folder, or_throttled=True)
        why = self.unreachable() or throttled or "; ".join(waiting.values())
        return why or "delivery is in progress"

    def _pending(self, targets: Sequence[tuple[Stream, int]], timeout: float) -> int:
        self._upkeep.call(partial(self._look_at, [stream for stream, _ in targets]), timeout)
        return sum(stream.pending_of(target) for stream, target in targets)

    def _wake_sender(self, targets: Sequence[tuple[Stream, int]], timeout: float) -> None:
        """Asks the sender, at most once a second, to deliver the pending streams soon."""
        if time.monotonic() >= self._next_wake and not self._settings.is_offline:
            self._next_wake = time.monotonic() + _WAKE_SECONDS
            waiting = [stream for stream, target in targets if stream.pending_of(target)]
            self._upkeep.call(partial(_wake_all, waiting), timeout)

    # ---- For the upkeep thread ---------------------------------------------------------------

    def _begin(self, subject: Subject, segment_bytes: int, stream: Stream) -> StreamWriter:
        info = StreamInfo(
            experiment=self._settings.experiment,
            arm=subject.arm,
            writer_id=new_writer_id(),
            attempt_id=subject.attempt_id,
            attempt_order=subject.attempt_order,
            pid=self.pid,
            host=os.uname().nodename,
            create_time=time.time(),
            follows=_name_of(stream.follows),
            starts_after=_name_of(stream.starts_after),
            is_main=self._settings.is_main and not self._is_child,
            is_whole_arm=stream.is_whole_arm,
        )
        self._needs_sender = True
        try:
            return self._create(info, segment_bytes)
        except (OSError, ValueError) as error:
            if self._settings.is_strict or not self._falls_back(error):
                raise
        return self._create(info, segment_bytes)

    def _create(self, info: StreamInfo, segment_bytes: int) -> StreamWriter:
        self.folder = outbox_folder(self._root, self._settings.address)
        writer = StreamWriter.create(
            self.folder, info, segment_bytes=segment_bytes, budget=self._budget
        )
        if not self._is_child:
            warn_of_other_recorders(self.folder, info, self._notices)
        return writer

    def _falls_back(self, error: Exception) -> bool:
        """If an error is lasting, uses the temporary folder for all further streams.

        Returns whether the folder has changed.
        """
        if not is_lasting(error):
            return False
        fallback = temporary_root()
        if fallback == self._root:
            return False
        self._notices.say(
            "moves of the outbox to the temporary folder",
            f"the outbox {self._root} cannot be used ({error}): results are written to {fallback}, "
            "which may be deleted when this machine restarts; if some are not "
            f"delivered at the end of this process, run `podium sync {fallback}`",
        )
        self._root = fallback
        return True

    def _work(self) -> None:
        for stream in tuple(self._streams):
            self._keep_up(stream)
        if self._needs_sender:
            # This is done at once, because this process may be killed before the next check.
            self._needs_sender = False
            self._start_sender()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._look_around()

    def _keep_up(self, stream: Stream) -> None:
        try:
            stream.upkeep()
        except OSError as error:
            if self.trouble is None:
                self._tell_trouble(error)
            self.trouble = error
        else:
            self.trouble = None

    def _tell_trouble(self, error: OSError) -> None:
        self._notices.say(
            "lack of room in the outbox",
            f"the outbox in {self.folder or self._root} has no room now ({error}): up "
            f"to {MEMORY_BYTES >> 20} MiB of events wait in memory, and training continues",
        )

    def _look_around(self) -> None:
        streams = tuple(self._streams)
        self._look_at(streams)
        self._sync(streams)
        self._retire(streams)
        self._start_sender()
        self._warn_of_waiting(streams)

    def _start_sender(self) -> None:
        if self.folder is not None and not self._settings.is_offline:
            self._sender.assure(self.folder)

    def _sync(self, streams: Sequence[Stream]) -> bool:
        """Syncs every stream, even if the sync of another fails. Returns whether all succeeded."""
        return False not in [self._is_synced(stream) for stream in streams]

    def _is_synced(self, stream: Stream) -> bool:
        try:
            return stream.sync()
        except OSError as error:
            self._notices.say(_DISK_ERRORS, f"the disk of the outbox has an error: {error}")
            return False

    def _look_at(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            known = stream.counters
            stream.look()
            if stream.folder is None:
                continue
            if stream.counters.rejected > known.rejected:
                warn_of_rejected(stream, stream.folder, self._notices)
            if stream.counters.delivered > known.delivered:
                pass_on_notices(stream, stream.folder, self._notices)

    def _warn_of_waiting(self, streams: Sequence[Stream]) -> None:
        """Logs, once for each waiting stream, why its events wait."""
        for name, why in self._waits(streams).items():
            if name not in self._named_as_waiting:
                self._named_as_waiting.add(name)
                text = f"results wait in the outbox: {why}"
                self._notices.say(text, text)

    def _waits(self, streams: Sequence[Stream]) -> dict[str, str]:
        """Returns the reasons why pending streams wait for an experiment or arm, by writer_id."""
        pending = {_name_of(stream) for stream in streams if stream.counters.pending}
        return waits(self.folder, pending) if self.folder and pending else {}

    def _retire(self, streams: Sequence[Stream]) -> None:
        """Releases ended streams that are delivered, and the oldest of more than 64 other ones."""
        ended = [stream for stream in streams if stream.has_ended]
        # A released stream would drop events that are only in memory.
        for stream in [each for each in ended if each.is_over][:-_MOST_WATCHED]:
            self._release(stream)
        for stream in ended:
            if not stream.counters.pending:
                self._release(stream)
                self._past += stream.counters
                self._streams.remove(stream)

    def _end_all(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            stream.has_ended = True
            self._keep_up(stream)
        self._retire(tuple(self._streams))

    def _release_all(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            self._release(stream)

    def _release(self, stream: Stream) -> None:
        try:
            stream.release()
        except OSError as error:
            self._notices.say(_DISK_ERRORS, f"the disk of the outbox has an error: {error}")


def _name_of(stream: Stream | None) -> str | None:
    folder = None if stream is None else stream.folder
    return None if folder is None else folder.name


def _wake_all(streams: Sequence[Stream]) -> None:
    for stream in streams:
        stream.wake_sender()
