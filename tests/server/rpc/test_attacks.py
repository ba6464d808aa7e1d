"""Tests of attacks on a server: its memory stays bounded, and other clients are served.

Each limit of the server has a test here that fails without the limit.
"""

import resource
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import EvalRequest, GetArmRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium.v1.value_pb2 import Value
from podium_server.rpc.fronts.grpcio import MAX_CONNECTIONS
from podium_server.testing import RunningServer, running_server
from podium_server.testing.calls import arm, declared, row

from tests.server.rpc.attack import (
    MAX_WINDOW,
    attackers,
    continuation,
    headers,
    indexed_headers,
    message,
    raw_frame,
    statuses_of,
    wait_until,
)
from tests.server.rpc.other_client import OtherClient

_EVAL = "/podium.v1.ResultsService/Eval"
_GET_ARM = "/podium.v1.ResultsService/GetArm"
_RECORD = "/podium.v1.RecordingService/Record"
_WATCH = "/grpc.health.v1.Health/Watch"
_SECONDS = 240.0
_MEMORY_MIB = 256
_FLOOD_SECONDS = 3.0
_FLOOD_MIB = {"header references": 100}
"""The most MiB that a server may use in a flood, if that is far below `_MEMORY_MIB`."""
_OVERLOADED = "8"
"""The code RESOURCE_EXHAUSTED, as a number."""


@contextmanager
def _attacked(name: str) -> Iterator[RunningServer]:
    """Runs a server with large rows, and another client that makes calls meanwhile.

    After the block, checks the server's memory, and that the other client got no errors.
    """
    with running_server(None, "--log-level", "error") as server:
        _fill(server)
        other = OtherClient(server.address)
        try:
            yield server
        finally:
            other.end()
        memory = _peak_mib(server)
        print(f"\n{name}: {memory} MiB; {other}")  # noqa: T201 - for readers of `pytest -s`
        assert other.errors == []
        assert memory <= _MEMORY_MIB
        assert server.process.poll() is None


def _fill(server: RunningServer) -> None:
    ballast = {"k": Value(string_value="x" * 700_000)}
    with grpc.insecure_channel(server.address) as channel:
        stub = RecordingServiceStub(channel)
        stub.Record(RecordRequest(experiment="x", events=[declared(), arm()]), timeout=_SECONDS)
        for step in range(3):
            events = [row("val", step, breakdowns=ballast)]
            stub.Record(RecordRequest(experiment="x", events=events), timeout=_SECONDS)


def _peak_mib(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak) // 1024


def _eval() -> bytes:
    return EvalRequest(experiment="x", arm="a", name="none").SerializeToString()


@pytest.mark.slow
def test_incomplete_requests() -> None:
    """400 incomplete requests of 4 MB use bounded memory. Another client gets no errors."""
    declared_bytes, piece = 4_000_000, b"x" * 16_384
    with _attacked("incomplete requests") as server, attackers(server.address, 4) as found:
        for attacker in found:
            for _ in range(100):
                attacker.call(
                    headers(_RECORD), message(b"x" * 9_000, declared=declared_bytes), end=False
                )
        end = time.monotonic() + _FLOOD_SECONDS
        while time.monotonic() < end:
            for attacker in found:
                attacker.fill_windows(piece, declared_bytes - len(piece))


@pytest.mark.slow
def test_unread_responses() -> None:
    """600 responses of 2 MB that no client reads use bounded memory. Most are rejected."""
    request = GetArmRequest(experiment="x", arm="a").SerializeToString()
    with _attacked("unread responses") as server, attackers(server.address, 10) as found:
        for attacker in found:
            for _ in range(60):
                attacker.call(headers(_GET_ARM), message(request))
        refused = [attacker.statuses_of(50) for attacker in found]
    assert {status for statuses in refused for status in statuses} == {_OVERLOADED}


@pytest.mark.slow
def test_large_requests_at_once() -> None:
    """160 valid requests of 3.4 MB use bounded memory.

    Each one is recorded, or rejected as OVERLOADED.
    """
    ballast = {"k": Value(string_value="x" * 850_000)}
    with _attacked("large requests") as server, grpc.insecure_channel(server.address) as channel:
        stub = RecordingServiceStub(channel)
        calls: list[Any] = []
        for step in range(160):
            rows = [row(f"name{n}", step, breakdowns=ballast) for n in range(4)]
            request = RecordRequest(experiment="x", events=rows)
            calls.append(stub.Record.future(request, timeout=_SECONDS))
        outcomes = Counter(_outcome(call) for call in calls)
    # A server that is quicker than its client rejects none.
    assert outcomes["OK"] > 0
    assert outcomes.keys() <= {"OK", "OVERLOADED"}


def _outcome(call: Any) -> str:
    try:
        call.result(_SECONDS)
    except grpc.RpcError as error:
        failed = from_rpc_error(error)
        assert failed.retry_after == 0.25
        return failed.reason
    return "OK"


@pytest.mark.slow
def test_calls_that_never_end() -> None:
    """6,000 calls whose responses cannot be sent leave room for other connections.

    At least 2,000 of them are rejected as OVERLOADED.
    """
    with _attacked("calls that never end") as server, attackers(server.address, 6) as found:
        for attacker in found:
            block, request = headers(_EVAL), message(_eval())
            for _ in range(1_000):
                attacker.call(block, request)
        # Which calls are admitted depends on the order of arrival. At most 4,000 are.
        # An error can be sent, since it has only headers, which need no window.
        statuses = statuses_of(found, 2_000)
    assert len(statuses) >= 2_000
    assert set(statuses) == {_OVERLOADED}


