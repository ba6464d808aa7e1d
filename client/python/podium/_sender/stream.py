"""Delivers one stream: the events that one process records for one arm or the experiment itself."""

import logging
import os
import time
from pathlib import Path

from podium._limits.limits import DEFAULT_LIMITS
from podium._model.recording import StreamPosition
from podium._outbox import DamagedError, Entry, RejectedEvent, StreamReader, WakeSignal
from podium._outbox.writer import CLOSED_FILE
from podium._sender.backoff import Backoff
from podium._sender.damage import (
    LostDeclaration,
    ignored_disk_errors,
    opening_of,
    rejected_whole_arm,
    was_start,
)
from podium._sender.heartbeat import Heartbeat
from podium._sender.kept_fields import kept_fields_texts
from podium._sender.missing_end import MissingEnd, find_missing_end
from podium._sender.near_names import near_arms_text
from podium._sender.poison_events import PoisonEventPolicy
from podium._sender.predecessors import Predecessors
from podium._sender.protocol import Delivery, damaged_event
from podium._sender.recording_client import RecordingClient
from podium._sender.replaced_attempts import replaced_attempts_texts
from podium._sender.verdicts import Batch, Pause, Refused, Reject, Rewound, Verdict, pause_of
from podium.errors import PodiumError

__all__ = ["Stream"]

_log = logging.getLogger(__name__)

_EVENTS, _BYTES = DEFAULT_LIMITS.call_events, 1 << 20
"""The most events, and the most bytes, that are read from the stream at a time."""
_UNREADABLE = "OUTBOX_UNREADABLE"
_REDIRECT = "Then `podium outbox retry --as NAME` records the waiting rows there"
_PASSED_SECONDS = 60.0
"""The seconds for which a stream whose calls fail delays the streams after it."""


