"""Tests of overload: calls beyond a limit are rejected, and accepted calls are carried out."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.errors import PodiumError, ResourceExhaustedError
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import GetExperimentRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium.v1.value_pb2 import Value
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.testing import running_server
from podium_server.testing.calls import arm, declared, row

from tests.server.rpc.processes import started

_SECONDS = 120
_CALLS = 90
"""Calls of 0.9 MB; a server holds 64 MiB of requests."""


def test_too_many_bytes_at_once_are_rejected_at_once(tmp_path: Path) -> None:
    """While the store cannot write, only a limited number of requests wait.

    The others get OVERLOADED at once. Reads are answered meanwhile. The waiting requests are stored
    later.
    """
    path = tmp_path / "podium.db"
    with running_server(f"sqlite:///{path}") as server, grpc.insecure_channel(server.address) as ch:
        stub, ballast = RecordingServiceStub(ch), {"k": Value(string_value="x" * 900_000)}
        stub.Record(RecordRequest(experiment="x", events=[declared(), arm()]), timeout=_SECONDS)
        holder = apsw.Connection(str(path))
        holder.execute("BEGIN IMMEDIATE")
        requests = [
            RecordRequest(experiment="x", events=[row("val", n, breakdowns=ballast)])
            for n in range(_CALLS)
        ]
        calls: list[Any] = [stub.Record.future(request, timeout=_SECONDS) for request in requests]
        while not any(call.done() for call in calls):
            time.sleep(0.01)
        found = ResultsServiceStub(ch).GetExperiment(
            GetExperimentRequest(experiment="x"), timeout=_SECONDS
        )
        assert found.experiment.revision == 1
        holder.execute("ROLLBACK")
        holder.close()
        outcomes = Counter(_outcome(call) for call in calls)
        last = stub.Record(RecordRequest(experiment="x", events=[row("last")]), timeout=_SECONDS)
    assert outcomes.keys() == {"OK", "OVERLOADED"}
    assert last.revision == outcomes["OK"] + 2


async def _abort(_: PodiumError) -> None:
    """Does nothing, since there is no gRPC call to end."""


def test_an_overload_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The log has one warning about an overload, however many calls are rejected."""
    admission = Admission(AdmissionLimits(calls=0))
    for _ in range(8):
        admission.enter("busy", _abort)
    for _ in range(3):
        with pytest.raises(ResourceExhaustedError) as raised:
            admission.enter("busy", _abort)
        assert raised.value.retry_after == 0.25
    (line,) = caplog.messages
    assert line == (
        "OVERLOADED: 8 running calls, 0 bytes of requests, 0 bytes of responses; "
        "1 calls rejected so far"
    )


def test_rejected_calls_in_the_log(tmp_path: Path) -> None:
    """At the log level `debug`, a rejected call has a line in the log, with its error."""
    arguments = ("--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")
    with started(tmp_path / "podium.db", *arguments) as (process, address):
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
            ResultsServiceStub(channel).GetExperiment(
                GetExperimentRequest(experiment="nope"), timeout=_SECONDS
            )
        process.terminate()
        _, log = process.communicate(timeout=_SECONDS)
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"].partition(" ")[0] for line in lines] == [
        "serving",
        "podium.v1.ResultsService.GetExperiment:",
        "stopping",
        "stopped",
    ]
    assert "EXPERIMENT_NOT_FOUND: there is no experiment 'nope'" in lines[1]["message"]


def _outcome(call: Any) -> str:
    try:
        call.result(_SECONDS)
    except grpc.RpcError as error:
        return from_rpc_error(error).reason
    return "OK"
