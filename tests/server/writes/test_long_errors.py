"""Tests of error texts and results that are too long: the end of an arm is never rejected."""

import re
from typing import Any

import pytest
from podium.v1.arm_result_pb2 import ARM_STATUS_FAILED, ArmResult
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.run_result_pb2 import RunResult
from podium.v1.value_pb2 import Value
from podium_server.testing.calls import arm, declared, started

from tests.server.writes.ways import Way

_KIB = 1024
_LIMIT = 64 * _KIB


async def _record(way: Way, *events: Event) -> Any:
    return await way.call("Record", RecordRequest(experiment="x", events=events))


async def _arm(way: Way) -> ArmResult:
    response: Any = await way.call("GetArm", GetArmRequest(experiment="x", arm="a"))
    arm: ArmResult = response.arm_result
    return arm


def _failed(**fields: Any) -> Event:
    return Event(arm_finished=ArmFinished(arm="a", status=ARM_STATUS_FAILED, **fields))


@pytest.mark.parametrize(
    "text",
    ["a" * _LIMIT + "b", "head" + "x" * 3_000_000 + "tail", "é" * 40_000, "\U0001f525" * 20_000],
    ids=["one byte more", "three megabytes", "two bytes a letter", "four bytes a letter"],
)
async def test_a_long_error_loses_its_middle(direct: Way, text: str) -> None:
    """Of an error text over 64 KiB, the beginning, the end and the size of the rest are kept."""
    await _record(direct, declared(), arm())
    await _record(direct, _failed(error=text))
    kept = (await _arm(direct)).error
    assert _LIMIT - 16 < len(kept.encode()) <= _LIMIT
    found = re.fullmatch(r"(.+)\n… ([0-9,]+) bytes left out …\n(.+)", kept, re.DOTALL)
    assert found is not None
    head, left_out, tail = found.groups()
    assert text.startswith(head)
    assert text.endswith(tail)
    assert abs(len(head.encode()) - len(tail.encode())) <= 8
    assert len((head + tail).encode()) + int(left_out.replace(",", "")) == len(text.encode())


async def test_an_error_of_64_kib_is_kept_as_it_is(direct: Way) -> None:
    """An error text of exactly 64 KiB is not shortened."""
    await _record(direct, declared(), arm(), _failed(error="e" * _LIMIT))
    assert (await _arm(direct)).error == "e" * _LIMIT


async def test_a_nul_character_is_replaced(direct: Way) -> None:
    """A NUL character in an error text is replaced by U+FFFD."""
    await _record(
        direct, declared(), arm(), _failed(error="a\0b", run_result=RunResult(error="\0"))
    )
    found = await _arm(direct)
    assert (found.error, found.run_result.error) == ("a\N{REPLACEMENT CHARACTER}b", "\ufffd")


async def test_every_error_is_shortened_wherever_it_comes_from(direct: Way) -> None:
    """Errors of a whole arm and of a run_result are shortened too.

    If the same event is sent again, it changes nothing.
    """
    text = "e" * 1_500 * _KIB
    whole = arm(error=text, run_result=RunResult(error=text), run_config=RunConfig(name="r"))
    await _record(direct, declared(), whole)
    found = await _arm(direct)
    assert [len(e.encode()) for e in (found.error, found.run_result.error)] == [_LIMIT, _LIMIT]
    again = await _record(direct, whole)
    assert (again.revision, again.changed_events) == (1, 0)
    finished = _failed(error=text, run_result=RunResult(error=text))
    assert (await _record(direct, finished)).changed_events == 1
    assert (await _record(direct, finished)).changed_events == 0


def _full(parameters: int) -> Event:
    """Returns the start of an attempt whose configuration has about this many bytes."""
    event = started("a", "A", 1)
    for n in range(parameters // 60_000 + 1):
        size = min(60_000, parameters - n * 60_000)
        event.arm_started.run_config.extras[f"k{n}"].string_value = "p" * size
    return event


_ARM_BYTES = 960 * _KIB


async def test_an_arm_near_its_size_limit_can_end(direct: Way) -> None:
    """If an arm is near its size limit, its error text is shortened to the bytes that are left."""
    await _record(direct, declared(), _full(_ARM_BYTES - 20_000))
    await _record(direct, _failed(error="h" + "e" * 100_000 + "t", train_seconds=2.5))
    found = await _arm(direct)
    assert (found.status, found.train_seconds) == (ARM_STATUS_FAILED, 2.5)
    assert 18_000 < len(found.error.encode()) < 20_000
    assert (found.error[0], found.error[-1]) == ("h", "t")


async def test_an_arm_without_any_room_keeps_the_ends_of_its_error(direct: Way) -> None:
    """Up to 1 KiB of each error text is kept, even if the arm is at its size limit."""
    await _record(direct, declared(), _full(_ARM_BYTES - 400))
    result = RunResult(run_id="r", status="dead", error="b" * 5_000)
    await _record(direct, _failed(error="a" * 5_000, run_result=result))
    found = await _arm(direct)
    assert found.status == ARM_STATUS_FAILED
    assert 1_000 < len(found.error.encode()) <= 1_024
    assert (found.run_result.run_id, found.run_result.status) == ("r", "dead")
    assert 500 < len(found.run_result.error.encode()) <= 1_024
    assert (await _record(direct, _failed(error="short"))).changed_events == 1
    assert (await _arm(direct)).error == "short"


@pytest.mark.parametrize(
    "result",
    [
        RunResult(run_id="r", metrics={f"k{n}": 1.0 for n in range(10_001)}),
        RunResult(run_id="r", extras={"k": Value(string_value="x" * 2_000_000)}),
        RunResult(run_id="r", artifacts={"k": "x" * 70_000}),
        RunResult(
            run_id="r",
            extras={"k": {"list_value": {"values": [Value(int_value=1)] * 10_001}}},  # type: ignore[dict-item]
        ),
    ],
    ids=["metrics", "bytes", "text", "nodes"],
)
async def test_an_arm_ends_with_a_result_that_is_too_large(direct: Way, result: RunResult) -> None:
    """A run_result that is too large is replaced by a note, and the arm ends."""
    await _record(direct, declared(), started("a", "A", 1))
    await _record(direct, _failed(error="boom", run_result=result))
    found = await _arm(direct)
    assert (found.status, found.error, found.run_result.run_id) == (ARM_STATUS_FAILED, "boom", "r")
    note = f"run_result had {result.ByteSize():,} bytes, too many to be stored; it was left out"
    assert found.run_result == RunResult(run_id="r", error=note)


async def test_a_result_that_fits_is_kept_as_it_is(direct: Way) -> None:
    """A run_result within the limits is stored without a change."""
    result = RunResult(run_id="r", artifacts={"k": "x" * 60_000}, error="e" * 1_000)
    await _record(direct, declared(), started("a", "A", 1), _named(result))
    assert (await _arm(direct)).run_result == result


def _named(result: RunResult) -> Event:
    return Event(
        arm_finished=ArmFinished(
            arm="a", attempt_id="A", status=ARM_STATUS_FAILED, run_result=result
        )
    )
