"""Applies one Record call.

Skips the events that earlier calls of the same stream have applied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from podium._limits.limits import Limits
from podium.errors import REASONS, Disposition, PodiumError, RefusedEvent, error_for
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import ReplacedAttempt, StreamPosition

from podium_server.errors import failure, unknown_experiment
from podium_server.store.calls import (
    ArmChange,
    ArmNeeds,
    Changes,
    CurrentRows,
    DerivedScores,
    Loaded,
    Needs,
)
from podium_server.store.rows import StreamRow, StreamState
from podium_server.writes.call_state import CallState
from podium_server.writes.derive import derive
from podium_server.writes.event_kinds import EXPERIMENT, KINDS, Context, ParsedEvent, parse_events

__all__ = ["RecordCall", "RecordOutcome", "refusal_of"]

_MANY_BYTES = 64 * 1024
_MANY_REWRITES = 20
"""Calls above one of these limits take more than a few milliseconds.

The first limits the bytes of the request. The second limits the number of events that rewrite more
than a row, such as all training metrics of an arm.
"""
_ROW = KINDS["eval_recorded"]
_START = KINDS["arm_started"]


@dataclass(slots=True)
class RecordOutcome:
    """The result of a call: the fields of RecordResponse."""

    revision: int = 0
    changed_events: int = 0
    skipped_events: int = 0
    last_sequence: int | None = None
    kept_fields: list[tuple[int, str]] = field(default_factory=list)
    replaced_attempts: list[ReplacedAttempt] = field(default_factory=list)


class RecordCall:
    """A Record call.

    `now` is the time of the call in microseconds since 1970. `size` is the size of its request in
    bytes. `owner` is the name of the caller's token, or None if the server requires no tokens.
    `claim_rows` takes the number of rows that the call adds. It raises an error if the quota has
    no room for them. With `validate_only` nothing is changed.
    """

    def __init__(
        self,
        experiment: str,
        events: Sequence[Event],
        position: StreamPosition | None,
        *,
        limits: Limits,
        now: int,
        size: int,
        owner: str | None = None,
        claim_rows: Callable[[int], None] | None = None,
        validate_only: bool = False,
    ) -> None:
        self._experiment = experiment
        self._parsed = parse_events(events, size, limits)
        self._valid = [event for event in self._parsed if isinstance(event, ParsedEvent)]
        self._position = position
        self._started = self._started_arms() if position is None else set()
        self._limits = limits
        self._now = now
        self._size = size
        self._owner = owner
        self._claim_rows = claim_rows
        self._validate_only = validate_only
        self._outcome = RecordOutcome()
        self.needs = self._find_needs()
        """The data to load: the experiment, the stream, and the data that each event reads."""

    @property
    def heavy(self) -> bool:
        """Whether the call is large, or has an event that may change very many rows."""
        if self._size > _MANY_BYTES:
            return True
        others = [event.kind for event in self._valid if event.kind is not _ROW]
        return len(others) > _MANY_REWRITES or True in [kind.heavy for kind in others]

    def decide(self, loaded: Loaded) -> Changes:
        """Applies the events in order, and returns the changes.

        If any event is rejected, raises an error that lists all rejected events.
        """
        before = loaded.experiment
        revision, rows = (0, 0) if before is None else (before.revision, before.row_count)
        state = CallState(loaded, self._experiment, self._now)
        stream = self._stream(loaded)
        first = 0 if stream is None else self._first_new(stream)
        self._outcome = RecordOutcome(
            skipped_events=first, kept_fields=state.kept, replaced_attempts=state.replaced
        )
        refused = []
        context = Context(state, self._limits)
        for index in range(first, len(self._parsed)):
            try:
                self._apply(context, stream, index)
            except PodiumError as error:
                # The traceback of an error would keep the whole call in memory until the error is
                # freed.
                refused.append((index, error.with_traceback(None)))
        if refused:
            raise refusal_of(refused)
        if stream is not None:
            self._advance(stream)
        if self._validate_only:
            self._outcome.revision = revision
            return Changes()
        changes = state.changes(stream)
        if self._claim_rows is not None and changes.experiment is not None:
            self._claim_rows(changes.experiment.row_count - rows)
        return changes

    def derive(self, change: ArmChange, current_rows: CurrentRows) -> DerivedScores:
        """Updates the primary eval of an arm. Returns the scores to write."""
        return derive(change, current_rows)

    def result(self, changes: Changes) -> RecordOutcome:
        """Returns the result of the call."""
        if changes.experiment is not None:
            self._outcome.revision = changes.experiment.revision
        return self._outcome

    def _find_needs(self) -> Needs:
        needs = Needs(self._experiment, self._position.writer_id if self._position else None)
        for event in self._valid:
            if event.subject == EXPERIMENT:
                needs.content = True
            elif event.subject is not None:
                arm = needs.arms.get(event.subject)
                if arm is None:
                    arm = needs.arms[event.subject] = ArmNeeds()
                event.kind.need(arm, event.body)
        return needs

    def _started_arms(self) -> set[str | None]:
        return {event.subject for event in self._valid if event.kind is _START}

    def _stream(self, loaded: Loaded) -> StreamRow | None:
        if self._position is None:
            return None
        stream = loaded.stream or StreamRow(self._position.writer_id)
        if self._owner not in {None, stream.owner}:
            if stream.owner is not None:
                error = _taken(stream.writer_id)
                raise refusal_of([(index, error) for index in range(len(self._parsed))])
            stream.owner = self._owner
        return stream

    def _first_new(self, stream: StreamRow) -> int:
        expected = stream.last_sequence + 1
        first = self._first_sequence
        if first > expected:
            raise failure(
                "SEQUENCE_GAP",
                f"the call begins with event {first} of writer {stream.writer_id!r}, but the "
                f"server expects event {expected} next; send from {expected} on",
                expected_sequence=str(expected),
            )
        return min(expected - first, len(self._parsed))

    @property
    def _first_sequence(self) -> int:
        return self._position.first_sequence if self._position else 1

    def _advance(self, stream: StreamRow) -> None:
        last = self._first_sequence + len(self._parsed) - 1
        stream.last_sequence = max(stream.last_sequence, last)
        self._outcome.last_sequence = stream.last_sequence

    def _apply(self, context: Context, stream: StreamRow | None, index: int) -> None:
        state, event = context.state, self._parsed[index]
        if isinstance(event, PodiumError):
            raise event
        if stream is not None:
            _check_stream(stream, event)
        if not (event.kind.creates_experiment or state.serves(event.subject)):
            raise unknown_experiment(self._experiment)
        if event.subject in self._started and event.attempt_id is None:
            raise _needs_attempt(event)
        before = state.progress.changes_made
        context.index, context.event_time = index, event.event_time
        if event.kind is not _ROW:
            context.row_arm = None
        event.kind.apply(context, event.body)
        if stream is not None and stream.subject is None:
            stream.subject = event.subject
        self._outcome.changed_events += state.progress.changes_made != before


def _taken(writer_id: str) -> PodiumError:
    return failure(
        "WRITER_TAKEN",
        f"writer {writer_id!r} belongs to a token with another name, which used it first; send "
        "with a token of that name, or use a new writer_id",
        writer_id=writer_id,
    )


def _needs_attempt(event: ParsedEvent) -> PodiumError:
    return failure(
        "EVENT_NEEDS_ATTEMPT",
        f"the call starts an attempt of arm {event.subject!r}, so its other events of the arm must "
        "name an attempt: otherwise sending the call again could change the result. Set "
        "attempt_id, send the event in a call of its own, or send the call with a position",
        arm=event.subject or "",
    )


def _check_stream(stream: StreamRow, event: ParsedEvent) -> None:
    """Raises an error if the stream was closed, or if the event has another subject.

    The subject is the arm or the experiment that the stream writes to. Its deletion closes the
    stream.
    """
    if event.subject is None:
        return
    if stream.state is not StreamState.OPEN:
        raise _deleted(stream)
    subject = stream.subject
    if subject is not None and subject != event.subject:
        raise failure(
            "STREAM_SUBJECT_CHANGED",
            f"writer {stream.writer_id!r} writes to {_subject(subject)}, not to "
            f"{_subject(event.subject)}; use a different writer_id for each arm",
            writer_id=stream.writer_id,
        )


def _subject(subject: str) -> str:
    return "the experiment itself" if subject == EXPERIMENT else f"arm {subject!r}"


def _deleted(stream: StreamRow) -> PodiumError:
    arm = stream.state is StreamState.ARM_DELETED
    what = _subject(stream.subject or EXPERIMENT) if arm else "the experiment"
    return failure(
        "ARM_DELETED" if arm else "EXPERIMENT_DELETED",
        f"{what} was deleted after writer {stream.writer_id!r} wrote to it; use a new writer_id "
        "to record under this name again",
        writer_id=stream.writer_id,
    )


def refusal_of(refused: list[tuple[int, PodiumError]]) -> PodiumError:
    """Returns the error of the first rejected event. The error lists all rejected events."""
    events = [
        RefusedEvent(
            index,
            error.reason,
            REASONS[error.reason].disposition is Disposition.PERMANENT,
            error.message,
        )
        for index, error in refused
    ]
    index, first = refused[0]
    metadata = dict(first.metadata)
    if "field" in metadata:
        metadata["field"] = f"events[{index}].{metadata['field']}"
    return error_for(first.reason, f"events[{index}]: {first.message}", metadata, refusals=events)
