"""Carries out calls: the same steps over a blocking channel and over an asynchronous one.

A connection opens its channel at the first call and looks at its own state before each one: a
client that is closed or came through a fork says so at once, where gRPC would hang or crash.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.message_factory import GetMessageClass

from podium._client.channel import (
    OUTCOME_UNKNOWN,
    channel_options,
    connection_failure,
    deadline,
    server_address,
)
from podium._wire.status import from_rpc_error
from podium.errors import (
    CanceledError,
    ClientStateError,
    DeadlineExceededError,
    InternalError,
    PodiumError,
    UnavailableError,
    UnimplementedError,
)
from podium.v1 import recording_service_pb2, results_service_pb2
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2_grpc import ResultsServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from google.protobuf.message import Message

    from podium._client.calls import Pages, Steps

__all__ = ["AsyncConnection", "BlockingConnection", "Connection"]

_T = TypeVar("_T")
_C = TypeVar("_C", grpc.Channel, grpc.aio.Channel)

_RESULTS = results_service_pb2.DESCRIPTOR.services_by_name["ResultsService"]
_RECORDING = recording_service_pb2.DESCRIPTOR.services_by_name["RecordingService"]

_IS_CLOSED = "this client is closed; make a new one"

_INHERITED: list[object] = []
"""Channels of a parent process. They are kept for good: to destroy one here can hang."""


class _Method(NamedTuple):
    """One rpc of an open channel."""

    call: Callable[..., Any]
    name: str
    timeout: float
    is_write: bool


class _Opened(NamedTuple, Generic[_C]):
    pid: int
    channel: _C
    methods: dict[type[Message], _Method]


class Connection(Generic[_C]):
    """A connection without its I/O. The type of a request says which rpc it is for."""

    def __init__(self, address: str | None, read_timeout: float, write_timeout: float) -> None:
        self.address = server_address(address)
        self._read_timeout = deadline(read_timeout, "read_timeout")
        self._write_timeout = deadline(write_timeout, "write_timeout")
        self._opened: _Opened[_C] | None = None
        self._closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, and a client in another process, connects by itself.
        if self._closed:
            raise ClientStateError(_IS_CLOSED)
        return type(self), (self.address, self._read_timeout, self._write_timeout)

    def _new_channel(self) -> _C:
        raise NotImplementedError

    def _method(self, request: Message) -> _Method:
        # Threads that race to open it may open two channels; the one that is not kept goes away
        # with its last call.
        opened = self._opened or self._open()
        if opened.pid != os.getpid():
            raise ClientStateError(
                f"this client belongs to process {opened.pid} and cannot be used in its fork "
                f"{os.getpid()}: record with podium.record, which may fork, or start the process "
                "by spawn and make a client in it"
            )
        return opened.methods[type(request)]

    def _open(self) -> _Opened[_C]:
        if self._closed:
            raise ClientStateError(_IS_CLOSED)
        channel = self._new_channel()
        self._opened = _Opened(os.getpid(), channel, self._methods(channel))
        weakref.finalize(self, _abandon, self._opened)
        return self._opened

    def _methods(self, channel: _C) -> dict[type[Message], _Method]:
        results: Any = ResultsServiceStub(channel)
        recording: Any = RecordingServiceStub(channel)
        return {
            GetMessageClass(rpc.input_type): _Method(
                getattr(stub, rpc.name), rpc.full_name, timeout, service is _RECORDING
            )
            for service, stub, timeout in (
                (_RESULTS, results, self._read_timeout),
                (_RECORDING, recording, self._write_timeout),
            )
            for rpc in service.methods
        }

    def _detach(self) -> _C | None:
        """Ends the use of the channel; returns it if it is there to be closed."""
        opened, self._opened, self._closed = self._opened, None, True
        if opened is None:
            return None
        if opened.pid != os.getpid():
            _INHERITED.append(opened.channel)
            return None
        return opened.channel

    def _explain(self, error: grpc.RpcError, method: _Method) -> PodiumError:
        """Adds what gRPC does not say to an error that the server itself did not explain."""
        result = from_rpc_error(error)
        if isinstance(result, CanceledError) and not self._closed:
            # Nobody here cancelled it: so does a server that stops end what has just arrived.
            result = UnavailableError(result.message)
        if not result.reason:
            result.message = self._text(result, method)
            result.args = (result.message,)
        return result

    def _text(self, error: PodiumError, method: _Method) -> str:
        match error:
            case UnavailableError():
                why = connection_failure(error.message)
                text = (
                    f"no Podium server answers at {self.address}: start one with `podium serve`, "
                    f"or give the right address ({why or error.message})"
                )
                if why is not None:
                    return text
            case DeadlineExceededError():
                text = f"{self.address} did not answer within {method.timeout:g} s"
            case CanceledError():
                text = "the client was closed during the call"
            case UnimplementedError():
                return f"{self.address} is no Podium server, or an older one without {method.name}"
            case _:
                return f"{self.address}: {error.message}"
        return text + OUTCOME_UNKNOWN if method.is_write else text


def _abandon(opened: _Opened[Any]) -> None:
    """Lets go of the channel of a client that was not closed."""
    if opened.pid != os.getpid():
        _INHERITED.append(opened.channel)


class BlockingConnection(Connection[grpc.Channel]):
    """Carries out steps in the calling thread; any number of threads may share it."""

    def run(self, steps: Steps[_T]) -> _T:
        """Carries out steps to their result."""
        try:
            request = next(steps)
            while True:
                request = steps.send(self._call(request))
        except StopIteration as end:
            result: _T = end.value
            return result

    def iterate(self, pages: Pages[_T]) -> Iterator[_T]:
        """Yields the items of a list, page by page as they are asked for."""
        while pages.request is not None:
            yield from pages.read(self._call(pages.request))

    def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        channel = self._detach()
        if channel is not None:
            channel.close()

    def _new_channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address, channel_options(self.address))

    def _call(self, request: Message) -> Any:
        method = self._method(request)
        try:
            return method.call(request, timeout=method.timeout)
        except grpc.RpcError as error:
            raise self._explain(error, method) from None
        except ValueError:
            # What gRPC says of a channel that another thread has just closed.
            self._method(request)
            raise


class AsyncConnection(Connection[grpc.aio.Channel]):
    """Carries out steps on the event loop of its first call."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def run(self, steps: Steps[_T]) -> _T:
        """Carries out steps to their result."""
        try:
            request = next(steps)
            while True:
                request = steps.send(await self._call(request))
        except StopIteration as end:
            result: _T = end.value
            return result

    async def iterate(self, pages: Pages[_T]) -> AsyncIterator[_T]:
        """Yields the items of a list, page by page as they are asked for."""
        while pages.request is not None:
            for item in pages.read(await self._call(pages.request)):
                yield item

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        channel = self._detach()
        if channel is not None:
            await channel.close()

    def _new_channel(self) -> grpc.aio.Channel:
        self._loop = asyncio.get_running_loop()
        return grpc.aio.insecure_channel(self.address, channel_options(self.address))

    async def _call(self, request: Message) -> Any:
        method = self._method(request)
        if self._loop is not asyncio.get_running_loop():
            raise ClientStateError("this client belongs to another event loop; make a new one here")
        try:
            response = await method.call(request, timeout=method.timeout)
        except grpc.RpcError as error:
            raise self._explain(error, method) from None
        except (asyncio.CancelledError, grpc.aio.UsageError):
            # gRPC cancels the calls of a channel that is closed; who waits for them was not.
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise CanceledError("the client was closed during the call") from None
            raise
        if response is None:
            # All that grpc.aio says of a response that cannot be read, beside a line in its log.
            raise InternalError(f"{self.address}: the response to {method.name} cannot be read")
        return response
