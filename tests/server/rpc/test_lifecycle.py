"""Tests of a running server: health, reflection, logs, and its stop under load."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import podium
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from podium._wire.status import from_rpc_error
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import GetExperimentRequest, ListEvalsRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.testing import RunningServer, running_server
from podium_server.testing.calls import arm, declared, row

from tests.server.rpc.processes import started

_SERVICES = (
    "",
    "podium.v1.ResultsService",
    "podium.v1.RecordingService",
    "podium.v1.AccessService",
)
_SECONDS = 120
"""The seconds that a server has to end. This is far more than the promised two seconds."""


class _Writer(threading.Thread):
    """Writes rows of its own, one call after the other, until a call fails."""

    def __init__(self, channel: grpc.Channel, number: int) -> None:
        super().__init__()
        self._stub = RecordingServiceStub(channel)
        self._name = f"writer{number}"
        self.acknowledged: list[tuple[str, int]] = []
        self.error: grpc.RpcError | None = None

    def run(self) -> None:
        """Writes rows, and notes which ones were acknowledged."""
        step = 0
        while self.error is None:
            request = RecordRequest(experiment="x", events=[row(self._name, step)])
            try:
                self._stub.Record(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                self.error = error
            else:
                self.acknowledged.append((self._name, step))
            step += 1


def _reason(writer: _Writer) -> str:
    assert writer.error is not None
    error = from_rpc_error(writer.error)
    return error.reason or error.code


def _rows(server: RunningServer) -> list[tuple[str, int]]:
    with grpc.insecure_channel(server.address) as channel:
        stub, token, rows = ResultsServiceStub(channel), "", []
        while True:
            request = ListEvalsRequest(experiment="x", arm="a", page_size=1_000, page_token=token)
            page = stub.ListEvals(request, timeout=_SECONDS)
            rows += [(found.name, found.step) for found in page.evals]
            token = page.next_page_token
            if not token:
                return rows


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.slow
def test_a_stop_under_load(number: int) -> None:
    """After a signal, the process exits with 0, and all acknowledged rows are stored.

    Each call that fails has one of three expected reasons.
    """
    with running_server() as server:
        with grpc.insecure_channel(server.address) as channel:
            first = RecordRequest(experiment="x", events=[declared(), arm()])
            RecordingServiceStub(channel).Record(first, timeout=_SECONDS)
            writers = [_Writer(channel, n) for n in range(16)]
            for writer in writers:
                writer.start()
            while min(len(writer.acknowledged) for writer in writers) < 20:
                assert server.process.poll() is None
            server.process.send_signal(number)
            assert server.process.wait(_SECONDS) == 0
            for writer in writers:
                writer.join(_SECONDS)
        server.restart()
        rows = _rows(server)
    acknowledged = [reported for writer in writers for reported in writer.acknowledged]
    assert set(acknowledged) <= set(rows)
    assert len(rows) == len(set(rows))
    # A call that begins after the signal may find no server, or be cancelled by gRPC.
    reasons = {_reason(writer) for writer in writers}
    assert reasons <= {"SHUTTING_DOWN", "UNAVAILABLE", "CANCELLED"}


def test_running_calls_fail_when_the_server_stops() -> None:
    """Calls that run when the server stops fail with UnavailableError."""
    errors: list[podium.PodiumError] = []

    def write(client: podium.Client, number: int) -> None:
        try:
            while True:
                client.arm("x", f"arm{number}").log({"loss": 0.5})
        except podium.PodiumError as error:
            errors.append(error)

    with running_server() as server, podium.Client(server.address, retry=False) as client:
        client.experiment("x").declare()
        runs = [client.experiment("x").start_arm(podium.RunConfig(f"arm{n}")) for n in range(6)]
        threads = [threading.Thread(target=write, args=(client, n)) for n in range(len(runs))]
        for thread in threads:
            thread.start()
        assert server.stop() == 0
        for thread in threads:
            thread.join(_SECONDS)
    assert [type(error) for error in errors] == [podium.UnavailableError] * len(threads)


def _health(channel: grpc.Channel) -> Any:
    """Returns a stub of the health service. Its type is Any, since the library has no types."""
    return HealthStub(channel)


def test_the_health_service_answers_serving() -> None:
    """The health service answers SERVING for the server and for each of its services."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        stub = _health(channel)
        for service in _SERVICES:
            answer = stub.Check(HealthCheckRequest(service=service), timeout=_SECONDS)
            assert answer.status == HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(HealthCheckRequest(service="podium.v1.Nothing"), timeout=_SECONDS)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_watches_get_not_serving_before_the_end() -> None:
    """Before the server ends, a health watch gets NOT_SERVING. It does not delay the end."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        watch = _health(channel).Watch(HealthCheckRequest(service=_SERVICES[1]))
        assert next(watch).status == HealthCheckResponse.SERVING
        server.process.terminate()
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        assert server.process.wait(_SECONDS) == 0


def _reflected(address: str, version: str) -> list[str]:
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        requests = [
            ServerReflectionRequest(list_services=""),
            ServerReflectionRequest(file_containing_symbol="podium.v1.ResultsService"),
        ]
        answer, file = call(iter(requests), timeout=_SECONDS)
        assert file.file_descriptor_response.file_descriptor_proto
        return [service.name for service in answer.list_services_response.service]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_is_off_unless_switched_on(version: str) -> None:
    """With --reflection, tools can list the services. Without it, they cannot."""
    with running_server() as server, pytest.raises(grpc.RpcError) as raised:
        _reflected(server.address, version)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    with running_server(None, "--reflection") as server:
        listed = set(_reflected(server.address, version))
    assert listed > set(_SERVICES[1:])
    assert f"grpc.reflection.{version}.ServerReflection" in listed


def test_json_logs_are_one_object_a_line(tmp_path: Path) -> None:
    """Every line of the log is a JSON object with time, level, logger and message."""
    with started(tmp_path / "podium.db", "--listen", "127.0.0.1:0", "--log-format", "json") as (
        process,
        address,
    ):
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
            ResultsServiceStub(channel).GetExperiment(GetExperimentRequest(), timeout=_SECONDS)
        process.terminate()
        _, log = process.communicate(timeout=_SECONDS)
    lines = [json.loads(line) for line in log.splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    assert [line["message"] for line in lines][-2:] == ["stopping", "stopped"]


def test_errors_name_the_limit_of_the_server() -> None:
    """If the server is started with another limit, errors name this limit."""
    request = RecordRequest(experiment="longer", events=[Event()])
    with (
        running_server(None, "--limit", "name_bytes=5") as server,
        grpc.insecure_channel(server.address) as channel,
        pytest.raises(grpc.RpcError) as raised,
    ):
        RecordingServiceStub(channel).Record(request, timeout=_SECONDS)
    assert "give 1 to 5 bytes" in str(raised.value.details())
