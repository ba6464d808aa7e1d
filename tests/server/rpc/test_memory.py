"""Tests that a server frees the memory of requests that it has answered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.value_pb2 import Value
from podium_server.testing import RunningServer, running_server
from podium_server.testing.calls import arm, declared, row

_CALLS = 100
_KIB = 1024
_GROWTH_KIB = 60 * _KIB
"""If 100 requests of 0.9 MB were kept until a garbage collection, they would use 90 MB."""


def _peak(server: RunningServer) -> int:
    """Returns the most memory that the process has ever used, in KiB."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("this machine does not say what a process needs")
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line]
    return int(peak)


def _large(name: str, arm_name: str) -> Callable[[int], bytes]:
    ballast = {"k": Value(string_value="x" * 900_000)}

    def request(step: int) -> bytes:
        events = [row(name, step, arm_name, breakdowns=ballast)]
        return RecordRequest(experiment="x", events=events).SerializeToString()

    return request


@pytest.mark.parametrize(
    ("request_of", "code"),
    [
        (_large("val", "a"), None),
        (_large("val", "nobody"), grpc.StatusCode.NOT_FOUND),
        (_large("", "a"), grpc.StatusCode.INVALID_ARGUMENT),
        (lambda _step: b"\xff" * 900_000, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["recorded", "refused", "invalid", "malformed"],
)
@pytest.mark.slow
def test_no_request_is_kept(request_of: Callable[[int], bytes], code: Any) -> None:
    """The memory of large requests is freed after their answer, even if they are rejected."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        begin = RecordRequest(experiment="x", events=[declared(), arm()])
        RecordingServiceStub(channel).Record(begin, timeout=120)
        call: Any = channel.unary_unary("/podium.v1.RecordingService/Record")

        def send(step: int) -> Any:
            try:
                call(request_of(step), timeout=120)
            except grpc.RpcError as error:
                failed: Any = error
                return failed.code()
            return None

        assert {send(step) for step in range(5)} == {code}
        before = _peak(server)
        assert {send(step) for step in range(5, 5 + _CALLS)} == {code}
        assert _peak(server) - before < _GROWTH_KIB


@pytest.mark.slow
def test_an_import_does_not_load_the_arm_that_it_replaces() -> None:
    """A call with a whole arm does not load all stored rows of that arm at once.

    The server's memory grows by less than the size of these rows.
    """
    request_of = _large("val", "a")
    whole = RecordRequest(
        experiment="x", events=[arm("a", row("val", 1).eval_recorded.eval_result)]
    )
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        stub = RecordingServiceStub(channel)
        stub.Record(RecordRequest(experiment="x", events=[declared(), arm()]), timeout=120)
        for step in range(_CALLS):
            stub.Record(RecordRequest.FromString(request_of(step)), timeout=120)
        before = _peak(server)
        assert stub.Record(whole, timeout=120).revision == _CALLS + 2
        assert _peak(server) - before < _GROWTH_KIB
