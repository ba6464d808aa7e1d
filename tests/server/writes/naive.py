"""A second, naive implementation of the rules of writes, in memory.

Nothing here is fast or clever, and nothing is shared with `podium_server.writes`. Each function
follows a sentence of the contract. Before each event, everything is copied. A comparison with the
copy shows whether the event changed anything.
"""

import struct
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING, Attempt
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import RecordRequest, ReplacedAttempt

from tests.server.writes.naive_events import apply_event, lacks_attempt
from tests.server.writes.naive_state import Arm, Experiment, NaiveError, Stream, encoded, moment

__all__ = ["Outcome", "delete_arm", "delete_experiment", "record"]


@dataclass
class Outcome:
    """The result of a Record call."""

    revision: int = 0
    changed: int = 0
    skipped: int = 0
    last: int | None = None
    kept: list[tuple[int, str]] = field(default_factory=list)
    replaced: list[ReplacedAttempt] = field(default_factory=list)


def record(experiment: Experiment, request: RecordRequest, invalid: dict[int, str]) -> Outcome:
    """Applies a Record call to an experiment. If it raises, it has changed nothing.

    `invalid` has the reason of each invalid event, by the index of the event.
    """
    trial, outcome = deepcopy(experiment), Outcome()
    stream, outcome.skipped = _place(trial, request)
    refused = {}
    for index in range(outcome.skipped, len(request.events)):
        before = deepcopy(trial)
        try:
            kept = _judge(trial, request, index, invalid.get(index))
        except NaiveError as error:
            refused[index] = error.reason
            _restore(trial, before)
        else:
            outcome.kept += [(index, path) for path in kept]
            outcome.changed += _note_changes(before, trial)
            outcome.replaced += _replaced(before, trial, request.events[index], index)
    if refused:
        raise NaiveError(next(iter(refused.values())), refused)
    trial.revision += outcome.changed > 0
    stream = _stream_of(trial, request)
    if stream is not None:
        last = request.position.first_sequence + len(request.events) - 1
        stream.last = outcome.last = max(stream.last, last)
    outcome.revision = trial.revision
    _restore(experiment, trial)
    return outcome


def _replaced(
    before: Experiment, after: Experiment, event: Event, index: int
) -> list[ReplacedAttempt]:
    """Returns the running attempt that an event has replaced. Leaves out its `quiet_seconds`."""
    old, new = before.arm(event.arm_started.arm), after.arm(event.arm_started.arm)
    if old is None or old.status != ARM_STATUS_RUNNING or old.attempt is None:
        return []
    if new is None or old.attempt == new.attempt:
        return []
    attempt = Attempt(id=old.attempt[0], order=old.attempt[1])
    replaced = ReplacedAttempt(event_index=index, attempt=attempt)
    if "provenance" in old.facts and old.facts["provenance"].HasField("host"):
        replaced.host = old.facts["provenance"].host
    return [replaced]


def _judge(
    experiment: Experiment, request: RecordRequest, index: int, invalid: str | None
) -> list[str]:
    if invalid:
        raise NaiveError(invalid)
    event, stream = request.events[index], _stream_of(experiment, request)
    if stream is None and experiment.alive and lacks_attempt(event, request.events):
        raise NaiveError("EVENT_NEEDS_ATTEMPT")
    return apply_event(experiment, event, stream)


def delete_arm(experiment: Experiment, name: str, *, allow_missing: bool) -> int:
    """Deletes an arm. Returns the experiment's revision."""
    arm = experiment.arm(name)
    if not experiment.alive or arm is None:
        if allow_missing:
            return experiment.revision
        raise NaiveError("ARM_NOT_FOUND" if experiment.alive else "EXPERIMENT_NOT_FOUND")
    experiment.arms.remove(arm)
    for stream in experiment.streams.values():
        if stream.subject == name and not stream.closed:
            stream.closed = "ARM_DELETED"
    experiment.revision += 1
    return experiment.revision


def delete_experiment(experiment: Experiment, *, allow_missing: bool) -> int:
    """Deletes an experiment. Returns its revision."""
    if not experiment.alive:
        if allow_missing:
            return experiment.revision
        raise NaiveError("EXPERIMENT_NOT_FOUND")
    for stream in experiment.streams.values():
        stream.closed = "EXPERIMENT_DELETED"
    gone = Experiment(revision=experiment.revision + 1, streams=experiment.streams)
    _restore(experiment, gone)
    return experiment.revision


def _restore(experiment: Experiment, other: Experiment) -> None:
    vars(experiment).update(vars(other))


def _place(experiment: Experiment, request: RecordRequest) -> tuple[Stream | None, int]:
    """Returns the stream of a call, and how many of its events had been applied before."""
    stream = _stream_of(experiment, request)
    if stream is None:
        return None, 0
    ahead = request.position.first_sequence - (stream.last + 1)
    if ahead > 0:
        raise NaiveError("SEQUENCE_GAP")
    return stream, min(-ahead, len(request.events))


def _stream_of(experiment: Experiment, request: RecordRequest) -> Stream | None:
    if not request.HasField("position"):
        return None
    return experiment.streams.setdefault(request.position.writer_id, Stream())


def _note_changes(before: Experiment, after: Experiment) -> bool:
    """Returns whether an event changed anything that can be read.

    Sets the revision of each arm that the event changed.
    """
    old = {arm.name: _looks(arm) for arm in before.arms}
    for arm in after.arms:
        if old.get(arm.name) != _looks(arm):
            arm.revision = after.revision + 1
    said = [(x.alive, encoded(x.said), [_looks(arm) for arm in x.arms]) for x in (before, after)]
    return said[0] != said[1]


def _looks(arm: Arm) -> Any:
    rows = [(encoded(row.said), moment(row.event_time)) for row in arm.rows]
    metrics = {key: struct.pack("<d", value) for key, value in arm.metrics.items()}
    series = {at: struct.pack("<d", value) for at, value in arm.series.items()}
    facts = {key: encoded(v) if isinstance(v, Message) else repr(v) for key, v in arm.facts.items()}
    given = None if arm.given is None else encoded(arm.given)
    said = (metrics, series, rows, given, facts, repr(arm.noted))
    return arm.name, encoded(arm.config), arm.status, said, arm.attempt