class Stream:
    """A stream, the state of its delivery, and the time of its next retry.

    Args:
        folder: The folder of the stream.
        defect_seconds: The seconds for which the first event that makes the server fail is retried
            before it is skipped.
        is_bounded: Whether to deliver only the events that exist now.

    Attributes:
        folder: The folder of the stream.
        info: The experiment, arm and attempt of the stream, and the process that writes it.
        predecessors: The streams that have to be delivered before this one.
        heartbeat: Shows the server that the arm of the stream is still trained.
        pause: The reason why this stream has to wait, or None. If the server cannot be used by any
            stream, the reason is in the sender's circuit breaker instead.
        oldest: The time at which the first event of the last call was logged, in seconds since
            1970; None if the call succeeded.
        due: The time of the next retry, on the clock of `time.monotonic`.
        failing_since: The time since which every call has failed; None if the last call succeeded.
        advances: The number of calls after which events were delivered or stored as rejected.
        taken: The number of events that the server accepted from this sender.
        rejected: The number of events that this sender has stored as rejected.
        missing: The number of events that neither the server nor the outbox has.
        answers: The number of calls to which the server gave an answer about the events.
        notices: Messages for the user.
        is_gone: Whether the folder was deleted.
        has_ended: Whether the writing process had closed the stream at the last `look`.

    Raises:
        DamagedError: A file in the folder is damaged.
        OSError: The folder cannot be read.
    """

    def __init__(self, folder: Path, defect_seconds: float, *, is_bounded: bool = False) -> None:
        self.folder = folder
        self._reader = StreamReader(folder)
        self.info = self._reader.info
        self.heartbeat = Heartbeat(self.info)
        rejected_events = [
            rejected for rejected in self._reader.rejected_events() if not rejected.retried
        ]
        self._delivery = Delivery(
            self._reader.progress().delivered,
            (rejected.sequence for rejected in rejected_events),
            opens=opening_of(self.info),
            is_orphan=any(was_start(self.info, rejected) for rejected in rejected_events),
            whole_arm=rejected_whole_arm(self.info, rejected_events),
        )
        self._backoff = Backoff()
        self._patience = PoisonEventPolicy(defect_seconds)
        self._wake_signal = WakeSignal(folder)
        self._lives = True
        self._read: list[Entry] = []
        self._is_pending = False
        self._until = self._reader.last_sequence() if is_bounded else None
        self.pause: Pause | None = None
        self.oldest: float | None = None
        self.due = self._waits_since = 0.0
        self.failing_since: float | None = None
        self.predecessors = Predecessors()
        self.advances = self.taken = self.rejected = self.missing = self.answers = 0
        self.notices: list[str] = []
        self.is_gone = self.has_ended = False
        self._missing_end: MissingEnd | LostDeclaration | None = None
        self._is_end_sought = self._is_finished = False
        self._near_names: str | None = None

    @property
    def delivered(self) -> int:
        """The sequence number of the stream's last event that the server has."""
        return self._delivery.delivered

    @property
    def has_pending(self) -> bool:
        """Whether the stream has undelivered events."""
        if self._is_finished or (self._until is not None and self.delivered >= self._until):
            return False
        # Pending events stay until they are delivered, so a positive result can be kept.
        self._is_pending = self._is_pending or self._reader.has_more(self.delivered)
        return self._is_pending

    @property
    def writer_alive(self) -> bool:
        """Whether the writing process may still add events. Once False, it stays False."""
        self._lives = self._lives and self._reader.writer_lives()
        return self._lives

    def look(self) -> None:
        """Checks whether the writing process has closed the stream.

        A closed stream stays closed.
        """
        self.has_ended = self.has_ended or (self.folder / CLOSED_FILE).exists()

    def needs_heartbeat(self) -> bool:
        """Returns whether the process trains an arm and nothing was sent for the arm for 45 s."""
        return self.heartbeat.is_due() and self.writer_alive and not self.has_ended

    def count_pending(self) -> int:
        """Returns the number of undelivered events. This takes longer than `has_pending`."""
        last = self.last_sequence() if self._until is None else self._until
        return max(0, last - self.delivered)

    @property
    def is_behind(self) -> bool:
        """Whether another stream has to be delivered first."""
        is_behind = self.predecessors.are_pending()
        self._delivery.is_orphan |= self.predecessors.are_orphans
        return is_behind

    @property
    def is_orphan(self) -> bool:
        """Whether the server has rejected the event that starts the stream's arm."""
        return self._delivery.is_orphan

    @property
    def is_unreadable(self) -> bool:
        """Whether the stream's files could not be read for over a minute."""
        return self.fails_for_long and self.pause is not None and self.pause.reason == _UNREADABLE

    @property
    def fails_for_long(self) -> bool:
        """Whether the stream's own calls have failed for over a minute."""
        is_failure = self.pause is not None and not self.pause.is_refusal
        since = self.failing_since
        return is_failure and since is not None and time.monotonic() - since > _PASSED_SECONDS

    def last_sequence(self) -> int:
        """Returns the sequence number of the last event that was written to the stream so far."""
        return self._reader.last_sequence()

    @property
    def is_finished(self) -> bool:
        """Whether the writing process has ended, and all events are delivered."""
        self._is_finished = self._is_finished or self._reader.is_finished()
        return self._is_finished

    @property
    def is_settling(self) -> bool:
        """Whether the writing process seems to have ended, but too recently to be sure."""
        return self._reader.is_settling

    def lacks_end(self) -> bool:
        """Returns whether a finished stream has no end of its arm, or no declaration."""
        if not self._is_end_sought:
            self._is_end_sought = True
            self._missing_end = find_missing_end(self._reader)
        return self._missing_end is not None

    def remove(self) -> None:
        """Deletes a finished stream, unless it has rejected or damaged events.

        An unclosed stream of another host is kept, too, because its process may still run.
        """
        if self._may_be_removed():
            self._reader.remove()

    def _may_be_removed(self) -> bool:
        # A lock does not tell whether a process of another host still writes the stream.
        is_here = self.info.host == os.uname().nodename
        return is_here or self.has_ended

    async def send(self, client: RecordingClient) -> Pause | None:
        """Sends the next events in one call, or stores events as rejected.

        Returns the reason why the stream has to wait, or None. If the server cannot be used by any
        stream, the reason is returned, but `pause` is not set.
        """
        try:
            verdict = await (self._send_end if self._missing_end else self._send)(client)
            if isinstance(verdict, Pause) and verdict.reason == "ARM_NOT_FOUND":
                verdict = await self._with_near_names(client, verdict)
        except (OSError, DamagedError) as error:
            verdict = _unreadable(error)
        pause = verdict if isinstance(verdict, Pause) else None
        if pause is None:
            self._is_pending = False
        else:
            # Frees memory, because many streams may wait for a long time.
            self._read = []
        if pause is None or not pause.is_about_server:
            self.wait(pause)
        return pause

    def cannot_read(self, error: Exception) -> bool:
        """Pauses the stream, because its files cannot be read.

        Returns True, which tells the caller that the stream may have undelivered events.
        """
        self.wait(_unreadable(error))
        return True

    def wait(self, pause: Pause | None) -> None:
        """Pauses this stream until its next retry, or ends the pause if `pause` is None."""
        if pause is None:
            self._backoff.reset()
            self.pause = self.failing_since = None
            return
        now = time.monotonic()
        self._waits_since = now
        self.due = now + self._backoff.next()
        if self.failing_since is None:
            self.failing_since = now
        if self.pause is None or self.pause.message != pause.message:
            _log.warning("%s: delivery waits: %s (%s)", self.folder, pause.message, pause.reason)
        self.pause = pause

    def was_woken(self) -> bool:
        """Returns whether a process has asked for an early retry since this was last called."""
        return self._wake_signal.is_set()

    def hurry(self) -> None:
        """Moves the next retry of a paused stream forward, to about a second after the last try."""
        if self.pause is not None:
            self.due = min(self.due, self._waits_since + self._backoff.soon())

    async def _send(self, client: RecordingClient) -> Verdict | None:
        batch = self._delivery.next(self._entries())
        verdict = await self._call(client, batch) if isinstance(batch, Batch) else batch
        if isinstance(verdict, Reject):
            self._reject(verdict.refused)
        elif isinstance(verdict, Rewound):
            self._read = []
            self._say_rewound(verdict)
        return verdict

    async def _with_near_names(self, client: RecordingClient, pause: Pause) -> Pause:
        """Adds the names of similar arms to a pause's message, in case the arm is misspelt."""
        if self._near_names is None:
            experiment = client.experiment(self.info.experiment)
            near = await near_arms_text(experiment, self.info.arm or "")
            self._near_names = near and f"{near} {_REDIRECT}"
        return pause._replace(message=pause.message + self._near_names)

    async def _send_end(self, client: RecordingClient) -> Verdict | None:
        """Records the end of the arm, or the declaration, that the stream lacks."""
        if self._missing_end is None:
            return None
        try:
            await self._missing_end.record(client)
        except PodiumError as error:
            # If it was rejected, the arm has a newer attempt by now, or was deleted.
            verdict = None if error.refusals else pause_of(error)
        else:
            verdict = None
        self.answers += not (verdict and verdict.is_about_server)
        if verdict is None:
            self._missing_end = None
            self.advances += 1
        return verdict

    def _entries(self) -> list[Entry]:
        """Returns the next events: those that are read but not delivered, or else new ones."""
        if self._read and self._read[-1].sequence <= self.delivered:
            self._read = []
        if not self._read:
            self._read = self._reader.read(self.delivered, most_events=_EVENTS, most_bytes=_BYTES)
        return self._read

    async def _call(self, client: RecordingClient, batch: Batch) -> Verdict | None:
        position = StreamPosition(self.info.writer_id, batch.first)
        begin = time.monotonic()
        self.oldest = batch.events[0].event_time.ToMicroseconds() / 1_000_000 or None
        try:
            result = await client.record(self.info.experiment, batch.events, position)
        except PodiumError as error:
            verdict = self._delivery.failed(batch, error)
            if isinstance(verdict, Pause) and verdict.is_defect and self._gives_up(batch):
                verdict = self._delivery.given_up(batch, verdict)
            self.answers += not (isinstance(verdict, Pause) and verdict.is_about_server)
            return verdict
        self.answers += 1
        self.oldest = None
        if result.kept_fields:
            kept = result.kept_fields
            texts = await kept_fields_texts(client, self.info.experiment, batch.events, kept)
            self._tell_user(texts)
        self._tell_user(replaced_attempts_texts(batch.events, result.replaced_attempts))
        absent = self._delivery.succeeded(
            batch, result.last_sequence, result.skipped_events, time.monotonic() - begin
        )
        if absent.damaged:
            self._reject(list(map(damaged_event, absent.damaged)))
        self._note_delivered(batch, absent.gone)
        return None

    def _tell_user(self, texts: list[str]) -> None:
        """Logs messages for the user. Stores them as notices, which the recorder logs, too."""
        self.notices += texts
        with ignored_disk_errors(self.folder):
            for text in texts:
                _log.warning("%s: %s", self.folder, text)
                self._reader.add_notice(text)

    def _gives_up(self, batch: Batch) -> bool:
        return self._patience.is_over(batch.first, time.monotonic())

    def _note_delivered(self, batch: Batch, gone: int) -> None:
        self.advances += 1
        self.heartbeat.note_delivered(batch.events)
        taken = sum(not event.HasField("skipped") for event in batch.events)
        if taken:
            self._patience.succeeded()
        self.taken += taken
        if gone:
            self.missing += gone
            text = "%s: the server has lost %d events that were delivered before"
            _log.error(text, self.folder, gone)
        with ignored_disk_errors(self.folder):
            self._reader.note_delivered(self.delivered)
            self._reader.drop_delivered()

    def _reject(self, refused: list[Refused]) -> None:
        """Stores events as rejected on disk, so that `Skipped` can be sent in their place."""
        now = time.time()
        rejected_events = (
            RejectedEvent(sequence, reason, message, now, payload)
            for sequence, reason, message, payload in refused
        )
        self._reader.reject(*rejected_events)
        self._delivery.reject(refused)
        self.advances += 1
        self.rejected += len(refused)
        _log.warning(
            "%s: %d events were rejected; the first, event %d: %s (%s)",
            self.folder,
            len(refused),
            refused[0].sequence,
            refused[0].message,
            refused[0].reason,
        )

    def _say_rewound(self, rewound: Rewound) -> None:
        _log.warning(
            "%s: the server has only the events before %d: it is another server, or was restored "
            "from a backup; later events are sent again",
            self.folder,
            rewound.expected,
        )


def _unreadable(error: Exception) -> Pause:
    return Pause(_UNREADABLE, f"the outbox cannot be read or written: {error}")
