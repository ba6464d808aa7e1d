"""The kinds of events.

The functions of a kind find the subject of an event: the arm or the experiment that it is about.
They also list the data that the store must load for the event, and apply the event.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits.event_checks import check_fields, plain_row
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.event_pb2 import ArmAnnotated, ArmFinished, EvalRecorded, Event, MetricsRecorded

from podium_server.errors import unknown_arm
from podium_server.store.calls import ArmNeeds
from podium_server.store.rows import PART_NAMES, SERIES_PART
from podium_server.writes import annotations, arms, attempts, experiments, outcomes, rows
from podium_server.writes.call_state import CallState
from podium_server.writes.encoding import plain_time
from podium_server.writes.state import ArmState, ParsedRow

__all__ = ["EXPERIMENT", "KINDS", "Context", "Kind", "ParsedEvent", "parse_events"]

EXPERIMENT = ""
"""The subject of events about the experiment itself. No arm has an empty name."""


@dataclass(slots=True)
class Context:
    """The state that an event is applied to, and the event's index and time."""

    state: CallState
    limits: Limits
    index: int = 0
    event_time: Timestamp | None = None
    row_arm: tuple[str, str | None, ArmState] | None = None
    """The arm's name, the attempt's id, and the arm of the last event, if that was an eval row.

    The arm has been checked for this attempt. None if the last event was of another kind.
    """


class Kind(NamedTuple):
    """A kind of event.

    Its functions take the result of `read`, which is the message of the kind by default.
    """

    subject: Callable[[Any], str | None]
    """A function that returns the event's subject: an arm's name, EXPERIMENT, or None."""
    need: Callable[[ArmNeeds, Any], None]
    """A function that adds to the needs of an arm the data that the store must load."""
    apply: Callable[[Context, Any], None]
    """A function that applies the event. If it raises an error, it has changed nothing."""
    read: Callable[[Any], Any] = lambda body: body
    """A function that parses the message of the kind once. The other functions get its result."""
    attempt: Callable[[Any], str | None] = lambda _body: None
    """A function that returns the id of the attempt that the event names."""
    creates_experiment: bool = False
    """Whether the event is accepted before the experiment exists."""
    heavy: bool = False
    """Whether the event may write or remove very many rows."""


@dataclass(slots=True)
class ParsedEvent:
    """A parsed event, with its subject (see `Kind.subject`) and its time."""

    kind: Kind
    subject: str | None
    body: Any
    event_time: Timestamp | None

    @property
    def attempt_id(self) -> str | None:
        """The id of the attempt that the event names, or None."""
        return self.kind.attempt(self.body)


def parse_events(
    events: Iterable[Event], size: int, limits: Limits
) -> list[ParsedEvent | PodiumError]:
    """Checks and parses events. Returns each parsed event, or the error of an invalid one.

    Args:
        events: The events of a call.
        size: The size of the call in bytes.
        limits: The limits of the server.
    """
    if size > limits.row_bytes:
        return [_parse(event, limits) for event in events]
    return [_parse_plain(event, limits) or _parse(event, limits) for event in events]


def _parse_plain(event: Event, limits: Limits) -> ParsedEvent | None:
    """Parses an event with a plain eval row (see `plain_row`). Returns None for any other event."""
    plain = plain_row(event, limits)
    if plain is None:
        return None
    row, arm, attempt_id, tags = plain
    parsed = rows.read_plain(row, arm, attempt_id, tags)
    return ParsedEvent(_ROW, arm, parsed, _time_of(event))


def _parse(event: Event, limits: Limits) -> ParsedEvent | PodiumError:
    try:
        check_fields(event, limits)
    except PodiumError as error:
        # The traceback of an error would keep the whole call in memory.
        return error.with_traceback(None)
    name = event.WhichOneof("kind") or "skipped"
    kind = KINDS[name]
    body = kind.read(getattr(event, name))
    return ParsedEvent(kind, kind.subject(body), body, _time_of(event))


def _time_of(event: Event) -> Timestamp | None:
    return plain_time(event.event_time) if event.HasField("event_time") else None


def _own_arm(body: Any) -> str:
    arm: str = body.arm
    return arm


def _attempt_of(body: Any) -> str | None:
    return body.attempt_id if body.HasField("attempt_id") else None


