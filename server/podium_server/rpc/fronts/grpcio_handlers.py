"""Handlers for grpcio's asyncio server.

All methods are registered as methods with streams of requests. So a handler runs before the request
is complete, and decides whether to read it. If a method were registered as unary, its handler would
run only when the whole request is read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
from podium._wire.status import Status

from podium_server.rpc.handlers import Method, UnaryMethod
from podium_server.rpc.serving import CallServer

__all__ = ["generic_handler"]

_SAN = "x509_subject_alternative_name"

_aborts: set[asyncio.Task[None]] = set()
"""The tasks that abort calls. The event loop itself keeps no reference to them."""


def generic_handler(
    service: str, methods: Iterable[Method], server: CallServer
) -> grpc.GenericRpcHandler:
    """Returns the methods of a service as a handler of the gRPC server."""
    handlers = {method.name.rpartition(".")[2]: _handler(method, server) for method in methods}
    return grpc.method_handlers_generic_handler(service, handlers)


def _handler(method: Method, server: CallServer) -> Any:
    if isinstance(method, UnaryMethod):

        async def answer(_requests: Any, context: Any) -> bytes:
            return await server.serve(method, _Exchange(context))

        return grpc.stream_unary_rpc_method_handler(answer)

    async def stream(_requests: Any, context: Any) -> None:
        await server.serve(method, _Exchange(context))

    return grpc.stream_stream_rpc_method_handler(stream)


class _Exchange:
    """A call that grpcio has received."""

    __slots__ = ("_context", "peer")

    def __init__(self, context: Any) -> None:
        self._context = context
        self.peer = context.peer()

    def headers(self, name: str) -> list[str]:
        metadata = self._context.invocation_metadata() or ()
        return [str(value) for key, value in metadata if key == name]

    def certificate_names(self) -> Iterable[bytes]:
        names: Iterable[bytes] = self._context.auth_context().get(_SAN, ())
        return names

    def when_over(self, callback: Callable[[], None]) -> None:
        self._context.add_done_callback(lambda _context: callback())

    async def read(self) -> bytes | None:
        raw = await self._context.read()
        return raw if isinstance(raw, bytes) else None

    async def write(self, response: bytes, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await self._context.write(response)

    async def abort(self, status: Status) -> None:
        await self._context.abort(status.code, status.text, status.trailing_metadata)

    def abort_from_outside(self, status: Status) -> Awaitable[object]:
        task = asyncio.get_running_loop().create_task(self._abort_unless_ended(status))
        _aborts.add(task)
        task.add_done_callback(_aborts.discard)
        return task

    async def _abort_unless_ended(self, status: Status) -> None:
        try:
            await self.abort(status)
        except grpc.aio.BaseError:
            return  # the call is aborted, or it has ended by itself
