"""Tests of the health service, and of malformed and too large requests."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import podium
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from podium._wire.status import from_rpc_error
from podium_server.rpc import health
from podium_server.rpc.admission import AdmissionLimits
from podium_server.rpc.health import Health
from podium_server.store.contract import Store
from podium_server.testing import running_server

from tests.each import each
from tests.server.access.serving import chosen_front, serving
from tests.server.rpc.attack import MAX_WINDOW, attackers, headers, message
from tests.server.rpc.processes import started
from tests.stores import only_sqlite

_SECONDS = 120
_pb2: Any = health_pb2
_HAS_LIST = hasattr(health_pb2, "HealthListRequest")
_SERVING = {
    "": 1,
    "podium.v1.ResultsService": 1,
    "podium.v1.RecordingService": 1,
    "podium.v1.AccessService": 1,
}


@pytest.mark.skipif(not _HAS_LIST, reason="the oldest grpcio-health-checking has no List")
def test_all_services_are_listed() -> None:
    """List reports the server as a whole and each of its services."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        stub: Any = HealthStub(channel)
        found = stub.List(_pb2.HealthListRequest(), timeout=_SECONDS)
    assert {name: entry.status for name, entry in found.statuses.items()} == _SERVING


def test_a_watch_of_an_unknown_service() -> None:
    """For an unknown service, Watch reports SERVICE_UNKNOWN, and Check gets NOT_FOUND."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        stub: Any = HealthStub(channel)
        request = _pb2.HealthCheckRequest(service="podium.v1.Nothing")
        watch = stub.Watch(request, timeout=_SECONDS)
        assert next(watch).status == _pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(request, timeout=_SECONDS)
    error = from_rpc_error(raised.value)
    assert (error.code, error.message) == (
        "NOT_FOUND",
        "the server has no service 'podium.v1.Nothing'",
    )


async def test_a_service_that_fails_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a service fails for a while, Check and Watch report its state.

    The server as a whole is SERVING meanwhile. When the server stops, the watch ends.
    """
    monkeypatch.setattr(health, "_CHECK_SECONDS", 0.01)
    states = [True]

    async def is_served() -> bool:
        return states[-1]

    served = health.Health({"": None, "x": is_served})
    name = _pb2.HealthCheckRequest(service="x").SerializeToString()
    watch = served._watch(name)
    assert await anext(watch) == b"\x08\x01"
    states.append(False)
    assert await anext(watch) == b"\x08\x02"
    assert await served._check(name) == b"\x08\x02"
    assert await served._check(b"") == b"\x08\x01"
    states.append(True)
    assert await anext(watch) == b"\x08\x01"
    served.stop()
    assert await anext(watch) == b"\x08\x02"
    with pytest.raises(podium.PodiumError, match="stopping"):
        await anext(watch)


async def test_health_checks_share_one_look() -> None:
    """If 20 clients ask for the health of a service at once, it is checked only once."""
    checks = 0

    async def is_served() -> bool:
        nonlocal checks
        checks += 1
        await asyncio.sleep(0)
        return True

    served = health.Health({"x": is_served})
    name = _pb2.HealthCheckRequest(service="x").SerializeToString()
    await asyncio.gather(*(served._check(name) for _ in range(20)))
    assert checks == 1


async def test_health_while_there_are_too_many_watches(tmp_path: Path) -> None:
    """Each connection can watch the health once, even if there is no room for other watches."""
    settings = {"admission": AdmissionLimits(watches=1)}
    async with serving(tmp_path, **settings) as [address], AsyncExitStack() as stack:
        client = await stack.enter_async_context(podium.AsyncClient(address))
        await client.experiment("x").declare()
        await anext(aiter(client.experiment("x").watch()))
        open_watches = []  # older grpcio versions cancel a call that nothing refers to
        for _ in range(3):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = grpc.aio.insecure_channel(address, options)
            stub: Any = HealthStub(await stack.enter_async_context(channel))
            open_watches.append(stub.Watch(_pb2.HealthCheckRequest()))
            assert (await open_watches[-1].read()).status == 1
            with pytest.raises(grpc.aio.AioRpcError, match="too many watches"):
                await stub.Watch(_pb2.HealthCheckRequest()).read()


