"""Serves a call: admits it, checks its caller, and answers it. All fronts of gRPC use this."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Protocol

import grpc
from podium._values.metadata import OUTBOX_LAG_KEY
from podium._wire.status import Status

from podium_server.errors import failure
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmittedCall
from podium_server.rpc.errors import status_of
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod
from podium_server.rpc.telemetry import Telemetry

__all__ = ["CallServer", "Exchange"]

_RECORD = "podium.v1.RecordingService.Record"


class Exchange(Protocol):
    """One call, in the form in which its front receives it."""

    @property
    def peer(self) -> str:
        """The address of the client's connection, in the form that gRPC uses."""

    def headers(self, name: str) -> list[str]:
        """Returns the values of a header."""

    def certificate_names(self) -> Iterable[bytes]:
        """Returns the names (SAN) in the verified certificate of the client."""

    def when_over(self, callback: Callable[[], None]) -> None:
        """Makes the front call `callback` when the response is sent, or can no longer be sent."""

    async def read(self) -> bytes | None:
        """Reads the request. Returns None if it ends before it is complete."""

    async def write(self, response: bytes, seconds: float) -> None:
        """Sends a response of a stream. Raises TimeoutError if the client reads too slowly."""

    async def abort(self, status: Status) -> None:
        """Ends the call with an error, in the call's own task."""

    def abort_from_outside(self, status: Status) -> Awaitable[object]:
        """Ends the call with an error while its task runs.

        Returns an awaitable that waits for the end of the call.
        """


class CallServer:
    """Serves the calls of all methods."""

    def __init__(self, admission: Admission, access: Access, telemetry: Telemetry) -> None:
        self._admission = admission
        self._access = access
        self._telemetry = telemetry

    async def serve(self, method: Method, exchange: Exchange) -> bytes:
        """Admits a call, checks its caller, and answers it. Errors become the call's status.

        Returns the response of a UnaryMethod. Sends the responses of a StreamMethod,
        and returns no bytes.
        """
        call = None
        name, peer = method.name, exchange.peer
        try:
            async with self._telemetry.call(name, peer, exchange.headers):
                call = self._admission.enter(
                    peer, lambda error: exchange.abort_from_outside(status_of(error, name))
                )
                exchange.when_over(call.leave)
                await self._access.enter(
                    name, lambda: exchange.headers("authorization"), exchange.certificate_names
                )
                if name == _RECORD:
                    self._telemetry.note_lag(exchange.headers(OUTBOX_LAG_KEY))
                if isinstance(method, UnaryMethod):
                    # No variable keeps the response: if it is rejected, it must be freed before
                    # the status is sent, since the client may not read.
                    return call.answer(await method.answer(await call.read(exchange.read)))
                await self._stream(method, call, exchange)
                return b""
        except grpc.aio.BaseError:  # the call was aborted from outside, or has ended by itself
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            status = status_of(error, name)
        if call is not None and call.refusal is not None:
            # The abort that is under way already ends this call.
            await call.refusal
            return b""
        await exchange.abort(status)
        return b""

    def note_overloaded(self, calls: int) -> None:
        """Counts calls that a front has rejected as OVERLOADED by itself."""
        self._admission.note_overloaded(calls)

    async def _stream(self, method: StreamMethod, call: AdmittedCall, exchange: Exchange) -> None:
        raw: bytes | None = await call.read(exchange.read)
        call.watch(method.name)
        while raw is not None:
            async with aclosing(method.stream(raw)) as responses:
                async for response in responses:
                    await self._write(exchange, response)
            raw = await call.read_next(exchange.read) if method.has_more_requests else None

    async def _write(self, exchange: Exchange, response: bytes) -> None:
        """Sends a response of a stream. Raises WATCH_TOO_SLOW if it is not read in time."""
        seconds = self._admission.write_seconds
        try:
            await exchange.write(response, seconds)
        except TimeoutError:
            raise failure(
                "WATCH_TOO_SLOW",
                f"the client has read nothing for {seconds:g} s; watch again after the last marker",
            ) from None
