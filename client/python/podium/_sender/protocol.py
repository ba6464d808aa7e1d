"""Decides which events of a stream to send next, and handles answers. A state machine without I/O.

    batch = delivery.next(entries)           # the entries after delivery.delivered
    verdict = delivery.failed(batch, error)  # or delivery.succeeded(batch, …)

An event is sent exactly as it was recorded, with its own sequence number, until the server confirms
it. The server knows the last event of the stream that it has stored, and skips events up to this
one. So a retry may divide the events into calls differently. When the server rejects an event
permanently, the event is first written to `rejected.jsonl`. Then a `Skipped` is sent in its place.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

from google.protobuf.message import DecodeError

from podium._limits.batches import Load, is_too_large
from podium._limits.event_checks import metric_count
from podium._limits.limits import DEFAULT_LIMITS
from podium._sender.event_kinds import begins_arm
from podium._sender.verdicts import (
    Absent,
    Again,
    Batch,
    Entry,
    Opening,
    Pause,
    Refused,
    Reject,
    Rewound,
    Verdict,
    pause_of,
)
from podium.errors import PodiumError, RefusedEvent
from podium.v1.event_pb2 import Event, ExperimentDeclared, Skipped

__all__ = ["DAMAGED", "DEFECTS", "Delivery", "damaged_event"]

DAMAGED = "DAMAGED"
"""The reason under which an event is stored as rejected if its record cannot be read."""

_EVENTS = DEFAULT_LIMITS.call_events
_FIRST_BYTES, _LEAST_BYTES, _MOST_BYTES = 1 << 16, 1 << 12, 1 << 20
"""The most bytes of a call: at first, over a slow connection, and over a fast connection."""
_FAST_SECONDS, _SLOW_SECONDS = 1.0, 2.0
"""If a call takes less than the first number of seconds, the next calls are larger.

If it takes more than the second number of seconds, the next calls are smaller.
"""

DEFECTS = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""The status codes of failures that may have been caused by one event of the request."""

_SMALLER_MAY_PASS = DEFECTS | {"DEADLINE_EXCEEDED"}
"""After these status codes the next call is smaller, so that a bad event delays fewer others."""


_NEEDED = frozenset({"arm_started", "experiment_declared", "skipped", None})
"""The kinds of events that are never skipped, because later events are useless without them."""


