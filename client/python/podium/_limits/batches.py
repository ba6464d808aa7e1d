"""Splits events into calls within the default limits.

If a server with lower limits rejects a call because of its size, the call is split in two.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Self, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from podium._limits.event_checks import metric_count
from podium._limits.limits import DEFAULT_LIMITS
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import EvalRecorded, Event

__all__ = ["Batch", "Load", "batches", "is_too_large", "load_of", "record_all"]

_R = TypeVar("_R")

_CALL_BYTES = DEFAULT_LIMITS.message_bytes - 128 * 1024
"""The most bytes of events in a call, which leaves room for the other fields of the request."""
_FRAME = 6
"""The most bytes that a message uses for the number and the length of one field."""
_GRPC_TOO_LARGE = "larger than max"
"""A part of gRPC's error message for a request that is too large. Such an error has no reason."""


class Load(NamedTuple):
    """The size of a call in each unit that a server limits: events, metric values, and bytes."""

    events: int = 0
    metrics: int = 0
    size: int = 0

    def plus(self, other: "Load") -> "Load":
        """Returns the sum of this load and another one."""
        return Load(
            self.events + other.events, self.metrics + other.metrics, self.size + other.size
        )

    def fits(self, call_bytes: int = _CALL_BYTES) -> bool:
        """Returns whether the load is within the limits of one call."""
        return (
            self.events <= DEFAULT_LIMITS.call_events
            and self.metrics <= DEFAULT_LIMITS.call_metrics
            and self.size <= call_bytes
        )


class Batch:
    """The events of one call, each with the place that it was read from, such as a line of a file.

    Events are kept serialized, to save memory.
    """

    def __init__(self, items: Iterable[tuple[str, Event]] = ()) -> None:
        self.places: list[str] = []
        self._load = Load()
        self._data: list[bytes] = []
        for place, event in items:
            self._add(place, event, self._load.plus(load_of(event)))

    def added(self, place: str, event: Event) -> Self:
        """Adds the event to this batch, or to a new one if this one is full.

        Returns the batch that now has the event.
        """
        load = self._load.plus(load_of(event))
        if self._data and not load.fits():
            return type(self)([(place, event)])
        self._add(place, event, load)
        return self

    def _add(self, place: str, event: Event, load: Load) -> None:
        self._load = load
        self.places.append(place)
        self._data.append(event.SerializeToString())

    def events(self) -> Iterator[Event]:
        """Yields the events of this batch."""
        return map(Event.FromString, self._data)

    def halves(self, error: PodiumError) -> "list[Batch]":
        """Returns the two halves of a batch that was rejected with `error` because of its size.

        Raises `error` if it has another cause, or if the batch cannot be split.
        """
        items = list(zip(self.places, self.events(), strict=True))
        if not is_too_large(error):
            raise error
        if len(items) == 1:
            place, event = items[0]
            items = [(place, part) for part in _arm_in_parts(event, _row_count(event) // 2)]
            if len(items) == 1:
                raise error
            return [Batch(items[:1]), Batch(items[1:])]
        middle = len(items) // 2
        return [Batch(items[:middle]), Batch(items[middle:])]


def batches(events: Iterable[tuple[str, Event]]) -> "list[Batch]":
    """Splits events into batches, in order.

    An event that records an arm may be too large for one call. Then each row of the arm that does
    not fit becomes an event of its own.
    """
    result = [Batch()]
    for place, event in events:
        for part in _parts(event):
            batch = result[-1].added(place, part)
            if batch is not result[-1]:
                result.append(batch)
    return result if result[0].places else []


def record_all(
    to_send: Iterable[Batch], record: Callable[[Batch], _R]
) -> Iterator[tuple[Batch, _R]]:
    """Records batches. Yields each recorded batch with the result of its call.

    A batch that the server rejects because of its size is recorded in two halves.
    """
    pending = deque(to_send)
    while pending:
        batch = pending.popleft()
        try:
            result = record(batch)
        except PodiumError as error:
            pending.extendleft(reversed(batch.halves(error)))
        else:
            yield batch, result


def is_too_large(error: PodiumError) -> bool:
    """Returns whether a call was rejected because of its size, not because of one of its events."""
    is_limit = error.reason == "LIMIT_EXCEEDED" and not error.refusals
    return is_limit or _GRPC_TOO_LARGE in error.message


def _parts(event: Event) -> list[Event]:
    load = load_of(event)
    if load.fits():
        return [event]
    rows = _row_count(event)
    return _arm_in_parts(event, _count_that_fits(event)) if rows else [event]


def _row_count(event: Event) -> int:
    return len(event.arm_recorded.arm_result.evals)


def _arm_in_parts(event: Event, count: int) -> list[Event]:
    """Splits an arm into an event with its first `count` rows, and an event for each other row."""
    if not _row_count(event):
        return [event]
    rows = _first_of_each(event.arm_recorded.arm_result)
    head = Event()
    head.CopyFrom(event)
    del head.arm_recorded.arm_result.evals[:]
    head.arm_recorded.arm_result.evals.extend(rows[:count])
    return [head, *(_row_event(row, event) for row in rows[count:])]


def _row_event(row: EvalResult, event: Event) -> Event:
    recorded = EvalRecorded(arm=event.arm_recorded.arm_result.name, eval_result=row)
    return Event(event_time=_time_of(row, event), eval_recorded=recorded)


def _time_of(row: EvalResult, event: Event) -> Timestamp | None:
    if row.HasField("event_time"):
        return row.event_time
    return event.event_time if event.HasField("event_time") else None


def _first_of_each(arm: ArmResult) -> list[EvalResult]:
    """Returns the first row of each name and step.

    If an arm repeats a name and step, a server stores the first of these rows. If each row came in
    an event of its own, the server would store the last.
    """
    rows: dict[tuple[str, int | None], EvalResult] = {}
    for row in arm.evals:
        rows.setdefault((row.name, row.step if row.HasField("step") else None), row)
    return list(rows.values())


def _count_that_fits(event: Event) -> int:
    """Returns how many of the first rows of an arm fit into one call with the arm itself."""
    rows = _first_of_each(event.arm_recorded.arm_result)
    head = Event()
    head.CopyFrom(event)
    del head.arm_recorded.arm_result.evals[:]
    load = load_of(head)
    for count, row in enumerate(rows):
        load = load.plus(Load(0, max(1, len(row.metrics)), row.ByteSize() + _FRAME))
        if not load.fits():
            return count
    return len(rows)


def load_of(event: Event) -> Load:
    """Returns the load that an event adds to a call."""
    return Load(1, metric_count(event), event.ByteSize() + _FRAME)
