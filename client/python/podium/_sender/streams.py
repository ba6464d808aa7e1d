"""Tracks the streams of outboxes: which ones exist, have undelivered events, and send next."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from podium._outbox import DamagedError, streams
from podium._sender.missing_end import follows
from podium._sender.stream import Stream

__all__ = ["Streams"]

_log = logging.getLogger(__name__)


class Streams:
    """The streams of some outboxes.

    Args:
        outboxes: The folders of the outboxes.
        is_bounded: Whether to ignore streams and events that are created later.
        defect_seconds: The seconds for which the first event of a stream that makes the server fail
            is retried before it is skipped.

    Attributes:
        known: The existing streams by folder, in the order in which they send next.
        unsent: The streams that have something to send, as the keys of a dict, in the same order.
        damaged: The reasons why streams cannot be read, by folder.
        is_settling: Whether some stream may be removed within seconds. `podium sync` waits for
            this.
    """

    def __init__(
        self, outboxes: Sequence[Path], *, is_bounded: bool, defect_seconds: float
    ) -> None:
        self._outboxes = outboxes
        self._is_bounded = is_bounded
        self._defect_seconds = defect_seconds
        self._settled: set[Path] = set()
        self._open_arms: set[tuple[str, str | None]] | None = None
        self._followed: set[str] | None = None
        self.known: dict[Path, Stream] = {}
        self.unsent: dict[Stream, None] = {}
        self.damaged: dict[Path, str] = {}
        self.is_settling = False

    def look(self, busy: Collection[Path]) -> None:
        """Finds new streams and events, and deletes finished streams.

        `busy` has the folders of the streams that are sending now. These streams stay unchanged.
        """
        found = self._folders()
        for folder in self.known.keys() - set(found) - set(busy):
            self._drop(folder)
        added = [self._added(folder) for folder in found if not self._is_known(folder)]
        self._line_up([stream for stream in added if stream is not None])
        self.is_settling = False
        self._open_arms = self._followed = None
        self.unsent = {
            stream: None
            for folder, stream in self.known.items()
            if folder in busy or self._has_work(stream)
        }

    def note_sent(self, stream: Stream) -> None:
        """Removes a stream from `unsent` if it has no more to send after a call."""
        try:
            has_pending = stream.has_pending
        except (OSError, DamagedError) as error:
            has_pending = stream.cannot_read(error)
        if not has_pending:
            self.unsent.pop(stream, None)

    def move_back(self, stream: Stream) -> None:
        """Moves a stream to the end of the order, so that the other streams send first."""
        self.known[stream.folder] = self.known.pop(stream.folder)
        if stream in self.unsent:
            self.unsent[stream] = self.unsent.pop(stream)

    # ---- which there are ---------------------------------------------------------------------

    def _folders(self) -> list[Path]:
        if self._is_bounded and self.known:
            return list(self.known)
        return [folder for outbox in self._outboxes for folder in self._folders_of(outbox)]

    def _folders_of(self, outbox: Path) -> list[Path]:
        try:
            return streams(outbox)
        except FileNotFoundError:
            # A user has deleted the folder.
            return []
        except OSError as error:
            _log.warning("%s: %s", outbox, error)
            return [folder for folder in self.known if folder.parent == outbox]

    def _is_known(self, folder: Path) -> bool:
        return folder in self.known or folder in self.damaged

    def _added(self, folder: Path) -> Stream | None:
        try:
            self.known[folder] = stream = Stream(
                folder, self._defect_seconds, is_bounded=self._is_bounded
            )
        except FileNotFoundError:
            # The stream has just been removed.
            return None
        except (OSError, DamagedError) as error:
            self.damaged[folder] = str(error)
            _log.error("%s cannot be delivered: %s", folder, error)
            return None
        return stream

    def _drop(self, folder: Path) -> None:
        self.known.pop(folder).is_gone = True
        self._settled.discard(folder)

    # ---- what they have ----------------------------------------------------------------------

    def _has_work(self, stream: Stream) -> bool:
        """Returns whether a stream has something to send. Deletes it if it is finished."""
        if stream.folder in self._settled:
            return False
        stream.look()
        try:
            if stream.has_pending:
                return True
            if stream.writer_alive or not stream.is_finished:
                self.is_settling = self.is_settling or stream.is_settling
                return False
            if stream.lacks_end() and not self._is_followed(stream):
                return not (self._is_shared(stream) or self._may_go_on(stream))
            self._remove(stream)
        except (OSError, DamagedError) as error:
            return stream.cannot_read(error)
        return False

    def _remove(self, stream: Stream) -> None:
        """Deletes a finished stream, unless the arm's previous stream still exists.

        Without its next stream, the previous one would seem to lack the end of the arm.
        """
        other = self._named(stream, stream.info.follows)
        if other is not None and other.folder not in self._settled:
            # The previous stream may be deleted later in this look.
            self.is_settling = True
            return
        stream.remove()
        self._settled.add(stream.folder)

    def _is_shared(self, stream: Stream) -> bool:
        """Returns whether another process trains the arm, or has undelivered events of the arm.

        The arm's end may be among them.
        """
        if self._open_arms is None:
            self._open_arms = {
                (other.info.experiment, other.info.arm)
                for other in self.known.values()
                if other.info.attempt_id is not None and (other.writer_alive or other.has_pending)
            }
        # The stream itself is not in this set, because it is finished.
        return (stream.info.experiment, stream.info.arm) in self._open_arms

    def _may_go_on(self, stream: Stream) -> bool:
        """Returns whether the process that recorded a whole arm may still train this arm.

        After `record_arm`, the process has no open stream of the arm until it logs another event.
        """
        return stream.info.is_whole_arm and any(
            other.info.pid == stream.info.pid and other.writer_alive
            for other in self.known.values()
        )

    def _is_followed(self, stream: Stream) -> bool:
        """Returns whether another stream, which may have the arm's end, continues this one."""
        if self._followed is None:
            folders = (folder for outbox in self._outboxes for folder in self._folders_of(outbox))
            self._followed = {name for folder in folders if (name := follows(folder)) is not None}
        return stream.info.arm is not None and stream.info.writer_id in self._followed

    # ---- who is first ------------------------------------------------------------------------

    def _line_up(self, added: Sequence[Stream]) -> None:
        """Makes new streams wait for the streams that have to be delivered before them.

        A stream waits for the events of older attempts at its arm. If the events of a newer attempt
        came first, the server would reject those of the older ones. A resumed training run would
        then lack the results that it continues.
        """
        if not added:
            return
        last_sequence = cache(Stream.last_sequence)
        attempts = defaultdict(list)
        for stream in self.known.values():
            attempts[stream.info.experiment, stream.info.arm].append(stream)
        for stream in added:
            if not stream.delivered:
                others = attempts[stream.info.experiment, stream.info.arm]
                stream.predecessors.set(
                    [(older, last_sequence(older)) for older in others if _is_older(older, stream)],
                    self._named(stream, stream.info.follows),
                    self._named(stream, stream.info.starts_after),
                )

    def _named(self, beside: Stream, writer_id: str | None) -> Stream | None:
        """Returns the known stream with a writer_id in the outbox of `beside`, or None."""
        return None if writer_id is None else self.known.get(beside.folder.parent / writer_id)


def _is_older(stream: Stream, than: Stream) -> bool:
    order, other = stream.info.attempt_order, than.info.attempt_order
    return order is not None and other is not None and order < other
