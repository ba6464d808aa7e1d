"""Tests of how `CallServer` serves a call, whichever front has received it.

No network is used.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import pytest
from podium._wire.status import Status, from_rpc_error
from podium.errors import PodiumError, error_for
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.rpc.fronts.ports import ListenError
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod
from podium_server.rpc.serving import CallServer
from podium_server.rpc.telemetry import Telemetry
from podium_server.store.tokens import TokenRow

from tests.unit.wire.test_status import FailedCall

_RECORD = "podium.v1.RecordingService.Record"


class _Exchange:
    """A call of a client that sends some requests. If `is_slow`, the client reads no response."""

    peer = "ipv4:10.0.0.1:5"

    def __init__(self, *requests: bytes, is_slow: bool = False, **headers: str) -> None:
        self._requests, self._is_slow = iter(requests), is_slow
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.written: list[bytes] = []
        self.aborted: list[PodiumError] = []
        self.end: Callable[[], None] = lambda: None

    def headers(self, name: str) -> list[str]:
        return [value for key, value in self._headers.items() if key == name]

    def certificate_names(self) -> list[bytes]:
        return []

    def when_over(self, callback: Callable[[], None]) -> None:
        self.end = callback

    async def read(self) -> bytes | None:
        return next(self._requests, None)

    async def write(self, response: bytes, seconds: float) -> None:
        assert seconds == 7.0
        if self._is_slow:
            raise TimeoutError
        self.written.append(response)

    async def abort(self, status: Status) -> None:
        self.aborted.append(from_rpc_error(FailedCall(*status)))

    def abort_from_outside(self, status: Status) -> Awaitable[object]:
        return asyncio.ensure_future(self.abort(status))


class _Served(NamedTuple):
    """A `CallServer`, and the objects that count its calls."""

    admission: Admission
    telemetry: Telemetry
    server: CallServer

    async def lines(self, name: str) -> list[str]:
        """Returns the lines of a metric, without its name."""
        text = await self.telemetry.text()
        return [line.removeprefix(name) for line in text.splitlines() if line.startswith(name)]


@pytest.fixture
def served() -> _Served:
    """Returns a `CallServer` that needs no tokens."""

    async def no_tokens() -> list[TokenRow]:
        return []

    admission, telemetry = Admission(AdmissionLimits(write_seconds=7.0, watches=2)), Telemetry()
    access = Access(no_tokens, is_on=False)
    return _Served(admission, telemetry, CallServer(admission, access, telemetry))


def _unary(error: BaseException | None = None, name: str = "x.S.M") -> UnaryMethod:
    async def answer(raw: bytes) -> bytes:
        if error is not None:
            raise error
        return b"response to " + raw

    return UnaryMethod(name, answer)


def _stream(*, has_more_requests: bool = False) -> StreamMethod:
    async def stream(raw: bytes) -> AsyncGenerator[bytes]:
        for number in b"1", b"2":
            yield raw + number

    return StreamMethod("x.S.M", stream, has_more_requests)


async def test_a_call_is_counted_until_its_response_is_sent(served: _Served) -> None:
    """A call occupies a place until its front reports that the response is sent."""
    exchange = _Exchange(b"a")
    assert await served.server.serve(_unary(), exchange) == b"response to a"
    assert (exchange.aborted, served.admission.calls.used) == ([], 1)
    exchange.end()
    assert served.admission.calls.used == 0
    assert await served.lines("podium_calls_total") == ['{method="x.S.M",code="OK"} 1']


@pytest.mark.parametrize(
    ("method", "exchange", "code", "reason"),
    [
        (_unary(error_for("ARM_NOT_FOUND", "no")), _Exchange(b"a"), "NOT_FOUND", "ARM_NOT_FOUND"),
        (_unary(ZeroDivisionError()), _Exchange(b"a"), "INTERNAL", "INTERNAL"),
        (_unary(), _Exchange(), "INVALID_ARGUMENT", "MALFORMED_REQUEST"),
        (_stream(), _Exchange(), "INVALID_ARGUMENT", "MALFORMED_REQUEST"),
        (_stream(), _Exchange(b"a", is_slow=True), "RESOURCE_EXHAUSTED", "WATCH_TOO_SLOW"),
    ],
)
async def test_each_failure_has_a_reason(
    served: _Served, method: Method, exchange: _Exchange, code: str, reason: str
) -> None:
    """The client of a failed call gets one error. The metrics count its code and reason once."""
    assert await served.server.serve(method, exchange) == b""
    exchange.end()
    assert [(error.code, error.reason) for error in exchange.aborted] == [(code, reason)]
    assert await served.lines("podium_calls_total") == [f'{{method="x.S.M",code="{code}"}} 1']
    assert await served.lines("podium_errors_total") == [f'{{reason="{reason}"}} 1']
    assert (served.admission.calls.used, served.admission.watches.used) == (0, 0)


@pytest.mark.parametrize("has_more_requests", [False, True])
async def test_a_stream_of_responses(served: _Served, *, has_more_requests: bool) -> None:
    """All responses of a stream are sent.

    A second request is read only if the method accepts more than one.
    """
    exchange = _Exchange(b"a", b"b")
    method = _stream(has_more_requests=has_more_requests)
    assert await served.server.serve(method, exchange) == b""
    expected = [b"a1", b"a2", b"b1", b"b2"]
    assert exchange.written == (expected if has_more_requests else expected[:2])
    assert (served.admission.calls.used, served.admission.watches.used) == (1, 1)
    exchange.end()
    assert (served.admission.calls.used, served.admission.watches.used) == (0, 0)


async def test_a_call_that_is_ended_while_it_runs(served: _Served) -> None:
    """If a call is ended with an error while its method runs, it gets no late response."""

    async def answer(_raw: bytes) -> bytes:
        [call] = served.admission._under_way
        call.refuse(error_for("SHUTTING_DOWN", "bye"))
        return b"late"

    exchange = _Exchange(b"a")
    assert await served.server.serve(UnaryMethod("x.S.M", answer), exchange) == b""
    assert [error.reason for error in exchange.aborted] == ["SHUTTING_DOWN"]


async def test_a_call_that_its_front_has_ended(served: _Served) -> None:
    """If gRPC has aborted a call, its AbortError is raised again, and no other error is sent."""
    exchange = _Exchange(b"a")
    with pytest.raises(grpc.aio.AbortError):
        await served.server.serve(_unary(grpc.aio.AbortError("aborted")), exchange)
    assert exchange.aborted == []
    assert await served.lines("podium_calls_total") == ['{method="x.S.M",code="CANCELLED"} 1']


async def test_only_senders_report_a_lag(served: _Served) -> None:
    """The outbox lag is read from the header of Record calls only, not of other calls."""
    for name, seconds in ((_RECORD, "4"), ("x.S.M", "9")):
        exchange = _Exchange(b"a", podium_outbox_lag=seconds)
        await served.server.serve(_unary(name=name), exchange)
    assert await served.lines("podium_outbox_lag_seconds ") == ["4"]


async def test_a_front_that_cannot_start_again_ends_the_process() -> None:
    """A grpcio front that has ended and cannot listen again calls `on_failed`."""
    failed: list[bool] = []
    front: Any = GrpcioFront(
        {},
        None,  # type: ignore[arg-type]  # no call arrives
        message_bytes=1,
        certificates=None,
        on_failed=lambda: failed.append(True),
    )

    class _Ended:
        async def wait_for_termination(self, _seconds: float) -> None:
            raise ValueError("the path of a call is not UTF-8")

    async def fail() -> None:
        raise ListenError("another program has the port")

    front._server, front._restart = _Ended(), fail
    await front._restart_when_ended()
    assert failed == [True]