@pytest.mark.slow
def test_many_calls_at_once_are_answered_or_overloaded() -> None:
    """Of 7,000 calls at once, each one is answered or rejected as OVERLOADED.

    gRPC itself cancels none of them.
    """
    with (
        _attacked("many calls") as server,
        # One connection fewer than gRPC lets wait, since the other client needs one, too.
        attackers(server.address, 7, window=MAX_WINDOW) as found,
    ):
        for attacker in found:
            block, request = headers(_EVAL), message(_eval())
            attacker.calls([(block, request)] * 1_000)
        statuses = Counter(status for one in found for status in one.statuses_of(1_000))
    assert statuses["0"] >= 1_000
    assert set(statuses) <= {"0", _OVERLOADED}


@pytest.mark.slow
def test_watches_are_bounded() -> None:
    """If a connection opens 400 watches, those beyond its share are rejected."""
    with _attacked("watches") as server, attackers(server.address, 1, window=1_000) as found:
        found[0].calls([(headers(_WATCH), message(b""))] * 400)
        assert found[0].statuses_of(150) == [_OVERLOADED] * 150


@pytest.mark.slow
def test_a_flood_of_pings_ends_the_connection() -> None:
    """The server closes a connection that sends pings without end."""
    with _attacked("pings") as server, attackers(server.address, 8) as found:
        for attacker in found:
            wait_until(lambda: not (attacker.ping(100) and attacker.is_open()))  # noqa: B023


@pytest.mark.parametrize(
    ("setting", "number"), [("streams", 3), ("window", 4)], ids=["streams", "window"]
)
def test_the_server_bounds_what_a_connection_may_open(setting: str, number: int) -> None:
    """The server's settings allow 1,000 streams on a connection.

    They also allow a client to send 16 KiB of a request before the server reads any of it.
    """
    bounds = {"streams": 1_000, "window": 16_384}
    with running_server() as server, attackers(server.address, 1) as found:
        assert found[0].setting(number) == bounds[setting]


def test_a_malformed_path_ends_nothing_for_long() -> None:
    """After a call whose path is not UTF-8, the server serves again, and stops as usual."""
    block = headers(_EVAL).replace(b"/Eval", b"/E\xffal")
    with running_server(None, "--log-level", "error") as server:
        _fill(server)
        for _ in range(2):
            # After the first call the server may be about to open its port again.
            wait_until(lambda: _answers_after(server.address, block))
        assert server.stop() == 0


def _answers_after(address: str, block: bytes) -> bool:
    """Makes a call, then waits until the server answers other calls.

    Returns False if the server refused the connection.
    """
    try:
        with attackers(address, 1) as (attacker,):
            attacker.call(block, message(b""))
            wait_until(lambda: _answers(address))
            return True
    except ConnectionRefusedError:
        return False


def _answers(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            ResultsServiceStub(channel).Eval(EvalRequest.FromString(_eval()), timeout=120)
        except grpc.RpcError:
            return False
    return True


@pytest.mark.slow
def test_connections_are_bounded() -> None:
    """If there are more connections than allowed, the server closes some at once.

    When all have ended, it accepts new ones.
    """
    more = 100
    _allow_files(MAX_CONNECTIONS + more + 200)
    with _attacked("connections") as server:
        with attackers(server.address, MAX_CONNECTIONS + more) as found:
            wait_until(lambda: sum(one.is_open() for one in found) < MAX_CONNECTIONS)
            assert sum(one.is_open() for one in found) > MAX_CONNECTIONS // 2
        wait_until(lambda: _answers(server.address))


def _allow_files(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"a process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@pytest.mark.slow
def test_a_silent_connection_is_closed() -> None:
    """A connection that never acknowledges the server's settings is closed within seconds."""
    with running_server() as server, attackers(server.address, 1, acknowledge=False) as found:
        # gRPC's own limit is a minute.
        wait_until(lambda: not found[0].is_open(0.1), 30)


_BOMB = indexed_headers(_EVAL, 3_900, 12_000)
_FLOODS = {
    "resets": lambda one: one.calls_and_resets(headers(_EVAL), 200),
    "settings": lambda one: one.settings(500),
    "priorities": lambda one: one.send(raw_frame(2, 1, bytes(5)) * 5_000),
    "unknown frames": lambda one: one.send(raw_frame(0x42, 0, bytes(16_384)) * 10),
    "window updates": lambda one: one.send(raw_frame(8, 0, struct.pack(">I", 1)) * 5_000),
    "continuations": lambda one: one.send(continuation(800) * 5),
    "header references": lambda one: one.call(_BOMB),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _FLOODS)
def test_the_server_serves_after_a_flood(name: str) -> None:
    """After a flood that grpcio does not limit, the server answers calls again.

    During the flood, its memory stays bounded. Run this test with `-s` for the figures that
    docs/server.md quotes.
    """
    with running_server(None, "--log-level", "error") as server:
        _fill(server)
        other = OtherClient(server.address)
        with attackers(server.address, 4, timeout=1.0) as found:
            if name == "continuations":
                for attacker in found:
                    attacker.send(raw_frame(1, 1, headers(_EVAL)))
            if name == "header references":
                for attacker in found:
                    attacker.call(indexed_headers(_EVAL, 3_900, 0))
            alive, end = list(found), time.monotonic() + _FLOOD_SECONDS
            while alive and time.monotonic() < end:
                alive = [one for one in alive if _FLOODS[name](one) is not False]
        wait_until(lambda: _answers(server.address))
        other.end()
        memory = _peak_mib(server)
        print(  # noqa: T201 - the figures, for readers of `pytest -s`
            f"\n{name}: {memory} MiB; {other}, errors {Counter(other.errors)}"
        )
        assert memory <= _FLOOD_MIB.get(name, _MEMORY_MIB)
        assert server.stop() == 0
