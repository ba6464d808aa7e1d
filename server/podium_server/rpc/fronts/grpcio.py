"""The front on grpcio's asyncio server.

All methods are registered as request-streaming: a handler then runs before the request is
complete, and decides whether it is read at all. A unary handler would run only afterwards.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
from podium.errors import PodiumError

from podium_server.rpc.admission import Admission, AdmittedCall
from podium_server.rpc.errors import status_of
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod

__all__ = ["generic_handler", "server_options"]

Context = grpc.aio.ServicerContext[bytes, bytes]

_OVERSIZE_BYTES = 1024 * 1024
"""Requests that exceed the bound by less are read, so that their refusal has a reason."""

_aborts: set[asyncio.Task[None]] = set()
"""Tasks that abort calls; the event loop itself keeps no reference to them."""


def server_options(message_bytes: int) -> list[tuple[str, int]]:
    """Returns the options of gRPC's server."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", message_bytes + _OVERSIZE_BYTES),
        # Connections and what each may have open.
        ("grpc.max_allowed_incoming_connections", 1_000),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.http2.settings_timeout", 5_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_connection_age_ms", 600_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        # A client with more calls than streams would see some of them fail.
        ("grpc.max_concurrent_streams", 1_000),
        # Calls that wait for Python. With the default of 1,000, gRPC cancels more without a reason.
        ("grpc.server.max_pending_requests", 8_000),
        ("grpc.server.max_pending_requests_hard_limit", 8_000),
        # What gRPC takes in of a request before a handler reads it.
        ("grpc.http2.lookahead_bytes", 16 * 1024),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        # Pings: of clients that send too many, and to clients that may be gone.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


def generic_handler(
    service: str, methods: Iterable[Method], admission: Admission
) -> grpc.GenericRpcHandler:
    """Serves the methods of a service to gRPC's server."""
    handlers: dict[str, Any] = {
        method.name.rpartition(".")[2]: _unary(method, admission)
        if isinstance(method, UnaryMethod)
        else _stream(method, admission)
        for method in methods
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _unary(method: UnaryMethod, admission: Admission) -> Any:
    name, answer = method.name, method.answer

    async def respond(call: AdmittedCall, context: Context) -> bytes:
        response = await answer(await call.read(_receiver(context)))
        return call.answer(response)

    async def handle(_requests: Any, context: Context) -> bytes:
        return await _served(name, respond, admission, context)

    return grpc.stream_unary_rpc_method_handler(handle)


def _stream(method: StreamMethod, admission: Admission) -> Any:
    async def respond(call: AdmittedCall, context: Context) -> bytes:
        raw = await call.read(_receiver(context))
        call.watch()
        async for response in method.stream(raw):
            await context.write(response)
        return b""

    async def handle(_requests: Any, context: Context) -> None:
        await _served(method.name, respond, admission, context)

    return grpc.stream_stream_rpc_method_handler(handle)


async def _served(
    name: str,
    respond: Callable[[AdmittedCall, Context], Awaitable[bytes]],
    admission: Admission,
    context: Context,
) -> bytes:
    """Admits a call and lets it be answered; errors become the status of the call."""
    call = None
    try:
        call = admission.enter(
            context.peer(), lambda error: _abort_from_outside(context, name, error)
        )
        context.add_done_callback(_leaving(call))
        return await respond(call, context)
    except grpc.aio.AbortError:  # raised in the task of the call by its abort from outside
        raise
    except Exception as error:  # noqa: BLE001 - every error becomes a status
        if call is not None and call.is_refused:
            return b""
        status = status_of(error, name)
    await context.abort(status.code, status.text, status.trailing_metadata)
    raise AssertionError  # abort raises


def _leaving(call: AdmittedCall) -> Any:
    """Returns what gRPC calls when the response has been sent, or never will be."""
    return lambda _context: call.leave()


def _receiver(context: Context) -> Callable[[], Awaitable[bytes | None]]:
    async def receive() -> bytes | None:
        raw = await context.read()
        return raw if isinstance(raw, bytes) else None

    return receive


def _abort_from_outside(context: Context, name: str, error: PodiumError) -> None:
    task = asyncio.get_running_loop().create_task(_abort(context, name, error))
    _aborts.add(task)
    task.add_done_callback(_aborts.discard)


async def _abort(context: Context, name: str, error: PodiumError) -> None:
    status = status_of(error, name)
    try:
        await context.abort(status.code, status.text, status.trailing_metadata)
    except (grpc.aio.AbortError, grpc.aio.UsageError, grpc.aio.InternalError):
        # The call was aborted, or it has ended by itself.
        return
