"""Groups rejected events by attempt, and plans how to send them so that a server accepts them.

A server rejects all events of an attempt if its arm has finished or has a newer attempt. It accepts
the same events if they restart the arm, or if they name another arm.
"""

import argparse
import time
from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from podium._model.results import ArmResult, ArmSummary
from podium._outbox import RejectedEvent
from podium._wire import codec
from podium.cli._outboxes import StreamView, event_of
from podium.v1 import arm_result_pb2
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import ArmStarted, Event
from podium.v1.run_config_pb2 import RunConfig

__all__ = [
    "Item",
    "RejectedAttempt",
    "as_other_arm",
    "as_restart",
    "attempts_of",
    "has_only_events_of",
    "is_chosen",
]

_WITH_ATTEMPT = ("metrics_recorded", "eval_recorded", "arm_finished")
_START_IS_DELIVERED = (
    "the server has accepted the start of this attempt, so --restart would delete the "
    "results that the server already has; `--as NAME` records the rejected events as another arm"
)
_ARM_IS_LOST = (
    "the record of the whole arm is damaged; `--as NAME` adds its rows to an arm that exists"
)
_OUTPUT_ONLY = {
    "experiment",
    "revision",
    "create_time",
    "update_time",
    "attempt",
    "last_heard",
    "tags",
}
_NOT_REPLACED = {"name", "evals", *_OUTPUT_ONLY}
"""The fields of an ArmResult that `has_only_events_of` ignores or compares in another way."""
_NAME_IS_TAKEN = "the experiment already has an arm {!r}; give another name"


class Item(NamedTuple):
    """A rejected event, and its stream in an outbox."""

    stream: StreamView
    rejected: RejectedEvent
    event: Event | None
    """The event. None if this version cannot read it."""


class RejectedAttempt(NamedTuple):
    """The rejected events of one attempt at an arm, in order."""

    experiment: str
    arm: str | None
    """The name of the arm. None for events of the experiment itself."""
    attempt_id: str | None
    """The id of the attempt. None for events without an attempt."""
    items: list[Item]

    @property
    def start(self) -> ArmStarted | None:
        """The start of the attempt, or None if it is not one of the rejected events."""
        starts = (each.arm_started for each in self.events if each.HasField("arm_started"))
        return next(starts, None)

    @property
    def whole_arm(self) -> arm_result_pb2.ArmResult | None:
        """The arm of the first rejected `arm_recorded` event, or None if there is no such event."""
        wholes = (each.arm_recorded for each in self.events if each.HasField("arm_recorded"))
        return next((whole.arm_result for whole in wholes), None)

    @property
    def loss(self) -> str:
        """The reason why the rows of a whole arm cannot be sent: its first event is damaged.

        Empty if the rows can be sent.
        """
        has_lost_arm = any(
            item.event is None and item.rejected.sequence == 1 and item.stream.info.is_whole_arm
            for item in self.items
        )
        return _ARM_IS_LOST if has_lost_arm else ""

    @property
    def events(self) -> list[Event]:
        """The events that this version can read."""
        return [item.event for item in self.items if item.event is not None]


class Plan(NamedTuple):
    """The arm and the attempt for which rejected events are sent again."""

    experiment: str
    arm: str
    attempt_id: str | None = None
    start: Event | None = None
    """The start of the attempt, to send first. None if the server has the attempt already."""
    replace: bool = False
    """Whether an `arm_recorded` event may replace an arm that has attempts."""

    def event(self, event: Event) -> Event | None:
        """Returns an event with the plan's arm and attempt.

        Returns None for the start of an attempt if the plan has a start to send instead.
        """
        kind = event.WhichOneof("kind")
        if kind == "arm_started":
            return None if self.start is not None else event
        sent = Event()
        sent.CopyFrom(event)
        if kind == "arm_recorded":
            sent.arm_recorded.arm_result.name = self.arm
            sent.arm_recorded.replace |= self.replace
        elif kind == "arm_annotated":
            sent.arm_annotated.arm = self.arm
        elif kind in _WITH_ATTEMPT:
            content = getattr(sent, kind)
            content.arm = self.arm
            if content.HasField("attempt_id") and self.attempt_id is not None:
                content.attempt_id = self.attempt_id
        return sent


def is_chosen(
    stream: StreamView, rejected: RejectedEvent | None, given: argparse.Namespace
) -> bool:
    """Returns whether --experiment, --arm and --reason select a rejected event.

    If the event is None, returns whether they select the stream's waiting events.
    """
    if given.experiment not in {None, stream.info.experiment}:
        return False
    if given.arm not in {None, stream.info.arm}:
        return False
    return given.reason in {None, rejected and rejected.reason}


def attempts_of(chosen: Iterable[tuple[StreamView, RejectedEvent]]) -> list[RejectedAttempt]:
    """Groups rejected events by experiment, arm and attempt, in the order of their first events.

    The stream of a whole arm is a group of its own, because the rows of the arm must not be sent
    without the arm.
    """
    found: dict[tuple[Any, ...], RejectedAttempt] = {}
    for stream, rejected in chosen:
        # A damaged record has no content.
        event = event_of(rejected.event) if rejected.event else None
        names = stream.info.experiment, *_names_of(event, stream)
        key = *names, stream.folder if stream.info.is_whole_arm else None
        found.setdefault(key, RejectedAttempt(*names, [])).items.append(
            Item(stream, rejected, event)
        )
    return list(found.values())


