"""The front that receives calls outside of Python, with the extension module `podium_front`.

The module accepts connections, limits them and reads requests in threads of its own. It writes
events to a queue, and wakes the event loop once for many of them. See `server/front`.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import podium_front
from podium._values.address import host_and_port, socket_path
from podium._wire.status import Status, to_status

from podium_server.errors import overloaded
from podium_server.rpc.fronts.grpcio import MAX_CONNECTIONS, OVERSIZE
from podium_server.rpc.fronts.ports import (
    Certificates,
    ListenError,
    PEMFiles,
    bind_socket,
    listen_hint,
    remove_socket,
)
from podium_server.rpc.handlers import Method, StreamMethod
from podium_server.rpc.serving import CallServer

__all__ = ["NativeFront"]

_CALLS_AT_ONCE = 2
"""The most new calls that one turn of the event loop begins.

A call with a large response takes 10 ms. Other running calls wait until the turn has ended.
"""
_MOST_THREADS = 4
_LAST_RESPONSES_SECONDS = 0.1
_NEW, _MESSAGE, _WRITABLE, _DONE, _HANDSHAKE = range(5)
_SENT, _FULL, _CLOSED = range(3)


class NativeFront:
    """Serves methods with the extension module."""

    def __init__(
        self,
        services: Mapping[str, Iterable[Method]],
        server: CallServer,
        *,
        message_bytes: int,
        certificates: Certificates | None,
        on_failed: Callable[[], None],  # noqa: ARG002 - this front does not fail
    ) -> None:
        self._methods = [method for group in services.values() for method in group]
        self._calls: dict[int, _Exchange] = {}
        self._all_over = asyncio.Event()
        self._addresses: list[str] = []
        self._refused = 0
        self._took_at = 0
        self._server = server
        self._certificates = certificates
        self._used: PEMFiles | None = None
        full = to_status(overloaded("the server has too many calls at once; try again later"))
        self._native = podium_front.Server(
            ["/{}/{}".format(*method.name.rsplit(".", 1)) for method in self._methods],
            (full.code.value[0], full.text, list(full.trailing_metadata)),
            message_bytes=OVERSIZE * message_bytes,
            connections=MAX_CONNECTIONS,
            threads=min(_MOST_THREADS, max(1, (os.cpu_count() or 1) // 2)),
        )

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Serves on addresses, or raises ListenError. Returns them with the chosen ports."""
        self._renew()
        self._took_at = time.thread_time_ns()
        asyncio.get_running_loop().add_reader(self._native.fileno(), self._take)
        try:
            for address in addresses:
                self._addresses.append(self._listen(address))
        except ListenError:
            self._remove_sockets()
            raise
        return self._addresses

    async def stop(self) -> None:
        """Ends all calls and connections within a limited time, even if clients do not react."""
        self._native.stop()
        if self._calls:
            self._all_over.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_over.wait(), _LAST_RESPONSES_SECONDS)
        asyncio.get_running_loop().remove_reader(self._native.fileno())
        self._native.close()
        self._remove_sockets()
        for call in self._calls.values():
            call.end(is_sent=False)

    def _listen(self, address: str) -> str:
        path = socket_path(address)
        if path is not None:
            bind_socket(address, path, lambda: self._native.listen_unix(path))
            return address
        try:
            host, port = host_and_port(address)
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for place in dict.fromkeys(str(item[4][0]) for item in found):
                port = self._native.listen(place, port)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {listen_hint(error)}") from error
        return f"{address.rpartition(':')[0]}:{port}"

    def _remove_sockets(self) -> None:
        for address in self._addresses:
            remove_socket(address)

    def _renew(self) -> None:
        """Makes new connections use the newest certificate."""
        certificates = self._certificates
        if certificates is not None and (newest := certificates.newest()) is not self._used:
            self._native.encrypt(*newest)
            self._used = newest

    def _take(self) -> None:
        now = time.thread_time_ns()
        spent, self._took_at = now - self._took_at, now
        for kind, *content in self._native.take(_CALLS_AT_ONCE, spent):
            if kind == _NEW:
                self._begin(*content)
            elif kind == _HANDSHAKE:
                self._renew()
                content[0].proceed()
            elif (call := self._calls.get(content[0])) is not None:
                if kind == _MESSAGE:
                    call.arrive(content[1])
                elif kind == _WRITABLE:
                    call.arrive(None)
                else:
                    del self._calls[content[0]]
                    call.end(is_sent=content[1])
        if not self._calls:
            self._all_over.set()
        if (refused := self._native.refused()) != self._refused:
            self._server.note_overloaded(refused - self._refused)
            self._refused = refused

    def _begin(
        self, number: int, native: podium_front.Call, method: int, peer: str, raw: bytes | None
    ) -> None:
        exchange = _Exchange(native, peer, raw)
        self._calls[number] = exchange
        exchange.task = asyncio.get_running_loop().create_task(
            self._serve(self._methods[method], exchange)
        )

    async def _serve(self, method: Method, exchange: "_Exchange") -> None:
        response = await self._server.serve(method, exchange)
        if isinstance(method, StreamMethod):
            exchange.native.finish()
        else:
            exchange.native.answer(response)


class _Exchange:
    """A call that the extension module has received."""

    __slots__ = ("_awaited", "_is_stuck", "_over", "_raw", "native", "peer", "task")

    def __init__(self, native: podium_front.Call, peer: str, raw: bytes | None) -> None:
        self.native = native
        self.peer = peer
        self.task: asyncio.Task[None] | None = None
        self._raw = raw
        self._is_stuck = False
        self._over: Callable[[], None] | None = None
        self._awaited: asyncio.Future[bytes | None] | None = None

    def headers(self, name: str) -> list[str]:
        return self.native.values(name)

    def certificate_names(self) -> Iterable[bytes]:
        return [name.encode() for name in self.native.names()]

    def when_over(self, callback: Callable[[], None]) -> None:
        self._over = callback

    async def read(self) -> bytes | None:
        if self._raw is not None:
            raw, self._raw = self._raw, None
            return raw
        self.native.read()
        return await self._arrival()

    async def write(self, response: bytes, seconds: float) -> None:
        while (state := self.native.write(response)) == _FULL:
            try:
                async with asyncio.timeout(seconds):
                    await self._arrival()
            except TimeoutError:
                self._is_stuck = True
                raise
        if state == _CLOSED:
            raise asyncio.CancelledError

    async def abort(self, status: Status) -> None:
        self._fail(status, drop=self._is_stuck)

    def abort_from_outside(self, status: Status) -> Awaitable[object]:
        self._fail(status, drop=True)
        if self.task is not None:
            self.task.cancel()
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended.set_result(None)
        return ended

    def arrive(self, raw: bytes | None) -> None:
        """Ends the wait for a request, or for room in the stream."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(raw)

    def end(self, *, is_sent: bool) -> None:
        """Ends the call: its response is sent, or can no longer be sent."""
        over, self._over = self._over, None
        task, self.task = self.task, None
        if over is not None:
            over()
        if task is not None and not is_sent:
            task.cancel()

    async def _arrival(self) -> bytes | None:
        self._awaited = asyncio.get_running_loop().create_future()
        try:
            return await self._awaited
        finally:
            # The future would keep the request in memory.
            self._awaited = None

    def _fail(self, status: Status, *, drop: bool) -> None:
        metadata = list(status.trailing_metadata)
        self.native.fail(status.code.value[0], status.text, metadata, drop=drop)
