"""Tests of `last_heard`, the time of an arm's newest event or heartbeat."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from podium._limits.limits import Limits
from podium.errors import FailedPreconditionError
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED, ArmResult, ArmSummary
from podium.v1.event_pb2 import ArmAnnotated, ArmFinished, Event, MetricsRecorded
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest, ListArmsRequest
from podium_server.api import recording
from podium_server.store.calls import Subject
from podium_server.testing.calls import arm, declared, metrics, row, started

from tests.server.store.places import Place, opened
from tests.server.writes.ways import Direct, Way

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Clock = Callable[[float], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Returns a function that sets the server's clock, in seconds after `_BEGIN`."""

    def set_clock(seconds: float) -> None:
        micros = int((_BEGIN + timedelta(seconds=seconds)).timestamp() * 1_000_000)
        monkeypatch.setattr(recording, "_now", lambda: micros)

    set_clock(0)
    return set_clock


async def _record(way: Way, *events: Event) -> Any:
    return await way.call("Record", RecordRequest(experiment="x", events=events))


async def _arm(way: Way) -> ArmResult:
    response: Any = await way.call("GetArm", GetArmRequest(experiment="x", arm="a"))
    found: ArmResult = response.arm_result
    return found


async def _heard(way: Way) -> float:
    """Returns the `last_heard` that GetArm and ListArms both have, in seconds after `_BEGIN`."""
    response: Any = await way.call("ListArms", ListArmsRequest(experiment="x"))
    summary: ArmSummary = next(found for found in response.arms if found.name == "a")
    found = await _arm(way)
    assert summary.last_heard == found.last_heard
    return (found.last_heard.ToDatetime(UTC) - _BEGIN).total_seconds()


def _heartbeat(attempt: str | None = "A") -> Event:
    return Event(metrics_recorded=MetricsRecorded(arm="a", attempt_id=attempt))


async def test_every_kind_of_event_sets_last_heard(direct: Way, at: Clock) -> None:
    """A start, metrics, a row and an end each set `last_heard` to the time of their call."""
    events = [started("a", "A", 1), metrics({"loss": 1}), row("val"), started("a", "B", 2)]
    await _record(direct, declared())
    for second, event in enumerate(events, start=1):
        at(second)
        await _record(direct, event)
        assert await _heard(direct) == second
    at(9)
    await _record(direct, Event(arm_finished=ArmFinished(arm="a", status=ARM_STATUS_COMPLETED)))
    assert await _heard(direct) == 9


async def test_a_heartbeat_changes_only_last_heard(direct: Way, at: Clock) -> None:
    """A MetricsRecorded without metrics sets `last_heard`, but no revision or update_time."""
    await _record(direct, declared(), started("a", "A", 1))
    before = await _arm(direct)
    at(40)
    response = await _record(direct, _heartbeat())
    assert (response.revision, response.changed_events) == (1, 0)
    after = await _arm(direct)
    assert (after.revision, after.update_time) == (before.revision, before.update_time)
    assert await _heard(direct) == 40


async def test_heartbeats_close_together_are_one(direct: Way, at: Clock) -> None:
    """A heartbeat changes `last_heard` only if that is at least 5 seconds old."""
    await _record(direct, declared(), started("a", "A", 1))
    for second, heard in ((4.9, 0), (5, 5), (9, 5), (10, 10)):
        at(second)
        await _record(direct, _heartbeat())
        assert await _heard(direct) == heard


async def test_repeated_events_set_last_heard(direct: Way, at: Clock) -> None:
    """A row or a start that is sent again sets `last_heard`, and changes nothing else."""
    await _record(direct, declared(), started("a", "A", 1))
    await _record(direct, row("val"))
    for second, event in ((10, row("val")), (20, started("a", "A", 1))):
        at(second)
        assert (await _record(direct, event)).changed_events == 0
        assert await _heard(direct) == second


async def test_a_rejected_event_does_not_change_last_heard(direct: Way, at: Clock) -> None:
    """An event of an old attempt is rejected and does not change `last_heard`."""
    await _record(direct, declared(), started("a", "A", 1))
    await _record(direct, started("a", "B", 2))
    at(30)
    with pytest.raises(FailedPreconditionError):
        await _record(direct, _heartbeat("A"))
    assert await _heard(direct) == 0


async def test_an_annotation_is_no_sign_of_life(direct: Way, at: Clock) -> None:
    """An annotation of a running arm changes its update_time, but not its `last_heard`."""
    await _record(direct, declared(), started("a", "A", 1))
    before = await _arm(direct)
    at(30)
    note = Event(arm_annotated=ArmAnnotated(arm="a", notes="it hangs", add_tags=["dead"]))
    assert (await _record(direct, note)).changed_events == 1
    assert (await _arm(direct)).update_time.seconds == before.update_time.seconds + 30
    assert await _heard(direct) == 0
    await _record(direct, note)
    assert await _heard(direct) == 0


async def test_a_heartbeat_after_the_end_does_not_change_last_heard(direct: Way, at: Clock) -> None:
    """A heartbeat for an arm that has ended does not change `last_heard`."""
    await _record(direct, declared(), arm("a", status=ARM_STATUS_COMPLETED))
    at(30)
    await _record(direct, _heartbeat(None))
    assert await _heard(direct) == 0


async def test_last_heard_is_stored(place: Place, at: Clock) -> None:
    """`last_heard` is kept when the store is closed and opened again."""
    async with opened(place) as store:
        await _record(Direct(store, Limits()), declared(), started("a", "A", 1))
        at(60)
        await _record(Direct(store, Limits()), _heartbeat())
    async with opened(place) as store:
        assert await _heard(Direct(store, Limits())) == 60


class _Listener:
    """Keeps the subjects of every commit."""

    watched: Collection[str] = ()

    def __init__(self) -> None:
        self.subjects: list[Subject] = []

    def changing(self, subjects: Collection[Subject]) -> None:
        """Keeps the subjects of a commit."""
        self.subjects.extend(subjects)

    def changed(self, subjects: Collection[Subject]) -> None:
        """Does nothing."""


async def test_caches_learn_of_a_heartbeat(place: Place, at: Clock) -> None:
    """After a heartbeat, the store reports the arm as changed, so that caches forget it."""
    listener = _Listener()
    async with opened(place) as store:
        await _record(Direct(store, Limits()), declared(), started("a", "A", 1))
        store.listen(listener)
        at(60)
        await _record(Direct(store, Limits()), _heartbeat())
    assert listener.subjects == [("x", "a")]
