"""Events into calls: as many in each as a server takes by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from podium._limits.event_checks import metric_count
from podium.v1.event_pb2 import EvalRecorded, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from google.protobuf.timestamp_pb2 import Timestamp

    from podium.v1.arm_result_pb2 import ArmResult
    from podium.v1.eval_result_pb2 import EvalResult

__all__ = ["Batch", "batches"]

_EVENTS = 1_000
_METRICS = 10_000
# A message has 4 MiB; what is left is for the call around the events.
_BYTES = 4_000_000
_FRAME = 6
"""The bytes of a field's number and length."""


class _Load(NamedTuple):
    """What a call has to carry."""

    events: int = 0
    metrics: int = 0
    size: int = 0

    def plus(self, other: _Load) -> _Load:
        return _Load(*map(sum, zip(self, other, strict=True)))

    @property
    def fits(self) -> bool:
        """Whether one call carries it."""
        return self.events <= _EVENTS and self.metrics <= _METRICS and self.size <= _BYTES


class Batch:
    """The events of one call, as bytes: those of a large file fit into memory so.

    Attributes:
        places: Where each event stands in its file.
    """

    def __init__(self) -> None:
        self.places: list[str] = []
        self._load = _Load()
        self._data: list[bytes] = []

    def added(self, place: str, event: Event) -> Self:
        """Takes an event, into a new batch if this one is full; returns the one that has it."""
        load = self._load.plus(_load_of(event))
        if self._data and not load.fits:
            return type(self)().added(place, event)
        self._load = load
        self.places.append(place)
        self._data.append(event.SerializeToString())
        return self

    def events(self) -> Iterator[Event]:
        """Yields the events."""
        return map(Event.FromString, self._data)


def batches(events: Iterable[tuple[str, Event]]) -> list[Batch]:
    """Puts events, each with its place, into as few calls as their order allows.

    An arm with more rows than a call carries becomes an arm with the first ones, and an event for
    each row behind them.
    """
    result = [Batch()]
    for place, event in events:
        for part in _parts(event):
            batch = result[-1].added(place, part)
            if batch is not result[-1]:
                result.append(batch)
    return result if result[0].places else []


def _parts(event: Event) -> Iterator[Event]:
    if event.WhichOneof("kind") != "arm_recorded" or _load_of(event).fits:
        yield event
        return
    rows = _first_of_each(event.arm_recorded.arm_result)
    head = Event()
    head.CopyFrom(event)
    del head.arm_recorded.arm_result.evals[:]
    count = _count_that_fits(_load_of(head), rows)
    head.arm_recorded.arm_result.evals.extend(rows[:count])
    yield head
    for row in rows[count:]:
        told = EvalRecorded(arm=event.arm_recorded.arm_result.name, eval_result=row)
        yield Event(event_time=_time_of(row, event), eval_recorded=told)


def _time_of(row: EvalResult, event: Event) -> Timestamp | None:
    """When a row of a whole arm was measured: as it says itself, or else as its event does."""
    if row.HasField("event_time"):
        return row.event_time
    return event.event_time if event.HasField("event_time") else None


def _first_of_each(arm: ArmResult) -> list[EvalResult]:
    """The rows that count: in a whole arm the first one of a name and step, of events the last."""
    rows: dict[tuple[str, int | None], EvalResult] = {}
    for row in arm.evals:
        rows.setdefault((row.name, row.step if row.HasField("step") else None), row)
    return list(rows.values())


def _count_that_fits(load: _Load, rows: Iterable[EvalResult]) -> int:
    count = 0
    for row in rows:
        load = load.plus(_Load(0, max(1, len(row.metrics)), row.ByteSize() + _FRAME))
        if not load.fits:
            break
        count += 1
    return count


def _load_of(event: Event) -> _Load:
    return _Load(1, metric_count(event), event.ByteSize() + _FRAME)
