"""The arguments and results of a Record call."""

from dataclasses import dataclass

__all__ = ["KeptField", "RecordResult", "ReplacedAttempt", "StreamPosition"]


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """The position of a call's events in a stream, so that the server applies each event once.

    A stream is the sequence of the events that one process records for one arm, or for the
    experiment itself. Its events are numbered from 1.

    Attributes:
        writer_id: The id of the stream: a string that no other stream uses.
        first_sequence: The number of the call's first event in the stream.
    """

    writer_id: str
    first_sequence: int


@dataclass(frozen=True, slots=True)
class KeptField:
    """A field that a declaration did not change, because it already had another value.

    Attributes:
        path: The path of the field, such as `success_metric` or `metadata.owner`.
        event_index: The index, in the call, of the event with the declaration.
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
        event_index: The index, in the call, of the event that started the newer attempt.
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
        skipped_events: How many events at the start of the call were skipped, because an earlier
            call had already applied them.
        last_sequence: The number of the last event that the server has of the call's stream; None
            if the call has no position.
        kept_fields: The fields of the experiment that a declaration in the call did not change,
            because they already had another value.
        replaced_attempts: The running attempts that the call replaced by newer attempts.
    """

    revision: int
    changed_events: int = 0
    skipped_events: int = 0
    last_sequence: int | None = None
    kept_fields: tuple[KeptField, ...] = ()
    replaced_attempts: tuple[ReplacedAttempt, ...] = ()