class Delivery:
    """The delivery of one stream.

    Args:
        delivered: The sequence number of the last event that the server is known to have, or 0.
        rejected: The sequence numbers of events that were rejected.
        opens: The kind of the first event.
        is_orphan: Whether the event that starts the stream's arm was rejected.
        whole_arm: The rejected event that records the stream's whole arm, or None.

    Attributes:
        delivered: The sequence number of the last event that the server has, with all before it.
        is_orphan: Whether the event that starts the stream's arm was rejected. If so, other events
            of the stream do not wait until the arm exists.
    """

    def __init__(
        self,
        delivered: int = 0,
        rejected: Iterable[int] = (),
        *,
        opens: Opening = Opening.ANY,
        is_orphan: bool = False,
        whole_arm: Refused | None = None,
    ) -> None:
        self.delivered = self._reached = delivered
        self._whole_arm = whole_arm
        self._opens = opens
        self._rejected = set(rejected)
        self.is_orphan = is_orphan
        self._most = self._ceiling = _EVENTS
        self._most_bytes = _FIRST_BYTES

    def next(self, entries: Sequence[Entry]) -> Batch | Reject | None:
        """Returns the next batch, or events to reject first, or None if there is nothing to send.

        `entries` are the events of the stream after `delivered`, in order.
        """
        fresh = [entry for entry in entries if entry.sequence > self.delivered]
        if not fresh:
            return None
        return self._batch(fresh)

    def succeeded(
        self, batch: Batch, last_sequence: int | None, skipped: int = 0, seconds: float = 0.0
    ) -> Absent:
        """Handles a successful call.

        Args:
            batch: The batch that was sent.
            last_sequence: The sequence number of the stream's last event that the server has.
            skipped: The number of events of the batch that the server had before.
            seconds: The duration of the call.

        Returns:
            The events of the batch that the server did not get, because they are not in the outbox.
        """
        absent = [sequence for sequence in batch.absent if sequence >= batch.first + skipped]
        damaged = [sequence for sequence in absent if sequence > self._reached]
        self.is_orphan |= damaged[:1] == [1] and self._opens.creates_arm
        self.delivered = max(batch.last, last_sequence or 0)
        self._reached = max(self._reached, self.delivered)
        self._ceiling = min(_EVENTS, self._ceiling + 1)
        self._most = min(self._ceiling, self._most * 2)
        if seconds < _FAST_SECONDS:
            self._most_bytes = min(_MOST_BYTES, self._most_bytes * 4)
        elif seconds > _SLOW_SECONDS:
            self._most_bytes = max(_LEAST_BYTES, self._most_bytes // 2)
        return Absent(len(absent) - len(damaged), damaged)

    def failed(self, batch: Batch, error: PodiumError) -> Verdict:
        """Returns what to do after the call that sent a batch has failed."""
        if error.refusals:
            return self._refused(batch, error)
        if error.reason == "SEQUENCE_GAP":
            return self._rewound(batch, error)
        if is_too_large(error) or error.reason == "MALFORMED_REQUEST":
            return self._halved(batch, error)
        if error.code in _SMALLER_MAY_PASS:
            self._most = max(1, len(batch.events) // 2)
        return pause_of(error)._replace(is_defect=error.code in DEFECTS and _is_dispensable(batch))

    def given_up(self, batch: Batch, pause: Pause) -> Reject:
        """Returns the verdict on a batch of one event that has failed too often: it is rejected."""
        text = f"the server fails at this event: {pause.message}"
        return Reject([_refused(batch, 0, pause.reason, text)])

    def reject(self, refused: Iterable[Refused]) -> None:
        """Remembers rejected events. From now on, `Skipped` is sent in their place."""
        for each in refused:
            self._rejected.add(each.sequence)
            self.is_orphan |= begins_arm(each.payload)
            if each.sequence == 1 and self._opens is Opening.WHOLE_ARM:
                self._whole_arm = each

    # ---- what to send ----------------------------------------------------------------------

    def _batch(self, entries: Sequence[Entry]) -> Batch | Reject:
        batch = Batch(self.delivered + 1, [])
        absent: list[int] = []
        refused: list[Refused] = []
        load = Load()
        for sequence, payload in enumerate(_contiguous(entries, batch.first), batch.first):
            event = self._event(sequence, payload)
            if isinstance(event, Refused) and not batch.events:
                refused.append(event)
                continue
            if isinstance(event, Refused) or refused:
                break
            load = load.plus(Load(1, metric_count(event), len(payload or b"")))
            if batch.events and not load.fits(self._most_bytes):
                break
            batch.events.append(event)
            if payload is None:
                absent.append(batch.last)
            if len(batch.events) == self._most:
                break
        if refused:
            return Reject(refused)
        return batch._replace(absent=tuple(absent))

    def _event(self, sequence: int, payload: bytes | None) -> Event | Refused:
        if payload is None and sequence == 1:
            return self._lost_opening()
        if payload is None or sequence in self._rejected:
            return Event(skipped=Skipped())
        try:
            event = Event.FromString(payload)
        except DecodeError as error:
            text = f"the record is not an event that this version can read ({error})"
            return Refused(sequence, "MALFORMED_REQUEST", text, payload)
        whole = self._whole_arm
        if whole is None:
            return event
        # The server would add this row to the arm that it has stored under this name.
        text = f"the arm that this row is a part of was rejected: {whole.message}"
        return Refused(sequence, whole.reason, text, payload)

    def _lost_opening(self) -> Event:
        """Returns the event to send in place of the first one, which the outbox does not have."""
        if self._opens is Opening.EXPERIMENT:
            # Without an experiment, no arm could be delivered.
            return Event(experiment_declared=ExperimentDeclared())
        if self._opens is Opening.WHOLE_ARM:
            self._whole_arm = damaged_event(1)
        return Event(skipped=Skipped())

    # ---- what an answer means --------------------------------------------------------------

    def _refused(self, batch: Batch, error: PodiumError) -> Verdict:
        """Returns what to do after the server has rejected events of a batch.

        Events that are permanently rejected are stored as rejected, up to the first event that has
        to wait. Later ones are sent again after it, because the server may accept them then.
        """
        refused: list[Refused] = []
        for refusal in sorted(error.refusals, key=lambda refusal: refusal.index):
            if not _is_of_an_event(refusal, batch):
                return pause_of(error)
            if self._has_to_wait(refusal):
                return Reject(refused) if refused else self._waiting(refusal)
            refused.append(_refused(batch, refusal.index, refusal.reason, refusal.message))
        return Reject(refused)

    def _has_to_wait(self, refusal: RefusedEvent) -> bool:
        if self.is_orphan and refusal.reason == "ARM_NOT_FOUND":
            # The event that starts the arm was rejected, so the arm may never exist.
            return False
        return not refusal.permanent

    def _waiting(self, refusal: RefusedEvent) -> Verdict:
        if refusal.index:
            self._most = refusal.index
            return Again()
        self._most = 1
        return Pause(refusal.reason, refusal.message, is_refusal=True)

    def _rewound(self, batch: Batch, error: PodiumError) -> Verdict:
        expected = error.metadata.get("expected_sequence", "")
        if not expected.isdecimal() or not 0 < int(expected) < batch.first:
            return pause_of(error)
        self.delivered = int(expected) - 1
        return Rewound(int(expected))

    def _halved(self, batch: Batch, error: PodiumError) -> Verdict:
        if len(batch.events) > 1:
            self._most = self._ceiling = len(batch.events) // 2
            return Again()
        if batch.events[0].HasField("skipped"):
            return pause_of(error)
        return Reject([_refused(batch, 0, error.reason or "LIMIT_EXCEEDED", error.message)])


def _contiguous(entries: Sequence[Entry], first: int) -> Iterator[bytes | None]:
    """Yields the payload of each sequence number from `first` on, or None for a missing entry."""
    for entry in entries:
        yield from chain(repeat(None, entry.sequence - first), (entry.payload,))
        first = entry.sequence + 1


def _is_of_an_event(refusal: RefusedEvent, batch: Batch) -> bool:
    """Returns whether a rejected event of a batch is a recorded event, not a `Skipped`."""
    index = refusal.index
    return 0 <= index < len(batch.events) and not batch.events[index].HasField("skipped")


def _refused(batch: Batch, index: int, reason: str, message: str) -> Refused:
    payload = batch.events[index].SerializeToString()
    return Refused(batch.first + index, reason, message, payload)


def damaged_event(sequence: int) -> Refused:
    """Returns the rejected event to store in place of a record that cannot be read."""
    return Refused(sequence, DAMAGED, "the record in the outbox is damaged", b"")


def _is_dispensable(batch: Batch) -> bool:
    """Returns whether a batch is a single event on which no later event depends."""
    kind = batch.events[0].WhichOneof("kind")
    return len(batch.events) == 1 and kind not in _NEEDED
