"""Tests of scenarios of a sweep, over the wire and directly in a store."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits.limits import Limits
from podium.errors import FailedPreconditionError
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED, ArmResult
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.recording_service_pb2 import DeleteArmRequest, RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest, ScoreRequest
from podium_server.testing.calls import arm, declared, metrics, row, started

from tests.server.store.places import Place, opened
from tests.server.writes.conftest import MakeWire
from tests.server.writes.sender import Sender
from tests.server.writes.ways import Direct, Way


@pytest.fixture(params=["wire", "direct"])
async def way(request: pytest.FixtureRequest, wire: MakeWire, place: Place) -> AsyncIterator[Way]:
    """Yields each of the two ways to make calls: over the wire, and directly."""
    if request.param == "wire":
        yield wire({})
        return
    async with opened(place) as store:
        yield Direct(store, Limits())


class _Sweep:
    """An experiment that is used without streams."""

    def __init__(self, way: Way, name: str) -> None:
        self._way = way
        self._name = name

    async def record(self, *events: Event) -> Any:
        """Records events."""
        return await self._way.call("Record", RecordRequest(experiment=self._name, events=events))

    async def arm(self) -> ArmResult:
        """Returns arm a."""
        response: Any = await self._way.call(
            "GetArm", GetArmRequest(experiment=self._name, arm="a")
        )
        result: ArmResult = response.arm_result
        return result

    async def score(self, metric: str) -> float | None:
        """Returns a score of arm a."""
        request = ScoreRequest(experiment=self._name, arm="a", metric=metric)
        response: Any = await self._way.call("Score", request)
        return float(response.value) if response.HasField("value") else None

    async def delete_arm(self) -> None:
        """Deletes arm a."""
        await self._way.call("DeleteArm", DeleteArmRequest(experiment=self._name, arm="a"))

    def sender(self, writer_id: str) -> Sender:
        """Returns a sender of events of this experiment."""
        return Sender(self._way, self._name, writer_id)


@pytest.fixture
async def sweep(way: Way, experiment: str) -> _Sweep:
    """Returns an experiment that is not declared yet."""
    return _Sweep(way, experiment)


def _by(attempt: str, event: Event) -> Event:
    """Sets the attempt that an event names. Returns the event."""
    body: Any = getattr(event, event.WhichOneof("kind") or "")
    body.attempt_id = attempt
    return event


def _completed(attempt: str) -> Event:
    return _by(attempt, Event(arm_finished=ArmFinished(arm="a", status=ARM_STATUS_COMPLETED)))


async def test_a_late_outbox_after_the_arm_was_re_run(sweep: _Sweep) -> None:
    """Late events of a dead trainer do not overwrite results of its successor."""
    await sweep.record(declared())
    old, new = sweep.sender("host1"), sweep.sender("host2")
    old.log(started("a", "A", 1), _by("A", row("val", 10, metrics={"acc": 0.1})))
    assert await old.deliver() is None
    late = [
        _by("A", row("val", 20, metrics={"acc": 0.2})),
        _by("A", metrics({"loss": 9})),
        _by("A", row("test", metrics={"acc": 0.3})),
        _completed("A"),
    ]
    new.log(started("a", "B", 2), _by("B", row("test", metrics={"acc": 0.8})), _completed("B"))
    assert await new.deliver() is None
    before = await sweep.arm()

    old.log(*late)
    assert await old.deliver() is None

    assert await sweep.arm() == before
    assert await sweep.score("acc") == 0.8
    assert await sweep.score("val.acc") is None
    assert old.rejected == [(event, "STALE_ATTEMPT") for event in late]
    assert old.delivered == 6


async def test_an_evaluator_before_its_trainer(sweep: _Sweep) -> None:
    """An eval row waits until its experiment and its arm exist, and is then recorded once."""
    evaluator, trainer = sweep.sender("evaluator"), sweep.sender("trainer")
    evaluator.log(row("bench", metrics={"pass_rate": 0.5}))
    assert await evaluator.deliver() == "EXPERIMENT_NOT_FOUND"
    await sweep.record(declared())
    assert await evaluator.deliver() == "ARM_NOT_FOUND"
    trainer.log(started("a", "A", 1), _by("A", metrics({"loss": 1})))
    assert await trainer.deliver() is None
    [event] = evaluator.outbox
    assert await evaluator.deliver() is None
    assert await sweep.score("bench.pass_rate") == 0.5

    again = await evaluator.send(1, event)

    assert (again.changed_events, again.skipped_events, again.last_sequence) == (0, 1, 1)
    assert evaluator.rejected == []
    assert len((await sweep.arm()).evals) == 1


async def test_deletion_while_a_writer_is_behind(sweep: _Sweep) -> None:
    """Late events for a deleted arm are rejected. A new writer can create the arm again."""
    await sweep.record(declared())
    trainer = sweep.sender("trainer")
    trainer.log(started("a", "A", 1), _by("A", metrics({"loss": 1})))
    assert await trainer.deliver() is None
    behind = [_by("A", metrics({"loss": 2})), _by("A", row("val", 1)), _completed("A")]
    trainer.log(*behind)

    await sweep.delete_arm()
    assert await trainer.deliver() is None

    assert trainer.rejected == [(event, "ARM_DELETED") for event in behind]
    reborn = sweep.sender("trainer-2")
    reborn.log(started("a", "A2", 0), _by("A2", metrics({"loss": 5})))
    assert await reborn.deliver() is None
    found = await sweep.arm()
    assert (dict(found.metrics), list(found.evals), found.attempt.id) == ({"loss": 5}, [], "A2")
    trainer.log(_by("A", metrics({"loss": 6})))
    assert await trainer.deliver() is None
    assert await sweep.score("loss") == 5
    assert trainer.delivered == 6


async def test_two_attempts_with_clocks_60_s_apart(sweep: _Sweep) -> None:
    """The attempt with the greater order is the newer one, regardless of event times."""
    noon = 1_767_268_800
    await sweep.record(declared())
    fast = started("a", "on-a-fast-clock", (noon + 60) * 1_000)
    fast.event_time.CopyFrom(Timestamp(seconds=noon + 60))
    reading = _by("on-a-fast-clock", metrics({"loss": 0.5}))
    reading.event_time.CopyFrom(Timestamp(seconds=noon + 60))
    await sweep.record(fast, reading)

    with pytest.raises(FailedPreconditionError) as refused:
        await sweep.record(started("a", "30 s later, on a right clock", (noon + 30) * 1_000))
    assert refused.value.reason == "STALE_ATTEMPT"
    assert refused.value.metadata["newest_order"] == str((noon + 60) * 1_000)
    assert (await sweep.arm()).attempt.id == "on-a-fast-clock"

    await sweep.record(started("a", "90 s later", (noon + 90) * 1_000, resume_step=0))
    with pytest.raises(FailedPreconditionError):
        await sweep.record(_by("on-a-fast-clock", metrics({"loss": 0.1})))
    later = _by("90 s later", metrics({"loss": 0.4}))
    later.event_time.CopyFrom(Timestamp(seconds=noon - 3_600))
    await sweep.record(later)
    assert await sweep.score("loss") == 0.4


async def test_an_import_repeated_after_a_late_eval(sweep: _Sweep) -> None:
    """A repeated import changes nothing, even after a row was recorded in between.

    An import of the arm's own export removes no row, either.
    """
    snapshot = arm(
        "a",
        row("test", metrics={"acc": 0.5}, tags=["test"]).eval_recorded.eval_result,
        status=ARM_STATUS_COMPLETED,
        metrics={"loss": 1},
    )
    await sweep.record(declared(), snapshot)
    await sweep.record(row("late", metrics={"acc": 0.9}))

    again = await sweep.record(snapshot)

    assert (again.revision, again.changed_events) == (2, 0)
    assert await sweep.score("late.acc") == 0.9
    export = Event()
    export.arm_recorded.arm_result.CopyFrom(await sweep.arm())
    assert (await sweep.record(export)).revision <= 3
    before = await sweep.arm()
    assert [found.name for found in before.evals] == ["test", "late"]
    await sweep.record(row("later", metrics={"acc": 0.7}))
    revision = (await sweep.record(export)).revision
    assert revision == before.revision + 1
    assert [found.name for found in (await sweep.arm()).evals] == ["test", "late", "later"]


async def test_a_batch_with_valid_and_invalid_events(sweep: _Sweep) -> None:
    """Of a batch, invalid events are rejected. The others are recorded in order, each once."""
    await sweep.record(declared(), started("a", "B", 2))
    sender = sweep.sender("w")
    bad = [
        _by("A", metrics({"loss": 1})),
        row("", 1),
        row("val", 1, eval_seconds=-1),
        started("a", "A", 1),
    ]
    sender.log(
        row("val", 1, metrics={"acc": 0.1}), bad[0],
        row("val", 2, metrics={"acc": 0.2}), bad[1], bad[2],
        _by("B", metrics({"loss": 2})), bad[3],
        row("val", 3, metrics={"acc": 0.3}),
    )  # fmt: skip

    assert await sender.deliver() is None

    assert sender.rejected == list(
        zip(
            bad,
            ["STALE_ATTEMPT", "NAME_INVALID", "FIELD_OUT_OF_RANGE", "STALE_ATTEMPT"],
            strict=True,
        )
    )
    found = await sweep.arm()
    assert [result.step for result in found.evals] == [1, 2, 3]
    assert dict(found.metrics) == {"loss": 2}
    assert (found.revision, sender.delivered) == (2, 8)


async def test_a_batch_waits_until_its_arm_exists(sweep: _Sweep) -> None:
    """A batch waits until its arm exists. Then all its events but the invalid one are recorded."""
    await sweep.record(declared())
    sender = sweep.sender("w")
    sender.log(row("val", 1), row("", 2), row("val", 3))
    assert await sender.deliver() == "ARM_NOT_FOUND"
    assert [reason for _, reason in sender.rejected] == ["NAME_INVALID"]
    await sweep.record(arm())
    assert await sender.deliver() is None
    assert [found.step for found in (await sweep.arm()).evals] == [1, 3]
