"""Handlers for grpcio's asyncio server.

All methods are registered as methods with streams of requests. So a handler runs before the request
is complete, and decides whether to read it. If a method was registered as unary, its handler would
run only when the whole request is read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from podium.errors import PodiumError

from podium_server.errors import failure
from podium_server.rpc.access.tokens import Access, authorization_of
from podium_server.rpc.admission import Admission, AdmittedCall
from podium_server.rpc.errors import status_of
from podium_server.rpc.handlers import Method, StreamMethod, UnaryMethod
from podium_server.rpc.telemetry import Telemetry

__all__ = ["generic_handler"]

_RECORD = "podium.v1.RecordingService.Record"
Context = grpc.aio.ServicerContext[bytes, bytes]

_aborts: set[asyncio.Task[None]] = set()
"""The tasks that abort calls.

They are kept here, because the event loop keeps no reference to them.
"""


def generic_handler(
    service: str,
    methods: Iterable[Method],
    admission: Admission,
    access: Access,
    telemetry: Telemetry,
) -> grpc.GenericRpcHandler:
    """Returns the methods of a service as a handler of the gRPC server."""
    handlers: dict[str, Any] = {
        method.name.rpartition(".")[2]: _unary(method, admission, access, telemetry)
        if isinstance(method, UnaryMethod)
        else _stream(method, admission, access, telemetry)
        for method in methods
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _unary(method: UnaryMethod, admission: Admission, access: Access, telemetry: Telemetry) -> Any:
    name, answer = method.name, method.answer

    async def respond(call: AdmittedCall, context: Context) -> bytes:
        response = await answer(await call.read(_receiver(context)))
        return call.answer(response)

    async def handle(_requests: Any, context: Context) -> bytes:
        return await _served(name, respond, admission, access, telemetry, context)

    return grpc.stream_unary_rpc_method_handler(handle)


def _stream(
    method: StreamMethod, admission: Admission, access: Access, telemetry: Telemetry
) -> Any:
    async def respond(call: AdmittedCall, context: Context) -> bytes:
        raw = await call.read(_receiver(context))
        call.watch()
        async with aclosing(method.stream(raw)) as responses:
            async for response in responses:
                await _write(context, response, admission.write_seconds)
        return b""

    async def handle(_requests: Any, context: Context) -> None:
        await _served(method.name, respond, admission, access, telemetry, context)

    return grpc.stream_stream_rpc_method_handler(handle)


async def _write(context: Context, response: bytes, seconds: float) -> None:
    """Sends a response of a stream. Cuts off a client that does not read it in time."""
    try:
        async with asyncio.timeout(seconds):
            await context.write(response)
    except TimeoutError:
        raise failure(
            "WATCH_TOO_SLOW",
            f"the client has read nothing for {seconds:g} s; watch again after the last marker",
        ) from None


async def _served(
    name: str,
    respond: Callable[[AdmittedCall, Context], Awaitable[bytes]],
    admission: Admission,
    access: Access,
    telemetry: Telemetry,
    context: Context,
) -> bytes:
    """Admits a call, checks its caller, and answers it. Errors become the status of the call."""
    call = None
    peer = context.peer()
    try:
        async with telemetry.call(name, peer):
            call = admission.enter(peer, lambda error: _abort_from_outside(context, name, error))
            context.add_done_callback(_leaving(call))
            await access.enter(
                name,
                lambda: authorization_of(context.invocation_metadata() or ()),
                lambda: context.auth_context().get("x509_subject_alternative_name", ()),
            )
            if name == _RECORD:
                telemetry.note_lag(context.invocation_metadata() or ())
            return await respond(call, context)
    except grpc.aio.BaseError:  # the call was aborted from outside, or has ended by itself
        raise
    except Exception as error:  # noqa: BLE001 - every error becomes a status
        status = status_of(error, name)
    if call is not None and call.refusal is not None:
        # The abort that is under way already ends this call.
        await call.refusal
        return b""
    await context.abort(status.code, status.text, status.trailing_metadata)
    raise AssertionError  # abort raises


def _leaving(call: AdmittedCall) -> Any:
    """Returns the callback to run when the response is sent, or can no longer be sent."""
    return lambda _context: call.leave()


def _receiver(context: Context) -> Callable[[], Awaitable[bytes | None]]:
    async def receive() -> bytes | None:
        raw = await context.read()
        return raw if isinstance(raw, bytes) else None

    return receive


def _abort_from_outside(context: Context, name: str, error: PodiumError) -> Awaitable[None]:
    task = asyncio.get_running_loop().create_task(_abort(context, name, error))
    _aborts.add(task)
    task.add_done_callback(_aborts.discard)
    return task


async def _abort(context: Context, name: str, error: PodiumError) -> None:
    status = status_of(error, name)
    try:
        await context.abort(status.code, status.text, status.trailing_metadata)
    except grpc.aio.BaseError:
        return  # the call is aborted, or it has ended by itself