def _read_row(body: EvalRecorded) -> ParsedRow:
    row = body.eval_result
    rows.clear_outputs(row)
    return rows.read(row, body.arm, _attempt_of(body))


def _no_need(_needs: ArmNeeds, _body: Any) -> None:
    """Adds nothing, for kinds that need no further data."""


def _need_everything(needs: ArmNeeds, whole: arms.WholeArm) -> None:
    needs.parts.update((*PART_NAMES, SERIES_PART))
    needs.all_rows = True
    for key, row in whole.rows.items():
        needs.sizes.setdefault(key, set()).add(len(row.parsed.content))


def _need_parts(*names: str) -> Callable[[ArmNeeds, Any], None]:
    return lambda needs, _body: needs.parts.update(names)


def _need_metrics(needs: ArmNeeds, body: MetricsRecorded) -> None:
    needs.parts.add("metrics")
    if body.HasField("step"):
        needs.point_steps.add(body.step)
        needs.parts.add(SERIES_PART)


def _need_row(needs: ArmNeeds, row: ParsedRow) -> None:
    needs.keys.add(row.key)


def _annotate(context: Context, body: ArmAnnotated) -> None:
    arm = _known_arm(context, body.arm)
    # An annotation does not show that the training runs: people also annotate arms whose training
    # process has died.
    heard = arm.row.last_heard
    annotations.annotate(arm, body, context.limits)
    arm.row.last_heard = heard


def _known_arm(context: Context, name: str) -> ArmState:
    arm = context.state.arm(name)
    if arm is None:
        raise unknown_arm(context.state.experiment.name, name)
    return arm


def _heard_arm(context: Context, name: str, attempt_id: str | None) -> ArmState:
    arm = _known_arm(context, name)
    attempts.check_named(arm, attempt_id)
    arm.hear()
    return arm


def _record_metrics(context: Context, body: MetricsRecorded) -> None:
    arm = _heard_arm(context, body.arm, _attempt_of(body))
    arms.record_metrics(arm, body, context.limits)


def _record_row(context: Context, row: ParsedRow) -> None:
    known = context.row_arm
    if known is None or known[0] != row.arm or known[1] != row.attempt_id:
        arm = _heard_arm(context, row.arm, row.attempt_id)
        known = context.row_arm = (row.arm, row.attempt_id, arm)
    rows.record(known[2], row, context.event_time)


def _finish(context: Context, body: ArmFinished) -> None:
    outcomes.finish(_heard_arm(context, body.arm, _attempt_of(body)), body, context.limits)


KINDS: dict[str, Kind] = {
    "experiment_declared": Kind(
        lambda _body: EXPERIMENT,
        _no_need,
        lambda context, body: experiments.declare(
            context.state, context.index, body, context.limits
        ),
        creates_experiment=True,
    ),
    "experiment_concluded": Kind(
        lambda _body: EXPERIMENT,
        _no_need,
        lambda context, body: experiments.conclude(context.state, body, context.limits),
    ),
    "arm_started": Kind(
        _own_arm,
        _need_parts(*PART_NAMES, SERIES_PART),
        lambda context, body: arms.start(context.state, context.index, body, context.limits),
        attempt=lambda body: str(body.attempt.id),
        heavy=True,
    ),
    "metrics_recorded": Kind(
        _own_arm,
        _need_metrics,
        _record_metrics,
        attempt=_attempt_of,
    ),
    "eval_recorded": Kind(
        _own_arm,
        _need_row,
        _record_row,
        read=_read_row,
        attempt=lambda row: row.attempt_id,
    ),
    "arm_finished": Kind(
        _own_arm,
        _need_parts("facts"),
        _finish,
        attempt=_attempt_of,
    ),
    "arm_annotated": Kind(_own_arm, _need_parts("config", "facts"), _annotate),
    "arm_recorded": Kind(
        lambda whole: str(whole.result.name),
        _need_everything,
        lambda context, whole: arms.record_whole(
            context.state, whole, context.event_time, context.limits
        ),
        read=arms.read_whole,
        heavy=True,
    ),
    "skipped": Kind(lambda _body: None, _no_need, lambda _context, _body: None),
}
"""The kinds by the name of their field in `podium.v1.Event`."""
_ROW = KINDS["eval_recorded"]