@pytest.mark.skipif(_HAS_LIST, reason="only the oldest grpcio-health-checking has no List")
def test_a_package_without_list() -> None:
    """If grpcio-health-checking is too old to have List, the server answers UNIMPLEMENTED."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary("/grpc.health.v1.Health/List")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=_SECONDS)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["Check", *(["List"] if _HAS_LIST else []), "Watch"])
def test_malformed_requests(method: str, tmp_path: Path) -> None:
    """Malformed health requests get INVALID_ARGUMENT with a reason, and are not logged."""
    arguments = ("--listen", "127.0.0.1:0", "--log-format", "json")
    with started(tmp_path / "podium.db", *arguments) as (process, address):
        with grpc.insecure_channel(address) as channel:
            call: Any = channel.unary_stream(f"/grpc.health.v1.Health/{method}")
            for _ in range(20):
                with pytest.raises(grpc.RpcError) as raised:
                    next(call(b"\xff\xff\xff", timeout=_SECONDS))
                error = from_rpc_error(raised.value)
                assert (error.code, error.reason) == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")
        process.terminate()
        _, log = process.communicate(timeout=_SECONDS)
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    assert [text.partition(" ")[0] for text in messages] == ["serving", "stopping", "stopped"]


def test_headers_that_are_not_utf8_do_not_flood_the_log(tmp_path: Path) -> None:
    """For each header that is not UTF-8, grpcio logs an error.

    Only ten of these errors a minute get into the log. The native front logs none.
    """
    block = headers("/grpc.health.v1.Health/Check") + b"\x00\x03x-y\x02\xff\xfe"
    arguments = ("--listen", "127.0.0.1:0", "--log-format", "json")
    with started(tmp_path / "podium.db", *arguments) as (process, address):
        with attackers(address, 1, window=MAX_WINDOW) as (attacker,):
            attacker.calls([(block, message(b""))] * 300)
            assert attacker.statuses_of(300) == ["0"] * 300
        process.terminate()
        _, log = process.communicate(timeout=_SECONDS)
    errors = [line for line in map(json.loads, log.splitlines()) if line["level"] == "error"]
    if chosen_front() == "native":
        assert errors == []
        return
    # The test may run over the end of a minute.
    assert 10 <= len(errors) <= 20
    assert errors[9]["message"].endswith(
        "(further errors of libraries are not logged for the rest of this minute)"
    )


@each("body", [b"", b"\0\0", message(b"ab", declared=10)])
def test_a_request_that_is_cut_off_is_answered(body: bytes) -> None:
    """A request that ends before its message is complete gets INVALID_ARGUMENT."""
    with (
        running_server() as server,
        attackers(server.address, 1, window=MAX_WINDOW) as (attacker,),
    ):
        attacker.call(headers("/podium.v1.ResultsService/Eval"), body)
        assert attacker.messages_of(1) == ["the request ended before it was complete"]
        assert attacker.statuses_of(1) == ["3"]


@pytest.mark.parametrize("size", [4 * 1024 * 1024 + 1, 8_000_000])
def test_a_request_over_the_limit_has_a_reason(size: int) -> None:
    """A request over 4 MiB is rejected before it is parsed. The error has the limit."""
    with running_server() as server, grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary("/podium.v1.RecordingService/Record")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"\xff" * size, timeout=_SECONDS)
    error = from_rpc_error(raised.value)
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
    assert error.message == f"the request has {size} bytes; send at most 4194304 bytes per call"
    assert error.metadata == {"limit": "message_bytes"}


async def test_watches_of_the_health_end_with_the_server() -> None:
    """When a server stops, watches of its services get NOT_SERVING, and all watches end.

    Before and after that, a service that the server lacks is SERVICE_UNKNOWN.
    """
    health, states = Health({"": None, "a": None}), []
    requests = [_pb2.HealthCheckRequest(service=name) for name in ("", "a", "b")]
    watches = [health._watch(request.SerializeToString()) for request in requests]
    for _ in range(2):
        responses = [_pb2.HealthCheckResponse.FromString(await anext(watch)) for watch in watches]
        states.append([response.status for response in responses])
        health.stop()
    assert states == [[1, 1, 3], [2, 2, 3]]  # SERVING, NOT_SERVING, SERVICE_UNKNOWN
    for watch in watches:
        with pytest.raises(podium.UnavailableError, match="the server is stopping"):
            await anext(watch)


async def test_a_watch_of_the_health_has_only_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch of the health sends the state of a service only when the state has changed."""
    monkeypatch.setattr(health, "_CHECK_SECONDS", 0)
    states = iter([True] * 9 + [False] * 9 + [True])

    async def is_served() -> bool:
        return next(states)

    name = _pb2.HealthCheckRequest(service="x").SerializeToString()
    watch = health.Health({"x": is_served})._watch(name)
    assert [await anext(watch) for _ in range(3)] == [b"\x08\x01", b"\x08\x02", b"\x08\x01"]
    await watch.aclose()


@only_sqlite
async def test_a_store_that_takes_no_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a store takes no writes, only RecordingService is NOT_SERVING. All else is SERVING."""

    async def takes_writes(_store: Store) -> bool:
        return False

    monkeypatch.setattr(Store, "takes_writes", takes_writes)
    async with serving(tmp_path) as [address], grpc.aio.insecure_channel(address) as channel:
        stub: Any = HealthStub(channel)
        requests = [_pb2.HealthCheckRequest(service=name) for name in _SERVING]
        found = {each.service: (await stub.Check(each)).status for each in requests}
    assert found == {**_SERVING, "podium.v1.RecordingService": 2}
