"""Error texts are shortened in the middle, never refused."""

import re
from typing import Any

import pytest
from podium.v1.arm_result_pb2 import ARM_STATUS_FAILED, ArmResult
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.run_result_pb2 import RunResult

from tests.server.store.calls import arm, declared
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
    """What is kept is 64 KiB at most: the beginning, the end, and how much was left out."""
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
    """The limit itself is not beyond the limit."""
    await _record(direct, declared(), arm(), _failed(error="e" * _LIMIT))
    assert (await _arm(direct)).error == "e" * _LIMIT


async def test_a_nul_becomes_a_sign_that_stores_can_hold(direct: Way) -> None:
    """An error text is never refused for what it holds."""
    await _record(
        direct, declared(), arm(), _failed(error="a\0b", run_result=RunResult(error="\0"))
    )
    found = await _arm(direct)
    assert (found.error, found.run_result.error) == ("a\N{REPLACEMENT CHARACTER}b", "\ufffd")


async def test_every_error_is_shortened_wherever_it_comes_from(direct: Way) -> None:
    """Those of a whole arm and of a backend's result too, however long they are."""
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