def as_restart(attempt: RejectedAttempt, known: ArmSummary | None) -> Plan | str:
    """Returns a plan to send an attempt as the newest attempt of its arm.

    Returns the reason instead if the attempt cannot be sent. `known` is the arm, or None if the
    server lacks it.
    """
    arm = attempt.arm or ""
    if attempt.attempt_id is None:
        return attempt.loss or Plan(attempt.experiment, arm, replace=True)
    newest = _own_attempt(attempt, known)
    if attempt.start is None and known is not None:
        return Plan(attempt.experiment, arm, newest) if newest else _START_IS_DELIVERED
    start = attempt.start or _start_without(arm)
    return _started(attempt, start, Plan(attempt.experiment, arm), known)


def as_other_arm(
    attempt: RejectedAttempt,
    target: Plan,
    known: ArmSummary | None,
    original: ArmSummary | None,
    *,
    is_from_retry: bool,
) -> Plan | str:
    """Returns a plan to send an attempt as another arm, or rows without an attempt to another arm.

    Args:
        attempt: The attempt.
        target: A plan that has only the experiment and the name of the other arm.
        known: The other arm, or None if the server lacks it. If it exists, an attempt can be sent
            to it only if an earlier, interrupted retry has created it.
        original: The arm that the attempt was recorded for, or None if the server lacks it.
        is_from_retry: Whether `has_only_events_of` is true of the other arm.

    Returns:
        The plan, or the reason why the attempt cannot be sent.
    """
    newest = _own_attempt(attempt, known)
    creates = attempt.attempt_id is not None or attempt.whole_arm is not None
    if known is not None and newest is None and creates and not is_from_retry:
        return _NAME_IS_TAKEN.format(target.arm)
    if attempt.attempt_id is None or (attempt.start is None and newest):
        return target._replace(attempt_id=newest)
    start = attempt.start
    if start is None and original is not None:
        start = ArmStarted(run_config=codec.run_config_to_proto(original.run_config))
    start = start or _start_without(attempt.arm or target.arm)
    return _started(attempt, start, target, known)


def has_only_events_of(attempt: RejectedAttempt, arm: ArmResult) -> bool:
    """Returns whether every value of a stored arm is from the rejected events of an attempt.

    An interrupted retry leaves such an arm. If the events are sent to it again, the arm loses no
    values. Returns False if the rejected events do not include an `arm_recorded` event.
    """
    whole = attempt.whole_arm
    if whole is None or arm.attempt is not None:
        return False
    recorded = (each.eval_recorded for each in attempt.events if each.HasField("eval_recorded"))
    rows = {*map(_content, whole.evals), *(_content(each.eval_result) for each in recorded)}
    stored = codec.arm_result_to_proto(arm)
    if not rows.issuperset(map(_content, stored.evals)):
        return False
    kept = set(_NOT_REPLACED)
    if not whole.HasField("annotations"):
        kept.add("annotations")
    if stored.evals:
        # The server reads these fields from the rows. A recorded eval_seconds takes precedence.
        kept |= {"eval_metrics", "eval_breakdowns"}
        seconds = {row.eval_seconds for row in stored.evals if row.HasField("eval_seconds")}
        if not whole.HasField("eval_seconds") and stored.eval_seconds in seconds:
            kept.add("eval_seconds")
    return _without(kept, stored) == _without(kept, whole)


def _without(names: Container[str], arm: arm_result_pb2.ArmResult) -> bytes:
    given = {field.name: value for field, value in arm.ListFields() if field.name not in names}
    return arm_result_pb2.ArmResult(**given).SerializeToString(deterministic=True)


def _content(row: EvalResult) -> bytes:
    """Returns a row as bytes, without the fields that the server sets."""
    given = EvalResult()
    given.CopyFrom(row)
    for field in ("revision", "event_time", "record_time"):
        given.ClearField(field)
    return given.SerializeToString(deterministic=True)


def _start_without(arm: str) -> ArmStarted:
    """Returns a start, with only the arm's name, for an attempt whose own start is damaged."""
    return ArmStarted(run_config=RunConfig(name=arm))


def _started(
    attempt: RejectedAttempt, start: ArmStarted, target: Plan, known: ArmSummary | None
) -> Plan:
    order = time.time_ns() // 1_000_000
    attempt_id = attempt.attempt_id or ""
    if known is not None and known.attempt is not None:
        order = max(order, known.attempt.order + 1)
    if _own_attempt(attempt, known):
        # A server accepts only one order for each attempt_id.
        attempt_id = f"{attempt_id}-{order}"
    event = Event(arm_started=start)
    event.arm_started.arm = target.arm
    event.arm_started.attempt.id = attempt_id
    event.arm_started.attempt.order = order
    if start.WhichOneof("mode") != "resume_step":
        event.arm_started.restart = True
    first = next((each.event_time for each in attempt.events), None)
    if first is not None:
        event.event_time.CopyFrom(first)
    return target._replace(attempt_id=attempt_id, start=event)


def _own_attempt(attempt: RejectedAttempt, known: ArmSummary | None) -> str | None:
    """Returns the id of the arm's newest attempt if it is this attempt, or its copy by a retry.

    Otherwise returns None.
    """
    if attempt.attempt_id is None or known is None or known.attempt is None:
        return None
    newest = known.attempt.id
    is_own = newest == attempt.attempt_id or newest.startswith(f"{attempt.attempt_id}-")
    return newest if is_own else None


def _names_of(event: Event | None, stream: StreamView) -> tuple[str | None, str | None]:
    """Returns the name of the arm and the id of the attempt that an event belongs to."""
    if event is None:
        return stream.info.arm, None
    kind = event.WhichOneof("kind")
    if kind == "arm_started":
        return event.arm_started.arm, event.arm_started.attempt.id
    if kind == "arm_recorded":
        return event.arm_recorded.arm_result.name, None
    if kind == "arm_annotated":
        return event.arm_annotated.arm, None
    if kind not in _WITH_ATTEMPT:
        return None, None
    content = getattr(event, kind)
    return content.arm, content.attempt_id if content.HasField("attempt_id") else None
