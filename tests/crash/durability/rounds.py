"""Random rounds of calls that are written before a power cut. Equal seeds give equal rounds.

The calls of a round are sent together, so they share one transaction. A round that is sent again
changes nothing: its streams have positions, and its other calls write to an arm whose rows are
never removed.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import apsw
from podium._limits.limits import Limits
from podium.errors import OutOfRangeError
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED, Attempt
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import (
    ArmFinished,
    ArmStarted,
    EvalRecorded,
    Event,
    ExperimentDeclared,
    MetricsRecorded,
)
from podium.v1.recording_service_pb2 import StreamPosition
from podium.v1.run_config_pb2 import RunConfig
from podium_server.store.calls import Call
from podium_server.store.sqlite import SqliteStore
from podium_server.writes import DeleteArmCall, RecordCall

__all__ = ["Round", "content_of", "rounds", "send"]

_EXPERIMENTS = ("power/a", "power/b")
_EVALUATED = "evaluated"
"""The arm of each experiment to which calls without a position write."""
_BEGIN_MICROS = 1_700_000_000_000_000
_LIMITS = Limits()


class _Told(NamedTuple):
    """A Record call: its experiment, events and position."""

    experiment: str
    events: tuple[Event, ...]
    position: StreamPosition | None = None


@dataclass(frozen=True)
class Round:
    """Calls that are sent together: records, or the deletion of an arm."""

    number: int
    records: tuple[_Told, ...] = ()
    deletes: tuple[str, str] | None = None

    def calls(self) -> list[Call[Any]]:
        """Returns new call objects, as a server makes them from requests."""
        now = _BEGIN_MICROS + self.number
        if self.deletes is not None:
            experiment, arm = self.deletes
            return [DeleteArmCall(experiment, allow_missing=True, now=now, arm=arm)]
        return [_record_call(told, now) for told in self.records]


def _record_call(told: _Told, now: int) -> RecordCall:
    events = [Event.FromString(event.SerializeToString()) for event in told.events]
    return RecordCall(
        told.experiment,
        events,
        told.position,
        limits=_LIMITS,
        now=now,
        size=sum(event.ByteSize() for event in events),
    )


class _Stream:
    """An attempt of an arm, recorded as one stream."""

    def __init__(self, experiment: str, arm: str, order: int) -> None:
        self.experiment = experiment
        self.arm = arm
        self._writer = f"{arm}-{order}"
        self._attempt = Attempt(id=self._writer, order=order)
        self._sequence = 0

    def next(self, random: Random) -> _Told:
        """Returns the next call of the stream."""
        first = self._sequence + 1
        events = tuple(self._event(random) for _ in range(random.randint(1, 6)))
        return _Told(self.experiment, events, self._position(first))

    def gap(self) -> _Told:
        """Returns a call that leaves a gap in the sequence, so a store rejects it."""
        event = _eval(self.arm, EvalResult(name="never", metrics={"stored": 1.0}))
        return _Told(self.experiment, (event,), self._position(self._sequence + 100))

    def _position(self, first: int) -> StreamPosition:
        return StreamPosition(writer_id=self._writer, first_sequence=first)

    def _event(self, random: Random) -> Event:
        self._sequence += 1
        if self._sequence == 1:
            return _started(self.arm, self._attempt)
        kind = random.random()
        if kind < 0.5:
            return _eval(self.arm, _row("val", self._sequence, random))
        if kind < 0.7:
            return _eval(self.arm, EvalResult(name="test", metrics={"last": self._sequence}))
        if kind < 0.95:
            metrics = {f"loss{random.randint(0, 3)}": random.random()}
            return Event(metrics_recorded=MetricsRecorded(arm=self.arm, metrics=metrics))
        return Event(arm_finished=ArmFinished(arm=self.arm, status=ARM_STATUS_COMPLETED))


def _started(arm: str, attempt: Attempt) -> Event:
    config = RunConfig(name=arm)
    return Event(arm_started=ArmStarted(arm=arm, run_config=config, attempt=attempt, restart=True))


def _eval(arm: str, row: EvalResult) -> Event:
    return Event(eval_recorded=EvalRecorded(arm=arm, eval_result=row))


def _row(name: str, step: int, random: Random) -> EvalResult:
    """Returns a row. Some rows are larger than a SQLite page, so they take several pages."""
    row = EvalResult(name=name, step=step, metrics={"pass_rate": random.random()})
    if random.random() < 0.15:
        row.breakdowns["text"].string_value = "x" * random.randint(100, 9_000)
    return row


def rounds(seed: int, count: int) -> list[Round]:
    """Returns `count` rounds.

    The first round declares the experiments. The second starts the arms for calls without a
    position.
    """
    random = Random(seed)  # noqa: S311 - no secret
    declared = Event(experiment_declared=ExperimentDeclared(success_metric="test.last"))
    started = _started(_EVALUATED, Attempt(id="only", order=1))
    written = [
        Round(number, tuple(_Told(experiment, (event,)) for experiment in _EXPERIMENTS))
        for number, event in enumerate((declared, started))
    ]
    streams = [_Stream(_EXPERIMENTS[slot % 2], f"arm{slot}", 1) for slot in range(4)]
    while len(written) < count:
        written.append(_next(len(written), streams, random))
    return written


def _next(number: int, streams: list[_Stream], random: Random) -> Round:
    slot = random.randrange(len(streams))
    stream, kind = streams[slot], random.random()
    if kind < 0.08:
        streams[slot] = _Stream(stream.experiment, stream.arm, number)
    if kind < 0.04:
        return Round(number, deletes=(stream.experiment, stream.arm))
    chosen = random.sample(streams, random.randint(0, 3))
    records = [stream.next(random) for stream in chosen]
    if not records or random.random() < 0.3:
        row = _row(f"bench{number}", 0, random)
        records.append(_Told(random.choice(_EXPERIMENTS), (_eval(_EVALUATED, row),)))
    if random.random() < 0.2:
        records.insert(random.randint(0, len(records)), stream.gap())
    return Round(number, tuple(records))


async def send(store: SqliteStore, sent: Round) -> None:
    """Sends the calls of a round at the same time, and waits for all answers."""
    answers = await asyncio.gather(
        *(store.transact(call) for call in sent.calls()), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, OutOfRangeError):
            raise answer


def content_of(connection: apsw.Connection) -> bytes:
    """Returns a digest of every stored row, without the random ids of the file."""
    tables = (
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('identity', 'store') "
        "ORDER BY name"
    )
    digest = hashlib.sha256()
    for (table,) in connection.execute(tables).fetchall():
        digest.update(repr(table).encode())
        for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own name
            digest.update(repr(row).encode())
    return digest.digest()
