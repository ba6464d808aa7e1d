"""Tests of fields that the server does not know, such as those of a later schema."""

from typing import Any

import pytest
from podium.errors import InvalidArgumentError
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import EvalRequest, EvalResponse
from podium_server.testing.calls import arm, declared, row

from tests.server.writes.ways import Way

_MIB = 1024 * 1024


def _unknown(size: int) -> bytes:
    """Returns the encoding of field 1000, which no message has, with a string of `size` bytes."""
    length = bytearray()
    rest = size
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return b"\xc2\x3e" + bytes([*length, rest]) + b"u" * size


async def _record(way: Way, *events: Event) -> Any:
    return await way.call("Record", RecordRequest(experiment="x", events=events))


async def _eval(way: Way) -> EvalResponse:
    answer: Any = await way.call("Eval", EvalRequest(experiment="x", arm="a", name="val"))
    response: EvalResponse = answer
    return response


async def test_unknown_fields_of_a_row_are_stored(direct: Way) -> None:
    """An unknown field of an eval row is stored and returned with the row."""
    event = row("val")
    event.eval_recorded.eval_result.MergeFromString(_unknown(10))
    await _record(direct, declared(), arm(), event)
    assert _unknown(10) in (await _eval(direct)).SerializeToString()
    assert (await _record(direct, event)).changed_events == 0


async def test_unknown_fields_count_for_the_size_of_a_row(direct: Way) -> None:
    """Unknown fields count toward the size limit of a row."""
    event = row("val")
    event.eval_recorded.eval_result.MergeFromString(_unknown(_MIB))
    await _record(direct, declared(), arm())
    with pytest.raises(InvalidArgumentError) as raised:
        await _record(direct, event)
    assert raised.value.reason == "LIMIT_EXCEEDED"


async def test_unknown_fields_of_a_time_are_not_stored(direct: Way) -> None:
    """Unknown fields of an event's time are not stored with its row."""
    event = row("val")
    event.event_time.seconds = 5
    event.event_time.MergeFromString(_unknown(2 * _MIB))
    await _record(direct, declared(), arm(), event)
    response = await _eval(direct)
    assert response.eval_result.event_time.seconds == 5
    assert response.ByteSize() < 100


async def test_unknown_fields_of_the_time_of_a_row_are_not_stored(direct: Way) -> None:
    """Unknown fields of a row's own event_time are not stored. An invalid time is rejected."""
    said = EvalResult(name="val")
    said.event_time.seconds = 5
    said.event_time.MergeFromString(_unknown(100))
    await _record(direct, declared(), arm("a", said))
    response = await _eval(direct)
    assert response.eval_result.event_time.seconds == 5
    assert response.ByteSize() < 100
    said.event_time.seconds = 2**60
    with pytest.raises(InvalidArgumentError) as raised:
        await _record(direct, arm("a", said))
    assert raised.value.metadata["field"] == (
        "events[0].arm_recorded.arm_result.evals[0].event_time"
    )
