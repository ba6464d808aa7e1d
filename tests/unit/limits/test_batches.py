"""Tests of how events are divided into calls that a server accepts."""

from typing import Any

import pytest
from podium._limits.batches import Batch, Load, batches, is_too_large, record_all
from podium.errors import PodiumError, RefusedEvent, error_for
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import ArmRecorded, Event, ExperimentConcluded, MetricsRecorded

from tests.each import each

_MIB = 2**20
_REFUSED = RefusedEvent(0, "LIMIT_EXCEEDED", permanent=True, message="")
_TOO_LARGE = error_for("LIMIT_EXCEEDED", "too many events")


def _text(size: int) -> Event:
    return Event(experiment_concluded=ExperimentConcluded(conclusion="x" * size))


def _metrics(count: int) -> Event:
    return Event(metrics_recorded=MetricsRecorded(metrics={str(n): 1.0 for n in range(count)}))


def _arm(*rows: EvalResult) -> Event:
    return Event(arm_recorded=ArmRecorded(arm_result=ArmResult(name="a", evals=rows)))


def _row(step: int, size: int = 0) -> EvalResult:
    return EvalResult(name="v", step=step, model_ref="x" * size)


def _shape(found: list[Batch]) -> list[list[str]]:
    """Returns the events of each call as strings.

    The string of an arm has the steps of its rows. The string of a single row is its step.
    """

    def named(event: Event) -> str:
        arm = event.arm_recorded.arm_result
        steps = [row.step for row in arm.evals]
        return f"arm{steps}" if arm.name else str(event.eval_recorded.eval_result.step)

    return [[named(event) for event in batch.events()] for batch in found]


@each(
    ("events", "counts"),
    [
        ([], []),
        ([_text(0)] * 1_000, [1_000]),
        ([_text(0)] * 1_001, [1_000, 1]),
        ([_metrics(5_000)] * 2, [2]),
        ([_metrics(5_000), _metrics(5_001)], [1, 1]),
        ([_text(19 * _MIB // 10)] * 2, [2]),
        ([_text(39 * _MIB // 20)] * 2, [1, 1]),
        ([_text(5 * _MIB), _text(0)], [1, 1]),
        ([_text(0), _text(5 * _MIB), _text(0)], [1, 1, 1]),
    ],
)
def test_the_events_of_a_call(events: list[Event], counts: list[int]) -> None:
    """Each call is filled up to the limits of events, metric values and bytes.

    The events keep their order.
    """
    found = batches((str(n), event) for n, event in enumerate(events))
    assert [len(batch.places) for batch in found] == counts
    assert [place for batch in found for place in batch.places] == [
        str(n) for n in range(len(events))
    ]
    assert [event for batch in found for event in batch.events()] == events


def test_an_arm_that_is_too_large() -> None:
    """If an arm is too large for a call, it is sent with the rows that fit.

    The other rows follow one by one. Of several rows with the same step, only the first is sent. A
    row without a time of its own gets the arm's time.
    """
    rows = [_row(step, _MIB) for step in (1, 2, 2, 3, 4, 5)]
    rows[2].model_ref = "y"
    rows[5].event_time.seconds = 9
    event = _arm(*rows)
    event.event_time.seconds = 7
    found = batches([("place", event)])
    assert _shape(found) == [["arm[1, 2, 3]"], ["4", "5"]]
    assert [batch.places for batch in found] == [["place"], ["place"] * 2]
    assert [each.event_time.seconds for batch in found for each in batch.events()] == [7, 7, 9]
    assert next(found[0].events()).arm_recorded.arm_result.evals[1].model_ref == "x" * _MIB


@each(
    ("events", "halves"),
    [
        ([_arm(), _arm(_row(1)), _arm(_row(2))], [["arm[]"], ["arm[1]", "arm[2]"]]),
        ([_arm(_row(1), _row(2), _row(3))], [["arm[1]"], ["2", "3"]]),
        ([_arm(_row(1))], [["arm[]"], ["1"]]),
        ([_arm()], None),
        ([_text(1)], None),
    ],
)
def test_the_halves_of_a_call(events: list[Event], halves: list[list[str]] | None) -> None:
    """A call that is too large is halved.

    A call of a single event is divided only if the event is an arm with rows.
    """
    batch = Batch([("place", event) for event in events])
    if halves is None:
        with pytest.raises(PodiumError) as raised:
            batch.halves(_TOO_LARGE)
        assert raised.value is _TOO_LARGE
    else:
        assert _shape(batch.halves(_TOO_LARGE)) == halves
    with pytest.raises(PodiumError, match="later"):
        batch.halves(error_for("SHUTTING_DOWN", "later"))


@each(
    ("error", "is_size"),
    [
        (_TOO_LARGE, True),
        (error_for("LIMIT_EXCEEDED", "", None, [_REFUSED]), False),
        (PodiumError("Received message larger than max (5 vs. 4)"), True),
        (error_for("NAME_INVALID", "it has too many bytes"), False),
    ],
)
def test_which_errors_are_about_the_size_of_a_call(error: PodiumError, *, is_size: bool) -> None:
    """`is_too_large` is true for an error about the size of a whole call.

    It is false for an error about single events, or with another reason.
    """
    assert is_too_large(error) is is_size


def test_a_server_that_takes_few_events() -> None:
    """A call that the server rejects for its size is halved until the server takes the halves.

    Events keep their order.
    """
    calls: list[list[str]] = []

    def record(batch: Batch) -> int:
        if len(batch.places) > 2:
            raise _TOO_LARGE
        calls.append(batch.places)
        return len(batch.places)

    sent = [Batch([(str(n), _text(n)) for n in range(begin, begin + 5)]) for begin in (0, 5)]
    found: Any = list(record_all(sent, record))
    assert calls == [["0", "1"], ["2"], ["3", "4"], ["5", "6"], ["7"], ["8", "9"]]
    assert [count for _, count in found] == [2, 1, 2, 2, 1, 2]


def test_loads_are_added() -> None:
    """A load has three counts: events, metric values and bytes. `plus` adds each of them.

    A load does not fit into a call if any of its counts exceeds the limit.
    """
    assert Load(1, 2, 3).plus(Load(10, 20, 30)) == Load(11, 22, 33)
    loads = (Load(1_001), Load(0, 10_001), Load(0, 0, 41), Load(1_000, 10_000, 40))
    assert [load.fits(40) for load in loads] == [False, False, False, True]
