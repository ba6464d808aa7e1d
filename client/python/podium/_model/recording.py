"""The arguments and results of a Record call."""

from dataclasses import dataclass

__all__ = ["KeptField", "RecordResult", "ReplacedAttempt", "StreamPosition"]


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A position in the stream of events that one writer process records for one arm.

    Attributes:
        writer_id: An id that only this writer uses, and only for this arm.
        first_sequence: The sequence number of the call's first event, from 1.
    """

    writer_id: str
    first_sequence: int


@dataclass(frozen=True, slots=True)
class KeptField:
    """A field that a declaration did not change, because it already had another value.

    Attributes:
        path: The path of the field, such as `success_metric` or `metadata.owner`.
        event_index: The index of the declaration in the call.
    """

    path: str
    event_index: int = 0


@dataclass(frozen=True, slots=True)
class ReplacedAttempt:
    """An attempt that was running when a newer attempt of its arm started.

    Attributes:
        attempt_id: The id of the replaced attempt.
        quiet_seconds: The seconds since the server received the replaced attempt's last event.
        host: The host of the replaced attempt; None if not known.
        event_index: The index of the event that started the newer attempt.
    """

    attempt_id: str
    quiet_seconds: float
    host: str | None = None
    event_index: int = 0


@dataclass(frozen=True, slots=True)
class RecordResult:
    """The result of a Record call. Its changes are on the server's disk.

    Attributes:
        revision: The experiment's revision after the call.
        changed_events: How many of the call's events changed something.
        skipped_events: How many events at the start of the call had been applied before, and were
            skipped.
        last_sequence: The sequence number of the stream's last event; None if the call has no
            position.
        kept_fields: The fields of the experiment that a declaration did not change.
        replaced_attempts: The running attempts that newer attempts replaced.
    """

    revision: int
    changed_events: int = 0
    skipped_events: int = 0
    last_sequence: int | None = None
    kept_fields: tuple[KeptField, ...] = ()
    replaced_attempts: tuple[ReplacedAttempt, ...] = ()
