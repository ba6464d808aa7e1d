"""Tests of the HTTP front without the rest of the server."""

import asyncio
import json
import signal
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from podium.v1.results_service_pb2 import (
    GetServerResponse,
)
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.rpc.fronts import http_server
from podium_server.rpc.fronts.connect import ConnectFront
from podium_server.rpc.handlers import StreamMethod, UnaryMethod
from podium_server.rpc.telemetry import Telemetry
from podium_server.store.tokens import TokenRow

from tests.server.rpc.http_requests import JSON, framed, send


class _Slow:
    """A method that answers only when the test lets it, and notes its begin and end."""

    def __init__(self) -> None:
        self.begun, self.ended, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(self, _raw: bytes) -> bytes:
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return b""


async def _no_tokens() -> list[TokenRow]:
    return []


@asynccontextmanager
async def _front(
    method: UnaryMethod | StreamMethod, limits: AdmissionLimits | None = None
) -> AsyncIterator[tuple[str, Admission]]:
    admission = Admission(limits or AdmissionLimits())
    front = ConnectFront({"": [method]}, admission, Access(_no_tokens, is_on=False), Telemetry())
    [url] = front.bind(["127.0.0.1:0"])
    front.start()
    try:
        yield url, admission
    finally:
        await front.stop()


async def _no_call(admission: Admission) -> None:
    """Waits until no call counts. A call leaves shortly after the end of its response."""
    async with asyncio.timeout(60):
        while admission.calls.used:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def _get_server(slow: _Slow) -> UnaryMethod:
    return UnaryMethod("podium.v1.ResultsService.GetServer", slow.answer)


_GET_SERVER = "/podium.v1.ResultsService/GetServer"


async def test_a_deadline_ends_the_call() -> None:
    """At its deadline, a call gets DEADLINE_EXCEEDED, and its method is cancelled."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, _):
        headers = {**JSON, "connect-timeout-ms": "50"}
        found = await send(url, _GET_SERVER, b"{}", headers)
        assert found.error == (504, "deadline_exceeded", "")
        await slow.ended.wait()


async def test_a_client_that_leaves_cancels_its_call() -> None:
    """If a client disconnects, its method is cancelled, and its call no longer counts."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, admission):
        host, _, port = url.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {_GET_SERVER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        writer.write(f"{head}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        await slow.begun.wait()
        writer.close()
        await slow.ended.wait()
        await _no_call(admission)


async def test_running_and_later_calls_get_shutting_down() -> None:
    """When the server stops, running calls and later ones get SHUTTING_DOWN."""
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, admission):
        waiting = asyncio.create_task(send(url, _GET_SERVER, b"{}", JSON))
        await slow.begun.wait()
        await admission.close(0)
        assert (await waiting).error == (503, "unavailable", "SHUTTING_DOWN")
        late = await send(url, _GET_SERVER, b"{}", JSON)
        assert late.error == (503, "unavailable", "SHUTTING_DOWN")


async def test_only_the_log_has_the_text_of_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    """If a method raises an exception, the client gets INTERNAL. Only the log has its text."""

    async def broken(_raw: bytes) -> bytes:
        raise ZeroDivisionError("secret")

    async with _front(UnaryMethod("podium.v1.ResultsService.GetServer", broken)) as (url, _):
        found = await send(url, _GET_SERVER, b"{}", JSON)
    assert found.error == (500, "internal", "INTERNAL")
    assert b"secret" not in found.body
    assert "secret" in caplog.text


async def test_streams() -> None:
    """Each response of a stream is in its own frame. A stream counts as a watch until it ends."""
    watches: list[int] = []

    async def stream(_raw: bytes) -> AsyncGenerator[bytes]:
        for version in ("1", "2"):
            watches.append(admission.watches.used)
            response = GetServerResponse()
            response.server.version = version
            yield response.SerializeToString()

    async with _front(StreamMethod("podium.v1.ResultsService.GetServer", stream)) as (
        url,
        admission,
    ):
        headers = {"content-type": "application/connect+json"}
        found = await send(url, _GET_SERVER, framed(b"{}"), headers)
        frames, rest = [], found.body
        while rest:
            size = struct.unpack(">BI", rest[:5])[1]
            frames.append(json.loads(rest[5 : 5 + size]))
            rest = rest[5 + size :]
        assert frames == [{"server": {"version": "1"}}, {"server": {"version": "2"}}, {}]
        assert watches == [1, 1]
        await _no_call(admission)
        assert admission.watches.used == 0


async def test_connections_without_a_request_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a complete request head is closed after a time.

    A running call is not affected.
    """
    slow = _Slow()
    async with _front(_get_server(slow)) as (url, _):
        host, _, port = url.removeprefix("http://").rpartition(":")
        calling = asyncio.create_task(send(url, _GET_SERVER, b"{}", JSON))
        await slow.begun.wait()
        monkeypatch.setattr(http_server, "_WAIT_TICKS", 1)
        for begin in (b"", b"GET / HTTP/1.1\r\nHost:"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begin)
            assert await reader.read() == b""
            writer.close()
        slow.go.set()
        assert (await calling).status == 200


async def test_the_front_changes_no_signal_handlers() -> None:
    """The HTTP front does not change the signal handlers of the process.

    With its own handlers, uvicorn would end the process before its last calls have ended.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    slow = _Slow()
    slow.go.set()
    async with _front(_get_server(slow)) as (url, _):
        assert (await send(url, _GET_SERVER, b"{}", JSON)).status == 200
        assert [signal.getsignal(number) for number in numbers] == before
